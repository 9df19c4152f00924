/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/evict.h: find out which few ranges to give up so that a request fits.
 *
 * Freeing the least recently used ranges until a request fits frees many for nothing: a hole needs neighbours. An EVICTION asks
 * first. The caller feeds it candidates, busy segments, in the order in which they would be given up. After each, the eviction
 * knows the hole that would arise if all candidates so far were free. Once the request fits, it names those that must go:
 *
 *      fed first, second, third       |  3  | free |  1  | busy |  2  | busy |
 *      after the third                |<--- would be free -->|
 *      a request of that size         |==== must go: 3, 1 ===|              2 stays
 *
 * The space does not change before kva_evict_finish, and not at all if the caller stops. This is the scan of Linux's drm_mm,
 * whose users bind buffers to a graphics processor's addresses.
 *
 *      struct kva_eviction eviction;
 *      enum kva_status status = kva_evict_begin(space, &request, &eviction);
 *
 *      for (texture = least_recently_used; texture; texture = texture->next) {
 *          status = kva_evict_add(&eviction, &texture->candidate, texture->start);
 *          if (status != KVA_ENOSPC)
 *              break;                                           // KVA_OK: that will do
 *      }
 *      for (c = kva_evict_first(&eviction); c; c = kva_evict_next(&eviction, c))
 *          unbind(texture_of(c));                               // whatever has to be done before
 *      status = kva_evict_finish(&eviction, &start);            // frees them, and takes the range
 *
 * The state and the candidates are the caller's memory. They refer to each other, so they must stay where they are until the
 * eviction is over; there is no call to end one. One thread at a time uses an eviction, but others may change the space
 * meanwhile: kva_evict_finish looks again, and returns KVA_EAGAIN if what the eviction found is no longer true.
 */
#ifndef KVA_EVICT_H
#define KVA_EVICT_H

#include <kva/kva.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kva_eviction;

/** A candidate: the caller's memory, one for each segment that is fed. Put it into the structure that describes what the range
 *  holds. All of it is private, and need not be initialised. */
struct kva_candidate {
    struct kva_rb_node node; /* in the tree of candidates by address */
    uint64_t start;          /* the segment, as it was fed */
    uint64_t last;
    void *owner;

    /** Of the candidates in a hole that would arise, the lowest has the highest one here, and the highest the lowest; both
     *  have that hole. All between them have NULL */
    struct kva_candidate *other;
    uint64_t run_start;
    uint64_t run_last;
};

/** Begin an eviction. The space is not searched: ask kva_alloc or kva_search first.
 *
 *  In:      space
 *           request    what is to fit; a copy of it is kept. Its policy chooses the place in the hole that arises. Its filter is
 *                      asked about that hole, and runs inside kva_evict_add and kva_evict_finish. (KVA_NO_BLOCK makes no
 *                      difference: nothing is flushed, and only kva_evict_finish drains pools)
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

/** Feed a candidate.
 *
 *  In/Out:  eviction
 *           candidate  the caller's memory, any content; kept until the eviction is over
 *  In:      start      the start of a busy segment
 *  Returns: KVA_OK         the hole that would arise satisfies the request: go on with kva_evict_first and kva_evict_finish
 *           KVA_ENOSPC     not yet: feed another
 *           KVA_EEXIST     this segment was fed already; as if it had not been fed again
 *           KVA_EAGAIN     the space has changed meanwhile: what is there now overlaps a segment that was fed. Begin again
 *           KVA_ENULL      eviction or candidate is NULL, or eviction was not begun
 *           KVA_EINVAL     an earlier call returned KVA_OK already, or the eviction is over
 *           KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED, KVA_EREENTRY   as kva_free
 *  Cost:    O(log n), and what a fit in one hole takes, as with kva_alloc. With pools, for each pooled segment beside the
 *           candidate O(1) more. With a filter, once it fits, as much for each candidate that must go for the filter's sake
 *  Locking: Space
 *  Failure: nothing has changed, in the space or in the eviction
 */
KVA_API enum kva_status kva_evict_add(struct kva_eviction *eviction, struct kva_candidate *candidate,
                                      uint64_t start);

/** The lowest candidate that must go, once kva_evict_add has returned KVA_OK; NULL before. Those
 *  that overlap the place must go; with a filter, so must those beside it that the filter does not accept as neighbours.
 *  They can still be listed when the eviction is over.
 *
 *  In:      eviction
 *  Returns: the candidate, or NULL: also when eviction is NULL or was not begun
 *  Cost:    O(log candidates)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API struct kva_candidate *kva_evict_first(const struct kva_eviction *eviction);

/** The next candidate that must go, in address order.
 *
 *  In:      eviction
 *           candidate   as the last step returned it
 *  Returns: the candidate, or NULL when that was the highest
 *  Cost:    O(log candidates); all of them O(candidates that must go + log candidates)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API struct kva_candidate *kva_evict_next(const struct kva_eviction *eviction,
                                             const struct kva_candidate *candidate);

/** Free the candidates that must go, and allocate the range for the request, in one step. The caller may have freed some of them
 *  already.
 *
 *  In/Out:  eviction   over with KVA_OK
 *  Out:     start      first address of the range
 *  Returns: KVA_OK
 *           KVA_EAGAIN     the space has changed meanwhile: something lies in the range that is neither free nor one of these
 *                          candidates as it was fed (start, last and owner); or the filter refuses the place. Begin again
 *           KVA_ENOMEM     no node memory; cannot happen after kva_preload. (With pools, one operation more for each
 *                          candidate that a pool has handed out, and a drain)
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
    uint64_t start;           /* where the request will go, once that is known */
    uint64_t last;

    /** The candidates that overlap this range must go. It is the place and, with a filter, what has to be free beside it */
    uint64_t clear_start;
    uint64_t clear_last;
    int stage;
};

#ifdef __cplusplus
}
#endif

#endif
