/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The log-linear histogram of kva bench: buckets of values, and errors of quantiles.
 */
#include "common/harness.h"

#include "tools/bench/histogram.h"

#include <stdlib.h>

#define VALUES 20000

static struct histogram histogram;

/** Buckets have no gap and no overlap: each bucket's last value is in it, and the next value in the next
 *  bucket. */
static void buckets_cover_all_numbers(void **state)
{
    (void)state;
    assert_int_equal(histogram_index(0), 0);
    for (size_t i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        uint64_t last = histogram_bucket_last(i);
        check_that(histogram_index(last) == i, "bucket %zu, last %" PRIu64, i, last);
        check_that(histogram_index(last + 1) == i + 1, "bucket %zu, last %" PRIu64, i, last);
    }
    assert_int_equal(histogram_index(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    assert_true(histogram_bucket_last(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 256; value++)
        assert_true(histogram_bucket_last(histogram_index(value)) == value);
    assert_true(histogram_bucket_last(histogram_index(256)) == 257);
}

/** The reported value is not below the true one, and exceeds it by at most 1/128. */
static void relative_error_is_bounded(void **state)
{
    (void)state;
    struct test_rng rng = test_rng_of(1);
    for (int i = 0; i < VALUES; i++) {
        uint64_t value = test_random(&rng) >> test_below(&rng, 64);
        uint64_t reported = histogram_bucket_last(histogram_index(value));
        check_that(reported >= value, "%" PRIu64 " is reported as %" PRIu64, value, reported);
        check_that(reported - value <= value / 128, "%" PRIu64 " is reported as %" PRIu64, value, reported);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/** Compares quantiles, the first and the last included, with a sorted copy of all values. */
static void quantiles_follow_the_sorted_values(void **state)
{
    (void)state;
    static uint64_t values[VALUES];
    static const double quantiles[] = {0, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    struct test_rng rng = test_rng_of(2);
    for (unsigned shift = 0; shift < 60; shift += 6) {
        histogram_init(&histogram);
        for (size_t i = 0; i < VALUES; i++) {
            values[i] = (test_random(&rng) >> shift) % (test_random(&rng) | 1); /* many small, few large */
            histogram_add(&histogram, values[i]);
        }
        qsort(values, VALUES, sizeof(values[0]), compare);
        for (size_t q = 0; q < sizeof(quantiles) / sizeof(quantiles[0]); q++) {
            double position = quantiles[q] * VALUES;
            size_t rank = (size_t)position;
            rank = (double)rank < position || rank == 0 ? rank : rank - 1;
            uint64_t reported = histogram_quantile(&histogram, quantiles[q]);
            check_that(reported >= values[rank] && reported - values[rank] <= values[rank] / 128,
                       "quantile %f: %" PRIu64 ", not %" PRIu64, quantiles[q], reported, values[rank]);
        }
        assert_true(histogram_quantile(&histogram, 1) == values[VALUES - 1]);
        assert_true(histogram.max == values[VALUES - 1]);
    }
}

static void an_empty_histogram_has_quantile_zero(void **state)
{
    (void)state;
    histogram_init(&histogram);
    assert_true(histogram_quantile(&histogram, 0.5) == 0);
    assert_true(histogram_above(&histogram, 0) == 0);
}

static void one_value_is_every_quantile(void **state)
{
    (void)state;
    histogram_init(&histogram);
    histogram_add(&histogram, 1000001);
    assert_true(histogram_quantile(&histogram, 0) == 1000001); /* limited to the exact maximum */
    assert_true(histogram_quantile(&histogram, 0.5) == 1000001);
    assert_true(histogram_quantile(&histogram, 1) == 1000001);
}

static void above_counts_higher_buckets(void **state)
{
    (void)state;
    histogram_init(&histogram);
    for (uint64_t value = 1; value <= 100; value++)
        histogram_add(&histogram, value);
    histogram_add(&histogram, UINT64_MAX);
    assert_true(histogram_above(&histogram, 0) == 101);
    assert_true(histogram_above(&histogram, 100) == 1);
    assert_true(histogram_above(&histogram, 50) == 51);
    assert_true(histogram_above(&histogram, UINT64_MAX) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_cover_all_numbers),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(relative_error_is_bounded),
        cmocka_unit_test(quantiles_follow_the_sorted_values),
        cmocka_unit_test(an_empty_histogram_has_quantile_zero),
        cmocka_unit_test(one_value_is_every_quantile),
        cmocka_unit_test(above_counts_higher_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
