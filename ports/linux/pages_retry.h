/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Retrying unfinished unmaps: see pages_retry.c. */
#ifndef KVA_PORTS_LINUX_PAGES_RETRY_H
#define KVA_PORTS_LINUX_PAGES_RETRY_H

#include "pages_unmaps.h"

/** Retry a few unfinished unmaps, in some microseconds; put the spare up; replace an inaccessible
 *  reservation by one mapping. */
void kva_port_retry_few(struct reservation *reservation);

/** The same, if there is anything to do: a part of most calls. */
static inline void retry_some(struct reservation *reservation)
{
    if (count_unfinished(reservation) > 0 || reservation->merges_less || !reservation->spare.is_up)
        kva_port_retry_few(reservation);
}

/** kva_pages.retry_unmaps: retry all unfinished unmaps. */
void kva_port_retry_unmaps(void *context, void *handle);

#endif
