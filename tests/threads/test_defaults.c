/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Which locks a space or an instance has when its configuration gives no thread functions, gives a table of
 * them, or sets one_thread. The four functions that create one follow one rule. kva_space_create once created
 * spaces without locks where kva_vm_create created instances with them, and two threads corrupted such a
 * space.
 */
#include "stamps.h"

#include <pthread.h>
#include <string.h>

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/threads.h>
#include <kva/vm.h>

#include "../../ports/test/failing_memory.h"

#define PAGE UINT64_C(0x1000)
#define MIB (UINT64_C(1) << 20)

/* --------------------------------------------------------------------------- inside and beside a callback */

/** A call from inside a callback is refused. A call from another thread meanwhile succeeds if the locks
 *  can tell threads apart. */
struct two_calls {
    enum kva_status (*call)(void *instance);
    void *instance;
    enum kva_status inside;
    enum kva_status beside;
};

static void *call_beside(void *context)
{
    struct two_calls *two_calls = context;

    two_calls->beside = two_calls->call(two_calls->instance);
    return NULL;
}

static void make_both_calls(struct two_calls *two_calls)
{
    pthread_t thread;

    two_calls->inside = two_calls->call(two_calls->instance);
    must(pthread_create(&thread, NULL, call_beside, two_calls) == 0);
    must(pthread_join(thread, NULL) == 0);
}

/** Whether the locks distinguish threads; fails unless both calls were made. */
static bool threads_were_distinguished(const struct two_calls *two_calls)
{
    assert_int_equal(two_calls->inside, KVA_EREENTRY);
    assert_true(two_calls->beside == KVA_OK || two_calls->beside == KVA_EREENTRY);
    return two_calls->beside == KVA_OK;
}

static enum kva_status alloc_page(void *space)
{
    struct kva_request request = kva_request_of(PAGE);
    uint64_t start;

    return kva_alloc(space, &request, &start);
}

static enum kva_status purge(void *vm)
{
    return kva_vm_purge(vm);
}

static void call_in_flush(void *context, uint64_t start, uint64_t last)
{
    (void)start;
    (void)last;
    make_both_calls(context);
}

static bool call_in_reclaim(void *context, struct kva_vm *vm, size_t size)
{
    (void)vm;
    (void)size;
    make_both_calls(context);
    return false;
}

/* ------------------------------------------------------------------------------------- the four functions */

enum { CPUS = 3 };

/** The configuration, and what the test observes of the locks. */
struct making {
    const struct kva_threads *threads;
    bool one_thread;
    bool is_apart;   /* the locks tell threads apart */
    unsigned points; /* passed in the given table of test_all_four_functions_follow_one_rule */
    size_t bytes;    /* of node memory: each CPU's pool or cache takes some */
};

static unsigned points_passed;

static void count_point(void *context)
{
    ++*(unsigned *)context;
}

static void look_at_space(struct kva_space *space, struct two_calls *two_calls, struct making *making)
{
    uint64_t start;
    struct kva_request request = kva_request_of(PAGE);

    points_passed = 0;
    two_calls->call = alloc_page;
    two_calls->instance = space;
    assert_int_equal(kva_alloc(space, &request, &start), KVA_OK);
    assert_int_equal(kva_free_deferred(space, start), KVA_OK);
    assert_int_equal(kva_flush(space), KVA_OK);
    making->is_apart = threads_were_distinguished(two_calls);
    making->points = points_passed;
    assert_int_equal(kva_space_abandon(space), KVA_OK);
}

static struct kva_config config_of_space(const struct making *making, struct two_calls *two_calls,
                                         struct kva_memory memory)
{
    return (struct kva_config){.last = 64 * MIB - 1,
                               .quantum = PAGE,
                               .memory = memory,
                               .flush = call_in_flush,
                               .flush_context = two_calls,
                               .cpus = CPUS,
                               .threads = making->threads,
                               .one_thread = making->one_thread,
                               .pool_bytes = MIB};
}

static enum kva_status make_by_space_create(struct making *making)
{
    struct kva_failing_memory memory;
    struct two_calls two_calls = {0};
    const struct kva_config config = config_of_space(making, &two_calls, kva_failing_memory_init(&memory));
    struct kva_space *space;
    enum kva_status status = kva_space_create(&config, &space);

    if (status != KVA_OK)
        return status;
    making->bytes = memory.bytes;
    look_at_space(space, &two_calls, making);
    return kva_space_destroy(space);
}

static enum kva_status make_by_space_init(struct making *making)
{
    struct kva_failing_memory memory;
    struct two_calls two_calls = {0};
    struct kva_config config = config_of_space(making, &two_calls, kva_failing_memory_init(&memory));
    struct kva_space space;

    config.engine = kva_engine_host();
    enum kva_status status = kva_space_init(&space, &config);
    if (status != KVA_OK)
        return status;
    making->bytes = memory.bytes;
    look_at_space(&space, &two_calls, making);
    return KVA_OK;
}

static void look_at_instance(struct kva_vm *vm, struct making *making)
{
    struct two_calls two_calls = {.call = purge, .instance = vm};
    struct kva_vm_reclaim reclaim = {.callback = call_in_reclaim, .context = &two_calls};

    points_passed = 0;
    assert_int_equal(kva_vm_reclaim_add(vm, &reclaim), KVA_OK);
    assert_null(kva_vmalloc(vm, 64 * MIB));
    assert_int_equal(kva_vm_reclaim_remove(vm, &reclaim), KVA_OK);
    making->is_apart = threads_were_distinguished(&two_calls);
    making->points = points_passed;
}

static struct kva_vm_config config_of_instance(const struct making *making, struct kva_memory memory)
{
    return (struct kva_vm_config){.reservation = 64 * MIB,
                                  .memory = memory,
                                  .cpus = CPUS,
                                  .threads = making->threads,
                                  .one_thread = making->one_thread};
}

static enum kva_status make_by_vm_create(struct making *making)
{
    struct kva_failing_memory memory;
    const struct kva_vm_config config = config_of_instance(making, kva_failing_memory_init(&memory));
    struct kva_vm *vm;
    enum kva_status status = kva_vm_create(&config, &vm);

    if (status != KVA_OK)
        return status;
    making->bytes = memory.bytes;
    look_at_instance(vm, making);
    return kva_vm_destroy(vm, NULL, NULL);
}

static enum kva_status make_by_vm_create_from(struct making *making)
{
    struct kva_failing_memory memory;
    struct kva_vm_config config = config_of_instance(making, kva_failing_memory_init(&memory));
    struct kva_vm *vm;

    config.engine = kva_engine_host();
    config.pages = kva_pages_host(KVA_MECHANISM_BEST);
    enum kva_status status = kva_vm_create_from(&config, &vm);
    if (status != KVA_OK)
        return status;
    making->bytes = memory.bytes;
    look_at_instance(vm, making);
    return kva_vm_destroy(vm, NULL, NULL);
}

/* ----------------------------------------------------------------------------------------------- the rule */

static const struct way {
    const char *name;
    enum kva_status (*make)(struct making *making);
    bool has_host;
} ways[] = {
    {"kva_space_create", make_by_space_create, true},
    {"kva_space_init", make_by_space_init, false},
    {"kva_vm_create", make_by_vm_create, true},
    {"kva_vm_create_from", make_by_vm_create_from, false},
};

enum { WAYS = sizeof ways / sizeof ways[0] };

/** Create one; fail unless it has the expected locks, and per-CPU records for as many CPUs. */
static void expect_locks(const struct way *way, const struct kva_threads *threads, bool one_thread)
{
    const bool has_locks = !one_thread && (threads || way->has_host);
    const bool uses_given = !one_thread && threads;
    struct making bare = {.one_thread = true};
    struct making making = {.threads = threads, .one_thread = one_thread};
    const char *given = threads ? "given" : "NULL";

    assert_int_equal(way->make(&bare), KVA_OK);
    enum kva_status status = way->make(&making);
    check_that(status == KVA_OK, "%s, threads %s, one_thread %d: KVA_OK expected, %s found", way->name, given,
               one_thread, kva_status_name(status));
    check_that(making.is_apart == has_locks, "%s, threads %s, one_thread %d: locks expected: %d, found: %d",
               way->name, given, one_thread, has_locks, making.is_apart);
    check_that((making.points > 0) == uses_given,
               "%s, threads %s, one_thread %d: use of the given table expected: %d, %u points found",
               way->name, given, one_thread, uses_given, making.points);
    check_that((making.bytes > bare.bytes) == has_locks && making.bytes >= bare.bytes,
               "%s, threads %s, one_thread %d: %zu bytes found, %zu without locks", way->name, given,
               one_thread, making.bytes, bare.bytes);
}

/** NULL means the host's table where there is a host, and no locks otherwise; one_thread means no locks
 *  everywhere. */
static void test_all_four_functions_follow_one_rule(void **state)
{
    struct kva_threads given = *kva_threads_host();

    (void)state;
    given.point = count_point;
    given.context = &points_passed;
    for (size_t i = 0; i < WAYS; i++) {
        for (unsigned one_thread = 0; one_thread < 2; one_thread++) {
            expect_locks(&ways[i], NULL, one_thread);
            expect_locks(&ways[i], &given, one_thread);
        }
    }
}

/** With one_thread the table is not read: an invalid one is not refused. */
static void test_one_thread_ignores_the_table(void **state)
{
    const struct kva_threads empty = {0};
    struct making making = {.threads = &empty};

    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        assert_int_equal(ways[i].make(&making), KVA_ENULL);
        expect_locks(&ways[i], &empty, true);
    }
}

/* ------------------------------------------------------------------------------------- threads on a space */

enum { THREADS = 4, PAGES = 1024, HELD = 8 };

struct crowd {
    struct kva_space *space;
    struct stamps stamps;
    uint64_t rounds; /* of each thread */
};

struct worker {
    struct crowd *crowd;
    struct test_rng rng;
    pthread_t thread;
    uint64_t start[HELD];
    uint64_t last[HELD];
    uint16_t stamp;
};

static void take(struct worker *worker, unsigned i)
{
    struct kva_request request = kva_request_of((1 + test_below(&worker->rng, 8)) * PAGE);

    must(kva_alloc(worker->crowd->space, &request, &worker->start[i]) == KVA_OK); /* there is room for all */
    worker->last[i] = worker->start[i] + request.size - 1;
    stamps_change(&worker->crowd->stamps, worker->start[i], worker->last[i], 0, worker->stamp);
}

static void give(struct worker *worker, unsigned i)
{
    stamps_change(&worker->crowd->stamps, worker->start[i], worker->last[i], worker->stamp, 0);
    must(kva_free(worker->crowd->space, worker->start[i]) == KVA_OK);
}

static void *work(void *context)
{
    struct worker *worker = context;

    for (unsigned i = 0; i < HELD; i++)
        take(worker, i);
    for (uint64_t round = 0; round < worker->crowd->rounds; round++) {
        unsigned i = (unsigned)test_below(&worker->rng, HELD);
        give(worker, i);
        take(worker, i);
    }
    for (unsigned i = 0; i < HELD; i++)
        give(worker, i);
    return NULL;
}

static void play_crowd(uint64_t pool_bytes)
{
    const struct kva_config config = {.last = PAGES * PAGE - 1, .quantum = PAGE, .pool_bytes = pool_bytes};
    struct crowd crowd = {.stamps = stamps_make(0, PAGE, PAGES), .rounds = test_scaled(50000)};
    struct worker workers[THREADS];
    struct kva_fault fault = {0};

    assert_int_equal(kva_space_create(&config, &crowd.space), KVA_OK);
    memset(workers, 0, sizeof workers);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].crowd = &crowd;
        workers[i].rng = test_rng_of(i);
        workers[i].stamp = (uint16_t)(i + 1);
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    check_that(kva_space_check(crowd.space, &fault) == KVA_OK, "%s: %s", fault.where, fault.what);
    stamps_drop(&crowd.stamps);
    assert_int_equal(kva_space_destroy(crowd.space), KVA_OK); /* nothing is busy */
}

/** Threads share a space whose configuration gives no thread functions. */
static void test_threads_share_a_default_space(void **state)
{
    (void)state;
    play_crowd(0);
    play_crowd(MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_four_functions_follow_one_rule),
        cmocka_unit_test(test_one_thread_ignores_the_table),
        cmocka_unit_test(test_threads_share_a_default_space),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
