/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What the files of the space share: the way in, and the way out, of each public function.
 *
 *      public call                       arguments are checked here
 *         |  rounded to the quantum
 *      engine                            finds, splits, merges; trusts what it is given
 *         |  changed
 *      verify_change                     check levels 2 and 3
 */
#ifndef KVA_SPACE_SPACE_H
#define KVA_SPACE_SPACE_H

#include "../base/callbacks.h"
#include "../base/sequence.h"
#include "../engine/engine.h"

/** What threads and pools need beyond what one thread does; from the space's memory source. */
struct kva_shared {
    struct kva_threads threads; /* the port's, if there is more than one thread */
    struct kva_pools *pools;    /* NULL: none */
    _Atomic uintptr_t flusher;  /* the thread inside the flush callback; 0: none */
    _Atomic uint32_t compound;  /* a sequence count, see begin_compound */
    struct kva_locks locks;     /* the CPUs' records are of struct kva_cpu (pool.h) */
    _Atomic uint32_t turn;      /* changes whenever the flush under way gets on */
};

/** How far the flush under way is. */
enum kva_flush_stage {
    KVA_FLUSH_NONE,
    KVA_FLUSH_CALLING, /* its callback runs */
    KVA_FLUSH_GIVING   /* what it covered becomes free, slice by slice */
};

static inline bool is_initialised(const struct kva_space *space)
{
    return space && space->tiling;
}

static inline bool has_pools(const struct kva_space *space)
{
    return is_initialised(space) && space->shared && space->shared->pools;
}

static inline bool is_misuse(enum kva_status status)
{
    return status >= KVA_ENULL && status < KVA_ECORRUPT;
}

/** NULL for a space that has neither threads nor pools. */
static inline const struct kva_locks *locks_of(const struct kva_space *space)
{
    return space->shared ? &space->shared->locks : NULL;
}

/** The port's table; NULL for a space that serves one thread at a time. */
static inline const struct kva_threads *threads_of(const struct kva_space *space)
{
    return space->shared ? space->shared->locks.threads : NULL;
}

/** NULL where there are none. */
static inline struct kva_pools *pools_of(const struct kva_space *space)
{
    return space->shared ? space->shared->pools : NULL;
}

static inline void lock_space(const struct kva_space *space)
{
    main_take(locks_of(space));
}

static inline void unlock_space(const struct kva_space *space)
{
    main_drop(locks_of(space));
}

/** Whether the caller is the flush callback, or called by it. */
static inline bool inside_flush(const struct kva_space *space)
{
    if (space->stage != KVA_FLUSH_CALLING)
        return false;
    return !space->shared || atomic_load_explicit(&space->shared->flusher, memory_order_relaxed) ==
                                 thread_self(threads_of(space));
}

/** Whether the caller is a reclaim callback, or called by one. */
static inline bool inside_reclaim(const struct kva_space *space)
{
    return is_in_callback(&space->reclaim, threads_of(space));
}

/** Report a caller's bug on an initialised space that no single value is to blame for; returns `status`. */
static inline enum kva_status misuse(const struct kva_space *space, enum kva_status status, const char *where,
                                     uint64_t address)
{
    return kva_report_misuse(&space->tiling->ledger.hooks, status, where, address, NULL);
}

/** The same, where an argument or field has a bad value. */
static inline enum kva_status misuse_of(const struct kva_space *space, enum kva_status status,
                                        const char *where, uint64_t address, const struct kva_bad *bad)
{
    return kva_report_misuse(&space->tiling->ledger.hooks, status, where, address, bad);
}

/** The same, for a pointer that is NULL. */
static inline enum kva_status misuse_null(const struct kva_space *space, const char *where, uint64_t address,
                                          const char *field)
{
    return misuse_of(space, KVA_ENULL, where, address, &(struct kva_bad){field, 0});
}

/** The way out of every call that has found its way in. */
static inline enum kva_status leave(const struct kva_space *space, enum kva_status status)
{
    unlock_space(space);
    return status;
}

/** The way in of every call that looks at a space: KVA_OK with the space locked, or a status without. */
static inline enum kva_status enter(const struct kva_space *space)
{
    if (!is_initialised(space))
        return KVA_ENULL;
    lock_space(space);
    return KVA_OK;
}

/** The way in of every call that changes a space. */
static inline enum kva_status enter_change(const struct kva_space *space, const char *where)
{
    enum kva_status status = enter(space);

    if (status == KVA_OK && inside_flush(space))
        return leave(space, misuse(space, KVA_EREENTRY, where, 0));
    return status;
}

/** The way in of the calls that not even a reclaim callback may make: it runs in the middle of an allocation,
 *  and of a walk over the callbacks. */
static inline enum kva_status enter_exclusive(const struct kva_space *space, const char *where)
{
    enum kva_status status = enter_change(space, where);

    if (status == KVA_OK && inside_reclaim(space))
        return leave(space, misuse(space, KVA_EREENTRY, where, 0));
    return status;
}

/** Check levels 2 and 3, after a change of the segment that holds, or held, `address`. */
void kva_verify_change(const struct kva_space *space, const char *where, uint64_t address);

static inline void verify_change(const struct kva_space *space, const char *where, uint64_t address)
{
    if (KVA_CHECK_LEVEL >= 2)
        kva_verify_change(space, where, address);
}

/** What a caller calls the two values of a range, for kva_fault.field. */
struct kva_range_names {
    const char *start;
    const char *size;
};
extern const struct kva_range_names kva_range_plain; /* "start" and "size", as most arguments are called */

/** The range [start, *last] that `start` and `size` denote, size rounded up to the quantum: KVA_OK; or KVA_ESIZE, KVA_EALIGN,
 *  KVA_EWRAP, and *bad. */
enum kva_status kva_range_of(uint64_t quantum, uint64_t start, uint64_t size,
                             const struct kva_range_names *names, uint64_t *last, struct kva_bad *bad);

/** The same, and KVA_ERANGE if part of it lies outside the space. */
enum kva_status kva_range_inside(const struct kva_tiling *tiling, uint64_t start, uint64_t size,
                                 const struct kva_range_names *names, uint64_t *last, struct kva_bad *bad);

/** The function that a table of threads lacks, as a field of the configuration; NULL if it has all that it must have. */
const char *kva_missing_in_threads(const struct kva_threads *threads);

/** Whether parts lie as kva_alloc_congruent wants them: KVA_OK, and *extent is the span from the first part's start to the last
 *  one's end; or KVA_EINVAL, KVA_EALIGN, KVA_ESIZE, KVA_EWRAP, and *bad. */
enum kva_status kva_validate_parts(const struct kva_part *parts, size_t count, uint64_t align,
                                   uint64_t quantum, uint64_t *extent, struct kva_bad *bad);

/** Why no busy segment starts at `start`: one of free's statuses; KVA_OK if one does. */
enum kva_status kva_diagnose_start(const struct kva_space *space, uint64_t start);

/** The engine knows no busy segment that starts at `start`: report why, to one hook or the other. */
enum kva_status kva_refuse_start(const struct kva_space *space, const char *where, uint64_t start);

/** The bytes of one state, saturated: the tally counts modulo 2^64, where 0 bytes in some segments can only be
 *  all 2^64. */
static inline uint64_t bytes_in(const struct kva_tally *tally, enum kva_state state)
{
    return tally->bytes[state] == 0 && tally->segments[state] > 0 ? UINT64_MAX : tally->bytes[state];
}

/** How many segments and objects are deferred in a colour. */
uint64_t kva_waiting(const struct kva_space *space, unsigned colour);

static inline bool has_deferred(const struct kva_space *space)
{
    return kva_waiting(space, 0) + kva_waiting(space, 1) > 0;
}

/** The segment that holds `address`, which is inside the space: the tree's, or an object of a pool. */
void kva_look(const struct kva_space *space, uint64_t address, struct kva_segment *segment);

/** Several changes of the tree, or of it and the spans, that lookups without the lock are to see at once or not at all. */
static inline void begin_compound(const struct kva_space *space)
{
    if (threads_of(space))
        begin_change(&space->shared->compound);
}

static inline void end_compound(const struct kva_space *space)
{
    if (threads_of(space))
        end_change(&space->shared->compound);
}

/** What the tree has at an address, without the space's lock; with the caller's CPU's, if there are pools. False if a pool's
 *  span lies there, if it was changed too close by, twice, or if the engine cannot tell. */
bool kva_peek(const struct kva_space *space, uint64_t address, struct kva_segment *segment);

/** What the space holds, objects of pools told by what they are. With all locks held. */
struct kva_tally kva_whole_tally(const struct kva_space *space, uint64_t *pooled_bytes,
                                 uint64_t *pooled_segments);

/** Lock all of the space, and unlock it. */
static inline void freeze(const struct kva_space *space)
{
    if (space->shared)
        kva_locks_freeze(&space->shared->locks);
}

static inline void thaw(const struct kva_space *space)
{
    if (space->shared)
        kva_locks_thaw(&space->shared->locks);
}

/** Give [start, last], of the busy segment `whole`, back. */
enum kva_status kva_release_part(struct kva_tiling *tiling, const struct kva_segment *whole, uint64_t start,
                                 uint64_t last);

/** Until all that is deferred now is free: flush it, or help or wait for who does. The space is locked; not all the time. */
void kva_settle(struct kva_space *space);

/** A step of the flush under way, or the first one of the next: which there is a need for. */
void kva_flush_step(struct kva_space *space);

/** An allocation that has just failed for want of space: flush, ask the reclaim callbacks, and attempt it
 *  again after each; the last attempt's status. */
enum kva_status kva_retry(struct kva_space *space, uint64_t size, kva_attempt *attempt, void *operation);

/** Give back to the tree all that pools hold, and attempt it then and there: the attempt's status; KVA_ENOMEM instead of
 *  KVA_ENOSPC if there was no memory to give all of it back. */
enum kva_status kva_attempt_drained(struct kva_space *space, kva_attempt *attempt, void *operation);

/** Forget reclaim callbacks and deferred ranges: the fields that defer.c owns. */
void kva_defer_init(struct kva_space *space, const struct kva_config *config);

#endif
