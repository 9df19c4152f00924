/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Absent segments and ends that move inwards: the contract of defer, undefer and narrow (engine.h), called
 * directly.
 *
 * First by examples. Then each engine and the scan engine receive the same random changes of an address map
 * of about two hundred quanta; after each change, both must agree on every address, hold the same counts, and
 * find the same places.
 */
#include "../common/harness.h"

#include <kva/engine.h>
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

static void set_up_at(struct fixture *f, const struct kva_engine *engine, uint64_t first, uint64_t last)
{
    struct kva_address_map common;

    memset(f, 0, sizeof(*f));
    memset(&common, 0, sizeof(common));
    f->engine = engine;
    common.engine = engine;
    common.ledger.memory = kva_failing_memory_init(&f->memory);
    common.first = first;
    common.last = last;
    common.quantum = 1;
    common.align_class[0] = 4;
    common.owners = true;
    assert_int_equal(engine->create(&common, &f->map), KVA_OK);
}

static void set_up(struct fixture *f, const struct kva_engine *engine)
{
    set_up_at(f, engine, FIRST, LAST);
}

static void check(const struct fixture *f)
{
    uint64_t address = 0;
    const char *broken = f->engine->check(f->map, &address);

    check_that(broken == NULL, "%s: the check reports %s at %" PRIu64, f->engine->name, broken, address);
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
    assert_int_equal(f->engine->occupy(f->map, &place, f), KVA_OK);
}

static void make_absent(struct fixture *f, uint64_t start, uint64_t last)
{
    uint64_t end = 0;

    take(f, start, last);
    assert_int_equal(f->engine->defer(f->map, start, KVA_EPOCH_ABSENT, &end), KVA_OK);
    assert_int_equal(end, last);
}

static void expect(const struct fixture *f, uint64_t at, uint64_t start, uint64_t last, enum kva_state state)
{
    struct kva_segment segment;

    f->engine->lookup(f->map, at, &segment);
    assert_int_equal(segment.start, start);
    assert_int_equal(segment.last, last);
    assert_int_equal(segment.state, state);
}

/* ---------------------------------------------------------------------------------------- absent segments */

/** An absent segment is neither free nor busy: only undefer changes it. */
static void an_absent_segment_is_not_changed(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_place place;
        uint64_t last = 77;

        set_up(&f, engine);
        make_absent(&f, 1200, 1299);
        take(&f, 1300, 1309);
        take(&f, 1400, 1409);
        assert_int_equal(engine->defer(f.map, 1400, 0, &last), KVA_OK);
        check(&f);
        expect(&f, 1250, 1200, 1299, KVA_ABSENT);
        assert_int_equal(f.map->tally.segments[KVA_ABSENT], 1);
        assert_int_equal(f.map->tally.bytes[KVA_ABSENT], 100);
        assert_int_equal(f.map->tally.segments[KVA_DEFERRED], 1);
        assert_int_equal(f.map->tally.deferred[0], 1);
        struct kva_tally before = f.map->tally;

        assert_int_equal(engine->free(f.map, 1200), KVA_ENOENT);
        assert_int_equal(engine->punch(f.map, 1200, 1210, 1220), KVA_ENOENT);
        assert_int_equal(engine->trim(f.map, 1200, 1210), KVA_ENOENT);
        assert_int_equal(engine->resize(f.map, 1200, 1210), KVA_ENOENT);
        assert_int_equal(engine->defer(f.map, 1200, 1, &last), KVA_ENOENT);
        assert_int_equal(engine->locate(f.map, 1200, 1299, &place), KVA_EEXIST);
        assert_int_equal(engine->locate(f.map, 1190, 1200, &place), KVA_EEXIST);
        assert_memory_equal(&before, &f.map->tally, sizeof(before));
        engine->free_deferred(f.map, 0, UINT64_MAX);
        engine->free_deferred(f.map, 1, UINT64_MAX);
        expect(&f, 1250, 1200, 1299, KVA_ABSENT);
        expect(&f, 1400, 1310, LAST, KVA_FREE);
        tear_down(&f);
    }
}

static void undefer_needs_the_start_of_an_absent_segment(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static const uint64_t wrong[] = {FIRST, 1100, 1201, 1299, 1300,      1305,
                                         1400,  1405, LAST, 0,    UINT64_MAX};
        static struct fixture f;
        struct kva_segment segment;
        uint64_t last;

        set_up(&f, engine);
        make_absent(&f, 1200, 1299);
        take(&f, 1300, 1309);
        take(&f, 1400, 1409);
        assert_int_equal(engine->defer(f.map, 1400, 1, &last), KVA_OK);
        struct kva_tally before = f.map->tally;
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
            assert_int_equal(engine->undefer(f.map, wrong[i]), KVA_ENOENT);
        assert_memory_equal(&before, &f.map->tally, sizeof(before));
        check(&f);

        uint64_t takes = f.memory.takes;
        assert_int_equal(engine->undefer(f.map, 1200), KVA_OK);
        assert_int_equal(f.memory.takes, takes);
        expect(&f, 1250, 1200, 1299, KVA_BUSY);
        engine->lookup(f.map, 1250, &segment);
        assert_ptr_equal(segment.owner, &f); /* the former owner */
        assert_int_equal(f.map->tally.segments[KVA_ABSENT], 0);
        assert_int_equal(f.map->tally.bytes[KVA_ABSENT], 0);
        assert_int_equal(engine->undefer(f.map, 1200), KVA_ENOENT);
        assert_int_equal(engine->free(f.map, 1200), KVA_OK);
        expect(&f, 1250, FIRST, 1299, KVA_FREE);
        tear_down(&f);
    }
}

/** Many absent segments, in every leaf, next to deferred ones: each keeps its mark while entries come and
 * go. */
static void absent_segments_stay_absent_among_others(void **state)
{
    enum { SEGMENTS = 90 };
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static const enum kva_state states[] = {KVA_BUSY, KVA_ABSENT, KVA_FREE};
        static struct fixture f;
        uint64_t last;

        set_up(&f, engine);
        for (uint64_t i = SEGMENTS; i-- > 0;) { /* busy, absent, deferred, and so on */
            take(&f, FIRST + 10 * i, FIRST + 10 * i + 9);
            if (i % 3 > 0)
                assert_int_equal(
                    engine->defer(f.map, FIRST + 10 * i, i % 3 == 1 ? KVA_EPOCH_ABSENT : 0, &last), KVA_OK);
        }
        check(&f);
        engine->free_deferred(f.map, 0, UINT64_MAX);
        check(&f);
        for (uint64_t i = 0; i < SEGMENTS - 1; i++)
            expect(&f, FIRST + 10 * i, FIRST + 10 * i, FIRST + 10 * i + 9, states[i % 3]);
        for (uint64_t i = 0; i < SEGMENTS; i += 3)
            assert_int_equal(engine->free(f.map, FIRST + 10 * i), KVA_OK);
        check(&f);
        for (uint64_t i = 1; i < SEGMENTS; i += 3) {
            expect(&f, FIRST + 10 * i, FIRST + 10 * i, FIRST + 10 * i + 9, KVA_ABSENT);
            assert_int_equal(engine->undefer(f.map, FIRST + 10 * i), KVA_OK);
            assert_int_equal(engine->free(f.map, FIRST + 10 * i), KVA_OK);
        }
        expect(&f, FIRST, FIRST, LAST, KVA_FREE);
        tear_down(&f);
    }
}

/** The checkers find absent segments where none may be. */
static void the_checkers_find_misplaced_absent_segments(void **state)
{
    static const struct {
        uint64_t start, last;
    } cases[] = {{FIRST, 1099}, {1900, LAST}, {1300, 1399}, {1100, 1199}};
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (size_t i = 0; i < 4; i++) {
            static struct fixture f;
            uint64_t address = 0;

            set_up(&f, engine);
            make_absent(&f, 1200, 1299);
            make_absent(&f, cases[i].start, cases[i].last);
            const char *broken = engine->check(f.map, &address);
            assert_non_null(broken);
            assert_memory_equal(broken, "I3: ", 4);
            broken = engine->check_near(f.map, i == 3 ? 1200 : cases[i].start, &address);
            assert_non_null(broken);
            assert_memory_equal(broken, "I3: ", 4);
            engine->destroy(f.map);
        }
    }
}

/* ------------------------------------------------------------------------------------------------- narrow */

static void narrow(struct fixture *f, uint64_t first, uint64_t last, enum kva_status status)
{
    struct kva_tally before = f->map->tally;
    uint64_t old_first = f->map->first, old_last = f->map->last;
    uint64_t takes = f->memory.takes;

    assert_int_equal(f->engine->narrow(f->map, first, last), status);
    assert_int_equal(f->memory.takes, takes);
    check(f);
    if (status != KVA_OK) {
        assert_memory_equal(&before, &f->map->tally, sizeof(before));
        assert_int_equal(f->map->first, old_first);
        assert_int_equal(f->map->last, old_last);
        return;
    }
    assert_int_equal(f->map->first, first);
    assert_int_equal(f->map->last, last);
    assert_int_equal(before.bytes[KVA_FREE] - f->map->tally.bytes[KVA_FREE],
                     (first - old_first) + (old_last - last));
}

static void narrow_over_free_ends(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        uint64_t extent = 0;

        set_up(&f, engine);
        narrow(&f, FIRST, LAST, KVA_OK);
        narrow(&f, FIRST + 1, LAST - 1, KVA_OK); /* one hole at both ends */
        narrow(&f, 1100, LAST - 1, KVA_OK);
        narrow(&f, 1100, 1899, KVA_OK);
        assert_true(engine->largest(f.map, &extent));
        assert_int_equal(extent, 799);
        take(&f, 1200, 1299);
        take(&f, 1700, 1709);
        narrow(&f, 1201, 1899, KVA_EBUSY);
        narrow(&f, 1100, 1708, KVA_EBUSY);
        narrow(&f, 1150, 1708, KVA_EBUSY); /* only one end could move: neither does */
        narrow(&f, 1201, 1800, KVA_EBUSY);
        narrow(&f, 1300, 1899, KVA_EBUSY);
        narrow(&f, 1199, 1710, KVA_OK);
        narrow(&f, 1200, 1709, KVA_OK); /* both holes vanish */
        assert_int_equal(f.map->tally.segments[KVA_FREE], 1);
        narrow(&f, 1201, 1709, KVA_EBUSY);
        narrow(&f, 1200, 1708, KVA_EBUSY);
        assert_int_equal(engine->free(f.map, 1200), KVA_OK);
        narrow(&f, 1700, 1709, KVA_OK);
        assert_false(engine->largest(f.map, &extent));
        assert_int_equal(engine->extend(f.map, FIRST, LAST), KVA_OK);
        expect(&f, FIRST, FIRST, 1699, KVA_FREE);
        expect(&f, LAST, 1710, LAST, KVA_FREE);
        tear_down(&f);
    }
}

static void narrow_stops_at_deferred_segments(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        uint64_t last;

        set_up(&f, engine);
        take(&f, 1100, 1199);
        assert_int_equal(engine->defer(f.map, 1100, 0, &last), KVA_OK);
        make_absent(&f, 1800, 1899);
        narrow(&f, 1101, LAST, KVA_EBUSY);
        narrow(&f, 1200, LAST, KVA_EBUSY);
        narrow(&f, FIRST, 1898, KVA_EBUSY);
        narrow(&f, FIRST, 1799, KVA_EBUSY);
        assert_int_equal(engine->undefer(f.map, 1800), KVA_OK);
        assert_int_equal(engine->free(f.map, 1800), KVA_OK);
        engine->free_deferred(f.map, 0, 1);
        narrow(&f, 1500, 1500, KVA_OK);
        tear_down(&f);
    }
}

/** The lowest of many segments are removed one by one, until the address map begins at the next one. In bt
 * this leaves a first leaf without entries, all of whose addresses are gone. From every start, filled in
 * either direction. */
static void narrow_up_to_any_segment(void **state)
{
    enum { SEGMENTS = 70 };
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (uint64_t count = 1; count <= SEGMENTS; count++) {
            for (unsigned upwards = 0; upwards < 2; upwards++) {
                static struct fixture f;

                set_up(&f, engine);
                for (uint64_t i = 0; i < count; i++) {
                    uint64_t at = FIRST + 1 + 10 * (upwards ? i : count - 1 - i);
                    take(&f, at, at + 4);
                }
                for (uint64_t i = 0; i + 1 < count; i++) {
                    uint64_t first = FIRST + 1 + 10 * i;
                    assert_int_equal(engine->free(f.map, first), KVA_OK);
                    narrow(&f, first + 10, LAST, KVA_OK);
                    expect(&f, first + 10, first + 10, first + 14, KVA_BUSY);
                    if (i % 3 != 0)
                        continue;
                    assert_int_equal(engine->extend(f.map, FIRST, LAST), KVA_OK);
                    expect(&f, FIRST, FIRST, first + 9, KVA_FREE);
                    check(&f);
                }
                tear_down(&f);
            }
        }
    }
}

static void narrow_at_the_ends_of_all_addresses(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        uint64_t extent = 0;

        set_up_at(&f, engine, 0, UINT64_MAX);
        narrow(&f, 0, UINT64_MAX, KVA_OK);
        narrow(&f, 1, UINT64_MAX, KVA_OK);
        assert_true(engine->largest(f.map, &extent));
        assert_int_equal(extent, UINT64_MAX - 1);
        assert_int_equal(engine->extend(f.map, 0, UINT64_MAX), KVA_OK);
        narrow(&f, 0, UINT64_MAX - 1, KVA_OK);
        narrow(&f, UINT64_MAX - 1, UINT64_MAX - 1, KVA_OK);
        assert_int_equal(engine->extend(f.map, 0, UINT64_MAX), KVA_OK);
        take(&f, 1, 1);
        take(&f, UINT64_MAX - 1, UINT64_MAX - 1);
        narrow(&f, 1, UINT64_MAX - 1, KVA_OK);
        narrow(&f, 1, UINT64_MAX - 2, KVA_EBUSY);
        tear_down(&f);
    }
}

/* ------------------------------------------------------------------------------------------- side by side */

enum { SIDE_LAST = 199 };

struct pair {
    struct fixture scan;
    struct fixture other;
};

static void compare_at(struct pair *pair, uint64_t at)
{
    struct kva_segment a, b;

    pair->scan.engine->lookup(pair->scan.map, at, &a);
    pair->other.engine->lookup(pair->other.map, at, &b);
    check_that(a.start == b.start && a.last == b.last && a.state == b.state,
               "%s and scan have different segments at %" PRIu64, pair->other.engine->name, at);
    if (pair->other.engine->has_try_lookup) {
        assert_true(pair->other.engine->try_lookup(pair->other.map, at, &b));
        assert_true(a.start == b.start && a.last == b.last && a.state == b.state);
    }
}

static void compare_searches(struct pair *pair)
{
    struct kva_address_map *map = pair->scan.map;

    for (uint64_t size = 1; size <= 16; size *= 2) {
        for (unsigned i = 0; i < 4; i++) {
            struct kva_place a, b;
            const struct kva_demand demand = {.size = size,
                                              .align = i & 1 ? 4 : 1,
                                              .min = map->first,
                                              .max = map->last,
                                              .policy = i & 2 ? KVA_HIGHEST : KVA_LOWEST};
            if (map->last - map->first < size - 1)
                continue;
            enum kva_status status = pair->scan.engine->search(map, &demand, &a);
            assert_int_equal(pair->other.engine->search(pair->other.map, &demand, &b), status);
            assert_true(status != KVA_OK || a.start == b.start);
        }
    }
}

/** The next deferred segment, in each epoch. */
static void compare_next_deferred(struct pair *pair, uint64_t from)
{
    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++) {
        struct kva_segment a, b;
        uint64_t to = pair->scan.map->last;
        enum kva_status status = pair->scan.engine->next_deferred(pair->scan.map, epoch, from, to, &a);
        check_that(pair->other.engine->next_deferred(pair->other.map, epoch, from, to, &b) == status,
                   "%s and scan differ in the next deferred segment of epoch %u", pair->other.engine->name,
                   epoch);
        assert_true(status != KVA_OK || (a.start == b.start && a.last == b.last && a.state == b.state));
    }
}

static void compare(struct pair *pair, bool all)
{
    struct kva_address_map *a = pair->scan.map, *b = pair->other.map;
    uint64_t span_a = 0, span_b = 0;

    assert_int_equal(a->first, b->first);
    assert_int_equal(a->last, b->last);
    assert_memory_equal(&a->tally, &b->tally, sizeof(a->tally));
    assert_int_equal(pair->scan.engine->largest(a, &span_a), pair->other.engine->largest(b, &span_b));
    assert_int_equal(span_a, span_b);
    check(&pair->scan);
    check(&pair->other);
    compare_searches(pair);
    compare_next_deferred(pair, a->first);
    compare_next_deferred(pair, a->first + (a->last - a->first) / 2);
    for (uint64_t at = a->first; all && at <= a->last; at++) {
        compare_at(pair, at);
        compare_next_deferred(pair, at);
    }
}

static enum kva_state state_at(const struct pair *pair, uint64_t at, struct kva_segment *segment)
{
    pair->scan.engine->lookup(pair->scan.map, at, segment);
    return segment->state;
}

/** Make a segment absent where that is permitted: not at an end, not next to an absent one. */
static void try_absent(struct pair *pair, const struct kva_segment *busy)
{
    const struct kva_address_map *map = pair->scan.map;
    struct kva_segment segment;
    uint64_t last;

    if (busy->start == map->first || busy->last == map->last ||
        state_at(pair, busy->start - 1, &segment) == KVA_ABSENT ||
        state_at(pair, busy->last + 1, &segment) == KVA_ABSENT)
        return;
    assert_int_equal(pair->scan.engine->defer(pair->scan.map, busy->start, KVA_EPOCH_ABSENT, &last), KVA_OK);
    assert_int_equal(pair->other.engine->defer(pair->other.map, busy->start, KVA_EPOCH_ABSENT, &last),
                     KVA_OK);
}

/** Release a segment in any state. */
static void free_in_both(struct pair *pair, uint64_t start)
{
    (void)pair->scan.engine->undefer(pair->scan.map, start);
    (void)pair->other.engine->undefer(pair->other.map, start);
    enum kva_status status = pair->scan.engine->free(pair->scan.map, start);
    assert_int_equal(pair->other.engine->free(pair->other.map, start), status);
}

/** Narrow the bounds over free outer parts; sometimes further. */
static void narrow_both(struct pair *pair, struct test_rng *rng)
{
    const struct kva_address_map *map = pair->scan.map;
    struct kva_segment low, high;
    uint64_t first = map->first, last = map->last;
    uint64_t over = test_one_in(rng, 8);

    if (state_at(pair, first, &low) == KVA_FREE)
        first += test_one_in(rng, 2) ? low.last - low.start + 1 : test_below(rng, low.last - low.start + 2);
    if (state_at(pair, last, &high) == KVA_FREE)
        last -=
            test_one_in(rng, 2) ? high.last - high.start + 1 : test_below(rng, high.last - high.start + 2);
    first += over;
    if (first > last || first > map->last || state_at(pair, first, &low) == KVA_ABSENT ||
        state_at(pair, last, &high) == KVA_ABSENT)
        return;
    enum kva_status status = pair->scan.engine->narrow(pair->scan.map, first, last);
    assert_int_equal(pair->other.engine->narrow(pair->other.map, first, last), status);
}

static void step(struct pair *pair, struct test_rng *rng, bool filling)
{
    struct kva_address_map *map = pair->scan.map;
    uint64_t at = map->first + test_below(rng, map->last - map->first + 1);
    struct kva_segment segment;
    enum kva_state state = state_at(pair, at, &segment);
    uint64_t what = test_below(rng, 10);

    if (state == KVA_FREE && (filling || what < 3)) {
        uint64_t last = at + test_below(rng, 4);
        last = last < segment.last ? last : segment.last;
        take(&pair->scan, at, last);
        take(&pair->other, at, last);
    } else if (what == 9) {
        uint64_t first = test_below(rng, map->first + 1);
        uint64_t last = SIDE_LAST - test_below(rng, SIDE_LAST - map->last + 1);
        assert_int_equal(pair->scan.engine->extend(map, first, last), KVA_OK);
        assert_int_equal(pair->other.engine->extend(pair->other.map, first, last), KVA_OK);
    } else if (what >= 7) {
        narrow_both(pair, rng);
    } else if (state == KVA_BUSY && what < 3) {
        try_absent(pair, &segment);
    } else if (state == KVA_BUSY && what == 3) {
        uint64_t last;
        unsigned epoch = (unsigned)test_below(rng, KVA_EPOCHS);
        assert_int_equal(pair->scan.engine->defer(map, segment.start, epoch, &last), KVA_OK);
        assert_int_equal(pair->other.engine->defer(pair->other.map, segment.start, epoch, &last), KVA_OK);
    } else if (what == 6) {
        unsigned epoch = (unsigned)test_below(rng, KVA_EPOCHS);
        pair->scan.engine->free_deferred(map, epoch, 1 + map->tally.deferred[epoch]);
        pair->other.engine->free_deferred(pair->other.map, epoch, UINT64_MAX);
    } else if (state != KVA_FREE && !filling) {
        free_in_both(pair, segment.start);
    }
}

static void every_engine_agrees_with_the_scan_engine(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct pair pair;
        struct test_rng rng = test_rng_of(e);
        unsigned steps = (unsigned)test_scaled(20000);

        set_up_at(&pair.scan, &kva_engine_scan, 0, SIDE_LAST);
        set_up_at(&pair.other, engine, 0, SIDE_LAST);
        for (unsigned i = 0; i < steps; i++) {
            step(&pair, &rng, i / 200 % 2 == 0);
            compare(&pair, i % 16 == 0);
        }
        tear_down(&pair.scan);
        tear_down(&pair.other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_absent_segment_is_not_changed),
        cmocka_unit_test(undefer_needs_the_start_of_an_absent_segment),
        cmocka_unit_test(absent_segments_stay_absent_among_others),
        cmocka_unit_test(the_checkers_find_misplaced_absent_segments),
        cmocka_unit_test(narrow_over_free_ends),
        cmocka_unit_test(narrow_stops_at_deferred_segments),
        cmocka_unit_test(narrow_up_to_any_segment),
        cmocka_unit_test(narrow_at_the_ends_of_all_addresses),
        cmocka_unit_test(every_engine_agrees_with_the_scan_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
