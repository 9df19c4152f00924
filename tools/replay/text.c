/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "text.h"

#include <stdarg.h>
#include <string.h>

/** Bytes before the column in an excerpt of a long line. */
#define EXCERPT_BEFORE 70

static char printable(char byte)
{
    return byte >= ' ' && byte <= '~' ? byte : '?';
}

/** Copy the part of the line around `column` (from 0). */
static void excerpt(const struct text_line *line, size_t column, struct strace_error *error)
{
    size_t from = column > EXCERPT_BEFORE ? column - EXCERPT_BEFORE : 0;
    size_t count = line->length - from;
    if (count > sizeof error->excerpt - 1)
        count = sizeof error->excerpt - 1;
    for (size_t i = 0; i < count; i++)
        error->excerpt[i] = printable(line->bytes[from + i]);
    error->excerpt[count] = '\0';
    error->caret = column - from;
}

/** Point the error to the line and column of position `at` of the text. */
static void locate(const struct text *text, size_t at, struct strace_error *error)
{
    size_t which = at >= text->split ? 1 : 0;
    size_t column = text->piece[which].column + (which == 1 ? at - text->split : at);
    error->line = text->piece[which].line.number;
    error->column = column + 1;
    error->refused = false;
    excerpt(&text->piece[which].line, column, error);
}

bool text_wrong(const struct cursor *cursor, size_t at, const char *format, ...)
{
    va_list arguments;
    locate(cursor->text, at, cursor->error);
    va_start(arguments, format);
    vsnprintf(cursor->error->message, sizeof cursor->error->message, format, arguments);
    va_end(arguments);
    return false;
}

/** Quote the text at `at`: a word, or one other byte. */
static void quote_found(const struct text *text, size_t at, char found[32])
{
    size_t length = 0;
    if (at >= text->length) {
        strcpy(found, "the end of the line");
        return;
    }
    found[length++] = '\'';
    do
        found[length++] = printable(text->bytes[at++]);
    while (length < 22 && at < text->length && text_is_word(text->bytes[at - 1]) &&
           text_is_word(text->bytes[at]));
    found[length++] = '\'';
    found[length] = '\0';
}

bool text_fail_at(const struct cursor *cursor, size_t at, const char *expected)
{
    char found[32];
    quote_found(cursor->text, at, found);
    return text_wrong(cursor, at, "expected %s, found %s", expected, found);
}

bool text_fail(const struct cursor *cursor, const char *expected)
{
    return text_fail_at(cursor, cursor->at, expected);
}

bool text_sees(const struct cursor *cursor, const char *literal)
{
    size_t length = strlen(literal);
    return cursor->text->length - cursor->at >= length &&
           memcmp(cursor->text->bytes + cursor->at, literal, length) == 0;
}

bool text_accept(struct cursor *cursor, const char *literal)
{
    if (!text_sees(cursor, literal))
        return false;
    cursor->at += strlen(literal);
    return true;
}

bool text_expect(struct cursor *cursor, const char *literal)
{
    char expected[64];
    if (text_accept(cursor, literal))
        return true;
    snprintf(expected, sizeof expected, "'%s'", literal);
    return text_fail(cursor, expected);
}

void text_blanks(struct cursor *cursor)
{
    while (text_byte(cursor) == ' ')
        cursor->at++;
}

char text_byte(const struct cursor *cursor)
{
    return text_at_end(cursor) ? '\0' : cursor->text->bytes[cursor->at];
}

bool text_at_end(const struct cursor *cursor)
{
    return cursor->at == cursor->text->length;
}

bool text_ends_with(const struct text *text, const char *literal)
{
    size_t length = strlen(literal);
    return text->length >= length && memcmp(text->bytes + text->length - length, literal, length) == 0;
}

bool text_is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

bool text_is_word(char byte)
{
    return text_is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
}

void text_skip_name(struct cursor *cursor)
{
    struct cursor ahead = *cursor;
    if (!text_accept(&ahead, "<"))
        return;
    while (!text_at_end(&ahead) && !text_accept(&ahead, ">"))
        ahead.at++;
    if (cursor->text->bytes[ahead.at - 1] == '>')
        cursor->at = ahead.at;
}

/** The value of a digit; 16 for another byte. */
static unsigned digit_value(char byte)
{
    if (text_is_digit(byte))
        return (unsigned)(byte - '0');
    if (byte >= 'a' && byte <= 'f')
        return (unsigned)(byte - 'a') + 10;
    if (byte >= 'A' && byte <= 'F')
        return (unsigned)(byte - 'A') + 10;
    return 16;
}

/** Read digits to the end of the word, which must have no other bytes. */
static bool digits(struct cursor *cursor, unsigned base, size_t begin, const char *what, uint64_t *number)
{
    uint64_t value = 0;
    size_t first = cursor->at;
    while (text_is_word(text_byte(cursor))) {
        unsigned digit = digit_value(text_byte(cursor));
        if (digit >= base)
            return text_fail_at(cursor, begin, what);
        if (value > (UINT64_MAX - digit) / base)
            return text_wrong(cursor, begin, "expected %s that fits 64 bits", what);
        value = value * base + digit;
        cursor->at++;
    }
    if (cursor->at == first)
        return text_fail_at(cursor, begin, what);
    *number = value;
    return true;
}

bool text_decimal(struct cursor *cursor, const char *what, uint64_t *number)
{
    return digits(cursor, 10, cursor->at, what, number);
}

bool text_number(struct cursor *cursor, const char *what, uint64_t *number)
{
    size_t begin = cursor->at;
    return text_accept(cursor, "0x") ? digits(cursor, 16, begin, what, number)
                                     : digits(cursor, 10, begin, what, number);
}
