/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The isolation step, and the batch of moves that follows it. */
#include "frames_isolate.h"

#include "frames_find.h"

/* ------------------------------------------------------------------------------------------- runs */

/** The next run at or after `position` that begins and ends in the work range; false if there is none. */
static bool next_run(const struct frames_word *words, uint64_t h, struct frames_work work, uint32_t position,
                     uint32_t *from, uint32_t *end)
{
    if (whole_of(h) != WHOLE_NOT) {
        *from = work.from;
        *end = work.end;
        return position == work.from && whole_of(h) == WHOLE_FIRST && (h & CONT_MASK) == 0;
    }
    *from = next_first(words, position, work.end);
    if (*from == work.end)
        return false;
    *end = end_of_inside(words, *from + 1, work.end);
    return *end < work.end || (h & CONT_MASK) == 0;
}

bool kva_isolate_runs(const struct kva_frames *frames, const struct frames_zone *zone, uint32_t block,
                      uint64_t *h, uint32_t *position, uint32_t shortest)
{
    struct frames_compaction *compaction = frames->compaction;
    struct frames_work work = work_range(frames, zone, block);
    uint32_t from;
    uint32_t end;

    if (*position < work.from)
        *position = work.from;
    while (compaction->count < BATCH_MOVES) {
        if (!next_run(words_of(frames, zone, block), *h, work, *position, &from, &end))
            return true;
        if (end - from >= shortest) {
            add_move(compaction, first_frame(frames, zone, block) + from, end - from);
            *h |= MOVING_MASK;
        }
        *position = end;
    }
    return *position == work.end;
}

/* ------------------------------------------------------------------------------------------- room */

/** Where a run fits into the work range, from `from` on; its end if nowhere. Groups are searched by whole
 *  words, but only where the work range has all frames of the words. */
static uint32_t find_room_in_work(const struct kva_frames *frames, const struct frames_word *words,
                                  uint64_t begin, uint32_t from, struct frames_work work,
                                  const struct frames_move *move)
{
    if (move->align != move->count || frames->order < 6 || work.end - work.from < frames->size)
        return find_run(words, begin, from, work.end, move->count, move->align);
    return find_group(words, from / 64, frames->words, highest_bit(move->align), work.end);
}

unsigned kva_isolate_room(const struct kva_frames *frames, const struct frames_zone *zone, uint32_t block,
                          uint64_t *h, unsigned next)
{
    struct frames_compaction *compaction = frames->compaction;
    struct frames_word *words = words_of(frames, zone, block);
    struct frames_work work = work_range(frames, zone, block);
    uint64_t begin = first_frame(frames, zone, block);
    uint64_t group = 0; /* the length of the last placed group: no other of this length fits before it */
    uint32_t from = work.from;

    for (; next < compaction->count && whole_of(*h) == WHOLE_NOT; next++) {
        struct frames_move *move = &compaction->moves[next];
        bool is_group = move->align == move->count;
        if (free_of(*h) < move->count)
            break;
        from = find_room_in_work(frames, words, begin, is_group && group == move->count ? from : work.from,
                                 work, move);
        if (from == work.end)
            break;
        *h = take_frames(frames, words, *h, from, from + (uint32_t)move->count, true, false);
        move->to = begin + from;
        group = is_group ? move->count : 0;
    }
    return next;
}

/* ------------------------------------------------------------------------------------------ moves */

struct frames_move *kva_find_isolated(const struct kva_frames *frames, uint64_t first, uint64_t end)
{
    struct frames_compaction *compaction = frames->compaction;

    for (unsigned i = 0; compaction && i < compaction->count; i++) {
        struct frames_move *move = &compaction->moves[i];
        if (move->from < end && first < move->from + move->count)
            return move;
    }
    return NULL;
}

/** Give back the room of a run that has not moved. */
static void give_room_back(const struct kva_frames *frames, struct frames_zone *zone,
                           const struct frames_move *move)
{
    uint32_t block = block_of(frames, zone, move->to);
    uint32_t from = position_of(frames, move->to);
    uint64_t before = lock_block(frames, zone, block);
    uint64_t h =
        give_frames(frames, words_of(frames, zone, block), before, from, from + (uint32_t)move->count);

    commit_block(frames, zone, block, before, h);
}

/** Ask the owners to move their runs. */
static void ask_owners(struct frames_compaction *compaction)
{
    for (unsigned i = 0; i < compaction->count; i++) {
        struct frames_move *move = &compaction->moves[i];
        move->outcome = compaction->move(compaction->context, move->from, move->to, move->count);
    }
}

/** End the isolation of the batch: runs that were moved, or given back meanwhile, leave their frames. */
static void leave_block(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block)
{
    struct frames_compaction *compaction = frames->compaction;
    struct frames_word *words = words_of(frames, zone, block);
    uint64_t before = lock_block(frames, zone, block);
    uint64_t h = before & ~MOVING_MASK;
    uint64_t count = 0;
    uint32_t first = 0;

    for (unsigned i = compaction->count; i-- > 0;) {
        const struct frames_move *move = &compaction->moves[i];
        if (move->outcome != KVA_FRAMES_MOVED && !move->is_given)
            continue;
        first = position_of(frames, move->from);
        h = spread_whole(frames, words, h);
        set_states(words, first, first + (uint32_t)move->count, false, false);
        count += move->count;
    }
    if (count > 0)
        h = with_given_runs(frames, words, h, first, count);
    commit_block(frames, zone, block, before, h);
}

static void count_moves(const struct kva_frames *frames, const struct frames_zone *zone,
                        struct frames_moves moves)
{
    struct frames_cpu *cpu = enter_cpu(frames);
    struct frames_counts *counts = &cpu->counts[zone - frames->zones];

    counts->moved_runs += moves.runs;
    counts->moved_frames += moves.frames;
    leave_cpu(frames, cpu);
}

struct frames_moves kva_move_batch(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block,
                                   bool no_room)
{
    struct frames_compaction *compaction = frames->compaction;
    struct frames_moves moves = {0};

    if (!no_room)
        ask_owners(compaction);
    leave_block(frames, zone, block);
    for (unsigned i = 0; i < compaction->count; i++) {
        const struct frames_move *move = &compaction->moves[i];
        bool is_moved = move->outcome == KVA_FRAMES_MOVED;
        moves.runs += is_moved;
        moves.frames += is_moved ? move->count : 0;
        moves.refused += !no_room && !is_moved && !move->is_given && move->outcome != KVA_FRAMES_GONE;
        if (!is_moved && move->to != KVA_NO_FRAME)
            give_room_back(frames, zone, move);
    }
    compaction->count = 0;
    count_moves(frames, zone, moves);
    return moves;
}
