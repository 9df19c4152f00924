/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Tests of the checker: after an invariant was broken on purpose, kva_frames_check must report which one, and
 * in which block. Each invariant is broken through the set's own structures, one at a time, as far as
 * possible without breaking others.
 *
 *      blocks of 16 frames, a zone of frames 10 to 95, as create_usual() makes it
 *
 *      10      16          32          48 50   53  64            80          96
 *      | free  | a run over two blocks |  | run |   | free        | free      |
 */
#include "../common/harness.h"

#include <string.h>

#include "../../ports/test/failing_memory.h"
#include "frames/frames_set.h"

enum { BLOCK_ORDER = 4, RUN = 16, SHORT_RUN = 50 };

static struct {
    struct kva_frames *frames;
    struct frames_zone *zone; /* zone 0 */
    struct kva_failing_memory memory;
} set;

static void create(uint64_t start, uint64_t end, unsigned block_order)
{
    struct kva_frames_zone zone = {start, end, 0};
    struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .block_order = block_order};

    config.memory = kva_failing_memory_init(&set.memory);
    assert_int_equal(kva_frames_create(&config, &set.frames), KVA_OK);
    set.zone = &set.frames->zones[0];
}

static void create_usual(void)
{
    create(10, 96, BLOCK_ORDER);
    assert_int_equal(kva_frames_reserve(set.frames, RUN, 32, KVA_MOVABLE, NULL), KVA_OK);
    assert_int_equal(kva_frames_reserve(set.frames, SHORT_RUN, 3, KVA_MOVABLE, NULL), KVA_OK);
    assert_int_equal(kva_frames_check(set.frames, NULL), KVA_OK);
}

static void destroy(void)
{
    assert_int_equal(kva_frames_destroy(set.frames), KVA_OK);
    assert_int_equal(set.memory.blocks, 0);
}

/** The check finds the invariant `name` ("F4") broken in the block with this number. */
static void expect_broken(const char *name, uint64_t block)
{
    struct kva_fault fault = {.what = "nothing"};

    assert_int_equal(kva_frames_check(set.frames, &fault), KVA_ECORRUPT);
    assert_int_equal(kva_frames_check(set.frames, NULL), KVA_ECORRUPT);
    assert_int_equal(fault.status, KVA_ECORRUPT);
    assert_string_equal(fault.where, "kva_frames_check");
    check_that(strncmp(fault.what, name, strlen(name)) == 0 && fault.what[strlen(name)] == ':',
               "%s was broken, the check reports: %s", name, fault.what);
    check_that(fault.address >> set.frames->order == block,
               "%s should be found in block %" PRIu64 ", not at %#" PRIx64, name, block, fault.address);
}

static uint64_t header_of(uint32_t block)
{
    return block_header(&set.zone->headers[block]);
}

static void set_header(uint32_t block, uint64_t h)
{
    unlock_block(set.frames, set.zone, block, h);
}

static struct frames_word *words_at(uint32_t block)
{
    return words_of(set.frames, set.zone, block);
}

/** With the header `h` of a block, an invariant is broken, and the check finds it in block `where`; with
 *  the old header the check succeeds. */
static void expect_broken_at(uint32_t block, uint64_t h, const char *name, uint32_t where)
{
    uint64_t before = header_of(block);

    set_header(block, h);
    expect_broken(name, where);
    set_header(block, before);
    assert_int_equal(kva_frames_check(set.frames, NULL), KVA_OK);
}

static void expect_header_broken(uint32_t block, uint64_t h, const char *name)
{
    expect_broken_at(block, h, name, block);
}

/* -------------------------------------------------------------------------------------------------- tests */

static void counts(void **state)
{
    (void)state;

    create_usual();
    expect_header_broken(3, with_taken(header_of(3), 1), "F1");
    expect_header_broken(3, header_of(3) + (UINT64_C(1) << USED_AT), "F1");
    expect_header_broken(4, header_of(4) - (UINT64_C(1) << FREE_AT), "F1");
    expect_header_broken(1, header_of(1) - (UINT64_C(1) << USED_AT), "F1");
    words_at(2)->taken = 1; /* the states of a whole block stay zero */
    expect_broken("F1", 2);
    words_at(2)->taken = 0;
    destroy();
}

/* A frame before the zone, and one after it, appear free. */
static void frames_outside(void **state)
{
    (void)state;

    create(10, 90, BLOCK_ORDER);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t block = i == 0 ? 0 : 5;
        uint64_t bit = UINT64_C(1) << (i == 0 ? 9 : 10);
        uint64_t before = header_of(block);
        words_at(block)->first &= ~bit;
        set_header(block, before + (UINT64_C(1) << FREE_AT));
        expect_broken("F2", block);
        set_header(block, before);
        words_at(block)->first |= bit;
    }
    destroy();
}

static void runs(void **state)
{
    uint64_t bit = UINT64_C(1) << (SHORT_RUN & 15);
    (void)state;

    create_usual();
    words_at(3)->first &= ~bit; /* the run has lost its first frame */
    expect_broken("F3", 3);
    words_at(3)->first |= bit;
    expect_broken_at(1, header_of(1) & ~CONT_MASK, "F3", 2);
    expect_header_broken(0, header_of(0) | CONT_MASK, "F3");
    expect_header_broken(3, header_of(3) | CONT_MASK, "F3"); /* the block's last frame is free */
    expect_broken_at(2, header_of(2) | CONT_MASK, "F3", 3);  /* the next block's first frame is free */
    destroy();
}

/* The last run of the zone claims to continue after it. */
static void a_run_beyond_the_zone(void **state)
{
    (void)state;

    create(10, 96, BLOCK_ORDER);
    assert_int_equal(kva_frames_reserve(set.frames, 95, 1, KVA_MOVABLE, NULL), KVA_OK);
    uint64_t before = header_of(5);
    struct kva_fault fault;
    set_header(5, before | CONT_MASK);
    assert_int_equal(kva_frames_check(set.frames, &fault), KVA_ECORRUPT);
    assert_true(strncmp(fault.what, "F3:", 3) == 0);
    set_header(5, before);
    assert_int_equal(kva_frames_check(set.frames, NULL), KVA_OK);
    destroy();
}

static void bounds(void **state)
{
    (void)state;

    create_usual();
    expect_header_broken(3, header_of(3) ^ HEAD_MASK, "F4");
    expect_header_broken(3, header_of(3) ^ TAIL_MASK, "F4");
    expect_header_broken(1, header_of(1) ^ TAIL_MASK, "F4");
    expect_header_broken(4, with_top(header_of(4), BLOCK_ORDER - 1), "F5");
    expect_header_broken(3, with_top(header_of(3), 1), "F5"); /* 56 to 63 are free */
    destroy();
}

/* A hint counts sixteenths of a block, or words. */
static void hints(void **state)
{
    (void)state;

    for (unsigned order = 7; order <= KVA_FRAMES_BLOCK_ORDER; order++) {
        create(0, UINT64_C(2) << order, order);
        expect_header_broken(1, with_hint(header_of(1), 1), "F6");
        destroy();
    }
}

static void kinds(void **state)
{
    (void)state;

    create_usual();
    expect_header_broken(4, with_kind(header_of(4), KIND_MOVABLE), "F7");
    expect_header_broken(3, with_kind(header_of(3), KIND_UNUSED), "F7");
    destroy();
}

static void rows(void **state)
{
    (void)state;

    create_usual();
    row_clear(&set.zone->rows, ROW_EMPTY, 4);
    expect_broken("F8", 4);
    row_set(&set.zone->rows, ROW_EMPTY, 4);
    assert_int_equal(kva_frames_check(set.frames, NULL), KVA_OK);
    for (unsigned row = 0; row < set.frames->row_count; row++) {
        if (row_has(&set.zone->rows, row, 3))
            continue;
        row_set(&set.zone->rows, row, 3);
        expect_broken("F8", 3);
        row_clear(&set.zone->rows, row, 3);
    }
    assert_int_equal(kva_frames_check(set.frames, NULL), KVA_OK);
    destroy();
}

/** The block that a CPU holds; there is exactly one. */
static uint32_t held_block(void)
{
    uint32_t block = 0;

    while (!is_held(header_of(block)))
        block++;
    return block;
}

static void holds(void **state)
{
    struct kva_frames_request request = {.type = KVA_MOVABLE};
    uint64_t first;
    (void)state;

    create_usual();
    assert_int_equal(kva_frames_alloc(set.frames, &request, &first), KVA_OK);
    uint32_t held = held_block();
    assert_int_equal(kva_frames_check(set.frames, NULL), KVA_OK);
    expect_header_broken(held, with_kind(header_of(held), KIND_UNUSED), "F7");
    expect_header_broken(held, header_of(held) | UINT64_C(5) << OWNER_AT, "F9"); /* no such CPU */
    expect_header_broken(held, header_of(held) ^ UINT64_C(1) << SLOT_AT, "F9");
    expect_header_broken(held, with_kind(header_of(held), KIND_UNMOVABLE),
                         "F9"); /* the slot is for another kind */
    destroy();
}

/* One level of summaries, and two. */
static void summaries(void **state)
{
    (void)state;

    for (unsigned levels = 2; levels <= 3; levels++) {
        create(0, UINT64_C(4) << levels * ROW_SHIFT, 1);
        struct frames_rows *all = &set.zone->rows;
        assert_int_equal(all->levels, levels + 1); /* twice as many blocks as `levels` levels can hold */
        for (unsigned level = 1; level < all->levels; level++) {
            _Atomic uintptr_t *word = row_word(all, ROW_EMPTY, level, 0);
            uintptr_t before = atomic_fetch_and(word, ~(uintptr_t)1);
            expect_broken("F10", 0);
            atomic_store(word, before);
            word = row_word(all, ROW_PARTIAL, level, 0);
            atomic_fetch_or(word, (uintptr_t)1);
            expect_broken("F10", 0);
            atomic_fetch_and(word, ~(uintptr_t)1);
        }
        assert_int_equal(kva_frames_check(set.frames, NULL), KVA_OK);
        destroy();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts), cmocka_unit_test(frames_outside),
        cmocka_unit_test(runs),   cmocka_unit_test(a_run_beyond_the_zone),
        cmocka_unit_test(bounds), cmocka_unit_test(hints),
        cmocka_unit_test(kinds),  cmocka_unit_test(rows),
        cmocka_unit_test(holds),  cmocka_unit_test(summaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
