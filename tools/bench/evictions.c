/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Evictions; see evictions.h. */
#include "evictions.h"

#include "fatal.h"
#include "sheet.h"
#include "ticks.h"

#include <kva/evict.h>
#include <stdlib.h>
#include <string.h>

/* Sizes: 1 to 8 pages, times 1, 2, 4 ... 32, all equally likely: from an icon to a full-screen image. */
#define PAGES_LOW 8
#define DOUBLINGS 6

/* A slow engine's cap is for operations of O(n). A success examines a number of candidates that grows with n,
 * each in O(n). */
#define CAP_PART 10

static const size_t default_sizes[] = {200, 10000};

/** With fewer textures there is nothing to evict. */
#define TEXTURES_LEAST 2

static const char *const ways[] = {"lru", "scan"};
#define WAYS 2

/* The successes of a turn are --operations over this: 1000 by default. */
#define OPERATIONS_EACH 10000
#define SUCCESSES_LEAST 20

struct texture {
    struct kva_candidate candidate; /* first: a candidate is its texture */
    struct texture *older;          /* on the list of textures with a range, from the oldest to the newest */
    struct texture *newer;
    uint64_t size;
    uint64_t start; /* NO_ADDRESS: no range */
};

/** The textures and the space of one engine and one way. */
struct bindings {
    struct subject *subject;
    struct texture *textures;
    size_t count;
    struct texture ends; /* the list's head: ends.newer is the oldest texture, ends.older the newest */
    bool scans;
    uint64_t scanned_ticks;
};

/* --------------------------------------------------------------------------------------------------- list */

static void add_newest(struct bindings *bindings, struct texture *texture)
{
    texture->newer = &bindings->ends;
    texture->older = bindings->ends.older;
    texture->older->newer = texture;
    bindings->ends.older = texture;
}

static void drop(struct texture *texture)
{
    texture->older->newer = texture->newer;
    texture->newer->older = texture->older;
}

/* ------------------------------------------------------------------------------------------------- set-up */

/** Draw all sizes. Returns the bytes of the space: half of their sum, or the largest texture if that is
 *  more. */
static uint64_t draw_sizes(struct bindings *bindings, struct rng *rng)
{
    uint64_t sum = 0;
    uint64_t largest = 0;
    for (size_t i = 0; i < bindings->count; i++) {
        uint64_t size = (rng_between(rng, 1, PAGES_LOW) << rng_below(rng, DOUBLINGS)) * PAGE;
        bindings->textures[i] = (struct texture){.size = size, .start = NO_ADDRESS};
        sum += size;
        largest = size > largest ? size : largest;
    }
    uint64_t half = sum / (2 * PAGE) * PAGE;
    return half > largest ? half : largest;
}

static void open_bindings(struct bindings *bindings, const struct evicted *row, uint64_t seed)
{
    struct rng rng;
    rng_seed(&rng, seed);
    memset(bindings, 0, sizeof(*bindings));
    bindings->scans = row->way == ways[1];
    bindings->count = row->n;
    bindings->textures = calloc(bindings->count, sizeof(*bindings->textures));
    if (bindings->textures == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for %zu textures", bindings->count);
    bindings->ends.older = &bindings->ends;
    bindings->ends.newer = &bindings->ends;
    struct kva_config kind = {.last = draw_sizes(bindings, &rng) - 1};
    bindings->subject = subject_create(row->engine, &kind, 1, seed);
}

static void close_bindings(struct bindings *bindings)
{
    subject_destroy(bindings->subject);
    free(bindings->textures);
}

/* ----------------------------------------------------------------------------------------------- eviction */

static void give_up(struct texture *texture, struct evicted *row)
{
    drop(texture);
    texture->start = NO_ADDRESS;
    row->evictions++;
}

/** Free the oldest until the request fits. */
static uint64_t evict_oldest(struct bindings *bindings, const struct kva_request *request,
                             struct evicted *row)
{
    uint64_t start;
    enum kva_status status;
    do {
        struct texture *oldest = bindings->ends.newer;
        if (oldest == &bindings->ends)
            subject_wrong(bindings->subject, "kva_alloc in an empty space", request->size, KVA_ENOSPC);
        subject_give(bindings->subject, oldest->start);
        give_up(oldest, row);
        row->candidates++;
        status = kva_alloc(&bindings->subject->space, request, &start);
    } while (status == KVA_ENOSPC);
    if (status != KVA_OK)
        subject_wrong(bindings->subject, "kva_alloc", request->size, status);
    return start;
}

/** Feed candidates, the oldest first, until the scan has found room. */
static void scan_oldest(struct bindings *bindings, const struct kva_request *request,
                        struct kva_eviction *eviction, struct evicted *row)
{
    uint64_t begin = ticks_now();
    enum kva_status status = kva_evict_begin(&bindings->subject->space, request, eviction);
    if (status != KVA_OK)
        subject_wrong(bindings->subject, "kva_evict_begin", request->size, status);
    struct texture *texture = bindings->ends.newer;
    do {
        if (texture == &bindings->ends)
            subject_wrong(bindings->subject, "kva_evict_add of all", request->size, KVA_ENOSPC);
        status = kva_evict_add(eviction, &texture->candidate, texture->start);
        row->candidates++;
        texture = texture->newer;
    } while (status == KVA_ENOSPC);
    if (status != KVA_OK)
        subject_wrong(bindings->subject, "kva_evict_add", request->size, status);
    bindings->scanned_ticks += ticks_now() - begin;
}

static uint64_t evict_scanned(struct bindings *bindings, const struct kva_request *request,
                              struct evicted *row)
{
    struct kva_eviction eviction;
    uint64_t start;
    scan_oldest(bindings, request, &eviction, row);
    for (struct kva_candidate *c = kva_evict_first(&eviction); c != NULL; c = kva_evict_next(&eviction, c))
        give_up((struct texture *)c, row);
    enum kva_status status = kva_evict_finish(&eviction, &start);
    if (status != KVA_OK)
        subject_wrong(bindings->subject, "kva_evict_finish", request->size, status);
    return start;
}

/** Allocate a range for a texture without one. Returns the ticks if others were evicted, else 0. */
static uint64_t bind(struct bindings *bindings, struct texture *texture, struct evicted *row)
{
    struct kva_request request = kva_request_of(texture->size);
    uint64_t ticks = 0;
    enum kva_status status = kva_alloc(&bindings->subject->space, &request, &texture->start);
    if (status == KVA_ENOSPC) {
        uint64_t begin = ticks_now();
        texture->start =
            bindings->scans ? evict_scanned(bindings, &request, row) : evict_oldest(bindings, &request, row);
        ticks = ticks_now() - begin;
        row->successes++;
    } else if (status != KVA_OK) {
        subject_wrong(bindings->subject, "kva_alloc", request.size, status);
    }
    add_newest(bindings, texture);
    return ticks;
}

/* -------------------------------------------------------------------------------------------------- turns */

/** Run until there are `successes` more. Returns their ticks. */
static uint64_t run(struct bindings *bindings, uint64_t successes, struct evicted *row)
{
    uint64_t until = row->successes + successes;
    uint64_t ticks = 0;
    while (row->successes < until) {
        struct texture *texture = &bindings->textures[rng_below(&bindings->subject->rng, bindings->count)];
        if (texture->start != NO_ADDRESS) {
            drop(texture);
            add_newest(bindings, texture);
        } else {
            ticks += bind(bindings, texture, row);
        }
    }
    return ticks;
}

/** Take one turn. Turn 0 is the warm-up, which does not count. */
static void take_turn_of(struct bindings *bindings, struct evicted *row, const struct bench_options *options,
                         size_t turn)
{
    double ns_per_tick = options->clock.ns_per_tick;
    uint64_t successes = options->operations / OPERATIONS_EACH;
    uint64_t before = row->candidates;
    successes = successes < SUCCESSES_LEAST ? SUCCESSES_LEAST : successes;
    bindings->scanned_ticks = 0;
    double ns = (double)run(bindings, successes, row) * ns_per_tick;
    if (turn == 0) {
        row->successes = row->evictions = row->candidates = 0;
        return;
    }
    times_add(&row->times, ns / (double)successes);
    times_add(&row->candidate,
              (double)bindings->scanned_ticks * ns_per_tick / (double)(row->candidates - before));
}

static void fill_in_bound(const struct bindings *bindings, struct evicted *row)
{
    struct sample sample;
    subject_sample(bindings->subject, &sample);
    row->bound = (double)sample.live_bytes / (double)(bindings->subject->last + 1);
}

/** Compare the rows of one n: in each way, all engines must have evicted the same ranges. */
static void compare(const struct evicted *rows, size_t count)
{
    const struct evicted *first[WAYS] = {NULL};
    for (size_t i = 0; i < count; i++) {
        const struct evicted *row = &rows[i];
        const struct evicted **other = &first[i % WAYS];
        if (row->skipped)
            continue;
        if (*other == NULL)
            *other = row;
        if ((*other)->evictions != row->evictions || (*other)->candidates != row->candidates)
            bench_fatal(TOOL_WRONG,
                        "evictions, n = %zu: engines %s and %s evicted different ranges for the same calls",
                        row->n, (*other)->engine, row->engine);
    }
}

static void begin_rows(struct evicted *rows, size_t count, size_t n, const struct bench_options *options)
{
    for (size_t i = 0; i < count; i++) {
        const char *engine = options->engines.name[i / WAYS];
        rows[i].n = n < TEXTURES_LEAST ? TEXTURES_LEAST : n;
        rows[i].engine = engine;
        rows[i].way = ways[i % WAYS];
        rows[i].skipped = n > bench_engine_cap(engine) / CAP_PART && !options->uncapped;
    }
}

/** Measure all engines and both ways, turn by turn. */
static void run_rows(struct evicted *rows, size_t count, const struct bench_options *options)
{
    static struct bindings all_bindings[WAYS * ENGINES_MAX];
    for (size_t i = 0; i < count; i++)
        if (!rows[i].skipped)
            open_bindings(&all_bindings[i], &rows[i], options->seed);
    for (size_t turn = 0; turn <= options->reps; turn++) {
        for (size_t i = 0; i < count; i++) {
            if (rows[i].skipped)
                continue;
            progress_show(&bench_progress, "evictions n=%zu: %s %s, turn %zu/%zu", rows[i].n, rows[i].engine,
                          rows[i].way, turn, options->reps);
            take_turn_of(&all_bindings[i], &rows[i], options, turn);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (rows[i].skipped)
            continue;
        fill_in_bound(&all_bindings[i], &rows[i]);
        close_bindings(&all_bindings[i]);
    }
}

static void run_size(size_t n, const struct bench_options *options, struct evictions_results *results)
{
    size_t count = WAYS * options->engines.count;
    size_t first = results->row_count;
    results->rows = bench_add_rows(results->rows, &results->row_count, count, sizeof(*results->rows));
    struct evicted *rows = results->rows + first;
    begin_rows(rows, count, n, options);
    run_rows(rows, count, options);
    compare(rows, count);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].skipped)
            continue;
        times_summarize(&rows[i].times);
        times_summarize(&rows[i].candidate);
        rows[i].times.ratio = times_quotient(&rows[i - i % WAYS].times, &rows[i].times);
    }
}

/* --------------------------------------------------------------------------------------------------- aims */

/** The longest time for a candidate of the scan, over all sizes; negative: the engine did not run. */
static double worst_candidate(const struct evictions_results *results, const char *engine)
{
    double worst = -1;
    for (size_t i = 0; i < results->row_count; i++) {
        const struct evicted *row = &results->rows[i];
        if (!row->skipped && row->way == ways[1] && strcmp(row->engine, engine) == 0 &&
            row->candidate.median_ns > worst)
            worst = row->candidate.median_ns;
    }
    return worst;
}

void evictions_run(const struct bench_options *options, struct evictions_results *results)
{
    const size_t *sizes = options->size_count > 0 ? options->sizes : default_sizes;
    size_t count =
        options->size_count > 0 ? options->size_count : sizeof(default_sizes) / sizeof(default_sizes[0]);
    results->measured = true;
    for (size_t i = 0; i < count; i++)
        run_size(sizes[i], options, results);
    aims_add(&results->aims, "bt: time of a candidate, worst size", "ns", false, 1000,
             worst_candidate(results, "bt"));
    aims_add(&results->aims, "rb: time of a candidate, worst size", "ns", false, 1000,
             worst_candidate(results, "rb"));
}

/* ------------------------------------------------------------------------------------------------- report */

static void describe_evicted(struct sheet *sheet, const void *item)
{
    const struct evicted *row = item;
    double successes = (double)row->successes;
    sheet_count(sheet, "n", "n", row->n);
    sheet_text(sheet, "engine", "engine", row->engine);
    sheet_text(sheet, "way", "way", row->way);
    sheet_flag(sheet, "skipped", row->skipped);
    sheet_absent(sheet, row->skipped);
    sheet_count(sheet, NULL, "successes", row->successes);
    sheet_count(sheet, NULL, "candidates", row->candidates);
    sheet_count(sheet, NULL, "evictions", row->evictions);
    sheet_measure(sheet, "candidates", "candidates_per_success", (double)row->candidates / successes, 1, 2);
    sheet_measure(sheet, "evictions", "evictions_per_success", (double)row->evictions / successes, 1, 2);
    sheet_share(sheet, "bound", "bound", row->bound);
    sheet_times(sheet, "ns/success", &row->times);
    sheet_measure(sheet, "x lru", "ratio", row->times.ratio, 1, 2);
    sheet_ns(sheet, "ns/candidate", "candidate_ns", row->way == ways[1] ? row->candidate.median_ns : -1);
}

/** Explain empty rows, once for each engine. */
static void note_on_skipped(const struct evictions_results *results, FILE *out)
{
    const char *said = NULL;
    for (size_t i = 0; i < results->row_count; i++) {
        const struct evicted *row = &results->rows[i];
        if (row->skipped && row->engine != said)
            fprintf(out, "  %s is O(n) and skipped above n = %zu; --uncapped runs it\n", row->engine,
                    bench_engine_cap(row->engine) / CAP_PART);
        said = row->skipped ? row->engine : said;
    }
}

void evictions_report(const struct evictions_results *results, const struct bench_options *options)
{
    progress_clear(&bench_progress);
    fprintf(options->out, "\nevictions (n = textures; figures per success; times in ns)\n");
    sheet_print(describe_evicted, results->rows, results->row_count, sizeof(*results->rows), options->out);
    note_on_skipped(results, options->out);
    aims_report(&results->aims, "evictions", options->out);
    fflush(options->out);
}

json_t *evictions_to_json(const struct evictions_results *results, bool *good)
{
    json_t *object = json_object();
    json_put(object, "rows",
             sheet_to_json(describe_evicted, results->rows, results->row_count, sizeof(*results->rows), good),
             good);
    json_put(object, "aims", aims_to_json(&results->aims, good), good);
    return object;
}

void evictions_results_destroy(struct evictions_results *results)
{
    free(results->rows);
}
