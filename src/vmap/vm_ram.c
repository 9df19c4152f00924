/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * map_ram: short-lived maps.
 *
 * Each CPU has a BLOCK that its maps are carved from, 512 pages with a guard page behind. A map that ends stays mapped:
 * it is PARKED in an index, under its frames, where a map of the same frames finds it again without a call. So a page of
 * a block is free, live or parked (what others call dirty):
 *
 *      |h|LLLLPPLLPPPPPPPPLL                        |g|
 *       |  ^ live  ^ parked                ^ free
 *       head: a page that is never mapped. The table's entry for it is the block's, so that the first map can have its own
 *
 * When the CPU's block has no room, it takes the first of these that has:
 *
 *      1. another block with room that no CPU carves from
 *      2. a new block, while no more than a limit is parked
 *      3. what a flush gives: all blocks without a live map are unmapped, neighbours by one call. If there is none, the block of
 *         which most is parked loses its parked maps, one call for each run of them
 *
 * All of this is under the instance's lock. CPUs have blocks of their own not to do without it, but so that
 * what is mapped and unmapped there lies together.
 *
 * With each page of a block goes a number, that of the frame behind it (vm->frame_at): a key of which the index needs
 * only a hash, and what tells the pool which frames a map lets go.
 */
#include "../base/bits.h"
#include "vm.h"

/** Pages of a block for maps: 2 MiB of 4 KiB pages, as many as one page table maps. */
enum { BLOCK_PAGES = 8 * KVA_MAP_RAM_MOST, WORDS = BLOCK_PAGES / 64 };

/** Pages that may be parked before blocks are unmapped rather than added: 8 blocks. Should each page be a mapping of its
 *  own, and split another, that is an eighth of the 65,530 that Linux allows a process by default. */
enum { MOST_PARKED = 8 * BLOCK_PAGES };

/** Chains of the index: with all of MOST_PARKED in it as maps of one page, 4 maps in each. */
enum { CHAINS = MOST_PARKED / 4 };

struct kva_ram_block {
    struct kva_descriptor *area; /* its segment */
    struct kva_ram_block *next;  /* of all blocks */
    uint64_t taken[WORDS];       /* a bit for each page that is live or parked */
    uint32_t live;               /* pages */
    uint32_t parked;             /* pages */
    uint32_t cursor;             /* the search for room begins here */
    bool current;                /* some CPU carves from it */
};

struct kva_ram {
    struct kva_ram_block *blocks;
    uint64_t parked_pages;
    uint64_t live_maps;
    uint64_t parked_maps;
    uint64_t hits;
    uint64_t misses;
    struct kva_descriptor *chain[CHAINS];
    struct kva_ram_block *of_cpu[]; /* vm->cpus of them */
};

size_t kva_ram_block_bytes(void)
{
    return (sizeof(struct kva_ram_block) + (KVA_LINE - 1)) & ~(size_t)(KVA_LINE - 1);
}

/** The bytes of blocks and index; false if they are more than a size can say. */
static bool ram_bytes(const struct kva_vm *vm, size_t *bytes)
{
    return size_of_array(sizeof(struct kva_ram), vm->cpus, sizeof(struct kva_ram_block *), bytes);
}

/** The instance's blocks and index, made when the first map asks for them. */
static struct kva_ram *ram_of(struct kva_vm *vm)
{
    struct kva_memory *source = &vm->ledger.memory;
    size_t bytes;

    if (!vm->ram && ram_bytes(vm, &bytes)) {
        vm->ram = source->take(source->context, bytes);
        if (vm->ram)
            memset(vm->ram, 0, bytes);
    }
    return vm->ram;
}

void kva_ram_end(struct kva_vm *vm)
{
    size_t bytes;

    if (vm->ram && ram_bytes(vm, &bytes))
        vm->ledger.memory.give(vm->ledger.memory.context, vm->ram, bytes);
    vm->ram = NULL;
}

/* --------------------------------------------------------------------------------------- pages of a block */

/** The lowest run of `count` clear bits in [from, to - 1]; `to` if there is none. */
static unsigned find_room(const uint64_t *bits, unsigned from, unsigned to, unsigned count)
{
    unsigned run = 0;

    for (unsigned at = from; at < to; at++) {
        run = bit_is_set(bits, at) ? 0 : run + 1;
        if (run == count)
            return at + 1 - count;
    }
    return to;
}

/** Room for a map in a block: behind the cursor, or else anywhere. */
static bool block_has_room(const struct kva_ram_block *block, unsigned count, unsigned *at)
{
    if (BLOCK_PAGES - block->live - block->parked < count)
        return false;
    *at = find_room(block->taken, block->cursor, BLOCK_PAGES, count);
    if (*at == BLOCK_PAGES)
        *at = find_room(block->taken, 0, BLOCK_PAGES, count);
    return *at < BLOCK_PAGES;
}

/** A page's number in its block, behind the head. */
static unsigned page_in_block(const struct kva_vm *vm, const struct kva_ram_block *block, uintptr_t address)
{
    return (unsigned)((address - start_of(block->area)) >> vm->page_shift) - 1;
}

static uintptr_t address_in_block(const struct kva_vm *vm, const struct kva_ram_block *block, unsigned at)
{
    return start_of(block->area) + (uintptr_t)bytes_of_pages(vm, at + 1);
}

/** The map that starts at a page of a block, or NULL. */
static struct kva_descriptor *map_at(const struct kva_vm *vm, const struct kva_ram_block *block, unsigned at)
{
    return slot_read(vm, address_in_block(vm, block, at));
}

/* ---------------------------------------------------------------------------------------------- the index */

/** Which chain a map hangs on: its first frame, its length, its pool; multiplied by 2^64 over the golden ratio, of which
 *  the upper half is well mixed. */
static struct kva_descriptor **chain_of(struct kva_ram *ram, const struct kva_frames *frames, uint32_t number,
                                        size_t count)
{
    uint64_t key = ((uint64_t)number << 8 | count) ^ (uint64_t)(uintptr_t)frames << 16;

    return &ram->chain[(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) % CHAINS];
}

static void index_map(struct kva_vm *vm, struct kva_descriptor *map)
{
    struct kva_descriptor **chain = chain_of(vm->ram, map->of, numbers_at(vm, start_of(map))[0], map->pages);

    map->next = *chain;
    *chain = map;
}

/** Take a map that is in the index out of it. */
static void unindex_map(struct kva_vm *vm, const struct kva_descriptor *map)
{
    struct kva_descriptor **link = chain_of(vm->ram, map->of, numbers_at(vm, start_of(map))[0], map->pages);

    while (*link != map)
        link = &(*link)->next;
    *link = map->next;
}

static bool shows(const struct kva_vm *vm, const struct kva_descriptor *map, const struct kva_frames *frames,
                  const uint32_t *numbers, size_t count)
{
    return map->pages == count && map->of == frames &&
           memcmp(numbers_at(vm, start_of(map)), numbers, count * sizeof *numbers) == 0;
}

/** A parked map of just these frames, taken out of the index; or NULL. */
static struct kva_descriptor *find_parked(struct kva_vm *vm, const struct kva_frames *frames,
                                          const uint32_t *numbers, size_t count)
{
    struct kva_descriptor **link = chain_of(vm->ram, frames, numbers[0], count);
    struct kva_descriptor *map;

    while ((map = *link) && !shows(vm, map, frames, numbers, count))
        link = &map->next;
    if (map)
        *link = map->next;
    return map;
}

/* ------------------------------------------------------------------------------------------------- flushing */

/** Drop a parked map whose pages are closed, or are about to be. */
static void forget_map(struct kva_vm *vm, struct kva_ram_block *block, struct kva_descriptor *map)
{
    unindex_map(vm, map);
    slot_write(vm, start_of(map), NULL);
    unsigned at = page_in_block(vm, block, start_of(map));
    bits_set(block->taken, at, at + map->pages, false);
    block->parked -= map->pages;
    vm->ram->parked_pages -= map->pages;
    vm->ram->parked_maps--;
    kva_drop_descriptor(vm, map);
}

/** Drop the parked maps that follow each other from page `at` of a block on; one behind their last page, or `at`. */
static unsigned forget_parked_run(struct kva_vm *vm, struct kva_ram_block *block, unsigned at)
{
    struct kva_descriptor *map;

    while (at < BLOCK_PAGES && (map = map_at(vm, block, at)) && state_of(map) == KVA_VM_PARKED) {
        at += map->pages;
        forget_map(vm, block, map);
    }
    return at;
}

/** Unmap the parked maps of a block that has live ones, run by run. */
static void unmap_parked_runs(struct kva_vm *vm, struct kva_ram_block *block)
{
    unsigned at = 0;

    while (at < BLOCK_PAGES) {
        unsigned run = forget_parked_run(vm, block, at) - at;
        if (run > 0)
            kva_close_range(vm, address_in_block(vm, block, at), bytes_of_pages(vm, run));
        at += run > 0 ? run : 1;
    }
    block->cursor = 0;
}

/** Blocks without live maps that lie side by side, as they often do since they are taken one after the other: they are
 *  unmapped by one call. */
struct dead_blocks {
    uint64_t start;
    uint64_t end; /* start: none yet */
};

static void unmap_dead(struct kva_vm *vm, struct dead_blocks *dead)
{
    if (dead->end > dead->start)
        kva_close_range(vm, dead->start, dead->end - dead->start);
    dead->end = dead->start;
}

/** Forget the maps of a block that has no live ones. It is unmapped with its neighbours, when unmap_dead is called. */
static void add_dead(struct kva_vm *vm, struct dead_blocks *dead, struct kva_ram_block *block)
{
    uint64_t start = start_of(block->area);
    uint64_t end = start + segment_bytes(vm, block->area);

    for (unsigned at = 0; at < BLOCK_PAGES; at++)
        at = forget_parked_run(vm, block, at);
    block->cursor = 0;
    if (dead->end > dead->start && start == dead->end) {
        dead->end = end;
    } else if (dead->end > dead->start && end == dead->start) {
        dead->start = start;
    } else {
        unmap_dead(vm, dead);
        *dead = (struct dead_blocks){start, end};
    }
}

/** Give a block back that holds no map. */
static void free_block(struct kva_vm *vm, struct kva_ram_block *block)
{
    struct kva_ram_block **link = &vm->ram->blocks;

    while (*link != block)
        link = &(*link)->next;
    *link = block->next;
    (void)kva_free(vm->space, start_of(block->area));
    kva_forget_area(vm, block->area);
    kva_nodes_push(&vm->blocks, block);
}

/** Unmap what is parked in blocks without a live map; whether there was any. The blocks stay. */
static bool flush_dead_blocks(struct kva_vm *vm)
{
    struct dead_blocks dead = {0, 0};
    bool any = false;

    for (struct kva_ram_block *block = vm->ram->blocks; block; block = block->next) {
        if (block->live > 0 || block->parked == 0)
            continue;
        add_dead(vm, &dead, block);
        any = true;
    }
    unmap_dead(vm, &dead);
    return any;
}

/** Unmap what is parked in the block where that is most; whether there was any. All blocks with parked maps have live
 *  ones, too. */
static bool flush_fullest_block(struct kva_vm *vm)
{
    struct kva_ram_block *fullest = NULL;

    for (struct kva_ram_block *block = vm->ram->blocks; block; block = block->next) {
        if (block->parked > (fullest ? fullest->parked : 0))
            fullest = block;
    }
    if (fullest)
        unmap_parked_runs(vm, fullest);
    return fullest;
}

/** Whether a flush would give anything of a block back. */
static bool is_block_idle(const struct kva_ram_block *block)
{
    return block->parked > 0 || block->live == 0;
}

bool kva_ram_has_idle(const struct kva_vm *vm)
{
    const struct kva_ram_block *block = vm->ram ? vm->ram->blocks : NULL;

    while (block && !is_block_idle(block))
        block = block->next;
    return block;
}

bool kva_ram_flush(struct kva_vm *vm)
{
    struct dead_blocks dead = {0, 0};
    bool any = false;

    if (!vm->ram)
        return false;
    for (unsigned cpu = 0; cpu < vm->cpus; cpu++)
        vm->ram->of_cpu[cpu] = NULL;
    for (struct kva_ram_block *block = vm->ram->blocks; block; block = block->next) {
        block->current = false;
        any = any || is_block_idle(block);
        if (block->live == 0)
            add_dead(vm, &dead, block);
        else
            unmap_parked_runs(vm, block);
    }
    unmap_dead(vm, &dead);
    for (struct kva_ram_block *block = vm->ram->blocks, *next; block; block = next) {
        next = block->next;
        if (block->live == 0)
            free_block(vm, block);
    }
    return any;
}

/* ------------------------------------------------------------------------------------------- finding room */

struct room {
    unsigned count;              /* pages that are wanted */
    struct kva_ram_block *block; /* where they are */
    unsigned at;
    const void *caller;
};

/** Add a block without maps. */
static enum kva_status add_block(struct kva_vm *vm, struct room *room)
{
    struct kva_wish wish = {
        .align = page_of(vm),
        .bytes = bytes_of_pages(vm, 1 + BLOCK_PAGES + (uint64_t)vm->guard),
        .min = vm->frames_first,
        .max = vm->first + (uint64_t)(vm->bytes - 1),
        .size = (size_t)bytes_of_pages(vm, 1 + BLOCK_PAGES),
        .pages = 1 + BLOCK_PAGES,
        .kind = KVA_VM_BLOCK,
        .caller = room->caller,
    };
    uint64_t start;

    if (!kva_nodes_ensure(&vm->areas, 1) || !kva_nodes_ensure(&vm->blocks, 1))
        return KVA_ENOMEM;
    enum kva_status status = kva_place_area(vm, &wish, &start);
    if (status != KVA_OK)
        return status;
    struct kva_ram_block *block = kva_nodes_pop(&vm->blocks);
    *block = (struct kva_ram_block){.area = kva_enter_area(vm, &wish, start), .next = vm->ram->blocks};
    block->area->of = block;
    vm->ram->blocks = block;
    room->block = block;
    room->at = 0;
    return KVA_OK;
}

/** A block with room that no CPU carves from. */
static bool find_block(struct kva_vm *vm, struct room *room)
{
    for (struct kva_ram_block *block = vm->ram->blocks; block; block = block->next) {
        if (!block->current && block_has_room(block, room->count, &room->at)) {
            room->block = block;
            return true;
        }
    }
    return false;
}

/** Find a block with room other than the CPU's own, by the steps on top of this file. */
static enum kva_status change_block(struct kva_vm *vm, struct room *room)
{
    if (find_block(vm, room))
        return KVA_OK;
    if (vm->ram->parked_pages > MOST_PARKED - BLOCK_PAGES &&
        (flush_dead_blocks(vm) || flush_fullest_block(vm)) && find_block(vm, room))
        return KVA_OK;
    return add_block(vm, room);
}

static enum kva_status find_place(struct kva_vm *vm, struct room *room)
{
    struct kva_ram_block **own = &vm->ram->of_cpu[vm->pages.this_cpu(vm->pages.context) % vm->cpus];

    room->block = *own;
    if (*own && block_has_room(*own, room->count, &room->at))
        return KVA_OK;
    if (*own)
        (*own)->current = false;
    *own = NULL;
    enum kva_status status = change_block(vm, room);
    if (status == KVA_OK) {
        *own = room->block;
        (*own)->current = true;
    }
    return status;
}

/* ---------------------------------------------------------------------------------------- map and unmap */

struct mapping {
    struct kva_frames *frames;
    const uint32_t *numbers;
    struct room room;
    struct kva_descriptor *map;
};

/** Enter a map whose pages are mapped. */
static struct kva_descriptor *enter_map(struct kva_vm *vm, const struct mapping *mapping, uintptr_t start)
{
    struct kva_ram_block *block = mapping->room.block;
    struct kva_descriptor *map = kva_nodes_pop(&vm->areas);

    map->next = NULL;
    map->prev = NULL;
    map->caller = mapping->room.caller;
    map->owner = block;
    map->of = mapping->frames;
    map->pages = mapping->room.count;
    map->size = area_bytes(vm, map);
    map->flags = 0;
    map->guard = 0;
    kva_publish_area(vm, map, key_of(start, KVA_VM_RAM, KVA_VM_LIVE));
    bits_set(block->taken, mapping->room.at, mapping->room.at + map->pages, true);
    block->live += map->pages;
    block->cursor = mapping->room.at + map->pages;
    vm->ram->live_maps++;
    vm->ram->misses++;
    return map;
}

/** A block that was added for a map which then could not be. */
static void drop_if_empty(struct kva_vm *vm, struct kva_ram_block *block)
{
    if (block->live > 0 || block->parked > 0)
        return;
    for (unsigned cpu = 0; cpu < vm->cpus; cpu++) {
        if (vm->ram->of_cpu[cpu] == block)
            vm->ram->of_cpu[cpu] = NULL;
    }
    free_block(vm, block);
}

static enum kva_status attempt_map(struct kva_vm *vm, void *context)
{
    struct mapping *mapping = context;

    /* The descriptor of a block, too: a purge on the way to it may give nodes back, but takes none. */
    if (!kva_nodes_ensure(&vm->areas, 2))
        return KVA_ENOMEM;
    enum kva_status status = find_place(vm, &mapping->room);
    if (status != KVA_OK)
        return status;
    uintptr_t start = address_in_block(vm, mapping->room.block, mapping->room.at);
    status = kva_map_runs(vm, start, mapping->frames, mapping->numbers, mapping->room.count);
    if (status == KVA_OK)
        mapping->map = enter_map(vm, mapping, start);
    else
        drop_if_empty(vm, mapping->room.block);
    return status;
}

static void revive(struct kva_vm *vm, struct kva_descriptor *map, const void *caller)
{
    struct kva_ram_block *block = map->owner;

    set_state(map, KVA_VM_LIVE);
    map->caller = caller;
    block->parked -= map->pages;
    block->live += map->pages;
    vm->ram->parked_pages -= map->pages;
    vm->ram->parked_maps--;
    vm->ram->live_maps++;
    vm->ram->hits++;
    unpoison(memory_of(map), map->size);
}

static void park_map(struct kva_vm *vm, struct kva_descriptor *map)
{
    struct kva_ram_block *block = map->owner;

    set_state(map, KVA_VM_PARKED);
    block->live -= map->pages;
    block->parked += map->pages;
    vm->ram->parked_pages += map->pages;
    vm->ram->parked_maps++;
    vm->ram->live_maps--;
    poison(memory_of(map), map->size);
    index_map(vm, map);
}

/** A map that no block is to hold: it is too large, or the instance is hardened and keeps nothing mapped. */
static bool wants_own_area(const struct kva_vm *vm, size_t count)
{
    return count > KVA_MAP_RAM_MOST || vm->hardened;
}

static enum kva_status map_in_block(struct kva_vm *vm, struct kva_frames *frames, const uint32_t *numbers,
                                    size_t count, const void *caller, struct kva_descriptor **map)
{
    struct mapping mapping = {frames, numbers, {(unsigned)count, NULL, 0, caller}, NULL};

    if (!ram_of(vm))
        return KVA_ENOMEM;
    *map = find_parked(vm, frames, numbers, count);
    if (*map) {
        revive(vm, *map, caller);
    } else {
        enum kva_status status = kva_obtain(vm, count << vm->page_shift, 0, attempt_map, &mapping);
        if (status != KVA_OK)
            return status;
        *map = mapping.map;
    }
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
    status = wants_own_area(vm, count) ? KVA_ENOSPC : map_in_block(vm, frames, numbers, count, caller, &map);
    /* No block is to hold it, or there is no room for one; but perhaps there is for these few pages. */
    if (status == KVA_ENOSPC)
        status = kva_take_map(vm, frames, numbers, count, 0, KVA_VM_RAM, caller, &map);
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

static enum kva_status unmap(struct kva_vm *vm, struct kva_descriptor *map, const void *by)
{
    kva_unuse_frames(map->of, numbers_at(vm, start_of(map)), map->pages);
    if (map->owner) {
        park_map(vm, map);
    } else {
        kva_retire_area(vm, map, by);
        kva_purge_excess(vm);
    }
    return KVA_OK;
}

enum kva_status kva_unmap_ram(struct kva_vm *vm, void *memory)
{
    enum kva_status status = KVA_ENULL;

    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return KVA_OK;
    vm_enter(vm);
    struct kva_descriptor *map = kva_live_area(vm, memory, KVA_VM_RAM, &status);
    if (map)
        status = unmap(vm, map, CALLER());
    status = finish(vm, status, __func__, (uintptr_t)memory);
    vm_leave(vm);
    return status;
}

/* ------------------------------------------------------------------------------------------------- looking */

struct kva_descriptor *kva_ram_map_around(const struct kva_vm *vm, const struct kva_descriptor *area,
                                          uintptr_t address)
{
    const struct kva_ram_block *block = area->of;

    if (address < address_in_block(vm, block, 0) || address >= address_in_block(vm, block, BLOCK_PAGES))
        return NULL;
    unsigned page = page_in_block(vm, block, address);
    for (unsigned at = page + 1; at-- > 0 && bit_is_set(block->taken, at);) {
        struct kva_descriptor *map = map_at(vm, block, at);
        if (map)
            return page - at < map->pages ? map : NULL;
    }
    return NULL;
}

struct kva_descriptor *kva_ram_map_from(const struct kva_vm *vm, const struct kva_descriptor *area,
                                        uintptr_t address)
{
    const struct kva_ram_block *block = area->of;
    unsigned at = address < address_in_block(vm, block, 0) ? 0 : page_in_block(vm, block, address);

    while (at < BLOCK_PAGES && !map_at(vm, block, at))
        at++;
    return at < BLOCK_PAGES ? map_at(vm, block, at) : NULL;
}

void kva_ram_stats(const struct kva_vm *vm, struct kva_vm_stats *stats)
{
    const struct kva_ram *ram = vm->ram;

    if (!ram)
        return;
    stats->ram_live = ram->live_maps;
    stats->ram_parked = ram->parked_maps;
    stats->ram_hits = ram->hits;
    stats->ram_misses = ram->misses;
}

/** How many maps hang on a chain of the index; `most` + 1 if one of them does not belong there. */
static uint64_t count_chain(const struct kva_vm *vm, size_t i, uint64_t most)
{
    struct kva_ram *ram = vm->ram;
    uint64_t count = 0;

    for (const struct kva_descriptor *map = ram->chain[i]; map && count <= most; map = map->next) {
        const uint32_t *numbers = numbers_at(vm, start_of(map));
        bool right = kind_of(map) == KVA_VM_RAM && state_of(map) == KVA_VM_PARKED &&
                     area_at(vm, start_of(map)) == map &&
                     chain_of(ram, map->of, numbers[0], map->pages) == &ram->chain[i];
        count = right ? count + 1 : most + 1;
    }
    return count;
}

const char *kva_ram_check_index(const struct kva_vm *vm)
{
    const struct kva_ram *ram = vm->ram;
    uint64_t left = ram ? ram->parked_maps : 0;

    for (size_t i = 0; ram && i < CHAINS; i++) {
        uint64_t count = count_chain(vm, i, left);
        if (count > left)
            return "V6: the index holds what is not parked, or hangs it on another's chain";
        left -= count;
    }
    return left == 0 ? NULL : "V6: a parked map is missing from the index";
}

const char *kva_ram_check(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    const struct kva_ram_block *block = area->of;
    uint64_t taken[WORDS] = {0};
    uint32_t pages[2] = {0, 0}; /* live, parked */

    for (unsigned at = 0; at < BLOCK_PAGES; at++) {
        const struct kva_descriptor *map = map_at(vm, block, at);
        if (!map)
            continue;
        if (map->owner != block || map->pages > BLOCK_PAGES - at ||
            start_of(map) != address_in_block(vm, block, at))
            return "V6: a short-lived map does not lie in its block";
        bits_set(taken, at, at + map->pages, true);
        pages[state_of(map) == KVA_VM_PARKED] += map->pages;
    }
    if (pages[0] != block->live || pages[1] != block->parked)
        return "V6: a block's counts are not those of its maps";
    return memcmp(taken, block->taken, sizeof taken) == 0 ? NULL
                                                          : "V6: a block's bits are not those of its maps";
}
