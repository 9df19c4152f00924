/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The placement of areas: at the lowest address that fits; in a hardened instance, at a random one:
 *
 *      a part of the reservation   |            |<- KVA_VM_SCATTER bytes ->|             |
 *                                               ^ chosen once
 *                                                    ^ a random page: the lowest place that fits above it
 */
#include "vm_place.h"

#include "../space/congruent.h"

/* --------------------------------------------------------------------------------------------- randomness */

/** A random number in [0, bound - 1]. */
static uint64_t random_below(struct kva_vm *vm, uint64_t bound)
{
    /* SplitMix64 (Steele, Lea and Flood, 2014); its low bits are redrawn until they are below the bound. */
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

/** The start of the bytes over which hardened areas are scattered: random, if the part is larger than
 *  that. */
static uint64_t choose_scatter(struct kva_vm *vm, uint64_t first, uint64_t bytes)
{
    if (bytes <= KVA_VM_SCATTER)
        return first;
    return first + align_down(random_below(vm, bytes - KVA_VM_SCATTER), page_of(vm));
}

/* ---------------------------------------------------------------------------------------------- the space */

/** The space has no locks and no deferred ranges: it is used under the main lock, and parked areas are busy
 *  in it. */
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
        .without_owners = true, /* the table has the areas */
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
    kva_end_districts(vm, false);
    struct kva_space *fresh = vm->space == &vm->spaces[0] ? &vm->spaces[1] : &vm->spaces[0];

    if (kva_space_init(fresh, &vm->space_config) != KVA_OK)
        return;
    (void)kva_space_abandon(vm->space);
    vm->space = fresh;
}

/* ------------------------------------------------------------------------------------------------ placing */

/** The lowest place that fits above a random page of the KVA_VM_SCATTER bytes from `first` on; KVA_ENOSPC if
 *  there is none. */
static enum kva_status place_at_random(struct kva_vm *vm, struct kva_address_map *map, uint64_t first,
                                       const struct kva_demand *anywhere, uint64_t *start)
{
    struct kva_demand demand = *anywhere;

    demand.max = min_u64(first + (KVA_VM_SCATTER - 1), demand.max);
    uint64_t room = demand.max - first + 1;
    if (demand.size > room)
        return KVA_ENOSPC;
    demand.min = first + random_below(vm, room - demand.size + 1);
    return core_alloc(map, &demand, NULL, start);
}

/** At a random place, if `at_random` and there is one; else at the lowest. */
static enum kva_status place(struct kva_vm *vm, struct kva_address_map *map, uint64_t scatter,
                             const struct kva_demand *demand, bool at_random, uint64_t *start)
{
    enum kva_status status = KVA_ENOSPC;

    if (at_random)
        status = place_at_random(vm, map, scatter, demand, start);
    return status == KVA_ENOSPC ? core_alloc(map, demand, NULL, start) : status;
}

static enum kva_status place_outside(struct kva_vm *vm, const struct kva_spec *spec, uint64_t *start)
{
    const struct kva_demand demand = {
        .size = spec->bytes, .align = spec->align, .min = spec->min, .max = spec->max};
    uint64_t scatter = is_in_frames_part(vm, spec->min) ? vm->scatter_frames : vm->scatter;
    enum kva_status status =
        place(vm, vm->space->map, scatter, &demand, vm->hardened && spec->anywhere, start);

    if (status == KVA_OK)
        verify_change(vm->space, "kva_place_area", *start);
    return status;
}

/** Place parts at the lowest base at or above `min`. */
static enum kva_status place_parts_from(const struct kva_spec *spec, struct kva_space *space, uint64_t min,
                                        const struct kva_part *parts, size_t count, uint64_t *base)
{
    struct kva_request request = {.size = 1, .align = spec->align, .min = min, .max = spec->max};
    struct kva_congruence congruence = {.parts = parts, .count = count};
    struct kva_demand demand;
    struct kva_bad bad; /* unused: the parts and the window are valid */
    enum kva_status status = kva_congruent_demand_of(space->map, &request, parts, count, &demand, &bad);

    if (status == KVA_OK)
        status = kva_congruent_search(space->map, &demand, &congruence);
    if (status == KVA_OK)
        status = kva_congruent_occupy(space->map, &congruence, NULL);
    *base = congruence.base;
    for (size_t i = 0; KVA_CHECK_LEVEL >= 2 && status == KVA_OK && i < count; i++)
        verify_change(space, "kva_place_parts", *base + parts[i].offset);
    return status;
}

static enum kva_status place_parts(struct kva_vm *vm, const struct kva_spec *spec, struct kva_space *space,
                                   uint64_t scatter, const struct kva_part *parts, size_t count,
                                   uint64_t *base)
{
    if (vm->hardened && spec->anywhere) {
        uint64_t min = scatter + random_below(vm, min_u64(KVA_VM_SCATTER, spec->max - scatter));
        if (place_parts_from(spec, space, min, parts, count, base) == KVA_OK)
            return KVA_OK;
    }
    return place_parts_from(spec, space, spec->min, parts, count, base);
}

/* ---------------------------------------------------------------------------------------------- districts */

/** What is placed: an area, or the parts of a congruent allocation. */
struct cargo {
    const struct kva_part *parts;
    size_t count; /* 0: an area */
};

/** The bytes from the first address of a cargo to its end. */
static uint64_t extent_of_cargo(const struct kva_spec *spec, const struct cargo *cargo)
{
    if (cargo->count == 0)
        return spec->bytes;
    const struct kva_part *last = &cargo->parts[cargo->count - 1];
    return last->offset + last->size;
}

/** Place a cargo in the part of a district that lies in the window. */
static enum kva_status place_in_district(struct kva_vm *vm, const struct kva_spec *spec,
                                         const struct cargo *cargo, struct kva_district *district,
                                         uint64_t *start)
{
    struct kva_space *space = &vm->districts.space;
    struct kva_spec inside = *spec;
    enum kva_status status;

    inside.min = max_u64(spec->min, district->start);
    inside.max = min_u64(spec->max, district->end - 1);
    /* The first group has the most CPUs, so no group's area passes the end of its stripe. */
    if (spec->stripes)
        inside.max -= cargo->parts[0].size - cargo->parts[cargo->count - 1].size;
    if (inside.max < inside.min || inside.max - inside.min < extent_of_cargo(spec, cargo) - 1)
        return KVA_ENOSPC;
    const struct kva_demand demand = {
        .size = spec->bytes, .align = spec->align, .min = inside.min, .max = inside.max};
    if (cargo->count > 0)
        status = place_parts(vm, &inside, space, inside.min, cargo->parts, cargo->count, start);
    else
        status = place(vm, space->map, inside.min, &demand, vm->hardened && spec->anywhere, start);
    if (status != KVA_OK)
        return status;
    district->areas += cargo->count > 0 ? cargo->count : 1;
    verify_change(space, "kva_place_area", *start);
    return KVA_OK;
}

/** Whether a spec may be placed in a district. */
static bool serves(const struct kva_vm *vm, const struct kva_district *district, const struct kva_spec *spec)
{
    if (spec->stripes)
        return district->owner == spec->stripes->owner;
    return district->owner == 0 && same_nodes(&vm->districts.nodes[district->number], &spec->node);
}

static enum kva_status take_district_for(struct kva_vm *vm, const struct kva_spec *spec,
                                         const struct cargo *cargo, struct kva_district **district)
{
    const struct kva_demand demand = {.size = extent_of_cargo(spec, cargo),
                                      .align = spec->align,
                                      .min = spec->min,
                                      .max = spec->max,
                                      .policy = KVA_HIGHEST};

    return spec->stripes ? kva_take_stripes(vm, spec->stripes, district)
                         : kva_take_district(vm, &demand, &spec->node, district);
}

/** Place a cargo in the lowest district in which it fits, or in a new one. */
static enum kva_status place_in_districts(struct kva_vm *vm, const struct kva_spec *spec,
                                          const struct cargo *cargo, uint64_t *start)
{
    struct kva_district *district;

    for (size_t i = 0; i < vm->districts.count; i++) {
        district = &vm->districts.list[i];
        enum kva_status status =
            serves(vm, district, spec) ? place_in_district(vm, spec, cargo, district, start) : KVA_ENOSPC;
        if (status != KVA_ENOSPC)
            return status;
    }
    enum kva_status status = take_district_for(vm, spec, cargo, &district);
    return status == KVA_OK ? place_in_district(vm, spec, cargo, district, start) : status;
}

/* ------------------------------------------------------------------------------------------- entry points */

enum kva_status kva_place_area(struct kva_vm *vm, const struct kva_spec *spec, uint64_t *start)
{
    const struct cargo area = {NULL, 0};

    if (spec->max < spec->min)
        return KVA_ENOSPC;
    return spec->nodes != 0 ? place_in_districts(vm, spec, &area, start) : place_outside(vm, spec, start);
}

enum kva_status kva_place_parts(struct kva_vm *vm, const struct kva_spec *spec, const struct kva_part *parts,
                                size_t count, uint64_t *base)
{
    const struct cargo chunk = {parts, count};

    if (spec->nodes != 0 || spec->stripes)
        return place_in_districts(vm, spec, &chunk, base);
    return place_parts(vm, spec, vm->space, vm->scatter, parts, count, base);
}

bool kva_lookup_segment_from(const struct kva_vm *vm, uint64_t address, struct kva_segment *segment)
{
    for (; lookup_segment(vm, address, segment); address = segment->last + 1) {
        if (segment->state != KVA_FREE && segment->start >= address)
            return true;
    }
    return false;
}
