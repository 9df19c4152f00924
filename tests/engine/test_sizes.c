/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The index of holes by size (sizes.h) against a plain array: with its own node sizes, and with nodes so
 * small that nodes of every level are spread, divided and merged all the time.
 */
#include "../common/harness.h"

#include <string.h>

#include "../../ports/test/failing_memory.h"
#include "engine/sizes.h"

/** The set in the library's form, or in this file's. */
struct form {
    const char *name;
    size_t least; /* keys of a leaf */
    struct kva_sizes *(*create)(struct kva_ledger *ledger, uint64_t quantum);
    bool (*fill)(struct kva_sizes *sizes, size_t holes);
    void (*insert)(struct kva_sizes *sizes, uint64_t start, uint64_t last);
    void (*remove)(struct kva_sizes *sizes, uint64_t start, uint64_t last);
    void (*lost)(struct kva_sizes *sizes, uint64_t hole_start, uint64_t hole_last, uint64_t start,
                 uint64_t last);
    void (*gained)(struct kva_sizes *sizes, uint64_t hole_start, uint64_t hole_last, uint64_t start,
                   uint64_t last);
    bool (*first)(struct kva_sizes *sizes, uint64_t extent, struct kva_size *found);
    bool (*next)(struct kva_sizes *sizes, struct kva_size *at);
    const char *(*check)(const struct kva_sizes *sizes, uint64_t *address);
};

static const struct form usual = {
    .name = "23 places",
    .least = 13,
    .create = kva_sizes_create,
    .fill = kva_sizes_fill,
    .insert = kva_sizes_insert,
    .remove = kva_sizes_remove,
    .lost = kva_sizes_lost,
    .gained = kva_sizes_gained,
    .first = kva_sizes_first,
    .next = kva_sizes_next,
    .check = kva_sizes_check,
};

#define SIZES_PLACES 7
#define kva_sizes_create tiny_sizes_create
#define kva_sizes_fill tiny_sizes_fill
#define kva_sizes_insert tiny_sizes_insert
#define kva_sizes_remove tiny_sizes_remove
#define kva_sizes_lost tiny_sizes_lost
#define kva_sizes_gained tiny_sizes_gained
#define kva_sizes_first tiny_sizes_first
#define kva_sizes_next tiny_sizes_next
#define kva_sizes_check tiny_sizes_check
struct kva_sizes *tiny_sizes_create(struct kva_ledger *ledger, uint64_t quantum);
bool tiny_sizes_fill(struct kva_sizes *sizes, size_t holes);
void tiny_sizes_insert(struct kva_sizes *sizes, uint64_t start, uint64_t last);
void tiny_sizes_remove(struct kva_sizes *sizes, uint64_t start, uint64_t last);
void tiny_sizes_lost(struct kva_sizes *sizes, uint64_t hole_start, uint64_t hole_last, uint64_t start,
                     uint64_t last);
void tiny_sizes_gained(struct kva_sizes *sizes, uint64_t hole_start, uint64_t hole_last, uint64_t start,
                       uint64_t last);
bool tiny_sizes_first(struct kva_sizes *sizes, uint64_t extent, struct kva_size *found);
bool tiny_sizes_next(struct kva_sizes *sizes, struct kva_size *at);
const char *tiny_sizes_check(const struct kva_sizes *sizes, uint64_t *address);
#include "engine/sizes.c" // NOLINT(bugprone-suspicious-include)

static const struct form tiny = {
    .name = "7 places",
    .least = 3,
    .create = tiny_sizes_create,
    .fill = tiny_sizes_fill,
    .insert = tiny_sizes_insert,
    .remove = tiny_sizes_remove,
    .lost = tiny_sizes_lost,
    .gained = tiny_sizes_gained,
    .first = tiny_sizes_first,
    .next = tiny_sizes_next,
    .check = tiny_sizes_check,
};

static const struct form *const forms[] = {&usual, &tiny};
enum { FORMS = 2, MOST = 4000 };

/** The last address that a set reaches with a quantum of 1. */
#define LAST ((UINT64_C(1) << KVA_SIZES_BITS) - 1)

struct hole {
    uint64_t extent; /* last - start */
    uint64_t start;
};

/** A set, and the same holes in an array, in order. */
struct fixture {
    const struct form *form;
    struct kva_sizes *sizes;
    struct kva_failing_memory memory;
    struct kva_ledger ledger;
    struct hole hole[MOST];
    size_t count;
    uint64_t reports; /* of corruption */
};

static void note_report(void *context, const struct kva_fault *fault)
{
    struct fixture *f = context;

    assert_non_null(fault->what);
    f->reports++;
}

static void set_up_quantum(struct fixture *f, const struct form *form, uint64_t quantum)
{
    memset(f, 0, sizeof *f);
    f->form = form;
    f->ledger.memory = kva_failing_memory_init(&f->memory);
    f->ledger.hooks.on_corruption = note_report;
    f->ledger.hooks.context = f;
    f->sizes = form->create(&f->ledger, quantum);
    assert_non_null(f->sizes);
}

static void set_up(struct fixture *f, const struct form *form)
{
    set_up_quantum(f, form, 1);
}

static void check_fixture(const struct fixture *f)
{
    uint64_t address = 0;
    const char *broken = f->form->check(f->sizes, &address);

    check_that(broken == NULL, "%s, %zu holes: the check reports %s at %" PRIu64, f->form->name, f->count,
               broken, address);
    assert_int_equal(f->reports, 0);
    assert_int_equal(f->sizes->count, f->count);
    size_t most = f->count / f->form->least + 1;
    check_that(f->sizes->leaves.in_use <= most, "%s, %zu holes: %zu leaves, at most %zu expected",
               f->form->name, f->count, f->sizes->leaves.in_use, (size_t)most);
}

static void tear_down(struct fixture *f)
{
    check_fixture(f);
    kva_nodes_fini(&f->ledger);
    assert_int_equal(f->memory.blocks, 0);
}

/** The first hole of the array that is not smaller. */
static size_t place_of(const struct fixture *f, uint64_t extent, uint64_t start)
{
    size_t i = 0;

    while (i < f->count &&
           (f->hole[i].extent < extent || (f->hole[i].extent == extent && f->hole[i].start < start)))
        i++;
    return i;
}

/** Whether two holes exclude each other: they have one size, and overlap or touch. */
static bool exclude_another(const struct hole *hole, uint64_t extent, uint64_t start)
{
    uint64_t apart = max_u64(hole->start, start) - min_u64(hole->start, start);

    return hole->extent == extent && apart <= extent + 1;
}

/** False if it is present, or another of its size touches it. */
static bool add(struct fixture *f, uint64_t extent, uint64_t start)
{
    size_t i = place_of(f, extent, start);

    if ((i < f->count && exclude_another(&f->hole[i], extent, start)) ||
        (i > 0 && exclude_another(&f->hole[i - 1], extent, start)))
        return false;
    memmove(f->hole + i + 1, f->hole + i, (f->count - i) * sizeof *f->hole);
    f->hole[i] = (struct hole){extent, start};
    f->count++;
    f->form->insert(f->sizes, start, start + extent);
    return true;
}

static void take_out(struct fixture *f, size_t i)
{
    struct kva_size at;

    if (i % 2 == 0) /* the hole just found is removed in another way */
        assert_true(f->form->first(f->sizes, f->hole[i].extent, &at));
    f->form->remove(f->sizes, f->hole[i].start, f->hole[i].start + f->hole[i].extent);
    f->count--;
    memmove(f->hole + i, f->hole + i + 1, (f->count - i) * sizeof *f->hole);
}

/** The set returns the array's holes one by one, from the first of at least an extent on. */
static void compare_from(const struct fixture *f, uint64_t extent)
{
    size_t i = place_of(f, extent, 0);
    struct kva_size at;

    for (bool more = f->form->first(f->sizes, extent, &at); more; more = f->form->next(f->sizes, &at), i++) {
        check_that(i < f->count && at.extent == f->hole[i].extent && at.within >= f->hole[i].start &&
                       at.within - f->hole[i].start <= at.extent,
                   "%s: hole %zu of %zu is %" PRIu64 ", %" PRIu64, f->form->name, i, f->count, at.extent,
                   at.within);
    }
    assert_int_equal(i, f->count);
}

/** One of many extents; or of few, so that starts decide; or the largest. */
static uint64_t some_extent(struct test_rng *rng)
{
    switch (test_below(rng, 4)) {
    case 0:
        return test_below(rng, 3);
    case 1:
        return LAST - 1 - test_below(rng, 3);
    default:
        return test_below(rng, 1000);
    }
}

static uint64_t some_start(struct test_rng *rng, uint64_t extent)
{
    uint64_t most = LAST - extent;
    uint64_t offset = test_below(rng, 500000);

    return test_one_in(rng, 2) ? (offset < most ? offset : most) : most - (offset < most ? offset : most);
}

/* Phases of growth and of shrinking, compared all the time. */
static void holes_come_and_go(void **state)
{
    struct test_rng rng = test_rng_of(690);
    (void)state;
    for (size_t k = 0; k < FORMS; k++) {
        static struct fixture f;
        uint64_t steps = test_scaled(20000);
        uint64_t odds = 50;

        set_up(&f, forms[k]);
        for (uint64_t step = 0; step < steps; step++) {
            if (step % 701 == 0)
                odds = test_below(&rng, 101);
            if (f.count > 0 && (f.count == MOST || test_below(&rng, 100) >= odds)) {
                take_out(&f, (size_t)test_below(&rng, f.count));
            } else {
                uint64_t extent = some_extent(&rng);
                assert_true(forms[k]->fill(f.sizes, f.count + 1));
                (void)add(&f, extent, some_start(&rng, extent));
            }
            if (step % 16 == 0)
                check_fixture(&f);
            if (step % 64 == 0)
                compare_from(&f, some_extent(&rng));
        }
        compare_from(&f, 0);
        while (f.count > 0) {
            take_out(&f, f.count / 2);
            check_fixture(&f);
        }
        compare_from(&f, 0);
        tear_down(&f);
    }
}

/* Every order of filling up to two levels: upwards, downwards, from the middle; each emptied in every
 * order. */
static void all_ends_fill_and_empty(void **state)
{
    enum { HOLES = 1300 };
    (void)state;
    for (size_t k = 0; k < FORMS; k++) {
        for (unsigned order = 0; order < 9; order++) {
            static struct fixture f;

            set_up(&f, forms[k]);
            assert_true(forms[k]->fill(f.sizes, HOLES));
            for (uint64_t i = 0; i < HOLES; i++) {
                uint64_t middle = i % 2 ? HOLES + i : HOLES - i;
                assert_true(add(&f, order % 3 == 0 ? i : order % 3 == 1 ? HOLES - i : middle, 7));
                if (i % 8 == 0)
                    check_fixture(&f);
            }
            compare_from(&f, HOLES / 2);
            while (f.count > 0) {
                take_out(&f, order / 3 == 0 ? 0 : order / 3 == 1 ? f.count - 1 : f.count / 2);
                if (f.count % 8 == 0)
                    check_fixture(&f);
            }
            tear_down(&f);
        }
    }
}

static void smallest_and_largest_holes(void **state)
{
    (void)state;
    for (size_t k = 0; k < FORMS; k++) {
        for (unsigned shift = 0; shift < 64; shift++) {
            static struct fixture f;
            uint64_t rest = (UINT64_C(1) << shift) - 1; /* of the extent of a quantum */
            uint64_t last = shift < 6 ? (LAST << shift) + rest : UINT64_MAX;

            assert_true(index_reaches(rest + 1, last));
            assert_true(shift >= 6 || !index_reaches(rest + 1, last + 1));
            set_up_quantum(&f, forms[k], rest + 1);
            assert_true(forms[k]->fill(f.sizes, 4));
            compare_from(&f, 0);
            assert_true(add(&f, last, 0)); /* all addresses */
            compare_from(&f, 0);
            compare_from(&f, last);
            take_out(&f, 0);
            assert_true(add(&f, rest, last - rest)); /* the last quantum */
            if (shift < 62) {
                assert_true(add(&f, rest, 0));
                assert_true(add(&f, last - 3 * (rest + 1), rest + 1));
            }
            compare_from(&f, 0);
            compare_from(&f, rest);
            compare_from(&f, last);
            tear_down(&f);
        }
    }
}

/* A hole loses or gains at either end, at both, at none, or all of it. */
static void events_carry_the_old_and_the_new_hole(void **state)
{
    (void)state;
    for (size_t k = 0; k < FORMS; k++) {
        for (uint64_t start = 10; start <= 12; start++) {
            for (uint64_t last = start; last <= 12; last++) {
                static struct fixture f;

                set_up(&f, forms[k]);
                assert_true(forms[k]->fill(f.sizes, 3));
                assert_true(add(&f, 2, 10)); /* [10, 12] */
                assert_true(add(&f, 5, 20));
                forms[k]->lost(f.sizes, 10, 12, start, last);
                f.count = 0;
                if (start > 10)
                    f.hole[f.count++] = (struct hole){start - 1 - 10, 10};
                if (last < 12)
                    f.hole[f.count++] = (struct hole){12 - last - 1, last + 1};
                if (f.count == 2 && f.hole[0].extent > f.hole[1].extent) {
                    f.hole[2] = f.hole[0];
                    f.hole[0] = f.hole[1];
                    f.hole[1] = f.hole[2];
                }
                f.hole[f.count++] = (struct hole){5, 20};
                check_fixture(&f);
                compare_from(&f, 0);
                forms[k]->gained(f.sizes, 10, 12, start, last);
                f.hole[0] = (struct hole){2, 10};
                f.hole[1] = (struct hole){5, 20};
                f.count = 2;
                compare_from(&f, 0);
                tear_down(&f);
            }
        }
    }
}

static void a_missing_hole_is_reported(void **state)
{
    (void)state;
    for (size_t k = 0; k < FORMS; k++) {
        static struct fixture f;

        set_up(&f, forms[k]);
        assert_true(add(&f, 5, 100));
        forms[k]->remove(f.sizes, 100, 104);
        forms[k]->remove(f.sizes, 108, 113);
        forms[k]->remove(f.sizes, 200, 205);
        assert_int_equal(f.reports, KVA_CHECK_LEVEL >= 1 ? 3 : 0);
        f.reports = 0;
        tear_down(&f);
    }
}

/* ------------------------------------------------------------------------------------------------- memory */

/** Change holes within `most` of them and without memory, so that nodes are as empty as possible: with
 * `greedy`, holes are removed where a leaf is fuller than it must be, and added where one is full. */
static void hug_the_limit(struct fixture *f, size_t most, struct test_rng *rng, bool greedy)
{
    uint64_t steps = test_scaled(300) + 30;

    for (uint64_t step = 0; step < steps; step++) {
        size_t at = f->count > 0 ? (size_t)test_below(rng, f->count) : 0;
        if (f->count == most) {
            take_out(f, at);
            if (greedy) /* thin out here and there */
                for (size_t i = at; i < f->count && f->count > most / 2; i += f->form->least / 2 + 1)
                    take_out(f, i);
        } else {
            uint64_t extent = greedy && f->count > 0 ? f->hole[at].extent : test_below(rng, 2000);
            while (f->count < most)
                (void)add(f, extent, test_below(rng, UINT64_C(1) << 50));
        }
        check_fixture(f);
    }
}

/* Nodes for n holes suffice for every state with n holes, whatever led to it. */
static void ensured_nodes_suffice(void **state)
{
    struct test_rng rng = test_rng_of(691);
    (void)state;
    for (size_t k = 0; k < FORMS; k++) {
        size_t stride = k == 0 ? 23 : 7;
        for (size_t most = 1; most <= (k == 0 ? 900u : 400u); most += (size_t)(stride * test_stride())) {
            static struct fixture f;

            for (int greedy = 0; greedy < 2; greedy++) {
                set_up(&f, forms[k]);
                assert_true(forms[k]->fill(f.sizes, most));
                uint64_t takes = f.memory.takes;
                hug_the_limit(&f, most, &rng, greedy);
                assert_int_equal(f.memory.takes, takes);
                tear_down(&f);
            }
        }
    }
}

/* The same with exactly that many nodes. */
static void exactly_the_ensured_nodes_suffice(void **state)
{
    struct test_rng rng = test_rng_of(692);
    (void)state;
    for (size_t most = 1; most <= 160; most += (size_t)test_stride()) {
        static struct fixture f;

        for (int greedy = 0; greedy < 2; greedy++) {
            set_up(&f, &tiny);
            assert_true(tiny.fill(f.sizes, most));
            size_t leaves = most / least_keys(true) + 1;
            f.sizes->leaves.available = leaves - f.sizes->leaves.in_use;
            f.sizes->inners.available = inners_above(leaves);
            hug_the_limit(&f, f.sizes->ready, &rng, greedy);
            tear_down(&f);
        }
    }
}

/* 25 bytes for each busy segment, and 9 KiB; there may be one more hole than busy segments. */
static void memory_is_as_documented(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, &usual);
    for (uint64_t busy = 0; busy < 100000; busy++) {
        assert_true(usual.fill(f.sizes, (size_t)busy + 1));
        check_that(f.ledger.bytes <= 25 * busy + 9 * 1024,
                   "%" PRIu64 " bytes for %" PRIu64 " segments, at most 25 each and 9 KiB expected",
                   f.ledger.bytes, busy);
    }
    tear_down(&f);
}

static void a_refusal_changes_nothing(void **state)
{
    (void)state;
    for (size_t k = 0; k < FORMS; k++) {
        static struct fixture f;

        for (uint64_t n = 1; n <= 2; n++) {
            memset(&f, 0, sizeof f);
            f.ledger.memory = kva_failing_memory_init(&f.memory);
            kva_failing_memory_fail(&f.memory, n, true);
            assert_null(forms[k]->create(&f.ledger, 1));
            kva_nodes_fini(&f.ledger);
            assert_int_equal(f.memory.blocks, 0);
        }
        set_up(&f, forms[k]);
        size_t ready = f.sizes->ready;
        for (uint64_t n = 1;; n++) {
            kva_failing_memory_fail(&f.memory, n, true);
            if (forms[k]->fill(f.sizes, 2000))
                break;
            assert_int_equal(f.sizes->ready, ready);
            assert_true(kva_sizes_ensure(f.sizes, ready)); /* as before */
        }
        assert_true(f.sizes->ready >= 2000);
        kva_failing_memory_fail(&f.memory, 1, true);
        uint64_t takes = f.memory.takes;
        for (uint64_t i = 0; i < 2000; i++)
            assert_true(add(&f, i * 7 % 2000, i));
        assert_int_equal(f.memory.takes, takes);
        tear_down(&f);
    }
}

/* ------------------------------------------------------------------------------------------------- checks */

static void expect_broken(const struct fixture *f, const char *what)
{
    uint64_t address;
    const char *broken = f->form->check(f->sizes, &address);

    check_that(broken && strstr(broken, what), "the check reports %s, %s expected",
               broken ? broken : "nothing", what);
}

static void the_check_names_each_fault(void **state)
{
    static struct fixture f;
    (void)state;
    set_up(&f, &tiny);
    assert_true(tiny.fill(f.sizes, 400));
    for (uint64_t i = 0; i < 400; i++)
        assert_true(add(&f, 10 * i, 1000));
    check_fixture(&f);
    assert_int_equal(f.sizes->height, 2);
    struct size_inner *root = inner_of(f.sizes->root);
    struct size_inner *inner = inner_of(root->child[1]);
    struct size_node *leaf = inner->child[1];

    uint64_t key = leaf->key[1];
    leaf->key[1] = leaf->key[0];
    expect_broken(&f, "out of order");
    leaf->key[1] = key;
    leaf->key[0] = inner->node.key[1] - 1;
    expect_broken(&f, "outside its bounds");
    leaf->key[0] = inner->node.key[1];
    uint64_t bound = inner->node.key[2];
    inner->node.key[2] = leaf->key[leaf->count - 1];
    expect_broken(&f, "outside its bounds");
    inner->node.key[2] = bound;
    uint32_t count = leaf->count;
    leaf->count = least_keys(true) - 1;
    expect_broken(&f, "too few or too many keys");
    leaf->count = most_keys(true) + 1;
    expect_broken(&f, "too many");
    leaf->count = count;
    f.sizes->count++;
    expect_broken(&f, "wrong count of holes");
    f.sizes->count--;
    f.sizes->leaves.in_use++;
    expect_broken(&f, "is lost");
    f.sizes->leaves.in_use--;
    f.sizes->inners.in_use--;
    expect_broken(&f, "is lost");
    f.sizes->inners.in_use++;
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holes_come_and_go),
        cmocka_unit_test(all_ends_fill_and_empty),
        cmocka_unit_test(smallest_and_largest_holes),
        cmocka_unit_test(events_carry_the_old_and_the_new_hole),
        cmocka_unit_test(a_missing_hole_is_reported),
        cmocka_unit_test(ensured_nodes_suffice),
        cmocka_unit_test(exactly_the_ensured_nodes_suffice),
        cmocka_unit_test(memory_is_as_documented),
        cmocka_unit_test(a_refusal_changes_nothing),
        cmocka_unit_test(the_check_names_each_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
