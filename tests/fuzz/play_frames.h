/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A byte string as a program on a frame set: the first bytes choose the set, the rest are calls, in lock-step
 * with the model. common/frames_play.h describes the sets and the calls. Each number takes as many bits as it
 * needs, so a call takes about five bytes. Any byte string is a program: bytes missing at the end are 0.
 */
#ifndef KVA_TESTS_FUZZ_PLAY_FRAMES_H
#define KVA_TESTS_FUZZ_PLAY_FRAMES_H

#include <stddef.h>
#include <stdint.h>

/** Play a program; fails the test, or aborts the program, if the set and the model differ. Returns the number
 * of calls. */
size_t play_frames(const uint8_t *bytes, size_t count);

#endif
