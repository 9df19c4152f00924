/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Debts: pages that are closed, but not for good, since the kernel has refused a part of that.
 *
 *      OWED    it faults, and its mapping is yet to be replaced
 *      WEAK    it may not fault
 *
 * STRANGE pages are closed like others, and their owner may have changed how they are mapped. So neither
 * markers nor a protection end the debt: only a fresh mapping does, before they are opened again.
 *
 * A debt is a bit in a row; the page still counts as open. pages_close.c makes debts, pages_retry.c pays
 * them. A second row has a bit for each BLOCK of pages, so that a search for debts steps over all that has
 * none.
 */
#ifndef KVA_PORTS_LINUX_PAGES_UNMAPS_H
#define KVA_PORTS_LINUX_PAGES_UNMAPS_H

#include "pages_reservation.h"

enum unmap { UNMAP_DONE, UNMAP_PARTIAL, UNMAP_FAILED };

/** The bytes of the blocks' row. */
uint64_t kva_port_blocks_bytes(uint64_t pages);

/** Note how each page of a run is closed; UNMAP_DONE: for good, or it is open. */
void kva_port_note_unmap(struct reservation *reservation, struct run run, enum unmap unmap);

/** Where there are debts: whether a page of the run has one. */
bool kva_port_has_unfinished(const struct reservation *reservation, struct run run);

/** The first run of pages with debts, from a page on, in one part; an empty one if there is none. */
struct run kva_port_find_unfinished(struct reservation *reservation, uint64_t from);

static inline uint64_t count_unfinished(const struct reservation *reservation)
{
    return reservation->stats.failed_unmap_pages + reservation->partial_unmap_pages;
}

/** Whether a page of the run has a debt. Hardly ever is there any such page. */
static inline bool has_unfinished(const struct reservation *reservation, struct run run)
{
    return count_unfinished(reservation) > 0 && kva_port_has_unfinished(reservation, run);
}

/** Note that pages are strange, and open as yet. */
void kva_port_note_foreign(struct reservation *reservation, struct run run);

/** Where there are debts: whether a page of the run is strange. */
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
