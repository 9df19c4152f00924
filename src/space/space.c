/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A space: init, fini, abandon, preload.
 *
 * A space is an address map, which an engine keeps, and the layers around it that src/README.md draws.
 * Nothing in this folder depends on how an engine works, and no engine depends on this folder.
 */

#include "../base/memory.h"
#include "defer.h"
#include "verify.h"

/* ------------------------------------------------------------------------------------------ arguments */

static const char *null_in_space_config(const struct kva_config *config)
{
    if (!config->memory.take)
        return "memory.take";
    if (!config->memory.give)
        return "memory.give";
    if (!config->engine)
        return "engine";
    if (config->busy_count > 0 && !config->busy)
        return "busy";
    const struct kva_threads *threads = threads_asked(config->threads, config->one_thread);
    return threads ? kva_missing_in_threads(threads) : NULL;
}

static enum kva_status validate_classes(const struct kva_config *config, struct kva_bad *bad)
{
    for (size_t i = 0; i < KVA_ALIGN_CLASSES; i++) {
        if (has_one_bit_at_most(config->align_class[i]))
            continue;
        bad->index = i;
        bad->field = "align_class[i]";
        return KVA_EALIGN;
    }
    return KVA_OK;
}

static enum kva_status validate_space_config(const struct kva_config *config, uint64_t quantum,
                                             struct kva_bad *bad)
{
    const char *missing = null_in_space_config(config);

    if (missing)
        return bad_field(bad, KVA_ENULL, missing);
    if (!is_power_of_two(quantum))
        return bad_field(bad, KVA_EALIGN, "quantum");
    enum kva_status status = kva_validate_bounds(config->first, config->last, quantum, bad);
    return status == KVA_OK ? validate_classes(config, bad) : status;
}

/** The declared classes above the quantum, ascending, without duplicates. */
static void sort_classes(const uint64_t *declared, uint64_t quantum, uint64_t *sorted)
{
    uint64_t above = quantum;

    for (size_t i = 0; i < KVA_ALIGN_CLASSES; i++) {
        uint64_t least = 0;
        for (size_t j = 0; j < KVA_ALIGN_CLASSES; j++) {
            if (declared[j] > above && (least == 0 || declared[j] < least))
                least = declared[j];
        }
        sorted[i] = least;
        above = max_u64(above, least);
    }
}

/** The declared classes, and the size of a span if there are pools and a class is left: a span is aligned to
 *  its size. */
static void declare_classes(const struct kva_config *config, uint64_t quantum, uint64_t *sorted)
{
    uint64_t declared[KVA_ALIGN_CLASSES];
    uint64_t span = kva_pools_span_quanta(config) * quantum;

    for (size_t i = 0; i < KVA_ALIGN_CLASSES; i++) {
        declared[i] = config->align_class[i] ? config->align_class[i] : span;
        span = config->align_class[i] ? span : 0;
    }
    sort_classes(declared, quantum, sorted);
}

/* -------------------------------------------------------------------------------- init, fini, preload */

static enum kva_status occupy_range(struct kva_address_map *map, const struct kva_range *range,
                                    struct kva_bad *bad)
{
    static const struct kva_range_names names = {"busy[i].start", "busy[i].size"};
    uint64_t last;
    enum kva_status status = kva_range_inside(map, range->start, range->size, &names, &last, bad);

    return status == KVA_OK ? core_reserve(map, range->start, last, range->owner) : status;
}

/** Create an address map with the ranges that are busy from the beginning. On failure *at is the offending
 *  address. */
static enum kva_status create_map(const struct kva_config *config, const struct kva_address_map *common,
                                  struct kva_address_map **map, uint64_t *at, struct kva_bad *bad)
{
    enum kva_status status = common->engine->create(common, map);

    for (size_t i = 0; status == KVA_OK && i < config->busy_count; i++) {
        status = occupy_range(*map, &config->busy[i], bad);
        if (status != KVA_OK) {
            *at = config->busy[i].start;
            bad->index = i;
            (*map)->engine->destroy(*map);
        }
    }
    return status;
}

/** Take the memory that threads and pools need. It is taken before all else, and given back last. *shared
 *  stays NULL with one thread and no pools. */
static enum kva_status create_shared(const struct kva_config *config, struct kva_shared **shared)
{
    const struct kva_threads *threads = threads_asked(config->threads, config->one_thread);

    *shared = NULL;
    if (!threads && kva_pools_span_quanta(config) == 0)
        return KVA_OK;
    *shared = config->memory.take(config->memory.context, sizeof **shared);
    if (!*shared)
        return KVA_ENOMEM;
    memset(*shared, 0, sizeof **shared);
    if (threads) {
        (*shared)->threads = *threads;
        (*shared)->locks.threads = &(*shared)->threads;
    }
    return KVA_OK;
}

static void destroy_shared(struct kva_memory memory, struct kva_shared *shared)
{
    if (shared)
        memory.give(memory.context, shared, sizeof *shared);
}

/** Requires that no thread uses the space any more. */
static void end_space(struct kva_space *space)
{
    struct kva_memory memory = space->map->ledger.memory;

    space->map->engine->destroy(space->map);
    space->map = NULL;
    destroy_shared(memory, space->shared);
    space->shared = NULL;
}

enum kva_status kva_space_init(struct kva_space *space, const struct kva_config *config)
{
    struct kva_address_map *map = NULL;
    struct kva_shared *shared = NULL;

    if (space)
        space->map = NULL;
    if (!config)
        return KVA_ENULL;

    struct kva_address_map common = {
        .engine = config->engine,
        .ledger = {.memory = config->memory,
                   .hooks = {config->on_misuse, config->on_corruption, config->hook_context}},
        .first = config->first,
        .last = config->last,
        .quantum = config->quantum ? config->quantum : 1,
        .owners = !config->without_owners,
        .by_size = config->best_fit,
    };
    uint64_t at = config->first;
    struct kva_bad bad = {"space", 0};
    enum kva_status status = space ? validate_space_config(config, common.quantum, &bad) : KVA_ENULL;
    if (status == KVA_OK) {
        declare_classes(config, common.quantum, common.align_class);
        status = create_shared(config, &shared);
    }
    if (status == KVA_OK)
        status = create_map(config, &common, &map, &at, &bad);
    if (status != KVA_OK) {
        destroy_shared(config->memory, shared);
        return is_misuse(status) ? kva_report_misuse(&common.ledger.hooks, status, __func__, at, &bad)
                                 : status;
    }
    kva_defer_init(space, config);
    space->shared = shared;
    space->map = map;
    status = kva_pools_create(space, config);
    if (status == KVA_OK)
        verify_change(space, __func__, config->first);
    else
        end_space(space);
    return status;
}

enum kva_status kva_space_fini(struct kva_space *space)
{
    enum kva_status status = enter_exclusive(space, __func__);

    if (status != KVA_OK)
        return status;
    uint64_t pooled_bytes;
    uint64_t pooled_segments;
    if (kva_whole_tally(space, &pooled_bytes, &pooled_segments).segments[KVA_BUSY] > 0)
        return leave(space, KVA_EBUSY);
    (void)kva_flush_all(space);
    unlock_space(space);
    end_space(space);
    return KVA_OK;
}

enum kva_status kva_space_abandon(struct kva_space *space)
{
    enum kva_status status = enter_exclusive(space, __func__);

    if (status != KVA_OK)
        return status;
    unlock_space(space);
    end_space(space);
    return KVA_OK;
}

enum kva_status kva_preload(struct kva_space *space, size_t operations)
{
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    /* An allocation may take two changes for a new span. A cut may take two to move an object to the tree,
     * and one of its own. */
    size_t each = pools_of(space) ? 3 : 1;
    if (operations > SIZE_MAX / each)
        return leave(space, KVA_ENOMEM);
    return leave(space, space->map->engine->prepare(space->map, operations * each));
}
