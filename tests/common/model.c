/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The model of model.h. Everything is found by trial. */
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

/** Whether an address lies between the ends, in an absent range or not. */
static bool is_between_ends(const struct model *model, uint64_t address)
{
    return address >= model_first(model) && address <= model_last(model);
}

static bool holds(const struct model *model, uint64_t address)
{
    return is_between_ends(model, address) && model->units[unit_of(model, address)].state != KVA_ABSENT;
}

/** Units for `size` bytes; false when the bytes, rounded up, pass 2^64 - 1. */
static bool units_for(const struct model *model, uint64_t size, uint64_t *units)
{
    *units = size / model->quantum + (size % model->quantum != 0);
    return *units <= UINT64_MAX / model->quantum;
}

/** Whether a range of so many units from `start` ends at or below 2^64 - 1. */
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

/* ----------------------------------------------------------------------------------------------- segments */

/** Whether two neighbours belong to one segment, or to one absent range. */
static bool goes_on(const struct model_unit *unit)
{
    return unit[1].state == unit[0].state && !unit[1].begins;
}

static struct kva_segment segment_at(const struct model *model, size_t unit)
{
    const struct model_unit *units = model->units;
    enum kva_state state = units[unit].state;
    size_t from = unit, to = unit;

    while (from > model->low && goes_on(&units[from - 1]))
        from--;
    while (to < model->high && goes_on(&units[to]))
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
        model->units[unit].begins = (state == KVA_BUSY || state == KVA_DEFERRED) && unit == from;
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

/* ---------------------------------------------------------------------------------------------- searching */

/** Whether `count` units from `address` lie in the space and in the window, and are free. */
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

/** Whether a multiple of nocross lies inside `count` units from `address`, other than at the start. */
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

/** The hole that contains a free unit, its neighbours, and the part that the filter leaves; false if it
 * refuses. */
static bool call_filter(const struct model *model, const struct kva_request *request, uint64_t address,
                        struct kva_hole *hole)
{
    struct kva_segment free = segment_at(model, unit_of(model, address));
    struct kva_segment before, after;

    *hole = (struct kva_hole){.start = free.start, .last = free.last};
    if (free.start != model_first(model) && holds(model, free.start - 1)) {
        before = segment_at(model, unit_of(model, free.start) - 1);
        hole->before = &before;
    }
    if (free.last != model_last(model) && holds(model, free.last + 1)) {
        after = segment_at(model, unit_of(model, free.last) + 1);
        hole->after = &after;
    }
    bool accepted = request->filter(request->filter_context, hole);
    hole->before = hole->after = NULL; /* the pointed-to segments end here */
    return accepted;
}

/** Whether the filter admits a free range. */
static bool is_admitted(const struct model *model, const struct kva_request *request, uint64_t address,
                        uint64_t count)
{
    struct kva_hole hole;

    if (request->filter == NULL)
        return true;
    return call_filter(model, request, address, &hole) && hole.start <= address && hole.last >= address &&
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

/** The extent of the hole that contains an address. */
static uint64_t span_at(const struct model *model, uint64_t address)
{
    struct kva_segment hole = segment_at(model, unit_of(model, address));

    return hole.last - hole.start;
}

/** The number of starts for so many units in the window below unit `end`, free or not. */
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

/** Whether the start at an address is the one that the request's random bits denote, or is above it. */
static bool is_at_or_above(const struct model *model, const struct kva_request *request, uint64_t address)
{
    uint64_t units;

    (void)units_for(model, request->size, &units);
    uint64_t starts = count_starts(model, request, units, model->high + 1);
    uint64_t low = (request->random & UINT32_MAX) * starts; /* starts is at most MODEL_UNITS */
    uint64_t index = ((request->random >> 32) * starts + (low >> 32)) >> 32;
    return count_starts(model, request, units, unit_of(model, address)) >= index;
}

/** Whether the policy prefers `a` to `b`, which is lower. */
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

/** Search the units [from, to] for a start. */
static bool search_units(const struct model *model, const struct kva_request *request,
                         const struct kva_part *parts, size_t count, size_t from, size_t to, uint64_t *base)
{
    bool any = false;

    for (size_t unit = from; unit <= to; unit++) {
        uint64_t address = address_of(model, unit);
        if (!fits(model, request, address, parts, count))
            continue;
        if (!any || is_chosen(model, request, address, *base))
            *base = address;
        any = true;
    }
    return any;
}

static bool search(const struct model *model, const struct kva_request *request, const struct kva_part *parts,
                   size_t count, uint64_t *base)
{
    return search_units(model, request, parts, count, model->low, model->high, base);
}

/** The status when nothing fits and no flush may happen. */
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

/** Check alignment, phase and boundary, for a range of so many units; of one unit for congruent parts. */
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

/** Replace fields that were left at 0: an alignment of 1, and the window of all addresses. */
static struct kva_request with_defaults(const struct kva_request *request)
{
    struct kva_request full = *request;

    if (full.align == 0)
        full.align = 1;
    if (full.min == 0 && full.max == 0)
        full.max = UINT64_MAX;
    return full;
}

/** Check window, policy, flags and shape, for a range of so many units; of one unit for congruent parts. */
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
    struct kva_request full = with_defaults(request);
    struct kva_part part = {0, request->size};
    enum kva_status status = check_request(model, &full);

    return status == KVA_OK ? take(model, &full, &part, 1, start) : status;
}

enum kva_status model_search(const struct model *model, const struct kva_request *request, uint64_t *start)
{
    struct kva_request full = with_defaults(request);
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

/** Check the parts one by one: sizes, offsets, order. */
static enum kva_status check_parts(const struct model *model, const struct kva_request *request,
                                   const struct kva_part *parts, size_t count)
{
    uint64_t after = 0; /* the first address after the previous part, as an offset */

    if (count == 0 || parts[0].offset != 0)
        return KVA_EINVAL;
    for (size_t i = 0; i < count; i++) {
        uint64_t units;
        if (parts[i].offset % request->align != 0 || parts[i].offset % model->quantum != 0)
            return KVA_EALIGN;
        if (parts[i].offset < after)
            return KVA_EINVAL;
        if (parts[i].size == 0)
            return KVA_ESIZE;
        if (!units_for(model, parts[i].size, &units) || !ends(model, parts[i].offset, units))
            return KVA_EWRAP;
        after = parts[i].offset + units * model->quantum;
    }
    return KVA_OK;
}

enum kva_status model_alloc_congruent(struct model *model, const struct kva_request *request,
                                      const struct kva_part *parts, size_t count, uint64_t *base)
{
    struct kva_request full = with_defaults(request);
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

/* ------------------------------------------------------------------------------------------- given ranges */

/** Whether a unit of [from, to] is in `state`; the lowest such unit. */
static bool has_state(const struct model *model, size_t from, size_t to, enum kva_state state, size_t *unit)
{
    for (*unit = from; *unit <= to; (*unit)++) {
        if (model->units[*unit].state == state)
            return true;
    }
    return false;
}

/** Check a range that the caller gives; returns its units. */
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

/** Whether a range, which does not wrap, belongs to the space. */
static bool belongs(const struct model *model, uint64_t start, uint64_t units)
{
    uint64_t last = start + (units * model->quantum - 1);

    if (!is_between_ends(model, start) || !is_between_ends(model, last))
        return false;
    for (size_t unit = unit_of(model, start); unit <= unit_of(model, last); unit++) {
        if (model->units[unit].state == KVA_ABSENT)
            return false;
    }
    return true;
}

enum kva_status model_reserve(struct model *model, uint64_t start, uint64_t size, void *owner,
                              struct kva_segment *conflict)
{
    uint64_t units;
    size_t unit;
    enum kva_status status = check_named(model, start, size, &units);

    if (status != KVA_OK)
        return status;
    if (!belongs(model, start, units))
        return KVA_ERANGE;

    size_t from = unit_of(model, start), to = from + (size_t)units - 1;
    if (has_state(model, from, to, KVA_BUSY, &unit)) {
        *conflict = segment_at(model, unit);
        return KVA_EEXIST;
    }
    if (has_state(model, from, to, KVA_DEFERRED, &unit))
        model_flush(model); /* not earlier: a flush would not help against a busy segment */
    set(model, from, units, KVA_BUSY, owner);
    return KVA_OK;
}

/** The status of an attempt to free the segment that contains `address`. */
static enum kva_status check_busy(const struct model *model, uint64_t address)
{
    if (!holds(model, address))
        return KVA_EUNKNOWN;
    switch (model->units[unit_of(model, address)].state) {
    case KVA_ABSENT: /* not part of the space */
        return KVA_EUNKNOWN;
    case KVA_FREE:
    case KVA_POOLED: /* the model has none */
        return KVA_EDOUBLE;
    case KVA_DEFERRED:
        return KVA_EDEFERRED;
    case KVA_BUSY:
        break;
    }
    return KVA_OK;
}

/** As check_busy; in addition, a segment must start at the address. Returns it. */
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

    size_t from = unit_of(model, start), after = from + (size_t)units;
    set(model, from, units, KVA_FREE, NULL);
    if (after <= unit_of(model, segment.last))
        model->units[after].begins = true;
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

/* ----------------------------------------------------------------------------------------------- ranges.h */

/** Divide a busy or deferred segment at a unit inside it. */
static void divide_at(struct model *model, size_t unit)
{
    if (unit > model->low && unit <= model->high && model->units[unit].state == KVA_BUSY)
        model->units[unit].begins = true;
}

/** As for kva_clear: a given range that belongs to the space, and its first unit. */
static enum kva_status check_given(const struct model *model, uint64_t start, uint64_t size, size_t *from,
                                   uint64_t *units)
{
    enum kva_status status = check_named(model, start, size, units);

    if (status == KVA_OK && !belongs(model, start, *units))
        status = KVA_ERANGE;
    if (status == KVA_OK)
        *from = unit_of(model, start);
    return status;
}

static uint64_t clear_units(struct model *model, size_t from, uint64_t units)
{
    uint64_t busy = 0;

    divide_at(model, from + (size_t)units);
    for (size_t unit = from; unit < from + units; unit++) {
        if (model->units[unit].state == KVA_BUSY) {
            set(model, unit, 1, KVA_FREE, NULL);
            busy++;
        }
    }
    return busy;
}

enum kva_status model_clear(struct model *model, uint64_t start, uint64_t size, uint64_t *bytes)
{
    uint64_t units;
    size_t from;
    enum kva_status status = check_given(model, start, size, &from, &units);

    if (status == KVA_OK)
        *bytes = clear_units(model, from, units) * model->quantum;
    return status;
}

enum kva_status model_reserve_over(struct model *model, uint64_t start, uint64_t size, void *owner,
                                   uint64_t *bytes)
{
    uint64_t units;
    size_t from, unit;
    enum kva_status status = check_given(model, start, size, &from, &units);

    if (status != KVA_OK)
        return status;
    if (has_state(model, from, from + (size_t)units - 1, KVA_DEFERRED, &unit))
        model_flush(model);
    *bytes = clear_units(model, from, units) * model->quantum;
    set(model, from, units, KVA_BUSY, owner);
    return KVA_OK;
}

enum kva_status model_split(struct model *model, uint64_t at)
{
    enum kva_status status = at % model->quantum != 0 ? KVA_EALIGN : check_busy(model, at);

    if (status == KVA_OK)
        divide_at(model, unit_of(model, at));
    return status;
}

enum kva_status model_join(struct model *model, uint64_t start)
{
    struct kva_segment segment;
    enum kva_status status = check_start(model, start, &segment);

    if (status != KVA_OK)
        return status;
    if (segment.last == model_last(model) || model->units[unit_of(model, segment.last) + 1].state != KVA_BUSY)
        return KVA_ENOENT;
    model->units[unit_of(model, segment.last) + 1].begins = false;
    return model_set_owner(model, start, segment.owner);
}

enum kva_status model_set_owner(struct model *model, uint64_t start, void *owner)
{
    struct kva_segment segment;
    enum kva_status status = check_start(model, start, &segment);

    if (status == KVA_OK)
        set(model, unit_of(model, start), units_in(model, &segment), KVA_BUSY, owner);
    return status;
}

enum kva_status model_move(struct model *model, uint64_t start, uint64_t to, struct kva_segment *conflict)
{
    struct kva_segment segment;
    uint64_t units;
    size_t unit;
    bool any_deferred = false;
    enum kva_status status = check_start(model, start, &segment);

    if (status != KVA_OK || to == start)
        return status;
    units = units_in(model, &segment);
    if (to % model->quantum != 0)
        return KVA_EALIGN;
    if (!ends(model, to, units))
        return KVA_EWRAP;
    if (!belongs(model, to, units))
        return KVA_ERANGE;
    for (unit = unit_of(model, to); unit < unit_of(model, to) + units; unit++) {
        struct kva_segment other = segment_at(model, unit);
        if (other.state == KVA_BUSY && other.start != start) {
            *conflict = other;
            return KVA_EEXIST;
        }
        any_deferred = any_deferred || other.state == KVA_DEFERRED;
    }
    if (any_deferred)
        model_flush(model);
    set(model, unit_of(model, start), units, KVA_FREE, NULL);
    set(model, unit_of(model, to), units, KVA_BUSY, segment.owner);
    return KVA_OK;
}

enum kva_status model_free_sized(struct model *model, uint64_t start, uint64_t size)
{
    struct kva_segment segment;
    enum kva_status status = check_start(model, start, &segment);

    if (status != KVA_OK)
        return status;
    if (size == 0 || (size - 1) / model->quantum + 1 != units_in(model, &segment))
        return KVA_ESIZE;
    return model_free(model, start);
}

/* -------------------------------------------------------------------------------------------------- walks */

/** The lowest segment that overlaps [from, to]. */
static enum kva_status lowest_in(const struct model *model, uint64_t from, uint64_t to,
                                 struct kva_segment *segment)
{
    for (size_t unit = model->low; unit <= model->high; unit++) {
        uint64_t start = address_of(model, unit);
        if (model->units[unit].state == KVA_ABSENT || start > to || start + (model->quantum - 1) < from)
            continue;
        *segment = segment_at(model, unit);
        return from <= to ? KVA_OK : KVA_ENOENT;
    }
    return KVA_ENOENT;
}

static enum kva_status highest_in(const struct model *model, uint64_t to, struct kva_segment *segment)
{
    for (size_t unit = model->high + 1; unit-- > model->low;) {
        if (model->units[unit].state == KVA_ABSENT || address_of(model, unit) > to)
            continue;
        *segment = segment_at(model, unit);
        return KVA_OK;
    }
    return KVA_ENOENT;
}

enum kva_status model_next(const struct model *model, struct kva_segment *segment)
{
    return segment->last == UINT64_MAX ? KVA_ENOENT
                                       : lowest_in(model, segment->last + 1, UINT64_MAX, segment);
}

enum kva_status model_last_segment(const struct model *model, struct kva_segment *segment)
{
    return highest_in(model, UINT64_MAX, segment);
}

enum kva_status model_prev(const struct model *model, struct kva_segment *segment)
{
    return segment->start == 0 ? KVA_ENOENT : highest_in(model, segment->start - 1, segment);
}

enum kva_status model_first_in(const struct model *model, uint64_t start, uint64_t last,
                               struct kva_segment *segment)
{
    struct kva_segment lowest;
    enum kva_status status = lowest_in(model, start, last, &lowest);

    if (status == KVA_OK)
        *segment = lowest;
    return status;
}

enum kva_status model_next_in(const struct model *model, uint64_t last, struct kva_segment *segment)
{
    return segment->last == UINT64_MAX ? KVA_ENOENT : model_first_in(model, segment->last + 1, last, segment);
}

/** The lowest, or the highest, of the free segments that have `least` bytes in [min, max]. */
static enum kva_status outermost_hole(const struct model *model, uint64_t min, uint64_t max, bool highest,
                                      uint64_t least, struct kva_segment *hole)
{
    enum kva_status status = KVA_ENOENT;
    struct kva_segment found = *hole;

    for (size_t unit = model->low; unit <= model->high; unit++) {
        struct kva_segment segment = segment_at(model, unit);
        uint64_t start = segment.start > min ? segment.start : min;
        uint64_t last = segment.last < max ? segment.last : max;
        if (segment.state != KVA_FREE || start > last || last - start < least - (least != 0))
            continue;
        found = segment;
        status = KVA_OK;
        if (!highest)
            break;
    }
    *hole = found;
    return status;
}

enum kva_status model_first_hole(const struct model *model, uint64_t least, struct kva_segment *hole)
{
    return outermost_hole(model, 0, UINT64_MAX, false, least, hole);
}

enum kva_status model_last_hole(const struct model *model, uint64_t least, struct kva_segment *hole)
{
    return outermost_hole(model, 0, UINT64_MAX, true, least, hole);
}

enum kva_status model_next_hole(const struct model *model, uint64_t least, struct kva_segment *hole)
{
    return hole->last == UINT64_MAX ? KVA_ENOENT
                                    : outermost_hole(model, hole->last + 1, UINT64_MAX, false, least, hole);
}

enum kva_status model_prev_hole(const struct model *model, uint64_t least, struct kva_segment *hole)
{
    return hole->start == 0 ? KVA_ENOENT : outermost_hole(model, 0, hole->start - 1, true, least, hole);
}

/* ------------------------------------------------------------------------------------------------ regions */

/** Units beyond the ends are free in the array, for a later addition. */
static void cut_ends(struct model *model, size_t low, size_t high)
{
    while (model->units[low].state == KVA_ABSENT)
        low++;
    while (model->units[high].state == KVA_ABSENT)
        high--;
    set(model, model->low, low - model->low, KVA_FREE, NULL);
    set(model, high + 1, model->high - high, KVA_FREE, NULL);
    model->low = low;
    model->high = high;
}

enum kva_status model_space_add(struct model *model, uint64_t start, uint64_t size)
{
    struct kva_segment segment;
    uint64_t units;
    enum kva_status status = check_named(model, start, size, &units);

    if (status != KVA_OK)
        return status;
    if (lowest_in(model, start, start + (units * model->quantum - 1), &segment) == KVA_OK)
        return KVA_EEXIST;
    assert_true(start >= model->base && unit_of(model, start) + units <= MODEL_UNITS);
    size_t from = unit_of(model, start), after = from + (size_t)units;
    if (from > model->high) {
        set(model, model->high + 1, from - model->high - 1, KVA_ABSENT, NULL);
        model->high = after - 1;
    } else if (after <= model->low) {
        set(model, after, model->low - after, KVA_ABSENT, NULL);
        model->low = from;
    }
    set(model, from, units, KVA_FREE, NULL);
    return KVA_OK;
}

enum kva_status model_space_remove(struct model *model, uint64_t start, uint64_t size)
{
    uint64_t units;
    size_t from, unit;
    enum kva_status status = check_given(model, start, size, &from, &units);

    if (status != KVA_OK)
        return status;
    if (has_state(model, from, from + (size_t)units - 1, KVA_BUSY, &unit))
        return KVA_EBUSY;
    if (has_state(model, from, from + (size_t)units - 1, KVA_DEFERRED, &unit))
        model_flush(model);
    if (units == model->high - model->low + 1)
        return KVA_EBUSY;
    set(model, from, units, KVA_ABSENT, NULL);
    cut_ends(model, model->low, model->high);
    return KVA_OK;
}

enum kva_status model_space_shrink(struct model *model, uint64_t first, uint64_t last)
{
    bool any_deferred = false;

    if (first % model->quantum != 0 || (last + 1) % model->quantum != 0)
        return KVA_EALIGN;
    if (first > last || first < model_first(model) || last > model_last(model))
        return KVA_ERANGE;
    size_t low = unit_of(model, first), high = unit_of(model, last);
    while (low < high && model->units[low].state == KVA_ABSENT)
        low++;
    while (low < high && model->units[high].state == KVA_ABSENT)
        high--;
    if (model->units[low].state == KVA_ABSENT)
        return KVA_EBUSY;
    for (size_t unit = model->low; unit <= model->high; unit++) {
        if (unit >= low && unit <= high)
            continue;
        if (model->units[unit].state == KVA_BUSY)
            return KVA_EBUSY;
        any_deferred = any_deferred || model->units[unit].state == KVA_DEFERRED;
    }
    if (any_deferred)
        model_flush(model);
    cut_ends(model, low, high);
    return KVA_OK;
}

enum kva_status model_space_reset(struct model *model)
{
    model_flush(model);
    (void)clear_units(model, model->low, model->high - model->low + 1);
    return KVA_OK;
}

/* ---------------------------------------------------------------------------------------------- evictions */

static bool meets(const struct kva_segment *a, uint64_t start, uint64_t last)
{
    return a->start <= last && a->last >= start;
}

static bool must_go(const struct model_eviction *eviction, const struct kva_segment *fed)
{
    return meets(fed, eviction->clear_start, eviction->clear_last);
}

/** The space as it would be if all fed segments were free, or only those that must go. */
static const struct model *without_fed(const struct model *model, const struct model_eviction *eviction,
                                       bool all)
{
    static struct model copy;

    copy = *model;
    for (size_t i = 0; i < eviction->count; i++) {
        const struct kva_segment *fed = &eviction->fed[i];
        if (all || must_go(eviction, fed))
            set(&copy, unit_of(model, fed->start), units_in(model, fed), KVA_FREE, NULL);
    }
    return &copy;
}

static struct kva_part part_of(const struct model_eviction *eviction)
{
    return (struct kva_part){0, eviction->request.size};
}

/** Whether the place is admitted if only the segments go that must. */
static bool is_admitted_so_far(const struct model *model, const struct model_eviction *eviction)
{
    struct kva_part part = part_of(eviction);

    return fits(without_fed(model, eviction, false), &eviction->request, eviction->start, &part, 1);
}

/** Of the candidates that stay in the resulting hole, the nearest one below, or above. */
static const struct kva_segment *nearest_that_stays(const struct model_eviction *eviction,
                                                    const struct kva_segment *hole, bool below)
{
    const struct kva_segment *nearest = NULL;

    for (size_t i = 0; i < eviction->count; i++) {
        const struct kva_segment *fed = &eviction->fed[i];
        bool is_below = fed->last < eviction->clear_start;
        if (!meets(fed, hole->start, hole->last) || must_go(eviction, fed) || is_below != below)
            continue;
        if (nearest == NULL || (below ? fed->start > nearest->start : fed->start < nearest->start))
            nearest = fed;
    }
    return nearest;
}

/** If the filter refuses the place because of a neighbour that stays, that candidate must go as well. Of two,
 * the lower one, if that suffices; otherwise the upper one, if that suffices; otherwise both. */
static void clear_for_filter(const struct model *model, struct model_eviction *eviction,
                             const struct kva_segment *hole)
{
    while (!is_admitted_so_far(model, eviction)) {
        const struct kva_segment *below = nearest_that_stays(eviction, hole, true);
        const struct kva_segment *above = nearest_that_stays(eviction, hole, false);
        uint64_t start = eviction->clear_start;

        assert_true(below != NULL || above != NULL);
        if (below != NULL) {
            eviction->clear_start = below->start;
            if (is_admitted_so_far(model, eviction))
                return;
        }
        if (above != NULL) {
            eviction->clear_start = start;
            eviction->clear_last = above->last;
            if (is_admitted_so_far(model, eviction))
                return;
        }
        if (below != NULL)
            eviction->clear_start = below->start;
    }
}

enum kva_status model_evict_begin(const struct model *model, const struct kva_request *request,
                                  struct model_eviction *eviction)
{
    eviction->request = with_defaults(request);
    eviction->count = 0;
    return check_request(model, &eviction->request);
}

/** Whether the request fits into the hole that the last fed segment would complete, and where. */
static bool find_place(const struct model *model, struct model_eviction *eviction)
{
    const struct model *would_be = without_fed(model, eviction, true);
    struct kva_segment hole = segment_at(would_be, unit_of(model, eviction->fed[eviction->count - 1].start));
    struct kva_part part = part_of(eviction);
    uint64_t units;

    if (!search_units(would_be, &eviction->request, &part, 1, unit_of(model, hole.start),
                      unit_of(model, hole.last), &eviction->start))
        return false;
    (void)units_for(model, part.size, &units);
    eviction->last = eviction->start + (units * model->quantum - 1);
    eviction->clear_start = eviction->start;
    eviction->clear_last = eviction->last;
    clear_for_filter(model, eviction, &hole);
    return true;
}

static bool is_fed(const struct kva_segment *segment, const struct kva_segment *fed)
{
    return segment->start == fed->start && segment->last == fed->last && segment->owner == fed->owner;
}

enum kva_status model_evict_add(const struct model *model, struct model_eviction *eviction, uint64_t start)
{
    struct kva_segment segment;
    enum kva_status status = check_start(model, start, &segment);

    if (status != KVA_OK)
        return status;
    for (size_t i = 0; i < eviction->count; i++) {
        if (is_fed(&segment, &eviction->fed[i]))
            return KVA_EEXIST;
    }
    for (size_t i = 0; i < eviction->count; i++) {
        if (meets(&segment, eviction->fed[i].start, eviction->fed[i].last))
            return KVA_EAGAIN;
    }
    assert_true(eviction->count < MODEL_FED);
    eviction->fed[eviction->count++] = segment;
    return find_place(model, eviction) ? KVA_OK : KVA_ENOSPC;
}

bool model_evict_next(const struct model_eviction *eviction, uint64_t from, struct kva_segment *candidate)
{
    bool any = false;

    for (size_t i = 0; i < eviction->count; i++) {
        const struct kva_segment *fed = &eviction->fed[i];
        if (!must_go(eviction, fed) || fed->start < from || (any && fed->start > candidate->start))
            continue;
        *candidate = *fed;
        any = true;
    }
    return any;
}

/** Whether the range to clear contains anything but free segments and victims as they were fed. */
static bool has_changed(const struct model *model, const struct model_eviction *eviction)
{
    if (!is_between_ends(model, eviction->clear_start) || !is_between_ends(model, eviction->clear_last))
        return true;
    for (size_t unit = unit_of(model, eviction->clear_start); unit <= unit_of(model, eviction->clear_last);
         unit++) {
        struct kva_segment segment = segment_at(model, unit);
        bool expected = segment.state == KVA_FREE;
        for (size_t i = 0; i < eviction->count && segment.state == KVA_BUSY; i++)
            expected = expected || is_fed(&segment, &eviction->fed[i]);
        if (!expected)
            return true;
    }
    return false;
}

/** It may have been freed, and replaced by another segment. */
static bool is_there_as_fed(const struct model *model, const struct kva_segment *fed)
{
    struct kva_segment segment;

    return model_find(model, fed->start, &segment) == KVA_OK && segment.state == KVA_BUSY &&
           is_fed(&segment, fed);
}

enum kva_status model_evict_finish(struct model *model, const struct model_eviction *eviction,
                                   uint64_t *start)
{
    struct kva_segment candidate = {0};
    uint64_t units = (eviction->last - eviction->start) / model->quantum + 1;

    if (has_changed(model, eviction))
        return KVA_EAGAIN;
    struct model_eviction still = *eviction; /* the eviction without the freed ones */
    still.count = 0;
    for (size_t i = 0; i < eviction->count; i++) {
        const struct kva_segment *fed = &eviction->fed[i];
        if (must_go(eviction, fed) && is_there_as_fed(model, fed))
            still.fed[still.count++] = *fed;
    }
    if (!is_admitted_so_far(model, &still))
        return KVA_EAGAIN;
    for (size_t i = 0; i < still.count; i++) {
        candidate = still.fed[i];
        set(model, unit_of(model, candidate.start), units_in(model, &candidate), KVA_FREE, NULL);
    }
    set(model, unit_of(model, eviction->start), units, KVA_BUSY, eviction->request.owner);
    *start = eviction->start;
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

        unit += (size_t)units;
        if (segment.state == KVA_ABSENT)
            continue;
        if (bytes == 0) /* 2^64, which the statistics saturate to 2^64 - 1 */
            bytes = UINT64_MAX;
        /* Two segments of one state that together have 2^64 bytes are the whole space. */
        *sums[segment.state] =
            bytes > UINT64_MAX - *sums[segment.state] ? UINT64_MAX : *sums[segment.state] + bytes;
        (*counts[segment.state])++;
        if (segment.state == KVA_FREE && bytes > stats->largest_free)
            stats->largest_free = bytes;
    }
    stats->flushes = model->flushes;
}
