/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * vmap: an area whose pages map frames.
 *
 *      numbers   7 8 9 3 7                  three runs, so three calls: 7 8 9, then 3, then 7
 *                |   | | |
 *      pages    |7|8|9|3|7|g|               frame 7 is mapped at two addresses
 */
#include "vm_map.h"

#include "vm_obtain.h"
#include "vm_park.h"
#include "vm_ready.h"
#include "vm_retire.h"

/** The last address that a map may use, with so many pages of guard. The last page of the reservation is a
 *  map's guard or unused, so that a touch just above the last map faults. */
static uint64_t last_for_map(const struct kva_vm *vm, uint8_t guard)
{
    return vm->first + (uint64_t)(vm->bytes - 1) - bytes_of_pages(vm, (uint64_t)vm->guard - guard);
}

enum kva_status kva_take_map(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
                             size_t count, unsigned flags, enum kva_vm_kind kind, const void *caller,
                             struct kva_descriptor **map)
{
    const bool huge = (flags & KVA_VM_HUGE) && vm->pages.huge != 0;
    struct kva_spec spec = {
        .align = huge ? vm->pages.huge : page_of(vm),
        .min = vm->frames_first,
        .size = count << vm->page_shift,
        .pages = (uint32_t)min_u64(count, UINT32_MAX),
        .guard = is_short_map(vm, kind, count) ? 0 : vm->guard,
        .flags = flags,
        .kind = kind,
        .anywhere = true,
        .caller = caller,
        .frames = frames,
        .numbers = numbers,
    };

    spec.bytes = bytes_of_pages(vm, (uint64_t)spec.pages + spec.guard);
    spec.max = last_for_map(vm, spec.guard);
    return kva_take_fresh(vm, &spec, map);
}

static enum kva_status map_frames(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
                                  size_t count, unsigned flags, const void *caller, void **memory,
                                  struct kva_bad *bad)
{
    struct kva_descriptor *map;

    if ((flags & ~(unsigned)(KVA_VM_NO_BLOCK | KVA_VM_HUGE)) != 0)
        return bad_field(bad, KVA_EINVAL, "flags");
    enum kva_status status = kva_use_frames(vm, frames, numbers, count, bad);
    if (status != KVA_OK)
        return status;
    frames->pending += count;
    status = kva_take_map(vm, frames, numbers, count, flags, KVA_VM_VMAP, caller, &map);
    frames->pending -= count;
    if (status == KVA_OK)
        *memory = memory_of(map);
    else
        kva_unuse_frames(frames, numbers, count);
    return status;
}

static enum kva_status lock_and_map_frames(struct kva_vm *vm, struct kva_vm_frames *frames,
                                           const uint64_t *numbers, size_t count, unsigned flags,
                                           const void *caller, void **memory)
{
    struct kva_bad bad = {NULL, 0};

    main_take(&vm->locks);
    free_ready_for(vm, flags);
    enum kva_status status = map_frames(vm, frames, numbers, count, flags, caller, memory, &bad);
    status = finish(vm, status, "kva_vm_map", 0, &bad);
    main_drop(&vm->locks);
    return status;
}

enum kva_status kva_vm_map(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
                           size_t count, unsigned flags, void **memory)
{
    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return refuse_null(vm, __func__, 0, "memory");
    return lock_and_map_frames(vm, frames, numbers, count, flags, CALLER(), memory);
}

void *kva_vmap(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers, size_t count)
{
    void *memory = NULL;

    if (!vm || lock_and_map_frames(vm, frames, numbers, count, 0, CALLER(), &memory) != KVA_OK)
        return NULL;
    return memory;
}

enum kva_status kva_vunmap(struct kva_vm *vm, void *memory)
{
    enum kva_status status = KVA_ENULL;

    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return KVA_OK;
    main_take(&vm->locks);
    struct kva_descriptor *area = kva_live_area(vm, memory, KVA_VM_VMAP, &status);
    if (area) {
        forget_map_uses(vm, area);
        kva_retire_area(vm, area, CALLER());
        kva_purge_excess(vm);
        status = KVA_OK;
    }
    status = finish(vm, status, __func__, (uintptr_t)memory, NULL);
    main_drop(&vm->locks);
    return status;
}
