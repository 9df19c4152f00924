/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A crew: threads that run concurrently while their operations are counted.
 *
 *      created, pinned                begin              end
 *      |------ gate ------|-- lead-in --|---- measured ----|-- stop, join
 *                                     read all counters    read them again; the difference counts
 *
 * Each thread adds its finished operations to its own counter, a few dozen at a time. So the figure contains
 * neither the start of 64 threads nor the end of the last one, and counts only finished operations.
 *
 * Thread i is bound to the i-th CPU from the top among those that the program may use; after the lowest CPU
 * comes the highest again.
 */
#ifndef KVA_TOOLS_BENCH_CREW_H
#define KVA_TOOLS_BENCH_CREW_H

#include <stddef.h>
#include <stdint.h>

/** The most threads of a crew. */
#define CREW_MOST 64

struct crew_job {
    /* Some dozens of operations; returns how many count. One thread calls it repeatedly. */
    uint64_t (*work)(void *worker);
    void *worker;
};

struct crew_turn {
    double ns;           /* by the clock */
    double cpu_ns;       /* CPU time of all threads together */
    uint64_t operations; /* of all threads together */
};

/** Run the jobs, one thread each, and measure for `turn_ns` after a lead-in of `lead_ns`. Ends the program if
 *  the threads cannot be created. */
struct crew_turn crew_run(const struct crew_job *jobs, size_t count, uint64_t lead_ns, uint64_t turn_ns);

#endif
