/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Taking ranges: by policy, at an address, several at once. */
#include "space.h"

/* ------------------------------------------------------------------------------------------ arguments */

static enum kva_status validate_request(const struct kva_request *request)
{
    if (request->policy != KVA_LOWEST && request->policy != KVA_HIGHEST)
        return KVA_EINVAL;
    if (request->size == 0)
        return KVA_ESIZE;
    if (!is_power_of_two(request->align))
        return KVA_EALIGN;
    return KVA_OK;
}

/** Round a request to the quantum and cut its window to the space. */
static enum kva_status demand_of(const struct kva_tiling *tiling, const struct kva_request *request,
                                 struct kva_demand *demand)
{
    enum kva_status status = validate_request(request);

    if (status != KVA_OK)
        return status;
    if (!align_up(request->size, tiling->quantum, &demand->size))
        return KVA_EWRAP;
    if (request->min > request->max || request->max < tiling->first || request->min > tiling->last)
        return KVA_EWINDOW;
    demand->align = max_u64(request->align, tiling->quantum);
    demand->min = max_u64(request->min, tiling->first);
    demand->max = min_u64(request->max, tiling->last);
    demand->policy = request->policy;
    return KVA_OK;
}

/** Whether the window could hold the demand if all of it were free. */
static bool is_plausible(const struct kva_demand *demand)
{
    return demand->max - demand->min >= demand->size - 1;
}

/* -------------------------------------------------------------------------------------------- by policy */

struct allocation {
    struct kva_demand demand;
    void *owner;
    uint64_t start;
};

static enum kva_status attempt_alloc(struct kva_space *space, void *context)
{
    struct allocation *allocation = context;
    struct kva_tiling *tiling = space->tiling;
    struct kva_place place;
    enum kva_status status = tiling->engine->search(tiling, &allocation->demand, &place);

    if (status != KVA_OK)
        return status;
    allocation->start = place.start;
    return tiling->engine->occupy(tiling, &place, allocation->owner);
}

enum kva_status kva_alloc(struct kva_space *space, const struct kva_request *request, uint64_t *start)
{
    struct allocation allocation;
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    if (!request || !start)
        return misuse(space, KVA_ENULL, __func__, 0);
    status = demand_of(space->tiling, request, &allocation.demand);
    if (status != KVA_OK)
        return misuse(space, status, __func__, request->min);
    if (!is_plausible(&allocation.demand))
        return KVA_ENOSPC;
    allocation.owner = request->owner;
    status = attempt_alloc(space, &allocation);
    if (status == KVA_ENOSPC)
        status = kva_retry(space, allocation.demand.size, attempt_alloc, &allocation);
    if (status == KVA_OK) {
        *start = allocation.start;
        verify_change(space, __func__, allocation.start);
    }
    return status;
}

/* ---------------------------------------------------------------------------------------- at an address */

/** Walk the used segments in [start, last]. Returns whether all of them are deferred; if not, *conflict is
 *  the lowest busy one. */
static bool only_deferred_between(const struct kva_tiling *tiling, uint64_t start, uint64_t last,
                                  struct kva_segment *conflict)
{
    for (uint64_t at = start;; at = conflict->last + 1) {
        tiling->engine->find(tiling, at, conflict);
        if (conflict->state == KVA_BUSY)
            return false;
        if (conflict->last >= last)
            return true;
    }
}

enum kva_status kva_reserve(struct kva_space *space, uint64_t start, uint64_t size, void *owner,
                            struct kva_segment *conflict)
{
    enum kva_status status = enter_change(space, __func__);
    struct kva_segment in_the_way;
    struct kva_place place;
    uint64_t last;

    if (status != KVA_OK)
        return status;
    struct kva_tiling *tiling = space->tiling;
    status = kva_range_of(tiling->quantum, start, size, &last);
    if (status == KVA_OK && (start < tiling->first || last > tiling->last))
        status = KVA_ERANGE;
    if (status != KVA_OK)
        return misuse(space, status, __func__, start);
    status = tiling->engine->locate(tiling, start, last, &place);
    if (status == KVA_EEXIST) {
        if (!only_deferred_between(tiling, start, last, &in_the_way)) {
            if (conflict)
                *conflict = in_the_way;
            return KVA_EEXIST;
        }
        kva_flush_now(space);
        status = tiling->engine->locate(tiling, start, last, &place);
    }
    if (status == KVA_OK)
        status = tiling->engine->occupy(tiling, &place, owner);
    verify_change(space, __func__, start);
    return status;
}

/* --------------------------------------------------------------------------------------- several at once */

/**
 * Congruent ranges. Where must the base lie so that every part finds room?
 *
 *      base          base + offset[1]              base + offset[2]
 *      |== part 0 ==|      |= part 1 =|                  |=== part 2 ===|
 *
 * Take the highest policy (the lowest is the mirror image). Ask for the highest base at which part 0 fits;
 * then, part by part and round and round, for the highest base AT MOST THAT at which the next part fits. Each
 * answer is an upper bound for every base that suits all parts, so none is ever missed; once a whole round
 * has agreed on one base, it suits them all, and it is the highest. It is the search that Linux does for its
 * per-CPU areas (pcpu_get_vm_areas), with an exact search of O(log n) in place of each step along the list.
 */
struct congruence {
    const struct kva_part *parts;
    size_t count;
    struct kva_demand demand; /* the window is that of the base; size is set part by part */
    void *owner;
    uint64_t base;
};

/** The lowest or highest base, inside the demand's window for the base, at which one part fits. */
static enum kva_status fit_part(const struct kva_tiling *tiling, const struct congruence *congruence,
                                const struct kva_part *part, uint64_t *base)
{
    struct kva_demand demand = congruence->demand;
    struct kva_place place;

    if (!align_up(part->size, tiling->quantum, &demand.size))
        return KVA_EWRAP;
    demand.min += part->offset;
    demand.max += part->offset + (demand.size - 1);
    enum kva_status status = tiling->engine->search(tiling, &demand, &place);
    if (status == KVA_OK)
        *base = place.start - part->offset;
    return status;
}

/** The base that suits all parts. */
static enum kva_status find_base(const struct kva_tiling *tiling, struct congruence *congruence)
{
    uint64_t base = 0;
    size_t agreed = 0;

    for (size_t i = 0; agreed < congruence->count; i = (i + 1) % congruence->count) {
        uint64_t before = base;
        enum kva_status status = fit_part(tiling, congruence, &congruence->parts[i], &base);
        if (status != KVA_OK)
            return status;
        agreed = agreed > 0 && base == before ? agreed + 1 : 1;
        if (congruence->demand.policy == KVA_HIGHEST)
            congruence->demand.max = base;
        else
            congruence->demand.min = base;
    }
    congruence->base = base;
    return KVA_OK;
}

static enum kva_status attempt_congruent(struct kva_space *space, void *context)
{
    struct congruence congruence = *(struct congruence *)context; /* its window narrows with the search */
    struct kva_tiling *tiling = space->tiling;
    enum kva_status status = find_base(tiling, &congruence);

    if (status == KVA_OK)
        status = tiling->engine->prepare(tiling, congruence.count);
    for (size_t i = 0; status == KVA_OK && i < congruence.count; i++) {
        struct kva_place place;
        uint64_t start = congruence.base + congruence.parts[i].offset;
        uint64_t last;
        (void)kva_range_of(tiling->quantum, start, congruence.parts[i].size, &last);
        status = tiling->engine->locate(tiling, start, last, &place);
        check_contract(&tiling->hooks, status == KVA_OK, __func__, "a congruent part is not free", start);
        status = tiling->engine->occupy(tiling, &place, congruence.owner);
    }
    ((struct congruence *)context)->base = congruence.base;
    return status;
}

/** Offsets are 0 first, then ascending without overlap, each aligned. *extent is what they span. */
static enum kva_status validate_parts(const struct kva_part *parts, size_t count, uint64_t align,
                                      uint64_t quantum, uint64_t *extent)
{
    uint64_t last = 0;

    if (count == 0 || parts[0].offset != 0)
        return KVA_EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (!is_aligned(parts[i].offset, align))
            return KVA_EALIGN;
        if (i > 0 && parts[i].offset <= last)
            return KVA_EINVAL;
        enum kva_status status = kva_range_of(quantum, parts[i].offset, parts[i].size, &last);
        if (status != KVA_OK)
            return status;
    }
    *extent = last;
    return KVA_OK;
}

enum kva_status kva_alloc_congruent(struct kva_space *space, const struct kva_request *request,
                                    const struct kva_part *parts, size_t count, uint64_t *base)
{
    struct congruence congruence = {.parts = parts, .count = count};
    struct kva_demand *demand = &congruence.demand;
    enum kva_status status = enter_change(space, __func__);
    uint64_t extent = 0; /* a span: from the first part's start to the last one's end */

    if (status != KVA_OK)
        return status;
    if (!request || !parts || !base)
        return misuse(space, KVA_ENULL, __func__, 0);
    struct kva_request whole = *request;
    whole.size = 1;
    status = demand_of(space->tiling, &whole, demand);
    if (status == KVA_OK)
        status = validate_parts(parts, count, demand->align, space->tiling->quantum, &extent);
    if (status != KVA_OK)
        return misuse(space, status, __func__, request->min);
    if (demand->max - demand->min < extent)
        return KVA_ENOSPC;
    demand->max -= extent; /* from here on the window of the base */
    congruence.owner = request->owner;
    status = attempt_congruent(space, &congruence);
    if (status == KVA_ENOSPC)
        status = kva_retry(space, extent < UINT64_MAX ? extent + 1 : extent, attempt_congruent, &congruence);
    if (status == KVA_OK) {
        *base = congruence.base;
        verify_change(space, __func__, congruence.base);
    }
    return status;
}
