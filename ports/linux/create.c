/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Spaces on the heap of a hosted program. */
#include <kva/kva.h>

#include <stdlib.h>

#include "../port.h"

enum kva_status kva_space_create(const struct kva_config *config, struct kva_space **space)
{
    if (!config || !space)
        return KVA_ENULL;
    struct kva_config hosted = *config;
    if (!hosted.memory.take && !hosted.memory.give)
        hosted.memory = kva_memory_host();
    if (hosted.cpus == 0)
        hosted.cpus = kva_port_cpus();
    if (!hosted.on_corruption)
        hosted.on_corruption = kva_corruption_host;

    struct kva_space *made = malloc(sizeof *made);
    if (!made)
        return KVA_ENOMEM;
    enum kva_status status = kva_space_init(made, &hosted);
    if (status == KVA_OK)
        *space = made;
    else
        free(made);
    return status;
}

enum kva_status kva_space_destroy(struct kva_space *space)
{
    bool has_ended = space && !space->tiling; /* by kva_space_abandon */
    enum kva_status status = has_ended ? KVA_OK : kva_space_fini(space);

    if (status == KVA_OK)
        free(space);
    return status;
}
