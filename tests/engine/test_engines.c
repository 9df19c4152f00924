/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The contract of engine.h, called directly: calls that a space never makes, and results that it cannot
 * distinguish.
 */
#include "../common/harness.h"

#include <string.h>

#include "../../ports/test/failing_memory.h"
#include "engine/engine.h"

#define FIRST UINT64_C(1000)
#define LAST UINT64_C(1999)

struct fixture {
    const struct kva_engine *engine;
    struct kva_address_map *map;
    struct kva_failing_memory memory;
};

static void set_up(struct fixture *f, const struct kva_engine *engine)
{
    struct kva_address_map common;

    memset(f, 0, sizeof(*f));
    memset(&common, 0, sizeof(common));
    f->engine = engine;
    common.engine = engine;
    common.ledger.memory = kva_failing_memory_init(&f->memory);
    common.first = FIRST;
    common.last = LAST;
    common.quantum = 1;
    common.owners = true;
    common.by_size = true;
    assert_int_equal(engine->create(&common, &f->map), KVA_OK);
}

static void check(struct fixture *f)
{
    uint64_t address = 0;
    const char *broken = f->engine->check(f->map, &address);

    if (!broken)
        broken = check_sizes(f->map, &address);
    check_that(broken == NULL, "%s: the check reports %s at %" PRIu64, f->engine->name, broken, address);
    for (uint64_t at = FIRST; at <= LAST; at += 37) {
        broken = f->engine->check_near(f->map, at, &address);
        check_that(broken == NULL, "%s: the check reports %s at %" PRIu64, f->engine->name, broken, address);
    }
}

static void tear_down(struct fixture *f)
{
    check(f);
    f->engine->destroy(f->map);
    assert_int_equal(f->memory.blocks, 0);
}

static void take(struct fixture *f, uint64_t start, uint64_t last)
{
    struct kva_place place;

    assert_int_equal(f->engine->locate(f->map, start, last, &place), KVA_OK);
    assert_int_equal(place.start, start);
    assert_int_equal(place.last, last);
    assert_int_equal(f->engine->occupy(f->map, &place, f), KVA_OK);
}

static void expect(const struct fixture *f, uint64_t at, uint64_t start, uint64_t last, enum kva_state state)
{
    struct kva_segment segment;

    f->engine->lookup(f->map, at, &segment);
    assert_int_equal(segment.start, start);
    assert_int_equal(segment.last, last);
    assert_int_equal(segment.state, state);
    assert_ptr_equal(segment.owner, state == KVA_FREE ? NULL : (const void *)f);
}

/** Every operation on a busy segment returns KVA_ENOENT where none starts, and changes nothing. */
static void expect_none_starts(struct fixture *f, uint64_t at)
{
    struct kva_tally before = f->map->tally;
    uint64_t last = 77;

    assert_int_equal(f->engine->free(f->map, at), KVA_ENOENT);
    assert_int_equal(f->engine->punch(f->map, at, at + 1, at + 1), KVA_ENOENT);
    assert_int_equal(f->engine->trim(f->map, at, at + 1), KVA_ENOENT);
    assert_int_equal(f->engine->resize(f->map, at, at), KVA_ENOENT);
    assert_int_equal(f->engine->defer(f->map, at, 0, &last), KVA_ENOENT);
    assert_int_equal(last, 77);
    assert_memory_equal(&before, &f->map->tally, sizeof(before));
    check(f);
}

static void only_the_start_of_a_busy_segment_is_accepted(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        uint64_t last;

        set_up(&f, engine);
        expect_none_starts(&f, FIRST);
        take(&f, 1200, 1299);
        take(&f, 1300, 1399);
        take(&f, 1400, 1499);
        assert_int_equal(engine->defer(f.map, 1300, 0, &last), KVA_OK);
        assert_int_equal(last, 1399);
        expect_none_starts(&f, FIRST); /* free */
        expect_none_starts(&f, 1100);  /* inside free */
        expect_none_starts(&f, 1201);  /* inside busy */
        expect_none_starts(&f, 1299);
        expect_none_starts(&f, 1300); /* deferred */
        expect_none_starts(&f, 1350);
        expect_none_starts(&f, 1998);
        tear_down(&f);
    }
}

static void a_place_must_be_wholly_free(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_place place;
        uint64_t last;

        set_up(&f, engine);
        take(&f, 1200, 1299);
        take(&f, 1400, 1499);
        assert_int_equal(engine->defer(f.map, 1400, 1, &last), KVA_OK);
        assert_int_equal(engine->locate(f.map, 1199, 1200, &place), KVA_EEXIST);
        assert_int_equal(engine->locate(f.map, 1200, 1200, &place), KVA_EEXIST);
        assert_int_equal(engine->locate(f.map, 1299, 1300, &place), KVA_EEXIST);
        assert_int_equal(engine->locate(f.map, 1300, 1400, &place), KVA_EEXIST);
        assert_int_equal(engine->locate(f.map, FIRST, LAST, &place), KVA_EEXIST);
        assert_int_equal(engine->locate(f.map, 1450, 1460, &place), KVA_EEXIST);
        take(&f, 1300, 1399);
        take(&f, FIRST, 1199);
        take(&f, 1500, LAST);
        assert_int_equal(f.map->tally.segments[KVA_FREE], 0);
        tear_down(&f);
    }
}

static void a_trim_and_a_punch_keep_owner_and_addresses(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine);
        take(&f, 1200, 1299);
        assert_int_equal(engine->punch(f.map, 1200, 1201, 1297), KVA_OK);
        expect(&f, 1200, 1200, 1200, KVA_BUSY);
        expect(&f, 1250, 1201, 1297, KVA_FREE);
        expect(&f, 1299, 1298, 1299, KVA_BUSY);
        assert_int_equal(f.map->tally.segments[KVA_BUSY], 2);
        assert_int_equal(f.map->tally.bytes[KVA_BUSY], 3);
        check(&f);
        assert_int_equal(engine->trim(f.map, 1298, 1299), KVA_OK); /* into the hole before it */
        expect(&f, 1250, 1201, 1298, KVA_FREE);
        expect(&f, 1299, 1299, 1299, KVA_BUSY);
        check(&f);
        take(&f, 1201, 1298);
        assert_int_equal(engine->trim(f.map, 1201, 1250), KVA_OK); /* after a busy one: a new hole */
        expect(&f, 1201, 1201, 1249, KVA_FREE);
        expect(&f, 1260, 1250, 1298, KVA_BUSY);
        assert_int_equal(f.map->tally.segments[KVA_BUSY], 3);
        tear_down(&f);
    }
}

static void the_largest_hole_follows_every_change(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        uint64_t extent = 0;

        set_up(&f, engine);
        assert_true(engine->largest(f.map, &extent));
        assert_int_equal(extent, LAST - FIRST);
        take(&f, 1300, 1399);
        assert_true(engine->largest(f.map, &extent));
        assert_int_equal(extent, 599);
        assert_int_equal(engine->resize(f.map, 1300, 1799), KVA_OK);
        assert_true(engine->largest(f.map, &extent));
        assert_int_equal(extent, 299);
        assert_int_equal(engine->resize(f.map, 1300, 1309), KVA_OK);
        assert_true(engine->largest(f.map, &extent));
        assert_int_equal(extent, 689);
        check(&f);
        assert_int_equal(engine->extend(f.map, 0, LAST), KVA_OK);
        assert_true(engine->largest(f.map, &extent));
        assert_int_equal(extent, 1299);
        take(&f, 0, 1299);
        take(&f, 1310, LAST);
        assert_false(engine->largest(f.map, &extent));
        f.engine->destroy(f.map);
        assert_int_equal(f.memory.blocks, 0);
    }
}

/* Deferred segments next to each other and to holes become one hole, in any order. */
static void free_deferred_merges_all(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static const uint64_t orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}};
        for (size_t order = 0; order < 4; order++) {
            static struct fixture f;
            uint64_t last;

            set_up(&f, engine);
            for (uint64_t i = 0; i < 4; i++)
                take(&f, FIRST + 250 * i, FIRST + 250 * i + (i < 2 ? 249 : 99));
            for (size_t i = 0; i < 4; i++)
                assert_int_equal(engine->defer(f.map, FIRST + 250 * orders[order][i], 0, &last), KVA_OK);
            check(&f);
            uint64_t takes = f.memory.takes;
            engine->free_deferred(f.map, 0, UINT64_MAX);
            assert_int_equal(f.memory.takes, takes);
            expect(&f, FIRST, FIRST, LAST, KVA_FREE);
            assert_int_equal(f.map->tally.segments[KVA_FREE], 1);
            assert_int_equal(f.map->tally.segments[KVA_DEFERRED], 0);
            tear_down(&f);
        }
    }
}

/* Two epochs, mixed in every leaf: one is freed in slices of any size, the other stays. */
static void a_slice_frees_one_epoch_only(void **state)
{
    enum { SEGMENTS = 90 };
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (uint64_t slice = 1; slice <= SEGMENTS; slice = slice * 3 + 1) {
            static struct fixture f;
            struct kva_segment segment;
            uint64_t last, left = SEGMENTS / 3;

            set_up(&f, engine);
            for (uint64_t i = 0; i < SEGMENTS; i++)
                take(&f, FIRST + 10 * i, FIRST + 10 * i + 9);
            for (uint64_t i = 0; i < SEGMENTS; i++) { /* 0 busy, 1 epoch 0, 2 epoch 1 */
                if (i % 3 > 0)
                    assert_int_equal(engine->defer(f.map, FIRST + 10 * i, (unsigned)(i % 3) - 1, &last),
                                     KVA_OK);
            }
            check(&f);
            while (left > 0) {
                assert_int_equal(f.map->tally.deferred[0], left);
                left -= left < slice ? left : slice;
                engine->free_deferred(f.map, 0, slice);
                assert_int_equal(f.map->tally.deferred[0], left);
                assert_int_equal(f.map->tally.deferred[1], SEGMENTS / 3);
                check(&f);
            }
            for (uint64_t i = 0; i < SEGMENTS; i++) {
                static const enum kva_state states[] = {KVA_BUSY, KVA_FREE, KVA_DEFERRED};
                engine->lookup(f.map, FIRST + 10 * i, &segment);
                assert_int_equal(segment.state, states[i % 3]);
            }
            engine->free_deferred(f.map, 0, slice); /* none is left: no effect */
            engine->free_deferred(f.map, 1, UINT64_MAX);
            assert_int_equal(f.map->tally.segments[KVA_DEFERRED], 0);
            check(&f);
            tear_down(&f);
        }
    }
}

/** The model: which segments are deferred, in which epoch. */
struct deferred_map {
    unsigned segments; /* of 10 units each, from FIRST on */
    int epoch[100];    /* -1: busy; -2: free */
};

static void expect_next_deferred(const struct fixture *f, const struct deferred_map *map, unsigned epoch,
                                 uint64_t from, uint64_t to)
{
    struct kva_segment segment = {0};
    unsigned i = 0;

    while (i < map->segments && (FIRST + 10 * i < from || map->epoch[i] != (int)epoch))
        i++;
    bool any = i < map->segments && FIRST + 10 * i <= to;
    enum kva_status status = f->engine->next_deferred(f->map, epoch, from, to, &segment);
    check_that(status == (any ? KVA_OK : KVA_ENOENT),
               "%s: epoch %u from %" PRIu64 " to %" PRIu64 ": %s expected, %s returned", f->engine->name,
               epoch, from, to, any ? "KVA_OK" : "KVA_ENOENT", kva_status_name(status));
    if (status != KVA_OK)
        return;
    check_that(segment.start == FIRST + 10 * i && segment.last == FIRST + 10 * i + 9 &&
                   segment.state == KVA_DEFERRED && segment.owner == (const void *)f,
               "%s: epoch %u from %" PRIu64 ": [%" PRIu64 ", %" PRIu64 "]", f->engine->name, epoch, from,
               segment.start, segment.last);
}

static void expect_all_deferred(struct fixture *f, const struct deferred_map *map)
{
    for (uint64_t from = FIRST; from <= LAST; from++) {
        for (unsigned epoch = 0; epoch < 2; epoch++) {
            expect_next_deferred(f, map, epoch, from, LAST);
            expect_next_deferred(f, map, epoch, from, from);
            expect_next_deferred(f, map, epoch, from, from + 20 < LAST ? from + 20 : LAST);
        }
    }
    check(f);
}

/** One random change: defer or free a busy segment, or reserve a free one. */
static void change_deferred(struct fixture *f, struct deferred_map *map, struct test_rng *rng)
{
    unsigned i = (unsigned)test_below(rng, map->segments);
    uint64_t start = FIRST + 10 * i, last;

    if (map->epoch[i] == -2) {
        take(f, start, start + 9);
        map->epoch[i] = -1;
    } else if (map->epoch[i] == -1 && test_one_in(rng, 3)) {
        assert_int_equal(f->engine->free(f->map, start), KVA_OK);
        map->epoch[i] = -2;
    } else if (map->epoch[i] == -1) {
        map->epoch[i] = (int)test_below(rng, 2);
        assert_int_equal(f->engine->defer(f->map, start, (unsigned)map->epoch[i], &last), KVA_OK);
        assert_int_equal(last, start + 9);
    }
}

static void free_all_deferred(struct fixture *f, struct deferred_map *map, unsigned epoch)
{
    f->engine->free_deferred(f->map, epoch, UINT64_MAX);
    for (unsigned i = 0; i < map->segments; i++)
        map->epoch[i] = map->epoch[i] == (int)epoch ? -2 : map->epoch[i];
}

/* The next deferred segment of an epoch, from each address, while segments come and go and trees rotate. */
static void next_deferred_finds_the_next_segment(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        struct test_rng rng = test_rng_of(31);
        for (uint64_t round = 0; round < test_scaled(12); round++) {
            static struct fixture f;
            struct deferred_map map = {.segments = round % 3 == 0 ? 7 : 100};

            set_up(&f, engine);
            for (unsigned i = 0; i < map.segments; i++)
                map.epoch[i] = -2;
            expect_all_deferred(&f, &map);
            for (unsigned i = 0; i < 600; i++) {
                change_deferred(&f, &map, &rng);
                if (i % 97 == 0)
                    expect_all_deferred(&f, &map);
                if (i % 211 == 210)
                    free_all_deferred(&f, &map, (unsigned)test_below(&rng, 2));
            }
            expect_all_deferred(&f, &map);
            tear_down(&f);
        }
    }
}

/* An address map of all addresses, with one deferred segment at each end. */
static void next_deferred_at_both_ends_of_64_bits(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_segment segment;
        uint64_t last;

        set_up(&f, engine);
        f.map->sizes = NULL; /* the index would not reach that far */
        assert_int_equal(engine->extend(f.map, 0, UINT64_MAX), KVA_OK);
        take(&f, 0, 0);
        take(&f, UINT64_MAX, UINT64_MAX);
        assert_int_equal(engine->defer(f.map, 0, 1, &last), KVA_OK);
        assert_int_equal(engine->defer(f.map, UINT64_MAX, 1, &last), KVA_OK);
        assert_int_equal(engine->next_deferred(f.map, 1, 0, 0, &segment), KVA_OK);
        assert_int_equal(segment.start, 0);
        assert_int_equal(engine->next_deferred(f.map, 1, 1, UINT64_MAX, &segment), KVA_OK);
        assert_int_equal(segment.start, UINT64_MAX);
        assert_int_equal(engine->next_deferred(f.map, 1, UINT64_MAX, UINT64_MAX, &segment), KVA_OK);
        assert_int_equal(segment.last, UINT64_MAX);
        assert_int_equal(engine->next_deferred(f.map, 1, 1, UINT64_MAX - 1, &segment), KVA_ENOENT);
        assert_int_equal(engine->next_deferred(f.map, 0, 0, UINT64_MAX, &segment), KVA_ENOENT);
        f.engine->destroy(f.map);
        assert_int_equal(f.memory.blocks, 0);
    }
}

/* free and free_deferred make as many holes as possible without memory: the operation that adds a busy
 * segment also prepares the index by size for the holes. */
static void a_free_needs_no_memory(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (int deferred = 0; deferred < 2; deferred++) {
            static struct fixture f;
            uint64_t last;

            set_up(&f, engine);
            for (uint64_t at = FIRST; at <= LAST; at++)
                take(&f, at, at);
            kva_failing_memory_fail(&f.memory, 1, true);
            for (uint64_t at = FIRST; at <= LAST; at += 2) {
                if (deferred)
                    assert_int_equal(engine->defer(f.map, at, 1, &last), KVA_OK);
                else
                    assert_int_equal(engine->free(f.map, at), KVA_OK);
            }
            engine->free_deferred(f.map, 1, UINT64_MAX);
            assert_int_equal(f.map->tally.segments[KVA_FREE], (LAST - FIRST + 1) / 2);
            tear_down(&f);
        }
    }
}

/* One hole for each punch, until there is no memory for one more; that punch changes nothing. */
static void punches_end_when_memory_does(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        uint64_t at = FIRST;

        set_up(&f, engine);
        take(&f, FIRST, LAST);
        assert_int_equal(engine->prepare(f.map, 100), KVA_OK);
        kva_failing_memory_fail(&f.memory, 1, true);
        while (at + 2 <= LAST && engine->punch(f.map, at, at + 1, at + 1) == KVA_OK)
            at += 2;
        assert_true(at >= FIRST + 200);
        check(&f);
        kva_failing_memory_fail(&f.memory, 0, false);
        for (; at + 2 <= LAST; at += 2)
            assert_int_equal(engine->punch(f.map, at, at + 1, at + 1), KVA_OK);
        tear_down(&f);
    }
}

/* A preparation suffices for as many holes as it names. */
static void prepared_memory_suffices(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine);
        assert_int_equal(engine->prepare(f.map, 499), KVA_OK);
        kva_failing_memory_fail(&f.memory, 1, true);
        for (uint64_t at = FIRST + 1; at < LAST - 1; at += 2)
            take(&f, at, at);
        assert_int_equal(f.map->tally.segments[KVA_FREE], 500);
        tear_down(&f);
    }
}

static void fits_in_a_hole(void **state)
{
    static const struct {
        uint64_t start, last;
        uint64_t size, align, min, max;
        enum kva_policy policy;
        bool fits;
        uint64_t at;
    } cases[] = {
        {10, 19, 10, 1, 0, 99, KVA_LOWEST, true, 10},
        {10, 19, 11, 1, 0, 99, KVA_LOWEST, false, 0},
        {10, 19, 4, 4, 0, 99, KVA_LOWEST, true, 12},
        {10, 19, 4, 4, 0, 99, KVA_HIGHEST, true, 16},
        {10, 19, 5, 4, 0, 99, KVA_HIGHEST, true, 12},
        {10, 19, 4, 8, 0, 99, KVA_HIGHEST, true, 16},
        {10, 19, 5, 8, 0, 99, KVA_HIGHEST, false, 0},
        {10, 19, 5, 8, 0, 99, KVA_LOWEST, false, 0},
        {10, 19, 2, 1, 15, 16, KVA_LOWEST, true, 15},
        {10, 19, 2, 1, 15, 16, KVA_HIGHEST, true, 15},
        {10, 19, 3, 1, 15, 16, KVA_HIGHEST, false, 0},
        {10, 19, 1, 1, 20, 99, KVA_LOWEST, false, 0},
        {10, 19, 1, 1, 0, 9, KVA_HIGHEST, false, 0},
        {0, UINT64_MAX, UINT64_MAX, 1, 0, UINT64_MAX, KVA_HIGHEST, true, 1},
        {1, UINT64_MAX, 1, UINT64_C(1) << 63, 0, UINT64_MAX, KVA_LOWEST, true, UINT64_C(1) << 63},
        {(UINT64_C(1) << 63) + 1, UINT64_MAX, 1, UINT64_C(1) << 63, 0, UINT64_MAX, KVA_LOWEST, false, 0},
        {(UINT64_C(1) << 63) + 1, UINT64_MAX, 1, UINT64_C(1) << 63, 0, UINT64_MAX, KVA_HIGHEST, false, 0},
        {UINT64_MAX, UINT64_MAX, 1, 1, 0, UINT64_MAX, KVA_LOWEST, true, UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t at = 77;
        const struct kva_demand demand = {.size = cases[i].size,
                                          .align = cases[i].align,
                                          .min = cases[i].min,
                                          .max = cases[i].max,
                                          .policy = cases[i].policy};
        bool fits = kva_fit_in_hole(cases[i].start, cases[i].last, &demand, &at);
        check_that(fits == cases[i].fits && (!fits || at == cases[i].at),
                   "case %zu: %d at %" PRIu64 " found, %d at %" PRIu64 " expected", i, fits, at,
                   cases[i].fits, cases[i].at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_start_of_a_busy_segment_is_accepted),
        cmocka_unit_test(a_place_must_be_wholly_free),
        cmocka_unit_test(a_trim_and_a_punch_keep_owner_and_addresses),
        cmocka_unit_test(the_largest_hole_follows_every_change),
        cmocka_unit_test(free_deferred_merges_all),
        cmocka_unit_test(a_slice_frees_one_epoch_only),
        cmocka_unit_test(next_deferred_finds_the_next_segment),
        cmocka_unit_test(next_deferred_at_both_ends_of_64_bits),
        cmocka_unit_test(a_free_needs_no_memory),
        cmocka_unit_test(punches_end_when_memory_does),
        cmocka_unit_test(prepared_memory_suffices),
        cmocka_unit_test(fits_in_a_hole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
