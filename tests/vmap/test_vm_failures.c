/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Failures: each call of the page source, and each block of memory, is refused in turn.
 *
 * THE PLAY          A long sequence of operations, always the same, of every kind that can be refused and
 *   some that cannot. It is repeated: first call 1 of a source is refused, then call 2, and so on, until
 *   the play ends without a refusal. Either that one call is refused, or that one and all later ones.
 *
 *      operation     1    2  3     4        5  ...
 *      calls         |..| |. |.... |...     |
 *      refused            ^ in round 3      ^ in round 11
 *
 * AFTER A REFUSAL   The operation returns the source's status. Live areas, their contents, and counts are
 *   unchanged; no page outside an area is open; the library's check succeeds; freeing needs nothing from the
 *   sources. The same operation is then repeated without refusals, must succeed, and the play goes on.
 *
 * AT THE END        All areas are freed and purged, the instance is destroyed, and nothing is outstanding:
 *   no memory, no page, no table, no frame set, and no mapping of the process.
 */
#include "../common/harness.h"
#include "../common/vmap.h"

#include <kva/pcpu.h>
#include <kva/vmap.h>
#include <stdlib.h>
#include <string.h>

enum { AREAS = 400, OPERATIONS = 110, FRAMES = 200, OBJECTS = 200 };

struct area {
    unsigned char *memory;
    size_t size;
    enum kva_vm_kind kind;
    unsigned char stamp;
};

/** All that a refusal must not change. */
struct picture {
    struct kva_vm_area areas[2 * AREAS];
    size_t count;
    struct kva_vm_stats stats;
};

struct stage {
    struct test_vm test;
    struct kva_vm *vm;
    struct test_rng rng;
    size_t page;
    struct area areas[AREAS];
    size_t count;
    struct kva_vm_frames *frames[3];
    size_t frame_sets;
    uint64_t numbers[FRAMES]; /* of the first frame set, all allocated */
    struct kva_pcpu *pcpu;
    void *objects[OBJECTS];
    size_t object_count;
    struct kva_later *waiting[AREAS];
    size_t waiting_count;
    uint64_t refusals; /* returned by an operation */
};

/* ----------------------------------------------------------------------------------------------- pictures */

static bool is_kept(const struct kva_vm_area *area)
{
    return area->state == KVA_VM_LIVE || area->state == KVA_VM_LATER;
}

static void take_picture(const struct stage *stage, struct picture *picture)
{
    struct kva_vm_area area = {0};

    picture->count = 0;
    while (kva_vm_next(stage->vm, &area) == KVA_OK) {
        if (is_kept(&area)) {
            assert_true(picture->count < 2 * AREAS);
            picture->areas[picture->count++] = area;
        }
    }
    picture->stats = test_vm_stats(stage->vm);
}

static bool same_area(const struct kva_vm_area *a, const struct kva_vm_area *b)
{
    return a->start == b->start && a->last == b->last && a->guard == b->guard && a->size == b->size &&
           a->pages == b->pages && a->kind == b->kind && a->state == b->state && a->flags == b->flags &&
           a->caller == b->caller && a->freed_by == b->freed_by && a->owner == b->owner;
}

static void expect_same_picture(const struct stage *stage, const struct picture *before, const char *what)
{
    struct picture *after = malloc(sizeof(*after));

    assert_non_null(after);
    take_picture(stage, after);
    check_that(after->count == before->count, "%s: %zu areas, %zu expected", what, after->count,
               before->count);
    for (size_t i = 0; i < after->count; i++)
        check_that(same_area(&after->areas[i], &before->areas[i]),
                   "%s: the area at %#" PRIxPTR " has changed", what, before->areas[i].start);
    const struct kva_vm_stats *a = &after->stats;
    const struct kva_vm_stats *b = &before->stats;
    check_that(a->allocations == b->allocations && a->frees == b->frees,
               "%s: the counts of allocations or frees have changed", what);
    check_that(a->later_areas == b->later_areas && a->later_bytes == b->later_bytes,
               "%s: the count of areas in a grace period has changed", what);
    check_that(a->ram_live == b->ram_live && a->frames_taken == b->frames_taken,
               "%s: the count of maps or frames has changed", what);
    check_that(a->moved == b->moved && a->grown_in_place == b->grown_in_place,
               "%s: the count of resized areas has changed", what);
    free(after);
}

static void put_stamp(const struct stage *stage, const struct area *area)
{
    for (size_t offset = 0; offset < area->size; offset += stage->page)
        area->memory[offset] = area->stamp;
    area->memory[area->size - 1] = area->stamp;
}

static bool has_stamp(const struct stage *stage, const struct area *area)
{
    for (size_t offset = 0; offset < area->size; offset += stage->page) {
        if (area->memory[offset] != area->stamp)
            return false;
    }
    return area->memory[area->size - 1] == area->stamp;
}

/** The pages of areas are exactly those that the source has opened and mapped. */
static void expect_no_stray_page(const struct stage *stage, const char *what)
{
    struct kva_vm_area area = {0};
    uint64_t opened = 0;
    uint64_t mapped = 0;

    while (kva_vm_next(stage->vm, &area) == KVA_OK) {
        bool is_private = area.kind == KVA_VM_VMALLOC || area.kind == KVA_VM_PCPU;
        if (area.state != KVA_VM_QUARANTINED)
            *(is_private ? &opened : &mapped) += area.pages;
    }
    check_that(stage->test.pages.open_pages == opened, "%s: %" PRIu64 " pages open, %" PRIu64 " used", what,
               stage->test.pages.open_pages, opened);
    check_that(stage->test.pages.mapped_pages == mapped, "%s: %" PRIu64 " pages mapped, %" PRIu64 " used",
               what, stage->test.pages.mapped_pages, mapped);
}

static void expect_all_well(const struct stage *stage, const char *what)
{
    for (size_t i = 0; i < stage->count; i++)
        check_that(has_stamp(stage, &stage->areas[i]), "%s: the area at %p has lost its contents", what,
                   (void *)stage->areas[i].memory);
    expect_no_stray_page(stage, what);
    test_vm_expect_sound(&stage->test, what);
    check_that(stage->test.hooks.misuses == 0, "%s: misuse: %s", what, stage->test.hooks.last.what);
}

/* --------------------------------------------------------------------------------------------- operations */

/** One operation. Its random choices come from a generator of its own, so that it can be repeated. */
typedef enum kva_status operation(struct stage *stage, struct test_rng rng);

/** Note a new area, and write its stamp. */
static void add(struct stage *stage, void *memory, size_t size, enum kva_vm_kind kind)
{
    assert_true(stage->count < AREAS);
    struct area *area = &stage->areas[stage->count++];
    *area = (struct area){memory, size, kind, (unsigned char)(stage->count | 0x80)};
    if (kind != KVA_VM_VMALLOC) /* other maps may map the same frames, so all have one stamp */
        area->stamp = 0x77;
    put_stamp(stage, area);
}

static enum kva_status allocate(struct stage *stage, struct kva_vm_request request)
{
    void *memory;
    enum kva_status status = kva_vm_alloc(stage->vm, &request, &memory);

    if (status == KVA_OK)
        add(stage, memory, request.size, KVA_VM_VMALLOC);
    return status;
}

static enum kva_status do_small(struct stage *stage, struct test_rng rng)
{
    return allocate(stage, kva_vm_request_of(1 + (size_t)test_below(&rng, 3 * stage->page)));
}

static enum kva_status do_zeroed(struct stage *stage, struct test_rng rng)
{
    struct kva_vm_request request = kva_vm_request_of(1 + (size_t)test_below(&rng, 20 * stage->page));

    request.flags = KVA_VM_ZERO;
    return allocate(stage, request);
}

static enum kva_status do_aligned(struct stage *stage, struct test_rng rng)
{
    struct kva_vm_request request = kva_vm_request_of(stage->page);

    request.align = stage->page << (1 + test_below(&rng, 8));
    return allocate(stage, request);
}

static enum kva_status do_large(struct stage *stage, struct test_rng rng)
{
    return allocate(stage, kva_vm_request_of((130 + (size_t)test_below(&rng, 50)) * stage->page));
}

static enum kva_status do_congruent(struct stage *stage, struct test_rng rng)
{
    struct kva_vm_request request = kva_vm_request_of(1);
    struct kva_part parts[3];
    void *memory[3];

    for (size_t i = 0; i < 3; i++)
        parts[i] = (struct kva_part){4 * i * stage->page, (1 + test_below(&rng, 3)) * stage->page};
    enum kva_status status = kva_vm_alloc_congruent(stage->vm, &request, parts, 3, memory);
    for (size_t i = 0; status == KVA_OK && i < 3; i++)
        add(stage, memory[i], (size_t)parts[i].size, KVA_VM_VMALLOC);
    return status;
}

static enum kva_status do_frames(struct stage *stage, struct test_rng rng)
{
    (void)rng;
    if (stage->frame_sets == 3)
        return KVA_OK;
    enum kva_status status = kva_vm_frames_create(stage->vm, &(struct kva_vm_frames_config){.count = FRAMES},
                                                  &stage->frames[stage->frame_sets]);
    stage->frame_sets += status == KVA_OK;
    return status;
}

/** Frames of the first set, in up to four runs. */
static size_t some_frames(struct stage *stage, struct test_rng *rng, uint64_t *numbers, size_t count)
{
    size_t run = count / 4 + 1;
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        if (i % run == 0)
            at = (size_t)test_below(rng, FRAMES - run);
        numbers[i] = stage->numbers[at++];
    }
    return count;
}

static enum kva_status do_vmap(struct stage *stage, struct test_rng rng)
{
    uint64_t numbers[24];
    size_t count = some_frames(stage, &rng, numbers, 1 + (size_t)test_below(&rng, 12));
    void *memory;
    enum kva_status status = kva_vm_map(stage->vm, stage->frames[0], numbers, count, 0, &memory);

    if (status == KVA_OK)
        add(stage, memory, count * stage->page, KVA_VM_VMAP);
    return status;
}

static enum kva_status map_ram(struct stage *stage, struct test_rng *rng, size_t count)
{
    uint64_t numbers[KVA_MAP_RAM_MOST + 20];
    void *memory;

    some_frames(stage, rng, numbers, count);
    enum kva_status status = kva_vm_map_ram(stage->vm, stage->frames[0], numbers, count, &memory);
    if (status == KVA_OK)
        add(stage, memory, count * stage->page, KVA_VM_RAM);
    return status;
}

static enum kva_status do_map_ram(struct stage *stage, struct test_rng rng)
{
    return map_ram(stage, &rng, 1 + (size_t)test_below(&rng, test_one_in(&rng, 8) ? KVA_MAP_RAM_MOST : 9));
}

static enum kva_status do_long_map_ram(struct stage *stage, struct test_rng rng)
{
    return map_ram(stage, &rng, KVA_MAP_RAM_MOST + 1 + (size_t)test_below(&rng, 19));
}

/** A live area of some kind, or NULL. */
static struct area *pick(struct stage *stage, struct test_rng *rng, enum kva_vm_kind kind)
{
    size_t from = (size_t)test_below(rng, AREAS);

    for (size_t i = 0; i < stage->count; i++) {
        struct area *area = &stage->areas[(from + i) % stage->count];
        if (area->kind == kind)
            return area;
    }
    return NULL;
}

static enum kva_status resize(struct stage *stage, struct area *area, size_t size)
{
    void *moved;

    if (area == NULL)
        return KVA_OK;
    enum kva_status status = kva_vm_realloc(stage->vm, area->memory, size, KVA_VM_ZERO, &moved);
    if (status != KVA_OK)
        return status;
    area->memory = moved;
    area->size = size < area->size ? size : area->size;
    for (size_t offset = 0; offset < area->size; offset += stage->page)
        check_that(area->memory[offset] == area->stamp, "contents lost at %zu", offset);
    area->size = size;
    put_stamp(stage, area);
    return status;
}

static enum kva_status do_grow(struct stage *stage, struct test_rng rng)
{
    struct area *area = pick(stage, &rng, KVA_VM_VMALLOC);
    return resize(stage, area, area == NULL ? 0 : area->size + (size_t)test_below(&rng, 12 * stage->page));
}

static enum kva_status do_shrink(struct stage *stage, struct test_rng rng)
{
    struct area *area = pick(stage, &rng, KVA_VM_VMALLOC);
    return resize(stage, area, area == NULL ? 0 : 1 + (size_t)test_below(&rng, area->size));
}

static void forget(struct stage *stage, struct area *area)
{
    *area = stage->areas[--stage->count];
}

/** Without a record: the library takes memory for one. */
static enum kva_status do_later(struct stage *stage, struct test_rng rng)
{
    struct area *area = pick(stage, &rng, KVA_VM_VMALLOC);

    if (area == NULL)
        return KVA_OK;
    enum kva_status status = kva_vfree_later(stage->vm, area->memory, NULL);
    if (status == KVA_OK)
        forget(stage, area);
    return status;
}

static enum kva_status do_pcpu(struct stage *stage, struct test_rng rng)
{
    const struct kva_pcpu_config config = {.cpus = 4, .groups = 2, .unit = stage->page};
    enum kva_status status = KVA_OK;

    (void)rng;
    if (stage->pcpu == NULL)
        status = kva_pcpu_create(stage->vm, &config, &stage->pcpu);
    return status;
}

static enum kva_status do_object(struct stage *stage, struct test_rng rng)
{
    size_t size = (size_t)16 << test_below(&rng, 6);

    if (stage->pcpu == NULL || stage->object_count == OBJECTS)
        return KVA_OK;
    enum kva_status status = kva_pcpu_alloc(stage->pcpu, size, 16, &stage->objects[stage->object_count]);
    stage->object_count += status == KVA_OK;
    return status;
}

static enum kva_status do_free(struct stage *stage, struct test_rng rng)
{
    static const enum kva_vm_kind kinds[] = {KVA_VM_VMALLOC, KVA_VM_VMALLOC, KVA_VM_VMAP, KVA_VM_RAM};
    struct area *area = pick(stage, &rng, kinds[test_below(&rng, 4)]);
    enum kva_status status = KVA_OK;

    if (area == NULL)
        return KVA_OK;
    if (area->kind == KVA_VM_VMALLOC)
        status = kva_vfree(stage->vm, area->memory);
    else if (area->kind == KVA_VM_VMAP)
        status = kva_vunmap(stage->vm, area->memory);
    else
        status = kva_unmap_ram(stage->vm, area->memory);
    assert_int_equal(status, KVA_OK); /* whatever the sources refuse */
    forget(stage, area);
    return KVA_OK;
}

static enum kva_status do_object_free(struct stage *stage, struct test_rng rng)
{
    if (stage->object_count == 0)
        return KVA_OK;
    size_t index = (size_t)test_below(&rng, stage->object_count);
    assert_int_equal(kva_pcpu_free(stage->pcpu, stage->objects[index]), KVA_OK);
    stage->objects[index] = stage->objects[--stage->object_count];
    return KVA_OK;
}

static enum kva_status do_purge(struct stage *stage, struct test_rng rng)
{
    if (test_one_in(&rng, 4))
        assert_int_equal(kva_vm_purge(stage->vm), KVA_OK);
    return KVA_OK;
}

static enum kva_status do_ready(struct stage *stage, struct test_rng rng)
{
    (void)rng;
    for (size_t i = 0; i < stage->waiting_count; i++)
        kva_vfree_ready(stage->waiting[i]);
    stage->waiting_count = 0;
    assert_int_equal(kva_vm_purge(stage->vm), KVA_OK);
    return KVA_OK;
}

struct act {
    const char *name;
    operation *run;
};

static const struct act acts[] = {
    {"small", do_small},
    {"small", do_small},
    {"small", do_small},
    {"zeroed", do_zeroed},
    {"aligned", do_aligned},
    {"large", do_large},
    {"congruent", do_congruent},
    {"frames", do_frames},
    {"vmap", do_vmap},
    {"map_ram", do_map_ram},
    {"map_ram", do_map_ram},
    {"long map_ram", do_long_map_ram},
    {"grow", do_grow},
    {"grow", do_grow},
    {"shrink", do_shrink},
    {"later", do_later},
    {"per-CPU", do_pcpu},
    {"object", do_object},
    {"object", do_object},
    {"free", do_free},
    {"free", do_free},
    {"free", do_free},
    {"object free", do_object_free},
    {"purge", do_purge},
    {"ready", do_ready},
};

/* ------------------------------------------------------------------------------------------------- rounds */

enum source { MEMORY, PAGES };

/** The calls that are refused in a round. */
struct refusal {
    enum kva_mechanism mechanism;
    const struct kva_engine *engine;
    enum source source;
    enum kva_status status; /* of the page source */
    bool from_then_on;
    bool cached; /* the instance caches and parks areas, so that a purge can help */
    uint64_t n;
};

static void begin_grace(void *context, struct kva_later *record)
{
    struct stage *stage = context;
    stage->waiting[stage->waiting_count++] = record;
}

static struct kva_vm_config config_of(struct stage *stage, const struct refusal *refusal)
{
    memset(stage, 0, sizeof(*stage));
    struct kva_vm_config config = test_vm_config(&stage->test, refusal->mechanism);
    config.engine = refusal->engine;
    if (!refusal->cached) {
        config.cache_bytes = KVA_VM_NONE;
        config.lazy_bytes = KVA_VM_NONE;
    }
    config.grace.after = begin_grace;
    config.grace.context = stage;
    stage->page = test_page();
    stage->rng = test_rng_of(17);
    stage->test.pages.status = refusal->status;
    return config;
}

static void arm(struct stage *stage, const struct refusal *refusal, uint64_t n)
{
    if (refusal->source == MEMORY)
        kva_failing_memory_fail(&stage->test.memory, n, refusal->from_then_on);
    else
        kva_failing_pages_fail(&stage->test.pages, n, refusal->from_then_on);
}

static uint64_t refused(const struct stage *stage)
{
    return stage->test.memory.refused + stage->test.pages.refused;
}

/** Whether the refusal may come in the next operation: none makes more than 40 calls. */
static bool is_near(const struct stage *stage, const struct refusal *refusal)
{
    uint64_t done = refusal->source == MEMORY ? stage->test.memory.takes : stage->test.pages.calls;
    uint64_t at = refusal->source == MEMORY ? stage->test.memory.fail_at : stage->test.pages.fail_at;

    return at != 0 && at <= done + 40;
}

static void begin(struct stage *stage, const struct refusal *refusal)
{
    struct kva_vm_config config = config_of(stage, refusal);

    test_vm_create(&stage->test, &config);
    stage->vm = stage->test.vm;
    assert_int_equal(kva_vm_frames_create(stage->vm, &(struct kva_vm_frames_config){.count = FRAMES},
                                          &stage->frames[stage->frame_sets++]),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(stage->frames[0], FRAMES, stage->numbers), KVA_OK);
}

/** After an operation that returned a refusal. */
static void expect_as_before(struct stage *stage, const struct refusal *refusal, const struct picture *before,
                             enum kva_status status, const char *what)
{
    enum kva_status expected = refusal->source == MEMORY ? KVA_ENOMEM : refusal->status;

    stage->refusals++;
    if (strcmp(what, "frames") == 0 && status == KVA_ENOMEM)
        expected = KVA_ENOMEM; /* a table, which needs no mapping */
    check_that(status == expected, "%s, call %" PRIu64 ": returned %s, %s expected", what, refusal->n,
               kva_status_name(status), kva_status_name(expected));
    check_that(kva_vm_status(stage->vm) == expected, "%s, call %" PRIu64 ": kva_vm_status differs", what,
               refusal->n);
    expect_same_picture(stage, before, what);
    expect_all_well(stage, what);
}

static void perform(struct stage *stage, const struct refusal *refusal, struct picture *picture)
{
    const struct act *act = &acts[test_below(&stage->rng, sizeof(acts) / sizeof(acts[0]))];
    struct test_rng own = {test_random(&stage->rng)};
    bool near = is_near(stage, refusal);
    uint64_t refused_before = refused(stage);

    if (near)
        take_picture(stage, picture);
    enum kva_status status = act->run(stage, own);
    if (status != KVA_OK) {
        check_that(near && refused(stage) > refused_before, "%s, call %" PRIu64 ": %s without a refusal",
                   act->name, refusal->n, kva_status_name(status));
        expect_as_before(stage, refusal, picture, status, act->name);
        arm(stage, refusal, 0);
        status = act->run(stage, own);
        check_that(status == KVA_OK, "%s, call %" PRIu64 ", repeated: KVA_OK expected, %s returned",
                   act->name, refusal->n, kva_status_name(status));
        expect_all_well(stage, act->name);
    } else if (refused(stage) > refused_before) {
        expect_all_well(stage, act->name); /* it succeeded in spite of the refusal */
    }
}

static void free_everything(struct stage *stage)
{
    do_ready(stage, stage->rng);
    while (stage->count > 0)
        do_free(stage, test_rng_of(test_random(&stage->rng)));
    while (stage->object_count > 0)
        do_object_free(stage, stage->rng);
    if (stage->pcpu != NULL)
        assert_int_equal(kva_pcpu_destroy(stage->pcpu), KVA_OK);
    while (stage->frame_sets > 0)
        assert_int_equal(kva_vm_frames_destroy(stage->frames[--stage->frame_sets]), KVA_OK);
    assert_int_equal(kva_vm_purge(stage->vm), KVA_OK);
    assert_int_equal(stage->test.pages.open_pages, 0);
    assert_int_equal(stage->test.pages.mapped_pages, 0);
}

/** One round; returns whether anything was refused. With `from_then_on`, all is freed while the source
 *  still refuses, unless an operation has returned the refusal. */
static bool play(const struct refusal *refusal, uint64_t *returned)
{
    struct stage *stage = malloc(sizeof(*stage));
    struct picture *picture = malloc(sizeof(*picture));

    assert_true(stage != NULL && picture != NULL);
    begin(stage, refusal);
    arm(stage, refusal, refusal->n);
    for (size_t i = 0; i < OPERATIONS; i++)
        perform(stage, refusal, picture);
    arm(stage, refusal, 1); /* freeing needs nothing */
    bool any = refused(stage) > 0;
    free_everything(stage);
    test_vm_destroy(&stage->test);
    *returned += stage->refusals;
    free(picture);
    free(stage);
    return any;
}

/** All rounds of one kind of refusal. */
static void play_all_rounds(struct refusal refusal)
{
    size_t mappings = test_mappings();
    uint64_t stride = test_stride();
    uint64_t returned = 0;

    for (refusal.n = 1; play(&refusal, &returned); refusal.n += stride)
        continue;
    print_message("%s, %s of %s, %s: %" PRIu64 " calls refused, %" PRIu64 " refusals returned\n",
                  test_mechanism_name(refusal.mechanism),
                  refusal.from_then_on ? "from one call on" : "one call",
                  refusal.source == MEMORY ? "memory" : "pages", refusal.cached ? "lazy" : "eager",
                  (refusal.n - 1) / stride, returned);
    assert_true(refusal.n > 5 * stride || stride > 1);
    assert_true(returned > 0 || stride > 1);
    if (test_is_on_its_own(NULL))
        assert_in_range(test_mappings(), 0, mappings + 2); /* malloc may have made some */
}

static void play_both(struct refusal refusal)
{
    refusal.from_then_on = false;
    play_all_rounds(refusal);
    refusal.from_then_on = true;
    play_all_rounds(refusal);
}

static void test_pages_refused(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, i) {
        struct refusal refusal = {.mechanism = mechanism, .source = PAGES, .status = KVA_ENOMEM};
        play_both(refusal);
        refusal.cached = true;
        refusal.status = KVA_ELIMIT;
        play_both(refusal);
    }
}

static void test_memory_refused(void **state)
{
    const struct kva_engine *engine;

    (void)state;
    for_each_engine (engine, i) {
        struct refusal refusal = {.engine = engine, .source = MEMORY, .status = KVA_ENOMEM};
        assert_true(test_mechanism(0, &refusal.mechanism));
        refusal.cached = i % 2 != 0;
        play_both(refusal);
    }
}

/** A failed creation leaves nothing allocated. */
static void test_creation_refused(void **state)
{
    enum kva_mechanism mechanism;
    struct stage *stage = malloc(sizeof(*stage));

    (void)state;
    assert_non_null(stage);
    for_each_mechanism (mechanism, i) {
        for (unsigned kind = 0; kind < 4; kind++) {
            struct refusal refusal = {.mechanism = mechanism, .source = kind % 2 ? MEMORY : PAGES};
            enum kva_status status = KVA_ENOMEM;
            struct kva_vm *vm = NULL;
            size_t mappings = 0;
            refusal.status = KVA_ENOMEM;
            refusal.from_then_on = kind >= 2;
            for (uint64_t n = 1; status != KVA_OK; n++) {
                struct kva_vm_config config = config_of(stage, &refusal);
                arm(stage, &refusal, n);
                mappings = test_mappings();
                status = kva_vm_create(&config, &vm);
                if (status == KVA_OK)
                    break;
                assert_int_equal(status, KVA_ENOMEM);
                assert_null(vm);
                test_vm_expect_nothing_lost(&stage->test, "not created");
                if (test_is_on_its_own(NULL))
                    assert_int_equal(test_mappings(), mappings);
                assert_int_equal(stage->test.hooks.misuses, 0);
                assert_true(n < 20);
            }
            assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
            test_vm_expect_nothing_lost(&stage->test, "ended");
            if (test_is_on_its_own(NULL))
                assert_int_equal(test_mappings(), mappings);
        }
    }
    free(stage);
}

/* ----------------------------------------------------------------------------- attempts before a failure */

/** A reclaim callback that notes when it was called, and frees an area if it has one. */
struct giver {
    struct kva_vm_reclaim reclaim;
    struct helped *scene;
    unsigned asked;
    unsigned order;
    size_t size;
    void *area;
    bool nested;  /* try an allocation that cannot succeed */
    bool reenter; /* try calls that are not allowed in a callback */
};

struct helped {
    struct test_vm test;
    struct giver givers[2];
    unsigned asked;
};

static bool give_one(void *context, struct kva_vm *vm, size_t size)
{
    struct giver *giver = context;

    giver->asked++;
    giver->order = ++giver->scene->asked;
    giver->size = size;
    if (giver->nested) {
        unsigned before = giver->scene->asked;
        assert_null(kva_vmalloc(vm, 1 << 30));
        assert_int_equal(kva_vm_status(vm), KVA_ENOSPC);
        assert_int_equal(giver->scene->asked, before); /* not asked again */
    }
    if (giver->reenter) {
        struct test_hooks *hooks = &giver->scene->test.hooks;
        assert_int_equal(kva_vm_purge(vm), KVA_EREENTRY);
        assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_EREENTRY);
        assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_EREENTRY);
        assert_int_equal(kva_vm_reclaim_add(vm, &giver->reclaim), KVA_EREENTRY);
        assert_int_equal(kva_vm_reclaim_remove(vm, &giver->reclaim), KVA_EREENTRY);
        assert_int_equal(hooks->misuses, 5);
        test_vm_forgive(&giver->scene->test);
    }
    if (giver->area == NULL)
        return false;
    assert_int_equal(kva_vfree(vm, giver->area), KVA_OK);
    giver->area = NULL;
    return true;
}

/** 1 MiB of private memory, and two callbacks. */
static void set_up_helped(struct helped *scene, enum kva_mechanism mechanism)
{
    memset(scene, 0, sizeof(*scene));
    struct kva_vm_config config = test_vm_config(&scene->test, mechanism);
    config.reservation = 9 * TEST_MIB;
    config.frames_part = 8 * TEST_MIB;
    test_vm_create(&scene->test, &config);
    for (size_t i = 0; i < 2; i++) {
        scene->givers[i] = (struct giver){.reclaim = {give_one, &scene->givers[i], {NULL}}, .scene = scene};
        assert_int_equal(kva_vm_reclaim_add(scene->test.vm, &scene->givers[i].reclaim), KVA_OK);
    }
}

static void tear_down_helped(struct helped *scene)
{
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(kva_vm_reclaim_remove(scene->test.vm, &scene->givers[i].reclaim), KVA_OK);
    test_vm_expect_sound(&scene->test, "helped");
    test_vm_destroy(&scene->test);
}

/** Cached and parked areas are purged first; no callback is called. */
static void test_purge_comes_first(void **state)
{
    enum kva_mechanism mechanism;
    struct helped scene;

    (void)state;
    for_each_mechanism (mechanism, k) {
        set_up_helped(&scene, mechanism);
        struct kva_vm *vm = scene.test.vm;
        size_t page = test_page();
        void *areas[8];
        for (size_t i = 0; i < 8; i++)
            areas[i] = kva_vmalloc(vm, 31 * page);
        for (size_t i = 0; i < 8; i++)
            assert_int_equal(kva_vfree(vm, areas[i]), KVA_OK);
        struct kva_vm_stats before = test_vm_stats(vm);
        assert_int_equal(before.cached_areas, 8);
        struct kva_vm_request request = kva_vm_request_of(200 * page);
        request.flags = KVA_VM_NO_BLOCK;
        assert_int_equal(kva_vm_alloc(vm, &request, &areas[0]), KVA_EAGAIN);
        assert_int_equal(test_vm_stats(vm).cached_areas, 8);
        areas[0] = kva_vmalloc(vm, 200 * page);
        assert_non_null(areas[0]);
        struct kva_vm_stats after = test_vm_stats(vm);
        assert_int_equal(after.retries, before.retries + 1);
        assert_int_equal(after.purges, before.purges + 1);
        assert_int_equal(after.cached_areas + after.parked_areas, 0);
        assert_int_equal(scene.asked, 0);
        assert_int_equal(kva_vfree(vm, areas[0]), KVA_OK);

        /* The same when memory is short. */
        areas[0] = kva_vmalloc(vm, 3 * page);
        assert_int_equal(kva_vfree(vm, areas[0]), KVA_OK);
        kva_failing_pages_fail(&scene.test.pages, 1, false);
        areas[0] = kva_vmalloc(vm, 4 * page);
        assert_non_null(areas[0]);
        assert_int_equal(scene.asked, 0);
        assert_int_equal(kva_vfree(vm, areas[0]), KVA_OK);
        tear_down_helped(&scene);
    }
}

/** Callbacks are called one by one, first to last, until one helps; a purge follows for the areas that
 *  they free. */
static void test_callbacks_are_called_in_order(void **state)
{
    enum kva_mechanism mechanism;
    struct helped scene;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (size_t helper = 0; helper < 3; helper++) { /* 2: none helps */
            set_up_helped(&scene, mechanism);
            struct kva_vm *vm = scene.test.vm;
            size_t page = test_page();
            void *large = kva_vmalloc(vm, 250 * page);
            assert_non_null(large);
            if (helper < 2)
                scene.givers[helper].area = large;
            scene.givers[0].nested = true;
            scene.givers[0].reenter = true;
            void *memory = kva_vmalloc(vm, 100 * page);
            assert_int_equal(memory != NULL, helper < 2);
            assert_int_equal(scene.givers[0].asked, 1);
            assert_int_equal(scene.givers[0].order, 1);
            assert_int_equal(scene.givers[1].asked, helper == 0 ? 0 : 1);
            assert_int_equal(scene.givers[0].size, 100 * page);
            if (helper == 2) {
                assert_int_equal(kva_vm_status(vm), KVA_ENOSPC);
                assert_int_equal(kva_vfree(vm, large), KVA_OK);
            }
            assert_int_equal(kva_vfree(vm, memory), KVA_OK);
            tear_down_helped(&scene);
        }
    }
}

/** Each call that allocates addresses calls the callbacks, when space is short and when memory is; with
 *  KVA_VM_NO_BLOCK none does. */
static void test_every_kind_calls_the_callbacks(void **state)
{
    struct helped scene;
    struct kva_vm_frames *frames;
    uint64_t numbers[80];
    void *memory = NULL;
    size_t page = test_page();

    (void)state;
    for (unsigned kind = 0; kind < 7; kind++) {
        set_up_helped(&scene, KVA_MECHANISM_BEST);
        struct kva_vm *vm = scene.test.vm;
        struct kva_vm_request request = kva_vm_request_of(3 * page);
        const struct kva_part parts[] = {{0, page}, {4 * page, page}};
        void *pair[2];
        struct kva_pcpu *pcpu;
        enum kva_status status = KVA_OK;
        assert_int_equal(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = 80}, &frames),
                         KVA_OK);
        assert_int_equal(kva_vm_frames_alloc(frames, 80, numbers), KVA_OK);
        assert_int_equal(kva_pcpu_create(vm, NULL, &pcpu), KVA_OK);
        void *old = kva_vmalloc(vm, page);
        assert_non_null(kva_vmalloc(vm, page));
        kva_failing_pages_fail(&scene.test.pages, 1, true);
        if (kind == 0)
            status = kva_vm_alloc(vm, &request, &memory);
        else if (kind == 1)
            status = kva_vm_alloc_congruent(vm, &request, parts, 2, pair);
        else if (kind == 2)
            status = kva_vm_realloc(vm, old, 9 * page, 0, &memory);
        else if (kind == 3)
            status = kva_vm_map(vm, frames, numbers, 7, 0, &memory);
        else if (kind == 4)
            status = kva_vm_map_ram(vm, frames, numbers, 7, &memory);
        else if (kind == 5)
            status = kva_vm_map_ram(vm, frames, numbers, 80, &memory);
        else
            status = kva_pcpu_alloc(pcpu, 16, 16, &memory);
        check_that(status == KVA_ENOMEM, "kind %u: KVA_ENOMEM expected, %s returned", kind,
                   kva_status_name(status));
        check_that(scene.givers[0].asked == 1 && scene.givers[1].asked == 1,
                   "kind %u: each callback should be called once, found %u, %u calls", kind,
                   scene.givers[0].asked, scene.givers[1].asked);
        request.flags = KVA_VM_NO_BLOCK;
        if (kind == 0)
            status = kva_vm_alloc(vm, &request, &memory);
        else if (kind == 2)
            status = kva_vm_realloc(vm, old, 9 * page, KVA_VM_NO_BLOCK, &memory);
        else if (kind == 3)
            status = kva_vm_map(vm, frames, numbers, 7, KVA_VM_NO_BLOCK, &memory);
        assert_int_equal(status, KVA_ENOMEM);
        assert_int_equal(scene.asked, 2);
        kva_failing_pages_fail(&scene.test.pages, 0, false);
        assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_EBUSY);
        assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_OK);
        test_vm_expect_nothing_lost(&scene.test, "ended");
    }
}

/** A reclaim callback that tries to free the frames that are being mapped. */
struct taker {
    struct test_vm test;
    struct kva_vm_frames *frames;
    uint64_t numbers[80];
    unsigned asked;
};

static bool take_away(void *context, struct kva_vm *vm, size_t size)
{
    struct taker *taker = context;

    (void)vm;
    (void)size;
    taker->asked++;
    assert_int_equal(kva_vm_frames_free(taker->frames, &taker->numbers[1], 1), KVA_EBUSY);
    assert_int_equal(kva_vm_frames_destroy(taker->frames), KVA_EBUSY);
    return false;
}

/** Frames cannot be freed while a map of them is being made; after its failure they can. */
static void test_frames_stay_while_they_are_mapped(void **state)
{
    enum kva_mechanism mechanism;
    struct taker taker;

    (void)state;
    for_each_mechanism (mechanism, k) {
        const struct kva_vm_config config = test_vm_config(&taker.test, mechanism);
        struct kva_vm_reclaim reclaim = {take_away, &taker, {NULL}};
        void *memory;
        taker.asked = 0;
        test_vm_create(&taker.test, &config);
        struct kva_vm *vm = taker.test.vm;
        assert_int_equal(kva_vm_reclaim_add(vm, &reclaim), KVA_OK);
        assert_int_equal(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = 80}, &taker.frames),
                         KVA_OK);
        assert_int_equal(kva_vm_frames_alloc(taker.frames, 80, taker.numbers), KVA_OK);
        for (size_t count = 2; count <= 80; count += 39) { /* also more than the blocks of kva_map_ram hold */
            kva_failing_pages_fail(&taker.test.pages, 1, true);
            assert_int_equal(kva_vm_map(vm, taker.frames, taker.numbers, count, 0, &memory), KVA_ENOMEM);
            assert_int_equal(kva_vm_map_ram(vm, taker.frames, taker.numbers, count, &memory), KVA_ENOMEM);
            kva_failing_pages_fail(&taker.test.pages, 0, false);
        }
        assert_int_equal(taker.asked, 6);
        assert_int_equal(kva_vm_frames_free(taker.frames, taker.numbers, 80), KVA_OK);
        assert_int_equal(kva_vm_frames_destroy(taker.frames), KVA_OK);
        test_vm_expect_sound(&taker.test, "refused maps");
        test_vm_forgive(&taker.test);
        test_vm_destroy(&taker.test);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_refused),
        cmocka_unit_test(test_memory_refused),
        cmocka_unit_test(test_creation_refused),
        cmocka_unit_test(test_purge_comes_first),
        cmocka_unit_test(test_callbacks_are_called_in_order),
        cmocka_unit_test(test_every_kind_calls_the_callbacks),
        cmocka_unit_test(test_frames_stay_while_they_are_mapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
