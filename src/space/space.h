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

#include "../engine/engine.h"

static inline bool is_initialised(const struct kva_space *space)
{
    return space && space->tiling;
}

static inline bool is_misuse(enum kva_status status)
{
    return status >= KVA_ENULL && status < KVA_ECORRUPT;
}

/** Report a caller's bug on an initialised space; returns `status`. */
static inline enum kva_status misuse(const struct kva_space *space, enum kva_status status, const char *where,
                                     uint64_t address)
{
    return kva_report_misuse(&space->tiling->hooks, status, where, address);
}

/** The way in of every call that changes a space. */
static inline enum kva_status enter_change(const struct kva_space *space, const char *where)
{
    if (!is_initialised(space))
        return KVA_ENULL;
    return space->flushing ? misuse(space, KVA_EREENTRY, where, 0) : KVA_OK;
}

/** The way in of the calls that not even a reclaim callback may make: it runs in the middle of an allocation,
 *  and of a walk over the callbacks. */
static inline enum kva_status enter_exclusive(const struct kva_space *space, const char *where)
{
    enum kva_status status = enter_change(space, where);

    return status == KVA_OK && space->reclaiming ? misuse(space, KVA_EREENTRY, where, 0) : status;
}

/** Check levels 2 and 3, after a change of the segment that holds, or held, `address`. */
void kva_verify_change(const struct kva_space *space, const char *where, uint64_t address);

static inline void verify_change(const struct kva_space *space, const char *where, uint64_t address)
{
    if (KVA_CHECK_LEVEL >= 2)
        kva_verify_change(space, where, address);
}

/** The range [start, *last] that `start` and `size` denote, size rounded up to the quantum: KVA_OK, or
 *  KVA_ESIZE, KVA_EALIGN, KVA_EWRAP. */
enum kva_status kva_range_of(uint64_t quantum, uint64_t start, uint64_t size, uint64_t *last);

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

static inline bool has_deferred(const struct kva_space *space)
{
    return space->tiling->tally.segments[KVA_DEFERRED] > 0;
}

/** Call the flush callback and give the deferred segments back. There are some. */
void kva_flush_now(struct kva_space *space);

/** An allocation that has just failed for want of space: flush, ask the reclaim callbacks, and attempt it
 *  again after each; the last attempt's status. */
typedef enum kva_status kva_attempt(struct kva_space *space, void *context);
enum kva_status kva_retry(struct kva_space *space, uint64_t size, kva_attempt *attempt, void *context);

/** Forget reclaim callbacks and deferred ranges: the fields that defer.c owns. */
void kva_defer_init(struct kva_space *space, const struct kva_config *config);

#endif
