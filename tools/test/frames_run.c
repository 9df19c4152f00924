/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * ROUNDS
 *   All workers run for a quarter of a second, or a quarter of the shape's share of the time if that is less.
 *   Between rounds no worker runs, and the set is compared with the whole table (frames_inspect.c). The
 *   workers keep their runs for the next round, in new threads. After the last round each frees all it has;
 *   the set must then equal a new one.
 *
 * COMPACTION
 *   One more thread compacts in slices while the workers run, and pauses if nothing is left to gain. Workers
 *   also compact, and request it.
 *
 * RANDOMNESS
 *   For each shape, each worker has its own stream of the seed, which continues from round to round. The
 *   results also depend on the other threads: the seed repeats the requests, not the run.
 */
#define _GNU_SOURCE
#include "frames_run.h"

#include "../common/clock.h"
#include "../common/progress.h"
#include "frames_inspect.h"
#include "frames_move.h"

#include <kva/threads.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Frames of one slice of the helper, and its pause. */
#define SLICE 256
#define PAUSE_NS 1000000

#define ROUND_NS UINT64_C(250000000)

/* The clock is read every 64 operations, which take some hundred nanoseconds each. */
#define STEPS_PER_LOOK 64

struct crew {
    const struct traffic_plan *plan;
    struct traffic *traffic;
    struct traffic_worker *workers;
    pthread_t *threads;
    uint64_t end_ns; /* of the round; 0: free everything */
    struct progress progress;
    uint64_t begin_ns;  /* of the shape */
    struct rng rng;     /* of the checks between rounds */
    atomic_bool at_end; /* the round has ended, and the helper must end */
    struct traffic_report *report;
};

struct duty {
    struct crew *crew;
    struct traffic_worker *worker;
};

/* --------------------------------------------------------------------------------------------- one worker */

static void give_all(struct traffic_worker *worker)
{
    bool good = true;
    for (size_t i = 0; i < worker->slots && good; i++) {
        traffic_hold(worker->held[i]);
        good = traffic_give(worker->traffic, worker->held[i]);
        traffic_drop(worker->held[i]);
    }
}

static void go_round(const struct crew *crew, struct traffic_worker *worker)
{
    for (uint64_t steps = 0; steps < crew->plan->steps || clock_ns() < crew->end_ns; steps += STEPS_PER_LOOK)
        for (unsigned i = 0; i < STEPS_PER_LOOK; i++)
            if (atomic_load_explicit(&crew->traffic->failed, memory_order_relaxed) || !traffic_step(worker))
                return;
}

static void *duty_main(void *argument)
{
    struct duty *duty = argument;
    if (duty->crew->end_ns == 0)
        give_all(duty->worker);
    else
        go_round(duty->crew, duty->worker);
    return NULL;
}

/* --------------------------------------------------------------------------------------------- the helper */

static void *helper_main(void *argument)
{
    struct crew *crew = argument;
    struct traffic *traffic = crew->traffic;
    while (!atomic_load(&crew->at_end) && !atomic_load(&traffic->failed)) {
        struct kva_frames_compacted done = {0};
        enum kva_status status =
            kva_frames_compact(traffic->frames, KVA_FRAMES_ALL_ZONES, KVA_FRAMES_ALL_BLOCKS, SLICE, &done);
        traffic_expect(traffic, "kva_frames_compact", 0, SLICE, status, KVA_OK);
        if (done.is_finished)
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    return NULL;
}

/* -------------------------------------------------------------------------------------------- all workers */

static bool run_workers(struct crew *crew)
{
    size_t count = (size_t)crew->plan->threads, made = 0;
    struct duty *duties = calloc(count, sizeof(*duties));
    for (bool good = duties != NULL; good && made < count; made += good) {
        duties[made] = (struct duty){crew, &crew->workers[made]};
        good = pthread_create(&crew->threads[made], NULL, duty_main, &duties[made]) == 0;
    }
    for (size_t i = 0; i < made; i++)
        pthread_join(crew->threads[i], NULL);
    free(duties);
    return made == count;
}

/* False: the system started fewer threads than requested. */
static bool run_threads(struct crew *crew)
{
    pthread_t helper;
    atomic_store(&crew->at_end, false);
    if (pthread_create(&helper, NULL, helper_main, crew) != 0)
        return false;
    bool made = run_workers(crew);
    atomic_store(&crew->at_end, true);
    pthread_join(helper, NULL);
    return made;
}

static void count_operations(struct crew *crew)
{
    struct traffic_report *report = crew->report;
    memset(report->done, 0, sizeof(report->done));
    memset(report->refused, 0, sizeof(report->refused));
    report->operations = 0;
    for (uint64_t i = 0; i < crew->plan->threads; i++) {
        for (unsigned kind = 0; kind < TRAFFIC_KINDS; kind++) {
            report->done[kind] += crew->workers[i].done[kind];
            report->refused[kind] += crew->workers[i].refused[kind];
            report->operations += crew->workers[i].done[kind] + crew->workers[i].refused[kind];
        }
    }
}

static void look_how_full(struct crew *crew)
{
    struct kva_frames_stats stats;
    if (kva_frames_stats_read(crew->traffic->frames, KVA_FRAMES_ALL_ZONES, &stats) == KVA_OK &&
        stats.used_frames > crew->report->used_at_most)
        crew->report->used_at_most = stats.used_frames;
}

static void show(struct crew *crew)
{
    progress_show(&crew->progress, "frames %s, %.1f of %.1f s, %" PRIu64 " operations, %" PRIu64 " rounds",
                  crew->report->shape.name, (double)(clock_ns() - crew->begin_ns) / 1e9,
                  (double)crew->plan->time_ns / FRAMES_SHAPES / 1e9, crew->report->operations,
                  crew->report->rounds);
}

static const char no_threads[] = "the system started fewer threads than --threads asks for";
static const char no_memory[] = "out of memory";

/* Run rounds for the shape's share of the time. */
static const char *run_rounds(struct crew *crew)
{
    uint64_t share = crew->plan->time_ns / FRAMES_SHAPES;
    uint64_t length = share / 4 < ROUND_NS ? share / 4 : ROUND_NS;
    uint64_t end_ns = crew->begin_ns + share;
    do {
        crew->end_ns = clock_ns() + length;
        if (!run_threads(crew))
            return no_threads;
        count_operations(crew);
        crew->report->moved_runs = crew->traffic->moves.runs;
        crew->report->moved_frames = crew->traffic->moves.frames;
        look_how_full(crew);
        show(crew);
        if (atomic_load(&crew->traffic->failed) || !traffic_inspect(crew->traffic, &crew->rng))
            return NULL;
        crew->report->rounds++;
    } while (clock_ns() + length <= end_ns);
    return NULL;
}

/* Free everything, also the records of the exchange, and inspect the empty set. */
static const char *empty(struct crew *crew)
{
    bool has_memory = true;
    crew->end_ns = 0;
    if (!run_threads(crew))
        return no_threads;
    for (size_t i = 0; i < TRAFFIC_EXCHANGE; i++)
        if (!traffic_give(crew->traffic, crew->traffic->exchange[i]))
            return NULL;
    if (!atomic_load(&crew->traffic->failed) && traffic_inspect(crew->traffic, &crew->rng))
        (void)traffic_inspect_empty(crew->traffic, &has_memory);
    return has_memory ? NULL : no_memory;
}

/* ------------------------------------------------------------------------------------------------- memory */

/* Requests take 16 frames on average, parts of them are freed, and a worker that fills has seven eighths
 * of its slots in use: so the set is full while most workers fill. */
static size_t slots_of(const struct traffic_plan *plan)
{
    uint64_t slots = plan->frames / plan->threads / 6;
    return (size_t)(slots < 64 ? 64 : slots);
}

/* A record for each slot, and for each place of the exchange. */
static bool make_records(struct crew *crew)
{
    struct traffic *traffic = crew->traffic;
    size_t slots = slots_of(crew->plan) * (size_t)crew->plan->threads;
    traffic->held_count = slots + TRAFFIC_EXCHANGE;
    traffic->held = calloc(traffic->held_count, sizeof(*traffic->held));
    for (size_t i = 0; traffic->held != NULL && i < TRAFFIC_EXCHANGE; i++)
        traffic->exchange[i] = &traffic->held[slots + i];
    return traffic->held != NULL;
}

static bool make_worker(const struct crew *crew, size_t shape, size_t index)
{
    struct traffic_worker *worker = &crew->workers[index];
    *worker = (struct traffic_worker){
        .traffic = crew->traffic, .owner = (uint32_t)index + 1, .slots = slots_of(crew->plan), .fills = true};
    worker->held = calloc(worker->slots, sizeof(struct traffic_held *));
    for (size_t i = 0; worker->held != NULL && i < worker->slots; i++)
        worker->held[i] = &crew->traffic->held[index * worker->slots + i];
    rng_seed_stream(&worker->rng, crew->plan->seed, (uint64_t)shape << 32 | index);
    return worker->held != NULL;
}

static bool make_workers(struct crew *crew, size_t shape)
{
    const struct traffic_plan *plan = crew->plan;
    bool made = make_records(crew);
    crew->workers = calloc((size_t)plan->threads, sizeof(*crew->workers));
    crew->threads = calloc((size_t)plan->threads, sizeof(*crew->threads));
    if (!made || crew->workers == NULL || crew->threads == NULL)
        return false;
    rng_seed_stream(&crew->rng, plan->seed, UINT64_MAX - shape);
    rng_seed_stream(&crew->traffic->moves.rng, plan->seed, UINT64_MAX - FRAMES_SHAPES - shape);
    for (size_t i = 0; i < plan->threads; i++)
        made = make_worker(crew, shape, i) && made;
    return made;
}

static void drop_workers(struct crew *crew)
{
    for (uint64_t i = 0; crew->workers != NULL && i < crew->plan->threads; i++)
        free((void *)crew->workers[i].held);
    free(crew->workers);
    free(crew->threads);
    free(crew->traffic->held);
}

static enum kva_status make_set(const struct traffic_plan *plan, struct traffic *traffic)
{
    const struct traffic_shape *shape = &traffic->table.shape;
    static const unsigned char distances[] = {10, 20, 20, 10};
    struct kva_frames_config config = {
        .zones = shape->zones,
        .zone_count = shape->zone_count,
        .holes = shape->hole_count != 0 ? shape->holes : NULL,
        .hole_count = shape->hole_count,
        .block_order = shape->block_order,
        .distances = shape->node_count == 2 ? distances : NULL,
        .node_count = shape->node_count == 2 ? 2 : 0,
        .memory = kva_memory_host(),
        .cpus = plan->cpus,
        .threads = kva_threads_host(),
        .move = traffic_move,
        .move_context = traffic,
        .on_corruption = kva_corruption_host,
    };
    return kva_frames_create(&config, &traffic->frames);
}

/* Run with the table and the set. */
static const char *run_on_set(const struct traffic_plan *plan, size_t index, struct traffic *traffic,
                              struct traffic_report *report)
{
    struct crew crew = {.plan = plan, .traffic = traffic, .report = report, .begin_ns = clock_ns()};
    const char *wrong = no_memory;
    progress_begin(&crew.progress);
    if (make_workers(&crew, index)) {
        wrong = run_rounds(&crew);
        if (wrong == NULL && !atomic_load(&traffic->failed))
            wrong = empty(&crew);
    }
    progress_clear(&crew.progress);
    drop_workers(&crew);
    return wrong;
}

static const char *run_on_table(const struct traffic_plan *plan, size_t index, struct traffic *traffic,
                                struct traffic_report *report)
{
    struct kva_frames_stats stats;
    enum kva_status status = make_set(plan, traffic);
    if (status != KVA_OK)
        return kva_status_text(status);
    report->present = traffic->table.present;
    if (kva_frames_stats_read(traffic->frames, KVA_FRAMES_ALL_ZONES, &stats) == KVA_OK)
        report->bytes = stats.memory_bytes;
    const char *wrong = run_on_set(plan, index, traffic, report);
    kva_frames_destroy(traffic->frames);
    memcpy(report->fault, traffic->fault, sizeof(report->fault));
    return wrong;
}

const char *traffic_run(const struct traffic_plan *plan, size_t index, struct traffic_report *report)
{
    static struct traffic traffic;
    memset(report, 0, sizeof(*report));
    memset(&traffic, 0, sizeof(traffic));
    traffic_shape_make(&report->shape, index, plan->frames);
    if (!traffic_table_init(&traffic.table, &report->shape))
        return no_memory;
    pthread_mutex_init(&traffic.fault_lock, NULL);
    for (size_t i = 0; i < TRAFFIC_EXCHANGE; i++)
        pthread_mutex_init(&traffic.lock[i], NULL);
    const char *wrong = run_on_table(plan, index, &traffic, report);
    for (size_t i = 0; i < TRAFFIC_EXCHANGE; i++)
        pthread_mutex_destroy(&traffic.lock[i]);
    pthread_mutex_destroy(&traffic.fault_lock);
    traffic_table_fini(&traffic.table);
    return wrong;
}
