/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Short-lived maps that have ended and are kept, still mapped, to be found again by their frames. */
#ifndef KVA_VMAP_VM_ENDED_H
#define KVA_VMAP_VM_ENDED_H

#include "vm_names.h"
#include "vm_park.h"

/** Pages of ended maps that are kept. With those that are parked they make 4096. If each page is a mapping of
 *  its own and splits another, that is an eighth of the 65,530 mappings that Linux allows a process by
 *  default. */
enum { KVA_VM_MOST_ENDED = 4096 - KVA_VM_PARKED_RAM };

/** Make the index, if there is none yet: KVA_OK or KVA_ENOMEM. */
enum kva_status kva_ready_ended(struct kva_vm *vm);

/** Give back the memory of the index, when the instance ends. */
void kva_end_ended(struct kva_vm *vm);

/** Make an ended map of just these frames, in this order, live again; NULL if none is kept. *chain is their
 *  chain of the index: a live short-lived map has to know it. */
struct kva_descriptor *kva_revive_map(struct kva_vm *vm, const struct kva_vm_frames *frames,
                                      const uint64_t *numbers, size_t count, const void *caller,
                                      struct kva_descriptor ***chain);

/** Take the map that ended first for a fresh one of as many pages, instead of parking it when that one ends:
 *  its area, which shows the old frames still and which nothing else knows now. NULL if there is room for
 *  more, or if it has another length. */
struct kva_descriptor *kva_reuse_ended(struct kva_vm *vm, size_t count);

/** Park the maps that ended first, as long as more is kept than the limit. */
void kva_trim_ended(struct kva_vm *vm);

/** Whether so many bytes of ended maps are more than are kept. */
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

/** Park an ended map: it is not found again. */
void kva_park_ended(struct kva_vm *vm, struct kva_descriptor *map);

/** Park the ended maps of a pool. */
void kva_park_ended_of(struct kva_vm *vm, const struct kva_vm_frames *frames);

/** Park all ended maps; returns whether there was any. The lock is dropped in between. */
bool kva_ended_park_all(struct kva_vm *vm);

/** The same in one step. */
void kva_ended_park_frozen(struct kva_vm *vm);

/** V6: NULL, or how it is broken. */
const char *kva_check_ended(const struct kva_vm *vm);

#endif
