/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Give a run back, for the set itself; and the first steps of other changes of a run by its first frame. */
#ifndef KVA_FRAMES_GIVE_H
#define KVA_FRAMES_GIVE_H

#include "frames_set.h"

/** Give back the run that begins with a frame. Returns what kva_frames_free returns, but reports no
 *  misuse. */
enum kva_status kva_give_run(const struct kva_frames *frames, uint64_t first);

/** What a free of a frame in a locked block returns, by the state of the frame alone. */
static inline enum kva_status state_status(const struct frames_word *words, uint64_t h, uint32_t position)
{
    uint64_t bit = UINT64_C(1) << position % 64;
    const struct frames_word *word = &words[position / 64];

    if (whole_of(h) != WHOLE_NOT)
        return position == 0 && whole_of(h) == WHOLE_FIRST ? KVA_OK : KVA_EINTERIOR;
    if (word->taken & bit)
        return word->first & bit ? KVA_OK : KVA_EINTERIOR;
    return word->first & bit ? KVA_EUNKNOWN : KVA_EDOUBLE;
}

/** The end, in its block, of the run that a position is part of. */
static inline uint32_t end_in_block(const struct kva_frames *frames, const struct frames_word *words,
                                    uint64_t h, uint32_t position)
{
    return whole_of(h) != WHOLE_NOT ? frames->size : end_of_inside(words, position + 1, frames->size);
}

/** Lock the other blocks of a run that begins at a position of a locked block. Returns the last one, and
 *  where the run ends in it. */
static inline uint32_t lock_rest(const struct kva_frames *frames, const struct frames_zone *zone,
                                 uint32_t block, uint32_t position, uint32_t *end)
{
    uint64_t h = block_header(&zone->headers[block]);

    *end = end_in_block(frames, words_of(frames, zone, block), h, position);
    while (*end == frames->size && (h & CONT_MASK)) {
        h = lock_block(frames, zone, ++block);
        *end = whole_of(h) != WHOLE_NOT ? frames->size
                                        : end_of_inside(words_of(frames, zone, block), 0, frames->size);
    }
    return block;
}

#endif
