/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A random frame set, and random calls in lock-step with the model of frames_model.h. The source of
 * randomness is a generator or a fuzzer's bytes.
 *
 * SETS      1 to 5 zones in any order, adjacent or apart by a few frames or by 2^40, so that they share
 *           blocks or not; from 0, up to 2^64 - 1, or between; with ends on and off block boundaries; holes
 *           that overlap, and that reach over two zones; nodes with distances; blocks of 2 to 8192 frames;
 *           with threads (one thread plays, on changing CPUs) and without.
 * PRESSURE  A tide turns at intervals: the set fills until requests fail, and empties again.
 * CALLS     Every call that allocates or frees frames, mostly valid, and with each possible error. Numbers
 *           come from the set itself (where runs, zones, holes and blocks begin and end) and are sometimes
 *           off by one.
 */
#ifndef KVA_TESTS_COMMON_FRAMES_PLAY_H
#define KVA_TESTS_COMMON_FRAMES_PLAY_H

#include "frames_model.h"

struct frames_draw {
    uint64_t (*below)(void *context, uint64_t bound); /* a number in [0, bound - 1]; 0 for 0 */
    bool (*ended)(void *context);                     /* whether no randomness is left */
    void *context;
};

/** Play at most so many calls on one set. Returns the number of calls; adds the number of moved runs to
 * *moved. */
uint64_t frames_play(const struct frames_draw *draw, uint64_t calls, uint64_t *moved);

#endif
