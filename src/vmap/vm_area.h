/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Areas: lookup of descriptors, entry and removal of areas, closing of their pages.
 *
 *      address --space (O(log n))--> segment --its start, table (O(1))--> descriptor
 *      start of an area -----------------------table (O(1))-------------> descriptor
 *
 * LOOKUP WITHOUT THE MAIN LOCK. kva_vfree(p), under one CPU's lock, reads the table's entry for p and changes
 * the descriptor's key from "starts at p, vmalloc, live" to "starts at p, vmalloc, claimed" by one
 * compare-and-swap. This is correct because
 *   1. The store of an entry is a release, after the descriptor is complete; the load is an acquire. A thread
 *      that reads the entry sees the whole descriptor.
 *   2. Descriptors are type-stable: a dropped one can still be read, and its key matches no address until it
 *      is reused. kva_vm_purge returns their memory to the source with all CPUs' locks held, and a reader
 *      holds one.
 *   3. The key holds start, kind and state in one word. If the compare-and-swap succeeds, a live vmalloc area
 *      starts at p at that moment, even if the descriptor was reused after the entry was read.
 *   4. Of two frees of p, one succeeds. The other finds a key that is not live, or an empty entry.
 *   5. Pieces of the table are given back with all CPUs' locks held; an address without a piece reads as an
 *      empty entry.
 *   6. The thread that claimed an area owns it, and changes its other fields by plain stores. All other
 *      threads touch only areas that are live, cached in a bin whose lock they hold, or on the parked or the
 *      ended ring. Queries (find, report, check) read the other fields with all locks held, and a cached area
 *      changes hands only under a CPU's lock.
 *
 * COST        A claim: one entry, one descriptor. A lookup by an inner address: O(log n) in the space.
 */
#ifndef KVA_VMAP_VM_AREA_H
#define KVA_VMAP_VM_AREA_H

#include "poison.h"
#include "vm_place.h"
#include "vm_table.h"

/* ------------------------------------------------------------------------------------------------- lookup */

/** Claim the live vmalloc area that starts at an address: give it a state in which no other thread can claim
 *  it. NULL if there is none. Under a CPU's lock or the main lock. The entry is the one of the address' page;
 *  the comparison of the key fails unless the area starts at the address itself, given that KEY_BITS of the
 *  address are zero. */
static inline struct kva_descriptor *claim_area_as(struct kva_vm *vm, uintptr_t address, unsigned state)
{
    uintptr_t live = key_of(address, KVA_VM_VMALLOC, KVA_VM_LIVE);

    if (!is_in_reservation(vm, address) || (address & KEY_BITS) != 0)
        return NULL;
    struct kva_descriptor *area = slot_read(vm, address);
    if (!area || area_key(area) != live)
        return NULL;
    if (!vm->locks.threads || is_alone(vm->locks.threads)) {
        set_state(area, state);
        return area;
    }
    sync_point(vm->locks.threads);
    return atomic_compare_exchange_strong_explicit(&area->key, &live, key_of(address, KVA_VM_VMALLOC, state),
                                                   memory_order_acquire, memory_order_relaxed)
               ? area
               : NULL;
}

/** Claim an area to free it. */
static inline struct kva_descriptor *claim_area(struct kva_vm *vm, uintptr_t address)
{
    return claim_area_as(vm, address, KVA_VM_CLAIMED);
}

/** The live area of a kind other than vmalloc that starts at an address; else NULL, and *status is one of
 *  kva_vfree's. Such areas change under the main lock only. */
struct kva_descriptor *kva_live_area(const struct kva_vm *vm, const void *memory, enum kva_vm_kind kind,
                                     enum kva_status *status);

/** Why no area of a kind that starts at an address could be claimed. */
enum kva_status kva_why_not_live(const struct kva_vm *vm, uintptr_t address, enum kva_vm_kind kind);

/** The area whose segment holds an address; NULL if the address is free or outside the reservation. */
struct kva_descriptor *kva_lookup_area(const struct kva_vm *vm, uintptr_t address);

/** The first area that starts at or after an address; NULL if there is none. */
struct kva_descriptor *kva_lookup_area_from(const struct kva_vm *vm, uint64_t address);

/** The area after one; NULL if that is the last. */
static inline struct kva_descriptor *area_after(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    return kva_lookup_area_from(vm, start_of(area) + (uint64_t)segment_bytes(vm, area));
}

/** The bytes of an area that its owner may use: with poisoning, only those requested. */
static inline size_t usable_bytes(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    return KVA_POISONS ? area->size : area_bytes(vm, area);
}

/* -------------------------------------------------------------------------------------- entry and removal */

/** Whether areas of a kind count as allocations and frees. Short-lived maps have counts of their own. */
static inline bool is_counted(unsigned kind)
{
    return kind != KVA_VM_RAM;
}

/** The flags of a request that an area keeps: all but KVA_VM_NO_BLOCK. */
static inline uint8_t flags_of_area(unsigned flags)
{
    return (uint8_t)(flags & ~(unsigned)KVA_VM_NO_BLOCK);
}

/** Enter an area at addresses that are taken and open. A node was ensured, and the tables are ready. */
struct kva_descriptor *kva_enter_area(struct kva_vm *vm, const struct kva_spec *spec, uint64_t start);

/** Close or unmap a range of either part. `foreign`: its owner changed how it is mapped. */
void kva_close_range(struct kva_vm *vm, uint64_t start, uint64_t bytes, bool foreign);

/** Remove an area whose pages are closed: its segment, its table entries, its descriptor. */
void kva_forget_area(struct kva_vm *vm, struct kva_descriptor *area);

/** Undo kva_enter_area for an area that no caller received: close its pages and forget it. */
void kva_drop_area(struct kva_vm *vm, struct kva_descriptor *area);

#endif
