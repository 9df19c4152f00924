/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What can be verified of a frame set while no worker runs: all of it.
 */
#ifndef KVA_TOOLS_TEST_FRAMES_INSPECT_H
#define KVA_TOOLS_TEST_FRAMES_INSPECT_H

#include "frames_traffic.h"

/** Compare the set with the words: sums, free groups, moves, each run and its contents, double frees, and
 *  whether each request is served exactly when it can be. False: see the fault. */
bool traffic_inspect(struct traffic *traffic, struct rng *rng);

/** When all has been given back: take all whole blocks, and again all single frames. False: see the fault;
 *  *has_memory false: there was no memory for that, and nothing was done. */
bool traffic_inspect_empty(struct traffic *traffic, bool *has_memory);

#endif
