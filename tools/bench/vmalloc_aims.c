/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The aims of kva bench vmalloc. */
#include "vmalloc.h"

#include "../test/suite.h"

#include <string.h>

const struct vmalloc_row *vmalloc_find(const struct vmalloc_results *results, const char *what, size_t pages,
                                       const char *contender)
{
    for (size_t i = 0; i < results->row_count; i++) {
        const struct vmalloc_row *row = &results->rows[i];
        if (row->pages == pages && strcmp(row->what, what) == 0 && strcmp(row->contender, contender) == 0)
            return row->refused == KVA_OK ? row : NULL;
    }
    return NULL;
}

/* NULL if there is no such row, or an allocation failed in it. */
static const struct times *times_of(const struct vmalloc_results *results, const char *what, size_t pages,
                                    const char *contender)
{
    const struct vmalloc_row *row = vmalloc_find(results, what, pages, contender);
    return row == NULL ? NULL : &row->times;
}

/* How many times as fast as a contender kva is; negative: not measured. */
static double faster_than(const struct vmalloc_results *results, const char *what, size_t pages,
                          const char *contender)
{
    return times_quotient(times_of(results, what, pages, contender),
                          times_of(results, what, pages, VMALLOC_KVA));
}

/* kva's time over mmap's, the largest of all sizes of a case. */
static double slowest_against_mmap(const struct vmalloc_results *results, const char *what)
{
    double worst = -1;
    for (size_t i = 0; i < results->row_count; i++) {
        const struct vmalloc_row *row = &results->rows[i];
        if (strcmp(row->what, what) != 0 || strcmp(row->contender, VMALLOC_KVA) != 0)
            continue;
        double slower = times_quotient(&row->times, times_of(results, what, row->pages, "mmap"));
        worst = slower > worst ? slower : worst;
    }
    return worst;
}

/* The most system calls per operation of kva, over all sizes of a case. `purges`: including those that unmap
 * parked areas. */
static double most_calls(const struct vmalloc_results *results, const char *what, bool purges)
{
    double most = -1;
    for (size_t i = 0; i < results->row_count; i++) {
        const struct vmalloc_row *row = &results->rows[i];
        bool counts = strcmp(row->what, what) == 0 && strcmp(row->contender, VMALLOC_KVA) == 0 &&
                      row->refused == KVA_OK;
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

/* The cost of guard pages in percent: the mean for areas of 1 and of 100 pages; 0 if kva is slower without
 * them. */
static double guard_percent(const struct vmalloc_results *results)
{
    double one = faster_than(results, VMALLOC_STEADY, 1, VMALLOC_BARE);
    double hundred = faster_than(results, VMALLOC_STEADY, 100, VMALLOC_BARE);
    if (one < 0 || hundred < 0)
        return -1;
    double percent = 100 * ((1 / one + 1 / hundred) / 2 - 1);
    return percent > 0 ? percent : 0;
}

struct vmalloc_suite_sum vmalloc_suite_sum(const struct vmalloc_suite *suite, unsigned mask)
{
    struct vmalloc_suite_sum sum = {0, 0, -1};
    for (size_t i = 0; i < VMALLOC_SUITE_TESTS; i++) {
        bool counts = (mask & suite_tests[i].id) != 0;
        sum.list_us += counts ? suite->list_us[i] : 0;
        sum.kva_us += counts ? suite->kva_us[i] : 0;
    }
    if (suite->failed == NULL && sum.kva_us > 0)
        sum.ratio = sum.list_us / sum.kva_us;
    return sum;
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
             vmalloc_suite_sum(&results->suite, SUITE_RANGES_MASK).ratio);
    aims_add(aims, "the suite's tests 2 and 4: times as fast as the list walk", "x", true, 100,
             vmalloc_suite_sum(&results->suite, 2 | 4).ratio);
    aims_add(aims, "resident after freeing all and one flush: beyond the start", "KiB", false, 1024,
             left / 1024);
}
