/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A request that finds no room while another thread frees and allocates all the time ends after two purges,
 * and its result is true of one moment.
 *
 * The other thread is that of common/other.h: whenever no lock is held, it allocates one area and frees one,
 * so an idle area of its own exists at each attempt of the first thread.
 */

#include <kva/engine.h>
#include <stdlib.h>
#include <string.h>

#include "common/array_pages.h"
#include "common/other.h"
#include "vmap/vm_instance.h"
#include "../../ports/test/failing_memory.h"

enum { PAGE = KVA_ARRAY_PAGE, OTHERS = 3 };

struct play {
    struct kva_array_pages array;
    struct kva_failing_memory memory;
    struct test_other other;
    struct kva_vm *vm;
    unsigned live;   /* areas that the other thread keeps live */
    unsigned oldest; /* the one of them to be freed next */
    void *area[OTHERS];
};

/** Allocate an area, and then free one, so that one is idle after the step. */
static void step(void *context)
{
    struct play *play = context;
    void *fresh = kva_vmalloc(play->vm, PAGE);

    if (!fresh)
        return;
    if (kva_vfree(play->vm, play->area[play->oldest]) != KVA_OK)
        abort();
    play->area[play->oldest] = fresh;
    play->oldest = (play->oldest + 1) % play->live;
}

/** An instance of `pages` private pages; the other thread keeps `live` areas of one page. */
static void set_up(struct play *play, unsigned pages, unsigned live, bool guards, bool hardened)
{
    memset(play, 0, sizeof(*play));
    test_other_init(&play->other, play);
    struct kva_vm_config config = {
        .reservation = (pages + 1) * PAGE,
        .frames_part = PAGE,
        .without_guards = !guards,
        .hardened = hardened,
        .engine = &kva_engine_bt,
        .memory = kva_failing_memory_init(&play->memory),
        .pages = kva_array_pages_of(&play->array),
        .cpus = 2,
        .threads = &play->other.threads,
    };
    assert_int_equal(kva_vm_create_from(&config, &play->vm), KVA_OK);
    play->other.locks = &play->vm->locks;
    play->live = live;
}

static void tear_down(struct play *play, void **areas, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(kva_vfree(play->vm, areas[i]), KVA_OK);
    for (unsigned i = 0; i < play->live; i++)
        assert_int_equal(kva_vfree(play->vm, play->area[i]), KVA_OK);
    assert_int_equal(kva_vm_check(play->vm, NULL), KVA_OK);
    assert_int_equal(kva_vm_destroy(play->vm, NULL, NULL), KVA_OK);
    assert_int_equal(play->memory.blocks, 0);
}

static uint64_t purges(const struct kva_vm *vm)
{
    struct kva_vm_stats stats;

    assert_int_equal(kva_vm_stats_read(vm, &stats), KVA_OK);
    return stats.purges;
}

/** Areas of one page in every other page: no two free pages are adjacent, whatever the other thread does.
 *
 *      | mine | . | mine | . | mine | . | mine | . |      its areas and holes are in between
 */
static void fence(struct play *play, void **mine, size_t count)
{
    void *between[8];

    for (size_t i = 0; i < count; i++) {
        mine[i] = kva_vmalloc(play->vm, PAGE);
        between[i] = kva_vmalloc(play->vm, PAGE);
        assert_true(mine[i] && between[i]);
    }
    for (size_t i = 0; i < count; i++)
        assert_int_equal(kva_vfree(play->vm, between[i]), KVA_OK);
    assert_int_equal(kva_vm_purge(play->vm), KVA_OK);
    for (unsigned i = 0; i < play->live; i++)
        assert_non_null(play->area[i] = kva_vmalloc(play->vm, PAGE));
}

/* Two purges, and then KVA_ENOSPC, though an area is idle at the end of each purge. */
static void a_request_that_can_never_fit_ends(void **state)
{
    static struct play play;
    void *mine[4];
    void *memory;
    (void)state;

    for (unsigned hardened = 0; hardened < 2; hardened++) {
        struct kva_vm_request request = kva_vm_request_of(2 * PAGE);

        set_up(&play, 8, OTHERS, false, hardened);
        fence(&play, mine, 4);
        uint64_t before = purges(play.vm);
        play.other.step = step;
        assert_int_equal(kva_vm_alloc(play.vm, &request, &memory), KVA_ENOSPC);
        test_other_stop(&play.other);
        check_that(hardened || purges(play.vm) - before == 2, "%" PRIu64 " purges, 2 expected",
                   purges(play.vm) - before);
        tear_down(&play, mine, 4);
    }
}

/* The same with reclaim callbacks that free nothing: at most two more purges, after all callbacks. */
static bool gives_nothing(void *context, struct kva_vm *vm, size_t size)
{
    (void)vm;
    (void)size;
    ++*(unsigned *)context;
    return true;
}

static void reclaim_callbacks_add_at_most_two_purges(void **state)
{
    static struct play play;
    unsigned asked = 0;
    struct kva_vm_reclaim callbacks[2] = {{gives_nothing, &asked, {NULL}}, {gives_nothing, &asked, {NULL}}};
    struct kva_vm_request request = kva_vm_request_of(2 * PAGE);
    void *mine[4];
    void *memory;
    (void)state;

    set_up(&play, 8, OTHERS, false, false);
    for (int i = 0; i < 2; i++)
        assert_int_equal(kva_vm_reclaim_add(play.vm, &callbacks[i]), KVA_OK);
    fence(&play, mine, 4);
    uint64_t before = purges(play.vm);
    play.other.step = step;
    assert_int_equal(kva_vm_alloc(play.vm, &request, &memory), KVA_ENOSPC);
    test_other_stop(&play.other);
    assert_int_equal(asked, 2);
    check_that(purges(play.vm) - before <= 5, "%" PRIu64 " purges, at most 5 expected",
               purges(play.vm) - before);
    tear_down(&play, mine, 4);
}

/* One of two places is idle at any moment, but not always the same, so the request has room at each
 * attempt, and KVA_ENOSPC would be wrong. Its window excludes the last byte of a guard, so that the cache
 * does not serve it. */
static void a_place_that_is_idle_at_every_moment_is_found(void **state)
{
    static struct play play;
    void *memory;
    (void)state;

    for (unsigned hardened = 0; hardened < 2; hardened++) {
        struct kva_vm_request request = kva_vm_request_of(PAGE);

        set_up(&play, 4, 1, true, hardened);
        assert_non_null(play.area[0] = kva_vmalloc(play.vm, PAGE));
        assert_int_equal(kva_vfree(play.vm, kva_vmalloc(play.vm, PAGE)), KVA_OK);
        request.max = (uintptr_t)play.array.memory + 4 * PAGE - 2;
        play.other.step = step;
        enum kva_status status = kva_vm_alloc(play.vm, &request, &memory);
        test_other_stop(&play.other);
        check_that(status == KVA_OK, "KVA_OK expected, %s after %u steps", kva_status_name(status),
                   play.other.steps);
        tear_down(&play, &memory, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_can_never_fit_ends),
        cmocka_unit_test(reclaim_callbacks_add_at_most_two_purges),
        cmocka_unit_test(a_place_that_is_idle_at_every_moment_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
