/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The player of frames_play.h. */
#include "frames_play.h"

#include <kva/threads.h>
#include <stdio.h>
#include <string.h>

enum { ZONES = 5, HOLES = 6, NODES = 5, RUNS = 64 };

static struct play {
    const struct frames_draw *draw;
    struct frames_model model;
    struct kva_frames_zone zones[ZONES];
    struct kva_frames_range holes[HOLES];
    unsigned char distances[NODES * NODES];
    struct kva_frames_config config;
    struct kva_threads threads;
    unsigned cpu;
    char alone;
    char name[160];
    bool filling;              /* the tide */
    uint64_t unmovable_one_in; /* one in so many requests is unmovable */
    uint64_t firsts[RUNS];
} play;

static uint64_t below(uint64_t bound)
{
    return play.draw->below(play.draw->context, bound);
}

static bool one_in(uint64_t n)
{
    return below(n) == 0;
}

/* ----------------------------------------------------------------------------------------- a set is drawn */

/* With one thread no lock is contended. */
static void wait_for_word(void *context, const uint32_t *word, uint32_t value)
{
    (void)context;
    check_that(false, "%s: the only thread must not wait for %p while it is %" PRIu32, play.name,
               (const void *)word, value);
}

static void wake_waiters(void *context, const uint32_t *word, bool all)
{
    (void)context;
    (void)word;
    (void)all;
}

static unsigned cpu_of_caller(void *context)
{
    (void)context;
    return play.cpu;
}

static uintptr_t self_of_caller(void *context)
{
    (void)context;
    return 1;
}

static void draw_threads(struct kva_frames_config *config)
{
    play.alone = 1;
    play.threads = (struct kva_threads){.wait = wait_for_word,
                                        .wake = wake_waiters,
                                        .cpu = cpu_of_caller,
                                        .self = self_of_caller,
                                        .alone = one_in(2) ? &play.alone : NULL,
                                        .cpus = 1 + (unsigned)below(3)};
    if (one_in(3))
        return;
    config->threads = &play.threads;
    config->cpus = one_in(2) ? 0 : 1 + (unsigned)below(3);
}

/** The largest size of a zone: mostly a few blocks. The bitmaps of a set have a second level from 65 blocks
 * on, a third one from 4097 on (with 32-bit words: from 33, from 1025). */
static uint64_t draw_most(unsigned order)
{
    uint64_t block = UINT64_C(1) << order;

    if (order <= 5 && one_in(6))
        return order == 1 && one_in(6) ? 10000 : block * 300;
    return block * 3 > 96 ? block * 3 : 96;
}

static uint64_t draw_size(unsigned order, uint64_t at)
{
    uint64_t block = UINT64_C(1) << order;
    uint64_t most = draw_most(order);
    uint64_t size = 1 + below(one_in(4) ? 8 : most);
    uint64_t beyond = (at + size) & (block - 1);

    return one_in(3) && beyond < size ? size - beyond : size; /* sometimes to the end of a block */
}

static uint64_t draw_gap(unsigned order)
{
    static const uint64_t far_apart[] = {UINT64_C(1) << 20, UINT64_C(1) << 32, (UINT64_C(1) << 40) + 3};

    switch (below(4)) {
    case 0:
    case 1:
        return 0;
    case 2:
        return below(UINT64_C(2) << order);
    default:
        return far_apart[below(3)];
    }
}

/** Zones upwards from 0, then moved to the place of the set, then shuffled. */
static void draw_zones(struct kva_frames_config *config)
{
    uint64_t at = one_in(2) ? 0 : below(UINT64_C(1) << config->block_order);
    uint64_t shift = 0;
    unsigned where = (unsigned)below(4);

    config->zone_count = 1 + (size_t)below(ZONES);
    for (size_t i = 0; i < config->zone_count; i++) {
        uint64_t size = draw_size(config->block_order, at);
        play.zones[i] = (struct kva_frames_zone){at, at + size, 0};
        at += size + draw_gap(config->block_order);
    }
    at = play.zones[config->zone_count - 1].end;
    if (where == 0)
        shift = UINT64_MAX - at; /* to 2^64 - 1 */
    else if (where == 1)
        shift = (UINT64_C(1) << 45) + below(UINT64_C(1) << config->block_order);
    for (size_t i = 0; i < config->zone_count; i++) {
        struct kva_frames_zone zone = play.zones[i];
        size_t other = (size_t)below(i + 1);
        zone.start += shift;
        zone.end += shift;
        play.zones[i] = play.zones[other];
        play.zones[other] = zone;
    }
    config->zones = play.zones;
}

static void draw_nodes(struct kva_frames_config *config)
{
    unsigned nodes = 1 + (unsigned)below(NODES);

    for (size_t i = 0; i < config->zone_count; i++)
        play.zones[i].node = (unsigned)below(nodes);
    if (one_in(2))
        return;
    for (size_t i = 0; i < (size_t)nodes * nodes; i++)
        play.distances[i] = (unsigned char)(below(6) * 51);
    config->distances = play.distances;
    config->node_count = nodes;
}

/** Whether a frame lies in a zone. */
static bool is_covered(const struct kva_frames_config *config, uint64_t frame)
{
    for (size_t i = 0; i < config->zone_count; i++) {
        if (frame >= config->zones[i].start && frame < config->zones[i].end)
            return true;
    }
    return false;
}

static void draw_holes(struct kva_frames_config *config)
{
    config->hole_count = one_in(2) ? 0 : (size_t)below(HOLES + 1);
    config->holes = play.holes;
    for (size_t i = 0; i < config->hole_count; i++) {
        const struct kva_frames_zone *zone = &play.zones[below(config->zone_count)];
        uint64_t first = zone->start + below(zone->end - zone->start);
        uint64_t most = 1 + below(one_in(2) ? 4 : UINT64_C(3) << config->block_order);
        uint64_t count = 1;
        while (count < most && is_covered(config, first + count))
            count++;
        play.holes[i] = (struct kva_frames_range){first, count};
    }
}

/** The model moves runs itself; this function only makes moves permitted. */
static enum kva_frames_moved move_nothing(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    (void)context;
    check_that(false, "%#" PRIx64 " is moved to %#" PRIx64 ", %" PRIu64 " frames, without the model", from,
               to, count);
    return KVA_FRAMES_PINNED;
}

static void draw_set(void)
{
    static const unsigned orders[] = {1, 2, 3, 5, 6, 7, 9, 10, 13};
    struct kva_frames_config *config = &play.config;

    *config = (struct kva_frames_config){0};
    config->block_order = orders[below(sizeof(orders) / sizeof(orders[0]))];
    draw_zones(config);
    draw_nodes(config);
    draw_holes(config);
    draw_threads(config);
    config->move = one_in(2) ? move_nothing : NULL;
    play.unmovable_one_in = one_in(2) ? 3 : 200;
    snprintf(play.name, sizeof(play.name),
             "block_order %u, %zu zones, %zu holes, zone 0 from %#" PRIx64 " to %#" PRIx64 ", cpus %u%s",
             config->block_order, config->zone_count, config->hole_count, play.zones[0].start,
             play.zones[0].end, config->threads ? play.threads.cpus : 0,
             config->distances ? ", distances" : "");
    frames_model_create(&play.model, config, play.name);
}

/* ------------------------------------------------------------------------------------------------ numbers */

static uint64_t block_frames(void)
{
    return UINT64_C(1) << play.model.block_order;
}

static uint64_t any_covered(void)
{
    return frames_model_frame_of(&play.model, (size_t)below(play.model.entry_count));
}

/** A frame: mostly of a zone, sometimes next to one, or far from all. */
static uint64_t any_frame(void)
{
    const struct kva_frames_zone *zone = &play.zones[below(play.config.zone_count)];

    switch (below(16)) {
    case 0:
        return zone->start - below(2);
    case 1:
        return zone->end - below(2);
    case 2:
        return one_in(2) ? below(3) : UINT64_MAX - below(3);
    case 3:
        return any_covered() & ~(block_frames() - 1);
    default:
        return any_covered();
    }
}

/** The start of a run, at or after a random frame; any frame if there is none. */
static uint64_t any_run(void)
{
    size_t at = (size_t)below(play.model.entry_count);

    for (size_t i = 0; i < play.model.entry_count; i++) {
        size_t entry = (at + i) % play.model.entry_count;
        if (play.model.entries[entry].state == FRAME_START)
            return frames_model_frame_of(&play.model, entry);
    }
    return any_frame();
}

static uint64_t run_count(uint64_t first)
{
    struct kva_frames_found found = {.count = 1};

    (void)kva_frames_find(play.model.frames, first, &found);
    return found.count;
}

static uint64_t any_count(void)
{
    switch (below(8)) {
    case 0:
        return 1 + below(3 * block_frames());
    case 1:
        return block_frames() + below(3) - 1;
    case 2:
    case 3:
        return 1 + below(block_frames());
    default:
        return 1 + below(8);
    }
}

/* ----------------------------------------------------------------------------------------------- requests */

static void draw_shape(struct kva_frames_request *r)
{
    switch (below(8)) {
    case 0:
    case 1:
        r->count = any_count();
        break;
    case 2:
        r->order = (unsigned)below(play.model.block_order + 3);
        break;
    case 3:
    case 4:
        r->order = (unsigned)below(play.model.block_order + 1) / 2;
        break;
    default:
        break;
    }
    if (one_in(6))
        r->align = UINT64_C(1) << below(play.model.block_order + 3);
    if (one_in(128))
        r->align = UINT64_C(1) << below(64);
}

static void draw_window(struct kva_frames_request *r)
{
    uint64_t a = any_frame();
    uint64_t b = any_frame();

    switch (below(6)) {
    case 0: /* any */
        r->min = a < b ? a : b;
        r->max = a < b ? b : a;
        break;
    case 1: /* a device's mask */
        r->max = a;
        break;
    case 2: /* one place, or one frame less */
        r->min = a;
        r->max = a + (frames_model_count_of(r) - 1 - below(2));
        break;
    case 3: /* a block */
        r->min = a & ~(block_frames() - 1);
        r->max = a | (block_frames() - 1);
        break;
    case 4:
        r->min = a;
        r->max = UINT64_MAX - below(2);
        break;
    default: /* a few frames */
        r->min = a;
        r->max = a + below(2 * block_frames());
        break;
    }
}

/** One error, or a request that no set can satisfy. */
static void spoil(struct kva_frames_request *r)
{
    switch (below(12)) {
    case 0:
        r->order = 64 + (unsigned)below(3);
        break;
    case 1:
        r->order = 1 + (unsigned)below(63);
        r->count = 1 + below(4);
        break;
    case 2:
        r->type = frames_model_type(2 + (unsigned)below(2));
        break;
    case 3:
        r->flags |= 4U << below(30);
        break;
    case 4:
        r->node = NODES + (unsigned)below(70);
        break;
    case 5:
        r->align = UINT64_C(3) << below(62);
        break;
    case 6:
        r->min = 1 + below(UINT64_MAX);
        r->max = r->min - 1;
        break;
    case 7:
        r->order = (unsigned)below(64);
        r->count = 0;
        break;
    case 8:
        r->count = UINT64_MAX - below(3);
        r->order = 0;
        break;
    case 9:
        r->count = UINT64_C(1) << 63;
        r->order = 0;
        break;
    case 10:
        r->align = UINT64_C(1) << 63;
        break;
    default:
        r->min = any_frame() + (UINT64_C(1) << 50);
        r->max = r->min + 5;
        break;
    }
}

static void draw_request(struct kva_frames_request *r)
{
    *r = (struct kva_frames_request){.type = one_in(play.unmovable_one_in) ? KVA_UNMOVABLE : KVA_MOVABLE};
    draw_shape(r);
    if (one_in(4))
        draw_window(r);
    r->node = play.zones[below(play.config.zone_count)].node;
    if (one_in(16) && play.config.distances)
        r->node = (unsigned)below(play.config.node_count);
    if (one_in(6))
        r->flags = KVA_FRAMES_THIS_NODE;
    if (one_in(8))
        r->flags |= KVA_FRAMES_COMPACT;
    if (one_in(24))
        spoil(r);
}

/* -------------------------------------------------------------------------------------------------- calls */

static void call_alloc(void)
{
    struct kva_frames_request request;
    uint64_t first;

    draw_request(&request);
    (void)frames_model_alloc(&play.model, &request, &first);
}

static void call_alloc_many(void)
{
    struct kva_frames_request request;
    size_t runs;

    draw_request(&request);
    runs = 1 + (size_t)below(one_in(2) ? 5 : RUNS);
    if (frames_model_alloc_many(&play.model, &request, runs, play.firsts) == KVA_OK && one_in(3))
        (void)frames_model_free_many(&play.model, play.firsts, runs);
}

static void call_free(void)
{
    (void)frames_model_free(&play.model, one_in(8) ? any_frame() : any_run());
}

/** Some runs, some of them twice, sometimes with a wrong number. */
static void call_free_many(void)
{
    size_t runs = (size_t)below(one_in(2) ? 5 : RUNS);
    size_t used = 0;
    size_t at = (size_t)below(play.model.entry_count);

    for (size_t i = 0; i < play.model.entry_count && used < runs; i++) {
        size_t entry = (at + i) % play.model.entry_count;
        if (play.model.entries[entry].state == FRAME_START)
            play.firsts[used++] = frames_model_frame_of(&play.model, entry);
    }
    if (used > 0 && one_in(3))
        play.firsts[below(used)] = one_in(2) ? any_frame() : play.firsts[below(used)];
    (void)frames_model_free_many(&play.model, play.firsts, used);
}

static void call_free_range(void)
{
    uint64_t first = one_in(6) ? any_frame() : any_run();
    uint64_t count = run_count(first);
    uint64_t before = one_in(2) ? 0 : below(count + 1);

    (void)frames_model_free_range(&play.model, first + before,
                                  one_in(2) ? count - before : below(count - before + 2));
}

static void call_split(void)
{
    (void)frames_model_split(&play.model, one_in(8) ? any_frame() : any_run());
}

/** A range: of any length, or exactly the run or gap at a frame; sometimes of no frames, or past 2^64 - 1. */
static void draw_range(uint64_t *first, uint64_t *count)
{
    struct kva_frames_found found;

    *first = any_frame();
    *count = any_count();
    if (one_in(3) && kva_frames_find(play.model.frames, *first, &found) == KVA_OK) {
        *first = found.first;
        *count = found.count + (one_in(4) ? below(3) - 1 : 0);
    }
    if (one_in(24))
        *count = one_in(2) ? 0 : UINT64_MAX - *first + below(3) - 1;
}

static void call_reserve(void)
{
    uint64_t first;
    uint64_t count;

    draw_range(&first, &count);
    (void)frames_model_reserve(&play.model, first, count, one_in(16) ? 2 : !one_in(play.unmovable_one_in));
}

static void call_offline(void)
{
    uint64_t first;
    uint64_t count;

    draw_range(&first, &count);
    (void)frames_model_offline(&play.model, first, count);
}

static void call_online(void)
{
    uint64_t first;
    uint64_t count;

    draw_range(&first, &count);
    (void)frames_model_online(&play.model, first, count);
}

/** Close a hole. */
static void call_refill(void)
{
    size_t at = (size_t)below(play.model.entry_count);
    uint64_t first;

    for (size_t i = 0; i < play.model.entry_count; i++) {
        size_t entry = (at + i) % play.model.entry_count;
        if (play.model.entries[entry].state == FRAME_ABSENT) {
            first = frames_model_frame_of(&play.model, entry);
            (void)frames_model_online(&play.model, first, 1 + below(run_count(first)));
            return;
        }
    }
}

static void call_take(void)
{
    switch (below(8)) {
    case 0:
    case 1:
        call_alloc_many();
        break;
    case 2:
        call_reserve();
        break;
    default:
        call_alloc();
        break;
    }
}

static void call_give(void)
{
    switch (below(8)) {
    case 0:
        call_free_many();
        break;
    case 1:
    case 2:
        call_free_range();
        break;
    default:
        call_free();
        break;
    }
}

static void call_compact(void)
{
    size_t zone = one_in(2) ? KVA_FRAMES_ALL_ZONES : (size_t)below(play.config.zone_count + 1);
    unsigned order = one_in(3) ? KVA_FRAMES_ALL_BLOCKS : (unsigned)below(play.model.block_order + 2);

    (void)frames_model_compact(&play.model, zone, order, one_in(2) ? UINT64_MAX : below(200));
}

static void call_other(void)
{
    switch (below(10)) {
    case 0:
    case 1:
        call_offline();
        break;
    case 2:
        call_online();
        break;
    case 3:
    case 4:
    case 5:
        call_refill();
        break;
    case 6:
    case 7:
        call_compact();
        break;
    case 8:
        call_split();
        break;
    default:
        frames_model_drain(&play.model);
        break;
    }
}

/** Look up two frames, which a fuzzer does not choose: it would spend its bytes on them. */
static void look(void)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t mixed = (2 * play.model.calls + i) * UINT64_C(0x9e3779b97f4a7c15) >> 20;
        const struct kva_frames_zone *zone = &play.zones[mixed % play.config.zone_count];
        uint64_t offset = mixed / ZONES % (zone->end - zone->start + 2);
        frames_model_find(&play.model, zone->start - 1 + offset);
    }
}

/** One call: with the tide, three of four allocate while it rises, and free while it falls. */
static void step(void)
{
    if (one_in(60))
        play.filling = !play.filling;
    if (play.config.threads)
        play.cpu = (unsigned)below(4);
    if (play.config.move && one_in(16))
        call_compact();
    else if (one_in(12))
        call_other();
    else if (one_in(4) != play.filling)
        call_take();
    else
        call_give();
    look();
}

uint64_t frames_play(const struct frames_draw *draw, uint64_t calls, uint64_t *moved)
{
    uint64_t made = 0;

    play.draw = draw;
    play.filling = true;
    draw_set();
    uint64_t often = 16 + play.model.entry_count / 64;
    for (; made < calls && !draw->ended(draw->context); made++) {
        step();
        if (made % often == 0)
            frames_model_compare(&play.model);
    }
    frames_model_compare(&play.model);
    frames_model_destroy(&play.model);
    *moved += play.model.moved_runs;
    return made;
}
