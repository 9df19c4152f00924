/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Runs that compaction moves: their contents, their records, and the function that moves both. See
 * frames_move.c.
 */
#ifndef KVA_TOOLS_TEST_FRAMES_MOVE_H
#define KVA_TOOLS_TEST_FRAMES_MOVE_H

#include "frames_traffic.h"

/** Lock a record, and unlock it: its run is not moved meanwhile. Only its worker and traffic_move lock it. */
void traffic_hold(struct traffic_held *held);
void traffic_drop(struct traffic_held *held);

/** Write the contents of a run that has just been allocated, and enter its record in the table. */
void traffic_publish(struct traffic *traffic, struct traffic_held *held);

/** Remove the record from the table, before the run or a part of it is freed. */
void traffic_withdraw(struct traffic *traffic, const struct traffic_held *held);

/** Whether the frames of a run have their contents. */
bool traffic_verify_contents(struct traffic *traffic, const struct traffic_held *held);

/** The set's move callback; the context is the traffic. */
enum kva_frames_moved traffic_move(void *context, uint64_t from, uint64_t to, uint64_t count);

#endif
