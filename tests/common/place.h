/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Where a space lies and what its quantum is. A test whose answers do not depend on either draws them from
 * its seed, so that comparisons and sums that are right in the middle of pages alone do not pass:
 *
 *      quantum   1, 2, a page, or the largest with which the space fits 64 bits (2^60 for 16 quanta)
 *      first     0; as high as the space goes, so that it ends at 2^64 - 1; or in between. A power of two of the largest
 *                quanta are all 2^64 addresses
 */
#ifndef KVA_TESTS_COMMON_PLACE_H
#define KVA_TESTS_COMMON_PLACE_H

#include "harness.h"

struct test_place {
    uint64_t first;
    uint64_t quantum;
};

enum { TEST_PLACES = 12 };

/** Place `number`, modulo TEST_PLACES, of a space of `quanta`. */
struct test_place test_place(uint64_t number, uint64_t quanta);

/** The bytes of so many quanta; UINT64_MAX for 2^64 and what is larger. */
uint64_t test_place_bytes(const struct test_place *place, uint64_t quanta);

#endif
