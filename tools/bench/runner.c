/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "runner.h"

#include "fatal.h"
#include "ticks.h"

#include <stdlib.h>
#include <string.h>

/* Turns in which each operation is timed by itself. Two turns of the usual length give some 10^5 operations
 * of a microsecond, a hundred of them beyond the p99.9. */
#define LATENCY_TURNS 2

/* The lead-in is a turn over this: long enough to reload a second-level cache. */
#define LEAD_IN 8

/* The time of a batch should lie between these: short enough that a turn ends near its time even on a slow
 * engine, long enough that the readings of the stopwatch do not matter. */
#define BATCH_NS_MIN 100000.0
#define BATCH_NS_MAX 1000000.0

/* ------------------------------------------------------------------------------------------------ caps
 * O(n) engines would take hours at the larger sizes. The scan engine takes some microseconds for a pair at
 * 10^4 ranges and a hundred times that at 10^6. */
static const struct cap {
    const char *engine;
    size_t n;
    uint64_t operations;
} caps[] = {
    {"scan", 10000, 200000},
};

static const struct cap *cap_of(const char *engine)
{
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
        if (strcmp(caps[i].engine, engine) == 0)
            return &caps[i];
    return NULL;
}

size_t bench_engine_cap(const char *engine)
{
    const struct cap *cap = cap_of(engine);
    return cap == NULL ? SIZE_MAX : cap->n;
}

uint64_t bench_engine_operations_cap(const char *engine)
{
    const struct cap *cap = cap_of(engine);
    return cap == NULL ? UINT64_MAX : cap->operations;
}

/* -------------------------------------------------------------------------------------------------- turns */

struct turn {
    uint64_t operations;
    uint64_t ticks;
};

/** Run `count` operations, timed as one. */
static uint64_t timed_batch(struct subject *subject, const struct phase *phase, size_t count)
{
    uint64_t start = ticks_now();
    phase->run(subject, 0, count);
    return ticks_now() - start;
}

/** Run `count` operations, each timed, and add the times to the histogram. Returns their sum. */
static uint64_t timed_singly(struct subject *subject, const struct phase *phase, size_t count,
                             struct histogram *histogram)
{
    uint64_t start = ticks_now();
    uint64_t before = start;
    for (size_t i = 0; i < count; i++) {
        phase->run(subject, i, i + 1);
        uint64_t after = ticks_now();
        histogram_add(histogram, after - before);
        before = ticks_now(); /* excludes the time of histogram_add() */
    }
    return before - start;
}

/** Prepare, run and finish one batch of `count` operations, timed as one or, with a histogram, singly. */
static void batch(struct subject *subject, const struct phase *phase, size_t count,
                  struct histogram *histogram, struct turn *turn)
{
    if (phase->prepare != NULL)
        phase->prepare(subject, count);
    turn->ticks += histogram == NULL ? timed_batch(subject, phase, count)
                                     : timed_singly(subject, phase, count, histogram);
    turn->operations += count;
    if (phase->finish != NULL)
        phase->finish(subject, count);
}

static void adapt_batch(struct subject *subject, double ns)
{
    if (ns < BATCH_NS_MIN && 2 * subject->batch_count <= subject->batch_limit)
        subject->batch_count *= 2;
    if (ns > BATCH_NS_MAX && subject->batch_count > 1)
        subject->batch_count /= 2;
}

/** A turn by time: batches until `budget_ns` are spent, at least one. */
static struct turn lasting_turn(struct subject *subject, const struct phase *phase, double budget_ns,
                                double ns_per_tick, struct histogram *histogram)
{
    struct turn turn = {0};
    double spent = 0;
    do {
        double before = spent;
        batch(subject, phase, subject->batch_count, histogram, &turn);
        spent = (double)turn.ticks * ns_per_tick;
        adapt_batch(subject, spent - before);
    } while (spent < budget_ns);
    return turn;
}

/** A turn of exactly n operations. */
static struct turn whole_turn(struct subject *subject, const struct phase *phase, struct histogram *histogram)
{
    struct turn turn = {0};
    while (turn.operations < subject->n) {
        size_t left = subject->n - (size_t)turn.operations;
        batch(subject, phase, left < BATCH ? left : BATCH, histogram, &turn);
    }
    return turn;
}

/** Nanoseconds of a tick, over the parts of an operation. */
static double ns_of_part(const struct subject *subject, const struct phase *phase, double ns_per_tick)
{
    return phase->parts == NULL ? ns_per_tick : ns_per_tick / (double)phase->parts(subject);
}

/** One turn of one subject: nanoseconds per operation, or per part of one. */
static double take_turn(struct subject *subject, const struct phase *phase, uint64_t turn_ns,
                        double ns_per_tick, struct histogram *histogram)
{
    struct turn turn;
    if (phase->enter != NULL)
        phase->enter(subject);
    if (phase->fixed_count) {
        turn = whole_turn(subject, phase, histogram);
    } else {
        lasting_turn(subject, phase, (double)turn_ns / LEAD_IN, ns_per_tick, NULL);
        turn = lasting_turn(subject, phase, (double)turn_ns, ns_per_tick, histogram);
    }
    return (double)turn.ticks * ns_of_part(subject, phase, ns_per_tick) / (double)turn.operations;
}

/* ------------------------------------------------------------------------------------ one workload, one n */

/** The engines of one measurement. A subject that is NULL is skipped. */
struct bout {
    const struct workload *workload;
    const struct phase *phase; /* the current one; NULL before the first */
    const struct bench_options *options;
    size_t n;
    struct subject *subjects[ENGINES_MAX];
    struct row *rows; /* of the current phase: one for each engine */
};

static void show(const struct bout *bout, const char *engine, const char *what, size_t number, size_t count)
{
    const struct phase *phase = bout->phase;
    progress_show(&bench_progress, "%s%s%s n=%zu %s: %s %zu/%zu", bout->workload->name,
                  phase != NULL && phase->name != NULL ? " " : "",
                  phase != NULL && phase->name != NULL ? phase->name : "", bout->n, engine, what, number,
                  count);
}

static struct subject *open_subject(const struct bout *bout, const char *engine)
{
    const struct workload *workload = bout->workload;
    uint64_t seed = bout->options->seed;
    return workload->apart ? workload_open_phase(workload, bout->phase, engine, bout->n, seed)
                           : workload_open(workload, engine, bout->n, seed);
}

static void open_subjects(struct bout *bout, struct row *models)
{
    const struct bench_options *options = bout->options;
    for (size_t i = 0; i < options->engines.count; i++) {
        struct row *model = &models[i];
        memset(model, 0, sizeof(*model));
        model->workload = bout->workload;
        model->n = bout->n;
        model->engine = options->engines.name[i];
        model->base = options->base;
        model->skipped = bout->n > bench_engine_cap(model->engine) && !options->uncapped;
        if (model->skipped)
            continue;
        show(bout, model->engine, "set-up", i + 1, options->engines.count);
        uint64_t start = clock_ns();
        bout->subjects[i] = open_subject(bout, model->engine);
        model->setup_ns = (double)(clock_ns() - start);
        subject_sample(bout->subjects[i], &model->sample);
    }
}

void bench_require_equal_samples(const struct workload *workload, size_t n, const char *engine_a,
                                 const struct sample *a, const char *engine_b, const struct sample *b)
{
    if (a->fingerprint != b->fingerprint || a->live_bytes != b->live_bytes || a->used_bytes != b->used_bytes)
        bench_fatal(TOOL_WRONG, "%s, n = %zu: engines %s and %s gave different addresses for the same calls",
                    workload->name, n, engine_a, engine_b);
}

static void compare_samples(const struct bout *bout, const struct row *models)
{
    const struct row *first = NULL;
    for (size_t i = 0; i < bout->options->engines.count; i++) {
        const struct row *row = &models[i];
        if (row->skipped)
            continue;
        if (first != NULL)
            bench_require_equal_samples(bout->workload, bout->n, first->engine, &first->sample, row->engine,
                                        &row->sample);
        first = row;
    }
}

/** One throughput turn of a phase for each engine; turn 0 is the warm-up. */
static void measure_turn(struct bout *bout, size_t turn)
{
    const struct bench_options *options = bout->options;
    for (size_t i = 0; i < options->engines.count; i++) {
        struct row *row = &bout->rows[i];
        if (row->skipped)
            continue;
        show(bout, row->engine, "turn", turn, options->reps);
        double ns =
            take_turn(bout->subjects[i], bout->phase, options->turn_ns, options->clock.ns_per_tick, NULL);
        if (turn == 0)
            row->warmup_ns = ns;
        else
            times_add(&row->times, ns);
    }
}

static void measure_latency(struct bout *bout)
{
    static struct histogram histograms[ENGINES_MAX]; /* half a megabyte: too large for a stack */
    const struct bench_options *options = bout->options;
    for (size_t i = 0; i < options->engines.count; i++)
        histogram_init(&histograms[i]);
    for (size_t turn = 0; turn < LATENCY_TURNS; turn++) {
        for (size_t i = 0; i < options->engines.count; i++) {
            if (bout->rows[i].skipped)
                continue;
            show(bout, bout->rows[i].engine, "latency", turn + 1, LATENCY_TURNS);
            take_turn(bout->subjects[i], bout->phase, options->turn_ns, options->clock.ns_per_tick,
                      &histograms[i]);
        }
    }
    for (size_t i = 0; i < options->engines.count; i++) {
        double ns_per_tick = options->clock.ns_per_tick;
        if (!bout->rows[i].skipped)
            ns_per_tick = ns_of_part(bout->subjects[i], bout->phase, ns_per_tick);
        bout->rows[i].latency = latency_of(&histograms[i], ns_per_tick);
    }
}

static void fill_in_ratios(struct bout *bout)
{
    const struct times *base = NULL;
    for (size_t i = 0; i < bout->options->engines.count; i++)
        if (strcmp(bout->rows[i].engine, bout->options->base) == 0 && !bout->rows[i].skipped)
            base = &bout->rows[i].times;
    for (size_t i = 0; i < bout->options->engines.count; i++) {
        if (bout->rows[i].skipped)
            continue;
        times_summarize(&bout->rows[i].times);
        bout->rows[i].times.ratio = times_quotient(base, &bout->rows[i].times);
    }
}

/** Compare each row with the first phase. Phases that stand apart take turns, so their turns are divided;
 *  otherwise the medians are divided. */
static void compare_with_first(struct bout *bout, const struct row *first)
{
    for (size_t i = 0; i < bout->options->engines.count; i++) {
        struct row *row = &bout->rows[i];
        row->times_first = -1;
        if (!bout->workload->beside_first || row->skipped)
            continue;
        row->times_first = bout->workload->apart ? times_quotient(&first[i].times, &row->times)
                                                 : first[i].times.median_ns / row->times.median_ns;
    }
}

/** Add the rows of the current phase, without figures. */
static void add_rows(struct bout *bout, const struct row *models, struct results *results)
{
    size_t engines = bout->options->engines.count;
    size_t first = results->row_count;
    results->rows = bench_add_rows(results->rows, &results->row_count, engines, sizeof(*models));
    bout->rows = results->rows + first;
    memcpy(bout->rows, models, engines * sizeof(*models));
    for (size_t i = 0; i < engines; i++)
        bout->rows[i].phase = bout->phase;
}

static void close_subjects(struct bout *bout)
{
    for (size_t i = 0; i < bout->options->engines.count; i++)
        if (bout->subjects[i] != NULL)
            subject_destroy(bout->subjects[i]);
}

/** Measure phase after phase on the same subjects. */
static void run_together(struct bout *bout, struct results *results)
{
    struct row models[ENGINES_MAX];
    size_t first_phase = results->row_count;
    open_subjects(bout, models);
    compare_samples(bout, models);
    for (size_t p = 0; p < bout->workload->phase_count; p++) {
        bout->phase = &bout->workload->phases[p];
        add_rows(bout, models, results);
        for (size_t turn = 0; turn <= bout->options->reps; turn++)
            measure_turn(bout, turn);
        measure_latency(bout);
        fill_in_ratios(bout);
        compare_with_first(bout, results->rows + first_phase);
    }
    close_subjects(bout);
}

/** Measure all phases in turn, each on its own subjects. */
static void run_apart(const struct bout *model, struct results *results)
{
    static struct bout bouts[APART_MAX];
    size_t count = model->workload->phase_count;
    size_t engines = model->options->engines.count;
    size_t first_phase = results->row_count;
    for (size_t p = 0; p < count; p++) {
        struct row models[ENGINES_MAX];
        bouts[p] = *model;
        bouts[p].phase = &model->workload->phases[p];
        open_subjects(&bouts[p], models);
        compare_samples(&bouts[p], models);
        add_rows(&bouts[p], models, results);
    }
    for (size_t p = 0; p < count; p++) /* the array of rows does not move any more */
        bouts[p].rows = results->rows + first_phase + p * engines;
    for (size_t turn = 0; turn <= model->options->reps; turn++)
        for (size_t p = 0; p < count; p++)
            measure_turn(&bouts[p], turn);
    for (size_t p = 0; p < count; p++) {
        measure_latency(&bouts[p]);
        fill_in_ratios(&bouts[p]);
        compare_with_first(&bouts[p], bouts[0].rows);
        close_subjects(&bouts[p]);
    }
}

void bench_run_workload(const struct workload *workload, size_t n, const struct bench_options *options,
                        struct results *results)
{
    struct bout bout = {.workload = workload, .options = options, .n = n};
    if (workload->apart)
        run_apart(&bout, results);
    else
        run_together(&bout, results);
}

void bench_results_destroy(struct results *results)
{
    free(results->rows);
    free(results->longest);
}
