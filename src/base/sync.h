/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Locks over a port's table of functions (struct kva_threads). A NULL table stands for one thread: then every
 * function here only tests the pointer.
 *
 * A LOCK is a word in one of three states. A thread that finds it free takes it with one compare-and-swap. A
 * thread that finds it held spins for a short while, then exchanges the word for `marked`, and waits unless
 * that exchange returned `free`. A mark may be stale, but every thread that sleeps has set it.
 *
 *      take    free -> held               by compare-and-swap
 *      wait    any -> marked              by exchange; the thread whose exchange returned `free` has the lock
 *      drop    held or marked -> free     by exchange; if it returned `marked`, wake one thread
 *
 * ALONE. While the port reports a single thread, plain loads and stores replace the atomic operations. The
 * word passes through the same states, so a second thread may start while the lock is held.
 *
 * YIELDING. The lock is unfair, which makes it cheap: a running thread takes it before one that must wake up.
 * A thread that drops it between the slices of a long operation and takes it again at once could therefore
 * keep all others out. kva_lock_yield_to_waiters lets one waiting thread pass first:
 *   1. `waiting` counts the threads on the slow path without the lock, `passed` those that got it there.
 *      Only the increment of `waiting` happens without the lock.
 *   2. The yielding thread reads `passed` under the lock. No thread is then between getting the lock and
 *      counting itself.
 *   3. A thread that waits after the drop passes later, or has passed since the drop. Either way `passed`
 *      changes from the value read, which ends the wait, because no thread holds the lock forever.
 */
#ifndef KVA_BASE_SYNC_H
#define KVA_BASE_SYNC_H

#include <kva/threads.h>

#include <stdatomic.h>

#include "assumptions.h"

_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "a port waits on an atomic word as a plain one");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_POINTER_LOCK_FREE == 2, "words and pointers need no lock");

enum { KVA_LOCK_FREE, KVA_LOCK_HELD, KVA_LOCK_MARKED };

/** Zeroed: free. */
struct kva_lock {
    _Atomic uint32_t word;
    _Atomic uint32_t waiting;
    _Atomic uint32_t passed;
    uint32_t watchers; /* of `passed`; changed and read under the lock */
};

/** The required function that a port's table lacks, as a field of the configuration; NULL if it lacks
 *  none. */
const char *kva_missing_in_threads(const struct kva_threads *threads);

/** The table that a configuration selects; NULL: one thread, no lock. */
static inline const struct kva_threads *threads_asked(const struct kva_threads *threads, bool one_thread)
{
    return one_thread ? NULL : threads;
}

/** How often a thread reads a held lock before it sleeps. A lock is held for some hundred nanoseconds; a
 *  read with its pause takes some ten; to sleep and wake up takes some microseconds. A lock that is not
 *  free after 100 reads, about a microsecond, probably belongs to a thread that does not run, and spinning
 *  would only delay it. */
enum { LOCK_LOOKS = 100 };

/** The slow path of lock_take. */
void kva_lock_wait(struct kva_lock *lock, const struct kva_threads *threads);

/** The processor's hint between two reads of a word that another CPU is about to change. */
static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/** Spin for about a microsecond, as long as a change of a tree takes. */
void kva_sync_pause(void);

/** Block while *word == value. May return spuriously. */
void kva_sync_wait(const struct kva_threads *threads, const _Atomic uint32_t *word, uint32_t value);

/** Wake one thread that waits on *word, or all of them. */
void kva_sync_wake(const struct kva_threads *threads, const _Atomic uint32_t *word, bool all);

/** A scheduling point: tests switch threads here. */
static inline void sync_point(const struct kva_threads *threads)
{
    if (threads && threads->point)
        threads->point(threads->context);
}

/** Whether the process has a single thread. */
static inline bool is_alone(const struct kva_threads *threads)
{
    return threads->alone && *(const volatile char *)threads->alone;
}

/** Take a lock if it is free; returns whether it was. */
static inline bool lock_try(struct kva_lock *lock, const struct kva_threads *threads)
{
    uint32_t state = KVA_LOCK_FREE;

    if (!threads)
        return true;
    sync_point(threads);
    if (is_alone(threads)) {
        bool is_free = atomic_load_explicit(&lock->word, memory_order_relaxed) == KVA_LOCK_FREE;
        if (is_free)
            atomic_store_explicit(&lock->word, KVA_LOCK_HELD, memory_order_relaxed);
        return is_free;
    }
    return atomic_compare_exchange_strong_explicit(&lock->word, &state, KVA_LOCK_HELD, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline void lock_take(struct kva_lock *lock, const struct kva_threads *threads)
{
    if (!lock_try(lock, threads))
        kva_lock_wait(lock, threads);
}

static inline void lock_drop(struct kva_lock *lock, const struct kva_threads *threads)
{
    if (!threads)
        return;
    if (is_alone(threads))
        atomic_store_explicit(&lock->word, KVA_LOCK_FREE, memory_order_relaxed);
    else if (atomic_exchange_explicit(&lock->word, KVA_LOCK_FREE, memory_order_release) == KVA_LOCK_MARKED)
        kva_sync_wake(threads, &lock->word, false);
    sync_point(threads);
}

/** Free a lock in the child of a fork: threads that held it or waited for it do not exist there. */
static inline void lock_reset(struct kva_lock *lock)
{
    atomic_store_explicit(&lock->word, KVA_LOCK_FREE, memory_order_relaxed);
    atomic_store_explicit(&lock->waiting, 0, memory_order_relaxed);
    lock->watchers = 0;
}

/** Drop a lock, let a waiting thread pass if there is one, and take it again. */
void kva_lock_yield_to_waiters(struct kva_lock *lock, const struct kva_threads *threads);

#endif
