/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Create and destroy a frame set; forks. frames_set.h draws the structure of a set.
 *
 * All memory is taken at once, and laid out before:
 *
 *      | set | zones | near | by_node | CPUs | compaction | zone 0: headers, words, rows | zone 1: ... |
 */
#include "frames_freeze.h"
#include "frames_isolate.h"

enum { DEFAULT_ORDER = 9 };

/** A block with this share of its frames free, or more, is in ROW_MANY: worth being held. A CPU that changes
 *  blocks often is slow; one that skips blocks with some room leaves fewer blocks empty. Measured for blocks
 *  of 512: a threshold of 1 frame keeps all blocks empty that could be, and takes three times as long; 128
 *  saves a tenth of the time, and loses one block in thirty. */
enum { MANY_SHARE = 16 };

static const uint32_t most_blocks = UINT32_MAX - 1;

static unsigned order_of(const struct kva_frames_config *config)
{
    return config->block_order ? config->block_order : DEFAULT_ORDER;
}

static uint32_t blocks_of_zone(const struct kva_frames_zone *zone, unsigned order)
{
    return (uint32_t)(((zone->end - 1) >> order) - (zone->start >> order)) + 1;
}

static unsigned cpus_of(const struct kva_frames_config *config)
{
    unsigned cpus = config->cpus;

    if (!config->threads)
        return 1;
    if (cpus == 0)
        cpus = config->threads->cpus;
    return cpus == 0 ? 1 : cpus < KVA_FRAMES_CPUS ? cpus : KVA_FRAMES_CPUS;
}

static unsigned nodes_of(const struct kva_frames_config *config)
{
    unsigned count = 0;

    if (config->distances)
        return config->node_count;
    for (size_t i = 0; i < config->zone_count; i++)
        count = config->zones[i].node >= count ? config->zones[i].node + 1 : count;
    return count;
}

/* --------------------------------------------------------------------------------------- validation */

static const char *null_in_frames_config(const struct kva_frames_config *config)
{
    if (!config->zones)
        return "zones";
    if (config->hole_count > 0 && !config->holes)
        return "holes";
    if (!config->memory.take)
        return "memory.take";
    if (!config->memory.give)
        return "memory.give";
    return config->threads ? kva_missing_in_threads(config->threads) : NULL;
}

static enum kva_status validate_numbers(const struct kva_frames_config *config, struct kva_bad *bad)
{
    if (config->zone_count == 0 || config->zone_count > KVA_FRAMES_ZONES)
        return bad_field(bad, KVA_EINVAL, "zone_count");
    if (config->block_order > KVA_FRAMES_BLOCK_ORDER)
        return bad_field(bad, KVA_EINVAL, "block_order");
    if (config->cpus > KVA_FRAMES_CPUS)
        return bad_field(bad, KVA_EINVAL, "cpus");
    if (config->distances && (config->node_count == 0 || config->node_count > KVA_FRAMES_NODES))
        return bad_field(bad, KVA_EINVAL, "node_count");
    return KVA_OK;
}

static enum kva_status validate_zone(const struct kva_frames_config *config,
                                     const struct kva_frames_zone *zone, struct kva_bad *bad)
{
    unsigned order = order_of(config);

    if (zone->start >= zone->end)
        return bad_field(bad, KVA_ERANGE, "zones[i].end");
    if (((zone->end - 1) >> order) - (zone->start >> order) >= most_blocks)
        return bad_field(bad, KVA_ERANGE, "zones[i].end");
    if (zone->node >= (config->distances ? config->node_count : KVA_FRAMES_NODES))
        return bad_field(bad, KVA_EINVAL, "zones[i].node");
    return KVA_OK;
}

static enum kva_status validate_zones(const struct kva_frames_config *config, struct kva_bad *bad)
{
    enum kva_status status = KVA_OK;

    for (size_t i = 0; i < config->zone_count && status == KVA_OK; i++) {
        const struct kva_frames_zone *zone = &config->zones[i];
        status = validate_zone(config, zone, bad);
        for (size_t j = 0; j < i && status == KVA_OK; j++) {
            if (zone->start < config->zones[j].end && config->zones[j].start < zone->end)
                status = bad_field(bad, KVA_EEXIST, "zones[i].start");
        }
        bad->index = i;
    }
    return status;
}

/** Whether zones cover all of a hole, which may span adjacent zones. */
static bool lies_in_zones(const struct kva_frames_config *config, const struct kva_frames_range *hole)
{
    uint64_t covered = 0;

    if (hole->count == 0 || hole->count > UINT64_MAX - hole->first)
        return false;
    for (size_t i = 0; i < config->zone_count; i++) {
        uint64_t from = max_u64(config->zones[i].start, hole->first);
        uint64_t end = min_u64(config->zones[i].end, hole->first + hole->count);
        covered += from < end ? end - from : 0;
    }
    return covered == hole->count;
}

static enum kva_status validate_holes(const struct kva_frames_config *config, struct kva_bad *bad)
{
    for (size_t i = 0; i < config->hole_count; i++) {
        if (lies_in_zones(config, &config->holes[i]))
            continue;
        *bad = (struct kva_bad){"holes[i]", i};
        return KVA_ERANGE;
    }
    return KVA_OK;
}

static enum kva_status validate_frames_config(const struct kva_frames_config *config, struct kva_bad *bad)
{
    const char *missing = null_in_frames_config(config);
    enum kva_status status = missing ? bad_field(bad, KVA_ENULL, missing) : validate_numbers(config, bad);

    if (status == KVA_OK)
        status = validate_zones(config, bad);
    return status == KVA_OK ? validate_holes(config, bad) : status;
}

/* ------------------------------------------------------------------------------------------- layout */

/** Where each part of the set lies in its memory. */
struct layout {
    uint64_t bytes; /* of the parts laid out until now: at most 2^54 */
    uint64_t zones;
    uint64_t near;
    uint64_t by_node;
    uint64_t cpus;
    uint64_t cpu_bytes;
    uint64_t compaction; /* 0: there is none */
    uint64_t blocks;     /* the headers of the first zone */
};

/** Room for so many elements, on cache lines of their own. */
static uint64_t add_room(struct layout *layout, uint64_t count, uint64_t each)
{
    uint64_t at = layout->bytes;

    layout->bytes += align_down(count * each + (KVA_LINE - 1), KVA_LINE);
    return at;
}

static unsigned row_count_of(unsigned order)
{
    return ROW_TOP + 2 * order;
}

static uint32_t words_of_block(unsigned order)
{
    return order > 6 ? UINT32_C(1) << (order - 6) : 1;
}

/** A zone's three arrays, from `at` on. */
static void lay_out_zone(struct layout *layout, uint32_t blocks, unsigned order, uint64_t *headers,
                         uint64_t *words, uint64_t *rows)
{
    struct frames_rows shape;

    rows_init(&shape, row_count_of(order), blocks);
    *headers = add_room(layout, blocks, sizeof(struct frames_header));
    *words = add_room(layout, blocks, words_of_block(order) * sizeof(struct frames_word));
    *rows = add_room(layout, shape.count, sizeof(uintptr_t));
}

/** The bytes before the counts in a CPU's record. */
static uint64_t bytes_of_slots(uint64_t zones)
{
    return align_down(sizeof(struct frames_cpu) + zones * SLOTS * sizeof(uint32_t) + 7, 8);
}

static uint64_t bytes_of_compaction(unsigned order)
{
    return sizeof(struct frames_compaction) + ((UINT64_C(1) << order) + 1) * sizeof(uint32_t);
}

static struct layout layout_of(const struct kva_frames_config *config)
{
    struct layout layout = {0};
    uint64_t zones = config->zone_count;
    uint64_t each =
        sizeof(struct frames_cpu) + zones * (sizeof(struct frames_counts) + SLOTS * sizeof(uint32_t));
    uint64_t headers;
    uint64_t words;
    uint64_t rows;

    (void)add_room(&layout, 1, sizeof(struct kva_frames));
    layout.zones = add_room(&layout, zones, sizeof(struct frames_zone));
    layout.near = add_room(&layout, nodes_of(config), sizeof(struct frames_zone *));
    layout.by_node = add_room(&layout, zones * nodes_of(config), sizeof(uint16_t));
    layout.cpu_bytes = align_down(each + (KVA_LINE - 1), KVA_LINE);
    layout.cpus = add_room(&layout, cpus_of(config), layout.cpu_bytes);
    if (config->move)
        layout.compaction = add_room(&layout, 1, bytes_of_compaction(order_of(config)));
    layout.blocks = layout.bytes;
    for (size_t i = 0; i < zones; i++)
        lay_out_zone(&layout, blocks_of_zone(&config->zones[i], order_of(config)), order_of(config), &headers,
                     &words, &rows);
    return layout;
}

/** The bytes to take: one cache line more, to begin on a line. 0 if they exceed SIZE_MAX. */
static size_t bytes_to_take(const struct layout *layout)
{
    return layout->bytes > SIZE_MAX - KVA_LINE ? 0 : (size_t)layout->bytes + KVA_LINE;
}

size_t kva_frames_bytes(const struct kva_frames_config *config)
{
    struct kva_bad bad;

    if (!config || validate_frames_config(config, &bad) != KVA_OK)
        return 0;
    struct layout layout = layout_of(config);
    return bytes_to_take(&layout);
}

/* ------------------------------------------------------------------------------------------ building */

/** The distance between two nodes. A node is nearest to itself, whatever its entry is. */
static unsigned distance(const struct kva_frames_config *config, unsigned from, unsigned to)
{
    if (to == from)
        return 0;
    return 1 + (config->distances ? config->distances[from * config->node_count + to] : 0U);
}

/** Whether a request on a node searches zone a before zone b. */
static bool comes_before(const struct kva_frames_config *config, unsigned node, const struct frames_zone *a,
                         const struct frames_zone *b)
{
    unsigned to_a = distance(config, node, a->node);
    unsigned to_b = distance(config, node, b->node);

    return to_a < to_b || (to_a == to_b && a->index < b->index);
}

static void sort_for_node(struct kva_frames *frames, const struct kva_frames_config *config, unsigned node)
{
    uint16_t *order = &frames->by_node[node * frames->zone_count];

    for (size_t i = 0; i < frames->zone_count; i++) {
        size_t at = i;
        for (; at > 0 && comes_before(config, node, &frames->zones[i], &frames->zones[order[at - 1]]); at--)
            order[at] = order[at - 1];
        order[at] = (uint16_t)i;
    }
    if (frames->zones[order[0]].node == node)
        frames->near[node] = &frames->zones[order[0]];
}

/** Sort the set's zones by their start; each keeps its index in the configuration. */
static void sort_zones(struct kva_frames *frames, const struct kva_frames_config *config)
{
    for (size_t i = 0; i < config->zone_count; i++) {
        size_t at = i;
        for (; at > 0 && config->zones[frames->zones[at - 1].index].start > config->zones[i].start; at--)
            frames->zones[at].index = frames->zones[at - 1].index;
        frames->zones[at].index = i;
    }
}

static void init_cpus(struct kva_frames *frames)
{
    for (unsigned i = 0; i < frames->locks.cpu_count; i++) {
        struct frames_cpu *cpu = cpu_of(frames, i);
        cpu->counts =
            (struct frames_counts *)(void *)((char *)cpu + (size_t)bytes_of_slots(frames->zone_count));
    }
}

/** Each home begins with a word of a row where there are enough blocks, else with a cache line of headers. */
static uint32_t home_blocks_of(uint32_t blocks, unsigned cpus)
{
    uint32_t each = blocks / cpus;

    if (each >= 64)
        return each & ~UINT32_C(63);
    return each >= 8 ? each & ~UINT32_C(7) : each > 0 ? each : 1;
}

/** Make all frames of the zone free, all others of its blocks absent. */
static void init_states(const struct kva_frames *frames, const struct frames_zone *zone)
{
    for (uint32_t block = 0; block < zone->rows.blocks; block++) {
        struct frames_word *words = words_of(frames, zone, block);
        struct frames_work work = work_range(frames, zone, block);
        set_states(words, 0, frames->words * 64, false, true);
        set_states(words, work.from, work.end, false, false);
    }
}

/** Make the frames of a hole absent, in all zones that it spans. */
static void init_hole(const struct kva_frames *frames, const struct kva_frames_range *hole)
{
    uint64_t end = hole->first + hole->count;

    for (uint64_t at = hole->first; at < end;) {
        const struct frames_zone *zone = zone_of(frames, at);
        uint32_t block = block_of(frames, zone, at);
        uint64_t begin = first_frame(frames, zone, block);
        uint32_t until = (uint32_t)min_u64(frames->size, min_u64(end, zone->end) - begin);
        set_states(words_of(frames, zone, block), (uint32_t)(at - begin), until, false, true);
        at = begin + until;
    }
}

/** Compute a header and its rows from the states. */
static void init_header(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block)
{
    const struct frames_word *words = words_of(frames, zone, block);
    uint64_t h = 0;

    for (uint32_t w = 0; w < frames->words; w++)
        h += count_bits(free_bits(&words[w])) << FREE_AT;
    h = with_ends(frames, words, with_top(h, largest_group(frames, words)));
    kva_move_rows(zone, block, 0, rows_of(frames, h));
    unlock_block(frames, zone, block, h);
}

static void init_zone(struct kva_frames *frames, struct frames_zone *zone,
                      const struct kva_frames_zone *config, struct layout *layout, char *base)
{
    uint32_t blocks = blocks_of_zone(config, frames->order);
    uint64_t headers;
    uint64_t words;
    uint64_t rows;

    lay_out_zone(layout, blocks, frames->order, &headers, &words, &rows);
    zone->slots = (size_t)(zone - frames->zones) * SLOTS;
    zone->start = config->start;
    zone->end = config->end;
    zone->base = align_down(config->start, frames->size);
    zone->node = config->node;
    zone->home_blocks = home_blocks_of(blocks, frames->locks.cpu_count);
    zone->headers = (struct frames_header *)(void *)(base + headers);
    zone->words = (struct frames_word *)(void *)(base + words);
    rows_init(&zone->rows, frames->row_count, blocks);
    zone->rows.words = (_Atomic uintptr_t *)(void *)(base + rows);
    init_states(frames, zone);
}

/** For struct frames_locking. */
static const char always = 1;
static const char never = 0;

/** Fill in a set whose memory is zero. */
static struct kva_frames *build_set(const struct kva_frames_config *config, struct layout layout,
                                    void *storage)
{
    char *base = (char *)round_to_line((uintptr_t)storage);
    struct kva_frames *frames = (struct kva_frames *)(void *)base;
    unsigned order = order_of(config);

    *frames = (struct kva_frames){
        .hooks = {config->on_misuse, config->on_corruption, config->hook_context},
        .memory = config->memory,
        .storage = storage,
        .bytes = bytes_to_take(&layout),
        .order = order,
        .size = UINT32_C(1) << order,
        .word_shift = order > 6 ? order - 6 : 0,
        .words = words_of_block(order),
        .hint_shift = order > 10 ? order - 10 : 0,
        .many = order > 4 ? (UINT32_C(1) << order) / MANY_SHARE : 1,
        .row_count = row_count_of(order),
        .node_count = nodes_of(config),
        .zone_count = config->zone_count,
        .zones = (struct frames_zone *)(void *)(base + layout.zones),
        .near = (struct frames_zone **)(void *)(base + layout.near),
        .by_node = (uint16_t *)(void *)(base + layout.by_node),
    };
    frames->locking.alone = &always;
    if (config->threads) {
        frames->threads = *config->threads;
        frames->locks.threads = &frames->threads;
        frames->locking.threads = &frames->threads;
        frames->locking.is_watched = config->threads->point != NULL;
        frames->locking.alone = config->threads->alone ? config->threads->alone : &never;
    }
    frames->locks.cpus = base + layout.cpus;
    frames->locks.cpu_bytes = (size_t)layout.cpu_bytes;
    frames->locks.cpu_count = cpus_of(config);
    init_cpus(frames);
    if (config->move) {
        frames->compaction = (struct frames_compaction *)(void *)(base + layout.compaction);
        frames->compaction->move = config->move;
        frames->compaction->context = config->move_context;
    }
    layout.bytes = layout.blocks;
    sort_zones(frames, config);
    for (size_t i = 0; i < config->zone_count; i++)
        init_zone(frames, &frames->zones[i], &config->zones[frames->zones[i].index], &layout, base);
    for (unsigned node = 0; node < frames->node_count; node++)
        sort_for_node(frames, config, node);
    for (size_t i = 0; i < config->hole_count; i++)
        init_hole(frames, &config->holes[i]);
    for (size_t i = 0; i < config->zone_count; i++) {
        for (uint32_t b = 0; b < frames->zones[i].rows.blocks; b++)
            init_header(frames, &frames->zones[i], b);
    }
    return frames;
}

enum kva_status kva_frames_create(const struct kva_frames_config *config, struct kva_frames **frames)
{
    if (!config)
        return KVA_ENULL;
    struct kva_hooks hooks = {config->on_misuse, config->on_corruption, config->hook_context};
    struct kva_bad bad = {"frames", 0};
    enum kva_status status = frames ? validate_frames_config(config, &bad) : KVA_ENULL;
    if (status != KVA_OK)
        return kva_report_misuse(&hooks, status, __func__, KVA_NO_FRAME, &bad);
    struct layout layout = layout_of(config);
    size_t bytes = bytes_to_take(&layout);
    void *storage = bytes > 0 ? config->memory.take(config->memory.context, bytes) : NULL;
    if (!storage)
        return KVA_ENOMEM;
    memset(storage, 0, bytes);
    *frames = build_set(config, layout, storage);
    return KVA_OK;
}

enum kva_status kva_frames_destroy(struct kva_frames *frames)
{
    if (!frames)
        return KVA_ENULL;
    struct kva_memory memory = frames->memory;
    memory.give(memory.context, frames->storage, frames->bytes);
    return KVA_OK;
}

/* --------------------------------------------------------------------------------------------- forks */

/** Waits for a batch under way, because its thread does not exist in the child. After a fork from inside the
 *  move function, parent and child both end the batch. */
enum kva_status kva_frames_fork_prepare(struct kva_frames *frames)
{
    if (!frames)
        return KVA_ENULL;
    bool is_inside =
        frames->compaction && atomic_load_explicit(&frames->compaction->inside, memory_order_relaxed) ==
                                  thread_self(threads_of_set(frames));
    if (!is_inside)
        lock_take(&frames->locks.reclaim, threads_of_set(frames));
    kva_freeze(frames);
    frames->fork_waits = !is_inside;
    return KVA_OK;
}

enum kva_status kva_frames_fork_parent(struct kva_frames *frames)
{
    if (!frames)
        return KVA_ENULL;
    bool has_reclaim = frames->fork_waits;
    kva_thaw(frames);
    if (has_reclaim)
        reclaim_drop(&frames->locks);
    return KVA_OK;
}

enum kva_status kva_frames_fork_child(struct kva_frames *frames)
{
    if (!frames)
        return KVA_ENULL;
    kva_unfreeze_in_child(frames);
    return KVA_OK;
}
