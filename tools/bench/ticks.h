/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The benchmark's stopwatch: fenced readings of the cycle counter, and what a cycle is worth in nanoseconds.
 *
 * A processor may read its counter before the loads in front of it have arrived, and so book part of one
 * operation under the next. On x86 a load fence in front of the reading waits for them. That costs some
 * nanoseconds for each reading, which ticks_cost reports; nothing is subtracted from any figure.
 */
#ifndef KVA_TOOLS_BENCH_TICKS_H
#define KVA_TOOLS_BENCH_TICKS_H

#include "../common/clock.h"

static inline uint64_t ticks_now(void)
{
#if defined(__x86_64__)
    __builtin_ia32_lfence();
#endif
    return clock_cycles();
}

/** Measure how long a tick is, against the monotonic clock, for some 50 milliseconds. Nanoseconds. */
double ticks_calibrate(void);

/** What one reading costs, in ticks: the median distance of two readings in a row. It is contained in every
 *  individually timed operation once. */
uint64_t ticks_cost(void);

#endif
