/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Runs that compaction moves: their contents, what refers to them, and the function that moves both. See
 * frames_move.c.
 */
#ifndef KVA_TOOLS_TEST_FRAMES_MOVE_H
#define KVA_TOOLS_TEST_FRAMES_MOVE_H

#include "frames_traffic.h"

/** Use a record: its run stays where it is meanwhile. Only its worker, and the function that moves, ever
 *  do. */
void traffic_hold(struct traffic_held *held);
void traffic_drop(struct traffic_held *held);

/** Write contents into the frames of a run that has just been taken, and let the table refer to it. */
void traffic_publish(struct traffic *traffic, struct traffic_held *held);

/** Take the references away, before the run or a part of it is given back. */
void traffic_withdraw(struct traffic *traffic, const struct traffic_held *held);

/** Whether the frames of a run hold what was written into them. */
bool traffic_verify_contents(struct traffic *traffic, const struct traffic_held *held);

/** The set's function that moves runs; the context is the traffic. */
enum kva_frames_moved traffic_move(void *context, uint64_t from, uint64_t to, uint64_t count);

#endif
