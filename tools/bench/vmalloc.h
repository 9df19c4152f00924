/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva bench vmalloc: memory, not addresses. See vmalloc.c for what is measured and how.
 *
 *      vmalloc.c          cases, contenders, turns
 *      vmalloc_whole.c    what is measured once: resident memory, the suite against the list walk
 *      vmalloc_aims.c     what all figures together should show
 *      vmalloc_report.c   what comes out
 */
#ifndef KVA_TOOLS_BENCH_VMALLOC_H
#define KVA_TOOLS_BENCH_VMALLOC_H

#include "aims.h"
#include "runner.h"

#include "../common/target.h"

/** Names of cases, rows and contenders, as they stand in the tables. */
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

/** What the case with random sizes has in place of one size. */
#define VMALLOC_RANDOM_MOST 100

struct vmalloc_contender {
    const char *name;
    struct target_kind kind;
};

/** One contender, one case, one size. */
struct vmalloc_row {
    const char *what;
    const char *who;
    size_t pages;            /* 0: random, 1 .. VMALLOC_RANDOM_MOST */
    size_t areas;            /* of `many`: that it has held, fewer than were asked for if one was refused */
    enum kva_status refused; /* not KVA_OK: nothing below is set */
    struct times times;      /* the base is mmap */
    struct latency latency;
    uint64_t operations; /* in all timed turns; the figures below are for each */
    double faults;
    double calls; /* negative: not known */
    double flushing;
    uint64_t found_again; /* maps that were found again, in all turns; kva only */
    /* Of `many`, negative elsewhere and where they are not known. */
    double fill_ns;             /* for each area, until all lived */
    int64_t mappings;           /* that the process has more than before, after all turns */
    int64_t failed_unmap_pages; /* closed pages, guards among them, that can be touched then; kva only */
};

/** Bytes in memory: at the start, with everything touched, and after all was freed and flushed once. */
struct vmalloc_resident {
    uint64_t start;
    uint64_t full;
    uint64_t end;
};

/** The eight tests of 2019 on pages, microseconds each; list: the list walk. */
#define VMALLOC_SUITE_TESTS 8
struct vmalloc_suite {
    double list_us[VMALLOC_SUITE_TESTS];
    double kva_us[VMALLOC_SUITE_TESTS];
    bool scaled;        /* a loop was cut, and its time scaled to the full count */
    const char *failed; /* NULL, or the engine of which a test failed */
};

struct vmalloc_results {
    const char *engine;    /* of kva's instances */
    const char *mechanism; /* how closed pages are kept closed here; NULL: nothing was measured */
    struct vmalloc_row *rows;
    size_t row_count;
    struct vmalloc_resident resident;
    struct vmalloc_suite suite;
    struct aims aims;
};

/** Find the libraries of those contenders that are not linked. It may start the program once more (see
 *  ../common/target_heap.c), so nothing may have been written yet. */
void vmalloc_open_peers(void);

/** Measure everything. Ends the program when it cannot be done, or a wrong answer was given. */
void vmalloc_run(const struct bench_options *options, struct vmalloc_results *results);

/** Measure one case at one size with contenders of the caller's choice, and add their rows. */
void vmalloc_run_case(const char *name, size_t pages, const struct bench_options *options,
                      const struct vmalloc_contender *contenders, size_t count,
                      struct vmalloc_results *results);

/** The row of a contender; NULL when there is none, or it was refused. */
const struct vmalloc_row *vmalloc_find(const struct vmalloc_results *results, const char *what, size_t pages,
                                       const char *who);

/** The times of the tests of a mask, added up. */
struct vmalloc_suite_sum {
    double list_us;
    double kva_us;
    double ratio; /* how many times as fast as the list walk kva is; negative: not known */
};
struct vmalloc_suite_sum vmalloc_suite_sum(const struct vmalloc_suite *suite, unsigned mask);

/** Resident memory and the suite. */
void vmalloc_measure_whole(const struct bench_options *options, struct vmalloc_results *results);

/** The aims, from all there is. */
void vmalloc_judge(struct vmalloc_results *results);

void vmalloc_report(const struct vmalloc_results *results, const struct bench_options *options);
json_t *vmalloc_to_json(const struct vmalloc_results *results, bool *good);

void vmalloc_results_destroy(struct vmalloc_results *results);

#endif
