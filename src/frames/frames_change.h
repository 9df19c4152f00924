/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Changes of a block whose lock is held: frames [from, end) are taken, given back, become absent or free.
 * Each function writes the states and returns the changed header, which the caller commits. None can fail.
 */
#ifndef KVA_FRAMES_CHANGE_H
#define KVA_FRAMES_CHANGE_H

#include "frames_set.h"

/** Write out the states of a WHOLE block, before a part of it changes. */
static inline uint64_t spread_whole(const struct kva_frames *frames, struct frames_word *words, uint64_t h)
{
    if (whole_of(h) == WHOLE_NOT)
        return h;
    mark_run(words, 0, frames->size, whole_of(h) == WHOLE_FIRST);
    return h & ~WHOLE_MASK;
}

/** HEAD and TAIL, computed from the states. */
static inline uint64_t ends_of(const struct kva_frames *frames, const struct frames_word *words, uint64_t h)
{
    uint32_t last = frames->size - 1;

    if (whole_of(h) != WHOLE_NOT)
        return 0;
    return (free_bits(&words[0]) & 1) << HEAD_AT | (free_bits(&words[last / 64]) >> last % 64 & 1) << TAIL_AT;
}

static inline uint64_t with_ends(const struct kva_frames *frames, const struct frames_word *words, uint64_t h)
{
    return (h & ~(HEAD_MASK | TAIL_MASK)) | ends_of(frames, words, h);
}

/** Take free frames. `begins`: the run begins with them; `goes_on`: the run goes on in the next block. */
static inline uint64_t take_frames(const struct kva_frames *frames, struct frames_word *words, uint64_t h,
                                   uint32_t from, uint32_t end, bool begins, bool goes_on)
{
    if (end - from == frames->size)
        h |= (uint64_t)(begins ? WHOLE_FIRST : WHOLE_INSIDE) << WHOLE_AT;
    else
        mark_run(words, from, end, begins);
    h = with_taken(h, end - from) | (uint64_t)goes_on << CONT_AT;
    return !is_held(h) && (from == 0 || end == frames->size) ? with_ends(frames, words, h) : h;
}

/** Give a block the kind that it has once a run of the wanted kind lies in it. `counts` counts mixed
 *  kinds. */
static inline uint64_t join_kinds(uint64_t h, enum frames_kind wanted, struct frames_counts *counts)
{
    enum frames_kind kind = kind_of(h);

    if (kind == wanted)
        return h;
    if (kind == KIND_UNMOVABLE) {
        counts->strayed++;
        return h;
    }
    counts->changed += kind == KIND_MOVABLE && used_of(h) > 0;
    return with_kind(h, wanted);
}

/** Whether a free group of an order has frames in [from, end), all of which are free. */
static inline bool makes_group(const struct frames_word *words, uint32_t from, uint32_t end, unsigned order)
{
    uint32_t size = UINT32_C(1) << order;
    uint32_t inside = (from + size - 1) & ~(size - 1);

    return inside + size <= end || group_is_free(words, from, order) || group_is_free(words, end - 1, order);
}

/** The order of the largest free group that has frames in word w, if that is above `top`; else `top`. */
static inline unsigned top_with_word(const struct kva_frames *frames, const struct frames_word *words,
                                     uint32_t w, unsigned top)
{
    uint64_t free = free_bits(&words[w]);
    unsigned most = frames->order < 6 ? frames->order : 6;

    while (top < most && groups_in_word(free, top + 1) != 0)
        top++;
    while (top >= 6 && top < frames->order && group_is_free(words, w * 64, top + 1))
        top++;
    return top;
}

/** The order of the largest free group; 0 if no frame is free. */
static inline unsigned largest_group(const struct kva_frames *frames, const struct frames_word *words)
{
    unsigned top = 0;

    for (uint32_t w = 0; w < frames->words; w++)
        top = top_with_word(frames, words, w, top);
    return top;
}

/** Raise `top` to the largest group that is free now that [from, end) is. */
static inline uint64_t with_larger_top(const struct kva_frames *frames, const struct frames_word *words,
                                       uint64_t h, uint32_t from, uint32_t end)
{
    unsigned top = top_of(h);

    while (top < frames->order && makes_group(words, from, end, top + 1))
        top++;
    return with_top(h, top);
}

/** Lower the hint for a position that has become free. */
static inline uint64_t with_lower_hint(const struct kva_frames *frames, uint64_t h, uint32_t position)
{
    uint32_t hint = position >> 6 >> frames->hint_shift;

    return hint < hint_of(h) ? with_hint(h, hint) : h;
}

/** Adjust the bounds after [from, end) has become free. */
static inline uint64_t with_more_room(const struct kva_frames *frames, const struct frames_word *words,
                                      uint64_t h, uint32_t from, uint32_t end)
{
    h = with_lower_hint(frames, h, from);
    if (is_held(h))
        return h;
    h = with_larger_top(frames, words, h, from, end);
    return from == 0 || end == frames->size ? with_ends(frames, words, h) : h;
}

/** A block in which nothing is in use has no kind, unless a CPU holds it. */
static inline uint64_t without_kind_if_unused(uint64_t h)
{
    return (h & (USED_MASK | OWNER_MASK)) == 0 ? with_kind(h, KIND_UNUSED) : h;
}

/** Make the bound of the largest free group exact; a held block keeps its bound. */
static inline uint64_t with_exact_top(const struct kva_frames *frames, const struct frames_word *words,
                                      uint64_t h)
{
    return is_held(h) || free_of(h) == 0 ? h : with_top(h, largest_group(frames, words));
}

/** End the hold of a block: make kind, head, tail and top right again. */
static inline uint64_t without_holder(const struct kva_frames *frames, const struct frames_word *words,
                                      uint64_t h)
{
    h = without_kind_if_unused(h & ~OWNER_MASK);
    return with_ends(frames, words, with_exact_top(frames, words, h));
}

/** Set the bounds of a block that is free from end to end. */
static inline uint64_t with_all_free(const struct kva_frames *frames, uint64_t h)
{
    return with_hint(with_top(h, frames->order), 0) | HEAD_MASK | TAIL_MASK;
}

/** Adjust the bounds after frames of word w have become free. */
static inline uint64_t with_room_in_word(const struct kva_frames *frames, const struct frames_word *words,
                                         uint64_t h, uint32_t w)
{
    h = with_lower_hint(frames, h, w * 64);
    if (is_held(h))
        return h;
    h = with_top(h, top_with_word(frames, words, w, top_of(h)));
    return w == 0 || w == frames->words - 1 ? with_ends(frames, words, h) : h;
}

/** Give used frames back. The caller marks the rest of their run after them. */
static inline uint64_t give_frames(const struct kva_frames *frames, struct frames_word *words, uint64_t h,
                                   uint32_t from, uint32_t end)
{
    bool is_all = end - from == frames->size;

    if (is_all && whole_of(h) != WHOLE_NOT) {
        h &= ~WHOLE_MASK; /* the states are zero already */
    } else {
        h = spread_whole(frames, words, h);
        set_states(words, from, end, false, false);
    }
    h = with_given(h, end - from);
    if (end == frames->size)
        h &= ~CONT_MASK;
    return without_kind_if_unused(is_all ? with_all_free(frames, h)
                                         : with_more_room(frames, words, h, from, end));
}

/** Adjust the header after several runs of a block, `count` frames in all, none before `from`, have been
 *  given back in its states. As in give_frames, `top` is only raised. */
static inline uint64_t with_given_runs(const struct kva_frames *frames, const struct frames_word *words,
                                       uint64_t h, uint32_t from, uint64_t count)
{
    uint32_t hint = from >> 6 >> frames->hint_shift;

    h = with_given(h, count);
    if (free_of(h) == frames->size)
        return without_kind_if_unused(with_all_free(frames, h));
    if (hint < hint_of(h))
        h = with_hint(h, hint);
    if (!is_held(h)) {
        unsigned top = largest_group(frames, words);
        h = with_ends(frames, words, top > top_of(h) ? with_top(h, top) : h);
    }
    return without_kind_if_unused(h);
}

/** Free frames become absent. */
static inline uint64_t hide_frames(const struct kva_frames *frames, struct frames_word *words, uint64_t h,
                                   uint32_t from, uint32_t end)
{
    set_states(words, from, end, false, true);
    return with_ends(frames, words, h - ((uint64_t)(end - from) << FREE_AT));
}

/** Absent frames become free. */
static inline uint64_t show_frames(const struct kva_frames *frames, struct frames_word *words, uint64_t h,
                                   uint32_t from, uint32_t end)
{
    set_states(words, from, end, false, false);
    h += (uint64_t)(end - from) << FREE_AT;
    return with_more_room(frames, words, h, from, end);
}

#endif
