/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Freeing whatever is busy in a range, and taking a range whatever is busy in it.
 *
 *                      start                                last
 *      |====== A ======|=====|  free  |== B ==|  deferred  |=====|=== C ===|
 *      |====== A ======|         free         |  deferred  |free |=== C ===|      kva_clear
 *
 * At most two busy segments are CUT, those that the range's ends lie in; all others are freed whole, which
 * takes no memory. So what may be needed is known beforehand, and at hand before the first change. Then
 * nothing can fail, and the changes are hidden from lookups without the lock until all are made.
 *
 * WITH POOLS. An object can be given back with its CPU's lock alone, and lookups find it by its own word. So
 * all CPUs' locks are held here, and no lookup is under way then: each takes one of them. kva_clear gives
 * objects that lie in the range back to their spans, and needs no drain. kva_reserve_over needs the range in
 * the tree: it drains the pools and makes ordinary segments of what objects are left in the range, which
 * no caller can tell; if there is no memory for that, it returns KVA_ENOMEM.
 */
#include <kva/ranges.h>

#include "defer.h"
#include "verify.h"

/* ------------------------------------------------------------------------------------ the ends of a range */

/** Whether a busy segment begins before `at` and goes on there: to divide things at `at` cuts it. */
static bool is_cut_before(const struct kva_space *space, uint64_t at, struct kva_segment *segment)
{
    kva_lookup(space, at, segment);
    return segment->state == KVA_BUSY && segment->start < at;
}

/** The same for the address after `last`. */
static bool is_cut_after(const struct kva_space *space, uint64_t last, struct kva_segment *segment)
{
    kva_lookup(space, last, segment);
    return segment->state == KVA_BUSY && segment->last > last;
}

/** Prepare to cut the busy segments that reach out of [start, last]: they are ordinary ones then, and the
 *  memory is at hand. KVA_OK; KVA_ENOMEM. With all CPUs' locks. */
static enum kva_status prepare_cuts(struct kva_space *space, uint64_t start, uint64_t last)
{
    struct kva_segment first;
    struct kva_segment second;
    enum kva_status status = KVA_OK;
    bool before = is_cut_before(space, start, &first);
    bool after = is_cut_after(space, last, &second);

    if (before)
        status = leave_pool(space, first.start);
    if (after && status == KVA_OK) /* they may be the same: then it has left already */
        status = leave_pool(space, second.start);
    return (before || after) && status == KVA_OK ? space->map->engine->prepare(space->map, 1) : status;
}

/* ------------------------------------------------------------------------------------------------- clear */

struct clearing {
    uint64_t start;
    uint64_t last;
    uint64_t bytes;     /* that were busy. No range has 2^64 */
    void *owner;        /* of what takes their place */
    struct kva_bad bad; /* written only with a status that is the caller's bug */
};

/** Free the part of a busy segment that begins at `start` and ends at `last`. It is whole, or an ordinary
 *  segment. */
static void free_piece(struct kva_space *space, const struct kva_segment *segment, uint64_t start,
                       uint64_t last)
{
    struct kva_object object;

    if (kva_pool_object(space, start, &object))
        (void)kva_pool_release(space, &object);
    else
        (void)kva_core_free_part(space->map, segment, start, last);
}

/** Free what is busy in [start, last], objects of pools among it, with the memory for it at hand; how many
 *  bytes that was. */
static uint64_t free_with_objects(struct kva_space *space, uint64_t start, uint64_t last)
{
    struct kva_segment segment;
    uint64_t bytes = 0;

    for (uint64_t at = start;; at = segment.last + 1) {
        kva_lookup(space, at, &segment);
        uint64_t end = min_u64(segment.last, last);
        if (segment.state == KVA_BUSY) {
            bytes += end - at + 1;
            free_piece(space, &segment, at, end);
            sync_point(threads_of(space));
        }
        if (segment.last >= last)
            return bytes;
    }
}

/** With pools, there is no compound: spans that objects go back to hide their own changes, and no lookup is
 *  under way. */
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

/** The way in of both calls. */
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

/** The way out. */
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
    (void)clear(space, &all); /* nothing reaches out of it: so there is nothing to cut */
    kva_pools_give_back(space);
    verify_change(space, __func__, all.start);
    return leave(space, KVA_OK);
}

/* ------------------------------------------------------------------------------------------ reserve over */

/** Whether the tree has something deferred in [start, last]. */
static bool is_deferred_in(const struct kva_address_map *map, uint64_t start, uint64_t last)
{
    struct kva_segment segment;

    core_find(map, start, &segment);
    bool found = segment.state == KVA_DEFERRED;
    for (unsigned epoch = 0; epoch < KVA_EPOCHS && !found; epoch++)
        found = map->engine->next_deferred(map, epoch, start, last, &segment) == KVA_OK;
    return found;
}

/** What in [start, last] does not give way to a range that is taken over it: KVA_EAGAIN if something is
 *  deferred, KVA_ENOSPC if a drain has left something in a pool. */
static enum kva_status find_unyielding(const struct kva_space *space, uint64_t start, uint64_t last)
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

/** Two changes may add a busy segment: the punch, if the range lies inside one segment, and the
 *  occupation. */
static enum kva_status prepare_over(struct kva_space *space, const struct clearing *clearing)
{
    struct kva_address_map *map = space->map;
    struct kva_segment segment;

    core_find(map, clearing->start, &segment);
    bool inside =
        segment.state == KVA_BUSY && segment.start < clearing->start && segment.last > clearing->last;
    return map->engine->prepare(map, inside ? 2 : 1);
}

/** With all CPUs' locks, and the pools drained. Another thread may have taken part of the range away from the
 *  space during a flush. */
static enum kva_status attempt_over(void *instance, void *operation)
{
    struct kva_space *space = instance;
    struct clearing *clearing = operation;
    enum kva_status status =
        kva_range_present(space->map, clearing->start, clearing->last, &kva_range_plain, &clearing->bad);

    if (status == KVA_OK)
        status = find_unyielding(space, clearing->start, clearing->last);
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
    if (status == KVA_EAGAIN) { /* once: others could defer there for ever */
        (void)kva_flush_all(space);
        status = kva_attempt_drained(space, attempt_over, &clearing);
    }
    return leave_clearing(space, __func__, &clearing, status, bytes);
}
