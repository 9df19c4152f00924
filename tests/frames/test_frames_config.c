/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Configurations: every row of the status table of kva_frames_create, with the field that the misuse hook
 * receives; and valid values at each limit: one frame, the last frame number, 1024 zones, 4095 CPUs, blocks
 * of 8192 frames, the most blocks.
 */
#include "../common/frames_model.h"
#include "../common/lone_thread.h"

#include <kva/threads.h>
#include <string.h>

#define TOP UINT64_MAX

static struct frames_model model;

/** Overlapping zones (KVA_EEXIST) are a misuse as well. */
static bool is_misuse(enum kva_status status)
{
    return status == KVA_EEXIST || (status >= KVA_ENULL && status < KVA_ECORRUPT);
}

static void expect_hook(const char *name, enum kva_status status, const char *field)
{
    const struct kva_fault *fault = &model.fault;

    unsigned calls = is_misuse(status) ? 1 : 0;
    check_that(model.misuses == calls, "%s: %u calls of the hook expected, %u found", name, calls,
               model.misuses);
    if (!is_misuse(status))
        return;
    check_that(fault->status == status, "%s: the hook should receive %s, not %s", name,
               kva_status_name(status), kva_status_name(fault->status));
    check_that(strcmp(fault->where, "kva_frames_create") == 0, "%s: `where` is %s", name, fault->where);
    check_that(fault->field && strcmp(fault->field, field) == 0, "%s: `field` should be %s, not %s", name,
               field, fault->field ? fault->field : "NULL");
    assert_string_equal(fault->what, kva_status_text(status));
}

/* ----------------------------------------------------------------------------------------- configurations */

static struct kva_threads no_threads; /* filled in set_up_config */

static unsigned current_cpu;

static struct set {
    struct kva_frames_zone zones[KVA_FRAMES_ZONES + 1];
    struct kva_frames_range holes[4];
    unsigned char distances[(KVA_FRAMES_NODES + 1) * (KVA_FRAMES_NODES + 1)];
    struct kva_frames_config config;
} set;

/** A valid configuration, which the rows spoil: two zones, two holes, blocks of 8 frames, threads. */
static void set_up_config(void)
{
    struct kva_memory memory = kva_failing_memory_init(&model.memory);

    memset(&set, 0, sizeof(set));
    no_threads = test_lone_thread(&current_cpu, 2);
    set.zones[0] = (struct kva_frames_zone){100, 200, 0};
    set.zones[1] = (struct kva_frames_zone){300, 400, 1};
    set.holes[0] = (struct kva_frames_range){110, 10};
    set.holes[1] = (struct kva_frames_range){350, 5};
    set.config = (struct kva_frames_config){.zones = set.zones,
                                            .zone_count = 2,
                                            .holes = set.holes,
                                            .hole_count = 2,
                                            .block_order = 3,
                                            .memory = memory,
                                            .threads = &no_threads};
}

static void note_misuse(void *context, const struct kva_fault *fault)
{
    (void)context;
    model.misuses++;
    model.fault = *fault;
}

static void set_hooks(void)
{
    set.config.on_misuse = note_misuse;
    model.misuses = 0;
    memset(&model.fault, 0, sizeof(model.fault));
}

#define SPOIL(name, expression)                                                                              \
    static void name(void)                                                                                   \
    {                                                                                                        \
        expression;                                                                                          \
    }

SPOIL(zones_null, set.config.zones = NULL)
SPOIL(take_null, set.config.memory.take = NULL)
SPOIL(give_null, set.config.memory.give = NULL)
SPOIL(holes_null, set.config.holes = NULL)
SPOIL(wait_null, no_threads.wait = NULL)
SPOIL(wake_null, no_threads.wake = NULL)
SPOIL(cpu_null, no_threads.cpu = NULL)
SPOIL(self_null, no_threads.self = NULL)
SPOIL(zone_count_0, set.config.zone_count = 0)
SPOIL(zone_count_1025, set.config.zone_count = KVA_FRAMES_ZONES + 1)
SPOIL(zone_count_most, set.config.zone_count = SIZE_MAX)
SPOIL(block_order_14, set.config.block_order = KVA_FRAMES_BLOCK_ORDER + 1)
SPOIL(block_order_most, set.config.block_order = UINT32_MAX)
SPOIL(cpus_4096, set.config.cpus = KVA_FRAMES_CPUS + 1)
SPOIL(cpus_most, set.config.cpus = UINT32_MAX)
SPOIL(zone_node_64, set.zones[1].node = KVA_FRAMES_NODES)
SPOIL(zone_node_most, set.zones[0].node = UINT32_MAX)
SPOIL(node_count_65, (set.config.distances = set.distances, set.config.node_count = KVA_FRAMES_NODES + 1))
SPOIL(node_count_0, (set.config.distances = set.distances, set.config.node_count = 0))
SPOIL(node_count_1, (set.config.distances = set.distances, set.config.node_count = 1))
SPOIL(zone_empty, set.zones[1].end = set.zones[1].start)
SPOIL(zone_reversed, set.zones[0].end = set.zones[0].start - 1)
SPOIL(zone_too_large, (set.zones[0] = (struct kva_frames_zone){0, TOP, 0}, set.config.zone_count = 1,
                       set.config.hole_count = 0, set.config.block_order = 13))
SPOIL(zone_a_block_too_large,
      (set.zones[1] = (struct kva_frames_zone){1U << 13, (UINT64_C(0xffffffff) << 3) + (1U << 13), 1},
       set.config.hole_count = 1))
SPOIL(hole_empty, set.holes[1].count = 0)
SPOIL(hole_outside, set.holes[1].first = 250)
SPOIL(hole_below, set.holes[0].first = 95)
SPOIL(hole_beyond, set.holes[1].count = 51)
SPOIL(hole_wraps, set.holes[1].count = TOP - 340)
SPOIL(hole_over_a_gap, set.holes[0].count = 200)
SPOIL(zones_same, set.zones[1] = set.zones[0])
SPOIL(zones_overlap_by_one, (set.zones[1].start = 199, set.config.hole_count = 1))
SPOIL(zones_nested, set.zones[1] = ((struct kva_frames_zone){150, 151, 1}); set.config.hole_count = 1)

static const struct config_row {
    const char *name;
    void (*spoil)(void);
    enum kva_status status;
    const char *field;
    size_t index;
} config_rows[] = {
    {"zones_null", zones_null, KVA_ENULL, "zones", 0},
    {"take_null", take_null, KVA_ENULL, "memory.take", 0},
    {"give_null", give_null, KVA_ENULL, "memory.give", 0},
    {"holes_null", holes_null, KVA_ENULL, "holes", 0},
    {"wait_null", wait_null, KVA_ENULL, "threads.wait", 0},
    {"wake_null", wake_null, KVA_ENULL, "threads.wake", 0},
    {"cpu_null", cpu_null, KVA_ENULL, "threads.cpu", 0},
    {"self_null", self_null, KVA_ENULL, "threads.self", 0},
    {"zone_count_0", zone_count_0, KVA_EINVAL, "zone_count", 0},
    {"zone_count_1025", zone_count_1025, KVA_EINVAL, "zone_count", 0},
    {"zone_count_most", zone_count_most, KVA_EINVAL, "zone_count", 0},
    {"block_order_14", block_order_14, KVA_EINVAL, "block_order", 0},
    {"block_order_most", block_order_most, KVA_EINVAL, "block_order", 0},
    {"cpus_4096", cpus_4096, KVA_EINVAL, "cpus", 0},
    {"cpus_most", cpus_most, KVA_EINVAL, "cpus", 0},
    {"zone_node_64", zone_node_64, KVA_EINVAL, "zones[i].node", 1},
    {"zone_node_most", zone_node_most, KVA_EINVAL, "zones[i].node", 0},
    {"node_count_65", node_count_65, KVA_EINVAL, "node_count", 0},
    {"node_count_0", node_count_0, KVA_EINVAL, "node_count", 0},
    {"node_count_1", node_count_1, KVA_EINVAL, "zones[i].node", 1},
    {"zone_empty", zone_empty, KVA_ERANGE, "zones[i].end", 1},
    {"zone_reversed", zone_reversed, KVA_ERANGE, "zones[i].end", 0},
    {"zone_too_large", zone_too_large, KVA_ERANGE, "zones[i].end", 0},
    {"zone_a_block_too_large", zone_a_block_too_large, KVA_ERANGE, "zones[i].end", 1},
    {"hole_empty", hole_empty, KVA_ERANGE, "holes[i]", 1},
    {"hole_outside", hole_outside, KVA_ERANGE, "holes[i]", 1},
    {"hole_below", hole_below, KVA_ERANGE, "holes[i]", 0},
    {"hole_beyond", hole_beyond, KVA_ERANGE, "holes[i]", 1},
    {"hole_wraps", hole_wraps, KVA_ERANGE, "holes[i]", 1},
    {"hole_over_a_gap", hole_over_a_gap, KVA_ERANGE, "holes[i]", 0},
    {"zones_same", zones_same, KVA_EEXIST, "zones[i].start", 1},
    {"zones_overlap_by_one", zones_overlap_by_one, KVA_EEXIST, "zones[i].start", 1},
    {"zones_nested", zones_nested, KVA_EEXIST, "zones[i].start", 1},
};

static void every_bad_configuration(void **state)
{
    (void)state;

    for (size_t i = 0; i < sizeof(config_rows) / sizeof(config_rows[0]); i++) {
        const struct config_row *row = &config_rows[i];
        struct kva_frames *frames = (struct kva_frames *)&set;
        set_up_config();
        set_hooks();
        row->spoil();
        assert_int_equal(kva_frames_bytes(&set.config), 0);
        check_that(model.misuses == 0, "%s: kva_frames_bytes must not call the hook", row->name);
        enum kva_status status = kva_frames_create(&set.config, &frames);
        check_that(status == row->status, "%s: returned %s, not %s", row->name, kva_status_name(status),
                   kva_status_name(row->status));
        expect_hook(row->name, row->status, row->field);
        check_that(!is_misuse(status) || model.fault.index == row->index, "%s: index %zu expected, %zu found",
                   row->name, row->index, model.fault.index);
        check_that(frames == (struct kva_frames *)&set, "%s wrote the output", row->name);
        check_that(model.memory.takes == 0, "%s took memory", row->name);
    }
}

static void no_configuration(void **state)
{
    struct kva_frames *frames = NULL;
    (void)state;

    assert_int_equal(kva_frames_create(NULL, &frames), KVA_ENULL);
    set_up_config();
    set_hooks();
    assert_int_equal(kva_frames_create(&set.config, NULL), KVA_ENULL);
    expect_hook("no frames", KVA_ENULL, "frames");
    assert_int_equal(model.memory.takes, 0);
}

/* Valid values at the limits of the documentation. */
SPOIL(as_it_is, (void)0)
SPOIL(one_zone, (set.config.zone_count = 1, set.config.hole_count = 1))
SPOIL(block_order_0, set.config.block_order = 0)
SPOIL(block_order_13, set.config.block_order = KVA_FRAMES_BLOCK_ORDER)
SPOIL(cpus_4095, set.config.cpus = KVA_FRAMES_CPUS)
SPOIL(threads_cpus_most, no_threads.cpus = UINT32_MAX)
SPOIL(threads_cpus_0, no_threads.cpus = 0)
SPOIL(threads_null, (set.config.threads = NULL, set.config.cpus = 0))
SPOIL(threads_null_cpus_1, (set.config.threads = NULL, set.config.cpus = 1))
SPOIL(node_63, set.zones[1].node = KVA_FRAMES_NODES - 1)
SPOIL(node_count_2, (set.config.distances = set.distances, set.config.node_count = 2))
SPOIL(node_count_64, (set.config.distances = set.distances, set.config.node_count = KVA_FRAMES_NODES))
SPOIL(zones_touch, set.zones[1].start = 200)
SPOIL(zones_reversed, (set.zones[0] = (struct kva_frames_zone){300, 400, 0},
                       set.zones[1] = (struct kva_frames_zone){100, 200, 1}))
SPOIL(hole_is_a_zone, set.holes[0] = ((struct kva_frames_range){300, 100}))
SPOIL(hole_over_two_zones, (zones_touch(), set.holes[1] = (struct kva_frames_range){150, 250}))
SPOIL(holes_overlap, set.holes[0] = ((struct kva_frames_range){348, 4}))
SPOIL(point_given, no_threads.point = NULL)

static void every_good_configuration(void **state)
{
    static void (*const spoils[])(void) = {
        as_it_is,
        one_zone,
        block_order_0,
        block_order_13,
        cpus_4095,
        threads_cpus_0,
        threads_null,
        node_63,
        node_count_2,
        node_count_64,
        zones_touch,
        zones_reversed,
        holes_overlap,
        hole_is_a_zone,
        point_given,
        hole_over_two_zones,
        threads_null_cpus_1,
        threads_cpus_most,
    };
    (void)state;

    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        set_up_config();
        spoils[i]();
        struct kva_frames_config config = set.config;
        frames_model_create(&model, &config, "a good configuration");
        frames_model_compare(&model);
        frames_model_destroy(&model);
    }
}

/* Memory is taken once; a failure is no misuse, and nothing remains allocated. */
static void memory_fails(void **state)
{
    struct kva_frames *frames = (struct kva_frames *)&set;
    (void)state;

    set_up_config();
    set_hooks();
    size_t bytes = kva_frames_bytes(&set.config);
    assert_true(bytes > 0);
    kva_failing_memory_fail(&model.memory, 1, true);
    assert_int_equal(kva_frames_create(&set.config, &frames), KVA_ENOMEM);
    assert_true(frames == (struct kva_frames *)&set);
    assert_int_equal(model.misuses, 0);
    assert_int_equal(model.memory.takes, 1);
    assert_int_equal(model.memory.blocks, 0);
    kva_failing_memory_fail(&model.memory, 0, false);
    model.memory.largest = bytes;
    assert_int_equal(kva_frames_create(&set.config, &frames), KVA_OK);
    assert_int_equal(model.memory.bytes, bytes);
    assert_int_equal(kva_frames_destroy(frames), KVA_OK);
    assert_int_equal(model.memory.blocks, 0);
}

/* ------------------------------------------------------------------------------------------------- limits */

/** Allocate and free all frames of a set, one by one and in the largest runs. */
static void use_all_of(const struct kva_frames_config *config, const char *name)
{
    struct kva_frames_request request = {.type = KVA_MOVABLE, .node = config->zones[0].node};
    uint64_t first = 0;
    size_t taken = 0;
    static uint64_t firsts[1 << 15];

    frames_model_create(&model, config, name);
    while (frames_model_alloc(&model, &request, &first) == KVA_OK)
        firsts[taken++] = first;
    assert_int_equal(frames_model_tally(&model, FRAME_FREE), 0);
    assert_int_equal(frames_model_free_many(&model, firsts, taken), KVA_OK);
    frames_model_compare(&model);
    for (size_t i = 0; i < config->zone_count; i++) {
        request.count = config->zones[i].end - config->zones[i].start;
        request.min = config->zones[i].start;
        request.max = config->zones[i].end - 1;
        if (request.max > 0)
            assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_OK);
    }
    frames_model_compare(&model);
    frames_model_destroy(&model);
}

static void zones_of_one_frame(void **state)
{
    static const uint64_t starts[] = {0, 1, 7, 8, 511, 512, UINT64_C(1) << 32, TOP - 9, TOP - 2, TOP - 1};
    (void)state;

    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        for (unsigned order = 1; order <= KVA_FRAMES_BLOCK_ORDER; order += 2) {
            struct kva_frames_zone zone = {starts[i], starts[i] + 1, 0};
            struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .block_order = order};
            use_all_of(&config, "a zone of one frame");
        }
    }
}

static void a_zone_that_ends_at_the_top(void **state)
{
    (void)state;

    for (unsigned order = 1; order <= KVA_FRAMES_BLOCK_ORDER; order++) {
        struct kva_frames_zone zone = {TOP - 700, TOP, 63};
        struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .block_order = order};
        use_all_of(&config, "a zone that ends at 2^64 - 1");
    }
}

static void blocks_of_8192(void **state)
{
    struct kva_frames_zone zone = {8192 - 70, 3 * 8192 + 70, 0};
    struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .block_order = 13};
    struct kva_frames_request request = {.order = 13, .type = KVA_MOVABLE};
    uint64_t firsts[2];
    uint64_t first;
    (void)state;

    frames_model_create(&model, &config, "blocks of 8192 frames");
    assert_int_equal(frames_model_alloc_many(&model, &request, 2, firsts), KVA_OK);
    assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_ENOSPC);
    request.order = 6;
    assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_OK);
    frames_model_compare(&model);
    assert_int_equal(frames_model_free_many(&model, firsts, 2), KVA_OK);
    request = (struct kva_frames_request){.count = 2 * 8192 + 70, .type = KVA_UNMOVABLE};
    assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_OK);
    frames_model_compare(&model);
    frames_model_destroy(&model);
}

/* 1024 zones in descending order, each smaller than a block or within two blocks, on 64 nodes. */
static void zones_1024(void **state)
{
    struct kva_frames *frames = NULL;
    struct kva_failing_memory memory;
    (void)state;

    for (unsigned order = 1; order <= 9; order += 4) {
        set_up_config();
        for (size_t i = 0; i < KVA_FRAMES_ZONES; i++) {
            uint64_t start = 4 * (KVA_FRAMES_ZONES - 1 - i);
            set.zones[i] = (struct kva_frames_zone){start, start + 3, (unsigned)(i % KVA_FRAMES_NODES)};
        }
        set.config.zone_count = KVA_FRAMES_ZONES;
        set.config.hole_count = 0;
        set.config.block_order = order;
        set.config.memory = kva_failing_memory_init(&memory);
        size_t bytes = kva_frames_bytes(&set.config);
        assert_int_equal(kva_frames_create(&set.config, &frames), KVA_OK);
        assert_int_equal(memory.bytes, bytes);
        for (size_t i = 0; i < KVA_FRAMES_ZONES; i++) {
            struct kva_frames_request request = {
                .count = 3, .node = (unsigned)(i % KVA_FRAMES_NODES), .flags = KVA_FRAMES_THIS_NODE};
            struct kva_frames_found found;
            uint64_t first;
            assert_int_equal(kva_frames_alloc(frames, &request, &first), KVA_OK);
            assert_int_equal(first, set.zones[i].start); /* the node's first free zone */
            assert_int_equal(kva_frames_find(frames, first + 2, &found), KVA_OK);
            assert_int_equal(found.zone, i);
            assert_int_equal(found.first, first);
            assert_int_equal(found.count, 3);
        }
        assert_int_equal(kva_frames_check(frames, NULL), KVA_OK);
        assert_int_equal(kva_frames_destroy(frames), KVA_OK);
        assert_int_equal(memory.blocks, 0);
    }
}

/* 4095 CPUs may hold blocks of their own; other CPUs find free frames there when no others are left. */
static void cpus_4095_share_few_blocks(void **state)
{
    (void)state;

    for (unsigned type = 0; type < 2; type++) {
        struct kva_frames_zone zone = {0, 64, 0};
        struct kva_frames_config config = {
            .zones = &zone, .zone_count = 1, .block_order = 2, .cpus = KVA_FRAMES_CPUS};
        struct kva_frames_request request = {.type = frames_model_type(type)};
        uint64_t first;
        set_up_config();
        config.threads = &no_threads;
        frames_model_create(&model, &config, "4095 CPUs");
        for (unsigned i = 0; i < 64; i++) {
            current_cpu = i * 64;
            assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_OK);
        }
        current_cpu = KVA_FRAMES_CPUS - 1;
        assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_ENOSPC);
        current_cpu = UINT32_MAX; /* any number is valid */
        assert_int_equal(frames_model_free(&model, 63), KVA_OK);
        assert_int_equal(frames_model_alloc(&model, &request, &first), KVA_OK);
        frames_model_drain(&model);
        frames_model_compare(&model);
        frames_model_destroy(&model);
        current_cpu = 0;
    }
}

/* At most 2.19 bits per frame in blocks of 512, once the set is large. */
static void bookkeeping_is_small(void **state)
{
    uint64_t frames = UINT64_C(1) << 24;
    struct kva_frames_zone zone = {0, frames, 0};
    struct kva_frames_config config = {.zones = &zone, .zone_count = 1};
    (void)state;

    set_up_config();
    config.memory = set.config.memory;
    assert_true((uint64_t)kva_frames_bytes(&config) * 800 <= 219 * frames);
    assert_true((uint64_t)kva_frames_bytes(&config) * 8 >= 2 * frames);
}

/* The most blocks of a zone: kva_frames_bytes returns their bookkeeping, or 0 where that does not fit a
 * size_t, and nothing wraps. */
static void the_largest_zone(void **state)
{
    (void)state;

    for (unsigned order = 1; order <= KVA_FRAMES_BLOCK_ORDER; order++) {
        struct kva_frames_zone zone = {0, UINT64_C(0xfffffffe) << order, 0};
        struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .block_order = order};
        set_up_config();
        config.memory = set.config.memory;
        uint64_t bytes = kva_frames_bytes(&config);
        if (SIZE_MAX > UINT32_MAX)
            assert_true(bytes >= UINT64_C(0xfffffffe) * (8 + ((UINT64_C(2) << order) + 7) / 8));
        else
            assert_int_equal(bytes, 0);
        zone.end++;
        assert_int_equal(kva_frames_bytes(&config), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bad_configuration),
        cmocka_unit_test(no_configuration),
        cmocka_unit_test(every_good_configuration),
        cmocka_unit_test(memory_fails),
        cmocka_unit_test(zones_of_one_frame),
        cmocka_unit_test(a_zone_that_ends_at_the_top),
        cmocka_unit_test(blocks_of_8192),
        cmocka_unit_test(zones_1024),
        cmocka_unit_test(cpus_4095_share_few_blocks),
        cmocka_unit_test(bookkeeping_is_small),
        cmocka_unit_test(the_largest_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
