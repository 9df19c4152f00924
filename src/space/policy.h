/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Policies and filters: which of the starts that satisfy a demand is taken. docs/theory/policies.md has the
 * proofs.
 *
 * An engine finds the lowest or the highest. All other policies consist of such searches, so they are the
 * same on every engine:
 *
 *      nearest   the highest at or below the target; then the lowest above it that is nearer
 *
 *                          target
 *                 a <--d-->|                    found below, at distance d
 *                          |<-- d - 1 -->|      only these starts are of interest above
 *
 *      random    the lowest from t on; if there is none, the lowest below t
 *      best      hole by hole, keeping the smallest; or by the index by size, until one fits
 *      filter    hole by hole, in the direction of the search: call the filter, and search what it leaves
 *
 * HOLE BY HOLE. A search for `size` bytes anywhere returns a place and its hole, and the next search begins
 * after that hole. So the engine skips short holes in O(log n).
 *
 * The policies also choose within one hole (kva_policy_in_hole): an eviction asks for a hole that would
 * arise.
 *
 * SOURCE. Random: the upper half of a product as an unbiased index is D. Lemire's, "Fast random integer
 * generation in an interval", 2019.
 */
#ifndef KVA_SPACE_POLICY_H
#define KVA_SPACE_POLICY_H

#include "../engine/engine.h"

/** Find the place for a demand by its policy and filter. The engine can occupy it. KVA_OK, KVA_ENOSPC. */
enum kva_status kva_policy_search(struct kva_address_map *map, const struct kva_demand *demand,
                                  struct kva_place *place);

/** The start that the policy and the filter choose in [start, last], all of one hole, which need not exist
 *  yet. False if none fits. */
bool kva_policy_in_hole(struct kva_address_map *map, const struct kva_demand *demand, uint64_t start,
                        uint64_t last, uint64_t *at);

#endif
