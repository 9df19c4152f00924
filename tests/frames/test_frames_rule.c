/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The boundary rule: a step on a block of a zone works on the frames that the block and the zone share, on
 * all of them, and on no others. Therefore the last frame of every block can be allocated, runs have their
 * exact ends, and two zones in one block never see each other's frames. The zones here begin and end inside
 * blocks.
 */
#include "../common/frames_model.h"

#include <string.h>

static struct frames_model model;

/** Zones in blocks of 8 frames. The first two share the block 16-23; the second one has a hole in the middle
 *  of a block and one over the end of a block; the last two are adjacent at the largest frame numbers.
 *
 *      block   8       16      24      32      40            ..f0    ..f8    ..ff
 *      zone      000000000011111111111111                    222222333333333
 *      hole                      xx   xxx
 */
#define TOP UINT64_MAX

static const struct kva_frames_zone zones[] = {
    {10, 20, 0}, {20, 34, 1}, {TOP - 15, TOP - 9, 0}, {TOP - 9, TOP, 1}};
static const struct kva_frames_range holes[] = {{26, 2}, {31, 3}};

enum { ZONES = sizeof(zones) / sizeof(zones[0]), FRAMES = 10 + 14 - 5 + 6 + 9 };

static void create(unsigned block_order)
{
    struct kva_frames_config config = {
        .zones = zones, .zone_count = ZONES, .holes = holes, .hole_count = 2, .block_order = block_order};

    frames_model_create(&model, &config, "zones that miss their blocks");
}

/** Allocate runs until none is left; returns how many. */
static size_t take_all(const struct kva_frames_request *request, uint64_t *firsts, size_t most)
{
    size_t count = 0;
    uint64_t first;

    while (frames_model_alloc(&model, request, &first) == KVA_OK) {
        check_that(count < most, "allocated more than %zu runs", most);
        firsts[count++] = first;
    }
    return count;
}

static bool is_among(const uint64_t *firsts, size_t count, uint64_t frame)
{
    for (size_t i = 0; i < count; i++) {
        if (firsts[i] == frame)
            return true;
    }
    return false;
}

/* Every frame outside the holes can be allocated, once; also the last one of each block. All can be freed. */
static void every_frame_can_be_allocated(void **state)
{
    uint64_t firsts[FRAMES];
    (void)state;

    for (unsigned order = 1; order <= KVA_FRAMES_BLOCK_ORDER; order++) {
        for (unsigned type = 0; type < 2; type++) {
            struct kva_frames_request request = {.type = frames_model_type(type)};
            create(order);
            assert_int_equal(take_all(&request, firsts, FRAMES), FRAMES);
            assert_true(is_among(firsts, FRAMES, 15) && is_among(firsts, FRAMES, 19) &&
                        is_among(firsts, FRAMES, 20) && is_among(firsts, FRAMES, 23) &&
                        is_among(firsts, FRAMES, 30) && is_among(firsts, FRAMES, TOP - 1));
            assert_int_equal(frames_model_tally(&model, FRAME_FREE), 0);
            frames_model_compare(&model);
            for (size_t i = 0; i < FRAMES; i++)
                assert_int_equal(frames_model_free(&model, firsts[i * 7 % FRAMES]), KVA_OK);
            assert_int_equal(frames_model_tally(&model, FRAME_FREE), FRAMES);
            frames_model_compare(&model);
            frames_model_destroy(&model);
        }
    }
}

/* The last frame of each block is found when it is the only free frame. */
static void the_last_frame_of_a_block_is_found(void **state)
{
    static const uint64_t lasts[] = {15, 19, 20, 23, 25, 28, 30, TOP - 10, TOP - 9, TOP - 1};
    uint64_t firsts[FRAMES];
    uint64_t first = 0;
    struct kva_frames_request request = {.type = KVA_MOVABLE};
    (void)state;

    create(3);
    assert_int_equal(take_all(&request, firsts, FRAMES), FRAMES);
    for (size_t i = 0; i < sizeof(lasts) / sizeof(lasts[0]); i++) {
        for (unsigned way = 0; way < 4; way++) {
            request = (struct kva_frames_request){.type = frames_model_type(way % 2)};
            if (way >= 2)
                request.min = request.max = lasts[i];
            assert_int_equal(frames_model_free(&model, lasts[i]), KVA_OK);
            assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_OK);
            assert_int_equal(first, lasts[i]);
        }
    }
    frames_model_compare(&model);
    frames_model_destroy(&model);
}

/* One frame anywhere in a full block is freed, alone or in a list, whether or not a CPU holds the block:
 * it is found again. */
static void a_frame_anywhere_in_a_full_block_is_found(void **state)
{
    static uint64_t firsts[1 << KVA_FRAMES_BLOCK_ORDER];
    (void)state;

    for (unsigned order = 5; order <= KVA_FRAMES_BLOCK_ORDER; order += 2) {
        size_t size = (size_t)1 << order;
        struct kva_frames_zone zone = {size, 2 * size, 0};
        struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .block_order = order};
        struct kva_frames_request request = {.type = KVA_MOVABLE};
        frames_model_create(&model, &config, "a full block");
        assert_int_equal(take_all(&request, firsts, size), size);
        for (size_t step = 0; step < 24; step++) {
            uint64_t frame = size + (size - 1 - step * 29 * size / 700 % size);
            uint64_t first = 0;
            if (step % 4 == 3)
                frames_model_drain(&model);
            if (step % 2 == 0)
                assert_int_equal(frames_model_free(&model, frame), KVA_OK);
            else
                assert_int_equal(frames_model_free_many(&model, &frame, 1), KVA_OK);
            assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_OK);
            assert_int_equal(first, frame);
        }
        frames_model_compare(&model);
        frames_model_destroy(&model);
    }
}

/* A window that begins and ends with the zone, or one frame before or after it: the current block serves
 * it only if the whole zone lies inside. `before`: how many frames were allocated without a window, so
 * that each block is the current one in turn; the first of them is free again. */
static void windows_close_to_the_ends_of_the_zone(void **state)
{
    uint64_t firsts[FRAMES];
    (void)state;

    for (unsigned node = 0; node < 2; node++) {
        const struct kva_frames_zone *zone = &zones[node];
        for (unsigned i = 0; i < 9 * (zone->end - zone->start); i++) {
            uint64_t before = i / 9;
            struct kva_frames_request request = {.node = node, .type = KVA_MOVABLE};
            create(3);
            for (uint64_t k = 0; k < before; k++)
                (void)frames_model_alloc(&model, &request, &firsts[k]);
            if (before > 0)
                assert_int_equal(frames_model_free(&model, firsts[0]), KVA_OK);
            request.min = zone->start - 1 + i % 3;
            request.max = zone->end - 2 + i / 3 % 3;
            if (frames_model_alloc_many(&model, &request, 3, firsts) == KVA_OK)
                assert_int_equal(frames_model_free(&model, firsts[0]), KVA_OK);
            (void)take_all(&request, firsts, FRAMES);
            frames_model_compare(&model);
            frames_model_destroy(&model);
        }
    }
}

/* A run that ends exactly at the end of a block, one that crosses it, and one that begins there: each
 * place is requested by its window, and freed. */
static void runs_at_the_end_of_a_block(void **state)
{
    uint64_t first = 0;
    (void)state;

    for (unsigned order = 1; order <= 4; order++) {
        uint64_t size = UINT64_C(1) << order;
        struct kva_frames_zone zone = {3 * size + 1, 8 * size - 1, 0};
        struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .block_order = order};
        frames_model_create(&model, &config, "a zone of five blocks");
        for (uint64_t start = zone.start; start < zone.end; start++) {
            for (uint64_t count = 1; count <= zone.end - start; count++) {
                struct kva_frames_request request = {
                    .count = count, .type = KVA_MOVABLE, .min = start, .max = start + count - 1};
                assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_OK);
                assert_int_equal(first, start);
                for (uint64_t f = zone.start - 1; f <= zone.end; f++)
                    frames_model_find(&model, f);
                if (count > 1) /* one frame too few is no place */
                    request.max--;
                else
                    request.count++;
                assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_ENOSPC);
                assert_int_equal(frames_model_free(&model, start), KVA_OK);
            }
        }
        frames_model_compare(&model);
        frames_model_destroy(&model);
    }
}

/* The largest run of each zone can be allocated, and no larger one: a run may cross blocks, but not the
 * end of the zone, even if adjacent frames of the next zone are free. */
static void no_run_crosses_a_zone(void **state)
{
    static const uint64_t largest[ZONES] = {10, 6, 6, 9};
    (void)state;

    for (unsigned order = 1; order <= 6; order++) {
        for (size_t zone = 0; zone < ZONES; zone++) {
            struct kva_frames_request request = {.count = largest[zone] + 1, .type = KVA_MOVABLE};
            uint64_t first = 0;
            create(order);
            request.min = zones[zone].start;
            request.max = zones[zone].end; /* one frame beyond */
            assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_ENOSPC);
            request.count--;
            assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_OK);
            assert_int_equal(first, zones[zone].start);
            frames_model_compare(&model);
            frames_model_destroy(&model);
        }
    }
}

/* A hole in the middle of a block: the frames on both sides can be allocated, and the hole cannot. */
static void a_hole_in_the_middle(void **state)
{
    uint64_t first = 0;
    (void)state;

    for (unsigned order = 1; order <= 6; order++) {
        struct kva_frames_request request = {.count = 5, .type = KVA_MOVABLE, .min = 20, .max = 33};
        create(order);
        assert_int_equal(frames_model_reserve(&model, 24, 3, KVA_MOVABLE), KVA_ERANGE);
        assert_int_equal(frames_model_free(&model, 26), KVA_EUNKNOWN);
        assert_int_equal(frames_model_offline(&model, 27, 2), KVA_ERANGE);
        assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_OK);
        request.count = 4;
        assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_ENOSPC);
        request.count = 3;
        assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_OK);
        assert_int_equal(first, 28);
        assert_int_equal(frames_model_free_range(&model, 29, 2), KVA_OK);
        assert_int_equal(frames_model_free_range(&model, 28, 2), KVA_ERANGE);
        assert_int_equal(frames_model_offline(&model, 29, 2), KVA_OK);
        assert_int_equal(frames_model_online(&model, 29, 5), KVA_OK);
        frames_model_compare(&model);
        frames_model_destroy(&model);
    }
}

/* --------------------------------------------------------------------------------- two zones in one block */

struct view {
    struct kva_frames_found found[16];
    struct kva_frames_stats stats;
    struct kva_frames_orders orders;
};

/** Everything that a caller can see of a zone. */
static void look_at(size_t zone, struct view *view)
{
    memset(view, 0, sizeof(*view));
    for (uint64_t f = zones[zone].start; f < zones[zone].end; f++) {
        struct kva_frames_found *found = &view->found[f - zones[zone].start];
        assert_int_equal(kva_frames_find(model.frames, f, found), KVA_OK);
    }
    assert_int_equal(kva_frames_stats_read(model.frames, zone, &view->stats), KVA_OK);
    assert_int_equal(kva_frames_orders_read(model.frames, zone, &view->orders), KVA_OK);
}

static void expect_same_view(size_t zone, const struct view *before)
{
    struct view after;

    look_at(zone, &after);
    for (uint64_t i = 0; i < zones[zone].end - zones[zone].start; i++) {
        const struct kva_frames_found *a = &before->found[i];
        const struct kva_frames_found *b = &after.found[i];
        check_that(a->state == b->state && a->first == b->first && a->count == b->count && a->type == b->type,
                   "frame %#" PRIx64 " of the other zone has changed", zones[zone].start + i);
    }
    assert_int_equal(before->stats.free_frames, after.stats.free_frames);
    assert_int_equal(before->stats.used_frames, after.stats.used_frames);
    assert_int_equal(before->stats.absent_frames, after.stats.absent_frames);
    assert_int_equal(before->stats.free_blocks, after.stats.free_blocks);
    assert_int_equal(before->stats.movable_blocks, after.stats.movable_blocks);
    assert_int_equal(before->stats.unmovable_blocks, after.stats.unmovable_blocks);
    for (unsigned order = 0; order <= KVA_FRAMES_BLOCK_ORDER; order++) {
        assert_int_equal(before->orders.unmovable[order], after.orders.unmovable[order]);
        assert_int_equal(before->orders.movable[order], after.orders.movable[order]);
        assert_int_equal(before->orders.unused[order], after.orders.unused[order]);
    }
}

/** One call that concerns one zone only, at or near its border. */
static void touch(struct test_rng *rng, size_t zone)
{
    uint64_t size = zones[zone].end - zones[zone].start;
    uint64_t first = zones[zone].start + test_below(rng, size);
    uint64_t count = 1 + test_below(rng, size);
    struct kva_frames_request request = {.count = 1 + test_below(rng, 4),
                                         .type = frames_model_type((unsigned)test_below(rng, 2)),
                                         .node = zones[zone].node,
                                         .flags = KVA_FRAMES_THIS_NODE,
                                         .min = zones[zone].start,
                                         .max = zones[zone].end - 1};

    switch (test_below(rng, 8)) {
    case 0:
        (void)frames_model_reserve(&model, first, count, (unsigned)test_below(rng, 2));
        break;
    case 1:
        (void)frames_model_free_range(&model, first, count);
        break;
    case 2:
        (void)frames_model_offline(&model, first, count);
        break;
    case 3:
        (void)frames_model_online(&model, first, count);
        break;
    case 4:
    case 5:
        (void)frames_model_free(&model, first);
        break;
    default:
        (void)frames_model_alloc(&model, &request, &first);
        break;
    }
}

/** Calls in one zone change nothing that a caller can see of its neighbour in the same block. */
static void play_neighbours(struct test_rng *rng, unsigned order, size_t a, size_t b)
{
    struct view view;

    create(order);
    for (unsigned round = 0; round < 12; round++) {
        size_t zone = round % 2 != 0 ? a : b;
        look_at(zone == a ? b : a, &view);
        for (unsigned i = 0; i < 24; i++) {
            touch(rng, zone);
            expect_same_view(zone == a ? b : a, &view);
        }
        frames_model_compare(&model);
    }
    frames_model_destroy(&model);
}

static void a_neighbour_is_never_touched(void **state)
{
    struct test_rng rng = test_rng_of(8101);
    uint64_t rounds = test_scaled(20);
    (void)state;

    for (uint64_t i = 0; i < rounds; i++) {
        for (unsigned order = 3; order <= 6; order++) {
            play_neighbours(&rng, order, 0, 1);
            play_neighbours(&rng, order, 2, 3);
        }
    }
}

/* Two runs that touch at the border of their zones stay separate, and no call reaches over the border. */
static void runs_that_touch_at_a_border(void **state)
{
    (void)state;

    for (unsigned order = 1; order <= 6; order++) {
        create(order);
        assert_int_equal(frames_model_reserve(&model, 18, 4, KVA_MOVABLE), KVA_ERANGE);
        assert_int_equal(frames_model_reserve(&model, 18, 2, KVA_MOVABLE), KVA_OK);
        assert_int_equal(frames_model_reserve(&model, 20, 2, KVA_UNMOVABLE), KVA_OK);
        for (uint64_t f = 17; f < 23; f++)
            frames_model_find(&model, f);
        assert_int_equal(frames_model_free_range(&model, 19, 2), KVA_ERANGE);
        assert_int_equal(frames_model_offline(&model, 17, 5), KVA_ERANGE);
        assert_int_equal(frames_model_free(&model, 18), KVA_OK);
        frames_model_compare(&model);
        assert_int_equal(frames_model_free(&model, 20), KVA_OK);
        frames_model_compare(&model);
        frames_model_destroy(&model);
    }
}

/* ------------------------------------------------------------------------------------------------- totals */

/* No frame is lost or counted twice. */
static void totals_are_conserved(void **state)
{
    struct test_rng rng = test_rng_of(8102);
    uint64_t calls = test_scaled(3000);
    (void)state;

    create(2);
    for (uint64_t i = 0; i < calls; i++) {
        struct kva_frames_stats stats;
        touch(&rng, (size_t)test_below(&rng, ZONES));
        assert_int_equal(kva_frames_stats_read(model.frames, KVA_FRAMES_ALL_ZONES, &stats), KVA_OK);
        assert_int_equal(stats.free_frames, frames_model_tally(&model, FRAME_FREE));
        assert_int_equal(stats.absent_frames, frames_model_tally(&model, FRAME_ABSENT));
        assert_int_equal(stats.free_frames + stats.used_frames + stats.absent_frames, model.entry_count);
    }
    frames_model_compare(&model);
    frames_model_destroy(&model);
}

/* ----------------------------------------------------------------------------------------- zones in order */

/** Allocate single frames until none is left: each zone is used up before the next one in `order` is
 *  begun. */
static void expect_zones_in_order(unsigned node, const size_t *order, size_t count)
{
    struct kva_frames_request request = {.type = KVA_MOVABLE, .node = node};
    size_t at = 0;
    uint64_t first;

    while (frames_model_alloc(&model, &request, &first) == KVA_OK) {
        size_t zone = 0;
        (void)frames_model_entry_of(&model, first, &zone);
        while (zone != order[at] && frames_model_tally_of(&model, order[at], FRAME_FREE) == 0)
            at++;
        check_that(at < count && zone == order[at], "node %u: zone %zu was used out of order, at %zu", node,
                   zone, at);
    }
    assert_int_equal(frames_model_tally(&model, FRAME_FREE), 0);
    frames_model_compare(&model);
}

/* A request first uses its own node, whatever the distances say, and then nearer nodes before farther
 * ones; equally near ones in the order of the configuration. */
static void zones_are_used_in_order(void **state)
{
    static const struct kva_frames_zone four[] = {{100, 130, 2}, {0, 30, 0}, {40, 70, 1}, {30, 40, 0}};
    static const unsigned char distances[] = {90, 20, 10, 10, 90, 10, 30, 20, 90};
    static const size_t near[3][4] = {{1, 3, 0, 2}, {2, 0, 1, 3}, {0, 2, 1, 3}};
    static const size_t equal[3][4] = {{1, 3, 0, 2}, {2, 0, 1, 3}, {0, 1, 2, 3}};
    (void)state;

    for (unsigned with = 0; with < 2; with++) {
        for (unsigned node = 0; node < 3; node++) {
            struct kva_frames_config config = {.zones = four, .zone_count = 4, .block_order = 3};
            if (with == 1) {
                config.distances = distances;
                config.node_count = 3;
            }
            frames_model_create(&model, &config, with == 1 ? "with distances" : "without distances");
            expect_zones_in_order(node, with == 1 ? near[node] : equal[node], 4);
            frames_model_destroy(&model);
        }
    }
}

/* --------------------------------------------------------------------------------------- blocks kept free */

static struct kva_frames_stats stats_of_all(void)
{
    struct kva_frames_stats stats;

    assert_int_equal(kva_frames_stats_read(model.frames, KVA_FRAMES_ALL_ZONES, &stats), KVA_OK);
    return stats;
}

/* Small requests fill blocks in use: with one CPU, no more blocks are begun than necessary. */
static void small_requests_fill_blocks_in_use(void **state)
{
    static const struct kva_frames_zone zone = {0, 16 * 64, 0};
    struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .block_order = 6};
    (void)state;

    for (unsigned order = 0; order < 6; order++) {
        for (unsigned type = 0; type < 2; type++) {
            struct kva_frames_request request = {.order = order, .type = frames_model_type(type)};
            uint64_t first;
            frames_model_create(&model, &config, "16 blocks");
            for (uint64_t taken = 1; taken << order <= 16 * 64; taken++) {
                assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_OK);
                assert_int_equal(stats_of_all().free_blocks, 16 - ((taken << order) + 63) / 64);
            }
            frames_model_destroy(&model);
        }
    }
}

/* Freed room in blocks in use is used before another block is begun: here half of the runs of eight full
 * blocks. */
static void freed_room_is_used_again(void **state)
{
    static const struct kva_frames_zone zone = {0, 16 * 64, 0};
    struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .block_order = 6};
    static uint64_t runs[8 * 64];
    (void)state;

    for (unsigned order = 0; order < 6; order++) {
        struct kva_frames_request request = {.order = order, .type = KVA_MOVABLE};
        size_t count = (size_t)8 * 64 >> order;
        frames_model_create(&model, &config, "16 blocks, 8 of them full");
        assert_int_equal(frames_model_alloc_many(&model, &request, count, runs), KVA_OK);
        assert_int_equal(stats_of_all().free_blocks, 8);
        for (unsigned round = 0; round < 3; round++) {
            for (size_t i = round % 2; i < count; i += 2)
                assert_int_equal(frames_model_free(&model, runs[i]), KVA_OK);
            for (size_t i = round % 2; i < count; i += 2)
                assert_int_equal(frames_model_alloc(&model, &request, &runs[i]), KVA_OK);
            assert_int_equal(stats_of_all().free_blocks, 8);
        }
        frames_model_destroy(&model);
    }
}

/* Movable and unmovable runs have blocks of their own, as long as there are unused ones. */
static void types_keep_to_blocks_of_their_own(void **state)
{
    static const struct kva_frames_zone zone = {0, 64 * 64, 0};
    struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .block_order = 6};
    struct test_rng rng = test_rng_of(8103);
    static uint64_t runs[2000];
    size_t count = 0;
    (void)state;

    frames_model_create(&model, &config, "64 blocks");
    for (unsigned i = 0; i < 6000; i++) {
        struct kva_frames_request request = {.type = frames_model_type((unsigned)test_below(&rng, 2))};
        if (count < 1500 && !test_one_in(&rng, 3)) {
            assert_int_equal(frames_model_alloc(&model, &request, &runs[count++]), KVA_OK);
        } else if (count > 0) {
            size_t at = (size_t)test_below(&rng, count);
            assert_int_equal(frames_model_free(&model, runs[at]), KVA_OK);
            runs[at] = runs[--count];
        }
        assert_true(stats_of_all().free_blocks > 0);
    }
    struct kva_frames_stats stats = stats_of_all();
    assert_int_equal(stats.changed_blocks, 0);
    assert_int_equal(stats.strayed_runs, 0);
    assert_true(stats.movable_blocks > 0 && stats.unmovable_blocks > 0);
    frames_model_compare(&model);
    frames_model_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_can_be_allocated),
        cmocka_unit_test(the_last_frame_of_a_block_is_found),
        cmocka_unit_test(a_frame_anywhere_in_a_full_block_is_found),
        cmocka_unit_test(windows_close_to_the_ends_of_the_zone),
        cmocka_unit_test(runs_at_the_end_of_a_block),
        cmocka_unit_test(no_run_crosses_a_zone),
        cmocka_unit_test(a_hole_in_the_middle),
        cmocka_unit_test(a_neighbour_is_never_touched),
        cmocka_unit_test(runs_that_touch_at_a_border),
        cmocka_unit_test(totals_are_conserved),
        cmocka_unit_test(zones_are_used_in_order),
        cmocka_unit_test(small_requests_fill_blocks_in_use),
        cmocka_unit_test(freed_room_is_used_again),
        cmocka_unit_test(types_keep_to_blocks_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
