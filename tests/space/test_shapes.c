/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Shapes in use: alignments that are not powers of two, phases, boundaries that a range must not cross. Each
 * expected address is worked out by hand, for both policies.
 */
#include "../common/harness.h"
#include "../common/picture.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/threads.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

#define TOP UINT64_MAX
#define HALF (UINT64_C(1) << 63)
#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)
#define PAGE (4 * KIB)

struct fixture {
    struct kva_space space;
    struct kva_failing_memory memory;
    uint64_t first;
    uint64_t last;
};

static void begin(struct fixture *f, const struct kva_engine *engine, uint64_t first, uint64_t last,
                  uint64_t quantum, uint64_t pool_bytes)
{
    struct kva_config config = {
        .first = first, .last = last, .quantum = quantum, .engine = engine, .pool_bytes = pool_bytes};

    memset(f, 0, sizeof(*f));
    f->first = first;
    f->last = last;
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

static struct kva_request highest(struct kva_request request)
{
    request.policy = KVA_HIGHEST;
    return request;
}

static struct kva_request within(struct kva_request request, uint64_t min, uint64_t max)
{
    request.min = min;
    request.max = max;
    return request;
}

static void expect_at(struct fixture *f, struct kva_request request, uint64_t want)
{
    uint64_t start = ~want;
    enum kva_status status = kva_alloc(&f->space, &request, &start);

    check_that(status == KVA_OK && start == want,
               "size %#" PRIx64 " align %#" PRIx64 " phase %#" PRIx64 " nocross %#" PRIx64
               ": KVA_OK, %#" PRIx64 " expected; %s, %#" PRIx64 " found",
               request.size, request.align, request.phase, request.nocross, want, kva_status_name(status),
               start);
}

/** As expect_at; then the range is freed. */
static void expect_would_be_at(struct fixture *f, struct kva_request request, uint64_t want)
{
    expect_at(f, request, want);
    assert_int_equal(kva_free(&f->space, want), KVA_OK);
}

static void expect_no_space(struct fixture *f, struct kva_request request)
{
    uint64_t start = 1;
    enum kva_status status = kva_alloc(&f->space, &request, &start);

    check_that(status == KVA_ENOSPC && start == 1, "KVA_ENOSPC expected; %s, %#" PRIx64 " found",
               kva_status_name(status), start);
}

static void reserve(struct fixture *f, uint64_t start, uint64_t size)
{
    assert_int_equal(kva_reserve(&f->space, start, size, NULL, NULL), KVA_OK);
}

/** One test on each engine. */
#define ON_EACH_ENGINE(name)                                                                                 \
    static void name##_on(struct fixture *f, const struct kva_engine *engine);                               \
    static void name(void **state)                                                                           \
    {                                                                                                        \
        static struct fixture fixture;                                                                       \
        const struct kva_engine *engine;                                                                     \
        (void)state;                                                                                         \
        for_each_engine (engine, e)                                                                          \
            name##_on(&fixture, engine);                                                                     \
    }                                                                                                        \
    static void name##_on(struct fixture *f, const struct kva_engine *engine)

/* ------------------------------------------------------------------------------------- one word at a time */

/* Vertices of 12 bytes: a draw call counts in vertices from the start of the buffer. */
ON_EACH_ENGINE(vertices_of_12_bytes)
{
    const struct kva_request vertices = {.size = UINT64_C(12) * 251, .align = 12};

    set_up(f, engine, 0, 64 * MIB - 1, 1);
    expect_at(f, vertices, 0);
    reserve(f, 3012, 1);
    expect_at(f, vertices, 3024);
    expect_at(f, highest(vertices), 67105848); /* 2^26 - 3012 - 4: 2^26 % 12 is 4 */
    expect_at(f, within(vertices, 6037, TOP), 6048);
    expect_at(f, highest(within(vertices, 0, 20000)), 16980); /* 20001 - 3012 is 16989 */
    tear_down(f);
}

/* The power of two above the alignment finds nothing here; the one that divides it finds a wrong place. */
ON_EACH_ENGINE(no_power_of_two_is_equivalent)
{
    set_up(f, engine, 0, 63, 1);
    reserve(f, 0, 24);
    reserve(f, 40, 24);
    expect_would_be_at(f, (struct kva_request){.size = 4, .align = 4}, 24);
    expect_no_space(f, (struct kva_request){.size = 4, .align = 16, .min = 33, .max = TOP});
    expect_would_be_at(f, (struct kva_request){.size = 4, .align = 12}, 24);
    expect_would_be_at(f, (struct kva_request){.size = 4, .align = 12, .min = 25, .max = TOP}, 36);
    expect_would_be_at(f, highest((struct kva_request){.size = 4, .align = 12}), 36);
    expect_no_space(f, (struct kva_request){.size = 5, .align = 12, .min = 25, .max = TOP});
    tear_down(f);
}

/* The hole and the request are both 0x1800 long; 0x6000, the hole's end, and 0x4000 lie outside. */
ON_EACH_ENGINE(a_hole_between_two_boundaries)
{
    struct kva_request request = {.size = 0x1800, .nocross = 0x4000};

    set_up(f, engine, 0, 0xffff, 1);
    reserve(f, 0, 0x4800);
    reserve(f, 0x6000, 0xa000);
    expect_no_space(f, (struct kva_request){.size = 0x1800, .align = 0x2000});
    expect_would_be_at(f, request, 0x4800);
    expect_would_be_at(f, highest(request), 0x4800);
    request.nocross = 0x2000;
    expect_would_be_at(f, request, 0x4800);
    request.size = 0x1000;
    request.nocross = 0x1000;
    expect_would_be_at(f, request, 0x5000);
    expect_would_be_at(f, highest(request), 0x5000);
    request.size = 0x800;
    expect_would_be_at(f, request, 0x4800);
    expect_would_be_at(f, highest(request), 0x5800);
    tear_down(f);
}

ON_EACH_ENGINE(a_hole_of_one_phase)
{
    struct kva_request request = {.size = 0x1000, .align = 0x1000, .phase = 0x10};

    set_up(f, engine, 0, 0xffff, 1);
    reserve(f, 0, 0x1010);
    reserve(f, 0x2010, 0xdff0);
    expect_no_space(f, (struct kva_request){.size = 0x1000, .align = 0x1000});
    expect_would_be_at(f, request, 0x1010);
    expect_would_be_at(f, highest(request), 0x1010);
    request.phase = 0x11;
    expect_no_space(f, request);
    request.size = 0xfff;
    expect_would_be_at(f, request, 0x1011);
    request.phase = 0xf;
    expect_no_space(f, request);
    tear_down(f);
}

/* ------------------------------------------------------------------------------------------ from practice */

/* A base address register decodes a power of two at a multiple of it. A boundary of that size is
 * equivalent. */
ON_EACH_ENGINE(registers_of_devices)
{
    static const struct {
        uint64_t size, low, high;
    } bars[] = {
        {64 * KIB, 0xe0010000, 0xeffe0000}, /* the first page and the last one are busy */
        {16 * MIB, 0xe1000000, 0xee000000}, {PAGE, 0xe0001000, 0xefffe000},
        {MIB, 0xe0100000, 0xefe00000},      {64 * MIB, 0xe4000000, 0xe8000000},
    };

    set_up(f, engine, 0xe0000000, 0xefffffff, PAGE);
    reserve(f, 0xe0000000, PAGE);
    reserve(f, 0xeffff000, PAGE);
    for (size_t i = 0; i < sizeof(bars) / sizeof(bars[0]); i++) {
        const struct kva_request aligned = {.size = bars[i].size, .align = bars[i].size};
        const struct kva_request bounded = {.size = bars[i].size, .nocross = bars[i].size};

        expect_would_be_at(f, aligned, bars[i].low);
        expect_would_be_at(f, highest(aligned), bars[i].high);
        expect_at(f, bounded, bars[i].low);
        expect_at(f, highest(bounded), bars[i].high);
    }
    expect_no_space(f, (struct kva_request){.size = 128 * MIB, .nocross = 128 * MIB});
    tear_down(f);
}

/* Code begins with a header of 64 bytes; the entry after it is page-aligned, within 2 GiB of the runtime. */
ON_EACH_ENGINE(compiled_code_after_a_header)
{
    const uint64_t runtime = UINT64_C(0x7f0000000000);
    const struct kva_request code = {.size = 0x2040,
                                     .align = PAGE,
                                     .phase = PAGE - 64,
                                     .min = runtime - 2 * GIB,
                                     .max = runtime + 2 * GIB - 1};

    set_up(f, engine, 0, UINT64_C(0x7fffffffffff), 16);
    reserve(f, runtime - 2 * GIB, 4096);
    expect_at(f, code, runtime - 2 * GIB + 0x1fc0);
    expect_at(f, code, runtime - 2 * GIB + 0x4fc0); /* 0x3fc0 is the last page of the first one */
    expect_at(f, highest(code), runtime + 2 * GIB - 0x2040);
    expect_at(f, highest(code), runtime + 2 * GIB - 0x5040);
    tear_down(f);
}

/* A controller whose address counter has 16 bits, below 16 MiB. */
ON_EACH_ENGINE(transfers_within_64_kib)
{
    const struct kva_request large = {.size = 40 * KIB, .nocross = 64 * KIB, .max = 16 * MIB - 1};
    const struct kva_request small = {.size = 24 * KIB, .nocross = 64 * KIB, .max = 16 * MIB - 1};

    set_up(f, engine, 0, GIB - 1, 512);
    expect_at(f, large, 0);
    expect_at(f, large, 0x10000);
    expect_at(f, small, 0xa000);
    expect_at(f, small, 0x1a000);
    expect_at(f, small, 0x20000);
    expect_at(f, large, 0x26000); /* it ends with the block */
    expect_at(f, highest(large), 16 * MIB - 0xa000);
    expect_at(f, highest(large), 16 * MIB - 0x1a000);
    expect_at(f, highest(small), 16 * MIB - 0x10000);
    tear_down(f);
}

/* A device that adds 32 bits: all addresses of a buffer have one upper half. */
ON_EACH_ENGINE(transfers_within_4_gib)
{
    const struct kva_request ring = {.size = 128 * KIB, .nocross = 4 * GIB};

    set_up(f, engine, 4 * GIB - 64 * KIB, 12 * GIB + 64 * KIB - 1, PAGE);
    expect_at(f, ring, 4 * GIB);
    expect_at(f, highest(ring), 12 * GIB - 128 * KIB);
    expect_would_be_at(f, (struct kva_request){.size = 64 * KIB, .nocross = 4 * GIB}, 4 * GIB - 64 * KIB);
    expect_at(f, (struct kva_request){.size = 4 * GIB - 192 * KIB, .nocross = 4 * GIB}, 4 * GIB + 128 * KIB);
    reserve(f, 8 * GIB + 64 * KIB, 4 * GIB - 192 * KIB);
    expect_no_space(f, ring); /* half of the hole lies below 8 GiB, half above */
    expect_no_space(f, highest(ring));
    expect_at(f, (struct kva_request){.size = 128 * KIB}, 8 * GIB - 64 * KIB);
    tear_down(f);
}

/* Textures with rows of 1920 pixels of 4 bytes: a whole number of rows from the start of the heap, or 512
 * bytes into a row; some in blocks of 64 KiB. */
ON_EACH_ENGINE(textures_of_odd_rows)
{
    const uint64_t row = 7680;
    const struct kva_request texture = {.size = 5 * row, .align = row};
    const struct kva_request shifted = {.size = row - 512, .align = row, .phase = 512};
    const struct kva_request tiled = {.size = 5 * row, .align = row, .nocross = 64 * KIB};

    set_up(f, engine, 0, 256 * KIB - 1, 256);
    reserve(f, 0, 256);
    expect_at(f, shifted, 512);
    expect_at(f, texture, row);
    expect_at(f, highest(texture), 29 * row); /* 34 rows and 1024 bytes in total */
    /* Row 6 would end at 84480; 9 is the first that begins above 64 KiB. */
    expect_at(f, tiled, 9 * row);
    /* Rows 24 down to 21 would pass 196608, the last one at 199680; row 20 ends at 192000. */
    expect_at(f, highest(tiled), 20 * row);
    expect_at(f, highest(shifted), 28 * row + 512);
    expect_at(f, shifted, 6 * row + 512);
    tear_down(f);
}

/* ------------------------------------------------------------------------------------------- ends, quanta */

ON_EACH_ENGINE(both_ends_of_64_bits)
{
    struct kva_request request = {.size = 12, .align = 12};

    set_up(f, engine, 0, TOP, 1);
    expect_would_be_at(f, request, 0);
    expect_would_be_at(f, highest(request), TOP - 15); /* 2^64 % 12 is 4 */
    request.phase = 4;
    expect_would_be_at(f, request, 4);
    expect_would_be_at(f, highest(request), TOP - 11);
    request.phase = 5;
    expect_would_be_at(f, highest(request), TOP - 22);

    expect_at(f, (struct kva_request){.size = 1, .align = TOP}, 0);
    expect_at(f, (struct kva_request){.size = 1, .align = TOP}, TOP);
    expect_no_space(f, (struct kva_request){.size = 1, .align = TOP});
    expect_at(f, (struct kva_request){.size = 1, .align = TOP, .phase = TOP - 1}, TOP - 1);
    expect_no_space(f, (struct kva_request){.size = 2, .align = TOP, .phase = TOP - 2});
    expect_at(f, highest((struct kva_request){.size = 1, .align = TOP, .phase = TOP - 2}), TOP - 2);
    tear_down(f);
}

/* Half of all addresses, in one half: 2^63 % 3 is 2. */
ON_EACH_ENGINE(half_of_all_addresses)
{
    struct kva_request request = {.size = HALF, .nocross = HALF};

    set_up(f, engine, 0, TOP, 1);
    expect_would_be_at(f, request, 0);
    expect_would_be_at(f, highest(request), HALF);
    request.align = 3;
    expect_would_be_at(f, highest(request), 0);
    request.phase = 2;
    expect_would_be_at(f, request, HALF);
    expect_would_be_at(f, highest(request), HALF);
    request.phase = 1;
    expect_no_space(f, request);
    expect_no_space(f, highest(request));
    request.size = HALF - 1;
    expect_would_be_at(f, request, 1);
    expect_would_be_at(f, highest(request), 1);
    tear_down(f);
}

/* Trial of every multiple of 2^32 - 1 would take 10^9 steps: the k-th lies k below a multiple of 2^32. */
ON_EACH_ENGINE(a_start_far_away)
{
    const uint64_t stride = (UINT64_C(1) << 32) - 1;
    const struct kva_request request = {
        .size = GIB, .align = stride, .nocross = 4 * GIB, .min = stride, .max = TOP};
    const uint64_t want = GIB * stride; /* the 2^30-th is the first with room for 2^30 after it */

    set_up(f, engine, 0, TOP, 1);
    expect_would_be_at(f, request, want);
    expect_no_space(f, within(request, stride, want + GIB - 2));
    expect_no_space(f, within(request, 1, want - 1));
    expect_would_be_at(f, highest(within(request, 0, want - 1)), 0);
    expect_would_be_at(f, highest(within(request, stride, want + GIB - 1)), want);
    tear_down(f);
}

/** A space of 16 quanta: `want` lists all quanta at which the request, in quanta, can begin. */
static void expect_quanta(struct fixture *f, const struct kva_engine *engine, uint64_t quantum,
                          struct kva_request request, const unsigned *want, size_t count)
{
    set_up(f, engine, 0, 16 * quantum - 1, quantum);
    request.size *= quantum;
    request.align *= quantum;
    request.phase *= quantum;
    request.nocross *= quantum;
    for (size_t i = 0; i < count; i++)
        expect_would_be_at(f, within(request, i ? (want[i - 1] + 1) * quantum : 0, TOP), want[i] * quantum);
    if (want[count - 1] < 15)
        expect_no_space(f, within(request, (want[count - 1] + 1) * quantum, TOP));
    for (size_t i = count; i-- > 0;)
        expect_at(f, highest(request), want[i] * quantum);
    expect_no_space(f, highest(request));
    tear_down(f);
}

/* 2^60: all 2^64 addresses in 16 quanta, the last of which ends at 2^64 - 1. */
ON_EACH_ENGINE(any_quantum)
{
    static const uint64_t quanta[] = {1, PAGE, UINT64_C(1) << 60};
    static const unsigned threes[] = {0, 3, 6, 9, 12, 15};
    static const unsigned fives[] = {4, 9, 14};
    static const unsigned in_fours[] = {0, 6, 9, 12};
    static const unsigned in_fours_from_1[] = {1, 4, 10, 13};

    for (size_t i = 0; i < sizeof(quanta) / sizeof(quanta[0]); i++) {
        expect_quanta(f, engine, quanta[i], (struct kva_request){.size = 1, .align = 3}, threes, 6);
        expect_quanta(f, engine, quanta[i], (struct kva_request){.size = 2, .align = 5, .phase = 4}, fives,
                      3);
        expect_quanta(f, engine, quanta[i], (struct kva_request){.size = 2, .align = 3, .nocross = 4},
                      in_fours, 4);
        expect_quanta(f, engine, quanta[i],
                      (struct kva_request){.size = 2, .align = 3, .phase = 1, .nocross = 4}, in_fours_from_1,
                      4);
    }
}

/* The size is rounded up before it is compared with a boundary; an alignment below the quantum is raised to
 * it. */
ON_EACH_ENGINE(small_words_in_a_coarse_quantum)
{
    set_up(f, engine, 0, 16 * PAGE - 1, PAGE);
    reserve(f, 0, PAGE);
    expect_would_be_at(f, (struct kva_request){.size = PAGE + 1, .align = 1, .nocross = 2 * PAGE}, 2 * PAGE);
    expect_would_be_at(f, (struct kva_request){.size = 1, .align = 2, .nocross = PAGE}, PAGE);
    expect_would_be_at(f, (struct kva_request){.size = 1, .align = 3 * PAGE, .min = 1, .max = TOP}, 3 * PAGE);
    tear_down(f);
}

/* A declared class helps only where every start is a multiple of it. */
ON_EACH_ENGINE(alignment_classes_promise_no_more)
{
    struct kva_config config = {.last = 1023, .quantum = 1, .engine = engine, .align_class = {8, 4, 64}};

    memset(f, 0, sizeof(*f));
    f->last = config.last;
    config.memory = kva_failing_memory_init(&f->memory);
    assert_int_equal(kva_space_init(&f->space, &config), KVA_OK);
    reserve(f, 0, 36);
    reserve(f, 40, 1024 - 40); /* the hole contains no multiple of 8 */
    expect_would_be_at(f, (struct kva_request){.size = 4, .align = 12}, 36);
    expect_would_be_at(f, (struct kva_request){.size = 4, .align = 8, .phase = 4}, 36);
    expect_would_be_at(f, (struct kva_request){.size = 3, .align = 8, .phase = 5}, 37);
    expect_would_be_at(f, highest((struct kva_request){.size = 2, .align = 9, .phase = 2}), 38);
    expect_would_be_at(f, (struct kva_request){.size = 4, .align = 100, .phase = 36}, 36);
    expect_would_be_at(f, (struct kva_request){.size = 4, .nocross = 4}, 36);
    tear_down(f);
}

/* -------------------------------------------------------------------------- congruent, flushed, preloaded */

static enum kva_status two_parts(struct fixture *f, struct kva_request request, uint64_t *base)
{
    const struct kva_part parts[2] = {{0, 5 * PAGE}, {9 * PAGE, 4 * PAGE + 1}};

    return kva_alloc_congruent(&f->space, &request, parts, 2, base);
}

static void expect_base(struct fixture *f, struct kva_request request, uint64_t want)
{
    uint64_t base = ~want;
    enum kva_status status = two_parts(f, request, &base);

    check_that(status == KVA_OK && base == want,
               "KVA_OK, base %#" PRIx64 " expected; %s, base %#" PRIx64 " found", want,
               kva_status_name(status), base);
}

/* In pages: the bases 1, 4, 7 ... for [base, base + 4] and [base + 9, base + 13]. */
ON_EACH_ENGINE(parts_have_the_shape)
{
    const struct kva_request request = {.align = 3 * PAGE, .phase = PAGE};
    uint64_t base = 1;

    set_up(f, engine, 0, 64 * PAGE - 1, PAGE);
    expect_base(f, request, 1 * PAGE);
    expect_base(f, request, 16 * PAGE); /* 10 to 14 are taken by the second part */
    expect_base(f, highest(request), 49 * PAGE);
    expect_base(f, request, 31 * PAGE); /* 25 to 29 are taken */
    assert_int_equal(two_parts(f, request, &base), KVA_ENOSPC);
    assert_int_equal(base, 1);
    tear_down(f);
}

/* A range that fits only after a flush has the shape. */
ON_EACH_ENGINE(the_shape_holds_after_a_flush)
{
    set_up(f, engine, 0, 63, 1);
    reserve(f, 0, 20);
    reserve(f, 20, 20);
    reserve(f, 40, 24);
    assert_int_equal(kva_free_deferred(&f->space, 20), KVA_OK);
    expect_at(f, (struct kva_request){.size = 7, .align = 7, .phase = 3, .nocross = 16}, 24);
    expect_at(f, highest((struct kva_request){.size = 7, .align = 7, .phase = 5, .nocross = 8}), 33);
    tear_down(f);
}

/* A shape takes no more nodes than a plain request, with pools or without. */
ON_EACH_ENGINE(preloaded_shapes_need_no_memory)
{
    static const struct kva_part parts[3] = {{0, PAGE}, {6 * PAGE, PAGE}, {9 * PAGE, 2 * PAGE}};
    enum { COUNT = 300 };

    for (unsigned pools = 0; pools < 2; pools++) {
        begin(f, engine, 0, GIB - 1, PAGE, pools ? MIB : 0);
        assert_int_equal(kva_preload(&f->space, 4 * COUNT), KVA_OK);
        kva_failing_memory_fail(&f->memory, 1, true);
        for (unsigned i = 0; i < COUNT; i++) {
            struct kva_request request = {.size = (1 + i % 3) * PAGE, .align = 7 * PAGE};
            request.phase = i % 7 * PAGE;
            request.nocross = i % 2 ? 8 * PAGE : 0;
            request.policy = i % 5 == 0 ? KVA_HIGHEST : KVA_LOWEST;
            uint64_t start;
            assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_OK);
            assert_true(start % request.align == request.phase);
            request.align = 3 * PAGE;
            request.phase = i % 3 * PAGE;
            request.nocross = 0;
            assert_int_equal(kva_alloc_congruent(&f->space, &request, parts, 3, &start), KVA_OK);
            assert_true(start % request.align == request.phase);
        }
        kva_failing_memory_fail(&f->memory, 0, false);
        tear_down(f);
    }
}

/** Allocate `count` ranges of one size and free them: pools then hold some of that size. */
static void fill_pools(struct fixture *f, uint64_t size, unsigned count)
{
    uint64_t starts[64];

    assert_true(count <= 64);
    for (unsigned i = 0; i < count; i++) {
        struct kva_request request = {.size = size};
        assert_int_equal(kva_alloc(&f->space, &request, &starts[i]), KVA_OK);
    }
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(kva_free(&f->space, starts[i]), KVA_OK);
}

/* Pooled ranges have no shape. */
ON_EACH_ENGINE(pools_serve_no_request_with_a_shape)
{
    struct kva_stats stats;

    begin(f, engine, 0, MIB - 1, 16, 64 * KIB);
    fill_pools(f, 48, 64);
    fill_pools(f, 16, 64);
    assert_int_equal(kva_stats_read(&f->space, &stats), KVA_OK);
    assert_true(stats.pooled_bytes > 0);
    for (unsigned i = 0; i < 32; i++) {
        struct kva_request phased = {.size = 16, .phase = 48, .align = 64};
        struct kva_request bounded = {.size = 48, .nocross = 64};
        struct kva_request thrice = {.size = 16, .align = 48};
        uint64_t start;
        assert_int_equal(kva_alloc(&f->space, &phased, &start), KVA_OK);
        assert_int_equal(start % 64, 48);
        assert_int_equal(kva_alloc(&f->space, &bounded, &start), KVA_OK);
        assert_int_equal(start / 64, (start + 47) / 64);
        assert_int_equal(kva_alloc(&f->space, &thrice, &start), KVA_OK);
        assert_int_equal(start % 48, 0);
    }
    tear_down(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vertices_of_12_bytes),
        cmocka_unit_test(no_power_of_two_is_equivalent),
        cmocka_unit_test(a_hole_between_two_boundaries),
        cmocka_unit_test(a_hole_of_one_phase),
        cmocka_unit_test(registers_of_devices),
        cmocka_unit_test(compiled_code_after_a_header),
        cmocka_unit_test(transfers_within_64_kib),
        cmocka_unit_test(transfers_within_4_gib),
        cmocka_unit_test(textures_of_odd_rows),
        cmocka_unit_test(both_ends_of_64_bits),
        cmocka_unit_test(half_of_all_addresses),
        cmocka_unit_test(a_start_far_away),
        cmocka_unit_test(any_quantum),
        cmocka_unit_test(small_words_in_a_coarse_quantum),
        cmocka_unit_test(alignment_classes_promise_no_more),
        cmocka_unit_test(parts_have_the_shape),
        cmocka_unit_test(the_shape_holds_after_a_flush),
        cmocka_unit_test(preloaded_shapes_need_no_memory),
        cmocka_unit_test(pools_serve_no_request_with_a_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
