/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Checks; see verify.h. */
#include "verify.h"

#include "lookup.h"

/* -------------------------------------------------------------------------------------- deferred segments */

/** The number of deferred segments in [start, last], which is inside the address map. */
static uint64_t count_deferred(const struct kva_space *space, uint64_t start, uint64_t last)
{
    struct kva_segment segment;
    uint64_t count = 0;

    for (uint64_t at = start;; at = segment.last + 1) {
        kva_lookup(space, at, &segment);
        count += segment.state == KVA_DEFERRED;
        if (segment.last >= last)
            return count;
    }
}

/** I7: the range to be flushed next must begin and end with a deferred segment, and cover all of the present
 *  epoch. Segments of the other epoch, which the flush under way frees, may lie anywhere. */
static const char *check_deferred(const struct kva_space *space)
{
    const struct kva_address_map *map = space->map;
    uint64_t waiting = kva_waiting(space, space->epoch);
    uint64_t others = kva_waiting(space, space->epoch ^ 1);
    uint64_t start = space->deferred_start;
    uint64_t last = space->deferred_last;
    struct kva_segment first_one;
    struct kva_segment last_one;

    if (others > 0 && space->stage == KVA_FLUSH_NONE)
        return "I7: a deferred segment waits for a flush that has ended";
    if (waiting == 0)
        return start > last ? NULL : "I7: a range is to be flushed, but no segment waits for that";
    if (start > last || start < map->first || last > map->last)
        return "I7: the range to be flushed is not a range of the space";
    kva_lookup(space, start, &first_one);
    kva_lookup(space, last, &last_one);
    bool tight = first_one.state == KVA_DEFERRED && first_one.start == start &&
                 last_one.state == KVA_DEFERRED && last_one.last == last;
    if (!tight)
        return "I7: the range to be flushed does not begin and end with deferred segments";
    uint64_t inside = count_deferred(space, start, last);
    return inside >= waiting && inside <= waiting + others
               ? NULL
               : "I7: the range to be flushed does not hold as many deferred segments as are counted";
}

/* -------------------------------------------------------------------------------------------------- pools */

/** The counts of a walk over the spans. */
struct pool_walk {
    uint64_t objects;
    uint64_t quanta;
    uint64_t live;
    uint64_t pooled;
    uint64_t empty;  /* spans that are wholly free */
    uint64_t listed; /* spans that have free objects */
    uint64_t deferred[KVA_EPOCHS];
};

/** I8 for one object: it is in one state, and in a busy segment of the tree unless it is gone. */
static const char *check_object(const struct kva_space *space, const struct kva_object *object,
                                struct pool_walk *walk)
{
    const struct kva_span *span = object->span;
    uint32_t i = object->index;
    bool gone = bit_is_set(span->is_gone, i);
    int states = gone + bit_is_set(span->is_free, i) + object_is_live(object);
    struct kva_segment segment;

    for (unsigned epoch = 0; epoch < KVA_EPOCHS; epoch++) {
        states += bit_is_set(span->is_deferred[epoch], i);
        walk->deferred[epoch] += bit_is_set(span->is_deferred[epoch], i);
    }
    if (states > 1)
        return "I8: an object is in two states";
    walk->live += object_is_live(object);
    walk->pooled += states == 0;
    if (gone)
        return NULL;
    walk->objects++;
    walk->quanta += span->quanta;
    core_find(space->map, object_start(object), &segment);
    bool inside = segment.state == KVA_BUSY && segment.last - object_start(object) >= span->bytes - 1;
    return inside ? NULL : "I8: an object is not in a busy segment of the tree";
}

static const char *check_span(const struct kva_space *space, struct kva_span *span, struct pool_walk *walk)
{
    uint32_t free = 0;
    uint32_t gone = 0;

    for (uint32_t i = 0; i < span->count; i++) {
        const char *broken = check_object(space, &(struct kva_object){span, i}, walk);
        if (broken)
            return broken;
        free += bit_is_set(span->is_free, i);
        gone += bit_is_set(span->is_gone, i);
    }
    walk->empty += free == span->count;
    walk->listed += free > 0;
    if (free != span->free || gone != span->gone || gone == span->count)
        return "I8: a span's counts of its objects are wrong";
    return (free > 0) == list_is_linked(&span->link)
               ? NULL
               : "I8: a span with free objects is not listed, or one without is";
}

/** The number of spans on all CPUs' lists, by their counts. */
static uint64_t count_listed(const struct kva_pools *pools)
{
    uint64_t listed = 0;

    for (unsigned c = 0; c < pools->cpus; c++)
        listed += pools->cpu[c].spans_with_free;
    return listed;
}

/** I8 for the objects in magazines: none is live or free, and the CPUs' counts agree with them. */
static const char *check_magazines(const struct kva_pools *pools, uint64_t *pooled)
{
    for (unsigned c = 0; c < pools->cpus; c++) {
        uint32_t held = 0;
        for (uint32_t q = 0; q < KVA_POOL_QUANTA; q++) {
            const struct kva_magazine *magazine = pools->cpu[c].magazine[q];
            for (uint32_t i = 0; magazine && i < magazine->count; i++) {
                const struct kva_object *object = &magazine->object[i];
                if (object_is_live(object) || bit_is_set(object->span->is_free, object->index))
                    return "I8: an object in a magazine is live or free";
                held += object->span->quanta;
                ++*pooled;
            }
        }
        if (held != pools->cpu[c].held || held > pools->share)
            return "I8: a CPU's count of held quanta is wrong, or above its share";
    }
    return NULL;
}

static const char *check_spans(const struct kva_space *space, uint64_t *address)
{
    const struct kva_pools *pools = space->shared->pools;
    const struct kva_directory *directory = atomic_load_explicit(&pools->directory, memory_order_relaxed);
    struct pool_walk walk = {0};
    uint64_t pooled = 0;

    for (size_t i = 0; directory && i <= directory->mask; i++) {
        struct kva_span *span = atomic_load_explicit(&directory->slot[i], memory_order_relaxed);
        if (!span || span == &pools->taken_out)
            continue;
        *address = span->start;
        const char *broken = check_span(space, span, &walk);
        if (broken)
            return broken;
    }
    *address = 0;
    const char *broken = check_magazines(pools, &pooled);
    if (broken)
        return broken;
    bool same = walk.empty == pools->empty_spans && walk.listed == count_listed(pools) &&
                walk.objects == pools->objects && walk.quanta == pools->quanta && walk.pooled == pooled &&
                walk.live == kva_pools_live(space).segments &&
                walk.deferred[0] == pools->deferred_segments[0] &&
                walk.deferred[1] == pools->deferred_segments[1];
    return same ? NULL : "I8: the pools' counts differ from what a walk counts";
}

/* --------------------------------------------------------------------------------------------- all checks */

static enum kva_status check(const struct kva_space *space, struct kva_fault *fault)
{
    uint64_t address = 0;
    const char *broken = space->map->engine->check(space->map, &address);
    if (!broken)
        broken = check_sizes(space->map, &address);
    if (!broken)
        broken = check_deferred(space);
    if (!broken)
        return KVA_OK;
    if (fault)
        *fault = (struct kva_fault){
            .status = KVA_ECORRUPT, .where = "kva_space_check", .what = broken, .address = address};
    return KVA_ECORRUPT;
}

/** I8. Requires the locks of all CPUs. */
static enum kva_status check_pools(const struct kva_space *space, struct kva_fault *fault)
{
    uint64_t address = 0;
    const char *broken = pools_of(space) ? check_spans(space, &address) : NULL;

    if (broken && fault)
        *fault = (struct kva_fault){
            .status = KVA_ECORRUPT, .where = "kva_space_check", .what = broken, .address = address};
    return broken ? KVA_ECORRUPT : KVA_OK;
}

enum kva_status kva_space_check(const struct kva_space *space, struct kva_fault *fault)
{
    if (!is_initialised(space))
        return KVA_ENULL;
    freeze(space);
    enum kva_status status = check(space, fault);
    if (status == KVA_OK)
        status = check_pools(space, fault);
    thaw(space);
    return status;
}

/** The address, or the end of the address map next to it: the bounds may have changed since the address was
 *  noted. */
static uint64_t clamp_to(const struct kva_address_map *map, uint64_t address)
{
    return min_u64(max_u64(address, map->first), map->last);
}

void kva_verify_change(const struct kva_space *space, const char *where, uint64_t address)
{
    const struct kva_address_map *map = space->map;
    struct kva_fault fault = {.what = NULL};

    if (KVA_CHECK_LEVEL >= 3)
        (void)check(space, &fault);
    else
        fault.what = map->engine->check_near(map, clamp_to(map, address), &fault.address);
    if (fault.what)
        kva_report_corruption(&map->ledger.hooks, where, fault.what, fault.address);
}
