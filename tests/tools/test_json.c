/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Texts from outside in the program's JSON, such as a name from a symbol table. Whatever bytes a text has,
 * the JSON is valid: a text in UTF-8 is kept, character by character, and any other text is replaced as a
 * whole.
 */
#include "common/harness.h"

#include "tools/common/json.h"

#include <stdlib.h>
#include <string.h>

/** Encode a character by the definition of UTF-8; returns the number of bytes. */
static size_t encode(uint32_t character, unsigned char out[4])
{
    static const unsigned char lead[4] = {0, 0xc0, 0xe0, 0xf0};

    if (character < 0x80) {
        out[0] = (unsigned char)character;
        return 1;
    }
    size_t more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
    for (size_t i = more; i > 0; i--, character >>= 6)
        out[i] = (unsigned char)(0x80 | (character & 0x3f));
    out[0] = (unsigned char)(lead[more] | character);
    return more + 1;
}

static bool is_character(uint32_t character)
{
    return character > 0 && character < 0x110000 && (character < 0xd800 || character > 0xdfff);
}

/** The bytes of the character that begins a string; 0: none. It tries all lengths and encodes again. */
static size_t character_in(const unsigned char bytes[4])
{
    static const unsigned char mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};

    for (size_t count = 1; count <= 4; count++) {
        unsigned char again[4];
        uint32_t character = bytes[0] & mask[count];
        for (size_t i = 1; i < count; i++)
            character = character << 6 | (bytes[i] & 0x3f);
        if (is_character(character) && encode(character, again) == count && memcmp(again, bytes, count) == 0)
            return count;
    }
    return 0;
}

/** The JSON of a text, with its quotes. */
static const char *written(const char *text)
{
    static char room[128];
    json_t *value = json_text(text);
    size_t length = json_dumpb(value, room, sizeof room - 1, JSON_ENCODE_ANY);

    assert_true(length >= 2 && length < sizeof room);
    room[length] = '\0';
    json_decref(value);
    return room;
}

/** The byte of a one-letter escape; 0: no such escape. */
static char escaped_byte(char letter)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char bytes[] = "\"\\/\b\f\n\r\t";
    const char *at = letter == '\0' ? NULL : strchr(letters, letter);

    return at == NULL ? '\0' : bytes[at - letters];
}

/** Read a JSON string according to RFC 8259. Only a control character may be written as \u and four
 *  digits. */
static void read_back(const char *json, char *text)
{
    assert_int_equal(*json++, '"');
    while (*json != '"') {
        assert_true((unsigned char)*json >= ' ');
        if (*json != '\\') {
            *text++ = *json++;
        } else if (json[1] == 'u') {
            char digits[5] = "";
            memcpy(digits, json + 2, 4);
            unsigned long byte = strtoul(digits, NULL, 16);
            assert_true(byte > 0 && byte < 0x80);
            *text++ = (char)byte;
            json += 6;
        } else {
            *text = escaped_byte(json[1]);
            assert_true(*text++ != '\0');
            json += 2;
        }
    }
    assert_int_equal(json[1], '\0');
    *text = '\0';
}

static void expect_kept(const char *text)
{
    char again[64];

    read_back(written(text), again);
    assert_string_equal(again, text);
}

static void expect_replaced(const char *text)
{
    assert_string_equal(written(text), "\"(not UTF-8)\"");
}

/** Every character, between two others. */
static void characters_are_kept(void **state)
{
    (void)state;
    for (uint32_t character = 1; character < 0x110000; character++) {
        char text[8] = "<";
        if (!is_character(character))
            continue;
        size_t count = encode(character, (unsigned char *)text + 1);
        text[1 + count] = '>';
        expect_kept(text);
    }
}

/** Every first byte, followed by three bytes at the limits that a decoder distinguishes. */
static void other_bytes_are_replaced(void **state)
{
    static const unsigned char limits[] = {1,    ' ',  0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                           0xc0, 0xc2, 0xdf, 0xe0, 0xed, 0xf0, 0xf4, 0xff};
    enum { LIMITS = sizeof limits };

    (void)state;
    for (unsigned first = 1; first < 256; first++) {
        for (unsigned k = 0; k < LIMITS * LIMITS * LIMITS; k++) {
            unsigned char bytes[8] = {(unsigned char)first, limits[k % LIMITS], limits[k / LIMITS % LIMITS],
                                      limits[k / LIMITS / LIMITS]};
            size_t at = 0;
            for (size_t count = 1; count > 0 && bytes[at] != 0; at += count)
                count = character_in(bytes + at);
            if (bytes[at] == 0)
                expect_kept((const char *)bytes);
            else
                expect_replaced((const char *)bytes);
        }
    }
}

/** A name with quotes, a backslash and control characters; and a name that is cut off inside a character. */
static void names_are_valid(void **state)
{
    (void)state;
    assert_string_equal(written("load_table+0x1c"), "\"load_table+0x1c\"");
    assert_string_equal(written("a\"b\\c\nd\x1f\x7f\xc3\xa9"), "\"a\\\"b\\\\c\\nd\\u001F\x7f\xc3\xa9\"");
    expect_replaced("a\xe2\x82");
    expect_replaced("a\"b\\c\nd\xff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_kept),
        cmocka_unit_test(other_bytes_are_replaced),
        cmocka_unit_test(names_are_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
