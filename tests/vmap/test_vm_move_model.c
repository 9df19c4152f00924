/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Random calls on a movable set, in lock-step with a model that knows frames only by their numbers.
 *
 * THE MODEL keeps, of each number, whether it is used, its first and its last word, its pins, and how many
 * pages of live maps refer to it; of each live map, the numbers in order. It does not know places. After each
 * compaction, and every 128 steps, every page of every live map is read: this finds frames that were lost,
 * mixed up, or not copied.
 *
 *      number      0    1    2    3    4
 *      words      .    7,9   .   0,0   3,3        .  free
 *                      |          |     |
 *      map a          [0]        [1]   [2]
 *      map b          [1]              [0][2]
 *
 * ALSO CHECKED: New frames read as zero, although their memory was written before. A pinned frame stays at
 * its place. A run has consecutive, aligned places. KVA_ENOSPC is returned for runs only if no gap of places
 * fits them. The statistics equal the model's. The library's check passes, and so does that of the page
 * source (failing_pages.h), which knows what each page maps.
 */
#include "../common/harness.h"
#include "../common/movable.h"

#include <kva/threads.h>
#include <kva/vmap.h>
#include <stdlib.h>
#include <string.h>

enum { MAPS = 60, MAP_MOST = 90, LISTS = 12, BLOCKS = 3, TAKE_MOST = 64 };

struct frame {
    bool taken;
    unsigned pins;
    unsigned maps; /* pages of live maps that refer to it */
    uint64_t first;
    uint64_t last;
};

struct map {
    unsigned char *memory;
    bool is_ram;
    size_t count;
    uint64_t numbers[MAP_MOST];
};

/** The frames of a short-lived map, kept to map the same numbers again, even if they were freed and
 *  reallocated. */
struct list {
    size_t count;
    uint64_t numbers[KVA_MAP_RAM_MOST];
};

struct mode {
    const char *name;
    bool hardened;
    bool by_hand;
    bool has_threads;
    uint64_t lazy_bytes;
};

struct world {
    struct test_movable stage;
    struct test_rng rng;
    const char *name;
    struct frame *frames;
    uint64_t *scratch; /* room for all numbers */
    uint64_t taken;
    struct map maps[MAPS];
    size_t map_count;
    struct list lists[LISTS];
    uint64_t words;
    uint64_t compactions, moved, runs, refused_runs, pins, busy, reused;
};

static struct world world;

static struct frame *frame_of(struct world *w, uint64_t number)
{
    check_that(number < w->stage.count, "%s: no frame has the number %" PRIu64, w->name, number);
    return &w->frames[number];
}

static uint64_t below(struct world *w, uint64_t bound)
{
    return test_below(&w->rng, bound);
}

/* ------------------------------------------------------------------------------------------------- checks */

static void expect_page(struct world *w, const struct map *map, size_t i)
{
    const unsigned char *page = map->memory + i * w->stage.page;
    const struct frame *frame = frame_of(w, map->numbers[i]);
    uint64_t first = test_word(page);
    uint64_t last = test_word(page + w->stage.page - 8);

    check_that(first == frame->first && last == frame->last,
               "%s: frame %" PRIu64 " holds %" PRIu64 " and %" PRIu64 ", not %" PRIu64 " and %" PRIu64,
               w->name, map->numbers[i], first, last, frame->first, frame->last);
}

static void expect_map(struct world *w, const struct map *map)
{
    for (size_t i = 0; i < map->count; i++)
        expect_page(w, map, i);
}

static void expect_maps(struct world *w)
{
    for (size_t i = 0; i < w->map_count; i++)
        expect_map(w, &w->maps[i]);
}

static void expect_figures(struct world *w)
{
    struct kva_frames_stats stats = test_frames_stats(w->stage.frames);

    check_that(stats.used_frames == w->taken && stats.free_frames == w->stage.count - w->taken,
               "%s: %" PRIu64 " used and %" PRIu64 " free; the model has %" PRIu64 " used", w->name,
               stats.used_frames, stats.free_frames, w->taken);
    check_that(stats.moved_frames == w->moved, "%s: %" PRIu64 " frames moved, not %" PRIu64, w->name,
               stats.moved_frames, w->moved);
    assert_int_equal(stats.blocks, BLOCKS);
    assert_in_range(stats.free_blocks, 0, (w->stage.count - w->taken) / w->stage.block);
    assert_int_equal(test_vm_stats(w->stage.vm).frames_taken, w->taken);
}

/** Mark the places in use: map all used frames for a moment. Returns false if there is no room for the
 *  map. */
static bool read_places(struct world *w, bool *is_used)
{
    size_t count = 0;

    for (uint64_t n = 0; n < w->stage.count; n++) {
        if (w->frames[n].taken)
            w->scratch[count++] = n;
    }
    if (count == 0)
        return true;
    unsigned char *map = kva_vmap(w->stage.vm, w->stage.frames, w->scratch, count);
    if (!map)
        return false;
    for (size_t i = 0; i < count; i++) {
        uint64_t place = kva_failing_pages_place(&w->stage.test.pages, map + i * w->stage.page);
        check_that(place < w->stage.count && !is_used[place],
                   "%s: frame %" PRIu64 " is at place %" PRIu64
                   ", which is outside the set or holds another frame",
                   w->name, w->scratch[i], place);
        is_used[place] = true;
    }
    assert_int_equal(kva_vunmap(w->stage.vm, map), KVA_OK);
    return true;
}

/** Fail if `count` consecutive free places begin at a multiple of `align`. */
static void expect_no_gap(struct world *w, size_t count, uint64_t align)
{
    bool *is_used = calloc((size_t)w->stage.count, sizeof *is_used);
    uint64_t gap = 0;

    assert_non_null(is_used);
    bool is_known = read_places(w, is_used);
    for (uint64_t place = w->stage.count; is_known && place-- > 0;) {
        gap = is_used[place] ? 0 : gap + 1;
        check_that(gap < count || place % align != 0, "%s: KVA_ENOSPC, but %zu frames fit at %" PRIu64,
                   w->name, count, place);
    }
    free(is_used);
}

/* ------------------------------------------------------------------------------------------------- frames */

static void adopt(struct world *w, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct frame *frame = frame_of(w, numbers[i]);
        check_that(!frame->taken, "%s: frame %" PRIu64 " was allocated twice", w->name, numbers[i]);
        *frame = (struct frame){.taken = true};
    }
    w->taken += count;
}

static void play_alloc(struct world *w)
{
    uint64_t most = test_one_in(&w->rng, 30) ? w->stage.block : test_one_in(&w->rng, 4) ? TAKE_MOST : 6;
    size_t count = 1 + (size_t)below(w, most);
    bool fits = count <= w->stage.count - w->taken;
    enum kva_status status = kva_vm_frames_alloc(w->stage.frames, count, w->scratch);

    check_that(status == (fits ? KVA_OK : KVA_ENOSPC), "%s: %zu frames: %s expected, %s returned", w->name,
               count, fits ? "KVA_OK" : "KVA_ENOSPC", kva_status_name(status));
    if (fits)
        adopt(w, w->scratch, count);
    test_vm_forgive(&w->stage.test);
}

/** Check the places of a new run, and that its frames read as zero. */
static void expect_run(struct world *w, const uint64_t *numbers, size_t count, uint64_t align)
{
    uint64_t maps = w->stage.test.pages.maps;
    unsigned char *map = kva_vmap(w->stage.vm, w->stage.frames, numbers, count);

    if (!map)
        return;
    check_that(w->stage.test.pages.maps == maps + 1, "%s: a run of %zu frames took more than one call",
               w->name, count);
    uint64_t first = kva_failing_pages_place(&w->stage.test.pages, map);
    check_that(first % align == 0, "%s: a run at %" PRIu64 ", not aligned to %" PRIu64, w->name, first,
               align);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *page = map + i * w->stage.page;
        assert_int_equal(kva_failing_pages_place(&w->stage.test.pages, page), first + i);
        assert_true(test_word(page) == 0 && test_word(page + w->stage.page - 8) == 0);
    }
    assert_int_equal(kva_vunmap(w->stage.vm, map), KVA_OK);
}

static void play_alloc_run(struct world *w)
{
    size_t count = 1 + (size_t)below(w, test_one_in(&w->rng, 10) ? w->stage.block + 20 : 40);
    uint64_t align = UINT64_C(1) << below(w, 11);
    enum kva_status status = kva_vm_frames_alloc_run(w->stage.frames, count, align, w->scratch);

    test_vm_forgive(&w->stage.test);
    if (status == KVA_OK) {
        adopt(w, w->scratch, count);
        w->runs++;
        if (test_one_in(&w->rng, 2))
            expect_run(w, w->scratch, count, align);
        return;
    }
    check_that(status == KVA_ENOSPC, "%s: a run of %zu frames: KVA_ENOSPC expected, %s returned", w->name,
               count, kva_status_name(status));
    w->refused_runs++;
    if (test_one_in(&w->rng, 8))
        expect_no_gap(w, count, align);
}

/** Choose used frames, each once: consecutive numbers, or numbers at a random odd distance. */
static size_t some_taken(struct world *w, uint64_t *numbers, size_t most)
{
    uint64_t at = below(w, w->stage.count);
    uint64_t step = test_one_in(&w->rng, 2) ? 1 : 1 + 2 * below(w, w->stage.count / 2);
    size_t count = 0;

    /* An odd step and the number of frames may have a common divisor, so numbers may repeat: repetitions are
     * left out. */
    for (uint64_t i = 0; i < w->stage.count && count < most; i++) {
        bool is_there = false;
        at = (at + step) % w->stage.count;
        for (size_t k = 0; k < count && step > 1; k++)
            is_there |= numbers[k] == at;
        if (w->frames[at].taken && !is_there)
            numbers[count++] = at;
    }
    return count;
}

/** The expected status of freeing these frames, which are all used. */
static enum kva_status status_of_free(const struct world *w, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct frame *frame = &w->frames[numbers[i]];
        if (frame->maps > 0 || frame->pins > 0)
            return KVA_EBUSY;
    }
    return KVA_OK;
}

static void forget(struct world *w, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        w->frames[numbers[i]] = (struct frame){.taken = false};
    w->taken -= count;
}

/** Leave out frames that are mapped or pinned. */
static size_t idle_of(const struct world *w, uint64_t *numbers, size_t count)
{
    size_t idle = 0;

    for (size_t i = 0; i < count; i++) {
        if (status_of_free(w, &numbers[i], 1) == KVA_OK)
            numbers[idle++] = numbers[i];
    }
    return idle;
}

/** Free frames with one of them named twice. */
static void free_twice(struct world *w, const uint64_t *numbers, size_t count)
{
    uint64_t twice[TAKE_MOST];

    memcpy(twice, numbers, count * sizeof twice[0]);
    twice[count - 1] = numbers[0];
    assert_int_equal(kva_vm_frames_free(w->stage.frames, twice, count), KVA_EDOUBLE);
}

static void play_free(struct world *w)
{
    uint64_t numbers[TAKE_MOST];
    size_t count = some_taken(w, numbers, 1 + (size_t)below(w, TAKE_MOST));

    if (!test_one_in(&w->rng, 6))
        count = idle_of(w, numbers, count);
    if (count == 0)
        return;
    enum kva_status expected = status_of_free(w, numbers, count);
    if (expected == KVA_OK && count > 1 && test_one_in(&w->rng, 20))
        free_twice(w, numbers, count);
    enum kva_status status = kva_vm_frames_free(w->stage.frames, numbers, count);
    check_that(status == expected, "%s: %s expected, %s returned", w->name, kva_status_name(expected),
               kva_status_name(status));
    if (status == KVA_OK)
        forget(w, numbers, count);
    w->busy += status == KVA_EBUSY;
    test_vm_forgive(&w->stage.test);
}

/* --------------------------------------------------------------------------------------------------- maps */

static void add_map(struct world *w, void *memory, bool is_ram, const uint64_t *numbers, size_t count)
{
    struct map *map = &w->maps[w->map_count++];

    *map = (struct map){.memory = memory, .is_ram = is_ram, .count = count};
    memcpy(map->numbers, numbers, count * sizeof numbers[0]);
    for (size_t i = 0; i < count; i++)
        frame_of(w, numbers[i])->maps++;
    expect_map(w, map);
}

/** Sometimes one frame occurs several times. */
static size_t some_to_map(struct world *w, uint64_t *numbers, size_t most)
{
    size_t count = some_taken(w, numbers, 1 + (size_t)below(w, most));

    if (count > 1 && test_one_in(&w->rng, 4))
        numbers[below(w, count)] = numbers[below(w, count)];
    return count;
}

static void play_map(struct world *w)
{
    uint64_t numbers[MAP_MOST];
    size_t count = w->map_count < MAPS ? some_to_map(w, numbers, test_one_in(&w->rng, 8) ? MAP_MOST : 12) : 0;
    unsigned flags = test_one_in(&w->rng, 10) ? KVA_VM_HUGE : 0;
    void *memory;

    if (count == 0)
        return;
    assert_int_equal(kva_vm_map(w->stage.vm, w->stage.frames, numbers, count, flags, &memory), KVA_OK);
    add_map(w, memory, false, numbers, count);
}

static bool are_taken(const struct world *w, const struct list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!w->frames[list->numbers[i]].taken)
            return false;
    }
    return list->count > 0;
}

static void play_map_ram(struct world *w)
{
    struct list *list = &w->lists[below(w, LISTS)];
    void *memory;

    if (w->map_count == MAPS)
        return;
    if (!are_taken(w, list) || test_one_in(&w->rng, 8))
        list->count = some_to_map(w, list->numbers, test_one_in(&w->rng, 8) ? KVA_MAP_RAM_MOST : 5);
    else
        w->reused++;
    if (list->count == 0)
        return;
    assert_int_equal(kva_vm_map_ram(w->stage.vm, w->stage.frames, list->numbers, list->count, &memory),
                     KVA_OK);
    add_map(w, memory, true, list->numbers, list->count);
}

static void end_map(struct world *w, struct map *map)
{
    expect_map(w, map);
    assert_int_equal(
        map->is_ram ? kva_unmap_ram(w->stage.vm, map->memory) : kva_vunmap(w->stage.vm, map->memory), KVA_OK);
    for (size_t i = 0; i < map->count; i++)
        w->frames[map->numbers[i]].maps--;
    *map = w->maps[--w->map_count];
}

static void play_unmap(struct world *w)
{
    if (w->map_count > 0)
        end_map(w, &w->maps[below(w, w->map_count)]);
}

static void play_store(struct world *w)
{
    if (w->map_count == 0)
        return;
    const struct map *map = &w->maps[below(w, w->map_count)];
    size_t i = (size_t)below(w, map->count);
    unsigned char *page = map->memory + i * w->stage.page;
    struct frame *frame = frame_of(w, map->numbers[i]);

    if (test_one_in(&w->rng, 2)) {
        frame->first = ++w->words;
        test_put_word(page, frame->first);
    } else {
        frame->last = ++w->words;
        test_put_word(page + w->stage.page - 8, frame->last);
    }
    expect_page(w, map, i);
}

/* --------------------------------------------------------------------------------------------------- pins */

/** Choose a range of bytes in pages [*from, *from + *count) of a map. */
static const unsigned char *some_range(struct world *w, const struct map *map, size_t *from, size_t *count,
                                       size_t *bytes)
{
    *from = (size_t)below(w, map->count);
    *count = 1 + (size_t)below(w, map->count - *from < 4 ? map->count - *from : 4);
    size_t begin = (size_t)below(w, w->stage.page);
    size_t end = 1 + (size_t)below(w, w->stage.page);
    if (*count == 1 && end <= begin)
        end = begin + 1;
    *bytes = (*count - 1) * w->stage.page + end - begin;
    return map->memory + *from * w->stage.page + begin;
}

static void play_pin(struct world *w)
{
    size_t from;
    size_t count;
    size_t bytes;

    if (w->map_count == 0)
        return;
    const struct map *map = &w->maps[below(w, w->map_count)];
    const unsigned char *memory = some_range(w, map, &from, &count, &bytes);
    assert_int_equal(kva_vm_pin(w->stage.vm, memory, bytes), KVA_OK);
    for (size_t i = 0; i < count; i++)
        frame_of(w, map->numbers[from + i])->pins++;
    w->pins++;
}

/** Count the pages of a part of a map that refer to a frame. */
static unsigned times_in(const struct map *map, size_t from, size_t count, uint64_t number)
{
    unsigned times = 0;

    for (size_t i = 0; i < count; i++)
        times += map->numbers[from + i] == number;
    return times;
}

static enum kva_status status_of_unpin(struct world *w, const struct map *map, size_t from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t number = map->numbers[from + i];
        if (frame_of(w, number)->pins < times_in(map, from, count, number))
            return KVA_EDOUBLE;
    }
    return KVA_OK;
}

/** Mostly ranges with pins. It fails and changes nothing if a frame has too few. */
static void play_unpin(struct world *w)
{
    const struct map *map = NULL;
    const unsigned char *memory = NULL;
    enum kva_status expected = KVA_EDOUBLE;
    size_t from = 0;
    size_t count = 0;
    size_t bytes = 0;

    for (unsigned i = 0; w->map_count > 0 && expected != KVA_OK && i < 20; i++) {
        map = &w->maps[below(w, w->map_count)];
        memory = some_range(w, map, &from, &count, &bytes);
        expected = status_of_unpin(w, map, from, count);
    }
    if (!map)
        return;
    enum kva_status status = kva_vm_unpin(w->stage.vm, memory, bytes);
    check_that(status == expected, "%s: %s expected, %s returned", w->name, kva_status_name(expected),
               kva_status_name(status));
    for (size_t i = 0; status == KVA_OK && i < count; i++)
        frame_of(w, map->numbers[from + i])->pins--;
    test_vm_forgive(&w->stage.test);
}

/** Remove all pins, also of frames that no map refers to. */
static void unpin_all(struct world *w)
{
    for (uint64_t n = 0; n < w->stage.count; n++) {
        if (w->frames[n].pins == 0)
            continue;
        void *map = kva_vmap(w->stage.vm, w->stage.frames, &n, 1);
        assert_non_null(map);
        for (; w->frames[n].pins > 0; w->frames[n].pins--)
            assert_int_equal(kva_vm_unpin(w->stage.vm, map, w->stage.page), KVA_OK);
        assert_int_equal(kva_vm_unpin(w->stage.vm, map, w->stage.page), KVA_EDOUBLE);
        assert_int_equal(kva_vunmap(w->stage.vm, map), KVA_OK);
    }
    test_vm_forgive(&w->stage.test);
}

/* -------------------------------------------------------------------------------------------- compactions */

/** Returns the places that live maps refer to, page by page. The caller frees the array. */
static uint64_t *places(const struct world *w)
{
    uint64_t *place = malloc(MAPS * MAP_MOST * sizeof *place);
    size_t at = 0;

    assert_non_null(place);
    for (size_t i = 0; i < w->map_count; i++) {
        for (size_t k = 0; k < w->maps[i].count; k++)
            place[at++] =
                kva_failing_pages_place(&w->stage.test.pages, w->maps[i].memory + k * w->stage.page);
    }
    return place;
}

static void expect_pinned_in_place(struct world *w, const uint64_t *before)
{
    uint64_t *after = places(w);
    size_t at = 0;

    for (size_t i = 0; i < w->map_count; i++) {
        for (size_t k = 0; k < w->maps[i].count; k++, at++) {
            const uint64_t number = w->maps[i].numbers[k];
            check_that(w->frames[number].pins == 0 || before[at] == after[at],
                       "%s: frame %" PRIu64 " is pinned, and moved from %" PRIu64 " to %" PRIu64, w->name,
                       number, before[at], after[at]);
        }
    }
    free(after);
}

static unsigned some_order(struct world *w)
{
    unsigned order = 0;

    while (UINT64_C(1) << order < w->stage.block)
        order++;
    return test_one_in(&w->rng, 2) ? KVA_FRAMES_ALL_BLOCKS : (unsigned)below(w, order + 1);
}

static void play_compact(struct world *w)
{
    const uint64_t mosts[] = {0, 1, 1 + below(w, 100), UINT64_MAX, UINT64_MAX};
    const uint64_t most = mosts[below(w, sizeof mosts / sizeof mosts[0])];
    const uint64_t moved = w->stage.test.pages.moved_frames;
    const uint64_t free_blocks = test_frames_stats(w->stage.frames).free_blocks;
    struct kva_frames_compacted done;
    uint64_t *before = places(w);

    assert_int_equal(kva_vm_frames_compact(w->stage.frames, some_order(w), most, &done), KVA_OK);
    check_that(w->stage.test.pages.moved_frames - moved == done.moved_frames,
               "%s: the source has moved another number of frames than the %" PRIu64 " reported", w->name,
               done.moved_frames);
    check_that(most != 0 || done.moved_frames == 0, "%s: no moved frames expected, %" PRIu64 " found",
               w->name, done.moved_frames);
    check_that(test_frames_stats(w->stage.frames).free_blocks >= free_blocks,
               "%s: at least %" PRIu64 " free blocks expected", w->name, free_blocks);
    w->moved += done.moved_frames;
    w->compactions++;
    expect_maps(w);
    expect_pinned_in_place(w, before);
    expect_figures(w);
    free(before);
}

/* --------------------------------------------------------------------------------------------------- play */

static void play_purge(struct world *w)
{
    assert_int_equal(kva_vm_purge(w->stage.vm), KVA_OK);
}

static void look(struct world *w)
{
    expect_maps(w);
    expect_figures(w);
    test_vm_expect_sound(&w->stage.test, w->name);
}

static const struct {
    void (*play)(struct world *);
    unsigned weight;
} acts[] = {
    {play_alloc, 9},    {play_alloc_run, 6}, {play_free, 16},  {play_map, 11},
    {play_map_ram, 11}, {play_unmap, 21},    {play_store, 25}, {play_pin, 2},
    {play_unpin, 6},    {play_compact, 2},   {play_purge, 1},
};

static void play_one(struct world *w)
{
    unsigned sum = 0;

    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
        sum += acts[i].weight;
    uint64_t pick = below(w, sum);
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        if (pick < acts[i].weight) {
            acts[i].play(w);
            return;
        }
        pick -= acts[i].weight;
    }
}

static void set_up(struct world *w, const struct mode *mode, enum kva_mechanism mechanism)
{
    struct kva_vm_config config = test_movable_config(&w->stage, mechanism, BLOCKS);

    w->stage.moving.always_by_hand = mode->by_hand;
    config.threads = mode->has_threads ? kva_threads_host() : NULL;
    config.one_thread = !mode->has_threads;
    config.hardened = mode->hardened;
    config.lazy_bytes = mode->lazy_bytes;
    test_movable_create(&w->stage, &config);
    w->name = mode->name;
    w->frames = calloc((size_t)w->stage.count, sizeof *w->frames);
    w->scratch = calloc((size_t)w->stage.count, sizeof *w->scratch);
    assert_true(w->frames != NULL && w->scratch != NULL);
}

static void tear_down(struct world *w)
{
    look(w);
    while (w->map_count > 0)
        end_map(w, &w->maps[0]);
    unpin_all(w);
    size_t count = 0;
    for (uint64_t n = 0; n < w->stage.count; n++) {
        if (w->frames[n].taken)
            w->scratch[count++] = n;
    }
    assert_int_equal(kva_vm_frames_free(w->stage.frames, w->scratch, count), KVA_OK);
    w->taken = 0;
    expect_figures(w);
    test_movable_destroy(&w->stage);
    free(w->frames);
    free(w->scratch);
}

static void play(const struct mode *mode, enum kva_mechanism mechanism, uint64_t stream)
{
    struct world *w = &world;

    memset(w, 0, sizeof *w);
    w->rng = test_rng_of(stream);
    set_up(w, mode, mechanism);
    for (uint64_t i = 0, steps = test_scaled(6000); i < steps; i++) {
        play_one(w);
        if (i % 128 == 0)
            look(w);
        if (i % 1024 == 1023)
            unpin_all(w);
    }
    print_message("%s, %s: %" PRIu64 " compactions, %" PRIu64 " frames moved, %" PRIu64
                  " moves by hand, %" PRIu64 " runs, %" PRIu64 " refused, %" PRIu64 " pins, %" PRIu64
                  " busy, %" PRIu64 " lists mapped again\n",
                  test_mechanism_name(mechanism), mode->name, w->compactions, w->moved,
                  w->stage.moving.by_hand, w->runs, w->refused_runs, w->pins, w->busy, w->reused);
    tear_down(w);
}

static void test_against_the_model(void **state)
{
    static const struct mode modes[] = {
        {.name = "plain"},
        {.name = "moved by hand", .by_hand = true},
        {.name = "with threads", .has_threads = true},
        {.name = "hardened", .hardened = true},
        {.name = "purged at once", .by_hand = true, .lazy_bytes = KVA_VM_NONE},
    };
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, i) {
        for (size_t k = 0; k < sizeof modes / sizeof modes[0]; k++)
            play(&modes[k], mechanism, 100 * i + k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
