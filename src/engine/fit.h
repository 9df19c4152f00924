/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A demand, and its place in one hole. All engines use kva_fit_in_hole.
 */
#ifndef KVA_ENGINE_FIT_H
#define KVA_ENGINE_FIT_H

#include "../base/arith.h"

#include <kva/kva.h>

/** Find the segment that holds an address. */
typedef void kva_look(const void *where, uint64_t address, struct kva_segment *segment);

/** A validated request. size is a nonzero multiple of the quantum; [min, max] lies inside the address map and
 *  holds at least size bytes.
 *
 *  A PLAIN demand has a stride of 0 and accepts every multiple of align. A demand with a SHAPE accepts a
 *  start a if
 *
 *      a % stride == phase, and      stride: any number of quanta; phase < stride, a multiple of the quantum
 *      nocross == 0, or (a, a + size - 1] contains no multiple of nocross
 *                                    nocross: a power of two, at least size */
struct kva_demand {
    uint64_t size;
    uint64_t align; /* a power of two, at least the quantum; divides every accepted start */
    uint64_t min;
    uint64_t max;
    enum kva_policy policy;
    uint64_t stride;
    uint64_t phase;
    uint64_t nocross;

    /* Used by the space only (policy.h). */
    bool is_elaborate; /* a policy other than lowest and highest, or a filter: the fields below are set */
    uint64_t target;
    uint64_t random;
    kva_hole_filter *filter;
    void *filter_context;
    kva_look *look; /* finds the neighbours that a filter receives */
    const void *look_where;
};

/** kva_fit_in_hole for a demand with a shape. */
__attribute__((cold)) bool kva_fit_shape(uint64_t start, uint64_t last, const struct kva_demand *demand,
                                         uint64_t *at);

/** The lowest or highest start in the hole [start, last] that meets the demand; false if there is none.
 *
 *      start      min                        max     last
 *        |---------|==========================|--------|      the hole, cut to the window
 *                      |a         a + size - 1|               highest: the last start, aligned down
 *                  |->  a                                     lowest: the first start, aligned up
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
