/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The list of ranges that a flush is about to free, as its callback sees it: random sets of deferred segments
 * and pooled objects on every engine, against an array of units. threads/test_flush_schedules.c adds other
 * threads.
 */
#include "../common/harness.h"
#include "../common/place.h"

#include <kva/deferred.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

enum { MOST_UNITS = 1024 };

struct world {
    const char *engine;
    struct kva_space space;
    struct kva_failing_memory memory;
    struct test_place place;
    unsigned units;
    unsigned size[MOST_UNITS];    /* units of the busy segment that begins here; 0: none begins */
    bool is_deferred[MOST_UNITS]; /* this unit is deferred */
    unsigned flushes;
    unsigned ranges; /* listed in total */
    unsigned misuses;
    const char *field;
    const char *where;
};

static uint64_t address_of(const struct world *world, unsigned unit)
{
    return world->place.first + unit * world->place.quantum;
}

static uint64_t last_address_of(const struct world *world, unsigned unit)
{
    return address_of(world, unit) + (world->place.quantum - 1);
}

/** Outside the callback nothing is listed. */
static void expect_no_list(const struct world *world)
{
    struct kva_segment range = {1, 2, NULL, KVA_BUSY};

    assert_int_equal(kva_flush_first(&world->space, &range), KVA_ENOENT);
    assert_int_equal(kva_flush_next(&world->space, &range), KVA_ENOENT);
    assert_int_equal(range.start, 1);
    assert_int_equal(range.last, 2);
    assert_int_equal(range.state, KVA_BUSY);
}

/** The runs of deferred units, in order. */
static void expect_list(struct world *world)
{
    struct kva_segment range = {0};
    enum kva_status status = kva_flush_first(&world->space, &range);
    unsigned unit = 0;

    for (;; status = kva_flush_next(&world->space, &range)) {
        while (unit < world->units && !world->is_deferred[unit])
            unit++;
        if (unit == world->units)
            break;
        unsigned from = unit;
        while (unit < world->units && world->is_deferred[unit])
            unit++;
        check_that(status == KVA_OK && range.start == address_of(world, from) &&
                       range.last == last_address_of(world, unit - 1) && range.owner == NULL &&
                       range.state == KVA_DEFERRED,
                   "%s: %s [%#" PRIx64 ", %#" PRIx64 "], not [%#" PRIx64 ", %#" PRIx64 "]", world->engine,
                   kva_status_name(status), range.start, range.last, address_of(world, from),
                   last_address_of(world, unit - 1));
        world->ranges++;
    }
    assert_int_equal(status, KVA_ENOENT);
}

static void on_flush(void *context, uint64_t start, uint64_t last)
{
    struct world *world = context;
    struct kva_segment range;

    world->flushes++;
    expect_list(world);
    expect_list(world); /* the list can be read again */
    assert_int_equal(kva_flush_first(&world->space, &range), KVA_OK);
    assert_int_equal(range.start, start);
    range.last = last;
    assert_int_equal(kva_flush_next(&world->space, &range), KVA_ENOENT);
    range.last = UINT64_MAX;
    assert_int_equal(kva_flush_next(&world->space, &range), KVA_ENOENT);
    assert_int_equal(kva_free_deferred(&world->space, start), KVA_EREENTRY);
}

static void on_misuse(void *context, const struct kva_fault *fault)
{
    struct world *world = context;

    world->misuses++;
    world->field = fault->field;
    world->where = fault->where;
}

static void set_up(struct world *world, const struct kva_engine *engine, size_t index, uint64_t place,
                   unsigned units, bool pools)
{
    memset(world, 0, sizeof *world);
    world->engine = test_engine_name(index);
    world->place = test_place(place, units);
    world->units = units;
    struct kva_config config = {
        .first = world->place.first,
        .last = world->place.first + (world->place.quantum * units - 1),
        .quantum = world->place.quantum,
        .engine = engine,
        .memory = kva_failing_memory_init(&world->memory),
        .deferred_limit = UINT64_MAX,
        .flush = on_flush,
        .flush_context = world,
        .on_misuse = on_misuse,
        .hook_context = world,
        .pool_bytes = pools ? test_place_bytes(&world->place, units / 4) : 0,
    };
    assert_int_equal(kva_space_init(&world->space, &config), KVA_OK);
}

static void tear_down(struct world *world)
{
    assert_int_equal(kva_space_check(&world->space, NULL), KVA_OK);
    assert_int_equal(kva_space_abandon(&world->space), KVA_OK);
    assert_int_equal(world->memory.blocks, 0);
}

/** A pool serves the first kind of request, the address map the second. */
static void allocate(struct world *world, struct test_rng *rng)
{
    unsigned units = 1 + (unsigned)test_below(rng, 5);
    struct kva_request request = kva_request_of(test_place_bytes(&world->place, units));
    uint64_t start;

    if (test_one_in(rng, 2))
        request.policy = KVA_HIGHEST;
    enum kva_status status = kva_alloc(&world->space, &request, &start);
    if (status == KVA_ENOSPC) /* all deferred ranges have been flushed */
        memset(world->is_deferred, 0, sizeof world->is_deferred);
    else
        assert_int_equal(status, KVA_OK);
    if (status == KVA_OK)
        world->size[(start - world->place.first) / world->place.quantum] = units;
}

/** The next busy segment at or after a random unit; world->units: none. */
static unsigned pick(const struct world *world, struct test_rng *rng)
{
    unsigned unit = (unsigned)test_below(rng, world->units);

    while (unit < world->units && world->size[unit] == 0)
        unit++;
    return unit;
}

static void defer(struct world *world, unsigned unit)
{
    assert_int_equal(kva_free_deferred(&world->space, address_of(world, unit)), KVA_OK);
    for (unsigned i = 0; i < world->size[unit]; i++)
        world->is_deferred[unit + i] = true;
    world->size[unit] = 0;
}

static void flush(struct world *world)
{
    assert_int_equal(kva_flush(&world->space), KVA_OK);
    memset(world->is_deferred, 0, sizeof world->is_deferred);
}

static void play(struct world *world, struct test_rng *rng, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        struct kva_stats stats;
        unsigned unit = pick(world, rng);
        unsigned before = world->flushes;
        uint64_t what = test_below(rng, 100);

        assert_int_equal(kva_stats_read(&world->space, &stats), KVA_OK);
        if (what < 50 && stats.free_segments > 0) {
            allocate(world, rng);
        } else if (what < 80 && unit < world->units) {
            defer(world, unit);
        } else if (what < 90 && unit < world->units) {
            assert_int_equal(kva_free(&world->space, address_of(world, unit)), KVA_OK);
            world->size[unit] = 0;
        } else if (what == 99) {
            flush(world);
        }
        if (world->flushes != before) /* an allocation that found no room has flushed */
            memset(world->is_deferred, 0, sizeof world->is_deferred);
        if (i % 16 == 0)
            expect_no_list(world);
    }
    flush(world);
}

static void random_sets(void **state)
{
    const struct kva_engine *engine;
    static struct world world;
    (void)state;

    for_each_engine (engine, e) {
        struct test_rng rng = test_rng_of(81);
        for (uint64_t round = 0; round < test_scaled(2 * TEST_PLACES); round++) {
            bool pools = round % 2 == 1;
            set_up(&world, engine, e, round / 2, pools ? 1024 : 128, pools);
            play(&world, &rng, pools ? 2500 : 1000);
            check_that(world.flushes > 5 && world.ranges > 4 * world.flushes,
                       "%u ranges in %u flushes, more than 4 in each of more than 5 expected", world.ranges,
                       world.flushes);
            tear_down(&world);
        }
    }
}

/* Each subset of 8 units, one segment per unit, in each place. */
static void every_set(void **state)
{
    const struct kva_engine *engine;
    static struct world world;
    (void)state;

    for_each_engine (engine, e) {
        for (uint64_t place = 0; place < TEST_PLACES; place++) {
            for (unsigned set = 1; set < 256; set += (unsigned)test_stride()) {
                set_up(&world, engine, e, place, 8, false);
                for (unsigned unit = 0; unit < 8; unit++) {
                    if (set >> unit & 1 || unit % 3 == 0)
                        assert_int_equal(kva_reserve(&world.space, address_of(&world, unit),
                                                     world.place.quantum, NULL, NULL),
                                         KVA_OK);
                    world.size[unit] = 1;
                }
                for (unsigned unit = 8; unit-- > 0;) {
                    if (set >> unit & 1)
                        defer(&world, unit);
                }
                flush(&world);
                assert_int_equal(world.flushes, 1);
                tear_down(&world);
            }
        }
    }
}

static void expect_misuse(struct world *world, enum kva_status status, const char *where)
{
    assert_int_equal(status, KVA_ENULL);
    assert_int_equal(world->misuses, 1);
    assert_string_equal(world->field, "range");
    assert_string_equal(world->where, where);
    world->misuses = 0;
}

static void statuses(void **state)
{
    const struct kva_engine *engine;
    static struct world world;
    (void)state;

    for_each_engine (engine, e) {
        struct kva_segment range;
        struct kva_space none = {0};
        set_up(&world, engine, e, 0, 8, false);
        expect_misuse(&world, kva_flush_first(&world.space, NULL), "kva_flush_first");
        expect_misuse(&world, kva_flush_next(&world.space, NULL), "kva_flush_next");
        assert_int_equal(kva_flush_first(NULL, &range), KVA_ENULL);
        assert_int_equal(kva_flush_next(NULL, &range), KVA_ENULL);
        assert_int_equal(kva_flush_first(&none, &range), KVA_ENULL);
        assert_int_equal(kva_flush_next(&none, &range), KVA_ENULL);
        expect_no_list(&world);
        assert_int_equal(world.misuses, 0); /* a call outside the callback is no misuse */
        tear_down(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set),
        cmocka_unit_test(random_sets),
        cmocka_unit_test(statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
