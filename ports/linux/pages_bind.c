/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Binding private pages of a stretch to nodes: bindings (pages_nodes.c), and what they make of the count of
 *  mappings. */
#define _GNU_SOURCE
#include "pages_bind.h"

#include "pages_count.h"

enum kva_status kva_port_bind(void *context, void *handle, uint64_t start, uint64_t bytes,
                              const struct kva_vm_nodes *nodes)
{
    struct stretch *stretch = handle;
    struct run run = run_at(stretch, start, bytes);
    uint64_t before = binding_ends(&stretch->bindings);

    (void)context;
    if (nodes->policy != KVA_VM_NODES_ANY && !has_room_for(&stretch->budget, 2))
        return KVA_ELIMIT;
    enum kva_status status = kva_port_bind_range(
        &stretch->bindings, (uintptr_t)start, (uintptr_t)(start + bytes), nodes, &stretch->stats.calls.nodes);
    if (status == KVA_ENOMEM)
        return kva_port_why_refused(&stretch->budget);
    if (status == KVA_OK && nodes->policy == KVA_VM_NODES_ANY)
        kva_port_fence(stretch, run); /* open pages that meet at an end of it may not merge again */
    note_binding_ends(stretch, before);
    return status;
}

enum kva_status kva_port_regain_run(struct stretch *stretch, struct run run)
{
    uint64_t before = binding_ends(&stretch->bindings);
    uintptr_t start = (uintptr_t)start_of(stretch, run);
    bool all = kva_port_regain(&stretch->bindings, start, start + bytes_of(stretch, run),
                               &stretch->stats.calls.nodes);

    note_binding_ends(stretch, before);
    return all ? KVA_OK : kva_port_why_refused(&stretch->budget);
}
