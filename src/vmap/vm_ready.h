/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Areas that wait for the end of a grace period, and areas whose grace period has ended. */
#ifndef KVA_VMAP_VM_READY_H
#define KVA_VMAP_VM_READY_H

#include "vm_instance.h"

/** Make a claimed area wait. `by` is the return address of the free. */
void kva_begin_wait(struct kva_vm *vm, struct kva_descriptor *area, const void *by);

/** Retire an area whose wait is over. */
void kva_end_wait(struct kva_vm *vm, struct kva_descriptor *area);

/** Retire the areas whose grace period has ended. The lock is dropped between slices of a purge. */
void kva_free_ready(struct kva_vm *vm);

/** A hint without the lock: kva_free_ready() takes the stack with acquire. */
static inline bool has_ready(struct kva_vm *vm)
{
    return atomic_load_explicit(&vm->ready, memory_order_relaxed) != NULL;
}

/** kva_free_ready() at the start of a call with these flags. A call that must not block skips it, because it
 *  may purge. */
static inline void free_ready_for(struct kva_vm *vm, unsigned flags)
{
    if (has_ready(vm) && !(flags & KVA_VM_NO_BLOCK))
        kva_free_ready(vm);
}

/** free_ready_for() without the lock held. */
static inline void free_ready_unlocked(struct kva_vm *vm, unsigned flags)
{
    if (!has_ready(vm) || (flags & KVA_VM_NO_BLOCK))
        return;
    main_take(&vm->locks);
    kva_free_ready(vm);
    main_drop(&vm->locks);
}

#endif
