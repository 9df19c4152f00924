/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * map_ram: a cache of ended maps, keyed by their frames.
 *
 * A map of up to KVA_MAP_RAM_MOST frames is an area like those of vmap, but without a guard page. When it ends, it stays mapped:
 *
 *      kva_map_ram ---found---> the ended map is live again           no call
 *           | not found
 *           v
 *      fresh: an area, its descriptor, its addresses                  a call for each run of frames
 *
 *      kva_unmap_ram ---> ended: | oldest | ... | newest |            MOST_ENDED pages at most
 *                                    | makes way
 *                                    v
 *                                  parked, as other areas             at KVA_VM_PARKED_RAM pages follows a purge:
 *                                                                     a call for each run of neighbours
 *
 * Each ended map is in two structures. The RING holds them in the order in which they ended. The INDEX is a hash table of fixed
 * size: a map's chain depends on its pool, on its length, and on all of its frames, so that maps which agree in some frames are spread.
 *
 *      index   chain 0 --> map --> map --> NULL
 *              chain 1 --> NULL
 *              chain 2 --> map --> NULL                               4 maps for each chain at most, on average
 *
 * So a map is found again, and makes way, at a cost that depends on its own frames only. What has made way is not found any more.
 *
 * Larger maps are areas like those of vmap in every respect. So is every map of a hardened instance, which keeps nothing mapped.
 *
 * The instance's lock guards all of this.
 */
#include "vm.h"

/** Pages of ended maps that are kept. With those that are parked they make 4096. If each page is a mapping of its own and splits
 *  another, that is an eighth of the 65,530 mappings that Linux allows a process by default. */
enum { MOST_ENDED = 4096 - KVA_VM_PARKED_RAM };

/** Chains of the index: one for four maps, if all are of one page and as many are kept as can be. */
enum { CHAINS = 4096 / 4 };

_Static_assert((CHAINS & (CHAINS - 1)) == 0, "a chain's number is some bits of a hash");

/** 2^32 over the golden ratio: its multiples, which stand for places, lie far apart. */
#define PLACE UINT32_C(0x9e3779b9)

/** To park a map takes some 50 ns, if its descriptor is in no cache: so many take 13 us in all. */
enum { SLICE = 256 };

/* ---------------------------------------------------------------------------------------------- the index */

/** Make the index, if there is none yet. It lives as long as the instance: the lock may be dropped while a map is made. */
static enum kva_status attempt_index(void *instance, void *context)
{
    struct kva_vm *vm = instance;
    const size_t bytes = CHAINS * sizeof *vm->ram.index;

    (void)context;
    if (vm->ram.index)
        return KVA_OK;
    vm->ram.index = vm->ledger.memory.take(vm->ledger.memory.context, bytes);
    if (!vm->ram.index)
        return KVA_ENOMEM;
    memset(vm->ram.index, 0, bytes);
    return KVA_OK;
}

void kva_ram_end(struct kva_vm *vm)
{
    if (vm->ram.index)
        vm->ledger.memory.give(vm->ledger.memory.context, vm->ram.index, CHAINS * sizeof *vm->ram.index);
    vm->ram.index = NULL;
}

/** Two numbers of frames, each shifted by its place, so that order counts. The sum of such products is NH, the
 *  hash of UMAC (Black, Halevi, Krawczyk, Krovetz and Rogaway, 1999), but for keys that are not secret. */
static uint64_t product(uint32_t first, uint32_t second, uint32_t place)
{
    return (uint64_t)(first + place) * (second - place);
}

/** The chain for maps of these frames: bits of the upper half of the sum's product with 2^64 over the golden ratio, each of which
 *  depends on all bits below it. */
static struct kva_descriptor **chain_of(const struct kva_vm *vm, const struct kva_frames *frames,
                                        const uint32_t *numbers, size_t count)
{
    uint64_t key = (uintptr_t)frames ^ count;
    uint32_t place = PLACE;
    size_t i = 0;

    for (; i + 1 < count; i += 2, place += PLACE)
        key += product(numbers[i], numbers[i + 1], place);
    if (i < count)
        key += product(numbers[i], 0, place);
    return &vm->ram.index[(size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 48) & (CHAINS - 1)];
}

static struct kva_descriptor **chain_of_map(const struct kva_vm *vm, const struct kva_descriptor *map)
{
    uint32_t copy[KVA_MAP_RAM_MOST];

    return chain_of(vm, map->of.frames, numbers_of(vm, map, copy), map->pages);
}

/** Whether a map is one of just these frames, in this order. */
static bool maps_same_frames(const struct kva_vm *vm, const struct kva_descriptor *map,
                             const struct kva_frames *frames, const uint32_t *numbers, size_t count)
{
    uint32_t copy[KVA_MAP_RAM_MOST];

    return map->pages == count && map->of.frames == frames &&
           memcmp(numbers_of(vm, map, copy), numbers, count * sizeof *numbers) == 0;
}

/** The pointer to an ended map of these frames in their chain, or the NULL at the chain's end. */
static struct kva_descriptor **find_ended(const struct kva_vm *vm, struct kva_descriptor **chain,
                                          const struct kva_frames *frames, const uint32_t *numbers,
                                          size_t count)
{
    struct kva_descriptor **link = chain;

    while (*link && !maps_same_frames(vm, *link, frames, numbers, count))
        link = &(*link)->by.chain;
    return link;
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

/** Keep a map that ends. */
static void keep(struct kva_vm *vm, struct kva_descriptor *map)
{
    struct kva_descriptor **chain = map->by.home;

    map->by.chain = *chain;
    *chain = map;
    ring_add(&vm->ram.ring, map);
    count_in(&vm->ram.ended, map->size);
    vm->ram.live--;
    poison(memory_of(map), map->size);
    set_state(map, KVA_VM_ENDED);
}

/** Take an ended map, to which `link` points in its chain, out of the index and off the ring. */
static struct kva_descriptor *stop_keeping(struct kva_vm *vm, struct kva_descriptor **link)
{
    struct kva_descriptor *map = *link;

    *link = map->by.chain;
    map->by.freed_by = NULL;
    ring_remove(map);
    count_out(&vm->ram.ended, map->size);
    return map;
}

static struct kva_descriptor *revive(struct kva_vm *vm, struct kva_descriptor **link, const void *caller)
{
    struct kva_descriptor *map = stop_keeping(vm, link);

    map->caller = caller;
    vm->ram.hits++;
    unpoison(memory_of(map), map->size);
    set_state(map, KVA_VM_LIVE);
    return map;
}

/** Park the map that ended first. */
static void park_oldest(struct kva_vm *vm)
{
    kva_park_area(vm, stop_keeping(vm, link_of(vm, vm->ram.ring.next)));
}

/** Park the maps that ended first, if more is kept than the limit. A map ends at a time, so it is no more pages than that map has. */
static void make_room(struct kva_vm *vm)
{
    const uint64_t most = bytes_of_pages(vm, MOST_ENDED);

    if (vm->ram.ended.bytes <= most)
        return;
    while (vm->ram.ended.bytes > most)
        park_oldest(vm);
    kva_purge_excess(vm);
}

/** What ends meanwhile stays: the ring is first in, first out. */
bool kva_ram_park_all(struct kva_vm *vm)
{
    const bool any = vm->ram.ended.areas > 0;

    for (uint64_t left = vm->ram.ended.areas; left > 0 && vm->ram.ended.areas > 0; left--) {
        park_oldest(vm);
        if (left % SLICE == 0)
            main_yield(&vm->locks);
    }
    return any;
}

void kva_ram_park_frozen(struct kva_vm *vm)
{
    while (vm->ram.ended.areas > 0)
        park_oldest(vm);
}

/* ----------------------------------------------------------------------------------------- map and unmap */

/** A map that is kept when it ends: found again, or fresh. */
static enum kva_status map_short(struct kva_vm *vm, struct kva_frames *frames, const uint32_t *numbers,
                                 size_t count, const void *caller, struct kva_descriptor **map)
{
    enum kva_status status =
        vm->ram.index ? KVA_OK : kva_obtain(vm, count << vm->page_shift, 0, attempt_index, NULL);

    if (status != KVA_OK)
        return status;
    struct kva_descriptor **chain = chain_of(vm, frames, numbers, count);
    struct kva_descriptor **link = find_ended(vm, chain, frames, numbers, count);
    if (*link) {
        *map = revive(vm, link, caller);
    } else {
        status = kva_take_map(vm, frames, numbers, count, 0, KVA_VM_RAM, caller, map);
        if (status != KVA_OK)
            return status;
        vm->ram.misses++;
    }
    vm->ram.live++;
    (*map)->by.home = chain; /* the index stays where it is */
    return KVA_OK;
}

static enum kva_status map_ram(struct kva_vm *vm, struct kva_frames *frames, const uint32_t *numbers,
                               size_t count, const void *caller, void **memory, struct kva_bad *bad)
{
    struct kva_descriptor *map;
    enum kva_status status = kva_use_frames(vm, frames, numbers, count, bad);

    if (status != KVA_OK)
        return status;
    frames->pending += count;
    status = is_short_map(vm, KVA_VM_RAM, count)
                 ? map_short(vm, frames, numbers, count, caller, &map)
                 : kva_take_map(vm, frames, numbers, count, 0, KVA_VM_RAM, caller, &map);
    frames->pending -= count;
    if (status == KVA_OK)
        *memory = memory_of(map);
    else
        kva_unuse_frames(frames, numbers, count);
    return status;
}

static enum kva_status map_locked(struct kva_vm *vm, struct kva_frames *frames, const uint32_t *numbers,
                                  size_t count, const void *caller, void **memory)
{
    struct kva_bad bad = {NULL, 0};

    vm_enter(vm);
    enum kva_status status = map_ram(vm, frames, numbers, count, caller, memory, &bad);
    status = finish_of(vm, status, "kva_vm_map_ram", 0, &bad);
    vm_leave(vm);
    return status;
}

enum kva_status kva_vm_map_ram(struct kva_vm *vm, struct kva_frames *frames, const uint32_t *numbers,
                               size_t count, void **memory)
{
    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return refuse_pointer(vm, __func__, 0, "memory");
    return map_locked(vm, frames, numbers, count, CALLER(), memory);
}

void *kva_map_ram(struct kva_vm *vm, struct kva_frames *frames, const uint32_t *numbers, size_t count)
{
    void *memory = NULL;

    if (!vm || map_locked(vm, frames, numbers, count, CALLER(), &memory) != KVA_OK)
        return NULL;
    return memory;
}

static void unmap(struct kva_vm *vm, struct kva_descriptor *map, const void *by)
{
    kva_unuse_map(vm, map);
    if (is_short_map(vm, KVA_VM_RAM, map->pages)) {
        keep(vm, map);
        make_room(vm);
    } else {
        kva_retire_area(vm, map, by);
        kva_purge_excess(vm);
    }
}

enum kva_status kva_unmap_ram(struct kva_vm *vm, void *memory)
{
    enum kva_status status = KVA_OK;

    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return KVA_OK;
    vm_enter(vm);
    struct kva_descriptor *map = kva_live_area(vm, memory, KVA_VM_RAM, &status);
    if (map)
        unmap(vm, map, CALLER());
    status = finish(vm, status, __func__, (uintptr_t)memory);
    vm_leave(vm);
    return status;
}

/* ------------------------------------------------------------------------------------------------- checks */

/** How many maps a chain holds; `most` + 1 if one of them does not belong there. */
static uint64_t count_chain(const struct kva_vm *vm, struct kva_descriptor **chain, uint64_t most)
{
    uint64_t count = 0;

    for (const struct kva_descriptor *map = *chain; map && count <= most; map = map->by.chain) {
        bool right = kind_of(map) == KVA_VM_RAM && state_of(map) == KVA_VM_ENDED &&
                     area_at(vm, start_of(map)) == map && chain_of_map(vm, map) == chain;
        count = right ? count + 1 : most + 1;
    }
    return count;
}

/** Whether the ring is linked both ways and holds as many ended maps as are counted. */
static bool is_ring_right(const struct kva_vm *vm)
{
    const struct kva_descriptor *ring = &vm->ram.ring;
    struct kva_count ended = {0, 0};

    for (const struct kva_descriptor *map = ring->next; map != ring; map = map->next) {
        if (state_of(map) != KVA_VM_ENDED || map->next->prev != map || ended.areas == vm->ram.ended.areas)
            return false;
        count_in(&ended, map->size);
    }
    return ended.areas == vm->ram.ended.areas && ended.bytes == vm->ram.ended.bytes;
}

const char *kva_ram_check(const struct kva_vm *vm)
{
    uint64_t left = vm->ram.ended.areas;

    for (size_t i = 0; vm->ram.index && i < CHAINS; i++) {
        uint64_t count = count_chain(vm, &vm->ram.index[i], left);
        if (count > left)
            return "V6: the index holds a map that has not ended, or holds one in another's chain";
        left -= count;
    }
    if (left > 0)
        return "V6: an ended map is missing from the index";
    if (vm->ram.ended.bytes > bytes_of_pages(vm, MOST_ENDED))
        return "V6: more pages of ended maps are kept than the limit";
    return is_ring_right(vm) ? NULL : "V6: the ring does not hold each ended map";
}
