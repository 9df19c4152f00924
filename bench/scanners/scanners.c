/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THEORY
 *   Two scanners walk through the blocks of a zone. The MIGRATE SCANNER climbs from the first block and
 *   collects movable runs in use; the FREE SCANNER descends from the last one and collects free frames, to
 *   which those runs are moved. The scan ends when both are in the same block.
 *
 *      before  | 3 | 9 | . | 5 | 8 | 2 | . | 7 |     used frames of blocks of ten
 *                ->                          <-
 *
 *      after   | . | . | . | 4 |10 |10 | . |10 |     two more free blocks, by 13 moves
 *
 *   The scanners do not use the counts of used frames. A low block that is nearly full is emptied, and a high
 *   block with a single used frame is filled. Compaction by counts saves these moves: above, it empties the
 *   blocks with 2 and 3 frames, by 5 moves.
 *
 * SKIPPED BLOCKS
 *   Blocks with unmovable frames, blocks that a CPU holds, blocks that one run covers, and blocks with the
 *   skip hint, whose work range a scanner has examined in vain. A wholly free block is no target, because
 *   compaction is meant to make such blocks. When the scanners meet, the hints are cleared, and the next scan
 *   begins at the ends of the zone.
 *
 * RUNS OF SEVERAL FRAMES
 *   They need room of their length. The free scanner stays at a block while that block has free frames, and
 *   searches lower blocks for runs that do not fit there. A run that fits nowhere above the migrate scanner
 *   stays in place.
 *
 * POSITIONS
 *   They are frame numbers inside the zone: for the migrate scanner, a frame of its block; for the free
 *   scanner, the last frame of its block that lies in the zone. They are compared by block.
 *
 * NOT DONE
 *   Targets from free lists instead of a scan. Migration for one order: a scan that ends at the first free
 *   group.
 *
 * SOURCE
 *   The two scanners, their names and the skip hints are those of Linux's compaction (mm/compaction.c). The
 *   code is our own.
 */
#include "scanners.h"

#include "../../src/frames/frames_compact.h"
#include "../../src/frames/frames_find.h"

static uint32_t migrate_block(const struct scanners *scanners)
{
    return block_of(scanners->frames, scanners->zone, scanners->migrate);
}

static uint32_t free_block(const struct scanners *scanners)
{
    return block_of(scanners->frames, scanners->zone, scanners->free);
}

static void restart(struct scanners *scanners)
{
    scanners->migrate = scanners->zone->start;
    scanners->free = scanners->zone->end - 1;
    scanners->have_met = migrate_block(scanners) == free_block(scanners);
    scanners->has_gained = false;
}

enum kva_status scanners_init(struct scanners *scanners, struct kva_frames *frames, size_t zone)
{
    for (size_t z = 0; z < frames->zone_count; z++) {
        if (frames->zones[z].index != zone)
            continue;
        *scanners = (struct scanners){.frames = frames, .zone = &frames->zones[z], .have_met = true};
        restart(scanners);
        return KVA_OK;
    }
    return KVA_EINVAL;
}

/* ------------------------------------------------------------------------------------------------ headers */

/** Whether a scanner examines a block. */
static bool is_suitable(uint64_t h)
{
    return kind_of(h) == KIND_MOVABLE && !is_held(h) && used_of(h) > 0 && whole_of(h) == WHOLE_NOT &&
           (h & SKIP_MASK) == 0;
}

static uint64_t header_of(const struct scanners *scanners, uint32_t block)
{
    return block_header(&scanners->zone->headers[block]);
}

/* --------------------------------------------------------------------------------------- the free scanner */

/** Isolate room in one block for runs of the batch, from `next` on. Returns the first run without room. */
static unsigned fill_block(const struct scanners *scanners, uint32_t block, unsigned next)
{
    const struct kva_frames *frames = scanners->frames;
    bool is_single = frames->compaction->moves[next].count == 1;
    struct frames_cpu *cpu = enter_cpu(frames);
    uint64_t before = lock_block(frames, scanners->zone, block);
    uint64_t h = before;
    unsigned placed = next;

    if (is_suitable(h)) {
        placed = kva_isolate_room(frames, scanners->zone, block, &h, next);
        if (placed == next && is_single)
            h |= SKIP_MASK;
    }
    commit_block(frames, scanners->zone, block, before, h);
    leave_cpu(frames, cpu);
    return placed;
}

/** Descend to the first block with free frames, at most to the migrate scanner's block. */
static void descend(struct scanners *scanners)
{
    uint32_t block = free_block(scanners);
    uint32_t low = migrate_block(scanners);

    while (block > low &&
           (!is_suitable(header_of(scanners, block)) || free_of(header_of(scanners, block)) == 0)) {
        scanners->free = first_frame(scanners->frames, scanners->zone, block) - 1;
        block--;
    }
}

/** Find room for the run `next` of the batch, and for those after it that fit into the same block. */
static unsigned place_run(struct scanners *scanners, unsigned next)
{
    uint64_t count = scanners->frames->compaction->moves[next].count;
    uint32_t low = migrate_block(scanners);
    unsigned placed = next;

    descend(scanners);
    for (uint32_t block = free_block(scanners); block > low && placed == next; block--) {
        if (is_suitable(header_of(scanners, block)) && free_of(header_of(scanners, block)) >= count)
            placed = fill_block(scanners, block, next);
    }
    return placed;
}

/* ------------------------------------------------------------------------------------ the migrate scanner */

/** Isolate runs of the migrate scanner's block. Returns whether the end of the block was reached. */
static bool isolate_some(struct scanners *scanners)
{
    const struct kva_frames *frames = scanners->frames;
    uint32_t block = migrate_block(scanners);
    uint32_t position = position_of(frames, scanners->migrate);
    uint64_t before = lock_block(frames, scanners->zone, block);
    uint64_t h = before;
    bool at_end = true;

    if (is_suitable(h)) {
        at_end = kva_isolate_runs(frames, scanners->zone, block, &h, &position, 1);
        if (at_end && frames->compaction->count == 0 && !scanners->has_gained)
            h |= SKIP_MASK;
    }
    commit_block(frames, scanners->zone, block, before, h);
    if (!at_end)
        scanners->migrate = first_frame(frames, scanners->zone, block) + position;
    return at_end;
}

/** Drop the runs of the batch from `next` on: they stay in place. Runs that were freed meanwhile become free
 *  frames. */
static void let_go(const struct scanners *scanners, unsigned next)
{
    const struct kva_frames *frames = scanners->frames;
    struct frames_compaction *compaction = frames->compaction;
    uint32_t block = migrate_block(scanners);
    uint64_t before = lock_block(frames, scanners->zone, block);
    uint64_t h = before;

    for (unsigned i = next; i < compaction->count; i++) {
        const struct frames_move *move = &compaction->moves[i];
        uint32_t from = position_of(frames, move->from);
        if (move->is_given)
            h = give_frames(frames, words_of(frames, scanners->zone, block), h, from,
                            from + (uint32_t)move->count);
    }
    compaction->count = next;
    commit_block(frames, scanners->zone, block, before, h);
}

/** Find room for the batch. A run without room is skipped, and the scan continues after it. */
static bool find_room(struct scanners *scanners, bool at_end)
{
    const struct kva_frames *frames = scanners->frames;
    const struct frames_compaction *compaction = frames->compaction;
    uint32_t block = migrate_block(scanners);
    uint64_t end = first_frame(frames, scanners->zone, block) + work_range(frames, scanners->zone, block).end;

    for (unsigned next = 0, placed; next < compaction->count; next = placed) {
        uint64_t after = compaction->moves[next].from + compaction->moves[next].count;
        placed = place_run(scanners, next);
        if (placed > next)
            continue;
        at_end = after == end;
        if (!at_end)
            scanners->migrate = after;
        let_go(scanners, next);
    }
    return at_end;
}

/** Move a batch. Climb to the next block when the end of this one was reached. */
static void move_some(struct scanners *scanners, struct kva_frames_compacted *done)
{
    const struct kva_frames *frames = scanners->frames;
    uint32_t block = migrate_block(scanners);
    bool at_end = find_room(scanners, isolate_some(scanners));
    struct frames_moves moves = kva_move_batch(frames, scanners->zone, block, false);

    done->moved_runs += moves.runs;
    done->moved_frames += moves.frames;
    done->pinned_runs += moves.refused;
    scanners->has_gained = scanners->has_gained || moves.runs > 0;
    if (moves.runs > 0 && free_of(header_of(scanners, block)) == frames->size)
        done->freed_blocks++;
    scanners->have_met = free_block(scanners) == block;
    if (at_end && !scanners->have_met) {
        scanners->migrate = first_frame(frames, scanners->zone, block + 1);
        scanners->has_gained = false;
        scanners->have_met = free_block(scanners) == block + 1;
    }
}

/* --------------------------------------------------------------------------------------------- compaction */

static void scan(struct scanners *scanners, uint64_t most, struct kva_frames_compacted *done)
{
    if (scanners->have_met)
        restart(scanners);
    while (!scanners->have_met && done->moved_frames < most)
        move_some(scanners, done);
    done->is_finished = scanners->have_met;
    if (scanners->have_met)
        kva_forget_hints(scanners->frames, scanners->zone, 0, scanners->zone->rows.blocks);
}

enum kva_status scanners_compact(struct scanners *scanners, uint64_t most, struct kva_frames_compacted *done)
{
    struct kva_frames_compacted sum = {0};
    enum kva_status status = kva_compaction_enter(scanners->frames);

    if (status != KVA_OK)
        return status;
    kva_drain(scanners->frames);
    scan(scanners, most, &sum);
    kva_compaction_leave(scanners->frames);
    if (done)
        *done = sum;
    return KVA_OK;
}
