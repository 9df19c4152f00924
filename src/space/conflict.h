/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What is in the way in a given range, and getting it out of the way: the pools are drained, and what is deferred is
 * flushed, once. Retry.h has the same for requests that any place will do for.
 */
#ifndef KVA_SPACE_CONFLICT_H
#define KVA_SPACE_CONFLICT_H

#include "defer.h"

/** What is most in the way in [start, last]: the lowest segment of the worst state, but for `own`, a busy segment that
 *  is not in the way; it may be NULL. State KVA_FREE: nothing is. With the space's lock. */
void kva_find_conflict(const struct kva_space *space, uint64_t start, uint64_t last,
                       const struct kva_segment *own, struct kva_segment *conflict);

/** Attempt what needs a given range; it returns KVA_ENOSPC and sets *conflict if that is not free. Drain the pools, and
 *  flush once, if only that is in the way. The last attempt's status, but KVA_EEXIST for KVA_ENOSPC. With the space's
 *  lock, which is dropped during a flush; from the last attempt on it is held. */
enum kva_status kva_attempt_place(struct kva_space *space, kva_attempt *attempt, void *operation,
                                  const struct kva_segment *conflict);

#endif
