/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Deferred free and flush, for the files above; defer.c has the theory. The last two functions require the
 *  space's lock, and may drop it and take it again. */
#ifndef KVA_SPACE_DEFER_H
#define KVA_SPACE_DEFER_H

#include "pool.h"

/** Initialise, with nothing deferred. */
void kva_defer_init(struct kva_space *space, const struct kva_config *config);

/** Free everything that is deferred now: flush, or help or wait for the thread that does. Returns whether
 *  anything was deferred. */
bool kva_flush_all(struct kva_space *space);

/** One step of the flush under way; if there is none, the first step of the next one. */
void kva_flush_step(struct kva_space *space);

#endif
