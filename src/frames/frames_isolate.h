/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Isolation: the step from which all compaction is built. It takes runs, or free frames, of one block out of
 * circulation, so that the runs can be moved to the free frames.
 *
 * THE RULE. Isolation examines and takes only frames of the WORK RANGE of a block in a zone: the block cut by
 * the zone, a half-open interval that is never empty. docs/theory/frames.md, "The work range", has the four
 * points of the rule, and draws three errors of Linux that broke it.
 *
 *      zone            |------------------------------------|
 *      blocks     |         |         |         |         |         |
 *      work ranges     |----|---------|---------|---------|-|
 *
 * An isolated run stays in use, and its block is marked as MOVING. If its owner gives it back meanwhile, the
 * batch notes that, and the frames become free when the batch ends.
 */
#ifndef KVA_FRAMES_ISOLATE_H
#define KVA_FRAMES_ISOLATE_H

#include "frames_change.h"

/** The most runs that are moved together: enough that the locks of their blocks cost little for each. */
enum { BATCH_MOVES = 32 };

/** The move of an isolated run. */
struct frames_move {
    uint64_t from;
    uint64_t to; /* KVA_NO_FRAME: it has no room yet */
    uint64_t count;
    uint64_t align; /* of `to` */
    bool is_given;  /* its owner has given it back; changed under the lock of its first block */
    enum kva_frames_moved outcome;
};

/** The state of compaction. One thread at a time compacts, under the set's reclaim lock. */
struct frames_compaction {
    kva_frames_move *move;
    void *context;
    _Atomic uintptr_t inside;    /* the thread that compacts; 0: none */
    _Atomic unsigned defer_left; /* so many further requests of defer_order or larger do not compact */
    _Atomic unsigned defer_shift;
    _Atomic unsigned defer_order;
    unsigned count; /* of moves in the batch */
    struct frames_move moves[BATCH_MOVES];
    uint32_t levels[]; /* a count of blocks for each number of used frames */
};

/** A run keeps its alignment, up to its length rounded up to a power of two. */
static inline uint64_t alignment_of(uint64_t from, uint64_t count)
{
    uint64_t most = UINT64_C(1) << (highest_bit(count) + !is_power_of_two(count));
    uint64_t own = from & (0 - from); /* 0 for frame 0 */

    return own == 0 || own > most ? most : own;
}

/** Put a run into the batch, which has room for it. */
static inline void add_move(struct frames_compaction *compaction, uint64_t from, uint64_t count)
{
    compaction->moves[compaction->count++] = (struct frames_move){.from = from,
                                                                  .to = KVA_NO_FRAME,
                                                                  .count = count,
                                                                  .align = alignment_of(from, count),
                                                                  .outcome = KVA_FRAMES_BUSY};
}

/** Isolate runs of at least `shortest` frames of a locked block, as many as the batch has room for, from
 *  *position on, where the next call continues. Returns true when all of the work range has been examined. */
bool kva_isolate_runs(const struct kva_frames *frames, const struct frames_zone *zone, uint32_t block,
                      uint64_t *h, uint32_t *position, uint32_t shortest);

/** Isolate free frames of a locked block for runs of the batch, from `next` on, as long as there is room.
 *  Returns the first run that has none. */
unsigned kva_isolate_room(const struct kva_frames *frames, const struct frames_zone *zone, uint32_t block,
                          uint64_t *h, unsigned next);

/** Result of a batch. */
struct frames_moves {
    uint64_t runs; /* moved ones */
    uint64_t frames;
    uint64_t refused; /* runs whose owner did not move them */
};

/** Move the batch's runs out of `block`, unless there is `no_room` for one of them: the others would be moved
 *  in vain. Give back the frames that they leave, and unused room. */
struct frames_moves kva_move_batch(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block,
                                   bool no_room);

/** The isolated run that has frames in [first, end), or NULL. The caller has locked the blocks. */
struct frames_move *kva_find_isolated(const struct kva_frames *frames, uint64_t first, uint64_t end);

#endif
