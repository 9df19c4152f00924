/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "times.h"

#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

/** Copy the values in ascending order. Returns their median. */
static double sort(double sorted[REPS_MAX], const double *values, size_t count)
{
    memcpy(sorted, values, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare_doubles);
    return count % 2 != 0 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

double median_of(const double *values, size_t count)
{
    double sorted[REPS_MAX];
    return sort(sorted, values, count);
}

void times_add(struct times *times, double ns)
{
    times->turn_ns[times->turns++] = ns;
}

void times_summarize(struct times *times)
{
    double sorted[REPS_MAX];
    times->median_ns = sort(sorted, times->turn_ns, times->turns);
    times->spread = (sorted[times->turns - 1] - sorted[0]) / times->median_ns;
}

double times_quotient(const struct times *a, const struct times *b)
{
    double quotients[REPS_MAX];
    if (a == NULL || b == NULL || a->turns == 0 || a->turns != b->turns)
        return -1;
    for (size_t i = 0; i < a->turns; i++)
        quotients[i] = a->turn_ns[i] / b->turn_ns[i];
    return median_of(quotients, a->turns);
}

struct latency latency_of(const struct histogram *histogram, double ns_per_tick)
{
    struct latency latency = {
        .samples = histogram->count,
        .p50 = (double)histogram_quantile(histogram, 0.5) * ns_per_tick,
        .p90 = (double)histogram_quantile(histogram, 0.9) * ns_per_tick,
        .p99 = (double)histogram_quantile(histogram, 0.99) * ns_per_tick,
        .p999 = (double)histogram_quantile(histogram, 0.999) * ns_per_tick,
        .max = (double)histogram->max * ns_per_tick,
    };
    return latency;
}
