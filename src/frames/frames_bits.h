/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The states of a block's frames as bits: find room, mark a run, clear one. Positions count from the block's
 * first frame; ranges are [from, end). Nothing here reads headers: spread_whole (frames_change.h) must have
 * written out the states of a WHOLE block.
 *
 * GROUPS. A group of order j is 2^j frames at a multiple of 2^j. Groups of up to 64 frames lie in one word.
 * To find the free ones, halves are joined j times, which leaves a bit at the first frame of each free group
 * of order j:
 *
 *      order 0   1 0 1 1 1 1 1 1      free frames
 *      order 1   0 . 1 . 1 . 1 .      both frames of the pair
 *      order 2   0 . . . 1 . . .      both pairs
 */
#ifndef KVA_FRAMES_BITS_H
#define KVA_FRAMES_BITS_H

#include "../base/bits.h"
#include "frames_block.h"

static inline uint64_t free_bits(const struct frames_word *word)
{
    return ~(word->taken | word->first);
}

static inline uint64_t inside_bits(const struct frames_word *word)
{
    return word->taken & ~word->first;
}

static inline uint64_t absent_bits(const struct frames_word *word)
{
    return ~word->taken & word->first;
}

/** Bits [from, from + count) of a word; count is 1 .. 64 - from. */
static inline uint64_t word_mask(uint32_t from, uint32_t count)
{
    return (UINT64_MAX >> (64 - count)) << from;
}

/** The first frames of the free groups of an order, 0 .. 6. */
static inline uint64_t groups_in_word(uint64_t free, unsigned order)
{
    static const uint64_t firsts[] = {
        UINT64_C(0x5555555555555555), UINT64_C(0x1111111111111111), UINT64_C(0x0101010101010101),
        UINT64_C(0x0001000100010001), UINT64_C(0x0000000100000001), UINT64_C(1),
    };

    for (unsigned half = 0; half < order; half++)
        free &= free >> (1u << half) & firsts[half];
    return free;
}

/** Whether words [from, end) are all free. */
static inline bool words_are_free(const struct frames_word *words, uint32_t from, uint32_t end)
{
    while (from < end && (words[from].taken | words[from].first) == 0)
        from++;
    return from == end;
}

/** Whether the group of an order that holds a position is free. */
static inline bool group_is_free(const struct frames_word *words, uint32_t position, unsigned order)
{
    if (order < 6) {
        uint32_t size = UINT32_C(1) << order;
        uint64_t mask = word_mask((position & 63) & ~(size - 1), size);
        return (free_bits(&words[position / 64]) & mask) == mask;
    }
    uint32_t size = UINT32_C(1) << (order - 6);
    uint32_t from = position / 64 & ~(size - 1);
    return free_bits(&words[position / 64]) == UINT64_MAX && words_are_free(words, from, from + size);
}

/** The first position of a free group in words [from, count), or `none`. */
static inline uint32_t find_group(const struct frames_word *words, uint32_t from, uint32_t count,
                                  unsigned order, uint32_t none)
{
    if (order <= 6) {
        for (uint32_t w = from; w < count; w++) {
            uint64_t groups = groups_in_word(free_bits(&words[w]), order);
            if (groups != 0)
                return w * 64 + lowest_bit(groups);
        }
        return none;
    }
    uint32_t size = UINT32_C(1) << (order - 6);
    for (uint32_t w = from & ~(size - 1); w < count; w += size) {
        if (words_are_free(words, w, w + size))
            return w * 64;
    }
    return none;
}

/** The bits of word w that lie in [from, end): bits_of_word in 32 bits, for shorter code in the loops
 *  below. */
static inline uint64_t bits_within(uint32_t w, uint32_t from, uint32_t end)
{
    uint64_t mask = UINT64_MAX;

    if (from > w * 64)
        mask &= UINT64_MAX << (from - w * 64);
    if (end < w * 64 + 64)
        mask &= ~(UINT64_MAX << (end - w * 64));
    return mask;
}

/** The first free frame of [from, end), or `end`. */
static inline uint32_t next_free(const struct frames_word *words, uint32_t from, uint32_t end)
{
    for (uint32_t w = from / 64; w * 64 < end; w++) {
        uint64_t free = free_bits(&words[w]) & bits_within(w, from, end);
        if (free != 0)
            return w * 64 + lowest_bit(free);
    }
    return end;
}

/** The first frame of [from, end) that begins a run, or `end`. */
static inline uint32_t next_first(const struct frames_word *words, uint32_t from, uint32_t end)
{
    for (uint32_t w = from / 64; w * 64 < end; w++) {
        uint64_t firsts = words[w].taken & words[w].first & bits_within(w, from, end);
        if (firsts != 0)
            return w * 64 + lowest_bit(firsts);
    }
    return end;
}

/** The end of a run that goes on at `from`: the first frame of [from, end) that is not inside, or `end`. */
static inline uint32_t end_of_inside(const struct frames_word *words, uint32_t from, uint32_t end)
{
    for (uint32_t w = from / 64; w * 64 < end; w++) {
        uint64_t others = ~inside_bits(&words[w]) & bits_within(w, from, end);
        if (others != 0)
            return w * 64 + lowest_bit(others);
    }
    return end;
}

/** The beginning of the run that holds a frame: the last first frame up to it; 0 if this block has none. */
static inline uint32_t begin_of_run(const struct frames_word *words, uint32_t position)
{
    for (uint32_t w = position / 64 + 1; w-- > 0;) {
        uint64_t firsts = words[w].taken & words[w].first & bits_within(w, 0, position + 1);
        if (firsts != 0)
            return w * 64 + highest_bit(firsts);
    }
    return 0;
}

/** The frames that are not free, or not absent. */
static inline uint64_t others_than(const struct frames_word *word, bool is_free)
{
    return ~(is_free ? free_bits(word) : absent_bits(word));
}

/** The end of the free, or absent, frames that begin at `from`. */
static inline uint32_t end_of_state(const struct frames_word *words, uint32_t from, uint32_t end,
                                    bool is_free)
{
    for (uint32_t w = from / 64; w * 64 < end; w++) {
        uint64_t others = others_than(&words[w], is_free) & bits_within(w, from, end);
        if (others != 0)
            return w * 64 + lowest_bit(others);
    }
    return end;
}

/** The beginning of the free, or absent, frames that end at `end`; `end` if there are none. */
static inline uint32_t begin_of_state(const struct frames_word *words, uint32_t end, bool is_free)
{
    for (uint32_t w = (end + 63) / 64; w-- > 0;) {
        uint64_t others = others_than(&words[w], is_free) & bits_within(w, 0, end);
        if (others != 0)
            return w * 64 + highest_bit(others) + 1;
    }
    return 0;
}

/** Set [from, end) to one state. */
static inline void set_states(struct frames_word *words, uint32_t from, uint32_t end, bool taken, bool first)
{
    for (uint32_t w = from / 64; w * 64 < end; w++) {
        uint64_t mask = bits_within(w, from, end);
        words[w].taken = taken ? words[w].taken | mask : words[w].taken & ~mask;
        words[w].first = first ? words[w].first | mask : words[w].first & ~mask;
    }
}

/** Mark a run, or the part of one that lies in this block. */
static inline void mark_run(struct frames_word *words, uint32_t from, uint32_t end, bool begins)
{
    set_states(words, from, end, true, false);
    if (begins)
        words[from / 64].first |= UINT64_C(1) << from % 64;
}

/** Mark words [from, end) as one run. */
static inline void mark_words(struct frames_word *words, uint32_t from, uint32_t end)
{
    for (uint32_t w = from; w < end; w++)
        words[w] = (struct frames_word){UINT64_MAX, w == from};
}

#endif
