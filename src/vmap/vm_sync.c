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

/** Every free that was claimed had its area cached under the CPU's lock, or has come to the instance's: else it waits for it. */
static bool has_claims(const struct kva_vm *vm)
{
    uint64_t claims = 0;

    for (unsigned i = 0; i < vm->cpu_count; i++)
        claims += vm->cpu[i].claims;
    return claims != vm->claims_met;
}

/** An area whose size was being changed is as it was before; one that was about to be freed is freed. */
static void settle_areas(struct kva_vm *vm)
{
    struct kva_segment segment;

    for (enum kva_status status = kva_first(vm->space, &segment); status == KVA_OK;
         status = kva_next(vm->space, &segment)) {
        struct kva_descriptor *area =
            segment.state != KVA_FREE ? slot_read(vm, (uintptr_t)segment.start) : NULL;
        if (area && state_of(area) == KVA_VM_RESIZING)
            set_state(area, KVA_VM_LIVE);
        else if (area && state_of(area) == KVA_VM_CLAIMED)
            kva_retire_area(vm, area, NULL);
    }
    vm->resizing = 0;
    for (unsigned i = 0; i < vm->cpu_count; i++)
        vm->cpu[i].claims = 0;
    vm->claims_met = 0;
}

/** Undo or finish what other threads had begun. Whenever the lock is free, a call has done either nothing that others see but to
 *  count itself, or all of it; and between two slices of a purge everything is whole. */
static void settle_calls(struct kva_vm *vm)
{
    vm->purgers = 0;
    kva_congruent_forget_plans(vm);
    kva_pcpu_forget_growing(vm);
    kva_frames_forget_pending(vm);
    if (vm->resizing > 0 || has_claims(vm))
        settle_areas(vm);
}

enum kva_status kva_vm_fork_child(struct kva_vm *vm)
{
    if (!vm)
        return KVA_ENULL;
    for (unsigned i = 0; i < vm->cpu_count; i++)
        lock_reset(&vm->cpu[i].lock);
    lock_reset(&vm->lock);
    lock_reset(&vm->reclaim_lock);
    settle_calls(vm);
    atomic_store_explicit(&vm->lookers, 0, memory_order_relaxed);
    return KVA_OK;
}
