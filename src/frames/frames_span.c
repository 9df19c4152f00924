/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Ranges over several blocks.
 *
 * A RUN OVER SEVERAL BLOCKS crosses the border of two blocks at least: the last frame of the one and the
 * first frame of the other are free. The search goes from border to border, by the row of blocks whose last
 * frame is free, and follows the free frames from there to both sides:
 *
 *      | used ## | free          |    free       | free    ### |
 *                ^ tail of b       b + 1, empty    ^ head of b + 2
 *                |------------ one free range ------------|
 */
#include "frames_span.h"

/** The first position of [from, end) that is not in the state that a change begins with; `end` if all are. */
static uint32_t find_obstacle(const struct frames_word *words, uint64_t h, uint32_t from, uint32_t end,
                              enum frames_change change)
{
    if (whole_of(h) != WHOLE_NOT)
        return from;
    return end_of_state(words, from, end, change != CHANGE_SHOW);
}

static struct frames_obstacle find_obstacle_in_range(const struct kva_frames *frames,
                                                     const struct frames_zone *zone, uint64_t first,
                                                     uint64_t end, enum frames_change change)
{
    uint32_t last = block_of(frames, zone, end - 1);

    for (uint32_t block = block_of(frames, zone, first); block <= last; block++) {
        const struct frames_word *words = words_of(frames, zone, block);
        uint64_t h = block_header(&zone->headers[block]);
        uint32_t until = part_end(frames, zone, block, end);
        uint32_t position = find_obstacle(words, h, part_from(frames, zone, block, first), until, change);
        if (position < until)
            return (struct frames_obstacle){first_frame(frames, zone, block) + position,
                                            state_at(words, h, position) == KVA_FRAMES_ABSENT};
    }
    return (struct frames_obstacle){.frame = KVA_NO_FRAME};
}

/** Change the part of a range that lies in one locked block, which stays locked. */
static void change_block(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block,
                         uint64_t first, uint64_t end, enum frames_change change, enum frames_kind kind,
                         struct frames_counts *counts)
{
    struct frames_word *words = words_of(frames, zone, block);
    uint64_t before = block_header(&zone->headers[block]);
    uint32_t from = part_from(frames, zone, block, first);
    uint32_t until = part_end(frames, zone, block, end);
    uint64_t begin = first_frame(frames, zone, block);
    uint64_t h = before;

    if (change == CHANGE_TAKE) {
        if (is_held(h) &&
            kind_of(h) != kind) /* its CPU holds an empty block, or one that is about to change its kind */
            h = without_holder(frames, words, h);
        h = join_kinds(h, kind, counts);
        h = take_frames(frames, words, h, from, until, begin + from == first, begin + until < end);
    } else if (change == CHANGE_HIDE) {
        h = hide_frames(frames, words, h, from, until);
    } else {
        h = show_frames(frames, words, h, from, until);
    }
    prepare_block(frames, zone, block, before, h);
}

bool kva_span_change(const struct kva_frames *frames, struct frames_zone *zone, uint64_t first, uint64_t end,
                     enum frames_change change, enum frames_kind kind, struct frames_counts *counts,
                     struct frames_obstacle *obstacle)
{
    uint32_t from = block_of(frames, zone, first);
    uint32_t last = block_of(frames, zone, end - 1);
    uint64_t strayed = counts->strayed;

    for (uint32_t block = from; block <= last; block++)
        (void)lock_block(frames, zone, block);
    *obstacle = find_obstacle_in_range(frames, zone, first, end, change);
    for (uint32_t block = from; block <= last && obstacle->frame == KVA_NO_FRAME; block++)
        change_block(frames, zone, block, first, end, change, kind, counts);
    if (counts->strayed > strayed) /* one run counts once, however many blocks it has */
        counts->strayed = strayed + 1;
    unlock_blocks(frames, zone, from, last);
    return obstacle->frame == KVA_NO_FRAME;
}

/* ------------------------------------------------------------------------------------------ the search */

/** The first of the free frames at the end of a block; the frame after the block if its last one is in
 *  use. */
static uint64_t begin_of_tail(const struct kva_frames *frames, const struct frames_zone *zone, uint32_t block)
{
    uint64_t h = lock_block(frames, zone, block);
    uint32_t position = whole_of(h) == WHOLE_NOT
                            ? begin_of_state(words_of(frames, zone, block), frames->size, true)
                            : frames->size;

    unlock_block(frames, zone, block, h);
    return first_frame(frames, zone, block) + position;
}

/** The frame after the free ones at the beginning of a block. */
static uint64_t end_of_head(const struct kva_frames *frames, const struct frames_zone *zone, uint32_t block)
{
    uint64_t h = lock_block(frames, zone, block);
    uint32_t position =
        whole_of(h) == WHOLE_NOT ? end_of_state(words_of(frames, zone, block), 0, frames->size, true) : 0;

    unlock_block(frames, zone, block, h);
    return first_frame(frames, zone, block) + position;
}

/** Where the demand fits into the free frames [from, end); KVA_NO_FRAME if nowhere. */
static uint64_t place_in_free(const struct frames_demand *demand, uint64_t from, uint64_t end)
{
    uint64_t place;

    from = max_u64(from, demand->min);
    if (demand->last < end)
        end = demand->last + 1;
    if (!align_up(from, demand->align, &place) || place > end || end - place < demand->count)
        return KVA_NO_FRAME;
    return place;
}

bool kva_span_take(const struct kva_frames *frames, struct frames_zone *zone,
                   const struct frames_demand *demand, struct frames_counts *counts, uint64_t *first)
{
    uint32_t block = block_of(frames, zone, max_u64(demand->min, zone->start));
    uint32_t last = block_of(frames, zone, min_u64(demand->last, zone->end - 1));

    while ((block = row_next(&zone->rows, ROW_TAIL, block, last + 1)) <= last) {
        uint64_t from = begin_of_tail(frames, zone, block);
        uint64_t end = first_frame(frames, zone, block) + frames->size;
        uint64_t place = place_in_free(demand, from, end);
        /* Follow the free frames upwards until the run fits, or a block is not free to its end. */
        while (place == KVA_NO_FRAME && block < last &&
               end == first_frame(frames, zone, block) + frames->size) {
            block++;
            end = end_of_head(frames, zone, block);
            place = place_in_free(demand, from, end);
        }
        struct frames_obstacle obstacle;
        if (place != KVA_NO_FRAME && kva_span_change(frames, zone, place, place + demand->count, CHANGE_TAKE,
                                                     demand->kind, counts, &obstacle)) {
            *first = place;
            return true;
        }
        /* A block that is free at its beginning only may be free at its end as well. */
        block += end == first_frame(frames, zone, block) + frames->size;
    }
    return false;
}
