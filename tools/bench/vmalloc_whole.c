/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Figures that are measured once.
 *
 * RESIDENT MEMORY. An instance is created; areas of many sizes are allocated, and all of their pages written;
 * all are freed, and the instance is flushed once. The memory that is then resident beyond the start is the
 * lasting cost of laziness.
 *
 * THE SUITE. kva test's eight tests of 2019, on pages: the list walk, which closes every page at once, and
 * kva. The loops are a million, as in the suite, but the time of each test is limited; the time of a loop
 * that was cut is scaled to the full count.
 */
#define _GNU_SOURCE
#include "vmalloc.h"

#include "../test/runner.h"
#include "fatal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---------------------------------------------------------------------------------------- resident memory */

/* Areas of 1, 2, 4 ... 2048 pages, 16 MiB in total; 16 rounds of them, 256 MiB, are more than an instance
 * parks or caches on a small machine. */
#define RESIDENT_ROUNDS 16
#define RESIDENT_SIZES 12
#define RESIDENT_AREAS (RESIDENT_ROUNDS * RESIDENT_SIZES)

static uint64_t resident_bytes(void)
{
    char line[128]; /* seven numbers; the second is the number of resident pages */
    FILE *file = fopen("/proc/self/statm", "r");
    char *end = file == NULL || fgets(line, sizeof(line), file) == NULL ? NULL : strchr(line, ' ');
    if (end == NULL)
        bench_fatal(TOOL_REFUSED, "vmalloc: cannot read the resident memory from /proc/self/statm");
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
        bench_fatal(TOOL_REFUSED, "vmalloc: cannot measure resident memory: %s", kva_status_text(status));
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
    (void)resident_bytes(); /* stdio allocates its buffers before the start */
    must(kind.create(&kind, &range, &vm));
    resident->start = resident_bytes();
    fill_and_empty(&kind, vm, resident);
    kind.destroy(vm);
}

/* ---------------------------------------------------------------------------------------------- the suite */

/* The limit of a test in turns: 3 seconds with the default of 150 ms. */
#define TURNS_PER_TEST 20

/* Measure one engine's microseconds. False: a test failed, or could not run. */
static bool run_suite(const struct bench_options *options, const struct target_kind *kind,
                      double us[VMALLOC_SUITE_TESTS], bool *scaled)
{
    struct plan plan = {
        .memory = TARGET_PAGES,
        .seed = options->seed,
        .cpus = 2, /* test 2 derives the number of holes from it: the same on all machines */
        .budget_ns = TURNS_PER_TEST * options->turn_ns,
    };
    struct report report;
    bool passed = true;
    params_default(&plan.params, 1, SUITE_RANGES_MASK);
    plan.params.sequential_test_order = 1;
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
