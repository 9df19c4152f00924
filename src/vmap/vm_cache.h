/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The cache: areas that were freed and are still mapped, in bins by their number of pages. Here are the
 * structures, and the steps that kva_vmalloc and kva_vfree take under one CPU's lock alone.
 */
#ifndef KVA_VMAP_VM_CACHE_H
#define KVA_VMAP_VM_CACHE_H

#include "vm_area.h"

/** The largest area, in pages, that has a bin of its own in the cache. One area of each size 1 .. 127 takes
 *  8128 pages: 31.75 MiB of 4 KiB each, just below the least default limit of the cache (32 MiB, on one CPU).
 *  So a program that uses all of these sizes by turns finds each of them cached. */
enum { KVA_VM_CLASSES = 127 };

/** Larger ones share bins, 8 to each doubling, from 2^7 pages up to what 32 bits count. */
enum { KVA_VM_BINS = KVA_VM_CLASSES + 1 + 8 * (32 - 7) };

/** Cached areas, the last freed first. */
struct kva_bin {
    struct kva_descriptor *head;
    uint64_t used; /* when an area came in last, in frees of the CPU */
};

/** What one CPU keeps at hand, on cache lines of its own. "CPU" is only where a thread looks first: any
 *  thread may use any, under its lock, and areas go to the bins of the CPU that frees them. */
struct kva_vm_cpu {
    _Alignas(KVA_LINE) struct kva_lock lock;
    struct kva_count cached;
    uint64_t hits;
    uint64_t frees;
    uint64_t claims;                 /* areas that were claimed here and could not be cached */
    struct kva_bin bin[KVA_VM_BINS]; /* see bin_of */
};
_Static_assert(offsetof(struct kva_vm_cpu, lock) == 0, "a CPU's record begins with its lock");

/** Where an area lies that was just allocated: not its descriptor, since with a stale pointer another thread
 *  may free it at any moment from when it is live, and then that is another area's. */
struct kva_taken {
    char *memory;
    size_t bytes; /* of its pages */
    bool fresh;   /* its pages are new, and read as zero */
};

/** The bin for areas of so many pages. Above KVA_VM_CLASSES: by the highest bit and the three after it. */
static inline unsigned bin_of(uint32_t pages)
{
    if (pages <= KVA_VM_CLASSES)
        return pages;
    unsigned high = 31 - (unsigned)__builtin_clz(pages);
    return KVA_VM_CLASSES + 1 + (high - 7) * 8 + (pages >> (high - 3) & 7);
}

/** Make an area that may be cached, and that is claimed, the first of its bin. With the CPU's lock held. */
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

/** Take an area out of its bin, in which `link` points to it. With the CPU's lock held. */
static inline struct kva_descriptor *cache_pop(const struct kva_vm *vm, struct kva_vm_cpu *cpu,
                                               struct kva_descriptor **link)
{
    struct kva_descriptor *area = *link;

    *link = area->next;
    count_out(&cpu->cached, area_bytes(vm, area));
    return area;
}

/** Make a cached area the caller's, to which `link` points. With the CPU's lock held; but once it is live,
 *  another CPU's is enough to free it, and so that comes last. */
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

/** Whether a vmalloc area is of a sort that can be cached, room aside. */
static inline bool is_cacheable(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    return area->pages <= vm->cache_pages && !(area->flags & (KVA_VM_HUGE | KVA_VM_FOREIGN));
}

/** Serve a spec out of some CPU's bins, if that can be. Without the instance's lock. */
bool kva_cache_take(struct kva_vm *vm, const struct kva_spec *spec, struct kva_taken *taken);

/** Put a claimed area into the cache, and park what has to make room for it; returns whether there was
 *  room. */
bool kva_cache_put(struct kva_vm *vm, struct kva_descriptor *area, const void *by);

/** Park all that is cached; returns whether there was any. The lock is dropped in between. */
bool kva_cache_park_all(struct kva_vm *vm);

/** Park all that is cached, in one step, with the locks of all CPUs held. */
void kva_cache_park_frozen(struct kva_vm *vm);

/** What all CPUs count. With their locks held. */
struct kva_vm_cpu_sums {
    struct kva_count cached;
    uint64_t hits;
    uint64_t frees;
};
struct kva_vm_cpu_sums kva_cache_sums(const struct kva_vm *vm);

/** V3: NULL, or how it is broken. `cached` is what a walk over all areas has found. */
const char *kva_check_cache(const struct kva_vm *vm, const struct kva_count *cached);

#endif
