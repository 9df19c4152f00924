/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Paying debts (pages_debts.h): every call tries to pay some, by closing them once more; `settle` tries
 *  all. */
#include "gnu.h"

#include "pages_retry.h"

#include "pages_bind.h"
#include "pages_close.h"
#include "pages_count.h"

/** Close once more what is not closed for good; go on after it. What is shut meanwhile, at an end of it, owes
 *  nothing. A refusal is not counted again. */
static void pay(struct reservation *reservation, struct run debt)
{
    struct run all = open_in(reservation, debt);
    uint64_t failed_unmaps = reservation->stats.failed_unmaps;

    forget_debt(reservation, (struct run){debt.from, all.from});
    forget_debt(reservation, (struct run){all.end, debt.end});
    if (is_of_frames(reservation, debt))
        kva_port_close_frames(reservation, debt);
    else
        kva_port_close_run(reservation, debt);
    reservation->stats.failed_unmaps = failed_unmaps;
}

/** Whether to try to pay: what lies between areas that are joined takes mappings, of which `slack` are to
 *  stay. */
static bool can_pay(struct reservation *reservation, struct run debt, uint64_t slack)
{
    if (!may_join(reservation) || is_of_frames(reservation, debt))
        return true;
    uint64_t now = kva_port_ends_in(reservation, debt);
    uint64_t then = ends_if_shut(reservation, debt);
    return then <= now || may_split(reservation, debt, now, then + slack);
}

/** Pay a debt, or leave it for a better time. */
static void try_to_pay(struct reservation *reservation, struct run debt, uint64_t slack)
{
    reservation->next_debt = debt.end;
    if (can_pay(reservation, debt, slack))
        pay(reservation, debt);
}

/** When all is shut, make one mapping of it again. */
static void smooth(struct reservation *reservation)
{
    struct run all = {0, reservation->bytes / reservation->page};

    if (replace(reservation, all, PROT_NONE, &reservation->stats.calls.close))
        reservation->merges_less = false;
}

void kva_port_pay(struct reservation *reservation)
{
    const unsigned most = 2;
    uint64_t slack = reservation->budget.plenty / 64; /* or the next area would be joined again */

    set_spare(&reservation->spare, true, &reservation->stats.calls.close);
    if (reservation->merges_less && reservation->budget.taken == 1 + binding_ends(&reservation->bindings))
        smooth(reservation);
    for (unsigned i = 0; i < most && count_debts(reservation) > 0; i++) {
        struct run debt = kva_port_find_debt(reservation, reservation->next_debt);
        if (length(debt) == 0)
            debt = kva_port_find_debt(reservation, 0);
        try_to_pay(reservation, debt, slack);
    }
}

/** The first page from `from` on whose debt may be paid: none of the private ones that take mappings when
 *  there are not plenty of them. */
static uint64_t first_to_try(struct reservation *reservation, uint64_t from)
{
    if (!may_join(reservation) || reservation->owed_count > 0 || kva_port_has_plenty(&reservation->budget, 2))
        return from;
    return max_u64(from, reservation->pages);
}

/** What is paid makes room for more, maybe. */
void kva_port_retry_unmaps(void *context, void *handle)
{
    struct reservation *reservation = handle;
    uint64_t before;

    (void)context;
    if (may_join(reservation) && reservation->stats.failed_unmap_pages > 0)
        kva_port_budget_look(&reservation->budget);
    do {
        struct run debt = {0, 0};
        before = count_debts(reservation);
        pay_some(reservation);
        while (length(debt = kva_port_find_debt(reservation, first_to_try(reservation, debt.end))) > 0)
            try_to_pay(reservation, debt, 0);
    } while (count_debts(reservation) > 0 && count_debts(reservation) < before);
    if (reservation->bindings.lost > 0)
        kva_port_regain_all(reservation);
}
