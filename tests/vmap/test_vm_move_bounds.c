/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Movable frames at their bounds: how many ranges of pages may map a run that moves, what a compaction of
 * several slices reports, and sets whose bookkeeping is divided (at 2^20 frames, 2^21 ...). Few frames of the
 * large sets are touched.
 */
#include "../common/harness.h"
#include "../common/movable.h"

#include <kva/vmap.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RANGES = 64, MOST_MAPS = 70 };

static const size_t part = (size_t)1 << 20; /* the first border */
static struct test_movable stage;

static void begin(uint64_t blocks)
{
    enum kva_mechanism mechanism;

    assert_true(test_mechanism(0, &mechanism));
    test_movable_begin(&stage, mechanism, blocks);
}

static void end(void)
{
    test_movable_destroy(&stage);
}

static struct kva_vm_frames *set_of(uint64_t count, bool movable)
{
    const struct kva_vm_frames_config config = {.count = count, .movable = movable};
    struct kva_vm_frames *frames;

    assert_int_equal(kva_vm_frames_create(stage.vm, &config, &frames), KVA_OK);
    return frames;
}

static void end_set(struct kva_vm_frames *frames)
{
    test_vm_expect_sound(&stage.test, "before a set is destroyed");
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
}

static uint64_t *numbers_of(size_t count)
{
    uint64_t *numbers = calloc(count, sizeof *numbers);

    assert_non_null(numbers);
    return numbers;
}

static void take(struct kva_vm_frames *frames, size_t count, uint64_t *numbers)
{
    assert_int_equal(kva_vm_frames_alloc(frames, count, numbers), KVA_OK);
}

static void take_run(struct kva_vm_frames *frames, size_t count, uint64_t align, uint64_t *numbers)
{
    assert_int_equal(kva_vm_frames_alloc_run(frames, count, align, numbers), KVA_OK);
}

static void give(struct kva_vm_frames *frames, const uint64_t *numbers, size_t count)
{
    assert_int_equal(kva_vm_frames_free(frames, numbers, count), KVA_OK);
}

static struct kva_frames_compacted compact(struct kva_vm_frames *frames, unsigned order)
{
    struct kva_frames_compacted done;

    assert_int_equal(kva_vm_frames_compact(frames, order, UINT64_MAX, &done), KVA_OK);
    test_vm_expect_sound(&stage.test, "compacted");
    return done;
}

static unsigned char *map(struct kva_vm_frames *frames, const uint64_t *numbers, size_t count)
{
    unsigned char *memory = kva_vmap(stage.vm, frames, numbers, count);

    assert_non_null(memory);
    return memory;
}

static void unmap(void *memory)
{
    assert_int_equal(kva_vunmap(stage.vm, memory), KVA_OK);
}

static void put_words(unsigned char *memory, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        test_put_word(memory + i * stage.page, numbers[i] + 1);
}

static void expect_words(const unsigned char *memory, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(test_word(memory + i * stage.page), numbers[i] + 1);
}

static bool are_consecutive(const uint64_t *numbers, size_t count)
{
    size_t i = 1;

    while (i < count && numbers[i] == numbers[0] + i)
        i++;
    return i >= count;
}

static unsigned block_order(void)
{
    unsigned order = 0;

    while (UINT64_C(1) << order < test_block())
        order++;
    return order;
}

/* ------------------------------------------------------------------------------------------------- slices */

static enum kva_status (*inner_moves)(void *context, void *reservation, const struct kva_pages_move *move);
static uint64_t refusals;

/** The page source cannot move frames of the first four blocks. */
static enum kva_status refuse_some(void *context, void *reservation, const struct kva_pages_move *move)
{
    if (move->from / stage.block >= 4)
        return inner_moves(context, reservation, move);
    refusals++;
    return KVA_ENOENT;
}

/** Four blocks with three frames each that cannot move are tried first; then, in many slices, blocks with
 *  sixty each are emptied. pinned_runs is the number of all refused moves. */
static void test_refused_runs_add_up(void **state)
{
    enum { BLOCKS = 8, FEW = 3, MANY = 60 };
    enum kva_mechanism mechanism;

    (void)state;
    assert_true(test_mechanism(0, &mechanism));
    struct kva_vm_config config = test_movable_config(&stage, mechanism, BLOCKS);
    inner_moves = config.pages.move;
    config.pages.move = refuse_some;
    refusals = 0;
    test_movable_create(&stage, &config);
    const size_t block = (size_t)stage.block;
    uint64_t *numbers = numbers_of(BLOCKS * block);
    take(stage.frames, BLOCKS * block, numbers);
    for (size_t i = 0; i < BLOCKS * block; i += block) {
        size_t kept = numbers[i] < 4 * block ? FEW : MANY;
        for (size_t k = 0; k < kept; k++) /* no two kept frames are neighbours */
            give(stage.frames, &numbers[i + 2 * k + 1], 1);
        give(stage.frames, &numbers[i + 2 * kept], block - 2 * kept);
    }
    struct kva_frames_compacted done = compact(stage.frames, KVA_FRAMES_ALL_BLOCKS);
    assert_true(done.is_finished);
    assert_in_range(done.moved_frames, 3 * MANY, 5 * MANY);
    assert_true(refusals > 0);
    assert_int_equal(done.pinned_runs, refusals);
    free(numbers);
    end();
}

/* ------------------------------------------------------------------------------------------------- ranges */

/** A run lies in a block of its own, and another block, which is fuller, has just enough room for it. `maps`
 *  maps refer to it, forwards or backwards. The number of ranges of pages decides whether it moves; their
 *  lengths do not. If it stays, the frames of the other block move to its block. */
static void play_ranges(size_t length, unsigned maps, bool backwards)
{
    const unsigned ranges = backwards ? maps * (unsigned)length : maps;
    unsigned char *mapped[MOST_MAPS];
    size_t room = 1;

    begin(2);
    const size_t block = (size_t)stage.block;
    while (room < length)
        room *= 2;
    uint64_t *full = numbers_of(block);
    uint64_t *moving = numbers_of(length);
    uint64_t *order = numbers_of(length);
    assert_true(maps <= MOST_MAPS && 2 * room <= block);
    take(stage.frames, block, full);
    take_run(stage.frames, length, room, moving);
    for (size_t i = 0; i < length; i++)
        order[i] = moving[backwards ? length - 1 - i : i];
    for (unsigned i = 0; i < maps; i++)
        mapped[i] = map(stage.frames, order, length);
    put_words(mapped[0], order, length);
    give(stage.frames, full, room);
    struct kva_frames_compacted done = compact(stage.frames, KVA_FRAMES_ALL_BLOCKS);
    const bool moves = ranges <= MOST_RANGES;
    check_that(done.moved_frames == (moves ? length : block - room),
               "%zu frames, %u maps: %" PRIu64 " frames moved", length, maps, done.moved_frames);
    assert_int_equal(done.moved_runs, moves ? 1 : block - room);
    assert_true(done.is_finished && (done.pinned_runs > 0) == !moves);
    assert_int_equal(done.freed_blocks, 1);
    for (unsigned i = 0; i < maps; i++) {
        expect_words(mapped[i], order, length);
        unmap(mapped[i]);
    }
    assert_int_equal(compact(stage.frames, KVA_FRAMES_ALL_BLOCKS).moved_frames, 0);
    give(stage.frames, &full[room], block - room); /* the same without maps: the run moves */
    take(stage.frames, block, full);
    give(stage.frames, full, room);
    assert_int_equal(compact(stage.frames, KVA_FRAMES_ALL_BLOCKS).moved_frames, length);
    free(order);
    free(moving);
    free(full);
    end();
}

static void test_ranges_pin_a_run(void **state)
{
    (void)state;
    play_ranges(64, 1, true);
    if (test_block() >= 256) {
        play_ranges(65, 1, true);
        play_ranges(100, 1, false);
        play_ranges(128, 1, false);
        play_ranges(128, 2, false);
    }
    play_ranges(2, 32, true);
    play_ranges(2, 33, true);
    play_ranges(3, 64, false);
    play_ranges(3, 65, false);
}

/* ------------------------------------------------------------------------------------------ single frames */

static void shuffle(struct test_rng *rng, uint64_t *numbers, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t k = (size_t)test_below(rng, i);
        uint64_t number = numbers[k];
        numbers[k] = numbers[i - 1];
        numbers[i - 1] = number;
    }
}

/** Frames that were allocated as whole blocks move one by one. As many blocks become free as possible. */
static void test_blocks_move_frame_by_frame(void **state)
{
    enum { BLOCKS = 4 };
    struct test_rng rng = test_rng_of(33);

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        begin(BLOCKS);
        const size_t block = (size_t)stage.block;
        const size_t count = BLOCKS * block;
        uint64_t *numbers = numbers_of(count);
        take(stage.frames, count, numbers);
        shuffle(&rng, numbers, count);
        size_t freed = round == 0 ? count / 2 : 1 + (size_t)test_below(&rng, count - 1);
        give(stage.frames, numbers, freed);
        struct kva_frames_compacted done = compact(stage.frames, KVA_FRAMES_ALL_BLOCKS);
        assert_true(done.is_finished && done.pinned_runs == 0);
        struct kva_frames_stats stats = test_frames_stats(stage.frames);
        assert_int_equal(stats.used_frames, count - freed);
        assert_int_equal(stats.free_blocks, BLOCKS - (count - freed + block - 1) / block);
        give(stage.frames, &numbers[freed], count - freed);
        assert_int_equal(test_frames_stats(stage.frames).free_blocks, BLOCKS);
        free(numbers);
        end();
    }
}

/** One request takes two blocks that are not neighbours. Their remaining frames would not fit anywhere as one
 *  run. */
static void test_blocks_apart_move_frame_by_frame(void **state)
{
    (void)state;
    begin(4);
    const size_t block = (size_t)stage.block;
    uint64_t *numbers = numbers_of(4 * block);
    take(stage.frames, 4 * block, numbers);
    give(stage.frames, numbers, block);
    give(stage.frames, &numbers[2 * block], block);
    memcpy(numbers, &numbers[3 * block], block * sizeof *numbers);
    take(stage.frames, 2 * block, &numbers[2 * block]);
    for (size_t i = 0; i < 4; i++) {
        const size_t kept = block * (i < 2 ? 6 : 5) / 8;
        give(stage.frames, &numbers[i * block + kept], block - kept);
    }
    struct kva_frames_compacted done = compact(stage.frames, KVA_FRAMES_ALL_BLOCKS);
    assert_true(done.is_finished && done.pinned_runs == 0);
    assert_int_equal(done.moved_frames, block * 5 / 8);
    assert_int_equal(test_frames_stats(stage.frames).free_blocks, 1);
    free(numbers);
    end();
}

/* -------------------------------------------------------------------------- sets of more than 2^20 frames */

/** Whether large movable sets are tested: their tables take much of a small machine's memory. */
static bool has_large_movable_sets(void)
{
    return sizeof(void *) > 4 || !test_is_brief();
}

static void count_line(void *context, const char *line, size_t length)
{
    assert_int_equal(strlen(line), length);
    ++*(unsigned *)context;
}

/** Only a later part of the set can serve the first request. Every walk over the parts must find it. */
static void test_first_request_is_large(void **state)
{
    const size_t count = 4 * part;
    const size_t length = part + 1;
    unsigned lines = 0;

    (void)state;
    if (!has_large_movable_sets())
        return;
    begin(1);
    const size_t block = (size_t)stage.block;
    struct kva_vm_frames *frames = set_of(count, true);
    uint64_t *numbers = numbers_of(length);
    take_run(frames, length, 0, numbers);
    assert_true(numbers[0] >= part && are_consecutive(numbers, length));
    struct kva_frames_stats stats = test_frames_stats(frames);
    assert_int_equal(stats.used_frames, length);
    assert_int_equal(stats.free_frames, count - length);
    assert_int_equal(stats.blocks, count / block);
    assert_int_equal(stats.free_blocks, (count - length) / block);
    assert_int_equal(kva_vm_frames_picture(frames, count_line, &lines), KVA_OK);
    assert_in_range(lines, length / block / 64, count / block / 64 + 4);

    const size_t kept[] = {3, block + 5, 2 * block + 7, part};
    const uint64_t left[] = {numbers[kept[0]], numbers[kept[1]], numbers[kept[2]], numbers[kept[3]]};
    unsigned char *memory = map(frames, left, 4);
    put_words(memory, left, 4);
    test_vm_expect_sound(&stage.test, "a large run");
    for (size_t i = 0, from = 0; i < 4; from = kept[i++] + 1)
        give(frames, &numbers[from], kept[i] - from);
    assert_int_equal(test_frames_stats(frames).free_blocks, count / block - 4);
    struct kva_frames_compacted done = compact(frames, KVA_FRAMES_ALL_BLOCKS);
    assert_int_equal(done.moved_frames, 3);
    assert_int_equal(test_frames_stats(frames).free_blocks, count / block - 1);
    expect_words(memory, left, 4);
    unmap(memory);
    free(numbers);
    end_set(frames);
    end();
}

/** Free `count` of a set's first frames, in groups of eight, with eight used frames between them. */
static void scatter(struct kva_vm_frames *frames, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i += 8)
        give(frames, &numbers[2 * i], 8);
}

/** If the first part of a set has only fragments, a request of a block or more is served from the next
 *  part. */
static void play_fragments(bool movable)
{
    begin(1);
    const size_t block = (size_t)stage.block;
    struct kva_vm_frames *frames = set_of(part + 8 * block, movable);
    uint64_t *numbers = numbers_of(part);
    uint64_t *more = numbers_of(8 * block);
    take(frames, part, numbers);
    scatter(frames, numbers, 2 * block);
    take(frames, block, more); /* one run */
    assert_true(more[0] >= part && are_consecutive(more, block));
    take(frames, block + 3, &more[block]);
    assert_true(more[block] >= part && are_consecutive(&more[block], block + 3));
    give(frames, more, 2 * block + 3);
    take_run(frames, 8 * block, block, more);
    give(frames, more, 8 * block);
    take(frames, 8 * block, more);
    give(frames, &more[block], block); /* no two free blocks are neighbours */
    give(frames, &more[4 * block], block);
    take(frames, 2 * block + 5, numbers); /* blocks are taken before fragments */
    for (size_t i = 0; i < 2 * block; i += block)
        assert_true(numbers[i] >= part && numbers[i] % block == 0 && are_consecutive(&numbers[i], block));
    for (size_t i = 2 * block; i < 2 * block + 5; i++)
        assert_true(numbers[i] < part);
    assert_int_equal(test_frames_stats(frames).used_frames, part + 6 * block + 5);
    assert_int_equal(kva_vm_frames_alloc(frames, 2 * block, numbers), KVA_ENOSPC);
    test_vm_forgive(&stage.test);
    assert_int_equal(test_frames_stats(frames).used_frames, part + 6 * block + 5);
    free(more);
    free(numbers);
    end_set(frames);
    end();
}

static void test_blocks_before_fragments(void **state)
{
    (void)state;
    play_fragments(false);
    if (has_large_movable_sets())
        play_fragments(true);
}

/** Nothing moves if a group of the order is free in a later part of the set, or among places that were never
 *  used. */
static void test_a_group_in_another_part(void **state)
{
    const size_t few = 40;

    (void)state;
    if (!has_large_movable_sets())
        return;
    begin(1);
    const size_t block = (size_t)stage.block;
    struct kva_vm_frames *frames = set_of(part + 4 * block, true);
    uint64_t *numbers = numbers_of(part);
    uint64_t *more = numbers_of(4 * block);
    take(frames, part, numbers);
    give(frames, &numbers[5 * block + few], block - few); /* one could be emptied into the other */
    give(frames, &numbers[9 * block + few], block - few);
    struct kva_frames_compacted done = compact(frames, block_order());
    assert_true(done.is_finished && done.moved_frames == 0); /* the second part was never used */
    take_run(frames, block, block, more);
    assert_true(more[0] >= part);
    for (unsigned order = 0; order <= block_order(); order++) {
        done = compact(frames, order);
        assert_true(done.is_finished && done.moved_frames == 0); /* it has three blocks */
    }
    take_run(frames, 3 * block, block, &more[block]);
    done = compact(frames, block_order());
    assert_true(done.is_finished && done.moved_frames == few);
    take_run(frames, block, block, more);
    assert_true(test_frames_stats(frames).free_blocks == 0);
    free(more);
    free(numbers);
    end_set(frames);
    end();
}

/* ------------------------------------------------------------------------------------------- random parts */

/** A set whose first part is used but for its last frames, and a model of the rest: which frames are held. */
struct traffic {
    struct kva_vm_frames *frames;
    struct test_rng rng;
    bool movable;
    size_t block;
    uint64_t start; /* first of the modelled places: two blocks of the first part, four of the next */
    uint64_t count; /* modelled places */
    unsigned char *is_held;
    uint64_t *held; /* in the order of allocation */
    size_t held_count;
    uint64_t *given;
};

static void begin_traffic(struct traffic *traffic, bool movable)
{
    begin(1);
    const size_t block = (size_t)stage.block;
    const size_t before = part - 2 * block;
    uint64_t *numbers = numbers_of(before);

    *traffic = (struct traffic){.movable = movable, .block = block, .rng = test_rng_of(34 + movable)};
    traffic->start = before;
    traffic->count = 6 * block;
    traffic->frames = set_of(before + traffic->count, movable);
    traffic->is_held = calloc((size_t)traffic->count, 1);
    traffic->held = numbers_of((size_t)traffic->count);
    traffic->given = numbers_of((size_t)traffic->count);
    assert_non_null(traffic->is_held);
    take(traffic->frames, before, numbers);
    assert_true(numbers[0] == 0 && are_consecutive(numbers, before));
    free(numbers);
}

static void end_traffic(struct traffic *traffic)
{
    end_set(traffic->frames);
    free(traffic->given);
    free(traffic->held);
    free(traffic->is_held);
    end();
}

static void note(struct traffic *traffic, uint64_t number, bool is_held)
{
    check_that(number >= traffic->start && number - traffic->start < traffic->count &&
                   traffic->is_held[number - traffic->start] != is_held,
               "frame %" PRIu64 " is outside of the model, or has the wrong state", number);
    traffic->is_held[number - traffic->start] = is_held;
}

/** Allocate frames in bulk, mostly across the border; or a run. */
static void take_some(struct traffic *traffic)
{
    const bool is_run = test_one_in(&traffic->rng, 2);
    const size_t most = is_run ? 3 * traffic->block : 6 * traffic->block;
    const size_t count = 1 + (size_t)test_below(&traffic->rng, most);
    uint64_t *numbers = &traffic->held[traffic->held_count];
    const size_t left = (size_t)traffic->count - traffic->held_count;

    if (count > left)
        return;
    enum kva_status status = is_run ? kva_vm_frames_alloc_run(traffic->frames, count, 0, numbers)
                                    : kva_vm_frames_alloc(traffic->frames, count, numbers);
    assert_true(status == KVA_OK || (is_run && status == KVA_ENOSPC));
    test_vm_forgive(&stage.test);
    if (status != KVA_OK)
        return;
    assert_true(!is_run || traffic->movable || are_consecutive(numbers, count));
    for (size_t i = 0; i < count; i++)
        note(traffic, numbers[i], true);
    traffic->held_count += count;
}

/** Move a piece of `held` to `given`: in the same order, or, if it is short, shuffled. */
static size_t pick_piece(struct traffic *traffic, uint64_t *given)
{
    const size_t from = (size_t)test_below(&traffic->rng, traffic->held_count);
    const size_t most = test_one_in(&traffic->rng, 2) ? 12 : traffic->block;
    size_t count = 1 + (size_t)test_below(&traffic->rng, most);

    if (count > traffic->held_count - from)
        count = traffic->held_count - from;
    memcpy(given, &traffic->held[from], count * sizeof *given);
    traffic->held_count -= count;
    memmove(&traffic->held[from], &traffic->held[from + count], (traffic->held_count - from) * sizeof *given);
    if (most == 12)
        shuffle(&traffic->rng, given, count);
    return count;
}

static void give_some(struct traffic *traffic)
{
    const uint64_t pieces = 1 + test_below(&traffic->rng, 12);
    size_t count = 0;

    for (uint64_t i = 0; i < pieces && traffic->held_count > 0; i++)
        count += pick_piece(traffic, &traffic->given[count]);
    give(traffic->frames, traffic->given, count);
    for (size_t i = 0; i < count; i++)
        note(traffic, traffic->given[i], false);
}

static uint64_t free_blocks_of(const struct traffic *traffic)
{
    uint64_t blocks = 0;

    for (uint64_t i = 0; i < traffic->count; i += traffic->block)
        blocks += memchr(&traffic->is_held[i], true, traffic->block) == NULL;
    return blocks;
}

static void expect_figures(const struct traffic *traffic)
{
    struct kva_frames_stats stats = test_frames_stats(traffic->frames);

    assert_int_equal(stats.used_frames, traffic->start + traffic->held_count);
    assert_int_equal(stats.free_frames, traffic->count - traffic->held_count);
    if (!traffic->movable) /* in an unmovable set, a number is a place */
        assert_int_equal(stats.free_blocks, free_blocks_of(traffic));
}

/** One call frees parts of runs and of bulk allocations, in any order, on both sides of the border. */
static void play_parts(bool movable)
{
    struct traffic traffic;
    const uint64_t rounds = test_scaled(200);

    begin_traffic(&traffic, movable);
    for (uint64_t i = 0; i < rounds; i++) {
        if (test_one_in(&traffic.rng, 2))
            take_some(&traffic);
        else if (traffic.held_count > 0)
            give_some(&traffic);
        if (movable && test_one_in(&traffic.rng, 8))
            assert_int_equal(kva_vm_frames_compact(traffic.frames, KVA_FRAMES_ALL_BLOCKS, 50, NULL), KVA_OK);
        expect_figures(&traffic);
        if (i % 16 == 0)
            test_vm_expect_sound(&stage.test, "parts");
    }
    while (traffic.held_count > 0) {
        give_some(&traffic);
        expect_figures(&traffic);
    }
    assert_int_equal(test_frames_stats(traffic.frames).free_blocks, 6);
    end_traffic(&traffic);
}

static void test_random_parts(void **state)
{
    (void)state;
    play_parts(false);
    if (has_large_movable_sets())
        play_parts(true);
}

/** Neighbouring runs. One call frees a range of places that covers some of them, and parts of those at its
 *  ends. */
static void test_parts_of_neighbours(void **state)
{
    enum { RUNS = 4, LENGTH = 10, ALL = RUNS * LENGTH };
    uint64_t numbers[ALL];

    (void)state;
    begin(1);
    for (size_t from = 0; from < ALL; from += 9) {
        for (size_t count = 1; count <= ALL - from; count++) {
            for (size_t i = 0; i < RUNS; i++)
                take_run(stage.frames, LENGTH, 1, &numbers[i * LENGTH]);
            assert_true(are_consecutive(numbers, ALL));
            give(stage.frames, &numbers[from], count);
            assert_int_equal(test_frames_stats(stage.frames).used_frames, ALL - count);
            test_vm_expect_sound(&stage.test, "parts of neighbours");
            give(stage.frames, numbers, from);
            give(stage.frames, &numbers[from + count], ALL - from - count);
            assert_int_equal(test_frames_stats(stage.frames).used_frames, 0);
        }
    }
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_runs_add_up),
        cmocka_unit_test(test_ranges_pin_a_run),
        cmocka_unit_test(test_blocks_move_frame_by_frame),
        cmocka_unit_test(test_blocks_apart_move_frame_by_frame),
        cmocka_unit_test(test_first_request_is_large),
        cmocka_unit_test(test_blocks_before_fragments),
        cmocka_unit_test(test_a_group_in_another_part),
        cmocka_unit_test(test_random_parts),
        cmocka_unit_test(test_parts_of_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
