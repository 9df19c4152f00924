/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Policies, filters, non-blocking requests and searches: their edge cases, and their uses in programs. Each
 * expected address is worked out by hand.
 */
#include "../common/harness.h"
#include "../common/picture.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/ranges.h>
#include <kva/threads.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"
#include "engine/engine.h"

#define TOP UINT64_MAX
#define HALF (UINT64_C(1) << 63)
#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)
#define PAGE (4 * KIB)
#define UNTOUCHED UINT64_C(0x5ca1ab1e0ddba11)

enum { LOGGED = 32 };

/** A call of a filter. */
struct asked {
    struct kva_hole hole;
    struct kva_segment before; /* if hole.before is not NULL */
    struct kva_segment after;
};

struct fixture {
    struct kva_space space;
    struct kva_failing_memory memory;
    uint64_t first;
    uint64_t last;
    unsigned flushes;
    struct asked asked[LOGGED]; /* by log_and_refuse */
    unsigned asked_count;
    struct kva_reclaim reclaim;
    unsigned reclaims;
    struct kva_request received; /* the last request that the reclaim callback received */
    /* What the flush callback searched for, and the result. */
    struct kva_request wanted;
    enum kva_status found;
    uint64_t start;
};

/** Count the flush, and search for `wanted` if its size is not 0. */
static void search_in_flush(void *context, uint64_t start, uint64_t last)
{
    struct fixture *f = context;
    (void)start;
    (void)last;
    f->flushes++;
    if (f->wanted.size != 0)
        f->found = kva_search(&f->space, &f->wanted, &f->start);
}

/** Whether spaces have an index by size. It changes no result, only the order in which a filter is called. */
static bool with_index;

static void begin(struct fixture *f, const struct kva_engine *engine, uint64_t first, uint64_t last,
                  uint64_t quantum, uint64_t pool_bytes)
{
    struct kva_config config = {
        .first = first, .last = last, .quantum = quantum, .engine = engine, .pool_bytes = pool_bytes};

    memset(f, 0, sizeof(*f));
    config.best_fit = with_index;
    f->first = first;
    f->last = last;
    config.flush = search_in_flush;
    config.flush_context = f;
    config.memory = kva_failing_memory_init(&f->memory);
    assert_int_equal(kva_space_init(&f->space, &config), KVA_OK);
}

static void set_up(struct fixture *f, const struct kva_engine *engine, uint64_t first, uint64_t last,
                   uint64_t quantum)
{
    begin(f, engine, first, last, quantum, 0);
}

static void tear_down(struct fixture *f)
{
    test_expect_sound(&f->space, f->first, f->last);
    assert_int_equal(kva_space_abandon(&f->space), KVA_OK);
    assert_int_equal(f->memory.blocks, 0);
}

static struct kva_request nearest(uint64_t size, uint64_t target)
{
    return (struct kva_request){.size = size, .policy = KVA_NEAREST, .target = target};
}

static struct kva_request best(uint64_t size)
{
    return (struct kva_request){.size = size, .policy = KVA_BEST};
}

static struct kva_request by_random(uint64_t size, uint64_t random)
{
    return (struct kva_request){.size = size, .policy = KVA_RANDOM, .random = random};
}

static struct kva_request within(struct kva_request request, uint64_t min, uint64_t max)
{
    request.min = min;
    request.max = max;
    return request;
}

static struct kva_request without_blocking(struct kva_request request)
{
    request.flags = KVA_NO_BLOCK;
    return request;
}

static struct kva_request filtered(struct kva_request request, kva_hole_filter *filter, void *context)
{
    request.filter = filter;
    request.filter_context = context;
    return request;
}

static void expect_status(enum kva_status status, uint64_t start, enum kva_status want, uint64_t want_start,
                          const struct kva_request *request, const char *call)
{
    check_that(status == want && start == want_start,
               "%s: size %#" PRIx64 " window [%#" PRIx64 ", %#" PRIx64 "] policy %d target %#" PRIx64
               " random %#" PRIx64 ": %s, %#" PRIx64 ", want %s, %#" PRIx64,
               call, request->size, request->min, request->max, (int)request->policy, request->target,
               request->random, kva_status_name(status), start, kva_status_name(want), want_start);
}

/** kva_search returns this, and changes nothing. */
static void expect_search(struct fixture *f, struct kva_request request, enum kva_status want,
                          uint64_t want_start)
{
    struct test_picture before = {0};
    uint64_t start = UNTOUCHED;
    unsigned flushes = f->flushes, reclaims = f->reclaims;

    test_picture_take(&before, &f->space);
    enum kva_status status = kva_search(&f->space, &request, &start);
    expect_status(status, start, want, want == KVA_OK ? want_start : UNTOUCHED, &request, "kva_search");
    assert_int_equal(flushes, f->flushes);
    assert_int_equal(reclaims, f->reclaims);
    test_expect_same(&before, &f->space, "after a search");
    test_picture_drop(&before);
}

/** A search returns `want`, and so does an allocation. */
static void expect_at(struct fixture *f, struct kva_request request, uint64_t want)
{
    uint64_t start = UNTOUCHED;

    expect_search(f, request, KVA_OK, want);
    enum kva_status status = kva_alloc(&f->space, &request, &start);
    expect_status(status, start, KVA_OK, want, &request, "kva_alloc");
}

/** As expect_at; then the range is freed. */
static void expect_would_be_at(struct fixture *f, struct kva_request request, uint64_t want)
{
    expect_at(f, request, want);
    assert_int_equal(kva_free(&f->space, want), KVA_OK);
}

/** Nothing fits, before or after a flush. Nothing is deferred, and there is no callback. */
static void expect_no_space(struct fixture *f, struct kva_request request)
{
    uint64_t start = UNTOUCHED;

    expect_search(f, request, KVA_ENOSPC, 0);
    enum kva_status status = kva_alloc(&f->space, &request, &start);
    expect_status(status, start, KVA_ENOSPC, UNTOUCHED, &request, "kva_alloc");
}

static void reserve(struct fixture *f, uint64_t start, uint64_t size)
{
    assert_int_equal(kva_reserve(&f->space, start, size, NULL, NULL), KVA_OK);
}

static void fill(struct fixture *f, uint64_t start, uint64_t last)
{
    reserve(f, start, last - start + 1);
}

/** One test on each engine, with the index and without. */
#define ON_EACH_ENGINE(name)                                                                                 \
    static void name##_on(struct fixture *f, const struct kva_engine *engine);                               \
    static void name(void **state)                                                                           \
    {                                                                                                        \
        static struct fixture fixture;                                                                       \
        const struct kva_engine *engine;                                                                     \
        (void)state;                                                                                         \
        for_each_engine (engine, e) {                                                                        \
            with_index = false;                                                                              \
            name##_on(&fixture, engine);                                                                     \
            with_index = true;                                                                               \
            name##_on(&fixture, engine);                                                                     \
        }                                                                                                    \
    }                                                                                                        \
    static void name##_on(struct fixture *f, const struct kva_engine *engine)

/* ------------------------------------------------------------------------------------------------ nearest */

/* [10, 19] and [40, 49] are free. */
ON_EACH_ENGINE(targets_inside_and_outside_holes)
{
    set_up(f, engine, 0, 99, 1);
    fill(f, 0, 9);
    fill(f, 20, 39);
    fill(f, 50, 99);
    expect_would_be_at(f, nearest(4, 12), 12);
    expect_would_be_at(f, nearest(4, 16), 16); /* the last start in the hole */
    expect_would_be_at(f, nearest(4, 17), 16);
    expect_would_be_at(f, nearest(4, 0), 10);
    expect_would_be_at(f, nearest(4, 9), 10);
    expect_would_be_at(f, nearest(4, 10), 10);
    expect_would_be_at(f, nearest(4, 28), 16); /* 12 away, like 40 */
    expect_would_be_at(f, nearest(4, 27), 16);
    expect_would_be_at(f, nearest(4, 29), 40);
    expect_would_be_at(f, nearest(4, 39), 40);
    expect_would_be_at(f, nearest(4, 46), 46);
    expect_would_be_at(f, nearest(4, 47), 46);
    expect_would_be_at(f, nearest(4, 99), 46);
    expect_would_be_at(f, nearest(4, TOP), 46);
    expect_would_be_at(f, nearest(10, 25), 10); /* 15 away on either side */
    expect_would_be_at(f, nearest(10, 26), 40);
    expect_no_space(f, nearest(11, 25));
    tear_down(f);
}

/* The distance is that of starts. Of a start above and one below at equal distance, the lower wins. */
ON_EACH_ENGINE(the_lower_of_two_at_equal_distance)
{
    struct kva_request request = nearest(1, 5);

    set_up(f, engine, 0, 10, 1);
    reserve(f, 5, 1);
    expect_at(f, request, 4);
    expect_at(f, request, 6);
    expect_at(f, request, 3);
    expect_at(f, request, 7);
    expect_at(f, request, 2);
    assert_int_equal(kva_free(&f->space, 7), KVA_OK);
    expect_at(f, request, 7);
    expect_at(f, request, 8);
    expect_at(f, request, 1);
    expect_at(f, request, 9);
    expect_at(f, request, 0);
    expect_at(f, request, 10);
    expect_no_space(f, request);
    tear_down(f);
}

ON_EACH_ENGINE(targets_inside_and_outside_the_window)
{
    set_up(f, engine, 0, 999, 1);
    fill(f, 500, 509);
    expect_would_be_at(f, within(nearest(10, 0), 400, 599), 400);
    expect_would_be_at(f, within(nearest(10, 399), 400, 599), 400);
    expect_would_be_at(f, within(nearest(10, 400), 400, 599), 400);
    expect_would_be_at(f, within(nearest(10, 600), 400, 599), 590);
    expect_would_be_at(f, within(nearest(10, TOP), 400, 599), 590);
    expect_would_be_at(f, within(nearest(10, 595), 400, 599), 590); /* 595 fits, but the window ends at 599 */
    expect_would_be_at(f, within(nearest(10, 500), 400, 599), 490);
    expect_would_be_at(f, within(nearest(10, 501), 400, 599), 510);
    expect_would_be_at(f, within(nearest(10, 501), 400, 518), 490); /* the one above ends after the window */
    expect_would_be_at(f, within(nearest(10, 499), 491, 599), 510);
    expect_no_space(f, within(nearest(10, 505), 491, 518));
    tear_down(f);
}

/* a - target| is an unsigned number of 64 bits. */
ON_EACH_ENGINE(distances_beyond_half_of_64_bits)
{
    set_up(f, engine, 0, TOP, 1);
    fill(f, 1, TOP - 1); /* 0 and TOP are free */
    expect_would_be_at(f, nearest(1, HALF), TOP);
    expect_would_be_at(f, nearest(1, HALF - 1), 0);
    expect_would_be_at(f, nearest(1, TOP), TOP);
    expect_would_be_at(f, nearest(1, TOP - 1), TOP);
    expect_would_be_at(f, nearest(1, 0), 0);
    expect_would_be_at(f, nearest(1, 1), 0);
    reserve(f, 0, 1);
    expect_would_be_at(f, nearest(1, 0), TOP); /* 2^64 - 1 away */
    expect_would_be_at(f, nearest(1, 1), TOP);
    expect_would_be_at(f, nearest(1, HALF - 2), TOP);
    reserve(f, TOP, 1);
    assert_int_equal(kva_free(&f->space, 0), KVA_OK);
    expect_would_be_at(f, nearest(1, TOP), 0);
    expect_would_be_at(f, nearest(1, HALF), 0);
    expect_would_be_at(f, nearest(1, HALF + 2), 0);
    reserve(f, 0, 1);
    expect_no_space(f, nearest(1, HALF));
    assert_int_equal(kva_free_range(&f->space, 1, 1), KVA_OK);
    assert_int_equal(kva_free(&f->space, TOP), KVA_OK);
    expect_would_be_at(f, nearest(1, HALF), 1); /* 2^63 - 1 away, and so is TOP */
    expect_would_be_at(f, nearest(1, HALF + 1), TOP);
    tear_down(f);
}

/* Starts above TOP - size + 1 do not exist, wherever the target lies. */
ON_EACH_ENGINE(targets_at_both_ends_of_64_bits)
{
    set_up(f, engine, 0, TOP, 1);
    expect_would_be_at(f, nearest(1, TOP), TOP);
    expect_would_be_at(f, nearest(0x1000, TOP), TOP - 0xfff);
    expect_would_be_at(f, nearest(TOP, TOP), 1);
    expect_would_be_at(f, nearest(TOP, 0), 0);
    reserve(f, 0, 1);
    expect_would_be_at(f, nearest(0x1000, 0), 1);
    expect_would_be_at(f, nearest(TOP, 0), 1);
    reserve(f, TOP, 1);
    expect_would_be_at(f, nearest(0x1000, TOP), TOP - 0x1000);
    expect_no_space(f, nearest(TOP, 0));
    tear_down(f);
}

/* 16 quanta are all 2^64 addresses; the targets lie between quanta. */
ON_EACH_ENGINE(nearest_in_coarse_quanta)
{
    const uint64_t quantum = UINT64_C(1) << 60;

    set_up(f, engine, 0, TOP, quantum);
    expect_would_be_at(f, nearest(1, 5 * quantum), 5 * quantum);
    expect_would_be_at(f, nearest(1, 5 * quantum + 1), 5 * quantum);
    expect_would_be_at(f, nearest(1, 5 * quantum + quantum / 2), 5 * quantum);
    expect_would_be_at(f, nearest(1, 5 * quantum + quantum / 2 + 1), 6 * quantum);
    expect_would_be_at(f, nearest(1, TOP), 15 * quantum);
    expect_would_be_at(f, nearest(3 * quantum, TOP), 13 * quantum);
    reserve(f, 5 * quantum, 3 * quantum);
    expect_would_be_at(f, nearest(1, 6 * quantum), 4 * quantum); /* 8 quanta is as far away */
    expect_would_be_at(f, nearest(1, 6 * quantum + 1), 8 * quantum);
    tear_down(f);
}

/* A shape is an additional constraint: starts are 3, 10, 17 ... and lie between multiples of 16. */
ON_EACH_ENGINE(nearest_of_a_shape)
{
    struct kva_request request = nearest(6, 31);

    request.align = 7;
    request.phase = 3;
    set_up(f, engine, 0, 127, 1);
    expect_would_be_at(f, request, 31);
    request.nocross = 16;
    expect_would_be_at(f, request, 24); /* [24, 29]; 31 crosses 32, and 38 is as far */
    request.target = 32;
    expect_would_be_at(f, request, 38);
    request.target = 0;
    expect_would_be_at(f, request, 3);
    request.target = 1000;
    expect_would_be_at(f, request, 122);
    tear_down(f);
}

/** Code within `reach` of a target, as near as possible. */
static struct kva_request code_near(uint64_t size, uint64_t target, uint64_t reach)
{
    struct kva_request request = within(nearest(size, target), target - reach, target + reach - 1);

    request.align = 64 * KIB;
    return request;
}

/* The target lies among libraries. The hole below begins far away; its end is used. */
ON_EACH_ENGINE(code_near_libraries)
{
    const uint64_t target = UINT64_C(0x7f0000000000);
    const struct kva_request code = code_near(64 * KIB, target, 128 * MIB);

    set_up(f, engine, 64 * KIB, (UINT64_C(1) << 47) - 1, PAGE);
    reserve(f, target - 64 * MIB, 200 * MIB);
    expect_at(f, code, target - 64 * MIB - 64 * KIB);
    expect_at(f, code, target - 64 * MIB - 128 * KIB);
    reserve(f, target - 128 * MIB, 64 * MIB - 128 * KIB);
    expect_no_space(f, code);
    tear_down(f);
}

/* Trampolines within 2 GiB of a function: at distance 0, then one page farther each time, alternately below
 * and above. */
ON_EACH_ENGINE(trampolines_near_a_function)
{
    const uint64_t function = UINT64_C(0x555500000000);
    struct kva_request request = within(nearest(PAGE, function), function - 2 * GIB, function + 2 * GIB - 1);

    set_up(f, engine, 0, (UINT64_C(1) << 47) - 1, PAGE);
    expect_at(f, request, function);
    for (uint64_t i = 1; i < 20; i++) {
        expect_at(f, request, function - i * PAGE);
        expect_at(f, request, function + i * PAGE);
    }
    request.target = function + 1; /* no tie any more */
    expect_at(f, request, function + 20 * PAGE);
    tear_down(f);
}

/* --------------------------------------------------------------------------------------------------- best */

/* Holes of 8, 4, 6 and 4 units. */
static void holes_of_several_sizes(struct fixture *f, const struct kva_engine *engine)
{
    set_up(f, engine, 0, 63, 1);
    fill(f, 8, 15);  /* free: [0, 7], */
    fill(f, 20, 29); /* [16, 19], */
    fill(f, 36, 49); /* [30, 35], */
    fill(f, 54, 63); /* [50, 53] */
}

ON_EACH_ENGINE(best_takes_the_smallest_hole)
{
    struct kva_request request = best(3);

    holes_of_several_sizes(f, engine);
    expect_would_be_at(f, best(4), 16);
    expect_would_be_at(f, best(5), 30);
    expect_would_be_at(f, best(7), 0);
    expect_no_space(f, best(9));
    expect_at(f, request, 16); /* the lower of two holes of 4; 1 is left of it */
    expect_at(f, request, 50);
    expect_at(f, request, 30);
    expect_at(f, request, 33); /* the rest of that hole, which is now the smallest */
    expect_at(f, request, 0);
    expect_at(f, request, 3);
    expect_no_space(f, request);
    expect_would_be_at(f, best(1), 19);
    tear_down(f);
}

/* The length of the hole counts, not the part of it in the window. */
ON_EACH_ENGINE(best_measures_whole_holes)
{
    holes_of_several_sizes(f, engine);
    expect_would_be_at(f, within(best(2), 0, 33), 16);
    expect_would_be_at(f, within(best(2), 0, 16), 0);
    expect_would_be_at(f, within(best(2), 6, 31), 16);
    expect_would_be_at(f, within(best(2), 6, 17), 16);
    expect_would_be_at(f, within(best(2), 18, 31), 18);
    expect_would_be_at(f, within(best(2), 4, 31), 16);
    expect_would_be_at(f, within(best(2), 5, 35), 16);
    expect_would_be_at(f, within(best(2), 6, 35), 16);
    expect_would_be_at(f, within(best(2), 6, 34), 16);
    expect_would_be_at(f, within(best(3), 5, 18), 16);
    expect_would_be_at(f, within(best(3), 5, 17), 5);
    expect_would_be_at(f, within(best(2), 19, 51), 50); /* [30, 35] fits, but 6 is more than 4 */
    expect_no_space(f, within(best(2), 19, 30));
    tear_down(f);
}

/* The smallest hole that is long enough need not fit the shape. */
ON_EACH_ENGINE(best_of_a_shape)
{
    struct kva_request request = best(3);

    holes_of_several_sizes(f, engine);
    request.align = 5;
    expect_would_be_at(f, request, 50);
    request.phase = 2;
    expect_would_be_at(f, request, 17);
    request.phase = 3;
    expect_would_be_at(f, request, 33); /* neither [18, 20] nor [53, 55] */
    request.align = 0;
    request.phase = 0;
    request.nocross = 4;
    expect_would_be_at(f, request, 16);
    request.align = 3;
    expect_would_be_at(f, request, 33); /* neither 18 nor 51 */
    request.align = 8;
    request.nocross = 0;
    expect_would_be_at(f, request, 16);
    request.phase = 7;
    expect_would_be_at(f, request, 31);
    request.phase = 5;
    expect_would_be_at(f, request, 5);
    request.size = 4;
    expect_no_space(f, request);
    tear_down(f);
}

/* The first request takes 8 KiB out of the hole of 8 KiB, so that the 16 KiB stay in one piece. */
ON_EACH_ENGINE(best_leaves_the_large_hole_whole)
{
    struct kva_request request = {.size = 8 * KIB, .policy = KVA_HIGHEST};

    set_up(f, engine, 0, 40 * KIB - 1, KIB);
    reserve(f, 8 * KIB, 16 * KIB);
    expect_at(f, request, 32 * KIB);
    expect_no_space(f, best(16 * KIB));
    assert_int_equal(kva_free(&f->space, 32 * KIB), KVA_OK);
    expect_at(f, best(8 * KIB), 0);
    expect_at(f, best(16 * KIB), 24 * KIB);
    tear_down(f);
}

ON_EACH_ENGINE(best_at_both_ends_of_64_bits)
{
    const uint64_t quantum = UINT64_C(1) << 60;

    set_up(f, engine, 0, TOP, 1);
    expect_would_be_at(f, best(1), 0);
    expect_would_be_at(f, best(TOP), 0);
    reserve(f, HALF, 1); /* [0, HALF - 1] and one unit less are free */
    expect_would_be_at(f, best(1), HALF + 1);
    expect_would_be_at(f, best(HALF - 1), HALF + 1);
    expect_would_be_at(f, best(HALF), 0);
    expect_would_be_at(f, within(best(1), 0, HALF), 0);
    fill(f, HALF + 1, TOP - 1);
    expect_would_be_at(f, best(1), TOP);
    expect_would_be_at(f, within(best(1), 5, TOP), TOP);
    tear_down(f);
    set_up(f, engine, 0, TOP, quantum);
    reserve(f, 9 * quantum, quantum);
    expect_would_be_at(f, best(1), 10 * quantum);
    expect_would_be_at(f, best(6 * quantum), 10 * quantum);
    expect_would_be_at(f, best(6 * quantum + 1), 0);
    tear_down(f);
}

/* ------------------------------------------------------------------------------------------------- random */

enum { DRAWS = 4096 };

/** In an empty space `random` denotes the start `first` + index * step, where index = random * count / 2^64.
 * DRAWS evenly spread values denote each of the `count` starts equally often, or once more. */
static void expect_even(struct fixture *f, struct kva_request request, uint64_t first, uint64_t step,
                        unsigned count)
{
    unsigned draws[64] = {0};

    assert_true(count <= 64);
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint64_t start = UNTOUCHED;
        request.random = i << 52;
        assert_int_equal(kva_search(&f->space, &request, &start), KVA_OK);
        uint64_t index = (start - first) / step;
        check_that(index < count && start == first + index * step,
                   "random %#" PRIx64 ": %#" PRIx64 " found, %#" PRIx64 " expected", request.random, start,
                   first + index * step);
        draws[index]++;
    }
    for (unsigned i = 0; i < count; i++)
        check_that(draws[i] == DRAWS / count || draws[i] == (DRAWS + count - 1) / count,
                   "start %u of %u: %u draws, %u expected", i, count, draws[i], DRAWS / count);
    request.random = 0;
    expect_would_be_at(f, request, first);
    request.random = TOP;
    expect_would_be_at(f, request, first + (count - 1) * step);
}

ON_EACH_ENGINE(random_starts_are_equally_frequent)
{
    static const uint64_t quanta[] = {1, PAGE, UINT64_C(1) << 60};

    for (size_t q = 0; q < sizeof(quanta) / sizeof(quanta[0]); q++) {
        uint64_t quantum = quanta[q];
        struct kva_request request = {.policy = KVA_RANDOM};
        set_up(f, engine, 0, 16 * quantum - 1, quantum);
        for (unsigned size = 1; size < 16; size++) {
            request.size = size * quantum;
            expect_even(f, request, 0, quantum, 17 - size);
        }
        request.size = 2 * quantum; /* one quantum of the window is no start */
        expect_even(f, within(request, 3 * quantum, 13 * quantum - 1), 3 * quantum, quantum, 9);
        expect_even(f, within(request, 0, 3 * quantum - 1), 0, quantum, 2);
        expect_even(f, within(request, 14 * quantum, TOP), 14 * quantum, quantum, 1);
        request.align = 3 * quantum;
        expect_even(f, request, 0, 3 * quantum, 5);
        request.phase = 2 * quantum;
        expect_even(f, request, 2 * quantum, 3 * quantum, 5);
        request.align = 4 * quantum;
        request.phase = 0;
        expect_even(f, request, 0, 4 * quantum, 4);
        tear_down(f);
    }
}

/* A window whose ends miss the quantum, and one that reaches outside the space. */
ON_EACH_ENGINE(starts_outside_the_space_are_not_counted)
{
    set_up(f, engine, PAGE, 11 * PAGE - 1, PAGE);
    expect_even(f, within(by_random(1, 0), 2 * PAGE + 1, 9 * PAGE), 3 * PAGE, PAGE, 6);
    expect_even(f, within(by_random(1, 0), 1, 3 * PAGE), PAGE, PAGE, 2);
    expect_even(f, within(by_random(PAGE + 1, 0), 4 * PAGE, TOP), 4 * PAGE, PAGE, 6);
    expect_even(f, by_random(3 * PAGE, 0), PAGE, PAGE, 8);
    tear_down(f);
}

/* N is 2^64, where each value denotes itself, or one or two less. */
ON_EACH_ENGINE(random_among_2_to_the_64_starts)
{
    static const uint64_t values[] = {0,       1,        2,    3,        0x1234567890abcdef, UINT32_MAX,
                                      GIB * 4, HALF - 1, HALF, HALF + 1, TOP - UINT32_MAX,   TOP - 2,
                                      TOP - 1, TOP};

    set_up(f, engine, 0, TOP, 1);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        uint64_t value = values[i];
        expect_would_be_at(f, by_random(1, value), value);
        expect_would_be_at(f, by_random(2, value),
                           value - (value > 0)); /* value - value / 2^64, rounded down */
        /* value - value / 2^63 */
        expect_would_be_at(f, by_random(3, value), value - (value > 0) - (value > HALF));
        expect_would_be_at(f, by_random(HALF, value),
                           value / 2 +
                               (value % 2 != 0 && value > HALF)); /* N = 2^63 + 1: value / 2 + value / 2^64 */
        expect_would_be_at(f, by_random(HALF + 1, value), value / 2);
        expect_would_be_at(f, by_random(TOP, value), value >= HALF);
        expect_would_be_at(f,
                           (struct kva_request){.size = 1, .align = 2, .policy = KVA_RANDOM, .random = value},
                           value / 2 * 2);
        expect_would_be_at(
            f, (struct kva_request){.size = 1, .align = HALF, .policy = KVA_RANDOM, .random = value},
            value / HALF * HALF);
    }
    tear_down(f);
}

/* From the denoted start upwards, then from the lowest; a start counts even if it is not free. */
ON_EACH_ENGINE(random_takes_the_next_free_start)
{
    const uint64_t eighth = UINT64_C(1) << 61;

    set_up(f, engine, 0, 7, 1);
    fill(f, 2, 3);
    fill(f, 6, 7);
    expect_would_be_at(f, by_random(1, 1 * eighth), 1);
    expect_would_be_at(f, by_random(1, 2 * eighth - 1), 1);
    expect_would_be_at(f, by_random(1, 2 * eighth), 4);
    expect_would_be_at(f, by_random(1, 5 * eighth), 5);
    expect_would_be_at(f, by_random(1, 6 * eighth - 1), 5);
    expect_would_be_at(f, by_random(1, 6 * eighth), 0);
    expect_would_be_at(f, by_random(1, TOP), 0);
    reserve(f, 0, 1);
    expect_would_be_at(f, by_random(1, TOP), 1);
    expect_would_be_at(f, by_random(1, 0), 1);
    fill(f, 4, 5);
    expect_would_be_at(f, by_random(1, 3 * eighth), 1);
    reserve(f, 1, 1);
    expect_no_space(f, by_random(1, 3 * eighth));
    expect_no_space(f, by_random(1, 0));
    tear_down(f);
}

/* The number of starts ignores the boundary: [3, 4] is denoted, and 4 is the next valid start. */
ON_EACH_ENGINE(boundaries_do_not_change_the_number_of_starts)
{
    struct kva_request request = by_random(2, 0);

    request.nocross = 4;
    set_up(f, engine, 0, 8, 1); /* 8 starts, from 0 to 7 */
    for (unsigned i = 0; i < 8; i++) {
        static const uint64_t want[] = {0, 1, 2, 4, 4, 5, 6, 0};
        request.random = UINT64_C(0x2000000000000000) * i;
        expect_would_be_at(f, request, want[i]);
        request.random += UINT64_C(0x1fffffffffffffff);
        expect_would_be_at(f, request, want[i]);
    }
    request.align = 3; /* 3 starts: 0, 3, 6 */
    request.random = TOP / 3 + 1;
    expect_would_be_at(f, request, 6);
    request.random = TOP / 3;
    expect_would_be_at(f, request, 0);
    tear_down(f);
}

/* No start of this shape lies in the window, although the window is long enough. */
ON_EACH_ENGINE(no_start_in_the_window)
{
    struct kva_request request = by_random(2, HALF);

    request.align = 16;
    request.phase = 5;
    set_up(f, engine, 0, 63, 1);
    expect_no_space(f, within(request, 6, 21));
    expect_would_be_at(f, within(request, 6, 22), 21);
    tear_down(f);
}

/* ------------------------------------------------------------------------------------------------ filters */

static bool log_and_refuse(void *context, struct kva_hole *hole)
{
    struct fixture *f = context;
    struct asked *asked = &f->asked[f->asked_count];

    assert_true(f->asked_count < LOGGED);
    f->asked_count++;
    asked->hole = *hole;
    if (hole->before)
        asked->before = *hole->before;
    if (hole->after)
        asked->after = *hole->after;
    return false;
}

static bool accept_all(void *context, struct kva_hole *hole)
{
    (void)context;
    (void)hole;
    return true;
}

static bool leave_nothing(void *context, struct kva_hole *hole)
{
    (void)context;
    if (hole->last == TOP)
        hole->last = --hole->start; /* it wraps if the hole is the whole space */
    else
        hole->start = hole->last + 1;
    return true;
}

static bool widen_far(void *context, struct kva_hole *hole)
{
    (void)context;
    hole->start = 0;
    hole->last = TOP;
    return true;
}

struct part {
    uint64_t start;
    uint64_t last;
};

static bool leave_part(void *context, struct kva_hole *hole)
{
    const struct part *part = context;

    hole->start = part->start;
    hole->last = part->last;
    return true;
}

static const enum kva_policy all_policies[] = {KVA_LOWEST, KVA_HIGHEST, KVA_NEAREST, KVA_BEST, KVA_RANDOM};

#define FOR_EACH_POLICY(i) for (size_t i = 0; i < sizeof(all_policies) / sizeof(all_policies[0]); i++)

ON_EACH_ENGINE(filters_that_refuse_and_that_widen)
{
    FOR_EACH_POLICY(i)
    {
        struct kva_request request = {
            .size = 4, .policy = all_policies[i], .target = 18, .random = UINT64_C(1) << 62};
        uint64_t want;
        holes_of_several_sizes(f, engine);
        expect_no_space(f, filtered(request, log_and_refuse, f));
        assert_true(f->asked_count > 0);
        expect_no_space(f, filtered(request, leave_nothing, NULL));
        assert_int_equal(kva_search(&f->space, &request, &want), KVA_OK);
        expect_would_be_at(f, filtered(request, accept_all, NULL), want);
        expect_would_be_at(f, filtered(request, widen_far, NULL), want);
        tear_down(f);
    }
}

/* The filter leaves [2, 6] of [0, 7], and nothing of any other hole. */
ON_EACH_ENGINE(filters_that_leave_a_part)
{
    struct part part = {2, 6};

    FOR_EACH_POLICY(i)
    {
        struct kva_request request = {.size = 3, .policy = all_policies[i], .target = 4, .random = 0};
        holes_of_several_sizes(f, engine);
        request = filtered(request, leave_part, &part);
        expect_would_be_at(f, request,
                           request.policy == KVA_HIGHEST || request.policy == KVA_NEAREST ? 4 : 2);
        request.align = 2;
        request.phase = 1;
        expect_would_be_at(f, request, 3);
        request.size = 5;
        expect_no_space(f, request);
        request.phase = 0;
        expect_would_be_at(f, request, 2);
        request.size = 6;
        expect_no_space(f, request);
        expect_no_space(f, within(request, 3, TOP));
        tear_down(f);
    }
}

/* At 2^64 - 1 no sum wraps. */
ON_EACH_ENGINE(filters_at_both_ends_of_64_bits)
{
    struct part part = {TOP - 4, TOP};

    FOR_EACH_POLICY(i)
    {
        struct kva_request request = {.size = 5, .policy = all_policies[i], .target = HALF, .random = HALF};
        set_up(f, engine, 0, TOP, 1);
        part = (struct part){TOP - 4, TOP};
        expect_would_be_at(f, filtered(request, leave_part, &part), TOP - 4);
        part = (struct part){0, 4};
        expect_would_be_at(f, filtered(request, leave_part, &part), 0);
        part = (struct part){TOP, 0};
        expect_no_space(f, filtered(request, leave_part, &part));
        expect_no_space(f, filtered(request, leave_nothing, NULL));
        tear_down(f);
    }
}

/** The filter is called for the holes that begin at these units, in this order, and refuses all. */
static void expect_asked(struct fixture *f, struct kva_request request, const unsigned *want, unsigned count)
{
    uint64_t start = UNTOUCHED;

    f->asked_count = 0;
    request = filtered(request, log_and_refuse, f);
    assert_int_equal(kva_search(&f->space, &request, &start), KVA_ENOSPC);
    check_that(f->asked_count == count, "policy %d: %u calls of the filter expected, %u found",
               (int)request.policy, count, f->asked_count);
    for (unsigned i = 0; i < count; i++)
        check_that(f->asked[i].hole.start == want[i],
                   "policy %d, call %u: hole at %u expected, %" PRIu64 " found", (int)request.policy, i,
                   want[i], f->asked[i].hole.start);
}

#define EXPECT_ASKED(f, request, ...)                                                                        \
    do {                                                                                                     \
        static const unsigned want_[] = {__VA_ARGS__};                                                       \
        expect_asked(f, request, want_, sizeof(want_) / sizeof(want_[0]));                                   \
    } while (0)

/** With the index in ascending order of size, without it in address order. */
static void expect_asked_for_best(struct fixture *f)
{
    if (with_index) {
        EXPECT_ASKED(f, best(4), 16, 50, 30, 0);
        EXPECT_ASKED(f, best(5), 30, 0);
        EXPECT_ASKED(f, within(best(4), 2, 52), 16, 30, 0); /* 3 units of [50, 53] lie in the window */
        return;
    }
    EXPECT_ASKED(f, best(4), 0, 16, 30, 50);
    EXPECT_ASKED(f, best(5), 0, 30);
    EXPECT_ASKED(f, within(best(4), 2, 52), 0, 16, 30);
}

/* The filter is not called for holes that are too short or outside the window. */
ON_EACH_ENGINE(filters_are_called_in_the_order_of_the_policy)
{
    struct kva_request highest = {.size = 4, .policy = KVA_HIGHEST};

    holes_of_several_sizes(f, engine);
    EXPECT_ASKED(f, ((struct kva_request){.size = 4}), 0, 16, 30, 50);
    EXPECT_ASKED(f, ((struct kva_request){.size = 5}), 0, 30);
    EXPECT_ASKED(f, ((struct kva_request){.size = 2, .min = 1, .max = 52}), 0, 16, 30, 50);
    EXPECT_ASKED(f, ((struct kva_request){.size = 4, .min = 5, .max = 52}), 16, 30);
    EXPECT_ASKED(f, highest, 50, 30, 16, 0);
    EXPECT_ASKED(f, within(highest, 1, 33), 30, 16, 0);
    EXPECT_ASKED(f, within(highest, 17, 34), 30);
    EXPECT_ASKED(f, nearest(4, 40), 30, 16, 0, 50);
    EXPECT_ASKED(f, nearest(4, 29), 16, 0, 30, 50);
    EXPECT_ASKED(f, nearest(4, 63), 50, 30, 16, 0);
    EXPECT_ASKED(f, nearest(4, 30), 30, 16, 0, 30, 50); /* it has starts on either side: two calls */
    EXPECT_ASKED(f, nearest(6, 30), 30, 0);
    EXPECT_ASKED(f, nearest(6, 31), 30, 0);
    expect_asked_for_best(f);
    EXPECT_ASKED(f, by_random(4, HALF), 30, 50, 0, 16); /* from the start 30 of [0, 60] on */
    EXPECT_ASKED(f, by_random(4, HALF + HALF / 4), 50, 0, 16, 30);
    EXPECT_ASKED(f, by_random(4, 0), 0, 16, 30, 50);
    EXPECT_ASKED(f, within(by_random(4, TOP), 16, 40), 16, 30);
    tear_down(f);
}

/* After a place was found, the filter is not called again. */
ON_EACH_ENGINE(filters_are_not_called_after_a_place_is_found)
{
    struct part part = {16, 53};

    holes_of_several_sizes(f, engine);
    expect_would_be_at(f, filtered((struct kva_request){.size = 4}, leave_part, &part), 16);
    expect_would_be_at(f, filtered(best(4), leave_part, &part), 16);
    expect_would_be_at(f, filtered(best(5), leave_part, &part), 30);
    expect_would_be_at(f, filtered(nearest(4, 9), leave_part, &part), 16);
    tear_down(f);
}

static void expect_neighbour(const struct kva_segment *segment, uint64_t start, uint64_t last,
                             enum kva_state state, const void *owner)
{
    check_that(segment->start == start && segment->last == last && segment->state == state &&
                   (state == KVA_DEFERRED || segment->owner == owner),
               "%#" PRIx64 "..%#" PRIx64 " state %d, want %#" PRIx64 "..%#" PRIx64 " state %d",
               segment->start, segment->last, (int)segment->state, start, last, (int)state);
}

/*  0    10      20      30         40     50      60   63
 *  free | busy  | free  | deferred | free | busy  | free     */
ON_EACH_ENGINE(filters_receive_the_neighbours)
{
    static int a, b, c;

    set_up(f, engine, 0, 63, 1);
    assert_int_equal(kva_reserve(&f->space, 10, 10, &a, NULL), KVA_OK);
    assert_int_equal(kva_reserve(&f->space, 30, 10, &b, NULL), KVA_OK);
    assert_int_equal(kva_reserve(&f->space, 50, 10, &c, NULL), KVA_OK);
    assert_int_equal(kva_free_deferred(&f->space, 30), KVA_OK);
    FOR_EACH_POLICY(i)
    {
        /* Nearest and random begin at the top and the bottom, so that each hole causes one call. */
        struct kva_request request = {
            .size = 4, .policy = all_policies[i], .target = 63, .random = 0, .flags = KVA_NO_BLOCK};
        uint64_t start;
        f->asked_count = 0;
        request = filtered(request, log_and_refuse, f);
        assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_EAGAIN);
        assert_int_equal(f->asked_count, 4);
        for (unsigned k = 0; k < 4; k++) {
            const struct asked *asked = &f->asked[k];
            assert_int_equal(asked->hole.last, asked->hole.start == 60 ? 63 : asked->hole.start + 9);
            assert_true((asked->hole.before == NULL) == (asked->hole.start == 0));
            assert_true((asked->hole.after == NULL) == (asked->hole.start == 60));
            if (asked->hole.start == 0 || asked->hole.start == 20)
                expect_neighbour(asked->hole.start ? &asked->before : &asked->after, 10, 19, KVA_BUSY, &a);
            if (asked->hole.start == 20)
                expect_neighbour(&asked->after, 30, 39, KVA_DEFERRED, NULL);
            if (asked->hole.start == 40)
                expect_neighbour(&asked->before, 30, 39, KVA_DEFERRED, NULL);
            if (asked->hole.start >= 40)
                expect_neighbour(asked->hole.start == 40 ? &asked->after : &asked->before, 50, 59, KVA_BUSY,
                                 &c);
        }
    }
    tear_down(f);
}

/* The space is one hole: it has no neighbours. */
ON_EACH_ENGINE(filters_of_an_empty_space)
{
    set_up(f, engine, 0, TOP, 1);
    FOR_EACH_POLICY(i)
    {
        struct kva_request request = {.size = 4, .policy = all_policies[i], .target = 0, .random = 0};
        uint64_t start;
        f->asked_count = 0;
        request = filtered(request, log_and_refuse, f);
        assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_ENOSPC);
        assert_true(f->asked_count > 0);
        for (unsigned k = 0; k < f->asked_count; k++) {
            assert_true(f->asked[k].hole.start == 0 && f->asked[k].hole.last == TOP);
            assert_true(!f->asked[k].hole.before && !f->asked[k].hole.after);
        }
    }
    tear_down(f);
}

/*  0    16       32    48     63
 *  free | absent | free | busy |        */
ON_EACH_ENGINE(an_absent_range_is_no_neighbour)
{
    struct kva_request request = {.size = 4, .target = 63};
    struct part part = {8, 40};

    set_up(f, engine, 0, 63, 1);
    fill(f, 48, 63);
    assert_int_equal(kva_space_remove(&f->space, 16, 16), KVA_OK);
    FOR_EACH_POLICY(i)
    {
        uint64_t start;
        f->asked_count = 0;
        request.policy = all_policies[i];
        request = filtered(request, log_and_refuse, f);
        assert_int_equal(kva_search(&f->space, &request, &start), KVA_ENOSPC);
        assert_int_equal(f->asked_count, 2);
        for (unsigned k = 0; k < 2; k++) {
            assert_null(f->asked[k].hole.before);
            assert_true((f->asked[k].hole.after == NULL) == (f->asked[k].hole.start == 0));
        }
        assert_null(f->asked[0].hole.start == 0 ? f->asked[0].hole.after : f->asked[1].hole.after);
    }
    /* Absent starts are counted like others: there are 61, and number 20 is the first above a third. */
    request = filtered(by_random(4, TOP / 61 * 20 + 20), leave_part, &part);
    expect_would_be_at(f, request, 32);
    expect_would_be_at(f, nearest(4, 20), 12); /* 8 away; 32 is 12 away */
    expect_would_be_at(f, nearest(4, 23), 32);
    expect_would_be_at(f, best(4), 0);
    assert_int_equal(kva_space_add(&f->space, 16, 16), KVA_OK);
    tear_down(f);
}

/** The segment that a filter received is the one that kva_find returns. */
static void expect_as_found(struct fixture *f, const struct kva_segment *received, uint64_t address)
{
    struct kva_segment found;

    assert_int_equal(kva_find(&f->space, address, &found), KVA_OK);
    assert_true(test_same_segment(received, &found));
}

/* The neighbours of holes are objects, live and pooled, not the spans that contain them. */
ON_EACH_ENGINE(filters_receive_the_objects_of_pools)
{
    struct kva_request request = {.size = 64 * KIB, .flags = KVA_NO_BLOCK};
    unsigned pooled = 0, live = 0;
    uint64_t starts[64];

    begin(f, engine, 0, MIB - 1, 16, 64 * KIB);
    for (unsigned i = 0; i < 64; i++) {
        struct kva_request object = {.size = 48, .owner = f};
        assert_int_equal(kva_alloc(&f->space, &object, &starts[i]), KVA_OK);
    }
    for (unsigned i = 0; i < 64; i += i < 40 ? 2 : 1)
        assert_int_equal(kva_free(&f->space, starts[i]), KVA_OK);
    request = filtered(request, log_and_refuse, f);
    FOR_EACH_POLICY(i)
    {
        uint64_t start;
        request.policy = all_policies[i];
        request.size = 16;
        f->asked_count = 0;
        assert_int_equal(kva_search(&f->space, &request, &start), KVA_EAGAIN);
        assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_EAGAIN);
        assert_true(f->asked_count > 0);
        for (unsigned k = 0; k < f->asked_count; k++) {
            const struct asked *asked = &f->asked[k];
            if (asked->hole.before) {
                expect_as_found(f, &asked->before, asked->hole.start - 1);
                pooled += asked->before.state == KVA_POOLED;
                live += asked->before.state == KVA_BUSY;
            }
            if (asked->hole.after)
                expect_as_found(f, &asked->after, asked->hole.last + 1);
        }
    }
    assert_true(pooled + live > 0);
    request.flags = 0; /* it drains the pools, which makes holes for the filter */
    f->asked_count = 0;
    uint64_t start;
    assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_ENOSPC);
    tear_down(f);
}

/** A gap of one unit next to each busy neighbour of another owner: segments of one owner lie side by side,
 * apart from others. */
static bool keep_apart(void *context, struct kva_hole *hole)
{
    if (hole->before && hole->before->state == KVA_BUSY && hole->before->owner != context)
        hole->start++;
    if (hole->after && hole->after->state == KVA_BUSY && hole->after->owner != context && hole->last-- == 0)
        return false;
    return true;
}

ON_EACH_ENGINE(guard_gaps_between_owners)
{
    static int cached, uncached;
    struct kva_request of_cached = {.size = 4, .owner = &cached};
    struct kva_request of_uncached = {.size = 4, .owner = &uncached};

    of_cached = filtered(of_cached, keep_apart, &cached);
    of_uncached = filtered(of_uncached, keep_apart, &uncached);
    set_up(f, engine, 0, 31, 1);
    expect_at(f, of_cached, 0);
    expect_at(f, of_uncached, 5);
    expect_at(f, of_cached, 10);
    expect_at(f, of_uncached, 15);
    expect_at(f, of_uncached, 19);
    of_cached.policy = KVA_HIGHEST;
    expect_at(f, of_cached, 28);
    expect_at(f, of_uncached, 23); /* from the last one of its owner to one unit before the other owner */
    expect_no_space(f, of_uncached);
    expect_no_space(f, of_cached);
    tear_down(f);
}

/* ---------------------------------------------------------------------------- without blocking, searching */

static bool count_reclaims(void *context, struct kva_space *space, const struct kva_request *request)
{
    struct fixture *f = context;
    (void)space;
    f->reclaims++;
    f->received = *request;
    return false;
}

static void expect_again(struct fixture *f, struct kva_request request, enum kva_status want)
{
    static const struct kva_part part = {0, 16};
    struct test_picture before = {0};
    unsigned flushes = f->flushes;

    FOR_EACH_POLICY(i)
    {
        uint64_t start = UNTOUCHED;
        request = without_blocking(request);
        request.policy = all_policies[i];
        test_picture_take(&before, &f->space);
        enum kva_status status = kva_alloc(&f->space, &request, &start);
        expect_status(status, start, want, UNTOUCHED, &request, "kva_alloc");
        if (request.policy <= KVA_HIGHEST) {
            status = kva_alloc_congruent(&f->space, &request, &part, 1, &start);
            expect_status(status, start, want, UNTOUCHED, &request, "kva_alloc_congruent");
        }
        expect_search(f, request, want, 0);
        request.flags = 0;
        expect_search(f, request, want, 0);
        assert_int_equal(f->flushes, flushes);
        assert_int_equal(f->reclaims, 0);
        test_expect_same(&before, &f->space, "after a request that may not block");
    }
    test_picture_drop(&before);
}

ON_EACH_ENGINE(requests_that_may_not_block)
{
    const struct kva_request request = {.size = 16};
    uint64_t start = UNTOUCHED;

    set_up(f, engine, 0, 63, 1);
    f->reclaim = (struct kva_reclaim){.callback = count_reclaims, .context = f};
    expect_would_be_at(f, without_blocking(request), 0);
    fill(f, 0, 31);
    fill(f, 32, 63);
    expect_again(f, request, KVA_ENOSPC); /* nothing could make room */
    assert_int_equal(kva_free_deferred(&f->space, 32), KVA_OK);
    expect_again(f, request, KVA_EAGAIN);
    /* A flush would not make enough room, but that is known only after a flush. */
    expect_again(f, (struct kva_request){.size = 60}, KVA_EAGAIN);
    assert_int_equal(kva_flush(&f->space), KVA_OK);
    expect_would_be_at(f, without_blocking(request), 32);
    fill(f, 32, 63);
    expect_again(f, request, KVA_ENOSPC);
    assert_int_equal(kva_reclaim_add(&f->space, &f->reclaim), KVA_OK);
    expect_again(f, request, KVA_EAGAIN);
    assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_ENOSPC);
    assert_int_equal(f->reclaims, 1);
    assert_int_equal(kva_reclaim_remove(&f->space, &f->reclaim), KVA_OK);
    f->reclaims = 0;
    expect_again(f, request, KVA_ENOSPC);
    tear_down(f);
}

/* Pooled ranges become usable by a drain alone. */
ON_EACH_ENGINE(pools_might_make_room)
{
    struct kva_request object = {.size = 16};
    struct kva_request large = {.size = 4000, .max = TOP};
    uint64_t starts[250];
    uint64_t start = UNTOUCHED;
    unsigned count = 0;

    begin(f, engine, 0, 4095, 16, 4096);
    while (count < 250 && kva_alloc(&f->space, &object, &starts[count]) == KVA_OK)
        count++;
    assert_int_equal(kva_pools_drain(&f->space), KVA_OK);
    expect_search(f, large, KVA_EAGAIN, 0); /* part of a span is free */
    assert_int_equal(kva_alloc(&f->space, &large, &start), KVA_ENOSPC);
    expect_search(f, large, KVA_ENOSPC, 0); /* the pools are drained by now, and the rest is busy */
    assert_int_equal(kva_alloc(&f->space, &(struct kva_request){.size = 4000, .flags = KVA_NO_BLOCK}, &start),
                     KVA_ENOSPC);
    while (count > 0)
        assert_int_equal(kva_free(&f->space, starts[--count]), KVA_OK);
    expect_search(f, large, KVA_EAGAIN, 0);
    assert_int_equal(kva_alloc(&f->space, &(struct kva_request){.size = 4000, .flags = KVA_NO_BLOCK}, &start),
                     KVA_EAGAIN);
    assert_int_equal(start, UNTOUCHED);
    assert_int_equal(kva_alloc(&f->space, &large, &start), KVA_OK);
    assert_int_equal(start, 0);
    tear_down(f);
}

/** A search inside a reclaim callback reports where there is room; kva_free makes some. */
static bool search_and_free(void *context, struct kva_space *space, const struct kva_request *request)
{
    struct fixture *f = context;
    struct kva_request without = without_blocking(*request);
    uint64_t start = UNTOUCHED;

    f->reclaims++;
    assert_int_equal(kva_search(space, request, &start), KVA_ENOSPC); /* no recursion */
    assert_int_equal(kva_alloc(space, &without, &start), KVA_ENOSPC);
    assert_int_equal(start, UNTOUCHED);
    assert_int_equal(kva_free(space, 32), KVA_OK);
    assert_int_equal(kva_search(space, request, &start), KVA_OK);
    assert_int_equal(start, 40);
    return true;
}

ON_EACH_ENGINE(searches_from_callbacks)
{
    const struct kva_request request = {.size = 16, .min = 36, .max = TOP, .align = 8};
    uint64_t start;

    set_up(f, engine, 0, 63, 1);
    fill(f, 0, 31);
    fill(f, 32, 63);
    f->reclaim = (struct kva_reclaim){.callback = search_and_free, .context = f};
    assert_int_equal(kva_reclaim_add(&f->space, &f->reclaim), KVA_OK);
    assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_OK);
    assert_int_equal(start, 40);
    assert_int_equal(f->reclaims, 1);
    assert_int_equal(kva_reclaim_remove(&f->space, &f->reclaim), KVA_OK);

    assert_int_equal(kva_free_deferred(&f->space, 0), KVA_OK);
    f->wanted = (struct kva_request){.size = 4};
    assert_int_equal(kva_flush(&f->space), KVA_OK); /* ranges to flush are not yet free in the callback */
    assert_int_equal(f->found, KVA_OK);
    assert_int_equal(f->start, 32);
    fill(f, 0, 31);
    assert_int_equal(kva_free_deferred(&f->space, 0), KVA_OK);
    f->wanted.size = 20;
    assert_int_equal(kva_flush(&f->space), KVA_OK);
    assert_int_equal(f->found, KVA_EAGAIN);
    tear_down(f);
}

/* ------------------------------------------------------------------------------------------------ reclaim */

static void expect_received(const struct fixture *f, const struct kva_request *request, uint64_t size)
{
    const struct kva_request *received = &f->received;

    assert_int_equal(received->size, size);
    assert_true(received->align == request->align && received->phase == request->phase);
    assert_true(received->min == request->min && received->max == request->max);
    assert_true(received->nocross == request->nocross && received->flags == request->flags);
    assert_true(received->policy == request->policy && received->owner == request->owner);
    assert_true(received->target == request->target && received->random == request->random);
    assert_true(received->filter == request->filter && received->filter_context == request->filter_context);
}

ON_EACH_ENGINE(callbacks_receive_the_whole_request)
{
    static const struct kva_part parts[] = {{0, 3}, {4, 1}, {12, 17}};
    static const struct kva_part wide[] = {{0, 1}, {TOP - 15, 16}};
    uint64_t start;

    set_up(f, engine, 0, 255, 4);
    f->reclaim = (struct kva_reclaim){.callback = count_reclaims, .context = f};
    assert_int_equal(kva_reclaim_add(&f->space, &f->reclaim), KVA_OK);
    fill(f, 0, 255);
    FOR_EACH_POLICY(i)
    {
        struct kva_request request = {.size = 13, /* as requested, not rounded up */
                                      .align = 12,
                                      .phase = 4,
                                      .min = 5,
                                      .max = 200,
                                      .nocross = 64,
                                      .owner = &start,
                                      .policy = all_policies[i],
                                      .target = 77,
                                      .random = 0x1234,
                                      .filter = accept_all,
                                      .filter_context = f};
        assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_ENOSPC);
        expect_received(f, &request, 13);
        assert_int_equal(f->reclaims, i + 1);
    }
    struct kva_request request = {.size = 1234, .align = 4, .max = 128, .policy = KVA_HIGHEST};
    assert_int_equal(kva_alloc_congruent(&f->space, &request, parts, 3, &start), KVA_ENOSPC);
    expect_received(f, &request, 29); /* from 0 to 12 + 17 */
    request.max = TOP;
    assert_int_equal(kva_alloc_congruent(&f->space, &request, wide, 2, &start), KVA_ENOSPC);
    expect_received(f, &request, TOP); /* 2^64, saturated */
    tear_down(f);
}

/** Entries of a cache, the least recently used first. */
struct cache {
    uint64_t entries[64];
    unsigned next;
    unsigned count;
    unsigned evicted;
};

/** Free the first entry that lies in the window of the request. */
static bool evict_in_window(void *context, struct kva_space *space, const struct kva_request *request)
{
    struct cache *cache = context;

    for (unsigned i = cache->next; i < cache->count; i++) {
        if (cache->entries[i] < request->min || cache->entries[i] > request->max)
            continue;
        assert_int_equal(kva_free(space, cache->entries[i]), KVA_OK);
        cache->entries[i] = cache->entries[cache->next++];
        cache->evicted++;
        return true;
    }
    return false;
}

static void cache_entries(struct fixture *f, struct cache *cache, struct kva_request request, unsigned count)
{
    for (; count > 0; count--)
        assert_int_equal(kva_alloc(&f->space, &request, &cache->entries[cache->count++]), KVA_OK);
}

/* A device with 32-bit addresses finds no room below 4 GiB. The least recently used entries lie above. */
ON_EACH_ENGINE(one_eviction_makes_the_request_fit)
{
    struct cache cache = {.count = 0};
    const struct kva_request high = {.size = GIB, .min = 4 * GIB, .max = TOP};
    const struct kva_request low = {.size = GIB, .max = 4 * GIB - 1};
    const struct kva_request request = {.size = PAGE, .max = 4 * GIB - 1};
    uint64_t start;

    set_up(f, engine, 0, 8 * GIB - 1, PAGE);
    cache_entries(f, &cache, high, 4);
    cache_entries(f, &cache, low, 4);
    f->reclaim = (struct kva_reclaim){.callback = evict_in_window, .context = &cache};
    assert_int_equal(kva_reclaim_add(&f->space, &f->reclaim), KVA_OK);
    assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_OK);
    assert_int_equal(start, 0);
    assert_int_equal(cache.evicted, 1);
    tear_down(f);
}

/* Where no entry lies in the window, none is freed. */
ON_EACH_ENGINE(no_eviction_outside_the_window)
{
    struct cache cache = {.count = 0};
    const struct kva_request high = {.size = PAGE, .min = 2 * GIB, .max = TOP};
    const struct kva_request request = {.size = PAGE, .max = MIB - 1};
    uint64_t start;

    set_up(f, engine, 0, 4 * GIB - 1, PAGE);
    reserve(f, 0, MIB);
    cache_entries(f, &cache, high, 64);
    f->reclaim = (struct kva_reclaim){.callback = evict_in_window, .context = &cache};
    assert_int_equal(kva_reclaim_add(&f->space, &f->reclaim), KVA_OK);
    assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_ENOSPC);
    assert_int_equal(cache.evicted, 0);
    tear_down(f);
}

/* -------------------------------------------------------------------------------- preload, pools, flushes */

/* Neither a policy nor a filter takes more nodes than a plain request. */
ON_EACH_ENGINE(preloaded_choices_need_no_memory)
{
    enum { COUNT = 200 };
    struct test_rng rng = test_rng_of(400);

    for (unsigned pools = 0; pools < 2; pools++) {
        begin(f, engine, 0, GIB - 1, PAGE, pools ? MIB : 0);
        assert_int_equal(kva_preload(&f->space, 2 * COUNT), KVA_OK);
        kva_failing_memory_fail(&f->memory, 1, true);
        for (unsigned i = 0; i < COUNT; i++) {
            struct kva_request request = {.size = (1 + i % 3) * PAGE, .policy = all_policies[i % 5]};
            uint64_t start;
            request.target = test_below(&rng, GIB);
            request.random = test_random(&rng);
            assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_OK);
            request = filtered(request, accept_all, NULL);
            assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_OK);
        }
        kva_failing_memory_fail(&f->memory, 0, false);
        tear_down(f);
    }
}

/* Pools serve only KVA_LOWEST without a filter. */
ON_EACH_ENGINE(pools_serve_only_lowest_without_a_filter)
{
    struct kva_request object = {.size = 48};
    uint64_t starts[64];
    struct kva_stats stats;

    begin(f, engine, 0, MIB - 1, 16, 64 * KIB);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(kva_alloc(&f->space, &object, &starts[i]), KVA_OK);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(kva_free(&f->space, starts[i]), KVA_OK);
    assert_int_equal(kva_stats_read(&f->space, &stats), KVA_OK);
    assert_true(stats.pooled_segments > 0);
    expect_at(f, nearest(48, HALF), MIB - 48);
    expect_at(f, by_random(48, HALF), 512 * KIB - 16); /* 65534 starts */
    expect_at(f, nearest(48, 512 * KIB), 512 * KIB + 32);
    struct part part = {256 * KIB, 257 * KIB};
    expect_at(f, filtered(object, leave_part, &part), 256 * KIB);
    tear_down(f);
}

/* The policy chooses after a flush as it does without one. */
ON_EACH_ENGINE(the_policy_holds_after_a_flush)
{
    uint64_t start;

    FOR_EACH_POLICY(i)
    {
        static const uint64_t want[] = {10, 46, 30, 40, 42};
        struct kva_request request = {.size = 4, .policy = all_policies[i], .target = 28};
        request.random = UINT64_MAX / 61 * 42 + 42; /* start 42 of [0, 60] */
        set_up(f, engine, 0, 63, 1);
        fill(f, 0, 9);
        fill(f, 10, 25);
        fill(f, 26, 29);
        fill(f, 30, 39); /* touches the next */
        fill(f, 40, 49);
        fill(f, 50, 63);
        assert_int_equal(kva_free_deferred(&f->space, 10), KVA_OK);
        assert_int_equal(kva_free_deferred(&f->space, 40), KVA_OK);
        if (request.policy == KVA_NEAREST)
            assert_int_equal(kva_free_deferred(&f->space, 30), KVA_OK);
        assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_OK);
        assert_int_equal(start, want[i]);
        assert_int_equal(f->flushes, 1);
        tear_down(f);
    }
}

/* An index by size reaches 2^58 quanta. A space that grows beyond that drops it, and finds the same. */
ON_EACH_ENGINE(a_space_that_outgrows_its_index)
{
    struct kva_request request = best(3);
    uint64_t start;

    set_up(f, engine, 0, (UINT64_C(1) << 58) - 1, 1);
    assert_int_equal(f->space.map->sizes != NULL, with_index);
    assert_int_equal(kva_reserve(&f->space, 10, 5, NULL, NULL), KVA_OK);
    assert_int_equal(kva_reserve(&f->space, 19, UINT64_C(1) << 57, NULL, NULL), KVA_OK);
    assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_OK);
    assert_int_equal(start, 15); /* of 10, 4 and very many bytes */
    assert_int_equal(kva_space_grow(&f->space, 0, TOP), KVA_OK);
    assert_null(f->space.map->sizes);
    f->last = TOP;
    assert_int_equal(kva_free(&f->space, start), KVA_OK);
    assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_OK);
    assert_int_equal(start, 15);
    request.size = 5;
    assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_OK);
    assert_int_equal(start, 0);
    tear_down(f);
}

/** Take free quanta upwards, each `step` above the last, until there is no memory for more. */
static uint64_t take_nodes(struct fixture *f, uint64_t at, uint64_t step)
{
    enum kva_status status = KVA_OK;

    while (status == KVA_OK) {
        status = kva_reserve(&f->space, at, 1, NULL, NULL);
        at += status == KVA_OK ? step : 0;
    }
    assert_int_equal(status, KVA_ENOMEM);
    return at;
}

/* A refused growth changes nothing: the index remains, although it would not reach that far. (bt needs no
 * memory to grow.) */
ON_EACH_ENGINE(a_refused_growth_keeps_the_index)
{
    const uint64_t last = (UINT64_C(1) << 58) - 1;

    set_up(f, engine, 0, last, 1);
    const struct kva_sizes *index = f->space.map->sizes;
    /* The added range becomes a separate hole. The index gets more memory than it needs, so that the engine
     * is what runs out. */
    assert_int_equal(kva_reserve(&f->space, last, 1, NULL, NULL), KVA_OK);
    assert_int_equal(kva_preload(&f->space, 1000), KVA_OK);
    kva_failing_memory_fail(&f->memory, 1, true);
    uint64_t refused = take_nodes(f, 2, 2); /* the middle of the hole takes most nodes, its end fewest */
    (void)take_nodes(f, refused - 1, 1);
    enum kva_status status = kva_space_grow(&f->space, 0, TOP);
    kva_failing_memory_fail(&f->memory, 0, false);
    if (engine == &kva_engine_rb)
        assert_int_equal(status, KVA_ENOMEM);
    if (status == KVA_ENOMEM) {
        assert_ptr_equal(f->space.map->sizes, index);
    } else {
        assert_int_equal(status, KVA_OK);
        f->last = TOP;
    }
    tear_down(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_space_that_outgrows_its_index),
        cmocka_unit_test(a_refused_growth_keeps_the_index),
        cmocka_unit_test(targets_inside_and_outside_holes),
        cmocka_unit_test(the_lower_of_two_at_equal_distance),
        cmocka_unit_test(targets_inside_and_outside_the_window),
        cmocka_unit_test(distances_beyond_half_of_64_bits),
        cmocka_unit_test(targets_at_both_ends_of_64_bits),
        cmocka_unit_test(nearest_in_coarse_quanta),
        cmocka_unit_test(nearest_of_a_shape),
        cmocka_unit_test(code_near_libraries),
        cmocka_unit_test(trampolines_near_a_function),
        cmocka_unit_test(best_takes_the_smallest_hole),
        cmocka_unit_test(best_measures_whole_holes),
        cmocka_unit_test(best_of_a_shape),
        cmocka_unit_test(best_leaves_the_large_hole_whole),
        cmocka_unit_test(best_at_both_ends_of_64_bits),
        cmocka_unit_test(random_starts_are_equally_frequent),
        cmocka_unit_test(starts_outside_the_space_are_not_counted),
        cmocka_unit_test(random_among_2_to_the_64_starts),
        cmocka_unit_test(random_takes_the_next_free_start),
        cmocka_unit_test(boundaries_do_not_change_the_number_of_starts),
        cmocka_unit_test(no_start_in_the_window),
        cmocka_unit_test(filters_that_refuse_and_that_widen),
        cmocka_unit_test(filters_that_leave_a_part),
        cmocka_unit_test(filters_at_both_ends_of_64_bits),
        cmocka_unit_test(filters_are_called_in_the_order_of_the_policy),
        cmocka_unit_test(filters_are_not_called_after_a_place_is_found),
        cmocka_unit_test(filters_receive_the_neighbours),
        cmocka_unit_test(filters_of_an_empty_space),
        cmocka_unit_test(an_absent_range_is_no_neighbour),
        cmocka_unit_test(filters_receive_the_objects_of_pools),
        cmocka_unit_test(guard_gaps_between_owners),
        cmocka_unit_test(requests_that_may_not_block),
        cmocka_unit_test(pools_might_make_room),
        cmocka_unit_test(searches_from_callbacks),
        cmocka_unit_test(callbacks_receive_the_whole_request),
        cmocka_unit_test(one_eviction_makes_the_request_fit),
        cmocka_unit_test(no_eviction_outside_the_window),
        cmocka_unit_test(preloaded_choices_need_no_memory),
        cmocka_unit_test(pools_serve_only_lowest_without_a_filter),
        cmocka_unit_test(the_policy_holds_after_a_flush),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
