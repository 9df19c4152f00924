/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Ranges of frames that reach over several blocks: all their blocks are locked, upwards, looked at, and then changed. */
#ifndef KVA_FRAMES_SPAN_H
#define KVA_FRAMES_SPAN_H

#include "frames_change.h"

/** What is to become of a range. */
enum frames_change {
    CHANGE_TAKE, /* free frames become one run */
    CHANGE_HIDE, /* free frames become absent */
    CHANGE_SHOW  /* absent frames become free */
};

/** The part of [first, end) that lies in a block, as positions. */
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

/** What keeps a range from a change: the lowest frame that is in another state than the change begins with. */
struct frames_obstacle {
    uint64_t frame; /* KVA_NO_FRAME: none is */
    bool is_absent;
};

/** Change the range [first, end) of a zone, if all of it is in the state that the change begins with. Returns true; or false,
 *  with the obstacle as it was under the locks, and nothing has changed. `kind` is for CHANGE_TAKE. `counts` counts what
 *  changed sides. */
bool kva_span_change(const struct kva_frames *frames, struct frames_zone *zone, uint64_t first, uint64_t end,
                     enum frames_change change, enum frames_kind kind, struct frames_counts *counts,
                     struct frames_obstacle *obstacle);

/** Find and take a run that no block holds alone, in a zone. With the locks of all CPUs, and no block held. */
bool kva_span_take(const struct kva_frames *frames, struct frames_zone *zone,
                   const struct frames_demand *demand, struct frames_counts *counts, uint64_t *first);

#endif
