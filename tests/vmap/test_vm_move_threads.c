/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Movable frames and many threads: some allocate, map, store, load, pin, unmap and free, while others compact
 * without a pause.
 *
 * Every page carries its holder's stamp at both ends, and every holder changes it all the time. This finds
 * stores that are lost while a frame moves, loads from another frame, and frames with two holders. The page
 * source is the host's (a program of many threads needs one that holds stores back), wrapped in the one for
 * tests, which knows what each page maps. If the host cannot hold stores back, only unmapped frames move.
 */
#define _GNU_SOURCE
#include "common/harness.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <kva/threads.h>
#include <kva/vmap.h>

#include "../../ports/test/failing_memory.h"
#include "../../ports/test/failing_pages.h"
#include "../../ports/test/yielding.h"
#include "../threads/stamps.h"

enum {
    WORKERS_MOST = 4,
    HELD = 12,
    FRAMES_MOST = 9,
    FRAMES = 8 * 512,
    SCATTERED = 2048,
    STORES = 20000,
    ROUNDS = 200
};

static size_t page;

struct stage {
    struct kva_vm *vm;
    struct kva_vm_frames *frames;
    struct kva_vm_config config;
    struct kva_threads threads;
    struct kva_failing_memory memory;
    struct kva_failing_pages pages;
};

static _Atomic uint64_t moves_begun;
static enum kva_status (*host_moves)(void *context, void *reservation, const struct kva_pages_move *move);

static enum kva_status count_move(void *context, void *reservation, const struct kva_pages_move *move)
{
    atomic_fetch_add(&moves_begun, 1);
    return host_moves(context, reservation, move);
}

static void begin(struct stage *stage, const struct kva_threads *threads)
{
    const struct kva_pages host = kva_pages_host(KVA_MECHANISM_BEST);
    const struct kva_vm_frames_config set = {.count = FRAMES, .movable = true};

    memset(stage, 0, sizeof *stage);
    page = (size_t)sysconf(_SC_PAGESIZE);
    stage->threads = *threads;
    stage->config.frames_part = 8 * FRAMES * (uint64_t)page;
    stage->config.reservation = 2 * stage->config.frames_part;
    stage->config.cpus = 3;
    stage->config.threads = &stage->threads;
    stage->config.memory = kva_failing_memory_init(&stage->memory);
    stage->config.pages = kva_failing_pages_init(&stage->pages, &host);
    stage->pages.allows_unnamed_maps = true;
    if (stage->config.pages.move) {
        host_moves = stage->config.pages.move;
        stage->config.pages.move = count_move;
    }
    atomic_store(&moves_begun, 0);
    assert_int_equal(kva_vm_create(&stage->config, &stage->vm), KVA_OK);
    assert_int_equal(kva_vm_frames_create(stage->vm, &set, &stage->frames), KVA_OK);
}

static void must_be_sound(const struct stage *stage)
{
    struct kva_fault fault = {.what = ""};

    if (kva_vm_check(stage->vm, &fault) != KVA_OK)
        stamps_stop(__FILE__, __LINE__, fault.what);
}

static void end_instance(struct stage *stage)
{
    must_be_sound(stage);
    assert_int_equal(kva_vm_destroy(stage->vm, NULL, NULL), KVA_OK);
    assert_int_equal(stage->memory.blocks, 0);
    assert_int_equal(stage->pages.reservations + stage->pages.frame_sets + stage->pages.tables, 0);
}

static void end(struct stage *stage)
{
    struct kva_frames_stats stats;

    must_be_sound(stage);
    assert_int_equal(kva_vm_frames_stats_read(stage->frames, &stats), KVA_OK);
    assert_int_equal(stats.used_frames, 0);
    assert_int_equal(stats.free_frames, FRAMES);
    assert_int_equal(kva_vm_frames_destroy(stage->frames), KVA_OK);
    end_instance(stage);
}

/** If the page source moves nothing, KVA_ENOENT is accepted: it has the same effect as "all is pinned". */
static bool compact(struct stage *stage, unsigned order, uint64_t most, struct kva_frames_compacted *done)
{
    enum kva_status status = kva_vm_frames_compact(stage->frames, order, most, done);

    must(status == KVA_OK || (status == KVA_ENOENT && !stage->config.pages.move));
    return status == KVA_OK;
}

/* ------------------------------------------------------------------------------------------ mixed traffic */

struct held {
    uint64_t number[FRAMES_MOST];
    size_t count; /* 0: the slot is empty */
    char *memory; /* NULL: not mapped */
    bool is_ram;
    bool is_pinned;
    uint64_t stamp;
};

struct crowd {
    struct stage stage;
    uint64_t operations; /* minimum for each worker */
    unsigned workers;    /* that have not ended */
    pthread_mutex_t lock;
    _Atomic bool is_over;
    _Atomic uint64_t stamps;
    _Atomic uint64_t moved;
    _Atomic uint64_t compactions;
};

struct worker {
    struct crowd *crowd;
    struct test_rng rng;
    struct held held[HELD];
};

/** ThreadSanitizer takes the mmap that maps a frame at its new place for a store to the whole range. It must
 *  not see loads and stores of frames that may move meanwhile. */
#define UNSEEN __attribute__((no_sanitize_thread, noinline))

UNSEEN static uint64_t load(const void *at)
{
    return *(const volatile uint64_t *)at;
}

UNSEEN static void store(void *at, uint64_t word)
{
    *(volatile uint64_t *)at = word;
}

static void stamp(struct worker *worker, struct held *held)
{
    held->stamp = 1 + atomic_fetch_add_explicit(&worker->crowd->stamps, 1, memory_order_relaxed);
    for (size_t i = 0; i < held->count; i++) {
        store(held->memory + i * page, held->stamp);
        store(held->memory + (i + 1) * page - sizeof held->stamp, held->stamp);
    }
}

static void verify(const struct held *held, uint64_t stamp)
{
    for (size_t i = 0; i < held->count; i++) {
        must(load(held->memory + i * page) == stamp);
        must(load(held->memory + (i + 1) * page - sizeof stamp) == stamp);
    }
}

static void map(struct worker *worker, struct held *held)
{
    const struct stage *stage = &worker->crowd->stage;
    void *memory;

    held->is_ram = test_one_in(&worker->rng, 2);
    must((held->is_ram
              ? kva_vm_map_ram(stage->vm, stage->frames, held->number, held->count, &memory)
              : kva_vm_map(stage->vm, stage->frames, held->number, held->count, 0, &memory)) == KVA_OK);
    held->memory = memory;
}

static void unpin(struct worker *worker, struct held *held)
{
    if (held->is_pinned)
        must(kva_vm_unpin(worker->crowd->stage.vm, held->memory, held->count * page) == KVA_OK);
    held->is_pinned = false;
}

static void unmap(struct worker *worker, struct held *held)
{
    struct kva_vm *vm = worker->crowd->stage.vm;

    verify(held, held->stamp);
    unpin(worker, held);
    must((held->is_ram ? kva_unmap_ram(vm, held->memory) : kva_vunmap(vm, held->memory)) == KVA_OK);
    held->memory = NULL;
}

static void take(struct worker *worker, struct held *held)
{
    struct stage *stage = &worker->crowd->stage;
    size_t count = 1 + (size_t)test_below(&worker->rng, FRAMES_MOST);
    enum kva_status status =
        test_one_in(&worker->rng, 3)
            ? kva_vm_frames_alloc_run(stage->frames, count, UINT64_C(1) << test_below(&worker->rng, 4),
                                      held->number)
            : kva_vm_frames_alloc(stage->frames, count, held->number);

    must(status == KVA_OK || status == KVA_ENOSPC);
    if (status != KVA_OK)
        return;
    held->count = count;
    map(worker, held);
    verify(held, 0); /* new frames read as zero */
    stamp(worker, held);
}

static void give(struct worker *worker, struct held *held)
{
    if (held->memory)
        unmap(worker, held);
    must(kva_vm_frames_free(worker->crowd->stage.frames, held->number, held->count) == KVA_OK);
    held->count = 0;
}

/** Many stores and loads without a call, so that frames move between them: no worker holds a lock then. */
static void play_stores(struct worker *worker, struct held *held)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        verify(held, held->stamp);
        stamp(worker, held);
    }
}

/** Data that the kernel writes to a pinned frame arrives. */
static void play_pinned(struct worker *worker, struct held *held)
{
    int ends[2];

    if (!held->is_pinned)
        must(kva_vm_pin(worker->crowd->stage.vm, held->memory, held->count * page) == KVA_OK);
    held->is_pinned = true;
    must(pipe(ends) == 0);
    for (size_t i = 0; i < held->count; i++) {
        const uint64_t other = ~held->stamp;
        must(write(ends[1], &other, sizeof other) == (ssize_t)sizeof other);
        must(read(ends[0], held->memory + i * page, sizeof other) == (ssize_t)sizeof other);
        must(load(held->memory + i * page) == other);
    }
    close(ends[0]);
    close(ends[1]);
    stamp(worker, held);
    if (!test_one_in(&worker->rng, 4))
        unpin(worker, held);
}

static void act(struct worker *worker)
{
    struct held *held = &worker->held[test_below(&worker->rng, HELD)];
    uint64_t which = test_below(&worker->rng, 10);

    if (held->count == 0) {
        take(worker, held);
    } else if (!held->memory) {
        if (which < 3) {
            give(worker, held);
            return;
        }
        map(worker, held);
        verify(held, held->stamp);
    } else if (which < 4) {
        play_stores(worker, held);
    } else if (which < 5) {
        play_pinned(worker, held);
    } else {
        which < 8 ? unmap(worker, held) : give(worker, held);
    }
}

/** On a busy machine the compacting threads may have run too rarely. */
static bool is_enough(struct crowd *crowd, uint64_t operations)
{
    return operations >= crowd->operations && atomic_load(&crowd->compactions) >= crowd->operations / 25;
}

static void leave(struct crowd *crowd)
{
    must(pthread_mutex_lock(&crowd->lock) == 0);
    if (--crowd->workers == 0)
        atomic_store(&crowd->is_over, true);
    must(pthread_mutex_unlock(&crowd->lock) == 0);
}

static void *work(void *context)
{
    struct worker *worker = context;

    for (uint64_t i = 0; !is_enough(worker->crowd, i); i++)
        act(worker);
    for (size_t i = 0; i < HELD; i++) {
        if (worker->held[i].count > 0)
            give(worker, &worker->held[i]);
    }
    leave(worker->crowd);
    return NULL;
}

/** Two maps of one frame: a value stored through one is loaded through the other, many times. */
static void *hammer(void *context)
{
    struct worker *worker = context;
    struct stage *stage = &worker->crowd->stage;

    for (uint64_t i = 0; i < worker->crowd->operations / 16; i++) {
        uint64_t number;
        if (kva_vm_frames_alloc(stage->frames, 1, &number) != KVA_OK)
            continue;
        void *a = kva_vmap(stage->vm, stage->frames, &number, 1);
        void *b = kva_vmap(stage->vm, stage->frames, &number, 1);
        must(a && b && load(a) == 0);
        for (uint64_t k = 0; k < STORES; k++) {
            must(load(b) == 2 * k);
            store(a, 2 * k + 1);
            must(load(a) == 2 * k + 1 && load(b) == 2 * k + 1);
            store(b, 2 * k + 2);
        }
        must(load(a) == 2 * STORES);
        must(kva_vunmap(stage->vm, a) == KVA_OK);
        must(kva_vunmap(stage->vm, b) == KVA_OK);
        must(kva_vm_frames_free(stage->frames, &number, 1) == KVA_OK);
    }
    leave(worker->crowd);
    return NULL;
}

/** Allocate many frames and free most of them, so that there is always something to compact, and the frames
 *  of the workers lie in nearly empty blocks. Ends after the workers. */
static void *scatter_all_the_time(void *context)
{
    struct worker *worker = context;
    struct crowd *crowd = worker->crowd;
    struct kva_vm_frames *frames = crowd->stage.frames;
    static uint64_t numbers[SCATTERED];

    while (!atomic_load(&crowd->is_over)) {
        size_t kept = 0;
        if (kva_vm_frames_alloc(frames, SCATTERED, numbers) != KVA_OK)
            continue;
        for (size_t i = 0; i < SCATTERED; i += 32) {
            must(kva_vm_frames_free(frames, &numbers[i + 1], 31) == KVA_OK);
            numbers[kept++] = numbers[i];
        }
        for (unsigned i = 0; i < 200; i++)
            sched_yield();
        must(kva_vm_frames_free(frames, numbers, kept) == KVA_OK);
    }
    return NULL;
}

/** Ends after the workers. */
static void *compact_all_the_time(void *context)
{
    struct worker *worker = context;
    struct crowd *crowd = worker->crowd;
    struct kva_frames_compacted done;

    while (!atomic_load(&crowd->is_over)) {
        unsigned order =
            test_one_in(&worker->rng, 4) ? (unsigned)test_below(&worker->rng, 6) : KVA_FRAMES_ALL_BLOCKS;
        uint64_t most = test_one_in(&worker->rng, 2) ? UINT64_MAX : test_below(&worker->rng, 50);
        if (compact(&crowd->stage, order, most, &done))
            atomic_fetch_add(&crowd->moved, done.moved_frames);
        atomic_fetch_add(&crowd->compactions, 1);
        if (test_one_in(&worker->rng, 64))
            must_be_sound(&crowd->stage);
        sched_yield();
    }
    return NULL;
}

static void run_crowd(const char *name, const struct kva_threads *threads, unsigned compacting,
                      uint64_t operations)
{
    static struct crowd crowd;
    static struct worker workers[WORKERS_MOST + 4];
    pthread_t thread[WORKERS_MOST + 4];
    const unsigned count = WORKERS_MOST + 2 + compacting;

    memset(&crowd, 0, sizeof crowd);
    memset(workers, 0, sizeof workers);
    begin(&crowd.stage, threads);
    crowd.operations = operations;
    crowd.workers = WORKERS_MOST + 1;
    assert_int_equal(pthread_mutex_init(&crowd.lock, NULL), 0);
    for (unsigned i = 0; i < count; i++) {
        workers[i].crowd = &crowd;
        workers[i].rng = test_rng_of(50 + i);
        void *(*const first[])(void *) = {hammer, scatter_all_the_time};
        void *(*body)(void *) = i < WORKERS_MOST       ? work
                                : i < WORKERS_MOST + 2 ? first[i - WORKERS_MOST]
                                                       : compact_all_the_time;
        assert_int_equal(pthread_create(&thread[i], NULL, body, &workers[i]), 0);
    }
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    print_message("%s: %" PRIu64 " compactions, %" PRIu64 " frames moved\n", name,
                  (uint64_t)crowd.compactions, (uint64_t)crowd.moved);
    assert_int_equal(crowd.moved, crowd.stage.pages.moved_frames);
    end(&crowd.stage);
    pthread_mutex_destroy(&crowd.lock);
}

static void test_one_thread_compacts(void **state)
{
    (void)state;
    run_crowd("one thread compacts", kva_threads_host(), 1, test_scaled(1500));
}

static void test_two_threads_compact(void **state)
{
    (void)state;
    run_crowd("two threads compact", kva_threads_host(), 2, test_scaled(1500));
}

static void test_disturbed_threads(void **state)
{
    const struct kva_threads threads = kva_yielding_threads(8, 3);

    (void)state;
    run_crowd("two threads compact, all are disturbed", &threads, 2, test_scaled(1000));
}

/* --------------------------------------------------------------------------------------- destroying a set */

struct ending {
    struct stage stage;
    _Atomic bool is_done;
};

static void *compact_once(void *context)
{
    struct ending *ending = context;

    (void)compact(&ending->stage, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, NULL);
    atomic_store(&ending->is_done, true);
    return NULL;
}

/** Keep frames all over the set, none of them mapped. */
static void scatter(struct stage *stage)
{
    static uint64_t numbers[FRAMES];
    static uint64_t freed[FRAMES];
    size_t count = 0;

    assert_int_equal(kva_vm_frames_alloc(stage->frames, FRAMES, numbers), KVA_OK);
    for (size_t i = 0; i < FRAMES; i++) {
        if (i % 16 > 1)
            freed[count++] = numbers[i];
    }
    assert_int_equal(kva_vm_frames_free(stage->frames, freed, count), KVA_OK);
}

/** A set is not destroyed while a thread compacts it. Once a move has begun, that thread is inside the call,
 *  or has finished it. */
static void test_destroy_during_compaction(void **state)
{
    static struct ending ending;
    uint64_t busy = 0;
    pthread_t thread;

    (void)state;
    for (uint64_t round = 0, rounds = test_scaled(60); round < rounds; round++) {
        begin(&ending.stage, kva_threads_host());
        atomic_store(&ending.is_done, false);
        scatter(&ending.stage);
        assert_int_equal(pthread_create(&thread, NULL, compact_once, &ending), 0);
        while (atomic_load(&moves_begun) < 1 + round % 7 && !atomic_load(&ending.is_done))
            sched_yield();
        enum kva_status status;
        while ((status = kva_vm_frames_destroy(ending.stage.frames)) == KVA_EBUSY) {
            busy++;
            sched_yield();
        }
        assert_int_equal(status, KVA_OK);
        assert_int_equal(pthread_join(thread, NULL), 0);
        end_instance(&ending.stage);
    }
    print_message("%" PRIu64 " times KVA_EBUSY\n", busy);
}

/** Frames are freed while they move; the instance stays sound. */
static void *free_one_by_one(void *context)
{
    struct worker *worker = context;
    struct stage *stage = &worker->crowd->stage;
    uint64_t numbers[64];

    for (uint64_t i = 0; i < worker->crowd->operations; i++) {
        size_t count = 1 + (size_t)test_below(&worker->rng, 64);
        must(kva_vm_frames_alloc(stage->frames, count, numbers) == KVA_OK);
        for (size_t k = 0; k < count; k++)
            must(kva_vm_frames_free(stage->frames, &numbers[count - k - 1], 1) == KVA_OK);
        if (i % 16 == 0)
            must_be_sound(stage);
    }
    leave(worker->crowd);
    return NULL;
}

static void test_unmapped_frames(void **state)
{
    static struct crowd crowd;
    static struct worker workers[5];
    pthread_t thread[5];

    (void)state;
    memset(&crowd, 0, sizeof crowd);
    begin(&crowd.stage, kva_threads_host());
    crowd.operations = test_scaled(1000);
    crowd.workers = 4;
    assert_int_equal(pthread_mutex_init(&crowd.lock, NULL), 0);
    for (unsigned i = 0; i < 5; i++) {
        workers[i] = (struct worker){.crowd = &crowd, .rng = test_rng_of(60 + i)};
        assert_int_equal(
            pthread_create(&thread[i], NULL, i < 4 ? free_one_by_one : compact_all_the_time, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    end(&crowd.stage);
    pthread_mutex_destroy(&crowd.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_thread_compacts), cmocka_unit_test(test_two_threads_compact),
        cmocka_unit_test(test_disturbed_threads),   cmocka_unit_test(test_destroy_during_compaction),
        cmocka_unit_test(test_unmapped_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
