/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Pictures of a space, and their comparison. */
#include "picture.h"

#include <stdlib.h>
#include <string.h>

static void append(struct test_picture *picture, const struct kva_segment *segment)
{
    if (picture->count == picture->capacity) {
        picture->capacity = picture->capacity == 0 ? 64 : 2 * picture->capacity;
        picture->segments = realloc(picture->segments, picture->capacity * sizeof(*segment));
        assert_non_null(picture->segments);
    }
    picture->segments[picture->count++] = *segment;
}

void test_picture_take(struct test_picture *picture, const struct kva_space *space)
{
    struct kva_segment segment;
    enum kva_status status;

    picture->count = 0;
    for (status = kva_first(space, &segment); status == KVA_OK; status = kva_next(space, &segment))
        append(picture, &segment);
    assert_int_equal(status, KVA_ENOENT);
    assert_int_equal(kva_stats_read(space, &picture->stats), KVA_OK);
    memcpy(&picture->bytes, space, sizeof(*space));
}

void test_picture_drop(struct test_picture *picture)
{
    free(picture->segments);
    memset(picture, 0, sizeof(*picture));
}

bool test_same_segment(const struct kva_segment *a, const struct kva_segment *b)
{
    return a->start == b->start && a->last == b->last && a->owner == b->owner && a->state == b->state;
}

bool test_same_listing(const struct test_picture *a, const struct test_picture *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (!test_same_segment(&a->segments[i], &b->segments[i]))
            return false;
    }
    return true;
}

bool test_same_stats(const struct kva_stats *a, const struct kva_stats *b)
{
    return a->free_bytes == b->free_bytes && a->busy_bytes == b->busy_bytes &&
           a->deferred_bytes == b->deferred_bytes && a->largest_free == b->largest_free &&
           a->free_segments == b->free_segments && a->busy_segments == b->busy_segments &&
           a->deferred_segments == b->deferred_segments && a->pooled_bytes == b->pooled_bytes &&
           a->pooled_segments == b->pooled_segments && a->flushes == b->flushes;
}

void test_expect_same(const struct test_picture *before, const struct kva_space *space, const char *what)
{
    struct test_picture after = {0};

    test_picture_take(&after, space);
    check_that(test_same_listing(before, &after), "the listing changed: %s", what);
    check_that(test_same_stats(&before->stats, &after.stats), "the statistics changed: %s", what);
    test_picture_drop(&after);
}

void test_expect_untouched(const struct test_picture *before, const struct kva_space *space, const char *what)
{
    struct kva_stats stats;

    check_that(memcmp(&before->bytes, space, sizeof(*space)) == 0, "struct kva_space changed: %s", what);
    test_expect_same(before, space, what);
    assert_int_equal(kva_stats_read(space, &stats), KVA_OK);
    check_that(stats.memory_bytes == before->stats.memory_bytes, "memory_bytes changed: %s", what);
}

/** Bytes of one or more segments, saturated at 2^64 - 1. */
static uint64_t saturated_sum(uint64_t sum, uint64_t extent)
{
    return extent >= UINT64_MAX - sum ? UINT64_MAX : sum + extent + 1;
}

/** The statistics that the listing implies. flushes and memory_bytes do not follow from it. */
static struct kva_stats add_up(const struct test_picture *picture)
{
    struct kva_stats stats;

    memset(&stats, 0, sizeof(stats));
    for (size_t i = 0; i < picture->count; i++) {
        const struct kva_segment *segment = &picture->segments[i];
        uint64_t extent = segment->last - segment->start;
        switch (segment->state) {
        case KVA_FREE:
            stats.free_segments++;
            stats.free_bytes = saturated_sum(stats.free_bytes, extent);
            if (saturated_sum(0, extent) > stats.largest_free)
                stats.largest_free = saturated_sum(0, extent);
            break;
        case KVA_BUSY:
            stats.busy_segments++;
            stats.busy_bytes = saturated_sum(stats.busy_bytes, extent);
            break;
        case KVA_DEFERRED:
            stats.deferred_segments++;
            stats.deferred_bytes = saturated_sum(stats.deferred_bytes, extent);
            break;
        case KVA_POOLED:
            stats.pooled_segments++;
            stats.pooled_bytes = saturated_sum(stats.pooled_bytes, extent);
            break;
        case KVA_ABSENT: /* no call returns it */
            assert_true(false);
            break;
        }
    }
    stats.flushes = picture->stats.flushes;
    stats.memory_bytes = picture->stats.memory_bytes;
    return stats;
}

/** Two segments are adjacent, or the range between them is absent. */
static void expect_neighbours(const struct kva_space *space, const struct kva_segment *below,
                              const struct kva_segment *above)
{
    struct kva_segment none;

    assert_true(above->start > below->last);
    if (above->start - 1 == below->last) {
        assert_false(below->state == KVA_FREE && above->state == KVA_FREE);
        return;
    }
    assert_int_equal(kva_find(space, below->last + 1, &none), KVA_ENOENT);
    assert_int_equal(kva_find(space, above->start - 1, &none), KVA_ENOENT);
}

static void expect_map(const struct kva_space *space, const struct test_picture *picture, uint64_t first,
                       uint64_t last)
{
    const struct kva_segment *segments = picture->segments;

    assert_true(picture->count > 0);
    assert_int_equal(segments[0].start, first);
    assert_int_equal(segments[picture->count - 1].last, last);
    for (size_t i = 0; i < picture->count; i++) {
        assert_true(segments[i].start <= segments[i].last);
        if (segments[i].state == KVA_FREE || segments[i].state == KVA_POOLED)
            assert_null(segments[i].owner);
        if (i > 0)
            expect_neighbours(space, &segments[i - 1], &segments[i]);
    }
}

void test_expect_sound(const struct kva_space *space, uint64_t first, uint64_t last)
{
    struct test_picture picture = {0};
    struct kva_fault fault;
    enum kva_status status = kva_space_check(space, &fault);

    check_that(status == KVA_OK, "%s at %#" PRIx64, fault.what, fault.address);
    test_picture_take(&picture, space);
    expect_map(space, &picture, first, last);
    struct kva_stats sum = add_up(&picture);
    check_that(test_same_stats(&picture.stats, &sum), "the statistics are not what the listing adds up to");
    test_picture_drop(&picture);
}
