/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Deferred free, flush, and what happens before anyone hears "no space".
 *
 *      busy --kva_free_deferred--> deferred --flush--> free
 *
 * A flush (of a TLB, an IOTLB, a fence) costs about the same for one range as for many; so ranges wait, and
 * one callback with the range that covers them all serves the batch. That covering range is kept as ranges
 * are parked; the engine keeps the ranges themselves.
 *
 * While the callback runs, the space does not change: what it was told to drop is exactly what becomes free
 * when it returns.
 */
#include "space.h"

/** See kva_set_deferred_limit. */
static uint64_t default_limit(unsigned cpus)
{
    uint64_t limit = 0;

    for (unsigned rest = cpus ? cpus : 1; rest > 0; rest >>= 1)
        limit += (uint64_t)32 << 20;
    return limit;
}

static void forget_deferred_range(struct kva_space *space)
{
    space->deferred_start = UINT64_MAX;
    space->deferred_last = 0;
}

void kva_defer_init(struct kva_space *space, const struct kva_config *config)
{
    space->reclaim = NULL;
    space->flush = config->flush;
    space->flush_context = config->flush_context;
    space->deferred_limit = config->deferred_limit ? config->deferred_limit : default_limit(config->cpus);
    space->flushes = 0;
    space->flushing = false;
    space->reclaiming = false;
    forget_deferred_range(space);
}

/* ---------------------------------------------------------------------------------------------- flush */

void kva_flush_now(struct kva_space *space)
{
    uint64_t start = space->deferred_start;
    uint64_t last = space->deferred_last;

    if (space->flush) {
        space->flushing = true;
        space->flush(space->flush_context, start, last);
        space->flushing = false;
    }
    space->tiling->engine->unpark(space->tiling);
    forget_deferred_range(space);
    space->flushes++;
    verify_change(space, __func__, start);
    verify_change(space, __func__, last);
}

enum kva_status kva_free_deferred(struct kva_space *space, uint64_t start)
{
    enum kva_status status = enter_change(space, __func__);
    uint64_t last;

    if (status != KVA_OK)
        return status;
    if (space->tiling->engine->park(space->tiling, start, &last) != KVA_OK)
        return kva_refuse_start(space, __func__, start);
    space->deferred_start = min_u64(space->deferred_start, start);
    space->deferred_last = max_u64(space->deferred_last, last);
    verify_change(space, __func__, start);
    if (bytes_in(&space->tiling->tally, KVA_DEFERRED) > space->deferred_limit)
        kva_flush_now(space);
    return KVA_OK;
}

enum kva_status kva_flush(struct kva_space *space)
{
    enum kva_status status = enter_change(space, __func__);

    if (status == KVA_OK && has_deferred(space))
        kva_flush_now(space);
    return status;
}

enum kva_status kva_set_deferred_limit(struct kva_space *space, uint64_t bytes)
{
    enum kva_status status = enter_change(space, __func__);

    if (status == KVA_OK)
        space->deferred_limit = bytes;
    return status;
}

/* -------------------------------------------------------------------------------------------- reclaim */

/** Flush, if that gives anything. */
static bool flush_some(struct kva_space *space)
{
    bool some = has_deferred(space);

    if (some)
        kva_flush_now(space);
    return some;
}

/** Ask one callback; whatever it says, what it has parked counts, too. */
static bool ask(struct kva_space *space, const struct kva_reclaim *entry, uint64_t size)
{
    space->reclaiming = true;
    bool gave = entry->callback(entry->context, space, size);
    space->reclaiming = false;
    return flush_some(space) || gave;
}

enum kva_status kva_retry(struct kva_space *space, uint64_t size, kva_attempt *attempt, void *context)
{
    const struct kva_reclaim *entry = space->reclaiming ? NULL : space->reclaim;
    enum kva_status status = KVA_ENOSPC;

    for (bool more = flush_some(space);; entry = entry->next) {
        if (more)
            status = attempt(space, context);
        if (status != KVA_ENOSPC || !entry)
            return status;
        more = ask(space, entry, size);
    }
}

/** The link that points to `reclaim`, or to the end of the list. */
static struct kva_reclaim **find_link(struct kva_space *space, const struct kva_reclaim *reclaim)
{
    struct kva_reclaim **link = &space->reclaim;

    while (*link && *link != reclaim)
        link = &(*link)->next;
    return link;
}

enum kva_status kva_reclaim_add(struct kva_space *space, struct kva_reclaim *reclaim)
{
    enum kva_status status = enter_exclusive(space, __func__);

    if (status != KVA_OK)
        return status;
    if (!reclaim || !reclaim->callback)
        return misuse(space, KVA_ENULL, __func__, 0);
    struct kva_reclaim **link = find_link(space, reclaim);
    if (*link)
        return KVA_EEXIST;
    reclaim->next = NULL;
    *link = reclaim;
    return KVA_OK;
}

enum kva_status kva_reclaim_remove(struct kva_space *space, struct kva_reclaim *reclaim)
{
    enum kva_status status = enter_exclusive(space, __func__);

    if (status != KVA_OK)
        return status;
    if (!reclaim)
        return misuse(space, KVA_ENULL, __func__, 0);
    struct kva_reclaim **link = find_link(space, reclaim);
    if (!*link)
        return KVA_ENOENT;
    *link = reclaim->next;
    return KVA_OK;
}
