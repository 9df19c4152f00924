/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A picture of a space: all that a user can see of it, and the bytes of struct kva_space besides. Two
 * pictures taken around a failed call must be the same.
 */
#ifndef KVA_TESTS_COMMON_PICTURE_H
#define KVA_TESTS_COMMON_PICTURE_H

#include "harness.h"

struct test_picture {
    struct kva_segment *segments; /* the listing, in address order */
    size_t count;
    size_t capacity;
    struct kva_stats stats;
    struct kva_space bytes;
};

/** Look at a space. The picture is zero-initialised, or one taken before, which it replaces. */
void test_picture_take(struct test_picture *picture, const struct kva_space *space);

/** Give its memory back. */
void test_picture_drop(struct test_picture *picture);

/** Whether two listings are the same, segment by segment. */
bool test_same_listing(const struct test_picture *a, const struct test_picture *b);

/** Whether two sets of statistics are the same but for memory_bytes, which engines and time change. */
bool test_same_stats(const struct kva_stats *a, const struct kva_stats *b);

/** Fail unless the space looks as in the picture: listing and statistics. */
void test_expect_same(const struct test_picture *before, const struct kva_space *space, const char *what);

/** As above, and struct kva_space byte for byte, and memory_bytes. */
void test_expect_untouched(const struct test_picture *before, const struct kva_space *space,
                           const char *what);

/** Fail unless kva_space_check is satisfied, the address map has no gap but what is absent, no overlap and
 *  no two adjacent holes, and the statistics are what the listing adds up to. */
void test_expect_sound(const struct kva_space *space, uint64_t first, uint64_t last);

/** Whether two segments are the same. (Never memcmp: the structure has padding.) */
bool test_same_segment(const struct kva_segment *a, const struct kva_segment *b);

#endif
