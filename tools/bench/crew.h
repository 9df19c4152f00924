/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A crew: threads that work side by side for a while, and are counted while they do.
 *
 *      created, pinned                begin              end
 *      |------ gate ------|-- lead-in --|---- measured ----|-- stop, join
 *                                    sum of all counters, twice; the difference counts
 *
 * Each thread adds up what it has done in a counter of its own, a few dozen operations at a time. So neither
 * the start of 64 threads nor the end of the last one is in the figure, and a thread that the system does not
 * let run has no more done than it has.
 *
 * Thread number i is bound to the CPU that is i-th from the top among those that the program may use, and
 * from the top again behind the last.
 */
#ifndef KVA_TOOLS_BENCH_CREW_H
#define KVA_TOOLS_BENCH_CREW_H

#include <stddef.h>
#include <stdint.h>

/** No crew has more threads. */
#define CREW_MOST 64

struct crew_job {
    /* Some dozens of operations; returns how many count. Called again and again by one thread. */
    uint64_t (*work)(void *worker);
    void *worker;
};

/** What was measured. */
struct crew_turn {
    double ns;           /* by the clock */
    double cpu_ns;       /* CPU time of all threads together */
    uint64_t operations; /* of all threads together */
};

/** Let the jobs run, one thread each, and measure for `turn_ns`, after a lead-in of `lead_ns`. Ends the
 *  program when there are no threads to be had. */
struct crew_turn crew_run(const struct crew_job *jobs, size_t count, uint64_t lead_ns, uint64_t turn_ns);

#endif
