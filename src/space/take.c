/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Taking ranges: by policy, at an address, several at once. */
#include "conflict.h"
#include "congruent.h"
#include "retry.h"
#include "verify.h"

/* -------------------------------------------------------------------------------------------- by policy */

struct allocation {
    const struct kva_request *request;
    uint64_t start;
    struct kva_bad bad; /* written only with a status that is the caller's bug */
};

/** Each attempt looks at the space anew: a reclaim callback may have made it grow. */
static enum kva_status attempt_alloc(void *instance, void *operation)
{
    struct kva_space *space = instance;
    struct allocation *allocation = operation;

    return kva_core_alloc(space->tiling, allocation->request, &allocation->start, &allocation->bad);
}

enum kva_status kva_alloc(struct kva_space *space, const struct kva_request *request, uint64_t *start)
{
    struct allocation allocation;

    if (has_pools(space) && request && start && kva_pool_alloc(space, request, start))
        return KVA_OK;
    enum kva_status status = enter_change(space, __func__);
    if (status != KVA_OK)
        return status;
    if (!request || !start)
        return leave(space, misuse_null(space, __func__, 0, request ? "start" : "request"));
    allocation.request = request;
    status = attempt_alloc(space, &allocation);
    if (status == KVA_ENOSPC)
        status = kva_retry(space, request->size, attempt_alloc, &allocation);
    if (is_misuse(status))
        (void)misuse_of(space, status, __func__, request->min, &allocation.bad);
    if (status == KVA_OK) {
        *start = allocation.start;
        verify_change(space, __func__, allocation.start);
    }
    return leave(space, status);
}

/* ---------------------------------------------------------------------------------------- at an address */

/** A range that is wanted, and its place if it is free; else what is in the way. */
struct spot {
    uint64_t start;
    uint64_t last;
    struct kva_place place;
    struct kva_segment conflict;
};

static enum kva_status attempt_locate(void *instance, void *operation)
{
    struct kva_space *space = instance;
    struct spot *spot = operation;
    struct kva_tiling *tiling = space->tiling;

    if (tiling->engine->locate(tiling, spot->start, spot->last, &spot->place) == KVA_OK)
        return KVA_OK;
    kva_find_conflict(space, spot->start, spot->last, NULL, &spot->conflict);
    return KVA_ENOSPC;
}

enum kva_status kva_reserve(struct kva_space *space, uint64_t start, uint64_t size, void *owner,
                            struct kva_segment *conflict)
{
    enum kva_status status = enter_change(space, __func__);
    struct spot spot = {.start = start};
    struct kva_bad bad;

    if (status != KVA_OK)
        return status;
    struct kva_tiling *tiling = space->tiling;
    status = kva_range_inside(tiling, start, size, &kva_range_plain, &spot.last, &bad);
    if (status != KVA_OK)
        return leave(space, misuse_of(space, status, __func__, start, &bad));
    status = kva_attempt_place(space, attempt_locate, &spot, &spot.conflict);
    if (status == KVA_EEXIST && conflict)
        *conflict = spot.conflict;
    if (status == KVA_OK)
        status = tiling->engine->occupy(tiling, &spot.place, owner);
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return leave(space, status);
}

/* ---------------------------------------------------------------------------------------- several at once */

struct congruent_allocation {
    const struct kva_request *request;
    struct kva_congruence congruence;
    struct kva_bad bad; /* written only with a status that is the caller's bug */
};

static void verify_parts(const struct kva_space *space, const struct kva_congruence *congruence)
{
    for (size_t i = 0; KVA_CHECK_LEVEL >= 2 && i < congruence->count; i++)
        verify_change(space, "kva_alloc_congruent", congruence->base + congruence->parts[i].offset);
}

static enum kva_status attempt_congruent(void *instance, void *operation)
{
    struct kva_space *space = instance;
    struct congruent_allocation *allocation = operation;
    struct kva_congruence *congruence = &allocation->congruence;
    struct kva_demand demand;
    enum kva_status status = kva_congruent_demand_of(space->tiling, allocation->request, congruence->parts,
                                                     congruence->count, &demand, &allocation->bad);

    if (status == KVA_OK)
        status = kva_congruent_search(space->tiling, &demand, congruence);
    if (status != KVA_OK)
        return status;
    begin_compound(space);
    status = kva_congruent_occupy(space->tiling, congruence, threads_of(space));
    end_compound(space);
    return status;
}

/** The bytes from the first part's start to the last one's end, saturated: what reclaim callbacks are
 *  told. */
static uint64_t extent_of_parts(const struct kva_part *parts, size_t count)
{
    return add_saturated(parts[count - 1].offset, parts[count - 1].size);
}

enum kva_status kva_alloc_congruent(struct kva_space *space, const struct kva_request *request,
                                    const struct kva_part *parts, size_t count, uint64_t *base)
{
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    if (!request || !parts || !base)
        return leave(space, misuse_null(space, __func__, 0,
                                        !request ? "request"
                                        : !parts ? "parts"
                                                 : "base"));
    struct congruent_allocation allocation = {
        .request = request,
        .congruence = {.parts = parts, .count = count, .owner = request->owner},
    };
    status = attempt_congruent(space, &allocation);
    if (status == KVA_ENOSPC)
        status = kva_retry(space, extent_of_parts(parts, count), attempt_congruent, &allocation);
    if (is_misuse(status))
        (void)misuse_of(space, status, __func__, request->min, &allocation.bad);
    if (status == KVA_OK) {
        verify_parts(space, &allocation.congruence);
        *base = allocation.congruence.base;
    }
    return leave(space, status);
}
