/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Compaction by counts: which blocks are emptied, and into which.
 *
 * THE FEWEST MOVES. If U frames are in use in N movable blocks of S frames, the fullest ceil(U / S) blocks
 * can hold them all, and the others can be emptied. Each used frame of the others has to move once, and no
 * other frame does. One LEVEL divides the blocks: those with fewer used frames are sources, those with more
 * are targets; of those with exactly as many, the first ones are sources, as many as necessary.
 *
 *      used frames   512 510 490 300 | 100 40 3 1        U = 1956, S = 512: four blocks hold all
 *                    targets           sources             the level is 100
 *
 * One pass over the headers counts the blocks of each level. Further passes empty the sources, those with the
 * fewest used frames first, because they give the most room for each move. (One pass for each power of two,
 * not for each level.) Within a block the longest runs go first: they are the hardest to place. A target is a
 * block whose largest free group is the smallest that suffices.
 *
 * PINNED RUNS. A block in which a run stays is skipped: it is no longer a source, and its free frames are
 * room. The next ROUND counts again, and empties the blocks that are then the cheapest; until there is
 * nothing to gain, or no run was pinned. The first rounds end with the first pinned run. After them, the
 * least number of sources doubles from round to round, and each ends as soon as it has freed as many blocks
 * as possible. docs/theory/frames.md, "Compaction by counts", has the reasons and the proofs.
 *
 * FOR ONE GROUP the block with the fewest used frames is emptied. If something stays in it, others follow,
 * also in steps of powers of two, until a group of the order is free.
 *
 * LOCKS. A step that lowers a block's bound or its free frames holds the lock of the CPU: a request that
 * fails at the same time, under the locks of all CPUs, does not miss a block that moved from one row to
 * another.
 *
 * bench/scanners has Linux's order of visiting, two scanners that meet, on the same isolation step, as a peer
 * to compare with.
 */
#include "frames_compact.h"

#include "frames_find.h"

/** The lengths of runs that are moved one after the other. */
static const uint32_t shortest_runs[] = {64, 8, 1};

enum { RUN_LENGTHS = sizeof shortest_runs / sizeof shortest_runs[0] };

/** The moves of one call in one zone. */
struct pass {
    struct frames_targets targets;
    uint32_t from; /* the blocks that may be emptied */
    uint32_t end;
    unsigned order; /* stop at a free group of this order, unless for_all */
    bool for_all;
    bool has_group;
    uint64_t left;     /* frames that may be moved */
    uint64_t enough;   /* a round ends with so many freed blocks, */
    uint64_t too_many; /*   or with so many pinned runs */
    bool spare; /* more sources than blocks to free: if need be, any block but the source is a target */
    struct kva_frames_compacted done;
};

/* ----------------------------------------------------------------------------------------- one at a time */

enum kva_status kva_compaction_enter(const struct kva_frames *frames)
{
    struct frames_compaction *compaction = frames->compaction;
    uintptr_t self = thread_self(threads_of_set(frames));

    if (!compaction)
        return KVA_ENOENT;
    if (atomic_load_explicit(&compaction->inside, memory_order_relaxed) == self)
        return KVA_EREENTRY;
    lock_take(&lockable(&frames->locks)->reclaim, threads_of_set(frames));
    atomic_store_explicit(&compaction->inside, self, memory_order_relaxed);
    return KVA_OK;
}

void kva_compaction_leave(const struct kva_frames *frames)
{
    atomic_store_explicit(&frames->compaction->inside, 0, memory_order_relaxed);
    reclaim_drop(&frames->locks);
}

/* ------------------------------------------------------------------------------------------- headers */

/** Read a header without its lock. The halves may be of different moments: good enough to choose a block. */
static uint64_t read_block_header(const struct frames_zone *zone, uint32_t block)
{
    return block_header(&zone->headers[block]);
}

/** Whether a block is movable, some of its frames are in use, and no CPU holds it. */
static bool is_movable_block(uint64_t h)
{
    return kind_of(h) == KIND_MOVABLE && !is_held(h) && used_of(h) > 0;
}

/** Whether a block could be emptied and would then be free from end to end. */
static bool can_be_emptied(const struct kva_frames *frames, uint64_t h)
{
    return (h & (KIND_MASK | OWNER_MASK | WHOLE_MASK | SKIP_MASK)) == (uint64_t)KIND_MOVABLE << KIND_AT &&
           used_of(h) > 0 && free_of(h) + used_of(h) == frames->size;
}

/** Whether a block is a source. One that cannot become free from end to end is no source, but has room
 *  for others. */
static bool is_source(const struct frames_targets *targets, uint32_t block, uint64_t h)
{
    if (!can_be_emptied(targets->frames, h))
        return false;
    return used_of(h) < targets->level || (used_of(h) == targets->level && block < targets->cut);
}

/** Whether runs may be moved to a block. `if_need_be`: also to a source that is fuller than the block that is
 *  being emptied. */
static bool is_target(const struct frames_targets *targets, uint32_t block, uint64_t h, bool if_need_be)
{
    bool excluded = block >= targets->from && block < targets->end;
    bool is_fuller = if_need_be && used_of(h) > targets->above;

    return is_movable_block(h) && free_of(h) > 0 && !excluded && (!is_source(targets, block, h) || is_fuller);
}

/* ------------------------------------------------------------------------------------------- targets */

/** Forget the failures for a `top` that a block has just got: it may have room. */
static void forget_failure(struct frames_targets *targets, unsigned top)
{
    targets->first.failed[top] = (struct frames_failed){0};
    targets->second.failed[top] = (struct frames_failed){0};
}

/** Whether a run is known to find no room among the blocks of a `top`. */
static bool will_fail(const struct frames_round *round, unsigned top, const struct frames_move *move)
{
    const struct frames_failed *failed = &round->failed[top];

    return failed->count > 0 && move->count >= failed->count && move->align >= failed->align;
}

static void note_failure(struct frames_round *round, unsigned top, const struct frames_move *move)
{
    struct frames_failed *failed = &round->failed[top];

    if (failed->count == 0 || move->count < failed->count ||
        (move->count == failed->count && move->align < failed->align))
        *failed = (struct frames_failed){(uint32_t)move->count, (uint32_t)move->align};
}

/** Take room in a block for runs of the batch, from `next` on. Returns the first run that is not placed. */
static unsigned fill_target(struct frames_targets *targets, uint32_t block, unsigned next, bool if_need_be)
{
    const struct kva_frames *frames = targets->frames;
    struct frames_cpu *cpu = enter_cpu(frames);
    uint64_t before = lock_block(frames, targets->zone, block);
    uint64_t h = before;
    unsigned placed = next;

    if (is_target(targets, block, h, if_need_be) && whole_of(h) == WHOLE_NOT) {
        placed = kva_isolate_room(frames, targets->zone, block, &h, next);
        if (placed == next) { /* the bound of the block is too large */
            h = with_exact_top(frames, words_of(frames, targets->zone, block), h);
            forget_failure(targets, top_of(h));
        }
    }
    commit_block(frames, targets->zone, block, before, h);
    leave_cpu(frames, cpu);
    return placed;
}

/** Search for a target among the blocks of one `top`, from the last target on and round. */
static unsigned fill_some_target(struct frames_targets *targets, struct frames_round *round, unsigned top,
                                 unsigned next)
{
    const struct frames_rows *rows = &targets->zone->rows;
    unsigned row = row_top(targets->frames, KIND_MOVABLE, top);
    uint32_t begin = round->cursor[top];
    bool if_need_be = round == &targets->second;

    for (unsigned part = 0; part < 2; part++) {
        uint32_t end = part == 0 ? rows->blocks : begin;
        uint32_t block = row_next(rows, row, part == 0 ? begin : 0, end);
        for (; block < end; block = row_next(rows, row, block + 1, end)) {
            if (!is_target(targets, block, read_block_header(targets->zone, block), if_need_be))
                continue;
            unsigned placed = fill_target(targets, block, next, if_need_be);
            round->cursor[top] = block;
            if (placed > next)
                return placed;
        }
    }
    note_failure(round, top, &targets->frames->compaction->moves[next]);
    return next;
}

/** Place at least the run `next`; returns it if there is no room. */
static unsigned place_run(struct frames_targets *targets, struct frames_round *round, unsigned next)
{
    const struct frames_move *move = &targets->frames->compaction->moves[next];

    for (unsigned top = least_group(move->count, move->align); top < targets->frames->order; top++) {
        unsigned placed = will_fail(round, top, move) ? next : fill_some_target(targets, round, top, next);
        if (placed > next)
            return placed;
    }
    return next;
}

bool kva_find_targets(struct frames_targets *targets)
{
    const struct frames_compaction *compaction = targets->frames->compaction;

    for (unsigned next = 0; next < compaction->count;) {
        unsigned placed = place_run(targets, &targets->first, next);
        if (placed == next && targets->above != UINT32_MAX)
            placed = place_run(targets, &targets->second, next);
        if (placed == next) {
            forget_failures(&targets->first); /* room that has been taken is given back */
            return false;
        }
        next = placed;
    }
    return true;
}

/* -------------------------------------------------------------------------------------- one block */

/** How far a block has been emptied. */
struct progress {
    uint32_t position; /* the frames before it have been examined */
    bool at_end;
    bool is_stuck; /* a run stays: the others would move in vain */
};

/** Let the run that reaches the rest of the budget be the last one of the batch. Returns whether runs after
 *  it were dropped. */
static bool cut_batch(const struct pass *pass, uint32_t *position)
{
    struct frames_compaction *compaction = pass->targets.frames->compaction;
    uint64_t frames = 0;

    for (unsigned i = 0; i < compaction->count; i++) {
        if (frames >= pass->left) {
            *position = position_of(pass->targets.frames, compaction->moves[i].from);
            compaction->count = i;
            return true;
        }
        frames += compaction->moves[i].count;
    }
    return false;
}

/** Isolate runs of a block. If need be, they may go to any block that is fuller than this one is now. */
static void isolate_some(struct pass *pass, uint32_t block, struct progress *progress, uint32_t shortest)
{
    const struct kva_frames *frames = pass->targets.frames;
    struct frames_zone *zone = pass->targets.zone;
    struct frames_cpu *cpu = enter_cpu(frames);
    uint64_t before = lock_block(frames, zone, block);
    uint64_t h = before;

    progress->at_end = true;
    if (pass->for_all)
        pass->targets.above = pass->spare ? 0 : used_of(h);
    if (can_be_emptied(frames, h)) {
        h = with_exact_top(frames, words_of(frames, zone, block), h);
        progress->at_end = kva_isolate_runs(frames, zone, block, &h, &progress->position, shortest);
        if (cut_batch(pass, &progress->position))
            progress->at_end = false;
    }
    commit_block(frames, zone, block, before, h);
    leave_cpu(frames, cpu);
}

/** Move one batch of runs of a block. */
static void move_some(struct pass *pass, uint32_t block, struct progress *progress, uint32_t shortest)
{
    const struct kva_frames *frames = pass->targets.frames;

    isolate_some(pass, block, progress, shortest);
    if (frames->compaction->count == 0)
        return;
    bool has_room = kva_find_targets(&pass->targets);
    struct frames_moves moves = kva_move_batch(frames, pass->targets.zone, block, !has_room);
    pass->done.moved_runs += moves.runs;
    pass->done.moved_frames += moves.frames;
    pass->done.pinned_runs += moves.refused;
    pass->left -= min_u64(pass->left, moves.frames);
    progress->is_stuck = !has_room || moves.refused > 0;
}

/** Record the result for a block. If all of it has been examined and something is left, mark it to be
 *  skipped. */
static void conclude_block(struct pass *pass, uint32_t block, const struct progress *progress)
{
    const struct kva_frames *frames = pass->targets.frames;
    struct frames_zone *zone = pass->targets.zone;
    struct frames_cpu *cpu = enter_cpu(frames);
    uint64_t before = lock_block(frames, zone, block);
    uint64_t h = before;

    h = with_exact_top(frames, words_of(frames, zone, block), h);
    pass->done.freed_blocks += free_of(h) == frames->size;
    pass->has_group =
        pass->has_group || (!pass->for_all && !is_held(h) && free_of(h) > 0 && top_of(h) >= pass->order);
    if (progress->at_end && can_be_emptied(frames, h))
        h |= SKIP_MASK;
    commit_block(frames, zone, block, before, h);
    leave_cpu(frames, cpu);
}

/** Whether a block that is being emptied already has a group of the wanted order. */
static bool block_has_group(const struct pass *pass, uint32_t block)
{
    uint64_t h = read_block_header(pass->targets.zone, block);

    return !pass->for_all && !is_held(h) && free_of(h) > 0 && top_of(h) >= pass->order;
}

/** An upper bound of the length of a block's runs. */
static uint32_t longest_run(const struct pass *pass, uint32_t block)
{
    const struct kva_frames *frames = pass->targets.frames;
    const struct frames_zone *zone = pass->targets.zone;
    uint64_t h = lock_block(frames, zone, block);
    const struct frames_word *words = words_of(frames, zone, block);
    uint32_t runs = 0;

    for (uint32_t w = 0; w < frames->words; w++)
        runs += (uint32_t)count_bits(words[w].taken & words[w].first);
    unlock_block(frames, zone, block, h);
    return used_of(h) - runs + 1;
}

/** Make the bound of a block's largest group exact: after given ranges or windows it may be far too large. */
static void tighten_bound(const struct pass *pass, uint32_t block)
{
    const struct kva_frames *frames = pass->targets.frames;
    struct frames_zone *zone = pass->targets.zone;
    struct frames_cpu *cpu = enter_cpu(frames);
    uint64_t before = lock_block(frames, zone, block);

    commit_block(frames, zone, block, before, with_exact_top(frames, words_of(frames, zone, block), before));
    leave_cpu(frames, cpu);
}

/** Move the runs of a block elsewhere, the longest first. */
static void empty_block(struct pass *pass, uint32_t block)
{
    struct progress progress = {0};
    uint32_t longest = longest_run(pass, block);

    tighten_bound(pass, block);
    forget_failures(&pass->targets.second);
    for (unsigned i = 0; i < RUN_LENGTHS && !progress.is_stuck; i++) {
        if (longest < shortest_runs[i])
            continue;
        progress = (struct progress){0};
        while (!progress.at_end && !progress.is_stuck && pass->left > 0 && !block_has_group(pass, block))
            move_some(pass, block, &progress, shortest_runs[i]);
    }
    while (progress.is_stuck && !progress.at_end) /* no run is that long: the rest is examined and stays */
        isolate_some(pass, block, &progress, UINT32_MAX);
    conclude_block(pass, block, &progress);
}

/* --------------------------------------------------------------------------------------- for all blocks */

/** Count the blocks of each level, and all of them. Returns how many can be emptied: all but the fullest,
 *  which hold the used frames. */
static uint32_t count_levels(const struct pass *pass, uint32_t *blocks)
{
    const struct kva_frames *frames = pass->targets.frames;
    uint32_t *levels = frames->compaction->levels;
    uint64_t used = 0;
    uint64_t elsewhere = 0; /* free frames of movable blocks that are never emptied */
    uint32_t count = 0;

    memset(levels, 0, (frames->size + (size_t)1) * sizeof *levels);
    for (uint32_t block = pass->from; block < pass->end; block++) {
        uint64_t h = read_block_header(pass->targets.zone, block);
        if (can_be_emptied(frames, h)) {
            levels[used_of(h)]++;
            used += used_of(h);
            count++;
        } else if (is_movable_block(h)) {
            elsewhere += free_of(h);
        }
    }
    *blocks = count;
    used -= min_u64(used, elsewhere);
    uint32_t kept = (uint32_t)((used + frames->size - 1) >> frames->order);
    return count > kept ? count - kept : 0;
}

/** Set level and cut so that so many blocks are sources. */
static void set_level(struct pass *pass, uint32_t sources)
{
    const struct kva_frames *frames = pass->targets.frames;
    const uint32_t *levels = frames->compaction->levels;
    uint32_t level = 0;

    for (; sources > levels[level]; level++)
        sources -= levels[level];
    pass->targets.level = level;
    pass->targets.cut = pass->from;
    for (; sources > 0 && pass->targets.cut < pass->end; pass->targets.cut++) {
        uint64_t h = read_block_header(pass->targets.zone, pass->targets.cut);
        sources -= can_be_emptied(frames, h) && used_of(h) == level;
    }
}

static bool round_has_ended(const struct pass *pass)
{
    return pass->left == 0 || pass->done.freed_blocks >= pass->enough ||
           pass->done.pinned_runs >= pass->too_many;
}

/** Empty the sources with more than `low` and up to `high` used frames. */
static void empty_level(struct pass *pass, uint32_t low, uint32_t high)
{
    for (uint32_t block = pass->from; block < pass->end && !round_has_ended(pass); block++) {
        uint64_t h = read_block_header(pass->targets.zone, block);
        if (!is_source(&pass->targets, block, h) || used_of(h) <= low || used_of(h) > high)
            continue;
        pass->targets.from = block;
        pass->targets.end = block + 1;
        empty_block(pass, block);
    }
}

void kva_forget_hints(const struct kva_frames *frames, const struct frames_zone *zone, uint32_t from,
                      uint32_t end)
{
    for (uint32_t block = from; block < end; block++) {
        if (!(read_block_header(zone, block) & SKIP_MASK))
            continue;
        uint64_t h = lock_block(frames, zone, block);
        unlock_block(frames, zone, block, h & ~SKIP_MASK);
    }
}

/** Let the next pass examine all blocks of this one again. */
static void forget_hints(const struct pass *pass)
{
    kva_forget_hints(pass->targets.frames, pass->targets.zone, pass->from, pass->end);
}

enum {
    CAREFUL_ROUNDS = 4,          /* these end at the first pinned run */
    ROUNDS = CAREFUL_ROUNDS + 33 /* the last one tries all blocks */
};

/** The least number of sources of a round. */
static uint64_t least_sources(unsigned round)
{
    return round < CAREFUL_ROUNDS ? 1 : UINT64_C(1) << (round - CAREFUL_ROUNDS);
}

/** Empty the blocks with the fewest used frames, as many as can be freed. Returns whether a pinned run has
 *  kept one of them, so that others may be emptied in its place. */
static bool empty_cheapest(struct pass *pass, unsigned round)
{
    uint64_t pinned = pass->done.pinned_runs;
    uint32_t blocks;
    uint32_t gain = count_levels(pass, &blocks);
    uint32_t sources = (uint32_t)min_u64(max_u64(gain, least_sources(round)), blocks);

    if (gain == 0)
        return false;
    pass->spare = sources > gain;
    pass->enough = pass->done.freed_blocks + gain;
    pass->too_many = round < CAREFUL_ROUNDS ? pinned + 1 : UINT64_MAX;
    forget_failures(&pass->targets.first); /* skipped blocks have become targets */
    set_level(pass, sources);
    for (uint32_t low = 0, high = 1; low <= pass->targets.level && !round_has_ended(pass);
         low = high, high *= 2)
        empty_level(pass, low, high);
    return pass->left > 0 && pass->done.pinned_runs > pinned;
}

static void compact_all(struct pass *pass)
{
    for (unsigned round = 0; round < ROUNDS && empty_cheapest(pass, round);)
        round++;
    pass->done.is_finished = pass->left > 0;
}

/* ---------------------------------------------------------------------------------------- for one group */

/** The headers of a zone, summed up for a request for a group. */
struct survey {
    uint64_t free;    /* frames */
    uint64_t movable; /* free frames of movable blocks */
    uint64_t groups;  /* there are at least so many free groups */
    uint32_t emptiest;
    uint32_t used; /* frames in use in the emptiest block; size + 1: there is none */
};

static struct survey look_around(const struct pass *pass)
{
    const struct kva_frames *frames = pass->targets.frames;
    const struct frames_header *headers = pass->targets.zone->headers;
    struct survey survey = {.used = frames->size + 1};
    unsigned order = pass->order;

    for (uint32_t block = pass->from, end = pass->end; block < end; block++) {
        uint64_t h = block_header(&headers[block]);
        uint32_t free = free_of(h);
        if (free == 0)
            continue;
        survey.free += free;
        survey.groups += ((free - 1) >> (top_of(h) < order ? top_of(h) : order)) + 1;
        if (!is_movable_block(h))
            continue;
        survey.movable += free;
        if (used_of(h) < survey.used && can_be_emptied(frames, h)) {
            survey.used = used_of(h);
            survey.emptiest = block;
        }
    }
    return survey;
}

/** Whether the bound of the fragmentation index is above 0: 1 - (1 + F / 2^order) / groups > 0. (A zone has
 *  fewer than 2^46 frames: no overflow.) docs/theory/frames.md, "When it helps", gives the reason for 0. */
static bool is_fragmented(const struct survey *survey, unsigned order)
{
    uint64_t size = UINT64_C(1) << order;

    return survey->free >= size && survey->groups << order > size + survey->free;
}

/** Make the bounds of the largest groups exact: bounds that are too large make the groups seem few. */
static void tighten_bounds(const struct pass *pass)
{
    for (uint32_t block = pass->from; block < pass->end; block++)
        tighten_bound(pass, block);
}

/** Survey the zone; if there seem to be few groups, once more with exact bounds. */
static bool is_worth_it(const struct pass *pass, struct survey *survey)
{
    *survey = look_around(pass);
    if (!is_fragmented(survey, pass->order)) {
        tighten_bounds(pass);
        *survey = look_around(pass);
    }
    return is_fragmented(survey, pass->order);
}

/** Empty a block into all others, if they have enough room. */
static void empty_for_group(struct pass *pass, uint32_t block, uint64_t movable)
{
    uint64_t h = read_block_header(pass->targets.zone, block);

    if (!can_be_emptied(pass->targets.frames, h) || movable - min_u64(movable, free_of(h)) < used_of(h))
        return;
    pass->targets.from = block;
    pass->targets.end = block + 1;
    forget_failures(&pass->targets.first); /* the previously emptied block may be a target */
    empty_block(pass, block);
}

/** Empty the emptiest block. If something stays there, empty others, those with few used frames first, until
 *  there is a group of the order. */
static void compact_for_group(struct pass *pass)
{
    uint32_t size = pass->targets.frames->size;
    struct survey survey;
    bool is_worth = is_worth_it(pass, &survey) && survey.used <= size;

    if (is_worth)
        empty_for_group(pass, survey.emptiest, survey.movable);
    for (uint32_t low = 0, high = 1; low < size && is_worth; low = high, high *= 2) {
        for (uint32_t block = pass->from; block < pass->end && pass->left > 0 && !pass->has_group; block++) {
            uint32_t used = used_of(read_block_header(pass->targets.zone, block));
            if (used > low && used <= high)
                empty_for_group(pass, block, survey.movable);
        }
    }
    pass->done.is_finished = pass->has_group || pass->left > 0;
}

/* --------------------------------------------------------------------------------------------- the calls */

static struct pass pass_of(const struct kva_frames *frames, struct frames_zone *zone, unsigned order,
                           bool for_all, uint64_t most)
{
    struct pass pass = {
        .targets = {.frames = frames, .zone = zone, .above = UINT32_MAX},
        .end = zone->rows.blocks,
        .order = order,
        .for_all = for_all,
        .left = most,
    };
    return pass;
}

static void add_done(struct kva_frames_compacted *sum, const struct pass *pass)
{
    sum->moved_runs += pass->done.moved_runs;
    sum->moved_frames += pass->done.moved_frames;
    sum->freed_blocks += pass->done.freed_blocks;
    sum->pinned_runs += pass->done.pinned_runs;
    sum->is_finished = sum->is_finished && pass->done.is_finished;
}

enum kva_status kva_frames_compact(struct kva_frames *frames, size_t zone, unsigned order, uint64_t most,
                                   struct kva_frames_compacted *done)
{
    struct kva_frames_compacted sum = {.is_finished = true};
    bool for_all = order == KVA_FRAMES_ALL_BLOCKS;

    if (!frames)
        return KVA_ENULL;
    if (zone != KVA_FRAMES_ALL_ZONES && zone >= frames->zone_count)
        return refuse(frames, KVA_EINVAL, __func__, KVA_NO_FRAME, "zone");
    if (!for_all && order > frames->order)
        return refuse(frames, KVA_EINVAL, __func__, KVA_NO_FRAME, "order");
    enum kva_status status = kva_compaction_enter(frames);
    if (status != KVA_OK)
        return status == KVA_EREENTRY ? refuse(frames, status, __func__, KVA_NO_FRAME, NULL) : status;
    kva_drain(frames);
    bool has_group = false;
    for (size_t z = 0; z < frames->zone_count && !for_all && !has_group; z++)
        has_group = is_named(&frames->zones[z], zone) && kva_has_group(frames, &frames->zones[z], order);
    for (size_t z = 0; z < frames->zone_count && !has_group; z++) {
        if (!is_named(&frames->zones[z], zone))
            continue;
        struct pass pass = pass_of(frames, &frames->zones[z], for_all ? frames->order : order, for_all,
                                   most - min_u64(most, sum.moved_frames));
        if (for_all)
            compact_all(&pass);
        else
            compact_for_group(&pass);
        has_group = pass.has_group;
        add_done(&sum, &pass);
        sum.is_finished = sum.is_finished || has_group;
    }
    /* Only when finished: otherwise each slice of another zone would begin a finished zone again. */
    for (size_t z = 0; z < frames->zone_count && sum.is_finished; z++) {
        if (is_named(&frames->zones[z], zone))
            kva_forget_hints(frames, &frames->zones[z], 0, frames->zones[z].rows.blocks);
    }
    kva_compaction_leave(frames);
    if (done)
        *done = sum;
    return KVA_OK;
}

/* ------------------------------------------------------------------------------------- for a request */

enum { DEFER_MOST = 6 }; /* 2^6 - 1 requests */

bool kva_compaction_is_deferred(struct frames_compaction *compaction, unsigned order)
{
    unsigned left = atomic_load_explicit(&compaction->defer_left, memory_order_relaxed);

    if (left == 0 || order < atomic_load_explicit(&compaction->defer_order, memory_order_relaxed))
        return false;
    atomic_store_explicit(&compaction->defer_left, left - 1, memory_order_relaxed);
    return true;
}

void kva_compaction_note(struct frames_compaction *compaction, unsigned order, bool helped)
{
    unsigned shift = atomic_load_explicit(&compaction->defer_shift, memory_order_relaxed);

    if (helped && order < atomic_load_explicit(&compaction->defer_order, memory_order_relaxed))
        return;
    shift = helped ? 0 : shift < DEFER_MOST ? shift + 1 : shift;
    atomic_store_explicit(&compaction->defer_shift, shift, memory_order_relaxed);
    atomic_store_explicit(&compaction->defer_order, order, memory_order_relaxed);
    atomic_store_explicit(&compaction->defer_left, (1u << shift) - 1, memory_order_relaxed);
}

/** Restrict a pass to the blocks that lie wholly in a demand's window. Returns whether there are any. */
static bool set_window(struct pass *pass, const struct frames_demand *demand)
{
    const struct kva_frames *frames = pass->targets.frames;
    const struct frames_zone *zone = pass->targets.zone;

    if ((demand->this_node && zone->node != demand->node) || demand->min >= zone->end ||
        demand->last < zone->start)
        return false;
    if (demand->min > zone->start)
        pass->from = block_of(frames, zone, demand->min + (frames->size - 1));
    if (demand->last < zone->end - 1)
        pass->end = block_of(frames, zone, demand->last + 1);
    return pass->from < pass->end;
}

bool kva_compact_for(const struct kva_frames *frames, const struct frames_demand *demand)
{
    unsigned order = highest_bit(max_u64(demand->count, demand->align)) +
                     (demand->align <= demand->count && !is_power_of_two(demand->count));
    bool helped = false;
    bool has_tried = false;

    if (!frames->compaction || kva_compaction_is_deferred(frames->compaction, order) ||
        kva_compaction_enter(frames) != KVA_OK)
        return false;
    kva_drain(frames);
    for (size_t i = 0; i < frames->zone_count && !helped; i++) {
        struct frames_zone *zone = &frames->zones[frames->by_node[demand->node * frames->zone_count + i]];
        struct pass pass = pass_of(frames, zone, order, false, UINT64_MAX);
        if (!set_window(&pass, demand))
            continue;
        compact_for_group(&pass);
        forget_hints(&pass);
        helped = pass.has_group;
        has_tried = has_tried || pass.done.moved_runs + pass.done.pinned_runs > 0;
    }
    if (helped || has_tried)
        kva_compaction_note(frames->compaction, order, helped);
    kva_compaction_leave(frames);
    return true;
}
