/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Unfinished unmaps. An UNFINISHED UNMAP is a closed page that must be closed again (pages_retry.c). It is
 *
 *      a partial unmap   a touch faults, but the old mapping must still be replaced; or
 *      a failed unmap    a touch may not fault (kva/pages.h)
 *
 * A close leaves partial and failed unmaps where the kernel refuses a step (pages_steps.c), and failed ones
 * where mappings run short. An opening leaves failed ones between joined areas (pages_join.c).
 *
 * FOREIGN pages are unfinished unmaps whose owner may have changed how they are mapped. Neither markers nor a
 * protection finish them: only a fresh mapping does, and they are not opened before they have one.
 *
 * Each of the three is a row of bits; the pages still count as accessible. The BLOCKS have a bit for each
 * 4096 pages, so that a search skips those without unfinished unmaps.
 */
#ifndef KVA_PORTS_LINUX_PAGES_UNMAPS_H
#define KVA_PORTS_LINUX_PAGES_UNMAPS_H

#include "pages_reservation.h"

enum unmap { UNMAP_DONE, UNMAP_PARTIAL, UNMAP_FAILED };

/** The bytes of the row of blocks. */
uint64_t kva_port_blocks_bytes(uint64_t pages);

/** Note that all pages of a run are partial, or failed, unmaps. UNMAP_DONE: they are neither, and not
 *  foreign. */
void kva_port_note_unmap(struct reservation *reservation, struct run run, enum unmap unmap);

/** The search of has_unfinished. */
bool kva_port_has_unfinished(const struct reservation *reservation, struct run run);

/** The first run of unfinished unmaps from a page on, all private or all for frames; empty if there is
 *  none. */
struct run kva_port_find_unfinished(struct reservation *reservation, uint64_t from);

static inline uint64_t count_unfinished(const struct reservation *reservation)
{
    return reservation->stats.failed_unmap_pages + reservation->partial_unmap_pages;
}

/** Whether a page of the run is an unfinished unmap. Usually no page is one, and this is one test. */
static inline bool has_unfinished(const struct reservation *reservation, struct run run)
{
    return count_unfinished(reservation) > 0 && kva_port_has_unfinished(reservation, run);
}

/** Note that pages are foreign. Until they are closed, they count as failed unmaps. */
void kva_port_note_foreign(struct reservation *reservation, struct run run);

/** The search of has_foreign_pages. */
bool kva_port_has_foreign(const struct reservation *reservation, struct run run);

static inline bool has_foreign_pages(const struct reservation *reservation, struct run run)
{
    return has_unfinished(reservation, run) && kva_port_has_foreign(reservation, run);
}

static inline void forget_unfinished(struct reservation *reservation, struct run run)
{
    if (has_unfinished(reservation, run))
        kva_port_note_unmap(reservation, run, UNMAP_DONE);
}

#endif
