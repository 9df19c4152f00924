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
 *      3. what a flush gives: all blocks without a live map are unmapped, neighbours by one call. If there is none, a block of
 *         which most is parked (half as much as of any other, at least) loses its parked maps, one call for each run of them
 *
 * LISTS so that none of this looks at all blocks. A block is on up to two of them:
 *
 *      by its ROOM   the longest run of free pages in it, up to the longest map there is; unless it is full, or a CPU carves from it
 *      by IDLENESS   empty; dead: no live map, and parked ones; else by the binary digits of the number of parked pages
 *
 * The INDEX of parked maps has a chain for every four maps, live or parked, that there are. A map's place depends on its frames,
 * or on eight of them if it has more. So a map is found again, or dropped, at a cost that does not depend on how many others there
 * are, unless many of these agree with it in eight frames.
 *
 * All of this is under the instance's lock. CPUs have blocks of their own not to do without it, but so that
 * what is mapped and unmapped there lies together.
 *
 * With each page of a block goes a number, that of the frame behind it (vm->numbers): a key of which the index needs
 * only a hash, and what tells the pool which frames a map lets go.
 */
#include "../base/bits.h"
#include "vm.h"

/** Pages of a block for maps: 2 MiB of 4 KiB pages, as many as one page table maps. */
enum { BLOCK_PAGES = 8 * KVA_MAP_RAM_MOST, WORDS = BLOCK_PAGES / 64 };

/** Pages that may be parked before blocks are unmapped rather than added: 8 blocks. Should each page be a mapping of its
 *  own, and split another, that is an eighth of the 65,530 that Linux allows a process by default. */
enum { MOST_PARKED = 8 * BLOCK_PAGES };

/** Maps for each chain of the index, at most; and chains to begin with: with MOST_PARKED in it as maps of one page. */
enum { CHAIN_MAPS = 4, CHAINS = MOST_PARKED / CHAIN_MAPS };

/** Tables of further chains, each as large as all before it: enough for a map on each of 2^31 pages. */
enum { CHAIN_TABLES = 31 - 2 - 10 };

_Static_assert(CHAINS == 1 << 10 && CHAIN_MAPS == 1 << 2, "the tables of chains are counted for these");

/** Kinds of idleness. From PARTLY on, live maps and 2^i parked pages at least, less than twice as many: up to 2^8, as a block of
 *  BLOCK_PAGES = 2^9 has a live one. */
enum { BUSY, EMPTY, DEAD, PARTLY, IDLE_KINDS = PARTLY + 9 };

_Static_assert(BLOCK_PAGES == 1 << 9 && KVA_MAP_RAM_MOST == 64,
               "kinds of idleness, and of room, are counted for these");

struct kva_ram_block {
    struct kva_descriptor *area; /* its segment */
    struct kva_list by_room;
    struct kva_list by_idleness;
    uint64_t taken[WORDS]; /* a bit for each page that is live or parked */
    uint32_t live;         /* pages */
    uint32_t parked;       /* pages */
    uint32_t cursor;       /* the search for room begins here */
    uint8_t room;          /* 0: it is on no list */
    uint8_t idleness;      /* BUSY: it is on no list */
    bool current;          /* some CPU carves from it */
};

struct kva_ram {
    size_t bytes;                                /* of all of this */
    struct kva_list with_room[KVA_MAP_RAM_MOST]; /* number i: of i + 1 pages */
    uint64_t rooms;                              /* bit i: that list is not empty */
    struct kva_list idle[IDLE_KINDS];
    uint64_t parked_pages;
    uint64_t live_maps;
    uint64_t parked_maps;
    uint64_t hits;
    uint64_t misses;
    size_t chains; /* of the index */
    size_t half;   /* of these, a power of two, are split or are still to be split */
    struct kva_descriptor *first_chain[CHAINS];
    struct kva_descriptor **more_chains[CHAIN_TABLES];
    struct kva_ram_block *of_cpu[]; /* vm->cpus of them */
};

size_t kva_ram_block_bytes(void)
{
    return round_to_line(sizeof(struct kva_ram_block));
}

/** Table i of chains: as many as all before it. */
static size_t bytes_of_chains(unsigned i)
{
    return ((size_t)CHAINS << i) * sizeof(struct kva_descriptor *);
}

static void set_up_ram(struct kva_ram *ram, size_t bytes)
{
    memset(ram, 0, bytes);
    ram->bytes = bytes;
    for (unsigned i = 0; i < KVA_MAP_RAM_MOST; i++)
        list_init(&ram->with_room[i]);
    for (unsigned i = 0; i < IDLE_KINDS; i++)
        list_init(&ram->idle[i]);
    ram->chains = CHAINS;
    ram->half = CHAINS;
}

/** Give what an index has grown by back, last taken first. */
static void give_chains(struct kva_vm *vm)
{
    const struct kva_memory *source = &vm->ledger.memory;
    struct kva_ram *ram = vm->ram;

    for (unsigned i = CHAIN_TABLES; i-- > 0;) {
        if (ram->more_chains[i])
            source->give(source->context, ram->more_chains[i], bytes_of_chains(i));
        ram->more_chains[i] = NULL;
    }
    ram->chains = CHAINS;
    ram->half = CHAINS;
}

/** The instance's blocks and index, made when the first map asks for them. */
static struct kva_ram *ram_of(struct kva_vm *vm)
{
    struct kva_memory *source = &vm->ledger.memory;
    size_t bytes;

    if (!vm->ram && size_of_array(sizeof(struct kva_ram), vm->cpus, sizeof(struct kva_ram_block *), &bytes)) {
        vm->ram = source->take(source->context, bytes);
        if (vm->ram)
            set_up_ram(vm->ram, bytes);
    }
    return vm->ram;
}

void kva_ram_end(struct kva_vm *vm)
{
    const struct kva_memory *source = &vm->ledger.memory;

    if (!vm->ram)
        return;
    give_chains(vm);
    source->give(source->context, vm->ram, vm->ram->bytes);
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

/* ---------------------------------------------------------------------------------------- lists of blocks */

/** The longest run of clear bits, up to KVA_MAP_RAM_MOST. */
static unsigned longest_room(const uint64_t *bits)
{
    unsigned longest = 0;
    unsigned run = 0;

    for (unsigned at = 0; at < BLOCK_PAGES && longest < KVA_MAP_RAM_MOST; at++) {
        run = bit_is_set(bits, at) ? 0 : run + 1;
        longest = run > longest ? run : longest;
    }
    return longest;
}

/** Move a block to the list of those with so much room; 0: to none. */
static void move_to_room(struct kva_ram *ram, struct kva_ram_block *block, unsigned room)
{
    if (room == block->room)
        return;
    if (block->room > 0) {
        list_remove(&block->by_room);
        if (list_is_empty(&ram->with_room[block->room - 1]))
            ram->rooms &= ~(UINT64_C(1) << (block->room - 1));
    }
    block->room = (uint8_t)room;
    if (room > 0) {
        list_insert_after(&ram->with_room[room - 1], &block->by_room);
        ram->rooms |= UINT64_C(1) << (room - 1);
    }
}

static unsigned room_of(const struct kva_ram_block *block)
{
    return block->current ? 0 : longest_room(block->taken);
}

static unsigned idleness_of(const struct kva_ram_block *block)
{
    if (block->live == 0)
        return block->parked > 0 ? DEAD : EMPTY;
    return block->parked > 0 ? PARTLY + highest_bit(block->parked) : BUSY;
}

/** Put a block on the list where it belongs by its counts, once these have changed. */
static void list_by_idleness(struct kva_ram *ram, struct kva_ram_block *block)
{
    unsigned idleness = idleness_of(block);

    if (idleness == block->idleness)
        return;
    if (block->idleness != BUSY)
        list_remove(&block->by_idleness);
    block->idleness = (uint8_t)idleness;
    if (idleness != BUSY)
        list_insert_after(&ram->idle[idleness], &block->by_idleness);
}

/** Whether a block is where it belongs, or where it did before maps of it were found again: its move to a list of less idle ones,
 *  or to none, waits until somebody looks for it. So a map that is parked and found by turns moves no block. */
static bool is_idleness_right(const struct kva_ram_block *block)
{
    unsigned idleness = idleness_of(block);
    bool is_late = block->live > 0 &&
                   (block->idleness == DEAD || (block->idleness >= PARTLY && idleness < block->idleness));

    return block->idleness == idleness || is_late;
}

/** The first block that is idle in some way; NULL if none is. Those on the way to it that are late move to where they belong. */
static struct kva_ram_block *first_idle(struct kva_ram *ram, unsigned idleness)
{
    const struct kva_list *list = &ram->idle[idleness];

    while (!list_is_empty(list)) {
        struct kva_ram_block *block = kva_container_of(list->next, struct kva_ram_block, by_idleness);
        if (idleness_of(block) == idleness)
            return block;
        list_by_idleness(ram, block);
    }
    return NULL;
}

static void set_current(struct kva_ram *ram, struct kva_ram_block *block, bool current)
{
    block->current = current;
    move_to_room(ram, block, room_of(block));
}

/* ---------------------------------------------------------------------------------------------- the index */

static struct kva_descriptor **chain_at(struct kva_ram *ram, size_t number)
{
    if (number < CHAINS)
        return &ram->first_chain[number];
    unsigned table = highest_bit(number / CHAINS);
    return &ram->more_chains[table][number - ((size_t)CHAINS << table)];
}

/** Two numbers of frames, from number i on; or the last one alone. */
static uint64_t pair_at(const uint32_t *numbers, size_t count, size_t i)
{
    return i + 1 < count ? numbers[i] | (uint64_t)numbers[i + 1] << 32 : numbers[i];
}

/** Which chain a map hangs on, by its pool, its length and its frames: all of up to 8, of more every second pair, every third... Each
 *  pair is mixed in by 2^64 over the golden ratio, of whose product the upper half depends on all bits. Chains that there are not
 *  yet are those that they are to be split off from. */
static struct kva_descriptor **chain_of(struct kva_ram *ram, const struct kva_frames *frames,
                                        const uint32_t *numbers, size_t count)
{
    const size_t step = 2 * ((count + 7) / 8);
    uint64_t key = (uintptr_t)frames ^ count;

    for (size_t i = 0; i < count; i += step)
        key = (key ^ key >> 32 ^ pair_at(numbers, count, i)) * UINT64_C(0x9e3779b97f4a7c15);
    size_t number = (size_t)(key >> 32) & (2 * ram->half - 1);
    return chain_at(ram, number < ram->chains ? number : number - ram->half);
}

static struct kva_descriptor **chain_of_map(const struct kva_vm *vm, const struct kva_descriptor *map)
{
    uint32_t copy[KVA_MAP_RAM_MOST];

    return chain_of(vm->ram, map->of, numbers_of(vm, map, copy), map->pages);
}

static void index_map(const struct kva_vm *vm, struct kva_descriptor *map)
{
    struct kva_descriptor **chain = chain_of_map(vm, map);

    map->next = *chain;
    map->prev = NULL;
    if (map->next)
        map->next->prev = map;
    *chain = map;
}

/** Take a map out of the index, in which it hangs on a chain. */
static void unindex_map(struct kva_descriptor **chain, struct kva_descriptor *map)
{
    if (map->prev)
        map->prev->next = map->next;
    else
        *chain = map->next;
    if (map->next)
        map->next->prev = map->prev;
    map->prev = NULL;
}

/** Add a chain to the index, and move those maps to it that belong there: so the index grows by a step at a time (linear hashing,
 *  Litwin 1980). Half of the chains are split one after the other, then all of them make half:
 *
 *      | split: 0 1 2 | not yet: 3 4 5 6 7 | split off: 8 9 10 |        chain 3 is the next, into 3 and 11
 */
static void split_chain(struct kva_vm *vm)
{
    struct kva_ram *ram = vm->ram;
    struct kva_descriptor **old = chain_at(ram, ram->chains - ram->half);
    struct kva_descriptor *next = *old;

    *old = NULL;
    *chain_at(ram, ram->chains++) = NULL;
    if (ram->chains == 2 * ram->half)
        ram->half = ram->chains;
    while (next) {
        struct kva_descriptor *map = next;
        next = map->next;
        index_map(vm, map);
    }
}

/** Let the index keep pace with the maps that may come into it. Without memory for that, its chains grow longer. */
static void grow_index(struct kva_vm *vm)
{
    const struct kva_memory *source = &vm->ledger.memory;
    struct kva_ram *ram = vm->ram;

    if (ram->live_maps + ram->parked_maps < CHAIN_MAPS * (uint64_t)ram->chains)
        return;
    unsigned table = highest_bit(ram->chains / CHAINS);
    if (table >= CHAIN_TABLES)
        return;
    if (!ram->more_chains[table])
        ram->more_chains[table] = source->take(source->context, bytes_of_chains(table));
    if (ram->more_chains[table])
        split_chain(vm);
}

static bool shows(const struct kva_vm *vm, const struct kva_descriptor *map, const struct kva_frames *frames,
                  const uint32_t *numbers, size_t count)
{
    uint32_t copy[KVA_MAP_RAM_MOST];

    return map->pages == count && map->of == frames &&
           memcmp(numbers_of(vm, map, copy), numbers, count * sizeof *numbers) == 0;
}

/** A parked map of just these frames, taken out of the index; or NULL. */
static struct kva_descriptor *find_parked(const struct kva_vm *vm, const struct kva_frames *frames,
                                          const uint32_t *numbers, size_t count)
{
    struct kva_descriptor **chain = chain_of(vm->ram, frames, numbers, count);
    struct kva_descriptor *map = *chain;

    while (map && !shows(vm, map, frames, numbers, count))
        map = map->next;
    if (map)
        unindex_map(chain, map);
    return map;
}

/* ------------------------------------------------------------------------------------------------- flushing */

/** Drop a parked map whose pages are closed, or are about to be. */
static void forget_map(struct kva_vm *vm, struct kva_ram_block *block, struct kva_descriptor *map)
{
    unindex_map(chain_of_map(vm, map), map);
    kva_forget_numbers(vm, start_of(map), map->pages);
    slot_clear(vm, start_of(map));
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

/** A block has lost its parked maps. */
static void list_anew(struct kva_ram *ram, struct kva_ram_block *block)
{
    block->cursor = 0;
    move_to_room(ram, block, room_of(block));
    list_by_idleness(ram, block);
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
    list_anew(vm->ram, block);
}

/** The dead block that starts at an address; NULL if none does. */
static struct kva_ram_block *dead_block_at(const struct kva_vm *vm, uintptr_t start)
{
    const struct kva_descriptor *area = area_at(vm, start);
    struct kva_ram_block *block = area && kind_of(area) == KVA_VM_BLOCK ? area->of : NULL;

    return block && idleness_of(block) == DEAD ? block : NULL;
}

/** Forget the maps of a dead block, which are unmapped when its neighbours' are forgotten, too; the block stays. */
static void forget_dead(struct kva_vm *vm, struct kva_ram_block *block)
{
    for (unsigned at = 0; at < BLOCK_PAGES; at++)
        at = forget_parked_run(vm, block, at);
    list_anew(vm->ram, block);
}

/** Unmap a dead block, and those that lie side by side with it, as they often do since they are taken one after the other, by one
 *  call. All blocks are of one length. */
static void unmap_dead_run(struct kva_vm *vm, struct kva_ram_block *block)
{
    const uintptr_t length = (uintptr_t)segment_bytes(vm, block->area);
    uintptr_t start = start_of(block->area);
    uintptr_t end = start + length;
    struct kva_ram_block *next;

    forget_dead(vm, block);
    for (; (next = dead_block_at(vm, end)); end += length)
        forget_dead(vm, next);
    for (; (next = dead_block_at(vm, start - length)); start -= length)
        forget_dead(vm, next);
    kva_close_range(vm, start, end - start);
}

/** Unmap what is parked in blocks without a live map; whether there was any. The blocks stay. */
static bool flush_dead_blocks(struct kva_vm *vm)
{
    struct kva_ram_block *block = first_idle(vm->ram, DEAD);
    bool any = block;

    for (; block; block = first_idle(vm->ram, DEAD))
        unmap_dead_run(vm, block);
    return any;
}

/** Unmap what is parked in a block where that is most; whether there was any. All blocks with parked maps have live ones, too. */
static bool flush_fullest_block(struct kva_vm *vm)
{
    struct kva_ram_block *fullest = NULL;

    for (unsigned i = IDLE_KINDS; i-- > PARTLY && !fullest;)
        fullest = first_idle(vm->ram, i);
    if (fullest)
        unmap_parked_runs(vm, fullest);
    return fullest;
}

bool kva_ram_has_idle(const struct kva_vm *vm)
{
    for (unsigned i = EMPTY; vm->ram && i < IDLE_KINDS; i++) {
        if (first_idle(vm->ram, i))
            return true;
    }
    return false;
}

/** Give a block back that holds no map, and that no CPU carves from. */
static void free_block(struct kva_vm *vm, struct kva_ram_block *block)
{
    move_to_room(vm->ram, block, 0);
    list_remove(&block->by_idleness);
    (void)kva_free(vm->space, start_of(block->area));
    kva_forget_area(vm, block->area);
    kva_nodes_push(&vm->blocks, block);
}

bool kva_ram_flush(struct kva_vm *vm)
{
    struct kva_ram *ram = vm->ram;
    struct kva_ram_block *block;

    if (!ram)
        return false;
    for (unsigned cpu = 0; cpu < vm->cpus; cpu++) {
        if (ram->of_cpu[cpu])
            set_current(ram, ram->of_cpu[cpu], false);
        ram->of_cpu[cpu] = NULL;
    }
    bool any = flush_dead_blocks(vm);
    while (flush_fullest_block(vm))
        any = true;
    while ((block = first_idle(ram, EMPTY))) {
        any = true;
        free_block(vm, block);
    }
    if (ram->live_maps == 0) /* nor are there parked ones any more */
        give_chains(vm);
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
    status = kva_ready_tables(vm, start, 1, 0);
    if (status != KVA_OK) {
        (void)kva_free(vm->space, start);
        return status;
    }
    struct kva_ram_block *block = kva_nodes_pop(&vm->blocks);
    *block = (struct kva_ram_block){.area = kva_enter_area(vm, &wish, start)};
    block->area->of = block;
    list_anew(vm->ram, block);
    room->block = block;
    room->at = 0;
    return KVA_OK;
}

/** A block with room that no CPU carves from: one of those whose room is smallest. */
static bool find_block(const struct kva_vm *vm, struct room *room)
{
    uint64_t fitting = vm->ram->rooms & (UINT64_MAX << (room->count - 1));

    if (fitting == 0)
        return false;
    const struct kva_list *list = &vm->ram->with_room[lowest_bit(fitting)];
    room->block = kva_container_of(list->next, struct kva_ram_block, by_room);
    return block_has_room(room->block, room->count, &room->at);
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
        set_current(vm->ram, *own, false);
    *own = NULL;
    enum kva_status status = change_block(vm, room);
    if (status == KVA_OK) {
        *own = room->block;
        set_current(vm->ram, *own, true);
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
    map->align_shift = KVA_VM_IN_BLOCK;
    kva_publish_area(vm, map, key_of(start, KVA_VM_RAM, KVA_VM_LIVE));
    bits_set(block->taken, mapping->room.at, mapping->room.at + map->pages, true);
    block->live += map->pages;
    block->cursor = mapping->room.at + map->pages;
    list_by_idleness(vm->ram, block);
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
    set_current(vm->ram, block, false);
    free_block(vm, block);
}

static enum kva_status attempt_map(void *instance, void *context)
{
    struct kva_vm *vm = instance;
    struct mapping *mapping = context;

    /* The descriptor of a block, too: a purge on the way to it may give nodes back, but takes none. */
    if (!kva_nodes_ensure(&vm->areas, 2))
        return KVA_ENOMEM;
    enum kva_status status = find_place(vm, &mapping->room);
    if (status != KVA_OK)
        return status;
    uintptr_t start = address_in_block(vm, mapping->room.block, mapping->room.at);
    /* Not with the block: a flush gives back pieces in which nothing is. */
    status = kva_ready_tables(vm, start, 1, mapping->room.count);
    if (status == KVA_OK)
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
    list_by_idleness(vm->ram, block);
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
    grow_index(vm);
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
    kva_unuse_map(vm, map);
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
    struct kva_descriptor **chain = chain_at(vm->ram, i);
    uint64_t count = 0;

    for (const struct kva_descriptor *map = *chain; map && count <= most; map = map->next) {
        bool right = kind_of(map) == KVA_VM_RAM && state_of(map) == KVA_VM_PARKED &&
                     area_at(vm, start_of(map)) == map && chain_of_map(vm, map) == chain &&
                     (map->prev ? map->prev->next : *chain) == map;
        count = right ? count + 1 : most + 1;
    }
    return count;
}

/** Whether each list holds only blocks with its room, or with its idleness. */
static bool are_lists_right(const struct kva_ram *ram)
{
    for (unsigned i = 0; i < KVA_MAP_RAM_MOST; i++) {
        const struct kva_list *list = &ram->with_room[i];
        if ((ram->rooms >> i & 1) == list_is_empty(list))
            return false;
        for (const struct kva_list *at = list->next; at != list; at = at->next) {
            if (kva_container_of(at, const struct kva_ram_block, by_room)->room != i + 1)
                return false;
        }
    }
    for (unsigned i = 0; i < IDLE_KINDS; i++) {
        const struct kva_list *list = &ram->idle[i];
        for (const struct kva_list *at = list->next; at != list; at = at->next) {
            if (kva_container_of(at, const struct kva_ram_block, by_idleness)->idleness != i)
                return false;
        }
    }
    return true;
}

const char *kva_ram_check_index(const struct kva_vm *vm)
{
    const struct kva_ram *ram = vm->ram;
    uint64_t left = ram ? ram->parked_maps : 0;

    for (size_t i = 0; ram && i < ram->chains; i++) {
        uint64_t count = count_chain(vm, i, left);
        if (count > left)
            return "V6: the index holds what is not parked, or hangs it on another's chain";
        left -= count;
    }
    if (ram && !are_lists_right(ram))
        return "V6: a list of blocks holds one that does not belong there";
    return left == 0 ? NULL : "V6: a parked map is missing from the index";
}

static bool is_linked_both_ways(const struct kva_list *link)
{
    return link->next && link->prev && link->next->prev == link && link->prev->next == link;
}

/** Whether a block is where its bits and counts say. What the lists hold, kva_ram_check_index looks at. */
static bool is_listed_right(const struct kva_ram_block *block)
{
    return block->room == room_of(block) && is_idleness_right(block) &&
           (block->room == 0 || is_linked_both_ways(&block->by_room)) &&
           (block->idleness == BUSY || is_linked_both_ways(&block->by_idleness));
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
    if (!is_listed_right(block))
        return "V6: a block is not on the lists where it belongs";
    return memcmp(taken, block->taken, sizeof taken) == 0 ? NULL
                                                          : "V6: a block's bits are not those of its maps";
}
