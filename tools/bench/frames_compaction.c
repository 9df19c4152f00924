/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "frames_compaction.h"

#include "../../bench/scanners/scanners.h"

#include "fatal.h"
#include "tally.h"

#include <stdlib.h>
#include <string.h>

/* The most turns, because each turn needs a set-up. */
#define TURNS_MOST 3

/* Frames that are moved between two readings of the clock: a millisecond or two. Each call scans all headers,
 * so fewer frames would measure the scan. */
#define SLICE 32768u

/* Frames that are moved between two disturbances, and frames that each disturbance replaces. */
#define TRAFFIC_SLICE 256u
#define TRAFFIC_FRAMES 32u

/* Pinned frames lie together, like the buffers of a device: one of PINNED_STEP aligned groups of
 * BUFFER_FRAMES frames is pinned. */
#define BUFFER_FRAMES 64
#define PINNED_STEP 100

#define ONE_ASKED 100u

struct compaction_case {
    const char *state;
    bool mixed;
    unsigned percent;
};

static const struct compaction_case cases[] = {
    {COMPACTION_THINNED, false, 25}, {COMPACTION_THINNED, false, 50}, {COMPACTION_THINNED, false, 75},
    {COMPACTION_THINNED, true, 25},  {COMPACTION_THINNED, true, 50},  {COMPACTION_THINNED, true, 75},
    {COMPACTION_CHURNED, false, 25}, {COMPACTION_CHURNED, false, 50}, {COMPACTION_CHURNED, false, 75},
    {COMPACTION_CHURNED, true, 25},  {COMPACTION_CHURNED, true, 50},  {COMPACTION_CHURNED, true, 75},
    {COMPACTION_TRAFFIC, false, 50},
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

/* --------------------------------------------------------------------------------------------- the owners */

struct moved {
    uint32_t from;
    uint32_t to;
};

/* The owners of all runs. One set is compacted at a time. */
static struct owners {
    struct frames_set *set;
    uint32_t *run_of; /* by the first frame of a run: its index in set->held */
    unsigned char *pinned;
    struct moved *log;
    size_t logged;
    size_t log_room;
} owners;

/* Enter a move into the table. */
static enum kva_frames_moved repoint(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    uint32_t run = owners.run_of[from];
    struct frames_held *held = &owners.set->held[run];
    (void)context;
    if (held->first != from || UINT64_C(1) << held->order != count)
        bench_fatal(TOOL_WRONG, "frames: compaction tried to move a run without an owner");
    if (owners.pinned[run])
        return KVA_FRAMES_PINNED;
    held->first = (uint32_t)to;
    owners.run_of[to] = run;
    if (owners.logged < owners.log_room)
        owners.log[owners.logged++] = (struct moved){(uint32_t)from, (uint32_t)to};
    return KVA_FRAMES_MOVED;
}

static void owners_open(struct frames_set *set, bool with_pinned)
{
    owners.set = set;
    owners.run_of = malloc((size_t)set->frames * sizeof(*owners.run_of));
    owners.pinned = calloc(set->count + 1, 1);
    owners.log_room = 4 * set->count;
    owners.log = malloc((owners.log_room + 1) * sizeof(*owners.log));
    owners.logged = 0;
    if (owners.run_of == NULL || owners.pinned == NULL || owners.log == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for the owners of %zu frames", (size_t)set->frames);
    for (size_t i = 0; i < set->count; i++)
        owners.run_of[set->held[i].first] = (uint32_t)i;
    for (size_t i = 0; with_pinned && i < set->count; i++)
        owners.pinned[i] = set->held[i].first / BUFFER_FRAMES % PINNED_STEP == 0;
}

static void owners_close(void)
{
    free(owners.run_of);
    free(owners.pinned);
    free(owners.log);
}

/* Repeat all moves backwards: as many calls of the same function, over the same entries. */
static double time_alone(double ns_per_tick)
{
    struct tally tally = {0};
    size_t left = owners.logged;
    while (left > 0) {
        size_t end = left < SLICE ? 0 : left - SLICE;
        struct watch watch = watch_start();
        for (size_t i = left; i-- > end;) {
            const struct moved moved = owners.log[i];
            const struct frames_held *held = &owners.set->held[owners.run_of[moved.to]];
            (void)repoint(NULL, moved.to, moved.from, UINT64_C(1) << held->order);
        }
        watch_stop(&watch, &tally, left - end);
        left = end;
    }
    return tally_ns(&tally, ns_per_tick);
}

/* ------------------------------------------------------------------------------------------------ the set */

static enum kva_status create_movable(uint64_t frames, void **state)
{
    struct kva_frames_zone zone = {.start = 0, .end = frames};
    struct kva_frames_config config = frames_kva_config(&zone);
    struct kva_frames *made;
    config.move = repoint;
    enum kva_status status = kva_frames_create(&config, &made);
    if (status == KVA_OK)
        *state = made;
    return status;
}

static struct frames_set *set_up(const struct frames_contender *contender, const struct compaction_case *test,
                                 uint64_t frames, uint64_t seed)
{
    struct frames_set *set = frames_set_create(contender, frames, seed);
    if (strcmp(test->state, COMPACTION_CHURNED) != 0)
        frames_set_thinned(set, test->percent, test->mixed);
    else if (test->mixed)
        frames_set_mixed(set, test->percent);
    else
        frames_set_churned(set, test->percent);
    owners_open(set, strcmp(test->state, COMPACTION_TRAFFIC) == 0);
    return set;
}

static void tear_down(struct frames_set *set)
{
    owners_close();
    frames_set_destroy(set);
}

/* --------------------------------------------------------------------------------------- the fewest moves */

static int by_value(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* The used frames of each block, the blocks with the fewest first. */
static uint32_t *count_used(const struct frames_set *set)
{
    size_t blocks = (size_t)(set->frames / FRAMES_BLOCK);
    uint32_t *used = calloc(blocks, sizeof(*used));
    if (used == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for %zu blocks", blocks);
    for (size_t i = 0; i < set->count; i++)
        used[set->held[i].first / FRAMES_BLOCK] += UINT32_C(1) << set->held[i].order;
    qsort(used, blocks, sizeof(*used), by_value);
    return used;
}

/* The fewest moved frames that free as many blocks. */
static uint64_t fewest_for(const uint32_t *used, const struct frames_shape *before,
                           const struct frames_shape *after)
{
    uint64_t fewest = 0;
    for (uint64_t block = before->huge_free; block < after->huge_free; block++)
        fewest += used[block];
    return fewest;
}

/* --------------------------------------------------------------------------------------------- compaction */

/* Run one slice. Returns whether compaction is finished. */
static bool compact_slice(struct frames_set *set, struct scanners *scanners, uint64_t most,
                          struct compaction_row *row)
{
    struct kva_frames_compacted done;
    frames_must(set,
                scanners == NULL ? kva_frames_compact(set->state, 0, KVA_FRAMES_ALL_BLOCKS, most, &done)
                                 : scanners_compact(scanners, most, &done),
                "compaction");
    row->moved_runs += done.moved_runs;
    row->moved_frames += done.moved_frames;
    row->pinned_runs += done.pinned_runs;
    return done.is_finished;
}

/* Free random frames and allocate others. Pinned frames stay. */
static void disturb(struct frames_set *set)
{
    for (size_t i = 0; i < TRAFFIC_FRAMES; i++) {
        size_t run = (size_t)rng_below(&set->rng, set->count);
        uint64_t first = set->held[run].first;
        if (owners.pinned[run])
            continue;
        frames_replace(set, 1, &first);
        set->held[run].first = (uint32_t)first;
        owners.run_of[first] = (uint32_t)run;
    }
}

/* Returns the nanoseconds of a moved run; negative: none was moved. */
static double compact(struct frames_set *set, struct compaction_row *row, double ns_per_tick)
{
    bool traffic = strcmp(row->state, COMPACTION_TRAFFIC) == 0;
    struct tally tally = {0};
    struct scanners scanners;
    bool by_scanners = strcmp(row->contender, COMPACTION_SCANNERS) == 0;
    row->moved_runs = row->moved_frames = row->pinned_runs = 0;
    if (by_scanners)
        frames_must(set, scanners_init(&scanners, set->state, 0), "scanners");
    for (bool finished = false; !finished;) {
        uint64_t before = row->moved_runs;
        struct watch watch = watch_start();
        finished = compact_slice(set, by_scanners ? &scanners : NULL, traffic ? TRAFFIC_SLICE : SLICE, row);
        watch_stop(&watch, &tally, row->moved_runs - before);
        if (traffic)
            disturb(set);
    }
    return row->moved_runs == 0 ? -1 : tally_ns(&tally, ns_per_tick);
}

static void take_turn(const struct compaction_case *test, const struct frames_contender *contender,
                      const struct bench_options *options, struct compaction_row *row)
{
    double ns_per_tick = options->clock.ns_per_tick;
    struct frames_set *set = set_up(contender, test, row->frames, options->seed);
    row->before = frames_set_shape(set);
    uint32_t *used = count_used(set);
    double run_ns = compact(set, row, ns_per_tick);
    row->after = frames_set_shape(set);
    row->fewest = fewest_for(used, &row->before, &row->after);
    free(used);
    if (run_ns >= 0 && strcmp(test->state, COMPACTION_TRAFFIC) != 0) {
        times_add(&row->run, run_ns);
        times_add(&row->alone, time_alone(ns_per_tick));
    }
    tear_down(set);
}

/* -------------------------------------------------------------------------------- one block for a request */

/* Allocate all free blocks, then more with compaction. Returns the nanoseconds of a request that compaction
 * served; negative: none. */
static double take_one_by_one(struct frames_set *set, double ns_per_tick)
{
    struct kva_frames_request request = {.order = FRAMES_BLOCK_ORDER, .type = KVA_MOVABLE};
    struct tally tally = {0};
    uint64_t first;
    while (set->contender->alloc(set->state, &request, &first) == KVA_OK)
        continue;
    request.flags = KVA_FRAMES_COMPACT;
    for (unsigned asked = 0; asked < ONE_ASKED; asked++) {
        struct watch watch = watch_start();
        enum kva_status status = set->contender->alloc(set->state, &request, &first);
        if (status == KVA_ENOSPC)
            break;
        watch_stop(&watch, &tally, 1);
        frames_must(set, status, "an allocation with compaction");
    }
    return tally.all.operations == 0 ? -1 : tally_ns(&tally, ns_per_tick);
}

static void take_turn_of_one(const struct compaction_case *test, const struct frames_contender *contender,
                             const struct bench_options *options, struct compaction_row *row)
{
    struct frames_set *set = set_up(contender, test, row->frames, options->seed);
    double ns = take_one_by_one(set, options->clock.ns_per_tick);
    if (ns >= 0)
        times_add(&row->one, ns);
    tear_down(set);
}

/* -------------------------------------------------------------------------------------------- all set-ups */

static void summarize(struct compaction_row *row)
{
    if (row->run.turns > 0) {
        times_summarize(&row->run);
        times_summarize(&row->alone);
    }
    if (row->one.turns > 0)
        times_summarize(&row->one);
}

static void run_case(const struct compaction_case *test, const struct frames_contender *contender,
                     const struct bench_options *options, struct compaction_row *rows)
{
    size_t turns = options->reps < TURNS_MOST ? options->reps : TURNS_MOST;
    for (size_t turn = 0; turn < turns; turn++) {
        progress_show(&bench_progress, "frames compaction: %s, %u %%, %s, turn %zu/%zu", test->state,
                      test->percent, test->mixed ? "mixed orders" : "single frames", turn + 1, turns);
        for (size_t i = 0; i < COMPACTION_WAYS; i++)
            take_turn(test, contender, options, &rows[i]);
        if (strcmp(test->state, COMPACTION_TRAFFIC) != 0)
            take_turn_of_one(test, contender, options, &rows[0]);
    }
    for (size_t i = 0; i < COMPACTION_WAYS; i++)
        summarize(&rows[i]);
}

void frames_compaction_run(uint64_t frames, const struct bench_options *options,
                           struct compaction_results *results)
{
    static const char *const ways[COMPACTION_WAYS] = {COMPACTION_COUNTS, COMPACTION_SCANNERS};
    struct frames_contender contender = frames_contenders[0];
    contender.create = create_movable;
    for (size_t c = 0; c < CASES; c++) {
        size_t first = results->count;
        results->rows =
            bench_add_rows(results->rows, &results->count, COMPACTION_WAYS, sizeof(*results->rows));
        for (size_t i = 0; i < COMPACTION_WAYS; i++)
            results->rows[first + i] = (struct compaction_row){.contender = ways[i],
                                                               .state = cases[c].state,
                                                               .frames = frames,
                                                               .mixed = cases[c].mixed,
                                                               .percent = cases[c].percent};
        run_case(&cases[c], &contender, options, results->rows + first);
    }
}

const struct compaction_row *compaction_find(const struct compaction_results *results, const char *state,
                                             bool mixed, unsigned percent, const char *contender)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct compaction_row *row = &results->rows[i];
        if (row->mixed == mixed && row->percent == percent && strcmp(row->state, state) == 0 &&
            strcmp(row->contender, contender) == 0)
            return row;
    }
    return NULL;
}

double compaction_excess(const struct compaction_row *row)
{
    return row->fewest == 0 ? -1 : (double)row->moved_frames / (double)row->fewest;
}

double compaction_bookkeeping(const struct compaction_row *row)
{
    if (row->run.turns == 0)
        return -1;
    double ns = row->run.median_ns - row->alone.median_ns;
    return ns < 0 ? 0 : ns;
}
