/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Movable frame sets: see movable.h. */
#include "movable.h"

#include <kva/vmap.h>
#include <stdlib.h>
#include <string.h>

uint64_t test_block(void)
{
    static uint64_t block;
    const struct kva_vm_frames_config config = {.count = UINT64_C(1) << 16};
    struct test_vm test;
    struct kva_vm_frames *frames;

    if (block != 0)
        return block;
    struct kva_vm_config usual = test_vm_config(&test, KVA_MECHANISM_BEST);
    test_vm_create(&test, &usual);
    assert_int_equal(kva_vm_frames_create(test.vm, &config, &frames), KVA_OK);
    block = config.count / test_frames_stats(frames).blocks;
    test_vm_destroy(&test);
    assert_in_range(block, 1, 8192);
    return block;
}

struct kva_vm_config test_movable_config(struct test_movable *movable, enum kva_mechanism mechanism,
                                         uint64_t blocks)
{
    memset(movable, 0, sizeof *movable);
    movable->page = test_page();
    movable->block = test_block();
    movable->count = blocks * movable->block;

    struct kva_vm_config config = test_vm_config(&movable->test, mechanism);
    const struct kva_pages host = kva_pages_host(mechanism);
    const struct kva_pages moving = kva_moving_pages_init(&movable->moving, &host);
    config.pages = kva_failing_pages_init(&movable->test.pages, &moving);
    if (config.frames_part < 8 * movable->count * movable->page)
        config.frames_part = 8 * movable->count * movable->page;
    config.reservation = config.frames_part + 32 * TEST_MIB;
    return config;
}

void test_movable_create(struct test_movable *movable, const struct kva_vm_config *config)
{
    const struct kva_vm_frames_config set = {.count = movable->count, .movable = true};

    test_vm_create(&movable->test, config);
    movable->vm = movable->test.vm;
    assert_int_equal(kva_vm_frames_create(movable->vm, &set, &movable->frames), KVA_OK);
}

void test_movable_destroy(struct test_movable *movable)
{
    test_vm_expect_sound(&movable->test, "before the end");
    assert_int_equal(kva_vm_frames_destroy(movable->frames), KVA_OK);
    assert_int_equal(movable->test.pages.mapped_pages, 0);
    test_vm_destroy(&movable->test);
}

void test_movable_begin(struct test_movable *movable, enum kva_mechanism mechanism, uint64_t blocks)
{
    const struct kva_vm_config config = test_movable_config(movable, mechanism, blocks);

    test_movable_create(movable, &config);
}

uint64_t test_movable_place(const struct test_movable *movable, uint64_t number)
{
    void *map = kva_vmap(movable->vm, movable->frames, &number, 1);

    assert_non_null(map);
    uint64_t place = kva_failing_pages_place(&movable->test.pages, map);
    assert_in_range(place, 0, movable->count - 1);
    assert_int_equal(kva_vunmap(movable->vm, map), KVA_OK);
    return place;
}

struct kva_frames_stats test_frames_stats(const struct kva_vm_frames *frames)
{
    struct kva_frames_stats stats;

    assert_int_equal(kva_vm_frames_stats_read(frames, &stats), KVA_OK);
    return stats;
}

uint64_t test_word(const void *memory)
{
    uint64_t word;

    memcpy(&word, memory, sizeof word);
    return word;
}

void test_put_word(void *memory, uint64_t word)
{
    memcpy(memory, &word, sizeof word);
}

/* ----------------------------------------------------------------------------------------- scattered sets */

/** All frames, mapped in the order of their places. */
static unsigned char *map_all(struct test_movable *movable, uint64_t *by_place)
{
    size_t count = (size_t)movable->count;
    uint64_t *numbers = calloc(count, sizeof *numbers);
    unsigned char *map;

    assert_non_null(numbers);
    assert_int_equal(kva_vm_frames_alloc(movable->frames, count, numbers), KVA_OK);
    map = kva_vmap(movable->vm, movable->frames, numbers, count);
    assert_non_null(map);
    for (size_t i = 0; i < count; i++) {
        uint64_t place = kva_failing_pages_place(&movable->test.pages, map + i * movable->page);
        assert_in_range(place, 0, count - 1);
        by_place[place] = numbers[i];
    }
    assert_int_equal(kva_vunmap(movable->vm, map), KVA_OK);
    map = kva_vmap(movable->vm, movable->frames, by_place, count);
    assert_non_null(map);
    free(numbers);
    return map;
}

size_t test_movable_scatter(struct test_movable *movable, bool (*keep)(uint64_t place, uint64_t block),
                            uint64_t *kept)
{
    size_t count = (size_t)movable->count;
    size_t page = movable->page;
    uint64_t *by_place = calloc(count, sizeof *by_place);
    uint64_t *freed = calloc(count, sizeof *freed);
    size_t kept_count = 0;
    size_t freed_count = 0;

    assert_true(by_place != NULL && freed != NULL);
    unsigned char *map = map_all(movable, by_place);
    for (size_t place = 0; place < count; place++) {
        test_put_word(map + place * page, by_place[place] + 1);
        test_put_word(map + place * page + page - 8, by_place[place] + 1);
        if (keep(place, movable->block))
            kept[kept_count++] = by_place[place];
        else
            freed[freed_count++] = by_place[place];
    }
    assert_int_equal(kva_vunmap(movable->vm, map), KVA_OK);
    assert_int_equal(kva_vm_frames_free(movable->frames, freed, freed_count), KVA_OK);
    free(freed);
    free(by_place);
    return kept_count;
}

void test_movable_expect(const struct test_movable *movable, const unsigned char *map,
                         const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const unsigned char *page = map + i * movable->page;
        check_that(test_word(page) == numbers[i] + 1 && test_word(page + movable->page - 8) == numbers[i] + 1,
                   "frame %" PRIu64 " holds %#" PRIx64 " and %#" PRIx64, numbers[i], test_word(page),
                   test_word(page + movable->page - 8));
    }
}

unsigned char *test_movable_map(const struct test_movable *movable, const uint64_t *numbers, size_t count)
{
    unsigned char *map = kva_vmap(movable->vm, movable->frames, numbers, count);

    assert_non_null(map);
    test_movable_expect(movable, map, numbers, count);
    return map;
}
