/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Locks, over the table of functions that a port gives (struct kva_threads). A NULL table stands for one
 * thread: then nothing here does anything but a test.
 *
 * A LOCK is a word in one of three states. A thread that finds it free takes it with one compare-and-swap; a
 * thread that finds it held spins for a short while, and then marks the word and waits. A mark may be stale,
 * but none is ever missing: what waits has marked.
 *
 *      free --compare-and-swap--> held              drop: swap free in; if what comes out is marked, wake one
 *      free, held, marked --swap marked in--> marked, and the thread that got free out of it holds the lock
 *
 * ALONE. Where the port knows that there is one thread, a lock is taken and dropped by plain steps. The word
 * goes through the same states, so that it does not matter whether a thread comes to be while it is held.
 *
 * MAKING WAY. The lock is not fair: a thread that runs takes it before one that has to wake up first. That is
 * what makes it cheap; but a thread that drops it between two slices of a long work, only to take it again at
 * once, could keep the others out for as long as the work lasts. lock_yield_to_waiters lets one of those in that wait
 * now:
 *   1. `waiting` counts the threads that are on the slow path and do not hold the lock yet, `passed` those
 *      that have got it there. Both change under the lock but for the first step, the count upwards.
 *   2. Read under the lock, `passed` is settled: no thread is between getting the lock and counting itself.
 *   3. So if someone waits after the lock has been dropped, it has yet to pass or has passed since then;
 *      `passed` will differ from what was read, and the wait for that ends, because no other thread keeps the
 *      lock for ever.
 */
#ifndef KVA_BASE_SYNC_H
#define KVA_BASE_SYNC_H

#include <kva/threads.h>

#include <stdatomic.h>

#include "assumptions.h"

_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t),
               "a port waits on the word that an atomic word is");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_POINTER_LOCK_FREE == 2, "words and pointers need no lock");

enum { KVA_LOCK_FREE, KVA_LOCK_HELD, KVA_LOCK_MARKED };

/** Zeroed: free. */
struct kva_lock {
    _Atomic uint32_t word;
    _Atomic uint32_t waiting;
    _Atomic uint32_t passed;
    uint32_t watchers; /* of `passed`; changed and read under the lock */
};

/** The function that a port's table lacks, as a field of the configuration; NULL if it has all that it must
 *  have. */
const char *kva_missing_in_threads(const struct kva_threads *threads);

/** The threads that a configuration of a space or of an instance asks for; NULL: one thread, and no lock. */
static inline const struct kva_threads *threads_asked(const struct kva_threads *threads, bool one_thread)
{
    return one_thread ? NULL : threads;
}

/** How often to look before going to sleep. A lock is held for some hundred nanoseconds, a look takes some
 *  ten with the pause; to sleep and be woken costs some microseconds. So what has not come free after 100
 *  looks, about a microsecond, is held by a thread that does not run, and looking on would only keep it from
 *  running. */
enum { LOCK_LOOKS = 100 };

/** The way in when the lock was not free. */
void kva_lock_wait(struct kva_lock *lock, const struct kva_threads *threads);

/** Between two looks at a word that another CPU is about to change. */
static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/** Let about a microsecond pass: as long as a change of a tree takes. */
void kva_sync_pause(void);

/** Sleep until *word may differ from `value`. */
void kva_sync_wait(const struct kva_threads *threads, const _Atomic uint32_t *word, uint32_t value);

/** Wake one thread that waits on *word, or all of them. */
void kva_sync_wake(const struct kva_threads *threads, const _Atomic uint32_t *word, bool all);

/** A place where another thread may get its turn: tests hang their schedulers here. */
static inline void sync_point(const struct kva_threads *threads)
{
    if (threads && threads->point)
        threads->point(threads->context);
}

/** Whether no other thread can see what this one does. */
static inline bool is_alone(const struct kva_threads *threads)
{
    return threads->alone && *(const volatile char *)threads->alone;
}

/** Whether a lock could be taken without a wait. */
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

/** After a fork, in the child: of all threads that held the lock or waited for it, only the caller is
 *  left. */
static inline void lock_reset(struct kva_lock *lock)
{
    atomic_store_explicit(&lock->word, KVA_LOCK_FREE, memory_order_relaxed);
    atomic_store_explicit(&lock->waiting, 0, memory_order_relaxed);
    lock->watchers = 0;
}

/** Drop a lock, let one of those in that wait for it, if any do, and take it again. */
void kva_lock_yield_to_waiters(struct kva_lock *lock, const struct kva_threads *threads);

#endif
