/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THE OWNER'S PROTOCOL
 *   For the first frame of each run, the table has the number of the run's record. A worker locks a record
 *   while it uses it, and clears the number before it frees the run. traffic_move finds the record by the
 *   number and tries its lock. It never waits, because the worker may wait for a compaction to end:
 *
 *      no number, or the record has another run    KVA_FRAMES_GONE: freed, about to be, or not yet in use
 *      the lock is taken                           KVA_FRAMES_BUSY
 *      one time in sixteen each                    KVA_FRAMES_BUSY, KVA_FRAMES_PINNED
 *      else                                        KVA_FRAMES_MOVED: the new place gets the owner, the
 *                                                  contents and the number; `first` follows; the old
 *                                                  place gets OWNER_NONE
 *
 * WHAT IS VERIFIED
 *   The frames at the new place have no owner, and are in the same zone and as aligned as the old ones. The
 *   run is movable, and has the length that its record has, and its contents. No two threads move at once.
 *   Contents are plain words: ThreadSanitizer reports it if the set does not order the accesses of two
 *   successive owners.
 */
#include "frames_move.h"

#include <inttypes.h>
#include <sched.h>

/* ------------------------------------------------------------------------------------------------ records */

void traffic_hold(struct traffic_held *held)
{
    while (atomic_exchange_explicit(&held->locked, true, memory_order_acquire))
        sched_yield();
}

void traffic_drop(struct traffic_held *held)
{
    atomic_store_explicit(&held->locked, false, memory_order_release);
}

/* The number of a record, from 1; 0 for runs of the checks, which have none in the array. */
static uint32_t number_of(const struct traffic *traffic, const struct traffic_held *held)
{
    bool is_one = held >= traffic->held && held < traffic->held + traffic->held_count;
    return is_one ? (uint32_t)(held - traffic->held) + 1 : 0;
}

void traffic_publish(struct traffic *traffic, struct traffic_held *held)
{
    uint32_t *contents = traffic_table_contents(&traffic->table, held->first);
    for (uint64_t i = 0; i < held->count; i++)
        contents[i] = held->contents + (uint32_t)i;
    atomic_store(traffic_table_holder(&traffic->table, held->first), number_of(traffic, held));
}

void traffic_withdraw(struct traffic *traffic, const struct traffic_held *held)
{
    if (held->owner != OWNER_OFFLINE)
        atomic_store(traffic_table_holder(&traffic->table, held->first), 0);
}

bool traffic_verify_contents(struct traffic *traffic, const struct traffic_held *held)
{
    const uint32_t *contents = traffic_table_contents(&traffic->table, held->first);
    for (uint64_t i = 0; i < held->count; i++)
        if (contents[i] != held->contents + (uint32_t)i)
            return traffic_fail(traffic,
                                "frame 0x%" PRIx64 " of a run from 0x%" PRIx64 " on has lost its contents",
                                held->first + i, held->first);
    return true;
}

/* -------------------------------------------------------------------------------------------------- moves */

static bool change(struct traffic *traffic, uint64_t first, uint64_t count, uint32_t from, uint32_t to)
{
    char fault[FRAMES_FAULT];
    return traffic_table_change(&traffic->table, first, count, from, to, fault) ||
           traffic_fail(traffic, "%s", fault);
}

/* Whether a run may move from `from` to `to`. */
static bool verify_place(struct traffic *traffic, uint64_t from, uint64_t to, uint64_t count)
{
    uint64_t align = 1;
    while (align < count && (from & align) == 0)
        align *= 2;
    if (traffic_table_zone(&traffic->table, from) != traffic_table_zone(&traffic->table, to))
        return traffic_fail(traffic, "a move from 0x%" PRIx64 " to 0x%" PRIx64 ": another zone", from, to);
    return (to & (align - 1)) == 0 ||
           traffic_fail(traffic,
                        "a move of %" PRIu64 " frames from 0x%" PRIx64 " to 0x%" PRIx64 ": off its alignment",
                        count, from, to);
}

/* Whether a run may move. */
static bool verify_run(struct traffic *traffic, const struct traffic_held *held, uint64_t count)
{
    if (!held->is_movable)
        return traffic_fail(traffic, "a move of the run at 0x%" PRIx64 ", which is unmovable", held->first);
    if (held->count != count)
        return traffic_fail(traffic,
                            "a move of %" PRIu64 " frames of the run at 0x%" PRIx64 ", which has %" PRIu64,
                            count, held->first, held->count);
    return traffic_verify_contents(traffic, held);
}

static bool carry_over(struct traffic *traffic, struct traffic_held *held, uint64_t to)
{
    struct traffic_held was = {.first = held->first, .count = held->count, .owner = held->owner};
    if (!change(traffic, to, was.count, OWNER_MOVES, was.owner))
        return false;
    const uint32_t *source = traffic_table_contents(&traffic->table, was.first);
    uint32_t *target = traffic_table_contents(&traffic->table, to);
    for (uint64_t i = 0; i < was.count; i++)
        target[i] = source[i];
    traffic_withdraw(traffic, &was);
    held->first = to;
    atomic_store(traffic_table_holder(&traffic->table, to), number_of(traffic, held));
    traffic->moves.runs++;
    traffic->moves.frames += was.count;
    return change(traffic, was.first, was.count, was.owner, OWNER_NONE);
}

/* The caller holds the record's lock. */
static enum kva_frames_moved move_held(struct traffic *traffic, struct traffic_held *held, uint64_t from,
                                       uint64_t to, uint64_t count)
{
    if (held->count == 0 || held->first != from)
        return KVA_FRAMES_GONE;
    if (!verify_run(traffic, held, count))
        return KVA_FRAMES_PINNED;
    switch (rng_below(&traffic->moves.rng, 16)) {
    case 0:
        return KVA_FRAMES_PINNED;
    case 1:
        return KVA_FRAMES_BUSY;
    default:
        return carry_over(traffic, held, to) ? KVA_FRAMES_MOVED : KVA_FRAMES_PINNED;
    }
}

static enum kva_frames_moved move_run(struct traffic *traffic, uint64_t from, uint64_t to, uint64_t count)
{
    uint32_t number = atomic_load(traffic_table_holder(&traffic->table, from));
    if (number == 0)
        return KVA_FRAMES_GONE;
    struct traffic_held *held = &traffic->held[number - 1];
    if (atomic_exchange_explicit(&held->locked, true, memory_order_acquire))
        return KVA_FRAMES_BUSY;
    enum kva_frames_moved outcome = move_held(traffic, held, from, to, count);
    traffic_drop(held);
    return outcome;
}

/* A move callback may call the set, except to compact. */
static bool call_from_inside(struct traffic *traffic, uint64_t to, uint64_t count)
{
    struct kva_frames *frames = traffic->frames;
    struct kva_frames_request request = {.order = traffic->table.shape.block_order,
                                         .flags = KVA_FRAMES_COMPACT};
    struct kva_frames_found found;
    uint64_t first, size = UINT64_C(1) << request.order;
    if (!traffic_expect(traffic, "kva_frames_compact", 0, 0,
                        kva_frames_compact(frames, KVA_FRAMES_ALL_ZONES, 0, 1, NULL), KVA_EREENTRY) ||
        !traffic_expect(traffic, "kva_frames_find", to, count, kva_frames_find(frames, to, &found), KVA_OK))
        return false;
    if (found.state != KVA_FRAMES_USED || found.first != to || found.count != count)
        return traffic_fail(traffic, "a move to 0x%" PRIx64 ", which is not in use", to);
    if (kva_frames_alloc(frames, &request, &first) != KVA_OK)
        return true;
    return change(traffic, first, size, OWNER_NONE, OWNER_MOVES) &&
           change(traffic, first, size, OWNER_MOVES, OWNER_NONE) &&
           traffic_expect(traffic, "kva_frames_free", first, size, kva_frames_free(frames, first), KVA_OK);
}

enum kva_frames_moved traffic_move(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    struct traffic *traffic = context;
    enum kva_frames_moved outcome = KVA_FRAMES_PINNED;
    if (atomic_exchange(&traffic->moves.inside, true))
        traffic_fail(traffic, "two threads compact at once");
    else if (change(traffic, to, count, OWNER_NONE, OWNER_MOVES) && verify_place(traffic, from, to, count)) {
        bool good = rng_below(&traffic->moves.rng, 64) != 0 || call_from_inside(traffic, to, count);
        outcome = good ? move_run(traffic, from, to, count) : KVA_FRAMES_PINNED;
        if (outcome != KVA_FRAMES_MOVED)
            change(traffic, to, count, OWNER_MOVES, OWNER_NONE);
    }
    atomic_store(&traffic->moves.inside, false);
    return outcome;
}
