/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Retired areas: parked until a purge closes them; in a hardened instance, closed at once and then
 * quarantined. The most recently purged areas are remembered for kva_vm_fault_describe.
 */
#ifndef KVA_VMAP_VM_PARK_H
#define KVA_VMAP_VM_PARK_H

#include "vm_area.h"

#include <kva/vmap.h>

/** Parked pages of short-lived maps at which a purge starts: as many as one page table maps. Adjacent maps
 *  then take one call, or two. */
enum { KVA_VM_PARKED_RAM = 512 };

/** Whether a map is a short-lived one that stays mapped when it ends, to be found again. Such maps have no
 *  guard page, so that maps made in a row are adjacent. */
static inline bool is_short_map(const struct kva_vm *vm, unsigned kind, size_t pages)
{
    return kind == KVA_VM_RAM && pages <= KVA_MAP_RAM_MOST && !vm->hardened;
}

/** Park an area for the next purge. Nothing is purged here. */
void kva_park_area(struct kva_vm *vm, struct kva_descriptor *area);

/** Whether the parked areas, or the short-lived maps among them, are at their limit. */
bool kva_is_excess_parked(const struct kva_vm *vm);

/** Purge one slice of the areas whose tickets are below `ticket`; false if none is left. The lock is not
 *  dropped. */
bool kva_purge_some(struct kva_vm *vm, uintptr_t ticket);

/** Hardened: unmap an area now. Its addresses leave the quarantine when as many bytes as the limit have been
 *  freed after it. */
void kva_quarantine_area(struct kva_vm *vm, struct kva_descriptor *area);

/** Free the addresses of the area that was quarantined first. */
void kva_leave_quarantine(struct kva_vm *vm);

/** V2: NULL, or how it is broken. `parked` is the count of a walk over all areas. */
const char *kva_check_parked(const struct kva_vm *vm, const struct kva_count *parked);

#endif
