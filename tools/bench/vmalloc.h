/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva bench vmalloc: memory instead of addresses. See vmalloc.c for the method.
 *
 *      vmalloc.c          cases, contenders, turns
 *      vmalloc_whole.c    figures that are measured once: resident memory, the suite
 *      vmalloc_aims.c     the aims
 *      vmalloc_report.c   tables and JSON
 */
#ifndef KVA_TOOLS_BENCH_VMALLOC_H
#define KVA_TOOLS_BENCH_VMALLOC_H

#include "aims.h"
#include "runner.h"

#include "../common/target.h"

/** Names of cases, rows and contenders, as in the tables. */
#define VMALLOC_STEADY "steady"
#define VMALLOC_RANDOM "random"
#define VMALLOC_COLD "cold"
#define VMALLOC_COLD_UNTOUCHED "cold-untouched"
#define VMALLOC_MANY "many"
#define VMALLOC_MAP_FRESH "map-fresh"
#define VMALLOC_MAP_AGAIN "map-again"

#define VMALLOC_KVA "kva"
#define VMALLOC_BARE "kva-bare"
#define VMALLOC_MAPPINGS "kva-mappings"

/** The most pages of an area in the case with random sizes. */
#define VMALLOC_RANDOM_MOST 100

struct vmalloc_contender {
    const char *name;
    struct target_kind kind;
};

/** One contender, one case, one size. */
struct vmalloc_row {
    const char *what;
    const char *contender;
    size_t pages;            /* 0: random, 1 .. VMALLOC_RANDOM_MOST */
    size_t areas;            /* of `many`: held; fewer than requested if an allocation failed */
    enum kva_status refused; /* not KVA_OK: nothing below is set */
    struct times times;      /* the base is mmap */
    struct latency latency;
    uint64_t operations; /* in all timed turns; the next three figures are per operation */
    double faults;
    double calls; /* negative: unknown */
    double flushing;
    uint64_t found_again; /* reused maps, in all turns; kva only */
    /* Of `many`; negative elsewhere, and if unknown. */
    double fill_ns;             /* time per area of allocating all areas */
    int64_t mappings;           /* after all turns, less those before the contender began */
    int64_t failed_unmap_pages; /* failed unmaps after all turns; kva only */
};

/** Resident bytes: at the start, with all areas written, and after all were freed and flushed once. */
struct vmalloc_resident {
    uint64_t start;
    uint64_t full;
    uint64_t end;
};

/** Microseconds of each of the eight tests of 2019 on pages; list: the list walk. */
#define VMALLOC_SUITE_TESTS 8
struct vmalloc_suite {
    double list_us[VMALLOC_SUITE_TESTS];
    double kva_us[VMALLOC_SUITE_TESTS];
    bool scaled;        /* a loop was cut, and its time scaled to the full count */
    const char *failed; /* the engine in a failed test, or NULL */
};

struct vmalloc_results {
    const char *engine;    /* of kva's instances */
    const char *mechanism; /* by which pages are closed; NULL: nothing was measured */
    struct vmalloc_row *rows;
    size_t row_count;
    struct vmalloc_resident resident;
    struct vmalloc_suite suite;
    struct aims aims;
};

/** Load the libraries of contenders that are not linked. May restart the program (see
 *  ../common/target_heap.c), so the program must not have written anything yet. */
void vmalloc_open_peers(void);

/** Measure everything. Ends the program if it cannot measure, or on a wrong result. */
void vmalloc_run(const struct bench_options *options, struct vmalloc_results *results);

/** Measure one case at one size with contenders of the caller's choice, and add their rows. */
void vmalloc_run_case(const char *name, size_t pages, const struct bench_options *options,
                      const struct vmalloc_contender *contenders, size_t count,
                      struct vmalloc_results *results);

/** The row of a contender; NULL if there is none, or an allocation failed in it. */
const struct vmalloc_row *vmalloc_find(const struct vmalloc_results *results, const char *what, size_t pages,
                                       const char *contender);

/** The sums of the times of the tests in a mask. */
struct vmalloc_suite_sum {
    double list_us;
    double kva_us;
    double ratio; /* how many times as fast as the list walk kva is; negative: unknown */
};
struct vmalloc_suite_sum vmalloc_suite_sum(const struct vmalloc_suite *suite, unsigned mask);

/** Measure resident memory and the suite. */
void vmalloc_measure_whole(const struct bench_options *options, struct vmalloc_results *results);

/** Add all aims. */
void vmalloc_judge(struct vmalloc_results *results);

void vmalloc_report(const struct vmalloc_results *results, const struct bench_options *options);
json_t *vmalloc_to_json(const struct vmalloc_results *results, bool *good);

void vmalloc_results_destroy(struct vmalloc_results *results);

#endif
