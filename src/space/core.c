/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The plain core; see core.h. */
#include "core.h"

/* ------------------------------------------------------------------------------------------- ranges */

const struct kva_range_names kva_range_plain = {"start", "size"};

enum kva_status kva_range_of(uint64_t quantum, uint64_t start, uint64_t size,
                             const struct kva_range_names *names, uint64_t *last, struct kva_bad *bad)
{
    uint64_t rounded;

    if (size == 0)
        return bad_field(bad, KVA_ESIZE, names->size);
    if (!is_aligned(start, quantum))
        return bad_field(bad, KVA_EALIGN, names->start);
    if (!align_up(size, quantum, &rounded) || !last_of_range(start, rounded, last))
        return bad_field(bad, KVA_EWRAP, names->size); /* a size that rounds up to 2^64 is refused as well */
    return KVA_OK;
}

static enum kva_status validate_inside(const struct kva_address_map *map, uint64_t start, uint64_t last,
                                       const struct kva_range_names *names, struct kva_bad *bad)
{
    if (start < map->first || start > map->last)
        return bad_field(bad, KVA_ERANGE, names->start);
    return last > map->last ? bad_field(bad, KVA_ERANGE, names->size) : KVA_OK;
}

enum kva_status kva_range_inside(const struct kva_address_map *map, uint64_t start, uint64_t size,
                                 const struct kva_range_names *names, uint64_t *last, struct kva_bad *bad)
{
    enum kva_status status = kva_range_of(map->quantum, start, size, names, last, bad);

    return status == KVA_OK ? validate_inside(map, start, *last, names, bad) : status;
}

enum kva_status kva_range_present(const struct kva_address_map *map, uint64_t start, uint64_t last,
                                  const struct kva_range_names *names, struct kva_bad *bad)
{
    enum kva_status status = validate_inside(map, start, last, names, bad);
    struct kva_segment segment;

    if (status != KVA_OK || map->tally.segments[KVA_ABSENT] == 0)
        return status;
    core_find(map, start, &segment);
    if (segment.state == KVA_ABSENT)
        return bad_field(bad, KVA_ERANGE, names->start);
    status = map->engine->next_deferred(map, KVA_EPOCH_ABSENT, start, last, &segment);
    return status == KVA_OK ? bad_field(bad, KVA_ERANGE, names->size) : KVA_OK;
}

enum kva_status kva_validate_bounds(uint64_t first, uint64_t last, uint64_t quantum, struct kva_bad *bad)
{
    if (!is_aligned(first, quantum))
        return bad_field(bad, KVA_EALIGN, "first");
    if (!is_aligned(last + 1, quantum)) /* 2^64 wraps to 0, a multiple */
        return bad_field(bad, KVA_EALIGN, "last");
    return first > last ? bad_field(bad, KVA_ERANGE, "last") : KVA_OK;
}

/* ------------------------------------------------------------------------------------------ requests */

/** 0 if a request restricts its start by an alignment that is a power of two only. */
static inline uint64_t start_shape(const struct kva_request *request)
{
    return request->phase | request->nocross | (request->align & (request->align - 1));
}

/** Whether a request has no shape, filter or flags, and its policy is lowest or highest. */
static inline bool is_plain_request(const struct kva_request *request)
{
    unsigned rest = ((unsigned)request->policy & ~1U) | request->flags;

    return (start_shape(request) | rest | (uintptr_t)request->filter) == 0;
}

static void look_at_map(const void *map, uint64_t address, struct kva_segment *segment)
{
    core_find(map, address, segment);
}

/** Add the shape of a request to a demand whose size is known. */
static enum kva_status demand_shape(const struct kva_address_map *map, const struct kva_request *request,
                                    struct kva_demand *demand, struct kva_bad *bad)
{
    uint64_t stride = max_u64(request->align, map->quantum);

    if (!has_one_bit_at_most(request->align) && !is_aligned(request->align, map->quantum))
        return bad_field(bad, KVA_EALIGN, "align");
    if (request->phase >= stride || !is_aligned(request->phase, map->quantum))
        return bad_field(bad, KVA_EALIGN, "phase");
    if (!has_one_bit_at_most(request->nocross))
        return bad_field(bad, KVA_EALIGN, "nocross");
    if (request->nocross != 0 && request->nocross < demand->size)
        return bad_field(bad, KVA_ESIZE, "nocross");
    if (start_shape(request) == 0)
        return KVA_OK;
    demand->align = UINT64_C(1) << lowest_bit(stride | request->phase);
    demand->stride = stride;
    demand->phase = request->phase;
    demand->nocross = request->nocross;
    return KVA_OK;
}

/** Complete the demand of a request that is not plain. Its size and window are known. Not inline, so that
 *  plain requests do not pay for it. */
static __attribute__((noinline)) enum kva_status demand_further(const struct kva_address_map *map,
                                                                const struct kva_request *request,
                                                                struct kva_demand *demand,
                                                                struct kva_bad *bad)
{
    if ((unsigned)request->policy > KVA_RANDOM)
        return bad_field(bad, KVA_EINVAL, "policy");
    if (request->flags & ~(unsigned)KVA_NO_BLOCK)
        return bad_field(bad, KVA_EINVAL, "flags");
    demand->is_elaborate = (unsigned)request->policy > KVA_HIGHEST || request->filter;
    demand->target = request->target;
    demand->random = request->random;
    demand->filter = request->filter;
    demand->filter_context = request->filter_context;
    demand->look = look_at_map;
    demand->look_where = map;
    return demand_shape(map, request, demand, bad);
}

/** The window [request->min, max] must meet the address map. */
static enum kva_status validate_window(const struct kva_address_map *map, uint64_t min, uint64_t max,
                                       struct kva_bad *bad)
{
    if (min > max || max < map->first)
        return bad_field(bad, KVA_EWINDOW, "max");
    return min > map->last ? bad_field(bad, KVA_EWINDOW, "min") : KVA_OK;
}

/** Inline: every allocation runs through kva_core_alloc. */
static inline enum kva_status demand_of(const struct kva_address_map *map, const struct kva_request *request,
                                        struct kva_demand *demand, struct kva_bad *bad)
{
    uint64_t max = (request->min | request->max) == 0 ? UINT64_MAX : request->max;

    if (request->size == 0)
        return bad_field(bad, KVA_ESIZE, "size");
    if (!align_up(request->size, map->quantum, &demand->size))
        return bad_field(bad, KVA_EWRAP, "size");
    enum kva_status status = validate_window(map, request->min, max, bad);
    if (status != KVA_OK)
        return status;
    demand->align = max_u64(request->align, map->quantum);
    demand->min = max_u64(request->min, map->first);
    demand->max = min_u64(max, map->last);
    demand->policy = request->policy;
    demand->stride = 0;
    demand->is_elaborate = false;
    return is_plain_request(request) ? KVA_OK : demand_further(map, request, demand, bad);
}

enum kva_status kva_demand_of(const struct kva_address_map *map, const struct kva_request *request,
                              struct kva_demand *demand, struct kva_bad *bad)
{
    return demand_of(map, request, demand, bad);
}

enum kva_status kva_core_alloc(struct kva_address_map *map, const struct kva_request *request,
                               uint64_t *start, struct kva_bad *bad)
{
    struct kva_demand demand;
    enum kva_status status = demand_of(map, request, &demand, bad);

    return status == KVA_OK ? core_alloc(map, &demand, request->owner, start) : status;
}

/* ------------------------------------------------------------------------------------------ freeing */

/** The engine's call depends on the part:
 *
 *       whole         |====================|     free
 *       head          |=========|-- busy --|     trim
 *       tail          |-- busy --|=========|     resize
 *       middle        |- busy -|====|- busy -|   punch */
enum kva_status kva_core_free_part(struct kva_address_map *map, const struct kva_segment *whole,
                                   uint64_t start, uint64_t last)
{
    const struct kva_engine *engine = map->engine;

    if (whole->start == start)
        return whole->last == last ? engine->free(map, start) : engine->trim(map, start, last + 1);
    return whole->last == last ? engine->resize(map, whole->start, start - 1)
                               : engine->punch(map, whole->start, start, last);
}

/** Free the part in [start, last] of the busy segment at `at`, if the segment reaches out of that range. */
static void cut_at_end(struct kva_address_map *map, uint64_t at, uint64_t start, uint64_t last)
{
    struct kva_segment segment;

    core_find(map, at, &segment);
    if (segment.state == KVA_BUSY && (segment.start < start || segment.last > last))
        (void)kva_core_free_part(map, &segment, max_u64(segment.start, start), min_u64(segment.last, last));
}

/** First the two segments that hold the ends, which may be one; then all segments between. */
uint64_t kva_core_clear(struct kva_address_map *map, uint64_t start, uint64_t last,
                        const struct kva_threads *threads)
{
    uint64_t before = map->tally.bytes[KVA_BUSY];

    cut_at_end(map, start, start, last);
    sync_point(threads);
    cut_at_end(map, last, start, last);
    sync_point(threads);
    map->engine->clear(map, start, last);
    return before - map->tally.bytes[KVA_BUSY];
}

enum kva_status kva_status_of_start(const struct kva_segment *segment, uint64_t start)
{
    switch (segment->state) {
    case KVA_FREE:
    case KVA_POOLED:
        return KVA_EDOUBLE;
    case KVA_DEFERRED:
        return KVA_EDEFERRED;
    case KVA_ABSENT:
        return KVA_EUNKNOWN;
    case KVA_BUSY:
        break;
    }
    return segment->start == start ? KVA_OK : KVA_EINTERIOR;
}
