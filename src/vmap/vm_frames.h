/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Pools of frames. What is here is for the end of an instance. */
#ifndef KVA_VMAP_VM_FRAMES_H
#define KVA_VMAP_VM_FRAMES_H

#include "vm_instance.h"

/** Give back the memory of all pools. Without a lock: nobody else uses the instance. */
void kva_vm_frames_end(struct kva_vm *vm);

#endif
