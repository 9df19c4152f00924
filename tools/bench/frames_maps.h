/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva bench frames, the case maps: movable frames of kva/vm.h, compacted while a program uses them through
 * its maps.
 *
 *      places, before    |#.#..#..|###.####|.#......|      a program maps each #, in no order
 *      places, after     |........|########|#.#.....|      its pointers are the same
 *
 * THREE TABLES
 *   compaction   a quarter and half of the frames are in use, at random places, each mapped; then all are
 *                moved together. What the process and the set hold before and after, how many whole blocks
 *                can be had, what a moved frame costs, and how long a thread waits at most that stores to the
 *                frames all the time. Each of these stores is verified afterwards: a lost one ends the
 *                program
 *   views        the same number of pages, shown by scattered frames, by runs, and by runs with KVA_VM_HUGE: mappings, huge pages,
 *                and a touch of a random page
 *   costs        a map and its end, in a set that is movable and in one that is not, side by side
 *
 * Where the system cannot move frames under their maps, the first two say so, and are about frames that no
 * map shows.
 *
 *      frames_maps_set.c     a program that uses a movable set, and what /proc tells of it
 *      frames_maps.c         compaction
 *      frames_maps_views.c   views and costs
 */
#ifndef KVA_TOOLS_BENCH_FRAMES_MAPS_H
#define KVA_TOOLS_BENCH_FRAMES_MAPS_H

#include "runner.h"

/** A set has no more frames: each one in use takes a mapping, and a process has 65,530. */
#define MAPS_MOST (UINT64_C(1) << 16)

#define MAPS_SCATTERED "scattered"
#define MAPS_RUNS "runs"
#define MAPS_HUGE "huge"

#define MAPS_MAP "map"
#define MAPS_RAM_FRESH "map_ram, fresh"
#define MAPS_RAM_AGAIN "map_ram, again"

#define MAPS_FIXED "fixed"
#define MAPS_MOVABLE "movable"

/** What the process and the set hold at one moment. */
struct maps_state {
    uint64_t mappings;    /* of the process */
    uint64_t bytes;       /* of the set's file; 0: not known */
    uint64_t free_blocks; /* whole ones */
    uint64_t runs_taken;  /* requests for a block, aligned, that succeeded until one failed */
};

/** A compaction. */
struct maps_row {
    uint64_t frames;
    unsigned percent;  /* of them are in use */
    bool mapped;       /* else no map shows them */
    uint64_t possible; /* blocks that all free frames would make */
    struct maps_state before;
    struct maps_state after;
    uint64_t moved_frames;
    uint64_t pinned_runs;
    struct times each; /* a moved frame; no turns: none was moved */
    struct times
        gap; /* the longest time between two stores in a turn; no turns: not mapped, or there is one CPU */
    struct times quiet; /* the same without a compaction, for as long */
    uint64_t stores;    /* in all turns, during the compactions */
};

/** A map. */
struct maps_view {
    uint64_t frames; /* of the set */
    uint64_t pages;
    const char *who;
    uint64_t mappings;
    uint64_t huge_bytes; /* that huge pages map */
    struct times touch;  /* base: scattered */
};

/** A map and its end. */
struct maps_cost {
    const char *what;
    unsigned pages;
    const char *who;
    struct times times;  /* base: fixed */
    double calls;        /* of the system, for each */
    uint64_t operations; /* in all timed turns */
};

struct maps_results {
    struct maps_row *rows;
    size_t row_count;
    struct maps_view *views;
    size_t view_count;
    struct maps_cost *costs;
    size_t cost_count;
};

/** Measure. The program has threads from then on. */
void frames_maps_run(uint64_t frames, const struct bench_options *options, struct maps_results *results);

struct maps_set;

/** Views of a compacted set, and their rows. */
void frames_maps_view(struct maps_set *set, const struct bench_options *options,
                      struct maps_results *results);

/** Costs, and their rows. They do not depend on the size of a set. */
void frames_maps_costs(const struct bench_options *options, struct maps_results *results);

/** The row of the first size; NULL when there is none. */
const struct maps_row *maps_find(const struct maps_results *results, unsigned percent);
const struct maps_view *maps_find_view(const struct maps_results *results, uint64_t pages, const char *who);
const struct maps_cost *maps_find_cost(const struct maps_results *results, const char *what, unsigned pages,
                                       const char *who);

void maps_results_destroy(struct maps_results *results);

#endif
