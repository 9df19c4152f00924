/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Statistics over turns, for all workloads.
 */
#ifndef KVA_TOOLS_BENCH_TIMES_H
#define KVA_TOOLS_BENCH_TIMES_H

#include "histogram.h"

/** The most repetitions. */
#define REPS_MAX 100

/** The timed turns of one row: nanoseconds of one operation. */
struct times {
    double turn_ns[REPS_MAX];
    size_t turns;
    double median_ns;
    double spread; /* (slowest turn - fastest turn) / median */
    double ratio;  /* the base's time / this one's, median over the turns; negative: the base did not run */
};

/** Add a turn. */
void times_add(struct times *times, double ns);

/** Compute the median and the spread of at least one turn. */
void times_summarize(struct times *times);

/** The median of the quotients a / b of adjacent turns: how many times as fast b is. Negative if one of
 *  them is NULL, or the numbers of turns differ. */
double times_quotient(const struct times *a, const struct times *b);

/** The median of 1 to REPS_MAX values. */
double median_of(const double *values, size_t count);

/** Quantiles of single operations, in nanoseconds. */
struct latency {
    uint64_t samples;
    double p50, p90, p99, p999, max;
};

struct latency latency_of(const struct histogram *histogram, double ns_per_tick);

#endif
