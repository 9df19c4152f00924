/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Paying debts (pages_debts.h): every call tries to pay some, by closing them once more; `settle` tries
 *  all. */
#include "gnu.h"

#include "pages_settle.h"

#include "pages_bind.h"
#include "pages_close.h"
#include "pages_count.h"

/** Close once more what is not closed for good; go on after it. What is shut meanwhile, at an end of it, owes
 *  nothing. A refusal is not counted again. */
static void pay(struct stretch *stretch, struct run debt)
{
    struct run all = open_in(stretch, debt);
    uint64_t weak_closes = stretch->stats.weak_closes;

    forget_debt(stretch, (struct run){debt.from, all.from});
    forget_debt(stretch, (struct run){all.end, debt.end});
    if (is_of_frames(stretch, debt))
        kva_port_close_frames(stretch, debt);
    else
        kva_port_close_run(stretch, debt);
    stretch->stats.weak_closes = weak_closes;
}

/** Whether to try to pay: what lies between areas that are joined takes mappings, of which `slack` are to
 *  stay. */
static bool can_pay(struct stretch *stretch, struct run debt, uint64_t slack)
{
    if (!may_join(stretch) || is_of_frames(stretch, debt))
        return true;
    uint64_t now = kva_port_ends_in(stretch, debt);
    uint64_t then = ends_if_shut(stretch, debt);
    return then <= now || may_split(stretch, debt, now, then + slack);
}

/** Pay a debt, or leave it for a better time. */
static void try_to_pay(struct stretch *stretch, struct run debt, uint64_t slack)
{
    stretch->next_debt = debt.end;
    if (can_pay(stretch, debt, slack))
        pay(stretch, debt);
}

/** When all is shut, make one mapping of it again. */
static void smooth(struct stretch *stretch)
{
    struct run all = {0, stretch->bytes / stretch->page};

    if (replace(stretch, all, PROT_NONE, &stretch->stats.calls.close))
        stretch->merges_less = false;
}

void kva_port_pay(struct stretch *stretch)
{
    const unsigned most = 2;
    uint64_t slack = stretch->budget.plenty / 64; /* or the next area would be joined again */

    set_spare(&stretch->spare, true, &stretch->stats.calls.close);
    if (stretch->merges_less && stretch->budget.taken == 1 + binding_ends(&stretch->bindings))
        smooth(stretch);
    for (unsigned i = 0; i < most && count_debts(stretch) > 0; i++) {
        struct run debt = kva_port_find_debt(stretch, stretch->next_debt);
        if (length(debt) == 0)
            debt = kva_port_find_debt(stretch, 0);
        try_to_pay(stretch, debt, slack);
    }
}

/** The first page from `from` on whose debt may be paid: none of the private ones that take mappings when there
 *  are not plenty of them. */
static uint64_t first_to_try(struct stretch *stretch, uint64_t from)
{
    if (!may_join(stretch) || stretch->owed_count > 0 || kva_port_has_plenty(&stretch->budget, 2))
        return from;
    return max_u64(from, stretch->pages);
}

/** What is paid makes room for more, maybe. */
void kva_port_settle(void *context, void *handle)
{
    struct stretch *stretch = handle;
    uint64_t before;

    (void)context;
    if (may_join(stretch) && stretch->stats.weak_pages > 0)
        kva_port_budget_look(&stretch->budget);
    do {
        struct run debt = {0, 0};
        before = count_debts(stretch);
        pay_some(stretch);
        while (length(debt = kva_port_find_debt(stretch, first_to_try(stretch, debt.end))) > 0)
            try_to_pay(stretch, debt, 0);
    } while (count_debts(stretch) > 0 && count_debts(stretch) < before);
    if (stretch->bindings.lost > 0)
        kva_port_regain_all(stretch);
}
