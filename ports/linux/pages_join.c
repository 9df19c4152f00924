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
 * (pages_debts.h). It is paid, by shutting the gap, when there is plenty again. Closing a part of a joined
 * mapping would split it, so that is a weak close for as long (pages_close.c). A strict stretch does neither:
 * it takes mappings up to the limit, and then refuses.
 *
 * HOW FAR a neighbour may be: a 4096th of the stretch. An area that is farther from all others gets a mapping
 * of its own, as long as there are any. There are at most 4096 such areas, since a 4096th of the stretch lies
 * between any two of them; they take at most 8192 mappings, and between plenty and the limit there are 3/16
 * of vm.max_map_count: 12287 of the usual 65530. So as long as others leave a sixteenth of them alone, areas
 * never lack a mapping.
 */
#define _GNU_SOURCE
#include "pages_join.h"

#include "pages_close.h"
#include "pages_count.h"
#include "pages_debts.h"
#include "pages_pieces.h"
#include "pages_steps.h"

/** The kernel has refused to open a shut run: halfway, maybe, when a part of it was split off, or open
 *  already. It is shut anew, which merges all that. */
static void close_half_open(struct stretch *stretch, struct run run, uint64_t now)
{
    uint64_t *calls = &stretch->stats.calls.open;

    if (replace(stretch, run, PROT_NONE, calls) || protect(stretch, run, PROT_NONE, calls))
        return;
    kva_port_note_run(stretch, run, true, now);
    kva_port_close_open(stretch, run);
}

/** Map a shut run, if there is room for that. */
static enum kva_status map_run(struct stretch *stretch, struct run run)
{
    uint64_t now = kva_port_ends_of(stretch, run);

    if (!has_room_for_ends(&stretch->budget, now, kva_port_ends_if_fresh(stretch, run)))
        return KVA_ELIMIT;
    if (!protect(stretch, run, PROT_READ | PROT_WRITE, &stretch->stats.calls.open)) {
        enum kva_status status = kva_port_why_refused(&stretch->budget);
        close_half_open(stretch, run, now);
        return status;
    }
    kva_port_note_run(stretch, run, true, now);
    return KVA_OK;
}

/** What is shut between a run and the nearest open page; empty if that is far away. */
static struct run nearest_gap(const struct stretch *stretch, struct run run)
{
    uint64_t far = max_u64(stretch->pages / 4096, GRAIN_PAGES);
    uint64_t low = run.from - min_u64(run.from, far);
    uint64_t high = min_u64(run.end + far, stretch->pages);
    struct run before = {row_last_end(&stretch->rows, ROW_OPEN, true, low, run.from), run.from};
    struct run after = {run.end, row_first(&stretch->rows, ROW_OPEN, run.end, high)};

    if (after.end < high && (before.from == low || length(after) < length(before)))
        return after;
    return before.from > low ? before : (struct run){run.from, run.from};
}

/** Map a shut run together with the gap beside it. */
static enum kva_status join(struct stretch *stretch, struct run run)
{
    struct run gap = nearest_gap(stretch, run);
    struct run whole = {min_u64(gap.from, run.from), max_u64(gap.end, run.end)};

    if (length(gap) == 0)
        return KVA_ELIMIT;
    enum kva_status status = kva_port_prepare_rows(stretch, whole);
    if (status == KVA_OK)
        status = map_run(stretch, whole);
    if (status == KVA_OK)
        kva_port_note_debt(stretch, gap, WEAK);
    return status;
}

enum kva_status kva_port_map_shut(struct stretch *stretch, struct run run)
{
    if (!may_join(stretch))
        return map_run(stretch, run);
    bool plenty = has_plenty_for_ends(&stretch->budget, kva_port_ends_of(stretch, run),
                                      kva_port_ends_if_fresh(stretch, run));
    enum kva_status status = plenty ? map_run(stretch, run) : join(stretch, run);
    if (status == KVA_ELIMIT)
        status = plenty ? join(stretch, run) : map_run(stretch, run);
    return status;
}
