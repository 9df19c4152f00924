/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Lookups by address, and counts; see lookup.h. */
#include "lookup.h"

/* ---------------------------------------------------------------------------------- with the space's lock */

static enum kva_state object_state(const struct kva_object *object)
{
    const struct kva_span *span = object->span;

    if (object_is_live(object))
        return KVA_BUSY;
    for (unsigned epoch = 0; epoch < KVA_EPOCHS; epoch++) {
        if (bit_is_set(span->is_deferred[epoch], object->index))
            return KVA_DEFERRED;
    }
    return KVA_POOLED;
}

void kva_lookup(const struct kva_space *space, uint64_t address, struct kva_segment *segment)
{
    struct kva_object object;

    if (!kva_pool_object(space, address, &object)) {
        core_find(space->map, address, segment);
        return;
    }
    segment->start = object_start(&object);
    segment->last = segment->start + (object.span->bytes - 1);
    do { /* again if it was freed meanwhile: the owner may be another */
        segment->state = object_state(&object);
        segment->owner = segment->state != KVA_POOLED ? object_owner(&object) : NULL;
    } while (segment->state == KVA_BUSY && !object_is_live(&object));
}

static void look_in_space(const void *space, uint64_t address, struct kva_segment *segment)
{
    kva_lookup(space, address, segment);
}

enum kva_status kva_space_demand_of(const struct kva_space *space, const struct kva_request *request,
                                    struct kva_demand *demand, struct kva_bad *bad)
{
    enum kva_status status = kva_demand_of(space->map, request, demand, bad);

    demand->look = look_in_space;
    demand->look_where = space;
    return status;
}

enum kva_status kva_diagnose_start(const struct kva_space *space, uint64_t start)
{
    struct kva_segment segment;

    if (!core_holds(space->map, start))
        return KVA_EUNKNOWN;
    kva_lookup(space, start, &segment);
    return kva_status_of_start(&segment, start);
}

enum kva_status kva_refuse_start(const struct kva_space *space, const char *where, uint64_t start)
{
    enum kva_status status = kva_diagnose_start(space, start);
    struct kva_object object;

    if (status == KVA_OK &&
        kva_pool_object(space, start, &object)) /* freed by another thread, and allocated again */
        status = KVA_EDOUBLE;
    if (status != KVA_OK)
        return misuse(space, status, where, start);
    kva_report_corruption(&space->map->ledger.hooks, where,
                          "I6: a busy segment is found by one lookup and not by another", start);
    return KVA_ECORRUPT;
}

/* -------------------------------------------------------------------------------------- lock-free lookups */

static bool lookup_once(const struct kva_space *space, uint64_t address, struct kva_segment *segment)
{
    const struct kva_address_map *map = space->map;
    const struct kva_pools *pools = pools_of(space);
    uint32_t compound;

    if (!begin_reading(&space->shared->compound, &compound))
        return false;
    sync_point(threads_of(space));
    if (!map->engine->try_lookup(map, address, segment) || segment->state == KVA_ABSENT)
        return false;
    sync_point(threads_of(space));
    return (!pools || !kva_span_find(pools, address)) && is_unchanged(&space->shared->compound, compound);
}

/** Two attempts in the tree. False if a span covers the address, if changes interfered with both attempts, or
 *  if the engine cannot tell. */
static bool lookup_twice(const struct kva_space *space, uint64_t address, struct kva_segment *segment)
{
    if (!space->map->engine->has_try_lookup)
        return false;
    if (lookup_once(space, address, segment))
        return true;
    kva_sync_pause();
    return lookup_once(space, address, segment);
}

static bool look_at_object(const struct kva_space *space, const struct kva_object *object,
                           struct kva_segment *segment)
{
    if (!object_is_live(object))
        return false;
    segment->state = KVA_BUSY;
    segment->start = object_start(object);
    segment->last = segment->start + (object->span->bytes - 1);
    segment->owner = object_owner(object);
    sync_point(threads_of(space));
    return object_is_live(object);
}

/** Takes the current CPU's lock, under which the directory may be read. */
static bool look_in_pools(const struct kva_space *space, uint64_t address, struct kva_segment *segment)
{
    struct kva_cpu *cpu = cpu_lock(space);
    struct kva_object object;
    bool is_object = kva_object_at(space->shared->pools, address, &object);
    bool found = is_object ? look_at_object(space, &object, segment)
                           : !object.span && lookup_twice(space, address, segment);

    cpu_unlock(space, cpu);
    return found;
}

bool kva_lookup_unlocked(const struct kva_space *space, uint64_t address, struct kva_segment *segment)
{
    return pools_of(space) ? look_in_pools(space, address, segment) : lookup_twice(space, address, segment);
}

/* ------------------------------------------------------------------------------------------------- counts */

uint64_t kva_waiting(const struct kva_space *space, unsigned epoch)
{
    const struct kva_pools *pools = pools_of(space);

    return space->map->tally.deferred[epoch] + (pools ? pools->deferred_segments[epoch] : 0);
}

/** A sum of 0 stands for 2^64: something is deferred, and no more than that. */
uint64_t kva_deferred_bytes(const struct kva_space *space)
{
    const struct kva_pools *pools = pools_of(space);
    uint64_t bytes = space->map->tally.bytes[KVA_DEFERRED];

    if (pools)
        bytes += pools->deferred_quanta << pools->quantum_shift;
    return bytes_saturated(bytes, true);
}

struct kva_tally kva_whole_tally(const struct kva_space *space, uint64_t *pooled_bytes,
                                 uint64_t *pooled_segments)
{
    const struct kva_pools *pools = pools_of(space);
    struct kva_tally tally = space->map->tally;

    *pooled_bytes = 0;
    *pooled_segments = 0;
    if (!pools)
        return tally;
    struct kva_live live = kva_pools_live(space);
    uint64_t deferred = pools->deferred_segments[0] + pools->deferred_segments[1];
    *pooled_bytes = bytes_of_quanta(pools, pools->quanta - live.quanta - pools->deferred_quanta);
    *pooled_segments = pools->objects - live.segments - deferred;
    tally.bytes[KVA_BUSY] += (live.quanta - pools->quanta) << pools->quantum_shift; /* modulo 2^64 */
    tally.segments[KVA_BUSY] += live.segments - pools->tree_segments;
    tally.bytes[KVA_DEFERRED] += pools->deferred_quanta << pools->quantum_shift;
    tally.segments[KVA_DEFERRED] += deferred;
    return tally;
}
