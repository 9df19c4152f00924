/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What is measured once, and what all figures together should show.
 *
 * RESIDENT MEMORY. An instance is made; areas of many sizes are allocated and every page of them is written to; all are
 * freed and the instance is flushed once. What is then still in memory beyond the start is what laziness costs for good.
 *
 * THE SUITE. kva test's eight tests of 2019, on pages: the list walk, which gives every page back at once, and kva. The
 * loops are a million, as the suite has them, but each test may only take so many turns' time; a loop that was cut is
 * scaled to its full count.
 */
#define _GNU_SOURCE
#include "vmalloc.h"

#include "../test/runner.h"
#include "fatal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -------------------------------------------------------------------------------------- resident memory */

/* 1, 2, 4 ... 2048 pages are 16 MiB together; 16 rounds of them, 256 MiB, are more than an instance parks or caches on a
 * small machine. */
#define RESIDENT_ROUNDS 16
#define RESIDENT_SIZES 12
#define RESIDENT_AREAS (RESIDENT_ROUNDS * RESIDENT_SIZES)

static uint64_t resident_bytes(void)
{
    char line[128]; /* seven numbers; the second is the pages in memory */
    FILE *file = fopen("/proc/self/statm", "r");
    char *end = file == NULL || fgets(line, sizeof(line), file) == NULL ? NULL : strchr(line, ' ');
    if (end == NULL)
        bench_fatal(TOOL_REFUSED, "vmalloc: the system does not tell how much memory is resident");
    fclose(file);
    uint64_t pages = strtoull(end, NULL, 10);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t area_pages(size_t area)
{
    return UINT64_C(1) << (area % RESIDENT_SIZES);
}

static void must(enum kva_status status)
{
    if (status != KVA_OK)
        bench_fatal(TOOL_REFUSED, "vmalloc: resident memory cannot be measured: %s", kva_status_text(status));
}

static void fill_and_empty(const struct target_kind *kind, void *vm, struct vmalloc_resident *resident)
{
    static uint64_t addr[RESIDENT_AREAS];
    for (size_t i = 0; i < RESIDENT_AREAS; i++) {
        must(kind->alloc(vm, area_pages(i) * PAGE, PAGE, 0, &addr[i]));
        memset((void *)(uintptr_t)addr[i], 0xa5, (size_t)(area_pages(i) * PAGE));
    }
    resident->full = resident_bytes();
    for (size_t i = 0; i < RESIDENT_AREAS; i++)
        must(kind->free(vm, addr[i], area_pages(i) * PAGE));
    must(kind->flush(vm));
    resident->end = resident_bytes();
}

static void measure_resident(const struct bench_options *options, struct vmalloc_resident *resident)
{
    struct target_kind kind;
    struct target_range range = {.quantum = PAGE};
    void *vm;
    target_kind_of_vm(&kind, options->main_engine);
    (void)resident_bytes(); /* stdio's own buffers are part of the start */
    must(kind.create(&kind, &range, &vm));
    resident->start = resident_bytes();
    fill_and_empty(&kind, vm, resident);
    kind.destroy(vm);
}

/* --------------------------------------------------------------------------------------------- the suite */

/* Each test may take so many turns: 3 seconds with the usual 150 ms. */
#define TURNS_PER_TEST 20

/* One engine's microseconds. False: a test failed, or could not be run. */
static bool run_suite(const struct bench_options *options, const struct target_kind *kind,
                      double us[VMALLOC_SUITE_TESTS], bool *scaled)
{
    struct plan plan = {
        .memory = TARGET_PAGES,
        .seed = options->seed,
        .cpus = 2, /* for the number of holes in test 2: a machine's own would change the test */
        .budget_ns = TURNS_PER_TEST * options->turn_ns,
        .params =
            {
                .nr_threads = 1,
                .sequential_test_order = 1,
                .test_repeat_count = 1,
                .test_loop_count = 1000000,
                .nr_pages = 3,
                .run_test_mask = SUITE_RANGES_MASK,
                .nr_pcpu_objects = 35000,
                .mode = "custom",
            },
    };
    struct report report;
    bool passed = true;
    progress_clear(&bench_progress);
    if (runner_run(&plan, kind, &report) != NULL)
        return false;
    for (size_t i = 0; i < VMALLOC_SUITE_TESTS; i++) {
        const struct result *result = &report.worker[0].results[i];
        passed = passed && result->failed == 0;
        us[i] = result_full_ns(result) / 1000;
        *scaled |= result_is_cut(result);
    }
    passed = passed && report.ended == KVA_OK;
    report_fini(&report);
    return passed;
}

static void measure_suite(const struct bench_options *options, struct vmalloc_suite *suite)
{
    struct target_kind kind;
    target_kind_of_list_pages(&kind);
    if (!run_suite(options, &kind, suite->list_us, &suite->scaled))
        suite->failed = kind.name;
    target_kind_of_vm(&kind, options->main_engine);
    if (!run_suite(options, &kind, suite->kva_us, &suite->scaled))
        suite->failed = kind.name;
}

void vmalloc_measure_whole(const struct bench_options *options, struct vmalloc_results *results)
{
    measure_resident(options, &results->resident);
    measure_suite(options, &results->suite);
}

/* ------------------------------------------------------------------------------------------------- aims */

/* How many times as fast as another kva is; negative: not measured. */
static double faster_than(const struct vmalloc_results *results, const char *what, size_t pages,
                          const char *who)
{
    return vmalloc_quotient(vmalloc_find(results, what, pages, who),
                            vmalloc_find(results, what, pages, VMALLOC_KVA));
}

/* The worst of all sizes of a case: kva's time over mmap's. */
static double slowest_against_mmap(const struct vmalloc_results *results, const char *what)
{
    double worst = -1;
    for (size_t i = 0; i < results->row_count; i++) {
        const struct vmalloc_row *row = &results->rows[i];
        if (strcmp(row->what, what) != 0 || strcmp(row->who, VMALLOC_KVA) != 0)
            continue;
        double times = vmalloc_quotient(row, vmalloc_find(results, what, row->pages, "mmap"));
        worst = times > worst ? times : worst;
    }
    return worst;
}

/* The most system calls for one operation of kva, over all sizes of a case. `purges`: with those that give back what was
 * parked, a batch at a time. */
static double most_calls(const struct vmalloc_results *results, const char *what, bool purges)
{
    double most = -1;
    for (size_t i = 0; i < results->row_count; i++) {
        const struct vmalloc_row *row = &results->rows[i];
        bool counts =
            strcmp(row->what, what) == 0 && strcmp(row->who, VMALLOC_KVA) == 0 && row->refused == KVA_OK;
        double calls = purges ? row->calls : row->calls - row->flushing;
        if (counts && calls > most)
            most = calls;
    }
    return most;
}

static double calls_of(const struct vmalloc_results *results, size_t pages)
{
    const struct vmalloc_row *row = vmalloc_find(results, VMALLOC_STEADY, pages, VMALLOC_KVA);
    return row == NULL ? -1 : row->calls;
}

/* What guard pages cost, in percent; the mean of a page and of a hundred. Nothing, if the rows without are slower. */
static double guard_percent(const struct vmalloc_results *results)
{
    double one = faster_than(results, VMALLOC_STEADY, 1, VMALLOC_BARE);
    double hundred = faster_than(results, VMALLOC_STEADY, 100, VMALLOC_BARE);
    if (one < 0 || hundred < 0)
        return -1;
    double percent = 100 * ((1 / one + 1 / hundred) / 2 - 1);
    return percent > 0 ? percent : 0;
}

double vmalloc_suite_ratio(const struct vmalloc_suite *suite, unsigned mask)
{
    double list = 0, kva = 0;
    for (size_t i = 0; i < VMALLOC_SUITE_TESTS; i++) {
        bool counts = (mask & suite_tests[i].id) != 0;
        list += counts ? suite->list_us[i] : 0;
        kva += counts ? suite->kva_us[i] : 0;
    }
    return suite->failed != NULL || kva <= 0 ? -1 : list / kva;
}

static double inverse(double value)
{
    return value > 0 ? 1 / value : -1;
}

void vmalloc_judge(struct vmalloc_results *results)
{
    const struct vmalloc_resident *resident = &results->resident;
    struct aims *aims = &results->aims;
    double left = resident->end > resident->start ? (double)(resident->end - resident->start) : 0;
    double jemalloc = faster_than(results, VMALLOC_STEADY, 1, "jemalloc");
    aims_add(aims, "1 page, steady: times as fast as mmap", "x", true, 100,
             faster_than(results, VMALLOC_STEADY, 1, "mmap"));
    aims_add(aims, "100 pages, steady: times as fast as mmap", "x", true, 100,
             faster_than(results, VMALLOC_STEADY, 100, "mmap"));
    aims_add(aims, "1..100 pages at random: times as fast as mmap", "x", true, 60,
             faster_than(results, VMALLOC_RANDOM, 0, "mmap"));
    aims_add(aims, "1 page, steady: times jemalloc's time", "x", false, 2, inverse(jemalloc));
    aims_add(aims, "guard pages, steady: cost", "%", false, 5, guard_percent(results));
    aims_add(aims, "1 page, steady: system calls per operation", "", false, 0.01, calls_of(results, 1));
    aims_add(aims, "100 pages, steady: system calls per operation", "", false, 0.01, calls_of(results, 100));
    aims_add(aims, "1..100 pages at random: system calls per operation", "", false, 0.01,
             most_calls(results, VMALLOC_RANDOM, true));
    aims_add(aims, "steady, worst size: system calls per operation", "", false, 0.01,
             most_calls(results, VMALLOC_STEADY, true));
    aims_add(aims, "cold, worst size: times mmap's time, touch included", "x", false, 1.1,
             slowest_against_mmap(results, VMALLOC_COLD));
    aims_add(aims, "cold, worst size: times mmap's time, the call alone", "x", false, 1.1,
             slowest_against_mmap(results, VMALLOC_COLD_UNTOUCHED));
    aims_add(aims, "map_ram, fresh frames, worst size: times as fast as mmap", "x", true, 1.2,
             inverse(slowest_against_mmap(results, VMALLOC_MAP_FRESH)));
    aims_add(aims, "map_ram, fresh frames: system calls, without purges", "", false, 1,
             most_calls(results, VMALLOC_MAP_FRESH, false));
    aims_add(aims, "map_ram, found again, worst size: times as fast as mmap", "x", true, 20,
             inverse(slowest_against_mmap(results, VMALLOC_MAP_AGAIN)));
    aims_add(aims, "map_ram, found again: system calls", "", false, 0,
             most_calls(results, VMALLOC_MAP_AGAIN, true));
    aims_add(aims, "the suite's eight tests: times as fast as the list walk", "x", true, 50,
             vmalloc_suite_ratio(&results->suite, SUITE_RANGES_MASK));
    aims_add(aims, "the suite's tests 2 and 4: times as fast as the list walk", "x", true, 100,
             vmalloc_suite_ratio(&results->suite, 2 | 4));
    aims_add(aims, "resident after freeing all and one flush: beyond the start", "KiB", false, 1024,
             left / 1024);
}
