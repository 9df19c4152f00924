/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Limits of the process (addresses, data, descriptors, locked pages), of the kernel (mappings,
 * overcommitment), of the instance (space), and of numbers. At each limit a call returns the status of that
 * limit, and changes nothing; once the limit is gone, the call succeeds.
 *
 * Tests that change the process run in children. Tests that need the system's figures of resident memory or
 * mappings are left out where those are another program's: under an emulator, valgrind or a sanitizer, which
 * have memory and mappings of their own. Each such test prints that it is left out.
 */
#define _GNU_SOURCE
#include "../common/harness.h"
#include "../common/vmap.h"

#include <kva/pcpu.h>
#include <kva/vmap.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/** The first argument of getrlimit: glibc has an enumeration for it, other C libraries an int. */
#ifdef __GLIBC__
typedef __rlimit_resource_t rlimit_kind;
#else
typedef int rlimit_kind;
#endif

static size_t page; /* bytes */

/** An instance with the host's sources, `mib` MiB of addresses, half of them for frames. */
static struct kva_vm_config plain_config(enum kva_mechanism mechanism, uint64_t mib)
{
    return (struct kva_vm_config){
        .reservation = mib * TEST_MIB,
        .frames_part = mib * TEST_MIB / 2,
        .cpus = 2,
        .pages = kva_pages_host(mechanism),
    };
}

static struct kva_vm *plain(const struct kva_vm_config *config)
{
    struct kva_vm *vm;

    assert_int_equal(kva_vm_create(config, &vm), KVA_OK);
    return vm;
}

/* --------------------------------------------------------------------------------------------- many areas */

/** The areas of a child or of a test, each with its number as its stamp. */
struct areas {
    struct kva_vm *vm;
    unsigned char **memory;
    size_t count;
    size_t most;
    size_t pages; /* of each; 0: their number modulo 7, plus 1 */
};

static size_t pages_of(const struct areas *areas, size_t i)
{
    return areas->pages != 0 ? areas->pages : i % 7 + 1;
}

static void put_stamp(const struct areas *areas, size_t i)
{
    for (size_t k = 0; k < pages_of(areas, i); k++)
        memcpy(areas->memory[i] + k * page, &i, sizeof(i));
}

static bool has_stamp(const struct areas *areas, size_t i)
{
    for (size_t k = 0; k < pages_of(areas, i); k++) {
        if (memcmp(areas->memory[i] + k * page, &i, sizeof(i)) != 0)
            return false;
    }
    return true;
}

/** Allocate one more, and stamp it; false if it is refused. */
static bool take_one(struct areas *areas)
{
    size_t i = areas->count;

    areas->memory[i] = kva_vmalloc(areas->vm, pages_of(areas, i) * page);
    if (areas->memory[i] == NULL)
        return false;
    areas->count++;
    put_stamp(areas, i);
    return true;
}

/** Allocate until a request is refused, or there are `most`. */
static void take_most(struct areas *areas, size_t most)
{
    areas->most = most;
    areas->memory = malloc(most * sizeof(*areas->memory));
    while (areas->memory != NULL && areas->count < most && take_one(areas))
        continue;
}

/** Whether all areas still have their contents. */
static bool all_stamped(const struct areas *areas)
{
    for (size_t i = 0; i < areas->count; i++) {
        if (!has_stamp(areas, i))
            return false;
    }
    return true;
}

/** Free every `step`-th area; returns whether all frees succeeded. */
static bool give_some(struct areas *areas, size_t step)
{
    bool all = true;

    for (size_t i = 0; i < areas->count; i += step) {
        all = kva_vfree(areas->vm, areas->memory[i]) == KVA_OK && all;
        areas->memory[i] = NULL;
    }
    return all;
}

/** Free the remaining areas. */
static bool give_all(struct areas *areas)
{
    bool all = true;

    for (size_t i = 0; i < areas->count; i++) /* NULL: already freed */
        all = kva_vfree(areas->vm, areas->memory[i]) == KVA_OK && all;
    free(areas->memory);
    areas->memory = NULL;
    areas->count = 0;
    return all;
}

/** Touch a byte, in a child. */
static int touch(void *address)
{
    (void)test_read_byte(address);
    return 0;
}

static void expect_fault(void *address, const char *what)
{
    struct test_child child = test_in_child(touch, address);
    check_that(child.signal == SIGSEGV, "%s: SIGSEGV expected, signal %d found", what, child.signal);
}

/* ----------------------------------------------------------------------------------------------- mappings */

/** How many single pages are live at once: with their guards, more than a process may have mappings. Fewer
 *  where each change takes long; then a crowd takes most mappings. */
static size_t very_many(void)
{
    if (test_under_valgrind() || test_is_emulated())
        return 256; /* valgrind counts mappings itself, and stops at some thousand; emulators are slow */
    return KVA_CHECK_LEVEL >= 3 ? 2048 : 32768;
}

/** The mappings that a process may have, less those that an instance leaves to the program. */
static uint64_t three_quarters(void)
{
    uint64_t allowed = test_number_in("/proc/sys/vm/max_map_count", 0);

    return allowed - allowed / 4;
}

/** The guard after an area faults, or the area is marked as a failed unmap. */
static void expect_guard(const struct areas *areas, size_t i, const char *what)
{
    struct kva_vm_area area;

    assert_int_equal(kva_vm_find(areas->vm, areas->memory[i], &area), KVA_OK);
    if (!area.failed_unmap)
        expect_fault(areas->memory[i] + page, what);
}

/** Guard regions take no mappings; the other mechanism does without guards when mappings run short. */
static void test_32768_guarded_pages(void **state)
{
    enum kva_mechanism mechanism;
    const size_t wanted = very_many();
    bool own = test_is_on_its_own("how many mappings 32,768 areas take");

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct kva_vm_config config = plain_config(mechanism, 1024);
        struct test_crowd crowd =
            own && wanted < 32768 ? test_crowd_in(test_number_in("/proc/sys/vm/max_map_count", 0) / 16 + 3000)
                                  : (struct test_crowd){NULL, 0};
        struct areas areas = {.vm = plain(&config), .pages = 1};
        size_t mappings = test_mappings();
        take_most(&areas, wanted);
        assert_true(all_stamped(&areas));
        struct kva_vm_stats stats = test_vm_stats(areas.vm);
        if (mechanism == KVA_MECHANISM_GUARDS) {
            assert_int_equal(stats.pages.failed_unmap_pages, 0);
            if (own)
                assert_in_range(test_mappings(), 1, mappings + 20);
        } else if (own && crowd.first == NULL) {
            assert_in_range(test_mappings(), 1, three_quarters());
        }
        assert_int_equal(areas.count, wanted);
        assert_int_equal(stats.live_areas, areas.count);
        assert_int_equal(stats.live_bytes, areas.count * page);
        assert_int_equal(kva_vm_check(areas.vm, NULL), KVA_OK);
        expect_guard(&areas, areas.count / 2, "a guard among many");
        expect_guard(&areas, areas.count - 1, "the last guard");
        assert_true(give_some(&areas, 3));
        assert_int_equal(kva_vm_purge(areas.vm), KVA_OK);
        for (size_t i = 0; i < areas.count; i++)
            assert_true(areas.memory[i] == NULL || has_stamp(&areas, i));
        assert_true(give_all(&areas));
        assert_int_equal(kva_vm_purge(areas.vm), KVA_OK);
        if (own)
            assert_in_range(test_mappings(), 1, mappings + 4); /* malloc may have made some */
        assert_int_equal(kva_vm_destroy(areas.vm, NULL, NULL), KVA_OK);
        test_leave(&crowd);
    }
}

/** Areas of a hardened instance at the limit on mappings. The library refuses before the kernel does, so
 *  others can still map. */
static int cross_with_areas(void *context)
{
    struct kva_vm_config *config = context;
    struct areas areas = {.pages = 1};
    uint64_t allowed = test_number_in("/proc/sys/vm/max_map_count", 0);
    uint64_t left = allowed / 16 + 3000; /* a sixteenth is kept free */

    struct test_crowd crowd = test_crowd_in(left);
    child_that(crowd.first != NULL);
    child_that(kva_vm_create(config, &areas.vm) == KVA_OK);
    take_most(&areas, 3000);
    child_that(areas.count < 1500 && kva_vm_status(areas.vm) == KVA_ELIMIT);
    child_that(areas.count > 1400); /* and not much too early */
    child_that(test_mappings() < allowed - allowed / 32);
    struct kva_vm_stats stats;
    child_that(kva_vm_stats_read(areas.vm, &stats) == KVA_OK);
    child_that(stats.pages.mappings <= stats.pages.mappings_limit);
    child_that(stats.pages.mappings_limit < 3000);
    child_that(stats.live_areas == areas.count && stats.pages.failed_unmaps == 0);
    void *others = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    child_that(others != MAP_FAILED && munmap(others, page) == 0);
    child_that(all_stamped(&areas));

    for (size_t i = 0; i < areas.count; i += 100)
        child_that(test_is_closed(areas.memory[i] + page));

    /* A free makes room. */
    child_that(kva_vfree(areas.vm, areas.memory[0]) == KVA_OK);
    areas.memory[0] = kva_vmalloc(areas.vm, page);
    child_that(areas.memory[0] != NULL);
    put_stamp(&areas, 0);
    child_that(kva_vmalloc(areas.vm, page) == NULL && kva_vm_status(areas.vm) == KVA_ELIMIT);
    child_that(give_some(&areas, 2));
    child_that(kva_vmalloc(areas.vm, 3 * page) != NULL);
    for (size_t i = 0; i < areas.count; i++)
        child_that(areas.memory[i] == NULL || has_stamp(&areas, i));
    child_that(kva_vm_check(areas.vm, NULL) == KVA_OK);
    child_that(kva_vm_destroy(areas.vm, NULL, NULL) == KVA_EBUSY);
    child_that(kva_vm_abandon(areas.vm, NULL, NULL) == KVA_OK);
    child_that(test_mappings() < allowed - left + 100);
    return 0;
}

/** With guard regions large areas have mappings of their own only while mappings are plentiful, so they never
 *  exhaust them. */
static int take_large_areas(void *context)
{
    struct kva_vm_config *config = context;
    struct areas areas = {.pages = 65};
    uint64_t left = test_number_in("/proc/sys/vm/max_map_count", 0) / 16 + 1200;

    child_that(test_crowd_in(left).first != NULL);
    child_that(kva_vm_create(config, &areas.vm) == KVA_OK);
    size_t before = test_mappings();
    take_most(&areas, 900);
    child_that(areas.count == 900 && all_stamped(&areas));
    child_that(test_mappings() < before + 200);
    struct kva_vm_stats stats;
    child_that(kva_vm_stats_read(areas.vm, &stats) == KVA_OK);
    child_that(stats.pages.mappings <= stats.pages.mappings_limit);
    /* The library counts at least the existing mappings. */
    child_that(stats.pages.mappings + 1 >= test_mappings() - before);
    child_that(test_is_closed(areas.memory[0] + 65 * page) && test_is_closed(areas.memory[899] + 65 * page));
    child_that(give_some(&areas, 2) && kva_vm_purge(areas.vm) == KVA_OK);
    for (size_t i = 0; i < areas.count; i++)
        child_that(areas.memory[i] == NULL || has_stamp(&areas, i));
    child_that(give_all(&areas) && kva_vm_purge(areas.vm) == KVA_OK);
    child_that(test_mappings() < before + 200);
    child_that(kva_vm_destroy(areas.vm, NULL, NULL) == KVA_OK);
    return 0;
}

/** Others reach the kernel's limit: the library finds out that memory was not the reason. */
static int reach_the_kernels_limit(void *context)
{
    struct kva_vm_config *config = context;
    struct kva_vm *vm;
    unsigned char *kept;

    child_that(kva_vm_create(config, &vm) == KVA_OK);
    child_that((kept = kva_vmalloc(vm, page)) != NULL);
    kept[0] = 1;
    struct test_crowd crowd = test_crowd_in(1);
    child_that(crowd.first != NULL);
    while (mmap(NULL, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        continue;
    struct kva_vm_request request = kva_vm_request_of(64 * page);
    void *memory;
    request.min = (uintptr_t)kept + (uintptr_t)(100 * TEST_MIB); /* far away, where it splits a mapping */
    enum kva_status status = kva_vm_alloc(vm, &request, &memory);
    test_leave(&crowd);
    child_that(status == KVA_ELIMIT && kva_vm_status(vm) == KVA_ELIMIT);
    child_that(kept[0] == 1 && kva_vm_check(vm, NULL) == KVA_OK);
    child_that(kva_vm_alloc(vm, &request, &memory) == KVA_OK);
    child_that(kva_vm_destroy(vm, NULL, NULL) == KVA_EBUSY);
    child_that(kva_vm_abandon(vm, NULL, NULL) == KVA_OK);
    return 0;
}

/** At the limit on mappings: maps of one frame each, and maps of many runs, of which the last one is
 *  refused. */
static int cross_with_maps(void *context)
{
    struct kva_vm_config *config = context;
    uint64_t allowed = test_number_in("/proc/sys/vm/max_map_count", 0);
    uint64_t left = allowed / 16 + 10000;
    struct kva_vm *vm;
    struct kva_vm_frames *frames;
    struct kva_vm_stats stats;
    uint64_t numbers[2000];
    size_t count = 0;

    child_that(test_crowd_in(left).first != NULL);
    child_that(kva_vm_create(config, &vm) == KVA_OK);
    child_that(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = 2000}, &frames) == KVA_OK);
    child_that(kva_vm_frames_alloc(frames, 2000, numbers) == KVA_OK);
    for (size_t i = 0; i < 1000; i++) { /* in reverse order: each frame is a run of its own */
        uint64_t number = numbers[i];
        numbers[i] = numbers[1999 - i];
        numbers[1999 - i] = number;
    }
    while (kva_vmap(vm, frames, numbers, 2000) != NULL)
        count++;
    child_that(kva_vm_status(vm) == KVA_ELIMIT && count >= 2);
    child_that(kva_vm_stats_read(vm, &stats) == KVA_OK);
    child_that(stats.live_areas == count && stats.pages.mappings <= stats.pages.mappings_limit);
    child_that(test_mappings() < allowed - allowed / 32);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    while (kva_vmap(vm, frames, numbers, 1) != NULL)
        count++;
    child_that(kva_vm_status(vm) == KVA_ELIMIT);
    child_that(kva_map_ram(vm, frames, numbers, 1) == NULL && kva_vm_status(vm) == KVA_ELIMIT);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    child_that(kva_vm_destroy(vm, NULL, NULL) == KVA_EBUSY);
    child_that(kva_vm_abandon(vm, NULL, NULL) == KVA_OK);
    child_that(test_mappings() < allowed - left + 100);
    return 0;
}

static void *single(void)
{
    return mmap(NULL, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0); /* merges with nothing */
}

/** The program's mappings exceed the limit while maps and areas are live. Maps and areas end as usual:
 *  they fault after a purge, their mappings are gone, and there is room again, for the program and for the
 *  instance. */
static int end_above_the_limit(void *context)
{
    struct kva_vm_config *config = context;
    struct kva_vm *vm;
    struct kva_vm_frames *frames;
    struct kva_vm_stats stats;
    uint64_t numbers[4];
    unsigned char *maps[50];

    child_that(kva_vm_create(config, &vm) == KVA_OK);
    child_that(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = 16}, &frames) == KVA_OK);
    child_that(kva_vm_frames_alloc(frames, 4, numbers) == KVA_OK);
    uint64_t apart[2] = {numbers[0], numbers[2]};
    for (size_t i = 0; i < 50; i++)
        child_that(kva_vm_map(vm, frames, apart, 2, 0, (void **)&maps[i]) == KVA_OK);
    unsigned char *area = kva_vmalloc(vm, 200 * page);
    unsigned char *kept = kva_vmalloc(vm, 3 * page);
    child_that(area != NULL && kept != NULL);
    memset(area, 1, 200 * page);
    memset(kept, 2, 3 * page);
    child_that(test_crowd_in(100).first != NULL);
    while (single() != MAP_FAILED)
        continue;
    size_t full = test_mappings();
    child_that(kva_vmap(vm, frames, apart, 2) == NULL && kva_vm_status(vm) == KVA_ELIMIT);

    for (size_t i = 0; i < 50; i++)
        child_that(kva_vunmap(vm, maps[i]) == KVA_OK);
    child_that(kva_vm_purge(vm) == KVA_OK);
    child_that(test_is_closed(maps[0]) && test_is_closed(maps[49] + page));
    child_that(test_mappings() <= full - 150); /* each map took two, and its guard another */
    void *others = single();
    child_that(others != MAP_FAILED);
    child_that(kva_vm_frames_free(frames, numbers + 3, 1) == KVA_OK);
    while (single() != MAP_FAILED)
        continue;
    child_that(kva_vfree(vm, area) == KVA_OK && kva_vm_purge(vm) == KVA_OK);
    child_that(test_is_closed(area) && test_is_closed(area + 199 * page));
    child_that(kva_vm_stats_read(vm, &stats) == KVA_OK);
    child_that(stats.pages.failed_unmap_pages == 0 && stats.pages.failed_unmaps == 0);
    child_that(kept[0] == 2 && kept[3 * page - 1] == 2);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    child_that(kva_vfree(vm, kept) == KVA_OK);
    child_that(kva_vm_frames_free(frames, numbers, 3) == KVA_OK && kva_vm_frames_destroy(frames) == KVA_OK);
    child_that(kva_vm_destroy(vm, NULL, NULL) == KVA_OK);
    child_that(test_mappings() < full);
    return 0;
}

/** The tail of an area is freed above the limit, where only markers can close it. Otherwise a purge closes
 *  it once there is room. */
static int purge_failed_unmaps(void *context)
{
    struct kva_vm_config *config = context;
    struct kva_vm *vm;
    struct kva_vm_stats stats;
    void *singles[400];
    size_t count = 0;

    child_that(kva_vm_create(config, &vm) == KVA_OK);
    unsigned char *area = kva_vmalloc(vm, 100 * page);
    child_that(area != NULL);
    memset(area, 1, 100 * page);
    struct test_crowd crowd = test_crowd_in(100);
    child_that(crowd.first != NULL);
    while (count < 400 && (singles[count] = single()) != MAP_FAILED)
        count++;
    child_that(count < 400);
    child_that(kva_vrealloc(vm, area, 40 * page, 0) == area);
    child_that(kva_vm_stats_read(vm, &stats) == KVA_OK);
    child_that(stats.pages.failed_unmap_pages == (test_is_closed(area + 40 * page) ? 0 : 60));
    child_that(stats.pages.failed_unmaps == (stats.pages.failed_unmap_pages > 0));
    child_that(kva_vm_purge(vm) == KVA_OK && area[0] == 1 && area[40 * page - 1] == 1);
    while (count > 0)
        child_that(munmap(singles[--count], page) == 0);
    test_leave(&crowd);
    child_that(kva_vm_purge(vm) == KVA_OK);
    child_that(kva_vm_stats_read(vm, &stats) == KVA_OK && stats.pages.failed_unmap_pages == 0);
    child_that(test_is_closed(area + 40 * page) && test_is_closed(area + 99 * page));
    child_that(area[0] == 1 && area[40 * page - 1] == 1);
    child_that(kva_vfree(vm, area) == KVA_OK && kva_vm_check(vm, NULL) == KVA_OK);
    child_that(kva_vm_destroy(vm, NULL, NULL) == KVA_OK);
    return 0;
}

static void test_limit_on_mappings(void **state)
{
    struct kva_vm_config config = plain_config(KVA_MECHANISM_MAPPINGS, 512);
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_can_reach_map_limit("crossing the limit on mappings"))
        return;
    config.hardened = true;
    struct test_child child = test_in_child(cross_with_areas, &config);
    test_expect_success(&child, "areas");
    config.hardened = false;
    for_each_mechanism (mechanism, i) {
        config.pages = kva_pages_host(mechanism);
        if (mechanism == KVA_MECHANISM_GUARDS) {
            child = test_in_child(take_large_areas, &config);
            test_expect_success(&child, "large areas");
        }
        child = test_in_child(cross_with_maps, &config);
        test_expect_success(&child, test_mechanism_name(mechanism));
        child = test_in_child(reach_the_kernels_limit, &config);
        test_expect_success(&child, test_mechanism_name(mechanism));
        child = test_in_child(end_above_the_limit, &config);
        test_expect_success(&child, test_mechanism_name(mechanism));
        child = test_in_child(purge_failed_unmaps, &config);
        test_expect_success(&child, test_mechanism_name(mechanism));
    }
}

/* -------------------------------------------------------------------------------------------- the process */

static bool limit(rlimit_kind resource, uint64_t bytes)
{
    struct rlimit was;

    if (getrlimit(resource, &was) != 0)
        return false;
    was.rlim_cur = (rlim_t)bytes;
    return setrlimit(resource, &was) == 0;
}

static bool unlimit(rlimit_kind resource)
{
    struct rlimit was;

    if (getrlimit(resource, &was) != 0)
        return false;
    was.rlim_cur = was.rlim_max;
    return setrlimit(resource, &was) == 0;
}

/** Addresses are short before an instance is made: it takes fewer, or creation fails. */
static int create_in_few_addresses(void *context)
{
    struct kva_vm_config config = plain_config(*(enum kva_mechanism *)context, 1024);
    struct kva_vm *vm = NULL;
    struct kva_vm_stats stats;

    uint64_t before = test_addresses();
    child_that(limit(RLIMIT_AS, before + 100 * TEST_MIB));
    config.reservation_least = 512 * TEST_MIB;
    child_that(kva_vm_create(&config, &vm) == KVA_ENOSPC && vm == NULL);
    child_that(test_addresses() <= before + TEST_MIB);
    config.reservation_least = 16 * TEST_MIB;
    child_that(kva_vm_create(&config, &vm) == KVA_OK);
    child_that(kva_vm_stats_read(vm, &stats) == KVA_OK);
    uint64_t bytes = stats.reservation_last - stats.reservation_first + 1;
    child_that(bytes == 64 * TEST_MIB); /* 1 GiB, halved until it fits */
    struct areas areas = {.vm = vm, .pages = 16};
    take_most(&areas, 16384);
    child_that(areas.count >= 32 * TEST_MIB / (17 * page) - 8 && kva_vm_status(vm) == KVA_ENOSPC);
    child_that(all_stamped(&areas));
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    child_that(give_all(&areas));
    child_that(kva_vm_destroy(vm, NULL, NULL) == KVA_OK);
    child_that(test_addresses() <= before + TEST_MIB);
    return 0;
}

/** Memory is short: bookkeeping cannot grow, and pages cannot be opened. */
static int run_out_of_data(void *context)
{
    struct kva_vm_config config = plain_config(*(enum kva_mechanism *)context, 1024);
    struct areas areas = {.pages = 10};

    child_that(kva_vm_create(&config, &areas.vm) == KVA_OK);
    child_that(take_one(&(struct areas){.vm = areas.vm, .memory = (unsigned char *[1]){NULL}, .pages = 1}));
    areas.memory = malloc(4096 * sizeof(*areas.memory));
    areas.most = 4096;
    child_that(limit(RLIMIT_DATA, test_data() + 40 * TEST_MIB));
    while (areas.count < areas.most && take_one(&areas))
        continue;
    child_that(areas.count < areas.most);
    child_that(areas.count >= 20 * TEST_MIB / (11 * page));
    child_that(kva_vm_status(areas.vm) == KVA_ENOMEM);
    child_that(all_stamped(&areas));
    child_that(kva_vm_check(areas.vm, NULL) == KVA_OK);
    struct kva_vm_stats stats;
    child_that(kva_vm_stats_read(areas.vm, &stats) == KVA_OK);
    child_that(stats.live_areas == areas.count + 1 && stats.retries >= 1);
    child_that(unlimit(RLIMIT_DATA));
    child_that(take_one(&areas));
    child_that(all_stamped(&areas));
    child_that(give_all(&areas));
    child_that(kva_vm_destroy(areas.vm, NULL, NULL) == KVA_EBUSY); /* the first area is live */
    child_that(kva_vm_abandon(areas.vm, NULL, NULL) == KVA_OK);
    return 0;
}

/** No descriptor for a frame set's file. */
static int run_out_of_descriptors(void *context)
{
    struct kva_vm_config config = plain_config(*(enum kva_mechanism *)context, 64);
    struct kva_vm *vm;
    struct kva_vm_frames *frames = NULL;
    uint64_t number;

    child_that(kva_vm_create(&config, &vm) == KVA_OK);
    child_that(limit(RLIMIT_NOFILE, 3));
    child_that(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = 10}, &frames) == KVA_ENOMEM &&
               frames == NULL);
    child_that(kva_vm_status(vm) == KVA_ENOMEM);
    child_that(unlimit(RLIMIT_NOFILE));
    child_that(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = 10}, &frames) == KVA_OK);
    child_that(kva_vm_frames_alloc(frames, 1, &number) == KVA_OK);
    child_that(kva_vmap(vm, frames, &number, 1) != NULL);
    child_that(kva_vm_destroy(vm, NULL, NULL) == KVA_EBUSY);
    child_that(kva_vm_abandon(vm, NULL, NULL) == KVA_OK);
    return 0;
}

static void test_limits_of_the_process(void **state)
{
    static const struct {
        const char *name;
        test_child_work *work;
    } limits[] = {
        {"addresses", create_in_few_addresses},
        {"data", run_out_of_data},
        {"descriptors", run_out_of_descriptors},
    };
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_is_on_its_own("limits on the process' addresses and data"))
        return;
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
            struct test_child child = test_in_child(limits[i].work, &mechanism);
            test_expect_success(&child, limits[i].name);
        }
    }
}

/** Locked pages cannot be guarded or dropped by advice. They are nevertheless emptied and closed. */
static int free_locked_pages(void *context)
{
    struct kva_vm_config config = plain_config(*(enum kva_mechanism *)context, 64);
    struct kva_vm *vm;
    struct kva_vm_stats stats;

    child_that(kva_vm_create(&config, &vm) == KVA_OK);
    unsigned char *memory = kva_vmalloc(vm, 3 * page);
    unsigned char *above = kva_vmalloc(vm, page);
    child_that(memory != NULL && above != NULL);
    memset(memory, 0x77, 3 * page);
    above[0] = 0x66;
    if (mlock(memory, 3 * page) != 0)
        return 77; /* not allowed here */
    child_that(!test_is_closed(memory) && test_is_closed(memory + 3 * page));
    child_that(kva_vfree(vm, memory) == KVA_OK);
    child_that(kva_vm_purge(vm) == KVA_OK);
    child_that(kva_vm_stats_read(vm, &stats) == KVA_OK);
    child_that(stats.pages.failed_unmaps == 0);
    child_that(test_is_closed(memory) && test_is_closed(memory + 3 * page - 1) &&
               test_is_closed(memory + 3 * page));
    child_that(above[0] == 0x66);
    unsigned char *again = kva_vmalloc(vm, 3 * page);
    child_that(again == memory); /* the lowest place */
    for (size_t i = 0; i < 3 * page; i++)
        child_that(again[i] == 0);
    child_that(test_is_closed(again + 3 * page));
    child_that(kva_vfree(vm, again) == KVA_OK && kva_vfree(vm, above) == KVA_OK);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    child_that(kva_vm_destroy(vm, NULL, NULL) == KVA_OK);
    return 0;
}

static void test_locked_pages(void **state)
{
    (void)state;
    test_locking_on_each_mechanism(free_locked_pages);
}

static bool is_limited(rlimit_kind resource)
{
    struct rlimit now;

    assert_int_equal(getrlimit(resource, &now), 0);
    return now.rlim_cur != RLIM_INFINITY;
}

/** Twice as much as the machine's memory: untouched pages cost nothing, unless the system does not
 *  overcommit. */
static void test_overcommitment(void **state)
{
    enum kva_mechanism mechanism;
    uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * page;

    (void)state;
    if (sizeof(void *) < 8 || is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA) ||
        !test_is_on_its_own("an area twice as large as memory"))
        return;
    for_each_mechanism (mechanism, k) {
        struct kva_vm_config config = plain_config(mechanism, 8 * ram / TEST_MIB);
        struct kva_vm *vm = plain(&config);
        uint64_t before = test_resident();
        unsigned char *memory = kva_vmalloc(vm, (size_t)(2 * ram));
        if (test_number_in("/proc/sys/vm/overcommit_memory", 0) == 2) {
            assert_null(memory);
            assert_int_equal(kva_vm_status(vm), KVA_ENOMEM);
        } else {
            assert_non_null(memory);
            memory[0] = 1;
            memory[2 * ram - 1] = 1;
            assert_int_equal(memory[ram], 0);
            expect_fault(memory + 2 * ram, "its guard");
            assert_in_range(test_resident(), 0, before + 4 * TEST_MIB);
        }
        assert_int_equal(kva_vfree(vm, memory), KVA_OK);
        assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
    }
}

/* -------------------------------------------------------------------------------------------------- space */

/** Fill the private part to the last page, and free it: all of it can be allocated again. */
static void test_space_to_the_last_page(void **state)
{
    enum kva_mechanism mechanism;
    struct test_vm test;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (unsigned guards = 0; guards < 2; guards++) {
            struct kva_vm_config config = test_vm_config(&test, mechanism);
            config.reservation = 16 * TEST_MIB;
            config.frames_part = 8 * TEST_MIB;
            config.without_guards = guards == 0;
            test_vm_create(&test, &config);
            size_t all = (size_t)(8 * TEST_MIB);
            for (unsigned round = 0; round < 3; round++) {
                void *memory = kva_vmalloc(test.vm, all - guards * page);
                assert_non_null(memory);
                assert_null(kva_vmalloc(test.vm, 1));
                assert_int_equal(kva_vm_status(test.vm), KVA_ENOSPC);
                assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
                assert_null(kva_vmalloc(test.vm, all - guards * page + 1));
                assert_int_equal(kva_vm_status(test.vm), KVA_ENOSPC);

                struct areas areas = {.vm = test.vm};
                take_most(&areas, all / page);
                assert_int_equal(kva_vm_status(test.vm), KVA_ENOSPC);
                assert_true(all_stamped(&areas));
                uint64_t used = 0;
                for (size_t i = 0; i < areas.count; i++)
                    used += (pages_of(&areas, i) + guards) * page;
                assert_in_range(all - used, 0, (pages_of(&areas, areas.count) + guards) * page - 1);
                assert_true(give_all(&areas));
            }
            test_vm_expect_sound(&test, "filled");
            test_vm_destroy(&test);
        }
    }
}

/** Areas at the end of the private part and maps at the start of the frames' part are purged as two runs. */
static void test_runs_end_where_the_frames_begin(void **state)
{
    enum kva_mechanism mechanism;
    struct test_vm test;
    struct kva_vm_frames *frames;
    uint64_t number;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct kva_vm_config config = test_vm_config(&test, mechanism);
        config.cache_bytes = KVA_VM_NONE;
        config.lazy_bytes = 64 * TEST_MIB;
        test_vm_create(&test, &config);
        /* With its guard, the whole private part. */
        void *memory = kva_vmalloc(test.vm, (size_t)(32 * TEST_MIB) - page);
        assert_non_null(memory);
        assert_int_equal(kva_vm_frames_create(test.vm, &(struct kva_vm_frames_config){.count = 1}, &frames),
                         KVA_OK);
        assert_int_equal(kva_vm_frames_alloc(frames, 1, &number), KVA_OK);
        unsigned char *map = kva_vmap(test.vm, frames, &number, 1);
        assert_ptr_equal(map, (unsigned char *)memory + 32 * TEST_MIB);
        assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
        assert_int_equal(kva_vunmap(test.vm, map), KVA_OK);
        assert_int_equal(test_vm_stats(test.vm).parked_areas, 2);
        assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
        assert_int_equal(test_vm_stats(test.vm).purged_runs, 2);
        assert_int_equal(test.pages.open_pages + test.pages.mapped_pages, 0);
        test_vm_destroy(&test);
    }
}

/** The frames' part is full: maps are refused, private memory is not; parked maps make room for requests. */
static void test_frames_part_is_full(void **state)
{
    enum kva_mechanism mechanism;
    struct test_vm test;
    struct kva_vm_frames *frames;
    uint64_t numbers[64];
    void *maps[1024];

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct kva_vm_config config = test_vm_config(&test, mechanism);
        size_t count = 0;
        config.reservation = 16 * TEST_MIB;
        config.frames_part = 4 * TEST_MIB;
        test_vm_create(&test, &config);
        assert_int_equal(kva_vm_frames_create(test.vm, &(struct kva_vm_frames_config){.count = 64}, &frames),
                         KVA_OK);
        assert_int_equal(kva_vm_frames_alloc(frames, 64, numbers), KVA_OK);
        void *ram = kva_map_ram(test.vm, frames, numbers, 8);
        assert_non_null(ram);
        assert_int_equal(kva_unmap_ram(test.vm, ram), KVA_OK);
        while ((maps[count] = kva_vmap(test.vm, frames, numbers, 30)) != NULL)
            count++;
        assert_int_equal(kva_vm_status(test.vm), KVA_ENOSPC);
        size_t fit = (size_t)(4 * TEST_MIB / (31 * page));
        assert_in_range(count, fit - 1, fit); /* the parked map was purged, and left one edge */
        assert_int_equal(test_vm_stats(test.vm).ram_parked, 0);
        assert_null(kva_map_ram(test.vm, frames, numbers, 30));
        assert_int_equal(kva_vm_status(test.vm), KVA_ENOSPC);
        ram = kva_map_ram(test.vm, frames, numbers, 1); /* there is room for this */
        assert_non_null(ram);
        assert_int_equal(kva_vunmap(test.vm, maps[count - 1]), KVA_OK);
        void *in_its_place = kva_map_ram(test.vm, frames, numbers, 25);
        assert_non_null(in_its_place);
        assert_int_equal(kva_unmap_ram(test.vm, in_its_place), KVA_OK);
        assert_int_equal(test_vm_stats(test.vm).ram_parked, 1);
        maps[count - 1] = kva_vmap(test.vm, frames, numbers, 30);
        assert_non_null(maps[count - 1]);
        assert_int_equal(test_vm_stats(test.vm).ram_parked, 0);
        void *memory = kva_vmalloc(test.vm, 1);
        assert_non_null(memory);
        assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
        assert_int_equal(kva_unmap_ram(test.vm, ram), KVA_OK);
        while (count > 0)
            assert_int_equal(kva_vunmap(test.vm, maps[--count]), KVA_OK);
        test_vm_expect_sound(&test, "full of maps");
        test_vm_destroy(&test);
    }
}

/** A reclaim callback that must not be called: a request without blocking purges nothing and calls no
 *  callback. */
static bool never_asked(void *context, struct kva_vm *vm, size_t size)
{
    (void)vm;
    (void)size;
    ++*(unsigned *)context;
    return false;
}

/** An instance of 4 MiB of private memory and 4 MiB for frames, which keeps all freed areas. */
static void set_up_keeper(struct test_vm *test, enum kva_mechanism mechanism, bool hardened)
{
    struct kva_vm_config config = test_vm_config(test, mechanism);

    config.reservation = 8 * TEST_MIB;
    config.frames_part = 4 * TEST_MIB;
    config.lazy_bytes = 8 * TEST_MIB;
    config.cache_bytes = 100 * page; /* larger areas are parked */
    config.hardened = hardened;
    test_vm_create(test, &config);
}

/** Maps of most of the frames' part are made and unmapped. */
static void park_maps(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *number)
{
    uint64_t numbers[149];

    for (size_t i = 0; i < 149; i++)
        numbers[i] = *number;
    for (unsigned i = 0; i < 6; i++) {
        void *map = kva_vmap(vm, frames, numbers, 149);
        assert_non_null(map);
        assert_int_equal(kva_vunmap(vm, map), KVA_OK);
    }
}

enum { TOO_MANY = 1024 }; /* pages, of the 1,024 of either part with their guards */

/** Requests too large for the holes. */
static void expect_refusals_without_block(struct kva_vm *vm, struct kva_vm_frames *frames,
                                          const uint64_t *number, void *live, size_t pages,
                                          enum kva_status refusal)
{
    struct kva_vm_request request = kva_vm_request_of(pages * page);
    uint64_t numbers[TOO_MANY];
    void *memory;

    for (size_t i = 0; i < pages; i++)
        numbers[i] = *number;
    request.flags = KVA_VM_NO_BLOCK;
    assert_int_equal(kva_vm_alloc(vm, &request, &memory), refusal);
    assert_int_equal(kva_vm_realloc(vm, live, pages * page, KVA_VM_NO_BLOCK, &memory), refusal);
    assert_int_equal(kva_vm_map(vm, frames, numbers, pages, KVA_VM_NO_BLOCK, &memory), refusal);
}

/** A cached area, and a hole. */
static void expect_two_requests_served(struct kva_vm *vm)
{
    struct kva_vm_request request = kva_vm_request_of(page);
    void *memory;

    request.flags = KVA_VM_NO_BLOCK;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(kva_vm_alloc(vm, &request, &memory), KVA_OK);
        assert_int_equal(kva_vfree(vm, memory), KVA_OK);
    }
    assert_int_equal(test_vm_stats(vm).cache_hits, 1);
}

static void test_no_block_never_purges(void **state)
{
    enum kva_mechanism mechanism;
    struct test_vm test;
    struct kva_vm_frames *frames;
    uint64_t number;
    unsigned asked = 0;
    struct kva_vm_reclaim reclaim = {never_asked, &asked, {NULL}};

    (void)state;
    for_each_mechanism (mechanism, k) {
        set_up_keeper(&test, mechanism, false);
        assert_int_equal(kva_vm_reclaim_add(test.vm, &reclaim), KVA_OK);
        assert_int_equal(kva_vm_frames_create(test.vm, &(struct kva_vm_frames_config){.count = 1}, &frames),
                         KVA_OK);
        assert_int_equal(kva_vm_frames_alloc(frames, 1, &number), KVA_OK);
        struct areas areas = {.vm = test.vm, .pages = 150};
        take_most(&areas, 6); /* 6 x 151 of 1024 pages */
        assert_int_equal(areas.count, 6);
        void *live = areas.memory[5];
        areas.count = 5;
        assert_true(give_all(&areas));
        park_maps(test.vm, frames, &number);
        struct kva_vm_stats before = test_vm_stats(test.vm);
        assert_int_equal(before.parked_areas, 11);
        expect_refusals_without_block(test.vm, frames, &number, live, 500, KVA_EAGAIN);
        expect_two_requests_served(test.vm);
        struct kva_vm_stats after = test_vm_stats(test.vm);
        assert_int_equal(after.purges, before.purges);
        assert_int_equal(after.retries, before.retries);
        assert_int_equal(after.parked_areas, 11);
        assert_int_equal(after.pages.calls.close, before.pages.calls.close);
        assert_int_equal(after.pages.calls.unmap, before.pages.calls.unmap);
        assert_int_equal(asked, 0);
        void *memory = kva_vmalloc(test.vm, 500 * page); /* a request that may block succeeds */
        assert_non_null(memory);
        assert_true(test_vm_stats(test.vm).parked_areas < 11);
        kva_vm_purge(test.vm);
        /* With the callback, help is possible; without it, none is. */
        expect_refusals_without_block(test.vm, frames, &number, live, TOO_MANY, KVA_EAGAIN);
        assert_int_equal(kva_vm_reclaim_remove(test.vm, &reclaim), KVA_OK);
        expect_refusals_without_block(test.vm, frames, &number, live, TOO_MANY, KVA_ENOSPC);
        assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
        assert_int_equal(kva_vfree(test.vm, live), KVA_OK);
        test_vm_destroy(&test);
    }
}

/** A request without blocking does not end a quarantine. */
static void test_no_block_leaves_the_quarantine(void **state)
{
    enum kva_mechanism mechanism;
    struct test_vm test;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct kva_vm_request request = kva_vm_request_of(600 * page); /* of 1024 */
        void *memory;
        set_up_keeper(&test, mechanism, true);
        assert_int_equal(kva_vm_alloc(test.vm, &request, &memory), KVA_OK);
        assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
        request.flags = KVA_VM_NO_BLOCK;
        assert_int_equal(kva_vm_alloc(test.vm, &request, &memory), KVA_EAGAIN);
        assert_int_equal(test_vm_stats(test.vm).quarantined_areas, 1);
        assert_int_equal(test_vm_stats(test.vm).retries, 0);
        request.flags = 0;
        assert_int_equal(kva_vm_alloc(test.vm, &request, &memory), KVA_OK);
        assert_int_equal(test_vm_stats(test.vm).quarantined_areas, 0);
        assert_int_equal(test_vm_stats(test.vm).retries, 1);
        assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
        test_vm_destroy(&test);
    }
}

/* ------------------------------------------------------------------------------------------------ numbers */

/** Sizes near SIZE_MAX: refused, each with its status, and nothing is allocated. */
static void test_sizes_near_the_end(void **state)
{
    enum kva_mechanism mechanism;
    struct test_vm test;
    const size_t none = SIZE_MAX - page + 1; /* the largest size of whole pages */

    (void)state;
    for_each_mechanism (mechanism, k) {
        const struct kva_vm_config config = test_vm_config(&test, mechanism);
        test_vm_create(&test, &config);
        unsigned char *live = kva_vmalloc(test.vm, page);
        assert_non_null(live);
        live[0] = 1;
        struct kva_vm_stats before = test_vm_stats(test.vm);
        for (size_t back = 0; back < 4 * page;
             back += back < 3 || back % page > page - 3 ? 1 : page - 4 - back % page + 2) {
            size_t size = SIZE_MAX - back;
            enum kva_status expected = size > none ? KVA_EWRAP : KVA_ENOSPC;
            void *memory = live;
            assert_null(kva_vmalloc(test.vm, size));
            assert_int_equal(kva_vm_status(test.vm), expected);
            assert_null(kva_vzalloc(test.vm, size));
            assert_int_equal(kva_vm_status(test.vm), expected);
            assert_null(kva_vmalloc_aligned(test.vm, size, page));
            assert_int_equal(kva_vm_status(test.vm), expected);
            assert_null(kva_vmalloc_huge(test.vm, size)); /* rounded to larger pages it may wrap earlier */
            assert_true(kva_vm_status(test.vm) == KVA_EWRAP || kva_vm_status(test.vm) == expected);
            assert_int_equal(kva_vm_realloc(test.vm, live, size, 0, &memory), expected);
            assert_ptr_equal(memory, live);
        }
        /* From 128 MiB: twice the reservation. */
        for (unsigned shift = 27; shift < sizeof(size_t) * 8; shift++) {
            assert_null(kva_vmalloc(test.vm, (size_t)1 << shift));
            assert_int_equal(kva_vm_status(test.vm), KVA_ENOSPC);
            assert_null(kva_vrealloc(test.vm, live, ((size_t)1 << shift) - 1, 0));
            assert_int_equal(kva_vm_status(test.vm), KVA_ENOSPC);
        }
        struct kva_vm_stats after = test_vm_stats(test.vm);
        assert_int_equal(after.allocations, before.allocations);
        assert_int_equal(after.live_bytes, before.live_bytes);
        assert_int_equal(live[0], 1);
        test_vm_expect_sound(&test, "large sizes");
        test_vm_forgive(&test);
        assert_int_equal(kva_vfree(test.vm, live), KVA_OK);
        test_vm_destroy(&test);
    }
}

/** Parts near UINT64_MAX. */
static void test_parts_near_the_end(void **state)
{
    struct test_vm test;
    const struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);
    struct kva_vm_request request = kva_vm_request_of(1);
    void *memory[2];

    (void)state;
    test_vm_create(&test, &config);
    for (unsigned shift = 27; shift < 64; shift++) {
        const struct kva_part far[] = {{0, page}, {UINT64_C(1) << shift, page}};
        const struct kva_part large[] = {{0, UINT64_C(1) << shift}};
        enum kva_status status = kva_vm_alloc_congruent(test.vm, &request, far, 2, memory);
        check_that(status == KVA_ENOSPC, "a part at 2^%u: KVA_ENOSPC expected, %s returned", shift,
                   kva_status_name(status));
        status = kva_vm_alloc_congruent(test.vm, &request, large, 1, memory);
        check_that(status == KVA_ENOSPC || (status == KVA_EWRAP && large[0].size > SIZE_MAX),
                   "a part of 2^%u bytes: KVA_ENOSPC expected, %s returned", shift, kva_status_name(status));
    }
    const struct kva_part wraps[] = {{0, page}, {UINT64_MAX - page + 1, 1}};
    assert_int_equal(kva_vm_alloc_congruent(test.vm, &request, wraps, 2, memory), KVA_EWRAP);
    const struct kva_part longest[] = {{0, UINT64_MAX}};
    assert_int_equal(kva_vm_alloc_congruent(test.vm, &request, longest, 1, memory), KVA_EWRAP);
    test_vm_forgive(&test);
    assert_int_equal(test_vm_stats(test.vm).live_areas, 0);
    test_vm_destroy(&test);
}

/** The lowest multiple of `align` in [first, last] with room for `bytes`; 0 if there is none. */
static uint64_t lowest_multiple(uint64_t first, uint64_t last, uint64_t align, uint64_t bytes)
{
    uint64_t at = first % align == 0 ? first : first + (align - first % align);

    return at >= first && at <= last && last - at >= bytes - 1 ? at : 0;
}

/** Alignments up to that of the space and beyond: a request succeeds exactly if a multiple has room. */
static void test_alignments_up_to_the_space(void **state)
{
    enum kva_mechanism mechanism;
    struct test_vm test;

    (void)state;
    for_each_mechanism (mechanism, k) {
        const struct kva_vm_config config = test_vm_config(&test, mechanism);
        test_vm_create(&test, &config);
        uint64_t first = test_vm_stats(test.vm).reservation_first;
        uint64_t last = first + 32 * TEST_MIB - 1; /* the private part */
        size_t sizes[] = {1, 3 * page, (size_t)(2 * TEST_MIB), (size_t)(16 * TEST_MIB)};
        unsigned found = 0;
        for (unsigned shift = 0; shift < sizeof(size_t) * 8; shift++) {
            for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                size_t align = (size_t)1 << shift;
                uint64_t bytes = (sizes[i] + page - 1) / page * page + page;
                uint64_t expected = lowest_multiple(first, last, align < page ? page : align, bytes);
                void *memory = kva_vmalloc_aligned(test.vm, sizes[i], align);
                check_that((uintptr_t)memory == expected,
                           "alignment 2^%u, %zu bytes: %p, %#" PRIx64 " expected", shift, sizes[i], memory,
                           expected);
                check_that(memory != NULL || kva_vm_status(test.vm) == KVA_ENOSPC,
                           "alignment 2^%u: KVA_ENOSPC expected", shift);
                found += memory != NULL;
                assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
                assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
            }
        }
        assert_true(found >= 70); /* up to 2 MiB each size fits */
        test_vm_destroy(&test);
    }
}

/** The largest frame set: it takes memory only as it is used. */
static void test_largest_frame_set(void **state)
{
    struct kva_vm_config config = plain_config(KVA_MECHANISM_BEST, 64);
    struct kva_vm *vm = plain(&config);
    struct kva_vm_frames *frames;
    uint64_t numbers[3];

    (void)state;
    enum kva_status status =
        kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = UINT32_MAX - 1}, &frames);
    if (sizeof(void *) < 8 || status == KVA_ENOMEM) { /* 16 GiB of numbers, 16 TiB of frames */
        assert_int_equal(status, KVA_ENOMEM);
        print_message("left out: 2^32 - 2 frames, for which the system has no addresses\n");
    } else {
        assert_int_equal(status, KVA_OK);
        assert_int_equal(kva_vm_frames_alloc(frames, 3, numbers), KVA_OK);
        unsigned char *memory = kva_vmap(vm, frames, numbers, 3);
        assert_non_null(memory);
        memory[2 * page] = 1;
        assert_int_equal(kva_vunmap(vm, memory), KVA_OK);
        assert_int_equal(kva_vm_frames_free(frames, numbers, 3), KVA_OK);
        assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    }
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
}

/** The reservation that creation makes: the window, the least, the frames' part. */
static void test_reservations(void **state)
{
    enum kva_mechanism mechanism;
    struct kva_vm *vm;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct kva_vm_config config = plain_config(mechanism, 256);
        vm = plain(&config);
        struct kva_vm_stats whole = test_vm_stats(vm);
        assert_int_equal(whole.reservation_last - whole.reservation_first + 1, 256 * TEST_MIB);
        assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);

        /* The same place, with little room: the reservation is halved until it fits. */
        config.min = whole.reservation_first;
        config.max = whole.reservation_first + 70 * TEST_MIB;
        config.reservation_least = 32 * TEST_MIB;
        vm = plain(&config);
        struct kva_vm_stats stats = test_vm_stats(vm);
        assert_in_range(stats.reservation_first, config.min, config.max);
        assert_in_range(stats.reservation_last, config.min, config.max);
        assert_int_equal(stats.reservation_last - stats.reservation_first + 1, 64 * TEST_MIB);
        struct areas areas = {.vm = vm, .pages = 256};
        take_most(&areas, 4096); /* the frames' part was halved as well */
        assert_int_equal(areas.count, 32 * TEST_MIB / (257 * page));
        assert_true(all_stamped(&areas));
        assert_true(give_all(&areas));

        /* Again, while that instance exists. */
        struct kva_vm *second = NULL;
        assert_int_equal(kva_vm_create(&config, &second), KVA_ENOSPC);
        assert_null(second);
        assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
    }
    /* A reservation below the least counts as the least. */
    struct kva_vm_config more = {.reservation = 16 * TEST_MIB, .reservation_least = 32 * TEST_MIB};
    vm = plain(&more);
    struct kva_vm_stats larger = test_vm_stats(vm);
    assert_int_equal(larger.reservation_last - larger.reservation_first + 1, 32 * TEST_MIB);
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
    if (test_is_emulated()) {
        print_message("left out under an emulator, where it takes long: the default reservation\n");
        return;
    }
    struct kva_vm_config usual = {0};
    assert_int_equal(kva_vm_create(&usual, &vm), KVA_OK);
    struct kva_vm_stats stats = test_vm_stats(vm);
    assert_in_range(stats.reservation_last - stats.reservation_first, 16 * TEST_MIB - 1,
                    (UINT64_C(1) << 40) - 1);
    unsigned char *memory = kva_vmalloc(vm, 5 * page);
    assert_non_null(memory);
    memory[4 * page] = 1;
    assert_int_equal(kva_vfree(vm, memory), KVA_OK);
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
}

/* ------------------------------------------------------------------------------------------------ the end */

/** The areas that kva_vm_destroy has reported. */
struct leaks {
    struct kva_vm_area areas[16];
    size_t count;
};

static void note_leak(void *context, const struct kva_vm_area *area)
{
    struct leaks *leaks = context;

    assert_true(leaks->count < 16);
    leaks->areas[leaks->count++] = *area;
}

static void keep_record(void *context, struct kva_later *record)
{
    (void)context;
    (void)record;
}

/** All owned areas are reported, lowest first; cached and parked areas and maps are not. */
static void test_destroy_with_live_areas(void **state)
{
    enum kva_mechanism mechanism;
    struct test_vm test;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (unsigned reported = 0; reported < 2; reported++) {
            struct kva_vm_config config = test_vm_config(&test, mechanism);
            struct leaks leaks = {.count = 0};
            struct kva_later record;
            struct kva_vm_frames *frames;
            struct kva_pcpu *pcpu;
            uint64_t numbers[100];
            void *object;
            config.grace.after = keep_record;
            test_vm_create(&test, &config);
            size_t mappings = test_mappings();
            struct kva_vm *vm = test.vm;
            assert_int_equal(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = 100}, &frames),
                             KVA_OK);
            assert_int_equal(kva_vm_frames_alloc(frames, 100, numbers), KVA_OK);
            assert_int_equal(kva_pcpu_create(vm, &(struct kva_pcpu_config){.cpus = 2, .unit = page}, &pcpu),
                             KVA_OK);
            uintptr_t expected[7];
            void *cached = kva_vmalloc(vm, page);
            expected[0] = (uintptr_t)kva_vmalloc(vm, 3 * page - 5);
            void *parked = kva_vmalloc(vm, 200 * page);
            expected[1] = (uintptr_t)kva_vmalloc(vm, 2 * page);
            assert_int_equal(kva_pcpu_alloc(pcpu, 32, 16, &object), KVA_OK);
            expected[2] = (uintptr_t)object;
            expected[3] = (uintptr_t)kva_vmalloc(vm, 300 * page);
            expected[4] = (uintptr_t)kva_vmap(vm, frames, numbers, 5);
            void *parked_map = kva_map_ram(vm, frames, numbers + 5, 5);
            expected[5] = (uintptr_t)kva_map_ram(vm, frames, numbers + 10, 5);
            expected[6] = (uintptr_t)kva_map_ram(vm, frames, numbers, 99);
            assert_int_equal(kva_vfree(vm, cached), KVA_OK);
            assert_int_equal(kva_vfree(vm, parked), KVA_OK);
            assert_int_equal(kva_unmap_ram(vm, parked_map), KVA_OK);
            assert_int_equal(kva_vfree_later(vm, (void *)expected[1], &record), KVA_OK); // NOLINT
            test_vm_expect_sound(&test, "before the end");
            struct kva_vm_stats before = test_vm_stats(vm);
            assert_int_equal(kva_vm_destroy(vm, reported ? note_leak : NULL, &leaks), KVA_EBUSY);
            assert_int_equal(leaks.count, reported ? 7 : 0);
            struct kva_vm_stats after = test_vm_stats(vm);
            assert_memory_equal(&before, &after, sizeof(after));
            test_vm_expect_sound(&test, "an instance that destroy has refused");
            leaks.count = 0;
            assert_int_equal(kva_vm_abandon(vm, reported ? note_leak : NULL, &leaks), KVA_OK);
            assert_int_equal(test.hooks.misuses, 0);
            test_vm_expect_nothing_lost(&test, "ended with live areas");
            if (test_is_on_its_own(NULL))
                assert_in_range(test_mappings(), 0, mappings + 2);
            assert_int_equal(leaks.count, reported ? 7 : 0);
            for (size_t i = 0; i < leaks.count; i++) {
                const struct kva_vm_area *area = &leaks.areas[i];
                check_that(area->start == expected[i],
                           "leak %zu: %#" PRIxPTR " found, %#" PRIxPTR " expected", i, area->start,
                           expected[i]);
                assert_int_equal(area->state, i == 1 ? KVA_VM_LATER : KVA_VM_LIVE);
                check_that(area->caller != NULL, "leak %zu has no caller", i);
            }
            if (reported) {
                assert_int_equal(leaks.areas[0].size, 3 * page - 5);
                assert_int_equal(leaks.areas[2].kind, KVA_VM_PCPU);
                assert_int_equal(leaks.areas[4].kind, KVA_VM_VMAP);
                assert_int_equal(leaks.areas[5].kind, KVA_VM_RAM);
                assert_int_equal(leaks.areas[6].kind, KVA_VM_RAM);
            }
        }
    }
}

/** Resident memory comes back, whatever happened before: all areas are freed, and one purge follows. */
static int use_much_and_purge(void *context)
{
    struct kva_vm_config config = plain_config(*(enum kva_mechanism *)context, 512);
    struct kva_vm *vm;
    struct kva_vm_frames *frames;
    struct kva_pcpu *pcpu;
    const size_t many = KVA_CHECK_LEVEL >= 3 ? 1500 : 8192;
    static uint64_t numbers[4096];
    static void *maps[400];
    static void *objects[2000];

    child_that(kva_vm_create(&config, &vm) == KVA_OK);
    child_that(kva_vm_purge(vm) == KVA_OK);
    memset(numbers, 1, sizeof(numbers)); /* so that the test's own memory does not count */
    memset(maps, 1, sizeof(maps));
    memset(objects, 1, sizeof(objects));
    /* The bookkeeping of the most areas so far is kept: 128 bytes for each, and some tables. */
    const uint64_t kept = TEST_MIB + many * UINT64_C(128);
    uint64_t before = test_resident();
    for (unsigned round = 0; round < 2; round++) {
        struct areas areas = {.vm = vm, .pages = round == 0 ? 1 : 0};
        take_most(&areas, many);
        child_that(areas.count == many);
        void *large = kva_vzalloc(vm, (size_t)(20 * TEST_MIB));
        child_that(large != NULL);
        memset(large, 1, (size_t)(20 * TEST_MIB));
        child_that(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = 4096}, &frames) ==
                   KVA_OK);
        child_that(kva_vm_frames_alloc(frames, 4096, numbers) == KVA_OK);
        for (size_t i = 0; i < 400; i++) {
            maps[i] = (i % 2 ? kva_vmap : kva_map_ram)(vm, frames, numbers + 10 * i, 10);
            child_that(maps[i] != NULL);
            memset(maps[i], 1, 10 * page);
        }
        child_that(kva_pcpu_create(vm, NULL, &pcpu) == KVA_OK);
        for (size_t i = 0; i < 2000; i++)
            child_that(kva_pcpu_alloc(pcpu, 1024, 16, &objects[i]) == KVA_OK);
        child_that(test_resident() > before + 40 * TEST_MIB);
        for (size_t i = 0; i < 2000; i++)
            child_that(kva_pcpu_free(pcpu, objects[i]) == KVA_OK);
        child_that(kva_pcpu_destroy(pcpu) == KVA_OK);
        for (size_t i = 0; i < 400; i++)
            child_that((i % 2 ? kva_vunmap : kva_unmap_ram)(vm, maps[i]) == KVA_OK);
        child_that(kva_vm_frames_destroy(frames) == KVA_OK);
        child_that(kva_vfree(vm, large) == KVA_OK);
        child_that(give_all(&areas));
        child_that(kva_vm_purge(vm) == KVA_OK);
        uint64_t after = test_resident();
        if (after > before + kept)
            fprintf(stderr, "round %u: %" PRIu64 " KiB more\n", round, (after - before) / TEST_KIB);
        child_that(after <= before + kept);
    }
    child_that(kva_vm_destroy(vm, NULL, NULL) == KVA_OK);
    return 0;
}

static void test_memory_comes_back(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_is_on_its_own("how much is resident"))
        return;
    for_each_mechanism (mechanism, k) {
        struct test_child child = test_in_child(use_much_and_purge, &mechanism);
        test_expect_success(&child, test_mechanism_name(mechanism));
    }
}

/* --------------------------------------------------------------------------------------------------- fork */

struct forked {
    struct kva_vm *vm;
    unsigned char *area;
    unsigned char *cached;
    unsigned char *map;
    unsigned char *alias;
    struct kva_vm_frames *frames;
    uint64_t numbers[8];
};

/** The child sees the parent's contents, writes over them, and uses the instance as its own. */
static int work_in_the_child(void *context)
{
    struct forked *forked = context;
    struct kva_vm *vm = forked->vm;

    child_that(forked->area[0] == 1 && forked->area[4 * page - 1] == 2 && forked->map[0] == 3);
    forked->area[0] = 11;
    forked->map[0] = 13;
    child_that(forked->alias[0] == 13);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    unsigned char *again = kva_vzalloc(vm, 2 * page);
    child_that(again == forked->cached && again[0] == 0);
    again[0] = 14;
    struct areas areas = {.vm = vm};
    take_most(&areas, 300);
    child_that(areas.count == 300 && all_stamped(&areas) && give_all(&areas));
    unsigned char *moved = kva_vrealloc(vm, forked->area, 100 * page, KVA_VM_ZERO);
    child_that(moved != NULL && moved[0] == 11 && moved[4 * page - 1] == 2 && moved[50 * page] == 0);
    unsigned char *third = kva_vmap(vm, forked->frames, forked->numbers + 2, 3);
    child_that(third != NULL);
    third[0] = 15; /* frame 2 */
    child_that(kva_vunmap(vm, third) == KVA_OK && kva_vunmap(vm, forked->alias) == KVA_OK);
    child_that(kva_vfree(vm, moved) == KVA_OK);
    child_that(kva_vm_purge(vm) == KVA_OK);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    child_that(kva_vm_destroy(vm, NULL, NULL) == KVA_EBUSY);
    child_that(kva_vm_abandon(vm, NULL, NULL) == KVA_OK);
    return 0;
}

static void test_fork(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct kva_vm_config config = plain_config(mechanism, 64);
        struct forked forked = {.vm = plain(&config)};
        forked.area = kva_vmalloc(forked.vm, 4 * page);
        forked.cached = kva_vmalloc(forked.vm, 2 * page);
        assert_int_equal(
            kva_vm_frames_create(forked.vm, &(struct kva_vm_frames_config){.count = 8}, &forked.frames),
            KVA_OK);
        assert_int_equal(kva_vm_frames_alloc(forked.frames, 8, forked.numbers), KVA_OK);
        forked.map = kva_vmap(forked.vm, forked.frames, forked.numbers, 8);
        forked.alias = kva_map_ram(forked.vm, forked.frames, forked.numbers, 1);
        assert_true(forked.area && forked.cached && forked.map && forked.alias);
        assert_int_equal(kva_unmap_ram(forked.vm, forked.alias), KVA_OK);
        forked.alias = kva_vmap(forked.vm, forked.frames, forked.numbers, 2);
        forked.area[0] = 1;
        forked.area[4 * page - 1] = 2;
        forked.map[0] = 3;
        forked.cached[0] = 4;
        assert_int_equal(kva_vfree(forked.vm, forked.cached), KVA_OK);
        struct kva_vm_stats before = test_vm_stats(forked.vm);

        struct test_child child = test_in_child(work_in_the_child, &forked);
        test_expect_success(&child, test_mechanism_name(mechanism));

        assert_int_equal(forked.area[0], 1); /* private: copied on write */
        assert_int_equal(forked.map[0], 13); /* frames: shared with the child */
        assert_int_equal(forked.alias[0], 13);
        assert_int_equal(forked.map[2 * page], 15);
        struct kva_vm_stats after = test_vm_stats(forked.vm);
        assert_memory_equal(&before, &after, sizeof(after));
        assert_ptr_equal(kva_vmalloc(forked.vm, 2 * page), forked.cached);
        assert_int_equal(forked.cached[0], 4);
        assert_int_equal(kva_vm_check(forked.vm, NULL), KVA_OK);
        assert_int_equal(kva_vm_destroy(forked.vm, NULL, NULL), KVA_EBUSY);
        assert_int_equal(kva_vm_abandon(forked.vm, NULL, NULL), KVA_OK);
    }
}

/* Short-lived maps take no memory for each CPU, however many there are; with 32 bits the bytes would wrap. */
static void test_too_many_cpus(void **state)
{
    static const unsigned cpus[] = {1U << 30, (1U << 30) + 1, (1U << 29) + 1, 1U << 31, UINT32_MAX};
    enum kva_mechanism mechanism;
    struct test_vm test;
    struct kva_vm_frames *frames;
    uint64_t number;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
            struct kva_vm_config config = test_vm_config(&test, mechanism);
            config.cpus = cpus[i];
            config.one_thread = true; /* otherwise the instance itself has a part for each CPU */
            test_vm_create(&test, &config);
            assert_int_equal(
                kva_vm_frames_create(test.vm, &(struct kva_vm_frames_config){.count = 1}, &frames), KVA_OK);
            assert_int_equal(kva_vm_frames_alloc(frames, 1, &number), KVA_OK);
            test.memory.largest = TEST_MIB;
            void *map = kva_map_ram(test.vm, frames, &number, 1);
            assert_non_null(map);
            assert_int_equal(kva_unmap_ram(test.vm, map), KVA_OK);
            assert_ptr_equal(kva_map_ram(test.vm, frames, &number, 1), map);
            assert_int_equal(kva_unmap_ram(test.vm, map), KVA_OK);
            test_vm_destroy(&test);
        }
    }
}

/* ----------------------------------------------------------------- without /proc, or without a descriptor */

/** A free place for an instance of `bytes`. */
static uintptr_t free_place(size_t bytes)
{
    struct kva_vm_config config = {.reservation = bytes};
    struct kva_vm *vm;
    struct kva_vm_stats stats;

    child_that(kva_vm_create(&config, &vm) == KVA_OK);
    child_that(kva_vm_stats_read(vm, &stats) == KVA_OK);
    child_that(kva_vm_destroy(vm, NULL, NULL) == KVA_OK);
    return (uintptr_t)stats.reservation_first;
}

/** Use every kind of area, and check. */
static void live(struct kva_vm *vm, bool has_descriptors)
{
    struct areas areas = {.vm = vm};
    struct kva_vm_frames *frames;
    struct kva_pcpu *pcpu;
    void *object;
    uint64_t numbers[4];
    struct kva_vm_stats stats;

    take_most(&areas, 100);
    child_that(areas.count == 100 && all_stamped(&areas));
    child_that(kva_pcpu_create(vm, NULL, &pcpu) == KVA_OK);
    child_that(kva_pcpu_alloc(pcpu, 100, 8, &object) == KVA_OK && kva_pcpu_free(pcpu, object) == KVA_OK);
    child_that(kva_pcpu_destroy(pcpu) == KVA_OK);
    enum kva_status status = kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = 100}, &frames);
    child_that(status == (has_descriptors ? KVA_OK : KVA_ENOMEM));
    if (status == KVA_OK) {
        child_that(kva_vm_frames_alloc(frames, 4, numbers) == KVA_OK);
        void *map = kva_vmap(vm, frames, numbers, 4);
        child_that(map != NULL && kva_vunmap(vm, map) == KVA_OK);
        child_that(kva_vm_frames_destroy(frames) == KVA_OK);
    }
    child_that(kva_vm_stats_read(vm, &stats) == KVA_OK && stats.pages.mappings_limit == 0);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    child_that(give_all(&areas));
    child_that(kva_vm_purge(vm) == KVA_OK);
}

static void live_in(const struct kva_vm_config *config, bool has_descriptors)
{
    struct kva_vm *vm;

    child_that(kva_vm_create(config, &vm) == KVA_OK);
    live(vm, has_descriptors);
    child_that(kva_vm_destroy(vm, NULL, NULL) == KVA_OK);
}

/** Instances anywhere, in windows, and at a fixed place. */
static void live_anywhere(uintptr_t place, bool has_descriptors)
{
    struct kva_vm_config config = {.reservation = 64 * TEST_MIB, .reservation_least = 64 * TEST_MIB};

    live_in(&config, has_descriptors);
    config.max = UINTPTR_MAX / 2;
    live_in(&config, has_descriptors);
    config.max = UINT32_MAX;
    live_in(&config, has_descriptors);
    config.hardened = true;
    config.min = place;
    config.max = place + (config.reservation - 1);
    live_in(&config, has_descriptors);
}

static int live_without_descriptors(void *context)
{
    uintptr_t place = free_place(64 * TEST_MIB);

    (void)context;
    child_that(limit(RLIMIT_NOFILE, 0));
    live_anywhere(place, false);
    return 0;
}

/** Make an empty folder the root folder, for good: as root, or as root of a user namespace. */
static bool enter_empty_folder(const char *folder)
{
    return (chroot(folder) == 0 || (unshare(CLONE_NEWUSER) == 0 && chroot(folder) == 0)) && chdir("/") == 0;
}

static int live_without_files(void *context)
{
    uintptr_t place = free_place(64 * TEST_MIB);

    if (!enter_empty_folder(context))
        return 77; /* not allowed here */
    child_that(open("/proc/self/maps", O_RDONLY) < 0);
    live_anywhere(place, true);
    return 0;
}

static void test_without_descriptors(void **state)
{
    (void)state;
    if (!test_is_on_its_own("descriptors"))
        return;
    struct test_child child = test_in_child(live_without_descriptors, NULL);
    test_expect_success(&child, "no descriptor");
}

/** In a sandbox there may be neither /proc nor /sys. */
static void test_without_files(void **state)
{
    char folder[] = "/tmp/kva.XXXXXX";

    (void)state;
    if (!test_is_on_its_own("the lack of /proc"))
        return;
    assert_non_null(mkdtemp(folder));
    struct test_child child = test_in_child(live_without_files, folder);
    assert_int_equal(rmdir(folder), 0);
    if (child.code == 77)
        print_message("left out: the lack of /proc, which the system does not allow to set up\n");
    else
        test_expect_success(&child, "no files");
}

static int set_up(void **state)
{
    (void)state;
    page = test_page();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_32768_guarded_pages),
        cmocka_unit_test(test_limit_on_mappings),
        cmocka_unit_test(test_limits_of_the_process),
        cmocka_unit_test(test_locked_pages),
        cmocka_unit_test(test_overcommitment),
        cmocka_unit_test(test_space_to_the_last_page),
        cmocka_unit_test(test_runs_end_where_the_frames_begin),
        cmocka_unit_test(test_frames_part_is_full),
        cmocka_unit_test(test_no_block_never_purges),
        cmocka_unit_test(test_no_block_leaves_the_quarantine),
        cmocka_unit_test(test_sizes_near_the_end),
        cmocka_unit_test(test_parts_near_the_end),
        cmocka_unit_test(test_alignments_up_to_the_space),
        cmocka_unit_test(test_largest_frame_set),
        cmocka_unit_test(test_reservations),
        cmocka_unit_test(test_destroy_with_live_areas),
        cmocka_unit_test(test_memory_comes_back),
        cmocka_unit_test(test_too_many_cpus),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_without_descriptors),
        cmocka_unit_test(test_without_files),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
