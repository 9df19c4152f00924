/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Random calls on random frame sets, in lock-step with the model (common/frames_play.h). */
#include "../common/frames_play.h"

static uint64_t draw_random(void *context, uint64_t bound)
{
    return bound > 0 ? test_below(context, bound) : 0;
}

static bool never_ends(void *context)
{
    (void)context;
    return false;
}

static void random_sets(void **state)
{
    struct test_rng rng = test_rng_of(8001);
    struct frames_draw draw = {draw_random, never_ends, &rng};
    uint64_t sets = test_scaled(300);
    uint64_t calls = 0;
    uint64_t moved = 0;
    (void)state;

    for (uint64_t i = 0; i < sets; i++)
        calls += frames_play(&draw, 400, &moved);
    print_message("%" PRIu64 " sets, %" PRIu64 " calls, %" PRIu64 " runs moved\n", sets, calls, moved);
    assert_true(calls >= sets);
}

/* Few sets, with many calls each. */
static void many_calls_on_each_set(void **state)
{
    struct test_rng rng = test_rng_of(8002);
    struct frames_draw draw = {draw_random, never_ends, &rng};
    uint64_t sets = test_scaled(8);
    uint64_t calls = 0;
    uint64_t moved = 0;
    (void)state;

    for (uint64_t i = 0; i < sets; i++)
        calls += frames_play(&draw, 6000, &moved);
    print_message("%" PRIu64 " sets, %" PRIu64 " calls, %" PRIu64 " runs moved\n", sets, calls, moved);
    assert_true(calls >= sets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_sets),
        cmocka_unit_test(many_calls_on_each_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
