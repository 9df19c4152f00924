/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Counts and text for readers, on layouts small enough to compute by hand: the two indices of fragmentation,
 * the dump, and the picture.
 */
#include "../common/frames_model.h"

#include <string.h>

#define TOP UINT64_MAX

static struct frames_model model;

/* ------------------------------------------------------------------------------------------------ indices */

/** Within one of the exact value: the header does not promise a rounding. */
static void expect_near(int got, int want, const char *what)
{
    check_that(got >= want - 1 && got <= want + 1, "%s is %d, %d expected", what, got, want);
}

/** Read the orders of zone 0 of the model's set. */
static struct kva_frames_orders read_orders(void)
{
    struct kva_frames_orders orders;

    frames_model_compare(&model);
    assert_int_equal(kva_frames_orders_read(model.frames, 0, &orders), KVA_OK);
    return orders;
}

/** 32 frames in blocks of 8; bit f of `used`: frame f is in use. */
static void create_layout(uint32_t used, enum kva_frames_type type)
{
    static const struct kva_frames_zone zone = {64, 96, 0};
    struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .block_order = 3};

    frames_model_create(&model, &config, "a known layout");
    for (unsigned i = 0; i < 32; i++) {
        if ((used >> i & 1) != 0)
            assert_int_equal(frames_model_reserve(&model, 64 + i, 1, type), KVA_OK);
    }
}

/* F = 32 in four groups of order 3: every frame is usable, no request up to order 3 fails. */
static void indices_of_an_empty_zone(void **state)
{
    (void)state;

    create_layout(0, KVA_MOVABLE);
    struct kva_frames_orders orders = read_orders();
    assert_int_equal(orders.unused[3], 4);
    for (unsigned order = 0; order <= 3; order++) {
        assert_int_equal(kva_frames_unusable(&orders, order), 0);
        assert_int_equal(kva_frames_fragmentation(&orders, order), -1);
    }
    assert_int_equal(kva_frames_unusable(&orders, 4), 1000);
    assert_int_equal(kva_frames_fragmentation(&orders, 4), -1);
    assert_int_equal(kva_frames_unusable(NULL, 0), 0);
    assert_int_equal(kva_frames_fragmentation(NULL, 0), -1);
    frames_model_destroy(&model);
}

/* Every second frame: F = 16 in 16 groups of order 0. Unusable: 0, then all. Fragmentation at order j:
 * 1 - (1 + 16 / 2^j) / 16, so 0.4375, 0.6875, 0.8125. */
static void indices_of_a_comb(void **state)
{
    (void)state;

    for (unsigned type = 0; type < 2; type++) {
        create_layout(0x55555555, frames_model_type(type));
        struct kva_frames_orders orders = read_orders();
        assert_int_equal(type == KVA_MOVABLE ? orders.movable[0] : orders.unmovable[0], 16);
        assert_int_equal(kva_frames_unusable(&orders, 0), 0);
        assert_int_equal(kva_frames_fragmentation(&orders, 0), -1);
        for (unsigned order = 1; order <= 3; order++)
            assert_int_equal(kva_frames_unusable(&orders, order), 1000);
        expect_near(kva_frames_fragmentation(&orders, 1), 437, "fragmentation of order 1");
        expect_near(kva_frames_fragmentation(&orders, 2), 687, "fragmentation of order 2");
        expect_near(kva_frames_fragmentation(&orders, 3), 812, "fragmentation of order 3");
        frames_model_destroy(&model);
    }
}

/* One group of order 2, one of order 1, two of order 0: F = 8. Unusable at order 1: 2/8, at order 2: 4/8,
 * at order 3: all. Fragmentation at order 3: 1 - (1 + 8/8) / 4 = 0.5. */
static void indices_of_a_mixture(void **state)
{
    (void)state;

    create_layout(~(UINT32_C(0xf) | UINT32_C(0x3) << 10 | UINT32_C(1) << 17 | UINT32_C(1) << 22),
                  KVA_MOVABLE);
    struct kva_frames_orders orders = read_orders();
    assert_int_equal(kva_frames_unusable(&orders, 0), 0);
    assert_int_equal(kva_frames_unusable(&orders, 1), 250);
    assert_int_equal(kva_frames_unusable(&orders, 2), 500);
    assert_int_equal(kva_frames_unusable(&orders, 3), 1000);
    for (unsigned order = 0; order <= 2; order++)
        assert_int_equal(kva_frames_fragmentation(&orders, order), -1);
    expect_near(kva_frames_fragmentation(&orders, 3), 500, "fragmentation of order 3");
    frames_model_destroy(&model);
}

/* No frame is free: the unusable part is 0, and memory is short. */
static void indices_of_a_full_zone(void **state)
{
    (void)state;

    create_layout(UINT32_MAX, KVA_MOVABLE);
    struct kva_frames_orders orders = read_orders();
    for (unsigned order = 0; order <= 3; order++) {
        assert_int_equal(kva_frames_unusable(&orders, order), 0);
        assert_int_equal(kva_frames_fragmentation(&orders, order), 0);
    }
    frames_model_destroy(&model);
}

/* One frame: 1 - (1 + 1/8) / 1 is below 0, the lower end of the index. And frames so many that a thousand
 * times their number exceeds 2^64. */
static void indices_at_their_ends(void **state)
{
    struct kva_frames_orders orders = {.block_order = 9};
    (void)state;

    orders.movable[0] = 1;
    assert_int_equal(kva_frames_fragmentation(&orders, 3), 0);
    assert_int_equal(kva_frames_unusable(&orders, 3), 1000);
    orders.movable[0] = UINT64_C(1) << 53;
    orders.unmovable[1] = UINT64_C(1) << 52;
    orders.unused[2] = UINT64_C(1) << 52; /* 2, 2 and 4 times 2^52 frames, the most that a set may have */
    assert_int_equal(kva_frames_unusable(&orders, 0), 0);
    expect_near((int)kva_frames_unusable(&orders, 1), 250, "unusable at order 1");
    expect_near((int)kva_frames_unusable(&orders, 2), 500, "unusable at order 2");
    assert_int_equal(kva_frames_unusable(&orders, 3), 1000);
    /* 1 - (1 + 2^55 / 2^9) / 2^54 = 1 - 2^-8 */
    expect_near(kva_frames_fragmentation(&orders, 9), 996, "fragmentation of order 9");
}

/* ------------------------------------------------------------------------------------- dumps and pictures */

enum { TEXT = 8192 };

struct text {
    char bytes[TEXT];
    size_t length;
};

/** Append a line, with each sequence of blanks as one blank. */
static void append_line(void *context, const char *line, size_t length)
{
    struct text *text = context;

    check_that(text->length + length + 1 < TEXT, "%zu bytes of text, room for %d", text->length, (int)TEXT);
    assert_true(memchr(line, '\n', length) == NULL && memchr(line, '\0', length) == NULL);
    for (size_t i = 0; i < length; i++) {
        if (line[i] != ' ' || (text->length > 0 && text->bytes[text->length - 1] != ' '))
            text->bytes[text->length++] = line[i];
    }
    text->bytes[text->length++] = '\n';
    text->bytes[text->length] = '\0';
}

/** Some line of the text begins with `start`. */
static void expect_line(const struct text *text, const char *start)
{
    for (const char *line = text->bytes; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, start, strlen(start)) == 0)
            return;
    }
    check_that(false, "no line begins with \"%s\":\n%s", start, text->bytes);
}

/* A zone like the mixture above, and one with a hole. */
static void a_dump(void **state)
{
    static const struct kva_frames_zone zones[] = {{64, 96, 0}, {128, 160, 5}};
    static const struct kva_frames_range hole = {130, 3};
    struct kva_frames_config config = {
        .zones = zones, .zone_count = 2, .holes = &hole, .hole_count = 1, .block_order = 3};
    static struct text text;
    (void)state;

    frames_model_create(&model, &config, "two zones to dump");
    assert_int_equal(frames_model_reserve(&model, 68, 6, KVA_MOVABLE), KVA_OK);
    assert_int_equal(frames_model_reserve(&model, 82, 1, KVA_UNMOVABLE), KVA_OK);
    assert_int_equal(kva_frames_dump(model.frames, append_line, &text), KVA_OK);
    expect_line(&text, "zone 0 node 0 frames 0x40-0x5f: 32 present, 25 free, 0 absent");
    expect_line(&text, "zone 0 unmovable 1 1 1 0 ");    /* 80-81, 83, 84-87 */
    expect_line(&text, "zone 0 movable 0 1 2 0 ");      /* 64-67, 74-75, 76-79 */
    expect_line(&text, "zone 0 unused 0 0 0 1 ");       /* 88-95 */
    expect_line(&text, "zone 0 unusable 0.000 0.040 "); /* 1 / 25 */
    expect_line(&text, "zone 0 fragmented - - - -");
    expect_line(&text, "zone 1 node 5 frames 0x80-0x9f: 29 present, 29 free, 3 absent");
    expect_line(&text, "zone 1 unused 1 2 0 3 ");
    frames_model_destroy(&model);
}

/* A block of each kind that a picture distinguishes, in blocks of 16 frames. */
static void a_picture(void **state)
{
    static const struct kva_frames_zone zone = {0, 16 * 9 + 3, 0};
    static const struct kva_frames_range holes[] = {{16, 16}, {32, 8}};
    static struct text text;
    struct kva_frames_config config = {
        .zones = &zone, .zone_count = 1, .holes = holes, .hole_count = 2, .block_order = 4};
    (void)state;

    frames_model_create(&model, &config, "a zone to draw");
    /* block 0: unused; 1: a hole; 2: 8 frames, all movable */
    assert_int_equal(frames_model_reserve(&model, 40, 8, KVA_MOVABLE), KVA_OK);
    /* 3: movable, 15 of 16; 4: one of 16; 5: 8 of 16 */
    assert_int_equal(frames_model_reserve(&model, 48, 15, KVA_MOVABLE), KVA_OK);
    assert_int_equal(frames_model_reserve(&model, 64, 1, KVA_MOVABLE), KVA_OK);
    assert_int_equal(frames_model_reserve(&model, 80, 8, KVA_MOVABLE), KVA_OK);
    /* 6: unmovable, in part; 7: full; 8: both; 9: three frames, full */
    assert_int_equal(frames_model_reserve(&model, 100, 1, KVA_UNMOVABLE), KVA_OK);
    assert_int_equal(frames_model_reserve(&model, 112, 16, KVA_UNMOVABLE), KVA_OK);
    assert_int_equal(frames_model_reserve(&model, 128, 8, KVA_UNMOVABLE), KVA_OK);
    assert_int_equal(frames_model_reserve(&model, 136, 8, KVA_MOVABLE), KVA_OK);
    assert_int_equal(frames_model_reserve(&model, 144, 3, KVA_MOVABLE), KVA_OK);
    assert_int_equal(kva_frames_picture(model.frames, 0, append_line, &text), KVA_OK);
    assert_string_equal(text.bytes, "0x0000000000000000 .:Mm05uUUM\n");
    frames_model_destroy(&model);
}

/* 64 blocks to a line, each with the number of its first frame. */
static void a_long_picture(void **state)
{
    static const struct kva_frames_zone zone = {TOP - 2 * 130, TOP, 0};
    static struct text text;
    struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .block_order = 1};
    (void)state;

    frames_model_create(&model, &config, "a zone of 131 blocks");
    assert_int_equal(kva_frames_picture(model.frames, 0, append_line, &text), KVA_OK);
    assert_string_equal(
        text.bytes, "0xfffffffffffffefa ................................................................\n"
                    "0xffffffffffffff7a ................................................................\n"
                    "0xfffffffffffffffa ...\n");
    frames_model_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indices_of_an_empty_zone),
        cmocka_unit_test(indices_of_a_comb),
        cmocka_unit_test(indices_of_a_mixture),
        cmocka_unit_test(indices_of_a_full_zone),
        cmocka_unit_test(indices_at_their_ends),
        cmocka_unit_test(a_dump),
        cmocka_unit_test(a_picture),
        cmocka_unit_test(a_long_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
