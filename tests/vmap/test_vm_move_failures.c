/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Movable frames under failure: each block of memory and each call of the page source is refused in turn,
 * once or from then on.
 *
 * Each call of the interface is played in a state in which it needs memory or pages. In round n its n-th
 * request to a source is refused, until a round has no n-th request. After each refusal the frames, contents
 * and figures are as before. Then the call is repeated without refusals, and succeeds.
 */
#include "../common/harness.h"
#include "../common/movable.h"

#include <kva/vmap.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 2, FRAMES_MOST = 2 * 8192, SOME = 24 };

enum source { MEMORY, PAGES, SOURCES };

struct refusal {
    enum source source;
    uint64_t n;
    bool from_then_on;
    enum kva_status status; /* of the page source */
};

static struct test_movable stage;
static uint64_t kept[FRAMES_MOST];
static size_t kept_count;
static unsigned char *kept_map; /* of all kept frames */
static uint64_t numbers[FRAMES_MOST];
static struct kva_vm_frames *made;
static void *memory;

static bool keep_some(uint64_t place, uint64_t block)
{
    return place % block % 16 < 3;
}

static void set_up(void)
{
    enum kva_mechanism mechanism;

    assert_true(test_mechanism(0, &mechanism));
    test_movable_begin(&stage, mechanism, BLOCKS);
    kept_count = test_movable_scatter(&stage, keep_some, kept);
    kept_map = test_movable_map(&stage, kept, kept_count);
    memory = NULL;
    made = NULL;
}

static void arm(const struct refusal *refusal)
{
    stage.test.pages.status = refusal->status;
    if (refusal->source == MEMORY)
        kva_failing_memory_fail(&stage.test.memory, refusal->n, refusal->from_then_on);
    else
        kva_failing_pages_fail(&stage.test.pages, refusal->n, refusal->from_then_on);
}

static void disarm(void)
{
    kva_failing_memory_fail(&stage.test.memory, 0, false);
    kva_failing_pages_fail(&stage.test.pages, 0, false);
}

static uint64_t refused(void)
{
    return stage.test.memory.refused + stage.test.pages.refused;
}

/* -------------------------------------------------------------------------------------------------- calls */

static enum kva_status create(void)
{
    const struct kva_vm_frames_config config = {.count = 1000, .movable = true};
    return kva_vm_frames_create(stage.vm, &config, &made);
}

static enum kva_status create_unmovable(void)
{
    const struct kva_vm_frames_config config = {.count = 1000};
    return kva_vm_frames_create(stage.vm, &config, &made);
}

/** All free frames: their bookkeeping has not been used yet. */
static enum kva_status alloc(void)
{
    return kva_vm_frames_alloc(stage.frames, (size_t)stage.count - kept_count, numbers);
}

static enum kva_status alloc_run(void)
{
    return kva_vm_frames_alloc_run(stage.frames, 13, 1, numbers);
}

static enum kva_status map(void)
{
    return kva_vm_map(stage.vm, stage.frames, &kept[5], SOME, 0, &memory);
}

static enum kva_status map_huge(void)
{
    return kva_vm_map(stage.vm, stage.frames, kept, kept_count, KVA_VM_HUGE, &memory);
}

static enum kva_status map_one_many_times(void)
{
    uint64_t same[SOME];

    for (size_t i = 0; i < SOME; i++)
        same[i] = kept[3 + i % 2];
    return kva_vm_map(stage.vm, stage.frames, same, SOME, 0, &memory);
}

static enum kva_status map_ram(void)
{
    return kva_vm_map_ram(stage.vm, stage.frames, &kept[5], SOME, &memory);
}

static enum kva_status pin(void)
{
    return kva_vm_pin(stage.vm, kept_map, kept_count * stage.page);
}

static enum kva_status give(void)
{
    uint64_t one;
    enum kva_status status = kva_vm_frames_alloc(stage.frames, 1, &one);
    enum kva_status again = status == KVA_OK ? kva_vm_frames_free(stage.frames, &one, 1) : KVA_OK;
    return status != KVA_OK ? status : again;
}

/** It never fails: a run whose move is refused stays this time. */
static enum kva_status compact(void)
{
    struct kva_frames_compacted done;
    uint64_t moved = stage.test.pages.moved_frames;
    enum kva_status status = kva_vm_frames_compact(stage.frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, &done);

    check_that(status == KVA_OK, "KVA_OK expected, %s returned", kva_status_name(status));
    assert_int_equal(done.moved_frames, stage.test.pages.moved_frames - moved);
    return status;
}

struct call {
    const char *name;
    enum kva_status (*make)(void);
    bool never_fails; /* returns KVA_OK whatever is refused */
};

static const struct call calls[] = {
    {"create", create, false},
    {"create an unmovable set", create_unmovable, false},
    {"alloc", alloc, false},
    {"alloc_run", alloc_run, false},
    {"map", map, false},
    {"map, huge", map_huge, false},
    {"map a frame many times", map_one_many_times, false},
    {"map_ram", map_ram, false},
    {"pin", pin, false},
    {"free", give, false},
    {"compact", compact, true},
};

/* ------------------------------------------------------------------------------------------------- rounds */

struct picture {
    struct kva_frames_stats frames;
    struct kva_vm_stats vm;
    uint64_t frame_sets;
};

static struct picture take_picture(void)
{
    return (struct picture){test_frames_stats(stage.frames), test_vm_stats(stage.vm),
                            stage.test.pages.frame_sets};
}

static void expect_as_it_was(const struct picture *before, const char *name)
{
    const struct picture after = take_picture();

    check_that(after.frames.used_frames == before->frames.used_frames &&
                   after.frames.free_frames == before->frames.free_frames,
               "%s: the statistics of the frame set have changed", name);
    check_that(after.vm.live_areas == before->vm.live_areas && after.vm.ram_live == before->vm.ram_live,
               "%s: the number of live areas or short-lived maps has changed", name);
    check_that(after.vm.frames_taken == before->vm.frames_taken,
               "%s: the number of allocated frames has changed", name);
    check_that(after.vm.allocations == before->vm.allocations, "%s: the number of allocations has changed",
               name);
    check_that(after.frame_sets == before->frame_sets, "%s: the number of frame sets has changed", name);
}

/** The kept frames have their contents, and the checks find no fault. */
static void expect_all_well(const char *name)
{
    test_movable_expect(&stage, kept_map, kept, kept_count);
    test_vm_expect_sound(&stage.test, name);
}

static void tear_down(const struct call *call)
{
    if (memory) {
        assert_int_equal(
            call->make == map_ram ? kva_unmap_ram(stage.vm, memory) : kva_vunmap(stage.vm, memory), KVA_OK);
    }
    if (call->make == pin)
        assert_int_equal(kva_vm_unpin(stage.vm, kept_map, kept_count * stage.page), KVA_OK);
    assert_int_equal(kva_vunmap(stage.vm, kept_map), KVA_OK);
    if (made)
        assert_int_equal(kva_vm_frames_destroy(made), KVA_OK);
    assert_int_equal(kva_vm_frames_free(stage.frames, kept, kept_count), KVA_OK);
    test_vm_forgive(&stage.test);
    test_movable_destroy(&stage);
}

/** Returns whether a request was refused. */
static bool play(const struct call *call, const struct refusal *refusal)
{
    set_up();
    const struct picture before = take_picture();
    const uint64_t before_refused = refused();

    arm(refusal);
    enum kva_status status = call->make();
    disarm();
    const bool is_refused = refused() > before_refused;
    expect_all_well(call->name);
    if (status != KVA_OK) {
        check_that(is_refused && !call->never_fails, "%s: %s without a refusal, or although it never fails",
                   call->name, kva_status_name(status));
        check_that(status == (refusal->source == PAGES ? refusal->status : KVA_ENOMEM) ||
                       status == KVA_ENOMEM,
                   "%s: the refused status expected, %s returned", call->name, kva_status_name(status));
        expect_as_it_was(&before, call->name);
        test_vm_forgive(&stage.test);
    }
    if (status != KVA_OK || call->never_fails) {
        status = call->make();
        check_that(status == KVA_OK, "%s without refusals: KVA_OK expected, %s returned", call->name,
                   kva_status_name(status));
        expect_all_well(call->name);
    }
    if (call->make == compact) /* the second compaction completes the first */
        assert_int_equal(test_frames_stats(stage.frames).free_blocks, 1);
    tear_down(call);
    return is_refused;
}

static void play_all_rounds(const struct call *call, struct refusal refusal)
{
    const uint64_t stride = test_stride();

    for (refusal.n = 1; play(call, &refusal); refusal.n += stride)
        assert_in_range(refusal.n, 1, 2000);
}

static void test_each_refusal(void **state)
{
    static const enum kva_status statuses[] = {KVA_ENOMEM, KVA_ELIMIT};

    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (unsigned kind = 0; kind < 4; kind++) {
            const struct refusal refusal = {.source = kind % 2 == 0 ? MEMORY : PAGES,
                                            .from_then_on = kind >= 2,
                                            .status = statuses[kind / 2]};
            play_all_rounds(&calls[i], refusal);
        }
    }
}

/* ------------------------------------------------------------------------------------------------- growth */

/** Beyond 2^20 frames a set needs more bookkeeping. While it is refused, no further frames are allocated, and
 *  none is lost. Some of the requested frames have bookkeeping already, unless the request is a run. All
 *  bookkeeping of frames comes from the page source. */
static void play_growth(bool movable, bool is_run, bool from_then_on)
{
    const size_t first = (size_t)1 << 20; /* frames that need no more bookkeeping */
    const size_t part = is_run ? first : first - SOME / 2;
    const struct kva_vm_frames_config config = {.count = 2 * first, .movable = movable};
    struct refusal refusal = {.source = PAGES, .n = 1, .from_then_on = from_then_on, .status = KVA_ENOMEM};
    uint64_t *all = calloc(part + SOME, sizeof *all);
    enum kva_status status = KVA_ENOMEM;

    assert_non_null(all);
    set_up();
    assert_int_equal(kva_vm_frames_create(stage.vm, &config, &made), KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(made, part, all), KVA_OK);
    for (; status != KVA_OK; refusal.n++) {
        const uint64_t before_refused = refused();
        assert_in_range(refusal.n, 1, 100);
        arm(&refusal);
        status = is_run ? kva_vm_frames_alloc_run(made, SOME, 8, &all[part])
                        : kva_vm_frames_alloc(made, SOME, &all[part]);
        disarm();
        check_that(status == KVA_OK || (status == KVA_ENOMEM && refused() > before_refused),
                   "KVA_OK, or KVA_ENOMEM after a refusal expected; %s returned", kva_status_name(status));
        assert_int_equal(test_frames_stats(made).used_frames, status == KVA_OK ? part + SOME : part);
        assert_int_equal(test_frames_stats(made).free_frames,
                         2 * first - part - (status == KVA_OK ? SOME : 0));
        expect_all_well("growth");
    }
    unsigned char *map_of_new = kva_vmap(stage.vm, made, &all[part], SOME);
    assert_non_null(map_of_new);
    assert_int_equal(test_word(map_of_new), 0);
    assert_int_equal(kva_vunmap(stage.vm, map_of_new), KVA_OK);
    assert_int_equal(kva_vm_frames_free(made, all, part + SOME), KVA_OK);
    assert_int_equal(test_frames_stats(made).used_frames, 0);
    tear_down(&calls[0]);
    free(all);
}

static void test_growth(void **state)
{
    (void)state;
    play_growth(true, false, false);
    if (test_stride() > 1)
        return;
    play_growth(true, true, true);
    play_growth(false, false, true);
    play_growth(false, true, false);
}

/* --------------------------------------------------------------------------------------------- compaction */

/** Moves are refused at random, for a long time. All frames keep their contents, and a compaction without
 *  refusals finishes. */
static void test_refused_moves(void **state)
{
    struct test_rng rng = test_rng_of(41);
    struct kva_frames_compacted done;
    uint64_t refused_runs = 0;

    (void)state;
    for (uint64_t round = 0, rounds = test_scaled(40); round < rounds; round++) {
        set_up();
        for (unsigned i = 0; i < 12; i++) {
            stage.test.pages.status = test_one_in(&rng, 2) ? KVA_ENOMEM : KVA_ELIMIT;
            kva_failing_pages_fail(&stage.test.pages, 1 + test_below(&rng, 30), test_one_in(&rng, 3));
            assert_int_equal(
                kva_vm_frames_compact(stage.frames, KVA_FRAMES_ALL_BLOCKS, 1 + test_below(&rng, 60), &done),
                KVA_OK);
            disarm();
            refused_runs += done.pinned_runs;
            expect_all_well("moves refused");
        }
        assert_int_equal(compact(), KVA_OK);
        assert_int_equal(test_frames_stats(stage.frames).free_blocks, 1);
        tear_down(&calls[0]);
    }
    assert_true(refused_runs > 0);
}

/** A page source that never moves frames: the set works, and no frame moves. */
static void test_source_without_moves(void **state)
{
    enum kva_mechanism mechanism;
    struct kva_frames_compacted done = {0};

    (void)state;
    assert_true(test_mechanism(0, &mechanism));
    struct kva_vm_config config = test_movable_config(&stage, mechanism, BLOCKS);
    config.pages.move = NULL;
    test_movable_create(&stage, &config);
    kept_count = test_movable_scatter(&stage, keep_some, kept);
    kept_map = test_movable_map(&stage, kept, kept_count);
    memory = NULL;
    made = NULL;
    enum kva_status status = kva_vm_frames_compact(stage.frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, &done);
    check_that(status == KVA_OK || status == KVA_ENOENT, "KVA_OK or KVA_ENOENT expected, %s returned",
               kva_status_name(status));
    assert_int_equal(done.moved_frames, 0);
    expect_all_well("no moves");
    tear_down(&calls[0]);
}

static enum kva_status (*moves)(void *context, void *reservation, const struct kva_pages_move *move);

/** A page source that cannot hold stores back. */
static enum kva_status move_unless_mapped(void *context, void *reservation, const struct kva_pages_move *move)
{
    struct kva_pages_map found;
    uint64_t cursor = 0;

    return move->next(move->context, &cursor, &found) ? KVA_ENOENT : moves(context, reservation, move);
}

/** Mapped runs count as pinned, and the others move. */
static void test_source_without_held_stores(void **state)
{
    enum kva_mechanism mechanism;
    struct kva_frames_compacted done;

    (void)state;
    assert_true(test_mechanism(0, &mechanism));
    struct kva_vm_config config = test_movable_config(&stage, mechanism, BLOCKS);
    moves = config.pages.move;
    config.pages.move = move_unless_mapped;
    test_movable_create(&stage, &config);
    kept_count = test_movable_scatter(&stage, keep_some, kept);
    kept_map = test_movable_map(&stage, kept, kept_count);
    memory = NULL;
    made = NULL;
    assert_int_equal(kva_vm_frames_compact(stage.frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, &done), KVA_OK);
    assert_true(done.moved_frames == 0 && done.pinned_runs > 0 && done.is_finished);
    expect_all_well("all is mapped");
    assert_int_equal(kva_vunmap(stage.vm, kept_map), KVA_OK);
    assert_int_equal(kva_vm_frames_compact(stage.frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, &done), KVA_OK);
    assert_true(done.moved_frames > 0 && done.freed_blocks == 1 && done.pinned_runs == 0);
    kept_map = test_movable_map(&stage, kept, kept_count);
    expect_all_well("nothing is mapped");
    tear_down(&calls[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_refusal),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_refused_moves),
        cmocka_unit_test(test_source_without_moves),
        cmocka_unit_test(test_source_without_held_stores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
