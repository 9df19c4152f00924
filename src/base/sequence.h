/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Sequence locks: a reader without a lock detects that its data changed while it read them. Writers hold a
 * lock; the count is odd during a change.
 *
 *      writer    count + 1 (odd)   fence   |  changes  |   count + 1 (even)
 *      reader         read the count   |  reads  |   fence   read the count again
 *
 * The reads are valid if both counts are equal and even.
 *
 * PROOF. The writer orders its odd count before its changes (release fence) and its even count after them
 * (release store). The reader orders its first count before its reads (acquire load) and its second after
 * them (acquire fence). So the reads see all changes before the first count, and a read that saw a part of a
 * later change is followed by a count that is odd, or even and later: it differs from the first. The count
 * wraps after 2^31 changes: a reader errs only if exactly a multiple of that many pass between its two
 * counts.
 *
 * ThreadSanitizer does not support fences: in its builds, read-modify-write operations replace them.
 *
 * SOURCE. Sequence locks come from Linux (include/linux/seqlock.h). The reader's acquire fence: H.-J. Boehm,
 * "Can seqlocks get along with programming language memory models?", 2012. The code was written afresh.
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

/** Read the count. False during a change. */
static inline bool begin_reading(const _Atomic uint32_t *count, uint32_t *seen)
{
    *seen = atomic_load_explicit(count, memory_order_acquire);
    return (*seen & 1) == 0;
}

/** Whether no change has begun since begin_reading returned true with `seen`. */
static inline bool is_unchanged(const _Atomic uint32_t *count, uint32_t seen)
{
#if KVA_TSAN
    return atomic_fetch_add_explicit((_Atomic uint32_t *)count, 0, memory_order_acq_rel) == seen;
#else
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(count, memory_order_relaxed) == seen;
#endif
}

/** Whether no change is under way. Requires the writers' lock. */
static inline bool is_at_rest(const _Atomic uint32_t *count)
{
    return (atomic_load_explicit(count, memory_order_relaxed) & 1) == 0;
}

#endif
