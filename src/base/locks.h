/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The locks of an instance, be it a space or an instance of vmap, and THE ORDER OF LOCKS, which is one for
 * all of kva:
 *
 *      reclaim     to ask the reclaim callbacks, or to change their list. Held while one of them runs
 *      main        the state of the instance. Never held while a callback runs
 *      the CPUs'   one in each CPU's record, in the order of the CPUs' numbers
 *
 * A thread that holds one of these waits only for locks further down. It may try any lock at any time.
 *
 * kva itself holds no locks of two instances at once: the spaces that vmap uses have none, since vmap's locks
 * protect them. A reclaim callback that uses another instance does it with the reclaim lock of its own; so
 * two callbacks must not each be short of something in the other's instance.
 *
 * A CPU's record begins with its lock, and lies on cache lines of its own. "CPU" is only where a thread looks
 * first: any thread may use any record, under its lock.
 */
#ifndef KVA_BASE_LOCKS_H
#define KVA_BASE_LOCKS_H

#include "sync.h"

struct kva_locks {
    const struct kva_threads *threads; /* NULL: one thread, so that no lock is ever taken */
    void *cpus;                        /* cpu_count records, of cpu_bytes each */
    size_t cpu_bytes;
    unsigned cpu_count;
    unsigned char apart[KVA_LINE]; /* what is only read lies above, on lines that no lock shares */
    struct kva_lock main;
    struct kva_lock reclaim;
};

/** A look-up has a constant instance. Its locks are the part of it that the look-up changes. */
static inline struct kva_locks *lockable(const struct kva_locks *locks)
{
    return (struct kva_locks *)(uintptr_t)locks;
}

/** The calling thread; where there is only one, 1 stands for it. */
static inline uintptr_t thread_self(const struct kva_threads *threads)
{
    return threads ? threads->self(threads->context) : 1;
}

/* Below, `locks` may be NULL: there is nothing to lock. */

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

/** Let a thread that waits for the main lock have it, if one does, and take it again. */
static inline void main_yield(const struct kva_locks *locks)
{
    if (locks)
        kva_lock_yield_to_waiters(&lockable(locks)->main, locks->threads);
}

/** With the main lock held: take the reclaim lock, which comes first. True if that took a wait, during which
 *  the main lock was free. */
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

/** The record of the CPU that the caller probably runs on. Threads without threads use the first one. */
static inline void *cpu_here(const struct kva_locks *locks)
{
    const struct kva_threads *threads = locks->threads;
    unsigned number = threads ? threads->cpu(threads->context) : 0;

    return cpu_record(locks, number < locks->cpu_count ? number : number % locks->cpu_count);
}

/** The locks of all CPUs. */
void kva_cpus_take(const struct kva_locks *locks);
void kva_cpus_drop(const struct kva_locks *locks);

/** The main lock and those of all CPUs: the instance stands still. */
void kva_locks_freeze(const struct kva_locks *locks);
void kva_locks_thaw(const struct kva_locks *locks);

/** In the child of a fork, where no other thread is left: all locks are free. */
void kva_locks_reset(struct kva_locks *locks);

#endif
