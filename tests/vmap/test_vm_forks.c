/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A fork at every point of every call that another thread has under way. The child starts clean: what the
 * call had begun is undone or finished, and the child can use and destroy everything that it knows.
 *
 * A worker makes one call and stops at the n-th of its points (kva_threads.point); there this thread forks.
 * Where the worker holds a lock that kva_vm_fork_prepare needs, the worker runs on, point by point, until it
 * releases it. This is repeated for each n, until the call ends before its n-th point.
 */
#define _GNU_SOURCE
#include "../common/harness.h"
#include "../common/stepper.h"
#include "../common/vmap.h"
#include "../threads/stamps.h"

#include <kva/pcpu.h>
#include <kva/vmap.h>
#include <stdio.h>

enum { NUMBERS = 40, UNIT_PAGES = 16, HELD = 4 };

/** An instance in which all idle areas are parked, in several slices: a request for more purges first. */
struct stage {
    struct test_vm test;
    struct stepper worker;
    struct kva_vm_frames *frames;
    struct kva_pcpu *pcpu;
    uint64_t numbers[NUMBERS];
    void *held[HELD]; /* live areas of 3 pages */
};

static size_t page;

/* ------------------------------------------------------------------------------------------- the instance */

/** The areas that fill one part of the reservation. Small areas come first, with live ones between them, so
 *  each is a slice of its own, and only after the last of them there is room for a larger area.
 *
 *      | small | held | small | held | ... | large | large | ...
 */
struct filling {
    void *small[HELD];
    void *large[64];
    size_t count; /* of large ones */
};

static void *take(struct stage *stage, bool is_map, size_t pages)
{
    return is_map ? kva_vmap(stage->test.vm, stage->frames, stage->numbers, pages)
                  : kva_vmalloc(stage->test.vm, pages * page);
}

static struct filling fill(struct stage *stage, bool is_map, void **held)
{
    struct filling filling = {.count = 0};

    for (size_t i = 0; i < HELD; i++) {
        filling.small[i] = take(stage, is_map, 1);
        held[i] = take(stage, is_map, 3);
        assert_true(filling.small[i] != NULL && held[i] != NULL);
    }
    while (filling.count < 64 && (filling.large[filling.count] = take(stage, is_map, UNIT_PAGES)) != NULL)
        filling.count++;
    assert_true(filling.count > 0 && filling.count < 64);
    return filling;
}

static void park(struct stage *stage, const struct filling *filling,
                 enum kva_status (*end)(struct kva_vm *, void *))
{
    for (size_t i = 0; i < HELD; i++)
        assert_int_equal(end(stage->test.vm, filling->small[i]), KVA_OK);
    for (size_t i = 0; i < filling->count; i++)
        assert_int_equal(end(stage->test.vm, filling->large[i]), KVA_OK);
}

/** Both parts are filled before anything is parked, because the request that finds them full purges. */
static void park_most(struct stage *stage)
{
    void *held_maps[HELD];
    struct filling areas = fill(stage, false, stage->held);
    struct filling maps = fill(stage, true, held_maps);

    park(stage, &areas, kva_vfree);
    park(stage, &maps, kva_vunmap);
}

static void set_up(struct stage *stage)
{
    struct kva_vm_config config = test_vm_config(&stage->test, KVA_MECHANISM_BEST);
    struct kva_pcpu_config pcpu = {.cpus = 2, .groups = 2, .unit = UNIT_PAGES * page};

    stepper_init(&stage->worker);
    config.threads = &stage->worker.threads;
    config.reservation = 1024 * page;
    config.reservation_least = 1024 * page;
    config.frames_part = 512 * page;
    config.cache_bytes = KVA_VM_NONE;
    config.lazy_bytes = UINT64_C(1) << 40;
    test_vm_create(&stage->test, &config);
    assert_int_equal(kva_pcpu_create(stage->test.vm, &pcpu, &stage->pcpu), KVA_OK);
    assert_int_equal(kva_vm_frames_create(stage->test.vm, &(struct kva_vm_frames_config){.count = NUMBERS},
                                          &stage->frames),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(stage->frames, NUMBERS, stage->numbers), KVA_OK);
    park_most(stage);
}

/** Areas allocated by the worker's call may remain; abandoning the instance frees them. */
static void tear_down(struct stage *stage)
{
    test_vm_expect_sound(&stage->test, "in the parent");
    (void)kva_vm_abandon(stage->test.vm, NULL, NULL);
    test_vm_expect_nothing_lost(&stage->test, "in the parent");
}

/* ---------------------------------------------------------------------------------------------- the child */

/** Free all live areas except per-CPU ones; returns the number of those. */
static size_t free_all(struct kva_vm *vm)
{
    struct kva_vm_area area = {0};
    size_t left = 0;

    while (kva_vm_next(vm, &area) == KVA_OK) {
        enum kva_status status = KVA_OK;
        if (area.state != KVA_VM_LIVE)
            continue;
        if (area.kind == KVA_VM_VMALLOC)
            status = kva_vfree(vm, (void *)area.start);
        else if (area.kind == KVA_VM_VMAP)
            status = kva_vunmap(vm, (void *)area.start);
        else if (area.kind == KVA_VM_RAM)
            status = kva_unmap_ram(vm, (void *)area.start);
        child_that(status == KVA_OK);
        left += area.kind == KVA_VM_PCPU;
    }
    return left;
}

/** Only the worker's object, which the child does not know, may keep the allocator busy: it lies in a
 *  chunk of two areas. */
static void end_pcpu(struct stage *stage, size_t areas)
{
    enum kva_status status = kva_pcpu_destroy(stage->pcpu);

    child_that(status == KVA_OK || (status == KVA_EBUSY && areas == 2));
    if (status != KVA_OK)
        return;
    child_that(kva_vm_destroy(stage->test.vm, NULL, NULL) == KVA_OK);
    child_that(stage->test.memory.blocks == 0);
    child_that(stage->test.pages.reservations == 0 && stage->test.pages.open_pages == 0);
}

static int start_clean(void *context)
{
    struct stage *stage = context;
    struct kva_vm *vm = stage->test.vm;

    child_that(kva_vm_fork_child(vm) == KVA_OK);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    child_that(kva_vm_purge(vm) == KVA_OK);
    size_t pcpu_areas = free_all(vm);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    void *map = kva_vmap(vm, stage->frames, stage->numbers, NUMBERS);
    child_that(map != NULL && kva_vunmap(vm, map) == KVA_OK);
    child_that(kva_vm_frames_free(stage->frames, stage->numbers, NUMBERS) == KVA_OK);
    child_that(kva_vm_frames_destroy(stage->frames) == KVA_OK);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    end_pcpu(stage, pcpu_areas);
    return 0;
}

/* ---------------------------------------------------------------------------------------------- the calls */

static void grow_pcpu(void *context)
{
    struct stage *stage = context;
    void *object;

    must(kva_pcpu_alloc(stage->pcpu, 64, 8, &object) == KVA_OK);
}

static void map(void *context)
{
    struct stage *stage = context;

    must(kva_vmap(stage->test.vm, stage->frames, stage->numbers, NUMBERS) != NULL);
}

static void map_one_many_times(void *context)
{
    struct stage *stage = context;
    uint64_t same[20];

    for (size_t i = 0; i < 20; i++)
        same[i] = stage->numbers[1];
    must(kva_vmap(stage->test.vm, stage->frames, same, 20) != NULL);
}

static void map_for_a_short_time(void *context)
{
    struct stage *stage = context;

    must(kva_map_ram(stage->test.vm, stage->frames, stage->numbers, NUMBERS) != NULL);
}

static void allocate(void *context)
{
    struct stage *stage = context;

    must(kva_vmalloc(stage->test.vm, 20 * page) != NULL);
}

static void allocate_congruent(void *context)
{
    struct stage *stage = context;
    const struct kva_vm_request request = kva_vm_request_of(1);
    const struct kva_part parts[2] = {{0, 3 * page}, {20 * page, 3 * page}};
    void *memory[2];

    must(kva_vm_alloc_congruent(stage->test.vm, &request, parts, 2, memory) == KVA_OK);
}

static void move(void *context)
{
    struct stage *stage = context;

    must(kva_vrealloc(stage->test.vm, stage->held[0], 30 * page, 0) != NULL);
}

static void shrink(void *context)
{
    struct stage *stage = context;

    must(kva_vrealloc(stage->test.vm, stage->held[0], page, 0) != NULL);
}

static void free_one(void *context)
{
    struct stage *stage = context;

    must(kva_vfree(stage->test.vm, stage->held[1]) == KVA_OK);
}

static void purge(void *context)
{
    struct stage *stage = context;

    must(kva_vm_purge(stage->test.vm) == KVA_OK);
}

static void end_a_frame_set(void *context)
{
    struct stage *stage = context;
    struct kva_vm_frames *frames;

    must(kva_vm_frames_create(stage->test.vm, &(struct kva_vm_frames_config){.count = 3}, &frames) == KVA_OK);
    must(kva_vm_frames_destroy(frames) == KVA_OK);
}

/* -------------------------------------------------------------------------------------------------- tests */

/** Fork at the worker's n-th point; false if the call ended before. */
static bool fork_at(const char *name, void (*call)(void *context), unsigned n)
{
    static struct stage stage;
    char what[64];

    set_up(&stage);
    stepper_start(&stage.worker, call, &stage, n);
    bool is_under_way = stepper_step(&stage.worker);
    if (is_under_way) {
        assert_int_equal(kva_vm_fork_prepare(stage.test.vm), KVA_OK);
        struct test_child child = test_in_child(start_clean, &stage);
        assert_int_equal(kva_vm_fork_parent(stage.test.vm), KVA_OK);
        snprintf(what, sizeof what, "%s, point %u", name, n);
        test_expect_success(&child, what);
    }
    stepper_finish(&stage.worker);
    tear_down(&stage);
    return is_under_way;
}

static void test_a_child_starts_clean_at_every_point(void **state)
{
    static const struct {
        const char *name;
        void (*call)(void *context);
    } calls[] = {
        {"an allocator grows", grow_pcpu},
        {"a map", map},
        {"a frame many times", map_one_many_times},
        {"a short-lived map", map_for_a_short_time},
        {"an allocation", allocate},
        {"congruent areas", allocate_congruent},
        {"an area moves", move},
        {"an area shrinks", shrink},
        {"a free", free_one},
        {"a purge", purge},
        {"a frame set ends", end_a_frame_set},
    };

    const unsigned stride = test_is_brief() ? 3 : 1;

    (void)state;
    page = test_page();
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        unsigned n = 1;
        while (fork_at(calls[i].name, calls[i].call, n))
            n += stride;
        print_message("%s: %u points\n", calls[i].name, (n - 1) / stride);
        assert_true(n > 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_child_starts_clean_at_every_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
