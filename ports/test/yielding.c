/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The threads of yielding.h. The context pointer itself holds what the functions of the table need. */
#define _GNU_SOURCE
#include "yielding.h"

#include <sched.h>
#include <time.h>

/** Random numbers of each thread, which begin with the thread's identity. Marsaglia's xorshift. */
static uint64_t next_random(void)
{
    static _Thread_local uint64_t state;

    if (state == 0)
        state = (uint64_t)kva_threads_host()->self(NULL) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static unsigned one_in_of(const void *context)
{
    return (unsigned)((uintptr_t)context & 0xffff);
}

static unsigned cpus_of(const void *context)
{
    return (unsigned)((uintptr_t)context >> 16);
}

static void yielding_wait(void *context, const uint32_t *word, uint32_t value)
{
    (void)context;
    kva_threads_host()->wait(NULL, word, value);
}

static void yielding_wake(void *context, const uint32_t *word, bool all)
{
    (void)context;
    kva_threads_host()->wake(NULL, word, all);
}

static unsigned yielding_cpu(void *context)
{
    return 2 * (unsigned)(next_random() % cpus_of(context));
}

static uintptr_t yielding_self(void *context)
{
    (void)context;
    return kva_threads_host()->self(NULL);
}

/** At one point in `one_in`: usually yield to the threads that wait for the CPU; now and then sleep, long
 *  enough for all others to run. */
static void yielding_point(void *context)
{
    unsigned one_in = one_in_of(context);

    if (one_in == 0 || next_random() % one_in != 0)
        return;
    if (next_random() % 64 == 0) {
        struct timespec moment = {0, 1000};
        (void)nanosleep(&moment, NULL);
    } else {
        (void)sched_yield();
    }
}

struct kva_threads kva_yielding_threads(unsigned one_in, unsigned cpus)
{
    uintptr_t both = (uintptr_t)cpus << 16 | one_in;
    struct kva_threads threads = {
        .wait = yielding_wait,
        .wake = yielding_wake,
        .cpu = yielding_cpu,
        .self = yielding_self,
        .point = yielding_point,
        .cpus = cpus,
        .context = (void *)both,
    };
    return threads;
}
