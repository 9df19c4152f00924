/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Basic calls on an instance: each kind of area once, under each mechanism, with every failure on the
 *  way. */
#include "../common/harness.h"

#include <stdio.h>
#include <string.h>

#include <kva/engine.h>
#include <kva/pcpu.h>
#include <kva/report.h>
#include <kva/vmap.h>

#include "ports/test/failing_memory.h"
#include "ports/test/failing_pages.h"

#define PAGE ((size_t)4096)
#define RESERVATION (UINT64_C(256) << 20)

struct bench {
    struct kva_failing_pages pages;
    struct kva_failing_memory memory;
    struct kva_vm_config config;
    struct kva_vm *vm;
    struct kva_fault fault; /* the last misuse */
};

static void note_misuse(void *context, const struct kva_fault *fault)
{
    struct bench *bench = context;
    bench->fault = *fault;
}

static void init_sources(struct bench *bench, enum kva_mechanism mechanism)
{
    struct kva_pages inner = kva_pages_host(mechanism);

    memset(bench, 0, sizeof *bench);
    bench->config.reservation = RESERVATION;
    bench->config.cpus = 2;
    bench->config.pages = kva_failing_pages_init(&bench->pages, &inner);
    bench->config.memory = kva_failing_memory_init(&bench->memory);
    bench->config.on_misuse = note_misuse;
    bench->config.hook_context = bench;
}

/** An instance whose two sources the test controls; false where the kernel lacks the mechanism. */
static bool begin(struct bench *bench, enum kva_mechanism mechanism)
{
    init_sources(bench, mechanism);
    enum kva_status status = kva_vm_create(&bench->config, &bench->vm);
    if (status == KVA_ENOENT && mechanism == KVA_MECHANISM_GUARDS)
        return false;
    check_that(status == KVA_OK, "kva_vm_create: KVA_OK or KVA_ENOENT expected, %s returned",
               kva_status_name(status));
    return true;
}

static void expect_sound(struct bench *bench)
{
    struct kva_fault fault = {.what = NULL};
    enum kva_status status = kva_vm_check(bench->vm, &fault);
    check_that(status == KVA_OK, "kva_vm_check: %s at 0x%" PRIx64, fault.what, fault.address);
}

static void expect_nothing_outstanding(const struct bench *bench)
{
    assert_int_equal(bench->pages.reservations, 0);
    assert_int_equal(bench->pages.tables, 0);
    assert_int_equal(bench->pages.pieces, 0);
    assert_int_equal(bench->pages.frame_sets, 0);
    assert_int_equal(bench->memory.blocks, 0);
}

static void end(struct bench *bench)
{
    expect_sound(bench);
    assert_int_equal(kva_vm_destroy(bench->vm, NULL, NULL), KVA_OK);
    expect_nothing_outstanding(bench);
}

static struct kva_vm_stats stats_of(const struct bench *bench)
{
    struct kva_vm_stats stats;
    assert_int_equal(kva_vm_stats_read(bench->vm, &stats), KVA_OK);
    return stats;
}

static bool is_filled(const unsigned char *bytes, size_t count, unsigned char value)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != value)
            return false;
    }
    return true;
}

/* -------------------------------------------------------------------------------------- vmalloc and vfree */

static void an_area_goes_from_live_to_cached_to_free(struct bench *bench)
{
    struct kva_vm *vm = bench->vm;
    unsigned char *memory = kva_vmalloc(vm, 3 * PAGE - 100);

    assert_non_null(memory);
    assert_true(is_filled(memory, 3 * PAGE - 100, 0));
    memset(memory, 7, 3 * PAGE - 100);
    assert_int_equal(stats_of(bench).live_bytes, 3 * PAGE);
    assert_int_equal(kva_vfree(vm, memory), KVA_OK);
    assert_int_equal(stats_of(bench).cached_bytes, 3 * PAGE);
    assert_int_equal(bench->pages.open_pages, 3);

    uint64_t calls = bench->pages.calls;
    assert_ptr_equal(kva_vzalloc(vm, 2 * PAGE + 1), memory);
    assert_int_equal(bench->pages.calls, calls);
    assert_true(is_filled(memory, 2 * PAGE + 1, 0));
    assert_int_equal(kva_vfree(vm, memory), KVA_OK);
    assert_int_equal(stats_of(bench).cache_hits, 1);

    assert_int_equal(kva_vm_purge(vm), KVA_OK);
    assert_int_equal(bench->pages.open_pages, 0);
    assert_int_equal(stats_of(bench).cached_areas, 0);
}

static void wrong_frees_return_distinct_statuses(struct bench *bench)
{
    struct kva_vm *vm = bench->vm;
    char *memory = kva_vmalloc(vm, 2 * PAGE);
    char *large = kva_vmalloc(vm, 5000 * PAGE); /* more than a quarter of the cache */
    int elsewhere;

    assert_int_equal(kva_vfree(vm, NULL), KVA_OK);
    assert_int_equal(kva_vfree(vm, &elsewhere), KVA_EUNKNOWN);
    assert_int_equal(kva_vfree(vm, memory + 8), KVA_EINTERIOR);
    assert_int_equal(kva_vfree(vm, memory + PAGE), KVA_EINTERIOR);
    assert_int_equal(kva_vfree(vm, memory + 2 * PAGE), KVA_EINTERIOR); /* its guard page */
    assert_int_equal(bench->fault.address, (uintptr_t)memory + 2 * PAGE);
    assert_int_equal(kva_vm_status(vm), KVA_EINTERIOR);
    assert_int_equal(kva_vunmap(vm, memory), KVA_EINVAL);
    assert_int_equal(kva_vfree(vm, memory), KVA_OK);
    assert_int_equal(kva_vfree(vm, memory), KVA_EDOUBLE); /* cached */
    assert_int_equal(kva_vfree(vm, large), KVA_OK);
    assert_int_equal(kva_vfree(vm, large), KVA_EDEFERRED); /* parked */
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
    assert_int_equal(kva_vfree(vm, large), KVA_EDOUBLE); /* purged */
}

static void bad_requests_return_distinct_statuses(struct bench *bench)
{
    struct kva_vm_request request = kva_vm_request_of(0);
    void *memory = NULL;

    assert_int_equal(kva_vm_alloc(bench->vm, &request, &memory), KVA_ESIZE);
    request = kva_vm_request_of(SIZE_MAX);
    assert_int_equal(kva_vm_alloc(bench->vm, &request, &memory), KVA_EWRAP);
    request = kva_vm_request_of(SIZE_MAX / 2);
    assert_int_equal(kva_vm_alloc(bench->vm, &request, &memory), KVA_ENOSPC);
    request = kva_vm_request_of(1);
    request.align = 3;
    assert_int_equal(kva_vm_alloc(bench->vm, &request, &memory), KVA_EALIGN);
    request.align = ((size_t)1) << (sizeof(size_t) * 8 - 1);
    assert_int_equal(kva_vm_alloc(bench->vm, &request, &memory), KVA_ENOSPC);
    request = kva_vm_request_of(1);
    request.flags = 64;
    assert_int_equal(kva_vm_alloc(bench->vm, &request, &memory), KVA_EINVAL);
    request = kva_vm_request_of(1);
    request.max = 1;
    assert_int_equal(kva_vm_alloc(bench->vm, &request, &memory), KVA_EWINDOW);
    assert_null(memory);
    assert_int_equal(stats_of(bench).live_areas, 0);
}

static void windows_and_alignments_are_kept(struct bench *bench)
{
    struct kva_vm_request request = kva_vm_request_of(5 * PAGE);
    uint64_t first = stats_of(bench).reservation_first;
    void *memory;

    request.align = 1 << 20;
    request.min = (uintptr_t)first + (uintptr_t)(RESERVATION / 2) + 1;
    request.max = (uintptr_t)first + (uintptr_t)(RESERVATION * 5 / 8) - 1;
    assert_int_equal(kva_vm_alloc(bench->vm, &request, &memory), KVA_OK);
    assert_int_equal((uintptr_t)memory, first + RESERVATION / 2 + (1 << 20));
    memset(memory, 1, 5 * PAGE);

    request.max = (uintptr_t)first + (uintptr_t)(RESERVATION / 2) + 5 * PAGE;
    request.min = (uintptr_t)first + (uintptr_t)(RESERVATION / 2) + 1;
    request.align = 1;
    void *second;
    assert_int_equal(kva_vm_alloc(bench->vm, &request, &second), KVA_ENOSPC);
    request.max += PAGE - 1; /* the guard page may lie outside */
    assert_int_equal(kva_vm_alloc(bench->vm, &request, &second), KVA_OK);
    assert_int_equal(kva_vfree(bench->vm, memory), KVA_OK);
    assert_int_equal(kva_vfree(bench->vm, second), KVA_OK);
}

/** Enough parked areas for one purge: it merges neighbours, so it makes few calls. */
static void parked_areas_are_purged_in_batches(enum kva_mechanism mechanism)
{
    enum { AREAS = 100 };
    void *memory[AREAS];
    struct bench bench;

    init_sources(&bench, mechanism);
    bench.config.cache_bytes = KVA_VM_NONE;
    bench.config.one_thread = true; /* with threads, a purged run ends with its grain */
    if (kva_vm_create(&bench.config, &bench.vm) == KVA_ENOENT)
        return;
    for (size_t i = 0; i < AREAS; i++) {
        memory[i] = kva_vmalloc(bench.vm, 150 * PAGE);
        assert_non_null(memory[i]);
    }
    for (size_t i = AREAS; i-- > 0;)
        assert_int_equal(kva_vfree(bench.vm, memory[i]), KVA_OK);
    assert_int_equal(stats_of(&bench).parked_areas, AREAS);
    expect_sound(&bench);
    assert_int_equal(kva_vm_purge(bench.vm), KVA_OK);
    assert_int_equal(stats_of(&bench).purged_runs, 1);
    assert_int_equal(bench.pages.closes, 1);
    assert_int_equal(bench.pages.open_pages, 0);
    end(&bench);
}

/** A full cache makes room for a freed area: the areas freed longest ago are parked, whatever their size. */
static void a_full_cache_parks_the_oldest_areas(enum kva_mechanism mechanism)
{
    enum { SINGLES = 64 };
    void *single[SINGLES];
    struct bench bench;

    init_sources(&bench, mechanism);
    bench.config.cache_bytes = SINGLES * PAGE;
    bench.config.one_thread = true; /* with threads, this CPU would have only its share */
    if (kva_vm_create(&bench.config, &bench.vm) == KVA_ENOENT)
        return;
    for (size_t i = 0; i < SINGLES; i++)
        single[i] = kva_vmalloc(bench.vm, PAGE);
    void *other = kva_vmalloc(bench.vm, 10 * PAGE);
    for (size_t i = 0; i < SINGLES; i++)
        assert_int_equal(kva_vfree(bench.vm, single[i]), KVA_OK);
    assert_int_equal(stats_of(&bench).cached_areas, SINGLES);
    assert_int_equal(kva_vfree(bench.vm, other), KVA_OK);
    assert_int_equal(stats_of(&bench).cached_areas, SINGLES - 10 + 1);
    assert_int_equal(stats_of(&bench).parked_areas, 10);
    assert_ptr_equal(kva_vmalloc(bench.vm, 10 * PAGE), other);
    assert_int_equal(kva_vfree(bench.vm, other), KVA_OK);
    end(&bench);
}

/** The cache also serves alignments and large sizes. */
static void cached_areas_serve_alignments_and_large_sizes(struct bench *bench)
{
    const size_t large = 1000 * PAGE;
    char *aligned = kva_vmalloc_aligned(bench->vm, 5 * PAGE, 1 << 20);
    char *plain = kva_vmalloc(bench->vm, 5 * PAGE + PAGE);
    char *other = kva_vmalloc(bench->vm, 5 * PAGE);

    assert_int_equal(kva_vfree(bench->vm, aligned), KVA_OK);
    assert_int_equal(kva_vfree(bench->vm, other), KVA_OK); /* on top of it */
    assert_ptr_equal(kva_vmalloc_aligned(bench->vm, 5 * PAGE, 1 << 20), aligned);
    assert_int_equal(kva_vfree(bench->vm, aligned), KVA_OK);
    assert_int_equal(kva_vfree(bench->vm, plain), KVA_OK);
    char *first = kva_vmalloc(bench->vm, large);
    char *second = kva_vmalloc(bench->vm, large + PAGE); /* shares its bin */
    assert_int_equal(kva_vfree(bench->vm, first), KVA_OK);
    assert_int_equal(kva_vfree(bench->vm, second), KVA_OK);
    expect_sound(bench);
    assert_ptr_equal(kva_vmalloc(bench->vm, large), first);
    assert_ptr_equal(kva_vmalloc(bench->vm, large + PAGE), second);
    assert_int_equal(stats_of(bench).cache_hits, 3);
    assert_int_equal(kva_vfree(bench->vm, first), KVA_OK);
    assert_int_equal(kva_vfree(bench->vm, second), KVA_OK);
}

static void huge_areas_are_whole_huge_pages(struct bench *bench)
{
    size_t huge = (size_t)bench->config.pages.huge;
    struct kva_vm_area area;

    if (huge == 0)
        return;
    char *memory = kva_vmalloc_huge(bench->vm, huge + 1);
    assert_non_null(memory);
    assert_int_equal((uintptr_t)memory % huge, 0);
    assert_int_equal(kva_vm_usable_size(bench->vm, memory) >= huge + 1, true);
    memory[huge] = 1;
    assert_int_equal(kva_vm_find(bench->vm, memory + 5, &area), KVA_OK);
    assert_int_equal(area.pages * PAGE, 2 * huge);
    assert_true(area.flags & KVA_VM_HUGE);
    assert_int_equal(kva_vfree(bench->vm, memory), KVA_OK);
    memory = kva_vmalloc_huge(bench->vm, PAGE); /* too small for a huge page */
    assert_int_equal(kva_vm_find(bench->vm, memory, &area), KVA_OK);
    assert_int_equal(area.pages, 1);
    assert_int_equal(kva_vfree(bench->vm, memory), KVA_OK);
}

/** With and without guards: an area that does not fit the private part does not go to the frames part
 *  either. */
static void private_areas_stay_out_of_the_frames_part(enum kva_mechanism mechanism)
{
    for (int guards = 0; guards < 2; guards++) {
        struct bench bench;
        init_sources(&bench, mechanism);
        bench.config.without_guards = guards == 0;
        if (kva_vm_create(&bench.config, &bench.vm) == KVA_ENOENT)
            return;
        size_t private_bytes = (size_t)(RESERVATION / 4 * 3);
        void *memory = kva_vmalloc(bench.vm, private_bytes - (guards ? PAGE : 0));
        assert_non_null(memory);
        assert_null(kva_vmalloc(bench.vm, PAGE));
        assert_int_equal(kva_vm_status(bench.vm), KVA_ENOSPC);
        assert_int_equal(kva_vfree(bench.vm, memory), KVA_OK);
        end(&bench);
    }
}

/** The reservation includes its tables: without memory for them, half of the addresses are tried. */
static void a_reservation_without_tables_is_halved(enum kva_mechanism mechanism)
{
    struct bench bench;

    init_sources(&bench, mechanism);
    kva_failing_pages_fail(&bench.pages, 1, false);
    if (kva_vm_create(&bench.config, &bench.vm) == KVA_ENOENT)
        return;
    assert_int_equal(bench.pages.refused, 1);
    assert_int_equal(stats_of(&bench).reservation_last - stats_of(&bench).reservation_first + 1,
                     RESERVATION / 2);
    end(&bench);

    init_sources(&bench, mechanism);
    bench.config.reservation_least = RESERVATION;
    kva_failing_pages_fail(&bench.pages, 1, false);
    assert_int_equal(kva_vm_create(&bench.config, &bench.vm), KVA_ENOMEM);
    expect_nothing_outstanding(&bench);
}

static void usable_sizes_are_whole_pages(struct bench *bench)
{
    struct kva_vm_frames *frames;
    uint64_t numbers[2];

    assert_int_equal(kva_vm_frames_create(bench->vm, &(struct kva_vm_frames_config){.count = 2}, &frames),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, 2, numbers), KVA_OK);
    char *map = kva_vmap(bench->vm, frames, numbers, 2);
    char *ram = kva_map_ram(bench->vm, frames, numbers, 1);
    char *memory = kva_vmalloc(bench->vm, 3 * PAGE);
    assert_int_equal(kva_vm_usable_size(bench->vm, map), 2 * PAGE);
    assert_int_equal(kva_vm_usable_size(bench->vm, ram), PAGE);
    assert_int_equal(kva_vm_usable_size(bench->vm, memory), 3 * PAGE);
    assert_int_equal(kva_vm_usable_size(bench->vm, memory + PAGE), 0);
    assert_int_equal(kva_vm_usable_size(bench->vm, NULL), 0);
    assert_int_equal(kva_vfree(bench->vm, memory), KVA_OK);
    assert_int_equal(kva_vm_usable_size(bench->vm, memory), 0);
    assert_int_equal(kva_vunmap(bench->vm, map), KVA_OK);
    assert_int_equal(kva_unmap_ram(bench->vm, ram), KVA_OK);
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
}

static void parts_larger_than_the_reservation_return_enospc(struct bench *bench)
{
    struct kva_vm_request request = kva_vm_request_of(1);
    struct kva_part part = {0, 2 * RESERVATION};
    struct kva_pcpu_config config = {.cpus = 4, .unit = (size_t)(RESERVATION / 2)};
    struct kva_pcpu *pcpu;
    void *memory;

    assert_int_equal(kva_vm_alloc_congruent(bench->vm, &request, &part, 1, &memory), KVA_ENOSPC);
    assert_int_equal(kva_pcpu_create(bench->vm, &config, &pcpu), KVA_ENOSPC);
    assert_int_equal(bench->fault.status, KVA_OK);
    part.size = UINT64_MAX;
    assert_int_equal(kva_vm_alloc_congruent(bench->vm, &request, &part, 1, &memory), KVA_EWRAP);
    assert_int_equal(bench->fault.status, KVA_EWRAP);
}

/* ------------------------------------------------------------------------------------------------ realloc */

static void a_resize_keeps_the_contents(struct bench *bench)
{
    struct kva_vm *vm = bench->vm;
    unsigned char *memory = kva_vrealloc(vm, NULL, 100, 0);

    assert_non_null(memory);
    memset(memory, 9, 100);
    memory = kva_vrealloc(vm, memory, 4 * PAGE, KVA_VM_ZERO); /* in place */
    assert_true(is_filled(memory, 100, 9) && is_filled(memory + 100, 4 * PAGE - 100, 0));
    assert_int_equal(stats_of(bench).grown_in_place, 1);
    memset(memory, 9, 4 * PAGE);
    assert_ptr_equal(kva_vrealloc(vm, memory, 50, 0), memory);
    assert_int_equal(bench->pages.open_pages, 1);

    void *next = kva_vmalloc(vm, PAGE); /* where it would grow */
    memory = kva_vrealloc(vm, memory, 2 * PAGE, KVA_VM_ZERO);
    assert_true(is_filled(memory, 50, 9) && is_filled(memory + 50, 2 * PAGE - 50, 0));
    assert_int_equal(stats_of(bench).moved, 1);
    assert_int_equal(kva_vfree(vm, next), KVA_OK);
    assert_null(kva_vrealloc(vm, memory, 0, 0));
    assert_int_equal(stats_of(bench).live_areas, 0);
    void *moved;
    assert_int_equal(kva_vm_realloc(vm, NULL, 0, 64, &moved), KVA_EINVAL);
    assert_int_equal(kva_vm_realloc(vm, NULL, 0, 0, &moved), KVA_OK);
    assert_null(moved);
}

/** An area moves into one that was filled before: it is zero to the end of its last page. */
static void moved_areas_end_in_zeroes(struct bench *bench)
{
    unsigned char *memory = kva_vmalloc(bench->vm, 100);
    void *wall = kva_vmalloc(bench->vm, PAGE);
    unsigned char *filled = kva_vmalloc(bench->vm, 2 * PAGE);

    memset(filled, 5, 2 * PAGE);
    assert_int_equal(kva_vfree(bench->vm, filled), KVA_OK);
    memset(memory, 9, 100);
    assert_ptr_equal(kva_vrealloc(bench->vm, memory, PAGE + 1, KVA_VM_ZERO), filled);
    assert_ptr_equal(kva_vrealloc(bench->vm, filled, 2 * PAGE, 0), filled);
    assert_true(is_filled(filled, 100, 9) && is_filled(filled + 100, 2 * PAGE - 100, 0));
    assert_int_equal(kva_vfree(bench->vm, filled), KVA_OK);
    assert_int_equal(kva_vfree(bench->vm, wall), KVA_OK);
}

/** Shrinking needs a node for the new hole; when none can be allocated, a purge merges parked areas. (The
 *  engine is rb because each of its ranges needs a node.) */
static void shrinking_purges_for_a_node(enum kva_mechanism mechanism)
{
    enum { AREAS = 1000 };
    static void *memory[AREAS];
    struct bench bench;

    init_sources(&bench, mechanism);
    bench.config.engine = &kva_engine_rb;
    if (kva_vm_create(&bench.config, &bench.vm) == KVA_ENOENT)
        return;
    void *parked[2] = {kva_vmalloc(bench.vm, 200 * PAGE), kva_vmalloc(bench.vm, 200 * PAGE)};
    for (size_t i = 0; i < AREAS; i++) {
        memory[i] = kva_vmalloc(bench.vm, 4 * PAGE);
        assert_non_null(memory[i]);
    }
    assert_int_equal(kva_vfree(bench.vm, parked[0]), KVA_OK);
    assert_int_equal(kva_vfree(bench.vm, parked[1]), KVA_OK);
    kva_failing_memory_fail(&bench.memory, 1, true);
    for (size_t i = 0; i < AREAS && bench.memory.refused == 0; i++)
        assert_ptr_equal(kva_vrealloc(bench.vm, memory[i], PAGE, 0), memory[i]);
    assert_true(bench.memory.refused > 0);
    assert_int_equal(stats_of(&bench).purges, 1);
    kva_failing_memory_fail(&bench.memory, 0, false);
    for (size_t i = 0; i < AREAS; i++)
        assert_int_equal(kva_vfree(bench.vm, memory[i]), KVA_OK);
    end(&bench);
}

/* ------------------------------------------------------------------------------------------------- frames */

static void maps_of_a_frame_share_its_contents(struct bench *bench)
{
    struct kva_vm_frames *frames;
    uint64_t numbers[4];

    assert_int_equal(kva_vm_frames_create(bench->vm, &(struct kva_vm_frames_config){.count = 4}, &frames),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, 5, numbers), KVA_ENOSPC);
    assert_int_equal(kva_vm_frames_alloc(frames, 4, numbers), KVA_OK);
    uint64_t ring[4] = {numbers[2], numbers[0], numbers[2], numbers[0]};
    char *memory = kva_vmap(bench->vm, frames, ring, 4);
    assert_non_null(memory);
    strcpy(memory + 2 * PAGE - 4, "across the end");
    assert_string_equal(memory + 2 * PAGE, "ss the end");
    assert_string_equal(memory, "ss the end");

    char *small = kva_map_ram(bench->vm, frames, &ring[1], 1);
    assert_memory_equal(small + PAGE - 4, "acro", 4);
    expect_sound(bench);
    assert_int_equal(kva_unmap_ram(bench->vm, small), KVA_OK);
    uint64_t calls = bench->pages.calls;
    assert_ptr_equal(kva_map_ram(bench->vm, frames, &ring[1], 1), small); /* found again */
    assert_int_equal(bench->pages.calls, calls);
    assert_int_equal(kva_unmap_ram(bench->vm, small), KVA_OK);
    assert_int_equal(kva_unmap_ram(bench->vm, small), KVA_EDEFERRED);

    assert_int_equal(kva_vm_frames_free(frames, numbers, 4), KVA_EBUSY);
    assert_int_equal(kva_vunmap(bench->vm, memory), KVA_OK);
    expect_sound(bench);
    assert_int_equal(kva_vm_frames_free(frames, numbers, 4), KVA_OK);
    assert_int_equal(kva_vm_frames_free(frames, numbers, 1), KVA_EDOUBLE);
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    assert_int_equal(bench->pages.mapped_pages, 0);
}

/** More freed maps than are kept: some are purged on the way, and live ones never. */
static void short_lived_maps_are_purged_in_batches(struct bench *bench)
{
    enum { FRAMES = 16384, LENGTH = 16 };
    static uint64_t numbers[FRAMES];
    static size_t *maps[FRAMES / LENGTH];
    struct kva_vm_frames *frames;

    assert_int_equal(
        kva_vm_frames_create(bench->vm, &(struct kva_vm_frames_config){.count = FRAMES}, &frames), KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, FRAMES, numbers), KVA_OK);
    uint32_t *held = kva_map_ram(bench->vm, frames, numbers, 3);
    assert_non_null(held);
    *held = 12345;
    for (size_t i = LENGTH; i + LENGTH <= FRAMES; i += LENGTH) {
        size_t *memory = kva_map_ram(bench->vm, frames, &numbers[i], LENGTH);
        assert_non_null(memory);
        *memory = i;
        maps[i / LENGTH] = memory;
    }
    for (size_t i = 1; i < FRAMES / LENGTH; i++)
        assert_int_equal(kva_unmap_ram(bench->vm, maps[i]), KVA_OK);
    expect_sound(bench);
    struct kva_vm_stats stats = stats_of(bench);
    assert_int_equal(stats.ram_live, 1);
    assert_true(stats.ram_parked * LENGTH <= 8 * 512);
    /* Purged runs end with each 2 MiB. */
    assert_true(bench->pages.closes > 0 && bench->pages.closes <= 2 * FRAMES / 512);
    assert_int_equal(*held, 12345);
    assert_int_equal(kva_unmap_ram(bench->vm, held), KVA_OK);
    assert_int_equal(kva_vm_purge(bench->vm), KVA_OK);
    assert_int_equal(bench->pages.mapped_pages, 0);
    assert_int_equal(stats_of(bench).live_areas, 0);
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
}

/* ------------------------------------------------------------------------------------------------ per CPU */

static void copies_lie_at_fixed_distances(struct bench *bench)
{
    enum { OBJECTS = 300 };
    struct kva_pcpu_config config = {.cpus = 5, .groups = 2, .unit = 16 * 1024};
    struct kva_pcpu *pcpu;
    void *object[OBJECTS];

    assert_int_equal(kva_pcpu_create(bench->vm, &config, &pcpu), KVA_OK);
    assert_int_equal(kva_pcpu_alloc(pcpu, 16 * 1024 + 1, 1, &object[0]), KVA_ESIZE);
    for (size_t i = 0; i < OBJECTS; i++) {
        assert_int_equal(kva_pcpu_alloc(pcpu, 200, 64, &object[i]), KVA_OK);
        assert_int_equal((uintptr_t)object[i] % 64, 0);
        for (unsigned cpu = 0; cpu < 5; cpu++) {
            unsigned char *copy = kva_pcpu_of(pcpu, object[i], cpu);
            assert_true(is_filled(copy, 200, 0));
            memset(copy, 1 + (int)cpu, 200);
            assert_int_equal(copy - (unsigned char *)object[i],
                             (char *)kva_pcpu_of(pcpu, object[0], cpu) - (char *)object[0]);
        }
    }
    assert_null(kva_pcpu_of(pcpu, object[0], 5));
    expect_sound(bench);
    assert_int_equal(kva_pcpu_destroy(pcpu), KVA_EBUSY);
    assert_int_equal(kva_pcpu_free(pcpu, (char *)object[0] + 16), KVA_EINTERIOR);
    for (size_t i = 0; i < OBJECTS; i++) {
        assert_true(is_filled(kva_pcpu_of(pcpu, object[i], 4), 200, 5));
        assert_int_equal(kva_pcpu_free(pcpu, object[i]), KVA_OK);
    }
    assert_int_equal(kva_pcpu_free(pcpu, object[0]), KVA_EDOUBLE);
    assert_int_equal(stats_of(bench).live_areas, 2); /* one empty chunk is kept: two groups */
    assert_int_equal(kva_pcpu_destroy(pcpu), KVA_OK);
}

/** Whichever block of node memory is missing for an object, no chunk remains. */
static void failed_objects_leave_no_chunk(struct bench *bench)
{
    enum kva_status status = KVA_ENOMEM;
    void *object;

    for (uint64_t n = 1; status != KVA_OK; n++) {
        struct kva_pcpu *pcpu;
        assert_int_equal(kva_pcpu_create(bench->vm, NULL, &pcpu), KVA_OK);
        kva_failing_memory_fail(&bench->memory, n, true);
        status = kva_pcpu_alloc(pcpu, 64, 8, &object);
        kva_failing_memory_fail(&bench->memory, 0, false);
        assert_int_equal(stats_of(bench).live_areas, status == KVA_OK ? 1 : 0);
        if (status == KVA_OK)
            assert_int_equal(kva_pcpu_free(pcpu, object), KVA_OK);
        assert_int_equal(kva_pcpu_destroy(pcpu), KVA_OK);
        assert_int_equal(kva_vm_purge(bench->vm), KVA_OK);
    }
}

struct taking_while_asked {
    struct kva_failing_pages *pages;
    struct kva_pcpu *pcpu;
    void *object;
};

static bool take_another(void *context, struct kva_vm *vm, size_t size)
{
    struct taking_while_asked *taking = context;

    (void)vm;
    (void)size;
    kva_failing_pages_fail(taking->pages, 0, false);
    assert_int_equal(kva_pcpu_alloc(taking->pcpu, 64, 8, &taking->object), KVA_OK);
    return true;
}

/** Pages are short when a chunk is needed, and the reclaim callback allocates an object from the same
 *  allocator. */
static void a_reclaim_callback_may_allocate_an_object(struct bench *bench)
{
    struct taking_while_asked taking = {&bench->pages, NULL, NULL};
    struct kva_vm_reclaim reclaim = {.callback = take_another, .context = &taking};
    struct kva_pcpu_config config = {.cpus = 2};
    void *object;

    assert_int_equal(kva_vm_reclaim_add(bench->vm, &reclaim), KVA_OK);
    assert_int_equal(kva_pcpu_create(bench->vm, &config, &taking.pcpu), KVA_OK);
    kva_failing_pages_fail(&bench->pages, 1, true); /* until the callback is called */
    assert_int_equal(kva_pcpu_alloc(taking.pcpu, 64, 8, &object), KVA_OK);
    assert_non_null(taking.object);
    assert_ptr_not_equal(object, taking.object);
    assert_int_equal(stats_of(bench).live_areas, 2); /* a chunk for each */
    expect_sound(bench);
    assert_int_equal(kva_pcpu_free(taking.pcpu, object), KVA_OK);
    assert_int_equal(kva_pcpu_free(taking.pcpu, taking.object), KVA_OK);
    assert_int_equal(kva_pcpu_destroy(taking.pcpu), KVA_OK);
    assert_int_equal(stats_of(bench).live_areas, 0);
    assert_int_equal(kva_vm_reclaim_remove(bench->vm, &reclaim), KVA_OK);
}

/* ------------------------------------------------------------------------------------------ grace periods */

struct waiting {
    struct kva_later *record[4];
    size_t count;
};

static void after_grace(void *context, struct kva_later *record)
{
    struct waiting *waiting = context;
    waiting->record[waiting->count++] = record;
}

static void later_areas_stay_until_they_are_ready(enum kva_mechanism mechanism)
{
    struct waiting waiting = {.count = 0};
    struct bench bench;

    init_sources(&bench, mechanism);
    bench.config.grace = (struct kva_grace){after_grace, NULL, &waiting};
    if (kva_vm_create(&bench.config, &bench.vm) == KVA_ENOENT)
        return;
    struct kva_later *inside = kva_vmalloc(bench.vm, PAGE);
    char *outside = kva_vmalloc(bench.vm, PAGE);
    strcpy(outside, "still there");
    assert_int_equal(kva_vfree_later(bench.vm, inside, inside), KVA_OK);
    assert_int_equal(kva_vfree_later(bench.vm, outside, NULL), KVA_OK);
    assert_int_equal(kva_vfree(bench.vm, outside), KVA_EDEFERRED);
    assert_int_equal(stats_of(&bench).later_areas, 2);
    expect_sound(&bench);
    assert_string_equal(outside, "still there");
    kva_vfree_ready(waiting.record[1]);
    kva_vfree_ready(waiting.record[0]);
    assert_int_equal(stats_of(&bench).later_areas, 2);
    assert_int_equal(kva_vm_purge(bench.vm), KVA_OK);
    assert_int_equal(stats_of(&bench).later_areas, 0);
    assert_int_equal(bench.pages.open_pages, 0);
    end(&bench);
}

/* -------------------------------------------------------------------------------------- hardened, reports */

static void hardened_areas_are_unmapped_at_once(enum kva_mechanism mechanism)
{
    struct bench bench;

    init_sources(&bench, mechanism);
    bench.config.hardened = true;
    bench.config.seed = 1;
    bench.config.quarantine_bytes = 10 * PAGE;
    if (kva_vm_create(&bench.config, &bench.vm) == KVA_ENOENT)
        return;
    char *memory = kva_vmalloc(bench.vm, PAGE);
    assert_int_equal(kva_vfree(bench.vm, memory), KVA_OK);
    assert_int_equal(bench.pages.open_pages, 0);
    assert_int_equal(stats_of(&bench).quarantined_areas, 1);
    assert_int_equal(kva_vfree(bench.vm, memory), KVA_EDEFERRED);
    for (int i = 0; i < 10; i++) {
        char *other = kva_vmalloc(bench.vm, PAGE);
        assert_non_null(other);
        *other = 1;
        assert_int_equal(kva_vfree(bench.vm, other), KVA_OK);
        expect_sound(&bench);
    }
    assert_int_equal(stats_of(&bench).quarantined_areas, 5);
    end(&bench);
}

struct lines {
    char text[4096];
    size_t length;
    size_t count;
};

static void keep_line(void *context, const char *text, size_t length)
{
    struct lines *lines = context;
    assert_true(lines->length + length + 2 < sizeof lines->text);
    memcpy(lines->text + lines->length, text, length);
    lines->length += length;
    lines->text[lines->length++] = '\n';
    lines->text[lines->length] = '\0';
    lines->count++;
}

static size_t name_anything(void *context, const void *address, char *text, size_t bytes)
{
    (void)context;
    (void)address;
    return (size_t)snprintf(text, bytes, "load+0x1c");
}

static void reports_name_the_allocating_caller(enum kva_mechanism mechanism)
{
    struct lines lines = {.length = 0};
    struct bench bench;
    char text[256];
    char expected[256];

    init_sources(&bench, mechanism);
    bench.config.symbol = name_anything;
    if (kva_vm_create(&bench.config, &bench.vm) == KVA_ENOENT)
        return;
    char *memory = kva_vzalloc(bench.vm, 3 * PAGE - 7);
    assert_int_equal(kva_vm_report(bench.vm, keep_line, &lines), KVA_OK);
    snprintf(expected, sizeof expected,
             "0x%016" PRIxPTR "-0x%016" PRIxPTR " 12281 load+0x1c pages=3 vmalloc live zero\n"
             "total: 1 live area, 12288 bytes; 0 cached, 0 bytes; 0 parked, 0 bytes\n",
             (uintptr_t)memory, (uintptr_t)memory + 4 * PAGE - 1);
    assert_string_equal(lines.text, expected);

    size_t length = kva_vm_fault_describe(bench.vm, memory + 3 * PAGE + 11, false, text, sizeof text);
    snprintf(expected, sizeof expected,
             "read 12 bytes past the end of the 3-page area 0x%" PRIxPTR
             ", allocated at load+0x1c, freed: no",
             (uintptr_t)memory);
    assert_string_equal(text, expected);
    assert_int_equal(length, strlen(expected));
    assert_int_equal(kva_vfree(bench.vm, memory), KVA_OK);
    assert_int_equal(kva_vm_purge(bench.vm), KVA_OK);
    kva_vm_fault_describe(bench.vm, memory + 40, true, text, sizeof text);
    snprintf(expected, sizeof expected,
             "write 40 bytes into the 3-page area 0x%" PRIxPTR
             ", allocated at load+0x1c, freed: yes, at load+0x1c",
             (uintptr_t)memory);
    assert_string_equal(text, expected);
    assert_int_equal(kva_vm_fault_describe(bench.vm, &bench, true, text, sizeof text), 0);
    end(&bench);
}

/** A name that breaks a line and UTF-8, and ends within a character. */
static size_t name_badly(void *context, const void *address, char *text, size_t bytes)
{
    (void)context;
    (void)address;
    return (size_t)snprintf(text, bytes, "a\"b\\c\nd\x7f\xff\xc3\xa9\xe2\x82");
}

static void any_name_keeps_the_report_in_lines(enum kva_mechanism mechanism)
{
    struct lines lines = {.length = 0};
    struct bench bench;
    char text[256];

    init_sources(&bench, mechanism);
    bench.config.symbol = name_badly;
    if (kva_vm_create(&bench.config, &bench.vm) == KVA_ENOENT)
        return;
    char *memory = kva_vmalloc(bench.vm, PAGE);
    assert_int_equal(kva_vm_report(bench.vm, keep_line, &lines), KVA_OK);
    assert_non_null(strstr(lines.text, " a\"b\\c?d?\xff\xc3\xa9\xe2\x82 pages=1"));
    kva_vm_fault_describe(bench.vm, memory + PAGE, false, text, sizeof text);
    assert_null(strchr(text, '\n'));
    assert_int_equal(kva_vfree(bench.vm, memory), KVA_OK);
    end(&bench);
}

static void note_leak(void *context, const struct kva_vm_area *area)
{
    size_t *bytes = context;
    *bytes += area->size;
}

static void leaks_are_reported(enum kva_mechanism mechanism)
{
    struct bench bench;
    size_t bytes = 0;

    if (!begin(&bench, mechanism))
        return;
    assert_non_null(kva_vmalloc(bench.vm, 1000));
    assert_non_null(kva_vmalloc(bench.vm, 200 * PAGE));
    assert_int_equal(kva_vfree(bench.vm, kva_vmalloc(bench.vm, 1)), KVA_OK);
    assert_int_equal(kva_vm_destroy(bench.vm, note_leak, &bytes), KVA_EBUSY);
    assert_int_equal(bytes, 1000 + 200 * PAGE);
    assert_int_equal(kva_vm_status(bench.vm), KVA_EBUSY);
    bytes = 0;
    assert_int_equal(kva_vm_abandon(bench.vm, note_leak, &bytes), KVA_OK);
    assert_int_equal(bytes, 1000 + 200 * PAGE);
    expect_nothing_outstanding(&bench);
}

/* ------------------------------------------------------------------------------------------ promises kept */

/** An area after its grace period, and one that moves, are freed; but not by a call that must not block,
 *  because that would purge them at once here. */
static void calls_that_must_not_block_purge_nothing(enum kva_mechanism mechanism)
{
    struct waiting waiting = {.count = 0};
    struct bench bench;
    void *memory;

    init_sources(&bench, mechanism);
    bench.config.grace = (struct kva_grace){after_grace, NULL, &waiting};
    bench.config.cache_bytes = KVA_VM_NONE;
    bench.config.lazy_bytes = KVA_VM_NONE;
    if (kva_vm_create(&bench.config, &bench.vm) == KVA_ENOENT)
        return;
    struct kva_vm_request request = kva_vm_request_of(PAGE);
    request.flags = KVA_VM_NO_BLOCK;
    assert_int_equal(kva_vfree_later(bench.vm, kva_vmalloc(bench.vm, PAGE), NULL), KVA_OK);
    kva_vfree_ready(waiting.record[0]);
    assert_int_equal(kva_vm_alloc(bench.vm, &request, &memory), KVA_OK);
    assert_int_equal(stats_of(&bench).purges, 0);
    /* Frees the ready area, by one purge, and takes its place. */
    void *before = kva_vmalloc(bench.vm, PAGE);
    void *next = kva_vmalloc(bench.vm, PAGE);
    assert_int_equal(stats_of(&bench).purges, 1);
    assert_int_equal(kva_vm_realloc(bench.vm, memory, 9 * PAGE, KVA_VM_NO_BLOCK, &memory), KVA_OK);
    assert_int_equal(stats_of(&bench).moved, 1);
    assert_int_equal(stats_of(&bench).purges, 1);
    assert_int_equal(stats_of(&bench).parked_areas, 1);
    assert_int_equal(kva_vfree(bench.vm, before), KVA_OK);
    assert_int_equal(kva_vfree(bench.vm, next), KVA_OK);
    assert_int_equal(kva_vfree(bench.vm, memory), KVA_OK);
    end(&bench);
}

static void begin_hardened(struct bench *bench, enum kva_mechanism mechanism)
{
    init_sources(bench, mechanism);
    bench->config.hardened = true;
    bench->config.seed = 1;
    bench->config.quarantine_bytes = 10 * PAGE;
    if (kva_vm_create(&bench->config, &bench->vm) != KVA_OK)
        bench->vm = NULL;
}

/** An area larger than the quarantine stays in it; others leave. */
static void large_areas_stay_in_quarantine(enum kva_mechanism mechanism)
{
    struct bench bench;

    begin_hardened(&bench, mechanism);
    if (!bench.vm)
        return;
    void *small = kva_vmalloc(bench.vm, PAGE);
    void *large = kva_vmalloc(bench.vm, 100 * PAGE);
    void *last = kva_vmalloc(bench.vm, 2 * PAGE);
    assert_int_equal(kva_vfree(bench.vm, small), KVA_OK);
    assert_int_equal(kva_vfree(bench.vm, large), KVA_OK);
    assert_int_equal(kva_vfree(bench.vm, large), KVA_EDEFERRED);
    assert_int_equal(kva_vfree(bench.vm, last), KVA_OK);
    assert_int_equal(kva_vfree(bench.vm, large), KVA_EDEFERRED);
    assert_int_equal(kva_vfree(bench.vm, small), KVA_EDOUBLE);
    end(&bench);
}

/** Whether the addresses are `distance` apart, as lowest fits are. */
static bool is_in_a_row(char *const *memory, size_t count, size_t distance)
{
    for (size_t i = 1; i < count; i++) {
        if (memory[i] != memory[i - 1] + distance)
            return false;
    }
    return true;
}

static void hardened_areas_of_every_kind_are_scattered(enum kva_mechanism mechanism)
{
    struct kva_part part = {0, PAGE};
    struct kva_vm_request request = kva_vm_request_of(1);
    struct kva_vm_frames *frames;
    struct bench bench;
    char *maps[8];
    char *parts[8];
    uint64_t number;

    begin_hardened(&bench, mechanism);
    if (!bench.vm)
        return;
    assert_int_equal(kva_vm_frames_create(bench.vm, &(struct kva_vm_frames_config){.count = 1}, &frames),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, 1, &number), KVA_OK);
    for (size_t i = 0; i < 8; i++) {
        void *start;
        maps[i] = kva_vmap(bench.vm, frames, &number, 1);
        assert_non_null(maps[i]);
        assert_int_equal(kva_vm_alloc_congruent(bench.vm, &request, &part, 1, &start), KVA_OK);
        parts[i] = start;
    }
    assert_false(is_in_a_row(maps, 8, 2 * PAGE));
    assert_false(is_in_a_row(parts, 8, 2 * PAGE));
    expect_sound(&bench);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(kva_vunmap(bench.vm, maps[i]), KVA_OK);
        assert_int_equal(kva_vfree(bench.vm, parts[i]), KVA_OK);
    }
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    end(&bench);
}

struct spoiler {
    void *memory;
    struct kva_pcpu *pcpu;
    unsigned asked;
};

/** A reclaim callback that tries to free the area for which it is called. */
static bool spoil(void *context, struct kva_vm *vm, size_t size)
{
    struct spoiler *spoiler = context;
    void *moved = spoiler->memory;
    (void)size;

    spoiler->asked++;
    if (spoiler->pcpu)
        assert_int_equal(kva_pcpu_destroy(spoiler->pcpu), KVA_EREENTRY);
    if (!spoiler->memory)
        return false;
    assert_int_equal(kva_vfree(vm, spoiler->memory), KVA_EREENTRY);
    assert_int_equal(kva_vm_realloc(vm, spoiler->memory, 2 * PAGE, 0, &moved), KVA_EREENTRY);
    assert_int_equal(kva_vm_usable_size(vm, spoiler->memory), PAGE);
    return false;
}

static void callbacks_cannot_free_the_area_of_the_call(struct bench *bench)
{
    struct spoiler spoiler = {NULL, NULL, 0};
    struct kva_vm_reclaim reclaim = {.callback = spoil, .context = &spoiler};
    void *memory = kva_vmalloc(bench->vm, PAGE);
    void *next = kva_vmalloc(bench->vm, PAGE);
    void *object;

    assert_int_equal(kva_vm_reclaim_add(bench->vm, &reclaim), KVA_OK);
    spoiler.memory = memory;
    kva_failing_pages_fail(&bench->pages, 1, true);
    assert_int_equal(kva_vm_realloc(bench->vm, memory, 5 * PAGE, 0, &memory), KVA_ENOMEM);
    assert_true(spoiler.asked > 0);
    assert_ptr_equal(memory, spoiler.memory);
    kva_failing_pages_fail(&bench->pages, 0, false);

    spoiler = (struct spoiler){NULL, NULL, 0};
    assert_int_equal(kva_pcpu_create(bench->vm, NULL, &spoiler.pcpu), KVA_OK);
    kva_failing_pages_fail(&bench->pages, 1, true);
    assert_int_equal(kva_pcpu_alloc(spoiler.pcpu, 64, 8, &object), KVA_ENOMEM);
    assert_true(spoiler.asked > 0);
    kva_failing_pages_fail(&bench->pages, 0, false);
    assert_int_equal(kva_vm_reclaim_remove(bench->vm, &reclaim), KVA_OK);
    assert_int_equal(kva_pcpu_destroy(spoiler.pcpu), KVA_OK);
    assert_int_equal(kva_vfree(bench->vm, memory), KVA_OK);
    assert_int_equal(kva_vfree(bench->vm, next), KVA_OK);
}

static void moved_areas_keep_their_request(struct bench *bench)
{
    const size_t align = (size_t)1 << 20;
    struct kva_vm_request request = kva_vm_request_of(PAGE);
    struct kva_vm_area before;
    struct kva_vm_area area;
    void *memory;

    request.align = align;
    request.flags = KVA_VM_ZERO;
    request.owner = bench;
    assert_int_equal(kva_vm_alloc(bench->vm, &request, &memory), KVA_OK);
    assert_int_equal(kva_vm_find(bench->vm, memory, &before), KVA_OK);
    void *next = kva_vmalloc(bench->vm, PAGE);
    for (size_t pages = 10; pages <= 1000; pages *= 10) {
        assert_int_equal(kva_vm_realloc(bench->vm, memory, pages * PAGE, 0, &memory), KVA_OK);
        assert_int_equal((uintptr_t)memory % align, 0);
        assert_int_equal(kva_vm_find(bench->vm, memory, &area), KVA_OK);
        assert_ptr_equal(area.caller, before.caller);
        assert_ptr_equal(area.owner, bench);
        assert_int_equal(area.flags, before.flags);
    }
    assert_true(stats_of(bench).moved > 0);
    assert_int_equal(kva_vfree(bench->vm, memory), KVA_OK);
    assert_int_equal(kva_vfree(bench->vm, next), KVA_OK);
    /* The same area, from the cache: no alignment remains on it. */
    void *other = kva_vmalloc(bench->vm, 1000 * PAGE);
    assert_int_equal(kva_vfree(bench->vm, other), KVA_OK);
}

/** The chunk that an allocator keeps without objects is no leak. */
static void an_empty_chunk_is_not_reported_as_a_leak(enum kva_mechanism mechanism)
{
    struct kva_pcpu *pcpu;
    struct bench bench;
    size_t bytes = 0;
    void *object;

    if (!begin(&bench, mechanism))
        return;
    assert_int_equal(kva_pcpu_create(bench.vm, NULL, &pcpu), KVA_OK);
    assert_int_equal(kva_pcpu_alloc(pcpu, 64, 8, &object), KVA_OK);
    void *live = kva_vmalloc(bench.vm, 1000);
    assert_int_equal(kva_vm_destroy(bench.vm, note_leak, &bytes), KVA_EBUSY);
    assert_true(bytes > 1000); /* and the chunk that holds the object */
    assert_int_equal(kva_pcpu_free(pcpu, object), KVA_OK);
    struct kva_vm_stats before = stats_of(&bench);
    bytes = 0;
    assert_int_equal(kva_vm_destroy(bench.vm, note_leak, &bytes), KVA_EBUSY);
    assert_int_equal(bytes, 1000);
    struct kva_vm_stats after = stats_of(&bench);
    assert_memory_equal(&before, &after, sizeof after); /* the chunk is still there */
    assert_int_equal(kva_vfree(bench.vm, live), KVA_OK);
    bytes = 0;
    assert_int_equal(kva_vm_destroy(bench.vm, note_leak, &bytes), KVA_OK);
    assert_int_equal(bytes, 0);
    expect_nothing_outstanding(&bench);
}

/* ------------------------------------------------------------------------------------- every call in turn */

/** A little of everything; returns the first status other than KVA_OK. All areas are freed. */
static enum kva_status do_everything(struct bench *bench)
{
    struct kva_vm_request request = kva_vm_request_of(700 * PAGE);
    struct kva_part parts[2] = {{0, 2 * PAGE}, {4 * PAGE, PAGE}};
    uint64_t numbers[3] = {0, 0, 0};
    struct kva_vm_frames *frames = NULL;
    struct kva_pcpu *pcpu = NULL;
    void *taken[2] = {NULL, NULL};
    void *memory = NULL;
    void *map = NULL;
    void *ram = NULL;
    void *object = NULL;

    enum kva_status status = kva_vm_alloc(bench->vm, &request, &memory);
    if (status == KVA_OK)
        status = kva_vm_realloc(bench->vm, memory, 1500 * PAGE, 0, &memory);
    if (status == KVA_OK)
        status = kva_vm_frames_create(bench->vm, &(struct kva_vm_frames_config){.count = 3}, &frames);
    if (status == KVA_OK)
        status = kva_vm_frames_alloc(frames, 3, numbers);
    uint64_t order[3] = {numbers[2], numbers[1], numbers[0]};
    if (status == KVA_OK)
        status = kva_vm_map(bench->vm, frames, order, 3, 0, &map);
    if (status == KVA_OK)
        status = kva_vm_map_ram(bench->vm, frames, order, 3, &ram);
    request = kva_vm_request_of(1);
    if (status == KVA_OK)
        status = kva_vm_alloc_congruent(bench->vm, &request, parts, 2, taken);
    if (status == KVA_OK)
        status = kva_pcpu_create(bench->vm, NULL, &pcpu);
    if (status == KVA_OK)
        status = kva_pcpu_alloc(pcpu, 100, 8, &object);

    if (object)
        assert_int_equal(kva_pcpu_free(pcpu, object), KVA_OK);
    if (pcpu)
        assert_int_equal(kva_pcpu_destroy(pcpu), KVA_OK);
    assert_int_equal(kva_vfree(bench->vm, taken[0]), KVA_OK);
    assert_int_equal(kva_vfree(bench->vm, taken[1]), KVA_OK);
    assert_int_equal(kva_unmap_ram(bench->vm, ram), KVA_OK);
    assert_int_equal(kva_vunmap(bench->vm, map), KVA_OK);
    assert_int_equal(kva_vfree(bench->vm, memory), KVA_OK);
    if (frames)
        assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    return status;
}

/** Let the n-th call of a source fail, alone or with all later ones, for every n until nothing fails any
 *  more. */
static void fail_everything(enum kva_mechanism mechanism, bool of_memory, bool from_then_on)
{
    struct bench bench;
    enum kva_status status = KVA_ENOMEM;

    for (uint64_t n = 1; status != KVA_OK || (of_memory ? bench.memory.refused : bench.pages.refused) > 0;
         n++) {
        init_sources(&bench, mechanism);
        if (of_memory)
            kva_failing_memory_fail(&bench.memory, n, from_then_on);
        else
            kva_failing_pages_fail(&bench.pages, n, from_then_on);
        status = kva_vm_create(&bench.config, &bench.vm);
        if (status == KVA_ENOENT)
            return;
        if (status == KVA_OK) {
            status = do_everything(&bench);
            expect_sound(&bench);
            assert_int_equal(kva_vm_purge(bench.vm), KVA_OK);
            check_that(bench.pages.open_pages == 0 && bench.pages.mapped_pages == 0,
                       "call %" PRIu64 " failed: %" PRIu64 " pages remain open, %" PRIu64 " mapped", n,
                       bench.pages.open_pages, bench.pages.mapped_pages);
            assert_int_equal(stats_of(&bench).live_areas, 0);
            end(&bench);
        }
        check_that(status == KVA_OK || status == KVA_ENOMEM, "call %" PRIu64 " failed, and %s was returned",
                   n, kva_status_name(status));
        expect_nothing_outstanding(&bench);
        check_that(n < 1000, "more than 1000 calls");
    }
}

static void every_failure_leaves_nothing_allocated(enum kva_mechanism mechanism)
{
    fail_everything(mechanism, false, true);
    fail_everything(mechanism, false, false);
    fail_everything(mechanism, true, true);
    fail_everything(mechanism, true, false);
}

/* ---------------------------------------------------------------------------------------------- the tests */

typedef void scenario(struct bench *bench);
typedef void whole_scenario(enum kva_mechanism mechanism);

static void run(scenario *play)
{
    for (enum kva_mechanism mechanism = KVA_MECHANISM_GUARDS; mechanism <= KVA_MECHANISM_MAPPINGS;
         mechanism++) {
        struct bench bench;
        if (!begin(&bench, mechanism))
            continue;
        play(&bench);
        end(&bench);
    }
}

static void run_whole(whole_scenario *play)
{
    play(KVA_MECHANISM_GUARDS);
    play(KVA_MECHANISM_MAPPINGS);
}

#define SCENARIO(name)                                                                                       \
    static void test_##name(void **state)                                                                    \
    {                                                                                                        \
        (void)state;                                                                                         \
        run(name);                                                                                           \
    }
#define WHOLE_SCENARIO(name)                                                                                 \
    static void test_##name(void **state)                                                                    \
    {                                                                                                        \
        (void)state;                                                                                         \
        run_whole(name);                                                                                     \
    }

SCENARIO(an_area_goes_from_live_to_cached_to_free)
SCENARIO(wrong_frees_return_distinct_statuses)
SCENARIO(bad_requests_return_distinct_statuses)
SCENARIO(windows_and_alignments_are_kept)
WHOLE_SCENARIO(parked_areas_are_purged_in_batches)
WHOLE_SCENARIO(a_full_cache_parks_the_oldest_areas)
SCENARIO(cached_areas_serve_alignments_and_large_sizes)
SCENARIO(huge_areas_are_whole_huge_pages)
SCENARIO(a_resize_keeps_the_contents)
SCENARIO(maps_of_a_frame_share_its_contents)
SCENARIO(short_lived_maps_are_purged_in_batches)
SCENARIO(copies_lie_at_fixed_distances)
SCENARIO(usable_sizes_are_whole_pages)
SCENARIO(parts_larger_than_the_reservation_return_enospc)
SCENARIO(moved_areas_end_in_zeroes)
SCENARIO(failed_objects_leave_no_chunk)
SCENARIO(a_reclaim_callback_may_allocate_an_object)
WHOLE_SCENARIO(private_areas_stay_out_of_the_frames_part)
WHOLE_SCENARIO(a_reservation_without_tables_is_halved)
WHOLE_SCENARIO(shrinking_purges_for_a_node)
WHOLE_SCENARIO(later_areas_stay_until_they_are_ready)
WHOLE_SCENARIO(hardened_areas_are_unmapped_at_once)
WHOLE_SCENARIO(reports_name_the_allocating_caller)
WHOLE_SCENARIO(any_name_keeps_the_report_in_lines)
WHOLE_SCENARIO(leaks_are_reported)
WHOLE_SCENARIO(calls_that_must_not_block_purge_nothing)
WHOLE_SCENARIO(large_areas_stay_in_quarantine)
WHOLE_SCENARIO(hardened_areas_of_every_kind_are_scattered)
SCENARIO(callbacks_cannot_free_the_area_of_the_call)
SCENARIO(moved_areas_keep_their_request)
WHOLE_SCENARIO(an_empty_chunk_is_not_reported_as_a_leak)
WHOLE_SCENARIO(every_failure_leaves_nothing_allocated)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_area_goes_from_live_to_cached_to_free),
        cmocka_unit_test(test_wrong_frees_return_distinct_statuses),
        cmocka_unit_test(test_bad_requests_return_distinct_statuses),
        cmocka_unit_test(test_windows_and_alignments_are_kept),
        cmocka_unit_test(test_parked_areas_are_purged_in_batches),
        cmocka_unit_test(test_a_full_cache_parks_the_oldest_areas),
        cmocka_unit_test(test_cached_areas_serve_alignments_and_large_sizes),
        cmocka_unit_test(test_huge_areas_are_whole_huge_pages),
        cmocka_unit_test(test_a_resize_keeps_the_contents),
        cmocka_unit_test(test_maps_of_a_frame_share_its_contents),
        cmocka_unit_test(test_short_lived_maps_are_purged_in_batches),
        cmocka_unit_test(test_copies_lie_at_fixed_distances),
        cmocka_unit_test(test_usable_sizes_are_whole_pages),
        cmocka_unit_test(test_parts_larger_than_the_reservation_return_enospc),
        cmocka_unit_test(test_moved_areas_end_in_zeroes),
        cmocka_unit_test(test_failed_objects_leave_no_chunk),
        cmocka_unit_test(test_a_reclaim_callback_may_allocate_an_object),
        cmocka_unit_test(test_private_areas_stay_out_of_the_frames_part),
        cmocka_unit_test(test_a_reservation_without_tables_is_halved),
        cmocka_unit_test(test_shrinking_purges_for_a_node),
        cmocka_unit_test(test_later_areas_stay_until_they_are_ready),
        cmocka_unit_test(test_hardened_areas_are_unmapped_at_once),
        cmocka_unit_test(test_reports_name_the_allocating_caller),
        cmocka_unit_test(test_any_name_keeps_the_report_in_lines),
        cmocka_unit_test(test_leaks_are_reported),
        cmocka_unit_test(test_calls_that_must_not_block_purge_nothing),
        cmocka_unit_test(test_large_areas_stay_in_quarantine),
        cmocka_unit_test(test_hardened_areas_of_every_kind_are_scattered),
        cmocka_unit_test(test_callbacks_cannot_free_the_area_of_the_call),
        cmocka_unit_test(test_moved_areas_keep_their_request),
        cmocka_unit_test(test_an_empty_chunk_is_not_reported_as_a_leak),
        cmocka_unit_test(test_every_failure_leaves_nothing_allocated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
