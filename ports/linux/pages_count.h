/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The reservation's own mappings, and how a change changes their number: see pages_count.c. */
#ifndef KVA_PORTS_LINUX_PAGES_COUNT_H
#define KVA_PORTS_LINUX_PAGES_COUNT_H

#include "pages_reservation.h"

/** An area of so many pages or more is a mapping of its own. */
enum { LARGE_PAGES = 64 };

/** The ends of mappings in a run and at both of its ends: edges and seams. */
uint64_t kva_port_ends_in(const struct reservation *reservation, struct run run);

/** The same of a run whose pages are all alike. */
uint64_t kva_port_ends_of(const struct reservation *reservation, struct run run);

/** How many of the two ends of a run are ends of mappings once all of it is inaccessible. */
static inline uint64_t ends_if_inaccessible(const struct reservation *reservation, struct run run)
{
    return before_is_accessible(reservation, run) + (uint64_t)after_is_accessible(reservation, run);
}

/** The same of a run, all alike, once it is a fresh accessible mapping. */
uint64_t kva_port_ends_if_fresh(const struct reservation *reservation, struct run run);

/** Note that a run, with `now` ends of mappings in it, became inaccessible, or a fresh accessible mapping.
 *  Its unmaps are finished. */
void kva_port_note_run(struct reservation *reservation, struct run run, bool is_accessible, uint64_t now);

/** Note that an accessible run may have become a mapping of its own among accessible pages, because of an
 *  attribute. */
void kva_port_fence(struct reservation *reservation, struct run run);

/** The same of one end: accessible pages meet before page `at`, and may lie in two mappings. */
void kva_port_fence_at(struct reservation *reservation, uint64_t at);

/** Whether to open or close a run as a mapping of its own. */
static inline bool as_mapping(const struct reservation *reservation, struct run run)
{
    return !reservation->guards || (length(run) >= LARGE_PAGES && has_share(&reservation->budget));
}

/** Whether areas share mappings when these run short, and closed pages between them stay accessible: see
 *  pages_join.c. */
static inline bool may_join(const struct reservation *reservation)
{
    return !reservation->guards && !reservation->strict;
}

/** So many pages are far: see pages_join.c. */
static inline uint64_t far_pages(const struct reservation *reservation)
{
    return max_u64(reservation->pages / 4096, GRAIN_PAGES);
}

/** Whether to make a run inaccessible, if that makes `then` ends of mappings instead of `now`. */
static inline bool may_split(struct reservation *reservation, struct run run, uint64_t now, uint64_t then)
{
    return may_join(reservation) && length(run) < far_pages(reservation)
               ? has_plenty_for_ends(&reservation->budget, now, then)
               : has_room_for_ends(&reservation->budget, now, then);
}

#endif
