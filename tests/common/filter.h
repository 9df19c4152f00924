/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Filters of holes for tests: each a function of the hole and its neighbours alone, so every engine and the
 *  model see the same. */
#ifndef KVA_TESTS_COMMON_FILTER_H
#define KVA_TESTS_COMMON_FILTER_H

#include "harness.h"

/** What a filter does, any of them together. An owner's colour is its bit 0. */
enum {
    TEST_GAP_BESIDE_BUSY = 1,     /* between the hole and a busy neighbour of colour 1 */
    TEST_GAP_BESIDE_DEFERRED = 2, /* above a deferred neighbour */
    TEST_GAP_AT_ENDS = 4,         /* at the ends of the space, where there is no neighbour */
    TEST_REFUSE_TWO_COLOURS = 8,  /* a hole between two busy neighbours of different colours */
    TEST_REFUSE_SOME = 16,        /* about every fourth hole, by where it begins and how long it is */
    TEST_WIDEN = 32,              /* both ends outwards, which the search has to clip */
    TEST_FILTER_RULES = 63
};

struct test_filter {
    unsigned rules;
    uint64_t gap;   /* any number of bytes */
    uint64_t calls; /* so far */
};

/** A kva_hole_filter; the context is a struct test_filter. */
bool test_filter(void *context, struct kva_hole *hole);

#endif
