/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The bounds of a space: its ends, and the absent ranges between its regions.
 *
 *      first                                                      last
 *      | busy | free | busy |      absent      | free | busy | free |
 *      |<---- a region ---->|                  |<---- a region ---->|
 *
 * An absent range is a segment of the tree, deferred in an epoch of its own (engine.h, ABSENT). Two
 * invariants make the representation unique:
 *
 *   - The ends are not absent. A range that is removed at an end is cut off (narrow), together with an absent
 *     range that would become outermost.
 *   - No two absent ranges touch. A range that is removed beside an absent one merges with it.
 *
 *      add       outside:   | space |                         extend ->  | space |   free         |
 *                                               occupy, defer the gap -> | space | absent | free |
 *                inside:    | absent                 |        undefer, free a part, defer the rest
 *                           | absent | free | absent |
 *      remove    middle:    | absent |   free   | absent |    undefer, free, occupy all, defer
 *                           |          absent            |
 *                at an end: |   free   | absent | busy        undefer, free, narrow
 *                                               | busy
 *
 * ATOMICITY. A call with several changes prepares the memory for all of them before the first, or undoes the
 * only change that takes memory. Lock-free lookups see all of its changes or none (enter.h, begin_compound).
 */
#include <kva/ranges.h>

#include "exact.h"
#include "verify.h"

/* ------------------------------------------------------------------------------------------------ changes */

/** Make the free range [start, last] absent. KVA_OK, KVA_ENOMEM. */
static enum kva_status make_absent(struct kva_space *space, uint64_t start, uint64_t last)
{
    struct kva_address_map *map = space->map;
    enum kva_status status = core_reserve(map, start, last, NULL);

    sync_point(threads_of(space));
    if (status == KVA_OK)
        (void)map->engine->defer(map, start, KVA_EPOCH_ABSENT, &last);
    return status;
}

/** Make the absent range that starts at `start` free. */
static void free_absent(struct kva_space *space, uint64_t start)
{
    (void)space->map->engine->undefer(space->map, start);
    sync_point(threads_of(space));
    (void)core_free(space->map, start);
}

/** Whether the segment that holds an address of the space is absent; *absent receives the segment. */
static bool find_absent(const struct kva_address_map *map, uint64_t address, struct kva_segment *absent)
{
    core_find(map, address, absent);
    return absent->state == KVA_ABSENT;
}

/* ------------------------------------------------------------------------------------------------- adding */

/** Add [start, last], which lies wholly below or above the space. */
static enum kva_status add_outside(struct kva_space *space, uint64_t start, uint64_t last)
{
    struct kva_address_map *map = space->map;
    uint64_t gap_start = start > map->last ? map->last + 1 : last + 1;
    uint64_t gap_last = start > map->last ? start - 1 : map->first - 1;
    uint64_t first = min_u64(map->first, start);
    bool apart = start > map->last ? start - map->last > 1 : map->first - last > 1;

    last = max_u64(map->last, last);
    if (!apart)
        return core_extend(map, first, last);
    if (map->engine->prepare(map, 1) != KVA_OK) /* it adds two segments, as one operation may */
        return KVA_ENOMEM;
    (void)core_extend(map, first, last);
    sync_point(threads_of(space));
    return make_absent(space, gap_start, gap_last);
}

/** Add [start, last], which lies in an absent range. The part is freed before the rest is deferred again: if
 *  there is no memory to free it, all of the range is deferred again. */
static enum kva_status add_inside(struct kva_space *space, const struct kva_segment *absent, uint64_t start,
                                  uint64_t last)
{
    struct kva_address_map *map = space->map;
    uint64_t end;

    (void)map->engine->undefer(map, absent->start);
    sync_point(threads_of(space));
    enum kva_status status = kva_core_free_part(map, absent, start, last);
    sync_point(threads_of(space));
    if (status != KVA_OK || absent->start < start)
        (void)map->engine->defer(map, absent->start, KVA_EPOCH_ABSENT, &end);
    if (status == KVA_OK && absent->last > last)
        (void)map->engine->defer(map, last + 1, KVA_EPOCH_ABSENT, &end);
    return status;
}

static enum kva_status add_range(struct kva_space *space, uint64_t start, uint64_t last)
{
    const struct kva_address_map *map = space->map;
    struct kva_segment absent;

    if (last < map->first || start > map->last)
        return add_outside(space, start, last);
    if (start < map->first || !find_absent(map, start, &absent) || absent.last < last)
        return KVA_EEXIST;
    return add_inside(space, &absent, start, last);
}

enum kva_status kva_space_add(struct kva_space *space, uint64_t start, uint64_t size)
{
    enum kva_status status = enter_change(space, __func__);
    struct kva_bad bad;
    uint64_t last;

    if (status != KVA_OK)
        return status;
    status = kva_range_of(space->map->quantum, start, size, &kva_range_plain, &last, &bad);
    if (status != KVA_OK)
        return leave(space, misuse_of(space, status, __func__, start, &bad));
    begin_compound(space);
    status = add_range(space, start, last);
    end_compound(space);
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return leave(space, status);
}

enum kva_status kva_space_grow(struct kva_space *space, uint64_t first, uint64_t last)
{
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    struct kva_address_map *map = space->map;
    struct kva_bad bad;
    status = kva_validate_bounds(first, last, map->quantum, &bad);
    if (status == KVA_OK && first > map->first)
        status = bad_field(&bad, KVA_ERANGE, "first");
    if (status == KVA_OK && last < map->last)
        status = bad_field(&bad, KVA_ERANGE, "last");
    if (status != KVA_OK)
        return leave(space, misuse_of(space, status, __func__, first, &bad));
    status = core_extend(map, first, last);
    if (status == KVA_OK) {
        verify_change(space, __func__, first);
        verify_change(space, __func__, last);
    }
    return leave(space, status);
}

/* ----------------------------------------------------------------------------------------------- removing */

/** Remove the free range [start, last], which is not all of the space. It merges with the absent ranges that
 *  it touches, `below` and `above` (NULL: none). */
static enum kva_status cut_out_range(struct kva_space *space, uint64_t start, uint64_t last,
                                     const struct kva_segment *below, const struct kva_segment *above)
{
    struct kva_address_map *map = space->map;
    uint64_t from = below ? below->start : start;
    uint64_t to = above ? above->last : last;
    bool is_lowest = start == map->first;
    bool is_highest = last == map->last;

    if ((below || above) && !is_lowest && !is_highest && map->engine->prepare(map, 1) != KVA_OK)
        return KVA_ENOMEM;
    if (below)
        free_absent(space, from);
    if (above)
        free_absent(space, above->start);
    if (is_lowest)
        return map->engine->narrow(map, to + 1, map->last);
    if (is_highest)
        return map->engine->narrow(map, map->first, from - 1);
    return make_absent(space, from, to);
}

static enum kva_status remove_range(struct kva_space *space, uint64_t start, uint64_t last)
{
    const struct kva_address_map *map = space->map;
    struct kva_segment below;
    struct kva_segment above;

    if (start == map->first && last == map->last)
        return KVA_EBUSY;
    bool touches_below = start > map->first && find_absent(map, start - 1, &below);
    bool touches_above = last < map->last && find_absent(map, last + 1, &above);
    begin_compound(space);
    enum kva_status status =
        cut_out_range(space, start, last, touches_below ? &below : NULL, touches_above ? &above : NULL);
    end_compound(space);
    return status;
}

enum kva_status kva_space_remove(struct kva_space *space, uint64_t start, uint64_t size)
{
    enum kva_status status = enter_change(space, __func__);
    struct kva_exact exact = {.start = start};

    if (status != KVA_OK)
        return status;
    status = kva_range_of(space->map->quantum, start, size, &kva_range_plain, &exact.last, &exact.bad);
    if (status == KVA_OK)
        status = kva_exact_find(space, &exact);
    if (is_misuse(status))
        return leave(space, misuse_of(space, status, __func__, start, &exact.bad));
    if (status == KVA_EEXIST)
        return leave(space, KVA_EBUSY);
    if (status == KVA_OK)
        status = remove_range(space, start, exact.last);
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return leave(space, status);
}

/* ---------------------------------------------------------------------------------------------- shrinking */

/** New ends, and the worst state in their way. */
struct new_ends {
    uint64_t first; /* as requested */
    uint64_t last;
    uint64_t nearest_first; /* the outermost addresses between them that are not absent */
    uint64_t nearest_last;
    enum kva_state in_the_way;
    struct kva_bad bad;
};

static enum kva_status validate_new_ends(const struct kva_address_map *map, struct new_ends *ends)
{
    enum kva_status status = kva_validate_bounds(ends->first, ends->last, map->quantum, &ends->bad);

    if (status == KVA_OK && ends->first < map->first)
        status = bad_field(&ends->bad, KVA_ERANGE, "first");
    if (status == KVA_OK && ends->last > map->last)
        status = bad_field(&ends->bad, KVA_ERANGE, "last");
    return status;
}

/** The worst state of the addresses from the end `outer`, which is cut off, to the end `inner`, which stays.
 *  The two may be equal. */
static enum kva_state worst_state(const struct kva_space *space, uint64_t inner, uint64_t outer)
{
    struct kva_segment conflict;

    if (inner == outer)
        return KVA_FREE;
    if (inner > outer)
        kva_find_conflict(space, outer, inner - 1, NULL, &conflict);
    else
        kva_find_conflict(space, inner + 1, outer, NULL, &conflict);
    return conflict.state;
}

static enum kva_status attempt_new_ends(void *instance, void *operation)
{
    const struct kva_space *space = instance;
    const struct kva_address_map *map = space->map;
    struct new_ends *ends = operation;
    struct kva_segment absent;
    enum kva_status status = validate_new_ends(map, ends);

    if (status != KVA_OK)
        return status;
    bool absent_first = find_absent(map, ends->first, &absent);
    ends->nearest_first = absent_first ? absent.last + 1 : ends->first;
    bool absent_last = find_absent(map, ends->last, &absent);
    ends->nearest_last = absent_last ? absent.start - 1 : ends->last;
    if (ends->nearest_first > ends->nearest_last)
        return KVA_EBUSY;
    ends->in_the_way = worst_state(space, ends->nearest_first, map->first);
    enum kva_state above = worst_state(space, ends->nearest_last, map->last);
    if (kva_is_worse(above, ends->in_the_way))
        ends->in_the_way = above;
    return ends->in_the_way == KVA_FREE ? KVA_OK : KVA_ENOSPC;
}

/** Make all absent ranges in [start, last] free. */
static void free_absent_in(struct kva_space *space, uint64_t start, uint64_t last)
{
    struct kva_segment segment;

    for (uint64_t at = start;; at = segment.last + 1) {
        if (find_absent(space->map, at, &segment))
            free_absent(space, segment.start);
        if (segment.last >= last)
            return;
    }
}

/** Cut off the free and absent addresses below `first` and above `last`. */
static void cut_ends(struct kva_space *space, uint64_t first, uint64_t last)
{
    struct kva_address_map *map = space->map;

    begin_compound(space);
    if (first > map->first)
        free_absent_in(space, map->first, first - 1);
    if (last < map->last)
        free_absent_in(space, last + 1, map->last);
    (void)map->engine->narrow(map, first, last);
    end_compound(space);
}

enum kva_status kva_space_shrink(struct kva_space *space, uint64_t first, uint64_t last)
{
    enum kva_status status = enter_change(space, __func__);
    struct new_ends ends = {.first = first, .last = last};

    if (status != KVA_OK)
        return status;
    status = kva_retry_exact(space, attempt_new_ends, &ends, &ends.in_the_way);
    if (is_misuse(status))
        return leave(space, misuse_of(space, status, __func__, first, &ends.bad));
    if (status == KVA_ENOSPC)
        return leave(space, KVA_EBUSY);
    if (status == KVA_OK) {
        cut_ends(space, ends.nearest_first, ends.nearest_last);
        verify_change(space, __func__, ends.nearest_first);
        verify_change(space, __func__, ends.nearest_last);
    }
    return leave(space, status);
}
