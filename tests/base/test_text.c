/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Strings in JSON: whatever bytes go in, what comes out is UTF-8 without control characters, and stands for the same characters
 * wherever the bytes are some.
 */
#include "../common/harness.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

/** Encode a character by the definition of UTF-8; how many bytes that takes. */
static size_t encode(uint32_t character, unsigned char out[4])
{
    if (character < 0x80) {
        out[0] = (unsigned char)character;
        return 1;
    }
    size_t more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
    static const unsigned char lead[4] = {0, 0xc0, 0xe0, 0xf0};
    for (size_t i = more; i > 0; i--, character >>= 6)
        out[i] = (unsigned char)(0x80 | (character & 0x3f));
    out[0] = (unsigned char)(lead[more] | character);
    return more + 1;
}

static bool is_character(uint32_t character)
{
    return character > 0 && character < 0x110000 && (character < 0xd800 || character > 0xdfff);
}

/** What a string becomes, without its quotes. */
static const char *json_of(const void *bytes, size_t count)
{
    static char room[64];
    char string[9] = "";
    struct kva_text text = text_of(room, sizeof room);

    memcpy(string, bytes, count);
    text_put_json(&text, string);
    assert_true(text.length >= 2 && room[0] == '"' && room[text.length - 1] == '"');
    room[text.length - 1] = '\0';
    return room + 1;
}

static void expect_json(const void *bytes, size_t count, const char *wanted)
{
    const char *json = json_of(bytes, count);

    check_that(strcmp(json, wanted) == 0, "%02x %02x...: %s, not %s", ((const unsigned char *)bytes)[0],
               ((const unsigned char *)bytes)[1], json, wanted);
}

/** Every character there is, on its own. */
static void test_characters_are_kept(void **state)
{
    (void)state;
    for (uint32_t character = 1; character < 0x110000; character++) {
        unsigned char bytes[5] = {0};
        char wanted[9] = "";
        if (!is_character(character))
            continue;
        size_t count = encode(character, bytes);
        if (character < ' ')
            snprintf(wanted, sizeof wanted, "\\u%04x", (unsigned)character);
        else
            snprintf(wanted, sizeof wanted, "%s%s", character == '"' || character == '\\' ? "\\" : "",
                     (const char *)bytes);
        expect_json(bytes, count, wanted);
    }
}

/** Whether four bytes begin with a character, and how many of them it takes: by trying all lengths and encoding back. */
static size_t character_in(const unsigned char bytes[4])
{
    for (size_t count = 1; count <= 4; count++) {
        static const unsigned char mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
        unsigned char again[4];
        uint32_t character = bytes[0] & mask[count];
        for (size_t i = 1; i < count; i++)
            character = character << 6 | (bytes[i] & 0x3f);
        if (is_character(character) && encode(character, again) == count && memcmp(again, bytes, count) == 0)
            return count;
    }
    return 0;
}

/** Three bytes at the limits of all that a decoder distinguishes, behind every first one. */
static void test_what_is_no_character_is_replaced(void **state)
{
    static const unsigned char limits[] = {1,    ' ',  0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                           0xc0, 0xc2, 0xdf, 0xe0, 0xed, 0xf0, 0xf4, 0xff};
    enum { LIMITS = sizeof(limits) };

    (void)state;
    for (unsigned first = 1; first < 256; first++) {
        for (unsigned k = 0; k < LIMITS * LIMITS * LIMITS; k++) {
            unsigned char bytes[8] = {(unsigned char)first, limits[k % LIMITS], limits[k / LIMITS % LIMITS],
                                      limits[k / LIMITS / LIMITS]};
            size_t count = character_in(bytes);
            bool is_replaced = strncmp(json_of(bytes, 4), "\\ufffd", 6) == 0;
            check_that(text_utf8_bytes((const char *)bytes) == count, "%02x %02x %02x %02x: %zu", bytes[0],
                       bytes[1], bytes[2], bytes[3], count);
            assert_int_equal(is_replaced, count == 0);
        }
    }
}

/** A name is cut where its room ends, perhaps within a character. */
static void test_a_character_that_is_cut_off(void **state)
{
    (void)state;
    expect_json("a\xe2\x82", 3, "a\\ufffd\\ufffd");
    expect_json("\xf0\x9f\x98", 3, "\\ufffd\\ufffd\\ufffd");
    expect_json("\xc3", 1, "\\ufffd");
    expect_json("\xff\xfe", 2, "\\ufffd\\ufffd");
    expect_json("\"\\\n", 3, "\\\"\\\\\\u000a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters_are_kept),
        cmocka_unit_test(test_what_is_no_character_is_replaced),
        cmocka_unit_test(test_a_character_that_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
