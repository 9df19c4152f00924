/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Obtaining what is short: addresses, memory or mappings; and fresh areas, obtained that way. */
#ifndef KVA_VMAP_VM_OBTAIN_H
#define KVA_VMAP_VM_OBTAIN_H

#include "vm_area.h"

/** Attempt it; when that fails for want of something and the flags allow, purge, reclaim and attempt it
 *  again. The lock is dropped in between; from the last attempt on it is not. */
enum kva_status kva_obtain(struct kva_vm *vm, size_t size, unsigned flags, kva_attempt *attempt,
                           void *context);

/** Make an area as a spec wants it at addresses that are taken; a node was ensured. On failure they are still
 *  taken, and all else is as it was. */
enum kva_status kva_fill_area(struct kva_vm *vm, const struct kva_spec *spec, uint64_t start,
                              struct kva_descriptor **area);

/** Obtain a fresh area: addresses, and pages of its own or the frames that it shows, which were counted. */
enum kva_status kva_take_fresh(struct kva_vm *vm, const struct kva_spec *spec, struct kva_descriptor **area);

#endif
