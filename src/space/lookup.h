/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Lookups by address: a segment of the tree, or an object of a pool. And the counts of a whole space.
 *
 * LOCK-FREE LOOKUPS (kva_lookup_unlocked) do without the space's lock:
 *
 *      without pools   read the compound count; ask the engine; has the count changed?
 *      with pools      take the current CPU's lock, and look into the directory (span.h)
 *        an object     is it live? read its owner; is it still live?
 *        no span       as without pools; is there still no span?
 *
 * To ask the engine needs its try_lookup, and is repeated once if it fails. If the lookup fails, the caller
 * takes the space's lock.
 *
 * WHY THEY ARE RIGHT
 *
 *   1. The tree and the spans change together, in a COMPOUND change (enter.h). If the compound count is even
 *      before the first read, and the same after the last, no such change overlapped the reads.
 *   2. engine/bt_version.h shows that the engine's segment existed at one moment of the call.
 *   3. A segment that the tree returns is an allocation, not a part of a span, if the directory has no span
 *      there at the same moment. By point 1 the directory had none during all of the reads, and so at the
 *      moment of point 2. A search of a table that has just been replaced finds the same: spans are inserted
 *      and taken out in compound changes only.
 *   4. The place and the size of a live object do not change while its span is in the directory, and the span
 *      stays while the object is live.
 *   5. An allocation writes the owner before it sets `live` (both release). A lookup reads `live`, the owner,
 *      and `live` again (all acquire), and needs `live` set both times. The owner is that of the allocation
 *      that the first read saw, or of a later one. If later, the second read also sees that `live` was
 *      cleared before that owner was written; so it finds `live` set only if that allocation has set it, or
 *      one after it. Either way the owner's allocation was live at a moment of the call. kva_set_owner
 *      exchanges the owner (acquire and release), which keeps this order; while it runs, a lookup returns the
 *      new owner or the old one.
 */
#ifndef KVA_SPACE_LOOKUP_H
#define KVA_SPACE_LOOKUP_H

#include "span.h"

/** The segment that holds `address`, which is inside the space. Requires the space's lock. */
void kva_lookup(const struct kva_space *space, uint64_t address, struct kva_segment *segment);

/** The same; but if that is absent, the next segment above, or below. It exists, because the ends of a space
 *  are not absent; and it is not absent, because no two absent segments touch (engine.h, I3). */
static inline void lookup_upwards(const struct kva_space *space, uint64_t address,
                                  struct kva_segment *segment)
{
    kva_lookup(space, address, segment);
    if (segment->state == KVA_ABSENT)
        kva_lookup(space, segment->last + 1, segment);
}

static inline void lookup_downwards(const struct kva_space *space, uint64_t address,
                                    struct kva_segment *segment)
{
    kva_lookup(space, address, segment);
    if (segment->state == KVA_ABSENT)
        kva_lookup(space, segment->start - 1, segment);
}

/** As kva_lookup, without the space's lock. False if the lookup cannot tell: the address is outside or
 *  absent, its neighbourhood is being changed, it lies in a span but in no live object, or the engine has no
 *  such lookup. */
bool kva_lookup_unlocked(const struct kva_space *space, uint64_t address, struct kva_segment *segment);

/** The demand for a request, as kva_demand_of. Its filter receives the objects of pools beside a hole, not
 *  the segments of the tree that hold them. Requires the space's lock. */
enum kva_status kva_space_demand_of(const struct kva_space *space, const struct kva_request *request,
                                    struct kva_demand *demand, struct kva_bad *bad);

/** The status of kva_free for `start`. KVA_OK if an allocation starts there. */
enum kva_status kva_diagnose_start(const struct kva_space *space, uint64_t start);

/** The engine has no busy segment that starts at `start`: report why, as misuse or as corruption. */
enum kva_status kva_refuse_start(const struct kva_space *space, const char *where, uint64_t start);

/** The number of segments and objects that are deferred in an epoch. */
uint64_t kva_waiting(const struct kva_space *space, unsigned epoch);

/** The bytes of all deferred segments and objects, of which there is one at least; saturated. */
uint64_t kva_deferred_bytes(const struct kva_space *space);

/** The tally of the space, with objects of pools counted by their own states. Requires all locks. */
struct kva_tally kva_whole_tally(const struct kva_space *space, uint64_t *pooled_bytes,
                                 uint64_t *pooled_segments);

/** The bytes of one state, saturated. The tally counts modulo 2^64: 0 bytes in one segment or more are
 *  2^64. */
static inline uint64_t bytes_in(const struct kva_tally *tally, enum kva_state state)
{
    return bytes_saturated(tally->bytes[state], tally->segments[state] > 0);
}

#endif
