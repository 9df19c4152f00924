/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The Cost rows of vm.h, with the system's pages: see rows.h. */
#define _GNU_SOURCE
#include "rows.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kva/engine.h>
#include <kva/pcpu.h>
#include <kva/report.h>
#include <kva/threads.h>
#include <kva/vmap.h>

#include "../common/vmap.h"

enum { FRAMES = 64, APART = 2 };

/** Pages of ended maps that are kept for reuse. */
enum { KEPT = 3584 };

/** State that the lines below set up and use. */
static enum kva_mechanism mechanism;
static struct kva_failing_memory memory;
static struct kva_threads threads;
static struct kva_vm *vm;
static struct kva_vm_frames *frames;
static struct kva_pcpu *pcpu;
static struct kva_vm_reclaim *reclaims;
static struct kva_part *parts;
static uint64_t *numbers;
static void **held;
static size_t held_count;
static uint64_t size_now;
static size_t page;

/* ---------------------------------------------------------------------------------------------- instances */

/** Nothing is cached, and no purge happens by default. */
static struct kva_vm_config plain(void)
{
    page = test_page();
    return (struct kva_vm_config){
        .reservation = sizeof(void *) == 8 ? UINT64_C(1) << 34 : UINT64_C(1) << 29,
        .memory = kva_failing_memory_init(&memory),
        .pages = kva_pages_host(mechanism),
        .cache_bytes = KVA_VM_NONE,
        .lazy_bytes = UINT64_C(1) << 40,
        .one_thread = true,
    };
}

static void begin(const struct kva_vm_config *config, uint64_t size)
{
    size_now = size;
    assert_int_equal(kva_vm_create(config, &vm), KVA_OK);
}

static void tear_down(void)
{
    if (vm != NULL)
        (void)kva_vm_abandon(vm, NULL, NULL);
    assert_int_equal(memory.blocks, 0);
    free(reclaims);
    free(parts);
    free(numbers);
    free(held);
    vm = NULL;
    reclaims = NULL;
    parts = NULL;
    numbers = NULL;
    held = NULL;
    held_count = 0;
}

static uint64_t some(uint64_t round)
{
    return round * UINT64_C(7919) % size_now;
}

static void make_room_to_hold(uint64_t count)
{
    held = calloc((size_t)count, sizeof *held);
    assert_non_null(held);
}

/** Allocate areas of one page. */
static void hold_areas(uint64_t count)
{
    make_room_to_hold(count);
    for (held_count = 0; held_count < count; held_count++) {
        held[held_count] = kva_vmalloc(vm, page);
        assert_non_null(held[held_count]);
    }
}

/** Free one area, when `size` are live, between live neighbours; the purge makes its place free. */
static void make_hole(uint64_t at)
{
    assert_int_equal(kva_vfree(vm, held[at]), KVA_OK);
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
}

static void fill_hole(uint64_t at)
{
    held[at] = kva_vmalloc(vm, page);
    assert_non_null(held[at]);
}

/* ------------------------------------------------------------------------------------- n: number of areas */

static void many_areas(uint64_t size)
{
    struct kva_vm_config config = plain();

    begin(&config, size);
    hold_areas(size);
}

/** The same, with nodes of the instance's own. */
static void many_bound_areas(uint64_t size)
{
    struct kva_vm_config config = plain();

    config.node = (struct kva_vm_nodes){KVA_VM_NODES_BOUND, 1};
    begin(&config, size);
    hold_areas(size);
}

static void many_areas_and_a_cache(uint64_t size)
{
    struct kva_vm_config config = plain();

    config.cache_bytes = UINT64_C(1) << 32;
    begin(&config, size);
    hold_areas(size);
}

/** All of them cached, in bins of many sizes. */
static void many_cached(uint64_t size)
{
    many_areas_and_a_cache(size);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_vfree(vm, held[i]), KVA_OK);
}

static void allocate(uint64_t round)
{
    void *area;

    make_hole(some(round));
    counting(area = kva_vmalloc(vm, page));
    assert_ptr_equal(area, held[some(round)]);
}

/** At unused addresses, in the largest hole. */
static void allocate_at_the_end(uint64_t round)
{
    void *area;

    (void)round;
    counting(area = kva_vmalloc(vm, 5 * page));
    assert_non_null(area);
}

static void allocate_in_vain(uint64_t round)
{
    void *area;

    (void)round;
    counting(area = kva_vmalloc(vm, SIZE_MAX / 2));
    assert_null(area);
}

static void allocate_from_the_cache(uint64_t round)
{
    void *area;

    assert_int_equal(kva_vfree(vm, held[some(round)]), KVA_OK);
    counting(area = kva_vmalloc(vm, page));
    assert_ptr_equal(area, held[some(round)]);
}

static void free_into_the_cache(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_vfree(vm, held[some(round)]));
    assert_int_equal(status, KVA_OK);
    fill_hole(some(round));
}

static void free_one(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_vfree(vm, held[some(round)]));
    assert_int_equal(status, KVA_OK);
    fill_hole(some(round));
}

static void free_in_vain(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_vfree(vm, (char *)held[some(round)] + 1));
    assert_int_equal(status, KVA_EINTERIOR);
}

static void resize_within_the_page(uint64_t round)
{
    void *moved;
    enum kva_status status;

    counting(status = kva_vm_realloc(vm, held[some(round)], round % 2 + 1, 0, &moved));
    assert_int_equal(status, KVA_OK);
}

/** The last area: the addresses after it are free. */
static void grow_in_place(uint64_t round)
{
    void *moved;
    enum kva_status status;

    counting(status = kva_vm_realloc(vm, held[size_now - 1], (size_t)(round + 2) * page, 0, &moved));
    assert_int_equal(status, KVA_OK);
    assert_ptr_equal(moved, held[size_now - 1]);
}

static void shrink_in_place(uint64_t round)
{
    void *moved;
    enum kva_status status;

    assert_int_equal(kva_vm_realloc(vm, held[size_now - 1], (size_t)(round + 2) * page, 0, &moved), KVA_OK);
    counting(status = kva_vm_realloc(vm, held[size_now - 1], page, 0, &moved));
    assert_int_equal(status, KVA_OK);
    assert_ptr_equal(moved, held[size_now - 1]);
}

static void usable_size(uint64_t round)
{
    size_t bytes;

    counting(bytes = kva_vm_usable_size(vm, held[some(round)]));
    assert_true(bytes > 0);
}

static void mark_foreign(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_vm_mark_foreign(vm, held[some(round)]));
    assert_int_equal(status, KVA_OK);
}

static void *take_from_node_0(void)
{
    struct kva_vm_request request = kva_vm_request_of(page);
    void *area;

    request.node = (struct kva_vm_nodes){KVA_VM_NODES_BOUND, 1};
    assert_int_equal(kva_vm_alloc(vm, &request, &area), KVA_OK);
    return area;
}

static void many_areas_on_node_0(uint64_t size)
{
    struct kva_vm_config config = plain();

    begin(&config, size);
    make_room_to_hold(size);
    for (held_count = 0; held_count < size; held_count++)
        held[held_count] = take_from_node_0();
}

static void allocate_from_node_0(uint64_t round)
{
    make_hole(some(round)); /* a lower district may be chosen for it */
    counting(held[some(round)] = take_from_node_0());
}

static void find(uint64_t round)
{
    struct kva_vm_area area;
    enum kva_status status;

    counting(status = kva_vm_find(vm, (char *)held[some(round)] + 1, &area));
    assert_int_equal(status, KVA_OK);
}

static void first(uint64_t round)
{
    struct kva_vm_area area;
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_first(vm, &area));
    assert_int_equal(status, KVA_OK);
}

static void next(uint64_t round)
{
    struct kva_vm_area area;
    enum kva_status status;

    assert_int_equal(kva_vm_find(vm, held[some(round) / 2], &area), KVA_OK);
    counting(status = kva_vm_next(vm, &area));
    assert_int_equal(status, KVA_OK);
}

static void forget_line(void *context, const char *line, size_t length)
{
    (void)context;
    (void)line;
    (void)length;
}

static void report(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_report(vm, forget_line, NULL));
    assert_int_equal(status, KVA_OK);
}

static void statistics(uint64_t round)
{
    struct kva_vm_stats stats;
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_stats_read(vm, &stats));
    assert_int_equal(status, KVA_OK);
}

static void check(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_check(vm, NULL));
    assert_int_equal(status, KVA_OK);
}

static void forget_leak(void *context, const struct kva_vm_area *area)
{
    (void)context;
    (void)area;
}

static void destroy(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_destroy(vm, forget_leak, NULL));
    assert_int_equal(status, KVA_EBUSY);
}

static void abandon(uint64_t round)
{
    (void)round;
    counting((void)kva_vm_abandon(vm, forget_leak, NULL));
    vm = NULL;
}

static void describe(uint64_t round)
{
    char text[256];
    size_t length;

    counting(length = kva_vm_fault_describe(vm, (char *)held[some(round)] + page, true, text, sizeof text));
    assert_true(length > 0);
}

/** The cache is full of areas of one page; held areas have two pages. */
static void full_cache(uint64_t size)
{
    struct kva_vm_config config = plain();
    void **cached = calloc((size_t)size, sizeof *cached);

    config.cache_bytes = size * page;
    begin(&config, size);
    assert_non_null(cached);
    for (uint64_t i = 0; i < size; i++) {
        cached[i] = kva_vmalloc(vm, page);
        assert_non_null(cached[i]);
    }
    make_room_to_hold(COST_ROUNDS);
    for (held_count = 0; held_count < COST_ROUNDS; held_count++) {
        held[held_count] = kva_vmalloc(vm, 2 * page);
        assert_non_null(held[held_count]);
    }
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_vfree(vm, cached[i]), KVA_OK);
    free(cached);
}

static void free_into_a_full_cache(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_vfree(vm, held[round]));
    assert_int_equal(status, KVA_OK);
}

static void allocate_small(uint64_t round)
{
    void *area;

    (void)round;
    counting(area = kva_vmalloc(vm, page));
    assert_non_null(area);
}

/** Holes of three pages, one page after a multiple of four. */
static void short_holes(uint64_t size)
{
    struct kva_vm_config config = plain();

    config.without_guards = true;
    begin(&config, size);
    make_room_to_hold(2 * size);
    for (held_count = 0; held_count < 2 * size; held_count += 2) {
        held[held_count] = kva_vmalloc(vm, page);
        held[held_count + 1] = kva_vmalloc(vm, 3 * page);
        assert_true(held[held_count] != NULL && held[held_count + 1] != NULL);
    }
    for (uint64_t i = 1; i < 2 * size; i += 2)
        assert_int_equal(kva_vfree(vm, held[i]), KVA_OK);
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
}

static void allocate_aligned(size_t size, size_t align)
{
    void *area;

    counting(area = kva_vmalloc_aligned(vm, size, align));
    assert_non_null(area);
    assert_true((uintptr_t)area > (uintptr_t)held[2 * size_now - 2]);
}

static void allocate_beyond_short_holes(uint64_t round)
{
    (void)round;
    allocate_aligned(3 * page, 4 * page);
}

static void allocate_at_a_huge_page(uint64_t round)
{
    (void)round;
    allocate_aligned(3 * page,
                     kva_pages_host(mechanism).huge != 0 ? (size_t)kva_pages_host(mechanism).huge : page);
}

/* ------------------------------------------------------------------------------- m: areas that are parked */

/** Adjacent: one run. */
static void many_parked(uint64_t size)
{
    many_areas(size);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_vfree(vm, held[i]), KVA_OK);
}

/** A live area after each: as many runs. */
static void many_runs(uint64_t size)
{
    many_areas(APART * size);
    size_now = size;
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_vfree(vm, held[APART * i]), KVA_OK);
}

static void park_one_more(uint64_t round)
{
    void *area = kva_vmalloc(vm, page);
    enum kva_status status;

    (void)round;
    assert_non_null(area);
    counting(status = kva_vfree(vm, area));
    assert_int_equal(status, KVA_OK);
}

static void purge_all(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_purge(vm));
    assert_int_equal(status, KVA_OK);
}

/** One parked area among live ones. */
static void purge_one(uint64_t round)
{
    enum kva_status status;

    assert_int_equal(kva_vfree(vm, held[some(round)]), KVA_OK);
    counting(status = kva_vm_purge(vm));
    assert_int_equal(status, KVA_OK);
    fill_hole(some(round));
}

/** One parked area that is marked. */
static void purge_a_marked_one(uint64_t round)
{
    assert_int_equal(kva_vm_mark_foreign(vm, held[some(round)]), KVA_OK);
    purge_one(round);
}

/* ---------------------------------------------------------------------------------------- congruent areas */

static void many_parts(uint64_t size)
{
    struct kva_vm_config config = plain();

    begin(&config, size);
    parts = calloc((size_t)size, sizeof *parts);
    assert_non_null(parts);
    make_room_to_hold(size);
    for (uint64_t i = 0; i < size; i++)
        parts[i] = (struct kva_part){i * 4 * page, page};
}

static void allocate_parts(uint64_t round)
{
    const struct kva_vm_request request = kva_vm_request_of(1);
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_alloc_congruent(vm, &request, parts, (size_t)size_now, held));
    assert_int_equal(status, KVA_OK);
    for (uint64_t i = 0; i < size_now; i++)
        assert_int_equal(kva_vfree(vm, held[i]), KVA_OK);
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
}

static void two_parts(uint64_t size)
{
    many_areas(size);
    parts = calloc(2, sizeof *parts);
    assert_non_null(parts);
    parts[0] = (struct kva_part){0, page};
    parts[1] = (struct kva_part){4 * page, page};
}

static void allocate_two_parts(uint64_t round)
{
    const struct kva_vm_request request = kva_vm_request_of(1);
    enum kva_status status;
    void *two[2];

    (void)round;
    counting(status = kva_vm_alloc_congruent(vm, &request, parts, 2, two));
    assert_int_equal(status, KVA_OK);
}

/* ------------------------------------------------------------------------------------------ grace periods */

static struct kva_later *last_record;

static void keep_record(void *context, struct kva_later *record)
{
    (void)context;
    last_record = record;
}

static void many_areas_and_a_grace(uint64_t size)
{
    struct kva_vm_config config = plain();

    config.grace.after = keep_record;
    begin(&config, size);
    hold_areas(size);
}

static void free_later(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_vfree_later(vm, held[some(round)], NULL));
    assert_int_equal(status, KVA_OK);
    kva_vfree_ready(last_record);
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
    fill_hole(some(round));
}

static void make_ready(uint64_t round)
{
    assert_int_equal(kva_vfree_later(vm, held[some(round)], NULL), KVA_OK);
    counting(kva_vfree_ready(last_record));
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
    fill_hole(some(round));
}

/* ---------------------------------------------------------------------------------------- frames and maps */

static void take_frames(uint64_t count)
{
    assert_int_equal(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = count}, &frames),
                     KVA_OK);
    numbers = calloc((size_t)count, sizeof *numbers);
    assert_non_null(numbers);
    assert_int_equal(kva_vm_frames_alloc(frames, (size_t)count, numbers), KVA_OK);
}

/** A frame set of `size` frames, all allocated. */
static void many_frames(uint64_t size)
{
    struct kva_vm_config config = plain();

    begin(&config, size);
    take_frames(size);
}

/** The same, and the nodes of the machine are known. */
static void many_frames_one_freed(uint64_t size)
{
    many_frames(size);
    assert_int_equal(kva_vm_frames_free(frames, numbers, 1), KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, 1, numbers), KVA_OK);
}

static void create_set(uint64_t round)
{
    struct kva_vm_frames *made;
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = size_now}, &made));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_vm_frames_destroy(made), KVA_OK);
}

static void destroy_set(uint64_t round)
{
    struct kva_vm_frames *made;
    enum kva_status status;
    uint64_t *taken = calloc((size_t)size_now, sizeof *taken);

    (void)round;
    assert_int_equal(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = size_now}, &made),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(made, (size_t)size_now, taken), KVA_OK);
    counting(status = kva_vm_frames_destroy(made));
    assert_int_equal(status, KVA_OK);
    free(taken);
}

static void many_sets(uint64_t size)
{
    struct kva_vm_config config = plain();

    begin(&config, FRAMES);
    for (uint64_t i = 0; i < size; i++) {
        struct kva_vm_frames *other;
        assert_int_equal(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = FRAMES}, &other),
                         KVA_OK);
    }
}

static void free_three_runs(uint64_t round)
{
    const uint64_t which[6] = {5, 1, 2, 3, 9, 10};
    uint64_t again[6];
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_frames_free(frames, which, 6));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, 6, again), KVA_OK);
}

static void free_and_allocate_frames(uint64_t round)
{
    enum kva_status freed;
    enum kva_status taken;

    (void)round;
    counting(freed = kva_vm_frames_free(frames, numbers, (size_t)size_now));
    assert_int_equal(freed, KVA_OK);
    taken = kva_vm_frames_alloc(frames, (size_t)size_now, numbers);
    assert_int_equal(taken, KVA_OK);
}

static void allocate_frames(uint64_t round)
{
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_vm_frames_free(frames, numbers, (size_t)size_now), KVA_OK);
    counting(status = kva_vm_frames_alloc(frames, (size_t)size_now, numbers));
    assert_int_equal(status, KVA_OK);
}

/** Allocated frames do not matter to the free one at the end. */
static void free_and_allocate_one_frame(uint64_t round)
{
    uint64_t last = (uint64_t)size_now - 1;
    enum kva_status freed;
    enum kva_status taken;

    (void)round;
    counting(freed = kva_vm_frames_free(frames, &last, 1); taken = kva_vm_frames_alloc(frames, 1, &last));
    assert_int_equal(freed | taken, KVA_OK);
}

/** A movable frame set of `size` frames, all allocated, and a map of all of them. */
static void many_movable_frames(uint64_t size)
{
    struct kva_vm_config config = plain();

    begin(&config, size);
    assert_int_equal(
        kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = size, .movable = true}, &frames),
        KVA_OK);
    numbers = calloc((size_t)size, sizeof *numbers);
    assert_non_null(numbers);
    assert_int_equal(kva_vm_frames_alloc(frames, (size_t)size, numbers), KVA_OK);
    make_room_to_hold(1);
    held[held_count++] = kva_vmap(vm, frames, numbers, (size_t)size);
    assert_non_null(held[0]);
}

static void allocate_run(uint64_t round)
{
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_vm_frames_free(frames, numbers, (size_t)size_now), KVA_OK);
    counting(status = kva_vm_frames_alloc_run(frames, (size_t)size_now, 1, numbers));
    assert_int_equal(status, KVA_OK);
}

/** No gain is possible; the cost of finding that is measured. */
static void compact_nothing(uint64_t round)
{
    struct kva_frames_compacted done;
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_frames_compact(frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, &done));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(done.moved_frames, 0);
}

static void pin_all_frames(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_pin(vm, held[0], (size_t)size_now * page));
    assert_int_equal(status, KVA_OK);
    counting(status = kva_vm_unpin(vm, held[0], (size_t)size_now * page));
    assert_int_equal(status, KVA_OK);
}

static void pin_one_frame(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_vm_pin(vm, held[some(round)], 1));
    assert_int_equal(status, KVA_OK);
    counting(status = kva_vm_unpin(vm, held[some(round)], 1));
    assert_int_equal(status, KVA_OK);
}

static void see_line(void *context, const char *text, size_t length)
{
    (void)context;
    (void)text;
    (void)length;
}

static void look_at_frames(uint64_t round)
{
    struct kva_frames_stats stats;
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_frames_stats_read(frames, &stats));
    assert_int_equal(status, KVA_OK);
}

static void picture_frames(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_frames_picture(frames, see_line, NULL));
    assert_int_equal(status, KVA_OK);
}

static void map_all_frames(uint64_t round)
{
    void *map;

    (void)round;
    counting(map = kva_vmap(vm, frames, numbers, (size_t)size_now));
    assert_non_null(map);
    assert_int_equal(kva_vunmap(vm, map), KVA_OK);
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
}

static void unmap_all_frames(uint64_t round)
{
    void *map = kva_vmap(vm, frames, numbers, (size_t)size_now);
    enum kva_status status;

    (void)round;
    assert_non_null(map);
    counting(status = kva_vunmap(vm, map));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
}

/** Maps of one frame. */
static void many_maps(uint64_t size)
{
    struct kva_vm_config config = plain();

    begin(&config, size);
    take_frames(FRAMES);
    make_room_to_hold(size);
    for (held_count = 0; held_count < size; held_count++) {
        held[held_count] = kva_vmap(vm, frames, &numbers[held_count % FRAMES], 1);
        assert_non_null(held[held_count]);
    }
}

static void map_one_frame(uint64_t round)
{
    void *map;

    assert_int_equal(kva_vunmap(vm, held[some(round)]), KVA_OK);
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
    counting(map = kva_vmap(vm, frames, numbers, 1));
    assert_ptr_equal(map, held[some(round)]);
}

static void unmap_one_frame(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_vunmap(vm, held[some(round)]));
    assert_int_equal(status, KVA_OK);
    held[some(round)] = kva_vmap(vm, frames, numbers, 1);
    assert_non_null(held[some(round)]);
}

/** Three runs. */
static void map_three_runs(uint64_t round)
{
    const uint64_t which[6] = {numbers[5], numbers[1], numbers[2], numbers[3], numbers[4], numbers[0]};
    void *map;

    (void)round;
    counting(map = kva_vmap(vm, frames, which, 6));
    assert_non_null(map);
}

/* --------------------------------------------------------------------------------------- short-lived maps */

/** Live maps, of as many frames as such a map may have. */
static void many_short_maps(uint64_t size)
{
    struct kva_vm_config config = plain();

    begin(&config, size);
    take_frames(FRAMES);
    make_room_to_hold(size);
    for (held_count = 0; held_count < size; held_count++) {
        held[held_count] = kva_map_ram(vm, frames, numbers, FRAMES);
        assert_non_null(held[held_count]);
    }
}

/** Every eighth has ended: as many holes as parked and ended maps leave. */
static void many_short_maps_and_ended_ones(uint64_t size)
{
    many_short_maps(size);
    for (uint64_t i = 3; i < size; i += 8)
        assert_int_equal(kva_unmap_ram(vm, held[i]), KVA_OK);
}

/** Of frames in another order, so that no ended map is reused. It takes two runs. */
static void map_afresh(uint64_t round)
{
    uint64_t which[FRAMES];
    void *map;

    for (uint64_t i = 0; i < FRAMES; i++)
        which[i] = numbers[(i + 1 + round) % FRAMES];
    counting(map = kva_map_ram(vm, frames, which, FRAMES));
    assert_non_null(map);
}

static void end_short_map(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_unmap_ram(vm, held[some(round)]));
    assert_int_equal(status, KVA_OK);
}

static void purge_ended_map(uint64_t round)
{
    enum kva_status status;

    assert_int_equal(kva_unmap_ram(vm, held[some(round)]), KVA_OK);
    counting(status = kva_vm_purge(vm));
    assert_int_equal(status, KVA_OK);
}

/** Ended maps of two frames each, the first of which is shared by many. */
static void many_ended_maps(uint64_t size)
{
    struct kva_vm_config config = plain();

    begin(&config, size);
    take_frames(size + FRAMES);
    make_room_to_hold(size);
    for (held_count = 0; held_count < size; held_count++) {
        const uint64_t which[2] = {numbers[held_count % 8], numbers[FRAMES + held_count]};
        held[held_count] = kva_map_ram(vm, frames, which, 2);
        assert_non_null(held[held_count]);
    }
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_unmap_ram(vm, held[i]), KVA_OK);
}

/** Ended maps, each of one frame. */
static void many_ended_pages(uint64_t size)
{
    struct kva_vm_config config = plain();

    begin(&config, size);
    take_frames(size);
    make_room_to_hold(size);
    for (held_count = 0; held_count < size; held_count++) {
        held[held_count] = kva_map_ram(vm, frames, &numbers[held_count], 1);
        assert_non_null(held[held_count]);
        assert_int_equal(kva_unmap_ram(vm, held[held_count]), KVA_OK);
    }
}

static void map_page_again(uint64_t round)
{
    void *map;

    counting(map = kva_map_ram(vm, frames, &numbers[some(round)], 1));
    assert_ptr_equal(map, held[some(round)]);
    assert_int_equal(kva_unmap_ram(vm, map), KVA_OK);
}

/** Ended maps of the largest permitted number of frames, which differ only in the last frame. */
static void many_similar_ended_maps(uint64_t size)
{
    struct kva_vm_config config = plain();

    begin(&config, size);
    take_frames(FRAMES + size);
    make_room_to_hold(size);
    for (held_count = 0; held_count < size; held_count++) {
        numbers[FRAMES - 1] = numbers[FRAMES + held_count];
        held[held_count] = kva_map_ram(vm, frames, numbers, FRAMES);
        assert_non_null(held[held_count]);
        assert_int_equal(kva_unmap_ram(vm, held[held_count]), KVA_OK);
    }
}

static void map_similar_again(uint64_t round)
{
    void *map;

    numbers[FRAMES - 1] = numbers[FRAMES + some(round)];
    counting(map = kva_map_ram(vm, frames, numbers, FRAMES));
    assert_ptr_equal(map, held[some(round)]);
    assert_int_equal(kva_unmap_ram(vm, map), KVA_OK);
}

static uint64_t count_kept(void)
{
    struct kva_vm_stats stats;

    assert_int_equal(kva_vm_stats_read(vm, &stats), KVA_OK);
    return stats.ram_parked;
}

/** Live maps of two frames, and as many ended ones as are kept: each further end evicts one. */
static void many_short_maps_and_all_kept(uint64_t size)
{
    many_ended_maps(KEPT / 2);
    free(held);
    make_room_to_hold(size);
    size_now = size;
    for (held_count = 0; held_count < size; held_count++) {
        held[held_count] = kva_map_ram(vm, frames, numbers, 2);
        assert_non_null(held[held_count]);
    }
    void *more = kva_map_ram(vm, frames, numbers, 2); /* the first map replaced a kept one */
    assert_int_equal(kva_unmap_ram(vm, more), KVA_OK);
    assert_int_equal(count_kept(), KEPT / 2);
}

static void map_again(uint64_t round)
{
    const uint64_t which[2] = {numbers[some(round) % 8], numbers[FRAMES + some(round)]};
    void *map;

    counting(map = kva_map_ram(vm, frames, which, 2));
    assert_ptr_equal(map, held[some(round)]);
    assert_int_equal(kva_unmap_ram(vm, map), KVA_OK);
}

/* ---------------------------------------------------------------------------------------- per-CPU objects */

static void begin_pcpu(uint64_t size, unsigned cpus)
{
    const struct kva_pcpu_config pcpu_config = {.cpus = cpus, .unit = test_page()};
    struct kva_vm_config config = plain();

    begin(&config, size);
    assert_int_equal(kva_pcpu_create(vm, &pcpu_config, &pcpu), KVA_OK);
}

static void hold_objects(uint64_t count, size_t bytes)
{
    make_room_to_hold(count);
    for (held_count = 0; held_count < count; held_count++)
        assert_int_equal(kva_pcpu_alloc(pcpu, bytes, 16, &held[held_count]), KVA_OK);
}

/** Each object in its own chunk. */
static void many_chunks(uint64_t size)
{
    begin_pcpu(size, 1);
    hold_objects(size, page);
}

/** Many objects in a chunk. */
static void many_objects(uint64_t size)
{
    begin_pcpu(size, 1);
    hold_objects(size, 32);
}

/** There were more chunks than there are objects now; all of them are gone. */
static void many_absent_chunks(uint64_t size)
{
    begin_pcpu(size, 1);
    hold_objects(size, page);
    for (size_t i = 8; i < size; i++)
        assert_int_equal(kva_pcpu_free(pcpu, held[i]), KVA_OK);
    size_now = 8;
}

static void free_object(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_pcpu_free(pcpu, held[size_now - 1 - round]));
    assert_int_equal(status, KVA_OK);
}

static void free_and_allocate_object(uint64_t round)
{
    enum kva_status freed;
    enum kva_status taken;

    counting(freed = kva_pcpu_free(pcpu, held[some(round)]);
             taken = kva_pcpu_alloc(pcpu, 32, 16, &held[some(round)]));
    assert_int_equal(freed | taken, KVA_OK);
}

/** With a new chunk for each. */
static void allocate_whole_chunks(uint64_t round)
{
    enum kva_status status;
    void *object;

    (void)round;
    counting(status = kva_pcpu_alloc(pcpu, page, 16, &object));
    assert_int_equal(status, KVA_OK);
}

static void free_no_object(uint64_t round)
{
    enum kva_status status;

    counting(status = kva_pcpu_free(pcpu, (char *)held[some(round)] + 1));
    assert_int_equal(status, KVA_EINTERIOR);
}

static void many_cpus(uint64_t size)
{
    begin_pcpu(size, (unsigned)size);
}

static void create_pcpu(uint64_t round)
{
    const struct kva_pcpu_config config = {.cpus = (unsigned)size_now, .unit = page};
    struct kva_pcpu *made;
    enum kva_status status;

    (void)round;
    counting(status = kva_pcpu_create(vm, &config, &made));
    assert_int_equal(status, KVA_OK);
}

static void allocate_for_all_cpus(uint64_t round)
{
    enum kva_status status;
    void *object;

    (void)round;
    counting(status = kva_pcpu_alloc(pcpu, 16, 16, &object));
    assert_int_equal(status, KVA_OK);
}

/** Two areas for each chunk, and one object. */
static void many_groups(uint64_t size)
{
    const struct kva_pcpu_config pcpu_config = {
        .cpus = (unsigned)size, .groups = (unsigned)size, .unit = test_page()};
    struct kva_vm_config config = plain();
    void *object;

    begin(&config, size);
    assert_int_equal(kva_pcpu_create(vm, &pcpu_config, &pcpu), KVA_OK);
    assert_int_equal(kva_pcpu_alloc(pcpu, 16, 16, &object), KVA_OK);
    assert_int_equal(kva_pcpu_free(pcpu, object), KVA_OK);
}

static void add_allocators(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct kva_pcpu *other;
        assert_int_equal(kva_pcpu_create(vm, NULL, i == 0 ? &pcpu : &other), KVA_OK);
    }
}

/** The oldest one ends. */
static void many_allocators(uint64_t size)
{
    struct kva_vm_config config = plain();

    begin(&config, size);
    add_allocators(size);
}

static void destroy_pcpu(uint64_t round)
{
    enum kva_status status;

    (void)round;
    for (size_t i = 0; i < held_count && i < size_now; i++)
        assert_int_equal(kva_pcpu_free(pcpu, held[i]), KVA_OK);
    counting(status = kva_pcpu_destroy(pcpu));
    assert_int_equal(status, KVA_OK);
}

/** Holes of 48 bytes, 16 after a multiple of 64. */
static void short_object_holes(uint64_t size)
{
    void **gone = calloc((size_t)size, sizeof *gone);

    begin_pcpu(size, 1);
    assert_non_null(gone);
    make_room_to_hold(size);
    for (held_count = 0; held_count < size; held_count++) {
        assert_int_equal(kva_pcpu_alloc(pcpu, 16, 16, &held[held_count]), KVA_OK);
        assert_int_equal(kva_pcpu_alloc(pcpu, 64 - 16, 16, &gone[held_count]), KVA_OK);
    }
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_pcpu_free(pcpu, gone[i]), KVA_OK);
    free(gone);
}

static void allocate_object_at(size_t align)
{
    enum kva_status status;
    void *object;

    counting(status = kva_pcpu_alloc(pcpu, 48, align, &object));
    assert_int_equal(status, KVA_OK);
}

static void allocate_at_32(uint64_t round)
{
    (void)round;
    allocate_object_at(32);
}

/* -------------------------------------------------------------------------------------- lists and threads */

static bool give_nothing(void *context, struct kva_vm *of, size_t size)
{
    (void)context;
    (void)of;
    (void)size;
    return false;
}

static void many_callbacks(uint64_t size)
{
    struct kva_vm_config config = plain();

    begin(&config, size);
    reclaims = calloc((size_t)size + 1, sizeof *reclaims);
    assert_non_null(reclaims);
    for (uint64_t i = 0; i < size + 1; i++)
        reclaims[i].callback = give_nothing;
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_vm_reclaim_add(vm, &reclaims[i]), KVA_OK);
}

static void add_callback(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_reclaim_add(vm, &reclaims[size_now]));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_vm_reclaim_remove(vm, &reclaims[size_now]), KVA_OK);
}

static void remove_callback(uint64_t round)
{
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_vm_reclaim_add(vm, &reclaims[size_now]), KVA_OK);
    counting(status = kva_vm_reclaim_remove(vm, &reclaims[size_now]));
    assert_int_equal(status, KVA_OK);
}

static void begin_threads(uint64_t size, unsigned cpus, uint64_t cache_bytes)
{
    struct kva_vm_config config = plain();

    config.cache_bytes = cache_bytes;
    threads = *kva_threads_host();
    threads.cpus = cpus;
    config.one_thread = false;
    config.threads = &threads;
    begin(&config, size);
}

static void many_cpus_with_threads(uint64_t size)
{
    begin_threads(size, (unsigned)size, KVA_VM_NONE);
}

/** All are empty. */
static void many_caches(uint64_t size)
{
    begin_threads(size, (unsigned)size, UINT64_C(1) << 32);
}

static void many_areas_with_threads(uint64_t size)
{
    begin_threads(size, 2, KVA_VM_NONE);
    hold_areas(size);
}

static void many_parked_with_threads(uint64_t size)
{
    many_areas_with_threads(size);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(kva_vfree(vm, held[i]), KVA_OK);
}

static void add_sets(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct kva_vm_frames *other;
        assert_int_equal(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = FRAMES},
                                              i == 0 ? &frames : &other),
                         KVA_OK);
    }
}

static void many_sets_with_threads(uint64_t size)
{
    begin_threads(size, 2, KVA_VM_NONE);
    add_sets(size);
}

static void many_allocators_with_threads(uint64_t size)
{
    begin_threads(size, 2, KVA_VM_NONE);
    add_allocators(size);
}

static void fork_prepare(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_vm_fork_prepare(vm));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_vm_fork_parent(vm), KVA_OK);
}

static void fork_parent(uint64_t round)
{
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_vm_fork_prepare(vm), KVA_OK);
    counting(status = kva_vm_fork_parent(vm));
    assert_int_equal(status, KVA_OK);
}

/** The child releases the locks; this process acts as the child. */
static void fork_child(uint64_t round)
{
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_vm_fork_prepare(vm), KVA_OK);
    counting(status = kva_vm_fork_child(vm));
    assert_int_equal(status, KVA_OK);
}

/** Neither the length of the reserve nor that of a frame set matters. */
static void sizes_of_a_reserve(uint64_t size)
{
    page = test_page();
    size_now = size;
}

static void build(uint64_t round)
{
    struct kva_vm_config config = plain();
    enum kva_status status;

    (void)round;
    config.engine = &kva_engine_bt;
    config.reservation = size_now << 20;
    counting(status = kva_vm_create_from(&config, &vm));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
    vm = NULL;
}

enum { LISTED = 60 };

static struct kva_vm *listed[LISTED];

static void many_reporters(uint64_t size)
{
    struct kva_vm_config config = plain();

    config.reservation = 16 * TEST_MIB;
    for (uint64_t i = 0; i < size; i++) {
        assert_int_equal(kva_vm_create(&config, &listed[i]), KVA_OK);
        assert_int_equal(kva_fault_reporter_add(listed[i]), KVA_OK);
    }
    begin(&config, size);
}

static void no_reporters(void)
{
    for (size_t i = 0; i < LISTED && listed[i] != NULL; i++) {
        assert_int_equal(kva_fault_reporter_remove(listed[i]), KVA_OK);
        assert_int_equal(kva_vm_destroy(listed[i], NULL, NULL), KVA_OK);
        listed[i] = NULL;
    }
    tear_down();
}

static void install_reporter(uint64_t round)
{
    enum kva_status status;

    (void)round;
    counting(status = kva_fault_reporter_add(vm));
    assert_int_equal(status, KVA_OK);
    assert_int_equal(kva_fault_reporter_remove(vm), KVA_OK);
}

static void remove_reporter(uint64_t round)
{
    enum kva_status status;

    (void)round;
    assert_int_equal(kva_fault_reporter_add(vm), KVA_OK);
    counting(status = kva_fault_reporter_remove(vm));
    assert_int_equal(status, KVA_OK);
}

/* -------------------------------------------------------------------------------------------------- lines */

#define CPUS .few = 4, .many = 128
#define SELDOM .rounds = 2
#define NO_CALL .most_calls = COST_NO_CALL
#define SHORT_MAPS .few = 640, .many = sizeof(void *) == 8 ? 5120 : 960

static const struct cost_line lines[] = {
    COST_LINE("kva_vm_fork_prepare", "O(CPUs)", "CPUs", COST_LINEAR, many_cpus_with_threads, fork_prepare,
              CPUS),
    COST_LINE("kva_vm_fork_prepare", "O(CPUs)", "areas", COST_CONSTANT, many_areas_with_threads,
              fork_prepare),
    COST_LINE("kva_vm_fork_parent", "O(CPUs)", "CPUs", COST_LINEAR, many_cpus_with_threads, fork_parent,
              CPUS),
    COST_LINE("kva_vm_fork_parent", "O(CPUs)", "areas", COST_CONSTANT, many_areas_with_threads, fork_parent),
    COST_LINE("kva_vm_fork_child", "O(CPUs", "CPUs", COST_LINEAR, many_cpus_with_threads, fork_child, CPUS),
    COST_LINE("kva_vm_fork_child", "sets of frames", "sets", COST_LINEAR, many_sets_with_threads, fork_child,
              .few = 16, .many = 400),
    COST_LINE("kva_vm_fork_child", "allocators of per-CPU objects", "allocators", COST_LINEAR,
              many_allocators_with_threads, fork_child),
    COST_LINE("kva_vm_fork_child", "O(CPUs", "areas", COST_CONSTANT, many_areas_with_threads, fork_child),
    COST_LINE("kva_vm_create_from", "some calls", "MiB of a reserve", COST_CONSTANT, sizes_of_a_reserve,
              build, .few = 64, .many = sizeof(void *) == 8 ? 65536 : 256, .most_calls = 40),
    COST_LINE("kva_vm_destroy", "O(n log n)", "areas", COST_N_LOG_N, many_areas, destroy, .rounds = 1,
              .most_calls = 20),
    COST_LINE("kva_vm_abandon", "O(n log n)", "areas", COST_N_LOG_N, many_areas, abandon, .rounds = 1,
              .most_calls = 20),

    COST_LINE("kva_vm_alloc", "from the cache O(1), no call", "areas", COST_CONSTANT, many_areas_and_a_cache,
              allocate_from_the_cache, NO_CALL),
    COST_LINE("kva_vm_alloc", "Else O(log n) and one call", "areas", COST_LOGARITHM, many_areas, allocate,
              .most_calls = 1),
    COST_LINE("kva_vm_alloc", "Else O(log n) and one call; up to three", "areas, at the end", COST_LOGARITHM,
              many_areas, allocate_at_the_end, .most_calls = 3),
    COST_LINE("kva_vm_alloc", "Else O(log n)", "areas, in vain", COST_LOGARITHM, many_areas,
              allocate_in_vain),
    COST_LINE("kva_vm_alloc", "the search is made in each district of these nodes", "areas with a node",
              COST_LOGARITHM, many_areas_on_node_0, allocate_from_node_0, .most_calls = 3),
    COST_LINE("kva_vm_alloc", "With threads, O(CPUs)", "CPUs", COST_LINEAR, many_caches, allocate_small,
              CPUS),
    COST_LINE("kva_vm_alloc", "kva_alloc's, O((k + 1) log n)", "holes that are too short", COST_N_LOG_N,
              short_holes, allocate_beyond_short_holes, SELDOM),
    COST_LINE("kva_vm_alloc", "that of a huge page is a declared class", "holes that are too short",
              COST_LOGARITHM, short_holes, allocate_at_a_huge_page, SELDOM),
    COST_LINE("kva_vm_realloc", "O(1) within the last page", "areas", COST_CONSTANT, many_areas,
              resize_within_the_page, NO_CALL),
    COST_LINE("kva_vm_realloc", "In place O(log n) and up to two calls", "areas, growing", COST_LOGARITHM,
              many_areas, grow_in_place, .most_calls = 2),
    COST_LINE("kva_vm_realloc", "In place O(log n) and up to two calls", "areas, shrinking", COST_LOGARITHM,
              many_areas, shrink_in_place, .most_calls = 2),
    COST_LINE("kva_vm_realloc", "with nodes, up to three", "areas with nodes, growing", COST_LOGARITHM,
              many_bound_areas, grow_in_place, .most_calls = 3),
    COST_LINE("kva_vm_realloc", "with nodes, up to three", "areas with nodes, shrinking", COST_LOGARITHM,
              many_bound_areas, shrink_in_place, .most_calls = 3),
    COST_LINE("kva_vfree", "into the cache O(1), no call", "areas", COST_CONSTANT, many_areas_and_a_cache,
              free_into_the_cache, NO_CALL),
    COST_LINE("kva_vfree", "into the cache O(1), no call", "cached areas", COST_CONSTANT, many_cached,
              park_one_more, NO_CALL),
    COST_LINE("kva_vfree", "into the cache O(1), no call", "areas in a full cache", COST_CONSTANT, full_cache,
              free_into_a_full_cache, NO_CALL),
    COST_LINE("kva_vfree", "Parked: O(log n), no call", "areas", COST_LOGARITHM, many_areas, free_one,
              NO_CALL),
    COST_LINE("kva_vfree", "Parked: O(log n), no call", "parked areas", COST_LOGARITHM, many_runs,
              park_one_more, NO_CALL),
    COST_LINE("kva_vfree", "Parked: O(log n), no call", "areas, in vain", COST_LOGARITHM, many_areas,
              free_in_vain, NO_CALL),
    COST_LINE("kva_vm_mark_foreign", "O(1), no call", "areas", COST_CONSTANT, many_areas, mark_foreign,
              NO_CALL),
    COST_LINE("kva_vm_usable_size", "O(1)", "areas", COST_CONSTANT, many_areas, usable_size, NO_CALL),
    COST_LINE("kva_vm_alloc_congruent", "as kva_alloc_congruent", "parts", COST_N_LOG_N, many_parts,
              allocate_parts, SELDOM),
    COST_LINE("kva_vm_alloc_congruent", "up to two calls for each part", "areas", COST_LOGARITHM, two_parts,
              allocate_two_parts, .most_calls = 4),
    COST_LINE("kva_vfree_later", "O(1)", "areas", COST_CONSTANT, many_areas_and_a_grace, free_later, NO_CALL),
    COST_LINE("kva_vfree_ready", "O(1)", "areas", COST_CONSTANT, many_areas_and_a_grace, make_ready, NO_CALL),

    COST_LINE("kva_vm_frames_create", "O(1), five calls", "frames", COST_CONSTANT, many_frames, create_set,
              .most_calls = 5),
    COST_LINE("kva_vm_frames_destroy", "as kva_vm_purge, and a call", "frames that are taken", COST_CONSTANT,
              many_frames, destroy_set),
    COST_LINE("kva_vm_frames_destroy", "as kva_vm_purge, and a call", "frame sets", COST_CONSTANT, many_sets,
              destroy_set, .few = 16, .many = 400),
    COST_LINE("kva_vm_frames_alloc", "O(count + n / 512)", "frames", COST_LINEAR, many_frames,
              allocate_frames, SELDOM, NO_CALL),
    COST_LINE("kva_vm_frames_alloc", "O(count + log n)", "frames that are taken", COST_LOGARITHM, many_frames,
              free_and_allocate_one_frame),
    COST_LINE("kva_vm_frames_alloc_run", "and O(count)", "frames", COST_LINEAR, many_frames, allocate_run,
              SELDOM, NO_CALL),
    COST_LINE("kva_vm_frames_compact", "as kva_frames_compact", "frames that are taken", COST_LINEAR,
              many_movable_frames, compact_nothing, SELDOM, NO_CALL),
    COST_LINE("kva_vm_pin", "O(1) for each page", "pages", COST_LINEAR, many_movable_frames, pin_all_frames,
              SELDOM, NO_CALL),
    COST_LINE("kva_vm_pin", "O(log n)", "maps", COST_LOGARITHM, many_maps, pin_one_frame, NO_CALL),
    COST_LINE("kva_vm_unpin", "as kva_vm_pin", "pages", COST_LINEAR, many_movable_frames, pin_all_frames,
              SELDOM, NO_CALL),
    COST_LINE("kva_vm_frames_stats_read", "O(n / 512)", "frames", COST_LINEAR, many_frames, look_at_frames,
              NO_CALL),
    COST_LINE("kva_vm_frames_picture", "O(n / 512)", "frames", COST_LINEAR, many_frames, picture_frames,
              NO_CALL),
    COST_LINE("kva_vm_frames_free", "O(count), a call for each run of neighbours", "frames", COST_LINEAR,
              many_frames_one_freed, free_and_allocate_frames, SELDOM, .most_calls = 1),
    COST_LINE("kva_vm_frames_free", "asks the system for its nodes", "frames, freed for the first time",
              COST_LINEAR, many_frames, free_and_allocate_frames, .rounds = 1, .most_calls = 1 + 4),
    COST_LINE("kva_vm_frames_free", "a call for each run of neighbours", "frames in three runs",
              COST_CONSTANT, many_frames_one_freed, free_three_runs, .most_calls = 3),
    COST_LINE("kva_vm_map", "O(log n + count), a call for each run", "frames", COST_LINEAR, many_frames,
              map_all_frames, SELDOM, .most_calls = 1 + 2),
    COST_LINE("kva_vm_map", "O(log n + count), a call for each run", "maps", COST_LOGARITHM, many_maps,
              map_one_frame, .most_calls = 1),
    COST_LINE("kva_vm_map", "a call for each run", "maps, of three runs", COST_LOGARITHM, many_maps,
              map_three_runs, .most_calls = 3 + 2),
    COST_LINE("kva_vunmap", "O(log n + count), no call", "frames", COST_LINEAR, many_frames, unmap_all_frames,
              SELDOM, NO_CALL),
    COST_LINE("kva_vunmap", "O(log n + count), no call", "maps", COST_LOGARITHM, many_maps, unmap_one_frame,
              NO_CALL),
    COST_LINE("kva_vm_map_ram", "found again: O(count), no call", "ended maps", COST_CONSTANT,
              many_ended_maps, map_again, .at_times = true, .many = KEPT / 2, NO_CALL),
    COST_LINE("kva_vm_map_ram", "found again: O(count), no call", "ended maps of one page", COST_CONSTANT,
              many_ended_pages, map_page_again, .at_times = true, .many = KEPT, NO_CALL),
    COST_LINE("kva_vm_map_ram", "found again: O(count), no call", "ended maps of similar frames",
              COST_CONSTANT, many_similar_ended_maps, map_similar_again, .at_times = true, .few = 7,
              .many = KEPT / FRAMES, NO_CALL),
    COST_LINE("kva_vm_map_ram", "Else O(log n + count), a call for each run", "short maps", COST_LOGARITHM,
              many_short_maps, map_afresh, SHORT_MAPS, .rounds = 16, .most_calls = 2 + 2),
    COST_LINE("kva_vm_map_ram", "Else O(log n + count), a call for each run", "short maps and ended ones",
              COST_LOGARITHM, many_short_maps_and_ended_ones, map_afresh, SHORT_MAPS, .rounds = 16,
              .most_calls = 2 + 2),
    COST_LINE("kva_unmap_ram", "O(count), no call", "short maps", COST_CONSTANT, many_short_maps,
              end_short_map, SHORT_MAPS, .rounds = 32, NO_CALL),
    COST_LINE("kva_unmap_ram", "O(count), no call", "short maps, when another is evicted", COST_CONSTANT,
              many_short_maps_and_all_kept, end_short_map, SHORT_MAPS, NO_CALL),

    COST_LINE("kva_pcpu_create", "O(cpus)", "CPUs", COST_LINEAR, many_cpus, create_pcpu, CPUS, NO_CALL),
    COST_LINE("kva_pcpu_destroy", "as kva_vfree for each chunk and group", "absent chunks", COST_LINEAR,
              many_absent_chunks, destroy_pcpu, .rounds = 1),
    COST_LINE("kva_pcpu_destroy", "as kva_vfree for each chunk and group", "groups", COST_LINEAR, many_groups,
              destroy_pcpu, CPUS, .rounds = 1),
    COST_LINE("kva_pcpu_destroy", "as kva_vfree for each chunk and group", "allocators", COST_CONSTANT,
              many_allocators, destroy_pcpu, .rounds = 1),
    COST_LINE("kva_pcpu_alloc", "kva_alloc's, O((k + 1) log objects)", "holes that are too short",
              COST_N_LOG_N, short_object_holes, allocate_at_32, SELDOM),
    COST_LINE("kva_pcpu_alloc", "O(log objects)", "objects", COST_LOGARITHM, many_objects,
              free_and_allocate_object),
    COST_LINE("kva_pcpu_alloc", "clearing cpus * size bytes", "CPUs", COST_LINEAR, many_cpus,
              allocate_for_all_cpus, CPUS),
    COST_LINE("kva_pcpu_alloc", "A new chunk comes on top", "chunks", COST_LOGARITHM, many_chunks,
              allocate_whole_chunks, .at_times = true),
    COST_LINE("kva_pcpu_alloc", "A new chunk comes on top", "absent chunks", COST_LOGARITHM,
              many_absent_chunks, allocate_whole_chunks, .at_times = true),
    COST_LINE("kva_pcpu_free", "O(log n + log objects)", "objects", COST_LOGARITHM, many_objects,
              free_object),
    COST_LINE("kva_pcpu_free", "O(log n + log objects)", "chunks", COST_LOGARITHM, many_chunks, free_object),
    COST_LINE("kva_pcpu_free", "O(log n + log objects)", "objects, in vain", COST_LOGARITHM, many_objects,
              free_no_object),

    COST_LINE("kva_vm_find", "O(log n)", "areas", COST_LOGARITHM, many_areas, find, NO_CALL),
    COST_LINE("kva_vm_first", "O(log n)", "areas", COST_LOGARITHM, many_areas, first, NO_CALL),
    COST_LINE("kva_vm_next", "O(log n)", "areas", COST_LOGARITHM, many_areas, next, NO_CALL),
    COST_LINE("kva_vm_report", "O(n log n)", "areas", COST_N_LOG_N, many_areas, report, SELDOM, NO_CALL),
    COST_LINE("kva_vm_stats_read", "O(1)", "areas", COST_CONSTANT, many_areas, statistics, NO_CALL),
    COST_LINE("kva_vm_check", "O(n log n)", "areas", COST_N_LOG_N, many_areas, check, SELDOM),
    COST_LINE("kva_vm_purge", "O(m log n), one call for each run of neighbours", "parked areas, one run",
              COST_N_LOG_N, many_parked, purge_all, .rounds = 1, .most_calls = 8),
    COST_LINE("kva_vm_purge", "O(m log n), one call for each run of neighbours", "parked areas", COST_N_LOG_N,
              many_runs, purge_all, .rounds = 1, .many = 4096, .most_calls = 4096),
    COST_LINE("kva_vm_purge", "O(m log n), one call for each run of neighbours", "areas, one parked",
              COST_LOGARITHM, many_areas, purge_one, .most_calls = 1),
    COST_LINE("kva_vm_purge", "with nodes (config.node or request.node) two", "areas with nodes, one parked",
              COST_LOGARITHM, many_bound_areas, purge_one, .most_calls = 2),
    COST_LINE("kva_vm_purge", "for marked areas two", "areas, a marked one parked", COST_LOGARITHM,
              many_areas, purge_a_marked_one, .most_calls = 2),
    COST_LINE("kva_vm_purge", "for marked areas two, with nodes three",
              "areas with nodes, a marked one parked", COST_LOGARITHM, many_bound_areas, purge_a_marked_one,
              .most_calls = 3),
    COST_LINE("kva_vm_purge", "O(1) for each piece of the tables", "short maps, one ended", COST_LINEAR,
              many_short_maps, purge_ended_map, SHORT_MAPS, .most_calls = 1 + 2),
    COST_LINE("kva_vm_purge", "O(m log n), one call for each run of neighbours", "cached areas, one run",
              COST_N_LOG_N, many_cached, purge_all, .rounds = 1, .most_calls = 8),
    COST_LINE("kva_vm_purge", "with threads, runs end with each 2 MiB", "parked areas, one run", COST_N_LOG_N,
              many_parked_with_threads, purge_all, .rounds = 1, .many = 2048, .most_calls = 16),
    COST_LINE("kva_vm_reclaim_add", "O(callbacks)", "callbacks", COST_LINEAR, many_callbacks, add_callback,
              SELDOM),
    COST_LINE("kva_vm_reclaim_remove", "O(callbacks)", "callbacks", COST_LINEAR, many_callbacks,
              remove_callback, SELDOM),
    COST_LINE("kva_vm_fault_describe", "O(pages of the longest area that there was + KVA_VM_HISTORY)",
              "areas", COST_CONSTANT, many_areas, describe, NO_CALL),
};

static const struct cost_line lines_of_reporters[] = {
    COST_LINE("kva_fault_reporter_add", "O(list)", "instances", COST_LINEAR, many_reporters, install_reporter,
              .few = 4, .many = LISTED, SELDOM),
    COST_LINE("kva_fault_reporter_remove", "O(list)", "instances", COST_LINEAR, many_reporters,
              remove_reporter, .few = 4, .many = LISTED, SELDOM),
};

enum {
    LINES = sizeof(lines) / sizeof(lines[0]),
    REPORTERS = sizeof(lines_of_reporters) / sizeof(lines_of_reporters[0])
};

/** On a machine with several nodes, freed frames are mapped for a moment. */
static void allow_for_nodes(struct cost_line *line)
{
    if (strcmp(line->function, "kva_vm_frames_free") == 0 &&
        access("/sys/devices/system/node/node1", F_OK) == 0)
        line->most_calls *= 3;
}

static void test_costs(void **state)
{
    struct cost_line here[LINES];

    (void)state;
    memcpy(here, lines, sizeof(lines));
    for (size_t i = 0; i < LINES; i++)
        allow_for_nodes(&here[i]);
    for_each_mechanism (mechanism, k) {
        cost_measure(here, LINES, tear_down, test_mechanism_name(mechanism));
        cost_measure(lines_of_reporters, REPORTERS, no_reporters, test_mechanism_name(mechanism));
    }
}

static void test_every_row_has_a_line(void **state)
{
    struct cost_line all[LINES + REPORTERS];

    (void)state;
    memcpy(all, lines, sizeof(lines));
    memcpy(all + LINES, lines_of_reporters, sizeof(lines_of_reporters));
    static const char *const headers[] = {
        KVA_INCLUDE "/kva/vm.h",   KVA_INCLUDE "/kva/pages.h",  KVA_INCLUDE "/kva/vmap.h",
        KVA_INCLUDE "/kva/pcpu.h", KVA_INCLUDE "/kva/report.h", NULL,
    };

    cost_expect_complete(headers, all, LINES + REPORTERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_every_row_has_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
