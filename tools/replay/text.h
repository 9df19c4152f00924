/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The text of one call or event, and a cursor that reads it. Private to the reader of strace logs.
 *
 * A call in two halves is ONE text made of pieces of TWO lines. Every position in it maps to its line and
 * column, so an error in either half points to the right place:
 *
 *      line 17:  4850 munmap(0x7f00, 4096 <unfinished ...>
 *                     [----- piece 0 ----]
 *      line 19:  4850 <... munmap resumed>) = 0
 *                                         [-1-]
 *      text:     munmap(0x7f00, 4096) = 0
 */
#ifndef KVA_TOOLS_REPLAY_TEXT_H
#define KVA_TOOLS_REPLAY_TEXT_H

#include "strace.h"

/** A line of the log, for error messages. */
struct text_line {
    const char *bytes; /* the whole line without its line feed; no terminating zero */
    size_t length;
    uint64_t number;
};

#define NO_SPLIT SIZE_MAX

struct text {
    const char *bytes;
    size_t length;
    size_t split; /* where piece 1 begins; NO_SPLIT: there is one piece */
    struct {
        struct text_line line;
        size_t column; /* of the piece's first byte in its line, from 0 */
    } piece[2];
};

struct cursor {
    const struct text *text;
    size_t at;
    struct strace_error *error;
};

/** Report that the text at `at` is not `expected` (a phrase). Always returns false. */
bool text_fail_at(const struct cursor *cursor, size_t at, const char *expected);
bool text_fail(const struct cursor *cursor, const char *expected);

/** Report an error, printf-style. Always returns false. */
bool text_wrong(const struct cursor *cursor, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Whether `literal` follows the cursor; text_accept also skips it. */
bool text_sees(const struct cursor *cursor, const char *literal);
bool text_accept(struct cursor *cursor, const char *literal);

/** Skip `literal`, or report that it is missing. */
bool text_expect(struct cursor *cursor, const char *literal);

/** Skip blanks, if any. */
void text_blanks(struct cursor *cursor);

/** The byte at the cursor; 0 at the end. */
char text_byte(const struct cursor *cursor);
bool text_at_end(const struct cursor *cursor);

/** Whether the text ends with `literal`. */
bool text_ends_with(const struct text *text, const char *literal);

/** Read a number: decimal, or hexadecimal after 0x. `what` names it for the error. */
bool text_number(struct cursor *cursor, const char *what, uint64_t *number);
bool text_decimal(struct cursor *cursor, const char *what, uint64_t *number);

/** Whether `byte` may be part of a name: a letter, a digit or '_'. */
bool text_is_word(char byte);
bool text_is_digit(char byte);

/** Skip a name in angle brackets ("<python3>"), if there is one. strace escapes a '>' in it. */
void text_skip_name(struct cursor *cursor);

/** Read one call, "name(arguments) = result", which is the whole text. Sets all fields of `op` except pid,
 *  line and time; its call is STRACE_OTHER for a call that does not concern address spaces. */
bool strace_parse_call(const struct text *text, struct strace_op *op, struct strace_error *error);

/** Read "name(". *call is STRACE_OTHER for a name that is not listed above. False: there is no "name(". */
bool strace_parse_name(struct cursor *cursor, enum strace_call *call);

#endif
