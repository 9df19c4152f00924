/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Queries: what is at a number, statistics, free groups by order. */
#include "frames_freeze.h"

/* --------------------------------------------------------------------------------------------- find */

/** The frames around a position, as one block shows them. */
struct surroundings {
    enum kva_frames_state state;
    uint32_t from; /* the run; or the frames that are in the same state, free or absent */
    uint32_t end;
    bool goes_back; /* the run begins before the block */
    bool goes_on;
    enum kva_frames_type type;
};

/** A block in which nothing is in use is reported as movable, whatever kind a CPU holds it for. */
static bool is_unmovable(uint64_t h)
{
    return used_of(h) > 0 && kind_of(h) == KIND_UNMOVABLE;
}

static struct surroundings look_in_block(const struct kva_frames *frames, const struct frames_word *words,
                                         uint64_t h, uint32_t position)
{
    struct surroundings look = {KVA_FRAMES_USED, 0,
                                frames->size,    whole_of(h) == WHOLE_INSIDE,
                                false,           is_unmovable(h) ? KVA_UNMOVABLE : KVA_MOVABLE};
    const struct frames_word *word = &words[position / 64];
    uint64_t bit = UINT64_C(1) << position % 64;

    if (whole_of(h) == WHOLE_NOT && (word->taken & bit)) {
        look.from = begin_of_run(words, position);
        look.end = end_of_inside(words, position + 1, frames->size);
        look.goes_back = look.from == 0 && (words[0].first & 1) == 0;
    } else if (whole_of(h) == WHOLE_NOT) {
        bool is_free = (word->first & bit) == 0;
        look.state = is_free ? KVA_FRAMES_FREE : KVA_FRAMES_ABSENT;
        look.from = begin_of_state(words, position, is_free);
        look.end = end_of_state(words, position, frames->size, is_free);
    }
    look.goes_on = look.state == KVA_FRAMES_USED && look.end == frames->size && (h & CONT_MASK) != 0;
    return look;
}

/** The same for a locked block. */
static struct surroundings look_at(const struct kva_frames *frames, const struct frames_zone *zone,
                                   uint32_t block, uint32_t position)
{
    return look_in_block(frames, words_of(frames, zone, block), block_header(&zone->headers[block]),
                         position);
}

/** Lock the block of a frame, and those before it down to the one in which its run begins. Blocks are locked
 *  upwards, so each attempt starts further below, until that one is among them. Returns the lowest locked
 *  block. */
static uint32_t lock_back(const struct kva_frames *frames, const struct frames_zone *zone, uint32_t block,
                          uint32_t position)
{
    uint32_t low = block;

    for (uint32_t step = 1;; step *= 2) {
        for (uint32_t b = low; b <= block; b++)
            (void)lock_block(frames, zone, b);
        struct surroundings look = look_at(frames, zone, block, position);
        for (uint32_t b = block; look.goes_back && b > low; b--)
            look = look_at(frames, zone, b - 1, frames->size - 1);
        if (!look.goes_back || low == 0)
            return low;
        unlock_blocks(frames, zone, low, block);
        low -= step < low ? step : low;
    }
}

/** Cut off the frames outside the zone: absent frames of its first and last block. */
static void cut_to_zone(const struct frames_zone *zone, struct kva_frames_found *found)
{
    uint64_t end = found->first + found->count; /* 0 for 2^64 */
    uint64_t first = max_u64(found->first, zone->start);

    end = end == 0 || end > zone->end ? zone->end : end;
    found->first = first;
    found->count = end - first;
}

enum kva_status kva_frames_find(const struct kva_frames *frames, uint64_t frame,
                                struct kva_frames_found *found)
{
    if (!frames)
        return KVA_ENULL;
    if (!found)
        return refuse(frames, KVA_ENULL, __func__, frame, "found");
    const struct frames_zone *zone = zone_of(frames, frame);
    if (!zone)
        return KVA_ENOENT;
    uint32_t block = block_of(frames, zone, frame);
    uint32_t low = lock_back(frames, zone, block, position_of(frames, frame));
    uint32_t high = block;
    struct surroundings look = look_at(frames, zone, block, position_of(frames, frame));
    *found = (struct kva_frames_found){
        .state = look.state,
        .first = first_frame(frames, zone, block) + look.from,
        .count = look.end - look.from,
        .type = look.type,
        .zone = zone->index,
        .node = zone->node,
    };
    struct surroundings beside = look;
    for (uint32_t b = block; beside.goes_back && b > 0; found->count += beside.end - beside.from) {
        beside = look_at(frames, zone, --b, frames->size - 1);
        found->first = first_frame(frames, zone, b) + beside.from;
    }
    beside = look;
    for (; beside.goes_on; found->count += beside.end) {
        (void)lock_block(frames, zone, ++high);
        beside = look_at(frames, zone, high, 0);
    }
    unlock_blocks(frames, zone, low, high);
    cut_to_zone(zone, found);
    return KVA_OK;
}

/* --------------------------------------------------------------------------------------- statistics */

static void add_block(const struct kva_frames *frames, uint64_t h, struct kva_frames_stats *stats)
{
    bool is_used = used_of(h) > 0;

    stats->free_frames += free_of(h);
    stats->used_frames += used_of(h);
    stats->blocks++;
    stats->free_blocks += free_of(h) == frames->size;
    stats->movable_blocks += is_used && kind_of(h) == KIND_MOVABLE;
    stats->unmovable_blocks += is_used && kind_of(h) == KIND_UNMOVABLE;
    stats->held_blocks += (h & OWNER_MASK) != 0;
}

static void add_zone_stats(const struct kva_frames *frames, const struct frames_zone *zone,
                           struct kva_frames_stats *stats)
{
    uint64_t present = stats->free_frames + stats->used_frames;

    for (uint32_t block = 0; block < zone->rows.blocks; block++)
        add_block(frames, block_header(&zone->headers[block]), stats);
    present = stats->free_frames + stats->used_frames - present;
    stats->absent_frames += zone->end - zone->start - present;
    for (unsigned i = 0; i < frames->locks.cpu_count; i++) {
        const struct frames_counts *counts = &cpu_of(frames, i)->counts[zone - frames->zones];
        stats->changed_blocks += counts->changed;
        stats->strayed_runs += counts->strayed;
        stats->elsewhere_runs += counts->elsewhere;
        stats->moved_runs += counts->moved_runs;
        stats->moved_frames += counts->moved_frames;
    }
}

enum kva_status kva_frames_stats_read(const struct kva_frames *frames, size_t zone,
                                      struct kva_frames_stats *stats)
{
    if (!frames)
        return KVA_ENULL;
    if (!stats)
        return refuse(frames, KVA_ENULL, __func__, KVA_NO_FRAME, "stats");
    if (zone != KVA_FRAMES_ALL_ZONES && zone >= frames->zone_count)
        return refuse(frames, KVA_EINVAL, __func__, KVA_NO_FRAME, "zone");
    *stats = (struct kva_frames_stats){.memory_bytes = frames->bytes};
    kva_freeze(frames);
    for (size_t z = 0; z < frames->zone_count; z++) {
        if (is_named(&frames->zones[z], zone))
            add_zone_stats(frames, &frames->zones[z], stats);
    }
    kva_thaw(frames);
    return KVA_OK;
}

/* ------------------------------------------------------------------------------------------ orders */

static void add_groups(const struct kva_frames *frames, const struct frames_zone *zone, uint32_t block,
                       struct kva_frames_orders *orders)
{
    const struct frames_word *words = words_of(frames, zone, block);
    uint64_t h = block_header(&zone->headers[block]);
    enum frames_kind kind = used_of(h) > 0 ? kind_of(h) : KIND_UNUSED;
    uint64_t *groups = kind == KIND_UNUSED    ? orders->unused
                       : kind == KIND_MOVABLE ? orders->movable
                                              : orders->unmovable;

    /* At each free frame, count the largest group that begins there, and go on after it. */
    for (uint32_t at = 0; whole_of(h) == WHOLE_NOT && at < frames->size;) {
        unsigned order = 0;
        at = next_free(words, at, frames->size);
        while (at < frames->size && order < frames->order && (at & ((UINT32_C(2) << order) - 1)) == 0 &&
               group_is_free(words, at, order + 1))
            order++;
        if (at < frames->size)
            groups[order]++;
        at += UINT32_C(1) << order;
    }
}

enum kva_status kva_frames_orders_read(const struct kva_frames *frames, size_t zone,
                                       struct kva_frames_orders *orders)
{
    if (!frames)
        return KVA_ENULL;
    if (!orders)
        return refuse(frames, KVA_ENULL, __func__, KVA_NO_FRAME, "orders");
    if (zone != KVA_FRAMES_ALL_ZONES && zone >= frames->zone_count)
        return refuse(frames, KVA_EINVAL, __func__, KVA_NO_FRAME, "zone");
    *orders = (struct kva_frames_orders){.block_order = frames->order};
    kva_freeze(frames);
    for (size_t z = 0; z < frames->zone_count; z++) {
        const struct frames_zone *at = &frames->zones[z];
        for (uint32_t block = 0; block < at->rows.blocks && is_named(at, zone); block++)
            add_groups(frames, at, block, orders);
    }
    kva_thaw(frames);
    return KVA_OK;
}

static uint64_t groups_of(const struct kva_frames_orders *orders, unsigned order)
{
    return orders->unmovable[order] + orders->movable[order] + orders->unused[order];
}

/** Free frames in groups of orders [from, end). */
static uint64_t frames_in_groups(const struct kva_frames_orders *orders, unsigned from, unsigned end)
{
    uint64_t sum = 0;

    for (unsigned order = from; order < end; order++)
        sum += groups_of(orders, order) << order;
    return sum;
}

/** part * 1000 / whole; part is at most whole. */
static unsigned thousandths(uint64_t part, uint64_t whole)
{
    unsigned result = 0;

    while (whole > UINT64_MAX / 1024) { /* the lost bits are far below a thousandth */
        part >>= 1;
        whole >>= 1;
    }
    for (uint64_t rest = part * 1000; whole > 0 && rest >= whole && result < 1000; result++)
        rest -= whole;
    return result;
}

unsigned kva_frames_unusable(const struct kva_frames_orders *orders, unsigned order)
{
    if (!orders)
        return 0;
    if (order > orders->block_order)
        return 1000;
    return thousandths(frames_in_groups(orders, 0, order),
                       frames_in_groups(orders, 0, orders->block_order + 1));
}

int kva_frames_fragmentation(const struct kva_frames_orders *orders, unsigned order)
{
    if (!orders || order > orders->block_order ||
        frames_in_groups(orders, order, orders->block_order + 1) > 0)
        return -1;
    uint64_t groups = 0;
    for (unsigned o = 0; o < order; o++)
        groups += groups_of(orders, o);
    /* 1 - (1 + F / 2^order) / groups = (groups * 2^order - 2^order - F) / (groups * 2^order). Where that
     * exceeds 2^64, F is divided instead: with so many groups, the remainder is far below a thousandth. */
    unsigned shift = groups > UINT64_MAX >> (order + 1) ? 0 : order;
    uint64_t whole = groups << shift;
    uint64_t less = (UINT64_C(1) << shift) + (frames_in_groups(orders, 0, order) >> (order - shift));
    return less < whole ? (int)thousandths(whole - less, whole) : 0;
}
