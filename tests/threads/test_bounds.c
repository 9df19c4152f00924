/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** A request that cannot succeed while another thread keeps deferring ranges ends after a bounded number
 *  of flushes. */
#include "common/other.h"

#include <kva/deferred.h>
#include <kva/ranges.h>
#include <stdlib.h>
#include <string.h>

#include "space/pool.h"
#include "../../ports/test/failing_memory.h"

#define QUANTUM UINT64_C(0x1000)

enum { PAGES = 4096 };

struct play {
    struct kva_space space;
    struct kva_failing_memory memory;
    struct test_other other;
    uint64_t flushes_before;
    uint64_t held;
    unsigned misuses;
};

static void count_misuse(void *context, const struct kva_fault *fault)
{
    struct play *play = context;

    (void)fault;
    play->misuses++;
}

/** The other thread removes the upper half of the space, once. */
static void take_half_away(void *context)
{
    struct play *play = context;

    play->other.step = NULL;
    if (kva_space_shrink(&play->space, 0, PAGES / 2 * QUANTUM - 1) != KVA_OK)
        abort();
}

static void shrink_meanwhile(void *context, uint64_t start, uint64_t last)
{
    struct play *play = context;

    (void)start;
    (void)last;
    play->other.step = take_half_away;
    play->other.threads.point(play->other.threads.context);
}

static void flush_nothing(void *context, uint64_t start, uint64_t last)
{
    (void)context;
    (void)start;
    (void)last;
}

static void set_up(struct play *play, const struct kva_engine *engine, uint64_t pool_bytes)
{
    memset(play, 0, sizeof(*play));
    test_other_init(&play->other, play);
    struct kva_config config = {
        .last = PAGES * QUANTUM - 1,
        .quantum = QUANTUM,
        .engine = engine,
        .memory = kva_failing_memory_init(&play->memory),
        .flush = flush_nothing,
        .cpus = 2,
        .threads = &play->other.threads,
        .pool_bytes = pool_bytes,
        .on_misuse = count_misuse,
        .hook_context = play,
    };
    assert_int_equal(kva_space_init(&play->space, &config), KVA_OK);
    play->other.locks = &play->space.shared->locks;
}

static void tear_down(struct play *play)
{
    assert_int_equal(kva_space_check(&play->space, NULL), KVA_OK);
    assert_int_equal(kva_space_abandon(&play->space), KVA_OK);
    assert_int_equal(play->memory.blocks, 0);
}

static uint64_t flushes(const struct kva_space *space)
{
    struct kva_stats stats;

    assert_int_equal(kva_stats_read(space, &stats), KVA_OK);
    return stats.flushes;
}

/** Reserve the next page that was never used, and defer it. */
static void defer_a_page(void *context)
{
    struct play *play = context;
    uint64_t start = play->other.steps * QUANTUM;

    if (kva_reserve(&play->space, start, QUANTUM, NULL, NULL) != KVA_OK ||
        kva_free_deferred(&play->space, start) != KVA_OK)
        abort();
}

/** Run `body` on a space of each engine, with and without pools. */
static void on_every_space(void (*body)(struct play *play))
{
    static struct play play;
    const struct kva_engine *engine;

    for_each_engine (engine, e) {
        for (unsigned pools = 0; pools < 2; pools++) {
            set_up(&play, engine, pools * 64 * QUANTUM);
            body(&play);
            tear_down(&play);
        }
    }
}

/** From now on the other thread defers a page at each step of this one. */
static void begin_deferring(struct play *play)
{
    play->flushes_before = flushes(&play->space);
    play->other.step = defer_a_page;
}

static void end_deferring(struct play *play)
{
    test_other_stop(&play->other);
    uint64_t more = flushes(&play->space) - play->flushes_before;
    check_that(more <= 2, "at most 2 flushes expected, %" PRIu64 " found", more);
}

/* Each attempt meets a deferred range. Ranges deferred since the call began were busy while it ran:
 * KVA_EEXIST. */
static void reserve_all(struct play *play)
{
    struct kva_segment conflict = {0};

    begin_deferring(play);
    assert_int_equal(kva_reserve(&play->space, 0, PAGES * QUANTUM, NULL, &conflict), KVA_EEXIST);
    end_deferring(play);
    assert_int_equal(conflict.state, KVA_DEFERRED);
    assert_true(conflict.start < play->other.steps * QUANTUM + QUANTUM);
}

static void a_reserve_ends(void **state)
{
    (void)state;
    on_every_space(reserve_all);
}

/* The same for kva_reserve_over, over all ranges. */
static void reserve_over_all(struct play *play)
{
    uint64_t bytes = 5;

    begin_deferring(play);
    assert_int_equal(kva_reserve_over(&play->space, 0, PAGES * QUANTUM, NULL, &bytes), KVA_EAGAIN);
    end_deferring(play);
    assert_int_equal(bytes, 5);
}

static void a_reserve_over_ends(void **state)
{
    (void)state;
    on_every_space(reserve_over_all);
}

/* A range that leaves the space during the flush is refused, like one that was never in it. */
static void reserve_over_a_removed_range(struct play *play)
{
    uint64_t bytes = 5;

    play->space.flush = shrink_meanwhile;
    play->space.flush_context = play;
    assert_int_equal(kva_reserve(&play->space, 0, QUANTUM, NULL, NULL), KVA_OK);
    assert_int_equal(kva_free_deferred(&play->space, 0), KVA_OK);
    assert_int_equal(kva_reserve_over(&play->space, 0, PAGES * QUANTUM, NULL, &bytes), KVA_ERANGE);
    assert_int_equal(play->misuses, 1);
    assert_int_equal(play->other.steps, 1);
    assert_int_equal(bytes, 5);
}

static void a_range_removed_during_the_flush_is_refused(void **state)
{
    (void)state;
    on_every_space(reserve_over_a_removed_range);
}

/* The same for a move. */
static void move_the_upper_half(struct play *play)
{
    const uint64_t half = PAGES / 2 * QUANTUM;
    struct kva_segment conflict = {0};

    assert_int_equal(kva_reserve(&play->space, half, half, NULL, NULL), KVA_OK);
    begin_deferring(play);
    assert_int_equal(kva_move(&play->space, half, 0, &conflict), KVA_EEXIST);
    end_deferring(play);
    assert_int_equal(conflict.state, KVA_DEFERRED);
}

static void a_move_ends(void **state)
{
    (void)state;
    on_every_space(move_the_upper_half);
}

/* The same for an allocation of the whole space. */
static void allocate_all(struct play *play)
{
    struct kva_request request = kva_request_of(PAGES * QUANTUM);
    uint64_t start;

    begin_deferring(play);
    assert_int_equal(kva_alloc(&play->space, &request, &start), KVA_ENOSPC);
    end_deferring(play);
}

static void an_allocation_ends(void **state)
{
    (void)state;
    on_every_space(allocate_all);
}

/** Free the held page, and allocate one. */
static void swap_a_page(void *context)
{
    struct play *play = context;
    struct kva_request request = kva_request_of(QUANTUM);
    uint64_t start;

    if (kva_free(&play->space, play->held) != KVA_OK || kva_alloc(&play->space, &request, &start) != KVA_OK)
        abort();
    play->held = start;
}

/* Pooled pages are in the way, and one busy page, which keeps moving. */
static void a_reserve_among_pools_ends(void **state)
{
    static struct play play;
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        struct kva_request request = kva_request_of(QUANTUM);
        struct kva_segment conflict = {0};

        set_up(&play, engine, 64 * QUANTUM);
        assert_int_equal(kva_alloc(&play.space, &request, &play.held), KVA_OK);
        play.other.step = swap_a_page;
        assert_int_equal(kva_reserve(&play.space, 0, PAGES * QUANTUM, NULL, &conflict), KVA_EEXIST);
        test_other_stop(&play.other);
        assert_int_equal(conflict.state, KVA_BUSY);
        tear_down(&play);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reserve_ends),
        cmocka_unit_test(a_reserve_over_ends),
        cmocka_unit_test(a_range_removed_during_the_flush_is_refused),
        cmocka_unit_test(a_move_ends),
        cmocka_unit_test(an_allocation_ends),
        cmocka_unit_test(a_reserve_among_pools_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
