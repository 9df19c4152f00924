/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Unfinished unmaps: pages that are closed, but not for good, because the kernel refused a part of that. They
 * are closed again later (pages_retry.c).
 *
 *      partial   a touch faults, but the old mapping is yet to be replaced
 *      failed    a touch may not fault
 *
 * Closes that are refused leave them (pages_steps.c), and so do areas that are joined (pages_join.c).
 *
 * FOREIGN pages are closed like others, but their owner may have changed how they are mapped. Neither markers
 * nor a protection finish their unmap: only a fresh mapping does, before they are opened again.
 *
 * A page's unmap is a bit in a row; the page still counts as accessible. A second row has a bit for each
 * BLOCK of pages, so that a search skips blocks in which all unmaps are finished.
 */
#ifndef KVA_PORTS_LINUX_PAGES_UNMAPS_H
#define KVA_PORTS_LINUX_PAGES_UNMAPS_H

#include "pages_reservation.h"

enum unmap { UNMAP_DONE, UNMAP_PARTIAL, UNMAP_FAILED };

/** The bytes of the row of blocks. */
uint64_t kva_port_blocks_bytes(uint64_t pages);

/** Note how far the unmap of a run is. UNMAP_DONE: the run is closed for good, or open. */
void kva_port_note_unmap(struct reservation *reservation, struct run run, enum unmap unmap);

/** The search of has_unfinished. */
bool kva_port_has_unfinished(const struct reservation *reservation, struct run run);

/** The first run of pages with unfinished unmaps from a page on, all private or all for frames; empty if
 *  there is none. */
struct run kva_port_find_unfinished(struct reservation *reservation, uint64_t from);

static inline uint64_t count_unfinished(const struct reservation *reservation)
{
    return reservation->stats.failed_unmap_pages + reservation->partial_unmap_pages;
}

/** Whether a page of the run has an unfinished unmap. Usually no page has one, and this is one test. */
static inline bool has_unfinished(const struct reservation *reservation, struct run run)
{
    return count_unfinished(reservation) > 0 && kva_port_has_unfinished(reservation, run);
}

/** Note that pages are foreign. They are not closed yet, which counts as a failed unmap. */
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
