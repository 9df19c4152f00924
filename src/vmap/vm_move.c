/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Compaction of a movable frame set, while its maps are in use.
 *
 *      kva_vm_frames_compact       purges ended maps; then runs slices, between which others get the lock
 *           v
 *      kva_frames_compact          chooses which run goes where (kva/frames.h)
 *           v
 *      kva_move_frames             checks that the run may move; parks its ended maps
 *           v
 *      the page source's move      holds stores back, copies, remaps all pages of the run
 *           v
 *      kva_swap_places             the number follows the contents
 *
 * A whole move is done under one hold of the lock: any thread that takes the lock finds each frame, and all
 * its live maps, at one place. Its ended maps are parked first; a parked map keeps the old place, as a freed
 * map may.
 */
#include "vm_move.h"

#include "vm_ended.h"
#include "vm_mapped.h"
#include "vm_retire.h"

/** The most ranges of pages that may map a run that is moved. Each takes some 10 us to remap, while all
 *  other threads wait. */
enum { MOST_RANGES = 64 };

/** Frames moved under one hold of the lock: 20 us for a frame that one page maps. After a slice that
 *  remapped more ranges than SLICE_RANGES, the next one is shorter. */
enum { SLICE_FRAMES = 32, SLICE_RANGES = 64 };

/* -------------------------------------------------------------------------------------- the maps of a run */

static struct kva_descriptor *map_of_page(const struct kva_vm *vm, uint32_t page)
{
    return kva_lookup_area(vm, (uintptr_t)address_of_page(vm, page));
}

/** Whether the page at an address lies in a map and maps the frame at a place. */
static bool maps_place(const struct kva_vm_frames *frames, const struct kva_descriptor *map, uint64_t address,
                       uint64_t place)
{
    size_t one = 1;

    return address - start_of(map) < area_bytes(frames->vm, map) &&
           *numbers_at(frames->vm, address, &one) == number_at(frames, place);
}

/** A run of frames to move. */
struct moving {
    struct kva_vm_frames *frames;
    uint64_t from; /* a place */
    uint64_t count;
};

/** The pages of one map, from `page` on, that map consecutive frames from frame `at` of the run on. Empty if
 *  the page before maps the frame before: that range was found already. */
static struct kva_pages_map pages_from(const struct moving *moving, uint32_t page, uint64_t at)
{
    const struct kva_vm_frames *frames = moving->frames;
    const struct kva_descriptor *map = map_of_page(frames->vm, page);
    const uint64_t size = page_of(frames->vm);
    struct kva_pages_map pages = {.start = address_of_page(frames->vm, page), .frame = at};

    if (at > 0 && maps_place(frames, map, pages.start - size, moving->from + at - 1))
        return pages;
    do
        pages.count++;
    while (at + pages.count < moving->count &&
           maps_place(frames, map, pages.start + pages.count * size, moving->from + at + pages.count));
    return pages;
}

/** kva_pages_move.next. The cursor is the frame, and the last page visited:
 *
 *      | frame of the run (32 bits) | page, plus one (32 bits) |
 */
static bool next_pages(void *context, uint64_t *cursor, struct kva_pages_map *pages)
{
    const struct moving *moving = context;
    const struct kva_vm_frames *frames = moving->frames;
    uint64_t at = *cursor >> 32;
    uint32_t page = (uint32_t)*cursor;

    for (; at < moving->count; at++, page = 0) {
        page = page != 0 ? page_after(frames->vm, page)
                         : first_page_of(frames, number_at(frames, moving->from + at));
        for (; page != 0; page = page_after(frames->vm, page)) {
            *pages = pages_from(moving, page, at);
            *cursor = at << 32 | page;
            if (pages->count > 0)
                return true;
        }
    }
    return false;
}

/** Park the ended maps of the frame at a place: they do not follow it. False if more than MOST_RANGES pages
 *  of live maps map it. (No live map maps a free place.) */
static bool park_ended_at(struct kva_vm_frames *frames, uint64_t place)
{
    const uint64_t number = number_at(frames, place);
    unsigned live = 0;
    uint32_t before = 0; /* the last page that stays in the chain */

    for (uint32_t page;
         (page = before != 0 ? page_after(frames->vm, before) : first_page_of(frames, number)) != 0;) {
        struct kva_descriptor *map = map_of_page(frames->vm, page);
        if (state_of(map) == KVA_VM_ENDED) {
            kva_park_ended(frames->vm, map);
            continue;
        }
        if (++live > MOST_RANGES)
            return false;
        before = page;
    }
    return true;
}

static bool park_ended_maps(struct kva_vm_frames *frames, uint64_t from, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (!park_ended_at(frames, from + i))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------- a move */

static bool is_any_pinned(const struct moving *moving)
{
    for (uint64_t i = 0; i < moving->count; i++) {
        uint64_t number = number_at(moving->frames, moving->from + i);
        if (moving->frames->movable[number].pins > 0)
            return true;
    }
    return false;
}

/** The number of ranges of pages that map a run; MOST_RANGES + 1 if there are more. */
static unsigned count_ranges(struct moving *moving)
{
    struct kva_pages_map pages;
    uint64_t cursor = 0;
    unsigned count = 0;

    while (count <= MOST_RANGES && next_pages(moving, &cursor, &pages))
        count++;
    return count;
}

enum kva_frames_moved kva_move_frames(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    struct moving moving = {context, from, count};
    const struct kva_vm *vm = moving.frames->vm;
    const struct kva_pages_move move = {moving.frames->frame_set, from, to, count, next_pages, &moving};

    if (moving.frames->is_refused)
        return KVA_FRAMES_BUSY;
    if (!vm->pages.move || is_any_pinned(&moving) || !park_ended_maps(moving.frames, from, count))
        return KVA_FRAMES_PINNED;
    (void)park_ended_maps(moving.frames, to, count);
    unsigned ranges = count_ranges(&moving);
    if (ranges > MOST_RANGES)
        return KVA_FRAMES_PINNED;
    moving.frames->ranges_moved += ranges;
    enum kva_status status = vm->pages.move(vm->pages.context, vm->reservation, &move);
    if (status == KVA_ENOENT)
        return KVA_FRAMES_PINNED;
    if (status != KVA_OK) {
        /* the next ones would be refused too, each after some system calls */
        moving.frames->is_refused = true;
        return KVA_FRAMES_BUSY;
    }
    kva_swap_places(moving.frames, from, to, count);
    return KVA_FRAMES_MOVED;
}

/* --------------------------------------------------------------------------------------------- compaction */

/** Whether one set of the stock has 2^order aligned, consecutive free frames. */
static bool stock_set_has_group(const struct kva_frames *set, unsigned order)
{
    struct kva_frames_orders orders;
    uint64_t groups = 0;

    if (kva_frames_orders_read(set, 0, &orders) != KVA_OK)
        return false;
    for (unsigned i = order; i <= orders.block_order; i++)
        groups += orders.movable[i] + orders.unused[i];
    return groups > 0;
}

/** Whether any set of the stock has, or a set that is still to be made: its places are free. */
static bool frame_set_has_group(const struct kva_vm_frames *frames, unsigned order)
{
    const struct kva_stock *stock = &frames->stock;
    const uint64_t length = UINT64_C(1) << order;

    for (unsigned i = 0; i < KVA_STOCK_SETS && stock->sets[i]; i++) {
        if (stock_set_has_group(stock->sets[i], order))
            return true;
    }
    return stock->count >= length && align_down(stock->count - length, length) >= stock_used_end(stock);
}

static void add_compacted(struct kva_frames_compacted *sum, const struct kva_frames_compacted *part)
{
    sum->moved_runs += part->moved_runs;
    sum->moved_frames += part->moved_frames;
    sum->freed_blocks += part->freed_blocks;
    sum->pinned_runs += part->pinned_runs;
    sum->is_finished = part->is_finished;
}

/** The most frames of a slice. A slice visits all blocks, some 25 ns each; so many frames take about as
 *  long. */
static uint64_t most_of_slice(const struct kva_vm *vm, unsigned set, const struct kva_stock *stock)
{
    uint64_t blocks = (stock_end(stock, set) - stock_start(stock, set)) >> kva_stock_block_order(vm);

    return max_u64(SLICE_FRAMES, blocks / 512);
}

/** Compact one set of the stock in slices, until done->moved_frames is `most`. */
static void compact_set(struct kva_vm_frames *frames, unsigned set, unsigned order, uint64_t most,
                        struct kva_frames_compacted *done)
{
    struct kva_vm *vm = frames->vm;
    uint64_t slice = 1;

    do {
        struct kva_frames_compacted part = {.is_finished = true};
        frames->ranges_moved = 0;
        frames->is_refused = false;
        (void)kva_frames_compact(frames->stock.sets[set], 0, order, min_u64(slice, most - done->moved_frames),
                                 &part);
        add_compacted(done, &part);
        slice = frames->ranges_moved > SLICE_RANGES
                    ? max_u64(slice / 2, 1)
                    : min_u64(2 * slice, most_of_slice(vm, set, &frames->stock));
        kva_purge_excess(vm); /* ended maps were parked */
        main_yield(&vm->locks);
    } while (!done->is_finished && done->moved_frames < most);
}

/** Alone, this moves each frame once. Twice as many moves are the limit, whatever other threads do. */
static void compact_sets(struct kva_vm_frames *frames, unsigned order, uint64_t most,
                         struct kva_frames_compacted *done)
{
    const bool all = order == KVA_FRAMES_ALL_BLOCKS;
    const uint64_t limit = min_u64(most, 2 * frames->taken + 1);

    if (!all && frame_set_has_group(frames, order))
        return;
    kva_purge_maps(frames->vm);
    for (unsigned set = 0; set < KVA_STOCK_SETS && frames->stock.sets[set]; set++) {
        if (set > 0 && !all && frame_set_has_group(frames, order))
            return;
        if (set > 0 && done->moved_frames >= limit) {
            done->is_finished = false;
            return;
        }
        compact_set(frames, set, order, limit, done);
    }
}

static enum kva_status compact(struct kva_vm_frames *frames, unsigned order, uint64_t most,
                               struct kva_frames_compacted *done, struct kva_bad *bad)
{
    struct kva_vm *vm = frames->vm;

    if (order > kva_stock_block_order(vm) && order != KVA_FRAMES_ALL_BLOCKS)
        return bad_field(bad, KVA_EINVAL, "order");
    if (!frames->movable || frames->is_lost)
        return KVA_ENOENT;
    *done = (struct kva_frames_compacted){.is_finished = true};
    frames->compacting++;
    compact_sets(frames, order, most, done);
    frames->compacting--;
    return KVA_OK;
}

enum kva_status kva_vm_frames_compact(struct kva_vm_frames *frames, unsigned order, uint64_t most,
                                      struct kva_frames_compacted *done)
{
    struct kva_frames_compacted here;
    struct kva_bad bad = {NULL, 0};

    if (!frames)
        return KVA_ENULL;
    struct kva_vm *vm = frames->vm;
    if (lock_unless_reclaiming(vm, __func__) != KVA_OK)
        return KVA_EREENTRY;
    enum kva_status status = finish(vm, compact(frames, order, most, &here, &bad), __func__, 0, &bad);
    main_drop(&vm->locks);
    if (status == KVA_OK && done)
        *done = here;
    return status;
}

/* --------------------------------------------------------------------------------------------------- pins */

/** Pin or unpin the frames of pages, up to the first that cannot be. Returns the number of pages done. */
static size_t change_pins(struct kva_vm_frames *frames, uint64_t start, size_t pages, bool pin)
{
    const uint32_t end = pin ? UINT32_MAX : 0;
    size_t done = 0;

    for (struct noted noted = noted_from(start, pages); next_noted(frames->vm, &noted);) {
        for (size_t i = 0; i < noted.count; i++, done++) {
            uint32_t *pins = &frames->movable[noted.numbers[i]].pins;
            if (*pins == end)
                return done;
            *pins += pin ? 1 : UINT32_MAX;
        }
    }
    return done;
}

/** Pin or unpin all the frames, or none. */
static enum kva_status pin_pages(struct kva_vm_frames *frames, uint64_t start, size_t pages, bool pin)
{
    size_t done = change_pins(frames, start, pages, pin);

    if (done == pages)
        return KVA_OK;
    (void)change_pins(frames, start, done, !pin);
    return pin ? KVA_ENOSPC : KVA_EDOUBLE;
}

static enum kva_status pin_or_unpin(struct kva_vm *vm, const void *memory, size_t bytes, bool pin,
                                    struct kva_bad *bad)
{
    const uintptr_t address = (uintptr_t)memory;
    uint64_t last;

    if (bytes == 0)
        return bad_field(bad, KVA_ESIZE, "bytes");
    const struct kva_descriptor *area = is_in_reservation(vm, address) ? kva_lookup_area(vm, address) : NULL;
    if (!area || !is_live(area) || address - start_of(area) >= area_bytes(vm, area))
        return KVA_EUNKNOWN;
    if (!last_of_range(address, bytes, &last) || last - start_of(area) >= area_bytes(vm, area))
        return bad_field(bad, KVA_ERANGE, "bytes");
    if (!is_live_map(area) || !area->of.frames->movable)
        return KVA_OK;
    const uint64_t start = align_down(address, page_of(vm));
    return pin_pages(area->of.frames, start, (size_t)((last - start) >> vm->page_shift) + 1, pin);
}

static enum kva_status lock_and_pin(struct kva_vm *vm, const void *memory, size_t bytes, bool pins,
                                    const char *where)
{
    struct kva_bad bad = {NULL, 0};

    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return refuse_null(vm, where, 0, "memory");
    main_take(&vm->locks);
    enum kva_status status = pin_or_unpin(vm, memory, bytes, pins, &bad);
    status = finish(vm, status, where, (uintptr_t)memory, &bad);
    main_drop(&vm->locks);
    return status;
}

enum kva_status kva_vm_pin(struct kva_vm *vm, const void *memory, size_t bytes)
{
    return lock_and_pin(vm, memory, bytes, true, __func__);
}

enum kva_status kva_vm_unpin(struct kva_vm *vm, const void *memory, size_t bytes)
{
    return lock_and_pin(vm, memory, bytes, false, __func__);
}

/* -------------------------------------------------------------------------------------------------- forks */

/** The page source closes the hole that the system left. The area becomes foreign, so that the page source
 *  expects no frames there once it is parked. */
static void lose_map(struct kva_vm *vm, struct kva_descriptor *map)
{
    map->flags |= KVA_VM_FOREIGN;
    vm->pages.unmap(vm->pages.context, vm->reservation, start_of(map), area_bytes(vm, map));
    if (state_of(map) == KVA_VM_ENDED)
        kva_park_ended(vm, map);
}

static bool maps_lost_set(const struct kva_descriptor *area)
{
    return (is_live_map(area) || state_of(area) == KVA_VM_ENDED) && area->of.frames->is_lost;
}

void kva_lose_movable(struct kva_vm *vm)
{
    struct kva_descriptor *area;
    bool any = false;

    for (struct kva_vm_frames *frames = vm->frame_sets; frames; frames = frames->next) {
        any = any || (frames->movable && !frames->is_lost);
        frames->is_lost = frames->movable;
        frames->compacting = 0;
    }
    for (uint64_t at = vm->frames_first; any && (area = kva_lookup_area_from(vm, at));) {
        at = start_of(area) + (uint64_t)segment_bytes(vm, area);
        if (maps_lost_set(area))
            lose_map(vm, area);
    }
}
