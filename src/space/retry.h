/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What happens before a space returns KVA_ENOSPC:
 *
 *      attempt -- no space --> drain the pools, attempt
 *                                  |  no space
 *                                  v
 *                              flush, attempt -- no space --> ask the reclaim callbacks
 *
 * base/callbacks.h has the last step, which one thread takes at a time.
 */
#ifndef KVA_SPACE_RETRY_H
#define KVA_SPACE_RETRY_H

#include "defer.h"

/** A request has just failed for want of space: make room and attempt it again, step by step; the last
 *  attempt's status. If it may not block, KVA_EAGAIN where there is anything to try, else KVA_ENOSPC. With
 *  the space's lock, which is not held all the time; from the last attempt on it is. */
enum kva_status kva_retry(struct kva_space *space, const struct kva_request *request, kva_attempt *attempt,
                          void *operation);

/** Whether a flush, a drain or a reclaim callback might make room. With the space's lock. */
bool kva_can_make_room(const struct kva_space *space);

#endif
