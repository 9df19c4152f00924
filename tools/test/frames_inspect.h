/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Verifies a whole frame set while no worker runs.
 */
#ifndef KVA_TOOLS_TEST_FRAMES_INSPECT_H
#define KVA_TOOLS_TEST_FRAMES_INSPECT_H

#include "frames_traffic.h"

/** Compare the set with the table: sums, free groups, moves, each run and its contents, double frees, and
 *  whether each request succeeds exactly if it can. False: see the fault. */
bool traffic_inspect(struct traffic *traffic, struct rng *rng);

/** After everything was freed: take all whole blocks, then all single frames. False: see the fault; if
 *  *has_memory is false, there was no memory for that, and nothing was done. */
bool traffic_inspect_empty(struct traffic *traffic, bool *has_memory);

#endif
