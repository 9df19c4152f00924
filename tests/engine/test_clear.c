/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * clear, of each engine, against single releases by the scan engine: the same address map after every step.
 */
#include "../common/harness.h"

#include <string.h>

#include "../../ports/test/failing_memory.h"
#include "engine/engine.h"

#include <kva/engine.h>

/** An address map, and one of the scan engine, which frees segments one by one. */
struct twins {
    struct kva_address_map *one;
    struct kva_address_map *oracle;
    struct kva_failing_memory memory[2];
    int owners[64];
};

static struct kva_address_map *make(const struct kva_engine *engine, struct kva_failing_memory *memory,
                                    uint64_t first, uint64_t last, uint64_t quantum)
{
    struct kva_address_map common;
    struct kva_address_map *map;

    memset(&common, 0, sizeof common);
    common.engine = engine;
    common.ledger.memory = kva_failing_memory_init(memory);
    common.first = first;
    common.last = last;
    common.quantum = quantum;
    common.owners = true;
    common.by_size = engine != &kva_engine_scan;
    assert_int_equal(engine->create(&common, &map), KVA_OK);
    return map;
}

static void make_twins(struct twins *twins, const struct kva_engine *engine, uint64_t first, uint64_t last,
                       uint64_t quantum)
{
    twins->one = make(engine, &twins->memory[0], first, last, quantum);
    twins->oracle = make(&kva_engine_scan, &twins->memory[1], first, last, quantum);
}

static void end_twins(struct twins *twins)
{
    twins->one->engine->destroy(twins->one);
    twins->oracle->engine->destroy(twins->oracle);
    assert_int_equal(twins->memory[0].blocks, 0);
    assert_int_equal(twins->memory[1].blocks, 0);
}

static void occupy(struct kva_address_map *map, uint64_t start, uint64_t last, void *owner)
{
    struct kva_place place;

    assert_int_equal(map->engine->locate(map, start, last, &place), KVA_OK);
    assert_int_equal(map->engine->occupy(map, &place, owner), KVA_OK);
}

static void defer(struct kva_address_map *map, uint64_t start, unsigned epoch)
{
    uint64_t last;

    assert_int_equal(map->engine->defer(map, start, epoch, &last), KVA_OK);
}

/** Make a range busy in both; one in `one_in_deferred` is deferred. */
static void put(struct twins *twins, struct test_rng *rng, uint64_t start, uint64_t last,
                unsigned one_in_deferred)
{
    void *owner = &twins->owners[test_below(rng, 64)];

    occupy(twins->one, start, last, owner);
    occupy(twins->oracle, start, last, owner);
    if (test_one_in(rng, one_in_deferred)) {
        unsigned epoch = test_one_in(rng, 2);
        defer(twins->one, start, epoch);
        defer(twins->oracle, start, epoch);
    }
}

/** Put random ranges where nothing is in use, with gaps or without; some are deferred. */
static void fill(struct twins *twins, struct test_rng *rng, uint64_t extent, unsigned one_in_deferred)
{
    struct kva_address_map *one = twins->one;
    uint64_t quantum = one->quantum;

    for (uint64_t at = one->first;;) {
        struct kva_segment segment;
        one->engine->lookup(one, at, &segment);
        uint64_t start = at + test_below(rng, 3) * quantum;
        uint64_t last = start + (1 + test_below(rng, extent)) * quantum - 1;
        bool fits = segment.state == KVA_FREE && start >= at && last >= start && last <= segment.last;
        if (fits)
            put(twins, rng, start, last, one_in_deferred);
        else
            last = segment.last;
        if (last >= one->last)
            return;
        at = last + 1;
    }
}

/** Free one by one the segments that lie wholly inside. */
static void release_each(struct kva_address_map *map, uint64_t first, uint64_t last)
{
    for (uint64_t at = first;;) {
        struct kva_segment segment;
        map->engine->lookup(map, at, &segment);
        if (segment.state == KVA_BUSY && segment.start >= first && segment.last <= last)
            assert_int_equal(map->engine->free(map, segment.start), KVA_OK);
        if (segment.last >= last)
            return;
        at = segment.last + 1;
    }
}

static void expect_same(const struct twins *twins)
{
    const struct kva_engine *engine = twins->one->engine;
    uint64_t address = 0;
    uint64_t spans[2] = {0, 0};
    const char *broken = engine->check(twins->one, &address);

    if (!broken)
        broken = check_sizes(twins->one, &address);
    check_that(broken == NULL, "%s: the check reports %s at %" PRIu64, engine->name, broken, address);
    assert_memory_equal(&twins->one->tally, &twins->oracle->tally, sizeof twins->one->tally);
    assert_int_equal(engine->largest(twins->one, &spans[0]),
                     kva_engine_scan.largest(twins->oracle, &spans[1]));
    assert_true(spans[0] == spans[1]);
    for (uint64_t at = twins->one->first;;) {
        struct kva_segment one;
        struct kva_segment oracle;
        engine->lookup(twins->one, at, &one);
        twins->oracle->engine->lookup(twins->oracle, at, &oracle);
        check_that(one.start == oracle.start && one.last == oracle.last && one.state == oracle.state &&
                       one.owner == oracle.owner,
                   "%s and scan have different segments at %" PRIu64, engine->name, at);
        if (one.last == twins->one->last)
            return;
        at = one.last + 1;
    }
}

static void clear_both(struct twins *twins, uint64_t first, uint64_t last)
{
    uint64_t takes = twins->memory[0].takes;

    twins->one->engine->clear(twins->one, first, last);
    assert_true(twins->memory[0].takes == takes);
    release_each(twins->oracle, first, last);
    expect_same(twins);
}

static uint64_t some_address(const struct kva_address_map *map, struct test_rng *rng)
{
    return map->first + test_below(rng, (map->last - map->first) / map->quantum + 1) * map->quantum;
}

/** Clear ranges of every length, repeatedly. */
static void play(const struct kva_engine *engine, struct test_rng *rng, uint64_t quantum, uint64_t quanta,
                 uint64_t first, unsigned one_in_deferred)
{
    static struct twins twins;

    make_twins(&twins, engine, first, first + (quanta * quantum - 1), quantum);
    for (uint64_t round = 0; round < test_scaled(24); round++) {
        fill(&twins, rng, 1 + test_below(rng, 4), one_in_deferred);
        for (unsigned i = 0; i < 4; i++) {
            uint64_t a = some_address(twins.one, rng);
            uint64_t b = some_address(twins.one, rng);
            clear_both(&twins, a < b ? a : b, (a < b ? b : a) + (quantum - 1));
        }
        if (test_one_in(rng, 4))
            clear_both(&twins, twins.one->first, twins.one->last);
    }
    end_twins(&twins);
}

static void clear_equals_single_releases(void **state)
{
    const struct kva_engine *engine;
    struct test_rng rng = test_rng_of(1);
    (void)state;

    for_each_engine (engine, e) {
        play(engine, &rng, 1, 60, 100, 4);
        play(engine, &rng, 1, 3000, 100, 40);
        play(engine, &rng, 4096, 900, 0, 1000000);
        play(engine, &rng, UINT64_C(1) << 58, 64, 0, 10);                  /* all 2^64 addresses */
        play(engine, &rng, UINT64_C(1) << 33, 500, UINT64_C(1) << 40, 10); /* far apart */
    }
}

enum { ADDED = 1024, GROUP = 16 };

/** Add a thousand ranges above all others, and clear them in runs that leave one in sixteen. */
static void add_and_thin_out(struct kva_address_map *map, uint64_t round)
{
    uint64_t base = round * 2 * ADDED;

    for (uint64_t i = 0; i < ADDED; i++)
        occupy(map, base + 2 * i, base + 2 * i, NULL);
    for (uint64_t i = 0; i < ADDED; i += GROUP)
        map->engine->clear(map, base + 2 * (i + 1), base + 2 * (i + GROUP) - 1);
}

/** Leaves of a few ranges, as only tests have: what remains of a group may be a whole leaf. */
static bool are_leaves_short(const struct kva_engine *engine)
{
    return strcmp(engine->name, "bt-tiny") == 0 || strcmp(engine->name, "bt-small") == 0;
}

/* The remaining ranges are packed: further rounds that leave a sixteenth take little memory. */
static void remaining_ranges_are_packed(void **state)
{
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        struct kva_failing_memory memory;
        struct kva_address_map *map = make(engine, &memory, 0, (1 << 20) - 1, 1);

        add_and_thin_out(map, 0);
        uint64_t once = map->ledger.bytes;
        for (uint64_t round = 1; round < 16; round++)
            add_and_thin_out(map, round);
        assert_int_equal(map->tally.segments[KVA_BUSY], 16 * ADDED / GROUP);
        check_that(map->ledger.bytes <= (are_leaves_short(engine) ? 5 : 3) * once,
                   "%s: %" PRIu64 " bytes after the first round, %" PRIu64 " after the last", engine->name,
                   once, map->ledger.bytes);
        engine->destroy(map);
        assert_int_equal(memory.blocks, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clear_equals_single_releases),
        cmocka_unit_test(remaining_ranges_are_packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
