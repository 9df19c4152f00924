/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Numbers on the command line, the same for every command: decimal digits, optionally "e" and an exponent
 * (1000000 or 1e6). No sign, no point, no blanks.
 */
#ifndef KVA_TOOLS_NUMBER_H
#define KVA_TOOLS_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/** Read a number. Returns false, and leaves *value unchanged, if the text is not a number in [low, high]. */
bool number_parse(const char *text, uint64_t low, uint64_t high, uint64_t *value);

/** Size of number_complaint's message. */
#define NUMBER_MESSAGE 160

/** The message after number_parse failed: "nr_pages takes a number from 1 to 10, not 'x'". `what` is the
 *  option or the key. Long texts are cut. Returns `message`. */
const char *number_complaint(char message[NUMBER_MESSAGE], const char *what, uint64_t low, uint64_t high,
                             const char *text);

/** The number after an argp option. Anything else ends the program with a usage message. */
struct argp_state;
uint64_t number_or_usage(const struct argp_state *state, const char *option, const char *text, uint64_t low,
                         uint64_t high);

/** Read a duration: decimal digits, optionally with a point, then s, m or h; without a letter, seconds.
 *  Returns false, and leaves *ns unchanged, if the text is not a duration from 1 ms to 1000 h. */
bool number_parse_duration(const char *text, uint64_t *ns);

#endif
