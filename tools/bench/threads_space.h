/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A space that threads share. It locks internally, or a mutex guards each call, or only one thread uses it. A
 * call that fails ends the program.
 */
#ifndef KVA_TOOLS_BENCH_THREADS_SPACE_H
#define KVA_TOOLS_BENCH_THREADS_SPACE_H

#include <kva/kva.h>

#include <pthread.h>
#include <stdbool.h>

/** How a space is shared. */
struct sharing {
    bool threads; /* the space locks internally */
    bool pools;
    bool mutex; /* a mutex guards each call */
};

struct shared_space {
    struct kva_space *space;
    bool guarded;
    pthread_mutex_t mutex;
};

void shared_open(struct shared_space *shared, const char *engine, const struct sharing *sharing);

/** Verify every invariant, and destroy a space without live ranges. */
void shared_close(struct shared_space *shared);

uint64_t shared_take(struct shared_space *shared, uint64_t pages);
void shared_give(struct shared_space *shared, uint64_t address);

/** Look up an address in the live range that begins at `start`. */
void shared_find(struct shared_space *shared, uint64_t start);

/** Lift the limit of deferred frees; free deferred; flush all deferred ranges. */
void shared_defer_all(struct shared_space *shared);
void shared_park(struct shared_space *shared, uint64_t address);
void shared_flush(struct shared_space *shared);

/** End the program unless the call succeeded. */
void threads_must(enum kva_status status, const char *what);

#endif
