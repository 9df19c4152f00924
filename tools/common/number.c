/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "number.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** value * 10^exponent, false if that exceeds `high`. */
static bool scale(uint64_t *value, uint64_t exponent, uint64_t high)
{
    for (; exponent > 0 && *value != 0; exponent--) {
        if (*value > high / 10)
            return false;
        *value *= 10;
    }
    return true;
}

/** Read one or more decimal digits at *text and advance *text past them. */
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

uint64_t number_or_usage(const struct argp_state *state, const char *option, const char *text, uint64_t low,
                         uint64_t high)
{
    char message[NUMBER_MESSAGE];
    uint64_t value = low;
    if (!number_parse(text, low, high, &value))
        argp_error(state, "%s", number_complaint(message, option, low, high, text));
    return value;
}

#define DURATION_MOST_S (1000.0 * 3600)

bool number_parse_duration(const char *text, uint64_t *ns)
{
    static const struct {
        const char *letter;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}};
    size_t digits = strspn(text, "0123456789.");
    char *end;
    double number = strtod(text, &end);
    if (digits == 0 || end != text + digits) /* strtod also takes signs, exponents, "inf" */
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        double seconds = number * units[i].seconds;
        if (strcmp(end, units[i].letter) != 0 || !(seconds >= 0.001) || !(seconds <= DURATION_MOST_S))
            continue;
        *ns = (uint64_t)(seconds * 1e9);
        return true;
    }
    return false;
}
