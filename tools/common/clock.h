/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Two clocks: nanoseconds for people, cycles for comparisons.
 *
 * On x86 a cycle is a tick of the time-stamp counter, whose rate has been constant on all processors for
 * fifteen years; elsewhere it is a nanosecond. `clock_cycle_unit` names the unit.
 */
#ifndef KVA_TOOLS_CLOCK_H
#define KVA_TOOLS_CLOCK_H

#include <stdint.h>

#if defined(__x86_64__) || defined(__i386__)
#define CLOCK_HAS_TSC 1
#else
#define CLOCK_HAS_TSC 0
#endif

/** Nanoseconds since some moment in the past. Never goes backwards. */
uint64_t clock_ns(void);

/** Cycles since some moment in the past. */
static inline uint64_t clock_cycles(void)
{
#if CLOCK_HAS_TSC
    return __builtin_ia32_rdtsc();
#else
    return clock_ns();
#endif
}

/** The unit of clock_cycles: "tsc" or "ns". */
static inline const char *clock_cycle_unit(void)
{
    return CLOCK_HAS_TSC ? "tsc" : "ns";
}

#endif
