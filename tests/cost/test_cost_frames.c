/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The Cost rows of kva/frames.h: see rows.h. */
#include "rows.h"

#include <kva/frames.h>
#include <kva/threads.h>

#include <stdlib.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

#define BLOCK UINT64_C(512) /* frames of a block */

/** State that the lines below set up and use. */
static struct kva_failing_memory memory;
static struct kva_frames *frames;
static struct kva_threads threads;
static struct kva_frames_zone zones[KVA_FRAMES_ZONES];
static struct kva_frames_range *holes;
static struct kva_frames_config config;
static struct kva_frames_orders orders;
static uint64_t *firsts;
static uint64_t size_now;
static uint64_t blocks_now;
static uint64_t run; /* a run that a set-up has allocated */

static void tear_down(void)
{
    if (frames)
        assert_int_equal(kva_frames_destroy(frames), KVA_OK);
    frames = NULL;
    assert_int_equal(memory.blocks, 0);
    free(holes);
    free(firsts);
    holes = NULL;
    firsts = NULL;
}

static uint64_t some(uint64_t round)
{
    return round * UINT64_C(7919) % size_now;
}

/** The first frame of the round'th of some blocks. */
static uint64_t some_block(uint64_t round)
{
    return round * UINT64_C(7919) % blocks_now * BLOCK;
}

/** A configuration of `count` adjacent zones, of `blocks` blocks each. */
static void plan(uint64_t size, size_t count, uint64_t blocks)
{
    size_now = size;
    blocks_now = count * blocks;
    for (size_t i = 0; i < count; i++)
        zones[i] = (struct kva_frames_zone){.start = i * blocks * BLOCK, .end = (i + 1) * blocks * BLOCK};
    config = (struct kva_frames_config){
        .zones = zones, .zone_count = count, .memory = kva_failing_memory_init(&memory)};
}

static void make(void)
{
    assert_int_equal(kva_frames_create(&config, &frames), KVA_OK);
}

static void plan_cpus(uint64_t size)
{
    plan(size, 1, 8);
    threads = *kva_threads_host();
    threads.cpus = (unsigned)size;
    config.threads = &threads;
}

static void hold(uint64_t first, uint64_t count)
{
    assert_int_equal(kva_frames_reserve(frames, first, count, KVA_UNMOVABLE, NULL), KVA_OK);
}

static uint64_t take(struct kva_frames_request request)
{
    uint64_t first;

    assert_int_equal(kva_frames_alloc(frames, &request, &first), KVA_OK);
    return first;
}

static void give(uint64_t first)
{
    assert_int_equal(kva_frames_free(frames, first), KVA_OK);
}

/* --------------------------------------------------------------------------------------------------- sets */

static void many_blocks(uint64_t size)
{
    plan(size, 1, size);
    make();
}

static void many_zones(uint64_t size)
{
    plan(size, (size_t)size, 1);
    make();
}

static void many_cpus(uint64_t size)
{
    plan_cpus(size);
    make();
}

/** One run per block; the last block is free. */
static void many_full_blocks(uint64_t size)
{
    many_blocks(size);
    for (uint64_t i = 0; i + 1 < size; i++)
        hold(i * BLOCK, BLOCK);
}

static void no_free_block(uint64_t size)
{
    many_full_blocks(size);
    hold((size - 1) * BLOCK, BLOCK);
}

/** Each zone except the last is one run. */
static void many_full_zones(uint64_t size)
{
    many_zones(size);
    for (uint64_t i = 0; i + 1 < size; i++)
        hold(i * BLOCK, BLOCK);
}

static void no_free_zone(uint64_t size)
{
    many_full_zones(size);
    hold((size - 1) * BLOCK, BLOCK);
}

static void many_cpus_and_no_free_block(uint64_t size)
{
    many_cpus(size);
    hold(0, 8 * BLOCK);
}

/** In each block except the last, two adjacent frames are free: a group of order 1. No three in a row are. */
static void many_pairs(uint64_t size)
{
    many_blocks(size);
    for (uint64_t i = 0; i + 1 < size; i++) {
        hold(i * BLOCK, 100);
        hold(i * BLOCK + 102, BLOCK - 102);
    }
}

/** The last frame is free in each block except the last three, which are free. */
static void many_tails(uint64_t size)
{
    many_blocks(size);
    for (uint64_t i = 0; i + 3 < size; i++)
        hold(i * BLOCK, BLOCK - 1);
}

/** A run over so many blocks that begins and ends inside a block. */
static void a_long_run(uint64_t size)
{
    many_blocks(size + 2);
    size_now = size;
    run = BLOCK - 7;
}

static uint64_t length_of_run(void)
{
    return size_now * BLOCK;
}

static void a_long_run_in_use(uint64_t size)
{
    a_long_run(size);
    hold(run, length_of_run());
}

/* -------------------------------------------------------------------------------------------- allocations */

static void allocate(struct kva_frames_request request)
{
    enum kva_status status;
    uint64_t first;

    counting(status = kva_frames_alloc(frames, &request, &first));
    assert_int_equal(status, KVA_OK);
    give(first);
}

static void many_blocks_and_one_at_hand(uint64_t size)
{
    many_blocks(size);
    run = take((struct kva_frames_request){0});
}

static void allocate_at_hand(uint64_t round)
{
    struct kva_frames_request request = {0};
    enum kva_status status;
    uint64_t first;

    (void)round;
    counting(status = kva_frames_alloc(frames, &request, &first));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(first / BLOCK, run / BLOCK);
}

/** No block is held by the CPU, and only the last one fits. */
static void allocate_by_search(uint64_t round)
{
    assert_int_equal(kva_frames_drain(frames), KVA_OK);
    allocate((struct kva_frames_request){.order = round % 2 == 0 ? 0 : 9});
}

static void allocate_three(uint64_t round)
{
    (void)round;
    assert_int_equal(kva_frames_drain(frames), KVA_OK);
    allocate((struct kva_frames_request){.count = 3});
}

static void allocate_two_blocks(uint64_t round)
{
    (void)round;
    allocate((struct kva_frames_request){.count = 2 * BLOCK});
}

static void allocate_a_long_run(uint64_t round)
{
    (void)round;
    allocate((struct kva_frames_request){.count = length_of_run()});
}

static void allocate_in_vain(uint64_t round)
{
    struct kva_frames_request request = {.order = (unsigned)(round % 10)};
    enum kva_status status;
    uint64_t first;

    counting(status = kva_frames_alloc(frames, &request, &first));
    assert_int_equal(status, KVA_ENOSPC);
}

static void many_firsts(uint64_t size)
{
    plan(size, 1, size / BLOCK + 2);
    make();
    firsts = calloc((size_t)size, sizeof *firsts);
    assert_non_null(firsts);
}

static void allocate_many(uint64_t round)
{
    struct kva_frames_request request = {0};
    enum kva_status status;

    (void)round;
    counting(status = kva_frames_alloc_many(frames, &request, (size_t)size_now, firsts));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_frames_free_many(frames, firsts, (size_t)size_now, NULL), KVA_OK);
}

static void free_many(uint64_t round)
{
    struct kva_frames_request request = {0};
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_frames_alloc_many(frames, &request, (size_t)size_now, firsts), KVA_OK);
    counting(status = kva_frames_free_many(frames, firsts, (size_t)size_now, NULL));
    assert_int_equal(status, KVA_OK);
}

/* --------------------------------------------------------------------------------------- frees and ranges */

static void free_a_block(uint64_t round)
{
    uint64_t first = some(round) % (size_now - 1) * BLOCK;
    enum kva_status status;

    counting(status = kva_frames_free(frames, first));
    assert_int_equal(status, KVA_OK);
    hold(first, BLOCK);
}

static void free_a_long_run(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_frames_free(frames, run));
    assert_int_equal(status, KVA_OK);
    hold(run, length_of_run());
}

static void free_a_frame_of_a_block(uint64_t round)
{
    uint64_t first = some(round) % (size_now - 1) * BLOCK;
    enum kva_status status;

    counting(status = kva_frames_free_range(frames, first + 100, 1));
    assert_int_equal(status, KVA_OK);
    give(first);
    give(first + 101);
    hold(first, BLOCK);
}

static void free_a_long_part(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_frames_free_range(frames, run + 1, length_of_run() - 2));
    assert_int_equal(status, KVA_OK);
    give(run);
    give(run + length_of_run() - 1);
    hold(run, length_of_run());
}

static void divide(uint64_t first, uint64_t count)
{
    enum kva_status status;

    counting(status = kva_frames_split(frames, first));
    assert_int_equal(status, KVA_OK);
    for (uint64_t frame = first; frame < first + count; frame++)
        give(frame);
    hold(first, count);
}

static void divide_a_block(uint64_t round)
{
    divide(some(round) % (size_now - 1) * BLOCK, BLOCK);
}

static void divide_a_long_run(uint64_t round)
{
    (void)round;
    divide(run, length_of_run());
}

static void reserve(uint64_t first, uint64_t count)
{
    enum kva_status status;

    counting(status = kva_frames_reserve(frames, first, count, KVA_MOVABLE, NULL));
    assert_int_equal(status, KVA_OK);
    give(first);
}

static void reserve_a_frame(uint64_t round)
{
    reserve(some_block(round), 1);
}

static void reserve_a_long_run(uint64_t round)
{
    (void)round;
    reserve(run, length_of_run());
}

/* --------------------------------------------------------------------------------------------- evacuation */

static uint64_t moved_to;

static enum kva_frames_moved move_there(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    (void)context;
    (void)from;
    (void)count;
    moved_to = to;
    return KVA_FRAMES_MOVED;
}

static void many_blocks_to_move(uint64_t size)
{
    plan(size, 1, size);
    config.move = move_there;
    make();
}

static void many_zones_to_move(uint64_t size)
{
    plan(size, (size_t)size, 2);
    config.move = move_there;
    make();
}

static void many_cpus_to_move(uint64_t size)
{
    plan_cpus(size);
    config.move = move_there;
    make();
}

static void a_long_run_to_move(uint64_t size)
{
    many_blocks_to_move(size + 3);
    size_now = size;
    run = BLOCK - 7;
}

/** One frame in the middle of the range is in use. */
static void evacuate(uint64_t first, uint64_t count)
{
    enum kva_status status;

    assert_int_equal(kva_frames_reserve(frames, first + count / 2, 1, KVA_MOVABLE, NULL), KVA_OK);
    counting(status = kva_frames_evacuate(frames, first, count, KVA_MOVABLE, NULL));
    assert_int_equal(status, KVA_OK);
    give(first);
    give(moved_to);
}

static void evacuate_a_frame(uint64_t round)
{
    evacuate(some_block(round), 1);
}

static void evacuate_a_long_run(uint64_t round)
{
    (void)round;
    evacuate(run, length_of_run());
}

/** `size` single frames of a block must be moved. */
static void evacuate_many(uint64_t round)
{
    enum kva_status status;

    (void)round;
    for (uint64_t i = 0; i < size_now; i++)
        assert_int_equal(kva_frames_reserve(frames, 2 * i, 1, KVA_MOVABLE, NULL), KVA_OK);
    counting(status = kva_frames_evacuate(frames, 0, 2 * size_now, KVA_MOVABLE, NULL));
    assert_int_equal(status, KVA_OK);
}

static void many_runs_to_move(uint64_t size)
{
    plan(size, 1, 64);
    config.move = move_there;
    make();
}

/* --------------------------------------------------------------------------------------------- compaction */

static void hold_movable(uint64_t first, uint64_t count)
{
    assert_int_equal(kva_frames_reserve(frames, first, count, KVA_MOVABLE, NULL), KVA_OK);
}

/** One frame in block `from` moves to a block with more frames in use. */
static void compact(uint64_t from, uint64_t to)
{
    struct kva_frames_compacted done;
    enum kva_status status;

    hold_movable(from * BLOCK, 1);
    hold_movable(to * BLOCK, 3);
    counting(status =
                 kva_frames_compact(frames, KVA_FRAMES_ALL_ZONES, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, &done));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(done.moved_runs, 1);
    assert_int_equal(moved_to / BLOCK, to);
    give(moved_to);
    give(to * BLOCK);
}

static void compact_two_blocks(uint64_t round)
{
    compact(round % 2, blocks_now - 1);
}

/** In the last zone. */
static void compact_a_zone(uint64_t round)
{
    (void)round;
    compact(blocks_now - 2, blocks_now - 1);
}

/** Half of 64 blocks have `size` single frames; the other half has just enough room for them. */
static void compact_many(uint64_t round)
{
    uint64_t each = size_now / 32;
    struct kva_frames_compacted done;
    enum kva_status status;

    (void)round;
    for (uint64_t block = 0; block < 32; block++) {
        for (uint64_t i = 0; i < each; i++)
            hold_movable(block * BLOCK + 2 * i, 1);
        hold_movable((32 + block) * BLOCK, BLOCK - each);
    }
    counting(status = kva_frames_compact(frames, 0, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, &done));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(done.moved_runs, size_now);
    assert_int_equal(done.freed_blocks, 32);
}

static enum kva_frames_moved refuse_to_move(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    (void)context;
    (void)from;
    (void)to;
    (void)count;
    return KVA_FRAMES_PINNED;
}

/** Three pinned frames in each block, far from each other, so that no block is free. */
static void many_pinned_blocks(uint64_t size)
{
    plan(size, 1, size);
    config.move = refuse_to_move;
    make();
    for (uint64_t block = 0; block < size; block++) {
        for (uint64_t i = 1; i < 4; i++)
            hold_movable(block * BLOCK + i * BLOCK / 4, 1);
    }
}

static void compact_in_vain(uint64_t round)
{
    struct kva_frames_compacted done;
    enum kva_status status;

    (void)round;
    counting(status = kva_frames_compact(frames, 0, 9, UINT64_MAX, &done));
    assert_int_equal(status, KVA_OK);
    assert_true(done.pinned_runs >= size_now);
    assert_int_equal(done.moved_runs, 0);
}

static void compact_all_in_vain(uint64_t round)
{
    struct kva_frames_compacted done;
    enum kva_status status;

    (void)round;
    counting(status = kva_frames_compact(frames, 0, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, &done));
    assert_int_equal(status, KVA_OK);
    assert_true(done.pinned_runs >= size_now && done.is_finished);
    assert_int_equal(done.moved_runs, 0);
}

/* ------------------------------------------------------------------------------------- offline and online */

static void hide(uint64_t first, uint64_t count)
{
    enum kva_status status;

    counting(status = kva_frames_offline(frames, first, count, NULL));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_frames_online(frames, first, count, NULL), KVA_OK);
}

static void hide_a_frame(uint64_t round)
{
    hide(some_block(round), 1);
}

static void hide_a_long_run(uint64_t round)
{
    (void)round;
    hide(run, length_of_run());
}

static void show(uint64_t first, uint64_t count)
{
    enum kva_status status;

    assert_int_equal(kva_frames_offline(frames, first, count, NULL), KVA_OK);
    counting(status = kva_frames_online(frames, first, count, NULL));
    assert_int_equal(status, KVA_OK);
}

static void show_a_frame(uint64_t round)
{
    show(some_block(round), 1);
}

static void show_a_long_run(uint64_t round)
{
    (void)round;
    show(run, length_of_run());
}

/** With a block to give back. */
static void drain(uint64_t round)
{
    enum kva_status status;

    (void)round;
    give(take((struct kva_frames_request){0}));
    counting(status = kva_frames_drain(frames));
    assert_int_equal(status, KVA_OK);
}

/* --------------------------------------------------------------------------------------- looks and counts */

static void find(uint64_t frame, uint64_t count)
{
    struct kva_frames_found found;
    enum kva_status status;

    counting(status = kva_frames_find(frames, frame, &found));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(found.count, count);
}

static void find_in_a_zone(uint64_t round)
{
    find(some(round) * BLOCK + 7, BLOCK);
}

static void find_in_a_long_run(uint64_t round)
{
    find(run + some(round) * BLOCK, length_of_run());
}

static void statistics(uint64_t round)
{
    struct kva_frames_stats stats;
    enum kva_status status;

    (void)round;
    counting(status = kva_frames_stats_read(frames, KVA_FRAMES_ALL_ZONES, &stats));
    assert_int_equal(status, KVA_OK);
}

static void count_groups(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_frames_orders_read(frames, 0, &orders));
    assert_int_equal(status, KVA_OK);
}

/** Single free frames in one block, among single frames in use. */
static void many_groups(uint64_t size)
{
    plan(size, 1, 16);
    config.block_order = KVA_FRAMES_BLOCK_ORDER;
    make();
    for (uint64_t i = 0; i < size; i++)
        hold(2 * i, 1);
    hold(2 * size, 16 * BLOCK - 2 * size);
}

/** So many zones, with 1024 blocks in total. */
static void zones_of_1024_blocks(uint64_t size)
{
    plan(size, (size_t)size, 1024 / size);
    make();
}

static void forget_line(void *context, const char *line, size_t length)
{
    (void)context;
    (void)line;
    (void)length;
}

static void dump(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_frames_dump(frames, forget_line, NULL));
    assert_int_equal(status, KVA_OK);
}

static void picture(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_frames_picture(frames, 0, forget_line, NULL));
    assert_int_equal(status, KVA_OK);
}

static void picture_of_the_last_zone(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_frames_picture(frames, (size_t)size_now - 1, forget_line, NULL));
    assert_int_equal(status, KVA_OK);
}

static void check(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_frames_check(frames, NULL));
    assert_int_equal(status, KVA_OK);
}

/** All free frames are single, so that the indices are the same at each order. */
static void an_order(uint64_t size)
{
    size_now = size;
    memory = (struct kva_failing_memory){0};
    orders = (struct kva_frames_orders){.block_order = KVA_FRAMES_BLOCK_ORDER, .unused = {1 << 20}};
}

static void share_unusable(uint64_t round)
{
    unsigned share;

    (void)round;
    counting(share = kva_frames_unusable(&orders, (unsigned)size_now));
    assert_int_equal(share, 1000);
}

static void fragmentation(uint64_t round)
{
    int index;

    (void)round;
    counting(index = kva_frames_fragmentation(&orders, (unsigned)size_now));
    assert_true(index > 0);
}

/* ------------------------------------------------------------------------------------- creation and forks */

static void create(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_frames_create(&config, &frames));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_frames_destroy(frames), KVA_OK);
    frames = NULL;
}

static void ask_for_bytes(uint64_t round)
{
    size_t bytes;

    (void)round;
    counting(bytes = kva_frames_bytes(&config));
    assert_true(bytes > 0);
}

static void plan_blocks(uint64_t size)
{
    plan(size, 1, size);
}

/** `size` is the square of the number of zones. They are given in descending order, the worst case of the
 * sort. */
static void plan_pairs_of_zones(uint64_t size)
{
    size_t count = 1;

    while ((uint64_t)count * count < size)
        count++;
    plan(size, count, 1);
    for (size_t i = 0; i < count / 2; i++) {
        struct kva_frames_zone zone = zones[i];
        zones[i] = zones[count - 1 - i];
        zones[count - 1 - i] = zone;
    }
}

/** The same over as many nodes; a few zones in total. */
static void plan_nodes(uint64_t size)
{
    plan(size, 64, 1);
    for (size_t i = 0; i < 64; i++)
        zones[i].node = (unsigned)(i % size);
}

/** One frame each, in 64 zones. */
static void plan_holes(uint64_t size)
{
    plan(size, 64, 1);
    holes = calloc((size_t)size, sizeof *holes);
    assert_non_null(holes);
    for (uint64_t i = 0; i < size; i++)
        holes[i] = (struct kva_frames_range){.first = i % (64 * BLOCK), .count = 1};
    config.holes = holes;
    config.hole_count = (size_t)size;
}

/** Overlapping holes, of 64 blocks each. */
static void plan_large_holes(uint64_t size)
{
    plan_holes(size);
    plan(size, 1, 65);
    for (uint64_t i = 0; i < size; i++)
        holes[i] = (struct kva_frames_range){.first = 0, .count = 64 * BLOCK};
    config.holes = holes;
    config.hole_count = (size_t)size;
}

static void fork_prepare(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_frames_fork_prepare(frames));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_frames_fork_parent(frames), KVA_OK);
}

static void fork_parent(uint64_t round)
{
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_frames_fork_prepare(frames), KVA_OK);
    counting(status = kva_frames_fork_parent(frames));
    assert_int_equal(status, KVA_OK);
}

/** The child releases the locks; this process acts as the child. */
static void fork_child(uint64_t round)
{
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_frames_fork_prepare(frames), KVA_OK);
    counting(status = kva_frames_fork_child(frames));
    assert_int_equal(status, KVA_OK);
}

/* -------------------------------------------------------------------------------------------------- lines */

/* The designated fields of unusual lines. */
#define CPUS .few = 16, .many = 512
#define ZONES .few = 32, .many = KVA_FRAMES_ZONES
#define SELDOM .rounds = 2

#define GIVEN_RANGE "O(log zones + CPUs + count / 64), and O(log n) for each block"

#define COMPACTION "O(n) for the zones, 8 bytes for each block"

#define EVACUATION "O(CPUs zones + count / 64) and, for each block and each move, O(log n)"

static const struct cost_line lines[] = {
    COST_LINE("kva_frames_bytes", "O(zones (zones + holes))", "pairs of zones", COST_LINEAR,
              plan_pairs_of_zones, ask_for_bytes, .few = 256, .many = 65536, SELDOM),
    COST_LINE("kva_frames_bytes", "O(zones (zones + holes))", "holes", COST_LINEAR, plan_holes, ask_for_bytes,
              SELDOM),
    COST_LINE("kva_frames_bytes", "O(zones (zones + holes))", "blocks", COST_LOGARITHM, plan_blocks,
              ask_for_bytes, SELDOM),
    COST_LINE("kva_frames_create", "O(zones (zones nodes", "pairs of zones", COST_LINEAR, plan_pairs_of_zones,
              create, .few = 256, .many = 65536, SELDOM),
    COST_LINE("kva_frames_create", "O(zones (zones nodes", "nodes", COST_LINEAR, plan_nodes, create, .few = 4,
              .many = KVA_FRAMES_NODES, SELDOM),
    COST_LINE("kva_frames_create", "+ holes", "holes", COST_LINEAR, plan_holes, create, SELDOM),
    COST_LINE("kva_frames_create", "+ CPUs)", "CPUs", COST_LINEAR, plan_cpus, create, CPUS, SELDOM),
    COST_LINE("kva_frames_create", "+ n", "blocks", COST_LINEAR, plan_blocks, create, SELDOM),
    COST_LINE("kva_frames_create", "h being the blocks that each hole reaches over", "holes of 64 blocks",
              COST_LINEAR, plan_large_holes, create, .few = 16, .many = 512, SELDOM),

    COST_LINE("kva_frames_alloc", "O(1) from the block that the CPU holds", "blocks", COST_CONSTANT,
              many_blocks_and_one_at_hand, allocate_at_hand),
    COST_LINE("kva_frames_alloc", "O(zones + log n) for a request by order", "blocks in use", COST_LOGARITHM,
              many_full_blocks, allocate_by_search),
    COST_LINE("kva_frames_alloc", "O(log n) for each zone in which it finds nothing", "zones in use",
              COST_LINEAR, many_full_zones, allocate_by_search, ZONES),
    COST_LINE("kva_frames_alloc", "O(log n) for each zone in which it finds nothing", "blocks, in vain",
              COST_LOGARITHM, no_free_block, allocate_in_vain),
    COST_LINE("kva_frames_alloc", "O(CPUs zones)", "zones, in vain", COST_LINEAR, no_free_zone,
              allocate_in_vain, ZONES),
    COST_LINE("kva_frames_alloc", "O(CPUs zones)", "CPUs, in vain", COST_LINEAR, many_cpus_and_no_free_block,
              allocate_in_vain, CPUS),
    COST_LINE("kva_frames_alloc", "O(b) on top if one block holds the run", "blocks of which none will do",
              COST_LINEAR, many_pairs, allocate_three),
    COST_LINE("kva_frames_alloc", "O(n + c / 64)", "blocks whose last frame is free", COST_LINEAR, many_tails,
              allocate_two_blocks),
    COST_LINE("kva_frames_alloc", "O(n + c / 64)", "blocks of a run", COST_LINEAR, a_long_run,
              allocate_a_long_run),
    COST_LINE("kva_frames_alloc_many", "a lock for each block", "frames", COST_LINEAR, many_firsts,
              allocate_many, SELDOM),
    COST_LINE("kva_frames_free_many", "a lock for each sequence of single frames", "frames", COST_LINEAR,
              many_firsts, free_many, SELDOM),

    COST_LINE("kva_frames_reserve", GIVEN_RANGE, "blocks", COST_LOGARITHM, many_blocks, reserve_a_frame),
    COST_LINE("kva_frames_reserve", GIVEN_RANGE, "zones", COST_LOGARITHM, many_zones, reserve_a_frame, ZONES),
    COST_LINE("kva_frames_reserve", GIVEN_RANGE, "CPUs", COST_LINEAR, many_cpus, reserve_a_frame, CPUS,
              .rounds = 8),
    COST_LINE("kva_frames_reserve", GIVEN_RANGE, "blocks of a run", COST_LINEAR, a_long_run,
              reserve_a_long_run),
    COST_LINE("kva_frames_compact", COMPACTION, "blocks", COST_LINEAR, many_blocks_to_move,
              compact_two_blocks, SELDOM),
    COST_LINE("kva_frames_compact", "as kva_frames_drain", "zones of two blocks", COST_LINEAR,
              many_zones_to_move, compact_a_zone, ZONES, SELDOM),
    COST_LINE("kva_frames_compact", "as kva_frames_drain", "CPUs", COST_LINEAR, many_cpus_to_move,
              compact_two_blocks, CPUS, .rounds = 8),
    COST_LINE("kva_frames_compact", "O(n block_order)", "blocks that cannot be emptied", COST_LINEAR,
              many_pinned_blocks, compact_in_vain, SELDOM),
    COST_LINE("kva_frames_compact", "O(n block_order log n)", "blocks that are pinned", COST_N_LOG_N,
              many_pinned_blocks, compact_all_in_vain, SELDOM),
    COST_LINE("kva_frames_compact", "for each move O(log n)", "moves", COST_LINEAR, many_runs_to_move,
              compact_many, .few = 256, .many = 8192, .rounds = 1),
    COST_LINE("kva_frames_evacuate", EVACUATION, "blocks", COST_LOGARITHM, many_blocks_to_move,
              evacuate_a_frame),
    COST_LINE("kva_frames_evacuate", EVACUATION, "zones", COST_LINEAR, many_zones_to_move, evacuate_a_frame,
              ZONES),
    COST_LINE("kva_frames_evacuate", EVACUATION, "CPUs", COST_LINEAR, many_cpus_to_move, evacuate_a_frame,
              CPUS, .rounds = 8),
    COST_LINE("kva_frames_evacuate", EVACUATION, "blocks of a range", COST_LINEAR, a_long_run_to_move,
              evacuate_a_long_run),
    COST_LINE("kva_frames_evacuate", EVACUATION, "moves", COST_LINEAR, many_runs_to_move, evacuate_many,
              .few = 256, .many = 8192, .rounds = 1),
    COST_LINE("kva_frames_free", "O(log n) on top for each block", "blocks", COST_LOGARITHM, many_full_blocks,
              free_a_block),
    COST_LINE("kva_frames_free", "O(log zones + c / 64)", "zones", COST_LOGARITHM, many_full_zones,
              free_a_block, ZONES),
    COST_LINE("kva_frames_free", "O(log zones + c / 64)", "blocks of a run", COST_LINEAR, a_long_run_in_use,
              free_a_long_run),
    COST_LINE("kva_frames_free_range", "as kva_frames_free", "blocks", COST_LOGARITHM, many_full_blocks,
              free_a_frame_of_a_block),
    COST_LINE("kva_frames_free_range", "as kva_frames_free", "blocks of a part", COST_LINEAR,
              a_long_run_in_use, free_a_long_part),
    COST_LINE("kva_frames_split", "O(log zones + c / 64)", "blocks", COST_CONSTANT, many_full_blocks,
              divide_a_block),
    COST_LINE("kva_frames_split", "O(log zones + c / 64)", "zones", COST_LOGARITHM, many_full_zones,
              divide_a_block, ZONES),
    COST_LINE("kva_frames_split", "O(log zones + c / 64)", "blocks of a run", COST_LINEAR, a_long_run_in_use,
              divide_a_long_run),
    COST_LINE("kva_frames_offline", GIVEN_RANGE, "blocks", COST_LOGARITHM, many_blocks, hide_a_frame),
    COST_LINE("kva_frames_offline", GIVEN_RANGE, "zones", COST_LOGARITHM, many_zones, hide_a_frame, ZONES),
    COST_LINE("kva_frames_offline", GIVEN_RANGE, "CPUs", COST_LINEAR, many_cpus, hide_a_frame, CPUS,
              .rounds = 8),
    COST_LINE("kva_frames_offline", GIVEN_RANGE, "blocks of a range", COST_LINEAR, a_long_run,
              hide_a_long_run),
    COST_LINE("kva_frames_online", GIVEN_RANGE, "blocks", COST_LOGARITHM, many_blocks, show_a_frame),
    COST_LINE("kva_frames_online", GIVEN_RANGE, "zones", COST_LOGARITHM, many_zones, show_a_frame, ZONES),
    COST_LINE("kva_frames_online", GIVEN_RANGE, "CPUs", COST_LINEAR, many_cpus, show_a_frame, CPUS,
              .rounds = 8),
    COST_LINE("kva_frames_online", GIVEN_RANGE, "blocks of a range", COST_LINEAR, a_long_run,
              show_a_long_run),
    COST_LINE("kva_frames_drain", "O(CPUs zones)", "CPUs", COST_LINEAR, many_cpus, drain, CPUS),
    COST_LINE("kva_frames_drain", "O(CPUs zones)", "zones", COST_LINEAR, many_zones, drain, ZONES),
    COST_LINE("kva_frames_drain", "O(log n) for each block that is given up", "blocks", COST_LOGARITHM,
              many_blocks, drain),

    COST_LINE("kva_frames_find", "O(log zones + c / 64)", "zones", COST_LOGARITHM, no_free_zone,
              find_in_a_zone, ZONES),
    COST_LINE("kva_frames_find", "O(log zones + c / 64)", "blocks of a run", COST_LINEAR, a_long_run_in_use,
              find_in_a_long_run),
    COST_LINE("kva_frames_stats_read", "O(n + CPUs zones)", "blocks", COST_LINEAR, many_blocks, statistics,
              SELDOM),
    COST_LINE("kva_frames_stats_read", "O(n + CPUs zones)", "CPUs", COST_LINEAR, many_cpus, statistics, CPUS),
    COST_LINE("kva_frames_stats_read", "O(n + CPUs zones)", "zones", COST_LINEAR, many_zones, statistics,
              ZONES),
    COST_LINE("kva_frames_orders_read", "O(n + CPUs), whichever zone", "blocks", COST_LINEAR, many_blocks,
              count_groups, SELDOM),
    COST_LINE("kva_frames_orders_read", "O(n + CPUs), whichever zone", "CPUs", COST_LINEAR, many_cpus,
              count_groups, CPUS),
    COST_LINE("kva_frames_orders_read", "O(g) for g free groups", "free groups", COST_LINEAR, many_groups,
              count_groups, .few = 64, .many = 2048, SELDOM),
    COST_LINE("kva_frames_unusable", "O(order)", "the order", COST_LINEAR, an_order, share_unusable, .few = 2,
              .many = KVA_FRAMES_BLOCK_ORDER),
    COST_LINE("kva_frames_fragmentation", "O(order)", "the order", COST_LINEAR, an_order, fragmentation,
              .few = 2, .many = KVA_FRAMES_BLOCK_ORDER),
    COST_LINE("kva_frames_dump", "O(zones (n + CPUs))", "blocks", COST_LINEAR, many_blocks, dump, SELDOM),
    COST_LINE("kva_frames_dump", "O(zones (n + CPUs))", "zones", COST_LINEAR, zones_of_1024_blocks, dump,
              .few = 4, .many = 128, SELDOM),
    COST_LINE("kva_frames_dump", "O(g) for g free groups", "free groups", COST_LINEAR, many_groups, dump,
              .few = 64, .many = 2048, SELDOM),
    COST_LINE("kva_frames_picture", "O(zones + n), n being the zone's", "blocks", COST_LINEAR, many_blocks,
              picture, SELDOM),
    COST_LINE("kva_frames_picture", "O(zones + n), n being the zone's", "zones", COST_LINEAR, many_zones,
              picture_of_the_last_zone, ZONES),
    COST_LINE("kva_frames_check", "O(n + CPUs)", "blocks", COST_LINEAR, many_blocks, check, SELDOM),
    COST_LINE("kva_frames_check", "O(n + CPUs)", "CPUs", COST_LINEAR, many_cpus, check, CPUS),
    COST_LINE("kva_frames_fork_prepare", "O(n + CPUs)", "blocks", COST_LINEAR, many_blocks, fork_prepare,
              SELDOM),
    COST_LINE("kva_frames_fork_prepare", "O(n + CPUs)", "CPUs", COST_LINEAR, many_cpus, fork_prepare, CPUS),
    COST_LINE("kva_frames_fork_parent", "O(n + CPUs)", "blocks", COST_LINEAR, many_blocks, fork_parent,
              SELDOM),
    COST_LINE("kva_frames_fork_parent", "O(n + CPUs)", "CPUs", COST_LINEAR, many_cpus, fork_parent, CPUS),
    COST_LINE("kva_frames_fork_child", "O(n + CPUs)", "blocks", COST_LINEAR, many_blocks, fork_child, SELDOM),
    COST_LINE("kva_frames_fork_child", "O(n + CPUs)", "CPUs", COST_LINEAR, many_cpus, fork_child, CPUS),
};

static void test_costs(void **state)
{
    (void)state;
    cost_measure(lines, sizeof(lines) / sizeof(lines[0]), tear_down, "a frame set");
}

static void test_every_row_has_a_line(void **state)
{
    (void)state;
    static const char *const headers[] = {KVA_INCLUDE "/kva/frames.h", NULL};

    cost_expect_complete(headers, lines, sizeof(lines) / sizeof(lines[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_every_row_has_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
