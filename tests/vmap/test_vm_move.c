/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Movable frames, one promise of kva/vmap.h at a time: what compaction frees and what it leaves alone, what
 * maps refer to before and after it, runs of frames, pins, statistics, and what a child of fork has of them.
 * test_vm_move_model.c has the random tests.
 */
#define _GNU_SOURCE /* SEEK_DATA */
#define _FILE_OFFSET_BITS 64
#include "../common/harness.h"
#include "../common/movable.h"
#include "../common/stepper.h"

#include <kva/vmap.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCKS = 4, BLOCK_MOST = 8192 };

static struct test_movable stage;
static uint64_t kept[BLOCKS * BLOCK_MOST];
static uint64_t run[BLOCKS * BLOCK_MOST];

static unsigned block_order(void)
{
    unsigned order = 0;

    while (UINT64_C(1) << order < test_block())
        order++;
    return order;
}

static struct kva_frames_compacted compact(unsigned order, uint64_t most)
{
    struct kva_frames_compacted done;

    assert_int_equal(kva_vm_frames_compact(stage.frames, order, most, &done), KVA_OK);
    test_vm_expect_sound(&stage.test, "compacted");
    return done;
}

static void unmap(void *map)
{
    assert_int_equal(kva_vunmap(stage.vm, map), KVA_OK);
}

static void give(const uint64_t *numbers, size_t count)
{
    assert_int_equal(kva_vm_frames_free(stage.frames, numbers, count), KVA_OK);
}

static void end(void)
{
    test_movable_destroy(&stage);
}

/* --------------------------------------------------------------------------------------------- compaction */

/** Five of 64 in each block. */
static bool keep_few(uint64_t place, uint64_t block)
{
    return place % block % 64 < 5;
}

/** One in each block: at the beginning of block 0, and 3 places further on in each next block. */
static bool keep_one(uint64_t place, uint64_t block)
{
    return place % block == place / block * 3;
}

/** Three in block 0, one in each other. */
static bool keep_three_or_one(uint64_t place, uint64_t block)
{
    return place % block < (place < block ? 3 : 1);
}

/** The next offset at which a file holds memory, from `from` on; `end` if there is none. */
static off_t next_data(int file, off_t from, off_t end)
{
    off_t at = lseek(file, from, SEEK_DATA);

    assert_true(at >= 0 || errno == ENXIO);
    return at >= 0 ? at : end;
}

/** The places of a run that was just taken hold no memory. */
static void expect_no_memory(uint64_t place, uint64_t count)
{
    void *frame_set = kva_failing_pages_frames(&stage.test.pages);
    int file = (int)stage.moving.inner.descriptor(stage.moving.inner.context, frame_set);
    off_t from = (off_t)(place * stage.page);
    off_t last = (off_t)((place + count) * stage.page);

    assert_in_range(next_data(file, from, last), last, (uint64_t)stage.count * stage.page);
}

/** Before compaction no block is free; after it, three are. */
static void play_compaction(enum kva_mechanism mechanism, bool by_hand, bool is_mapped)
{
    unsigned char *maps[BLOCKS * 64];

    test_movable_begin(&stage, mechanism, BLOCKS);
    stage.moving.always_by_hand = by_hand;
    size_t count = test_movable_scatter(&stage, keep_few, kept);
    size_t mapped = !is_mapped ? 0 : count < BLOCKS * 64 ? count : BLOCKS * 64;
    assert_int_equal(test_frames_stats(stage.frames).free_blocks, 0);
    for (size_t i = 0; i < mapped; i++)
        maps[i] = test_movable_map(&stage, &kept[i], 1);
    assert_int_equal(kva_vm_frames_alloc_run(stage.frames, (size_t)stage.block, stage.block, run),
                     KVA_ENOSPC);
    test_vm_forgive(&stage.test);

    struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    assert_true(done.is_finished);
    assert_int_equal(done.freed_blocks, BLOCKS - 1);
    assert_int_equal(done.moved_frames, count / BLOCKS * (BLOCKS - 1));
    assert_int_equal(done.pinned_runs, 0);
    assert_int_equal(stage.test.pages.moved_frames, done.moved_frames);
    struct kva_frames_stats stats = test_frames_stats(stage.frames);
    assert_int_equal(stats.free_blocks, BLOCKS - 1);
    assert_int_equal(stats.used_frames, count);
    assert_int_equal(stats.free_frames, stage.count - count);
    assert_int_equal(stats.moved_frames, done.moved_frames);

    for (size_t i = 0; i < mapped; i++)
        test_movable_expect(&stage, maps[i], &kept[i], 1);
    unmap(test_movable_map(&stage, kept, count));
    for (unsigned i = 0; i < BLOCKS - 1; i++) {
        assert_int_equal(kva_vm_frames_alloc_run(stage.frames, (size_t)stage.block, stage.block, run),
                         KVA_OK);
        unsigned char *map = kva_vmap(stage.vm, stage.frames, run, (size_t)stage.block);
        assert_non_null(map);
        expect_no_memory(kva_failing_pages_place(&stage.test.pages, map), stage.block);
        unmap(map);
    }
    assert_int_equal(kva_vm_frames_alloc_run(stage.frames, (size_t)stage.block, stage.block, run),
                     KVA_ENOSPC);
    test_vm_forgive(&stage.test);
    for (size_t i = 0; i < mapped; i++)
        unmap(maps[i]);
    unmap(test_movable_map(&stage, kept, count));
    assert_true(stage.moving.by_hand > 0 || !by_hand);
    end();
}

static void test_compaction_frees_blocks(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, i) {
        play_compaction(mechanism, false, false);
        play_compaction(mechanism, false, true);
        play_compaction(mechanism, true, true);
    }
    print_message("%s moves frames that are mapped\n",
                  stage.moving.inner.move ? "the host, or this program," : "this program");
}

static void begin(void)
{
    enum kva_mechanism mechanism;

    assert_true(test_mechanism(0, &mechanism));
    test_movable_begin(&stage, mechanism, BLOCKS);
}

/** A call moves the requested number of frames, plus at most the rest of a run. Repeated calls finish. */
static void test_a_call_moves_the_requested_number(void **state)
{
    (void)state;
    begin();
    size_t count = test_movable_scatter(&stage, keep_few, kept);
    unsigned char *map = test_movable_map(&stage, kept, count);
    struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, 0);
    assert_int_equal(done.moved_frames, 0);
    assert_int_equal(stage.test.pages.moves, 0);
    done = compact(KVA_FRAMES_ALL_BLOCKS, 1);
    assert_false(done.is_finished);
    uint64_t moved = done.moved_frames;
    assert_in_range(moved, 1, 5); /* a run may have up to five frames */
    for (unsigned rounds = 0; !done.is_finished; rounds++) {
        assert_in_range(rounds, 0, count);
        done = compact(KVA_FRAMES_ALL_BLOCKS, 7);
        assert_in_range(done.moved_frames, 0, 6 + 5);
        moved += done.moved_frames;
        test_movable_expect(&stage, map, kept, count);
    }
    assert_int_equal(test_frames_stats(stage.frames).free_blocks, BLOCKS - 1);
    assert_int_equal(stage.test.pages.moved_frames, moved);
    assert_int_equal(test_frames_stats(stage.frames).moved_frames, moved);
    done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    assert_true(done.is_finished && done.moved_frames == 0 && done.freed_blocks == 0);
    unmap(map);
    end();
}

/** The run that reaches the requested number is the last one. */
static void test_no_run_moves_beyond_the_requested_number(void **state)
{
    static const uint64_t most[] = {31, 32, 33, 40, 63, 64, 65};

    (void)state;
    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++) {
        begin();
        size_t count = test_movable_scatter(&stage, keep_few, kept);
        unsigned char *map = test_movable_map(&stage, kept, count);
        struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, most[i]);
        assert_in_range(done.moved_frames, most[i], most[i] + 4); /* a run may have up to five frames */
        test_movable_expect(&stage, map, kept, count);
        unmap(map);
        end();
    }
}

/** Compaction stops as soon as a group of the order is free. */
static void test_compaction_stops_at_a_free_group(void **state)
{
    (void)state;
    for (unsigned order = 0; order <= block_order(); order++) {
        const size_t length = (size_t)1 << order;
        begin();
        size_t count = test_movable_scatter(&stage, keep_few, kept);
        unsigned char *map = test_movable_map(&stage, kept, count);
        bool is_there = kva_vm_frames_alloc_run(stage.frames, length, length, run) == KVA_OK;
        test_vm_forgive(&stage.test);
        if (is_there)
            give(run, length);
        struct kva_frames_compacted done = compact(order, UINT64_MAX);
        assert_true(done.is_finished);
        assert_int_equal(done.moved_frames == 0, is_there);
        assert_in_range(test_frames_stats(stage.frames).free_blocks, 0, 1);
        assert_int_equal(kva_vm_frames_alloc_run(stage.frames, length, length, run), KVA_OK);
        test_movable_expect(&stage, map, kept, count);
        unmap(map);
        end();
    }
}

/** Each bad call is reported to the misuse hook and changes nothing. */
static void test_bad_compactions(void **state)
{
    struct kva_frames_compacted done;
    struct kva_vm_frames *unmovable;
    const struct kva_vm_frames_config config = {.count = 10};

    (void)state;
    begin();
    size_t count = test_movable_scatter(&stage, keep_few, kept);
    assert_int_equal(kva_vm_frames_create(stage.vm, &config, &unmovable), KVA_OK);
    assert_int_equal(kva_vm_frames_compact(NULL, 1, 1, &done), KVA_ENULL);
    assert_int_equal(kva_vm_frames_compact(stage.frames, block_order() + 1, 1, &done), KVA_EINVAL);
    assert_int_equal(kva_vm_frames_compact(stage.frames, KVA_FRAMES_ALL_BLOCKS - 1, 1, &done), KVA_EINVAL);
    assert_int_equal(kva_vm_frames_compact(unmovable, 1, 1, &done), KVA_ENOENT);
    assert_int_equal(kva_vm_frames_compact(unmovable, KVA_FRAMES_ALL_BLOCKS, 1, NULL), KVA_ENOENT);
    assert_int_equal(stage.test.pages.moves, 0);
    test_vm_forgive(&stage.test);
    assert_int_equal(kva_vm_frames_compact(stage.frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, NULL), KVA_OK);
    assert_in_range(stage.test.pages.moved_frames, 1, stage.count);
    unmap(test_movable_map(&stage, kept, count));
    end();
}

static enum kva_status reclaimed_status;

static bool compact_in_reclaim(void *context, struct kva_vm *vm, size_t size)
{
    (void)context;
    (void)vm;
    (void)size;
    reclaimed_status = kva_vm_frames_compact(stage.frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, NULL);
    return false;
}

static void test_compaction_inside_a_reclaim_callback(void **state)
{
    struct kva_vm_reclaim reclaim = {.callback = compact_in_reclaim};

    (void)state;
    begin();
    size_t count = test_movable_scatter(&stage, keep_few, kept);
    assert_int_equal(kva_vm_reclaim_add(stage.vm, &reclaim), KVA_OK);
    reclaimed_status = KVA_OK;
    assert_null(kva_vmalloc(stage.vm, (size_t)(64 * TEST_MIB)));
    assert_int_equal(reclaimed_status, KVA_EREENTRY);
    assert_int_equal(stage.test.pages.moves, 0);
    assert_int_equal(kva_vm_reclaim_remove(stage.vm, &reclaim), KVA_OK);
    test_vm_forgive(&stage.test);
    unmap(test_movable_map(&stage, kept, count));
    end();
}

static void compact_all(void *context)
{
    enum kva_status *status = context;

    *status = kva_vm_frames_compact(stage.frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, NULL);
}

/** Another thread compacts everything; between two slices, this thread calls `between_slices`. Returns the
 *  number of slices. */
static unsigned compact_beside(void (*between_slices)(void))
{
    static struct stepper worker; /* static: the instance refers to its threads until it ends */
    enum kva_mechanism mechanism;
    enum kva_status status = KVA_ENOMEM;
    uint64_t before = 0;
    unsigned slices = 0;

    stepper_init(&worker);
    assert_true(test_mechanism(0, &mechanism));
    struct kva_vm_config config = test_movable_config(&stage, mechanism, BLOCKS);
    config.threads = &worker.threads;
    test_movable_create(&stage, &config);
    const uint64_t all = test_movable_scatter(&stage, keep_few, kept) / BLOCKS * (BLOCKS - 1);
    stepper_start(&worker, compact_all, &status, 1);
    while (stepper_step(&worker)) {
        uint64_t moved = test_frames_stats(stage.frames).moved_frames;
        slices += moved > before;
        if (moved > before && moved < all)
            between_slices();
        before = moved;
    }
    stepper_finish(&worker);
    assert_int_equal(status, KVA_OK);
    assert_int_equal(test_frames_stats(stage.frames).free_blocks, BLOCKS - 1);
    test_vm_expect_sound(&stage.test, "compacted by another thread");
    assert_in_range(slices, all / 40, all); /* a slice moves some 32 frames */
    return slices;
}

/** The set cannot be destroyed before the compaction has ended. */
static void expect_busy(void)
{
    assert_int_equal(kva_vm_frames_destroy(stage.frames), KVA_EBUSY);
    test_vm_forgive(&stage.test);
}

static void test_destroy_between_slices(void **state)
{
    (void)state;
    assert_in_range(compact_beside(expect_busy), 3, BLOCKS * BLOCK_MOST);
    end();
}

/* ---------------------------------------------------------------------------------------------- many maps */

/** Two blocks with a frame each; `count` maps refer to each frame. One of the frames moves, or neither. */
static void play_many_maps(size_t count)
{
    enum kva_mechanism mechanism;
    unsigned char *maps[2][70];
    uint64_t places[2];
    unsigned moved = 0;

    assert_true(test_mechanism(0, &mechanism) && count <= 70);
    test_movable_begin(&stage, mechanism, 2);
    assert_int_equal(test_movable_scatter(&stage, keep_one, kept), 2);
    for (size_t i = 0; i < 2 * count; i++)
        maps[i % 2][i / 2] = test_movable_map(&stage, &kept[i % 2], 1);
    for (unsigned i = 0; i < 2; i++)
        places[i] = kva_failing_pages_place(&stage.test.pages, maps[i][0]);
    struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    for (unsigned i = 0; i < 2; i++)
        moved += kva_failing_pages_place(&stage.test.pages, maps[i][0]) != places[i];
    assert_int_equal(moved, count <= 64);
    assert_int_equal(done.moved_frames, moved);
    assert_int_equal(done.freed_blocks, moved);
    assert_true(done.is_finished && (done.pinned_runs > 0 || moved > 0));
    for (size_t i = 0; i < 2 * count; i++) {
        test_movable_expect(&stage, maps[i % 2][i / 2], &kept[i % 2], 1);
        unmap(maps[i % 2][i / 2]);
    }
    done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX); /* a frame without maps moves */
    assert_int_equal(done.moved_frames, 1 - moved);
    unmap(test_movable_map(&stage, kept, 2));
    end();
}

static void test_many_maps_pin_a_frame(void **state)
{
    (void)state;
    play_many_maps(1);
    play_many_maps(2);
    play_many_maps(63);
    play_many_maps(64);
    play_many_maps(65);
    play_many_maps(70);
}

/** A map contains a frame many times: alone, in the opposite order of the places, and among others. */
static void test_a_frame_many_times_in_a_map(void **state)
{
    enum { TIMES = 24 };
    enum kva_mechanism mechanism;
    uint64_t same[3][TIMES];
    unsigned char *maps[3];

    (void)state;
    assert_true(test_mechanism(0, &mechanism));
    test_movable_begin(&stage, mechanism, 2);
    size_t count = test_movable_scatter(&stage, keep_few, kept);
    for (size_t i = 0; i < TIMES; i++) {
        same[0][i] = kept[3];
        same[1][i] = kept[TIMES - i];
        same[2][i] = kept[i % 4];
    }
    for (size_t i = 0; i < 3; i++)
        maps[i] = test_movable_map(&stage, same[i], TIMES);
    for (unsigned round = 0; round < 2; round++) {
        (void)compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
        assert_in_range(stage.test.pages.moved_frames, 1, stage.count);
        for (size_t i = 0; i < 3; i++)
            test_movable_expect(&stage, maps[i], same[i], TIMES);
        test_put_word(maps[0] + stage.page, 77); /* any of its pages will do */
        assert_int_equal(test_word(maps[0] + (TIMES - 1) * stage.page), 77);
        assert_int_equal(test_word(maps[1] + (TIMES - 3) * stage.page), 77);
        assert_int_equal(test_word(maps[2] + 7 * stage.page), 77);
        test_put_word(maps[2] + 3 * stage.page, kept[3] + 1);
    }
    for (size_t i = 0; i < 3; i++)
        unmap(maps[i]);
    unmap(test_movable_map(&stage, kept, count));
    end();
}

/* ------------------------------------------------------------------------------------------------ map_ram */

/** Fail unless two maps map the same frames: a store through one is read through the other. */
static void expect_same(unsigned char *a, unsigned char *b, size_t count, uint64_t word)
{
    for (size_t i = 0; i < count; i++) {
        test_put_word(a + i * stage.page, word + i);
        assert_int_equal(test_word(b + i * stage.page), word + i);
        test_put_word(b + i * stage.page + stage.page - 8, word + i);
        assert_int_equal(test_word(a + i * stage.page + stage.page - 8), word + i);
    }
}

/** Fail unless map_ram and vmap map the same places for these frames. */
static void expect_mapped_by_ram(const uint64_t *numbers, size_t count, uint64_t word)
{
    unsigned char *ram = kva_map_ram(stage.vm, stage.frames, numbers, count);
    unsigned char *map = kva_vmap(stage.vm, stage.frames, numbers, count);

    assert_true(ram != NULL && map != NULL);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(kva_failing_pages_place(&stage.test.pages, ram + i * stage.page),
                         kva_failing_pages_place(&stage.test.pages, map + i * stage.page));
    expect_same(ram, map, count, word);
    assert_int_equal(kva_unmap_ram(stage.vm, ram), KVA_OK);
    unmap(map);
}

static void test_ended_maps_after_compaction(void **state)
{
    (void)state;
    begin();
    size_t count = test_movable_scatter(&stage, keep_few, kept);
    for (size_t i = 0; i + 4 < count; i += 4)
        expect_mapped_by_ram(&kept[i], 4, i);
    (void)compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    for (unsigned round = 0; round < 2; round++) { /* first mapped anew, then found in the cache */
        for (size_t i = 0; i + 4 < count; i += 4) {
            unsigned char *ram = kva_map_ram(stage.vm, stage.frames, &kept[i], 4);
            assert_non_null(ram);
            for (size_t k = 0; k < 4; k++)
                assert_int_equal(test_word(ram + k * stage.page), i + k);
            assert_int_equal(kva_unmap_ram(stage.vm, ram), KVA_OK);
            expect_mapped_by_ram(&kept[i], 4, i);
        }
    }
    end();
}

/** Numbers are freed while an ended map still maps them, and are allocated again at other places. The ended
 *  map must not be found for them. */
static void play_reused_numbers(bool compacts, struct test_rng *rng)
{
    enum { TAKEN = 120, LENGTH = 4 };
    uint64_t others[TAKEN];

    begin();
    assert_int_equal(kva_vm_frames_alloc(stage.frames, TAKEN, kept), KVA_OK);
    for (size_t i = 0; i < TAKEN; i += LENGTH)
        expect_mapped_by_ram(&kept[i], LENGTH, i);
    memcpy(others, kept, sizeof others);
    for (size_t i = TAKEN; i > 1; i--) { /* in random order */
        size_t k = (size_t)test_below(rng, i);
        uint64_t number = others[k];
        others[k] = others[i - 1];
        others[i - 1] = number;
        give(&others[i - 1], 1);
    }
    give(others, 1);
    if (compacts)
        (void)compact(0, UINT64_MAX);
    assert_int_equal(kva_vm_frames_alloc_run(stage.frames, TAKEN / 2, 0, others), KVA_OK);
    for (size_t i = TAKEN / 2; i < TAKEN; i++)
        assert_int_equal(kva_vm_frames_alloc(stage.frames, 1, &others[i]), KVA_OK);
    for (size_t i = 0; i < TAKEN; i++) { /* fresh frames */
        unsigned char *map = kva_vmap(stage.vm, stage.frames, &others[i], 1);
        assert_non_null(map);
        assert_true(test_word(map) == 0 && test_word(map + stage.page - 8) == 0);
        unmap(map);
    }
    for (size_t i = 0; i < TAKEN; i += LENGTH) {
        bool is_taken = true;
        for (size_t k = 0; k < LENGTH; k++) {
            bool is_among = false;
            for (size_t m = 0; m < TAKEN; m++)
                is_among |= others[m] == kept[i + k];
            is_taken &= is_among;
        }
        if (is_taken)
            expect_mapped_by_ram(&kept[i], LENGTH, 1000 + i);
    }
    for (size_t i = 0; i + LENGTH <= TAKEN; i += LENGTH)
        expect_mapped_by_ram(&others[i], LENGTH, 2000 + i);
    test_vm_expect_sound(&stage.test, "numbers used again");
    end();
}

static void test_reallocated_numbers(void **state)
{
    struct test_rng rng = test_rng_of(31);

    (void)state;
    for (unsigned i = 0; i < 8; i++)
        play_reused_numbers(i % 2 != 0, &rng);
}

/** Frames that were allocated between two slices, and freed. */
static uint64_t meanwhile[BLOCKS * BLOCK_MOST];
static size_t meanwhile_count;

/** Map every second pair of `meanwhile` twice by map_ram. Stop at 2000: no more pages are cached. */
static void expect_pairs(uint64_t word)
{
    for (size_t i = 0; i + 1 < meanwhile_count && i < 2000; i += 4) {
        const uint64_t pair[] = {meanwhile[i], meanwhile[i + 1], meanwhile[i]};
        expect_mapped_by_ram(pair, 2, word + i);
        expect_mapped_by_ram(pair + 1, 2, word + i);
    }
}

/** On the first call, leave ended maps of all free frames. */
static void leave_ended_maps(void)
{
    if (meanwhile_count > 0)
        return;
    stage.test.pages.allows_unnamed_maps = true;
    meanwhile_count = (size_t)test_frames_stats(stage.frames).free_frames;
    assert_int_equal(kva_vm_frames_alloc(stage.frames, meanwhile_count, meanwhile), KVA_OK);
    expect_pairs(1000);
    give(meanwhile, meanwhile_count);
}

/** Frames move to the places of free frames that ended maps still map. When the free frames are allocated
 *  again, they lie elsewhere, and no ended map is found for them. */
static void test_ended_maps_of_free_frames(void **state)
{
    (void)state;
    meanwhile_count = 0;
    (void)compact_beside(leave_ended_maps);
    assert_in_range(meanwhile_count, 1, stage.count);
    /* Allocate them again. */
    assert_int_equal(kva_vm_frames_alloc(stage.frames, meanwhile_count, run), KVA_OK);
    expect_pairs(9000);
    test_vm_expect_sound(&stage.test, "ended maps of free frames");
    end();
}

/** More short-lived maps than the cache keeps: a map that replaces an ended one maps its own frames only. */
static void test_maps_in_place_of_ended_ones(void **state)
{
    enum { LENGTH = 16, ROUNDS = 2 * 4096 / LENGTH };
    uint64_t numbers[LENGTH];
    unsigned char *ram;

    (void)state;
    begin();
    size_t count = test_movable_scatter(&stage, keep_few, kept);
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < LENGTH; i++)
            numbers[i] = kept[(round + i * (1 + round / count)) % count];
        ram = kva_map_ram(stage.vm, stage.frames, numbers, LENGTH);
        assert_non_null(ram);
        test_movable_expect(&stage, ram, numbers, LENGTH);
        assert_int_equal(kva_unmap_ram(stage.vm, ram), KVA_OK);
    }
    test_vm_expect_sound(&stage.test, "maps in place of ended ones");
    ram = kva_map_ram(stage.vm, stage.frames, kept, LENGTH);
    unsigned char *map = test_movable_map(&stage, kept, count);
    assert_non_null(ram);
    (void)compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    test_movable_expect(&stage, ram, kept, LENGTH);
    test_movable_expect(&stage, map, kept, count);
    unmap(map);
    assert_int_equal(kva_unmap_ram(stage.vm, ram), KVA_OK);
    end();
}

/* --------------------------------------------------------------------------------------------------- runs */

static struct kva_vm_frames *unmovable_set(uint64_t count)
{
    const struct kva_vm_frames_config config = {.count = count};
    struct kva_vm_frames *frames;

    assert_int_equal(kva_vm_frames_create(stage.vm, &config, &frames), KVA_OK);
    return frames;
}

/** Allocate and map a run. In an unmovable set its numbers are its places. The map takes one call. */
static void play_run(struct kva_vm_frames *frames, bool movable, size_t count, uint64_t align)
{
    const uint64_t multiple = align == 0 ? 1 : align;

    assert_int_equal(kva_vm_frames_alloc_run(frames, count, align, run), KVA_OK);
    uint64_t maps = stage.test.pages.maps;
    uint64_t calls = test_vm_stats(stage.vm).pages.calls.map;
    unsigned char *map = kva_vmap(stage.vm, frames, run, count);
    assert_non_null(map);
    assert_int_equal(stage.test.pages.maps, maps + 1);
    if (!movable)
        assert_int_equal(test_vm_stats(stage.vm).pages.calls.map, calls + 1);
    uint64_t first = movable ? kva_failing_pages_place(&stage.test.pages, map) : run[0];
    assert_int_equal(first % multiple, 0);
    for (size_t i = 0; i < count; i++) {
        if (movable)
            assert_int_equal(kva_failing_pages_place(&stage.test.pages, map + i * stage.page), first + i);
        else
            assert_int_equal(run[i], first + i);
        assert_int_equal(test_word(map + i * stage.page), 0);
        test_put_word(map + i * stage.page, UINT64_MAX);
    }
    unmap(map);
}

static void play_runs(struct kva_vm_frames *frames, bool movable)
{
    static const size_t counts[] = {1, 2, 3, 7, 8, 64, 65, 100};
    uint64_t one;

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (uint64_t align = 0; align <= test_block(); align = align == 0 ? 1 : 2 * align) {
            if (counts[i] > test_block())
                continue;
            /* So that no run begins at place 0. */
            assert_int_equal(kva_vm_frames_alloc(frames, 1, &one), KVA_OK);
            play_run(frames, movable, counts[i], align);
            assert_int_equal(kva_vm_frames_free(frames, run, counts[i]), KVA_OK);
            play_run(frames, movable, counts[i], align); /* the contents are gone */
            for (size_t k = counts[i]; k-- > 0;)         /* one by one, backwards */
                assert_int_equal(kva_vm_frames_free(frames, &run[k], 1), KVA_OK);
            assert_int_equal(kva_vm_frames_free(frames, &one, 1), KVA_OK);
        }
    }
    play_run(frames, movable, (size_t)(2 * test_block()), test_block()); /* longer than a block */
    assert_int_equal(kva_vm_frames_free(frames, run, (size_t)(2 * test_block())), KVA_OK);
    assert_int_equal(test_frames_stats(frames).used_frames, 0);
}

static void test_runs(void **state)
{
    (void)state;
    begin();
    struct kva_vm_frames *unmovable = unmovable_set(stage.count);
    play_runs(stage.frames, true);
    play_runs(unmovable, false);
    test_vm_expect_sound(&stage.test, "runs");
    end();
}

/** Parts of a run are freed from either end and from its middle. */
static void test_parts_of_runs(void **state)
{
    const size_t length = 30;
    struct test_rng rng = test_rng_of(32);

    (void)state;
    begin();
    for (unsigned round = 0; round < 40; round++) {
        assert_int_equal(kva_vm_frames_alloc_run(stage.frames, length, 0, run), KVA_OK);
        for (size_t left = length; left > 0;) {
            size_t from = (size_t)test_below(&rng, left);
            size_t count = 1 + (size_t)test_below(&rng, left - from);
            give(&run[from], count);
            memmove(&run[from], &run[from + count], (left - from - count) * sizeof run[0]);
            left -= count;
            assert_int_equal(test_frames_stats(stage.frames).used_frames, left);
        }
        test_vm_expect_sound(&stage.test, "parts");
    }
    end();
}

static void test_refused_runs(void **state)
{
    (void)state;
    begin();
    struct kva_vm_frames *unmovable = unmovable_set(100);
    assert_int_equal(kva_vm_frames_alloc_run(unmovable, 101, 0, run), KVA_ENOSPC);
    assert_int_equal(kva_vm_frames_alloc_run(unmovable, SIZE_MAX, 0, run), KVA_ENOSPC);
    assert_int_equal(kva_vm_frames_alloc_run(unmovable, 1, 3, run), KVA_EALIGN);
    assert_int_equal(kva_vm_frames_alloc_run(unmovable, 1, UINT64_MAX, run), KVA_EALIGN);
    assert_int_equal(kva_vm_frames_alloc_run(unmovable, 0, 1, run), KVA_ESIZE);
    assert_int_equal(kva_vm_frames_alloc_run(unmovable, 1, 1, NULL), KVA_ENULL);
    assert_int_equal(kva_vm_frames_alloc_run(NULL, 1, 1, run), KVA_ENULL);
    assert_int_equal(test_frames_stats(unmovable).used_frames, 0);
    assert_int_equal(kva_vm_frames_alloc_run(unmovable, 60, UINT64_C(1) << 63, run), KVA_OK);
    assert_int_equal(run[0], 0); /* a multiple of anything */
    assert_int_equal(kva_vm_frames_alloc_run(unmovable, 1, UINT64_C(1) << 63, run), KVA_ENOSPC);
    assert_int_equal(kva_vm_frames_alloc_run(unmovable, 41, 0, run), KVA_ENOSPC);
    assert_int_equal(kva_vm_frames_alloc_run(unmovable, 40, 0, run), KVA_OK);
    test_vm_forgive(&stage.test);
    end();
}

/** More frames than a block has are consecutive in an unmovable set; in a movable set they are whole
 *  blocks. */
static void test_many_frames_lie_in_a_row(void **state)
{
    (void)state;
    begin();
    struct kva_vm_frames *unmovable = unmovable_set(stage.count);
    for (unsigned i = 0; i < 2; i++) {
        struct kva_vm_frames *frames = i == 0 ? stage.frames : unmovable;
        assert_int_equal(kva_vm_frames_alloc(frames, (size_t)stage.count, run), KVA_OK);
        uint64_t maps = stage.test.pages.maps;
        void *map = kva_vmap(stage.vm, frames, run, (size_t)stage.count);
        assert_non_null(map);
        /* At most one call for each block of a movable set. */
        assert_in_range(stage.test.pages.maps - maps, 1, i == 0 ? BLOCKS : 1);
        unmap(map);
    }
    end();
}

static void test_huge_maps(void **state)
{
    void *memory;

    (void)state;
    begin();
    const uint64_t huge = stage.moving.inner.huge;
    const size_t block = (size_t)stage.block;
    assert_int_equal(kva_vm_frames_alloc_run(stage.frames, 2 * block, block, run), KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(stage.frames, 1, &kept[0]), KVA_OK);
    memcpy(&kept[1], run, 2 * block * sizeof run[0]);
    const bool has_huge = huge == block * stage.page;
    for (unsigned i = 0; i < 3; i++) {
        /* two blocks; a block and one frame; two blocks whose huge pages are not aligned to those of the
         * map */
        const uint64_t *numbers = i == 2 ? kept : run;
        const size_t count = i == 1 ? block + 1 : 2 * block;
        uint64_t collapses = stage.test.pages.collapses;
        assert_int_equal(kva_vm_map(stage.vm, stage.frames, numbers, count, KVA_VM_HUGE, &memory), KVA_OK);
        if (huge != 0)
            assert_int_equal((uintptr_t)memory % huge, 0);
        if (has_huge && stage.moving.inner.collapse)
            assert_int_equal(stage.test.pages.collapses > collapses, i < 2);
        for (size_t k = 0; k < count; k++)
            test_put_word((unsigned char *)memory + k * stage.page, numbers[k]);
        unsigned char *map = kva_vmap(stage.vm, stage.frames, numbers, count);
        assert_non_null(map);
        for (size_t k = 0; k < count; k++)
            assert_int_equal(test_word(map + k * stage.page), numbers[k]);
        unmap(map);
        unmap(memory);
    }
    uint64_t collapses = stage.test.pages.collapses;
    unmap(kva_vmap(stage.vm, stage.frames, run, block)); /* without KVA_VM_HUGE */
    assert_int_equal(stage.test.pages.collapses, collapses);
    assert_int_equal(kva_vm_map(stage.vm, stage.frames, run, 1, KVA_VM_ZERO, &memory), KVA_EINVAL);
    assert_int_equal(kva_vm_map(stage.vm, stage.frames, run, 1, KVA_VM_HUGE | 1U << 31, &memory), KVA_EINVAL);
    test_vm_forgive(&stage.test);
    end();
}

/* --------------------------------------------------------------------------------------------------- pins */

static void expect_pin(const void *memory, size_t bytes, enum kva_status status)
{
    test_vm_forgive(&stage.test);
    assert_int_equal(kva_vm_pin(stage.vm, memory, bytes), status);
    test_vm_forgive(&stage.test);
}

static void expect_unpin(const void *memory, size_t bytes, enum kva_status status)
{
    test_vm_forgive(&stage.test);
    assert_int_equal(kva_vm_unpin(stage.vm, memory, bytes), status);
    test_vm_forgive(&stage.test);
}

/** Three frames in one block and one in another: the single one moves as soon as it has no pin. */
static void test_pinned_frames_stay(void **state)
{
    enum kva_mechanism mechanism;
    unsigned char *maps[4];
    uint64_t places[4];

    (void)state;
    assert_true(test_mechanism(0, &mechanism));
    test_movable_begin(&stage, mechanism, 2);
    assert_int_equal(test_movable_scatter(&stage, keep_three_or_one, kept), 4);
    for (unsigned i = 0; i < 4; i++) {
        maps[i] = test_movable_map(&stage, &kept[i], 1);
        places[i] = kva_failing_pages_place(&stage.test.pages, maps[i]);
        expect_pin(maps[i] + 5, 1, KVA_OK);
        expect_pin(maps[i], stage.page, KVA_OK);
    }
    for (unsigned times = 0; times < 2; times++) { /* each frame has two pins */
        struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
        assert_true(done.moved_frames == 0 && done.freed_blocks == 0 && done.pinned_runs > 0);
        expect_unpin(maps[3], 1, KVA_OK);
    }
    struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    assert_true(done.moved_frames == 1 && done.freed_blocks == 1 && done.pinned_runs == 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(kva_failing_pages_place(&stage.test.pages, maps[i]) == places[i], i < 3);
    expect_unpin(maps[3], 1, KVA_EDOUBLE);

    unmap(maps[0]); /* pins outlive the map */
    unmap(maps[3]);
    assert_int_equal(kva_vm_frames_free(stage.frames, kept, 1), KVA_EBUSY);
    const uint64_t both[] = {kept[3], kept[0]};
    assert_int_equal(kva_vm_frames_free(stage.frames, both, 2), KVA_EBUSY);
    test_vm_forgive(&stage.test);
    for (unsigned i = 0; i < 3; i++) {
        if (i == 0)
            maps[0] = test_movable_map(&stage, kept, 1);
        assert_int_equal(kva_failing_pages_place(&stage.test.pages, maps[i]), places[i]);
        expect_unpin(maps[i], stage.page, KVA_OK);
        expect_unpin(maps[i], stage.page, KVA_OK);
        expect_unpin(maps[i], stage.page, KVA_EDOUBLE);
        unmap(maps[i]);
    }
    give(kept, 4);
    end();
}

/** Which pages a range of bytes pins. */
static void test_ranges_of_pins(void **state)
{
    (void)state;
    begin();
    size_t count = test_movable_scatter(&stage, keep_few, kept);
    assert_in_range(count, 4, stage.count);
    unsigned char *map = test_movable_map(&stage, kept, 4);
    const size_t page = stage.page;

    expect_pin(map + page - 1, 2, KVA_OK); /* pages 0 and 1 */
    expect_unpin(map, 3 * page, KVA_EDOUBLE);
    expect_unpin(map + 2 * page, 1, KVA_EDOUBLE);
    expect_unpin(map + page, 1, KVA_OK);
    expect_unpin(map, 2 * page, KVA_EDOUBLE); /* page 0 keeps its pin */
    expect_unpin(map, page, KVA_OK);
    expect_unpin(map, 1, KVA_EDOUBLE);

    expect_pin(map, 4 * page, KVA_OK);
    expect_pin(map, 4 * page + 1, KVA_ERANGE);
    expect_pin(map + 1, 4 * page, KVA_ERANGE);
    expect_pin(map + 4 * page - 1, 1, KVA_OK);
    expect_pin(map + 4 * page - 1, 2, KVA_ERANGE);
    expect_pin(map + 4 * page - 1, SIZE_MAX, KVA_ERANGE);
    expect_pin(map, SIZE_MAX, KVA_ERANGE);
    expect_unpin(map, 4 * page + 1, KVA_ERANGE);
    expect_unpin(map, SIZE_MAX, KVA_ERANGE);
    expect_pin(map, 0, KVA_ESIZE);
    expect_unpin(map, 0, KVA_ESIZE);
    expect_pin(NULL, 1, KVA_ENULL);
    expect_unpin(NULL, 1, KVA_ENULL);
    assert_int_equal(kva_vm_pin(NULL, map, 1), KVA_ENULL);
    assert_int_equal(kva_vm_unpin(NULL, map, 1), KVA_ENULL);
    expect_unpin(map, 4 * page, KVA_OK);
    expect_unpin(map + 3 * page, 1, KVA_OK);
    expect_unpin(map + 3 * page, 1, KVA_EDOUBLE);
    unmap(map);
    expect_pin(map, 1, KVA_EUNKNOWN);
    expect_unpin(map, 1, KVA_EUNKNOWN);
    assert_int_equal(kva_vm_purge(stage.vm), KVA_OK);
    expect_pin(map, 1, KVA_EUNKNOWN);
    expect_pin(&map, 1, KVA_EUNKNOWN);
    expect_unpin(&map, 1, KVA_EUNKNOWN);
    end();
}

/** Memory that kva never moves accepts pins, but none are counted. */
static void test_pins_of_unmovable_memory(void **state)
{
    uint64_t numbers[3];

    (void)state;
    begin();
    struct kva_vm_frames *unmovable = unmovable_set(10);
    assert_int_equal(kva_vm_frames_alloc(unmovable, 3, numbers), KVA_OK);
    unsigned char *map = kva_vmap(stage.vm, unmovable, numbers, 3);
    unsigned char *area = kva_vmalloc(stage.vm, 3 * stage.page);
    assert_true(map != NULL && area != NULL);
    for (unsigned i = 0; i < 2; i++) {
        unsigned char *memory = i == 0 ? map : area;
        expect_pin(memory, 3 * stage.page, KVA_OK);
        expect_pin(memory + 1, 1, KVA_OK);
        expect_pin(memory, 3 * stage.page + 1, KVA_ERANGE);
        expect_pin(memory, 0, KVA_ESIZE);
        expect_unpin(memory, 3 * stage.page, KVA_OK);
        expect_unpin(memory, 3 * stage.page + 1, KVA_ERANGE);
    }
    expect_pin(map, 1, KVA_OK);
    unmap(map);
    assert_int_equal(kva_vm_frames_free(unmovable, numbers, 3), KVA_OK);
    assert_int_equal(kva_vfree(stage.vm, area), KVA_OK);
    expect_pin(area, 1, KVA_EUNKNOWN);
    end();
}

/** A pin set through a short-lived map is removed through another map of the frame. */
static void test_pins_belong_to_frames(void **state)
{
    (void)state;
    begin();
    size_t count = test_movable_scatter(&stage, keep_few, kept);
    unsigned char *map = test_movable_map(&stage, kept, count);
    unsigned char *ram = kva_map_ram(stage.vm, stage.frames, &kept[7], 2);
    assert_non_null(ram);
    expect_pin(ram, 2 * stage.page, KVA_OK);
    uint64_t place = kva_failing_pages_place(&stage.test.pages, ram);
    assert_int_equal(kva_unmap_ram(stage.vm, ram), KVA_OK);
    for (unsigned i = 0; i < 3; i++) {
        (void)compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
        assert_int_equal(kva_failing_pages_place(&stage.test.pages, map + 7 * stage.page), place);
        test_movable_expect(&stage, map, kept, count);
    }
    expect_unpin(map + 7 * stage.page, 2 * stage.page, KVA_OK);
    expect_unpin(map + 8 * stage.page, 1, KVA_EDOUBLE);
    unmap(map);
    give(kept, count);
    end();
}

/** A set with pinned frames can be destroyed. */
static void test_a_set_ends_with_its_pins(void **state)
{
    (void)state;
    begin();
    size_t count = test_movable_scatter(&stage, keep_few, kept);
    unsigned char *map = test_movable_map(&stage, kept, count);
    expect_pin(map, count * stage.page, KVA_OK);
    unmap(map);
    end();
}

/** Take the whole free block, and free all but its first `left` frames. */
static void take_run_in_free_block(size_t left)
{
    const size_t block = (size_t)stage.block;

    assert_int_equal(kva_vm_frames_alloc_run(stage.frames, block, block, run), KVA_OK);
    give(&run[left], block - left);
}

/** A frame that has moved, so that its number differs from its place, stays when pinned. */
static void test_pinned_after_a_move(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    assert_true(test_mechanism(0, &mechanism));
    test_movable_begin(&stage, mechanism, 2);
    assert_int_equal(test_movable_scatter(&stage, keep_three_or_one, kept), 4);
    assert_int_equal(compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX).moved_frames, 1);
    give(kept, 3);
    take_run_in_free_block(8);
    unsigned char *map = test_movable_map(&stage, &kept[3], 1);
    const uint64_t place = kva_failing_pages_place(&stage.test.pages, map);
    expect_pin(map, 1, KVA_OK);
    assert_int_equal(compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX).pinned_runs > 0, true);
    assert_int_equal(kva_failing_pages_place(&stage.test.pages, map), place);
    expect_unpin(map, 1, KVA_OK);
    unmap(map);
    end();
}

static bool keep_few_of_first(uint64_t place, uint64_t block)
{
    return place < block && place % 64 < 5;
}

/** A run moves as a unit, among single frames. */
static void test_runs_stay_together(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    assert_true(test_mechanism(0, &mechanism));
    test_movable_begin(&stage, mechanism, 2);
    assert_in_range(test_movable_scatter(&stage, keep_few_of_first, kept), 9, stage.block);
    take_run_in_free_block(8);
    struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    assert_int_equal(done.moved_frames, 8);
    assert_int_equal(done.moved_runs, 1);
    uint64_t first = test_movable_place(&stage, run[0]);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(test_movable_place(&stage, run[i]), first + i);
    end();
}

/** Of many frames that were allocated at once, those at the borders of blocks remain, and move. */
static void test_frames_at_borders_move(void **state)
{
    size_t left = 0;
    uint64_t one;

    (void)state;
    begin();
    const size_t many_frames = 2 * (size_t)stage.block;
    assert_int_equal(kva_vm_frames_alloc(stage.frames, 1, &one), KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(stage.frames, many_frames, run), KVA_OK);
    for (size_t i = 0; i < many_frames; i++) {
        uint64_t in_block = run[i] % stage.block;
        if (in_block == 0 || in_block == stage.block - 1)
            left++;
        else
            give(&run[i], 1);
    }
    assert_in_range(left, 2, 6);
    assert_true(compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX).is_finished);
    assert_int_equal(test_frames_stats(stage.frames).free_blocks, BLOCKS - 1);
    end();
}

/* --------------------------------------------------------------------------------------- sets and figures */

static void test_bad_sets(void **state)
{
    struct kva_vm_frames_config config = {.count = 1, .movable = true};
    struct kva_vm_frames *frames;

    (void)state;
    begin();
    assert_int_equal(kva_vm_frames_create(NULL, &config, &frames), KVA_ENULL);
    assert_int_equal(kva_vm_frames_create(stage.vm, NULL, &frames), KVA_ENULL);
    assert_int_equal(kva_vm_frames_create(stage.vm, &config, NULL), KVA_ENULL);
    config.count = 0;
    assert_int_equal(kva_vm_frames_create(stage.vm, &config, &frames), KVA_ESIZE);
    config.count = UINT32_MAX;
    assert_int_equal(kva_vm_frames_create(stage.vm, &config, &frames), KVA_ESIZE);
    config.count = UINT64_MAX;
    assert_int_equal(kva_vm_frames_create(stage.vm, &config, &frames), KVA_ESIZE);
    test_vm_forgive(&stage.test);
    assert_int_equal(stage.test.pages.frame_sets, 1);
    end();
}

/** A movable set has no descriptor. */
static void test_descriptors(void **state)
{
    (void)state;
    begin();
    struct kva_vm_frames *unmovable = unmovable_set(1);
    assert_int_equal(kva_vm_frames_descriptor(stage.frames), -1);
    assert_int_equal(kva_vm_frames_descriptor(NULL), -1);
    assert_true(kva_vm_frames_descriptor(unmovable) >= 0);
    end();
}

/** Statistics count frames whose bookkeeping does not exist yet. */
static void test_statistics_of_large_sets(void **state)
{
    static const uint64_t sizes[] = {
        1, 5, UINT64_C(1) << 20, (UINT64_C(1) << 20) + 1, UINT64_C(1) << 24, UINT32_MAX - 1};
    struct kva_frames_stats stats;
    uint64_t one;

    (void)state;
    begin();
    const uint64_t block = stage.block;
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++) {
        const struct kva_vm_frames_config config = {.count = sizes[i / 2], .movable = i % 2 != 0};
        if (test_under_valgrind() && config.count > UINT64_C(1) << 24)
            continue; /* Valgrind keeps tables of its own about such tables */
        struct kva_vm_frames *frames;
        enum kva_status status = kva_vm_frames_create(stage.vm, &config, &frames);
        if (status == KVA_ENOMEM && config.count > UINT64_C(1) << 24)
            continue; /* a 32-bit host, or a limit on the size of files */
        assert_int_equal(status, KVA_OK);
        stats = test_frames_stats(frames);
        assert_int_equal(stats.free_frames, config.count);
        assert_int_equal(stats.used_frames, 0);
        assert_int_equal(stats.blocks, (config.count + block - 1) / block);
        assert_in_range(stats.free_blocks, config.count / block, stats.blocks);
        assert_int_equal(kva_vm_frames_alloc(frames, 1, &one), KVA_OK);
        stats = test_frames_stats(frames);
        assert_int_equal(stats.free_frames, config.count - 1);
        assert_int_equal(stats.used_frames, 1);
        assert_int_equal(stats.blocks, (config.count + block - 1) / block);
        assert_int_equal(stats.movable_blocks + stats.unmovable_blocks, 1);
        assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    }
    assert_int_equal(kva_vm_frames_stats_read(NULL, &stats), KVA_ENULL);
    assert_int_equal(kva_vm_frames_stats_read(stage.frames, NULL), KVA_ENULL);
    test_vm_forgive(&stage.test);
    end();
}

static void count_line(void *context, const char *line, size_t length)
{
    assert_int_equal(strlen(line), length);
    assert_int_equal(strncmp(line, "0x", 2), 0);
    ++*(unsigned *)context;
}

static void test_picture(void **state)
{
    unsigned lines = 0;

    (void)state;
    begin();
    (void)test_movable_scatter(&stage, keep_few, kept);
    assert_int_equal(kva_vm_frames_picture(stage.frames, count_line, &lines), KVA_OK);
    assert_int_equal(lines, 1); /* one line for up to 64 blocks */
    assert_int_equal(kva_vm_frames_picture(NULL, count_line, &lines), KVA_ENULL);
    assert_int_equal(kva_vm_frames_picture(stage.frames, NULL, &lines), KVA_ENULL);
    assert_int_equal(lines, 1);
    test_vm_forgive(&stage.test);
    end();
}

/* -------------------------------------------------------------------------- sets of more than 2^20 frames */

static uint64_t *many(size_t count)
{
    uint64_t *numbers = calloc(count, sizeof *numbers);

    assert_non_null(numbers);
    return numbers;
}

/** Beyond 2^20 frames, bookkeeping is added when it is needed, and no run crosses the border. */
static void play_large_set(bool movable)
{
    const size_t part = (size_t)1 << 20;
    const struct kva_vm_frames_config config = {.count = 2 * part, .movable = movable};
    struct kva_vm_frames *frames;
    uint64_t *numbers = many(part);
    unsigned char *taken = calloc(2 * part, 1);
    uint64_t pair[2];

    assert_non_null(taken);
    assert_int_equal(kva_vm_frames_create(stage.vm, &config, &frames), KVA_OK);
    assert_int_equal(kva_vm_frames_alloc_run(frames, part + 1, 0, numbers), KVA_ENOSPC);
    test_vm_forgive(&stage.test);
    assert_int_equal(kva_vm_frames_alloc(frames, 1, &pair[0]), KVA_OK);
    taken[pair[0]] = 1;
    assert_int_equal(kva_vm_frames_alloc_run(frames, part, part, numbers), KVA_OK);
    for (size_t i = 0; i < part; i++) {
        assert_true(numbers[i] < 2 * part && !taken[numbers[i]]);
        taken[numbers[i]] = 1;
    }
    assert_int_equal(test_frames_stats(frames).used_frames, part + 1);
    pair[1] = numbers[part - 1]; /* a frame of each part, side by side */
    unsigned char *map = kva_vmap(stage.vm, frames, pair, 2);
    assert_non_null(map);
    test_put_word(map, 5);
    test_put_word(map + stage.page, 6);
    unsigned char *other = kva_vmap(stage.vm, frames, &pair[1], 1);
    assert_non_null(other);
    assert_int_equal(test_word(other), 6);
    assert_int_equal(kva_vm_frames_free(frames, numbers, part), KVA_EBUSY);
    test_vm_forgive(&stage.test);
    unmap(map);
    unmap(other);
    assert_int_equal(kva_vm_frames_free(frames, numbers, part), KVA_OK);
    assert_int_equal(kva_vm_frames_free(frames, numbers, 1), KVA_EDOUBLE);
    test_vm_forgive(&stage.test);
    assert_int_equal(test_frames_stats(frames).free_frames, 2 * part - 1);
    test_vm_expect_sound(&stage.test, "a large set");
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    free(taken);
    free(numbers);
}

/** Keep one of these frames in each block, and free the others. */
static void leave_one_in_each_block(struct kva_vm_frames *frames, const uint64_t *numbers, size_t count)
{
    const size_t block = (size_t)stage.block;

    for (size_t i = 0; i < count; i += block)
        assert_int_equal(kva_vm_frames_free(frames, &numbers[i + 1], block - 1), KVA_OK);
}

/** A run is taken from a later part if the first has enough free frames but no such run. If the first part
 *  has a free block, the later ones are not compacted. */
static void play_scattered_parts(bool movable)
{
    const size_t part = (size_t)1 << 20;
    const struct kva_vm_frames_config config = {.count = 2 * part, .movable = movable};
    struct kva_vm_frames *frames;
    uint64_t *numbers = many(part);
    uint64_t first = 0;
    struct kva_frames_compacted done;

    assert_int_equal(kva_vm_frames_create(stage.vm, &config, &frames), KVA_OK);
    for (unsigned i = 0; i < 2; i++) { /* the second time, in the second part */
        assert_int_equal(kva_vm_frames_alloc_run(frames, part, part, numbers), KVA_OK);
        leave_one_in_each_block(frames, numbers, part);
        if (i == 1)
            break;
        const size_t two_blocks = 2 * (size_t)stage.block;
        assert_int_equal(kva_vm_frames_alloc_run(frames, two_blocks, 1, run), KVA_OK);
        assert_true(movable || run[0] >= part);
        assert_int_equal(kva_vm_frames_free(frames, run, two_blocks), KVA_OK);
        first = numbers[0];
    }
    assert_int_equal(kva_vm_frames_free(frames, &first, 1), KVA_OK);
    if (movable) {
        assert_int_equal(kva_vm_frames_compact(frames, block_order(), UINT64_MAX, &done), KVA_OK);
        assert_true(done.is_finished && done.moved_frames == 0);
    }
    test_vm_expect_sound(&stage.test, "scattered parts");
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    free(numbers);
}

/** Only the last part has room for the run: the bookkeeping of the parts before is created as well, and all
 *  frames are counted. */
static void play_run_in_last_part(void)
{
    const size_t part = (size_t)1 << 21;
    const struct kva_vm_frames_config config = {.count = 2 * part};
    struct kva_vm_frames *frames;
    uint64_t *numbers = many(part);
    uint64_t one;

    assert_int_equal(kva_vm_frames_create(stage.vm, &config, &frames), KVA_OK);
    assert_int_equal(kva_vm_frames_alloc_run(frames, part, 1, numbers), KVA_OK);
    assert_int_equal(numbers[0], part);
    assert_int_equal(test_frames_stats(frames).used_frames, part);
    assert_int_equal(test_frames_stats(frames).free_frames, part);
    assert_int_equal(kva_vm_frames_alloc(frames, 1, &one), KVA_OK);
    assert_int_equal(test_frames_stats(frames).used_frames, part + 1);
    test_vm_expect_sound(&stage.test, "a run in the last part");
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    free(numbers);
}

static void test_large_sets(void **state)
{
    (void)state;
    begin();
    if (sizeof(void *) > 4)
        play_run_in_last_part();
    play_large_set(false);
    play_scattered_parts(false);
    if (sizeof(void *) > 4 || test_stride() == 1) {
        play_large_set(true);
        play_scattered_parts(true);
    }
    end();
}

/* -------------------------------------------------------------------------------------------------- forks */

struct family {
    size_t count; /* of kept frames */
    unsigned char *map;
    unsigned char *ram;
    struct kva_vm_frames *unmovable;
    uint64_t numbers[4];
    unsigned char *unmovable_map;
};

static void work_with_unmovable(const struct family *family)
{
    uint64_t one;

    child_that(test_word(family->unmovable_map) == 4711);
    child_that(kva_vm_frames_alloc(family->unmovable, 1, &one) == KVA_OK);
    unsigned char *map = kva_vmap(stage.vm, family->unmovable, &one, 1);
    child_that(map != NULL && test_word(map) == 0);
    test_put_word(map, 1);
    child_that(kva_vunmap(stage.vm, map) == KVA_OK);
    child_that(kva_vm_frames_free(family->unmovable, &one, 1) == KVA_OK);
}

/** The page is closed, and still mapped: the system cannot give its address to another mapping. */
static bool is_closed_area(unsigned char *memory)
{
    unsigned char in_memory;

    if (!test_under_valgrind() && !test_is_closed(memory))
        return false;
    return test_is_emulated() || mincore(memory, stage.page, &in_memory) == 0;
}

/** In the child the movable set is lost: its maps are closed, and calls with it return KVA_ENOENT. */
static void expect_lost(const struct family *family)
{
    void *memory;
    uint64_t one;

    child_that(kva_vm_check(stage.vm, NULL) == KVA_OK);
    for (size_t i = 0; i < family->count; i++)
        child_that(is_closed_area(family->map + i * stage.page));
    child_that(is_closed_area(family->ram) && is_closed_area(family->ram + stage.page));
    child_that(kva_vm_frames_alloc(stage.frames, 1, &one) == KVA_ENOENT);
    child_that(kva_vm_frames_alloc_run(stage.frames, 1, 0, &one) == KVA_ENOENT);
    child_that(kva_vm_map(stage.vm, stage.frames, kept, 1, 0, &memory) == KVA_ENOENT);
    child_that(kva_vm_map_ram(stage.vm, stage.frames, kept, 1, &memory) == KVA_ENOENT);
    child_that(kva_vm_map_ram(stage.vm, stage.frames, &kept[4], 2, &memory) == KVA_ENOENT);
    child_that(kva_vm_frames_compact(stage.frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, NULL) == KVA_ENOENT);
    child_that(kva_vm_frames_free(stage.frames, kept, 1) == KVA_EBUSY);
    child_that(kva_vm_frames_destroy(stage.frames) == KVA_EBUSY);
    child_that(kva_vm_check(stage.vm, NULL) == KVA_OK);
}

/** The child can unmap and free all that it inherited. */
static void free_lost(const struct family *family)
{
    child_that(kva_vunmap(stage.vm, family->map) == KVA_OK);
    child_that(kva_unmap_ram(stage.vm, family->ram) == KVA_OK);
    child_that(kva_vm_check(stage.vm, NULL) == KVA_OK);
    child_that(kva_vm_frames_free(stage.frames, kept, family->count / 2) == KVA_OK);
    child_that(kva_vm_purge(stage.vm) == KVA_OK);
    child_that(kva_vm_frames_free(stage.frames, &kept[family->count / 2],
                                  family->count - family->count / 2) == KVA_OK);
    child_that(kva_vm_check(stage.vm, NULL) == KVA_OK);
    child_that(kva_vm_frames_destroy(stage.frames) == KVA_OK);
}

/** The child creates and uses a movable set. */
static void work_with_own_set(void)
{
    const struct kva_vm_frames_config config = {.count = 10, .movable = true};
    struct kva_vm_frames *own;
    uint64_t one;

    child_that(kva_vm_frames_create(stage.vm, &config, &own) == KVA_OK);
    child_that(kva_vm_frames_alloc(own, 1, &one) == KVA_OK);
    unsigned char *map = kva_vmap(stage.vm, own, &one, 1);
    child_that(map != NULL && test_word(map) == 0);
    test_put_word(map, 9);
    child_that(kva_vm_frames_compact(own, 0, UINT64_MAX, NULL) == KVA_OK);
    child_that(test_word(map) == 9);
    child_that(kva_vunmap(stage.vm, map) == KVA_OK);
    child_that(kva_vm_check(stage.vm, NULL) == KVA_OK);
}

static int use_and_destroy(const struct family *family)
{
    expect_lost(family);
    work_with_unmovable(family);
    free_lost(family);
    work_with_unmovable(family);
    work_with_own_set();
    child_that(kva_vunmap(stage.vm, family->unmovable_map) == KVA_OK);
    child_that(kva_vm_destroy(stage.vm, NULL, NULL) == KVA_OK);
    child_that(stage.test.memory.blocks == 0 && stage.test.pages.reservations == 0);
    return 0;
}

static int use_in_child(void *context)
{
    child_that(kva_vm_fork_child(stage.vm) == KVA_OK);
    return use_and_destroy(context);
}

/** The child ends the instance with all that it inherited still mapped. */
static int abandon(void *context)
{
    (void)context;
    child_that(kva_vm_fork_child(stage.vm) == KVA_OK);
    child_that(kva_vm_abandon(stage.vm, NULL, NULL) == KVA_OK);
    child_that(stage.test.memory.blocks == 0 && stage.test.pages.reservations == 0);
    return 0;
}

/** A child forks again. */
static int have_a_child(void *context)
{
    child_that(kva_vm_fork_child(stage.vm) == KVA_OK);
    child_that(kva_vm_fork_prepare(stage.vm) == KVA_OK);
    struct test_child child = test_in_child(use_in_child, context);
    child_that(child.signal == 0 && child.code == 0);
    child_that(kva_vm_fork_parent(stage.vm) == KVA_OK);
    return use_and_destroy(context);
}

static void set_up_family(struct family *family, enum kva_mechanism mechanism, bool compacts)
{
    test_movable_begin(&stage, mechanism, BLOCKS);
    family->count = test_movable_scatter(&stage, keep_few, kept);
    if (compacts)
        (void)compact(KVA_FRAMES_ALL_BLOCKS, family->count / 2);
    family->map = test_movable_map(&stage, kept, family->count);
    family->ram = kva_map_ram(stage.vm, stage.frames, kept, 2);
    void *parked = kva_map_ram(stage.vm, stage.frames, &kept[4], 2);
    assert_true(family->ram != NULL && parked != NULL);
    assert_int_equal(kva_unmap_ram(stage.vm, parked), KVA_OK);
    family->unmovable = unmovable_set(10);
    (void)unmovable_set(1);
    assert_int_equal(kva_vm_frames_alloc(family->unmovable, 4, family->numbers), KVA_OK);
    family->unmovable_map = kva_vmap(stage.vm, family->unmovable, family->numbers, 4);
    assert_non_null(family->unmovable_map);
    test_put_word(family->unmovable_map, 4711);
}

static void test_forks(void **state)
{
    static const struct {
        const char *name;
        test_child_work *work;
    } children[] = {{"goes on", use_in_child}, {"abandons", abandon}, {"has a child", have_a_child}};
    enum kva_mechanism mechanism;
    struct family family;

    (void)state;
    for_each_mechanism (mechanism, i) {
        set_up_family(&family, mechanism, i != 0);
        for (size_t k = 0; k < sizeof children / sizeof children[0]; k++) {
            assert_int_equal(kva_vm_fork_prepare(stage.vm), KVA_OK);
            struct test_child child = test_in_child(children[k].work, &family);
            assert_int_equal(kva_vm_fork_parent(stage.vm), KVA_OK);
            test_expect_success(&child, children[k].name);
            test_movable_expect(&stage, family.map, kept, family.count);
            assert_int_equal(test_word(family.unmovable_map), 4711);
        }
        (void)compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
        test_movable_expect(&stage, family.map, kept, family.count);
        test_movable_expect(&stage, family.ram, kept, 2);
        unmap(family.map);
        assert_int_equal(kva_unmap_ram(stage.vm, family.ram), KVA_OK);
        unmap(test_movable_map(&stage, kept, family.count));
        unmap(family.unmovable_map);
        end();
    }
}

/** The child ends maps of the lost set. Its own set, whose maps lie at the same addresses, is not
 *  affected. */
static int map_in_place_of_lost(void *context)
{
    unsigned char *const *lost = context; /* neighbouring maps of one frame; the first was made first */
    const struct kva_vm_frames_config config = {.count = 1, .movable = true};
    struct kva_vm_frames *own;
    uint64_t twice[2];

    child_that(kva_vm_fork_child(stage.vm) == KVA_OK);
    child_that(kva_vunmap(stage.vm, lost[1]) == KVA_OK);
    child_that(kva_vm_purge(stage.vm) == KVA_OK);
    child_that(kva_vm_frames_create(stage.vm, &config, &own) == KVA_OK);
    child_that(kva_vm_frames_alloc(own, 1, &twice[0]) == KVA_OK);
    twice[1] = twice[0];
    child_that(kva_vmap(stage.vm, own, twice, 2) != NULL);
    child_that(kva_vmap(stage.vm, own, twice, 1) == lost[1]);
    child_that(kva_vunmap(stage.vm, lost[0]) == KVA_OK);
    child_that(kva_vm_check(stage.vm, NULL) == KVA_OK);
    return 0;
}

static void test_maps_in_place_of_lost_ones(void **state)
{
    unsigned char *maps[3];

    (void)state;
    begin();
    assert_int_equal(test_movable_scatter(&stage, keep_one, kept), BLOCKS);
    assert_int_equal(kva_vm_purge(stage.vm), KVA_OK);
    for (unsigned i = 0; i < 3; i++)
        maps[i] = test_movable_map(&stage, kept, 1);
    assert_int_equal(kva_vm_fork_prepare(stage.vm), KVA_OK);
    struct test_child child = test_in_child(map_in_place_of_lost, maps);
    assert_int_equal(kva_vm_fork_parent(stage.vm), KVA_OK);
    test_expect_success(&child, "a child with a set of its own");
    for (unsigned i = 0; i < 3; i++)
        unmap(maps[i]);
    unmap(test_movable_map(&stage, kept, BLOCKS));
    end();
}

/* ----------------------------------------------------------------- new maps at the addresses of lost ones */

enum { SAME = 8 };

/** The inherited maps and frames. */
struct inherited {
    void *map[SAME]; /* each of kept[0] alone */
    struct kva_vm_frames *unmovable;
    uint64_t numbers[KVA_MAP_RAM_MOST]; /* of that set */
};

/** Count the child's maps that begin where a map of the parent began. */
static unsigned count_same(const struct inherited *inherited, unsigned char *const *own)
{
    unsigned count = 0;

    for (unsigned i = 0; i < SAME; i++) {
        for (unsigned k = 0; k < SAME; k++)
            count += inherited->map[i] == own[k];
    }
    return count;
}

/** Fail unless all maps map one frame. */
static void child_expects_one_frame(unsigned char *const *maps, uint64_t word)
{
    for (unsigned i = 0; i < SAME; i++) {
        test_put_word(maps[i], word + i);
        for (unsigned k = 0; k < SAME; k++)
            child_that(test_word(maps[k]) == word + i);
    }
}

/** Create a set with a frame that moves once frames of `full` are freed. */
static struct kva_vm_frames *set_with_a_frame_to_move(uint64_t *full, uint64_t *one)
{
    const struct kva_vm_frames_config config = {.count = 2 * stage.block, .movable = true};
    struct kva_vm_frames *own;

    child_that(kva_vm_frames_create(stage.vm, &config, &own) == KVA_OK);
    child_that(kva_vm_frames_alloc(own, (size_t)stage.block, full) == KVA_OK);
    child_that(kva_vm_frames_alloc(own, 1, one) == KVA_OK);
    return own;
}

/** The child unmaps lost maps one by one. Maps of its own set take their addresses, next to the remaining
 *  ones. */
static int use_pages_again(void *context)
{
    const struct inherited *inherited = context;
    struct kva_frames_compacted done;
    unsigned char *own[SAME];
    uint64_t one;

    child_that(kva_vm_fork_child(stage.vm) == KVA_OK);
    for (unsigned i = 1; i < SAME; i += 2)
        child_that(kva_vunmap(stage.vm, inherited->map[i]) == KVA_OK);
    child_that(kva_vm_purge(stage.vm) == KVA_OK);
    struct kva_vm_frames *frames = set_with_a_frame_to_move(run, &one);
    for (unsigned i = 0; i < SAME; i++)
        child_that((own[i] = kva_vmap(stage.vm, frames, &one, 1)) != NULL);
    child_that(count_same(inherited, own) > 1);
    child_that(kva_vm_check(stage.vm, NULL) == KVA_OK);
    for (unsigned i = 0; i < SAME; i += 2) {
        child_that(kva_vunmap(stage.vm, inherited->map[i]) == KVA_OK);
        child_that(kva_vm_check(stage.vm, NULL) == KVA_OK);
    }
    child_expects_one_frame(own, 1);
    child_that(kva_vm_frames_free(frames, run, (size_t)stage.block / 4) == KVA_OK);
    child_that(kva_vm_frames_compact(frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, &done) == KVA_OK);
    child_that(done.moved_frames == 1 && done.freed_blocks == 1);
    child_expects_one_frame(own, 100);
    for (unsigned i = 0; i < SAME; i++)
        child_that(kva_vunmap(stage.vm, own[i]) == KVA_OK);
    child_that(kva_vm_check(stage.vm, NULL) == KVA_OK);
    child_that(kva_vm_frames_destroy(frames) == KVA_OK);
    return 0;
}

static void test_pages_used_again_in_a_child(void **state)
{
    struct inherited inherited;

    (void)state;
    begin();
    (void)test_movable_scatter(&stage, keep_few, kept);
    assert_int_equal(kva_vm_purge(stage.vm), KVA_OK);
    for (unsigned i = 0; i < SAME; i++)
        inherited.map[i] = test_movable_map(&stage, kept, 1);
    assert_int_equal(kva_vm_fork_prepare(stage.vm), KVA_OK);
    struct test_child child = test_in_child(use_pages_again, &inherited);
    assert_int_equal(kva_vm_fork_parent(stage.vm), KVA_OK);
    test_expect_success(&child, "pages used again");
    (void)compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    for (unsigned i = 0; i < SAME; i++) {
        test_movable_expect(&stage, inherited.map[i], kept, 1);
        unmap(inherited.map[i]);
    }
    end();
}

/** More pages of short-lived maps than are cached when they end. */
enum { SHORT_MAPS = 4096 / KVA_MAP_RAM_MOST };

/** Maps of the other set lie between the short-lived ones, so that a child has no hole that is large enough
 *  for a thread's stack: ThreadSanitizer creates a thread there before the holes are closed. */
struct short_maps {
    struct inherited inherited;
    void *map[SHORT_MAPS];
    void *between[SHORT_MAPS]; /* of the other set */
    bool are_live;
};

/** No short-lived map of the lost set stays cached, and a new map over one of them is not marked as
 *  foreign. */
static int map_for_a_short_time(void *context)
{
    const struct short_maps *maps = context;
    const struct inherited *inherited = &maps->inherited;
    struct kva_vm_area area;
    struct kva_vm_stats stats;
    void *memory[SHORT_MAPS];

    child_that(kva_vm_fork_child(stage.vm) == KVA_OK);
    for (unsigned i = 0; maps->are_live && i < SHORT_MAPS; i++)
        child_that(kva_unmap_ram(stage.vm, maps->map[i]) == KVA_OK);
    child_that(kva_vm_check(stage.vm, NULL) == KVA_OK);
    child_that(kva_vm_stats_read(stage.vm, &stats) == KVA_OK && stats.ram_parked == 0);
    for (unsigned i = 0; i < SHORT_MAPS; i++) {
        child_that(kva_vm_map_ram(stage.vm, inherited->unmovable, inherited->numbers, KVA_MAP_RAM_MOST,
                                  &memory[i]) == KVA_OK);
        child_that(kva_vm_find(stage.vm, memory[i], &area) == KVA_OK && !(area.flags & KVA_VM_FOREIGN));
        test_put_word(memory[i], i);
        child_that(test_word(memory[0]) == i);
    }
    for (unsigned i = 0; i < SHORT_MAPS; i++)
        child_that(kva_unmap_ram(stage.vm, memory[i]) == KVA_OK);
    child_that(kva_vm_check(stage.vm, NULL) == KVA_OK);
    return 0;
}

/** Short-lived maps are cached for their frames, which a child does not have. */
static void play_short_maps_in_a_child(bool are_live)
{
    struct short_maps maps = {.are_live = are_live};

    begin();
    assert_int_equal(kva_vm_frames_alloc(stage.frames, KVA_MAP_RAM_MOST, kept), KVA_OK);
    maps.inherited.unmovable = unmovable_set(KVA_MAP_RAM_MOST);
    assert_int_equal(kva_vm_frames_alloc(maps.inherited.unmovable, KVA_MAP_RAM_MOST, maps.inherited.numbers),
                     KVA_OK);
    for (unsigned i = 0; i < SHORT_MAPS; i++) {
        assert_non_null(maps.map[i] = kva_map_ram(stage.vm, stage.frames, kept, KVA_MAP_RAM_MOST));
        assert_non_null(maps.between[i] =
                            kva_map_ram(stage.vm, maps.inherited.unmovable, maps.inherited.numbers, 1));
    }
    for (unsigned i = 0; !are_live && i < SHORT_MAPS; i++)
        assert_int_equal(kva_unmap_ram(stage.vm, maps.map[i]), KVA_OK);
    assert_int_equal(kva_vm_fork_prepare(stage.vm), KVA_OK);
    struct test_child child = test_in_child(map_for_a_short_time, &maps);
    assert_int_equal(kva_vm_fork_parent(stage.vm), KVA_OK);
    test_expect_success(&child, are_live ? "live maps" : "ended maps");
    for (unsigned i = 0; are_live && i < SHORT_MAPS; i++)
        assert_int_equal(kva_unmap_ram(stage.vm, maps.map[i]), KVA_OK);
    for (unsigned i = 0; i < SHORT_MAPS; i++)
        assert_int_equal(kva_unmap_ram(stage.vm, maps.between[i]), KVA_OK);
    end();
}

static void test_short_maps_in_a_child(void **state)
{
    (void)state;
    play_short_maps_in_a_child(false);
    play_short_maps_in_a_child(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compaction_frees_blocks),
        cmocka_unit_test(test_a_call_moves_the_requested_number),
        cmocka_unit_test(test_no_run_moves_beyond_the_requested_number),
        cmocka_unit_test(test_compaction_stops_at_a_free_group),
        cmocka_unit_test(test_bad_compactions),
        cmocka_unit_test(test_compaction_inside_a_reclaim_callback),
        cmocka_unit_test(test_destroy_between_slices),
        cmocka_unit_test(test_many_maps_pin_a_frame),
        cmocka_unit_test(test_a_frame_many_times_in_a_map),
        cmocka_unit_test(test_ended_maps_after_compaction),
        cmocka_unit_test(test_reallocated_numbers),
        cmocka_unit_test(test_ended_maps_of_free_frames),
        cmocka_unit_test(test_maps_in_place_of_ended_ones),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_parts_of_runs),
        cmocka_unit_test(test_refused_runs),
        cmocka_unit_test(test_many_frames_lie_in_a_row),
        cmocka_unit_test(test_huge_maps),
        cmocka_unit_test(test_pinned_frames_stay),
        cmocka_unit_test(test_ranges_of_pins),
        cmocka_unit_test(test_pins_of_unmovable_memory),
        cmocka_unit_test(test_pins_belong_to_frames),
        cmocka_unit_test(test_a_set_ends_with_its_pins),
        cmocka_unit_test(test_pinned_after_a_move),
        cmocka_unit_test(test_runs_stay_together),
        cmocka_unit_test(test_frames_at_borders_move),
        cmocka_unit_test(test_bad_sets),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_statistics_of_large_sets),
        cmocka_unit_test(test_picture),
        cmocka_unit_test(test_large_sets),
        cmocka_unit_test(test_forks),
        cmocka_unit_test(test_maps_in_place_of_lost_ones),
        cmocka_unit_test(test_pages_used_again_in_a_child),
        cmocka_unit_test(test_short_maps_in_a_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
