/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Evacuation for a request that no block can serve. */
#ifndef KVA_FRAMES_EVACUATE_H
#define KVA_FRAMES_EVACUATE_H

#include "frames_set.h"

/** Move frames out of the way of a demand that found no room and exceeds a block, and take the run. Returns
 *  false if that did not help, or was not tried. */
bool kva_evacuate_for(const struct kva_frames *frames, const struct frames_demand *demand, uint64_t *first);

#endif
