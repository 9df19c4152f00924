/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Dividing a run into single frames: each frame of it becomes a run.
 *
 *      taken   | . . . 1 1 1 1 1 | 1 1 1 1 1 1 1 1 | 1 1 1 . . . . . |
 *      first   | . . . 1 . . . . | . . . . . . . . | . . . . . . . . |     before
 *              | . . . 1 1 1 1 1 | 1 1 1 1 1 1 1 1 | 1 1 1 . . . . . |     after
 *                CONT              WHOLE, CONT                             before; none after
 *
 * Counts, bounds and rows of the blocks do not change, because nothing becomes free.
 */
#include "frames_give.h"
#include "frames_isolate.h"

/** Whether the run that begins with a frame of a locked block may be divided. */
static enum kva_status split_status(const struct kva_frames *frames, const struct frames_word *words,
                                    uint64_t h, uint64_t first)
{
    enum kva_status status = state_status(words, h, position_of(frames, first));

    if (status != KVA_OK || !(h & MOVING_MASK))
        return status;
    const struct frames_move *move = kva_find_isolated(frames, first, first + 1);
    if (!move)
        return KVA_OK;
    return move->is_given ? KVA_EDOUBLE : KVA_EBUSY;
}

/** Divide the part [from, end) of a run that lies in a locked block. Returns the changed header. */
static uint64_t split_part(const struct kva_frames *frames, struct frames_word *words, uint64_t h,
                           uint32_t from, uint32_t end)
{
    h = spread_whole(frames, words, h);
    set_states(words, from, end, true, true);
    return end == frames->size ? h & ~CONT_MASK : h;
}

/** Divide the run that begins with a frame of a locked block, and drop the lock. */
static void split_run(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block,
                      uint32_t position)
{
    uint32_t end;
    uint32_t last = lock_rest(frames, zone, block, position, &end);

    for (uint32_t b = block; b <= last; b++) {
        uint64_t h = split_part(frames, words_of(frames, zone, b), block_header(&zone->headers[b]),
                                b == block ? position : 0, b == last ? end : frames->size);
        block_keep(&zone->headers[b], h);
    }
    unlock_blocks(frames, zone, block, last);
}

enum kva_status kva_frames_split(struct kva_frames *frames, uint64_t first)
{
    if (!frames)
        return KVA_ENULL;
    struct frames_zone *zone = zone_of(frames, first);
    if (!zone)
        return refuse(frames, KVA_EUNKNOWN, __func__, first, "first");
    uint32_t block = block_of(frames, zone, first);
    uint64_t h = lock_block(frames, zone, block);
    enum kva_status status = split_status(frames, words_of(frames, zone, block), h, first);
    if (status == KVA_OK) {
        split_run(frames, zone, block, position_of(frames, first));
        return KVA_OK;
    }
    unlock_block(frames, zone, block, h);
    return status == KVA_EBUSY ? status : refuse(frames, status, __func__, first, "first");
}
