/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What a reservation knows of each page, in rows of bits. The rows are cut into pieces (src/base/sparse.h) of
 * 65,536 pages each:
 *
 *      piece   |accessible| used | seams | huge | failed | partial | foreign |   -   |       8 KiB each
 *
 * Where there is no piece, all bits are clear, and clearing them does nothing. Before bits are set,
 * sparse_ensure must have made the piece. The functions are those of src/base/bits.h, piece by piece.
 */
#ifndef KVA_PORTS_LINUX_ROWS_H
#define KVA_PORTS_LINUX_ROWS_H

#include "../../src/base/bits.h"
#include "../../src/base/sparse.h"

enum row { ROW_ACCESSIBLE, ROW_USED, ROW_SEAMS, ROW_HUGE, ROW_FAILED_UNMAP, ROW_PARTIAL_UNMAP, ROW_FOREIGN };

enum {
    PIECE_WORDS = SPARSE_PIECE / sizeof(uint64_t),
    ROW_WORDS = PIECE_WORDS / 8,
    ROW_PART_BITS = 64 * ROW_WORDS
};

/** The bytes of rows for so many pages, and the bit after the last. */
static inline uint64_t rows_bytes(uint64_t pages)
{
    return (pages / ROW_PART_BITS + 1) * SPARSE_PIECE;
}

/** A row's bits in one piece, and the part of a range [from, end) that lies there, counted from the piece's
 *  first bit. */
struct row_part {
    uint64_t *bits;
    uint64_t first; /* the number of bit 0 */
    uint64_t from;
    uint64_t end;
};

/** A row's words of one part. */
static inline uint64_t *row_words(const struct sparse *rows, enum row row, uint64_t part)
{
    uint64_t *pieces = (void *)rows->pieces;

    return &pieces[sparse_place(rows, (size_t)part, 1) * PIECE_WORDS + (size_t)row * ROW_WORDS];
}

/** The part of a range that lies in the piece of its first bit. */
static inline struct row_part first_part(const struct sparse *rows, enum row row, uint64_t from, uint64_t end)
{
    uint64_t part = from / ROW_PART_BITS;
    uint64_t first = part * ROW_PART_BITS;

    return (struct row_part){row_words(rows, row, part), first, from - first,
                             min_u64(end - first, ROW_PART_BITS)};
}

/** For ranges that lie in several parts. They are rare, and their code is kept out of line. */
#define ROW_APART __attribute__((noinline, unused))

/** Whether a range, not empty, lies in one part. Then the short forms below serve, which need not know
 *  whether there is a piece. */
static inline bool is_one_part(uint64_t from, uint64_t end)
{
    return (from ^ (end - 1)) < ROW_PART_BITS;
}

/** Whether a part has a piece. Without one it need not be read, and must not be written. */
static inline bool has_rows(const struct sparse *rows, uint64_t at)
{
    return sparse_has(rows, at / ROW_PART_BITS);
}

static inline bool row_bit(const struct sparse *rows, enum row row, uint64_t at)
{
    return bit_is_set(row_words(rows, row, at / ROW_PART_BITS), at % ROW_PART_BITS);
}

ROW_APART static void row_set_in_parts(struct sparse *rows, enum row row, uint64_t from, uint64_t end,
                                       bool value)
{
    while (from < end) {
        struct row_part part = first_part(rows, row, from, end);
        if (has_rows(rows, from))
            bits_set(part.bits, part.from, part.end, value);
        from = part.first + part.end;
    }
}

static inline uint64_t row_count(const struct sparse *rows, enum row row, uint64_t from, uint64_t end)
{
    uint64_t count = 0;

    while (from < end) {
        struct row_part part = first_part(rows, row, from, end);
        if (has_rows(rows, from))
            count += bits_count(part.bits, part.from, part.end);
        from = part.first + part.end;
    }
    return count;
}

/** How many bits of the range differ from the one before; bit -1 counts as 0. */
ROW_APART static uint64_t row_count_changes_in_parts(const struct sparse *rows, enum row row, uint64_t from,
                                                     uint64_t end)
{
    uint64_t count = 0;

    while (from < end) {
        struct row_part part = first_part(rows, row, from, end);
        if (has_rows(rows, from))
            count += bits_count_changes(part.bits, part.from, part.end);
        /* bits_count_changes took the bit before the piece for 0. */
        if (part.from == 0 && from > 0 && row_bit(rows, row, from - 1))
            count += bit_is_set(part.bits, 0) ? UINT64_MAX : 1;
        from = part.first + part.end;
    }
    return count;
}

/** The first set bit in the range; `end` if there is none. */
ROW_APART static uint64_t row_first_in_parts(const struct sparse *rows, enum row row, uint64_t from,
                                             uint64_t end)
{
    while (from < end) {
        struct row_part part = first_part(rows, row, from, end);
        uint64_t at = has_rows(rows, from) ? bits_first(part.bits, part.from, part.end) : part.end;
        from = part.first + at;
        if (at < part.end)
            return from;
    }
    return end;
}

/** The end of the last bit of that value in the range; `from` if there is none. */
ROW_APART static uint64_t row_last_end_in_parts(const struct sparse *rows, enum row row, bool value,
                                                uint64_t from, uint64_t end)
{
    while (end > from) {
        uint64_t first = align_down(end - 1, ROW_PART_BITS);
        uint64_t low = from > first ? from - first : 0;
        if (has_rows(rows, first)) {
            uint64_t *words = row_words(rows, row, first / ROW_PART_BITS);
            uint64_t at = bits_last_end(words, value, low, end - first);
            if (at > low)
                return first + at;
        } else if (!value) {
            return end;
        }
        end = first + low;
    }
    return from;
}

/** The first bit from `from` on that differs from that one; `end` if all are alike. */
ROW_APART static uint64_t row_end_of_run_in_parts(const struct sparse *rows, enum row row, uint64_t from,
                                                  uint64_t end)
{
    const bool value = row_bit(rows, row, from);

    while (from < end) {
        struct row_part part = first_part(rows, row, from, end);
        uint64_t at = part.end;
        if (bit_is_set(part.bits, part.from) != value)
            return from;
        if (has_rows(rows, from))
            at = bits_end_of_run(part.bits, part.from, part.end);
        from = part.first + at;
        if (at < part.end)
            return from;
    }
    return end;
}

/* ------------------------------------------------------------------------------------- ranges in one part */

static inline void row_set_range(struct sparse *rows, enum row row, uint64_t from, uint64_t end, bool value)
{
    uint64_t part = from / ROW_PART_BITS;

    if (!is_one_part(from, end) || !sparse_has(rows, part))
        row_set_in_parts(rows, row, from, end, value);
    else
        bits_set(row_words(rows, row, part), from % ROW_PART_BITS, end - part * ROW_PART_BITS, value);
}

static inline uint64_t row_count_changes(const struct sparse *rows, enum row row, uint64_t from, uint64_t end)
{
    uint64_t part = from / ROW_PART_BITS;

    if (!is_one_part(from, end) || from % ROW_PART_BITS == 0)
        return row_count_changes_in_parts(rows, row, from, end);
    return bits_count_changes(row_words(rows, row, part), from % ROW_PART_BITS, end - part * ROW_PART_BITS);
}

static inline uint64_t row_first(const struct sparse *rows, enum row row, uint64_t from, uint64_t end)
{
    uint64_t part = from / ROW_PART_BITS;

    if (!is_one_part(from, end))
        return row_first_in_parts(rows, row, from, end);
    return part * ROW_PART_BITS +
           bits_first(row_words(rows, row, part), from % ROW_PART_BITS, end - part * ROW_PART_BITS);
}

static inline uint64_t row_last_end(const struct sparse *rows, enum row row, bool value, uint64_t from,
                                    uint64_t end)
{
    uint64_t part = from / ROW_PART_BITS;

    if (!is_one_part(from, end))
        return row_last_end_in_parts(rows, row, value, from, end);
    return part * ROW_PART_BITS +
           bits_last_end(row_words(rows, row, part), value, from % ROW_PART_BITS, end - part * ROW_PART_BITS);
}

static inline uint64_t row_end_of_run(const struct sparse *rows, enum row row, uint64_t from, uint64_t end)
{
    uint64_t part = from / ROW_PART_BITS;

    if (!is_one_part(from, end))
        return row_end_of_run_in_parts(rows, row, from, end);
    return part * ROW_PART_BITS +
           bits_end_of_run(row_words(rows, row, part), from % ROW_PART_BITS, end - part * ROW_PART_BITS);
}

#endif
