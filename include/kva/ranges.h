/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/ranges.h: more operations on the ranges of a space.
 *
 *      kva_clear          free all busy ranges in a range          like munmap
 *      kva_reserve_over   clear a range, and reserve it            like mmap with MAP_FIXED
 *      kva_split          make two busy segments of one            like mprotect of a part
 *      kva_join           make one busy segment of two
 *      kva_set_owner      change the owner of a busy segment
 *      kva_move           move a busy segment to another place     like the window of a device
 *      kva_free_sized     free a segment of a known size           like C23's free_sized
 *
 * Walks go downwards (kva_last, kva_prev), over the free segments alone (kva_first_hole ...), and over the
 * segments in a range (kva_first_in, kva_next_in).
 *
 * A space can consist of REGIONS. The ranges between them are ABSENT: they are not part of the space.
 *
 *      first                                                      last
 *      | busy | free | busy |      absent      | free | busy | free |       kva_space_add, kva_space_remove,
 *      |<---- region ------>|                  |<---- region ------>|       kva_space_shrink
 *
 * An absent range is never allocated, is neither free nor busy, and walks pass over it. For an address in it,
 * kva_find returns KVA_ENOENT, and a call on a busy segment (kva_free, kva_free_range, kva_split ...) returns
 * KVA_EUNKNOWN. A call on a range of any state (kva_reserve, kva_clear ...) returns KVA_ERANGE if a part of
 * the range is absent. The ends of a space are never absent.
 *
 * Each call of this header except kva_space_reset is atomic for other threads: they see all of its effects or
 * none.
 */
#ifndef KVA_RANGES_H
#define KVA_RANGES_H

#include <kva/kva.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Free all busy ranges in a range. If a busy segment extends beyond the range, the rest of it stays busy
 *  with the same owner. Free and deferred segments do not change.
 *
 *  In/Out:  space
 *  In:      start   a multiple of the quantum
 *           size    1 ..; rounded up to the quantum
 *  Out:     bytes   the number of bytes that were busy; may be NULL
 *  Returns: KVA_OK (also when nothing was busy)
 *           KVA_ENOMEM     no node memory; cannot happen where neither end of the range lies inside a busy
 *                          segment, or after kva_preload, for which the call counts as one operation; with
 *                          pools, as two
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_ESIZE      size is 0
 *           KVA_EALIGN     start is not a multiple of the quantum
 *           KVA_EWRAP      the end passes 2^64 - 1
 *           KVA_ERANGE     part of the range lies outside the space, or is absent
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O(k log n) for k segments in the range; with bt, without pools and best_fit,
 *           O(k + (d + 1) log n), if d of them are deferred
 *  Locking: Space; with pools, all CPUs' locks at once, but no drain
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_clear(struct kva_space *space, uint64_t start, uint64_t size, uint64_t *bytes);

/** Reserve exactly [start, start + size - 1], even if busy ranges lie in it: kva_clear and kva_reserve in one
 *  step. Deferred segments in the range are flushed first.
 *
 *  In/Out:  space
 *  In:      start, size   as for kva_clear
 *           owner         kept with the segment
 *  Out:     bytes         the number of bytes that were busy; may be NULL
 *  Returns: as kva_clear, and
 *           KVA_ENOMEM     no node memory; without pools it cannot happen after kva_preload, for which the
 *                          call counts as two operations. (With pools, each range in it that came from a
 *                          pool counts as one more; and the drain may take preloaded memory, or find none)
 *           KVA_EAGAIN     with threads: another thread has deferred a segment in the range since the flush
 *  Cost:    as kva_clear. A flush comes on top; with pools, a drain, as with kva_alloc
 *  Locking: as kva_clear; dropped during a flush
 *  Failure: nothing has changed, except that KVA_ENOMEM, and with threads KVA_EAGAIN and KVA_ERANGE, may come
 *           after a flush
 */
KVA_API enum kva_status kva_reserve_over(struct kva_space *space, uint64_t start, uint64_t size, void *owner,
                                         uint64_t *bytes);

/** Split a busy segment in two. Both have its owner.
 *
 *  In/Out:  space
 *  In:      at      the start of the second: inside a busy segment, a multiple of the quantum
 *  Returns: KVA_OK (also when a busy segment begins there already)
 *           KVA_ENOMEM      no node memory; cannot happen after kva_preload
 *           KVA_ENULL       space is NULL or not initialised
 *           KVA_EALIGN      at is not a multiple of the quantum
 *           KVA_EUNKNOWN    at lies outside the space, or in an absent range
 *           KVA_EDOUBLE     at is free
 *           KVA_EDEFERRED   at lies in a deferred segment
 *           KVA_EREENTRY    called from inside the flush callback
 *  Cost:    O(log n)
 *  Locking: Space
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_split(struct kva_space *space, uint64_t at);

/** Join a busy segment with the next one. The result has the first one's owner.
 *
 *  In/Out:  space
 *  In:      start   the start of a busy segment
 *  Returns: KVA_OK
 *           KVA_ENOENT     no busy segment follows directly
 *           KVA_ENOMEM     no node memory; cannot happen after kva_preload. (With pools, the call counts as
 *                          two operations)
 *           KVA_ENULL, KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED, KVA_EREENTRY   as kva_free
 *  Cost:    O(log n)
 *  Locking: Space
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_join(struct kva_space *space, uint64_t start);

/** Change the owner of a busy segment.
 *
 *  In/Out:  space
 *  In:      start   the start of a busy segment
 *           owner   any value; without effect in a space without owners
 *  Returns: KVA_OK
 *           KVA_ENULL, KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED, KVA_EREENTRY   as kva_free
 *  Cost:    O(log n); never takes memory
 *  Locking: Space. A lookup of another thread sees the old owner or the new one
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_set_owner(struct kva_space *space, uint64_t start, void *owner);

/** Move a busy segment to another place, which may overlap the old one. Owner and size stay. No memory is
 *  copied: addresses stand for anything.
 *
 *  In/Out:  space
 *  In:      start     the start of a busy segment
 *           to        its new start: a multiple of the quantum
 *  Out:     conflict  on KVA_EEXIST, as for kva_reserve; may be NULL
 *  Returns: KVA_OK (also when the segment is there already)
 *           KVA_EEXIST     another busy segment overlaps the new place. Where only deferred segments are in
 *                          the way, they are flushed
 *           KVA_ENOMEM     no node memory; cannot happen after kva_preload. (With pools, a drain may take
 *                          preloaded memory; if it finds none, this may be returned instead of KVA_EEXIST)
 *           KVA_EALIGN     to is not a multiple of the quantum
 *           KVA_EWRAP      the new end passes 2^64 - 1
 *           KVA_ERANGE     part of the new place lies outside the space, or is absent
 *           KVA_ENULL, KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED, KVA_EREENTRY   as kva_free
 *  Cost:    O((d + 1) log n) for d deferred segments in the way. Flushing and draining come on top, as with
 *           kva_reserve
 *  Locking: as kva_reserve. Another thread finds the segment at its old place or at the new one
 *  Failure: nothing has changed, except that KVA_ENOMEM and KVA_EEXIST, and with threads KVA_ERANGE and the
 *           statuses of kva_free (another thread has freed the segment meanwhile), may come after a flush
 */
KVA_API enum kva_status kva_move(struct kva_space *space, uint64_t start, uint64_t to,
                                 struct kva_segment *conflict);

/** Free a busy segment whose size the caller knows.
 *
 *  In/Out:  space
 *  In:      start   the start of a busy segment
 *           size    its size; rounded up to the quantum
 *  Returns: as kva_free, and
 *           KVA_ESIZE   size, rounded up, is not the segment's size
 *  Cost:    O(log n); never takes memory
 *  Locking: Space
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_free_sized(struct kva_space *space, uint64_t start, uint64_t size);

/* ----------------------------------------------------------------------------------------------- walks */

/** Begin an iteration in descending order: the highest segment, of any state.
 *
 *  In:      space
 *  Out:     segment
 *  Returns: KVA_OK, or KVA_ENULL when space or segment is NULL, or the space is not initialised
 *  Cost:    O(log n)
 *  Locking: Query
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_last(const struct kva_space *space, struct kva_segment *segment);

/** Continue in descending order: the segment that now holds the highest address below segment->start,
 *  wherever it begins. Absent ranges are passed over.
 *
 *  In:      space
 *  In/Out:  segment   as the last step returned it
 *  Returns: KVA_OK
 *           KVA_ENOENT   that was the lowest segment
 *           KVA_ENULL    space or segment is NULL, or the space is not initialised
 *  Cost:    O(log n)
 *  Locking: Query
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_prev(const struct kva_space *space, struct kva_segment *segment);

/** Find the lowest free segment of at least a size.
 *
 *      struct kva_segment hole;
 *      enum kva_status status = kva_first_hole(space, 1, &hole);
 *      for (; status == KVA_OK; status = kva_next_hole(space, 1, &hole))
 *          use(&hole);
 *
 *  In:      space
 *           least   the minimum size in bytes; 0 and 1 stand for any
 *  Out:     hole    state KVA_FREE. (A free range in a pool is not a hole)
 *  Returns: KVA_OK
 *           KVA_ENOENT   there is none
 *           KVA_ENULL    space or hole is NULL, or the space is not initialised
 *  Cost:    O(log n), however many shorter ones are passed over
 *  Locking: Space
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_first_hole(struct kva_space *space, uint64_t least, struct kva_segment *hole);

/** Find the next higher free segment of at least a size: the lowest that has `least` bytes above hole->last.
 *  The result is the whole segment: if the space has changed, it may begin at or below hole->last.
 *
 *  In:      space
 *           least   as for kva_first_hole
 *  In/Out:  hole   as the last step returned it; or any segment of the space
 *  Returns, Cost, Locking, Failure: as kva_first_hole
 */
KVA_API enum kva_status kva_next_hole(struct kva_space *space, uint64_t least, struct kva_segment *hole);

/** Find the highest free segment of at least a size.
 *
 *  In, Out, Returns, Cost, Locking, Failure: as kva_first_hole
 */
KVA_API enum kva_status kva_last_hole(struct kva_space *space, uint64_t least, struct kva_segment *hole);

/** Find the next lower free segment of at least a size: the highest that has `least` bytes below hole->start.
 *  The result is the whole segment: if the space has changed, it may end at or above hole->start.
 *
 *  In, In/Out, Returns, Cost, Locking, Failure: as kva_next_hole
 */
KVA_API enum kva_status kva_prev_hole(struct kva_space *space, uint64_t least, struct kva_segment *hole);

/** Begin an iteration over the segments that overlap a range: the lowest of them, whole.
 *
 *      struct kva_segment segment;
 *      for (enum kva_status s = kva_first_in(space, start, last, &segment); s == KVA_OK;
 *           s = kva_next_in(space, last, &segment))
 *          use(&segment);
 *
 *  In:      space
 *           start     any address
 *           last      any address, included
 *  Out:     segment   of any state; it may begin before start and end after last
 *  Returns: KVA_OK
 *           KVA_ENOENT   there is none: start > last, or all of the range lies outside the space or is absent
 *           KVA_ENULL    space or segment is NULL, or the space is not initialised
 *  Cost:    O(log n)
 *  Locking: Query
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_first_in(const struct kva_space *space, uint64_t start, uint64_t last,
                                     struct kva_segment *segment);

/** Continue that iteration: as kva_next, as long as the segment begins at or below `last`.
 *
 *  In:      space
 *           last      as for kva_first_in
 *  In/Out:  segment   as the last step returned it
 *  Returns, Cost, Locking, Failure: as kva_first_in
 */
KVA_API enum kva_status kva_next_in(const struct kva_space *space, uint64_t last,
                                    struct kva_segment *segment);

/* --------------------------------------------------------------------------------------------- regions */

/** Add a range to the space: it becomes free. It may lie below the space, above it, or in an absent range. If
 *  it lies below or above, and does not touch the space, the gap becomes absent.
 *
 *  In/Out:  space
 *  In:      start   a multiple of the quantum
 *           size    1 ..; rounded up to the quantum
 *  Returns: KVA_OK
 *           KVA_EEXIST     part of the range belongs to the space already
 *           KVA_ENOMEM     no node memory
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_ESIZE      size is 0
 *           KVA_EALIGN     start is not a multiple of the quantum
 *           KVA_EWRAP      the end passes 2^64 - 1
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O(log n)
 *  Locking: Space
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_add(struct kva_space *space, uint64_t start, uint64_t size);

/** Remove a free range from the space: it becomes absent. At an end of the space, the outermost region
 *  that is left becomes the new end. If deferred or pooled segments are in the way, they are flushed or
 *  drained first.
 *
 *  In/Out:  space
 *  In:      start, size   as for kva_space_add
 *  Returns: KVA_OK
 *           KVA_EBUSY      part of the range is busy; or nothing would be left of the space
 *           KVA_ERANGE     part of the range lies outside the space, or is absent
 *           KVA_ENOMEM, KVA_ENULL, KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, KVA_EREENTRY   as kva_space_add
 *  Cost:    O((d + 1) log n) for d deferred segments in the range. Flushing and draining come on top
 *  Locking: as kva_reserve
 *  Failure: nothing has changed, except that KVA_EBUSY and KVA_ENOMEM, and with threads KVA_ERANGE, may come
 *           after a flush
 */
KVA_API enum kva_status kva_space_remove(struct kva_space *space, uint64_t start, uint64_t size);

/** Move the ends of a space inwards: remove the ranges below `first` and above `last`, which must be free or
 *  absent.
 *
 *  In/Out:  space
 *  In:      first   the new lowest address: at least the old one, a multiple of the quantum
 *           last    the new highest address: at most the old one; last + 1 a multiple of the quantum
 *  Returns: KVA_OK (also when nothing changes). Where a new end is absent, the space ends with the nearest
 *           region that is left
 *           KVA_EBUSY      part of these ranges is busy; or nothing would be left of the space
 *           KVA_ENOMEM     with pools: no memory to drain them
 *           KVA_EALIGN     first or last + 1 is not a multiple of the quantum
 *           KVA_ERANGE     first > last, or the space would grow at either end
 *           KVA_ENULL, KVA_EREENTRY   as kva_space_add
 *  Cost:    O((d + k + 1) log n) for d deferred segments and k absent ranges in these ranges. Flushing and
 *           draining come on top
 *  Locking, Failure: as kva_space_remove
 */
KVA_API enum kva_status kva_space_shrink(struct kva_space *space, uint64_t first, uint64_t last);

/** Free all busy, deferred and pooled segments. Deferred ones are flushed, as in kva_flush; absent ranges
 *  stay absent. Preloaded memory and registered callbacks stay.
 *
 *  In/Out:  space   all of it is free afterwards
 *  Returns: KVA_OK
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EREENTRY   called from inside a flush or reclaim callback
 *  Cost:    O(n log n); never takes memory
 *  Locking: Sole
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_reset(struct kva_space *space);

#ifdef __cplusplus
}
#endif

#endif
