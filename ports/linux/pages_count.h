/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** What a change makes of the reservation's own mappings: see pages_count.c. */
#ifndef KVA_PORTS_LINUX_PAGES_COUNT_H
#define KVA_PORTS_LINUX_PAGES_COUNT_H

#include "pages_reservation.h"

/** From so many pages on an area is a mapping of its own. */
enum { LARGE_PAGES = 64 };

/** The ends of mappings in a run and at both of its ends: where open meets shut, and the seams. */
uint64_t kva_port_ends_in(const struct reservation *reservation, struct run run);

/** The same of a run whose pages are all alike. */
uint64_t kva_port_ends_of(const struct reservation *reservation, struct run run);

/** How many of a run's two ends are ends of mappings when all of it is shut. */
static inline uint64_t ends_if_inaccessible(const struct reservation *reservation, struct run run)
{
    return before_is_accessible(reservation, run) + (uint64_t)after_is_accessible(reservation, run);
}

/** The same of a run, all alike, when it is a fresh mapping. */
uint64_t kva_port_ends_if_fresh(const struct reservation *reservation, struct run run);

/** Note that a run, with `now` ends of mappings in it, has become shut, or a fresh mapping. It has no debts
 *  then. */
void kva_port_note_run(struct reservation *reservation, struct run run, bool is_accessible, uint64_t now);

/** Note that a run, all of it open, may have become a mapping of its own among open ones: an attribute may
 *  have. */
void kva_port_fence(struct reservation *reservation, struct run run);

/** The same of one end: open pages meet before a page, and may be two mappings. */
void kva_port_fence_at(struct reservation *reservation, uint64_t at);

/** Whether a run is to be opened or closed as a mapping of its own. */
static inline bool as_mapping(const struct reservation *reservation, struct run run)
{
    return !reservation->guards || (length(run) >= LARGE_PAGES && has_share(&reservation->budget));
}

/** Whether areas share mappings when these run short, and what is closed is left open between them: see
 *  pages_join.c. */
static inline bool may_join(const struct reservation *reservation)
{
    return !reservation->guards && !reservation->strict;
}

/** So many pages are far: worth mappings up to the limit, not only while there is plenty. */
static inline uint64_t far_pages(const struct reservation *reservation)
{
    return max_u64(reservation->pages / 4096, GRAIN_PAGES);
}

/** Whether to shut a run, if that makes the ends of mappings so many instead of `now`. */
static inline bool may_split(struct reservation *reservation, struct run run, uint64_t now, uint64_t then)
{
    return may_join(reservation) && length(run) < far_pages(reservation)
               ? has_plenty_for_ends(&reservation->budget, now, then)
               : has_room_for_ends(&reservation->budget, now, then);
}

#endif
