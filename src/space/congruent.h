/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Congruent ranges: find a base at which each of several parts is free at its own offset.
 *
 *      base          base + offset[1]              base + offset[2]
 *      |== part 0 ==|      |= part 1 =|                  |=== part 2 ===|
 *
 * ALGORITHM, for the highest policy; the lowest is its mirror image. Find the highest base at which part 0
 * fits. Then, for one part after the other, cyclically, find the highest base AT MOST THAT at which the part
 * fits. Each result is an upper bound of every base that suits all parts, so none is missed. When a whole
 * round has agreed on one base, it suits all parts, and it is the highest.
 *
 * COST. At most `count` searches between two moves of the base.
 *
 * LOCKING. None: it works on the plain core, one thread at a time.
 *
 * SOURCE. Linux places its per-CPU areas by such a search from the highest base down (pcpu_get_vm_areas). The
 * exact search of each step is our own. The code was written afresh.
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

/** Whether parts have the order and alignment that kva_alloc_congruent requires. KVA_OK, and *extent from the
 *  first part's start to the last part's end; or KVA_EINVAL, KVA_EALIGN, KVA_ESIZE, KVA_EWRAP, and *bad. */
enum kva_status kva_validate_parts(const struct kva_part *parts, size_t count, uint64_t align,
                                   uint64_t quantum, uint64_t *extent, struct kva_bad *bad);

/** Find the lowest or highest base at which all parts fit. The parts are validated. The demand is for the
 *  base: its window is that of the parts, less their extent, and its size is not read. KVA_OK, KVA_ENOSPC. */
enum kva_status kva_congruent_search(struct kva_address_map *map, struct kva_demand *demand,
                                     struct kva_congruence *congruence);

/** Allocate all parts at the base that was found. KVA_OK, KVA_ENOMEM. `threads`, which may be NULL, is for
 *  sync_point after each part. */
enum kva_status kva_congruent_occupy(struct kva_address_map *map, const struct kva_congruence *congruence,
                                     const struct kva_threads *threads);

/** The demand for the base: its window is the request's, less the parts' extent. The request's size is not
 *  read. KVA_OK, KVA_ENOSPC (the window is shorter than that); or a status of kva_demand_of or
 *  kva_validate_parts, and *bad. */
enum kva_status kva_congruent_demand_of(const struct kva_address_map *map, const struct kva_request *request,
                                        const struct kva_part *parts, size_t count, struct kva_demand *demand,
                                        struct kva_bad *bad);

#endif
