/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Where areas lie: at the lowest address that fits; in a hardened instance, at a random one:
 *
 *      a part of the reservation   |            |<- KVA_VM_SCATTER bytes ->|             |
 *                                               ^ chosen once
 *                                                    ^ a random page: the lowest address that fits above it
 */
#include "vm_place.h"

#include "../space/congruent.h"

/* --------------------------------------------------------------------------------------------- randomness */

/** A random number in [0, bound - 1]. */
static uint64_t random_below(struct kva_vm *vm, uint64_t bound)
{
    /* SplitMix64 (Steele, Lea and Flood, 2014), and the bits masked and drawn again until they are below. */
    uint64_t mask = bound - 1;

    for (unsigned shift = 1; shift < 64; shift *= 2)
        mask |= mask >> shift;
    for (;;) {
        uint64_t z = vm->random += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        z = (z ^ (z >> 31)) & mask;
        if (z < bound)
            return z;
    }
}

/** Where hardened areas are strewn: anywhere in a part of the reservation, so far as it is larger than what
 *  they need. */
static uint64_t choose_scatter(struct kva_vm *vm, uint64_t first, uint64_t bytes)
{
    if (bytes <= KVA_VM_SCATTER)
        return first;
    return first + align_down(random_below(vm, bytes - KVA_VM_SCATTER), page_of(vm));
}

/* ---------------------------------------------------------------------------------------------- the space */

/** The space knows nothing of what is parked, nor of threads: it is used under the instance's lock. */
enum kva_status kva_init_places(struct kva_vm *vm, const struct kva_vm_config *config)
{
    const uint64_t last = vm->first + (uint64_t)(vm->bytes - 1);

    vm->space_config = (struct kva_config){
        .first = vm->first,
        .last = last,
        .quantum = page_of(vm),
        .engine = config->engine,
        .memory = config->memory,
        .align_class = {vm->pages.huge},
        .without_owners = true, /* the table knows */
        .on_corruption = config->on_corruption,
        .hook_context = config->hook_context,
    };
    vm->space = &vm->spaces[0];
    enum kva_status status = kva_space_init(vm->space, &vm->space_config);
    if (status == KVA_OK && vm->hardened) {
        vm->scatter = choose_scatter(vm, vm->first, vm->frames_first - vm->first);
        vm->scatter_frames = choose_scatter(vm, vm->frames_first, last - vm->frames_first + 1);
    }
    return status;
}

void kva_renew_places(struct kva_vm *vm)
{
    struct kva_space *fresh = vm->space == &vm->spaces[0] ? &vm->spaces[1] : &vm->spaces[0];

    if (kva_space_init(fresh, &vm->space_config) != KVA_OK)
        return;
    (void)kva_space_abandon(vm->space);
    vm->space = fresh;
}

/* ------------------------------------------------------------------------------------------------ placing */

/** The lowest place that fits above a random page of where areas are strewn; KVA_ENOSPC if there is none. */
static enum kva_status place_at_random(struct kva_vm *vm, const struct kva_demand *anywhere, uint64_t *start)
{
    struct kva_demand demand = *anywhere;
    uint64_t first = is_in_frames_part(vm, demand.min) ? vm->scatter_frames : vm->scatter;

    demand.max = min_u64(first + (KVA_VM_SCATTER - 1), demand.max);
    uint64_t room = demand.max - first + 1;
    if (demand.size > room)
        return KVA_ENOSPC;
    demand.min = first + random_below(vm, room - demand.size + 1);
    return core_alloc(vm->space->tiling, &demand, NULL, start);
}

enum kva_status kva_place_area(struct kva_vm *vm, const struct kva_spec *spec, uint64_t *start)
{
    const struct kva_demand demand = {spec->bytes, spec->align, spec->min, spec->max, KVA_LOWEST};
    enum kva_status status = KVA_ENOSPC;

    if (spec->max < spec->min)
        return KVA_ENOSPC;
    if (vm->hardened && spec->anywhere)
        status = place_at_random(vm, &demand, start);
    if (status == KVA_ENOSPC)
        status = core_alloc(vm->space->tiling, &demand, NULL, start);
    if (status == KVA_OK)
        verify_change(vm->space, __func__, *start);
    return status;
}

/** The same for parts, whose lowest base is to lie at or above `min`. */
static enum kva_status place_parts_from(struct kva_vm *vm, const struct kva_spec *spec, uint64_t min,
                                        const struct kva_part *parts, size_t count, uint64_t *base)
{
    struct kva_tiling *tiling = vm->space->tiling;
    struct kva_request request = {1, spec->align, min, spec->max, NULL, KVA_LOWEST};
    struct kva_congruence congruence = {.parts = parts, .count = count};
    struct kva_demand demand;
    struct kva_bad bad; /* the parts and the window are in order */
    enum kva_status status = kva_congruent_demand_of(tiling, &request, parts, count, &demand, &bad);

    if (status == KVA_OK)
        status = kva_congruent_search(tiling, &demand, &congruence);
    if (status == KVA_OK)
        status = kva_congruent_occupy(tiling, &congruence, NULL);
    *base = congruence.base;
    for (size_t i = 0; KVA_CHECK_LEVEL >= 2 && status == KVA_OK && i < count; i++)
        verify_change(vm->space, "kva_place_parts", *base + parts[i].offset);
    return status;
}

enum kva_status kva_place_parts(struct kva_vm *vm, const struct kva_spec *spec, const struct kva_part *parts,
                                size_t count, uint64_t *base)
{
    if (vm->hardened && spec->anywhere) {
        uint64_t min = vm->scatter + random_below(vm, min_u64(KVA_VM_SCATTER, spec->max - vm->scatter));
        if (place_parts_from(vm, spec, min, parts, count, base) == KVA_OK)
            return KVA_OK;
    }
    return place_parts_from(vm, spec, spec->min, parts, count, base);
}

bool kva_segment_from(const struct kva_vm *vm, uint64_t address, struct kva_segment *segment)
{
    for (; segment_at(vm, address, segment); address = segment->last + 1) {
        if (segment->state != KVA_FREE && segment->start >= address)
            return true;
    }
    return false;
}
