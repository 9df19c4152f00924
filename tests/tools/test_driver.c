/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The parts of `kva test`: random numbers, tables, the arguments, and the suite, run over an allocator that
 * fails or lies on purpose: the suite must detect it.
 */
#define _GNU_SOURCE
#include <kva/engine.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bench/list/list_walk.h"
#include "../../tools/common/grace.h"
#include "../../tools/common/rng.h"
#include "../../tools/common/table.h"
#include "../../tools/common/target.h"
#include "../../tools/test/params.h"
#include "../../tools/test/runner.h"

/* ----------------------------------------------------------------------------------------- random numbers */

/* The first outputs of splitmix64 from 0, published with the algorithm. */
static void test_splitmix_is_the_published_one(void **state)
{
    (void)state;
    uint64_t counter = 0;
    assert_true(rng_splitmix(&counter) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(rng_splitmix(&counter) == UINT64_C(0x6e789e6aa1b965f4));
}

/* The first outputs of xoshiro256** from the state 1, 2, 3, 4, computed by hand:
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
    rng_between(&rng, 0, UINT64_MAX); /* all 64 bits: the bound 2^64 does not fit a number */
}

/* With a bound of 3/4 of 2^64, a plain remainder would return the lowest third twice as often. */
static void test_draws_are_unbiased(void **state)
{
    (void)state;
    struct rng rng;
    unsigned low = 0;
    rng_seed(&rng, 2);
    for (unsigned i = 0; i < 30000; i++)
        low += rng_below(&rng, 3 * (UINT64_C(1) << 62)) < UINT64_C(1) << 62;
    assert_in_range(low, 9500, 10500); /* 10,000 expected; 15,000 with a plain remainder */
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

/* ------------------------------------------------------------------------------------------------- tables */

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

/* --------------------------------------------------------------------------------------------- parameters */

#define PARSE(params, message, ...)                                                                          \
    params_parse(&(params), (char *const[]){__VA_ARGS__}, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *),  \
                 4, SUITE_MASK, message)

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
    assert_non_null(params_parse(&params, NULL, 0, 4, SUITE_MASK, message));
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

/* Tests that need memory cannot run on ranges. */
static void test_masks_follow_the_memory(void **state)
{
    (void)state;
    struct params params;
    char message[PARAMS_MESSAGE];
    char smoke[] = "smoke", all[] = "run_test_mask=255", more[] = "run_test_mask=256";
    char *const mode[] = {smoke}, *const inside[] = {smoke, all}, *const outside[] = {smoke, more};
    assert_null(params_parse(&params, mode, 1, 4, SUITE_RANGES_MASK, message));
    assert_int_equal(params.run_test_mask, 255);
    assert_null(params_parse(&params, inside, 2, 4, SUITE_RANGES_MASK, message));
    assert_non_null(params_parse(&params, outside, 2, 4, SUITE_RANGES_MASK, message));
    assert_non_null(strstr(message, "from 1 to 255 with --memory ranges, not '256'"));
    assert_null(params_parse(&params, mode, 1, 4, SUITE_MASK, message));
    assert_int_equal(params.run_test_mask, 8191);
    assert_null(params_parse(&params, outside, 2, 4, SUITE_MASK, message));
}

static size_t kinds_of(enum target_memory memory)
{
    struct target_kind kind;
    size_t count = 0;
    while (target_kind_at(memory, count, &kind)) {
        assert_int_equal(kind.memory, memory);
        count++;
    }
    return count;
}

/* Both memories have the list walk and kva's engines, in that order, followed on ranges by two kinds for
 * threads, and on pages by one kind of kva and four others. */
static void test_engine_lists(void **state)
{
    (void)state;
    struct target_kind kinds[TARGET_KINDS];
    char message[ENGINES_MESSAGE];
    size_t count, ranges = kinds_of(TARGET_RANGES);
    assert_int_equal(kinds_of(TARGET_PAGES), ranges + 3);
    assert_null(target_kinds_parse("all", TARGET_RANGES, kinds, &count, message));
    assert_int_equal(count, ranges);
    assert_string_equal(kinds[0].name, "list");
    assert_string_equal(kinds[1].name, kva_engine_name(0));
    assert_null(target_kinds_parse("scan,list", TARGET_RANGES, kinds, &count, message));
    assert_int_equal(count, 2);
    assert_string_equal(kinds[0].name, "scan");
    assert_string_equal(kinds[1].name, "list");
    assert_null(target_kinds_parse("malloc,mmap,rb", TARGET_PAGES, kinds, &count, message));
    assert_int_equal(count, 3);
    assert_string_equal(kinds[0].name, "malloc");
    assert_string_equal(kinds[2].name, "rb");
    static const char *const wrong[] = {"", ",", "rb,", ",rb", "rb,,scan", "RB", "rbx", "r", "all,rb"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_non_null(target_kinds_parse(wrong[i], TARGET_RANGES, kinds, &count, message));
        assert_non_null(strstr(message, "list, bt, rb, scan, bt-lock, bt-pools, or all"));
    }
    assert_non_null(target_kinds_parse("tree", TARGET_PAGES, kinds, &count, message));
    assert_non_null(
        strstr(message, "list, bt, rb, scan, bt-mutex, mmap, malloc, jemalloc, mimalloc, or all"));
    assert_non_null(target_kinds_parse("mmap", TARGET_RANGES, kinds, &count, message));
    assert_non_null(strstr(message, "'mmap' is for --memory pages only"));
    assert_non_null(target_kinds_parse("bt-pools", TARGET_PAGES, kinds, &count, message));
    assert_non_null(strstr(message, "'bt-pools' is for --memory ranges only"));
    assert_non_null(target_kinds_parse("scan,rb,scan", TARGET_RANGES, kinds, &count, message));
    assert_string_equal(message, "engine 'scan' is named twice");
    struct engines library, engines;
    engines_all(&library);
    assert_null(engines_parse("all", &library, &engines, message));
    assert_int_equal(engines.count, ranges - 3);
    assert_non_null(engines_parse("bt-lock", &library, &engines, message));
    assert_non_null(strstr(message, "'bt-lock' is for kva test only"));
    assert_non_null(engines_parse("list", &library, &engines, message));
    assert_non_null(strstr(message, "'list' is for kva test only"));
    assert_non_null(strstr(message, ": the engines are bt, rb, scan, or all"));
}

/* A kind has functions for its abilities. */
static void test_abilities_have_functions(void **state)
{
    (void)state;
    static const enum target_memory memories[] = {TARGET_RANGES, TARGET_PAGES};
    struct target_kind kind;
    for (size_t m = 0; m < 2; m++) {
        for (size_t i = 0; target_kind_at(memories[m], i, &kind); i++) {
            if (target_can(&kind, TARGET_CAN_PCPU))
                assert_true(kind.congruent != NULL || kind.pcpu_create != NULL);
            if (target_can(&kind, TARGET_CAN_LATER))
                assert_true(kind.free_later != NULL || kind.locks);
            if (target_can(&kind, TARGET_CAN_MAP))
                assert_true(kind.map != NULL && kind.unmap != NULL && kind.frames_take != NULL);
            if (target_can(&kind, TARGET_CAN_RESIZE))
                assert_true(kind.resize != NULL);
            bool whole = target_can(&kind, TARGET_CAN_PCPU | TARGET_CAN_LATER | TARGET_CAN_MAP |
                                               TARGET_CAN_NO_BLOCK | TARGET_CAN_RESIZE);
            assert_int_equal(kind.cannot == NULL, whole); /* --help explains what is missing */
        }
    }
}

/* ------------------------------------------------------------- an allocator that fails or lies on purpose */

enum defect { HONEST, REFUSES, REFUSES_SHIFT, OFF_ALIGNMENT, OUTSIDE, REFUSES_FREE, LOSES_CONTENTS };

/* One at a time, with one worker. It counts allocations, and hashes requests. The honest part is a list
 * walk on ranges, and the C library on pages. */
static struct {
    enum defect defect;
    enum kva_status status; /* of a refusal */
    uint64_t turn; /* the call, from 1, at which the defect shows; for REFUSES_SHIFT, log2 of the alignment */
    uint64_t calls; /* allocations (frees for REFUSES_FREE) so far */
    uint64_t taken;
    uint64_t hash;
    struct list_walk *walk; /* the honest part; NULL on pages */
} faulty;

static void faulty_begin(void **state)
{
    *state = NULL;
    faulty.calls = 0;
    faulty.taken = 0;
    faulty.hash = 0;
    faulty.walk = NULL;
}

static enum kva_status faulty_create(const struct target_kind *kind, struct target_range *range, void **state)
{
    (void)kind;
    faulty_begin(state);
    return list_walk_create(range->first, range->last, range->quantum, &faulty.walk);
}

static enum kva_status faulty_destroy(void *state)
{
    (void)state;
    return list_walk_destroy(faulty.walk);
}

static enum kva_status faulty_create_pages(const struct target_kind *kind, struct target_range *range,
                                           void **state)
{
    (void)kind;
    faulty_begin(state);
    range->first = SUITE_PAGE; /* any address except that of OUTSIDE */
    range->last = UINTPTR_MAX;
    return KVA_OK;
}

static enum kva_status faulty_destroy_pages(void *state)
{
    (void)state;
    return faulty.taken == 0 ? KVA_OK : KVA_EBUSY;
}

static void faulty_note(uint64_t value)
{
    uint64_t counter = faulty.hash ^ value;
    faulty.hash = rng_splitmix(&counter);
}

/* Whether the defect shows in this allocation. */
static bool faulty_turns(void)
{
    return faulty.defect != REFUSES_FREE && ++faulty.calls == faulty.turn;
}

/* A sanitizer marks each byte before an aligned block; 2^40 bytes are too many. */
#define MOST_ALIGN (UINT64_C(1) << 26)

static enum kva_status honest_alloc(uint64_t size, uint64_t align, uint64_t *addr)
{
    if (faulty.walk != NULL)
        return list_walk_alloc(faulty.walk, size, align, 0, UINT64_MAX, addr);
    void *memory;
    if (align > MOST_ALIGN)
        return KVA_ENOMEM;
    if (posix_memalign(&memory, (size_t)(align < SUITE_PAGE ? SUITE_PAGE : align), (size_t)size) != 0)
        return KVA_ENOMEM;
    *addr = (uintptr_t)memory;
    return KVA_OK;
}

static enum kva_status faulty_alloc(void *state, uint64_t size, uint64_t align, unsigned flags,
                                    uint64_t *addr)
{
    (void)state;
    faulty_note(size);
    faulty_note(align);
    faulty_note(flags);
    bool shows = faulty_turns();
    if ((shows && faulty.defect == REFUSES) || (faulty.defect == REFUSES_SHIFT && align >> faulty.turn != 0))
        return faulty.status;
    enum kva_status status = honest_alloc(size, align, addr);
    faulty.taken += status == KVA_OK;
    if (shows && faulty.defect == OFF_ALIGNMENT)
        *addr += 1;
    if (shows && faulty.defect == OUTSIDE)
        *addr = faulty.walk == NULL ? 0 : SUITE_LAST + 1 - SUITE_PAGE / 2;
    return status;
}

static enum kva_status honest_free(uint64_t addr)
{
    if (faulty.walk != NULL)
        return list_walk_free(faulty.walk, addr);
    free((void *)(uintptr_t)addr);
    return KVA_OK;
}

static enum kva_status faulty_free(void *state, uint64_t addr, uint64_t size)
{
    (void)state;
    (void)size;
    if (faulty.defect == REFUSES_FREE && ++faulty.calls == faulty.turn)
        return faulty.status;
    enum kva_status status = honest_free(addr);
    faulty.taken -= status == KVA_OK;
    return status;
}

static enum kva_status faulty_congruent(void *state, const struct kva_part *parts, size_t count,
                                        uint64_t align, uint64_t *base)
{
    (void)state;
    bool shows = faulty_turns();
    if (shows && faulty.defect == REFUSES)
        return faulty.status;
    enum kva_status status = list_walk_congruent(faulty.walk, parts, count, align, base);
    faulty.taken += status == KVA_OK ? count : 0;
    if (shows && faulty.defect == OFF_ALIGNMENT)
        *base -= 1; /* not + 1: the highest group ends where the range does */
    if (shows && faulty.defect == OUTSIDE)
        *base = SUITE_FIRST - SUITE_PAGE;
    return status;
}

/* ------------------------------------------------- the same on pages: the functions of tests 1024 to 4096 */

static enum kva_status faulty_resize(void *state, uint64_t addr, uint64_t from, uint64_t to, uint64_t *moved)
{
    (void)state;
    (void)from;
    bool shows = faulty_turns();
    if (shows && faulty.defect == REFUSES)
        return faulty.status;
    void *memory = aligned_alloc(SUITE_PAGE, (size_t)(SUITE_PAGE * ((to + SUITE_PAGE - 1) / SUITE_PAGE)));
    if (memory == NULL)
        return KVA_ENOMEM;
    uint64_t kept = from < to ? from : to;
    memcpy(memory, (void *)(uintptr_t)addr, (size_t)kept);
    free((void *)(uintptr_t)addr);
    if (shows && faulty.defect == LOSES_CONTENTS)
        ((unsigned char *)memory)[kept - 64] ^= 1; /* the first word of the last line */
    *moved = (uintptr_t)memory;
    if (shows && faulty.defect == OFF_ALIGNMENT)
        *moved += 1;
    return KVA_OK;
}

static enum kva_status faulty_frames_take(void *state, uint64_t count, void **frames)
{
    (void)state;
    faulty_note(count);
    if (faulty.defect == REFUSES && faulty.turn == 0)
        return faulty.status;
    *frames = aligned_alloc(SUITE_PAGE, (size_t)(count * SUITE_PAGE));
    faulty.taken += *frames != NULL;
    return *frames == NULL ? KVA_ENOMEM : KVA_OK;
}

static enum kva_status faulty_frames_give(void *state, void *frames)
{
    (void)state;
    free(frames);
    faulty.taken--;
    return KVA_OK;
}

static enum kva_status faulty_map(void *state, void *frames, uint64_t first, uint64_t count, uint64_t *addr)
{
    (void)state;
    (void)count;
    bool shows = faulty_turns();
    if (shows && faulty.defect == REFUSES)
        return faulty.status;
    *addr = (uintptr_t)frames + first * SUITE_PAGE + (shows && faulty.defect == OFF_ALIGNMENT);
    return KVA_OK;
}

static enum kva_status faulty_unmap(void *state, uint64_t addr, uint64_t count)
{
    (void)state;
    (void)addr;
    (void)count;
    return faulty.defect == REFUSES_FREE && ++faulty.calls == faulty.turn ? faulty.status : KVA_OK;
}

static const struct target_kind faulty_kind = {
    .name = "faulty",
    .about = "fails or lies on purpose",
    .memory = TARGET_RANGES,
    .exact = true,
    .abilities = TARGET_CAN_PCPU,
    .create = faulty_create,
    .destroy = faulty_destroy,
    .alloc = faulty_alloc,
    .free = faulty_free,
    .congruent = faulty_congruent,
};

static const struct target_kind faulty_of_pages = {
    .name = "faulty",
    .about = "fails or lies on purpose",
    .memory = TARGET_PAGES,
    .abilities = TARGET_CAN_MAP | TARGET_CAN_NO_BLOCK | TARGET_CAN_RESIZE,
    .create = faulty_create_pages,
    .destroy = faulty_destroy_pages,
    .alloc = faulty_alloc,
    .free = faulty_free,
    .resize = faulty_resize,
    .frames_take = faulty_frames_take,
    .frames_give = faulty_frames_give,
    .map = faulty_map,
    .unmap = faulty_unmap,
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

/* Tests 2 and 4 hold so many pages that they take minutes if the library verifies its whole structure
 * after each change. */
#define LARGE_TESTS (2U | 4U)
#if defined(KVA_CHECK_LEVEL) && KVA_CHECK_LEVEL >= 3
#define SMALLER(mask) ((mask) & ~LARGE_TESTS)
#else
#define SMALLER(mask) (mask)
#endif

#define GRACE_TESTS (256U | 512U)
#define SHIFT_TEST 64U

/* Each test of the mask that the kind can run has run once and passed, except the shift test, which must
 * fail. */
static void check_all_passed(const struct report *report, unsigned mask)
{
    assert_int_equal(report->ended, KVA_OK);
    for (size_t worker = 0; worker < report->workers; worker++) {
        for (size_t i = 0; i < SUITE_TESTS; i++) {
            const struct result *result = &report->worker[worker].results[i];
            bool chosen = (suite_tests[i].id & mask) != 0 && suite_can_run(&report->kind, i);
            bool shift = suite_tests[i].id == SHIFT_TEST;
            if (result->failed != 0)
                print_message("%s, %s: %s\n", report->kind.name, suite_tests[i].name, result->failure.what);
            assert_int_equal(result->failed, 0);
            assert_int_equal(result->passed, chosen && !shift);
            assert_int_equal(result->xfailed, chosen && shift);
            assert_int_equal(result->loops_done, result->loops_wanted);
        }
    }
}

static void check_kind(const struct target_kind *kind, unsigned mask, uint64_t threads)
{
    struct plan plan = short_plan(mask);
    struct report report;
    plan.memory = kind->memory;
    plan.params.nr_threads = threads;
    plan.params.sequential_test_order = threads == 1;
    assert_null(runner_run(&plan, kind, &report));
    assert_int_equal(report.workers, threads);
    check_all_passed(&report, mask);
    report_fini(&report);
}

static void test_honest_allocators_pass(void **state)
{
    (void)state;
    struct target_kind kind;
    faulty.defect = HONEST;
    check_kind(&faulty_kind, SUITE_RANGES_MASK, 1);
    check_kind(&faulty_of_pages, SUITE_MASK, 1);
    for (size_t i = 0; target_kind_at(TARGET_RANGES, i, &kind); i++)
        check_kind(&kind, SMALLER(SUITE_RANGES_MASK), 1);
}

/* All thirteen tests on real memory, on every installed kind, as far as it can run them. */
static void test_thirteen_tests_on_pages(void **state)
{
    (void)state;
    struct target_kind kind;
    unsigned mask = SMALLER(SUITE_MASK);
    if (grace_is_missing() != NULL)
        mask &= ~GRACE_TESTS;
    for (size_t i = 0; target_kind_at(TARGET_PAGES, i, &kind); i++) {
        if (!target_kind_open(&kind)) {
            print_message("%s is not installed\n", kind.name);
            continue;
        }
        check_kind(&kind, mask, 1);
        check_kind(&kind, mask & ~LARGE_TESTS, 4);
    }
}

/* A kind over kva/vm.h runs all tests. */
static void test_kva_runs_all_thirteen(void **state)
{
    (void)state;
    struct target_kind kind;
    for (size_t i = 0; kva_engine_name(i) != NULL; i++) {
        target_kind_of_vm(&kind, kva_engine_name(i));
        for (size_t test = 0; test < SUITE_TESTS; test++)
            assert_true(suite_can_run(&kind, test));
    }
}

/* Without liburcu two tests fail, with the reason. */
static void test_missing_grace_periods_are_reported(void **state)
{
    (void)state;
    struct target_kind kind;
    struct plan plan = short_plan(GRACE_TESTS);
    struct report report;
    plan.memory = TARGET_PAGES;
    target_kind_of_vm(&kind, kva_engine_name(0));
    assert_null(runner_run(&plan, &kind, &report));
    for (size_t i = 0; i < SUITE_TESTS; i++) {
        const struct result *result = &report.worker[0].results[i];
        if ((suite_tests[i].id & GRACE_TESTS) == 0)
            continue;
        assert_int_equal(result->passed, grace_is_missing() == NULL);
        assert_int_equal(result->failed, grace_is_missing() != NULL);
        if (grace_is_missing() != NULL)
            assert_int_equal(result->failure.status, KVA_ENOENT);
    }
    report_fini(&report);
}

/* Each test of the mask detects the defect at this turn; if no result was wrong, it frees everything. */
static void check_defect(const struct target_kind *kind, unsigned mask, enum kva_status status,
                         enum kva_status ended)
{
    for (size_t i = 0; i < SUITE_TESTS; i++) {
        struct plan plan = short_plan(suite_tests[i].id & mask);
        struct report report;
        if (plan.params.run_test_mask == 0)
            continue;
        faulty.status = status;
        plan.memory = kind->memory;
        assert_null(runner_run(&plan, kind, &report));
        const struct result *result = &report.worker[0].results[i];
        assert_int_equal(result->failed, 1);
        assert_int_equal(result->passed + result->xfailed, 0);
        assert_non_null(result->failure.what);
        assert_int_equal(result->failure.status, status);
        assert_int_equal(report.ended, ended);
        assert_int_equal(faulty.taken == 0, ended == KVA_OK);
        report_fini(&report);
    }
}

static void check_ranges(enum defect defect, uint64_t turn, enum kva_status status, enum kva_status ended)
{
    faulty.defect = defect;
    faulty.turn = turn;
    check_defect(&faulty_kind, SUITE_RANGES_MASK, status, ended);
}

/* The second allocation of test 64 is aligned to 2^1, and has a place: a refusal must not count as
 * expected. */
static void test_refusals_are_noticed(void **state)
{
    (void)state;
    check_ranges(REFUSES, 1, KVA_ENOMEM, KVA_OK);
    check_ranges(REFUSES, 2, KVA_ENOMEM, KVA_OK);
    check_ranges(REFUSES, 1, KVA_ENOSPC, KVA_OK);
    check_ranges(REFUSES, 2, KVA_ENOSPC, KVA_OK);
}

static void test_lies_are_noticed(void **state)
{
    (void)state;
    check_ranges(OUTSIDE, 1, KVA_ERANGE, KVA_EBUSY);
    check_ranges(OUTSIDE, 2, KVA_ERANGE, KVA_EBUSY);
    check_ranges(OFF_ALIGNMENT, 1, KVA_EALIGN, KVA_EBUSY);
    check_ranges(OFF_ALIGNMENT, 2, KVA_EALIGN, KVA_EBUSY);
}

static void test_refused_frees_are_noticed(void **state)
{
    (void)state;
    check_ranges(REFUSES_FREE, 1, KVA_EUNKNOWN, KVA_EBUSY);
}

static void check_pages(enum defect defect, unsigned mask, enum kva_status status, enum kva_status ended)
{
    faulty.defect = defect;
    faulty.turn = 2;
    check_defect(&faulty_of_pages, mask, status, ended);
}

/* The same for the tests that need memory. */
static void test_defects_are_noticed_on_pages(void **state)
{
    (void)state;
    check_pages(REFUSES, 1 | 8 | 16 | 1024 | 4096, KVA_ENOMEM, KVA_OK);
    check_pages(REFUSES, 2048, KVA_EUNKNOWN, KVA_OK); /* not a permitted refusal */
    check_pages(OFF_ALIGNMENT, 1024, KVA_EALIGN, KVA_OK);
    check_pages(LOSES_CONTENTS, 4096, KVA_ECORRUPT, KVA_OK);
    check_pages(REFUSES_FREE, 1024, KVA_EUNKNOWN, KVA_OK);
}

/* Test 2048 counts refusals as expected. */
static void test_no_block_may_be_refused(void **state)
{
    (void)state;
    static const enum kva_status refusals[] = {KVA_ENOSPC, KVA_ENOMEM, KVA_ELIMIT};
    for (size_t i = 0; i < 3; i++) {
        struct plan plan = short_plan(2048);
        struct report report;
        plan.memory = TARGET_PAGES;
        faulty.defect = REFUSES;
        faulty.turn = 3;
        faulty.status = refusals[i];
        assert_null(runner_run(&plan, &faulty_of_pages, &report));
        const struct result *result = &report.worker[0].results[11];
        assert_int_equal(suite_tests[11].id, 2048);
        assert_int_equal(result->xfailed, 1);
        assert_int_equal(result->passed + result->failed, 0);
        assert_int_equal(faulty.calls, 20); /* it continued */
        assert_int_equal(report.ended, KVA_OK);
        report_fini(&report);
    }
}

/* A kind that is not exact may refuse alignments above the page, and nothing else. */
static void test_inexact_kinds_may_refuse_alignment(void **state)
{
    (void)state;
    for (uint64_t turn = 13; turn <= 14; turn++) { /* 2^12 is a page, 2^13 is more */
        struct plan plan = short_plan(SHIFT_TEST);
        struct report report;
        plan.memory = TARGET_PAGES;
        faulty.defect = REFUSES;
        faulty.turn = turn;
        faulty.status = KVA_ENOMEM;
        assert_null(runner_run(&plan, &faulty_of_pages, &report));
        assert_int_equal(report.worker[0].results[6].failed, turn == 13);
        assert_int_equal(report.worker[0].results[6].xfailed, turn == 14);
        report_fini(&report);
    }
}

/* The number of workers whose test 64 fails if each is refused alignments from 2^shift on; for the others
 * the refusal is expected. */
static uint64_t shift_failures(bool recycles, uint64_t workers, uint64_t shift)
{
    struct target_kind kind = faulty_kind;
    struct plan plan = short_plan(SHIFT_TEST);
    struct report report;
    uint64_t failed = 0;
    kind.recycles = recycles;
    plan.params.nr_threads = workers;
    faulty.defect = REFUSES_SHIFT;
    faulty.turn = shift;
    faulty.status = KVA_ENOSPC;
    assert_null(runner_run(&plan, &kind, &report));
    for (size_t worker = 0; worker < report.workers; worker++) {
        failed += report.worker[worker].results[6].failed;
        assert_int_equal(report.worker[worker].results[6].failed + report.worker[worker].results[6].xfailed,
                         1);
    }
    report_fini(&report);
    return failed;
}

/* If freed pages are reused, other workers' tests may hold aligned pages that test 64 freed: up to 16,384
 * with one CPU. The range has as many multiples of 2^31, and twice as many of 2^30. */
static void test_another_worker_may_hold_all_places(void **state)
{
    (void)state;
    assert_int_equal(shift_failures(true, 2, 31), 0);
    assert_int_equal(shift_failures(true, 2, 30), 2);
    assert_int_equal(shift_failures(true, 1, 31), 1);
    assert_int_equal(shift_failures(false, 2, 31), 2);
}

/* --------------------------------------------------------------------------------------------- the runner */

static uint64_t hash_of_run(uint64_t seed)
{
    struct plan plan = short_plan(SUITE_RANGES_MASK);
    struct report report;
    plan.seed = seed;
    plan.params.sequential_test_order = 0;
    faulty.defect = HONEST;
    assert_null(runner_run(&plan, &faulty_kind, &report));
    report_fini(&report);
    return faulty.hash;
}

static void test_seed_determines_the_run(void **state)
{
    (void)state;
    uint64_t first = hash_of_run(1);
    assert_true(first == hash_of_run(1));
    assert_true(first != hash_of_run(2));
}

/* Each worker runs each test once, in its own order. */
static void check_orders(const struct report *report, unsigned mask)
{
    bool differ = false;
    for (size_t worker = 0; worker < report->workers; worker++) {
        const struct worker_report *own = &report->worker[worker];
        unsigned seen = 0;
        assert_int_equal(own->tests, report->worker[0].tests);
        for (unsigned j = 0; j < own->tests; j++)
            seen |= suite_tests[own->order[j]].id;
        assert_int_equal(seen, mask);
        differ |= memcmp(own->order, report->worker[0].order, own->tests * sizeof(own->order[0])) != 0;
    }
    assert_true(differ);
}

static void test_many_workers(void **state)
{
    (void)state;
    struct target_kind kind;
    for (size_t i = 0; target_kind_at(TARGET_RANGES, i, &kind); i++) {
        unsigned mask = SUITE_RANGES_MASK - LARGE_TESTS; /* they are slow on the scan engine */
        struct plan plan = short_plan(mask);
        struct report report;
        plan.params.nr_threads = 8;
        plan.params.sequential_test_order = 0;
        assert_null(runner_run(&plan, &kind, &report));
        assert_int_equal(report.workers, 8);
        check_orders(&report, mask);
        check_all_passed(&report, mask);
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
    faulty.defect = HONEST;
    assert_null(runner_run(&plan, &faulty_kind, &report));
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

/* 128 ns, 96 of them for 4 of 40 loops: 32 + 960. The numbers are exact in binary. */
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

/* Held areas exist during the run, and are freed after it. */
static void test_held_areas(void **state)
{
    (void)state;
    struct plan plan = short_plan(1);
    struct report report;
    plan.held = 100;
    faulty.defect = HONEST;
    assert_null(runner_run(&plan, &faulty_kind, &report));
    assert_int_equal(report.worker[0].results[0].passed, 1);
    assert_int_equal(report.ended, KVA_OK);
    assert_int_equal(faulty.taken, 0);
    assert_int_equal(faulty.calls, 2 * 100 + 20);
    report_fini(&report);
    faulty.defect = REFUSES;
    faulty.status = KVA_ENOMEM;
    faulty.turn = 50;
    assert_non_null(runner_run(&plan, &faulty_kind, &report));
    assert_int_equal(faulty.taken, 0);
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
        cmocka_unit_test(test_masks_follow_the_memory),
        cmocka_unit_test(test_engine_lists),
        cmocka_unit_test(test_abilities_have_functions),
        cmocka_unit_test(test_honest_allocators_pass),
        cmocka_unit_test(test_thirteen_tests_on_pages),
        cmocka_unit_test(test_kva_runs_all_thirteen),
        cmocka_unit_test(test_missing_grace_periods_are_reported),
        cmocka_unit_test(test_refusals_are_noticed),
        cmocka_unit_test(test_lies_are_noticed),
        cmocka_unit_test(test_refused_frees_are_noticed),
        cmocka_unit_test(test_defects_are_noticed_on_pages),
        cmocka_unit_test(test_no_block_may_be_refused),
        cmocka_unit_test(test_inexact_kinds_may_refuse_alignment),
        cmocka_unit_test(test_another_worker_may_hold_all_places),
        cmocka_unit_test(test_seed_determines_the_run),
        cmocka_unit_test(test_many_workers),
        cmocka_unit_test(test_budget_cuts_and_scales),
        cmocka_unit_test(test_scaling),
        cmocka_unit_test(test_held_areas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
