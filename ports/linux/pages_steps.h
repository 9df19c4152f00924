/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The steps that a run of pages can take, each with its bookkeeping: see pages_steps.c. */
#ifndef KVA_PORTS_LINUX_PAGES_STEPS_H
#define KVA_PORTS_LINUX_PAGES_STEPS_H

#include "pages_reservation.h"

/* Each returns whether the kernel allowed it. `now`: the ends of mappings in the run (pages_count.h). */

/** Replace a run, with anything in it, by an inaccessible mapping, whatever the budget. */
bool kva_port_force_inaccessible(struct reservation *reservation, struct run run, uint64_t now);

/** The same, if there is room for the mappings that it makes. */
bool kva_port_make_inaccessible(struct reservation *reservation, struct run run, uint64_t now);

/** Replace an accessible run by a fresh accessible one, if there is room for it. */
bool kva_port_renew(struct reservation *reservation, struct run run, uint64_t *calls);

/** Prepare an accessible private run for markers, so that they close it. */
bool kva_port_make_markable(struct reservation *reservation, struct run run, uint64_t *calls);

/** Put markers on an accessible private run. */
bool kva_port_mark(struct reservation *reservation, struct run run);

/** Discard an accessible run; its pages can still be touched. */
bool kva_port_discard(struct reservation *reservation, struct run run, uint64_t *calls);

/** Make a run fault by its protection; its pages become partial unmaps. */
bool kva_port_deny(struct reservation *reservation, struct run run);

/** Make a run that was closed without markers readable and writable again. */
bool kva_port_permit(struct reservation *reservation, struct run run, uint64_t *calls);

/** Discard a run, if possible; its pages become failed unmaps. */
void kva_port_leave_mapped(struct reservation *reservation, struct run run);

#endif
