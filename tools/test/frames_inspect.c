/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Checks of a set while no worker runs. */
#include "frames_inspect.h"

#include "../common/grow.h"
#include "frames_move.h"

#include <inttypes.h>
#include <stdio.h>

static bool expect_count(struct traffic *traffic, const char *what, size_t zone, uint64_t found,
                         uint64_t wanted)
{
    if (found == wanted)
        return true;
    if (zone == KVA_FRAMES_ALL_ZONES)
        return traffic_fail(traffic, "all zones: %" PRIu64 " %s, not %" PRIu64, found, what, wanted);
    return traffic_fail(traffic, "zone %zu: %" PRIu64 " %s, not %" PRIu64, zone, found, what, wanted);
}

static bool compare_sums(struct traffic *traffic, size_t zone, const struct traffic_count *count)
{
    struct kva_frames_stats stats;
    enum kva_status status = kva_frames_stats_read(traffic->frames, zone, &stats);
    return traffic_expect(traffic, "kva_frames_stats_read", 0, 0, status, KVA_OK) &&
           expect_count(traffic, "free frames", zone, stats.free_frames, count->free) &&
           expect_count(traffic, "used frames", zone, stats.used_frames, count->used) &&
           expect_count(traffic, "absent frames", zone, stats.absent_frames, count->absent);
}

static bool compare_groups(struct traffic *traffic, size_t zone, const struct traffic_count *count)
{
    struct kva_frames_orders orders;
    enum kva_status status = kva_frames_orders_read(traffic->frames, zone, &orders);
    bool same = traffic_expect(traffic, "kva_frames_orders_read", 0, 0, status, KVA_OK);
    for (unsigned order = 0; same && order <= traffic->table.shape.block_order; order++) {
        char what[48];
        snprintf(what, sizeof(what), "free groups of order %u", order);
        same = expect_count(traffic, what, zone,
                            orders.unmovable[order] + orders.movable[order] + orders.unused[order],
                            count->groups[order]);
    }
    return same;
}

/* The set's count of moves equals that of traffic_move. */
static bool compare_moves(struct traffic *traffic)
{
    struct kva_frames_stats stats;
    enum kva_status status = kva_frames_stats_read(traffic->frames, KVA_FRAMES_ALL_ZONES, &stats);
    return traffic_expect(traffic, "kva_frames_stats_read", 0, 0, status, KVA_OK) &&
           expect_count(traffic, "moved runs", KVA_FRAMES_ALL_ZONES, stats.moved_runs, traffic->moves.runs) &&
           expect_count(traffic, "moved frames", KVA_FRAMES_ALL_ZONES, stats.moved_frames,
                        traffic->moves.frames);
}

/* The table and the set have the run where its record says, and it has its contents. */
static bool verify_record(struct traffic *traffic, const struct traffic_held *held)
{
    struct kva_frames_found found;
    if (held->count == 0 || held->owner == OWNER_OFFLINE)
        return true;
    for (uint64_t i = 0; i < held->count; i++)
        if (traffic_table_owner(&traffic->table, held->first + i) != held->owner)
            return traffic_fail(traffic,
                                "frame 0x%" PRIx64 " of a run from 0x%" PRIx64 " on has another owner",
                                held->first + i, held->first);
    enum kva_status status = kva_frames_find(traffic->frames, held->first, &found);
    if (!traffic_expect(traffic, "kva_frames_find", held->first, held->count, status, KVA_OK))
        return false;
    if (found.state == KVA_FRAMES_USED && found.first == held->first && found.count == held->count)
        return traffic_verify_contents(traffic, held);
    return traffic_fail(traffic, "the run of %" PRIu64 " frames at 0x%" PRIx64 " is not in the set",
                        held->count, held->first);
}

static bool verify_records(struct traffic *traffic)
{
    for (size_t i = 0; i < traffic->held_count; i++)
        if (!verify_record(traffic, &traffic->held[i]))
            return false;
    return true;
}

/* Free a random frame that is free, offline or in a hole: both functions must refuse it. */
static bool free_wrongly(struct traffic *traffic, struct rng *rng)
{
    const struct traffic_shape *shape = &traffic->table.shape;
    const struct kva_frames_zone *zone = &shape->zones[rng_below(rng, shape->zone_count)];
    uint64_t frame = rng_between(rng, zone->start, zone->end - 1);
    uint32_t owner = traffic_table_owner(&traffic->table, frame);
    enum kva_status wanted = owner == OWNER_NONE ? KVA_EDOUBLE : KVA_EUNKNOWN;
    if (owner != OWNER_NONE && owner != OWNER_OFFLINE && owner != OWNER_HOLE)
        return true;
    return traffic_expect(traffic, "kva_frames_free", frame, 1, kva_frames_free(traffic->frames, frame),
                          wanted) &&
           traffic_expect(traffic, "kva_frames_free_range", frame, 1,
                          kva_frames_free_range(traffic->frames, frame, 1), wanted);
}

/* A request must succeed exactly if it fits. The run is freed. */
static bool try(struct traffic *traffic, const struct kva_frames_request *request, bool fits)
{
    uint64_t first, count = request->count != 0 ? request->count : UINT64_C(1) << request->order;
    enum kva_status status = kva_frames_alloc(traffic->frames, request, &first);
    struct traffic_held held = {.count = count, .owner = OWNER_CHECKS};
    char fault[FRAMES_FAULT];
    if (!traffic_expect(traffic, "kva_frames_alloc", 0, count, status, fits ? KVA_OK : KVA_ENOSPC))
        return false;
    if (!fits)
        return true;
    held.first = first;
    if (!traffic_table_change(&traffic->table, first, count, OWNER_NONE, OWNER_CHECKS, fault))
        return traffic_fail(traffic, "%s", fault);
    return traffic_give(traffic, &held);
}

static bool try_all_sizes(struct traffic *traffic, const struct traffic_count *count, struct rng *rng)
{
    bool fits = false;
    for (unsigned order = traffic->table.shape.block_order + 1; order-- > 0;) {
        struct kva_frames_request request = {.order = order, .type = (enum kva_frames_type)rng_below(rng, 2)};
        fits = fits || count->groups[order] != 0;
        if (!try(traffic, &request, fits))
            return false;
    }
    struct kva_frames_request longest = {.count = count->longest,
                                         .type = (enum kva_frames_type)rng_below(rng, 2)};
    struct kva_frames_request longer = {.count = count->longest + 1};
    return (count->longest == 0 || try(traffic, &longest, true)) && try(traffic, &longer, false);
}

bool traffic_inspect(struct traffic *traffic, struct rng *rng)
{
    struct traffic_count all = {0};
    for (size_t zone = 0; zone < traffic->table.shape.zone_count; zone++) {
        struct traffic_count count = {0};
        traffic_table_count(&traffic->table, zone, &count);
        traffic_table_count(&traffic->table, zone, &all);
        if (!compare_sums(traffic, zone, &count) || !compare_groups(traffic, zone, &count))
            return false;
    }
    for (unsigned i = 0; i < 256; i++)
        if (!free_wrongly(traffic, rng))
            return false;
    return verify_records(traffic) && compare_moves(traffic) &&
           compare_sums(traffic, KVA_FRAMES_ALL_ZONES, &all) &&
           compare_groups(traffic, KVA_FRAMES_ALL_ZONES, &all) && try_all_sizes(traffic, &all, rng) &&
           compare_sums(traffic, KVA_FRAMES_ALL_ZONES, &all) && traffic_check(traffic);
}

/* ------------------------------------------------------------------------------------------- an empty set */

/* Allocate runs of an order until none is left; there must be `wanted`. Free all in one call. */
static bool take_all(struct traffic *traffic, unsigned order, uint64_t wanted, uint64_t *firsts)
{
    struct kva_frames_request request = {.order = order, .type = KVA_MOVABLE};
    enum kva_status status = KVA_OK;
    uint64_t taken = 0;
    size_t done;
    char fault[FRAMES_FAULT];
    while ((status = kva_frames_alloc(traffic->frames, &request, &firsts[taken])) == KVA_OK) {
        if (!traffic_table_change(&traffic->table, firsts[taken], UINT64_C(1) << order, OWNER_NONE,
                                  OWNER_CHECKS, fault))
            return traffic_fail(traffic, "%s", fault);
        taken++; /* at most one per word; the array is one longer */
    }
    if (!traffic_expect(traffic, "kva_frames_alloc", 0, UINT64_C(1) << order, status, KVA_ENOSPC))
        return false;
    if (taken != wanted)
        return traffic_fail(traffic, "an empty set returned %" PRIu64 " runs of order %u, not %" PRIu64,
                            taken, order, wanted);
    for (uint64_t i = 0; i < taken; i++)
        traffic_table_change(&traffic->table, firsts[i], UINT64_C(1) << order, OWNER_CHECKS, OWNER_NONE,
                             fault);
    status = kva_frames_free_many(traffic->frames, firsts, (size_t)taken, &done);
    return traffic_expect(traffic, "kva_frames_free_many", firsts[0], taken, status, KVA_OK) &&
           traffic_check(traffic);
}

bool traffic_inspect_empty(struct traffic *traffic, bool *has_memory)
{
    const struct traffic_shape *shape = &traffic->table.shape;
    uint64_t *firsts = zeroed_array(traffic->table.present + 1, sizeof(*firsts));
    struct traffic_count count = {0};
    *has_memory = firsts != NULL;
    if (firsts == NULL)
        return false;
    for (size_t zone = 0; zone < shape->zone_count; zone++)
        traffic_table_count(&traffic->table, zone, &count);
    bool good = expect_count(traffic, "free frames at the end", KVA_FRAMES_ALL_ZONES, count.free,
                             traffic->table.present) &&
                compare_sums(traffic, KVA_FRAMES_ALL_ZONES, &count) &&
                take_all(traffic, shape->block_order, count.groups[shape->block_order], firsts) &&
                take_all(traffic, 0, count.free, firsts) &&
                compare_sums(traffic, KVA_FRAMES_ALL_ZONES, &count);
    free(firsts);
    return good;
}
