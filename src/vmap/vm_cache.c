/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The cache: freed areas that are still mapped, in bins by their number of pages.
 *
 *      kva_vmalloc --> this CPU's bin --empty--> the other CPUs', if their locks are free --empty-> the space
 *      kva_vfree   --> this CPU's bin --its share is full--> areas of the coldest bin are parked to make room
 *
 * Each CPU has its own share of the limit, so no count is shared. Other CPUs still find what one CPU caches:
 * a miss searches their bins, and before a call fails for a shortage, all cached areas are parked and purged
 * (kva_cache_park_all).
 */
#include "vm_cache.h"

#include "vm_park.h"

/** The most areas of a bin that are compared with a spec's size, nodes and alignment. Areas are reused last
 *  in, first out, so those that suit the program come to lie on top; 16 exceeds the number of alignments from
 *  4 KiB to 4 MiB. */
enum { DEPTH = 16 };

/* ------------------------------------------------------------------------------------------------- taking */

/** Serve a spec from a CPU's bins, with its lock held, which is dropped: by the first that fits among the top
 *  areas. */
static bool take_from(struct kva_vm *vm, struct kva_vm_cpu *cpu, const struct kva_spec *spec,
                      struct kva_taken *taken)
{
    struct kva_descriptor **link = &cpu->bin[bin_of(spec->pages)].head;
    bool found = false;

    for (unsigned looked = 0; !found && *link && looked < DEPTH; looked++) {
        found = (*link)->pages == spec->pages && (*link)->nodes == spec->nodes &&
                (start_of(*link) & (spec->align - 1)) == 0;
        if (!found)
            link = &(*link)->next;
    }
    if (found)
        *taken = cache_revive(vm, cpu, link, spec->size, (size_t)spec->align, spec->flags, spec->caller,
                              spec->owner);
    lock_drop(&cpu->lock, vm->locks.threads);
    return found;
}

bool kva_cache_take(struct kva_vm *vm, const struct kva_spec *spec, struct kva_taken *taken)
{
    struct kva_vm_cpu *own = cpu_here(&vm->locks);

    lock_take(&own->lock, vm->locks.threads);
    bool found = take_from(vm, own, spec, taken);
    for (unsigned i = 0; !found && i < vm->locks.cpu_count; i++) {
        struct kva_vm_cpu *other = cpu_record(&vm->locks, i);
        if (other != own && lock_try(&other->lock, vm->locks.threads))
            found = take_from(vm, other, spec, taken);
    }
    return found;
}

/* ------------------------------------------------------------------------------------------------ putting */

/** The bin other than `own` whose last push is the oldest; NULL if all others are empty. */
static struct kva_bin *coldest_bin(struct kva_vm_cpu *cpu, const struct kva_bin *own)
{
    struct kva_bin *coldest = NULL;

    for (size_t i = 0; i < KVA_VM_BINS; i++) {
        struct kva_bin *bin = &cpu->bin[i];
        if (bin != own && bin->head && (!coldest || bin->used < coldest->used))
            coldest = bin;
    }
    return coldest;
}

/** Make room in a CPU's share for an area: park areas of the coldest bins, so that sizes in use displace
 *  sizes that are no longer requested. Fails if only the area's own bin is left. */
static bool make_cache_room(struct kva_vm *vm, struct kva_vm_cpu *cpu, const struct kva_descriptor *area)
{
    size_t bytes = area_bytes(vm, area);

    if (bytes > vm->cache_share)
        return false;
    while (cpu->cached.bytes > vm->cache_share - bytes) {
        struct kva_bin *coldest = coldest_bin(cpu, &cpu->bin[bin_of(area->pages)]);
        if (!coldest)
            return false;
        while (coldest->head && cpu->cached.bytes > vm->cache_share - bytes)
            kva_park_area(vm, cache_pop(vm, cpu, &coldest->head));
    }
    return true;
}

bool kva_cache_put(struct kva_vm *vm, struct kva_descriptor *area, const void *by)
{
    struct kva_vm_cpu *cpu = cpu_here(&vm->locks);

    lock_take(&cpu->lock, vm->locks.threads);
    bool has_room = make_cache_room(vm, cpu, area);
    if (has_room)
        cache_push(vm, cpu, area, by);
    lock_drop(&cpu->lock, vm->locks.threads);
    return has_room;
}

/* ----------------------------------------------------------------------------------------------- emptying */

/** Park up to `most` areas of a CPU, from bin `*bin` on; false if there are no more. Under the CPU's lock. */
static bool park_some(struct kva_vm *vm, struct kva_vm_cpu *cpu, size_t *bin, size_t most)
{
    while (*bin < KVA_VM_BINS && most > 0) {
        if (cpu->bin[*bin].head) {
            kva_park_area(vm, cache_pop(vm, cpu, &cpu->bin[*bin].head));
            most--;
        } else {
            ++*bin;
        }
    }
    return *bin < KVA_VM_BINS;
}

/** Take the CPU's lock for park_some(). */
static bool park_slice(struct kva_vm *vm, struct kva_vm_cpu *cpu, size_t *bin, size_t most)
{
    lock_take(&cpu->lock, vm->locks.threads);
    bool more = park_some(vm, cpu, bin, most);
    lock_drop(&cpu->lock, vm->locks.threads);
    return more;
}

static uint64_t count_cached(struct kva_vm *vm, struct kva_vm_cpu *cpu)
{
    lock_take(&cpu->lock, vm->locks.threads);
    uint64_t areas = cpu->cached.areas;
    lock_drop(&cpu->lock, vm->locks.threads);
    return areas;
}

/** Parking an area takes some 50 ns if its descriptor misses the caches: a slice takes 13 us. */
enum { CACHE_SLICE = 256 };

/** Park all areas of a CPU, in as many slices as they make at the start. The last slice also takes the areas
 *  freed meanwhile: if they added slices, threads that free all the time could prolong this without end. */
static void park_cpu(struct kva_vm *vm, struct kva_vm_cpu *cpu)
{
    uint64_t slices = count_cached(vm, cpu) / CACHE_SLICE;
    size_t bin = 0;

    while (slices-- > 0 && park_slice(vm, cpu, &bin, CACHE_SLICE))
        main_yield(&vm->locks);
    (void)park_slice(vm, cpu, &bin, SIZE_MAX);
}

bool kva_cache_park_all(struct kva_vm *vm)
{
    uintptr_t before = vm->parked.tickets;

    for (unsigned i = 0; i < vm->locks.cpu_count; i++)
        park_cpu(vm, cpu_record(&vm->locks, i));
    return vm->parked.tickets != before;
}

void kva_cache_park_frozen(struct kva_vm *vm)
{
    for (unsigned i = 0; i < vm->locks.cpu_count; i++) {
        size_t bin = 0;
        (void)park_some(vm, cpu_record(&vm->locks, i), &bin, SIZE_MAX);
    }
}

struct kva_vm_cpu_sums kva_cache_sums(const struct kva_vm *vm)
{
    struct kva_vm_cpu_sums sums = {{0, 0}, 0, 0};

    for (unsigned i = 0; i < vm->locks.cpu_count; i++) {
        const struct kva_vm_cpu *cpu = cpu_record(&vm->locks, i);
        sums.cached.areas += cpu->cached.areas;
        sums.cached.bytes += cpu->cached.bytes;
        sums.hits += cpu->hits;
        sums.frees += cpu->frees;
    }
    return sums;
}

/* ------------------------------------------------------------------------------------------------- checks */

/** Whether each area of a bin is cached and belongs there. Stops at the first that does not, and at more
 *  areas than exist, so that a cycle ends. */
static bool check_bin(const struct kva_vm *vm, const struct kva_bin *bin, size_t i, struct kva_count *count)
{
    for (const struct kva_descriptor *area = bin->head; area; area = area->next) {
        if (bin_of(area->pages) != i || state_of(area) != KVA_VM_CACHED || count->areas > vm->all.areas)
            return false;
        count_in(count, area_bytes(vm, area));
    }
    return true;
}

static const char *check_cpu(const struct kva_vm *vm, const struct kva_vm_cpu *cpu, struct kva_count *cached)
{
    struct kva_count own = {0, 0};

    for (size_t i = 0; i < KVA_VM_BINS; i++) {
        if (!check_bin(vm, &cpu->bin[i], i, &own))
            return "V3: a bin holds an area of another size, or one that is not cached";
    }
    if (!same_count(&own, &cpu->cached) || own.bytes > vm->cache_share)
        return "V3: a CPU's count differs from its bins, or exceeds its share";
    cached->areas += own.areas;
    cached->bytes += own.bytes;
    return NULL;
}

const char *kva_check_cache(const struct kva_vm *vm, const struct kva_count *cached)
{
    struct kva_count own = {0, 0};

    for (unsigned i = 0; i < vm->locks.cpu_count; i++) {
        const char *broken = check_cpu(vm, cpu_record(&vm->locks, i), &own);
        if (broken)
            return broken;
    }
    return same_count(&own, cached) ? NULL : "V3: the bins do not hold each cached area";
}
