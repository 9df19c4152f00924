/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The Linux page source: its table of functions, and its statistics. README.md lists the files in order. */
#include "gnu.h"

#include <kva/pages.h>
#include <kva/threads.h>

#include "pages_bind.h"
#include "pages_check.h"
#include "pages_dismiss.h"
#include "pages_frames.h"
#include "pages_move.h"
#include "pages_open.h"
#include "pages_pieces.h"
#include "pages_reserve.h"
#include "pages_retry.h"

static void read_pages_stats(void *context, void *handle, struct kva_pages_stats *stats)
{
    const struct reservation *reservation = handle;

    (void)context;
    *stats = reservation->stats;
    stats->mappings = reservation->budget.taken;
    stats->mappings_limit = reservation->budget.limit;
    stats->calls.tables = reservation->tables.calls;
}

static bool has_failed_unmap(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    const struct reservation *reservation = handle;
    struct run run = run_at(reservation, start, bytes);

    (void)context;
    return reservation->stats.failed_unmap_pages > 0 &&
           row_first(&reservation->rows, ROW_FAILED_UNMAP, run.from, run.end) < run.end;
}

struct kva_pages kva_pages_host(enum kva_mechanism mechanism)
{
    static enum kva_mechanism mechanisms[] = {KVA_MECHANISM_BEST, KVA_MECHANISM_GUARDS,
                                              KVA_MECHANISM_MAPPINGS};
    struct kva_pages none = {.page = 1}; /* not all zero, which would mean the host's best */

    if (mechanism < KVA_MECHANISM_BEST || mechanism > KVA_MECHANISM_MAPPINGS)
        return none;
    struct kva_pages pages = {
        .reserve = kva_port_reserve,
        .release = kva_port_release,
        .open = kva_port_open,
        .close = kva_port_close,
        .dismiss = kva_port_dismiss,
        .bind = kva_port_bind,
        .has_nodes = kva_port_has_nodes,
        .map = kva_port_map_frames,
        .unmap = kva_port_unmap_frames,
        .retry_unmaps = kva_port_retry_unmaps,
        .has_failed_unmap = has_failed_unmap,
        .collapse = kva_port_collapse,
        .move = kva_port_move_frames,
        .create_frames = kva_port_create_frames,
        .discard_frames = kva_port_discard_frames,
        .destroy_frames = kva_port_destroy_frames,
        .open_piece = kva_port_open_piece,
        .close_piece = kva_port_close_piece,
        .trim = kva_port_trim,
        .alloc_zeroed = kva_port_alloc_zeroed,
        .free_zeroed = kva_port_free_zeroed,
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
