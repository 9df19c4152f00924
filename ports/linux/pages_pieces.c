/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The tables of a reservation (tables.h). The reservation's own memory there holds the directory of the rows,
 * and the blocks' bits (pages_unmaps.h). The rows have pieces where pages are accessible. A change obtains
 * the pieces that it writes to before it begins.
 */
#include "gnu.h"

#include "pages_pieces.h"

#include "pages_count.h"
#include "pages_steps.h"
#include "pages_unmaps.h"

bool kva_port_make_tables(struct reservation *reservation, struct kva_reservation *spec)
{
    uint64_t pages = reservation->bytes / reservation->page;
    uint64_t directory = sparse_directory_bytes(rows_bytes(pages));
    struct tables_spec tables = {
        .page = reservation->page,
        .pieces = spec->pieces + sparse_parts(rows_bytes(pages)),
        .given = spec->given,
        .own = directory + kva_port_blocks_bytes(pages),
    };

    if (!kva_port_tables_make(&reservation->tables, &tables))
        return false;
    sparse_init(&reservation->rows, reservation->tables.pieces, reservation->tables.own);
    reservation->blocks = (uint64_t *)(void *)((char *)reservation->tables.own + directory);
    spec->tables = reservation->tables.pieces;
    return true;
}

enum kva_status kva_port_open_piece(void *context, void *handle, uint32_t *number)
{
    struct reservation *reservation = handle;

    (void)context;
    return kva_port_tables_take(&reservation->tables, number) ? KVA_OK
                                                              : kva_port_why_refused(&reservation->budget);
}

void kva_port_close_piece(void *context, void *handle, uint32_t number)
{
    struct reservation *reservation = handle;

    (void)context;
    kva_port_tables_give(&reservation->tables, number);
}

enum kva_status kva_port_prepare_rows(struct reservation *reservation, struct run run)
{
    return sparse_ensure(&reservation->rows, run.from / ROW_PART_BITS, run.end / ROW_PART_BITS + 1,
                         kva_port_open_piece, NULL, reservation);
}

/** Make accessible private pages inaccessible. No area reaches into them. */
static void make_idle_inaccessible(struct reservation *reservation, struct run part)
{
    for (struct run run = part; run.from < part.end; run.from = run.end) {
        run.from = row_first(&reservation->rows, ROW_ACCESSIBLE, run.from, part.end);
        if (run.from == part.end)
            return;
        run = alike(reservation, run.from, part.end);
        (void)kva_port_make_inaccessible(reservation, run, kva_port_ends_of(reservation, run));
    }
}

/** Whether all pages of a part of the rows are inaccessible: then all their bits are clear. */
static bool is_idle(const struct reservation *reservation, struct run part)
{
    return is_all_inaccessible(reservation, part) && !has_unfinished(reservation, part);
}

/** Give back the pieces of rows whose pages are all inaccessible. Where a part has no area, its accessible
 *  pages are made inaccessible first. Part 0 is left alone: the next small areas will be there. */
static void trim_rows(struct reservation *reservation)
{
    for (uint64_t i = max_u64(reservation->rows.from, 1); i < reservation->rows.end; i++) {
        struct run part = {i * ROW_PART_BITS, (i + 1) * ROW_PART_BITS};
        if (!sparse_has(&reservation->rows, i))
            continue;
        if (row_first(&reservation->rows, ROW_USED, part.from, part.end) == part.end)
            make_idle_inaccessible(reservation, common(part, (struct run){0, reservation->pages}));
        if (is_idle(reservation, part))
            sparse_drop(&reservation->rows, i, kva_port_close_piece, NULL, reservation);
    }
}

void kva_port_trim(void *context, void *handle)
{
    struct reservation *reservation = handle;

    (void)context;
    trim_rows(reservation);
    kva_port_tables_trim(&reservation->tables);
}
