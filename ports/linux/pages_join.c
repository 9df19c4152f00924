/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Making inaccessible pages accessible; and, without guard regions, sharing mappings when they run short.
 *
 * An area with a mapping of its own, and an inaccessible page after it, takes two of the mappings that a
 * process may have. Where no plenty is left (pages_budget.c), an area is JOINED with the nearest one instead:
 * the same call makes the GAP between the two accessible. The kernel lets the neighbour's mapping grow, which
 * takes no mapping:
 *
 *      inaccessible                                inaccessible
 *      ....|  A  |......|  B   |......   ->        ....|  A  | gap |  new  |.|  B   |......
 *
 * The gap is empty, but a touch of it does not fault: its pages are failed unmaps (pages_unmaps.h). A retry
 * closes them when there is plenty again. To close a part of a joined mapping would split it; until then
 * closed pages there become failed unmaps as well (pages_close.c). A strict reservation joins no areas: it
 * takes mappings up to the limit, and then refuses.
 *
 * FAR is a 4096th of the reservation. An area that is farther than that from all others is worth mappings up
 * to the limit, and so is a closed run that is longer: docs/theory/vmap.md, "Distant areas", has the figures.
 * So no run of failed unmaps is much longer, and a search along one reads no more than a thousand words.
 */
#include "gnu.h"

#include "pages_join.h"

#include "pages_close.h"
#include "pages_count.h"
#include "pages_pieces.h"
#include "pages_steps.h"
#include "pages_unmaps.h"

/** Close an inaccessible run that the kernel refused to make accessible: a part of it may be split off, or
 *  accessible already. A fresh mapping merges all that. */
static void close_half_accessible(struct reservation *reservation, struct run run, uint64_t now)
{
    uint64_t *calls = &reservation->stats.calls.open;

    if (replace(reservation, run, PROT_NONE, calls) || protect_run(reservation, run, PROT_NONE, calls))
        return;
    kva_port_note_run(reservation, run, true, now);
    kva_port_close_accessible(reservation, run);
}

/** Make an inaccessible run accessible, if there is room for the mappings. */
static enum kva_status map_run(struct reservation *reservation, struct run run)
{
    uint64_t now = kva_port_ends_of(reservation, run);

    if (!has_room_for_ends(&reservation->budget, now, kva_port_ends_if_fresh(reservation, run)))
        return KVA_ELIMIT;
    if (!protect_run(reservation, run, PROT_READ | PROT_WRITE, &reservation->stats.calls.open)) {
        enum kva_status status = kva_port_why_refused(&reservation->budget);
        close_half_accessible(reservation, run, now);
        return status;
    }
    kva_port_note_run(reservation, run, true, now);
    return KVA_OK;
}

/** The inaccessible pages between a run and the nearest accessible page; empty if that is `far` pages away,
 *  or farther. */
static struct run nearest_gap(const struct reservation *reservation, struct run run, uint64_t far)
{
    uint64_t low = run.from - min_u64(run.from, far);
    uint64_t high = min_u64(run.end + far, reservation->pages);
    struct run before = {row_last_end(&reservation->rows, ROW_ACCESSIBLE, true, low, run.from), run.from};
    struct run after = {run.end, row_first(&reservation->rows, ROW_ACCESSIBLE, run.end, high)};

    if (after.end < high && (before.from == low || length(after) < length(before)))
        return after;
    return before.from > low ? before : (struct run){run.from, run.from};
}

/** Make a run accessible together with the gap beside it. After mlockall the kernel puts memory into the gap.
 *  It is discarded, unless the gap is one guard page. */
static enum kva_status join_with_gap(struct reservation *reservation, struct run run, uint64_t far)
{
    struct run gap = nearest_gap(reservation, run, far);
    struct run whole = {min_u64(gap.from, run.from), max_u64(gap.end, run.end)};

    if (length(gap) == 0)
        return KVA_ELIMIT;
    enum kva_status status = kva_port_prepare_rows(reservation, whole);
    if (status == KVA_OK)
        status = map_run(reservation, whole);
    if (status != KVA_OK)
        return status;
    kva_port_note_unmap(reservation, gap, UNMAP_FAILED);
    if (length(gap) > 1)
        (void)kva_port_discard(reservation, gap, &reservation->stats.calls.open);
    return KVA_OK;
}

/** The way that the budget calls for, and the others where that is refused: a gap counts against the memory
 *  that the process may have, and a limit that is unknown shows only by a refusal. */
enum kva_status kva_port_make_accessible(struct reservation *reservation, struct run run)
{
    if (!may_join(reservation))
        return map_run(reservation, run);
    bool plenty = has_plenty_for_ends(&reservation->budget, kva_port_ends_of(reservation, run),
                                      kva_port_ends_if_fresh(reservation, run));
    enum kva_status status =
        plenty ? map_run(reservation, run) : join_with_gap(reservation, run, far_pages(reservation));
    if (status == KVA_OK || (!plenty && map_run(reservation, run) == KVA_OK) ||
        join_with_gap(reservation, run, max_u64(reservation->pages / 64, GRAIN_PAGES)) == KVA_OK)
        return KVA_OK;
    return status;
}
