/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Binding private pages of a reservation to nodes: the bindings (pages_nodes.c), and the mappings that they
 *  take. */
#include "gnu.h"

#include "pages_bind.h"

#include "pages_count.h"

/** Accessible pages may stay two mappings where a binding ended and none ends now. */
static void fence_vanished(struct reservation *reservation, const struct binding_list *old)
{
    for (size_t i = 0; i < old->count; i++) {
        const uintptr_t ends[] = {old->at[i].start, old->at[i].end};
        for (unsigned k = 0; k < 2; k++) {
            if (!kva_port_is_binding_end(&reservation->bindings.now, ends[k]))
                kva_port_fence_at(reservation, run_at(reservation, ends[k], 0).from);
        }
    }
}

/** Whether there is room for the ends of a planned change. Undoing a binding is never refused here. */
static bool has_room_for_plan(struct reservation *reservation, const struct kva_vm_nodes *nodes)
{
    const struct bindings *bindings = &reservation->bindings;

    return nodes->policy == KVA_VM_NODES_ANY ||
           has_room_for_ends(&reservation->budget, bindings->now.ends, bindings->next.ends);
}

bool kva_port_has_nodes(void *context, void *handle, const struct kva_vm_nodes *nodes)
{
    struct reservation *reservation = handle;

    (void)context;
    return kva_port_may_bind(&reservation->bindings, nodes, &reservation->stats.calls.nodes) == KVA_OK;
}

enum kva_status kva_port_bind(void *context, void *handle, uint64_t start, uint64_t bytes,
                              const struct kva_vm_nodes *nodes)
{
    struct reservation *reservation = handle;
    struct bindings *bindings = &reservation->bindings;
    const struct addresses range = {(uintptr_t)start, (uintptr_t)(start + bytes)};
    uint64_t *calls = &reservation->stats.calls.nodes;
    uint64_t before = binding_ends(bindings);

    (void)context;
    enum kva_status status = kva_port_may_bind(bindings, nodes, calls);
    if (status != KVA_OK || !bindings->machine.can_choose)
        return status;
    if (!kva_port_plan_binding(bindings, range.start, range.end, nodes))
        return kva_port_why_refused(&reservation->budget);
    if (!has_room_for_plan(reservation, nodes))
        return KVA_ELIMIT;
    status = kva_port_bind_as_planned(bindings, range.start, range.end, nodes, calls);
    if (status == KVA_ENOMEM)
        return kva_port_why_refused(&reservation->budget);
    if (status == KVA_OK)
        fence_vanished(reservation, &bindings->next); /* the old list */
    note_binding_ends(reservation, before);
    return status;
}

static struct addresses addresses_of(const struct reservation *reservation, struct run run)
{
    uintptr_t start = (uintptr_t)run_address(reservation, run);

    return (struct addresses){start, start + run_bytes(reservation, run)};
}

/** Bind the lost pieces of a gap, for the bindings that overlap `part`. */
static bool regain(struct reservation *reservation, struct run gap, struct run part)
{
    uint64_t before = binding_ends(&reservation->bindings);
    bool all = kva_port_regain(&reservation->bindings, addresses_of(reservation, gap),
                               addresses_of(reservation, part), &reservation->stats.calls.nodes);

    note_binding_ends(reservation, before);
    return all;
}

enum kva_status kva_port_regain_run(struct reservation *reservation, struct run run)
{
    const struct run gap = {row_last_end(&reservation->rows, ROW_USED, true, 0, run.from),
                            row_first(&reservation->rows, ROW_USED, run.end, reservation->pages)};

    return regain(reservation, gap, run) ? KVA_OK : kva_port_why_refused(&reservation->budget);
}

void kva_port_regain_all(struct reservation *reservation)
{
    bool all = true;

    for (struct run gap = {0, 0}; gap.from < reservation->pages; gap.from = gap.end) {
        gap.end = row_end_of_run(&reservation->rows, ROW_USED, gap.from, reservation->pages);
        if (!row_bit(&reservation->rows, ROW_USED, gap.from))
            all = regain(reservation, gap, gap) && all;
    }
    uint64_t before = binding_ends(&reservation->bindings);
    if (all)
        kva_port_regained_all(&reservation->bindings);
    note_binding_ends(reservation, before);
}
