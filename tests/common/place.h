/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The place of a space and its quantum. A test whose results depend on neither draws them from its seed, so
 * that a comparison or sum that is right only in the middle of pages fails:
 *
 *      quantum   1, 2, a page, or the largest with which the space fits 64 bits (2^60 for 16 quanta)
 *      first     0; as high as possible, so that it ends at 2^64 - 1; or between. A power of two of the
 *                largest quanta are all 2^64 addresses
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

/** The bytes of so many quanta; saturated at UINT64_MAX. */
uint64_t test_place_bytes(const struct test_place *place, uint64_t quanta);

#endif
