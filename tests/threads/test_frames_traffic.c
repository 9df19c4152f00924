/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Mixed traffic from 2 to 16 threads on one frame set, with random yields, checked by ownership stamps
 * (stamps.h). Most runs are freed by another thread than the one that allocated them. The set is small enough
 * to fill up now and then. Zones begin and end inside blocks, two of them share a block, and there are holes.
 * `kva test frames` does the same at its own scale.
 */
#include "stamps.h"

#include <kva/frames.h>
#include <kva/threads.h>

#include <pthread.h>
#include <string.h>

#include "../../ports/test/yielding.h"

enum { FRAMES = 4096, EDGE = 5, HELD = 40, EXCHANGE = 64, THREADS_MOST = 16, HOLES = 3, ZONES = 3 };

/** A run, and the thread that stamped it. stamp 0: none. STAMP_DEFERRED: offline. */
struct held {
    uint64_t first;
    uint64_t count;
    uint16_t stamp;
};

struct crowd {
    struct kva_frames *frames;
    struct kva_threads threads;
    struct stamps stamps;
    uint64_t base; /* the number of the first frame, less EDGE */
    struct kva_frames_zone zone[ZONES];
    struct kva_frames_range hole[HOLES];
    uint64_t absent;
    unsigned block_order;
    uint64_t operations; /* of each thread */
    pthread_mutex_t exchange_lock;
    struct held exchange[EXCHANGE];
    _Atomic uint64_t count[16]; /* successes by kind */
    _Atomic uint64_t full;
};

struct worker {
    struct crowd *crowd;
    struct test_rng rng;
    struct held held[HELD];
    uint16_t stamp;
    pthread_t thread;
};

enum kind {
    ALLOC,
    ALLOC_MANY,
    RESERVE,
    FREE,
    FREE_MANY,
    FREE_RANGE,
    OFFLINE,
    ONLINE,
    LOOK,
    WRONG,
    WHOLE,
    KINDS
};

static void counted(struct crowd *crowd, enum kind kind)
{
    atomic_fetch_add_explicit(&crowd->count[kind], 1, memory_order_relaxed);
}

static void took(struct worker *worker, struct held *held, uint64_t first, uint64_t count)
{
    *held = (struct held){.first = first, .count = count, .stamp = worker->stamp};
    stamps_change(&worker->crowd->stamps, first, first + (count - 1), 0, worker->stamp);
}

/** Called before the free: the next thread that takes the frames must find no stamp. */
static void gave(struct crowd *crowd, struct held *held)
{
    stamps_change(&crowd->stamps, held->first, held->first + (held->count - 1), held->stamp, 0);
    held->stamp = 0;
}

/* ------------------------------------------------------------------------------------------------- taking */

/** The zone of a frame. */
static const struct kva_frames_zone *zone_at(const struct crowd *crowd, uint64_t frame)
{
    for (size_t i = 0; i < ZONES; i++) {
        if (frame >= crowd->zone[i].start && frame < crowd->zone[i].end)
            return &crowd->zone[i];
    }
    return NULL;
}

/** By order, mostly small; or up to three blocks of consecutive frames; a quarter of all in a window. */
static struct kva_frames_request some_request(struct worker *worker)
{
    struct crowd *crowd = worker->crowd;
    struct test_rng *rng = &worker->rng;
    struct kva_frames_request request = {.type = (enum kva_frames_type)test_below(rng, 2)};

    if (test_one_in(rng, 6)) {
        request.count = 1 + test_below(rng, UINT64_C(3) << crowd->block_order);
        request.align = UINT64_C(1) << test_below(rng, 4);
    } else {
        request.order = (unsigned)test_below(rng, test_one_in(rng, 8) ? crowd->block_order + 2 : 4);
    }
    if (test_one_in(rng, 4)) {
        request.min = crowd->base + EDGE + test_below(rng, FRAMES / 2 - EDGE);
        request.max = request.min + test_below(rng, FRAMES / 2);
    }
    request.node = (unsigned)test_below(rng, 2);
    request.flags = test_one_in(rng, 8) ? KVA_FRAMES_THIS_NODE : 0;
    return request;
}

static uint64_t frames_of(const struct kva_frames_request *request)
{
    return request->count != 0 ? request->count : UINT64_C(1) << request->order;
}

static void expect_as_asked(const struct crowd *crowd, const struct kva_frames_request *request,
                            uint64_t first)
{
    uint64_t align = request->align != 0 ? request->align : UINT64_C(1) << request->order;
    uint64_t last = first + (frames_of(request) - 1);
    const struct kva_frames_zone *zone = zone_at(crowd, first);

    must(zone != NULL && last < zone->end);
    must((first & (align - 1)) == 0);
    must((request->min == 0 && request->max == 0) || (first >= request->min && last <= request->max));
    must(request->flags == 0 || zone->node == request->node);
}

static void alloc(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    struct kva_frames_request request = some_request(worker);
    uint64_t first;
    enum kva_status status = kva_frames_alloc(crowd->frames, &request, &first);

    if (status == KVA_OK) {
        took(worker, held, first, frames_of(&request));
        expect_as_asked(crowd, &request, first);
        counted(crowd, ALLOC);
    } else {
        must(status == KVA_ENOSPC);
        atomic_fetch_add_explicit(&crowd->full, 1, memory_order_relaxed);
    }
}

/** The number of adjacent slots from this one on, at most eight, that are all empty, or all hold runs. */
static size_t row_of_slots(const struct worker *worker, const struct held *held, bool empty)
{
    size_t at = (size_t)(held - worker->held), count = 0;

    while (count < 8 && at + count < HELD &&
           (empty ? held[count].stamp == 0 : held[count].stamp != 0 && held[count].stamp != STAMP_DEFERRED))
        count++;
    return count;
}

static void alloc_many(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    struct kva_frames_request request = some_request(worker);
    size_t runs = row_of_slots(worker, held, true);
    uint64_t firsts[8];
    enum kva_status status = kva_frames_alloc_many(crowd->frames, &request, runs, firsts);

    must(status == KVA_OK || status == KVA_ENOSPC);
    for (size_t i = 0; status == KVA_OK && i < runs; i++) {
        took(worker, &held[i], firsts[i], frames_of(&request));
        expect_as_asked(crowd, &request, firsts[i]);
    }
    if (status == KVA_OK)
        counted(crowd, ALLOC_MANY);
}

/** Reserve a range, or take it offline. */
static void claim(struct worker *worker, struct held *held, enum kind kind)
{
    struct crowd *crowd = worker->crowd;
    uint64_t count = 1 + test_below(&worker->rng, test_one_in(&worker->rng, 4) ? 70 : 4);
    uint64_t first = crowd->base + EDGE + test_below(&worker->rng, FRAMES - EDGE - count);
    uint64_t obstacle = first;
    enum kva_status busy = kind == RESERVE ? KVA_EEXIST : KVA_EBUSY;
    enum kva_status status = kind == RESERVE
                                 ? kva_frames_reserve(crowd->frames, first, count, KVA_MOVABLE, &obstacle)
                                 : kva_frames_offline(crowd->frames, first, count, &obstacle);

    must(status == KVA_OK || status == busy || status == KVA_ERANGE);
    must(obstacle - first < count);
    if (status != KVA_OK)
        return;
    took(worker, held, first, count);
    if (kind == OFFLINE) {
        stamps_change(&crowd->stamps, first, first + (count - 1), worker->stamp, STAMP_DEFERRED);
        held->stamp = STAMP_DEFERRED;
    }
    counted(crowd, kind);
}

/* ------------------------------------------------------------------------------------------------ freeing */

static void give(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    bool online = held->stamp == STAMP_DEFERRED;

    gave(crowd, held);
    if (online)
        must(kva_frames_online(crowd->frames, held->first, held->count, NULL) == KVA_OK);
    else
        must(kva_frames_free(crowd->frames, held->first) == KVA_OK);
    counted(crowd, online ? ONLINE : FREE);
}

static void give_many(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    size_t runs = row_of_slots(worker, held, false), done;
    uint64_t firsts[8];

    for (size_t i = 0; i < runs; i++) {
        firsts[i] = held[i].first;
        gave(crowd, &held[i]);
    }
    must(kva_frames_free_many(crowd->frames, firsts, runs, &done) == KVA_OK);
    must(done == runs);
    counted(crowd, FREE_MANY);
}

/** The tail of a run, or its head. */
static void give_part(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    struct held part = *held;

    if (held->count < 2)
        return;
    uint64_t head = 1 + test_below(&worker->rng, held->count - 1);
    if (test_one_in(&worker->rng, 2)) {
        part.count = head;
        held->first += head;
        held->count -= head;
    } else {
        part.first += head;
        part.count -= head;
        held->count = head;
    }
    uint64_t count = part.count;
    gave(crowd, &part);
    must(kva_frames_free_range(crowd->frames, part.first, count) == KVA_OK);
    counted(crowd, FREE_RANGE);
}

/* ---------------------------------------------------------------------------------- looking and misuse */

/** A held run must be found as it is, whatever the other threads do. */
static void look_at(struct worker *worker, const struct held *held)
{
    struct crowd *crowd = worker->crowd;
    uint64_t frame = held->first + test_below(&worker->rng, held->count);
    struct kva_frames_found found;

    must(kva_frames_find(crowd->frames, frame, &found) == KVA_OK);
    must(&crowd->zone[found.zone] == zone_at(crowd, frame));
    must(found.node == crowd->zone[found.zone].node);
    if (held->stamp == STAMP_DEFERRED) {
        must(found.state == KVA_FRAMES_ABSENT);
    } else {
        must(found.state == KVA_FRAMES_USED);
        must(found.first == held->first && found.count == held->count);
    }
    counted(crowd, LOOK);
}

/** Free from inside a run, or beyond its end; free frames that are offline. */
static void do_wrong(struct worker *worker, const struct held *held)
{
    struct kva_frames *frames = worker->crowd->frames;
    uint64_t inside = held->first + test_below(&worker->rng, held->count);
    uint64_t beyond = held->count - (inside - held->first) + 1;
    bool wraps = beyond > UINT64_MAX - inside;

    if (held->stamp == STAMP_DEFERRED) {
        must(kva_frames_free(frames, inside) == KVA_EUNKNOWN);
        must(kva_frames_free_range(frames, inside, 1) == KVA_EUNKNOWN);
    } else {
        must(inside == held->first || kva_frames_free(frames, inside) == KVA_EINTERIOR);
        must(kva_frames_free_range(frames, inside, beyond) == (wraps ? KVA_EWRAP : KVA_ERANGE));
        must(kva_frames_online(frames, inside, 1, NULL) == KVA_EEXIST);
    }
    counted(worker->crowd, WRONG);
}

static void look_at_all(struct crowd *crowd, struct test_rng *rng)
{
    struct kva_frames_stats stats;
    size_t zone = (size_t)test_below(rng, ZONES);

    if (test_one_in(rng, 4))
        must(kva_frames_check(crowd->frames, NULL) == KVA_OK);
    if (test_one_in(rng, 4))
        must(kva_frames_drain(crowd->frames) == KVA_OK);
    must(kva_frames_stats_read(crowd->frames, zone, &stats) == KVA_OK);
    must(stats.free_frames + stats.used_frames + stats.absent_frames ==
         crowd->zone[zone].end - crowd->zone[zone].start);
    counted(crowd, WHOLE);
}

/** Exchange a run for another thread's. */
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
    struct held *held = &worker->held[test_below(&worker->rng, HELD)];
    uint64_t which = test_below(&worker->rng, 200);

    if (which == 0) {
        look_at_all(worker->crowd, &worker->rng);
    } else if (held->stamp == 0) {
        if (which < 160)
            alloc(worker, held);
        else if (which < 180)
            alloc_many(worker, held);
        else
            claim(worker, held, which < 190 ? RESERVE : OFFLINE);
    } else if (which < 100) {
        swap(worker, held);
        if (held->stamp != 0)
            give(worker, held);
    } else if (which < 110) {
        give_many(worker, held);
    } else if (which < 140 && held->stamp != STAMP_DEFERRED) {
        give_part(worker, held);
    } else if (which < 170) {
        do_wrong(worker, held);
    } else {
        look_at(worker, held);
    }
}

static void *work(void *context)
{
    struct worker *worker = context;

    for (uint64_t i = 0; i < worker->crowd->operations; i++)
        act(worker);
    for (size_t i = 0; i < HELD; i++) {
        if (worker->held[i].stamp != 0)
            give(worker, &worker->held[i]);
    }
    return NULL;
}

/* --------------------------------------------------------------------------------------------------- runs */

/** Zones [EDGE, 1000), [1000, 2100) on node 1, [2100, FRAMES), and holes, one of which lies in two zones. */
static void make_set(struct crowd *crowd, unsigned block_order)
{
    uint64_t base = crowd->base;
    struct kva_frames_config config = {.zones = crowd->zone,
                                       .zone_count = ZONES,
                                       .holes = crowd->hole,
                                       .hole_count = HOLES,
                                       .block_order = block_order,
                                       .memory = kva_memory_host(),
                                       .threads = &crowd->threads};

    crowd->block_order = block_order;
    crowd->zone[0] = (struct kva_frames_zone){.start = base + EDGE, .end = base + 1000};
    crowd->zone[1] = (struct kva_frames_zone){.start = base + 1000, .end = base + 2100, .node = 1};
    crowd->zone[2] = (struct kva_frames_zone){.start = base + 2100, .end = base + FRAMES};
    crowd->hole[0] = (struct kva_frames_range){.first = base + EDGE, .count = 7};
    crowd->hole[1] = (struct kva_frames_range){.first = base + 990, .count = 20};
    crowd->hole[2] = (struct kva_frames_range){.first = base + 3000, .count = 300};
    crowd->absent = 327;
    assert_int_equal(kva_frames_create(&config, &crowd->frames), KVA_OK);
}

static void expect_as_new(struct crowd *crowd)
{
    struct kva_frames_stats stats;
    struct kva_frames_request request = {.order = 0};
    uint64_t free_frames = FRAMES - EDGE - crowd->absent, first;

    assert_int_equal(kva_frames_check(crowd->frames, NULL), KVA_OK);
    assert_int_equal(kva_frames_stats_read(crowd->frames, KVA_FRAMES_ALL_ZONES, &stats), KVA_OK);
    check_that(stats.free_frames == free_frames && stats.used_frames == 0 &&
                   stats.absent_frames == crowd->absent,
               "%" PRIu64 " free, %" PRIu64 " used, %" PRIu64 " absent; expected %" PRIu64 ", 0, %" PRIu64,
               stats.free_frames, stats.used_frames, stats.absent_frames, free_frames, crowd->absent);
    for (uint64_t i = 0; i < free_frames; i++)
        assert_int_equal(kva_frames_alloc(crowd->frames, &request, &first), KVA_OK);
    assert_int_equal(kva_frames_alloc(crowd->frames, &request, &first), KVA_ENOSPC);
    assert_int_equal(kva_frames_check(crowd->frames, NULL), KVA_OK);
}

static void print_run(const struct crowd *crowd, unsigned threads)
{
    uint64_t sum = 0;

    for (int kind = 0; kind < KINDS; kind++)
        sum += crowd->count[kind];
    print_message("%u threads, from %#" PRIx64 " in blocks of %u: %" PRIu64 " operations, %" PRIu64
                  " times full\n",
                  threads, crowd->base + EDGE, 1U << crowd->block_order, sum, (uint64_t)crowd->full);
}

static void run(unsigned threads, unsigned block_order, uint64_t base, uint64_t operations)
{
    static struct worker workers[THREADS_MOST];
    static struct crowd crowd;

    memset(&crowd, 0, sizeof(crowd));
    memset(workers, 0, sizeof(workers));
    crowd.operations = test_scaled(operations / threads);
    crowd.threads = kva_yielding_threads(8, 3);
    crowd.base = base;
    crowd.stamps = stamps_make(base, 1, FRAMES);
    assert_int_equal(pthread_mutex_init(&crowd.exchange_lock, NULL), 0);
    make_set(&crowd, block_order);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.crowd = &crowd,
                                     .rng = test_rng_of(1000 * block_order + 100 * threads + i),
                                     .stamp = (uint16_t)(i + 1)};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < threads; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (size_t i = 0; i < EXCHANGE; i++) {
        if (crowd.exchange[i].stamp != 0)
            give(&workers[0], &crowd.exchange[i]);
    }
    print_run(&crowd, threads);
    for (int kind = 0; test_stride() == 1 && kind < KINDS; kind++)
        check_that(crowd.count[kind] > 0, "operation %d never succeeded", kind);
    expect_as_new(&crowd);
    stamps_drop(&crowd.stamps);
    assert_int_equal(kva_frames_destroy(crowd.frames), KVA_OK);
    assert_int_equal(pthread_mutex_destroy(&crowd.exchange_lock), 0);
}

static void from_2_to_16_threads(void **state)
{
    static const unsigned counts[] = {2, 3, 8, 16};

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        run(counts[i], 6, UINT64_C(1) << 20, 100000);
}

/** Small blocks have other bookkeeping; the last frame has the largest number. */
static void blocks_of_all_sizes(void **state)
{
    static const unsigned orders[] = {1, 2, 3, 5, 9};

    (void)state;
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
        run(4, orders[i], KVA_NO_FRAME - FRAMES, 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_2_to_16_threads),
        cmocka_unit_test(blocks_of_all_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
