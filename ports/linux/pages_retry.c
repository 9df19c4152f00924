/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Retrying unfinished unmaps (pages_unmaps.h): most calls of the page source close a few of them again;
 *  kva_pages.retry_unmaps tries all. */
#include "gnu.h"

#include "pages_retry.h"

#include "pages_bind.h"
#include "pages_close.h"
#include "pages_count.h"

/** Close a run of unfinished unmaps again. Pages at its ends that became inaccessible meanwhile are none any
 *  more. A refusal does not add to failed_unmaps. */
static void retry_run(struct reservation *reservation, struct run run)
{
    struct run all = accessible_in(reservation, run);
    uint64_t failed_unmaps = reservation->stats.failed_unmaps;

    forget_unfinished(reservation, (struct run){run.from, all.from});
    forget_unfinished(reservation, (struct run){all.end, run.end});
    if (is_of_frames(reservation, run))
        kva_port_close_frames(reservation, run);
    else
        kva_port_close_run(reservation, run);
    reservation->stats.failed_unmaps = failed_unmaps;
}

/** Whether there is room to retry: to close the gap between joined areas takes mappings, and `slack` more
 *  must remain. */
static bool can_retry(struct reservation *reservation, struct run run, uint64_t slack)
{
    if (!may_join(reservation) || is_of_frames(reservation, run))
        return true;
    uint64_t now = kva_port_ends_in(reservation, run);
    uint64_t then = ends_if_inaccessible(reservation, run);
    return then <= now || may_split(reservation, run, now, then + slack);
}

/** Retry a run, or leave it for later. */
static void retry_if_room(struct reservation *reservation, struct run run, uint64_t slack)
{
    reservation->next_retry = run.end;
    if (can_retry(reservation, run, slack))
        retry_run(reservation, run);
}

/** Replace a reservation whose pages are all inaccessible by one mapping. */
static void make_one_mapping(struct reservation *reservation)
{
    struct run all = {0, reservation->bytes / reservation->page};

    if (replace(reservation, all, PROT_NONE, &reservation->stats.calls.close))
        reservation->merges_less = false;
}

void kva_port_retry_few(struct reservation *reservation)
{
    const unsigned most = 2;
    uint64_t slack = reservation->budget.plenty / 64; /* otherwise the next area would be joined again */

    set_spare(&reservation->spare, true, &reservation->stats.calls.close);
    if (reservation->merges_less && reservation->budget.taken == 1 + binding_ends(&reservation->bindings))
        make_one_mapping(reservation);
    for (unsigned i = 0; i < most && count_unfinished(reservation) > 0; i++) {
        struct run run = kva_port_find_unfinished(reservation, reservation->next_retry);
        if (length(run) == 0)
            run = kva_port_find_unfinished(reservation, 0);
        retry_if_room(reservation, run, slack);
    }
}

/** The first page from `from` on that is worth a retry. To close failed unmaps of private pages takes
 *  mappings, so they are skipped while there are not plenty, unless there are partial unmaps. */
static uint64_t first_to_try(struct reservation *reservation, uint64_t from)
{
    if (!may_join(reservation) || reservation->partial_unmap_pages > 0 ||
        kva_port_has_plenty(&reservation->budget, 2))
        return from;
    return max_u64(from, reservation->pages);
}

/** A success may make room for others, so this repeats while there are any. */
void kva_port_retry_unmaps(void *context, void *handle)
{
    struct reservation *reservation = handle;
    uint64_t before;

    (void)context;
    if (may_join(reservation) && reservation->stats.failed_unmap_pages > 0)
        kva_port_budget_look(&reservation->budget);
    do {
        struct run run = {0, 0};
        before = count_unfinished(reservation);
        retry_some(reservation);
        while (length(run = kva_port_find_unfinished(reservation, first_to_try(reservation, run.end))) > 0)
            retry_if_room(reservation, run, 0);
    } while (count_unfinished(reservation) > 0 && count_unfinished(reservation) < before);
    if (reservation->bindings.lost > 0)
        kva_port_regain_all(reservation);
}
