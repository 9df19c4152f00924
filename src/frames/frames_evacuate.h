/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Evacuation for a request that no block can serve. */
#ifndef KVA_FRAMES_EVACUATE_H
#define KVA_FRAMES_EVACUATE_H

#include "frames_set.h"

/** Move frames out of the way of a demand for more than a block that failed, and take the run. False if that did not help, or is
 *  not tried. */
bool kva_evacuate_for(const struct kva_frames *frames, const struct frames_demand *demand, uint64_t *first);

#endif
