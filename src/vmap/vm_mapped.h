/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Mapping frames, and counting the maps of each frame.
 *
 * A frame's count is 0 while it is free, else one more than its live maps. A frame that is mapped cannot be
 * freed, so a live map never maps memory that belongs to another owner.
 */
#ifndef KVA_VMAP_VM_MAPPED_H
#define KVA_VMAP_VM_MAPPED_H

#include "vm_area.h"
#include "vm_names.h"

/** Raise the counts of `count` frames by one map, if they are taken frames of a frame set of this instance:
 *  KVA_OK, or kva_vm_map's statuses. */
enum kva_status kva_use_frames(const struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
                               size_t count, struct kva_bad *bad);

/** Lower the counts of `count` frames by one map. */
void kva_unuse_frames(struct kva_vm_frames *frames, const uint64_t *numbers, size_t count);

/** Lower the counts of a map's frames: the map is no longer live. */
void kva_unuse_map(const struct kva_vm *vm, const struct kva_descriptor *map);

/** End a live map that is not kept: lower the counts of its frames, and unlink its pages. */
static inline void forget_map_uses(const struct kva_vm *vm, const struct kva_descriptor *map)
{
    kva_unuse_map(vm, map);
    kva_unlink_pages(map->of.frames, start_of(map), map->pages);
}

/** Map frames from an address on, by one call per run, and note their numbers. With KVA_VM_HUGE, request huge
 *  pages. On failure nothing is mapped. */
enum kva_status kva_map_runs(struct kva_vm *vm, uint64_t start, struct kva_vm_frames *frames,
                             const uint64_t *numbers, size_t count, unsigned flags);

/** The number of frames from the first on whose places are consecutive. */
size_t kva_run_of(const struct kva_vm_frames *frames, const uint64_t *numbers, size_t count);

/** After a fork, in the child: forget the maps that other threads were making. */
void kva_forget_pending(struct kva_vm *vm);

/** V7: NULL, or how it is broken. */
const char *kva_check_mapped(const struct kva_vm *vm);

#endif
