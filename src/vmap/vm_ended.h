/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Ended short-lived maps, kept mapped so that a call for the same frames finds them. */
#ifndef KVA_VMAP_VM_ENDED_H
#define KVA_VMAP_VM_ENDED_H

#include "vm_names.h"
#include "vm_park.h"

/** The most pages of ended maps. With the parked ones they make 4096. If each page is a mapping of its own
 *  and splits another, that is an eighth of the 65,530 mappings that Linux allows a process by default. */
enum { KVA_VM_MOST_ENDED = 4096 - KVA_VM_PARKED_RAM };

/** Make the index if there is none: KVA_OK or KVA_ENOMEM. */
enum kva_status kva_ready_ended(struct kva_vm *vm);

/** Free the index, at the end of the instance. */
void kva_end_ended(struct kva_vm *vm);

/** Make the ended map of exactly these frames, in this order, live again; NULL if there is none. *chain is
 *  their chain in the index, which a live short-lived map must know. */
struct kva_descriptor *kva_revive_map(struct kva_vm *vm, const struct kva_vm_frames *frames,
                                      const uint64_t *numbers, size_t count, const void *caller,
                                      struct kva_descriptor ***chain);

/** Take the area of the map that ended first for a fresh map of `count` pages, if keeping that one would
 *  exceed the limit: removed from the ring and the index, and still mapping the old frames. NULL if there is
 *  room, or if its length differs. */
struct kva_descriptor *kva_reuse_ended(struct kva_vm *vm, size_t count);

/** Park the maps that ended first until the rest is within the limit. */
void kva_trim_ended(struct kva_vm *vm);

/** Whether so many bytes of ended maps exceed the limit. */
static inline bool exceeds_ended(const struct kva_vm *vm, uint64_t bytes)
{
    return bytes > bytes_of_pages(vm, KVA_VM_MOST_ENDED);
}

/** Keep a live map that ends; returns whether others were parked to make room. */
static inline bool keep_map(struct kva_vm *vm, struct kva_descriptor *map)
{
    struct kva_descriptor **chain = map->by.home;

    map->by.chain = *chain;
    *chain = map;
    ring_add(&vm->ended.ring, map);
    count_in(&vm->ended.count, map->size);
    vm->ended.live--;
    poison(memory_of(map), map->size);
    set_state(map, KVA_VM_ENDED);
    if (!exceeds_ended(vm, vm->ended.count.bytes))
        return false;
    kva_trim_ended(vm);
    return true;
}

/** Park an ended map. It is not found again. */
void kva_park_ended(struct kva_vm *vm, struct kva_descriptor *map);

/** Park the ended maps of a frame set. */
void kva_park_ended_of(struct kva_vm *vm, const struct kva_vm_frames *frames);

/** Park all ended maps; returns whether there were any. The lock is dropped between slices. */
bool kva_ended_park_all(struct kva_vm *vm);

/** Park all ended maps in one step. The lock is not dropped. */
void kva_ended_park_frozen(struct kva_vm *vm);

/** V6: NULL, or how it is broken. */
const char *kva_check_ended(const struct kva_vm *vm);

#endif
