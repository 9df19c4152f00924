/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The longest single operation.
 *
 * In ten seconds a processor takes thousands of interrupts, and each one delays some operation. Two
 * measurements separate them from the engine's worst case.
 *
 *   Twice      The churn is the same for the same seed, so the whole run is made twice, from the set-up on,
 *              and each operation counts with the SHORTER of its two times. The engine's own work (a long
 *              search, a rebalancing, a new slab) takes time in both runs, at the same operation; an
 *              interrupt would have to hit the same one of ten million operations twice.
 *   Empty      After each batch of the first run, an empty loop is timed in the same way for the same
 *              duration. Its maximum is caused by the machine alone.
 */
#include "runner.h"

#include "../common/grow.h"
#include "fatal.h"
#include "ticks.h"

#include <stdlib.h>
#include <string.h>

/** The times of both passes. */
struct pass {
    uint32_t *ticks; /* of each operation; the second pass keeps the smaller of both */
    bool second;
    struct histogram all;
    struct histogram empty;
};

static void book(struct pass *pass, uint64_t operation, uint64_t ticks)
{
    uint32_t cut = ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks; /* about a second: enough */
    if (!pass->second) {
        histogram_add(&pass->all, ticks);
        pass->ticks[operation] = cut;
    } else if (cut < pass->ticks[operation]) {
        pass->ticks[operation] = cut;
    }
}

/** Run the pairs of a prepared batch, each as two timed operations: even ones free, odd ones allocate. */
static void timed_operations(struct subject *subject, size_t pairs, uint64_t operation, struct pass *pass)
{
    struct batch *batch = &subject->batch;
    for (size_t i = 0; i < pairs; i++) {
        uint64_t *address = &batch->address[batch->step[i].slot];
        struct kva_request request = step_request(&batch->step[i]);
        uint64_t start = ticks_now();
        subject_give(subject, *address);
        uint64_t middle = ticks_now();
        *address = subject_take(subject, &request);
        uint64_t end = ticks_now();
        book(pass, operation++, middle - start);
        book(pass, operation++, end - middle);
    }
}

/** Time an empty loop for `duration` ticks. */
static void empty_loop(struct histogram *histogram, uint64_t duration)
{
    uint64_t start = ticks_now();
    uint64_t after = start;
    while (after - start < duration) {
        uint64_t before = ticks_now();
        after = ticks_now();
        histogram_add(histogram, after - before);
    }
}

static void run_pass(struct subject *subject, const struct workload *workload, uint64_t pairs,
                     struct pass *pass)
{
    const struct phase *phase = &workload->phases[0];
    for (uint64_t done = 0; done < pairs;) {
        size_t count = pairs - done < BATCH ? (size_t)(pairs - done) : BATCH;
        phase->prepare(subject, count);
        uint64_t start = ticks_now();
        timed_operations(subject, count, 2 * done, pass);
        if (!pass->second)
            empty_loop(&pass->empty, ticks_now() - start);
        phase->finish(subject, count);
        done += count;
        progress_show(&bench_progress, "%s n=%zu %s: pass %d, %d %%", workload->name, subject->n,
                      subject->engine, pass->second ? 2 : 1, (int)(100 * done / pairs));
    }
}

/** Evaluate both passes: the longest of the shorter times, and how many of them exceed the p99.999 of the
 *  empty loop. */
static void evaluate(const struct pass *pass, double ns_per_tick, struct longest *longest)
{
    uint64_t threshold = histogram_quantile(&pass->empty, 0.99999);
    uint64_t found = 0;
    for (uint64_t i = 1; i < longest->operations; i++)
        if (pass->ticks[i] > pass->ticks[found])
            found = i;
    for (uint64_t i = 0; i < longest->operations; i++)
        longest->repeated_above += pass->ticks[i] > threshold;
    longest->repeated_max = (double)pass->ticks[found] * ns_per_tick;
    longest->repeated_is_free = found % 2 == 0;
    longest->latency = latency_of(&pass->all, ns_per_tick);
    longest->empty_p99999 = (double)threshold * ns_per_tick;
    longest->empty_max = (double)pass->empty.max * ns_per_tick;
    longest->above_empty = histogram_above(&pass->all, pass->empty.max);
}

/** Run both passes of one engine. */
static void measure(struct longest *longest, const struct bench_options *options)
{
    static struct pass pass; /* two histograms: too large for a stack */
    memset(&pass, 0, sizeof(pass));
    pass.ticks = zeroed_array(longest->operations, sizeof(*pass.ticks));
    if (pass.ticks == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for the times of %llu operations",
                    (unsigned long long)longest->operations);
    /* Fault its pages in now, not between two readings. */
    memset(pass.ticks, 0, (size_t)longest->operations * sizeof(*pass.ticks));
    for (int number = 1; number <= 2; number++) {
        pass.second = number == 2;
        struct subject *subject =
            workload_open(longest->workload, longest->engine, longest->n, options->seed);
        subject_sample(subject, &longest->sample);
        run_pass(subject, longest->workload, longest->operations / 2, &pass);
        subject_destroy(subject);
    }
    evaluate(&pass, options->clock.ns_per_tick, longest);
    free(pass.ticks);
}

void bench_run_longest(const struct workload *workload, size_t n, const struct bench_options *options,
                       struct results *results)
{
    for (size_t i = 0; i < options->engines.count; i++) {
        const char *engine = options->engines.name[i];
        size_t cap = options->uncapped ? SIZE_MAX : bench_engine_cap(engine);
        uint64_t operations_cap = options->uncapped ? UINT64_MAX : bench_engine_operations_cap(engine);
        results->longest =
            bench_add_rows(results->longest, &results->longest_count, 1, sizeof(*results->longest));
        struct longest *longest = &results->longest[results->longest_count - 1];
        longest->workload = workload;
        longest->engine = engine;
        longest->n = n < cap ? n : cap;
        longest->operations = options->operations < operations_cap ? options->operations : operations_cap;
        longest->capped = longest->n < n || longest->operations < options->operations;
        measure(longest, options);
    }
}
