/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Checked arithmetic: exact at both ends of 64 bits, and against remainders in between. */
#include "../common/harness.h"

#include "base/arith.h"

#define TOP UINT64_MAX
#define HALF (UINT64_C(1) << 63)
#define UNTOUCHED UINT64_C(0x5ca1ab1e)

static void powers_of_two(void **state)
{
    (void)state;
    assert_false(is_power_of_two(0));
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t power = UINT64_C(1) << bit;
        assert_true(is_power_of_two(power));
        assert_int_equal(is_power_of_two(power + 1), bit == 0);
        assert_int_equal(is_power_of_two(power - 1), bit == 1);
        assert_false(is_power_of_two(power | HALF) && bit != 63);
    }
    assert_false(is_power_of_two(TOP));
}

static void multiples(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t align = UINT64_C(1) << bit;
        assert_true(is_aligned(0, align));
        assert_true(is_aligned(align, align));
        assert_true(is_aligned(TOP - align + 1, align));
        assert_int_equal(is_aligned(TOP, align), bit == 0);
        assert_int_equal(is_aligned(align / 2, align), bit == 0);
    }
}

static void sums_that_fit_and_sums_that_wrap(void **state)
{
    uint64_t sum = UNTOUCHED;
    (void)state;
    assert_true(add_checked(0, 0, &sum));
    assert_int_equal(sum, 0);
    assert_true(add_checked(TOP, 0, &sum));
    assert_int_equal(sum, TOP);
    assert_true(add_checked(0, TOP, &sum));
    assert_int_equal(sum, TOP);
    assert_true(add_checked(HALF, HALF - 1, &sum));
    assert_int_equal(sum, TOP);

    sum = UNTOUCHED;
    assert_false(add_checked(HALF, HALF, &sum));
    assert_false(add_checked(TOP, 1, &sum));
    assert_false(add_checked(1, TOP, &sum));
    assert_false(add_checked(TOP, TOP, &sum));
    assert_int_equal(sum, UNTOUCHED);
}

/** Products of sizes near the root and the end of what this host can represent; then of arrays after a
 * header. */
static void products_that_fit_and_products_that_wrap(void **state)
{
    const size_t root = (size_t)1 << (sizeof(size_t) * 4);
    size_t product = 7;
    (void)state;
    assert_false(mul_checked(root, root, &product));
    assert_false(mul_checked(SIZE_MAX, 2, &product));
    assert_false(mul_checked(2, SIZE_MAX, &product));
    assert_false(mul_checked(SIZE_MAX / 3 + 1, 3, &product));
    assert_false(mul_checked(SIZE_MAX, SIZE_MAX, &product));
    assert_true(product == 7);
    assert_true(mul_checked(root, root - 1, &product) && product == 0 - root);
    assert_true(mul_checked(SIZE_MAX / 3, 3, &product) && product == SIZE_MAX / 3 * 3);
    assert_true(mul_checked(SIZE_MAX, 1, &product) && product == SIZE_MAX);
    assert_true(mul_checked(SIZE_MAX, 0, &product) && product == 0);
    assert_true(mul_checked(0, SIZE_MAX, &product) && product == 0);

    product = 7;
    assert_false(size_of_array(root, root, root - 1, &product)); /* the wrapped size would be 0, */
    assert_false(size_of_array(100, root, root, &product));      /* and this one 100 */
    assert_true(product == 7);
    assert_true(size_of_array(10, 6, 7, &product) && product == 52);
    assert_true(size_of_array(0, 0, 8, &product) && product == 0);
    assert_true(size_of_array(root - 1, root, root - 1, &product) && product == SIZE_MAX);
}

static void last_addresses(void **state)
{
    uint64_t last = UNTOUCHED;
    (void)state;
    assert_false(last_of_range(0, 0, &last));
    assert_false(last_of_range(TOP, 0, &last));
    assert_false(last_of_range(TOP, 2, &last));
    assert_false(last_of_range(2, TOP, &last));
    assert_int_equal(last, UNTOUCHED);
    assert_true(last_of_range(0, 1, &last));
    assert_int_equal(last, 0);
    assert_true(last_of_range(TOP, 1, &last));
    assert_int_equal(last, TOP);
    assert_true(last_of_range(0, TOP, &last));
    assert_int_equal(last, TOP - 1);
    assert_true(last_of_range(1, TOP, &last));
    assert_int_equal(last, TOP);
    assert_true(last_of_range(HALF, HALF, &last));
    assert_int_equal(last, TOP);
}

static void alignment_at_the_top(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t align = UINT64_C(1) << bit;
        uint64_t highest = TOP - align + 1; /* the largest multiple */
        uint64_t up = UNTOUCHED;

        assert_int_equal(align_down(TOP, align), highest);
        assert_int_equal(align_down(highest, align), highest);
        assert_true(align_up(highest, align, &up));
        assert_int_equal(up, highest);
        if (bit == 0)
            continue;
        up = UNTOUCHED;
        assert_false(align_up(highest + 1, align, &up));
        assert_false(align_up(TOP, align, &up));
        assert_int_equal(up, UNTOUCHED);
        assert_int_equal(align_down(highest - 1, align), highest - align);
        assert_true(align_up(1, align, &up));
        assert_int_equal(up, align);
    }
}

/* Compared with remainders instead of masks. */
static void alignment_of_random_values(void **state)
{
    struct test_rng rng = test_rng_of(1);
    uint64_t rounds = test_scaled(200000);
    (void)state;
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t value = test_random(&rng) >> test_below(&rng, 64);
        uint64_t align = UINT64_C(1) << test_below(&rng, 64);
        uint64_t rest = value % align;
        uint64_t up = UNTOUCHED;
        bool fits = rest == 0 || align - rest <= TOP - value;

        assert_int_equal(align_down(value, align), value - rest);
        assert_int_equal(is_aligned(value, align), rest == 0);
        assert_int_equal(align_up(value, align, &up), fits);
        assert_int_equal(up, !fits ? UNTOUCHED : rest == 0 ? value : value + (align - rest));
    }
}

static void smaller_and_larger(void **state)
{
    (void)state;
    assert_int_equal(min_u64(0, TOP), 0);
    assert_int_equal(min_u64(TOP, 0), 0);
    assert_int_equal(max_u64(0, TOP), TOP);
    assert_int_equal(max_u64(TOP, 0), TOP);
    assert_int_equal(max_u64(HALF, HALF - 1), HALF);
    assert_int_equal(min_u64(HALF, HALF - 1), HALF - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(powers_of_two),
        cmocka_unit_test(multiples),
        cmocka_unit_test(sums_that_fit_and_sums_that_wrap),
        cmocka_unit_test(products_that_fit_and_products_that_wrap),
        cmocka_unit_test(last_addresses),
        cmocka_unit_test(alignment_at_the_top),
        cmocka_unit_test(alignment_of_random_values),
        cmocka_unit_test(smaller_and_larger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
