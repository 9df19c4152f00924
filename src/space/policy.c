/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Policies and filters; see policy.h. */
#include "policy.h"

/* --------------------------------------------------------------------------------------- one direction */

/** Where to search: in all holes of an address map, or in one hole. */
struct field {
    struct kva_address_map *map;
    const struct kva_place *hole; /* hole_start and hole_last; NULL: the whole address map */
};

/** The segment that holds an address beside a hole; NULL if the address is outside the space or absent. */
static const struct kva_segment *neighbour(const struct kva_demand *demand, bool is_inside, uint64_t address,
                                           struct kva_segment *segment)
{
    if (!is_inside)
        return NULL;
    demand->look(demand->look_where, address, segment);
    return segment->state == KVA_ABSENT ? NULL : segment;
}

/** Whether a hole has room for the size within the window. The filter receives no other hole. */
static bool is_in_reach(const struct kva_demand *demand, const struct kva_place *place)
{
    uint64_t low = max_u64(place->hole_start, demand->min);
    uint64_t high = min_u64(place->hole_last, demand->max);

    return low <= high && high - low >= demand->size - 1;
}

/** Call the filter, if there is one, and fit the demand into what it leaves of the place's hole. */
static bool fit_admitted(const struct kva_address_map *map, const struct kva_demand *demand,
                         const struct kva_place *place, uint64_t *at)
{
    struct kva_hole hole = {.start = place->hole_start, .last = place->hole_last};
    struct kva_segment before;
    struct kva_segment after;

    if (demand->filter) {
        if (!is_in_reach(demand, place))
            return false;
        hole.before = neighbour(demand, hole.start > map->first, hole.start - 1, &before);
        hole.after = neighbour(demand, hole.last < map->last, hole.last + 1, &after);
        if (!demand->filter(demand->filter_context, &hole))
            return false;
        hole.start = max_u64(hole.start, place->hole_start);
        hole.last = min_u64(hole.last, place->hole_last);
    }
    return hole.start <= hole.last && kva_fit_in_hole(hole.start, hole.last, demand, at);
}

/** The demand for any hole of sufficient size, without the other constraints. */
static struct kva_demand any_place(const struct kva_address_map *map, const struct kva_demand *demand,
                                   enum kva_policy direction)
{
    return (struct kva_demand){
        .size = demand->size,
        .align = map->quantum,
        .min = demand->min,
        .max = demand->max,
        .policy = direction,
    };
}

/** Move the window of a walk over holes past a hole, in the direction of the walk; false if no room is
 *  left. */
static bool pass_hole(struct kva_demand *walk, const struct kva_place *place)
{
    if (walk->policy == KVA_LOWEST) {
        if (place->hole_last >= walk->max)
            return false;
        walk->min = place->hole_last + 1;
    } else {
        if (place->hole_start <= walk->min)
            return false;
        walk->max = place->hole_start - 1;
    }
    return walk->max - walk->min >= walk->size - 1;
}

/** Search hole by hole, and call the filter for each. */
static enum kva_status search_filtered(struct kva_address_map *map, const struct kva_demand *demand,
                                       struct kva_place *place)
{
    struct kva_demand walk = any_place(map, demand, demand->policy);

    do {
        enum kva_status status = map->engine->search(map, &walk, place);
        if (status != KVA_OK)
            return status;
        if (fit_admitted(map, demand, place, &place->start)) {
            place->last = place->start + (demand->size - 1);
            return KVA_OK;
        }
    } while (pass_hole(&walk, place));
    return KVA_ENOSPC;
}

/** Find the lowest or highest start in [min, most] that satisfies the demand. */
static enum kva_status search_between(const struct field *field, const struct kva_demand *demand,
                                      enum kva_policy direction, uint64_t min, uint64_t most,
                                      struct kva_place *place)
{
    struct kva_demand part = *demand;

    part.policy = direction;
    part.min = max_u64(min, demand->min);
    part.max = min_u64(add_saturated(most, demand->size - 1), demand->max);
    if (part.min > part.max || part.max - part.min < part.size - 1)
        return KVA_ENOSPC;
    if (field->hole) {
        *place = *field->hole;
        return fit_admitted(field->map, &part, field->hole, &place->start) ? KVA_OK : KVA_ENOSPC;
    }
    if (part.filter)
        return search_filtered(field->map, &part, place);
    return field->map->engine->search(field->map, &part, place);
}

/* -------------------------------------------------------------------------------------------- policies */

/** Locate a start again that an earlier search found, so that the engine can occupy it. */
static enum kva_status return_to(const struct field *field, const struct kva_demand *demand, uint64_t start,
                                 struct kva_place *place)
{
    struct kva_address_map *map = field->map;

    if (!field->hole)
        return map->engine->locate(map, start, start + (demand->size - 1), place);
    place->start = start;
    return KVA_OK;
}

static enum kva_status search_nearest(const struct field *field, const struct kva_demand *demand,
                                      struct kva_place *place)
{
    uint64_t target = demand->target;
    uint64_t most = UINT64_MAX; /* the highest start of interest above the target */
    uint64_t start = 0;         /* found at or below the target */
    enum kva_status below = search_between(field, demand, KVA_HIGHEST, 0, target, place);

    if (below == KVA_OK) {
        start = place->start;
        uint64_t distance = target - start;
        if (distance < 2) /* of two at equal distance, the lower one wins */
            return KVA_OK;
        most = add_saturated(target, distance - 1);
    }
    if (target < UINT64_MAX && search_between(field, demand, KVA_LOWEST, target + 1, most, place) == KVA_OK)
        return KVA_OK;
    return below == KVA_OK ? return_to(field, demand, start, place) : KVA_ENOSPC;
}

/** random * (most + 1) / 2^64, rounded down; by products of 32 bits, because not every compiler has longer
 *  ones. */
static uint64_t scale(uint64_t random, uint64_t most)
{
    const uint64_t low = UINT32_MAX;
    uint64_t low_low = (random & low) * (most & low);
    uint64_t high_low = (random >> 32) * (most & low) + (low_low >> 32);
    uint64_t low_high = (random & low) * (most >> 32) + (high_low & low);
    uint64_t high = (random >> 32) * (most >> 32) + (high_low >> 32) + (low_high >> 32);
    uint64_t rest = low_high << 32 | (low_low & low);

    return high + (rest > UINT64_MAX - random); /* the carry of adding `random`, for the 1 */
}

/** The start in the window that the caller's random bits denote, free or not; false if alignment and phase
 *  allow none. */
static bool random_start(const struct kva_demand *demand, uint64_t *start)
{
    struct kva_demand any = *demand;
    uint64_t step = demand->stride ? demand->stride : demand->align;
    uint64_t lowest;
    uint64_t highest;

    any.nocross = 0;
    any.policy = KVA_LOWEST;
    if (!kva_fit_in_hole(any.min, any.max, &any, &lowest))
        return false;
    any.policy = KVA_HIGHEST;
    (void)kva_fit_in_hole(any.min, any.max, &any, &highest);
    *start = lowest + scale(demand->random, divide(highest - lowest, step).quotient) * step;
    return true;
}

static enum kva_status search_random(const struct field *field, const struct kva_demand *demand,
                                     struct kva_place *place)
{
    uint64_t from;

    if (!random_start(demand, &from))
        return KVA_ENOSPC;
    enum kva_status status = search_between(field, demand, KVA_LOWEST, from, UINT64_MAX, place);
    if (status == KVA_OK || from == 0)
        return status;
    return search_between(field, demand, KVA_LOWEST, 0, from - 1, place);
}

/** Without an index: visit each hole in the window that is long enough, and keep the smallest in which the
 *  demand fits. */
static enum kva_status search_best(struct kva_address_map *map, const struct kva_demand *demand,
                                   struct kva_place *place)
{
    const struct field field = {map, NULL};
    struct kva_demand walk = any_place(map, demand, KVA_LOWEST);
    struct kva_demand lowest = *demand;
    uint64_t extent = 0;
    uint64_t best = 0;
    bool any = false;

    lowest.policy = KVA_LOWEST;
    do {
        uint64_t start;
        if (map->engine->search(map, &walk, place) != KVA_OK)
            break;
        uint64_t here = place->hole_last - place->hole_start;
        if ((any && here >= extent) || !fit_admitted(map, &lowest, place, &start))
            continue;
        any = true;
        extent = here;
        best = start;
    } while (!(any && extent == demand->size - 1) && pass_hole(&walk, place));
    return any ? return_to(&field, demand, best, place) : KVA_ENOSPC;
}

/** With an index: from the smallest hole that is long enough upwards, until one has a place. It is the lowest
 *  in that hole: kva_fit_in_hole takes another for KVA_HIGHEST only. */
static enum kva_status search_best_by_size(struct kva_address_map *map, const struct kva_demand *demand,
                                           struct kva_place *place)
{
    const struct kva_engine *engine = map->engine;
    struct kva_size size;

    for (bool more = kva_sizes_first(map->sizes, demand->size - 1, &size); more;
         more = kva_sizes_next(map->sizes, &size)) {
        uint64_t at = size.within;
        if (engine->locate(map, at, at + (map->quantum - 1), place) == KVA_OK &&
            fit_admitted(map, demand, place, &place->start)) {
            place->last = place->start + (demand->size - 1);
            return KVA_OK;
        }
    }
    return KVA_ENOSPC;
}

static enum kva_status search_by_policy(const struct field *field, const struct kva_demand *demand,
                                        struct kva_place *place)
{
    switch (demand->policy) {
    case KVA_NEAREST:
        return search_nearest(field, demand, place);
    case KVA_RANDOM:
        return search_random(field, demand, place);
    case KVA_BEST:
        if (field->hole)
            return search_between(field, demand, KVA_LOWEST, 0, UINT64_MAX, place);
        return field->map->sizes ? search_best_by_size(field->map, demand, place)
                                 : search_best(field->map, demand, place);
    case KVA_LOWEST:
    case KVA_HIGHEST:
        break;
    }
    return search_between(field, demand, demand->policy, 0, UINT64_MAX, place);
}

enum kva_status kva_policy_search(struct kva_address_map *map, const struct kva_demand *demand,
                                  struct kva_place *place)
{
    return search_by_policy(&(struct field){map, NULL}, demand, place);
}

bool kva_policy_in_hole(struct kva_address_map *map, const struct kva_demand *demand, uint64_t start,
                        uint64_t last, uint64_t *at)
{
    const struct kva_place hole = {start, last, start, last};
    struct kva_place place;

    if (!demand->is_elaborate) /* then demand->filter is not set */
        return kva_fit_in_hole(start, last, demand, at);
    if (search_by_policy(&(struct field){map, &hole}, demand, &place) != KVA_OK)
        return false;
    *at = place.start;
    return true;
}
