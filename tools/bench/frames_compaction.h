/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Compaction of page frames, in two orders of visiting blocks.
 *
 * SET-UPS
 *   thinned   the set is filled, and random runs are freed until the share is left: most blocks have frames
 *             in use
 *   churned   then each run is replaced sixteen times, so that kva has had time to win blocks back
 *
 *   Each with a quarter, half and three quarters of the frames in use, by single frames and by runs of all
 *   orders. A table of owners has the place of each run; moving a run changes its entry. No contents are
 *   copied: the bookkeeping and the table are measured.
 *
 * WAYS
 *   counts     kva_frames_compact: the blocks with the fewest used frames are emptied into the others
 *   scanners   two scanners that meet (bench/scanners), over the same step that isolates and moves
 *
 * COUNTS
 *   Free blocks, and how many of a hundred requests of order 9 succeed, before and after. Moved frames, over
 *   the FEWEST that free as many blocks: for k blocks, the sum of the used frames of the k blocks with the
 *   fewest.
 *
 * TIMES
 *   run    a move in total: the time of slices of many moves, over the moved runs
 *   alone  the part of the function that changes the table: all moves again, from the last to the first
 *   one    a request of order 9 with KVA_FRAMES_COMPACT when no block is free; kva only
 *
 * TRAFFIC
 *   One more set-up: thinned, half of the frames in use, single frames. Of the aligned groups of 64 frames,
 *   one in a hundred is pinned, because buffers of devices lie together. After each slice of 256 moves, 32
 *   random frames are freed and others allocated.
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
    const char *contender;
    const char *state;
    uint64_t frames;
    bool mixed;
    unsigned percent;
    struct frames_shape before;
    struct frames_shape after;
    uint64_t moved_runs;
    uint64_t moved_frames;
    uint64_t pinned_runs; /* runs that refused to move */
    uint64_t fewest;      /* the fewest moved frames that free as many blocks */
    struct times run;     /* a moved run; no turns: none was moved, or there was traffic */
    struct times alone;   /* the function that changes the table; as many turns as `run` */
    struct times one;     /* a request; no turns: by scanners, with traffic, or none succeeded */
};

struct compaction_results {
    struct compaction_row *rows;
    size_t count;
};

/** Measure all set-ups and add their rows. */
void frames_compaction_run(uint64_t frames, const struct bench_options *options,
                           struct compaction_results *results);

/** The row of the first size; NULL if there is none. */
const struct compaction_row *compaction_find(const struct compaction_results *results, const char *state,
                                             bool mixed, unsigned percent, const char *contender);

/** Moved frames over the fewest; negative if none were needed. */
double compaction_excess(const struct compaction_row *row);

/** Nanoseconds of a move without the function that changes the table; negative: not measured. */
double compaction_bookkeeping(const struct compaction_row *row);

#endif
