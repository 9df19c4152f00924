/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Unfinished unmaps: see pages_unmaps.h. */
#include "gnu.h"

#include "pages_unmaps.h"

/** The pages of a block. For 512 GiB of 4 KiB pages the blocks are 512 words: a search of them takes less
 *  time than a system call. */
enum { BLOCK_PAGES = 4096 };

/** A bit for each block, and one after the last. */
uint64_t kva_port_blocks_bytes(uint64_t pages)
{
    return (pages / BLOCK_PAGES / 64 + 2) * sizeof(uint64_t);
}

static struct run blocks_of_run(struct run run)
{
    return (struct run){run.from / BLOCK_PAGES, length(run) == 0 ? 0 : (run.end - 1) / BLOCK_PAGES + 1};
}

/** The first unfinished unmap in [from, end); `end` if there is none. */
static uint64_t first_unfinished(const struct reservation *reservation, uint64_t from, uint64_t end)
{
    return min_u64(row_first(&reservation->rows, ROW_FAILED_UNMAP, from, end),
                   row_first(&reservation->rows, ROW_PARTIAL_UNMAP, from, end));
}

bool kva_port_has_unfinished(const struct reservation *reservation, struct run run)
{
    struct run blocks = blocks_of_run(run);

    return bits_first(reservation->blocks, blocks.from, blocks.end) < blocks.end &&
           first_unfinished(reservation, run.from, run.end) < run.end;
}

bool kva_port_has_foreign(const struct reservation *reservation, struct run run)
{
    return row_first(&reservation->rows, ROW_FOREIGN, run.from, run.end) < run.end;
}

void kva_port_note_foreign(struct reservation *reservation, struct run run)
{
    kva_port_note_unmap(reservation, run, UNMAP_FAILED);
    row_set_range(&reservation->rows, ROW_FOREIGN, run.from, run.end, true);
}

void kva_port_note_unmap(struct reservation *reservation, struct run run, enum unmap unmap)
{
    struct run blocks = blocks_of_run(run);
    reservation->stats.failed_unmap_pages -=
        row_count(&reservation->rows, ROW_FAILED_UNMAP, run.from, run.end);
    reservation->partial_unmap_pages -= row_count(&reservation->rows, ROW_PARTIAL_UNMAP, run.from, run.end);
    row_set_range(&reservation->rows, ROW_FAILED_UNMAP, run.from, run.end, unmap == UNMAP_FAILED);
    row_set_range(&reservation->rows, ROW_PARTIAL_UNMAP, run.from, run.end, unmap == UNMAP_PARTIAL);
    if (unmap == UNMAP_DONE)
        row_set_range(&reservation->rows, ROW_FOREIGN, run.from, run.end, false);
    reservation->stats.failed_unmap_pages += unmap == UNMAP_FAILED ? length(run) : 0;
    reservation->partial_unmap_pages += unmap == UNMAP_PARTIAL ? length(run) : 0;
    if (unmap != UNMAP_DONE)
        bits_set(reservation->blocks, blocks.from, blocks.end, true);
}

/** The end of the run of unfinished unmaps that begins at `from`; at most `end`. */
static uint64_t end_of_unfinished(const struct reservation *reservation, uint64_t from, uint64_t end)
{
    for (;;) {
        bool has_failed_unmap = from < end && row_bit(&reservation->rows, ROW_FAILED_UNMAP, from);
        if (from >= end || !(has_failed_unmap || row_bit(&reservation->rows, ROW_PARTIAL_UNMAP, from)))
            return from;
        from = row_end_of_run(&reservation->rows, has_failed_unmap ? ROW_FAILED_UNMAP : ROW_PARTIAL_UNMAP,
                              from, end);
    }
}

struct run kva_port_find_unfinished(struct reservation *reservation, uint64_t from)
{
    uint64_t pages = reservation->bytes / reservation->page;
    uint64_t count = pages / BLOCK_PAGES + 1;

    for (uint64_t block = from / BLOCK_PAGES; (block = bits_first(reservation->blocks, block, count)) < count;
         block++) {
        uint64_t first = max_u64(from, block * BLOCK_PAGES);
        uint64_t end = min_u64((block + 1) * BLOCK_PAGES, pages);
        uint64_t at = first_unfinished(reservation, first, end);
        if (at < end)
            return (struct run){
                at, end_of_unfinished(reservation, at, at < reservation->pages ? reservation->pages : pages)};
        if (first == block * BLOCK_PAGES)
            bits_set(reservation->blocks, block, block + 1, false);
    }
    return (struct run){pages, pages};
}
