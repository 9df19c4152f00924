/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The inner loops of the bt engine, in each form that this machine can run, against plain loops: every count up to
 * 64, every position, and values at the edges where a signed comparison, or one of half the width, goes wrong.
 *
 * Each array ends where its memory ends, so that a sanitizer sees a vector that reaches beyond it.
 */
#include "../common/bt_kernels.h"
#include "../common/harness.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

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

/** Each form that runs here. */
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

static void *array_of(size_t count, size_t size)
{
    void *array = malloc(count > 0 ? count * size : 1);
    assert_non_null(array);
    return array;
}

/* ------------------------------------------------------------------------------------------- ascending */

static uint64_t minus(uint64_t value, uint64_t less)
{
    return value > less ? value - less : 0;
}

static uint64_t plus(uint64_t value, uint64_t more)
{
    return more < UINT64_MAX - value ? value + more : UINT64_MAX;
}

/** `count` ascending keys of which about `position` are at most `key`, one beside the other or far apart. */
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
        unsigned got = kernels->count_at_most(keys, count, asked[i]);
        check_that(got == want, "%s, %u keys, key %#" PRIx64 ": %u, not %u", kernels->engine, count, asked[i],
                   got, want);
    }
}

static void try_keys_32(const struct bt_kernels *kernels, const uint64_t *keys, unsigned count, uint64_t key)
{
    uint32_t *narrow = array_of(count, sizeof(*narrow));
    uint64_t asked[] = {key, minus(key, 1), plus(key, 1)};

    for (unsigned i = 0; i < count; i++)
        narrow[i] = keys[i] < UINT32_MAX ? (uint32_t)keys[i] : UINT32_MAX;
    for (size_t i = 0; i < 3 && asked[i] <= UINT32_MAX; i++) {
        unsigned want = 0;
        for (unsigned k = 0; k < count; k++)
            want += narrow[k] <= asked[i];
        unsigned got = kernels->count_at_most_32(narrow, count, (uint32_t)asked[i]);
        check_that(got == want, "%s, %u keys, key %#" PRIx64 ": %u, not %u", kernels->engine, count, asked[i],
                   got, want);
    }
    free(narrow);
}

static void keys_at_most(void **state)
{
    static const uint64_t steps[] = {0, 1, 0x10000000, UINT64_C(0x400000000000000)};
    const struct bt_kernels *kernels;
    (void)state;

    for_each_form(kernels, f)
    {
        for (unsigned count = 0; count <= MOST; count++) {
            uint64_t *keys = array_of(count, sizeof(*keys));
            for (unsigned position = 0; position <= count; position++) {
                for (size_t e = 0; e < EDGES * 4; e++) {
                    make_keys(keys, count, position, edges[e / 4], steps[e % 4]);
                    try_keys(kernels, keys, count, edges[e / 4]);
                    if (edges[e / 4] <= UINT32_MAX)
                        try_keys_32(kernels, keys, count, edges[e / 4]);
                }
            }
            free(keys);
        }
    }
}

/* -------------------------------------------------------------------------------------------- any order */

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

/** All below `least` but what is at `position`; count: nothing is. */
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
        for (unsigned count = 0; count <= MOST; count++) {
            uint64_t *values = array_of(count, sizeof(*values));
            for (unsigned position = 0; position <= count; position++) {
                for (size_t e = 0; e < EDGES; e++)
                    try_values(kernels, values, count, position, edges[e]);
            }
            free(values);
        }
    }
}

static void the_greatest(void **state)
{
    const struct bt_kernels *kernels;
    (void)state;

    for_each_form(kernels, f)
    {
        assert_int_equal(kernels->greatest(edges, 0), 0);
        for (unsigned count = 1; count <= MOST; count++) {
            uint64_t *values = array_of(count, sizeof(*values));
            for (unsigned position = 0; position < count; position++) {
                for (size_t e = 0; e < EDGES; e++) {
                    for (unsigned i = 0; i < count; i++)
                        values[i] = minus(edges[e], i % 3);
                    values[position] = edges[e];
                    check_that(kernels->greatest(values, count) == edges[e], "%s, %u of %u: %#" PRIx64,
                               kernels->engine, position, count, edges[e]);
                }
            }
            free(values);
        }
    }
}

/* ------------------------------------------------------------------------------------------------- gaps */

/** Gap i, start[i] - last[i - 1], is `gap` where i is `position`, and no more than `usual` elsewhere. The array begins
 *  and ends are what an engine has there: the first start and the last last belong to no gap. */
static void make_gaps(uint32_t *start, uint32_t *last, unsigned count, unsigned position, uint32_t gap,
                      uint32_t usual)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t here = i == position ? gap : usual - (usual > 1 ? i % 2 : 0);
        uint32_t before = i % 3 ? UINT32_MAX - here : i;
        if (before > UINT32_MAX - here)
            before = 0;
        start[i] = before + here;
        if (i > 0)
            last[i - 1] = before;
    }
    start[0] = 0;
    last[count - 1] = UINT32_MAX;
}

static void try_gaps(const struct bt_kernels *kernels, const uint32_t *start, const uint32_t *last,
                     unsigned count, uint32_t least)
{
    for (unsigned from = 1; from <= count; from++) {
        unsigned want = from;
        while (want < count && start[want] - last[want - 1] <= least)
            want++;
        unsigned got = kernels->first_gap(start, last, from, count, least);
        check_that(got == want, "%s, gaps [%u, %u) above %#" PRIx32 ": %u, not %u", kernels->engine, from,
                   count, least, got, want);
    }
    uint32_t most = 1;
    for (unsigned i = 1; i < count; i++)
        most = start[i] - last[i - 1] > most ? start[i] - last[i - 1] : most;
    assert_int_equal(kernels->greatest_gap(start, last, count), most);
}

static void gaps(void **state)
{
    const struct bt_kernels *kernels;
    (void)state;

    for_each_form(kernels, f)
    {
        for (unsigned count = 1; count <= MOST; count++) {
            uint32_t *start = array_of(count, sizeof(*start));
            uint32_t *last = array_of(count, sizeof(*last));
            for (unsigned position = 1; position <= count; position++) {
                for (size_t e = 1; e < EDGES && edges[e] <= UINT32_MAX; e++) {
                    uint32_t gap = (uint32_t)edges[e];
                    make_gaps(start, last, count, position, gap, gap > 1 ? gap - 1 : 1);
                    try_gaps(kernels, start, last, count, gap - 1);
                    try_gaps(kernels, start, last, count, gap);
                    make_gaps(start, last, count, position, gap, 1);
                    try_gaps(kernels, start, last, count, gap / 2);
                }
            }
            free(start);
            free(last);
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
        cmocka_unit_test(every_form_was_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
