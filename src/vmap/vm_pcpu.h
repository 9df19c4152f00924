/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Per-CPU objects: what the end of an instance, forks and checks need. */
#ifndef KVA_VMAP_VM_PCPU_H
#define KVA_VMAP_VM_PCPU_H

#include "vm_instance.h"

/** Retire the chunks without objects. */
void kva_pcpu_trim(struct kva_vm *vm);

/** Whether the live per-CPU area that starts at an address belongs to a chunk without objects. */
bool kva_pcpu_is_empty(const struct kva_vm *vm, uintptr_t start);

/** After a fork, in the child: forget the chunks that other threads were allocating. */
void kva_pcpu_forget_growing(struct kva_vm *vm);

/** Free the memory of all allocators. Without a lock: no other thread uses the instance. */
void kva_pcpu_end(struct kva_vm *vm);

/** V9: NULL, or how it is broken. */
const char *kva_check_pcpu(const struct kva_vm *vm);

#endif
