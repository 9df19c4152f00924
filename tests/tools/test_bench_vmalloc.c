/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva bench vmalloc: what is counted around the turns, and what is concluded from the rows. Nothing here depends on how
 * fast the machine is.
 */
#include "common/harness.h"

#include "tools/bench/ticks.h"
#include "tools/bench/vmalloc.h"

#include <math.h>
#include <string.h>

static size_t sizes[] = {1, 4};

/* A run as short as it can be. */
static void run(struct vmalloc_results *results)
{
    struct bench_options options = {.reps = 2,
                                    .turn_ns = 1000000,
                                    .seed = 5,
                                    .sizes = sizes,
                                    .size_count = sizeof(sizes) / sizeof(sizes[0])};
    options.clock = (struct bench_clock){.ns_per_tick = ticks_calibrate(), .cost_ticks = ticks_cost()};
    engines_all(&options.engines);
    options.main_engine = options.engines.name[0];
    options.base = options.engines.name[0];
    memset(results, 0, sizeof(*results));
    vmalloc_open_peers();
    vmalloc_run(&options, results);
}

static const struct vmalloc_row *row_of(const struct vmalloc_results *results, const char *what, size_t pages,
                                        const char *who)
{
    const struct vmalloc_row *row = vmalloc_find(results, what, pages, who);
    if (row == NULL)
        fail_msg("no row %s, %zu pages, %s", what, pages, who);
    return row;
}

static void calls_are_counted(void **state)
{
    (void)state;
    struct vmalloc_results results;
    run(&results);
    for (size_t i = 0; i < 2; i++) {
        const struct vmalloc_row *mmap = row_of(&results, VMALLOC_STEADY, sizes[i], "mmap");
        assert_true(mmap->calls == 2 && mmap->flushing == 1);
        assert_true(mmap->times.ratio == 1);
        assert_true(mmap->times.turns == 2 && mmap->operations > 0);
        const struct vmalloc_row *kva = row_of(&results, VMALLOC_STEADY, sizes[i], VMALLOC_KVA);
        assert_true(kva->calls == 0); /* from the cache */
        assert_true(row_of(&results, VMALLOC_STEADY, sizes[i], "malloc")->calls < 0);
        const struct vmalloc_row *cold = row_of(&results, VMALLOC_COLD_UNTOUCHED, sizes[i], VMALLOC_KVA);
        assert_true(cold->calls >= 1); /* everything was given back before */
        assert_true(row_of(&results, VMALLOC_COLD, sizes[i], VMALLOC_KVA)->faults >= 1);
        const struct vmalloc_row *again = row_of(&results, VMALLOC_MAP_AGAIN, sizes[i], VMALLOC_KVA);
        assert_true(again->calls == 0 && again->found_again > 0);
        const struct vmalloc_row *fresh = row_of(&results, VMALLOC_MAP_FRESH, sizes[i], VMALLOC_KVA);
        assert_true(fresh->calls >= 1 && fresh->found_again == 0);
        assert_null(vmalloc_find(&results, VMALLOC_COLD, sizes[i], "malloc")); /* heaps have no cold state */
    }
    assert_null(vmalloc_find(&results, VMALLOC_STEADY, 100, "mmap"));
    assert_null(results.suite.failed);
    assert_true(results.resident.full > results.resident.start);
    vmalloc_results_destroy(&results);
}

static const struct aim *aim_of(const struct vmalloc_results *results, const char *begin)
{
    for (size_t i = 0; i < results->aims.count; i++)
        if (strncmp(results->aims.aim[i].what, begin, strlen(begin)) == 0)
            return &results->aims.aim[i];
    fail_msg("no aim begins with '%s'", begin);
    return NULL;
}

static struct vmalloc_row made_up(const char *what, const char *who, size_t pages, double a, double b,
                                  double c)
{
    struct vmalloc_row row = {
        .what = what, .who = who, .pages = pages, .times = {.turns = 3, .turn_ns = {a, b, c}}};
    return row;
}

static bool close_to(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

/* Turns that stood side by side are compared, and the median of the quotients counts: 300/3, 1000/2, 100/10. */
static void quotients_are_of_neighbours(void **state)
{
    (void)state;
    struct vmalloc_row mmap = made_up(VMALLOC_STEADY, "mmap", 1, 300, 1000, 100);
    struct vmalloc_row kva = made_up(VMALLOC_STEADY, VMALLOC_KVA, 1, 3, 2, 10);
    assert_true(close_to(times_quotient(&mmap.times, &kva.times), 100));
    assert_true(times_quotient(NULL, &kva.times) < 0 && times_quotient(&mmap.times, NULL) < 0);
}

static void aims_are_judged(void **state)
{
    (void)state;
    struct vmalloc_row rows[] = {
        made_up(VMALLOC_STEADY, "mmap", 1, 1000, 1000, 1000),
        made_up(VMALLOC_STEADY, VMALLOC_KVA, 1, 10, 10, 10),
        made_up(VMALLOC_STEADY, VMALLOC_BARE, 1, 10, 10, 10),
        made_up(VMALLOC_STEADY, "jemalloc", 1, 4, 4, 4),
        made_up(VMALLOC_STEADY, "mmap", 100, 1000, 1000, 1000),
        made_up(VMALLOC_STEADY, VMALLOC_KVA, 100, 11, 11, 11),
        made_up(VMALLOC_STEADY, VMALLOC_BARE, 100, 10, 10, 10),
        made_up(VMALLOC_COLD, "mmap", 1, 100, 100, 100),
        made_up(VMALLOC_COLD, VMALLOC_KVA, 1, 105, 105, 105),
        made_up(VMALLOC_COLD, "mmap", 4, 100, 100, 100),
        made_up(VMALLOC_COLD, VMALLOC_KVA, 4, 120, 120, 120),
    };
    struct vmalloc_results results = {.rows = rows, .row_count = sizeof(rows) / sizeof(rows[0])};
    rows[5].calls = 0.02;
    results.resident.start = 10 << 20;
    results.resident.end = (10 << 20) + (512 << 10);
    for (size_t i = 0; i < VMALLOC_SUITE_TESTS; i++) {
        results.suite.list_us[i] = 600;
        results.suite.kva_us[i] = i == 0 ? 38 : 6; /* 4800 / 80 */
    }
    vmalloc_judge(&results);
    const struct aim *aim = aim_of(&results, "1 page, steady: times as fast");
    assert_true(close_to(aim->measured, 100) && aim_is_met(aim));
    aim = aim_of(&results, "100 pages, steady: times as fast");
    assert_true(aim->measured < 91 && !aim_is_met(aim));
    aim = aim_of(&results, "1 page, steady: times jemalloc's");
    assert_true(close_to(aim->measured, 2.5) && !aim_is_met(aim));
    aim = aim_of(&results, "guard pages");
    assert_true(fabs(aim->measured - 5) < 0.1); /* the mean of 0 and 10 percent */
    aim = aim_of(&results, "100 pages, steady: system calls");
    assert_true(close_to(aim->measured, 0.02) && !aim_is_met(aim));
    aim = aim_of(&results, "cold, worst size: times mmap's time, touch");
    assert_true(close_to(aim->measured, 1.2) && !aim_is_met(aim));
    aim = aim_of(&results, "map_ram, fresh frames, worst"); /* no rows */
    assert_true(aim->measured < 0 && !aim_is_met(aim));
    aim = aim_of(&results, "the suite's eight");
    assert_true(close_to(aim->measured, 60) && aim_is_met(aim));
    aim = aim_of(&results, "the suite's tests 2 and 4");
    assert_true(close_to(aim->measured, 100) && aim_is_met(aim));
    aim = aim_of(&results, "resident");
    assert_true(close_to(aim->measured, 512) && aim_is_met(aim));
}

/* A suite that failed has no ratio; memory that shrank is nothing left. */
static void failures_are_no_figures(void **state)
{
    (void)state;
    struct vmalloc_results results = {.resident = {.start = 2 << 20, .end = 1 << 20}};
    for (size_t i = 0; i < VMALLOC_SUITE_TESTS; i++)
        results.suite.list_us[i] = results.suite.kva_us[i] = 1;
    results.suite.failed = "list";
    vmalloc_judge(&results);
    assert_true(aim_of(&results, "the suite's eight")->measured < 0);
    assert_true(aim_of(&results, "resident")->measured == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_counted),
        cmocka_unit_test(quotients_are_of_neighbours),
        cmocka_unit_test(aims_are_judged),
        cmocka_unit_test(failures_are_no_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
