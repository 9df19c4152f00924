/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva bench threads: one space, or one instance of vmalloc, and many threads. See threads.c for the method.
 *
 *      threads.c          cases, contenders, turns
 *      threads_wait.c     the longest wait during a purge of a million areas
 *      threads_space.c    a space that threads share
 *      threads_aims.c     the aims
 *      threads_report.c   tables and JSON
 *      crew.c             threads that run and are counted
 */
#ifndef KVA_TOOLS_BENCH_THREADS_H
#define KVA_TOOLS_BENCH_THREADS_H

#include "aims.h"
#include "runner.h"

#include "../common/target.h"

/** Names of cases and contenders, as in the tables. */
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
    const char *contender;
    size_t n; /* live ranges; 0: the case has none */
    size_t threads;
    struct times times; /* clock time per operation of the whole crew; base: 2019 with as many threads */
    double speedup;     /* over the same contender with one thread; negative: no such row */
    double cpu_ns;      /* CPU time of the whole crew per operation, median */
    double share;       /* CPU time over that of the CPUs that the crew could use, median */
    double turn_cpu_ns[REPS_MAX];
    double turn_share[REPS_MAX];
};

/** The wait of an allocation or a free while another thread frees and flushes a million areas. */
struct threads_wait {
    const char *contender;
    uint64_t areas;         /* freed in each pass */
    uint64_t operations;    /* meanwhile, in all passes */
    struct latency latency; /* of all passes, with interruptions */
    double longest;         /* of a pass, without the wait for a CPU; the least of all passes */
    double empty_max;       /* of the empty loop, with interruptions */
    double empty_longest;   /* without the wait for a CPU; the largest of all passes */
    double purge_ns;        /* of the frees and the flush; median of the passes */
    bool delays_known;      /* the system reports how long a thread waits for a CPU */
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

/** Measure everything. Ends the program if it cannot measure, or on a wrong result. */
void threads_run(const struct bench_options *options, struct threads_results *results);

/** Measure the waits while `areas` areas are freed. */
void threads_measure_waits(const struct bench_options *options, uint64_t areas,
                           struct threads_results *results);

/** The row; NULL if there is none. `n` 0: of the first n that was measured. */
const struct threads_row *threads_find(const struct threads_results *results, const char *what,
                                       const char *contender, size_t threads, size_t n);

/** The times of that row; NULL if there is none. */
const struct times *threads_times(const struct threads_results *results, const char *what,
                                  const char *contender, size_t threads, size_t n);

/** Add all aims. */
void threads_judge(struct threads_results *results);

void threads_report(const struct threads_results *results, const struct bench_options *options);
json_t *threads_to_json(const struct threads_results *results, bool *good);

void threads_results_destroy(struct threads_results *results);

#endif
