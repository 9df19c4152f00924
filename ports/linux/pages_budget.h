/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** How many mappings a reservation has, and how many it may have: see pages_budget.c. */
#ifndef KVA_PORTS_LINUX_PAGES_BUDGET_H
#define KVA_PORTS_LINUX_PAGES_BUDGET_H

#include <kva/status.h>
#include <stdbool.h>
#include <stdint.h>

/** The result of the last successful look at the mappings of the process. Without /proc, or a file
 *  descriptor, it stays the best estimate. */
struct look {
    uint64_t allowed;  /* that the process may have; 0: unknown */
    uint64_t mappings; /* of the process; 0: there was no look yet */
    uint64_t own;      /* of these, the reservation's, as counted at that time */
    uint64_t time;     /* when, in ms */
    uint64_t took;     /* how long, in ms */
    struct sizes {
        uint64_t all;
        uint64_t data;
    } sizes;
};

struct budget {
    uint64_t taken;    /* the reservation's own mappings, as counted (pages_count.c) */
    uint64_t limit;    /* of these; 0: unknown */
    uint64_t plenty;   /* of these, that leave enough to the rest of the program */
    uint64_t good_for; /* above this number of them, look again */
    uint64_t looked;   /* when they were last computed, in ms */
    struct look look;
};

/** Take a look, and compute the limit. */
void kva_port_budget_look(struct budget *budget);

/** Whether plenty remains after so many more. False only by a recent look. */
bool kva_port_has_plenty(struct budget *budget, uint64_t more);

/** Why the kernel refused a call on mappings: KVA_ELIMIT or KVA_ENOMEM. */
enum kva_status kva_port_why_refused(struct budget *budget);

static inline bool has_room_for(struct budget *budget, uint64_t more)
{
    if (budget->taken + more > budget->good_for)
        kva_port_budget_look(budget);
    return budget->limit == 0 || budget->taken + more <= budget->limit;
}

/** Whether there is room for `then` ends of mappings instead of `now`. */
static inline bool has_room_for_ends(struct budget *budget, uint64_t now, uint64_t then)
{
    return then <= now || has_room_for(budget, then - now);
}

/** The same, with plenty left. */
static inline bool has_plenty_for_ends(struct budget *budget, uint64_t now, uint64_t then)
{
    return then <= now || kva_port_has_plenty(budget, then - now);
}

/** Whether a large area may take a mapping of its own: two more within an eighth of the limit. */
static inline bool has_share(const struct budget *budget)
{
    return budget->limit == 0 || budget->taken + 2 <= budget->limit / 8;
}

#endif
