/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The checker itself: it must name the broken invariant and its address in a space that was broken on
 * purpose.
 *
 * ANY ENGINE   A segment's start is overwritten in node memory. The recording memory source knows all blocks;
 *   the addresses are chosen so that no other word has the same value.
 *
 * THE RB ENGINE   Each invariant is broken through the engine's own structures, one at a time. All others
 *   stay intact as far as that is possible.
 */
#include "../common/harness.h"
#include "../common/picture.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"
#include "engine/rb_map.h"

#define QUANTUM UINT64_C(16)
#define FIRST UINT64_C(0x1234500000)
#define LAST UINT64_C(0x12345fffff)

/* Busy segments of 0x100 bytes. A and B touch; D, which is deferred, and E touch. */
#define A (FIRST + 0x1000)
#define B (FIRST + 0x1100)
#define C (FIRST + 0x2000)
#define D (FIRST + 0x3000)
#define E (FIRST + 0x3100)
#define F (FIRST + 0x7000)

struct fixture {
    struct kva_space space;
    struct kva_failing_memory memory;
    unsigned reports;
    struct kva_fault report;
};

static void on_corruption(void *context, const struct kva_fault *fault)
{
    struct fixture *f = context;
    if (f->reports++ == 0)
        f->report = *fault;
}

static void set_up(struct fixture *f, const struct kva_engine *engine)
{
    static const uint64_t busy[] = {A, B, C, D, E, F};
    struct kva_config config = {0};

    memset(f, 0, sizeof(*f));
    config.first = FIRST;
    config.last = LAST;
    config.quantum = QUANTUM;
    config.engine = engine;
    config.memory = kva_failing_memory_init(&f->memory);
    config.on_corruption = on_corruption;
    config.hook_context = f;
    assert_int_equal(kva_space_init(&f->space, &config), KVA_OK);
    for (size_t i = 0; i < sizeof(busy) / sizeof(busy[0]); i++)
        assert_int_equal(kva_reserve(&f->space, busy[i], 0x100, NULL, NULL), KVA_OK);
    assert_int_equal(kva_free_deferred(&f->space, D), KVA_OK);
}

/** The space is beyond repair; its memory is given back. */
static void tear_down(struct fixture *f)
{
    assert_int_equal(kva_space_abandon(&f->space), KVA_OK);
    assert_int_equal(f->memory.blocks, 0);
}

/** Fail unless the check finds invariant `name` ("I4") broken and does not call the hook. Returns the
 * address. */
static uint64_t expect_broken(struct fixture *f, const char *name)
{
    struct kva_fault fault = {.what = NULL};
    unsigned reports = f->reports;

    assert_int_equal(kva_space_check(&f->space, &fault), KVA_ECORRUPT);
    assert_int_equal(kva_space_check(&f->space, NULL), KVA_ECORRUPT);
    assert_int_equal(fault.status, KVA_ECORRUPT);
    assert_string_equal(fault.where, "kva_space_check");
    check_that(strncmp(fault.what, name, 2) == 0 && fault.what[2] == ':', "the check reports %s, %s expected",
               fault.what, name);
    assert_int_equal(f->reports, reports);
    return fault.address;
}

static void a_sound_space_has_no_fault(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;
        struct kva_fault fault = {
            .status = KVA_EBUSY, .where = "untouched", .what = "untouched", .address = 77};

        set_up(&f, engine);
        assert_int_equal(kva_space_check(&f.space, &fault), KVA_OK);
        assert_int_equal(fault.status, KVA_EBUSY);
        assert_int_equal(fault.address, 77);
        assert_string_equal(fault.where, "untouched");
        assert_int_equal(f.reports, 0);
        tear_down(&f);
    }
}

/* --------------------------------------------------------------------------------------------- any engine */

/** Overwrite a 64-bit word that occurs once in node memory. Returns its place. */
static unsigned char *overwrite(struct fixture *f, uint64_t from, uint64_t to)
{
    unsigned char *found = NULL;

    for (struct kva_failing_block *block = NULL;
         (block = kva_failing_memory_next(&f->memory, block)) != NULL;) {
        size_t count;
        unsigned char *bytes = kva_failing_block_bytes(block, &count);
        for (size_t at = 0; at + sizeof(from) <= count; at += 4) { /* 32-bit hosts align such words to 4 */
            if (memcmp(bytes + at, &from, sizeof(from)) == 0) {
                assert_null(found);
                found = bytes + at;
            }
        }
    }
    assert_non_null(found);
    memcpy(found, &to, sizeof(to));
    return found;
}

static void an_overwritten_start_is_found(void **state)
{
    static const uint64_t starts[] = {A, B, C, D, E, F};
    /* Off the quantum: by half of it either way, by one, and by a large distance either way. */
    static const uint64_t shifts[] = {8, (uint64_t)-8, 1, UINT64_C(1) << 40, (uint64_t)-0x1234000000};
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        if (test_engine_is_bt(engine)) /* it stores offsets: see engine/test_bt_check.c */
            continue;
        for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
            for (size_t k = 0; k < sizeof(shifts) / sizeof(shifts[0]); k++) {
                static struct fixture f;
                struct kva_fault fault;

                set_up(&f, engine);
                unsigned char *at = overwrite(&f, starts[i], starts[i] + shifts[k]);
                assert_int_equal(kva_space_check(&f.space, &fault), KVA_ECORRUPT);
                check_that((fault.what[0] == 'I' || fault.what[0] == 'T') && fault.what[2] == ':',
                           "no invariant is named: %s", fault.what);
                assert_int_equal(f.reports, 0);
                memcpy(at, &starts[i], sizeof(starts[i]));
                assert_int_equal(kva_space_check(&f.space, NULL), KVA_OK);
                tear_down(&f);
            }
        }
    }
}

static void a_wrong_tally_is_found(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (int which = KVA_FREE; which <= KVA_DEFERRED; which++) {
            static struct fixture f;
            struct kva_tally *tally;

            set_up(&f, engine);
            tally = &f.space.map->tally;
            tally->bytes[which] += 1;
            (void)expect_broken(&f, "I5");
            tally->bytes[which] -= 1;
            tally->segments[which] -= 1;
            (void)expect_broken(&f, "I5");
            tear_down(&f);
        }
    }
}

static void a_wrong_range_to_flush_is_found(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        set_up(&f, engine);
        f.space.deferred_start = UINT64_MAX;
        f.space.deferred_last = 0;
        (void)expect_broken(&f, "I7");
        /* Too long, too short, next to it, outside the space. */
        const uint64_t wrong[][2] = {{D - QUANTUM, D + 0xff}, {D, D + 0x1ff}, {D + QUANTUM, D + 0xff},
                                     {D, D + 0xef},           {F, F + 0xff},  {FIRST - QUANTUM, D + 0xff},
                                     {D, LAST + QUANTUM},     {0, UINT64_MAX}};
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
            f.space.deferred_start = wrong[i][0];
            f.space.deferred_last = wrong[i][1];
            (void)expect_broken(&f, "I7");
        }
        f.space.deferred_start = D;
        f.space.deferred_last = D + 0xff;
        assert_int_equal(kva_space_check(&f.space, NULL), KVA_OK);
        tear_down(&f);
    }
}

/* ------------------------------------------------------------------------------------------ the rb engine */

static struct rb_map *rb_of(struct fixture *f)
{
    return (struct rb_map *)f->space.map;
}

static struct rb_segment *used_at(struct fixture *f, uint64_t start)
{
    struct rb_segment *segment = floor_segment(&rb_of(f)->used, start);
    assert_int_equal(segment->start, start);
    return segment;
}

static struct rb_segment *hole_before(struct fixture *f, uint64_t start)
{
    struct rb_segment *hole = floor_segment(&rb_of(f)->holes, start);
    assert_int_equal(hole->last, start - 1);
    return hole;
}

static void set_up_rb(struct fixture *f)
{
    set_up(f, &kva_engine_rb);
}

static void i1_a_gap(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_rb(&f);
    kva_rb_hole_set_last(hole_before(&f, C), C - 1 - QUANTUM);
    assert_int_equal(expect_broken(&f, "I1"), C);
    tear_down(&f);
}

static void i1_an_overlap(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_rb(&f);
    used_at(&f, A)->last += QUANTUM;
    assert_int_equal(expect_broken(&f, "I1"), B);
    tear_down(&f);
}

static void i1_the_end_is_missing(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_rb(&f);
    kva_rb_hole_set_last(hole_before(&f, LAST + 1), LAST - QUANTUM);
    (void)expect_broken(&f, "I1");
    tear_down(&f);
}

static void i2_the_quantum_is_missed(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_rb(&f);
    used_at(&f, A)->last += 1; /* A and B agree on their common boundary, and both miss the quantum */
    used_at(&f, B)->start += 1;
    assert_int_equal(expect_broken(&f, "I2"), A);
    tear_down(&f);
}

static void i3_two_holes_touch(void **state)
{
    static struct fixture f;
    struct rb_segment *used;
    (void)state;
    set_up_rb(&f);
    used = used_at(&f, C);
    struct rb_segment *hole = hole_before(&f, C);
    kva_rb_erase(&rb_of(&f)->used, &used->link);
    kva_rb_hole_set_last(hole, used->last);
    assert_int_equal(expect_broken(&f, "I3"), C + 0x100);
    tear_down(&f);
}

static void i4_a_maximum_is_too_large_or_too_small(void **state)
{
    static const uint64_t places[] = {A, C, D, F, LAST + 1};
    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        for (int more = 0; more < 2; more++) {
            static struct fixture f;
            set_up_rb(&f);
            hole_before(&f, places[i])->largest += more ? QUANTUM : (uint64_t)0 - QUANTUM;
            (void)expect_broken(&f, "I4");
            tear_down(&f);
        }
    }
}

static void i6_the_list_of_holes_lacks_one(void **state)
{
    static const uint64_t places[] = {A, C, D, F, LAST + 1};
    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        static struct fixture f;
        set_up_rb(&f);
        list_remove(&hole_before(&f, places[i])->order);
        (void)expect_broken(&f, "I6");
        tear_down(&f);
    }
}

static void i6_the_list_of_holes_has_one_too_many(void **state)
{
    static struct fixture f;
    struct rb_segment stray;
    (void)state;
    set_up_rb(&f);
    memset(&stray, 0, sizeof(stray));
    list_insert_before(&rb_of(&f)->order, &stray.order);
    (void)expect_broken(&f, "I6");
    list_remove(&stray.order);
    tear_down(&f);
}

static void i7_a_stray_segment_is_listed(void **state)
{
    static struct fixture f;
    struct rb_segment stray;
    (void)state;
    set_up_rb(&f);
    memset(&stray, 0, sizeof(stray));
    stray.start = A;
    list_insert_before(&rb_of(&f)->deferred[0], &stray.order);
    assert_int_equal(expect_broken(&f, "I7"), A);
    list_remove(&stray.order);
    tear_down(&f);
}

static void t1_t2_t3_the_shape_of_either_tree(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        static struct fixture f;
        struct kva_rb_tree *tree;
        struct kva_rb_node *root;

        set_up_rb(&f);
        tree = which == 0 ? &rb_of(&f)->holes : &rb_of(&f)->used;
        root = tree->root;
        root->parent_and_colour ^= 1;
        (void)expect_broken(&f, "T1");
        root->parent_and_colour ^= 1;
        root->child[0]->parent_and_colour =
            (uintptr_t)root->child[1] | (root->child[0]->parent_and_colour & 1);
        (void)expect_broken(&f, "T3");
        tear_down(&f);
    }
}

/* ----------------------------------------------------------------------------------------------- the hook */

/* B no longer begins where A ends. Freeing A changes that place. */
static void a_change_beside_the_damage_calls_the_hook(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct fixture f;

        if (test_engine_is_bt(engine))
            continue;
        set_up(&f, engine);
        (void)overwrite(&f, B, B + 8);
        (void)kva_free(&f.space, A);
        if (KVA_CHECK_LEVEL >= 2) {
            assert_true(f.reports > 0);
            assert_int_equal(f.report.status, KVA_ECORRUPT);
            assert_string_equal(f.report.where, "kva_free");
            assert_int_equal(f.report.what[0], 'I');
        } else {
            assert_int_equal(f.reports, 0);
        }
        tear_down(&f);
    }
}

/* An engine that finds no segment. Without a hook, corruption aborts the program. */
static enum kva_status find_nothing(struct kva_address_map *map, uint64_t start)
{
    (void)map;
    (void)start;
    return KVA_ENOENT;
}

/* An engine finds a segment in one way and not in another: that is corruption, not misuse. */
static void an_index_that_disagrees_is_corruption(void **state)
{
    static struct fixture f;
    struct kva_engine broken = kva_engine_rb;
    (void)state;

    broken.free = find_nothing;
    set_up(&f, &broken);
    assert_int_equal(kva_free(&f.space, A), KVA_ECORRUPT);
    assert_int_equal(f.reports, 1);
    assert_memory_equal(f.report.what, "I6", 2);
    assert_int_equal(f.report.address, A);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_space_has_no_fault),
        cmocka_unit_test(an_overwritten_start_is_found),
        cmocka_unit_test(a_wrong_tally_is_found),
        cmocka_unit_test(a_wrong_range_to_flush_is_found),
        cmocka_unit_test(i1_a_gap),
        cmocka_unit_test(i1_an_overlap),
        cmocka_unit_test(i1_the_end_is_missing),
        cmocka_unit_test(i2_the_quantum_is_missed),
        cmocka_unit_test(i3_two_holes_touch),
        cmocka_unit_test(i4_a_maximum_is_too_large_or_too_small),
        cmocka_unit_test(i6_the_list_of_holes_lacks_one),
        cmocka_unit_test(i6_the_list_of_holes_has_one_too_many),
        cmocka_unit_test(i7_a_stray_segment_is_listed),
        cmocka_unit_test(t1_t2_t3_the_shape_of_either_tree),
        cmocka_unit_test(a_change_beside_the_damage_calls_the_hook),
        cmocka_unit_test(an_index_that_disagrees_is_corruption),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
