/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Runs the suite on one kind of target: workers, orders, repeats, times. See runner.c.
 */
#ifndef KVA_TOOLS_TEST_RUNNER_H
#define KVA_TOOLS_TEST_RUNNER_H

#include "suite.h"

/** What all engines of an invocation have in common. */
struct plan {
    struct params params;
    enum target_memory memory;
    uint64_t seed;
    uint64_t cpus;
    uint64_t nodes;     /* of memory, that the machine has */
    uint64_t held;      /* areas that lie in the range beforehand, see held.c */
    uint64_t budget_ns; /* for each test of a worker, all repeats together; 0: no limit */
    uint64_t time_ns;   /* run for so long, each engine: end early or begin again; 0: all tests once */
};

/** One test of one worker, all its repeats together. */
struct result {
    uint64_t passed;
    uint64_t failed;
    uint64_t xfailed;
    uint64_t ns;
    uint64_t cycles;
    uint64_t loop_ns;      /* the part of ns that loops took */
    uint64_t loops_wanted; /* sums over the repeats; 0: the test has no loop */
    uint64_t loops_done;
    struct failure failure; /* the first */
};

struct worker_report {
    uint64_t cycles;                    /* for all tests, as the worker's own clock saw it */
    unsigned order[SUITE_TESTS];        /* indices into suite_tests, as they were run in the last round */
    uint64_t rounds;                    /* through all tests that were begun: 1, unless the run has a time */
    unsigned tests;                     /* how many */
    struct result results[SUITE_TESTS]; /* by index into suite_tests */
};

/** What came of one kind. */
struct report {
    struct target_kind kind;
    struct target_range range; /* where its areas lay */
    enum kva_status
        ended; /* what ending the target said: KVA_EBUSY means that a test left something behind */
    size_t workers;
    struct worker_report *worker;
    char refusal[96]; /* room for what runner_run says */
};

/** How a run that could not be made failed, in words, which may lie in the report; NULL: it was made. The
 *  report then is to be given to report_fini. */
const char *runner_run(const struct plan *plan, const struct target_kind *kind, struct report *report);

void report_fini(struct report *report);

/** How often a test was repeated. */
uint64_t result_repeats(const struct result *result);

/** What the test would have taken, had its loops all been done: the nanoseconds and cycles measured, with the
 *  loop's part scaled up. The same as measured if nothing was cut short. */
double result_full_ns(const struct result *result);
double result_full_cycles(const struct result *result);

/** Whether the budget, or the run's time, ended a loop early. */
bool result_is_cut(const struct result *result);

#endif
