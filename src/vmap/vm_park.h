/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Areas that were given up: parked until a purge closes them, or, in a hardened instance, closed at once and
 * in quarantine. Those that were purged last are remembered, for the sentence about a fault.
 */
#ifndef KVA_VMAP_VM_PARK_H
#define KVA_VMAP_VM_PARK_H

#include "vm_area.h"

#include <kva/vmap.h>

/** When so many pages of short-lived maps are parked, they are purged: as many as one page table maps. If
 *  they are neighbours, that is one call, or two. */
enum { KVA_VM_PARKED_RAM = 512 };

/** Whether maps of a kind and so many pages are short-lived ones that stay mapped when they end, to be found
 *  again. They have no guard page: those that are mapped one after the other lie side by side. */
static inline bool is_short_map(const struct kva_vm *vm, unsigned kind, size_t pages)
{
    return kind == KVA_VM_RAM && pages <= KVA_MAP_RAM_MOST && !vm->hardened;
}

/** Let an area wait for the next purge. Nothing is purged. */
void kva_park_area(struct kva_vm *vm, struct kva_descriptor *area);

/** Whether more is parked than a limit. Short-lived maps have one of their own. */
bool kva_is_excess_parked(const struct kva_vm *vm);

/** Purge one slice of what was parked before the ticket, the next that was then to be given out; false if all
 *  of it is gone. The lock is not dropped. */
bool kva_purge_some(struct kva_vm *vm, uintptr_t ticket);

/** Hardened: unmap an area now, and keep its addresses out of use until as many bytes as the limit were freed
 *  after it. */
void kva_quarantine_area(struct kva_vm *vm, struct kva_descriptor *area);

/** End the quarantine of the area that came first. */
void kva_leave_quarantine(struct kva_vm *vm);

/** V2: NULL, or how it is broken. `parked` is what a walk over all areas has found. */
const char *kva_check_parked(const struct kva_vm *vm, const struct kva_count *parked);

#endif
