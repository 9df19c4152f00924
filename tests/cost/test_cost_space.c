/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The Cost rows of the address ranges, on the rb and the bt engine: see rows.h. */
#include "rows.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/evict.h>
#include <kva/ranges.h>
#include <kva/threads.h>
#include <stdlib.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

#define STEP UINT64_C(0x4000)
#define SIZE UINT64_C(0x1000)
#define DECLARED UINT64_C(0x100000) /* an alignment class */

/** State that the lines below set up and use. */
static const struct kva_engine *engine;
static struct kva_failing_memory memory;
static struct kva_space space;
static struct kva_threads threads;
static struct kva_range *ranges;
static struct kva_part *parts;
static struct kva_reclaim *reclaims;
static uint64_t *starts;
static uint64_t size_now;
static struct kva_candidate *candidates;

static struct kva_config plain(void)
{
    return (struct kva_config){
        .last = UINT64_C(0xffffffffffff),
        .quantum = SIZE,
        .align_class = {DECLARED},
        .engine = engine,
        .memory = kva_failing_memory_init(&memory),
        .deferred_limit = UINT64_MAX,
    };
}

static void begin(const struct kva_config *config, uint64_t size)
{
    size_now = size;
    assert_int_equal(kva_space_init(&space, config), KVA_OK);
}

static void tear_down(void)
{
    if (space.map != NULL)
        assert_int_equal(kva_space_abandon(&space), KVA_OK);
    assert_int_equal(memory.blocks, 0);
    free(ranges);
    free(parts);
    free(reclaims);
    free(starts);
    free(candidates);
    candidates = NULL;
    ranges = NULL;
    parts = NULL;
    reclaims = NULL;
    starts = NULL;
}

static uint64_t some(uint64_t round)
{
    return round * UINT64_C(7919) % size_now;
}

/* ---------------------------------------------------------------------------------- n: number of segments */

/** `size` busy segments, each followed by a hole of three times its length. */
static void many_segments(uint64_t size)
{
    struct kva_config config = plain();

    config.last = (size + 1) * STEP - 1;
    begin(&config, size);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_reserve(&space, i * STEP, SIZE, NULL, NULL), KVA_OK);
    assert_int_equal(kva_preload(&space, 64), KVA_OK);
}

static void find(uint64_t round)
{
    struct kva_segment segment;
    enum kva_status status;

    counting(status = kva_find(&space, some(round) * STEP + round % 2 * 2 * SIZE, &segment));
    assert_int_equal(status, KVA_OK);
}

static void first(uint64_t round)
{
    struct kva_segment segment;

    (void)round;
    counting((void)kva_first(&space, &segment));
    assert_int_equal(segment.start, 0);
}

static void next(uint64_t round)
{
    struct kva_segment segment;

    assert_int_equal(kva_find(&space, some(round) * STEP, &segment), KVA_OK);
    counting((void)kva_next(&space, &segment));
    assert_int_equal(segment.start, some(round) * STEP + SIZE);
}

static void last(uint64_t round)
{
    struct kva_segment segment;

    (void)round;
    counting((void)kva_last(&space, &segment));
    assert_int_equal(segment.last, (size_now + 1) * STEP - 1);
}

static void prev(uint64_t round)
{
    struct kva_segment segment;

    assert_int_equal(kva_find(&space, some(round) * STEP + SIZE, &segment), KVA_OK);
    counting((void)kva_prev(&space, &segment));
    assert_int_equal(segment.start, some(round) * STEP);
}

static void first_in(uint64_t round)
{
    struct kva_segment segment;

    counting((void)kva_first_in(&space, some(round) * STEP + 1, UINT64_MAX, &segment));
    assert_int_equal(segment.start, some(round) * STEP);
}

static void next_in(uint64_t round)
{
    struct kva_segment segment;

    assert_int_equal(kva_find(&space, some(round) * STEP, &segment), KVA_OK);
    counting((void)kva_next_in(&space, UINT64_MAX, &segment));
    assert_int_equal(segment.start, some(round) * STEP + SIZE);
}

static void first_hole(uint64_t round)
{
    struct kva_segment hole;

    (void)round;
    counting((void)kva_first_hole(&space, SIZE, &hole));
    assert_int_equal(hole.start, SIZE);
}

/** Only the last hole is long enough. */
static void next_hole(uint64_t round)
{
    struct kva_segment hole;

    assert_int_equal(kva_find(&space, some(round) / 2 * STEP, &hole), KVA_OK);
    counting((void)kva_next_hole(&space, STEP, &hole));
    assert_int_equal(hole.last, (size_now + 1) * STEP - 1);
}

static void last_hole(uint64_t round)
{
    struct kva_segment hole;

    (void)round;
    counting((void)kva_last_hole(&space, STEP, &hole));
    assert_int_equal(hole.last, (size_now + 1) * STEP - 1);
}

/** Without a hit, or to the neighbour. */
static void prev_hole(uint64_t round)
{
    uint64_t least = round % 2 == 0 ? STEP : SIZE;
    struct kva_segment hole;
    enum kva_status status;

    assert_int_equal(kva_find(&space, (some(round) + 1) / 2 * STEP + STEP, &hole), KVA_OK);
    counting(status = kva_prev_hole(&space, least, &hole));
    assert_int_equal(status, round % 2 == 0 ? KVA_ENOENT : KVA_OK);
}

static void reserve(uint64_t round)
{
    enum kva_status status;

    assert_int_equal(kva_free(&space, some(round) * STEP), KVA_OK);
    counting(status = kva_reserve(&space, some(round) * STEP, SIZE, NULL, NULL));
    assert_int_equal(status, KVA_OK);
}

static void reserve_in_vain(uint64_t round)
{
    struct kva_segment conflict;
    enum kva_status status;

    counting(status = kva_reserve(&space, some(round) * STEP, STEP, NULL, &conflict));
    assert_int_equal(status, KVA_EEXIST);
}

static void free_whole(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_free(&space, some(round) * STEP));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_reserve(&space, some(round) * STEP, SIZE, NULL, NULL), KVA_OK);
}

static void free_in_vain(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_free(&space, some(round) * STEP + SIZE));
    assert_int_equal(status, KVA_EDOUBLE);
}

static void resize(uint64_t round)
{
    counting((void)kva_resize(&space, some(round) * STEP, 3 * SIZE);
             (void)kva_resize(&space, some(round) * STEP, SIZE));
}

static void free_a_part(uint64_t round)
{
    enum kva_status status;

    assert_int_equal(kva_resize(&space, some(round) * STEP, 3 * SIZE), KVA_OK);
    counting(status = kva_free_range(&space, some(round) * STEP + SIZE, SIZE));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_free(&space, some(round) * STEP + 2 * SIZE), KVA_OK);
}

static void allocate(uint64_t size, uint64_t align, uint64_t min, enum kva_policy policy)
{
    struct kva_request request = kva_request_of(size);
    enum kva_status status;
    uint64_t start;

    request.align = align;
    request.min = min;
    request.policy = policy;
    counting(status = kva_alloc(&space, &request, &start));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_free(&space, start), KVA_OK);
}

/** Only the hole at the very end is large enough. */
static void allocate_at_the_end(uint64_t round)
{
    (void)round;
    allocate(STEP, 1, 0, KVA_LOWEST);
}

static void allocate_in_a_window(uint64_t round)
{
    allocate(SIZE, 1, some(round) * STEP, round % 2 ? KVA_LOWEST : KVA_HIGHEST);
}

static void allocate_in_vain(uint64_t round)
{
    struct kva_request request = kva_request_of(3 * STEP);
    enum kva_status status;
    uint64_t start;

    (void)round;
    counting(status = kva_alloc(&space, &request, &start));
    assert_int_equal(status, KVA_ENOSPC);
}

static void allocate_two_parts(uint64_t round)
{
    const struct kva_part two[2] = {{0, SIZE}, {STEP, SIZE}};
    struct kva_request request = kva_request_of(1);
    enum kva_status status;
    uint64_t base;

    request.min = (some(round) / 2) * STEP;
    counting(status = kva_alloc_congruent(&space, &request, two, 2, &base));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_free(&space, base), KVA_OK);
    assert_int_equal(kva_free(&space, base + STEP), KVA_OK);
}

static void defer_one(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_free_deferred(&space, some(round) * STEP));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_flush(&space), KVA_OK);
    assert_int_equal(kva_reserve(&space, some(round) * STEP, SIZE, NULL, NULL), KVA_OK);
}

static void flush_one(uint64_t round)
{
    enum kva_status status;

    assert_int_equal(kva_free_deferred(&space, some(round) * STEP), KVA_OK);
    counting(status = kva_flush(&space));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_reserve(&space, some(round) * STEP, SIZE, NULL, NULL), KVA_OK);
}

static void grow(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_space_grow(&space, 0, (size_now + 2 + round) * STEP - 1));
    assert_int_equal(status, KVA_OK);
}

static void statistics(uint64_t round)
{
    struct kva_stats stats;
    enum kva_status status;

    (void)round;
    counting(status = kva_stats_read(&space, &stats));
    assert_int_equal(status, KVA_OK);
}

static void check(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_space_check(&space, NULL));
    assert_int_equal(status, KVA_OK);
}

static void forget_line(void *context, const char *line, size_t length)
{
    (void)context;
    (void)line;
    (void)length;
}

static void dump(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_space_dump(&space, forget_line, NULL));
    assert_int_equal(status, KVA_OK);
}

static void abandon(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_space_abandon(&space));
    assert_int_equal(status, KVA_OK);
}

/* -------------------------------------------------------------------------------- m, d: deferred segments */

static void begin_deferring(uint64_t size)
{
    struct kva_config config = plain();

    begin(&config, size);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_reserve(&space, i * STEP, SIZE, NULL, NULL), KVA_OK);
}

static void defer_all(void)
{
    for (uint64_t i = 0; i < size_now; i++)
        assert_int_equal(kva_free_deferred(&space, (i * 7 + 1) % size_now * STEP), KVA_OK);
}

static void many_deferred(uint64_t size)
{
    begin_deferring(size | 1); /* odd, and no multiple of 7 */
    size_now += size_now % 7 == 0 ? 2 : 0;
    if (size_now > (size | 1))
        assert_int_equal(kva_reserve(&space, (size_now - 2) * STEP, SIZE, NULL, NULL) |
                             kva_reserve(&space, (size_now - 1) * STEP, SIZE, NULL, NULL),
                         KVA_OK);
    defer_all();
}

static void defer_one_more(uint64_t round)
{
    const uint64_t at = (size_now + 1 + round) * STEP;
    enum kva_status status;

    assert_int_equal(kva_reserve(&space, at, SIZE, NULL, NULL), KVA_OK);
    counting(status = kva_free_deferred(&space, at));
    assert_int_equal(status, KVA_OK);
}

static void flush_all(uint64_t round)
{
    enum kva_status status;

    if (round > 0) {
        for (uint64_t i = 0; i < size_now; i++)
            assert_int_equal(kva_reserve(&space, i * STEP, SIZE, NULL, NULL), KVA_OK);
        defer_all();
    }
    counting(status = kva_flush(&space));
    assert_int_equal(status, KVA_OK);
}

/** The callback reads its list: the first range, or the next one. */
static void read_first(void *context, uint64_t start, uint64_t last)
{
    struct kva_segment range = {0};
    enum kva_status status;

    (void)context;
    (void)last;
    counting(status = kva_flush_first(&space, &range));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(range.start, start);
}

static void read_next(void *context, uint64_t start, uint64_t last)
{
    struct kva_segment range = {0};
    enum kva_status status;

    (void)context;
    (void)start;
    assert_int_equal(kva_flush_first(&space, &range), KVA_OK);
    counting(status = kva_flush_next(&space, &range));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(range.last, last);
}

static void many_segments_and_a_reader(uint64_t size)
{
    struct kva_config config = plain();

    config.flush = read_first;
    begin(&config, size);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_reserve(&space, i * STEP, SIZE, NULL, NULL), KVA_OK);
}

/** Two deferred segments, far from each other. */
static void list_far(kva_flush_callback *read, uint64_t round)
{
    uint64_t half = size_now / 2;
    uint64_t at[] = {round % half * STEP, (round % half + half) * STEP};

    space.flush = read;
    assert_int_equal(kva_free_deferred(&space, at[1]), KVA_OK);
    assert_int_equal(kva_free_deferred(&space, at[0]), KVA_OK);
    assert_int_equal(kva_flush(&space), KVA_OK);
    assert_int_equal(kva_reserve(&space, at[0], SIZE, NULL, NULL), KVA_OK);
    assert_int_equal(kva_reserve(&space, at[1], SIZE, NULL, NULL), KVA_OK);
}

static void list_first(uint64_t round)
{
    list_far(read_first, round);
}

static void list_next(uint64_t round)
{
    list_far(read_next, round);
}

/** `size` adjacent deferred segments, and one at a distance before them. */
static void list_side_by_side(kva_flush_callback *read, uint64_t segments, uint64_t before)
{
    space.flush = read;
    for (uint64_t i = 0; i < segments; i++)
        assert_int_equal(kva_reserve(&space, STEP + i * SIZE, SIZE, NULL, NULL), KVA_OK);
    for (uint64_t i = 0; i < segments; i++)
        assert_int_equal(kva_free_deferred(&space, STEP + i * SIZE), KVA_OK);
    if (before > 0) {
        assert_int_equal(kva_reserve(&space, 0, before, NULL, NULL), KVA_OK);
        assert_int_equal(kva_free_deferred(&space, 0), KVA_OK);
    }
    assert_int_equal(kva_flush(&space), KVA_OK);
}

static void list_one_range(uint64_t round)
{
    (void)round;
    list_side_by_side(read_first, size_now, 0);
}

static void list_one_range_after(uint64_t round)
{
    (void)round;
    list_side_by_side(read_next, size_now, SIZE);
}

static void a_reader(uint64_t size)
{
    struct kva_config config = plain();

    config.flush = read_first;
    begin(&config, size);
}

static void end_all(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_space_fini(&space));
    assert_int_equal(status, KVA_OK);
}

static void reserve_over_deferred(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_reserve(&space, 0, size_now * STEP, NULL, NULL));
    assert_int_equal(status, KVA_OK);
}

/* ------------------------------------------------------------------------------ k, count, s: of a request */

/** Holes of twice DECLARED less one page: long enough for it, but only at their start. */
static void short_holes(uint64_t size)
{
    struct kva_config config = plain();

    begin(&config, size);
    for (uint64_t i = 0; i <= size; i++)
        assert_int_equal(kva_reserve(&space, (i * 2) * DECLARED, 2 * SIZE, NULL, NULL), KVA_OK);
}

static void allocate_beyond_short_holes(uint64_t round)
{
    (void)round;
    allocate(2 * DECLARED - 2 * SIZE, DECLARED / 2, 0, KVA_LOWEST);
}

static void allocate_at_a_declared_class(uint64_t round)
{
    (void)round;
    allocate(2 * DECLARED - 2 * SIZE, DECLARED, 0, KVA_LOWEST);
}

/** Holes of seven pages; a multiple of eight pages cuts each into three and four.
 *
 *      0         5    8      12        16     pages, 16 for each hole, and so on
 *      | busy    |    :       | busy    |
 */
static void cut_holes(uint64_t size)
{
    struct kva_config config = plain();

    begin(&config, size);
    assert_int_equal(kva_reserve(&space, 0, 5 * SIZE, NULL, NULL), KVA_OK);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_reserve(&space, (16 * i + 12) * SIZE, 9 * SIZE, NULL, NULL), KVA_OK);
}

/** Five pages fit only into the last hole, at most `most` pages above its multiple of 16. */
static void allocate_beyond_holes(struct kva_request request, uint64_t most)
{
    enum kva_status status;
    uint64_t start;

    request.size = 5 * SIZE;
    counting(status = kva_alloc(&space, &request, &start));
    assert_int_equal(status, KVA_OK);
    assert_true(start >= 16 * size_now * SIZE && start <= (16 * size_now + most) * SIZE);
    assert_int_equal(kva_free(&space, start), KVA_OK);
}

static void allocate_between_boundaries(uint64_t round)
{
    (void)round;
    allocate_beyond_holes((struct kva_request){.nocross = 8 * SIZE}, 8);
}

/** Page 12 of each 16 is busy. */
static void allocate_at_a_phase(uint64_t round)
{
    (void)round;
    allocate_beyond_holes((struct kva_request){.align = 16 * SIZE, .phase = 12 * SIZE}, 12);
}

/** A multiple of 12 pages is page 0, 4, 8 or 12 of its 16. */
static void allocate_at_an_odd_alignment(uint64_t round)
{
    (void)round;
    allocate_beyond_holes((struct kva_request){.align = 12 * SIZE}, 5 + 12);
}

/** As many_segments, with an index by size. One segment in four is twice as long, so that holes have two
 * sizes. */
static void many_sizes(uint64_t size)
{
    struct kva_config config = plain();

    config.last = (size + 1) * STEP - 1;
    config.best_fit = true;
    begin(&config, size);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_reserve(&space, i * STEP, i % 4 ? SIZE : 2 * SIZE, NULL, NULL), KVA_OK);
    assert_int_equal(kva_preload(&space, 64), KVA_OK);
}

/** As short_holes, with an index by size. */
static void short_holes_by_size(uint64_t size)
{
    struct kva_config config = plain();

    config.best_fit = true;
    begin(&config, size);
    for (uint64_t i = 0; i <= size; i++)
        assert_int_equal(kva_reserve(&space, (i * 2) * DECLARED, 2 * SIZE, NULL, NULL), KVA_OK);
}

static void choose(struct kva_request request)
{
    enum kva_status status;
    uint64_t start;

    counting(status = kva_alloc(&space, &request, &start));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_free(&space, start), KVA_OK);
}

static void choose_in_vain(struct kva_request request)
{
    enum kva_status status;
    uint64_t start;

    counting(status = kva_alloc(&space, &request, &start));
    assert_int_equal(status, KVA_ENOSPC);
}

/** The target is busy: both searches run, and then the result of the first is looked up again. */
static void allocate_nearest(uint64_t round)
{
    choose((struct kva_request){
        .size = 2 * SIZE, .policy = KVA_NEAREST, .target = (some(round) | 1) * STEP + round % 2 * 2 * SIZE});
}

/** Only the very end has room. */
static void allocate_nearest_far_away(uint64_t round)
{
    choose((struct kva_request){.size = STEP, .policy = KVA_NEAREST, .target = some(round) * STEP});
}

static void allocate_nearest_in_vain(uint64_t round)
{
    choose_in_vain(
        (struct kva_request){.size = 3 * STEP, .policy = KVA_NEAREST, .target = some(round) * STEP});
}

static uint64_t any_random(uint64_t round)
{
    return (round + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void allocate_at_random(uint64_t round)
{
    choose((struct kva_request){.size = SIZE, .policy = KVA_RANDOM, .random = any_random(round)});
}

static void allocate_at_random_in_vain(uint64_t round)
{
    choose_in_vain((struct kva_request){.size = 2 * STEP, .policy = KVA_RANDOM, .random = any_random(round)});
}

/** From holes of two and of three pages. */
static void allocate_best(uint64_t round)
{
    choose((struct kva_request){.size = (2 + round % 2) * SIZE, .policy = KVA_BEST});
}

static void allocate_best_in_vain(uint64_t round)
{
    (void)round;
    choose_in_vain((struct kva_request){.size = 3 * STEP, .policy = KVA_BEST});
}

static void allocate_best_beyond_short_holes(uint64_t round)
{
    (void)round;
    choose((struct kva_request){.size = 2 * DECLARED - 2 * SIZE, .align = DECLARED / 2, .policy = KVA_BEST});
}

static bool refuse(void *context, struct kva_hole *hole)
{
    (void)context;
    (void)hole;
    return false;
}

/** Accept the hole that begins at or above an address. */
static bool accept_from(void *context, struct kva_hole *hole)
{
    return hole->start >= *(const uint64_t *)context;
}

static void allocate_filtered(uint64_t round)
{
    uint64_t from = some(round) * STEP;

    choose((struct kva_request){.size = SIZE,
                                .min = from,
                                .max = UINT64_MAX,
                                .policy = KVA_LOWEST,
                                .filter = accept_from,
                                .filter_context = &from});
}

static void allocate_filtered_in_vain(uint64_t round)
{
    static const enum kva_policy policies[] = {KVA_LOWEST, KVA_NEAREST};

    choose_in_vain((struct kva_request){.size = SIZE, .policy = policies[round % 2], .filter = refuse});
}

static void search_nearest(uint64_t round)
{
    struct kva_request request = {
        .size = 2 * SIZE, .policy = KVA_NEAREST, .target = (some(round) | 1) * STEP};
    enum kva_status status;
    uint64_t start;

    counting(status = kva_search(&space, &request, &start));
    assert_int_equal(status, KVA_OK);
}

/** All 2^64 addresses, free: the size is that of the numbers in a request. */
static void large_numbers(uint64_t size)
{
    struct kva_config config = plain();

    config.last = UINT64_MAX;
    config.quantum = 1;
    begin(&config, size);
}

static enum kva_status allocate_a_shape(struct kva_request request, uint64_t *start)
{
    enum kva_status status;

    counting(status = kva_alloc(&space, &request, start));
    return status;
}

/** The k-th multiple of nocross - 1 lies k below a multiple of nocross: the first with a quarter of nocross
 * after it is number nocross / 4. */
static void allocate_far_away(uint64_t round)
{
    const uint64_t stride = size_now - 1;
    const uint64_t want = size_now / 4 * stride;
    struct kva_request request = {.size = size_now / 4,
                                  .align = stride,
                                  .min = stride,
                                  .max = want + (size_now / 4 - 1),
                                  .nocross = size_now};
    uint64_t start;

    request.policy = round % 2 ? KVA_LOWEST : KVA_HIGHEST;
    assert_int_equal(allocate_a_shape(request, &start), KVA_OK);
    assert_int_equal(start, want);
    assert_int_equal(kva_free(&space, start), KVA_OK);
}

/** Small steps, from the first start at which a quarter of nocross would cross to the next multiple of
 * nocross: 2^40 steps at the larger size. */
static void allocate_by_small_steps(uint64_t round)
{
    const uint64_t stride = (UINT64_C(1) << 20) + 1;
    struct kva_request request = {.size = size_now / 4,
                                  .align = stride,
                                  .min = size_now - size_now / 4 + 1,
                                  .max = UINT64_MAX,
                                  .nocross = size_now};
    uint64_t start;

    (void)round;
    assert_int_equal(allocate_a_shape(request, &start), KVA_OK);
    assert_true(start >= size_now && start < size_now + stride && start % stride == 0);
    assert_int_equal(kva_free(&space, start), KVA_OK);
}

/** An odd number near the golden section of nocross, the worst case of Euclid's algorithm, and a range as
 * long as nocross: the only common multiple in reach is 0, which lies outside the window. */
static void allocate_a_shape_in_vain(uint64_t round)
{
    struct kva_request request = {.size = size_now, .min = 1, .max = 2 * size_now - 1, .nocross = size_now};
    uint64_t before = 1;
    uint64_t start;

    for (request.align = 1; request.align < size_now / 2;) {
        uint64_t sum = request.align + before;
        before = request.align;
        request.align = sum;
    }
    request.align |= 1;
    request.policy = round % 2 ? KVA_LOWEST : KVA_HIGHEST;
    assert_int_equal(allocate_a_shape(request, &start), KVA_ENOSPC);
}

static void many_parts(uint64_t size)
{
    struct kva_config config = plain();

    begin(&config, size);
    parts = calloc((size_t)size, sizeof *parts);
    assert_non_null(parts);
    for (uint64_t i = 0; i < size; i++)
        parts[i] = (struct kva_part){i * STEP, SIZE};
}

static void allocate_parts(uint64_t round)
{
    struct kva_request request = kva_request_of(1);
    enum kva_status status;
    uint64_t base;

    (void)round;
    counting(status = kva_alloc_congruent(&space, &request, parts, (size_t)size_now, &base));
    assert_int_equal(status, KVA_OK);
    for (uint64_t i = 0; i < size_now; i++)
        assert_int_equal(kva_free(&space, base + parts[i].offset), KVA_OK);
}

/** Holes of one page, four pages apart: where one of two parts that lie two pages apart fits, the other does
 * not.
 *
 *      | busy     |_| busy     |_| ...        base
 *                  0   1                        first part in a hole: the second one moves on to the next,
 *                      0   1                    and then the first one
 */
static void many_moves(uint64_t size)
{
    struct kva_config config = plain();

    begin(&config, size);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_reserve(&space, i * STEP, 3 * SIZE, NULL, NULL), KVA_OK);
}

static void move_the_base(uint64_t round)
{
    const struct kva_part two[2] = {{0, SIZE}, {2 * SIZE, SIZE}};
    struct kva_request request = kva_request_of(1);
    enum kva_status status;
    uint64_t base;

    (void)round;
    counting(status = kva_alloc_congruent(&space, &request, two, 2, &base));
    assert_int_equal(status, KVA_OK);
    assert_true(base >= (size_now - 1) * STEP + 3 * SIZE);
    assert_int_equal(kva_free(&space, base), KVA_OK);
    assert_int_equal(kva_free(&space, base + 2 * SIZE), KVA_OK);
}

static void preload(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_preload(&space, (size_t)size_now));
    assert_int_equal(status, KVA_OK);
}

static void empty_space(uint64_t size)
{
    struct kva_config config = plain();

    begin(&config, size);
}

/* ---------------------------------------------------------------------------------- busy_count, callbacks */

/** In arbitrary order. */
static void many_ranges(uint64_t size)
{
    size_now = size | 1;
    memory = (struct kva_failing_memory){0};
    ranges = calloc((size_t)size_now, sizeof *ranges);
    assert_non_null(ranges);
    for (uint64_t i = 0; i < size_now; i++)
        ranges[i] = (struct kva_range){.start = i * UINT64_C(7919) % size_now * STEP, .size = SIZE};
}

static void init(uint64_t round)
{
    struct kva_config config = plain();
    enum kva_status status;

    (void)round;
    config.busy = ranges;
    config.busy_count = (size_t)size_now;
    counting(status = kva_space_init(&space, &config));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_space_abandon(&space), KVA_OK);
}

static bool give_nothing(void *context, struct kva_space *of, const struct kva_request *request)
{
    (void)context;
    (void)of;
    (void)request;
    return false;
}

static void many_callbacks(uint64_t size)
{
    empty_space(size);
    reclaims = calloc((size_t)size + 1, sizeof *reclaims);
    assert_non_null(reclaims);
    for (uint64_t i = 0; i < size + 1; i++)
        reclaims[i].callback = give_nothing;
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_reclaim_add(&space, &reclaims[i]), KVA_OK);
}

static void add_callback(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_reclaim_add(&space, &reclaims[size_now]));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_reclaim_remove(&space, &reclaims[size_now]), KVA_OK);
}

static void remove_callback(uint64_t round)
{
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_reclaim_add(&space, &reclaims[size_now]), KVA_OK);
    counting(status = kva_reclaim_remove(&space, &reclaims[size_now]));
    assert_int_equal(status, KVA_OK);
}

/* -------------------------------------------------------------------------------- p, CPUs: pools, threads */

/** A space with pools that many CPUs share; no bound limits the pools. */
static void begin_pools(uint64_t size, unsigned cpus)
{
    struct kva_config config = plain();

    threads = *kva_threads_host();
    threads.cpus = cpus;
    config.threads = &threads;
    config.pool_bytes = UINT64_C(1) << 40;
    begin(&config, size);
}

static void many_cpus(uint64_t size)
{
    begin_pools(size, (unsigned)size);
}

/** Live objects, in spans that are full. */
static void many_live_objects(uint64_t size)
{
    begin_pools(size, 1);
    starts = calloc((size_t)size, sizeof *starts);
    assert_non_null(starts);
    for (uint64_t i = 0; i < size; i++) {
        struct kva_request request = kva_request_of(SIZE);
        assert_int_equal(kva_alloc(&space, &request, &starts[i]), KVA_OK);
    }
}

static void find_object(uint64_t round)
{
    struct kva_segment segment;
    enum kva_status status;

    counting(status = kva_find(&space, starts[some(round)], &segment));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(segment.state, KVA_BUSY);
}

static void allocate_object(uint64_t round)
{
    struct kva_request request = kva_request_of(SIZE);
    enum kva_status status;
    uint64_t start;

    (void)round;
    counting(status = kva_alloc(&space, &request, &start));
    assert_int_equal(status, KVA_OK);
}

static void free_object(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_free(&space, starts[round]));
    assert_int_equal(status, KVA_OK);
}

static void trim(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_pools_drain(&space));
    assert_int_equal(status, KVA_OK);
}

/** Every second object is freed: no span is free, and each has pooled objects. */
static void many_pooled(uint64_t size)
{
    many_live_objects(size);
    for (uint64_t i = 0; i < size; i += 2)
        assert_int_equal(kva_free(&space, starts[i]), KVA_OK);
}

/** A request without room drains the pools first. */
static void allocate_too_much(uint64_t round)
{
    struct kva_request request = kva_request_of(UINT64_C(1) << 62);
    enum kva_status status;
    uint64_t start;

    (void)round;
    counting(status = kva_alloc(&space, &request, &start));
    assert_int_equal(status, KVA_ENOSPC);
}

static void reserve_what_is_pooled(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_reserve(&space, starts[0], SIZE, NULL, NULL));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_free(&space, starts[0]), KVA_OK);
}

/** The next object is live, so that this one cannot grow. */
static void grow_an_object_in_vain(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_resize(&space, starts[1], 4 * SIZE));
    assert_int_equal(status, KVA_ENOSPC);
}

/** All objects are freed: each span is free. */
static void many_free_spans(uint64_t size)
{
    many_live_objects(size);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_free(&space, starts[i]), KVA_OK);
}

static void fork_prepare(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_space_fork_prepare(&space));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_space_fork_parent(&space), KVA_OK);
}

static void fork_parent(uint64_t round)
{
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_space_fork_prepare(&space), KVA_OK);
    counting(status = kva_space_fork_parent(&space));
    assert_int_equal(status, KVA_OK);
}

/** The child releases the locks; this process acts as the child. */
static void fork_child(uint64_t round)
{
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_space_fork_prepare(&space), KVA_OK);
    counting(status = kva_space_fork_child(&space));
    assert_int_equal(status, KVA_OK);
}

/* ---------------------------------------------------------------------------------------------- evictions */

static struct kva_eviction eviction;

static void begin_eviction(uint64_t bytes)
{
    struct kva_request request = kva_request_of(bytes);

    candidates = calloc((size_t)size_now, sizeof *candidates);
    assert_non_null(candidates);
    assert_int_equal(kva_evict_begin(&space, &request, &eviction), KVA_OK);
}

/** All segments are fed except each 61st, which would join two runs. */
static void many_candidates(uint64_t size)
{
    many_segments(size);
    begin_eviction(UINT64_C(1) << 62);
    for (uint64_t i = 0; i < size; i++) {
        if (i % 61 != 1)
            assert_int_equal(kva_evict_add(&eviction, &candidates[i], i * STEP), KVA_ENOSPC);
    }
}

static void begin_another_eviction(uint64_t round)
{
    struct kva_request request = kva_request_of(SIZE);
    struct kva_eviction another;
    enum kva_status status;

    (void)round;
    counting(status = kva_evict_begin(&space, &request, &another));
    assert_int_equal(status, KVA_OK);
}

static void feed_one(uint64_t round)
{
    uint64_t i = round * 61 + 1;
    enum kva_status status;

    counting(status = kva_evict_add(&eviction, &candidates[i], i * STEP));
    assert_int_equal(status, KVA_ENOSPC);
}

/** Two neighbours must go for the place between them, in the middle of the space. */
static void many_candidates_and_a_place(uint64_t size)
{
    struct kva_request request = {.size = 2 * STEP, .min = size / 2 * STEP, .max = (size / 2 + 2) * STEP - 1};

    many_segments(size);
    begin_eviction(SIZE);
    assert_int_equal(kva_evict_begin(&space, &request, &eviction), KVA_OK);
    for (uint64_t i = 0; i < size; i++) {
        if (i != size / 2)
            assert_int_equal(kva_evict_add(&eviction, &candidates[i], i * STEP), KVA_ENOSPC);
    }
    assert_int_equal(kva_evict_add(&eviction, &candidates[size / 2], size / 2 * STEP), KVA_OK);
}

static void first_that_must_go(uint64_t round)
{
    struct kva_candidate *candidate;

    (void)round;
    counting(candidate = kva_evict_first(&eviction));
    assert_ptr_equal(candidate, &candidates[size_now / 2]);
}

static void next_that_must_go(uint64_t round)
{
    struct kva_candidate *candidate = &candidates[size_now / 2];

    (void)round;
    counting(candidate = kva_evict_next(&eviction, candidate));
    assert_ptr_equal(candidate, &candidates[size_now / 2 + 1]);
}

/** The place is taken, and then restored. */
static void finish_in_a_row(uint64_t round)
{
    enum kva_status status;
    uint64_t start;

    (void)round;
    counting(status = kva_evict_finish(&eviction, &start));
    assert_int_equal(status, KVA_OK);
}

/** Half of the segments must go. */
static void many_that_must_go(uint64_t size)
{
    struct kva_request request = {.size = size / 2 * STEP};

    many_segments(size);
    begin_eviction(SIZE);
    assert_int_equal(kva_evict_begin(&space, &request, &eviction), KVA_OK);
    for (uint64_t i = 0; i <= size / 2; i++) {
        if (kva_evict_add(&eviction, &candidates[i], i * STEP) == KVA_OK)
            break;
    }
    assert_non_null(kva_evict_first(&eviction));
}

static void all_that_must_go(uint64_t round)
{
    uint64_t count = 0;

    (void)round;
    counting(for (struct kva_candidate *c = kva_evict_first(&eviction); c; c = kva_evict_next(&eviction, c))
                 count++);
    assert_true(count >= size_now / 2 - 1);
}

/** A candidate next to many objects of a pool: every second one is fed, the others are free. */
static void many_pooled_beside(uint64_t size)
{
    many_live_objects(size);
    begin_eviction(UINT64_C(1) << 62);
    for (uint64_t i = 0; i + 1 < size; i++)
        assert_int_equal(kva_free(&space, starts[i]), KVA_OK);
}

static void feed_beside_pooled(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_evict_add(&eviction, &candidates[0], starts[size_now - 1]));
    assert_int_equal(status, KVA_ENOSPC);
}

/* -------------------------------------------------------------------------------------------------- lines */

/* ----------------------------------------------------------------------------- ranges.h: changes, regions */

static void clear_one(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_clear(&space, some(round) * STEP, SIZE, NULL));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_reserve(&space, some(round) * STEP, SIZE, NULL, NULL), KVA_OK);
}

/** The middle of a segment, which needs two cuts. */
static void clear_a_part(uint64_t round)
{
    enum kva_status status;

    assert_int_equal(kva_resize(&space, some(round) * STEP, 3 * SIZE), KVA_OK);
    counting(status = kva_clear(&space, some(round) * STEP + SIZE, SIZE, NULL));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_free(&space, some(round) * STEP + 2 * SIZE), KVA_OK);
}

static void clear_all(uint64_t round)
{
    struct kva_segment highest;
    enum kva_status status;
    uint64_t bytes;

    (void)round;
    assert_int_equal(kva_last(&space, &highest), KVA_OK);
    counting(status = kva_clear(&space, 0, highest.last + 1, &bytes));
    assert_int_equal(status, KVA_OK);
    assert_true(bytes >= size_now / 2 * SIZE);
}

/** Every second segment is deferred. */
static void half_deferred(uint64_t size)
{
    many_segments(size);
    for (uint64_t i = 0; i < size; i += 2)
        assert_int_equal(kva_free_deferred(&space, i * STEP), KVA_OK);
}

static void take_over_one(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_reserve_over(&space, some(round) * STEP, SIZE, NULL, NULL));
    assert_int_equal(status, KVA_OK);
}

static void take_over_all(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_reserve_over(&space, 0, size_now * STEP, NULL, NULL));
    assert_int_equal(status, KVA_OK);
}

static void split_and_join(uint64_t round)
{
    enum kva_status status;

    assert_int_equal(kva_resize(&space, some(round) * STEP, 2 * SIZE), KVA_OK);
    counting(status = kva_split(&space, some(round) * STEP + SIZE));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_join(&space, some(round) * STEP), KVA_OK);
    assert_int_equal(kva_resize(&space, some(round) * STEP, SIZE), KVA_OK);
}

static void join_what_was_split(uint64_t round)
{
    enum kva_status status;

    assert_int_equal(kva_resize(&space, some(round) * STEP, 2 * SIZE), KVA_OK);
    assert_int_equal(kva_split(&space, some(round) * STEP + SIZE), KVA_OK);
    counting(status = kva_join(&space, some(round) * STEP));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_resize(&space, some(round) * STEP, SIZE), KVA_OK);
}

static void set_owner(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_set_owner(&space, some(round) * STEP, &space));
    assert_int_equal(status, KVA_OK);
}

/** To the other end of the space, and back. */
static void move_far_away(uint64_t round)
{
    uint64_t far = size_now * STEP + SIZE;
    enum kva_status there;
    enum kva_status back;

    counting(there = kva_move(&space, some(round) * STEP, far, NULL);
             back = kva_move(&space, far, some(round) * STEP, NULL));
    assert_int_equal(there | back, KVA_OK);
}

static void move_over_deferred(uint64_t round)
{
    uint64_t far = UINT64_C(1) << 46;
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_reserve(&space, far, size_now * STEP, NULL, NULL), KVA_OK);
    counting(status = kva_move(&space, far, 0, NULL));
    assert_int_equal(status, KVA_OK);
}

static void free_sized(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_free_sized(&space, some(round) * STEP, SIZE));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_reserve(&space, some(round) * STEP, SIZE, NULL, NULL), KVA_OK);
}

/** `size` regions of one free page. */
static void many_regions(uint64_t size)
{
    struct kva_config config = plain();

    config.last = SIZE - 1;
    begin(&config, size);
    for (uint64_t i = 1; i < size; i++)
        assert_int_equal(kva_space_add(&space, i * STEP, SIZE), KVA_OK);
}

static void add_at_the_end(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_space_add(&space, (size_now + 1 + round) * STEP, SIZE));
    assert_int_equal(status, KVA_OK);
}

static uint64_t some_absent_page(uint64_t round)
{
    return some(round) % (size_now - 1) * STEP + 2 * SIZE;
}

static void add_inside(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_space_add(&space, some_absent_page(round), SIZE));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_space_remove(&space, some_absent_page(round), SIZE), KVA_OK);
}

static void remove_inside(uint64_t round)
{
    enum kva_status status;

    assert_int_equal(kva_space_add(&space, some_absent_page(round), SIZE), KVA_OK);
    counting(status = kva_space_remove(&space, some_absent_page(round), SIZE));
    assert_int_equal(status, KVA_OK);
}

static void remove_in_vain(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_space_remove(&space, some(round) * STEP, STEP));
    assert_int_equal(status, KVA_EBUSY);
}

static void remove_what_is_deferred(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_space_remove(&space, 0, size_now * STEP));
    assert_int_equal(status, KVA_OK);
}

/** All regions except the last are removed. */
static void shrink_over_regions(uint64_t round)
{
    uint64_t first = (size_now - 1) * STEP;
    enum kva_status status;

    (void)round;
    counting(status = kva_space_shrink(&space, first, first + SIZE - 1));
    assert_int_equal(status, KVA_OK);
}

static void shrink_over_deferred(uint64_t round)
{
    struct kva_segment highest;
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_last(&space, &highest), KVA_OK);
    counting(status = kva_space_shrink(&space, size_now * STEP, highest.last));
    assert_int_equal(status, KVA_OK);
}

static void shrink_a_little(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_space_shrink(&space, 0, (size_now + 1) * STEP - 1 - round % 2 * SIZE));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_space_grow(&space, 0, (size_now + 1) * STEP - 1), KVA_OK);
}

/** Without success: an absent range in the way is found immediately. */
static void find_absent(uint64_t round)
{
    struct kva_segment segment;
    enum kva_status status;

    counting(status = kva_find(&space, some_absent_page(round), &segment));
    assert_int_equal(status, KVA_ENOENT);
}

static void reserve_what_is_absent(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_reserve(&space, some_absent_page(round) - 2 * SIZE, STEP, NULL, NULL));
    assert_int_equal(status, KVA_ERANGE);
}

static void walk_over_absent(uint64_t round)
{
    struct kva_segment segment;

    assert_int_equal(kva_find(&space, some_absent_page(round) - 2 * SIZE, &segment), KVA_OK);
    counting((void)kva_next(&space, &segment));
    assert_int_equal(segment.start, some_absent_page(round) - 2 * SIZE + STEP);
}

static void reset(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_space_reset(&space));
    assert_int_equal(status, KVA_OK);
}

/* The designated fields of unusual lines. */
#define CPUS .few = 4, .many = 128
#define SELDOM .rounds = 2
#define STEPPED .few = 1 << 16, .many = UINT64_C(1) << 32, .rounds = 2 /* trials of one start after another */
#define LARGE                                                                                                \
    .few = UINT64_C(1) << 32, .many = UINT64_C(1) << 62, .rounds = 2 /* would take 2^30 steps or more */

#define SHAPES "O((k + 1) (log n + log nocross))"
#define TWO_SEARCHES "KVA_NEAREST, KVA_RANDOM at most two such searches"
#define BEST_BY_SIZE "KVA_BEST in a space with best_fit O(log n)"
#define FILTERS "With a filter, k counts the holes that it is asked about"
#define LIST "with bt O((k + 1) log n) for a range of k deferred segments; with rb O(k log n)"

static const struct cost_line lines[] = {
    COST_LINE("kva_space_init", "O(1 + busy_count log busy_count)", "busy ranges", COST_N_LOG_N, many_ranges,
              init, SELDOM),
    COST_LINE("kva_corruption_host", "one system call", "it does not return", COST_CONSTANT, NULL, NULL),
    COST_LINE("kva_space_fini", "O(m log n)", "deferred segments", COST_N_LOG_N, many_deferred, end_all,
              .rounds = 1),
    COST_LINE("kva_space_abandon", "one give per slab of node memory", "segments", COST_LOGARITHM,
              many_segments, abandon, .rounds = 1),
    COST_LINE("kva_space_grow", "O(log n)", "segments", COST_LOGARITHM, many_segments, grow),

    COST_LINE("kva_alloc", "O(log n)", "segments, at the end", COST_LOGARITHM, many_segments,
              allocate_at_the_end),
    COST_LINE("kva_alloc", "O(log n)", "segments, in a window", COST_LOGARITHM, many_segments,
              allocate_in_a_window),
    COST_LINE("kva_alloc", "O(log n)", "segments, in vain", COST_LOGARITHM, many_segments, allocate_in_vain),
    COST_LINE("kva_alloc", "O(log n)", "objects of a pool", COST_LOGARITHM, many_live_objects,
              allocate_object, .at_times = true),
    COST_LINE("kva_alloc", "O(p log n)", "pooled objects, in vain", COST_N_LOG_N, many_pooled,
              allocate_too_much, SELDOM),
    COST_LINE("kva_alloc", "O((k + 1) log n)", "holes that are too short", COST_N_LOG_N, short_holes,
              allocate_beyond_short_holes, SELDOM),
    /* kva_alloc's row refers to kva_search's: an allocation is one such search, and O(log n) */
    COST_LINE("kva_search", SHAPES, "holes that a boundary cuts", COST_N_LOG_N, cut_holes,
              allocate_between_boundaries, SELDOM),
    COST_LINE("kva_search", SHAPES, "holes without the phase", COST_N_LOG_N, cut_holes, allocate_at_a_phase,
              SELDOM),
    COST_LINE("kva_search", SHAPES, "holes that miss an odd alignment", COST_N_LOG_N, cut_holes,
              allocate_at_an_odd_alignment, SELDOM),
    COST_LINE("kva_search", SHAPES, "nocross, far away in one hole", COST_LOGARITHM, large_numbers,
              allocate_far_away, STEPPED),
    COST_LINE("kva_search", SHAPES, "nocross, small steps in one hole", COST_LOGARITHM, large_numbers,
              allocate_by_small_steps, LARGE),
    COST_LINE("kva_search", SHAPES, "nocross, in vain in one hole", COST_LOGARITHM, large_numbers,
              allocate_a_shape_in_vain, LARGE),
    COST_LINE("kva_search", TWO_SEARCHES, "nearest, segments", COST_LOGARITHM, many_segments,
              allocate_nearest),
    COST_LINE("kva_search", TWO_SEARCHES, "nearest, segments, far away", COST_LOGARITHM, many_segments,
              allocate_nearest_far_away),
    COST_LINE("kva_search", TWO_SEARCHES, "nearest, segments, in vain", COST_LOGARITHM, many_segments,
              allocate_nearest_in_vain),
    COST_LINE("kva_search", TWO_SEARCHES, "random, segments", COST_LOGARITHM, many_segments,
              allocate_at_random),
    COST_LINE("kva_search", TWO_SEARCHES, "random, segments, in vain", COST_LOGARITHM, many_segments,
              allocate_at_random_in_vain),
    COST_LINE("kva_search", BEST_BY_SIZE, "best, segments", COST_LOGARITHM, many_sizes, allocate_best),
    COST_LINE("kva_search", BEST_BY_SIZE, "best, segments, in vain", COST_LOGARITHM, many_sizes,
              allocate_best_in_vain),
    COST_LINE("kva_search", "else O((k + 1) log n)", "best, holes that miss, with an index", COST_N_LOG_N,
              short_holes_by_size, allocate_best_beyond_short_holes, SELDOM),
    COST_LINE("kva_search", "In any other space O((k + 1) log n)", "best, holes, without an index",
              COST_N_LOG_N, many_segments, allocate_best, SELDOM),
    COST_LINE("kva_search", FILTERS, "a filter, segments", COST_LOGARITHM, many_segments, allocate_filtered),
    COST_LINE("kva_search", FILTERS, "a filter, holes that it refuses", COST_N_LOG_N, many_segments,
              allocate_filtered_in_vain, SELDOM),
    COST_LINE("kva_search", TWO_SEARCHES, "nearest, segments", COST_LOGARITHM, many_segments, search_nearest),
    COST_LINE("kva_alloc_congruent", "O(count (s + 1)) searches as in kva_alloc", "parts", COST_N_LOG_N,
              many_parts, allocate_parts, SELDOM),
    COST_LINE("kva_alloc_congruent", "O(count (s + 1)) searches as in kva_alloc", "moves of the base",
              COST_N_LOG_N, many_moves, move_the_base, SELDOM),
    COST_LINE("kva_alloc_congruent", "O(count (s + 1)) searches as in kva_alloc", "segments", COST_LOGARITHM,
              many_segments, allocate_two_parts),

    COST_LINE("kva_reserve", "O((d + 1) log n)", "segments", COST_LOGARITHM, many_segments, reserve),
    COST_LINE("kva_reserve", "O((d + 1) log n)", "segments, in vain", COST_LOGARITHM, many_segments,
              reserve_in_vain),
    COST_LINE("kva_reserve", "O((d + 1) log n)", "deferred segments", COST_N_LOG_N, many_deferred,
              reserve_over_deferred, .rounds = 1),
    COST_LINE("kva_reserve", "O(p log n)", "pooled objects", COST_N_LOG_N, many_pooled,
              reserve_what_is_pooled, SELDOM),
    COST_LINE("kva_free", "O(log n)", "segments", COST_LOGARITHM, many_segments, free_whole),
    COST_LINE("kva_free", "O(log n)", "segments, in vain", COST_LOGARITHM, many_segments, free_in_vain),
    COST_LINE("kva_free", "O(log n)", "objects of a pool", COST_LOGARITHM, many_live_objects, free_object),
    COST_LINE("kva_free_range", "O(log n)", "segments", COST_LOGARITHM, many_segments, free_a_part),
    COST_LINE("kva_resize", "O(log n)", "segments", COST_LOGARITHM, many_segments, resize),
    COST_LINE("kva_resize", "O(p log n)", "pooled objects, in vain", COST_N_LOG_N, many_pooled,
              grow_an_object_in_vain, SELDOM),

    COST_LINE("kva_free_deferred", "O(log n)", "segments", COST_LOGARITHM, many_segments, defer_one),
    COST_LINE("kva_free_deferred", "O(log n)", "deferred segments", COST_LOGARITHM, many_deferred,
              defer_one_more),
    COST_LINE("kva_flush", "O(m log n)", "segments", COST_LOGARITHM, many_segments, flush_one),
    COST_LINE("kva_flush", "O(m log n)", "deferred segments", COST_N_LOG_N, many_deferred, flush_all, SELDOM),
    COST_LINE("kva_flush_first", LIST, "segments side by side", COST_N_LOG_N, a_reader, list_one_range,
              SELDOM),
    COST_LINE("kva_flush_first", LIST, "segments side by side, of the next range", COST_N_LOG_N, a_reader,
              list_one_range_after, SELDOM),
    COST_LINE("kva_flush_first", LIST, "busy segments up to the next range", COST_N_LOG_N,
              many_segments_and_a_reader, list_first),
    COST_LINE("kva_flush_first", LIST, "busy segments before the next range, and after it", COST_N_LOG_N,
              many_segments_and_a_reader, list_next),
    COST_LINE("kva_reclaim_add", "O(callbacks)", "callbacks", COST_LINEAR, many_callbacks, add_callback,
              SELDOM),
    COST_LINE("kva_reclaim_remove", "O(callbacks)", "callbacks", COST_LINEAR, many_callbacks, remove_callback,
              SELDOM),
    COST_LINE("kva_pools_drain", "O(p log n)", "live objects", COST_LOGARITHM, many_live_objects, trim,
              SELDOM),
    COST_LINE("kva_pools_drain", "O(p log n)", "pooled objects", COST_N_LOG_N, many_pooled, trim, SELDOM),
    COST_LINE("kva_pools_drain", "O(p log n)", "pooled objects in free spans", COST_N_LOG_N, many_free_spans,
              trim, SELDOM),
    COST_LINE("kva_space_fork_prepare", "O(CPUs)", "CPUs", COST_LINEAR, many_cpus, fork_prepare, CPUS),
    COST_LINE("kva_space_fork_prepare", "O(CPUs)", "objects", COST_CONSTANT, many_pooled, fork_prepare,
              SELDOM),
    COST_LINE("kva_space_fork_parent", "O(CPUs)", "CPUs", COST_LINEAR, many_cpus, fork_parent, CPUS),
    COST_LINE("kva_space_fork_parent", "O(CPUs)", "objects", COST_CONSTANT, many_pooled, fork_parent, SELDOM),
    COST_LINE("kva_space_fork_child", "O(CPUs)", "CPUs", COST_LINEAR, many_cpus, fork_child, CPUS),
    COST_LINE("kva_space_fork_child", "O(CPUs)", "objects", COST_CONSTANT, many_pooled, fork_child, SELDOM),
    COST_LINE("kva_preload", "O(operations)", "operations", COST_LINEAR, empty_space, preload, .rounds = 1),

    COST_LINE("kva_find", "O(log n)", "segments", COST_LOGARITHM, many_segments, find),
    COST_LINE("kva_find", "O(1) for a busy segment that was allocated from a pool", "objects", COST_CONSTANT,
              many_live_objects, find_object, .at_times = true),
    COST_LINE("kva_first", "O(log n)", "segments", COST_LOGARITHM, many_segments, first),
    COST_LINE("kva_next", "O(log n)", "segments", COST_LOGARITHM, many_segments, next),
    COST_LINE("kva_stats_read", "O(1)", "segments", COST_CONSTANT, many_segments, statistics),
    COST_LINE("kva_stats_read", "with pools O(CPUs)", "CPUs", COST_LINEAR, many_cpus, statistics, CPUS),
    COST_LINE("kva_stats_read", "with pools O(CPUs)", "objects", COST_CONSTANT, many_pooled, statistics,
              SELDOM),
    COST_LINE("kva_space_check", "O(n log n)", "segments", COST_N_LOG_N, many_segments, check, SELDOM),
    COST_LINE("kva_space_check", "O(n log n)", "pooled objects", COST_N_LOG_N, many_pooled, check, SELDOM),
    COST_LINE("kva_space_dump", "O(n log n)", "segments", COST_N_LOG_N, many_segments, dump, SELDOM),
    COST_LINE("kva_space_dump", "O(n log n)", "pooled objects", COST_N_LOG_N, many_pooled, dump, SELDOM),

    COST_LINE("kva_find", "O(log n)", "regions", COST_LOGARITHM, many_regions, find_absent),
    COST_LINE("kva_next", "O(log n)", "regions", COST_LOGARITHM, many_regions, walk_over_absent),
    COST_LINE("kva_reserve", "O((d + 1) log n)", "regions, in vain", COST_LOGARITHM, many_regions,
              reserve_what_is_absent),

    COST_LINE("kva_clear", "O(k log n)", "segments", COST_LOGARITHM, many_segments, clear_one),
    COST_LINE("kva_clear", "O(k log n)", "segments, a part of one", COST_LOGARITHM, many_segments,
              clear_a_part),
    COST_LINE("kva_clear", "O(k log n)", "segments in the range", COST_N_LOG_N, many_segments, clear_all,
              .rounds = 1),
    COST_LINE("kva_clear", "O(k log n)", "segments in the range, half of them deferred", COST_N_LOG_N,
              half_deferred, clear_all, .rounds = 1),
    COST_LINE("kva_clear", "O(k log n)", "objects of a pool in the range", COST_N_LOG_N, many_live_objects,
              clear_all, .rounds = 1),
    COST_LINE("kva_reserve_over", "as kva_clear", "segments", COST_LOGARITHM, many_segments, take_over_one),
    COST_LINE("kva_reserve_over", "as kva_clear", "segments in the range", COST_N_LOG_N, many_segments,
              take_over_all, .rounds = 1),
    COST_LINE("kva_split", "O(log n)", "segments", COST_LOGARITHM, many_segments, split_and_join),
    COST_LINE("kva_join", "O(log n)", "segments", COST_LOGARITHM, many_segments, join_what_was_split),
    COST_LINE("kva_set_owner", "O(log n)", "segments", COST_LOGARITHM, many_segments, set_owner),
    COST_LINE("kva_move", "O((d + 1) log n)", "segments", COST_LOGARITHM, many_segments, move_far_away),
    COST_LINE("kva_move", "O((d + 1) log n)", "deferred segments", COST_N_LOG_N, many_deferred,
              move_over_deferred, .rounds = 1),
    COST_LINE("kva_free_sized", "O(log n)", "segments", COST_LOGARITHM, many_segments, free_sized),
    COST_LINE("kva_last", "O(log n)", "segments", COST_LOGARITHM, many_segments, last),
    COST_LINE("kva_prev", "O(log n)", "segments", COST_LOGARITHM, many_segments, prev),
    COST_LINE("kva_first_in", "O(log n)", "segments", COST_LOGARITHM, many_segments, first_in),
    COST_LINE("kva_first_in", "O(log n)", "segments, the next one", COST_LOGARITHM, many_segments, next_in),
    COST_LINE("kva_first_hole", "O(log n), however many shorter ones are passed over", "segments",
              COST_LOGARITHM, many_segments, first_hole),
    COST_LINE("kva_first_hole", "O(log n), however many shorter ones are passed over",
              "shorter holes, the next one", COST_LOGARITHM, many_segments, next_hole),
    COST_LINE("kva_first_hole", "O(log n), however many shorter ones are passed over",
              "shorter holes, the last one", COST_LOGARITHM, many_segments, last_hole),
    COST_LINE("kva_first_hole", "O(log n), however many shorter ones are passed over",
              "shorter holes, the one before", COST_LOGARITHM, many_segments, prev_hole),
    COST_LINE("kva_space_add", "O(log n)", "regions, apart from them", COST_LOGARITHM, many_regions,
              add_at_the_end),
    COST_LINE("kva_space_add", "O(log n)", "regions, between two", COST_LOGARITHM, many_regions, add_inside),
    COST_LINE("kva_space_remove", "O((d + 1) log n)", "regions", COST_LOGARITHM, many_regions, remove_inside),
    COST_LINE("kva_space_remove", "O((d + 1) log n)", "segments, in vain", COST_LOGARITHM, many_segments,
              remove_in_vain),
    COST_LINE("kva_space_remove", "O((d + 1) log n)", "deferred segments", COST_N_LOG_N, many_deferred,
              remove_what_is_deferred, .rounds = 1),
    COST_LINE("kva_space_shrink", "O((d + k + 1) log n)", "segments", COST_LOGARITHM, many_segments,
              shrink_a_little),
    COST_LINE("kva_space_shrink", "O((d + k + 1) log n)", "absent ranges", COST_N_LOG_N, many_regions,
              shrink_over_regions, .rounds = 1),
    COST_LINE("kva_space_shrink", "O((d + k + 1) log n)", "deferred segments", COST_N_LOG_N, many_deferred,
              shrink_over_deferred, .rounds = 1),
    COST_LINE("kva_space_reset", "O(n log n)", "segments", COST_N_LOG_N, many_segments, reset, .rounds = 1),
    COST_LINE("kva_space_reset", "O(n log n)", "deferred segments", COST_N_LOG_N, many_deferred, reset,
              .rounds = 1),
    COST_LINE("kva_space_reset", "O(n log n)", "objects of a pool", COST_N_LOG_N, many_live_objects, reset,
              .rounds = 1),

    COST_LINE("kva_evict_begin", "O(1)", "segments", COST_CONSTANT, many_segments, begin_another_eviction),
    COST_LINE("kva_evict_add", "O(log n)", "candidates, which join two runs", COST_LOGARITHM, many_candidates,
              feed_one, .few = 1024, .rounds = 16),
    COST_LINE("kva_evict_add", "for each pooled segment beside the", "pooled objects", COST_LINEAR,
              many_pooled_beside, feed_beside_pooled, .rounds = 1),
    COST_LINE("kva_evict_first", "O(log candidates)", "candidates", COST_LOGARITHM,
              many_candidates_and_a_place, first_that_must_go),
    COST_LINE("kva_evict_next", "O(log candidates)", "candidates", COST_LOGARITHM,
              many_candidates_and_a_place, next_that_must_go),
    COST_LINE("kva_evict_next", "all of them O(candidates that must go + log candidates)",
              "candidates that must go", COST_LINEAR, many_that_must_go, all_that_must_go, SELDOM),
    COST_LINE("kva_evict_finish", "O((k + 1) log n)", "segments", COST_LOGARITHM, many_candidates_and_a_place,
              finish_in_a_row, .rounds = 1),
    COST_LINE("kva_evict_finish", "O((k + 1) log n)", "candidates that must go", COST_N_LOG_N,
              many_that_must_go, finish_in_a_row, .rounds = 1),
};

/** Claims for bt only. */
static const struct cost_line lines_of_bt[] = {
    COST_LINE("kva_clear", "with bt, without pools and best_fit, O(k + (d + 1) log n)",
              "segments in the range", COST_LINEAR, many_segments, clear_all, .rounds = 1),
    COST_LINE("kva_alloc", "With the bt engine k = 0 at a declared alignment class",
              "holes that are too short", COST_LOGARITHM, short_holes, allocate_at_a_declared_class),
    COST_LINE("kva_flush_first", LIST, "busy segments up to the next range", COST_LOGARITHM,
              many_segments_and_a_reader, list_first),
    COST_LINE("kva_flush_first", LIST, "busy segments before the next range, and after it", COST_LOGARITHM,
              many_segments_and_a_reader, list_next),
};

static void test_costs_with_rb(void **state)
{
    (void)state;
    engine = &kva_engine_rb;
    cost_measure(lines, sizeof(lines) / sizeof(lines[0]), tear_down, "rb");
}

static void test_costs_with_bt(void **state)
{
    (void)state;
    engine = &kva_engine_bt;
    cost_measure(lines, sizeof(lines) / sizeof(lines[0]), tear_down, "bt");
    cost_measure(lines_of_bt, sizeof(lines_of_bt) / sizeof(lines_of_bt[0]), tear_down, "bt");
}

static void test_every_row_has_a_line(void **state)
{
    (void)state;
    static const char *const headers[] = {
        KVA_INCLUDE "/kva/kva.h",      KVA_INCLUDE "/kva/status.h",  KVA_INCLUDE "/kva/memory.h",
        KVA_INCLUDE "/kva/deferred.h", KVA_INCLUDE "/kva/threads.h", KVA_INCLUDE "/kva/engine.h",
        KVA_INCLUDE "/kva/ranges.h",   KVA_INCLUDE "/kva/evict.h",   NULL,
    };

    cost_expect_complete(headers, lines, sizeof(lines) / sizeof(lines[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_costs_with_rb),
        cmocka_unit_test(test_costs_with_bt),
        cmocka_unit_test(test_every_row_has_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
