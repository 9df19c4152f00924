/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Text appended to a buffer of fixed size and truncated to it. It needs no libc, no memory and no state, and
 * may be used in signal handlers.
 */
#ifndef KVA_BASE_TEXT_H
#define KVA_BASE_TEXT_H

#include <kva/kva.h>

#include "assumptions.h"

struct kva_text {
    char *at; /* a buffer of `bytes`, one of them for the zero byte */
    size_t bytes;
    size_t length;
};

/** An empty text in a buffer of `bytes`, at least 1. */
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

/** Whether two texts are equal. */
static inline bool same_text(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/** The rest of a text after its prefix `beginning`; NULL if it has another prefix. */
static inline const char *text_after(const char *text, const char *beginning)
{
    while (*beginning && *text == *beginning) {
        text++;
        beginning++;
    }
    return *beginning ? NULL : text;
}

/** Append 0x and at least `digits` hexadecimal digits, 1 to 16. */
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

/** *value /= 10; returns the remainder. Four steps of 16 bits, because 32-bit hosts without a library have no
 *  64-bit division. */
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

/** Enough for the longest line of a report, the totals of an instance: ten numbers of at most 20 digits
 *  and some 120 other characters. */
enum { TEXT_LINE_BYTES = 512 };

/** Passes a report to the caller's function line by line. */
struct kva_line_writer {
    kva_dump_line *line;
    void *context;
    char room[TEXT_LINE_BYTES];
    struct kva_text text;
};

/** Begin an empty line. */
static inline void line_begin(struct kva_line_writer *writer)
{
    writer->text = text_of(writer->room, sizeof writer->room);
}

/** Pass the line on. */
static inline void line_end(struct kva_line_writer *writer)
{
    writer->line(writer->context, writer->room, writer->text.length);
}

#endif
