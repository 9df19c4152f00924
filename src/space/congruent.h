/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Congruent ranges. Where must the base lie so that every part finds room?
 *
 *      base          base + offset[1]              base + offset[2]
 *      |== part 0 ==|      |= part 1 =|                  |=== part 2 ===|
 *
 * Take the highest policy (the lowest is the mirror image). Ask for the highest base at which part 0 fits;
 * then, part by part and round and round, for the highest base AT MOST THAT at which the next part fits. Each
 * result is an upper bound for every base that suits all parts, so none is ever missed; once a whole round
 * has agreed on one base, it suits them all, and it is the highest. It is the search that Linux does for its
 * per-CPU areas (pcpu_get_vm_areas), with an exact search where that one steps along a list. Between two
 * moves of the base lie at most count searches.
 *
 * It works on the plain core: one thread at a time.
 */
#ifndef KVA_SPACE_CONGRUENT_H
#define KVA_SPACE_CONGRUENT_H

#include "../base/sync.h"
#include "core.h"

struct kva_congruence {
    const struct kva_part *parts;
    size_t count;
    void *owner;
    uint64_t base; /* found by kva_congruent_search */
};

/** Whether parts lie as kva_alloc_congruent wants them: KVA_OK, and *extent is the span from the first part's
 *  start to the last one's end; or KVA_EINVAL, KVA_EALIGN, KVA_ESIZE, KVA_EWRAP, and *bad. */
enum kva_status kva_validate_parts(const struct kva_part *parts, size_t count, uint64_t align,
                                   uint64_t quantum, uint64_t *extent, struct kva_bad *bad);

/** Find the lowest or highest base at which all parts, which were validated, fit. The demand is for the base:
 *  its window is that of the parts, less their extent, and its size is not read. KVA_OK, KVA_ENOSPC. */
enum kva_status kva_congruent_search(struct kva_address_map *map, struct kva_demand *demand,
                                     struct kva_congruence *congruence);

/** Allocate all parts at the base that was found. KVA_OK, KVA_ENOMEM. `threads` may be NULL: they get a turn
 *  after each part. */
enum kva_status kva_congruent_occupy(struct kva_address_map *map, const struct kva_congruence *congruence,
                                     const struct kva_threads *threads);

/** The demand for the base of a request whose size is not read: its window is the request's, less what the
 *  parts need above the base. KVA_OK, KVA_ENOSPC (nothing is left of it); or a status of kva_demand_of or
 *  kva_validate_parts, and *bad. */
enum kva_status kva_congruent_demand_of(const struct kva_address_map *map, const struct kva_request *request,
                                        const struct kva_part *parts, size_t count, struct kva_demand *demand,
                                        struct kva_bad *bad);

#endif
