/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The search for room when the block that the CPU holds has none.
 *
 * ORDER. In each zone in turn, nearer nodes first:
 *
 *   1. blocks of the demand's kind: for a single frame, those with many free frames, so that the same block
 *      serves the next ones; for a group or run, those whose largest free group is the smallest that
 *      suffices;
 *   2. empty blocks.
 *      Both first in the CPU's HOME, a range of the zone's blocks, then in the rest of the zone: two CPUs
 *      mostly use blocks far apart, whose headers, states and rows lie on different cache lines;
 *   3. what is left: blocks of the kind with few free frames, and unused ones with holes.
 *
 * If that fails in all zones, the search takes the locks of all CPUs and ends all holds. Then, in all zones:
 *
 *   4. all blocks of the kind, all unused ones;
 *   5. blocks of the other kind, and the unused ones again. An unmovable run makes a movable block unmovable;
 *   6. runs across blocks.
 *
 * docs/theory/frames.md, "Why KVA_ENOSPC is exact", proves that the search under the locks of all CPUs misses
 * nothing.
 */
#include "frames_find.h"

#include "frames_span.h"

/** A search through a zone. */
struct search {
    const struct kva_frames *frames;
    const struct frames_demand *demand;
    struct frames_zone *zone;
    struct frames_cpu *cpu;
    unsigned number;
    uint32_t from; /* the blocks [from, end) have frames in the window */
    uint32_t end;
    bool covers; /* the window covers the zone: a block may be held */
    uint64_t *first;
};

static struct frames_counts *counts_of(const struct search *search)
{
    return &search->cpu->counts[search->zone - search->frames->zones];
}

/** How many blocks with many free frames a request for a small group tries: such a block may lack such a
 *  group. */
enum { TRIES_FOR_SMALL_GROUP = 8 };

/* ------------------------------------------------------------------------------------------ one block */

void kva_shape_demand(const struct kva_frames *frames, struct frames_demand *demand)
{
    unsigned order = highest_bit(demand->count);
    bool is_group =
        is_power_of_two(demand->count) && demand->align == demand->count && order <= frames->order;
    unsigned above = order + !is_power_of_two(demand->count);

    demand->group = is_group ? order : NO_GROUP;
    demand->least_top = is_group ? order : least_group(demand->count, demand->align);
    demand->size_class = class_of_order(frames, above);
}

/** Where a demand fits in a locked block; `size` if nowhere. */
static uint32_t find_place(const struct kva_frames *frames, const struct frames_zone *zone, uint32_t block,
                           uint64_t h, const struct frames_demand *demand)
{
    const struct frames_word *words = words_of(frames, zone, block);
    uint64_t begin = first_frame(frames, zone, block);
    uint32_t from = 0;
    uint32_t end = frames->size;

    if (free_of(h) < demand->count)
        return frames->size;
    if (demand->min > begin)
        from = (uint32_t)(demand->min - begin);
    if (demand->last - begin < end)
        end = (uint32_t)(demand->last - begin) + 1;
    if (demand->group != NO_GROUP && from == 0 && end == frames->size)
        return find_free_group(frames, words, h, demand->group);
    uint32_t position = find_run(words, begin, from, end, demand->count, demand->align);
    return position < end ? position : frames->size;
}

/** End the hold of a block that a slot has named, if the slot's CPU still holds it. */
static void release_block(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block,
                          unsigned cpu, unsigned slot)
{
    uint64_t before = lock_block(frames, zone, block);
    uint64_t h = before;

    if ((h & (OWNER_MASK | SLOT_MASK)) == (hold_bits(cpu, slot, KIND_UNUSED) & ~KIND_MASK))
        h = without_holder(frames, words_of(frames, zone, block), h);
    commit_block(frames, zone, block, before, h);
}

/** End all holds. The caller has the locks of all CPUs. */
static void release_held(const struct kva_frames *frames)
{
    for (unsigned cpu = 0; cpu < frames->locks.cpu_count; cpu++) {
        for (size_t z = 0; z < frames->zone_count; z++) {
            for (unsigned slot = 0; slot < SLOTS; slot++) {
                _Atomic uint32_t *held = slot_of(frames, &frames->zones[z], cpu, slot);
                uint32_t block = atomic_load_explicit(held, memory_order_relaxed);
                if (block == 0)
                    continue;
                atomic_store_explicit(held, 0, memory_order_relaxed);
                release_block(frames, &frames->zones[z], block - 1, cpu, slot);
            }
        }
    }
}

void kva_drain(const struct kva_frames *frames)
{
    kva_cpus_take(&frames->locks);
    release_held(frames);
    kva_cpus_drop(&frames->locks);
}

/** Name a locked block in the slot of its kind and the demand's size class. Returns the slot's previous block
 *  plus one, or 0. */
static uint32_t hold_block(const struct search *search, uint32_t block, uint64_t *h)
{
    unsigned slot = slot_number(kind_of(*h), search->demand->size_class);
    _Atomic uint32_t *held = slot_of(search->frames, search->zone, search->number, slot);
    uint32_t before = atomic_load_explicit(held, memory_order_relaxed);

    atomic_store_explicit(held, block + 1, memory_order_relaxed);
    *h = (*h & ~HOLD_MASK) | hold_bits(search->number, slot, kind_of(*h));
    return before;
}

/** Whether the CPU should hold the block that it has taken from. A held block serves the next requests of
 *  this class, whether they fit well or not: that is quick, but breaks up large groups. Where no block is
 *  empty, a block whose largest group was just large enough is not held, and the next request searches for
 *  its own best fit. */
static bool is_worth_holding(const struct search *search, uint64_t h)
{
    const struct frames_demand *demand = search->demand;

    if (!search->covers || kind_of(h) != demand->kind)
        return false;
    return demand->size_class == 0 || demand->size_class == CLASS_BLOCK || top_of(h) > demand->least_top ||
           row_next(&search->zone->rows, ROW_EMPTY, search->from, search->end) < search->end;
}

/** Lock one block, and take the run if it fits there. */
static bool try_block(const struct search *search, uint32_t block, bool other_kind)
{
    const struct kva_frames *frames = search->frames;
    const struct frames_demand *demand = search->demand;
    struct frames_zone *zone = search->zone;
    uint64_t before = lock_block(frames, zone, block);
    uint64_t h = before;
    uint32_t position = frames->size;
    uint32_t released = 0;

    bool is_searched =
        !is_held(h) && (kind_of(h) == KIND_UNUSED || (kind_of(h) == demand->kind) != other_kind);
    if (is_searched)
        position = find_place(frames, zone, block, h, demand);
    if (position < frames->size) {
        uint32_t end = position + (uint32_t)demand->count;
        h = join_kinds(h, demand->kind, counts_of(search));
        h = take_frames(frames, words_of(frames, zone, block), h, position, end, true, false);
        if (is_worth_holding(search, h))
            released = hold_block(search, block, &h);
        else
            h = with_exact_top(frames, words_of(frames, zone, block), h);
    } else if (is_searched && demand->group != NO_GROUP && search->covers && kind_of(h) != KIND_UNUSED &&
               demand->group > 0 && top_of(h) >= demand->group) {
        h = with_top(h, demand->group - 1);
    }
    commit_block(frames, zone, block, before, h);
    if (released > 0 && released != block + 1)
        release_block(frames, zone, released - 1, search->number,
                      slot_number(demand->kind, demand->size_class));
    if (position < frames->size)
        *search->first = first_frame(frames, zone, block) + position;
    return position < frames->size;
}

/** Take from the block that the CPU holds. */
static bool try_held(const struct search *search)
{
    const struct kva_frames *frames = search->frames;
    const struct frames_demand *demand = search->demand;
    struct frames_zone *zone = search->zone;
    unsigned slot = slot_number(demand->kind, demand->size_class);
    uint32_t held = atomic_load_explicit(slot_of(frames, zone, search->number, slot), memory_order_relaxed);

    if (held == 0 || !search->covers)
        return false;
    uint64_t before = lock_block(frames, zone, held - 1);
    uint64_t h = before;
    uint32_t position = frames->size;
    if ((h & HOLD_MASK) == hold_bits(search->number, slot, demand->kind))
        position = find_place(frames, zone, held - 1, h, demand);
    if (position < frames->size) {
        uint32_t end = position + (uint32_t)demand->count;
        h = take_frames(frames, words_of(frames, zone, held - 1), h, position, end, true, false);
        *search->first = first_frame(frames, zone, held - 1) + position;
    }
    commit_block(frames, zone, held - 1, before, h);
    return position < frames->size;
}

/* --------------------------------------------------------------------------------------------- rows */

/** Try up to `tries` blocks of a row in [from, end); skip those whose `top` is too small. */
static bool try_row(const struct search *search, unsigned row, uint32_t from, uint32_t end, unsigned tries,
                    bool other_kind)
{
    const struct frames_zone *zone = search->zone;

    for (uint32_t block = from; tries > 0; block++, tries--) {
        block = row_next(&zone->rows, row, block, end);
        if (block >= end)
            return false;
        uint32_t low = atomic_load_explicit(&zone->headers[block].low, memory_order_relaxed);
        if (top_of(low) >= search->demand->least_top && try_block(search, block, other_kind))
            return true;
    }
    return false;
}

/** Try the blocks of a kind, those with the smallest largest group first. */
static bool try_tops(const struct search *search, enum frames_kind kind, uint32_t from, uint32_t end)
{
    const struct kva_frames *frames = search->frames;

    for (unsigned top = search->demand->least_top; top < frames->order; top++) {
        if (try_row(search, row_top(frames, kind, top), from, end, UINT32_MAX, kind != search->demand->kind))
            return true;
    }
    return false;
}

/** Steps 1 and 2 in a part of the zone. */
static bool try_part(const struct search *search, uint32_t from, uint32_t end)
{
    const struct frames_demand *demand = search->demand;
    unsigned tries = demand->group == 0 ? UINT32_MAX : TRIES_FOR_SMALL_GROUP;

    if (from >= end)
        return false;
    if (demand->size_class == 0 && try_row(search, row_many(demand->kind), from, end, tries, false))
        return true;
    if ((demand->size_class > 0 || demand->group > 0) && try_tops(search, demand->kind, from, end))
        return true;
    return try_row(search, ROW_EMPTY, from, end, UINT32_MAX, false);
}

/** Whether a block that no CPU holds may have room, by the highest summaries: a few loads for a full zone. */
static bool may_have_room(const struct search *search)
{
    const struct frames_rows *rows = &search->zone->rows;
    enum frames_kind kind = search->demand->kind;
    uintptr_t bits = row_root(rows, ROW_EMPTY) | row_root(rows, ROW_PARTIAL);

    for (unsigned top = search->demand->least_top; top < search->frames->order; top++)
        bits |= row_root(rows, row_top(search->frames, kind, top));
    return bits != 0;
}

/** The held block; steps 1 and 2 in the CPU's home, after it and before it; step 3. */
static bool try_zone(const struct search *search)
{
    enum frames_kind kind = search->demand->kind;
    uint32_t from = search->from;
    uint32_t end = search->end;
    uint32_t home = search->zone->home_blocks * search->number;
    uint32_t home_end = home + search->zone->home_blocks;

    home = home < from ? from : home < end ? home : end;
    if (home_end < home)
        home_end = home;
    if (home_end > end || search->number + 1 == search->frames->locks.cpu_count)
        home_end = end;
    if (try_held(search))
        return true;
    return may_have_room(search) &&
           (try_part(search, home, home_end) || try_part(search, home_end, end) ||
            try_part(search, from, home) || try_tops(search, kind, home, end) ||
            try_tops(search, kind, from, home) || try_row(search, ROW_PARTIAL, from, end, UINT32_MAX, false));
}

static bool try_unused(const struct search *search)
{
    return try_row(search, ROW_EMPTY, search->from, search->end, UINT32_MAX, false) ||
           try_row(search, ROW_PARTIAL, search->from, search->end, UINT32_MAX, false);
}

static bool try_own_kind(const struct search *search)
{
    return try_tops(search, search->demand->kind, search->from, search->end) || try_unused(search);
}

static bool try_other_kind(const struct search *search)
{
    enum frames_kind kind = search->demand->kind == KIND_MOVABLE ? KIND_UNMOVABLE : KIND_MOVABLE;

    return try_tops(search, kind, search->from, search->end) || try_unused(search);
}

static bool try_across(const struct search *search)
{
    return kva_span_take(search->frames, search->zone, search->demand, counts_of(search), search->first);
}

/** Whether a block of a row has a free group of an order. Makes the bounds exact on the way. */
static bool row_has_group(const struct kva_frames *frames, struct frames_zone *zone, unsigned row,
                          unsigned order)
{
    for (uint32_t block = 0;
         (block = row_next(&zone->rows, row, block, zone->rows.blocks)) < zone->rows.blocks; block++) {
        uint64_t before = lock_block(frames, zone, block);
        uint64_t h = with_exact_top(frames, words_of(frames, zone, block), before);
        bool has = free_of(h) > 0 && !is_held(h) && top_of(h) >= order;
        commit_block(frames, zone, block, before, h);
        if (has)
            return true;
    }
    return false;
}

bool kva_has_group(const struct kva_frames *frames, struct frames_zone *zone, unsigned order)
{
    struct frames_cpu *cpu = enter_cpu(frames);
    bool has =
        row_has_group(frames, zone, ROW_EMPTY, order) || row_has_group(frames, zone, ROW_PARTIAL, order);

    for (unsigned top = order; top < frames->order && !has; top++)
        has = row_has_group(frames, zone, row_top(frames, KIND_MOVABLE, top), order) ||
              row_has_group(frames, zone, row_top(frames, KIND_UNMOVABLE, top), order);
    leave_cpu(frames, cpu);
    return has;
}

/* -------------------------------------------------------------------------------------------- zones */

/** Prepare `search` for a zone. Returns whether the zone may serve the demand. */
static bool enter_zone(struct search *search, struct frames_zone *zone)
{
    const struct frames_demand *demand = search->demand;

    if (demand->this_node && zone->node != demand->node)
        return false;
    if (demand->min >= zone->end || demand->last < zone->start)
        return false;
    search->zone = zone;
    search->covers = demand->min <= zone->start && demand->last >= zone->end - 1;
    search->from = block_of(search->frames, zone, max_u64(demand->min, zone->start));
    search->end = block_of(search->frames, zone, min_u64(demand->last, zone->end - 1)) + 1;
    return true;
}

/** Search the zones that a demand may use, in its node's order. */
static bool try_zones(struct search *search, bool (*search_zone)(const struct search *search))
{
    const struct kva_frames *frames = search->frames;
    const uint16_t *order = &frames->by_node[search->demand->node * frames->zone_count];

    for (size_t i = 0; i < frames->zone_count; i++) {
        struct frames_zone *zone = &frames->zones[order[i]];
        if (!enter_zone(search, zone) || !search_zone(search))
            continue;
        counts_of(search)->elsewhere += zone->node != search->demand->node;
        return true;
    }
    return false;
}

/** How many clearings of summaries, in all zones, have begun or have ended. */
static uintptr_t count_clears(const struct kva_frames *frames, bool ended)
{
    uintptr_t sum = 0;

    for (size_t z = 0; z < frames->zone_count; z++) {
        const struct frames_rows *rows = &frames->zones[z].rows;
        sum += atomic_load(ended ? rows_ended(rows) : rows_began(rows));
    }
    return sum;
}

/** Search everything under the locks of all CPUs. */
static bool take_exactly(struct search *search)
{
    const struct kva_frames *frames = search->frames;
    bool in_block = search->demand->count <= frames->size;
    bool found;
    uintptr_t ended;

    kva_cpus_take(&frames->locks);
    release_held(frames);
    do {
        ended = count_clears(frames, true);
        found = (in_block && (try_zones(search, try_own_kind) || try_zones(search, try_other_kind))) ||
                (search->demand->group == NO_GROUP && try_zones(search, try_across));
    } while (!found && count_clears(frames, false) != ended);
    kva_cpus_drop(&frames->locks);
    return found;
}

enum kva_status kva_find_and_take(const struct kva_frames *frames, const struct frames_demand *demand,
                                  uint64_t *first)
{
    unsigned number = cpu_number(frames);
    struct search search = {
        .frames = frames, .demand = demand, .cpu = cpu_of(frames, number), .number = number, .first = first};
    bool found = false;

    if (demand->count <= frames->size) {
        lock_take(&search.cpu->lock, threads_of_set(frames));
        found = try_zones(&search, try_zone);
        lock_drop(&search.cpu->lock, threads_of_set(frames));
    }
    return found || take_exactly(&search) ? KVA_OK : KVA_ENOSPC;
}
