/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * map_ram: short-lived maps. A map of up to KVA_MAP_RAM_MOST frames is an area like one of vmap, without a
 * guard page. When it ends, it stays mapped:
 *
 *      kva_map_ram ---found---> the ended map is live again           no call
 *           | not found
 *           v
 *      fresh: in the area of the oldest ended map, if that has        a call per run of frames; it also
 *             its length and the limit is reached; else in            replaces the call that would unmap
 *             a new area                                              the oldest
 *
 *      kva_unmap_ram ---> ended: | oldest | ... | newest |            a limited number of pages
 *                                    | makes room
 *                                    v
 *                                  parked, as other areas             at KVA_VM_PARKED_RAM pages, a purge:
 *                                                                     a call per run of neighbours
 *
 * A parked map is not found again. A larger map, and every map of a hardened instance, is an area like one of
 * vmap in all respects.
 */
#include "vm_ended.h"
#include "vm_map.h"
#include "vm_obtain.h"
#include "vm_ready.h"
#include "vm_retire.h"

static enum kva_status attempt_index(void *instance, void *context)
{
    (void)context;
    return kva_ready_ended(instance);
}

/** Make a map in the area of the map that ended first; NULL if that is not possible. If the page source
 *  refuses, both maps are gone: the area is closed and dropped. Its numbers are noted again before that,
 *  because kva_drop_area removes them. */
static struct kva_descriptor *map_over(struct kva_vm *vm, struct kva_vm_frames *frames,
                                       const uint64_t *numbers, size_t count, const void *caller)
{
    struct kva_descriptor *map = kva_reuse_ended(vm, count);

    if (!map)
        return NULL;
    kva_note_numbers(vm, start_of(map), NULL, count);
    if (kva_map_runs(vm, start_of(map), frames, numbers, count, 0) != KVA_OK) {
        kva_note_numbers(vm, start_of(map), numbers, count);
        kva_drop_area(vm, map);
        return NULL;
    }
    map->of.frames = frames;
    map->caller = caller;
    unpoison(memory_of(map), map->size);
    set_state(map, KVA_VM_LIVE);
    return map;
}

/** Make a short-lived map: an ended one that is found, or a fresh one. */
static enum kva_status map_short(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
                                 size_t count, const void *caller, struct kva_descriptor **map)
{
    struct kva_descriptor **chain;
    enum kva_status status =
        vm->ended.index ? KVA_OK : kva_obtain(vm, count << vm->page_shift, 0, attempt_index, NULL);

    if (status != KVA_OK)
        return status;
    *map = kva_revive_map(vm, frames, numbers, count, caller, &chain);
    if (!*map) {
        *map = map_over(vm, frames, numbers, count, caller);
        if (!*map)
            status = kva_take_map(vm, frames, numbers, count, 0, KVA_VM_RAM, caller, map);
        if (status != KVA_OK)
            return status;
        vm->ended.misses++;
    }
    vm->ended.live++;
    (*map)->by.home = chain; /* the index never moves */
    return KVA_OK;
}

static enum kva_status map_ram(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
                               size_t count, const void *caller, void **memory, struct kva_bad *bad)
{
    struct kva_descriptor *map;
    enum kva_status status = kva_use_frames(vm, frames, numbers, count, bad);

    if (status != KVA_OK)
        return status;
    frames->pending += count;
    status = is_short_map(vm, KVA_VM_RAM, count)
                 ? map_short(vm, frames, numbers, count, caller, &map)
                 : kva_take_map(vm, frames, numbers, count, 0, KVA_VM_RAM, caller, &map);
    frames->pending -= count;
    if (status == KVA_OK)
        *memory = memory_of(map);
    else
        kva_unuse_frames(frames, numbers, count);
    return status;
}

static enum kva_status lock_and_map_ram(struct kva_vm *vm, struct kva_vm_frames *frames,
                                        const uint64_t *numbers, size_t count, const void *caller,
                                        void **memory)
{
    struct kva_bad bad = {NULL, 0};

    main_take(&vm->locks);
    free_ready_for(vm, 0);
    enum kva_status status = map_ram(vm, frames, numbers, count, caller, memory, &bad);
    status = finish(vm, status, "kva_vm_map_ram", 0, &bad);
    main_drop(&vm->locks);
    return status;
}

enum kva_status kva_vm_map_ram(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
                               size_t count, void **memory)
{
    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return refuse_null(vm, __func__, 0, "memory");
    return lock_and_map_ram(vm, frames, numbers, count, CALLER(), memory);
}

void *kva_map_ram(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers, size_t count)
{
    void *memory = NULL;

    if (!vm || lock_and_map_ram(vm, frames, numbers, count, CALLER(), &memory) != KVA_OK)
        return NULL;
    return memory;
}

static void unmap(struct kva_vm *vm, struct kva_descriptor *map, const void *by)
{
    bool parks = true;

    if (is_short_map(vm, KVA_VM_RAM, map->pages)) {
        kva_unuse_map(vm, map);
        parks = keep_map(vm, map);
        if (map->of.frames->is_lost) { /* no call can ask for its frames again */
            kva_park_ended(vm, map);
            parks = true;
        }
    } else {
        forget_map_uses(vm, map);
        kva_retire_area(vm, map, by);
    }
    if (parks)
        kva_purge_excess(vm);
}

enum kva_status kva_unmap_ram(struct kva_vm *vm, void *memory)
{
    enum kva_status status = KVA_OK;

    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return KVA_OK;
    main_take(&vm->locks);
    struct kva_descriptor *map = kva_live_area(vm, memory, KVA_VM_RAM, &status);
    if (map)
        unmap(vm, map, CALLER());
    status = finish(vm, status, __func__, (uintptr_t)memory, NULL);
    main_drop(&vm->locks);
    return status;
}
