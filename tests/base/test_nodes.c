/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The node cache: what it takes from its source and when, and what it counts. Its nodes are aligned and
 * disjoint, and as many as it reports.
 */
#include "../common/harness.h"

#include <stdlib.h>
#include <string.h>

#include "base/nodes.h"
#include "ports/test/failing_memory.h"

#define LEAST_SLAB ((size_t)4096)
#define LARGEST_SLAB ((size_t)2 << 20)

struct fixture {
    struct kva_failing_memory memory;
    struct kva_ledger ledger;
    struct kva_nodes nodes;
};

static void set_up(struct fixture *fixture, size_t node_bytes)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->ledger.memory = kva_failing_memory_init(&fixture->memory);
    kva_nodes_init(&fixture->nodes, &fixture->ledger, node_bytes);
}

static void tear_down(struct fixture *fixture)
{
    kva_nodes_fini(&fixture->ledger);
    assert_int_equal(fixture->memory.blocks, 0);
    assert_int_equal(fixture->memory.bytes, 0);
}

/** The size of the block that was taken last. */
static size_t newest_slab(const struct fixture *fixture)
{
    size_t bytes;

    (void)kva_failing_block_bytes(kva_failing_memory_next(&fixture->memory, NULL), &bytes);
    return bytes;
}

/** The request for a slab of at most `bytes`: whole nodes of 64 bytes. */
static size_t trimmed(size_t bytes)
{
    size_t header = sizeof(struct kva_slab) + KVA_LINE;
    return header + (bytes - header) / 64 * 64;
}

/* ----------------------------------------------------------------------------------------------- counting */

static void slabs_are_taken_only_when_needed(void **state)
{
    struct fixture fixture;
    (void)state;
    set_up(&fixture, 64);
    assert_true(kva_nodes_ensure(&fixture.nodes, 0));
    assert_int_equal(fixture.memory.takes, 0);
    assert_true(kva_nodes_ensure(&fixture.nodes, 1));
    assert_int_equal(fixture.memory.takes, 1);
    assert_int_equal(fixture.memory.bytes, trimmed(LEAST_SLAB));
    assert_int_equal(fixture.ledger.bytes, trimmed(LEAST_SLAB));
    assert_true(kva_nodes_ensure(&fixture.nodes, fixture.nodes.available));
    assert_int_equal(fixture.memory.takes, 1);
    tear_down(&fixture);
}

static void pops_and_pushes_are_counted(void **state)
{
    struct fixture fixture;
    size_t available;
    void *a, *b;
    (void)state;

    set_up(&fixture, 64);
    assert_true(kva_nodes_ensure(&fixture.nodes, 2));
    available = fixture.nodes.available;
    a = kva_nodes_pop(&fixture.nodes);
    b = kva_nodes_pop(&fixture.nodes);
    assert_ptr_not_equal(a, b);
    assert_int_equal(fixture.nodes.available, available - 2);
    kva_nodes_push(&fixture.nodes, a);
    kva_nodes_push(&fixture.nodes, b);
    assert_int_equal(fixture.nodes.available, available);
    assert_ptr_equal(kva_nodes_pop(&fixture.nodes), b); /* last in, first out */
    assert_ptr_equal(kva_nodes_pop(&fixture.nodes), a);
    assert_int_equal(fixture.nodes.available, available - 2);
    assert_int_equal(fixture.memory.takes, 1);
    tear_down(&fixture);
}

/* -------------------------------------------------------------------------------------------------- nodes */

/** Ensure `count` nodes, fill each one to its last byte, and check that no other one was overwritten. */
static void use_all(struct fixture *fixture, size_t count)
{
    size_t bytes = fixture->nodes.node_bytes;
    unsigned char **node = calloc(count, sizeof(*node));

    assert_non_null(node);
    assert_true(kva_nodes_ensure(&fixture->nodes, count));
    for (size_t i = 0; i < count; i++) {
        node[i] = kva_nodes_pop(&fixture->nodes);
        assert_non_null(node[i]);
        assert_int_equal((uintptr_t)node[i] % KVA_LINE, 0);
        memset(node[i], (int)(i % 251), bytes);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < bytes; k++)
            check_that(node[i][k] == i % 251, "node %zu of %zu bytes was overwritten at %zu", i, bytes, k);
    }
    for (size_t i = 0; i < count; i++)
        kva_nodes_push(&fixture->nodes, node[i]);
    free(node);
}

static void nodes_are_aligned_and_apart(void **state)
{
    (void)state;
    for (size_t bytes = KVA_LINE; bytes <= 2048; bytes += KVA_LINE) {
        struct fixture fixture;
        set_up(&fixture, bytes);
        use_all(&fixture, 1000);
        use_all(&fixture, fixture.nodes.available);
        tear_down(&fixture);
    }
}

/* A source may give blocks at any multiple of max_align_t's alignment. */
struct skewed {
    _Alignas(64) unsigned char bytes[2 * 4096];
    size_t skew;
};

static void *skewed_take(void *context, size_t bytes)
{
    struct skewed *source = context;
    return bytes <= sizeof(source->bytes) - source->skew ? source->bytes + source->skew : NULL;
}

static void skewed_give(void *context, void *block, size_t bytes)
{
    (void)context;
    memset(block, 0x5a, bytes);
}

static void misaligned_blocks_make_aligned_nodes(void **state)
{
    static struct skewed source;
    struct fixture fixture;
    (void)state;

    for (source.skew = 0; source.skew < 64; source.skew += _Alignof(max_align_t)) {
        memset(&fixture, 0, sizeof(fixture));
        fixture.ledger.memory = (struct kva_memory){skewed_take, skewed_give, &source};
        kva_nodes_init(&fixture.nodes, &fixture.ledger, 64);
        assert_true(kva_nodes_ensure(&fixture.nodes, 1));
        source.bytes[source.skew + LEAST_SLAB] = 0x77; /* the byte after the slab does not belong to the
                                                        * cache */
        use_all(&fixture, fixture.nodes.available);
        assert_int_equal(source.bytes[source.skew + LEAST_SLAB], 0x77);
        assert_true(fixture.nodes.available >= (LEAST_SLAB - sizeof(struct kva_slab)) / 64 - 1);
        kva_nodes_fini(&fixture.ledger);
    }
}

/* ------------------------------------------------------------------------------------------------- growth */

static void slabs_grow_with_the_space(void **state)
{
    struct fixture fixture;
    size_t last = trimmed(LEAST_SLAB);
    (void)state;

    set_up(&fixture, 64);
    while (fixture.memory.bytes < 24 * LARGEST_SLAB) {
        size_t held = fixture.memory.bytes;
        assert_true(kva_nodes_fill(&fixture.nodes, fixture.nodes.available + 1));
        size_t slab = newest_slab(&fixture);
        assert_int_equal(fixture.memory.bytes, held + slab); /* one slab at a time, and it is counted */
        assert_int_equal(fixture.ledger.bytes, fixture.memory.bytes);
        check_that(slab >= last && slab <= LARGEST_SLAB,
                   "a slab of %zu bytes after one of %zu; from %zu to %zu expected", slab, last, last,
                   (size_t)LARGEST_SLAB);
        bool is_least = slab == trimmed(LEAST_SLAB);
        check_that(is_least || slab <= held / 8,
                   "a slab of %zu bytes for %zu held, at most an eighth expected", slab, held);
        check_that(is_least || slab == LARGEST_SLAB || slab >= held / 20,
                   "a slab of %zu bytes for %zu held, at least a twentieth expected", slab, held);
        last = slab;
    }
    assert_int_equal(last, LARGEST_SLAB);
    tear_down(&fixture);
}

/* ------------------------------------------------------------------------------------------------ refusal */

static void a_refused_slab_is_halved(void **state)
{
    struct fixture fixture;
    (void)state;

    for (size_t largest = 256; largest < LEAST_SLAB; largest *= 2) {
        set_up(&fixture, 64);
        fixture.memory.largest = largest;
        assert_true(kva_nodes_ensure(&fixture.nodes, 1));
        assert_int_equal(fixture.memory.bytes, trimmed(largest));
        use_all(&fixture, 100);
        assert_int_equal(newest_slab(&fixture), trimmed(largest));
        tear_down(&fixture);
    }
}

/* For any alignment of the slab: the smallest slab holds a node. */
static void the_smallest_slab_holds_a_node(void **state)
{
    struct fixture fixture;
    (void)state;

    for (size_t bytes = KVA_LINE; bytes <= 2048; bytes += KVA_LINE) {
        set_up(&fixture, bytes);
        fixture.memory.largest = sizeof(struct kva_slab) + KVA_LINE + bytes - 1;
        assert_false(kva_nodes_ensure(&fixture.nodes, 1));
        assert_int_equal(fixture.memory.blocks, 0);
        fixture.memory.largest = 2 * (sizeof(struct kva_slab) + KVA_LINE + bytes);
        assert_true(kva_nodes_ensure(&fixture.nodes, 1));
        use_all(&fixture, 50);
        tear_down(&fixture);
    }
}

/* All or none: a refused fill gives back what it took, and the former nodes remain usable. */
static void a_failed_fill_gives_back_its_slabs(void **state)
{
    struct fixture fixture;
    (void)state;

    for (size_t before = 0; before <= 100; before += 50) {
        set_up(&fixture, 64);
        if (before > 0)
            assert_true(kva_nodes_ensure(&fixture.nodes, before));
        size_t available = fixture.nodes.available;
        size_t blocks = fixture.memory.blocks;
        kva_failing_memory_fail(&fixture.memory, 4, true);
        assert_false(kva_nodes_ensure(&fixture.nodes, 100000));
        assert_int_equal(fixture.memory.blocks, blocks);
        assert_int_equal(fixture.ledger.bytes, fixture.memory.bytes);
        assert_int_equal(fixture.nodes.available, available);
        use_all(&fixture, available); /* all of them are there, and no take is tried */
        assert_int_equal(fixture.nodes.available, available);
        tear_down(&fixture);
    }
}

/* One refusal leads to a smaller slab, not to a failure (E3). */
static void one_refusal_leads_to_a_smaller_slab(void **state)
{
    struct fixture fixture;
    (void)state;

    set_up(&fixture, 64);
    kva_failing_memory_fail(&fixture.memory, 1, false);
    assert_true(kva_nodes_ensure(&fixture.nodes, 1));
    assert_int_equal(fixture.memory.refused, 1);
    assert_int_equal(fixture.memory.bytes, trimmed(LEAST_SLAB / 2));
    tear_down(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slabs_are_taken_only_when_needed),
        cmocka_unit_test(pops_and_pushes_are_counted),
        cmocka_unit_test(nodes_are_aligned_and_apart),
        cmocka_unit_test(misaligned_blocks_make_aligned_nodes),
        cmocka_unit_test(slabs_grow_with_the_space),
        cmocka_unit_test(a_refused_slab_is_halved),
        cmocka_unit_test(the_smallest_slab_holds_a_node),
        cmocka_unit_test(a_failed_fill_gives_back_its_slabs),
        cmocka_unit_test(one_refusal_leads_to_a_smaller_slab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
