/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The cache: freed areas that are still mapped, in bins by their number of pages. This file has the
 * structures, and the steps of kva_vmalloc and kva_vfree that need one CPU's lock only. vm_cache.c draws the
 * whole.
 */
#ifndef KVA_VMAP_VM_CACHE_H
#define KVA_VMAP_VM_CACHE_H

#include "vm_area.h"

/** The largest area, in pages, with a bin of its own. One area of each size 1 .. 127 takes 8128 pages: 31.75
 *  MiB of 4 KiB each, just below the least default limit of the cache (32 MiB, on one CPU). A program that
 *  cycles through all of these sizes finds each of them cached. */
enum { KVA_VM_CLASSES = 127 };

/** Larger areas share bins, 8 per doubling, from 2^7 pages to the end of 32 bits. */
enum { KVA_VM_BINS = KVA_VM_CLASSES + 1 + 8 * (32 - 7) };

/** A stack of cached areas. */
struct kva_bin {
    struct kva_descriptor *head;
    uint64_t used; /* the CPU's `frees` at the last push */
};

/** The cache of one CPU, on cache lines of its own. Any thread may use any CPU's record under its lock: the
 *  current CPU is only where a thread looks first, and a freed area goes to the bins of the CPU that frees
 *  it. */
struct kva_vm_cpu {
    _Alignas(KVA_LINE) struct kva_lock lock;
    struct kva_count cached;
    uint64_t hits;
    uint64_t frees;
    uint64_t claims;                 /* areas claimed here that could not be cached */
    struct kva_bin bin[KVA_VM_BINS]; /* see bin_of */
};
_Static_assert(offsetof(struct kva_vm_cpu, lock) == 0, "a CPU's record begins with its lock");

/** The pages of an area that was just allocated. Not its descriptor: once the area is live, another thread
 *  may free it through a stale pointer, and the descriptor may be reused. */
struct kva_taken {
    char *memory;
    size_t bytes; /* of its pages */
    bool fresh;   /* its pages are new and read as zero */
};

/** The bin for areas of so many pages. Above KVA_VM_CLASSES: by the highest bit and the three bits below
 *  it. */
static inline unsigned bin_of(uint32_t pages)
{
    if (pages <= KVA_VM_CLASSES)
        return pages;
    unsigned high = 31 - (unsigned)__builtin_clz(pages);
    return KVA_VM_CLASSES + 1 + (high - 7) * 8 + (pages >> (high - 3) & 7);
}

/** Push a claimed, cacheable area onto its bin. Under the CPU's lock. */
static inline void cache_push(const struct kva_vm *vm, struct kva_vm_cpu *cpu, struct kva_descriptor *area,
                              const void *by)
{
    size_t bytes = area_bytes(vm, area);

    area->by.freed_by = by;
    struct kva_bin *bin = &cpu->bin[bin_of(area->pages)];
    area->next = bin->head;
    bin->head = area;
    bin->used = cpu->frees;
    count_in(&cpu->cached, bytes);
    poison(memory_of(area), bytes);
    set_state(area, KVA_VM_CACHED);
}

/** Remove the area to which `link` points from its bin. Under the CPU's lock. */
static inline struct kva_descriptor *cache_pop(const struct kva_vm *vm, struct kva_vm_cpu *cpu,
                                               struct kva_descriptor **link)
{
    struct kva_descriptor *area = *link;

    *link = area->next;
    count_out(&cpu->cached, area_bytes(vm, area));
    return area;
}

/** Allocate the cached area to which `link` points. Under the CPU's lock. The state is set last: once the
 *  area is live, it can be freed under another CPU's lock. */
static inline struct kva_taken cache_revive(const struct kva_vm *vm, struct kva_vm_cpu *cpu,
                                            struct kva_descriptor **link, size_t size, size_t align,
                                            unsigned flags, const void *caller, void *owner)
{
    struct kva_descriptor *area = cache_pop(vm, cpu, link);
    const struct kva_taken taken = {memory_of(area), area_bytes(vm, area), false};

    cpu->hits++;
    area->flags = flags_of_area(flags);
    area->align_shift = (uint8_t)lowest_bit(align);
    area->size = size;
    area->caller = caller;
    area->by.owner = owner;
    unpoison(taken.memory, size);
    set_state(area, KVA_VM_LIVE);
    sync_point(vm->locks.threads);
    return taken;
}

/** Whether a vmalloc area may be cached if there is room. */
static inline bool is_cacheable(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    return area->pages <= vm->cache_pages && !(area->flags & (KVA_VM_HUGE | KVA_VM_FOREIGN));
}

/** Serve a spec from any CPU's bins; false if none has a fitting area. Without the main lock. */
bool kva_cache_take(struct kva_vm *vm, const struct kva_spec *spec, struct kva_taken *taken);

/** Cache a claimed area, and park others to make room; false if there is no room. */
bool kva_cache_put(struct kva_vm *vm, struct kva_descriptor *area, const void *by);

/** Park all cached areas; returns whether there were any. The lock is dropped between slices. */
bool kva_cache_park_all(struct kva_vm *vm);

/** Park all cached areas in one step, with all CPUs' locks held. */
void kva_cache_park_frozen(struct kva_vm *vm);

/** The sums of all CPUs' counts. With their locks held. */
struct kva_vm_cpu_sums {
    struct kva_count cached;
    uint64_t hits;
    uint64_t frees;
};
struct kva_vm_cpu_sums kva_cache_sums(const struct kva_vm *vm);

/** V3: NULL, or how it is broken. `cached` is the count of a walk over all areas. */
const char *kva_check_cache(const struct kva_vm *vm, const struct kva_count *cached);

#endif
