/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The description of an area for callers. */
#ifndef KVA_VMAP_VM_LOOK_H
#define KVA_VMAP_VM_LOOK_H

#include "vm_instance.h"

/** What callers see of an area. With all locks held; or without any, and then it may be out of date. */
void kva_describe_area(const struct kva_vm *vm, const struct kva_descriptor *area, struct kva_vm_area *out);

#endif
