/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What the library poisons for AddressSanitizer: in a live area, the bytes after the requested ones; freed
 * areas that are still mapped, as a whole. Unmapped pages are not poisoned, because a touch faults anyway.
 * Other builds poison nothing.
 */
#include "../common/harness.h"
#include "../common/vmap.h"

#include <kva/vmap.h>

#if TEST_ASAN
#include <sanitizer/asan_interface.h>
#endif

static size_t page; /* bytes */
static struct test_vm test;

static bool is_poisoned(const unsigned char *address)
{
#if TEST_ASAN
    return __asan_address_is_poisoned(address);
#else
    (void)address;
    return false;
#endif
}

/** Fail unless exactly the first `clean` of `bytes` bytes are not poisoned. */
static void expect_clean(const void *memory, size_t clean, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        bool wanted = TEST_ASAN && i >= clean;
        check_that(is_poisoned((const unsigned char *)memory + i) == wanted,
                   "byte %zu of %zu, of which the first %zu must be clean", i, bytes, clean);
    }
}

/** The test ends the grace period itself. */
static void after(void *context, struct kva_later *record)
{
    (void)context;
    (void)record;
}

static void begin(uint64_t cache_bytes, bool hardened)
{
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);

    page = (size_t)config.pages.page;
    config.cache_bytes = cache_bytes;
    config.hardened = hardened;
    config.grace.after = after;
    test_vm_create(&test, &config);
}

static void test_rest_of_last_page(void **state)
{
    void *memory;

    (void)state;
    begin(0, false);
    memory = kva_vmalloc(test.vm, 2 * page + 13);
    assert_non_null(memory);
    expect_clean(memory, 2 * page + 13, 3 * page);
    assert_int_equal(kva_vm_realloc(test.vm, memory, 2 * page + 100, 0, &memory), KVA_OK);
    expect_clean(memory, 2 * page + 100, 3 * page);
    assert_int_equal(kva_vm_realloc(test.vm, memory, 5 * page + 1, 0, &memory), KVA_OK);
    expect_clean(memory, 5 * page + 1, 6 * page);
    assert_int_equal(kva_vm_realloc(test.vm, memory, 7, 0, &memory), KVA_OK);
    expect_clean(memory, 7, page);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    test_vm_destroy(&test);
}

static void test_congruent_areas(void **state)
{
    struct kva_part parts[2];
    struct kva_vm_request request = kva_vm_request_of(1);
    void *memory[2];

    (void)state;
    begin(0, false);
    parts[0] = (struct kva_part){0, page + 5};
    parts[1] = (struct kva_part){4 * page, 9};
    assert_int_equal(kva_vm_alloc_congruent(test.vm, &request, parts, 2, memory), KVA_OK);
    expect_clean(memory[0], page + 5, 2 * page);
    expect_clean(memory[1], 9, page);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(kva_vfree(test.vm, memory[i]), KVA_OK);
    test_vm_destroy(&test);
}

static void test_cached_areas(void **state)
{
    (void)state;
    begin(0, false);
    void *memory = kva_vmalloc(test.vm, 2 * page - 1);
    assert_non_null(memory);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    assert_int_equal(test_vm_stats(test.vm).cached_areas, 1);
    expect_clean(memory, 0, 2 * page);
    assert_ptr_equal(kva_vmalloc(test.vm, page + 1), memory);
    expect_clean(memory, page + 1, 2 * page);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
    expect_clean(memory, 2 * page, 2 * page);
    test_vm_destroy(&test);
}

static void test_parked_areas(void **state)
{
    (void)state;
    begin(KVA_VM_NONE, false);
    void *memory = kva_vmalloc(test.vm, 2 * page);
    assert_non_null(memory);
    expect_clean(memory, 2 * page, 2 * page);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    assert_int_equal(test_vm_stats(test.vm).parked_areas, 1);
    expect_clean(memory, 0, 2 * page);
    assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
    expect_clean(memory, 2 * page, 2 * page);
    test_vm_destroy(&test);
}

/** Other threads may still read the area until the grace period ends. */
static void test_areas_in_a_grace_period(void **state)
{
    struct kva_later record;

    (void)state;
    begin(0, false);
    void *memory = kva_vmalloc(test.vm, page);
    assert_non_null(memory);
    assert_int_equal(kva_vfree_later(test.vm, memory, &record), KVA_OK);
    expect_clean(memory, page, page);
    kva_vfree_ready(&record);
    assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
    expect_clean(memory, page, page);
    test_vm_destroy(&test);
}

static void test_maps(void **state)
{
    struct kva_vm_frames *frames;
    uint64_t numbers[3];

    (void)state;
    begin(0, false);
    assert_int_equal(kva_vm_frames_create(test.vm, &(struct kva_vm_frames_config){.count = 3}, &frames),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, 3, numbers), KVA_OK);
    void *map = kva_vmap(test.vm, frames, numbers, 3);
    assert_non_null(map);
    expect_clean(map, 3 * page, 3 * page);
    assert_int_equal(kva_vunmap(test.vm, map), KVA_OK);
    expect_clean(map, 0, 3 * page);
    void *ram = kva_map_ram(test.vm, frames, numbers, 3);
    assert_non_null(ram);
    expect_clean(ram, 3 * page, 3 * page);
    assert_int_equal(kva_unmap_ram(test.vm, ram), KVA_OK);
    expect_clean(ram, 0, 3 * page);
    assert_ptr_equal(kva_map_ram(test.vm, frames, numbers, 3), ram); /* found in the cache */
    expect_clean(ram, 3 * page, 3 * page);
    assert_int_equal(kva_unmap_ram(test.vm, ram), KVA_OK);
    assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
    expect_clean(map, 3 * page, 3 * page);
    expect_clean(ram, 3 * page, 3 * page);
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    test_vm_destroy(&test);
}

/** Pages that are unmapped at once are not poisoned. */
static void test_hardened_areas(void **state)
{
    (void)state;
    begin(0, true);
    void *memory = kva_vmalloc(test.vm, 2 * page + 1);
    assert_non_null(memory);
    expect_clean(memory, 2 * page + 1, 3 * page);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    expect_clean(memory, 3 * page, 3 * page);
    test_vm_destroy(&test);
}

/** The addresses are not poisoned after the end of the instance. */
static void test_after_destroy(void **state)
{
    (void)state;
    begin(0, false);
    void *memory = kva_vmalloc(test.vm, page + 1);
    void *other = kva_vmalloc(test.vm, page);
    assert_non_null(memory);
    assert_non_null(other);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    assert_int_equal(kva_vfree(test.vm, other), KVA_OK);
    test_vm_destroy(&test);
    expect_clean(memory, 2 * page, 2 * page);
    expect_clean(other, page, page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rest_of_last_page),
        cmocka_unit_test(test_congruent_areas),
        cmocka_unit_test(test_cached_areas),
        cmocka_unit_test(test_parked_areas),
        cmocka_unit_test(test_areas_in_a_grace_period),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_hardened_areas),
        cmocka_unit_test(test_after_destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
