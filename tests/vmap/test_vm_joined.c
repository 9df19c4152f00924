/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Without guard regions, when mappings run short, areas share mappings with their neighbours. No call is
 * refused, in whatever order; areas keep their contents, and begin with zeroes; pages that may not fault are
 * counted and marked, and fault again as soon as there are mappings. A hardened instance refuses instead.
 *
 * All plays run in children, where other mappings (a crowd) leave only some hundred to the instance.
 */
#define _GNU_SOURCE
#include "../common/harness.h"
#include "../common/vmap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t page;      /* bytes */
static uint64_t allowed; /* mappings of a process */
static size_t many;      /* areas of most plays: more than can have mappings of their own */

/* ---------------------------------------------------------------------------------------------- the areas */

/** Areas of one to three pages, each with its number in each page. */
enum { MOST = 3000 };

struct play {
    struct kva_vm *vm;
    unsigned char *memory[MOST]; /* NULL: none */
    size_t pages[MOST];
    uint64_t mapped; /* with the crowd, and no area */
};

static struct kva_vm_config plain_config(void)
{
    return (struct kva_vm_config){
        .reservation = 256 * TEST_MIB,
        .frames_part = 16 * TEST_MIB,
        .cpus = 2,
        .pages = kva_pages_host(KVA_MECHANISM_MAPPINGS),
    };
}

static struct kva_vm_stats stats_of(const struct kva_vm *vm)
{
    struct kva_vm_stats stats;

    child_that(kva_vm_stats_read(vm, &stats) == KVA_OK);
    return stats;
}

static bool holds(const struct play *play, size_t i, size_t expected)
{
    for (size_t k = 0; k < play->pages[i]; k++) {
        if (memcmp(play->memory[i] + k * page, &expected, sizeof(expected)) != 0)
            return false;
    }
    return true;
}

/** Allocate area number i, which reads as zero, and stamp it. */
static bool take(struct play *play, size_t i)
{
    play->pages[i] = i % 3 + 1;
    play->memory[i] = kva_vzalloc(play->vm, play->pages[i] * page);
    if (!play->memory[i])
        return false;
    child_that(holds(play, i, 0));
    for (size_t k = 0; k < play->pages[i]; k++)
        memcpy(play->memory[i] + k * page, &i, sizeof(i));
    return true;
}

static void give(struct play *play, size_t i)
{
    child_that(holds(play, i, i));
    child_that(kva_vfree(play->vm, play->memory[i]) == KVA_OK);
    play->memory[i] = NULL;
}

static void take_all(struct play *play)
{
    for (size_t i = 0; i < many; i++)
        child_that(play->memory[i] || take(play, i));
}

static void give_all(struct play *play)
{
    for (size_t i = 0; i < MOST; i++) {
        if (play->memory[i])
            give(play, i);
    }
}

static void expect_all_held(const struct play *play)
{
    for (size_t i = 0; i < MOST; i++)
        child_that(!play->memory[i] || holds(play, i, i));
}

/** Each guard faults, or the area is marked. Returns the number of marked areas. */
static size_t count_marked(const struct play *play)
{
    struct kva_vm_area area = {0};
    size_t marked = 0;

    while (kva_vm_next(play->vm, &area) == KVA_OK) {
        child_that(area.failed_unmap == !test_is_closed((void *)(area.last + 1)));
        marked += area.failed_unmap;
    }
    return marked;
}

/** Begin with `left` mappings above the quarter that an instance leaves to the program. */
static struct test_crowd begin(struct play *play, const struct kva_vm_config *config, uint64_t left)
{
    struct test_crowd crowd = test_crowd_in(allowed / 4 + 64 + left);

    child_that(crowd.first != NULL);
    memset(play, 0, sizeof(*play));
    child_that(kva_vm_create(config, &play->vm) == KVA_OK);
    play->mapped = test_mappings();
    return crowd;
}

static void end(struct play *play)
{
    child_that(kva_vm_check(play->vm, NULL) == KVA_OK);
    give_all(play);
    child_that(kva_vm_purge(play->vm) == KVA_OK);
    child_that(stats_of(play->vm).pages.mappings == 1);
    child_that(kva_vm_destroy(play->vm, NULL, NULL) == KVA_OK);
}

/* ---------------------------------------------------------------------------------------------- the plays */

/** All areas fit for which there is room, and the program keeps a quarter of all mappings. */
static int take_more_than_fit(void *context)
{
    static struct play play;
    struct kva_vm_config config = plain_config();
    struct test_crowd crowd = begin(&play, &config, 500);

    (void)context;
    take_all(&play);
    expect_all_held(&play);
    child_that(test_mappings() <= allowed - allowed / 4);
    struct kva_vm_stats stats = stats_of(play.vm);
    child_that(stats.pages.mappings > 300); /* uses the mappings that it may */
    child_that(stats.pages.mappings + 2 >= test_mappings() - play.mapped);
    child_that(stats.live_areas == many && stats.pages.failed_unmap_pages > 0 &&
               stats.pages.failed_unmaps == 0);
    child_that(count_marked(&play) == stats.pages.failed_unmap_pages); /* one guard each */
    char *report = test_vm_report(play.vm);
    child_that(strstr(report, " live failed-unmap") || strstr(report, " live zero failed-unmap"));
    free(report);
    end(&play);
    test_leave(&crowd);
    return 0;
}

/** Many frees and allocations in any order: none is refused, no contents are lost, and no owner sees
 *  contents of the one before. Freed memory reads as zero as long as it can be read. */
static int go_on_for_long(void *context)
{
    static struct play play;
    struct test_rng random = test_rng_of(17);
    struct kva_vm_config config = plain_config();

    (void)context;
    config.cache_bytes = KVA_VM_NONE;
    config.lazy_bytes = KVA_VM_NONE;
    struct test_crowd crowd = begin(&play, &config, 300);
    take_all(&play);
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned n = 0; n < test_scaled(3000); n++) {
            size_t i = (size_t)test_below(&random, many);
            if (play.memory[i]) {
                unsigned char *was = play.memory[i];
                give(&play, i);
                child_that(test_is_closed(was) || *was == 0);
                if (!test_is_closed(was + page - 1))
                    was[page - 1] = 77; /* a stale pointer */
            } else {
                child_that(take(&play, i));
            }
        }
        expect_all_held(&play);
        child_that(test_mappings() <= allowed - allowed / 4);
        child_that(kva_vm_check(play.vm, NULL) == KVA_OK);
        if (round % 2 == 0)
            child_that(kva_vm_purge(play.vm) == KVA_OK);
        else
            take_all(&play);
    }
    end(&play);
    test_leave(&crowd);
    return 0;
}

/** When the other mappings are gone, failed unmaps are made up for: all of them by a purge, and a few by
 *  each other call. */
static int unmap_when_there_is_room(void *context)
{
    static struct play play;
    struct kva_vm_config config = plain_config();

    (void)context;
    config.cache_bytes = KVA_VM_NONE;
    config.lazy_bytes = KVA_VM_NONE;
    for (unsigned by_purge = 0; by_purge < 2; by_purge++) {
        struct test_crowd crowd = begin(&play, &config, 300);
        take_all(&play);
        uint64_t failed = stats_of(play.vm).pages.failed_unmap_pages;
        child_that(failed > many / 2);
        child_that(kva_vm_purge(play.vm) == KVA_OK); /* nothing has changed */
        child_that(stats_of(play.vm).pages.failed_unmap_pages == failed);
        test_leave(&crowd);
        if (by_purge) {
            child_that(kva_vm_purge(play.vm) == KVA_OK);
        } else {
            sleep(2); /* the library's count of mappings may be some time old */
            for (unsigned n = 0; n < many; n++) {
                give(&play, n % 10);
                child_that(take(&play, n % 10));
            }
        }
        child_that(stats_of(play.vm).pages.failed_unmap_pages == 0 && count_marked(&play) == 0);
        expect_all_held(&play);
        end(&play);
    }
    return 0;
}

/** A hardened instance uses the mappings that it may have, and then refuses: each of its guards faults. */
static int refuse_when_hardened(void *context)
{
    static struct play play;
    struct kva_vm_config config = plain_config();
    size_t count = 0;

    (void)context;
    config.hardened = true;
    struct test_crowd crowd = test_crowd_in(allowed / 16 + 1000);
    child_that(kva_vm_create(&config, &play.vm) == KVA_OK);
    while (count < MOST && take(&play, count))
        count++;
    child_that(count > 400 && count < 600 && kva_vm_status(play.vm) == KVA_ELIMIT);
    child_that(stats_of(play.vm).pages.failed_unmap_pages == 0 && count_marked(&play) == 0);
    expect_all_held(&play);
    give_all(&play);
    child_that(stats_of(play.vm).pages.failed_unmap_pages == 0);
    child_that(kva_vm_purge(play.vm) == KVA_OK && kva_vm_destroy(play.vm, NULL, NULL) == KVA_OK);
    test_leave(&crowd);
    return 0;
}

/** An area far from all others takes mappings of its own while there are any. After that it is joined, but
 *  not over a 64th of the reservation. */
static int go_far_away(void *context)
{
    static struct play play;
    struct kva_vm_config config = plain_config();
    struct kva_vm_request request = kva_vm_request_of(page);
    void *far[200];
    size_t count = 0;

    (void)context;
    config.reservation = 512 * TEST_MIB;
    struct test_crowd crowd = test_crowd_in(allowed / 16 + 200);
    memset(&play, 0, sizeof(play));
    child_that(kva_vm_create(&config, &play.vm) == KVA_OK);
    child_that(take(&play, 0));
    uintptr_t first = (uintptr_t)stats_of(play.vm).reservation_first;
    for (; count < 130; count++) {
        request.min = first + (uintptr_t)((count + 1) * 3 * TEST_MIB);
        child_that(kva_vm_alloc(play.vm, &request, &far[count]) == KVA_OK);
        if (count == 50)
            child_that(stats_of(play.vm).pages.failed_unmap_pages == 0);
    }
    child_that(stats_of(play.vm).pages.failed_unmap_pages > 10 * TEST_MIB / page);
    request.min = first + (uintptr_t)(450 * TEST_MIB);
    child_that(kva_vm_alloc(play.vm, &request, &far[count]) == KVA_ELIMIT);
    for (size_t i = 1; i < 1000; i++)
        child_that(take(&play, i));
    child_that(kva_vm_check(play.vm, NULL) == KVA_OK);
    while (count > 0)
        child_that(kva_vfree(play.vm, far[--count]) == KVA_OK);
    end(&play);
    test_leave(&crowd);
    return 0;
}

/** Large areas among joined ones are closed as soon as they are freed: no long run is a failed unmap. */
static int free_large_areas(void *context)
{
    static struct play play;
    struct kva_vm_config config = plain_config();
    unsigned char *large[20];

    (void)context;
    config.cache_bytes = KVA_VM_NONE;
    config.lazy_bytes = KVA_VM_NONE;
    struct test_crowd crowd = begin(&play, &config, 100);
    for (size_t i = 0; i < 1000; i++)
        child_that(take(&play, i));
    for (size_t i = 0; i < 20; i++) {
        large[i] = kva_vmalloc(play.vm, 1000 * page);
        child_that(large[i] && take(&play, 1000 + i));
        large[i][500 * page] = 1;
    }
    for (size_t i = 0; i < 20; i++)
        child_that(kva_vfree(play.vm, large[i]) == KVA_OK && test_is_closed(large[i] + 500 * page));
    child_that(stats_of(play.vm).pages.failed_unmap_pages < 2000);
    expect_all_held(&play);
    child_that(count_marked(&play) < 1100);
    end(&play);
    test_leave(&crowd);
    return 0;
}

/** When the data limit is near as well, an area that fits by itself is not refused because of its gap. */
static int join_in_little_data(void *context)
{
    static struct play play;
    struct kva_vm_config config = plain_config();
    struct kva_vm_request request = kva_vm_request_of(page);
    struct rlimit data;
    void *memory;

    (void)context;
    struct test_crowd crowd = begin(&play, &config, 100);
    for (size_t i = 0; i < 300; i++)
        child_that(take(&play, i));
    uint64_t failed = stats_of(play.vm).pages.failed_unmap_pages;
    request.min = (uintptr_t)play.memory[299] + (uintptr_t)TEST_MIB;
    child_that(getrlimit(RLIMIT_DATA, &data) == 0);
    data.rlim_cur = (rlim_t)(test_data() + TEST_MIB / 2);
    child_that(setrlimit(RLIMIT_DATA, &data) == 0);
    child_that(kva_vm_alloc(play.vm, &request, &memory) == KVA_OK);
    child_that(stats_of(play.vm).pages.failed_unmap_pages == failed);
    child_that(kva_vfree(play.vm, memory) == KVA_OK);
    end(&play);
    test_leave(&crowd);
    return 0;
}

/** When all memory is locked, joined areas lock no more than they use. */
static int join_locked(void *context)
{
    static struct play play;
    struct kva_vm_config config = plain_config();
    struct kva_vm_request request = kva_vm_request_of(page);
    void *memory;

    (void)context;
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        return 77;
    config.cache_bytes = KVA_VM_NONE;
    config.lazy_bytes = KVA_VM_NONE;
    struct test_crowd crowd = begin(&play, &config, 100);
    for (size_t i = 0; i < 300; i++)
        child_that(take(&play, i));
    uint64_t before = test_resident();
    request.min = (uintptr_t)play.memory[299] + (uintptr_t)TEST_MIB;
    child_that(kva_vm_alloc(play.vm, &request, &memory) == KVA_OK);
    child_that(test_resident() <= before + TEST_MIB / 4);
    unsigned char *large = kva_vmalloc(play.vm, 400 * page);
    child_that(large && take(&play, 300) && kva_vfree(play.vm, large) == KVA_OK);
    child_that(test_resident() <= before + TEST_MIB / 2);
    child_that(kva_vfree(play.vm, memory) == KVA_OK);
    end(&play);
    test_leave(&crowd);
    return 0;
}

/** A child of fork goes on, though the kernel no longer merges some mappings. */
static int go_on_in_a_child(void *context)
{
    static struct play play;
    struct kva_vm_config config = plain_config();
    struct test_crowd crowd = begin(&play, &config, 300);
    int status;

    (void)context;
    for (size_t i = 0; i < many / 2; i++)
        child_that(take(&play, i));
    pid_t child = fork();
    child_that(child >= 0);
    take_all(&play);
    for (size_t i = 0; i < many; i += 3)
        give(&play, i);
    take_all(&play);
    expect_all_held(&play);
    test_leave(&crowd);
    child_that(kva_vm_purge(play.vm) == KVA_OK);
    child_that(stats_of(play.vm).pages.failed_unmap_pages == 0 && count_marked(&play) == 0);
    end(&play);
    if (child == 0)
        _exit(0);
    child_that(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_joined_areas(void **state)
{
    static const struct {
        const char *name;
        test_child_work *work;
    } plays[] = {
        {"more areas than mappings", take_more_than_fit},
        {"many calls", go_on_for_long},
        {"failed unmaps made up for", unmap_when_there_is_room},
        {"hardened", refuse_when_hardened},
        {"far away", go_far_away},
        {"in a child", go_on_in_a_child},
        {"large areas", free_large_areas},
        {"a low data limit", join_in_little_data},
        {"locked", join_locked},
    };

    (void)state;
    if (!test_can_reach_map_limit("areas that share mappings"))
        return;
    allowed = test_number_in("/proc/sys/vm/max_map_count", 0);
    for (size_t i = 0; i < sizeof(plays) / sizeof(plays[0]); i++) {
        struct test_child child = test_in_child(plays[i].work, NULL);
        if (child.code == 77)
            print_message("left out: %s: the system does not allow it\n", plays[i].name);
        else
            test_expect_success(&child, plays[i].name);
    }
}

static int set_up(void **state)
{
    (void)state;
    page = test_page();
    many = test_scaled(MOST) < 1000 ? 1000 : MOST;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joined_areas),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
