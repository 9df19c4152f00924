/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THEORY
 *   The other workloads have one thread. Here 1 to 64 threads share one space, or one instance of vmalloc.
 *   Measured are the speedup of two threads over one, and the cost for one thread of being prepared for
 *   others.
 *
 * CASES
 *   churn     Each thread has a share of n live ranges; an operation frees a random one of them and allocates
 *             another of 1 to 64 pages, sizes that pools serve. n is the same for any number of threads, so
 *             that the address map is, too.
 *   vmalloc   An operation allocates an area of 1 to 16 pages from the one instance, and frees it untouched.
 *   find      One thread looks up addresses in ranges that no thread frees, first alone, then while a second
 *             thread churns in the same space; an operation is a lookup.
 *   wait      See threads_wait.c.
 *
 * CONTENDERS
 *   pools     a space with threads and pools, on kva's default engine (or the first that is chosen)
 *   lock      the same without pools: each call takes the space's lock
 *   2019      the engine rb without threads or pools, under one mutex: the shared design of 2019
 *   alone     a space without threads on the same engine: the least cost for one thread
 *   kva       an instance of vmalloc with the defaults
 *   mutex     an instance for one thread, under one mutex
 *
 *   In the case vmalloc, "alone" is an instance for one thread.
 *
 * TURNS
 *   All contenders with all numbers of threads take turns, so that changes of the machine affect them alike;
 *   ratios are medians of quotients of adjacent turns. Times are by the clock, which is unreliable while
 *   other programs run. The CPU time beside them shows what share of the CPUs a turn got.
 */
#define _GNU_SOURCE
#include "threads.h"

#include "../common/clock.h"
#include "crew.h"
#include "fatal.h"
#include "machine.h"
#include "threads_space.h"

#include <stdlib.h>
#include <string.h>

/* The lead-in is a turn over this: long enough that each of 64 threads on 2 CPUs has run. */
#define LEAD_IN 4

/* Operations between two updates of a thread's counter: at 50 ns each they take a few microseconds, a
 * ten-thousandth of a turn, and the traffic of the counter's cache line is negligible. */
#define ROUND 64

/* The default n: so small that the depth of the tree does not slow the 2019 design. */
#define LIVE_RANGES 10000

static const size_t crews[] = {1, 2, 4, 16, CREW_MOST};
#define CREWS (sizeof(crews) / sizeof(crews[0]))

/* -------------------------------------------------------------------------------------------- the workers */

/* One thread of a crew, on its own cache lines. */
struct worker {
    _Alignas(128) struct shared_space *shared;
    struct target *target; /* for vmalloc */
    uint64_t *live;        /* its share */
    size_t count;
    struct rng rng;
};

/* One draw for both: the upper half gives an index (with an error of 2^-32), the lower bits a size. */
static uint64_t churn(void *argument)
{
    struct worker *worker = argument;
    for (size_t i = 0; i < ROUND; i++) {
        uint64_t draw = rng_next(&worker->rng);
        uint64_t *victim = &worker->live[(draw >> 32) * worker->count >> 32];
        shared_give(worker->shared, *victim);
        *victim = shared_take(worker->shared, (draw & 63) + 1);
    }
    return ROUND;
}

/* The churn beside a find, which does not count. */
static uint64_t churn_uncounted(void *argument)
{
    (void)churn(argument);
    return 0;
}

static uint64_t find(void *argument)
{
    struct worker *worker = argument;
    for (size_t i = 0; i < ROUND; i++) {
        uint64_t start = worker->live[(rng_next(&worker->rng) >> 32) * worker->count >> 32];
        shared_find(worker->shared, start);
    }
    return ROUND;
}

static uint64_t allocate_and_free(void *argument)
{
    struct worker *worker = argument;
    for (size_t i = 0; i < ROUND; i++) {
        uint64_t size = ((rng_next(&worker->rng) & 15) + 1) * PAGE;
        uint64_t address;
        enum kva_status status = target_alloc(worker->target, size, PAGE, 0, &address);
        if (status == KVA_OK)
            status = target_free(worker->target, address, size);
        threads_must(status, "vmalloc");
    }
    return ROUND;
}

/* ----------------------------------------------------------------------------------------- the contenders */

struct contender {
    const char *name;
    bool own_engine; /* rb, not the command line's */
    struct sharing sharing;
};

/* Contenders on a space. */
static const struct contender on_space[] = {
    {THREADS_POOLS, false, {.threads = true, .pools = true}},
    {THREADS_LOCK, false, {.threads = true}},
    {THREADS_2019, true, {.mutex = true}},
    {THREADS_ALONE, false, {0}},
};

/* Contenders that are instances of vmalloc: all have pools. */
static const struct contender on_vmalloc[] = {
    {THREADS_KVA, false, {.threads = true, .pools = true}},
    {THREADS_MUTEX, false, {.pools = true, .mutex = true}},
    {THREADS_ALONE, false, {.pools = true}},
};

#define CONTENDERS 4

/* A contender in a case. */
struct runner {
    const struct contender *contender;
    struct shared_space shared;
    uint64_t *live; /* its live ranges */
    size_t count;
    struct target target;
    struct worker worker[CREW_MOST];
};

static void seed_workers(struct runner *runner, uint64_t seed)
{
    for (size_t i = 0; i < CREW_MOST; i++)
        rng_seed_stream(&runner->worker[i].rng, seed, i);
}

static struct runner *runner_create(uint64_t seed)
{
    void *memory = NULL;
    if (posix_memalign(&memory, _Alignof(struct runner), sizeof(struct runner)) != 0)
        bench_fatal(TOOL_REFUSED, "no memory for a contender");
    struct runner *runner = memory;
    memset(runner, 0, sizeof(*runner));
    seed_workers(runner, seed);
    return runner;
}

/* Fill the space with n ranges, then replace 2 n, so that the holes are in their steady state. */
static struct runner *open_space(const struct contender *contender, const struct bench_options *options,
                                 size_t n)
{
    struct runner *runner = runner_create(options->seed);
    runner->contender = contender;
    shared_open(&runner->shared, contender->own_engine ? "rb" : options->main_engine, &contender->sharing);
    runner->count = n;
    runner->live = malloc(n * sizeof(*runner->live));
    if (runner->live == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for %zu addresses", n);
    struct worker *first = &runner->worker[0];
    first->shared = &runner->shared;
    first->live = runner->live;
    first->count = n;
    for (size_t i = 0; i < n; i++)
        runner->live[i] = shared_take(&runner->shared, rng_between(&first->rng, 1, 64));
    for (size_t i = 0; i < 2 * n; i += ROUND)
        (void)churn(first);
    return runner;
}

static void close_space(struct runner *runner)
{
    for (size_t i = 0; i < runner->count; i++)
        shared_give(&runner->shared, runner->live[i]);
    shared_close(&runner->shared);
    free(runner->live);
    free(runner);
}

static struct runner *open_vmalloc(const struct contender *contender, const struct bench_options *options)
{
    struct target_range range = {.quantum = PAGE};
    struct target_kind kind;
    struct runner *runner = runner_create(options->seed);
    runner->contender = contender;
    target_kind_of_vm(&kind, options->main_engine);
    kind.locks = contender->sharing.threads;
    kind.vm.one_thread = !contender->sharing.threads;
    threads_must(target_create(&runner->target, &kind, &range, contender->sharing.mutex),
                 "an instance of vmalloc");
    return runner;
}

static void close_vmalloc(struct runner *runner)
{
    threads_must(target_destroy(&runner->target), "destroying an instance");
    free(runner);
}

/* -------------------------------------------------------------------------------------------------- turns */

static void book(struct threads_row *row, const struct crew_turn *turn, size_t cpus)
{
    double could = turn->ns * (double)(row->threads < cpus ? row->threads : cpus);
    double operations = turn->operations == 0 ? 1 : (double)turn->operations;
    row->turn_cpu_ns[row->times.turns] = turn->cpu_ns / operations;
    row->turn_share[row->times.turns] = turn->cpu_ns / could;
    times_add(&row->times, turn->ns / operations);
}

/* A crew in which each thread has an equal share of the live ranges. */
static size_t crew_of_churn(struct runner *runner, size_t threads, struct crew_job *jobs)
{
    size_t share = runner->count / threads;
    for (size_t i = 0; i < threads; i++) {
        struct worker *worker = &runner->worker[i];
        worker->shared = &runner->shared;
        worker->live = runner->live + i * share;
        worker->count = share;
        jobs[i] = (struct crew_job){churn, worker};
    }
    return threads;
}

/* The first thread finds in one half of the ranges; the second churns in the other half. */
static size_t crew_of_find(struct runner *runner, size_t threads, struct crew_job *jobs)
{
    (void)crew_of_churn(runner, 2, jobs);
    jobs[0].work = find;
    jobs[1].work = churn_uncounted;
    return threads;
}

static size_t crew_of_vmalloc(struct runner *runner, size_t threads, struct crew_job *jobs)
{
    for (size_t i = 0; i < threads; i++) {
        runner->worker[i].target = &runner->target;
        jobs[i] = (struct crew_job){allocate_and_free, &runner->worker[i]};
    }
    return threads;
}

struct threads_case {
    const char *name;
    size_t crews;    /* the number of elements of `crews` to run */
    bool on_space;   /* else on vmalloc */
    bool with_alone; /* has a row of the contender "alone" */
    size_t (*crew)(struct runner *runner, size_t threads, struct crew_job *jobs);
};

static const struct threads_case cases[] = {
    {THREADS_CHURN, CREWS, true, true, crew_of_churn},
    {THREADS_FIND, 2, true, false, crew_of_find},
    {THREADS_VMALLOC, CREWS, false, true, crew_of_vmalloc},
};

/* A row, and the runner that measures it. */
struct entry {
    struct runner *runner;
    size_t row; /* its index: the array moves */
};

#define ENTRIES (CONTENDERS * CREWS)

struct race {
    const struct threads_case *test;
    const struct bench_options *options;
    struct threads_results *results;
    struct runner *runners[CONTENDERS];
    size_t runner_count;
    struct entry entry[ENTRIES];
    size_t count;
};

static void add_row(struct race *race, struct runner *runner, const char *contender, size_t n, size_t threads)
{
    struct threads_results *results = race->results;
    size_t row = results->row_count;
    results->rows = bench_add_rows(results->rows, &results->row_count, 1, sizeof(*results->rows));
    results->rows[row] =
        (struct threads_row){.what = race->test->name, .contender = contender, .n = n, .threads = threads};
    race->entry[race->count++] = (struct entry){runner, row};
}

static void enter_race(struct race *race, const struct contender *contender, size_t n)
{
    const struct threads_case *test = race->test;
    bool alone = !contender->sharing.threads && !contender->sharing.mutex;
    if (alone && !test->with_alone)
        return;
    struct runner *runner =
        test->on_space ? open_space(contender, race->options, n) : open_vmalloc(contender, race->options);
    race->runners[race->runner_count++] = runner;
    for (size_t c = 0; c < (alone ? 1 : test->crews); c++)
        add_row(race, runner, contender->name, test->on_space ? n : 0, crews[c]);
}

static void open_race(struct race *race, size_t n)
{
    if (race->test->on_space)
        for (size_t i = 0; i < sizeof(on_space) / sizeof(on_space[0]); i++)
            enter_race(race, &on_space[i], n);
    else
        for (size_t i = 0; i < sizeof(on_vmalloc) / sizeof(on_vmalloc[0]); i++)
            enter_race(race, &on_vmalloc[i], n);
}

static void take_turn(struct race *race, const struct entry *entry, bool warm_up)
{
    struct crew_job jobs[CREW_MOST];
    struct threads_row *row = &race->results->rows[entry->row];
    uint64_t turn_ns = race->options->turn_ns;
    size_t count = race->test->crew(entry->runner, row->threads, jobs);
    struct crew_turn turn = crew_run(jobs, count, turn_ns / LEAD_IN, turn_ns);
    if (!warm_up)
        book(row, &turn, race->results->cpus);
}

static void run_race(struct race *race)
{
    for (size_t number = 0; number <= race->options->reps; number++) {
        for (size_t i = 0; i < race->count; i++) {
            const struct threads_row *row = &race->results->rows[race->entry[i].row];
            progress_show(&bench_progress, "threads %s: %s, %zu threads, turn %zu/%zu", race->test->name,
                          row->contender, row->threads, number, race->options->reps);
            take_turn(race, &race->entry[i], number == 0);
        }
    }
}

static void close_race(struct race *race)
{
    for (size_t i = 0; i < race->runner_count; i++) {
        if (race->test->on_space)
            close_space(race->runners[i]);
        else
            close_vmalloc(race->runners[i]);
    }
}

static void summarize(const struct threads_results *results, struct threads_row *row)
{
    struct times *times = &row->times;
    times_summarize(times);
    times->ratio =
        times_quotient(threads_times(results, row->what, THREADS_2019, row->threads, row->n), times);
    row->speedup = times_quotient(threads_times(results, row->what, row->contender, 1, row->n), times);
    row->cpu_ns = median_of(row->turn_cpu_ns, times->turns);
    row->share = median_of(row->turn_share, times->turns);
}

static void run_case(const struct threads_case *test, size_t n, const struct bench_options *options,
                     struct threads_results *results)
{
    struct race race = {.test = test, .options = options, .results = results};
    open_race(&race, n);
    run_race(&race);
    close_race(&race);
    for (size_t i = 0; i < race.count; i++)
        summarize(results, &results->rows[race.entry[i].row]);
}

/* Each thread needs at least one range. */
static size_t live_ranges(size_t n)
{
    return n < CREW_MOST ? CREW_MOST : n;
}

void threads_run(const struct bench_options *options, struct threads_results *results)
{
    static const size_t usual[] = {LIVE_RANGES};
    const size_t *sizes = options->size_count > 0 ? options->sizes : usual;
    size_t count = options->size_count > 0 ? options->size_count : 1;
    results->measured = true;
    results->engine = options->main_engine;
    results->cpus = machine_cpus();
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
        for (size_t i = 0; i < (cases[c].on_space ? count : 1); i++)
            run_case(&cases[c], live_ranges(sizes[i]), options, results);
    /* A tenth of the operations of longest: a million areas by default. */
    threads_measure_waits(options, options->operations < 10 ? 1 : options->operations / 10, results);
    threads_judge(results);
}

void threads_results_destroy(struct threads_results *results)
{
    free(results->rows);
}
