/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Closing pages.
 *
 *      large run   replaced by an inaccessible mapping, which also frees its page tables
 *      small run   given markers, which discard the pages
 *
 * A run of any size is made inaccessible where that makes mappings fewer, together with the idle pages beside
 * it. Where the kernel refuses a step, pages become unfinished unmaps (pages_unmaps.h). Without guard regions
 * there are no markers: every run is replaced, unless mappings run short (pages_join.c).
 */
#include "gnu.h"

#include "pages_close.h"

#include "pages_count.h"
#include "pages_steps.h"
#include "pages_unmaps.h"

/* ------------------------------------------------------------------------------------------ private pages */

void kva_port_close_accessible(struct reservation *reservation, struct run run)
{
    uint64_t *calls = &reservation->stats.calls.close;

    if (reservation->guards && kva_port_make_markable(reservation, run, calls) &&
        kva_port_mark(reservation, run)) {
        forget_unfinished(reservation, run);
        return;
    }
    uint64_t now = kva_port_ends_of(reservation, run);
    bool spares =
        may_join(reservation) && !may_split(reservation, run, now, ends_if_inaccessible(reservation, run));
    if (spares || (!kva_port_force_inaccessible(reservation, run, now) && !kva_port_deny(reservation, run)))
        kva_port_leave_mapped(reservation, run);
}

/** Whether to make a run inaccessible, which leaves neither page tables nor markers to be removed one by one.
 *  A small run must make mappings fewer. A large one must make no more, unless its share allows that. Whole
 *  grains leave few ends in any case. */
static bool pays_to_replace(const struct reservation *reservation, struct run run, struct run wide,
                            uint64_t now)
{
    uint64_t ends = ends_if_inaccessible(reservation, wide);

    if (ends < now || length(run) >= GRAIN_PAGES)
        return true;
    return (ends == now && length(run) >= LARGE_PAGES) || as_mapping(reservation, run);
}

/** How many pages before a run, at most `most`, are accessible but unused; 0 if the page before them is
 *  accessible. */
static uint64_t idle_before(const struct reservation *reservation, struct run run, uint64_t most)
{
    uint64_t low = run.from > most ? run.from - most : 0;
    struct run idle = {row_last_end(&reservation->rows, ROW_USED, true, low, run.from), run.from};

    idle.from = max_u64(idle.from, row_last_end(&reservation->rows, ROW_ACCESSIBLE, false, low, run.from));
    return before_is_accessible(reservation, idle) ? 0 : length(idle);
}

/** The same after the run. */
static uint64_t idle_after(const struct reservation *reservation, struct run run, uint64_t most)
{
    uint64_t high = min_u64(run.end + most, reservation->pages);

    if (!after_is_accessible(reservation, run))
        return 0;
    struct run idle = alike(reservation, run.end, high);
    idle.end = row_first(&reservation->rows, ROW_USED, idle.from, idle.end);
    return after_is_accessible(reservation, idle) ? 0 : length(idle);
}

/** A run with the failed unmaps at its ends, at most far_pages on each side. */
static struct run with_failed_unmaps_beside(const struct reservation *reservation, struct run run)
{
    uint64_t low = run.from - min_u64(run.from, far_pages(reservation));
    uint64_t high = min_u64(run.end + far_pages(reservation), reservation->pages);

    if (reservation->stats.failed_unmap_pages == 0)
        return run;
    run.from = row_last_end(&reservation->rows, ROW_FAILED_UNMAP, false, low, run.from);
    if (run.end < high && row_bit(&reservation->rows, ROW_FAILED_UNMAP, run.end))
        run.end = row_end_of_run(&reservation->rows, ROW_FAILED_UNMAP, run.end, high);
    return run;
}

/** The run to make inaccessible in order to close a run. It takes idle pages along, if that makes mappings
 *  fewer; but few beside a small run, so that the next small area finds its grain accessible. It takes all
 *  failed unmaps along: they must be closed again, and take no mapping. */
static struct run worth_replacing(const struct reservation *reservation, struct run run)
{
    uint64_t most = length(run) >= LARGE_PAGES ? GRAIN_PAGES : LARGE_PAGES;
    struct run failed = with_failed_unmaps_beside(reservation, run);

    return (struct run){min_u64(failed.from, run.from - idle_before(reservation, run, most)),
                        max_u64(failed.end, run.end + idle_after(reservation, run, most))};
}

/** In one call if possible, from the first accessible page to the last; otherwise run by run. */
void kva_port_close_run(struct reservation *reservation, struct run range)
{
    struct run all = accessible_in(reservation, range);

    if (length(all) == 0)
        return;
    row_set_range(&reservation->rows, ROW_USED, all.from, all.end, false);
    struct run wide = worth_replacing(reservation, all);
    uint64_t now = kva_port_ends_in(reservation, wide);
    if (pays_to_replace(reservation, all, wide, now) &&
        may_split(reservation, wide, now, ends_if_inaccessible(reservation, wide)) &&
        (kva_port_force_inaccessible(reservation, wide, now) || kva_port_deny(reservation, wide)))
        return;
    for (struct run run = {all.from, all.from}; run.end < all.end;) {
        run = alike(reservation, run.end, all.end);
        if (!is_inaccessible(reservation, run))
            kva_port_close_accessible(reservation, run);
    }
}

/* ------------------------------------------------------------------------------------------ frames' pages */

/** Close a run of frames' pages that no seam divides. Markers do not outlive the mapping, so marked pages are
 *  partial unmaps. */
static void close_frames_piece(struct reservation *reservation, struct run piece)
{
    if (kva_port_force_inaccessible(reservation, piece, kva_port_ends_of(reservation, piece)) ||
        kva_port_deny(reservation, piece))
        return;
    if (reservation->guards &&
        advise(reservation, piece, MADV_GUARD_INSTALL, &reservation->stats.calls.unmap))
        kva_port_note_unmap(reservation, piece, UNMAP_PARTIAL);
    else
        kva_port_leave_mapped(reservation, piece);
}

/** In one call if possible; otherwise from seam to seam. */
void kva_port_close_frames(struct reservation *reservation, struct run range)
{
    struct run all = accessible_in(reservation, range);

    if (length(all) == 0 ||
        kva_port_force_inaccessible(reservation, all, kva_port_ends_in(reservation, all)) ||
        kva_port_deny(reservation, all))
        return;
    for (struct run piece = {all.from, all.from}; piece.end < all.end;) {
        piece = alike(reservation, piece.end, all.end);
        piece.end = row_first(&reservation->rows, ROW_SEAMS, piece.from + 1, piece.end);
        if (!is_inaccessible(reservation, piece))
            close_frames_piece(reservation, piece);
    }
}
