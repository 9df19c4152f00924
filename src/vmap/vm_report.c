/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** kva_vm_report: a line for each area, and the totals. */
#include "vm_words.h"

static const char *const kind_names[] = {"vmalloc", "vmap", "map_ram", "percpu"};
static const char *const state_names[] = {"live", "later", "cached", "parked", "quarantined"};

static void put_range(struct kva_text *text, const struct kva_vm_area *area)
{
    text_put_hex(text, area->start, KVA_ADDRESS_DIGITS);
    text_put(text, "-");
    text_put_hex(text, area->last + area->guard, KVA_ADDRESS_DIGITS);
}

static void put_nodes(struct kva_text *text, const struct kva_vm_nodes *nodes)
{
    static const char *const policies[] = {"any", "preferred", "bound", "interleaved"};

    if (nodes->policy == KVA_VM_NODES_ANY)
        return;
    text_put(text, " nodes ");
    text_put(text, policies[nodes->policy]);
    text_put(text, " ");
    text_put_hex(text, nodes->set, 1);
}

static void put_area(struct kva_text *text, const struct kva_vm *vm, const struct kva_vm_area *area)
{
    put_range(text, area);
    text_put(text, " ");
    text_put_decimal(text, area->size);
    text_put(text, " ");
    put_code(text, vm, area->caller);
    text_put(text, " pages=");
    text_put_decimal(text, area->pages);
    text_put(text, " ");
    text_put(text, kind_names[area->kind]);
    text_put(text, " ");
    text_put(text, state_names[area->state]);
    if (area->flags & KVA_VM_HUGE)
        text_put(text, " huge");
    if (area->flags & KVA_VM_ZERO)
        text_put(text, " zero");
    if (area->flags & KVA_VM_FOREIGN)
        text_put(text, " foreign");
    if (area->failed_unmap)
        text_put(text, " failed-unmap");
    put_nodes(text, &area->node);
    if (area->owner) {
        text_put(text, " owner ");
        text_put_hex(text, (uintptr_t)area->owner, KVA_ADDRESS_DIGITS);
    }
}

static void put_total(struct kva_text *text, uint64_t areas, const char *what, uint64_t bytes)
{
    text_put_decimal(text, areas);
    text_put(text, what);
    text_put_decimal(text, bytes);
    text_put(text, " bytes");
}

static void put_totals(struct kva_text *text, const struct kva_vm_stats *stats)
{
    text_put(text, "total: ");
    put_total(text, stats->live_areas, stats->live_areas == 1 ? " live area, " : " live areas, ",
              stats->live_bytes);
    text_put(text, "; ");
    put_total(text, stats->cached_areas, " cached, ", stats->cached_bytes);
    text_put(text, "; ");
    put_total(text, stats->parked_areas, " parked, ", stats->parked_bytes);
    if (stats->later_areas > 0) {
        text_put(text, "; ");
        put_total(text, stats->later_areas, " later, ", stats->later_bytes);
    }
    if (stats->quarantined_areas > 0) {
        text_put(text, "; ");
        put_total(text, stats->quarantined_areas, " quarantined, ", stats->quarantined_bytes);
    }
}

enum kva_status kva_vm_report(const struct kva_vm *vm, kva_dump_line *line, void *context)
{
    struct kva_line_writer writer = {.line = line, .context = context};
    struct kva_vm_area area = {0};
    struct kva_vm_stats stats;

    if (!vm)
        return KVA_ENULL;
    if (!line)
        return refuse_look(vm, __func__, "line");
    while (kva_vm_next(vm, &area) == KVA_OK) {
        line_begin(&writer);
        put_area(&writer.text, vm, &area);
        line_end(&writer);
    }
    (void)kva_vm_stats_read(vm, &stats);
    line_begin(&writer);
    put_totals(&writer.text, &stats);
    line_end(&writer);
    return KVA_OK;
}
