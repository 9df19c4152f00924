/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** All locks of an instance at once; see locks.h. */
#include "locks.h"

bool kva_reclaim_take(const struct kva_locks *locks)
{
    if (!locks || lock_try(&lockable(locks)->reclaim, locks->threads))
        return false;
    main_drop(locks);
    lock_take(&lockable(locks)->reclaim, locks->threads);
    main_take(locks);
    return true;
}

void kva_cpus_take(const struct kva_locks *locks)
{
    for (unsigned i = 0; i < locks->cpu_count; i++)
        lock_take(cpu_record(locks, i), locks->threads);
}

void kva_cpus_drop(const struct kva_locks *locks)
{
    for (unsigned i = locks->cpu_count; i-- > 0;)
        lock_drop(cpu_record(locks, i), locks->threads);
}

void kva_locks_freeze(const struct kva_locks *locks)
{
    main_take(locks);
    kva_cpus_take(locks);
}

void kva_locks_thaw(const struct kva_locks *locks)
{
    kva_cpus_drop(locks);
    main_drop(locks);
}

void kva_locks_reset(struct kva_locks *locks)
{
    for (unsigned i = 0; i < locks->cpu_count; i++)
        lock_reset(cpu_record(locks, i));
    lock_reset(&locks->main);
    lock_reset(&locks->reclaim);
}
