/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _GNU_SOURCE
#include "frames_maps_set.h"

#include "fatal.h"
#include "tally.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Each turn takes a set-up. */
#define TURNS_MOST 3

/* Frames that are moved between two looks at the clock: some ten milliseconds. Each call looks at all blocks. */
#define SLICE 2048u

static const unsigned shares[] = {25, 50};
#define SHARES (sizeof(shares) / sizeof(shares[0]))

/* ---------------------------------------------------------------------------------------- a thread that stores */

enum storer_phase { PHASE_BEGIN, PHASE_COMPACTION, PHASE_QUIET, PHASE_OVER, PHASES };

/** It stores to random pages without pause. What it has stored, and where, only it knows. */
struct storer {
    struct maps_set *set;
    pthread_t thread;
    _Atomic int phase;
    _Atomic uint64_t begun;   /* stores, so that the others know that it runs */
    uint64_t *stored;         /* for each page, what it must hold */
    uint64_t longest[PHASES]; /* ticks between two stores, unless the system took the CPU away */
    uint64_t stores[PHASES];
    uint64_t long_ticks; /* what is shorter is not asked about */
};

/* A gap counts unless the thread had no CPU. To ask takes less than a microsecond, and only long gaps ask. */
static void note_gap(struct storer *storer, int phase, uint64_t ticks, uint64_t *preemptions)
{
    if (ticks > storer->longest[phase] && ticks > storer->long_ticks) {
        uint64_t now = machine_preemptions();
        if (now == *preemptions)
            storer->longest[phase] = ticks;
        *preemptions = now;
    } else if (ticks > storer->longest[phase]) {
        storer->longest[phase] = ticks;
    }
}

static void *storer_main(void *argument)
{
    struct storer *storer = argument;
    struct maps_set *set = storer->set;
    struct rng rng;
    rng_seed(&rng, set->count);
    (void)machine_pin_to(1);
    uint64_t preemptions = machine_preemptions();
    uint64_t last = ticks_now();
    for (int phase; (phase = atomic_load_explicit(&storer->phase, memory_order_relaxed)) != PHASE_OVER;) {
        size_t page = (size_t)rng_below(&rng, set->used);
        uint64_t value = ++storer->stored[page];
        set->page[page]->stored = value;
        uint64_t now = ticks_now();
        note_gap(storer, phase, now - last, &preemptions);
        last = now;
        storer->stores[phase]++;
        atomic_store_explicit(&storer->begun, 1, memory_order_relaxed);
    }
    return NULL;
}

static void storer_begin(struct storer *storer, struct maps_set *set, double ns_per_tick)
{
    *storer = (struct storer){.set = set, .long_ticks = (uint64_t)(5000 / ns_per_tick)};
    storer->stored = maps_memory(set->used, sizeof(*storer->stored));
    if (pthread_create(&storer->thread, NULL, storer_main, storer) != 0)
        bench_fatal(TOOL_REFUSED, "no thread");
    while (atomic_load_explicit(&storer->begun, memory_order_relaxed) == 0)
        continue;
}

static void storer_enter(struct storer *storer, enum storer_phase phase)
{
    atomic_store_explicit(&storer->phase, phase, memory_order_relaxed);
}

/* No store may be lost. */
static void storer_end(struct storer *storer)
{
    storer_enter(storer, PHASE_OVER);
    pthread_join(storer->thread, NULL);
    for (size_t i = 0; i < storer->set->used; i++)
        if (storer->set->page[i]->stored != storer->stored[i])
            bench_fatal(TOOL_WRONG, "frames, maps: a store was lost");
    free(storer->stored);
}

/* ------------------------------------------------------------------------------------------------ to compact */

/* Returns the nanoseconds of a moved frame; negative: none was moved. */
static double compact(struct maps_set *set, struct maps_row *row, double ns_per_tick)
{
    struct kva_frames_compacted done = {0};
    struct tally tally = {0};
    row->moved_frames = row->pinned_runs = 0;
    while (!done.is_finished) {
        struct watch watch = watch_start();
        maps_must(kva_vm_frames_compact(set->frames, KVA_FRAMES_ALL_BLOCKS, SLICE, &done), "a compaction");
        watch_stop(&watch, &tally, done.moved_frames);
        row->moved_frames += done.moved_frames;
        row->pinned_runs += done.pinned_runs;
    }
    return row->moved_frames == 0 ? -1 : tally_ns(&tally, ns_per_tick);
}

static void wait_ticks(uint64_t ticks)
{
    uint64_t start = ticks_now();
    while (ticks_now() - start < ticks)
        continue;
}

/* With another thread that stores all the time, and then without a compaction for as long. */
static double compact_beside(struct maps_set *set, struct maps_row *row, double ns_per_tick)
{
    struct storer storer;
    storer_begin(&storer, set, ns_per_tick);
    uint64_t start = ticks_now();
    storer_enter(&storer, PHASE_COMPACTION);
    double ns = compact(set, row, ns_per_tick);
    storer_enter(&storer, PHASE_QUIET);
    wait_ticks(ticks_now() - start);
    storer_end(&storer);
    if (ns >= 0) {
        times_add(&row->gap, (double)storer.longest[PHASE_COMPACTION] * ns_per_tick);
        times_add(&row->quiet, (double)storer.longest[PHASE_QUIET] * ns_per_tick);
        row->stores += storer.stores[PHASE_COMPACTION];
    }
    return ns;
}

/* The last turn's set stays, for the views of it. */
static struct maps_set *take_turn(const struct bench_options *options, struct maps_row *row)
{
    double ns_per_tick = options->clock.ns_per_tick;
    struct maps_set *set = maps_set_create(row->frames, row->percent, row->mapped, options->seed);
    row->before = maps_set_state(set);
    double ns = row->mapped && machine_cpus() > 1 ? compact_beside(set, row, ns_per_tick)
                                                  : compact(set, row, ns_per_tick);
    row->after = maps_set_state(set);
    if (ns >= 0)
        times_add(&row->each, ns);
    return set;
}

static void summarize(struct maps_row *row)
{
    struct times *all[] = {&row->each, &row->gap, &row->quiet};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i]->turns > 0)
            times_summarize(all[i]);
}

/* Returns the last turn's set. */
static struct maps_set *run_turns(const struct bench_options *options, struct maps_row *row)
{
    size_t turns = options->reps < TURNS_MOST ? options->reps : TURNS_MOST;
    struct maps_set *set = NULL;
    for (size_t turn = 0; turn < turns; turn++) {
        progress_show(&bench_progress, "frames maps: compaction, %u %% used, turn %zu/%zu", row->percent,
                      turn + 1, turns);
        if (set != NULL)
            maps_set_destroy(set);
        set = take_turn(options, row);
        if (row->mapped && row->moved_frames == 0) /* not on this system */
            break;
    }
    summarize(row);
    return set;
}

static struct maps_row fresh_row(uint64_t frames, unsigned percent, bool mapped)
{
    uint64_t used = frames * percent / 100;
    return (struct maps_row){
        .frames = frames, .percent = percent, .mapped = mapped, .possible = (frames - used) / FRAMES_BLOCK};
}

/* Mapped frames; and where the system cannot move them, frames that are not mapped. */
static struct maps_set *run_share(uint64_t frames, unsigned percent, const struct bench_options *options,
                                  struct maps_row *row)
{
    *row = fresh_row(frames, percent, true);
    struct maps_set *set = run_turns(options, row);
    if (row->moved_frames > 0)
        return set;
    maps_set_destroy(set);
    *row = fresh_row(frames, percent, false);
    return run_turns(options, row);
}

/* Sizes that come to the same set are measured once. */
static bool is_measured(const struct maps_results *results, uint64_t frames)
{
    for (size_t i = 0; i < results->row_count; i++)
        if (results->rows[i].frames == frames)
            return true;
    return false;
}

void frames_maps_run(uint64_t frames, const struct bench_options *options, struct maps_results *results)
{
    size_t first = results->row_count;
    frames = frames < MAPS_MOST ? frames : MAPS_MOST;
    if (is_measured(results, frames))
        return;
    results->rows = bench_add_rows(results->rows, &results->row_count, SHARES, sizeof(*results->rows));
    for (size_t i = 0; i < SHARES; i++) {
        struct maps_set *set = run_share(frames, shares[i], options, &results->rows[first + i]);
        if (i == 0)
            frames_maps_view(set, options, results);
        maps_set_destroy(set);
    }
    if (first == 0)
        frames_maps_costs(options, results);
}

const struct maps_row *maps_find(const struct maps_results *results, unsigned percent)
{
    for (size_t i = 0; i < results->row_count; i++)
        if (results->rows[i].percent == percent)
            return &results->rows[i];
    return NULL;
}

const struct maps_view *maps_find_view(const struct maps_results *results, uint64_t pages, const char *who)
{
    for (size_t i = 0; i < results->view_count; i++)
        if (results->views[i].pages == pages && strcmp(results->views[i].who, who) == 0)
            return &results->views[i];
    return NULL;
}

const struct maps_cost *maps_find_cost(const struct maps_results *results, const char *what, unsigned pages,
                                       const char *who)
{
    for (size_t i = 0; i < results->cost_count; i++) {
        const struct maps_cost *cost = &results->costs[i];
        if (cost->pages == pages && strcmp(cost->what, what) == 0 && strcmp(cost->who, who) == 0)
            return cost;
    }
    return NULL;
}

void maps_results_destroy(struct maps_results *results)
{
    free(results->rows);
    free(results->views);
    free(results->costs);
}
