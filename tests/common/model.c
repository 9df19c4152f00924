/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The model of model.h: everything by trial. */
#include "model.h"

#include <string.h>

void model_init(struct model *model, uint64_t base, uint64_t quantum, size_t low, size_t high)
{
    assert_true(low <= high && high < MODEL_UNITS);
    memset(model, 0, sizeof(*model));
    model->base = base;
    model->quantum = quantum;
    model->low = low;
    model->high = high;
}

static uint64_t address_of(const struct model *model, size_t unit)
{
    return model->base + unit * model->quantum;
}

uint64_t model_first(const struct model *model)
{
    return address_of(model, model->low);
}

uint64_t model_last(const struct model *model)
{
    return address_of(model, model->high) + (model->quantum - 1);
}

static size_t unit_of(const struct model *model, uint64_t address)
{
    return (size_t)((address - model->base) / model->quantum);
}

static bool holds(const struct model *model, uint64_t address)
{
    return address >= model_first(model) && address <= model_last(model);
}

/** Units for `size` bytes; false when the bytes, rounded up, pass 2^64 - 1. */
static bool units_for(const struct model *model, uint64_t size, uint64_t *units)
{
    *units = size / model->quantum + (size % model->quantum != 0);
    return *units <= UINT64_MAX / model->quantum;
}

/** Whether a range from `start` of so many units ends at or below 2^64 - 1. */
static bool ends(const struct model *model, uint64_t start, uint64_t units)
{
    return units * model->quantum - 1 <= UINT64_MAX - start;
}

static bool is_power(uint64_t value)
{
    while (value != 0 && value % 2 == 0)
        value /= 2;
    return value == 1;
}

/* ---------------------------------------------------------------------------------------------- segments */

static struct kva_segment segment_at(const struct model *model, size_t unit)
{
    const struct model_unit *units = model->units;
    enum kva_state state = units[unit].state;
    size_t from = unit, to = unit;

    while (from > model->low && (state == KVA_FREE ? units[from - 1].state == KVA_FREE : !units[from].begins))
        from--;
    while (to < model->high && units[to + 1].state == state && (state == KVA_FREE || !units[to + 1].begins))
        to++;

    struct kva_segment segment;
    segment.start = address_of(model, from);
    segment.last = address_of(model, to) + (model->quantum - 1);
    segment.owner = units[unit].owner;
    segment.state = state;
    return segment;
}

static void set(struct model *model, size_t from, uint64_t count, enum kva_state state, void *owner)
{
    for (size_t unit = from; unit < from + count; unit++) {
        model->units[unit].state = state;
        model->units[unit].owner = owner;
        model->units[unit].begins = state != KVA_FREE && unit == from;
    }
}

static uint64_t units_in(const struct model *model, const struct kva_segment *segment)
{
    return (segment->last - segment->start) / model->quantum + 1;
}

static uint64_t count_units(const struct model *model, enum kva_state state)
{
    uint64_t count = 0;
    for (size_t unit = model->low; unit <= model->high; unit++)
        count += model->units[unit].state == state;
    return count;
}

enum kva_status model_find(const struct model *model, uint64_t address, struct kva_segment *segment)
{
    if (!holds(model, address))
        return KVA_ENOENT;
    *segment = segment_at(model, unit_of(model, address));
    return KVA_OK;
}

enum kva_status model_flush(struct model *model)
{
    bool any = false;

    for (size_t unit = model->low; unit <= model->high; unit++) {
        if (model->units[unit].state != KVA_DEFERRED)
            continue;
        if (!any)
            model->flush_start = address_of(model, unit);
        model->flush_last = address_of(model, unit) + (model->quantum - 1);
        any = true;
        set(model, unit, 1, KVA_FREE, NULL);
    }
    model->flushes += any;
    return KVA_OK;
}

/* ----------------------------------------------------------------------------------------------- searching */

/** Whether `count` units from `address` lie in the space, inside the window, and are free. */
static bool is_free(const struct model *model, const struct kva_request *request, uint64_t address,
                    uint64_t count)
{
    uint64_t last;

    if (!holds(model, address) || !ends(model, address, count))
        return false;
    last = address + (count * model->quantum - 1);
    if (address < request->min || last > request->max || last > model_last(model))
        return false;
    for (size_t unit = unit_of(model, address); unit <= unit_of(model, last); unit++) {
        if (model->units[unit].state != KVA_FREE)
            return false;
    }
    return true;
}

/** Whether a multiple of nocross lies inside `count` units from `address`, at the start excepted. */
static bool crosses(const struct model *model, const struct kva_request *request, uint64_t address,
                    uint64_t count)
{
    uint64_t last = address + (count * model->quantum - 1);

    return request->nocross != 0 && address / request->nocross != last / request->nocross;
}

static bool parts_fit(const struct model *model, const struct kva_request *request, uint64_t base,
                      const struct kva_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t units;
        (void)units_for(model, parts[i].size, &units);
        if (parts[i].offset > UINT64_MAX - base || !is_free(model, request, base + parts[i].offset, units) ||
            crosses(model, request, base + parts[i].offset, units))
            return false;
    }
    return true;
}

/** The hole that holds a free unit, its neighbours, and what the filter leaves of it; false if it refuses. */
static bool ask_filter(const struct model *model, const struct kva_request *request, uint64_t address,
                       struct kva_hole *hole)
{
    struct kva_segment free = segment_at(model, unit_of(model, address));
    struct kva_segment before, after;

    *hole = (struct kva_hole){.start = free.start, .last = free.last};
    if (free.start != model_first(model)) {
        before = segment_at(model, unit_of(model, free.start) - 1);
        hole->before = &before;
    }
    if (free.last != model_last(model)) {
        after = segment_at(model, unit_of(model, free.last) + 1);
        hole->after = &after;
    }
    bool accepted = request->filter(request->filter_context, hole);
    hole->before = hole->after = NULL; /* they end here */
    return accepted;
}

/** Whether the filter admits a range that is free. */
static bool is_admitted(const struct model *model, const struct kva_request *request, uint64_t address,
                        uint64_t count)
{
    struct kva_hole hole;

    if (request->filter == NULL)
        return true;
    return ask_filter(model, request, address, &hole) && hole.start <= address && hole.last >= address &&
           hole.last - address >= count * model->quantum - 1;
}

static bool fits(const struct model *model, const struct kva_request *request, uint64_t address,
                 const struct kva_part *parts, size_t count)
{
    uint64_t units;

    (void)units_for(model, parts[0].size, &units);
    return address % request->align == request->phase && parts_fit(model, request, address, parts, count) &&
           is_admitted(model, request, address, units);
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a < b ? b - a : a - b;
}

/** The span of the hole that holds an address. */
static uint64_t span_at(const struct model *model, uint64_t address)
{
    struct kva_segment hole = segment_at(model, unit_of(model, address));

    return hole.last - hole.start;
}

/** How many starts there are for so many units in the window below unit `end`, free or not. */
static uint64_t count_starts(const struct model *model, const struct kva_request *request, uint64_t units,
                             size_t end)
{
    uint64_t starts = 0;

    for (size_t unit = model->low; unit < end; unit++) {
        uint64_t address = address_of(model, unit);
        if (address % request->align != request->phase || address < request->min ||
            !ends(model, address, units))
            continue;
        uint64_t last = address + (units * model->quantum - 1);
        starts += last <= request->max && last <= model_last(model);
    }
    return starts;
}

/** Whether the start at an address is the one that the request's random bits denote, or lies above it. */
static bool is_at_or_above(const struct model *model, const struct kva_request *request, uint64_t address)
{
    uint64_t units;

    (void)units_for(model, request->size, &units);
    uint64_t starts = count_starts(model, request, units, model->high + 1);
    uint64_t low = (request->random & UINT32_MAX) * starts; /* starts is at most MODEL_UNITS */
    uint64_t index = ((request->random >> 32) * starts + (low >> 32)) >> 32;
    return count_starts(model, request, units, unit_of(model, address)) >= index;
}

/** Whether the policy chooses `a` rather than `b`, which lies below it. */
static bool is_chosen(const struct model *model, const struct kva_request *request, uint64_t a, uint64_t b)
{
    switch (request->policy) {
    case KVA_LOWEST:
        return false;
    case KVA_HIGHEST:
        return true;
    case KVA_NEAREST:
        return distance(a, request->target) < distance(b, request->target);
    case KVA_BEST:
        return span_at(model, a) < span_at(model, b);
    case KVA_RANDOM:
        return is_at_or_above(model, request, a) && !is_at_or_above(model, request, b);
    }
    return false;
}

static bool search(const struct model *model, const struct kva_request *request, const struct kva_part *parts,
                   size_t count, uint64_t *base)
{
    bool any = false;

    for (size_t unit = model->low; unit <= model->high; unit++) {
        uint64_t address = address_of(model, unit);
        if (!fits(model, request, address, parts, count))
            continue;
        if (!any || is_chosen(model, request, address, *base))
            *base = address;
        any = true;
    }
    return any;
}

/** What nothing fits comes to where nothing may be flushed. */
static enum kva_status no_space_yet(const struct model *model)
{
    return count_units(model, KVA_DEFERRED) > 0 ? KVA_EAGAIN : KVA_ENOSPC;
}

static enum kva_status take(struct model *model, const struct kva_request *request,
                            const struct kva_part *parts, size_t count, uint64_t *base)
{
    uint64_t found;

    if (!search(model, request, parts, count, &found)) {
        if (request->flags & KVA_NO_BLOCK)
            return no_space_yet(model);
        model_flush(model);
        if (!search(model, request, parts, count, &found))
            return KVA_ENOSPC;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t units;
        (void)units_for(model, parts[i].size, &units);
        set(model, unit_of(model, found + parts[i].offset), units, KVA_BUSY, request->owner);
    }
    *base = found;
    return KVA_OK;
}

static enum kva_status check_window(const struct model *model, const struct kva_request *request)
{
    if (request->min > request->max || request->min > model_last(model) || request->max < model_first(model))
        return KVA_EWINDOW;
    return KVA_OK;
}

/** Alignment, phase and boundary, for a range of so many units; of one unit for congruent parts. */
static enum kva_status check_shape(const struct model *model, const struct kva_request *request,
                                   uint64_t units)
{
    if (!is_power(request->align) && request->align % model->quantum != 0)
        return KVA_EALIGN;
    if (request->phase != 0 && (request->phase >= request->align || request->phase % model->quantum != 0))
        return KVA_EALIGN;
    if (request->nocross != 0 && !is_power(request->nocross))
        return KVA_EALIGN;
    return request->nocross != 0 && request->nocross < units * model->quantum ? KVA_ESIZE : KVA_OK;
}

/** What fields that were left at 0 stand for: an alignment of 1, and the window of all addresses. */
static struct kva_request spelt_out(const struct kva_request *request)
{
    struct kva_request full = *request;

    if (full.align == 0)
        full.align = 1;
    if (full.min == 0 && full.max == 0)
        full.max = UINT64_MAX;
    return full;
}

/** Window, policy, flags and shape, for a range of so many units; of one unit for congruent parts. */
static enum kva_status check_choice(const struct model *model, const struct kva_request *request,
                                    uint64_t units)
{
    if (check_window(model, request) != KVA_OK)
        return KVA_EWINDOW;
    if ((int)request->policy < KVA_LOWEST || (int)request->policy > KVA_RANDOM)
        return KVA_EINVAL;
    if (request->flags != 0 && request->flags != KVA_NO_BLOCK)
        return KVA_EINVAL;
    return check_shape(model, request, units);
}

static enum kva_status check_request(const struct model *model, const struct kva_request *full)
{
    uint64_t units;

    if (full->size == 0)
        return KVA_ESIZE;
    if (!units_for(model, full->size, &units))
        return KVA_EWRAP;
    return check_choice(model, full, units);
}

enum kva_status model_alloc(struct model *model, const struct kva_request *request, uint64_t *start)
{
    struct kva_request full = spelt_out(request);
    struct kva_part part = {0, request->size};
    enum kva_status status = check_request(model, &full);

    return status == KVA_OK ? take(model, &full, &part, 1, start) : status;
}

enum kva_status model_search(const struct model *model, const struct kva_request *request, uint64_t *start)
{
    struct kva_request full = spelt_out(request);
    struct kva_part part = {0, request->size};
    enum kva_status status = check_request(model, &full);
    uint64_t found;

    if (status != KVA_OK)
        return status;
    if (!search(model, &full, &part, 1, &found))
        return no_space_yet(model);
    *start = found;
    return KVA_OK;
}

/** The parts one by one: sizes, offsets, order. */
static enum kva_status check_parts(const struct model *model, const struct kva_request *request,
                                   const struct kva_part *parts, size_t count)
{
    uint64_t behind = 0; /* the first address behind the part before, as an offset */

    if (count == 0 || parts[0].offset != 0)
        return KVA_EINVAL;
    for (size_t i = 0; i < count; i++) {
        uint64_t units;
        if (parts[i].offset % request->align != 0 || parts[i].offset % model->quantum != 0)
            return KVA_EALIGN;
        if (parts[i].offset < behind)
            return KVA_EINVAL;
        if (parts[i].size == 0)
            return KVA_ESIZE;
        if (!units_for(model, parts[i].size, &units) || !ends(model, parts[i].offset, units))
            return KVA_EWRAP;
        behind = parts[i].offset + units * model->quantum;
    }
    return KVA_OK;
}

enum kva_status model_alloc_congruent(struct model *model, const struct kva_request *request,
                                      const struct kva_part *parts, size_t count, uint64_t *base)
{
    struct kva_request full = spelt_out(request);
    enum kva_status status;

    if (full.nocross != 0 || full.filter != NULL || (full.policy != KVA_LOWEST && full.policy != KVA_HIGHEST))
        return KVA_EINVAL;
    status = check_choice(model, &full, 1);
    if (status == KVA_OK)
        status = check_parts(model, &full, parts, count);
    if (status != KVA_OK)
        return status;
    return take(model, &full, parts, count, base);
}

/* ------------------------------------------------------------------------------------------ given ranges */

/** Whether a unit of [from, to] is in `state`; the lowest such unit. */
static bool has_state(const struct model *model, size_t from, size_t to, enum kva_state state, size_t *unit)
{
    for (*unit = from; *unit <= to; (*unit)++) {
        if (model->units[*unit].state == state)
            return true;
    }
    return false;
}

/** Whether a range that a caller names is well-formed; and its units. */
static enum kva_status check_named(const struct model *model, uint64_t start, uint64_t size, uint64_t *units)
{
    if (size == 0)
        return KVA_ESIZE;
    if (start % model->quantum != 0)
        return KVA_EALIGN;
    if (!units_for(model, size, units) || !ends(model, start, *units))
        return KVA_EWRAP;
    return KVA_OK;
}

enum kva_status model_reserve(struct model *model, uint64_t start, uint64_t size, void *owner,
                              struct kva_segment *conflict)
{
    uint64_t units;
    size_t unit;
    enum kva_status status = check_named(model, start, size, &units);

    if (status != KVA_OK)
        return status;
    if (!holds(model, start) || !holds(model, start + (units * model->quantum - 1)))
        return KVA_ERANGE;

    size_t from = unit_of(model, start), to = from + (size_t)units - 1;
    if (has_state(model, from, to, KVA_BUSY, &unit)) {
        *conflict = segment_at(model, unit);
        return KVA_EEXIST;
    }
    if (has_state(model, from, to, KVA_DEFERRED, &unit))
        model_flush(model); /* not earlier: it would not help against a busy segment */
    set(model, from, units, KVA_BUSY, owner);
    return KVA_OK;
}

/** The state of what holds `address`, as the status of an attempt to free it. */
static enum kva_status check_busy(const struct model *model, uint64_t address)
{
    if (!holds(model, address))
        return KVA_EUNKNOWN;
    switch (model->units[unit_of(model, address)].state) {
    case KVA_ABSENT: /* the model has none, */
        return KVA_EUNKNOWN;
    case KVA_FREE:
    case KVA_POOLED: /* nor of these */
        return KVA_EDOUBLE;
    case KVA_DEFERRED:
        return KVA_EDEFERRED;
    case KVA_BUSY:
        break;
    }
    return KVA_OK;
}

/** As above, and the address must be where the segment starts, which is handed out. */
static enum kva_status check_start(const struct model *model, uint64_t start, struct kva_segment *segment)
{
    enum kva_status status = check_busy(model, start);

    if (status != KVA_OK)
        return status;
    *segment = segment_at(model, unit_of(model, start));
    return segment->start == start ? KVA_OK : KVA_EINTERIOR;
}

enum kva_status model_free(struct model *model, uint64_t start)
{
    struct kva_segment segment;
    enum kva_status status = check_start(model, start, &segment);

    if (status == KVA_OK)
        set(model, unit_of(model, start), units_in(model, &segment), KVA_FREE, NULL);
    return status;
}

enum kva_status model_free_deferred(struct model *model, uint64_t start)
{
    struct kva_segment segment;
    enum kva_status status = check_start(model, start, &segment);

    if (status != KVA_OK)
        return status;
    set(model, unit_of(model, start), units_in(model, &segment), KVA_DEFERRED, segment.owner);
    if (count_units(model, KVA_DEFERRED) > model->deferred_limit / model->quantum)
        model_flush(model);
    return KVA_OK;
}

enum kva_status model_free_range(struct model *model, uint64_t start, uint64_t size)
{
    struct kva_segment segment;
    uint64_t units;
    enum kva_status status = check_named(model, start, size, &units);

    if (status == KVA_OK)
        status = check_busy(model, start);
    if (status != KVA_OK)
        return status;
    segment = segment_at(model, unit_of(model, start));
    if (start + (units * model->quantum - 1) > segment.last)
        return KVA_ERANGE;

    size_t from = unit_of(model, start), behind = from + (size_t)units;
    set(model, from, units, KVA_FREE, NULL);
    if (behind <= unit_of(model, segment.last))
        model->units[behind].begins = true;
    return KVA_OK;
}

enum kva_status model_resize(struct model *model, uint64_t start, uint64_t size)
{
    struct kva_segment segment;
    enum kva_status status;
    uint64_t units, had;
    size_t from;

    status = check_start(model, start, &segment);
    if (status != KVA_OK)
        return status;
    if (size == 0)
        return KVA_ESIZE;
    if (!units_for(model, size, &units) || !ends(model, start, units))
        return KVA_EWRAP;
    from = unit_of(model, start);
    had = units_in(model, &segment);
    for (uint64_t i = had; i < units; i++) {
        if (from + i > model->high || model->units[from + i].state != KVA_FREE)
            return KVA_ENOSPC;
    }
    set(model, from, had, KVA_FREE, NULL);
    set(model, from, units, KVA_BUSY, segment.owner);
    return KVA_OK;
}

enum kva_status model_grow(struct model *model, uint64_t first, uint64_t last)
{
    if (first % model->quantum != 0 || (last + 1) % model->quantum != 0)
        return KVA_EALIGN;
    if (first > model_first(model) || last < model_last(model))
        return KVA_ERANGE;
    model->low = unit_of(model, first);
    model->high = unit_of(model, last);
    return KVA_OK;
}

void model_stats(const struct model *model, struct kva_stats *stats)
{
    memset(stats, 0, sizeof(*stats));
    for (size_t unit = model->low; unit <= model->high;) {
        struct kva_segment segment = segment_at(model, unit);
        uint64_t units = units_in(model, &segment), bytes = units * model->quantum;
        uint64_t *sums[] = {&stats->free_bytes, &stats->busy_bytes, &stats->deferred_bytes};
        uint64_t *counts[] = {&stats->free_segments, &stats->busy_segments, &stats->deferred_segments};

        if (bytes == 0) /* 2^64, which the statistics write as 2^64 - 1 */
            bytes = UINT64_MAX;
        /* Two segments that together hold all 2^64 bytes are of one state only when they are all there is. */
        *sums[segment.state] =
            bytes > UINT64_MAX - *sums[segment.state] ? UINT64_MAX : *sums[segment.state] + bytes;
        (*counts[segment.state])++;
        if (segment.state == KVA_FREE && bytes > stats->largest_free)
            stats->largest_free = bytes;
        unit += (size_t)units;
    }
    stats->flushes = model->flushes;
}
