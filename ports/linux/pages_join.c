/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Mapping shut pages; and, without guard regions, doing so when mappings run short.
 *
 * With a mapping of its own and a shut page after it, an area takes two of the mappings that a process may
 * have. Where no plenty is left (pages_budget.c), an area is joined with the nearest one instead: what is
 * shut between the two is opened with it, by the same call. The kernel lets the neighbour's mapping grow,
 * which takes no mapping:
 *
 *      shut        shut                        shut        shut
 *      ....|  A  |......|  B   |......   ->    ....|  A  | w  |  new  |.|  B   |......
 *                                                          ^ the gap: weak
 *
 * Nothing is in the gap, but a touch of it does not fault: its pages are WEAK, a debt like any other
 * (pages_unmaps.h). It is paid, by shutting the gap, when there is plenty again. Closing a part of a joined
 * mapping would split it, so that is a weak close for as long (pages_close.c). A strict reservation does
 * neither: it takes mappings up to the limit, and then refuses.
 *
 * WHAT IS FAR, a 4096th of the reservation, is worth mappings up to the limit: an area that is farther than
 * that from all others, and a closed run that is longer. So no weak run is much longer, and to look along one
 * takes no more than a thousand words. Between plenty and the limit there are 3/16 of vm.max_map_count:
 * 12,287 of the usual 65,530; for 4,096 runs that are so far from each other 8,192 are enough. Where even
 * they are spent, an area is joined over up to a 64th of the reservation.
 */
#include "gnu.h"

#include "pages_join.h"

#include "pages_close.h"
#include "pages_count.h"
#include "pages_unmaps.h"
#include "pages_pieces.h"
#include "pages_steps.h"

/** The kernel has refused to open a shut run: halfway, maybe, when a part of it was split off, or open
 *  already. It is shut anew, which merges all that. */
static void close_half_open(struct reservation *reservation, struct run run, uint64_t now)
{
    uint64_t *calls = &reservation->stats.calls.open;

    if (replace(reservation, run, PROT_NONE, calls) || protect_run(reservation, run, PROT_NONE, calls))
        return;
    kva_port_note_run(reservation, run, true, now);
    kva_port_close_accessible(reservation, run);
}

/** Map a shut run, if there is room for that. */
static enum kva_status map_run(struct reservation *reservation, struct run run)
{
    uint64_t now = kva_port_ends_of(reservation, run);

    if (!has_room_for_ends(&reservation->budget, now, kva_port_ends_if_fresh(reservation, run)))
        return KVA_ELIMIT;
    if (!protect_run(reservation, run, PROT_READ | PROT_WRITE, &reservation->stats.calls.open)) {
        enum kva_status status = kva_port_why_refused(&reservation->budget);
        close_half_open(reservation, run, now);
        return status;
    }
    kva_port_note_run(reservation, run, true, now);
    return KVA_OK;
}

/** What is shut between a run and the nearest open page; empty if that is so far away, or farther. */
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

/** Map a shut run together with the gap beside it. Where the program locks all that it maps, the kernel puts
 *  memory into the gap, which is dropped unless it is a guard page. */
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

/** The way that the budget calls for, and where that is refused the others: a gap takes memory of the
 *  process' allowance, too, and a limit that is not known shows only by a refusal. */
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
