/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/deferred.h: ranges that are freed now and reusable later, and callbacks that make room.
 *
 * If something may still refer to a range (a TLB, an IOTLB, a device, a fence), kva_free_deferred makes it
 * deferred, not free. A FLUSH calls the space's flush callback ONCE with the range that covers all deferred
 * segments, and then frees them:
 *
 *      | busy | deferred | busy | deferred | free |        kva_config.flush(context, start, last)
 *             ^ start                     ^ last
 *      | busy |   free   | busy |       free      |
 *
 * A flush happens in kva_flush, in kva_free_deferred when more than a limit is deferred, and in a request
 * before it returns KVA_ENOSPC. A request that still finds no room calls the RECLAIM callbacks, one by one.
 */
#ifndef KVA_DEFERRED_H
#define KVA_DEFERRED_H

#include <kva/kva.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Free a busy segment at the next flush. Until then it is deferred: the caller must not use it any more, and
 *  it is not allocated again. If more than the limit is deferred, this flushes.
 *
 *  In/Out:  space
 *  In:      start   the start of a busy segment
 *  Returns: as kva_free
 *  Cost:    O(log n); never takes memory. A flush comes on top
 *  Locking: Space; dropped during a flush. Does not wait for a flush that another thread has begun
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_free_deferred(struct kva_space *space, uint64_t start);

/** Free all deferred segments, after ONE call of the flush callback with the range that covers them. If there
 *  are none, the callback is not called.
 *
 *  In/Out:  space
 *  Returns: KVA_OK
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O(m log n) for m deferred segments; never takes memory
 *  Locking: Space; dropped while the callback runs, and between slices of at most 64 segments. On return, all
 *           segments that were deferred before the call are free, whichever thread has flushed them
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_flush(struct kva_space *space);

/** Set how many bytes may be deferred before kva_free_deferred flushes.
 *
 *  The default is 32 MiB times the number of binary digits of the CPU count (1 CPU: 32 MiB, 2: 64, 4: 96,
 *  64: 224): Linux's choice for lazily unmapped areas. The batch grows with the cost of a flush.
 *
 *  In/Out:  space
 *  In:      bytes   flush when MORE than this is deferred: 0 flushes at each deferred free, UINT64_MAX never
 *  Returns: KVA_OK
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O(1); takes effect at the next kva_free_deferred
 *  Locking: Space
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_set_deferred_limit(struct kva_space *space, uint64_t bytes);

/** From inside the flush callback: list the ranges that this flush is about to free, merged, in address
 *  order. The callback can then invalidate just these, instead of the whole range that covers them:
 *
 *      struct kva_segment range;
 *      enum kva_status status = kva_flush_first(space, &range);
 *      for (; status == KVA_OK; status = kva_flush_next(space, &range))
 *          invalidate(range.start, range.last);
 *
 *  The callback's context must lead to the space.
 *
 *  In:      space
 *  Out:     range   the lowest: start and last; owner NULL, state KVA_DEFERRED. Adjacent segments are one
 *                   range
 *  Returns: KVA_OK
 *           KVA_ENOENT     not called from inside the flush callback
 *           KVA_ENULL      space or range is NULL, or the space is not initialised
 *  Cost:    with bt O((k + 1) log n) for a range of k deferred segments; with rb O(k log n), and with scan
 *           O(k n), for the k segments, of any state, up to the next deferred one after the range. With
 *           pools, O(s) more for each deferred segment in the range, for the s spans of the pools that hold
 *           deferred ranges (kva/threads.h)
 *  Locking: Query
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_flush_first(const struct kva_space *space, struct kva_segment *range);

/** Continue the list.
 *
 *  In:      space
 *  In/Out:  range   as the last step returned it
 *  Returns: KVA_OK
 *           KVA_ENOENT     that was the highest range; or not called from inside the flush callback
 *           KVA_ENULL      space or range is NULL, or the space is not initialised
 *  Cost, Locking, Failure: as kva_flush_first
 */
KVA_API enum kva_status kva_flush_next(const struct kva_space *space, struct kva_segment *range);

/* ----------------------------------------------------------------------------------------- reclaim */

/** Called when nothing fits, after a flush: make room for the request and return true, or return false. The
 *  callback receives the caller's request (for a congruent one, size is from the first part's start to the
 *  last one's end). Its window, alignment and policy show where room helps; kva_search finds out whether
 *  there is enough, and kva/evict.h which ranges to free. The callback may make every call on the space
 *  except kva_space_destroy, kva_space_fini, kva_space_abandon, kva_space_reset, kva_space_fork_prepare, and
 *  those that change the list of callbacks: these return KVA_EREENTRY. A request that fails inside calls no
 *  reclaim callback. Ranges that the callback defers are flushed, whatever it returns.
 *
 *  With threads, callbacks run in one thread at a time, and the space is not locked meanwhile. Other threads
 *  that find no room wait, and try again before they call one. So the callback must not wait for another
 *  thread that allocates, and two callbacks must not each allocate in the other's space. */
typedef bool kva_reclaim_callback(void *context, struct kva_space *space, const struct kva_request *request);

/** A reclaim callback's registration: the caller's memory, kept until it is removed. */
struct kva_reclaim {
    kva_reclaim_callback *callback;
    void *context;
    struct kva_link link; /* private */
};

/** Register a reclaim callback. Callbacks are called in the order of their registration.
 *
 *  In/Out:  space
 *           reclaim   callback and context set
 *  Returns: KVA_OK
 *           KVA_ENULL      space, reclaim or its callback is NULL, or the space is not initialised
 *           KVA_EEXIST     it is registered already
 *           KVA_EREENTRY   called from inside a flush or reclaim callback
 *  Cost:    O(callbacks)
 *  Locking: Space; waits for a reclaim under way
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_reclaim_add(struct kva_space *space, struct kva_reclaim *reclaim);

/** Remove a reclaim callback.
 *
 *  In/Out:  space
 *           reclaim   as registered
 *  Returns: KVA_OK
 *           KVA_ENULL      space or reclaim is NULL, or the space is not initialised
 *           KVA_ENOENT     it is not registered
 *           KVA_EREENTRY   called from inside a flush or reclaim callback
 *  Cost:    O(callbacks)
 *  Locking: Space; waits for a reclaim under way. Once this returns, the callback is not called again
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_reclaim_remove(struct kva_space *space, struct kva_reclaim *reclaim);

#ifdef __cplusplus
}
#endif

#endif
