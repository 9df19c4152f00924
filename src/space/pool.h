/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Pools: what makes a space that many threads share scale, and a space that one thread uses fast.
 *
 *      CPU 0                      CPU 1                      a MAGAZINE for each size of 1 to 256 quanta
 *      | 3 quanta: o o o o |      | 3 quanta: o o |          under the CPU's own lock
 *          |  ^                        |  ^
 *          |  | a batch at a time      |  |                  under the space's lock and the CPU's
 *          v  |                        v  |
 *      SPAN  |ooo|ooo|ooo|ooo| ... |ooo|ooo|rest|            objects of one size, side by side (span.h)
 *
 * A refill moves free objects into a magazine, a spill moves them back; a DRAIN empties all magazines and
 * gives every free object back to the tree. It comes before "no space" is returned: so a request fails with
 * pools only when it would without them.
 *
 * EXACTNESS. A drain holds the space's lock and those of all CPUs until the request has been tried again: if
 * it fails, then there was no room at a moment when all were held. If the drain let go of one CPU before it
 * looked at the next, a range could be given back here and another taken there: one free at each moment, and
 * none seen.
 *
 * MEMORY. Magazines are made when a CPU first fills one. A refill that finds no memory leaves the request to
 * the tree. Giving back never takes memory: where there is no magazine, the object goes to its span; where
 * it is full, or the CPU holds all that it may, others go to theirs.
 *
 * docs/theory/pools.md draws the states and paths of an object, and measures what they cost.
 */
#ifndef KVA_SPACE_POOL_H
#define KVA_SPACE_POOL_H

#include "lookup.h"

/** How many CPUs' pools there are to be, and how much they may hold. KVA_OK (perhaps without pools: too small
 *  a space), KVA_ENOMEM. */
enum kva_status kva_pools_create(struct kva_space *space, const struct kva_config *config);

/** The span size, in quanta, of a space: 0 when it is too small for pools. */
uint32_t kva_pools_span_quanta(const struct kva_config *config);

/** Serve a request from the pools, if it is of their kind and there is something. */
bool kva_pool_alloc(struct kva_space *space, const struct kva_request *request, uint64_t *start);

/** Give a live object back: true if there was one that starts there. */
bool kva_pool_free(struct kva_space *space, uint64_t start);

/** A live object is given back to its span, past the magazines: false if it was not live. Takes no memory.
 *  With the space's lock. */
bool kva_pool_release(struct kva_space *space, const struct kva_object *object);

/** A live object gets another owner: false if it was not live. With the space's lock. */
bool kva_pool_set_owner(const struct kva_space *space, const struct kva_object *object, void *owner);

/** A live object is deferred, in the present epoch: false if it was not live. With the space's lock. */
bool kva_pool_defer(struct kva_space *space, const struct kva_object *object);

/** The live objects in [start, last], all that pools have there, become ordinary segments: no caller can
 *  tell. KVA_OK; or KVA_EDOUBLE, KVA_ENOMEM as of kva_span_move_to_tree, when some may have become ordinary
 *  already. */
enum kva_status kva_pools_leave(struct kva_space *space, uint64_t start, uint64_t last);

/** Deferred objects of an epoch become free: `most` of them, or all if they are fewer. */
void kva_pools_free_deferred(struct kva_space *space, unsigned epoch, uint64_t most);

/** Whether a drain would give something back to the tree. O(CPUs). With the space's lock. */
bool kva_pools_hold_some(const struct kva_space *space);

/** Give back to the tree all that pools hold, and attempt it then and there: the attempt's status; KVA_ENOMEM
 *  instead of KVA_ENOSPC if there was no memory to give all of it back. With the space's lock. */
enum kva_status kva_attempt_drained(struct kva_space *space, kva_attempt *attempt, void *operation);

/** Give back to the tree what the pools hold and do not need. With the space's lock. */
void kva_pools_give_back(struct kva_space *space);

#endif
