/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Retiring areas, and the purge of idle ones. An area is idle if it is cached, parked, quarantined, or an
 *  ended map. */
#ifndef KVA_VMAP_VM_RETIRE_H
#define KVA_VMAP_VM_RETIRE_H

#include "vm_instance.h"

/** Retire an area that the caller owns exclusively: cache it, park it, or quarantine it. `by` is the return
 *  address of the free. The lock is not dropped, and nothing is purged: call kva_purge_excess once the lock
 *  may be dropped. */
void kva_retire_area(struct kva_vm *vm, struct kva_descriptor *area, const void *by);

/** Purge if the parked areas exceed a limit, and give back districts that became empty. The lock is dropped
 *  between slices. */
void kva_purge_excess(struct kva_vm *vm);

/** Purge all idle areas; returns whether there were any. The lock is dropped between slices. Areas that were
 *  idle at the call are closed at the return, by this thread or another. */
bool kva_purge_idle(struct kva_vm *vm);

/** kva_purge_idle() in one step: with the main lock and all CPUs' locks held, so nothing is idle when it
 *  ends. All other threads wait for it; call it only for what became idle during kva_purge_idle(). */
void kva_purge_frozen(struct kva_vm *vm);

/** Purge all parked areas and all ended maps. The lock is dropped between slices. */
void kva_purge_maps(struct kva_vm *vm);

/** Purge all parked areas. The lock is not dropped. */
void kva_purge_parked(struct kva_vm *vm);

/** Purge until no foreign area is parked. The lock is not dropped. */
void kva_purge_foreign(struct kva_vm *vm);

/** Whether anything is idle now, empty districts included, so that a purge would free addresses. */
bool kva_has_idle(const struct kva_vm *vm);

#endif
