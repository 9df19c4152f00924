/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Edge cases: both ends of 64 bits, the largest sizes and alignments, rounding, and minor guarantees of
 * kva.h. */
#include "../common/harness.h"
#include "../common/picture.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <stdlib.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

#define TOP UINT64_MAX
#define HALF (UINT64_C(1) << 63)
#define PAGE UINT64_C(0x1000)
#define MIB2 (UINT64_C(2) << 20)

struct fixture {
    struct kva_space space;
    struct kva_failing_memory memory;
    uint64_t first;
    uint64_t last;
};

static void set_up(struct fixture *f, const struct kva_engine *engine, uint64_t first, uint64_t last,
                   uint64_t quantum)
{
    struct kva_config config = {0};

    memset(f, 0, sizeof(*f));
    f->first = config.first = first;
    f->last = config.last = last;
    config.quantum = quantum;
    config.engine = engine;
    config.memory = kva_failing_memory_init(&f->memory);
    assert_int_equal(kva_space_init(&f->space, &config), KVA_OK);
}

static void tear_down(struct fixture *f)
{
    test_expect_sound(&f->space, f->first, f->last);
    assert_int_equal(kva_space_abandon(&f->space), KVA_OK);
    assert_int_equal(f->memory.blocks, 0);
}

static struct kva_request of(uint64_t size, uint64_t align, uint64_t min, uint64_t max,
                             enum kva_policy policy)
{
    struct kva_request request = kva_request_of(size);
    request.align = align;
    request.min = min;
    request.max = max;
    request.policy = policy;
    return request;
}

static void expect_at(struct fixture *f, struct kva_request request, uint64_t want)
{
    uint64_t start = ~want;
    enum kva_status status = kva_alloc(&f->space, &request, &start);
    check_that(status == KVA_OK && start == want, "KVA_OK, %#" PRIx64 " expected; %s, %#" PRIx64 " found",
               want, kva_status_name(status), start);
}

static void expect_no_space(struct fixture *f, struct kva_request request)
{
    uint64_t start = 1;
    enum kva_status status = kva_alloc(&f->space, &request, &start);
    check_that(status == KVA_ENOSPC && start == 1, "KVA_ENOSPC expected; %s, %#" PRIx64 " found",
               kva_status_name(status), start);
}

static void expect_free(struct fixture *f, uint64_t start)
{
    assert_int_equal(kva_free(&f->space, start), KVA_OK);
}

static struct kva_stats stats_of(const struct fixture *f)
{
    struct kva_stats stats;
    assert_int_equal(kva_stats_read(&f->space, &stats), KVA_OK);
    return stats;
}

/* ------------------------------------------------------------------------------------- all 2^64 addresses */

static void the_space_of_all_addresses(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine, 0, TOP, 1);
        assert_int_equal(stats_of(&f).free_bytes, TOP); /* 2^64, saturated */
        assert_int_equal(stats_of(&f).largest_free, TOP);
        assert_int_equal(stats_of(&f).free_segments, 1);

        expect_at(&f, of(TOP, 1, 0, TOP, KVA_LOWEST), 0);
        assert_int_equal(stats_of(&f).free_bytes, 1);
        assert_int_equal(stats_of(&f).busy_bytes, TOP);
        expect_at(&f, of(1, 1, 0, TOP, KVA_LOWEST), TOP);
        assert_int_equal(stats_of(&f).busy_bytes, TOP);
        assert_int_equal(stats_of(&f).free_bytes, 0);
        assert_int_equal(stats_of(&f).largest_free, 0);
        expect_no_space(&f, of(1, 1, 0, TOP, KVA_HIGHEST));
        test_expect_sound(&f.space, 0, TOP);

        expect_free(&f, 0);
        assert_int_equal(stats_of(&f).largest_free, TOP);
        expect_free(&f, TOP);
        assert_int_equal(stats_of(&f).free_segments, 1);
        assert_int_equal(stats_of(&f).free_bytes, TOP);

        expect_at(&f, of(TOP, 1, 0, TOP, KVA_HIGHEST), 1);
        expect_at(&f, of(1, 1, 0, TOP, KVA_HIGHEST), 0);
        expect_free(&f, 1);
        expect_free(&f, 0);
        tear_down(&f);
    }
}

static void ranges_that_end_at_the_top(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_segment segment;

        set_up(&f, engine, 0, TOP, 1);
        assert_int_equal(kva_reserve(&f.space, TOP, 1, NULL, NULL), KVA_OK);
        assert_int_equal(kva_reserve(&f.space, TOP, 2, NULL, NULL), KVA_EWRAP);
        assert_int_equal(kva_reserve(&f.space, TOP - 1, 1, NULL, NULL), KVA_OK);
        assert_int_equal(kva_find(&f.space, TOP, &segment), KVA_OK);
        assert_int_equal(segment.start, TOP);
        assert_int_equal(segment.last, TOP);
        assert_int_equal(kva_next(&f.space, &segment), KVA_ENOENT);
        assert_int_equal(kva_resize(&f.space, TOP, 2), KVA_EWRAP);
        expect_free(&f, TOP);
        assert_int_equal(kva_resize(&f.space, TOP - 1, 2), KVA_OK);
        assert_int_equal(kva_resize(&f.space, TOP - 1, 3), KVA_EWRAP);
        assert_int_equal(kva_free_range(&f.space, TOP, 1), KVA_OK);
        assert_int_equal(kva_resize(&f.space, TOP - 1, 2), KVA_OK);
        expect_free(&f, TOP - 1);
        assert_int_equal(stats_of(&f).free_segments, 1);
        tear_down(&f);
    }
}

static void address_0_is_an_ordinary_result(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_segment segment;

        set_up(&f, engine, 0, 99, 1);
        expect_at(&f, of(10, 1, 0, 0x9, KVA_HIGHEST), 0);
        assert_int_equal(kva_find(&f.space, 0, &segment), KVA_OK);
        assert_int_equal(segment.state, KVA_BUSY);
        assert_int_equal(kva_resize(&f.space, 0, 5), KVA_OK);
        assert_int_equal(kva_free_range(&f.space, 0, 2), KVA_OK);
        assert_int_equal(kva_reserve(&f.space, 0, 2, NULL, NULL), KVA_OK);
        assert_int_equal(kva_free_deferred(&f.space, 0), KVA_OK);
        assert_int_equal(kva_flush(&f.space), KVA_OK);
        expect_free(&f, 2);
        tear_down(&f);
    }
}

static void a_space_of_one_address(void **state)
{
    static const uint64_t places[] = {0, 1, HALF, TOP};
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (size_t i = 0; i < 4; i++) {
            static struct fixture f;

            set_up(&f, engine, places[i], places[i], 1);
            expect_no_space(&f, of(2, 1, 0, TOP, KVA_LOWEST));
            expect_at(&f, of(1, 1, 0, TOP, KVA_HIGHEST), places[i]);
            expect_no_space(&f, of(1, 1, 0, TOP, KVA_LOWEST));
            expect_free(&f, places[i]);
            assert_int_equal(stats_of(&f).largest_free, 1);
            tear_down(&f);
        }
    }
}

/* ---------------------------------------------------------------------------------------------- alignment */

static void the_largest_alignment(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine, 0, TOP, 1);
        expect_at(&f, of(HALF, HALF, 0, TOP, KVA_HIGHEST), HALF);
        expect_at(&f, of(1, HALF, 0, TOP, KVA_HIGHEST), 0);
        expect_no_space(&f, of(1, HALF, 0, TOP, KVA_LOWEST));
        expect_free(&f, 0);
        expect_at(&f, of(HALF, HALF, 0, TOP, KVA_LOWEST), 0);
        tear_down(&f);

        /* Rounding the start up would wrap: the result is "no space", not address 0. */
        set_up(&f, engine, HALF + 1, TOP, 1);
        expect_no_space(&f, of(1, HALF, 0, TOP, KVA_LOWEST));
        expect_no_space(&f, of(1, HALF, 0, TOP, KVA_HIGHEST));
        expect_at(&f, of(1, HALF / 2, 0, TOP, KVA_LOWEST), HALF + HALF / 2);
        tear_down(&f);
    }
}

/* A request that fits exactly, at every alignment and at both ends of the address range. A search for size +
 * align - 1 bytes would refuse all of these. */
static void an_exact_fit_is_found(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (unsigned shift = 0; shift < 63; shift++) {
            static struct fixture f;
            uint64_t align = UINT64_C(1) << shift;

            set_up(&f, engine, align, 2 * align - 1, 1);
            expect_at(&f, of(align, align, 0, TOP, KVA_LOWEST), align);
            expect_free(&f, align);
            expect_at(&f, of(align, align, 0, TOP, KVA_HIGHEST), align);
            tear_down(&f);

            set_up(&f, engine, TOP - align + 1, TOP, 1);
            expect_at(&f, of(align, align, 0, TOP, KVA_LOWEST), TOP - align + 1);
            tear_down(&f);
        }
    }
}

/* Holes that are long enough but miss the alignment by one page, below and above one that has it. */
static void one_aligned_hole_among_others(void **state)
{
    enum { HOLES = 40, PAGES = 512 };
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (int highest = 0; highest < 2; highest++) {
            for (uint64_t needle = 0; needle < HOLES; needle += 13) {
                static struct fixture f;
                uint64_t stride = 2 * MIB2;
                enum kva_policy policy = highest ? KVA_HIGHEST : KVA_LOWEST;

                set_up(&f, engine, 0, (HOLES + 1) * stride - 1, PAGE);
                uint64_t start;
                struct kva_request all = kva_request_of((HOLES + 1) * stride);
                assert_int_equal(kva_alloc(&f.space, &all, &start), KVA_OK);
                for (uint64_t i = 0; i < HOLES; i++) {
                    uint64_t hole = i * stride + (i == needle ? 0 : PAGE);
                    assert_int_equal(kva_free_range(&f.space, hole, PAGES * PAGE), KVA_OK);
                }
                expect_at(&f, of(PAGES * PAGE, MIB2, 0, TOP, policy), needle * stride);
                expect_no_space(&f, of(PAGES * PAGE, MIB2, 0, TOP, policy));
                expect_free(&f, needle * stride);
                /* A window that begins or ends one byte inside the aligned hole makes it too short. */
                expect_no_space(&f, of(PAGES * PAGE, MIB2, needle * stride + 1, TOP, policy));
                expect_no_space(&f, of(PAGES * PAGE, MIB2, 0, needle * stride + MIB2 - 2, policy));
                expect_at(&f, of(PAGES * PAGE, MIB2, needle * stride, needle * stride + MIB2 - 1, policy),
                          needle * stride);
                tear_down(&f);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------------------ windows */

static void window_edges(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine, 0x100, 0x1ff, 1);
        expect_no_space(&f, of(0x10, 1, 0x110, 0x11e, KVA_LOWEST)); /* one byte short */
        expect_at(&f, of(0x10, 1, 0x110, 0x11f, KVA_LOWEST), 0x110);
        expect_at(&f, of(0x10, 1, 0, 0x10f, KVA_HIGHEST), 0x100);  /* the window is cut to the space below */
        expect_at(&f, of(0x10, 1, 0x1f0, TOP, KVA_LOWEST), 0x1f0); /* and above */
        expect_at(&f, of(1, 1, 0, 0x120, KVA_HIGHEST), 0x120);     /* a window that ends inside a hole */
        expect_at(&f, of(1, 1, 0x121, TOP, KVA_LOWEST), 0x121);
        expect_no_space(&f, of(1, 1, 0x100, 0x10f, KVA_LOWEST)); /* all busy */
        /* The aligned address in the window lies outside the hole, or the other way round. */
        expect_at(&f, of(0x10, 0x10, 0x125, 0x1ff, KVA_LOWEST), 0x130);
        expect_at(&f, of(0x10, 0x10, 0x100, 0x1e5, KVA_HIGHEST), 0x1d0);
        expect_no_space(&f, of(0x10, 0x40, 0x141, 0x18e, KVA_HIGHEST));
        tear_down(&f);
    }
}

/* -------------------------------------------------------------------------------------------- the quantum */

static void sizes_are_rounded_up_to_the_quantum(void **state)
{
    static const uint64_t quanta[] = {2, PAGE, MIB2, UINT64_C(1) << 62};
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (size_t i = 0; i < 4; i++) {
            static struct fixture f;
            uint64_t q = quanta[i];
            struct kva_segment segment;

            set_up(&f, engine, 0, 4 * q - 1, q);
            expect_at(&f, of(1, 1, 0, TOP, KVA_LOWEST), 0);
            expect_at(&f, of(q + 1, 1, 0, TOP, KVA_LOWEST), q);
            assert_int_equal(kva_find(&f.space, 2 * q, &segment), KVA_OK);
            assert_int_equal(segment.start, q);
            assert_int_equal(segment.last, 3 * q - 1);
            assert_int_equal(stats_of(&f).busy_bytes, 3 * q);
            assert_int_equal(kva_resize(&f.space, q, q - 1), KVA_OK);
            assert_int_equal(kva_reserve(&f.space, 2 * q, 1, NULL, NULL), KVA_OK);
            assert_int_equal(kva_reserve(&f.space, 3 * q, q, NULL, NULL), KVA_OK);
            expect_no_space(&f, of(1, 1, 0, TOP, KVA_LOWEST));
            expect_free(&f, 2 * q);
            /* The window need not be aligned; the range must lie wholly inside it. */
            expect_no_space(&f, of(1, 1, 2 * q + 1, TOP, KVA_LOWEST));
            expect_at(&f, of(1, 1, 2 * q - 1, 3 * q - 1, KVA_LOWEST), 2 * q);
            assert_int_equal(kva_free_range(&f.space, 2 * q, q - 1), KVA_OK);
            tear_down(&f);
        }
    }
}

static void the_largest_quantum(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_request too_large = kva_request_of(HALF + 1);
        uint64_t start;

        set_up(&f, engine, 0, TOP, HALF);
        assert_int_equal(kva_alloc(&f.space, &too_large, &start), KVA_EWRAP);
        expect_at(&f, of(1, 1, 0, TOP, KVA_HIGHEST), HALF);
        expect_at(&f, of(HALF, HALF, 0, TOP, KVA_HIGHEST), 0);
        assert_int_equal(stats_of(&f).busy_bytes, TOP);
        assert_int_equal(stats_of(&f).busy_segments, 2);
        tear_down(&f);
    }
}

static void quantum_0_means_1(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, &kva_engine_rb, 3, 9, 0);
    expect_at(&f, of(1, 1, 4, TOP, KVA_LOWEST), 4);
    tear_down(&f);
}

/* ---------------------------------------------------------------------------------------------- the space */

static void growth_at_both_ends(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine, HALF, HALF + 9, 1);
        assert_int_equal(kva_space_grow(&f.space, HALF, HALF + 10), KVA_OK); /* merges with the free end */
        assert_int_equal(stats_of(&f).free_segments, 1);
        expect_at(&f, of(11, 1, 0, TOP, KVA_LOWEST), HALF);
        assert_int_equal(kva_space_grow(&f.space, HALF - 1, HALF + 11),
                         KVA_OK); /* next to busy ends: new holes */
        assert_int_equal(stats_of(&f).free_segments, 2);
        assert_int_equal(stats_of(&f).largest_free, 1);
        assert_int_equal(kva_space_grow(&f.space, 0, TOP), KVA_OK);
        assert_int_equal(stats_of(&f).free_segments, 2);
        assert_int_equal(stats_of(&f).largest_free, HALF);
        expect_free(&f, HALF);
        assert_int_equal(stats_of(&f).free_bytes, TOP);
        expect_at(&f, of(1, 1, 0, TOP, KVA_HIGHEST), TOP);
        expect_at(&f, of(1, 1, 0, TOP, KVA_LOWEST), 0);
        f.first = 0;
        f.last = TOP;
        tear_down(&f);
    }
}

/* A deferred segment at an end is not free: growth next to it makes a new hole. */
static void growth_beside_deferred_segments(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine, 10, 19, 1);
        expect_at(&f, of(10, 1, 0, TOP, KVA_LOWEST), 10);
        assert_int_equal(kva_free_deferred(&f.space, 10), KVA_OK);
        assert_int_equal(kva_space_grow(&f.space, 0, 29), KVA_OK);
        assert_int_equal(stats_of(&f).free_segments, 2);
        f.first = 0;
        f.last = 29;
        test_expect_sound(&f.space, 0, 29);
        assert_int_equal(kva_flush(&f.space), KVA_OK);
        assert_int_equal(stats_of(&f).free_segments, 1);
        tear_down(&f);
    }
}

/** A segment of an expected listing. */
struct listed {
    uint64_t start, last;
    enum kva_state state;
};

static void expect_listing(const struct fixture *f, const struct listed *expected, size_t count)
{
    struct test_picture picture = {0};
    test_picture_take(&picture, &f->space);
    assert_int_equal(picture.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(picture.segments[i].start, expected[i].start);
        assert_int_equal(picture.segments[i].last, expected[i].last);
        assert_int_equal(picture.segments[i].state, expected[i].state);
    }
    test_picture_drop(&picture);
}

static void busy_ranges_of_the_configuration(void **state)
{
    static int a, b;
    static const struct kva_range busy[] = {
        {TOP - 0xfff, PAGE, &a}, {0x5000, 1, &b},      {0, PAGE, NULL},
        {0x6000, 0x1001, NULL},  {0x4000, PAGE, NULL},
    };
    static const struct listed expected[] = {
        {0, 0xfff, KVA_BUSY},         {0x1000, 0x3fff, KVA_FREE}, {0x4000, 0x4fff, KVA_BUSY},
        {0x5000, 0x5fff, KVA_BUSY},   {0x6000, 0x7fff, KVA_BUSY}, {0x8000, TOP - PAGE, KVA_FREE},
        {TOP - 0xfff, TOP, KVA_BUSY},
    };
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_config config = {0};
        struct kva_segment segment;

        memset(&f, 0, sizeof(f));
        config.last = f.last = TOP;
        config.quantum = PAGE;
        config.engine = engine;
        config.memory = kva_failing_memory_init(&f.memory);
        config.busy = busy; /* unsorted; three of them touch; one is rounded up */
        config.busy_count = sizeof(busy) / sizeof(busy[0]);
        assert_int_equal(kva_space_init(&f.space, &config), KVA_OK);
        expect_listing(&f, expected, sizeof(expected) / sizeof(expected[0]));
        assert_int_equal(kva_find(&f.space, TOP, &segment), KVA_OK);
        assert_ptr_equal(segment.owner, &a);
        assert_int_equal(kva_find(&f.space, 0x5fff, &segment), KVA_OK);
        assert_ptr_equal(segment.owner, &b);
        /* They behave like any other busy segment. */
        expect_free(&f, 0x5000);
        expect_free(&f, TOP - 0xfff);
        tear_down(&f);
    }
}

static void a_space_that_is_all_busy(void **state)
{
    static const struct kva_range all[] = {{HALF, HALF, NULL}, {0, HALF, NULL}};
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_config config = {0};

        memset(&f, 0, sizeof(f));
        config.last = f.last = TOP;
        config.engine = engine;
        config.memory = kva_failing_memory_init(&f.memory);
        config.busy = all;
        config.busy_count = 2;
        assert_int_equal(kva_space_init(&f.space, &config), KVA_OK);
        assert_int_equal(stats_of(&f).busy_bytes, TOP);
        assert_int_equal(stats_of(&f).free_segments, 0);
        expect_no_space(&f, of(1, 1, 0, TOP, KVA_LOWEST));
        expect_free(&f, HALF);
        expect_free(&f, 0);
        assert_int_equal(stats_of(&f).free_segments, 1);
        tear_down(&f);
    }
}

static void fini_and_abandon(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine, 0, 99, 1);
        expect_at(&f, of(10, 1, 0, TOP, KVA_LOWEST), 0);
        assert_int_equal(kva_space_fini(&f.space), KVA_EBUSY);
        expect_at(&f, of(10, 1, 0, TOP, KVA_LOWEST), 10); /* the refused call left the space in use */
        expect_free(&f, 0);
        expect_free(&f, 10);
        assert_int_equal(kva_space_fini(&f.space), KVA_OK);
        assert_int_equal(f.memory.blocks, 0);

        set_up(&f, engine, 0, 99, 1); /* the same memory is used again */
        expect_at(&f, of(10, 1, 0, TOP, KVA_LOWEST), 0);
        assert_int_equal(kva_space_abandon(&f.space), KVA_OK);
        assert_int_equal(f.memory.blocks, 0);
    }
}

/* -------------------------------------------------------------------------------------------------- arena */

static void a_fixed_arena_until_it_is_full(void **state)
{
    static _Alignas(max_align_t) unsigned char room[16384];
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        struct kva_space space;
        struct kva_arena arena;
        struct kva_config config = {0};
        uint64_t count = 0;

        memset(&space, 0, sizeof(space));
        config.last = TOP;
        config.engine = engine;
        config.memory = kva_arena_init(&arena, room, sizeof(room));
        assert_int_equal(kva_space_init(&space, &config), KVA_OK);
        for (int round = 0; round < 3; round++) {
            uint64_t n = 0;
            while (kva_reserve(&space, 2 * n + 1, 1, NULL, NULL) == KVA_OK)
                n++;
            assert_int_equal(kva_reserve(&space, 2 * n + 1, 1, NULL, NULL), KVA_ENOMEM);
            assert_int_equal(kva_space_check(&space, NULL), KVA_OK);
            assert_true(round == 0 ? n >= 32 : n == count); /* all freed nodes are reused */
            count = n;
            for (uint64_t i = 0; i < n; i++) /* the odd ones, then the even ones downwards */
                assert_int_equal(kva_free(&space, 2 * (i < n / 2 ? 2 * i + 1 : 2 * (n - 1 - i)) + 1), KVA_OK);
        }
        assert_int_equal(kva_space_fini(&space), KVA_OK);
    }
}

static void an_arena_that_is_too_small(void **state)
{
    static _Alignas(max_align_t) unsigned char room[600];
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (size_t bytes = 0; bytes <= sizeof(room); bytes += 20) {
            struct kva_space space;
            struct kva_arena arena;
            struct kva_config config = {0};

            config.last = TOP;
            config.engine = engine;
            config.memory = kva_arena_init(&arena, room, bytes);
            enum kva_status status = kva_space_init(&space, &config);
            assert_true(status == KVA_ENOMEM || (status == KVA_OK && bytes > 100));
            if (status == KVA_OK)
                assert_int_equal(kva_space_fini(&space), KVA_OK);
            else
                assert_int_equal(kva_flush(&space), KVA_ENULL);
        }
    }
}

/* ------------------------------------------------------------------------------------- dump and iteration */

struct lines {
    char text[8][128];
    size_t count;
};

static void keep_line(void *context, const char *text, size_t length)
{
    struct lines *lines = context;
    assert_int_equal(strlen(text), length);
    assert_true(lines->count < 8 && length < 128);
    assert_null(strchr(text, '\n'));
    strcpy(lines->text[lines->count++], text);
}

static void the_dump_has_one_line_per_segment(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct lines lines = {{{0}}, 0};
        const char *owned = "0x0000000000001000-0x0000000000002fff 8192 busy owner 0x";

        set_up(&f, engine, 0x1000, TOP, PAGE);
        assert_int_equal(kva_reserve(&f.space, 0x1000, 0x2000, (void *)(uintptr_t)0x7ffd5c3e, NULL), KVA_OK);
        assert_int_equal(kva_reserve(&f.space, 0x9000, 0x1000, NULL, NULL), KVA_OK);
        assert_int_equal(kva_reserve(&f.space, 0xa000, 0x1000, NULL, NULL), KVA_OK);
        assert_int_equal(kva_free_deferred(&f.space, 0xa000), KVA_OK);
        assert_int_equal(kva_space_dump(&f.space, keep_line, &lines), KVA_OK);
        assert_int_equal(lines.count, 5);
        assert_memory_equal(lines.text[0], owned, strlen(owned));
        assert_int_equal(strtoull(lines.text[0] + strlen(owned), NULL, 16), 0x7ffd5c3e);
        assert_string_equal(lines.text[1], "0x0000000000003000-0x0000000000008fff 24576 free");
        assert_string_equal(lines.text[2], "0x0000000000009000-0x0000000000009fff 4096 busy");
        assert_string_equal(lines.text[3], "0x000000000000a000-0x000000000000afff 4096 deferred");
        assert_string_equal(lines.text[4], "0x000000000000b000-0xffffffffffffffff 18446744073709506560 free");
        tear_down(&f);

        memset(&lines, 0, sizeof(lines));
        set_up(&f, engine, 0, TOP, 1);
        assert_int_equal(kva_space_dump(&f.space, keep_line, &lines), KVA_OK);
        assert_int_equal(lines.count, 1);
        assert_string_equal(lines.text[0], "0x0000000000000000-0xffffffffffffffff 18446744073709551616 free");
        tear_down(&f);
    }
}

static void iteration_while_the_space_changes(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_segment segment;

        set_up(&f, engine, 0, 99, 1);
        for (uint64_t i = 0; i < 10; i++)
            assert_int_equal(kva_reserve(&f.space, 10 * i, 10, NULL, NULL), KVA_OK);
        /* Free each segment when it is visited: the next one is still found. */
        uint64_t visited = 0;
        for (enum kva_status s = kva_first(&f.space, &segment); s == KVA_OK;
             s = kva_next(&f.space, &segment)) {
            assert_int_equal(segment.start, 10 * visited);
            expect_free(&f, segment.start);
            visited++;
        }
        assert_int_equal(visited, 10);

        /* The segment after the last visited one now begins before its end. */
        assert_int_equal(kva_reserve(&f.space, 40, 10, NULL, NULL), KVA_OK);
        assert_int_equal(kva_first(&f.space, &segment), KVA_OK);
        assert_int_equal(segment.last, 39);
        expect_free(&f, 40);
        assert_int_equal(kva_next(&f.space, &segment), KVA_OK);
        assert_int_equal(segment.start, 0);
        assert_int_equal(segment.last, 99);
        assert_int_equal(kva_next(&f.space, &segment), KVA_ENOENT);
        assert_int_equal(segment.last, 99);
        tear_down(&f);
    }
}

/* ---------------------------------------------------------------------------------------------- congruent */

static void expect_base(struct fixture *f, struct kva_request request, const struct kva_part *parts,
                        size_t count, uint64_t want)
{
    uint64_t base = ~want;
    enum kva_status status = kva_alloc_congruent(&f->space, &request, parts, count, &base);
    check_that(status == KVA_OK && base == want,
               "KVA_OK, base %#" PRIx64 " expected; %s, base %#" PRIx64 " found", want,
               kva_status_name(status), base);
}

static void congruent_ranges_at_the_edges(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static const struct kva_part ends[] = {{0, 1}, {TOP, 1}};
        static const struct kva_part halves[] = {{0, HALF}, {HALF, HALF}};
        static const struct kva_part three[] = {{0, 1}, {5, 2}, {9, 1}};
        static struct fixture f;

        set_up(&f, engine, 0, TOP, 1);
        expect_base(&f, kva_request_of(0), ends, 2, 0); /* the size of the request is ignored */
        expect_free(&f, 0);
        expect_free(&f, TOP);
        expect_base(&f, kva_request_of(1), halves, 2, 0);
        expect_free(&f, 0);
        expect_free(&f, HALF);
        expect_base(&f, of(1, 1, 0, TOP, KVA_HIGHEST), three, 3, TOP - 9);
        expect_base(&f, of(1, 1, 0, TOP, KVA_HIGHEST), three, 3, TOP - 11); /* between the first ones */
        expect_base(&f, of(1, 1, 100, 109, KVA_LOWEST), three, 3, 100);     /* the window holds all parts */
        tear_down(&f);
    }
}

/* All or nothing: one part does not fit. */
static void congruent_ranges_all_or_none(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static const struct kva_part parts[] = {{0, 4}, {8, 4}};
        static struct fixture f;
        struct test_picture before = {0};
        struct kva_request request = kva_request_of(1);
        uint64_t base = 77;

        set_up(&f, engine, 0, 31, 1);
        assert_int_equal(kva_reserve(&f.space, 11, 1, NULL, NULL), KVA_OK);
        assert_int_equal(kva_reserve(&f.space, 20, 4, NULL, NULL), KVA_OK);
        request.max = 15;
        test_picture_take(&before, &f.space);
        assert_int_equal(kva_alloc_congruent(&f.space, &request, parts, 2, &base), KVA_OK);
        assert_int_equal(base, 4);
        expect_free(&f, 4);
        expect_free(&f, 12);
        request.max = 14;
        assert_int_equal(kva_alloc_congruent(&f.space, &request, parts, 2, &base), KVA_ENOSPC);
        assert_int_equal(base, 4);
        test_expect_same(&before, &f.space, "a congruent request that does not fit");
        test_picture_drop(&before);
        tear_down(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_space_of_all_addresses),
        cmocka_unit_test(ranges_that_end_at_the_top),
        cmocka_unit_test(address_0_is_an_ordinary_result),
        cmocka_unit_test(a_space_of_one_address),
        cmocka_unit_test(the_largest_alignment),
        cmocka_unit_test(an_exact_fit_is_found),
        cmocka_unit_test(one_aligned_hole_among_others),
        cmocka_unit_test(window_edges),
        cmocka_unit_test(sizes_are_rounded_up_to_the_quantum),
        cmocka_unit_test(the_largest_quantum),
        cmocka_unit_test(quantum_0_means_1),
        cmocka_unit_test(growth_at_both_ends),
        cmocka_unit_test(growth_beside_deferred_segments),
        cmocka_unit_test(busy_ranges_of_the_configuration),
        cmocka_unit_test(a_space_that_is_all_busy),
        cmocka_unit_test(fini_and_abandon),
        cmocka_unit_test(a_fixed_arena_until_it_is_full),
        cmocka_unit_test(an_arena_that_is_too_small),
        cmocka_unit_test(the_dump_has_one_line_per_segment),
        cmocka_unit_test(iteration_while_the_space_changes),
        cmocka_unit_test(congruent_ranges_at_the_edges),
        cmocka_unit_test(congruent_ranges_all_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
