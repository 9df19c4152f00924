/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The fit of a demand into one hole: against a trial of every address, for all small numbers and at both ends
 * of 64 bits; at large numbers, only the validity of a start and of its nearest candidates is checked.
 */
#include "../common/harness.h"

#include "engine/fit.h"

static bool fits_at(uint64_t a, uint64_t high, const struct kva_demand *demand)
{
    uint64_t last = a + (demand->size - 1);

    if (last < a || last > high || a % demand->align != 0)
        return false;
    if (demand->stride == 0)
        return true;
    return a % demand->stride == demand->phase &&
           (demand->nocross == 0 || a / demand->nocross == last / demand->nocross);
}

/** As kva_fit_in_hole, for a hole of a few addresses. */
static bool try_all(uint64_t start, uint64_t last, const struct kva_demand *demand, uint64_t *at)
{
    uint64_t high = last < demand->max ? last : demand->max;
    bool any = false;

    for (uint64_t i = 0; i <= last - start; i++) {
        uint64_t a = demand->policy == KVA_LOWEST ? start + i : last - i;
        if (a < demand->min || !fits_at(a, high, demand))
            continue;
        *at = a;
        any = true;
        break;
    }
    return any;
}

static void expect_the_same(uint64_t start, uint64_t last, const struct kva_demand *demand)
{
    uint64_t expected = 0;
    uint64_t at = 0;
    bool fits = try_all(start, last, demand, &expected);
    bool found = kva_fit_in_hole(start, last, demand, &at);

    check_that(found == fits && (!found || at == expected),
               "[%#" PRIx64 ", %#" PRIx64 "] size %" PRIu64 " stride %" PRIu64 " phase %" PRIu64
               " nocross %" PRIu64 ": found %d, %#" PRIx64 "; expected %d, %#" PRIx64,
               start, last, demand->size, demand->stride, demand->phase, demand->nocross, found, at, fits,
               expected);
}

/** Every size, boundary and policy in one hole. */
static void in_hole(uint64_t start, uint64_t last, uint64_t stride, uint64_t phase)
{
    struct kva_demand demand = {.align = 1, .max = UINT64_MAX, .stride = stride, .phase = phase};

    for (demand.size = 1; demand.size <= 9; demand.size++)
        for (demand.nocross = 0; demand.nocross <= 32;
             demand.nocross = demand.nocross ? 2 * demand.nocross : 1) {
            if (demand.nocross != 0 && demand.nocross < demand.size)
                continue;
            demand.policy = KVA_LOWEST;
            expect_the_same(start, last, &demand);
            demand.policy = KVA_HIGHEST;
            expect_the_same(start, last, &demand);
        }
}

static void small_holes_match_a_trial_of_every_address(void **state)
{
    static const uint64_t base[] = {0, 1, (UINT64_C(1) << 63) - 17, UINT64_MAX - 40};

    (void)state;
    for (size_t b = 0; b < sizeof(base) / sizeof(base[0]); b++)
        for (uint64_t offset = 0; offset <= 16; offset += test_stride())
            for (uint64_t length = 1; length <= 24; length += length < 12 ? 1 : 4)
                for (uint64_t stride = 1; stride <= 13; stride++)
                    for (uint64_t phase = 0; phase < stride; phase++)
                        in_hole(base[b] + offset, base[b] + offset + (length - 1), stride, phase);
}

/** A start that is found meets the demand, and the hundred candidates before it do not. */
static void starts_in_large_holes_meet_the_demand(void **state)
{
    struct test_rng random = test_rng_of(1);

    (void)state;
    for (unsigned round = 0; round < test_scaled(200000); round++) {
        struct kva_demand demand = {.align = 1, .max = UINT64_MAX};
        uint64_t at = 0;
        demand.nocross = UINT64_C(1) << test_below(&random, 64);
        demand.size = 1 + test_below(&random, demand.nocross);
        demand.stride = 1 + test_random(&random) % (UINT64_C(1) << (1 + test_below(&random, 63)));
        demand.phase = test_random(&random) % demand.stride;
        demand.policy = test_below(&random, 2) ? KVA_LOWEST : KVA_HIGHEST;
        uint64_t start = test_random(&random) >> test_below(&random, 64);
        if (!kva_fit_in_hole(start, UINT64_MAX, &demand, &at))
            continue;
        assert_true(at >= start && fits_at(at, UINT64_MAX, &demand));
        uint64_t before = at;
        for (unsigned i = 0; i < 100; i++) {
            if (demand.policy == KVA_LOWEST ? before - start < demand.stride
                                            : UINT64_MAX - (before + (demand.size - 1)) < demand.stride)
                break;
            before = demand.policy == KVA_LOWEST ? before - demand.stride : before + demand.stride;
            assert_false(fits_at(before, UINT64_MAX, &demand));
        }
    }
}

/** Steps from start to start would number 10^9. */
static void a_far_start_is_found(void **state)
{
    struct kva_demand demand = {.size = UINT64_C(1) << 30,
                                .align = 1,
                                .min = (UINT64_C(1) << 32) - 1,
                                .max = UINT64_MAX,
                                .stride = (UINT64_C(1) << 32) - 1,
                                .nocross = UINT64_C(1) << 32};
    uint64_t at = 0;

    (void)state;
    /* k (2^32 - 1) % 2^32 is 2^32 - k, which is at most 2^32 - 2^30 from k = 2^30 on. */
    assert_true(kva_fit_in_hole(1, UINT64_MAX, &demand, &at));
    assert_true(at == (UINT64_C(1) << 30) * demand.stride);
    demand.max = at + (demand.size - 2);
    assert_false(kva_fit_in_hole(1, UINT64_MAX, &demand, &at));
}

static void division_is_exact(void **state)
{
    struct test_rng random = test_rng_of(1);

    (void)state;
    for (unsigned round = 0; round < 100000; round++) {
        uint64_t value = test_random(&random) >> test_below(&random, 64);
        uint64_t by = test_random(&random) >> test_below(&random, 64);
        if (by == 0)
            continue;
        struct division division = divide(value, by);
        assert_true(division.quotient == value / by && division.rest == value % by);
        assert_true(is_multiple(value, by) == (value % by == 0));
    }
    assert_true(divide(UINT64_MAX, UINT64_MAX).quotient == 1 && divide(UINT64_MAX, UINT64_MAX).rest == 0);
    assert_true(divide(UINT64_MAX, UINT64_MAX - 1).rest == 1 && divide(0, 1).quotient == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_holes_match_a_trial_of_every_address),
        cmocka_unit_test(starts_in_large_holes_meet_the_demand),
        cmocka_unit_test(a_far_start_is_found),
        cmocka_unit_test(division_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
