/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A fork at every point of every call that another thread has under way on a space (common/stepper.h). Where
 * the worker holds a lock that kva_space_fork_prepare needs, the worker runs on, point by point, until it
 * releases it. The child finds the space intact: it can flush it, free all busy ranges and end it, and all
 * node memory comes back.
 */
#define _GNU_SOURCE
#include "../common/harness.h"

#include <kva/deferred.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../ports/test/failing_memory.h"
#include "../common/stepper.h"
#include "stamps.h"

#define UNIT UINT64_C(0x1000)

enum { UNITS = 64, HELD = 40, DEFERRED = 36 };

struct stage {
    struct stepper worker;
    struct kva_failing_memory memory;
    struct kva_space space;
    struct kva_reclaim reclaim;
    uint64_t held[HELD]; /* every second one up to DEFERRED is deferred */
};

static void pass_a_point(void *context, uint64_t start, uint64_t last)
{
    struct stage *stage = context;

    (void)start;
    (void)last;
    stage->worker.threads.point(&stage->worker);
}

static bool give_one(void *context, struct kva_space *space, const struct kva_request *request)
{
    struct stage *stage = context;

    (void)request;
    stage->worker.threads.point(&stage->worker);
    return kva_free(space, stage->held[1]) == KVA_OK;
}

/** All units but the last few are held, and many of them deferred: more than a flush frees in one slice. */
static void set_up(struct stage *stage, const struct kva_engine *engine, uint64_t pool_bytes)
{
    memset(stage, 0, sizeof *stage);
    stepper_init(&stage->worker);
    struct kva_config config = {
        .last = UNITS * UNIT - 1,
        .quantum = UNIT,
        .engine = engine,
        .memory = kva_failing_memory_init(&stage->memory),
        .flush = pass_a_point,
        .flush_context = stage,
        .threads = &stage->worker.threads,
        .pool_bytes = pool_bytes,
    };

    stage->reclaim = (struct kva_reclaim){.callback = give_one, .context = stage};
    assert_int_equal(kva_space_init(&stage->space, &config), KVA_OK);
    assert_int_equal(kva_reclaim_add(&stage->space, &stage->reclaim), KVA_OK);
    for (size_t i = 0; i < HELD; i++) {
        struct kva_request request = kva_request_of(UNIT);
        assert_int_equal(kva_alloc(&stage->space, &request, &stage->held[i]), KVA_OK);
    }
    for (size_t i = 0; i < DEFERRED; i += 2)
        assert_int_equal(kva_free_deferred(&stage->space, stage->held[i]), KVA_OK);
}

/** Abandoning the space also frees what the worker's call allocated. */
static void tear_down(struct stage *stage)
{
    assert_int_equal(kva_space_check(&stage->space, NULL), KVA_OK);
    assert_int_equal(kva_space_abandon(&stage->space), KVA_OK);
    assert_int_equal(stage->memory.blocks, 0);
}

/* ---------------------------------------------------------------------------------------------- the child */

static void free_all(struct kva_space *space)
{
    struct kva_segment segment;

    for (enum kva_status status = kva_first(space, &segment); status == KVA_OK;
         status = kva_next(space, &segment)) {
        if (segment.state == KVA_BUSY)
            must(kva_free(space, segment.start) == KVA_OK);
    }
}

static _Noreturn void start_clean(struct stage *stage)
{
    struct kva_space *space = &stage->space;

    must(kva_space_fork_child(space) == KVA_OK);
    must(kva_space_check(space, NULL) == KVA_OK);
    must(kva_flush(space) == KVA_OK);
    free_all(space);
    must(kva_reserve(space, 0, UNITS * UNIT, NULL, NULL) == KVA_OK);
    must(kva_free(space, 0) == KVA_OK);
    must(kva_space_check(space, NULL) == KVA_OK);
    must(kva_reclaim_remove(space, &stage->reclaim) == KVA_OK);
    must(kva_space_fini(space) == KVA_OK);
    must(stage->memory.blocks == 0);
    _exit(0);
}

/* ---------------------------------------------------------------------------------------------- the calls */

static void allocate(void *context)
{
    struct stage *stage = context;
    struct kva_request request = kva_request_of(UNIT);
    uint64_t at;

    must(kva_alloc(&stage->space, &request, &at) == KVA_OK);
}

/** More than is free, even after a flush. */
static void allocate_too_much(void *context)
{
    struct stage *stage = context;
    struct kva_request request = kva_request_of(UNITS / 2 * UNIT);
    uint64_t at;

    must(kva_alloc(&stage->space, &request, &at) == KVA_ENOSPC);
}

static void reserve_a_deferred_range(void *context)
{
    struct stage *stage = context;

    must(kva_reserve(&stage->space, stage->held[0], UNIT, NULL, NULL) == KVA_OK);
}

static void free_one(void *context)
{
    struct stage *stage = context;

    must(kva_free(&stage->space, stage->held[3]) == KVA_OK);
}

static void free_part(void *context)
{
    struct stage *stage = context;
    enum kva_status status = kva_free_range(&stage->space, stage->held[3], UNIT);

    must(status == KVA_OK);
}

static void resize(void *context)
{
    struct stage *stage = context;
    enum kva_status status = kva_resize(&stage->space, stage->held[HELD - 1], 2 * UNIT);

    must(status == KVA_OK || status == KVA_ENOSPC);
}

static void defer(void *context)
{
    struct stage *stage = context;

    must(kva_free_deferred(&stage->space, stage->held[3]) == KVA_OK);
}

static void flush(void *context)
{
    struct stage *stage = context;

    must(kva_flush(&stage->space) == KVA_OK);
}

static void drain(void *context)
{
    struct stage *stage = context;

    must(kva_pools_drain(&stage->space) == KVA_OK);
}

/* -------------------------------------------------------------------------------------------------- tests */

static void expect_clean_child(struct stage *stage, const char *name, unsigned n)
{
    int status;

    assert_int_equal(kva_space_fork_prepare(&stage->space), KVA_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(test_patience(60));
        start_clean(stage);
    }
    assert_int_equal(kva_space_fork_parent(&stage->space), KVA_OK);
    assert_int_equal(waitpid(child, &status, 0), child);
    check_that(WIFEXITED(status) && WEXITSTATUS(status) == 0,
               "%s, point %u: child exit 0 expected, status %d found", name, n, status);
}

static void test_a_child_starts_clean_at_every_point(void **state)
{
    static const struct {
        const char *name;
        void (*call)(void *context);
    } calls[] = {
        {"allocate", allocate},
        {"allocate too much", allocate_too_much},
        {"reserve a deferred range", reserve_a_deferred_range},
        {"free", free_one},
        {"free a range", free_part},
        {"resize", resize},
        {"defer", defer},
        {"flush", flush},
        {"drain", drain},
    };
    static struct stage stage;
    const struct kva_engine *engine;
    const unsigned stride = test_is_brief() ? 3 : 1;

    (void)state;
    for_each_engine (engine, e) {
        for (unsigned k = 0; k < 2 * sizeof(calls) / sizeof(calls[0]); k++) {
            bool is_under_way = true;
            unsigned n = 1;
            for (; is_under_way; n += stride) {
                set_up(&stage, engine, k % 2 == 0 ? 0 : UNITS * UNIT);
                stepper_start(&stage.worker, calls[k / 2].call, &stage, n);
                is_under_way = stepper_step(&stage.worker);
                if (is_under_way)
                    expect_clean_child(&stage, calls[k / 2].name, n);
                stepper_finish(&stage.worker);
                tear_down(&stage);
            }
            assert_true(n > 1 + stride);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_child_starts_clean_at_every_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
