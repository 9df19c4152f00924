/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What a space consists of: its ends, and the absent ranges between its regions.
 *
 *      first                                                      last
 *      | busy | free | busy |      absent      | free | busy | free |
 *      |<---- region ------>|                  |<---- region ------>|
 *
 * An absent range is a segment of the tree that is parked in an epoch of its own (engine.h, ABSENT). All
 * there is to do is made of what an engine does anyway; two rules make the segments one and only one way to
 * say what belongs to a space:
 *
 *   The ends are not absent     what is taken away at an end is cut off (narrow), and so is an absent range
 *                               that would be outermost then
 *   No two absent ranges touch  what is taken away beside one becomes one with it
 *
 *      add       outside:   | space |                         extend ->  | space |   free         |
 *                                                    occupy, park gap ->  | space | absent | free |
 *                inside:    | absent                 |   wake, give a part back, park the rest
 *                           | absent | free | absent |
 *      remove    middle:    | absent |   free   | absent |    wake, give back, occupy all, park
 *                           |          absent            |
 *                at an end: |   free   | absent | busy        wake, give back, narrow
 *                                               | busy
 *
 * ONE STEP. Where there are several changes, the memory for all is at hand before the first one, or the only
 * change that takes some is undone; and lookups without the lock see them at once (enter.h, begin_compound).
 */
#include <kva/ranges.h>

#include "exact.h"
#include "verify.h"

/* ------------------------------------------------------------------------------------------------ changes */

/** The free range [start, last] becomes absent. KVA_OK, KVA_ENOMEM. */
static enum kva_status make_absent(struct kva_space *space, uint64_t start, uint64_t last)
{
    struct kva_address_map *map = space->map;
    enum kva_status status = core_reserve(map, start, last, NULL);

    sync_point(threads_of(space));
    if (status == KVA_OK)
        (void)map->engine->defer(map, start, KVA_EPOCH_ABSENT, &last);
    return status;
}

/** The absent range that starts at `start` becomes free. */
static void free_absent(struct kva_space *space, uint64_t start)
{
    (void)space->map->engine->undefer(space->map, start);
    sync_point(threads_of(space));
    (void)core_free(space->map, start);
}

/** Whether an address of the space lies in an absent range, and which. */
static bool find_absent(const struct kva_address_map *map, uint64_t address, struct kva_segment *absent)
{
    core_find(map, address, absent);
    return absent->state == KVA_ABSENT;
}

/* ------------------------------------------------------------------------------------------------- adding */

/** [start, last] lies wholly below the space, or above it. */
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
    if (map->engine->prepare(map, 1) != KVA_OK) /* two segments more, as of one operation */
        return KVA_ENOMEM;
    (void)core_extend(map, first, last);
    sync_point(threads_of(space));
    return make_absent(space, gap_start, gap_last);
}

/** [start, last] lies in an absent range. The part is given back before the rest is parked again: if there is
 *  no memory for that, all of it is. */
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

/** The free range [start, last], not all of the space, goes; and `below` and `above`, the absent ranges that
 *  it touches (NULL: none), become one with it. */
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

/** New ends, and what is in the way of them. */
struct new_ends {
    uint64_t first; /* as they are asked for */
    uint64_t last;
    uint64_t nearest_first; /* what is not absent, next to them */
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

/** What is most in the way between the end `inner`, which stays, and the end `outer`, which goes; they may be
 *  one. */
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

/** All absent ranges in [start, last] become free. */
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

/** Cut off what is free or absent below `first` and above `last`. */
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
