/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** What is in the way in a given range; see conflict.h. */
#include "conflict.h"

/** Whether one state is more in the way than another: free gives way at once, pooled to a drain, deferred to a flush,
 *  busy to nothing. */
static bool is_worse(enum kva_state state, enum kva_state than)
{
    static const unsigned char rank[] = {
        [KVA_FREE] = 0, [KVA_POOLED] = 1, [KVA_DEFERRED] = 2, [KVA_BUSY] = 3};

    return rank[state] > rank[than];
}

void kva_find_conflict(const struct kva_space *space, uint64_t start, uint64_t last,
                       const struct kva_segment *own, struct kva_segment *conflict)
{
    struct kva_segment segment;

    conflict->state = KVA_FREE;
    for (uint64_t at = start;; at = segment.last + 1) {
        kva_lookup(space, at, &segment);
        bool counts = !own || segment.start != own->start;
        if (counts && is_worse(segment.state, conflict->state))
            *conflict = segment;
        if ((counts && segment.state == KVA_BUSY) || segment.last >= last)
            return;
    }
}

/** What is deferred there after the flush was parked since this began: so part of the range was busy meanwhile, and
 *  KVA_EEXIST is true of that moment. Without that bound, threads that take and park ranges there could keep this at
 *  work for ever. */
enum kva_status kva_attempt_place(struct kva_space *space, kva_attempt *attempt, void *operation,
                                  const struct kva_segment *conflict)
{
    enum kva_status status = attempt(space, operation);

    if (status == KVA_ENOSPC && conflict->state != KVA_BUSY && conflict->state != KVA_DEFERRED)
        status = kva_attempt_drained(space, attempt, operation);
    if (status == KVA_ENOSPC && conflict->state == KVA_DEFERRED) {
        (void)kva_flush_all(space);
        status = kva_attempt_drained(space, attempt, operation);
    }
    return status == KVA_ENOSPC ? KVA_EEXIST : status;
}
