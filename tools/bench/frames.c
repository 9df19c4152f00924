/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THEORY
 *   Page frames instead of addresses: a million of them in one zone, in blocks of 512. Measured are the cost
 *   of a call, the number of whole blocks that stay free while small runs come and go, and whether two CPUs
 *   slow each other down. All requests are for movable frames, so that one type has the whole set.
 *
 * CASES WITH ONE THREAD
 *   hot      allocate a run and free it at once, in an empty set; orders 0, 3, 6 and 9
 *   fill     allocate runs of one order, 0 to 9, until the set is full; an operation is one allocation
 *   free     free all of these in random order
 *   fail     a request of order 6 that fails, because every 32nd frame is in use
 *   bulk     allocate 64 single frames by one call, free them by another; an operation is one frame
 *   churn    free a random frame, allocate one; a quarter, half and three quarters of the frames in use
 *   mixed    the same with runs of all orders, order j with probability 2^-(j+1), so that each order has
 *            about as many frames as any other. Half and nine tenths of the frames in use
 *
 *   Before a churn is measured, the set is filled, random runs are freed until the share is reached, and each
 *   run is replaced sixteen times. So a contender starts with the worst case, hardly any free block, and has
 *   ample time to improve on it. Then the free blocks are counted, and up to a hundred of them are requested.
 *   The results depend only on the seed.
 *
 * PLACES
 *   Most of these cases run again in a set of four zones on two nodes, with holes and with borders inside
 *   blocks; in the same set for a device that cannot reach the end of one zone; and in the plain set, because
 *   only sets that take turns are comparable.
 *
 * CASES WITH MANY THREADS: see frames_threads.c.
 *
 * COMPACTION: see frames_compaction.h. MAPS: see frames_maps.h.
 *
 * CONTENDERS
 *   kva      a set with the host's threads, and as many CPUs as are online
 *   buddy    the binary buddy system of the textbooks, under one lock (bench/buddy)
 *
 *   They take turns, each a third as long as the options say. Batches in which the system preempted the
 *   thread do not count: the cost of a call is measured, not the load of the machine.
 *
 *   While a process has only ever had one thread, kva and the C library use plain instructions for locks. So
 *   these cases run before all cases that start threads, and the report says if they could not.
 */
#define _GNU_SOURCE
#include "frames.h"

#include "fatal.h"
#include "frames_compaction.h"
#include "machine.h"
#include "tally.h"

#include <kva/threads.h>
#include <stdlib.h>

/* A turn is the turn of the options over this. */
#define SHORTER 3
#define LEAD_IN 8

/* Calls between two readings of the clock, in cases without preparation. */
#define CALLS 256u

#define FAIL_STEP 32

/* Runs between two readings of the clock while a set is filled or freed: some hundred microseconds. */
#define PIECE 4096u

struct frames_case {
    const char *what;
    unsigned order;
    unsigned percent;
    bool places;                                              /* also measured in all places */
    void (*set_up)(struct frames_set *set, unsigned percent); /* NULL: the set stays empty */
    size_t (*prepare)(struct frames_set *set);                /* returns the steps of the batch */
    uint64_t (*run)(struct frames_set *set, size_t steps);    /* timed; returns the operations */
    void (*finish)(struct frames_set *set, size_t steps);     /* NULL: nothing to do */
};

/* --------------------------------------------------------------------------------------------- operations */

static size_t prepare_calls(struct frames_set *set)
{
    (void)set;
    return CALLS;
}

static uint64_t allocate_and_free(struct frames_set *set, size_t steps)
{
    const struct frames_contender *contender = set->contender;
    struct kva_frames_request request = set->request;
    for (size_t i = 0; i < steps; i++) {
        uint64_t first;
        enum kva_status status = contender->alloc(set->state, &request, &first);
        if (status == KVA_OK)
            status = contender->free(set->state, first);
        if (status != KVA_OK)
            frames_must(set, status, "an allocation and a free");
    }
    return steps;
}

static void set_up_comb(struct frames_set *set, unsigned percent)
{
    (void)percent;
    frames_set_fill(set);
    frames_set_comb(set, FAIL_STEP);
}

static uint64_t fail(struct frames_set *set, size_t steps)
{
    struct kva_frames_request request = set->request;
    for (size_t i = 0; i < steps; i++) {
        uint64_t first;
        enum kva_status status = set->contender->alloc(set->state, &request, &first);
        if (status != KVA_ENOSPC)
            bench_fatal(TOOL_WRONG, "frames: %s: a request that cannot succeed returned: %s",
                        set->contender->name, kva_status_text(status));
    }
    return steps;
}

static uint64_t take_and_give_many(struct frames_set *set, size_t steps)
{
    const struct frames_contender *contender = set->contender;
    struct kva_frames_request request = set->request;
    uint64_t firsts[FRAMES_BULK_RUNS];
    for (size_t i = 0; i < steps; i++) {
        enum kva_status status = contender->alloc_many(set->state, &request, FRAMES_BULK_RUNS, firsts);
        if (status == KVA_OK)
            status = contender->free_many(set->state, firsts, FRAMES_BULK_RUNS);
        if (status != KVA_OK)
            frames_must(set, status, "many frames");
    }
    return steps * FRAMES_BULK_RUNS;
}

static const struct frames_case calls[] = {
    {FRAMES_HOT, 0, 0, true, NULL, prepare_calls, allocate_and_free, NULL},
    {FRAMES_HOT, 3, 0, false, NULL, prepare_calls, allocate_and_free, NULL},
    {FRAMES_HOT, 6, 0, false, NULL, prepare_calls, allocate_and_free, NULL},
    {FRAMES_HOT, 9, 0, true, NULL, prepare_calls, allocate_and_free, NULL},
    {FRAMES_BULK, 0, 0, true, NULL, prepare_calls, take_and_give_many, NULL},
    {FRAMES_FAIL, 6, 0, true, set_up_comb, prepare_calls, fail, NULL},
};

static const struct frames_case churns[] = {
    {FRAMES_CHURN, 0, 25, true, frames_set_churned, frames_churn_prepare, frames_churn_run,
     frames_churn_finish},
    {FRAMES_CHURN, 0, 50, false, frames_set_churned, frames_churn_prepare, frames_churn_run,
     frames_churn_finish},
    {FRAMES_CHURN, 0, 75, false, frames_set_churned, frames_churn_prepare, frames_churn_run,
     frames_churn_finish},
    {FRAMES_MIXED, 0, 50, true, frames_set_mixed, frames_mixed_prepare, frames_mixed_run,
     frames_mixed_finish},
    {FRAMES_MIXED, 0, 90, false, frames_set_mixed, frames_mixed_prepare, frames_mixed_run,
     frames_mixed_finish},
};

/* -------------------------------------------------------------------------------------------------- races */

/* The contenders of a race; the last one is the base. */
struct line_up {
    const struct frames_contender *contenders;
    size_t count;
    bool places;
};

#define RACERS_MAX 3
_Static_assert(FRAMES_CONTENDERS <= RACERS_MAX && FRAMES_PLACES <= RACERS_MAX, "a race has room for all");

static const struct line_up contenders = {frames_contenders, FRAMES_CONTENDERS, false};
static const struct line_up places = {frames_places, FRAMES_PLACES, true};

struct race {
    const struct bench_options *options;
    const struct line_up *line_up;
    uint64_t frames;
    const char *what;
    unsigned order;
    struct frames_set *sets[RACERS_MAX];
};

static void show(const struct race *race, size_t number, const char *step, size_t done, size_t all)
{
    progress_show(&bench_progress, "frames %s, order %u: %s, %s %zu/%zu", race->what, race->order,
                  race->line_up->contenders[number].name, step, done, all);
}

static void open_race(struct race *race)
{
    for (size_t i = 0; i < race->line_up->count; i++) {
        race->sets[i] = frames_set_create(&race->line_up->contenders[i], race->frames, race->options->seed);
        frames_set_order(race->sets[i], race->order);
    }
}

static void close_race(const struct race *race)
{
    for (size_t i = 0; i < race->line_up->count; i++)
        frames_set_destroy(race->sets[i]);
}

/* Add a row for each contender; returns the first. */
static struct frames_row *add_rows(const struct race *race, const char *what, unsigned percent,
                                   struct frames_results *results)
{
    const struct line_up *line_up = race->line_up;
    size_t first = results->row_count;
    results->rows =
        bench_add_rows(results->rows, &results->row_count, line_up->count, sizeof(*results->rows));
    struct frames_row *rows = results->rows + first;
    for (size_t i = 0; i < line_up->count; i++) {
        rows[i].what = what;
        rows[i].contender = line_up->contenders[i].name;
        rows[i].places = line_up->places;
        rows[i].frames = race->frames;
        rows[i].order = race->order;
        rows[i].percent = percent;
    }
    return rows;
}

static void summarize(const struct line_up *line_up, struct frames_row *rows)
{
    for (size_t i = 0; i < line_up->count; i++)
        times_summarize(&rows[i].times);
    for (size_t i = 0; i < line_up->count; i++)
        rows[i].times.ratio = times_quotient(&rows[line_up->count - 1].times, &rows[i].times);
}

static double turn_of(const struct race *race)
{
    return (double)race->options->turn_ns / SHORTER;
}

/* -------------------------------------------------------------------------------------- most of the cases */

/* Run batches until `budget_ns` are spent, at least one. Returns the nanoseconds of an operation. */
static double take_turn(const struct frames_case *test, struct frames_set *set, double budget_ns,
                        double ns_per_tick)
{
    struct tally tally = {0};
    do {
        size_t steps = test->prepare(set);
        struct watch watch = watch_start();
        uint64_t operations = test->run(set, steps);
        watch_stop(&watch, &tally, operations);
        if (test->finish != NULL)
            test->finish(set, steps);
    } while (tally.all.ticks * ns_per_tick < budget_ns);
    return tally_ns(&tally, ns_per_tick);
}

static void run_turns(const struct race *race, const struct frames_case *test, struct frames_row *rows)
{
    double ns_per_tick = race->options->clock.ns_per_tick;
    for (size_t number = 0; number <= race->options->reps; number++) {
        for (size_t i = 0; i < race->line_up->count; i++) {
            show(race, i, "turn", number, race->options->reps);
            (void)take_turn(test, race->sets[i], turn_of(race) / LEAD_IN, ns_per_tick);
            double ns = take_turn(test, race->sets[i], turn_of(race), ns_per_tick);
            if (number > 0) /* the first turn is the warm-up */
                times_add(&rows[i].times, ns);
        }
    }
}

static void run_case(const struct frames_case *test, const struct line_up *line_up, uint64_t frames,
                     const struct bench_options *options, struct frames_results *results)
{
    struct race race = {
        .options = options, .line_up = line_up, .frames = frames, .what = test->what, .order = test->order};
    open_race(&race);
    struct frames_row *rows = add_rows(&race, test->what, test->percent, results);
    for (size_t i = 0; i < line_up->count; i++) {
        show(&race, i, "set-up", i + 1, line_up->count);
        if (test->set_up != NULL)
            test->set_up(race.sets[i], test->percent);
        if (test->percent > 0 && !line_up->places)
            rows[i].shape = frames_set_shape(race.sets[i]);
    }
    run_turns(&race, test, rows);
    close_race(&race);
    summarize(line_up, rows);
}

/* ------------------------------------------------------------------------------------ filling and freeing */

struct fill_turn {
    struct tally fill;
    struct tally release;
};

static void must_be_full(const struct frames_set *set)
{
    uint64_t first;
    if (set->contender->alloc(set->state, &set->request, &first) != KVA_ENOSPC)
        bench_fatal(TOOL_WRONG, "frames: %s: a full set gave another run", set->contender->name);
}

static void fill(struct frames_set *set, size_t begin, size_t end)
{
    const struct frames_contender *contender = set->contender;
    for (size_t i = begin; i < end; i++) {
        enum kva_status status = contender->alloc(set->state, &set->request, &set->all[i]);
        if (status != KVA_OK)
            frames_must(set, status, "an allocation");
    }
}

static void release(struct frames_set *set, size_t begin, size_t end)
{
    const struct frames_contender *contender = set->contender;
    for (size_t i = begin; i < end; i++) {
        enum kva_status status = contender->free(set->state, set->all[i]);
        if (status != KVA_OK)
            frames_must(set, status, "a free");
    }
}

/* Run in pieces, so that an interruption spoils only one of them. */
static void run_pieces(struct frames_set *set, size_t runs, struct tally *tally,
                       void (*run)(struct frames_set *set, size_t begin, size_t end))
{
    for (size_t begin = 0, end; begin < runs; begin = end) {
        end = runs - begin < PIECE ? runs : begin + PIECE;
        struct watch watch = watch_start();
        run(set, begin, end);
        watch_stop(&watch, tally, end - begin);
    }
}

static void shuffle(struct frames_set *set, size_t runs)
{
    for (size_t i = runs; i > 1; i--) {
        size_t other = (size_t)rng_below(&set->rng, i);
        uint64_t first = set->all[other];
        set->all[other] = set->all[i - 1];
        set->all[i - 1] = first;
    }
}

/* Fill and empty the set until `budget_ns` are spent, at least once. */
static struct fill_turn fill_and_free(struct frames_set *set, double budget_ns, double ns_per_tick)
{
    struct fill_turn turn = {0};
    size_t runs = (size_t)(set->frames >> set->request.order);
    do {
        run_pieces(set, runs, &turn.fill, fill);
        must_be_full(set);
        shuffle(set, runs);
        run_pieces(set, runs, &turn.release, release);
    } while ((turn.fill.all.ticks + turn.release.all.ticks) * ns_per_tick < budget_ns);
    return turn;
}

/* Measure both cases, fill and free, together. */
static void run_fill_turns(const struct race *race, struct frames_row *fill_rows,
                           struct frames_row *free_rows)
{
    double ns_per_tick = race->options->clock.ns_per_tick;
    for (size_t number = 0; number <= race->options->reps; number++) {
        for (size_t i = 0; i < race->line_up->count; i++) {
            show(race, i, "turn", number, race->options->reps);
            struct fill_turn turn = fill_and_free(race->sets[i], turn_of(race), ns_per_tick);
            if (number == 0)
                continue;
            times_add(&fill_rows[i].times, tally_ns(&turn.fill, ns_per_tick));
            times_add(&free_rows[i].times, tally_ns(&turn.release, ns_per_tick));
        }
    }
}

static void run_fill(unsigned order, const struct line_up *line_up, uint64_t frames,
                     const struct bench_options *options, struct frames_results *results)
{
    struct race race = {
        .options = options, .line_up = line_up, .frames = frames, .what = FRAMES_FILL, .order = order};
    open_race(&race);
    (void)add_rows(&race, FRAMES_FILL, 0, results);
    struct frames_row *free_rows = add_rows(&race, FRAMES_FREE, 0, results);
    struct frames_row *fill_rows = free_rows - line_up->count;
    run_fill_turns(&race, fill_rows, free_rows);
    close_race(&race);
    summarize(line_up, fill_rows);
    summarize(line_up, free_rows);
}

/* ---------------------------------------------------------------------------------------------- all cases */

static void measure_memory(uint64_t frames, const struct bench_options *options,
                           struct frames_results *results)
{
    size_t first = results->memory_count;
    struct race race = {.options = options, .line_up = &contenders, .frames = frames, .what = "memory"};
    results->memory =
        bench_add_rows(results->memory, &results->memory_count, FRAMES_CONTENDERS, sizeof(*results->memory));
    open_race(&race);
    for (size_t i = 0; i < FRAMES_CONTENDERS; i++)
        results->memory[first + i] = (struct frames_memory){
            frames_contenders[i].name, frames, frames_contenders[i].bytes(race.sets[i]->state, frames)};
    close_race(&race);
}

/* Run all cases of one line-up. In places, only the cases that are marked and the fill with single frames,
 * because larger runs do not fill the block at a zone's border. */
static void run_line_up(const struct line_up *line_up, uint64_t frames, const struct bench_options *options,
                        struct frames_results *results)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (calls[i].places || !line_up->places)
            run_case(&calls[i], line_up, frames, options, results);
    for (unsigned order = 0; order <= (line_up->places ? 0 : FRAMES_BLOCK_ORDER); order++)
        run_fill(order, line_up, frames, options, results);
    for (size_t i = 0; i < sizeof(churns) / sizeof(churns[0]); i++)
        if (churns[i].places || !line_up->places)
            run_case(&churns[i], line_up, frames, options, results);
}

static void run_one_thread(uint64_t frames, const struct bench_options *options,
                           struct frames_results *results)
{
    run_line_up(&contenders, frames, options, results);
    run_line_up(&places, frames, options, results);
    frames_compaction_run(frames, options, &results->compaction);
    frames_run_alone(frames, options, results);
    measure_memory(frames, options, results);
}

uint64_t frames_of_size(size_t size)
{
    uint64_t frames = size - size % FRAMES_BLOCK;
    return frames < FRAMES_LEAST ? FRAMES_LEAST : frames;
}

/* Measure sizes that are rounded to the same number of frames only once. Returns the number of sizes. */
static size_t choose_sizes(const struct bench_options *options, uint64_t *sizes)
{
    size_t count = 0;
    for (size_t i = 0; i < options->size_count; i++) {
        uint64_t frames = frames_of_size(options->sizes[i]);
        size_t same = 0;
        while (same < count && sizes[same] != frames)
            same++;
        if (same == count)
            sizes[count++] = frames;
    }
    if (count == 0)
        sizes[count++] = FRAMES_USUAL;
    return count;
}

/* Group the rows by size: those with one thread were measured first, for all sizes. */
static void sort_crews(struct frames_results *results, const uint64_t *sizes, size_t count)
{
    struct frames_crew *sorted = NULL;
    size_t done = 0;
    for (size_t size = 0; size < count; size++)
        for (size_t i = 0; i < results->crew_count; i++)
            if (results->crews[i].frames == sizes[size]) {
                sorted = bench_add_rows(sorted, &done, 1, sizeof(*sorted));
                sorted[done - 1] = results->crews[i];
            }
    free(results->crews);
    results->crews = sorted;
}

void frames_run(const struct bench_options *options, struct frames_results *results)
{
    uint64_t *sizes = calloc(options->size_count + 1, sizeof(*sizes));
    const char *alone = kva_threads_host()->alone;
    if (sizes == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for %zu sizes", options->size_count);
    size_t count = choose_sizes(options, sizes);
    results->measured = true;
    results->alone = alone != NULL && *alone != 0;
    results->cpus = machine_cpus();
    for (size_t i = 0; i < count; i++)
        run_one_thread(sizes[i], options, results);
    for (size_t i = 0; i < count; i++)
        frames_run_crews(sizes[i], options, results);
    for (size_t i = 0; i < count; i++)
        frames_maps_run(sizes[i], options, &results->maps);
    sort_crews(results, sizes, count);
    free(sizes);
    frames_judge(results);
}

void frames_results_destroy(struct frames_results *results)
{
    free(results->rows);
    free(results->compaction.rows);
    maps_results_destroy(&results->maps);
    free(results->crews);
    free(results->memory);
}
