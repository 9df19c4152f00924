/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Congruent ranges; see congruent.h. */
#include "congruent.h"

/* ------------------------------------------------------------------------------------------ arguments */

static const struct kva_range_names part_names = {"parts[i].offset", "parts[i].size"};

/** A part must be aligned, and begin after *extent, the end of the part before it. *extent becomes its own
 *  end. */
static enum kva_status validate_part(const struct kva_part *parts, size_t i, uint64_t align, uint64_t quantum,
                                     uint64_t *extent, struct kva_bad *bad)
{
    if (!is_multiple(parts[i].offset, align))
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

enum kva_status kva_congruent_demand_of(const struct kva_address_map *map, const struct kva_request *request,
                                        const struct kva_part *parts, size_t count, struct kva_demand *demand,
                                        struct kva_bad *bad)
{
    struct kva_request for_base = *request;
    uint64_t extent = 0;

    if ((unsigned)request->policy > KVA_HIGHEST)
        return bad_field(bad, KVA_EINVAL, "policy");
    if (request->nocross != 0)
        return bad_field(bad, KVA_EINVAL, "nocross");
    if (request->filter)
        return bad_field(bad, KVA_EINVAL, "filter");
    for_base.size = 1; /* each part has a size of its own */
    enum kva_status status = kva_demand_of(map, &for_base, demand, bad);
    if (status == KVA_OK)
        status = kva_validate_parts(parts, count, max_u64(demand->align, demand->stride), map->quantum,
                                    &extent, bad);
    if (status != KVA_OK)
        return status;
    if (demand->max - demand->min < extent)
        return KVA_ENOSPC;
    demand->max -= extent;
    return KVA_OK;
}

/* --------------------------------------------------------------------------------------------- the search */

/** The bytes of a validated part, rounded up to the quantum. */
static uint64_t bytes_of_part(const struct kva_address_map *map, const struct kva_part *part)
{
    uint64_t bytes = 0;

    (void)align_up(part->size, map->quantum, &bytes);
    return bytes;
}

/** Find the lowest or highest base in the demand's window at which one part fits. */
static enum kva_status fit_part(struct kva_address_map *map, const struct kva_demand *base_demand,
                                const struct kva_part *part, uint64_t *base)
{
    struct kva_demand demand = *base_demand;
    struct kva_place place;

    demand.size = bytes_of_part(map, part);
    demand.min += part->offset;
    demand.max += part->offset + (demand.size - 1);
    enum kva_status status = map->engine->search(map, &demand, &place);
    if (status == KVA_OK)
        *base = place.start - part->offset;
    return status;
}

enum kva_status kva_congruent_search(struct kva_address_map *map, struct kva_demand *demand,
                                     struct kva_congruence *congruence)
{
    size_t agreed = 0;
    uint64_t base = 0;

    for (size_t i = 0; agreed < congruence->count; i = (i + 1) % congruence->count) {
        uint64_t before = base;
        enum kva_status status = fit_part(map, demand, &congruence->parts[i], &base);
        if (status != KVA_OK)
            return status;
        agreed = agreed > 0 && base == before ? agreed + 1 : 1;
        if (demand->policy == KVA_HIGHEST)
            demand->max = base;
        else
            demand->min = base;
    }
    congruence->base = base;
    return KVA_OK;
}

/* --------------------------------------------------------------------------------------------- occupying */

static enum kva_status occupy_part(struct kva_address_map *map, const struct kva_congruence *congruence,
                                   size_t i)
{
    const struct kva_part *part = &congruence->parts[i];
    uint64_t start = congruence->base + part->offset;
    enum kva_status status =
        core_reserve(map, start, start + (bytes_of_part(map, part) - 1), congruence->owner);

    check_contract(&map->ledger.hooks, status != KVA_EEXIST, __func__,
                   "I6: a hole is found by one lookup and not by another", start);
    return status;
}

/** If there is no memory for one part, the parts before it are freed again, which takes none (E2). */
enum kva_status kva_congruent_occupy(struct kva_address_map *map, const struct kva_congruence *congruence,
                                     const struct kva_threads *threads)
{
    for (size_t i = 0; i < congruence->count; i++) {
        enum kva_status status = occupy_part(map, congruence, i);
        sync_point(threads);
        if (status == KVA_OK)
            continue;
        while (i-- > 0)
            (void)core_free(map, congruence->base + congruence->parts[i].offset);
        return status;
    }
    return KVA_OK;
}
