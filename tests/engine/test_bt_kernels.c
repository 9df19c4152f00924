/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The inner loops of the bt engine, in each form that this machine can run, against plain loops: every count
 * that a node can have, every position, and values where a signed comparison, or one of half the width, goes
 * wrong.
 *
 * Each array is as long as a node's, and ends where its memory ends, so that a sanitizer sees a vector that
 * reaches beyond it. The elements after those in use would change the result if they were read.
 */
#include "../common/bt_kernels.h"
#include "../common/harness.h"
#define BT_SIMD BT_SCALAR
#include "../../ports/test/lines.h"
#include "engine/bt_kernels.h"

#include <kva/engine.h>
#include <string.h>

static const uint64_t edges[] = {
    0,
    1,
    0x7fffffff,
    0x80000000,
    0x80000001,
    0xfffffffe,
    0xffffffff,
    UINT64_C(0x100000000),
    UINT64_C(0x7fffffffffffffff),
    UINT64_C(0x8000000000000000),
    UINT64_C(0x8000000000000001),
    UINT64_C(0xfffffffffffffffe),
    UINT64_C(0xffffffffffffffff),
};

enum { EDGES = sizeof(edges) / sizeof(edges[0]) };

/** The index-th form that runs here; NULL after the last. */
static const struct bt_kernels *form(size_t index)
{
    for (size_t i = 0, seen = 0;; i++) {
        const struct bt_kernels *kernels = bt_kernels_of(i);
        if (kernels == NULL)
            return NULL;
        if (kva_engine_by_name(kernels->engine) != NULL && seen++ == index)
            return kernels;
    }
}

#define for_each_form(kernels, index) for (size_t index = 0; ((kernels) = form(index)) != NULL; index++)

/** Room for `count` elements, aligned to a cache line like a node's arrays, all ones. */
static void *array_of(size_t count, size_t size)
{
    void *array = lines_take(count * size);
    assert_non_null(array);
    memset(array, 0xff, count * size);
    return array;
}

static uint64_t *children(void)
{
    return array_of(BT_CHILDREN, sizeof(uint64_t));
}

static uint32_t *entries(void)
{
    return array_of(BT_SLOTS, sizeof(uint32_t));
}

/* ---------------------------------------------------------------------------------------------- ascending */

static uint64_t minus(uint64_t value, uint64_t less)
{
    return value > less ? value - less : 0;
}

static uint64_t plus(uint64_t value, uint64_t more)
{
    return more < UINT64_MAX - value ? value + more : UINT64_MAX;
}

/** `count` ascending keys, about `position` of which are at most `key`, adjacent or far apart. */
static void make_keys(uint64_t *keys, unsigned count, unsigned position, uint64_t key, uint64_t step)
{
    for (unsigned i = 0; i < count; i++)
        keys[i] = i < position ? minus(key, (position - 1 - i) * step) : plus(key, 1 + (i - position) * step);
}

static unsigned plain_count_at_most(const uint64_t *keys, unsigned count, uint64_t key)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++)
        found += keys[i] <= key;
    return found;
}

static void try_keys(const struct bt_kernels *kernels, const uint64_t *keys, unsigned count, uint64_t key)
{
    uint64_t asked[] = {key, minus(key, 1), plus(key, 1)};
    for (size_t i = 0; i < 3; i++) {
        unsigned want = plain_count_at_most(keys, count, asked[i]);
        unsigned got = kernels->children_at_most(keys, count, asked[i]);
        check_that(got == want, "%s, %u keys, key %#" PRIx64 ": %u, not %u", kernels->engine, count, asked[i],
                   got, want);
    }
}

static void try_keys_32(const struct bt_kernels *kernels, const uint64_t *keys, unsigned count, uint64_t key)
{
    uint32_t *narrow = entries();
    uint64_t asked[] = {key, minus(key, 1), plus(key, 1)};

    for (unsigned i = 0; i < count; i++)
        narrow[i] = keys[i] < UINT32_MAX ? (uint32_t)keys[i] : UINT32_MAX;
    for (size_t i = 0; i < 3 && asked[i] <= UINT32_MAX; i++) {
        unsigned want = 0;
        for (unsigned k = 0; k < count; k++)
            want += narrow[k] <= asked[i];
        unsigned got = kernels->entries_at_most(narrow, count, (uint32_t)asked[i]);
        check_that(got == want, "%s, %u keys, key %#" PRIx64 ": %u, not %u", kernels->engine, count, asked[i],
                   got, want);
    }
    lines_give(narrow);
}

static void keys_at_most(void **state)
{
    static const uint64_t steps[] = {0, 1, 0x10000000, UINT64_C(0x400000000000000)};
    const struct bt_kernels *kernels;
    (void)state;

    for_each_form(kernels, f)
    {
        for (unsigned count = 0; count <= BT_CHILDREN; count++) {
            uint64_t *keys = children();
            for (unsigned position = 0; position <= count; position++) {
                for (size_t e = 0; e < EDGES * 4; e++) {
                    make_keys(keys, count, position, edges[e / 4], steps[e % 4]);
                    try_keys(kernels, keys, count, edges[e / 4]);
                    if (edges[e / 4] <= UINT32_MAX && count <= BT_ENTRIES)
                        try_keys_32(kernels, keys, count, edges[e / 4]);
                }
            }
            lines_give(keys);
        }
    }
}

/* ---------------------------------------------------------------------------------------------- any order */

static unsigned plain_first(const uint64_t *values, unsigned from, unsigned count, uint64_t least)
{
    while (from < count && values[from] < least)
        from++;
    return from;
}

static unsigned plain_past_last(const uint64_t *values, unsigned count, uint64_t least)
{
    while (count > 0 && values[count - 1] < least)
        count--;
    return count;
}

/** All values are below `least` except the one at `position`; count: none. */
static void try_values(const struct bt_kernels *kernels, uint64_t *values, unsigned count, unsigned position,
                       uint64_t least)
{
    for (unsigned i = 0; i < count; i++)
        values[i] = i % 2 ? minus(least, 1) : minus(least, 1) / 2;
    if (position < count)
        values[position] = position % 2 ? least : plus(least, least / 3);
    for (unsigned from = 0; from <= count; from++) {
        unsigned got = kernels->first_at_least(values, from, count, least);
        unsigned want = plain_first(values, from, count, least);
        check_that(got == want, "%s, [%u, %u) at least %#" PRIx64 ": %u, not %u", kernels->engine, from,
                   count, least, got, want);
        got = kernels->past_last_at_least(values, from, least);
        want = plain_past_last(values, from, least);
        check_that(got == want, "%s, below %u, at least %#" PRIx64 ": %u, not %u", kernels->engine, from,
                   least, got, want);
    }
}

static void values_at_least(void **state)
{
    const struct bt_kernels *kernels;
    (void)state;

    for_each_form(kernels, f)
    {
        for (unsigned count = 0; count <= BT_CHILDREN; count++) {
            uint64_t *values = children();
            for (unsigned position = 0; position <= count; position++) {
                for (size_t e = 0; e < EDGES; e++)
                    try_values(kernels, values, count, position, edges[e]);
            }
            lines_give(values);
        }
    }
}

static void the_greatest(void **state)
{
    const struct bt_kernels *kernels;
    (void)state;

    for_each_form(kernels, f)
    {
        for (unsigned count = 1; count <= BT_CHILDREN; count++) {
            uint64_t *values = children();
            for (unsigned position = 0; position < count; position++) {
                for (size_t e = 0; e < EDGES; e++) {
                    for (unsigned i = 0; i < count; i++)
                        values[i] = minus(edges[e], 1 + i % 3);
                    values[position] = edges[e];
                    uint64_t got = kernels->greatest(values, count, BT_CHILDREN);
                    check_that(got == edges[e], "%s, %u of %u: %#" PRIx64, kernels->engine, position, count,
                               got);
                    uint64_t other = 0;
                    for (unsigned i = 0; i < count; i++)
                        other = i == position ? other : max_u64(other, values[i]);
                    got = kernels->greatest(values, count, position);
                    check_that(got == other, "%s, all but %u of %u: %#" PRIx64 ", not %#" PRIx64,
                               kernels->engine, position, count, got, other);
                }
            }
            lines_give(values);
        }
    }
}

/* --------------------------------------------------------------------------------------------------- gaps */

struct gaps {
    uint32_t *start;
    uint32_t *last;
    unsigned count;
};

/** The run of gap i, by 64-bit arithmetic on addresses (in quanta). */
static uint64_t plain_run(const struct gaps *gaps, unsigned i, const struct bt_fit *fit)
{
    uint64_t base = (UINT64_C(7) << 32) + fit->base;
    uint64_t begin = base + gaps->last[i - 1] + 1;
    uint64_t end = base + gaps->start[i];
    uint64_t aligned = (begin + fit->mask) & ~(uint64_t)fit->mask;

    return aligned < end ? end - aligned : 0;
}

/** Gap i is `gap` quanta if i is `position`, and at most `usual` otherwise; the starts vary. The elements
 * after the last entry would be large gaps. */
static void make_gaps(struct gaps *gaps, unsigned position, uint32_t gap, uint32_t usual)
{
    memset(gaps->start, 0xff, BT_SLOTS * sizeof(*gaps->start));
    memset(gaps->last, 0, BT_SLOTS * sizeof(*gaps->last));
    for (unsigned i = 1; i < gaps->count; i++) {
        uint32_t here = i == position ? gap : usual - (usual > 0 ? i % 2 : 0);
        uint32_t most = UINT32_MAX - here - 1;
        gaps->last[i - 1] = i % 3 == 0 ? most : i % 3 == 1 ? i % (most > 0 ? most : 1) : most / 2 + i % 7;
        gaps->last[i - 1] = gaps->last[i - 1] > most ? most : gaps->last[i - 1];
        gaps->start[i] = gaps->last[i - 1] + 1 + here;
    }
    gaps->start[0] = 0;
}

static void try_search(const struct bt_kernels *kernels, const struct gaps *gaps, const struct bt_fit *fit)
{
    for (unsigned from = 1; from <= gaps->count; from++) {
        unsigned want = from;
        while (want < gaps->count && plain_run(gaps, want, fit) < fit->size)
            want++;
        unsigned got = kernels->first_gap(gaps->start, gaps->last, from, gaps->count, fit);
        check_that(got == want, "%s, gaps [%u, %u), size %#" PRIx32 ", mask %#" PRIx32 ": %u, not %u",
                   kernels->engine, from, gaps->count, fit->size, fit->mask, got, want);
        want = from - 1;
        while (want > 0 && plain_run(gaps, want, fit) < fit->size)
            want--;
        got = kernels->last_gap(gaps->start, gaps->last, from, fit);
        check_that(got == want, "%s, gaps below %u, size %#" PRIx32 ", mask %#" PRIx32 ": %u, not %u",
                   kernels->engine, from, fit->size, fit->mask, got, want);
    }
}

static void try_greatest(const struct bt_kernels *kernels, const struct gaps *gaps, const struct bt_fit *fit)
{
    for (unsigned except = 0; except <= gaps->count; except++) {
        unsigned left_out = except < gaps->count ? except : BT_SLOTS;
        uint64_t want = 0;
        for (unsigned i = 1; i < gaps->count; i++)
            want = i == left_out ? want : max_u64(want, plain_run(gaps, i, fit));
        uint32_t got = kernels->greatest_run(gaps->start, gaps->last, gaps->count, left_out, fit);
        check_that(got == want, "%s, %u gaps but %u, mask %#" PRIx32 ": %#" PRIx32 ", not %#" PRIx64,
                   kernels->engine, gaps->count, left_out, fit->mask, got, want);
        if (fit->mask == 0) {
            got = kernels->greatest_gap(gaps->start, gaps->last, gaps->count, left_out);
            check_that(got == want, "%s, %u whole gaps but %u: %#" PRIx32 ", not %#" PRIx64, kernels->engine,
                       gaps->count, left_out, got, want);
        }
    }
}

static void try_gaps(const struct bt_kernels *kernels, const struct gaps *gaps, uint32_t size)
{
    static const uint32_t masks[] = {0, 1, 0xf, 0x1ff, 0x7fffffff, 0xffffffff};

    for (size_t m = 0; m < sizeof(masks) / sizeof(masks[0]); m++) {
        struct bt_fit fit = {.mask = masks[m], .base = 0x12345678, .size = 0};
        try_greatest(kernels, gaps, &fit);
        fit.base = 0;
        try_greatest(kernels, gaps, &fit);
        fit.size = size;
        if (size > 0 && size <= UINT32_MAX - masks[m])
            try_search(kernels, gaps, &fit);
    }
}

static void gaps(void **state)
{
    const struct bt_kernels *kernels;
    struct gaps gaps = {.start = entries(), .last = entries()};
    (void)state;

    for_each_form(kernels, f)
    {
        for (gaps.count = 1; gaps.count <= BT_ENTRIES; gaps.count++) {
            for (unsigned position = 1; position <= gaps.count; position += 1 + gaps.count / 16) {
                for (size_t e = 0; e < EDGES && edges[e] < UINT32_MAX - 1; e++) {
                    uint32_t gap = (uint32_t)edges[e];
                    make_gaps(&gaps, position, gap, gap > 0 ? gap - 1 : 0);
                    try_gaps(kernels, &gaps, gap);
                    try_gaps(kernels, &gaps, gap + 1);
                    make_gaps(&gaps, position, gap, 0);
                    try_gaps(kernels, &gaps, gap / 2 + 1);
                }
            }
        }
    }
    lines_give(gaps.start);
    lines_give(gaps.last);
}

/* --------------------------------------------------------------------------------------- coming and going */

static void entries_come_and_go(void **state)
{
    const struct bt_kernels *kernels;
    (void)state;

    for_each_form(kernels, f)
    {
        for (unsigned i = 0; i < BT_SLOTS; i++) {
            uint32_t *array = entries();
            for (unsigned k = 0; k < BT_SLOTS; k++)
                array[k] = k + UINT32_C(0x80000000);
            kernels->open_entry(array, i, 7);
            for (unsigned k = 0; k < BT_SLOTS; k++)
                assert_int_equal(array[k], k < i ? k + UINT32_C(0x80000000) : k == i ? 7 : k + 0x7fffffff);
            kernels->close_entry(array, i);
            for (unsigned k = 0; k + 1 < BT_SLOTS; k++)
                assert_int_equal(array[k], k + UINT32_C(0x80000000));
            lines_give(array);
        }
    }
}

/** Slots are surrounded by one byte on either side, which must not change. */
static void slots_come_and_go(void **state)
{
    const struct bt_kernels *kernels;
    (void)state;

    for_each_form(kernels, f)
    {
        for (unsigned i = 0; i < BT_SLOTS; i++) {
            uint8_t array[1 + BT_SLOTS + 1];
            for (unsigned k = 0; k < sizeof(array); k++)
                array[k] = (uint8_t)(k + 100);
            kernels->open_slot(array + 1, i, 7);
            for (unsigned k = 0; k < BT_SLOTS; k++)
                assert_int_equal(array[1 + k], k < i ? k + 101 : k == i ? 7 : k + 100);
            kernels->close_slot(array + 1, i);
            for (unsigned k = 0; k + 1 < BT_SLOTS; k++)
                assert_int_equal(array[1 + k], k + 101);
            assert_int_equal(array[0], 100);
            assert_int_equal(array[1 + BT_SLOTS], 100 + 1 + BT_SLOTS);
        }
    }
}

static void every_form_was_tried(void **state)
{
    size_t tried = 0;
    (void)state;

    while (form(tried) != NULL)
        print_message("%s\n", form(tried++)->engine);
    assert_true(tried >= 1);
    for (size_t i = 0, named = 0; test_engine(i) != NULL; i++) {
        if (kva_engine_by_name(test_engine_name(i)) != NULL && test_engine_is_bt(test_engine(i)))
            assert_string_equal(form(named++)->engine, test_engine_name(i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_at_most),         cmocka_unit_test(values_at_least),
        cmocka_unit_test(the_greatest),         cmocka_unit_test(gaps),
        cmocka_unit_test(entries_come_and_go),  cmocka_unit_test(slots_come_and_go),
        cmocka_unit_test(every_form_was_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
