/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The binary buddy system of the textbooks, for page frames. A peer to measure kva against, not a part of it.
 * See buddy.c for the design.
 *
 * Statuses are kva's. Each call takes the one lock: any thread may call at any time.
 */
#ifndef KVA_BENCH_BUDDY_H
#define KVA_BENCH_BUDDY_H

#include <kva/status.h>

/** The largest order: 1024 frames. */
#define BUDDY_ORDER_MAX 10

struct buddy;

/** Create a set of the frames [0, frames), all of them free. KVA_EINVAL: no frame, or more than 2^32 - 2;
 *  KVA_ENOMEM. */
enum kva_status buddy_create(uint64_t frames, struct buddy **buddy);

/** Destroy a set, even with frames in use. No other call may run. */
void buddy_destroy(struct buddy *buddy);

/** Allocate 2^order frames, the first a multiple of 2^order. KVA_ENOSPC; KVA_EINVAL: the order is above
 *  BUDDY_ORDER_MAX. Cost: O(orders). */
enum kva_status buddy_alloc(struct buddy *buddy, unsigned order, uint64_t *first);

/** Free the block that begins at `first`. KVA_EUNKNOWN: no such frame; KVA_EDOUBLE: a free block begins
 *  there; KVA_EINTERIOR: no block begins there. Cost: O(orders). */
enum kva_status buddy_free(struct buddy *buddy, uint64_t first);

/** Bytes of the bookkeeping. */
size_t buddy_bytes(const struct buddy *buddy);

#endif
