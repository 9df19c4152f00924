/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva bench threads: one space, or one instance of vmalloc, and many threads. See threads.c for what is
 * measured and how.
 *
 *      threads.c          cases, contenders, turns
 *      threads_wait.c     the longest wait beside a purge of a million areas
 *      threads_space.c    a space that threads share
 *      threads_aims.c     what all figures together should show
 *      threads_report.c   what comes out
 *      crew.c             threads at work, and counted
 */
#ifndef KVA_TOOLS_BENCH_THREADS_H
#define KVA_TOOLS_BENCH_THREADS_H

#include "aims.h"
#include "runner.h"

#include "../common/target.h"

/** Names of cases and contenders, as they stand in the tables. */
#define THREADS_CHURN "churn"
#define THREADS_VMALLOC "vmalloc"
#define THREADS_FIND "find"

#define THREADS_POOLS "pools"
#define THREADS_LOCK "lock"
#define THREADS_2019 "2019"
#define THREADS_ALONE "alone"
#define THREADS_KVA "kva"
#define THREADS_MUTEX "mutex"

/** One contender, one case, one number of threads. */
struct threads_row {
    const char *what;
    const char *who;
    size_t n; /* live ranges; 0: the case has none */
    size_t threads;
    struct times times; /* by the clock, an operation of anyone in the crew; base: 2019, as many threads */
    double speedup;     /* times the same contender's row with one thread; negative: there is none */
    double cpu_ns;      /* CPU time of the whole crew for one operation, median */
    double share;       /* of the CPUs that the crew could use, how much it got or wanted, median */
    double turn_cpu_ns[REPS_MAX];
    double turn_share[REPS_MAX];
};

/** How long an allocation or a free had to wait while another thread gave back a million areas. */
struct threads_wait {
    const char *who;
    uint64_t areas;         /* given back each time */
    uint64_t operations;    /* beside that, in all passes */
    struct latency latency; /* of all passes, interruptions and all */
    double longest;         /* in one pass, less what the thread waited for a CPU; the least of all passes */
    double empty_max;       /* of the empty loop, interruptions and all */
    double empty_longest;   /* likewise less the wait for a CPU: the largest of all passes */
    double purge_ns;        /* that giving back took: median of the passes */
    bool delays_known;      /* the system tells how long a thread waits for a CPU */
};

#define THREADS_WAITS 4

struct threads_results {
    bool measured;
    const char *engine; /* of all but 2019 */
    size_t cpus;
    struct threads_row *rows;
    size_t row_count;
    struct threads_wait waits[THREADS_WAITS];
    size_t wait_count;
    struct aims aims;
};

/** Measure everything. Ends the program when it cannot be done, or a wrong answer was given. */
void threads_run(const struct bench_options *options, struct threads_results *results);

/** The waits. `areas`: how many are given back beside each. */
void threads_measure_waits(const struct bench_options *options, uint64_t areas,
                           struct threads_results *results);

/** The row; NULL when there is none. `n` 0: of the first n that was measured. */
const struct threads_row *threads_find(const struct threads_results *results, const char *what,
                                       const char *who, size_t threads, size_t n);

/** Its times; NULL when there is none. */
const struct times *threads_times(const struct threads_results *results, const char *what, const char *who,
                                  size_t threads, size_t n);

/** The aims, from all there is. */
void threads_judge(struct threads_results *results);

void threads_report(const struct threads_results *results, const struct bench_options *options);
json_t *threads_to_json(const struct threads_results *results, bool *good);

void threads_results_destroy(struct threads_results *results);

#endif
