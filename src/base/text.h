/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Text built up piece by piece in a buffer of fixed size: what does not fit is cut off. No libc, no memory,
 * no state: it may be used in a signal handler.
 */
#ifndef KVA_BASE_TEXT_H
#define KVA_BASE_TEXT_H

#include <kva/kva.h>

#include "assumptions.h"

struct kva_text {
    char *at; /* `bytes` of room, one of them for the zero byte */
    size_t bytes;
    size_t length;
};

/** Begin with an empty text; bytes is at least 1. */
static inline struct kva_text text_of(char *room, size_t bytes)
{
    struct kva_text text = {room, bytes, 0};

    room[0] = '\0';
    return text;
}

static inline void text_put(struct kva_text *text, const char *piece)
{
    while (*piece && text->length + 1 < text->bytes)
        text->at[text->length++] = *piece++;
    text->at[text->length] = '\0';
}

/** Whether two texts are the same. */
static inline bool same_text(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/** What comes after `beginning` in a text; NULL when the text begins otherwise. */
static inline const char *text_after(const char *text, const char *beginning)
{
    while (*beginning && *text == *beginning) {
        text++;
        beginning++;
    }
    return *beginning ? NULL : text;
}

/** A number, as 0x and at least `digits` hexadecimal digits; at least one and at most 16. */
static inline void text_put_hex(struct kva_text *text, uint64_t value, unsigned digits)
{
    char piece[19] = "0x";
    unsigned count = digits;
    unsigned length = 2;

    while (count < 16 && value >> (4 * count) != 0)
        count++;
    while (count-- > 0)
        piece[length++] = "0123456789abcdef"[(value >> (4 * count)) & 0xf];
    piece[length] = '\0';
    text_put(text, piece);
}

/** *value /= 10; returns the remainder. In four 16-bit steps: a 32-bit host without a library has no 64-bit
 *  division. */
static inline unsigned text_divide_by_ten(uint64_t *value)
{
    uint64_t quotient = 0;
    uint32_t rest = 0;

    for (unsigned shift = 64; shift > 0; shift -= 16) {
        rest = (rest << 16) | (uint32_t)((*value >> (shift - 16)) & 0xffff);
        quotient = (quotient << 16) | rest / 10;
        rest %= 10;
    }
    *value = quotient;
    return rest;
}

static inline void text_put_decimal(struct kva_text *text, uint64_t value)
{
    char piece[21]; /* 2^64 - 1 has 20 digits */
    size_t at = sizeof piece - 1;

    piece[at] = '\0';
    do
        piece[--at] = (char)('0' + text_divide_by_ten(&value));
    while (value > 0);
    text_put(text, &piece[at]);
}

/** The longest line of a report: it has the totals of an instance, ten numbers of at most 20 digits and some
 *  120 characters around them. */
enum { TEXT_LINE_BYTES = 512 };

/** What hands out a report, line by line. */
struct kva_line_writer {
    kva_dump_line *line;
    void *context;
    char room[TEXT_LINE_BYTES];
    struct kva_text text;
};

/** Begin the next line, empty. */
static inline void line_begin(struct kva_line_writer *writer)
{
    writer->text = text_of(writer->room, sizeof writer->room);
}

/** Hand the line out. */
static inline void line_end(struct kva_line_writer *writer)
{
    writer->line(writer->context, writer->room, writer->text.length);
}

#endif
