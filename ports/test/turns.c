/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The scheduler of turns.h.
 *
 * The order of a run is its list of choices. Where only one thread can run there is no choice, and none is
 * listed. A run repeats the choices of the run before it up to the one that changes, and takes the first
 * option after that. The first option is to go on with the same thread, so that threads change as rarely as
 * possible.
 */
#define _GNU_SOURCE
#include "turns.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS_MOST = 8, CHOICES_MOST = 4096 };

struct runner {
    struct kva_turns *turns;
    unsigned number;
    pthread_t thread;
    _Atomic uint32_t may_go;
    const uint32_t *word; /* waits until this is not `value`; NULL: it does not wait */
    uint32_t value;
    bool has_ended;
};

struct kva_turns {
    unsigned count;
    struct runner runner[THREADS_MOST];
    _Atomic uint32_t all_ended;
    bool is_over; /* the threads must end */
    unsigned cpu; /* of all other threads */
    cpu_set_t cpus_before;
    void (*body)(void *context, unsigned thread);
    void *context;
    unsigned most_changes; /* 0: any number */
    unsigned changes;      /* in this run */
    size_t depth;          /* choices made in this run */
    size_t kept;           /* of these, those that repeat the run before */
    unsigned char taken[CHOICES_MOST];
    unsigned char options[CHOICES_MOST];
};

static _Thread_local struct runner *me; /* NULL: a thread that takes no turns */

static void stop(const char *why)
{
    fprintf(stderr, "turns: %s\n", why);
    abort();
}

static void set_word(_Atomic uint32_t *word)
{
    atomic_store(word, 1);
    kva_threads_host()->wake(NULL, (const uint32_t *)(const void *)word, true);
}

static void await_word(_Atomic uint32_t *word)
{
    while (atomic_load(word) == 0)
        kva_threads_host()->wait(NULL, (const uint32_t *)(const void *)word, 0);
    atomic_store(word, 0);
}

static bool can_run(const struct runner *runner)
{
    if (runner->has_ended)
        return false;
    return !runner->word ||
           atomic_load((const _Atomic uint32_t *)(const void *)runner->word) != runner->value;
}

/** The threads that can run, `first` before all others if it can. */
static unsigned list_runnable(const struct kva_turns *turns, unsigned first, unsigned *list)
{
    unsigned count = 0;

    for (unsigned i = 0; i < turns->count; i++) {
        unsigned number = (first + i) % turns->count;
        if (can_run(&turns->runner[number]))
            list[count++] = number;
    }
    return count;
}

static unsigned choose(struct kva_turns *turns, unsigned count)
{
    if (count == 1)
        return 0;
    if (turns->depth == CHOICES_MOST)
        stop("a run makes too many choices");
    unsigned choice = turns->depth < turns->kept ? turns->taken[turns->depth] : 0;
    if (choice >= count)
        stop("a run does not repeat the one before it");
    turns->taken[turns->depth] = (unsigned char)choice;
    turns->options[turns->depth] = (unsigned char)count;
    turns->depth++;
    return choice;
}

/** Pass the turn to a thread that can run. Returns when it is back, or at once if this thread has ended. */
static void hand_on(struct kva_turns *turns, struct runner *from)
{
    unsigned list[THREADS_MOST];
    unsigned count = list_runnable(turns, from ? from->number : 0, list);

    if (count == 0) {
        for (unsigned i = 0; i < turns->count; i++) {
            if (!turns->runner[i].has_ended)
                stop("the threads wait for each other");
        }
        set_word(&turns->all_ended);
        return;
    }
    bool could_go_on = from && list[0] == from->number;
    if (could_go_on && turns->most_changes > 0 && turns->changes == turns->most_changes)
        return;
    struct runner *to = &turns->runner[list[choose(turns, count)]];
    turns->changes += could_go_on && to != from;
    if (to == from)
        return;
    bool goes_on = from && !from->has_ended; /* read while no other thread runs */
    set_word(&to->may_go);
    if (goes_on)
        await_word(&from->may_go);
}

static void *take_turns(void *context)
{
    struct runner *runner = context;
    struct kva_turns *turns = runner->turns;

    me = runner;
    for (;;) {
        await_word(&runner->may_go);
        if (turns->is_over)
            return NULL;
        turns->body(turns->context, runner->number);
        runner->has_ended = true;
        hand_on(turns, runner);
    }
}

/* ---------------------------------------------------------------------------------------------- the table */

static void turns_point(void *context)
{
    if (me)
        hand_on(context, me);
}

static void turns_wait(void *context, const uint32_t *word, uint32_t value)
{
    if (!me)
        stop("a thread that takes no turns waits");
    me->word = word;
    me->value = value;
    hand_on(context, me);
    me->word = NULL;
}

/** Nothing to do: before each turn can_run looks at the words of waiting threads. */
static void turns_wake(void *context, const uint32_t *word, bool all)
{
    (void)context;
    (void)word;
    (void)all;
}

static unsigned turns_cpu(void *context)
{
    return me ? me->number : ((const struct kva_turns *)context)->cpu;
}

static uintptr_t turns_self(void *context)
{
    (void)context;
    return me ? me->number + 2 : 1;
}

struct kva_threads kva_turns_threads(struct kva_turns *turns)
{
    struct kva_threads threads = {
        .wait = turns_wait,
        .wake = turns_wake,
        .cpu = turns_cpu,
        .self = turns_self,
        .point = turns_point,
        .cpus = turns->count,
        .context = turns,
    };
    return threads;
}

/* --------------------------------------------------------------------------------------------------- runs */

/** Threads of which one runs at a time hand over several times as fast if they share a CPU. The system may
 *  refuse that. */
static void stay_on_this_cpu(cpu_set_t *before)
{
    int cpu = sched_getcpu();
    cpu_set_t here;

    CPU_ZERO(&here);
    CPU_ZERO(before);
    if (cpu < 0 || sched_getaffinity(0, sizeof *before, before) != 0)
        return;
    CPU_SET((unsigned)cpu, &here);
    (void)sched_setaffinity(0, sizeof here, &here);
}

struct kva_turns *kva_turns_create(unsigned threads)
{
    struct kva_turns *turns = calloc(1, sizeof *turns);

    if (!turns || threads == 0 || threads > THREADS_MOST)
        stop("no memory, or an invalid number of threads");
    turns->count = threads;
    stay_on_this_cpu(&turns->cpus_before); /* the threads that are created now inherit it */
    for (unsigned i = 0; i < threads; i++) {
        turns->runner[i].turns = turns;
        turns->runner[i].number = i;
        if (pthread_create(&turns->runner[i].thread, NULL, take_turns, &turns->runner[i]) != 0)
            stop("a thread cannot be created");
    }
    return turns;
}

void kva_turns_destroy(struct kva_turns *turns)
{
    turns->is_over = true;
    for (unsigned i = 0; i < turns->count; i++) {
        set_word(&turns->runner[i].may_go);
        if (pthread_join(turns->runner[i].thread, NULL) != 0)
            stop("a thread cannot be joined");
    }
    if (CPU_COUNT(&turns->cpus_before) > 0)
        (void)sched_setaffinity(0, sizeof turns->cpus_before, &turns->cpus_before);
    free(turns);
}

void kva_turns_set_cpu(struct kva_turns *turns, unsigned cpu)
{
    turns->cpu = cpu;
}

void kva_turns_begin(struct kva_turns *turns, unsigned most)
{
    turns->most_changes = most;
    turns->kept = 0;
}

void kva_turns_run(struct kva_turns *turns, void (*body)(void *context, unsigned thread), void *context)
{
    turns->body = body;
    turns->context = context;
    turns->depth = 0;
    turns->changes = 0;
    for (unsigned i = 0; i < turns->count; i++)
        turns->runner[i].has_ended = false;
    hand_on(turns, NULL);
    await_word(&turns->all_ended);
}

bool kva_turns_next(struct kva_turns *turns)
{
    while (turns->depth > 0 && turns->taken[turns->depth - 1] + 1 == turns->options[turns->depth - 1])
        turns->depth--;
    if (turns->depth == 0)
        return false;
    turns->taken[turns->depth - 1]++;
    turns->kept = turns->depth;
    return true;
}
