/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The longest wait of an allocation or a free while another thread frees and flushes a million areas.
 *
 *      the purger    | frees area after area | one flush, or purge, of all of them    |
 *      the waiter    | 256 timed operations | empty loop, as long | 256 timed operations | ...
 *
 * The areas have one page each. All are deferred (parked) until the flush, because their limit is lifted. The
 * waiter replaces ranges of 1 to 512 pages, which both pools and the tree serve, and times every call.
 *
 * The waits should be those that the allocator causes. Three measurements separate them from other delays:
 *
 *   CPU          Linux counts for each thread how long it was ready to run without a CPU. The counter is read
 *                before each batch and after each long operation, and the delay is subtracted from the
 *                operation's time.
 *   Empty loop   After each batch, an empty loop is timed in the same way. Its longest time, also without the
 *                wait for a CPU, is caused by the machine alone: by interrupts, also of the host.
 *   Passes       Everything is done PASSES times, and the LEAST of their longest waits counts. A purger that
 *                holds a lock for long does so in each pass; an interrupt in the middle of a slice, while the
 *                waiter needs the same lock, happens only in some.
 */
#define _GNU_SOURCE
#include "threads.h"

#include "../common/grow.h"
#include "delays.h"
#include "fatal.h"
#include "machine.h"
#include "threads_space.h"
#include "ticks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PASSES 3

/* Operations between two empty loops, and ranges that the waiter holds. */
#define BATCH_OPERATIONS 256
#define HELD 256

/* Reading the delay takes a microsecond or two, so it is read only after longer operations. A wait for a CPU
 * that another thread uses is longer. */
#define LONG_NS 20000.0

/* A limit that is never reached. */
#define NO_LIMIT (UINT64_C(1) << 60)

/* -------------------------------------------------------------------------------------- space or instance */

/* A space or an instance, with the same four calls. */
struct subject_of_wait {
    const char *contender;
    bool is_space; /* else the target */
    struct shared_space shared;
    struct target target;
};

static uint64_t take(struct subject_of_wait *subject, uint64_t pages)
{
    uint64_t address = 0;
    if (subject->is_space)
        return shared_take(&subject->shared, pages);
    threads_must(target_alloc(&subject->target, pages * PAGE, PAGE, 0, &address), "an allocation");
    return address;
}

static void give(struct subject_of_wait *subject, uint64_t address, uint64_t pages)
{
    if (subject->is_space)
        shared_give(&subject->shared, address);
    else
        threads_must(target_free(&subject->target, address, pages * PAGE), "a free");
}

static void park(struct subject_of_wait *subject, uint64_t address)
{
    if (subject->is_space)
        shared_park(&subject->shared, address);
    else
        give(subject, address, 1);
}

static void flush(struct subject_of_wait *subject)
{
    if (subject->is_space)
        shared_flush(&subject->shared);
    else
        threads_must(target_flush(&subject->target), "a flush");
}

/* -------------------------------------------------------------------------------------------- two threads */

struct wait_run {
    struct subject_of_wait *subject;
    double ns_per_tick;
    uint64_t areas;
    uint64_t *area;
    pthread_barrier_t gate;
    _Atomic bool over;
    double purge_ns;
    /* The waiter's. */
    struct rng rng;
    struct delays delays;
    struct histogram waits;
    struct histogram empty;
    double longest;
    double empty_longest;
};

static void *purger_main(void *argument)
{
    struct wait_run *run = argument;
    (void)machine_pin_to(0);
    for (uint64_t i = 0; i < run->areas; i++)
        run->area[i] = take(run->subject, 1);
    pthread_barrier_wait(&run->gate);
    uint64_t begin = clock_ns();
    for (uint64_t i = 0; i < run->areas; i++)
        park(run->subject, run->area[i]);
    flush(run->subject);
    run->purge_ns = (double)(clock_ns() - begin);
    atomic_store(&run->over, true);
    return NULL;
}

static void record(struct wait_run *run, struct histogram *histogram, double *longest, uint64_t ticks)
{
    double ns = (double)ticks * run->ns_per_tick;
    histogram_add(histogram, ticks);
    if (ns > LONG_NS)
        ns -= (double)delays_since_last(&run->delays);
    if (ns > *longest)
        *longest = ns;
}

static void timed_batch(struct wait_run *run, uint64_t *held, uint16_t *pages)
{
    for (size_t i = 0; i < BATCH_OPERATIONS; i += 2) {
        size_t slot = (size_t)rng_below(&run->rng, HELD);
        uint64_t begin = ticks_now();
        give(run->subject, held[slot], pages[slot]);
        uint64_t end = ticks_now();
        record(run, &run->waits, &run->longest, end - begin);
        pages[slot] = (uint16_t)rng_between(&run->rng, 1, 512);
        begin = ticks_now();
        held[slot] = take(run->subject, pages[slot]);
        end = ticks_now();
        record(run, &run->waits, &run->longest, end - begin);
    }
}

static void empty_batch(struct wait_run *run, uint64_t duration)
{
    uint64_t start = ticks_now();
    uint64_t after = start;
    while (after - start < duration) {
        uint64_t before = ticks_now();
        after = ticks_now();
        record(run, &run->empty, &run->empty_longest, after - before);
    }
}

static void *waiter_main(void *argument)
{
    struct wait_run *run = argument;
    uint64_t held[HELD];
    uint16_t pages[HELD];
    (void)machine_pin_to(1);
    run->delays = delays_open();
    for (size_t i = 0; i < HELD; i++) {
        pages[i] = 1;
        held[i] = take(run->subject, 1);
    }
    pthread_barrier_wait(&run->gate);
    while (!atomic_load(&run->over)) {
        (void)delays_since_last(&run->delays);
        uint64_t begin = ticks_now();
        timed_batch(run, held, pages);
        uint64_t duration = ticks_now() - begin;
        (void)delays_since_last(&run->delays);
        empty_batch(run, duration);
    }
    for (size_t i = 0; i < HELD; i++)
        give(run->subject, held[i], pages[i]);
    delays_close(&run->delays);
    return NULL;
}

static void run_pass(struct wait_run *run)
{
    pthread_t purger, waiter;
    run->longest = 0;
    atomic_store(&run->over, false);
    if (pthread_barrier_init(&run->gate, NULL, 2) != 0 ||
        pthread_create(&purger, NULL, purger_main, run) != 0 ||
        pthread_create(&waiter, NULL, waiter_main, run) != 0)
        bench_fatal(TOOL_REFUSED, "threads: cannot start two threads");
    pthread_join(purger, NULL);
    pthread_join(waiter, NULL);
    pthread_barrier_destroy(&run->gate);
}

/* ------------------------------------------------------------------------------------------ one contender */

/* The parameters that all contenders share. */
struct wait_plan {
    const struct bench_options *options;
    double ns_per_tick;
    uint64_t areas;
    struct threads_results *results;
};

static void measure(struct subject_of_wait *subject, const struct wait_plan *plan)
{
    static struct wait_run run; /* two histograms: too large for a stack */
    struct threads_wait *wait = &plan->results->waits[plan->results->wait_count++];
    uint64_t areas = plan->areas;
    double purge_ns[PASSES];
    memset(&run, 0, sizeof(run));
    run.subject = subject;
    run.ns_per_tick = plan->ns_per_tick;
    run.areas = areas;
    run.area = zeroed_array(areas, sizeof(*run.area));
    if (run.area == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for %llu addresses", (unsigned long long)areas);
    *wait = (struct threads_wait){.contender = subject->contender, .areas = areas};
    for (size_t pass = 0; pass < PASSES; pass++) {
        progress_show(&bench_progress, "threads wait: %s, pass %zu/%d", subject->contender, pass + 1, PASSES);
        rng_seed_stream(&run.rng, plan->options->seed, pass);
        run_pass(&run);
        purge_ns[pass] = run.purge_ns;
        if (pass == 0 || run.longest < wait->longest)
            wait->longest = run.longest;
    }
    free(run.area);
    wait->operations = run.waits.count;
    wait->latency = latency_of(&run.waits, plan->ns_per_tick);
    wait->empty_max = (double)run.empty.max * plan->ns_per_tick;
    wait->empty_longest = run.empty_longest;
    wait->purge_ns = median_of(purge_ns, PASSES);
    wait->delays_known = run.delays.file >= 0;
}

static void measure_space(const char *contender, const char *engine, struct sharing sharing,
                          const struct wait_plan *plan)
{
    struct subject_of_wait subject = {.contender = contender, .is_space = true};
    shared_open(&subject.shared, engine, &sharing);
    shared_defer_all(&subject.shared);
    measure(&subject, plan);
    shared_close(&subject.shared);
}

static void measure_vmalloc(const struct wait_plan *plan)
{
    struct subject_of_wait subject = {.contender = THREADS_KVA};
    struct target_range range = {.quantum = PAGE};
    struct target_kind kind;
    target_kind_of_vm(&kind, plan->options->main_engine);
    kind.vm.lazy_bytes = NO_LIMIT;
    threads_must(target_create(&subject.target, &kind, &range, true), "an instance of vmalloc");
    measure(&subject, plan);
    threads_must(target_destroy(&subject.target), "destroying an instance");
}

void threads_measure_waits(const struct bench_options *options, uint64_t areas,
                           struct threads_results *results)
{
    const struct wait_plan plan = {options, options->clock.ns_per_tick, areas, results};
    const char *engine = options->main_engine;
    measure_space(THREADS_POOLS, engine, (struct sharing){.threads = true, .pools = true}, &plan);
    measure_space(THREADS_LOCK, engine, (struct sharing){.threads = true}, &plan);
    measure_space(THREADS_2019, "rb", (struct sharing){.mutex = true}, &plan);
    measure_vmalloc(&plan);
}
