/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Check the invariants of a set, F1 to F10; docs/theory/frames.md gives the reasons. */
#include "frames_change.h"
#include "frames_freeze.h"

/** The block that is being checked; the set is frozen. */
struct view {
    const struct kva_frames *frames;
    const struct frames_zone *zone;
    const struct frames_word *words;
    uint32_t block;
    uint64_t h;
    struct kva_fault *fault;
};

static bool broken(const struct view *view, uint32_t position, const char *what)
{
    *view->fault = (struct kva_fault){
        .status = KVA_ECORRUPT,
        .where = "kva_frames_check",
        .what = what,
        .address = first_frame(view->frames, view->zone, view->block) + position,
    };
    return false;
}

static bool is_whole(const struct view *view)
{
    return whole_of(view->h) != WHOLE_NOT;
}

/** Count the free and the used frames of a block. */
static void count_frame_states(const struct view *view, uint32_t *free, uint32_t *used)
{
    *free = 0;
    *used = is_whole(view) ? view->frames->size : 0;
    for (uint32_t w = 0; w < view->frames->words; w++) {
        *free += is_whole(view) ? 0 : (uint32_t)count_bits(free_bits(&view->words[w]));
        *used += (uint32_t)count_bits(view->words[w].taken);
    }
}

static bool check_header_counts(const struct view *view)
{
    uint32_t free;
    uint32_t used;

    count_frame_states(view, &free, &used);
    return (free == free_of(view->h) && used == used_of(view->h)) ||
           broken(view, 0, "F1: a header's counts differ from the states");
}

/** Frames outside the zone are absent. */
static bool check_zone_ends(const struct view *view)
{
    uint32_t size = view->frames->size;
    struct frames_work work = work_range(view->frames, view->zone, view->block);
    bool absent = !is_whole(view) && end_of_state(view->words, 0, work.from, false) == work.from &&
                  end_of_state(view->words, work.end, size, false) == size;

    return absent || (work.from == 0 && work.end == size) ||
           broken(view, 0, "F2: a frame outside the zone is not absent");
}

static bool begins_inside(const struct view *view)
{
    if (is_whole(view))
        return whole_of(view->h) == WHOLE_INSIDE;
    return inside_bits(&view->words[0]) & 1;
}

/** An inside follows a used frame. `goes_on`: the block before has `cont`. */
static bool check_runs(const struct view *view, bool goes_on)
{
    uint64_t before = goes_on; /* whether the frame before the word is used */

    if (begins_inside(view) != goes_on)
        return broken(view, 0,
                      "F3: a run does not go on in the next block, or goes on without its beginning");
    for (uint32_t w = 0; w < view->frames->words && !is_whole(view); w++) {
        uint64_t used_before = view->words[w].taken << 1 | before;
        uint64_t lost = inside_bits(&view->words[w]) & ~used_before;
        if (lost != 0)
            return broken(view, w * 64 + lowest_bit(lost), "F3: the inside of a run without its first frame");
        before = view->words[w].taken >> 63;
    }
    uint32_t last = view->frames->size - 1;
    bool used_at_end = is_whole(view) || (view->words[last / 64].taken >> last % 64 & 1) != 0;
    return !(view->h & CONT_MASK) || used_at_end || broken(view, last, "F3: a free frame has cont");
}

static bool check_bounds(const struct view *view)
{
    const struct kva_frames *frames = view->frames;

    if (!is_held(view->h) && (view->h & (HEAD_MASK | TAIL_MASK)) != ends_of(frames, view->words, view->h))
        return broken(view, 0, "F4: a header's head or tail differs from the states");
    if (is_whole(view) || free_of(view->h) == 0)
        return true;
    for (unsigned order = top_of(view->h) + 1; order <= frames->order && !is_held(view->h); order++) {
        if (find_group(view->words, 0, frames->words, order, frames->size) < frames->size)
            return broken(view, 0, "F5: a free group is larger than the header's bound");
    }
    uint32_t hint = hint_of(view->h) << frames->hint_shift;
    return next_free(view->words, 0, hint * 64) == hint * 64 ||
           broken(view, 0, "F6: a free frame lies before the hint");
}

static bool check_kind(const struct view *view)
{
    bool held = is_held(view->h);
    bool unused = kind_of(view->h) == KIND_UNUSED;

    if (held)
        return !unused || broken(view, 0, "F7: a held block has no kind");
    return unused == (used_of(view->h) == 0) ||
           broken(view, 0, "F7: a block has a kind though it is unused, or none though it is in use");
}

static bool check_rows(const struct view *view)
{
    const struct frames_rows *rows = &view->zone->rows;
    uint32_t expected = rows_of(view->frames, view->h);

    for (unsigned row = 0; row < view->frames->row_count; row++) {
        if (row_has(rows, row, view->block) != (expected >> row & 1))
            return broken(view, 0, "F8: a block's rows differ from those that follow from its header");
    }
    return true;
}

/** The slot that the header of a held block names holds that block, and is of its kind. */
static bool check_hold(const struct view *view)
{
    unsigned owner = header_field(view->h, OWNER_MASK, OWNER_AT);
    unsigned slot = header_field(view->h, SLOT_MASK, SLOT_AT);

    if (owner == 0)
        return true;
    return (owner <= view->frames->locks.cpu_count && slot / CLASSES + 1 == kind_of(view->h) &&
            atomic_load(slot_of(view->frames, view->zone, owner - 1, slot)) == view->block + 1) ||
           broken(view, 0, "F9: no slot of its CPU names a held block");
}

static bool check_block(const struct view *view, bool goes_on)
{
    return check_header_counts(view) && check_zone_ends(view) && check_runs(view, goes_on) &&
           check_bounds(view) && check_kind(view) && check_rows(view) && check_hold(view);
}

/** A summary has a bit for each word below that is not zero, and for no other. */
static bool check_summaries(const struct view *view)
{
    const struct frames_rows *rows = &view->zone->rows;

    for (unsigned row = 0; row < view->frames->row_count; row++) {
        for (unsigned level = 1; level < rows->levels; level++) {
            for (size_t at = 0; at < rows->size[level - 1]; at++) {
                bool has =
                    atomic_load(row_word(rows, row, level, at >> ROW_SHIFT)) >> (at & (ROW_BITS - 1)) & 1;
                if (has != (atomic_load(row_word(rows, row, level - 1, at)) != 0))
                    return broken(view, 0, "F10: a summary of a row is wrong");
            }
        }
    }
    return true;
}

static bool check_zone(const struct kva_frames *frames, const struct frames_zone *zone,
                       struct kva_fault *fault)
{
    struct view view = {.frames = frames, .zone = zone, .fault = fault};
    bool goes_on = false;

    for (uint32_t block = 0; block < zone->rows.blocks; block++) {
        view.block = block;
        view.words = words_of(frames, zone, block);
        view.h = block_header(&zone->headers[block]);
        if (!check_block(&view, goes_on))
            return false;
        goes_on = (view.h & CONT_MASK) != 0;
    }
    view.block = 0;
    return (!goes_on || broken(&view, 0, "F3: a run goes on beyond the zone")) && check_summaries(&view);
}

enum kva_status kva_frames_check(const struct kva_frames *frames, struct kva_fault *fault)
{
    struct kva_fault found;
    bool sound = true;

    if (!frames)
        return KVA_ENULL;
    kva_freeze(frames);
    for (size_t z = 0; z < frames->zone_count && sound; z++)
        sound = check_zone(frames, &frames->zones[z], &found);
    kva_thaw(frames);
    if (sound)
        return KVA_OK;
    if (fault)
        *fault = found;
    return KVA_ECORRUPT;
}
