/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Areas: see vm_area.h. */
#include "vm_area.h"

/* ------------------------------------------------------------------------------------------------- lookup */

struct kva_descriptor *kva_lookup_area(const struct kva_vm *vm, uintptr_t address)
{
    struct kva_segment segment;

    if (!lookup_segment(vm, address, &segment) || segment.state == KVA_FREE)
        return NULL;
    return slot_read(vm, (uintptr_t)segment.start);
}

struct kva_descriptor *kva_lookup_area_from(const struct kva_vm *vm, uint64_t address)
{
    struct kva_segment segment;

    return kva_lookup_segment_from(vm, address, &segment) ? slot_read(vm, (uintptr_t)segment.start) : NULL;
}

enum kva_status kva_why_not_live(const struct kva_vm *vm, uintptr_t address, enum kva_vm_kind kind)
{
    if (!is_in_reservation(vm, address))
        return KVA_EUNKNOWN;
    const struct kva_descriptor *area = kva_lookup_area(vm, address);
    if (!area)
        return KVA_EDOUBLE;
    if (state_of(area) == KVA_VM_RESIZING && start_of(area) == address)
        return KVA_EREENTRY;
    switch (public_state(area)) {
    case KVA_VM_LATER:
    case KVA_VM_PARKED:
    case KVA_VM_QUARANTINED:
        return KVA_EDEFERRED;
    case KVA_VM_CACHED:
        return KVA_EDOUBLE;
    default:
        break;
    }
    if (start_of(area) != address)
        return KVA_EINTERIOR;
    return area_kind(area) == kind ? KVA_EDOUBLE : KVA_EINVAL; /* another thread freed it a moment ago */
}

struct kva_descriptor *kva_live_area(const struct kva_vm *vm, const void *memory, enum kva_vm_kind kind,
                                     enum kva_status *status)
{
    uintptr_t address = (uintptr_t)memory;
    struct kva_descriptor *area = area_starting_at(vm, address);

    if (area && area_key(area) == key_of(address, kind, KVA_VM_LIVE))
        return area;
    *status = kva_why_not_live(vm, address, kind);
    return NULL;
}

/* -------------------------------------------------------------------------------------- entry and removal */

/** The number of the nodes of an area at an address. In a district with stripes, the per-CPU allocator sets
 *  it. */
static uint8_t nodes_at(const struct kva_vm *vm, uint64_t start)
{
    const struct kva_district *district = district_at(vm, start);

    return district && district->owner == 0 ? district->number : 0;
}

/** The key is stored last, then the table's entry, both with release: vm_area.h, LOOKUP WITHOUT THE MAIN
 *  LOCK. */
struct kva_descriptor *kva_enter_area(struct kva_vm *vm, const struct kva_spec *spec, uint64_t start)
{
    struct kva_descriptor *area = kva_nodes_pop(&vm->areas);
    uint32_t length = spec->pages + spec->guard;

    area->next = NULL;
    area->prev = NULL;
    area->size = spec->size;
    area->caller = spec->caller;
    area->by.owner = spec->owner;
    area->of.frames = spec->frames;
    area->pages = spec->pages;
    area->flags = flags_of_area(spec->flags);
    area->guard = spec->guard;
    area->align_shift = (uint8_t)lowest_bit(spec->align);
    area->nodes = nodes_at(vm, start);
    if (length > atomic_load_explicit(&vm->longest, memory_order_relaxed))
        atomic_store_explicit(&vm->longest, length, memory_order_relaxed);
    atomic_store_explicit(&area->key, key_of((uintptr_t)start, spec->kind, KVA_VM_LIVE),
                          memory_order_release);
    slot_write(vm, (uintptr_t)start, area);
    count_in(&vm->all, area_bytes(vm, area));
    vm->slow_allocations += is_counted(spec->kind);
    return area;
}

void kva_close_range(struct kva_vm *vm, uint64_t start, uint64_t bytes, bool foreign)
{
    unpoison((void *)(uintptr_t)start, (size_t)bytes);
    if (is_in_frames_part(vm, start))
        vm->pages.unmap(vm->pages.context, vm->reservation, start, bytes);
    else if (foreign && vm->pages.dismiss)
        vm->pages.dismiss(vm->pages.context, vm->reservation, start, bytes);
    else
        vm->pages.close(vm->pages.context, vm->reservation, start, bytes);
}

void kva_forget_area(struct kva_vm *vm, struct kva_descriptor *area)
{
    const uintptr_t start = start_of(area);

    release_place(vm, start);
    if (is_in_frames_part(vm, start))
        kva_note_numbers(vm, start, NULL, area->pages);
    slot_write(vm, start, NULL);
    count_out(&vm->all, area_bytes(vm, area));
    atomic_store_explicit(&area->key, KVA_VM_GONE, memory_order_relaxed);
    kva_nodes_push(&vm->areas, area);
}

void kva_drop_area(struct kva_vm *vm, struct kva_descriptor *area)
{
    kva_close_range(vm, start_of(area), segment_bytes(vm, area), false); /* no caller has received it */
    vm->slow_allocations -= is_counted(area_kind(area));
    kva_forget_area(vm, area);
}
