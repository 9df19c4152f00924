/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Compares the list walk with a model: one byte for each quantum, searched linearly. Both get the same random
 * requests, with all alignments and with windows; they must return the same addresses and refusals, and end
 * in the same state.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../../bench/list/list_walk.h"
#include "../../tools/common/rng.h"

#define UNITS 96
#define QUANTUM UINT64_C(16)

/* Which units are busy, and where areas begin. */
struct model {
    uint64_t first;
    bool busy[UNITS];
    uint64_t starts[UNITS];
    uint64_t sizes[UNITS];
    size_t areas;
};

static uint64_t unit_address(const struct model *model, size_t unit)
{
    return model->first + unit * QUANTUM;
}

static uint64_t rounded(uint64_t size)
{
    return (size + QUANTUM - 1) / QUANTUM * QUANTUM;
}

/* Whether `size` bytes from `start` are in [min, max], in the range, and free. */
static bool model_fits(const struct model *model, uint64_t start, uint64_t size, uint64_t min, uint64_t max)
{
    uint64_t range_last = unit_address(model, UNITS - 1) + (QUANTUM - 1);
    max = max < range_last ? max : range_last;
    if (start < min || start > max || size - 1 > max - start)
        return false;
    for (uint64_t i = 0; i < size / QUANTUM; i++)
        if (model->busy[(start - model->first) / QUANTUM + i])
            return false;
    return true;
}

static void model_take(struct model *model, uint64_t start, uint64_t size)
{
    for (uint64_t i = 0; i < size / QUANTUM; i++)
        model->busy[(start - model->first) / QUANTUM + i] = true;
    model->starts[model->areas] = start;
    model->sizes[model->areas++] = size;
}

static bool model_alloc(struct model *model, uint64_t size, uint64_t align, uint64_t min, uint64_t max,
                        uint64_t *start)
{
    for (size_t unit = 0; unit < UNITS; unit++) {
        *start = unit_address(model, unit);
        if (*start % align == 0 && model_fits(model, *start, rounded(size), min, max)) {
            model_take(model, *start, rounded(size));
            return true;
        }
    }
    return false;
}

static bool model_congruent(struct model *model, const struct kva_part *parts, size_t count, uint64_t align,
                            uint64_t *base)
{
    for (size_t unit = UNITS; unit-- > 0;) {
        bool fits = true;
        *base = unit_address(model, unit);
        for (size_t i = 0; i < count; i++)
            fits = fits && unit + parts[i].offset / QUANTUM < UNITS &&
                   model_fits(model, *base + parts[i].offset, rounded(parts[i].size), 0, UINT64_MAX);
        if (!fits || *base % align != 0)
            continue;
        for (size_t i = 0; i < count; i++)
            model_take(model, *base + parts[i].offset, rounded(parts[i].size));
        return true;
    }
    return false;
}

static void model_free(struct model *model, size_t area)
{
    for (uint64_t i = 0; i < model->sizes[area] / QUANTUM; i++)
        model->busy[(model->starts[area] - model->first) / QUANTUM + i] = false;
    model->areas--;
    model->starts[area] = model->starts[model->areas];
    model->sizes[area] = model->sizes[model->areas];
}

/* ----------------------------------------------------------------------------------------- the comparison */

struct both {
    struct list_walk *walk;
    struct model model;
    struct rng rng;
    size_t successes;
    size_t refusals;
};

static void compare(struct both *both, enum kva_status status, uint64_t got, bool fits, uint64_t want)
{
    assert_int_equal(status, fits ? KVA_OK : KVA_ENOSPC);
    if (fits)
        assert_int_equal(got, want);
    both->successes += fits;
    both->refusals += !fits;
}

static void step_alloc(struct both *both)
{
    uint64_t got = 0, want, min = 0, max = UINT64_MAX;
    uint64_t size = rng_between(&both->rng, 1, rng_below(&both->rng, 4) == 0 ? 20 * QUANTUM : 4 * QUANTUM);
    uint64_t align = UINT64_C(1) << rng_below(&both->rng, 10);
    if (rng_below(&both->rng, 4) == 0)
        min = both->model.first + rng_below(&both->rng, UNITS * QUANTUM);
    if (rng_below(&both->rng, 4) == 0)
        max = both->model.first + (UNITS * QUANTUM - 1) - rng_below(&both->rng, UNITS * QUANTUM);
    enum kva_status status = list_walk_alloc(both->walk, size, align, min, max, &got);
    if (min > max) {
        assert_int_equal(status, KVA_EWINDOW);
        return;
    }
    bool fits = model_alloc(&both->model, size, align, min, max, &want);
    compare(both, status, got, fits, want);
}

static void step_congruent(struct both *both)
{
    struct kva_part parts[3];
    uint64_t got = 0, want, offset = 0;
    uint64_t align = QUANTUM << rng_below(&both->rng, 3);
    size_t count = 1 + (size_t)rng_below(&both->rng, 3);
    for (size_t i = 0; i < count; i++) {
        parts[i] = (struct kva_part){offset, rng_between(&both->rng, 1, 3 * QUANTUM)};
        uint64_t end = offset + rounded(parts[i].size);
        offset = (end + align - 1) / align * align + align * rng_below(&both->rng, 3);
    }
    enum kva_status status = list_walk_congruent(both->walk, parts, count, align, &got);
    bool fits = model_congruent(&both->model, parts, count, align, &want);
    compare(both, status, got, fits, want);
}

static void step_free(struct both *both)
{
    if (both->model.areas == 0)
        return;
    size_t area = (size_t)rng_below(&both->rng, both->model.areas);
    assert_int_equal(list_walk_free(both->walk, both->model.starts[area]), KVA_OK);
    model_free(&both->model, area);
}

/* Compare the whole state by the status of a free of each address that starts no area. */
static void compare_states(struct both *both)
{
    struct model *model = &both->model;
    for (size_t unit = 0; unit < UNITS; unit++) {
        uint64_t address = unit_address(model, unit);
        bool start = false;
        for (size_t i = 0; i < model->areas; i++)
            start |= model->starts[i] == address;
        if (!start)
            assert_int_equal(list_walk_free(both->walk, address),
                             model->busy[unit] ? KVA_EINTERIOR : KVA_EDOUBLE);
    }
}

static void run_lock_step(uint64_t first, uint64_t seed)
{
    struct both both = {.model.first = first};
    uint64_t last = first + (UNITS * QUANTUM - 1);
    rng_seed(&both.rng, seed);
    assert_int_equal(list_walk_create(first, last, QUANTUM, &both.walk), KVA_OK);
    for (size_t i = 0; i < 20000; i++) {
        uint64_t what = rng_below(&both.rng, 16);
        if (what < 8)
            step_alloc(&both);
        else if (what < 9)
            step_congruent(&both);
        else
            step_free(&both);
        if (i % 1000 == 0)
            compare_states(&both);
    }
    assert_true(both.successes > 1000); /* both results are frequent */
    assert_true(both.refusals > 1000);
    while (both.model.areas != 0)
        step_free(&both);
    assert_int_equal(list_walk_destroy(both.walk), KVA_OK);
}

static void test_lock_step(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++)
        run_lock_step(UINT64_C(0xffffc90000000000), seed);
}

static void test_lock_step_at_the_bottom(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++)
        run_lock_step(0, seed);
}

/* 2^64 - 1 belongs to the range. */
static void test_lock_step_at_the_top(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++)
        run_lock_step(UINT64_MAX - (UNITS * QUANTUM - 1), seed);
}

static uint64_t alloc_one(struct list_walk *walk, uint64_t size, uint64_t align)
{
    uint64_t start;
    assert_int_equal(list_walk_alloc(walk, size, align, 0, UINT64_MAX, &start), KVA_OK);
    return start;
}

/* A request of exactly the size of the largest skipped hole must take that hole. */
static void test_cache_is_dropped_for_an_exact_fit(void **state)
{
    (void)state;
    struct list_walk *walk;
    assert_int_equal(list_walk_create(0, 1023, 1, &walk), KVA_OK);
    alloc_one(walk, 8, 1);
    alloc_one(walk, 4, 1);
    alloc_one(walk, 8, 1);
    assert_int_equal(list_walk_free(walk, 8), KVA_OK);
    assert_int_equal(alloc_one(walk, 5, 1), 20); /* skips the hole of 4 at 8 */
    assert_int_equal(alloc_one(walk, 5, 1), 25); /* continues from there */
    assert_int_equal(alloc_one(walk, 4, 1), 8);
    assert_int_equal(list_walk_destroy(walk), KVA_EBUSY); /* the areas are freed anyway */
}

static void test_bad_calls(void **state)
{
    (void)state;
    struct list_walk *walk;
    uint64_t start;
    struct kva_part gap_first = {16, 16};
    struct kva_part overlap[2] = {{0, 32}, {16, 16}};
    struct kva_part wraps[2] = {{0, 16}, {UINT64_MAX - 15, 32}};
    struct kva_part empty = {0, 0};
    assert_int_equal(list_walk_create(0, 1023, 3, &walk), KVA_EALIGN);
    assert_int_equal(list_walk_create(8, 1023, 16, &walk), KVA_EALIGN);
    assert_int_equal(list_walk_create(0, 1000, 16, &walk), KVA_EALIGN);
    assert_int_equal(list_walk_create(1024, 511, 16, &walk), KVA_ERANGE);
    assert_int_equal(list_walk_create(1024, 2047, 16, &walk), KVA_OK);
    assert_int_equal(list_walk_alloc(walk, 0, 1, 0, UINT64_MAX, &start), KVA_ESIZE);
    assert_int_equal(list_walk_alloc(walk, 1, 0, 0, UINT64_MAX, &start), KVA_EALIGN);
    assert_int_equal(list_walk_alloc(walk, 1, 3, 0, UINT64_MAX, &start), KVA_EALIGN);
    assert_int_equal(list_walk_alloc(walk, UINT64_MAX, 1, 0, UINT64_MAX, &start), KVA_EWRAP);
    assert_int_equal(list_walk_alloc(walk, 1, 1, 9, 8, &start), KVA_EWINDOW);
    assert_int_equal(list_walk_alloc(walk, 1, 1, 2048, UINT64_MAX, &start), KVA_EWINDOW);
    assert_int_equal(list_walk_alloc(walk, 1, 1, 0, 1023, &start), KVA_EWINDOW);
    assert_int_equal(list_walk_alloc(walk, 1, UINT64_C(1) << 63, 0, UINT64_MAX, &start), KVA_ENOSPC);
    assert_int_equal(list_walk_free(walk, 1023), KVA_EUNKNOWN);
    assert_int_equal(list_walk_free(walk, 2048), KVA_EUNKNOWN);
    assert_int_equal(list_walk_free(walk, 1024), KVA_EDOUBLE);
    assert_int_equal(list_walk_congruent(walk, overlap, 0, 16, &start), KVA_EINVAL);
    assert_int_equal(list_walk_congruent(walk, &gap_first, 1, 16, &start), KVA_EINVAL);
    assert_int_equal(list_walk_congruent(walk, overlap, 2, 16, &start), KVA_EINVAL);
    assert_int_equal(list_walk_congruent(walk, wraps, 2, 16, &start), KVA_EWRAP);
    assert_int_equal(list_walk_congruent(walk, &empty, 1, 16, &start), KVA_ESIZE);
    assert_int_equal(list_walk_congruent(walk, &overlap[0], 1, 12, &start), KVA_EALIGN);
    assert_int_equal(list_walk_congruent(walk, &overlap[0], 1, 4096, &start), KVA_ENOSPC);
    assert_int_equal(list_walk_destroy(walk), KVA_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lock_step),
        cmocka_unit_test(test_lock_step_at_the_bottom),
        cmocka_unit_test(test_lock_step_at_the_top),
        cmocka_unit_test(test_cache_is_dropped_for_an_exact_fit),
        cmocka_unit_test(test_bad_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
