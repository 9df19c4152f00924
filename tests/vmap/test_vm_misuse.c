/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Each public function with each kind of bad input returns the status that kva/vm.h promises, calls the
 * misuse hook once if the input is a misuse, and changes nothing: the report, the statistics and the contents
 * are the same before and after.
 *
 *   A STAGE has an example of everything that an address can point at: areas of each kind and in each state,
 *   their insides and guard pages, unused pages of a block, purged areas, addresses never used, and memory
 *   outside the instance.
 *
 *   ADDRESSES   each such address is passed to each function that takes an area
 *   ARGUMENTS   a table of single calls
 *   CREATION    a table of configurations
 */
#include "../common/harness.h"
#include "../common/vmap.h"

#include <kva/engine.h>
#include <kva/pcpu.h>
#include <kva/report.h>
#include <kva/threads.h>
#include <kva/vmap.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

enum { FRAMES = 200 };

/** Frames of a map that gets an area of its own. */
enum { LONG_MAP = KVA_MAP_RAM_MOST + 8 };

struct stage {
    struct test_vm test;
    struct kva_vm *vm;
    struct kva_vm *other;
    struct kva_vm *without_grace; /* cannot wait for readers */
    size_t page;
    unsigned char *live; /* 3 pages */
    unsigned char *freed_later;
    unsigned char *cached;
    unsigned char *parked; /* 200 pages */
    unsigned char *purged;
    unsigned char *map; /* 4 pages */
    unsigned char *parked_map;
    unsigned char *ram; /* 4 pages */
    unsigned char *parked_ram;
    unsigned char *long_ram;
    unsigned char *foreign; /* an area of the other instance */
    struct kva_later record;
    struct kva_vm_frames *frames;
    struct kva_vm_frames *movable;
    uint64_t movable_numbers[3];
    unsigned char *movable_map; /* 3 pages, of which the first is pinned */
    struct kva_vm_frames *other_frames;
    uint64_t numbers[FRAMES];
    uint64_t other_numbers[4];
    struct kva_pcpu *pcpu;
    struct kva_pcpu *other_pcpu;
    unsigned char *object; /* 64 bytes */
    unsigned char *freed_object;
    unsigned char *other_object;
    struct kva_vm_reclaim reclaim;
    void *out[4]; /* outputs of calls */
};

/* ---------------------------------------------------------------------------------------------- the stage */

static void hold_record(void *context, struct kva_later *record)
{
    (void)context;
    (void)record;
}

static bool give_nothing(void *context, struct kva_vm *vm, size_t size)
{
    (void)context;
    (void)vm;
    (void)size;
    return false;
}

static unsigned char *take(struct stage *stage, size_t pages)
{
    unsigned char *memory = kva_vmalloc(stage->vm, pages * stage->page);

    assert_non_null(memory);
    memset(memory, 0x5a, pages * stage->page);
    return memory;
}

/** High in the private part, where no other area is placed. */
static unsigned char *take_and_purge(struct stage *stage)
{
    struct kva_vm_request request = kva_vm_request_of(2 * stage->page);
    void *memory;

    request.min = (uintptr_t)test_vm_stats(stage->vm).reservation_first + 30 * TEST_MIB;
    assert_int_equal(kva_vm_alloc(stage->vm, &request, &memory), KVA_OK);
    assert_int_equal(kva_vfree(stage->vm, memory), KVA_OK);
    assert_int_equal(kva_vm_purge(stage->vm), KVA_OK);
    return memory;
}

static void set_up_private(struct stage *stage)
{
    unsigned char *memory;

    stage->purged = take_and_purge(stage);
    stage->live = take(stage, 3);
    stage->freed_later = take(stage, 2);
    assert_int_equal(kva_vfree_later(stage->vm, stage->freed_later, &stage->record), KVA_OK);
    stage->parked = take(stage, 200);
    stage->cached = take(stage, 5);
    memory = take(stage, 1);
    assert_int_equal(kva_vfree(stage->vm, stage->parked), KVA_OK);
    assert_int_equal(kva_vfree(stage->vm, stage->cached), KVA_OK);
    memory[0] = 0x5a;
}

static void set_up_movable(struct stage *stage)
{
    const struct kva_vm_frames_config config = {.count = FRAMES, .movable = true};

    assert_int_equal(kva_vm_frames_create(stage->vm, &config, &stage->movable), KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(stage->movable, 3, stage->movable_numbers), KVA_OK);
    stage->movable_map = kva_vmap(stage->vm, stage->movable, stage->movable_numbers, 3);
    assert_non_null(stage->movable_map);
    assert_int_equal(kva_vm_pin(stage->vm, stage->movable_map, 1), KVA_OK);
}

static void set_up_maps(struct stage *stage)
{
    struct kva_vm *vm = stage->vm;

    assert_int_equal(
        kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = FRAMES}, &stage->frames), KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(stage->frames, FRAMES - 1, stage->numbers), KVA_OK);
    stage->map = kva_vmap(vm, stage->frames, stage->numbers, 4);
    stage->parked_map = kva_vmap(vm, stage->frames, stage->numbers + 4, 4);
    stage->ram = kva_map_ram(vm, stage->frames, stage->numbers + 8, 4);
    stage->parked_ram = kva_map_ram(vm, stage->frames, stage->numbers + 12, 4);
    stage->long_ram = kva_map_ram(vm, stage->frames, stage->numbers + 16, LONG_MAP);
    assert_true(stage->map && stage->parked_map && stage->ram && stage->parked_ram && stage->long_ram);
    assert_int_equal(kva_vunmap(vm, stage->parked_map), KVA_OK);
    assert_int_equal(kva_unmap_ram(vm, stage->parked_ram), KVA_OK);
}

static void *object_of(struct kva_pcpu *pcpu)
{
    void *object;

    assert_int_equal(kva_pcpu_alloc(pcpu, 64, 16, &object), KVA_OK);
    return object;
}

static void set_up_objects(struct stage *stage)
{
    const struct kva_pcpu_config config = {.cpus = 2, .unit = stage->page};

    assert_int_equal(kva_pcpu_create(stage->vm, &config, &stage->pcpu), KVA_OK);
    assert_int_equal(kva_pcpu_create(stage->vm, &config, &stage->other_pcpu), KVA_OK);
    stage->object = object_of(stage->pcpu);
    stage->freed_object = object_of(stage->pcpu);
    stage->other_object = object_of(stage->other_pcpu);
    assert_int_equal(kva_pcpu_free(stage->pcpu, stage->freed_object), KVA_OK);
}

static void set_up_others(struct stage *stage)
{
    struct kva_vm_config config = {.reservation = 8 * TEST_MIB};

    assert_int_equal(kva_vm_create(&config, &stage->other), KVA_OK);
    assert_int_equal(kva_vm_create(&config, &stage->without_grace), KVA_OK);
    stage->foreign = kva_vmalloc(stage->other, stage->page);
    assert_non_null(stage->foreign);
    assert_int_equal(
        kva_vm_frames_create(stage->other, &(struct kva_vm_frames_config){.count = 4}, &stage->other_frames),
        KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(stage->other_frames, 4, stage->other_numbers), KVA_OK);
}

static struct stage *set_up(enum kva_mechanism mechanism)
{
    struct stage *stage = calloc(1, sizeof(*stage));

    assert_non_null(stage);
    struct kva_vm_config config = test_vm_config(&stage->test, mechanism);
    stage->page = test_page();
    config.grace.after = hold_record;
    config.grace.context = stage;
    config.cache_bytes = 100 * stage->page; /* larger areas are parked */
    test_vm_create(&stage->test, &config);
    stage->vm = stage->test.vm;
    set_up_private(stage);
    set_up_movable(stage); /* first, because addresses after the other maps are tried */
    set_up_maps(stage);
    set_up_objects(stage);
    set_up_others(stage);
    stage->reclaim = (struct kva_vm_reclaim){give_nothing, NULL, {NULL}};
    assert_int_equal(kva_vm_reclaim_add(stage->vm, &stage->reclaim), KVA_OK);
    return stage;
}

/** Correct calls still work. */
static void tear_down(struct stage *stage)
{
    struct kva_vm *vm = stage->vm;

    assert_int_equal(kva_vfree(vm, stage->live), KVA_OK);
    assert_int_equal(kva_vunmap(vm, stage->map), KVA_OK);
    assert_int_equal(kva_vm_unpin(vm, stage->movable_map, 1), KVA_OK);
    assert_int_equal(kva_vunmap(vm, stage->movable_map), KVA_OK);
    assert_int_equal(kva_unmap_ram(vm, stage->ram), KVA_OK);
    assert_int_equal(kva_unmap_ram(vm, stage->long_ram), KVA_OK);
    assert_int_equal(kva_pcpu_free(stage->pcpu, stage->object), KVA_OK);
    assert_int_equal(kva_vm_reclaim_remove(vm, &stage->reclaim), KVA_OK);
    kva_vfree_ready(&stage->record);
    test_vm_expect_sound(&stage->test, "torn down");
    assert_int_equal(stage->test.hooks.misuses, 0);
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_EBUSY);
    assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_OK);
    test_vm_expect_nothing_lost(&stage->test, "torn down");
    assert_int_equal(kva_vm_destroy(stage->other, NULL, NULL), KVA_EBUSY);
    assert_int_equal(kva_vm_abandon(stage->other, NULL, NULL), KVA_OK);
    assert_int_equal(kva_vm_destroy(stage->without_grace, NULL, NULL), KVA_OK);
    free(stage);
}

/* --------------------------------------------------------------------------------------- before and after */

struct before {
    char *report;
    struct kva_vm_stats stats;
};

static struct before look(const struct stage *stage)
{
    return (struct before){test_vm_report(stage->vm), test_vm_stats(stage->vm)};
}

static bool is_misuse_status(enum kva_status status)
{
    return status >= KVA_ENULL && status < KVA_ECORRUPT;
}

static void expect_field(const struct test_hooks *hooks, const char *field, size_t index, const char *name)
{
    const struct kva_fault *last = &hooks->last;
    bool same = field && last->field ? strcmp(field, last->field) == 0 : field == last->field;

    check_that(same && last->index == index, "%s: field %s, index %zu expected; %s, %zu found", name,
               field ? field : "NULL", index, last->field ? last->field : "NULL", last->index);
}

/** The hook was called once, if it should be; and nothing has changed. */
static void expect_unchanged(struct stage *stage, const struct before *before, enum kva_status status,
                             bool hook, const char *name)
{
    const struct test_hooks *hooks = &stage->test.hooks;
    struct before after = look(stage);

    check_that(hooks->misuses == (hook && is_misuse_status(status) ? 1 : 0), "%s: %u calls of the hook", name,
               hooks->misuses);
    if (hooks->misuses > 0) {
        check_that(hooks->last.status == status && strncmp(hooks->last.where, "kva_", 4) == 0,
                   "%s: the hook received %s in %s", name, kva_status_name(hooks->last.status),
                   hooks->last.where);
        assert_string_equal(hooks->last.what, kva_status_text(status));
    }
    check_that(strcmp(before->report, after.report) == 0, "%s: the report was\n%s\nand is\n%s", name,
               before->report, after.report);
    check_that(memcmp(&before->stats, &after.stats, sizeof(after.stats)) == 0,
               "%s: the statistics have changed", name);
    check_that(stage->live[0] == 0x5a && stage->live[3 * stage->page - 1] == 0x5a,
               "%s: the contents have changed", name);
    test_vm_expect_sound(&stage->test, name);
    test_vm_forgive(&stage->test);
    free(after.report);
}

/* ---------------------------------------------------------------------------------------------- addresses */

/** What an address points at, which decides the status. */
enum target {
    STARTS_VMALLOC, /* a live area's start: right for some functions */
    STARTS_VMAP,
    STARTS_RAM,
    STARTS_PCPU,
    INSIDE,  /* KVA_EINTERIOR */
    GONE,    /* KVA_EDOUBLE */
    WAITS,   /* KVA_EDEFERRED */
    OUTSIDE, /* KVA_EUNKNOWN */
};

struct address {
    const char *name;
    enum target target;
    unsigned char *at;
};

/** A number as an address. */
static unsigned char *at_number(uint64_t number)
{
    return (unsigned char *)(uintptr_t)number; // NOLINT(performance-no-int-to-ptr)
}

static size_t all_addresses(struct stage *stage, struct address *list)
{
    static unsigned char mine[64];
    struct kva_vm_stats stats = test_vm_stats(stage->vm);
    size_t page = stage->page;
    const struct address all[] = {
        {"a live area", STARTS_VMALLOC, stage->live},
        {"a live map", STARTS_VMAP, stage->map},
        {"a short-lived map", STARTS_RAM, stage->ram},
        {"a long short-lived map", STARTS_RAM, stage->long_ram},
        {"per-CPU memory", STARTS_PCPU, at_number((uintptr_t)stage->object / page * page)},
        {"one byte into an area", INSIDE, stage->live + 1},
        {"a page of an area", INSIDE, stage->live + page},
        {"the last byte of an area", INSIDE, stage->live + 3 * page - 1},
        {"a guard page", INSIDE, stage->live + 3 * page},
        {"the last byte of a guard page", INSIDE, stage->live + 4 * page - 1},
        {"a page of a map", INSIDE, stage->map + 2 * page},
        {"a map's guard page", INSIDE, stage->map + 4 * page},
        {"one byte into a short-lived map", INSIDE, stage->ram + 1},
        {"a page of a short-lived map", INSIDE, stage->ram + 3 * page},
        {"a page of a long short-lived map", INSIDE, stage->long_ram + page},
        {"another CPU's unit", INSIDE, at_number((uintptr_t)stage->object / page * page + page)},
        {"a cached area", GONE, stage->cached},
        {"a page of a cached area", GONE, stage->cached + page},
        {"a purged area", GONE, stage->purged},
        {"addresses that were never used", GONE, at_number(stats.reservation_first + 20 * TEST_MIB)},
        {"frames' addresses that were never used", GONE, at_number(stats.reservation_last - 99)},
        {"the page after all maps", GONE, stage->long_ram + (LONG_MAP + 1) * page},
        {"a parked area", WAITS, stage->parked},
        {"a page of a parked area", WAITS, stage->parked + 70 * page},
        {"a parked map", WAITS, stage->parked_map},
        {"a parked short-lived map", WAITS, stage->parked_ram},
        {"a page of a parked short-lived map", WAITS, stage->parked_ram + page},
        {"an area that waits for readers", WAITS, stage->freed_later},
        {"a page of an area that waits for readers", WAITS, stage->freed_later + page},
        {"another instance's area", OUTSIDE, stage->foreign},
        {"a variable", OUTSIDE, mine},
        {"one below the reservation", OUTSIDE, at_number(stats.reservation_first - 1)},
        {"one above the reservation", OUTSIDE, at_number(stats.reservation_last + 1)},
        {"address 1", OUTSIDE, at_number(1)},
        {"the last address", OUTSIDE, at_number(UINTPTR_MAX)},
    };

    memcpy(list, all, sizeof(all));
    return sizeof(all) / sizeof(all[0]);
}

enum { MOST_ADDRESSES = 64 };

static enum kva_status vfree(struct stage *stage, void *memory)
{
    return kva_vfree(stage->vm, memory);
}

static enum kva_status vfree_later(struct stage *stage, void *memory)
{
    struct kva_later record;
    return kva_vfree_later(stage->vm, memory, &record);
}

static enum kva_status vfree_later_without_record(struct stage *stage, void *memory)
{
    return kva_vfree_later(stage->vm, memory, NULL);
}

static enum kva_status vrealloc_more(struct stage *stage, void *memory)
{
    stage->out[0] = stage;
    enum kva_status status = kva_vm_realloc(stage->vm, memory, 9 * stage->page, 0, &stage->out[0]);
    assert_ptr_equal(stage->out[0], stage); /* not written */
    return status;
}

static enum kva_status vrealloc_to_nothing(struct stage *stage, void *memory)
{
    return kva_vm_realloc(stage->vm, memory, 0, 0, &stage->out[0]);
}

static enum kva_status vrealloc_short(struct stage *stage, void *memory)
{
    assert_null(kva_vrealloc(stage->vm, memory, 1, KVA_VM_ZERO));
    return kva_vm_status(stage->vm);
}

static enum kva_status vunmap(struct stage *stage, void *memory)
{
    return kva_vunmap(stage->vm, memory);
}

static enum kva_status unmap_ram(struct stage *stage, void *memory)
{
    return kva_unmap_ram(stage->vm, memory);
}

static const struct {
    const char *name;
    enum kva_status (*call)(struct stage *stage, void *memory);
    enum target right; /* the target for which it succeeds */
} givers[] = {
    {"kva_vfree", vfree, STARTS_VMALLOC},
    {"kva_vfree_later", vfree_later, STARTS_VMALLOC},
    {"kva_vfree_later without a record", vfree_later_without_record, STARTS_VMALLOC},
    {"kva_vm_realloc", vrealloc_more, STARTS_VMALLOC},
    {"kva_vm_realloc to 0", vrealloc_to_nothing, STARTS_VMALLOC},
    {"kva_vrealloc", vrealloc_short, STARTS_VMALLOC},
    {"kva_vunmap", vunmap, STARTS_VMAP},
    {"kva_unmap_ram", unmap_ram, STARTS_RAM},
};

static enum kva_status status_for(enum target target)
{
    switch (target) {
    case INSIDE:
        return KVA_EINTERIOR;
    case GONE:
        return KVA_EDOUBLE;
    case WAITS:
        return KVA_EDEFERRED;
    case OUTSIDE:
        return KVA_EUNKNOWN;
    case STARTS_VMALLOC:
    case STARTS_VMAP:
    case STARTS_RAM:
    case STARTS_PCPU:
        break;
    }
    return KVA_EINVAL;
}

/** Each function that takes an area, with each wrong address. */
static void free_all_addresses(struct stage *stage)
{
    struct address addresses[MOST_ADDRESSES];
    size_t count = all_addresses(stage, addresses);
    struct before before = look(stage);
    char name[160];

    for (size_t g = 0; g < sizeof(givers) / sizeof(givers[0]); g++) {
        for (size_t i = 0; i < count; i++) {
            const struct address *address = &addresses[i];
            if (address->target == givers[g].right)
                continue;
            snprintf(name, sizeof(name), "%s of %s", givers[g].name, address->name);
            enum kva_status status = givers[g].call(stage, address->at);
            check_that(status == status_for(address->target), "%s: %s expected, %s returned", name,
                       kva_status_name(status_for(address->target)), kva_status_name(status));
            check_that(kva_vm_status(stage->vm) == status, "%s: kva_vm_status returns %s", name,
                       kva_status_name(kva_vm_status(stage->vm)));
            check_that(stage->test.hooks.last.address == (uintptr_t)address->at,
                       "%s: the hook received address %#" PRIx64, name, stage->test.hooks.last.address);
            expect_unchanged(stage, &before, status, true, name);
        }
    }
    free(before.report);
}

/** Only the starts of live areas have a usable size. */
static void size_up_all(struct stage *stage)
{
    struct address addresses[MOST_ADDRESSES];
    size_t count = all_addresses(stage, addresses);

    for (size_t i = 0; i < count; i++) {
        size_t usable = kva_vm_usable_size(stage->vm, addresses[i].at);
        if (addresses[i].target > STARTS_PCPU)
            check_that(usable == 0, "%s: a usable size of 0 expected, %zu found", addresses[i].name, usable);
        else if (addresses[i].target != STARTS_PCPU)
            check_that(usable >= 3 * stage->page, "%s: a usable size of 3 pages expected, %zu bytes found",
                       addresses[i].name, usable);
    }
    assert_int_equal(kva_vm_usable_size(NULL, stage->live), 0);
    assert_int_equal(kva_vm_usable_size(stage->vm, NULL), 0);
    assert_int_equal(stage->test.hooks.misuses, 0);
}

/** kva_vm_find finds live and waiting areas, also by their guard pages, and nothing outside; gone areas it
 *  may find. */
static void find_all(struct stage *stage)
{
    struct address addresses[MOST_ADDRESSES];
    size_t count = all_addresses(stage, addresses);
    struct kva_vm_area area;

    for (size_t i = 0; i < count; i++) {
        const struct address *address = &addresses[i];
        uintptr_t at = (uintptr_t)address->at;
        enum kva_status status = kva_vm_find(stage->vm, address->at, &area);
        bool found =
            status == KVA_OK && at >= area.start && at - area.start <= area.last - area.start + area.guard;
        bool there = address->target <= INSIDE || address->target == WAITS;
        check_that(status == KVA_OK || status == KVA_ENOENT, "%s: kva_vm_find returned %s", address->name,
                   kva_status_name(status));
        check_that(status == KVA_ENOENT || found, "%s: the area found does not hold the address",
                   address->name);
        if (there || address->target == OUTSIDE)
            check_that(found == there, "%s: kva_vm_find returned %s", address->name, kva_status_name(status));
    }
    assert_int_equal(stage->test.hooks.misuses, 0);
}

/* ---------------------------------------------------------------------------------------------- arguments */

typedef enum kva_status bad_call(struct stage *s);

/** The status that a short form leaves if it returns NULL. */
static enum kva_status status_without(const struct stage *stage, const void *memory)
{
    return memory == NULL ? kva_vm_status(stage->vm) : KVA_OK;
}

static enum kva_status alloc_with(struct stage *s, size_t size, size_t align, unsigned flags)
{
    struct kva_vm_request request = kva_vm_request_of(size);

    request.align = align;
    request.flags = flags;
    return kva_vm_alloc(s->vm, &request, &s->out[0]);
}

static enum kva_status alloc_in(struct stage *s, uint64_t min, uint64_t max)
{
    struct kva_vm_request request = kva_vm_request_of(1);

    request.min = (uintptr_t)min;
    request.max = (uintptr_t)max;
    return kva_vm_alloc(s->vm, &request, &s->out[0]);
}

static enum kva_status alloc_from(struct stage *s, enum kva_vm_nodes_policy policy, uint64_t set)
{
    struct kva_vm_request request = kva_vm_request_of(1);

    request.node = (struct kva_vm_nodes){policy, set};
    return kva_vm_alloc(s->vm, &request, &s->out[0]);
}

static enum kva_status congruent_with(struct stage *s, struct kva_part second, size_t align, unsigned flags)
{
    struct kva_vm_request request = kva_vm_request_of(1);
    const struct kva_part parts[] = {{0, 2 * s->page}, second};

    request.align = align;
    request.flags = flags;
    return kva_vm_alloc_congruent(s->vm, &request, parts, 2, s->out);
}

static enum kva_status congruent_count(struct stage *s, uint64_t offset, size_t count)
{
    struct kva_vm_request request = kva_vm_request_of(1);
    const struct kva_part part = {offset, s->page};

    return kva_vm_alloc_congruent(s->vm, &request, &part, count, s->out);
}

static enum kva_status pcpu_with(struct stage *s, unsigned cpus, unsigned groups, size_t unit)
{
    const struct kva_pcpu_config config = {.cpus = cpus, .groups = groups, .unit = unit};
    struct kva_pcpu *pcpu;

    return kva_pcpu_create(s->vm, &config, &pcpu);
}

static enum kva_status map_numbers(struct stage *s, const uint64_t *numbers, size_t count, unsigned flags)
{
    return kva_vm_map(s->vm, s->frames, numbers, count, flags, &s->out[0]);
}

static enum kva_status map_number(struct stage *s, uint64_t number)
{
    const uint64_t numbers[] = {s->numbers[0], number};
    return map_numbers(s, numbers, 2, 0);
}

static enum kva_status map_ram_number(struct stage *s, uint64_t number)
{
    const uint64_t numbers[] = {s->numbers[0], number};
    return kva_vm_map_ram(s->vm, s->frames, numbers, 2, &s->out[0]);
}

static enum kva_status free_two(struct stage *s, uint64_t number)
{
    const uint64_t numbers[] = {s->numbers[150], number};
    return kva_vm_frames_free(s->frames, numbers, 2);
}

static void line_of_none(void *context, const char *line, size_t length)
{
    (void)context;
    (void)line;
    (void)length;
}

static enum kva_status add_without_callback(struct stage *s)
{
    struct kva_vm_reclaim none = {NULL, NULL, {NULL}};
    return kva_vm_reclaim_add(s->vm, &none);
}

static enum kva_status remove_an_unknown_callback(struct stage *s)
{
    struct kva_vm_reclaim unknown = {give_nothing, NULL, {NULL}};
    return kva_vm_reclaim_remove(s->vm, &unknown);
}

static enum kva_status vfree_later_without_grace(struct stage *s)
{
    void *memory = kva_vmalloc(s->without_grace, 1);
    enum kva_status status = kva_vfree_later(s->without_grace, memory, NULL);

    assert_int_equal(kva_vm_status(s->without_grace), status);
    assert_int_equal(kva_vfree(s->without_grace, memory), KVA_OK);
    return status;
}

static enum kva_status too_many_frames(struct stage *s)
{
    uint64_t numbers[2];
    return kva_vm_frames_alloc(s->frames, 2, numbers);
}

static enum kva_status run_from(struct kva_vm_frames *frames, size_t count, uint64_t align)
{
    static uint64_t numbers[FRAMES];
    return kva_vm_frames_alloc_run(frames, count, align, numbers);
}

static enum kva_status free_a_pinned_one(struct stage *s)
{
    return kva_vm_frames_free(s->movable, s->movable_numbers, 1);
}

/* The private part is the first half of the reservation. */
#define FIRST(s) (test_vm_stats((s)->vm).reservation_first)
#define LAST(s) (test_vm_stats((s)->vm).reservation_last)

#define CASE(name, call)                                                                                     \
    static enum kva_status name(struct stage *s)                                                             \
    {                                                                                                        \
        (void)s;                                                                                             \
        return call;                                                                                         \
    }

CASE(alloc_without_instance, kva_vm_alloc(NULL, &(struct kva_vm_request){.size = 1, .align = 1}, &s->out[0]))
CASE(alloc_without_request, kva_vm_alloc(s->vm, NULL, &s->out[0]))
CASE(alloc_without_memory, kva_vm_alloc(s->vm, &(struct kva_vm_request){.size = 1, .align = 1}, NULL))
CASE(alloc_nothing, alloc_with(s, 0, 1, 0))
CASE(alloc_align_3_pages, alloc_with(s, 1, 3 * s->page, 0))
CASE(alloc_unknown_flag, alloc_with(s, 1, 1, 16))
CASE(alloc_all_flags, alloc_with(s, 1, 1, UINT_MAX))
CASE(alloc_wraps, alloc_with(s, SIZE_MAX, 1, 0))
CASE(alloc_just_wraps, alloc_with(s, SIZE_MAX - s->page + 2, 1, 0))
CASE(alloc_window_upside_down, alloc_in(s, FIRST(s) + 2 * s->page, FIRST(s) + s->page))
CASE(alloc_window_below, alloc_in(s, 1, FIRST(s) - 1))
CASE(alloc_window_above, alloc_in(s, LAST(s) + 1, UINTPTR_MAX))
CASE(alloc_node_policy_4, alloc_from(s, (enum kva_vm_nodes_policy)4, 1))
CASE(alloc_any_node_1, alloc_from(s, KVA_VM_NODES_ANY, 2))
CASE(alloc_no_node_preferred, alloc_from(s, KVA_VM_NODES_PREFERRED, 0))
CASE(alloc_two_nodes_preferred, alloc_from(s, KVA_VM_NODES_PREFERRED, 3))
CASE(alloc_bound_to_no_node, alloc_from(s, KVA_VM_NODES_BOUND, 0))
CASE(alloc_interleaved_on_none, alloc_from(s, KVA_VM_NODES_INTERLEAVED, 0))
CASE(mark_without_instance, kva_vm_mark_foreign(NULL, s->live))
CASE(mark_nothing, kva_vm_mark_foreign(s->vm, NULL))
CASE(mark_outside, kva_vm_mark_foreign(s->vm, s))
CASE(mark_inside, kva_vm_mark_foreign(s->vm, (char *)s->live + 1))
CASE(mark_a_guard, kva_vm_mark_foreign(s->vm, (char *)s->live + 3 * s->page))
CASE(vmalloc_nothing, status_without(s, kva_vmalloc(s->vm, 0)))
CASE(vmalloc_wraps, status_without(s, kva_vmalloc(s->vm, SIZE_MAX)))
CASE(vzalloc_nothing, status_without(s, kva_vzalloc(s->vm, 0)))
CASE(vmalloc_huge_nothing, status_without(s, kva_vmalloc_huge(s->vm, 0)))
CASE(vmalloc_huge_wraps, status_without(s, kva_vmalloc_huge(s->vm, SIZE_MAX)))
CASE(vmalloc_aligned_6, status_without(s, kva_vmalloc_aligned(s->vm, 1, 6)))

CASE(realloc_without_instance, kva_vm_realloc(NULL, s->live, 1, 0, &s->out[0]))
CASE(realloc_without_output, kva_vm_realloc(s->vm, s->live, 1, 0, NULL))
CASE(realloc_unknown_flag, kva_vm_realloc(s->vm, s->live, 1, 16, &s->out[0]))
CASE(realloc_nothing_unknown_flag, kva_vm_realloc(s->vm, NULL, 1, 16, &s->out[0]))
CASE(realloc_nothing_to_nothing_unknown_flag, kva_vm_realloc(s->vm, NULL, 0, 16, &s->out[0]))
CASE(realloc_wraps, kva_vm_realloc(s->vm, s->live, SIZE_MAX, 0, &s->out[0]))
CASE(vfree_without_instance, kva_vfree(NULL, s->live))
CASE(later_without_instance, kva_vfree_later(NULL, s->live, NULL))

CASE(congruent_without_instance, kva_vm_alloc_congruent(NULL, NULL, NULL, 1, s->out))
CASE(congruent_without_request,
     kva_vm_alloc_congruent(s->vm, NULL, (const struct kva_part[]){{0, 1}}, 1, s->out))
CASE(congruent_without_parts,
     kva_vm_alloc_congruent(s->vm, &(struct kva_vm_request){.align = 1, .max = UINTPTR_MAX}, NULL, 1, s->out))
CASE(congruent_without_memory,
     kva_vm_alloc_congruent(s->vm, &(struct kva_vm_request){.align = 1, .max = UINTPTR_MAX},
                            (const struct kva_part[]){{0, 1}}, 1, NULL))
CASE(congruent_none, congruent_count(s, 0, 0))
CASE(congruent_first_not_0, congruent_count(s, s->page, 1))
CASE(congruent_size_0, congruent_with(s, ((struct kva_part){8 * s->page, 0}), 1, 0))
CASE(congruent_overlap, congruent_with(s, ((struct kva_part){s->page, s->page}), 1, 0))
CASE(congruent_on_a_guard, congruent_with(s, ((struct kva_part){2 * s->page, s->page}), 1, 0))
CASE(congruent_off_pages, congruent_with(s, ((struct kva_part){8 * s->page + 8, 1}), 1, 0))
CASE(congruent_off_align, congruent_with(s, ((struct kva_part){7 * s->page, 1}), 4 * s->page, 0))
CASE(congruent_align_5, congruent_with(s, ((struct kva_part){8 * s->page, 1}), 5, 0))
CASE(congruent_huge, congruent_with(s, ((struct kva_part){8 * s->page, 1}), 1, KVA_VM_HUGE))
CASE(congruent_no_block, congruent_with(s, ((struct kva_part){8 * s->page, 1}), 1, KVA_VM_NO_BLOCK))
CASE(congruent_wraps, congruent_with(s, ((struct kva_part){UINT64_MAX - s->page + 1, s->page}), 1, 0))

CASE(frames_without_instance,
     kva_vm_frames_create(NULL, &(struct kva_vm_frames_config){.count = 1}, &(struct kva_vm_frames *){NULL}))
CASE(frames_without_output, kva_vm_frames_create(s->vm, &(struct kva_vm_frames_config){.count = 1}, NULL))
CASE(frames_none,
     kva_vm_frames_create(s->vm, &(struct kva_vm_frames_config){.count = 0}, &(struct kva_vm_frames *){NULL}))
CASE(frames_too_many, kva_vm_frames_create(s->vm, &(struct kva_vm_frames_config){.count = UINT32_MAX},
                                           &(struct kva_vm_frames *){NULL}))
CASE(frames_far_too_many, kva_vm_frames_create(s->vm, &(struct kva_vm_frames_config){.count = UINT64_MAX},
                                               &(struct kva_vm_frames *){NULL}))
CASE(frames_without_config, kva_vm_frames_create(s->vm, NULL, &(struct kva_vm_frames *){NULL}))
CASE(run_from_none, run_from(NULL, 1, 1))
CASE(run_without_numbers, kva_vm_frames_alloc_run(s->frames, 1, 1, NULL))
CASE(run_of_nothing, run_from(s->frames, 0, 1))
CASE(run_align_3, run_from(s->frames, 1, 3))
CASE(run_align_all, run_from(s->movable, 1, UINT64_MAX))
CASE(run_too_long, run_from(s->frames, 2, 1))
CASE(run_nowhere_aligned, run_from(s->movable, 1, UINT64_C(1) << 40))
CASE(run_far_too_long, run_from(s->movable, SIZE_MAX, 1))
CASE(compact_none, kva_vm_frames_compact(NULL, 0, 1, NULL))
CASE(compact_large_order, kva_vm_frames_compact(s->movable, 14, 1, NULL))
CASE(compact_nearly_all_blocks, kva_vm_frames_compact(s->movable, KVA_FRAMES_ALL_BLOCKS - 1, 1, NULL))
CASE(compact_unmovable, kva_vm_frames_compact(s->frames, 0, 1, NULL))
CASE(pin_without_instance, kva_vm_pin(NULL, s->movable_map, 1))
CASE(pin_without_memory, kva_vm_pin(s->vm, NULL, 1))
CASE(pin_no_bytes, kva_vm_pin(s->vm, s->movable_map, 0))
CASE(pin_outside, kva_vm_pin(s->vm, s, 1))
CASE(pin_foreign, kva_vm_pin(s->vm, s->foreign, 1))
CASE(pin_cached, kva_vm_pin(s->vm, s->cached, 1))
CASE(pin_parked_map, kva_vm_pin(s->vm, s->parked_map, 1))
CASE(pin_ended_ram, kva_vm_pin(s->vm, s->parked_ram, 1))
CASE(pin_a_guard, kva_vm_pin(s->vm, s->movable_map + 3 * s->page, 1))
CASE(pin_beyond, kva_vm_pin(s->vm, s->movable_map + 1, 3 * s->page))
CASE(pin_beyond_private, kva_vm_pin(s->vm, s->live, 3 * s->page + 1))
CASE(pin_wraps, kva_vm_pin(s->vm, s->movable_map, SIZE_MAX))
CASE(unpin_without_instance, kva_vm_unpin(NULL, s->movable_map, 1))
CASE(unpin_without_memory, kva_vm_unpin(s->vm, NULL, 1))
CASE(unpin_no_bytes, kva_vm_unpin(s->vm, s->movable_map, 0))
CASE(unpin_outside, kva_vm_unpin(s->vm, s, 1))
CASE(unpin_parked_map, kva_vm_unpin(s->vm, s->parked_map, 1))
CASE(unpin_beyond, kva_vm_unpin(s->vm, s->movable_map, 3 * s->page + 1))
CASE(unpin_what_has_no_pin, kva_vm_unpin(s->vm, s->movable_map + s->page, 1))
CASE(unpin_more_than_is_pinned, kva_vm_unpin(s->vm, s->movable_map, 2 * s->page))
CASE(frames_stats_of_none, kva_vm_frames_stats_read(NULL, &(struct kva_frames_stats){0}))
CASE(frames_stats_without_output, kva_vm_frames_stats_read(s->movable, NULL))
CASE(picture_of_none, kva_vm_frames_picture(NULL, line_of_none, NULL))
CASE(picture_without_line, kva_vm_frames_picture(s->movable, NULL, NULL))
CASE(frames_destroy_none, kva_vm_frames_destroy(NULL))
CASE(frames_destroy_mapped, kva_vm_frames_destroy(s->frames))
CASE(frames_alloc_from_none, kva_vm_frames_alloc(NULL, 1, &(uint64_t){0}))
CASE(frames_alloc_without_numbers, kva_vm_frames_alloc(s->frames, 1, NULL))
CASE(frames_alloc_nothing, kva_vm_frames_alloc(s->frames, 0, &(uint64_t){0}))
CASE(frames_free_to_none, kva_vm_frames_free(NULL, s->numbers, 1))
CASE(frames_free_without_numbers, kva_vm_frames_free(s->frames, NULL, 1))
CASE(frames_free_out_of_range, free_two(s, FRAMES))
CASE(frames_free_far_out_of_range, free_two(s, UINT32_MAX))
CASE(frames_free_a_free_one, free_two(s, FRAMES - 1))
CASE(frames_free_twice, free_two(s, s->numbers[150]))
CASE(frames_free_a_mapped_one, free_two(s, s->numbers[0]))
CASE(frames_free_one_of_a_ram_map, free_two(s, s->numbers[9]))

CASE(map_without_instance, kva_vm_map(NULL, s->frames, s->numbers, 1, 0, &s->out[0]))
CASE(map_without_frames, kva_vm_map(s->vm, NULL, s->numbers, 1, 0, &s->out[0]))
CASE(map_without_numbers, map_numbers(s, NULL, 1, 0))
CASE(map_without_output, kva_vm_map(s->vm, s->frames, s->numbers, 1, 0, NULL))
CASE(map_nothing, map_numbers(s, s->numbers, 0, 0))
CASE(map_wraps, map_numbers(s, s->numbers, SIZE_MAX / s->page + 1, 0))
CASE(map_far_wraps, map_numbers(s, s->numbers, SIZE_MAX, 0))
CASE(map_zero_flag, map_numbers(s, s->numbers, 1, KVA_VM_ZERO))
CASE(map_unknown_flag, map_numbers(s, s->numbers, 1, 16))
CASE(map_out_of_range, map_number(s, FRAMES))
CASE(map_not_taken, map_number(s, FRAMES - 1))
CASE(map_others, kva_vm_map(s->vm, s->other_frames, s->other_numbers, 1, 0, &s->out[0]))
CASE(vmap_not_taken, status_without(s, kva_vmap(s->vm, s->frames, &(uint64_t){FRAMES - 1}, 1)))
CASE(vunmap_without_instance, kva_vunmap(NULL, s->map))

CASE(map_ram_without_instance, kva_vm_map_ram(NULL, s->frames, s->numbers, 1, &s->out[0]))
CASE(map_ram_without_frames, kva_vm_map_ram(s->vm, NULL, s->numbers, 1, &s->out[0]))
CASE(map_ram_without_numbers, kva_vm_map_ram(s->vm, s->frames, NULL, 1, &s->out[0]))
CASE(map_ram_without_output, kva_vm_map_ram(s->vm, s->frames, s->numbers, 1, NULL))
CASE(map_ram_nothing, kva_vm_map_ram(s->vm, s->frames, s->numbers, 0, &s->out[0]))
CASE(map_ram_wraps, kva_vm_map_ram(s->vm, s->frames, s->numbers, SIZE_MAX, &s->out[0]))
CASE(map_ram_out_of_range, map_ram_number(s, UINT32_MAX))
CASE(map_ram_not_taken, map_ram_number(s, FRAMES - 1))
CASE(map_ram_others, kva_vm_map_ram(s->vm, s->other_frames, s->other_numbers, 1, &s->out[0]))
CASE(map_ram_short_none, status_without(s, kva_map_ram(s->vm, s->frames, s->numbers, 0)))
CASE(unmap_ram_without_instance, kva_unmap_ram(NULL, s->ram))

CASE(pcpu_without_instance, kva_pcpu_create(NULL, NULL, &(struct kva_pcpu *){NULL}))
CASE(pcpu_without_output, kva_pcpu_create(s->vm, NULL, NULL))
CASE(pcpu_more_groups, pcpu_with(s, 2, 3, 0))
CASE(pcpu_more_groups_than_the_instances, pcpu_with(s, 0, 3, 0))
CASE(pcpu_unit_wraps, pcpu_with(s, 2, 1, SIZE_MAX))
CASE(pcpu_too_large, pcpu_with(s, 3, 1, 22 * TEST_MIB)) /* 66 of 64 MiB */
CASE(pcpu_far_too_large, pcpu_with(s, 2, 1, SIZE_MAX / 2 + 1))
CASE(pcpu_destroy_none, kva_pcpu_destroy(NULL))
CASE(pcpu_destroy_busy, kva_pcpu_destroy(s->pcpu))
CASE(object_of_none, kva_pcpu_alloc(NULL, 1, 1, &s->out[0]))
CASE(object_without_output, kva_pcpu_alloc(s->pcpu, 1, 1, NULL))
CASE(object_of_nothing, kva_pcpu_alloc(s->pcpu, 0, 1, &s->out[0]))
CASE(object_too_large, kva_pcpu_alloc(s->pcpu, s->page + 1, 1, &s->out[0]))
CASE(object_far_too_large, kva_pcpu_alloc(s->pcpu, SIZE_MAX, 1, &s->out[0]))
CASE(object_align_0, kva_pcpu_alloc(s->pcpu, 1, 0, &s->out[0]))
CASE(object_align_24, kva_pcpu_alloc(s->pcpu, 1, 24, &s->out[0]))
CASE(object_align_2_pages, kva_pcpu_alloc(s->pcpu, 1, 2 * s->page, &s->out[0]))
CASE(object_free_to_none, kva_pcpu_free(NULL, s->object))
CASE(object_free_inside, kva_pcpu_free(s->pcpu, s->object + 16))
CASE(object_free_one_byte_inside, kva_pcpu_free(s->pcpu, s->object + 1))
CASE(object_free_twice, kva_pcpu_free(s->pcpu, s->freed_object))
CASE(object_free_never_used, kva_pcpu_free(s->pcpu, s->object + 1024))
CASE(object_free_copy, kva_pcpu_free(s->pcpu, kva_pcpu_of(s->pcpu, s->object, 1)))
CASE(object_free_others, kva_pcpu_free(s->pcpu, s->other_object))
CASE(object_free_an_area, kva_pcpu_free(s->pcpu, s->live))
CASE(object_free_foreign, kva_pcpu_free(s->pcpu, s->foreign))
CASE(object_free_a_variable, kva_pcpu_free(s->pcpu, s))

CASE(find_without_instance, kva_vm_find(NULL, s->live, &(struct kva_vm_area){0}))
CASE(find_without_output, kva_vm_find(s->vm, s->live, NULL))
CASE(first_without_instance, kva_vm_first(NULL, &(struct kva_vm_area){0}))
CASE(first_without_output, kva_vm_first(s->vm, NULL))
CASE(next_without_instance, kva_vm_next(NULL, &(struct kva_vm_area){0}))
CASE(next_without_output, kva_vm_next(s->vm, NULL))
CASE(report_without_instance, kva_vm_report(NULL, line_of_none, NULL))
CASE(report_without_line, kva_vm_report(s->vm, NULL, NULL))
CASE(stats_without_instance, kva_vm_stats_read(NULL, &(struct kva_vm_stats){0}))
CASE(stats_without_output, kva_vm_stats_read(s->vm, NULL))
CASE(check_without_instance, kva_vm_check(NULL, NULL))
CASE(purge_without_instance, kva_vm_purge(NULL))
CASE(status_without_instance, kva_vm_status(NULL))
CASE(destroy_without_instance, kva_vm_destroy(NULL, NULL, NULL))
CASE(destroy_busy, kva_vm_destroy(s->vm, NULL, NULL))
CASE(abandon_without_instance, kva_vm_abandon(NULL, NULL, NULL))
CASE(add_to_none, kva_vm_reclaim_add(NULL, &s->reclaim))
CASE(add_nothing, kva_vm_reclaim_add(s->vm, NULL))
CASE(add_twice, kva_vm_reclaim_add(s->vm, &s->reclaim))
CASE(remove_from_none, kva_vm_reclaim_remove(NULL, &s->reclaim))
CASE(remove_nothing, kva_vm_reclaim_remove(s->vm, NULL))

/** Where a call reports its status: without an instance, nowhere; calls that only look cannot note a
 *  status. */
enum reported { NOWHERE, HOOK, HOOK_AND_STATUS };

static const struct row {
    const char *name;
    bad_call *call;
    enum kva_status status;
    enum reported reported;
    const char *field; /* the bad value; NULL: no particular one */
    size_t index;
} rows[] = {
#define ELEMENT(name, status, reported, field, index)                                                        \
    {                                                                                                        \
#name, name, status, reported, field, index                                                          \
    }
#define FIELD(name, status, reported, field) ELEMENT(name, status, reported, field, 0)
#define ROW(name, status, reported) ELEMENT(name, status, reported, NULL, 0)
    ROW(alloc_without_instance, KVA_ENULL, NOWHERE),
    FIELD(alloc_without_request, KVA_ENULL, HOOK_AND_STATUS, "request"),
    FIELD(alloc_without_memory, KVA_ENULL, HOOK_AND_STATUS, "memory"),
    FIELD(alloc_nothing, KVA_ESIZE, HOOK_AND_STATUS, "size"),
    FIELD(alloc_align_3_pages, KVA_EALIGN, HOOK_AND_STATUS, "align"),
    FIELD(alloc_unknown_flag, KVA_EINVAL, HOOK_AND_STATUS, "flags"),
    FIELD(alloc_all_flags, KVA_EINVAL, HOOK_AND_STATUS, "flags"),
    FIELD(alloc_wraps, KVA_EWRAP, HOOK_AND_STATUS, "size"),
    FIELD(alloc_just_wraps, KVA_EWRAP, HOOK_AND_STATUS, "size"),
    FIELD(alloc_window_upside_down, KVA_EWINDOW, HOOK_AND_STATUS, "max"),
    FIELD(alloc_window_below, KVA_EWINDOW, HOOK_AND_STATUS, "max"),
    FIELD(alloc_window_above, KVA_EWINDOW, HOOK_AND_STATUS, "min"),
    FIELD(alloc_node_policy_4, KVA_EINVAL, HOOK_AND_STATUS, "node.policy"),
    FIELD(alloc_any_node_1, KVA_EINVAL, HOOK_AND_STATUS, "node.set"),
    FIELD(alloc_no_node_preferred, KVA_EINVAL, HOOK_AND_STATUS, "node.set"),
    FIELD(alloc_two_nodes_preferred, KVA_EINVAL, HOOK_AND_STATUS, "node.set"),
    FIELD(alloc_bound_to_no_node, KVA_EINVAL, HOOK_AND_STATUS, "node.set"),
    FIELD(alloc_interleaved_on_none, KVA_EINVAL, HOOK_AND_STATUS, "node.set"),
    ROW(mark_without_instance, KVA_ENULL, NOWHERE),
    FIELD(mark_nothing, KVA_ENULL, HOOK_AND_STATUS, "memory"),
    ROW(mark_outside, KVA_EUNKNOWN, HOOK_AND_STATUS),
    ROW(mark_inside, KVA_EINTERIOR, HOOK_AND_STATUS),
    ROW(mark_a_guard, KVA_EINTERIOR, HOOK_AND_STATUS),
    FIELD(vmalloc_nothing, KVA_ESIZE, HOOK_AND_STATUS, "size"),
    FIELD(vmalloc_wraps, KVA_EWRAP, HOOK_AND_STATUS, "size"),
    FIELD(vzalloc_nothing, KVA_ESIZE, HOOK_AND_STATUS, "size"),
    FIELD(vmalloc_huge_nothing, KVA_ESIZE, HOOK_AND_STATUS, "size"),
    FIELD(vmalloc_huge_wraps, KVA_EWRAP, HOOK_AND_STATUS, "size"),
    FIELD(vmalloc_aligned_6, KVA_EALIGN, HOOK_AND_STATUS, "align"),
    ROW(realloc_without_instance, KVA_ENULL, NOWHERE),
    FIELD(realloc_without_output, KVA_ENULL, HOOK_AND_STATUS, "moved"),
    FIELD(realloc_unknown_flag, KVA_EINVAL, HOOK_AND_STATUS, "flags"),
    FIELD(realloc_nothing_unknown_flag, KVA_EINVAL, HOOK_AND_STATUS, "flags"),
    FIELD(realloc_nothing_to_nothing_unknown_flag, KVA_EINVAL, HOOK_AND_STATUS, "flags"),
    FIELD(realloc_wraps, KVA_EWRAP, HOOK_AND_STATUS, "size"),
    ROW(vfree_without_instance, KVA_ENULL, NOWHERE),
    ROW(later_without_instance, KVA_ENULL, NOWHERE),
    ROW(vfree_later_without_grace, KVA_ENOENT, NOWHERE),
    ROW(congruent_without_instance, KVA_ENULL, NOWHERE),
    FIELD(congruent_without_request, KVA_ENULL, HOOK_AND_STATUS, "request"),
    FIELD(congruent_without_parts, KVA_ENULL, HOOK_AND_STATUS, "parts"),
    FIELD(congruent_without_memory, KVA_ENULL, HOOK_AND_STATUS, "memory"),
    FIELD(congruent_none, KVA_EINVAL, HOOK_AND_STATUS, "count"),
    ELEMENT(congruent_first_not_0, KVA_EINVAL, HOOK_AND_STATUS, "parts[i].offset", 0),
    ELEMENT(congruent_size_0, KVA_ESIZE, HOOK_AND_STATUS, "parts[i].size", 1),
    ELEMENT(congruent_overlap, KVA_EINVAL, HOOK_AND_STATUS, "parts[i].offset", 1),
    ELEMENT(congruent_on_a_guard, KVA_EINVAL, HOOK_AND_STATUS, "parts[i].offset", 1),
    ELEMENT(congruent_off_pages, KVA_EALIGN, HOOK_AND_STATUS, "parts[i].offset", 1),
    ELEMENT(congruent_off_align, KVA_EALIGN, HOOK_AND_STATUS, "parts[i].offset", 1),
    FIELD(congruent_align_5, KVA_EALIGN, HOOK_AND_STATUS, "align"),
    FIELD(congruent_huge, KVA_EINVAL, HOOK_AND_STATUS, "flags"),
    FIELD(congruent_no_block, KVA_EINVAL, HOOK_AND_STATUS, "flags"),
    ELEMENT(congruent_wraps, KVA_EWRAP, HOOK_AND_STATUS, "parts[i].size", 1),
    ROW(frames_without_instance, KVA_ENULL, NOWHERE),
    FIELD(frames_without_output, KVA_ENULL, HOOK_AND_STATUS, "frames"),
    FIELD(frames_none, KVA_ESIZE, HOOK_AND_STATUS, "count"),
    FIELD(frames_too_many, KVA_ESIZE, HOOK_AND_STATUS, "count"),
    FIELD(frames_far_too_many, KVA_ESIZE, HOOK_AND_STATUS, "count"),
    FIELD(frames_without_config, KVA_ENULL, HOOK_AND_STATUS, "config"),
    ROW(run_from_none, KVA_ENULL, NOWHERE),
    FIELD(run_without_numbers, KVA_ENULL, HOOK_AND_STATUS, "numbers"),
    FIELD(run_of_nothing, KVA_ESIZE, HOOK_AND_STATUS, "count"),
    FIELD(run_align_3, KVA_EALIGN, HOOK_AND_STATUS, "align"),
    FIELD(run_align_all, KVA_EALIGN, HOOK_AND_STATUS, "align"),
    ROW(run_too_long, KVA_ENOSPC, HOOK_AND_STATUS),
    ROW(run_nowhere_aligned, KVA_ENOSPC, HOOK_AND_STATUS),
    ROW(run_far_too_long, KVA_ENOSPC, HOOK_AND_STATUS),
    ROW(compact_none, KVA_ENULL, NOWHERE),
    FIELD(compact_large_order, KVA_EINVAL, HOOK_AND_STATUS, "order"),
    FIELD(compact_nearly_all_blocks, KVA_EINVAL, HOOK_AND_STATUS, "order"),
    ROW(compact_unmovable, KVA_ENOENT, HOOK_AND_STATUS),
    ROW(pin_without_instance, KVA_ENULL, NOWHERE),
    FIELD(pin_without_memory, KVA_ENULL, HOOK_AND_STATUS, "memory"),
    FIELD(pin_no_bytes, KVA_ESIZE, HOOK_AND_STATUS, "bytes"),
    ROW(pin_outside, KVA_EUNKNOWN, HOOK_AND_STATUS),
    ROW(pin_foreign, KVA_EUNKNOWN, HOOK_AND_STATUS),
    ROW(pin_cached, KVA_EUNKNOWN, HOOK_AND_STATUS),
    ROW(pin_parked_map, KVA_EUNKNOWN, HOOK_AND_STATUS),
    ROW(pin_ended_ram, KVA_EUNKNOWN, HOOK_AND_STATUS),
    ROW(pin_a_guard, KVA_EUNKNOWN, HOOK_AND_STATUS),
    FIELD(pin_beyond, KVA_ERANGE, HOOK_AND_STATUS, "bytes"),
    FIELD(pin_beyond_private, KVA_ERANGE, HOOK_AND_STATUS, "bytes"),
    FIELD(pin_wraps, KVA_ERANGE, HOOK_AND_STATUS, "bytes"),
    ROW(unpin_without_instance, KVA_ENULL, NOWHERE),
    FIELD(unpin_without_memory, KVA_ENULL, HOOK_AND_STATUS, "memory"),
    FIELD(unpin_no_bytes, KVA_ESIZE, HOOK_AND_STATUS, "bytes"),
    ROW(unpin_outside, KVA_EUNKNOWN, HOOK_AND_STATUS),
    ROW(unpin_parked_map, KVA_EUNKNOWN, HOOK_AND_STATUS),
    FIELD(unpin_beyond, KVA_ERANGE, HOOK_AND_STATUS, "bytes"),
    ROW(unpin_what_has_no_pin, KVA_EDOUBLE, HOOK_AND_STATUS),
    ROW(unpin_more_than_is_pinned, KVA_EDOUBLE, HOOK_AND_STATUS),
    ROW(free_a_pinned_one, KVA_EBUSY, HOOK_AND_STATUS),
    ROW(frames_stats_of_none, KVA_ENULL, NOWHERE),
    FIELD(frames_stats_without_output, KVA_ENULL, HOOK, "stats"),
    ROW(picture_of_none, KVA_ENULL, NOWHERE),
    FIELD(picture_without_line, KVA_ENULL, HOOK, "line"),
    ROW(frames_destroy_none, KVA_ENULL, NOWHERE),
    ROW(frames_destroy_mapped, KVA_EBUSY, HOOK_AND_STATUS),
    ROW(frames_alloc_from_none, KVA_ENULL, NOWHERE),
    FIELD(frames_alloc_without_numbers, KVA_ENULL, HOOK_AND_STATUS, "numbers"),
    FIELD(frames_alloc_nothing, KVA_ESIZE, HOOK_AND_STATUS, "count"),
    ROW(too_many_frames, KVA_ENOSPC, HOOK_AND_STATUS),
    ROW(frames_free_to_none, KVA_ENULL, NOWHERE),
    FIELD(frames_free_without_numbers, KVA_ENULL, HOOK_AND_STATUS, "numbers"),
    ELEMENT(frames_free_out_of_range, KVA_ERANGE, HOOK_AND_STATUS, "numbers[i]", 1),
    ELEMENT(frames_free_far_out_of_range, KVA_ERANGE, HOOK_AND_STATUS, "numbers[i]", 1),
    ELEMENT(frames_free_a_free_one, KVA_EDOUBLE, HOOK_AND_STATUS, "numbers[i]", 1),
    ELEMENT(frames_free_twice, KVA_EDOUBLE, HOOK_AND_STATUS, "numbers[i]", 1),
    ROW(frames_free_a_mapped_one, KVA_EBUSY, HOOK_AND_STATUS),
    ROW(frames_free_one_of_a_ram_map, KVA_EBUSY, HOOK_AND_STATUS),
    ROW(map_without_instance, KVA_ENULL, NOWHERE),
    FIELD(map_without_frames, KVA_ENULL, HOOK_AND_STATUS, "frames"),
    FIELD(map_without_numbers, KVA_ENULL, HOOK_AND_STATUS, "numbers"),
    FIELD(map_without_output, KVA_ENULL, HOOK_AND_STATUS, "memory"),
    FIELD(map_nothing, KVA_ESIZE, HOOK_AND_STATUS, "count"),
    FIELD(map_wraps, KVA_EWRAP, HOOK_AND_STATUS, "count"),
    FIELD(map_far_wraps, KVA_EWRAP, HOOK_AND_STATUS, "count"),
    FIELD(map_zero_flag, KVA_EINVAL, HOOK_AND_STATUS, "flags"),
    FIELD(map_unknown_flag, KVA_EINVAL, HOOK_AND_STATUS, "flags"),
    ELEMENT(map_out_of_range, KVA_ERANGE, HOOK_AND_STATUS, "numbers[i]", 1),
    ROW(map_not_taken, KVA_ENOENT, HOOK_AND_STATUS),
    FIELD(map_others, KVA_EINVAL, HOOK_AND_STATUS, "frames"),
    ROW(vmap_not_taken, KVA_ENOENT, HOOK_AND_STATUS),
    ROW(vunmap_without_instance, KVA_ENULL, NOWHERE),
    ROW(map_ram_without_instance, KVA_ENULL, NOWHERE),
    FIELD(map_ram_without_frames, KVA_ENULL, HOOK_AND_STATUS, "frames"),
    FIELD(map_ram_without_numbers, KVA_ENULL, HOOK_AND_STATUS, "numbers"),
    FIELD(map_ram_without_output, KVA_ENULL, HOOK_AND_STATUS, "memory"),
    FIELD(map_ram_nothing, KVA_ESIZE, HOOK_AND_STATUS, "count"),
    FIELD(map_ram_wraps, KVA_EWRAP, HOOK_AND_STATUS, "count"),
    ELEMENT(map_ram_out_of_range, KVA_ERANGE, HOOK_AND_STATUS, "numbers[i]", 1),
    ROW(map_ram_not_taken, KVA_ENOENT, HOOK_AND_STATUS),
    FIELD(map_ram_others, KVA_EINVAL, HOOK_AND_STATUS, "frames"),
    FIELD(map_ram_short_none, KVA_ESIZE, HOOK_AND_STATUS, "count"),
    ROW(unmap_ram_without_instance, KVA_ENULL, NOWHERE),
    ROW(pcpu_without_instance, KVA_ENULL, NOWHERE),
    FIELD(pcpu_without_output, KVA_ENULL, HOOK_AND_STATUS, "pcpu"),
    FIELD(pcpu_more_groups, KVA_EINVAL, HOOK_AND_STATUS, "groups"),
    FIELD(pcpu_more_groups_than_the_instances, KVA_EINVAL, HOOK_AND_STATUS, "groups"),
    FIELD(pcpu_unit_wraps, SIZE_MAX == UINT64_MAX ? KVA_EWRAP : KVA_ENOSPC, HOOK_AND_STATUS, "unit"),
    ROW(pcpu_too_large, KVA_ENOSPC, HOOK_AND_STATUS),
    ROW(pcpu_far_too_large, KVA_ENOSPC, HOOK_AND_STATUS),
    ROW(pcpu_destroy_none, KVA_ENULL, NOWHERE),
    ROW(pcpu_destroy_busy, KVA_EBUSY, HOOK_AND_STATUS),
    ROW(object_of_none, KVA_ENULL, NOWHERE),
    FIELD(object_without_output, KVA_ENULL, HOOK_AND_STATUS, "object"),
    FIELD(object_of_nothing, KVA_ESIZE, HOOK_AND_STATUS, "size"),
    FIELD(object_too_large, KVA_ESIZE, HOOK_AND_STATUS, "size"),
    FIELD(object_far_too_large, KVA_ESIZE, HOOK_AND_STATUS, "size"),
    FIELD(object_align_0, KVA_EALIGN, HOOK_AND_STATUS, "align"),
    FIELD(object_align_24, KVA_EALIGN, HOOK_AND_STATUS, "align"),
    FIELD(object_align_2_pages, KVA_EALIGN, HOOK_AND_STATUS, "align"),
    ROW(object_free_to_none, KVA_ENULL, NOWHERE),
    ROW(object_free_inside, KVA_EINTERIOR, HOOK_AND_STATUS),
    ROW(object_free_one_byte_inside, KVA_EINTERIOR, HOOK_AND_STATUS),
    ROW(object_free_twice, KVA_EDOUBLE, HOOK_AND_STATUS),
    ROW(object_free_never_used, KVA_EDOUBLE, HOOK_AND_STATUS),
    ROW(object_free_copy, KVA_EUNKNOWN, HOOK_AND_STATUS),
    ROW(object_free_others, KVA_EUNKNOWN, HOOK_AND_STATUS),
    ROW(object_free_an_area, KVA_EUNKNOWN, HOOK_AND_STATUS),
    ROW(object_free_foreign, KVA_EUNKNOWN, HOOK_AND_STATUS),
    ROW(object_free_a_variable, KVA_EUNKNOWN, HOOK_AND_STATUS),
    ROW(find_without_instance, KVA_ENULL, NOWHERE),
    FIELD(find_without_output, KVA_ENULL, HOOK, "area"),
    ROW(first_without_instance, KVA_ENULL, NOWHERE),
    FIELD(first_without_output, KVA_ENULL, HOOK, "area"),
    ROW(next_without_instance, KVA_ENULL, NOWHERE),
    FIELD(next_without_output, KVA_ENULL, HOOK, "area"),
    ROW(report_without_instance, KVA_ENULL, NOWHERE),
    FIELD(report_without_line, KVA_ENULL, HOOK, "line"),
    ROW(stats_without_instance, KVA_ENULL, NOWHERE),
    FIELD(stats_without_output, KVA_ENULL, HOOK, "stats"),
    ROW(check_without_instance, KVA_ENULL, NOWHERE),
    ROW(purge_without_instance, KVA_ENULL, NOWHERE),
    ROW(status_without_instance, KVA_ENULL, NOWHERE),
    ROW(destroy_without_instance, KVA_ENULL, NOWHERE),
    ROW(destroy_busy, KVA_EBUSY, HOOK_AND_STATUS),
    ROW(abandon_without_instance, KVA_ENULL, NOWHERE),
    ROW(add_to_none, KVA_ENULL, NOWHERE),
    FIELD(add_nothing, KVA_ENULL, HOOK_AND_STATUS, "reclaim"),
    FIELD(add_without_callback, KVA_ENULL, HOOK_AND_STATUS, "reclaim.callback"),
    ROW(add_twice, KVA_EEXIST, HOOK_AND_STATUS),
    ROW(remove_from_none, KVA_ENULL, NOWHERE),
    FIELD(remove_nothing, KVA_ENULL, HOOK_AND_STATUS, "reclaim"),
    ROW(remove_an_unknown_callback, KVA_ENOENT, HOOK_AND_STATUS),
#undef ROW
#undef FIELD
#undef ELEMENT
};

static void call_all_rows(struct stage *stage)
{
    struct before before = look(stage);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        stage->out[0] = stage;
        enum kva_status status = row->call(stage);
        check_that(status == row->status, "%s: %s expected, %s returned", row->name,
                   kva_status_name(row->status), kva_status_name(status));
        check_that(stage->out[0] == stage, "%s wrote an output", row->name);
        check_that(row->reported != HOOK_AND_STATUS || kva_vm_status(stage->vm) == status,
                   "%s: kva_vm_status returns %s", row->name, kva_status_name(kva_vm_status(stage->vm)));
        if (row->reported != NOWHERE && is_misuse_status(status))
            expect_field(&stage->test.hooks, row->field, row->index, row->name);
        expect_unchanged(stage, &before, status, row->reported != NOWHERE, row->name);
    }
    free(before.report);
}

/** Calls that return no status. */
static void call_the_rest(struct stage *stage)
{
    struct before before = look(stage);

    assert_null(kva_vmalloc(NULL, 1));
    assert_null(kva_vzalloc(NULL, 1));
    assert_null(kva_vmalloc_huge(NULL, 1));
    assert_null(kva_vmalloc_aligned(NULL, 1, 1));
    assert_null(kva_vrealloc(NULL, stage->live, 1, 0));
    assert_null(kva_vmap(NULL, stage->frames, stage->numbers, 1));
    assert_null(kva_map_ram(NULL, stage->frames, stage->numbers, 1));
    assert_null(kva_vm_space(NULL));
    assert_int_equal(kva_vm_frames_descriptor(NULL), -1);
    assert_null(kva_pcpu_of(NULL, stage->object, 0));
    assert_null(kva_pcpu_of(stage->pcpu, stage->object, 2));
    assert_null(kva_pcpu_of(stage->pcpu, stage->object, UINT_MAX));
    assert_null(kva_pcpu_here(NULL, stage->object));
    expect_unchanged(stage, &before, KVA_OK, false, "the rest");
    free(before.report);
}

/** NULL may be passed to every free. */
static void free_null(struct stage *stage)
{
    struct before before = look(stage);

    assert_int_equal(kva_vfree(stage->vm, NULL), KVA_OK);
    assert_int_equal(kva_vfree_later(stage->vm, NULL, NULL), KVA_OK);
    assert_int_equal(kva_vunmap(stage->vm, NULL), KVA_OK);
    assert_int_equal(kva_unmap_ram(stage->vm, NULL), KVA_OK);
    assert_int_equal(kva_pcpu_free(stage->pcpu, NULL), KVA_OK);
    assert_int_equal(kva_vm_frames_free(stage->frames, NULL, 0), KVA_OK);
    assert_int_equal(kva_vm_realloc(stage->vm, NULL, 0, 0, &stage->out[0]), KVA_OK);
    assert_null(stage->out[0]);
    assert_null(kva_vrealloc(stage->vm, NULL, 0, 0));
    expect_unchanged(stage, &before, KVA_OK, false, "NULL");
    free(before.report);
}

/* ---------------------------------------------------------------------------------------------- the tests */

static void play_on_each_mechanism(void (*play)(struct stage *stage))
{
    enum kva_mechanism mechanism;

    for_each_mechanism (mechanism, i) {
        struct stage *stage = set_up(mechanism);
        play(stage);
        tear_down(stage);
    }
}

static void test_wrong_addresses(void **state)
{
    (void)state;
    play_on_each_mechanism(free_all_addresses);
}

static void test_null_can_be_freed(void **state)
{
    (void)state;
    play_on_each_mechanism(free_null);
}

static void test_usable_sizes(void **state)
{
    (void)state;
    play_on_each_mechanism(size_up_all);
}

static void test_find_at_each_address(void **state)
{
    (void)state;
    play_on_each_mechanism(find_all);
}

static void test_arguments(void **state)
{
    (void)state;
    play_on_each_mechanism(call_all_rows);
    play_on_each_mechanism(call_the_rest);
}

/** In a hardened instance freed areas are in quarantine, and not live. */
static void test_quarantined_areas(void **state)
{
    enum kva_mechanism mechanism;
    struct test_vm test;
    uint64_t number;
    struct kva_vm_frames *frames;

    (void)state;
    for_each_mechanism (mechanism, i) {
        struct kva_vm_config config = test_vm_config(&test, mechanism);
        config.hardened = true;
        test_vm_create(&test, &config);
        assert_int_equal(kva_vm_frames_create(test.vm, &(struct kva_vm_frames_config){.count = 1}, &frames),
                         KVA_OK);
        assert_int_equal(kva_vm_frames_alloc(frames, 1, &number), KVA_OK);
        void *area = kva_vmalloc(test.vm, 1);
        void *map = kva_vmap(test.vm, frames, &number, 1);
        void *ram = kva_map_ram(test.vm, frames, &number, 1);
        assert_int_equal(kva_vfree(test.vm, area), KVA_OK);
        assert_int_equal(kva_vunmap(test.vm, map), KVA_OK);
        assert_int_equal(kva_unmap_ram(test.vm, ram), KVA_OK);
        assert_int_equal(test_vm_stats(test.vm).quarantined_areas, 3);
        assert_int_equal(kva_vfree(test.vm, area), KVA_EDEFERRED);
        assert_int_equal(kva_vfree(test.vm, (char *)area + 1), KVA_EDEFERRED);
        assert_int_equal(kva_vunmap(test.vm, map), KVA_EDEFERRED);
        assert_int_equal(kva_unmap_ram(test.vm, ram), KVA_EDEFERRED);
        assert_int_equal(test.hooks.misuses, 4);
        assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
        assert_int_equal(kva_vfree(test.vm, area), KVA_EDOUBLE);
        assert_int_equal(kva_vunmap(test.vm, map), KVA_EDOUBLE);
        assert_int_equal(test.hooks.misuses, 6);
        test_vm_forgive(&test);
        test_vm_destroy(&test);
    }
}

/** An area is freed once, whatever happens to it after; a double free does not put it into the cache
 *  twice. */
static void test_double_frees(void **state)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);

    (void)state;
    config.cache_bytes = 100 * test_page();
    config.one_thread = true; /* so that one CPU has the whole cache */
    test_vm_create(&test, &config);
    for (size_t pages = 1; pages <= 256; pages *= 2) { /* up to 100 pages: cached; then: parked */
        void *memory = kva_vmalloc(test.vm, pages * test_page());
        assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
        struct kva_vm_stats before = test_vm_stats(test.vm);
        enum kva_status expected = pages < 128 ? KVA_EDOUBLE : KVA_EDEFERRED;
        for (unsigned again = 0; again < 3; again++)
            assert_int_equal(kva_vfree(test.vm, memory), expected);
        struct kva_vm_stats after = test_vm_stats(test.vm);
        assert_memory_equal(&before, &after, sizeof(after));
        void *first = kva_vmalloc(test.vm, pages * test_page());
        void *second = kva_vmalloc(test.vm, pages * test_page());
        assert_ptr_not_equal(first, second); /* it is not cached twice */
        assert_int_equal(kva_vfree(test.vm, first), KVA_OK);
        assert_int_equal(kva_vfree(test.vm, second), KVA_OK);
        test_vm_expect_sound(&test, "freed twice");
        assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
    }
    assert_int_equal(test.hooks.misuses, 27);
    test_vm_forgive(&test);
    test_vm_destroy(&test);
}

/** Requests from a designated initialiser, without alignment and window, mean the same as those of
 *  kva_vm_request_of, from the cache and past it, in one piece and in several. */
static void test_omitted_fields(void **state)
{
    struct test_vm test;
    const struct kva_part parts[] = {{0, test_page()}, {4 * test_page(), test_page()}};
    void *memory[2];
    void *again;

    (void)state;
    for (unsigned hardened = 0; hardened < 2; hardened++) {
        struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);
        config.hardened = hardened;
        test_vm_create(&test, &config);
        assert_int_equal(kva_vm_alloc(test.vm, &(struct kva_vm_request){.size = 1}, &memory[0]), KVA_OK);
        assert_int_equal(kva_vfree(test.vm, memory[0]), KVA_OK);
        uint64_t hits = test_vm_stats(test.vm).cache_hits;
        assert_int_equal(kva_vm_alloc(test.vm, &(struct kva_vm_request){.size = 1}, &again), KVA_OK);
        assert_int_equal(test_vm_stats(test.vm).cache_hits - hits, !hardened);
        assert_int_equal(
            kva_vm_alloc_congruent(test.vm, &(struct kva_vm_request){.flags = 0}, parts, 2, memory), KVA_OK);
        assert_int_equal((char *)memory[1] - (char *)memory[0], 4 * test_page());
        assert_int_equal(kva_vfree(test.vm, memory[0]), KVA_OK);
        assert_int_equal(kva_vfree(test.vm, memory[1]), KVA_OK);
        assert_int_equal(kva_vfree(test.vm, again), KVA_OK);
        assert_non_null(again = kva_vmalloc_aligned(test.vm, 1, 0));
        assert_int_equal(kva_vfree(test.vm, again), KVA_OK);
        test_vm_destroy(&test);
    }
}

/* ----------------------------------------------------------------------------------------------- creation */

/** Breaks one field of a configuration. */
typedef void spoil(struct kva_vm_config *config);

#define SPOIL(name, ...)                                                                                     \
    static void name(struct kva_vm_config *config)                                                           \
    {                                                                                                        \
        __VA_ARGS__;                                                                                         \
    }

SPOIL(no_take, config->memory.take = NULL)
SPOIL(no_give, config->memory.give = NULL)
SPOIL(no_engine, config->engine = NULL)
SPOIL(no_reserve, config->pages.reserve = NULL)
SPOIL(no_release, config->pages.release = NULL)
SPOIL(no_open, config->pages.open = NULL)
SPOIL(no_close, config->pages.close = NULL)
SPOIL(no_map, config->pages.map = NULL)
SPOIL(no_unmap, config->pages.unmap = NULL)
SPOIL(no_create_frames, config->pages.create_frames = NULL)
SPOIL(no_discard_frames, config->pages.discard_frames = NULL)
SPOIL(no_destroy_frames, config->pages.destroy_frames = NULL)
SPOIL(no_alloc_zeroed, config->pages.alloc_zeroed = NULL)
SPOIL(no_open_piece, config->pages.open_piece = NULL)
SPOIL(no_close_piece, config->pages.close_piece = NULL)
SPOIL(no_trim, config->pages.trim = NULL)
SPOIL(no_free_zeroed, config->pages.free_zeroed = NULL)
SPOIL(no_this_cpu, config->pages.this_cpu = NULL)
SPOIL(no_stats, config->pages.stats = NULL)
static struct kva_threads lame;
SPOIL(no_threads_wait, lame = *kva_threads_host(); lame.wait = NULL; config->threads = &lame)
SPOIL(no_threads_wake, lame = *kva_threads_host(); lame.wake = NULL; config->threads = &lame)
SPOIL(no_threads_cpu, lame = *kva_threads_host(); lame.cpu = NULL; config->threads = &lame)
SPOIL(no_threads_self, lame = *kva_threads_host(); lame.self = NULL; config->threads = &lame)
SPOIL(huge_3, config->huge = (enum kva_huge_policy)3)
SPOIL(node_policy_4, config->node.policy = (enum kva_vm_nodes_policy)4)
SPOIL(node_set_alone, config->node.set = 1)
SPOIL(node_set_0, config->node.policy = KVA_VM_NODES_BOUND)
SPOIL(node_missing, config->node = ((struct kva_vm_nodes){KVA_VM_NODES_BOUND, UINT64_C(1) << 63}))
SPOIL(page_0, config->pages.page = 0)
SPOIL(page_3, config->pages.page = 3)
SPOIL(huge_page_3, config->pages.huge = 3 * config->pages.page)
SPOIL(huge_page_small, config->pages.huge = config->pages.page / 2)
SPOIL(upside_down, config->min = 2 * TEST_MIB; config->max = TEST_MIB)
SPOIL(all_frames, config->frames_part = config->reservation)
SPOIL(more_frames, config->frames_part = UINT64_MAX)
SPOIL(no_such_source, config->pages = kva_pages_host((enum kva_mechanism)3))
SPOIL(window_too_small, config->min = 64 * TEST_MIB; config->max = 65 * TEST_MIB;
      config->reservation_least = 8 * TEST_MIB)

SPOIL(least_of_all, config->reservation_least = UINT64_MAX)
SPOIL(least_beyond_the_most,
      config->reservation = config->reservation_least = (UINT64_C(1) << 31) * config->pages.page + 1)
SPOIL(least_beyond_by_default, config->reservation = 0; config->reservation_least = UINT64_C(1) << 63)
SPOIL(least_beyond_the_window, config->min = 64 * TEST_MIB; config->max = 128 * TEST_MIB;
      config->reservation_least = 128 * TEST_MIB)

static const struct {
    const char *name;
    spoil *with;
    enum kva_status status;
    const char *field;
} configs[] = {
#define ROW(name, status, field)                                                                             \
    {                                                                                                        \
#name, name, status, field                                                                           \
    }
    ROW(no_take, KVA_ENULL, "memory.take"),
    ROW(no_give, KVA_ENULL, "memory.give"),
    ROW(no_engine, KVA_ENULL, "engine"),
    ROW(no_reserve, KVA_ENULL, "pages.reserve"),
    ROW(no_release, KVA_ENULL, "pages.release"),
    ROW(no_open, KVA_ENULL, "pages.open"),
    ROW(no_close, KVA_ENULL, "pages.close"),
    ROW(no_map, KVA_ENULL, "pages.map"),
    ROW(no_unmap, KVA_ENULL, "pages.unmap"),
    ROW(no_create_frames, KVA_ENULL, "pages.create_frames"),
    ROW(no_discard_frames, KVA_ENULL, "pages.discard_frames"),
    ROW(no_destroy_frames, KVA_ENULL, "pages.destroy_frames"),
    ROW(no_alloc_zeroed, KVA_ENULL, "pages.alloc_zeroed"),
    ROW(no_open_piece, KVA_ENULL, "pages.open_piece"),
    ROW(no_close_piece, KVA_ENULL, "pages.close_piece"),
    ROW(no_trim, KVA_ENULL, "pages.trim"),
    ROW(no_free_zeroed, KVA_ENULL, "pages.free_zeroed"),
    ROW(no_this_cpu, KVA_ENULL, "pages.this_cpu"),
    ROW(no_stats, KVA_ENULL, "pages.stats"),
    ROW(huge_3, KVA_EINVAL, "huge"),
    ROW(node_policy_4, KVA_EINVAL, "node.policy"),
    ROW(node_set_alone, KVA_EINVAL, "node.set"),
    ROW(node_set_0, KVA_EINVAL, "node.set"),
    ROW(node_missing, KVA_ENOENT, NULL),
    ROW(page_0, KVA_EALIGN, "pages.page"),
    ROW(page_3, KVA_EALIGN, "pages.page"),
    ROW(huge_page_3, KVA_EALIGN, "pages.huge"),
    ROW(huge_page_small, KVA_EALIGN, "pages.huge"),
    ROW(upside_down, KVA_EWINDOW, "max"),
    ROW(all_frames, KVA_ESIZE, "frames_part"),
    ROW(more_frames, KVA_ESIZE, "frames_part"),
    ROW(no_such_source, KVA_ENULL, "pages.reserve"),
    ROW(window_too_small, KVA_ENOSPC, NULL),
    ROW(no_threads_wait, KVA_ENULL, "threads.wait"),
    ROW(no_threads_wake, KVA_ENULL, "threads.wake"),
    ROW(no_threads_cpu, KVA_ENULL, "threads.cpu"),
    ROW(no_threads_self, KVA_ENULL, "threads.self"),
    ROW(least_of_all, KVA_ENOSPC, NULL),
    ROW(least_beyond_the_most, KVA_ENOSPC, NULL),
    ROW(least_beyond_by_default, KVA_ENOSPC, NULL),
    ROW(least_beyond_the_window, KVA_ENOSPC, NULL),
#undef ROW
};

static void test_configs(void **state)
{
    struct test_vm test;

    (void)state;
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);
        struct kva_vm *vm = NULL;
        config.engine = &kva_engine_bt;
        configs[i].with(&config);
        enum kva_status status = kva_vm_create_from(&config, &vm);
        check_that(status == configs[i].status, "%s: %s expected, %s returned", configs[i].name,
                   kva_status_name(configs[i].status), kva_status_name(status));
        check_that(vm == NULL, "%s wrote the output", configs[i].name);
        check_that(test.hooks.misuses == (is_misuse_status(status) ? 1 : 0), "%s: %u calls of the hook",
                   configs[i].name, test.hooks.misuses);
        if (is_misuse_status(status))
            expect_field(&test.hooks, configs[i].field, 0, configs[i].name);
        test_vm_expect_nothing_lost(&test, configs[i].name);
    }
}

static void test_configs_of_the_host(void **state)
{
    struct kva_vm_config config = {.reservation = 32 * TEST_MIB};
    struct kva_vm *vm = NULL;

    (void)state;
    assert_int_equal(kva_vm_create_from(NULL, &vm), KVA_ENULL);
    assert_int_equal(kva_vm_create_from(&config, &vm), KVA_ENULL); /* neither engine, memory nor pages */
    assert_int_equal(kva_vm_create(&config, NULL), KVA_ENULL);
    assert_int_equal(kva_vm_create(NULL, NULL), KVA_ENULL);
    assert_null(vm);
    assert_int_equal(kva_vm_create(&config, &vm), KVA_OK); /* the configuration is valid here */
    assert_int_equal(kva_vm_status(vm), KVA_OK);
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
}

/** A page source without `descriptor` works; kva_vm_frames_descriptor then returns -1. */
static void test_descriptors_are_optional(void **state)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);
    struct kva_vm_frames *frames;

    (void)state;
    config.pages.descriptor = NULL;
    test_vm_create(&test, &config);
    assert_int_equal(kva_vm_frames_create(test.vm, &(struct kva_vm_frames_config){.count = 1}, &frames),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_descriptor(frames), -1);
    test_vm_destroy(&test);
}

/* ----------------------------------------------------------------------------------------- broken offsets */

static bool forgets; /* the engine finds no busy segment to free */
static bool objects; /* the engine's checks report a broken invariant */

static enum kva_status forget(struct kva_address_map *map, uint64_t start)
{
    return forgets ? KVA_ENOENT : kva_engine_scan.free(map, start);
}

static const char *object_to_all(const struct kva_address_map *map, uint64_t *address)
{
    return objects ? "I4: a test objects" : kva_engine_scan.check(map, address);
}

static const char *object_nearby(const struct kva_address_map *map, uint64_t at, uint64_t *address)
{
    *address = at;
    return objects ? "I4: a test objects" : kva_engine_scan.check_near(map, at, address);
}

/** Per-CPU objects are ranges of offsets in an address map, which is checked like that of addresses: an
 *  object that exists and cannot be freed is reported as corruption, and from check level 2 on each change
 *  is checked. */
static void test_broken_offsets(void **state)
{
    struct kva_engine engine = kva_engine_scan;
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_MAPPINGS);
    const unsigned checked = KVA_CHECK_LEVEL >= 2;
    struct kva_pcpu *pcpu;
    void *second;

    (void)state;
    engine.free = forget;
    engine.check = object_to_all;
    engine.check_near = object_nearby;
    config.engine = &engine;
    test_vm_create(&test, &config);
    assert_int_equal(kva_pcpu_create(test.vm, NULL, &pcpu), KVA_OK);
    void *object = object_of(pcpu);
    objects = true;
    assert_int_equal(kva_pcpu_alloc(pcpu, 64, 16, &second), KVA_OK);
    assert_int_equal(test.hooks.corruptions, checked);
    assert_int_equal(kva_pcpu_free(pcpu, second), KVA_OK);
    assert_int_equal(test.hooks.corruptions, 2 * checked);
    objects = false;
    test.hooks.corruptions = 0;
    forgets = true;
    assert_int_equal(kva_pcpu_free(pcpu, object), KVA_ECORRUPT);
    forgets = false;
    assert_int_equal(test.hooks.corruptions, 1);
    test.hooks.corruptions = 0;
    assert_int_equal(kva_pcpu_free(pcpu, object), KVA_OK);
    assert_int_equal(kva_pcpu_destroy(pcpu), KVA_OK);
    test_vm_destroy(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_addresses),
        cmocka_unit_test(test_null_can_be_freed),
        cmocka_unit_test(test_usable_sizes),
        cmocka_unit_test(test_find_at_each_address),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_quarantined_areas),
        cmocka_unit_test(test_double_frees),
        cmocka_unit_test(test_omitted_fields),
        cmocka_unit_test(test_configs),
        cmocka_unit_test(test_configs_of_the_host),
        cmocka_unit_test(test_descriptors_are_optional),
        cmocka_unit_test(test_broken_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
