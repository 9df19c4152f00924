/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Forks. All locks are held across a fork, and the child undoes what other threads had started.
 *
 * No foreign area is parked across a fork. Where its owner kept its pages from children, the child has a hole
 * there, in which the system may place anything that the child maps; a purge would map over that. So parked
 * foreign areas are purged before the fork. One that a thread was about to free is purged in the child,
 * before the child maps anything. Maps of movable frames are such holes too: if there is a movable set, all
 * parked areas are purged.
 */
#include "vm_cache.h"
#include "vm_congruent.h"
#include "vm_mapped.h"
#include "vm_move.h"
#include "vm_pcpu.h"
#include "vm_retire.h"

static bool has_movable(const struct kva_vm *vm)
{
    const struct kva_vm_frames *frames = vm->frame_sets;

    while (frames && !frames->movable)
        frames = frames->next;
    return frames;
}

enum kva_status kva_vm_fork_prepare(struct kva_vm *vm)
{
    if (!vm)
        return KVA_ENULL;
    if (lock_unless_reclaiming(vm, __func__) != KVA_OK)
        return KVA_EREENTRY;
    (void)kva_reclaim_take(&vm->locks);
    if (has_movable(vm))
        kva_purge_parked(vm);
    kva_purge_foreign(vm);
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

/** The claims under CPUs' locks that could not be cached. */
static uint64_t count_claims(const struct kva_vm *vm)
{
    uint64_t claims = 0;

    for (unsigned i = 0; i < vm->locks.cpu_count; i++) {
        const struct kva_vm_cpu *cpu = cpu_record(&vm->locks, i);
        claims += cpu->claims;
    }
    return claims;
}

static void forget_claims(struct kva_vm *vm)
{
    for (unsigned i = 0; i < vm->locks.cpu_count; i++) {
        struct kva_vm_cpu *cpu = cpu_record(&vm->locks, i);
        cpu->claims = 0;
    }
    vm->claims_met = 0;
}

/** An area that was being resized is unchanged, so it is live again; one that was about to be freed is
 *  freed. */
static void finish_areas(struct kva_vm *vm)
{
    struct kva_descriptor *area;

    for (uint64_t at = vm->first; (area = kva_lookup_area_from(vm, at));) {
        at = start_of(area) + (uint64_t)segment_bytes(vm, area);
        if (state_of(area) == KVA_VM_RESIZING)
            set_state(area, KVA_VM_LIVE);
        else if (state_of(area) == KVA_VM_CLAIMED)
            kva_retire_area(vm, area, NULL);
    }
    kva_purge_foreign(vm);
    vm->resizing = 0;
    forget_claims(vm);
}

/** Undo or finish the calls of other threads. Whenever the lock is free, a call has either changed nothing
 *  that others see except its own counts, or has done everything; between two slices of a purge all
 *  invariants hold. */
static void finish_calls(struct kva_vm *vm)
{
    vm->parked.purgers = 0;
    kva_forget_plans(vm);
    kva_pcpu_forget_growing(vm);
    kva_forget_pending(vm);
    kva_lose_movable(vm);
    /* A free that claimed its area under a CPU's lock has either cached it there, or counted itself in
       claims_met under the main lock, or still waits for that lock. */
    if (vm->resizing > 0 || count_claims(vm) != vm->claims_met)
        finish_areas(vm);
}

enum kva_status kva_vm_fork_child(struct kva_vm *vm)
{
    if (!vm)
        return KVA_ENULL;
    kva_locks_reset(&vm->locks);
    finish_calls(vm);
    atomic_store_explicit(&vm->lookers, 0, memory_order_relaxed);
    return KVA_OK;
}
