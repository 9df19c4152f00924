/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/deferred.h: ranges that are freed now and reusable later, and callbacks that make room.
 *
 * Where something may still refer to a range that is freed (a TLB, an IOTLB, a device, a fence), kva_free_deferred puts it
 * aside. A FLUSH calls the space's flush callback ONCE for the range that covers all of them, and then frees them, merged:
 *
 *      | busy | deferred | busy | deferred | free |        kva_config.flush(context, start, last)
 *             ^ start                     ^ last
 *      | busy |   free   | busy |       free      |
 *
 * A flush happens when kva_flush asks for it, when more than a limit is deferred, and before a request returns KVA_ENOSPC. A
 * request that then still finds no room asks the RECLAIM callbacks, one by one.
 */
#ifndef KVA_DEFERRED_H
#define KVA_DEFERRED_H

#include <kva/kva.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Free a busy segment at the next flush. Until then it is deferred: it must not be used any more, and is not
 *  allocated yet. This flushes by itself if more than the limit is deferred.
 *
 *  In/Out:  space
 *  In:      start   the start of a busy segment
 *  Returns: as kva_free
 *  Cost:    O(log n); never takes memory. A flush comes on top
 *  Locking: Space; dropped during a flush. Does not wait for one that another thread has begun
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_free_deferred(struct kva_space *space, uint64_t start);

/** Free all deferred segments, after ONE call of the flush callback with the range that covers them. If there are none,
 *  the callback is not called.
 *
 *  In/Out:  space
 *  Returns: KVA_OK
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O(m log n) for m deferred segments; never takes memory
 *  Locking: Space; dropped while the callback runs, and between slices of some ten segments. On return, all that was deferred
 *           before the call is free, whichever thread has flushed it
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_flush(struct kva_space *space);

/** Set how many bytes may be deferred before kva_free_deferred flushes by itself.
 *
 *  The default is 32 MiB times the number of binary digits of the CPU count (1 CPU: 32 MiB, 2: 64, 4: 96,
 *  64: 224): Linux's choice for lazily unmapped areas, a batch that grows with the price of a flush.
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

/** From inside the flush callback: list the ranges that this flush is about to free, merged, in address order. Where
 *  to invalidate the one range that covers them would hit much else, the callback can go through them one by one:
 *
 *      struct kva_segment range;
 *      for (enum kva_status s = kva_flush_first(space, &range); s == KVA_OK; s = kva_flush_next(space, &range))
 *          invalidate(range.start, range.last);
 *
 *  The callback's context must lead to the space.
 *
 *  In:      space
 *  Out:     range   the lowest: start and last; owner NULL, state KVA_DEFERRED. Adjacent segments are one range
 *  Returns: KVA_OK
 *           KVA_ENOENT     called from anywhere but the flush callback
 *           KVA_ENULL      space or range is NULL, or the space is not initialised
 *  Cost:    with bt O((k + 1) log n) for a range of k deferred segments; with rb O(k log n), and with scan O(k n), for the k
 *           segments, of any state, up to the next deferred one after the range. With pools, O(s) more for each deferred
 *           segment in the range, for the s spans of the pools in which something is deferred (kva/threads.h)
 *  Locking: Query
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_flush_first(const struct kva_space *space, struct kva_segment *range);

/** Go on with the list.
 *
 *  In:      space
 *  In/Out:  range   as the last step returned it
 *  Returns: KVA_OK
 *           KVA_ENOENT     that was the highest; or called from anywhere but the flush callback
 *           KVA_ENULL      space or range is NULL, or the space is not initialised
 *  Cost, Locking, Failure: as kva_flush_first
 */
KVA_API enum kva_status kva_flush_next(const struct kva_space *space, struct kva_segment *range);

/* ----------------------------------------------------------------------------------------- reclaim */

/** Called when nothing fits, after a flush: make room for the request and return true, or return false. The callback is
 *  given the whole request, as the caller made it (for a congruent one, size is from the first part's start to the last one's
 *  end): window, alignment and policy tell where room helps, kva_search whether there is enough, and kva/evict.h what to free.
 *  The callback may call on this very space whatever an ordinary caller may, but end it or change the list of callbacks; a
 *  request that fails inside is not reclaimed for again. What it defers is flushed, whatever it returns.
 *  With threads: one thread at a time asks, and the space is not locked. Others that find no room meanwhile wait, and try
 *  again before they ask; so the callback must not wait for them, nor two callbacks each want room in the other's space. */
typedef bool kva_reclaim_callback(void *context, struct kva_space *space, const struct kva_request *request);

/** A reclaim callback's registration; the caller's memory, to be kept until it is removed. */
struct kva_reclaim {
    kva_reclaim_callback *callback;
    void *context;
    struct kva_link link; /* private */
};

/** Register a callback to be asked for space when a request would fail.
 *
 *  In/Out:  space
 *           reclaim   the caller's memory, callback and context set; kept until it is removed
 *  Returns: KVA_OK
 *           KVA_ENULL    space, reclaim or its callback is NULL, or the space is not initialised
 *           KVA_EEXIST   this registration is on the list already
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
 *           KVA_ENULL    space or reclaim is NULL, or the space is not initialised
 *           KVA_ENOENT   it is not registered
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
