/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THEORY
 *   The other workloads measure the search for an address. Here addresses have memory, and the search matters
 *   least: a system call takes as long as several searches, and the first touch of a page longer than the
 *   call. So the contenders are the sources from which a program can get pages, and the base of ratios is
 *   mmap.
 *
 * CASES, with one operation each
 *   steady           allocate, touch the first byte, free; one size
 *   random           the same with 1 .. 100 pages
 *   cold             allocate and touch, without cached or parked areas. A batch is allocated; then, outside
 *                    the timed part, it is freed, and all idle memory is returned to the system
 *   cold-untouched   the same without the touch: the call only
 *   many             a pair: free a random one of 50,000 areas of a page, allocate another, touch it.
 *                    Allocating and touching the 50,000 areas is also timed, once, as a whole
 *   map-fresh        map frames that have no map, and unmap them. The frames come in turn from a set with
 *                    more frames than may be parked; maps that were reused nevertheless are counted
 *   map-again        map the same frames, and unmap them
 *
 * CONTENDERS
 *   kva              an instance with the defaults, on kva's default engine (or the first that is chosen)
 *   kva-bare         the same without guard pages, which shows their cost
 *   kva-mappings     with the mechanism for kernels without guard regions; only if the default is another one
 *   list, mmap, malloc, jemalloc, mimalloc    as in kva test
 *
 *   They take turns, as in the other workloads; a turn is a third as long, because there are many rows. All
 *   calls go through the same table of functions, which costs each contender a nanosecond or two.
 *
 *   In `many` each contender has all of its turns before the next one begins, because the mappings of the
 *   process are limited and those of one contender would limit the next.
 *
 * COUNTS
 *   Page faults are the system's count for this thread. System calls are those that the contender counts; for
 *   heaps they are unknown. Both are counted over whole turns, which in the cold cases include the frees.
 *   Mappings are lines of /proc/self/maps, before a contender begins and after its last turn.
 */
#define _GNU_SOURCE
#include "vmalloc.h"

#include "fatal.h"
#include "ticks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* A turn is the turn of the options over this. */
#define SHORTER 3
#define LEAD_IN 8
#define LATENCY_TURNS 2

/* In the cold cases, areas that are allocated before the first is freed. With 64 MiB each they take 2 GiB of
 * addresses, and a page of memory each. */
#define COLD_BATCH 32u

/* A batch should take about this time, so that a turn ends near its time. */
#define BATCH_NS_MIN 50000.0

/* Frames of the set. Maps that are no longer used are unmapped after less than 2^12 pages, so a map is not
 * reused before the frames come round again. No page is written, so the frames take no memory. */
#define POOL_FRAMES (UINT64_C(1) << 18)

/* Areas between two updates of the progress line: some milliseconds. */
#define SHOWN_EVERY 1024u

#define CONTENDERS 8

/* A contender in a case. */
struct racer {
    const struct vmalloc_contender *contender;
    struct vmalloc_row *row;
    void *state;
    void *frames;
    size_t pages;
    uint64_t next; /* the next frame to map */
    size_t batch;
    struct rng rng;
    uint64_t size[BATCH];
    uint64_t addr[BATCH];
    uint64_t *live;          /* the areas of `many`: row->areas addresses, or NO_ADDRESS */
    size_t chosen[BATCH];    /* indices of the areas to replace */
    int64_t mappings_before; /* of the process */
    struct histogram latency;
};

struct vmalloc_case {
    const char *name;
    bool maps;       /* maps frames; else private memory */
    bool cold;       /* only for contenders that are not heaps */
    bool many;       /* areas stay live, and each contender has the process to itself */
    size_t sizes[8]; /* the first may be 0: random; a later 0 ends the list */
    void (*prepare)(struct racer *racer, size_t count);
    bool (*run)(struct racer *racer, size_t begin, size_t end); /* timed; false: a call failed */
    void (*finish)(struct racer *racer, size_t count);
};

/* --------------------------------------------------------------------------------------------- operations */

/* Record a failure for the row's note. A status that no allocator may return here ends the program. */
static bool refused(struct racer *racer, enum kva_status status)
{
    racer->row->refused = status;
    if (status != KVA_ENOMEM && status != KVA_ENOSPC && status != KVA_ELIMIT)
        bench_fatal(TOOL_WRONG, "vmalloc: %s must not fail, but returned: %s", racer->contender->name,
                    kva_status_text(status));
    return false;
}

static void touch(uint64_t addr)
{
    *(volatile unsigned char *)(uintptr_t)addr = 1;
}

static void one_size(struct racer *racer, size_t count)
{
    for (size_t i = 0; i < count; i++)
        racer->size[i] = racer->pages * PAGE;
}

static void random_sizes(struct racer *racer, size_t count)
{
    for (size_t i = 0; i < count; i++)
        racer->size[i] = rng_between(&racer->rng, 1, VMALLOC_RANDOM_MOST) * PAGE;
}

static bool allocate_touch_free(struct racer *racer, size_t begin, size_t end)
{
    const struct target_kind *kind = &racer->contender->kind;
    for (size_t i = begin; i < end; i++) {
        uint64_t addr;
        enum kva_status status = kind->alloc(racer->state, racer->size[i], PAGE, 0, &addr);
        if (status != KVA_OK)
            return refused(racer, status);
        touch(addr);
        status = kind->free(racer->state, addr, racer->size[i]);
        if (status != KVA_OK)
            return refused(racer, status);
    }
    return true;
}

/* Allocate. Addresses after a failure stay NO_ADDRESS. */
static bool allocate(struct racer *racer, size_t begin, size_t end)
{
    const struct target_kind *kind = &racer->contender->kind;
    for (size_t i = begin; i < end; i++) {
        enum kva_status status = kind->alloc(racer->state, racer->size[i], PAGE, 0, &racer->addr[i]);
        if (status != KVA_OK)
            return refused(racer, status);
    }
    return true;
}

static bool allocate_touch(struct racer *racer, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        if (!allocate(racer, i, i + 1))
            return false;
        touch(racer->addr[i]);
    }
    return true;
}

static void one_size_none_taken(struct racer *racer, size_t count)
{
    one_size(racer, count);
    memset(racer->addr, 0xff, sizeof(racer->addr)); /* NO_ADDRESS, byte by byte */
}

static void free_and_flush(struct racer *racer, size_t count)
{
    const struct target_kind *kind = &racer->contender->kind;
    for (size_t i = 0; i < count; i++)
        if (racer->addr[i] != NO_ADDRESS)
            (void)kind->free(racer->state, racer->addr[i], racer->size[i]);
    if (kind->flush != NULL)
        (void)kind->flush(racer->state);
}

static bool take_area(struct racer *racer, size_t index)
{
    enum kva_status status =
        racer->contender->kind.alloc(racer->state, racer->pages * PAGE, PAGE, 0, &racer->live[index]);
    if (status != KVA_OK) {
        racer->live[index] = NO_ADDRESS;
        return refused(racer, status);
    }
    touch(racer->live[index]);
    return true;
}

static void choose_areas(struct racer *racer, size_t count)
{
    for (size_t i = 0; i < count; i++)
        racer->chosen[i] = (size_t)rng_below(&racer->rng, racer->row->areas);
}

static bool replace_areas(struct racer *racer, size_t begin, size_t end)
{
    const struct target_kind *kind = &racer->contender->kind;
    for (size_t i = begin; i < end; i++) {
        size_t index = racer->chosen[i];
        enum kva_status status = kind->free(racer->state, racer->live[index], racer->pages * PAGE);
        if (status != KVA_OK)
            return refused(racer, status);
        if (!take_area(racer, index))
            return false;
    }
    return true;
}

/* Map and unmap; advance by `step` frames. */
static bool map_unmap(struct racer *racer, uint64_t step)
{
    const struct target_kind *kind = &racer->contender->kind;
    uint64_t addr;
    if (racer->next + racer->pages > POOL_FRAMES)
        racer->next = 0;
    enum kva_status status = kind->map(racer->state, racer->frames, racer->next, racer->pages, &addr);
    if (status != KVA_OK)
        return refused(racer, status);
    racer->next += step;
    status = kind->unmap(racer->state, addr, racer->pages);
    return status == KVA_OK || refused(racer, status);
}

static bool map_fresh(struct racer *racer, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        if (!map_unmap(racer, racer->pages))
            return false;
    return true;
}

static bool map_again(struct racer *racer, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        if (!map_unmap(racer, 0))
            return false;
    return true;
}

/* 16384 pages are 64 MiB; 512 are a huge page. kva reuses maps of at most 64 frames. */
static const struct vmalloc_case cases[] = {
    {.name = VMALLOC_STEADY,
     .sizes = {1, 4, 16, 100, 512, 4096, 16384},
     .prepare = one_size,
     .run = allocate_touch_free},
    {.name = VMALLOC_RANDOM, .prepare = random_sizes, .run = allocate_touch_free},
    {.name = VMALLOC_COLD,
     .cold = true,
     .sizes = {1, 4, 16, 100, 512, 4096, 16384},
     .prepare = one_size_none_taken,
     .run = allocate_touch,
     .finish = free_and_flush},
    {.name = VMALLOC_COLD_UNTOUCHED,
     .cold = true,
     .sizes = {1, 4, 16, 100, 512, 4096, 16384},
     .prepare = one_size_none_taken,
     .run = allocate,
     .finish = free_and_flush},
    {.name = VMALLOC_MANY, .many = true, .sizes = {1}, .prepare = choose_areas, .run = replace_areas},
    {.name = VMALLOC_MAP_FRESH, .maps = true, .cold = true, .sizes = {1, 16, 64}, .run = map_fresh},
    {.name = VMALLOC_MAP_AGAIN, .maps = true, .cold = true, .sizes = {1, 16, 64}, .run = map_again},
};

/* --------------------------------------------------------------------------------------------- contenders */

/* The mechanism by which an instance of this kind closes pages. */
static const char *mechanism_of(const struct target_kind *kind)
{
    struct target_range range = {.quantum = PAGE};
    struct kva_vm_stats stats;
    void *vm;
    enum kva_status status = kind->create(kind, &range, &vm);
    if (status == KVA_OK)
        status = kva_vm_stats_read(vm, &stats);
    if (status != KVA_OK)
        bench_fatal(TOOL_REFUSED, "vmalloc: cannot create an instance: %s", kva_status_text(status));
    kind->destroy(vm);
    return stats.pages.mechanism; /* a constant string */
}

static void add(struct vmalloc_contender *all, size_t *count, const char *name,
                const struct target_kind *kind)
{
    if (target_kind_open(kind))
        all[(*count)++] = (struct vmalloc_contender){name, *kind};
}

static void (*const peers[])(struct target_kind *) = {target_kind_of_list_pages, target_kind_of_mmap,
                                                      target_kind_of_malloc, target_kind_of_jemalloc,
                                                      target_kind_of_mimalloc};

void vmalloc_open_peers(void)
{
    struct target_kind kind;
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        peers[i](&kind);
        (void)target_kind_open(&kind);
    }
}

static size_t choose_contenders(const struct bench_options *options, struct vmalloc_contender all[CONTENDERS],
                                const char **mechanism)
{
    struct target_kind kind, other;
    size_t count = 0;
    target_kind_of_vm(&kind, options->main_engine);
    *mechanism = mechanism_of(&kind);
    add(all, &count, VMALLOC_KVA, &kind);
    other = kind;
    other.vm.without_guards = true;
    add(all, &count, VMALLOC_BARE, &other);
    other = kind;
    other.vm.pages = kva_pages_host(KVA_MECHANISM_MAPPINGS);
    if (strcmp(mechanism_of(&other), *mechanism) != 0)
        add(all, &count, VMALLOC_MAPPINGS, &other);
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        peers[i](&kind);
        add(all, &count, kind.name, &kind);
    }
    return count;
}

/* Heaps have no frames, and cannot be brought into a cold state. */
static bool takes_part(const struct vmalloc_case *test, const struct target_kind *kind)
{
    return !test->cold || target_can(kind, TARGET_CAN_MAP);
}

/* -------------------------------------------------------------------------------------------------- turns */

/* The counts before or after a turn. */
struct counts {
    uint64_t faults;
    struct target_calls calls;
    bool calls_known;
};

static struct counts read_counts(const struct racer *racer)
{
    struct counts counts = {0};
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) == 0)
        counts.faults = (uint64_t)usage.ru_minflt;
    counts.calls_known =
        racer->contender->kind.calls != NULL && racer->contender->kind.calls(racer->state, &counts.calls);
    return counts;
}

/* Add the counts of a turn to the sums of all turns. */
static void add_counts(struct vmalloc_row *row, const struct counts *before, const struct counts *after)
{
    row->faults += (double)(after->faults - before->faults);
    if (!after->calls_known) {
        row->calls = -1;
        return;
    }
    row->calls += (double)(after->calls.all - before->calls.all);
    row->flushing += (double)(after->calls.flushing - before->calls.flushing);
}

static uint64_t run_timed(struct racer *racer, const struct vmalloc_case *test, size_t count)
{
    uint64_t start = ticks_now();
    test->run(racer, 0, count);
    return ticks_now() - start;
}

static uint64_t run_singly(struct racer *racer, const struct vmalloc_case *test, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count && racer->row->refused == KVA_OK; i++) {
        uint64_t start = ticks_now();
        test->run(racer, i, i + 1);
        uint64_t ticks = ticks_now() - start;
        histogram_add(&racer->latency, ticks);
        sum += ticks;
    }
    return sum;
}

struct turn {
    double ns;
    uint64_t operations;
};

/* Run batches until `budget_ns` are spent, at least one; none after a failure. */
static struct turn take_turn(struct racer *racer, const struct vmalloc_case *test, double budget_ns,
                             double ns_per_tick, bool singly)
{
    size_t most = test->finish != NULL ? COLD_BATCH : BATCH;
    struct turn turn = {0};
    if (racer->row->refused != KVA_OK)
        return turn;
    do {
        size_t count = racer->batch;
        if (test->prepare != NULL)
            test->prepare(racer, count);
        uint64_t ticks = singly ? run_singly(racer, test, count) : run_timed(racer, test, count);
        if (test->finish != NULL)
            test->finish(racer, count);
        double ns = (double)ticks * ns_per_tick;
        if (ns < BATCH_NS_MIN && racer->batch < most)
            racer->batch *= 2;
        turn.ns += ns;
        turn.operations += count;
    } while (racer->row->refused == KVA_OK && turn.ns < budget_ns);
    return turn;
}

static void throughput_turn(struct racer *racer, const struct vmalloc_case *test, double turn_ns,
                            double ns_per_tick, bool warm_up)
{
    struct vmalloc_row *row = racer->row;
    take_turn(racer, test, turn_ns / LEAD_IN, ns_per_tick, false);
    struct counts before = read_counts(racer);
    struct turn turn = take_turn(racer, test, turn_ns, ns_per_tick, false);
    struct counts after = read_counts(racer);
    if (warm_up || row->refused != KVA_OK)
        return;
    times_add(&row->times, turn.ns / (double)turn.operations);
    row->operations += turn.operations;
    add_counts(row, &before, &after);
}

/* ------------------------------------------------------------------------------------- one case, one size */

struct race {
    const struct vmalloc_case *test;
    const struct bench_options *options;
    size_t pages;
    struct racer *racers[CONTENDERS];
    size_t count;
};

static void show(const struct race *race, size_t racer, const char *what, size_t number, size_t count)
{
    progress_show(&bench_progress, "vmalloc %s, %zu pages: %s %s %zu/%zu", race->test->name, race->pages,
                  race->racers[racer]->contender->name, what, number, count);
}

/* The number of mappings of the process; negative: unknown. */
static int64_t count_mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    int64_t lines = 0;
    if (file == NULL)
        return -1;
    for (int c; (c = getc_unlocked(file)) != EOF;)
        lines += c == '\n';
    fclose(file);
    return lines;
}

/* Mappings since then; 0 if there are fewer, because a heap returned earlier ones; negative: unknown. */
static int64_t mappings_since(int64_t before)
{
    int64_t now = count_mappings();
    if (before < 0 || now < 0)
        return -1;
    return now > before ? now - before : 0;
}

/* Allocate and touch all areas, so that the pages of the heaps' own data are present as well. */
static void fill(const struct race *race, size_t number)
{
    struct racer *racer = race->racers[number];
    struct vmalloc_row *row = racer->row;
    size_t areas = race->options->areas;
    uint64_t start = ticks_now();
    while (row->areas < areas && take_area(racer, row->areas)) {
        if (row->areas % SHOWN_EVERY == 0)
            show(race, number, "area", row->areas, areas);
        row->areas++;
    }
    row->fill_ns = (double)(ticks_now() - start) * race->options->clock.ns_per_tick / (double)areas;
}

static void free_areas(struct racer *racer)
{
    for (size_t i = 0; i < racer->row->areas; i++)
        if (racer->live[i] != NO_ADDRESS)
            (void)racer->contender->kind.free(racer->state, racer->live[i], racer->pages * PAGE);
    free(racer->live);
}

static struct racer *racer_create(const struct vmalloc_contender *contender, const struct race *race)
{
    struct racer *racer = calloc(1, sizeof(*racer));
    struct target_range range = {.quantum = PAGE};
    if (racer != NULL && race->test->many)
        racer->live = calloc(race->options->areas, sizeof(*racer->live));
    if (racer == NULL || (race->test->many && racer->live == NULL))
        bench_fatal(TOOL_REFUSED, "no memory for a contender");
    racer->contender = contender;
    racer->pages = race->pages;
    racer->batch = race->test->finish != NULL ? COLD_BATCH : 1;
    rng_seed(&racer->rng, race->options->seed);
    histogram_init(&racer->latency);
    if (race->test->many)
        racer->mappings_before = count_mappings();
    enum kva_status status = contender->kind.create(&contender->kind, &range, &racer->state);
    if (status == KVA_OK && race->test->maps)
        status = contender->kind.frames_take(racer->state, POOL_FRAMES, &racer->frames);
    if (status != KVA_OK)
        bench_fatal(TOOL_REFUSED, "vmalloc: cannot set up %s: %s", contender->name, kva_status_text(status));
    return racer;
}

/* Read kva's statistics and the mappings, and destroy the racer. */
static void racer_destroy(struct racer *racer)
{
    const struct target_kind *kind = &racer->contender->kind;
    struct vmalloc_row *row = racer->row;
    struct kva_vm_stats stats;
    if (kind->vm.engine != NULL && kva_vm_stats_read(racer->state, &stats) == KVA_OK) {
        row->found_again = stats.ram_hits;
        row->failed_unmap_pages = racer->live == NULL ? -1 : (int64_t)stats.pages.failed_unmap_pages;
    }
    if (racer->live != NULL)
        row->mappings = mappings_since(racer->mappings_before);
    free_areas(racer);
    if (racer->frames != NULL)
        kind->frames_give(racer->state, racer->frames);
    kind->destroy(racer->state);
    free(racer);
}

static void open_race(struct race *race, const struct vmalloc_contender *all, size_t count,
                      struct vmalloc_results *results)
{
    for (size_t i = 0; i < count; i++)
        if (takes_part(race->test, &all[i].kind))
            race->racers[race->count++] = racer_create(&all[i], race);
    size_t first = results->row_count;
    results->rows = bench_add_rows(results->rows, &results->row_count, race->count, sizeof(*results->rows));
    struct vmalloc_row *rows = results->rows + first;
    for (size_t i = 0; i < race->count; i++) {
        race->racers[i]->row = &rows[i];
        rows[i].what = race->test->name;
        rows[i].contender = race->racers[i]->contender->name;
        rows[i].pages = race->pages;
        rows[i].fill_ns = -1;
        rows[i].mappings = rows[i].failed_unmap_pages = -1;
    }
}

static void run_turns(const struct race *race)
{
    const struct bench_options *options = race->options;
    double turn_ns = (double)options->turn_ns / SHORTER;
    for (size_t number = 0; number <= options->reps; number++)
        for (size_t i = 0; i < race->count; i++) {
            show(race, i, "turn", number, options->reps);
            throughput_turn(race->racers[i], race->test, turn_ns, race->options->clock.ns_per_tick,
                            number == 0);
        }
    for (size_t number = 0; number < LATENCY_TURNS; number++)
        for (size_t i = 0; i < race->count; i++) {
            show(race, i, "latency", number + 1, LATENCY_TURNS);
            take_turn(race->racers[i], race->test, turn_ns, race->options->clock.ns_per_tick, true);
        }
}

static void summarize(struct racer *racer, double ns_per_tick)
{
    struct vmalloc_row *row = racer->row;
    if (row->refused != KVA_OK)
        return;
    times_summarize(&row->times);
    row->latency = latency_of(&racer->latency, ns_per_tick);
    row->faults /= (double)row->operations;
    if (row->calls >= 0) {
        row->calls /= (double)row->operations;
        row->flushing /= (double)row->operations;
    }
}

static void close_race(struct race *race)
{
    for (size_t i = 0; i < race->count; i++) {
        summarize(race->racers[i], race->options->clock.ns_per_tick);
        racer_destroy(race->racers[i]);
    }
}

static void run_race(const struct vmalloc_case *test, size_t pages, const struct bench_options *options,
                     const struct vmalloc_contender *all, size_t count, struct vmalloc_results *results)
{
    struct race race = {.test = test, .options = options, .pages = pages};
    open_race(&race, all, count, results);
    for (size_t i = 0; test->many && i < race.count; i++)
        fill(&race, i);
    run_turns(&race);
    close_race(&race);
}

/* Compute the ratios of the rows of one case and size. */
static void relate_to_mmap(struct vmalloc_row *rows, size_t count)
{
    const struct times *base = NULL;
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].contender, "mmap") == 0 && rows[i].refused == KVA_OK)
            base = &rows[i].times;
    for (size_t i = 0; i < count; i++)
        rows[i].times.ratio = times_quotient(base, &rows[i].times);
}

static void run_size(const struct vmalloc_case *test, size_t pages, const struct bench_options *options,
                     const struct vmalloc_contender *all, size_t count, struct vmalloc_results *results)
{
    size_t first = results->row_count;
    size_t at_once = test->many ? 1 : count;
    for (size_t i = 0; i < count; i += at_once)
        run_race(test, pages, options, all + i, at_once, results);
    relate_to_mmap(results->rows + first, results->row_count - first);
}

void vmalloc_run_case(const char *name, size_t pages, const struct bench_options *options,
                      const struct vmalloc_contender *contenders, size_t count,
                      struct vmalloc_results *results)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (strcmp(cases[i].name, name) == 0)
            run_size(&cases[i], pages, options, contenders, count, results);
}

void vmalloc_run(const struct bench_options *options, struct vmalloc_results *results)
{
    struct vmalloc_contender all[CONTENDERS];
    size_t count = choose_contenders(options, all, &results->mechanism);
    results->engine = options->main_engine;
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        const struct vmalloc_case *test = &cases[c];
        bool own = options->size_count == 0 || test->sizes[0] == 0 || test->many;
        const size_t *sizes = own ? test->sizes : options->sizes;
        size_t room = own ? sizeof(test->sizes) / sizeof(test->sizes[0]) : options->size_count;
        for (size_t i = 0; i < room && (i == 0 || sizes[i] != 0); i++)
            if (!test->maps || sizes[i] <= POOL_FRAMES)
                run_size(test, sizes[i], options, all, count, results);
    }
    vmalloc_measure_whole(options, results);
    vmalloc_judge(results);
}

void vmalloc_results_destroy(struct vmalloc_results *results)
{
    free(results->rows);
}
