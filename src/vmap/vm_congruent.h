/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Congruent areas: several areas at given offsets from one base. */
#ifndef KVA_VMAP_VM_CONGRUENT_H
#define KVA_VMAP_VM_CONGRUENT_H

#include "vm_district.h"

/** Allocate congruent areas of a kind. The lock is dropped on a shortage, but not after the areas were
 *  entered. */
enum kva_status kva_take_congruent(struct kva_vm *vm, const struct kva_vm_request *request,
                                   const struct kva_part *parts, size_t count, enum kva_vm_kind kind,
                                   const struct kva_stripes *stripes, void **memory, struct kva_bad *bad);

/** After a fork, in the child: free the plans of other threads' calls. */
void kva_forget_plans(struct kva_vm *vm);

#endif
