/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Giving areas back: at once into the cache, later in batches.
 *
 *      kva_vfree
 *        |-- a common size, and room for it ---> its bin           nothing else happens
 *        |                                        | another size needs the room
 *        |-- otherwise -----------> parked <------+               the space's deferred segments
 *        |                            | more than the limit, or asked for
 *        |                            v
 *        |                          PURGE   sort by address, merge neighbours, one call for each run
 *        |
 *        +-- hardened ---> unmapped at once ---> quarantine ---> free, first in, first out
 *
 * Merging pays because freed areas come in clusters, and because the guard pages between neighbours belong to their
 * segments: a run of a thousand parked areas is one range.
 */
#include "vm.h"

/* ------------------------------------------------------------------------------------------------ helpers */

void kva_close_range(struct kva_vm *vm, uint64_t start, uint64_t bytes)
{
    unpoison((void *)(uintptr_t)start, (size_t)bytes);
    if (is_in_frames_part(vm, start))
        vm->pages.unmap(vm->pages.context, vm->stretch, start, bytes);
    else
        vm->pages.close(vm->pages.context, vm->stretch, start, bytes);
}

static void remember(struct kva_vm *vm, const struct kva_descriptor *area)
{
    vm->past[vm->past_next] = (struct kva_past){
        .start = area->start,
        .bytes = area_bytes(vm, area),
        .guard = (size_t)bytes_of_pages(vm, area->guard),
        .caller = area->caller,
        .freed_by = area->owner,
    };
    vm->past_next = (vm->past_next + 1) % KVA_VM_HISTORY;
}

void kva_forget_area(struct kva_vm *vm, struct kva_descriptor *area)
{
    *table_slot(vm, area->start) = NULL;
    count_out(&vm->all, area_bytes(vm, area));
    kva_nodes_push(&vm->areas, area);
}

void kva_drop_area(struct kva_vm *vm, struct kva_descriptor *area)
{
    kva_close_range(vm, area->start, segment_bytes(vm, area));
    (void)kva_free(vm->space, area->start);
    vm->slow_allocations -= is_counted(area->kind);
    kva_forget_area(vm, area);
}

/* -------------------------------------------------------------------------------------------------- purge */

/** Merge two lists that are sorted by address. */
static struct kva_descriptor *merge(struct kva_descriptor *a, struct kva_descriptor *b)
{
    struct kva_descriptor *head = NULL;
    struct kva_descriptor **tail = &head;

    while (a && b) {
        struct kva_descriptor **lower = a->start < b->start ? &a : &b;
        *tail = *lower;
        tail = &(*tail)->next;
        *lower = *tail;
    }
    *tail = a ? a : b;
    return head;
}

/** Sort a list by address, as one counts in binary: list[i] is empty or holds 2^i sorted areas, and a new one is carried
 *  upwards. 32 of them hold more areas than there are pages. */
static struct kva_descriptor *sort(struct kva_descriptor *list)
{
    struct kva_descriptor *sorted[32] = {NULL};
    unsigned i;

    while (list) {
        struct kva_descriptor *carry = list;
        list = list->next;
        carry->next = NULL;
        for (i = 0; i < 31 && sorted[i]; i++) {
            carry = merge(sorted[i], carry);
            sorted[i] = NULL;
        }
        sorted[i] = merge(sorted[i], carry);
    }
    for (i = 0; i < 32; i++)
        list = merge(sorted[i], list);
    return list;
}

/** The first area that does not continue the run that begins with `area`; *bytes is the run's length. The two parts of
 *  the reserve are closed in different ways, so no run reaches over both. */
static struct kva_descriptor *end_of_run(const struct kva_vm *vm, const struct kva_descriptor *area,
                                         uint64_t *bytes)
{
    uint64_t end = area->start + segment_bytes(vm, area);
    struct kva_descriptor *next = area->next;

    while (next && next->start == end && next->start != vm->frames_first) {
        end += segment_bytes(vm, next);
        next = next->next;
    }
    *bytes = end - area->start;
    return next;
}

/** Drop what was parked from `area` up to, not including, `end`; its pages are closed. */
static void forget_run(struct kva_vm *vm, struct kva_descriptor *area, const struct kva_descriptor *end)
{
    while (area != end) {
        struct kva_descriptor *next = area->next;
        count_out(&vm->parked, area_bytes(vm, area));
        remember(vm, area);
        kva_forget_area(vm, area);
        area = next;
    }
}

void kva_purge_parked(void *context, uint64_t start, uint64_t last)
{
    struct kva_vm *vm = context;
    struct kva_descriptor *area = sort(vm->parked_list);

    (void)start;
    (void)last;
    vm->parked_list = NULL;
    vm->purges++;
    while (area) {
        uint64_t bytes;
        struct kva_descriptor *next = end_of_run(vm, area, &bytes);
        kva_close_range(vm, area->start, bytes);
        vm->purged_runs++;
        forget_run(vm, area, next);
        area = next;
    }
}

/* ----------------------------------------------------------------------------------------------- retiring */

static void park(struct kva_vm *vm, struct kva_descriptor *area)
{
    size_t bytes = area_bytes(vm, area);

    area->state = KVA_VM_PARKED;
    area->next = vm->parked_list;
    vm->parked_list = area;
    count_in(&vm->parked, bytes);
    poison(memory_of(area), bytes);
    (void)kva_free_deferred(vm->space, area->start); /* may purge, and then the area is gone */
}

static void leave_quarantine(struct kva_vm *vm)
{
    struct kva_descriptor *area = vm->quarantine.head;

    vm->quarantine.head = area->next;
    if (!area->next)
        vm->quarantine.tail = &vm->quarantine.head;
    vm->quarantine_held -= segment_bytes(vm, area);
    count_out(&vm->quarantined, area_bytes(vm, area));
    (void)kva_free(vm->space, area->start);
    remember(vm, area);
    kva_forget_area(vm, area);
}

/** Hardened: unmap an area now, and keep its addresses out of use until as many bytes as the limit were freed after it. */
static void lock_away(struct kva_vm *vm, struct kva_descriptor *area)
{
    kva_close_range(vm, area->start, segment_bytes(vm, area));
    area->state = KVA_VM_QUARANTINED;
    area->next = NULL;
    *vm->quarantine.tail = area;
    vm->quarantine.tail = &area->next;
    vm->quarantine_held += segment_bytes(vm, area);
    count_in(&vm->quarantined, area_bytes(vm, area));
    while (vm->quarantine.head &&
           vm->quarantine_held - segment_bytes(vm, vm->quarantine.head) >= vm->quarantine_limit)
        leave_quarantine(vm);
}

static void discard(struct kva_vm *vm, struct kva_descriptor *area)
{
    if (vm->hardened)
        lock_away(vm, area);
    else
        park(vm, area);
}

/** The bin other than `own` that no area has come into for longest; NULL if all others are empty. */
static struct kva_bin *coldest_bin(struct kva_vm *vm, const struct kva_bin *own)
{
    struct kva_bin *coldest = NULL;

    for (size_t i = 0; i < KVA_VM_BINS; i++) {
        struct kva_bin *bin = &vm->bin[i];
        if (bin != own && bin->head && (!coldest || bin->used < coldest->used))
            coldest = bin;
    }
    return coldest;
}

/** Make room in the cache for an area: park what is in the coldest bins, so that sizes that are no longer asked for make way
 *  for those that are. Fails when the area's own bin would have to give. */
static bool make_room(struct kva_vm *vm, const struct kva_descriptor *area)
{
    size_t bytes = area_bytes(vm, area);

    if (bytes > vm->cache_limit)
        return false;
    while (vm->cached.bytes > vm->cache_limit - bytes) {
        struct kva_bin *coldest = coldest_bin(vm, &vm->bin[bin_of(area->pages)]);
        if (!coldest)
            return false;
        while (coldest->head && vm->cached.bytes > vm->cache_limit - bytes)
            park(vm, cache_pop(vm, &coldest->head));
    }
    return true;
}

void kva_retire_area(struct kva_vm *vm, struct kva_descriptor *area, const void *by)
{
    vm->frees += is_counted(area->kind);
    area->owner = (void *)(uintptr_t)by;
    if (is_cacheable(vm, area) && make_room(vm, area))
        cache_push(vm, area, by);
    else
        discard(vm, area);
}

static void park_cache(struct kva_vm *vm)
{
    for (size_t i = 0; i < KVA_VM_BINS; i++) {
        while (vm->bin[i].head)
            park(vm, cache_pop(vm, &vm->bin[i].head));
    }
}

/** All is parked before anything is purged, so that as much as possible is merged. */
bool kva_purge_idle(struct kva_vm *vm)
{
    bool any = vm->cached.areas > 0 || vm->quarantine.head;

    (void)kva_set_deferred_limit(vm->space, UINT64_MAX);
    park_cache(vm);
    any = kva_ram_flush(vm) || any;
    any = vm->parked.areas > 0 || any;
    (void)kva_set_deferred_limit(vm->space, vm->lazy_limit);
    (void)kva_flush(vm->space);
    while (vm->quarantine.head)
        leave_quarantine(vm);
    return any;
}

/* --------------------------------------------------------------------------------------------------- free */

/** Why no live area starts at an address inside the reserve. */
static enum kva_status why_not(const struct kva_vm *vm, uintptr_t address)
{
    const struct kva_descriptor *area = kva_area_around(vm, address);

    if (area && area->kind == KVA_VM_BLOCK) {
        area = kva_ram_map_around(vm, area, address);
        if (!area)
            return KVA_EDOUBLE; /* a part of the block that is mapped for nobody */
    }
    if (!area)
        return KVA_EDOUBLE;
    if (area->state == KVA_VM_RESIZING && area->start == address)
        return KVA_EREENTRY;
    switch ((enum kva_vm_state)state_of(area)) {
    case KVA_VM_LATER:
    case KVA_VM_PARKED:
    case KVA_VM_QUARANTINED:
        return KVA_EDEFERRED;
    case KVA_VM_CACHED:
        return KVA_EDOUBLE;
    case KVA_VM_LIVE:
        break;
    }
    return area->start == address ? KVA_EINVAL : KVA_EINTERIOR;
}

struct kva_descriptor *kva_live_area(const struct kva_vm *vm, const void *memory, enum kva_vm_kind kind,
                                     enum kva_status *status)
{
    uintptr_t address = (uintptr_t)memory;
    struct kva_descriptor *area = area_at(vm, address);

    if (area && area->state == KVA_VM_LIVE && area->kind == kind)
        return area;
    *status = is_in_reserve(vm, address) ? why_not(vm, address) : KVA_EUNKNOWN;
    return NULL;
}

enum kva_status kva_vfree(struct kva_vm *vm, void *memory)
{
    enum kva_status status = KVA_ENULL;

    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return KVA_OK;
    if (has_ready(vm))
        kva_free_ready(vm);
    struct kva_descriptor *area = kva_live_area(vm, memory, KVA_VM_VMALLOC, &status);
    if (!area)
        return refuse(vm, status, __func__, (uintptr_t)memory);
    if (is_cacheable(vm, area) && vm->cached.bytes + area_bytes(vm, area) <= vm->cache_limit) {
        vm->frees++;
        cache_push(vm, area, CALLER());
        return KVA_OK;
    }
    kva_retire_area(vm, area, CALLER());
    return KVA_OK;
}

/** Whether areas of a kind are handed out by their start. A per-CPU area is not, only objects in it. */
static bool is_handed_out(unsigned kind)
{
    return kind == KVA_VM_VMALLOC || kind == KVA_VM_VMAP || kind == KVA_VM_RAM;
}

size_t kva_vm_usable_size(const struct kva_vm *vm, const void *memory)
{
    const struct kva_descriptor *area = vm ? area_at(vm, (uintptr_t)memory) : NULL;

    if (!area || state_of(area) != KVA_VM_LIVE || !is_handed_out(area->kind))
        return 0;
    return usable_bytes(vm, area);
}
