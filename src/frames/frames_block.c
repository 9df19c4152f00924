/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The slow path of a block's lock. */
#include "frames_block.h"

/** Take the lock if it is free. A caller that has slept sets the mark, because others may still sleep. */
static bool take_lock(struct frames_header *header, uint32_t mark)
{
    uint32_t low = atomic_load_explicit(&header->low, memory_order_relaxed);

    return !(low & HEADER_LOCK) &&
           atomic_compare_exchange_strong_explicit(&header->low, &low, low | HEADER_LOCK | mark,
                                                   memory_order_acquire, memory_order_relaxed);
}

/** Mark a lock that is held. Returns the word: marked, or without the lock's bit if it has been dropped. */
static uint32_t mark_lock(struct frames_header *header)
{
    uint32_t low = atomic_load_explicit(&header->low, memory_order_relaxed);

    while ((low & HEADER_LOCK) && !(low & HEADER_MARK)) {
        if (atomic_compare_exchange_weak_explicit(&header->low, &low, low | HEADER_MARK, memory_order_relaxed,
                                                  memory_order_relaxed))
            return low | HEADER_MARK;
    }
    return low;
}

void kva_block_wait(struct frames_header *header, const struct kva_threads *threads)
{
    sync_point(threads);
    for (unsigned look = 0; look < LOCK_LOOKS; look++) {
        if (take_lock(header, 0))
            return;
        spin_pause();
    }
    while (!take_lock(header, HEADER_MARK)) {
        uint32_t low = mark_lock(header);
        if (low & HEADER_LOCK)
            kva_sync_wait(threads, &header->low, low);
    }
}

void kva_block_wake(struct frames_header *header, const struct kva_threads *threads, bool is_marked)
{
    if (is_marked)
        kva_sync_wake(threads, &header->low, false);
    sync_point(threads);
}
