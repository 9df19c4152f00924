/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Maps: areas whose pages map frames. */
#ifndef KVA_VMAP_VM_MAP_H
#define KVA_VMAP_VM_MAP_H

#include "vm_mapped.h"

/** Make a fresh map of frames that were counted. */
enum kva_status kva_take_map(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
                             size_t count, unsigned flags, enum kva_vm_kind kind, const void *caller,
                             struct kva_descriptor **map);

#endif
