/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The fixed arena: aligned, disjoint blocks inside its buffer, and NULL when it is full. */
#include "../common/harness.h"

#include <kva/engine.h>
#include <string.h>

#define ROOM 4096

static _Alignas(max_align_t) unsigned char room[ROOM + sizeof(max_align_t)];

static bool is_aligned_for_any_object(const void *block)
{
    return (uintptr_t)block % _Alignof(max_align_t) == 0;
}

/** Take blocks of `bytes` until none is left; each lies after the last one and inside [begin, end). */
static size_t take_all(const struct kva_memory *source, size_t bytes, const unsigned char *begin,
                       const unsigned char *end)
{
    const unsigned char *after = begin;
    size_t count = 0;

    for (;;) {
        unsigned char *block = source->take(source->context, bytes);
        if (block == NULL)
            return count;
        assert_true(is_aligned_for_any_object(block));
        assert_true(block >= after && block <= end && bytes <= (size_t)(end - block));
        memset(block, 0xff, bytes);
        after = block + bytes;
        count++;
    }
}

static void blocks_are_aligned_and_disjoint_at_every_offset(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < sizeof(max_align_t); shift++) {
        for (size_t bytes = 1; bytes <= 200; bytes += 33) {
            struct kva_arena arena;
            struct kva_memory source = kva_arena_init(&arena, room + shift, ROOM);
            size_t grain = _Alignof(max_align_t);
            size_t padded = (bytes + grain - 1) / grain * grain;

            size_t count = take_all(&source, bytes, room + shift, room + shift + ROOM);
            /* Only alignment is lost: at most one grain before and one after. */
            assert_true(count >= (ROOM - 2 * grain) / padded);
            assert_null(source.take(source.context, bytes));
        }
    }
}

static void all_of_an_aligned_block_is_handed_out(void **state)
{
    struct kva_arena arena;
    struct kva_memory source = kva_arena_init(&arena, room, ROOM);
    (void)state;
    assert_ptr_equal(source.take(source.context, ROOM), room);
    assert_null(source.take(source.context, 1));
}

static void too_much_is_refused_and_less_still_succeeds(void **state)
{
    struct kva_arena arena;
    struct kva_memory source = kva_arena_init(&arena, room + 1, ROOM - 1);
    (void)state;
    assert_null(source.take(source.context, SIZE_MAX));
    assert_null(source.take(source.context, SIZE_MAX - 1));
    assert_null(source.take(source.context, ROOM));
    assert_non_null(source.take(source.context, 64));
}

static void a_buffer_smaller_than_its_padding_refuses_all(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < _Alignof(max_align_t); bytes++) {
        struct kva_arena arena;
        struct kva_memory source = kva_arena_init(&arena, room + 1, bytes);
        assert_null(source.take(source.context, 1));
    }
}

static void an_arena_without_a_buffer_refuses_all(void **state)
{
    struct kva_arena arena;
    struct kva_memory source = kva_arena_init(&arena, NULL, 4096);
    (void)state;
    assert_non_null(source.take);
    assert_non_null(source.give);
    assert_null(source.take(source.context, 1));
}

static void without_an_arena_the_source_is_empty(void **state)
{
    struct kva_memory source = kva_arena_init(NULL, room, ROOM);
    (void)state;
    assert_null(source.take);
    assert_null(source.give);
}

/* Giving back in any order must leave the arena usable, and the live blocks untouched. */
static void a_give_leaves_live_blocks_unchanged(void **state)
{
    struct kva_arena arena;
    struct kva_memory source = kva_arena_init(&arena, room, ROOM);
    unsigned char *blocks[4];
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        blocks[i] = source.take(source.context, 100);
        assert_non_null(blocks[i]);
        memset(blocks[i], (int)(i + 1), 100);
    }
    source.give(source.context, blocks[1], 100);
    source.give(source.context, blocks[3], 100);
    (void)take_all(&source, 64, room, room + ROOM);
    for (size_t i = 0; i <= 2; i += 2) {
        for (size_t k = 0; k < 100; k++)
            assert_int_equal(blocks[i][k], i + 1);
    }
}

/* Spaces one after the other, on memory that is only just enough for one. */
static void spaces_in_turn_reuse_the_arena(void **state)
{
    static unsigned char block[64 << 10];
    struct kva_arena arena;
    (void)state;

    for (size_t offset = 0; offset < 16; offset += 5) {
        struct kva_config config = {.last = UINT64_MAX, .engine = &kva_engine_rb};
        config.memory = kva_arena_init(&arena, block + offset, sizeof block - offset);
        size_t left = 0;
        for (unsigned life = 0; life < 100; life++) {
            struct kva_space space;
            assert_int_equal(kva_space_init(&space, &config), KVA_OK);
            assert_int_equal(kva_preload(&space, 300), KVA_OK); /* several slabs */
            assert_int_equal(kva_reserve(&space, 77, 7, NULL, NULL), KVA_OK);
            assert_int_equal(life % 2 ? kva_space_abandon(&space) : kva_free(&space, 77), KVA_OK);
            if (life % 2 == 0)
                assert_int_equal(kva_space_fini(&space), KVA_OK);
            if (life == 0)
                left = arena.left;
            assert_int_equal(arena.left, left);
        }
    }
}

/* The memory of pools is given back before the memory that the engine took first, for any engine. */
static void spaces_with_pools_in_turn_reuse_the_arena(void **state)
{
    static unsigned char block[128 << 10];
    struct kva_arena arena;
    (void)state;

    for (size_t i = 0; kva_engine_name(i); i++) {
        struct kva_config config = {.last = UINT64_MAX, .pool_bytes = 4096};
        config.engine = kva_engine_by_name(kva_engine_name(i));
        config.memory = kva_arena_init(&arena, block, sizeof block);
        size_t left = 0;
        for (unsigned life = 0; life < 100; life++) {
            struct kva_request request = kva_request_of(1);
            struct kva_space space;
            uint64_t start;
            assert_int_equal(kva_space_init(&space, &config), KVA_OK);
            assert_int_equal(kva_alloc(&space, &request, &start), KVA_OK);
            assert_int_equal(kva_free(&space, start), KVA_OK);
            assert_int_equal(kva_space_fini(&space), KVA_OK);
            if (life == 0)
                left = arena.left;
            assert_int_equal(arena.left, left);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_and_disjoint_at_every_offset),
        cmocka_unit_test(all_of_an_aligned_block_is_handed_out),
        cmocka_unit_test(too_much_is_refused_and_less_still_succeeds),
        cmocka_unit_test(a_buffer_smaller_than_its_padding_refuses_all),
        cmocka_unit_test(an_arena_without_a_buffer_refuses_all),
        cmocka_unit_test(without_an_arena_the_source_is_empty),
        cmocka_unit_test(a_give_leaves_live_blocks_unchanged),
        cmocka_unit_test(spaces_in_turn_reuse_the_arena),
        cmocka_unit_test(spaces_with_pools_in_turn_reuse_the_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
