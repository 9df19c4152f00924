/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Failing memory: each take of each operation fails in turn, once, and from then on.
 *
 * THE STAGE   The operations act on the segments below DRAIN. From DRAIN upwards single units are reserved
 *   while the source refuses everything, first in the middle of a hole, where each needs two nodes, then at
 *   an edge, where each needs one, until both are refused. Then the cache of nodes is empty, and the next
 *   operation that needs a node must take memory. Each failure is also tried with one to seven nodes at hand:
 *   enough to begin an operation, but not to complete it.
 *
 *      0      0x100  0x200  0x300  0x400  0x500  0x600  0x700      0x800   DRAIN
 *      | free | P    | Q    | free | R    | free | S    | deferred | T ... | f b b b b b f b f b free |
 *
 *   Near its end a range is ABSENT, between two free ones.
 *
 * AROUND EACH FAILURE   The status is KVA_ENOMEM, the listing and the statistics are unchanged, the check
 *   passes. The same call with memory succeeds, and the result is as if nothing had failed. At the end each
 *   segment can be freed without memory, and no memory is outstanding.
 */
#include "../common/harness.h"
#include "../common/picture.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/evict.h>
#include <kva/ranges.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

#define BYTES UINT64_C(0x100)
#define P (1 * BYTES)
#define Q (2 * BYTES)
#define HOLE (3 * BYTES)
#define R (4 * BYTES)
#define HOLE2 (5 * BYTES)
#define S (6 * BYTES)
#define DEFERRED (7 * BYTES)
#define T (8 * BYTES)
#define DRAIN (9 * BYTES)
#define FIRST UINT64_C(0x10000000)
#define LAST UINT64_C(0x1fffffff)
#define ABSENT (LAST - FIRST + 1 - 8 * BYTES)
#define SPARES 7 /* no operation here needs more nodes: three congruent parts take six */

struct stage {
    struct kva_space space;
    struct kva_failing_memory memory;
};

static int some_object;
static void *const owner = &some_object; /* of every stage, so that pictures of two stages compare equal */

static uint64_t at(uint64_t offset)
{
    return FIRST + offset;
}

static enum kva_status reserve(struct stage *stage, uint64_t offset, uint64_t size)
{
    return kva_reserve(&stage->space, at(offset), size, owner, NULL);
}

/** Use up all nodes at hand, then give `spare` back: free SPARES single units one by one; each merges with
 * the free unit below it, which returns one node. */
static void drain(struct stage *stage, uint64_t spare)
{
    uint64_t offset = DRAIN + 1;

    for (uint64_t i = 0; i < SPARES; i++)
        assert_int_equal(reserve(stage, offset++, 1), KVA_OK);
    offset++;
    kva_failing_memory_fail(&stage->memory, 1, true);
    while (reserve(stage, offset, 1) == KVA_OK)
        offset += 2;
    while (reserve(stage, offset - 1, 1) == KVA_OK)
        offset += 1;
    assert_true(stage->memory.refused > 0);
    for (uint64_t i = 0; i < spare; i++)
        assert_int_equal(kva_free(&stage->space, at(DRAIN + 1 + i)), KVA_OK);
    kva_failing_memory_fail(&stage->memory, 0, false);
}

static struct kva_config config_of(struct stage *stage, const struct kva_engine *engine)
{
    struct kva_config config = {0};
    config.first = FIRST;
    config.last = LAST;
    config.engine = engine;
    config.memory = kva_failing_memory_init(&stage->memory);
    return config;
}

/** The stage, with `spare` nodes at hand. */
static void set_up_with(struct stage *stage, const struct kva_engine *engine, uint64_t spare)
{
    static const uint64_t busy[] = {P, Q, R, S, DEFERRED, T};

    memset(stage, 0, sizeof(*stage));
    struct kva_config config = config_of(stage, engine);
    assert_int_equal(kva_space_init(&stage->space, &config), KVA_OK);
    for (size_t i = 0; i < sizeof(busy) / sizeof(busy[0]); i++)
        assert_int_equal(reserve(stage, busy[i], BYTES), KVA_OK);
    assert_int_equal(kva_free_deferred(&stage->space, at(DEFERRED)), KVA_OK);
    assert_int_equal(kva_space_remove(&stage->space, at(ABSENT), BYTES), KVA_OK);
    /* Both ends are busy, so that growth there makes new segments. */
    assert_int_equal(reserve(stage, 0, 1), KVA_OK);
    assert_int_equal(reserve(stage, LAST - FIRST, 1), KVA_OK);
    drain(stage, spare);
}

static void set_up(struct stage *stage, const struct kva_engine *engine)
{
    set_up_with(stage, engine, 0);
}

static void expect_memory_bytes(const struct stage *stage)
{
    struct kva_stats stats;
    assert_int_equal(kva_stats_read(&stage->space, &stats), KVA_OK);
    assert_int_equal(stats.memory_bytes, stage->memory.bytes);
}

/** Free all segments with a source that refuses, and end the space: no take, and no leak. */
static void tear_down(struct stage *stage)
{
    struct kva_segment segment;
    uint64_t takes = stage->memory.takes;

    expect_memory_bytes(stage);
    kva_failing_memory_fail(&stage->memory, 1, true);
    for (enum kva_status s = kva_first(&stage->space, &segment); s == KVA_OK;
         s = kva_next(&stage->space, &segment)) {
        if (segment.state == KVA_BUSY)
            assert_int_equal(kva_free(&stage->space, segment.start), KVA_OK);
    }
    assert_int_equal(kva_space_fini(&stage->space), KVA_OK);
    assert_int_equal(stage->memory.takes, takes);
    assert_int_equal(stage->memory.blocks, 0);
    assert_int_equal(stage->memory.bytes, 0);
}

/* --------------------------------------------------------------------------------------------- operations */

typedef enum kva_status operation(struct stage *stage);

/** Allocate `size` bytes inside [min, max], offsets from FIRST. */
static enum kva_status alloc(struct stage *stage, uint64_t size, uint64_t min, uint64_t max,
                             enum kva_policy policy)
{
    struct kva_request request = kva_request_of(size);
    uint64_t start;
    request.min = at(min);
    request.max = at(max);
    request.policy = policy;
    return kva_alloc(&stage->space, &request, &start);
}

static enum kva_status alloc_full(struct stage *stage)
{
    return alloc(stage, BYTES, HOLE, HOLE + BYTES - 1, KVA_LOWEST);
}

static enum kva_status alloc_left_edge(struct stage *stage)
{
    return alloc(stage, 1, HOLE, HOLE + BYTES - 1, KVA_LOWEST);
}

static enum kva_status alloc_right_edge(struct stage *stage)
{
    return alloc(stage, 1, HOLE, HOLE + BYTES - 1, KVA_HIGHEST);
}

static enum kva_status alloc_middle(struct stage *stage)
{
    return alloc(stage, 1, HOLE + 1, HOLE + BYTES - 2, KVA_LOWEST);
}

/** One unit inside [HOLE + 1, HOLE + BYTES - 2], whose ends stay free: by another policy, or with a
 * filter. */
static enum kva_status choose(struct stage *stage, struct kva_request request)
{
    uint64_t start;
    request.size = 1;
    request.min = at(HOLE + 1);
    request.max = at(HOLE + BYTES - 2);
    return kva_alloc(&stage->space, &request, &start);
}

static enum kva_status alloc_nearest(struct stage *stage)
{
    return choose(stage, (struct kva_request){.policy = KVA_NEAREST, .target = at(HOLE + 16)});
}

/* The hole found below the target is not the best one: the engine must search again above it. */
static enum kva_status alloc_nearest_above(struct stage *stage)
{
    uint64_t start;
    struct kva_request request = {.size = 1, .policy = KVA_NEAREST, .target = at(HOLE2 - 2)};
    request.min = at(HOLE + 1);
    request.max = at(HOLE2 + BYTES - 2); /* R lies between: 257 below the target, 2 above it */
    return kva_alloc(&stage->space, &request, &start);
}

static enum kva_status alloc_nearest_below(struct stage *stage)
{
    uint64_t start;
    struct kva_request request = {.size = 2, .policy = KVA_NEAREST, .target = at(R + 2)};
    request.min = at(HOLE + 1);
    request.max = at(HOLE2 + BYTES - 2);
    request.align = 8; /* 10 below; no start above is as near */
    return kva_alloc(&stage->space, &request, &start);
}

static enum kva_status alloc_best(struct stage *stage)
{
    return choose(stage, (struct kva_request){.policy = KVA_BEST});
}

static enum kva_status alloc_random(struct stage *stage)
{
    return choose(stage, (struct kva_request){.policy = KVA_RANDOM, .random = UINT64_C(1) << 63});
}

static bool keep_gaps(void *context, struct kva_hole *hole)
{
    (void)context;
    hole->start += 16;
    hole->last -= 16;
    return hole->start < hole->last;
}

static enum kva_status alloc_filtered(struct stage *stage)
{
    return choose(stage, (struct kva_request){.filter = keep_gaps});
}

static enum kva_status alloc_without_blocking(struct stage *stage)
{
    return choose(stage, (struct kva_request){.flags = KVA_NO_BLOCK});
}

/** A search never takes a node. */
static enum kva_status search(struct stage *stage)
{
    struct kva_request request = {.size = 1, .policy = KVA_BEST, .filter = keep_gaps};
    uint64_t start;
    return kva_search(&stage->space, &request, &start);
}

/* Nothing is free here before the flush; the flush itself must not need memory. */
static enum kva_status alloc_after_flush(struct stage *stage)
{
    return alloc(stage, 1, DEFERRED + 1, DEFERRED + BYTES - 2, KVA_LOWEST);
}

static enum kva_status reserve_full(struct stage *stage)
{
    return reserve(stage, HOLE, BYTES);
}

static enum kva_status reserve_left_edge(struct stage *stage)
{
    return reserve(stage, HOLE, 1);
}

static enum kva_status reserve_right_edge(struct stage *stage)
{
    return reserve(stage, HOLE + BYTES - 1, 1);
}

static enum kva_status reserve_middle(struct stage *stage)
{
    return reserve(stage, HOLE + 1, 1);
}

static enum kva_status free_whole(struct stage *stage)
{
    return kva_free(&stage->space, at(R));
}

static enum kva_status free_deferred(struct stage *stage)
{
    return kva_free_deferred(&stage->space, at(R));
}

static enum kva_status flush(struct stage *stage)
{
    return kva_flush(&stage->space);
}

static enum kva_status free_range_whole(struct stage *stage)
{
    return kva_free_range(&stage->space, at(R), BYTES);
}

static enum kva_status free_range_head(struct stage *stage)
{
    return kva_free_range(&stage->space, at(Q), 1);
}

static enum kva_status free_range_tail(struct stage *stage)
{
    return kva_free_range(&stage->space, at(P) + 1, BYTES - 1);
}

static enum kva_status free_range_middle(struct stage *stage)
{
    return kva_free_range(&stage->space, at(P) + 1, 1);
}

static enum kva_status resize_shrink_before_busy(struct stage *stage)
{
    return kva_resize(&stage->space, at(P), 1);
}

static enum kva_status resize_shrink_before_deferred(struct stage *stage)
{
    return kva_resize(&stage->space, at(S), 1);
}

static enum kva_status resize_shrink_before_free(struct stage *stage)
{
    return kva_resize(&stage->space, at(Q), 1);
}

static enum kva_status resize_grow_in_part(struct stage *stage)
{
    return kva_resize(&stage->space, at(Q), BYTES + 1);
}

static enum kva_status resize_grow_in_full(struct stage *stage)
{
    return kva_resize(&stage->space, at(Q), 2 * BYTES);
}

static enum kva_status grow_below(struct stage *stage)
{
    return kva_space_grow(&stage->space, 0, LAST);
}

static enum kva_status grow_above(struct stage *stage)
{
    return kva_space_grow(&stage->space, FIRST, UINT64_MAX);
}

static enum kva_status grow_both(struct stage *stage)
{
    return kva_space_grow(&stage->space, 0, UINT64_MAX);
}

/* The base lies in the middle of HOLE, the third part in the middle of HOLE2. */
static enum kva_status congruent(struct stage *stage)
{
    static const struct kva_part parts[] = {{0, 8}, {16, 8}, {HOLE2 - HOLE, 8}};
    struct kva_request request = kva_request_of(1);
    uint64_t base;
    request.min = at(HOLE + 8);
    return kva_alloc_congruent(&stage->space, &request, parts, 3, &base);
}

static enum kva_status clear_whole(struct stage *stage)
{
    return kva_clear(&stage->space, at(P), 3 * BYTES, NULL);
}

static enum kva_status clear_tail_and_head(struct stage *stage)
{
    return kva_clear(&stage->space, at(P) + 1, BYTES, NULL);
}

static enum kva_status clear_tail(struct stage *stage)
{
    return kva_clear(&stage->space, at(P) + 1, BYTES - 1, NULL);
}

static enum kva_status clear_around_deferred(struct stage *stage)
{
    return kva_clear(&stage->space, at(S) + 1, 2 * BYTES, NULL);
}

static enum kva_status clear_middle(struct stage *stage)
{
    return kva_clear(&stage->space, at(P) + 1, 1, NULL);
}

static enum kva_status over_middle(struct stage *stage)
{
    return kva_reserve_over(&stage->space, at(P) + 1, 1, owner, NULL);
}

static enum kva_status over_hole(struct stage *stage)
{
    return kva_reserve_over(&stage->space, at(HOLE) + 1, 1, owner, NULL);
}

static enum kva_status over_several(struct stage *stage)
{
    return kva_reserve_over(&stage->space, at(P) + 1, 3 * BYTES, owner, NULL);
}

static enum kva_status split(struct stage *stage)
{
    return kva_split(&stage->space, at(P) + 1);
}

static enum kva_status split_before_hole(struct stage *stage)
{
    return kva_split(&stage->space, at(Q) + 1);
}

static enum kva_status join(struct stage *stage)
{
    return kva_join(&stage->space, at(P));
}

static enum kva_status set_owner(struct stage *stage)
{
    return kva_set_owner(&stage->space, at(P), NULL);
}

/* P fits a hole here only after it has left. */
static enum kva_status move_over_itself(struct stage *stage)
{
    return kva_move(&stage->space, at(P), at(1), NULL);
}

static enum kva_status move_away(struct stage *stage)
{
    return kva_move(&stage->space, at(P), LAST - 2 * BYTES, NULL);
}

static enum kva_status free_sized(struct stage *stage)
{
    return kva_free_sized(&stage->space, at(R), BYTES);
}

static enum kva_status add_above(struct stage *stage)
{
    return kva_space_add(&stage->space, LAST + 1, BYTES);
}

static enum kva_status add_above_apart(struct stage *stage)
{
    return kva_space_add(&stage->space, LAST + 1 + BYTES, BYTES);
}

static enum kva_status add_below_apart(struct stage *stage)
{
    return kva_space_add(&stage->space, FIRST - 3 * BYTES, BYTES);
}

static enum kva_status add_inside_all(struct stage *stage)
{
    return kva_space_add(&stage->space, at(ABSENT), BYTES);
}

static enum kva_status add_inside_edge(struct stage *stage)
{
    return kva_space_add(&stage->space, at(ABSENT), 1);
}

static enum kva_status add_inside_middle(struct stage *stage)
{
    return kva_space_add(&stage->space, at(ABSENT) + 1, 1);
}

static enum kva_status remove_full(struct stage *stage)
{
    return kva_space_remove(&stage->space, at(HOLE), BYTES);
}

static enum kva_status remove_edge(struct stage *stage)
{
    return kva_space_remove(&stage->space, at(HOLE), 1);
}

static enum kva_status remove_middle(struct stage *stage)
{
    return kva_space_remove(&stage->space, at(HOLE) + 1, 1);
}

static enum kva_status remove_beside_absent(struct stage *stage)
{
    return kva_space_remove(&stage->space, at(ABSENT) - 1, 1);
}

static enum kva_status remove_after_flush(struct stage *stage)
{
    return kva_space_remove(&stage->space, at(DEFERRED) + 1, 1);
}

/** Both ends, after the busy segments there were freed; the upper one into the absent range. */
static enum kva_status shrink(struct stage *stage)
{
    assert_int_equal(kva_free(&stage->space, FIRST), KVA_OK);
    assert_int_equal(kva_free(&stage->space, LAST), KVA_OK);
    return kva_space_shrink(&stage->space, FIRST + 1, at(ABSENT));
}

static enum kva_status reset(struct stage *stage)
{
    return kva_space_reset(&stage->space);
}

static enum kva_status walk(struct stage *stage)
{
    struct kva_space *space = &stage->space;
    struct kva_segment segment;

    assert_int_equal(kva_last(space, &segment), KVA_OK);
    assert_int_equal(kva_prev(space, &segment), KVA_OK);
    assert_int_equal(kva_first_hole(space, 1, &segment), KVA_OK);
    assert_int_equal(kva_next_hole(space, 1, &segment), KVA_OK);
    assert_int_equal(kva_last_hole(space, 1, &segment), KVA_OK);
    assert_int_equal(kva_prev_hole(space, 1, &segment), KVA_OK);
    assert_int_equal(kva_first_in(space, at(P), at(S), &segment), KVA_OK);
    return kva_next_in(space, at(S), &segment);
}

/** Feed P, Q and R until `size` bytes fit above P; then finish, if `finish`. */
static enum kva_status evict(struct stage *stage, uint64_t size, kva_hole_filter *filter, bool finish)
{
    static const uint64_t fed[] = {P, Q, R};
    struct kva_request request = {.size = size, .min = at(P) + 1, .max = LAST, .filter = filter};
    struct kva_candidate candidates[3];
    struct kva_eviction eviction;
    enum kva_status status = KVA_ENOSPC;
    uint64_t start;

    assert_int_equal(kva_evict_begin(&stage->space, &request, &eviction), KVA_OK);
    for (size_t i = 0; i < 3 && status == KVA_ENOSPC; i++)
        status = kva_evict_add(&eviction, &candidates[i], at(fed[i]));
    return status == KVA_OK && finish ? kva_evict_finish(&eviction, &start) : status;
}

static enum kva_status evict_one(struct stage *stage)
{
    return evict(stage, 1, NULL, true);
}

static enum kva_status evict_several(struct stage *stage)
{
    return evict(stage, 2 * BYTES + 1, NULL, true);
}

static enum kva_status evict_filtered(struct stage *stage)
{
    return evict(stage, 1, keep_gaps, true);
}

static enum kva_status evict_search(struct stage *stage)
{
    return evict(stage, 2 * BYTES + 1, NULL, false);
}

static enum kva_status preload(struct stage *stage)
{
    return kva_preload(&stage->space, 1000);
}

enum need {
    NEVER, /* the operation needs no memory: it succeeds without any */
    MAY,   /* its documentation permits a take */
    MUST   /* it increases the number of segments: without memory it fails */
};

static const struct {
    const char *name;
    operation *operation;
    enum need need;
} operations[] = {
    {"alloc, full fit", alloc_full, NEVER},
    {"alloc, left edge", alloc_left_edge, MUST},
    {"alloc, right edge", alloc_right_edge, MUST},
    {"alloc, middle", alloc_middle, MUST},
    {"alloc, nearest", alloc_nearest, MUST},
    {"alloc, nearest above", alloc_nearest_above, MUST},
    {"alloc, nearest below", alloc_nearest_below, MUST},
    {"alloc, best", alloc_best, MUST},
    {"alloc, random", alloc_random, MUST},
    {"alloc, filtered", alloc_filtered, MUST},
    {"alloc without blocking", alloc_without_blocking, MUST},
    {"search", search, NEVER},
    {"alloc after a flush", alloc_after_flush, MUST},
    {"reserve, full fit", reserve_full, NEVER},
    {"reserve, left edge", reserve_left_edge, MUST},
    {"reserve, right edge", reserve_right_edge, MUST},
    {"reserve, middle", reserve_middle, MUST},
    {"free", free_whole, NEVER},
    {"free_deferred", free_deferred, NEVER},
    {"flush", flush, NEVER},
    {"free_range, whole", free_range_whole, NEVER},
    {"free_range, head", free_range_head, MUST},
    {"free_range, tail", free_range_tail, MUST},
    {"free_range, middle", free_range_middle, MUST},
    {"resize, shrink before busy", resize_shrink_before_busy, MUST},
    {"resize, shrink before deferred", resize_shrink_before_deferred, MUST},
    {"resize, shrink before free", resize_shrink_before_free, NEVER},
    {"resize, grow in part", resize_grow_in_part, NEVER},
    {"resize, grow in full", resize_grow_in_full, NEVER},
    {"grow below", grow_below, MUST},
    {"grow above", grow_above, MUST},
    {"grow both", grow_both, MUST},
    {"congruent", congruent, MUST},
    {"clear, whole", clear_whole, NEVER},
    {"clear, tail and head", clear_tail_and_head, MUST},
    {"clear, tail", clear_tail, MUST},
    {"clear, around deferred", clear_around_deferred, MUST},
    {"clear, middle", clear_middle, MUST},
    {"reserve over, middle", over_middle, MUST},
    {"reserve over, in a hole", over_hole, MUST},
    {"reserve over, several", over_several, MUST},
    {"split", split, MUST},
    {"split before a hole", split_before_hole, MUST},
    {"join", join, MAY},
    {"set owner", set_owner, NEVER},
    {"move over itself", move_over_itself, MAY},
    {"move away", move_away, MUST},
    {"free sized", free_sized, NEVER},
    {"add above", add_above, MUST},
    {"add above, apart", add_above_apart, MUST},
    {"add below, apart", add_below_apart, MUST},
    {"add inside, all", add_inside_all, MAY},
    {"add inside, edge", add_inside_edge, MAY},
    {"add inside, middle", add_inside_middle, MUST},
    {"remove, full", remove_full, MAY},
    {"remove, edge", remove_edge, MUST},
    {"remove, middle", remove_middle, MUST},
    {"remove beside an absent range", remove_beside_absent, MAY},
    {"remove after a flush", remove_after_flush, MUST},
    {"shrink", shrink, NEVER},
    {"reset", reset, NEVER},
    {"walks", walk, NEVER},
    {"evict one", evict_one, MUST},
    {"evict several", evict_several, MAY},
    {"evict with a filter", evict_filtered, MUST},
    {"search for candidates to evict", evict_search, NEVER},
    {"preload", preload, MUST},
};

#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* -------------------------------------------------------------------------------------------- one failure */

/** KVA_ENOMEM after a flush that could have led to success leaves the deferred segments free. Then that is
 * the state to compare with. */
static void expect_unchanged(struct stage *stage, struct test_picture *before, const char *name)
{
    struct kva_stats stats;

    assert_int_equal(kva_stats_read(&stage->space, &stats), KVA_OK);
    if (stats.flushes != before->stats.flushes) {
        check_that(strstr(name, "after a flush") != NULL, "%s has flushed, which its name does not say",
                   name);
        assert_int_equal(stats.deferred_segments, 0);
        assert_int_equal(stats.busy_segments, before->stats.busy_segments);
        return;
    }
    test_expect_same(before, &stage->space, name);
}

/** Run operation `i` with `spare` nodes at hand and a source that fails at the n-th take. Returns whether
 * that take was reached. */
static bool fail_at(const struct kva_engine *engine, size_t i, uint64_t spare, uint64_t n, bool from_then_on,
                    const struct test_picture *reference)
{
    static struct stage stage;
    struct test_picture before = {0};
    const char *name = operations[i].name;

    set_up_with(&stage, engine, spare);
    test_picture_take(&before, &stage.space);
    uint64_t refused = stage.memory.refused;
    kva_failing_memory_fail(&stage.memory, n, from_then_on);
    enum kva_status status = operations[i].operation(&stage);
    bool reached = stage.memory.refused != refused;
    kva_failing_memory_fail(&stage.memory, 0, false);

    check_that(status == KVA_OK || (status == KVA_ENOMEM && reached),
               "%s: KVA_OK or KVA_ENOMEM expected, %s returned at take %" PRIu64, name,
               kva_status_name(status), n);
    check_that(!(reached && n == 1 && from_then_on) || status == KVA_ENOMEM,
               "%s without memory: KVA_ENOMEM expected, %s returned", name, kva_status_name(status));
    assert_int_equal(kva_space_check(&stage.space, NULL), KVA_OK);
    if (status == KVA_ENOMEM) {
        expect_unchanged(&stage, &before, name);
        check_that(operations[i].operation(&stage) == KVA_OK, "%s: the second attempt failed", name);
    }
    test_expect_same(reference, &stage.space, name);
    test_picture_drop(&before);
    tear_down(&stage);
    return reached;
}

/** The outcome of the operation when nothing fails; returns how many takes it made. */
static uint64_t refer(const struct kva_engine *engine, size_t i, uint64_t spare,
                      struct test_picture *reference)
{
    static struct stage stage;

    set_up_with(&stage, engine, spare);
    uint64_t takes = stage.memory.takes;
    check_that(operations[i].operation(&stage) == KVA_OK, "%s failed", operations[i].name);
    takes = stage.memory.takes - takes;
    test_picture_take(reference, &stage.space);
    tear_down(&stage);
    return takes;
}

/** bt: one more busy range is one more entry, so any allocation may need memory; most entries find room in
 * the node where they go, so no operation must need it. */
static enum need need_of(const struct kva_engine *engine, size_t i)
{
    bool allocates = operations[i].operation == alloc_full || operations[i].operation == reserve_full;

    if (test_engine_is_bt(engine) && (allocates || operations[i].need == MUST))
        return MAY;
    return operations[i].need;
}

/** One operation, with `spare` nodes at hand: each of its takes fails in turn. Returns the number of
 * takes. */
static uint64_t every_take(const struct kva_engine *engine, size_t i, uint64_t spare)
{
    struct test_picture reference = {0};
    uint64_t takes = refer(engine, i, spare, &reference);
    uint64_t failures = 0;

    if (need_of(engine, i) == NEVER)
        check_that(takes == 0, "%s took memory", operations[i].name);
    if (need_of(engine, i) == MUST && spare == 0)
        check_that(takes > 0, "%s took no memory from an empty cache", operations[i].name);
    for (uint64_t n = 1; n <= takes; n++) {
        failures += fail_at(engine, i, spare, n, false, &reference);
        failures += fail_at(engine, i, spare, n, true, &reference);
    }
    (void)fail_at(engine, i, spare, 1, true, &reference);
    test_picture_drop(&reference);
    return failures;
}

/* With a few nodes at hand an operation that needs more must not stop halfway. */
static void every_take_of_every_operation(void **state)
{
    const struct kva_engine *engine;
    uint64_t failures = 0;
    (void)state;

    for_each_engine (engine, e) {
        for (size_t i = 0; i < OPERATIONS; i++) {
            for (uint64_t spare = 0; spare <= SPARES; spare++)
                failures += every_take(engine, i, spare);
        }
    }
    print_message("%" PRIu64 " failures injected\n", failures);
    assert_true(failures > 0);
}

/* --------------------------------------------------------------------------------------------------- init */

static void every_take_of_init(void **state)
{
    enum { COUNT = 300 }; /* more than the first slab holds */
    static struct kva_range busy[COUNT];
    const struct kva_engine *engine;
    (void)state;

    for (size_t i = 0; i < COUNT; i++)
        busy[i] = (struct kva_range){at(3 * ((i * 7) % COUNT) + 1), 1, NULL};
    for_each_engine (engine, e) {
        static struct stage stage;
        struct kva_config config = config_of(&stage, engine);

        for (int with_busy = 0; with_busy < 2; with_busy++) {
            config.busy = with_busy ? busy : NULL;
            config.busy_count = with_busy ? COUNT : 0;
            uint64_t failures = 0;
            for (uint64_t n = 1;; n++) {
                config.memory = kva_failing_memory_init(&stage.memory);
                kva_failing_memory_fail(&stage.memory, n, true);
                enum kva_status status = kva_space_init(&stage.space, &config);
                if (stage.memory.refused == 0) {
                    assert_int_equal(status, KVA_OK);
                    break;
                }
                assert_int_equal(status, KVA_ENOMEM);
                assert_int_equal(stage.memory.blocks, 0);
                assert_int_equal(kva_flush(&stage.space), KVA_ENULL);
                failures++;
            }
            assert_true(failures > 0);
            tear_down(&stage);
        }
    }
}

/* A single failure may be recovered by a smaller take; otherwise everything is given back. */
static void single_failures_of_init(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct stage stage;
        struct kva_config config = config_of(&stage, engine);

        for (uint64_t n = 1;; n++) {
            config.memory = kva_failing_memory_init(&stage.memory);
            kva_failing_memory_fail(&stage.memory, n, false);
            enum kva_status status = kva_space_init(&stage.space, &config);
            bool reached = stage.memory.refused != 0;
            kva_failing_memory_fail(&stage.memory, 0, false);
            assert_true(status == KVA_OK || (reached && status == KVA_ENOMEM));
            if (status == KVA_OK)
                tear_down(&stage);
            assert_int_equal(stage.memory.blocks, 0);
            if (!reached)
                break;
        }
    }
}

/* ------------------------------------------------------------------------------------------------ preload */

/** One operation that needs as much memory as any: number `i` of those after a preload. */
static enum kva_status needy(struct stage *stage, uint64_t i)
{
    uint64_t far = UINT64_C(0x1000000) + 16 * i; /* in the free space after the units that drained the
                                                  * cache */
    uint64_t start;
    struct kva_request request = kva_request_of(4);

    switch (i % 4) {
    case 0:
        return reserve(stage, far, 5);
    case 1: /* the middle of what the previous operation reserved */
        return kva_free_range(&stage->space, at(far - 16) + 1, 2);
    case 2:
        request.min = at(far) + 1;
        return kva_alloc(&stage->space, &request, &start);
    default: /* its head, with free space after it, or the rest of the segment of i % 4 == 0 */
        return kva_resize(&stage->space, at(far - 48) + 3, 1);
    }
}

static void after_preload_no_operation_takes_memory(void **state)
{
    static const size_t counts[] = {1, 2, 3, 4, 7, 31, 32, 33, 63, 64, 100, 1000, 3000};
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
            static struct stage stage;

            set_up(&stage, engine);
            assert_int_equal(kva_preload(&stage.space, counts[k]), KVA_OK);
            uint64_t takes = stage.memory.takes;
            kva_failing_memory_fail(&stage.memory, 1, true);
            for (uint64_t i = 0; i < counts[k]; i++) {
                check_that(needy(&stage, i) == KVA_OK,
                           "KVA_OK expected for operation %" PRIu64 " after a preload of %zu", i, counts[k]);
                if (i % 64 == 63) { /* with frees in between */
                    struct kva_segment segment;
                    assert_int_equal(kva_find(&stage.space, at(R), &segment), KVA_OK);
                    if (segment.state == KVA_BUSY)
                        assert_int_equal(kva_free_deferred(&stage.space, at(R)), KVA_OK);
                    assert_int_equal(kva_flush(&stage.space), KVA_OK);
                }
            }
            assert_int_equal(stage.memory.takes, takes);
            tear_down(&stage);
        }
    }
}

static void preload_covers_growth_and_congruent_parts(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct stage stage;

        set_up(&stage, engine);
        assert_int_equal(kva_preload(&stage.space, 1 + 3), KVA_OK);
        kva_failing_memory_fail(&stage.memory, 1, true);
        assert_int_equal(grow_both(&stage), KVA_OK);
        assert_int_equal(congruent(&stage), KVA_OK);
        tear_down(&stage);
    }
}

/* Each call in one of its harder forms; kva_reserve_over counts as two operations. */
static void preload_covers_ranges(void **state)
{
    static const struct {
        operation *operation;
        size_t count;
    } calls[] = {{clear_around_deferred, 1},
                 {clear_middle, 1},
                 {over_middle, 2},
                 {over_several, 2},
                 {over_hole, 2},
                 {split, 1},
                 {join, 1},
                 {move_away, 1},
                 {split_before_hole, 1},
                 {move_over_itself, 1},
                 {evict_one, 1},
                 {evict_several, 1},
                 {evict_filtered, 1}};
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
            static struct stage stage;

            set_up(&stage, engine);
            assert_int_equal(kva_preload(&stage.space, calls[i].count), KVA_OK);
            kva_failing_memory_fail(&stage.memory, 1, true);
            check_that(calls[i].operation(&stage) == KVA_OK, "KVA_OK expected for call %zu on %s", i,
                       test_engine_name(e));
            tear_down(&stage);
        }
    }
}

/* A failed preload gives back at once what it took, so a wrong number does not exhaust the memory. */
static void a_failed_preload_gives_back_its_memory(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct stage stage;

        set_up(&stage, engine);
        size_t bytes = stage.memory.bytes;
        kva_failing_memory_fail(&stage.memory, 2, true);
        assert_int_equal(kva_preload(&stage.space, 1000000),
                         engine == &kva_engine_scan ? KVA_OK : KVA_ENOMEM);
        if (engine != &kva_engine_scan) /* scan needs one block, however large */
            assert_int_equal(stage.memory.bytes, bytes);
        expect_memory_bytes(&stage);
        kva_failing_memory_fail(&stage.memory, 0, false);
        assert_int_equal(reserve_middle(&stage), KVA_OK);
        tear_down(&stage);
    }
}

/* Any number of operations that is too large is refused. */
static void absurd_preloads_are_refused(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (unsigned shift = 0; shift < 4; shift++) {
            static struct stage stage;
            struct test_picture before = {0};

            set_up(&stage, engine);
            test_picture_take(&before, &stage.space);
            stage.memory.largest = 1 << 20;
            kva_failing_memory_fail(&stage.memory, 50, true);
            assert_int_equal(kva_preload(&stage.space, SIZE_MAX >> shift), KVA_ENOMEM);
            assert_int_equal(kva_preload(&stage.space, (SIZE_MAX >> shift) - 1), KVA_ENOMEM);
            test_expect_same(&before, &stage.space, "an absurd preload");
            test_picture_drop(&before);
            tear_down(&stage);
        }
    }
}

/* ----------------------------------------------------------------------------------------- sizes of takes */

/* A source without large blocks suffices; it only gets more takes. */
static void small_blocks_suffice(void **state)
{
    static struct stage stage;
    struct kva_config config = config_of(&stage, &kva_engine_rb);
    (void)state;

    stage.memory.largest = 512;
    assert_int_equal(kva_space_init(&stage.space, &config), KVA_OK);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(reserve(&stage, 2 * i, 1), KVA_OK);
    assert_true(stage.memory.refused > 0);
    tear_down(&stage);
}

/* Slabs grow with the space, so that takes are few even with many nodes; no slab exceeds 2 MiB. */
static void a_space_takes_memory_rarely(void **state)
{
    static struct stage stage;
    struct kva_config config = config_of(&stage, &kva_engine_rb);
    (void)state;

    assert_int_equal(kva_space_init(&stage.space, &config), KVA_OK);
    assert_int_equal(kva_preload(&stage.space, 200000), KVA_OK);
    /* 400,000 nodes are 25 MiB; slabs of 4 KiB would be 6250 takes. */
    assert_true(stage.memory.bytes >= 200000 * 64);
    assert_true(stage.memory.takes <= 128);
    for (struct kva_failing_block *block = NULL;
         (block = kva_failing_memory_next(&stage.memory, block)) != NULL;) {
        size_t bytes;
        (void)kva_failing_block_bytes(block, &bytes);
        assert_true(bytes <= 2 << 20);
    }
    tear_down(&stage);
}

/* Returned nodes are reused: churn does not grow the memory. */
static void churn_does_not_grow_memory(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct stage stage;

        set_up(&stage, engine);
        assert_int_equal(kva_preload(&stage.space, 4), KVA_OK);
        uint64_t takes = stage.memory.takes;
        for (unsigned i = 0; i < 10000; i++) {
            assert_int_equal(reserve_middle(&stage), KVA_OK);
            assert_int_equal(kva_free(&stage.space, at(HOLE) + 1), KVA_OK);
        }
        assert_int_equal(stage.memory.takes, takes);
        tear_down(&stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_take_of_every_operation),
        cmocka_unit_test(every_take_of_init),
        cmocka_unit_test(single_failures_of_init),
        cmocka_unit_test(after_preload_no_operation_takes_memory),
        cmocka_unit_test(preload_covers_growth_and_congruent_parts),
        cmocka_unit_test(preload_covers_ranges),
        cmocka_unit_test(a_failed_preload_gives_back_its_memory),
        cmocka_unit_test(absurd_preloads_are_refused),
        cmocka_unit_test(small_blocks_suffice),
        cmocka_unit_test(a_space_takes_memory_rarely),
        cmocka_unit_test(churn_does_not_grow_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
