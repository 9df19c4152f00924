/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Tests that distinguish kva from some of its mutants (tests/mutations), beyond all other tests.
 *
 * SCARCE NODES   An operation that needs several nodes must obtain all of them before it changes anything. A
 *   failing take alone does not show that: there must be some nodes, but too few. Each operation is tried on
 *   a fresh space with every number of nodes left, from a full first slab to none, while the source refuses
 *   all. It succeeds, or nothing has changed (E1), and it is refused only if it needs more nodes than are
 *   left (E3).
 */
#include "../common/harness.h"

#include <string.h>

#include "../common/picture.h"
#include "../../ports/test/failing_memory.h"

#define FIRST UINT64_C(0x100000)
#define LAST UINT64_C(0x1fffff)
#define STAGE UINT64_C(0x180000) /* the operations act below it; from here on nodes are used up */

struct fixture {
    struct kva_space space;
    struct kva_failing_memory memory;
};

/** Both ends and two segments in the middle are busy:
 *
 *      FIRST       0x101000   0x110000   0x114000   0x118000      STAGE        LAST
 *      | busy      | free     | busy     | busy     | free        |            | busy
 */
static void set_up(struct fixture *fixture, const struct kva_engine *engine)
{
    static const struct kva_range busy[] = {{FIRST, 0x1000, NULL},
                                            {0x110000, 0x4000, NULL},
                                            {0x114000, 0x4000, NULL},
                                            {LAST - 0xfff, 0x1000, NULL}};
    struct kva_config config = {
        .first = FIRST, .last = LAST, .engine = engine, .busy = busy, .busy_count = 4};

    memset(fixture, 0, sizeof(*fixture));
    config.memory = kva_failing_memory_init(&fixture->memory);
    assert_int_equal(kva_space_init(&fixture->space, &config), KVA_OK);
}

static void tear_down(struct fixture *fixture)
{
    assert_int_equal(kva_space_abandon(&fixture->space), KVA_OK);
    assert_int_equal(fixture->memory.blocks, 0);
}

/** Reserve `count` ranges, one node each, while the source refuses all; false when the nodes do not suffice.
 * The first starts at STAGE and costs two. */
static bool use_up(struct fixture *fixture, size_t count)
{
    kva_failing_memory_fail(&fixture->memory, 1, true);
    for (size_t i = 0; i < count; i++) {
        enum kva_status status = kva_reserve(&fixture->space, STAGE + i, 1, NULL, NULL);
        if (status == KVA_ENOMEM)
            return false;
        assert_int_equal(status, KVA_OK);
    }
    return true;
}

/* ----------------------------------------------------------------------------------------- the operations */

static enum kva_status grow_both_ends(struct kva_space *space)
{
    return kva_space_grow(space, FIRST - 0x1000, LAST + 0x1000);
}

static enum kva_status grow_below(struct kva_space *space)
{
    return kva_space_grow(space, FIRST - 0x1000, LAST);
}

static enum kva_status free_a_middle(struct kva_space *space)
{
    return kva_free_range(space, 0x111000, 0x1000);
}

static enum kva_status free_a_head(struct kva_space *space)
{
    return kva_free_range(space, 0x110000, 0x1000);
}

static enum kva_status free_a_head_after_busy(struct kva_space *space)
{
    return kva_free_range(space, 0x114000, 0x1000);
}

static enum kva_status free_a_tail(struct kva_space *space)
{
    return kva_free_range(space, 0x117000, 0x1000);
}

static enum kva_status free_all_of_it(struct kva_space *space)
{
    return kva_free_range(space, 0x110000, 0x4000);
}

static enum kva_status reserve_a_middle(struct kva_space *space)
{
    return kva_reserve(space, 0x108000, 0x1000, NULL, NULL);
}

static enum kva_status reserve_an_edge(struct kva_space *space)
{
    return kva_reserve(space, 0x10f000, 0x1000, NULL, NULL);
}

static enum kva_status reserve_a_whole_hole(struct kva_space *space)
{
    return kva_reserve(space, 0x101000, 0xf000, NULL, NULL);
}

static enum kva_status shrink_before_busy(struct kva_space *space)
{
    return kva_resize(space, 0x110000, 0x1000);
}

static enum kva_status shrink_before_free(struct kva_space *space)
{
    return kva_resize(space, 0x114000, 0x1000);
}

static enum kva_status take_five_parts(struct kva_space *space)
{
    static const struct kva_part parts[] = {
        {0, 0x100}, {0x400, 0x100}, {0x800, 0x100}, {0xc00, 0x100}, {0x1000, 0x100}};
    struct kva_request request = kva_request_of(1);
    uint64_t base;

    request.min = 0x104080;
    return kva_alloc_congruent(space, &request, parts, 5, &base);
}

struct trial {
    const char *name;
    enum kva_status (*operation)(struct kva_space *);
    size_t nodes; /* how many it needs */
};

/** Whether the operation is refused for lack of nodes. A refusal must change nothing. */
static bool is_refused(struct fixture *fixture, const struct trial *trial)
{
    static struct test_picture before;

    test_picture_take(&before, &fixture->space);
    enum kva_status status = trial->operation(&fixture->space);
    check_that(status == KVA_OK || status == KVA_ENOMEM, "%s: KVA_OK or KVA_ENOMEM expected, %s returned",
               trial->name, kva_status_name(status));
    if (status == KVA_ENOMEM)
        test_expect_untouched(&before, &fixture->space, trial->name);
    assert_int_equal(kva_space_check(&fixture->space, NULL), KVA_OK);
    test_picture_drop(&before);
    return status == KVA_ENOMEM;
}

/** Try one operation with every number of nodes left. The last two rounds have none left. */
static void starve(const struct kva_engine *engine, const char *engine_name, const struct trial *trial)
{
    struct fixture fixture;
    size_t refused = 0;
    bool enough = true;

    for (size_t used = 0; enough; used++) {
        set_up(&fixture, engine);
        enough = use_up(&fixture, used);
        if (is_refused(&fixture, trial) && enough)
            refused++;
        tear_down(&fixture);
    }
    if (test_engine_is_bt(engine)) /* the need depends on how full the leaf is */
        return;
    check_that(refused == trial->nodes, "%s on %s needs %zu nodes, and was refused with 0 to %zu",
               trial->name, engine_name, trial->nodes, refused - 1);
}

static void operations_with_every_number_of_nodes(void **state)
{
    static const struct trial trials[] = {
        {"grow at both ends", grow_both_ends, 2},
        {"grow below", grow_below, 1},
        {"free a middle", free_a_middle, 2},
        {"free a head after a hole", free_a_head, 0},
        {"free a head after a busy segment", free_a_head_after_busy, 1},
        {"free a tail before a hole", free_a_tail, 0},
        {"free all of a segment", free_all_of_it, 0},
        {"reserve in the middle of a hole", reserve_a_middle, 2},
        {"reserve at an edge of a hole", reserve_an_edge, 1},
        {"reserve a whole hole", reserve_a_whole_hole, 0},
        {"shrink before a busy segment", shrink_before_busy, 1},
        {"shrink before a hole", shrink_before_free, 0},
        {"take five parts, each in the middle of a hole", take_five_parts, 10},
    };
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, index) {
        for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
            starve(engine, test_engine_name(index), &trials[i]);
    }
}

/* ------------------------------------------------------------------------------------------- more mutants */

/* E3: KVA_ENOMEM only if the current change needs more than there is. A block of 1700 bytes holds 70 entries
 * of the scan engine's array, which would prefer to double from 64 to 128, and a slab of the rb engine's
 * nodes. The bt engine's inner node alone is 1664 bytes. */
static void a_source_of_small_blocks_is_used_to_the_end(void **state)
{
    enum { SEGMENTS = 69 };
    const struct kva_engine *engine;
    struct fixture fixture;
    (void)state;

    for_each_engine (engine, index) {
        set_up(&fixture, engine);
        fixture.memory.largest = test_engine_is_bt(engine) ? 2048 : 1700;
        struct kva_stats stats = {0};
        for (uint64_t i = 0; stats.busy_segments + stats.free_segments < SEGMENTS; i++) {
            enum kva_status status = kva_reserve(&fixture.space, STAGE + i, 1, NULL, NULL);
            check_that(status == KVA_OK, "%s: KVA_OK expected, %s returned at segment %" PRIu64,
                       test_engine_name(index), kva_status_name(status),
                       stats.busy_segments + stats.free_segments);
            assert_int_equal(kva_stats_read(&fixture.space, &stats), KVA_OK);
        }
        assert_true(fixture.memory.refused > 0);
        tear_down(&fixture);
    }
}

/* Modulo 2^64, a space that is busy from 0 to 2^64 - 1 has 0 busy bytes. It is not empty. */
static void a_space_of_all_addresses_all_busy_is_not_empty(void **state)
{
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, index) {
        struct fixture fixture;
        struct kva_config config = {.last = UINT64_MAX, .engine = engine};
        memset(&fixture, 0, sizeof(fixture));
        config.memory = kva_failing_memory_init(&fixture.memory);
        assert_int_equal(kva_space_init(&fixture.space, &config), KVA_OK);
        for (uint64_t half = 0; half < 2; half++)
            assert_int_equal(kva_reserve(&fixture.space, half << 63, UINT64_C(1) << 63, NULL, NULL), KVA_OK);
        check_that(kva_space_fini(&fixture.space) == KVA_EBUSY,
                   "%s: KVA_EBUSY expected for a space that is all busy", test_engine_name(index));
        tear_down(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_with_every_number_of_nodes),
        cmocka_unit_test(a_source_of_small_blocks_is_used_to_the_end),
        cmocka_unit_test(a_space_of_all_addresses_all_busy_is_not_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
