/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * How far a changed maximum propagates (rb_holes.c, PROPAGATION), and how far a search reads.
 *
 * Both stop early, which results do not show. Therefore everything that must not be reached is POISONED: its
 * cached maximum, or its range, is overwritten with a value that would show in the result, and must still be
 * there afterwards.
 *
 *               root    poisoned: above the first ancestor whose maximum stays
 *              /    \
 *            U       .  U stays: it is read, and nothing is written
 *           / \
 *          A   s        s: poisoned unless A's maximum came from below and shrank, because only then
 *         / \              the other child must be read
 *        H   s          H changes: both of its children are read
 */
#include "../common/harness.h"

#include "../../ports/test/failing_memory.h"
#include "engine/rb_map.h"

#include <kva/engine.h>

#define HOLES 200
#define ROOM 64 /* each hole has so many addresses, some of them for the busy segment after it */

struct fixture {
    struct kva_failing_memory memory;
    struct kva_address_map *map;
    struct rb_map *rb;
    struct rb_segment *hole[HOLES]; /* by address */
};

/** Make the range [start, last] busy. */
static void occupy(struct kva_address_map *map, uint64_t start, uint64_t last)
{
    struct kva_place place;

    assert_int_equal(kva_engine_rb.locate(map, start, last, &place), KVA_OK);
    assert_int_equal(kva_engine_rb.occupy(map, &place, NULL), KVA_OK);
}

static void expect_sound(const struct fixture *fixture)
{
    uint64_t address = 0;
    const char *broken = kva_engine_rb.check(fixture->map, &address);

    check_that(broken == NULL, "the check reports %s at %" PRIu64, broken, address);
}

/** An address map with holes of the given sizes, each ROOM from the last. */
static void set_up(struct fixture *fixture, const uint64_t size[HOLES])
{
    struct kva_address_map common = {
        .engine = &kva_engine_rb, .ledger.memory = kva_failing_memory_init(&fixture->memory), .quantum = 1};
    size_t count = 0;

    common.last = (uint64_t)HOLES * ROOM - 1;
    assert_int_equal(kva_engine_rb.create(&common, &fixture->map), KVA_OK);
    fixture->rb = (struct rb_map *)fixture->map;
    for (uint64_t i = 0; i < HOLES; i++)
        occupy(fixture->map, i * ROOM + size[i], i * ROOM + ROOM - 1);
    for (struct kva_list *link = fixture->rb->order.next; link != &fixture->rb->order; link = link->next)
        fixture->hole[count++] = segment_of_order(link);
    assert_int_equal(count, HOLES);
    expect_sound(fixture);
}

static void tear_down(struct fixture *fixture)
{
    expect_sound(fixture);
    kva_engine_rb.destroy(fixture->map);
}

/* -------------------------------------------------------------------------------------------- propagation */

/** All cached maxima, by address. */
struct maxima {
    uint64_t of[HOLES];
};

static struct maxima read_maxima(const struct fixture *fixture)
{
    struct maxima maxima;

    for (size_t i = 0; i < HOLES; i++)
        maxima.of[i] = fixture->hole[i]->largest;
    return maxima;
}

static void write_maxima(const struct fixture *fixture, const struct maxima *maxima)
{
    for (size_t i = 0; i < HOLES; i++)
        fixture->hole[i]->largest = maxima->of[i];
}

static void compute_maxima(struct kva_rb_node *node)
{
    if (node == NULL)
        return;
    compute_maxima(node->child[KVA_RB_LEFT]);
    compute_maxima(node->child[KVA_RB_RIGHT]);
    segment_of_link(node)->largest = kva_rb_largest_of(segment_of_link(node));
}

static size_t index_of(const struct rb_segment *hole)
{
    return (size_t)(hole->start / ROOM);
}

static struct kva_rb_node *sibling_of(const struct kva_rb_node *child, const struct kva_rb_node *parent)
{
    return parent->child[parent->child[KVA_RB_LEFT] == child ? KVA_RB_RIGHT : KVA_RB_LEFT];
}

/** Poison what the propagation from `hole` must not reach, given all maxima before and after, and record in
 * `expected` what must be found afterwards. Returns how many were poisoned. */
static size_t poison(struct rb_segment *hole, const struct maxima *before, const struct maxima *after,
                     uint64_t poison_value, struct maxima *expected)
{
    size_t poisoned = 0;
    bool stopped = before->of[index_of(hole)] == after->of[index_of(hole)];
    const struct kva_rb_node *child = &hole->link;

    *expected = *after;
    for (struct kva_rb_node *link = rb_parent(child); link != NULL; child = link, link = rb_parent(link)) {
        struct rb_segment *ancestor = segment_of_link(link);
        size_t at = index_of(ancestor);
        size_t below = index_of(segment_of_link(child));
        struct kva_rb_node *sibling = sibling_of(child, link);
        bool came_from_below = before->of[below] == before->of[at];
        bool shrank = after->of[below] < before->of[at];
        struct rb_segment *victim = NULL;

        if (stopped)
            victim = ancestor;
        else if (sibling != NULL && !(came_from_below && shrank))
            victim = segment_of_link(sibling);
        if (victim != NULL) {
            victim->largest = poison_value;
            expected->of[index_of(victim)] = poison_value;
            poisoned++;
        }
        stopped = stopped || before->of[at] == after->of[at];
    }
    return poisoned;
}

/** Let one hole end at `last`, among poison; then restore everything. Returns how many maxima were
 * poisoned. */
static size_t change_among_poison(struct fixture *fixture, size_t index, uint64_t last, uint64_t poison_value)
{
    struct rb_segment *hole = fixture->hole[index];
    uint64_t old_last = hole->last;
    struct maxima before = read_maxima(fixture);
    struct maxima after, expected;
    size_t poisoned;

    hole->last = last;
    compute_maxima(fixture->rb->holes.root);
    after = read_maxima(fixture);

    hole->last = old_last;
    write_maxima(fixture, &before);
    poisoned = poison(hole, &before, &after, poison_value, &expected);
    kva_rb_hole_set_last(hole, last);
    for (size_t i = 0; i < HOLES; i++) {
        check_that(fixture->hole[i]->largest == expected.of[i],
                   "hole %zu from %" PRIu64 " to %" PRIu64 ": maximum %zu is %" PRIu64 ", not %" PRIu64,
                   index, old_last - hole->start, last - hole->start, i, fixture->hole[i]->largest,
                   expected.of[i]);
    }
    hole->last = old_last;
    write_maxima(fixture, &before);
    return poisoned;
}

/** Change every hole to every size, with poison that is too small and poison that is too large. */
static void change_everything(const uint64_t size[HOLES])
{
    struct fixture fixture;
    uint64_t poisoned = 0;

    set_up(&fixture, size);
    for (size_t i = 0; i < HOLES; i++) {
        for (uint64_t extent = 0; extent < ROOM - 1; extent++) {
            poisoned += change_among_poison(&fixture, i, fixture.hole[i]->start + extent, 0);
            poisoned += change_among_poison(&fixture, i, fixture.hole[i]->start + extent, UINT64_MAX);
        }
    }
    print_message("%" PRIu64 " maxima poisoned, all passed by\n", poisoned);
    assert_true(poisoned > (uint64_t)HOLES * ROOM);
    tear_down(&fixture);
}

static void random_sizes(void **state)
{
    struct test_rng rng = test_rng_of(41);
    uint64_t size[HOLES];
    (void)state;
    for (size_t i = 0; i < HOLES; i++)
        size[i] = 1 + test_below(&rng, ROOM - 2);
    change_everything(size);
}

/* Ties: half of the holes have the size of the largest. */
static void equal_sizes(void **state)
{
    struct test_rng rng = test_rng_of(42);
    uint64_t size[HOLES];
    (void)state;
    for (size_t i = 0; i < HOLES; i++)
        size[i] = test_one_in(&rng, 2) ? ROOM / 2 : ROOM / 4;
    change_everything(size);
}

static void rising_sizes(void **state)
{
    uint64_t size[HOLES];
    (void)state;
    for (size_t i = 0; i < HOLES; i++)
        size[i] = 1 + i * (ROOM - 2) / HOLES;
    change_everything(size);
}

/* The same through the engine: an allocation in a small hole among large ones writes no ancestor. */
static void a_small_allocation_writes_no_ancestor(void **state)
{
    struct fixture fixture;
    uint64_t size[HOLES];
    struct maxima before;
    size_t tried = 0;
    struct test_rng rng = test_rng_of(43);
    (void)state;

    for (size_t i = 0; i < HOLES; i++)
        size[i] = test_one_in(&rng, 2) ? ROOM - 4 : 8;
    set_up(&fixture, size);
    for (size_t i = 0; i < HOLES; i++) {
        struct rb_segment *hole = fixture.hole[i];
        struct kva_rb_node *link = rb_parent(&hole->link);
        if (hole->largest != 7 || segment_of_link(link)->largest == 7)
            continue;
        tried++;
        before = read_maxima(&fixture);
        while ((link = rb_parent(link)) != NULL)
            segment_of_link(link)->largest = 0;
        occupy(fixture.map, hole->start, hole->start + 1); /* left edge: the hole's start moves */
        for (link = rb_parent(rb_parent(&hole->link)); link != NULL; link = rb_parent(link))
            assert_int_equal(segment_of_link(link)->largest, 0);
        before.of[i] = hole->largest;
        assert_int_equal(hole->largest, kva_rb_largest_of(hole));
        write_maxima(&fixture, &before);
        expect_sound(&fixture);
    }
    check_that(tried > HOLES / 10, "only %zu holes are small and their parents' maximum is not", tried);
    tear_down(&fixture);
}

/* ------------------------------------------------------------------------------------------------- search */

/** Make a hole that no search may read satisfy every search. */
static void lure(struct rb_segment *hole, const struct kva_demand *demand)
{
    hole->start = demand->min;
    hole->last = demand->max;
}

/* A window without room in the middle: the holes after it are not read, except the first, which tells the
 * search that it has left the window. */
static void a_search_ends_with_its_window(void **state)
{
    enum { LOW = 80, HIGH = 120 };
    struct fixture fixture;
    uint64_t size[HOLES];
    (void)state;

    /* Holes of 16 addresses from an odd start: long enough, but never aligned to 16. */
    for (size_t i = 0; i < HOLES; i++)
        size[i] = 17;
    set_up(&fixture, size);
    for (uint64_t i = 0; i < HOLES; i++)
        occupy(fixture.map, i * ROOM, i * ROOM);
    for (int policy = KVA_LOWEST; policy <= KVA_HIGHEST; policy++) {
        struct kva_demand demand = {.size = 16, .align = 16, .policy = (enum kva_policy)policy};
        struct rb_segment kept[HOLES];
        struct kva_place place;
        demand.min = (uint64_t)LOW * ROOM;
        demand.max = (uint64_t)HIGH * ROOM - 1;
        for (size_t i = 0; i < HOLES; i++) {
            kept[i] = *fixture.hole[i];
            if (policy == KVA_LOWEST ? i > HIGH : i + 1 < LOW)
                lure(fixture.hole[i], &demand);
        }
        assert_false(kva_rb_holes_search(fixture.rb, &demand, &place));
        for (size_t i = 0; i < HOLES; i++)
            *fixture.hole[i] = kept[i];
    }
    tear_down(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_sizes),
        cmocka_unit_test(equal_sizes),
        cmocka_unit_test(rising_sizes),
        cmocka_unit_test(a_small_allocation_writes_no_ancestor),
        cmocka_unit_test(a_search_ends_with_its_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
