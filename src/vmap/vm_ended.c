/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The cache of ended maps, keyed by their frames. Each ended map is in two structures. The RING holds them in
 * the order in which they ended; the oldest make room. The INDEX is a hash table of fixed size. A map's chain
 * depends on its frame set, its length and all its frames, so that maps that share some frames spread over
 * the chains.
 *
 *      index   chain 0 --> map --> map --> NULL
 *              chain 1 --> NULL
 *              chain 2 --> map --> NULL                           on average, a chain holds 4 maps at most
 *
 * COST        Finding a map and making room depend on the frames of one map only.
 */
#include "vm_ended.h"

/** Chains of the index: one for four maps, if all maps have one page and the limit is reached. */
enum { CHAINS = 4096 / 4 };

_Static_assert((CHAINS & (CHAINS - 1)) == 0, "a chain's number is some bits of a hash");

/** 2^32 over the golden ratio. Its multiples, which stand for positions, are far apart. */
#define PLACE UINT32_C(0x9e3779b9)

/** Parking a map takes some 50 ns if its descriptor misses the caches: a slice takes 13 us. */
enum { ENDED_SLICE = 256 };

/* ---------------------------------------------------------------------------------------------- the index */

/** The index stays until the instance ends: a map may be made while the lock is dropped, and it keeps a
 *  pointer to its chain. */
enum kva_status kva_ready_ended(struct kva_vm *vm)
{
    const size_t bytes = CHAINS * sizeof *vm->ended.index;

    if (vm->ended.index)
        return KVA_OK;
    vm->ended.index = vm->ledger.memory.take(vm->ledger.memory.context, bytes);
    if (!vm->ended.index)
        return KVA_ENOMEM;
    memset(vm->ended.index, 0, bytes);
    return KVA_OK;
}

void kva_end_ended(struct kva_vm *vm)
{
    if (vm->ended.index)
        vm->ledger.memory.give(vm->ledger.memory.context, vm->ended.index, CHAINS * sizeof *vm->ended.index);
    vm->ended.index = NULL;
}

/** The product of two frames' numbers, each offset by its position, so that the order counts. The sum of such
 *  products is NH, the hash of UMAC (Black, Halevi, Krawczyk, Krovetz and Rogaway, 1999), but the keys are
 *  not secret. */
static uint64_t product(uint64_t first, uint64_t second, uint32_t place)
{
    return (uint64_t)((uint32_t)first + place) * ((uint32_t)second - place);
}

/** The chain for maps of these frames: bits of the upper half of the sum's product with 2^64 over the golden
 *  ratio. Each of them depends on all bits below it. */
static struct kva_descriptor **chain_of(const struct kva_vm *vm, const struct kva_vm_frames *frames,
                                        const uint64_t *numbers, size_t count)
{
    uint64_t key = (uintptr_t)frames ^ count;
    uint32_t place = PLACE;
    size_t i = 0;

    for (; i + 1 < count; i += 2, place += PLACE)
        key += product(numbers[i], numbers[i + 1], place);
    if (i < count)
        key += product(numbers[i], 0, place);
    return &vm->ended.index[(size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 48) & (CHAINS - 1)];
}

static struct kva_descriptor **chain_of_map(const struct kva_vm *vm, const struct kva_descriptor *map)
{
    uint64_t numbers[KVA_MAP_RAM_MOST];

    kva_copy_numbers(vm, map, numbers);
    return chain_of(vm, map->of.frames, numbers, map->pages);
}

/** Whether a map maps exactly these frames, in this order. */
static bool maps_same_frames(const struct kva_vm *vm, const struct kva_descriptor *map,
                             const struct kva_vm_frames *frames, const uint64_t *numbers, size_t count)
{
    return map->pages == count && map->of.frames == frames && kva_has_numbers(vm, map, numbers);
}

/** The pointer to an ended map in its chain. */
static struct kva_descriptor **link_of(const struct kva_vm *vm, const struct kva_descriptor *map)
{
    struct kva_descriptor **link = chain_of_map(vm, map);

    while (*link != map)
        link = &(*link)->by.chain;
    return link;
}

/* --------------------------------------------------------------------------------------------- ended maps */

/** Remove the ended map to which `link` points from the index and the ring. */
static struct kva_descriptor *stop_keeping(struct kva_vm *vm, struct kva_descriptor **link)
{
    struct kva_descriptor *map = *link;

    *link = map->by.chain;
    map->by.freed_by = NULL;
    ring_remove(map);
    count_out(&vm->ended.count, map->size);
    return map;
}

struct kva_descriptor *kva_revive_map(struct kva_vm *vm, const struct kva_vm_frames *frames,
                                      const uint64_t *numbers, size_t count, const void *caller,
                                      struct kva_descriptor ***chain)
{
    struct kva_descriptor **link = *chain = chain_of(vm, frames, numbers, count);

    while (*link && !maps_same_frames(vm, *link, frames, numbers, count))
        link = &(*link)->by.chain;
    if (!*link)
        return NULL;
    struct kva_descriptor *map = stop_keeping(vm, link);
    map->caller = caller;
    vm->ended.hits++;
    unpoison(memory_of(map), map->size);
    set_state(map, KVA_VM_LIVE);
    return map;
}

struct kva_descriptor *kva_reuse_ended(struct kva_vm *vm, size_t count)
{
    struct kva_descriptor *oldest = vm->ended.ring.next;
    const uint64_t then = vm->ended.count.bytes + bytes_of_pages(vm, count);

    if (!exceeds_ended(vm, then) || oldest == &vm->ended.ring || oldest->pages != count)
        return NULL;
    kva_unlink_pages(oldest->of.frames, start_of(oldest), oldest->pages);
    return stop_keeping(vm, link_of(vm, oldest));
}

void kva_park_ended(struct kva_vm *vm, struct kva_descriptor *map)
{
    kva_unlink_pages(map->of.frames, start_of(map), map->pages);
    kva_park_area(vm, stop_keeping(vm, link_of(vm, map)));
}

void kva_park_ended_of(struct kva_vm *vm, const struct kva_vm_frames *frames)
{
    struct kva_descriptor *map = vm->ended.ring.next;

    while (map != &vm->ended.ring) {
        struct kva_descriptor *next = map->next;
        if (map->of.frames == frames)
            kva_park_ended(vm, map);
        map = next;
    }
}

static void park_oldest(struct kva_vm *vm)
{
    kva_park_ended(vm, vm->ended.ring.next);
}

/** Maps end one at a time, so the pages parked here exceed those of the newest map by less than one map. */
void kva_trim_ended(struct kva_vm *vm)
{
    while (exceeds_ended(vm, vm->ended.count.bytes))
        park_oldest(vm);
}

/** Maps that end meanwhile stay: the ring is first in, first out. */
bool kva_ended_park_all(struct kva_vm *vm)
{
    const bool any = vm->ended.count.areas > 0;

    for (uint64_t left = vm->ended.count.areas; left > 0 && vm->ended.count.areas > 0; left--) {
        park_oldest(vm);
        if (left % ENDED_SLICE == 0)
            main_yield(&vm->locks);
    }
    return any;
}

void kva_ended_park_frozen(struct kva_vm *vm)
{
    while (vm->ended.count.areas > 0)
        park_oldest(vm);
}

/* ------------------------------------------------------------------------------------------------- checks */

/** The number of maps in a chain; `most` + 1 if one of them does not belong there. */
static uint64_t count_maps_in_chain(const struct kva_vm *vm, struct kva_descriptor **chain, uint64_t most)
{
    uint64_t count = 0;

    for (const struct kva_descriptor *map = *chain; map && count <= most; map = map->by.chain) {
        bool right = area_kind(map) == KVA_VM_RAM && state_of(map) == KVA_VM_ENDED &&
                     area_starting_at(vm, start_of(map)) == map && chain_of_map(vm, map) == chain;
        count = right ? count + 1 : most + 1;
    }
    return count;
}

/** Whether the ring is linked both ways and holds the counted ended maps. */
static bool is_ring_right(const struct kva_vm *vm)
{
    const struct kva_descriptor *ring = &vm->ended.ring;
    struct kva_count count = {0, 0};

    for (const struct kva_descriptor *map = ring->next; map != ring; map = map->next) {
        if (state_of(map) != KVA_VM_ENDED || map->next->prev != map || count.areas == vm->ended.count.areas)
            return false;
        count_in(&count, map->size);
    }
    return same_count(&count, &vm->ended.count);
}

const char *kva_check_ended(const struct kva_vm *vm)
{
    uint64_t left = vm->ended.count.areas;

    for (size_t i = 0; vm->ended.index && i < CHAINS; i++) {
        uint64_t count = count_maps_in_chain(vm, &vm->ended.index[i], left);
        if (count > left)
            return "V6: the index holds a map that has not ended, or holds one in another's chain";
        left -= count;
    }
    if (left > 0)
        return "V6: an ended map is missing from the index";
    if (exceeds_ended(vm, vm->ended.count.bytes))
        return "V6: the pages of ended maps exceed the limit";
    return is_ring_right(vm) ? NULL : "V6: the ring does not hold each ended map";
}
