/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Retiring areas: into the cache at once, later unmapped in batches.
 *
 *      kva_vfree
 *        |-- its bin has room ------> cached         no other work
 *        |                              | another size needs the room
 *        |-- otherwise -----------> parked           a ring, first in, first out
 *        |                            |     ^------- short-lived maps that make room: vm_ended.c
 *        |                            | above the limit, or on request
 *        |                            v
 *        |                          PURGE            in slices: one call for the oldest and its neighbours
 *        |
 *        +-- hardened ---> unmapped at once ---> quarantine ---> free, first in, first out
 */
#include "vm_retire.h"

#include "vm_cache.h"
#include "vm_district.h"
#include "vm_ended.h"

void kva_retire_area(struct kva_vm *vm, struct kva_descriptor *area, const void *by)
{
    vm->slow_frees += is_counted(area_kind(area));
    area->by.freed_by = by;
    if (area_kind(area) == KVA_VM_VMALLOC && is_cacheable(vm, area) && kva_cache_put(vm, area, by))
        return;
    if (vm->hardened)
        kva_quarantine_area(vm, area);
    else
        kva_park_area(vm, area);
}

/** Purge all areas that are parked now. */
static void purge_parked(struct kva_vm *vm)
{
    const uintptr_t ticket = vm->parked.tickets;

    vm->parked.purges += vm->parked.count.areas > 0;
    while (kva_purge_some(vm, ticket))
        main_yield(&vm->locks);
}

void kva_purge_maps(struct kva_vm *vm)
{
    (void)kva_ended_park_all(vm);
    purge_parked(vm);
}

/** A thread that finds a purge under way runs one slice of it: the parked bytes do not grow, and no thread
 *  does the work of others alone. */
static void purge_excess_parked(struct kva_vm *vm)
{
    if (!kva_is_excess_parked(vm))
        return;
    if (vm->parked.purgers > 0 && vm->parked.limit > 0) {
        (void)kva_purge_some(vm, vm->parked.tickets);
        return;
    }
    vm->parked.purgers++;
    purge_parked(vm);
    vm->parked.purgers--;
}

void kva_purge_excess(struct kva_vm *vm)
{
    purge_excess_parked(vm);
    kva_trim_emptied(vm);
}

/** Free the addresses of all areas that are quarantined now, first in, first out. Areas added meanwhile
 *  stay. */
static void empty_quarantine(struct kva_vm *vm)
{
    const unsigned slice = 256; /* some 100 ns each, so 26 us */

    for (uint64_t left = vm->quarantine.count.areas; left > 0 && vm->quarantine.head; left--) {
        kva_leave_quarantine(vm);
        if (left % slice == 0)
            main_yield(&vm->locks);
    }
}

/** All idle areas are parked before the first is purged, so that as many as possible are merged. */
bool kva_purge_idle(struct kva_vm *vm)
{
    bool any = kva_cache_park_all(vm) || vm->quarantine.head;

    any = kva_ended_park_all(vm) || any;
    any = vm->parked.count.areas > 0 || any;
    purge_parked(vm);
    empty_quarantine(vm);
    any = kva_trim_districts(vm) || any;
    return any;
}

void kva_purge_parked(struct kva_vm *vm)
{
    vm->parked.purges += vm->parked.count.areas > 0;
    while (kva_purge_some(vm, vm->parked.tickets))
        continue;
}

void kva_purge_frozen(struct kva_vm *vm)
{
    kva_cpus_take(&vm->locks);
    kva_cache_park_frozen(vm);
    kva_ended_park_frozen(vm);
    kva_purge_parked(vm);
    while (vm->quarantine.head)
        kva_leave_quarantine(vm);
    (void)kva_trim_districts(vm);
    kva_cpus_drop(&vm->locks);
}

void kva_purge_foreign(struct kva_vm *vm)
{
    while (vm->parked.foreign > 0)
        (void)kva_purge_some(vm, vm->parked.tickets);
}

bool kva_has_idle(const struct kva_vm *vm)
{
    kva_cpus_take(&vm->locks);
    bool has = vm->parked.count.areas > 0 || vm->quarantine.head || vm->ended.count.areas > 0 ||
               kva_cache_sums(vm).cached.areas > 0 || kva_has_empty_district(vm);
    kva_cpus_drop(&vm->locks);
    return has;
}
