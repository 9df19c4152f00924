/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** How many mappings a reservation has, and how many it may have: see pages_budget.c. */
#ifndef KVA_PORTS_LINUX_PAGES_BUDGET_H
#define KVA_PORTS_LINUX_PAGES_BUDGET_H

#include <kva/status.h>
#include <stdbool.h>
#include <stdint.h>

/** What the last look at the process' mappings has found, and when. Where there is nothing to look at (no
 *  /proc, or no file descriptor left), that is still the best that is known. */
struct look {
    uint64_t allowed;  /* mappings of the process; 0: not known */
    uint64_t mappings; /* of the process; 0: there was no look yet */
    uint64_t own;      /* of these, the reservation's, as counted then */
    uint64_t time;     /* in ms */
    uint64_t took;     /* in ms */
    struct sizes {
        uint64_t all;
        uint64_t data;
    } sizes;
};

struct budget {
    uint64_t taken;    /* the reservation's own mappings, as counted (pages_count.c) */
    uint64_t limit;    /* of these; 0: not known */
    uint64_t plenty;   /* of these, while nobody else is short of them */
    uint64_t good_for; /* so many of them; then look again */
    uint64_t looked;   /* when all these were found, in ms */
    struct look look;
};

/** Find the limit. */
void kva_port_budget_look(struct budget *budget);

/** Whether the reservation may take so many more and leaves plenty, by a recent look where it does not. */
bool kva_port_has_plenty(struct budget *budget, uint64_t more);

/** Why the kernel has refused a call on mappings: KVA_ELIMIT or KVA_ENOMEM. */
enum kva_status kva_port_why_refused(struct budget *budget);

static inline bool has_room_for(struct budget *budget, uint64_t more)
{
    if (budget->taken + more > budget->good_for)
        kva_port_budget_look(budget);
    return budget->limit == 0 || budget->taken + more <= budget->limit;
}

/** Whether the ends of mappings may become so many instead of `now`. */
static inline bool has_room_for_ends(struct budget *budget, uint64_t now, uint64_t then)
{
    return then <= now || has_room_for(budget, then - now);
}

/** The same, and plenty is left. */
static inline bool has_plenty_for_ends(struct budget *budget, uint64_t now, uint64_t then)
{
    return then <= now || kva_port_has_plenty(budget, then - now);
}

/** Whether large areas may still take mappings of their own: two more in an eighth of all. */
static inline bool has_share(const struct budget *budget)
{
    return budget->limit == 0 || budget->taken + 2 <= budget->limit / 8;
}

#endif
