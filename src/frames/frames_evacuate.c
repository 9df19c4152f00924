/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Evacuation: moves all frames out of a given range, which becomes one run.
 *
 * THE RUN GROWS from the range's first frame. The frames before `at` belong to the new run, which is a run
 * like all others at every moment; the frame at `at` is next:
 *
 *      | ## new run ####### | free      | used ### | free | used ### |
 *      first                at                                  end
 *
 *      - Free frames join the new run, up to the next used one or the end of their block.
 *      - A used run is isolated, in all blocks that it lies in, and its owner is asked to move it out of the
 *        range. If it does, the run's frames become free, and those in the range join the new run, in one
 *        step under the locks of all these blocks, so that no other thread takes them. The first used run
 *        may begin before the range, the last may end after it.
 *      - Anything else is an obstacle: the new run is given back, and moved runs stay at their new places.
 *
 * While the new run grows, it counts as movable, so that its blocks keep their kind and other runs in them
 * can be moved. It gets its type at the end. No other thread could move it, because the reclaim lock is held.
 *
 * ROOM is searched as in a compaction, in the movable blocks outside the range; then as for a request,
 * anywhere in the zone below the range and above it. A run that is longer than a block therefore finds room,
 * and "no room" is exact.
 *
 * LOCKS. A step that takes free frames holds the lock of the CPU: see frames_compact.c.
 *
 * FOR A REQUEST that no block can serve, the range of blocks with the fewest used frames is evacuated. The
 * fragmentation index does not help to decide: it counts each free block as large enough.
 */
#include "frames_evacuate.h"

#include "frames_compact.h"
#include "frames_find.h"
#include "frames_give.h"
#include "frames_span.h"

struct evacuation {
    const struct kva_frames *frames;
    struct frames_zone *zone;
    uint64_t first;
    uint64_t end;
    uint64_t at;
    enum frames_kind kind;
    struct frames_targets targets;
};

/** A used run, and the blocks that it lies in. */
struct used_run {
    uint64_t first;
    uint64_t end;
    uint32_t low;
    uint32_t high;
};

/** Whether the new run ends with a block: that block needs CONT when the run goes on. */
static bool goes_on_from_block(const struct evacuation *evacuation)
{
    return evacuation->at > evacuation->first && position_of(evacuation->frames, evacuation->at) == 0;
}

static void lock_blocks(const struct evacuation *evacuation, uint32_t low, uint32_t high)
{
    for (uint32_t block = low; block <= high; block++)
        (void)lock_block(evacuation->frames, evacuation->zone, block);
}

/* -------------------------------------------------------------------------------------- the new run */

/** Add the free frames of a locked block in [at, until) to the new run. Returns the changed header. */
static uint64_t join_run(const struct evacuation *evacuation, uint32_t block, uint64_t h, uint64_t until)
{
    const struct kva_frames *frames = evacuation->frames;
    struct frames_word *words = words_of(frames, evacuation->zone, block);
    uint64_t begin = first_frame(frames, evacuation->zone, block);
    uint32_t from = part_from(frames, evacuation->zone, block, evacuation->at);
    uint32_t end = part_end(frames, evacuation->zone, block, until);
    struct frames_counts ignored = {0}; /* set_kinds counts */

    if (is_held(h))
        h = without_holder(frames, words, h);
    h = join_kinds(h, KIND_MOVABLE, &ignored);
    return take_frames(frames, words, h, from, end, begin + from == evacuation->first, begin + end < until);
}

/** If the next frame is free, take it and the free ones after it. Returns the state that it was in. */
static enum kva_frames_state take_free(struct evacuation *evacuation)
{
    const struct kva_frames *frames = evacuation->frames;
    struct frames_zone *zone = evacuation->zone;
    uint32_t block = block_of(frames, zone, evacuation->at);
    uint32_t low = block - goes_on_from_block(evacuation);
    uint32_t position = position_of(frames, evacuation->at);
    const struct frames_word *words = words_of(frames, zone, block);
    struct frames_cpu *cpu = enter_cpu(frames);

    lock_blocks(evacuation, low, block);
    uint64_t before = block_header(&zone->headers[block]);
    enum kva_frames_state state = state_at(words, before, position);
    if (state == KVA_FRAMES_FREE) {
        uint32_t limit = part_end(frames, zone, block, evacuation->end);
        uint64_t until = first_frame(frames, zone, block) + end_of_state(words, position, limit, true);
        prepare_block(frames, zone, block, before, join_run(evacuation, block, before, until));
        if (low < block)
            block_keep(&zone->headers[low], block_header(&zone->headers[low]) | CONT_MASK);
        evacuation->at = until;
    }
    unlock_blocks(frames, zone, low, block);
    leave_cpu(frames, cpu);
    return state;
}

/** Give the blocks of the new run its kind. */
static void set_kinds(const struct evacuation *evacuation)
{
    const struct kva_frames *frames = evacuation->frames;
    struct frames_zone *zone = evacuation->zone;
    uint32_t last = block_of(frames, zone, evacuation->end - 1);
    struct frames_cpu *cpu = enter_cpu(frames);
    struct frames_counts *counts = &cpu->counts[zone - frames->zones];
    uint64_t strayed = counts->strayed;

    for (uint32_t block = block_of(frames, zone, evacuation->first); block <= last; block++) {
        uint32_t own = part_end(frames, zone, block, evacuation->end) -
                       part_from(frames, zone, block, evacuation->first);
        uint64_t before = lock_block(frames, zone, block);
        uint64_t h = before;
        if (is_held(h) && kind_of(h) != evacuation->kind)
            h = without_holder(frames, words_of(frames, zone, block), h);
        if (used_of(h) == own)
            h = with_kind(h, evacuation->kind);
        h = join_kinds(h, evacuation->kind, counts);
        commit_block(frames, zone, block, before, h);
    }
    if (counts->strayed > strayed) /* one run counts once, however many blocks it has */
        counts->strayed = strayed + 1;
    leave_cpu(frames, cpu);
}

/* ------------------------------------------------------------------------------------------- used runs */

/** Whether the first frame of a block is part of a run that begins before the block. */
static bool comes_from_before(const struct evacuation *evacuation, uint32_t block)
{
    uint64_t h = lock_block(evacuation->frames, evacuation->zone, block);
    bool inside = whole_of(h) == WHOLE_NOT
                      ? (inside_bits(words_of(evacuation->frames, evacuation->zone, block)) & 1) != 0
                      : whole_of(h) == WHOLE_INSIDE;

    unlock_block(evacuation->frames, evacuation->zone, block, h);
    return inside;
}

/** The block in which the run of the next frame seems to begin: it may change before its blocks are
 *  locked. */
static uint32_t low_block(const struct evacuation *evacuation)
{
    const struct kva_frames *frames = evacuation->frames;
    uint32_t block = block_of(frames, evacuation->zone, evacuation->at);
    uint64_t h;

    if (evacuation->at > evacuation->first)
        return block;
    h = lock_block(frames, evacuation->zone, block);
    uint32_t from = whole_of(h) == WHOLE_NOT ? begin_of_run(words_of(frames, evacuation->zone, block),
                                                            position_of(frames, evacuation->at))
                                             : 0;
    unlock_block(frames, evacuation->zone, block, h);
    while (from == 0 && block > 0 && comes_from_before(evacuation, block)) {
        block--;
        h = lock_block(frames, evacuation->zone, block);
        from = whole_of(h) == WHOLE_NOT
                   ? begin_of_run(words_of(frames, evacuation->zone, block), frames->size - 1)
                   : 0;
        unlock_block(frames, evacuation->zone, block, h);
    }
    return block;
}

/** Lock the blocks of the run that holds the next frame. Returns false, and locks none, if there is no such
 *  run any more. */
static bool lock_run(const struct evacuation *evacuation, struct used_run *run)
{
    const struct kva_frames *frames = evacuation->frames;
    struct frames_zone *zone = evacuation->zone;
    uint32_t low = low_block(evacuation);
    const struct frames_word *words = words_of(frames, zone, low);
    uint64_t h = lock_block(frames, zone, low);
    uint32_t from =
        low < block_of(frames, zone, evacuation->at) ? frames->size - 1 : position_of(frames, evacuation->at);
    bool begins = whole_of(h) == WHOLE_FIRST;
    uint32_t end = frames->size;

    if (whole_of(h) == WHOLE_NOT) {
        from = begin_of_run(words, from);
        begins = (words[from / 64].taken & words[from / 64].first) >> from % 64 & 1;
        end = end_of_inside(words, from + 1, frames->size);
    } else {
        from = 0;
    }
    *run = (struct used_run){.first = first_frame(frames, zone, low) + from, .low = low, .high = low};
    while (begins && end == frames->size && (h & CONT_MASK)) {
        h = lock_block(frames, zone, ++run->high);
        end = whole_of(h) == WHOLE_NOT ? end_of_inside(words_of(frames, zone, run->high), 0, frames->size)
                                       : frames->size;
    }
    run->end = first_frame(frames, zone, run->high) + end;
    if (begins && run->end > evacuation->at)
        return true;
    unlock_blocks(frames, zone, low, run->high);
    return false;
}

/** Isolate the run that holds the next frame. KVA_EBUSY if it is not movable; run->end is 0 if there is no
 *  such run any more. */
static enum kva_status isolate_run(struct evacuation *evacuation, struct used_run *run)
{
    struct frames_header *headers = evacuation->zone->headers;
    bool movable = true;

    if (!lock_run(evacuation, run)) {
        run->end = 0;
        return KVA_OK;
    }
    for (uint32_t block = run->low; block <= run->high; block++)
        movable = movable && kind_of(block_header(&headers[block])) == KIND_MOVABLE;
    for (uint32_t block = run->low; block <= run->high && movable; block++)
        block_keep(&headers[block], block_header(&headers[block]) | MOVING_MASK);
    if (movable)
        add_move(evacuation->frames->compaction, run->first, run->end - run->first);
    unlock_blocks(evacuation->frames, evacuation->zone, run->low, run->high);
    return movable ? KVA_OK : KVA_EBUSY;
}

/** Free the part of a moved run in a locked block, and add its frames in the range to the new run. Returns
 *  the changed header. */
static uint64_t replace_part(const struct evacuation *evacuation, const struct used_run *run, uint32_t block,
                             uint64_t h, uint64_t until)
{
    const struct kva_frames *frames = evacuation->frames;
    const struct frames_zone *zone = evacuation->zone;
    uint64_t begin = first_frame(frames, zone, block);
    bool after_first = begin > evacuation->at || evacuation->at - begin < frames->size;

    h = give_frames(frames, words_of(frames, zone, block), h, part_from(frames, zone, block, run->first),
                    part_end(frames, zone, block, run->end));
    return after_first && begin < until ? join_run(evacuation, block, h, until) : h;
}

/** End the isolation. If the run was moved, or given back meanwhile, its frames in the range join the new
 *  run, and the others become free. Returns whether that is the case. */
static bool leave_run(struct evacuation *evacuation, const struct used_run *run)
{
    const struct kva_frames *frames = evacuation->frames;
    struct frames_zone *zone = evacuation->zone;
    const struct frames_move *move = &frames->compaction->moves[0];
    uint64_t until = min_u64(run->end, evacuation->end);
    uint32_t low = run->low - goes_on_from_block(evacuation);
    struct frames_cpu *cpu = enter_cpu(frames);
    struct frames_counts *counts = &cpu->counts[zone - frames->zones];

    lock_blocks(evacuation, low, run->high);
    bool is_moved = move->outcome == KVA_FRAMES_MOVED;
    bool has_left = is_moved || move->is_given;
    if (has_left && low < run->low)
        block_keep(&zone->headers[low], block_header(&zone->headers[low]) | CONT_MASK);
    for (uint32_t block = run->low; block <= run->high; block++) {
        uint64_t before = block_header(&zone->headers[block]);
        uint64_t h = before & ~MOVING_MASK;
        if (has_left)
            h = replace_part(evacuation, run, block, h, until);
        prepare_block(frames, zone, block, before, h);
    }
    counts->moved_runs += is_moved;
    counts->moved_frames += is_moved ? move->count : 0;
    frames->compaction->count = 0;
    if (has_left)
        evacuation->at = until;
    unlock_blocks(frames, zone, low, run->high);
    leave_cpu(frames, cpu);
    return has_left;
}

/* ---------------------------------------------------------------------------------------------- moves */

/** Take room for the isolated run in [min, last]. */
static bool take_room(const struct evacuation *evacuation, struct frames_move *move, uint64_t min,
                      uint64_t last)
{
    struct frames_demand demand = {
        .count = move->count,
        .align = move->align,
        .min = min,
        .last = last,
        .kind = KIND_MOVABLE,
        .this_node = true,
        .node = evacuation->zone->node,
    };

    kva_shape_demand(evacuation->frames, &demand);
    return kva_find_and_take(evacuation->frames, &demand, &move->to) == KVA_OK;
}

static bool find_room_outside(struct evacuation *evacuation)
{
    const struct frames_zone *zone = evacuation->zone;
    struct frames_move *move = &evacuation->frames->compaction->moves[0];

    return kva_find_targets(&evacuation->targets) ||
           (evacuation->first > zone->start &&
            take_room(evacuation, move, zone->start, evacuation->first - 1)) ||
           (evacuation->end < zone->end && take_room(evacuation, move, evacuation->end, zone->end - 1));
}

/** Move the run that holds the next frame. */
static enum kva_status move_run(struct evacuation *evacuation)
{
    struct frames_compaction *compaction = evacuation->frames->compaction;
    struct frames_move *move = &compaction->moves[0];
    struct used_run run;
    enum kva_status status = isolate_run(evacuation, &run);

    if (status != KVA_OK || run.end == 0)
        return status;
    bool has_room = find_room_outside(evacuation);
    if (has_room)
        move->outcome = compaction->move(compaction->context, move->from, move->to, move->count);
    bool has_left = leave_run(evacuation, &run);
    if (has_room && move->outcome != KVA_FRAMES_MOVED)
        (void)kva_give_run(evacuation->frames, move->to);
    if (has_left)
        return KVA_OK;
    return has_room ? KVA_EBUSY : KVA_ENOSPC;
}

/* ------------------------------------------------------------------------------------------ the range */

/** The first frame of [from, end) in a locked block that cannot be moved: absent, or in use in an unmovable
 *  block. */
static uint32_t find_fixed(const struct frames_word *words, uint64_t h, uint32_t from, uint32_t end)
{
    bool unmovable = kind_of(h) == KIND_UNMOVABLE;

    if (whole_of(h) != WHOLE_NOT)
        return unmovable ? from : end;
    for (uint32_t w = from / 64; w * 64 < end; w++) {
        uint64_t fixed =
            (absent_bits(&words[w]) | (unmovable ? words[w].taken : 0)) & bits_within(w, from, end);
        if (fixed != 0)
            return w * 64 + lowest_bit(fixed);
    }
    return end;
}

/** Find the first frame of the range that cannot be moved. KVA_ERANGE for an absent one, KVA_EBUSY for
 *  another, with `at` that frame; KVA_OK if there is none. */
static enum kva_status look_for_fixed(struct evacuation *evacuation)
{
    const struct kva_frames *frames = evacuation->frames;
    const struct frames_zone *zone = evacuation->zone;
    uint32_t last = block_of(frames, zone, evacuation->end - 1);

    for (uint32_t block = block_of(frames, zone, evacuation->first); block <= last; block++) {
        const struct frames_word *words = words_of(frames, zone, block);
        uint32_t end = part_end(frames, zone, block, evacuation->end);
        uint64_t h = lock_block(frames, zone, block);
        uint32_t fixed = find_fixed(words, h, part_from(frames, zone, block, evacuation->first), end);
        bool absent = fixed < end && state_at(words, h, fixed) == KVA_FRAMES_ABSENT;
        unlock_block(frames, zone, block, h);
        if (fixed < end) {
            evacuation->at = first_frame(frames, zone, block) + fixed;
            return absent ? KVA_ERANGE : KVA_EBUSY;
        }
    }
    return KVA_OK;
}

/** Make the range one run, as the one thread that moves frames. On failure, `at` is the obstacle. */
static enum kva_status evacuate(struct evacuation *evacuation)
{
    enum kva_status status = KVA_OK;

    while (evacuation->at < evacuation->end && status == KVA_OK) {
        enum kva_frames_state state = take_free(evacuation);
        if (state == KVA_FRAMES_USED)
            status = move_run(evacuation);
        else if (state == KVA_FRAMES_ABSENT)
            status = KVA_ERANGE;
    }
    if (status == KVA_OK)
        set_kinds(evacuation);
    else if (evacuation->at > evacuation->first)
        (void)kva_give_run(evacuation->frames, evacuation->first);
    return status;
}

static struct evacuation evacuation_of(const struct kva_frames *frames, struct frames_zone *zone,
                                       uint64_t first, uint64_t count, enum frames_kind kind)
{
    return (struct evacuation){
        .frames = frames,
        .zone = zone,
        .first = first,
        .end = first + count,
        .at = first,
        .kind = kind,
        .targets = {.frames = frames,
                    .zone = zone,
                    .above = UINT32_MAX,
                    .from = block_of(frames, zone, first),
                    .end = block_of(frames, zone, first + count - 1) + 1},
    };
}

/** Take the range as it is, if all of it is free. */
static bool take_range(const struct evacuation *evacuation)
{
    const struct kva_frames *frames = evacuation->frames;
    struct frames_zone *zone = evacuation->zone;
    struct frames_obstacle obstacle;

    kva_cpus_take(&frames->locks);
    bool taken =
        kva_span_change(frames, zone, evacuation->first, evacuation->end, CHANGE_TAKE, evacuation->kind,
                        &cpu_of(frames, 0)->counts[zone - frames->zones], &obstacle);
    kva_cpus_drop(&frames->locks);
    return taken;
}

/** Move the runs that are in the way, and take the range. */
static enum kva_status clear_range(struct evacuation *evacuation)
{
    enum kva_status fixed = look_for_fixed(evacuation);
    enum kva_status status = fixed == KVA_ERANGE ? fixed : kva_compaction_enter(evacuation->frames);

    if (status != KVA_OK)
        return status;
    status = fixed;
    if (fixed == KVA_OK) {
        kva_drain(evacuation->frames);
        status = evacuate(evacuation);
    }
    kva_compaction_leave(evacuation->frames);
    return status;
}

enum kva_status kva_frames_evacuate(struct kva_frames *frames, uint64_t first, uint64_t count,
                                    enum kva_frames_type type, uint64_t *obstacle)
{
    enum kva_status status;
    const char *field;

    if (!frames)
        return KVA_ENULL;
    if (type != KVA_MOVABLE && type != KVA_UNMOVABLE)
        return refuse(frames, KVA_EINVAL, __func__, first, "type");
    struct frames_zone *zone = kva_zone_of_range(frames, first, count, &status, &field);
    if (!zone)
        return refuse(frames, status, __func__, first, field);
    struct evacuation evacuation = evacuation_of(frames, zone, first, count, kind_of_type(type));
    if (take_range(&evacuation))
        return KVA_OK;
    status = clear_range(&evacuation);
    if (status == KVA_ERANGE)
        return refuse(frames, status, __func__, evacuation.at, "count");
    if (status == KVA_EREENTRY)
        return refuse(frames, status, __func__, first, NULL);
    if (obstacle && (status == KVA_EBUSY || status == KVA_ENOSPC))
        *obstacle = evacuation.at;
    return status;
}

/* ---------------------------------------------------------------------------------------- for a request */

/** How many ranges of a zone are tried for a request: each costs moves, and usually the first one
 *  suffices. */
enum { TRIES_FOR_REQUEST = 4 };

/** Whether all frames of a block can become part of a run, by its header. */
static bool can_be_evacuated(const struct kva_frames *frames, uint64_t h)
{
    return free_of(h) + used_of(h) == frames->size && (h & SKIP_MASK) == 0 &&
           (used_of(h) == 0 || kind_of(h) == KIND_MOVABLE);
}

/** Whether a demand's run may begin with a frame. */
static bool may_begin_at(const struct frames_demand *demand, uint64_t first)
{
    return (first & (demand->align - 1)) == 0 && first >= demand->min && first <= demand->last &&
           demand->last - first >= demand->count - 1;
}

/** Find the range of blocks for a demand with the fewest used frames. Returns false if there is none, or too
 *  few frames are free. */
static bool find_range(const struct kva_frames *frames, const struct frames_zone *zone,
                       const struct frames_demand *demand, uint64_t *first)
{
    uint64_t fewest = UINT64_MAX;
    uint64_t free = 0;
    uint64_t used = 0;
    uint32_t row = 0; /* consecutive blocks up to this one that can be evacuated */

    if (demand->count > zone->end - zone->start)
        return false;
    uint32_t blocks = (uint32_t)((demand->count + (frames->size - 1)) >> frames->order);
    for (uint32_t block = 0; block < zone->rows.blocks; block++) {
        uint64_t h = block_header(&zone->headers[block]);
        bool can = can_be_evacuated(frames, h);
        free += kind_of(h) == KIND_UNMOVABLE ? 0 : free_of(h);
        used = can ? used + used_of(h) : 0;
        row = can ? row + 1 : 0;
        if (row > blocks)
            used -= used_of(block_header(&zone->headers[block - blocks]));
        if (row < blocks || used >= fewest)
            continue;
        uint64_t begin = first_frame(frames, zone, block - (blocks - 1));
        if (may_begin_at(demand, begin)) {
            fewest = used;
            *first = begin;
        }
    }
    return fewest < UINT64_MAX && free >= demand->count;
}

/** Make the next search for a range avoid the block of an obstacle. */
static void skip_block(const struct evacuation *evacuation)
{
    uint32_t block = block_of(evacuation->frames, evacuation->zone, evacuation->at);
    uint64_t h = lock_block(evacuation->frames, evacuation->zone, block);

    unlock_block(evacuation->frames, evacuation->zone, block, h | SKIP_MASK);
}

static bool evacuate_in_zone(const struct kva_frames *frames, struct frames_zone *zone,
                             const struct frames_demand *demand, uint64_t *first)
{
    enum kva_status status = KVA_EBUSY;
    unsigned tries = 0;
    uint64_t begin = 0;

    while (status == KVA_EBUSY && tries++ < TRIES_FOR_REQUEST && find_range(frames, zone, demand, &begin)) {
        struct evacuation evacuation = evacuation_of(frames, zone, begin, demand->count, demand->kind);
        status = look_for_fixed(&evacuation);
        if (status == KVA_OK)
            status = evacuate(&evacuation);
        if (status == KVA_EBUSY)
            skip_block(&evacuation);
    }
    kva_forget_hints(frames, zone, 0, zone->rows.blocks);
    if (status == KVA_OK)
        *first = begin;
    return status == KVA_OK;
}

static void count_elsewhere(const struct kva_frames *frames, const struct frames_zone *zone)
{
    struct frames_cpu *cpu = enter_cpu(frames);

    cpu->counts[zone - frames->zones].elsewhere++;
    leave_cpu(frames, cpu);
}

bool kva_evacuate_for(const struct kva_frames *frames, const struct frames_demand *demand, uint64_t *first)
{
    unsigned order = highest_bit(demand->count) + !is_power_of_two(demand->count);
    bool helped = false;

    if (!frames->compaction || kva_compaction_is_deferred(frames->compaction, order) ||
        kva_compaction_enter(frames) != KVA_OK)
        return false;
    kva_drain(frames);
    for (size_t i = 0; i < frames->zone_count && !helped; i++) {
        struct frames_zone *zone = &frames->zones[frames->by_node[demand->node * frames->zone_count + i]];
        if (!demand->this_node || zone->node == demand->node)
            helped = evacuate_in_zone(frames, zone, demand, first);
        if (helped && zone->node != demand->node)
            count_elsewhere(frames, zone);
    }
    kva_compaction_note(frames->compaction, order, helped);
    kva_compaction_leave(frames);
    return helped;
}
