/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Measuring: turns, statistics over turns, and what comes out of them.
 *
 * For one workload and one n, all engines are set up side by side, and each phase is measured like this:
 *
 *      warm-up       A B     one turn each, told apart from the rest
 *      throughput    A B  A B  A B ...    a turn is timed as a whole, batch by batch
 *      latency       A B  A B             each operation is timed by itself, into a histogram
 *
 * Where phases stand apart, each has subjects of its own, and all phases are measured at once, as more
 * engines would be:
 *
 *      throughput    1A 1B 2A 2B 3A 3B  1A 1B 2A 2B 3A 3B ...
 *
 * A turn lasts about as long as the options say; in front of it the engine runs untimed for an eighth of
 * that, to find its way back into the caches after its neighbour. Engines take turns, so that what changes
 * in the machine (its clock rate, its neighbours) meets all of them alike; the ratio of two engines is the
 * median of the ratios of the turns that stood side by side.
 *
 * What is not a time is sampled once, right after the set-up, where the state depends on the seed alone.
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
    const char *main_engine; /* of what is measured on one alone: kva's default one, or else the first */
    const char *base;        /* ratios are to this one; always among the engines */
    size_t *sizes;
    size_t size_count; /* 0: the workload's own sizes */
    uint64_t seed;
    size_t reps;
    uint64_t turn_ns;
    uint64_t operations; /* of the workload longest */
    size_t areas;        /* that live in vmalloc's case many */
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
    /* How many times as fast as in the workload's first phase; by turns where they stood side by side.
     * Negative: not compared. */
    double times_first;
    struct latency latency;
};

/** One engine's longest operation. */
struct longest {
    const struct workload *workload;
    size_t n;
    const char *engine;
    uint64_t operations;
    bool capped; /* n or operations are fewer than were asked for */
    struct sample sample;
    struct latency latency; /* of the first pass, interruptions and all; max: the longest seen */
    double repeated_max;    /* the longest when each operation counts with the shorter of its two times */
    bool repeated_is_free;  /* that one was a free */
    double empty_p99999;    /* of the empty loop beside the first pass */
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
    uint64_t preemptions; /* how often the system took the CPU away during the run */
};

/** The largest n, and the most operations of the workload longest, that an engine is asked for without
 *  --uncapped; SIZE_MAX and UINT64_MAX for most. */
size_t bench_engine_cap(const char *engine);
uint64_t bench_engine_operations_cap(const char *engine);

/** Measure a workload at one n and add its rows: phase by phase, and in each the engines in their order. */
void bench_run_workload(const struct workload *workload, size_t n, const struct bench_options *options,
                        struct results *results);

/** The same for the workload longest, whose n is cut to each engine's cap. */
void bench_run_longest(const struct workload *workload, size_t n, const struct bench_options *options,
                       struct results *results);

/** Two subjects of equal workload, n and seed must hold the same ranges; else the program ends. */
void bench_require_equal_samples(const struct workload *workload, size_t n, const char *engine_a,
                                 const struct sample *a, const char *engine_b, const struct sample *b);

/** Judge the rows of a workload, of all its sizes: add what they should come out at, if that is laid down. */
void bench_judge(const struct row *rows, size_t count, struct aims *aims);

void bench_results_destroy(struct results *results);

#endif
