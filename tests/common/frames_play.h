/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A frame set that is drawn, and calls that are drawn, in lock-step with the model of frames_model.h. What
 * draws is a random number generator or a fuzzer's bytes.
 *
 * SETS      1 to 5 zones in any order: beside one another or apart by a few frames or by 2^40, so that they share
 *           blocks or do not; from 0, or to 2^64 - 1, or in between; ends that are and that are not ends of
 *           blocks; holes that overlap and that reach over two zones; nodes with distances; blocks of 2 to
 *           8192 frames; with threads (one thread plays, and is now on this CPU, now on that) and without.
 * PRESSURE  A tide turns every so often: the set fills until requests fail, is seen half full, and empties
 *           again.
 * CALLS     Every call that takes or gives frames, most of them right, some with each thing wrong that can be. Numbers come from
 *           the set itself (where runs, zones, holes and blocks begin and end) and are now and then off by
 *           one.
 */
#ifndef KVA_TESTS_COMMON_FRAMES_PLAY_H
#define KVA_TESTS_COMMON_FRAMES_PLAY_H

#include "frames_model.h"

struct frames_draw {
    uint64_t (*below)(void *context, uint64_t bound); /* a number in [0, bound - 1]; 0 for 0 */
    bool (*ended)(void *context);                     /* whether there is nothing left to draw from */
    void *context;
};

/** Play up to so many calls on one set. Returns how many were made; of runs that were moved, adds their
 *  number to *moved. */
uint64_t frames_play(const struct frames_draw *draw, uint64_t calls, uint64_t *moved);

#endif
