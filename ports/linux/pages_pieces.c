/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A stretch's tables (tables.h). Its own memory there holds the directory of the rows and the blocks of
 * debts, which are there from the beginning. The rows have pieces where pages are not shut. What a change
 * writes to is there before the change begins.
 */
#include "gnu.h"

#include "pages_pieces.h"

#include "pages_count.h"
#include "pages_debts.h"
#include "pages_steps.h"

bool kva_port_make_tables(struct stretch *stretch, struct kva_stretch *wish)
{
    uint64_t pages = stretch->bytes / stretch->page;
    uint64_t directory = sparse_directory_bytes(rows_bytes(pages));
    struct tables_wish tables = {
        .page = stretch->page,
        .pieces = wish->pieces + sparse_parts(rows_bytes(pages)),
        .given = wish->given,
        .own = directory + kva_port_blocks_bytes(pages),
    };

    if (!kva_port_tables_make(&stretch->tables, &tables))
        return false;
    sparse_init(&stretch->rows, stretch->tables.pieces, stretch->tables.own);
    stretch->blocks = (uint64_t *)(void *)((char *)stretch->tables.own + directory);
    wish->tables = stretch->tables.pieces;
    return true;
}

enum kva_status kva_port_take_piece(void *context, void *handle, uint32_t *number)
{
    struct stretch *stretch = handle;

    (void)context;
    return kva_port_tables_take(&stretch->tables, number) ? KVA_OK : kva_port_why_refused(&stretch->budget);
}

void kva_port_give_piece(void *context, void *handle, uint32_t number)
{
    struct stretch *stretch = handle;

    (void)context;
    kva_port_tables_give(&stretch->tables, number);
}

enum kva_status kva_port_prepare_rows(struct stretch *stretch, struct run run)
{
    return sparse_ensure(&stretch->rows, run.from / ROW_PART_BITS, run.end / ROW_PART_BITS + 1,
                         kva_port_take_piece, NULL, stretch);
}

/** Shut what is open in private pages that no area reaches into. */
static void shut_idle(struct stretch *stretch, struct run part)
{
    for (struct run run = part; run.from < part.end; run.from = run.end) {
        run.from = row_first(&stretch->rows, ROW_OPEN, run.from, part.end);
        if (run.from == part.end)
            return;
        run = alike(stretch, run.from, part.end);
        (void)kva_port_shut(stretch, run, kva_port_ends_of(stretch, run));
    }
}

/** Whether all pages of a part of the rows are shut: then no row has anything to say of them. */
static bool is_idle(const struct stretch *stretch, struct run part)
{
    return is_all_shut(stretch, part) && !is_in_debt(stretch, part);
}

/** Give back the rows of pages that are all shut. A grain that is open though no area is in it is shut for
 *  that, unless it lies at the beginning, where the next small areas will be. */
static void trim_rows(struct stretch *stretch)
{
    for (uint64_t i = max_u64(stretch->rows.from, 1); i < stretch->rows.end; i++) {
        struct run part = {i * ROW_PART_BITS, (i + 1) * ROW_PART_BITS};
        if (!sparse_has(&stretch->rows, i))
            continue;
        if (row_first(&stretch->rows, ROW_USED, part.from, part.end) == part.end)
            shut_idle(stretch, common(part, (struct run){0, stretch->pages}));
        if (is_idle(stretch, part))
            sparse_drop(&stretch->rows, i, kva_port_give_piece, NULL, stretch);
    }
}

void kva_port_trim(void *context, void *handle)
{
    struct stretch *stretch = handle;

    (void)context;
    trim_rows(stretch);
    kva_port_tables_trim(&stretch->tables);
}
