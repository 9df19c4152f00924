/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva bench vmalloc: counts around the turns, and conclusions from the rows. Nothing here depends on the
 * speed of the machine.
 */
#define _GNU_SOURCE
#include "common/harness.h"

#include "tools/bench/ticks.h"
#include "tools/bench/vmalloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AREAS 500

static size_t sizes[] = {1, 4};

/* Options of the shortest run. */
static struct bench_options short_run(void)
{
    struct bench_options options = {.reps = 2,
                                    .turn_ns = 1000000,
                                    .seed = 5,
                                    .areas = AREAS,
                                    .sizes = sizes,
                                    .size_count = sizeof(sizes) / sizeof(sizes[0])};
    options.clock = (struct bench_clock){.ns_per_tick = ticks_calibrate(), .cost_ticks = ticks_cost()};
    engines_all(&options.engines);
    options.main_engine = options.engines.name[0];
    options.base = options.engines.name[0];
    return options;
}

static void run(struct vmalloc_results *results)
{
    struct bench_options options = short_run();
    memset(results, 0, sizeof(*results));
    vmalloc_open_peers();
    vmalloc_run(&options, results);
}

static const struct vmalloc_row *row_of(const struct vmalloc_results *results, const char *what, size_t pages,
                                        const char *contender)
{
    const struct vmalloc_row *row = vmalloc_find(results, what, pages, contender);
    if (row == NULL)
        fail_msg("no row %s, %zu pages, %s", what, pages, contender);
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
        assert_true(kva->calls == 0); /* served from the cache */
        assert_true(row_of(&results, VMALLOC_STEADY, sizes[i], "malloc")->calls < 0);
        const struct vmalloc_row *cold = row_of(&results, VMALLOC_COLD_UNTOUCHED, sizes[i], VMALLOC_KVA);
        assert_true(cold->calls >= 1); /* everything was flushed before */
        assert_true(row_of(&results, VMALLOC_COLD, sizes[i], VMALLOC_KVA)->faults >= 1);
        const struct vmalloc_row *again = row_of(&results, VMALLOC_MAP_AGAIN, sizes[i], VMALLOC_KVA);
        assert_true(again->calls == 0 && again->found_again > 0);
        const struct vmalloc_row *fresh = row_of(&results, VMALLOC_MAP_FRESH, sizes[i], VMALLOC_KVA);
        assert_true(fresh->calls >= 1 && fresh->found_again == 0);
        assert_null(vmalloc_find(&results, VMALLOC_COLD, sizes[i], "malloc")); /* heaps have no cold state */
    }
    assert_null(vmalloc_find(&results, VMALLOC_STEADY, 100, "mmap"));
    const struct vmalloc_row *malloc_many = row_of(&results, VMALLOC_MANY, 1, "malloc");
    assert_true(malloc_many->areas == AREAS && malloc_many->calls < 0 && malloc_many->failed_unmap_pages < 0);
    assert_true(row_of(&results, VMALLOC_STEADY, 1, VMALLOC_KVA)->mappings < 0);
    assert_null(vmalloc_find(&results, VMALLOC_MANY, 4, VMALLOC_KVA)); /* one page, whatever --n is */
    assert_null(results.suite.failed);
    assert_true(results.resident.full > results.resident.start);
    vmalloc_results_destroy(&results);
}

/* mmap with limits: of live areas, and of all allocations. */
static struct {
    struct target_kind mmap;
    size_t live, most_live;
    size_t taken, most_taken;
    size_t begun; /* contenders that exist */
} limited;

/* Only one contender exists at a time. */
static enum kva_status begin_alone(const struct target_kind *kind, struct target_range *range, void **state)
{
    assert_int_equal(limited.begun++, 0);
    return limited.mmap.create(kind, range, state);
}

static enum kva_status end_alone(void *state)
{
    limited.begun--;
    return limited.mmap.destroy(state);
}

static enum kva_status limited_alloc(void *state, uint64_t size, uint64_t align, unsigned flags,
                                     uint64_t *addr)
{
    if (limited.live == limited.most_live || limited.taken == limited.most_taken)
        return KVA_ELIMIT;
    enum kva_status status = limited.mmap.alloc(state, size, align, flags, addr);
    assert_int_equal(status, KVA_OK);
    limited.live++;
    limited.taken++;
    return status;
}

static enum kva_status limited_free(void *state, uint64_t addr, uint64_t size)
{
    limited.live--;
    return limited.mmap.free(state, addr, size);
}

static void run_many(const struct bench_options *options, size_t most_live, size_t most_taken,
                     struct vmalloc_results *results)
{
    struct vmalloc_contender all[] = {{.name = "limited"}, {.name = "mmap"}, {.name = VMALLOC_MAPPINGS}};
    target_kind_of_mmap(&all[1].kind);
    target_kind_of_vm(&all[2].kind, options->main_engine);
    all[2].kind.vm.pages = kva_pages_host(KVA_MECHANISM_MAPPINGS);
    limited.mmap = all[1].kind;
    all[1].kind.create = begin_alone;
    all[1].kind.destroy = end_alone;
    all[0].kind = all[1].kind;
    limited.live = limited.taken = limited.begun = 0;
    limited.most_live = most_live;
    limited.most_taken = most_taken;
    all[0].kind.alloc = limited_alloc;
    all[0].kind.free = limited_free;
    *results = (struct vmalloc_results){.engine = options->main_engine, .mechanism = "closed"};
    vmalloc_run_case(VMALLOC_MANY, 1, options, all, sizeof(all) / sizeof(all[0]), results);
    assert_int_equal(results->row_count, 3);
    assert_int_equal(limited.live, 0); /* all areas were freed, also after a refusal */
}

static void many_areas_live(void **state)
{
    (void)state;
    struct bench_options options = short_run();
    struct vmalloc_results results;
    run_many(&options, SIZE_MAX, SIZE_MAX, &results);
    const struct vmalloc_row *row = row_of(&results, VMALLOC_MANY, 1, "limited");
    assert_true(row->areas == AREAS && row->calls == 2 && row->fill_ns > 0 && row->times.ratio > 0);
    assert_true(limited.taken > AREAS + row->operations); /* row->operations excludes the latency turns */
    row = row_of(&results, VMALLOC_MANY, 1, "mmap");
    assert_true(row->areas == AREAS && row->times.ratio == 1 && row->failed_unmap_pages < 0);
    row = row_of(&results, VMALLOC_MANY, 1, VMALLOC_MAPPINGS);
    assert_true(row->areas == AREAS && row->failed_unmap_pages == 0);
    assert_true(row->mappings >= 2 * AREAS); /* a guard for each, within the limit of mappings */
    vmalloc_results_destroy(&results);
}

static const json_t *member(const json_t *row, const char *name)
{
    const json_t *value = json_object_get(row, name);
    if (value == NULL)
        fail_msg("a row has no member %s", name);
    return value;
}

static void check_json(const struct vmalloc_results *results)
{
    bool good = true;
    json_t *object = vmalloc_to_json(results, &good);
    const json_t *row = json_array_get(json_object_get(object, "rows"), 0);
    assert_true(good);
    assert_int_equal(json_integer_value(member(row, "areas")), results->rows[0].areas);
    assert_string_equal(json_string_value(member(row, "status")), "KVA_ELIMIT");
    assert_null(json_object_get(row, "ns"));
    assert_null(json_object_get(row, "mappings"));
    row = json_array_get(json_object_get(object, "rows"), 1);
    assert_true(json_is_null(member(row, "failed_unmap_pages")) &&
                json_number_value(member(row, "fill_ns")) > 0);
    row = json_array_get(json_object_get(object, "rows"), 2);
    assert_true(json_integer_value(member(row, "mappings")) >= 2 * AREAS);
    assert_true(json_is_integer(member(row, "failed_unmap_pages")));
    json_decref(object);
}

static void check_text(const struct vmalloc_results *results, struct bench_options *options, const char *note)
{
    char *text;
    size_t size;
    options->out = open_memstream(&text, &size);
    assert_non_null(options->out);
    vmalloc_report(results, options);
    assert_int_equal(fclose(options->out), 0);
    if (strstr(text, note) == NULL)
        fail_msg("no line '%s' in:\n%s", note, text);
    free(text);
}

/* The row reports the refusal in place of figures; the other rows have figures. */
static void check_refusal(size_t most_live, size_t most_taken, size_t areas, const char *note)
{
    struct bench_options options = short_run();
    struct vmalloc_results results;
    run_many(&options, most_live, most_taken, &results);
    assert_null(vmalloc_find(&results, VMALLOC_MANY, 1, "limited"));
    assert_int_equal(results.rows[0].areas, areas);
    assert_int_equal(results.rows[0].refused, KVA_ELIMIT);
    assert_true(row_of(&results, VMALLOC_MANY, 1, "mmap")->times.ratio == 1);
    check_json(&results);
    check_text(&results, &options, note);
    vmalloc_results_destroy(&results);
}

static void a_refused_contender_is_reported(void **state)
{
    (void)state;
    check_refusal(300, SIZE_MAX, 300, "  limited held 300 areas; the next allocation failed: ");
    check_refusal(0, SIZE_MAX, 0, "  limited held 0 areas; the next allocation failed: ");
    check_refusal(SIZE_MAX, AREAS + 1, AREAS, "  limited held 500 areas; the next allocation failed: ");
}

static const struct aim *aim_of(const struct vmalloc_results *results, const char *begin)
{
    for (size_t i = 0; i < results->aims.count; i++)
        if (strncmp(results->aims.aim[i].what, begin, strlen(begin)) == 0)
            return &results->aims.aim[i];
    fail_msg("no aim begins with '%s'", begin);
    return NULL;
}

static struct vmalloc_row made_up(const char *what, const char *contender, size_t pages, double a, double b,
                                  double c)
{
    struct vmalloc_row row = {
        .what = what, .contender = contender, .pages = pages, .times = {.turns = 3, .turn_ns = {a, b, c}}};
    return row;
}

static bool close_to(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

/* Turns of the same index are compared, and the median of the quotients counts: 300/3, 1000/2, 100/10. */
static void quotients_pair_turns_of_equal_index(void **state)
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

/* A failed suite has no ratio; if memory shrank, the rest is 0. */
static void failures_have_no_figures(void **state)
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
        cmocka_unit_test(many_areas_live),
        cmocka_unit_test(a_refused_contender_is_reported),
        cmocka_unit_test(quotients_pair_turns_of_equal_index),
        cmocka_unit_test(aims_are_judged),
        cmocka_unit_test(failures_have_no_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
