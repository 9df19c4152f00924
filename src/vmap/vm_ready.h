/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Areas that wait for the end of a grace period, and those whose grace period is over. */
#ifndef KVA_VMAP_VM_READY_H
#define KVA_VMAP_VM_READY_H

#include "vm_instance.h"

/** Let a claimed area wait. `by` is the return address of the free. */
void kva_begin_wait(struct kva_vm *vm, struct kva_descriptor *area, const void *by);

/** The wait is over: retire the area. */
void kva_end_wait(struct kva_vm *vm, struct kva_descriptor *area);

/** Retire the areas whose grace period is over. The lock is dropped in between. */
void kva_free_ready(struct kva_vm *vm);

static inline bool has_ready(struct kva_vm *vm)
{
    return atomic_load_explicit(&vm->ready, memory_order_relaxed) != NULL;
}

/** The same on the way into a call with these flags. A call that must not block must not purge, which a free
 *  may come to. */
static inline void free_ready_for(struct kva_vm *vm, unsigned flags)
{
    if (has_ready(vm) && !(flags & KVA_VM_NO_BLOCK))
        kva_free_ready(vm);
}

/** The same, without the lock. */
static inline void free_ready_unlocked(struct kva_vm *vm, unsigned flags)
{
    if (!has_ready(vm) || (flags & KVA_VM_NO_BLOCK))
        return;
    main_take(&vm->locks);
    kva_free_ready(vm);
    main_drop(&vm->locks);
}

#endif
