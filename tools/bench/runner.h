/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Measuring: turns, and statistics over turns.
 *
 * For one workload and one n, all engines are set up, and each phase is measured like this:
 *
 *      warm-up       A B     one turn each, recorded separately
 *      throughput    A B  A B  A B ...    a turn is timed as a whole, batch by batch
 *      latency       A B  A B             each operation is timed by itself, into a histogram
 *
 * Where phases stand apart, each phase has its own subjects, and all phases take turns as engines do:
 *
 *      throughput    1A 1B 2A 2B 3A 3B  1A 1B 2A 2B 3A 3B ...
 *
 * A turn lasts about as long as the options say. Before it the engine runs untimed for an eighth of that, to
 * refill the caches after another engine's turn. Engines take turns, so that changes of the machine (its
 * clock rate, other programs) affect all of them alike; the ratio of two engines is the median of the ratios
 * of adjacent turns.
 *
 * Figures other than times are sampled once, right after the set-up, when the state depends only on the seed.
 */
#ifndef KVA_TOOLS_BENCH_RUNNER_H
#define KVA_TOOLS_BENCH_RUNNER_H

#include "../common/engines.h"
#include "aims.h"
#include "times.h"
#include "workload.h"

#include <stdio.h>

/** The stopwatch. */
struct bench_clock {
    double ns_per_tick;
    uint64_t cost_ticks; /* one reading */
};

struct bench_options {
    struct engines engines;
    const char *main_engine; /* for workloads on one engine: kva's default one if chosen, or the first */
    const char *base;        /* the base of ratios; one of the engines */
    size_t *sizes;
    size_t size_count; /* 0: the workload's own sizes */
    uint64_t seed;
    size_t reps;
    uint64_t turn_ns;
    uint64_t operations; /* of the workload longest */
    size_t areas;        /* live areas in vmalloc's case many */
    bool uncapped;
    bool json;
    const char *output; /* NULL: standard output */
    FILE *out;
    struct bench_clock clock;
    bool workload_chosen[16]; /* by index */
    bool vmalloc_chosen;
    bool threads_chosen;
    bool frames_chosen;
    bool evictions_chosen;
};

/** One engine, one phase of one workload, one n. */
struct row {
    const struct workload *workload;
    const struct phase *phase;
    size_t n;
    const char *engine;
    const char *base; /* of the ratio */
    bool skipped;     /* n is beyond the engine's cap: nothing below is set */
    struct sample sample;
    double setup_ns;
    double warmup_ns; /* per operation */
    struct times times;
    /* How many times as fast as the workload's first phase: turn by turn where phases stand apart, else by
     * the medians. Negative: not compared. */
    double times_first;
    struct latency latency;
};

/** One engine's longest operation. */
struct longest {
    const struct workload *workload;
    size_t n;
    const char *engine;
    uint64_t operations;
    bool capped; /* n or operations are fewer than requested */
    struct sample sample;
    struct latency latency; /* of the first pass, with interruptions; max: the longest seen */
    double repeated_max;    /* the longest if each operation counts with the shorter of its two times */
    bool repeated_is_free;  /* that operation was a free */
    double empty_p99999;    /* of the empty loop during the first pass */
    double empty_max;
    uint64_t above_empty;    /* operations of the first pass that took longer than empty_max */
    uint64_t repeated_above; /* operations that took longer than empty_p99999 both times */
};

struct results {
    struct row *rows;
    size_t row_count;
    struct longest *longest;
    size_t longest_count;
    struct aims aims;     /* of all rows */
    uint64_t preemptions; /* of the thread, during the run */
};

/** The largest n, and the most operations of the workload longest, of an engine without --uncapped; SIZE_MAX
 *  and UINT64_MAX for most engines. */
size_t bench_engine_cap(const char *engine);
uint64_t bench_engine_operations_cap(const char *engine);

/** Measure a workload at one n and add its rows: phase by phase, the engines of each in their order. */
void bench_run_workload(const struct workload *workload, size_t n, const struct bench_options *options,
                        struct results *results);

/** The same for the workload longest, whose n is cut to each engine's cap. */
void bench_run_longest(const struct workload *workload, size_t n, const struct bench_options *options,
                       struct results *results);

/** End the program unless two subjects of the same workload, n and seed hold the same ranges. */
void bench_require_equal_samples(const struct workload *workload, size_t n, const char *engine_a,
                                 const struct sample *a, const char *engine_b, const struct sample *b);

/** Add the aims of a workload, if it has any, from its rows of all sizes. */
void bench_judge(const struct row *rows, size_t count, struct aims *aims);

void bench_results_destroy(struct results *results);

#endif
