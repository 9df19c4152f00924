/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Times of batches, without those in which the system preempted the thread. */
#ifndef KVA_TOOLS_BENCH_TALLY_H
#define KVA_TOOLS_BENCH_TALLY_H

#include "machine.h"
#include "ticks.h"

/** The sums over all batches, and over those without preemption (`whole`). */
struct tally {
    struct {
        double ticks;
        uint64_t operations;
    } all, whole;
};

struct watch {
    uint64_t preemptions;
    uint64_t start;
};

static inline struct watch watch_start(void)
{
    struct watch watch = {.preemptions = machine_preemptions()};
    watch.start = ticks_now();
    return watch;
}

static inline void watch_stop(const struct watch *watch, struct tally *tally, uint64_t operations)
{
    double ticks = (double)(ticks_now() - watch->start);
    bool whole = machine_preemptions() == watch->preemptions;
    tally->all.ticks += ticks;
    tally->all.operations += operations;
    tally->whole.ticks += whole ? ticks : 0;
    tally->whole.operations += whole ? operations : 0;
}

/** Nanoseconds of an operation. If every batch was preempted, all batches count. */
static inline double tally_ns(const struct tally *tally, double ns_per_tick)
{
    if (tally->whole.operations > 0)
        return tally->whole.ticks * ns_per_tick / (double)tally->whole.operations;
    return tally->all.ticks * ns_per_tick / (double)tally->all.operations;
}

#endif
