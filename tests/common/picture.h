/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A picture of a space: everything that a user can see of it, and the bytes of struct kva_space. Two pictures
 * taken around a failed call must be equal.
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

/** Take a picture of a space. It must be zero-initialised, or a former one, which is replaced. */
void test_picture_take(struct test_picture *picture, const struct kva_space *space);

/** Free its memory. */
void test_picture_drop(struct test_picture *picture);

/** Whether two listings are equal, segment by segment. */
bool test_same_listing(const struct test_picture *a, const struct test_picture *b);

/** Whether two sets of statistics are equal except for memory_bytes, which depends on the engine and the
 * history. */
bool test_same_stats(const struct kva_stats *a, const struct kva_stats *b);

/** Fail unless the space matches the picture: listing and statistics. */
void test_expect_same(const struct test_picture *before, const struct kva_space *space, const char *what);

/** As above; in addition struct kva_space byte for byte, and memory_bytes. */
void test_expect_untouched(const struct test_picture *before, const struct kva_space *space,
                           const char *what);

/** Fail unless kva_space_check passes, the address map has no gap except absent ranges, no overlap and no two
 * adjacent holes, and the statistics follow from the listing. */
void test_expect_sound(const struct kva_space *space, uint64_t first, uint64_t last);

/** Whether two segments are equal. (Never memcmp: the structure has padding.) */
bool test_same_segment(const struct kva_segment *a, const struct kva_segment *b);

#endif
