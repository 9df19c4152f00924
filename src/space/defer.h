/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Deferred free and flush: what the rooms above need; defer.c has the theory. With the space's lock, which
 *  is not held all the time. */
#ifndef KVA_SPACE_DEFER_H
#define KVA_SPACE_DEFER_H

#include "pool.h"

/** Nothing is deferred yet. */
void kva_defer_init(struct kva_space *space, const struct kva_config *config);

/** Until all that is deferred now is free: flush it, or help or wait for the thread that does. True if
 *  anything was deferred. */
bool kva_flush_all(struct kva_space *space);

/** One step of the flush under way; if there is none, the first step of the next. */
void kva_flush_step(struct kva_space *space);

#endif
