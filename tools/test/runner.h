/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Runs the suite on one kind of target: workers, orders, repeats, times. See runner.c.
 */
#ifndef KVA_TOOLS_TEST_RUNNER_H
#define KVA_TOOLS_TEST_RUNNER_H

#include "suite.h"

/** The parameters of all engines of an invocation. */
struct plan {
    struct params params;
    enum target_memory memory;
    uint64_t seed;
    uint64_t cpus;
    uint64_t nodes;     /* nodes of memory (NUMA) */
    uint64_t held;      /* areas that are allocated before, see held.c */
    uint64_t budget_ns; /* for each test of a worker, all repeats together; 0: no limit */
    uint64_t time_ns;   /* for each engine: cut short or repeat its tests; 0: all tests once */
};

/** Results of one test of one worker: sums over its repeats. */
struct result {
    uint64_t passed;
    uint64_t failed;
    uint64_t xfailed;
    uint64_t ns;
    uint64_t cycles;
    uint64_t loop_ns;      /* the part of ns inside loops */
    uint64_t loops_wanted; /* 0: the test has no loop */
    uint64_t loops_done;
    struct failure failure; /* the first one */
};

struct worker_report {
    uint64_t cycles;                    /* for all tests, by the worker's own clock */
    unsigned order[SUITE_TESTS];        /* indices into suite_tests, in the order of the last round */
    uint64_t rounds;                    /* rounds that were begun; 1 unless the run has a time */
    unsigned tests;                     /* the length of `order` */
    struct result results[SUITE_TESTS]; /* by index into suite_tests */
};

/** Results of one kind. */
struct report {
    struct target_kind kind;
    struct target_range range; /* the addresses of its areas */
    /** The status of destroying the target; KVA_EBUSY: a test left something allocated. */
    enum kva_status ended;
    size_t workers;
    struct worker_report *worker;
    char refusal[96]; /* space for the message of runner_run */
};

/** Run one kind. Returns NULL: call report_fini later; or why the run was impossible, which may lie in
 *  *report. */
const char *runner_run(const struct plan *plan, const struct target_kind *kind, struct report *report);

void report_fini(struct report *report);

/** The number of repeats of a test. */
uint64_t result_repeats(const struct result *result);

/** The nanoseconds and cycles of the test with its full loops: as measured, with the loop's part scaled
 *  up. As measured if no loop was cut short. */
double result_full_ns(const struct result *result);
double result_full_cycles(const struct result *result);

/** Whether the budget, or the run's time, ended a loop early. */
bool result_is_cut(const struct result *result);

#endif
