/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What is at an address: a segment of the tree, or an object of a pool. And what the space holds in all.
 *
 * WITHOUT THE LOCK, where the engine can (kva_engine.try_lookup). A lookup reads the compound count, asks the
 * engine, and finds no span there; if the count has not changed, all of that was true at one moment. After
 * two failures the caller takes the lock.
 */
#ifndef KVA_SPACE_LOOKUP_H
#define KVA_SPACE_LOOKUP_H

#include "span.h"

/** The segment that holds `address`, which is inside the space. With the space's lock. */
void kva_lookup(const struct kva_space *space, uint64_t address, struct kva_segment *segment);

/** The same; but where that is absent, what comes after it, or before it. There is something, as the space's
 *  ends are never absent; and it is not absent, as no two absent segments touch (engine.h, I3). */
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

/** As kva_lookup, without the space's lock. False if that cannot be told: the address is outside, or absent,
 *  its neighbourhood was being changed, it is an object that is not live, or the engine has no such
 *  lookup. */
bool kva_lookup_unlocked(const struct kva_space *space, uint64_t address, struct kva_segment *segment);

/** The demand of a request, as kva_demand_of; its filter is told objects of pools beside a hole, not the
 *  spans that they lie in. With the space's lock. */
enum kva_status kva_space_demand_of(const struct kva_space *space, const struct kva_request *request,
                                    struct kva_demand *demand, struct kva_bad *bad);

/** Why no busy segment starts at `start`: one of kva_free's statuses; KVA_OK if one does. */
enum kva_status kva_diagnose_start(const struct kva_space *space, uint64_t start);

/** The engine knows no busy segment that starts at `start`: report why, to one hook or the other. */
enum kva_status kva_refuse_start(const struct kva_space *space, const char *where, uint64_t start);

/** How many segments and objects are deferred in an epoch. */
uint64_t kva_waiting(const struct kva_space *space, unsigned epoch);

/** The bytes of all that is deferred, saturated. */
uint64_t kva_deferred_bytes(const struct kva_space *space);

/** What the space holds, objects of pools told by what they are. With all locks held. */
struct kva_tally kva_whole_tally(const struct kva_space *space, uint64_t *pooled_bytes,
                                 uint64_t *pooled_segments);

/** The bytes of one state, saturated: the tally counts modulo 2^64, where 0 bytes in some segments can only
 *  be all 2^64. */
static inline uint64_t bytes_in(const struct kva_tally *tally, enum kva_state state)
{
    return bytes_saturated(tally->bytes[state], tally->segments[state] > 0);
}

#endif
