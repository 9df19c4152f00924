/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "threads_space.h"

#include "fatal.h"
#include "machine.h"
#include "subject.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/threads.h>

/* A CPU may hold a full magazine of 32 ranges for each of 64 sizes: 32 * 2080 pages, 272 MB. */
#define POOL_BYTES_OF_CPU (UINT64_C(512) << 20)

void threads_must(enum kva_status status, const char *what)
{
    if (status == KVA_ENOMEM)
        bench_fatal(TOOL_REFUSED, "threads: %s: %s", what, kva_status_text(status));
    if (status != KVA_OK)
        bench_fatal(TOOL_WRONG, "threads: %s must not fail, but returned: %s", what, kva_status_text(status));
}

void shared_open(struct shared_space *shared, const char *engine, const struct sharing *sharing)
{
    struct kva_config config = {
        .last = SPACE_LAST,
        .quantum = PAGE,
        .engine = kva_engine_by_name(engine),
        .one_thread = !sharing->threads,
        .pool_bytes = sharing->pools ? machine_cpus() * POOL_BYTES_OF_CPU : 0,
    };
    threads_must(kva_space_create(&config, &shared->space), "a space");
    pthread_mutex_init(&shared->mutex, NULL); /* cannot fail on Linux with default attributes */
    shared->guarded = sharing->mutex;
}

void shared_close(struct shared_space *shared)
{
    struct kva_fault fault;
    if (kva_space_check(shared->space, &fault) != KVA_OK)
        bench_fatal(TOOL_WRONG, "threads: a space is corrupt: %s", fault.what);
    threads_must(kva_space_destroy(shared->space), "destroying a space");
    pthread_mutex_destroy(&shared->mutex);
}

static void enter(struct shared_space *shared)
{
    if (shared->guarded)
        pthread_mutex_lock(&shared->mutex);
}

static void leave(struct shared_space *shared)
{
    if (shared->guarded)
        pthread_mutex_unlock(&shared->mutex);
}

uint64_t shared_take(struct shared_space *shared, uint64_t pages)
{
    uint64_t address;
    struct kva_request request = kva_request_of(pages * PAGE);
    enter(shared);
    enum kva_status status = kva_alloc(shared->space, &request, &address);
    leave(shared);
    threads_must(status, "an allocation");
    return address;
}

void shared_give(struct shared_space *shared, uint64_t address)
{
    enter(shared);
    enum kva_status status = kva_free(shared->space, address);
    leave(shared);
    threads_must(status, "a free");
}

void shared_find(struct shared_space *shared, uint64_t start)
{
    struct kva_segment segment;
    enter(shared);
    enum kva_status status = kva_find(shared->space, start + PAGE / 2, &segment);
    leave(shared);
    if (status != KVA_OK || segment.start != start || segment.state != KVA_BUSY)
        bench_fatal(TOOL_WRONG, "threads: a live range was not found");
}

void shared_defer_all(struct shared_space *shared)
{
    threads_must(kva_set_deferred_limit(shared->space, UINT64_MAX), "a limit");
}

void shared_park(struct shared_space *shared, uint64_t address)
{
    enter(shared);
    enum kva_status status = kva_free_deferred(shared->space, address);
    leave(shared);
    threads_must(status, "a deferred free");
}

void shared_flush(struct shared_space *shared)
{
    enter(shared);
    enum kva_status status = kva_flush(shared->space);
    leave(shared);
    threads_must(status, "a flush");
}
