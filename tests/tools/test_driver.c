/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The parts of `kva test`: random numbers, tables, the command line's words, and the suite itself, run over an
 * allocator that fails or lies on purpose. A suite that passes such an allocator would be worth nothing.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bench/list/list_walk.h"
#include "../../tools/common/rng.h"
#include "../../tools/common/table.h"
#include "../../tools/common/target.h"
#include "../../tools/test/params.h"
#include "../../tools/test/runner.h"

/* -------------------------------------------------------------------------------------- random numbers */

/* The first outputs of splitmix64 from 0, published with the algorithm. */
static void test_splitmix_is_the_published_one(void **state)
{
    (void)state;
    uint64_t counter = 0;
    assert_true(rng_splitmix(&counter) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(rng_splitmix(&counter) == UINT64_C(0x6e789e6aa1b965f4));
}

/* The first outputs of xoshiro256** from the state 1, 2, 3, 4, worked out by hand:
 * s1 = 2: rotl(10, 7) * 9 = 11520. Then s1 = 2 ^ (3 ^ 1) = 0: 0. */
static void test_xoshiro_is_the_published_one(void **state)
{
    (void)state;
    struct rng rng = {{1, 2, 3, 4}};
    assert_int_equal(rng_next(&rng), 11520);
    assert_int_equal(rng_next(&rng), 0);
    assert_int_equal(rng_next(&rng), 1509978240);
}

static void test_draws_stay_within_bounds(void **state)
{
    (void)state;
    struct rng rng;
    unsigned hits[7] = {0};
    rng_seed(&rng, 1);
    for (unsigned i = 0; i < 70000; i++)
        hits[rng_between(&rng, 10, 16) - 10]++;
    for (unsigned i = 0; i < 7; i++)
        assert_in_range(hits[i], 9500, 10500); /* 10,000 expected, standard deviation 93 */
    assert_int_equal(rng_below(&rng, 1), 0);
    assert_int_equal(rng_between(&rng, UINT64_MAX, UINT64_MAX), UINT64_MAX);
    rng_between(&rng, 0, UINT64_MAX); /* all 64 bits: the bound 2^64 has no number of its own */
}

/* With a bound of 3/4 of 2^64, plain division would hit the lowest third of the answers twice as often. */
static void test_draws_are_unbiased(void **state)
{
    (void)state;
    struct rng rng;
    unsigned low = 0;
    rng_seed(&rng, 2);
    for (unsigned i = 0; i < 30000; i++)
        low += rng_below(&rng, 3 * (UINT64_C(1) << 62)) < UINT64_C(1) << 62;
    assert_in_range(low, 9500, 10500); /* 10,000 expected; 15,000 by division */
}

static void test_streams_differ(void **state)
{
    (void)state;
    struct rng a, b, c, again;
    rng_seed_stream(&a, 1, 2);
    rng_seed_stream(&b, 2, 1);
    rng_seed_stream(&c, 1, 3);
    rng_seed_stream(&again, 1, 2);
    uint64_t first = rng_next(&a);
    assert_true(first != rng_next(&b));
    assert_true(first != rng_next(&c));
    assert_true(first == rng_next(&again));
}

/* --------------------------------------------------------------------------------------------- tables */

static void test_numbers_are_grouped(void **state)
{
    (void)state;
    char text[NUMBER_ROOM];
    assert_string_equal(format_count(text, 0), "0");
    assert_string_equal(format_count(text, 999), "999");
    assert_string_equal(format_count(text, 1000), "1,000");
    assert_string_equal(format_count(text, UINT64_MAX), "18,446,744,073,709,551,615");
    assert_string_equal(format_fixed(text, 1234.567, 2), "1,234.57");
    assert_string_equal(format_fixed(text, 999.96, 1), "1,000.0");
    assert_string_equal(format_fixed(text, 0, 0), "0");
    assert_string_equal(format_fixed(text, -1, 2), "-");
    assert_string_equal(format_fixed(text, 1e300 * 1e300, 2), "-");
    assert_string_equal(format_fixed(text, 999999999999999.0, 6), "999,999,999,999,999.000000");
    assert_string_equal(format_fixed(text, 1e15, 2), "1.00e+15");
}

static void test_table_is_aligned(void **state)
{
    (void)state;
    const char *const heading[] = {"name", "us", "note"};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct table *table = table_create("lrl");
    assert_non_null(out);
    table_row(table, heading);
    table_rule(table);
    table_cell(table, "%s", "a");
    table_cell(table, "%d", 1234);
    table_cell(table, "%s", "x");
    table_row(table, (const char *const[]){"long name", NULL, "yy"});
    assert_true(table_print(table, out, 1));
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, " name         us  note\n"
                              " ---------  ----  ----\n"
                              " a          1234  x\n"
                              " long name        yy\n");
    table_destroy(table);
    free(text);
}

static void test_table_without_memory(void **state)
{
    (void)state;
    table_row(NULL, NULL);
    table_cell(NULL, "%d", 1);
    table_rule(NULL);
    assert_false(table_print(NULL, stdout, 0));
    table_destroy(NULL);
}

/* ----------------------------------------------------------------------------------------- parameters */

#define PARSE(params, message, ...)                                                                          \
    params_parse(&(params), (char *const[]){__VA_ARGS__}, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *),  \
                 4, message)

static void test_modes(void **state)
{
    (void)state;
    struct params params;
    char message[PARAMS_MESSAGE];
    assert_null(PARSE(params, message, "performance"));
    assert_int_equal(params.nr_threads, 1);
    assert_int_equal(params.sequential_test_order, 1);
    assert_int_equal(params.test_repeat_count, 3);
    assert_int_equal(params.test_loop_count, 1000000);
    assert_null(PARSE(params, message, "smoke"));
    assert_int_equal(params.nr_threads, 1);
    assert_int_equal(params.test_repeat_count, 10);
    assert_int_equal(params.test_loop_count, 10000);
    assert_null(PARSE(params, message, "stress"));
    assert_int_equal(params.nr_threads, 4);
    assert_int_equal(params.sequential_test_order, 0);
    assert_int_equal(params.test_repeat_count, 20);
    assert_null(PARSE(params, message, "smoke", "test_loop_count=7"));
    assert_int_equal(params.test_loop_count, 7);
    assert_int_equal(params.test_repeat_count, 10);
}

static void test_each_key_sets_its_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < PARAMS_KEYS; i++) {
        struct params params;
        char message[PARAMS_MESSAGE], pair[64];
        snprintf(pair, sizeof(pair), "%s=%llu", params_keys[i].name, (unsigned long long)params_keys[i].high);
        assert_null(PARSE(params, message, pair));
        assert_true(params_value(&params, i) == params_keys[i].high);
        snprintf(pair, sizeof(pair), "%s=%llu", params_keys[i].name,
                 (unsigned long long)params_keys[i].high + 1);
        assert_non_null(PARSE(params, message, pair));
        snprintf(pair, sizeof(pair), "%s=0", params_keys[i].name);
        assert_non_null(PARSE(params, message, pair));
        assert_non_null(strstr(message, params_keys[i].name));
    }
}

static void test_wrong_arguments(void **state)
{
    (void)state;
    struct params params;
    char message[PARAMS_MESSAGE];
    static const char *const wrong[] = {"",
                                        "fast",
                                        "nr_pages",
                                        "=1",
                                        "nr_pages=",
                                        "nr_pages=1x",
                                        "nr_pages=-1",
                                        "nr_pages=+1",
                                        "nr_page=1",
                                        "nr_pages= 1",
                                        "NR_PAGES=1",
                                        "nr_pagess=1",
                                        "nr_pages=18446744073709551617"};
    assert_non_null(params_parse(&params, NULL, 0, 4, message));
    assert_non_null(strstr(message, "performance"));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char argument[64];
        snprintf(argument, sizeof(argument), "%s", wrong[i]);
        assert_non_null(PARSE(params, message, argument));
        assert_non_null(strstr(message, "nr_pages"));
        assert_true(strlen(message) < PARAMS_MESSAGE - 1); /* nothing was cut */
    }
    assert_non_null(PARSE(params, message, "nr_pages=1", "nr_pages=1"));
    assert_non_null(strstr(message, "twice"));
    assert_non_null(PARSE(params, message, "nr_pages=1", "smoke"));
}

static void test_engine_lists(void **state)
{
    (void)state;
    struct target_kind kinds[TARGET_KINDS], kind;
    char message[ENGINES_MESSAGE];
    size_t count, all = 0;
    while (target_kind_at(all, &kind))
        all++;
    assert_null(target_kinds_parse("all", kinds, &count, message));
    assert_int_equal(count, all);
    assert_string_equal(kinds[0].name, "list");
    assert_string_equal(kinds[1].name, kva_engine_name(0));
    assert_null(target_kinds_parse("scan,list", kinds, &count, message));
    assert_int_equal(count, 2);
    assert_string_equal(kinds[0].name, "scan");
    assert_string_equal(kinds[1].name, "list");
    static const char *const wrong[] = {"", ",", "rb,", ",rb", "rb,,scan", "RB", "rbx", "r", "all,rb"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_non_null(target_kinds_parse(wrong[i], kinds, &count, message));
        assert_non_null(strstr(message, "list, bt, rb, scan, or all"));
    }
    assert_non_null(target_kinds_parse("scan,rb,scan", kinds, &count, message));
    assert_string_equal(message, "engine 'scan' is named twice");
    struct engines engines;
    assert_null(engines_parse("all", false, &engines, message));
    assert_int_equal(engines.count, all - 1);
    assert_non_null(engines_parse("list", false, &engines, message));
    assert_string_equal(message,
                        "the list walk 'list' is for kva test only: the engines are bt, rb, scan, or all");
}

/* ---------------------------------------------------------------- an allocator that fails or lies on purpose */

enum vice { HONEST, REFUSES, OFF_ALIGNMENT, OUTSIDE, REFUSES_FREE };

/* One at a time, with one worker. It counts what is taken, and hashes what it is asked for. */
static struct {
    enum vice vice;
    enum kva_status status; /* with which it refuses */
    uint64_t turn;          /* the call, from 1, at which the vice shows */
    uint64_t calls;         /* allocations (frees for REFUSES_FREE) so far */
    uint64_t taken;
    uint64_t hash;
    struct list_walk *walk; /* the honest part */
} crook;

static enum kva_status crook_create(const struct target_kind *kind, const struct target_range *range,
                                    void **state)
{
    (void)kind;
    *state = NULL;
    crook.calls = 0;
    crook.taken = 0;
    crook.hash = 0;
    return list_walk_create(range->first, range->last, range->quantum, &crook.walk);
}

static enum kva_status crook_destroy(void *state)
{
    (void)state;
    return list_walk_destroy(crook.walk);
}

static void crook_note(uint64_t value)
{
    uint64_t counter = crook.hash ^ value;
    crook.hash = rng_splitmix(&counter);
}

/* Whether the vice shows in this allocation. */
static bool crook_turns(void)
{
    return crook.vice != REFUSES_FREE && ++crook.calls == crook.turn;
}

static enum kva_status crook_alloc(void *state, uint64_t size, uint64_t align, uint64_t *addr)
{
    (void)state;
    crook_note(size);
    crook_note(align);
    bool shows = crook_turns();
    if (shows && crook.vice == REFUSES)
        return crook.status;
    enum kva_status status = list_walk_alloc(crook.walk, size, align, 0, UINT64_MAX, addr);
    crook.taken += status == KVA_OK;
    if (shows && crook.vice == OFF_ALIGNMENT)
        *addr += 1;
    if (shows && crook.vice == OUTSIDE)
        *addr = SUITE_LAST + 1 - SUITE_PAGE / 2;
    return status;
}

static enum kva_status crook_free(void *state, uint64_t addr)
{
    (void)state;
    if (crook.vice == REFUSES_FREE && ++crook.calls == crook.turn)
        return crook.status;
    enum kva_status status = list_walk_free(crook.walk, addr);
    crook.taken -= status == KVA_OK;
    return status;
}

static enum kva_status crook_congruent(void *state, const struct kva_part *parts, size_t count,
                                       uint64_t align, uint64_t *base)
{
    (void)state;
    bool shows = crook_turns();
    if (shows && crook.vice == REFUSES)
        return crook.status;
    enum kva_status status = list_walk_congruent(crook.walk, parts, count, align, base);
    crook.taken += status == KVA_OK ? count : 0;
    if (shows && crook.vice == OFF_ALIGNMENT)
        *base -= 1; /* not + 1: the highest group ends where the range does */
    if (shows && crook.vice == OUTSIDE)
        *base = SUITE_FIRST - SUITE_PAGE;
    return status;
}

static const struct target_kind crook_kind = {
    .name = "crook",
    .about = "fails or lies on purpose",
    .create = crook_create,
    .destroy = crook_destroy,
    .alloc = crook_alloc,
    .free = crook_free,
    .congruent = crook_congruent,
};

/* A short run of the tests of `mask`. */
static struct plan short_plan(uint64_t mask)
{
    struct plan plan = {.seed = 5, .cpus = 1};
    plan.params.nr_threads = 1;
    plan.params.sequential_test_order = 1;
    plan.params.test_repeat_count = 1;
    plan.params.test_loop_count = 20;
    plan.params.nr_pages = 3;
    plan.params.run_test_mask = mask;
    plan.params.nr_pcpu_objects = 500;
    plan.params.mode = "custom";
    return plan;
}

/* Tests 2 and 4 hold so many pages that they take minutes if the library verifies all of its structure after
 * each change. */
#define LARGE_TESTS (2 | 4)
#if defined(KVA_CHECK_LEVEL) && KVA_CHECK_LEVEL >= 3
#define MASK_FOR_ENGINES (SUITE_MASK & ~LARGE_TESTS)
#else
#define MASK_FOR_ENGINES SUITE_MASK
#endif

static void check_all_passed(const struct report *report, unsigned mask)
{
    assert_int_equal(report->ended, KVA_OK);
    for (size_t worker = 0; worker < report->workers; worker++) {
        for (size_t i = 0; i < SUITE_TESTS; i++) {
            const struct result *result = &report->worker[worker].results[i];
            bool chosen = (suite_tests[i].id & mask) != 0;
            bool shift = suite_tests[i].id == 64;
            assert_int_equal(result->failed, 0);
            assert_int_equal(result->passed, chosen && !shift);
            assert_int_equal(result->xfailed, chosen && shift);
            assert_int_equal(result->loops_done, result->loops_wanted);
        }
    }
}

static void test_honest_allocators_pass(void **state)
{
    (void)state;
    struct target_kind kind;
    struct plan plan = short_plan(SUITE_MASK);
    struct report report;
    crook.vice = HONEST;
    assert_null(runner_run(&plan, &crook_kind, &report));
    check_all_passed(&report, SUITE_MASK);
    report_fini(&report);
    plan.params.run_test_mask = MASK_FOR_ENGINES;
    for (size_t i = 0; target_kind_at(i, &kind); i++) {
        assert_null(runner_run(&plan, &kind, &report));
        check_all_passed(&report, MASK_FOR_ENGINES);
        report_fini(&report);
    }
}

/* Each test notices the vice at this turn; if nothing was lied about, it gives everything back. */
static void check_vice(enum vice vice, uint64_t turn, enum kva_status status, enum kva_status ended)
{
    for (size_t i = 0; i < SUITE_TESTS; i++) {
        struct plan plan = short_plan(suite_tests[i].id);
        struct report report;
        crook.vice = vice;
        crook.turn = turn;
        crook.status = status;
        assert_null(runner_run(&plan, &crook_kind, &report));
        const struct result *result = &report.worker[0].results[i];
        assert_int_equal(result->failed, 1);
        assert_int_equal(result->passed + result->xfailed, 0);
        assert_non_null(result->failure.what);
        assert_int_equal(result->failure.status, status);
        assert_int_equal(report.ended, ended);
        assert_int_equal(crook.taken == 0, ended == KVA_OK);
        report_fini(&report);
    }
}

/* The second allocation of test 64 stands for a place at 2^1, which there is: it must not count as expected. */
static void test_refusals_are_noticed(void **state)
{
    (void)state;
    check_vice(REFUSES, 1, KVA_ENOMEM, KVA_OK);
    check_vice(REFUSES, 2, KVA_ENOMEM, KVA_OK);
    check_vice(REFUSES, 1, KVA_ENOSPC, KVA_OK);
    check_vice(REFUSES, 2, KVA_ENOSPC, KVA_OK);
}

static void test_lies_are_noticed(void **state)
{
    (void)state;
    check_vice(OUTSIDE, 1, KVA_ERANGE, KVA_EBUSY);
    check_vice(OUTSIDE, 2, KVA_ERANGE, KVA_EBUSY);
    check_vice(OFF_ALIGNMENT, 1, KVA_EALIGN, KVA_EBUSY);
    check_vice(OFF_ALIGNMENT, 2, KVA_EALIGN, KVA_EBUSY);
}

static void test_refused_frees_are_noticed(void **state)
{
    (void)state;
    check_vice(REFUSES_FREE, 1, KVA_EUNKNOWN, KVA_EBUSY);
}

/* ------------------------------------------------------------------------------------------- the runner */

static uint64_t hash_of_run(uint64_t seed)
{
    struct plan plan = short_plan(SUITE_MASK);
    struct report report;
    plan.seed = seed;
    plan.params.sequential_test_order = 0;
    crook.vice = HONEST;
    assert_null(runner_run(&plan, &crook_kind, &report));
    report_fini(&report);
    return crook.hash;
}

static void test_seed_decides_everything(void **state)
{
    (void)state;
    uint64_t first = hash_of_run(1);
    assert_true(first == hash_of_run(1));
    assert_true(first != hash_of_run(2));
}

static void test_many_workers(void **state)
{
    (void)state;
    struct target_kind kind;
    for (size_t i = 0; target_kind_at(i, &kind); i++) {
        struct plan plan = short_plan(SUITE_MASK);
        struct report report;
        bool differ = false;
        plan.params.nr_threads = 8;
        plan.params.sequential_test_order = 0;
        plan.params.run_test_mask = SUITE_MASK - LARGE_TESTS; /* which take long on the scan engine */
        assert_null(runner_run(&plan, &kind, &report));
        assert_int_equal(report.workers, 8);
        for (size_t worker = 0; worker < 8; worker++) {
            unsigned seen = 0;
            assert_int_equal(report.worker[worker].tests, 6);
            for (unsigned j = 0; j < 6; j++)
                seen |= suite_tests[report.worker[worker].order[j]].id;
            assert_int_equal(seen, SUITE_MASK - LARGE_TESTS); /* each once */
            differ |= memcmp(report.worker[worker].order, report.worker[0].order,
                             6 * sizeof(report.worker[0].order[0])) != 0;
            for (size_t test = 0; test < SUITE_TESTS; test++)
                assert_int_equal(report.worker[worker].results[test].failed, 0);
        }
        assert_true(differ);
        assert_int_equal(report.ended, KVA_OK);
        report_fini(&report);
    }
}

static void test_budget_cuts_and_scales(void **state)
{
    (void)state;
    struct plan plan = short_plan(1 | 128);
    struct report report;
    plan.params.test_loop_count = 1000000000; /* minutes */
    plan.params.nr_pcpu_objects = 2000000;    /* a second */
    plan.params.test_repeat_count = 2;
    plan.budget_ns = 10000000;
    crook.vice = HONEST;
    assert_null(runner_run(&plan, &crook_kind, &report));
    for (size_t i = 0; i < SUITE_TESTS; i++) {
        const struct result *result = &report.worker[0].results[i];
        assert_int_equal(result_is_cut(result), i == 0 || i == 7);
        if (!result_is_cut(result))
            continue;
        assert_int_equal(result->passed, 2);
        assert_true(result->loops_done > 0);
        assert_true(result_full_ns(result) > (double)result->ns);
        assert_true(result_full_cycles(result) > (double)result->cycles);
    }
    assert_int_equal(report.ended, KVA_OK);
    report_fini(&report);
}

/* 128 ns, of which 96 for 4 of 40 loops: 32 + 960. The numbers are exact in binary. */
static void test_scaling(void **state)
{
    (void)state;
    struct result result = {
        .passed = 1, .ns = 128, .cycles = 256, .loop_ns = 96, .loops_wanted = 40, .loops_done = 4};
    assert_true(result_full_ns(&result) == 992);
    assert_true(result_full_cycles(&result) == 1984);
    result.loops_done = 40;
    assert_true(result_full_ns(&result) == 128);
    assert_true(result_full_cycles(&result) == 256);
}

/* Held areas are there during the run, and go away behind it. */
static void test_held_areas(void **state)
{
    (void)state;
    struct plan plan = short_plan(1);
    struct report report;
    plan.held = 100;
    crook.vice = HONEST;
    assert_null(runner_run(&plan, &crook_kind, &report));
    assert_int_equal(report.worker[0].results[0].passed, 1);
    assert_int_equal(report.ended, KVA_OK);
    assert_int_equal(crook.taken, 0);
    assert_int_equal(crook.calls, 2 * 100 + 20);
    report_fini(&report);
    crook.vice = REFUSES;
    crook.status = KVA_ENOMEM;
    crook.turn = 50;
    assert_non_null(runner_run(&plan, &crook_kind, &report));
    assert_int_equal(crook.taken, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splitmix_is_the_published_one),
        cmocka_unit_test(test_xoshiro_is_the_published_one),
        cmocka_unit_test(test_draws_stay_within_bounds),
        cmocka_unit_test(test_draws_are_unbiased),
        cmocka_unit_test(test_streams_differ),
        cmocka_unit_test(test_numbers_are_grouped),
        cmocka_unit_test(test_table_is_aligned),
        cmocka_unit_test(test_table_without_memory),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_each_key_sets_its_value),
        cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_engine_lists),
        cmocka_unit_test(test_honest_allocators_pass),
        cmocka_unit_test(test_refusals_are_noticed),
        cmocka_unit_test(test_lies_are_noticed),
        cmocka_unit_test(test_refused_frees_are_noticed),
        cmocka_unit_test(test_seed_decides_everything),
        cmocka_unit_test(test_many_workers),
        cmocka_unit_test(test_budget_cuts_and_scales),
        cmocka_unit_test(test_scaling),
        cmocka_unit_test(test_held_areas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
