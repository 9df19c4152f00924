/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Mixed traffic from 2 to 64 threads on one space, with random yields, checked by ownership stamps
 * (stamps.h). Most ranges are freed by another thread than the one that allocated them. Small ranges leave
 * the space and come back. The space is small enough to fill up now and then, and lies at another place in
 * each run (common/place.h).
 */
#include "stamps.h"

#include <kva/deferred.h>
#include <kva/evict.h>
#include <kva/ranges.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../ports/test/yielding.h"
#include "base/arith.h"
#include "common/place.h"

enum { QUANTA = 8192, HELD = 48, EXCHANGE = 64, THREADS_MOST = 64 };

/** A range, and the thread that stamped it. stamp 0: none. */
struct held {
    uint64_t start;
    uint64_t last;
    uint16_t stamp;
};

struct crowd {
    struct kva_space space;
    struct kva_threads threads;
    struct test_place place;
    struct stamps stamps;
    uint64_t operations; /* of each thread */
    pthread_mutex_t exchange_lock;
    struct held exchange[EXCHANGE];
    _Atomic uint64_t count[24]; /* successes by kind */
    _Atomic uint64_t full;
};

struct worker {
    struct crowd *crowd;
    struct test_rng rng;
    struct held held[HELD];
    struct held absent; /* a range that this thread has removed from the space */
    uint16_t stamp;
    pthread_t thread;
};

static void on_flush(void *context, uint64_t start, uint64_t last)
{
    struct crowd *crowd = context;
    struct kva_segment segment;

    stamps_flushed(&crowd->stamps, start, last);
    must(kva_find(&crowd->space, start, &segment) == KVA_OK);
    must(segment.state ==
         KVA_DEFERRED); /* the covering range starts with a deferred one, until this returns */
    must(kva_free(&crowd->space, start) == KVA_EREENTRY);
}

static bool give_nothing(void *context, struct kva_space *space, const struct kva_request *request)
{
    struct kva_segment segment;

    (void)context;
    (void)request;
    must(kva_first(space, &segment) == KVA_OK);
    return false;
}

static void *owner_of(uint64_t start)
{
    return (void *)(uintptr_t)(start >> 4);
}

/** A held range must be found as it is, whatever the other threads do. */
static void look_at(struct crowd *crowd, const struct held *held)
{
    struct kva_segment segment;

    must(kva_find(&crowd->space, held->last, &segment) == KVA_OK);
    must(segment.state == KVA_BUSY);
    must(segment.start == held->start);
    must(segment.last == held->last);
}

static void took(struct worker *worker, struct held *held, uint64_t start, uint64_t quanta)
{
    held->start = start;
    held->last = start + (quanta * worker->crowd->place.quantum - 1);
    held->stamp = worker->stamp;
    stamps_change(&worker->crowd->stamps, start, held->last, 0, worker->stamp);
    look_at(worker->crowd, held);
}

/** Sizes: mostly small, some of a few hundred quanta, now and then a large part of the space. */
static uint64_t some_quanta(struct worker *worker)
{
    if (test_one_in(&worker->rng, 64))
        return 1 + test_below(&worker->rng, QUANTA / 2);
    return 1 + test_below(&worker->rng, test_one_in(&worker->rng, 4) ? 300 : 8);
}

enum kind {
    ALLOC,
    ALLOC_HIGH,
    RESERVE,
    FREE,
    DEFER,
    RESIZE,
    FREE_RANGE,
    FLUSH,
    LOOK,
    CLEAR,
    OVER,
    SPLIT_AND_JOIN,
    SET_OWNER,
    MOVE,
    EVICT,
    REMOVE,
    WALK,
    KINDS
};

static void counted(struct crowd *crowd, enum kind kind)
{
    atomic_fetch_add_explicit(&crowd->count[kind], 1, memory_order_relaxed);
}

static void alloc(struct worker *worker, struct held *held, enum kind kind)
{
    struct crowd *crowd = worker->crowd;
    uint64_t quanta = some_quanta(worker);
    struct kva_request request = kva_request_of(quanta * crowd->place.quantum);
    uint64_t start;

    if (kind == ALLOC_HIGH) {
        request.policy = KVA_HIGHEST;
        request.align = crowd->place.quantum << test_below(&worker->rng, 5);
    }
    enum kva_status status = kva_alloc(&crowd->space, &request, &start);
    if (status == KVA_OK) {
        took(worker, held, start, quanta);
        counted(crowd, kind);
    } else {
        must(status == KVA_ENOSPC);
        atomic_fetch_add_explicit(&crowd->full, 1, memory_order_relaxed);
    }
}

static void reserve(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    uint64_t quanta = 1 + test_below(&worker->rng, 16);
    const struct test_place *place = &crowd->place;
    uint64_t start = place->first + test_below(&worker->rng, QUANTA - quanta + 1) * place->quantum;
    enum kva_status status =
        kva_reserve(&crowd->space, start, quanta * place->quantum, owner_of(start), NULL);

    must(status == KVA_OK || status == KVA_EEXIST || status == KVA_ERANGE); /* part of it may be absent */
    if (status == KVA_OK) {
        took(worker, held, start, quanta);
        counted(crowd, RESERVE);
    }
}

static void give(struct worker *worker, struct held *held, enum kind kind)
{
    struct crowd *crowd = worker->crowd;

    look_at(crowd, held);
    stamps_change(&crowd->stamps, held->start, held->last, held->stamp, kind == DEFER ? STAMP_DEFERRED : 0);
    uint64_t bytes = held->last - held->start + 1;
    must((kind == DEFER    ? kva_free_deferred(&crowd->space, held->start)
          : bytes / 16 % 2 ? kva_free_sized(&crowd->space, held->start, bytes)
                           : kva_free(&crowd->space, held->start)) == KVA_OK);
    held->stamp = 0;
    counted(crowd, kind);
}

static void resize(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    uint64_t quantum = crowd->place.quantum;
    uint64_t quanta = 1 + test_below(&worker->rng, min_u64(15, (UINT64_MAX - held->start) / quantum) + 1);
    uint64_t last = held->start + (quanta * quantum - 1);

    if (last < held->last)
        stamps_change(&crowd->stamps, last + 1, held->last, held->stamp, 0);
    enum kva_status status = kva_resize(&crowd->space, held->start, quanta * quantum);
    must(status == KVA_OK || (status == KVA_ENOSPC && last > held->last));
    if (status != KVA_OK)
        return;
    if (last > held->last)
        stamps_change(&crowd->stamps, held->last + 1, last, 0, held->stamp);
    held->last = last;
    counted(crowd, RESIZE);
}

/** Free the head of a range. */
static void free_range(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    uint64_t quanta = (held->last - held->start) / crowd->place.quantum + 1;
    uint64_t start = held->start;

    if (quanta < 2)
        return;
    uint64_t head = crowd->place.quantum * (1 + test_below(&worker->rng, quanta - 1));
    held->start += head;
    stamps_change(&crowd->stamps, start, held->start - 1, held->stamp, 0);
    uint64_t bytes = head;
    bool clears = test_one_in(&worker->rng, 2);
    must((clears ? kva_clear(&crowd->space, start, head, &bytes)
                 : kva_free_range(&crowd->space, start, head)) == KVA_OK);
    must(bytes == head);
    look_at(crowd, held);
    counted(crowd, clears ? CLEAR : FREE_RANGE);
}

/** Split a range in two, and join it again. */
static void split_and_join(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    uint64_t quanta = (held->last - held->start) / crowd->place.quantum + 1;
    struct held half = *held;

    if (quanta < 2)
        return;
    half.start += (1 + test_below(&worker->rng, quanta - 1)) * crowd->place.quantum;
    must(kva_split(&crowd->space, half.start) == KVA_OK);
    look_at(crowd, &half);
    must(kva_join(&crowd->space, held->start) == KVA_OK);
    look_at(crowd, held);
    counted(crowd, SPLIT_AND_JOIN);
}

/** Reserve a range over itself, or set another owner. */
static void rename_range(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    uint64_t bytes = held->last - held->start + 1;
    uint64_t busy = 0;

    if (test_one_in(&worker->rng, 2)) {
        must(kva_set_owner(&crowd->space, held->start, worker) == KVA_OK);
        counted(crowd, SET_OWNER);
    } else {
        must(kva_reserve_over(&crowd->space, held->start, bytes, worker, &busy) == KVA_OK);
        must(busy == bytes);
        counted(crowd, OVER);
    }
    look_at(crowd, held);
}

/** Move to any place. The stamps are cleared before the call and set after it, because only then the range
 *  is ours. */
static void move(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    const struct test_place *place = &crowd->place;
    uint64_t quanta = (held->last - held->start) / place->quantum + 1;
    uint64_t to = place->first + test_below(&worker->rng, QUANTA - quanta + 1) * place->quantum;

    stamps_change(&crowd->stamps, held->start, held->last, held->stamp, 0);
    enum kva_status status = kva_move(&crowd->space, held->start, to, NULL);
    must(status == KVA_OK || status == KVA_EEXIST || status == KVA_ERANGE);
    if (status == KVA_OK) {
        held->start = to;
        held->last = to + (quanta * place->quantum - 1);
        counted(crowd, MOVE);
    }
    stamps_change(&crowd->stamps, held->start, held->last, 0, held->stamp);
    look_at(crowd, held);
}

/** Evict a range for a slightly longer one, if there is room beside it that no other thread takes
 *  meanwhile. */
static void evict(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    uint64_t quantum = crowd->place.quantum;
    uint64_t quanta = (held->last - held->start) / quantum + 2;
    struct kva_request request = kva_request_of(quanta * quantum);
    struct kva_candidate candidate;
    struct kva_eviction eviction;
    uint64_t start;

    must(kva_evict_begin(&crowd->space, &request, &eviction) == KVA_OK);
    enum kva_status status = kva_evict_add(&eviction, &candidate, held->start);
    must(status == KVA_OK || status == KVA_ENOSPC);
    if (status != KVA_OK || kva_evict_first(&eviction) != &candidate)
        return;
    stamps_change(&crowd->stamps, held->start, held->last, held->stamp, 0);
    status = kva_evict_finish(&eviction, &start);
    must(status == KVA_OK || status == KVA_EAGAIN);
    if (status == KVA_OK) {
        took(worker, held, start, quanta);
        counted(crowd, EVICT);
    } else {
        stamps_change(&crowd->stamps, held->start, held->last, 0, held->stamp);
        look_at(crowd, held);
    }
}

/** Remove a small range from the space, or add the removed one again. */
static void change_regions(struct worker *worker)
{
    struct crowd *crowd = worker->crowd;
    const struct test_place *place = &crowd->place;
    struct held *absent = &worker->absent;
    uint64_t quanta = 1 + test_below(&worker->rng, 8);
    struct kva_segment segment;

    if (absent->stamp != 0) {
        must(kva_find(&crowd->space, absent->start, &segment) == KVA_ENOENT);
        stamps_change(&crowd->stamps, absent->start, absent->last, absent->stamp, 0);
        must(kva_space_add(&crowd->space, absent->start, absent->last - absent->start + 1) == KVA_OK);
        absent->stamp = 0;
        return;
    }
    uint64_t start = place->first + test_below(&worker->rng, QUANTA - quanta + 1) * place->quantum;
    uint64_t bytes = quanta * place->quantum;
    enum kva_status status = kva_space_remove(&crowd->space, start, bytes);
    must(status == KVA_OK || status == KVA_EBUSY || status == KVA_ERANGE);
    if (status != KVA_OK)
        return;
    *absent = (struct held){start, start + (bytes - 1), worker->stamp};
    stamps_change(&crowd->stamps, start, absent->last, 0, worker->stamp);
    counted(crowd, REMOVE);
}

/** Whatever the other threads do, each step moves in its direction. */
static void walk(struct worker *worker)
{
    struct kva_space *space = &worker->crowd->space;
    struct kva_segment segment;
    struct kva_segment next;

    must(kva_last(space, &segment) == KVA_OK);
    for (next = segment; kva_prev(space, &next) == KVA_OK && !test_one_in(&worker->rng, 8); segment = next)
        must(next.start < segment.start);
    if (kva_first_hole(space, 1, &segment) != KVA_OK)
        return;
    next = segment;
    while (kva_next_hole(space, worker->crowd->place.quantum, &next) == KVA_OK &&
           !test_one_in(&worker->rng, 8)) {
        must(next.last > segment.last && next.state == KVA_FREE);
        segment = next;
    }
    counted(worker->crowd, WALK);
}

/** The calls of kva/ranges.h and kva/evict.h. */
static void manage(struct worker *worker, struct held *held)
{
    switch (test_below(&worker->rng, 8)) {
    case 0:
    case 1:
        split_and_join(worker, held);
        break;
    case 2:
    case 3:
        rename_range(worker, held);
        break;
    case 4:
    case 5:
        move(worker, held);
        break;
    case 6:
        evict(worker, held);
        break;
    default:
        walk(worker);
        break;
    }
}

/** Exchange a range for another thread's. */
static void swap(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    struct held *other = &crowd->exchange[test_below(&worker->rng, EXCHANGE)];
    struct held mine = *held;

    must(pthread_mutex_lock(&crowd->exchange_lock) == 0);
    *held = *other;
    *other = mine;
    must(pthread_mutex_unlock(&crowd->exchange_lock) == 0);
}

static void act(struct worker *worker)
{
    struct crowd *crowd = worker->crowd;
    struct held *held = &worker->held[test_below(&worker->rng, HELD)];
    uint64_t which = test_below(&worker->rng, 100);
    struct kva_stats stats;

    if (held->stamp == 0) {
        if (which < 88)
            alloc(worker, held, which < 70 ? ALLOC : ALLOC_HIGH);
        else if (which < 98)
            reserve(worker, held);
        else
            change_regions(worker);
    } else if (which < 60) {
        swap(worker, held);
        if (held->stamp != 0)
            give(worker, held, which < 40 ? FREE : DEFER);
    } else if (which < 70) {
        manage(worker, held);
    } else if (which < 80) {
        resize(worker, held);
    } else if (which < 88) {
        free_range(worker, held);
    } else if (which < 96) {
        look_at(crowd, held);
        counted(crowd, LOOK);
    } else if (which < 98) {
        must(kva_flush(&crowd->space) == KVA_OK);
        counted(crowd, FLUSH);
    } else {
        must(kva_preload(&crowd->space, 4) == KVA_OK);
        must(kva_stats_read(&crowd->space, &stats) == KVA_OK);
    }
}

static void *work(void *context)
{
    struct worker *worker = context;

    for (uint64_t i = 0; i < worker->crowd->operations; i++)
        act(worker);
    for (size_t i = 0; i < HELD; i++) {
        if (worker->held[i].stamp != 0)
            give(worker, &worker->held[i], i % 2 == 0 ? FREE : DEFER);
    }
    if (worker->absent.stamp != 0)
        change_regions(worker);
    return NULL;
}

static void expect_empty(struct crowd *crowd)
{
    struct kva_stats stats;

    assert_int_equal(kva_space_check(&crowd->space, NULL), KVA_OK);
    assert_int_equal(kva_flush(&crowd->space), KVA_OK);
    assert_int_equal(kva_pools_drain(&crowd->space), KVA_OK);
    assert_int_equal(kva_space_check(&crowd->space, NULL), KVA_OK);
    assert_int_equal(kva_stats_read(&crowd->space, &stats), KVA_OK);
    check_that(stats.free_bytes == test_place_bytes(&crowd->place, QUANTA),
               "%" PRIu64 " bytes free of %" PRIu64 " expected; %" PRIu64 " busy, %" PRIu64
               " deferred, %" PRIu64 " pooled",
               stats.free_bytes, test_place_bytes(&crowd->place, QUANTA), stats.busy_bytes,
               stats.deferred_bytes, stats.pooled_bytes);
    assert_int_equal(stats.free_segments, 1);
    assert_int_equal(stats.busy_segments + stats.deferred_segments + stats.pooled_segments, 0);
}

static struct kva_config config_of(struct crowd *crowd, const struct kva_engine *engine)
{
    struct kva_config config = {.first = crowd->place.first,
                                .last = crowd->place.first + (QUANTA * crowd->place.quantum - 1),
                                .quantum = crowd->place.quantum,
                                .engine = engine,
                                .memory = kva_memory_host(),
                                .threads = &crowd->threads,
                                .flush = on_flush,
                                .flush_context = crowd,
                                .deferred_limit = 600 * crowd->place.quantum};
    return config;
}

/** At a place that the seed chooses. The pools may hold `pool_quanta` quanta. */
static void run(const char *name, const struct kva_engine *engine, uint64_t pool_quanta, unsigned threads,
                uint64_t operations)
{
    static uint64_t runs;
    static struct worker workers[THREADS_MOST];
    static struct crowd crowd;
    struct kva_reclaim reclaim = {.callback = give_nothing};
    uint64_t sum = 0;

    memset(&crowd, 0, sizeof(crowd));
    memset(workers, 0, sizeof(workers));
    /* When the whole structure is checked after each change, fewer operations suffice. */
    crowd.operations = test_scaled(operations / threads / (KVA_CHECK_LEVEL >= 3 ? 4 : 1));
    crowd.threads = kva_yielding_threads(8, 3);
    struct test_rng places = test_rng_of(70 + runs++);
    crowd.place = test_place(test_below(&places, TEST_PLACES), QUANTA);
    crowd.stamps = stamps_make(crowd.place.first, crowd.place.quantum, QUANTA);
    assert_int_equal(pthread_mutex_init(&crowd.exchange_lock, NULL), 0);
    struct kva_config config = config_of(&crowd, engine);
    config.pool_bytes = pool_quanta * crowd.place.quantum;
    assert_int_equal(kva_space_init(&crowd.space, &config), KVA_OK);
    assert_int_equal(kva_reclaim_add(&crowd.space, &reclaim), KVA_OK);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){
            .crowd = &crowd, .rng = test_rng_of(1000 * threads + i), .stamp = (uint16_t)(i + 1)};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < threads; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (size_t i = 0; i < EXCHANGE; i++) {
        if (crowd.exchange[i].stamp != 0)
            give(&workers[0], &crowd.exchange[i], FREE);
    }
    expect_empty(&crowd);
    stamps_drop(&crowd.stamps);
    for (int kind = 0; kind < KINDS; kind++)
        sum += crowd.count[kind];
    print_message("%s, %u threads, from %#" PRIx64 " at quantum %#" PRIx64 ": %" PRIu64
                  " operations, %" PRIu64 " times full, %" PRIu64 " flushes\n",
                  name, threads, crowd.place.first, crowd.place.quantum, sum, (uint64_t)crowd.full,
                  crowd.space.flushes);
    assert_int_equal(kva_reclaim_remove(&crowd.space, &reclaim), KVA_OK);
    assert_int_equal(kva_space_fini(&crowd.space), KVA_OK);
    assert_int_equal(pthread_mutex_destroy(&crowd.exchange_lock), 0);
}

static void from_2_to_64_threads(void **state)
{
    static const unsigned counts[] = {2, 3, 8, 64};
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
            run(test_engine_name(e), engine, 0, counts[i], 40000);
    }
}

static void the_same_with_pools(void **state)
{
    static const unsigned counts[] = {2, 8, 64};
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
            run(test_engine_name(e), engine, (i + 1) * 300, counts[i], 40000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_2_to_64_threads),
        cmocka_unit_test(the_same_with_pools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
