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

struct bout {
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
    struct bout *bout = argument;
    (void)machine_pin_to(0);
    for (uint64_t i = 0; i < bout->areas; i++)
        bout->area[i] = take(bout->subject, 1);
    pthread_barrier_wait(&bout->gate);
    uint64_t begin = clock_ns();
    for (uint64_t i = 0; i < bout->areas; i++)
        park(bout->subject, bout->area[i]);
    flush(bout->subject);
    bout->purge_ns = (double)(clock_ns() - begin);
    atomic_store(&bout->over, true);
    return NULL;
}

static void book(struct bout *bout, struct histogram *histogram, double *longest, uint64_t ticks)
{
    double ns = (double)ticks * bout->ns_per_tick;
    histogram_add(histogram, ticks);
    if (ns > LONG_NS)
        ns -= (double)delays_since_last(&bout->delays);
    if (ns > *longest)
        *longest = ns;
}

static void timed_batch(struct bout *bout, uint64_t *held, uint16_t *pages)
{
    for (size_t i = 0; i < BATCH_OPERATIONS; i += 2) {
        size_t slot = (size_t)rng_below(&bout->rng, HELD);
        uint64_t begin = ticks_now();
        give(bout->subject, held[slot], pages[slot]);
        uint64_t end = ticks_now();
        book(bout, &bout->waits, &bout->longest, end - begin);
        pages[slot] = (uint16_t)rng_between(&bout->rng, 1, 512);
        begin = ticks_now();
        held[slot] = take(bout->subject, pages[slot]);
        end = ticks_now();
        book(bout, &bout->waits, &bout->longest, end - begin);
    }
}

static void empty_batch(struct bout *bout, uint64_t duration)
{
    uint64_t start = ticks_now();
    uint64_t after = start;
    while (after - start < duration) {
        uint64_t before = ticks_now();
        after = ticks_now();
        book(bout, &bout->empty, &bout->empty_longest, after - before);
    }
}

static void *waiter_main(void *argument)
{
    struct bout *bout = argument;
    uint64_t held[HELD];
    uint16_t pages[HELD];
    (void)machine_pin_to(1);
    bout->delays = delays_open();
    for (size_t i = 0; i < HELD; i++) {
        pages[i] = 1;
        held[i] = take(bout->subject, 1);
    }
    pthread_barrier_wait(&bout->gate);
    while (!atomic_load(&bout->over)) {
        (void)delays_since_last(&bout->delays);
        uint64_t begin = ticks_now();
        timed_batch(bout, held, pages);
        uint64_t duration = ticks_now() - begin;
        (void)delays_since_last(&bout->delays);
        empty_batch(bout, duration);
    }
    for (size_t i = 0; i < HELD; i++)
        give(bout->subject, held[i], pages[i]);
    delays_close(&bout->delays);
    return NULL;
}

static void run_pass(struct bout *bout)
{
    pthread_t purger, waiter;
    bout->longest = 0;
    atomic_store(&bout->over, false);
    if (pthread_barrier_init(&bout->gate, NULL, 2) != 0 ||
        pthread_create(&purger, NULL, purger_main, bout) != 0 ||
        pthread_create(&waiter, NULL, waiter_main, bout) != 0)
        bench_fatal(TOOL_REFUSED, "threads: cannot start two threads");
    pthread_join(purger, NULL);
    pthread_join(waiter, NULL);
    pthread_barrier_destroy(&bout->gate);
}

/* ------------------------------------------------------------------------------------------ one contender */

/* The parameters that all contenders share. */
struct course {
    const struct bench_options *options;
    double ns_per_tick;
    uint64_t areas;
    struct threads_results *results;
};

static void measure(struct subject_of_wait *subject, const struct course *course)
{
    static struct bout bout; /* two histograms: too large for a stack */
    struct threads_wait *wait = &course->results->waits[course->results->wait_count++];
    uint64_t areas = course->areas;
    double purge_ns[PASSES];
    memset(&bout, 0, sizeof(bout));
    bout.subject = subject;
    bout.ns_per_tick = course->ns_per_tick;
    bout.areas = areas;
    bout.area = zeroed_array(areas, sizeof(*bout.area));
    if (bout.area == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for %llu addresses", (unsigned long long)areas);
    *wait = (struct threads_wait){.contender = subject->contender, .areas = areas};
    for (size_t pass = 0; pass < PASSES; pass++) {
        progress_show(&bench_progress, "threads wait: %s, pass %zu/%d", subject->contender, pass + 1, PASSES);
        rng_seed_stream(&bout.rng, course->options->seed, pass);
        run_pass(&bout);
        purge_ns[pass] = bout.purge_ns;
        if (pass == 0 || bout.longest < wait->longest)
            wait->longest = bout.longest;
    }
    free(bout.area);
    wait->operations = bout.waits.count;
    wait->latency = latency_of(&bout.waits, course->ns_per_tick);
    wait->empty_max = (double)bout.empty.max * course->ns_per_tick;
    wait->empty_longest = bout.empty_longest;
    wait->purge_ns = median_of(purge_ns, PASSES);
    wait->delays_known = bout.delays.file >= 0;
}

static void measure_space(const char *contender, const char *engine, struct sharing sharing,
                          const struct course *course)
{
    struct subject_of_wait subject = {.contender = contender, .is_space = true};
    shared_open(&subject.shared, engine, &sharing);
    shared_defer_all(&subject.shared);
    measure(&subject, course);
    shared_close(&subject.shared);
}

static void measure_vmalloc(const struct course *course)
{
    struct subject_of_wait subject = {.contender = THREADS_KVA};
    struct target_range range = {.quantum = PAGE};
    struct target_kind kind;
    target_kind_of_vm(&kind, course->options->main_engine);
    kind.vm.lazy_bytes = NO_LIMIT;
    threads_must(target_create(&subject.target, &kind, &range, true), "an instance of vmalloc");
    measure(&subject, course);
    threads_must(target_destroy(&subject.target), "destroying an instance");
}

void threads_measure_waits(const struct bench_options *options, uint64_t areas,
                           struct threads_results *results)
{
    const struct course course = {options, options->clock.ns_per_tick, areas, results};
    const char *engine = options->main_engine;
    measure_space(THREADS_POOLS, engine, (struct sharing){.threads = true, .pools = true}, &course);
    measure_space(THREADS_LOCK, engine, (struct sharing){.threads = true}, &course);
    measure_space(THREADS_2019, "rb", (struct sharing){.mutex = true}, &course);
    measure_vmalloc(&course);
}
