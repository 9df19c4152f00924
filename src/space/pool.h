/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Pools: small ranges for each CPU, so that a space scales with its threads, and is fast with one.
 *
 *      CPU 0                      CPU 1                      a MAGAZINE for each size of 1 to 256 quanta
 *      | 3 quanta: o o o o |      | 3 quanta: o o |          under the CPU's own lock
 *          |  ^                        |  ^
 *          |  | a batch at a time      |  |                  under the space's lock and the CPU's
 *          v  |                        v  |
 *      SPAN  |ooo|ooo|ooo|ooo| ... |ooo|ooo|rest|            objects of one size, side by side (span.h)
 *
 * A REFILL moves free objects into a magazine, a SPILL moves them back. A DRAIN empties all magazines and
 * gives every free object back to the tree. It precedes KVA_ENOSPC, so pools never cause it.
 *
 * EXACTNESS. A drain holds the space's lock and those of all CPUs until the request has been attempted again:
 * if that fails, there was no room at a moment at which all locks were held. If the drain dropped one CPU's
 * lock before it took the next, a range could be freed on the first CPU and another allocated on the second:
 * at each moment one of them is free, but the drain finds neither.
 *
 * MEMORY. A CPU's magazine is made when it is first filled. A refill without memory leaves the request to the
 * tree. Freeing never takes memory: without a magazine, the object goes to its span; if the magazine is full,
 * or the CPU holds its share, other objects go to theirs.
 *
 * docs/theory/pools.md draws the states and paths of an object, and measures what they cost.
 *
 * SOURCE. Magazines, and caches for small multiples of a quantum: J. Bonwick and J. Adams, "Magazines and
 * Vmem", 2001. Batches: S. Ghemawat and P. Menage, TCMalloc. docs/theory/pools.md has the differences. The
 * code was written afresh.
 */
#ifndef KVA_SPACE_POOL_H
#define KVA_SPACE_POOL_H

#include "lookup.h"

/** Make a pool for each CPU. KVA_OK, also without pools: the configuration wants none, or the space is too
 *  small; KVA_ENOMEM. */
enum kva_status kva_pools_create(struct kva_space *space, const struct kva_config *config);

/** The span size of a space, in quanta; 0: no pools. */
uint32_t kva_pools_span_quanta(const struct kva_config *config);

/** Serve a request from the pools; false if they do not serve requests of its kind, or have no object. */
bool kva_pool_alloc(struct kva_space *space, const struct kva_request *request, uint64_t *start);

/** Free the live object that starts at `start`; false if there is none. */
bool kva_pool_free(struct kva_space *space, uint64_t start);

/** Free a live object to its span, past the magazines; false if it is not live. Takes no memory. Requires the
 *  space's lock. */
bool kva_pool_free_to_span(struct kva_space *space, const struct kva_object *object);

/** Set the owner of a live object; false if it is not live. Requires the space's lock. */
bool kva_pool_set_owner(const struct kva_space *space, const struct kva_object *object, void *owner);

/** Defer a live object in the present epoch; false if it is not live. Requires the space's lock. */
bool kva_pool_defer(struct kva_space *space, const struct kva_object *object);

/** Move the live objects in [start, last] to the tree, which no caller can observe. The pools have no other
 *  objects there. KVA_OK; or KVA_EDOUBLE, KVA_ENOMEM of kva_span_move_to_tree, after which some may have
 *  moved. */
enum kva_status kva_pools_leave(struct kva_space *space, uint64_t start, uint64_t last);

/** Free `most` objects that are deferred in an epoch, or all if there are fewer. */
void kva_pools_free_deferred(struct kva_space *space, unsigned epoch, uint64_t most);

/** Whether a drain would give anything back to the tree. O(CPUs). Requires the space's lock. */
bool kva_pools_hold_some(const struct kva_space *space);

/** Drain the pools and attempt an operation, under all CPUs' locks. Returns the attempt's status; KVA_ENOMEM
 *  instead of KVA_ENOSPC if there was no memory to drain everything. Requires the space's lock. */
enum kva_status kva_attempt_drained(struct kva_space *space, kva_attempt *attempt, void *operation);

/** Empty the magazines, and give wholly free spans back to the tree. Requires the space's lock. */
void kva_pools_give_back(struct kva_space *space);

#endif
