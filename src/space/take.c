/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Taking ranges: by policy, at an address, several at once. */
#include "pool.h"

/* ------------------------------------------------------------------------------------------ arguments */

static enum kva_status validate_request(const struct kva_request *request, struct kva_bad *bad)
{
    if (request->policy != KVA_LOWEST && request->policy != KVA_HIGHEST)
        return bad_field(bad, KVA_EINVAL, "policy");
    if (request->size == 0)
        return bad_field(bad, KVA_ESIZE, "size");
    if (!has_one_bit_at_most(request->align)) /* 0 stands for 1, which counts as the quantum */
        return bad_field(bad, KVA_EALIGN, "align");
    return KVA_OK;
}

/** The window of a request, [request->min, max], and the space must meet. */
static enum kva_status validate_window(const struct kva_tiling *tiling, uint64_t min, uint64_t max,
                                       struct kva_bad *bad)
{
    if (min > max || max < tiling->first)
        return bad_field(bad, KVA_EWINDOW, "max");
    return min > tiling->last ? bad_field(bad, KVA_EWINDOW, "min") : KVA_OK;
}

/** Round a request to the quantum and cut its window to the space. A window that was left out, [0, 0], is the whole space. */
static enum kva_status demand_of(const struct kva_tiling *tiling, const struct kva_request *request,
                                 struct kva_demand *demand, struct kva_bad *bad)
{
    uint64_t max = (request->min | request->max) == 0 ? UINT64_MAX : request->max;
    enum kva_status status = validate_request(request, bad);

    if (status != KVA_OK)
        return status;
    if (!align_up(request->size, tiling->quantum, &demand->size))
        return bad_field(bad, KVA_EWRAP, "size");
    status = validate_window(tiling, request->min, max, bad);
    if (status != KVA_OK)
        return status;
    demand->align = max_u64(request->align, tiling->quantum);
    demand->min = max_u64(request->min, tiling->first);
    demand->max = min_u64(max, tiling->last);
    demand->policy = request->policy;
    return KVA_OK;
}

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
    struct kva_tiling *tiling = space->tiling;
    struct kva_demand demand;
    struct kva_place place;
    enum kva_status status = demand_of(tiling, allocation->request, &demand, &allocation->bad);

    if (status != KVA_OK)
        return status;
    if (demand.max - demand.min < demand.size - 1)
        return KVA_ENOSPC;
    status = tiling->engine->search(tiling, &demand, &place);
    if (status != KVA_OK)
        return status;
    allocation->start = place.start;
    return tiling->engine->occupy(tiling, &place, allocation->request->owner);
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

/** Whether one state is more in the way of a reserve than another: free gives way at once, pooled to a drain, deferred to a
 *  flush, busy to nothing. */
static bool is_worse(enum kva_state state, enum kva_state than)
{
    static const unsigned char rank[] = {
        [KVA_FREE] = 0, [KVA_POOLED] = 1, [KVA_DEFERRED] = 2, [KVA_BUSY] = 3};

    return rank[state] > rank[than];
}

/** What is most in the way in [start, last]: the lowest segment of the worst state. */
static void find_conflict(const struct kva_space *space, uint64_t start, uint64_t last,
                          struct kva_segment *conflict)
{
    struct kva_segment segment;

    conflict->state = KVA_FREE;
    for (uint64_t at = start;; at = segment.last + 1) {
        kva_look(space, at, &segment);
        if (is_worse(segment.state, conflict->state))
            *conflict = segment;
        if (segment.state == KVA_BUSY || segment.last >= last)
            return;
    }
}

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
    const struct kva_tiling *tiling = space->tiling;

    if (tiling->engine->locate(tiling, spot->start, spot->last, &spot->place) == KVA_OK)
        return KVA_OK;
    find_conflict(space, spot->start, spot->last, &spot->conflict);
    return KVA_ENOSPC;
}

/** Find the place; drain the pools, and flush once, if only that is in the way. What is deferred there after the flush was parked
 *  since this began: so part of the range was busy meanwhile, and KVA_EEXIST is true of that moment. Without that bound, threads
 *  that take and park ranges there could keep this at work for ever. */
static enum kva_status make_place(struct kva_space *space, struct spot *spot)
{
    enum kva_status status = attempt_locate(space, spot);

    if (status == KVA_ENOSPC && spot->conflict.state != KVA_BUSY && spot->conflict.state != KVA_DEFERRED)
        status = kva_attempt_drained(space, attempt_locate, spot);
    if (status == KVA_ENOSPC && spot->conflict.state == KVA_DEFERRED) {
        kva_settle(space);
        status = kva_attempt_drained(space, attempt_locate, spot);
    }
    return status == KVA_ENOSPC ? KVA_EEXIST : status;
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
    status = make_place(space, &spot);
    if (status == KVA_EEXIST && conflict)
        *conflict = spot.conflict;
    if (status == KVA_OK)
        status = tiling->engine->occupy(tiling, &spot.place, owner);
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return leave(space, status);
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
 * per-CPU areas (pcpu_get_vm_areas), with an exact search where that one steps along a list. Between two
 * moves of the base lie at most count searches.
 */
struct congruence {
    const struct kva_request *request;
    const struct kva_part *parts;
    size_t count;
    uint64_t base;
    struct kva_bad bad;
};

/** The bytes that a part takes, which has been validated. */
static uint64_t bytes_of_part(const struct kva_tiling *tiling, const struct kva_part *part)
{
    uint64_t bytes = 0;

    (void)align_up(part->size, tiling->quantum, &bytes);
    return bytes;
}

/** The lowest or highest base, in the demand's window for the base, at which one part fits. */
static enum kva_status fit_part(const struct kva_tiling *tiling, const struct kva_demand *base_demand,
                                const struct kva_part *part, uint64_t *base)
{
    struct kva_demand demand = *base_demand;
    struct kva_place place;

    demand.size = bytes_of_part(tiling, part);
    demand.min += part->offset;
    demand.max += part->offset + (demand.size - 1);
    enum kva_status status = tiling->engine->search(tiling, &demand, &place);
    if (status == KVA_OK)
        *base = place.start - part->offset;
    return status;
}

/** The base that suits all parts; the demand's window is that of the base, and narrows with the search. */
static enum kva_status find_base(const struct kva_tiling *tiling, const struct congruence *congruence,
                                 struct kva_demand *demand, uint64_t *base)
{
    size_t agreed = 0;

    *base = 0;
    for (size_t i = 0; agreed < congruence->count; i = (i + 1) % congruence->count) {
        uint64_t before = *base;
        enum kva_status status = fit_part(tiling, demand, &congruence->parts[i], base);
        if (status != KVA_OK)
            return status;
        agreed = agreed > 0 && *base == before ? agreed + 1 : 1;
        if (demand->policy == KVA_HIGHEST)
            demand->max = *base;
        else
            demand->min = *base;
    }
    return KVA_OK;
}

static const struct kva_range_names part_names = {"parts[i].offset", "parts[i].size"};

/** A part begins after the end of the one before it, which is *extent, and is aligned. *extent becomes its own end. */
static enum kva_status validate_part(const struct kva_part *parts, size_t i, uint64_t align, uint64_t quantum,
                                     uint64_t *extent, struct kva_bad *bad)
{
    if (!is_aligned(parts[i].offset, align))
        return bad_field(bad, KVA_EALIGN, part_names.start);
    if (i > 0 && parts[i].offset <= *extent)
        return bad_field(bad, KVA_EINVAL, part_names.start);
    return kva_range_of(quantum, parts[i].offset, parts[i].size, &part_names, extent, bad);
}

enum kva_status kva_validate_parts(const struct kva_part *parts, size_t count, uint64_t align,
                                   uint64_t quantum, uint64_t *extent, struct kva_bad *bad)
{
    if (count == 0)
        return bad_field(bad, KVA_EINVAL, "count");
    if (parts[0].offset != 0)
        return bad_field(bad, KVA_EINVAL, part_names.start);
    for (size_t i = 0; i < count; i++) {
        enum kva_status status = validate_part(parts, i, align, quantum, extent, bad);
        if (status != KVA_OK) {
            bad->index = i;
            return status;
        }
    }
    return KVA_OK;
}

/** Round the request to a demand for the base: its window is the request's, less what the parts need above the
 *  base. KVA_ENOSPC if nothing is left. */
static enum kva_status base_demand_of(const struct kva_tiling *tiling, struct congruence *congruence,
                                      struct kva_demand *demand)
{
    struct kva_request request = *congruence->request;
    uint64_t extent = 0;

    request.size = 1; /* not read: the parts have sizes */
    enum kva_status status = demand_of(tiling, &request, demand, &congruence->bad);
    if (status == KVA_OK)
        status = kva_validate_parts(congruence->parts, congruence->count, demand->align, tiling->quantum,
                                    &extent, &congruence->bad);
    if (status != KVA_OK)
        return status;
    if (demand->max - demand->min < extent)
        return KVA_ENOSPC;
    demand->max -= extent;
    return KVA_OK;
}

/** The bytes from the first part's start to the last one's end, saturated: what reclaim callbacks are told. */
static uint64_t extent_of(const struct congruence *congruence)
{
    const struct kva_part *part = &congruence->parts[congruence->count - 1];
    uint64_t bytes;

    return add_checked(part->offset, part->size, &bytes) ? bytes : UINT64_MAX;
}

static enum kva_status occupy_part(struct kva_space *space, const struct congruence *congruence, size_t i)
{
    struct kva_tiling *tiling = space->tiling;
    const struct kva_part *part = &congruence->parts[i];
    uint64_t start = congruence->base + part->offset;
    uint64_t last = start + (bytes_of_part(tiling, part) - 1);
    struct kva_place place;
    enum kva_status status = tiling->engine->locate(tiling, start, last, &place);

    check_contract(&tiling->ledger.hooks, status == KVA_OK, __func__,
                   "I6: a hole is found by one way and not by another", start);
    if (status == KVA_OK)
        status = tiling->engine->occupy(tiling, &place, congruence->request->owner);
    sync_point(threads_of(space));
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return status;
}

/** Take all parts, which are free; if there is no memory for one, give back those before it. That needs none, and
 *  cannot fail (E2). */
static enum kva_status occupy_all(struct kva_space *space, const struct congruence *congruence)
{
    for (size_t i = 0; i < congruence->count; i++) {
        enum kva_status status = occupy_part(space, congruence, i);
        if (status == KVA_OK)
            continue;
        while (i-- > 0)
            (void)space->tiling->engine->release(space->tiling,
                                                 congruence->base + congruence->parts[i].offset);
        return status;
    }
    return KVA_OK;
}

static enum kva_status occupy_parts(struct kva_space *space, const struct congruence *congruence)
{
    begin_compound(space);
    enum kva_status status = occupy_all(space, congruence);
    end_compound(space);
    return status;
}

static enum kva_status attempt_congruent(void *instance, void *operation)
{
    struct kva_space *space = instance;
    struct congruence *congruence = operation;
    struct kva_demand demand;
    enum kva_status status = base_demand_of(space->tiling, congruence, &demand);

    if (status == KVA_OK)
        status = find_base(space->tiling, congruence, &demand, &congruence->base);
    return status == KVA_OK ? occupy_parts(space, congruence) : status;
}

enum kva_status kva_alloc_congruent(struct kva_space *space, const struct kva_request *request,
                                    const struct kva_part *parts, size_t count, uint64_t *base)
{
    struct congruence congruence = {.request = request, .parts = parts, .count = count};
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    if (!request || !parts || !base)
        return leave(space, misuse_null(space, __func__, 0,
                                        !request ? "request"
                                        : !parts ? "parts"
                                                 : "base"));
    status = attempt_congruent(space, &congruence);
    if (status == KVA_ENOSPC)
        status = kva_retry(space, extent_of(&congruence), attempt_congruent, &congruence);
    if (is_misuse(status))
        (void)misuse_of(space, status, __func__, request->min, &congruence.bad);
    if (status == KVA_OK)
        *base = congruence.base;
    return leave(space, status);
}
