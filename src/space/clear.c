/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva_clear frees all busy addresses of a range; kva_reserve_over also takes the range.
 *
 *                      start                                last
 *      |====== A ======|=====|  free  |== B ==|  deferred  |=====|=== C ===|
 *      |====== A ======|         free         |  deferred  |free |=== C ===|      kva_clear
 *
 * At most two busy segments are CUT: those that hold the ends of the range. All others are freed whole, which
 * takes no memory. So the memory is prepared before the first change, no change can fail, and lock-free
 * lookups see all changes or none.
 *
 * WITH POOLS, an object can be freed under a CPU's lock alone, and lookups read its own state. So both calls
 * hold all CPUs' locks. No lock-free lookup runs meanwhile, because each holds a CPU's lock. kva_clear frees
 * objects in the range to their spans, without a drain. kva_reserve_over needs the range in the tree: it
 * drains the pools and moves the objects that are left in the range to the tree, which no caller can observe.
 * If there is no memory for that, it returns KVA_ENOMEM.
 */
#include <kva/ranges.h>

#include "defer.h"
#include "verify.h"

/* ------------------------------------------------------------------------------------ the ends of a range */

/** Whether a boundary below `at` cuts a busy segment; *segment receives the segment that holds `at`. */
static bool is_cut_before(const struct kva_space *space, uint64_t at, struct kva_segment *segment)
{
    kva_lookup(space, at, segment);
    return segment->state == KVA_BUSY && segment->start < at;
}

/** The same for a boundary above `last`. */
static bool is_cut_after(const struct kva_space *space, uint64_t last, struct kva_segment *segment)
{
    kva_lookup(space, last, segment);
    return segment->state == KVA_BUSY && segment->last > last;
}

/** Prepare to cut the busy segments that reach out of [start, last]: move them from the pools to the tree,
 *  and take memory. KVA_OK, KVA_ENOMEM. Requires all CPUs' locks. */
static enum kva_status prepare_cuts(struct kva_space *space, uint64_t start, uint64_t last)
{
    struct kva_segment first;
    struct kva_segment second;
    enum kva_status status = KVA_OK;
    bool before = is_cut_before(space, start, &first);
    bool after = is_cut_after(space, last, &second);

    if (before)
        status = leave_pool(space, first.start);
    if (after && status == KVA_OK) /* it may be the same segment, which has then moved already */
        status = leave_pool(space, second.start);
    return (before || after) && status == KVA_OK ? space->map->engine->prepare(space->map, 1) : status;
}

/* ------------------------------------------------------------------------------------------------- clear */

struct clearing {
    uint64_t start;
    uint64_t last;
    uint64_t bytes;     /* freed; below 2^64, as every range that a caller gives */
    void *owner;        /* of the range that kva_reserve_over takes */
    struct kva_bad bad; /* written only with a status of misuse */
};

/** Free the part [start, last] of a busy segment. Of an object, the part is all of it. */
static void free_part_of(struct kva_space *space, const struct kva_segment *segment, uint64_t start,
                         uint64_t last)
{
    struct kva_object object;

    if (kva_pool_object(space, start, &object))
        (void)kva_pool_free_to_span(space, &object);
    else
        (void)kva_core_free_part(space->map, segment, start, last);
}

/** Free all busy addresses in [start, last], objects of pools included; returns their bytes. Memory is
 *  prepared. */
static uint64_t free_with_objects(struct kva_space *space, uint64_t start, uint64_t last)
{
    struct kva_segment segment;
    uint64_t bytes = 0;

    for (uint64_t at = start;; at = segment.last + 1) {
        kva_lookup(space, at, &segment);
        uint64_t end = min_u64(segment.last, last);
        if (segment.state == KVA_BUSY) {
            bytes += end - at + 1;
            free_part_of(space, &segment, at, end);
            sync_point(threads_of(space));
        }
        if (segment.last >= last)
            return bytes;
    }
}

/** With pools, a compound is not needed: no lock-free lookup runs, and spans that go back to the tree begin
 *  their own. */
static enum kva_status clear_with_pools(struct kva_space *space, struct clearing *clearing)
{
    kva_cpus_take(locks_of(space));
    enum kva_status status = prepare_cuts(space, clearing->start, clearing->last);
    if (status == KVA_OK)
        clearing->bytes = free_with_objects(space, clearing->start, clearing->last);
    kva_cpus_drop(locks_of(space));
    return status;
}

static enum kva_status clear(struct kva_space *space, struct clearing *clearing)
{
    if (pools_of(space))
        return clear_with_pools(space, clearing);
    enum kva_status status = prepare_cuts(space, clearing->start, clearing->last);
    if (status != KVA_OK)
        return status;
    begin_compound(space);
    clearing->bytes = kva_core_clear(space->map, clearing->start, clearing->last, threads_of(space));
    end_compound(space);
    return KVA_OK;
}

/** The entry of both calls. */
static enum kva_status enter_clearing(struct kva_space *space, const char *where, struct clearing *clearing,
                                      uint64_t size)
{
    enum kva_status status = enter_change(space, where);

    if (status != KVA_OK)
        return status;
    status = kva_range_of(space->map->quantum, clearing->start, size, &kva_range_plain, &clearing->last,
                          &clearing->bad);
    if (status == KVA_OK)
        status =
            kva_range_present(space->map, clearing->start, clearing->last, &kva_range_plain, &clearing->bad);
    if (status != KVA_OK)
        return leave(space, misuse_of(space, status, where, clearing->start, &clearing->bad));
    return KVA_OK;
}

/** The exit of both calls. */
static enum kva_status leave_clearing(struct kva_space *space, const char *where,
                                      const struct clearing *clearing, enum kva_status status,
                                      uint64_t *bytes)
{
    if (status == KVA_OK) {
        verify_change(space, where, clearing->start);
        verify_change(space, where, clearing->last);
    }
    if (status == KVA_OK && bytes)
        *bytes = clearing->bytes;
    if (is_misuse(status))
        (void)misuse_of(space, status, where, clearing->start, &clearing->bad);
    return leave(space, status);
}

enum kva_status kva_clear(struct kva_space *space, uint64_t start, uint64_t size, uint64_t *bytes)
{
    struct clearing clearing = {.start = start};
    enum kva_status status = enter_clearing(space, __func__, &clearing, size);

    if (status != KVA_OK)
        return status;
    return leave_clearing(space, __func__, &clearing, clear(space, &clearing), bytes);
}

enum kva_status kva_space_reset(struct kva_space *space)
{
    enum kva_status status = enter_exclusive(space, __func__);

    if (status != KVA_OK)
        return status;
    struct clearing all = {.start = space->map->first, .last = space->map->last};
    (void)kva_flush_all(space);
    (void)clear(space, &all); /* no segment reaches out of it, so nothing is cut */
    kva_pools_give_back(space);
    verify_change(space, __func__, all.start);
    return leave(space, KVA_OK);
}

/* ------------------------------------------------------------------------------------------ reserve over */

/** Whether the tree has a deferred segment in [start, last]. */
static bool is_deferred_in(const struct kva_address_map *map, uint64_t start, uint64_t last)
{
    struct kva_segment segment;

    core_find(map, start, &segment);
    bool found = segment.state == KVA_DEFERRED;
    for (unsigned epoch = 0; epoch < KVA_EPOCHS && !found; epoch++)
        found = map->engine->next_deferred(map, epoch, start, last, &segment) == KVA_OK;
    return found;
}

/** Whether [start, last] can be cleared. KVA_OK; KVA_EAGAIN if part of it is deferred, KVA_ENOSPC if a drain
 *  has left a pooled object there. */
static enum kva_status find_in_the_way(const struct kva_space *space, uint64_t start, uint64_t last)
{
    enum kva_status status = KVA_OK;
    struct kva_segment segment;

    if (!pools_of(space))
        return is_deferred_in(space->map, start, last) ? KVA_EAGAIN : KVA_OK;
    for (uint64_t at = start;; at = segment.last + 1) {
        kva_lookup(space, at, &segment);
        if (segment.state == KVA_DEFERRED)
            return KVA_EAGAIN;
        if (segment.state == KVA_POOLED)
            status = KVA_ENOSPC;
        if (segment.last >= last)
            return status;
    }
}

/** Two changes may add a busy segment: the occupation, and the punch if the range lies inside one segment. */
static enum kva_status prepare_over(struct kva_space *space, const struct clearing *clearing)
{
    struct kva_address_map *map = space->map;
    struct kva_segment segment;

    core_find(map, clearing->start, &segment);
    bool inside =
        segment.state == KVA_BUSY && segment.start < clearing->start && segment.last > clearing->last;
    return map->engine->prepare(map, inside ? 2 : 1);
}

/** Requires all CPUs' locks and drained pools. The range is validated again, because another thread may have
 *  removed part of it from the space during a flush. */
static enum kva_status attempt_over(void *instance, void *operation)
{
    struct kva_space *space = instance;
    struct clearing *clearing = operation;
    enum kva_status status =
        kva_range_present(space->map, clearing->start, clearing->last, &kva_range_plain, &clearing->bad);

    if (status == KVA_OK)
        status = find_in_the_way(space, clearing->start, clearing->last);
    if (status == KVA_OK)
        status = kva_pools_leave(space, clearing->start, clearing->last);
    if (status == KVA_OK)
        status = prepare_over(space, clearing);
    if (status != KVA_OK)
        return status;
    begin_compound(space);
    clearing->bytes = kva_core_clear(space->map, clearing->start, clearing->last, threads_of(space));
    sync_point(threads_of(space));
    (void)core_reserve(space->map, clearing->start, clearing->last, clearing->owner);
    end_compound(space);
    return KVA_OK;
}

enum kva_status kva_reserve_over(struct kva_space *space, uint64_t start, uint64_t size, void *owner,
                                 uint64_t *bytes)
{
    struct clearing clearing = {.start = start, .owner = owner};
    enum kva_status status = enter_clearing(space, __func__, &clearing, size);

    if (status != KVA_OK)
        return status;
    status = kva_attempt_drained(space, attempt_over, &clearing);
    if (status == KVA_EAGAIN) { /* once only: others could defer there for ever */
        (void)kva_flush_all(space);
        status = kva_attempt_drained(space, attempt_over, &clearing);
    }
    return leave_clearing(space, __func__, &clearing, status, bytes);
}
