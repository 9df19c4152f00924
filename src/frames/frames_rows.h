/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Rows: for each property that the blocks of a zone may have, a bit for each block that has it.
 *
 *      level 2                  | root |                        a bit for each word of level 1 that has a bit
 *      level 1      | word | word | word | ...                  a bit for each word of level 0 that has a bit
 *      level 0      | word | word | word | word | ...           a bit for each block
 *
 * The next block in a row is found in O(levels). Bits change one by one, by atomic operations, under the lock
 * of their block. Readers hold no lock: what they find may be outdated, and they check the block itself.
 *
 * A SUMMARY may lack a bit for a moment. A thread that clears the last bit of a word clears the bit above,
 * checks the word again, and sets the bit above again if another thread has set one in the word meanwhile. A
 * search in between may miss the block. Each clearing is therefore counted when it begins, in `began`, and
 * when it ends, in `ended`. docs/theory/frames.md, "Why KVA_ENOSPC is exact", proves that a search between
 * two equal counts misses nothing.
 *
 * frames_set.h defines the rows.
 */
#ifndef KVA_FRAMES_ROWS_H
#define KVA_FRAMES_ROWS_H

#include <stdatomic.h>

#include "../base/arith.h"

/** ROW_LEVELS suffices for 2^32 blocks in words of 32 bits. */
enum { ROW_LEVELS = 7, ROW_BITS = 8 * sizeof(uintptr_t), ROW_SHIFT = sizeof(uintptr_t) == 8 ? 6 : 5 };

/** The rows of a zone. Level 0 of all rows comes first: each CPU mostly changes its own part. What all CPUs
 *  change follows on a new cache line: two counters, level 1 of all rows, level 2, and so on. The first rows
 *  change most often: their summaries share the line of the counters, so that a change fetches one line from
 *  another CPU, and not three. */
struct frames_rows {
    _Atomic uintptr_t *words;
    size_t count; /* of words in all */
    uint32_t blocks;
    unsigned levels;
    size_t clears;            /* where the counters are */
    size_t level[ROW_LEVELS]; /* where the levels begin */
    size_t size[ROW_LEVELS];  /* words of each level, in one row */
};

/** Lay out the rows of so many blocks; the caller sets the words later. */
static inline void rows_init(struct frames_rows *rows, unsigned row_count, uint32_t blocks)
{
    size_t line = KVA_LINE / sizeof(uintptr_t);
    size_t size = ((size_t)blocks + ROW_BITS - 1) >> ROW_SHIFT;

    rows->words = NULL;
    rows->blocks = blocks;
    rows->levels = 1;
    rows->level[0] = 0;
    rows->size[0] = size;
    rows->clears = (size * row_count + line - 1) & ~(line - 1);
    rows->count = rows->clears + 2;
    while (size > 1) {
        size = (size + ROW_BITS - 1) >> ROW_SHIFT;
        rows->level[rows->levels] = rows->count;
        rows->size[rows->levels++] = size;
        rows->count += size * row_count;
    }
}

/** How many clearings of summaries have begun, and how many have ended. */
static inline _Atomic uintptr_t *rows_began(const struct frames_rows *rows)
{
    return &rows->words[rows->clears];
}

static inline _Atomic uintptr_t *rows_ended(const struct frames_rows *rows)
{
    return &rows->words[rows->clears + 1];
}

static inline _Atomic uintptr_t *row_word(const struct frames_rows *rows, unsigned row, unsigned level,
                                          size_t word)
{
    return &rows->words[rows->level[level] + row * rows->size[level] + word];
}

static inline bool row_has(const struct frames_rows *rows, unsigned row, uint32_t block)
{
    uintptr_t word = atomic_load_explicit(row_word(rows, row, 0, block >> ROW_SHIFT), memory_order_relaxed);

    return word >> (block & (ROW_BITS - 1)) & 1;
}

/** The highest summary of a row: 0 if no block is in it. */
static inline uintptr_t row_root(const struct frames_rows *rows, unsigned row)
{
    return atomic_load_explicit(row_word(rows, row, rows->levels - 1, 0), memory_order_acquire);
}

/** Set the clear bits of the summaries from a level on. A bit that is set already does not end the loop:
 *  another thread may be about to set, or to clear, the bit above it. */
static inline void row_set_above(struct frames_rows *rows, unsigned row, unsigned level, size_t at)
{
    for (; level < rows->levels; level++, at >>= ROW_SHIFT) {
        _Atomic uintptr_t *word = row_word(rows, row, level, at >> ROW_SHIFT);
        uintptr_t bit = (uintptr_t)1 << (at & (ROW_BITS - 1));
        if (!(atomic_load(word) & bit))
            atomic_fetch_or(word, bit);
    }
}

/** Set a block's bit, and those above. */
static inline void row_set(struct frames_rows *rows, unsigned row, uint32_t block)
{
    atomic_fetch_or(row_word(rows, row, 0, block >> ROW_SHIFT), (uintptr_t)1 << (block & (ROW_BITS - 1)));
    row_set_above(rows, row, 1, block >> ROW_SHIFT);
}

/** Clear a bit of a summary. If the word below has a bit again, set this bit and those above again: other
 *  threads may have cleared those because of this one. Returns whether the summary has no bit left. */
static inline bool row_clear_summary(struct frames_rows *rows, unsigned row, unsigned level, size_t at)
{
    _Atomic uintptr_t *below = row_word(rows, row, level - 1, at);
    _Atomic uintptr_t *word = row_word(rows, row, level, at >> ROW_SHIFT);
    uintptr_t bit = (uintptr_t)1 << (at & (ROW_BITS - 1));

    for (;;) {
        uintptr_t left = atomic_fetch_and(word, ~bit) & ~bit;
        if (atomic_load(below) == 0)
            return left == 0;
        row_set_above(rows, row, level, at);
        if (atomic_load(below) != 0)
            return false;
    }
}

/** Clear a block's bit, and those above whose word below is empty. */
static inline void row_clear(struct frames_rows *rows, unsigned row, uint32_t block)
{
    size_t at = block >> ROW_SHIFT;
    uintptr_t bit = (uintptr_t)1 << (block & (ROW_BITS - 1));

    if ((atomic_fetch_and(row_word(rows, row, 0, at), ~bit) & ~bit) != 0 || rows->levels == 1)
        return;
    atomic_fetch_add(rows_began(rows), 1);
    for (unsigned level = 1; level < rows->levels && row_clear_summary(rows, row, level, at); level++)
        at >>= ROW_SHIFT;
    atomic_fetch_add(rows_ended(rows), 1);
}

/** The first block of [from, end) that is in a row, or `end`. Acquire loads: a search that finds a bit
 *  cleared also sees the bit that was set in another row before, and it reads `began` after all bits. */
static inline uint32_t row_next(const struct frames_rows *rows, unsigned row, uint32_t from, uint32_t end)
{
    while (from < end) {
        size_t at = from;
        unsigned level = 0;
        uintptr_t bits;
        for (;;) {
            if (at >> ROW_SHIFT >= rows->size[level])
                return end;
            bits = atomic_load_explicit(row_word(rows, row, level, at >> ROW_SHIFT), memory_order_acquire) &
                   (UINTPTR_MAX << (at & (ROW_BITS - 1)));
            if (bits != 0)
                break;
            if (++level == rows->levels)
                return end;
            at = (at >> ROW_SHIFT) + 1;
        }
        at = (at & ~(size_t)(ROW_BITS - 1)) + lowest_bit(bits);
        while (level > 0) {
            level--;
            bits = atomic_load_explicit(row_word(rows, row, level, at), memory_order_acquire);
            if (bits == 0)
                break;
            at = (at << ROW_SHIFT) + lowest_bit(bits);
        }
        if (bits != 0)
            return at < end ? (uint32_t)at : end;
        /* The summary's bit is outdated: continue after the blocks that it covers. */
        uint64_t after = (uint64_t)(at + 1) << ROW_SHIFT * (level + 1);
        from = after < end ? (uint32_t)after : end;
    }
    return end;
}

#endif
