/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * All schedules of a thread that evacuates a range and of another one that frees a run in it, allocates in
 * it, or needs free frames elsewhere. Blocks of 4 frames:
 *
 *      |.aa.|bbb.|c...|....|....|     b may begin at 3 and cross the border
 *      [ evacuated)                   one of the last two blocks stays free
 */
#include "common/schedules.h"

#include <kva/frames.h>
#include <kva/threads.h>

enum { FRAMES = 20, BASE = 64, RANGE = 8, RUNS = 3 };

/** What the second thread does. */
enum action { FREES, FREES_A_PART, ALLOCATES, NEEDS_A_BLOCK, EVACUATES };

struct run {
    uint64_t first;
    uint64_t count;
    bool is_in_use; /* its owner refers to it */
};

struct play {
    struct kva_threads threads;
    struct kva_frames *frames;
    enum action action;
    bool crosses;
    struct run runs[RUNS];
    enum kva_status evacuated[2];
    enum kva_status allocated;
    uint64_t single;
};

static enum kva_frames_moved move_run(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    struct play *play = context;

    for (size_t i = 0; i < RUNS; i++) {
        struct run *run = &play->runs[i];
        if (!run->is_in_use || run->first != from)
            continue;
        assert_int_equal(run->count, count);
        run->first = to;
        return KVA_FRAMES_MOVED;
    }
    return KVA_FRAMES_GONE;
}

static void set_up(void *context, struct kva_turns *turns)
{
    struct play *play = context;
    struct kva_frames_zone zone = {BASE, BASE + FRAMES, 0};
    struct kva_frames_config config = {.zones = &zone,
                                       .zone_count = 1,
                                       .block_order = 2,
                                       .memory = kva_memory_host(),
                                       .threads = &play->threads,
                                       .cpus = 2,
                                       .move = move_run,
                                       .move_context = play};

    play->threads = kva_turns_threads(turns);
    assert_int_equal(kva_frames_create(&config, &play->frames), KVA_OK);
    play->runs[0] = (struct run){BASE + 1, 2, true};
    play->runs[1] = (struct run){BASE + (play->crosses ? 3 : 4), 3, true};
    play->runs[2] = (struct run){BASE + 8, 1, true};
    for (size_t i = 0; i < RUNS; i++)
        assert_int_equal(
            kva_frames_reserve(play->frames, play->runs[i].first, play->runs[i].count, KVA_MOVABLE, NULL),
            KVA_OK);
    play->single = KVA_NO_FRAME;
    play->allocated = KVA_EINVAL;
    play->evacuated[0] = play->evacuated[1] = KVA_EINVAL;
}

/** The owner drops its reference first. */
static void free_run(struct play *play, struct run *run)
{
    uint64_t first = run->first;

    run->is_in_use = false;
    assert_int_equal(kva_frames_free(play->frames, first), KVA_OK);
}

/** A part of a run cannot be freed while the run moves, and the run cannot move while its owner frees a
 *  part. */
static void free_a_part(struct play *play, struct run *run)
{
    uint64_t first = run->first;

    run->is_in_use = false;
    enum kva_status status = kva_frames_free_range(play->frames, first, 1);
    run->is_in_use = true;
    if (status == KVA_OK) {
        run->first++;
        run->count--;
    }
    assert_true(status == KVA_OK || status == KVA_EBUSY);
}

static void act(struct play *play)
{
    struct kva_frames_request request = {.type = KVA_MOVABLE, .min = BASE, .max = BASE + RANGE - 1};

    switch (play->action) {
    case FREES:
        free_run(play, &play->runs[1]);
        break;
    case FREES_A_PART:
        free_a_part(play, &play->runs[1]);
        break;
    case ALLOCATES:
        play->allocated = kva_frames_alloc(play->frames, &request, &play->single);
        break;
    case NEEDS_A_BLOCK:
        request = (struct kva_frames_request){.order = 2, .type = KVA_UNMOVABLE};
        play->allocated = kva_frames_alloc(play->frames, &request, &play->single);
        break;
    default:
        play->evacuated[1] = kva_frames_evacuate(play->frames, BASE + 2, 3, KVA_UNMOVABLE, NULL);
        break;
    }
}

static void body(void *context, unsigned thread)
{
    struct play *play = context;

    if (thread == 0)
        play->evacuated[0] = kva_frames_evacuate(play->frames, BASE, RANGE, KVA_UNMOVABLE, NULL);
    else
        act(play);
}

/** A run of `count` frames begins at `first`; free it. */
static void expect_run(struct play *play, uint64_t first, uint64_t count, uint64_t schedule)
{
    struct kva_frames_found found;

    assert_int_equal(kva_frames_find(play->frames, first, &found), KVA_OK);
    check_that(found.state == KVA_FRAMES_USED && found.first == first && found.count == count,
               "action %d, schedule %" PRIu64 ": a run of %" PRIu64 " frames expected at %" PRIu64
               ", none found",
               (int)play->action, schedule, count, first);
    assert_int_equal(kva_frames_free(play->frames, first), KVA_OK);
}

static void look_back(void *context, uint64_t schedule)
{
    struct play *play = context;
    struct kva_frames_stats stats;

    assert_int_equal(kva_frames_check(play->frames, NULL), KVA_OK);
    if (play->evacuated[0] == KVA_OK)
        expect_run(play, BASE, RANGE, schedule);
    if (play->evacuated[1] == KVA_OK)
        expect_run(play, BASE + 2, 3, schedule);
    check_that(play->evacuated[0] == KVA_OK || play->action <= ALLOCATES || play->evacuated[1] == KVA_OK,
               "action %d, schedule %" PRIu64 ": the evacuation returned %d", (int)play->action, schedule,
               (int)play->evacuated[0]);
    if (play->action == NEEDS_A_BLOCK)
        assert_int_equal(play->allocated, KVA_OK);
    if (play->allocated == KVA_OK)
        expect_run(play, play->single, play->action == NEEDS_A_BLOCK ? 4 : 1, schedule);
    for (size_t i = 0; i < RUNS; i++) {
        if (play->runs[i].is_in_use)
            expect_run(play, play->runs[i].first, play->runs[i].count, schedule);
    }
    assert_int_equal(kva_frames_stats_read(play->frames, 0, &stats), KVA_OK);
    check_that(stats.free_frames == FRAMES,
               "action %d, schedule %" PRIu64 ": all frames should be free, %" PRIu64 " are",
               (int)play->action, schedule, stats.free_frames);
    assert_int_equal(kva_frames_destroy(play->frames), KVA_OK);
}

static void every_schedule(void **state)
{
    struct play play = {0};
    (void)state;

    for (unsigned action = FREES; action <= EVACUATES; action++) {
        play.action = (enum action)action;
        for (unsigned crosses = 0; crosses < 2; crosses++) {
            struct schedules schedules = {.name = "evacuation",
                                          .threads = 2,
                                          .changes = 3,
                                          .set_up = set_up,
                                          .body = body,
                                          .look_back = look_back,
                                          .context = &play};
            play.crosses = crosses != 0;
            assert_true(schedules_run(&schedules) >= 100);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
