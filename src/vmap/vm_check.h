/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The check of an instance's mappings; kva_vm_check is public. */
#ifndef KVA_VMAP_VM_CHECK_H
#define KVA_VMAP_VM_CHECK_H

#include "vm_instance.h"

/** V10: compare the system's mappings with what is known of pages without an owner: NULL, or how it is
 *  broken, and *address. With all locks held. */
const char *kva_check_mappings(const struct kva_vm *vm, uint64_t *address);

#endif
