/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Looking at an instance: find, iterate, count, check. Nothing here changes it. */
#include "vm.h"

/* --------------------------------------------------------------------------------------- find and iterate */

struct kva_descriptor *kva_area_around(const struct kva_vm *vm, uintptr_t address)
{
    struct kva_segment segment;

    if (kva_find(vm->space, address, &segment) != KVA_OK || segment.state == KVA_FREE)
        return NULL;
    return *table_slot(vm, (uintptr_t)segment.start);
}

/** What kva_map_ram and the library keep in `owner` is no user's. */
static bool has_owner(const struct kva_descriptor *area)
{
    return state_of(area) == KVA_VM_LIVE && (area->kind == KVA_VM_VMALLOC || area->kind == KVA_VM_VMAP);
}

static bool is_freed(const struct kva_descriptor *area)
{
    return state_of(area) != KVA_VM_LIVE && area->kind != KVA_VM_RAM;
}

void kva_describe_area(const struct kva_vm *vm, const struct kva_descriptor *area, struct kva_vm_area *out)
{
    *out = (struct kva_vm_area){
        .start = area->start,
        .last = area->start + (area_bytes(vm, area) - 1),
        .guard = (uintptr_t)bytes_of_pages(vm, area->guard),
        .size = area->size,
        .pages = area->pages,
        .kind = (enum kva_vm_kind)area->kind,
        .state = state_of(area),
        .flags = area->flags,
        .caller = area->caller,
        .freed_by = is_freed(area) ? area->owner : NULL,
        .owner = has_owner(area) ? area->owner : NULL,
    };
}

enum kva_status kva_vm_find(const struct kva_vm *vm, const void *address, struct kva_vm_area *area)
{
    if (!vm)
        return KVA_ENULL;
    if (!area)
        return kva_report_misuse(&vm->ledger.hooks, KVA_ENULL, __func__, 0);
    const struct kva_descriptor *found = kva_area_around(vm, (uintptr_t)address);
    if (!found)
        return KVA_ENOENT;
    if (found->kind == KVA_VM_BLOCK) {
        const struct kva_descriptor *map = kva_ram_map_around(vm, found, (uintptr_t)address);
        found = map ? map : found;
    }
    kva_describe_area(vm, found, area);
    return KVA_OK;
}

/** The first area whose segment begins at or behind an address; NULL if there is none. */
static const struct kva_descriptor *area_from(const struct kva_vm *vm, uint64_t address)
{
    struct kva_segment segment;

    enum kva_status status = kva_find(vm->space, address, &segment);
    while (status == KVA_OK && (segment.state == KVA_FREE || segment.start < address))
        status = kva_next(vm->space, &segment);
    return status == KVA_OK ? *table_slot(vm, (uintptr_t)segment.start) : NULL;
}

/** In a block, the area that follows `area`, which is the block itself or a map in it. NULL behind the last. */
static const struct kva_descriptor *next_in_block(const struct kva_vm *vm, const struct kva_vm_area *area)
{
    const struct kva_descriptor *around = kva_area_around(vm, area->start);

    if (!around || around->kind != KVA_VM_BLOCK)
        return NULL;
    return kva_ram_map_from(vm, around, area->kind == KVA_VM_RAM ? area->last + 1 : area->start);
}

/** Where the segment ends that an area lies in. */
static uint64_t end_of_segment(const struct kva_vm *vm, const struct kva_vm_area *area)
{
    const struct kva_descriptor *around = kva_area_around(vm, area->start);

    if (around && around->start <= area->start)
        return around->start + segment_bytes(vm, around);
    return area->last + 1 + area->guard;
}

enum kva_status kva_vm_next(const struct kva_vm *vm, struct kva_vm_area *area)
{
    if (!vm)
        return KVA_ENULL;
    if (!area)
        return kva_report_misuse(&vm->ledger.hooks, KVA_ENULL, __func__, 0);
    bool begins = area->pages == 0;
    const struct kva_descriptor *next = begins ? NULL : next_in_block(vm, area);
    if (!next)
        next = area_from(vm, begins ? vm->first : end_of_segment(vm, area));
    if (!next)
        return KVA_ENOENT;
    kva_describe_area(vm, next, area);
    return KVA_OK;
}

/* --------------------------------------------------------------------------------------------- statistics */

static void count_states(const struct kva_vm *vm, struct kva_vm_stats *stats)
{
    stats->later_areas = vm->later.areas;
    stats->later_bytes = vm->later.bytes;
    stats->cached_areas = vm->cached.areas;
    stats->cached_bytes = vm->cached.bytes;
    stats->parked_areas = vm->parked.areas;
    stats->parked_bytes = vm->parked.bytes;
    stats->quarantined_areas = vm->quarantined.areas;
    stats->quarantined_bytes = vm->quarantined.bytes;
    stats->live_areas =
        vm->all.areas - vm->later.areas - vm->cached.areas - vm->parked.areas - vm->quarantined.areas;
    stats->live_bytes =
        vm->all.bytes - vm->later.bytes - vm->cached.bytes - vm->parked.bytes - vm->quarantined.bytes;
}

enum kva_status kva_vm_stats_read(const struct kva_vm *vm, struct kva_vm_stats *stats)
{
    struct kva_stats space;

    if (!vm)
        return KVA_ENULL;
    if (!stats)
        return kva_report_misuse(&vm->ledger.hooks, KVA_ENULL, __func__, 0);
    *stats = (struct kva_vm_stats){
        .reserve_first = vm->first,
        .reserve_last = vm->first + (vm->bytes - 1),
        .allocations = vm->hits + vm->slow_allocations,
        .frees = vm->frees,
        .cache_hits = vm->hits,
        .cache_misses = vm->misses,
        .purges = vm->purges,
        .purged_runs = vm->purged_runs,
        .retries = vm->retries,
        .grown_in_place = vm->grown,
        .moved = vm->moved,
        .table_bytes = vm->table_bytes + vm->frame_at_bytes,
    };
    count_states(vm, stats);
    kva_ram_stats(vm, stats);
    for (const struct kva_frames *frames = vm->pools; frames; frames = frames->next)
        stats->frames_taken += frames->taken;
    (void)kva_stats_read(vm->space, &space);
    stats->memory_bytes = sizeof *vm + vm->ledger.memory_bytes + space.memory_bytes;
    vm->pages.stats(vm->pages.context, vm->stretch, &stats->pages);
    return KVA_OK;
}

/* -------------------------------------------------------------------------------------------------- check */

/** What a walk over the segments finds, to be held against the counts. */
struct walk {
    struct kva_count all;
    struct kva_count state[KVA_VM_QUARANTINED + 1];
};

static bool same_count(const struct kva_count *a, const struct kva_count *b)
{
    return a->areas == b->areas && a->bytes == b->bytes;
}

static bool is_part_right(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    bool private_memory = area->kind == KVA_VM_VMALLOC || area->kind == KVA_VM_PCPU;

    return private_memory == !is_in_frames_part(vm, area->start);
}

static const char *check_segment(const struct kva_vm *vm, const struct kva_segment *segment,
                                 struct walk *walk)
{
    const struct kva_descriptor *area = *table_slot(vm, (uintptr_t)segment->start);

    if (!area || area->start != segment->start)
        return "V1: a segment has no descriptor";
    if (segment_bytes(vm, area) != segment->last - segment->start + 1)
        return "V1: a segment is not as long as its area and its guard";
    if ((segment->state == KVA_DEFERRED) != (area->state == KVA_VM_PARKED))
        return "V2: a deferred segment's area is not parked, or a parked one's is not deferred";
    if (area->state > KVA_VM_RESIZING || !is_part_right(vm, area))
        return "V5: an area lies in the wrong part of the reserve";
    count_in(&walk->all, area_bytes(vm, area));
    count_in(&walk->state[state_of(area)], area_bytes(vm, area));
    return area->kind == KVA_VM_BLOCK ? kva_ram_check(vm, area) : NULL;
}

/** A bin: whether each area in it belongs there. Ends with the first that does not, so a ring is not walked for ever. */
static bool is_bin_right(const struct kva_bin *bin, size_t i, uint64_t most)
{
    for (const struct kva_descriptor *area = bin->head; area; area = area->next) {
        if (bin_of(area->pages) != i || most-- == 0)
            return false;
    }
    return true;
}

/** The bins, or the parked list: whether the areas in it are of one state, and as many as were counted. */
static bool check_list(const struct kva_vm *vm, const struct kva_descriptor *list, enum kva_vm_state state,
                       uint64_t most, struct kva_count *count)
{
    for (; list; list = list->next) {
        if (list->state != state || count->areas > most)
            return false;
        count_in(count, area_bytes(vm, list));
    }
    return true;
}

static const char *check_lists(const struct kva_vm *vm, const struct walk *walk)
{
    struct kva_count cached = {0, 0};
    struct kva_count parked = {0, 0};

    for (size_t i = 0; i < KVA_VM_BINS; i++) {
        if (!is_bin_right(&vm->bin[i], i, vm->all.areas))
            return "V3: a cached area lies in another's bin";
        if (!check_list(vm, vm->bin[i].head, KVA_VM_CACHED, vm->all.areas, &cached))
            return "V3: a bin holds what is not cached";
    }
    if (!same_count(&cached, &walk->state[KVA_VM_CACHED]))
        return "V3: the bins do not hold all that is cached";
    if (!check_list(vm, vm->parked_list, KVA_VM_PARKED, vm->all.areas, &parked) ||
        !same_count(&parked, &walk->state[KVA_VM_PARKED]))
        return "V2: the parked list does not hold all that is parked";
    return NULL;
}

static const char *check_counts(const struct kva_vm *vm, const struct walk *walk)
{
    bool right = same_count(&vm->all, &walk->all) && same_count(&vm->later, &walk->state[KVA_VM_LATER]) &&
                 same_count(&vm->cached, &walk->state[KVA_VM_CACHED]) &&
                 same_count(&vm->parked, &walk->state[KVA_VM_PARKED]) &&
                 same_count(&vm->quarantined, &walk->state[KVA_VM_QUARANTINED]);

    return right ? NULL : "V4: the counts are not what a walk finds";
}

/** How many live maps show frames of a pool, page by page; each of them lies in a live area of maps. */
static uint64_t live_map_pages(const struct kva_vm *vm, const struct kva_frames *frames)
{
    struct kva_vm_area area = {0};
    uint64_t pages = 0;

    while (kva_vm_next(vm, &area) == KVA_OK) {
        bool is_map = area.kind == KVA_VM_VMAP || area.kind == KVA_VM_RAM;
        if (is_map && area.state == KVA_VM_LIVE && area_at(vm, area.start)->of == frames)
            pages += area.pages;
    }
    return pages;
}

static const char *check_frames(const struct kva_vm *vm)
{
    for (const struct kva_frames *frames = vm->pools; frames; frames = frames->next) {
        uint64_t uses = 0;
        uint64_t taken = 0;
        for (uint64_t i = 0; i < frames->count && taken < frames->taken; i++) {
            taken += frames->uses[i] != 0;
            uses += frames->uses[i] != 0 ? frames->uses[i] - 1 : 0;
        }
        if (taken != frames->taken || uses != live_map_pages(vm, frames))
            return "V7: the frames' counts are not those of the live maps";
    }
    return NULL;
}

static const char *check_all(const struct kva_vm *vm, uint64_t *at)
{
    struct walk walk = {0};
    struct kva_segment segment;
    const char *broken = NULL;

    for (enum kva_status status = kva_first(vm->space, &segment); status == KVA_OK && !broken;
         status = kva_next(vm->space, &segment)) {
        if (segment.state == KVA_FREE)
            continue;
        *at = segment.start;
        broken = check_segment(vm, &segment, &walk);
    }
    if (broken)
        return broken;
    *at = vm->first;
    broken = check_lists(vm, &walk);
    if (!broken)
        broken = kva_ram_check_index(vm);
    if (!broken)
        broken = check_counts(vm, &walk);
    return broken ? broken : check_frames(vm);
}

enum kva_status kva_vm_check(const struct kva_vm *vm, struct kva_fault *fault)
{
    uint64_t at = 0;

    if (!vm)
        return KVA_ENULL;
    enum kva_status status = kva_space_check(vm->space, fault);
    if (status != KVA_OK)
        return status;
    const char *broken = check_all(vm, &at);
    if (!broken)
        return KVA_OK;
    if (fault)
        *fault = (struct kva_fault){KVA_ECORRUPT, __func__, broken, at};
    return KVA_ECORRUPT;
}
