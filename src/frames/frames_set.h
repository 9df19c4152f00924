/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A frame set: zones with their blocks and rows, and what each CPU holds.
 *
 *      zone    | header | header | header | ...            a header for each block (frames_block.h)
 *              | states | states | states | ...            the states of its frames
 *              rows: for each property, a bit for each block (frames_rows.h)
 *
 *      CPU     lock | slots of zone 0 | slots of zone 1 | ...
 *              a slot for each kind and size class: the block from which the CPU takes such frames at present
 *
 * ROWS. A block that a CPU holds is in no row. Any other is in these, and in no others:
 *
 *      ROW_EMPTY       it is unused and all its frames are free
 *      ROW_PARTIAL     it is unused, some frames are free, and others are absent
 *      row_top(k, t)   it is of kind k, some frames are free, and `top` is t
 *      row_many(k)     it is of kind k and has `many` free frames or more
 *      ROW_HEAD, ROW_TAIL   its first frame, its last frame is free
 *
 * The rows follow from the header alone: rows_of. They change with it, under the block's lock. Bits are set
 * before others are cleared, so that a search in the order of frames_find.c meets each block.
 *
 * HELD BLOCKS. A CPU takes frames from the block in the slot, and searches for another one when that has no
 * room. The slot is only a hint: the header decides, under the lock. Slots are filled under the lock of the
 * CPU.
 *
 * ORDER OF LOCKS: the reclaim lock, which the thread that moves frames holds; the CPUs' locks, in the order
 * of their numbers; then blocks' locks, upwards. An ordinary allocation or free takes one block's lock only.
 *
 * SOURCE. Bits for frames instead of lists, and blocks that a CPU takes for itself and allocates in: L.
 * Wrenger et al., "LLFree: Scalable and Optionally-Persistent Page-Frame Allocation", 2023. Zones of a node,
 * pageblocks with a type, and isolation before a move are Linux's. docs/theory/frames.md has the differences.
 * The code was written afresh.
 */
#ifndef KVA_FRAMES_SET_H
#define KVA_FRAMES_SET_H

#include <kva/frames.h>
#include <kva/threads.h>

#include "../base/check.h"
#include "../base/locks.h"
#include "../base/memory.h"
#include "frames_bits.h"
#include "frames_rows.h"

enum { ROW_EMPTY, ROW_PARTIAL, ROW_HEAD, ROW_TAIL, ROW_MANY, ROW_TOP = ROW_MANY + 2 };

/** The most rows of a zone: one bit each in rows_of. */
enum { ROWS_MOST = ROW_TOP + 2 * KVA_FRAMES_BLOCK_ORDER };
_Static_assert(ROWS_MOST <= 32, "rows_of returns 32 bits");

/** Size classes of requests that share a block: orders 0 to 2, 3 to 5, 6 and more, and whole blocks. */
enum { CLASS_BLOCK = 3, CLASSES = 4, SLOTS = 2 * CLASSES };

struct frames_compaction; /* frames_isolate.h */

struct frames_zone {
    uint64_t start;
    uint64_t end;
    uint64_t base; /* the first frame of block 0: at most start */
    struct frames_header *headers;
    struct frames_word *words;
    struct frames_rows rows;
    unsigned node;
    uint32_t home_blocks; /* the search of CPU c begins at block c * home_blocks */
    size_t index;         /* in kva_frames_config.zones */
    size_t slots;         /* where its slots begin, in each CPU's */
};

/** Event counts of a zone: see struct kva_frames_stats. */
struct frames_counts {
    uint64_t changed;
    uint64_t strayed;
    uint64_t elsewhere;
    uint64_t moved_runs;
    uint64_t moved_frames;
};

/** The record of a CPU. Its lock comes first: see base/locks.h. */
struct frames_cpu {
    struct kva_lock lock;
    struct frames_counts *counts; /* for each zone; changed with the lock */
    _Atomic uint32_t slots[];     /* SLOTS for each zone; a block's number plus one, or 0 */
};

struct kva_frames {
    struct frames_locking locking;
    unsigned order; /* of a block */
    unsigned word_shift;
    uint32_t size;  /* frames of a block: 2^order */
    uint32_t words; /* of a block's states: 2^word_shift */
    unsigned hint_shift;
    uint32_t many; /* see ROW_MANY */
    unsigned row_count;
    unsigned node_count;
    size_t zone_count;
    struct frames_zone *zones; /* by their start */
    struct frames_zone **near; /* for each node, the zone that requests search first, if it is on that node */
    uint16_t *by_node;         /* for each node, the zones in the order in which requests search them */
    struct kva_locks locks;    /* of the CPUs; reclaim, for moves; main is not used */
    struct kva_threads threads;
    struct frames_compaction *compaction; /* NULL: frames are never moved */
    bool fork_waits;                      /* a fork has taken the reclaim lock; changed under all locks */
    struct kva_hooks hooks;
    struct kva_memory memory;
    void *storage; /* all of the set's memory */
    size_t bytes;
};

/** A validated request. */
struct frames_demand {
    uint64_t count;
    uint64_t align;
    uint64_t min; /* the window */
    uint64_t last;
    enum frames_kind kind;
    bool this_node;
    bool may_compact;
    unsigned node;
    unsigned group;      /* the order of the group that the run is, in one block; NO_GROUP: it is no group */
    unsigned least_top;  /* a block in which it fits has a free group of this order */
    unsigned size_class; /* which slot */
};

enum { NO_GROUP = 64 };

/* ------------------------------------------------------------------------------------------ places */

static inline const struct kva_threads *threads_of_set(const struct kva_frames *frames)
{
    return frames->locks.threads;
}

static inline struct frames_word *words_of(const struct kva_frames *frames, const struct frames_zone *zone,
                                           uint32_t block)
{
    return &zone->words[(size_t)block << frames->word_shift];
}

static inline uint32_t block_of(const struct kva_frames *frames, const struct frames_zone *zone,
                                uint64_t frame)
{
    return (uint32_t)((frame - zone->base) >> frames->order);
}

static inline uint32_t position_of(const struct kva_frames *frames, uint64_t frame)
{
    return (uint32_t)frame & (frames->size - 1);
}

/** The word of a frame: as by words_of, without computing the block. */
static inline struct frames_word *word_of(const struct kva_frames *frames, const struct frames_zone *zone,
                                          uint64_t frame)
{
    return &zone->words[(frame - zone->base) >> (frames->order - frames->word_shift)];
}

static inline uint64_t first_frame(const struct kva_frames *frames, const struct frames_zone *zone,
                                   uint32_t block)
{
    return zone->base + ((uint64_t)block << frames->order);
}

/** Positions [from, end) of a block that lie in the zone: never empty. */
struct frames_work {
    uint32_t from;
    uint32_t end;
};

/** The work range of a block: see frames_isolate.h. */
static inline struct frames_work work_range(const struct kva_frames *frames, const struct frames_zone *zone,
                                            uint32_t block)
{
    uint64_t begin = first_frame(frames, zone, block);

    return (struct frames_work){
        .from = zone->start > begin ? (uint32_t)(zone->start - begin) : 0,
        .end = (uint32_t)min_u64(frames->size, zone->end - begin),
    };
}

/** The state of a position of a locked block. */
static inline enum kva_frames_state state_at(const struct frames_word *words, uint64_t h, uint32_t position)
{
    uint64_t bit = UINT64_C(1) << position % 64;

    if (whole_of(h) != WHOLE_NOT || (words[position / 64].taken & bit))
        return KVA_FRAMES_USED;
    return words[position / 64].first & bit ? KVA_FRAMES_ABSENT : KVA_FRAMES_FREE;
}

FRAMES_HOT uint64_t lock_block(const struct kva_frames *frames, const struct frames_zone *zone,
                               uint32_t block)
{
    return block_lock(&zone->headers[block], &frames->locking);
}

FRAMES_HOT void unlock_block(const struct kva_frames *frames, const struct frames_zone *zone, uint32_t block,
                             uint64_t h)
{
    block_unlock(&zone->headers[block], &frames->locking, h);
}

/** The zone that holds a frame; NULL if none does. */
static inline struct frames_zone *zone_of(const struct kva_frames *frames, uint64_t frame)
{
    struct frames_zone *zone = frames->zones;

    for (size_t count = frames->zone_count; count > 1;) {
        size_t half = count / 2;
        if (zone[half].start <= frame)
            zone += half;
        count -= half;
    }
    return frame - zone->start < zone->end - zone->start ? zone : NULL;
}

/** Whether a caller's index, in kva_frames_config.zones, means a zone: alone or with all others. */
static inline bool is_named(const struct frames_zone *zone, size_t index)
{
    return index == KVA_FRAMES_ALL_ZONES || zone->index == index;
}

/** The zone of a range; NULL, with the status and the wrong field, if the range is invalid or lies in no
 *  zone. */
struct frames_zone *kva_zone_of_range(const struct kva_frames *frames, uint64_t first, uint64_t count,
                                      enum kva_status *status, const char **field);

/** The record of a CPU, whose number counts from 0 here, and from 1 in headers. */
static inline struct frames_cpu *cpu_of(const struct kva_frames *frames, unsigned cpu)
{
    return cpu_record(&frames->locks, cpu);
}

static inline unsigned cpu_number(const struct kva_frames *frames)
{
    const struct kva_threads *threads = threads_of_set(frames);
    unsigned number = threads ? threads->cpu(threads->context) : 0;

    return number < frames->locks.cpu_count ? number : number % frames->locks.cpu_count;
}

static inline unsigned slot_number(enum frames_kind kind, unsigned size_class)
{
    return (kind - 1) * CLASSES + size_class;
}

/** The current CPU, locked. While one of these locks is held, no request searches with those of all CPUs. */
static inline struct frames_cpu *enter_cpu(const struct kva_frames *frames)
{
    struct frames_cpu *cpu = cpu_of(frames, cpu_number(frames));

    lock_take(&cpu->lock, threads_of_set(frames));
    return cpu;
}

static inline void leave_cpu(const struct kva_frames *frames, struct frames_cpu *cpu)
{
    lock_drop(&cpu->lock, threads_of_set(frames));
}

_Static_assert(KVA_UNMOVABLE + 1 == KIND_UNMOVABLE && KVA_MOVABLE + 1 == KIND_MOVABLE,
               "kinds are types plus one");

static inline enum frames_kind kind_of_type(enum kva_frames_type type)
{
    return (enum frames_kind)(type + 1);
}

/** The fields of the header of a block that a CPU holds in a slot. */
#define HOLD_MASK (OWNER_MASK | SLOT_MASK | KIND_MASK)

static inline uint64_t hold_bits(unsigned cpu, unsigned slot, enum frames_kind kind)
{
    return (uint64_t)(cpu + 1) << OWNER_AT | (uint64_t)slot << SLOT_AT | (uint64_t)kind << KIND_AT;
}

static inline _Atomic uint32_t *slot_of(const struct kva_frames *frames, const struct frames_zone *zone,
                                        unsigned cpu, unsigned slot)
{
    return &cpu_of(frames, cpu)->slots[zone->slots + slot];
}

/* ------------------------------------------------------------------------------------------- rows */

/** A block in use has no free group of the whole block, whatever its bound is. */
static inline unsigned row_top(const struct kva_frames *frames, enum frames_kind kind, unsigned top)
{
    return ROW_TOP + (kind - 1) * frames->order + (top < frames->order ? top : frames->order - 1);
}

static inline unsigned row_many(enum frames_kind kind)
{
    return ROW_MANY + kind - 1;
}

/** The rows that a block is in: bit r for row r. */
static inline uint32_t rows_of(const struct kva_frames *frames, uint64_t h)
{
    uint32_t rows = header_field(h, HEAD_MASK | TAIL_MASK, HEAD_AT) << ROW_HEAD;
    enum frames_kind kind = kind_of(h);

    if (is_held(h))
        return 0;
    if ((h & FREE_MASK) == 0)
        return rows;
    if (kind == KIND_UNUSED)
        return rows | UINT32_C(1) << (free_of(h) == frames->size ? ROW_EMPTY : ROW_PARTIAL);
    return rows | UINT32_C(1) << row_top(frames, kind, top_of(h)) |
           (uint32_t)(free_of(h) >= frames->many) << row_many(kind);
}

/** Whether a change of a header can change its rows. Most changes only count a few frames more or less. */
static inline bool may_change_rows(const struct kva_frames *frames, uint64_t before, uint64_t h)
{
    uint32_t least = free_of(before) < free_of(h) ? free_of(before) : free_of(h);
    uint32_t most = free_of(before) < free_of(h) ? free_of(h) : free_of(before);

    return ((before ^ h) & (OWNER_MASK | KIND_MASK | TOP_MASK | HEAD_MASK | TAIL_MASK)) != 0 || least == 0 ||
           (least < frames->many && most >= frames->many) || kind_of(h) == KIND_UNUSED;
}

/** Move a block, whose lock is held, from some rows to others. */
void kva_move_rows(struct frames_zone *zone, uint32_t block, uint32_t from, uint32_t to);

/** Move a block, whose lock is held, to the rows of its changed header. */
static inline void follow_header(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block,
                                 uint64_t before, uint64_t h)
{
    if (!is_held(before & h) && may_change_rows(frames, before, h))
        kva_move_rows(zone, block, rows_of(frames, before), rows_of(frames, h));
}

/** Write a changed header and its rows, and drop the lock. */
static inline void commit_block(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block,
                                uint64_t before, uint64_t h)
{
    follow_header(frames, zone, block, before, h);
    unlock_block(frames, zone, block, h);
}

/** The same, but keep the lock. A free of several blocks changes the rows of all of them before it unlocks
 *  any: otherwise a thread could take the free frames of one, and find none in the others. */
static inline void prepare_block(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block,
                                 uint64_t before, uint64_t h)
{
    follow_header(frames, zone, block, before, h);
    block_keep(&zone->headers[block], h);
}

/** Drop the locks of the blocks [low, high], whose headers and rows are up to date. */
static inline void unlock_blocks(const struct kva_frames *frames, const struct frames_zone *zone,
                                 uint32_t low, uint32_t high)
{
    for (uint32_t block = low; block <= high; block++)
        unlock_block(frames, zone, block, block_header(&zone->headers[block]));
}

/* ---------------------------------------------------------------------------------------- misuse */

static inline enum kva_status refuse(const struct kva_frames *frames, enum kva_status status,
                                     const char *where, uint64_t frame, const char *field)
{
    struct kva_bad bad = {field, 0};

    return kva_report_misuse(&frames->hooks, status, where, frame, field ? &bad : NULL);
}

#endif
