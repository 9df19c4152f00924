/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The slow paths of sync.h. */
#include "sync.h"

void kva_sync_pause(void)
{
    for (unsigned i = 0; i < 16; i++)
        spin_pause();
}

void kva_sync_wait(const struct kva_threads *threads, const _Atomic uint32_t *word, uint32_t value)
{
    threads->wait(threads->context, (const uint32_t *)(const void *)word, value);
}

void kva_sync_wake(const struct kva_threads *threads, const _Atomic uint32_t *word, bool all)
{
    threads->wake(threads->context, (const uint32_t *)(const void *)word, all);
}

/** Spin for a short while. True if the lock became free and was taken. */
static bool comes_free(struct kva_lock *lock)
{
    for (unsigned look = 0; look < LOCK_LOOKS; look++) {
        uint32_t state = atomic_load_explicit(&lock->word, memory_order_relaxed);
        if (state == KVA_LOCK_FREE &&
            atomic_compare_exchange_weak_explicit(&lock->word, &state, KVA_LOCK_HELD, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
        spin_pause();
    }
    return false;
}

void kva_lock_wait(struct kva_lock *lock, const struct kva_threads *threads)
{
    atomic_fetch_add_explicit(&lock->waiting, 1, memory_order_relaxed);
    if (!comes_free(lock)) {
        while (atomic_exchange_explicit(&lock->word, KVA_LOCK_MARKED, memory_order_acquire) != KVA_LOCK_FREE)
            kva_sync_wait(threads, &lock->word, KVA_LOCK_MARKED);
    }
    atomic_fetch_add_explicit(&lock->passed, 1, memory_order_release);
    atomic_fetch_sub_explicit(&lock->waiting, 1, memory_order_release);
    if (lock->watchers > 0)
        kva_sync_wake(threads, &lock->passed, true);
}

void kva_lock_yield_to_waiters(struct kva_lock *lock, const struct kva_threads *threads)
{
    if (!threads)
        return;
    uint32_t passed = atomic_load_explicit(&lock->passed, memory_order_relaxed);
    lock->watchers++;
    lock_drop(lock, threads);
    while (atomic_load_explicit(&lock->waiting, memory_order_acquire) > 0 &&
           atomic_load_explicit(&lock->passed, memory_order_acquire) == passed)
        kva_sync_wait(threads, &lock->passed, passed);
    lock_take(lock, threads);
    lock->watchers--;
}

const char *kva_missing_in_threads(const struct kva_threads *threads)
{
    if (!threads->wait)
        return "threads.wait";
    if (!threads->wake)
        return "threads.wake";
    if (!threads->cpu)
        return "threads.cpu";
    return threads->self ? NULL : "threads.self";
}
