/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A log-linear histogram of 64-bit values: every power of two is cut into 128 buckets of equal width.
 *
 *      value     0  1  2 ... 255 | 256 258 260 ... 510 | 512 516 520 ... 1020 | 1024 ...
 *      width           1         |          2          |           4          |   8
 *
 * Adding a value costs a shift and an increment. The table takes 58 KiB for any number of values. The error
 * is bounded: values below 256 are exact; above, a bucket is at most 1/128 of its values wide. A quantile is
 * reported as the UPPER end of its bucket, so it is never too small, and less than 1/128 (0.8 %) too large.
 * The maximum is exact.
 */
#ifndef KVA_TOOLS_BENCH_HISTOGRAM_H
#define KVA_TOOLS_BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

/* The leading one and the next HISTOGRAM_BITS bits choose the bucket: a relative width of 2^-7. */
#define HISTOGRAM_BITS 7

/* A value of 64 bits loses up to 63 - 7 bits. Each such shift has 2^7 buckets, and those of shift 0 begin
 * 2^7 earlier, at value 0. */
#define HISTOGRAM_BUCKETS ((63 - HISTOGRAM_BITS + 2) << HISTOGRAM_BITS)

struct histogram {
    uint64_t count;
    uint64_t max; /* exact; 0 when there is no value */
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *histogram);

/** The bucket of a value; monotonic in the value. */
static inline size_t histogram_index(uint64_t value)
{
    /* The bit that is or-ed in makes all values below 2^8 share the shift 0. */
    unsigned shift =
        63u - (unsigned)__builtin_clzll(value | (UINT64_C(1) << HISTOGRAM_BITS)) - HISTOGRAM_BITS;
    return ((size_t)shift << HISTOGRAM_BITS) + (size_t)(value >> shift);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->count++;
    histogram->bucket[histogram_index(value)]++;
    if (value > histogram->max)
        histogram->max = value;
}

/** The largest value that falls into a bucket. */
uint64_t histogram_bucket_last(size_t index);

/** The smallest reportable value that at least the share `quantile` (0 to 1) of all values does not exceed:
 *  0.5 is the median, 1 the maximum. 0 when there is no value. */
uint64_t histogram_quantile(const struct histogram *histogram, double quantile);

/** The number of values in higher buckets than that of `value`. Larger values in the same bucket are not
 *  counted. */
uint64_t histogram_above(const struct histogram *histogram, uint64_t value);

#endif
