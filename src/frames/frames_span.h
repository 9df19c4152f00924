/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Ranges of frames over several blocks: all their blocks are locked, upwards, checked, and then changed. */
#ifndef KVA_FRAMES_SPAN_H
#define KVA_FRAMES_SPAN_H

#include "frames_change.h"

/** The change of a range. */
enum frames_change {
    CHANGE_TAKE, /* free frames become one run */
    CHANGE_HIDE, /* free frames become absent */
    CHANGE_SHOW  /* absent frames become free */
};

/** The part of [first, end) that lies in a block: its positions [part_from, part_end). */
static inline uint32_t part_from(const struct kva_frames *frames, const struct frames_zone *zone,
                                 uint32_t block, uint64_t first)
{
    uint64_t begin = first_frame(frames, zone, block);

    return first > begin ? (uint32_t)(first - begin) : 0;
}

static inline uint32_t part_end(const struct kva_frames *frames, const struct frames_zone *zone,
                                uint32_t block, uint64_t end)
{
    return (uint32_t)min_u64(frames->size, end - first_frame(frames, zone, block));
}

/** What prevents a change of a range: the lowest frame that is not in the state that the change begins
 *  with. */
struct frames_obstacle {
    uint64_t frame; /* KVA_NO_FRAME: there is none */
    bool is_absent;
};

/** Change the range [first, end) of a zone, if all of it is in the state that the change begins with. Returns
 *  false, with the obstacle as it was under the locks, if nothing has changed. `kind` is for CHANGE_TAKE.
 *  `counts` counts mixed kinds. */
bool kva_span_change(const struct kva_frames *frames, struct frames_zone *zone, uint64_t first, uint64_t end,
                     enum frames_change change, enum frames_kind kind, struct frames_counts *counts,
                     struct frames_obstacle *obstacle);

/** Find and take a run over several blocks of a zone. The caller has the locks of all CPUs, and no block is
 *  held. */
bool kva_span_take(const struct kva_frames *frames, struct frames_zone *zone,
                   const struct frames_demand *demand, struct frames_counts *counts, uint64_t *first);

#endif
