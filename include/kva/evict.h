/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/evict.h: find the few ranges to free so that a request fits.
 *
 * A program that frees its least recently used ranges until a request fits frees many in vain: only
 * neighbours make a large hole. An EVICTION finds them first. The caller adds candidates, which are busy
 * segments, in the order in which it would free them. After each, the eviction computes the hole that would
 * exist if all candidates so far were free. Once the request fits there, it lists the candidates that must
 * go:
 *
 *      added first, second, third     |  3  | free |  1  | busy |  2  | busy |
 *      after the third                |<-would be free-->|
 *      a request of that size         |= must go: 3, 1 ==|               2 stays
 *
 * The space does not change before kva_evict_finish. Linux's drm_mm has such a scan, for buffers in a
 * graphics processor's addresses.
 *
 *      struct kva_eviction eviction;
 *      enum kva_status status = kva_evict_begin(space, &request, &eviction);
 *
 *      for (texture = least_recently_used; texture; texture = texture->next) {
 *          status = kva_evict_add(&eviction, &texture->candidate, texture->start);
 *          if (status != KVA_ENOSPC)
 *              break;                                           // KVA_OK: the request fits
 *      }
 *      for (c = kva_evict_first(&eviction); c; c = kva_evict_next(&eviction, c))
 *          unbind(texture_of(c));
 *      status = kva_evict_finish(&eviction, &start);            // frees them, and takes the range
 *
 * The eviction and the candidates are the caller's memory. They refer to each other, so they must stay in
 * place until the eviction is over. The caller may stop at any time, without a call. One thread at a time may
 * use an eviction, but others may change the space meanwhile: kva_evict_finish checks the segments again, and
 * returns KVA_EAGAIN if they have changed.
 */
#ifndef KVA_EVICT_H
#define KVA_EVICT_H

#include <kva/kva.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kva_eviction;

/** A candidate: the caller's memory, one for each segment that is added. Put it into the structure that
 *  describes the contents of the range. All of it is private, and need not be initialised. */
struct kva_candidate {
    struct kva_rb_node node; /* in the tree of candidates by address */
    uint64_t start;          /* the segment, as it was added */
    uint64_t last;
    void *owner;

    /** Of the candidates in one hole that would exist, the lowest refers to the highest here, and the
     *  highest to the lowest; both have the hole. All between them have NULL */
    struct kva_candidate *other;
    uint64_t run_start;
    uint64_t run_last;
};

/** Begin an eviction. This does not search the space: try kva_alloc or kva_search first.
 *
 *  In:      space
 *           request    copied. Its policy chooses the place in the hole that would exist. Its filter is asked
 *                      about that hole, and runs inside kva_evict_add and kva_evict_finish. (KVA_NO_BLOCK
 *                      makes no difference: nothing is flushed, and only kva_evict_finish drains pools)
 *  Out:     eviction   the caller's memory, any content; on failure it holds an eviction that was not begun
 *  Returns: KVA_OK
 *           KVA_ENULL     space, request or eviction is NULL, or the space is not initialised
 *           KVA_EINVAL, KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, KVA_EWINDOW   as kva_alloc
 *  Cost:    O(1)
 *  Locking: Query
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_evict_begin(struct kva_space *space, const struct kva_request *request,
                                        struct kva_eviction *eviction);

/** Add a candidate.
 *
 *  In/Out:  eviction
 *           candidate  the caller's memory, any content; kept until the eviction is over
 *  In:      start      the start of a busy segment
 *  Returns: KVA_OK         the request fits: continue with kva_evict_first and kva_evict_finish
 *           KVA_ENOSPC     the request does not fit yet: add another
 *           KVA_EEXIST     this segment was added already; this call has no effect
 *           KVA_EAGAIN     the space has changed meanwhile: the segment overlaps another one that was added.
 *                          Begin again
 *           KVA_ENULL      eviction or candidate is NULL, or eviction was not begun
 *           KVA_EINVAL     an earlier call has returned KVA_OK, or the eviction is over
 *           KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED, KVA_EREENTRY   as kva_free
 *  Cost:    O(log n), and a fit in one hole, as with kva_search. With pools, O(1) more for each pooled
 *           segment beside the candidate. With a filter, once the request fits, as much again for each
 *           candidate that must go because of the filter
 *  Locking: Space
 *  Failure: nothing has changed, in the space or in the eviction
 */
KVA_API enum kva_status kva_evict_add(struct kva_eviction *eviction, struct kva_candidate *candidate,
                                      uint64_t start);

/** Return the lowest candidate that must go, once kva_evict_add has returned KVA_OK. Candidates that overlap
 *  the place must go; with a filter, so must candidates beside it that the filter does not accept as
 *  neighbours. They can still be listed after kva_evict_finish.
 *
 *  In:      eviction
 *  Returns: the candidate; NULL before kva_evict_add has returned KVA_OK, or when eviction is NULL or was not
 *           begun
 *  Cost:    O(log candidates)
 *  Locking: None; but one thread at a time may use an eviction
 *  Failure: cannot fail
 */
KVA_API struct kva_candidate *kva_evict_first(const struct kva_eviction *eviction);

/** Return the next candidate that must go, in address order.
 *
 *  In:      eviction
 *           candidate   as the last step returned it
 *  Returns: the candidate; NULL when that was the highest, or eviction or candidate is NULL
 *  Cost:    O(log candidates); all of them O(candidates that must go + log candidates)
 *  Locking: as kva_evict_first
 *  Failure: cannot fail
 */
KVA_API struct kva_candidate *kva_evict_next(const struct kva_eviction *eviction,
                                             const struct kva_candidate *candidate);

/** Free the candidates that must go, and allocate the range for the request, in one step. The caller may have
 *  freed some of them already.
 *
 *  In/Out:  eviction   over, if the result is KVA_OK
 *  Out:     start      first address of the range
 *  Returns: KVA_OK
 *           KVA_EAGAIN     the space has changed meanwhile: a segment in the way is neither free nor a
 *                          candidate as it was added (start, last and owner); or the filter refuses the
 *                          place. Begin again
 *           KVA_ENOMEM     no node memory; cannot happen after kva_preload. (With pools, each candidate that
 *                          came from a pool counts as one operation more; and the drain may take preloaded
 *                          memory, or find none)
 *           KVA_ENULL      eviction or start is NULL, or eviction was not begun
 *           KVA_EINVAL     kva_evict_add has not returned KVA_OK yet, or the eviction is over
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O((k + 1) log n) for k candidates that must go. With pools, a drain comes on top
 *  Locking: Space; with pools, all CPUs' locks at once
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_evict_finish(struct kva_eviction *eviction, uint64_t *start);

/** Private: an eviction, declared in full so that it can live in the caller's memory. */
struct kva_eviction {
    struct kva_space *space; /* NULL: not begun */
    struct kva_request request;
    struct kva_rb_node *root; /* of the tree of candidates */
    uint64_t start;           /* the place for the request, once that is known */
    uint64_t last;

    /** The candidates that overlap this range must go: the place and, with a filter, the free space that it
     *  needs beside it */
    uint64_t clear_start;
    uint64_t clear_last;
    int stage;
};

#ifdef __cplusplus
}
#endif

#endif
