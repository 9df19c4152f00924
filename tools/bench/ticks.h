/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The benchmark's stopwatch: fenced readings of the cycle counter, and the length of a cycle in nanoseconds.
 *
 * A processor may read its counter before earlier loads have completed, and so count part of one operation
 * with the next. On x86 a load fence before the reading waits for them. That costs some nanoseconds per
 * reading, which ticks_cost() measures; nothing is subtracted from any figure.
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

/** Measure the nanoseconds of a tick, against the monotonic clock, for some 50 milliseconds. */
double ticks_calibrate(void);

/** The cost of one reading in ticks: the median distance of two successive readings. The time of each
 *  individually timed operation contains it once. */
uint64_t ticks_cost(void);

#endif
