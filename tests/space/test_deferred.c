/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Deferred free, flush and reclaim: when the flush callback is called, with which range, and what it may do;
 * which reclaim callbacks are called, and in which order.
 */
#include "../common/harness.h"
#include "../common/picture.h"

#include <kva/deferred.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

#define PAGE UINT64_C(0x1000)
#define LAST UINT64_C(0xfffff) /* 256 pages */
#define MIB (UINT64_C(1) << 20)

struct fixture {
    struct kva_space space;
    struct kva_failing_memory memory;
    unsigned flushes;
    uint64_t flush_start;
    uint64_t flush_last;
    unsigned misuses;
    enum kva_status misuse;
    void (*inside)(struct fixture *fixture); /* called from the flush callback */
};

static void on_flush(void *context, uint64_t start, uint64_t last)
{
    struct fixture *fixture = context;
    fixture->flushes++;
    fixture->flush_start = start;
    fixture->flush_last = last;
    if (fixture->inside != NULL)
        fixture->inside(fixture);
}

static void on_misuse(void *context, const struct kva_fault *fault)
{
    struct fixture *fixture = context;
    fixture->misuses++;
    fixture->misuse = fault->status;
}

static struct kva_config config_of(struct fixture *fixture, const struct kva_engine *engine)
{
    struct kva_config config = {0};
    memset(fixture, 0, sizeof(*fixture));
    config.last = LAST;
    config.quantum = PAGE;
    config.engine = engine;
    config.memory = kva_failing_memory_init(&fixture->memory);
    config.flush = on_flush;
    config.flush_context = fixture;
    config.deferred_limit = UINT64_MAX;
    config.on_misuse = on_misuse;
    config.hook_context = fixture;
    return config;
}

/** A space whose first `busy` pages are one busy segment each. */
static void set_up(struct fixture *fixture, const struct kva_engine *engine, unsigned busy)
{
    struct kva_config config = config_of(fixture, engine);
    assert_int_equal(kva_space_init(&fixture->space, &config), KVA_OK);
    for (unsigned i = 0; i < busy; i++)
        assert_int_equal(kva_reserve(&fixture->space, i * PAGE, PAGE, fixture, NULL), KVA_OK);
}

static void tear_down(struct fixture *fixture)
{
    assert_int_equal(kva_space_check(&fixture->space, NULL), KVA_OK);
    assert_int_equal(kva_space_abandon(&fixture->space), KVA_OK);
    assert_int_equal(fixture->memory.blocks, 0);
}

static void defer(struct fixture *fixture, uint64_t page)
{
    assert_int_equal(kva_free_deferred(&fixture->space, page * PAGE), KVA_OK);
}

static enum kva_state state_of(struct fixture *fixture, uint64_t page)
{
    struct kva_segment segment;
    assert_int_equal(kva_find(&fixture->space, page * PAGE, &segment), KVA_OK);
    return segment.state;
}

static enum kva_status alloc_pages(struct fixture *fixture, uint64_t pages, uint64_t *start)
{
    struct kva_request request = kva_request_of(pages * PAGE);
    return kva_alloc(&fixture->space, &request, start);
}

static void expect_flush(const struct fixture *fixture, unsigned flushes, uint64_t start, uint64_t last)
{
    assert_int_equal(fixture->flushes, flushes);
    assert_int_equal(fixture->flush_start, start);
    assert_int_equal(fixture->flush_last, last);
}

/* -------------------------------------------------------------------------------------------------- flush */

static void one_callback_with_the_covering_range(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_stats stats;

        set_up(&f, engine, 16);
        defer(&f, 9); /* in arbitrary order */
        defer(&f, 4);
        defer(&f, 5);
        defer(&f, 12);
        assert_int_equal(f.flushes, 0);
        assert_int_equal(kva_stats_read(&f.space, &stats), KVA_OK);
        assert_int_equal(stats.deferred_bytes, 4 * PAGE);
        assert_int_equal(stats.deferred_segments, 4);
        assert_int_equal(stats.flushes, 0);

        assert_int_equal(kva_flush(&f.space), KVA_OK);
        expect_flush(&f, 1, 4 * PAGE, 13 * PAGE - 1);
        assert_int_equal(kva_stats_read(&f.space, &stats), KVA_OK);
        assert_int_equal(stats.deferred_bytes, 0);
        assert_int_equal(stats.deferred_segments, 0);
        assert_int_equal(stats.flushes, 1);
        assert_int_equal(stats.free_segments, 4); /* 4-5 merged, 9, 12, and the rest */

        /* The next flush covers only what was deferred after this one. */
        defer(&f, 7);
        assert_int_equal(kva_flush(&f.space), KVA_OK);
        expect_flush(&f, 2, 7 * PAGE, 8 * PAGE - 1);
        tear_down(&f);
    }
}

static void an_empty_flush_calls_no_callback(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_stats stats;

        set_up(&f, engine, 2);
        assert_int_equal(kva_flush(&f.space), KVA_OK);
        defer(&f, 0);
        assert_int_equal(kva_flush(&f.space), KVA_OK);
        assert_int_equal(kva_flush(&f.space), KVA_OK);
        assert_int_equal(f.flushes, 1);
        assert_int_equal(kva_stats_read(&f.space, &stats), KVA_OK);
        assert_int_equal(stats.flushes, 1);
        tear_down(&f);
    }
}

/* The covering range must not wrap at either end of 64 bits. */
static void a_flush_that_covers_all_addresses(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_config config = config_of(&f, engine);

        config.last = UINT64_MAX;
        assert_int_equal(kva_space_init(&f.space, &config), KVA_OK);
        assert_int_equal(kva_reserve(&f.space, UINT64_MAX - PAGE + 1, PAGE, NULL, NULL), KVA_OK);
        assert_int_equal(kva_reserve(&f.space, 0, PAGE, NULL, NULL), KVA_OK);
        assert_int_equal(kva_free_deferred(&f.space, UINT64_MAX - PAGE + 1), KVA_OK);
        defer(&f, 0);
        assert_int_equal(kva_flush(&f.space), KVA_OK);
        expect_flush(&f, 1, 0, UINT64_MAX);
        tear_down(&f);
    }
}

static void without_a_callback_a_flush_still_frees(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_config config = config_of(&f, engine);

        config.flush = NULL;
        assert_int_equal(kva_space_init(&f.space, &config), KVA_OK);
        assert_int_equal(kva_reserve(&f.space, 0, PAGE, NULL, NULL), KVA_OK);
        defer(&f, 0);
        assert_int_equal(kva_flush(&f.space), KVA_OK);
        assert_int_equal(state_of(&f, 0), KVA_FREE);
        assert_int_equal(f.flushes, 0);
        tear_down(&f);
    }
}

static void deferred_segments_are_listed_and_not_allocated(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_segment segment;
        uint64_t start;

        set_up(&f, engine, 3);
        defer(&f, 0);
        defer(&f, 1);
        /* Adjacent deferred segments keep their bounds and owners. */
        assert_int_equal(kva_first(&f.space, &segment), KVA_OK);
        assert_int_equal(segment.state, KVA_DEFERRED);
        assert_int_equal(segment.last, PAGE - 1);
        assert_ptr_equal(segment.owner, &f);
        assert_int_equal(kva_next(&f.space, &segment), KVA_OK);
        assert_int_equal(segment.state, KVA_DEFERRED);
        assert_int_equal(segment.start, PAGE);
        assert_int_equal(kva_find(&f.space, PAGE + 5, &segment), KVA_OK);
        assert_int_equal(segment.start, PAGE);

        assert_int_equal(alloc_pages(&f, 1, &start), KVA_OK);
        assert_int_equal(start, 3 * PAGE);
        assert_int_equal(kva_resize(&f.space, 3 * PAGE, 2 * PAGE), KVA_OK);
        assert_int_equal(f.flushes, 0);
        assert_int_equal(kva_free(&f.space, PAGE), KVA_EDEFERRED);
        assert_int_equal(kva_free_deferred(&f.space, PAGE), KVA_EDEFERRED);
        assert_int_equal(f.misuses, 2);
        assert_int_equal(f.misuse, KVA_EDEFERRED);
        tear_down(&f);
    }
}

/* ---------------------------------------------------------------------------------------------- the limit */

/** Find the limit on deferred bytes: defer more and more until a flush happens. */
static void expect_limit(struct fixture *f, uint64_t limit)
{
    assert_int_equal(kva_reserve(&f->space, 0, limit, NULL, NULL), KVA_OK);
    assert_int_equal(kva_reserve(&f->space, limit, PAGE, NULL, NULL), KVA_OK);
    assert_int_equal(kva_free_deferred(&f->space, 0), KVA_OK);
    assert_int_equal(f->flushes, 0); /* exactly the limit may be deferred */
    assert_int_equal(kva_free_deferred(&f->space, limit), KVA_OK);
    expect_flush(f, 1, 0, limit + PAGE - 1);
}

static void the_default_limit_grows_with_the_processors(void **state)
{
    static const struct {
        unsigned cpus;
        uint64_t limit;
    } cases[] = {{0, 32 * MIB}, {1, 32 * MIB}, {2, 64 * MIB},   {3, 64 * MIB},
                 {4, 96 * MIB}, {7, 96 * MIB}, {64, 224 * MIB}, {UINT32_MAX, 1024 * MIB}};
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            static struct fixture f;
            struct kva_config config = config_of(&f, engine);

            config.last = (UINT64_C(1) << 40) - 1;
            config.deferred_limit = 0;
            config.cpus = cases[i].cpus;
            assert_int_equal(kva_space_init(&f.space, &config), KVA_OK);
            expect_limit(&f, cases[i].limit);
            tear_down(&f);
        }
    }
}

static void a_limit_from_the_configuration(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_config config = config_of(&f, engine);

        config.deferred_limit = 3 * PAGE;
        config.cpus = 64;
        assert_int_equal(kva_space_init(&f.space, &config), KVA_OK);
        expect_limit(&f, 3 * PAGE);

        f.flushes = 0;
        assert_int_equal(kva_set_deferred_limit(&f.space, 7 * PAGE), KVA_OK);
        expect_limit(&f, 7 * PAGE);
        tear_down(&f);
    }
}

static void a_limit_of_0_flushes_each_time(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine, 3);
        assert_int_equal(kva_set_deferred_limit(&f.space, 0), KVA_OK);
        defer(&f, 1);
        expect_flush(&f, 1, PAGE, 2 * PAGE - 1);
        defer(&f, 2);
        expect_flush(&f, 2, 2 * PAGE, 3 * PAGE - 1);
        tear_down(&f);
    }
}

/* A lower limit takes effect at the next deferred free, not immediately. */
static void a_lower_limit_takes_effect_at_the_next_deferred_free(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine, 8);
        defer(&f, 0);
        defer(&f, 1);
        assert_int_equal(kva_set_deferred_limit(&f.space, PAGE), KVA_OK);
        assert_int_equal(f.flushes, 0);
        defer(&f, 5);
        expect_flush(&f, 1, 0, 6 * PAGE - 1);
        tear_down(&f);
    }
}

/* All 2^64 bytes are deferred: more than any limit but the largest, although the number overflows 64 bits. */
static void the_limit_holds_when_all_addresses_are_deferred(void **state)
{
    const uint64_t half = UINT64_C(1) << 63;
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_config config = config_of(&f, engine);

        config.last = UINT64_MAX;
        config.deferred_limit = half;
        assert_int_equal(kva_space_init(&f.space, &config), KVA_OK);
        assert_int_equal(kva_reserve(&f.space, 0, half, NULL, NULL), KVA_OK);
        assert_int_equal(kva_reserve(&f.space, half, half, NULL, NULL), KVA_OK);
        assert_int_equal(kva_free_deferred(&f.space, half), KVA_OK);
        assert_int_equal(f.flushes, 0);
        assert_int_equal(kva_free_deferred(&f.space, 0), KVA_OK);
        expect_flush(&f, 1, 0, UINT64_MAX);
        tear_down(&f);
    }
}

/* -------------------------------------------------------------------------- before "no space" is returned */

static void a_failing_allocation_flushes_and_tries_again(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        uint64_t start = 1;

        set_up(&f, engine, 256); /* full */
        assert_int_equal(alloc_pages(&f, 1, &start), KVA_ENOSPC);
        assert_int_equal(f.flushes, 0);
        defer(&f, 100);
        defer(&f, 101);
        assert_int_equal(alloc_pages(&f, 2, &start), KVA_OK);
        assert_int_equal(start, 100 * PAGE);
        expect_flush(&f, 1, 100 * PAGE, 102 * PAGE - 1);
        /* A flush that does not help: the deferred segments are free now, and the request still fails. */
        start = 1;
        defer(&f, 50);
        assert_int_equal(alloc_pages(&f, 2, &start), KVA_ENOSPC);
        assert_int_equal(start, 1);
        assert_int_equal(f.flushes, 2);
        assert_int_equal(state_of(&f, 50), KVA_FREE);
        tear_down(&f);
    }
}

static void a_congruent_allocation_flushes(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static const struct kva_part parts[] = {{0, PAGE}, {4 * PAGE, PAGE}};
        struct kva_request request = kva_request_of(1);
        static struct fixture f;
        uint64_t base;

        set_up(&f, engine, 256);
        defer(&f, 10);
        defer(&f, 14);
        assert_int_equal(kva_alloc_congruent(&f.space, &request, parts, 2, &base), KVA_OK);
        assert_int_equal(base, 10 * PAGE);
        assert_int_equal(f.flushes, 1);
        assert_int_equal(state_of(&f, 10), KVA_BUSY);
        assert_int_equal(state_of(&f, 14), KVA_BUSY);
        tear_down(&f);
    }
}

static void a_reserve_over_deferred_segments_flushes(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_segment conflict;

        set_up(&f, engine, 8);
        defer(&f, 2);
        defer(&f, 3);
        assert_int_equal(kva_reserve(&f.space, 2 * PAGE, 2 * PAGE, NULL, &conflict), KVA_OK);
        assert_int_equal(f.flushes, 1);
        /* A busy segment in the range is the conflict, deferred ones or not. */
        defer(&f, 5);
        assert_int_equal(kva_reserve(&f.space, 5 * PAGE, 2 * PAGE, NULL, &conflict), KVA_EEXIST);
        assert_int_equal(conflict.state, KVA_BUSY);
        assert_int_equal(conflict.start, 6 * PAGE);
        tear_down(&f);
    }
}

static void a_resize_does_not_flush(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine, 4);
        defer(&f, 1);
        assert_int_equal(kva_resize(&f.space, 0, 2 * PAGE), KVA_ENOSPC);
        assert_int_equal(f.flushes, 0);
        assert_int_equal(state_of(&f, 1), KVA_DEFERRED);
        tear_down(&f);
    }
}

static void the_end_of_a_space_flushes(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine, 3);
        defer(&f, 0);
        defer(&f, 2);
        assert_int_equal(kva_space_fini(&f.space), KVA_EBUSY);
        assert_int_equal(f.flushes, 0);
        assert_int_equal(state_of(&f, 2), KVA_DEFERRED);
        defer(&f, 1);
        assert_int_equal(kva_space_fini(&f.space), KVA_OK);
        expect_flush(&f, 1, 0, 3 * PAGE - 1);
        assert_int_equal(f.memory.blocks, 0);
    }
}

static void abandoning_a_space_calls_no_callback(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine, 3);
        defer(&f, 0);
        assert_int_equal(kva_space_abandon(&f.space), KVA_OK);
        assert_int_equal(f.flushes, 0);
        assert_int_equal(f.memory.blocks, 0);
    }
}

/* ------------------------------------------------------------------------------ inside the flush callback */

static void expect_reentry(struct fixture *f, enum kva_status status)
{
    assert_int_equal(status, KVA_EREENTRY);
    assert_int_equal(f->misuse, KVA_EREENTRY);
    f->misuse = KVA_OK;
}

/** All calls that change a space are refused; deferred segments stay deferred. */
static void try_changes(struct fixture *f)
{
    struct kva_request request = kva_request_of(PAGE);
    struct kva_part part = {0, PAGE};
    struct test_picture before = {0};
    uint64_t start = 1;
    unsigned misuses = f->misuses;

    test_picture_take(&before, &f->space);
    expect_reentry(f, kva_alloc(&f->space, &request, &start));
    expect_reentry(f, kva_alloc_congruent(&f->space, &request, &part, 1, &start));
    expect_reentry(f, kva_reserve(&f->space, 40 * PAGE, PAGE, NULL, NULL));
    expect_reentry(f, kva_free(&f->space, 0));
    expect_reentry(f, kva_free_range(&f->space, 0, PAGE));
    expect_reentry(f, kva_resize(&f->space, 0, PAGE));
    expect_reentry(f, kva_free_deferred(&f->space, 0));
    expect_reentry(f, kva_flush(&f->space));
    expect_reentry(f, kva_preload(&f->space, 1));
    expect_reentry(f, kva_space_grow(&f->space, 0, UINT64_MAX));
    expect_reentry(f, kva_space_fini(&f->space));
    expect_reentry(f, kva_space_abandon(&f->space));
    expect_reentry(f, kva_set_deferred_limit(&f->space, 0));
    assert_int_equal(f->misuses, misuses + 13);
    assert_int_equal(start, 1);
    test_expect_untouched(&before, &f->space, "calls from inside the flush callback");
    test_picture_drop(&before);
}

/** A reclaim callback that tries to end the space and to change the list of reclaim callbacks. */
static bool try_to_end(void *context, struct kva_space *space, const struct kva_request *request)
{
    struct fixture *f = context;
    struct kva_reclaim another = {.callback = try_to_end};

    (void)request;
    expect_reentry(f, kva_space_fini(space));
    expect_reentry(f, kva_space_abandon(space));
    expect_reentry(f, kva_reclaim_add(space, &another));
    expect_reentry(f, kva_reclaim_remove(space, &another));
    return kva_free(space, 0) == KVA_OK; /* free is allowed */
}

/** A reclaim callback that grows the space at both ends. The request's window is cut to the new ends. */
static bool grow_the_space(void *context, struct kva_space *space, const struct kva_request *request)
{
    (void)context;
    (void)request;
    return kva_space_grow(space, 16 * PAGE, 48 * PAGE - 1) == KVA_OK;
}

static void a_reclaim_callback_may_grow_the_space(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (int policy = KVA_LOWEST; policy <= KVA_HIGHEST; policy++) {
            struct kva_config config = {
                .first = 24 * PAGE, .last = 40 * PAGE - 1, .quantum = PAGE, .engine = engine};
            const struct kva_part parts[] = {{0, PAGE}, {2 * PAGE, PAGE}};
            struct kva_reclaim reclaim = {.callback = grow_the_space};
            struct kva_failing_memory memory;
            struct kva_space space;
            uint64_t start;

            config.memory = kva_failing_memory_init(&memory);
            for (int congruent = 0; congruent < 2; congruent++) {
                struct kva_request request = kva_request_of(8 * PAGE);
                request.policy = (enum kva_policy)policy;
                assert_int_equal(kva_space_init(&space, &config), KVA_OK);
                assert_int_equal(kva_reclaim_add(&space, &reclaim), KVA_OK);
                assert_int_equal(kva_reserve(&space, 24 * PAGE, 16 * PAGE, NULL, NULL), KVA_OK);
                if (congruent) {
                    assert_int_equal(kva_alloc_congruent(&space, &request, parts, 2, &start), KVA_OK);
                    assert_int_equal(start, (policy == KVA_LOWEST ? 16 : 45) * PAGE);
                } else {
                    assert_int_equal(kva_alloc(&space, &request, &start), KVA_OK);
                    assert_int_equal(start, (policy == KVA_LOWEST ? 16 : 40) * PAGE);
                }
                assert_int_equal(kva_space_abandon(&space), KVA_OK);
            }
            assert_int_equal(memory.blocks, 0);
        }
    }
}

/** A reclaim callback that defers a segment and returns false. */
static bool defer_and_decline(void *context, struct kva_space *space, const struct kva_request *request)
{
    (void)context;
    (void)request;
    (void)kva_free_deferred(space, 2 * PAGE);
    return false;
}

static void ranges_that_a_refusing_callback_defers_count(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_reclaim reclaim = {.callback = defer_and_decline, .context = &f};
        struct kva_request request = kva_request_of(PAGE);
        uint64_t start = 1;

        set_up(&f, engine, 8);
        request.max = 8 * PAGE - 1;
        assert_int_equal(kva_reclaim_add(&f.space, &reclaim), KVA_OK);
        assert_int_equal(kva_alloc(&f.space, &request, &start), KVA_OK);
        assert_int_equal(start, 2 * PAGE);
        assert_int_equal(f.flushes, 1);
        assert_int_equal(kva_reclaim_remove(&f.space, &reclaim), KVA_OK);
        tear_down(&f);
    }
}

static void inside_a_reclaim_callback_the_space_cannot_end(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_reclaim reclaim = {.callback = try_to_end, .context = &f};
        struct kva_request request = kva_request_of(PAGE);
        uint64_t start = 1;

        set_up(&f, engine, 8);
        request.max = 8 * PAGE - 1;
        assert_int_equal(kva_reclaim_add(&f.space, &reclaim), KVA_OK);
        assert_int_equal(kva_alloc(&f.space, &request, &start), KVA_OK);
        assert_int_equal(start, 0);
        assert_int_equal(f.misuses, 4);
        assert_int_equal(kva_reclaim_remove(&f.space, &reclaim), KVA_OK);
        tear_down(&f);
    }
}

static void count_line(void *context, const char *text, size_t length)
{
    unsigned *lines = context;
    assert_int_equal(strlen(text), length);
    (*lines)++;
}

static void try_queries(struct fixture *f)
{
    struct kva_segment segment;
    struct kva_stats stats;
    unsigned lines = 0;

    assert_int_equal(kva_find(&f->space, 3 * PAGE, &segment), KVA_OK);
    assert_int_equal(segment.state, KVA_DEFERRED);
    assert_int_equal(kva_first(&f->space, &segment), KVA_OK);
    assert_int_equal(kva_next(&f->space, &segment), KVA_OK);
    assert_int_equal(kva_stats_read(&f->space, &stats), KVA_OK);
    assert_int_equal(stats.deferred_segments, 1);
    assert_int_equal(kva_space_check(&f->space, NULL), KVA_OK);
    assert_int_equal(kva_space_dump(&f->space, count_line, &lines), KVA_OK);
    assert_int_equal(lines, stats.free_segments + stats.busy_segments + stats.deferred_segments);
}

static void inside_the_callback_changes_are_refused(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine, 8);
        defer(&f, 3);
        f.inside = try_changes;
        assert_int_equal(kva_flush(&f.space), KVA_OK);
        assert_int_equal(f.flushes, 1);
        assert_int_equal(state_of(&f, 3), KVA_FREE);
        /* After the callback they are allowed again. */
        f.inside = NULL;
        assert_int_equal(kva_free(&f.space, 0), KVA_OK);
        tear_down(&f);
    }
}

static void inside_the_callback_queries_succeed(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine, 8);
        defer(&f, 3);
        f.inside = try_queries;
        assert_int_equal(kva_flush(&f.space), KVA_OK);
        assert_int_equal(f.flushes, 1);
        assert_int_equal(f.misuses, 0);
        tear_down(&f);
    }
}

/* ------------------------------------------------------------------------------------------------ reclaim */

struct reclaimer {
    struct kva_reclaim registration;
    struct fixture *fixture;
    unsigned calls;
    unsigned turn;     /* its position in the order of all calls */
    uint64_t size;     /* the size in the request */
    uint64_t gives;    /* the page that it frees; 0: none */
    bool by_deferring; /* frees it by kva_free_deferred */
    bool claims;       /* its result */
    bool asks_itself;  /* allocates from within the callback */
};

static unsigned turns;

static bool reclaim(void *context, struct kva_space *space, const struct kva_request *request)
{
    struct reclaimer *r = context;
    uint64_t start;

    r->calls++;
    r->turn = ++turns;
    r->size = request->size;
    if (r->asks_itself)
        assert_int_equal(alloc_pages(r->fixture, 2, &start), KVA_ENOSPC);
    if (r->gives != 0)
        assert_int_equal(r->by_deferring ? kva_free_deferred(space, r->gives * PAGE)
                                         : kva_free(space, r->gives * PAGE),
                         KVA_OK);
    return r->claims;
}

static void add(struct fixture *f, struct reclaimer *r)
{
    memset(r, 0, sizeof(*r));
    r->fixture = f;
    r->registration.callback = reclaim;
    r->registration.context = r;
    assert_int_equal(kva_reclaim_add(&f->space, &r->registration), KVA_OK);
}

static void reclaim_callbacks_are_called_in_order_until_it_fits(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct reclaimer r[4];
        uint64_t start = 1;

        turns = 0;
        set_up(&f, engine, 256);
        for (size_t i = 0; i < 4; i++)
            add(&f, &r[i]);
        r[1].gives = 7; /* too small alone: returns false */
        r[1].claims = true;
        r[2].gives = 8; /* large enough together with page 7 */
        r[2].claims = true;
        assert_int_equal(alloc_pages(&f, 2, &start), KVA_OK);
        assert_int_equal(start, 7 * PAGE);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(r[i].calls, 1);
            assert_int_equal(r[i].turn, i + 1);
            assert_int_equal(r[i].size, 2 * PAGE);
        }
        assert_int_equal(r[3].calls, 0);
        tear_down(&f);
    }
}

static void a_flush_comes_before_any_reclaim_callback(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct reclaimer r;
        uint64_t start;

        set_up(&f, engine, 256);
        add(&f, &r);
        defer(&f, 9);
        assert_int_equal(alloc_pages(&f, 1, &start), KVA_OK);
        assert_int_equal(start, 9 * PAGE);
        assert_int_equal(r.calls, 0);
        tear_down(&f);
    }
}

static void ranges_that_a_callback_defers_count(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct reclaimer r;
        uint64_t start;

        set_up(&f, engine, 256);
        add(&f, &r);
        r.gives = 33;
        r.by_deferring = true;
        r.claims = true;
        assert_int_equal(alloc_pages(&f, 1, &start), KVA_OK);
        assert_int_equal(start, 33 * PAGE);
        assert_int_equal(f.flushes, 1);
        tear_down(&f);
    }
}

static void when_all_callbacks_refuse_there_is_no_space(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct reclaimer r[2];
        uint64_t start = 1;

        set_up(&f, engine, 256);
        add(&f, &r[0]);
        add(&f, &r[1]);
        r[0].claims = true; /* but frees nothing */
        assert_int_equal(alloc_pages(&f, 1, &start), KVA_ENOSPC);
        assert_int_equal(start, 1);
        assert_int_equal(r[0].calls, 1);
        assert_int_equal(r[1].calls, 1);
        /* A removed callback is not called; the others are. */
        assert_int_equal(kva_reclaim_remove(&f.space, &r[0].registration), KVA_OK);
        assert_int_equal(kva_reclaim_remove(&f.space, &r[0].registration), KVA_ENOENT);
        assert_int_equal(alloc_pages(&f, 1, &start), KVA_ENOSPC);
        assert_int_equal(r[0].calls, 1);
        assert_int_equal(r[1].calls, 2);
        /* Added again, it is called last. */
        turns = 0;
        assert_int_equal(kva_reclaim_add(&f.space, &r[0].registration), KVA_OK);
        assert_int_equal(alloc_pages(&f, 1, &start), KVA_ENOSPC);
        assert_int_equal(r[1].turn, 1);
        assert_int_equal(r[0].turn, 2);
        tear_down(&f);
    }
}

/* A request that fails inside a reclaim callback calls no reclaim callback: the recursion would not end. */
static void a_request_inside_a_reclaim_callback_calls_none(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct reclaimer r[2];
        uint64_t start;

        set_up(&f, engine, 256);
        add(&f, &r[0]);
        add(&f, &r[1]);
        r[0].asks_itself = true;
        r[1].gives = 77;
        r[1].claims = true;
        assert_int_equal(alloc_pages(&f, 1, &start), KVA_OK);
        assert_int_equal(start, 77 * PAGE);
        assert_int_equal(r[0].calls, 1);
        assert_int_equal(r[1].calls, 1);
        tear_down(&f);
    }
}

static void a_congruent_request_calls_reclaim_callbacks(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static const struct kva_part parts[] = {{0, PAGE}, {2 * PAGE, PAGE}};
        struct kva_request request = kva_request_of(1);
        static struct fixture f;
        struct reclaimer r[2];
        uint64_t base;

        set_up(&f, engine, 256);
        for (size_t i = 0; i < 2; i++) {
            add(&f, &r[i]);
            r[i].gives = 20 + 2 * i;
            r[i].claims = true;
        }
        assert_int_equal(kva_alloc_congruent(&f.space, &request, parts, 2, &base), KVA_OK);
        assert_int_equal(base, 20 * PAGE);
        assert_int_equal(r[1].calls, 1);
        tear_down(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_callback_with_the_covering_range),
        cmocka_unit_test(an_empty_flush_calls_no_callback),
        cmocka_unit_test(a_flush_that_covers_all_addresses),
        cmocka_unit_test(without_a_callback_a_flush_still_frees),
        cmocka_unit_test(deferred_segments_are_listed_and_not_allocated),
        cmocka_unit_test(the_default_limit_grows_with_the_processors),
        cmocka_unit_test(a_limit_from_the_configuration),
        cmocka_unit_test(a_limit_of_0_flushes_each_time),
        cmocka_unit_test(a_lower_limit_takes_effect_at_the_next_deferred_free),
        cmocka_unit_test(the_limit_holds_when_all_addresses_are_deferred),
        cmocka_unit_test(a_failing_allocation_flushes_and_tries_again),
        cmocka_unit_test(a_congruent_allocation_flushes),
        cmocka_unit_test(a_reserve_over_deferred_segments_flushes),
        cmocka_unit_test(a_resize_does_not_flush),
        cmocka_unit_test(the_end_of_a_space_flushes),
        cmocka_unit_test(abandoning_a_space_calls_no_callback),
        cmocka_unit_test(inside_the_callback_changes_are_refused),
        cmocka_unit_test(inside_the_callback_queries_succeed),
        cmocka_unit_test(reclaim_callbacks_are_called_in_order_until_it_fits),
        cmocka_unit_test(a_reclaim_callback_may_grow_the_space),
        cmocka_unit_test(ranges_that_a_refusing_callback_defers_count),
        cmocka_unit_test(inside_a_reclaim_callback_the_space_cannot_end),
        cmocka_unit_test(a_flush_comes_before_any_reclaim_callback),
        cmocka_unit_test(ranges_that_a_callback_defers_count),
        cmocka_unit_test(when_all_callbacks_refuse_there_is_no_space),
        cmocka_unit_test(a_request_inside_a_reclaim_callback_calls_none),
        cmocka_unit_test(a_congruent_request_calls_reclaim_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
