/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The life of a space: init, fini, grow, preload, and the checks after a change.
 *
 * A space is a tiling, kept by an engine, and what users want around it: rounding to the quantum (here and
 * in take.c, give.c), deferred segments and reclaim (defer.c), looking (look.c). The folder knows nothing of
 * how an engine works; the engines know nothing of users.
 */
#include "space.h"

/* ------------------------------------------------------------------------------------------ arguments */

enum kva_status kva_range_of(uint64_t quantum, uint64_t start, uint64_t size, uint64_t *last)
{
    uint64_t rounded;

    if (size == 0)
        return KVA_ESIZE;
    if (!is_aligned(start, quantum))
        return KVA_EALIGN;
    if (!align_up(size, quantum, &rounded) || !last_of_range(start, rounded, last))
        return KVA_EWRAP; /* so all 2^64 addresses at once cannot be asked for: no size says 2^64 */
    return KVA_OK;
}

static enum kva_status validate_bounds(uint64_t first, uint64_t last, uint64_t quantum)
{
    if (!is_aligned(first, quantum) || !is_aligned(last + 1, quantum)) /* 2^64 wraps to 0, a multiple */
        return KVA_EALIGN;
    return first > last ? KVA_ERANGE : KVA_OK;
}

static enum kva_status validate_config(const struct kva_config *config, uint64_t quantum)
{
    if (!config->memory.take || !config->memory.give || (config->busy_count > 0 && !config->busy))
        return KVA_ENULL;
    if (!is_power_of_two(quantum))
        return KVA_EALIGN;
    return validate_bounds(config->first, config->last, quantum);
}

/** The declared classes above the quantum, ascending, each once; KVA_EALIGN if one is no power of two. */
static enum kva_status sort_classes(const uint64_t *declared, uint64_t quantum, uint64_t *sorted)
{
    uint64_t above = quantum;

    for (size_t i = 0; i < KVA_ALIGN_CLASSES; i++) {
        uint64_t least = 0;
        for (size_t j = 0; j < KVA_ALIGN_CLASSES; j++) {
            if (declared[j] != 0 && !is_power_of_two(declared[j]))
                return KVA_EALIGN;
            if (declared[j] > above && (least == 0 || declared[j] < least))
                least = declared[j];
        }
        sorted[i] = least;
        above = max_u64(above, least);
    }
    return KVA_OK;
}

/* ----------------------------------------------------------------------------------------- life cycle */

static enum kva_status occupy_range(struct kva_tiling *tiling, const struct kva_range *range)
{
    struct kva_place place;
    uint64_t last;
    enum kva_status status = kva_range_of(tiling->quantum, range->start, range->size, &last);

    if (status != KVA_OK)
        return status;
    if (range->start < tiling->first || last > tiling->last)
        return KVA_ERANGE;
    status = tiling->engine->locate(tiling, range->start, last, &place);
    return status == KVA_OK ? tiling->engine->occupy(tiling, &place, range->owner) : status;
}

/** Make a tiling with the ranges that are busy from the start. On failure *at is the offending address. */
static enum kva_status create_tiling(const struct kva_config *config, const struct kva_tiling *common,
                                     struct kva_tiling **tiling, uint64_t *at)
{
    enum kva_status status = common->engine->create(common, tiling);

    for (size_t i = 0; status == KVA_OK && i < config->busy_count; i++) {
        status = occupy_range(*tiling, &config->busy[i]);
        if (status != KVA_OK) {
            *at = config->busy[i].start;
            (*tiling)->engine->destroy(*tiling);
        }
    }
    return status;
}

enum kva_status kva_space_init(struct kva_space *space, const struct kva_config *config)
{
    struct kva_tiling *tiling = NULL;

    if (space)
        space->tiling = NULL;
    if (!config)
        return KVA_ENULL;

    struct kva_tiling common = {
        .engine = config->engine ? config->engine : kva_engine_default(),
        .memory = config->memory,
        .hooks = {config->on_misuse, config->on_corruption, config->hook_context},
        .first = config->first,
        .last = config->last,
        .quantum = config->quantum ? config->quantum : 1,
        .owners = !config->without_owners,
    };
    uint64_t at = config->first;
    enum kva_status status = space ? validate_config(config, common.quantum) : KVA_ENULL;
    if (status == KVA_OK)
        status = sort_classes(config->align_class, common.quantum, common.align_class);
    if (status == KVA_OK)
        status = create_tiling(config, &common, &tiling, &at);
    if (status != KVA_OK)
        return is_misuse(status) ? kva_report_misuse(&common.hooks, status, __func__, at) : status;

    kva_defer_init(space, config);
    space->tiling = tiling;
    verify_change(space, __func__, config->first);
    return KVA_OK;
}

static void end(struct kva_space *space)
{
    space->tiling->engine->destroy(space->tiling);
    space->tiling = NULL;
}

enum kva_status kva_space_fini(struct kva_space *space)
{
    enum kva_status status = enter_exclusive(space, __func__);

    if (status != KVA_OK)
        return status;
    if (space->tiling->tally.segments[KVA_BUSY] > 0)
        return KVA_EBUSY;
    if (has_deferred(space))
        kva_flush_now(space);
    end(space);
    return KVA_OK;
}

enum kva_status kva_space_abandon(struct kva_space *space)
{
    enum kva_status status = enter_exclusive(space, __func__);

    if (status == KVA_OK)
        end(space);
    return status;
}

enum kva_status kva_space_grow(struct kva_space *space, uint64_t first, uint64_t last)
{
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    struct kva_tiling *tiling = space->tiling;
    status = validate_bounds(first, last, tiling->quantum);
    if (status == KVA_OK && (first > tiling->first || last < tiling->last))
        status = KVA_ERANGE;
    if (status != KVA_OK)
        return misuse(space, status, __func__, first);
    status = tiling->engine->extend(tiling, first, last);
    if (status == KVA_OK) {
        verify_change(space, __func__, first);
        verify_change(space, __func__, last);
    }
    return status;
}

enum kva_status kva_preload(struct kva_space *space, size_t operations)
{
    enum kva_status status = enter_change(space, __func__);

    return status == KVA_OK ? space->tiling->engine->prepare(space->tiling, operations) : status;
}

/* --------------------------------------------------------------------------------------------- checks */

/** How many deferred segments lie in [start, last], which is inside the tiling. */
static uint64_t count_deferred(const struct kva_tiling *tiling, uint64_t start, uint64_t last)
{
    struct kva_segment segment;
    uint64_t count = 0;

    for (uint64_t at = start;; at = segment.last + 1) {
        tiling->engine->find(tiling, at, &segment);
        count += segment.state == KVA_DEFERRED;
        if (segment.last >= last)
            return count;
    }
}

/** The range to be flushed must begin and end with a deferred segment, and reach over all of them (I7). */
static const char *check_deferred(const struct kva_space *space)
{
    const struct kva_tiling *tiling = space->tiling;
    uint64_t start = space->deferred_start;
    uint64_t last = space->deferred_last;
    struct kva_segment first_one;
    struct kva_segment last_one;

    if (!has_deferred(space))
        return start > last ? NULL : "I7: a range is to be flushed for nothing";
    if (start > last || start < tiling->first || last > tiling->last)
        return "I7: the range to be flushed is none";
    tiling->engine->find(tiling, start, &first_one);
    tiling->engine->find(tiling, last, &last_one);
    bool tight = first_one.state == KVA_DEFERRED && first_one.start == start &&
                 last_one.state == KVA_DEFERRED && last_one.last == last;
    bool whole = count_deferred(tiling, start, last) == tiling->tally.segments[KVA_DEFERRED];
    return tight && whole ? NULL : "I7: the range to be flushed is not that of the deferred segments";
}

enum kva_status kva_space_check(const struct kva_space *space, struct kva_fault *fault)
{
    uint64_t address = 0;

    if (!is_initialised(space))
        return KVA_ENULL;
    const char *broken = space->tiling->engine->check(space->tiling, &address);
    if (!broken)
        broken = check_deferred(space);
    if (!broken)
        return KVA_OK;
    if (fault)
        *fault = (struct kva_fault){KVA_ECORRUPT, __func__, broken, address};
    return KVA_ECORRUPT;
}

void kva_verify_change(const struct kva_space *space, const char *where, uint64_t address)
{
    const struct kva_tiling *tiling = space->tiling;
    struct kva_fault fault = {KVA_OK, NULL, NULL, 0};

    if (KVA_CHECK_LEVEL >= 3)
        (void)kva_space_check(space, &fault);
    else
        fault.what = tiling->engine->check_near(tiling, address, &fault.address);
    if (fault.what)
        kva_report_corruption(&tiling->hooks, where, fault.what, fault.address);
}
