/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Contents: random traffic of every kind, against a model that knows the owner of each byte.
 *
 * THE MODEL   A list of live areas, maps, short-lived maps and per-CPU objects. Each has an id. Each page of
 *   its memory holds a word made of that id and of the word's offset (its STAMP), and so does the end of the
 *   requested bytes. Frames have words of their own, which are written and read through any map of them:
 *
 *      area 7, 2.5 pages   |7:0          |7:4096       |7:8192  7:end|
 *      frames 4, 9 mapped  |frame 4's    |frame 9's    |
 *
 *   Stamps are compared before an area is freed, around each realloc, and all of them at intervals: an owner
 *   who gets another owner's page, loses a page, or sees another frame, finds a wrong word.
 *
 * ALSO        Memory that must be zero is zero, wherever it was used before; areas lie where requested; any
 *   interior address finds its area; a request is refused only if no hole is long enough; statistics and
 *   iteration agree with the model; the library's own check succeeds.
 *
 * It is played with every engine, on every mechanism, with and without guards, cached, uncached and hardened.
 */
#define _GNU_SOURCE
#include "../common/harness.h"
#include "../common/vmap.h"

#include <kva/pcpu.h>
#include <kva/vmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { AREAS = 120, FRAMES = 256, MAP_MOST = 100, OBJECTS = 40, OBJECT_CPUS = 4, MEMORY_LISTS = 8 };

struct area {
    unsigned char *memory;
    size_t size;
    uint64_t id;
    enum kva_vm_kind kind; /* KVA_VM_VMALLOC, KVA_VM_VMAP or KVA_VM_RAM */
    bool later;
    bool foreign;
    struct kva_vm_nodes node; /* as kva_vm_find should return it */
    struct kva_later record;
    size_t count; /* maps: frames */
    uint64_t numbers[MAP_MOST];
};

/** The frames of a short-lived map, kept to map them again. */
struct list {
    size_t count;
    uint64_t numbers[MAP_MOST];
};

struct object {
    unsigned char *memory;
    size_t size;
    uint64_t id;
};

struct mode {
    const char *name;
    bool without_guards;
    bool hardened;
    bool zero_always;
    bool nodes; /* of the instance, and of the objects' groups */
    uint64_t cache_bytes;
    uint64_t lazy_bytes;
};

struct world {
    struct test_vm test;
    struct kva_vm *vm;
    struct test_rng rng;
    char name[128];
    size_t page;
    uintptr_t first; /* of the private part */
    uintptr_t last;
    bool guards;
    bool zero_always;
    bool is_hardened;
    struct area *areas[AREAS];
    size_t count;
    uint64_t next_id;
    struct kva_later *waiting[AREAS]; /* records whose grace period is not over */
    size_t waiting_count;
    struct kva_vm_frames *frames;
    uint64_t frame_word[FRAMES];
    bool frame_taken[FRAMES];
    unsigned frame_maps[FRAMES];
    struct list lists[MEMORY_LISTS];
    struct kva_pcpu *pcpu;
    struct object objects[OBJECTS];
    size_t object_count;
    uint64_t refused;
};

/* ------------------------------------------------------------------------------------------------- stamps */

static uint64_t stamp_of(uint64_t id, size_t offset)
{
    return (id << 32 | 1) * UINT64_C(0x9e3779b97f4a7c15) + offset;
}

static uint64_t word_at(const unsigned char *memory)
{
    uint64_t word;
    memcpy(&word, memory, sizeof(word));
    return word;
}

static void put_word(unsigned char *memory, uint64_t word)
{
    memcpy(memory, &word, sizeof(word));
}

static void put_stamps(const struct world *world, const struct area *area)
{
    for (size_t offset = 0; offset + 8 <= area->size; offset += world->page)
        put_word(area->memory + offset, stamp_of(area->id, offset));
    if (area->size >= 8 && (area->size - 8) % world->page >= 8)
        put_word(area->memory + area->size - 8, stamp_of(area->id, SIZE_MAX));
}

static void expect_word(const struct world *world, const unsigned char *memory, uint64_t word, uint64_t id)
{
    check_that(word_at(memory) == word, "%s: area %" PRIu64 " has lost its contents at %p", world->name, id,
               (const void *)memory);
}

/** The stamps in the first `size` bytes are right: all of them if that is the area's size. */
static void expect_stamps(const struct world *world, const struct area *area, const unsigned char *memory,
                          size_t size)
{
    for (size_t offset = 0; offset + 8 <= size; offset += world->page)
        expect_word(world, memory + offset, stamp_of(area->id, offset), area->id);
    if (size == area->size && size >= 8 && (size - 8) % world->page >= 8)
        expect_word(world, memory + size - 8, stamp_of(area->id, SIZE_MAX), area->id);
}

static void expect_frames(const struct world *world, const struct area *map)
{
    for (size_t i = 0; i < map->count; i++)
        expect_word(world, map->memory + i * world->page, world->frame_word[map->numbers[i]], map->id);
}

static void expect_contents(const struct world *world, const struct area *area)
{
    if (area->kind == KVA_VM_VMALLOC)
        expect_stamps(world, area, area->memory, area->size);
    else
        expect_frames(world, area);
}

static void expect_zero(const struct world *world, const unsigned char *memory, size_t bytes)
{
    bool zero = bytes == 0 || (memory[0] == 0 && memcmp(memory, memory + 1, bytes - 1) == 0);
    check_that(zero, "%s: %zu bytes at %p should be zero", world->name, bytes, (const void *)memory);
}

/* -------------------------------------------------------------------------------------------------- areas */

static size_t pages_of(const struct world *world, size_t size)
{
    return (size + world->page - 1) / world->page;
}

static struct area *add(struct world *world, void *memory, size_t size, enum kva_vm_kind kind)
{
    struct area *area = calloc(1, sizeof(*area));

    assert_non_null(area);
    assert_true(world->count < AREAS);
    area->memory = memory;
    area->size = size;
    area->kind = kind;
    area->id = ++world->next_id;
    world->areas[world->count++] = area;
    return area;
}

static void forget(struct world *world, size_t index)
{
    free(world->areas[index]);
    world->areas[index] = world->areas[--world->count];
}

/** kva_vm_find returns the area for any address in it and in its guard. */
static void expect_found(struct world *world, const struct area *area)
{
    struct kva_vm_area found;
    size_t bytes = pages_of(world, area->size) * world->page;
    size_t inside = (size_t)test_below(&world->rng, bytes);

    assert_int_equal(kva_vm_find(world->vm, area->memory + inside, &found), KVA_OK);
    check_that(found.start == (uintptr_t)area->memory && found.size == area->size && found.kind == area->kind,
               "%s: area %" PRIu64 ": wrong start, size or kind", world->name, area->id);
    check_that(found.last - found.start + 1 >= bytes &&
                   found.pages * world->page == found.last - found.start + 1,
               "%s: area %" PRIu64 ": wrong pages", world->name, area->id);
    check_that(found.state == (area->later ? KVA_VM_LATER : KVA_VM_LIVE), "%s: area %" PRIu64 ": wrong state",
               world->name, area->id);
    check_that(found.node.policy == area->node.policy && found.node.set == area->node.set,
               "%s: area %" PRIu64 ": wrong nodes, policy %d", world->name, area->id, (int)found.node.policy);
    check_that(((found.flags & KVA_VM_FOREIGN) != 0) == area->foreign, "%s: area %" PRIu64 ": wrong mark",
               world->name, area->id);
    if (found.guard == 0)
        return;
    inside = (size_t)test_below(&world->rng, found.guard);
    uintptr_t start = found.start;
    assert_int_equal(kva_vm_find(world->vm, (const void *)(found.last + 1 + inside), &found), KVA_OK);
    assert_int_equal(found.start, start);
}

/** Add a new private area of a request with these nodes and this mark; compare its place and its usable
 *  size, and stamp it. */
static void adopt_as(struct world *world, void *memory, size_t size, size_t align,
                     const struct kva_vm_request *request)
{
    struct area *area = add(world, memory, size, KVA_VM_VMALLOC);
    area->node = request->node;
    area->foreign = (request->flags & KVA_VM_FOREIGN) != 0;
    uintptr_t start = (uintptr_t)memory;
    size_t usable = kva_vm_usable_size(world->vm, memory);

    check_that(start % align == 0 && start % world->page == 0, "%s: %p is not aligned", world->name, memory);
    check_that(start >= world->first && world->last - start >= size - 1, "%s: %p is outside the private part",
               world->name, memory);
    check_that(TEST_ASAN ? usable == size : usable >= size && usable % world->page == 0,
               "%s: %zu bytes are usable of an area of %zu", world->name, usable, size);
    put_stamps(world, area);
    expect_found(world, area);
}

static void adopt(struct world *world, void *memory, size_t size, size_t align)
{
    const struct kva_vm_request usual = kva_vm_request_of(1);

    adopt_as(world, memory, size, align, &usual);
}

/** Random nodes that any machine has; mostly none. */
static struct kva_vm_nodes random_nodes(struct world *world)
{
    static const struct kva_vm_nodes nodes[] = {
        {KVA_VM_NODES_ANY, 0}, {KVA_VM_NODES_ANY, 0}, {KVA_VM_NODES_BOUND, 1}, {KVA_VM_NODES_INTERLEAVED, 1}};

    return nodes[test_below(&world->rng, sizeof nodes / sizeof nodes[0])];
}

/** Change a page of a marked area; the next owner must not find the change. */
static void tamper(struct world *world, const struct area *area)
{
    uint64_t number = test_below(&world->rng, pages_of(world, area->size));

    (void)madvise(area->memory + number * world->page, world->page, MADV_DONTFORK);
}

/** Write to an area before its free, so that memory handed out again is not zero by chance. */
static void soil(struct world *world, struct area *area)
{
    for (size_t offset = 0; offset < area->size; offset += world->page)
        area->memory[offset + test_below(&world->rng, area->size - offset < world->page ? area->size - offset
                                                                                        : world->page)] =
            0xee;
}

/** A request may fail for lack of space only. With KVA_VM_NO_BLOCK, KVA_ENOSPC means that no purge could
 *  help either. */
static bool is_no_space(const struct world *world, enum kva_status status, unsigned flags)
{
    if (!(flags & KVA_VM_NO_BLOCK))
        return status == KVA_ENOSPC;
    const struct kva_vm_stats stats = test_vm_stats(world->vm);
    const bool idle = stats.cached_areas + stats.parked_areas + stats.quarantined_areas > 0;

    return status == KVA_EAGAIN || (status == KVA_ENOSPC && !idle);
}

static void expect_no_space(const struct world *world, enum kva_status status, size_t size, unsigned flags)
{
    check_that(is_no_space(world, status, flags),
               "%s: %zu bytes: KVA_ENOSPC or KVA_EAGAIN expected, %s returned", world->name, size,
               kva_status_name(status));
}

/** No hole of the private part is as long as the request with its guard. */
static void expect_full(struct world *world, size_t size)
{
    const struct kva_space *space = kva_vm_space(world->vm);
    struct kva_segment segment;
    uint64_t need = (pages_of(world, size) + (world->guards ? 1 : 0)) * world->page;

    world->refused++;
    check_that(kva_vm_status(world->vm) == KVA_ENOSPC, "%s: %zu bytes: KVA_ENOSPC expected, %s returned",
               world->name, size, kva_status_name(kva_vm_status(world->vm)));
    for (enum kva_status s = kva_first(space, &segment); s == KVA_OK; s = kva_next(space, &segment)) {
        if (segment.state == KVA_BUSY || segment.start > world->last)
            continue;
        uint64_t last = segment.last < world->last ? segment.last : world->last;
        check_that(last - segment.start + 1 < need, "%s: refused, but %zu bytes fit at %#" PRIx64,
                   world->name, size, segment.start);
    }
}

/* ------------------------------------------------------------------------------------------ private areas */

static size_t random_size(struct world *world)
{
    static const size_t most[] = {1, 4, 4, 4, 20, 20, 130, 400};
    size_t pages = most[test_below(&world->rng, sizeof(most) / sizeof(most[0]))];

    return 1 + (size_t)test_below(&world->rng, pages * world->page);
}

static void play_vmalloc(struct world *world)
{
    size_t size = random_size(world);
    bool zero = test_one_in(&world->rng, 2);
    unsigned char *memory = zero ? kva_vzalloc(world->vm, size) : kva_vmalloc(world->vm, size);

    if (memory == NULL) {
        expect_full(world, size);
        return;
    }
    if (zero || world->zero_always)
        expect_zero(world, memory, size);
    adopt(world, memory, size, 1);
}

static void play_aligned(struct world *world)
{
    size_t size = random_size(world);
    size_t align = (size_t)1 << test_below(&world->rng, 21);
    unsigned char *memory = kva_vmalloc_aligned(world->vm, size, align);

    if (memory != NULL)
        adopt(world, memory, size, align);
    else
        expect_no_space(world, kva_vm_status(world->vm), size, 0);
}

/** A window in the private part, with a caller, an owner and flags. */
static void play_window(struct world *world)
{
    struct kva_vm_request request = kva_vm_request_of(random_size(world));
    uintptr_t room = world->last - world->first + 1;
    struct kva_vm_area found;
    void *memory;

    request.min = world->first + (uintptr_t)test_below(&world->rng, room);
    request.max = request.min + (uintptr_t)test_below(&world->rng, world->last - request.min + 1);
    request.flags = test_one_in(&world->rng, 2) ? KVA_VM_ZERO : 0;
    request.flags |= test_one_in(&world->rng, 4) ? KVA_VM_NO_BLOCK : 0;
    request.flags |= test_one_in(&world->rng, 3) ? KVA_VM_FOREIGN : 0;
    request.node = random_nodes(world);
    request.caller = &request;
    request.owner = &world->rng;
    enum kva_status status = kva_vm_alloc(world->vm, &request, &memory);
    if (status != KVA_OK) {
        expect_no_space(world, status, 0, request.flags);
        return;
    }
    uintptr_t start = (uintptr_t)memory;
    check_that(start >= request.min &&
                   start + (pages_of(world, request.size) * world->page - 1) <= request.max,
               "%s: %p is outside the window", world->name, memory);
    if (request.flags & KVA_VM_ZERO)
        expect_zero(world, memory, request.size);
    assert_int_equal(kva_vm_find(world->vm, memory, &found), KVA_OK);
    assert_ptr_equal(found.caller, &request);
    assert_ptr_equal(found.owner, &world->rng);
    adopt_as(world, memory, request.size, 1, &request);
}

/** Anywhere, with nodes; the cache may serve the request. */
static void play_nodes(struct world *world)
{
    struct kva_vm_request request = kva_vm_request_of(random_size(world));
    void *memory;

    request.node = random_nodes(world);
    request.align = (size_t)1 << test_below(&world->rng, 15);
    request.flags = test_one_in(&world->rng, 2) ? KVA_VM_ZERO : 0;
    enum kva_status status = kva_vm_alloc(world->vm, &request, &memory);
    if (status != KVA_OK) {
        expect_no_space(world, status, 0, 0);
        return;
    }
    if (request.flags & KVA_VM_ZERO)
        expect_zero(world, memory, request.size);
    adopt_as(world, memory, request.size, request.align, &request);
}

static void play_congruent(struct world *world)
{
    struct kva_vm_request request = kva_vm_request_of(1);
    struct kva_part parts[3];
    void *memory[3];
    uint64_t offset = 0;
    size_t count = 1 + (size_t)test_below(&world->rng, 3);

    request.align = world->page << test_below(&world->rng, 4);
    request.flags = test_one_in(&world->rng, 2) ? KVA_VM_ZERO : 0;
    request.node = random_nodes(world);
    for (size_t i = 0; i < count; i++) {
        parts[i].offset = offset;
        parts[i].size = 1 + test_below(&world->rng, 6 * world->page);
        offset += (parts[i].size / request.align + 1 + test_below(&world->rng, 3)) * request.align;
        offset += world->page < request.align ? 0 : world->page;
        offset = (offset + world->page + request.align - 1) & ~(uint64_t)(request.align - 1);
    }
    enum kva_status status = kva_vm_alloc_congruent(world->vm, &request, parts, count, memory);
    if (status != KVA_OK) {
        expect_no_space(world, status, 0, 0);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal((uintptr_t)memory[i] - (uintptr_t)memory[0], parts[i].offset);
        if (request.flags != 0)
            expect_zero(world, memory[i], (size_t)parts[i].size);
        adopt_as(world, memory[i], (size_t)parts[i].size, i == 0 ? request.align : 1, &request);
    }
}

/** The index of a live area of a kind, or AREAS. */
static size_t pick(struct world *world, enum kva_vm_kind kind)
{
    size_t from = world->count > 0 ? (size_t)test_below(&world->rng, world->count) : 0;

    for (size_t i = 0; i < world->count; i++) {
        size_t index = (from + i) % world->count;
        if (world->areas[index]->kind == kind && !world->areas[index]->later)
            return index;
    }
    return AREAS;
}

static void expect_added_zero(struct world *world, const unsigned char *memory, size_t old, size_t size)
{
    size_t end = TEST_ASAN ? size : kva_vm_usable_size(world->vm, memory);

    if (size > old)
        expect_zero(world, memory + old, end - old);
}

static void play_realloc(struct world *world)
{
    size_t index = pick(world, KVA_VM_VMALLOC);
    size_t size = random_size(world);
    unsigned flags = test_one_in(&world->rng, 2) ? KVA_VM_ZERO : 0;
    void *moved;

    if (index == AREAS)
        return;
    struct area *area = world->areas[index];
    if (test_one_in(&world->rng, 3)) /* a little more or less */
        size = area->size / 2 + 1 + (size_t)test_below(&world->rng, area->size);
    if (test_one_in(&world->rng, 8))
        flags |= KVA_VM_NO_BLOCK;
    expect_contents(world, area);
    enum kva_status status = kva_vm_realloc(world->vm, area->memory, size, flags, &moved);
    if (status != KVA_OK) {
        expect_no_space(world, status, 0, flags);
        expect_contents(world, area);
        return;
    }
    expect_stamps(world, area, moved, size < area->size ? size : area->size);
    if ((flags & KVA_VM_ZERO) || world->zero_always)
        expect_added_zero(world, moved, area->size, size);
    area->memory = moved;
    area->size = size;
    put_stamps(world, area);
    expect_found(world, area);
}

/** Mark an area, and change the pages of a marked one. */
static void play_mark(struct world *world)
{
    size_t index = pick(world, KVA_VM_VMALLOC);

    if (index == AREAS)
        return;
    struct area *area = world->areas[index];
    if (area->foreign)
        tamper(world, area);
    assert_int_equal(kva_vm_mark_foreign(world->vm, area->memory), KVA_OK);
    area->foreign = true;
    tamper(world, area);
    expect_found(world, area);
}

static void play_vfree(struct world *world)
{
    size_t index = pick(world, KVA_VM_VMALLOC);

    if (index == AREAS)
        return;
    struct area *area = world->areas[index];
    expect_contents(world, area);
    if (area->foreign)
        tamper(world, area);
    soil(world, area);
    assert_int_equal(kva_vfree(world->vm, area->memory), KVA_OK);
    assert_int_equal(kva_vm_usable_size(world->vm, area->memory), 0);
    forget(world, index);
}

/* ------------------------------------------------------------------------------------------ grace periods */

static void begin_grace(void *context, struct kva_later *record)
{
    struct world *world = context;

    assert_true(world->waiting_count < AREAS);
    world->waiting[world->waiting_count++] = record;
}

/** With a record of the caller or of the library. The contents stay until the grace period is over. */
static void play_later(struct world *world)
{
    size_t index = pick(world, KVA_VM_VMALLOC);

    if (index == AREAS)
        return;
    struct area *area = world->areas[index];
    struct kva_later *record = test_one_in(&world->rng, 2) ? &area->record : NULL;
    assert_int_equal(kva_vfree_later(world->vm, area->memory, record), KVA_OK);
    area->later = true;
    expect_found(world, area);
}

/** All grace periods end. The library owns the records until the next call on the instance. */
static void end_grace(struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        if (world->areas[i]->later)
            expect_contents(world, world->areas[i]);
    }
    for (size_t i = 0; i < world->waiting_count; i++)
        kva_vfree_ready(world->waiting[i]);
    bool any = world->waiting_count > 0;
    world->waiting_count = 0;
    void *one = any ? kva_vmalloc(world->vm, 1) : NULL;
    for (size_t i = world->count; i-- > 0;) {
        if (world->areas[i]->later)
            forget(world, i);
    }
    if (one != NULL)
        adopt(world, one, 1, 1);
}

/* ------------------------------------------------------------------------------------------------- frames */

/** Allocate frames, or free some that no map maps. */
static void play_frames(struct world *world)
{
    uint64_t numbers[16];
    size_t count = 1 + (size_t)test_below(&world->rng, 16);
    size_t found = 0;

    if (test_one_in(&world->rng, 3)) {
        for (uint64_t i = 0; i < FRAMES && found < count; i++) {
            if (!world->frame_taken[i] || world->frame_maps[i] > 0 || test_one_in(&world->rng, 2))
                continue;
            numbers[found++] = i;
            world->frame_taken[i] = false;
        }
        assert_int_equal(kva_vm_frames_free(world->frames, numbers, found), KVA_OK);
        return;
    }
    enum kva_status status = kva_vm_frames_alloc(world->frames, count, numbers);
    if (status != KVA_OK) {
        expect_no_space(world, status, 0, 0);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        check_that(!world->frame_taken[numbers[i]], "%s: frame %u was allocated twice", world->name,
                   (unsigned)numbers[i]);
        world->frame_taken[numbers[i]] = true;
        world->frame_word[numbers[i]] = 0;
    }
}

/** Allocated frames, adjacent or not, some of them twice. */
static size_t random_frames(struct world *world, uint64_t *numbers)
{
    size_t count = 1 + (size_t)test_below(&world->rng, test_one_in(&world->rng, 6) ? MAP_MOST : 12);
    uint64_t at = (uint64_t)test_below(&world->rng, FRAMES);
    size_t found = 0;

    for (size_t tries = 0; tries < FRAMES && found < count; tries++) {
        if (world->frame_taken[at])
            numbers[found++] = at;
        at = test_one_in(&world->rng, 5) ? test_below(&world->rng, FRAMES) : (at + 1) % FRAMES;
    }
    return found;
}

static void adopt_map(struct world *world, unsigned char *memory, const uint64_t *numbers, size_t count,
                      enum kva_vm_kind kind)
{
    check_that((uintptr_t)memory > world->last, "%s: the map at %p is in the private part", world->name,
               (void *)memory);
    struct area *map = add(world, memory, count * world->page, kind);
    map->count = count;
    memcpy(map->numbers, numbers, count * sizeof(*numbers));
    for (size_t i = 0; i < count; i++)
        world->frame_maps[numbers[i]]++;
    expect_contents(world, map);
    expect_found(world, map);
}

static void play_vmap(struct world *world)
{
    uint64_t numbers[MAP_MOST];
    size_t count = random_frames(world, numbers);

    if (count == 0)
        return;
    void *memory = kva_vmap(world->vm, world->frames, numbers, count);
    assert_non_null(memory);
    adopt_map(world, memory, numbers, count, KVA_VM_VMAP);
}

/** Half of these maps map frames that were mapped before, if those are still allocated. */
static void play_map_ram(struct world *world)
{
    struct list *list = &world->lists[test_below(&world->rng, MEMORY_LISTS)];
    bool again = list->count > 0 && test_one_in(&world->rng, 2);

    for (size_t i = 0; again && i < list->count; i++)
        again = world->frame_taken[list->numbers[i]];
    if (!again)
        list->count = random_frames(world, list->numbers);
    if (list->count == 0)
        return;
    void *memory = kva_map_ram(world->vm, world->frames, list->numbers, list->count);
    assert_non_null(memory);
    adopt_map(world, memory, list->numbers, list->count, KVA_VM_RAM);
}

static void play_unmap(struct world *world, enum kva_vm_kind kind)
{
    size_t index = pick(world, kind);

    if (index == AREAS)
        return;
    struct area *map = world->areas[index];
    expect_contents(world, map);
    enum kva_status status =
        kind == KVA_VM_VMAP ? kva_vunmap(world->vm, map->memory) : kva_unmap_ram(world->vm, map->memory);
    assert_int_equal(status, KVA_OK);
    for (size_t i = 0; i < map->count; i++)
        world->frame_maps[map->numbers[i]]--;
    forget(world, index);
}

/** Write to a frame through one of its maps: it must be visible through all others. */
static void play_write(struct world *world)
{
    size_t index = pick(world, test_one_in(&world->rng, 2) ? KVA_VM_VMAP : KVA_VM_RAM);

    if (index == AREAS)
        return;
    struct area *map = world->areas[index];
    size_t i = (size_t)test_below(&world->rng, map->count);
    uint64_t word = test_random(&world->rng);
    world->frame_word[map->numbers[i]] = word;
    put_word(map->memory + i * world->page, word);
}

/* ---------------------------------------------------------------------------------------- per-CPU objects */

static void expect_object(struct world *world, const struct object *object)
{
    for (unsigned cpu = 0; cpu < OBJECT_CPUS; cpu++) {
        const unsigned char *copy = kva_pcpu_of(world->pcpu, object->memory, cpu);
        expect_word(world, copy, stamp_of(object->id, cpu), object->id);
        expect_word(world, copy + object->size - 8, stamp_of(object->id, cpu), object->id);
    }
}

static void play_object(struct world *world)
{
    size_t size = 8 * (1 + (size_t)test_below(&world->rng, test_one_in(&world->rng, 8) ? 1024 : 32));
    size_t align = (size_t)1 << test_below(&world->rng, 13);
    void *memory;

    if (world->object_count == OBJECTS)
        return;
    enum kva_status status = kva_pcpu_alloc(world->pcpu, size, align, &memory);
    if (status != KVA_OK) {
        expect_no_space(world, status, 0, 0);
        return;
    }
    struct object *object = &world->objects[world->object_count++];
    *object = (struct object){memory, size, ++world->next_id};
    assert_int_equal((uintptr_t)memory % align, 0);
    for (unsigned cpu = 0; cpu < OBJECT_CPUS; cpu++) {
        unsigned char *copy = kva_pcpu_of(world->pcpu, memory, cpu);
        expect_zero(world, copy, size);
        put_word(copy, stamp_of(object->id, cpu));
        put_word(copy + size - 8, stamp_of(object->id, cpu));
    }
}

static void play_object_free(struct world *world)
{
    if (world->object_count == 0)
        return;
    struct object *object = &world->objects[test_below(&world->rng, world->object_count)];
    expect_object(world, object);
    assert_int_equal(kva_pcpu_free(world->pcpu, object->memory), KVA_OK);
    *object = world->objects[--world->object_count];
}

/* -------------------------------------------------------------------------------------------- all of them */

/** What iteration finds: areas and bytes by state. */
struct sums {
    uint64_t areas[KVA_VM_QUARANTINED + 1];
    uint64_t bytes[KVA_VM_QUARANTINED + 1];
    uint64_t live[KVA_VM_PCPU + 1]; /* by kind */
    uint64_t ram_live;              /* short maps, which stay mapped when they end: live ones */
    uint64_t ram_parked;            /* and parked ones; these count nowhere else */
};

/** Whether an area is a short-lived map that is parked when it ends. */
static bool is_short_map(const struct world *world, const struct kva_vm_area *area)
{
    return area->kind == KVA_VM_RAM && area->pages <= KVA_MAP_RAM_MOST && !world->is_hardened;
}

static void sum_up(struct world *world, struct sums *sums)
{
    struct kva_vm_area area;
    uintptr_t end = 0;

    memset(sums, 0, sizeof(*sums));
    for (enum kva_status status = kva_vm_first(world->vm, &area); status == KVA_OK;
         status = kva_vm_next(world->vm, &area)) {
        bool is_short = is_short_map(world, &area);
        check_that(area.start >= end, "%s: the area at %#" PRIxPTR " overlaps the one before", world->name,
                   area.start);
        check_that(area.guard == (is_short || !world->guards ? 0 : world->page),
                   "%s: the area at %#" PRIxPTR " has a wrong guard", world->name, area.start);
        if (area.state == KVA_VM_LIVE || area.state == KVA_VM_LATER)
            sums->live[area.kind]++;
        end = area.last + 1 + area.guard;
        sums->ram_live += is_short && area.state == KVA_VM_LIVE;
        if (is_short && area.state == KVA_VM_PARKED) {
            sums->ram_parked++;
            continue;
        }
        sums->areas[area.state]++;
        sums->bytes[area.state] += area.pages * world->page;
    }
}

static uint64_t count_kind(const struct world *world, enum kva_vm_kind kind)
{
    uint64_t count = 0;

    for (size_t i = 0; i < world->count; i++)
        count += world->areas[i]->kind == kind;
    return count;
}

static uint64_t count_frames(const struct world *world)
{
    uint64_t count = 0;

    for (size_t i = 0; i < FRAMES; i++)
        count += world->frame_taken[i];
    return count;
}

/** Iteration, statistics and model agree. */
static void expect_sums(struct world *world)
{
    struct kva_vm_stats stats = test_vm_stats(world->vm);
    struct sums sums;

    sum_up(world, &sums);
    check_that(sums.live[KVA_VM_VMALLOC] == count_kind(world, KVA_VM_VMALLOC) &&
                   sums.live[KVA_VM_VMAP] == count_kind(world, KVA_VM_VMAP) &&
                   sums.live[KVA_VM_RAM] == count_kind(world, KVA_VM_RAM),
               "%s: live areas differ from the model", world->name);
    check_that(stats.live_areas == sums.areas[KVA_VM_LIVE] && stats.live_bytes == sums.bytes[KVA_VM_LIVE],
               "%s: live areas differ from the statistics", world->name);
    check_that(stats.later_areas == sums.areas[KVA_VM_LATER] && stats.later_bytes == sums.bytes[KVA_VM_LATER],
               "%s: later areas differ from the statistics", world->name);
    check_that(stats.cached_areas == sums.areas[KVA_VM_CACHED] &&
                   stats.cached_bytes == sums.bytes[KVA_VM_CACHED],
               "%s: cached areas differ from the statistics", world->name);
    check_that(stats.parked_areas == sums.areas[KVA_VM_PARKED] &&
                   stats.parked_bytes == sums.bytes[KVA_VM_PARKED],
               "%s: parked areas differ from the statistics", world->name);
    check_that(stats.quarantined_areas == sums.areas[KVA_VM_QUARANTINED] &&
                   stats.quarantined_bytes == sums.bytes[KVA_VM_QUARANTINED],
               "%s: quarantined areas differ from the statistics", world->name);
    check_that(stats.ram_live == sums.ram_live && stats.ram_parked == sums.ram_parked,
               "%s: short-lived maps differ from the statistics", world->name);
    check_that(stats.frames_taken == count_frames(world), "%s: frames differ from the statistics",
               world->name);
    uint64_t outstanding = sums.live[KVA_VM_VMALLOC] + sums.live[KVA_VM_VMAP] + sums.live[KVA_VM_PCPU];
    check_that(stats.allocations - stats.frees == outstanding,
               "%s: %" PRIu64 " allocations, %" PRIu64 " frees, but %" PRIu64 " live areas", world->name,
               stats.allocations, stats.frees, outstanding);
}

static void expect_all(struct world *world)
{
    for (size_t i = 0; i < world->count; i++)
        expect_contents(world, world->areas[i]);
    for (size_t i = 0; i < world->object_count; i++)
        expect_object(world, &world->objects[i]);
    expect_sums(world);
    test_vm_expect_sound(&world->test, world->name);
    check_that(world->test.hooks.misuses == 0, "%s: misuse: %s", world->name, world->test.hooks.last.what);
}

static void play_purge(struct world *world)
{
    assert_int_equal(kva_vm_purge(world->vm), KVA_OK);
    struct kva_vm_stats stats = test_vm_stats(world->vm);
    check_that(stats.cached_areas == 0 && stats.parked_areas == 0 && stats.quarantined_areas == 0 &&
                   stats.ram_parked == 0,
               "%s: idle areas remain after a purge", world->name);
    expect_all(world);
}

static void play_one(struct world *world)
{
    unsigned what = (unsigned)test_below(&world->rng, 100);

    if (what < 50 && world->count + 3 > AREAS)
        what = 50 + what % 32;
    if (what < 18)
        play_vmalloc(world);
    else if (what < 22)
        play_nodes(world);
    else if (what < 26)
        play_aligned(world);
    else if (what < 31)
        play_window(world);
    else if (what < 34)
        play_congruent(world);
    else if (what < 40)
        play_vmap(world);
    else if (what < 48)
        play_map_ram(world);
    else if (what < 50)
        play_frames(world);
    else if (what < 66)
        play_vfree(world);
    else if (what < 68)
        play_later(world);
    else if (what < 72)
        play_unmap(world, KVA_VM_VMAP);
    else if (what < 82)
        play_unmap(world, KVA_VM_RAM);
    else if (what < 90)
        play_realloc(world);
    else if (what < 91)
        play_mark(world);
    else if (what < 94)
        play_write(world);
    else if (what < 97)
        play_object(world);
    else if (what < 99)
        play_object_free(world);
    else if (test_one_in(&world->rng, 2))
        end_grace(world);
    else
        play_purge(world);
}

/* ------------------------------------------------------------------------------------------ begin and end */

static void begin(struct world *world, enum kva_mechanism mechanism, const struct kva_engine *engine,
                  const struct mode *mode)
{
    struct kva_vm_config config = test_vm_config(&world->test, mechanism);
    static const struct kva_vm_nodes nodes[] = {{KVA_VM_NODES_BOUND, 1}, {KVA_VM_NODES_PREFERRED, 1}};
    const struct kva_pcpu_config objects = {
        .cpus = OBJECT_CPUS, .groups = 2, .unit = 2 * test_page(), .nodes = mode->nodes ? nodes : NULL};
    uint64_t numbers[FRAMES / 2];

    config.engine = engine;
    config.without_guards = mode->without_guards;
    config.hardened = mode->hardened;
    config.zero_always = mode->zero_always;
    config.cache_bytes = mode->cache_bytes;
    config.lazy_bytes = mode->lazy_bytes;
    if (mode->nodes)
        config.node = nodes[1];
    config.quarantine_bytes = 2 * TEST_MIB;
    config.reservation = 48 * TEST_MIB;
    config.frames_part = 32 * TEST_MIB;
    config.grace.after = begin_grace;
    config.grace.context = world;
    test_vm_create(&world->test, &config);
    world->vm = world->test.vm;
    world->page = test_page();
    world->guards = !mode->without_guards;
    world->zero_always = mode->zero_always;
    world->is_hardened = mode->hardened;
    struct kva_vm_stats stats = test_vm_stats(world->vm);
    world->first = (uintptr_t)stats.reservation_first;
    world->last = (uintptr_t)(stats.reservation_last - 32 * TEST_MIB);
    assert_int_equal(stats.reservation_last - stats.reservation_first + 1, config.reservation);
    assert_int_equal(
        kva_vm_frames_create(world->vm, &(struct kva_vm_frames_config){.count = FRAMES}, &world->frames),
        KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(world->frames, FRAMES / 2, numbers), KVA_OK);
    for (size_t i = 0; i < FRAMES / 2; i++)
        world->frame_taken[numbers[i]] = true;
    assert_int_equal(kva_pcpu_create(world->vm, &objects, &world->pcpu), KVA_OK);
}

struct leaks {
    struct world *world;
    uint64_t count;
    uintptr_t last;
};

static void count_leak(void *context, const struct kva_vm_area *area)
{
    struct leaks *leaks = context;

    assert_true(area->start > leaks->last);
    leaks->last = area->last;
    leaks->count += area->kind != KVA_VM_PCPU;
    assert_true(area->state == KVA_VM_LIVE || area->state == KVA_VM_LATER);
}

/** What has happened in all worlds so far: a test that never gets there proves nothing. */
static struct {
    uint64_t refused, hits, purges, retries, grown, moved, ram_hits, ram_misses;
} seen;

static void note_what_happened(const struct world *world)
{
    struct kva_vm_stats stats = test_vm_stats(world->vm);

    seen.refused += world->refused;
    seen.hits += stats.cache_hits;
    seen.purges += stats.purges;
    seen.retries += stats.retries;
    seen.grown += stats.grown_in_place;
    seen.moved += stats.moved;
    seen.ram_hits += stats.ram_hits;
    seen.ram_misses += stats.ram_misses;
}

/** End the instance with its live areas: each is reported as a leak, and nothing is lost. */
static void end(struct world *world)
{
    struct leaks leaks = {world, 0, 0};
    note_what_happened(world);
    enum kva_status status = kva_vm_destroy(world->vm, count_leak, &leaks);

    check_that(leaks.count == world->count, "%s: %" PRIu64 " leaks reported, %zu expected", world->name,
               leaks.count, world->count);
    if (world->count > 0) {
        assert_int_equal(status, KVA_EBUSY);
        test_vm_expect_sound(&world->test, world->name);
    }
    if (status == KVA_EBUSY)
        assert_int_equal(kva_vm_abandon(world->vm, NULL, NULL), KVA_OK);
    test_vm_expect_nothing_lost(&world->test, world->name);
    assert_int_equal(world->test.hooks.corruptions, 0);
    while (world->count > 0)
        forget(world, world->count - 1);
}

static void play(enum kva_mechanism mechanism, size_t engine_index, const struct mode *mode, uint64_t count)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    snprintf(world->name, sizeof(world->name), "%s, %s, %s", test_engine_name(engine_index), mode->name,
             test_mechanism_name(mechanism));
    world->rng = test_rng_of(engine_index * 100 + (uint64_t)mechanism * 7 + (uint64_t)strlen(mode->name));
    begin(world, mechanism, test_engine(engine_index), mode);
    for (uint64_t i = 1; i <= count; i++) {
        play_one(world);
        if (i % 128 == 0)
            expect_all(world);
    }
    expect_all(world);
    end(world);
    free(world);
}

static const struct mode modes[] = {
    {.name = "default"},
    {.name = "always zeroed", .zero_always = true, .cache_bytes = 4 << 20, .lazy_bytes = 1 << 20},
    {.name = "no guards", .without_guards = true},
    {.name = "no guards, little lazy",
     .without_guards = true,
     .lazy_bytes = 256 << 10,
     .cache_bytes = 64 << 10},
    {.name = "no cache", .cache_bytes = KVA_VM_NONE},
    {.name = "nodes", .nodes = true},
    {.name = "nodes, hardened", .nodes = true, .hardened = true},
    {.name = "no cache, purged at each free", .cache_bytes = KVA_VM_NONE, .lazy_bytes = KVA_VM_NONE},
    {.name = "hardened", .hardened = true},
    {.name = "hardened, no guards", .hardened = true, .without_guards = true},
};

static void test_contents_with_each_engine(void **state)
{
    const struct kva_engine *engine;
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for_each_engine (engine, i) {
            for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++)
                play(mechanism, i, &modes[m], test_scaled(500));
        }
    }
}

/** The default engine for longer, so that the small reservation fills up. */
static void test_contents_for_long(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++)
            play(mechanism, 0, &modes[m], test_scaled(4000));
    }
    print_message("refused %" PRIu64 ", cached %" PRIu64 ", purged %" PRIu64 ", retried %" PRIu64
                  ", grown in place %" PRIu64 ", moved %" PRIu64 ", maps found again %" PRIu64 " of %" PRIu64
                  "\n",
                  seen.refused, seen.hits, seen.purges, seen.retries, seen.grown, seen.moved, seen.ram_hits,
                  seen.ram_hits + seen.ram_misses);
    if (test_stride() > 1)
        return;
    assert_true(seen.refused > 0 && seen.hits > 0 && seen.purges > 0 && seen.retries > 0);
    assert_true(seen.grown > 0 && seen.moved > 0 && seen.ram_hits > 0 && seen.ram_misses > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents_with_each_engine),
        cmocka_unit_test(test_contents_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
