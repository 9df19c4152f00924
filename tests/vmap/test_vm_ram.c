/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * map_ram as a cache: which ended maps are found again, how many are cached, which one is evicted, and when
 * it is unmapped.
 */
#include "../common/harness.h"
#include "../common/vmap.h"

#include <kva/vmap.h>
#include <stdlib.h>
#include <string.h>

/** Pages of ended maps that are cached, and pages of evicted, parked ones that cause a purge, as kva/vmap.h
 *  promises. */
enum { KEPT = 3584, PARKED = 512 };

enum { FRAMES = 8192 };

static struct test_vm test;
static struct kva_vm *vm;
static struct kva_vm_frames *frames;
static uint64_t numbers[FRAMES];
static void *maps[FRAMES];
static size_t page;

static struct kva_vm_config plain(void)
{
    enum kva_mechanism mechanism;

    assert_true(test_mechanism(0, &mechanism));
    struct kva_vm_config config = test_vm_config(&test, mechanism);
    config.reservation = 64 * FRAMES * (uint64_t)page / 16;
    config.frames_part = config.reservation / 2;
    return config;
}

static void begin(const struct kva_vm_config *config)
{
    test_vm_create(&test, config);
    vm = test.vm;
    assert_int_equal(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = FRAMES}, &frames),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, FRAMES, numbers), KVA_OK);
}

/** Ended maps do not prevent a frame set, or an instance, from being destroyed. */
static void end(void)
{
    test_vm_expect_sound(&test, "before the end");
    assert_int_equal(kva_vm_frames_free(frames, numbers, FRAMES), KVA_OK);
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    assert_int_equal(test.pages.mapped_pages, 0);
    test_vm_destroy(&test);
}

static void *map(const uint64_t *which, size_t count)
{
    void *memory = kva_map_ram(vm, frames, which, count);

    assert_non_null(memory);
    return memory;
}

static void unmap(void *memory)
{
    assert_int_equal(kva_unmap_ram(vm, memory), KVA_OK);
}

/** Map frames. Returns whether an ended map was found, which must take no call. */
static bool is_found(const uint64_t *which, size_t count, void **memory)
{
    uint64_t hits = test_vm_stats(vm).ram_hits;
    uint64_t calls = test.pages.calls;

    *memory = map(which, count);
    bool found = test_vm_stats(vm).ram_hits > hits;
    assert_true(!found || test.pages.calls == calls);
    return found;
}

static void expect_found(const uint64_t *which, size_t count, const void *expected)
{
    void *memory;

    assert_true(is_found(which, count, &memory));
    assert_ptr_equal(memory, expected);
}

static void expect_fresh(const uint64_t *which, size_t count)
{
    void *memory;

    assert_false(is_found(which, count, &memory));
    unmap(memory);
}

/* ------------------------------------------------------------------------------------------------ matches */

/** A map is found for the same frames of the same set in the same order, and for no others. */
static void test_exact_match(void **state)
{
    static const size_t lengths[] = {1, 2, 3, 8, 9, 17, KVA_MAP_RAM_MOST - 1, KVA_MAP_RAM_MOST};
    struct kva_vm_config config = plain();
    struct kva_vm_frames *others;
    uint64_t which[KVA_MAP_RAM_MOST];

    (void)state;
    begin(&config);
    assert_int_equal(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = FRAMES}, &others),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(others, FRAMES, numbers), KVA_OK); /* the same numbers */
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        const size_t length = lengths[i];
        assert_int_equal(kva_vm_purge(vm), KVA_OK);
        void *memory = map(numbers, length);
        unmap(memory);
        for (size_t k = 0; k < length; k++) { /* one other frame, at any index */
            memcpy(which, numbers, sizeof which);
            which[k] = numbers[length + k];
            expect_fresh(which, length);
            expect_found(numbers, length, memory); /* it stays among the maps that ended last */
            unmap(memory);
        }
        for (size_t k = 0; k + 1 < length; k++) { /* another order */
            memcpy(which, numbers, sizeof which);
            which[k] = numbers[k + 1];
            which[k + 1] = numbers[k];
            expect_fresh(which, length);
            expect_found(numbers, length, memory);
            unmap(memory);
        }
        if (length > 1)
            expect_fresh(numbers, length - 1);
        if (length < KVA_MAP_RAM_MOST)
            expect_fresh(numbers, length + 1);
        void *other = kva_map_ram(vm, others, numbers, length);
        assert_ptr_not_equal(other, memory);
        unmap(other);
        expect_found(numbers, length, memory);
        unmap(memory);
    }
    assert_int_equal(kva_vm_frames_destroy(others), KVA_OK);
    end();
}

/** The contents belong to the frames, whichever map refers to them. */
static void test_contents(void **state)
{
    struct kva_vm_config config = plain();

    (void)state;
    begin(&config);
    unsigned char *memory = map(&numbers[5], 3);
    memset(memory, 7, 3 * page);
    unmap(memory);
    unsigned char *other = map(&numbers[6], 1);
    assert_int_equal(other[0], 7);
    other[0] = 8;
    expect_found(&numbers[5], 3, memory);
    assert_int_equal(memory[page], 8);
    assert_int_equal(memory[2 * page], 7);
    unmap(memory);
    unmap(other);
    end();
}

/** Two live maps of the same frames are distinct; both can be found again, but no third. Frames are in use
 *  while a map of them is live, and can be freed when all have ended. */
static void test_same_frames_twice(void **state)
{
    struct kva_vm_config config = plain();
    void *found[2];
    void *third;

    (void)state;
    begin(&config);
    void *first = map(numbers, 4);
    void *second = map(numbers, 4);
    assert_ptr_not_equal(first, second);
    unmap(first);
    assert_int_equal(kva_vm_frames_free(frames, numbers, 4), KVA_EBUSY);
    unmap(second);
    assert_true(is_found(numbers, 4, &found[0]));
    assert_true(is_found(numbers, 4, &found[1]));
    assert_true((found[0] == first && found[1] == second) || (found[0] == second && found[1] == first));
    assert_false(is_found(numbers, 4, &third));
    test_vm_expect_sound(&test, "three of the same");
    assert_int_equal(test_vm_stats(vm).ram_live, 3);
    unmap(first);
    unmap(second);
    unmap(third);
    assert_int_equal(test_vm_stats(vm).ram_live, 0);
    assert_int_equal(test_vm_stats(vm).ram_parked, 3);
    assert_int_equal(kva_vm_frames_free(frames, numbers, 4), KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, 4, numbers), KVA_OK);
    end();
}

/** A live map is not found by another call. kva_vm_find reports an ended map as parked. */
static void test_reported_areas(void **state)
{
    struct kva_vm_config config = plain();
    struct kva_vm_area area;

    (void)state;
    begin(&config);
    char *memory = map(numbers, 4);
    expect_fresh(numbers, 4);
    assert_int_equal(kva_vm_find(vm, memory + 3 * page, &area), KVA_OK);
    assert_true(area.kind == KVA_VM_RAM && area.state == KVA_VM_LIVE && area.start == (uintptr_t)memory);
    assert_true(area.guard == 0 && area.pages == 4 && area.size == 4 * page && !area.owner && area.caller);
    unmap(memory);
    assert_int_equal(kva_vm_find(vm, memory + 3 * page, &area), KVA_OK);
    assert_true(area.kind == KVA_VM_RAM && area.state == KVA_VM_PARKED && area.start == (uintptr_t)memory);
    assert_true(!area.owner && !area.freed_by && area.caller);
    assert_int_equal(kva_unmap_ram(vm, memory), KVA_EDEFERRED);
    test_vm_forgive(&test);
    struct kva_vm_stats stats = test_vm_stats(vm);
    assert_int_equal(stats.live_areas + stats.live_bytes + stats.parked_areas + stats.parked_bytes, 0);
    assert_int_equal(stats.allocations + stats.frees, 0);
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
    assert_int_equal(kva_vm_find(vm, memory + 3 * page, &area), KVA_ENOENT);
    assert_int_equal(kva_unmap_ram(vm, memory), KVA_EDOUBLE);
    test_vm_forgive(&test);
    end();
}

/* ------------------------------------------------------------------------------------------------- bounds */

/** The pages of ended maps that are still mapped. */
static uint64_t idle_pages(uint64_t live)
{
    return test.pages.mapped_pages - live;
}

static void expect_bounds(uint64_t live)
{
    struct kva_vm_stats stats = test_vm_stats(vm);

    assert_in_range(stats.parked_bytes, 0, (PARKED - 1) * page);
    assert_in_range(idle_pages(live), 0, KEPT + PARKED - 1);
    assert_int_equal(stats.live_bytes, live * page);
}

/** Maps of one length, all live, then all ended: exactly the last KEPT pages are found. */
static void play_bound(size_t length)
{
    const size_t count = FRAMES / length;
    const size_t kept = KEPT / length;
    struct kva_vm_config config = plain();

    begin(&config);
    for (size_t i = 0; i < count; i++)
        maps[i] = map(&numbers[i * length], length);
    for (size_t i = 0; i < count; i++) {
        unmap(maps[i]);
        expect_bounds((count - i - 1) * length);
        assert_int_equal(test_vm_stats(vm).ram_parked, i + 1 < kept ? i + 1 : kept);
    }
    test_vm_expect_sound(&test, "full");
    assert_in_range(test.pages.closes, 1, 3 * (FRAMES - KEPT) / PARKED); /* in batches */
    for (size_t i = count - kept; i < count; i++)
        expect_found(&numbers[i * length], length, maps[i]);
    assert_int_equal(test_vm_stats(vm).ram_parked, 0);
    for (size_t i = 0; i < count - kept; i++) {
        void *memory;
        assert_false(is_found(&numbers[i * length], length, &memory));
    }
    test_vm_expect_sound(&test, "mapped again");
    assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_OK);
    test_vm_expect_nothing_lost(&test, "bound");
}

static void test_bound(void **state)
{
    (void)state;
    if (!test_is_brief())
        play_bound(1);
    play_bound(7);
    play_bound(16);
    play_bound(KVA_MAP_RAM_MOST);
}

/** A model of the promise of the header: the maps that ended last are cached, up to a number of pages. */
struct oracle {
    size_t list[FRAMES]; /* of ended maps, the oldest first */
    size_t count;
    uint64_t pages;
};

enum { KEYS = 256 };

static size_t length_of(size_t key)
{
    return key % 3 == 0 ? KVA_MAP_RAM_MOST : 1 + key % 32;
}

static bool forget(struct oracle *oracle, size_t key)
{
    for (size_t i = 0; i < oracle->count; i++) {
        if (oracle->list[i] != key)
            continue;
        memmove(&oracle->list[i], &oracle->list[i + 1], (--oracle->count - i) * sizeof oracle->list[0]);
        oracle->pages -= length_of(key);
        return true;
    }
    return false;
}

static void remember(struct oracle *oracle, size_t key)
{
    oracle->list[oracle->count++] = key;
    oracle->pages += length_of(key);
    while (oracle->pages > KEPT)
        (void)forget(oracle, oracle->list[0]);
}

/** In a full cache, a new map replaces the oldest one if both have the same length. */
static void make_place(struct oracle *oracle, size_t key)
{
    if (oracle->pages + length_of(key) > KEPT && length_of(oracle->list[0]) == length_of(key))
        (void)forget(oracle, oracle->list[0]);
}

static void test_oldest_first(void **state)
{
    static struct oracle oracle;
    struct kva_vm_config config = plain();
    struct test_rng rng = test_rng_of(12);
    uint64_t live = 0;
    uint64_t found = 0;
    uint64_t fresh = 0;

    (void)state;
    memset(&oracle, 0, sizeof oracle);
    memset(maps, 0, sizeof maps);
    begin(&config);
    for (unsigned step = 0; step < 20000; step++) {
        size_t key = (size_t)test_below(&rng, KEYS);
        if (maps[key]) {
            unmap(maps[key]);
            maps[key] = NULL;
            live -= length_of(key);
            remember(&oracle, key);
        } else {
            bool expected = forget(&oracle, key);
            if (!expected)
                make_place(&oracle, key);
            assert_int_equal(is_found(&numbers[key], length_of(key), &maps[key]), expected);
            live += length_of(key);
            *(expected ? &found : &fresh) += 1;
        }
        expect_bounds(live);
        assert_int_equal(test_vm_stats(vm).ram_parked, oracle.count);
    }
    assert_true(found > 1000 && fresh > 1000);
    for (size_t key = 0; key < KEYS; key++) {
        if (maps[key])
            unmap(maps[key]);
    }
    end();
}

/** Fill the cache with maps of one page, each of its own frame, in the order in which they end. */
static void fill(void)
{
    for (size_t i = 0; i < KEPT; i++)
        maps[i] = map(&numbers[i], 1);
    for (size_t i = 0; i < KEPT; i++)
        unmap(maps[i]);
}

/** In a full cache, a new map of the oldest one's length takes its area: one call maps it, and none unmaps
 *  the old one. */
static void test_reuse(void **state)
{
    struct kva_vm_config config = plain();
    const size_t fresh = KEPT;

    (void)state;
    begin(&config);
    fill();
    uint64_t calls = test.pages.calls;
    size_t *memory = map(&numbers[fresh], 1);
    assert_ptr_equal(memory, maps[0]);
    assert_int_equal(test.pages.calls, calls + 1);
    assert_int_equal(test.pages.mapped_pages, KEPT);
    *memory = 77;
    test_vm_expect_sound(&test, "reused");
    size_t *other = map(&numbers[fresh], 1); /* another map of that frame */
    assert_int_equal(*other, 77);
    unmap(other);
    unmap(memory);
    expect_found(&numbers[fresh], 1, memory);
    unmap(memory);
    void *again;
    assert_false(is_found(&numbers[0], 1, &again)); /* its map was replaced */
    unmap(again);
    end();
}

/** The oldest map has another length: it stays until the new map ends. */
static void test_no_reuse(void **state)
{
    struct kva_vm_config config = plain();
    struct kva_vm_area area;

    (void)state;
    begin(&config);
    fill();
    void *memory = map(&numbers[KEPT], 2);
    assert_int_equal(kva_vm_find(vm, maps[0], &area), KVA_OK);
    assert_int_equal(test_vm_stats(vm).ram_parked, KEPT);
    unmap(memory);
    assert_int_equal(test_vm_stats(vm).ram_parked, KEPT - 1);
    expect_found(&numbers[2], 1, maps[2]);
    unmap(maps[2]);
    end();
}

/** The page source refuses to map over the oldest map, once or always, at the first or the second run: the
 *  area of the oldest map is given back, and the new map lies elsewhere, or is refused. */
static void test_refused_reuse(void **state)
{
    struct kva_vm_config config = plain();
    uint64_t which[2];

    (void)state;
    for (unsigned play = 0; play < 4; play++) {
        const bool always = play % 2 != 0;
        begin(&config);
        for (size_t i = 0; i < KEPT / 2; i++)
            maps[i] = map(&numbers[2 * i], 2);
        for (size_t i = 0; i < KEPT / 2; i++)
            unmap(maps[i]);
        which[0] = numbers[KEPT + 2];
        which[1] = numbers[KEPT];
        kva_failing_pages_fail(&test.pages, 1 + play / 2, always);
        void *memory = kva_map_ram(vm, frames, which, 2);
        kva_failing_pages_fail(&test.pages, 0, false);
        assert_int_equal(memory == NULL, always);
        test_vm_expect_sound(&test, "refused");
        if (memory)
            unmap(memory);
        void *oldest;
        assert_false(is_found(numbers, 2, &oldest));
        unmap(oldest);
        end();
    }
}

/** The limit on parked areas of all kinds applies: with none, evicted maps are unmapped at once. */
static void test_without_lazy_bytes(void **state)
{
    struct kva_vm_config config = plain();

    (void)state;
    config.lazy_bytes = KVA_VM_NONE;
    begin(&config);
    for (size_t i = 0; i < FRAMES; i++) {
        unmap(map(&numbers[i], 1));
        assert_in_range(idle_pages(0), 0, KEPT);
        assert_int_equal(test_vm_stats(vm).parked_areas, 0);
    }
    assert_int_equal(test_vm_stats(vm).ram_parked, KEPT);
    end();
}

/* ------------------------------------------------------------------------------------------------- purges */

/** A map that was found again is not purged; one that was purged is not found. */
static void test_purge(void **state)
{
    struct kva_vm_config config = plain();

    (void)state;
    begin(&config);
    unsigned char *kept = map(numbers, 2);
    void *purged = map(&numbers[2], 2);
    unmap(kept);
    unmap(purged);
    expect_found(numbers, 2, kept);
    kept[0] = 5;
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
    assert_int_equal(test.pages.mapped_pages, 2);
    assert_int_equal(kept[0], 5);
    assert_int_equal(test_vm_stats(vm).ram_parked, 0);
    expect_fresh(&numbers[2], 2);
    unmap(kept);
    end();
}

static void keep_record(void *context, struct kva_later *record)
{
    *(struct kva_later **)context = record;
}

/** Mapping frames is one of the calls that free areas after their grace period. */
static void test_ready_areas(void **state)
{
    struct kva_vm_config config = plain();
    struct kva_later *record = NULL;

    (void)state;
    config.grace = (struct kva_grace){keep_record, NULL, &record};
    begin(&config);
    assert_int_equal(kva_vfree_later(vm, kva_vmalloc(vm, page), NULL), KVA_OK);
    void *memory = map(numbers, 1);
    assert_int_equal(test_vm_stats(vm).later_areas, 1);
    kva_vfree_ready(record);
    unmap(memory);
    expect_found(numbers, 1, memory);
    assert_int_equal(test_vm_stats(vm).later_areas, 0);
    unmap(memory);
    end();
}

/** One call unmaps neighbouring maps, in whichever order they ended; live maps divide the runs. */
static void test_runs(void **state)
{
    enum { MAPS = 40 };
    struct kva_vm_config config = plain();

    (void)state;
    config.one_thread = true; /* else runs end at each 2 MiB */
    begin(&config);
    for (size_t i = 0; i < MAPS; i++) {
        maps[i] = map(&numbers[3 * i], 3);
        assert_ptr_equal(maps[i], (char *)maps[0] + 3 * i * page);
    }
    for (size_t i = 0; i < MAPS; i++) {
        size_t k = 7 * i % MAPS;
        if (k % 10 != 5)
            unmap(maps[k]);
    }
    uint64_t closes = test.pages.closes;
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
    assert_int_equal(test.pages.closes - closes, 5);
    assert_int_equal(test.pages.mapped_pages, 4 * 3);
    for (size_t k = 5; k < MAPS; k += 10)
        unmap(maps[k]);
    end();
}

/** If mappings, memory or addresses are short, cached maps are unmapped before a request fails. */
static void test_cache_is_emptied_before_refusals(void **state)
{
    static const enum kva_status statuses[] = {KVA_ELIMIT, KVA_ENOMEM};
    struct kva_vm_config config = plain();

    (void)state;
    begin(&config);
    for (size_t i = 0; i < 2; i++) {
        unmap(map(numbers, 8));
        assert_int_equal(test_vm_stats(vm).ram_parked, 1);
        test.pages.status = statuses[i];
        kva_failing_pages_fail(&test.pages, 1, false);
        void *memory = kva_vmalloc(vm, 5 * page);
        assert_non_null(memory);
        assert_int_equal(test.pages.mapped_pages, 0);
        assert_int_equal(test_vm_stats(vm).ram_parked, 0);
        assert_int_equal(kva_vfree(vm, memory), KVA_OK);
        assert_int_equal(kva_vm_purge(vm), KVA_OK);
    }
    kva_failing_pages_fail(&test.pages, 0, false);
    const size_t all = (size_t)(config.frames_part / page);
    for (size_t i = 0; i + 3 * KVA_MAP_RAM_MOST <= FRAMES; i += KVA_MAP_RAM_MOST)
        unmap(map(&numbers[i], KVA_MAP_RAM_MOST));
    assert_true(test_vm_stats(vm).ram_parked > 1);
    uint64_t *many = calloc(all, sizeof *many);
    assert_non_null(many);
    for (size_t i = 0; i < all; i++)
        many[i] = numbers[i % FRAMES];
    void *whole = kva_vmap(vm, frames, many, all - 1); /* together with its guard, it needs all */
    assert_non_null(whole);
    free(many);
    assert_int_equal(test_vm_stats(vm).ram_parked, 0);
    assert_int_equal(kva_vunmap(vm, whole), KVA_OK);
    end();
}

static bool give_memory(void *context, struct kva_vm *instance, size_t size)
{
    (void)instance;
    ++*(unsigned *)context;
    kva_failing_memory_fail(&test.memory, 0, false);
    return size > 0;
}

/** The index takes node memory; a reclaim callback may free some. */
static void test_memory_of_the_index(void **state)
{
    struct kva_vm_config config = plain();
    unsigned asked = 0;
    struct kva_vm_reclaim reclaim = {.callback = give_memory, .context = &asked};

    (void)state;
    begin(&config);
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
    kva_failing_memory_fail(&test.memory, 1, true);
    assert_null(kva_map_ram(vm, frames, numbers, 1));
    assert_int_equal(kva_vm_status(vm), KVA_ENOMEM);
    assert_int_equal(kva_vm_frames_free(frames, &numbers[0], 1), KVA_OK); /* the refused map does not count */
    assert_int_equal(kva_vm_frames_alloc(frames, 1, &numbers[0]), KVA_OK);
    test_vm_expect_sound(&test, "refused");
    assert_int_equal(kva_vm_reclaim_add(vm, &reclaim), KVA_OK);
    void *memory = map(numbers, 1);
    assert_int_equal(asked, 1);
    unmap(memory);
    expect_found(numbers, 1, memory);
    unmap(memory);
    assert_int_equal(kva_vm_reclaim_remove(vm, &reclaim), KVA_OK);
    end();
}

/* ---------------------------------------------------------------------------------- guards and large maps */

/** When the part for frames is full, a touch after the last map still faults: with guards, the last page of
 *  the reservation stays closed. */
static void play_last_page(bool without_guards)
{
    struct kva_vm_config config = plain();

    config.reservation = 16 * TEST_MIB;
    config.frames_part = TEST_MIB;
    config.without_guards = without_guards;
    begin(&config);
    uintptr_t last = (uintptr_t)test_vm_stats(vm).reservation_last;
    size_t count = 0;
    char *memory;
    char *highest = NULL;
    while ((memory = kva_map_ram(vm, frames, numbers, 1)) != NULL) {
        highest = memory > highest ? memory : highest;
        count++;
    }
    assert_int_equal(kva_vm_status(vm), KVA_ENOSPC);
    assert_int_equal(count, TEST_MIB / page - (without_guards ? 0 : 1));
    assert_int_equal((uintptr_t)highest + page - 1, without_guards ? last : last - page);
    assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_OK);
    test_vm_expect_nothing_lost(&test, "full");
}

static void test_last_page(void **state)
{
    (void)state;
    play_last_page(false);
    play_last_page(true);
}

/** Maps of more than KVA_MAP_RAM_MOST frames, and all maps of a hardened instance, are as those of kva_vmap:
 *  they have guards, and are not found again. */
static void play_as_vmap(bool hardened, size_t length)
{
    struct kva_vm_config config = plain();
    struct kva_vm_area area;

    config.hardened = hardened;
    begin(&config);
    void *memory = map(numbers, length);
    assert_int_equal(kva_vm_find(vm, memory, &area), KVA_OK);
    assert_int_equal(area.guard, page);
    assert_int_equal(test_vm_stats(vm).ram_live, 0);
    unmap(memory);
    assert_int_equal(kva_vm_find(vm, memory, &area), KVA_OK);
    assert_int_equal(area.state, hardened ? KVA_VM_QUARANTINED : KVA_VM_PARKED);
    assert_non_null(area.freed_by);
    struct kva_vm_stats stats = test_vm_stats(vm);
    assert_int_equal(stats.ram_parked, 0);
    assert_int_equal(stats.parked_areas + stats.quarantined_areas, 1);
    assert_int_equal(test.pages.mapped_pages, hardened ? 0 : length);
    expect_fresh(numbers, length);
    assert_int_equal(test_vm_stats(vm).ram_misses, 0);
    end();
}

static void test_long_and_hardened_maps_have_guards(void **state)
{
    (void)state;
    play_as_vmap(false, KVA_MAP_RAM_MOST + 1);
    play_as_vmap(true, KVA_MAP_RAM_MOST + 1);
    play_as_vmap(true, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_match),
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_same_frames_twice),
        cmocka_unit_test(test_reported_areas),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_oldest_first),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_no_reuse),
        cmocka_unit_test(test_refused_reuse),
        cmocka_unit_test(test_without_lazy_bytes),
        cmocka_unit_test(test_purge),
        cmocka_unit_test(test_ready_areas),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_cache_is_emptied_before_refusals),
        cmocka_unit_test(test_memory_of_the_index),
        cmocka_unit_test(test_last_page),
        cmocka_unit_test(test_long_and_hardened_maps_have_guards),
    };
    page = test_page();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
