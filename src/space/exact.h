/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Demands for an exact range, and what happens before a space returns KVA_EEXIST or KVA_EBUSY for one that is
 * not free:
 *
 *      attempt -- in the way: pooled --> drain the pools, attempt
 *              -- in the way: deferred --> flush, drain the pools, attempt
 *              -- in the way: busy --> return
 *
 * Whatever is in the way, the lowest segment of the worst state is named. With the space's lock, which is
 * dropped during a flush: the space may end elsewhere after it, so each attempt looks at that anew.
 */
#ifndef KVA_SPACE_EXACT_H
#define KVA_SPACE_EXACT_H

#include "defer.h"

/** Whether one state is more in the way than another: free and absent give way at once, pooled to a drain,
 *  deferred to a flush, busy to nothing. */
bool kva_is_worse(enum kva_state state, enum kva_state than);

/** What is most in the way in [start, last], inside the space: the lowest segment of the worst state, but for
 *  `own`, a busy segment that is not in the way (NULL: none). KVA_FREE: nothing is; absent segments are
 *  not. */
void kva_find_conflict(const struct kva_space *space, uint64_t start, uint64_t last,
                       const struct kva_segment *own, struct kva_segment *conflict);

/** Attempt something that returns KVA_ENOSPC when a segment of the state `in_the_way` is; make way for it,
 *  and attempt it again. The last attempt's status; KVA_ENOMEM instead of KVA_ENOSPC if there was no memory
 *  to drain the pools.
 *
 *  There is one flush. What is deferred there after it was parked since this began: so part of the range was
 *  busy meanwhile, and "not free" is true of that moment. Without that bound, threads that take and park
 *  ranges there could keep this at work for ever. */
enum kva_status kva_retry_exact(struct kva_space *space, kva_attempt *attempt, void *operation,
                                const enum kva_state *in_the_way);

/** A demand for an exact range, and its place if it is free; else what is in the way. */
struct kva_exact {
    uint64_t start;
    uint64_t last;
    struct kva_place place;      /* with KVA_OK */
    struct kva_segment conflict; /* with KVA_EEXIST */
    struct kva_bad bad;          /* with KVA_ERANGE */
};

/** Find the place [start, last], and make way for it. KVA_OK; KVA_EEXIST (it is not wholly free), KVA_ERANGE
 *  (part of it lies outside the space, or is absent), KVA_ENOMEM (there was none to drain the pools). */
enum kva_status kva_exact_find(struct kva_space *space, struct kva_exact *exact);

#endif
