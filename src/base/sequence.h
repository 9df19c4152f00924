/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Sequence counts: how a reader without a lock finds out that what it read was being changed. Changes come
 * one at a time, under a lock; the count is odd while one is on.
 *
 *      writer    count + 1 (odd)   fence   |  changes  |   count + 1 (even)
 *      reader               count   |  reads  |   fence   count again: the same, and even? the reads are good
 *
 * The writer's odd count goes before its changes (release fence) and its even one after them (release); the
 * reader's first look goes before its reads (acquire) and its second after them (acquire fence). So a read
 * that saw a part of a change is followed by a look that sees the odd count, or a later one. Counts wrap
 * after 2^31 changes: a reader would have to sleep through exactly a multiple of these.
 *
 * ThreadSanitizer has no fences: with it, atomic steps that read and write stand in their place.
 */
#ifndef KVA_BASE_SEQUENCE_H
#define KVA_BASE_SEQUENCE_H

#include <stdatomic.h>

#include "assumptions.h"

/* gcc defines a macro for it, clang has a feature test. */
#if defined(__SANITIZE_THREAD__)
#define KVA_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KVA_TSAN 1
#endif
#endif
#ifndef KVA_TSAN
#define KVA_TSAN 0
#endif

static inline void begin_change(_Atomic uint32_t *count)
{
#if KVA_TSAN
    atomic_fetch_add_explicit(count, 1, memory_order_acq_rel);
#else
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
#endif
}

static inline void end_change(_Atomic uint32_t *count)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_release);
}

/** False while a change is on. */
static inline bool begin_reading(const _Atomic uint32_t *count, uint32_t *seen)
{
    *seen = atomic_load_explicit(count, memory_order_acquire);
    return (*seen & 1) == 0;
}

/** Whether nothing that was read since has changed. */
static inline bool is_unchanged(const _Atomic uint32_t *count, uint32_t seen)
{
#if KVA_TSAN
    return atomic_fetch_add_explicit((_Atomic uint32_t *)count, 0, memory_order_acq_rel) == seen;
#else
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(count, memory_order_relaxed) == seen;
#endif
}

/** Whether no change is under way. With the lock that changes are made under. */
static inline bool is_at_rest(const _Atomic uint32_t *count)
{
    return (atomic_load_explicit(count, memory_order_relaxed) & 1) == 0;
}

#endif
