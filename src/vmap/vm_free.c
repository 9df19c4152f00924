/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** kva_vfree, which pushes an area onto this CPU's bin without the main lock if it can; and
 *  kva_vm_usable_size. vm_area.h has the proof that both may look an area up under a CPU's lock. */
#include "vm_cache.h"
#include "vm_ready.h"
#include "vm_retire.h"

/** The slow path. An area that could not be claimed before may be live now: its resize has ended. */
static enum kva_status free_slowly(struct kva_vm *vm, struct kva_descriptor *area, uintptr_t address,
                                   const void *by)
{
    enum kva_status status = KVA_OK;

    main_take(&vm->locks);
    vm->claims_met += area != NULL;
    if (!area)
        area = claim_area(vm, address);
    if (area) {
        kva_retire_area(vm, area, by);
        kva_purge_excess(vm);
    } else {
        status = kva_why_not_live(vm, address, KVA_VM_VMALLOC);
    }
    status = finish(vm, status, "kva_vfree", address, NULL);
    main_drop(&vm->locks);
    return status;
}

enum kva_status kva_vfree(struct kva_vm *vm, void *memory)
{
    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return KVA_OK;
    free_ready_unlocked(vm, 0);
    struct kva_vm_cpu *cpu = cpu_here(&vm->locks);
    lock_take(&cpu->lock, vm->locks.threads);
    struct kva_descriptor *area = claim_area(vm, (uintptr_t)memory);
    bool is_cached =
        area && is_cacheable(vm, area) && cpu->cached.bytes + area_bytes(vm, area) <= vm->cache_share;
    if (is_cached) {
        cpu->frees++;
        cache_push(vm, cpu, area, CALLER());
    }
    cpu->claims += area && !is_cached;
    lock_drop(&cpu->lock, vm->locks.threads);
    return is_cached ? KVA_OK : free_slowly(vm, area, (uintptr_t)memory, CALLER());
}

/** Whether callers receive areas of a kind by their start. Of a per-CPU area they receive objects. */
static bool is_handed_out(unsigned kind)
{
    return kind == KVA_VM_VMALLOC || kind == KVA_VM_VMAP || kind == KVA_VM_RAM;
}

/** Whether a key is of a live area that starts at an address and that a caller received by its start. An area
 *  that is being resized or marked foreign counts as live. */
static bool is_key_usable(uintptr_t key, uintptr_t address)
{
    unsigned kind = (unsigned)(key >> KEY_KIND_SHIFT & KEY_STATE);

    return is_handed_out(kind) &&
           (key == key_of(address, kind, KVA_VM_LIVE) || key == key_of(address, kind, KVA_VM_RESIZING));
}

/** Whether two usable keys are of the same kind. */
static bool same_kind(uintptr_t a, uintptr_t b)
{
    return a >> KEY_KIND_SHIFT == b >> KEY_KIND_SHIFT;
}

/** The key is read again after the size, so that the size of another area, for which the descriptor was
 *  reused meanwhile, is not returned. The fence keeps that read after the read of the size. */
size_t kva_vm_usable_size(const struct kva_vm *vm, const void *memory)
{
    const uintptr_t address = (uintptr_t)memory;
    size_t bytes = 0;

    if (!vm)
        return 0;
    struct kva_vm_cpu *cpu = cpu_here(&vm->locks);
    lock_take(&cpu->lock, vm->locks.threads);
    const struct kva_descriptor *area = area_starting_at(vm, address);
    uintptr_t key = area ? atomic_load_explicit(&area->key, memory_order_acquire) : KVA_VM_GONE;
    if (area && is_key_usable(key, address)) {
        bytes = usable_bytes(vm, area);
        sync_point(vm->locks.threads);
        atomic_thread_fence(memory_order_acquire);
        uintptr_t now = area_key(area);
        bytes = is_key_usable(now, address) && same_kind(now, key) ? bytes : 0;
    }
    lock_drop(&cpu->lock, vm->locks.threads);
    return bytes;
}
