/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Where areas lie. A space tiles the reservation: a busy segment for each area and its guard page, also for
 * one that is parked. Areas in districts have theirs in a second one. This room and vm_district alone call
 * these spaces; per-CPU objects have one of their own.
 */
#ifndef KVA_VMAP_VM_PLACE_H
#define KVA_VMAP_VM_PLACE_H

#include "vm_district.h"

/** What an area is to be, once the request has been found to be in order. */
struct kva_spec {
    uint64_t bytes; /* of the segment: pages and guard */
    uint64_t align;
    uint64_t min; /* the window of the segment, cut to the part of the reservation that it goes to */
    uint64_t max;
    size_t size;
    uint32_t pages;
    uint8_t guard; /* pages of guard after them */
    unsigned flags;
    enum kva_vm_kind kind;
    bool anywhere; /* no window was asked for */
    const void *caller;
    void *owner;
    struct kva_vm_nodes node; /* where its pages come from */
    unsigned nodes;           /* the number of that, when the request came */
    const struct kva_stripes
        *stripes;                 /* of a per-CPU chunk: where its groups' pages come from; NULL: `node` */
    struct kva_vm_frames *frames; /* of a map: the pool, and the frames' numbers; NULL: pages of its own */
    const uint64_t *numbers;
};

/** How far hardened areas are strewn: 2^18 pages of 4 KiB for an attacker to guess among, and yet, should
 *  they lie one in each 2 MiB, no more than 512 page tables and 1,025 mappings. */
#define KVA_VM_SCATTER (UINT64_C(1) << 30)

/** Begin with a space over the reservation in which all is free; or why there is none. */
enum kva_status kva_init_places(struct kva_vm *vm, const struct kva_vm_config *config);

/** Where nothing is busy, and there is no district: begin with another such space, and give back what the old
 *  one has grown to; if that is refused, the old one stays. */
void kva_renew_places(struct kva_vm *vm);

/** Give the spaces' memory back, whatever is busy in them. */
static inline void end_places(struct kva_vm *vm)
{
    kva_end_districts(vm, true);
    (void)kva_space_abandon(vm->space);
}

/** The bytes of memory that the space takes. */
static inline uint64_t memory_of_places(const struct kva_vm *vm)
{
    struct kva_stats stats;
    struct kva_stats of_districts = {0};

    (void)kva_stats_read(vm->space, &stats);
    if (vm->districts.space.map)
        (void)kva_stats_read(&vm->districts.space, &of_districts);
    return stats.memory_bytes + of_districts.memory_bytes + vm->districts.room * sizeof(struct kva_district);
}

/** Check the spaces by themselves: KVA_OK, or KVA_ECORRUPT and *fault. */
static inline enum kva_status check_places(const struct kva_vm *vm, struct kva_fault *fault)
{
    enum kva_status status = kva_space_check(vm->space, fault);

    return status == KVA_OK && vm->districts.space.map ? kva_space_check(&vm->districts.space, fault)
                                                       : status;
}

/** Take addresses for a spec; nothing is opened. */
enum kva_status kva_place_area(struct kva_vm *vm, const struct kva_spec *spec, uint64_t *start);

/** Take the addresses of all parts, at offsets from one base. */
enum kva_status kva_place_parts(struct kva_vm *vm, const struct kva_spec *spec, const struct kva_part *parts,
                                size_t count, uint64_t *base);

/** Give the segment back that starts at an address. */
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

/** Where the addresses end that an area may grow into: with its district, or with its part of the
 *  reservation. */
static inline uint64_t end_of_place(const struct kva_vm *vm, uint64_t start)
{
    const struct kva_district *district = district_at(vm, start);

    return district ? district->end : vm->frames_first;
}

/** Change the size of the segment that starts at an address: KVA_OK, KVA_ENOSPC or KVA_ENOMEM. To make it as
 *  long as it was before it grew needs no memory, and cannot fail. */
static inline enum kva_status resize_place(struct kva_vm *vm, uint64_t start, uint64_t bytes)
{
    struct kva_space *space = space_of(vm, district_at(vm, start));
    enum kva_status status = core_resize(space->map, start, start + (bytes - 1));

    verify_change(space, __func__, start);
    return status;
}

/** The segment that holds an address; false outside the reservation. */
static inline bool segment_at(const struct kva_vm *vm, uint64_t address, struct kva_segment *segment)
{
    if (!is_in_reservation(vm, (uintptr_t)address))
        return false;
    const struct kva_district *district = district_at(vm, address);
    core_find(space_of(vm, district)->map, address, segment);
    if (district) { /* what is free may go on in another one, or come from it */
        segment->start = max_u64(segment->start, district->start);
        segment->last = min_u64(segment->last, district->end - 1);
    }
    return true;
}

/** The first busy segment that starts at or after an address; false if there is none. */
bool kva_segment_from(const struct kva_vm *vm, uint64_t address, struct kva_segment *segment);

#endif
