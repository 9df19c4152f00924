/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The Linux page source: its functions, each from the file that it belongs to. README.md has the files in
 *  their order. */
#include "gnu.h"

#include <kva/pages.h>
#include <kva/threads.h>

#include "pages_bind.h"
#include "pages_check.h"
#include "pages_dismiss.h"
#include "pages_frames.h"
#include "pages_life.h"
#include "pages_move.h"
#include "pages_open.h"
#include "pages_pieces.h"
#include "pages_settle.h"

static void read_pages_stats(void *context, void *handle, struct kva_pages_stats *stats)
{
    const struct stretch *stretch = handle;

    (void)context;
    *stats = stretch->stats;
    stats->mappings = stretch->budget.taken;
    stats->mappings_limit = stretch->budget.limit;
    stats->calls.tables = stretch->tables.calls;
}

static bool is_weak(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    const struct stretch *stretch = handle;
    struct run run = run_at(stretch, start, bytes);

    (void)context;
    return stretch->stats.weak_pages > 0 && row_first(&stretch->rows, ROW_WEAK, run.from, run.end) < run.end;
}

struct kva_pages kva_pages_host(enum kva_mechanism mechanism)
{
    static enum kva_mechanism mechanisms[] = {KVA_MECHANISM_BEST, KVA_MECHANISM_GUARDS,
                                              KVA_MECHANISM_MAPPINGS};
    struct kva_pages none = {.page = 1}; /* not all zero, which would stand for the host's best */

    if (mechanism < KVA_MECHANISM_BEST || mechanism > KVA_MECHANISM_MAPPINGS)
        return none;
    struct kva_pages pages = {
        .reserve = kva_port_begin,
        .release = kva_port_end,
        .open = kva_port_open,
        .close = kva_port_close,
        .dismiss = kva_port_dismiss,
        .bind = kva_port_bind,
        .has_nodes = kva_port_has_nodes,
        .map = kva_port_map_frames,
        .unmap = kva_port_unmap_frames,
        .settle = kva_port_settle,
        .weak = is_weak,
        .collapse = kva_port_collapse,
        .move = kva_port_move_frames,
        .pool = kva_port_make_pool,
        .drain = kva_port_drain_pool,
        .drop = kva_port_drop_pool,
        .piece = kva_port_take_piece,
        .unpiece = kva_port_give_piece,
        .trim = kva_port_trim,
        .table = kva_port_table_take,
        .untable = kva_port_table_give,
        .this_cpu = kva_threads_host()->cpu,
        .stats = read_pages_stats,
        .check = kva_port_check,
        .descriptor = kva_port_descriptor,
        .page = page_size(),
        .context = &mechanisms[mechanism],
    };
    pages.huge = huge_page(pages.page);
    return pages;
}
