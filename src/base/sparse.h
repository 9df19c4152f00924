/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A sparse table: a long array of entries that has memory only for the parts in use.
 *
 *      directory   | 0 | 3 | 0 | 0 | 1 | 0 | ...        for each part of the table, the number of its PIECE
 *                        |           |
 *                        +-----------|-------+
 *                        v           v       v
 *      pieces      | zero |    1    |    2    |    3    | ...      contiguous in memory, 64 KiB each
 *
 * All parts without a piece share piece 0, which is zero and read-only, so a reader needs no test. The owner
 * of the memory supplies pieces, lowest numbers first, so the pieces of all its tables lie close together,
 * however far apart the entries are.
 *
 * PREPARE, THEN COMMIT. sparse_ensure may fail and precedes any change; afterwards entries can be written.
 *
 * THREADS. Writers hold a lock. Readers may run without it: a reader finds piece 0, or a piece that was zero
 * when it was entered in the directory. Such a table gives a piece back in two steps, sparse_hide and
 * sparse_give_ended, between which its owner finds out whether a reader still uses it.
 */
#ifndef KVA_BASE_SPARSE_H
#define KVA_BASE_SPARSE_H

#include <kva/status.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arith.h"

/** Bytes of a piece: the unit in which memory is opened and charged. Pages have at most 64 KiB on nearly all
 *  machines. In a table of pointers to pages of 4 KiB, a piece covers 32 MiB. */
enum { SPARSE_SHIFT = 16, SPARSE_PIECE = 1 << SPARSE_SHIFT };

struct sparse_part {
    _Atomic uint32_t piece; /* 0: none */
    uint32_t used;          /* entries in use, if the owner counts them; see sparse_hide */
};

struct sparse {
    char *pieces; /* piece 0 */
    struct sparse_part *directory;
    uint64_t from; /* parts outside [from, end) have no piece */
    uint64_t end;
    uint64_t taken; /* pieces */
};

/** Take a piece that reads as zero. KVA_OK and its number, or the status of the failure. */
typedef enum kva_status sparse_take(void *context, void *handle, uint32_t *piece);

/** Give a piece back. */
typedef void sparse_give(void *context, void *handle, uint32_t piece);

/** The number of parts of a table of `bytes`, and the size of its directory. */
static inline uint64_t sparse_parts(uint64_t bytes)
{
    return (bytes + (SPARSE_PIECE - 1)) >> SPARSE_SHIFT;
}

static inline uint64_t sparse_directory_bytes(uint64_t bytes)
{
    return sparse_parts(bytes) * sizeof(struct sparse_part);
}

/** Initialise a table over a directory that is all zero. The write to the directory saves a page fault: a
 *  first read would map the zero page, and the first entry would fault again. */
static inline void sparse_init(struct sparse *table, void *pieces, void *directory)
{
    *table = (struct sparse){.pieces = pieces, .directory = directory, .from = UINT64_MAX};
    table->directory[0].used = 0;
}

static inline bool sparse_has(const struct sparse *table, uint64_t part)
{
    return atomic_load_explicit(&table->directory[part].piece, memory_order_relaxed) != 0;
}

/** The place of entry `at`, counted in entries from piece 0, with `each` entries in a piece. The entry may be
 *  written only if its part has a piece. */
static inline size_t sparse_place(const struct sparse *table, size_t at, size_t each)
{
    size_t piece = atomic_load_explicit(&table->directory[at / each].piece, memory_order_acquire);

    return piece * each + at % each;
}

/** Ensure a piece for each part in [from, end). On failure, pieces taken so far remain; nothing else
 *  changes. */
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

/** Count `more` entries of a part as in use and `fewer` as free. */
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

/** Give back all pieces without an entry in use. The table must have no reader without the lock. */
static inline void sparse_trim(struct sparse *table, sparse_give *give, void *context, void *handle)
{
    for (uint64_t part = table->from; part < table->end; part++) {
        if (table->directory[part].used == 0)
            sparse_drop(table, part, give, context, handle);
    }
}

/** Hide the pieces, from part `from` on, that have no entry in use, so that no further reader finds them.
 *  Until sparse_give_ended, `used` of such a part holds the number of its piece. */
static inline void sparse_hide(struct sparse *table, uint64_t from)
{
    for (uint64_t i = max_u64(table->from, from); i < table->end; i++) {
        struct sparse_part *part = &table->directory[i];
        if (part->used == 0)
            part->used = atomic_exchange_explicit(&part->piece, 0, memory_order_relaxed);
    }
}

/** Give back the hidden pieces; or, if a reader may still use one (`is_read`), enter them again. */
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
