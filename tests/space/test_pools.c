/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Pools, used by one thread. An allocation need not get the lowest address; all else holds: a request fails
 * exactly when nothing fits, whatever the pools keep. The oracle is a map of the space, one letter for each
 * quantum, that knows nothing of pools. Each space lies in another place (common/place.h).
 */
#include "common/harness.h"
#include "common/lone_thread.h"
#include "common/picture.h"
#include "common/place.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <stdlib.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"
#include "space/pool.h"

enum { QUANTA_MOST = 8192, HELD_MOST = 4096 };

struct range {
    uint32_t at; /* in quanta */
    uint32_t quanta;
};

struct rig {
    uint64_t first;
    uint64_t quantum;
    struct kva_space space;
    struct kva_failing_memory memory;
    uint32_t quanta;
    char map[QUANTA_MOST]; /* '.' free, 'b' busy, 'd' deferred */
    uint32_t count;
    struct range held[HELD_MOST]; /* busy, oldest first */
    unsigned cpu;
};

static uint64_t address_of(const struct rig *rig, uint32_t at)
{
    return rig->first + at * rig->quantum;
}

static void on_flush(void *context, uint64_t start, uint64_t last)
{
    struct rig *rig = context;

    for (uint64_t at = (start - rig->first) / rig->quantum; at <= (last - rig->first) / rig->quantum; at++) {
        if (rig->map[at] == 'd')
            rig->map[at] = '.';
    }
}

/** The next place; the seed draws the first one. */
static struct test_place next_place(uint32_t quanta)
{
    static uint64_t next;

    if (next == 0)
        next = test_seed() % TEST_PLACES;
    return test_place(next++, quanta);
}

static struct kva_config config_of(struct rig *rig, const struct kva_engine *engine, uint32_t quanta,
                                   uint32_t pool_quanta)
{
    struct test_place place = next_place(pool_quanta > quanta ? pool_quanta : quanta);

    rig->first = place.first;
    rig->quantum = place.quantum;
    struct kva_config config = {.first = rig->first,
                                .last = address_of(rig, quanta) - 1,
                                .quantum = rig->quantum,
                                .engine = engine,
                                .memory = kva_failing_memory_init(&rig->memory),
                                .pool_bytes = test_place_bytes(&place, pool_quanta),
                                .flush = on_flush,
                                .flush_context = rig,
                                .deferred_limit = UINT64_MAX};
    return config;
}

static void begin(struct rig *rig, uint32_t quanta)
{
    rig->quanta = quanta;
    rig->count = 0;
    rig->cpu = 0;
    memset(rig->map, '.', quanta);
}

static void set_up(struct rig *rig, const struct kva_engine *engine, uint32_t quanta, uint32_t pool_quanta)
{
    struct kva_config config = config_of(rig, engine, quanta, pool_quanta);

    begin(rig, quanta);
    assert_int_equal(kva_space_init(&rig->space, &config), KVA_OK);
    assert_non_null(rig->space.shared->pools);
}

static void tear_down(struct rig *rig)
{
    assert_int_equal(kva_space_abandon(&rig->space), KVA_OK);
    assert_int_equal(rig->memory.blocks, 0);
}

static void *owner_of(uint32_t at)
{
    return (void *)(uintptr_t)(at + 1);
}

/** The listing, the statistics, the checks and the map agree. */
static void expect_letters(struct rig *rig)
{
    static const char letters[] = {
        [KVA_FREE] = '.', [KVA_BUSY] = 'b', [KVA_DEFERRED] = 'd', [KVA_POOLED] = '.'};
    struct kva_segment segment;
    uint32_t busy = 0;

    test_expect_sound(&rig->space, rig->first, address_of(rig, rig->quanta) - 1);
    for (enum kva_status s = kva_first(&rig->space, &segment); s == KVA_OK;
         s = kva_next(&rig->space, &segment)) {
        busy += segment.state == KVA_BUSY;
        uint64_t end = (segment.last - rig->first) / rig->quantum;
        for (uint64_t at = (segment.start - rig->first) / rig->quantum; at <= end; at++)
            assert_int_equal(rig->map[at], letters[segment.state]);
    }
    assert_int_equal(busy, rig->count);
}

/** The owners agree as well. */
static void expect_map(struct rig *rig)
{
    struct kva_segment segment;

    expect_letters(rig);
    for (uint32_t i = 0; i < rig->count; i++) {
        assert_int_equal(kva_find(&rig->space, address_of(rig, rig->held[i].at), &segment), KVA_OK);
        assert_int_equal(segment.start, address_of(rig, rig->held[i].at));
        assert_int_equal(segment.last, address_of(rig, rig->held[i].at + rig->held[i].quanta) - 1);
        assert_ptr_equal(segment.owner, owner_of(rig->held[i].at));
    }
}

/* --------------------------------------------------------------------------------------------- operations */

/** Whether `quanta` in a row would be free if all deferred ranges were free. */
static bool fits_somewhere(const struct rig *rig, uint32_t quanta)
{
    uint32_t run = 0;

    for (uint32_t at = 0; at < rig->quanta; at++) {
        run = rig->map[at] == 'b' ? 0 : run + 1;
        if (run >= quanta)
            return true;
    }
    return false;
}

static void hold(struct rig *rig, uint32_t at, uint32_t quanta)
{
    for (uint32_t i = at; i < at + quanta; i++) {
        assert_int_equal(rig->map[i], '.');
        rig->map[i] = 'b';
    }
    assert_true(rig->count < HELD_MOST);
    rig->held[rig->count++] = (struct range){at, quanta};
}

static struct range let_go(struct rig *rig, uint32_t i, char letter)
{
    struct range range = rig->held[i];

    memset(rig->map + range.at, letter, range.quanta);
    rig->count--;
    memmove(rig->held + i, rig->held + i + 1, (rig->count - i) * sizeof rig->held[0]);
    return range;
}

static void alloc(struct rig *rig, uint32_t quanta, enum kva_policy policy)
{
    struct kva_request request = kva_request_of(quanta * rig->quantum - (rig->quantum > 1));
    bool fits = fits_somewhere(rig, quanta);
    struct kva_segment segment;
    uint64_t start;

    request.policy = policy;
    enum kva_status status = kva_alloc(&rig->space, &request, &start);
    check_that(status == (fits ? KVA_OK : KVA_ENOSPC), "%" PRIu32 " quanta: %s expected, %s returned", quanta,
               fits ? "KVA_OK" : "KVA_ENOSPC", kva_status_name(status));
    if (status != KVA_OK)
        return;
    uint32_t at = (uint32_t)((start - rig->first) / rig->quantum);
    hold(rig, at, quanta);
    assert_int_equal(kva_find(&rig->space, start, &segment), KVA_OK);
    assert_null(segment.owner);
    /* The owner is the place, which is known only now: reserve it again, with the owner. */
    assert_int_equal(kva_free(&rig->space, start), KVA_OK);
    assert_int_equal(kva_reserve(&rig->space, start, quanta * rig->quantum, owner_of(at), NULL), KVA_OK);
}

/** As alloc, but without an owner. */
static void alloc_plain(struct rig *rig, uint32_t quanta)
{
    struct kva_request request = kva_request_of(quanta * rig->quantum);
    bool fits = fits_somewhere(rig, quanta);
    uint64_t start;
    enum kva_status status = kva_alloc(&rig->space, &request, &start);

    check_that(status == (fits ? KVA_OK : KVA_ENOSPC), "%" PRIu32 " quanta: %s expected, %s returned", quanta,
               fits ? "KVA_OK" : "KVA_ENOSPC", kva_status_name(status));
    if (status == KVA_OK)
        hold(rig, (uint32_t)((start - rig->first) / rig->quantum), quanta);
}

static void reserve(struct rig *rig, uint32_t at, uint32_t quanta)
{
    bool is_busy = memchr(rig->map + at, 'b', quanta) != NULL;
    struct kva_segment conflict;
    enum kva_status status =
        kva_reserve(&rig->space, address_of(rig, at), quanta * rig->quantum, owner_of(at), &conflict);

    assert_int_equal(status, is_busy ? KVA_EEXIST : KVA_OK);
    if (status == KVA_OK) {
        hold(rig, at, quanta);
    } else {
        assert_int_equal(conflict.state, KVA_BUSY);
        assert_true(conflict.start <= address_of(rig, at + quanta) - 1 &&
                    conflict.last >= address_of(rig, at));
    }
}

static void give(struct rig *rig, uint32_t i)
{
    struct range range = let_go(rig, i, '.');
    uint64_t start = address_of(rig, range.at);

    if (range.quanta > 1)
        assert_int_equal(kva_free(&rig->space, start + rig->quantum), KVA_EINTERIOR);
    assert_int_equal(kva_free(&rig->space, start), KVA_OK);
    assert_int_equal(kva_free(&rig->space, start), KVA_EDOUBLE);
    assert_int_equal(kva_free_deferred(&rig->space, start), KVA_EDOUBLE);
}

static void defer(struct rig *rig, uint32_t i)
{
    struct range range = let_go(rig, i, 'd');
    uint64_t start = address_of(rig, range.at);

    assert_int_equal(kva_free_deferred(&rig->space, start), KVA_OK);
    assert_int_equal(kva_free(&rig->space, start), KVA_EDEFERRED);
    assert_int_equal(kva_free_deferred(&rig->space, start), KVA_EDEFERRED);
}

static void resize(struct rig *rig, uint32_t i, uint32_t quanta)
{
    struct range *range = &rig->held[i];
    uint32_t end = range->at + range->quanta;
    bool fits = range->at + quanta <= rig->quanta;

    for (uint32_t at = end; fits && at < range->at + quanta; at++)
        fits = rig->map[at] == '.';
    enum kva_status status = kva_resize(&rig->space, address_of(rig, range->at), quanta * rig->quantum);
    if (quanta - 1 > (UINT64_MAX - address_of(rig, range->at)) / rig->quantum)
        assert_int_equal(status, KVA_EWRAP);
    else
        assert_int_equal(status, fits ? KVA_OK : KVA_ENOSPC);
    if (!fits)
        return;
    memset(rig->map + range->at, '.', range->quanta);
    memset(rig->map + range->at, 'b', quanta);
    range->quanta = quanta;
}

/** Free the middle of a range that has one: two ranges are left. */
static void punch(struct rig *rig, uint32_t i)
{
    struct range range = rig->held[i];
    struct kva_segment segment;

    if (range.quanta < 3)
        return;
    assert_int_equal(kva_free_range(&rig->space, address_of(rig, range.at + 1), rig->quantum), KVA_OK);
    rig->map[range.at + 1] = '.';
    rig->held[i].quanta = 1;
    /* The second half keeps the owner, which does not denote its place: reserve it again. */
    assert_int_equal(kva_find(&rig->space, address_of(rig, range.at + 2), &segment), KVA_OK);
    assert_ptr_equal(segment.owner, owner_of(range.at));
    assert_int_equal(kva_free(&rig->space, address_of(rig, range.at + 2)), KVA_OK);
    memset(rig->map + range.at + 2, '.', range.quanta - 2);
}

/* ----------------------------------------------------------------------------------- objects and segments */

static void objects_are_segments_of_their_own(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        struct kva_request request;
        struct kva_segment segment;
        struct kva_stats stats;
        uint64_t start;

        set_up(&rig, engine, 4096, 4096);
        request = kva_request_of(3 * rig.quantum);
        request.owner = &rig;
        assert_int_equal(kva_alloc(&rig.space, &request, &start), KVA_OK);
        assert_int_equal(kva_find(&rig.space, start + rig.quantum, &segment), KVA_OK);
        assert_int_equal(segment.state, KVA_BUSY);
        assert_int_equal(segment.start, start);
        assert_int_equal(segment.last, start + 3 * rig.quantum - 1);
        assert_ptr_equal(segment.owner, &rig);
        assert_int_equal(kva_next(&rig.space, &segment), KVA_OK);
        assert_int_equal(segment.state, KVA_POOLED);
        assert_int_equal(segment.last - segment.start, 3 * rig.quantum - 1);
        assert_null(segment.owner);
        assert_int_equal(kva_stats_read(&rig.space, &stats), KVA_OK);
        assert_int_equal(stats.busy_segments, 1);
        assert_int_equal(stats.busy_bytes, 3 * rig.quantum);
        assert_int_equal(stats.pooled_segments, 1024 / 3 - 1); /* one quantum is free again */
        assert_int_equal(stats.free_bytes, (4096 - 1023) * rig.quantum);
        assert_int_equal(kva_space_fini(&rig.space), KVA_EBUSY);
        assert_int_equal(kva_free(&rig.space, start), KVA_OK);
        test_expect_sound(&rig.space, rig.first, address_of(&rig, 4096) - 1);
        assert_int_equal(kva_pools_drain(&rig.space), KVA_OK);
        assert_int_equal(kva_stats_read(&rig.space, &stats), KVA_OK);
        assert_int_equal(stats.pooled_segments, 0);
        assert_int_equal(stats.free_segments, 1);
        assert_int_equal(kva_space_fini(&rig.space), KVA_OK);
        assert_int_equal(rig.memory.blocks, 0);
    }
}

static void other_requests_get_the_lowest_address(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        struct kva_request request;
        uint64_t start;

        set_up(&rig, engine, 4096, 4096);
        request = kva_request_of(rig.quantum);
        request.align = 4 * rig.quantum;
        assert_int_equal(kva_alloc(&rig.space, &request, &start), KVA_OK);
        assert_int_equal(start, rig.first);
        request.align = 1;
        request.max = UINT64_MAX - 1;
        assert_int_equal(kva_alloc(&rig.space, &request, &start), KVA_OK);
        assert_int_equal(start, rig.first + rig.quantum);
        request = kva_request_of(257 * rig.quantum);
        assert_int_equal(kva_alloc(&rig.space, &request, &start), KVA_OK);
        assert_int_equal(start, rig.first + 2 * rig.quantum);
        request.policy = KVA_HIGHEST;
        request.size = rig.quantum;
        assert_int_equal(kva_alloc(&rig.space, &request, &start), KVA_OK);
        assert_int_equal(start, address_of(&rig, 4095));
        assert_int_equal(rig.space.shared->pools->spans, 0);
        tear_down(&rig);
    }
}

/** The lowest place from `from` on that satisfies the shape of a request. */
static uint32_t lowest_of_shape(const struct rig *rig, const struct kva_request *request, uint32_t from)
{
    for (;; from++) {
        uint64_t start = address_of(rig, from);
        uint64_t last = start + (request->size - 1);
        bool crosses = request->nocross != 0 && start / request->nocross != last / request->nocross;
        if (start % request->align == request->phase && !crosses)
            return from;
    }
}

static void expect_place(struct rig *rig, const struct kva_request *request, uint32_t at)
{
    uint64_t start;

    assert_int_equal(kva_alloc(&rig->space, request, &start), KVA_OK);
    assert_int_equal(start, address_of(rig, at));
}

/* Pools hold the first 1023 quanta, in objects of 3, one of them live. A place for a shape is found after
 * them; if none is left there, the pools are drained. */
static void expect_no_object(struct rig *rig, const struct kva_request *shape)
{
    struct kva_request request = kva_request_of(3 * rig->quantum);
    struct kva_stats stats;

    expect_place(rig, &request, 0);
    request.align = shape->align * rig->quantum;
    request.phase = shape->phase * rig->quantum;
    request.nocross = shape->nocross * rig->quantum;
    uint32_t place = lowest_of_shape(rig, &request, 1023);
    expect_place(rig, &request, place);
    assert_int_equal(rig->space.shared->pools->spans, 1);
    assert_int_equal(kva_free(&rig->space, address_of(rig, place)), KVA_OK);
    assert_int_equal(
        kva_reserve(&rig->space, address_of(rig, 1023), (4096 - 1023) * rig->quantum, NULL, NULL), KVA_OK);
    assert_int_equal(kva_stats_read(&rig->space, &stats), KVA_OK);
    assert_int_equal(stats.pooled_segments, 1024 / 3 - 1);
    expect_place(rig, &request, lowest_of_shape(rig, &request, 3));
    assert_int_equal(kva_stats_read(&rig->space, &stats), KVA_OK);
    assert_int_equal(stats.pooled_segments, 0);
}

static void shapes_get_the_lowest_address(void **state)
{
    static const struct kva_request shapes[] = {
        /* in quanta */
        {.align = 3},
        {.align = 5, .phase = 2},
        {.align = 8, .phase = 3},
        {.align = 1, .nocross = 4},
        {.align = 1, .nocross = 8},
        {.align = 3, .phase = 1, .nocross = 4},
    };
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;

        for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
            set_up(&rig, engine, 4096, 4096);
            expect_no_object(&rig, &shapes[i]);
            tear_down(&rig);
        }
    }
}

/* A request as a designated initialiser leaves it has no window and no alignment: pools serve it like any
 * other. */
static void omitted_fields_are_no_window(void **state)
{
    static const struct kva_request requests[] = {
        {.align = 0, .min = 0, .max = 0},
        {.align = 0, .min = 0, .max = UINT64_MAX},
        {.align = 1, .min = 0, .max = 0},
    };
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        uint64_t start;

        for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
            struct kva_request request = requests[i];
            set_up(&rig, engine, 4096, 4096);
            request.size = rig.quantum;
            assert_int_equal(kva_alloc(&rig.space, &request, &start), KVA_OK);
            assert_int_equal(rig.space.shared->pools->spans, 1);
            tear_down(&rig);
        }
    }
}

/* The window of address 1 alone, and one that ends just below the top, are windows. */
static void windows_near_the_default_are_windows(void **state)
{
    static const struct kva_request requests[] = {
        {.size = 1, .min = 1, .max = 1},
        {.size = 1, .min = 0, .max = 1},
        {.size = 1, .min = 0, .max = UINT64_MAX - 1},
        {.size = 1, .min = 1, .max = UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        static struct rig rig;
        struct kva_config config = config_of(&rig, &kva_engine_rb, 4096, 4096);
        uint64_t start;

        config.first = 0;
        config.last = UINT64_MAX;
        config.quantum = 1;
        assert_int_equal(kva_space_init(&rig.space, &config), KVA_OK);
        assert_int_equal(kva_alloc(&rig.space, &requests[i], &start), KVA_OK);
        assert_int_equal(start, requests[i].min);
        assert_int_equal(rig.space.shared->pools->spans, 0);
        assert_int_equal(kva_space_abandon(&rig.space), KVA_OK);
    }
}

static void small_spaces_have_small_spans_or_none(void **state)
{
    static const struct {
        uint32_t quanta, span;
    } cases[] = {{1, 0}, {15, 0}, {16, 4}, {31, 4}, {32, 8}, {4095, 512}, {4096, 1024}, {8192, 1024}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static struct rig rig;
        struct kva_config config = config_of(&rig, &kva_engine_rb, cases[i].quanta, 64);

        assert_int_equal(kva_pools_span_quanta(&config), cases[i].span);
        config.first = 0;
        config.last = UINT64_MAX;
        for (config.quantum = 1; config.quantum < UINT64_C(1) << 63; config.quantum *= 2) {
            assert_int_equal(kva_space_init(&rig.space, &config), KVA_OK);
            assert_true(config.quantum > UINT64_C(1) << 60 || rig.space.shared != NULL);
            assert_int_equal(kva_space_fini(&rig.space), KVA_OK);
        }
    }
}

/* ------------------------------------------------------------------------------------------- completeness */

enum { ACTS = 11 };

static void act(struct rig *rig, unsigned which, uint32_t more)
{
    uint32_t i = rig->count > 0 ? more % rig->count : 0;

    switch (which) {
    case 0:
    case 1:
    case 2:
        alloc(rig, 1 + which, KVA_LOWEST);
        break;
    case 3:
        alloc(rig, 4 + more % 3, KVA_LOWEST);
        break;
    case 4:
        reserve(rig, more % (rig->quanta - 1), 1 + more % 2);
        break;
    case 5:
        if (rig->count > 0)
            give(rig, 0);
        break;
    case 6:
        if (rig->count > 0)
            give(rig, rig->count - 1);
        break;
    case 7:
        if (rig->count > 0)
            defer(rig, i);
        break;
    case 8:
        if (rig->count > 0)
            resize(rig, i, 1 + more % 5);
        break;
    case 9:
        if (rig->count > 0)
            punch(rig, i);
        break;
    default:
        alloc(rig, 1, KVA_HIGHEST);
        break;
    }
}

/** Every program of `LENGTH` acts, from each of three beginnings, in spaces of 16 and 32 quanta. */
static void every_short_program(void **state)
{
    enum { LENGTH = 4, PROGRAMS = ACTS * ACTS * ACTS * ACTS };
    static const uint32_t quanta[] = {16, 32};
    const struct kva_engine *engine;
    uint64_t programs = 0;
    (void)state;

    for_each_engine (engine, e) {
        for (uint64_t p = e % test_stride(); p < PROGRAMS; p += test_stride()) {
            for (unsigned begins = 0; begins < 3; begins++) {
                static struct rig rig;
                uint64_t rest = p;

                set_up(&rig, engine, quanta[p % 2], 8);
                if (begins > 0) /* little is left */
                    reserve(&rig, 3, rig.quanta - (begins == 1 ? 12 : 7));
                for (uint32_t i = 0; i < 2 * begins; i++) /* some of it in spans */
                    alloc_plain(&rig, 1);
                for (uint32_t i = 0; i < rig.count; i++) { /* set the owners, for the comparison */
                    struct range range = rig.held[0];
                    give(&rig, 0);
                    reserve(&rig, range.at, range.quanta);
                }
                for (unsigned i = 0; i < LENGTH; i++, rest /= ACTS)
                    act(&rig, (unsigned)(rest % ACTS), (uint32_t)(p + i));
                expect_map(&rig);
                tear_down(&rig);
                programs++;
            }
        }
    }
    print_message("%" PRIu64 " programs\n", programs);
}

static void long_random_programs(void **state)
{
    static const uint32_t quanta[] = {64, 1000, 6000};
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (size_t g = 0; g < sizeof(quanta) / sizeof(quanta[0]); g++) {
            static struct rig rig;
            struct test_rng rng = test_rng_of(400 + g);
            uint64_t operations = test_scaled(12000);

            set_up(&rig, engine, quanta[g], quanta[g] >> test_below(&rng, 5));
            for (uint64_t i = 0; i < operations; i++) {
                uint64_t which = test_below(&rng, 100);
                bool rising = i / 1000 % 3 < 2;
                if (which < (rising ? 60 : 35))
                    alloc_plain(&rig,
                                1 + (uint32_t)test_below(&rng, test_one_in(&rng, 8) ? quanta[g] / 4 : 6));
                else if (rig.count > 0 && which < 90)
                    give(&rig, (uint32_t)test_below(&rng, rig.count));
                else if (rig.count > 0 && which < 96)
                    defer(&rig, (uint32_t)test_below(&rng, rig.count));
                else if (rig.count > 0)
                    resize(&rig, (uint32_t)test_below(&rng, rig.count), 1 + (uint32_t)test_below(&rng, 9));
                if (i % 97 == 0)
                    test_expect_sound(&rig.space, rig.first, address_of(&rig, quanta[g]) - 1);
            }
            while (rig.count > 0)
                give(&rig, 0);
            assert_int_equal(kva_flush(&rig.space), KVA_OK);
            assert_int_equal(kva_pools_drain(&rig.space), KVA_OK);
            expect_map(&rig);
            struct kva_stats stats;
            assert_int_equal(kva_stats_read(&rig.space, &stats), KVA_OK);
            assert_int_equal(stats.free_segments, 1);
            assert_int_equal(stats.pooled_segments, 0);
            tear_down(&rig);
        }
    }
}

/* ------------------------------------------------------------------------------------------------- memory */

/** Whichever take fails: each call returns KVA_OK or KVA_ENOMEM, a free never fails, and the space stays
 * valid. */
static void without_memory_the_space_stays_valid(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (uint64_t n = 1; n < 40; n++) {
            static struct rig rig;
            struct kva_config config = config_of(&rig, engine, 1024, 256);
            struct kva_request request = kva_request_of(rig.quantum);
            uint64_t start[400];
            size_t count = 0;

            begin(&rig, 1024);
            kva_failing_memory_fail(&rig.memory, n, true);
            enum kva_status status = kva_space_init(&rig.space, &config);
            assert_true(status == KVA_OK || status == KVA_ENOMEM);
            if (status != KVA_OK) {
                assert_int_equal(rig.memory.blocks, 0);
                continue;
            }
            for (size_t i = 0; i < 400; i++) {
                request.size = (1 + i % 7) * rig.quantum;
                status = kva_alloc(&rig.space, &request, &start[count]);
                assert_true(status == KVA_OK || status == KVA_ENOMEM || status == KVA_ENOSPC);
                count += status == KVA_OK;
                if (count > 0 && i % 5 == 0) {
                    status = kva_resize(&rig.space, start[count - 1], rig.quantum);
                    assert_true(status == KVA_OK || status == KVA_ENOMEM);
                }
            }
            test_expect_sound(&rig.space, rig.first, address_of(&rig, 1024) - 1);
            uint64_t takes = rig.memory.takes;
            for (size_t i = 0; i < count; i++)
                assert_int_equal(
                    i % 2 ? kva_free(&rig.space, start[i]) : kva_free_deferred(&rig.space, start[i]), KVA_OK);
            assert_int_equal(kva_flush(&rig.space), KVA_OK);
            assert_int_equal(kva_pools_drain(&rig.space), KVA_OK);
            assert_int_equal(rig.memory.takes, takes);
            test_expect_sound(&rig.space, rig.first, address_of(&rig, 1024) - 1);
            tear_down(&rig);
        }
    }
}

/** After a preload no allocation needs memory, whatever its size. */
static void preload_holds_with_pools(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        uint64_t start;

        set_up(&rig, engine, 8192, 1024);
        for (uint32_t round = 0; round < 20; round++) {
            assert_int_equal(kva_preload(&rig.space, 12), KVA_OK);
            kva_failing_memory_fail(&rig.memory, 1, true);
            for (uint32_t i = 0; i < 12; i++) {
                struct kva_request request = kva_request_of((1 + (round * 12 + i) % 64) * rig.quantum);
                assert_int_equal(kva_alloc(&rig.space, &request, &start), KVA_OK);
                if (i % 3 == 2)
                    assert_int_equal(kva_resize(&rig.space, start, rig.quantum), KVA_OK), i++;
            }
            kva_failing_memory_fail(&rig.memory, 0, false);
        }
        test_expect_sound(&rig.space, rig.first, address_of(&rig, 8192) - 1);
        tear_down(&rig);
    }
}

/* ----------------------------------------------------------------------------------- several CPUs, bounds */

static void set_up_cpus(struct rig *rig, const struct kva_engine *engine, uint32_t quanta,
                        uint32_t pool_quanta, unsigned cpus)
{
    struct kva_threads threads = test_lone_thread(&rig->cpu, cpus);
    struct kva_config config = config_of(rig, engine, quanta, pool_quanta);

    begin(rig, quanta);
    config.threads = &threads;
    assert_int_equal(kva_space_init(&rig->space, &config), KVA_OK);
}

/* The bound holds for all CPUs together. A freed object goes to the pool of the CPU that frees it. */
static void pools_keep_their_bound(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;

        set_up_cpus(&rig, engine, 8192, 100, 4);
        for (uint32_t i = 0; i < 2000; i++) {
            uint64_t held = 0;
            rig.cpu = i % 5 * 2; /* 0, 2, 4, 6, 8: not dense, and more than there are */
            if (rig.count < 300 || i % 3 == 0)
                alloc_plain(&rig, 1 + i % 9);
            else
                give(&rig, i % rig.count);
            for (unsigned c = 0; c < 4; c++)
                held += rig.space.shared->pools->cpu[c].held;
            assert_true(held <= 100);
        }
        test_expect_sound(&rig.space, rig.first, address_of(&rig, 8192) - 1);
        tear_down(&rig);
    }
}

/* A number of CPUs whose pools fit no memory, including numbers whose product with the size of a pool wraps
 * to a small size. */
static void too_many_cpus_return_enomem(void **state)
{
    enum { WRAPS = 24 };
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (uint64_t i = 0; i < 2 * WRAPS; i++) {
            static struct rig rig;
            struct kva_threads threads = test_lone_thread(&rig.cpu, UINT32_MAX - (unsigned)i);
            struct kva_config config = config_of(&rig, engine, 4096, 4096);

            if (i < WRAPS) /* a little more than i + 1 times all 32-bit sizes */
                threads.cpus = (unsigned)(((i + 1) << 32) / sizeof(struct kva_cpu) + 1);
            config.threads = &threads;
            rig.memory.largest = 1 << 20;
            assert_int_equal(kva_space_init(&rig.space, &config), KVA_ENOMEM);
            assert_int_equal(rig.memory.blocks, 0);
        }
    }
}

/** How many objects in a CPU's magazine for a size belong to spans of another CPU. */
static uint32_t foreign_objects_of(const struct rig *rig, unsigned cpu, uint32_t quanta)
{
    const struct kva_magazine *magazine = rig->space.shared->pools->cpu[cpu].magazine[quanta - 1];
    uint32_t foreign = 0;

    for (uint32_t i = 0; i < magazine->count; i++)
        foreign += magazine->object[i].span->home != cpu;
    return foreign;
}

/* Two CPUs that use one size get spans of their own, and do not keep foreign objects. */
static void each_cpu_has_its_own_spans(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;

        set_up_cpus(&rig, engine, 8192, 4096, 2);
        for (uint32_t i = 0; i < 64; i++)
            alloc_plain(&rig, 1);
        rig.cpu = 1;
        alloc_plain(&rig, 1);
        assert_int_equal(rig.space.shared->pools->spans, 2);
        for (uint32_t i = 0; i < 64; i++)
            give(&rig, 0); /* what CPU 0 took */
        assert_in_range(foreign_objects_of(&rig, 1, 1), 1, KVA_MAGAZINE - (KVA_BATCH - 1));
        assert_int_equal(rig.space.shared->pools->cpu[1].magazine[0]->count - foreign_objects_of(&rig, 1, 1),
                         KVA_BATCH - 1); /* it has lost none of its own */
        test_expect_sound(&rig.space, rig.first, address_of(&rig, 8192) - 1);
        tear_down(&rig);
    }
}

/* A CPU takes over a span that another one can spare and, where there is no room for a new one, even the
 * last. */
static void a_cpu_takes_over_a_span(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;

        set_up_cpus(&rig, engine, 8192, 131072, 2); /* room for 8 spans, each of 8 objects of 128 quanta */
        const struct kva_pools *pools = rig.space.shared->pools;
        for (uint32_t i = 0; i < 40; i++)
            alloc_plain(&rig, 128);
        while (rig.count > 0)
            give(&rig, 0);
        assert_int_equal(pools->spans,
                         6); /* three batches, two of them in the magazine: two spans are free */
        assert_int_equal(pools->cpu[0].spans_with_free, 2);
        rig.cpu = 1;
        for (uint32_t i = 0; i < 16;
             i++) /* a batch of a spare span, and one of a new span, because no other is spare */
            alloc_plain(&rig, 128);
        assert_int_equal(pools->spans, 7);
        assert_int_equal(pools->cpu[0].spans_with_free, 1);
        alloc_plain(&rig, 1024); /* now no room is left */
        alloc_plain(&rig, 128);
        assert_int_equal(pools->spans, 7);
        assert_int_equal(pools->cpu[0].spans_with_free, 0);
        test_expect_sound(&rig.space, rig.first, address_of(&rig, 8192) - 1);
        tear_down(&rig);
    }
}

static void an_idle_cpu_loses_its_pool(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        const struct kva_cpu *cpus;

        set_up_cpus(&rig, engine, 8192, 1024, 2);
        cpus = rig.space.shared->pools->cpu;
        alloc_plain(&rig, 2);
        give(&rig, 0);
        assert_true(cpus[0].held > 0);
        rig.cpu = 1;
        for (uint32_t i = 0; i < 6 * KVA_DECAY; i++) {
            for (uint32_t j = 0; j < 3 * KVA_MAGAZINE; j++) /* more than stays in the pool */
                alloc_plain(&rig, 1);
            while (rig.count > 0)
                give(&rig, 0);
        }
        assert_int_equal(cpus[0].held, 0);
        test_expect_sound(&rig.space, rig.first, address_of(&rig, 8192) - 1);
        tear_down(&rig);
    }
}

/* An object leaves a span whose other objects are all free: the span is returned at once, because nothing
 * else would return it. */
static void the_last_object_to_leave_returns_its_span(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        struct kva_request request;
        struct kva_stats stats;
        uint64_t start[3];

        set_up(&rig, engine, 8192, 1024);
        request = kva_request_of(3 * rig.quantum);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(kva_alloc(&rig.space, &request, &start[i]), KVA_OK);
        assert_int_equal(kva_free(&rig.space, start[0]), KVA_OK);
        assert_int_equal(kva_free(&rig.space, start[2]), KVA_OK);
        assert_int_equal(kva_pools_drain(&rig.space), KVA_OK); /* all objects but one are in the span */
        assert_int_equal(kva_resize(&rig.space, start[1], rig.quantum), KVA_OK);
        assert_int_equal(kva_stats_read(&rig.space, &stats), KVA_OK);
        assert_int_equal(stats.pooled_segments, 0);
        assert_int_equal(stats.busy_bytes, rig.quantum);
        assert_int_equal(kva_free(&rig.space, start[1]), KVA_OK);
        assert_int_equal(kva_stats_read(&rig.space, &stats), KVA_OK);
        assert_int_equal(stats.free_segments, 1);
        tear_down(&rig);
    }
}

/* All objects but one of a span in two pieces are freed. The live one keeps its range, whether it is the last
 * of its piece, of the span, or of the space. */
static void a_live_object_keeps_its_range(void **state)
{
    enum { SPACE = 64, SPAN = SPACE / 4 };
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (uint32_t quanta = 1; quanta <= 4; quanta++) {
            for (uint32_t kept = 0; kept < SPAN / quanta; kept++) {
                static struct rig rig;

                set_up(&rig, engine, SPACE, SPACE);
                for (uint32_t i = 0; i < SPAN / quanta; i++)
                    alloc_plain(&rig, quanta);
                resize(&rig, kept == 0 ? 1 : 0, quanta); /* an ordinary segment from now on */
                struct range live = rig.held[kept];
                while (rig.count > 1)
                    give(&rig, rig.held[0].at == live.at ? 1 : 0);
                assert_int_equal(kva_pools_drain(&rig.space), KVA_OK);
                expect_letters(&rig);
                while (fits_somewhere(&rig, 1))
                    alloc(&rig, 1, KVA_HIGHEST);
                expect_letters(&rig);
                tear_down(&rig);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------------ all addresses */

/** All 2^64 addresses, in `quanta`, a power of two. Only the magazines limit the pools. */
static void set_up_everywhere(struct rig *rig, const struct kva_engine *engine, uint32_t quanta,
                              uint64_t deferred_limit)
{
    struct kva_config config = config_of(rig, engine, quanta, quanta);

    rig->first = 0;
    rig->quantum = (UINT64_MAX / quanta) + 1;
    config.first = 0;
    config.last = UINT64_MAX;
    config.quantum = rig->quantum;
    config.pool_bytes = UINT64_MAX;
    config.deferred_limit = deferred_limit;
    begin(rig, quanta);
    assert_int_equal(kva_space_init(&rig->space, &config), KVA_OK);
}

/** Take everything in ranges of 1 to `most` quanta, an equal number of each, as far as possible. */
static void take_everything(struct rig *rig, uint32_t most)
{
    for (uint32_t quanta = most; quanta > 0; quanta--) {
        for (uint32_t n = rig->quanta / most / 2; (n > 0 || quanta == 1) && fits_somewhere(rig, quanta); n--)
            alloc_plain(rig, quanta);
    }
}

static struct kva_stats stats_of(const struct rig *rig)
{
    struct kva_stats stats;

    assert_int_equal(kva_stats_read(&rig->space, &stats), KVA_OK);
    return stats;
}

/* Everything is taken, in ranges of several sizes, and freed. Pooled ranges then fail no request, although
 * their bytes exceed 64 bits. */
static void all_addresses_may_be_pooled(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (uint32_t quanta = 16; quanta <= 1024; quanta *= 2) {
            for (uint32_t most = 1; most <= quanta / 16; most++) {
                static struct rig rig;

                set_up_everywhere(&rig, engine, quanta, UINT64_MAX);
                take_everything(&rig, most);
                expect_letters(&rig);
                assert_true(stats_of(&rig).busy_bytes == UINT64_MAX);
                while (rig.count > 0)
                    give(&rig, 0);
                expect_letters(&rig);
                alloc_plain(&rig, quanta / 2); /* nothing is live: no pooled range is in the way */
                alloc_plain(&rig, quanta / 2);
                expect_letters(&rig);
                tear_down(&rig);
            }
        }
    }
}

/* A drain returns everything that the magazines hold, even if that is all addresses. */
static void all_addresses_may_be_drained(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (uint32_t quanta = 16; quanta <= 32;
             quanta *= 2) { /* one magazine for single quanta has room for all of them */
            static struct rig rig;

            set_up_everywhere(&rig, engine, quanta, UINT64_MAX);
            take_everything(&rig, 1);
            while (rig.count > 0)
                give(&rig, rig.count - 1);
            assert_int_equal(stats_of(&rig).pooled_segments, quanta);
            assert_true(stats_of(&rig).pooled_bytes == UINT64_MAX);
            assert_int_equal(kva_pools_drain(&rig.space), KVA_OK);
            assert_int_equal(stats_of(&rig).pooled_segments, 0);
            assert_true(stats_of(&rig).largest_free == UINT64_MAX);
            tear_down(&rig);
        }
    }
}

/* The limit on deferred bytes counts both those of the pools and those of the address map. */
static void all_addresses_may_be_deferred(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (uint32_t quanta = 16; quanta <= 1024; quanta *= 2) {
            for (uint32_t moved = 0; moved <= 4; moved++) {
                static struct rig rig;

                set_up_everywhere(&rig, engine, quanta, UINT64_MAX - 1);
                take_everything(&rig, 1);
                for (uint32_t i = 0; i < moved; i++)
                    resize(&rig, i, 1); /* in the address map from now on */
                while (rig.count > 1)
                    defer(&rig, rig.count - 1);
                assert_true(stats_of(&rig).deferred_bytes == UINT64_MAX - rig.quantum + 1);
                assert_int_equal(stats_of(&rig).flushes, 0);
                uint64_t last = address_of(&rig, let_go(&rig, 0, 'd').at);
                assert_int_equal(kva_free_deferred(&rig.space, last), KVA_OK);
                assert_int_equal(stats_of(&rig).flushes, 1);
                assert_int_equal(stats_of(&rig).deferred_segments, 0);
                expect_letters(&rig);
                tear_down(&rig);
            }
        }
    }
}

/* Without a limit all ranges that are freed by kva_free_deferred stay deferred, and are counted. */
static void all_addresses_may_be_deferred_without_a_limit(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;

        set_up_everywhere(&rig, engine, 64, UINT64_MAX);
        take_everything(&rig, 2);
        while (rig.count > 0)
            defer(&rig, 0);
        assert_true(stats_of(&rig).deferred_bytes == UINT64_MAX);
        expect_letters(&rig);
        assert_int_equal(kva_flush(&rig.space), KVA_OK);
        alloc_plain(&rig, 32);
        expect_letters(&rig);
        tear_down(&rig);
    }
}

/* Spans come and go; their memory does not grow. */
static void spans_are_used_again(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        struct kva_stats early, late;

        set_up_cpus(&rig, engine, 8192, 512, 3);
        for (uint32_t round = 0; round < 60; round++) {
            rig.cpu = round % 3;
            for (uint32_t i = 0; i < 40; i++)
                alloc_plain(&rig, 1 + round % 30);
            while (rig.count > 0)
                give(&rig, rig.count - 1);
            assert_int_equal(kva_pools_drain(&rig.space), KVA_OK);
            assert_int_equal(kva_stats_read(&rig.space, round == 29 ? &early : &late), KVA_OK);
        }
        assert_int_equal(early.memory_bytes, late.memory_bytes);
        tear_down(&rig);
    }
}

/** A space of 2^46 bytes with pools: it has room for many new spans at new addresses. */
static void begin_wide(struct rig *rig, const struct kva_engine *engine, unsigned cpus)
{
    struct kva_threads threads = test_lone_thread(&rig->cpu, cpus);
    const struct kva_config config = {.last = (UINT64_C(1) << 46) - 1,
                                      .quantum = 4096,
                                      .engine = engine,
                                      .memory = kva_failing_memory_init(&rig->memory),
                                      .pool_bytes = UINT64_C(1) << 24,
                                      .threads = &threads};

    rig->cpu = 0;
    assert_int_equal(kva_space_init(&rig->space, &config), KVA_OK);
}

/** Take an object of a new span above all former ones; give back both. False: no span was made. */
static bool use_new_span(struct rig *rig, uint64_t round)
{
    struct kva_pools *pools = rig->space.shared->pools;
    struct kva_object object;

    assert_int_equal(kva_reserve(&rig->space, 0, (round + 1) << 22, NULL, NULL), KVA_OK);
    bool taken = kva_spans_take(&rig->space, &pools->cpu[0], 1, &object, 1) == 1;
    if (taken)
        kva_span_give(&rig->space, &object);
    kva_spans_trim(&rig->space);
    assert_int_equal(kva_free(&rig->space, 0), KVA_OK);
    return taken;
}

static uint64_t memory_of(const struct rig *rig)
{
    struct kva_stats stats;

    assert_int_equal(kva_stats_read(&rig->space, &stats), KVA_OK);
    return stats.memory_bytes;
}

/* Each new address leaves a mark in the directory, which is replaced when it is full of marks. */
static void directories_are_used_again(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;

        begin_wide(&rig, engine, 1);
        uint64_t early = 0;
        for (uint64_t round = 0; round < 2000; round++) {
            assert_true(use_new_span(&rig, round));
            kva_spans_end_limbo(rig.space.shared->pools);
            if (round == 99)
                early = memory_of(&rig);
        }
        assert_int_equal(memory_of(&rig), early);
        tear_down(&rig);
    }
}

/* A lookup may still read a replaced directory: until limbo ends, it is not written to, and no third one is
 * made. */
static void a_directory_in_limbo_is_not_changed(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        struct kva_directory *first = NULL;
        void *copy = NULL;
        size_t bytes = 0;
        uint64_t refused = 0, memory = 0;

        begin_wide(&rig, engine, 1);
        const struct kva_pools *pools = rig.space.shared->pools;
        for (uint64_t round = 0; round < 200; round++) {
            refused += !use_new_span(&rig, round);
            if (!first) {
                first = atomic_load(&pools->directory);
                bytes = (first->mask + 1) * sizeof first->slot[0];
                copy = malloc(bytes);
                assert_non_null(copy);
            }
            if (atomic_load(&pools->directory) == first)
                memcpy(copy, first->slot, bytes);
            assert_memory_equal(copy, first->slot, bytes);
            if (refused == 1 && memory == 0)
                memory = memory_of(&rig);
        }
        assert_true(refused > 100);
        assert_int_equal(memory_of(&rig), memory);
        assert_int_equal(kva_pools_drain(&rig.space), KVA_OK); /* ends limbo */
        assert_true(use_new_span(&rig, 200));
        assert_ptr_equal(atomic_load(&pools->directory), first);
        assert_int_equal(memory_of(&rig), memory);
        free(copy);
        tear_down(&rig);
    }
}

/** Allocate an object of the largest size: four fill a span, and each takes a refill. */
static void alloc_quarter_of_a_span(struct rig *rig)
{
    uint64_t start;

    assert_int_equal(kva_alloc(&rig->space, &(struct kva_request){.size = (uint64_t)256 * 4096}, &start),
                     KVA_OK);
}

/* A thread that holds a CPU's lock may be searching a directory that was replaced. Only a refill that
 * finds the locks of all other CPUs free ends limbo. */
static void a_search_keeps_a_directory_in_limbo(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;

        begin_wide(&rig, engine, 2);
        struct kva_pools *pools = rig.space.shared->pools;
        while (!kva_spans_in_limbo(pools))
            alloc_quarter_of_a_span(&rig);
        const struct kva_directory *old = pools->old_directories;
        assert_non_null(old);
        assert_true(lock_try(&pools->cpu[1].lock, threads_of(&rig.space)));
        alloc_quarter_of_a_span(&rig);
        assert_ptr_equal(pools->old_directories, old);
        lock_drop(&pools->cpu[1].lock, threads_of(&rig.space));
        alloc_quarter_of_a_span(&rig);
        assert_false(kva_spans_in_limbo(pools));
        assert_ptr_equal(pools->spare_directories, old);
        tear_down(&rig);
    }
}

/* Without memory for a larger directory the tree serves, and nothing has changed. */
static void a_refused_directory_leaves_the_old_one(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;

        begin_wide(&rig, engine, 1);
        const struct kva_pools *pools = rig.space.shared->pools;
        alloc_quarter_of_a_span(&rig);
        const struct kva_directory *first = atomic_load(&pools->directory);
        while (first->used <= first->mask / 2)
            alloc_quarter_of_a_span(&rig);
        assert_int_equal(kva_preload(&rig.space, 16), KVA_OK);
        kva_failing_memory_fail(&rig.memory, 1, true);
        for (unsigned i = 0; i < 12; i++)
            alloc_quarter_of_a_span(&rig);
        assert_ptr_equal(atomic_load(&pools->directory), first);
        assert_int_equal(pools->spans, first->used);
        kva_failing_memory_fail(&rig.memory, 0, false);
        alloc_quarter_of_a_span(&rig);
        assert_ptr_equal(pools->old_directories, first);
        test_expect_sound(&rig.space, 0, (UINT64_C(1) << 46) - 1);
        tear_down(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_segments_of_their_own),
        cmocka_unit_test(other_requests_get_the_lowest_address),
        cmocka_unit_test(shapes_get_the_lowest_address),
        cmocka_unit_test(omitted_fields_are_no_window),
        cmocka_unit_test(windows_near_the_default_are_windows),
        cmocka_unit_test(small_spaces_have_small_spans_or_none),
        cmocka_unit_test(every_short_program),
        cmocka_unit_test(long_random_programs),
        cmocka_unit_test(without_memory_the_space_stays_valid),
        cmocka_unit_test(preload_holds_with_pools),
        cmocka_unit_test(pools_keep_their_bound),
        cmocka_unit_test(too_many_cpus_return_enomem),
        cmocka_unit_test(each_cpu_has_its_own_spans),
        cmocka_unit_test(a_cpu_takes_over_a_span),
        cmocka_unit_test(an_idle_cpu_loses_its_pool),
        cmocka_unit_test(a_live_object_keeps_its_range),
        cmocka_unit_test(all_addresses_may_be_pooled),
        cmocka_unit_test(all_addresses_may_be_drained),
        cmocka_unit_test(all_addresses_may_be_deferred),
        cmocka_unit_test(all_addresses_may_be_deferred_without_a_limit),
        cmocka_unit_test(spans_are_used_again),
        cmocka_unit_test(directories_are_used_again),
        cmocka_unit_test(a_directory_in_limbo_is_not_changed),
        cmocka_unit_test(a_search_keeps_a_directory_in_limbo),
        cmocka_unit_test(a_refused_directory_leaves_the_old_one),
        cmocka_unit_test(the_last_object_to_leave_returns_its_span),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
