/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Evacuation in zones of three to five blocks of 4 frames: every offset of the zone to the block, one or two
 * runs of 1 to 6 frames at every place, and every range; and random layouts of many runs. The next zone has
 * frames in the last block.
 *
 *      blocks     .   |   |   |   |
 *      zone        **************++          ++ another zone
 *      runs          aaaaaa  bbb
 *      range           [----)
 *
 * The model is a list of runs, which the move callback updates. After each call every frame is compared.
 */
#include "../../ports/test/failing_memory.h"
#include "../common/harness.h"

#include <kva/frames.h>

#include <stdio.h>

enum { BLOCK = 4, LARGE_BLOCK = 128, BESIDE = 2, RUNS_MOST = 80, LONGEST = 6, BASE = 5 * LARGE_BLOCK };

/** What the move callback does with the run `special`. */
enum behaviour { MOVES, PINS, IS_BUSY, IS_GONE, GIVES_BACK, MOVES_AND_GIVES_BACK, ALLOCATES, EVACUATES };

struct run {
    uint64_t first;
    uint64_t count; /* 0: freed */
    enum kva_frames_type type;
};

static struct kva_failing_memory set_memory; /* malloc, on any host */
static struct kva_frames *frames;
static struct run runs[RUNS_MOST];
static size_t run_count;
static uint64_t block_size = BLOCK;
static uint64_t zone_start;
static uint64_t zone_end;
static uint64_t range_first;
static uint64_t range_end;
static enum behaviour behaviour;
static size_t special;
static size_t moves;
static unsigned misuses;
static enum kva_status last_misuse;

/* ---------------------------------------------------------------------------------------------- the model */

static size_t run_at(uint64_t frame)
{
    for (size_t i = 0; i < run_count; i++) {
        if (frame - runs[i].first < runs[i].count)
            return i;
    }
    return RUNS_MOST;
}

static bool is_free(uint64_t first, uint64_t count)
{
    for (uint64_t f = first; f < first + count; f++) {
        if (run_at(f) < RUNS_MOST)
            return false;
    }
    return true;
}

static uint64_t block_number(uint64_t frame)
{
    return frame / block_size;
}

/** Whether a run shares a block with an unmovable one, or is one. */
static bool is_fixed(const struct run *run)
{
    for (size_t i = 0; i < run_count; i++) {
        if (runs[i].count > 0 && runs[i].type == KVA_UNMOVABLE &&
            block_number(runs[i].first) <= block_number(run->first + run->count - 1) &&
            block_number(run->first) <= block_number(runs[i].first + runs[i].count - 1))
            return true;
    }
    return false;
}

/** Whether a place keeps the run's alignment, up to its length rounded up to a power of two. */
static bool suits(uint64_t from, uint64_t to, uint64_t count)
{
    uint64_t align = 1;

    while (align < count && from % (2 * align) == 0)
        align *= 2;
    return to % align == 0;
}

/** Whether there is room for a run in the zone and outside the range. */
static bool has_room(const struct run *run)
{
    for (uint64_t to = zone_start; to + run->count <= zone_end; to++) {
        if (suits(run->first, to, run->count) && is_free(to, run->count) &&
            (to + run->count <= range_first || to >= range_end))
            return true;
    }
    return false;
}

static void count_misuse(void *context, const struct kva_fault *fault)
{
    (void)context;
    misuses++;
    last_misuse = fault->status;
}

static void add_run(uint64_t first, uint64_t count, enum kva_frames_type type)
{
    check_that(run_count < RUNS_MOST, "more than %d runs", (int)RUNS_MOST);
    runs[run_count++] = (struct run){first, count, type};
}

static void give_back(struct run *run)
{
    assert_int_equal(kva_frames_free(frames, run->first), KVA_OK);
    run->count = 0;
}

static void allocate_one(void)
{
    struct kva_frames_request request = {.type = KVA_MOVABLE, .min = zone_start, .max = zone_end - 1};
    uint64_t first;

    if (run_count < RUNS_MOST - 2 && kva_frames_alloc(frames, &request, &first) == KVA_OK)
        add_run(first, 1, KVA_MOVABLE);
}

/** Move a run of the model. */
static enum kva_frames_moved move_run(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    size_t i = run_at(from);
    (void)context;

    moves++;
    check_that(i < run_count && runs[i].first == from && runs[i].count == count,
               "asked to move %" PRIu64 " frames from %" PRIu64 ", where no such run is", count, from);
    check_that(to >= zone_start && to + count <= zone_end && (to + count <= range_first || to >= range_end),
               "moved to %" PRIu64 ", outside the zone or inside the range", to);
    check_that(suits(from, to, count) && is_free(to, count),
               "moved from %" PRIu64 " to %" PRIu64 ", which is not free or not aligned", from, to);
    if (behaviour == ALLOCATES)
        allocate_one();
    if (behaviour == EVACUATES) {
        assert_int_equal(kva_frames_evacuate(frames, from, 1, KVA_MOVABLE, NULL), KVA_EREENTRY);
        assert_int_equal(last_misuse, KVA_EREENTRY);
    }
    if (i == special && behaviour == PINS)
        return KVA_FRAMES_PINNED;
    if (i == special && behaviour == IS_BUSY)
        return KVA_FRAMES_BUSY;
    if (i == special && behaviour == IS_GONE)
        return KVA_FRAMES_GONE;
    if (i == special && behaviour == GIVES_BACK) {
        give_back(&runs[i]);
        assert_int_equal(kva_frames_free(frames, from), KVA_EDOUBLE);
        return KVA_FRAMES_GONE;
    }
    if (i == special && behaviour == MOVES_AND_GIVES_BACK)
        assert_int_equal(kva_frames_free(frames, from), KVA_OK);
    runs[i].first = to;
    return KVA_FRAMES_MOVED;
}

/* ------------------------------------------------------------------------------------------------ the set */

static void create(uint64_t offset, uint64_t count, bool may_move)
{
    struct kva_frames_zone zones[] = {{BASE + offset, BASE + offset + count, 0},
                                      {BASE + offset + count, BASE + offset + count + BESIDE, 0}};
    struct kva_frames_config config = {.zones = zones,
                                       .zone_count = 2,
                                       .block_order = block_size == BLOCK ? 2 : 7,
                                       .memory = kva_failing_memory_init(&set_memory),
                                       .move = may_move ? move_run : NULL,
                                       .on_misuse = count_misuse};

    assert_int_equal(kva_frames_create(&config, &frames), KVA_OK);
    zone_start = zones[0].start;
    zone_end = zones[0].end;
    run_count = moves = 0;
    behaviour = MOVES;
    misuses = 0;
}

static void reserve(uint64_t first, uint64_t count, enum kva_frames_type type)
{
    assert_int_equal(kva_frames_reserve(frames, first, count, type, NULL), KVA_OK);
    add_run(first, count, type);
}

/** Every frame is as in the model, and the invariants hold. */
static void compare(void)
{
    struct kva_frames_found found;
    struct kva_frames_stats stats;
    uint64_t used = 0;

    assert_int_equal(kva_frames_check(frames, NULL), KVA_OK);
    for (uint64_t f = zone_start; f < zone_end + BESIDE; f++) {
        size_t i = f < zone_end ? run_at(f) : RUNS_MOST;
        assert_int_equal(kva_frames_find(frames, f, &found), KVA_OK);
        check_that(found.state == (i < RUNS_MOST ? KVA_FRAMES_USED : KVA_FRAMES_FREE),
                   "frame %" PRIu64 " has state %d", f, (int)found.state);
        if (i < RUNS_MOST)
            check_that(found.first == runs[i].first && found.count == runs[i].count,
                       "frame %" PRIu64 " is in the wrong run", f);
        if (i < RUNS_MOST && runs[i].type == KVA_UNMOVABLE)
            check_that(found.type == KVA_UNMOVABLE, "frame %" PRIu64 " should be unmovable", f);
        used += i < RUNS_MOST;
    }
    assert_int_equal(kva_frames_stats_read(frames, KVA_FRAMES_ALL_ZONES, &stats), KVA_OK);
    assert_int_equal(stats.used_frames, used);
    assert_int_equal(stats.free_frames, zone_end - zone_start + BESIDE - used);
}

/** Free all runs; after that every frame is free. */
static void end(void)
{
    struct kva_frames_stats stats;

    for (size_t i = 0; i < run_count; i++) {
        if (runs[i].count > 0)
            give_back(&runs[i]);
    }
    compare();
    assert_int_equal(kva_frames_stats_read(frames, KVA_FRAMES_ALL_ZONES, &stats), KVA_OK);
    assert_int_equal(stats.used_frames + stats.movable_blocks + stats.unmovable_blocks, 0);
    assert_int_equal(kva_frames_destroy(frames), KVA_OK);
}

/** Evacuate a range, and compare the result with the model. */
static enum kva_status evacuate(uint64_t first, uint64_t count, enum kva_frames_type type)
{
    uint64_t obstacle = KVA_NO_FRAME;

    range_first = first;
    range_end = first + count;
    enum kva_status status = kva_frames_evacuate(frames, first, count, type, &obstacle);
    if (status == KVA_OK) {
        check_that(is_free(first, count), "%" PRIu64 "+%" PRIu64 " was evacuated, but is in use", first,
                   count);
        add_run(first, count, type);
    } else {
        size_t i = run_at(obstacle);
        check_that(status == KVA_EBUSY || status == KVA_ENOSPC, "the evacuation returned %d", (int)status);
        check_that(obstacle >= first && obstacle < first + count && i < RUNS_MOST,
                   "the obstacle %" PRIu64 " is not a frame in use of the range", obstacle);
        if (status == KVA_ENOSPC)
            check_that(!has_room(&runs[i]) && !is_fixed(&runs[i]),
                       "KVA_ENOSPC, but there is room for the run at %" PRIu64, runs[i].first);
        else
            check_that(is_fixed(&runs[i]) || i == special, "KVA_EBUSY, but run %zu can be moved", i);
    }
    compare();
    return status;
}

/* ------------------------------------------------------------------------------------------- every layout */

static uint64_t visited;
static uint64_t evacuated;
static uint64_t turn;

static void visit(uint64_t offset, uint64_t count, const struct run *pair, uint64_t first, uint64_t length)
{
    if (turn++ % test_stride() != 0)
        return;
    create(offset, count, true);
    special = RUNS_MOST;
    for (size_t i = 0; i < 2; i++) {
        if (pair[i].count > 0)
            reserve(BASE + offset + pair[i].first, pair[i].count, pair[i].type);
    }
    evacuated +=
        evacuate(BASE + offset + first, length, turn % 2 != 0 ? KVA_MOVABLE : KVA_UNMOVABLE) == KVA_OK;
    visited++;
    end();
}

static void visit_ranges(uint64_t offset, uint64_t count, const struct run *pair)
{
    for (uint64_t first = 0; first < count; first++) {
        for (uint64_t length = 1; length <= count - first; length++)
            visit(offset, count, pair, first, length);
    }
}

/* One or two runs anywhere, and every range. Two runs: every 7th layout, different ones at each offset;
 * sometimes the second run is unmovable. */
static void every_layout_of_two_runs(void **state)
{
    uint64_t pairs = 0;
    (void)state;

    visited = evacuated = turn = 0;
    for (uint64_t offset = 0; offset < BLOCK; offset++) {
        uint64_t count = 12 + (offset + 1) % 3 * 2;
        for (uint64_t a = 0; a < count; a++) {
            for (uint64_t m = 1; m <= LONGEST && a + m <= count; m++) {
                struct run pair[2] = {{a, m, KVA_MOVABLE}, {0, 0, KVA_MOVABLE}};
                visit_ranges(offset, count, pair);
                for (uint64_t b = a + m; b < count; b++) {
                    for (uint64_t n = 1; n <= LONGEST && b + n <= count; n++) {
                        pair[1] = (struct run){b, n, pairs % 5 == 0 ? KVA_UNMOVABLE : KVA_MOVABLE};
                        if (pairs++ % 7 == 0)
                            visit_ranges(offset, count, pair);
                    }
                }
            }
        }
    }
    printf("%" PRIu64 " ranges, %" PRIu64 " of them evacuated\n", visited, evacuated);
    check_that(evacuated > visited / 4 && evacuated < visited,
               "%" PRIu64 " of %" PRIu64 " ranges evacuated, more than a quarter and not all expected",
               evacuated, visited);
}

/** Reserve random runs, until `used` frames are in use. */
static void fill(struct test_rng *rng, uint64_t used, uint64_t longest)
{
    for (unsigned tries = 0; tries < 40 && used > 0 && run_count < 20; tries++) {
        uint64_t count = 1 + test_below(rng, longest);
        uint64_t first = zone_start + test_below(rng, zone_end - zone_start);
        if (count > used || first + count > zone_end || !is_free(first, count))
            continue;
        reserve(first, count, test_one_in(rng, 12) ? KVA_UNMOVABLE : KVA_MOVABLE);
        used -= count;
    }
}

/** A layout of blocks of `block_size` frames, and two evacuations. */
static void play_layout(struct test_rng *rng, uint64_t seen[])
{
    uint64_t count = 3 * block_size + test_below(rng, block_size + 1);

    create(test_below(rng, block_size), count, true);
    fill(rng, test_below(rng, count + 1), block_size == BLOCK ? LONGEST : test_one_in(rng, 2) ? 70 : 300);
    behaviour = (enum behaviour)test_below(rng, ALLOCATES + 1);
    special = (size_t)test_below(rng, 24);
    for (unsigned round = 0; round < 2; round++) {
        uint64_t first = zone_start + test_below(rng, count);
        uint64_t length = 1 + test_below(rng, zone_end - first);
        seen[evacuate(first, length, test_one_in(rng, 2) ? KVA_MOVABLE : KVA_UNMOVABLE)]++;
    }
    end();
}

static void layouts_at_random(void **state)
{
    struct test_rng rng = test_rng_of(0x65766163);
    uint64_t seen[KVA_EBUSY + 1] = {0};
    (void)state;

    for (uint64_t i = 0; i < test_scaled(60000); i++)
        play_layout(&rng, seen);
    check_that(seen[KVA_OK] > 0 && seen[KVA_EBUSY] > 0 && seen[KVA_ENOSPC] > 0,
               "KVA_OK, KVA_EBUSY and KVA_ENOSPC expected, one never occurred");
}

/* The same in blocks with two words of states, with runs of up to 300 frames: some cover whole blocks. */
static void large_blocks_at_random(void **state)
{
    struct test_rng rng = test_rng_of(0x65766164);
    uint64_t seen[KVA_EBUSY + 1] = {0};
    (void)state;

    block_size = LARGE_BLOCK;
    for (uint64_t i = 0; i < test_scaled(2000); i++)
        play_layout(&rng, seen);
    block_size = BLOCK;
    check_that(seen[KVA_OK] > 0 && seen[KVA_EBUSY] > 0, "KVA_OK and KVA_EBUSY expected, one never occurred");
}

/* --------------------------------------------------------------------------------------------- one by one */

/* The status that the header promises for each wrong argument. */
static void wrong_arguments(void **state)
{
    uint64_t obstacle = 7;
    (void)state;

    assert_int_equal(kva_frames_evacuate(NULL, BASE, 1, KVA_MOVABLE, &obstacle), KVA_ENULL);
    create(0, 16, true);
    assert_int_equal(kva_frames_evacuate(frames, BASE, 1, (enum kva_frames_type)2, &obstacle), KVA_EINVAL);
    assert_int_equal(kva_frames_evacuate(frames, BASE, 0, KVA_MOVABLE, &obstacle), KVA_ESIZE);
    assert_int_equal(kva_frames_evacuate(frames, BASE, UINT64_MAX, KVA_MOVABLE, &obstacle), KVA_EWRAP);
    assert_int_equal(kva_frames_evacuate(frames, BASE, 17, KVA_MOVABLE, &obstacle), KVA_ERANGE);
    assert_int_equal(kva_frames_evacuate(frames, BASE - 1, 2, KVA_MOVABLE, &obstacle), KVA_ERANGE);
    assert_int_equal(misuses, 5);
    assert_int_equal(obstacle, 7);
    compare();
    end();
}

/* A hole in the range: nothing is moved, not even a run before the hole. */
static void a_hole_in_the_range(void **state)
{
    (void)state;
    create(0, 16, true);
    reserve(BASE, 2, KVA_MOVABLE);
    assert_int_equal(kva_frames_offline(frames, BASE + 6, 1, NULL), KVA_OK);
    assert_int_equal(kva_frames_evacuate(frames, BASE, 8, KVA_MOVABLE, NULL), KVA_ERANGE);
    assert_int_equal(misuses, 1);
    assert_int_equal(moves, 0);
    assert_int_equal(kva_frames_online(frames, BASE + 6, 1, NULL), KVA_OK);
    compare();
    end();
}

/* Without a move callback a free range is taken, and any other is refused. */
static void without_a_move_callback(void **state)
{
    uint64_t obstacle = 7;
    (void)state;

    create(0, 16, false);
    reserve(BASE + 5, 2, KVA_MOVABLE);
    assert_int_equal(kva_frames_evacuate(frames, BASE, 8, KVA_MOVABLE, &obstacle), KVA_ENOENT);
    assert_int_equal(obstacle, 7);
    compare();
    assert_int_equal(evacuate(BASE + 7, 9, KVA_UNMOVABLE), KVA_OK);
    assert_int_equal(misuses, 0);
    end();
}

/* An unmovable frame in the range: nothing is moved. */
static void an_unmovable_frame(void **state)
{
    uint64_t obstacle = 7;
    (void)state;

    create(0, 16, true);
    reserve(BASE + 1, 2, KVA_MOVABLE);
    reserve(BASE + 6, 1, KVA_UNMOVABLE);
    assert_int_equal(kva_frames_evacuate(frames, BASE, 8, KVA_MOVABLE, &obstacle), KVA_EBUSY);
    assert_int_equal(obstacle, BASE + 6);
    assert_int_equal(moves, 0);
    compare();
    end();
}

/* A run in the middle stays: the runs before it have moved, and their frames are free. */
static void a_run_that_stays(void **state)
{
    static const enum behaviour ways[] = {PINS, IS_BUSY, IS_GONE};
    (void)state;

    for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
        create(0, 16, true);
        reserve(BASE + 1, 2, KVA_MOVABLE);
        reserve(BASE + 3, 3, KVA_MOVABLE); /* crosses the end of a block */
        reserve(BASE + 7, 1, KVA_MOVABLE);
        special = 1;
        behaviour = ways[way];
        uint64_t obstacle = 0;
        range_first = BASE;
        range_end = BASE + 8;
        assert_int_equal(kva_frames_evacuate(frames, BASE, 8, KVA_UNMOVABLE, &obstacle), KVA_EBUSY);
        assert_int_equal(obstacle, BASE + 3);
        assert_int_equal(moves, 2);
        assert_int_equal(runs[1].first, BASE + 3);
        assert_int_equal(runs[2].first, BASE + 7);
        assert_true(runs[0].first >= BASE + 8);
        compare();
        behaviour = MOVES;
        assert_int_equal(evacuate(BASE, 8, KVA_UNMOVABLE), KVA_OK);
        end();
    }
}

/* The owner frees a run that the set is about to move; the outcome that it returns does not matter. */
static void a_run_that_is_freed(void **state)
{
    struct kva_frames_stats stats;
    (void)state;

    for (unsigned way = 0; way < 2; way++) {
        create(0, 16, true);
        reserve(BASE + 2, 6, KVA_MOVABLE);
        special = 0;
        behaviour = way == 0 ? GIVES_BACK : MOVES_AND_GIVES_BACK;
        assert_int_equal(evacuate(BASE + 4, 4, KVA_MOVABLE), KVA_OK);
        assert_int_equal(runs[0].count, way == 0 ? 0 : 6);
        assert_int_equal(kva_frames_stats_read(frames, KVA_FRAMES_ALL_ZONES, &stats), KVA_OK);
        assert_int_equal(stats.moved_runs, way);
        assert_int_equal(stats.moved_frames, way * 6);
        end();
    }
}

/* The move callback cannot evacuate a range in use. */
static void from_inside_the_callback(void **state)
{
    (void)state;
    create(0, 16, true);
    reserve(BASE + 1, 1, KVA_MOVABLE);
    behaviour = EVACUATES;
    assert_int_equal(evacuate(BASE, 4, KVA_MOVABLE), KVA_OK);
    assert_int_equal(misuses, 1);
    end();
}

/* The statistics count a block that became unmovable, and a movable run that was put into an unmovable
 * block. */
static void changed_blocks_and_strayed_runs_are_counted(void **state)
{
    struct kva_frames_stats stats;
    (void)state;

    create(0, 16, true);
    reserve(BASE + 1, 1, KVA_MOVABLE);
    reserve(BASE + 7, 1, KVA_MOVABLE);
    reserve(BASE + 8, 1, KVA_UNMOVABLE);
    assert_int_equal(evacuate(BASE, 6, KVA_UNMOVABLE), KVA_OK);
    assert_int_equal(kva_frames_stats_read(frames, 0, &stats), KVA_OK);
    assert_int_equal(stats.changed_blocks, 1); /* the second block, because of frame 7 */
    assert_int_equal(stats.strayed_runs, 0);
    assert_int_equal(evacuate(BASE + 10, 6, KVA_MOVABLE), KVA_OK);
    assert_int_equal(kva_frames_stats_read(frames, 0, &stats), KVA_OK);
    assert_int_equal(stats.strayed_runs, 1);
    end();
}

/* ------------------------------------------------------------------------------------------ for a request */

static enum kva_status request_run(struct kva_frames_request request)
{
    uint64_t first;

    range_first = range_end = KVA_NO_FRAME;
    request.flags = KVA_FRAMES_COMPACT;
    enum kva_status status = kva_frames_alloc(frames, &request, &first);
    if (status == KVA_OK) {
        uint64_t count = request.count ? request.count : UINT64_C(1) << request.order;
        check_that(is_free(first, count) && first % (request.align ? request.align : 1) == 0,
                   "the run at %" PRIu64 " is in use or not aligned", first);
        add_run(first, count, request.type);
    }
    compare();
    return status;
}

/* A request for two blocks: the two emptiest adjacent blocks that fit are evacuated. */
static void a_large_request(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 2; type++) {
        create(0, 16, true);
        reserve(BASE + 1, 1, KVA_MOVABLE);
        reserve(BASE + 3, 2, KVA_MOVABLE);
        reserve(BASE + 6, 1, KVA_MOVABLE);
        reserve(BASE + 9, 1, KVA_MOVABLE);
        reserve(BASE + 14, 1, KVA_MOVABLE);
        assert_int_equal(request_run((struct kva_frames_request){
                             .count = 8, .type = type == 0 ? KVA_MOVABLE : KVA_UNMOVABLE}),
                         KVA_OK);
        assert_int_equal(runs[5].first, BASE + 8);
        assert_int_equal(moves, 2);
        end();
    }
}

/* The window and the alignment hold; a pinned run is avoided; if too few frames are free, nothing is
 * moved. */
static void a_large_request_with_alignment_and_window(void **state)
{
    (void)state;
    create(0, 16, true);
    reserve(BASE + 1, 1, KVA_MOVABLE);
    reserve(BASE + 5, 1, KVA_MOVABLE);
    reserve(BASE + 9, 1, KVA_MOVABLE);
    reserve(BASE + 13, 1, KVA_MOVABLE);
    assert_int_equal(request_run((struct kva_frames_request){.count = 13}), KVA_ENOSPC);
    assert_int_equal(moves, 0);
    assert_int_equal(kva_frames_destroy(frames), KVA_OK);

    create(0, 16, true);
    reserve(BASE + 1, 1, KVA_MOVABLE);
    reserve(BASE + 5, 1, KVA_MOVABLE);
    reserve(BASE + 9, 2, KVA_MOVABLE);
    reserve(BASE + 13, 1, KVA_MOVABLE);
    special = 0;
    behaviour = PINS; /* the first block */
    assert_int_equal(request_run((struct kva_frames_request){.count = 6, .align = 4}), KVA_OK);
    assert_true(runs[4].first >= BASE + 4);
    give_back(&runs[4]);
    behaviour = MOVES;
    assert_int_equal(
        request_run((struct kva_frames_request){.count = 5, .align = 8, .min = BASE, .max = BASE + 7}),
        KVA_OK);
    assert_int_equal(runs[5].first, BASE);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_of_two_runs),
        cmocka_unit_test(layouts_at_random),
        cmocka_unit_test(large_blocks_at_random),
        cmocka_unit_test(wrong_arguments),
        cmocka_unit_test(a_hole_in_the_range),
        cmocka_unit_test(without_a_move_callback),
        cmocka_unit_test(an_unmovable_frame),
        cmocka_unit_test(a_run_that_stays),
        cmocka_unit_test(a_run_that_is_freed),
        cmocka_unit_test(from_inside_the_callback),
        cmocka_unit_test(changed_blocks_and_strayed_runs_are_counted),
        cmocka_unit_test(a_large_request),
        cmocka_unit_test(a_large_request_with_alignment_and_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
