/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** All locks at once: to look at an instance that stands still, and to fork. Their order is in vm.h. */
#include "vm.h"

void kva_vm_stop_cpus(const struct kva_vm *vm)
{
    for (unsigned i = 0; i < vm->cpu_count; i++)
        lock_take(&vm->cpu[i].lock, vm->threads);
}

void kva_vm_start_cpus(const struct kva_vm *vm)
{
    for (unsigned i = vm->cpu_count; i-- > 0;)
        lock_drop(&vm->cpu[i].lock, vm->threads);
}

void kva_vm_freeze(const struct kva_vm *vm)
{
    vm_enter(vm);
    kva_vm_stop_cpus(vm);
}

void kva_vm_thaw(const struct kva_vm *vm)
{
    kva_vm_start_cpus(vm);
    vm_leave(vm);
}

/* -------------------------------------------------------------------------------------------------- forks */

enum kva_status kva_vm_fork_prepare(struct kva_vm *vm)
{
    if (!vm)
        return KVA_ENULL;
    vm_enter(vm);
    if (is_reclaiming(vm)) {
        (void)refuse(vm, KVA_EREENTRY, __func__, 0);
        vm_leave(vm);
        return KVA_EREENTRY;
    }
    vm_leave(vm);
    lock_reclaim(vm);
    kva_vm_freeze(vm);
    return KVA_OK;
}

enum kva_status kva_vm_fork_parent(struct kva_vm *vm)
{
    if (!vm)
        return KVA_ENULL;
    kva_vm_thaw(vm);
    unlock_reclaim(vm);
    return KVA_OK;
}

/** Between two slices of a purge everything is whole, so what another thread had begun the child can go on with. */
enum kva_status kva_vm_fork_child(struct kva_vm *vm)
{
    if (!vm)
        return KVA_ENULL;
    for (unsigned i = 0; i < vm->cpu_count; i++)
        lock_reset(&vm->cpu[i].lock);
    lock_reset(&vm->lock);
    lock_reset(&vm->reclaim_lock);
    vm->purgers = 0;
    return KVA_OK;
}
