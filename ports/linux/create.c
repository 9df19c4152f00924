/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Spaces in memory from the caller's source, or from the host's. */
#include <kva/kva.h>
#include <kva/threads.h>

#include "../port.h"

/** The block that is taken for a space, with the source that it is given back to. */
struct made {
    struct kva_memory memory;
    struct kva_space space;
};

static struct made *made_of(struct kva_space *space)
{
    return (struct made *)(void *)((char *)space - offsetof(struct made, space));
}

static void give_made(struct made *made)
{
    const struct kva_memory memory = made->memory;

    memory.give(memory.context, made, sizeof *made);
}

static struct kva_config hosted_config(const struct kva_config *config)
{
    struct kva_config hosted = *config;

    if (!hosted.memory.take && !hosted.memory.give)
        hosted.memory = kva_memory_host();
    hosted.engine = kva_port_engine(hosted.engine);
    if (hosted.cpus == 0)
        hosted.cpus = kva_port_cpus();
    if (!hosted.threads)
        hosted.threads = kva_threads_host();
    if (!hosted.on_corruption)
        hosted.on_corruption = kva_corruption_host;
    return hosted;
}

enum kva_status kva_space_create(const struct kva_config *config, struct kva_space **space)
{
    if (!config || !space)
        return KVA_ENULL;
    const struct kva_config hosted = hosted_config(config);
    struct kva_memory memory = hosted.memory;
    struct kva_space none;
    if (!memory.take || !memory.give)
        return kva_space_init(&none, &hosted); /* this refuses it, and reports */

    struct made *made = memory.take(memory.context, sizeof *made);
    if (!made)
        return KVA_ENOMEM;
    made->memory = memory;
    enum kva_status status = kva_space_init(&made->space, &hosted);
    if (status == KVA_OK)
        *space = &made->space;
    else
        give_made(made);
    return status;
}

enum kva_status kva_space_destroy(struct kva_space *space)
{
    bool has_ended = space && !space->map; /* by kva_space_abandon */
    enum kva_status status = has_ended ? KVA_OK : kva_space_fini(space);

    if (status == KVA_OK)
        give_made(made_of(space));
    return status;
}
