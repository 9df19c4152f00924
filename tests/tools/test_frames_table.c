/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The table of owners of `kva test frames`: it must detect a wrong allocator, and the message must name the
 * frame and both workers.
 */
#include "common/harness.h"

#include <string.h>

#include "tools/test/frames_table.h"

/** Shape number 1 has holes and several zones. */
static void make(struct traffic_table *table, size_t index)
{
    struct traffic_shape shape;

    traffic_shape_make(&shape, index, FRAMES_LEAST);
    assert_true(traffic_table_init(table, &shape));
}

static void expect_fault(struct traffic_table *table, uint64_t first, uint64_t count, uint32_t from,
                         uint32_t to, const char *wanted)
{
    char fault[FRAMES_FAULT] = "";

    assert_false(traffic_table_change(table, first, count, from, to, fault));
    assert_string_equal(fault, wanted);
}

static void a_frame_that_is_handed_out_twice_is_named(void **state)
{
    struct traffic_table table;
    char fault[FRAMES_FAULT];

    (void)state;
    make(&table, 0);
    assert_true(traffic_table_change(&table, 0x123, 4, OWNER_NONE, 4, fault));
    expect_fault(&table, 0x120, 8, OWNER_NONE, 2,
                 "frame 0x123 was handed out twice: to worker 1, and to worker 3, which still has it");
    expect_fault(&table, 0x124, 1, 2, OWNER_NONE,
                 "frame 0x124 belonged to worker 1; the table now has worker 3");
    assert_true(traffic_table_change(&table, 0x123, 4, 4, OWNER_NONE, fault));
    assert_true(traffic_table_change(&table, 0x123, 4, OWNER_NONE, 2, fault));
    traffic_table_fini(&table);
}

static void frames_outside_the_set_are_reported(void **state)
{
    struct traffic_table table;
    char fault[FRAMES_FAULT];

    (void)state;
    make(&table, 1);
    const struct kva_frames_range *hole = &table.shape.holes[0];
    assert_true(traffic_table_change(&table, hole->first - 1, 1, OWNER_NONE, OWNER_OFFLINE, fault));
    expect_fault(&table, hole->first - 1, 2, OWNER_NONE, 1,
                 "frame 0x100001004 was handed out to worker 0, but is offline");
    expect_fault(&table, hole->first, 1, OWNER_NONE, 1,
                 "frame 0x100001005 was handed out to worker 0, but is in a hole");
    expect_fault(&table, 0, 1, OWNER_NONE, 1, "1 frames from 0x0 on do not lie in one zone");
    expect_fault(&table, table.shape.zones[1].end - 1, 2, OWNER_NONE, 1,
                 "2 frames from 0x501a on do not lie in one zone");
    assert_int_equal(traffic_table_owner(&table, 0), OWNER_HOLE);
    traffic_table_fini(&table);
}

/** The sums over all zones of a shape. */
static struct traffic_count count_of(const struct traffic_table *table)
{
    struct traffic_count count = {0};

    for (size_t zone = 0; zone < table->shape.zone_count; zone++)
        traffic_table_count(table, zone, &count);
    return count;
}

static void counts_follow_the_words(void **state)
{
    struct traffic_table table;
    char fault[FRAMES_FAULT];

    (void)state;
    make(&table, 0);
    struct traffic_count count = count_of(&table);
    assert_int_equal(count.free, FRAMES_LEAST);
    assert_int_equal(count.longest, FRAMES_LEAST);
    assert_int_equal(count.groups[9], FRAMES_LEAST / 512);
    /* leaves groups of 4, 1, 2, 8, 16 ... 256 frames */
    assert_true(traffic_table_change(&table, 0x205, 1, OWNER_NONE, 7, fault));
    assert_true(traffic_table_change(&table, 0x8000, 1, OWNER_NONE, OWNER_OFFLINE, fault));
    count = count_of(&table);
    assert_int_equal(count.free, FRAMES_LEAST - 2);
    assert_int_equal(count.used, 1);
    assert_int_equal(count.absent, 1);
    assert_int_equal(count.longest, FRAMES_LEAST - 0x8001);
    for (unsigned order = 0; order < 9; order++)
        assert_int_equal(count.groups[order], 2);
    assert_int_equal(count.groups[9], FRAMES_LEAST / 512 - 2);
    traffic_table_fini(&table);
}

/** A set accepts each shape, and has as many frames as the table. */
static void a_set_accepts_each_shape(void **state)
{
    struct traffic_table table;
    struct kva_frames_stats stats;
    struct kva_frames *frames;

    (void)state;
    for (size_t i = 0; i < FRAMES_SHAPES; i++) {
        make(&table, i);
        struct kva_frames_config config = {.zones = table.shape.zones,
                                           .zone_count = table.shape.zone_count,
                                           .holes = table.shape.holes,
                                           .hole_count = table.shape.hole_count,
                                           .block_order = table.shape.block_order,
                                           .memory = kva_memory_host()};
        struct traffic_count count = count_of(&table);
        assert_int_equal(count.free, table.present);
        assert_int_equal(kva_frames_create(&config, &frames), KVA_OK);
        assert_int_equal(kva_frames_stats_read(frames, KVA_FRAMES_ALL_ZONES, &stats), KVA_OK);
        assert_int_equal(stats.free_frames, table.present);
        assert_int_equal(stats.absent_frames, count.absent);
        assert_int_equal(kva_frames_destroy(frames), KVA_OK);
        traffic_table_fini(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_that_is_handed_out_twice_is_named),
        cmocka_unit_test(frames_outside_the_set_are_reported),
        cmocka_unit_test(counts_follow_the_words),
        cmocka_unit_test(a_set_accepts_each_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
