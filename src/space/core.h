/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The plain core: one thread, no pools, nothing deferred. It validates and rounds requests, and has the
 * engine search and change the address map. Spaces add threads, pools, deferral and retries; vmap and its
 * per-CPU allocators use the core directly, under their own locks.
 *
 *      request      --validate, round--> demand        --search--> place --occupy--> busy segment
 *      start, size  --validate, round--> [start, last] --locate--> place --occupy--> busy segment
 *
 * The core reports no misuse: a function returns the status and notes the bad field. A failed call changes
 * nothing.
 */
#ifndef KVA_SPACE_CORE_H
#define KVA_SPACE_CORE_H

#include "../base/sync.h"
#include "policy.h"

/** The caller's names for the two values of a range, for kva_fault.field. */
struct kva_range_names {
    const char *start;
    const char *size;
};
extern const struct kva_range_names kva_range_plain; /* "start" and "size", the names of most arguments */

/** The range [start, *last] of `start` and `size`, with the size rounded up to the quantum. KVA_OK; or
 *  KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, and *bad. */
enum kva_status kva_range_of(uint64_t quantum, uint64_t start, uint64_t size,
                             const struct kva_range_names *names, uint64_t *last, struct kva_bad *bad);

/** The same, and KVA_ERANGE if part of it lies outside the address map. */
enum kva_status kva_range_inside(const struct kva_address_map *map, uint64_t start, uint64_t size,
                                 const struct kva_range_names *names, uint64_t *last, struct kva_bad *bad);

/** Whether all of [start, last] belongs to the space. KVA_OK; or KVA_ERANGE if part of it lies outside the
 *  address map or is absent, and *bad. O(1) if no segment is absent; else as the engine's next_deferred. */
enum kva_status kva_range_present(const struct kva_address_map *map, uint64_t start, uint64_t last,
                                  const struct kva_range_names *names, struct kva_bad *bad);

/** Whether [first, last] may be the bounds of an address map. KVA_OK; or KVA_EALIGN, KVA_ERANGE, and *bad. */
enum kva_status kva_validate_bounds(uint64_t first, uint64_t last, uint64_t quantum, struct kva_bad *bad);

/** Round a request to the quantum and clip its window to the address map. The window [0, 0] means the whole
 *  address map. KVA_OK; or KVA_EINVAL, KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, KVA_EWINDOW, and *bad. */
enum kva_status kva_demand_of(const struct kva_address_map *map, const struct kva_request *request,
                              struct kva_demand *demand, struct kva_bad *bad);

/** Find the place for a demand. KVA_OK, KVA_ENOSPC. */
static inline enum kva_status core_search(struct kva_address_map *map, const struct kva_demand *demand,
                                          struct kva_place *place)
{
    if (demand->max - demand->min < demand->size - 1)
        return KVA_ENOSPC;
    if (__builtin_expect(demand->is_elaborate, false))
        return kva_policy_search(map, demand, place);
    return map->engine->search(map, demand, place);
}

/** Allocate the range for a demand. KVA_OK and *start; KVA_ENOSPC, KVA_ENOMEM. */
static inline enum kva_status core_alloc(struct kva_address_map *map, const struct kva_demand *demand,
                                         void *owner, uint64_t *start)
{
    struct kva_place place;
    enum kva_status status = core_search(map, demand, &place);
    if (status != KVA_OK)
        return status;
    *start = place.start;
    return map->engine->occupy(map, &place, owner);
}

/** Allocate the range for a request. KVA_OK and *start; KVA_ENOSPC, KVA_ENOMEM; or a status of kva_demand_of,
 *  and *bad. */
enum kva_status kva_core_alloc(struct kva_address_map *map, const struct kva_request *request,
                               uint64_t *start, struct kva_bad *bad);

/** Allocate [start, last], which lies inside the address map. KVA_OK, KVA_EEXIST (not all of it is free),
 *  KVA_ENOMEM. */
static inline enum kva_status core_reserve(struct kva_address_map *map, uint64_t start, uint64_t last,
                                           void *owner)
{
    struct kva_place place;
    enum kva_status status = map->engine->locate(map, start, last, &place);

    return status == KVA_OK ? map->engine->occupy(map, &place, owner) : status;
}

/** Free the busy segment that starts at `start`. KVA_OK, KVA_ENOENT (none starts there). */
static inline enum kva_status core_free(struct kva_address_map *map, uint64_t start)
{
    return map->engine->free(map, start);
}

/** Free [start, last], which lies inside the busy segment `whole`. KVA_OK; KVA_ENOMEM, for the segment's head
 *  or middle only. */
enum kva_status kva_core_free_part(struct kva_address_map *map, const struct kva_segment *whole,
                                   uint64_t start, uint64_t last);

/** Free all busy addresses in [start, last]; returns their bytes, modulo 2^64. If a busy segment reaches out
 *  of the range, the caller has prepared one operation. `threads`, which may be NULL, is for sync_point after
 *  each change. */
uint64_t kva_core_clear(struct kva_address_map *map, uint64_t start, uint64_t last,
                        const struct kva_threads *threads);

/** Move the end of the busy segment that starts at `start` to `last`. KVA_OK, KVA_ENOENT, KVA_ENOSPC (the
 *  addresses after it are not free, or the address map ends before `last`), KVA_ENOMEM. */
static inline enum kva_status core_resize(struct kva_address_map *map, uint64_t start, uint64_t last)
{
    return last <= map->last ? map->engine->resize(map, start, last) : KVA_ENOSPC;
}

/** Move the ends of the address map outwards. An index by size that cannot represent the new addresses is
 *  dropped: best fit gives the same results without it, only slower. KVA_OK, KVA_ENOMEM. */
static inline enum kva_status core_extend(struct kva_address_map *map, uint64_t first, uint64_t last)
{
    struct kva_sizes *sizes = map->sizes;

    if (!index_reaches(map->quantum, last))
        map->sizes = NULL; /* its memory is freed with the address map */
    enum kva_status status = map->engine->extend(map, first, last);
    if (status != KVA_OK)
        map->sizes = sizes;
    return status;
}

static inline bool core_holds(const struct kva_address_map *map, uint64_t address)
{
    return address >= map->first && address <= map->last;
}

/** The segment that holds an address of the address map. */
static inline void core_find(const struct kva_address_map *map, uint64_t address, struct kva_segment *segment)
{
    map->engine->lookup(map, address, segment);
}

/** The status of kva_free for `start`, which the segment holds. KVA_OK if an allocation starts there. */
enum kva_status kva_status_of_start(const struct kva_segment *segment, uint64_t start);

#endif
