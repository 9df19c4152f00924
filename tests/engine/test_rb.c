/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Properties of the rb engine that its results do not show: how many nodes each kind of fit takes, that a
 * merge gives nodes back, and that a changed maximum propagates no further than necessary.
 */
#include "../common/harness.h"
#include "../common/picture.h"

#include <kva/engine.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"
#include "engine/rb_map.h"

struct fixture {
    struct kva_space space;
    struct kva_failing_memory memory;
    unsigned reports;
};

static void count_report(void *context, const struct kva_fault *fault)
{
    struct fixture *f = context;
    (void)fault;
    f->reports++;
}

static struct rb_map *rb_of(struct fixture *f)
{
    return (struct rb_map *)f->space.map;
}

static void set_up(struct fixture *f, uint64_t last)
{
    struct kva_config config = {0};

    memset(f, 0, sizeof(*f));
    config.last = last;
    config.engine = &kva_engine_rb;
    config.memory = kva_failing_memory_init(&f->memory);
    config.on_corruption = count_report;
    config.hook_context = f;
    assert_int_equal(kva_space_init(&f->space, &config), KVA_OK);
    assert_int_equal(kva_preload(&f->space, 2000), KVA_OK); /* from here on only `available` changes */
}

static void tear_down(struct fixture *f)
{
    assert_int_equal(kva_space_abandon(&f->space), KVA_OK);
    assert_int_equal(f->memory.blocks, 0);
}

static void reserve(struct fixture *f, uint64_t start, uint64_t size)
{
    assert_int_equal(kva_reserve(&f->space, start, size, NULL, NULL), KVA_OK);
}

static void release(struct fixture *f, uint64_t start)
{
    assert_int_equal(kva_free(&f->space, start), KVA_OK);
}

/* -------------------------------------------------------------------------------------------------- nodes */

/** `used` nodes have left the cache, one for each segment but the first. */
static void expect_nodes(struct fixture *f, size_t before, int used)
{
    struct kva_stats stats;
    assert_int_equal(rb_of(f)->nodes.available, before - (size_t)used);
    assert_int_equal(kva_stats_read(&f->space, &stats), KVA_OK);
    assert_int_equal(stats.free_segments + stats.busy_segments + stats.deferred_segments, 1 + used);
}

static void each_fit_takes_the_nodes_it_needs(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, 999);
    size_t all = rb_of(&f)->nodes.available;
    reserve(&f, 100, 100); /* not at an edge: two */
    expect_nodes(&f, all, 2);
    reserve(&f, 0, 10); /* left edge: one */
    expect_nodes(&f, all, 3);
    reserve(&f, 90, 10); /* right edge: one */
    expect_nodes(&f, all, 4);
    reserve(&f, 10, 80); /* full: none, the hole's own node is used */
    expect_nodes(&f, all, 4);
    tear_down(&f);
}

static void each_merge_gives_nodes_back(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, 999);
    size_t all = rb_of(&f)->nodes.available;
    reserve(&f, 0, 100);
    reserve(&f, 100, 100);
    reserve(&f, 200, 100);
    reserve(&f, 300, 100);
    expect_nodes(&f, all, 4);
    release(&f, 100); /* next to no hole: its node becomes one */
    expect_nodes(&f, all, 4);
    release(&f, 0); /* next to the hole after it */
    expect_nodes(&f, all, 3);
    release(&f, 300); /* next to the hole after it */
    expect_nodes(&f, all, 2);
    release(&f, 200); /* next to both */
    expect_nodes(&f, all, 0);
    tear_down(&f);
}

static void a_node_fills_one_cache_line_at_most(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, 999);
    reserve(&f, 100, 100);
    assert_int_equal((uintptr_t)rb_of(&f)->holes.root % RB_NODE_BYTES, 0);
    assert_int_equal((uintptr_t)rb_of(&f)->used.root % RB_NODE_BYTES, 0);
    tear_down(&f);
}

/* -------------------------------------------------------------------------------------------- propagation */

/** 64 holes of 64 bytes, alternating with busy segments of 64; one large hole at the end. */
#define PAIRS 64
#define BIG UINT64_C(100000)

static void set_up_holes(struct fixture *f)
{
    set_up(f, PAIRS * 128 + BIG - 1);
    for (uint64_t i = 0; i < PAIRS; i++)
        reserve(f, i * 128 + 64, 64);
    assert_int_equal(f->reports, 0);
}

/** Set a wrong, too large maximum at the root; returns it. Any recomputation of the root corrects it. */
static uint64_t spoil_root(struct fixture *f)
{
    struct rb_segment *root = segment_of_link(rb_of(f)->holes.root);
    root->largest += 1;
    return root->largest;
}

static uint64_t largest_at_root(struct fixture *f)
{
    return segment_of_link(rb_of(f)->holes.root)->largest;
}

/** The start of a leaf whose parent is not the root and has its maximum from elsewhere: its own extent, or
 * another child's, is as large. */
static uint64_t hole_below_a_larger_maximum(struct fixture *f)
{
    for (uint64_t i = 0; i < PAIRS; i++) {
        struct rb_segment *hole = floor_segment(&rb_of(f)->holes, i * 128);
        struct kva_rb_node *parent = rb_parent(&hole->link);
        if (parent == NULL || rb_parent(parent) == NULL)
            continue;
        if (hole->link.child[0] == NULL && hole->link.child[1] == NULL &&
            segment_of_link(parent)->largest >= hole->largest)
            return hole->start;
    }
    fail();
    return 0;
}

/* A hole shrinks and grows again below a parent whose own extent is as large. The parent's maximum does not
 * change, so nothing above it may be recomputed: the wrong value at the root remains. */
static void propagation_stops_below_a_maximum_that_stays(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_holes(&f);
    uint64_t start = hole_below_a_larger_maximum(&f);
    uint64_t wrong = spoil_root(&f);

    reserve(&f, start, 16); /* a left edge: the hole shrinks to 48 */
    assert_int_equal(largest_at_root(&f), wrong);
    release(&f, start); /* it grows back to 64, no more than its parent's */
    assert_int_equal(largest_at_root(&f), wrong);
    reserve(&f, start + 48, 16); /* a right edge */
    assert_int_equal(largest_at_root(&f), wrong);
    release(&f, start + 48);
    assert_int_equal(largest_at_root(&f), wrong);
    segment_of_link(rb_of(&f)->holes.root)->largest -= 1;
    assert_int_equal(kva_space_check(&f.space, NULL), KVA_OK);
    tear_down(&f);
}

/* A change that matters reaches the root. */
static void propagation_reaches_the_root_when_it_must(void **state)
{
    static struct fixture f;
    (void)state;
    set_up_holes(&f);
    assert_int_equal(largest_at_root(&f), BIG - 1);
    reserve(&f, PAIRS * 128, 1);
    assert_int_equal(largest_at_root(&f), BIG - 2);
    reserve(&f, PAIRS * 128 + BIG / 2, 1);
    assert_int_equal(largest_at_root(&f), BIG / 2 - 2);
    release(&f, PAIRS * 128);
    assert_int_equal(largest_at_root(&f), BIG / 2 - 1);
    release(&f, PAIRS * 128 + BIG / 2);
    assert_int_equal(largest_at_root(&f), BIG - 1);
    reserve(&f, PAIRS * 128, BIG);
    assert_int_equal(largest_at_root(&f), 63);
    assert_int_equal(f.reports, 0);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fit_takes_the_nodes_it_needs),
        cmocka_unit_test(each_merge_gives_nodes_back),
        cmocka_unit_test(a_node_fills_one_cache_line_at_most),
        cmocka_unit_test(propagation_stops_below_a_maximum_that_stays),
        cmocka_unit_test(propagation_reaches_the_root_when_it_must),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
