/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A fork at every point of every call of another thread on a movable set (test_vm_forks.c does so for the
 * other calls). The set is lost to the child, which destroys it and the instance. Whatever the child frees,
 * the parent's frames keep their contents.
 */
#define _GNU_SOURCE
#include "../common/harness.h"
#include "../common/movable.h"
#include "../common/stepper.h"
#include "../threads/stamps.h"

#include <kva/vmap.h>
#include <stdio.h>

enum { BLOCKS = 2, KEPT_MOST = 2 * 8192, MAPPED = 3 };

struct stage {
    struct test_movable movable;
    struct stepper worker;
    uint64_t kept[KEPT_MOST];
    size_t count;
    unsigned char *map; /* of the first MAPPED kept frames */
    uint64_t taken[4];  /* by the worker's call */
};

static struct stage stage;

/** Three frames in each block: few, so that no call has many points. */
static bool keep_three(uint64_t place, uint64_t block)
{
    return place % block % 5 == 0 && place % block < 15;
}

static void set_up(void)
{
    struct kva_vm_config config = test_movable_config(&stage.movable, KVA_MECHANISM_BEST, BLOCKS);

    stepper_init(&stage.worker);
    config.threads = &stage.worker.threads;
    test_movable_create(&stage.movable, &config);
    stage.count = test_movable_scatter(&stage.movable, keep_three, stage.kept);
    assert_int_equal(stage.count, 6);
    stage.map = test_movable_map(&stage.movable, stage.kept, MAPPED);
}

/* ---------------------------------------------------------------------------------------------- the child */

static void end_all_maps(struct kva_vm *vm)
{
    struct kva_vm_area area = {0};

    while (kva_vm_next(vm, &area) == KVA_OK) {
        if (area.state != KVA_VM_LIVE)
            continue;
        child_that(test_under_valgrind() || test_is_closed((void *)area.start)); /* Valgrind complains */
        child_that((area.kind == KVA_VM_VMAP ? kva_vunmap(vm, (void *)area.start)
                                             : kva_unmap_ram(vm, (void *)area.start)) == KVA_OK);
    }
}

static int destroy_in_child(void *context)
{
    struct kva_vm *vm = stage.movable.vm;
    struct kva_vm_frames *frames = stage.movable.frames;
    uint64_t one;

    (void)context;
    child_that(kva_vm_fork_child(vm) == KVA_OK);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    child_that(kva_vm_frames_alloc(frames, 1, &one) == KVA_ENOENT);
    child_that(kva_vm_frames_compact(frames, 0, 1, NULL) == KVA_ENOENT);
    end_all_maps(vm);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    /* The worker may have freed or pinned some. */
    for (size_t i = 0; i < stage.count; i++) {
        enum kva_status status = kva_vm_frames_free(frames, &stage.kept[i], 1);
        child_that(status == KVA_OK || status == KVA_EDOUBLE || status == KVA_EBUSY);
    }
    child_that(kva_vm_purge(vm) == KVA_OK);
    child_that(kva_vm_frames_destroy(frames) == KVA_OK);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    child_that(kva_vm_destroy(vm, NULL, NULL) == KVA_OK);
    child_that(stage.movable.test.memory.blocks == 0 && stage.movable.test.pages.reservations == 0);
    return 0;
}

/* ---------------------------------------------------------------------------------------------- the calls */

static void compact(void *context)
{
    (void)context;
    must(kva_vm_frames_compact(stage.movable.frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, NULL) == KVA_OK);
}

static void map(void *context)
{
    (void)context;
    must(kva_vmap(stage.movable.vm, stage.movable.frames, stage.kept, stage.count) != NULL);
}

static void map_and_unmap_ram(void *context)
{
    (void)context;
    void *memory = kva_map_ram(stage.movable.vm, stage.movable.frames, stage.kept, stage.count);
    must(memory && kva_unmap_ram(stage.movable.vm, memory) == KVA_OK);
}

static void unmap(void *context)
{
    (void)context;
    must(kva_vunmap(stage.movable.vm, stage.map) == KVA_OK);
    stage.map = NULL;
}

static void give(void *context)
{
    (void)context;
    must(kva_vm_frames_free(stage.movable.frames, &stage.kept[MAPPED], stage.count - MAPPED) == KVA_OK);
    stage.count = MAPPED;
}

static void take(void *context)
{
    (void)context;
    must(kva_vm_frames_alloc(stage.movable.frames, 4, stage.taken) == KVA_OK);
}

static void take_a_run(void *context)
{
    (void)context;
    must(kva_vm_frames_alloc_run(stage.movable.frames, 4, 4, stage.taken) == KVA_OK);
}

static void pin_and_unpin(void *context)
{
    const size_t bytes = MAPPED * stage.movable.page;

    (void)context;
    must(kva_vm_pin(stage.movable.vm, stage.map, bytes) == KVA_OK);
    must(kva_vm_unpin(stage.movable.vm, stage.map, bytes) == KVA_OK);
}

static void make_another_set(void *context)
{
    const struct kva_vm_frames_config config = {.count = 3, .movable = true};
    struct kva_vm_frames *frames;

    (void)context;
    must(kva_vm_frames_create(stage.movable.vm, &config, &frames) == KVA_OK);
    must(kva_vm_frames_destroy(frames) == KVA_OK);
}

/* -------------------------------------------------------------------------------------------------- tests */

static void tear_down(const char *name)
{
    test_vm_expect_sound(&stage.movable.test, name);
    if (stage.map)
        test_movable_expect(&stage.movable, stage.map, stage.kept, MAPPED);
    (void)test_movable_map(&stage.movable, stage.kept, stage.count);
    (void)kva_vm_abandon(stage.movable.vm, NULL, NULL);
    test_vm_expect_nothing_lost(&stage.movable.test, name);
}

/** Fork at the worker's n-th point. Returns false if the call ended before it. */
static bool fork_at(const char *name, void (*call)(void *context), unsigned n)
{
    char what[64];

    set_up();
    stepper_start(&stage.worker, call, NULL, n);
    bool is_under_way = stepper_step(&stage.worker);
    if (is_under_way) {
        assert_int_equal(kva_vm_fork_prepare(stage.movable.vm), KVA_OK);
        struct test_child child = test_in_child(destroy_in_child, NULL);
        assert_int_equal(kva_vm_fork_parent(stage.movable.vm), KVA_OK);
        snprintf(what, sizeof what, "%s, point %u", name, n);
        test_expect_success(&child, what);
    }
    stepper_finish(&stage.worker);
    tear_down(name);
    return is_under_way;
}

static void test_child_destroys_during_calls(void **state)
{
    static const struct {
        const char *name;
        void (*call)(void *context);
    } calls[] = {
        {"compact", compact},
        {"map", map},
        {"map_ram and unmap_ram", map_and_unmap_ram},
        {"unmap", unmap},
        {"free", give},
        {"alloc", take},
        {"alloc_run", take_a_run},
        {"pin and unpin", pin_and_unpin},
        {"create and destroy a set", make_another_set},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        unsigned n = 1;
        while (fork_at(calls[i].name, calls[i].call, n))
            n += (unsigned)test_stride();
        print_message("%s: %u points\n", calls[i].name, n - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_child_destroys_during_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
