/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Where a reservation and its instance keep what they know of pages: one mapping, which begins and ends with
 * a closed page, and of which as much is open as is in use.
 *
 *      | closed | words| own  | zero |  1  |  2  |  3  |  4  | closed ...                  | closed |
 *                 (1)    (2)    (3)    \____ pieces ___/  \_ the rest of the pieces _/
 *
 *      (1) a page with a word that is 1 in this process and 0 in a child of it, and one for the caller that
 *          becomes 0 in a child
 *      (2) memory for the caller, and a byte for each piece: whether it is taken
 *      (3) piece 0, which can only be read
 *
 * A piece that is taken is the lowest that is free (src/base/sparse.h says what for). Only when all that is
 * open is taken is more opened, at the end of what is open. So there are six mappings at most, in a child of
 * fork one more, and what is open costs RLIMIT_DATA, locked memory and the like no more than what is in use.
 * None of it is written to cores.
 *
 * GIVING BACK is put off until kva_port_tables_trim, which drops the contents of pieces that are free,
 * neighbours by one call, and closes what is free at the end. Either may be refused: a piece that could not
 * be dropped is dropped or cleared when it is taken again, and what could not be closed stays open.
 */
#ifndef KVA_PORTS_LINUX_TABLES_H
#define KVA_PORTS_LINUX_TABLES_H

#include <stdbool.h>
#include <stdint.h>

struct tables {
    char *mapping;
    uint64_t bytes; /* of the mapping */
    void *own;      /* the caller's memory; zero */
    uint64_t *is_first_process;
    uint64_t *own_process; /* the caller's word, where the kernel knows MADV_WIPEONFORK (Linux 4.14) */
    char *pieces;          /* piece 0 */
    unsigned char *state;  /* of each piece */
    uint32_t end;          /* pieces 1 .. end - 1 may be taken */
    uint32_t open;         /* pieces below this are open */
    uint32_t least;        /* so many stay open */
    uint32_t lowest;       /* no piece below this is free */
    uint32_t dirty;        /* pieces that are free, but hold something */
    uint64_t calls;        /* of the system that this has made */
};

/** What a table is to hold. */
struct tables_spec {
    uint64_t page;
    uint64_t pieces; /* that may be taken at most, besides those that are given */
    uint64_t given;  /* pieces 1 .. given are taken from the beginning */
    uint64_t own;    /* bytes of memory for the caller */
};

/** Make the mapping. False if the system refuses. */
bool kva_port_tables_make(struct tables *tables, const struct tables_spec *spec);

/** Give the mapping back. */
void kva_port_tables_end(struct tables *tables);

/** Take a piece, which reads as zero. False if the system refuses to open one more, or all are taken. */
bool kva_port_tables_take(struct tables *tables, uint32_t *piece);

/** Give a piece back, whatever it holds. */
void kva_port_tables_give(struct tables *tables, uint32_t piece);

/** Make what was given back cost nothing. */
void kva_port_tables_trim(struct tables *tables);

/** kva_pages.alloc_zeroed and .untable: a table by itself, in a mapping of its own. */
void *kva_port_alloc_zeroed(void *context, uint64_t bytes);
void kva_port_free_zeroed(void *context, void *table, uint64_t bytes);

#endif
