/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Filters of holes for tests. Each depends only on the hole and its neighbours, so all engines and the model
 * agree. */
#ifndef KVA_TESTS_COMMON_FILTER_H
#define KVA_TESTS_COMMON_FILTER_H

#include "harness.h"

/** The rules of a filter, in any combination. The kind of an owner is bit 0 of the pointer. */
enum {
    TEST_GAP_BESIDE_BUSY = 1,     /* between the hole and a busy neighbour of kind 1 */
    TEST_GAP_BESIDE_DEFERRED = 2, /* above a deferred neighbour */
    TEST_GAP_AT_ENDS = 4,         /* at the ends of the space, where there is no neighbour */
    TEST_REFUSE_TWO_KINDS = 8,    /* a hole between two busy neighbours of different kinds */
    TEST_REFUSE_SOME = 16,        /* about every fourth hole, by its start and length */
    TEST_WIDEN = 32,              /* both ends outwards; the search has to clip them */
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
