/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The entry and the exit of each public function: the first checks, the locks, and reports of misuse.
 */
#ifndef KVA_SPACE_ENTER_H
#define KVA_SPACE_ENTER_H

#include "../base/callbacks.h"
#include "../base/sequence.h"
#include "../engine/engine.h"

/** The part of a space that only threads and pools need; from the space's memory source. */
struct kva_shared {
    struct kva_threads threads; /* a copy of the port's table; unused with one thread */
    struct kva_pools *pools;    /* NULL: none */
    _Atomic uintptr_t flusher;  /* the thread inside the flush callback; 0: none */
    _Atomic uint32_t compound;  /* a sequence count, see begin_compound */
    struct kva_locks locks;     /* a CPU's record is a struct kva_cpu (span.h) */
    _Atomic uint32_t turn;      /* changes whenever the flush under way advances */
};

/** The stage of the flush under way. */
enum kva_flush_stage {
    KVA_FLUSH_NONE,
    KVA_FLUSH_CALLING, /* its callback runs */
    KVA_FLUSH_GIVING   /* its ranges become free, slice by slice */
};

static inline bool is_initialised(const struct kva_space *space)
{
    return space && space->map;
}

static inline bool has_pools(const struct kva_space *space)
{
    return is_initialised(space) && space->shared && space->shared->pools;
}

/** NULL for a space with neither threads nor pools. */
static inline const struct kva_locks *locks_of(const struct kva_space *space)
{
    return space->shared ? &space->shared->locks : NULL;
}

/** The port's table; NULL for a space that serves one thread at a time. */
static inline const struct kva_threads *threads_of(const struct kva_space *space)
{
    return space->shared ? space->shared->locks.threads : NULL;
}

/** NULL for a space without pools. */
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

/** Whether the caller runs inside the flush callback. */
static inline bool inside_flush(const struct kva_space *space)
{
    if (space->stage != KVA_FLUSH_CALLING)
        return false;
    return !space->shared || atomic_load_explicit(&space->shared->flusher, memory_order_relaxed) ==
                                 thread_self(threads_of(space));
}

/** Whether the caller runs inside a reclaim callback. */
static inline bool inside_reclaim(const struct kva_space *space)
{
    return is_in_callback(&space->reclaim, threads_of(space));
}

/** Report misuse of an initialised space that is not due to a single value; returns `status`. */
static inline enum kva_status misuse(const struct kva_space *space, enum kva_status status, const char *where,
                                     uint64_t address)
{
    return kva_report_misuse(&space->map->ledger.hooks, status, where, address, NULL);
}

/** The same, where an argument or a field has a bad value. */
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

/** The exit of every call that has entered. */
static inline enum kva_status leave(const struct kva_space *space, enum kva_status status)
{
    unlock_space(space);
    return status;
}

/** The entry of every call that reads a space: KVA_OK with the space's lock, or a status without it. */
static inline enum kva_status enter(const struct kva_space *space)
{
    if (!is_initialised(space))
        return KVA_ENULL;
    lock_space(space);
    return KVA_OK;
}

/** The same for a call that needs a further pointer. If that is NULL, the report names `address`. */
static inline enum kva_status enter_with(const struct kva_space *space, const char *where, uint64_t address,
                                         const void *pointer, const char *field)
{
    enum kva_status status = enter(space);

    if (status == KVA_OK && !pointer)
        return leave(space, misuse_null(space, where, address, field));
    return status;
}

/** The entry of every call that changes a space. */
static inline enum kva_status enter_change(const struct kva_space *space, const char *where)
{
    enum kva_status status = enter(space);

    if (status == KVA_OK && inside_flush(space))
        return leave(space, misuse(space, KVA_EREENTRY, where, 0));
    return status;
}

/** The entry of the calls that a reclaim callback may not make either: it runs inside an allocation, and
 *  inside a walk over the callbacks. */
static inline enum kva_status enter_exclusive(const struct kva_space *space, const char *where)
{
    enum kva_status status = enter_change(space, where);

    if (status == KVA_OK && inside_reclaim(space))
        return leave(space, misuse(space, KVA_EREENTRY, where, 0));
    return status;
}

/** Begin several changes of the tree, or of the tree and the spans, of which lock-free lookups must see all
 *  or none (lookup.h). */
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

/** Take, and drop, the space's lock and those of all CPUs. */
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
