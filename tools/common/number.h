/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Numbers on the command line, the same for every command: decimal digits, and "e" with an exponent if you
 * like: 1000000 or 1e6. No sign, no point, no blanks.
 */
#ifndef KVA_TOOLS_NUMBER_H
#define KVA_TOOLS_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/** Read a number. False, and *value is untouched, when the text is anything else or the value lies outside
 *  [low, high]. */
bool number_parse(const char *text, uint64_t low, uint64_t high, uint64_t *value);

/** Room for what number_complaint writes. */
#define NUMBER_MESSAGE 160

/** What to say where number_parse refused: "nr_pages takes a number from 1 to 10, not 'x'". `what` is the
 *  option or the key. Long texts are cut. Returns `message`. */
const char *number_complaint(char message[NUMBER_MESSAGE], const char *what, uint64_t low, uint64_t high,
                             const char *text);

/** The number that an option of argp takes. Anything else ends the program with a usage message. */
struct argp_state;
uint64_t number_or_usage(const struct argp_state *state, const char *option, const char *text, uint64_t low,
                         uint64_t high);

/** Read a duration: digits, with a point and more digits if you like, and s, m or h; without a letter,
 *  seconds. False, and *ns is untouched, when the text is anything else, or less than a millisecond or
 *  more than 1000 hours. */
bool number_parse_duration(const char *text, uint64_t *ns);

#endif
