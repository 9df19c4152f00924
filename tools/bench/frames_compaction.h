/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Compaction of page frames, in two orders of visiting blocks.
 *
 * SET-UPS
 *   thinned   the set is filled, and random runs are freed until the share is left: in most blocks something
 *             is in use
 *   churned   then each run is replaced sixteen times: kva has had all the time it needs to leave blocks free
 *
 *   Each with a quarter, half and three quarters of the frames in use, by single frames and by runs of all
 *   orders. A table of owners tells where each run is; to move one means to change its entry. No contents are
 *   copied: what is measured is the bookkeeping, and the table.
 *
 * WHO
 *   counts     kva_frames_compact: the blocks with the fewest used frames are emptied into the others
 *   scanners   two scanners that meet (bench/scanners), over the same step that isolates and moves
 *
 * WHAT IS COUNTED
 *   Free blocks, and how many of a hundred requests of order 9 succeed, before and after. Moved frames, over
 *   the FEWEST with which so many blocks could have been freed: if k blocks were, the sum of the used frames
 *   of the k blocks that had the fewest.
 *
 * WHAT IS TIMED
 *   run    a move, all in all: slices of many moves, over the runs that were moved
 *   alone  of that, the function that changes the table: all moves once more, from the last one to the first
 *   one    a request of order 9 with KVA_FRAMES_COMPACT when no block is free: kva alone
 *
 * TRAFFIC
 *   One set-up more, half used by single frames and thinned. Of the aligned groups of 64 frames, one in a
 *   hundred is pinned: buffers of devices lie together. After each slice of 256 moves, 32 random frames are
 *   freed and others allocated.
 */
#ifndef KVA_TOOLS_BENCH_FRAMES_COMPACTION_H
#define KVA_TOOLS_BENCH_FRAMES_COMPACTION_H

#include "frames_set.h"
#include "runner.h"

#define COMPACTION_COUNTS "counts"
#define COMPACTION_SCANNERS "scanners"
#define COMPACTION_WAYS 2

#define COMPACTION_THINNED "thinned"
#define COMPACTION_CHURNED "churned"
#define COMPACTION_TRAFFIC "traffic"

/** One way to compact, one set-up. */
struct compaction_row {
    const char *who;
    const char *state;
    uint64_t frames;
    bool mixed;
    unsigned percent;
    struct frames_shape before;
    struct frames_shape after;
    uint64_t moved_runs;
    uint64_t moved_frames;
    uint64_t pinned_runs; /* that were asked for in vain */
    uint64_t fewest;      /* frames, for so many free blocks */
    struct times run;     /* a moved run; no turns: none was moved, or there was traffic */
    struct times alone;   /* as many turns */
    struct times one;     /* a request; no turns: the scanners, traffic, or none succeeded */
};

struct compaction_results {
    struct compaction_row *rows;
    size_t count;
};

/** Measure. */
void frames_compaction_run(uint64_t frames, const struct bench_options *options,
                           struct compaction_results *results);

/** The row of the first size; NULL when there is none. */
const struct compaction_row *compaction_find(const struct compaction_results *results, const char *state,
                                             bool mixed, unsigned percent, const char *who);

/** Moved frames over the fewest; negative when none were needed. */
double compaction_excess(const struct compaction_row *row);

/** Nanoseconds of a move without the function that changes the table; negative: not measured. */
double compaction_bookkeeping(const struct compaction_row *row);

#endif
