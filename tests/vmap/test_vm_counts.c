/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Counts at their upper limits. Values that calls cannot reach in the time of a test are set by hand, to a
 * state that many threads could have caused, so that all invariants hold.
 */
#include "../common/harness.h"
#include "../common/vmap.h"

#include "vmap/vm_mapped.h"

#include <kva/vmap.h>

enum { FRAMES = 4 };

static struct test_vm test;
static struct kva_vm_frames *frames;
static uint64_t numbers[FRAMES];

static int set_up(void **state)
{
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);

    (void)state;
    test_vm_create(&test, &config);
    assert_int_equal(kva_vm_frames_create(test.vm, &(struct kva_vm_frames_config){.count = FRAMES}, &frames),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, FRAMES, numbers), KVA_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_vm_destroy(&test);
    return 0;
}

/** As if other threads were mapping a frame `maps` times. */
static void begin_maps_of_others(uint64_t number, uint32_t maps)
{
    frames->uses[number] += maps;
    frames->mapped += maps;
    frames->pending += maps;
}

static void end_maps_of_others(uint64_t number, uint32_t maps)
{
    frames->uses[number] -= maps;
    frames->mapped -= maps;
    frames->pending -= maps;
}

typedef enum kva_status mapping(size_t count, const uint64_t *which, void **memory);

static enum kva_status by_vmap(size_t count, const uint64_t *which, void **memory)
{
    return kva_vm_map(test.vm, frames, which, count, 0, memory);
}

static enum kva_status by_map_ram(size_t count, const uint64_t *which, void **memory)
{
    return kva_vm_map_ram(test.vm, frames, which, count, memory);
}

/** A frame's count ends at 2^32 - 1; allocating the frame counts one. */
static void expect_last_map(mapping *map, enum kva_status (*unmap)(struct kva_vm *, void *))
{
    const uint32_t others = UINT32_MAX - 3;
    const uint64_t two[4] = {numbers[0], numbers[1], numbers[1], numbers[0]};
    const uint64_t three[4] = {numbers[1], numbers[1], numbers[0], numbers[1]};
    void *memory = NULL;
    void *more = NULL;

    begin_maps_of_others(numbers[1], others);
    assert_int_equal(map(4, three, &memory), KVA_ENOSPC);
    test_vm_expect_sound(&test, "one too many");
    assert_int_equal(frames->uses[numbers[0]], 1);
    assert_int_equal(frames->uses[numbers[1]], 1 + others);
    assert_int_equal(map(4, two, &memory), KVA_OK);
    assert_int_equal(frames->uses[numbers[1]], UINT32_MAX);
    assert_int_equal(map(1, &numbers[1], &more), KVA_ENOSPC);
    assert_int_equal(map(1, &numbers[0], &more), KVA_OK);
    test_vm_expect_sound(&test, "all counted");
    end_maps_of_others(numbers[1], others);
    assert_int_equal(unmap(test.vm, memory), KVA_OK);
    assert_int_equal(unmap(test.vm, more), KVA_OK);
    test_vm_expect_sound(&test, "none");
    assert_int_equal(kva_vm_frames_free(frames, numbers, FRAMES), KVA_OK);
}

static void test_kva_vmap_at_the_largest_map_count(void **state)
{
    (void)state;
    expect_last_map(by_vmap, kva_vunmap);
}

static void test_kva_map_ram_at_the_largest_map_count(void **state)
{
    (void)state;
    expect_last_map(by_map_ram, kva_unmap_ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kva_vmap_at_the_largest_map_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kva_map_ram_at_the_largest_map_count, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
