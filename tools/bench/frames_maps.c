/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _GNU_SOURCE
#include "frames_maps_set.h"

#include "delays.h"
#include "fatal.h"
#include "tally.h"

#include <kva/vmap.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* The most turns, because each turn needs a set-up. */
#define TURNS_MOST 3

/* Frames that are moved between two readings of the clock: as many as kva moves under one hold of its
 * lock. */
#define SLICE 32u

static const unsigned shares[] = {25, 50};
#define SHARES (sizeof(shares) / sizeof(shares[0]))

/* ---------------------------------------------------------------------------------------------- intervals */

struct interval {
    uint64_t begin; /* ticks */
    uint64_t end;
    uint64_t lost_ns; /* the part in which the thread was ready and had no CPU */
};

/** The first `room` intervals that were noted. */
struct intervals {
    struct interval *list;
    size_t count;
    size_t room;
};

static struct intervals intervals_of(size_t room)
{
    return (struct intervals){.list = maps_memory(room, sizeof(struct interval)), .room = room};
}

static void note(struct intervals *intervals, uint64_t begin, uint64_t end, uint64_t lost_ns)
{
    if (intervals->count < intervals->room)
        intervals->list[intervals->count++] = (struct interval){begin, end, lost_ns};
}

static bool meets_one(const struct intervals *intervals, const struct interval *one)
{
    for (size_t i = 0; i < intervals->count; i++)
        if (one->begin <= intervals->list[i].end && one->end >= intervals->list[i].begin)
            return true;
    return false;
}

/* ----------------------------------------------------------------------------------- a thread that stores */

/* Shorter times between two stores are ignored; the first GAPS_MOST longer ones are kept. */
#define GAP_NS 5000
#define GAPS_MOST 65536u

/** A thread that stores to random pages without pause, and records its stores. */
struct storer {
    struct maps_set *set;
    pthread_t thread;
    _Atomic bool over;
    _Atomic uint64_t stores;
    uint64_t *stored;      /* for each page, the last value stored */
    struct intervals gaps; /* from one store to the next */
    uint64_t gap_ticks;
};

static void *storer_main(void *argument)
{
    struct storer *storer = argument;
    struct maps_set *set = storer->set;
    struct rng rng;
    rng_seed(&rng, set->count);
    (void)machine_pin_to(1);
    struct delays delays = delays_open();
    uint64_t last = ticks_now();
    while (!atomic_load_explicit(&storer->over, memory_order_relaxed)) {
        size_t page = (size_t)rng_below(&rng, set->used);
        uint64_t value = ++storer->stored[page];
        set->page[page]->stored = value;
        uint64_t now = ticks_now();
        if (now - last > storer->gap_ticks) {
            note(&storer->gaps, last, now, delays_since_last(&delays));
            now = ticks_now();
        }
        last = now;
        atomic_fetch_add_explicit(&storer->stores, 1, memory_order_relaxed);
    }
    delays_close(&delays);
    return NULL;
}

static void storer_begin(struct storer *storer, struct maps_set *set, double ns_per_tick)
{
    *storer = (struct storer){.set = set, .gap_ticks = (uint64_t)(GAP_NS / ns_per_tick)};
    storer->stored = maps_memory(set->used, sizeof(*storer->stored));
    storer->gaps = intervals_of(GAPS_MOST);
    if (pthread_create(&storer->thread, NULL, storer_main, storer) != 0)
        bench_fatal(TOOL_REFUSED, "frames, maps: cannot start a thread");
    while (atomic_load(&storer->stores) == 0)
        continue;
}

/* Stop the thread, and verify that no store was lost. */
static void storer_end(struct storer *storer)
{
    atomic_store(&storer->over, true);
    pthread_join(storer->thread, NULL);
    for (size_t i = 0; i < storer->set->used; i++)
        if (storer->set->page[i]->stored != storer->stored[i])
            bench_fatal(TOOL_WRONG, "frames, maps: a store was lost");
    free(storer->stored);
}

/* The longest gap that begins in [begin, end), in nanoseconds, without the time in which the storing thread
 * waited for a CPU. Gaps in which the compacting thread was preempted do not count. */
static double longest_gap(const struct intervals *gaps, const struct intervals *spoilt, uint64_t begin,
                          uint64_t end, double ns_per_tick)
{
    double longest = 0;
    for (size_t i = 0; i < gaps->count; i++) {
        const struct interval *gap = &gaps->list[i];
        double ns = (double)(gap->end - gap->begin) * ns_per_tick - (double)gap->lost_ns;
        if (ns > longest && gap->begin >= begin && gap->begin < end && !meets_one(spoilt, gap))
            longest = ns;
    }
    return longest;
}

/* --------------------------------------------------------------------------------------------- compaction */

/* Returns the nanoseconds of a moved frame; negative: none was moved. Notes slices in which the thread was
 * preempted. */
static double compact(struct maps_set *set, struct maps_row *row, struct intervals *spoilt,
                      double ns_per_tick)
{
    struct kva_frames_compacted done = {0};
    struct tally tally = {0};
    row->moved_frames = row->pinned_runs = 0;
    while (!done.is_finished) {
        struct watch watch = watch_start();
        maps_must(kva_vm_frames_compact(set->frames, KVA_FRAMES_ALL_BLOCKS, SLICE, &done), "a compaction");
        watch_stop(&watch, &tally, done.moved_frames);
        if (machine_preemptions() != watch.preemptions)
            note(spoilt, watch.start, ticks_now(), 0);
        row->moved_frames += done.moved_frames;
        row->pinned_runs = done.pinned_runs;
    }
    return row->moved_frames == 0 ? -1 : tally_ns(&tally, ns_per_tick);
}

/* Compact while another thread stores without pause; then let it store for as long without a compaction. */
static double compact_beside(struct maps_set *set, struct maps_row *row, struct intervals *spoilt,
                             double ns_per_tick)
{
    static const struct intervals none;
    struct storer storer;
    storer_begin(&storer, set, ns_per_tick);
    uint64_t before = atomic_load(&storer.stores);
    uint64_t begin = ticks_now();
    double ns = compact(set, row, spoilt, ns_per_tick);
    uint64_t end = ticks_now();
    row->stores += atomic_load(&storer.stores) - before;
    while (ticks_now() - end < end - begin)
        continue;
    storer_end(&storer);
    if (ns >= 0) {
        times_add(&row->gap, longest_gap(&storer.gaps, spoilt, begin, end, ns_per_tick));
        times_add(&row->quiet, longest_gap(&storer.gaps, &none, end, UINT64_MAX, ns_per_tick));
    }
    free(storer.gaps.list);
    return ns;
}

/* Returns the set, for the views. */
static struct maps_set *take_turn(const struct bench_options *options, struct maps_row *row)
{
    double ns_per_tick = options->clock.ns_per_tick;
    struct maps_set *set = maps_set_create(row->frames, row->percent, row->mapped, options->seed);
    struct intervals spoilt = intervals_of((size_t)row->frames / SLICE);
    row->before = maps_set_state(set);
    double ns = row->mapped && machine_cpus() > 1 ? compact_beside(set, row, &spoilt, ns_per_tick)
                                                  : compact(set, row, &spoilt, ns_per_tick);
    row->after = maps_set_state(set);
    if (ns >= 0)
        times_add(&row->each, ns);
    free(spoilt.list);
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
        if (row->mapped && row->moved_frames == 0) /* this system cannot move mapped frames */
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

/* Measure mapped frames; where the system cannot move them, frames that are not mapped. */
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

/* Sizes that give the same set are measured once. */
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

const struct maps_view *maps_find_view(const struct maps_results *results, uint64_t pages,
                                       const char *contender)
{
    for (size_t i = 0; i < results->view_count; i++)
        if (results->views[i].pages == pages && strcmp(results->views[i].contender, contender) == 0)
            return &results->views[i];
    return NULL;
}

const struct maps_cost *maps_find_cost(const struct maps_results *results, const char *what, unsigned pages,
                                       const char *contender)
{
    for (size_t i = 0; i < results->cost_count; i++) {
        const struct maps_cost *cost = &results->costs[i];
        if (cost->pages == pages && strcmp(cost->what, what) == 0 && strcmp(cost->contender, contender) == 0)
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
