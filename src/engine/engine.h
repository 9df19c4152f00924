/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The contract that every engine keeps.
 *
 * An engine keeps a ADDRESS MAP: it cuts the addresses [first, last] into segments that are free (a HOLE), busy,
 * deferred or absent. The space above it validates what users ask, rounds it to the quantum, calls their
 * callbacks and speaks their language; the engine only finds, splits and merges. Because the result of each
 * search is unique, two engines that keep this contract cannot be told apart but by a clock.
 *
 * INVARIANTS, true between any two calls. The checkers cite them by these names.
 *   I1  The segments cover [first, last] without gap or overlap, in ascending order.
 *   I2  Every segment starts on a multiple of the quantum and is a multiple of it long.
 *   I3  No two adjacent segments are both free, and no two both absent. The first and the last are not
 *       absent.
 *   I4  Every cached maximum equals the true maximum.
 *   I5  The tally equals what a walk over the segments counts.
 *   I6  Every index (tree, list, array) is in order, well-formed, and holds each of its segments once.
 *   I7  The segments that wait for a flush are exactly the deferred ones, each in one epoch.
 *   I9  The index by size, if there is one, holds exactly the holes. (I8 is of the pools: src/space/span.h)
 *
 * CHANGES are made in two steps. First an operation obtains all the memory that it may need and looks up
 * all that it depends on; then it commits, and the commit cannot fail. Hence:
 *   E1  An operation that does not return KVA_OK has changed nothing.
 *   E2  release, clear, own, park, unpark, wake and narrow never take memory.
 *   E3  KVA_ENOMEM is returned only if the change at hand needs more memory than there is.
 *
 * A PLACE is what a search found. The address map keeps the way there, in whatever form suits the engine: so only
 * the place that was found last can be made busy, and only before the next change.
 *
 * EPOCHS. While a flush calls its callback, more may be parked, which this flush must not give back: the
 * callback has not been told of it. So what is parked has an epoch, one of two: a flush turns the epoch that
 * is parked in, and then gives back what has the old one, piece by piece if others must not wait for all of
 * it.
 *
 * ABSENT segments are those that do not belong to the space: what lies between two parts of it
 * (kva/ranges.h). They are parked in an epoch of their own, which no flush gives back, and are woken before
 * they are anything else. I3 is the caller's to keep here, between any two of its own calls.
 *
 *      first                                            last
 *      | busy | free | busy |  absent  | busy |  free   |
 *
 * SPANS. A range's span is last - start, one less than its size: it fits 64 bits even for all addresses.
 *
 * THE INDEX BY SIZE (sizes.h) is kept where the space wants one. An engine only tells it of two events, at
 * each change of its holes: hole_lost and hole_gained, below. There is a hole beside each segment in use, and
 * one more, at most. So whatever adds a segment in use first obtains what the index needs for as many holes
 * (index_is_ready), and nothing else does (E2).
 *
 * An engine trusts its caller: ranges are inside the address map, aligned to the quantum, not reversed. It owns
 * no lock and calls nothing but its memory source and, when a check fails, the corruption hook.
 */
#ifndef KVA_ENGINE_ENGINE_H
#define KVA_ENGINE_ENGINE_H

#include "../base/nodes.h"
#include "fit.h"
#include "sizes.h"

struct kva_address_map;

/** A range [start, last] inside one hole, and all of that hole. */
struct kva_place {
    uint64_t start;
    uint64_t last;
    uint64_t hole_start;
    uint64_t hole_last;
};

enum {
    KVA_EPOCHS = 2, /* of deferred segments: one waits for the flush under way, the other for the next one */
    KVA_EPOCH_ABSENT = 2, /* of absent ones */
    KVA_EPOCHS_ALL = 3,   /* all of these */
    KVA_STATES = 5        /* of enum kva_state. No engine knows KVA_POOLED */
};

/** How many segments of each state there are, and how many bytes they hold (modulo 2^64). */
struct kva_tally {
    uint64_t segments[KVA_STATES];
    uint64_t bytes[KVA_STATES];
    uint64_t deferred[KVA_EPOCHS]; /* deferred segments by epoch */
};

/** What all address maps have in common. Engines put it first in their own structure. */
struct kva_address_map {
    const struct kva_engine *engine;
    uint64_t first;
    uint64_t last;
    uint64_t quantum;
    uint64_t align_class[KVA_ALIGN_CLASSES]; /* ascending, above the quantum; 0: none (at the end) */
    bool owners;                             /* whether they are kept */
    bool by_size;                            /* whether there is to be an index by size */
    unsigned char
        apart[KVA_LINE]; /* lookups without the lock read the lines above, and changes write those below */
    struct kva_ledger ledger;
    struct kva_sizes *sizes; /* the index by size; NULL: none */
    struct kva_tally tally;
};

/** Give an address map's memory back, and all that node caches on the address map's ledger have taken. */
static inline void end_map(struct kva_address_map *map, size_t bytes)
{
    struct kva_ledger ledger = map->ledger;

    kva_nodes_fini(&ledger);
    ledger_give(&ledger, map, bytes);
}

/** The memory of an address map, whose engine keeps it in `bytes`, and which begins with a copy of `common`; with
 *  an index by size that is ready for the first hole, if there is to be one. NULL when the source refuses. */
static inline void *new_map(const struct kva_address_map *common, size_t bytes)
{
    struct kva_ledger ledger = common->ledger;
    struct kva_address_map *map = ledger_take(&ledger, bytes);

    if (!map)
        return NULL;
    *map = *common;
    map->ledger = ledger;
    bool is_indexed = common->by_size && index_reaches(common->quantum, common->last);
    map->sizes = is_indexed ? kva_sizes_create(&map->ledger, common->quantum) : NULL;
    if (is_indexed && !map->sizes) {
        end_map(map, bytes);
        return NULL;
    }
    return map;
}

/** Obtain what the index by size needs when there are `more` further segments in use. */
static inline bool index_is_ready(const struct kva_address_map *map, size_t more)
{
    const struct kva_tally *tally = &map->tally;
    uint64_t used = tally->segments[KVA_BUSY] + tally->segments[KVA_DEFERRED] + tally->segments[KVA_ABSENT];

    return __builtin_expect(!map->sizes, 1) || kva_sizes_ensure(map->sizes, (size_t)used + more + 1);
}

/** Tell the index by size that the hole [hole_start, hole_last] has lost [start, last]. */
static inline void hole_lost(const struct kva_address_map *map, uint64_t hole_start, uint64_t hole_last,
                             uint64_t start, uint64_t last)
{
    if (__builtin_expect(map->sizes != NULL, 0))
        kva_sizes_lost(map->sizes, hole_start, hole_last, start, last);
}

/** Tell it that [start, last] has become free, and is now a part of the hole [hole_start, hole_last]. */
static inline void hole_gained(const struct kva_address_map *map, uint64_t hole_start, uint64_t hole_last,
                               uint64_t start, uint64_t last)
{
    if (__builtin_expect(map->sizes != NULL, 0))
        kva_sizes_gained(map->sizes, hole_start, hole_last, start, last);
}

/** The most segments that one operation can add: a hole that is split in its middle becomes three segments,
 *  two more than there were; the same holds for a busy segment whose middle is given back, and for a space
 *  that grows at both ends. */
enum { KVA_SEGMENTS_PER_OPERATION = 2 };

/** Every engine has all of these functions. Its size is a part of the shared library's ABI, though no public
 *  header tells it: a program that is linked to a fixed address gets a copy of each engine that it names, as
 *  large as the engine was when the program was linked. So nothing is added or removed within a minor
 *  version. */
struct kva_engine {
    const char *name;

    /** Make an address map with one hole, [first, last]. `common` holds all but a tally; nothing was taken on its
     *  ledger. KVA_OK, KVA_ENOMEM. */
    enum kva_status (*create)(const struct kva_address_map *common, struct kva_address_map **map);

    /** Give all memory back, whatever the address map holds. */
    void (*destroy)(struct kva_address_map *map);

    /** Take memory so that `operations` further operations need none. KVA_OK, KVA_ENOMEM.
     *
     *  A longer series needs none either, if at most `operations` of it are an occupy, a punch, or a resize
     *  that grows, and if there are never more than operations * KVA_SEGMENTS_PER_OPERATION segments more
     *  than now. */
    enum kva_status (*prepare)(struct kva_address_map *map, size_t operations);

    /** Find the lowest or highest place for a demand; exact at any alignment, shape and window (fit.h). The
     *  other policies and filters are the space's (policy.h), and not looked at here. KVA_OK, KVA_ENOSPC. */
    enum kva_status (*search)(struct kva_address_map *map, const struct kva_demand *demand,
                              struct kva_place *place);

    /** Find the place [start, last], if it is wholly free. KVA_OK, KVA_EEXIST. */
    enum kva_status (*locate)(struct kva_address_map *map, uint64_t start, uint64_t last,
                              struct kva_place *place);

    /** Make the place busy that was found last. KVA_OK, KVA_ENOMEM. */
    enum kva_status (*occupy)(struct kva_address_map *map, const struct kva_place *place, void *owner);

    /** Make the busy segment that starts at `start` free and merge it with the holes that it touches.
     *  KVA_OK, KVA_ENOENT (none starts there). */
    enum kva_status (*free)(struct kva_address_map *map, uint64_t start);

    /** Make [first, last] free, which lies inside the busy segment that starts at `start` and touches neither
     *  of its ends. Both remainders keep the owner. KVA_OK, KVA_ENOENT, KVA_ENOMEM. */
    enum kva_status (*punch)(struct kva_address_map *map, uint64_t start, uint64_t first, uint64_t last);

    /** Let the busy segment that starts at `start` begin at `first`, which lies after the start and inside
     *  the segment; what it leaves becomes free. KVA_OK, KVA_ENOENT, KVA_ENOMEM. */
    enum kva_status (*trim)(struct kva_address_map *map, uint64_t start, uint64_t first);

    /** Let the busy segment that starts at `start` end at `last`, at the cost or to the benefit of the hole
     *  after it. KVA_OK, KVA_ENOENT, KVA_ENOSPC (no such hole, or too short), KVA_ENOMEM. */
    enum kva_status (*resize)(struct kva_address_map *map, uint64_t start, uint64_t last);

    /** Give the busy segment that starts at `start` another owner; nothing is kept where the address map keeps no
     *  owners. KVA_OK, KVA_ENOENT. */
    enum kva_status (*own)(struct kva_address_map *map, uint64_t start, void *owner);

    /** Make every busy segment free that lies wholly inside [first, last]; deferred ones stay. Never takes
     *  memory. */
    void (*clear)(struct kva_address_map *map, uint64_t first, uint64_t last);

    /** Make the busy segment that starts at `start` deferred, in an epoch, or absent; *last is where it ends.
     *  KVA_OK, KVA_ENOENT. */
    enum kva_status (*defer)(struct kva_address_map *map, uint64_t start, unsigned epoch, uint64_t *last);

    /** Make deferred segments of an epoch free, merged: `most` of them, or all if they are fewer.
     *  tally.parked has what is left. */
    void (*free_deferred)(struct kva_address_map *map, unsigned epoch, uint64_t most);

    /** Make the absent segment that starts at `start` busy. KVA_OK, KVA_ENOENT. */
    enum kva_status (*undefer)(struct kva_address_map *map, uint64_t start);

    /** The lowest segment parked in an epoch, deferred or absent, that starts in [from, to], inside the
     *  address map. KVA_OK, KVA_ENOENT (there is none). An engine may look at each segment in the range for this,
     *  but at none beyond it. */
    enum kva_status (*next_deferred)(const struct kva_address_map *map, unsigned epoch, uint64_t from,
                                     uint64_t to, struct kva_segment *segment);

    /** Move the ends of the address map outwards; what is added is free. An index by size reaches the new ends, or has
     *  been given up. KVA_OK, KVA_ENOMEM. */
    enum kva_status (*extend)(struct kva_address_map *map, uint64_t first, uint64_t last);

    /** Move the ends of the address map inwards, to [first, last]. KVA_OK, KVA_EBUSY (what would go is not wholly
     *  free). */
    enum kva_status (*narrow)(struct kva_address_map *map, uint64_t first, uint64_t last);

    /** The segment that holds `address`, which lies inside the address map. */
    void (*lookup)(const struct kva_address_map *map, uint64_t address, struct kva_segment *segment);

    /** Whether peek ever finds anything. Where it does not, there is no use in trying again. */
    bool has_try_lookup;

    /** The same without the space's lock, at one moment of the call. False if the address map was changed too
     *  close by, the address lies outside, or the engine cannot: then nothing is known. */
    bool (*try_lookup)(const struct kva_address_map *map, uint64_t address, struct kva_segment *segment);

    /** The span of the largest hole; false when there is none. */
    bool (*largest)(const struct kva_address_map *map, uint64_t *extent);

    /** Verify I1-I7. NULL when they hold; else the broken one in words, and where. */
    const char *(*check)(const struct kva_address_map *map, uint64_t *address);

    /** Verify what can be verified in O(log n) around the segment that holds `at`. Returns what check
     *  does. */
    const char *(*check_near)(const struct kva_address_map *map, uint64_t at, uint64_t *address);
};

/** What a segment is that is parked in an epoch. */
static inline enum kva_state state_of_epoch(unsigned epoch)
{
    return epoch == KVA_EPOCH_ABSENT ? KVA_ABSENT : KVA_DEFERRED;
}

/** A segment of `bytes` bytes that was busy is parked in an epoch. */
static inline void kva_tally_defer(struct kva_tally *tally, unsigned epoch, uint64_t bytes)
{
    enum kva_state state = state_of_epoch(epoch);

    tally->bytes[KVA_BUSY] -= bytes;
    tally->bytes[state] += bytes;
    tally->segments[KVA_BUSY]--;
    tally->segments[state]++;
    if (state == KVA_DEFERRED)
        tally->deferred[epoch]++;
}

/** A segment of `bytes` bytes that was absent is busy. */
static inline void kva_tally_undefer(struct kva_tally *tally, uint64_t bytes)
{
    tally->bytes[KVA_ABSENT] -= bytes;
    tally->bytes[KVA_BUSY] += bytes;
    tally->segments[KVA_ABSENT]--;
    tally->segments[KVA_BUSY]++;
}

/** peek of an engine that cannot. */
static inline bool no_try_lookup(const struct kva_address_map *map, uint64_t address,
                                 struct kva_segment *segment)
{
    (void)map;
    (void)address;
    (void)segment;
    return false;
}

static inline void kva_tally_move_bytes(struct kva_tally *tally, enum kva_state from, enum kva_state to,
                                        uint64_t bytes)
{
    tally->bytes[from] -= bytes;
    tally->bytes[to] += bytes;
}

/** Verify I9 where I1-I7 hold: each hole of the index is one of the address map, and they are as many. NULL, or
 *  what is wrong, and where. */
static inline const char *check_sizes(const struct kva_address_map *map, uint64_t *address)
{
    struct kva_size size;

    if (!map->sizes)
        return NULL;
    const char *broken = kva_sizes_check(map->sizes, address);
    if (broken)
        return broken;
    for (bool more = kva_sizes_first(map->sizes, 0, &size); more; more = kva_sizes_next(map->sizes, &size)) {
        struct kva_segment segment = {.state = KVA_BUSY};
        *address = size.within;
        if (size.within >= map->first && size.within <= map->last)
            map->engine->lookup(map, size.within, &segment);
        if (segment.state != KVA_FREE || segment.last - segment.start != size.extent)
            return "I9: what the index by size holds is not a hole";
    }
    *address = 0;
    return map->sizes->count == map->tally.segments[KVA_FREE] ? NULL
                                                              : "I9: a hole is not in the index by size";
}

#endif
