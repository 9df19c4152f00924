/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * CASES
 *   churn      A quarter of the frames is in use. Each thread has its share of them, frees a random one and
 *              allocates another; 1 to 16 threads.
 *   handover   One thread allocates frames and passes them on in arrays of 256; the other frees them. With
 *              two CPUs, each frame is freed on another CPU than it was allocated on. An operation is one
 *              frame, both calls.
 *
 * ONE THREAD
 *   A process with one thread uses plain instructions for its locks; with a second thread, even an idle one,
 *   atomic ones. So there are two rows with one thread: "alone", measured before the process starts another
 *   thread, and one beside an idle thread, which waits for the end of the turn. Rows with more threads are
 *   compared with the second row.
 *
 * TIMES
 *   By the clock, two threads do at most twice the work of one, and only if no other program uses the two
 *   CPUs. The CPU time of an operation is what the threads spent on it; it does not contain the time in which
 *   they slept, waiting for a lock. In the handover it is the time within the calls, without the waits for
 *   the other thread.
 */
#define _GNU_SOURCE
#include "frames.h"

#include "../common/clock.h"
#include "crew.h"
#include "fatal.h"
#include "machine.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The lead-in is a turn over this. */
#define LEAD_IN 4

/* Share of the frames in use. */
#define PERCENT_USED 25

/* Pairs between two updates of a thread's counter. */
#define ROUND 64

static const size_t crews[] = {1, 2, 4, 8, 16};
#define CREWS (sizeof(crews) / sizeof(crews[0]))
#define HANDS 16

/* Frames between two readings of a thread's CPU time, a system call, which then costs a nanosecond per
 * frame. */
#define BELT_FRAMES 256u
#define BELT_PLACES 4u

/* -------------------------------------------------------------------------------------------- the workers */

/* One thread of a crew, on its own cache lines. */
struct hand {
    _Alignas(128) const struct frames_set *set;
    struct frames_held *held; /* its share */
    size_t count;
    struct rng rng;
    uint64_t first[ROUND];
};

static uint64_t churn(void *argument)
{
    struct hand *hand = argument;
    size_t steps = frames_steps(hand->count, ROUND);
    frames_choose(hand->held, hand->count, steps, hand->first, &hand->rng);
    frames_replace(hand->set, steps, hand->first);
    frames_enter(hand->held, hand->count, steps, hand->first);
    return steps;
}

/* The frames that one side of the handover processed, and the CPU time of that. */
struct busy {
    double ns;
    uint64_t frames;
};

/* A ring between the two threads. Only the giver writes `put`, and only the taker writes `taken`. */
struct belt {
    _Alignas(128) uint64_t first[BELT_PLACES][BELT_FRAMES];
    _Alignas(128) _Atomic uint64_t put;
    struct busy giver;
    _Alignas(128) _Atomic uint64_t taken;
    struct busy taker;
    const struct frames_set *set;
};

static double thread_cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static uint64_t allocate_for_the_other(void *argument)
{
    struct belt *belt = argument;
    uint64_t put = atomic_load_explicit(&belt->put, memory_order_relaxed);
    if (put - atomic_load_explicit(&belt->taken, memory_order_acquire) == BELT_PLACES) {
        sched_yield();
        return 0;
    }
    double start = thread_cpu_ns();
    for (size_t i = 0; i < BELT_FRAMES; i++)
        frames_must(belt->set,
                    belt->set->contender->alloc(belt->set->state, &belt->set->request,
                                                &belt->first[put % BELT_PLACES][i]),
                    "an allocation");
    belt->giver.ns += thread_cpu_ns() - start;
    belt->giver.frames += BELT_FRAMES;
    atomic_store_explicit(&belt->put, put + 1, memory_order_release);
    return 0; /* a frame counts when the taker frees it */
}

static uint64_t free_for_the_other(void *argument)
{
    struct belt *belt = argument;
    uint64_t taken = atomic_load_explicit(&belt->taken, memory_order_relaxed);
    if (taken == atomic_load_explicit(&belt->put, memory_order_acquire)) {
        sched_yield();
        return 0;
    }
    double start = thread_cpu_ns();
    for (size_t i = 0; i < BELT_FRAMES; i++)
        frames_must(belt->set,
                    belt->set->contender->free(belt->set->state, belt->first[taken % BELT_PLACES][i]),
                    "a free");
    belt->taker.ns += thread_cpu_ns() - start;
    belt->taker.frames += BELT_FRAMES;
    atomic_store_explicit(&belt->taken, taken + 1, memory_order_release);
    return BELT_FRAMES;
}

/* -------------------------------------------------------------------------------------------- a contender */

/* A contender with its workers. */
struct runner {
    struct hand hand[HANDS];
    struct belt belt;
    struct frames_set *set;
};

static struct runner *runner_create(const struct frames_contender *contender, uint64_t frames, uint64_t seed)
{
    void *memory = NULL;
    if (posix_memalign(&memory, _Alignof(struct runner), sizeof(struct runner)) != 0)
        bench_fatal(TOOL_REFUSED, "no memory for a contender");
    struct runner *runner = memory;
    memset(runner, 0, sizeof(*runner));
    runner->set = frames_set_create(contender, frames, seed);
    runner->belt.set = runner->set;
    for (size_t i = 0; i < HANDS; i++)
        rng_seed_stream(&runner->hand[i].rng, seed, i);
    frames_set_churned(runner->set, PERCENT_USED);
    return runner;
}

static void runner_destroy(struct runner *runner)
{
    (void)frames_set_shape(runner->set); /* verifies that no two runs share a frame */
    frames_set_destroy(runner->set);
    free(runner);
}

static void share_out(struct runner *runner, size_t threads)
{
    size_t share = runner->set->count / threads;
    for (size_t i = 0; i < threads; i++) {
        runner->hand[i].set = runner->set;
        runner->hand[i].held = runner->set->held + i * share;
        runner->hand[i].count = share;
    }
}

/* --------------------------------------------------------------------------------------------------- rows */

static struct frames_crew *add_crew(struct frames_results *results, const char *what, const char *contender,
                                    uint64_t frames, size_t threads, bool alone)
{
    size_t row = results->crew_count;
    results->crews = bench_add_rows(results->crews, &results->crew_count, 1, sizeof(*results->crews));
    results->crews[row] = (struct frames_crew){
        .what = what, .contender = contender, .frames = frames, .threads = threads, .alone = alone};
    return &results->crews[row];
}

/* The row of the same contender, case and size with one thread beside an idle one; with `base`, the row of
 * the base contender with as many threads. */
static const struct frames_crew *related(const struct frames_results *results, const struct frames_crew *crew,
                                         bool base)
{
    const char *contender = base ? frames_contenders[FRAMES_CONTENDERS - 1].name : crew->contender;
    size_t threads = base ? crew->threads : 1;
    bool alone = base && crew->alone;
    for (size_t i = 0; i < results->crew_count; i++) {
        const struct frames_crew *other = &results->crews[i];
        if (other->frames == crew->frames && other->threads == threads && other->alone == alone &&
            strcmp(other->what, crew->what) == 0 && strcmp(other->contender, contender) == 0)
            return other;
    }
    return NULL;
}

static void summarize(struct frames_crew *crew)
{
    times_summarize(&crew->times);
    times_summarize(&crew->cpu);
    crew->share = median_of(crew->turn_share, crew->times.turns);
}

static void relate(const struct frames_results *results, struct frames_crew *crew)
{
    const struct frames_crew *base = related(results, crew, true), *one = related(results, crew, false);
    double at_work = (double)(crew->threads < results->cpus ? crew->threads : results->cpus);
    crew->times.ratio = base == NULL ? -1 : times_quotient(&base->times, &crew->times);
    crew->over_one = one == NULL ? -1 : times_quotient(&one->times, &crew->times);
    crew->over_one_cpu = one == NULL ? -1 : at_work * times_quotient(&one->cpu, &crew->cpu);
}

/* -------------------------------------------------------------------------------------------------- turns */

static void book(struct frames_crew *crew, double ns, double cpu_ns, double cpu_ns_all, uint64_t operations,
                 size_t cpus)
{
    double count = operations == 0 ? 1 : (double)operations;
    crew->turn_share[crew->times.turns] =
        cpu_ns_all / (ns * (double)(crew->threads < cpus ? crew->threads : cpus));
    times_add(&crew->times, ns / count);
    times_add(&crew->cpu, cpu_ns / count);
}

/* Do the first hand's work in this thread for `turn_ns`. If `crew` is NULL, the result is dropped. */
static void take_turn_alone(struct runner *runner, uint64_t turn_ns, struct frames_crew *crew)
{
    uint64_t operations = 0, start = clock_ns(), now;
    double start_cpu = thread_cpu_ns();
    do {
        operations += churn(&runner->hand[0]);
        now = clock_ns();
    } while (now - start < turn_ns);
    double cpu_ns = thread_cpu_ns() - start_cpu;
    if (crew != NULL)
        book(crew, (double)(now - start), cpu_ns, cpu_ns, operations, 1);
}

static void churn_turn(struct runner *runner, const struct bench_options *options, bool warm_up, size_t cpus,
                       struct frames_crew *crew)
{
    struct crew_job jobs[HANDS];
    share_out(runner, crew->threads);
    for (size_t i = 0; i < crew->threads; i++)
        jobs[i] = (struct crew_job){churn, &runner->hand[i]};
    struct crew_turn turn = crew_run(jobs, crew->threads, options->turn_ns / LEAD_IN, options->turn_ns);
    if (!warm_up)
        book(crew, turn.ns, turn.cpu_ns, turn.cpu_ns, turn.operations, cpus);
}

static double busy_ns(const struct busy *busy)
{
    return busy->ns / (busy->frames == 0 ? 1 : (double)busy->frames);
}

static void handover_turn(struct runner *runner, const struct bench_options *options, bool warm_up,
                          size_t cpus, struct frames_crew *crew)
{
    struct belt *belt = &runner->belt;
    struct crew_job jobs[2] = {{allocate_for_the_other, belt}, {free_for_the_other, belt}};
    belt->giver = belt->taker = (struct busy){0};
    struct crew_turn turn = crew_run(jobs, 2, options->turn_ns / LEAD_IN, options->turn_ns);
    double cpu_ns = (busy_ns(&belt->giver) + busy_ns(&belt->taker)) * (double)turn.operations;
    if (!warm_up)
        book(crew, turn.ns, cpu_ns, turn.cpu_ns, turn.operations, cpus);
}

/* Rows of a contender: the crews in their order, then the handover. */
#define ROWS (CREWS + 1)

static void run_turns(struct runner *const runners[FRAMES_CONTENDERS], size_t first,
                      const struct bench_options *options, struct frames_results *results)
{
    for (size_t number = 0; number <= options->reps; number++) {
        for (size_t i = 0; i < ROWS * FRAMES_CONTENDERS; i++) {
            struct frames_crew *crew = &results->crews[first + i];
            struct runner *runner = runners[i % FRAMES_CONTENDERS];
            bool is_churn = strcmp(crew->what, FRAMES_CHURN) == 0;
            progress_show(&bench_progress, "frames %s: %s, %zu threads, turn %zu/%zu", crew->what,
                          crew->contender, crew->threads, number, options->reps);
            (is_churn ? churn_turn : handover_turn)(runner, options, number == 0, results->cpus, crew);
        }
    }
}

/* ----------------------------------------------------------------------------------------------- all rows */

void frames_run_alone(uint64_t frames, const struct bench_options *options, struct frames_results *results)
{
    struct runner *runners[FRAMES_CONTENDERS];
    size_t first = results->crew_count;
    for (size_t i = 0; i < FRAMES_CONTENDERS; i++) {
        runners[i] = runner_create(&frames_contenders[i], frames, options->seed);
        share_out(runners[i], 1);
        (void)add_crew(results, FRAMES_CHURN, frames_contenders[i].name, frames, 1, true);
    }
    for (size_t number = 0; number <= options->reps; number++) {
        for (size_t i = 0; i < FRAMES_CONTENDERS; i++) {
            struct frames_crew *crew = &results->crews[first + i];
            progress_show(&bench_progress, "frames churn: %s, alone, turn %zu/%zu", crew->contender, number,
                          options->reps);
            take_turn_alone(runners[i], options->turn_ns / LEAD_IN, NULL);
            take_turn_alone(runners[i], options->turn_ns, number == 0 ? NULL : crew);
        }
    }
    for (size_t i = 0; i < FRAMES_CONTENDERS; i++) {
        runner_destroy(runners[i]);
        summarize(&results->crews[first + i]);
    }
}

void frames_run_crews(uint64_t frames, const struct bench_options *options, struct frames_results *results)
{
    struct runner *runners[FRAMES_CONTENDERS];
    size_t first = results->crew_count;
    for (size_t i = 0; i < FRAMES_CONTENDERS; i++)
        runners[i] = runner_create(&frames_contenders[i], frames, options->seed);
    for (size_t c = 0; c < CREWS; c++)
        for (size_t i = 0; i < FRAMES_CONTENDERS; i++)
            (void)add_crew(results, FRAMES_CHURN, frames_contenders[i].name, frames, crews[c], false);
    for (size_t i = 0; i < FRAMES_CONTENDERS; i++)
        (void)add_crew(results, FRAMES_HANDOVER, frames_contenders[i].name, frames, 2, false);
    run_turns(runners, first, options, results);
    for (size_t i = 0; i < FRAMES_CONTENDERS; i++)
        runner_destroy(runners[i]);
    for (size_t i = first; i < results->crew_count; i++)
        summarize(&results->crews[i]);
    for (size_t i = 0; i < results->crew_count; i++)
        if (results->crews[i].frames == frames)
            relate(results, &results->crews[i]);
}
