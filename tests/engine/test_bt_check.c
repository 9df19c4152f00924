/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The bt engine's own checks: each fact that a node records is falsified, one at a time, in every node of a
 * tree of several levels, and the check must name the invariant.
 *
 * The tree has the tiny nodes of harness.h, so that 40 ranges make several levels of inner nodes:
 *
 *      | 3 quanta free | busy | 3 quanta free | busy | ...     the 20th is deferred
 */
#include "../common/harness.h"

#include <kva/deferred.h>
#include <string.h>

/* As in common/bt_tiny.c, which has the same structures. */
#define BT_ENTRIES 3
#define BT_CHILDREN 4
#include "engine/bt.h"

#include "../../ports/test/failing_memory.h"

#define QUANTUM UINT64_C(0x1000)
#define RANGES 40
#define DEFERRED 20
#define FIRST UINT64_C(0x100000)
#define LAST (FIRST + 4 * QUANTUM * RANGES + 5 * QUANTUM - 1)

struct fixture {
    struct kva_space space;
    struct bt_map *bt;
    struct kva_failing_memory memory;
    unsigned reports;
    struct kva_fault report;
};

static uint64_t start_of(uint64_t range)
{
    return FIRST + (4 * range + 3) * QUANTUM;
}

static void on_corruption(void *context, const struct kva_fault *fault)
{
    struct fixture *f = context;
    f->reports++;
    f->report = *fault;
}

static void set_up(struct fixture *f)
{
    struct kva_config config = {
        .first = FIRST, .last = LAST, .quantum = QUANTUM, .engine = &test_engine_bt_tiny};

    memset(f, 0, sizeof(*f));
    config.memory = kva_failing_memory_init(&f->memory);
    config.align_class[0] = 2 * QUANTUM;
    config.align_class[1] = 4 * QUANTUM;
    config.on_corruption = on_corruption;
    config.hook_context = f;
    assert_int_equal(kva_space_init(&f->space, &config), KVA_OK);
    for (uint64_t i = 0; i < RANGES; i++)
        assert_int_equal(kva_reserve(&f->space, start_of(i), QUANTUM, NULL, NULL), KVA_OK);
    assert_int_equal(kva_free_deferred(&f->space, start_of(DEFERRED)), KVA_OK);
    f->bt = (struct bt_map *)f->space.map;
    assert_true(f->bt->height >= 3);
    assert_int_equal(kva_space_check(&f->space, NULL), KVA_OK);
}

static void tear_down(struct fixture *f)
{
    assert_int_equal(kva_space_check(&f->space, NULL), KVA_OK); /* the damage has been repaired */
    assert_int_equal(f->reports, 0);
    assert_int_equal(kva_space_abandon(&f->space), KVA_OK);
    assert_int_equal(f->memory.blocks, 0);
}

/** Fail unless the check names one of some invariants: "I1I4" for either. */
static void expect_named(const struct fixture *f, const char *names, const char *what, uint64_t where)
{
    struct kva_fault fault = {.what = ""};
    enum kva_status status = kva_space_check(&f->space, &fault);
    bool named = false;

    check_that(status == KVA_ECORRUPT, "%s at %#" PRIx64 " was not found", what, where);
    for (const char *name = names; *name != '\0'; name += 2)
        named = named || strncmp(fault.what, name, 2) == 0;
    check_that(named, "%s at %#" PRIx64 ": the check reports %s, %s expected", what, where, fault.what,
               names);
    check_that(fault.address == 0 || (fault.address >= FIRST - QUANTUM && fault.address <= LAST + 1),
               "%s, at %#" PRIx64, fault.what, fault.address);
}

static void expect_named_near(const struct fixture *f, uint64_t near, const char *name)
{
    uint64_t address = 0;
    const char *broken = f->bt->common.engine->check_near(&f->bt->common, near, &address);

    check_that(broken != NULL && strncmp(broken, name, 2) == 0,
               "near %#" PRIx64 ": the check reports %s, %s expected", near,
               broken != NULL ? broken : "nothing", name);
}

/* --------------------------------------------------------------------------------------------- every node */

typedef void visit_inner(struct fixture *f, struct bt_inner *inner, unsigned level);
typedef void visit_leaf(struct fixture *f, struct bt_leaf *leaf, uint64_t low);

static unsigned walk(struct fixture *f, void *node, unsigned level, uint64_t low, visit_inner *inner_visit,
                     visit_leaf *leaf_visit)
{
    unsigned visited = 0;

    if (level == f->bt->height) {
        if (leaf_visit != NULL)
            leaf_visit(f, node, low);
        return leaf_visit != NULL;
    }
    struct bt_inner *inner = node;
    if (inner_visit != NULL)
        inner_visit(f, inner, level);
    for (size_t i = 0; i < inner->count; i++)
        visited += walk(f, inner->child[i], level + 1, inner->low[i], inner_visit, leaf_visit);
    return visited + (inner_visit != NULL);
}

static void in_every_inner_node(visit_inner *visit)
{
    static struct fixture f;
    set_up(&f);
    assert_true(walk(&f, f.bt->root, 0, FIRST, visit, NULL) > 5);
    tear_down(&f);
}

static void in_every_leaf(visit_leaf *visit)
{
    static struct fixture f;
    set_up(&f);
    assert_true(walk(&f, f.bt->root, 0, FIRST, NULL, visit) > 10);
    tear_down(&f);
}

/* The first check that fails depends on the place: the hole before it grows, or ends inside a range. */
static void spoil_low(struct fixture *f, struct bt_inner *inner, unsigned level)
{
    (void)level;
    for (size_t i = 0; i < inner->count; i++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            uint64_t was = inner->low[i];
            inner->low[i] += (uint64_t)sign * QUANTUM;
            expect_named(f, i == 0 ? "I6" : "I1I4I6", "a separator one quantum off", was);
            inner->low[i] = was;
        }
    }
    for (size_t i = 1; i < inner->count; i++) {
        uint64_t was = inner->low[i];
        inner->low[i] = inner->low[i - 1];
        expect_named(f, "I6", "a separator equal to the one before", was);
        inner->low[i] = was;
    }
}

static void a_wrong_separator(void **state)
{
    (void)state;
    in_every_inner_node(spoil_low);
}

static void spoil_maxima(struct fixture *f, struct bt_inner *inner, unsigned level)
{
    for (unsigned class = 0; class < f->bt->classes; class ++) {
        for (size_t i = 0; i < inner->count; i++) {
            uint64_t *largest = &inner->largest[class][i];
            for (int wrong = -1; wrong <= 1; wrong++) {
                uint64_t was = *largest;
                *largest = wrong == 0 ? was * 2 + QUANTUM : was + (uint64_t)wrong;
                expect_named(f, "I4", "a maximum", inner->low[i]);
                if (level + 1 == f->bt->height)
                    expect_named_near(f, inner->low[i], "I4");
                *largest = was;
            }
        }
    }
}

static void a_wrong_maximum_of_any_class(void **state)
{
    (void)state;
    in_every_inner_node(spoil_maxima);
}

static void spoil_marks(struct fixture *f, struct bt_inner *inner, unsigned level)
{
    (void)level;
    for (size_t i = 0; i < inner->count; i++) {
        for (unsigned epoch = 0; epoch < KVA_EPOCHS; epoch++) {
            inner->deferred[epoch] ^= UINT64_C(1) << i; /* a mark that is lost, or a stray one */
            expect_named(f, "I7", "a mark", inner->low[i]);
            inner->deferred[epoch] ^= UINT64_C(1) << i;
        }
    }
}

static void a_lost_or_stray_mark(void **state)
{
    (void)state;
    in_every_inner_node(spoil_marks);
}

static void spoil_sizes(struct fixture *f, struct bt_inner *inner, unsigned level)
{
    size_t was = inner->count;

    for (size_t i = 0; i < inner->count; i++) {
        inner->size[i]++;
        expect_named(f, "I6", "a size too large", inner->low[i]);
        inner->size[i] = (uint8_t)(inner->size[i] - 2);
        expect_named(f, "I6", "a size too small", inner->low[i]);
        inner->size[i]++;
    }
    for (size_t wrong = 0; wrong <= BT_CHILDREN + 1; wrong += BT_CHILDREN + 1) {
        inner->count = wrong;
        expect_named(f, "I6", "a count", inner->low[0]);
    }
    if (level == 0) {
        inner->count = 1;
        expect_named(f, "I6", "a root with one child", inner->low[0]);
    }
    inner->count = was;
}

static void a_wrong_size(void **state)
{
    (void)state;
    in_every_inner_node(spoil_sizes);
}

static void swap_children(struct fixture *f, struct bt_inner *inner, unsigned level)
{
    (void)level;
    for (size_t i = 1; i < inner->count; i++) {
        void *was = inner->child[i];
        inner->child[i] = inner->child[i - 1];
        expect_named(f, "I1I4I6", "a child twice", inner->low[i]);
        inner->child[i] = was;
    }
}

static void a_child_in_the_place_of_another(void **state)
{
    (void)state;
    in_every_inner_node(swap_children);
}

/* --------------------------------------------------------------------------------------------- every leaf */

static void spoil_entries(struct fixture *f, struct bt_leaf *leaf, uint64_t low)
{
    assert_false(leaf->is_wide);
    for (unsigned i = 0; i < leaf->count; i++) {
        uint32_t *start = &leaf->compact.start[i];
        uint32_t *last = &leaf->compact.last[i];
        *start += 1; /* after its end */
        expect_named(f, i == 0 && low != FIRST ? "I6" : "I1", "a start", low);
        *start -= 1;
        *last -= 1;
        expect_named(f, "I1", "an end before the start", low);
        *last += 1;
        *last += 5; /* into the next one, or beyond the end of the space or the leaf */
        expect_named(f, "I1I4I6", "an end in the next range", low);
        *last -= 5;
        *last += 1; /* one quantum more: only the maxima or the tally disagree */
        expect_named(f, "I4I5", "an end", low);
        *last -= 1;
        if (i > 0) {
            *start -= 1;
            expect_named(f, "I4I5", "a start one less", low);
            *start += 1;
        }
    }
    for (unsigned i = 1; i < leaf->count; i++) {
        uint32_t was = leaf->compact.start[i];
        leaf->compact.start[i] = leaf->compact.start[i - 1];
        expect_named(f, "I1", "entries out of order", low);
        expect_named_near(f, low, "I1");
        leaf->compact.start[i] = was;
    }
}

static void wrong_entries(void **state)
{
    (void)state;
    in_every_leaf(spoil_entries);
}

static void spoil_leaf(struct fixture *f, struct bt_leaf *leaf, uint64_t low)
{
    uint32_t count = leaf->count;
    uint64_t base = leaf->base;
    uint64_t deferred = leaf->deferred[0];

    leaf->version++;
    expect_named(f, "I6", "a change that has not ended", low);
    leaf->version++;
    leaf->count = BT_ENTRIES + 1;
    expect_named(f, "I6", "a count over capacity", low);
    expect_named_near(f, low, "I6");
    leaf->count = count - 1;
    expect_named(f, "I6", "an entry less than the parent says", low);
    leaf->count = count;
    leaf->base += QUANTUM;
    expect_named(f, low == FIRST ? "I1I4I5" : "I6", "a base", low);
    leaf->base = base;
    leaf->base += 1;
    expect_named(f, low == FIRST ? "I2" : "I6", "a base off the quantum", low);
    leaf->base = base;
    leaf->deferred[0] = deferred | UINT64_C(1) << count;
    expect_named(f, "I7", "a mark after the entries", low);
    expect_named_near(f, low, "I7");
    leaf->deferred[0] = deferred ^ 1;
    expect_named(f, "I5I7", "a mark on an entry", low);
    leaf->deferred[0] = deferred | 1;
    leaf->deferred[1] = 1;
    expect_named(f, "I7", "an entry in two epochs", low);
    leaf->deferred[0] = deferred;
    leaf->deferred[1] = 0;
}

static void a_wrong_leaf(void **state)
{
    (void)state;
    in_every_leaf(spoil_leaf);
}

/* ----------------------------------------------------------------------------------- the root and the map */

static void a_wrong_summary_of_the_root(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f);
    for (unsigned class = 0; class < f.bt->classes; class ++) {
        f.bt->top.largest[class]++;
        expect_named(&f, "I4", "the greatest of all", FIRST);
        f.bt->top.largest[class]--;
    }
    f.bt->top.deferred[0] = false;
    expect_named(&f, "I7", "the mark above the root", FIRST);
    f.bt->top.deferred[0] = true;
    tear_down(&f);
}

static void an_unfinished_reshape(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f);
    f.bt->shape++;
    expect_named(&f, "I6", "a reshape that has not ended", FIRST);
    f.bt->shape++;
    tear_down(&f);
}

static void a_wrong_tally(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f);
    for (int kind = KVA_FREE; kind <= KVA_DEFERRED; kind++) {
        f.bt->common.tally.bytes[kind]++;
        expect_named(&f, "I5", "bytes", 0);
        f.bt->common.tally.bytes[kind]--;
        f.bt->common.tally.segments[kind]--;
        expect_named(&f, "I5", "segments", 0);
        f.bt->common.tally.segments[kind]++;
    }
    tear_down(&f);
}

static void a_space_that_ends_elsewhere(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f);
    f.bt->common.last += QUANTUM;
    expect_named(&f, "I4I5", "a later end", LAST);
    f.bt->common.last -= QUANTUM;
    f.bt->common.last -= 6 * QUANTUM; /* inside the last range */
    expect_named(&f, "I1", "an earlier end", LAST);
    f.bt->common.last += 6 * QUANTUM;
    f.bt->common.first -= QUANTUM;
    expect_named(&f, "I6", "an earlier beginning", FIRST);
    f.bt->common.first += QUANTUM;
    tear_down(&f);
}

/* Level 2: a change in the broken leaf calls the hook. Level 3: any change does. */
static void a_change_beside_the_damage_calls_the_hook(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f);
    struct bt_inner *inner = f.bt->root;
    for (unsigned level = 1; level < f.bt->height; level++)
        inner = inner->child[0];
    inner->largest[0][0] = UINT64_MAX / 2; /* larger than the change would make it */
    (void)kva_free(&f.space, start_of(0));
    if (KVA_CHECK_LEVEL >= 2) {
        assert_true(f.reports > 0);
        assert_int_equal(f.report.status, KVA_ECORRUPT);
        assert_string_equal(f.report.where, "kva_free");
        assert_int_equal(strncmp(f.report.what, "I4", 2), 0);
    } else {
        assert_int_equal(f.reports, 0);
    }
    assert_int_equal(kva_space_abandon(&f.space), KVA_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_separator),
        cmocka_unit_test(a_wrong_maximum_of_any_class),
        cmocka_unit_test(a_lost_or_stray_mark),
        cmocka_unit_test(a_wrong_size),
        cmocka_unit_test(a_child_in_the_place_of_another),
        cmocka_unit_test(wrong_entries),
        cmocka_unit_test(a_wrong_leaf),
        cmocka_unit_test(a_wrong_summary_of_the_root),
        cmocka_unit_test(an_unfinished_reshape),
        cmocka_unit_test(a_wrong_tally),
        cmocka_unit_test(a_space_that_ends_elsewhere),
        cmocka_unit_test(a_change_beside_the_damage_calls_the_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
