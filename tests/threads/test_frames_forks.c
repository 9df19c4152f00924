/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Forks of a program with a frame set. First, a fork at every point of every call that another thread has
 * under way (common/stepper.h): where the worker holds a lock that kva_frames_fork_prepare needs, the worker
 * runs on, point by point, until it releases it. Second, forks while threads are busy. Parent and child both
 * find the set intact and go on using it.
 */
#define _GNU_SOURCE
#include "../common/harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kva/frames.h>
#include <kva/threads.h>

#include "../../ports/test/yielding.h"
#include "../common/stepper.h"
#include "stamps.h"

enum { FRAMES = 64, BLOCK_ORDER = 3, HELD = 24, EDGE = 3, HOLE = 40, HOLE_FRAMES = 4 };

/** Two zones that share a block, and a hole. */
static const struct kva_frames_zone zones[] = {{.start = EDGE, .end = 29},
                                               {.start = 29, .end = FRAMES, .node = 1}};
static const struct kva_frames_range hole = {.first = HOLE, .count = HOLE_FRAMES};

enum { PRESENT = FRAMES - EDGE - HOLE_FRAMES };

static struct kva_frames *make_set(const struct kva_threads *threads)
{
    struct kva_frames_config config = {.zones = zones,
                                       .zone_count = 2,
                                       .holes = &hole,
                                       .hole_count = 1,
                                       .block_order = BLOCK_ORDER,
                                       .memory = kva_memory_host(),
                                       .threads = threads};
    struct kva_frames *frames;

    assert_int_equal(kva_frames_create(&config, &frames), KVA_OK);
    return frames;
}

/** Free all runs in use, without knowledge of their owners, and bring back the frames that a call took
 *  offline. */
static void free_all(struct kva_frames *frames)
{
    struct kva_frames_found found;

    for (uint64_t frame = EDGE; frame < FRAMES; frame++) {
        must(kva_frames_find(frames, frame, &found) == KVA_OK);
        if (found.state == KVA_FRAMES_USED)
            must(kva_frames_free(frames, found.first) == KVA_OK);
        else if (found.state == KVA_FRAMES_ABSENT && (frame < HOLE || frame >= HOLE + HOLE_FRAMES))
            must(kva_frames_online(frames, frame, 1, NULL) == KVA_OK);
    }
}

/** All frames can be allocated, each once, and freed. */
static void use_all(struct kva_frames *frames)
{
    struct kva_frames_request request = {.type = KVA_MOVABLE};
    struct kva_frames_stats stats;
    uint64_t first[PRESENT + 1];

    must(kva_frames_alloc_many(frames, &request, PRESENT, first) == KVA_OK);
    must(kva_frames_alloc(frames, &request, &first[PRESENT]) == KVA_ENOSPC);
    must(kva_frames_check(frames, NULL) == KVA_OK);
    must(kva_frames_free_many(frames, first, PRESENT, NULL) == KVA_OK);
    must(kva_frames_stats_read(frames, KVA_FRAMES_ALL_ZONES, &stats) == KVA_OK);
    must(stats.free_frames == PRESENT && stats.used_frames == 0 && stats.absent_frames == HOLE_FRAMES);
    must(kva_frames_check(frames, NULL) == KVA_OK);
}

static _Noreturn void go_on_in_child(struct kva_frames *frames)
{
    alarm(test_patience(60));
    must(kva_frames_fork_child(frames) == KVA_OK);
    must(kva_frames_check(frames, NULL) == KVA_OK);
    free_all(frames);
    use_all(frames);
    must(kva_frames_destroy(frames) == KVA_OK);
    _exit(0);
}

/** Fork between prepare and parent. Returns whether the child found the set intact. */
static bool fork_is_clean(struct kva_frames *frames)
{
    int status;

    must(kva_frames_fork_prepare(frames) == KVA_OK);
    pid_t child = fork();
    must(child >= 0);
    if (child == 0)
        go_on_in_child(frames);
    must(kva_frames_fork_parent(frames) == KVA_OK);
    must(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---------------------------------------------------------------------------------------------- the calls */

struct stage {
    struct stepper worker;
    struct kva_frames *frames;
    uint64_t held[HELD];
};

static void allocate(void *context)
{
    struct stage *stage = context;
    struct kva_frames_request request = {.type = KVA_MOVABLE};
    uint64_t first;

    must(kva_frames_alloc(stage->frames, &request, &first) == KVA_OK);
}

/** A block, and a run over several blocks. */
static void allocate_large(void *context)
{
    struct stage *stage = context;
    struct kva_frames_request block = {.order = BLOCK_ORDER}, run = {.count = 9};
    uint64_t first;

    must(kva_frames_alloc(stage->frames, &block, &first) == KVA_OK);
    must(kva_frames_alloc(stage->frames, &run, &first) == KVA_OK);
}

static void allocate_too_much(void *context)
{
    struct stage *stage = context;
    struct kva_frames_request request = {.count = FRAMES / 2};
    uint64_t first;

    must(kva_frames_alloc(stage->frames, &request, &first) == KVA_ENOSPC);
}

static void allocate_many(void *context)
{
    struct stage *stage = context;
    struct kva_frames_request request = {.type = KVA_MOVABLE};
    uint64_t first[HELD];

    must(kva_frames_alloc_many(stage->frames, &request, HELD, first) == KVA_OK);
}

static void reserve_and_go_offline(void *context)
{
    struct stage *stage = context;

    must(kva_frames_reserve(stage->frames, HOLE + HOLE_FRAMES + 2, 12, KVA_MOVABLE, NULL) == KVA_OK);
    must(kva_frames_free_range(stage->frames, HOLE + HOLE_FRAMES + 3, 9) == KVA_OK);
    must(kva_frames_offline(stage->frames, HOLE + HOLE_FRAMES + 3, 9, NULL) == KVA_OK);
    must(kva_frames_online(stage->frames, HOLE + HOLE_FRAMES + 3, 9, NULL) == KVA_OK);
}

static void free_some(void *context)
{
    struct stage *stage = context;

    must(kva_frames_free(stage->frames, stage->held[3]) == KVA_OK);
    must(kva_frames_free_many(stage->frames, &stage->held[4], HELD - 4, NULL) == KVA_OK);
}

static void count_and_drain(void *context)
{
    struct stage *stage = context;
    struct kva_frames_orders orders;

    must(kva_frames_orders_read(stage->frames, KVA_FRAMES_ALL_ZONES, &orders) == KVA_OK);
    must(kva_frames_drain(stage->frames) == KVA_OK);
}

/** The held frames lie in the first zone, so the second one is free. */
static void set_up(struct stage *stage)
{
    struct kva_frames_request request = {.min = EDGE, .max = 28};

    memset(stage, 0, sizeof *stage);
    stepper_init(&stage->worker);
    stage->frames = make_set(&stage->worker.threads);
    for (size_t i = 0; i < HELD; i++)
        assert_int_equal(kva_frames_alloc(stage->frames, &request, &stage->held[i]), KVA_OK);
}

static void tear_down(struct stage *stage)
{
    assert_int_equal(kva_frames_check(stage->frames, NULL), KVA_OK);
    free_all(stage->frames);
    use_all(stage->frames);
    assert_int_equal(kva_frames_destroy(stage->frames), KVA_OK);
}

static void a_child_starts_clean_at_every_point(void **state)
{
    static const struct {
        const char *name;
        void (*call)(void *context);
    } calls[] = {
        {"allocate", allocate},
        {"allocate large runs", allocate_large},
        {"allocate too much", allocate_too_much},
        {"allocate many", allocate_many},
        {"reserve, offline, online", reserve_and_go_offline},
        {"free", free_some},
        {"count and drain", count_and_drain},
    };
    static struct stage stage;
    unsigned stride = (unsigned)test_stride();

    (void)state;
    for (size_t k = 0; k < sizeof(calls) / sizeof(calls[0]); k++) {
        bool is_under_way = true;
        unsigned n = 1;
        for (; is_under_way; n += stride) {
            set_up(&stage);
            stepper_start(&stage.worker, calls[k].call, &stage, n);
            is_under_way = stepper_step(&stage.worker);
            if (is_under_way)
                check_that(fork_is_clean(stage.frames), "%s, point %u: child exit 0 expected", calls[k].name,
                           n);
            stepper_finish(&stage.worker);
            tear_down(&stage);
        }
        assert_true(n > 1 + stride);
    }
}

/* ------------------------------------------------------------------------------------------- busy threads */

enum { WORKERS = 3 };

struct crowd {
    struct kva_threads threads;
    struct kva_frames *frames;
    atomic_bool is_over;
    _Atomic uint64_t calls;
};

struct member {
    struct crowd *crowd;
    struct test_rng rng;
    pthread_t thread;
};

/** Allocate a few runs, large and small, and free them. */
static void *work(void *context)
{
    struct member *member = context;
    struct kva_frames *frames = member->crowd->frames;
    uint64_t first[4];

    while (!atomic_load(&member->crowd->is_over)) {
        unsigned taken = 0;
        for (unsigned i = 0; i < 4; i++) {
            struct kva_frames_request request = {.type = (enum kva_frames_type)test_below(&member->rng, 2)};
            request.order = (unsigned)test_below(&member->rng, BLOCK_ORDER + 1);
            enum kva_status status = kva_frames_alloc(frames, &request, &first[taken]);
            must(status == KVA_OK || status == KVA_ENOSPC);
            taken += status == KVA_OK;
        }
        while (taken > 0)
            must(kva_frames_free(frames, first[--taken]) == KVA_OK);
        atomic_fetch_add(&member->crowd->calls, 1);
    }
    return NULL;
}

static void forks_while_threads_are_busy(void **state)
{
    static struct crowd crowd;
    static struct member members[WORKERS];
    uint64_t forks = test_scaled(60);

    (void)state;
    crowd.threads = kva_yielding_threads(8, 2);
    crowd.frames = make_set(&crowd.threads);
    for (unsigned i = 0; i < WORKERS; i++) {
        members[i] = (struct member){.crowd = &crowd, .rng = test_rng_of(300 + i)};
        assert_int_equal(pthread_create(&members[i].thread, NULL, work, &members[i]), 0);
    }
    for (uint64_t i = 0; i < forks; i++) {
        uint64_t before = atomic_load(&crowd.calls);
        check_that(fork_is_clean(crowd.frames), "fork %" PRIu64 ": child exit 0 expected", i);
        assert_int_equal(kva_frames_check(crowd.frames, NULL), KVA_OK);
        while (atomic_load(&crowd.calls) == before) /* the parent's threads go on */
            (void)usleep(100);
    }
    atomic_store(&crowd.is_over, true);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(members[i].thread, NULL), 0);
    use_all(crowd.frames);
    assert_int_equal(kva_frames_destroy(crowd.frames), KVA_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_starts_clean_at_every_point),
        cmocka_unit_test(forks_while_threads_are_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
