/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * One block: its header, which is also its lock, and the states of its frames.
 *
 * STATES. Two bits a frame, in pairs of words for 64 frames each:
 *
 *      taken   first
 *        0       0     free
 *        1       1     used, the first frame of a run
 *        1       0     used, the inside of a run
 *        0       1     absent: a hole, or beyond an end of the zone
 *
 * A run ends before the first frame that is not inside. A block that one run covers from end to end is WHOLE:
 * its header says so, and its states stay zero.
 *
 * HEADER. Two words of 32 bits, because not every host has atomic operations on 64:
 *
 *       31    28 27          16 15  13 12   9  8    7    6    5  4  3  2   1    0
 *      | hint   | owner        | slot | top  |tail|head|cont|whole|kind |mark|lock|    low
 *       31 30   29     28   27          14 13                                    0
 *      |     | skip | moving | used       | free                                  |    high
 *
 *      lock, mark   the lock; mark: a thread sleeps until it is dropped. The other fields stay in memory
 *                   while it is held
 *      kind         enum frames_kind
 *      whole        enum frames_whole
 *      cont         the run that the last frame is part of goes on in the next block
 *      head, tail   the first, the last frame is free; undefined in a held block
 *      top          no naturally aligned group of free frames is larger than 2^top (a bound); undefined in a
 *                   held block
 *      slot, owner  the number of the CPU that holds the block, plus one, and in which slot; owner 0: no CPU
 *                   holds it
 *      hint         no frame is free before this sixteenth of the block (words, in blocks of up to 16 words)
 *      free, used   how many frames are free, and how many in use; the others are absent
 *      moving       runs of the block are isolated: they are about to be moved (frames_isolate.h)
 *      skip         compaction has examined all of the block in vain
 *
 * All but the lock and the mark change only under the lock. A header is handled as one 64-bit value, `h`
 * below, without the bits of the lock.
 */
#ifndef KVA_FRAMES_BLOCK_H
#define KVA_FRAMES_BLOCK_H

#include "../base/arith.h"
#include "../base/sync.h"

/** HOT: inlined, because most calls take this path. APART: not inlined, so that only the calls that take this
 *  path save its registers. */
#define FRAMES_HOT static inline __attribute__((always_inline))
#define FRAMES_APART static __attribute__((noinline))

enum frames_kind {
    KIND_UNUSED = 0,    /* no frame is in use, and no CPU holds the block */
    KIND_UNMOVABLE = 1, /* some frame may be unmovable */
    KIND_MOVABLE = 2    /* all frames in use are movable */
};

enum frames_whole {
    WHOLE_NOT = 0,
    WHOLE_FIRST = 1, /* a run begins with the block, and covers it */
    WHOLE_INSIDE = 2 /* a run that begins before the block covers it */
};

#define HEADER_LOCK UINT32_C(1)
#define HEADER_MARK UINT32_C(2)

/** A field of h: where it begins, and how many bits it has. */
enum {
    KIND_AT = 2,
    WHOLE_AT = 4,
    CONT_AT = 6,
    HEAD_AT = 7,
    TAIL_AT = 8,
    TOP_AT = 9,
    SLOT_AT = 13,
    OWNER_AT = 16,
    HINT_AT = 28,
    FREE_AT = 32,
    USED_AT = 46,
    MOVING_AT = 60,
    SKIP_AT = 61,
};

#define FIELD_MASK(at, bits) (((UINT64_C(1) << (bits)) - 1) << (at))
#define KIND_MASK FIELD_MASK(KIND_AT, 2)
#define WHOLE_MASK FIELD_MASK(WHOLE_AT, 2)
#define CONT_MASK FIELD_MASK(CONT_AT, 1)
#define HEAD_MASK FIELD_MASK(HEAD_AT, 1)
#define TAIL_MASK FIELD_MASK(TAIL_AT, 1)
#define TOP_MASK FIELD_MASK(TOP_AT, 4)
#define SLOT_MASK FIELD_MASK(SLOT_AT, 3)
#define OWNER_MASK FIELD_MASK(OWNER_AT, 12)
#define HINT_MASK FIELD_MASK(HINT_AT, 4)
#define FREE_MASK FIELD_MASK(FREE_AT, 14)
#define USED_MASK FIELD_MASK(USED_AT, 14)
#define MOVING_MASK FIELD_MASK(MOVING_AT, 1)
#define SKIP_MASK FIELD_MASK(SKIP_AT, 1)

struct frames_header {
    _Atomic uint32_t low;
    /** Changed under the lock; atomic for readers without it, which need an estimate only. */
    _Atomic uint32_t high;
};

/** The state of 64 frames. */
struct frames_word {
    uint64_t taken;
    uint64_t first;
};

/* ------------------------------------------------------------------------------------------------ fields */

static inline uint32_t header_field(uint64_t h, uint64_t mask, unsigned at)
{
    return (uint32_t)((h & mask) >> at);
}

static inline uint64_t header_with(uint64_t h, uint64_t mask, unsigned at, uint64_t value)
{
    return (h & ~mask) | value << at;
}

static inline uint32_t free_of(uint64_t h)
{
    return header_field(h, FREE_MASK, FREE_AT);
}

static inline uint32_t used_of(uint64_t h)
{
    return header_field(h, USED_MASK, USED_AT);
}

static inline enum frames_kind kind_of(uint64_t h)
{
    return (enum frames_kind)header_field(h, KIND_MASK, KIND_AT);
}

static inline enum frames_whole whole_of(uint64_t h)
{
    return (enum frames_whole)header_field(h, WHOLE_MASK, WHOLE_AT);
}

static inline uint32_t top_of(uint64_t h)
{
    return header_field(h, TOP_MASK, TOP_AT);
}

static inline uint32_t hint_of(uint64_t h)
{
    return header_field(h, HINT_MASK, HINT_AT);
}

static inline uint64_t with_kind(uint64_t h, enum frames_kind kind)
{
    return header_with(h, KIND_MASK, KIND_AT, kind);
}

static inline bool is_held(uint64_t h)
{
    return (h & OWNER_MASK) != 0;
}

/** Whether the states of a block show all its runs, none of which goes on in the next block or is about to be
 *  moved. */
static inline bool has_plain_runs(uint64_t h)
{
    return (h & (WHOLE_MASK | CONT_MASK | MOVING_MASK)) == 0;
}

static inline uint64_t with_top(uint64_t h, uint32_t top)
{
    return header_with(h, TOP_MASK, TOP_AT, top);
}

static inline uint64_t with_hint(uint64_t h, uint32_t hint)
{
    return header_with(h, HINT_MASK, HINT_AT, hint);
}

/** `count` fewer frames are free, and as many more in use. */
static inline uint64_t with_taken(uint64_t h, uint64_t count)
{
    return h + count * ((UINT64_C(1) << USED_AT) - (UINT64_C(1) << FREE_AT));
}

static inline uint64_t with_given(uint64_t h, uint64_t count)
{
    return h - count * ((UINT64_C(1) << USED_AT) - (UINT64_C(1) << FREE_AT));
}

/* -------------------------------------------------------------------------------------------------- lock */

/** How the blocks of a set are locked. */
struct frames_locking {
    const char *alone; /* nonzero while no other thread can use the set: no lock is taken */
    bool is_watched;   /* threads->point must be called */
    const struct kva_threads *threads;
};

/** Take a lock that was not free, or is watched. */
void kva_block_wait(struct frames_header *header, const struct kva_threads *threads);

/** Wake a sleeping thread after a lock that was marked or is watched has been dropped. */
void kva_block_wake(struct frames_header *header, const struct kva_threads *threads, bool is_marked);

static inline bool no_other_thread(const struct frames_locking *locking)
{
    return *(const volatile char *)locking->alone != 0;
}

/** The header of a block that the caller has locked. */
static inline uint64_t block_header(const struct frames_header *header)
{
    uint32_t low = atomic_load_explicit(&header->low, memory_order_relaxed);

    return (low & ~(HEADER_LOCK | HEADER_MARK)) |
           (uint64_t)atomic_load_explicit(&header->high, memory_order_relaxed) << 32;
}

/** Take the lock if it is free. A load before would fetch the cache line twice: to be read, and to be
 *  written. */
static inline bool block_try(struct frames_header *header)
{
    return (atomic_fetch_or_explicit(&header->low, HEADER_LOCK, memory_order_acquire) & HEADER_LOCK) == 0;
}

/** Lock a block if that takes no call; return whether it is locked. While no other thread can use the set, it
 *  takes no lock: none starts before the lock would be dropped. */
FRAMES_HOT bool block_lock_at_once(struct frames_header *header, const struct frames_locking *locking)
{
    return no_other_thread(locking) || (!locking->is_watched && block_try(header));
}

/** Lock a block, and return its header. */
FRAMES_HOT uint64_t block_lock(struct frames_header *header, const struct frames_locking *locking)
{
    if (!block_lock_at_once(header, locking))
        kva_block_wait(header, locking->threads);
    return block_header(header);
}

/** Set the header and keep the lock. A thread that is about to sleep may mark the lock meanwhile. */
static inline void block_keep(struct frames_header *header, uint64_t h)
{
    uint32_t low = atomic_load_explicit(&header->low, memory_order_relaxed);

    atomic_store_explicit(&header->high, (uint32_t)(h >> 32), memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&header->low, &low,
                                                  (uint32_t)h | (low & (HEADER_LOCK | HEADER_MARK)),
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

/** Set the header and drop the lock. */
FRAMES_HOT void block_unlock(struct frames_header *header, const struct frames_locking *locking, uint64_t h)
{
    atomic_store_explicit(&header->high, (uint32_t)(h >> 32), memory_order_relaxed);
    if (no_other_thread(locking)) {
        atomic_store_explicit(&header->low, (uint32_t)h, memory_order_relaxed);
        return;
    }
    uint32_t low = atomic_exchange_explicit(&header->low, (uint32_t)h, memory_order_release);
    if ((low & HEADER_MARK) || locking->is_watched)
        kva_block_wake(header, locking->threads, (low & HEADER_MARK) != 0);
}

#endif
