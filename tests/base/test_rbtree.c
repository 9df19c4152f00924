/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The augmented red-black tree.
 *
 * EXHAUSTIVE PART   From the empty tree on, every insertion and every removal is applied to every shape
 *   found, until no new shape of up to 10 nodes appears. Then every sound tree of up to 8 nodes was visited:
 *   their number is computed independently and compared. A shape is written as its nodes in preorder, 'r' or
 *   'b' for a node and '.' for a missing child. From this code ("br..r..") the tree is rebuilt for each case.
 *   Each case runs with many assignments of values to nodes, because the behaviour of a cached maximum
 *   depends on the places of the large values.
 *
 * THE CHECKER HERE is independent of kva_rb_check: it recurses, counts black nodes on every path, and
 *   recomputes each cached maximum from the values.
 */
#include "../common/harness.h"

#include <stdlib.h>
#include <string.h>

#include "base/rbtree.h"

#define PROMISED 8                 /* every sound shape of at most so many nodes is visited */
#define SMALL 10                   /* nodes; some shapes of 7 and 8 arise only by removals from 10 */
#define ITEMS (SMALL + 1)          /* one more is inserted into it */
#define CODE_BYTES (2 * ITEMS + 2) /* a letter per node, a dot per missing child, and the end */

struct item {
    unsigned value;
    unsigned max; /* cached: the largest value in the subtree */
    struct kva_rb_node rb;
    bool marked; /* the expected mark of its node */
};

static struct item *item_of(const struct kva_rb_node *node)
{
    return kva_container_of(node, struct item, rb);
}

/* ------------------------------------------------------------------------------------------- augmentation */

static struct {
    unsigned propagations; /* calls of propagate */
    unsigned steps;        /* nodes that they read */
    unsigned rotations;
} counted;

static unsigned max_of_children(const struct kva_rb_node *node)
{
    unsigned max = 0;
    for (int side = 0; side < 2; side++) {
        if (node->child[side] != NULL && item_of(node->child[side])->max > max)
            max = item_of(node->child[side])->max;
    }
    return max;
}

static unsigned true_max(const struct kva_rb_node *node)
{
    unsigned below = max_of_children(node);
    return item_of(node)->value > below ? item_of(node)->value : below;
}

static void propagate(struct kva_rb_node *node, struct kva_rb_node *stop)
{
    counted.propagations++;
    for (; node != stop; node = rb_parent(node)) {
        unsigned max = true_max(node);
        counted.steps++;
        if (item_of(node)->max == max)
            return;
        item_of(node)->max = max;
    }
}

static void copy(const struct kva_rb_node *from, struct kva_rb_node *to)
{
    item_of(to)->max = item_of(from)->max;
}

static void rotated(struct kva_rb_node *down, struct kva_rb_node *up)
{
    counted.rotations++;
    assert_true(up->child[0] == down || up->child[1] == down);
    item_of(up)->max = item_of(down)->max;
    item_of(down)->max = true_max(down);
}

static const struct kva_rb_augment augment = {propagate, copy, rotated};

/* -------------------------------------------------------------------------------- the independent checker */

enum { BROKEN_T1 = 1, BROKEN_T2 = 2, BROKEN_T3 = 4, BROKEN_MAX = 8 };

static bool is_black(const struct kva_rb_node *node)
{
    return node == NULL || (node->parent_and_colour & 1) == 1;
}

/** The rules broken at and below `node`, and the number of black nodes on the way down. */
static unsigned examine(const struct kva_rb_node *node, const struct kva_rb_node *parent, unsigned *blacks)
{
    unsigned broken = 0, black[2];

    *blacks = 0;
    if (node == NULL)
        return 0;
    for (int side = 0; side < 2; side++) {
        broken |= examine(node->child[side], node, &black[side]);
        if (!is_black(node) && !is_black(node->child[side]))
            broken |= BROKEN_T1;
    }
    if (black[0] != black[1])
        broken |= BROKEN_T2;
    if (rb_parent(node) != parent)
        broken |= BROKEN_T3;
    if (item_of(node)->max != true_max(node))
        broken |= BROKEN_MAX;
    *blacks = black[0] + is_black(node);
    return broken;
}

static unsigned examine_tree(const struct kva_rb_tree *tree)
{
    unsigned blacks;
    return examine(tree->root, NULL, &blacks) | (is_black(tree->root) ? 0 : BROKEN_T1);
}

/** The tree is sound and contains these items in this order, walked both ways. */
static void expect_tree(const struct kva_rb_tree *tree, struct item *const *order, size_t count,
                        const char *code)
{
    const struct kva_rb_node *at = NULL;
    const struct kva_rb_node *node = kva_rb_outermost(tree, KVA_RB_LEFT);
    const struct kva_rb_node *back = kva_rb_outermost(tree, KVA_RB_RIGHT);
    const char *broken = kva_rb_check(tree, &at);
    unsigned mine = examine_tree(tree);

    if (tree->augment == NULL)
        mine &= ~(unsigned)BROKEN_MAX;
    check_that(broken == NULL, "shape %s: the check reports %s", code, broken);
    check_that(mine == 0, "shape %s: the rules %#x are broken", code, mine);
    for (size_t i = 0; i < count; i++) {
        check_that(node == &order[i]->rb, "shape %s: wrong node at %zu, upwards", code, i);
        check_that(back == &order[count - 1 - i]->rb, "shape %s: wrong node at %zu, downwards", code, i);
        check_that(rb_is_marked(node) == order[i]->marked, "shape %s: wrong mark at %zu", code, i);
        node = kva_rb_neighbour(node, KVA_RB_RIGHT);
        back = kva_rb_neighbour(back, KVA_RB_LEFT);
    }
    assert_null(node);
    assert_null(back);
}

/* --------------------------------------------------------------------------------- shapes and their codes */

struct fixture {
    struct kva_rb_tree tree;
    struct item items[ITEMS];
    struct item *order[ITEMS]; /* the items in the tree, in order */
    size_t count;
};

/** Build the subtree that `code` describes; returns the rest of the code. */
static const char *build(struct fixture *fixture, const char *code, struct kva_rb_node *parent,
                         struct kva_rb_node **link, size_t *used)
{
    struct item *item;

    *link = NULL;
    if (*code == '.')
        return code + 1;
    item = &fixture->items[(*used)++];
    item->rb.parent_and_colour = (uintptr_t)parent | (*code == 'b');
    *link = &item->rb;
    code = build(fixture, code + 1, &item->rb, &item->rb.child[0], used);
    fixture->order[fixture->count++] = item;
    return build(fixture, code, &item->rb, &item->rb.child[1], used);
}

static char *encode(const struct kva_rb_node *node, char *code)
{
    if (node == NULL) {
        *code++ = '.';
        return code;
    }
    *code++ = is_black(node) ? 'b' : 'r';
    return encode(node->child[1], encode(node->child[0], code));
}

static void set_maxima(struct kva_rb_node *node)
{
    if (node == NULL)
        return;
    set_maxima(node->child[0]);
    set_maxima(node->child[1]);
    item_of(node)->max = true_max(node);
}

/** The value of the item at `place` of `count` in the `pattern`-th assignment: rising, falling, all equal,
 * one large value at each place in turn, then random ones with many ties. */
static unsigned value_of(size_t pattern, size_t place, size_t count)
{
    if (pattern == 0)
        return (unsigned)place + 1;
    if (pattern == 1)
        return (unsigned)(count - place);
    if (pattern == 2)
        return 5;
    if (pattern < 3 + count)
        return place == pattern - 3 ? 9 : 1;
    struct test_rng rng = test_rng_of(pattern * ITEMS + place);
    return 1 + (unsigned)test_below(&rng, 3);
}

static size_t patterns(size_t count)
{
    return 3 + count + 6;
}

/** Build `code`. `left_out` is the future place of an item that is not yet inserted, or ITEMS. */
static void make(struct fixture *fixture, const char *code, size_t pattern, size_t left_out, bool augmented)
{
    size_t used = 0;
    memset(fixture, 0, sizeof(*fixture));
    fixture->tree.augment = augmented ? &augment : NULL;
    (void)build(fixture, code, NULL, &fixture->tree.root, &used);
    size_t total = fixture->count + (left_out < ITEMS);
    for (size_t i = 0; i < fixture->count; i++) {
        fixture->order[i]->value = value_of(pattern, i + (i >= left_out), total);
        fixture->order[i]->marked = (pattern * 5 + i) % 3 == 0;
        rb_set_mark(&fixture->order[i]->rb, fixture->order[i]->marked);
    }
    set_maxima(fixture->tree.root);
    memset(&counted, 0, sizeof(counted));
}

/* -------------------------------------------------------------------------------- one case, and all cases */

/** Insert a new item as number `place` in order. */
static void insert_at(struct fixture *fixture, struct item *item, size_t place)
{
    struct kva_rb_node *parent = NULL;
    enum kva_rb_side side = KVA_RB_LEFT;

    if (place < fixture->count && fixture->order[place]->rb.child[0] == NULL) {
        parent = &fixture->order[place]->rb;
    } else if (fixture->count != 0) {
        parent = &fixture->order[place - 1]->rb; /* the item before it has no right child in that case */
        side = KVA_RB_RIGHT;
    }
    item->max = item->value;
    memmove(&fixture->order[place + 1], &fixture->order[place],
            (fixture->count - place) * sizeof(fixture->order[0]));
    fixture->order[place] = item;
    fixture->count++;
    kva_rb_insert(&fixture->tree, &item->rb, parent, side);
}

static void try_insert(struct fixture *fixture, const char *code, size_t pattern, size_t place,
                       bool augmented)
{
    make(fixture, code, pattern, place, augmented);
    struct item *item = &fixture->items[ITEMS - 1];
    item->value = value_of(pattern, place, fixture->count + 1);
    rb_set_mark(&item->rb, true); /* the insertion must clear it */
    insert_at(fixture, item, place);
    expect_tree(&fixture->tree, fixture->order, fixture->count, code);
    check_that(counted.rotations <= 2, "%u rotations, at most 2 expected; insert at %zu of %s",
               counted.rotations, place, code);
    check_that(counted.propagations <= 1, "%u propagations, at most 1 expected; insert at %zu of %s",
               counted.propagations, place, code);
}

static void try_erase(struct fixture *fixture, const char *code, size_t pattern, size_t place, bool augmented)
{
    make(fixture, code, pattern, ITEMS, augmented);
    struct item *item = fixture->order[place];
    fixture->count--;
    memmove(&fixture->order[place], &fixture->order[place + 1],
            (fixture->count - place) * sizeof(fixture->order[0]));
    kva_rb_erase(&fixture->tree, &item->rb);
    expect_tree(&fixture->tree, fixture->order, fixture->count, code);
    check_that(counted.rotations <= 3, "%u rotations, at most 3 expected; erase %zu of %s", counted.rotations,
               place, code);
    check_that(counted.propagations <= 2, "%u propagations, at most 2 expected; erase %zu of %s",
               counted.propagations, place, code);
}

struct shapes {
    char code[1024][CODE_BYTES];
    size_t count;
};

static void add_shape(struct shapes *shapes, const struct fixture *fixture)
{
    char code[CODE_BYTES];

    if (fixture->count > SMALL)
        return;
    *encode(fixture->tree.root, code) = '\0';
    for (size_t i = 0; i < shapes->count; i++) {
        if (strcmp(shapes->code[i], code) == 0)
            return;
    }
    assert_true(shapes->count < 1024);
    strcpy(shapes->code[shapes->count++], code);
}

static size_t nodes_in(const char *code)
{
    size_t count = 0;
    for (; *code != '\0'; code++)
        count += *code != '.';
    return count;
}

typedef void try_case(struct fixture *fixture, const char *code, size_t pattern, size_t place,
                      bool augmented);

/** One change of one shape: with every assignment of values, and on a plain tree. */
static uint64_t try_all_values(struct shapes *shapes, try_case *try, const char *code, size_t place,
                               size_t nodes)
{
    struct fixture fixture;
    size_t pattern;

    for (pattern = 0; pattern < patterns(nodes); pattern++)
        try(&fixture, code, pattern, place, true);
    try(&fixture, code, 0, place, false);
    add_shape(shapes, &fixture);
    return pattern + 1;
}

/** The number of trees of `nodes` nodes that satisfy T1 and T2, with `blacks` black nodes on each path and a
 * root that is black (or missing), or red: the sum over all numbers of nodes in the left subtree. */
static size_t sound_trees(size_t nodes, size_t blacks, bool black)
{
    size_t count = 0;

    if (nodes == 0)
        return black && blacks == 0;
    if (black && blacks == 0)
        return 0;
    size_t below = blacks - (black ? 1 : 0);
    for (size_t left = 0; left < nodes; left++) {
        size_t right = nodes - 1 - left;
        size_t lefts = sound_trees(left, below, true) + (black ? sound_trees(left, below, false) : 0);
        size_t rights = sound_trees(right, below, true) + (black ? sound_trees(right, below, false) : 0);
        count += lefts * rights;
    }
    return count;
}

static size_t sound_trees_of_any_height(size_t nodes)
{
    size_t count = 0;
    for (size_t blacks = 0; blacks <= nodes; blacks++)
        count += sound_trees(nodes, blacks, true);
    return count;
}

static void every_change_of_every_small_shape(void **state)
{
    static struct shapes shapes;
    size_t by_size[SMALL + 1] = {0};
    uint64_t cases = 0;
    (void)state;

    strcpy(shapes.code[0], ".");
    shapes.count = 1;
    for (size_t i = 0; i < shapes.count; i++) { /* grows during the loop: a breadth-first search */
        const char *code = shapes.code[i];
        size_t nodes = nodes_in(code);
        by_size[nodes]++;
        for (size_t place = 0; place <= nodes; place++)
            cases += try_all_values(&shapes, try_insert, code, place, nodes + 1);
        for (size_t place = 0; place < nodes; place++)
            cases += try_all_values(&shapes, try_erase, code, place, nodes);
    }
    print_message("visited %zu red-black shapes of up to %d nodes in %" PRIu64 " cases; by size:",
                  shapes.count, SMALL, cases);
    for (size_t i = 0; i <= SMALL; i++)
        print_message(" %zu", by_size[i]);
    print_message("\n");
    for (size_t i = 0; i <= PROMISED; i++)
        assert_int_equal(by_size[i], sound_trees_of_any_height(i));
}

/* -------------------------------------------------------------------------------------------- large trees */

#define LARGE 3000

struct forest {
    struct kva_rb_tree tree;
    struct item items[LARGE];
    bool present[LARGE]; /* the index of an item is its order */
    size_t count;
};

static void plant(struct forest *forest, size_t index)
{
    struct item *item = &forest->items[index];
    struct kva_rb_node *parent = NULL;
    struct kva_rb_node *node = forest->tree.root;
    enum kva_rb_side side = KVA_RB_LEFT;

    while (node != NULL) {
        parent = node;
        side = item > item_of(node) ? KVA_RB_RIGHT : KVA_RB_LEFT;
        node = node->child[side];
    }
    item->max = item->value;
    kva_rb_insert(&forest->tree, &item->rb, parent, side);
    forest->present[index] = true;
    forest->count++;
}

static void fell(struct forest *forest, size_t index)
{
    kva_rb_erase(&forest->tree, &forest->items[index].rb);
    forest->present[index] = false;
    forest->count--;
}

static unsigned height_of(const struct kva_rb_node *node)
{
    if (node == NULL)
        return 0;
    unsigned left = height_of(node->child[0]), right = height_of(node->child[1]);
    return 1 + (left > right ? left : right);
}

static void expect_forest(const struct forest *forest)
{
    static struct item *order[LARGE];
    size_t count = 0;
    unsigned binary_digits = 0;

    for (size_t i = 0; i < LARGE; i++) {
        if (forest->present[i])
            order[count++] = (struct item *)&forest->items[i];
    }
    assert_int_equal(count, forest->count);
    expect_tree(&forest->tree, order, count, "(a large tree)");
    for (size_t n = count + 1; n != 0; n /= 2)
        binary_digits++;
    assert_true(height_of(forest->tree.root) <= 2 * binary_digits);
}

static void random_changes_of_large_trees(void **state)
{
    static struct forest forest;
    struct test_rng rng = test_rng_of(2);
    uint64_t changes = test_scaled(60000);
    (void)state;

    memset(&forest, 0, sizeof(forest));
    forest.tree.augment = &augment;
    for (uint64_t i = 0; i < changes; i++) {
        size_t index = (size_t)test_below(&rng, LARGE);
        forest.items[index].value =
            forest.present[index] ? forest.items[index].value : 1 + (unsigned)test_below(&rng, 1000);
        if (forest.present[index])
            fell(&forest, index);
        else
            plant(&forest, index);
        if (i % 128 == 0)
            expect_forest(&forest);
    }
    expect_forest(&forest);
}

/* Sorted insertion, and removal from one end, unbalance one side of the tree only. */
static void sorted_changes_of_large_trees(void **state)
{
    static struct forest forest;
    (void)state;
    memset(&forest, 0, sizeof(forest));
    forest.tree.augment = &augment;
    for (size_t i = 0; i < LARGE; i++) {
        forest.items[i].value = (unsigned)i + 1;
        plant(&forest, i);
    }
    expect_forest(&forest);
    for (size_t i = 0; i < LARGE; i++) {
        fell(&forest, i % 2 == 0 ? i / 2 : LARGE - 1 - i / 2);
        if (i % 64 == 0)
            expect_forest(&forest);
    }
    assert_null(forest.tree.root);
}

/* If no ancestor's maximum depends on a value, it must not propagate to the root. */
static void propagation_stops_where_nothing_changes(void **state)
{
    static struct forest forest;
    (void)state;
    memset(&forest, 0, sizeof(forest));
    forest.tree.augment = &augment;
    for (size_t i = 0; i < LARGE; i += 2) {
        forest.items[i].value = 100;
        plant(&forest, i);
    }
    for (size_t i = 1; i < LARGE; i += 2) {
        forest.items[i].value = 1;
        memset(&counted, 0, sizeof(counted));
        plant(&forest, i);
        check_that(counted.propagations == 1 && counted.steps == 1,
                   "insert %zu: 1 call and 1 step expected, %u and %u found", i, counted.propagations,
                   counted.steps);
    }
    for (size_t i = 1; i < LARGE; i += 2) {
        memset(&counted, 0, sizeof(counted));
        fell(&forest, i);
        check_that(counted.propagations <= 2 && counted.steps <= 4,
                   "erase %zu: at most 2 calls and 4 steps expected, %u and %u found", i,
                   counted.propagations, counted.steps);
    }
    expect_forest(&forest);
}

/* --------------------------------------------------------------------------- the checker, put to the test */

#define SOUND "brbr...b.r..br..r.."
#define SOUND_NODES 9 /* nine nodes: both colours at inner nodes and at leaves */

/** kva_rb_check names a rule that is broken, and a place. */
static void expect_named(const struct kva_rb_tree *tree)
{
    static const char *const names[] = {"T1", "T2", "T3"};
    const struct kva_rb_node *at = NULL;
    const char *broken = kva_rb_check(tree, &at);
    unsigned mine = examine_tree(tree);
    bool named = false;

    assert_non_null(broken);
    assert_non_null(at);
    for (unsigned i = 0; i < 3; i++) {
        if (strncmp(broken, names[i], 2) == 0)
            named = (mine & (1U << i)) != 0;
    }
    check_that(named, "the check reports \"%s\", but broken are %#x", broken, mine);
}

static void the_checker_accepts_the_sound_tree(void **state)
{
    struct fixture fixture;
    (void)state;
    make(&fixture, SOUND, 0, ITEMS, true);
    assert_int_equal(fixture.count, SOUND_NODES);
    expect_tree(&fixture.tree, fixture.order, fixture.count, SOUND);
}

static void the_checker_names_a_wrong_colour(void **state)
{
    struct fixture fixture;
    (void)state;
    for (size_t i = 0; i < SOUND_NODES; i++) {
        make(&fixture, SOUND, 0, ITEMS, true);
        fixture.order[i]->rb.parent_and_colour ^= 1;
        expect_named(&fixture.tree);
    }
}

static void the_checker_names_a_red_root(void **state)
{
    const struct kva_rb_node *at = NULL;
    struct fixture fixture;
    (void)state;
    make(&fixture, "rb..b..", 0, ITEMS, true);
    assert_memory_equal(kva_rb_check(&fixture.tree, &at), "T1", 2);
    assert_ptr_equal(at, fixture.tree.root);
}

static void the_checker_names_two_reds_in_a_row(void **state)
{
    const struct kva_rb_node *at = NULL;
    struct fixture fixture;
    (void)state;
    make(&fixture, "brr...r..", 0, ITEMS, true);
    assert_memory_equal(kva_rb_check(&fixture.tree, &at), "T1", 2);
    make(&fixture, "br..r.r..", 0, ITEMS, true);
    assert_memory_equal(kva_rb_check(&fixture.tree, &at), "T1", 2);
}

static void the_checker_names_uneven_paths(void **state)
{
    const struct kva_rb_node *at = NULL;
    struct fixture fixture;
    (void)state;
    make(&fixture, "bb...", 0, ITEMS, true);
    assert_memory_equal(kva_rb_check(&fixture.tree, &at), "T2", 2);
    make(&fixture, "b.b..", 0, ITEMS, true);
    assert_memory_equal(kva_rb_check(&fixture.tree, &at), "T2", 2);
}

static void the_checker_names_a_wrong_parent(void **state)
{
    const struct kva_rb_node *at = NULL;
    struct fixture fixture;
    (void)state;
    for (size_t i = 0; i < SOUND_NODES; i++) {
        for (size_t k = 0; k <= SOUND_NODES; k++) {
            make(&fixture, SOUND, 0, ITEMS, true);
            struct kva_rb_node *node = &fixture.order[i]->rb;
            struct kva_rb_node *wrong = k < SOUND_NODES ? &fixture.order[k]->rb : NULL;
            if (wrong == rb_parent(node))
                continue;
            node->parent_and_colour = (uintptr_t)wrong | (node->parent_and_colour & 1);
            assert_memory_equal(kva_rb_check(&fixture.tree, &at), "T3", 2);
            assert_non_null(at);
        }
    }
}

/* A child is an ancestor, or the node itself: a walk down never ends, but the check must. */
static void the_checker_ends_on_a_cycle(void **state)
{
    const struct kva_rb_node *at = NULL;
    struct fixture fixture;
    (void)state;
    for (size_t i = 0; i < SOUND_NODES; i++) {
        for (size_t k = 0; k < SOUND_NODES; k++) {
            for (int side = KVA_RB_LEFT; side <= KVA_RB_RIGHT; side++) {
                make(&fixture, SOUND, 0, ITEMS, true);
                struct kva_rb_node *node = &fixture.order[i]->rb;
                if (node->child[side] == &fixture.order[k]->rb)
                    continue;
                node->child[side] = &fixture.order[k]->rb;
                assert_non_null(kva_rb_check(&fixture.tree, &at));
                assert_non_null(at);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_change_of_every_small_shape),
        cmocka_unit_test(random_changes_of_large_trees),
        cmocka_unit_test(sorted_changes_of_large_trees),
        cmocka_unit_test(propagation_stops_where_nothing_changes),
        cmocka_unit_test(the_checker_accepts_the_sound_tree),
        cmocka_unit_test(the_checker_names_a_wrong_colour),
        cmocka_unit_test(the_checker_names_a_red_root),
        cmocka_unit_test(the_checker_names_two_reds_in_a_row),
        cmocka_unit_test(the_checker_names_uneven_paths),
        cmocka_unit_test(the_checker_names_a_wrong_parent),
        cmocka_unit_test(the_checker_ends_on_a_cycle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
