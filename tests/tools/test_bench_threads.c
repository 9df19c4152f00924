/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva bench threads: the counts of a crew, its rows, and the conclusions from them. Nothing here depends on
 * the speed of the machine.
 */
#define _GNU_SOURCE
#include "common/harness.h"

#include "tools/bench/crew.h"
#include "tools/bench/machine.h"
#include "tools/bench/threads.h"
#include "tools/bench/ticks.h"
#include "tools/common/clock.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

/* -------------------------------------------------------------------------------------------------- crews */

static _Atomic uint64_t worked;
static _Atomic uint64_t workers_seen;

struct hand {
    pthread_t thread;
    bool known;
};

/* Yields, so that other threads run, and returns a number of operations. */
static uint64_t work_slowly(void *argument)
{
    struct hand *hand = argument;
    if (!hand->known) {
        hand->known = true;
        hand->thread = pthread_self();
        atomic_fetch_add(&workers_seen, 1);
    }
    assert_true(pthread_equal(hand->thread, pthread_self())); /* always the same thread */
    sched_yield();
    atomic_fetch_add(&worked, 3);
    return 3;
}

static uint64_t work_for_nothing(void *argument)
{
    (void)work_slowly(argument);
    return 0;
}

static void crews_are_counted(void **state)
{
    (void)state;
    static const size_t crews[] = {1, 2, 16, CREW_MOST};
    for (size_t i = 0; i < sizeof(crews) / sizeof(crews[0]); i++) {
        struct hand hands[CREW_MOST] = {{0}};
        struct crew_job jobs[CREW_MOST];
        for (size_t j = 0; j < crews[i]; j++)
            jobs[j] = (struct crew_job){work_slowly, &hands[j]};
        struct crew_turn turn = {.operations = 0};
        /* On a slow machine no thread may finish an operation in that time: then try a longer one. */
        for (uint64_t ns = 20000000; turn.operations == 0 && ns < 100 * UINT64_C(1000000000); ns *= 2) {
            atomic_store(&worked, 0);
            atomic_store(&workers_seen, 0);
            uint64_t begin = clock_ns();
            turn = crew_run(jobs, crews[i], 5000000, ns);
            double all_ns = (double)(clock_ns() - begin);
            assert_true(turn.ns >= (double)ns && turn.ns <= all_ns);
            assert_true(turn.cpu_ns > 0);
        }
        assert_true(turn.operations > 0 && turn.operations % 3 == 0);
        assert_true(turn.operations <= atomic_load(&worked)); /* without the lead-in */
        assert_true(atomic_load(&workers_seen) >= 1 && atomic_load(&workers_seen) <= crews[i]);
    }
}

static void zero_operations_are_not_counted(void **state)
{
    (void)state;
    struct hand hands[2] = {{0}};
    struct crew_job jobs[2] = {{work_for_nothing, &hands[0]}, {work_for_nothing, &hands[1]}};
    atomic_store(&worked, 0);
    struct crew_turn turn = crew_run(jobs, 2, 1000000, 5000000);
    assert_int_equal(turn.operations, 0);
    assert_true(atomic_load(&worked) > 0);
}

/* Threads are bound to the CPUs in turn, starting again after the last. */
static void threads_are_bound_in_turn(void **state)
{
    (void)state;
    cpu_set_t first, other;
    size_t cpus = machine_cpus();
    cpu_set_t before;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    assert_int_equal((size_t)CPU_COUNT(&before), cpus);
    assert_true(machine_pin_to(0));
    assert_int_equal(sched_getaffinity(0, sizeof(first), &first), 0);
    assert_int_equal(CPU_COUNT(&first), 1);
    for (size_t i = 1; i < 2 * cpus; i++) {
        assert_true(machine_pin_to(i));
        assert_int_equal(sched_getaffinity(0, sizeof(other), &other), 0);
        assert_int_equal(CPU_COUNT(&other), 1);
        assert_int_equal(CPU_EQUAL(&first, &other) != 0, i % cpus == 0);
        assert_int_equal(machine_cpus(), cpus); /* as before binding */
    }
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

/* -------------------------------------------------------------------------------------------- a whole run */

static const struct threads_row *row_of(const struct threads_results *results, const char *what,
                                        const char *contender, size_t threads)
{
    const struct threads_row *row = threads_find(results, what, contender, threads, 0);
    if (row == NULL)
        fail_msg("no row %s, %s, %zu threads", what, contender, threads);
    return row;
}

static void check_row(const struct threads_row *row)
{
    assert_int_equal(row->times.turns, 2);
    assert_true(row->times.median_ns > 0 && row->cpu_ns > 0 && row->share > 0);
    assert_true(row->times.spread >= 0);
    if (row->threads == 1 && strcmp(row->contender, THREADS_ALONE) != 0)
        assert_true(fabs(row->speedup - 1) < 1e-9);
    if (strcmp(row->contender, THREADS_2019) == 0)
        assert_true(fabs(row->times.ratio - 1) < 1e-9);
}

static void all_rows_are_measured(void **state)
{
    (void)state;
    static const char *const shared[] = {THREADS_POOLS, THREADS_LOCK, THREADS_2019};
    static const size_t crews[] = {1, 2, 4, 16, 64};
    static size_t sizes[] = {100};
    struct threads_results results = {0};
    struct bench_options options = {
        .reps = 2, .turn_ns = 2000000, .seed = 5, .operations = 3000, .sizes = sizes, .size_count = 1};
    options.clock = (struct bench_clock){.ns_per_tick = ticks_calibrate(), .cost_ticks = ticks_cost()};
    engines_all(&options.engines);
    options.main_engine = options.engines.name[0];
    threads_run(&options, &results);
    assert_true(results.measured);
    assert_int_equal(results.row_count, (3 * 5 + 1) + 3 * 2 + (2 * 5 + 1));
    for (size_t i = 0; i < results.row_count; i++)
        check_row(&results.rows[i]);
    for (size_t i = 0; i < 3; i++) {
        for (size_t c = 0; c < 5; c++)
            assert_int_equal(row_of(&results, THREADS_CHURN, shared[i], crews[c])->n, 100);
        (void)row_of(&results, THREADS_FIND, shared[i], 2);
        assert_null(threads_find(&results, THREADS_FIND, shared[i], 4, 0));
    }
    assert_int_equal(row_of(&results, THREADS_VMALLOC, THREADS_KVA, 64)->n, 0);
    assert_true(row_of(&results, THREADS_VMALLOC, THREADS_KVA, 2)->times.ratio < 0); /* no row of 2019 */
    (void)row_of(&results, THREADS_VMALLOC, THREADS_MUTEX, 64);
    (void)row_of(&results, THREADS_VMALLOC, THREADS_ALONE, 1);
    assert_null(threads_find(&results, THREADS_VMALLOC, THREADS_ALONE, 2, 0));
    assert_null(threads_find(&results, THREADS_CHURN, THREADS_ALONE, 2, 0));
    assert_null(threads_find(&results, THREADS_CHURN, THREADS_POOLS, 2, 99));
    assert_int_equal(results.wait_count, THREADS_WAITS);
    for (size_t i = 0; i < results.wait_count; i++) {
        const struct threads_wait *wait = &results.waits[i];
        assert_int_equal(wait->areas, 300);
        assert_true(wait->purge_ns > 0);
        assert_true(wait->longest <= wait->latency.max); /* only the allocator's time */
        assert_true(wait->empty_longest <= wait->empty_max);
    }
    threads_results_destroy(&results);
}

/* -------------------------------------------------------------------------------------------- conclusions */

static struct threads_row made_up(const char *what, const char *contender, size_t threads, double a, double b,
                                  double c)
{
    struct threads_row row = {.what = what,
                              .contender = contender,
                              .n = 7,
                              .threads = threads,
                              .times = {.turns = 3, .turn_ns = {a, b, c}}};
    return row;
}

static const struct aim *aim_of(const struct threads_results *results, const char *begin)
{
    for (size_t i = 0; i < results->aims.count; i++)
        if (strncmp(results->aims.aim[i].what, begin, strlen(begin)) == 0)
            return &results->aims.aim[i];
    fail_msg("no aim begins with '%s'", begin);
    return NULL;
}

static void check_aim(const struct threads_results *results, const char *begin, double measured, bool met)
{
    const struct aim *aim = aim_of(results, begin);
    if (fabs(aim->measured - measured) > 1e-9)
        fail_msg("%s: %g, not %g", aim->what, aim->measured, measured);
    assert_int_equal(aim_is_met(aim), met);
}

/* Turns of the same index are divided, and the median counts. */
static struct threads_row rows[10];

static void make_rows(void)
{
    rows[0] = made_up(THREADS_CHURN, THREADS_POOLS, 1, 60, 600, 60);
    rows[1] = made_up(THREADS_CHURN, THREADS_POOLS, 2, 30, 300, 40); /* 2, 2, 1.5 */
    rows[2] = made_up(THREADS_CHURN, THREADS_POOLS, 64, 40, 400, 40);
    rows[3] = made_up(THREADS_CHURN, THREADS_ALONE, 1, 120, 1200, 120);
    rows[4] = made_up(THREADS_CHURN, THREADS_2019, 2, 270, 2700, 360);
    rows[5] = made_up(THREADS_VMALLOC, THREADS_KVA, 1, 17, 17, 17);
    rows[6] = made_up(THREADS_VMALLOC, THREADS_KVA, 2, 10, 10, 10);
    rows[7] = made_up(THREADS_FIND, THREADS_POOLS, 1, 20, 20, 20);
    rows[8] = made_up(THREADS_FIND, THREADS_POOLS, 2, 25, 25, 25);
    rows[9] = made_up(THREADS_FIND, THREADS_LOCK, 1, 20, 20, 20);
}

static void aims_are_judged(void **state)
{
    (void)state;
    make_rows();
    struct threads_results results = {.measured = true,
                                      .cpus = 2,
                                      .rows = rows,
                                      .row_count = sizeof(rows) / sizeof(rows[0]),
                                      .waits = {{.contender = THREADS_POOLS, .longest = 250000},
                                                {.contender = THREADS_KVA, .longest = 1500000}},
                                      .wait_count = 2};
    threads_judge(&results);
    check_aim(&results, "churn, 2 threads with pools: times one", 2, true);
    check_aim(&results, "churn, one thread: time with pools over", 0.5, true);
    check_aim(&results, "churn, one thread: with pools times as fast", 2, false);
    check_aim(&results, "churn, 2 threads: with pools times as fast as the 2019", 9, true);
    check_aim(&results, "churn, 64 threads", 0.75, false);
    check_aim(&results, "vmalloc, 2 threads", 1.7, false);
    check_aim(&results, "find beside a churn, with pools", 0.8, true);
    check_aim(&results, "find beside a churn, without", -1, false);
    check_aim(&results, "longest wait beside a flush, with pools", 0.25, true);
    check_aim(&results, "longest wait beside a flush, without", -1, false);
    check_aim(&results, "longest wait beside a purge", 1.5, false);
}

/* On one CPU the aims for two threads are not measured; those for one thread are. */
static void one_cpu_does_not_judge_two_threads(void **state)
{
    (void)state;
    make_rows();
    struct threads_results results = {.measured = true,
                                      .cpus = 1,
                                      .rows = rows,
                                      .row_count = sizeof(rows) / sizeof(rows[0]),
                                      .waits = {{.contender = THREADS_POOLS, .longest = 250000}},
                                      .wait_count = 1};
    threads_judge(&results);
    check_aim(&results, "churn, 2 threads with pools: times one", -1, false);
    check_aim(&results, "churn, one thread: time with pools over", 0.5, true);
    check_aim(&results, "churn, 64 threads", -1, false);
    check_aim(&results, "longest wait beside a flush, with pools", -1, false);
}

static void rows_of_unequal_turns_have_no_quotient(void **state)
{
    (void)state;
    make_rows();
    rows[1].times.turns = 2;
    assert_true(times_quotient(&rows[0].times, &rows[1].times) < 0);
    assert_true(times_quotient(NULL, &rows[1].times) < 0 && times_quotient(&rows[0].times, NULL) < 0);
    assert_true(fabs(times_quotient(&rows[5].times, &rows[6].times) - 1.7) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crews_are_counted),
        cmocka_unit_test(zero_operations_are_not_counted),
        cmocka_unit_test(threads_are_bound_in_turn),
        cmocka_unit_test(all_rows_are_measured),
        cmocka_unit_test(aims_are_judged),
        cmocka_unit_test(one_cpu_does_not_judge_two_threads),
        cmocka_unit_test(rows_of_unequal_turns_have_no_quotient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
