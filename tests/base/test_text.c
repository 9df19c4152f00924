/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Text in a buffer of fixed size: numbers are formatted as the C library formats them, and nothing exceeds
 * the buffer. */
#include "../common/harness.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/** Around each power of two, ten and sixteen a number gains a digit, or a carry runs through all digits. */
static void for_each_number(void (*check)(uint64_t number))
{
    for (unsigned bit = 0; bit < 64; bit++)
        for (uint64_t distance = 0; distance < 3; distance++)
            check((UINT64_C(1) << bit) + distance - 1);
    for (uint64_t power = 1; power <= UINT64_MAX / 10; power *= 10)
        for (uint64_t digit = 1; digit < 10; digit++) {
            check(power * digit - 1);
            check(power * digit);
        }
    check(UINT64_MAX);
}

static void check_decimal(uint64_t number)
{
    char room[24];
    char wanted[24];
    struct kva_text text = text_of(room, sizeof room);

    text_put_decimal(&text, number);
    snprintf(wanted, sizeof wanted, "%" PRIu64, number);
    assert_string_equal(room, wanted);
    assert_int_equal(text.length, strlen(wanted));
}

static void test_decimal_numbers(void **state)
{
    (void)state;
    for_each_number(check_decimal);
}

static void check_hex(uint64_t number)
{
    for (unsigned digits = 1; digits <= 16; digits++) {
        char room[24];
        char wanted[24];
        struct kva_text text = text_of(room, sizeof room);
        text_put_hex(&text, number, digits);
        snprintf(wanted, sizeof wanted, "0x%0*" PRIx64, (int)digits, number);
        assert_string_equal(room, wanted);
    }
}

static void test_hexadecimal_numbers(void **state)
{
    (void)state;
    for_each_number(check_hex);
}

/** For any size of the buffer: the text is a prefix of the whole text, ends with a zero byte, and no byte
 * after the buffer changes. */
static void test_long_text_is_truncated(void **state)
{
    static const char whole[] = "before 0x00ab 1234567890 after";

    (void)state;
    for (size_t bytes = 1; bytes <= sizeof whole + 1; bytes++) {
        char room[sizeof whole + 2];
        size_t most = bytes - 1 < strlen(whole) ? bytes - 1 : strlen(whole);
        memset(room, '~', sizeof room);
        struct kva_text text = text_of(room, bytes);
        text_put(&text, "before ");
        text_put_hex(&text, 0xab, 4);
        text_put(&text, " ");
        text_put_decimal(&text, 1234567890);
        text_put(&text, " after");
        assert_int_equal(text.length, most);
        assert_memory_equal(room, whole, most);
        assert_int_equal(room[most], '\0');
        assert_int_equal(room[bytes], '~');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimal_numbers),
        cmocka_unit_test(test_hexadecimal_numbers),
        cmocka_unit_test(test_long_text_is_truncated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
