/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Walks: backwards, over the segments in a range, over the holes of at least a size. Nothing here changes a
 * space.
 *
 * A STEP KNOWS ONLY WHERE THE LAST ONE ENDED. The space may change between two steps, so a step goes on from
 * that address, not from a segment that may be gone. It advances whatever has changed: upwards, each segment
 * ends above the one before; downwards, each begins below it.
 *
 *      |---- A ----|--- free ---|-- B --|             the step returned A
 *                  ^ the next one begins here
 *      |---- A ----|------- B' ---------|             it returns B', wherever B' begins
 *      |------------- A' -------|-- B --|             it returns A', which has grown meanwhile
 *
 * A HOLE OF AT LEAST A SIZE is one in which a plain demand for that size finds room in the part of the space
 * that is left to walk. The engine skips all shorter ones in O(log n), and returns the hole with the place.
 *
 *      |- free -|##|------- free -------|##|-- free --|
 *                           ^ hole->last      only the part above it counts, also of a hole that holds it;
 *                           |--- least ---|   the result is the whole hole
 */
#include "lookup.h"

#include <kva/ranges.h>

/* ----------------------------------------------------------------------------------- backwards, ranges */

/** The segment that holds the highest address of the space at or below `address`. */
static enum kva_status find_downwards(const struct kva_space *space, uint64_t address,
                                      struct kva_segment *segment)
{
    if (address < space->map->first)
        return KVA_ENOENT;
    lookup_downwards(space, min_u64(address, space->map->last), segment);
    return KVA_OK;
}

enum kva_status kva_last(const struct kva_space *space, struct kva_segment *segment)
{
    enum kva_status status = enter_with(space, __func__, 0, segment, "segment");

    if (status != KVA_OK)
        return status;
    return leave(space, find_downwards(space, space->map->last, segment));
}

enum kva_status kva_prev(const struct kva_space *space, struct kva_segment *segment)
{
    enum kva_status status = enter_with(space, __func__, 0, segment, "segment");

    if (status != KVA_OK)
        return status;
    if (segment->start == 0)
        return leave(space, KVA_ENOENT);
    return leave(space, find_downwards(space, segment->start - 1, segment));
}

/** The lowest segment that holds an address of [from, last]. */
static enum kva_status lowest_in(const struct kva_space *space, uint64_t from, uint64_t last,
                                 struct kva_segment *segment)
{
    struct kva_segment lowest;

    if (from > last || from > space->map->last)
        return KVA_ENOENT;
    lookup_upwards(space, max_u64(from, space->map->first), &lowest);
    if (lowest.start > last)
        return KVA_ENOENT;
    *segment = lowest;
    return KVA_OK;
}

enum kva_status kva_first_in(const struct kva_space *space, uint64_t start, uint64_t last,
                             struct kva_segment *segment)
{
    enum kva_status status = enter_with(space, __func__, start, segment, "segment");

    if (status != KVA_OK)
        return status;
    return leave(space, lowest_in(space, start, last, segment));
}

enum kva_status kva_next_in(const struct kva_space *space, uint64_t last, struct kva_segment *segment)
{
    enum kva_status status = enter_with(space, __func__, 0, segment, "segment");

    if (status != KVA_OK)
        return status;
    if (segment->last == UINT64_MAX)
        return leave(space, KVA_ENOENT);
    return leave(space, lowest_in(space, segment->last + 1, last, segment));
}

/* ------------------------------------------------------------------------------------------------ holes */

/** The outermost hole, in the direction of a policy, that has `least` bytes in the part [min, max] of the
 *  space. A size that rounds up to 2^64 is a special case, because only all 2^64 addresses have it: the
 *  search is for one quantum less, and the part of the hole is compared with the size itself. */
static enum kva_status outermost_hole(const struct kva_space *space, uint64_t min, uint64_t max,
                                      enum kva_policy policy, uint64_t least, struct kva_segment *hole)
{
    struct kva_address_map *map = space->map;
    struct kva_demand demand = {.align = map->quantum, .min = min, .max = max, .policy = policy};
    uint64_t extent = max_u64(least, 1) - 1;
    struct kva_place place;

    if (!align_up(extent + 1, map->quantum, &demand.size))
        demand.size = align_down(UINT64_MAX, map->quantum);
    if (max - min < demand.size - 1 || map->engine->search(map, &demand, &place) != KVA_OK)
        return KVA_ENOENT;
    if (min_u64(place.hole_last, max) - max_u64(place.hole_start, min) < extent)
        return KVA_ENOENT;
    *hole = (struct kva_segment){place.hole_start, place.hole_last, NULL, KVA_FREE};
    return KVA_OK;
}

enum kva_status kva_first_hole(struct kva_space *space, uint64_t least, struct kva_segment *hole)
{
    enum kva_status status = enter_with(space, __func__, 0, hole, "hole");

    if (status != KVA_OK)
        return status;
    return leave(space, outermost_hole(space, space->map->first, space->map->last, KVA_LOWEST, least, hole));
}

enum kva_status kva_last_hole(struct kva_space *space, uint64_t least, struct kva_segment *hole)
{
    enum kva_status status = enter_with(space, __func__, 0, hole, "hole");

    if (status != KVA_OK)
        return status;
    return leave(space, outermost_hole(space, space->map->first, space->map->last, KVA_HIGHEST, least, hole));
}

enum kva_status kva_next_hole(struct kva_space *space, uint64_t least, struct kva_segment *hole)
{
    enum kva_status status = enter_with(space, __func__, 0, hole, "hole");

    if (status != KVA_OK)
        return status;
    const struct kva_address_map *map = space->map;
    if (hole->last >= map->last)
        return leave(space, KVA_ENOENT);
    uint64_t min = max_u64(hole->last + 1, map->first);
    return leave(space, outermost_hole(space, min, map->last, KVA_LOWEST, least, hole));
}

enum kva_status kva_prev_hole(struct kva_space *space, uint64_t least, struct kva_segment *hole)
{
    enum kva_status status = enter_with(space, __func__, 0, hole, "hole");

    if (status != KVA_OK)
        return status;
    const struct kva_address_map *map = space->map;
    if (hole->start <= map->first)
        return leave(space, KVA_ENOENT);
    uint64_t max = min_u64(hole->start - 1, map->last);
    return leave(space, outermost_hole(space, map->first, max, KVA_HIGHEST, least, hole));
}
