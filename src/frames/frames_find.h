/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Find room for a run: in one block, in the blocks of a zone, in all zones. */
#ifndef KVA_FRAMES_FIND_H
#define KVA_FRAMES_FIND_H

#include "frames_change.h"

/** The largest order of which each run of `count` frames at a multiple of align contains a group. */
static inline unsigned least_group(uint64_t count, uint64_t align)
{
    unsigned anywhere = highest_bit((count - 1) / 2 + 1); /* floor(log2((count + 1) / 2)) */
    unsigned aligned = highest_bit(align < count ? align : count);

    return aligned > anywhere ? aligned : anywhere;
}

/** The size class of requests for groups of an order. */
static inline unsigned class_of_order(const struct kva_frames *frames, unsigned order)
{
    if (order >= frames->order)
        return CLASS_BLOCK;
    return order < 3 ? 0 : order < 6 ? 1 : 2;
}

/** Where a run of `count` frames at a multiple of align fits into the free frames of [from, end); `end` if
 *  nowhere. `begin` is the number of the block's first frame. */
static inline uint32_t find_run(const struct frames_word *words, uint64_t begin, uint32_t from, uint32_t end,
                                uint64_t count, uint64_t align)
{
    while (end > from && end - from >= count) {
        uint64_t place;
        from = next_free(words, from, end);
        if (!align_up(begin + from, align, &place) || place - begin >= end || end - (place - begin) < count)
            return end;
        from = (uint32_t)(place - begin);
        uint32_t until = end_of_state(words, from, from + (uint32_t)count, true);
        if (until == from + count)
            return from;
        from = until;
    }
    return end;
}

/** The first position of a free group of an order; `size` if there is none. */
static inline uint32_t find_free_group(const struct kva_frames *frames, const struct frames_word *words,
                                       uint64_t h, unsigned order)
{
    if (order == frames->order)
        return free_of(h) == frames->size ? 0 : frames->size;
    return find_group(words, hint_of(h) << frames->hint_shift, frames->words, order, frames->size);
}

/** Fill in the fields that follow from a demand's count and align. */
void kva_shape_demand(const struct kva_frames *frames, struct frames_demand *demand);

/** Find and take a run, in any zone that the demand allows, and fill the CPU's slots. Takes the lock of the
 *  CPU and, if it finds nothing, those of all CPUs. */
enum kva_status kva_find_and_take(const struct kva_frames *frames, const struct frames_demand *demand,
                                  uint64_t *first);

/** Whether a block of a zone that no CPU holds has a free group of an order. */
bool kva_has_group(const struct kva_frames *frames, struct frames_zone *zone, unsigned order);

/** Make all CPUs give up their blocks. Takes the locks of all CPUs. */
void kva_drain(const struct kva_frames *frames);

#endif
