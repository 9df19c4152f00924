/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The fit of a demand with a boundary whose first start would cross it: against a trial of one start after
 * another, for every stride, every size and every place in blocks of up to 64 addresses. After as many steps
 * as there are places, the places repeat.
 */
#include "../common/harness.h"

#include "engine/fit.h"

/** A block's size, and a start's place in its block, counted from the end at which the search begins. */
struct steps {
    uint64_t nocross;
    uint64_t stride;
    uint64_t size;
    uint64_t place;
};

/** The number of steps from the place to the first one without a crossing; false if there is none. */
static bool try_steps(const struct steps *steps, uint64_t *count)
{
    for (*count = 0; *count < steps->nocross; ++*count)
        if ((steps->place + *count * steps->stride) % steps->nocross <= steps->nocross - steps->size)
            return true;
    return false;
}

/** The hole ends with the expected range, or `missing` addresses before that. */
static void expect_start(const struct kva_demand *demand, uint64_t start, uint64_t want, uint64_t missing,
                         bool fits)
{
    bool lowest = demand->policy == KVA_LOWEST;
    uint64_t low = lowest ? start : want + missing;
    uint64_t high = lowest ? want + (demand->size - 1) - missing : start + (demand->size - 1);
    uint64_t at = ~want;
    bool found = kva_fit_in_hole(low, high, demand, &at);

    check_that(found == fits && (!fits || at == want),
               "[%#" PRIx64 ", %#" PRIx64 "] size %" PRIu64 " stride %" PRIu64 " phase %" PRIu64
               " nocross %" PRIu64 " policy %d: found %d, %#" PRIx64 "; expected %d, %#" PRIx64,
               low, high, demand->size, demand->stride, demand->phase, demand->nocross, (int)demand->policy,
               found, at, fits, want);
}

/** With both policies: upwards from 0, and downwards from the last address. */
static void expect_steps(const struct steps *steps)
{
    struct kva_demand demand = {.size = steps->size,
                                .align = 1,
                                .max = UINT64_MAX,
                                .stride = steps->stride,
                                .nocross = steps->nocross};
    uint64_t count = 0;
    bool fits = try_steps(steps, &count);
    uint64_t way = count * steps->stride;
    uint64_t lowest = steps->place;
    uint64_t highest = UINT64_MAX - steps->place - (steps->size - 1);

    demand.phase = lowest % steps->stride;
    expect_start(&demand, lowest, lowest + way, 0, fits);
    if (fits && way + steps->size > 1) /* otherwise the hole would be empty */
        expect_start(&demand, lowest, lowest + way, 1, false);
    demand.policy = KVA_HIGHEST;
    demand.phase = highest % steps->stride;
    expect_start(&demand, highest, highest - way, 0, fits);
    if (fits && way + steps->size > 1) /* otherwise the hole would be empty */
        expect_start(&demand, highest, highest - way, 1, false);
}

static void starts_match_a_trial_of_every_step(void **state)
{
    struct steps steps;
    uint64_t turn = 0;
    uint64_t visited = 0;

    (void)state;
    for (steps.nocross = 1; steps.nocross <= 64; steps.nocross *= 2)
        for (steps.stride = 1; steps.stride <= 2 * steps.nocross; steps.stride++)
            for (steps.size = 1; steps.size <= steps.nocross; steps.size++)
                for (steps.place = 0; steps.place < steps.nocross; steps.place++)
                    if (turn++ % test_stride() == 0) {
                        expect_steps(&steps);
                        visited++;
                    }
    print_message("visited %" PRIu64 " places\n", visited);
}

/** The number of steps, for numbers too large for trials. */
static void starts_among_large_numbers(void **state)
{
    /* The fourth multiple of 2^60 + 1 lies 4 above 2^62, the eighth 8 above 2^63; the others are far off. */
    struct kva_demand demand = {.align = 1, .max = UINT64_MAX, .nocross = UINT64_C(1) << 62};
    uint64_t at = 0;

    (void)state;
    demand.stride = (UINT64_C(1) << 60) + 1;
    demand.size = (UINT64_C(1) << 62) - 5;
    demand.min = 1;
    assert_true(kva_fit_in_hole(0, UINT64_MAX, &demand, &at));
    assert_true(at == 4 * demand.stride);
    demand.min = 1;
    demand.size = (UINT64_C(1) << 62) - 3; /* room for places up to 3 */
    assert_false(kva_fit_in_hole(0, UINT64_MAX, &demand, &at));

    /* Downwards from the top: the starts that end with a block. */
    demand = (struct kva_demand){.size = UINT64_C(1) << 59,
                                 .align = 1,
                                 .max = UINT64_MAX,
                                 .policy = KVA_HIGHEST,
                                 .stride = 7,
                                 .phase = 2,
                                 .nocross = UINT64_C(1) << 59};
    assert_true(kva_fit_in_hole(0, UINT64_MAX, &demand, &at));
    assert_true(at % 7 == 2 && at % demand.nocross == 0 && UINT64_MAX - at < 7 * demand.nocross);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_match_a_trial_of_every_step),
        cmocka_unit_test(starts_among_large_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
