/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What maps show: a pool's frames, how often each is mapped, and mapping them. Each frame has one number: 0
 * while it is free, else one more than its live maps. A frame that some map shows cannot be given back, so no
 * map ever shows another's memory while it lives.
 */
#ifndef KVA_VMAP_VM_SHOWN_H
#define KVA_VMAP_VM_SHOWN_H

#include "vm_area.h"

struct kva_vm_frames {
    struct kva_vm *vm;
    struct kva_vm_frames *next;  /* of the instance's pools */
    struct kva_vm_frames **link; /* what points to this one */
    void *pool;                  /* the page source's */
    uint32_t *uses;              /* a table: 0 for a free frame; else 1 + the live maps of it */
    uint64_t count;
    uint64_t taken;
    uint64_t lowest;  /* no frame below this is free */
    uint64_t pending; /* frames that are counted for maps which are not there yet, once for each map */
    uint64_t shown; /* the live maps of all frames, and those pending: what `uses` adds up to, less `taken` */
};

/** Count one more live map of each of `count` frames, if they are taken frames of a pool of this instance:
 *  KVA_OK, or kva_vm_map's statuses. */
enum kva_status kva_use_frames(const struct kva_vm *vm, struct kva_vm_frames *frames, const uint32_t *numbers,
                               size_t count, struct kva_bad *bad);

/** Count one live map less of each. */
void kva_unuse_frames(struct kva_vm_frames *frames, const uint32_t *numbers, size_t count);

/** Count one live map less of each of the frames of a map. */
void kva_unuse_map(const struct kva_vm *vm, const struct kva_descriptor *map);

/** Map frames from an address on, a call for each run, and note their numbers; on failure nothing is
 *  mapped. */
enum kva_status kva_map_runs(struct kva_vm *vm, uint64_t start, const struct kva_vm_frames *frames,
                             const uint32_t *numbers, size_t count);

/** How many numbers from the first on follow each other. */
size_t kva_run_of(const uint32_t *numbers, size_t count);

/** After a fork, in the child: forget the maps that other threads were making. */
void kva_forget_pending(struct kva_vm *vm);

/** V7: NULL, or how it is broken. */
const char *kva_check_shown(const struct kva_vm *vm);

#endif
