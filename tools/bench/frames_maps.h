/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva bench frames, the case maps: movable frames of kva/vm.h, compacted while a program uses them through
 * its maps.
 *
 *      frames, before    |#.#..#..|###.####|.#......|      a program maps each #, in no order
 *      frames, after     |........|########|#.#.....|      its pointers are unchanged
 *
 * THREE TABLES
 *   compaction   A quarter and half of the frames are in use, at random places, each mapped; then all are
 *                compacted. Mappings, memory and whole blocks before and after, the cost of a moved frame,
 *                and the longest wait of a thread that stores to the frames without pause. Its stores are
 *                verified afterwards: a lost store ends the program.
 *   views        The same number of pages that map scattered frames, runs, and runs with KVA_VM_HUGE:
 *                mappings, huge pages, and the time of a touch of a random page.
 *   costs        Mapping and unmapping, in a movable set and in one that is not, in turn.
 *
 * Where the system cannot move mapped frames, the first table says so and measures frames without maps.
 *
 *      frames_maps_set.c     a program that uses a movable set, and its figures from /proc
 *      frames_maps.c         compaction
 *      frames_maps_views.c   views and costs
 */
#ifndef KVA_TOOLS_BENCH_FRAMES_MAPS_H
#define KVA_TOOLS_BENCH_FRAMES_MAPS_H

#include "runner.h"

/** The most frames of a set: each frame in use takes a mapping, and a process has at most 65,530. */
#define MAPS_MOST (UINT64_C(1) << 16)

#define MAPS_SCATTERED "scattered"
#define MAPS_RUNS "runs"
#define MAPS_HUGE "huge"

#define MAPS_MAP "map"
#define MAPS_RAM_FRESH "map_ram, fresh"
#define MAPS_RAM_AGAIN "map_ram, again"

#define MAPS_FIXED "fixed"
#define MAPS_MOVABLE "movable"

/** Resources of the process and the set at one moment. */
struct maps_state {
    uint64_t mappings;    /* of the process */
    uint64_t bytes;       /* of the set's file; 0: unknown */
    uint64_t free_blocks; /* wholly free blocks */
    uint64_t runs_taken;  /* requests for an aligned block that succeeded until one failed */
};

/** A compaction. */
struct maps_row {
    uint64_t frames;
    unsigned percent;  /* of the frames in use */
    bool mapped;       /* the frames in use are mapped */
    uint64_t possible; /* blocks that all free frames would make */
    struct maps_state before;
    struct maps_state after;
    uint64_t moved_frames;
    uint64_t pinned_runs;
    struct times each; /* a moved frame; no turns: none was moved */
    /** The longest time between two stores in a turn; no turns: not mapped, or only one CPU. */
    struct times gap;
    struct times quiet; /* the same without a compaction, for as long */
    uint64_t stores;    /* during the compactions of all turns */
};

/** A view: a map of many pages. */
struct maps_view {
    uint64_t frames; /* of the set */
    uint64_t pages;
    const char *contender;
    uint64_t mappings;
    uint64_t huge_bytes; /* mapped by huge pages */
    struct times touch;  /* base: scattered */
};

/** Mapping and unmapping. */
struct maps_cost {
    const char *what;
    unsigned pages;
    const char *contender;
    struct times times;  /* base: fixed */
    double calls;        /* system calls per operation */
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

/** Measure all three tables. Starts threads. */
void frames_maps_run(uint64_t frames, const struct bench_options *options, struct maps_results *results);

struct maps_set;

/** Measure views of a compacted set. */
void frames_maps_view(struct maps_set *set, const struct bench_options *options,
                      struct maps_results *results);

/** Measure costs, which do not depend on the size of a set. */
void frames_maps_costs(const struct bench_options *options, struct maps_results *results);

/** The row of the first size; NULL if there is none. */
const struct maps_row *maps_find(const struct maps_results *results, unsigned percent);
const struct maps_view *maps_find_view(const struct maps_results *results, uint64_t pages,
                                       const char *contender);
const struct maps_cost *maps_find_cost(const struct maps_results *results, const char *what, unsigned pages,
                                       const char *contender);

void maps_results_destroy(struct maps_results *results);

#endif
