/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva bench: the workloads build the described state, run the same on every engine and in batches of any
 * size, and a wrong result ends the program.
 */
#include "common/harness.h"

#include "tools/bench/evictions.h"
#include "tools/bench/options.h"
#include "tools/bench/workload.h"
#include "tools/common/exit.h"
#include "tools/common/number.h"

#include <kva/engine.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED 42

static struct kva_stats stats_of(const struct subject *subject)
{
    struct kva_stats stats;
    assert_int_equal(kva_stats_read(&subject->space, &stats), KVA_OK);
    return stats;
}

/* ------------------------------------------------------------------------------------------- command line */

static void numbers_are_read(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_true(number_parse("1", 1, 10, &value) && value == 1);
    assert_true(number_parse("1e4", 1, 10000, &value) && value == 10000);
    assert_true(number_parse("25e2", 1, 10000, &value) && value == 2500);
    assert_true(number_parse("0", 0, 10, &value) && value == 0);
    assert_true(number_parse("0e99", 0, 10, &value) && value == 0);
    assert_true(number_parse("18446744073709551615", 0, UINT64_MAX, &value) && value == UINT64_MAX);
}

static void wrong_numbers_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",   "x",    "-1",  "1.5", " 1",  "1 ",  "e4",
                                        "1e", "1e-1", "1e9", "0",   "101", "1ee1"};
    uint64_t value = 7;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        check_that(!number_parse(wrong[i], 1, 100, &value), "'%s' gave %" PRIu64, wrong[i], value);
    assert_false(number_parse("18446744073709551616", 0, UINT64_MAX, &value));
    assert_false(number_parse("1e20", 0, UINT64_MAX, &value));
    assert_true(value == 7); /* unchanged */
}

/* ---------------------------------------------------------------------------------------------- workloads */

static void every_engine_does_the_same(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 3, 100, 500};
    const struct workload *workload;
    for (size_t w = 0; (workload = workload_at(w)) != NULL; w++) {
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            struct sample first = {0};
            for (size_t e = 0; kva_engine_name(e) != NULL; e++) {
                struct sample sample;
                struct subject *subject = workload_open(workload, kva_engine_name(e), sizes[s], SEED);
                subject_sample(subject, &sample);
                subject_destroy(subject);
                first = e == 0 ? sample : first;
                check_that(sample.fingerprint == first.fingerprint, "%s, %zu", workload->name, sizes[s]);
                check_that(sample.used_bytes == first.used_bytes, "%s, %zu", workload->name, sizes[s]);
                check_that(sample.no_fit == first.no_fit, "%s, %zu", workload->name, sizes[s]);
                check_that(sample.live > 0 && sample.memory_bytes > 0, "%s, %zu", workload->name, sizes[s]);
            }
        }
    }
}

static void workloads_are_found_by_name(void **state)
{
    (void)state;
    const struct workload *workload;
    for (size_t i = 0; (workload = workload_at(i)) != NULL; i++)
        assert_ptr_equal(workload_by_name(workload->name), workload);
    assert_null(workload_by_name("chur"));
    assert_null(workload_by_name(""));
}

static void churn_keeps_n_alive(void **state)
{
    (void)state;
    struct subject *subject = workload_open(&workload_churn, kva_engine_name(0), 300, SEED);
    struct kva_stats stats = stats_of(subject);
    assert_true(stats.busy_segments == 300);
    assert_true(stats.busy_bytes >= 300 * PAGE && stats.busy_bytes <= 300 * 64 * PAGE);
    for (size_t i = 0; i < subject->n; i++) {
        struct kva_segment segment;
        assert_int_equal(kva_find(&subject->space, subject->live[i], &segment), KVA_OK);
        assert_true(segment.state == KVA_BUSY && segment.start == subject->live[i]);
    }
    subject_destroy(subject);
}

/** Half of the pages are holes; the last hole has merged with the free rest of the space. */
static void holes_are_single_pages(void **state)
{
    (void)state;
    struct subject *subject = workload_open(&workload_holes, kva_engine_name(0), 200, SEED);
    struct kva_stats stats = stats_of(subject);
    assert_true(stats.busy_segments == 100 && stats.busy_bytes == 100 * PAGE);
    assert_true(stats.free_segments == 100);
    assert_true(stats.largest_free == SPACE_LAST + 1 - 199 * PAGE);
    subject_destroy(subject);
}

/** n holes without an aligned place and one with it, all equally long. */
static void needle_holes_differ_only_in_alignment(void **state)
{
    (void)state;
    struct subject *subject = workload_open(&workload_needle, kva_engine_name(0), 50, SEED);
    struct kva_stats stats = stats_of(subject);
    assert_true(stats.free_segments == 51);
    assert_true(stats.largest_free == 512 * PAGE && stats.free_bytes == 51 * 512 * PAGE);
    subject_destroy(subject);
}

static void narrow_windows_may_find_nothing(void **state)
{
    (void)state;
    struct sample sample;
    struct subject *subject = workload_open(&workload_windows, kva_engine_name(0), 2000, SEED);
    subject_sample(subject, &sample);
    assert_true(sample.requests == 3 * 2000);
    assert_true(sample.no_fit > 0 && sample.no_fit < sample.requests / 2);
    subject_destroy(subject);
}

/** Each phase of shapes gets places of its kind, with the same addresses on each engine. */
static void shapes_are_kept(void **state)
{
    (void)state;
    for (size_t p = 0; p < workload_shapes.phase_count; p++) {
        const struct phase *phase = &workload_shapes.phases[p];
        bool shaped = false;
        struct sample first = {0};
        for (size_t e = 0; kva_engine_name(e) != NULL; e++) {
            struct sample sample;
            struct subject *subject = workload_open(&workload_shapes, kva_engine_name(e), 100, SEED);
            phase->enter(subject);
            for (size_t i = 0; i < 200; i++) {
                const struct step *step = &subject->batch.step[0];
                phase->prepare(subject, 1);
                phase->run(subject, 0, 1);
                phase->finish(subject, 1);
                uint64_t page = subject->batch.address[step->slot] / PAGE;
                uint64_t last = page + step->size / PAGE - 1;
                check_that(page % (step->align / PAGE) == step->phase_pages, "%s", phase->name);
                check_that(step->nocross_pages == 0 ||
                               page / step->nocross_pages == last / step->nocross_pages,
                           "%s", phase->name);
                shaped |= step->align > PAGE || step->nocross_pages > 0;
            }
            subject_sample(subject, &sample);
            subject_destroy(subject);
            first = e == 0 ? sample : first;
            check_that(sample.fingerprint == first.fingerprint, "%s", phase->name);
            check_that(sample.live == 100, "%s", phase->name);
        }
        check_that(shaped == (p > 0), "%s", phase->name);
    }
}

/** Run `pairs` pairs of a phase, one by one. */
static void run_pairs(struct subject *subject, const struct phase *phase, size_t pairs)
{
    for (size_t i = 0; i < pairs; i++) {
        phase->prepare(subject, 1);
        phase->run(subject, 0, 1);
        phase->finish(subject, 1);
    }
}

/** Each policy has the same addresses on each engine, with and without an index. */
static void policies_are_kept(void **state)
{
    (void)state;
    struct sample plain[APART_MAX];
    int pairs = 0;
    for (size_t p = 0; p < workload_policies.phase_count; p++) {
        const struct phase *phase = &workload_policies.phases[p];
        struct sample first = {0};
        for (size_t e = 0; kva_engine_name(e) != NULL; e++) {
            struct sample sample;
            struct subject *subject =
                workload_open_phase(&workload_policies, phase, kva_engine_name(e), 100, SEED);
            run_pairs(subject, phase, 200);
            subject_sample(subject, &sample);
            subject_destroy(subject);
            first = e == 0 ? sample : first;
            check_that(sample.fingerprint == first.fingerprint, "%s", phase->name);
            check_that(sample.live == 100 && sample.requests == 500, "%s", phase->name);
        }
        plain[p] = first;
        for (size_t q = 0; q < p; q++)
            if (workload_policies.phases[q].draw == phase->draw) {
                check_that(first.fingerprint == plain[q].fingerprint, "%s", phase->name);
                pairs++;
            }
    }
    assert_int_equal(pairs, 2);
}

/** The window reaches 2 GiB from a random target, and is cut at 0. */
static void windows_reach_2_gib_from_targets(void **state)
{
    (void)state;
    const uint64_t reach = UINT64_C(1) << 31;
    const struct phase *phase = &workload_policies.phases[2];
    struct subject *subject = workload_open_phase(&workload_policies, phase, kva_engine_name(0), 9000, SEED);
    bool low = false;
    bool high = false;
    for (size_t i = 0; i < 500; i++) {
        struct step step;
        phase->draw(subject, &step);
        assert_true(step.policy == KVA_NEAREST && step.place <= subject->last);
        assert_true(step.max - step.place == reach - 1);
        assert_true(step.min == 0 ? step.place < reach : step.place - step.min == reach);
        low |= step.min == 0;
        high |= step.min > 0;
    }
    assert_true(low && high);
    subject_destroy(subject);
}

/** Cleared ranges are allocated again, so each batch finds the same space; a batch has no more calls than
 *  ranges. */
static void cleared_ranges_come_back(void **state)
{
    (void)state;
    struct sample before;
    struct sample after;
    struct subject *subject = workload_open(&workload_ranges, kva_engine_name(0), 250, SEED);
    subject_sample(subject, &before);
    for (size_t p = 0; p < workload_ranges.phase_count; p++) {
        const struct phase *phase = &workload_ranges.phases[p];
        phase->enter(subject);
        if (phase->parts == NULL)
            continue;
        size_t parts = phase->parts(subject);
        assert_true(parts >= 1 && parts <= 250 && subject->batch_limit * parts <= 250);
        for (int batch = 0; batch < 3; batch++) {
            phase->prepare(subject, subject->batch_limit);
            phase->run(subject, 0, subject->batch_limit);
            uint64_t busy = 250 - (uint64_t)(subject->batch_limit * parts);
            check_that(stats_of(subject).busy_segments == busy, "%s", phase->name);
            phase->finish(subject, subject->batch_limit);
        }
        subject_sample(subject, &after);
        check_that(after.live == 250 && after.live_bytes == before.live_bytes, "%s", phase->name);
        check_that(stats_of(subject).free_segments == 250, "%s", phase->name);
    }
    subject_destroy(subject);
}

/** n steps visit n holes; the next step starts again. */
static void walks_wrap_around(void **state)
{
    (void)state;
    for (size_t p = 0; p < workload_ranges.phase_count; p++) {
        const struct phase *phase = &workload_ranges.phases[p];
        struct subject *subject = workload_open(&workload_ranges, kva_engine_name(0), 40, SEED);
        phase->enter(subject);
        if (phase->parts == NULL) {
            phase->run(subject, 0, 1);
            uint64_t first = subject->hole.start;
            for (size_t i = 1; i < 40; i++) {
                phase->run(subject, i, i + 1);
                assert_true(subject->hole.start != first && subject->hole.state == KVA_FREE);
            }
            phase->run(subject, 40, 41);
            assert_true(subject->hole.start == first);
        }
        subject_destroy(subject);
    }
}

/** All engines evict the same. A scan evicts fewer ranges than its candidates, and fewer than LRU. */
static void a_scan_evicts_fewer_ranges(void **state)
{
    (void)state;
    size_t sizes[] = {1, 50};
    struct bench_options options = {
        .sizes = sizes, .size_count = 2, .seed = SEED, .reps = 2, .clock = {1, 0}};
    struct evictions_results results = {0};
    engines_all(&options.engines);
    evictions_run(&options, &results);
    assert_true(results.row_count == 4 * options.engines.count);
    for (size_t i = 0; i < results.row_count; i += 2) {
        const struct evicted *lru = &results.rows[i];
        const struct evicted *scan = &results.rows[i + 1];
        assert_string_equal(lru->way, "lru");
        assert_string_equal(scan->way, "scan");
        assert_true(lru->n == (i < results.row_count / 2 ? 2 : 50)); /* 1 has nothing to evict */
        assert_true(lru->successes == 40 && scan->successes == 40);
        assert_true(lru->candidates == lru->evictions && scan->evictions >= 40);
        assert_true(scan->candidates >= scan->evictions);
        assert_true(lru->n == 2 || (scan->candidates > scan->evictions && scan->evictions < lru->evictions));
    }
    evictions_results_destroy(&results);
}

/** The phases of fill-drain run in any order: each leaves the state that the next `enter` expects. */
static void fill_drain_phases_run_in_any_order(void **state)
{
    (void)state;
    static const size_t order[] = {0, 1, 2, 3, 0, 0, 3, 3, 1, 0};
    const struct workload *workload = &workload_fill_drain;
    struct subject *subject = workload_open(workload, kva_engine_name(0), 300, SEED);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        const struct phase *phase = &workload->phases[order[i]];
        phase->enter(subject);
        phase->run(subject, 0, 100);
        phase->finish(subject, 100);
        phase->run(subject, 0, 200);
        phase->finish(subject, 200);
        check_that(stats_of(subject).busy_segments == (order[i] == 0 ? 300u : 0u), "turn %zu", i);
    }
    subject_destroy(subject);
}

/** Run `pairs` pairs of the churn in batches of `count`, each cut in two. */
static struct sample churn_in_batches(size_t pairs, size_t count)
{
    const struct phase *phase = &workload_churn.phases[0];
    struct subject *subject = workload_open(&workload_churn, kva_engine_name(0), 40, SEED);
    for (size_t done = 0; done < pairs; done += count) {
        phase->prepare(subject, count);
        phase->run(subject, 0, count / 2);
        phase->run(subject, count / 2, count);
        phase->finish(subject, count);
    }
    struct sample sample;
    subject_sample(subject, &sample);
    subject_destroy(subject);
    return sample;
}

/** 40 live ranges in batches of 256: most are replaced several times in one batch. */
static void batch_sizes_do_not_change_results(void **state)
{
    (void)state;
    struct sample ones = churn_in_batches(1024, 1);
    struct sample sixteens = churn_in_batches(1024, 16);
    struct sample largest = churn_in_batches(1024, BATCH);
    assert_true(ones.fingerprint == sixteens.fingerprint);
    assert_true(ones.fingerprint == largest.fingerprint);
    assert_true(ones.live_bytes == largest.live_bytes);
    assert_true(ones.fingerprint != churn_in_batches(1280, BATCH).fingerprint);
}

/* ------------------------------------------------------------------------------------------ wrong results */

/** Run `body` in a child, without its messages. Returns the exit code; -1: it was killed. */
static int exit_code_of(void (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        (void)signal(SIGSEGV, SIG_DFL); /* cmocka's handler would exit with the expected status */
        body();
        _exit(99); /* it should not have returned */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void free_twice(void)
{
    struct subject *subject = workload_open(&workload_hot, kva_engine_name(0), 3, SEED);
    subject_give(subject, subject->live[1]);
    subject_give(subject, subject->live[1]);
}

static void take_more_than_there_is(void)
{
    struct subject *subject = workload_open(&workload_needle, kva_engine_name(0), 3, SEED);
    struct kva_request request = kva_request_of(513 * PAGE);
    subject_take(subject, &request);
}

static void miss_the_needle(void)
{
    const struct phase *phase = &workload_needle.phases[0];
    struct subject *subject = workload_open(&workload_needle, kva_engine_name(0), 3, SEED);
    phase->enter(subject);
    phase->prepare(subject, 1);
    subject->expected += PAGE; /* as if the engine had returned a page too low */
    phase->run(subject, 0, 1);
}

static void find_no_fit_in_churn(void)
{
    const struct phase *phase = &workload_churn.phases[0];
    struct subject *subject = workload_open(&workload_churn, kva_engine_name(0), 3, SEED);
    phase->prepare(subject, 1);
    subject->batch.step[0].size = SPACE_LAST; /* it cannot fit beside two live ranges */
    phase->run(subject, 0, 1);
}

static void differ(void)
{
    struct sample a = {.fingerprint = 1};
    struct sample b = {.fingerprint = 2};
    bench_require_equal_samples(&workload_churn, 1, "a", &a, "b", &b);
}

static void wrong_results_end_the_program(void **state)
{
    (void)state;
    assert_int_equal(exit_code_of(free_twice), TOOL_WRONG);
    assert_int_equal(exit_code_of(take_more_than_there_is), TOOL_WRONG);
    assert_int_equal(exit_code_of(miss_the_needle), TOOL_WRONG);
    assert_int_equal(exit_code_of(find_no_fit_in_churn), TOOL_WRONG);
    assert_int_equal(exit_code_of(differ), TOOL_WRONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read),
        cmocka_unit_test(wrong_numbers_are_refused),
        cmocka_unit_test(every_engine_does_the_same),
        cmocka_unit_test(workloads_are_found_by_name),
        cmocka_unit_test(churn_keeps_n_alive),
        cmocka_unit_test(holes_are_single_pages),
        cmocka_unit_test(needle_holes_differ_only_in_alignment),
        cmocka_unit_test(narrow_windows_may_find_nothing),
        cmocka_unit_test(shapes_are_kept),
        cmocka_unit_test(policies_are_kept),
        cmocka_unit_test(windows_reach_2_gib_from_targets),
        cmocka_unit_test(cleared_ranges_come_back),
        cmocka_unit_test(walks_wrap_around),
        cmocka_unit_test(a_scan_evicts_fewer_ranges),
        cmocka_unit_test(fill_drain_phases_run_in_any_order),
        cmocka_unit_test(batch_sizes_do_not_change_results),
        cmocka_unit_test(wrong_results_end_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
