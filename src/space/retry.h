/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What a space tries before it returns KVA_ENOSPC:
 *
 *      attempt -- no space --> drain the pools, attempt
 *                                  |  no space
 *                                  v
 *                              flush, attempt -- no space --> call the reclaim callbacks
 *
 * base/callbacks.h has the last step, which one thread at a time takes.
 */
#ifndef KVA_SPACE_RETRY_H
#define KVA_SPACE_RETRY_H

#include "defer.h"

/** A request has failed for lack of space: make room and attempt it again, step by step; returns the last
 *  attempt's status. A request that may not block receives KVA_EAGAIN if a step might help, else KVA_ENOSPC.
 *  Requires the space's lock; drops it between the steps, but not after the last attempt. */
enum kva_status kva_retry(struct kva_space *space, const struct kva_request *request, kva_attempt *attempt,
                          void *operation);

/** Whether a flush, a drain or a reclaim callback might make room. Requires the space's lock. */
bool kva_can_make_room(const struct kva_space *space);

#endif
