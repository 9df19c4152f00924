/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva test with many workers: spaces that lock for themselves, runs with a given time, and the progress line.
 */
#include "common/harness.h"

#include "tools/common/number.h"
#include "tools/test/runner.h"
#include "tools/test/shown.h"

#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

/* ---------------------------------------------------------------------------------------------- durations */

static void durations_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        {"90s", 90 * SECOND_NS},      {"2m", 120 * SECOND_NS},        {"1h", 3600 * SECOND_NS},
        {"7", 7 * SECOND_NS},         {"0.5", SECOND_NS / 2},         {"1.5m", 90 * SECOND_NS},
        {"0.001s", SECOND_NS / 1000}, {"1000h", 3600000 * SECOND_NS},
    };
    static const char *const wrong[] = {"",    "s",   "1d",    "1 h", "-1",     "+1",    "1e3", "0x10",
                                        "inf", "1hh", "1.2.3", "0",   "0.0001", "1001h", ".",   "1h30m"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t ns = 0;
        assert_true(number_parse_duration(good[i].text, &ns));
        assert_int_equal(ns, good[i].ns);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint64_t ns = 11;
        assert_false(number_parse_duration(wrong[i], &ns));
        assert_int_equal(ns, 11);
    }
}

/* --------------------------------------------------------------------------------------------- timed runs */

static struct plan plan_of(uint64_t mask, uint64_t loops, uint64_t time_ns)
{
    struct plan plan = {
        .memory = TARGET_RANGES,
        .seed = 3,
        .cpus = 2,
        .time_ns = time_ns,
        .params =
            {
                .nr_threads = 3,
                .test_repeat_count = 2,
                .test_loop_count = loops,
                .nr_pages = 3,
                .run_test_mask = mask,
                .nr_pcpu_objects = 100,
                .mode = "custom",
            },
    };
    return plan;
}

static struct target_kind kind_of(const char *name)
{
    struct target_kind kinds[TARGET_KINDS];
    char message[ENGINES_MESSAGE];
    size_t count;
    assert_null(target_kinds_parse(name, TARGET_RANGES, kinds, &count, message));
    assert_int_equal(count, 1);
    return kinds[0];
}

/* A worker that finishes its tests before the time is over starts again. */
static void a_short_run_begins_again(void **state)
{
    (void)state;
    struct plan plan = plan_of(1 | 8 | 16, 5, SECOND_NS / 10);
    struct target_kind kind = kind_of("rb");
    struct report report;
    uint64_t rounds = 0;
    assert_null(runner_run(&plan, &kind, &report));
    for (size_t i = 0; i < report.workers; i++) {
        const struct worker_report *worker = &report.worker[i];
        rounds += worker->rounds;
        for (unsigned j = 0; j < worker->tests; j++) {
            const struct result *result = &worker->results[worker->order[j]];
            assert_int_equal(result->failed, 0);
            assert_true(result->passed + 2 >= 2 * (worker->rounds - 1)); /* two runs per round */
            assert_true(result->passed <= 2 * worker->rounds);
            assert_true(result->loops_wanted == 5 * result->passed);
        }
    }
    assert_true(rounds > 3 * report.workers); /* microseconds each */
    assert_int_equal(report.ended, KVA_OK);
    report_fini(&report);
}

/* A loop that would take minutes ends in time, and later tests do not start. */
static void a_long_run_is_cut(void **state)
{
    (void)state;
    struct plan plan = plan_of(1 | 8, 1000000000, SECOND_NS / 20);
    struct target_kind kind = kind_of("rb");
    struct report report;
    assert_null(runner_run(&plan, &kind, &report));
    for (size_t i = 0; i < report.workers; i++) {
        const struct worker_report *worker = &report.worker[i];
        const struct result *first = &worker->results[worker->order[0]];
        const struct result *second = &worker->results[worker->order[1]];
        assert_int_equal(worker->rounds, 1);
        assert_int_equal(first->passed, 1);
        assert_true(result_is_cut(first) && first->loops_done > 0);
        assert_int_equal(result_repeats(second), 0);
    }
    assert_int_equal(report.ended, KVA_OK);
    report_fini(&report);
}

/* Each round has its own order; a run without a time has one round, and its order depends on the seed. */
static void each_round_is_shuffled(void **state)
{
    (void)state;
    struct target_kind kind = kind_of("rb");
    unsigned orders = 0;
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct plan plan = plan_of(SUITE_RANGES_MASK & ~6u, 5, 0);
        struct report once, longer;
        plan.seed = seed;
        assert_null(runner_run(&plan, &kind, &once));
        assert_int_equal(once.worker[0].rounds, 1);
        plan.time_ns = SECOND_NS / 10;
        assert_null(runner_run(&plan, &kind, &longer));
        assert_true(longer.worker[0].rounds > 1);
        orders += memcmp(once.worker[0].order, longer.worker[0].order, sizeof(once.worker[0].order)) != 0;
        report_fini(&once);
        report_fini(&longer);
    }
    assert_true(orders > 0); /* six tests: one order in 720 is the same */
}

/* ------------------------------------------------------------------------ spaces that lock for themselves */

static void spaces_for_threads_lock_and_pool(void **state)
{
    (void)state;
    struct target_kind lock = kind_of("bt-lock"), pools = kind_of("bt-pools"), plain = kind_of("bt");
    assert_true(lock.locks && pools.locks && !plain.locks);
    for (int i = 0; i < 3; i++) {
        const struct target_kind *kind = i == 0 ? &lock : i == 1 ? &pools : &plain;
        struct target_range range = {SUITE_FIRST, SUITE_LAST, SUITE_PAGE};
        struct target target;
        struct kva_stats stats;
        uint64_t addr;
        assert_int_equal(target_create(&target, kind, &range, true), KVA_OK);
        assert_int_equal(target.shared, i == 2); /* the driver's mutex is only for kinds that need it */
        assert_int_equal(target_alloc(&target, SUITE_PAGE, SUITE_PAGE, 0, &addr), KVA_OK);
        assert_int_equal(kva_stats_read(target.state, &stats), KVA_OK);
        assert_int_equal(stats.pooled_segments > 0, i == 1);
        assert_int_equal(target_free(&target, addr, SUITE_PAGE), KVA_OK);
        assert_int_equal(target_destroy(&target), KVA_OK);
    }
}

static void many_workers_pass_on_spaces_for_threads(void **state)
{
    (void)state;
    static const char *const names[] = {"bt-lock", "bt-pools"};
    for (size_t i = 0; i < 2; i++) {
        struct plan plan = plan_of(SUITE_RANGES_MASK & ~6u, 300, 0);
        struct target_kind kind = kind_of(names[i]);
        struct report report;
        plan.params.nr_threads = 16;
        assert_null(runner_run(&plan, &kind, &report));
        for (size_t w = 0; w < report.workers; w++)
            for (size_t test = 0; test < SUITE_TESTS; test++)
                assert_int_equal(report.worker[w].results[test].failed, 0);
        assert_int_equal(report.ended, KVA_OK);
        report_fini(&report);
    }
}

/* -------------------------------------------------------------------------------------- the progress line */

static void the_line_shows_each_worker(void **state)
{
    (void)state;
    struct shown workers[3] = {
        {.test = 1, .repeat = 4, .trials = 23, .before = 1200000, .loops = 30000, .wanted = 60000},
        {.test = 12, .repeat = 11, .trials = 30},
        {.test = SUITE_TESTS, .trials = 260},
    };
    struct shown_run run = {.name = "bt",
                            .elapsed_ns = 754 * SECOND_NS,
                            .time_ns = 3600 * SECOND_NS,
                            .trials = 260,
                            .repeats = 20,
                            .workers = 3};
    char text[120], narrow[60];
    shown_text(text, sizeof(text), &run, workers);
    assert_string_equal(
        text, "bt 0:12:34 of 1:00:00, 1.23 M loops | 0: full_fit 4/20 | 1: vrealloc 11/20 | 2: done");
    run.time_ns = 0; /* (23.5 + 30 + 260) / 780 */
    shown_text(text, sizeof(text), &run, workers);
    assert_string_equal(text,
                        "bt 0:12:34, 40 %, 1.23 M loops | 0: full_fit 4/20 | 1: vrealloc 11/20 | 2: done");
    /* Not all workers fit: they take turns, and only whole ones are shown. 754 / 2 % 3 = 2 */
    shown_text(narrow, sizeof(narrow), &run, workers);
    assert_string_equal(narrow, "bt 0:12:34, 40 %, 1.23 M loops | 2: done");
    run.elapsed_ns += 2 * SECOND_NS;
    shown_text(narrow, sizeof(narrow), &run, workers);
    assert_string_equal(narrow, "bt 0:12:36, 40 %, 1.23 M loops | 0: full_fit 4/20");
    shown_text(narrow, 8, &run, workers);
    assert_string_equal(narrow, "bt 0:12");
}

static void counts_are_short(void **state)
{
    (void)state;
    static const struct {
        uint64_t loops;
        const char *text;
    } cases[] = {
        {0, ", 0 loops"},          {999, ", 999 loops"},         {1000, ", 1 k loops"},
        {999499, ", 999 k loops"}, {45600000, ", 45.6 M loops"}, {UINT64_C(7890000000), ", 7.89 G loops"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct shown worker = {.test = SUITE_TESTS, .before = cases[i].loops};
        struct shown_run run = {.name = "bt", .time_ns = 1, .workers = 1};
        char text[120];
        shown_text(text, sizeof(text), &run, &worker);
        assert_non_null(strstr(text, cases[i].text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(a_short_run_begins_again),
        cmocka_unit_test(a_long_run_is_cut),
        cmocka_unit_test(each_round_is_shuffled),
        cmocka_unit_test(spaces_for_threads_lock_and_pool),
        cmocka_unit_test(many_workers_pass_on_spaces_for_threads),
        cmocka_unit_test(the_line_shows_each_worker),
        cmocka_unit_test(counts_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
