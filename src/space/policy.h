/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Policies and filters: which of the starts that fit a demand is taken.
 *
 * An engine finds the lowest or the highest. All else is made of such searches, so it is the same on every
 * engine:
 *
 *      nearest   the highest at or below the target; then the lowest above it that is nearer still
 *
 *                          target
 *                 a <--d-->|                    found below, at distance d
 *                          |<-- d - 1 -->|      only these starts are of interest above
 *
 *      random    the lowest from t on; if there is none, the lowest below t
 *      best      hole by hole, and the smallest is kept; or by the index of holes by size, until one will do
 *      filter    hole by hole, in the direction of the search: ask the filter, and look into what it leaves
 *
 * HOLE BY HOLE needs no more of an engine than a search for `size` bytes anywhere: each place that it finds
 * tells the hole that it lies in, and the next search begins after that hole. So holes that are too short are
 * passed over in O(log n).
 *
 * The same words choose within one hole (kva_policy_in_hole), where an eviction asks whether a hole that
 * would arise will do.
 */
#ifndef KVA_SPACE_POLICY_H
#define KVA_SPACE_POLICY_H

#include "../engine/engine.h"

/** Find the place for a demand by its policy and filter. The engine's cursor is there: the place can be
 *  occupied. KVA_OK, KVA_ENOSPC. */
enum kva_status kva_policy_search(struct kva_address_map *map, const struct kva_demand *demand,
                                  struct kva_place *place);

/** The start that the policy and the filter choose in [start, last], all of one hole, which may be one that
 *  does not exist yet: false when none fits. */
bool kva_policy_in_hole(struct kva_address_map *map, const struct kva_demand *demand, uint64_t start,
                        uint64_t last, uint64_t *at);

#endif
