/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Demands for an exact range, and what a space tries before it returns KVA_EEXIST or KVA_EBUSY because the
 * range is not free:
 *
 *      attempt -- in the way: pooled ----> drain the pools, attempt
 *              -- in the way: deferred --> flush, drain the pools, attempt
 *              -- in the way: busy ------> return
 *
 * The lowest segment of the worst state in the way is reported. All calls require the space's lock, which a
 * flush drops. The bounds of the space may change meanwhile, so each attempt checks them again.
 */
#ifndef KVA_SPACE_EXACT_H
#define KVA_SPACE_EXACT_H

#include "defer.h"

/** Whether one state is more in the way than another. Free and absent are not in the way; a drain removes
 *  pooled, a flush removes deferred, nothing removes busy. */
bool kva_is_worse(enum kva_state state, enum kva_state than);

/** Find the lowest segment of the worst state in [start, last], which is inside the space. The busy segment
 *  `own` (NULL: none) and absent segments are not in the way. conflict->state is KVA_FREE if nothing is. */
void kva_find_conflict(const struct kva_space *space, uint64_t start, uint64_t last,
                       const struct kva_segment *own, struct kva_segment *conflict);

/** Attempt an operation that returns KVA_ENOSPC, and sets *in_the_way, if a segment of that state is in the
 *  way. Drain, or flush and drain, and attempt it again. Returns the last attempt's status; KVA_ENOMEM
 *  instead of KVA_ENOSPC if there was no memory to drain the pools. It flushes once:
 *  docs/theory/threads.md, "A bound for every request". */
enum kva_status kva_retry_exact(struct kva_space *space, kva_attempt *attempt, void *operation,
                                const enum kva_state *in_the_way);

/** A demand for an exact range, and its place if it is free; else the segment in the way. */
struct kva_exact {
    uint64_t start;
    uint64_t last;
    struct kva_place place;      /* with KVA_OK */
    struct kva_segment conflict; /* with KVA_EEXIST */
    struct kva_bad bad;          /* with KVA_ERANGE */
};

/** Find the place [start, last]; drain or flush if that helps. KVA_OK; KVA_EEXIST (not all of it is free),
 *  KVA_ERANGE (part of it lies outside the space, or is absent), KVA_ENOMEM (there was none to drain the
 *  pools). */
enum kva_status kva_exact_find(struct kva_space *space, struct kva_exact *exact);

#endif
