/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Allocation of areas with pages of their own: the checks of a request, and the path that other calls
 *  share. */
#ifndef KVA_VMAP_VM_ALLOC_H
#define KVA_VMAP_VM_ALLOC_H

#include "vm_cache.h"

/** The flags that a request may have. */
enum { KVA_VM_KNOWN_FLAGS = KVA_VM_ZERO | KVA_VM_HUGE | KVA_VM_NO_BLOCK | KVA_VM_FOREIGN };

/** Check a request and translate it to a spec: KVA_OK; or one of kva_vm_alloc's statuses, and *bad. Without
 *  the lock. */
enum kva_status kva_spec_of(const struct kva_vm *vm, const struct kva_vm_request *request,
                            struct kva_spec *spec, struct kva_bad *bad);

/** Round a size up to whole pages, to huge ones with KVA_VM_HUGE where the size is large enough: KVA_OK; or
 *  KVA_ESIZE, KVA_EWRAP, and *bad is "size". Clears KVA_VM_HUGE where it does not apply. Without the lock. */
enum kva_status kva_pages_of(const struct kva_vm *vm, size_t size, unsigned *flags, uint32_t *pages,
                             struct kva_bad *bad);

/** Allocate a vmalloc area, from the cache if it has one that fits. Without the lock. */
enum kva_status kva_take_area(struct kva_vm *vm, const struct kva_vm_request *request, const char *where,
                              struct kva_taken *taken);

#endif
