/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Deferred free and flush.
 *
 *      busy --kva_free_deferred--> deferred --flush--> free
 *
 * A flush (of a TLB, an IOTLB, a fence) costs about the same for one range as for many. So freed ranges wait,
 * and one callback serves them all: it receives the range that covers them. The space keeps the covering
 * range, and the engine keeps the deferred ranges.
 *
 * A FLUSH has three stages. One flush runs at a time.
 *
 *   1. It takes the covering range and switches the epoch (KVA_FLUSH_CALLING): ranges that are deferred from
 *      then on wait for the next flush.
 *   2. It calls the callback, without the lock.
 *   3. It frees the ranges of the old epoch (KVA_FLUSH_GIVING), one slice per hold of the lock, so that no
 *      thread waits for all of them.
 *
 *      epoch        0 0 0 0 | 1 1 1 1 1 1 1 1 1 | 0 0
 *      flush 1              |callback|-- 0 -----|
 *      flush 2                                  |callback|-- 1 --|
 *
 * WAITING. Flushes are numbered. A thread that needs room knows the number of the flush that frees all ranges
 * deferred when it began, and works until that one has ended: it begins a flush if there is none, waits while
 * another thread's callback runs, and frees slices itself. The last slice ends the flush, whichever thread
 * frees it. docs/theory/threads.md shows that these waits do not deadlock.
 */
#include "defer.h"

#include "../base/limit.h"
#include "verify.h"

#include <kva/deferred.h>

static void forget_deferred_range(struct kva_space *space)
{
    space->deferred_start = UINT64_MAX;
    space->deferred_last = 0;
}

void kva_defer_init(struct kva_space *space, const struct kva_config *config)
{
    space->reclaim = (struct kva_callbacks){NULL, 0};
    space->flush = config->flush;
    space->flush_context = config->flush_context;
    space->deferred_limit = config->deferred_limit ? config->deferred_limit : default_limit(config->cpus);
    space->begun = 0;
    space->flushes = 0;
    space->epoch = 0;
    space->stage = KVA_FLUSH_NONE;
    space->flush_start = 0;
    space->flush_last = 0;
    forget_deferred_range(space);
}

/* ---------------------------------------------------------------------------------------------- flush */

/** How many segments a slice frees. One takes about 0.2 us if all is in the cache, and a few us if nothing
 *  is: 32 take 10 to 100 us at worst, and cost one more lock operation in 32 steps. With one thread a slice
 *  has no limit, because no other thread waits. */
enum { DEFER_SLICE = 32 };

/** Wake the threads that wait for the flush under way to advance. */
static void announce(struct kva_space *space)
{
    if (threads_of(space)) {
        atomic_fetch_add_explicit(&space->shared->turn, 1, memory_order_release);
        kva_sync_wake(threads_of(space), &space->shared->turn, true);
    }
}

/** Wait until the flush under way advances. */
static void wait_for_turn(struct kva_space *space)
{
    uint32_t turn = atomic_load_explicit(&space->shared->turn, memory_order_relaxed);

    unlock_space(space);
    kva_sync_wait(threads_of(space), &space->shared->turn, turn);
    lock_space(space);
}

static void set_flusher(struct kva_space *space, uintptr_t flusher)
{
    if (space->shared)
        atomic_store_explicit(&space->shared->flusher, flusher, memory_order_relaxed);
}

static void call_back(struct kva_space *space)
{
    set_flusher(space, thread_self(threads_of(space)));
    unlock_space(space);
    space->flush(space->flush_context, space->flush_start, space->flush_last);
    lock_space(space);
    set_flusher(space, 0);
}

/** Requires that no flush is under way, and that something is deferred. */
static void begin_flush(struct kva_space *space)
{
    space->flush_start = space->deferred_start;
    space->flush_last = space->deferred_last;
    forget_deferred_range(space);
    space->epoch ^= 1;
    space->begun++;
    space->stage = KVA_FLUSH_CALLING;
    if (space->flush)
        call_back(space);
    space->stage = KVA_FLUSH_GIVING;
    announce(space);
}

static void give_slice(struct kva_space *space)
{
    unsigned old = space->epoch ^ 1;
    uint64_t slice = threads_of(space) ? DEFER_SLICE : UINT64_MAX;

    space->map->engine->free_deferred(space->map, old, slice);
    kva_pools_free_deferred(space, old, slice);
    if (kva_waiting(space, old) == 0) {
        space->stage = KVA_FLUSH_NONE;
        space->flushes++;
        announce(space);
    }
    verify_change(space, __func__, space->flush_start);
    verify_change(space, __func__, space->flush_last);
}

void kva_flush_step(struct kva_space *space)
{
    switch (space->stage) {
    case KVA_FLUSH_NONE:
        begin_flush(space);
        break;
    case KVA_FLUSH_CALLING:
        wait_for_turn(space);
        break;
    default:
        give_slice(space);
        if (space->stage == KVA_FLUSH_GIVING)
            main_yield(locks_of(space));
        break;
    }
}

bool kva_flush_all(struct kva_space *space)
{
    uint64_t waits = kva_waiting(space, space->epoch);
    bool any = waits + kva_waiting(space, space->epoch ^ 1) > 0;
    uint64_t last = space->begun + (waits > 0); /* the number of the flush that must end */

    while (space->flushes < last)
        kva_flush_step(space);
    return any;
}

/** More is deferred than the limit allows. If a flush is under way, free one slice and do not wait for it:
 *  later calls do the rest. */
static void flush_beyond_limit(struct kva_space *space)
{
    if (space->stage == KVA_FLUSH_NONE)
        (void)kva_flush_all(space);
    else if (space->stage == KVA_FLUSH_GIVING)
        give_slice(space);
}

/** Defer the object that starts at `start`, or report why there is none. Repeats if the object was freed and
 *  allocated again between the two looks. */
static enum kva_status defer_object(struct kva_space *space, const struct kva_object *object, uint64_t start,
                                    uint64_t *last)
{
    enum kva_status status;

    *last = start + (object->span->bytes - 1);
    do {
        if (object_start(object) == start && kva_pool_defer(space, object))
            return KVA_OK;
        status = kva_diagnose_start(space, start);
    } while (status == KVA_OK);
    return misuse(space, status, "kva_free_deferred", start);
}

static enum kva_status defer_busy(struct kva_space *space, uint64_t start, uint64_t *last)
{
    struct kva_object object;

    if (kva_pool_object(space, start, &object))
        return defer_object(space, &object, start, last);
    if (space->map->engine->defer(space->map, start, space->epoch, last) != KVA_OK)
        return kva_refuse_start(space, "kva_free_deferred", start);
    return KVA_OK;
}

enum kva_status kva_free_deferred(struct kva_space *space, uint64_t start)
{
    enum kva_status status = enter_change(space, __func__);
    uint64_t last;

    if (status != KVA_OK)
        return status;
    status = defer_busy(space, start, &last);
    if (status != KVA_OK)
        return leave(space, status);
    space->deferred_start = min_u64(space->deferred_start, start);
    space->deferred_last = max_u64(space->deferred_last, last);
    verify_change(space, __func__, start);
    if (kva_deferred_bytes(space) > space->deferred_limit)
        flush_beyond_limit(space);
    return leave(space, KVA_OK);
}

enum kva_status kva_flush(struct kva_space *space)
{
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    (void)kva_flush_all(space);
    return leave(space, KVA_OK);
}

/* ------------------------------------------------------------------------- the list, for the callback */

/** The lowest segment of the tree, or object of a pool, that the flush under way is about to free and that
 *  starts at or above `from`. */
static bool next_of_flush(const struct kva_space *space, uint64_t from, struct kva_segment *next)
{
    const struct kva_address_map *map = space->map;
    const struct kva_pools *pools = pools_of(space);
    unsigned old = space->epoch ^ 1;
    bool found = map->engine->next_deferred(map, old, from, space->flush_last, next) == KVA_OK;
    struct kva_object object = {NULL, 0};

    if (!pools || !kva_spans_next_deferred(pools, old, from, &object) ||
        (found && next->start < object_start(&object)))
        return found;
    next->start = object_start(&object);
    next->last = next->start + (object.span->bytes - 1);
    return true;
}

/** The lowest range of the list at or above `from`; adjacent ranges are one. The old epoch does not change
 *  while the callback runs. */
static enum kva_status next_range(const struct kva_space *space, uint64_t from, struct kva_segment *range)
{
    struct kva_segment next;

    if (!inside_flush(space) || from > space->flush_last || !next_of_flush(space, from, &next))
        return KVA_ENOENT;
    *range = (struct kva_segment){next.start, next.last, NULL, KVA_DEFERRED};
    while (range->last < space->flush_last && next_of_flush(space, range->last + 1, &next) &&
           next.start == range->last + 1)
        range->last = next.last;
    return KVA_OK;
}

enum kva_status kva_flush_first(const struct kva_space *space, struct kva_segment *range)
{
    enum kva_status status = enter_with(space, __func__, 0, range, "range");

    if (status != KVA_OK)
        return status;
    return leave(space, next_range(space, space->flush_start, range));
}

enum kva_status kva_flush_next(const struct kva_space *space, struct kva_segment *range)
{
    enum kva_status status = enter_with(space, __func__, 0, range, "range");

    if (status != KVA_OK)
        return status;
    if (range->last == UINT64_MAX)
        return leave(space, KVA_ENOENT);
    return leave(space, next_range(space, range->last + 1, range));
}

enum kva_status kva_set_deferred_limit(struct kva_space *space, uint64_t bytes)
{
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    space->deferred_limit = bytes;
    return leave(space, KVA_OK);
}
