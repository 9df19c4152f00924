/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "histogram.h"

#include <math.h>
#include <string.h>

void histogram_init(struct histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
}

uint64_t histogram_bucket_last(size_t index)
{
    if (index < ((size_t)2 << HISTOGRAM_BITS))
        return index;
    size_t shift = (index >> HISTOGRAM_BITS) - 1;
    uint64_t leading = index - (shift << HISTOGRAM_BITS);
    /* For the last bucket the shift drops the only bit, and 0 - 1 is 2^64 - 1, as required. */
    return ((leading + 1) << shift) - 1;
}

/** The rank, from 1, of the smallest value with at least the share `quantile` at or below it. */
static uint64_t rank_of(const struct histogram *histogram, double quantile)
{
    double rank = ceil(quantile * (double)histogram->count);
    if (rank < 1)
        return 1;
    return rank >= (double)histogram->count ? histogram->count : (uint64_t)rank;
}

uint64_t histogram_quantile(const struct histogram *histogram, double quantile)
{
    if (histogram->count == 0)
        return 0;
    uint64_t rank = rank_of(histogram, quantile);
    uint64_t passed = 0;
    size_t index = 0;
    while ((passed += histogram->bucket[index]) < rank)
        index++;
    uint64_t last = histogram_bucket_last(index);
    return last < histogram->max ? last : histogram->max;
}

uint64_t histogram_above(const struct histogram *histogram, uint64_t value)
{
    uint64_t above = 0;
    for (size_t index = histogram_index(value) + 1; index < HISTOGRAM_BUCKETS; index++)
        above += histogram->bucket[index];
    return above;
}
