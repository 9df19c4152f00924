/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What a search looks for, and where it fits into one hole. Every engine asks kva_fit_in_hole, and nothing
 * else decides it.
 */
#ifndef KVA_ENGINE_FIT_H
#define KVA_ENGINE_FIT_H

#include "../base/arith.h"

#include <kva/kva.h>

/** Find the segment that holds an address. */
typedef void kva_look(const void *where, uint64_t address, struct kva_segment *segment);

/** What to search for. The space has made it plausible: size is a multiple of the quantum and not 0, [min,
 *  max] lies inside the address map and is at least size long.
 *
 *  A PLAIN demand has a stride of 0: every multiple of align will do. Any other has a SHAPE, and is met by a
 *  start a if
 *
 *      a % stride == phase      stride: any number of quanta; phase: below it, a multiple of the quantum
 *      nocross == 0, or no multiple of nocross lies inside (a, a + size - 1]
 *                               nocross: a power of two, at least size */
struct kva_demand {
    uint64_t size;
    uint64_t align; /* a power of two, at least the quantum, that divides every start that meets the demand */
    uint64_t min;
    uint64_t max;
    enum kva_policy policy;
    uint64_t stride;
    uint64_t phase;
    uint64_t nocross;

    /* What only the space looks at (policy.h). */
    bool is_elaborate; /* another policy than lowest or highest, or a filter: what follows is set */
    uint64_t target;
    uint64_t random;
    kva_hole_filter *filter;
    void *filter_context;
    kva_look *look; /* how a filter's neighbours are found */
    const void *look_where;
};

/** kva_fit_in_hole for a demand with a shape. */
__attribute__((cold)) bool kva_fit_shape(uint64_t start, uint64_t last, const struct kva_demand *demand,
                                         uint64_t *at);

/** The lowest or highest start in the hole [start, last] that meets the demand; false when there is none.
 *
 *      start      min                        max     last
 *        |---------|==========================|--------|      the hole, cut to the window
 *                      |a         a + size - 1|               highest: as far right as it goes, then down
 *                  |->  a                                     lowest: as far left as it goes, then up
 */
static inline bool kva_fit_in_hole(uint64_t start, uint64_t last, const struct kva_demand *demand,
                                   uint64_t *at)
{
    uint64_t low = max_u64(start, demand->min);
    uint64_t high = min_u64(last, demand->max);
    uint64_t extent = demand->size - 1;
    uint64_t a = low;

    if (__builtin_expect(demand->stride != 0, 0))
        return kva_fit_shape(start, last, demand, at);
    if (low > high || high - low < extent)
        return false;
    if (demand->policy == KVA_HIGHEST)
        a = align_down(high - extent, demand->align);
    else if (!align_up(low, demand->align, &a))
        return false;
    *at = a;
    return a >= low && a <= high && high - a >= extent;
}

#endif
