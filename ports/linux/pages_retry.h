/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Paying debts: see pages_retry.c. */
#ifndef KVA_PORTS_LINUX_PAGES_RETRY_H
#define KVA_PORTS_LINUX_PAGES_RETRY_H

#include "pages_unmaps.h"

/** Pay a few debts, some microseconds for them; put the spare up; make one mapping of a reservation that is
 *  shut. */
void kva_port_retry_few(struct reservation *reservation);

/** A part of every call. */
static inline void retry_some(struct reservation *reservation)
{
    if (count_unfinished(reservation) > 0 || reservation->merges_less || !reservation->spare.is_up)
        kva_port_retry_few(reservation);
}

/** kva_pages.retry_unmaps: pay all that can be paid. */
void kva_port_retry_unmaps(void *context, void *handle);

#endif
