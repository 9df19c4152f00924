/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Frame sets, at the end of an instance. */
#ifndef KVA_VMAP_VM_FRAMES_H
#define KVA_VMAP_VM_FRAMES_H

#include "vm_instance.h"

/** Destroy all frame sets. Without a lock: no other thread uses the instance. */
void kva_vm_frames_end(struct kva_vm *vm);

#endif
