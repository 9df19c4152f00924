/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Retries for addresses, memory and mappings that are short; and fresh areas. */
#ifndef KVA_VMAP_VM_OBTAIN_H
#define KVA_VMAP_VM_OBTAIN_H

#include "vm_area.h"

/** Call `attempt`. On a shortage, if the flags allow: purge, call reclaim callbacks, and attempt again. The
 *  lock is dropped in between, but not after the last attempt. */
enum kva_status kva_obtain(struct kva_vm *vm, size_t size, unsigned flags, kva_attempt *attempt,
                           void *context);

/** Open the pages or map the frames of a spec at addresses that are taken, and enter the area; a node was
 *  ensured. On failure the addresses stay taken, and all else is unchanged. */
enum kva_status kva_fill_area(struct kva_vm *vm, const struct kva_spec *spec, uint64_t start,
                              struct kva_descriptor **area);

/** Make a fresh area: its addresses, and pages of its own or maps of its frames, which were counted. */
enum kva_status kva_take_fresh(struct kva_vm *vm, const struct kva_spec *spec, struct kva_descriptor **area);

#endif
