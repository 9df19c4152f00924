/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The way into a space, and out of it, of each public function: what is checked first, locks, and reports of
 * misuse.
 */
#ifndef KVA_SPACE_ENTER_H
#define KVA_SPACE_ENTER_H

#include "../base/callbacks.h"
#include "../base/sequence.h"
#include "../engine/engine.h"

/** What threads and pools need beyond what one thread does; from the space's memory source. */
struct kva_shared {
    struct kva_threads threads; /* the port's, if there is more than one thread */
    struct kva_pools *pools;    /* NULL: none */
    _Atomic uintptr_t flusher;  /* the thread inside the flush callback; 0: none */
    _Atomic uint32_t compound;  /* a sequence count, see begin_compound */
    struct kva_locks locks;     /* the CPUs' records are of struct kva_cpu (span.h) */
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
    return space && space->map;
}

static inline bool has_pools(const struct kva_space *space)
{
    return is_initialised(space) && space->shared && space->shared->pools;
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
    return kva_report_misuse(&space->map->ledger.hooks, status, where, address, NULL);
}

/** The same, where an argument or field has a bad value. */
static inline enum kva_status misuse_of(const struct kva_space *space, enum kva_status status,
                                        const char *where, uint64_t address, const struct kva_bad *bad)
{
    return kva_report_misuse(&space->map->ledger.hooks, status, where, address, bad);
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

/** The same, of a call that has to be given a pointer, too; `address` is for the report where that is
 *  NULL. */
static inline enum kva_status enter_with(const struct kva_space *space, const char *where, uint64_t address,
                                         const void *pointer, const char *field)
{
    enum kva_status status = enter(space);

    if (status == KVA_OK && !pointer)
        return leave(space, misuse_null(space, where, address, field));
    return status;
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

/** Several changes of the tree, or of it and the spans, that lookups without the lock are to see at once or
 *  not at all. */
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

#endif
