/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The buddy system of bench/buddy, compared with a model: one byte per frame, its owner. A request must
 * return aligned frames without an owner, and fail exactly if the model has no such group; a free needs only
 * the first number, and a wrong one is refused.
 */
#define _GNU_SOURCE
#include "common/harness.h"

#include "bench/buddy/buddy.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define FRAMES_MOST 5000
#define NO_OWNER 0

struct run {
    uint64_t first;
    unsigned order;
};

/* The owner of a frame is the order of its run, plus 1. */
struct model {
    struct buddy *buddy;
    uint64_t frames;
    unsigned char owner[FRAMES_MOST];
    struct run runs[FRAMES_MOST];
    size_t count;
};

static void begin(struct model *model, uint64_t frames)
{
    memset(model, 0, sizeof(*model));
    model->frames = frames;
    assert_int_equal(buddy_create(frames, &model->buddy), KVA_OK);
}

static bool is_free(const struct model *model, uint64_t first, unsigned order)
{
    for (uint64_t frame = first; frame < first + (UINT64_C(1) << order); frame++)
        if (frame >= model->frames || model->owner[frame] != NO_OWNER)
            return false;
    return true;
}

static bool has_room(const struct model *model, unsigned order)
{
    for (uint64_t first = 0; first < model->frames; first += UINT64_C(1) << order)
        if (is_free(model, first, order))
            return true;
    return false;
}

static bool take(struct model *model, unsigned order)
{
    uint64_t first = 77;
    enum kva_status status = buddy_alloc(model->buddy, order, &first);
    if (status == KVA_ENOSPC) {
        check_that(!has_room(model, order), "order %u of %" PRIu64 " frames", order, model->frames);
        assert_true(first == 77);
        return false;
    }
    assert_int_equal(status, KVA_OK);
    check_that(first % (UINT64_C(1) << order) == 0, "order %u at %" PRIu64, order, first);
    check_that(is_free(model, first, order), "order %u at %" PRIu64, order, first);
    memset(model->owner + first, (int)order + 1, (size_t)1 << order);
    model->runs[model->count++] = (struct run){first, order};
    return true;
}

static void give(struct model *model, size_t index)
{
    struct run run = model->runs[index];
    assert_int_equal(buddy_free(model->buddy, run.first), KVA_OK);
    memset(model->owner + run.first, NO_OWNER, (size_t)1 << run.order);
    model->runs[index] = model->runs[--model->count];
}

/* Free a frame at which no run begins: it is inside a run, or free. */
static void give_wrongly(struct model *model, uint64_t frame)
{
    for (size_t i = 0; i < model->count; i++)
        if (model->runs[i].first == frame)
            return;
    enum kva_status status = buddy_free(model->buddy, frame);
    bool refused = status == KVA_EINTERIOR || (status == KVA_EDOUBLE && model->owner[frame] == NO_OWNER);
    check_that(refused, "frame %" PRIu64 " of %" PRIu64 ": %s", frame, model->frames,
               kva_status_name(status));
}

static void end(struct model *model)
{
    buddy_destroy(model->buddy);
}

/* -------------------------------------------------------------------------------------------------- tests */

static const uint64_t sizes[] = {1, 2, 3, 7, 64, 511, 1023, 1024, 1025, 2048, 3333, FRAMES_MOST};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void a_frame_has_one_owner(void **state)
{
    (void)state;
    static struct model model;
    struct test_rng rng = test_rng_of(1);
    for (size_t i = 0; i < SIZES; i++) {
        begin(&model, sizes[i]);
        uint64_t steps = test_scaled(20000);
        for (uint64_t step = 0; step < steps; step++) {
            uint64_t takes = 1 + step / 500 % 3; /* of 4: the model grows and shrinks in turn */
            unsigned most = step / 1500 % 2 == 0 ? BUDDY_ORDER_MAX : 3;
            if (model.count > 0 && test_below(&rng, 4) >= takes)
                give(&model, (size_t)test_below(&rng, model.count));
            else
                (void)take(&model, (unsigned)test_below(&rng, most + 1));
            if (test_one_in(&rng, 4))
                give_wrongly(&model, test_below(&rng, sizes[i]));
        }
        end(&model);
    }
}

/* Allocate all single frames and free them in random order: the numbers of the largest blocks must be as
 * at the beginning. */
static void all_blocks_merge_after_frees(void **state)
{
    (void)state;
    static struct model model;
    struct test_rng rng = test_rng_of(2);
    for (size_t i = 0; i < SIZES; i++) {
        begin(&model, sizes[i]);
        while (take(&model, 0))
            continue;
        assert_int_equal(model.count, sizes[i]);
        while (model.count > 0)
            give(&model, (size_t)test_below(&rng, model.count));
        for (unsigned order = BUDDY_ORDER_MAX + 1; order-- > 0;) {
            size_t before = model.count;
            while (take(&model, order))
                continue;
            uint64_t left = order == BUDDY_ORDER_MAX ? sizes[i] : sizes[i] % (UINT64_C(2) << order);
            assert_int_equal(model.count - before, left >> order);
        }
        end(&model);
    }
}

static void wrong_frees_are_refused(void **state)
{
    (void)state;
    static struct model model;
    begin(&model, 1030);
    assert_true(take(&model, 3));
    uint64_t first = model.runs[0].first;
    assert_int_equal(buddy_free(model.buddy, 1030), KVA_EUNKNOWN);
    assert_int_equal(buddy_free(model.buddy, UINT64_MAX), KVA_EUNKNOWN);
    assert_int_equal(buddy_free(model.buddy, (UINT64_C(1) << 32) + first), KVA_EUNKNOWN);
    for (uint64_t frame = first + 1; frame < first + 8; frame++)
        assert_int_equal(buddy_free(model.buddy, frame), KVA_EINTERIOR);
    assert_int_equal(buddy_free(model.buddy, first ^ 8), KVA_EDOUBLE); /* its buddy */
    assert_int_equal(buddy_free(model.buddy, first), KVA_OK);
    /* The block has merged, and begins there. */
    assert_int_equal(buddy_free(model.buddy, first), KVA_EDOUBLE);
    end(&model);
}

static void wrong_requests_are_refused(void **state)
{
    (void)state;
    struct buddy *buddy = NULL;
    uint64_t first;
    assert_int_equal(buddy_create(0, &buddy), KVA_EINVAL);
    assert_int_equal(buddy_create(UINT32_MAX, &buddy), KVA_EINVAL);
    assert_null(buddy);
    assert_int_equal(buddy_create(4096, &buddy), KVA_OK);
    assert_int_equal(buddy_alloc(buddy, BUDDY_ORDER_MAX + 1, &first), KVA_EINVAL);
    assert_true(buddy_bytes(buddy) >= 4096 * 9 && buddy_bytes(buddy) < 4096 * 10);
    buddy_destroy(buddy);
}

/* ------------------------------------------------------------------------------------------------ threads */

#define THREADS 4
#define RUNS 40

static struct buddy *shared;
static _Atomic unsigned char owners[2048];
static _Atomic unsigned wrong;

struct thread {
    pthread_t thread;
    uint64_t steps;
    struct test_rng rng;
    unsigned char number;
    struct run runs[RUNS];
    size_t count;
};

/* Each frame of the run gets a new owner; the old one must be `from`. */
static void hand_over(struct run run, unsigned char from, unsigned char to)
{
    for (uint64_t frame = run.first; frame < run.first + (UINT64_C(1) << run.order); frame++)
        if (atomic_exchange_explicit(&owners[frame], to, memory_order_relaxed) != from)
            atomic_fetch_add(&wrong, 1);
}

static void give_one(struct thread *thread)
{
    size_t index = (size_t)test_below(&thread->rng, thread->count);
    struct run run = thread->runs[index];
    thread->runs[index] = thread->runs[--thread->count];
    hand_over(run, thread->number, NO_OWNER);
    if (buddy_free(shared, run.first) != KVA_OK)
        atomic_fetch_add(&wrong, 1);
}

static void *take_and_give(void *argument)
{
    struct thread *thread = argument;
    for (uint64_t step = 0; step < thread->steps; step++) {
        struct run run = {.order = (unsigned)test_below(&thread->rng, 6)};
        if (thread->count == RUNS || (thread->count > 0 && test_one_in(&thread->rng, 2)))
            give_one(thread);
        else if (buddy_alloc(shared, run.order, &run.first) == KVA_OK) {
            hand_over(run, NO_OWNER, thread->number);
            thread->runs[thread->count++] = run;
        }
    }
    while (thread->count > 0)
        give_one(thread);
    return NULL;
}

static void threads_share_one_allocator(void **state)
{
    (void)state;
    static struct thread threads[THREADS];
    uint64_t first;
    assert_int_equal(buddy_create(sizeof(owners), &shared), KVA_OK);
    for (size_t i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){
            .number = (unsigned char)(i + 1), .rng = test_rng_of(10 + i), .steps = test_scaled(20000)};
        assert_int_equal(pthread_create(&threads[i].thread, NULL, take_and_give, &threads[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i].thread, NULL), 0);
    assert_int_equal(atomic_load(&wrong), 0);
    for (size_t i = 0; i < sizeof(owners) >> BUDDY_ORDER_MAX; i++) /* all blocks have merged */
        assert_int_equal(buddy_alloc(shared, BUDDY_ORDER_MAX, &first), KVA_OK);
    assert_int_equal(buddy_alloc(shared, 0, &first), KVA_ENOSPC);
    buddy_destroy(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_has_one_owner),       cmocka_unit_test(all_blocks_merge_after_frees),
        cmocka_unit_test(wrong_frees_are_refused),     cmocka_unit_test(wrong_requests_are_refused),
        cmocka_unit_test(threads_share_one_allocator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
