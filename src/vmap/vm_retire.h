/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Giving areas up, and the purge of all that is idle: cached, parked, in quarantine, or a map that has
 *  ended. */
#ifndef KVA_VMAP_VM_RETIRE_H
#define KVA_VMAP_VM_RETIRE_H

#include "vm_instance.h"

/** Give an area up that nobody else can claim: to the cache, to be parked, or into quarantine. `by` is the
 *  return address of the free. The lock is not dropped, and so nothing is purged: call kva_purge_excess when
 *  the lock may be dropped. */
void kva_retire_area(struct kva_vm *vm, struct kva_descriptor *area, const void *by);

/** Purge if more is parked than a limit, and give back districts that are empty now. The lock is dropped
 *  between slices. */
void kva_purge_excess(struct kva_vm *vm);

/** Purge all that is idle; returns whether there was any. The lock is dropped between slices; what was idle
 *  when this was called is gone when it returns, whichever thread has closed it. */
bool kva_purge_idle(struct kva_vm *vm);

/** The same in one step: the lock is not dropped, and those of all CPUs are held. So at the moment at which
 *  it has ended, nothing is idle. It keeps all other threads waiting: only for what has become idle while
 *  kva_purge_idle was at work. */
void kva_purge_frozen(struct kva_vm *vm);

/** Purge all that is parked, with all maps that have ended. The lock is dropped between slices. */
void kva_purge_maps(struct kva_vm *vm);

/** Purge all that is parked. The lock is not dropped. */
void kva_purge_parked(struct kva_vm *vm);

/** Purge until no foreign area is parked. The lock is not dropped. */
void kva_purge_foreign(struct kva_vm *vm);

/** Whether anything is idle at this moment, so that a purge would give it back. */
bool kva_has_idle(const struct kva_vm *vm);

#endif
