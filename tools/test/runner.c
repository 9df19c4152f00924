/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THEORY
 *   All workers share one target. Each is a thread with its own order, and repeats each test of the mask
 *   before it goes on to the next. They start together: they wait at a gate until the last has been created,
 *   and do nothing if one cannot be created.
 *
 * TIME
 *   A test's time is that of all its repeats. With a budget, a repeat has an equal part of it; then its loop
 *   ends. To compare runs that were cut at different counts, the loop's time is scaled:
 *
 *      full = (time - loop time) + loop time * loops wanted / loops done
 *
 *   A run with a given time goes in ROUNDS: a worker that has run all its tests starts again, in a new order
 *   and with new random numbers. At the end of the time each worker's loop ends, and no other test starts.
 *
 * RANDOMNESS
 *   Each trial has the stream (worker, test, repeat) of the seed, so its random numbers do not depend on the
 *   order of the tests, on the engine, or on the loops of earlier tests.
 */
#define _GNU_SOURCE
#include "runner.h"

#include "../common/clock.h"
#include "../common/progress.h"
#include "held.h"
#include "shown.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum gate { GATE_CLOSED, GATE_OPEN, GATE_CANCELLED };

/* What the workers and the main thread share. */
struct runner {
    const struct plan *plan;
    struct target target;
    pthread_mutex_t lock; /* for `changed`, `gate` and `running` */
    pthread_cond_t changed;
    enum gate gate;
    size_t running;      /* workers that have not finished */
    uint64_t begin_ns;   /* set before the gate opens */
    uint64_t end_ns;     /* UINT64_MAX: none */
    struct shown *shown; /* one for each worker */
};

struct worker {
    struct runner *runner;
    struct worker_report *report;
    uint64_t index;
    pthread_t thread;
};

/* --------------------------------------------------------------------------------------------- one worker */

/* The tests of the mask that the kind can run, by ascending id; shuffled (Fisher and Yates) unless the
 * order is sequential. */
static void choose_order(const struct plan *plan, const struct target_kind *kind, uint64_t worker,
                         struct worker_report *report)
{
    struct rng rng;
    uint64_t stream = UINT64_MAX - (report->rounds++ << 16 | worker); /* fewer than 2^16 workers */
    report->tests = 0;
    for (unsigned i = 0; i < SUITE_TESTS; i++)
        if ((plan->params.run_test_mask & suite_tests[i].id) != 0 && suite_can_run(kind, i))
            report->order[report->tests++] = i;
    if (plan->params.sequential_test_order != 0)
        return;
    rng_seed_stream(&rng, plan->seed, stream);
    for (unsigned i = report->tests; i > 1; i--) {
        unsigned other = (unsigned)rng_below(&rng, i);
        unsigned moved = report->order[other];
        report->order[other] = report->order[i - 1];
        report->order[i - 1] = moved;
    }
}

/* One stream for each trial. The numbers differ from those of choose_order: workers < 2^16, tests < 2^4,
 * repeats < 2^20, so this stays below 2^40. After 2^20 repeats the streams start again with the first. */
static uint64_t stream_of_trial(uint64_t worker, unsigned test, uint64_t repeat)
{
    return (worker << 4 | test) << 20 | (repeat & ((UINT64_C(1) << 20) - 1));
}

static void count_outcome(struct result *result, const struct trial *trial, enum outcome outcome)
{
    if (outcome == OUTCOME_PASSED)
        result->passed++;
    else if (outcome == OUTCOME_XFAILED)
        result->xfailed++;
    else if (result->failed++ == 0)
        result->failure = trial->failure;
    if (outcome != OUTCOME_FAILED) { /* the loop of a failed run has no end time */
        result->loop_ns += trial->loop_ns;
        result->loops_done += trial->loops_done;
        result->loops_wanted += trial->loops_wanted;
    }
}

static void show_begin(struct shown *shown, unsigned test, uint64_t repeat)
{
    atomic_store_explicit(&shown->test, test, memory_order_relaxed);
    atomic_store_explicit(&shown->repeat, repeat + 1, memory_order_relaxed);
}

static void show_end(struct shown *shown, uint64_t loops)
{
    atomic_store_explicit(&shown->wanted, 0, memory_order_relaxed);
    atomic_store_explicit(&shown->loops, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&shown->before, loops, memory_order_relaxed);
    atomic_fetch_add_explicit(&shown->trials, 1, memory_order_relaxed);
}

/* The time when a trial's loop must end: that of its share of the budget, or of the run. */
static uint64_t deadline_of(const struct runner *runner, uint64_t begin_ns)
{
    const struct plan *plan = runner->plan;
    uint64_t share = plan->budget_ns / plan->params.test_repeat_count;
    uint64_t own = plan->budget_ns == 0 ? UINT64_MAX : begin_ns + share;
    return own < runner->end_ns ? own : runner->end_ns;
}

static void run_trial(struct worker *worker, unsigned test, uint64_t repeat, struct result *result)
{
    const struct plan *plan = worker->runner->plan;
    struct shown *shown = &worker->runner->shown[worker->index];
    struct trial trial = {
        .target = &worker->runner->target,
        .params = &plan->params,
        .cpus = plan->cpus,
        .shown = shown,
    };
    uint64_t earlier = (worker->report->rounds - 1) * plan->params.test_repeat_count;
    rng_seed_stream(&trial.rng, plan->seed, stream_of_trial(worker->index, test, earlier + repeat));
    show_begin(shown, test, repeat);
    uint64_t begin_ns = clock_ns();
    trial.deadline_ns = deadline_of(worker->runner, begin_ns);
    uint64_t begin_cycles = clock_cycles();
    enum outcome outcome = suite_tests[test].run(&trial);
    result->cycles += clock_cycles() - begin_cycles;
    result->ns += clock_ns() - begin_ns;
    count_outcome(result, &trial, outcome);
    show_end(shown, trial.loops_done);
}

static bool is_over(const struct runner *runner)
{
    return runner->end_ns != UINT64_MAX && clock_ns() >= runner->end_ns;
}

/* All tests of the worker's order; false: the time is over. */
static bool run_round(struct worker *worker)
{
    struct worker_report *report = worker->report;
    for (unsigned i = 0; i < report->tests; i++) {
        for (uint64_t repeat = 0; repeat < worker->runner->plan->params.test_repeat_count; repeat++) {
            if (is_over(worker->runner))
                return false;
            run_trial(worker, report->order[i], repeat, &report->results[report->order[i]]);
        }
    }
    return true;
}

static void run_tests(struct worker *worker)
{
    const struct runner *runner = worker->runner;
    uint64_t begin = clock_cycles();
    while (run_round(worker) && runner->end_ns != UINT64_MAX && worker->report->tests > 0)
        choose_order(runner->plan, &runner->target.kind, worker->index, worker->report);
    worker->report->cycles = clock_cycles() - begin;
    atomic_store_explicit(&runner->shown[worker->index].test, SUITE_TESTS, memory_order_relaxed);
}

/* Wait for the gate; false: the run was cancelled. */
static bool pass_gate(struct runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    while (runner->gate == GATE_CLOSED)
        pthread_cond_wait(&runner->changed, &runner->lock);
    bool open = runner->gate == GATE_OPEN;
    pthread_mutex_unlock(&runner->lock);
    return open;
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    if (pass_gate(worker->runner))
        run_tests(worker);
    pthread_mutex_lock(&worker->runner->lock);
    worker->runner->running--;
    pthread_cond_broadcast(&worker->runner->changed);
    pthread_mutex_unlock(&worker->runner->lock);
    return NULL;
}

/* -------------------------------------------------------------------------------------------- all workers */

/* A worker's stack holds a few small frames. The default of 8 MiB would not allow thousands of workers. */
#define STACK_BYTES (256 * 1024)

/* Create `count` threads; returns how many were created. */
static size_t create_threads(struct worker *workers, size_t count)
{
    pthread_attr_t attributes;
    size_t made = 0;
    if (pthread_attr_init(&attributes) != 0)
        return 0;
    if (pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0)
        while (made < count &&
               pthread_create(&workers[made].thread, &attributes, worker_main, &workers[made]) == 0)
            made++;
    pthread_attr_destroy(&attributes);
    return made;
}

static void open_gate(struct runner *runner, enum gate gate, size_t running)
{
    pthread_mutex_lock(&runner->lock);
    runner->gate = gate;
    runner->running -= running;
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->lock);
}

static void show_workers(struct progress *progress, const struct runner *runner, const struct worker *workers)
{
    char text[PROGRESS_ROOM];
    const struct params *params = &runner->plan->params;
    struct shown_run run = {
        .name = runner->target.kind.name,
        .elapsed_ns = clock_ns() - runner->begin_ns,
        .time_ns = runner->plan->time_ns,
        .trials = params->test_repeat_count * workers[0].report->tests,
        .repeats = params->test_repeat_count,
        .workers = (size_t)params->nr_threads,
    };
    shown_text(text, progress->columns, &run, runner->shown);
    progress_show(progress, "%s", text);
}

/* Wait until all workers have finished. On a terminal, show their progress ten times a second; otherwise
 * sleep, so as not to disturb the measurement. */
static void await_workers(struct runner *runner, const struct worker *workers)
{
    struct progress progress;
    progress_begin(&progress);
    pthread_mutex_lock(&runner->lock);
    while (runner->running != 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 100000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        if (progress.active)
            pthread_cond_timedwait(&runner->changed, &runner->lock, &until);
        else
            pthread_cond_wait(&runner->changed, &runner->lock);
        if (progress.active)
            show_workers(&progress, runner, workers);
    }
    pthread_mutex_unlock(&runner->lock);
    progress_clear(&progress);
}

/* Returns how many threads were started. If fewer than all workers, none of them ran a test. */
static size_t run_workers(struct runner *runner, struct worker *workers, struct report *report)
{
    for (size_t i = 0; i < report->workers; i++) {
        workers[i].runner = runner;
        workers[i].report = &report->worker[i];
        workers[i].index = i;
        choose_order(runner->plan, &report->kind, i, &report->worker[i]);
    }
    runner->gate = GATE_CLOSED;
    runner->running = report->workers;
    size_t made = create_threads(workers, report->workers);
    runner->begin_ns = clock_ns(); /* workers read this after the gate */
    runner->end_ns = runner->plan->time_ns == 0 ? UINT64_MAX : runner->begin_ns + runner->plan->time_ns;
    open_gate(runner, made == report->workers ? GATE_OPEN : GATE_CANCELLED, report->workers - made);
    await_workers(runner, workers);
    for (size_t i = 0; i < made; i++)
        pthread_join(workers[i].thread, NULL);
    return made;
}

/* A lock, and a condition variable on the monotonic clock. */
static bool runner_init(struct runner *runner)
{
    pthread_condattr_t attributes;
    if (pthread_mutex_init(&runner->lock, NULL) != 0)
        return false;
    if (pthread_condattr_init(&attributes) == 0) {
        bool done = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                    pthread_cond_init(&runner->changed, &attributes) == 0;
        pthread_condattr_destroy(&attributes);
        if (done)
            return true;
    }
    pthread_mutex_destroy(&runner->lock);
    return false;
}

static void runner_fini(struct runner *runner)
{
    pthread_cond_destroy(&runner->changed);
    pthread_mutex_destroy(&runner->lock);
}

/* Run on an existing target, among the areas of --held. */
static const char *run_among_held(struct runner *runner, struct worker *workers, struct report *report)
{
    struct held held;
    enum kva_status status = held_take(&held, &runner->target, runner->plan->held, runner->plan->seed);
    if (status != KVA_OK)
        return kva_status_text(status);
    size_t made = run_workers(runner, workers, report);
    report->ended = held_give(&held, &runner->target);
    if (made == report->workers)
        return NULL;
    snprintf(report->refusal, sizeof(report->refusal),
             "the system started only %zu of %zu threads; lower nr_threads", made, report->workers);
    return report->refusal;
}

/* Create the target, and run on it. */
static const char *run_on_target(const struct plan *plan, struct worker *workers, struct shown *shown,
                                 struct report *report)
{
    static const struct target_range range = {SUITE_FIRST, SUITE_LAST, SUITE_PAGE};
    struct runner runner = {.plan = plan, .shown = shown};
    const char *wrong;
    if (!runner_init(&runner))
        return "no lock can be created";
    enum kva_status status = target_create(&runner.target, &report->kind, &range, report->workers > 1);
    if (status == KVA_OK) {
        report->range = runner.target.range;
        wrong = run_among_held(&runner, workers, report);
        status = target_destroy(&runner.target);
        if (report->ended == KVA_OK)
            report->ended = status;
    } else {
        wrong = kva_status_text(status);
    }
    runner_fini(&runner);
    return wrong;
}

const char *runner_run(const struct plan *plan, const struct target_kind *kind, struct report *report)
{
    report->kind = *kind;
    report->ended = KVA_OK;
    report->workers = (size_t)plan->params.nr_threads;
    report->worker = calloc(report->workers, sizeof(*report->worker));
    struct worker *workers = calloc(report->workers, sizeof(*workers));
    struct shown *shown = calloc(report->workers, sizeof(*shown));
    const char *wrong = "out of memory";
    if (report->worker != NULL && workers != NULL && shown != NULL)
        wrong = run_on_target(plan, workers, shown, report);
    free(shown);
    free(workers);
    if (wrong != NULL)
        report_fini(report);
    return wrong;
}

void report_fini(struct report *report)
{
    free(report->worker);
    report->worker = NULL;
}

/* ------------------------------------------------------------------------------------------------ results */

uint64_t result_repeats(const struct result *result)
{
    return result->passed + result->failed + result->xfailed;
}

bool result_is_cut(const struct result *result)
{
    return result->loops_done < result->loops_wanted;
}

double result_full_ns(const struct result *result)
{
    double measured = (double)result->ns;
    if (!result_is_cut(result) || result->loops_done == 0)
        return measured;
    double scale = (double)result->loops_wanted / (double)result->loops_done;
    return measured + (double)result->loop_ns * (scale - 1);
}

double result_full_cycles(const struct result *result)
{
    if (result->ns == 0)
        return (double)result->cycles;
    return (double)result->cycles * (result_full_ns(result) / (double)result->ns);
}
