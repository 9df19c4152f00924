/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Queries: find, iterate, statistics. They do not change the instance. */
#include "vm_look.h"

#include "vm_cache.h"
#include "vm_mapped.h"

/* --------------------------------------------------------------------------------------- find and iterate */

/** Whether the area's owner word is the caller's: in other areas the library uses it. */
static bool has_owner(const struct kva_descriptor *area)
{
    return is_live(area) && (area_kind(area) == KVA_VM_VMALLOC || area_kind(area) == KVA_VM_VMAP);
}

/** Whether the return address of the free is known. An ended map has none. */
static bool has_freed_by(const struct kva_descriptor *area)
{
    return !is_live(area) && state_of(area) != KVA_VM_ENDED;
}

void kva_describe_area(const struct kva_vm *vm, const struct kva_descriptor *area, struct kva_vm_area *out)
{
    *out = (struct kva_vm_area){
        .start = start_of(area),
        .last = start_of(area) + (area_bytes(vm, area) - 1),
        .guard = (uintptr_t)bytes_of_pages(vm, area->guard),
        .size = area->size,
        .pages = area->pages,
        .kind = (enum kva_vm_kind)area_kind(area),
        .state = public_state(area),
        .flags = area->flags,
        .caller = area->caller,
        .freed_by = has_freed_by(area) ? area->by.freed_by : NULL,
        .owner = has_owner(area) ? area->by.owner : NULL,
    };
    if (area->nodes != 0)
        out->node = vm->districts.nodes[area->nodes];
}

/** Describe an area, with all locks held, with what the page source knows. Only its guard can be a failed
 *  unmap: its pages are open. */
static void describe(const struct kva_vm *vm, const struct kva_descriptor *area, struct kva_vm_area *out)
{
    kva_describe_area(vm, area, out);
    out->failed_unmap =
        vm->pages.has_failed_unmap && out->guard > 0 &&
        vm->pages.has_failed_unmap(vm->pages.context, vm->reservation, out->last + 1, out->guard);
}

enum kva_status kva_vm_find(const struct kva_vm *vm, const void *address, struct kva_vm_area *area)
{
    if (!vm)
        return KVA_ENULL;
    if (!area)
        return refuse_look(vm, __func__, "area");
    kva_locks_freeze(&vm->locks);
    const struct kva_descriptor *found = kva_lookup_area(vm, (uintptr_t)address);
    if (found)
        describe(vm, found, area);
    kva_locks_thaw(&vm->locks);
    return found ? KVA_OK : KVA_ENOENT;
}

/** The end of the segment that holds the start of a described area, if there still is one; else of the area
 *  as described. */
static uint64_t end_of(const struct kva_vm *vm, const struct kva_vm_area *area)
{
    const struct kva_descriptor *around = kva_lookup_area(vm, area->start);

    if (around)
        return start_of(around) + segment_bytes(vm, around);
    return area->last + 1 + area->guard;
}

/** The first area after one described before; after NULL, the first of all. */
static enum kva_status describe_next(const struct kva_vm *vm, const struct kva_vm_area *before,
                                     struct kva_vm_area *area)
{
    kva_locks_freeze(&vm->locks);
    const struct kva_descriptor *next = kva_lookup_area_from(vm, before ? end_of(vm, before) : vm->first);
    if (next)
        describe(vm, next, area);
    kva_locks_thaw(&vm->locks);
    return next ? KVA_OK : KVA_ENOENT;
}

enum kva_status kva_vm_first(const struct kva_vm *vm, struct kva_vm_area *area)
{
    if (!vm)
        return KVA_ENULL;
    return area ? describe_next(vm, NULL, area) : refuse_look(vm, __func__, "area");
}

enum kva_status kva_vm_next(const struct kva_vm *vm, struct kva_vm_area *area)
{
    if (!vm)
        return KVA_ENULL;
    if (!area)
        return refuse_look(vm, __func__, "area");
    return describe_next(vm, area->pages == 0 ? NULL : area, area);
}

/* --------------------------------------------------------------------------------------------- statistics */

static void count_area_states(const struct kva_vm *vm, const struct kva_count *cached,
                              struct kva_vm_stats *stats)
{
    stats->later_areas = vm->later.areas;
    stats->later_bytes = vm->later.bytes;
    stats->cached_areas = cached->areas;
    stats->cached_bytes = cached->bytes;
    stats->parked_areas = vm->parked.count.areas;
    stats->parked_bytes = vm->parked.count.bytes;
    stats->quarantined_areas = vm->quarantine.count.areas;
    stats->quarantined_bytes = vm->quarantine.count.bytes;
    stats->ram_live = vm->ended.live;
    stats->ram_parked = vm->ended.count.areas;
    stats->live_areas = vm->all.areas - vm->later.areas - cached->areas - vm->parked.count.areas -
                        vm->quarantine.count.areas - vm->ended.count.areas;
    stats->live_bytes = vm->all.bytes - vm->later.bytes - cached->bytes - vm->parked.count.bytes -
                        vm->quarantine.count.bytes - vm->ended.count.bytes;
}

/** With all locks held, so that the sums are exact. */
static void sum_up(const struct kva_vm *vm, struct kva_vm_stats *stats)
{
    struct kva_vm_cpu_sums sums = kva_cache_sums(vm);

    *stats = (struct kva_vm_stats){
        .reservation_first = vm->first,
        .reservation_last = vm->first + (vm->bytes - 1),
        .allocations = sums.hits + vm->slow_allocations,
        .frees = sums.frees + vm->slow_frees,
        .cache_hits = sums.hits,
        .cache_misses = vm->misses,
        .ram_hits = vm->ended.hits,
        .ram_misses = vm->ended.misses,
        .purges = vm->parked.purges,
        .purged_runs = vm->parked.purged_runs,
        .retries = vm->retries,
        .grown_in_place = vm->grown,
        .moved = vm->moved,
        .districts = vm->districts.count,
        .district_bytes = vm->districts.bytes,
        .table_bytes = (vm->table.taken + vm->numbers.taken) * KVA_VM_PIECE,
    };
    count_area_states(vm, &sums.cached, stats);
    for (const struct kva_vm_frames *frames = vm->frame_sets; frames; frames = frames->next)
        stats->frames_taken += frames->taken;
    stats->memory_bytes = vm->taken_bytes + vm->ledger.bytes + memory_of_places(vm);
    vm->pages.stats(vm->pages.context, vm->reservation, &stats->pages);
}

enum kva_status kva_vm_stats_read(const struct kva_vm *vm, struct kva_vm_stats *stats)
{
    if (!vm)
        return KVA_ENULL;
    if (!stats)
        return refuse_look(vm, __func__, "stats");
    kva_locks_freeze(&vm->locks);
    sum_up(vm, stats);
    kva_locks_thaw(&vm->locks);
    return KVA_OK;
}
