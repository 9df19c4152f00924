/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _GNU_SOURCE
#include "crew.h"

#include "../common/clock.h"
#include "fatal.h"
#include "machine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* A reading of all counters that takes longer than READING_NS was interrupted. It is repeated, at most
 * READINGS times. */
#define READING_NS UINT64_C(20000)
#define READINGS 50

/* Each member has its own pair of cache lines, because processors fetch lines in pairs. */
struct member {
    _Alignas(128) _Atomic uint64_t done;
    const struct crew *crew;
    struct crew_job job;
    size_t index;
    pthread_t thread;
};

struct crew {
    pthread_barrier_t gate;
    _Atomic int stop;
    size_t count;
    struct member member[CREW_MOST];
};

static void *member_main(void *argument)
{
    struct member *member = argument;
    struct crew *crew = (struct crew *)(uintptr_t)member->crew;
    uint64_t done = 0;
    (void)machine_pin_to(member->index); /* if refused, the thread runs on any CPU */
    pthread_barrier_wait(&crew->gate);
    while (!atomic_load_explicit(&crew->stop, memory_order_relaxed)) {
        done += member->job.work(member->job.worker);
        atomic_store_explicit(&member->done, done, memory_order_relaxed);
    }
    return NULL;
}

static void sleep_ns(uint64_t ns)
{
    struct timespec time = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    while (nanosleep(&time, &time) != 0)
        continue;
}

static double cpu_ns_of_program(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Read all counters, as nearly at one moment as possible. */
static struct crew_turn read_counters(struct crew *crew)
{
    struct crew_turn now;
    uint64_t begin, end;
    unsigned readings = 0;
    do {
        begin = clock_ns();
        now = (struct crew_turn){.ns = (double)begin, .cpu_ns = cpu_ns_of_program()};
        for (size_t i = 0; i < crew->count; i++)
            now.operations += atomic_load_explicit(&crew->member[i].done, memory_order_relaxed);
        end = clock_ns();
    } while (end - begin > READING_NS && ++readings < READINGS);
    return now;
}

static void start(struct crew *crew, const struct crew_job *jobs, size_t count)
{
    memset(crew, 0, sizeof(*crew));
    crew->count = count;
    bool good = pthread_barrier_init(&crew->gate, NULL, (unsigned)count + 1) == 0;
    for (size_t i = 0; good && i < count; i++) {
        struct member *member = &crew->member[i];
        member->crew = crew;
        member->job = jobs[i];
        member->index = i;
        good = pthread_create(&member->thread, NULL, member_main, member) == 0;
    }
    if (!good)
        bench_fatal(TOOL_REFUSED, "threads: cannot start %zu threads", count);
    pthread_barrier_wait(&crew->gate);
}

static void finish(struct crew *crew)
{
    atomic_store_explicit(&crew->stop, 1, memory_order_relaxed);
    for (size_t i = 0; i < crew->count; i++)
        pthread_join(crew->member[i].thread, NULL);
    pthread_barrier_destroy(&crew->gate);
}

struct crew_turn crew_run(const struct crew_job *jobs, size_t count, uint64_t lead_ns, uint64_t turn_ns)
{
    static struct crew crew; /* one at a time */
    start(&crew, jobs, count);
    sleep_ns(lead_ns);
    struct crew_turn begin = read_counters(&crew);
    sleep_ns(turn_ns);
    struct crew_turn end = read_counters(&crew);
    finish(&crew);
    return (struct crew_turn){end.ns - begin.ns, end.cpu_ns - begin.cpu_ns,
                              end.operations - begin.operations};
}
