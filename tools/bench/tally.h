/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Times of batches, without those in which the system preempted the thread. */
#ifndef KVA_TOOLS_BENCH_TALLY_H
#define KVA_TOOLS_BENCH_TALLY_H

#include "machine.h"
#include "ticks.h"

/** Sums over all batches, and over those in which the thread was not preempted. */
struct tally {
    struct {
        double ticks;
        uint64_t operations;
    } all, undisturbed;
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
    bool undisturbed = machine_preemptions() == watch->preemptions;
    tally->all.ticks += ticks;
    tally->all.operations += operations;
    tally->undisturbed.ticks += undisturbed ? ticks : 0;
    tally->undisturbed.operations += undisturbed ? operations : 0;
}

/** Nanoseconds of an operation. If every batch was preempted, all batches count. */
static inline double tally_ns(const struct tally *tally, double ns_per_tick)
{
    if (tally->undisturbed.operations > 0)
        return tally->undisturbed.ticks * ns_per_tick / (double)tally->undisturbed.operations;
    return tally->all.ticks * ns_per_tick / (double)tally->all.operations;
}

#endif
