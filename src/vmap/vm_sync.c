/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Forks: all locks are held across one, and the child undoes what other threads had begun. */
#include "vm.h"

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
    (void)kva_reclaim_take(&vm->locks);
    kva_cpus_take(&vm->locks);
    return KVA_OK;
}

enum kva_status kva_vm_fork_parent(struct kva_vm *vm)
{
    if (!vm)
        return KVA_ENULL;
    kva_locks_thaw(&vm->locks);
    reclaim_drop(&vm->locks);
    return KVA_OK;
}

/** Every free that was claimed had its area cached under the CPU's lock, or has come to the instance's: else it waits for it. */
static bool has_claims(const struct kva_vm *vm)
{
    uint64_t claims = 0;

    for (unsigned i = 0; i < vm->locks.cpu_count; i++)
        claims += vm_cpu(vm, i)->claims;
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
    for (unsigned i = 0; i < vm->locks.cpu_count; i++)
        vm_cpu(vm, i)->claims = 0;
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
    kva_locks_reset(&vm->locks);
    settle_calls(vm);
    atomic_store_explicit(&vm->lookers, 0, memory_order_relaxed);
    return KVA_OK;
}
