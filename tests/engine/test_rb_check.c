/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The rb engine's own checks: each invariant is broken on purpose, one at a time, and the check must name it.
 * This shows that the checks, which never fail elsewhere, can fail.
 *
 *      0     0x10    0x20   0x30    0x40       0x50    0x60   0x70   0x7f
 *      | hole | A    | hole | B     | deferred | hole  | C    | hole |          quantum 4
 */
#include "../common/harness.h"

#include <kva/engine.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"
#include "engine/rb_map.h"

#define LAST 0x7f
#define HOLES 4

struct fixture {
    struct kva_failing_memory memory;
    struct kva_address_map *map;
    struct rb_map *rb;
    struct rb_segment *hole[HOLES]; /* by address */
    struct rb_segment *a, *b, *deferred, *c;
};

static struct rb_segment *used_at(const struct fixture *fixture, uint64_t start)
{
    struct rb_segment *segment = floor_segment(&fixture->rb->used, start);
    assert_int_equal(segment->start, start);
    return segment;
}

static void set_up(struct fixture *fixture)
{
    static const uint64_t busy[] = {0x10, 0x30, 0x40, 0x60};
    struct kva_address_map common = {.engine = &kva_engine_rb,
                                     .ledger.memory = kva_failing_memory_init(&fixture->memory),
                                     .last = LAST,
                                     .quantum = 4};
    struct kva_place place;
    uint64_t last, address;
    size_t count = 0;

    assert_int_equal(kva_engine_rb.create(&common, &fixture->map), KVA_OK);
    fixture->rb = (struct rb_map *)fixture->map;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(kva_engine_rb.locate(fixture->map, busy[i], busy[i] + 0xf, &place), KVA_OK);
        assert_int_equal(kva_engine_rb.occupy(fixture->map, &place, NULL), KVA_OK);
    }
    assert_int_equal(kva_engine_rb.defer(fixture->map, 0x40, 0, &last), KVA_OK);
    fixture->a = used_at(fixture, 0x10);
    fixture->b = used_at(fixture, 0x30);
    fixture->deferred = used_at(fixture, 0x40);
    fixture->c = used_at(fixture, 0x60);
    for (struct kva_list *link = fixture->rb->order.next; link != &fixture->rb->order; link = link->next)
        fixture->hole[count++] = segment_of_order(link);
    assert_int_equal(count, HOLES);
    assert_null(kva_engine_rb.check(fixture->map, &address));
    for (uint64_t at = 0; at <= LAST; at++)
        assert_null(kva_engine_rb.check_near(fixture->map, at, &address));
}

/* Memory is given back whatever the address map holds, so a broken one need not be repaired. */
static void tear_down(struct fixture *fixture)
{
    kva_engine_rb.destroy(fixture->map);
}

/* ------------------------------------------------------------------------------------------- expectations */

/** Fail unless the whole check names this invariant, at this address. */
static void expect_named(const struct fixture *fixture, const char *name, uint64_t at)
{
    uint64_t address = UINT64_MAX;
    const char *broken = kva_engine_rb.check(fixture->map, &address);

    check_that(broken != NULL, "%s was broken, the check reports nothing", name);
    check_that(strncmp(broken, name, strlen(name)) == 0, "%s was broken, the check reports %s", name, broken);
    check_that(address == at, "%s: broken at %#" PRIx64 ", reported at %#" PRIx64, broken, at, address);
}

/** The same for the check of the neighbourhood of `near`. */
static void expect_named_near(const struct fixture *fixture, uint64_t near, const char *name, uint64_t at)
{
    uint64_t address = UINT64_MAX;
    const char *broken = kva_engine_rb.check_near(fixture->map, near, &address);

    check_that(broken != NULL, "%s was broken near %#" PRIx64 ", the check reports nothing", name, near);
    check_that(strncmp(broken, name, strlen(name)) == 0, "%s was broken, the check reports %s", name, broken);
    check_that(address == at, "%s: broken at %#" PRIx64 ", reported at %#" PRIx64, broken, at, address);
}

/* --------------------------------------------------------------------------------------------- I1, I2, I3 */

static void a_gap(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    fixture.a->last -= 4;
    expect_named(&fixture, "I1", 0x20);
    expect_named_near(&fixture, 0x20, "I1", 0x1f);
    tear_down(&fixture);
}

static void an_overlap(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    fixture.a->last += 4;
    expect_named(&fixture, "I1", 0x20);
    expect_named_near(&fixture, 0x20, "I1", 0x20);
    tear_down(&fixture);
}

static void a_reversed_segment(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    fixture.b->last = fixture.b->start - 1;
    expect_named(&fixture, "I1", 0x30);
    tear_down(&fixture);
}

static void a_space_that_ends_elsewhere(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    fixture.map->last += 4;
    expect_named(&fixture, "I1", 0x70);
    fixture.map->last -= 8;
    expect_named(&fixture, "I1", 0x70);
    tear_down(&fixture);
    set_up(&fixture);
    fixture.map->first += 4;
    expect_named(&fixture, "I1", 0);
    tear_down(&fixture);
}

static void a_missed_quantum(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    fixture.a->last += 2;
    fixture.hole[1]->start += 2;
    fixture.hole[1]->largest = kva_rb_largest_of(fixture.hole[1]);
    expect_named_near(&fixture, 0x10, "I2", 0x10);
    tear_down(&fixture);
}

/* A hole is cut in two, properly except for I3; the tally includes both. */
static void adjacent_holes(void **state)
{
    struct fixture fixture;
    struct rb_segment *left;
    (void)state;
    set_up(&fixture);
    assert_true(kva_nodes_ensure(&fixture.rb->nodes, 1));
    left = kva_nodes_pop(&fixture.rb->nodes);
    left->start = 0x50;
    left->last = 0x57;
    kva_rb_hole_set_start(fixture.hole[2], 0x58);
    kva_rb_holes_insert_before(fixture.rb, left, fixture.hole[2]);
    expect_named(&fixture, "I3", 0x58);
    expect_named_near(&fixture, 0x50, "I3", 0x58);
    expect_named_near(&fixture, 0x58, "I3", 0x58);
    tear_down(&fixture);
}

/* ------------------------------------------------------------------------------------------------- I4, I5 */

static void every_wrong_maximum(void **state)
{
    struct fixture fixture;
    (void)state;
    for (size_t i = 0; i < HOLES; i++) {
        for (int wrong = -1; wrong <= 1; wrong += 2) {
            set_up(&fixture);
            fixture.hole[i]->largest += (uint64_t)wrong;
            uint64_t address;
            const char *broken = kva_engine_rb.check(fixture.map, &address);
            check_that(broken != NULL && strncmp(broken, "I4", 2) == 0,
                       "maximum %zu is wrong by %d; I4 expected, the check reports %s", i, wrong,
                       broken != NULL ? broken : "nothing");
            broken = kva_engine_rb.check_near(fixture.map, fixture.hole[i]->start, &address);
            check_that(broken != NULL && strncmp(broken, "I4", 2) == 0,
                       "maximum %zu is wrong by %d; I4 expected, the check of the neighbourhood reports %s",
                       i, wrong, broken != NULL ? broken : "nothing");
            tear_down(&fixture);
        }
    }
}

static void every_wrong_count(void **state)
{
    struct fixture fixture;
    (void)state;
    for (int kind = KVA_FREE; kind <= KVA_DEFERRED; kind++) {
        set_up(&fixture);
        fixture.map->tally.bytes[kind]++;
        expect_named(&fixture, "I5", 0);
        fixture.map->tally.bytes[kind]--;
        fixture.map->tally.segments[kind]--;
        expect_named(&fixture, "I5", 0);
        tear_down(&fixture);
    }
}

/* ------------------------------------------------------------------------------------------------- I6, I7 */

static void a_hole_that_is_not_listed(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    list_remove(&fixture.hole[1]->order);
    expect_named(&fixture, "I6", 0x20);
    tear_down(&fixture);
}

static void a_list_out_of_order(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    list_remove(&fixture.hole[1]->order);
    list_insert_after(&fixture.hole[2]->order, &fixture.hole[1]->order);
    expect_named(&fixture, "I6", 0x20);
    tear_down(&fixture);
}

static void a_list_with_a_broken_back_link(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    fixture.hole[2]->order.prev = &fixture.hole[0]->order;
    expect_named(&fixture, "I6", 0x50);
    tear_down(&fixture);
}

static void a_listed_hole_that_is_in_no_tree(void **state)
{
    struct rb_segment stray;
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    list_insert_before(&fixture.rb->order, &stray.order);
    expect_named(&fixture, "I6", 0);
    tear_down(&fixture);
}

/* In both trees, a red node turned black makes paths uneven; a black one turned red makes two reds or uneven
 * paths. */
static void a_wrong_colour(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    struct rb_segment *segment[] = {fixture.hole[0], fixture.hole[1], fixture.hole[2], fixture.hole[3],
                                    fixture.a,       fixture.b,       fixture.c,       fixture.deferred};
    for (size_t i = 0; i < sizeof(segment) / sizeof(segment[0]); i++) {
        uint64_t address;
        segment[i]->link.parent_and_colour ^= 1;
        const char *broken = kva_engine_rb.check(fixture.map, &address);
        check_that(broken != NULL && broken[0] == 'T',
                   "the colour of segment %zu is wrong; T1 to T3 expected, the check reports %s", i,
                   broken != NULL ? broken : "nothing");
        segment[i]->link.parent_and_colour ^= 1;
    }
    tear_down(&fixture);
}

static void a_deferred_segment_that_is_not_listed(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    /* It must still look deferred; otherwise the tally would be wrong. */
    struct kva_list kept = fixture.deferred->order;
    list_remove(&fixture.deferred->order);
    fixture.deferred->order = kept;
    expect_named(&fixture, "I7", 0);
    tear_down(&fixture);
}

static void a_deferred_segment_marked_with_the_other_epoch(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture);
    rb_set_mark(&fixture.deferred->link, true);
    expect_named(&fixture, "I7", 0x40);
    tear_down(&fixture);
}

static void a_stray_deferred_segment(void **state)
{
    struct fixture fixture;
    struct rb_segment stray = {.start = 0x44, .last = 0x47};
    (void)state;
    set_up(&fixture);
    list_insert_after(&fixture.rb->deferred[0], &stray.order);
    expect_named(&fixture, "I7", 0x44);
    tear_down(&fixture);
}

static void a_deferred_list_with_a_broken_back_link(void **state)
{
    struct fixture fixture;
    struct kva_list elsewhere;
    (void)state;
    set_up(&fixture);
    list_init(&elsewhere);
    fixture.deferred->order.prev = &elsewhere;
    expect_named(&fixture, "I7", 0x40);
    tear_down(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gap),
        cmocka_unit_test(an_overlap),
        cmocka_unit_test(a_reversed_segment),
        cmocka_unit_test(a_space_that_ends_elsewhere),
        cmocka_unit_test(a_missed_quantum),
        cmocka_unit_test(adjacent_holes),
        cmocka_unit_test(every_wrong_maximum),
        cmocka_unit_test(every_wrong_count),
        cmocka_unit_test(a_hole_that_is_not_listed),
        cmocka_unit_test(a_list_out_of_order),
        cmocka_unit_test(a_list_with_a_broken_back_link),
        cmocka_unit_test(a_listed_hole_that_is_in_no_tree),
        cmocka_unit_test(a_wrong_colour),
        cmocka_unit_test(a_deferred_segment_that_is_not_listed),
        cmocka_unit_test(a_deferred_segment_marked_with_the_other_epoch),
        cmocka_unit_test(a_stray_deferred_segment),
        cmocka_unit_test(a_deferred_list_with_a_broken_back_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
