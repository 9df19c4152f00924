/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Calls on a set of frames that drop the lock on their way, and what another thread does at each such point:
 * to frames between the slices of a compaction, and to a set that is about to end.
 */
#include "../common/harness.h"
#include "../common/movable.h"
#include "../common/stepper.h"

#include <kva/vmap.h>
#include <stdlib.h>

enum { BLOCKS = 3, KEPT = 20, KEPT_ELSEWHERE = 9, GIVEN = 3, IDLE = 6 };

struct stage {
    struct test_movable movable;
    struct stepper worker;
    uint64_t *numbers; /* of all frames, in the order of their places */
    void *area;
    enum kva_status status; /* of the worker's call */
};

static struct stage stage;

static void set_up(void)
{
    struct kva_vm_config config = test_movable_config(&stage.movable, KVA_MECHANISM_BEST, BLOCKS);

    stepper_init(&stage.worker);
    config.threads = &stage.worker.threads;
    test_movable_create(&stage.movable, &config);
    stage.movable.test.pages.allows_unnamed_maps = true;
    const size_t count = (size_t)stage.movable.count;
    stage.numbers = calloc(count, sizeof *stage.numbers);
    stage.area = kva_vmalloc(stage.movable.vm, 1);
    assert_true(stage.numbers != NULL && stage.area != NULL);
    assert_int_equal(kva_vm_frames_alloc(stage.movable.frames, count, stage.numbers), KVA_OK);
}

static void tear_down(void)
{
    assert_int_equal(kva_vfree(stage.movable.vm, stage.area), KVA_OK);
    free(stage.numbers);
    test_movable_destroy(&stage.movable);
}

static void give(const uint64_t *numbers, size_t count)
{
    assert_int_equal(kva_vm_frames_free(stage.movable.frames, numbers, count), KVA_OK);
}

/** Whether nobody has the instance's lock: if the worker had it, this thread's call would let the worker
 *  run. */
static bool is_lock_free(void)
{
    const unsigned points = stage.worker.points;

    assert_int_equal(kva_vm_pin(stage.movable.vm, stage.area, 1), KVA_OK); /* does nothing else */
    return stage.worker.points == points && !stage.worker.is_done;
}

/* ------------------------------------------------------------------------------------- between two slices */

static void compact(void *context)
{
    (void)context;
    stage.status = kva_vm_frames_compact(stage.movable.frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, NULL);
}

/** Keep some frames of each block, most of the first one: the others are emptied into it. None has a
 *  neighbour. */
static void scatter(void)
{
    const size_t block = (size_t)stage.movable.block;

    for (size_t i = 0; i < BLOCKS; i++) {
        const size_t kept = i == 0 ? KEPT : KEPT_ELSEWHERE;
        const uint64_t *numbers = &stage.numbers[i * block];
        for (size_t k = 0; k < kept; k++)
            give(&numbers[2 * k + 1], 1);
        give(&numbers[2 * kept], block - 2 * kept);
    }
}

/** Frames of the first block are given back while an ended map of each is kept. */
static void end_maps_and_give(void)
{
    struct kva_vm *vm = stage.movable.vm;

    for (size_t i = 0; i < GIVEN; i++) {
        void *ram = kva_map_ram(vm, stage.movable.frames, &stage.numbers[2 * i], 1);
        assert_non_null(ram);
        test_put_word(ram, 77);
        assert_int_equal(kva_unmap_ram(vm, ram), KVA_OK);
        give(&stage.numbers[2 * i], 1);
    }
}

/** Another frame may lie at the old place by now. A map of the number, taken again, shows it where it is. */
static void expect_short_maps(void)
{
    const struct test_movable *movable = &stage.movable;
    const uint64_t left = test_frames_stats(movable->frames).free_frames;
    uint64_t *numbers = calloc((size_t)left, sizeof *numbers);

    assert_non_null(numbers);
    assert_int_equal(kva_vm_frames_alloc(movable->frames, (size_t)left, numbers), KVA_OK);
    for (size_t i = 0; i < GIVEN; i++) {
        unsigned char *ram = kva_map_ram(movable->vm, movable->frames, &stage.numbers[2 * i], 1);
        unsigned char *map = kva_vmap(movable->vm, movable->frames, &stage.numbers[2 * i], 1);
        assert_true(ram != NULL && map != NULL);
        assert_int_equal(test_word(ram), 0);
        test_put_word(map, i + 1);
        assert_int_equal(test_word(ram), i + 1);
        assert_int_equal(kva_unmap_ram(movable->vm, ram), KVA_OK);
        assert_int_equal(kva_vunmap(movable->vm, map), KVA_OK);
    }
    free(numbers);
}

/** False if the call was over before its n-th point. */
static bool give_at(unsigned n)
{
    set_up();
    scatter();
    stepper_start(&stage.worker, compact, NULL, n);
    bool is_under_way = stepper_step(&stage.worker);
    end_maps_and_give();
    stepper_finish(&stage.worker);
    assert_int_equal(stage.status, KVA_OK);
    test_vm_expect_sound(&stage.movable.test, "given back meanwhile");
    assert_int_equal(test_frames_stats(stage.movable.frames).used_frames,
                     KEPT + (BLOCKS - 1) * KEPT_ELSEWHERE - GIVEN);
    expect_short_maps();
    tear_down();
    return is_under_way;
}

static void test_ended_maps_of_what_is_given_back(void **state)
{
    unsigned n = 1;

    (void)state;
    while (give_at(n))
        n += (unsigned)test_stride();
    print_message("%u points\n", n - 1);
}

/* ----------------------------------------------------------------------------- a set that is about to end */

static void destroy(void *context)
{
    (void)context;
    stage.status = kva_vm_frames_destroy(stage.movable.frames);
}

/** Maps of both kinds, that the purge unmaps; no two are neighbours. */
static void leave_idle_maps(void)
{
    struct kva_vm *vm = stage.movable.vm;
    void *maps[2 * IDLE];

    for (size_t i = 0; i < 2 * IDLE; i++) {
        maps[i] = i % 2 == 0 ? kva_vmap(vm, stage.movable.frames, &stage.numbers[i], 1)
                             : kva_map_ram(vm, stage.movable.frames, &stage.numbers[i], 1);
        assert_non_null(maps[i]);
    }
    for (size_t i = 0; i < 2 * IDLE; i++)
        assert_int_equal(i % 2 == 0 ? kva_vunmap(vm, maps[i]) : kva_unmap_ram(vm, maps[i]), KVA_OK);
}

/** The set lives on, with its frames. */
static void expect_alive(void *map)
{
    test_put_word(map, 5);
    assert_int_equal(test_movable_place(&stage.movable, stage.numbers[0]), 0);
    assert_int_equal(test_word(map), 5);
    assert_int_equal(test_frames_stats(stage.movable.frames).used_frames, stage.movable.count);
    test_vm_expect_sound(&stage.movable.test, "a set that did not end");
    assert_int_equal(kva_vunmap(stage.movable.vm, map), KVA_OK);
}

/** Map a frame at the n-th point, if the set is still there and nobody has the lock. *purged: counts the
 *  times when the purge was under way by then. False if the call was over before. */
static bool map_at(unsigned n, unsigned *purged)
{
    void *map = NULL;

    set_up();
    leave_idle_maps();
    const uint64_t closes = stage.movable.test.pages.closes;
    stepper_start(&stage.worker, destroy, NULL, n);
    bool is_under_way = stepper_step(&stage.worker);
    if (is_under_way && is_lock_free() && stage.movable.test.pages.frame_sets == 1) {
        *purged += stage.movable.test.pages.closes > closes;
        map = kva_vmap(stage.movable.vm, stage.movable.frames, stage.numbers, 1);
        assert_non_null(map);
    }
    stepper_finish(&stage.worker);
    assert_int_equal(stage.status, map ? KVA_EBUSY : KVA_OK);
    if (map)
        expect_alive(map);
    test_vm_forgive(&stage.movable.test);
    if (!map) { /* for what ends it */
        const struct kva_vm_frames_config config = {.count = 1, .movable = true};
        assert_int_equal(kva_vm_frames_create(stage.movable.vm, &config, &stage.movable.frames), KVA_OK);
    }
    tear_down();
    return is_under_way;
}

static void test_a_set_that_is_mapped_while_it_ends(void **state)
{
    unsigned purged = 0;
    unsigned n = 1;

    (void)state;
    while (map_at(n, &purged))
        n++;
    assert_in_range(purged, 1, n);
    print_message("%u points, %u during the purge\n", n - 1, purged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ended_maps_of_what_is_given_back),
        cmocka_unit_test(test_a_set_that_is_mapped_while_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
