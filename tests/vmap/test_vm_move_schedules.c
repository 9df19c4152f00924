/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * All schedules of a thread that compacts a movable set and one that uses it, on a set of a few blocks of
 * four frames
 * (common/array_frames.h). Each frame has one owner, who knows what it holds; nothing that the other thread
 * does may change that.
 *
 *   blocks   | 0 . . . | . 1 . . | . . 2 . |       to begin with: the frames of three slots, in a block each
 *
 * WHAT IS LOOKED AT   What each call returns; what a frame holds whenever it is mapped, and at the end; that
 * a pinned one stays where it is; what the set has in use in the end; and the checks of the library and of
 * the page source (failing_pages.h).
 */
#include "common/schedules.h"

#include <string.h>

#include <kva/engine.h>
#include <kva/threads.h>
#include <kva/vmap.h>

#include "common/array_frames.h"
#include "../../ports/test/failing_memory.h"
#include "../../ports/test/failing_pages.h"

enum { PAGE = KVA_ARRAY_PAGE, BLOCKS = 3, FRAMES = BLOCKS * KVA_ARRAY_BLOCK, SLOTS = 8, STEPS_MOST = 6 };

/** What a thread does with the frame of a slot:
 *    A take it   F give it back   M map it   U end the map   R map it for a short time   V end that   W store
 *    to it   P pin   Q unpin
 *  and without one:
 *    C compact   S compact, a frame at a time   G compact until there is a group of `order`   L flush   K
 *                check   0 end */
struct step {
    char what;
    unsigned slot;
    unsigned order;
};

struct scenario {
    const char *name;
    unsigned changes;
    unsigned more; /* blocks with a frame each that nobody maps: with many, one call moves several slices */
    struct step before[STEPS_MOST]; /* when the three frames of slots 0 to 2 are there */
    struct step thread[2][STEPS_MOST];
};

struct slot {
    bool is_taken;
    uint64_t number;
    uint64_t word;
    void *map;    /* NULL: none */
    uint64_t pin; /* the place at which it is pinned; UINT64_MAX: it is not */
};

struct play {
    struct kva_array_frames array;
    const struct scenario *scenario;
    struct kva_threads threads;
    struct kva_failing_pages pages;
    struct kva_failing_memory memory;
    struct kva_vm *vm;
    struct kva_vm_frames *frames;
    unsigned faults;
    uint64_t words;
    uint64_t moved;
    struct slot slot[SLOTS];
};

static void expect(const struct play *play, bool is_so, const struct step *step, const char *what)
{
    check_that(is_so, "%s: step %c of slot %u: %s", play->scenario->name, step->what, step->slot, what);
}

/* ---------------------------------------------------------------------------------------------- the steps */

static uint64_t *word_of(struct play *play, const struct step *step)
{
    uint64_t *word = kva_array_frames_word(&play->array, play->slot[step->slot].map);

    expect(play, word != NULL, step, "the map shows nothing");
    return word;
}

static void verify(struct play *play, const struct step *step)
{
    const struct slot *slot = &play->slot[step->slot];

    expect(play, *word_of(play, step) == slot->word, step, "the frame holds something else");
    if (slot->pin != UINT64_MAX)
        expect(play, kva_failing_pages_place(&play->pages, slot->map) == slot->pin, step,
               "it was pinned, and moved");
}

static enum kva_status end_map(struct play *play, const struct step *step)
{
    void *map = play->slot[step->slot].map;

    verify(play, step);
    play->slot[step->slot].map = NULL;
    return step->what == 'U' ? kva_vunmap(play->vm, map) : kva_unmap_ram(play->vm, map);
}

static enum kva_status pin(struct play *play, const struct step *step)
{
    struct slot *slot = &play->slot[step->slot];
    enum kva_status status = kva_vm_pin(play->vm, slot->map, 1);

    slot->pin = kva_failing_pages_place(&play->pages, slot->map);
    return status;
}

static enum kva_status unpin(struct play *play, const struct step *step)
{
    struct slot *slot = &play->slot[step->slot];

    verify(play, step);
    slot->pin = UINT64_MAX;
    return kva_vm_unpin(play->vm, slot->map, 1);
}

static enum kva_status take(struct play *play, struct slot *slot)
{
    slot->is_taken = true;
    slot->word = 0;
    return kva_vm_frames_alloc(play->frames, 1, &slot->number);
}

static enum kva_status give(struct play *play, struct slot *slot)
{
    slot->is_taken = false;
    return kva_vm_frames_free(play->frames, &slot->number, 1);
}

static enum kva_status compact(struct play *play, unsigned order)
{
    struct kva_frames_compacted done = {0};
    enum kva_status status = kva_vm_frames_compact(play->frames, order, UINT64_MAX, &done);

    play->moved += done.moved_frames;
    return status;
}

/** Others may come between any two. */
static enum kva_status compact_in_slices(struct play *play)
{
    struct kva_frames_compacted done = {0};
    enum kva_status status = KVA_OK;

    for (unsigned i = 0; i < 2 * FRAMES && status == KVA_OK && !done.is_finished; i++) {
        status = kva_vm_frames_compact(play->frames, KVA_FRAMES_ALL_BLOCKS, 1, &done);
        play->moved += done.moved_frames;
    }
    return status;
}

static enum kva_status perform(struct play *play, const struct step *step)
{
    struct slot *slot = &play->slot[step->slot];

    switch (step->what) {
    case 'A':
        return take(play, slot);
    case 'F':
        return give(play, slot);
    case 'M':
        return kva_vm_map(play->vm, play->frames, &slot->number, 1, 0, &slot->map);
    case 'R':
        return kva_vm_map_ram(play->vm, play->frames, &slot->number, 1, &slot->map);
    case 'U':
    case 'V':
        return end_map(play, step);
    case 'W':
        verify(play, step);
        *word_of(play, step) = slot->word = ++play->words;
        return KVA_OK;
    case 'P':
        return pin(play, step);
    case 'Q':
        return unpin(play, step);
    case 'C':
        return compact(play, KVA_FRAMES_ALL_BLOCKS);
    case 'S':
        return compact_in_slices(play);
    case 'G':
        return compact(play, step->order);
    case 'L':
        return kva_vm_purge(play->vm);
    default:
        return kva_vm_check(play->vm, NULL);
    }
}

static void do_step(struct play *play, const struct step *step)
{
    play->threads.point(play->threads.context);
    enum kva_status status = perform(play, step);
    expect(play, status == KVA_OK, step, kva_status_name(status));
    if (strchr("MRWP", step->what))
        verify(play, step);
}

static void body(void *context, unsigned thread)
{
    struct play *play = context;
    const struct step *step = play->scenario->thread[thread];

    for (unsigned i = 0; i < STEPS_MOST && step[i].what; i++)
        do_step(play, &step[i]);
}

/* ---------------------------------------------------------------------------------------------- scenarios */

static const struct scenario scenarios[] = {
    {.name = "an ended map of what is given back between two slices",
     .changes = 3,
     .more = 57,
     .thread = {{{'C', 0, 0}},
                {{'R', 1, 0}, {'V', 1, 0}, {'F', 1, 0}, {'R', 2, 0}, {'V', 2, 0}, {'F', 2, 0}}}},
    {.name = "mapped while it moves",
     .changes = 3,
     .thread = {{{'C', 0, 0}}, {{'M', 0, 0}, {'W', 0, 0}, {'U', 0, 0}}}},
    {.name = "unmapped while it moves, and mapped again",
     .changes = 3,
     .before = {{'M', 0, 0}, {'M', 1, 0}},
     .thread = {{{'C', 0, 0}}, {{'U', 0, 0}, {'M', 0, 0}, {'W', 0, 0}}}},
    {.name = "unmapped and mapped between two moves",
     .changes = 3,
     .before = {{'M', 0, 0}, {'M', 1, 0}, {'M', 2, 0}},
     .thread = {{{'S', 0, 0}}, {{'U', 0, 0}, {'U', 1, 0}, {'M', 0, 0}, {'M', 1, 0}}}},
    {.name = "given back while it moves, and another one is taken",
     .changes = 3,
     .thread = {{{'C', 0, 0}}, {{'F', 0, 0}, {'A', 3, 0}, {'M', 3, 0}, {'W', 3, 0}}}},
    {.name = "given back and taken between two moves",
     .changes = 3,
     .before = {{'R', 1, 0}, {'V', 1, 0}},
     .thread = {{{'S', 0, 0}}, {{'F', 1, 0}, {'A', 3, 0}, {'R', 3, 0}, {'W', 3, 0}, {'V', 3, 0}}}},
    {.name = "all are given back",
     .changes = 3,
     .thread = {{{'C', 0, 0}}, {{'F', 1, 0}, {'F', 2, 0}, {'F', 0, 0}}}},
    {.name = "pinned while it moves",
     .changes = 3,
     .before = {{'M', 0, 0}, {'M', 1, 0}},
     .thread = {{{'C', 0, 0}, {'C', 0, 0}}, {{'P', 0, 0}, {'P', 1, 0}, {'Q', 0, 0}, {'W', 1, 0}}}},
    {.name = "pinned between two moves",
     .changes = 3,
     .before = {{'M', 0, 0}, {'M', 1, 0}, {'M', 2, 0}},
     .thread = {{{'S', 0, 0}}, {{'P', 0, 0}, {'P', 1, 0}, {'W', 1, 0}, {'Q', 0, 0}}}},
    {.name = "mapped for a short time, again and again",
     .changes = 3,
     .before = {{'R', 0, 0}, {'V', 0, 0}},
     .thread = {{{'S', 0, 0}}, {{'R', 0, 0}, {'W', 0, 0}, {'V', 0, 0}, {'R', 0, 0}, {'V', 0, 0}}}},
    {.name = "stores while all of them move",
     .changes = 3,
     .before = {{'M', 0, 0}, {'M', 1, 0}, {'M', 2, 0}},
     .thread = {{{'S', 0, 0}}, {{'W', 0, 0}, {'W', 1, 0}, {'W', 2, 0}, {'W', 0, 0}}}},
    {.name = "two compact",
     .changes = 3,
     .before = {{'M', 1, 0}},
     .thread = {{{'S', 0, 0}, {'W', 1, 0}}, {{'G', 0, 2}, {'M', 0, 0}, {'W', 0, 0}}}},
    {.name = "checked and flushed while it moves",
     .changes = 2,
     .before = {{'M', 0, 0}, {'M', 1, 0}},
     .thread = {{{'S', 0, 0}}, {{'U', 1, 0}, {'K', 0, 0}, {'L', 0, 0}, {'K', 0, 0}}}},
};

static void count_fault(void *context, const struct kva_fault *fault)
{
    struct play *play = context;

    (void)fault;
    play->faults++;
}

static unsigned frames_of(const struct play *play)
{
    return FRAMES + play->scenario->more * KVA_ARRAY_BLOCK;
}

/** Which slot the frame at a place is: those of places 0, 5 and 10; or, with more blocks, of places 0, 1
 *  and 2, so that their block is the one that others move to. SLOTS: none. */
static unsigned slot_at(const struct play *play, uint64_t place)
{
    unsigned step = play->scenario->more > 0 ? 1 : KVA_ARRAY_BLOCK + 1;

    return place % step == 0 && place / step < BLOCKS ? (unsigned)place / step : SLOTS;
}

/** What is kept of the frames of a block, which are mapped for a moment: the slots', and the first one of
 *  each further block. */
static void keep_some(struct play *play, const uint64_t *numbers, bool *is_kept)
{
    void *map;

    assert_int_equal(kva_vm_map(play->vm, play->frames, numbers, KVA_ARRAY_BLOCK, 0, &map), KVA_OK);
    for (unsigned i = 0; i < KVA_ARRAY_BLOCK; i++) {
        char *page = (char *)map + (size_t)i * PAGE;
        uint64_t place = kva_failing_pages_place(&play->pages, page);
        unsigned number = slot_at(play, place);
        is_kept[i] = number < SLOTS || (place >= FRAMES && place % KVA_ARRAY_BLOCK == 0);
        if (number == SLOTS)
            continue;
        struct slot *slot = &play->slot[number];
        *slot = (struct slot){true, numbers[i], ++play->words, NULL, UINT64_MAX};
        *kva_array_frames_word(&play->array, page) = slot->word;
    }
    assert_int_equal(kva_vunmap(play->vm, map), KVA_OK);
}

static void scatter(struct play *play)
{
    uint64_t numbers[KVA_ARRAY_FRAMES];
    bool is_kept[KVA_ARRAY_FRAMES];

    assert_int_equal(kva_vm_frames_alloc(play->frames, frames_of(play), numbers), KVA_OK);
    for (unsigned i = 0; i < frames_of(play); i += KVA_ARRAY_BLOCK)
        keep_some(play, &numbers[i], &is_kept[i]);
    assert_int_equal(kva_vm_purge(play->vm), KVA_OK);
    for (unsigned i = 0; i < frames_of(play); i++) {
        if (!is_kept[i])
            assert_int_equal(kva_vm_frames_free(play->frames, &numbers[i], 1), KVA_OK);
    }
}

static void set_up(void *context, struct kva_turns *turns)
{
    struct play *play = context;
    const struct kva_pages array = kva_array_frames_of(&play->array);
    const struct kva_vm_frames_config set = {.count = frames_of(play), .movable = true};
    struct kva_vm_config config = {
        .reservation = KVA_ARRAY_PAGES * PAGE,
        .frames_part = (KVA_ARRAY_PAGES - 8) * PAGE,
        .engine = &kva_engine_bt,
        .memory = kva_failing_memory_init(&play->memory),
        .pages = kva_failing_pages_init(&play->pages, &array),
        .cpus = 2,
        .threads = &play->threads,
        .on_misuse = count_fault,
        .on_corruption = count_fault,
        .hook_context = play,
    };

    play->pages.allows_unnamed_maps = true;
    play->faults = 0;
    play->words = 0;
    play->threads = kva_turns_threads(turns);
    memset(play->slot, 0, sizeof play->slot);
    for (unsigned i = 0; i < SLOTS; i++)
        play->slot[i].pin = UINT64_MAX;
    assert_int_equal(kva_vm_create_from(&config, &play->vm), KVA_OK);
    assert_int_equal(kva_vm_frames_create(play->vm, &set, &play->frames), KVA_OK);
    scatter(play);
    for (unsigned i = 0; i < STEPS_MOST && play->scenario->before[i].what; i++)
        do_step(play, &play->scenario->before[i]);
}

/** All that is free is taken again: what map_ram finds shows the frame where it is. */
static void expect_short_maps(struct play *play, uint64_t count)
{
    uint64_t numbers[KVA_ARRAY_FRAMES];
    void *map[2];

    assert_int_equal(kva_vm_frames_alloc(play->frames, (size_t)count, numbers), KVA_OK);
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(kva_vm_map_ram(play->vm, play->frames, &numbers[i], 1, &map[0]), KVA_OK);
        assert_int_equal(kva_vm_map(play->vm, play->frames, &numbers[i], 1, 0, &map[1]), KVA_OK);
        check_that(kva_array_frames_word(&play->array, map[0]) == kva_array_frames_word(&play->array, map[1]),
                   "%s: frame %" PRIu64 " by map_ram", play->scenario->name, numbers[i]);
        assert_int_equal(kva_unmap_ram(play->vm, map[0]), KVA_OK);
        assert_int_equal(kva_vunmap(play->vm, map[1]), KVA_OK);
    }
}

/** Every frame that is left holds what its owner knows; and can be given back. */
static void look_back(void *context, uint64_t schedule)
{
    struct play *play = context;
    struct kva_fault fault = {.what = ""};
    struct kva_frames_stats stats;
    uint64_t taken = play->scenario->more;

    enum kva_status status = kva_vm_check(play->vm, &fault);
    check_that(status == KVA_OK && play->faults == 0, "%s, schedule %" PRIu64 ": %s", play->scenario->name,
               schedule, fault.what);
    for (unsigned i = 0; i < SLOTS; i++)
        taken += play->slot[i].is_taken;
    assert_int_equal(kva_vm_frames_stats_read(play->frames, &stats), KVA_OK);
    check_that(stats.used_frames == taken, "%s, schedule %" PRIu64 ": %" PRIu64 " used", play->scenario->name,
               schedule, stats.used_frames);
    expect_short_maps(play, frames_of(play) - taken);
    for (unsigned i = 0; i < SLOTS; i++) {
        const struct step look[] = {{'M', i, 0}, {'Q', i, 0}, {'U', i, 0}, {'F', i, 0}};
        struct slot *slot = &play->slot[i];
        for (unsigned k = slot->map ? 1 : 0; slot->is_taken && k < 4; k++) {
            if (look[k].what != 'Q' || slot->pin != UINT64_MAX)
                do_step(play, &look[k]);
        }
    }
    assert_int_equal(kva_vm_destroy(play->vm, NULL, NULL), KVA_OK);
    assert_int_equal(play->memory.blocks, 0);
    assert_int_equal(play->pages.mapped_pages, 0);
}

static void no_schedule_mixes_up_frames(void **state)
{
    static struct play play;
    uint64_t sum = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        play.scenario = &scenarios[i];
        play.moved = 0;
        const struct schedules schedules = {.name = play.scenario->name,
                                            .threads = 2,
                                            .changes = play.scenario->changes,
                                            .set_up = set_up,
                                            .body = body,
                                            .look_back = look_back,
                                            .context = &play};
        sum += schedules_run(&schedules);
        assert_true(play.moved > 0);
    }
    print_message("%8" PRIu64 " schedules\n", sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_schedule_mixes_up_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
