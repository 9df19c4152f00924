/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Allocate by policy, reserve at an address, allocate several ranges at once. */
#include "congruent.h"
#include "retry.h"
#include "exact.h"
#include "verify.h"

/* -------------------------------------------------------------------------------------------- by policy */

struct allocation {
    const struct kva_request *request;
    uint64_t start;
    struct kva_bad bad; /* written only with a status of misuse */
};

static __attribute__((cold, noinline)) enum kva_status alloc_filtered(struct kva_space *space,
                                                                      struct allocation *allocation)
{
    struct kva_demand demand;
    enum kva_status status = kva_space_demand_of(space, allocation->request, &demand, &allocation->bad);

    return status == KVA_OK ? core_alloc(space->map, &demand, allocation->request->owner, &allocation->start)
                            : status;
}

/** Inline: most allocations need no other attempt. */
static inline enum kva_status alloc_once(struct kva_space *space, struct allocation *allocation)
{
    if (__builtin_expect(allocation->request->filter && pools_of(space), false))
        return alloc_filtered(space, allocation);
    return kva_core_alloc(space->map, allocation->request, &allocation->start, &allocation->bad);
}

/** Each attempt reads the space's bounds again: a reclaim callback may have grown it. */
static enum kva_status attempt_alloc(void *instance, void *operation)
{
    return alloc_once(instance, operation);
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
    status = alloc_once(space, &allocation);
    if (status == KVA_ENOSPC)
        status = kva_retry(space, request, attempt_alloc, &allocation);
    if (is_misuse(status))
        (void)misuse_of(space, status, __func__, request->min, &allocation.bad);
    if (status == KVA_OK) {
        *start = allocation.start;
        verify_change(space, __func__, allocation.start);
    }
    return leave(space, status);
}

enum kva_status kva_search(struct kva_space *space, const struct kva_request *request, uint64_t *start)
{
    enum kva_status status = enter(space);
    struct kva_demand demand;
    struct kva_place place;
    struct kva_bad bad;

    if (status != KVA_OK)
        return status;
    if (!request || !start)
        return leave(space, misuse_null(space, __func__, 0, request ? "start" : "request"));
    status = kva_space_demand_of(space, request, &demand, &bad);
    if (is_misuse(status))
        return leave(space, misuse_of(space, status, __func__, request->min, &bad));
    status = core_search(space->map, &demand, &place);
    if (status == KVA_OK)
        *start = place.start;
    return leave(space, status == KVA_ENOSPC && kva_can_make_room(space) ? KVA_EAGAIN : status);
}

/* ---------------------------------------------------------------------------------------- at an address */

enum kva_status kva_reserve(struct kva_space *space, uint64_t start, uint64_t size, void *owner,
                            struct kva_segment *conflict)
{
    enum kva_status status = enter_change(space, __func__);
    struct kva_exact exact = {.start = start};

    if (status != KVA_OK)
        return status;
    struct kva_address_map *map = space->map;
    status = kva_range_of(map->quantum, start, size, &kva_range_plain, &exact.last, &exact.bad);
    if (status == KVA_OK)
        status = kva_exact_find(space, &exact);
    if (is_misuse(status))
        return leave(space, misuse_of(space, status, __func__, start, &exact.bad));
    if (status == KVA_EEXIST && conflict)
        *conflict = exact.conflict;
    if (status == KVA_OK)
        status = map->engine->occupy(map, &exact.place, owner);
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return leave(space, status);
}

/* ---------------------------------------------------------------------------------------- several at once */

struct congruent_allocation {
    const struct kva_request *request;
    struct kva_congruence congruence;
    struct kva_bad bad; /* written only with a status of misuse */
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
    enum kva_status status = kva_congruent_demand_of(space->map, allocation->request, congruence->parts,
                                                     congruence->count, &demand, &allocation->bad);

    if (status == KVA_OK)
        status = kva_congruent_search(space->map, &demand, congruence);
    if (status != KVA_OK)
        return status;
    begin_compound(space);
    status = kva_congruent_occupy(space->map, congruence, threads_of(space));
    end_compound(space);
    return status;
}

/** The request that reclaim callbacks receive: its size is from the first part's start to the last part's
 *  end, saturated. */
static struct kva_request whole_request(const struct kva_request *request, const struct kva_part *parts,
                                        size_t count)
{
    struct kva_request whole = *request;

    whole.size = add_saturated(parts[count - 1].offset, parts[count - 1].size);
    return whole;
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
    if (status == KVA_ENOSPC) {
        struct kva_request whole = whole_request(request, parts, count);
        status = kva_retry(space, &whole, attempt_congruent, &allocation);
    }
    if (is_misuse(status))
        (void)misuse_of(space, status, __func__, request->min, &allocation.bad);
    if (status == KVA_OK) {
        verify_parts(space, &allocation.congruence);
        *base = allocation.congruence.base;
    }
    return leave(space, status);
}
