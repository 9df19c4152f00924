/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A sparse table: a long row of entries, of which only the parts that are in use have memory.
 *
 *      directory   | 0 | 3 | 0 | 0 | 1 | 0 | ...        for each part of the table, the number of its PIECE
 *                        |           |
 *                        +-----------|-------+
 *                        v           v       v
 *      pieces      | zero |    1    |    2    |    3    | ...      side by side in memory, 64 KiB each
 *
 * All parts without a piece share piece 0, which is zero and can only be read. So a reader needs no test: it
 * finds zeroes. Pieces come from the owner of the memory, lowest numbers first. Therefore the memory of all
 * tables together stays in one run, however far apart the entries lie.
 *
 * PREPARE, THEN COMMIT. sparse_ensure may be refused, and is called before anything is changed; then entries
 * can be written.
 *
 * THREADS. Writers hold a lock. A reader may come without it: it sees either piece 0 or a piece that was zero
 * when it was entered. A piece is given back only while there is no reader that could have found it: it is
 * hidden first.
 */
#ifndef KVA_BASE_SPARSE_H
#define KVA_BASE_SPARSE_H

#include <kva/status.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arith.h"

/** Bytes of a piece: what is opened, and charged for, at once. A page is 64 KiB at most on nearly all
 *  machines. For a table of pointers to pages of 4 KiB, a piece stands for 32 MiB of them. */
enum { SPARSE_SHIFT = 16, SPARSE_PIECE = 1 << SPARSE_SHIFT };

struct sparse_part {
    _Atomic uint32_t piece; /* 0: none */
    uint32_t used;          /* entries in use, if the table's owner counts them (sparse_count) */
};

struct sparse {
    char *pieces; /* piece 0 */
    struct sparse_part *directory;
    uint64_t from; /* parts outside [from, end) have no piece */
    uint64_t end;
    uint64_t taken; /* pieces */
};

/** Take a piece that reads as zero: KVA_OK and its number, or why there is none. */
typedef enum kva_status sparse_take(void *context, void *handle, uint32_t *piece);

/** Give a piece back. */
typedef void sparse_give(void *context, void *handle, uint32_t piece);

/** The parts of a table of so many bytes; the bytes of its directory. */
static inline uint64_t sparse_parts(uint64_t bytes)
{
    return (bytes + (SPARSE_PIECE - 1)) >> SPARSE_SHIFT;
}

static inline uint64_t sparse_directory_bytes(uint64_t bytes)
{
    return sparse_parts(bytes) * sizeof(struct sparse_part);
}

/** Begin with a directory that is all zero. It is written to all the same: else the first entry would take
 *  two page faults, one to read that it is empty and one to fill it. */
static inline void sparse_init(struct sparse *table, void *pieces, void *directory)
{
    *table = (struct sparse){.pieces = pieces, .directory = directory, .from = UINT64_MAX};
    table->directory[0].used = 0;
}

static inline bool sparse_has(const struct sparse *table, uint64_t part)
{
    return atomic_load_explicit(&table->directory[part].piece, memory_order_relaxed) != 0;
}

/** Where entry number `at` is, counted in entries from piece 0 on, if there are `each` in a piece. The entry
 *  is to be read only, unless there is a piece for it. */
static inline size_t sparse_place(const struct sparse *table, size_t at, size_t each)
{
    size_t piece = atomic_load_explicit(&table->directory[at / each].piece, memory_order_acquire);

    return piece * each + at % each;
}

/** Have a piece for each part in [from, end). If that is refused, there may be more pieces than before;
 *  nothing else changes. */
static inline enum kva_status sparse_ensure(struct sparse *table, uint64_t from, uint64_t end,
                                            sparse_take *take, void *context, void *handle)
{
    for (uint64_t part = from; part < end; part++) {
        uint32_t piece;
        if (sparse_has(table, part))
            continue;
        enum kva_status status = take(context, handle, &piece);
        if (status != KVA_OK)
            return status;
        atomic_store_explicit(&table->directory[part].piece, piece, memory_order_release);
        table->from = min_u64(table->from, part);
        table->end = max_u64(table->end, part + 1);
        table->taken++;
    }
    return KVA_OK;
}

/** Count entries of a part that are in use from now on, or no longer. */
static inline void sparse_count(struct sparse *table, size_t part, uint32_t more, uint32_t fewer)
{
    table->directory[part].used += more - fewer;
}

/** Give the piece of a part back, if it has one. */
static inline void sparse_drop(struct sparse *table, uint64_t part, sparse_give *give, void *context,
                               void *handle)
{
    uint32_t piece = atomic_exchange_explicit(&table->directory[part].piece, 0, memory_order_relaxed);

    if (piece == 0)
        return;
    table->taken--;
    give(context, handle, piece);
}

/** Give back all pieces in which no entry is in use. */
static inline void sparse_trim(struct sparse *table, sparse_give *give, void *context, void *handle)
{
    for (uint64_t part = table->from; part < table->end; part++) {
        if (table->directory[part].used == 0)
            sparse_drop(table, part, give, context, handle);
    }
}

/** Let no reader find the pieces, from part `from` on, in which no entry is in use: the first half of giving
 *  them back. Until sparse_give_ended, such a part's count keeps the number of its piece. */
static inline void sparse_hide(struct sparse *table, uint64_t from)
{
    for (uint64_t i = max_u64(table->from, from); i < table->end; i++) {
        struct sparse_part *part = &table->directory[i];
        if (part->used == 0)
            part->used = atomic_exchange_explicit(&part->piece, 0, memory_order_relaxed);
    }
}

/** Give back what was hidden; or, if somebody may still read it, let it be found as before. */
static inline void sparse_give_ended(struct sparse *table, bool is_read, sparse_give *give, void *context,
                                     void *handle)
{
    for (uint64_t i = table->from; i < table->end; i++) {
        struct sparse_part *part = &table->directory[i];
        uint32_t piece = part->used;
        if (piece == 0 || sparse_has(table, i))
            continue;
        part->used = 0;
        atomic_store_explicit(&part->piece, piece, memory_order_release);
        if (!is_read)
            sparse_drop(table, i, give, context, handle);
    }
}

#endif
