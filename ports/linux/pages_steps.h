/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The steps that a run of pages can take, each with what is noted of it: see pages_steps.c. */
#ifndef KVA_PORTS_LINUX_PAGES_STEPS_H
#define KVA_PORTS_LINUX_PAGES_STEPS_H

#include "pages_reservation.h"

/* Each returns whether the kernel has allowed it. `now`: the ends of mappings in the run (pages_count.h). */

/** Replace a run, with whatever is in it, by a shut one. */
bool kva_port_force_inaccessible(struct reservation *reservation, struct run run, uint64_t now);

/** The same, if there is room for what it makes of the mappings. */
bool kva_port_make_inaccessible(struct reservation *reservation, struct run run, uint64_t now);

/** Replace an open run by a fresh open one, if there is room for it. */
bool kva_port_renew(struct reservation *reservation, struct run run, uint64_t *calls);

/** Before markers are put on an open private run: see to it that they close it. */
bool kva_port_make_markable(struct reservation *reservation, struct run run, uint64_t *calls);

/** Put markers on an open private run. */
bool kva_port_mark(struct reservation *reservation, struct run run);

/** Drop what is in an open run; its pages can still be touched. */
bool kva_port_discard(struct reservation *reservation, struct run run, uint64_t *calls);

/** Let a run fault by its protection, and owe the rest. */
bool kva_port_deny(struct reservation *reservation, struct run run);

/** Let a run be touched again that was closed by other means than markers. */
bool kva_port_permit(struct reservation *reservation, struct run run, uint64_t *calls);

/** Drop what the run holds, if that can be, and note it as weak. */
void kva_port_leave_mapped(struct reservation *reservation, struct run run);

#endif
