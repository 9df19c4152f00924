/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Paying debts: see pages_settle.c. */
#ifndef KVA_PORTS_LINUX_PAGES_SETTLE_H
#define KVA_PORTS_LINUX_PAGES_SETTLE_H

#include "pages_debts.h"

/** Pay a few debts, some microseconds for them; put the spare up; make one mapping of a stretch that is
 *  shut. */
void kva_port_pay(struct stretch *stretch);

/** A part of every call. */
static inline void pay_some(struct stretch *stretch)
{
    if (count_debts(stretch) > 0 || stretch->merges_less || !stretch->spare.is_up)
        kva_port_pay(stretch);
}

/** kva_pages.settle: pay all that can be paid. */
void kva_port_settle(void *context, void *handle);

#endif
