/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The two scanners of bench/scanners, compared with a table of owners that follows each move: no frame is
 * lost, no frame has two owners, pinned runs stay, and the scanners stay in their zone and meet.
 */
#define _GNU_SOURCE
#include "common/harness.h"

#include "bench/scanners/scanners.h"

#include <kva/threads.h>
#include <string.h>

#define BLOCK 64u
#define BASE 40u    /* the first zone begins inside a block, */
#define SPLIT 5000u /* two zones share one, */
#define END 9990u   /* and the last one ends inside one */
#define NO_OWNER 0

struct run {
    uint64_t first;
    uint64_t count;
    bool pinned;
};

static struct world {
    struct kva_frames *frames;
    uint32_t owner[END]; /* of each frame: the index of its run, plus 1 */
    struct run runs[END];
    size_t count;
    uint64_t low; /* moves stay in the frames [low, high) */
    uint64_t high;
    uint64_t moved;
} world;

static enum kva_frames_moved move_run(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    (void)context;
    assert_true(from >= world.low && from + count <= world.high);
    assert_true(to >= world.low && to + count <= world.high);
    check_that(to > from && to / BLOCK > from / BLOCK, "a run moved from %u to %u, not up", (unsigned)from,
               (unsigned)to);
    uint32_t owner = world.owner[from];
    assert_true(owner != NO_OWNER && world.runs[owner - 1].first == from &&
                world.runs[owner - 1].count == count);
    if (world.runs[owner - 1].pinned)
        return KVA_FRAMES_PINNED;
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(world.owner[to + i], NO_OWNER);
        world.owner[to + i] = owner;
        world.owner[from + i] = NO_OWNER;
    }
    world.runs[owner - 1].first = to;
    world.moved += count;
    return KVA_FRAMES_MOVED;
}

static void create(void)
{
    static const struct kva_frames_zone zones[] = {{BASE, SPLIT, 0}, {SPLIT, END, 1}};
    static const struct kva_frames_range hole = {700, 30};
    struct kva_frames_config config = {.zones = zones,
                                       .zone_count = 2,
                                       .holes = &hole,
                                       .hole_count = 1,
                                       .block_order = 6,
                                       .memory = kva_memory_host(),
                                       .threads = kva_threads_host(),
                                       .move = move_run};

    memset(&world, 0, sizeof(world));
    world.high = END;
    assert_int_equal(kva_frames_create(&config, &world.frames), KVA_OK);
}

static void own(uint64_t first, uint64_t count)
{
    world.runs[world.count++] = (struct run){.first = first, .count = count};
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(world.owner[first + i], NO_OWNER);
        world.owner[first + i] = (uint32_t)world.count;
    }
}

static void disown(size_t run)
{
    struct run *freed = &world.runs[run];

    assert_int_equal(kva_frames_free(world.frames, freed->first), KVA_OK);
    for (uint64_t i = 0; i < freed->count; i++)
        world.owner[freed->first + i] = NO_OWNER;
    *freed = world.runs[--world.count];
    for (uint64_t i = 0; run < world.count && i < freed->count; i++)
        world.owner[freed->first + i] = (uint32_t)run + 1;
}

/* Fill the set with runs of orders up to `most`, and free random ones until `percent` are left. */
static void scatter(struct test_rng *rng, unsigned most, unsigned percent)
{
    uint64_t first;
    for (;;) {
        struct kva_frames_request request = {.order = (unsigned)test_below(rng, most + 1),
                                             .type = KVA_MOVABLE};
        if (kva_frames_alloc(world.frames, &request, &first) != KVA_OK)
            break;
        own(first, UINT64_C(1) << request.order);
    }
    for (size_t left = world.count * percent / 100; world.count > left;)
        disown((size_t)test_below(rng, world.count));
}

/* Compare the set and the table, run by run. */
static void check_world(void)
{
    struct kva_fault fault;
    struct kva_frames_stats stats;
    uint64_t owned = 0;

    if (kva_frames_check(world.frames, &fault) != KVA_OK)
        fail_msg("kva_frames_check: %s", fault.what);
    for (size_t i = 0; i < world.count; i++) {
        const struct run *run = &world.runs[i];
        struct kva_frames_found found;
        assert_int_equal(kva_frames_find(world.frames, run->first, &found), KVA_OK);
        assert_true(found.state == KVA_FRAMES_USED && found.first == run->first && found.count == run->count);
        owned += run->count;
    }
    assert_int_equal(kva_frames_stats_read(world.frames, KVA_FRAMES_ALL_ZONES, &stats), KVA_OK);
    assert_true(stats.used_frames == owned && stats.moved_frames == world.moved);
}

static uint64_t free_blocks(size_t zone)
{
    struct kva_frames_stats stats;

    assert_int_equal(kva_frames_stats_read(world.frames, zone, &stats), KVA_OK);
    return stats.free_blocks;
}

/* Check that both scanners are in the zone, in order. */
static void check_positions(const struct scanners *scanners)
{
    assert_true(scanners->migrate >= world.low && scanners->migrate < world.high);
    assert_true(scanners->free >= world.low && scanners->free < world.high);
    assert_true(scanners->migrate / BLOCK <= scanners->free / BLOCK);
    assert_true(!scanners->have_met || scanners->migrate / BLOCK == scanners->free / BLOCK);
}

/* Compact in slices until the scanners meet. Returns the sums. */
static struct kva_frames_compacted compact(size_t zone, uint64_t most)
{
    struct kva_frames_compacted sum = {0}, done;
    struct scanners scanners;

    world.low = zone == 0 ? BASE : SPLIT;
    world.high = zone == 0 ? SPLIT : END;
    assert_int_equal(scanners_init(&scanners, world.frames, zone), KVA_OK);
    do {
        check_positions(&scanners);
        assert_int_equal(scanners_compact(&scanners, most, &done), KVA_OK);
        assert_true(done.is_finished == scanners.have_met && (done.is_finished || done.moved_frames >= most));
        sum.moved_frames += done.moved_frames;
        sum.freed_blocks += done.freed_blocks;
        sum.pinned_runs += done.pinned_runs;
    } while (!done.is_finished);
    check_positions(&scanners);
    return sum;
}

/* With single frames, all used frames end up at the top: at most one block is neither full nor free, not
 * counting the block with a hole and the blocks that two zones share. */
static void single_frames_end_at_the_top(void **state)
{
    (void)state;
    struct test_rng rng = test_rng_of(1);
    for (unsigned percent = 10; percent <= 90; percent += 20) {
        create();
        scatter(&rng, 0, percent);
        uint64_t before = free_blocks(1);
        struct kva_frames_compacted done = compact(1, UINT64_MAX);
        check_world();
        assert_true(done.freed_blocks == free_blocks(1) - before && done.moved_frames == world.moved);
        uint64_t possible = 0;
        for (uint64_t frame = SPLIT; frame < END; frame++)
            possible += world.owner[frame] == NO_OWNER;
        check_that(free_blocks(1) + 2 >= possible / BLOCK, "%u %%: %u free blocks of %u", percent,
                   (unsigned)free_blocks(1), (unsigned)(possible / BLOCK));
        world.moved = 0;
        assert_true(compact(1, UINT64_MAX).freed_blocks == 0);
        assert_int_equal(kva_frames_destroy(world.frames), KVA_OK);
    }
}

/* With random runs, pins and slices. */
static void nothing_is_lost(void **state)
{
    (void)state;
    struct test_rng rng = test_rng_of(2);
    for (size_t round = 0; round < test_scaled(20); round++) {
        create();
        scatter(&rng, (unsigned)test_below(&rng, 8), 20 + (unsigned)test_below(&rng, 70));
        for (size_t i = 0; i < world.count; i++)
            world.runs[i].pinned = test_below(&rng, 50) == 0;
        for (size_t zone = 0; zone < 2; zone++)
            (void)compact(zone, 1 + test_below(&rng, 200));
        check_world();
        assert_int_equal(kva_frames_destroy(world.frames), KVA_OK);
    }
}

static void wrong_calls_are_refused(void **state)
{
    (void)state;
    static const struct kva_frames_zone zone = {0, 4 * BLOCK, 0};
    struct kva_frames_config config = {
        .zones = &zone, .zone_count = 1, .block_order = 6, .memory = kva_memory_host()};
    struct kva_frames *frames;
    struct scanners scanners;
    assert_int_equal(kva_frames_create(&config, &frames), KVA_OK);
    assert_int_equal(scanners_init(&scanners, frames, 1), KVA_EINVAL);
    assert_int_equal(scanners_init(&scanners, frames, 0), KVA_OK);
    assert_int_equal(scanners_compact(&scanners, 1, NULL), KVA_ENOENT);
    assert_int_equal(kva_frames_destroy(frames), KVA_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_frames_end_at_the_top),
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(wrong_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
