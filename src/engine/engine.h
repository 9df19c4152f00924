/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The contract of an engine.
 *
 * An engine keeps an ADDRESS MAP: it divides the addresses [first, last] into segments, each of which is free
 * (a HOLE), busy, deferred or absent.
 *
 *      first                                            last
 *      | busy | free | busy |  absent  | busy |  free   |
 *
 * The space above validates the caller's requests, rounds them to the quantum and calls the callbacks; the
 * engine searches, splits and merges. Every search has one right result, so engines differ only in speed and
 * memory.
 *
 * INVARIANTS, which hold between any two calls. Checkers report violations by these names.
 *   I1  The segments cover [first, last] in ascending order, without gap or overlap.
 *   I2  The start and the size of every segment are multiples of the quantum.
 *   I3  No two adjacent segments are both free or both absent. The first and the last are not absent.
 *   I4  Every cached maximum equals the true maximum.
 *   I5  The tally equals the counts of a walk over the segments.
 *   I6  Every index (tree, list, array) is well-formed, in order, and holds each of its segments once.
 *   I7  The segments that wait for a flush are exactly the deferred ones, each in one epoch.
 *   I9  The index by size, if there is one, holds exactly the holes. (I8: src/space/span.h.)
 *
 * A CHANGE has two steps. The operation first obtains all memory that it may need and looks up all that it
 * depends on; then it commits, which cannot fail. Hence:
 *   E1  An operation that does not return KVA_OK has changed nothing.
 *   E2  free, clear, own, defer, free_deferred, undefer and narrow never take memory.
 *   E3  KVA_ENOMEM is returned only if the change needs more memory than the source has.
 *
 * A PLACE is the result of a search. The address map keeps the path to it, in a form of the engine's own. So
 * only the place found last can be made busy, and only before the next change.
 *
 * EPOCHS. More segments may be deferred while a flush runs its callback. The flush must not free them,
 * because its callback does not cover them. So each deferred segment belongs to one of two epochs: a flush
 * first switches the epoch in which segments are deferred from then on, and later frees those of the old
 * epoch, in slices if others must not wait for all of it.
 *
 * ABSENT segments do not belong to the space; they lie between its regions (kva/ranges.h). They are deferred
 * in an epoch of their own, which no flush frees, and become busy (undefer) before any other state. The
 * caller keeps I3 for them.
 *
 * EXTENT. The extent of a range is last - start, one less than its size: it fits 64 bits even for all
 * addresses.
 *
 * THE INDEX BY SIZE (sizes.h) exists if the space asked for it. An engine reports every change of its holes
 * to it: hole_lost and hole_gained, below. There is at most one hole more than there are segments in use. So
 * an operation that adds a segment in use first obtains the index's memory for as many holes
 * (index_is_ready); no other operation does (E2).
 *
 * An engine trusts its caller: ranges lie inside the address map, are aligned to the quantum and not
 * reversed. It has no lock. It calls only its memory source and, if a check fails, the corruption hook.
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
    KVA_EPOCHS = 2,       /* of deferred segments: that of the flush under way, and that of the next one */
    KVA_EPOCH_ABSENT = 2, /* of absent segments */
    KVA_EPOCHS_ALL = 3,   /* with that of absent segments */
    KVA_STATES = 5        /* of enum kva_state; engines do not use KVA_POOLED */
};

/** The number of segments of each state, and their bytes (modulo 2^64). */
struct kva_tally {
    uint64_t segments[KVA_STATES];
    uint64_t bytes[KVA_STATES];
    uint64_t deferred[KVA_EPOCHS]; /* deferred segments by epoch */
};

/** The part that all address maps have in common. An engine's own structure begins with it. */
struct kva_address_map {
    const struct kva_engine *engine;
    uint64_t first;
    uint64_t last;
    uint64_t quantum;
    uint64_t align_class[KVA_ALIGN_CLASSES]; /* ascending, above the quantum; 0: none (at the end) */
    bool owners;                             /* whether owners are kept */
    bool by_size;                            /* whether the space asked for an index by size */
    /** Changes write the fields below; lookups without the lock read those above. */
    unsigned char apart[KVA_LINE];
    struct kva_ledger ledger;
    struct kva_sizes *sizes; /* the index by size; NULL: none */
    struct kva_tally tally;
};

/** Give back the memory of an address map and of all node caches on its ledger. */
static inline void end_map(struct kva_address_map *map, size_t bytes)
{
    struct kva_ledger ledger = map->ledger;

    kva_nodes_fini(&ledger);
    ledger_give(&ledger, map, bytes);
}

/** Create an address map of `bytes` that begins with a copy of `common`. If `common` asks for an index by
 *  size that reaches all addresses, it is ready for the first hole. NULL if the source refuses. */
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

/** Obtain the memory that the index by size needs if `more` segments come into use. False if the source
 *  refuses. */
static inline bool index_is_ready(const struct kva_address_map *map, size_t more)
{
    const struct kva_tally *tally = &map->tally;
    uint64_t used = tally->segments[KVA_BUSY] + tally->segments[KVA_DEFERRED] + tally->segments[KVA_ABSENT];

    return __builtin_expect(!map->sizes, 1) || kva_sizes_ensure(map->sizes, (size_t)used + more + 1);
}

/** Report to the index by size that the hole [hole_start, hole_last] has lost [start, last]. */
static inline void hole_lost(const struct kva_address_map *map, uint64_t hole_start, uint64_t hole_last,
                             uint64_t start, uint64_t last)
{
    if (__builtin_expect(map->sizes != NULL, 0))
        kva_sizes_lost(map->sizes, hole_start, hole_last, start, last);
}

/** Report to the index by size that [start, last] is now free, as a part of the hole [hole_start,
 *  hole_last]. */
static inline void hole_gained(const struct kva_address_map *map, uint64_t hole_start, uint64_t hole_last,
                               uint64_t start, uint64_t last)
{
    if (__builtin_expect(map->sizes != NULL, 0))
        kva_sizes_gained(map->sizes, hole_start, hole_last, start, last);
}

/** The most segments that one operation can add: two, if a hole or a busy segment is split into three, or
 *  if the space grows at both ends. */
enum { KVA_SEGMENTS_PER_OPERATION = 2 };

/** The table of an engine; every engine has all functions. Its size is a part of the shared library's ABI,
 *  although no public header shows it: a program linked at a fixed address contains a copy of each engine
 *  that it names, with the size that the table had at that time. So a minor version adds and removes
 *  nothing. */
struct kva_engine {
    const char *name;

    /** Create an address map with one hole, [first, last]. `common` is complete but for the tally, and its
     *  ledger is empty. KVA_OK, KVA_ENOMEM. */
    enum kva_status (*create)(const struct kva_address_map *common, struct kva_address_map **map);

    /** Give all memory back, in any state of the address map. */
    void (*destroy)(struct kva_address_map *map);

    /** Take memory so that the next `operations` operations need none. KVA_OK, KVA_ENOMEM.
     *
     *  A longer series needs none either, if at most `operations` of it are an occupy, a punch, or a
     *  resize that grows, and if it never has more than operations * KVA_SEGMENTS_PER_OPERATION segments
     *  more than now. */
    enum kva_status (*prepare)(struct kva_address_map *map, size_t operations);

    /** Find the lowest or highest place for a demand, exactly, at any alignment, shape and window (fit.h).
     *  The space implements the other policies and filters (policy.h). KVA_OK, KVA_ENOSPC. */
    enum kva_status (*search)(struct kva_address_map *map, const struct kva_demand *demand,
                              struct kva_place *place);

    /** Find the place [start, last] if it is wholly free. KVA_OK, KVA_EEXIST. */
    enum kva_status (*locate)(struct kva_address_map *map, uint64_t start, uint64_t last,
                              struct kva_place *place);

    /** Make the place found last busy. KVA_OK, KVA_ENOMEM. */
    enum kva_status (*occupy)(struct kva_address_map *map, const struct kva_place *place, void *owner);

    /** Make the busy segment that starts at `start` free and merge it with adjacent holes. KVA_OK,
     *  KVA_ENOENT (none starts there). */
    enum kva_status (*free)(struct kva_address_map *map, uint64_t start);

    /** Make [first, last] free, inside the busy segment that starts at `start` and touching neither of its
     *  ends. Both remainders keep the owner. KVA_OK, KVA_ENOENT, KVA_ENOMEM. */
    enum kva_status (*punch)(struct kva_address_map *map, uint64_t start, uint64_t first, uint64_t last);

    /** Move the start of the busy segment that starts at `start` up to `first`, inside the segment; the
     *  part before `first` becomes free. KVA_OK, KVA_ENOENT, KVA_ENOMEM. */
    enum kva_status (*trim)(struct kva_address_map *map, uint64_t start, uint64_t first);

    /** Move the last address of the busy segment that starts at `start` to `last`; the hole after it
     *  shrinks or grows. KVA_OK, KVA_ENOENT, KVA_ENOSPC (no hole follows, or it is too small), KVA_ENOMEM. */
    enum kva_status (*resize)(struct kva_address_map *map, uint64_t start, uint64_t last);

    /** Set the owner of the busy segment that starts at `start`; no effect if the address map keeps no
     *  owners. KVA_OK, KVA_ENOENT. */
    enum kva_status (*own)(struct kva_address_map *map, uint64_t start, void *owner);

    /** Make every busy segment that lies wholly inside [first, last] free; deferred ones stay. */
    void (*clear)(struct kva_address_map *map, uint64_t first, uint64_t last);

    /** Make the busy segment that starts at `start` deferred in an epoch, or absent (KVA_EPOCH_ABSENT);
     *  *last = its last address. KVA_OK, KVA_ENOENT. */
    enum kva_status (*defer)(struct kva_address_map *map, uint64_t start, unsigned epoch, uint64_t *last);

    /** Make at most `most` deferred segments of an epoch free, and merge them. tally.deferred counts the
     *  remaining ones. */
    void (*free_deferred)(struct kva_address_map *map, unsigned epoch, uint64_t most);

    /** Make the absent segment that starts at `start` busy. KVA_OK, KVA_ENOENT. */
    enum kva_status (*undefer)(struct kva_address_map *map, uint64_t start);

    /** The lowest segment of an epoch, deferred or absent, that starts in [from, to], a range inside the
     *  address map. KVA_OK, KVA_ENOENT (there is none). An engine may visit every segment in that range,
     *  and one after it. */
    enum kva_status (*next_deferred)(const struct kva_address_map *map, unsigned epoch, uint64_t from,
                                     uint64_t to, struct kva_segment *segment);

    /** Move the ends of the address map outwards; the added addresses are free. The caller has given up an
     *  index by size that does not reach the new ends. KVA_OK, KVA_ENOMEM. */
    enum kva_status (*extend)(struct kva_address_map *map, uint64_t first, uint64_t last);

    /** Move the ends of the address map inwards, to [first, last]. KVA_OK, KVA_EBUSY (the rest is not
     *  wholly free). */
    enum kva_status (*narrow)(struct kva_address_map *map, uint64_t first, uint64_t last);

    /** The segment that holds `address`, which lies inside the address map. */
    void (*lookup)(const struct kva_address_map *map, uint64_t address, struct kva_segment *segment);

    /** Whether try_lookup can succeed; if not, callers do not retry it. */
    bool has_try_lookup;

    /** lookup without the space's lock, linearizable. False, and the segment undefined, after a conflict
     *  with a change or if the address lies outside the address map. Engines without it return false. */
    bool (*try_lookup)(const struct kva_address_map *map, uint64_t address, struct kva_segment *segment);

    /** The extent of the largest hole; false if there is none. */
    bool (*largest)(const struct kva_address_map *map, uint64_t *extent);

    /** Verify I1-I7. NULL if they hold; otherwise the broken one in words, and its address. */
    const char *(*check)(const struct kva_address_map *map, uint64_t *address);

    /** Verify in O(log n) what can be verified around the segment that holds `at`. Returns as check does. */
    const char *(*check_near)(const struct kva_address_map *map, uint64_t at, uint64_t *address);
};

/** The state of the segments of an epoch. */
static inline enum kva_state state_of_epoch(unsigned epoch)
{
    return epoch == KVA_EPOCH_ABSENT ? KVA_ABSENT : KVA_DEFERRED;
}

/** Count a busy segment of `bytes` as deferred in an epoch. */
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

/** Count an absent segment of `bytes` as busy. */
static inline void kva_tally_undefer(struct kva_tally *tally, uint64_t bytes)
{
    tally->bytes[KVA_ABSENT] -= bytes;
    tally->bytes[KVA_BUSY] += bytes;
    tally->segments[KVA_ABSENT]--;
    tally->segments[KVA_BUSY]++;
}

/** try_lookup of engines without it. */
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

/** Verify I9, given I1-I7: each hole of the index is one of the address map, and both have as many. NULL
 *  if it holds; otherwise the violation in words, and its address. */
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
            return "I9: an entry of the index by size is not a hole";
    }
    *address = 0;
    return map->sizes->count == map->tally.segments[KVA_FREE] ? NULL
                                                              : "I9: a hole is not in the index by size";
}

#endif
