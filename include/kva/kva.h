/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva: an exact allocator for address ranges.
 *
 * A SPACE divides the addresses [first, last] into SEGMENTS. A segment is free, busy, or deferred (freed, but
 * not yet reusable):
 *
 *      first                                                                    last
 *      | busy A | free          | busy B | deferred | free | busy C |    free       |
 *      0x1000   0x3000          0x9000   0xa000     0xb000 0xc000   0xd000
 *
 * A REQUEST is a size, an alignment, a window [min, max], a policy and an owner. A start FITS if it is a
 * multiple of the alignment and the range from there lies in the window and is wholly free. The policy
 * chooses among the starts that fit, and its choice is unique. So every engine returns the same addresses for
 * the same calls, and KVA_ENOSPC means that no start fits. Addresses stand for anything: virtual or physical
 * memory, I/O addresses, a file, sectors. The library never accesses them: its bookkeeping lies elsewhere.
 *
 *      struct kva_space *space;
 *      struct kva_config config = {.first = 0x1000, .last = 0xffffffff, .quantum = 0x1000};
 *      struct kva_request request = {.size = 0x3000, .align = 0x10000};
 *      uint64_t address;
 *
 *      if (kva_space_create(&config, &space) != KVA_OK)
 *          return 1;
 *      if (kva_alloc(space, &request, &address) == KVA_OK)     // [0x10000, 0x12fff]
 *          kva_free(space, address);
 *      kva_space_destroy(space);
 *
 * This header begins with what every program needs: create, allocate, free, find, iterate, destroy.
 * CONVENTIONS then defines the terms of the function blocks, and the rest of a space follows. Further
 * headers:
 *
 *      kva/status.h    statuses, hooks            kva/engine.h   the engines
 *      kva/deferred.h  deferred free, reclaim     kva/memory.h   the memory for bookkeeping
 *      kva/ranges.h    clear, split, join, move;  kva/frames.h   page frames
 *                      holes; regions             kva/vm.h       vmalloc: ranges with real memory
 *      kva/evict.h     what to free for a request
 *      kva/threads.h   threads, pools, forks
 */
#ifndef KVA_KVA_H
#define KVA_KVA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kva/export.h>
#include <kva/memory.h>
#include <kva/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kva_space;
struct kva_config;

/** Create a space on a system with a port (Linux). The system supplies what the configuration leaves 0.
 *
 *  Any thread may use the space, unless config.one_thread is set. The space itself lies in memory from
 *  config.memory. If the caller sets that, no call on the space uses the program's heap or stdio, so the
 *  space can serve a malloc.
 *
 *  In:      config  last is required (0 makes a space of address 0 alone); most programs also set first and
 *                   quantum. NULL or 0 in engine, memory, threads, cpus and on_corruption selects the
 *                   system's (kva_engine_host() and so on); see struct kva_config
 *  Out:     space   the new space: all of it is free, except config.busy
 *  Returns: as kva_space_init, and KVA_ENOMEM when there is no memory for the space itself
 *  Cost:    as kva_space_init
 *  Locking: None
 *  Failure: all memory is given back
 */
KVA_API enum kva_status kva_space_create(const struct kva_config *config, struct kva_space **space);

/** Which of the starts that fit is taken. */
enum kva_policy {
    KVA_LOWEST = 0,  /* the lowest */
    KVA_HIGHEST = 1, /* the highest */
    KVA_NEAREST = 2, /* the one with the smallest distance to request.target; of two, the lower */
    KVA_BEST = 3,    /* the lowest in the smallest free segment that has one; of two segments, the lower */
    KVA_RANDOM = 4   /* the lowest at or above the start that request.random selects; else the lowest */
};

/** A filter of free segments; see struct kva_hole. */
struct kva_hole;
typedef bool kva_hole_filter(void *context, struct kva_hole *hole);

/** What an allocation asks for. A field that is 0 has its usual value. */
struct kva_request {
    uint64_t size;  /* 1 .. 2^64 - 1; rounded up to the quantum */
    uint64_t align; /* a power of two, or a multiple of the quantum; a value below the quantum counts as it */

    /** The window: both ends are included, need no alignment, and are clipped to the space. min = max = 0
     *  stands for the whole space (for address 0 alone: kva_reserve) */
    uint64_t min, max;
    void *owner; /* any value; kept with the segment, never dereferenced */
    enum kva_policy policy;

    /** Most programs leave these 0: see FURTHER REQUESTS below */
    unsigned flags;
    uint64_t phase;
    uint64_t nocross;
    uint64_t target;
    uint64_t random;
    kva_hole_filter *filter;
    void *filter_context;
};

/** Allocate the range that satisfies a request, as its policy chooses.
 *
 *  When nothing fits, deferred segments are flushed and the search is repeated. Then the reclaim callbacks
 *  are called in the order of their registration, with a search after each that made room.
 *
 *  In/Out:  space
 *  In:      request  see struct kva_request
 *  Out:     start    first address of the range
 *  Returns: KVA_OK
 *           KVA_ENOSPC     nothing fits: no such range exists
 *           KVA_EAGAIN     with KVA_NO_BLOCK: nothing fits, but a flush, a drain of the pools or a reclaim
 *                          callback might make room
 *           KVA_ENOMEM     no node memory
 *           KVA_ENULL      space, request or start is NULL, or the space is not initialised
 *           KVA_EINVAL     policy or flags has an unknown value
 *           KVA_ESIZE      size is 0; or nocross is not 0 and below the size, rounded up
 *           KVA_EALIGN     align is not 0, not a power of two, and not a multiple of the quantum; phase is
 *                          not below align, or not a multiple of the quantum; or nocross is neither 0 nor a
 *                          power of two
 *           KVA_EWRAP      size, rounded up to the quantum, passes 2^64 - 1
 *           KVA_EWINDOW    min > max, or the window lies wholly outside the space
 *                          (for each of these six, the misuse hook receives the field)
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    one search, as kva_search: O(log n) with align up to the quantum, O((k + 1) log n) with a larger
 *           power of two, and more for other policies and shapes. Flushing and reclaiming come on top:
 *           whatever other threads do, there are at most four searches and four flushes, and for each reclaim
 *           callback one search and two flushes more. With pools, each search but the first follows a drain:
 *           O(p log n) for p pooled segments
 *  Locking: Space (a pool: usually the current CPU's lock alone); dropped while callbacks run. KVA_ENOSPC
 *           holds for one moment of the call, after all ranges that any thread had deferred before the call
 *           have become free. (With pools, that search follows a drain, under all CPUs' locks)
 *  Failure: nothing was allocated. On KVA_ENOSPC deferred segments have become free and callbacks have run;
 *           on KVA_ENOMEM they may have
 */
KVA_API enum kva_status kva_alloc(struct kva_space *space, const struct kva_request *request,
                                  uint64_t *start);

/** Free a busy segment. It merges with the free segments that it touches.
 *
 *  In/Out:  space
 *  In:      start   the start of a busy segment
 *  Returns: KVA_OK
 *           KVA_ENULL       space is NULL or not initialised
 *           KVA_EUNKNOWN    start lies outside the space, or in an absent range (kva/ranges.h)
 *           KVA_EINTERIOR   start lies inside a busy segment
 *           KVA_EDOUBLE     start is free already
 *           KVA_EDEFERRED   start lies in a deferred segment
 *           KVA_EREENTRY    called from inside the flush callback
 *  Cost:    O(log n); never takes memory
 *  Locking: Space (a range from a pool: usually the current CPU's lock alone)
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_free(struct kva_space *space, uint64_t start);

/** The state of a segment. */
enum kva_state {
    KVA_FREE = 0,     /* may be allocated */
    KVA_BUSY = 1,     /* allocated or reserved */
    KVA_DEFERRED = 2, /* freed with kva_free_deferred; reusable after the next flush (kva/deferred.h) */
    KVA_POOLED = 3,   /* free, and kept in a pool: allocated before KVA_ENOSPC is returned (kva/threads.h) */
    KVA_ABSENT = 4    /* not part of the space (kva/ranges.h). No call returns it */
};

/** One segment: the addresses [start, last], both included. */
struct kva_segment {
    uint64_t start;
    uint64_t last;
    void *owner; /* as given with the request; NULL for a free or pooled segment */
    enum kva_state state;
};

/** Find the segment that holds an address.
 *
 *  In:      space
 *           address   any
 *  Out:     segment   the segment: free, busy, deferred or pooled
 *  Returns: KVA_OK
 *           KVA_ENOENT   address lies outside the space, or in an absent range (kva/ranges.h)
 *           KVA_ENULL    space or segment is NULL, or the space is not initialised
 *  Cost:    O(log n); O(1) for a busy segment that was allocated from a pool
 *  Locking: with bt and threads, usually lock-free (with pools, the current CPU's lock); linearizable. Query
 *           after two conflicting updates, on KVA_ENOENT, for a range of a pool that is deferred or pooled,
 *           and with other engines
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_find(const struct kva_space *space, uint64_t address,
                                 struct kva_segment *segment);

/** Begin an iteration in address order: the lowest segment.
 *
 *      struct kva_segment segment;
 *      for (enum kva_status s = kva_first(space, &segment); s == KVA_OK; s = kva_next(space, &segment))
 *          use(&segment);
 *
 *  In:      space
 *  Out:     segment
 *  Returns: KVA_OK, or KVA_ENULL when space or segment is NULL, or the space is not initialised
 *  Cost:    O(log n)
 *  Locking: Query
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_first(const struct kva_space *space, struct kva_segment *segment);

/** Continue an iteration. The space may change in between: the result is the segment that now holds the
 *  address after segment->last, wherever it begins. Absent ranges are passed over.
 *
 *  In:      space
 *  In/Out:  segment   as the last step returned it
 *  Returns: KVA_OK
 *           KVA_ENOENT   that was the highest segment
 *           KVA_ENULL    space or segment is NULL, or the space is not initialised
 *  Cost:    O(log n)
 *  Locking: Query
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_next(const struct kva_space *space, struct kva_segment *segment);

/** End a space that kva_space_create made, if it holds no busy segment, and give its memory back.
 *
 *  In:      space   on KVA_OK a dangling pointer
 *  Returns: KVA_OK (also for a space that kva_space_fini or kva_space_abandon has ended)
 *           KVA_ENULL                 space is NULL
 *           KVA_EBUSY, KVA_EREENTRY   as kva_space_fini
 *  Cost:    as kva_space_fini
 *  Locking: Sole
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_destroy(struct kva_space *space);

/* ----------------------------------------------------------------------------------------- conventions */

/** CONVENTIONS
 *   Arguments   The object first, then inputs, then outputs.
 *   Units       Addresses, sizes and alignments are in address units ("bytes" below, whatever they stand
 *               for), 64 bits wide on every host. Ranges are inclusive: [start, last]. A space may begin at 0
 *               and end at 2^64 - 1; address 0 is an ordinary result.
 *   Quantum     Every segment starts on a multiple of the space's quantum and is a multiple of it long. Sizes
 *               are rounded UP to the quantum; alignments below it count as the quantum.
 *   Zero        Public structures that a call reads may be zero-initialised: a field that is 0 has the
 *               meaning that its comment gives. So `(struct kva_request){.size = 4096}` is a whole request.
 *               New fields are added at the end. Until 1.0 a minor version may change the ABI: the shared
 *               library's name carries both numbers (libkva.so.0.1).
 *   Outputs     Are written only when the function returns KVA_OK, unless its block says otherwise.
 *   Failure     If the status is not KVA_OK, then no segment has changed, unless the block says otherwise.
 *               "Nothing has changed" in a Failure row means: the space is as it was, byte for byte.
 *   n           In a Cost row: the number of segments. Costs are those of the rb and bt engines; the scan
 *               engine takes O(n) wherever they say O(log n).
 *   Locking     A space with threads (kva_config.threads, which kva_space_create sets by default) takes its
 *               own locks: any thread may call at any time. A space without threads takes no lock: one thread
 *               at a time may use it. Different spaces are independent. In a Locking row,
 *                 Space   with threads, takes the space's lock and drops it before it returns; without, the
 *                         caller serializes the call with every other one on the same space;
 *                 Query   as Space; without threads, it may also run beside other Query calls;
 *                 Sole    with threads or without, no other call on the same space may run;
 *                 None    takes no lock: any thread may call at any time.
 *               Flush and reclaim callbacks run without the space's lock. A space's memory source and hooks
 *               are called with it, by one thread at a time.
 *   Errors      Three classes. The environment's (no space, no memory) are a status. The caller's bugs (from
 *               KVA_ENULL on) are a status, and are reported to the misuse hook, with the name of the bad
 *               argument or field. (There is no hook where the space itself is NULL or not initialised.)
 *               Corruption is reported to the corruption hook, which by default stops the program. If that
 *               hook returns, any call may return KVA_ECORRUPT.
 */

/* ------------------------------------------------------------------------------------- further requests */

/** FURTHER REQUESTS. The fields of kva_request that most programs leave 0:
 *
 *   flags     KVA_NO_BLOCK, or 0
 *   phase     start % align is this instead of 0: below align, a multiple of the quantum
 *   nocross   a boundary: no multiple of this lies inside the range, except at its start. A power of two, at
 *             least the size, rounded up
 *   target    KVA_NEAREST: any address, inside the window or not. The distance of a start a is |a - target|
 *   random    KVA_RANDOM: 64 bits that the caller draws for each request. Of the N starts s_0 < s_1 <
 *             ... in the window that align and phase allow, free or not, random selects s_i with i = random *
 *             N / 2^64, rounded down. So each start is selected by as many values of random as any other, or
 *             by one more
 *   filter    trims or refuses free segments (struct kva_hole). NULL: all of every free segment may be
 *             used */

/** Flags of a request. */
enum {
    /** Wait for nothing but locks, and make no room: flush nothing, drain no pool, call no reclaim callback.
     *  If nothing fits, and one of these might have made room, the result is KVA_EAGAIN */
    KVA_NO_BLOCK = 1
};

/** A free segment that a filter (kva_hole_filter) is asked about. The filter decides whether a request may
 *  use it, and which part: for example to keep a gap beside some neighbours, or kinds of ranges apart:
 *
 *      static bool keep_gap(void *context, struct kva_hole *hole)
 *      {
 *          if (!hole->before || hole->before->owner == context)
 *              return true;
 *          if (hole->last - hole->start < 4096)           // the sum would wrap, or nothing would be left
 *              return false;
 *          hole->start += 4096;
 *          return true;
 *      }
 *
 *  In:      context   request.filter_context
 *  In/Out:  hole      the filter may raise start and lower last, to any address. A lower start or a higher
 *                     last has no effect: the filter must check its sums for wrap-around
 *  Returns: true to use the rest of the hole, if the request fits there; false to use nothing of it
 *  Locking: called with the space's lock: it must not call the space, and must not wait
 *
 *  The result must be a function of the hole and its neighbours: a search may ask more than once. It asks
 *  only about free segments that have room for the size in the window, one by one until the request fits:
 *
 *      KVA_LOWEST    upwards
 *      KVA_HIGHEST   downwards
 *      KVA_NEAREST   downwards from the target, then upwards from it
 *      KVA_RANDOM    upwards from the selected start, then upwards from the lowest
 *      KVA_BEST      with best_fit: from the smallest to the largest, equal ones upwards. Without:
 *                    upwards, except those that are no smaller than one in which the request fits */
struct kva_hole {
    /** In: the whole segment, including what lies outside the window. Out: the part that may be used */
    uint64_t start;
    uint64_t last;

    /** The segments that end at start - 1 and that begin at last + 1, valid during the call. NULL at an
     *  end of the space, and beside an absent range (kva/ranges.h) */
    const struct kva_segment *before;
    const struct kva_segment *after;
};

/** Find where a request would go, without allocating it.
 *
 *  Nothing is flushed or drained, and no callback is called. Free ranges in pools do not count; and kva_alloc
 *  may take a range from a pool where this returns another one.
 *
 *  In/Out:  space    not changed
 *  In:      request  see struct kva_request; owner and KVA_NO_BLOCK make no difference
 *  Out:     start    what kva_alloc would return, if it needed neither flush nor callback and used no pool
 *  Returns: KVA_OK
 *           KVA_ENOSPC   nothing fits
 *           KVA_EAGAIN   nothing fits, but a flush, a drain of the pools or a reclaim callback might make
 *                        room
 *           KVA_ENULL, KVA_EINVAL, KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, KVA_EWINDOW   as kva_alloc
 *  Cost:    O(log n) when align is at most the quantum and nocross is 0. For a larger power of two
 *           O((k + 1) log n), where k counts the holes in the window before the result that are long enough
 *           (size) yet too short to hold size bytes at every offset (size + align - quantum); see
 *           docs/theory/rb.md. With the bt engine k = 0 at a declared alignment class. For any other align, a
 *           phase or nocross O((k + 1) (log n + log nocross)), where k counts the holes in the window before
 *           the result that are long enough (size) and hold no such range: each takes a few divisions, and
 *           with nocross at most six for each bit of it. With a filter, k counts the holes that it is asked
 *           about. Policies:
 *             KVA_NEAREST, KVA_RANDOM   at most two such searches
 *             KVA_BEST                  in a space with best_fit O(log n), if the request has no window,
 *                                       filter, phase or boundary, and no alignment above the quantum; else
 *                                       O((k + 1) log n), where k counts the holes before the result, in the
 *                                       order of size, that are long enough. In any other space
 *                                       O((k + 1) log n), where k counts all holes in the window that are
 *                                       long enough
 *           With pools, O(CPUs) more where nothing fits
 *  Locking: Space; with pools, all CPUs' locks at once where nothing fits
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_search(struct kva_space *space, const struct kva_request *request,
                                   uint64_t *start);

/** The usual request: `size` bytes, anywhere, lowest address, no alignment above the quantum, no owner.
 *
 *  In:      size   see struct kva_request
 *  Returns: the request, all fields set
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
static inline struct kva_request kva_request_of(uint64_t size)
{
    struct kva_request request;
    request.size = size;
    request.align = 1;
    request.min = 0;
    request.max = UINT64_MAX;
    request.owner = NULL;
    request.policy = KVA_LOWEST;
    request.flags = 0;
    request.phase = 0;
    request.nocross = 0;
    request.target = 0;
    request.random = 0;
    request.filter = NULL;
    request.filter_context = NULL;
    return request;
}

/* ------------------------------------------------------------------------------- at an address, in parts */

/** Reserve exactly [start, start + size - 1].
 *
 *  In/Out:  space
 *  In:      start     a multiple of the quantum
 *           size      1 ..; rounded up to the quantum
 *           owner     kept with the segment
 *  Out:     conflict  on KVA_EEXIST, the lowest busy segment in the way; may be NULL. With threads, another
 *                     thread may have freed it since: then it is KVA_DEFERRED
 *  Returns: KVA_OK
 *           KVA_EEXIST     part of the range is busy. Where only deferred segments are in the way, they are
 *                          flushed and the range is taken; but with threads, a segment that another thread
 *                          has deferred there since the call began was busy meanwhile, and counts as busy
 *           KVA_ENOMEM     no node memory
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_ESIZE      size is 0
 *           KVA_EALIGN     start is not a multiple of the quantum
 *           KVA_EWRAP      the end passes 2^64 - 1
 *           KVA_ERANGE     part of the range lies outside the space, or is absent (kva/ranges.h)
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O(log n); where the range is not free, O((d + 1) log n) for d segments in it before the first
 *           busy one, and with rb in a space with absent ranges O(k) for all k segments in it. Flushing comes
 *           on top: whatever other threads do, there are at most three looks at the range and two flushes.
 *           With pools, two drains at most come on top: O(p log n) for p pooled segments
 *  Locking: Space; dropped during a flush. With pools, all CPUs' locks at once for the last look
 *  Failure: nothing has changed, except that KVA_ENOMEM, and with threads KVA_EEXIST and KVA_ERANGE, may come
 *           after a flush
 */
KVA_API enum kva_status kva_reserve(struct kva_space *space, uint64_t start, uint64_t size, void *owner,
                                    struct kva_segment *conflict);

/** Free part of a busy segment; the rest on either side stays busy with the same owner.
 *
 *  In/Out:  space
 *  In:      start   a multiple of the quantum, inside a busy segment
 *           size    1 ..; rounded up to the quantum
 *  Returns: KVA_OK
 *           KVA_ENULL       space is NULL or not initialised
 *           KVA_ESIZE       size is 0
 *           KVA_EALIGN      start is not a multiple of the quantum
 *           KVA_EWRAP       the end passes 2^64 - 1
 *           KVA_EUNKNOWN    start lies outside the space, or in an absent range (kva/ranges.h)
 *           KVA_EDOUBLE     start is free already
 *           KVA_EDEFERRED   start lies in a deferred segment
 *           KVA_ERANGE      the range reaches beyond the segment
 *           KVA_ENOMEM      no node memory; cannot happen for a whole segment, for an end of one that touches
 *                           a free segment, or after kva_preload. (For a range from a pool: cannot happen
 *                           for all of it, or after kva_preload)
 *           KVA_EREENTRY    called from inside the flush callback
 *  Cost:    O(log n)
 *  Locking: Space
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_free_range(struct kva_space *space, uint64_t start, uint64_t size);

/** Change the size of a busy segment in place: free its tail, or grow into the free space after it.
 *
 *  In/Out:  space
 *  In:      start   the start of a busy segment
 *           size    the new size, 1 ..; rounded up to the quantum
 *  Returns: KVA_OK (also when nothing changes)
 *           KVA_ENOSPC     the space after the segment is not free, or ends too soon. Nothing is flushed for
 *                          this
 *           KVA_ENOMEM     no node memory. At the same size: cannot happen. Shrinking: cannot happen when the
 *                          space after the segment is free. Growing: only with bt, where ranges lie 2^31
 *                          quanta apart. None of these after kva_preload. (A range from a pool may
 *                          need memory to shrink or to grow, but not after kva_preload; and with pools,
 *                          growing may return this instead of KVA_ENOSPC if there is no memory to drain them)
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED, KVA_EREENTRY   as kva_free
 *           KVA_ESIZE      size is 0
 *           KVA_EWRAP      the end passes 2^64 - 1
 *  Cost:    O(log n). With pools, a segment that finds no room to grow causes a drain, O(p log n) for p
 *           pooled segments, and a second attempt
 *  Locking: Space; with pools, all CPUs' locks for a drain
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_resize(struct kva_space *space, uint64_t start, uint64_t size);

/** One of several ranges at fixed distances from a common base; see kva_alloc_congruent. */
struct kva_part {
    /** From the base: 0 for the first part, then ascending without overlap; a multiple of the request's
     *  align and of the quantum */
    uint64_t offset;
    uint64_t size; /* 1 ..; rounded up to the quantum */
};

/** Allocate several ranges at fixed distances from one base, all or none: parts[i] becomes the busy segment
 *  that starts at base + parts[i].offset. A kernel lays out per-CPU areas for several nodes this way.
 *
 *  In/Out:  space
 *  In:      request  size is not read; all other fields are used. policy must be KVA_LOWEST or KVA_HIGHEST,
 *                    nocross 0 and filter NULL. The window holds all parts. align and phase hold for the
 *                    base, and so for the start of every part
 *           parts    see struct kva_part
 *           count    1 ..
 *  Out:     base     the lowest (highest) base at which every part is free
 *  Returns: as kva_alloc, and
 *           KVA_ENULL      parts or base is NULL
 *           KVA_EINVAL     count is 0, the first offset is not 0, parts overlap or do not ascend, policy is
 *                          neither KVA_LOWEST nor KVA_HIGHEST, nocross is not 0, or filter is not NULL
 *           KVA_ESIZE      the size of a part is 0
 *           KVA_EALIGN     an offset is not a multiple of align or of the quantum
 *           KVA_EWRAP      offset + size of a part passes 2^64 - 1
 *  Cost:    O(count (s + 1)) searches as in kva_alloc, for s moves of the base; each move passes a hole that
 *           no base further on can use. Flushing and reclaiming come on top, as with kva_alloc
 *  Locking: Space; dropped while callbacks run. KVA_ENOSPC holds for one moment, as with kva_alloc
 *  Failure: as kva_alloc
 */
KVA_API enum kva_status kva_alloc_congruent(struct kva_space *space, const struct kva_request *request,
                                            const struct kva_part *parts, size_t count, uint64_t *base);

/** Take node memory now, so that the next operations need none.
 *
 *  In/Out:  space
 *  In:      operations   the number of calls of kva_alloc, kva_reserve, kva_free_range, kva_resize or
 *                        kva_space_grow that follow; a congruent allocation counts once for each part. Calls
 *                        that free segments may come in between
 *  Returns: KVA_OK        none of them will return KVA_ENOMEM (with pools: unless it has to drain them)
 *           KVA_ENOMEM    the source refused; the memory that this call had taken is given back
 *           KVA_ENULL     space is NULL or not initialised
 *           KVA_EREENTRY  called from inside the flush callback
 *  Cost:    O(operations)
 *  Locking: Space
 *  Failure: no segment has changed
 */
KVA_API enum kva_status kva_preload(struct kva_space *space, size_t operations);

/* ------------------------------------------------------------------------------------ set up, end, grow */

/** A range that is busy from the start: firmware, a kernel image, a loader's mappings. */
struct kva_range {
    uint64_t start; /* a multiple of the quantum */
    uint64_t size;  /* 1 ..; rounded up to the quantum */
    void *owner;
};

/** Called ONCE per flush with the smallest range that covers all deferred segments, before they become
 *  free: it invalidates the references to them (in a TLB, an IOTLB, a fence, an interpreter's cache).
 *  kva_flush_first (kva/deferred.h) lists the ranges one by one; for that, the context must lead to the
 *  space. The callback may only query the space; calls that would change it return KVA_EREENTRY.
 *
 *  With threads: one flush callback runs at a time, and the space is not locked. Ranges that other threads
 *  defer meanwhile wait for the next flush. The callback must not wait for another thread that allocates
 *  or flushes: that thread may wait for it. */
typedef void kva_flush_callback(void *context, uint64_t start, uint64_t last);

struct kva_engine;
struct kva_threads;

/** The most alignment classes that a space can declare. */
#define KVA_ALIGN_CLASSES 4

/** What a space is made with. Zero-initialise it, then set at least `last`, `engine` and `memory`;
 *  kva_space_create needs only `last`. */
struct kva_config {
    uint64_t first;                  /* lowest address; a multiple of the quantum */
    uint64_t last;                   /* highest address, included; last + 1 is a multiple of the quantum */
    uint64_t quantum;                /* a power of two, 1 .. 2^63; 0 stands for 1 */
    const struct kva_engine *engine; /* kva_space_create: NULL for kva_engine_host() */
    struct kva_memory memory;        /* of nodes; kva_space_create: zero for kva_memory_host() */
    const struct kva_range *busy;    /* ranges that are busy from the start, in any order */
    size_t busy_count;

    /** Alignments that many requests will have: powers of two above the quantum, in any order; 0: none.
     *  The bt engine finds room at these in O(log n) */
    uint64_t align_class[KVA_ALIGN_CLASSES];
    bool without_owners; /* keep no owners: they read back as NULL. The bt engine takes half the memory */
    kva_flush_callback *flush; /* NULL: deferred segments need no work before they are free */
    void *flush_context;
    uint64_t deferred_limit; /* bytes that may wait for a flush; 0: the default of kva_set_deferred_limit */
    unsigned cpus;           /* for that default, and for pools; 0: 1 (kva_space_create asks the system) */

    /** NULL: kva_space_create takes kva_threads_host(), unless one_thread is set; with kva_space_init, the
     *  space takes no locks */
    const struct kva_threads *threads;
    bool one_thread; /* one thread at a time uses the space: no locks, whatever `threads` is */

    /** 0: no pools, and every result is the lowest (highest) address. Else see POOLS in kva/threads.h */
    uint64_t pool_bytes;
    kva_hook *on_misuse; /* NULL: calls only return the status */

    /** NULL: stop the program by a trap instruction; with kva_space_create, after one line on standard error
     *  (kva_corruption_host) */
    kva_hook *on_corruption;
    void *hook_context;

    /** Keep an index of the free segments by size: KVA_BEST finds its segment in O(log n). The index takes
     *  up to 25 bytes for each busy segment, and 9 KiB, and makes each change of a segment slower
     *  (docs/benchmarks.md). A space with 2^58 quanta or more below its last address has no index, which can
     *  happen only with a quantum below 64. Once a space has grown that far, it never has one again */
    bool best_fit;
};

/** Set up a space in the caller's memory.
 *
 *  In:      config  see struct kva_config; may be reused after the call. Its engine and its contexts must
 *                   outlive the space
 *  Out:     space   the caller's memory, any content; on failure it holds an uninitialised space, on which
 *                   every call returns KVA_ENULL
 *  Returns: KVA_OK
 *           KVA_ENULL    space, config, memory.take, memory.give, engine or a function of threads other than
 *                        point is NULL, or busy is NULL with busy_count > 0
 *                        (for this and the next four, the misuse hook receives the field: "memory.take",
 *                        "quantum", "align_class[i]", "busy[i].start" ...)
 *           KVA_EALIGN   quantum or an alignment class is not a power of two; first, last + 1 or a busy start
 *                        is not a multiple of the quantum
 *           KVA_ERANGE   first > last, or a busy range lies partly outside the space
 *           KVA_ESIZE    the size of a busy range is 0
 *           KVA_EWRAP    the end of a busy range passes 2^64 - 1
 *           KVA_EEXIST   two busy ranges overlap
 *           KVA_ENOMEM   no node memory
 *  Cost:    O(1 + busy_count log busy_count)
 *  Locking: Sole
 *  Failure: all memory is given back
 */
KVA_API enum kva_status kva_space_init(struct kva_space *space, const struct kva_config *config);

/** End a space that holds no busy segment; deferred ones are flushed first.
 *
 *  In/Out:  space   initialised; afterwards every call on it returns KVA_ENULL, except kva_space_destroy,
 *                   which a space of kva_space_create still needs, and kva_space_init
 *  Returns: KVA_OK
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EBUSY      there are busy segments: free them, or call kva_space_abandon
 *           KVA_EREENTRY   called from inside a flush or reclaim callback
 *  Cost:    O(m log n) for m deferred segments, and one give per slab of node memory
 *  Locking: Sole
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_fini(struct kva_space *space);

/** End a space that may hold busy and deferred segments: they are forgotten, not freed, and no callback is
 *  called.
 *
 *  In/Out:  space   initialised; afterwards every call on it returns KVA_ENULL, except kva_space_destroy,
 *                   which a space of kva_space_create still needs, and kva_space_init
 *  Returns: KVA_OK
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EREENTRY   called from inside a flush or reclaim callback
 *  Cost:    one give per slab of node memory
 *  Locking: Sole
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_abandon(struct kva_space *space);

/** Move the ends of a space outwards. The added addresses are free.
 *
 *  In/Out:  space
 *  In:      first   the new lowest address: at most the old one, a multiple of the quantum
 *           last    the new highest address: at least the old one; last + 1 a multiple of the quantum
 *  Returns: KVA_OK (also when nothing changes)
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EALIGN     first or last + 1 is not a multiple of the quantum
 *           KVA_ERANGE     the space would shrink at either end
 *           KVA_EREENTRY   called from inside the flush callback
 *           KVA_ENOMEM     no node memory
 *  Cost:    O(log n)
 *  Locking: Space
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_grow(struct kva_space *space, uint64_t first, uint64_t last);

/* ----------------------------------------------------------------------------------------- look and check */

/** What a space holds. Bytes saturate at 2^64 - 1, which only all 2^64 addresses in one state exceed. */
struct kva_stats {
    uint64_t free_bytes;
    uint64_t busy_bytes;
    uint64_t deferred_bytes;
    uint64_t largest_free; /* bytes of the largest free segment; 0 when none is free */
    uint64_t free_segments;
    uint64_t busy_segments;
    uint64_t deferred_segments;
    uint64_t flushes;      /* that have ended */
    uint64_t memory_bytes; /* held for bookkeeping, whether used or kept for later */
    uint64_t pooled_bytes; /* kept in pools */
    uint64_t pooled_segments;
};

/** Read the statistics.
 *
 *  In:      space
 *  Out:     stats
 *  Returns: KVA_OK, or KVA_ENULL when space or stats is NULL, or the space is not initialised
 *  Cost:    O(1), with pools O(CPUs) (scan: O(n), for largest_free)
 *  Locking: Query; with pools, all CPUs' locks at once, so that the sums are exact
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_stats_read(const struct kva_space *space, struct kva_stats *stats);

/** Verify every invariant of the space and of its engine: src/engine/engine.h and src/space/span.h list them.
 *
 *  In:      space
 *  Out:     fault   on KVA_ECORRUPT: which invariant is broken, and at which address; may be NULL
 *  Returns: KVA_OK
 *           KVA_ECORRUPT   see fault; the corruption hook is not called
 *           KVA_ENULL      space is NULL or not initialised
 *  Cost:    O(n log n)
 *  Locking: Query; with pools, all CPUs' locks at once
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_check(const struct kva_space *space, struct kva_fault *fault);

/** Called by kva_space_dump with one line of text, without a line feed; `text` ends with a zero byte. */
typedef void kva_dump_line(void *context, const char *text, size_t length);

/** Write one line per segment, in address order:
 *
 *      0x0000000000001000-0x0000000000002fff 8192 busy owner 0x00007ffd5c3e0010
 *      0x0000000000003000-0x0000000000008fff 24576 free
 *
 *  In:      space
 *           line      called for each line
 *           context   passed to it
 *  Returns: KVA_OK, or KVA_ENULL when space or line is NULL, or the space is not initialised
 *  Cost:    O(n log n)
 *  Locking: Query, once for each segment. line may query the space, and with threads change it: the lines
 *           then continue as kva_next does
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_dump(const struct kva_space *space, kva_dump_line *line, void *context);

#define KVA_VERSION_MAJOR 0
#define KVA_VERSION_MINOR 1
#define KVA_VERSION_PATCH 0

/** The version of this header. */
#define KVA_VERSION (KVA_VERSION_MAJOR * 65536u + KVA_VERSION_MINOR * 256u + KVA_VERSION_PATCH)

/** The version of the library that is linked, which a program may compare with KVA_VERSION.
 *
 *  Returns: major * 65536 + minor * 256 + patch
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API uint32_t kva_version(void);

/* ----------------------------------------------------------------------------------------- private part */

/** Private: a node of a tree, in the memory of a caller (kva/evict.h). */
struct kva_rb_node {
    uintptr_t parent_and_colour;
    struct kva_rb_node *child[2];
};

/** Private: a list of registered callbacks. */
struct kva_link {
    struct kva_link *next;
};
struct kva_callbacks {
    struct kva_link *first; /* in the order in which they were registered */
    uintptr_t inside;       /* the thread inside one of them; 0: none */
};

/** A space, declared in full so that it can live in the caller's memory without a heap. Everything in it
 *  is private and may change in any version. It must not be copied or moved. */
struct kva_space {
    struct kva_address_map *map; /* the segments, kept by the engine; NULL when not initialised */
    struct kva_shared *shared;   /* for threads and pools; NULL: the space has neither */
    int stage;                   /* of the flush under way */
    struct kva_callbacks reclaim;
    kva_flush_callback *flush;
    void *flush_context;
    uint64_t deferred_limit;
    uint64_t deferred_start; /* the range that the next flush will cover; start > last: none */
    uint64_t deferred_last;
    uint64_t flush_start; /* the range that the flush under way covers */
    uint64_t flush_last;
    uint64_t begun;   /* flushes that have begun */
    uint64_t flushes; /* flushes that have ended */
    unsigned epoch;   /* of ranges that are deferred now */
};

#ifdef __cplusplus
}
#endif

#endif
