/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The status table: every row of every Returns block of kva.h, deferred.h, ranges.h and evict.h that bad
 * input can provoke.
 *
 * Each case is one call on the same small space, with its expected status. Around each:
 *   - struct kva_space is the same byte for byte, and so are the listing and the statistics;
 *   - outputs are untouched;
 *   - the misuse hook is called exactly once, with the status, the public function's name and the address, if
 *     the status denotes misuse; otherwise it is not called.
 *
 *      0x10000   0x12000   0x20000   0x24000    0x26000   0x28000   0x40000   0x50000   0x8f000   0x8ffff
 *      | busy A  | free    | busy B  | deferred | busy C  | free    | absent  | free    | busy Z  |
 */
#include "../common/harness.h"
#include "../common/other.h"
#include "../common/picture.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/evict.h>
#include <kva/ranges.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

#define FIRST UINT64_C(0x10000)
#define LAST UINT64_C(0x8ffff)
#define PAGE UINT64_C(0x1000)
#define A UINT64_C(0x10000)
#define HOLE UINT64_C(0x12000)
#define B UINT64_C(0x20000)
#define DEFERRED UINT64_C(0x24000)
#define C UINT64_C(0x26000)
#define ABSENT UINT64_C(0x40000)
#define ABSENT_PAGES 16
#define Z UINT64_C(0x8f000)
#define TOP UINT64_MAX
#define UNTOUCHED UINT64_C(0x5ca1ab1e0ddba11)

struct hook_log {
    unsigned calls;
    struct kva_fault fault;
};

struct fixture {
    struct kva_space space;
    struct kva_failing_memory memory;
    struct hook_log misuse;
    struct hook_log corruption;
    struct kva_reclaim reclaim; /* registered */
    struct kva_reclaim foreign; /* not registered */
    unsigned flushes;
    /* Outputs of the calls; they begin as UNTOUCHED. */
    uint64_t start;
    struct kva_segment segment;
};

static void log_fault(void *context, const struct kva_fault *fault)
{
    struct fixture *fixture = context;
    struct hook_log *log = fault->status == KVA_ECORRUPT ? &fixture->corruption : &fixture->misuse;
    log->calls++;
    log->fault = *fault;
}

static void count_flush(void *context, uint64_t start, uint64_t last)
{
    struct fixture *fixture = context;
    (void)start;
    (void)last;
    fixture->flushes++;
}

static bool reclaim_nothing(void *context, struct kva_space *space, const struct kva_request *request)
{
    (void)context;
    (void)space;
    (void)request;
    return false;
}

static struct kva_config usual_config(struct fixture *fixture, const struct kva_engine *engine)
{
    struct kva_config config = {0};
    config.first = FIRST;
    config.last = LAST;
    config.quantum = PAGE;
    config.engine = engine;
    config.memory = kva_failing_memory_init(&fixture->memory);
    config.flush = count_flush;
    config.flush_context = fixture;
    config.on_misuse = log_fault;
    config.on_corruption = log_fault;
    config.hook_context = fixture;
    return config;
}

static void clear_outputs(struct fixture *fixture)
{
    memset(&fixture->misuse, 0, sizeof(fixture->misuse));
    fixture->start = UNTOUCHED;
    memset(&fixture->segment, 0, sizeof(fixture->segment));
    fixture->segment.start = UNTOUCHED;
    fixture->segment.last = UNTOUCHED;
}

static void set_up(struct fixture *fixture, const struct kva_engine *engine, uint64_t pool_bytes)
{
    static const struct kva_range busy[] = {
        {A, 2 * PAGE, NULL}, {B, 4 * PAGE, NULL}, {DEFERRED, 2 * PAGE, NULL},
        {C, 2 * PAGE, NULL}, {Z, PAGE, NULL},
    };
    struct kva_config config;

    memset(fixture, 0, sizeof(*fixture));
    config = usual_config(fixture, engine);
    config.busy = busy;
    config.busy_count = sizeof(busy) / sizeof(busy[0]);
    config.pool_bytes = pool_bytes;
    assert_int_equal(kva_space_init(&fixture->space, &config), KVA_OK);
    assert_int_equal(kva_free_deferred(&fixture->space, DEFERRED), KVA_OK);
    assert_int_equal(kva_space_remove(&fixture->space, ABSENT, ABSENT_PAGES * PAGE), KVA_OK);
    fixture->reclaim.callback = reclaim_nothing;
    fixture->foreign.callback = reclaim_nothing;
    assert_int_equal(kva_reclaim_add(&fixture->space, &fixture->reclaim), KVA_OK);
    assert_int_equal(fixture->misuse.calls, 0);
    clear_outputs(fixture);
}

static void tear_down(struct fixture *fixture)
{
    assert_int_equal(fixture->corruption.calls, 0);
    assert_int_equal(kva_space_abandon(&fixture->space), KVA_OK);
    assert_int_equal(fixture->memory.blocks, 0);
}

/* ------------------------------------------------------------------------------------- requests and parts */

/** A valid request, which a case spoils. */
static struct kva_request good(void)
{
    struct kva_request request = kva_request_of(PAGE);
    request.align = PAGE;
    return request;
}

static enum kva_status alloc(struct fixture *f, struct kva_request request)
{
    return kva_alloc(&f->space, &request, &f->start);
}

static const struct kva_part two_parts[2] = {{0, PAGE}, {2 * PAGE, PAGE}};

static enum kva_status congruent(struct fixture *f, struct kva_request request, struct kva_part second)
{
    struct kva_part parts[2] = {{0, PAGE}, {0, 0}};
    parts[1] = second;
    return kva_alloc_congruent(&f->space, &request, parts, 2, &f->start);
}

/** Define a case: one call, written in the table as `CALL(name, expression in f and request)`. */
#define CALL(name, expression)                                                                               \
    static enum kva_status name(struct fixture *f)                                                           \
    {                                                                                                        \
        return expression;                                                                                   \
    }

#define ALLOC(name, spoil)                                                                                   \
    static enum kva_status name(struct fixture *f)                                                           \
    {                                                                                                        \
        struct kva_request request = good();                                                                 \
        spoil;                                                                                               \
        return alloc(f, request);                                                                            \
    }                                                                                                        \
    static enum kva_status name##_congruent(struct fixture *f)                                               \
    {                                                                                                        \
        struct kva_request request = good();                                                                 \
        spoil;                                                                                               \
        return congruent(f, request, two_parts[1]);                                                          \
    }                                                                                                        \
    static enum kva_status name##_search(struct fixture *f)                                                  \
    {                                                                                                        \
        struct kva_request request = good();                                                                 \
        spoil;                                                                                               \
        return kva_search(&f->space, &request, &f->start);                                                   \
    }                                                                                                        \
    static enum kva_status name##_evict(struct fixture *f)                                                   \
    {                                                                                                        \
        struct kva_request request = good();                                                                 \
        struct kva_eviction eviction;                                                                        \
        spoil;                                                                                               \
        return kva_evict_begin(&f->space, &request, &eviction);                                              \
    }

CALL(alloc_null_request, kva_alloc(&f->space, NULL, &f->start))
ALLOC(alloc_policy, request.policy = (enum kva_policy)5)
ALLOC(alloc_policy_negative, request.policy = (enum kva_policy) - 1)
ALLOC(alloc_policy_most_negative, request.policy = (enum kva_policy)(-0x7fffffff - 1))
ALLOC(alloc_policy_large, request.policy = (enum kva_policy)0x7fffffff)
ALLOC(alloc_flags_2, request.flags = 2)
ALLOC(alloc_flags_3, request.flags = KVA_NO_BLOCK | 2)
ALLOC(alloc_flags_top, request.flags = 1U << 31)
ALLOC(alloc_align_3, request.align = 3)
ALLOC(alloc_align_top, request.align = TOP)
ALLOC(alloc_align_two_bits, request.align = (UINT64_C(1) << 63) | (PAGE / 2))
ALLOC(alloc_align_below_two_pages, request.align = 2 * PAGE - 1)
ALLOC(alloc_align_page_and_a_half, request.align = PAGE + PAGE / 2)
ALLOC(alloc_phase_is_align, (request.align = 3 * PAGE, request.phase = 3 * PAGE))
ALLOC(alloc_phase_is_page, request.phase = PAGE)
ALLOC(alloc_phase_above_align, (request.align = 2 * PAGE, request.phase = 3 * PAGE))
ALLOC(alloc_phase_at_the_top, (request.align = 2 * PAGE, request.phase = TOP - PAGE + 1))
ALLOC(alloc_phase_misses_quantum, (request.align = 4 * PAGE, request.phase = PAGE + 1))
ALLOC(alloc_phase_below_quantum, request.phase = PAGE / 2)
ALLOC(alloc_phase_without_align, (request.align = 0, request.phase = PAGE))
ALLOC(alloc_phase_1_without_align, (request.align = 0, request.phase = 1))
ALLOC(alloc_phase_at_a_small_align, (request.align = PAGE / 2, request.phase = PAGE))
ALLOC(alloc_nocross_3, request.nocross = 3)
ALLOC(alloc_nocross_3_pages, request.nocross = 3 * PAGE)
ALLOC(alloc_nocross_top, request.nocross = TOP)
ALLOC(alloc_nocross_below_size, (request.size = 1, request.nocross = PAGE / 2))
ALLOC(alloc_nocross_1, (request.size = 1, request.nocross = 1))
ALLOC(alloc_window_reversed, (request.min = HOLE + 1, request.max = HOLE))
ALLOC(alloc_window_reversed_at_the_ends, (request.min = TOP, request.max = 0))
ALLOC(alloc_window_below, (request.min = 0, request.max = FIRST - 1))
ALLOC(alloc_window_above, (request.min = LAST + 1, request.max = TOP))

static enum kva_status alloc_null_start(struct fixture *f)
{
    struct kva_request request = good();
    return kva_alloc(&f->space, &request, NULL);
}

CALL(search_null_request, kva_search(&f->space, NULL, &f->start))

static enum kva_status search_null_start(struct fixture *f)
{
    struct kva_request request = good();
    return kva_search(&f->space, &request, NULL);
}

static enum kva_status alloc_of(struct fixture *f, uint64_t size)
{
    struct kva_request request = good();
    request.size = size;
    return alloc(f, request);
}

static enum kva_status search_of(struct fixture *f, uint64_t size)
{
    struct kva_request request = good();
    request.size = size;
    return kva_search(&f->space, &request, &f->start);
}

static enum kva_status evict_of(struct fixture *f, uint64_t size)
{
    struct kva_request request = good();
    struct kva_eviction eviction;
    request.size = size;
    return kva_evict_begin(&f->space, &request, &eviction);
}

CALL(evict_size_0, evict_of(f, 0))
CALL(evict_size_wraps, evict_of(f, TOP))
CALL(search_size_0, search_of(f, 0))
CALL(search_size_wraps, search_of(f, TOP))
CALL(alloc_size_0, alloc_of(f, 0))
CALL(alloc_size_wraps, alloc_of(f, TOP))
CALL(alloc_size_wraps_just, alloc_of(f, TOP - PAGE + 2))

/* The size is rounded up before it is compared. */
static enum kva_status alloc_nocross_below_rounded_size(struct fixture *f)
{
    struct kva_request request = good();
    request.size = 4 * PAGE + 1;
    request.nocross = 4 * PAGE;
    return alloc(f, request);
}

static enum kva_status congruent_with(struct fixture *f, uint64_t offset, uint64_t size)
{
    struct kva_part part = {offset, size};
    return congruent(f, good(), part);
}

static enum kva_status congruent_null_request(struct fixture *f)
{
    return kva_alloc_congruent(&f->space, NULL, two_parts, 2, &f->start);
}

static enum kva_status congruent_null_parts(struct fixture *f)
{
    struct kva_request request = good();
    return kva_alloc_congruent(&f->space, &request, NULL, 2, &f->start);
}

static enum kva_status congruent_null_base(struct fixture *f)
{
    struct kva_request request = good();
    return kva_alloc_congruent(&f->space, &request, two_parts, 2, NULL);
}

static enum kva_status congruent_count_0(struct fixture *f)
{
    struct kva_request request = good();
    return kva_alloc_congruent(&f->space, &request, two_parts, 0, &f->start);
}

static enum kva_status congruent_first_offset(struct fixture *f)
{
    struct kva_request request = good();
    return kva_alloc_congruent(&f->space, &request, two_parts + 1, 1, &f->start);
}

static enum kva_status congruent_first_size_0(struct fixture *f)
{
    struct kva_request request = good();
    struct kva_part part = {0, 0};
    return kva_alloc_congruent(&f->space, &request, &part, 1, &f->start);
}

/* The offset is a multiple of the quantum, but not of a coarser alignment. */
static enum kva_status congruent_offset_misses_align(struct fixture *f)
{
    struct kva_request request = good();
    request.align = 4 * PAGE;
    return congruent(f, request, two_parts[1]);
}

static enum kva_status congruent_offset_misses_odd_align(struct fixture *f)
{
    struct kva_request request = good();
    request.align = 3 * PAGE;
    return congruent(f, request, two_parts[1]);
}

/* A multiple of the power of two in the alignment is not enough, and the phase does not make up for the
 * rest. */
static enum kva_status congruent_offset_is_phase(struct fixture *f)
{
    struct kva_request request = good();
    request.align = 6 * PAGE;
    request.phase = 2 * PAGE;
    return congruent(f, request, two_parts[1]);
}

static bool accept_all(void *context, struct kva_hole *hole)
{
    (void)context;
    (void)hole;
    return true;
}

/* Only policies that choose an end; no filter. */
static enum kva_status congruent_by(struct fixture *f, enum kva_policy policy, kva_hole_filter *filter)
{
    struct kva_request request = good();
    request.policy = policy;
    request.filter = filter;
    return congruent(f, request, two_parts[1]);
}

CALL(congruent_nearest, congruent_by(f, KVA_NEAREST, NULL))
CALL(congruent_best, congruent_by(f, KVA_BEST, NULL))
CALL(congruent_random, congruent_by(f, KVA_RANDOM, NULL))
CALL(congruent_filter, congruent_by(f, KVA_HIGHEST, accept_all))

static enum kva_status congruent_nocross(struct fixture *f)
{
    struct kva_request request = good();
    request.nocross = 2 * PAGE;
    return congruent(f, request, two_parts[1]);
}

CALL(congruent_size_0, congruent_with(f, 2 * PAGE, 0))
CALL(congruent_overlap, congruent_with(f, 0, PAGE))
CALL(congruent_offset_misses_quantum, congruent_with(f, 2 * PAGE + 1, PAGE))
CALL(congruent_size_wraps, congruent_with(f, 2 * PAGE, TOP))
CALL(congruent_end_wraps, congruent_with(f, TOP - PAGE + 1, PAGE + 1))

/* The first part, rounded up to two quanta, overlaps the second. */
static enum kva_status congruent_overlap_by_rounding(struct fixture *f)
{
    struct kva_request request = good();
    struct kva_part parts[2] = {{0, PAGE + 1}, {PAGE, PAGE}};
    return kva_alloc_congruent(&f->space, &request, parts, 2, &f->start);
}

static enum kva_status congruent_descending(struct fixture *f)
{
    struct kva_request request = good();
    struct kva_part parts[3] = {{0, PAGE}, {4 * PAGE, PAGE}, {2 * PAGE, PAGE}};
    return kva_alloc_congruent(&f->space, &request, parts, 3, &f->start);
}

/* ---------------------------------------------------------------------------------- reserve, free, resize */

static enum kva_status reserve(struct fixture *f, uint64_t start, uint64_t size)
{
    return kva_reserve(&f->space, start, size, NULL, &f->segment);
}

CALL(reserve_size_0, reserve(f, HOLE, 0))
CALL(reserve_misses_quantum, reserve(f, HOLE + 1, PAGE))
CALL(reserve_end_wraps, reserve(f, HOLE, TOP - PAGE + 1))
CALL(reserve_end_wraps_by_rounding, reserve(f, TOP - PAGE + 1, PAGE + 1))
CALL(reserve_size_wraps, reserve(f, 0, TOP))
CALL(reserve_below, reserve(f, FIRST - PAGE, PAGE))
CALL(reserve_from_below, reserve(f, FIRST - PAGE, 2 * PAGE))
CALL(reserve_above, reserve(f, LAST + 1, PAGE))
CALL(reserve_beyond_the_end, reserve(f, LAST + 1 - PAGE, 2 * PAGE))
CALL(reserve_the_last_page_of_all, reserve(f, TOP - PAGE + 1, PAGE))
CALL(reserve_without_conflict, kva_reserve(&f->space, A, PAGE, NULL, NULL))

CALL(free_below, kva_free(&f->space, FIRST - PAGE))
CALL(free_0, kva_free(&f->space, 0))
CALL(free_above, kva_free(&f->space, LAST + 1))
CALL(free_top, kva_free(&f->space, TOP))
CALL(free_interior, kva_free(&f->space, B + PAGE))
CALL(free_interior_by_one, kva_free(&f->space, B + 1))
CALL(free_interior_last, kva_free(&f->space, B + 4 * PAGE - 1))
CALL(free_free, kva_free(&f->space, HOLE))
CALL(free_inside_free, kva_free(&f->space, HOLE + PAGE + 1))
CALL(free_deferred, kva_free(&f->space, DEFERRED))
CALL(free_inside_deferred, kva_free(&f->space, DEFERRED + PAGE))

CALL(defer_below, kva_free_deferred(&f->space, FIRST - 1))
CALL(defer_above, kva_free_deferred(&f->space, TOP))
CALL(defer_interior, kva_free_deferred(&f->space, B + PAGE))
CALL(defer_free, kva_free_deferred(&f->space, HOLE))
CALL(defer_deferred, kva_free_deferred(&f->space, DEFERRED))
CALL(defer_inside_deferred, kva_free_deferred(&f->space, DEFERRED + PAGE))

CALL(free_range_size_0, kva_free_range(&f->space, B, 0))
CALL(free_range_misses_quantum, kva_free_range(&f->space, B + 1, PAGE))
CALL(free_range_end_wraps, kva_free_range(&f->space, B, TOP - PAGE + 1))
CALL(free_range_size_wraps, kva_free_range(&f->space, B, TOP))
CALL(free_range_below, kva_free_range(&f->space, FIRST - PAGE, PAGE))
CALL(free_range_above, kva_free_range(&f->space, LAST + 1, PAGE))
CALL(free_range_free, kva_free_range(&f->space, HOLE, PAGE))
CALL(free_range_deferred, kva_free_range(&f->space, DEFERRED, PAGE))
CALL(free_range_inside_deferred, kva_free_range(&f->space, DEFERRED + PAGE, PAGE))
CALL(free_range_too_long, kva_free_range(&f->space, B, 4 * PAGE + 1))
CALL(free_range_too_long_inside, kva_free_range(&f->space, B + 3 * PAGE, 2 * PAGE))
CALL(free_range_beyond_the_end, kva_free_range(&f->space, Z, 2 * PAGE))

CALL(resize_size_0, kva_resize(&f->space, B, 0))
CALL(resize_end_wraps, kva_resize(&f->space, B, TOP - PAGE + 1))
CALL(resize_size_wraps, kva_resize(&f->space, B, TOP))
CALL(resize_below, kva_resize(&f->space, 0, PAGE))
CALL(resize_above, kva_resize(&f->space, LAST + 1, PAGE))
CALL(resize_interior, kva_resize(&f->space, B + PAGE, PAGE))
CALL(resize_interior_off_quantum, kva_resize(&f->space, B + 1, PAGE))
CALL(resize_free, kva_resize(&f->space, HOLE, PAGE))
CALL(resize_deferred, kva_resize(&f->space, DEFERRED, PAGE))
CALL(resize_into_deferred, kva_resize(&f->space, B, 5 * PAGE))
CALL(resize_into_busy, kva_resize(&f->space, A, B - A + 1))
CALL(resize_beyond_the_end, kva_resize(&f->space, Z, PAGE + 1))
CALL(resize_to_the_same, kva_resize(&f->space, B, 3 * PAGE + 1))

/* ------------------------------------------------------------------------------------- the space, looking */

CALL(grow_first_misses_quantum, kva_space_grow(&f->space, FIRST - 1, LAST))
CALL(grow_last_misses_quantum, kva_space_grow(&f->space, FIRST, LAST + 1))
CALL(grow_shrinks_below, kva_space_grow(&f->space, FIRST + PAGE, LAST))
CALL(grow_shrinks_above, kva_space_grow(&f->space, FIRST, LAST - PAGE))
CALL(grow_shrinks_and_grows, kva_space_grow(&f->space, FIRST + PAGE, LAST + PAGE))
CALL(grow_reversed, kva_space_grow(&f->space, LAST + 1, FIRST - 1))
CALL(grow_not_at_all, kva_space_grow(&f->space, FIRST, LAST))

CALL(find_below, kva_find(&f->space, FIRST - 1, &f->segment))
CALL(find_above, kva_find(&f->space, LAST + 1, &f->segment))
CALL(find_null_segment, kva_find(&f->space, A, NULL))
CALL(first_null_segment, kva_first(&f->space, NULL))
CALL(next_null_segment, kva_next(&f->space, NULL))
CALL(stats_null, kva_stats_read(&f->space, NULL))
CALL(dump_null_line, kva_space_dump(&f->space, NULL, NULL))
CALL(check_null_fault, kva_space_check(&f->space, NULL))

static enum kva_status next_of_the_highest(struct fixture *f)
{
    struct kva_segment segment;
    assert_int_equal(kva_find(&f->space, Z, &segment), KVA_OK);
    return kva_next(&f->space, &segment);
}

CALL(fini_not_empty, kva_space_fini(&f->space))
CALL(preload_0, kva_preload(&f->space, 0))
CALL(preload_too_much, kva_preload(&f->space, SIZE_MAX))
CALL(reclaim_add_null, kva_reclaim_add(&f->space, NULL))
CALL(reclaim_add_twice, kva_reclaim_add(&f->space, &f->reclaim))
CALL(reclaim_remove_null, kva_reclaim_remove(&f->space, NULL))
CALL(reclaim_remove_unknown, kva_reclaim_remove(&f->space, &f->foreign))

static enum kva_status reclaim_add_without_callback(struct fixture *f)
{
    f->foreign.callback = NULL;
    enum kva_status status = kva_reclaim_add(&f->space, &f->foreign);
    f->foreign.callback = reclaim_nothing;
    return status;
}

/* -------------------------------------------------------------------------- ranges.h: changes of segments */

CALL(clear_size_0, kva_clear(&f->space, B, 0, &f->start))
CALL(clear_misses_quantum, kva_clear(&f->space, B + 1, PAGE, &f->start))
CALL(clear_end_wraps, kva_clear(&f->space, B, TOP - PAGE + 1, &f->start))
CALL(clear_size_wraps, kva_clear(&f->space, 0, TOP, &f->start))
CALL(clear_from_below, kva_clear(&f->space, FIRST - PAGE, 2 * PAGE, &f->start))
CALL(clear_above, kva_clear(&f->space, LAST + 1, PAGE, &f->start))
CALL(clear_beyond_the_end, kva_clear(&f->space, Z, 2 * PAGE, &f->start))
CALL(clear_absent, kva_clear(&f->space, ABSENT + PAGE, PAGE, &f->start))
CALL(clear_into_absent, kva_clear(&f->space, ABSENT - PAGE, PAGE + 1, &f->start))
CALL(clear_across_absent, kva_clear(&f->space, C, Z - C, &f->start))
CALL(over_size_0, kva_reserve_over(&f->space, B, 0, NULL, &f->start))
CALL(over_misses_quantum, kva_reserve_over(&f->space, B + 1, PAGE, NULL, &f->start))
CALL(over_end_wraps, kva_reserve_over(&f->space, B, TOP - PAGE + 1, NULL, &f->start))
CALL(over_size_wraps, kva_reserve_over(&f->space, 0, TOP, NULL, &f->start))
CALL(over_from_below, kva_reserve_over(&f->space, FIRST - PAGE, 2 * PAGE, NULL, &f->start))
CALL(over_above, kva_reserve_over(&f->space, LAST + 1, PAGE, NULL, &f->start))
CALL(over_beyond_the_end, kva_reserve_over(&f->space, Z, 2 * PAGE, NULL, &f->start))
CALL(over_absent, kva_reserve_over(&f->space, ABSENT + PAGE, PAGE, NULL, &f->start))
CALL(over_into_absent, kva_reserve_over(&f->space, ABSENT - PAGE, PAGE + 1, NULL, &f->start))
CALL(over_across_absent, kva_reserve_over(&f->space, C, Z - C, NULL, &f->start))
CALL(clear_nothing, kva_clear(&f->space, HOLE, B - HOLE, NULL))
CALL(clear_deferred, kva_clear(&f->space, DEFERRED, PAGE, NULL))

CALL(split_misses_quantum, kva_split(&f->space, B + 1))
CALL(split_below, kva_split(&f->space, FIRST - PAGE))
CALL(split_above, kva_split(&f->space, LAST + 1))
CALL(split_absent, kva_split(&f->space, ABSENT + PAGE))
CALL(split_free, kva_split(&f->space, HOLE))
CALL(split_deferred, kva_split(&f->space, DEFERRED + PAGE))
CALL(split_at_a_start, kva_split(&f->space, B))

CALL(join_below, kva_join(&f->space, FIRST - 1))
CALL(join_above, kva_join(&f->space, TOP))
CALL(join_absent, kva_join(&f->space, ABSENT))
CALL(join_interior, kva_join(&f->space, B + PAGE))
CALL(join_off_quantum, kva_join(&f->space, B + 1))
CALL(join_free, kva_join(&f->space, HOLE))
CALL(join_deferred, kva_join(&f->space, DEFERRED))
CALL(join_before_free, kva_join(&f->space, A))
CALL(join_before_deferred, kva_join(&f->space, B))
CALL(join_the_highest, kva_join(&f->space, Z))

CALL(own_below, kva_set_owner(&f->space, FIRST - 1, f))
CALL(own_above, kva_set_owner(&f->space, TOP, f))
CALL(own_absent, kva_set_owner(&f->space, ABSENT, f))
CALL(own_interior, kva_set_owner(&f->space, B + PAGE, f))
CALL(own_off_quantum, kva_set_owner(&f->space, B + 1, f))
CALL(own_free, kva_set_owner(&f->space, HOLE, f))
CALL(own_deferred, kva_set_owner(&f->space, DEFERRED, f))

CALL(move_below, kva_move(&f->space, FIRST - 1, ABSENT - PAGE, &f->segment))
CALL(move_above, kva_move(&f->space, TOP, ABSENT - PAGE, &f->segment))
CALL(move_absent, kva_move(&f->space, ABSENT, ABSENT - PAGE, &f->segment))
CALL(move_interior, kva_move(&f->space, B + PAGE, ABSENT - PAGE, &f->segment))
CALL(move_off_quantum, kva_move(&f->space, B + 1, ABSENT - PAGE, &f->segment))
CALL(move_free, kva_move(&f->space, HOLE, ABSENT - PAGE, &f->segment))
CALL(move_deferred, kva_move(&f->space, DEFERRED, ABSENT - PAGE, &f->segment))
CALL(move_to_misses_quantum, kva_move(&f->space, B, HOLE + 1, &f->segment))
CALL(move_to_end_wraps, kva_move(&f->space, B, TOP - PAGE + 1, &f->segment))
CALL(move_to_from_below, kva_move(&f->space, B, FIRST - PAGE, &f->segment))
CALL(move_to_above, kva_move(&f->space, B, LAST + 1, &f->segment))
CALL(move_to_beyond_the_end, kva_move(&f->space, B, LAST + 1 - PAGE, &f->segment))
CALL(move_to_absent, kva_move(&f->space, B, ABSENT + PAGE, &f->segment))
CALL(move_to_into_absent, kva_move(&f->space, B, ABSENT - PAGE, &f->segment))
CALL(move_to_busy, kva_move(&f->space, B, A + PAGE, NULL))
CALL(move_to_deferred_and_busy, kva_move(&f->space, B, DEFERRED, NULL))
CALL(move_nowhere, kva_move(&f->space, B, B, &f->segment))

CALL(free_sized_below, kva_free_sized(&f->space, FIRST - 1, PAGE))
CALL(free_sized_above, kva_free_sized(&f->space, TOP, PAGE))
CALL(free_sized_absent, kva_free_sized(&f->space, ABSENT, PAGE))
CALL(free_sized_interior, kva_free_sized(&f->space, B + PAGE, PAGE))
CALL(free_sized_off_quantum, kva_free_sized(&f->space, B + 1, PAGE))
CALL(free_sized_free, kva_free_sized(&f->space, HOLE, PAGE))
CALL(free_sized_deferred, kva_free_sized(&f->space, DEFERRED, PAGE))
CALL(free_sized_size_0, kva_free_sized(&f->space, B, 0))
CALL(free_sized_too_short, kva_free_sized(&f->space, B, 3 * PAGE))
CALL(free_sized_too_long, kva_free_sized(&f->space, B, 4 * PAGE + 1))
CALL(free_sized_wraps, kva_free_sized(&f->space, B, TOP))

/* -------------------------------------------------------------------------------------- ranges.h: regions */

CALL(add_size_0, kva_space_add(&f->space, ABSENT, 0))
CALL(add_misses_quantum, kva_space_add(&f->space, LAST + 2, PAGE))
CALL(add_end_wraps, kva_space_add(&f->space, HOLE, TOP - PAGE + 1))
CALL(add_size_wraps, kva_space_add(&f->space, 0, TOP))
CALL(remove_size_0, kva_space_remove(&f->space, ABSENT, 0))
CALL(remove_misses_quantum, kva_space_remove(&f->space, LAST + 2, PAGE))
CALL(remove_end_wraps, kva_space_remove(&f->space, HOLE, TOP - PAGE + 1))
CALL(remove_size_wraps, kva_space_remove(&f->space, 0, TOP))
CALL(add_what_is_busy, kva_space_add(&f->space, B, PAGE))
CALL(add_what_is_free, kva_space_add(&f->space, HOLE, PAGE))
CALL(add_from_below, kva_space_add(&f->space, FIRST - PAGE, PAGE + 1))
CALL(add_beyond_the_end, kva_space_add(&f->space, Z, 2 * PAGE))
CALL(add_around_it, kva_space_add(&f->space, 0, Z + 8 * PAGE))
CALL(add_into_absent, kva_space_add(&f->space, ABSENT - PAGE, 2 * PAGE))
CALL(add_out_of_absent, kva_space_add(&f->space, ABSENT, ABSENT_PAGES *PAGE + 1))
CALL(remove_from_below, kva_space_remove(&f->space, FIRST - PAGE, 2 * PAGE))
CALL(remove_above, kva_space_remove(&f->space, LAST + 1, PAGE))
CALL(remove_beyond_the_end, kva_space_remove(&f->space, Z, 2 * PAGE))
CALL(remove_absent, kva_space_remove(&f->space, ABSENT, PAGE))
CALL(remove_into_absent, kva_space_remove(&f->space, ABSENT - PAGE, 2 * PAGE))
CALL(remove_what_is_busy, kva_space_remove(&f->space, B + PAGE, PAGE))
CALL(remove_deferred_and_busy, kva_space_remove(&f->space, DEFERRED, 2 * PAGE + 1))
CALL(remove_free_and_busy, kva_space_remove(&f->space, HOLE, B - HOLE + 1))
CALL(shrink_first_misses_quantum, kva_space_shrink(&f->space, FIRST + 1, LAST))
CALL(shrink_last_misses_quantum, kva_space_shrink(&f->space, FIRST, LAST - 1))
CALL(shrink_grows_below, kva_space_shrink(&f->space, FIRST - PAGE, LAST))
CALL(shrink_grows_above, kva_space_shrink(&f->space, FIRST, LAST + PAGE))
CALL(shrink_reversed, kva_space_shrink(&f->space, LAST + 1 - PAGE, Z - PAGE - 1))
CALL(shrink_over_busy, kva_space_shrink(&f->space, HOLE, LAST))
CALL(shrink_over_busy_above, kva_space_shrink(&f->space, FIRST, LAST - PAGE))
CALL(shrink_to_what_is_absent, kva_space_shrink(&f->space, ABSENT + PAGE, ABSENT + 2 * PAGE - 1))
CALL(shrink_not_at_all, kva_space_shrink(&f->space, FIRST, LAST))

/* ------------------------------------------------------------------------------------- walks, flush lists */

/** A step from the segment that contains an address. */
static enum kva_status step_from(struct fixture *f, uint64_t address,
                                 enum kva_status (*step)(struct kva_space *space,
                                                         struct kva_segment *segment))
{
    struct kva_segment segment;
    assert_int_equal(kva_find(&f->space, address, &segment), KVA_OK);
    return step(&f->space, &segment);
}

static enum kva_status step_down(struct kva_space *space, struct kva_segment *segment)
{
    return kva_prev(space, segment);
}

static enum kva_status step_up_in_b(struct kva_space *space, struct kva_segment *segment)
{
    return kva_next_in(space, DEFERRED - 1, segment);
}

static enum kva_status step_to_next_hole(struct kva_space *space, struct kva_segment *segment)
{
    return kva_next_hole(space, 0, segment);
}

static enum kva_status step_to_long_hole(struct kva_space *space, struct kva_segment *segment)
{
    return kva_next_hole(space, TOP, segment);
}

static enum kva_status step_to_hole_below(struct kva_space *space, struct kva_segment *segment)
{
    return kva_prev_hole(space, 1, segment);
}

CALL(last_null_segment, kva_last(&f->space, NULL))
CALL(prev_null_segment, kva_prev(&f->space, NULL))
CALL(first_in_null_segment, kva_first_in(&f->space, B, C, NULL))
CALL(next_in_null_segment, kva_next_in(&f->space, C, NULL))
CALL(first_hole_null, kva_first_hole(&f->space, 1, NULL))
CALL(next_hole_null, kva_next_hole(&f->space, 1, NULL))
CALL(last_hole_null, kva_last_hole(&f->space, 1, NULL))
CALL(prev_hole_null, kva_prev_hole(&f->space, 1, NULL))
CALL(prev_of_the_lowest, step_from(f, A, step_down))
CALL(next_in_beyond, step_from(f, B, step_up_in_b))
CALL(next_hole_of_the_highest, step_from(f, Z - 1, step_to_next_hole))
CALL(next_hole_too_long, step_from(f, A, step_to_long_hole))
CALL(prev_hole_of_the_lowest, step_from(f, HOLE, step_to_hole_below))
CALL(first_hole_too_long, kva_first_hole(&f->space, Z - ABSENT, &f->segment))
CALL(first_hole_of_all_addresses, kva_first_hole(&f->space, TOP, &f->segment))
CALL(last_hole_too_long, kva_last_hole(&f->space, Z - ABSENT, &f->segment))
CALL(first_in_reversed, kva_first_in(&f->space, B, B - 1, &f->segment))
CALL(first_in_below, kva_first_in(&f->space, 0, FIRST - 1, &f->segment))
CALL(first_in_above, kva_first_in(&f->space, LAST + 1, TOP, &f->segment))
CALL(first_in_absent, kva_first_in(&f->space, ABSENT, ABSENT + ABSENT_PAGES * PAGE - 1, &f->segment))

/* Outside the flush callback. */
static enum kva_status step_to_next_range(struct kva_space *space, struct kva_segment *segment)
{
    return kva_flush_next(space, segment);
}

CALL(flush_first_elsewhere, kva_flush_first(&f->space, &f->segment))
CALL(flush_next_elsewhere, step_from(f, A, step_to_next_range))
CALL(flush_first_null, kva_flush_first(&f->space, NULL))
CALL(flush_next_null, kva_flush_next(&f->space, NULL))

/* ---------------------------------------------------------------------------------------------- evictions */

CALL(evict_null_eviction, kva_evict_begin(&f->space, &(struct kva_request){.size = PAGE}, NULL))

static enum kva_status evict_null_request(struct fixture *f)
{
    struct kva_eviction eviction;
    return kva_evict_begin(&f->space, NULL, &eviction);
}

/** Begin an eviction for `pages`; feed A, then the segment at `start`. */
static enum kva_status feed(struct fixture *f, uint64_t pages, uint64_t start)
{
    struct kva_request request = kva_request_of(pages * PAGE);
    struct kva_candidate candidates[2];
    struct kva_eviction eviction;

    assert_int_equal(kva_evict_begin(&f->space, &request, &eviction), KVA_OK);
    assert_null(kva_evict_first(&eviction));
    enum kva_status status = kva_evict_add(&eviction, &candidates[0], A);
    assert_int_equal(status, pages <= (B - A) / PAGE ? KVA_OK : KVA_ENOSPC);
    return kva_evict_add(&eviction, &candidates[1], start);
}

static enum kva_status feed_null(struct fixture *f)
{
    struct kva_request request = good();
    struct kva_eviction eviction;
    assert_int_equal(kva_evict_begin(&f->space, &request, &eviction), KVA_OK);
    return kva_evict_add(&eviction, NULL, B);
}

/** Feed A to an eviction for `pages`, and finish it. */
static enum kva_status finish(struct fixture *f, uint64_t pages, uint64_t *start)
{
    struct kva_request request = kva_request_of(pages * PAGE);
    struct kva_candidate candidate;
    struct kva_eviction eviction;

    assert_int_equal(kva_evict_begin(&f->space, &request, &eviction), KVA_OK);
    (void)kva_evict_add(&eviction, &candidate, A);
    return kva_evict_finish(&eviction, start);
}

CALL(feed_below, feed(f, 64, FIRST - 1))
CALL(feed_above, feed(f, 64, TOP))
CALL(feed_absent, feed(f, 64, ABSENT))
CALL(feed_interior, feed(f, 64, B + PAGE))
CALL(feed_off_quantum, feed(f, 64, B + 1))
CALL(feed_free, feed(f, 64, HOLE))
CALL(feed_deferred, feed(f, 64, DEFERRED))
CALL(feed_not_yet, feed(f, 64, B))
CALL(feed_twice, feed(f, 64, A))
CALL(feed_when_it_fits, feed(f, 1, B))
CALL(finish_not_yet, finish(f, 64, &f->start))
CALL(finish_null_start, finish(f, 1, NULL))

/* ----------------------------------------------------------------------------- absent ranges, other calls */

CALL(reserve_absent, reserve(f, ABSENT, PAGE))
CALL(reserve_into_absent, reserve(f, ABSENT - PAGE, 2 * PAGE))
CALL(reserve_across_absent, reserve(f, B, Z - B))
CALL(free_absent, kva_free(&f->space, ABSENT))
CALL(defer_absent, kva_free_deferred(&f->space, ABSENT + PAGE))
CALL(free_range_absent, kva_free_range(&f->space, ABSENT, PAGE))
CALL(resize_absent, kva_resize(&f->space, ABSENT, PAGE))
CALL(resize_into_absent, kva_resize(&f->space, C, ABSENT - C + 1))
CALL(find_absent, kva_find(&f->space, ABSENT + PAGE, &f->segment))

/* All absent: the window and the space overlap, but no address of the window belongs to the space. */
static enum kva_status search_absent(struct fixture *f)
{
    struct kva_request request = good();
    request.min = ABSENT;
    request.max = ABSENT + ABSENT_PAGES * PAGE - 1;
    return kva_search(&f->space, &request, &f->start);
}

/* ---------------------------------------------------------------------------------------------- the table */

#define ANY UINT64_C(0xffffffffffffabcd) /* an address that the documentation does not specify */

struct row {
    const char *name;
    enum kva_status (*call)(struct fixture *f);
    enum kva_status status;
    const char *where; /* the public function */
    uint64_t address;  /* the address that the hook receives */
    const char *field; /* the invalid value; NULL: none in particular */
    size_t index;
};

#define ELEMENT(call, status, where, address, field, index)                                                  \
    {                                                                                                        \
#call, call, status, #where, address, field, index                                                   \
    }
#define FIELD(call, status, where, address, field) ELEMENT(call, status, where, address, field, 0)
#define ROW(call, status, where, address) ELEMENT(call, status, where, address, NULL, 0)
#define BOTH(call, status, field)                                                                            \
    FIELD(call, status, kva_alloc, ANY, field), FIELD(call##_search, status, kva_search, ANY, field),        \
        FIELD(call##_evict, status, kva_evict_begin, ANY, field),                                            \
        FIELD(call##_congruent, status, kva_alloc_congruent, ANY, field)

/* Congruent parts take no boundary. */
#define NOCROSS(call, status)                                                                                \
    FIELD(call, status, kva_alloc, ANY, "nocross"),                                                          \
        FIELD(call##_search, status, kva_search, ANY, "nocross"),                                            \
        FIELD(call##_evict, status, kva_evict_begin, ANY, "nocross"),                                        \
        FIELD(call##_congruent, KVA_EINVAL, kva_alloc_congruent, ANY, "nocross")

static const struct row rows[] = {
    FIELD(alloc_null_request, KVA_ENULL, kva_alloc, 0, "request"),
    FIELD(alloc_null_start, KVA_ENULL, kva_alloc, 0, "start"),
    FIELD(search_null_request, KVA_ENULL, kva_search, 0, "request"),
    FIELD(search_null_start, KVA_ENULL, kva_search, 0, "start"),
    FIELD(search_size_0, KVA_ESIZE, kva_search, ANY, "size"),
    FIELD(search_size_wraps, KVA_EWRAP, kva_search, ANY, "size"),
    BOTH(alloc_policy, KVA_EINVAL, "policy"),
    BOTH(alloc_policy_large, KVA_EINVAL, "policy"),
    BOTH(alloc_policy_negative, KVA_EINVAL, "policy"),
    BOTH(alloc_policy_most_negative, KVA_EINVAL, "policy"),
    BOTH(alloc_flags_2, KVA_EINVAL, "flags"),
    BOTH(alloc_flags_3, KVA_EINVAL, "flags"),
    BOTH(alloc_flags_top, KVA_EINVAL, "flags"),
    FIELD(alloc_size_0, KVA_ESIZE, kva_alloc, ANY, "size"),
    BOTH(alloc_align_3, KVA_EALIGN, "align"),
    BOTH(alloc_align_top, KVA_EALIGN, "align"),
    BOTH(alloc_align_two_bits, KVA_EALIGN, "align"),
    BOTH(alloc_align_below_two_pages, KVA_EALIGN, "align"),
    BOTH(alloc_align_page_and_a_half, KVA_EALIGN, "align"),
    BOTH(alloc_phase_is_align, KVA_EALIGN, "phase"),
    BOTH(alloc_phase_is_page, KVA_EALIGN, "phase"),
    BOTH(alloc_phase_above_align, KVA_EALIGN, "phase"),
    BOTH(alloc_phase_at_the_top, KVA_EALIGN, "phase"),
    BOTH(alloc_phase_misses_quantum, KVA_EALIGN, "phase"),
    BOTH(alloc_phase_below_quantum, KVA_EALIGN, "phase"),
    BOTH(alloc_phase_without_align, KVA_EALIGN, "phase"),
    BOTH(alloc_phase_1_without_align, KVA_EALIGN, "phase"),
    BOTH(alloc_phase_at_a_small_align, KVA_EALIGN, "phase"),
    NOCROSS(alloc_nocross_3, KVA_EALIGN),
    NOCROSS(alloc_nocross_3_pages, KVA_EALIGN),
    NOCROSS(alloc_nocross_top, KVA_EALIGN),
    NOCROSS(alloc_nocross_below_size, KVA_ESIZE),
    NOCROSS(alloc_nocross_1, KVA_ESIZE),
    FIELD(alloc_nocross_below_rounded_size, KVA_ESIZE, kva_alloc, ANY, "nocross"),
    FIELD(alloc_size_wraps, KVA_EWRAP, kva_alloc, ANY, "size"),
    FIELD(alloc_size_wraps_just, KVA_EWRAP, kva_alloc, ANY, "size"),
    BOTH(alloc_window_reversed, KVA_EWINDOW, "max"),
    BOTH(alloc_window_reversed_at_the_ends, KVA_EWINDOW, "max"),
    BOTH(alloc_window_below, KVA_EWINDOW, "max"),
    BOTH(alloc_window_above, KVA_EWINDOW, "min"),

    FIELD(congruent_null_request, KVA_ENULL, kva_alloc_congruent, 0, "request"),
    FIELD(congruent_null_parts, KVA_ENULL, kva_alloc_congruent, 0, "parts"),
    FIELD(congruent_null_base, KVA_ENULL, kva_alloc_congruent, 0, "base"),
    FIELD(congruent_count_0, KVA_EINVAL, kva_alloc_congruent, ANY, "count"),
    ELEMENT(congruent_first_offset, KVA_EINVAL, kva_alloc_congruent, ANY, "parts[i].offset", 0),
    ELEMENT(congruent_first_size_0, KVA_ESIZE, kva_alloc_congruent, ANY, "parts[i].size", 0),
    ELEMENT(congruent_size_0, KVA_ESIZE, kva_alloc_congruent, ANY, "parts[i].size", 1),
    ELEMENT(congruent_overlap, KVA_EINVAL, kva_alloc_congruent, ANY, "parts[i].offset", 1),
    ELEMENT(congruent_overlap_by_rounding, KVA_EINVAL, kva_alloc_congruent, ANY, "parts[i].offset", 1),
    ELEMENT(congruent_descending, KVA_EINVAL, kva_alloc_congruent, ANY, "parts[i].offset", 2),
    ELEMENT(congruent_offset_misses_quantum, KVA_EALIGN, kva_alloc_congruent, ANY, "parts[i].offset", 1),
    ELEMENT(congruent_offset_misses_align, KVA_EALIGN, kva_alloc_congruent, ANY, "parts[i].offset", 1),
    ELEMENT(congruent_offset_misses_odd_align, KVA_EALIGN, kva_alloc_congruent, ANY, "parts[i].offset", 1),
    ELEMENT(congruent_offset_is_phase, KVA_EALIGN, kva_alloc_congruent, ANY, "parts[i].offset", 1),
    FIELD(congruent_nocross, KVA_EINVAL, kva_alloc_congruent, ANY, "nocross"),
    FIELD(congruent_nearest, KVA_EINVAL, kva_alloc_congruent, ANY, "policy"),
    FIELD(congruent_best, KVA_EINVAL, kva_alloc_congruent, ANY, "policy"),
    FIELD(congruent_random, KVA_EINVAL, kva_alloc_congruent, ANY, "policy"),
    FIELD(congruent_filter, KVA_EINVAL, kva_alloc_congruent, ANY, "filter"),
    ELEMENT(congruent_size_wraps, KVA_EWRAP, kva_alloc_congruent, ANY, "parts[i].size", 1),
    ELEMENT(congruent_end_wraps, KVA_EWRAP, kva_alloc_congruent, ANY, "parts[i].size", 1),

    FIELD(reserve_size_0, KVA_ESIZE, kva_reserve, HOLE, "size"),
    FIELD(reserve_misses_quantum, KVA_EALIGN, kva_reserve, HOLE + 1, "start"),
    FIELD(reserve_end_wraps, KVA_EWRAP, kva_reserve, HOLE, "size"),
    FIELD(reserve_end_wraps_by_rounding, KVA_EWRAP, kva_reserve, TOP - PAGE + 1, "size"),
    FIELD(reserve_size_wraps, KVA_EWRAP, kva_reserve, 0, "size"),
    FIELD(reserve_below, KVA_ERANGE, kva_reserve, FIRST - PAGE, "start"),
    FIELD(reserve_from_below, KVA_ERANGE, kva_reserve, FIRST - PAGE, "start"),
    FIELD(reserve_above, KVA_ERANGE, kva_reserve, LAST + 1, "start"),
    FIELD(reserve_beyond_the_end, KVA_ERANGE, kva_reserve, LAST + 1 - PAGE, "size"),
    FIELD(reserve_the_last_page_of_all, KVA_ERANGE, kva_reserve, TOP - PAGE + 1, "start"),
    ROW(reserve_without_conflict, KVA_EEXIST, kva_reserve, ANY),

    ROW(free_below, KVA_EUNKNOWN, kva_free, FIRST - PAGE),
    ROW(free_0, KVA_EUNKNOWN, kva_free, 0),
    ROW(free_above, KVA_EUNKNOWN, kva_free, LAST + 1),
    ROW(free_top, KVA_EUNKNOWN, kva_free, TOP),
    ROW(free_interior, KVA_EINTERIOR, kva_free, B + PAGE),
    ROW(free_interior_by_one, KVA_EINTERIOR, kva_free, B + 1),
    ROW(free_interior_last, KVA_EINTERIOR, kva_free, B + 4 * PAGE - 1),
    ROW(free_free, KVA_EDOUBLE, kva_free, HOLE),
    ROW(free_inside_free, KVA_EDOUBLE, kva_free, HOLE + PAGE + 1),
    ROW(free_deferred, KVA_EDEFERRED, kva_free, DEFERRED),
    ROW(free_inside_deferred, KVA_EDEFERRED, kva_free, DEFERRED + PAGE),

    ROW(defer_below, KVA_EUNKNOWN, kva_free_deferred, FIRST - 1),
    ROW(defer_above, KVA_EUNKNOWN, kva_free_deferred, TOP),
    ROW(defer_interior, KVA_EINTERIOR, kva_free_deferred, B + PAGE),
    ROW(defer_free, KVA_EDOUBLE, kva_free_deferred, HOLE),
    ROW(defer_deferred, KVA_EDEFERRED, kva_free_deferred, DEFERRED),
    ROW(defer_inside_deferred, KVA_EDEFERRED, kva_free_deferred, DEFERRED + PAGE),

    FIELD(free_range_size_0, KVA_ESIZE, kva_free_range, B, "size"),
    FIELD(free_range_misses_quantum, KVA_EALIGN, kva_free_range, B + 1, "start"),
    FIELD(free_range_end_wraps, KVA_EWRAP, kva_free_range, B, "size"),
    FIELD(free_range_size_wraps, KVA_EWRAP, kva_free_range, B, "size"),
    ROW(free_range_below, KVA_EUNKNOWN, kva_free_range, FIRST - PAGE),
    ROW(free_range_above, KVA_EUNKNOWN, kva_free_range, LAST + 1),
    ROW(free_range_free, KVA_EDOUBLE, kva_free_range, HOLE),
    ROW(free_range_deferred, KVA_EDEFERRED, kva_free_range, DEFERRED),
    ROW(free_range_inside_deferred, KVA_EDEFERRED, kva_free_range, DEFERRED + PAGE),
    FIELD(free_range_too_long, KVA_ERANGE, kva_free_range, B, "size"),
    FIELD(free_range_too_long_inside, KVA_ERANGE, kva_free_range, B + 3 * PAGE, "size"),
    FIELD(free_range_beyond_the_end, KVA_ERANGE, kva_free_range, Z, "size"),

    FIELD(resize_size_0, KVA_ESIZE, kva_resize, B, "size"),
    FIELD(resize_end_wraps, KVA_EWRAP, kva_resize, B, "size"),
    FIELD(resize_size_wraps, KVA_EWRAP, kva_resize, B, "size"),
    ROW(resize_below, KVA_EUNKNOWN, kva_resize, 0),
    ROW(resize_above, KVA_EUNKNOWN, kva_resize, LAST + 1),
    ROW(resize_interior, KVA_EINTERIOR, kva_resize, B + PAGE),
    ROW(resize_interior_off_quantum, KVA_EINTERIOR, kva_resize, B + 1),
    ROW(resize_free, KVA_EDOUBLE, kva_resize, HOLE),
    ROW(resize_deferred, KVA_EDEFERRED, kva_resize, DEFERRED),
    ROW(resize_into_deferred, KVA_ENOSPC, kva_resize, ANY),
    ROW(resize_into_busy, KVA_ENOSPC, kva_resize, ANY),
    ROW(resize_beyond_the_end, KVA_ENOSPC, kva_resize, ANY),
    ROW(resize_to_the_same, KVA_OK, kva_resize, ANY),

    FIELD(grow_first_misses_quantum, KVA_EALIGN, kva_space_grow, ANY, "first"),
    FIELD(grow_last_misses_quantum, KVA_EALIGN, kva_space_grow, ANY, "last"),
    FIELD(grow_shrinks_below, KVA_ERANGE, kva_space_grow, ANY, "first"),
    FIELD(grow_shrinks_above, KVA_ERANGE, kva_space_grow, ANY, "last"),
    FIELD(grow_shrinks_and_grows, KVA_ERANGE, kva_space_grow, ANY, "first"),
    FIELD(grow_reversed, KVA_ERANGE, kva_space_grow, ANY, "last"),
    ROW(grow_not_at_all, KVA_OK, kva_space_grow, ANY),

    ROW(find_below, KVA_ENOENT, kva_find, ANY),
    ROW(find_above, KVA_ENOENT, kva_find, ANY),
    FIELD(find_null_segment, KVA_ENULL, kva_find, ANY, "segment"),
    FIELD(first_null_segment, KVA_ENULL, kva_first, 0, "segment"),
    FIELD(next_null_segment, KVA_ENULL, kva_next, 0, "segment"),
    ROW(next_of_the_highest, KVA_ENOENT, kva_next, ANY),
    FIELD(stats_null, KVA_ENULL, kva_stats_read, 0, "stats"),
    FIELD(dump_null_line, KVA_ENULL, kva_space_dump, 0, "line"),
    ROW(check_null_fault, KVA_OK, kva_space_check, ANY),

    ROW(fini_not_empty, KVA_EBUSY, kva_space_fini, ANY),
    ROW(preload_0, KVA_OK, kva_preload, ANY),
    ROW(preload_too_much, KVA_ENOMEM, kva_preload, ANY),
    FIELD(reclaim_add_null, KVA_ENULL, kva_reclaim_add, 0, "reclaim"),
    FIELD(reclaim_add_without_callback, KVA_ENULL, kva_reclaim_add, 0, "reclaim.callback"),
    ROW(reclaim_add_twice, KVA_EEXIST, kva_reclaim_add, ANY),
    FIELD(reclaim_remove_null, KVA_ENULL, kva_reclaim_remove, 0, "reclaim"),
    ROW(reclaim_remove_unknown, KVA_ENOENT, kva_reclaim_remove, ANY),

    FIELD(clear_size_0, KVA_ESIZE, kva_clear, B, "size"),
    FIELD(clear_misses_quantum, KVA_EALIGN, kva_clear, B + 1, "start"),
    FIELD(clear_end_wraps, KVA_EWRAP, kva_clear, B, "size"),
    FIELD(clear_size_wraps, KVA_EWRAP, kva_clear, 0, "size"),
    FIELD(clear_from_below, KVA_ERANGE, kva_clear, FIRST - PAGE, "start"),
    FIELD(clear_above, KVA_ERANGE, kva_clear, LAST + 1, "start"),
    FIELD(clear_beyond_the_end, KVA_ERANGE, kva_clear, Z, "size"),
    FIELD(clear_absent, KVA_ERANGE, kva_clear, ABSENT + PAGE, "start"),
    FIELD(clear_into_absent, KVA_ERANGE, kva_clear, ABSENT - PAGE, "size"),
    FIELD(clear_across_absent, KVA_ERANGE, kva_clear, C, "size"),

    FIELD(over_size_0, KVA_ESIZE, kva_reserve_over, B, "size"),
    FIELD(over_misses_quantum, KVA_EALIGN, kva_reserve_over, B + 1, "start"),
    FIELD(over_end_wraps, KVA_EWRAP, kva_reserve_over, B, "size"),
    FIELD(over_size_wraps, KVA_EWRAP, kva_reserve_over, 0, "size"),
    FIELD(over_from_below, KVA_ERANGE, kva_reserve_over, FIRST - PAGE, "start"),
    FIELD(over_above, KVA_ERANGE, kva_reserve_over, LAST + 1, "start"),
    FIELD(over_beyond_the_end, KVA_ERANGE, kva_reserve_over, Z, "size"),
    FIELD(over_absent, KVA_ERANGE, kva_reserve_over, ABSENT + PAGE, "start"),
    FIELD(over_into_absent, KVA_ERANGE, kva_reserve_over, ABSENT - PAGE, "size"),
    FIELD(over_across_absent, KVA_ERANGE, kva_reserve_over, C, "size"),

    ROW(clear_nothing, KVA_OK, kva_clear, ANY),
    ROW(clear_deferred, KVA_OK, kva_clear, ANY),

    FIELD(split_misses_quantum, KVA_EALIGN, kva_split, B + 1, "at"),
    ROW(split_below, KVA_EUNKNOWN, kva_split, FIRST - PAGE),
    ROW(split_above, KVA_EUNKNOWN, kva_split, LAST + 1),
    ROW(split_absent, KVA_EUNKNOWN, kva_split, ABSENT + PAGE),
    ROW(split_free, KVA_EDOUBLE, kva_split, HOLE),
    ROW(split_deferred, KVA_EDEFERRED, kva_split, DEFERRED + PAGE),
    ROW(split_at_a_start, KVA_OK, kva_split, ANY),

    ROW(join_below, KVA_EUNKNOWN, kva_join, FIRST - 1),
    ROW(join_above, KVA_EUNKNOWN, kva_join, TOP),
    ROW(join_absent, KVA_EUNKNOWN, kva_join, ABSENT),
    ROW(join_interior, KVA_EINTERIOR, kva_join, B + PAGE),
    ROW(join_off_quantum, KVA_EINTERIOR, kva_join, B + 1),
    ROW(join_free, KVA_EDOUBLE, kva_join, HOLE),
    ROW(join_deferred, KVA_EDEFERRED, kva_join, DEFERRED),
    ROW(join_before_free, KVA_ENOENT, kva_join, ANY),
    ROW(join_before_deferred, KVA_ENOENT, kva_join, ANY),
    ROW(join_the_highest, KVA_ENOENT, kva_join, ANY),

    ROW(own_below, KVA_EUNKNOWN, kva_set_owner, FIRST - 1),
    ROW(own_above, KVA_EUNKNOWN, kva_set_owner, TOP),
    ROW(own_absent, KVA_EUNKNOWN, kva_set_owner, ABSENT),
    ROW(own_interior, KVA_EINTERIOR, kva_set_owner, B + PAGE),
    ROW(own_off_quantum, KVA_EINTERIOR, kva_set_owner, B + 1),
    ROW(own_free, KVA_EDOUBLE, kva_set_owner, HOLE),
    ROW(own_deferred, KVA_EDEFERRED, kva_set_owner, DEFERRED),

    ROW(move_below, KVA_EUNKNOWN, kva_move, FIRST - 1),
    ROW(move_above, KVA_EUNKNOWN, kva_move, TOP),
    ROW(move_absent, KVA_EUNKNOWN, kva_move, ABSENT),
    ROW(move_interior, KVA_EINTERIOR, kva_move, B + PAGE),
    ROW(move_off_quantum, KVA_EINTERIOR, kva_move, B + 1),
    ROW(move_free, KVA_EDOUBLE, kva_move, HOLE),
    ROW(move_deferred, KVA_EDEFERRED, kva_move, DEFERRED),
    FIELD(move_to_misses_quantum, KVA_EALIGN, kva_move, B, "to"),
    FIELD(move_to_end_wraps, KVA_EWRAP, kva_move, B, "to"),
    FIELD(move_to_from_below, KVA_ERANGE, kva_move, B, "to"),
    FIELD(move_to_above, KVA_ERANGE, kva_move, B, "to"),
    FIELD(move_to_beyond_the_end, KVA_ERANGE, kva_move, B, "to"),
    FIELD(move_to_absent, KVA_ERANGE, kva_move, B, "to"),
    FIELD(move_to_into_absent, KVA_ERANGE, kva_move, B, "to"),
    ROW(move_to_busy, KVA_EEXIST, kva_move, ANY),
    ROW(move_to_deferred_and_busy, KVA_EEXIST, kva_move, ANY),
    ROW(move_nowhere, KVA_OK, kva_move, ANY),

    ROW(free_sized_below, KVA_EUNKNOWN, kva_free_sized, FIRST - 1),
    ROW(free_sized_above, KVA_EUNKNOWN, kva_free_sized, TOP),
    ROW(free_sized_absent, KVA_EUNKNOWN, kva_free_sized, ABSENT),
    ROW(free_sized_interior, KVA_EINTERIOR, kva_free_sized, B + PAGE),
    ROW(free_sized_off_quantum, KVA_EINTERIOR, kva_free_sized, B + 1),
    ROW(free_sized_free, KVA_EDOUBLE, kva_free_sized, HOLE),
    ROW(free_sized_deferred, KVA_EDEFERRED, kva_free_sized, DEFERRED),
    FIELD(free_sized_size_0, KVA_ESIZE, kva_free_sized, B, "size"),
    FIELD(free_sized_too_short, KVA_ESIZE, kva_free_sized, B, "size"),
    FIELD(free_sized_too_long, KVA_ESIZE, kva_free_sized, B, "size"),
    FIELD(free_sized_wraps, KVA_ESIZE, kva_free_sized, B, "size"),

    FIELD(add_size_0, KVA_ESIZE, kva_space_add, ABSENT, "size"),
    FIELD(add_misses_quantum, KVA_EALIGN, kva_space_add, LAST + 2, "start"),
    FIELD(add_end_wraps, KVA_EWRAP, kva_space_add, HOLE, "size"),
    FIELD(add_size_wraps, KVA_EWRAP, kva_space_add, 0, "size"),
    FIELD(remove_size_0, KVA_ESIZE, kva_space_remove, ABSENT, "size"),
    FIELD(remove_misses_quantum, KVA_EALIGN, kva_space_remove, LAST + 2, "start"),
    FIELD(remove_end_wraps, KVA_EWRAP, kva_space_remove, HOLE, "size"),
    FIELD(remove_size_wraps, KVA_EWRAP, kva_space_remove, 0, "size"),
    ROW(add_what_is_busy, KVA_EEXIST, kva_space_add, ANY),
    ROW(add_what_is_free, KVA_EEXIST, kva_space_add, ANY),
    ROW(add_from_below, KVA_EEXIST, kva_space_add, ANY),
    ROW(add_beyond_the_end, KVA_EEXIST, kva_space_add, ANY),
    ROW(add_around_it, KVA_EEXIST, kva_space_add, ANY),
    ROW(add_into_absent, KVA_EEXIST, kva_space_add, ANY),
    ROW(add_out_of_absent, KVA_EEXIST, kva_space_add, ANY),
    FIELD(remove_from_below, KVA_ERANGE, kva_space_remove, FIRST - PAGE, "start"),
    FIELD(remove_above, KVA_ERANGE, kva_space_remove, LAST + 1, "start"),
    FIELD(remove_beyond_the_end, KVA_ERANGE, kva_space_remove, Z, "size"),
    FIELD(remove_absent, KVA_ERANGE, kva_space_remove, ABSENT, "start"),
    FIELD(remove_into_absent, KVA_ERANGE, kva_space_remove, ABSENT - PAGE, "size"),
    ROW(remove_what_is_busy, KVA_EBUSY, kva_space_remove, ANY),
    ROW(remove_deferred_and_busy, KVA_EBUSY, kva_space_remove, ANY),
    ROW(remove_free_and_busy, KVA_EBUSY, kva_space_remove, ANY),

    FIELD(shrink_first_misses_quantum, KVA_EALIGN, kva_space_shrink, ANY, "first"),
    FIELD(shrink_last_misses_quantum, KVA_EALIGN, kva_space_shrink, ANY, "last"),
    FIELD(shrink_grows_below, KVA_ERANGE, kva_space_shrink, ANY, "first"),
    FIELD(shrink_grows_above, KVA_ERANGE, kva_space_shrink, ANY, "last"),
    FIELD(shrink_reversed, KVA_ERANGE, kva_space_shrink, ANY, "last"),
    ROW(shrink_over_busy, KVA_EBUSY, kva_space_shrink, ANY),
    ROW(shrink_over_busy_above, KVA_EBUSY, kva_space_shrink, ANY),
    ROW(shrink_to_what_is_absent, KVA_EBUSY, kva_space_shrink, ANY),
    ROW(shrink_not_at_all, KVA_OK, kva_space_shrink, ANY),

    FIELD(last_null_segment, KVA_ENULL, kva_last, 0, "segment"),
    FIELD(prev_null_segment, KVA_ENULL, kva_prev, 0, "segment"),
    FIELD(first_in_null_segment, KVA_ENULL, kva_first_in, B, "segment"),
    FIELD(next_in_null_segment, KVA_ENULL, kva_next_in, 0, "segment"),
    FIELD(first_hole_null, KVA_ENULL, kva_first_hole, 0, "hole"),
    FIELD(next_hole_null, KVA_ENULL, kva_next_hole, 0, "hole"),
    FIELD(last_hole_null, KVA_ENULL, kva_last_hole, 0, "hole"),
    FIELD(prev_hole_null, KVA_ENULL, kva_prev_hole, 0, "hole"),
    ROW(prev_of_the_lowest, KVA_ENOENT, kva_prev, ANY),
    ROW(next_in_beyond, KVA_ENOENT, kva_next_in, ANY),
    ROW(next_hole_of_the_highest, KVA_ENOENT, kva_next_hole, ANY),
    ROW(next_hole_too_long, KVA_ENOENT, kva_next_hole, ANY),
    ROW(prev_hole_of_the_lowest, KVA_ENOENT, kva_prev_hole, ANY),
    ROW(first_hole_too_long, KVA_ENOENT, kva_first_hole, ANY),
    ROW(first_hole_of_all_addresses, KVA_ENOENT, kva_first_hole, ANY),
    ROW(last_hole_too_long, KVA_ENOENT, kva_last_hole, ANY),
    ROW(first_in_reversed, KVA_ENOENT, kva_first_in, ANY),
    ROW(first_in_below, KVA_ENOENT, kva_first_in, ANY),
    ROW(first_in_above, KVA_ENOENT, kva_first_in, ANY),
    ROW(first_in_absent, KVA_ENOENT, kva_first_in, ANY),
    ROW(flush_first_elsewhere, KVA_ENOENT, kva_flush_first, ANY),
    ROW(flush_next_elsewhere, KVA_ENOENT, kva_flush_next, ANY),
    FIELD(flush_first_null, KVA_ENULL, kva_flush_first, 0, "range"),
    FIELD(flush_next_null, KVA_ENULL, kva_flush_next, 0, "range"),

    FIELD(evict_null_eviction, KVA_ENULL, kva_evict_begin, 0, "eviction"),
    FIELD(evict_null_request, KVA_ENULL, kva_evict_begin, 0, "request"),
    FIELD(evict_size_0, KVA_ESIZE, kva_evict_begin, ANY, "size"),
    FIELD(evict_size_wraps, KVA_EWRAP, kva_evict_begin, ANY, "size"),
    FIELD(feed_null, KVA_ENULL, kva_evict_add, B, "candidate"),
    ROW(feed_below, KVA_EUNKNOWN, kva_evict_add, FIRST - 1),
    ROW(feed_above, KVA_EUNKNOWN, kva_evict_add, TOP),
    ROW(feed_absent, KVA_EUNKNOWN, kva_evict_add, ABSENT),
    ROW(feed_interior, KVA_EINTERIOR, kva_evict_add, B + PAGE),
    ROW(feed_off_quantum, KVA_EINTERIOR, kva_evict_add, B + 1),
    ROW(feed_free, KVA_EDOUBLE, kva_evict_add, HOLE),
    ROW(feed_deferred, KVA_EDEFERRED, kva_evict_add, DEFERRED),
    ROW(feed_not_yet, KVA_ENOSPC, kva_evict_add, ANY),
    ROW(feed_twice, KVA_EEXIST, kva_evict_add, ANY),
    FIELD(feed_when_it_fits, KVA_EINVAL, kva_evict_add, B, "eviction"),
    FIELD(finish_not_yet, KVA_EINVAL, kva_evict_finish, 0, "eviction"),
    FIELD(finish_null_start, KVA_ENULL, kva_evict_finish, 0, "start"),

    FIELD(reserve_absent, KVA_ERANGE, kva_reserve, ABSENT, "start"),
    FIELD(reserve_into_absent, KVA_ERANGE, kva_reserve, ABSENT - PAGE, "size"),
    FIELD(reserve_across_absent, KVA_ERANGE, kva_reserve, B, "size"),
    ROW(free_absent, KVA_EUNKNOWN, kva_free, ABSENT),
    ROW(defer_absent, KVA_EUNKNOWN, kva_free_deferred, ABSENT + PAGE),
    ROW(free_range_absent, KVA_EUNKNOWN, kva_free_range, ABSENT),
    ROW(resize_absent, KVA_EUNKNOWN, kva_resize, ABSENT),
    ROW(resize_into_absent, KVA_ENOSPC, kva_resize, ANY),
    ROW(find_absent, KVA_ENOENT, kva_find, ANY),
    ROW(search_absent, KVA_EAGAIN, kva_search, ANY),
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static bool is_misuse(enum kva_status status)
{
    return status >= KVA_ENULL && status < KVA_ECORRUPT;
}

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void expect_hook(const struct fixture *fixture, const struct row *row)
{
    const struct kva_fault *fault = &fixture->misuse.fault;
    unsigned want = is_misuse(row->status) ? 1 : 0;

    check_that(fixture->misuse.calls == want, "%s: %u calls of the misuse hook expected, %u found", row->name,
               (unsigned)want, fixture->misuse.calls);
    if (want == 0)
        return;
    assert_int_equal(fault->status, row->status);
    check_that(strcmp(fault->where, row->where) == 0, "%s: the hook received `where` %s, %s expected",
               row->name, fault->where, row->where);
    assert_string_equal(fault->what, kva_status_text(row->status));
    check_that(row->address == ANY || fault->address == row->address,
               "%s: the hook received address %#" PRIx64 ", %#" PRIx64 " expected", row->name, fault->address,
               row->address);
    check_that(is_same_text(fault->field, row->field) && fault->index == row->index,
               "%s: the hook received field %s, index %zu; %s, %zu expected", row->name,
               fault->field ? fault->field : "NULL", fault->index, row->field ? row->field : "NULL",
               row->index);
}

static void expect_outputs_untouched(const struct fixture *fixture, const struct row *row)
{
    check_that(fixture->start == UNTOUCHED, "%s wrote an address", row->name);
    check_that(fixture->segment.start == UNTOUCHED && fixture->segment.last == UNTOUCHED,
               "%s wrote a segment", row->name);
}

/** All rows, on one space; `refuses`: its memory source refuses every take. */
static void play_rows(const struct kva_engine *engine, uint64_t pool_bytes, bool refuses)
{
    static struct fixture fixture;
    struct test_picture before = {0};

    set_up(&fixture, engine, pool_bytes);
    test_picture_take(&before, &fixture.space);
    for (size_t i = 0; i < ROWS; i++) {
        bool refused = refuses || rows[i].call == preload_too_much;

        clear_outputs(&fixture);
        kva_failing_memory_fail(&fixture.memory, refused ? 1 : 0, true);
        enum kva_status status = rows[i].call(&fixture);
        check_that(status == rows[i].status, "%s: %s expected, %s returned", rows[i].name,
                   kva_status_name(rows[i].status), kva_status_name(status));
        expect_hook(&fixture, &rows[i]);
        expect_outputs_untouched(&fixture, &rows[i]);
        test_expect_untouched(&before, &fixture.space, rows[i].name);
        assert_int_equal(fixture.flushes, 0);
    }
    test_picture_drop(&before);
    tear_down(&fixture);
}

static void every_row(void **state)
{
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        for (unsigned variant = 0; variant < 4; variant++)
            play_rows(engine, variant & 1 ? 16 * PAGE : 0, (variant & 2) != 0);
    }
    print_message("%zu rows, with and without pools, with and without memory\n", ROWS);
}

/* ------------------------------------------------------------------------------ where no memory is needed */

/** A space in which the next change of the address map that needs a node finds none. Its segment R, 4 pages,
 * lies between free pages; with pools it is an object. */
struct dry {
    struct kva_space space;
    struct kva_failing_memory memory;
    struct kva_reclaim reclaim;
    uint64_t r;
};

enum { R_PAGES = 4 };

/** Take single pages from above, none next to another, until there is no node for one more. */
static void use_all_nodes(struct dry *dry)
{
    struct kva_request request = kva_request_of(PAGE);
    uint64_t start;
    enum kva_status status;

    request.policy = KVA_HIGHEST;
    request.max = (UINT64_C(1) << 24) - 1;
    kva_failing_memory_fail(&dry->memory, 1, true);
    while ((status = kva_alloc(&dry->space, &request, &start)) == KVA_OK) {
        request.max = start - PAGE - 1;
        assert_true(request.max > UINT64_C(1) << 23);
    }
    assert_int_equal(status, KVA_ENOMEM);
}

static void set_up_dry(struct dry *dry, const struct kva_engine *engine, uint64_t pool_bytes,
                       size_t preloaded)
{
    struct kva_config config = {.last = (UINT64_C(1) << 24) - 1, .quantum = PAGE, .engine = engine};
    struct kva_request request = kva_request_of(R_PAGES * PAGE);

    memset(dry, 0, sizeof(*dry));
    config.memory = kva_failing_memory_init(&dry->memory);
    config.pool_bytes = pool_bytes;
    assert_int_equal(kva_space_init(&dry->space, &config), KVA_OK);
    if (pool_bytes == 0) {
        dry->r = 64 * PAGE;
        assert_int_equal(kva_reserve(&dry->space, dry->r, R_PAGES * PAGE, NULL, NULL), KVA_OK);
    } else {
        assert_int_equal(kva_alloc(&dry->space, &request, &dry->r), KVA_OK);
    }
    dry->reclaim.callback = reclaim_nothing;
    use_all_nodes(dry);
    if (preloaded > 0) {
        kva_failing_memory_fail(&dry->memory, 0, false);
        assert_int_equal(kva_preload(&dry->space, preloaded), KVA_OK);
        kva_failing_memory_fail(&dry->memory, 1, true);
    }
}

static enum kva_status take_one(struct dry *d)
{
    struct kva_request request = kva_request_of(PAGE);
    uint64_t start;
    return kva_alloc(&d->space, &request, &start);
}

static enum kva_status defer_and_flush(struct dry *d)
{
    enum kva_status status = kva_free_deferred(&d->space, d->r);
    return status == KVA_OK ? kva_flush(&d->space) : status;
}

static enum kva_status add_and_remove(struct dry *d)
{
    enum kva_status status = kva_reclaim_add(&d->space, &d->reclaim);
    return status == KVA_OK ? kva_reclaim_remove(&d->space, &d->reclaim) : status;
}

static enum kva_status free_and_trim(struct dry *d)
{
    enum kva_status status = kva_free(&d->space, d->r);
    return status == KVA_OK ? kva_pools_drain(&d->space) : status;
}

#define DRY(name, expression)                                                                                \
    static enum kva_status name(struct dry *d)                                                               \
    {                                                                                                        \
        return expression;                                                                                   \
    }

DRY(dry_free, kva_free(&d->space, d->r))
DRY(dry_free_whole, kva_free_range(&d->space, d->r, R_PAGES *PAGE))
DRY(dry_free_whole_rounded, kva_free_range(&d->space, d->r, (R_PAGES - 1) * PAGE + 1))
DRY(dry_free_head, kva_free_range(&d->space, d->r, PAGE))
DRY(dry_free_tail, kva_free_range(&d->space, d->r + 3 * PAGE, PAGE))
DRY(dry_free_middle, kva_free_range(&d->space, d->r + PAGE, PAGE))
DRY(dry_resize_same, kva_resize(&d->space, d->r, R_PAGES *PAGE))
DRY(dry_resize_same_rounded, kva_resize(&d->space, d->r, (R_PAGES - 1) * PAGE + 1))
DRY(dry_shrink, kva_resize(&d->space, d->r, PAGE))
DRY(dry_grow, kva_resize(&d->space, d->r, (R_PAGES + 1) * PAGE))
DRY(dry_defer, kva_free_deferred(&d->space, d->r))
DRY(dry_limit, kva_set_deferred_limit(&d->space, 0))
DRY(dry_reserve, kva_reserve(&d->space, UINT64_C(1) << 23, PAGE, NULL, NULL))

DRY(dry_free_sized, kva_free_sized(&d->space, d->r, R_PAGES *PAGE))
DRY(dry_set_owner, kva_set_owner(&d->space, d->r, d))
DRY(dry_reset, kva_space_reset(&d->space))
DRY(dry_clear, kva_clear(&d->space, d->r, R_PAGES *PAGE, NULL))
DRY(dry_clear_middle, kva_clear(&d->space, d->r + PAGE, PAGE, NULL))
DRY(dry_over_middle, kva_reserve_over(&d->space, d->r + PAGE, PAGE, NULL, NULL))
DRY(dry_split, kva_split(&d->space, d->r + PAGE))
DRY(dry_move, kva_move(&d->space, d->r, d->r + PAGE, NULL))
DRY(dry_move_far, kva_move(&d->space, d->r, UINT64_C(1) << 23, NULL))

static enum kva_status split_and_join_r(struct dry *d)
{
    enum kva_status status = kva_split(&d->space, d->r + PAGE);
    return status == KVA_OK ? kva_join(&d->space, d->r) : status;
}

static enum kva_status evict_r(struct dry *d)
{
    struct kva_request request = kva_request_of(PAGE);
    struct kva_candidate candidate;
    struct kva_eviction eviction;
    uint64_t start;

    assert_int_equal(kva_evict_begin(&d->space, &request, &eviction), KVA_OK);
    assert_int_equal(kva_evict_add(&eviction, &candidate, d->r), KVA_OK);
    return kva_evict_finish(&eviction, &start);
}

/** Each sentence "KVA_ENOMEM cannot happen" and "never takes memory" of kva.h, deferred.h, ranges.h and
 *  evict.h. */
static const struct dry_row {
    const char *name;
    enum kva_status (*call)(struct dry *d);
    bool with_pools;  /* the sentence also holds for objects of pools */
    size_t preloaded; /* operations, where kva_preload gives the promise */
} dry_rows[] = {
    {"kva_free", dry_free, true, 0},
    {"kva_free, kva_pools_drain", free_and_trim, true, 0},
    {"kva_free_range, all of it", dry_free_whole, true, 0},
    {"kva_free_range, all of it by rounding", dry_free_whole_rounded, true, 0},
    {"kva_free_range, the head beside a free page", dry_free_head, false, 0},
    {"kva_free_range, the tail beside a free page", dry_free_tail, false, 0},
    {"kva_resize to the same size", dry_resize_same, true, 0},
    {"kva_resize to the same size by rounding", dry_resize_same_rounded, true, 0},
    {"kva_resize, shrinking", dry_shrink, false, 0},
    {"kva_resize, growing", dry_grow, false, 0},
    {"kva_free_deferred", dry_defer, true, 0},
    {"kva_free_deferred, kva_flush", defer_and_flush, true, 0},
    {"kva_set_deferred_limit", dry_limit, true, 0},
    {"kva_reclaim_add, kva_reclaim_remove", add_and_remove, true, 0},
    {"kva_free_sized", dry_free_sized, true, 0},
    {"kva_set_owner", dry_set_owner, true, 0},
    {"kva_clear, all of it", dry_clear, true, 0},
    {"kva_space_reset", dry_reset, true, 0},
    {"kva_preload, kva_alloc", take_one, true, 1},
    {"kva_preload, kva_reserve", dry_reserve, true, 1},
    {"kva_preload, kva_free_range, the head", dry_free_head, true, 1},
    {"kva_preload, kva_free_range, the middle", dry_free_middle, true, 1},
    {"kva_preload, kva_free_range, the tail", dry_free_tail, true, 1},
    {"kva_preload, kva_resize, shrinking", dry_shrink, true, 1},
    {"kva_preload, kva_clear, the middle", dry_clear_middle, false, 1},
    {"kva_preload twice, kva_clear, the middle", dry_clear_middle, true, 2},
    {"kva_preload twice, kva_reserve_over, the middle", dry_over_middle, false, 2},
    {"kva_preload, kva_split", dry_split, true, 1},
    {"kva_preload twice, kva_split and kva_join", split_and_join_r, false, 2},
    {"kva_preload three times, kva_split and kva_join", split_and_join_r, true, 3},
    {"kva_preload, kva_move", dry_move, true, 1},
    {"kva_preload, kva_move, far away", dry_move_far, true, 1},
    {"kva_preload, kva_evict_finish", evict_r, false, 1},
};

static void play_dry_row(const struct dry_row *row, const struct kva_engine *engine, uint64_t pool_bytes)
{
    static struct dry dry;

    set_up_dry(&dry, engine, pool_bytes, row->preloaded);
    enum kva_status status = row->call(&dry);
    bool promised = row->with_pools || pool_bytes == 0;
    check_that(status == KVA_OK || (!promised && status == KVA_ENOMEM),
               "%s, %s pools: %s expected, %s returned", row->name, pool_bytes > 0 ? "with" : "without",
               promised ? "KVA_OK" : "KVA_OK or KVA_ENOMEM", kva_status_name(status));
    test_expect_sound(&dry.space, 0, (UINT64_C(1) << 24) - 1);
    assert_int_equal(kva_space_abandon(&dry.space), KVA_OK);
    assert_int_equal(dry.memory.blocks, 0);
}

/* The promises of kva.h about KVA_ENOMEM hold with no node left and no memory for one, with pools and
 * without. */
static void where_no_memory_is_needed(void **state)
{
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        for (size_t i = 0; i < sizeof(dry_rows) / sizeof(dry_rows[0]); i++) {
            play_dry_row(&dry_rows[i], engine, 0);
            play_dry_row(&dry_rows[i], engine, UINT64_C(1) << 20);
        }
    }
}

/** The result of a shape in a space of single bytes; nothing is allocated. */
static void expect_shape(struct fixture *fixture, struct kva_request request, enum kva_status status,
                         const char *field)
{
    const struct kva_part part = {0, request.size};

    for (unsigned i = 0; i < 2; i++) {
        clear_outputs(fixture);
        enum kva_status got = i ? kva_alloc_congruent(&fixture->space, &request, &part, 1, &fixture->start)
                                : alloc(fixture, request);
        enum kva_status want = i && request.nocross != 0 ? KVA_EINVAL : status; /* parts take no boundary */
        check_that(got == want && fixture->start == UNTOUCHED,
                   "%s expected, %s returned; or the output was written", kva_status_name(want),
                   kva_status_name(got));
        assert_int_equal(fixture->misuse.calls, 1);
        assert_true(is_same_text(fixture->misuse.fault.field, field));
    }
}

/* With a quantum of 1 every alignment is valid; only phase and nocross can be wrong. */
static void shapes_with_a_quantum_of_1(void **state)
{
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        static struct fixture fixture;

        memset(&fixture, 0, sizeof(fixture));
        struct kva_config config = usual_config(&fixture, engine);
        config.quantum = 1;
        assert_int_equal(kva_space_init(&fixture.space, &config), KVA_OK);
        expect_shape(&fixture, (struct kva_request){.size = 1, .phase = 1}, KVA_EALIGN, "phase");
        expect_shape(&fixture, (struct kva_request){.size = 1, .align = 1, .phase = 1}, KVA_EALIGN, "phase");
        expect_shape(&fixture, (struct kva_request){.size = 1, .align = 7, .phase = 7}, KVA_EALIGN, "phase");
        expect_shape(&fixture, (struct kva_request){.size = 1, .align = 7, .phase = TOP}, KVA_EALIGN,
                     "phase");
        expect_shape(&fixture, (struct kva_request){.size = 1, .align = TOP, .phase = TOP}, KVA_EALIGN,
                     "phase");
        expect_shape(&fixture, (struct kva_request){.size = 1, .nocross = 3}, KVA_EALIGN, "nocross");
        expect_shape(&fixture, (struct kva_request){.size = 5, .nocross = 4}, KVA_ESIZE, "nocross");
        clear_outputs(&fixture);
        for (uint64_t align = 0; align <= 64; align++) {
            struct kva_request request = {.size = 1, .align = align, .nocross = 1};
            request.phase = align ? align - 1 : 0; /* the largest */
            assert_int_equal(alloc(&fixture, request), KVA_OK);
            assert_true(align == 0 || fixture.start % align == align - 1);
            assert_int_equal(kva_free(&fixture.space, fixture.start), KVA_OK);
        }
        assert_int_equal(fixture.misuse.calls, 0);
        tear_down(&fixture);
    }
}

/* Without a hook the calls return the same. */
static void no_hook_is_needed(void **state)
{
    static struct fixture fixture;
    struct kva_config config;
    struct kva_request request = kva_request_of(0);
    (void)state;

    memset(&fixture, 0, sizeof(fixture));
    config = usual_config(&fixture, &kva_engine_rb);
    config.on_misuse = NULL;
    assert_int_equal(kva_space_init(&fixture.space, &config), KVA_OK);
    assert_int_equal(kva_alloc(&fixture.space, &request, &fixture.start), KVA_ESIZE);
    assert_int_equal(kva_free(&fixture.space, FIRST), KVA_EDOUBLE);
    assert_int_equal(fixture.misuse.calls, 0);
    assert_int_equal(kva_space_fini(&fixture.space), KVA_OK);
}

/* ------------------------------------------------------------------------------------------- reserve over */

/* The one output that is written on failure. */
static void reserve_reports_the_lowest_conflict(void **state)
{
    static struct fixture fixture;
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        static const struct {
            uint64_t start, size, conflict, last;
        } cases[] = {
            {A, PAGE, A, A + 2 * PAGE - 1},
            {A + PAGE, PAGE, A, A + 2 * PAGE - 1},
            {HOLE, ABSENT - HOLE, B, B + 4 * PAGE - 1},
            {B - PAGE, 2 * PAGE, B, B + 4 * PAGE - 1},
            {B + 3 * PAGE, 2 * PAGE, B, B + 4 * PAGE - 1},
            {Z - PAGE, 2 * PAGE, Z, LAST},
            {FIRST, ABSENT - FIRST, A, A + 2 * PAGE - 1},
        };
        struct test_picture before = {0};

        set_up(&fixture, engine, 0);
        test_picture_take(&before, &fixture.space);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct kva_segment conflict = {0};
            assert_int_equal(kva_reserve(&fixture.space, cases[i].start, cases[i].size, NULL, &conflict),
                             KVA_EEXIST);
            assert_int_equal(conflict.start, cases[i].conflict);
            assert_int_equal(conflict.last, cases[i].last);
            assert_int_equal(conflict.state, KVA_BUSY);
            test_expect_untouched(&before, &fixture.space, "a reserve over busy segments");
        }
        assert_int_equal(fixture.misuse.calls, 0);
        test_picture_drop(&before);
        tear_down(&fixture);
    }
}

/* --------------------------------------------------------------------------------- NULL and uninitialised */

static void dump_nothing(void *context, const char *text, size_t length)
{
    (void)context;
    (void)text;
    (void)length;
}

/** Every function that takes a space, with one that is invalid. */
static void expect_all_null(struct kva_space *space)
{
    struct kva_request request = kva_request_of(1);
    struct kva_part part = {0, 1};
    struct kva_segment segment = {0};
    struct kva_stats stats;
    struct kva_fault fault;
    struct kva_reclaim reclaim = {reclaim_nothing, NULL, {NULL}};
    struct kva_eviction eviction;
    struct kva_candidate candidate;
    uint64_t start = UNTOUCHED;

    assert_int_equal(kva_search(space, &request, &start), KVA_ENULL);
    assert_int_equal(kva_alloc(space, &request, &start), KVA_ENULL);
    assert_int_equal(kva_alloc_congruent(space, &request, &part, 1, &start), KVA_ENULL);
    assert_int_equal(kva_reserve(space, 0, 1, NULL, &segment), KVA_ENULL);
    assert_int_equal(kva_free(space, 0), KVA_ENULL);
    assert_int_equal(kva_free_range(space, 0, 1), KVA_ENULL);
    assert_int_equal(kva_resize(space, 0, 1), KVA_ENULL);
    assert_int_equal(kva_free_deferred(space, 0), KVA_ENULL);
    assert_int_equal(kva_flush(space), KVA_ENULL);
    assert_int_equal(kva_set_deferred_limit(space, 1), KVA_ENULL);
    assert_int_equal(kva_reclaim_add(space, &reclaim), KVA_ENULL);
    assert_int_equal(kva_reclaim_remove(space, &reclaim), KVA_ENULL);
    assert_int_equal(kva_preload(space, 1), KVA_ENULL);
    assert_int_equal(kva_space_grow(space, 0, UINT64_MAX), KVA_ENULL);
    assert_int_equal(kva_find(space, 0, &segment), KVA_ENULL);
    assert_int_equal(kva_first(space, &segment), KVA_ENULL);
    assert_int_equal(kva_next(space, &segment), KVA_ENULL);
    assert_int_equal(kva_flush_first(space, &segment), KVA_ENULL);
    assert_int_equal(kva_flush_next(space, &segment), KVA_ENULL);
    assert_int_equal(kva_clear(space, 0, 1, &start), KVA_ENULL);
    assert_int_equal(kva_reserve_over(space, 0, 1, NULL, &start), KVA_ENULL);
    assert_int_equal(kva_split(space, 0), KVA_ENULL);
    assert_int_equal(kva_join(space, 0), KVA_ENULL);
    assert_int_equal(kva_set_owner(space, 0, NULL), KVA_ENULL);
    assert_int_equal(kva_move(space, 0, 1, &segment), KVA_ENULL);
    assert_int_equal(kva_free_sized(space, 0, 1), KVA_ENULL);
    assert_int_equal(kva_last(space, &segment), KVA_ENULL);
    assert_int_equal(kva_prev(space, &segment), KVA_ENULL);
    assert_int_equal(kva_first_hole(space, 1, &segment), KVA_ENULL);
    assert_int_equal(kva_next_hole(space, 1, &segment), KVA_ENULL);
    assert_int_equal(kva_last_hole(space, 1, &segment), KVA_ENULL);
    assert_int_equal(kva_prev_hole(space, 1, &segment), KVA_ENULL);
    assert_int_equal(kva_first_in(space, 0, 1, &segment), KVA_ENULL);
    assert_int_equal(kva_next_in(space, 1, &segment), KVA_ENULL);
    assert_int_equal(kva_space_add(space, 0, 1), KVA_ENULL);
    assert_int_equal(kva_space_remove(space, 0, 1), KVA_ENULL);
    assert_int_equal(kva_space_shrink(space, 0, 1), KVA_ENULL);
    assert_int_equal(kva_space_reset(space), KVA_ENULL);
    assert_int_equal(kva_evict_begin(space, &request, &eviction), KVA_ENULL);
    assert_int_equal(kva_evict_add(&eviction, &candidate, 0), KVA_ENULL); /* never begun */
    assert_int_equal(kva_evict_finish(&eviction, &start), KVA_ENULL);
    assert_null(kva_evict_first(&eviction));
    assert_int_equal(kva_evict_add(NULL, &candidate, 0), KVA_ENULL);
    assert_int_equal(kva_evict_finish(NULL, &start), KVA_ENULL);
    assert_null(kva_evict_first(NULL));
    assert_null(kva_evict_next(NULL, NULL));
    assert_int_equal(kva_stats_read(space, &stats), KVA_ENULL);
    assert_int_equal(kva_space_check(space, &fault), KVA_ENULL);
    assert_int_equal(kva_space_dump(space, dump_nothing, NULL), KVA_ENULL);
    assert_int_equal(kva_space_fini(space), KVA_ENULL);
    assert_int_equal(kva_space_abandon(space), KVA_ENULL);
    assert_int_equal(start, UNTOUCHED);
}

static void no_space(void **state)
{
    (void)state;
    expect_all_null(NULL);
}

static void a_space_after_its_end(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture fixture;

        set_up(&fixture, engine, 0);
        tear_down(&fixture);
        expect_all_null(&fixture.space);

        memset(&fixture, 0, sizeof(fixture));
        struct kva_config config = usual_config(&fixture, engine);
        assert_int_equal(kva_space_init(&fixture.space, &config), KVA_OK);
        assert_int_equal(kva_space_fini(&fixture.space), KVA_OK);
        expect_all_null(&fixture.space);
        assert_int_equal(fixture.misuse.calls, 0);
    }
}

/* --------------------------------------------------------------------------------------------------- init */

typedef void spoil_config(struct kva_config *config, struct kva_range *busy);

static void no_take(struct kva_config *config, struct kva_range *busy)
{
    (void)busy;
    config->memory.take = NULL;
}

static void no_give(struct kva_config *config, struct kva_range *busy)
{
    (void)busy;
    config->memory.give = NULL;
}

static void no_engine(struct kva_config *config, struct kva_range *busy)
{
    (void)busy;
    config->engine = NULL;
}

static void no_busy_list(struct kva_config *config, struct kva_range *busy)
{
    (void)busy;
    config->busy = NULL;
}

static void odd_quantum(struct kva_config *config, struct kva_range *busy)
{
    (void)busy;
    config->quantum = 3 * PAGE;
}

static void first_misses_quantum(struct kva_config *config, struct kva_range *busy)
{
    (void)busy;
    config->first += 1;
}

static void last_misses_quantum(struct kva_config *config, struct kva_range *busy)
{
    (void)busy;
    config->last -= 1;
}

static void coarse_quantum(struct kva_config *config, struct kva_range *busy)
{
    (void)busy;
    config->quantum = UINT64_C(1) << 63;
}

static void reversed(struct kva_config *config, struct kva_range *busy)
{
    (void)busy;
    config->first = LAST + 1;
    config->last = FIRST - 1;
}

static void busy_misses_quantum(struct kva_config *config, struct kva_range *busy)
{
    (void)config;
    busy[1].start += PAGE / 2;
}

static void busy_below(struct kva_config *config, struct kva_range *busy)
{
    (void)config;
    busy[1].start = FIRST - PAGE;
}

static void busy_above(struct kva_config *config, struct kva_range *busy)
{
    (void)config;
    busy[1].start = LAST + 1;
}

static void busy_too_long(struct kva_config *config, struct kva_range *busy)
{
    (void)config;
    busy[2].size = LAST - busy[2].start + 2;
}

static void busy_empty(struct kva_config *config, struct kva_range *busy)
{
    (void)config;
    busy[0].size = 0;
}

static void busy_wraps(struct kva_config *config, struct kva_range *busy)
{
    (void)config;
    busy[2].size = TOP - PAGE + 1;
}

static void busy_wraps_by_rounding(struct kva_config *config, struct kva_range *busy)
{
    (void)config;
    busy[2].size = TOP;
}

static void busy_twice(struct kva_config *config, struct kva_range *busy)
{
    (void)config;
    busy[2] = busy[0];
}

static void busy_overlap(struct kva_config *config, struct kva_range *busy)
{
    (void)config;
    busy[1].start = busy[0].start - PAGE;
    busy[1].size = PAGE + 1; /* rounded up, it overlaps busy[0] */
}

static struct kva_threads spoilt_threads;

#define WITHOUT(function)                                                                                    \
    static void threads_without_##function(struct kva_config *config, struct kva_range *busy)                \
    {                                                                                                        \
        (void)busy;                                                                                          \
        struct test_other whole;                                                                             \
        test_other_init(&whole, NULL);                                                                       \
        spoilt_threads = whole.threads;                                                                      \
        spoilt_threads.function = NULL;                                                                      \
        config->threads = &spoilt_threads;                                                                   \
    }

WITHOUT(wait)
WITHOUT(wake)
WITHOUT(cpu)
WITHOUT(self)

static void odd_class(struct kva_config *config, struct kva_range *busy)
{
    (void)busy;
    config->align_class[0] = 2 * PAGE;
    config->align_class[3] = 3 * PAGE;
}

static void every_bad_config(void **state)
{
    static const struct {
        spoil_config *spoil;
        enum kva_status status;
        const char *field;
        size_t index;
    } cases[] = {
        {no_take, KVA_ENULL, "memory.take", 0},
        {no_give, KVA_ENULL, "memory.give", 0},
        {no_engine, KVA_ENULL, "engine", 0},
        {no_busy_list, KVA_ENULL, "busy", 0},
        {odd_quantum, KVA_EALIGN, "quantum", 0},
        {first_misses_quantum, KVA_EALIGN, "first", 0},
        {last_misses_quantum, KVA_EALIGN, "last", 0},
        {coarse_quantum, KVA_EALIGN, "first", 0},
        {reversed, KVA_ERANGE, "last", 0},
        {busy_misses_quantum, KVA_EALIGN, "busy[i].start", 1},
        {busy_below, KVA_ERANGE, "busy[i].start", 1},
        {busy_above, KVA_ERANGE, "busy[i].start", 1},
        {busy_too_long, KVA_ERANGE, "busy[i].size", 2},
        {busy_empty, KVA_ESIZE, "busy[i].size", 0},
        {busy_wraps, KVA_EWRAP, "busy[i].size", 2},
        {busy_wraps_by_rounding, KVA_EWRAP, "busy[i].size", 2},
        {threads_without_wait, KVA_ENULL, "threads.wait", 0},
        {threads_without_wake, KVA_ENULL, "threads.wake", 0},
        {threads_without_cpu, KVA_ENULL, "threads.cpu", 0},
        {threads_without_self, KVA_ENULL, "threads.self", 0},
        {odd_class, KVA_EALIGN, "align_class[i]", 3},
        {busy_twice, KVA_EEXIST, NULL, 0},
        {busy_overlap, KVA_EEXIST, NULL, 0},
    };
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            static struct fixture fixture;
            struct kva_range busy[3] = {{C, PAGE, NULL}, {A, PAGE, NULL}, {B, 3 * PAGE, NULL}};

            memset(&fixture, 0, sizeof(fixture));
            struct kva_config config = usual_config(&fixture, engine);
            config.busy = busy;
            config.busy_count = 3;
            cases[i].spoil(&config, busy);
            memset(&fixture.space, 0xa5, sizeof(fixture.space));
            enum kva_status status = kva_space_init(&fixture.space, &config);
            check_that(status == cases[i].status, "configuration %zu: %s expected, %s returned", i,
                       kva_status_name(cases[i].status), kva_status_name(status));
            assert_int_equal(fixture.memory.blocks, 0);
            assert_int_equal(fixture.misuse.calls, is_misuse(status));
            if (is_misuse(status)) {
                assert_int_equal(fixture.misuse.fault.status, status);
                assert_string_equal(fixture.misuse.fault.where, "kva_space_init");
                check_that(is_same_text(fixture.misuse.fault.field, cases[i].field) &&
                               fixture.misuse.fault.index == cases[i].index,
                           "configuration %zu: field %s, index %zu expected; %s, %zu found", i,
                           cases[i].field ? cases[i].field : "NULL", cases[i].index,
                           fixture.misuse.fault.field ? fixture.misuse.fault.field : "NULL",
                           fixture.misuse.fault.index);
            }
            expect_all_null(&fixture.space);
        }
    }
}

static void init_without_space_or_config(void **state)
{
    static struct fixture fixture;
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    struct kva_config config = usual_config(&fixture, &kva_engine_rb);
    assert_int_equal(kva_space_init(NULL, &config), KVA_ENULL);
    memset(&fixture.space, 0xa5, sizeof(fixture.space));
    assert_int_equal(kva_space_init(&fixture.space, NULL), KVA_ENULL);
    expect_all_null(&fixture.space);
    assert_int_equal(fixture.memory.takes, 0);
}

static void engines_by_name(void **state)
{
    (void)state;
    assert_string_equal(kva_engine_name(0),
                        KVA_TEST_HOSTED ? "bt" : "rb"); /* the default engine of each kind of build */
    assert_ptr_equal(kva_engine_by_name("rb"), &kva_engine_rb);
    assert_ptr_equal(kva_engine_by_name("scan"), &kva_engine_scan);
    assert_null(kva_engine_by_name("r"));
    assert_null(kva_engine_by_name("rbx"));
    assert_null(kva_engine_by_name(""));
    assert_null(kva_engine_by_name(NULL));
    size_t count = 0;
    while (kva_engine_name(count) != NULL)
        assert_non_null(kva_engine_by_name(kva_engine_name(count++)));
    assert_true(count >= 2);
    assert_null(kva_engine_name(SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),         cmocka_unit_test(where_no_memory_is_needed),
        cmocka_unit_test(no_hook_is_needed), cmocka_unit_test(reserve_reports_the_lowest_conflict),
        cmocka_unit_test(no_space),          cmocka_unit_test(a_space_after_its_end),
        cmocka_unit_test(every_bad_config),  cmocka_unit_test(init_without_space_or_config),
        cmocka_unit_test(engines_by_name),   cmocka_unit_test(shapes_with_a_quantum_of_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
