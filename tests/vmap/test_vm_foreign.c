/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Marked areas, whose owners change how they are mapped: however such an area ends, the page source is called
 * to dismiss its pages, and those of no other area. test_vm_pages.c tests what the source then does, and
 * test_vm_mappings.c tries each change that an owner can make.
 */
#define _GNU_SOURCE
#include "../common/harness.h"
#include "../common/vmap.h"

#include <kva/vmap.h>
#include <string.h>
#include <sys/mman.h>

static size_t page;

static void *take(struct kva_vm *vm, size_t pages, unsigned flags)
{
    struct kva_vm_request request = kva_vm_request_of(pages * page);
    void *memory = NULL;

    request.flags = flags;
    assert_int_equal(kva_vm_alloc(vm, &request, &memory), KVA_OK);
    memset(memory, 1, pages * page);
    return memory;
}

static void expect_dismissals(const struct test_vm *test, uint64_t dismissals, uint64_t closes)
{
    assert_int_equal(test->pages.dismissals, dismissals);
    assert_int_equal(test->pages.closes, closes);
}

static unsigned flags_at(struct kva_vm *vm, const void *memory)
{
    struct kva_vm_area area;

    assert_int_equal(kva_vm_find(vm, memory, &area), KVA_OK);
    return area.flags;
}

/** Marked by request or by call, small or large: such areas are parked, not cached, and purged together
 *  with marked neighbours by a call of their own. */
static void test_marked_areas_are_dismissed(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct test_vm test;
        struct kva_vm_config config = test_vm_config(&test, mechanism);
        config.one_thread = true;
        test_vm_create(&test, &config);
        void *plain = take(test.vm, 3, 0);
        void *marked[3];
        for (size_t i = 0; i < 3; i++)
            marked[i] = take(test.vm, 3, i == 1 ? KVA_VM_FOREIGN : 0);
        void *last = take(test.vm, 200, 0);
        assert_int_equal(kva_vm_mark_foreign(test.vm, marked[0]), KVA_OK);
        assert_int_equal(kva_vm_mark_foreign(test.vm, marked[2]), KVA_OK);
        assert_int_equal(kva_vm_mark_foreign(test.vm, marked[2]), KVA_OK);
        assert_int_equal(kva_vm_mark_foreign(test.vm, last), KVA_OK);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(flags_at(test.vm, marked[i]) & KVA_VM_FOREIGN, KVA_VM_FOREIGN);
            assert_int_equal(kva_vfree(test.vm, marked[i]), KVA_OK);
        }
        assert_int_equal(kva_vfree(test.vm, last), KVA_OK);
        assert_int_equal(kva_vfree(test.vm, plain), KVA_OK);
        assert_int_equal(test_vm_stats(test.vm).cached_areas, 1);
        assert_int_equal(test_vm_stats(test.vm).parked_areas, 4);
        expect_dismissals(&test, 0, 0);
        assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
        expect_dismissals(&test, 1, 2);
        test_vm_expect_sound(&test, "purgeed");
        test_vm_destroy(&test);
    }
}

/** A marked request may be served from the cache, but its area does not return there. */
static void test_the_cache_serves_marked_requests(void **state)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);

    (void)state;
    config.one_thread = true;
    test_vm_create(&test, &config);
    void *memory = take(test.vm, 1, 0);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    assert_ptr_equal(take(test.vm, 1, KVA_VM_FOREIGN), memory);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    assert_int_equal(test_vm_stats(test.vm).cached_areas, 0);
    assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
    expect_dismissals(&test, 1, 1);
    /* The mark ends with the area. */
    assert_ptr_equal(take(test.vm, 1, 0), memory);
    assert_int_equal(flags_at(test.vm, memory), 0);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    assert_int_equal(test_vm_stats(test.vm).cached_areas, 1);
    test_vm_destroy(&test);
}

static void test_hardened_areas_are_dismissed_at_once(void **state)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);

    (void)state;
    config.hardened = true;
    test_vm_create(&test, &config);
    void *memory = take(test.vm, 2, KVA_VM_FOREIGN);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    expect_dismissals(&test, 1, 1);
    test_vm_expect_sound(&test, "in quarantine");
    test_vm_destroy(&test);
}

/** The pages cut off are dismissed; an area that moves stays marked, and its old place is dismissed. */
static void test_resizing_keeps_the_mark(void **state)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);
    void *moved;

    (void)state;
    test_vm_create(&test, &config);
    char *memory = take(test.vm, 8, KVA_VM_FOREIGN);
    assert_int_equal(madvise(memory + 4 * page, 4 * page, MADV_DONTFORK), 0);
    assert_int_equal(kva_vm_realloc(test.vm, memory, 4 * page, 0, &moved), KVA_OK);
    assert_ptr_equal(moved, memory);
    expect_dismissals(&test, 1, 1);
    test_vm_expect_sound(&test, "cut");
    assert_int_equal(kva_vm_realloc(test.vm, memory, 6 * page, 0, &moved), KVA_OK);
    assert_ptr_equal(moved, memory);
    void *wall = take(test.vm, 1, 0);
    assert_int_equal(kva_vm_realloc(test.vm, memory, 100 * page, 0, &moved), KVA_OK);
    assert_ptr_not_equal(moved, memory);
    assert_int_equal(flags_at(test.vm, moved) & KVA_VM_FOREIGN, KVA_VM_FOREIGN);
    assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
    expect_dismissals(&test, 2, 2);
    assert_int_equal(kva_vfree(test.vm, moved), KVA_OK);
    assert_int_equal(kva_vfree(test.vm, wall), KVA_OK);
    assert_int_equal(test_vm_stats(test.vm).cached_areas, 1);
    test_vm_destroy(&test);
}

static struct kva_later *waiting;

static void begin_grace(void *context, struct kva_later *record)
{
    (void)context;
    waiting = record;
}

static void test_marked_areas_with_a_grace_period(void **state)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);

    (void)state;
    config.grace.after = begin_grace;
    test_vm_create(&test, &config);
    void *memory = take(test.vm, 2, 0);
    assert_int_equal(kva_vm_mark_foreign(test.vm, memory), KVA_OK);
    assert_int_equal(mprotect(memory, page, PROT_READ), 0);
    assert_int_equal(kva_vfree_later(test.vm, memory, NULL), KVA_OK);
    assert_int_equal(kva_vm_mark_foreign(test.vm, memory), KVA_EDEFERRED);
    test_vm_forgive(&test);
    kva_vfree_ready(waiting);
    assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
    expect_dismissals(&test, 1, 1);
    test_vm_expect_sound(&test, "after its wait");
    assert_int_equal(kva_vm_mark_foreign(test.vm, memory), KVA_EDOUBLE);
    test_vm_forgive(&test);
    test_vm_destroy(&test);
}

/** Maps cannot be marked. A source without `dismiss` is not called for it. */
static void test_maps_cannot_be_marked(void **state)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);
    struct kva_vm_frames *frames;
    uint64_t number;

    (void)state;
    config.pages.dismiss = NULL;
    test_vm_create(&test, &config);
    assert_int_equal(kva_vm_frames_create(test.vm, &(struct kva_vm_frames_config){.count = 1}, &frames),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, 1, &number), KVA_OK);
    void *map = kva_vmap(test.vm, frames, &number, 1);
    assert_int_equal(kva_vm_mark_foreign(test.vm, map), KVA_EINVAL);
    assert_int_equal(kva_vunmap(test.vm, map), KVA_OK);
    test_vm_forgive(&test);
    void *memory = take(test.vm, 2, KVA_VM_FOREIGN);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    assert_int_equal(test_vm_stats(test.vm).cached_areas, 0);
    assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    test_vm_destroy(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marked_areas_are_dismissed),
        cmocka_unit_test(test_the_cache_serves_marked_requests),
        cmocka_unit_test(test_hardened_areas_are_dismissed_at_once),
        cmocka_unit_test(test_resizing_keeps_the_mark),
        cmocka_unit_test(test_marked_areas_with_a_grace_period),
        cmocka_unit_test(test_maps_cannot_be_marked),
    };

    page = test_page();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
