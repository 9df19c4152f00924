/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Memory for the bookkeeping of a reservation and of its instance: one mapping, which begins and ends with a
 * closed page. Only as much of it is open as is in use.
 *
 *      | closed | words| own  | zero |  1  |  2  |  3  |  4  | closed ...                  | closed |
 *                 (1)    (2)    (3)    \____ pieces ___/  \_ the rest of the pieces _/
 *
 *      (1) a page with two words that become 0 in a child of fork: one is 1 in this process, the other is the
 *          caller's
 *      (2) memory for the caller, and a byte for each piece: its state
 *      (3) piece 0, which can only be read
 *
 * A piece that is taken is the lowest free one (src/base/sparse.h has the reason). When all open pieces are
 * taken, more are opened after them. So there are at most six mappings, one more in a child of fork, and
 * RLIMIT_DATA and locked memory are charged only for what is in use. None of it is written to core files.
 *
 * FREE PIECES cost memory until kva_port_tables_trim, which discards their contents, neighbours by one call,
 * and closes the free pieces at the end. The kernel may refuse either: a piece that was not discarded is
 * discarded or cleared when it is taken again, and pieces that were not closed stay open.
 */
#ifndef KVA_PORTS_LINUX_TABLES_H
#define KVA_PORTS_LINUX_TABLES_H

#include <stdbool.h>
#include <stdint.h>

struct tables {
    char *mapping;
    uint64_t bytes; /* of the mapping */
    void *own;      /* the caller's memory, which is zero at first */
    uint64_t *is_first_process;
    uint64_t *own_process; /* the caller's word, where the kernel knows MADV_WIPEONFORK (Linux 4.14) */
    char *pieces;          /* piece 0 */
    unsigned char *state;  /* of each piece */
    uint32_t end;          /* pieces 1 .. end - 1 may be taken */
    uint32_t open;         /* pieces below this are open */
    uint32_t least;        /* at least so many stay open */
    uint32_t lowest;       /* no piece below this is free */
    uint32_t dirty;        /* pieces that are free, but not zero */
    uint64_t calls;        /* system calls, so far */
};

/** What the tables must hold. */
struct tables_spec {
    uint64_t page;
    uint64_t pieces; /* that may be taken at most, besides the given ones */
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

/** Discard the contents of free pieces, and close those at the end. */
void kva_port_tables_trim(struct tables *tables);

/** kva_pages.alloc_zeroed and .free_zeroed: a table by itself, in a mapping of its own. */
void *kva_port_alloc_zeroed(void *context, uint64_t bytes);
void kva_port_free_zeroed(void *context, void *table, uint64_t bytes);

#endif
