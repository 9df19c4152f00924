/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What maps show: a pool's frames, how often each is mapped, and mapping them. Each frame has a count: 0 while
 * it is free, else one more than its live maps. A frame that some map shows cannot be given back, so no map
 * ever shows another's memory while it lives.
 */
#ifndef KVA_VMAP_VM_MAPPED_H
#define KVA_VMAP_VM_MAPPED_H

#include "vm_area.h"
#include "vm_names.h"

/** Count one more live map of each of `count` frames, if they are taken frames of a pool of this instance:
 *  KVA_OK, or kva_vm_map's statuses. */
enum kva_status kva_use_frames(const struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
                               size_t count, struct kva_bad *bad);

/** Count one live map less of each. */
void kva_unuse_frames(struct kva_vm_frames *frames, const uint64_t *numbers, size_t count);

/** Count one live map less of each of the frames of a map. */
void kva_unuse_map(const struct kva_vm *vm, const struct kva_descriptor *map);

/** A live map ends for good: so, and it does not follow its frames any more. */
static inline void forget_map_uses(const struct kva_vm *vm, const struct kva_descriptor *map)
{
    kva_unuse_map(vm, map);
    kva_unlink_pages(map->of.frames, start_of(map), map->pages);
}

/** Map frames from an address on, a call for each run, and note their numbers; on failure nothing is mapped.
 *  With KVA_VM_HUGE, ask for huge pages. */
enum kva_status kva_map_runs(struct kva_vm *vm, uint64_t start, struct kva_vm_frames *frames,
                             const uint64_t *numbers, size_t count, unsigned flags);

/** How many frames from the first on are consecutive. */
size_t kva_run_of(const struct kva_vm_frames *frames, const uint64_t *numbers, size_t count);

/** After a fork, in the child: forget the maps that other threads were making. */
void kva_forget_pending(struct kva_vm *vm);

/** V7: NULL, or how it is broken. */
const char *kva_check_mapped(const struct kva_vm *vm);

#endif
