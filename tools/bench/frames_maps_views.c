/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "frames_maps_set.h"

#include "fatal.h"
#include "tally.h"

#include <kva/vmap.h>
#include <stdlib.h>

/* A turn is the turn of the options over this. */
#define SHORTER 3

/* -------------------------------------------------------------------------------------------------- views */

/* Pages of a view: those of one page table, and so many that their translations fill the processor's TLBs
 * several times. */
static const size_t view_pages[] = {FRAMES_BLOCK, 16 * FRAMES_BLOCK};
#define VIEW_SIZES (sizeof(view_pages) / sizeof(view_pages[0]))

#define VIEWS 3
static const char *const view_names[VIEWS] = {MAPS_SCATTERED, MAPS_RUNS, MAPS_HUGE};

/* Steps between two readings of the clock. */
#define STEPS 8192u

/* A word of each page points to that of the next page, so that each load depends on the one before. The words
 * lie at different offsets in their pages, so that the data caches hold all of them. */
struct view {
    unsigned char *memory;
    size_t pages;
    size_t bytes; /* of a page */
    size_t *order;
};

#define LINE 64u

static void **word_of(const struct view *view, size_t page)
{
    return (void **)(void *)(view->memory + page * view->bytes + page * LINE % view->bytes);
}

/* Link all pages into one cycle. */
static void chain(const struct view *view)
{
    for (size_t i = 0; i < view->pages; i++)
        *word_of(view, view->order[i]) = (void *)word_of(view, view->order[(i + 1) % view->pages]);
}

static double touch(const struct view *view, double budget_ns, double ns_per_tick)
{
    struct tally tally = {0};
    void *volatile end;
    void **at = word_of(view, view->order[0]);
    chain(view);
    do {
        struct watch watch = watch_start();
        for (size_t i = 0; i < STEPS; i++)
            at = *at;
        watch_stop(&watch, &tally, STEPS);
        end = (void *)at;
    } while (tally.all.ticks * ns_per_tick < budget_ns);
    (void)end;
    return tally_ns(&tally, ns_per_tick);
}

static size_t *random_order(size_t pages, struct rng *rng)
{
    size_t *order = maps_memory(pages, sizeof(*order));
    for (size_t i = 0; i < pages; i++) {
        size_t other = (size_t)rng_below(rng, i + 1);
        order[i] = order[other];
        order[other] = i;
    }
    return order;
}

/* Create a view of allocated frames. */
static void open_view(const struct maps_set *set, struct view *view, const uint64_t *numbers, unsigned flags,
                      struct maps_view *row)
{
    void *memory;
    maps_must(kva_vm_map(set->vm, set->frames, numbers, view->pages, flags, &memory), "a map");
    view->memory = memory;
    view->bytes = set->bytes;
    for (size_t i = 0; i < view->pages; i++) /* fault all pages in, so that they can be counted */
        *word_of(view, i) = NULL;
    uintptr_t first = (uintptr_t)memory;
    row->mappings = maps_count_mappings(first, first + view->pages * view->bytes - 1);
    row->huge_bytes = maps_huge_bytes(first, first + view->pages * view->bytes - 1);
}

/* Allocate blocks until `pages` frames or a failure. Returns the number of frames. */
static size_t take_runs(const struct maps_set *set, size_t pages, uint64_t *numbers)
{
    size_t taken = 0;
    while (taken < pages &&
           kva_vm_frames_alloc_run(set->frames, FRAMES_BLOCK, FRAMES_BLOCK, numbers + taken) == KVA_OK)
        taken += FRAMES_BLOCK;
    return taken;
}

static void run_turns(const struct view *views, const struct bench_options *options, struct maps_view *rows)
{
    double ns_per_tick = options->clock.ns_per_tick;
    for (size_t number = 0; number <= options->reps; number++)
        for (size_t i = 0; i < VIEWS; i++) {
            progress_show(&bench_progress, "frames maps: touch %s, turn %zu/%zu", rows[i].contender, number,
                          options->reps);
            double ns = touch(&views[i], (double)options->turn_ns / SHORTER, ns_per_tick);
            if (number > 0) /* the first turn is the warm-up */
                times_add(&rows[i].touch, ns);
        }
    for (size_t i = 0; i < VIEWS; i++) {
        times_summarize(&rows[i].touch);
        rows[i].touch.ratio = times_quotient(&rows[0].touch, &rows[i].touch);
    }
}

/* Measure views of frames in use, and of twice as many frames in runs. Overwrites the frames in use. */
static void run_views(struct maps_set *set, size_t pages, const uint64_t *runs,
                      const struct bench_options *options, struct maps_view *rows)
{
    const uint64_t *numbers[VIEWS] = {set->number, runs, runs + pages};
    struct view views[VIEWS];
    size_t *order = random_order(pages, &set->rng);
    for (size_t i = 0; i < VIEWS; i++) {
        rows[i] = (struct maps_view){.frames = set->count, .pages = pages, .contender = view_names[i]};
        views[i] = (struct view){.pages = pages, .order = order};
        open_view(set, &views[i], numbers[i], i + 1 == VIEWS ? KVA_VM_HUGE : 0, &rows[i]);
    }
    run_turns(views, options, rows);
    for (size_t i = 0; i < VIEWS; i++)
        maps_must(kva_vunmap(set->vm, views[i].memory), "an unmap");
    free(order);
}

void frames_maps_view(struct maps_set *set, const struct bench_options *options, struct maps_results *results)
{
    for (size_t s = 0; s < VIEW_SIZES; s++) {
        size_t pages = view_pages[s], first = results->view_count;
        uint64_t *runs = maps_memory(2 * pages, sizeof(*runs));
        size_t taken = take_runs(set, 2 * pages, runs);
        if (taken == 2 * pages && pages <= set->used) {
            results->views =
                bench_add_rows(results->views, &results->view_count, VIEWS, sizeof(*results->views));
            run_views(set, pages, runs, options, results->views + first);
        }
        maps_must(kva_vm_frames_free(set->frames, runs, taken), "a free of runs");
        free(runs);
    }
    for (size_t i = 0; i < set->used; i++) /* the chains overwrote the numbers */
        if (set->page[i] != NULL)
            set->page[i]->number = set->number[i];
}

/* -------------------------------------------------------------------------------------------------- costs */

/* Frames of a set: more than the pages of all parked maps. */
#define CYCLE 8192u

/* Operations between two readings of the clock. */
#define OPERATIONS 64u

static const struct cost_case {
    const char *what;
    unsigned pages;
    bool ram;
    bool again; /* the same frames each time */
} costs[] = {
    {MAPS_MAP, 1, false, false},      {MAPS_MAP, 16, false, false},      {MAPS_MAP, 512, false, false},
    {MAPS_RAM_FRESH, 1, true, false}, {MAPS_RAM_FRESH, 16, true, false}, {MAPS_RAM_FRESH, 512, true, false},
    {MAPS_RAM_AGAIN, 1, true, true},  {MAPS_RAM_AGAIN, 16, true, true},
};
#define COSTS (sizeof(costs) / sizeof(costs[0]))

#define KINDS 2
static const char *const kinds[KINDS] = {MAPS_FIXED, MAPS_MOVABLE};

struct bench_set {
    struct kva_vm *vm;
    struct kva_vm_frames *frames;
    uint64_t *number;
    size_t next;
};

static struct bench_set open_set(bool movable)
{
    struct kva_vm_frames_config config = {.count = CYCLE, .movable = movable};
    struct bench_set set = {.vm = maps_vm(), .number = maps_memory(CYCLE, sizeof(uint64_t))};
    maps_must(kva_vm_frames_create(set.vm, &config, &set.frames), "a set");
    maps_must(kva_vm_frames_alloc(set.frames, CYCLE, set.number), "frames");
    return set;
}

static void close_set(const struct bench_set *set)
{
    maps_must(kva_vm_frames_destroy(set->frames), "destroying a set");
    maps_must(kva_vm_destroy(set->vm, NULL, NULL), "destroying an instance");
    free(set->number);
}

static void map_and_unmap(const struct bench_set *set, const struct cost_case *test, const uint64_t *numbers)
{
    void *memory;
    enum kva_status status;
    if (test->ram)
        status = kva_vm_map_ram(set->vm, set->frames, numbers, test->pages, &memory);
    else
        status = kva_vm_map(set->vm, set->frames, numbers, test->pages, 0, &memory);
    if (status == KVA_OK)
        status = test->ram ? kva_unmap_ram(set->vm, memory) : kva_vunmap(set->vm, memory);
    maps_must(status, "a map and an unmap");
}

static uint64_t calls_of(const struct bench_set *set)
{
    struct kva_vm_stats stats;
    maps_must(kva_vm_stats_read(set->vm, &stats), "statistics");
    const struct kva_vm_calls *calls = &stats.pages.calls;
    return calls->reserve + calls->open + calls->close + calls->map + calls->unmap + calls->frames +
           calls->tables + calls->nodes;
}

static double take_turn(struct bench_set *set, const struct cost_case *test, double budget_ns,
                        double ns_per_tick, struct maps_cost *row)
{
    uint64_t before = calls_of(set);
    struct tally tally = {0};
    do {
        struct watch watch = watch_start();
        for (size_t i = 0; i < OPERATIONS; i++) {
            map_and_unmap(set, test, set->number + set->next);
            set->next = test->again ? 0 : (set->next + test->pages) % CYCLE;
        }
        watch_stop(&watch, &tally, OPERATIONS);
    } while (tally.all.ticks * ns_per_tick < budget_ns);
    row->operations += tally.all.operations;
    row->calls += (double)(calls_of(set) - before);
    return tally_ns(&tally, ns_per_tick);
}

static void run_cost(const struct cost_case *test, const struct bench_options *options,
                     struct maps_cost *rows)
{
    double ns_per_tick = options->clock.ns_per_tick;
    struct bench_set sets[KINDS];
    for (size_t i = 0; i < KINDS; i++) {
        rows[i] = (struct maps_cost){.what = test->what, .pages = test->pages, .contender = kinds[i]};
        sets[i] = open_set(i > 0);
    }
    for (size_t number = 0; number <= options->reps; number++)
        for (size_t i = 0; i < KINDS; i++) {
            struct maps_cost unused = {0};
            progress_show(&bench_progress, "frames maps: %s, %u pages, turn %zu/%zu", test->what, test->pages,
                          number, options->reps);
            double ns = take_turn(&sets[i], test, (double)options->turn_ns / SHORTER, ns_per_tick,
                                  number > 0 ? &rows[i] : &unused);
            if (number > 0) /* the first turn is the warm-up */
                times_add(&rows[i].times, ns);
        }
    for (size_t i = 0; i < KINDS; i++) {
        close_set(&sets[i]);
        times_summarize(&rows[i].times);
        rows[i].times.ratio = times_quotient(&rows[0].times, &rows[i].times);
        rows[i].calls /= (double)rows[i].operations;
    }
}

void frames_maps_costs(const struct bench_options *options, struct maps_results *results)
{
    size_t first = results->cost_count;
    results->costs =
        bench_add_rows(results->costs, &results->cost_count, COSTS * KINDS, sizeof(*results->costs));
    for (size_t i = 0; i < COSTS; i++)
        run_cost(&costs[i], options, results->costs + first + i * KINDS);
}
