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
#ifndef KVA_PORTS_LINUX_PAGES_DEBTS_H
#define KVA_PORTS_LINUX_PAGES_DEBTS_H

#include "pages_reservation.h"

enum debt { NO_DEBT, OWED, WEAK };

/** The bytes of the blocks' row. */
uint64_t kva_port_blocks_bytes(uint64_t pages);

/** Note how each page of a run is closed; NO_DEBT: for good, or it is open. */
void kva_port_note_debt(struct reservation *reservation, struct run run, enum debt debt);

/** Where there are debts: whether a page of the run has one. */
bool kva_port_is_among_debts(const struct reservation *reservation, struct run run);

/** The first run of pages with debts, from a page on, in one part; an empty one if there is none. */
struct run kva_port_find_debt(struct reservation *reservation, uint64_t from);

static inline uint64_t count_debts(const struct reservation *reservation)
{
    return reservation->stats.failed_unmap_pages + reservation->owed_count;
}

/** Whether a page of the run has a debt. Hardly ever is there any such page. */
static inline bool is_in_debt(const struct reservation *reservation, struct run run)
{
    return count_debts(reservation) > 0 && kva_port_is_among_debts(reservation, run);
}

/** Note that pages are strange, and open as yet. */
void kva_port_note_strange(struct reservation *reservation, struct run run);

/** Where there are debts: whether a page of the run is strange. */
bool kva_port_has_strange(const struct reservation *reservation, struct run run);

static inline bool is_strange(const struct reservation *reservation, struct run run)
{
    return is_in_debt(reservation, run) && kva_port_has_strange(reservation, run);
}

static inline void forget_debt(struct reservation *reservation, struct run run)
{
    if (is_in_debt(reservation, run))
        kva_port_note_debt(reservation, run, NO_DEBT);
}

#endif
