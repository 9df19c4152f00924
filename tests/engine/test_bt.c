/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The bt engine from the inside: alignment classes, owners, the two forms of a leaf, the border of two
 * leaves, trees that grow and shrink, memory. Results are compared with the scan engine, the structure of the
 * tree with bt.h.
 */
#include "../common/harness.h"
#include "../common/picture.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"
#include "engine/bt.h"

#define PAGE UINT64_C(0x1000)

struct fixture {
    const struct kva_engine *engine;
    struct kva_space space;
    struct kva_failing_memory memory;
};

static struct kva_config config_of(uint64_t first, uint64_t last, uint64_t quantum)
{
    struct kva_config config = {
        .first = first, .last = last, .quantum = quantum, .deferred_limit = UINT64_MAX};
    return config;
}

static void set_up(struct fixture *f, const struct kva_engine *engine, const struct kva_config *common)
{
    struct kva_config config = *common;

    memset(f, 0, sizeof(*f));
    f->engine = engine;
    config.engine = engine;
    config.memory = kva_failing_memory_init(&f->memory);
    assert_int_equal(kva_space_init(&f->space, &config), KVA_OK);
}

static void tear_down(struct fixture *f)
{
    assert_int_equal(kva_space_check(&f->space, NULL), KVA_OK);
    assert_int_equal(kva_space_abandon(&f->space), KVA_OK);
    assert_int_equal(f->memory.blocks, 0);
}

/* The fields after a leaf or an inner node depend on the node size; these fields of the address map do
 * not. */
static const struct bt_map *tree(const struct fixture *f)
{
    return (const struct bt_map *)f->space.map;
}

/** A root that is a leaf: only for the forms with nodes of the usual size. */
static const struct bt_leaf *only_leaf(const struct fixture *f)
{
    assert_int_equal(tree(f)->height, 0);
    return tree(f)->root;
}

static bool is_full_size(const struct kva_engine *engine)
{
    return test_engine_is_bt(engine) && engine != &test_engine_bt_tiny && engine != &test_engine_bt_small;
}

/** The leaf that holds `address`. */
static const struct bt_leaf *leaf_of(const struct fixture *f, uint64_t address)
{
    const void *node = tree(f)->root;

    for (unsigned level = 0; level < tree(f)->height; level++) {
        const struct bt_inner *inner = node;
        size_t i = 0;
        while (i + 1 < inner->count && inner->low[i + 1] <= address)
            i++;
        node = inner->child[i];
    }
    return node;
}

static void reserve(struct fixture *f, uint64_t start, uint64_t size)
{
    enum kva_status status = kva_reserve(&f->space, start, size, f, NULL);
    check_that(status == KVA_OK, "reserve(%#" PRIx64 ", %#" PRIx64 "): KVA_OK expected, %s returned", start,
               size, kva_status_name(status));
}

static void release(struct fixture *f, uint64_t start)
{
    enum kva_status status = kva_free(&f->space, start);
    check_that(status == KVA_OK, "free(%#" PRIx64 "): KVA_OK expected, %s returned", start,
               kva_status_name(status));
}

static struct kva_stats stats_of(const struct fixture *f)
{
    struct kva_stats stats;
    assert_int_equal(kva_stats_read(&f->space, &stats), KVA_OK);
    return stats;
}

/** Two spaces have the same contents, and both are sound. */
static void expect_same(const struct fixture *a, const struct fixture *b, const char *what)
{
    struct test_picture picture = {0};

    assert_int_equal(kva_space_check(&a->space, NULL), KVA_OK);
    assert_int_equal(kva_space_check(&b->space, NULL), KVA_OK);
    test_picture_take(&picture, &a->space);
    test_expect_same(&picture, &b->space, what);
    test_picture_drop(&picture);
}

#define for_each_bt(engine, index)                                                                           \
    for_each_engine (engine, index)                                                                          \
        if (test_engine_is_bt(engine))

/* ------------------------------------------------------------------------------------------------ classes */

/* Every engine refuses wrong classes. The quantum, a smaller power of two, and a repetition add no class. */
static void classes_are_powers_of_two(void **state)
{
    static const struct {
        uint64_t align_class[KVA_ALIGN_CLASSES];
        enum kva_status status;
        unsigned classes;
    } cases[] = {
        {{0}, KVA_OK, 1},
        {{2 * PAGE}, KVA_OK, 2},
        {{PAGE}, KVA_OK, 1},
        {{1}, KVA_OK, 1},
        {{8 * PAGE, 0, 2 * PAGE, 8 * PAGE}, KVA_OK, 3},
        {{UINT64_C(1) << 63, 2 * PAGE, 16 * PAGE, 4 * PAGE}, KVA_OK, 5},
        {{3 * PAGE}, KVA_EALIGN, 0},
        {{0, 0, 0, PAGE + 1}, KVA_EALIGN, 0},
        {{2 * PAGE, 3, 0, 0}, KVA_EALIGN, 0},
        {{UINT64_MAX}, KVA_EALIGN, 0},
    };
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            static struct fixture f;
            struct kva_config config = config_of(0, 64 * PAGE - 1, PAGE);

            memcpy(config.align_class, cases[i].align_class, sizeof(config.align_class));
            config.engine = engine;
            config.memory = kva_failing_memory_init(&f.memory);
            assert_int_equal(kva_space_init(&f.space, &config), cases[i].status);
            if (cases[i].status != KVA_OK)
                continue;
            if (test_engine_is_bt(engine)) {
                assert_int_equal(tree(&f)->classes, cases[i].classes);
                for (unsigned c = 1; c < tree(&f)->classes; c++)
                    assert_true(tree(&f)->align[c] > tree(&f)->align[c - 1]);
            }
            tear_down(&f);
        }
    }
}

/* A declared class changes no result, whether the alignment is that of a class, below it, between two, or
 * above all. */
static void classes_change_no_result(void **state)
{
    const struct kva_engine *engine;
    struct test_rng rng = test_rng_of(710);
    (void)state;

    for_each_bt(engine, e)
    {
        static struct fixture with;
        static struct fixture without;
        struct kva_config config = config_of(3 * PAGE, 4096 * PAGE - 1, PAGE);
        uint64_t found = 0;

        set_up(&without, &kva_engine_scan, &config);
        config.align_class[0] = 64 * PAGE;
        config.align_class[1] = 4 * PAGE;
        config.align_class[2] = 512 * PAGE;
        set_up(&with, engine, &config);
        for (uint64_t i = 0; i < test_scaled(3000); i++) {
            struct kva_request request = kva_request_of((1 + test_below(&rng, 12)) * PAGE);
            uint64_t a = 0, b = 0;
            request.align = PAGE << (test_one_in(&rng, 8) ? test_below(&rng, 12) : test_below(&rng, 7));
            request.policy = test_one_in(&rng, 2) ? KVA_LOWEST : KVA_HIGHEST;
            if (test_one_in(&rng, 3))
                request.min = test_below(&rng, 4096 * PAGE);
            enum kva_status status = kva_alloc(&with.space, &request, &a);
            assert_int_equal(kva_alloc(&without.space, &request, &b), status);
            check_that(a == b, "%s: %#" PRIx64 " found, %#" PRIx64 " expected", test_engine_name(e), a, b);
            found += status == KVA_OK;
            struct kva_segment segment;
            assert_int_equal(kva_find(&with.space, 3 * PAGE + test_below(&rng, 4093 * PAGE), &segment),
                             KVA_OK);
            if (segment.state == KVA_BUSY && !test_one_in(&rng, 4)) {
                release(&with, segment.start);
                release(&without, segment.start);
            }
            if (i % 250 == 0)
                expect_same(&with, &without, "classes");
        }
        assert_true(found > test_scaled(3000) / 2);
        expect_same(&with, &without, "classes");
        tear_down(&with);
        tear_down(&without);
    }
}

/* Many holes are long enough, but only one is aligned; the search finds it by its class at the root. */
static void an_aligned_hole_at_a_declared_class(void **state)
{
    const struct kva_engine *engine;
    (void)state;

    for_each_bt(engine, e)
    {
        enum { HOLES = 500, NEEDLE = 377 };
        static struct fixture f;
        struct kva_config config = config_of(0, (HOLES + 1) * 16 * PAGE - 1, PAGE);
        struct kva_request request = kva_request_of(4 * PAGE);
        uint64_t start = 0;

        config.align_class[0] = 16 * PAGE;
        set_up(&f, engine, &config);
        for (uint64_t i = 0; i <= HOLES; i++) /* holes of 7 quanta; only one contains an aligned range */
            reserve(&f, (16 * i + (i == NEEDLE ? 7 : 0)) * PAGE, 9 * PAGE);
        assert_int_equal(stats_of(&f).largest_free,
                         14 * PAGE); /* before the aligned hole: its 7 quanta and 7 more */
        assert_int_equal(tree(&f)->top.largest[1], 7 * PAGE);
        request.align = 16 * PAGE;
        assert_int_equal(kva_alloc(&f.space, &request, &start), KVA_OK);
        assert_int_equal(start, NEEDLE * 16 * PAGE);
        assert_int_equal(tree(&f)->top.largest[1], 0);
        assert_int_equal(kva_alloc(&f.space, &request, &start), KVA_ENOSPC);
        request.policy = KVA_HIGHEST;
        assert_int_equal(kva_alloc(&f.space, &request, &start), KVA_ENOSPC);
        release(&f, NEEDLE * 16 * PAGE);
        assert_int_equal(kva_alloc(&f.space, &request, &start), KVA_OK);
        assert_int_equal(start, NEEDLE * 16 * PAGE);
        tear_down(&f);
    }
}

/* ------------------------------------------------------------------------------------------------- owners */

static void without_owners_all_owners_read_as_null(void **state)
{
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_segment segment;

        for (int kept = 0; kept < 2; kept++) {
            struct kva_config config = config_of(0, 1024 * PAGE - 1, PAGE);
            config.without_owners = kept == 0;
            set_up(&f, engine, &config);
            for (uint64_t i = 0; i < 100; i++)
                reserve(&f, 8 * i * PAGE, 6 * PAGE);
            assert_int_equal(kva_free_range(&f.space, 2 * PAGE, PAGE), KVA_OK);
            assert_int_equal(kva_resize(&f.space, 8 * PAGE, 7 * PAGE), KVA_OK);
            assert_int_equal(kva_free_deferred(&f.space, 16 * PAGE), KVA_OK);
            for (enum kva_status s = kva_first(&f.space, &segment); s == KVA_OK;
                 s = kva_next(&f.space, &segment))
                assert_ptr_equal(segment.owner, kept && segment.state != KVA_FREE ? &f : NULL);
            tear_down(&f);
        }
    }
}

/* --------------------------------------------------------------------------------------------- leaf forms */

/* Entries that lie 2^32 quanta apart, or are longer, need the wide form. After the far one is gone, the next
 * rewrite of the leaf uses the compact form again. Results do not depend on the form. */
static void a_leaf_changes_its_form(void **state)
{
    const struct kva_engine *engine;
    (void)state;

    for_each_bt(engine, e)
    {
        static struct fixture f;
        static struct fixture scan;
        struct kva_config config = config_of(0, UINT64_MAX, 1);
        const uint64_t far = UINT64_C(1) << 32;

        if (!is_full_size(engine))
            continue;
        set_up(&f, engine, &config);
        set_up(&scan, &kva_engine_scan, &config);
        reserve(&f, 0, 1);
        assert_false(only_leaf(&f)->is_wide);
        reserve(&f, far - 1, 1); /* the last one within 32 bits */
        assert_false(only_leaf(&f)->is_wide);
        release(&f, far - 1);
        reserve(&f, far, 1);
        assert_true(only_leaf(&f)->is_wide);
        for (uint64_t i = 1; i < BT_WIDE_ENTRIES - 1; i++)
            reserve(&f, 2 * i, 1);
        assert_int_equal(only_leaf(&f)->count, BT_WIDE_ENTRIES);
        release(&f, far);
        for (uint64_t i = BT_WIDE_ENTRIES - 1; i < BT_ENTRIES; i++)
            reserve(&f, 2 * i, 1);
        assert_false(only_leaf(&f)->is_wide);
        assert_int_equal(only_leaf(&f)->count, BT_ENTRIES);
        for (uint64_t i = 0; i < BT_ENTRIES; i++)
            reserve(&scan, 2 * i, 1);
        for (struct fixture *each = &f; each != NULL; each = each == &f ? &scan : NULL) {
            struct kva_segment segment; /* owners are addresses in the fixtures: only free segments are
                                         * alike */
            assert_int_equal(kva_find(&each->space, 1, &segment), KVA_OK);
            assert_int_equal(segment.last, 1);
            assert_int_equal(stats_of(each).free_segments, BT_ENTRIES);
        }
        tear_down(&f);
        tear_down(&scan);
    }
}

/* A range grows beyond the compact form, in a leaf that is full in that form: the leaf divides. */
static void a_resize_overflows_the_compact_form(void **state)
{
    const struct kva_engine *engine;
    (void)state;

    for_each_bt(engine, e)
    {
        for (uint64_t count = 1; count <= BT_ENTRIES; count++) {
            static struct fixture f;
            struct kva_config config = config_of(0, UINT64_MAX, 1);
            struct kva_segment segment;

            set_up(&f, engine, &config);
            for (uint64_t i = 0; i < count; i++)
                reserve(&f, 3 * i, 2);
            uint64_t start = 3 * (count - 1);
            for (unsigned bit = 30; bit < 64; bit++) {
                uint64_t size = UINT64_C(1) << bit;
                assert_int_equal(kva_resize(&f.space, start, size), KVA_OK);
                assert_int_equal(kva_find(&f.space, start + size - 1, &segment), KVA_OK);
                assert_int_equal(segment.start, start);
                assert_int_equal(segment.last, start + size - 1);
                assert_ptr_equal(segment.owner, &f);
            }
            if (is_full_size(engine) && count <= BT_WIDE_ENTRIES)
                assert_true(leaf_of(&f, start)->is_wide);
            assert_int_equal(kva_resize(&f.space, start, 1), KVA_OK);
            for (uint64_t i = 0; i + 1 < count; i++) {
                assert_int_equal(kva_find(&f.space, 3 * i, &segment), KVA_OK);
                assert_int_equal(segment.last, 3 * i + 1);
            }
            assert_int_equal(stats_of(&f).busy_bytes, 2 * (count - 1) + 1);
            tear_down(&f);
        }
    }
}

/* Entries of 2^40 units each, adjacent and apart, upwards and downwards. */
static void entries_of_2_to_the_40_units(void **state)
{
    const struct kva_engine *engine;
    (void)state;

    for_each_bt(engine, e)
    {
        static struct fixture f;
        struct kva_config config = config_of(0, UINT64_MAX, 1);
        struct kva_request request = kva_request_of((UINT64_C(1) << 40) + 1);
        enum { COUNT = 200 };
        uint64_t start = 0;

        for (int policy = KVA_LOWEST; policy <= KVA_HIGHEST; policy++) {
            set_up(&f, engine, &config);
            request.policy = (enum kva_policy)policy;
            for (uint64_t i = 0; i < COUNT; i++) {
                uint64_t want = policy == KVA_LOWEST ? i * request.size : 0 - (i + 1) * request.size;
                assert_int_equal(kva_alloc(&f.space, &request, &start), KVA_OK);
                assert_int_equal(start, want);
            }
            assert_int_equal(stats_of(&f).free_segments, 1);
            for (uint64_t i = 0; i < COUNT; i += 2)
                release(&f, policy == KVA_LOWEST ? i * request.size : 0 - (i + 1) * request.size);
            assert_int_equal(stats_of(&f).busy_segments, COUNT / 2);
            assert_int_equal(kva_space_check(&f.space, NULL), KVA_OK);
            tear_down(&f);
        }
    }
}

/* A fill downwards adds each entry below the first: the compact form must keep room there. */
static void a_fill_downwards_stays_compact(void **state)
{
    const struct kva_engine *engine;
    (void)state;

    for_each_bt(engine, e)
    {
        enum { COUNT = 1000 };
        static struct fixture f;
        struct kva_config config = config_of(0, UINT64_MAX, 1);
        struct kva_request request = kva_request_of(16);
        uint64_t start = 0;

        set_up(&f, engine, &config);
        request.policy = KVA_HIGHEST;
        for (uint64_t i = 1; i <= COUNT; i++) {
            assert_int_equal(kva_alloc(&f.space, &request, &start), KVA_OK);
            assert_int_equal(start, 0 - 16 * i);
        }
        for (uint64_t i = 1; is_full_size(engine) && i <= COUNT; i++)
            assert_false(leaf_of(&f, 0 - 16 * i)->is_wide);
        tear_down(&f);
    }
}

/* -------------------------------------------------------------------------------------- borders of leaves */

/** Remove the `count` ranges of `size` at every `pitch` in this order; compare with scan after each. */
static void remove_in_order(const struct kva_engine *engine, const unsigned *order, unsigned count,
                            uint64_t size, uint64_t pitch)
{
    static struct fixture f;
    static struct fixture scan;
    struct kva_config config = config_of(100, 100 + pitch * count - 1, 1);

    config.align_class[0] = 4;
    config.without_owners = true;
    set_up(&f, engine, &config);
    set_up(&scan, &kva_engine_scan, &config);
    for (uint64_t i = 0; i < count; i++) {
        reserve(&f, 100 + pitch * i, size);
        reserve(&scan, 100 + pitch * i, size);
    }
    uint64_t takes = f.memory.takes;
    for (unsigned i = 0; i < count; i++) {
        release(&f, 100 + pitch * order[i]);
        release(&scan, 100 + pitch * order[i]);
        expect_same(&f, &scan, "a removal");
    }
    assert_int_equal(f.memory.takes, takes);
    assert_int_equal(tree(&f)->height, 0);
    assert_int_equal(stats_of(&f).free_segments, 1);
    tear_down(&f);
    tear_down(&scan);
}

/** Heap's algorithm: all orders of the first `left` ranges. */
static uint64_t all_orders(const struct kva_engine *engine, unsigned *order, unsigned left, unsigned count)
{
    uint64_t visited = 0;

    if (left == 1) {
        remove_in_order(engine, order, count, 1, 1);
        remove_in_order(engine, order, count, 2, 3);
        return 1;
    }
    for (unsigned i = 0; i < left; i++) {
        visited += all_orders(engine, order, left - 1, count);
        unsigned j = left % 2 ? 0 : i;
        unsigned kept = order[j];
        order[j] = order[left - 1];
        order[left - 1] = kept;
    }
    return visited;
}

/* First entries of leaves, whole leaves and inner nodes disappear: 7 ranges in every order. */
static void every_order_of_removal(void **state)
{
    static const struct kva_engine *const engines[] = {&test_engine_bt_tiny, &test_engine_bt_small};
    uint64_t visited = 0;
    (void)state;

    for (size_t e = 0; e < 2; e++) {
        unsigned order[6] = {0, 1, 2, 3, 4, 5};
        visited += all_orders(engines[e], order, 6, 6);
    }
    assert_int_equal(visited, 2 * 720);
}

static void long_orders_of_removal(void **state)
{
    enum { COUNT = 120 };
    const struct kva_engine *engine;
    struct test_rng rng = test_rng_of(720);
    (void)state;

    for_each_bt(engine, e)
    {
        for (int kind = 0; kind < 5; kind++) {
            unsigned order[COUNT];
            for (unsigned i = 0; i < COUNT;
                 i++) /* upwards, downwards, from the middle, from both ends, random */
                order[i] = kind == 0   ? i
                           : kind == 1 ? COUNT - 1 - i
                           : kind == 2 ? (i + COUNT / 2) % COUNT
                           : kind == 3 ? (i % 2 ? COUNT - 1 - i / 2 : i / 2)
                                       : i;
            for (unsigned i = COUNT; kind == 4 && i > 1; i--) {
                unsigned j = (unsigned)test_below(&rng, i);
                unsigned kept = order[j];
                order[j] = order[i - 1];
                order[i - 1] = kept;
            }
            remove_in_order(engine, order, COUNT, 2, 3);
            remove_in_order(engine, order, COUNT, 3, 3);
        }
    }
}

/* -------------------------------------------------------------------------------------------- up and down */

/* Not through the space, whose checks after each change take long on a tree of many nodes. */
static void take_at(const struct kva_engine *engine, struct kva_address_map *map, uint64_t start,
                    uint64_t last)
{
    struct kva_place place;

    assert_int_equal(engine->locate(map, start, last, &place), KVA_OK);
    assert_int_equal(engine->occupy(map, &place, NULL), KVA_OK);
}

static void expect_sound(const struct kva_engine *engine, const struct kva_address_map *map)
{
    uint64_t address = 0;
    const char *broken = engine->check(map, &address);
    check_that(broken == NULL, "the check reports %s at %#" PRIx64, broken, address);
}

/* Filled to `count` ranges in one order and drained in another, the tree is one leaf again; draining takes no
 * memory. The second round takes none. */
static void the_tree_grows_and_shrinks(void **state)
{
    static const uint64_t strides[] = {1, 4999, 2503}; /* upwards, downwards, scattered; prime to the count */
    const uint64_t count = 5000;
    const struct kva_engine *engine;
    (void)state;

    for_each_bt(engine, e)
    {
        if (!is_full_size(engine) && engine != &test_engine_bt_tiny)
            continue;
        for (size_t order = 0; order < 9; order++) {
            struct kva_failing_memory memory = {0};
            struct kva_address_map common = {.engine = engine,
                                             .ledger.memory = kva_failing_memory_init(&memory),
                                             .last = 3 * count * PAGE - 1,
                                             .quantum = PAGE};
            struct kva_address_map *map;
            uint64_t takes = 0;

            assert_int_equal(engine->create(&common, &map), KVA_OK);
            for (int round = 0; round < 2; round++) {
                for (uint64_t i = 0; i < count; i++) {
                    uint64_t start = 3 * (i * strides[order % 3] % count) * PAGE;
                    take_at(engine, map, start, start + PAGE - 1);
                }
                expect_sound(engine, map);
                assert_int_equal(map->tally.segments[KVA_BUSY], count);
                assert_true(((const struct bt_map *)map)->height >= (is_full_size(engine) ? 2 : 4));
                assert_true(round == 0 || memory.takes == takes);
                takes = memory.takes;
                for (uint64_t i = 0; i < count; i++)
                    assert_int_equal(engine->free(map, 3 * (i * strides[order / 3] % count) * PAGE), KVA_OK);
                expect_sound(engine, map);
                assert_int_equal(memory.takes, takes);
                assert_int_equal(((const struct bt_map *)map)->height, 0);
                assert_int_equal(map->tally.segments[KVA_FREE], 1);
            }
            engine->destroy(map);
            assert_int_equal(memory.blocks, 0);
        }
    }
}

/* The same by free_deferred: all ranges are deferred, and freed at once. */
static void deferred_ranges_drain_the_tree(void **state)
{
    const uint64_t count = 500;
    const struct kva_engine *engine;
    (void)state;

    for_each_bt(engine, e)
    {
        static struct fixture f;
        struct kva_config config = config_of(0, 3 * count - 1, 1);

        set_up(&f, engine, &config);
        for (uint64_t i = 0; i < count; i++)
            reserve(&f, 3 * i, 1 + i % 3);
        for (uint64_t i = 0; i < count; i++)
            assert_int_equal(kva_free_deferred(&f.space, 3 * (i * 7 % count)), KVA_OK);
        assert_true(tree(&f)->top.deferred[0]);
        uint64_t takes = f.memory.takes;
        assert_int_equal(kva_flush(&f.space), KVA_OK);
        assert_int_equal(f.memory.takes, takes);
        assert_false(tree(&f)->top.deferred[0] || tree(&f)->top.deferred[1]);
        assert_int_equal(tree(&f)->height, 0);
        assert_int_equal(stats_of(&f).free_segments, 1);
        tear_down(&f);
    }
}

/* ------------------------------------------------------------------------------------------------ preload */

/** An operation that adds entries where it splits the fullest node: in one spot, at either end, anywhere, or
 * a cut in two places. Returns its status. */
static enum kva_status adversary(struct fixture *f, struct test_rng *rng, int kind, uint64_t units)
{
    struct kva_segment segment;
    struct kva_request request = kva_request_of(1);
    uint64_t start;

    switch (kind) {
    case 0: /* the lowest: next to the last one */
        return kva_alloc(&f->space, &request, &start);
    case 1:
        request.policy = KVA_HIGHEST;
        return kva_alloc(&f->space, &request, &start);
    case 2: /* anywhere */
        request.min = test_below(rng, units);
        return kva_alloc(&f->space, &request, &start);
    case 3: /* from the middle of a range of three */
        for (int tries = 0; tries < 200; tries++) {
            assert_int_equal(kva_find(&f->space, test_below(rng, units), &segment), KVA_OK);
            if (segment.state == KVA_BUSY && segment.last - segment.start >= 2)
                return kva_free_range(&f->space, segment.start + 1, 1);
        }
        return KVA_OK;
    default:
        return adversary(f, rng, (int)test_below(rng, 4), units);
    }
}

static void after_preload_no_pattern_takes_memory(void **state)
{
    const struct kva_engine *engine;
    struct test_rng rng = test_rng_of(730);
    uint64_t rounds = test_scaled(40);
    (void)state;

    for_each_bt(engine, e)
    {
        for (uint64_t i = 0; i < rounds * 5; i++) {
            static struct fixture f;
            const uint64_t units = 4000;
            struct kva_config config = config_of(0, units - 1, 1);
            uint64_t before = test_below(&rng, 150);
            uint64_t count = 1 + test_below(&rng, test_one_in(&rng, 4) ? 60 : 6);

            config.without_owners = i % 2;
            set_up(&f, engine, &config);
            f.memory.largest = is_full_size(engine) ? 4096 : 512; /* few nodes each, none to spare */
            for (uint64_t k = 0; k < before; k++)
                (void)kva_reserve(&f.space, test_below(&rng, units), 1 + test_below(&rng, 4), NULL, NULL);
            assert_int_equal(kva_preload(&f.space, (size_t)count), KVA_OK);
            kva_failing_memory_fail(&f.memory, 1, true);
            for (uint64_t k = 0; k < count; k++) {
                enum kva_status status = adversary(&f, &rng, (int)(i % 5), units);
                check_that(status == KVA_OK || status == KVA_ENOSPC,
                           "%s: operation %" PRIu64 " of %" PRIu64 ", pattern %" PRIu64 ": %s",
                           test_engine_name(e), k, count, i % 5, kva_status_name(status));
            }
            tear_down(&f);
        }
    }
}

/* A resize that overflows a leaf's form counts as one operation. */
static void preload_covers_a_change_of_form(void **state)
{
    const struct kva_engine *engine;
    (void)state;

    for_each_bt(engine, e)
    {
        for (uint64_t count = 1; count <= 2 * BT_ENTRIES; count++) {
            static struct fixture f;
            struct kva_config config = config_of(0, UINT64_MAX, 1);

            set_up(&f, engine, &config);
            f.memory.largest = is_full_size(engine) ? 4096 : 512;
            for (uint64_t i = 0; i < count; i++)
                reserve(&f, 2 * i, 1);
            assert_int_equal(kva_preload(&f.space, 1), KVA_OK);
            kva_failing_memory_fail(&f.memory, 1, true);
            assert_int_equal(kva_resize(&f.space, 2 * (count - 1), UINT64_C(1) << 40), KVA_OK);
            tear_down(&f);
        }
    }
}

/* ------------------------------------------------------------------------------------------------- memory */

/* 10,000 ranges that come and go at random, three times over: memory per range. */
static void bytes_per_range_in_steady_churn(void **state)
{
    enum { LIVE = 10000, PAIRS = 30000 };
    static uint64_t live[LIVE];
    const struct kva_engine *engine;
    (void)state;

    for_each_bt(engine, e)
    {
        if (!is_full_size(engine))
            continue;
        for (int owners = 0; owners < 2; owners++) {
            struct kva_failing_memory memory = {0};
            struct kva_address_map common = {.engine = engine,
                                             .ledger.memory = kva_failing_memory_init(&memory),
                                             .last = (UINT64_C(1) << 46) - 1,
                                             .quantum = PAGE,
                                             .owners = owners};
            struct test_rng rng = test_rng_of(740);
            struct kva_address_map *map;

            assert_int_equal(engine->create(&common, &map), KVA_OK);
            for (uint64_t i = 0; i < LIVE + PAIRS; i++) {
                struct kva_demand demand = {.size = (1 + test_below(&rng, 64)) * PAGE,
                                            .align = PAGE,
                                            .max = common.last,
                                            .policy = KVA_LOWEST};
                struct kva_place place;
                uint64_t k = i < LIVE ? i : test_below(&rng, LIVE);
                if (i >= LIVE)
                    assert_int_equal(engine->free(map, live[k]), KVA_OK);
                assert_int_equal(engine->search(map, &demand, &place), KVA_OK);
                assert_int_equal(engine->occupy(map, &place, NULL), KVA_OK);
                live[k] = place.start;
            }
            expect_sound(engine, map);
            double each = (double)map->ledger.bytes / LIVE;
            print_message("%s, %s owners: %.1f bytes a range\n", test_engine_name(e),
                          owners ? "with" : "without", each);
            assert_true(each <= (owners ? 30.0 : 16.0));
            assert_int_equal(map->ledger.bytes, memory.bytes);
            engine->destroy(map);
        }
    }
}

/** Fail if two neighbours under one parent would fit into one node but were not merged. Returns the number of
 * inner nodes and leaves below a node. */
static size_t expect_no_mergeable_pair(const struct bt_map *bt, const void *node, unsigned level)
{
    const struct bt_inner *inner = node;
    size_t nodes = 1;

    if (level == bt->height)
        return nodes;
    int most = level + 1 == bt->height ? BT_MERGE_ENTRIES : BT_MERGE_CHILDREN;
    for (size_t i = 0; i < inner->count; i++) {
        if (i > 0)
            check_that(inner->size[i - 1] + inner->size[i] > most, "%d and %d on level %u are two nodes",
                       inner->size[i - 1], inner->size[i], level + 1);
        nodes += expect_no_mergeable_pair(bt, inner->child[i], level + 1);
    }
    return nodes;
}

/* After all but one range in 40 were freed, in any order, few nodes are left. */
static void a_thinned_tree_gives_its_nodes_back(void **state)
{
    enum { COUNT = 6000 };
    static const uint64_t strides[] = {1, COUNT - 1, 2503};
    const struct kva_engine *engine;
    (void)state;

    for_each_bt(engine, e)
    {
        if (!is_full_size(engine))
            continue;
        for (size_t order = 0; order < 3; order++) {
            struct kva_failing_memory memory = {0};
            struct kva_address_map common = {.engine = engine,
                                             .ledger.memory = kva_failing_memory_init(&memory),
                                             .last = 2 * COUNT - 1,
                                             .quantum = 1};
            struct kva_address_map *map;

            assert_int_equal(engine->create(&common, &map), KVA_OK);
            for (uint64_t i = 0; i < COUNT; i++)
                take_at(engine, map, 2 * i, 2 * i);
            for (uint64_t i = 0; i < COUNT; i++) {
                uint64_t k = i * strides[order] % COUNT;
                if (k % 40 != 0)
                    assert_int_equal(engine->free(map, 2 * k), KVA_OK);
            }
            expect_sound(engine, map);
            const struct bt_map *bt = (const struct bt_map *)map;
            size_t nodes = expect_no_mergeable_pair(bt, bt->root, 0);
            check_that(nodes <= 1 + 2 * (COUNT / 40) / (BT_MERGE_ENTRIES / 2), "%zu nodes", nodes);
            engine->destroy(map);
        }
    }
}

/* While a tree is drained from below, its first leaf does not stay empty next to a full one. Otherwise each
 * further entry would be the first of its leaf, and change the leaf's separator. */
static void an_empty_first_leaf_merges_with_the_next(void **state)
{
    static struct fixture f;
    struct kva_config config = config_of(0, 999, 1);
    const struct kva_engine *engine;
    bool took_over = false;
    (void)state;

    for_each_bt(engine, e)
    {
        if (!is_full_size(engine))
            continue;
        set_up(&f, engine, &config);
        for (uint64_t i = 0; i < 500; i++)
            reserve(&f, 2 * i, 1);
        for (uint64_t i = 0; tree(&f)->height > 0; i++) {
            const struct bt_inner *root = tree(&f)->root;
            uint64_t before = root->size[0];
            release(&f, 2 * i);
            if (tree(&f)->height == 0)
                break;
            root = tree(&f)->root;
            assert_true(root->size[0] > 0);
            took_over = took_over || root->size[0] > before;
        }
        assert_int_equal(kva_space_abandon(&f.space), KVA_OK);
    }
    assert_true(took_over);
}

/* The public engine only selects: the address map belongs to the best available form. */
static void the_public_engine_selects_a_form(void **state)
{
    static struct fixture f;
    struct kva_config config = config_of(0, 99, 1);
    const struct kva_engine *engine;
    bool is_a_form = false;
    (void)state;

    set_up(&f, &kva_engine_bt, &config);
    for_each_bt(engine, e) is_a_form = is_a_form || f.space.map->engine == engine;
    assert_true(is_a_form);
    assert_true(is_full_size(f.space.map->engine));
    reserve(&f, 10, 10);
    tear_down(&f);
    assert_ptr_equal(kva_engine_by_name("bt"), &kva_engine_bt);
    assert_non_null(kva_engine_by_name("bt-scalar"));
    assert_ptr_equal(kva_engine_by_name("bt-scalar"), kva_engine_bt_form("scalar"));
    assert_null(kva_engine_bt_form("bt-scalar"));
    assert_null(kva_engine_bt_form(NULL));
    assert_null(kva_engine_by_name("bt-"));
    assert_null(kva_engine_by_name("bt-tiny"));
}

/* ------------------------------------------------------------------------------------------------ preload */

/** Reserve a random quantum of `units`; KVA_EEXIST if it is in use. */
static enum kva_status reserve_any(struct fixture *f, struct test_rng *rng, uint64_t units)
{
    return kva_reserve(&f->space, test_below(rng, units), 1, NULL, NULL);
}

static void fill(struct fixture *f, struct test_rng *rng, uint64_t units, uint64_t count)
{
    for (uint64_t done = 0; done < count;)
        done += reserve_any(f, rng, units) == KVA_OK;
}

/** Reserve random quanta. Before each change, or each two, prepare memory for them, as calls that consist of
 * several changes do. The preload suffices: the source refuses. */
static void play_prepared(struct fixture *f, struct test_rng *rng, uint64_t units, size_t count)
{
    struct kva_address_map *map = f->space.map;

    assert_int_equal(kva_preload(&f->space, count), KVA_OK);
    kva_failing_memory_fail(&f->memory, 1, true);
    for (size_t left = count; left > 0;) {
        size_t together = left > 1 ? 1 + (size_t)test_below(rng, 2) : 1;
        check_that(map->engine->prepare(map, together) == KVA_OK,
                   "%s: a preparation of %zu fails, %zu of %zu left", f->engine->name, together, left, count);
        for (; together > 0; left--, together--) {
            enum kva_status status = KVA_EEXIST;
            while (status == KVA_EEXIST)
                status = reserve_any(f, rng, units);
            check_that(status == KVA_OK, "%s: a reserve fails, %zu of %zu left", f->engine->name, left,
                       count);
        }
    }
    kva_failing_memory_fail(&f->memory, 0, false);
}

/* After a preload for all changes, the preparation for each takes no memory, also after the tree has grown:
 * in particular when a root was just added or is about to be. */
static void a_preparation_for_all_suffices_for_each(void **state)
{
    const struct kva_engine *engine;
    struct test_rng rng = test_rng_of(0);
    (void)state;

    for_each_engine (engine, e) {
        for (uint64_t run = 0; run < test_scaled(300); run++) {
            static struct fixture f;
            const uint64_t units = UINT64_C(1) << 20;
            const struct kva_config config = config_of(0, units - 1, 1);
            uint64_t filled = test_one_in(&rng, 2) ? test_below(&rng, 80) : test_below(&rng, 2000);

            set_up(&f, engine, &config);
            fill(&f, &rng, units, filled);
            play_prepared(&f, &rng, units, 1 + (size_t)test_below(&rng, test_one_in(&rng, 2) ? 6 : 60));
            tear_down(&f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_powers_of_two),
        cmocka_unit_test(classes_change_no_result),
        cmocka_unit_test(an_aligned_hole_at_a_declared_class),
        cmocka_unit_test(without_owners_all_owners_read_as_null),
        cmocka_unit_test(a_leaf_changes_its_form),
        cmocka_unit_test(a_resize_overflows_the_compact_form),
        cmocka_unit_test(entries_of_2_to_the_40_units),
        cmocka_unit_test(a_fill_downwards_stays_compact),
        cmocka_unit_test(every_order_of_removal),
        cmocka_unit_test(long_orders_of_removal),
        cmocka_unit_test(the_tree_grows_and_shrinks),
        cmocka_unit_test(deferred_ranges_drain_the_tree),
        cmocka_unit_test(after_preload_no_pattern_takes_memory),
        cmocka_unit_test(preload_covers_a_change_of_form),
        cmocka_unit_test(bytes_per_range_in_steady_churn),
        cmocka_unit_test(a_thinned_tree_gives_its_nodes_back),
        cmocka_unit_test(an_empty_first_leaf_merges_with_the_next),
        cmocka_unit_test(the_public_engine_selects_a_form),
        cmocka_unit_test(a_preparation_for_all_suffices_for_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
