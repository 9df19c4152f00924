/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The cache: areas that were freed and are still mapped, in bins by their number of pages.
 *
 *      kva_vmalloc --> this CPU's bin --empty--> the other CPUs', if their locks are free --empty-> the space
 *      kva_vfree   --> this CPU's bin --its share is full--> the bin that went cold first is parked, for room
 *
 * Each CPU has its share of the limit, so that no count is common to all. What one CPU keeps is not lost for
 * the others: a miss looks at theirs, and before a call fails for want of something, all of it is parked
 * and purged (kva_cache_park_all).
 */
#include "vm_cache.h"

#include "vm_park.h"

/** How many areas of a bin are looked at for one of the right size, nodes and alignment. They are used in
 *  turns, the last freed first, so those that serve a program come to lie on top; 16 is more than there are
 *  alignments from 4 KiB to 4 MiB. */
enum { DEPTH = 16 };

/* ------------------------------------------------------------------------------------------------- taking */

/** Serve a spec out of a CPU's bins, with its lock held, which is dropped: with one of the areas on top that
 *  fits. */
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

/** The bin other than `own` that no area has come into for longest; NULL if all others are empty. */
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

/** Make room in a CPU's share for an area: park what is in the coldest bins, so that sizes that are no longer
 *  asked for make way for those that are. Fails when the area's own bin would have to give. */
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

/** Park up to so many areas of a CPU, from bin `*bin` on; false when there are no more. With the CPU's lock
 *  held. */
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

/** The same, with the lock taken for it. */
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

/** To park an area takes some 50 ns, if its descriptor is in no cache: so many take 13 us in all. */
enum { CACHE_SLICE = 256 };

/** Park all that a CPU has, in as many slices as that is now. What is freed there meanwhile goes with the
 *  last: were it to add slices, threads that free all the time could keep this one at work for ever. */
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

/** A bin: whether each area in it belongs there and is cached. Ends with the first that does not, and with
 *  more than there can be, so that a ring is not walked for ever. */
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
            return "V3: a cached area lies in another's bin, or a bin holds what is not cached";
    }
    if (!same_count(&own, &cpu->cached) || own.bytes > vm->cache_share)
        return "V3: a CPU's count is not what its bins hold, or more than its share";
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
    return same_count(&own, cached) ? NULL : "V3: the bins do not hold all that is cached";
}
