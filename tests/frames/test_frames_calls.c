/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The status table of kva/frames.h: every row of every Returns block that a caller can provoke on a set, with
 * the field that the misuse hook receives. A failed call changes nothing, not even its outputs.
 * test_frames_config.c has the rows of configurations.
 *
 * Each row is one call on the same small set, in blocks of 16 frames:
 *
 *      zone 0, node 0                                  zone 1, node 2
 *      0x100   0x104   0x110   0x128   0x130   0x134   0x140     0x1000   0x1040
 *      | A, 4  | free  | B, 24 | free  | hole  | free  |         | free   |
 */
#include "../common/frames_model.h"

#include <string.h>

#define A UINT64_C(0x100)
#define FREE UINT64_C(0x104)
#define B UINT64_C(0x110)
#define AFTER_B UINT64_C(0x128)
#define HOLE UINT64_C(0x130)
#define AFTER_HOLE UINT64_C(0x134)
#define END UINT64_C(0x140)
#define OTHER UINT64_C(0x1000)
#define OTHER_END UINT64_C(0x1040)
#define TOP UINT64_MAX
#define UNTOUCHED UINT64_C(0x5ca1ab1e0ddba11)

static struct frames_model model;

/* Outputs of the calls, UNTOUCHED before each call. */
static struct outputs {
    uint64_t first;
    uint64_t obstacle;
    size_t done;
    struct kva_frames_found found;
    struct kva_frames_stats stats;
    struct kva_frames_orders orders;
} out;

static unsigned lines; /* written by dump and picture */

static void count_line(void *context, const char *text, size_t length)
{
    (void)context;
    (void)text;
    (void)length;
    lines++;
}

static void set_up(void)
{
    static const struct kva_frames_zone zones[] = {{A, END, 0}, {OTHER, OTHER_END, 2}};
    static const struct kva_frames_range hole = {HOLE, 4};
    struct kva_frames_config config = {
        .zones = zones, .zone_count = 2, .holes = &hole, .hole_count = 1, .block_order = 4};

    frames_model_create(&model, &config, "status table");
    assert_int_equal(frames_model_reserve(&model, A, 4, KVA_MOVABLE), KVA_OK);
    assert_int_equal(frames_model_reserve(&model, B, 24, KVA_UNMOVABLE), KVA_OK);
}

/* -------------------------------------------------------------------------------------------------- calls */

#define CALL(name, expression)                                                                               \
    static enum kva_status name(void)                                                                        \
    {                                                                                                        \
        return expression;                                                                                   \
    }

/** Two calls, of kva_frames_alloc and of kva_frames_alloc_many, with a good request in which `spoil`
 *  breaks something. */
#define ALLOC(name, spoil)                                                                                   \
    static enum kva_status name(void)                                                                        \
    {                                                                                                        \
        struct kva_frames_request r = {.type = KVA_MOVABLE};                                                 \
        spoil;                                                                                               \
        return kva_frames_alloc(model.frames, &r, &out.first);                                               \
    }                                                                                                        \
    static enum kva_status name##_many(void)                                                                 \
    {                                                                                                        \
        struct kva_frames_request r = {.type = KVA_MOVABLE};                                                 \
        uint64_t firsts[3];                                                                                  \
        spoil;                                                                                               \
        return kva_frames_alloc_many(model.frames, &r, 3, firsts);                                           \
    }

ALLOC(order_64, r.order = 64)
ALLOC(order_most, r.order = UINT32_MAX)
ALLOC(order_and_count, (r.order = 1, r.count = 2))
ALLOC(type_2, r.type = frames_model_type(2))
ALLOC(type_most, r.type = frames_model_type(0x7fffffff))
ALLOC(flags_4, r.flags = 4)
ALLOC(flags_most, r.flags = UINT32_MAX)
ALLOC(node_3, r.node = 3)
ALLOC(node_64, r.node = KVA_FRAMES_NODES)
ALLOC(node_most, r.node = UINT32_MAX)
ALLOC(align_3, r.align = 3)
ALLOC(align_two_bits, r.align = UINT64_C(1) << 63 | 1)
ALLOC(align_most, r.align = TOP)
ALLOC(window_reversed, (r.min = FREE + 1, r.max = FREE))
ALLOC(window_reversed_most, (r.min = TOP, r.max = 1))
ALLOC(window_reversed_to_0, (r.min = 1, r.max = 0))
ALLOC(window_below, (r.min = 0, r.max = A - 1))
ALLOC(window_between, (r.min = END, r.max = OTHER - 1))
ALLOC(window_above, (r.min = OTHER_END, r.max = TOP))
ALLOC(order_63, r.order = 63)
ALLOC(order_62, r.order = 62)
ALLOC(count_half, r.count = UINT64_C(1) << 63)
ALLOC(count_most, r.count = TOP)
ALLOC(count_zone_and_one, r.count = OTHER_END - OTHER + 1)
ALLOC(align_half, r.align = UINT64_C(1) << 63)
ALLOC(window_of_used, (r.min = B, r.max = B + 23))
ALLOC(window_of_hole, (r.min = HOLE, r.max = HOLE + 3))
ALLOC(window_too_short, (r.count = 5, r.min = FREE, r.max = FREE + 3))
ALLOC(window_of_other_node, (r.flags = KVA_FRAMES_THIS_NODE, r.min = OTHER, r.max = OTHER_END))
ALLOC(window_misses_align, (r.align = 8, r.min = FREE + 5, r.max = FREE + 11))

static enum kva_status first_null(void)
{
    struct kva_frames_request r = {0};
    return kva_frames_alloc(model.frames, &r, NULL);
}

static enum kva_status firsts_null(void)
{
    struct kva_frames_request r = {0};
    return kva_frames_alloc_many(model.frames, &r, 1, NULL);
}

static enum kva_status no_runs(void)
{
    struct kva_frames_request r = {0};
    return kva_frames_alloc_many(model.frames, &r, 0, NULL);
}

/** One run more than there are free frames. */
static enum kva_status one_run_too_many(void)
{
    static uint64_t firsts[256];
    struct kva_frames_request r = {0};
    return kva_frames_alloc_many(model.frames, &r, (size_t)frames_model_tally(&model, FRAME_FREE) + 1,
                                 firsts);
}

static enum kva_status groups_too_many(void)
{
    static uint64_t firsts[8];
    struct kva_frames_request r = {.order = 4};
    return kva_frames_alloc_many(model.frames, &r, 5, firsts);
}

CALL(request_null, kva_frames_alloc(model.frames, NULL, &out.first))
CALL(request_null_many, kva_frames_alloc_many(model.frames, NULL, 1, &out.first))

static enum kva_status reserve(uint64_t first, uint64_t count)
{
    return kva_frames_reserve(model.frames, first, count, KVA_MOVABLE, &out.obstacle);
}

static enum kva_status offline(uint64_t first, uint64_t count)
{
    return kva_frames_offline(model.frames, first, count, &out.obstacle);
}

static enum kva_status online(uint64_t first, uint64_t count)
{
    return kva_frames_online(model.frames, first, count, &out.obstacle);
}

static enum kva_status reserve_as(unsigned type)
{
    return kva_frames_reserve(model.frames, FREE, 1, frames_model_type(type), &out.obstacle);
}

CALL(reserve_type_2, reserve_as(2))
CALL(reserve_type_most, reserve_as(UINT32_MAX))

#define RANGE_CALLS(call)                                                                                    \
    CALL(call##_count_0, call(FREE, 0))                                                                      \
    CALL(call##_wraps, call(FREE, TOP))                                                                      \
    CALL(call##_wraps_just, call(FREE, TOP - FREE + 1))                                                      \
    CALL(call##_to_the_top, call(FREE, TOP - FREE))                                                          \
    CALL(call##_the_last, call(TOP - 1, 1))                                                                  \
    CALL(call##_no_frame, call(TOP, 1))                                                                      \
    CALL(call##_below, call(A - 1, 1))                                                                       \
    CALL(call##_from_below, call(A - 1, 2))                                                                  \
    CALL(call##_above, call(END, 1))                                                                         \
    CALL(call##_beyond, call(END - 1, 2))                                                                    \
    CALL(call##_two_zones, call(END - 1, OTHER - END + 2))

RANGE_CALLS(reserve)
RANGE_CALLS(offline)
RANGE_CALLS(online)
CALL(reserve_into_hole, reserve(HOLE - 1, 2))
CALL(reserve_over_hole, reserve(AFTER_B, END - AFTER_B))
CALL(reserve_hole, reserve(HOLE, 4))
CALL(offline_into_hole, offline(HOLE - 1, 2))
CALL(offline_hole, offline(HOLE, 4))
CALL(offline_from_hole, offline(HOLE + 3, 2))
CALL(reserve_used, reserve(FREE, 16))
CALL(offline_used, offline(FREE, 16))
CALL(online_free, online(HOLE, 5))
CALL(online_from_free, online(HOLE - 1, 5))
CALL(reserve_null_obstacle, kva_frames_reserve(model.frames, A, 1, KVA_MOVABLE, NULL))
CALL(offline_null_obstacle, kva_frames_offline(model.frames, A, 1, NULL))
CALL(online_null_obstacle, kva_frames_online(model.frames, A, 1, NULL))

CALL(free_below, kva_frames_free(model.frames, A - 1))
CALL(free_0, kva_frames_free(model.frames, 0))
CALL(free_between, kva_frames_free(model.frames, END))
CALL(free_above, kva_frames_free(model.frames, OTHER_END))
CALL(free_top, kva_frames_free(model.frames, TOP))
CALL(free_hole, kva_frames_free(model.frames, HOLE))
CALL(free_interior, kva_frames_free(model.frames, A + 1))
CALL(free_interior_of_next_block, kva_frames_free(model.frames, B + 16))
CALL(free_interior_last, kva_frames_free(model.frames, B + 23))
CALL(free_free, kva_frames_free(model.frames, FREE))
CALL(free_after_b, kva_frames_free(model.frames, AFTER_B))

static enum kva_status free_list(uint64_t first)
{
    return kva_frames_free_many(model.frames, &first, 1, &out.done);
}

CALL(free_many_null, kva_frames_free_many(model.frames, NULL, 1, &out.done))
CALL(free_many_unknown, free_list(HOLE))
CALL(free_many_interior, free_list(A + 1))
CALL(free_many_free, free_list(FREE))
CALL(free_many_none, kva_frames_free_many(model.frames, NULL, 0, NULL))

CALL(part_count_0, kva_frames_free_range(model.frames, A, 0))
CALL(part_wraps, kva_frames_free_range(model.frames, A, TOP - A + 1))
CALL(part_to_the_top, kva_frames_free_range(model.frames, A, TOP - A))
CALL(part_below, kva_frames_free_range(model.frames, A - 1, 1))
CALL(part_above, kva_frames_free_range(model.frames, OTHER_END, 1))
CALL(part_hole, kva_frames_free_range(model.frames, HOLE, 1))
CALL(part_free, kva_frames_free_range(model.frames, FREE, 1))
CALL(part_too_long, kva_frames_free_range(model.frames, A, 5))
CALL(part_too_long_inside, kva_frames_free_range(model.frames, A + 3, 2))
CALL(part_too_long_in_next_block, kva_frames_free_range(model.frames, B + 10, 15))

CALL(split_below, kva_frames_split(model.frames, A - 1))
CALL(split_above, kva_frames_split(model.frames, OTHER_END))
CALL(split_top, kva_frames_split(model.frames, TOP))
CALL(split_hole, kva_frames_split(model.frames, HOLE))
CALL(split_interior, kva_frames_split(model.frames, A + 1))
CALL(split_interior_of_next_block, kva_frames_split(model.frames, B + 16))
CALL(split_free, kva_frames_split(model.frames, FREE))

CALL(find_below, kva_frames_find(model.frames, A - 1, &out.found))
CALL(find_between, kva_frames_find(model.frames, END, &out.found))
CALL(find_above, kva_frames_find(model.frames, OTHER_END, &out.found))
CALL(find_top, kva_frames_find(model.frames, TOP, &out.found))
CALL(find_null, kva_frames_find(model.frames, A, NULL))
CALL(stats_null, kva_frames_stats_read(model.frames, 0, NULL))
CALL(stats_zone_2, kva_frames_stats_read(model.frames, 2, &out.stats))
CALL(stats_zone_most, kva_frames_stats_read(model.frames, SIZE_MAX - 1, &out.stats))
CALL(orders_null, kva_frames_orders_read(model.frames, 0, NULL))
CALL(orders_zone_2, kva_frames_orders_read(model.frames, 2, &out.orders))
CALL(dump_null, kva_frames_dump(model.frames, NULL, NULL))
CALL(picture_null, kva_frames_picture(model.frames, 0, NULL, NULL))
CALL(picture_zone_2, kva_frames_picture(model.frames, 2, count_line, NULL))
CALL(picture_all, kva_frames_picture(model.frames, KVA_FRAMES_ALL_ZONES, count_line, NULL))
CALL(check_null_fault, kva_frames_check(model.frames, NULL))
CALL(drain, kva_frames_drain(model.frames))
CALL(fork_prepare, kva_frames_fork_prepare(model.frames))
CALL(fork_parent, kva_frames_fork_parent(model.frames))
CALL(fork_child, kva_frames_fork_child(model.frames))

/* -------------------------------------------------------------------------------------------------- table */

#define NONE UINT64_MAX

struct row {
    const char *name;
    enum kva_status (*call)(void);
    enum kva_status status;
    const char *where;
    const char *field;
    uint64_t obstacle; /* NONE: not written */
};

#define FIELD(call, status, where, field)                                                                    \
    {                                                                                                        \
#call, call, status, #where, field, NONE                                                             \
    }
#define ROW(call, status, where) FIELD(call, status, where, NULL)
#define OBSTACLE(call, status, where, frame)                                                                 \
    {                                                                                                        \
#call, call, status, #where, NULL, frame                                                             \
    }
#define BOTH(call, status, field)                                                                            \
    FIELD(call, status, kva_frames_alloc, field), FIELD(call##_many, status, kva_frames_alloc_many, field)
#define RANGE_ROWS(call)                                                                                     \
    FIELD(call##_count_0, KVA_ESIZE, kva_frames_##call, "count"),                                            \
        FIELD(call##_wraps, KVA_EWRAP, kva_frames_##call, "count"),                                          \
        FIELD(call##_wraps_just, KVA_EWRAP, kva_frames_##call, "count"),                                     \
        FIELD(call##_to_the_top, KVA_ERANGE, kva_frames_##call, "count"),                                    \
        FIELD(call##_the_last, KVA_ERANGE, kva_frames_##call, "first"),                                      \
        FIELD(call##_no_frame, KVA_EWRAP, kva_frames_##call, "count"),                                       \
        FIELD(call##_below, KVA_ERANGE, kva_frames_##call, "first"),                                         \
        FIELD(call##_from_below, KVA_ERANGE, kva_frames_##call, "first"),                                    \
        FIELD(call##_above, KVA_ERANGE, kva_frames_##call, "first"),                                         \
        FIELD(call##_beyond, KVA_ERANGE, kva_frames_##call, "count"),                                        \
        FIELD(call##_two_zones, KVA_ERANGE, kva_frames_##call, "count")

static const struct row rows[] = {
    FIELD(request_null, KVA_ENULL, kva_frames_alloc, "request"),
    FIELD(request_null_many, KVA_ENULL, kva_frames_alloc_many, "request"),
    FIELD(first_null, KVA_ENULL, kva_frames_alloc, "first"),
    FIELD(firsts_null, KVA_ENULL, kva_frames_alloc_many, "firsts"),
    BOTH(order_64, KVA_EINVAL, "order"),
    BOTH(order_most, KVA_EINVAL, "order"),
    BOTH(order_and_count, KVA_EINVAL, "order"),
    BOTH(type_2, KVA_EINVAL, "type"),
    BOTH(type_most, KVA_EINVAL, "type"),
    BOTH(flags_4, KVA_EINVAL, "flags"),
    BOTH(flags_most, KVA_EINVAL, "flags"),
    BOTH(node_3, KVA_EINVAL, "node"),
    BOTH(node_64, KVA_EINVAL, "node"),
    BOTH(node_most, KVA_EINVAL, "node"),
    BOTH(align_3, KVA_EALIGN, "align"),
    BOTH(align_two_bits, KVA_EALIGN, "align"),
    BOTH(align_most, KVA_EALIGN, "align"),
    BOTH(window_reversed, KVA_EWINDOW, "min"),
    BOTH(window_reversed_most, KVA_EWINDOW, "min"),
    BOTH(window_reversed_to_0, KVA_EWINDOW, "min"),
    BOTH(window_below, KVA_EWINDOW, "min"),
    BOTH(window_between, KVA_EWINDOW, "min"),
    BOTH(window_above, KVA_EWINDOW, "min"),
    BOTH(order_63, KVA_ENOSPC, NULL),
    BOTH(order_62, KVA_ENOSPC, NULL),
    BOTH(count_half, KVA_ENOSPC, NULL),
    BOTH(count_most, KVA_ENOSPC, NULL),
    BOTH(count_zone_and_one, KVA_ENOSPC, NULL),
    BOTH(align_half, KVA_ENOSPC, NULL),
    BOTH(window_of_used, KVA_ENOSPC, NULL),
    BOTH(window_of_hole, KVA_ENOSPC, NULL),
    BOTH(window_too_short, KVA_ENOSPC, NULL),
    BOTH(window_of_other_node, KVA_ENOSPC, NULL),
    BOTH(window_misses_align, KVA_ENOSPC, NULL),
    ROW(no_runs, KVA_OK, kva_frames_alloc_many),
    ROW(one_run_too_many, KVA_ENOSPC, kva_frames_alloc_many),
    ROW(groups_too_many, KVA_ENOSPC, kva_frames_alloc_many),

    FIELD(reserve_type_2, KVA_EINVAL, kva_frames_reserve, "type"),
    FIELD(reserve_type_most, KVA_EINVAL, kva_frames_reserve, "type"),
    RANGE_ROWS(reserve),
    FIELD(reserve_into_hole, KVA_ERANGE, kva_frames_reserve, "count"),
    FIELD(reserve_over_hole, KVA_ERANGE, kva_frames_reserve, "count"),
    FIELD(reserve_hole, KVA_ERANGE, kva_frames_reserve, "count"),
    OBSTACLE(reserve_used, KVA_EEXIST, kva_frames_reserve, B),
    ROW(reserve_null_obstacle, KVA_EEXIST, kva_frames_reserve),
    RANGE_ROWS(offline),
    FIELD(offline_into_hole, KVA_ERANGE, kva_frames_offline, "count"),
    FIELD(offline_hole, KVA_ERANGE, kva_frames_offline, "count"),
    FIELD(offline_from_hole, KVA_ERANGE, kva_frames_offline, "count"),
    OBSTACLE(offline_used, KVA_EBUSY, kva_frames_offline, B),
    ROW(offline_null_obstacle, KVA_EBUSY, kva_frames_offline),
    RANGE_ROWS(online),
    OBSTACLE(online_free, KVA_EEXIST, kva_frames_online, AFTER_HOLE),
    OBSTACLE(online_from_free, KVA_EEXIST, kva_frames_online, HOLE - 1),
    ROW(online_null_obstacle, KVA_EEXIST, kva_frames_online),

    FIELD(free_below, KVA_EUNKNOWN, kva_frames_free, "first"),
    FIELD(free_0, KVA_EUNKNOWN, kva_frames_free, "first"),
    FIELD(free_between, KVA_EUNKNOWN, kva_frames_free, "first"),
    FIELD(free_above, KVA_EUNKNOWN, kva_frames_free, "first"),
    FIELD(free_top, KVA_EUNKNOWN, kva_frames_free, "first"),
    FIELD(free_hole, KVA_EUNKNOWN, kva_frames_free, "first"),
    FIELD(free_interior, KVA_EINTERIOR, kva_frames_free, "first"),
    FIELD(free_interior_of_next_block, KVA_EINTERIOR, kva_frames_free, "first"),
    FIELD(free_interior_last, KVA_EINTERIOR, kva_frames_free, "first"),
    FIELD(free_free, KVA_EDOUBLE, kva_frames_free, "first"),
    FIELD(free_after_b, KVA_EDOUBLE, kva_frames_free, "first"),
    FIELD(free_many_null, KVA_ENULL, kva_frames_free_many, "firsts"),
    FIELD(free_many_unknown, KVA_EUNKNOWN, kva_frames_free_many, "firsts[i]"),
    FIELD(free_many_interior, KVA_EINTERIOR, kva_frames_free_many, "firsts[i]"),
    FIELD(free_many_free, KVA_EDOUBLE, kva_frames_free_many, "firsts[i]"),
    ROW(free_many_none, KVA_OK, kva_frames_free_many),

    FIELD(part_count_0, KVA_ESIZE, kva_frames_free_range, "count"),
    FIELD(part_wraps, KVA_EWRAP, kva_frames_free_range, "count"),
    FIELD(part_to_the_top, KVA_ERANGE, kva_frames_free_range, "count"),
    FIELD(part_below, KVA_EUNKNOWN, kva_frames_free_range, "first"),
    FIELD(part_above, KVA_EUNKNOWN, kva_frames_free_range, "first"),
    FIELD(part_hole, KVA_EUNKNOWN, kva_frames_free_range, "first"),
    FIELD(part_free, KVA_EDOUBLE, kva_frames_free_range, "first"),
    FIELD(part_too_long, KVA_ERANGE, kva_frames_free_range, "count"),
    FIELD(part_too_long_inside, KVA_ERANGE, kva_frames_free_range, "count"),
    FIELD(part_too_long_in_next_block, KVA_ERANGE, kva_frames_free_range, "count"),

    FIELD(split_below, KVA_EUNKNOWN, kva_frames_split, "first"),
    FIELD(split_above, KVA_EUNKNOWN, kva_frames_split, "first"),
    FIELD(split_top, KVA_EUNKNOWN, kva_frames_split, "first"),
    FIELD(split_hole, KVA_EUNKNOWN, kva_frames_split, "first"),
    FIELD(split_interior, KVA_EINTERIOR, kva_frames_split, "first"),
    FIELD(split_interior_of_next_block, KVA_EINTERIOR, kva_frames_split, "first"),
    FIELD(split_free, KVA_EDOUBLE, kva_frames_split, "first"),

    ROW(find_below, KVA_ENOENT, kva_frames_find),
    ROW(find_between, KVA_ENOENT, kva_frames_find),
    ROW(find_above, KVA_ENOENT, kva_frames_find),
    ROW(find_top, KVA_ENOENT, kva_frames_find),
    FIELD(find_null, KVA_ENULL, kva_frames_find, "found"),
    FIELD(stats_null, KVA_ENULL, kva_frames_stats_read, "stats"),
    FIELD(stats_zone_2, KVA_EINVAL, kva_frames_stats_read, "zone"),
    FIELD(stats_zone_most, KVA_EINVAL, kva_frames_stats_read, "zone"),
    FIELD(orders_null, KVA_ENULL, kva_frames_orders_read, "orders"),
    FIELD(orders_zone_2, KVA_EINVAL, kva_frames_orders_read, "zone"),
    FIELD(dump_null, KVA_ENULL, kva_frames_dump, "line"),
    FIELD(picture_null, KVA_ENULL, kva_frames_picture, "line"),
    FIELD(picture_zone_2, KVA_EINVAL, kva_frames_picture, "zone"),
    FIELD(picture_all, KVA_EINVAL, kva_frames_picture, "zone"),
    ROW(check_null_fault, KVA_OK, kva_frames_check),
    ROW(drain, KVA_OK, kva_frames_drain),
    ROW(fork_prepare, KVA_OK, kva_frames_fork_prepare),
    ROW(fork_parent, KVA_OK, kva_frames_fork_parent),
    ROW(fork_child, KVA_OK, kva_frames_fork_child),
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static bool is_misuse(enum kva_status status)
{
    return status >= KVA_ENULL && status < KVA_ECORRUPT;
}

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void clear_outputs(void)
{
    memset(&out, 0, sizeof(out));
    out.first = out.obstacle = out.found.first = out.stats.blocks = out.orders.unused[0] = UNTOUCHED;
    model.misuses = 0;
    memset(&model.fault, 0, sizeof(model.fault));
    lines = 0;
}

static void expect_hook(const char *name, enum kva_status status, const char *where, const char *field)
{
    const struct kva_fault *fault = &model.fault;

    unsigned calls = is_misuse(status) ? 1 : 0;
    check_that(model.misuses == calls, "%s: %u calls of the hook expected, %u found", name, calls,
               model.misuses);
    if (!is_misuse(status))
        return;
    check_that(fault->status == status, "%s: the hook should receive %s, not %s", name,
               kva_status_name(status), kva_status_name(fault->status));
    check_that(strcmp(fault->where, where) == 0, "%s: `where` should be %s, not %s", name, where,
               fault->where);
    check_that(is_same_text(fault->field, field), "%s: `field` should be %s, not %s", name,
               field ? field : "NULL", fault->field ? fault->field : "NULL");
    assert_string_equal(fault->what, kva_status_text(status));
}

static void expect_outputs(const struct row *row)
{
    uint64_t obstacle = row->obstacle == NONE ? UNTOUCHED : row->obstacle;

    check_that(out.first == UNTOUCHED && out.found.first == UNTOUCHED && out.stats.blocks == UNTOUCHED &&
                   out.orders.unused[0] == UNTOUCHED && lines == 0,
               "%s wrote an output", row->name);
    check_that(out.obstacle == obstacle, "%s: the obstacle should be %#" PRIx64 ", not %#" PRIx64, row->name,
               obstacle, out.obstacle);
    check_that(out.done == 0, "%s: `done` should be 0, not %zu", row->name, out.done);
}

static void every_row(void **state)
{
    (void)state;

    set_up();
    for (size_t i = 0; i < ROWS; i++) {
        clear_outputs();
        enum kva_status status = rows[i].call();
        check_that(status == rows[i].status, "%s: returned %s, not %s", rows[i].name, kva_status_name(status),
                   kva_status_name(rows[i].status));
        expect_hook(rows[i].name, rows[i].status, rows[i].where, rows[i].field);
        expect_outputs(&rows[i]);
        frames_model_doubt(&model); /* a row with a request for runs may have failed */
        frames_model_compare(&model);
    }
    frames_model_destroy(&model);
    print_message("%zu rows\n", ROWS);
}

/* Without a hook the calls return the same. */
static void no_hook_is_needed(void **state)
{
    struct kva_frames_zone zone = {0, 16, 0};
    struct kva_frames_config config = {.zones = &zone, .zone_count = 1};
    struct kva_failing_memory memory;
    struct kva_frames *frames = NULL;
    struct kva_frames_request request = {.align = 3};
    uint64_t first = UNTOUCHED;
    (void)state;

    config.memory = kva_failing_memory_init(&memory);
    assert_int_equal(kva_frames_create(&config, &frames), KVA_OK);
    assert_int_equal(kva_frames_alloc(frames, &request, &first), KVA_EALIGN);
    assert_int_equal(kva_frames_free(frames, 0), KVA_EDOUBLE);
    assert_int_equal(kva_frames_free(frames, 16), KVA_EUNKNOWN);
    assert_int_equal(first, UNTOUCHED);
    assert_int_equal(kva_frames_destroy(frames), KVA_OK);
    assert_int_equal(memory.blocks, 0);
}

/** Every function that takes a set returns KVA_ENULL for NULL. */
static void null_sets_are_refused(void **state)
{
    struct kva_frames_request request = {0};
    uint64_t first = UNTOUCHED;
    size_t done = 7;
    struct kva_frames_found found;
    struct kva_frames_stats stats;
    struct kva_frames_orders orders;
    struct kva_fault fault;
    (void)state;

    assert_int_equal(kva_frames_destroy(NULL), KVA_ENULL);
    assert_int_equal(kva_frames_alloc(NULL, &request, &first), KVA_ENULL);
    assert_int_equal(kva_frames_alloc_many(NULL, &request, 1, &first), KVA_ENULL);
    assert_int_equal(kva_frames_reserve(NULL, 0, 1, KVA_MOVABLE, &first), KVA_ENULL);
    assert_int_equal(kva_frames_free(NULL, 0), KVA_ENULL);
    assert_int_equal(kva_frames_free_many(NULL, &first, 1, &done), KVA_ENULL);
    assert_int_equal(done, 0); /* written in any case */
    assert_int_equal(kva_frames_free_range(NULL, 0, 1), KVA_ENULL);
    assert_int_equal(kva_frames_split(NULL, 0), KVA_ENULL);
    assert_int_equal(kva_frames_offline(NULL, 0, 1, &first), KVA_ENULL);
    assert_int_equal(kva_frames_online(NULL, 0, 1, &first), KVA_ENULL);
    assert_int_equal(kva_frames_drain(NULL), KVA_ENULL);
    assert_int_equal(kva_frames_find(NULL, 0, &found), KVA_ENULL);
    assert_int_equal(kva_frames_stats_read(NULL, 0, &stats), KVA_ENULL);
    assert_int_equal(kva_frames_orders_read(NULL, 0, &orders), KVA_ENULL);
    assert_int_equal(kva_frames_dump(NULL, count_line, NULL), KVA_ENULL);
    assert_int_equal(kva_frames_picture(NULL, 0, count_line, NULL), KVA_ENULL);
    assert_int_equal(kva_frames_check(NULL, &fault), KVA_ENULL);
    assert_int_equal(kva_frames_fork_prepare(NULL), KVA_ENULL);
    assert_int_equal(kva_frames_fork_parent(NULL), KVA_ENULL);
    assert_int_equal(kva_frames_fork_child(NULL), KVA_ENULL);
    assert_int_equal(kva_frames_bytes(NULL), 0);
    assert_int_equal(first, UNTOUCHED);
}

/* ------------------------------------------------------------------------------------------ lists of runs */

/* With a wrong number in a list, the runs before it are freed, and the runs after it stay as they are. */
static void free_many_stops_at_the_first_wrong_run(void **state)
{
    static const uint64_t wrong[] = {A + 1, FREE, HOLE, END, TOP, OTHER};
    static const enum kva_status statuses[] = {KVA_EINTERIOR, KVA_EDOUBLE,  KVA_EUNKNOWN,
                                               KVA_EUNKNOWN,  KVA_EUNKNOWN, KVA_EDOUBLE};
    (void)state;

    for (size_t i = 0; i < 6; i++) {
        for (size_t at = 0; at <= 5; at++) {
            uint64_t firsts[6];
            set_up();
            for (size_t k = 0; k < 6; k++) {
                firsts[k] = FREE + 4 + k;
                if (k != at)
                    assert_int_equal(frames_model_reserve(&model, firsts[k], 1, KVA_MOVABLE), KVA_OK);
            }
            firsts[at] = wrong[i];
            assert_int_equal(frames_model_free_many(&model, firsts, 6), statuses[i]);
            check_that(is_same_text(model.fault.field, "firsts[i]") && model.fault.index == at &&
                           model.fault.address == wrong[i],
                       "the hook received %s, %zu, %#" PRIx64 "; firsts[i], %zu, %#" PRIx64 " expected",
                       model.fault.field ? model.fault.field : "NULL", model.fault.index, model.fault.address,
                       at, wrong[i]);
            frames_model_compare(&model);
            frames_model_destroy(&model);
        }
    }
}

/* A number that is in the list twice is free when it is met again. */
static void free_many_refuses_a_repeated_run(void **state)
{
    uint64_t firsts[4] = {FREE, FREE + 1, FREE, FREE + 2};
    (void)state;

    set_up();
    for (uint64_t f = FREE; f < FREE + 3; f++)
        assert_int_equal(frames_model_reserve(&model, f, 1, KVA_MOVABLE), KVA_OK);
    assert_int_equal(frames_model_free_many(&model, firsts, 4), KVA_EDOUBLE);
    assert_int_equal(frames_model_free(&model, FREE + 2), KVA_OK);
    frames_model_compare(&model);
    frames_model_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),
        cmocka_unit_test(no_hook_is_needed),
        cmocka_unit_test(null_sets_are_refused),
        cmocka_unit_test(free_many_stops_at_the_first_wrong_run),
        cmocka_unit_test(free_many_refuses_a_repeated_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
