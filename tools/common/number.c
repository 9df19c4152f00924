/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "number.h"

#include <inttypes.h>
#include <stdio.h>

/** value * 10^exponent, false when that passes `high`. */
static bool scale(uint64_t *value, uint64_t exponent, uint64_t high)
{
    for (; exponent > 0 && *value != 0; exponent--) {
        if (*value > high / 10)
            return false;
        *value *= 10;
    }
    return true;
}

/** Decimal digits from *text on, at least one; *text moves behind them. */
static bool parse_digits(const char **text, uint64_t *value)
{
    const char *start = *text;
    for (*value = 0; **text >= '0' && **text <= '9'; (*text)++) {
        uint64_t digit = (uint64_t)(**text - '0');
        if (*value > (UINT64_MAX - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    return *text != start;
}

bool number_parse(const char *text, uint64_t low, uint64_t high, uint64_t *value)
{
    uint64_t exponent = 0;
    uint64_t number;
    if (!parse_digits(&text, &number))
        return false;
    if (*text == 'e') {
        text++;
        if (!parse_digits(&text, &exponent))
            return false;
    }
    if (*text != 0 || !scale(&number, exponent, high) || number < low || number > high)
        return false;
    *value = number;
    return true;
}

const char *number_complaint(char message[NUMBER_MESSAGE], const char *what, uint64_t low, uint64_t high,
                             const char *text)
{
    snprintf(message, NUMBER_MESSAGE, "%.40s takes a number from %" PRIu64 " to %" PRIu64 ", not '%.40s'",
             what, low, high, text);
    return message;
}
