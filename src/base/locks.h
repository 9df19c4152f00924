/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The locks of a space or of an instance of vmap, and the ORDER OF LOCKS, which holds throughout kva:
 *
 *      reclaim     serialises the reclaim callbacks and changes of their list. Held while one of them runs
 *      main        protects the state of the instance. Not held while a flush or reclaim callback runs
 *      CPU locks   one in each CPU's record, in the order of the CPUs' numbers
 *
 * A thread that holds a lock waits only for locks further down. It may try any lock at any time.
 *
 * kva holds no locks of two instances at once: the spaces inside vmap have no locks, because vmap's locks
 * protect them. A reclaim callback runs with the reclaim lock of its instance held, and may use another
 * instance. Two callbacks that each run short in the other's instance deadlock: programs must not do that.
 *
 * A CPU's record begins with its lock and occupies cache lines of its own. Any thread may use any record,
 * under its lock; a thread tries the record of its current CPU first.
 */
#ifndef KVA_BASE_LOCKS_H
#define KVA_BASE_LOCKS_H

#include "sync.h"

struct kva_locks {
    const struct kva_threads *threads; /* NULL: one thread; no lock is taken */
    void *cpus;                        /* cpu_count records of cpu_bytes each */
    size_t cpu_bytes;
    unsigned cpu_count;
    unsigned char apart[KVA_LINE]; /* keeps the fields above, which are only read, off the locks' lines */
    struct kva_lock main;
    struct kva_lock reclaim;
};

/** The locks of a constant instance: a lookup changes them and nothing else. */
static inline struct kva_locks *lockable(const struct kva_locks *locks)
{
    return (struct kva_locks *)(uintptr_t)locks;
}

/** The calling thread; 1 if there is only one. */
static inline uintptr_t thread_self(const struct kva_threads *threads)
{
    return threads ? threads->self(threads->context) : 1;
}

/* Below, `locks` may be NULL: nothing is locked. */

static inline void main_take(const struct kva_locks *locks)
{
    if (locks)
        lock_take(&lockable(locks)->main, locks->threads);
}

static inline void main_drop(const struct kva_locks *locks)
{
    if (locks)
        lock_drop(&lockable(locks)->main, locks->threads);
}

/** Yield the main lock to waiters (sync.h). */
static inline void main_yield(const struct kva_locks *locks)
{
    if (locks)
        kva_lock_yield_to_waiters(&lockable(locks)->main, locks->threads);
}

/** With the main lock held, take the reclaim lock, which precedes it in the order. True if this had to wait:
 *  the main lock was dropped meanwhile. */
bool kva_reclaim_take(const struct kva_locks *locks);

static inline void reclaim_drop(const struct kva_locks *locks)
{
    if (locks)
        lock_drop(&lockable(locks)->reclaim, locks->threads);
}

/* Below, `locks` is not NULL. */

/** The record of CPU number i. */
static inline void *cpu_record(const struct kva_locks *locks, unsigned i)
{
    return (char *)locks->cpus + i * locks->cpu_bytes;
}

/** The record of the CPU that the caller probably runs on; the first one if there is only one thread. */
static inline void *cpu_here(const struct kva_locks *locks)
{
    const struct kva_threads *threads = locks->threads;
    unsigned number = threads ? threads->cpu(threads->context) : 0;

    return cpu_record(locks, number < locks->cpu_count ? number : number % locks->cpu_count);
}

/** Take or drop the locks of all CPUs. */
void kva_cpus_take(const struct kva_locks *locks);
void kva_cpus_drop(const struct kva_locks *locks);

/** Take or drop the main lock and the locks of all CPUs. While they are held, the instance does not
 *  change. */
void kva_locks_freeze(const struct kva_locks *locks);
void kva_locks_thaw(const struct kva_locks *locks);

/** Free all locks, in the child of a fork, which has no other thread. */
void kva_locks_reset(struct kva_locks *locks);

#endif
