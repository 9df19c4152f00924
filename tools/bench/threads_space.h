/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A space that threads share. It locks for itself, or a mutex stands around each call, or only one thread
 * uses it. Whatever a call returns but success ends the program.
 */
#ifndef KVA_TOOLS_BENCH_THREADS_SPACE_H
#define KVA_TOOLS_BENCH_THREADS_SPACE_H

#include <kva/kva.h>

#include <pthread.h>
#include <stdbool.h>

/** What a space is made with. */
struct sharing {
    bool threads; /* it locks for itself */
    bool pools;
    bool mutex; /* around each call */
};

struct shared_space {
    struct kva_space *space;
    bool guarded;
    pthread_mutex_t mutex;
};

void shared_open(struct shared_space *shared, const char *engine, const struct sharing *sharing);

/** End a space in which nothing is taken any more; every invariant is verified first. */
void shared_close(struct shared_space *shared);

uint64_t shared_take(struct shared_space *shared, uint64_t pages);
void shared_give(struct shared_space *shared, uint64_t address);

/** Look up an address within a live range that begins at `start`. */
void shared_find(struct shared_space *shared, uint64_t start);

/** Deferred frees without a limit; a deferred free; and a flush of all of them. */
void shared_defer_all(struct shared_space *shared);
void shared_park(struct shared_space *shared, uint64_t address);
void shared_flush(struct shared_space *shared);

/** End the program unless a call succeeded. */
void threads_must(enum kva_status status, const char *what);

#endif
