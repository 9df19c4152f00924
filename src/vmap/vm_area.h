/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Areas: from an address to the descriptor; entering and forgetting one; closing its pages.
 *
 *      address --space (O(log n))--> segment --its start, table (O(1))--> descriptor
 *      start of an area -----------------------table (O(1))-------------> descriptor
 *
 * A FREE LOOKS WITHOUT THE INSTANCE'S LOCK. kva_vfree(p) reads the table's entry for p, and changes the
 * descriptor's key from "starts at p, vmalloc, live" to "starts at p, vmalloc, claimed" in one atomic step.
 * That is right because
 *   1. An entry is set, with release, when the descriptor is whole; a thread that reads it with acquire sees
 *      all of it.
 *   2. Descriptors are type-stable: one that was dropped may be read, and its key matches no address until it
 *      is used again. Its memory goes back to the system only with all CPUs' locks held (kva_vm_purge), and
 *      readers hold one.
 *   3. The key holds the start, the kind and the state in one word. So where the step succeeds, a live
 *      vmalloc area starts at p at that moment, whatever has become of the descriptor since the entry was
 *      read.
 *   4. Of two frees of p, one makes the step; the other finds a key that is not live, or an entry that is
 *      empty.
 *   5. A piece of the table is given back only with all CPUs' locks held, too; where there is none, the entry
 *      is empty.
 *   6. The thread that has claimed an area has it alone: all others touch only what is live, cached in their
 *      bin, or on the ring of parked or of ended ones. Its other fields change without more ado. Calls that
 *      look (find, report, check) read them only with all locks held, and a cached area can change hands only
 *      under a CPU's.
 */
#ifndef KVA_VMAP_VM_AREA_H
#define KVA_VMAP_VM_AREA_H

#include "poison.h"
#include "vm_place.h"
#include "vm_table.h"

/* -------------------------------------------------------------------------------------- an area's finding */

/** Claim the live vmalloc area that starts at an address, and give it a state in which nobody else can claim
 *  it; NULL if there is none. With a CPU's lock or the instance's held. The entry is that of the address'
 *  page; the key says whether the area starts just there, as long as the bits for kind and state are the
 *  address' own. */
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

/** The same for a free. */
static inline struct kva_descriptor *claim_area(struct kva_vm *vm, uintptr_t address)
{
    return claim_area_as(vm, address, KVA_VM_CLAIMED);
}

/** The live area of a kind other than vmalloc that starts at an address; else NULL, and *status says why: one
 *  of kva_vfree's. Such areas change under the instance's lock alone. */
struct kva_descriptor *kva_live_area(const struct kva_vm *vm, const void *memory, enum kva_vm_kind kind,
                                     enum kva_status *status);

/** Why an area of a kind that starts at an address cannot be claimed. */
enum kva_status kva_why_not_live(const struct kva_vm *vm, uintptr_t address, enum kva_vm_kind kind);

/** The area whose segment holds an address; NULL if that is free or outside. */
struct kva_descriptor *kva_area_around(const struct kva_vm *vm, uintptr_t address);

/** The first area that starts at or after an address; NULL if there is none. */
struct kva_descriptor *kva_area_from(const struct kva_vm *vm, uint64_t address);

/** The area after one; NULL if that is the last. */
static inline struct kva_descriptor *area_after(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    return kva_area_from(vm, start_of(area) + (uint64_t)segment_bytes(vm, area));
}

/** The bytes of an area that its owner may use. */
static inline size_t usable_bytes(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    return KVA_POISONS ? area->size : area_bytes(vm, area);
}

/* ----------------------------------------------------------------------------------- its coming and going */

/** Whether areas of a kind count among the allocations and frees: short-lived maps do not. */
static inline bool is_counted(unsigned kind)
{
    return kind != KVA_VM_RAM;
}

/** Flags are the area's, but for the one that says how to look for it. */
static inline uint8_t flags_of_area(unsigned flags)
{
    return (uint8_t)(flags & ~(unsigned)KVA_VM_NO_BLOCK);
}

/** Enter an area whose addresses are taken and whose pages are open; a node was ensured, and the tables are
 *  ready. */
struct kva_descriptor *kva_enter_area(struct kva_vm *vm, const struct kva_spec *spec, uint64_t start);

/** Unmap what is in a segment of either part. `foreign`: an owner has changed how it is mapped. */
void kva_close_range(struct kva_vm *vm, uint64_t start, uint64_t bytes, bool foreign);

/** Drop an area whose pages are closed: its segment, its entries in the tables, its descriptor. */
void kva_forget_area(struct kva_vm *vm, struct kva_descriptor *area);

/** Undo what was done for an area that is not to be: its pages are closed, and it is forgotten. */
void kva_drop_area(struct kva_vm *vm, struct kva_descriptor *area);

#endif
