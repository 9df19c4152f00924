/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The check of an instance. */
#ifndef KVA_VMAP_VM_CHECK_H
#define KVA_VMAP_VM_CHECK_H

#include "vm_instance.h"

/** V10: compare the system's mappings with what is known of pages that nobody owns: NULL, or how it is
 *  broken, and at which address. With all locks held. */
const char *kva_check_mappings(const struct kva_vm *vm, uint64_t *address);

#endif
