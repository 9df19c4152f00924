/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Debts: see pages_debts.h. */
#include "gnu.h"

#include "pages_debts.h"

/** A bit of `blocks` stands for so many pages of 4 KiB that all blocks of 512 GiB are 512 words: to look
 *  through them takes less than one call. */
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

/** The first page with a debt from `from` on; `end` if there is none before it. */
static uint64_t first_debt(const struct stretch *stretch, uint64_t from, uint64_t end)
{
    return min_u64(row_first(&stretch->rows, ROW_WEAK, from, end),
                   row_first(&stretch->rows, ROW_OWED, from, end));
}

bool kva_port_is_among_debts(const struct stretch *stretch, struct run run)
{
    struct run blocks = blocks_of_run(run);

    return bits_first(stretch->blocks, blocks.from, blocks.end) < blocks.end &&
           first_debt(stretch, run.from, run.end) < run.end;
}

bool kva_port_has_strange(const struct stretch *stretch, struct run run)
{
    return row_first(&stretch->rows, ROW_STRANGE, run.from, run.end) < run.end;
}

void kva_port_note_strange(struct stretch *stretch, struct run run)
{
    kva_port_note_debt(stretch, run, WEAK);
    row_set_range(&stretch->rows, ROW_STRANGE, run.from, run.end, true);
}

void kva_port_note_debt(struct stretch *stretch, struct run run, enum debt debt)
{
    struct run blocks = blocks_of_run(run);
    stretch->stats.weak_pages -= row_count(&stretch->rows, ROW_WEAK, run.from, run.end);
    stretch->owed_count -= row_count(&stretch->rows, ROW_OWED, run.from, run.end);
    row_set_range(&stretch->rows, ROW_WEAK, run.from, run.end, debt == WEAK);
    row_set_range(&stretch->rows, ROW_OWED, run.from, run.end, debt == OWED);
    if (debt == NO_DEBT)
        row_set_range(&stretch->rows, ROW_STRANGE, run.from, run.end, false);
    stretch->stats.weak_pages += debt == WEAK ? length(run) : 0;
    stretch->owed_count += debt == OWED ? length(run) : 0;
    if (debt != NO_DEBT)
        bits_set(stretch->blocks, blocks.from, blocks.end, true);
}

/** Where the debts end that begin at `from`, before `end`. */
static uint64_t end_of_debt(const struct stretch *stretch, uint64_t from, uint64_t end)
{
    for (;;) {
        bool is_weak = from < end && row_bit(&stretch->rows, ROW_WEAK, from);
        if (from >= end || !(is_weak || row_bit(&stretch->rows, ROW_OWED, from)))
            return from;
        from = row_end_of_run(&stretch->rows, is_weak ? ROW_WEAK : ROW_OWED, from, end);
    }
}

struct run kva_port_find_debt(struct stretch *stretch, uint64_t from)
{
    uint64_t pages = stretch->bytes / stretch->page;
    uint64_t count = pages / BLOCK_PAGES + 1;

    for (uint64_t block = from / BLOCK_PAGES; (block = bits_first(stretch->blocks, block, count)) < count;
         block++) {
        uint64_t first = max_u64(from, block * BLOCK_PAGES);
        uint64_t end = min_u64((block + 1) * BLOCK_PAGES, pages);
        uint64_t at = first_debt(stretch, first, end);
        if (at < end)
            return (struct run){at, end_of_debt(stretch, at, at < stretch->pages ? stretch->pages : pages)};
        if (first == block * BLOCK_PAGES)
            bits_set(stretch->blocks, block, block + 1, false);
    }
    return (struct run){pages, pages};
}
