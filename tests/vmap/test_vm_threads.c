/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * One instance and many threads. Every page of each live area carries its holder's stamp: this finds pages
 * that two areas share, or that are taken away too early. Most areas are freed by another thread than
 * allocated them. The page source and the memory source are those for tests. They stop the program when they
 * are misused, or when two threads use them at once without the lock (ThreadSanitizer watches their
 * counters).
 */
#define _GNU_SOURCE
#include "common/harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kva/pcpu.h>
#include <kva/report.h>
#include <kva/threads.h>
#include <kva/vmap.h>

#include "../../ports/test/failing_memory.h"
#include "../../ports/test/failing_pages.h"
#include "../../ports/test/yielding.h"
#include "../threads/stamps.h"

enum { THREADS_MOST = 16, HELD = 24, EXCHANGE = 32, FRAMES = 96, RESERVATION_MIB = 16, KINDS = 5 };

static size_t page;

/** An instance under test, and all that its config points to. */
struct stage {
    struct kva_vm *vm;
    struct kva_vm_config config;
    struct kva_threads threads;
    struct kva_failing_memory memory;
    struct kva_failing_pages pages;
};

static void set_up(struct stage *stage)
{
    const struct kva_pages host = kva_pages_host(KVA_MECHANISM_BEST);

    memset(stage, 0, sizeof *stage);
    page = (size_t)sysconf(_SC_PAGESIZE);
    stage->threads = kva_yielding_threads(8, 3);
    stage->config.reservation = (uint64_t)RESERVATION_MIB << 20;
    stage->config.frames_part = (uint64_t)RESERVATION_MIB << 18;
    stage->config.cpus = 3;
    stage->config.threads = &stage->threads;
    stage->config.memory = kva_failing_memory_init(&stage->memory);
    stage->config.pages = kva_failing_pages_init(&stage->pages, &host);
}

static void begin(struct stage *stage)
{
    assert_int_equal(kva_vm_create(&stage->config, &stage->vm), KVA_OK);
}

static struct kva_vm_stats stats_of(const struct stage *stage)
{
    struct kva_vm_stats stats;

    must(kva_vm_stats_read(stage->vm, &stats) == KVA_OK);
    return stats;
}

static void expect_sound(const struct stage *stage)
{
    struct kva_fault fault = {.what = ""};
    enum kva_status status = kva_vm_check(stage->vm, &fault);

    check_that(status == KVA_OK, "the check reports %s at %#" PRIx64, fault.what, fault.address);
}

/** No thread holds anything, so all of it must be given back. */
static void end(struct stage *stage)
{
    expect_sound(stage);
    assert_int_equal(stats_of(stage).live_areas, 0);
    assert_int_equal(kva_vm_purge(stage->vm), KVA_OK);
    expect_sound(stage);
    struct kva_vm_stats stats = stats_of(stage);
    assert_int_equal(stats.cached_areas + stats.parked_areas + stats.later_areas + stats.quarantined_areas,
                     0);
    assert_int_equal(stats.allocations, stats.frees);
    assert_int_equal(stage->pages.open_pages + stage->pages.mapped_pages, 0);
    assert_int_equal(kva_vm_destroy(stage->vm, NULL, NULL), KVA_OK);
    assert_int_equal(stage->pages.reservations + stage->pages.frame_sets + stage->pages.tables, 0);
}

/* ------------------------------------------------------------------------------------------------ threads */

/** Threads that run the same functions. */
struct team {
    pthread_t thread[THREADS_MOST];
    unsigned count;
};

static void team_start(struct team *team, void *(*work)(void *), void *context)
{
    assert_int_equal(pthread_create(&team->thread[team->count], NULL, work, context), 0);
    team->count++;
}

static void team_join(struct team *team)
{
    for (unsigned i = 0; i < team->count; i++)
        assert_int_equal(pthread_join(team->thread[i], NULL), 0);
    team->count = 0;
}

/* ------------------------------------------------------------------------------------------ mixed traffic */

enum kind { AREA, MAP, RAM, OBJECT };

struct held {
    char *memory; /* NULL: none */
    size_t bytes;
    uint64_t stamp;
    enum kind kind;
    uint64_t frame[4];
};

struct crowd {
    struct stage stage;
    uint64_t operations; /* of each thread */
    bool small;          /* areas that always fit: KVA_ENOSPC is an error */
    struct kva_vm_frames *frames;
    struct kva_pcpu *pcpu;
    _Atomic uint64_t stamps;
    _Atomic uint64_t full;
    _Atomic uint64_t done[KINDS];
    pthread_mutex_t lock;
    struct held exchange[EXCHANGE];
    struct kva_later *waiting;
};

struct worker {
    struct crowd *crowd;
    struct test_rng rng;
    struct held held[HELD];
};

static void stamp(struct worker *worker, struct held *held)
{
    held->stamp = 1 + atomic_fetch_add_explicit(&worker->crowd->stamps, 1, memory_order_relaxed);
    for (size_t at = 0; at < held->bytes; at += page) {
        size_t last = (held->bytes - at < page ? held->bytes - at : page) - sizeof held->stamp;
        memcpy(held->memory + at, &held->stamp, sizeof held->stamp);
        memcpy(held->memory + at + last, &held->stamp, sizeof held->stamp);
    }
}

/** Check the stamps of the first `bytes` of a held area. */
static void verify(const struct held *held, size_t bytes)
{
    uint64_t found;

    for (size_t at = 0; at + page <= bytes; at += page) {
        memcpy(&found, held->memory + at, sizeof found);
        must(found == held->stamp);
        memcpy(&found, held->memory + at + page - sizeof found, sizeof found);
        must(found == held->stamp);
    }
}

static void verify_zero(const char *memory, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 64)
        must(memory[at] == 0);
}

static size_t some_pages(struct worker *worker)
{
    if (worker->crowd->small)
        return 1;
    if (test_one_in(&worker->rng, 40))
        return 1 + (size_t)test_below(&worker->rng, 1200);
    return 1 + (size_t)test_below(&worker->rng, test_one_in(&worker->rng, 4) ? 140 : 6);
}

/** Count a refusal. KVA_ENOSPC is the only one permitted, unless all areas fit. */
static bool is_full(struct worker *worker, enum kva_status status)
{
    if (status != KVA_OK)
        must(status == KVA_ENOSPC && !worker->crowd->small);
    atomic_fetch_add_explicit(&worker->crowd->full, status != KVA_OK, memory_order_relaxed);
    return status != KVA_OK;
}

static void take_area(struct worker *worker, struct held *held)
{
    struct kva_vm *vm = worker->crowd->stage.vm;
    struct kva_vm_request request = kva_vm_request_of(some_pages(worker) * page);
    struct kva_vm_area area;
    void *memory;

    request.owner = held;
    request.flags = test_one_in(&worker->rng, 3) ? KVA_VM_ZERO : 0;
    request.align = !worker->crowd->small && test_one_in(&worker->rng, 8) ? 4 * page : 1;
    if (!worker->crowd->small && test_one_in(&worker->rng, 4)) /* node 0 */
        request.node = (struct kva_vm_nodes){
            test_one_in(&worker->rng, 2) ? KVA_VM_NODES_PREFERRED : KVA_VM_NODES_INTERLEAVED, 1};
    /* kva_vmalloc looks for a cached area by itself. */
    if (!worker->crowd->small && test_one_in(&worker->rng, 2)) {
        memory = kva_vmalloc(vm, request.size);
        if (!memory)
            return;
    } else {
        if (is_full(worker, kva_vm_alloc(vm, &request, &memory)))
            return;
        must(((uintptr_t)memory & (request.align - 1)) == 0);
        must(kva_vm_find(vm, memory, &area) == KVA_OK && area.owner == held && area.state == KVA_VM_LIVE);
        must(area.node.policy == request.node.policy && area.node.set == request.node.set);
        if (test_one_in(&worker->rng, 8))
            must(kva_vm_mark_foreign(vm, memory) == KVA_OK);
        if (request.flags & KVA_VM_ZERO)
            verify_zero(memory, request.size);
    }
    *held = (struct held){.memory = memory, .bytes = request.size, .kind = AREA};
    must(kva_vm_usable_size(vm, memory) == request.size);
}

static void take_map(struct worker *worker, struct held *held, enum kind kind)
{
    struct crowd *crowd = worker->crowd;
    size_t count = 1 + (size_t)test_below(&worker->rng, 4);
    void *memory;

    if (kva_vm_frames_alloc(crowd->frames, count, held->frame) != KVA_OK)
        return;
    enum kva_status status =
        kind == MAP ? kva_vm_map(crowd->stage.vm, crowd->frames, held->frame, count, 0, &memory)
                    : kva_vm_map_ram(crowd->stage.vm, crowd->frames, held->frame, count, &memory);
    if (is_full(worker, status)) {
        must(kva_vm_frames_free(crowd->frames, held->frame, count) == KVA_OK);
        return;
    }
    held->memory = memory;
    held->bytes = count * page;
    held->kind = kind;
    verify_zero(memory, held->bytes);
}

static void take_object(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    void *object;

    if (is_full(worker, kva_pcpu_alloc(crowd->pcpu, 64, 64, &object)))
        return;
    for (unsigned cpu = 0; cpu < 3; cpu++)
        verify_zero(kva_pcpu_of(crowd->pcpu, object, cpu), 64);
    *held = (struct held){.memory = object, .bytes = 64, .kind = OBJECT};
}

static void take(struct worker *worker, struct held *held)
{
    uint64_t which = worker->crowd->small ? 0 : test_below(&worker->rng, 10);

    if (which < 6)
        take_area(worker, held);
    else
        (which < 8) ? take_map(worker, held, which == 6 ? MAP : RAM) : take_object(worker, held);
    if (held->memory)
        stamp(worker, held);
}

static void give(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    struct kva_vm *vm = crowd->stage.vm;
    struct held gone = *held;

    verify(&gone, gone.bytes);
    atomic_fetch_add_explicit(&crowd->done[gone.kind], 1, memory_order_relaxed);
    held->memory = NULL;
    if (gone.kind == OBJECT) {
        must(kva_pcpu_free(crowd->pcpu, gone.memory) == KVA_OK);
    } else if (gone.kind == AREA) {
        if (!crowd->small && test_one_in(&worker->rng, 8))
            must(kva_vfree_later(vm, gone.memory, NULL) == KVA_OK);
        else
            must(kva_vfree(vm, gone.memory) == KVA_OK);
    } else {
        must((gone.kind == MAP ? kva_vunmap(vm, gone.memory) : kva_unmap_ram(vm, gone.memory)) == KVA_OK);
        must(kva_vm_frames_free(crowd->frames, gone.frame, gone.bytes / page) == KVA_OK);
    }
}

static void resize(struct worker *worker, struct held *held)
{
    size_t bytes = some_pages(worker) * page;
    size_t kept = bytes < held->bytes ? bytes : held->bytes;
    void *moved;

    if (held->kind != AREA)
        return;
    enum kva_status status =
        kva_vm_realloc(worker->crowd->stage.vm, held->memory, bytes, KVA_VM_ZERO, &moved);
    if (is_full(worker, status))
        return;
    struct held was = *held;
    held->memory = was.memory = moved;
    held->bytes = bytes;
    verify(&was, kept);
    if (bytes > kept)
        verify_zero(held->memory + kept, bytes - kept);
    stamp(worker, held);
}

static void swap(struct worker *worker, struct held *held)
{
    struct crowd *crowd = worker->crowd;
    struct held *other = &crowd->exchange[test_below(&worker->rng, EXCHANGE)];
    struct held mine = *held;

    must(pthread_mutex_lock(&crowd->lock) == 0);
    *held = *other;
    *other = mine;
    must(pthread_mutex_unlock(&crowd->lock) == 0);
}

static void no_line(void *context, const char *text, size_t length)
{
    (void)context;
    must(strlen(text) == length);
}

static void look(struct worker *worker, const struct held *held)
{
    struct kva_vm *vm = worker->crowd->stage.vm;
    struct kva_vm_area area;
    char text[256];

    if (held->kind != OBJECT) {
        must(kva_vm_find(vm, held->memory + held->bytes - 1, &area) == KVA_OK);
        must(area.start == (uintptr_t)held->memory && area.size == held->bytes && area.state == KVA_VM_LIVE);
        must(kva_vfree(vm, held->memory + 1) == KVA_EINTERIOR);
    }
    must(kva_vm_fault_describe(vm, held->memory, true, text, sizeof text) > 0);
    must(strstr(text, "freed: no") != NULL);
    verify(held, held->bytes);
}

static void must_be_sound(const struct kva_vm *vm)
{
    struct kva_fault fault = {.what = ""};

    if (kva_vm_check(vm, &fault) != KVA_OK)
        stamps_stop(__FILE__, __LINE__, fault.what);
}

static void oversee(struct worker *worker)
{
    struct kva_vm *vm = worker->crowd->stage.vm;
    uint64_t which = test_below(&worker->rng, 16);

    if (which == 0)
        must(kva_vm_report(vm, no_line, NULL) == KVA_OK);
    else if (which == 1)
        must_be_sound(vm);
    else if (which < 6)
        must(kva_vm_purge(vm) == KVA_OK);
    else
        must(stats_of(&worker->crowd->stage).live_areas <= THREADS_MOST * HELD * 4 + EXCHANGE);
}

static void act(struct worker *worker)
{
    struct held *held = &worker->held[test_below(&worker->rng, worker->crowd->small ? 4 : HELD)];
    uint64_t which = test_below(&worker->rng, 100);

    if (which == 0) {
        oversee(worker);
    } else if (!held->memory) {
        take(worker, held);
    } else if (which < 15) {
        resize(worker, held);
    } else if (which < 25) {
        look(worker, held);
    } else {
        if (!worker->crowd->small)
            swap(worker, held);
        if (held->memory)
            give(worker, held);
    }
}

static void *work(void *context)
{
    struct worker *worker = context;

    for (uint64_t i = 0; i < worker->crowd->operations; i++)
        act(worker);
    for (size_t i = 0; i < HELD; i++) {
        if (worker->held[i].memory)
            give(worker, &worker->held[i]);
    }
    return NULL;
}

/** A grace period ends when the next one begins, usually in another thread. */
static void after_grace(void *context, struct kva_later *record)
{
    struct crowd *crowd = context;

    must(pthread_mutex_lock(&crowd->lock) == 0);
    struct kva_later *earlier = crowd->waiting;
    crowd->waiting = record;
    must(pthread_mutex_unlock(&crowd->lock) == 0);
    if (earlier)
        kva_vfree_ready(earlier);
}

static void run_crowd(struct crowd *crowd, const char *name, unsigned threads, uint64_t operations)
{
    static struct worker workers[THREADS_MOST];
    struct team team = {.count = 0};
    struct worker *last = &workers[0];
    struct kva_pcpu_config shape = {.cpus = 3, .groups = 2, .unit = 2 * page};

    memset(workers, 0, sizeof workers);
    crowd->operations = test_scaled(operations / threads);
    assert_int_equal(pthread_mutex_init(&crowd->lock, NULL), 0);
    begin(&crowd->stage);
    assert_int_equal(kva_vm_frames_create(crowd->stage.vm, &(struct kva_vm_frames_config){.count = FRAMES},
                                          &crowd->frames),
                     KVA_OK);
    assert_int_equal(kva_pcpu_create(crowd->stage.vm, &shape, &crowd->pcpu), KVA_OK);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.crowd = crowd, .rng = test_rng_of(7000 * threads + i)};
        team_start(&team, work, &workers[i]);
    }
    team_join(&team);
    for (size_t i = 0; i < EXCHANGE; i++) {
        if (crowd->exchange[i].memory)
            give(last, &crowd->exchange[i]);
    }
    if (crowd->waiting)
        kva_vfree_ready(crowd->waiting);
    struct kva_vm_stats stats = stats_of(&crowd->stage);
    print_message("%s, %u threads: %" PRIu64 " areas, %" PRIu64 " maps, %" PRIu64 " short-lived, %" PRIu64
                  " objects; %" PRIu64 " times KVA_ENOSPC, %" PRIu64 " runs purged\n",
                  name, threads, (uint64_t)crowd->done[AREA], (uint64_t)crowd->done[MAP],
                  (uint64_t)crowd->done[RAM], (uint64_t)crowd->done[OBJECT], (uint64_t)crowd->full,
                  stats.purged_runs);
    assert_int_equal(kva_pcpu_destroy(crowd->pcpu), KVA_OK);
    assert_int_equal(kva_vm_frames_destroy(crowd->frames), KVA_OK);
    end(&crowd->stage);
    assert_int_equal(pthread_mutex_destroy(&crowd->lock), 0);
}

static struct crowd *new_crowd(void)
{
    static struct crowd crowd;

    memset(&crowd, 0, sizeof crowd);
    set_up(&crowd.stage);
    crowd.stage.config.grace = (struct kva_grace){after_grace, NULL, &crowd};
    return &crowd;
}

static void test_from_2_to_16_threads(void **state)
{
    static const unsigned counts[] = {2, 3, 8, 16};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct crowd *crowd = new_crowd();
        crowd->stage.config.lazy_bytes = UINT64_C(1) << 20;
        crowd->stage.config.cache_bytes = UINT64_C(1) << 20;
        run_crowd(crowd, "lazy", counts[i], 40000);
    }
}

static void test_threads_of_the_host(void **state)
{
    struct crowd *crowd = new_crowd();

    (void)state;
    crowd->stage.config.threads = NULL;
    run_crowd(crowd, "undisturbed", 4, 40000);
}

static void test_threads_without_cache_and_parking(void **state)
{
    struct crowd *crowd = new_crowd();

    (void)state;
    crowd->stage.config.lazy_bytes = KVA_VM_NONE;
    crowd->stage.config.cache_bytes = KVA_VM_NONE;
    run_crowd(crowd, "eager", 4, 10000);
}

static void test_threads_hardened(void **state)
{
    struct crowd *crowd = new_crowd();

    (void)state;
    crowd->stage.config.hardened = true;
    crowd->stage.config.quarantine_bytes = UINT64_C(1) << 19;
    run_crowd(crowd, "hardened", 4, 10000);
}

/** All areas of one page that the threads ever hold at once fit, but no more. A free one always exists: idle
 *  in the cache of another CPU, or parked. So no call may return KVA_ENOSPC. */
static void test_idle_areas_are_used_before_enospc(void **state)
{
    struct crowd *crowd = new_crowd();
    const unsigned threads = 4;

    (void)state;
    crowd->small = true;
    crowd->stage.config.frames_part = page;
    crowd->stage.config.reservation = 4 * threads * 2 * page + page; /* areas and their guards */
    crowd->stage.config.reservation_least = page;
    run_crowd(crowd, "just enough", threads, 20000);
}

/* --------------------------------------------------------------------- known failures of other allocators */

struct lookup {
    struct stage stage;
    char *_Atomic memory;
    /** Modulo 4. 1: an area is live at `memory`; 3: it has been freed; 0 and 2: in between. */
    _Atomic uint64_t turn;
    _Atomic bool is_over;
    _Atomic uint64_t unchanged;
};

static void *free_lazily(void *context)
{
    struct lookup *lookup = context;

    for (uint64_t i = 0; i < test_scaled(3000); i++) {
        char *memory = kva_vmalloc(lookup->stage.vm, page * (size_t)(1 + i % 3));
        must(memory != NULL);
        atomic_store(&lookup->memory, memory);
        atomic_fetch_add(&lookup->turn, 1);
        must(kva_vm_usable_size(lookup->stage.vm, memory) > 0);
        atomic_fetch_add(&lookup->turn, 1);
        must(kva_vfree(lookup->stage.vm, memory) == KVA_OK);
        atomic_fetch_add(&lookup->turn, 1);
        atomic_fetch_add(&lookup->turn, 1);
    }
    atomic_store(&lookup->is_over, true);
    return NULL;
}

static void *look_up(void *context)
{
    struct lookup *lookup = context;
    struct kva_vm_area area;

    while (!atomic_load(&lookup->is_over)) {
        uint64_t turn = atomic_load(&lookup->turn);
        char *memory = atomic_load(&lookup->memory);
        if (!memory)
            continue;
        enum kva_status status = kva_vm_find(lookup->stage.vm, memory, &area);
        size_t usable = kva_vm_usable_size(lookup->stage.vm, memory);
        if (atomic_load(&lookup->turn) != turn || turn % 2 == 0)
            continue;
        atomic_fetch_add(&lookup->unchanged, 1);
        if (turn % 4 == 1)
            must(status == KVA_OK && area.state == KVA_VM_LIVE && area.start == (uintptr_t)memory &&
                 usable > 0);
        else
            must((status == KVA_ENOENT || area.state != KVA_VM_LIVE) && usable == 0);
    }
    return NULL;
}

static void test_freed_area_is_not_found_as_live(void **state)
{
    static struct lookup lookup;
    struct team team = {.count = 0};

    (void)state;
    for (unsigned cached = 0; cached < 2; cached++) {
        memset(&lookup, 0, sizeof lookup);
        set_up(&lookup.stage);
        lookup.stage.config.cache_bytes = cached ? 0 : KVA_VM_NONE;
        lookup.stage.config.lazy_bytes = 16 * page;
        begin(&lookup.stage);
        team_start(&team, look_up, &lookup);
        team_start(&team, look_up, &lookup);
        team_start(&team, free_lazily, &lookup);
        team_join(&team);
        print_message("%" PRIu64 " lookups of an unchanged area\n", (uint64_t)lookup.unchanged);
        end(&lookup.stage);
    }
}

struct halves {
    struct stage stage;
    struct kva_pcpu *pcpu;
    _Atomic bool is_over;
    _Atomic uint64_t seen;
};

static void *grow_objects(void *context)
{
    struct halves *halves = context;
    enum { OBJECTS = 400 };
    void *object[OBJECTS];

    for (unsigned i = 0; i < OBJECTS; i++) {
        must(kva_pcpu_alloc(halves->pcpu, page / 2, 64, &object[i]) == KVA_OK);
        for (unsigned cpu = 0; cpu < 3; cpu++) {
            char *copy = kva_pcpu_of(halves->pcpu, object[i], cpu);
            verify_zero(copy, page / 2);
            memset(copy, (int)i, page / 2);
        }
    }
    for (unsigned i = 0; i < OBJECTS; i++)
        must(kva_pcpu_free(halves->pcpu, object[i]) == KVA_OK);
    atomic_store(&halves->is_over, true);
    return NULL;
}

/** The areas of a chunk appear together: each with all its pages, and none without its neighbours. */
static void *watch_chunks(void *context)
{
    struct halves *halves = context;

    while (!atomic_load(&halves->is_over)) {
        struct kva_vm_area area = {0};
        while (kva_vm_next(halves->stage.vm, &area) == KVA_OK) {
            if (area.kind != KVA_VM_PCPU || area.state != KVA_VM_LIVE)
                continue;
            must(area.pages == 1 && area.size == page && area.caller != NULL);
            atomic_fetch_add(&halves->seen, 1);
        }
        struct kva_vm_stats stats = stats_of(&halves->stage);
        must(stats.live_areas % 3 == 0); /* a chunk has three areas, visible together under the locks */
        must(kva_vm_check(halves->stage.vm, NULL) == KVA_OK);
    }
    return NULL;
}

static void test_chunks_appear_as_a_whole(void **state)
{
    static struct halves halves;
    struct team team = {.count = 0};

    (void)state;
    memset(&halves, 0, sizeof halves);
    set_up(&halves.stage);
    begin(&halves.stage);
    struct kva_pcpu_config shape = {.cpus = 3, .groups = 3, .unit = page};
    assert_int_equal(kva_pcpu_create(halves.stage.vm, &shape, &halves.pcpu), KVA_OK);
    team_start(&team, grow_objects, &halves);
    team_start(&team, watch_chunks, &halves);
    team_join(&team);
    assert_true(halves.seen > 0);
    assert_int_equal(kva_pcpu_destroy(halves.pcpu), KVA_OK);
    end(&halves.stage);
}

struct first_maps {
    struct stage stage;
    struct kva_vm_frames *frames;
    pthread_barrier_t barrier;
};

/** Several threads request the first short-lived map of an instance at once, and use it at once. */
static void *map_first(void *context)
{
    struct first_maps *first = context;
    struct kva_vm_area area;
    uint64_t number;

    must(kva_vm_frames_alloc(first->frames, 1, &number) == KVA_OK);
    (void)pthread_barrier_wait(&first->barrier);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t *map = kva_map_ram(first->stage.vm, first->frames, &number, 1);
        must(map != NULL);
        must(*map == (i == 0 ? 0 : number + 1));
        *map = number + 1;
        must(kva_vm_find(first->stage.vm, map, &area) == KVA_OK);
        must(area.start == (uintptr_t)map && area.kind == KVA_VM_RAM && area.state == KVA_VM_LIVE);
        must(kva_unmap_ram(first->stage.vm, map) == KVA_OK);
    }
    must(kva_vm_frames_free(first->frames, &number, 1) == KVA_OK);
    return NULL;
}

static void test_first_maps_at_once(void **state)
{
    static struct first_maps first;
    const unsigned threads = 4;

    (void)state;
    assert_int_equal(pthread_barrier_init(&first.barrier, NULL, threads), 0);
    for (uint64_t round = 0; round < test_scaled(60); round++) {
        struct team team = {.count = 0};
        set_up(&first.stage);
        begin(&first.stage);
        assert_int_equal(kva_vm_frames_create(first.stage.vm, &(struct kva_vm_frames_config){.count = FRAMES},
                                              &first.frames),
                         KVA_OK);
        for (unsigned i = 0; i < threads; i++)
            team_start(&team, map_first, &first);
        team_join(&team);
        assert_int_equal(kva_vm_frames_destroy(first.frames), KVA_OK);
        end(&first.stage);
    }
    assert_int_equal(pthread_barrier_destroy(&first.barrier), 0);
}

static unsigned cpu_of_this_thread(void *context)
{
    static _Thread_local unsigned calls;

    (void)context;
    return calls++ % 8 < 4 ? 0 : 2;
}

/** CPUs 0 and 2 exist, and CPU 1 does not: there are two records. */
static void test_possible_cpus_0_and_2(void **state)
{
    static struct crowd crowd;
    void *object;

    (void)state;
    memset(&crowd, 0, sizeof crowd);
    set_up(&crowd.stage);
    crowd.stage.threads.cpu = cpu_of_this_thread;
    crowd.stage.threads.cpus = 2;
    crowd.stage.config.cpus = 2;
    crowd.stage.pages.fixed_cpu = true;
    crowd.stage.pages.cpu = 2;
    crowd.stage.config.grace = (struct kva_grace){after_grace, NULL, &crowd};
    run_crowd(&crowd, "CPUs 0 and 2", 3, 10000);
    set_up(&crowd.stage);
    crowd.stage.config.cpus = 2;
    crowd.stage.pages.fixed_cpu = true;
    crowd.stage.pages.cpu = 2;
    begin(&crowd.stage);
    assert_int_equal(kva_pcpu_create(crowd.stage.vm, NULL, &crowd.pcpu), KVA_OK);
    assert_int_equal(kva_pcpu_alloc(crowd.pcpu, 64, 64, &object), KVA_OK);
    assert_ptr_equal(kva_pcpu_here(crowd.pcpu, object), object); /* 2 modulo 2 */
    assert_null(kva_pcpu_of(crowd.pcpu, object, 2));
    assert_int_equal(kva_pcpu_free(crowd.pcpu, object), KVA_OK);
    assert_int_equal(kva_pcpu_destroy(crowd.pcpu), KVA_OK);
    end(&crowd.stage);
}

struct purging {
    struct stage stage;
    pthread_barrier_t barrier;
};

static void *purge_at_once(void *context)
{
    struct purging *purging = context;

    (void)pthread_barrier_wait(&purging->barrier);
    must(kva_vm_purge(purging->stage.vm) == KVA_OK);
    return NULL;
}

/** Two purges at once empty all CPUs' caches. Each area is given back once, and live areas remain. */
static void test_two_purges_at_once(void **state)
{
    enum { AREAS = 200, LIVE = 7 };
    static struct purging purging;
    char *memory[AREAS];

    (void)state;
    assert_int_equal(pthread_barrier_init(&purging.barrier, NULL, 2), 0);
    set_up(&purging.stage);
    begin(&purging.stage);
    for (uint64_t round = 0; round < test_scaled(40); round++) {
        struct team team = {.count = 0};
        for (size_t i = 0; i < AREAS; i++) {
            memory[i] = kva_vmalloc(purging.stage.vm, (1 + i % 5) * page);
            assert_non_null(memory[i]);
            memory[i][0] = (char)i;
        }
        for (size_t i = LIVE; i < AREAS; i++)
            assert_int_equal(kva_vfree(purging.stage.vm, memory[i]), KVA_OK);
        team_start(&team, purge_at_once, &purging);
        team_start(&team, purge_at_once, &purging);
        team_join(&team);
        struct kva_vm_stats stats = stats_of(&purging.stage);
        assert_int_equal(stats.live_areas, LIVE);
        assert_int_equal(stats.cached_areas + stats.parked_areas, 0);
        assert_int_equal(stats.live_bytes, purging.stage.pages.open_pages * page);
        expect_sound(&purging.stage);
        for (size_t i = 0; i < LIVE; i++) {
            assert_int_equal(memory[i][0], (char)i);
            assert_int_equal(kva_vfree(purging.stage.vm, memory[i]), KVA_OK);
        }
    }
    assert_int_equal(pthread_barrier_destroy(&purging.barrier), 0);
    end(&purging.stage);
}

struct pressure {
    struct stage stage;
    char *kept[64];
    size_t count;
    _Atomic uint64_t asked;
};

/** Under pressure, free an area, which purges at once, and allocate another. */
static bool relieve(void *context, struct kva_vm *vm, size_t size)
{
    struct pressure *pressure = context;

    (void)size;
    atomic_fetch_add(&pressure->asked, 1);
    must(kva_vm_purge(vm) == KVA_EREENTRY);
    must(kva_vm_fork_prepare(vm) == KVA_EREENTRY);
    if (pressure->count == 0)
        return false;
    must(kva_vfree(vm, pressure->kept[--pressure->count]) == KVA_OK);
    char *again = kva_vmalloc(vm, page);
    if (again)
        must(kva_vfree(vm, again) == KVA_OK);
    return true;
}

static void *press(void *context)
{
    struct pressure *pressure = context;

    for (uint64_t i = 0; i < test_scaled(200); i++) {
        void *memory = kva_vmalloc(pressure->stage.vm, (size_t)(1 + (i * 37 + 70) % 80) * page);
        if (memory)
            must(kva_vfree(pressure->stage.vm, memory) == KVA_OK);
    }
    return NULL;
}

/** The reservation is full, the memory source refuses, and threads free and purge, and call a callback that
 *  frees and purges. Each purge ends, because none takes memory, and none waits for another. */
static void test_purges_end_under_memory_pressure(void **state)
{
    static struct pressure pressure;
    struct kva_vm_reclaim reclaim = {.callback = relieve, .context = &pressure};
    struct team team = {.count = 0};

    (void)state;
    memset(&pressure, 0, sizeof pressure);
    set_up(&pressure.stage);
    pressure.stage.config.reservation = 256 * page;
    pressure.stage.config.reservation_least = page;
    pressure.stage.config.frames_part = 64 * page;
    pressure.stage.config.lazy_bytes = KVA_VM_NONE;
    pressure.stage.config.cache_bytes = 8 * page;
    begin(&pressure.stage);
    while (pressure.count < 64 && (pressure.kept[pressure.count] = kva_vmalloc(pressure.stage.vm, page)))
        pressure.count++;
    assert_int_equal(kva_vm_reclaim_add(pressure.stage.vm, &reclaim), KVA_OK);
    kva_failing_memory_fail(&pressure.stage.memory, 1, true);
    for (unsigned i = 0; i < 3; i++)
        team_start(&team, press, &pressure);
    team_join(&team);
    assert_true(pressure.asked > 0);
    expect_sound(&pressure.stage);
    while (pressure.count > 0)
        assert_int_equal(kva_vfree(pressure.stage.vm, pressure.kept[--pressure.count]), KVA_OK);
    kva_failing_memory_fail(&pressure.stage.memory, 0, false);
    assert_int_equal(kva_vm_reclaim_remove(pressure.stage.vm, &reclaim), KVA_OK);
    end(&pressure.stage);
}

/* ---------------------------------------------------------------------------------------- frees and forks */

struct twice {
    struct stage stage;
    pthread_barrier_t barrier;
    void *_Atomic memory;
    _Atomic unsigned won;
    uint64_t rounds;
};

static void *free_the_same(void *context)
{
    struct twice *twice = context;

    for (uint64_t i = 0; i < twice->rounds; i++) {
        (void)pthread_barrier_wait(&twice->barrier);
        enum kva_status status = kva_vfree(twice->stage.vm, atomic_load(&twice->memory));
        must(status == KVA_OK || status == KVA_EDOUBLE || status == KVA_EDEFERRED);
        atomic_fetch_add(&twice->won, status == KVA_OK);
        (void)pthread_barrier_wait(&twice->barrier);
    }
    return NULL;
}

/** Of several concurrent frees of one address, one succeeds. */
static void test_concurrent_frees_of_one_area(void **state)
{
    static struct twice twice;
    struct team team = {.count = 0};

    (void)state;
    set_up(&twice.stage);
    twice.rounds = test_scaled(1500);
    begin(&twice.stage);
    assert_int_equal(pthread_barrier_init(&twice.barrier, NULL, 4), 0);
    for (unsigned i = 0; i < 3; i++)
        team_start(&team, free_the_same, &twice);
    for (uint64_t i = 0; i < twice.rounds; i++) {
        atomic_store(&twice.memory, kva_vmalloc(twice.stage.vm, i % 2 == 0 ? page : 600 * page));
        assert_non_null(atomic_load(&twice.memory));
        atomic_store(&twice.won, 0);
        (void)pthread_barrier_wait(&twice.barrier);
        (void)pthread_barrier_wait(&twice.barrier);
        assert_int_equal(atomic_load(&twice.won), 1);
    }
    team_join(&team);
    assert_int_equal(pthread_barrier_destroy(&twice.barrier), 0);
    end(&twice.stage);
}

/* More than is closed under one hold of the lock: 8 MiB of pages of 4 KiB. */
enum { LONG_PAGES = 2500, LONG_RESERVATION = 4 * (LONG_PAGES + 1) };

static void *free_long_areas(void *context)
{
    struct stage *stage = context;

    for (uint64_t i = 0; i < test_scaled(300); i++) {
        char *memory = kva_vmalloc(stage->vm, LONG_PAGES * page);
        must(memory != NULL);
        must(memory[0] == 0 && memory[LONG_PAGES * page - 1] == 0);
        memset(memory, 1, page);
        memset(memory + (LONG_PAGES - 1) * page, 1, page);
        must(kva_vfree(stage->vm, memory) == KVA_OK);
    }
    return NULL;
}

/** Each area is closed in two or three parts, by any threads that call meanwhile. */
static void test_long_areas_are_closed_in_parts(void **state)
{
    static struct stage stage;
    struct team team = {.count = 0};

    (void)state;
    set_up(&stage);
    stage.config.frames_part = page;
    stage.config.reservation = (LONG_RESERVATION + 1) * page;
    stage.config.lazy_bytes = KVA_VM_NONE;
    stage.config.cache_bytes = KVA_VM_NONE;
    begin(&stage);
    for (unsigned i = 0; i < 3; i++)
        team_start(&team, free_long_areas, &stage);
    team_join(&team);
    struct kva_vm_stats stats = stats_of(&stage);
    assert_int_equal(stats.parked_areas, 0);
    assert_true(stage.pages.closes >= 2 * 3 * test_scaled(300));
    end(&stage);
}

struct forking {
    struct stage stage;
    _Atomic bool is_over;
};

static void *churn(void *context)
{
    struct forking *forking = context;

    for (size_t i = 0; !atomic_load(&forking->is_over); i++) {
        char *memory = kva_vmalloc(forking->stage.vm, (1 + i % 50) * page);
        must(memory != NULL);
        memory[0] = 1;
        must(kva_vfree(forking->stage.vm, memory) == KVA_OK);
        if (i % 64 == 0)
            must(kva_vm_purge(forking->stage.vm) == KVA_OK);
    }
    return NULL;
}

/** The child of a fork during traffic uses the instance. */
static void use_in_child(struct kva_vm *vm)
{
    must(kva_vm_check(vm, NULL) == KVA_OK);
    for (size_t i = 0; i < 100; i++) {
        char *memory = kva_vzalloc(vm, (1 + i % 70) * page);
        must(memory != NULL && memory[0] == 0);
        must(kva_vfree(vm, memory) == KVA_OK);
    }
    must(kva_vm_purge(vm) == KVA_OK);
    must(kva_vm_check(vm, NULL) == KVA_OK);
    _exit(0);
}

static void test_fork_during_traffic(void **state)
{
    static struct forking forking;
    struct team team = {.count = 0};
    int how;

    (void)state;
    memset(&forking, 0, sizeof forking);
    set_up(&forking.stage);
    forking.stage.config.memory = kva_memory_host();
    begin(&forking.stage);
    team_start(&team, churn, &forking);
    team_start(&team, churn, &forking);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(kva_vm_fork_prepare(forking.stage.vm), KVA_OK);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            must(kva_vm_fork_child(forking.stage.vm) == KVA_OK);
            use_in_child(forking.stage.vm);
        }
        assert_int_equal(kva_vm_fork_parent(forking.stage.vm), KVA_OK);
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    atomic_store(&forking.is_over, true);
    team_join(&team);
    end(&forking.stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_2_to_16_threads),
        cmocka_unit_test(test_threads_of_the_host),
        cmocka_unit_test(test_threads_without_cache_and_parking),
        cmocka_unit_test(test_threads_hardened),
        cmocka_unit_test(test_idle_areas_are_used_before_enospc),
        cmocka_unit_test(test_freed_area_is_not_found_as_live),
        cmocka_unit_test(test_chunks_appear_as_a_whole),
        cmocka_unit_test(test_first_maps_at_once),
        cmocka_unit_test(test_possible_cpus_0_and_2),
        cmocka_unit_test(test_two_purges_at_once),
        cmocka_unit_test(test_purges_end_under_memory_pressure),
        cmocka_unit_test(test_concurrent_frees_of_one_area),
        cmocka_unit_test(test_long_areas_are_closed_in_parts),
        cmocka_unit_test(test_fork_during_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
