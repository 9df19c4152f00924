/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The placement of areas. A space over the reservation has a busy segment for each area and its guard, parked
 * ones included; areas in districts have theirs in a second space. Only this room and vm_district use these
 * spaces. Per-CPU objects have one of their own.
 */
#ifndef KVA_VMAP_VM_PLACE_H
#define KVA_VMAP_VM_PLACE_H

#include "vm_district.h"

/** The spec of an area: a request that was validated, or its equivalent for a map. */
struct kva_spec {
    uint64_t bytes; /* of the segment: pages and guard */
    uint64_t align;
    uint64_t min; /* the window of the segment, clipped to its part of the reservation */
    uint64_t max;
    size_t size;
    uint32_t pages;
    uint8_t guard; /* pages of guard after `pages` */
    unsigned flags;
    enum kva_vm_kind kind;
    bool anywhere; /* no window was requested */
    const void *caller;
    void *owner;
    struct kva_vm_nodes node; /* the requested nodes of its pages */
    unsigned nodes;           /* the number of `node` when the request was checked */
    /** Of a per-CPU chunk: the nodes of its groups' pages. NULL: `node`. */
    const struct kva_stripes *stripes;
    struct kva_vm_frames *frames; /* of a map: the frame set; NULL: an area with pages of its own */
    const uint64_t *numbers;      /* of the map's frames */
};

/** The bytes over which hardened areas are scattered: 2^18 pages of 4 KiB, among which an attacker must
 *  guess. One area in each 2 MiB of them takes 512 page tables and 1,025 mappings in all. */
#define KVA_VM_SCATTER (UINT64_C(1) << 30)

/** Create the space over the reservation, all of it free; or why that failed. */
enum kva_status kva_init_places(struct kva_vm *vm, const struct kva_vm_config *config);

/** With no area and no district: replace the space by a new one, and free the memory of the old one. If there
 *  is no memory for that, the old one stays. */
void kva_renew_places(struct kva_vm *vm);

/** Free the spaces, even with busy segments. */
static inline void end_places(struct kva_vm *vm)
{
    kva_end_districts(vm, true);
    (void)kva_space_abandon(vm->space);
}

/** The bytes of memory that the spaces and the list of districts take. */
static inline uint64_t memory_of_places(const struct kva_vm *vm)
{
    struct kva_stats stats;
    struct kva_stats of_districts = {0};

    (void)kva_stats_read(vm->space, &stats);
    if (vm->districts.space.map)
        (void)kva_stats_read(&vm->districts.space, &of_districts);
    return stats.memory_bytes + of_districts.memory_bytes + vm->districts.room * sizeof(struct kva_district);
}

/** Check the spaces: KVA_OK, or KVA_ECORRUPT and *fault. */
static inline enum kva_status check_places(const struct kva_vm *vm, struct kva_fault *fault)
{
    enum kva_status status = kva_space_check(vm->space, fault);

    return status == KVA_OK && vm->districts.space.map ? kva_space_check(&vm->districts.space, fault)
                                                       : status;
}

/** Take addresses for a spec. Nothing is opened. */
enum kva_status kva_place_area(struct kva_vm *vm, const struct kva_spec *spec, uint64_t *start);

/** Take the addresses of all parts, at offsets from one base. */
enum kva_status kva_place_parts(struct kva_vm *vm, const struct kva_spec *spec, const struct kva_part *parts,
                                size_t count, uint64_t *base);

/** Free the segment that starts at an address. */
static inline void release_place(struct kva_vm *vm, uint64_t start)
{
    struct kva_district *district = district_at(vm, start);
    struct kva_space *space = space_of(vm, district);

    if (core_free(space->map, start) != KVA_OK)
        kva_report_corruption(&vm->ledger.hooks, __func__, "V1: an area has no segment", start);
    if (district)
        vm->districts.emptied |= --district->areas == 0;
    verify_change(space, __func__, start);
}

/** The end of the addresses into which an area may grow: of its district, or of the private part. */
static inline uint64_t end_of_place(const struct kva_vm *vm, uint64_t start)
{
    const struct kva_district *district = district_at(vm, start);

    return district ? district->end : vm->frames_first;
}

/** Resize the segment that starts at an address: KVA_OK, KVA_ENOSPC or KVA_ENOMEM. To shrink it back to the
 *  size before a growth needs no memory, and cannot fail. */
static inline enum kva_status resize_place(struct kva_vm *vm, uint64_t start, uint64_t bytes)
{
    struct kva_space *space = space_of(vm, district_at(vm, start));
    enum kva_status status = core_resize(space->map, start, start + (bytes - 1));

    verify_change(space, __func__, start);
    return status;
}

/** The segment that holds an address; false outside the reservation. */
static inline bool lookup_segment(const struct kva_vm *vm, uint64_t address, struct kva_segment *segment)
{
    if (!is_in_reservation(vm, (uintptr_t)address))
        return false;
    const struct kva_district *district = district_at(vm, address);
    core_find(space_of(vm, district)->map, address, segment);
    if (district) { /* a hole may extend into other districts */
        segment->start = max_u64(segment->start, district->start);
        segment->last = min_u64(segment->last, district->end - 1);
    }
    return true;
}

/** The first busy segment that starts at or after an address; false if there is none. */
bool kva_lookup_segment_from(const struct kva_vm *vm, uint64_t address, struct kva_segment *segment);

#endif
