/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Every request in a space of 12 units; every shape, policy and filter in one of 8 or 12.
 *
 * A LAYOUT is a 12-bit mask: bit u is set where unit u is busy. For each of the 4096 layouts each request is
 * made (every size, alignment, window and policy), and each range is reserved, freed in part, and resized.
 * The result is compared with one that this file computes from the mask alone; then the change is undone, and
 * the listing must be as before.
 *
 * The division of busy units into segments does not change what is free, but it changes the trees: a run of
 * busy units is one segment in the first pass, and one segment per unit in a second pass over every 9th
 * layout.
 *
 * PLACES   All of it at [0, 11]; then, over fewer layouts, at the very top of the 64-bit range and with a
 *   quantum of 4096.
 *
 * SHAPES AND CHOICES   One constraint at a time, in each layout of 12 units: every alignment from 1 to 12
 *   with every phase; every boundary; nearest to every target, in the space and outside; best; random with
 *   every value at which the denoted start changes, and the one before it; every filter of common/filter.h.
 *   Two at a time, in each layout of 8 units: alignment and phase, boundary, window, filter, and the policy.
 *   All three shapes, over fewer layouts, in four places. In one hole of 2048 units: boundaries of 8, 16 and
 *   32, every size up to that, every alignment up to a little more, from each place between two boundaries.
 */
#include "../common/filter.h"
#include "../common/harness.h"
#include "../common/picture.h"

#include <string.h>

#include "../../ports/test/failing_memory.h"

#define UNITS 12U /* the largest number */

struct place {
    const char *name;
    unsigned units;
    uint64_t base; /* address of unit 0 */
    uint64_t quantum;
    unsigned stride; /* visit every stride-th layout */
    bool per_unit;   /* a busy run is one segment per unit, not one segment */
};

struct world;

/** Make a request by some policies: the bits of `places` are the units at which it may begin. */
typedef void try_policies(struct world *world, struct kva_request *request, unsigned places);

struct world {
    const struct place *place;
    unsigned layout;
    struct kva_space space;
    struct kva_failing_memory memory;
    struct test_picture before;
    uint64_t requests; /* made so far, in all layouts */
    try_policies *policies;
    struct test_filter filter;
};

static uint64_t address_of(const struct world *world, unsigned unit)
{
    return world->place->base + unit * world->place->quantum;
}

static uint64_t last_address_of(const struct world *world, unsigned unit)
{
    return address_of(world, unit) + (world->place->quantum - 1);
}

static void *owner_of(unsigned unit)
{
    return (void *)(uintptr_t)(0x100 + unit);
}

/* ------------------------------------------------------------------------------------------------ layouts */

/** The last unit of the run of equal units that begins at `unit`. */
static unsigned end_of_run(const struct world *world, unsigned unit)
{
    unsigned bit = world->layout >> unit & 1;
    while (unit + 1 < world->place->units && (world->layout >> (unit + 1) & 1) == bit)
        unit++;
    return unit;
}

/** The busy segments of a layout, as a list for kva_space_init. */
static size_t busy_ranges(const struct world *world, struct kva_range *ranges)
{
    size_t count = 0;

    for (unsigned unit = 0; unit < world->place->units; unit++) {
        unsigned end = world->place->per_unit ? unit : end_of_run(world, unit);
        if (world->layout >> unit & 1) {
            ranges[count].start = address_of(world, unit);
            ranges[count].size = (end - unit + 1) * world->place->quantum;
            ranges[count++].owner = owner_of(unit);
        }
        unit = end;
    }
    return count;
}

static void expect_layout(const struct world *world)
{
    for (unsigned unit = 0; unit < world->place->units; unit++) {
        struct kva_segment segment;
        assert_int_equal(kva_find(&world->space, address_of(world, unit), &segment), KVA_OK);
        assert_int_equal(segment.state, world->layout >> unit & 1 ? KVA_BUSY : KVA_FREE);
    }
}

static void set_up(struct world *world, const struct kva_engine *engine, unsigned layout)
{
    struct kva_range ranges[UNITS];
    struct kva_config config = {0};

    world->layout = layout;
    config.first = address_of(world, 0);
    config.last = last_address_of(world, world->place->units - 1);
    config.quantum = world->place->quantum;
    config.engine = engine;
    config.memory = kva_failing_memory_init(&world->memory);
    config.busy = ranges;
    config.busy_count = busy_ranges(world, ranges);
    config.best_fit = (layout ^ layout >> 4) % 2; /* every second layout, for any stride */
    assert_int_equal(kva_space_init(&world->space, &config), KVA_OK);
    expect_layout(world);
    test_picture_take(&world->before, &world->space);
}

static void tear_down(struct world *world)
{
    test_expect_same(&world->before, &world->space, "after all requests of a layout");
    assert_int_equal(kva_space_abandon(&world->space), KVA_OK);
    assert_int_equal(world->memory.blocks, 0);
}

/* --------------------------------------------------------------------------------------------- allocation */

/** The units at which `size` units are free: bit u is set if u .. u + size - 1 are. */
static unsigned places_that_fit(const struct world *world, unsigned size)
{
    unsigned all = (1U << world->place->units) - 1;
    unsigned places = all;
    for (unsigned i = 0; i < size; i++)
        places &= (all & ~world->layout) >> i;
    return places;
}

static unsigned aligned_places(const struct world *world, uint64_t align, uint64_t phase)
{
    unsigned places = 0;
    for (unsigned unit = 0; unit < world->place->units; unit++) {
        if (address_of(world, unit) % align == phase)
            places |= 1U << unit;
    }
    return places;
}

/** The units at which the first and the last of `size` units lie between the same multiples of nocross. */
static unsigned places_between(const struct world *world, unsigned size, uint64_t nocross)
{
    unsigned places = 0;
    for (unsigned unit = 0; unit + size <= world->place->units; unit++) {
        if (nocross == 0 ||
            address_of(world, unit) / nocross == last_address_of(world, unit + size - 1) / nocross)
            places |= 1U << unit;
    }
    return places;
}

/** Places from unit `min` on whose last unit is at most `max`. */
static unsigned places_in_window(unsigned size, unsigned min, unsigned max)
{
    unsigned places = 0;
    for (unsigned unit = min; unit + size <= max + 1; unit++)
        places |= 1U << unit;
    return places;
}

static unsigned lowest_bit(unsigned bits)
{
    unsigned bit = 0;
    while ((bits >> bit & 1) == 0)
        bit++;
    return bit;
}

static unsigned highest_bit(unsigned bits)
{
    unsigned bit = 0;
    while (bits >> bit != 1)
        bit++;
    return bit;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a < b ? b - a : a - b;
}

static unsigned nearest_place(const struct world *world, unsigned places, uint64_t target)
{
    unsigned nearest = lowest_bit(places);
    for (unsigned unit = nearest; unit < world->place->units; unit++) {
        if ((places >> unit & 1) &&
            distance(address_of(world, unit), target) < distance(address_of(world, nearest), target))
            nearest = unit;
    }
    return nearest;
}

/** The first unit of the run of equal units that ends at `unit`. */
static unsigned begin_of_run(const struct world *world, unsigned unit)
{
    while (unit > 0 && end_of_run(world, unit - 1) >= unit)
        unit--;
    return unit;
}

/** The place in the smallest hole. */
static unsigned best_place(const struct world *world, unsigned places)
{
    unsigned least = world->place->units + 1;
    unsigned best = 0;
    for (unsigned unit = 0; unit < world->place->units; unit++) {
        unsigned length = end_of_run(world, unit) - begin_of_run(world, unit) + 1;
        if ((places >> unit & 1) && length < least) {
            least = length;
            best = unit;
        }
    }
    return best;
}

/** Every unit at which the request could begin in an empty space: align, phase and the window decide. */
static unsigned places_in_empty_space(const struct world *world, const struct kva_request *request)
{
    unsigned places = 0;
    for (unsigned unit = 0; unit < world->place->units; unit++) {
        uint64_t start = address_of(world, unit);
        uint64_t last = start + (request->size - 1);
        bool everywhere = (request->min | request->max) == 0;
        if (last < start || last > last_address_of(world, world->place->units - 1))
            continue;
        if (request->align != 0 && start % request->align != request->phase)
            continue;
        if (everywhere || (start >= request->min && last <= request->max))
            places |= 1U << unit;
    }
    return places;
}

static unsigned count_bits(unsigned bits)
{
    unsigned count = 0;
    for (; bits != 0; bits &= bits - 1)
        count++;
    return count;
}

/** The least value of random that denotes start number `index` of `count`: index * 2^64 / count, rounded
 * up. */
static uint64_t least_random(unsigned index, unsigned count)
{
    uint64_t whole = UINT64_MAX / count * index; /* 2^64 = UINT64_MAX / count * count + rest */
    uint64_t rest = (UINT64_MAX % count + 1) * index;
    return whole + rest / count + (rest % count != 0);
}

/** The first place at or above the start that is denoted; if there is none, the lowest. */
static unsigned random_place(const struct world *world, const struct kva_request *request, unsigned places)
{
    unsigned starts = places_in_empty_space(world, request);
    unsigned count = count_bits(starts);
    unsigned index = 0;

    while (index + 1 < count && request->random >= least_random(index + 1, count))
        index++;
    while (index-- > 0)
        starts &= starts - 1;
    unsigned above = places & ~((1U << lowest_bit(starts)) - 1);
    return lowest_bit(above != 0 ? above : places);
}

static unsigned place_by_policy(const struct world *world, const struct kva_request *request, unsigned places)
{
    switch (request->policy) {
    case KVA_LOWEST:
        break;
    case KVA_HIGHEST:
        return highest_bit(places);
    case KVA_NEAREST:
        return nearest_place(world, places, request->target);
    case KVA_BEST:
        return best_place(world, places);
    case KVA_RANDOM:
        return random_place(world, request, places);
    }
    return lowest_bit(places);
}

static void try_request(struct world *world, const struct kva_request *request, unsigned places)
{
    const uint64_t untouched = UINT64_C(0x5ca1ab1e0ddba11);
    uint64_t start = untouched, want = untouched;
    enum kva_status status = kva_alloc(&world->space, request, &start);

    if (places != 0)
        want = address_of(world, place_by_policy(world, request, places));
    world->requests++;
    check_that(status == (places != 0 ? KVA_OK : KVA_ENOSPC) && start == want,
               "%s, layout %#x: size %" PRIu64 " align %" PRIu64 " phase %" PRIu64 " nocross %" PRIu64
               " window [%#" PRIx64 ", %#" PRIx64 "] policy %d target %#" PRIx64 " random %#" PRIx64
               " filter %#x gave %s, %#" PRIx64 "; want %#" PRIx64,
               world->place->name, world->layout, request->size, request->align, request->phase,
               request->nocross, request->min, request->max, (int)request->policy, request->target,
               request->random, request->filter ? world->filter.rules : 0, kva_status_name(status), start,
               want);
    if (status == KVA_OK) {
        assert_int_equal(kva_free(&world->space, start), KVA_OK);
        test_expect_same(&world->before, &world->space, "after an allocation and its free");
    }
}

static void try_both_policies(struct world *world, struct kva_request *request, unsigned places)
{
    request->policy = KVA_LOWEST;
    try_request(world, request, places);
    request->policy = KVA_HIGHEST;
    try_request(world, request, places);
}

/** Targets: every unit and, in coarse quanta, its last address; some on either side; both ends of 64 bits. */
static void try_targets(struct world *world, struct kva_request *request, unsigned places)
{
    uint64_t outside = 3 * world->place->quantum;
    uint64_t first = address_of(world, 0);
    uint64_t last = last_address_of(world, world->place->units - 1);

    request->policy = KVA_NEAREST;
    for (unsigned unit = 0; unit < world->place->units; unit++) {
        request->target = address_of(world, unit);
        try_request(world, request, places);
        request->target += world->place->quantum / 2;
        if (world->place->quantum > 1)
            try_request(world, request, places);
    }
    const uint64_t others[] = {first - 1,  first - outside,  last, last + 1, last + outside, 0,
                               UINT64_MAX, UINT64_C(1) << 63};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        request->target = others[i]; /* a value that wraps serves as well */
        try_request(world, request, places);
    }
}

static void try_best(struct world *world, struct kva_request *request, unsigned places)
{
    request->policy = KVA_BEST;
    try_request(world, request, places);
}

/** The values of random at which the denoted start changes, and those one below. */
static void try_randoms(struct world *world, struct kva_request *request, unsigned places)
{
    unsigned count = count_bits(places_in_empty_space(world, request));

    request->policy = KVA_RANDOM;
    request->random = UINT64_MAX;
    try_request(world, request, places);
    request->random = 0;
    try_request(world, request, places);
    for (unsigned index = 1; index < count; index++) {
        request->random = least_random(index, count);
        try_request(world, request, places);
        request->random--;
        try_request(world, request, places);
    }
}

static void try_other_policies(struct world *world, struct kva_request *request, unsigned places)
{
    try_targets(world, request, places);
    try_best(world, request, places);
    try_randoms(world, request, places);
}

static void try_all_policies(struct world *world, struct kva_request *request, unsigned places)
{
    try_both_policies(world, request, places);
    try_other_policies(world, request, places);
}

/** A request without a window, and with alignment 0 if it is one quantum, as a designated initialiser leaves
 * it. */
static void try_left_out(struct world *world, struct kva_request request, unsigned candidates)
{
    request.min = request.max = 0;
    if (request.align == world->place->quantum)
        request.align = 0;
    world->policies(world, &request, candidates);
}

static void try_windows(struct world *world, struct kva_request *request, unsigned size, unsigned candidates)
{
    for (unsigned min = 0; min < world->place->units; min++) {
        for (unsigned max = min; max < world->place->units; max++) {
            request->min = address_of(world, min);
            request->max = last_address_of(world, max);
            if (request->max == 0)
                continue; /* the window of address 0 alone means the whole space: see try_left_out */
            world->policies(world, request, candidates & places_in_window(size, min, max));
        }
    }
}

static void try_plain_requests(struct world *world)
{
    for (unsigned size = 1; size <= world->place->units; size++) {
        for (unsigned shift = 0; shift <= 4; shift++) {
            struct kva_request request = kva_request_of(size * world->place->quantum);
            request.align = world->place->quantum << shift;
            unsigned candidates =
                places_that_fit(world, size) & aligned_places(world, request.align, request.phase);
            try_windows(world, &request, size, candidates);
            try_left_out(world, request, candidates);
        }
    }
}

/* ------------------------------------------------------------------------------------------------- shapes */

/** Constraints on the start, in units; 0: none. */
struct shape {
    unsigned align;
    unsigned phase;
    unsigned nocross;
};

/** Every size that the boundary admits, in every window or in none. */
static void try_shape(struct world *world, const struct shape *shape, bool windows)
{
    uint64_t quantum = world->place->quantum;
    unsigned units = world->place->units;
    unsigned most = shape->nocross != 0 && shape->nocross < units ? shape->nocross : units;

    for (unsigned size = 1; size <= most && size <= UINT64_MAX / quantum; size++) {
        struct kva_request request = kva_request_of(size * quantum);
        request.align = shape->align * quantum;
        request.phase = shape->phase * quantum;
        request.nocross = shape->nocross * quantum;
        unsigned candidates = places_that_fit(world, size) & places_between(world, size, request.nocross);
        if (shape->align != 0)
            candidates &= aligned_places(world, request.align, request.phase);
        if (windows)
            try_windows(world, &request, size, candidates);
        else
            try_left_out(world, request, candidates);
    }
}

/** Every alignment from 1 unit to UNITS of them, where representable, with every phase. */
static void try_phases(struct world *world, unsigned nocross, bool windows)
{
    struct shape shape = {.nocross = nocross};

    for (shape.align = 1; shape.align <= world->place->units; shape.align++) {
        if (shape.align > UINT64_MAX / world->place->quantum)
            return;
        for (shape.phase = 0; shape.phase < shape.align; shape.phase++)
            try_shape(world, &shape, windows);
    }
}

static void try_any_place(struct world *world, unsigned nocross, bool windows)
{
    struct shape shape = {.nocross = nocross};

    try_shape(world, &shape, windows);
}

/** Every boundary from 1 unit to the first that is at least the space, where representable. */
static void try_boundaries(struct world *world, void (*try)(struct world *, unsigned, bool), bool windows)
{
    for (unsigned nocross = 1; nocross < 2 * world->place->units; nocross *= 2) {
        if (nocross <= UINT64_MAX / world->place->quantum)
            try(world, nocross, windows);
    }
}

static void try_shapes_alone(struct world *world)
{
    try_phases(world, 0, false);
    try_boundaries(world, try_any_place, false);
}

static void try_pairs(struct world *world)
{
    try_phases(world, 0, true);
    try_boundaries(world, try_any_place, true);
    try_boundaries(world, try_phases, false);
}

/** Each shape alone, and each window alone. */
static void try_pairs_with_one(struct world *world)
{
    const struct shape none = {0};

    try_shapes_alone(world);
    try_shape(world, &none, true);
}

static void try_all_three(struct world *world)
{
    try_boundaries(world, try_phases, true);
}

/* ----------------------------------------------------------------------------------- policies and filters */

/** The hole from unit `begin` on, as a filter must receive it. */
static struct kva_hole hole_at(const struct world *world, unsigned begin, struct kva_segment *before,
                               struct kva_segment *after)
{
    unsigned end = end_of_run(world, begin);
    struct kva_hole hole = {.start = address_of(world, begin), .last = last_address_of(world, end)};

    if (begin > 0) {
        unsigned from = world->place->per_unit ? begin - 1 : begin_of_run(world, begin - 1);
        *before = (struct kva_segment){address_of(world, from), hole.start - 1, owner_of(from), KVA_BUSY};
        hole.before = before;
    }
    if (end + 1 < world->place->units) {
        unsigned to = world->place->per_unit ? end + 1 : end_of_run(world, end + 1);
        *after = (struct kva_segment){hole.last + 1, last_address_of(world, to), owner_of(end + 1), KVA_BUSY};
        hole.after = after;
    }
    return hole;
}

/** The first units of `size` units that lie in the part of their hole that the filter leaves. */
static unsigned admitted_places(struct world *world, unsigned size)
{
    unsigned places = 0;

    for (unsigned begin = 0; begin < world->place->units; begin = end_of_run(world, begin) + 1) {
        struct kva_segment before, after;
        if (world->layout >> begin & 1)
            continue;
        struct kva_hole hole = hole_at(world, begin, &before, &after);
        if (!test_filter(&world->filter, &hole))
            continue;
        for (unsigned unit = begin; unit + size <= end_of_run(world, begin) + 1; unit++) {
            if (address_of(world, unit) >= hole.start && last_address_of(world, unit + size - 1) <= hole.last)
                places |= 1U << unit;
        }
    }
    return places;
}

/** Both ends, and each filter: gaps of one and of two units, in several combinations of rules. */
static void try_filters_by(struct world *world, struct kva_request *request, unsigned places,
                           try_policies *policies)
{
    static const unsigned rules[] = {0,
                                     TEST_GAP_BESIDE_BUSY,
                                     TEST_GAP_AT_ENDS | TEST_GAP_BESIDE_BUSY,
                                     TEST_REFUSE_TWO_KINDS,
                                     TEST_REFUSE_SOME | TEST_GAP_BESIDE_BUSY,
                                     TEST_WIDEN};
    unsigned size = (unsigned)(request->size / world->place->quantum);

    request->filter = test_filter;
    request->filter_context = &world->filter;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        world->filter.rules = rules[i];
        world->filter.gap = (1 + i % 2) * world->place->quantum;
        policies(world, request, places & admitted_places(world, size));
    }
    request->filter = NULL;
}

static void try_filters(struct world *world, struct kva_request *request, unsigned places)
{
    try_filters_by(world, request, places, try_both_policies);
}

static void try_filters_and_policies(struct world *world, struct kva_request *request, unsigned places)
{
    try_filters_by(world, request, places, try_other_policies);
}

static void try_anything_alone(struct world *world, struct kva_request *request, unsigned places)
{
    try_other_policies(world, request, places);
    try_filters(world, request, places);
}

static void try_choices_alone(struct world *world)
{
    const struct shape none = {0};

    world->policies = try_anything_alone;
    try_shape(world, &none, false);
}

static void try_choices_in_pairs(struct world *world)
{
    const struct shape none = {0};

    world->policies = try_anything_alone;
    try_pairs_with_one(world);
    world->policies = try_filters_and_policies;
    try_shape(world, &none, false);
}

/** A policy and a shape in a window, or with a filter; all policies and filters at once. */
static void try_choices_in_full(struct world *world)
{
    const struct shape shape = {.align = 3, .phase = 1, .nocross = 4};
    const struct shape aligned = {.align = 2};

    world->policies = try_all_policies;
    try_shape(world, &shape, true);
    try_shape(world, &aligned, true);
    world->policies = try_filters_and_policies;
    try_shape(world, &shape, true);
    try_shape(world, &aligned, false);
}

/* ------------------------------------------------------------------------------------------- given ranges */

static unsigned mask_of(unsigned from, unsigned size)
{
    return ((1U << size) - 1) << from;
}

static void try_reserve(struct world *world, unsigned from, unsigned size)
{
    struct kva_segment conflict = {0};
    unsigned in_the_way = world->layout & mask_of(from, size);
    enum kva_status status =
        kva_reserve(&world->space, address_of(world, from), size * world->place->quantum, NULL, &conflict);

    world->requests++;
    if (in_the_way == 0) {
        assert_int_equal(status, KVA_OK);
        assert_int_equal(kva_free(&world->space, address_of(world, from)), KVA_OK);
    } else {
        struct kva_segment want;
        assert_int_equal(status, KVA_EEXIST);
        assert_int_equal(kva_find(&world->space, address_of(world, lowest_bit(in_the_way)), &want), KVA_OK);
        assert_true(test_same_segment(&want, &conflict));
    }
    test_expect_same(&world->before, &world->space, "after a reserve and its free");
}

/** Undo a partial free or a resize: free the remains of the segment, and reserve it again. */
static void restore(struct world *world, unsigned from, unsigned to, const struct kva_segment *segment)
{
    for (unsigned unit = from; unit <= to; unit++) {
        struct kva_segment now;
        assert_int_equal(kva_find(&world->space, address_of(world, unit), &now), KVA_OK);
        if (now.state == KVA_BUSY)
            assert_int_equal(kva_free(&world->space, now.start), KVA_OK);
    }
    assert_int_equal(
        kva_reserve(&world->space, segment->start, segment->last - segment->start + 1, segment->owner, NULL),
        KVA_OK);
    test_expect_same(&world->before, &world->space, "after a segment was put back");
}

/** The expected state of a unit and, if busy, the owner and the start of its segment. */
static void expect_unit(const struct world *world, unsigned unit, bool busy, unsigned begins, unsigned ends,
                        const void *owner)
{
    struct kva_segment now;

    assert_int_equal(kva_find(&world->space, address_of(world, unit), &now), KVA_OK);
    assert_int_equal(now.state, busy ? KVA_BUSY : KVA_FREE);
    if (!busy)
        return;
    assert_int_equal(now.start, address_of(world, begins));
    assert_int_equal(now.last, last_address_of(world, ends));
    assert_ptr_equal(now.owner, owner);
}

/** Free [from, from + size - 1], out of the segment of the units [begin, end]. */
static void try_free_range(struct world *world, unsigned begin, unsigned end, unsigned from, unsigned size)
{
    struct kva_segment whole;
    enum kva_status status;

    assert_int_equal(kva_find(&world->space, address_of(world, begin), &whole), KVA_OK);
    status = kva_free_range(&world->space, address_of(world, from), size * world->place->quantum);
    world->requests++;
    if (from + size - 1 > end) {
        assert_true(status == KVA_ERANGE || status == KVA_EWRAP); /* the latter beyond 2^64 - 1 */
        test_expect_same(&world->before, &world->space, "after a refused free_range");
        return;
    }
    assert_int_equal(status, KVA_OK);
    for (unsigned unit = begin; unit <= end; unit++) {
        if (unit < from)
            expect_unit(world, unit, true, begin, from - 1, whole.owner);
        else if (unit < from + size)
            expect_unit(world, unit, false, 0, 0, NULL);
        else
            expect_unit(world, unit, true, from + size, end, whole.owner);
    }
    restore(world, begin, end, &whole);
}

/** Resize the segment of the units [begin, end]; `room` is the largest size that fits. */
static void try_resize(struct world *world, unsigned begin, unsigned end, unsigned room, unsigned size)
{
    struct kva_segment whole;
    enum kva_status status;

    assert_int_equal(kva_find(&world->space, address_of(world, begin), &whole), KVA_OK);
    status = kva_resize(&world->space, address_of(world, begin), size * world->place->quantum);
    world->requests++;
    if (size > room) {
        assert_true(status == KVA_ENOSPC || status == KVA_EWRAP);
        test_expect_same(&world->before, &world->space, "after a refused resize");
        return;
    }
    assert_int_equal(status, KVA_OK);
    for (unsigned unit = begin; unit <= end || unit < begin + size; unit++)
        expect_unit(world, unit, unit < begin + size, begin, begin + size - 1, whole.owner);
    restore(world, begin, end > begin + size - 1 ? end : begin + size - 1, &whole);
}

static void try_all_ranges(struct world *world)
{
    for (unsigned from = 0; from < world->place->units; from++) {
        for (unsigned size = 1; from + size <= world->place->units; size++)
            try_reserve(world, from, size);
    }
    for (unsigned begin = 0; begin < world->place->units; begin++) {
        unsigned run = end_of_run(world, begin);
        unsigned end = world->place->per_unit ? begin : run;
        unsigned room = end - begin + 1;

        if ((world->layout >> begin & 1) == 0) {
            begin = run;
            continue;
        }
        if (end + 1 < world->place->units && (world->layout >> (end + 1) & 1) == 0)
            room += end_of_run(world, end + 1) - end;
        for (unsigned from = begin; from <= end; from++) {
            for (unsigned size = 1; from + size <= world->place->units + 1; size++)
                try_free_range(world, begin, end, from, size);
        }
        for (unsigned size = 1; begin + size <= world->place->units + 1; size++)
            try_resize(world, begin, end, room, size);
        begin = end;
    }
}

/* ----------------------------------------------------------------------------------------------- the test */

static void try_plain(struct world *world)
{
    try_plain_requests(world);
    try_all_ranges(world);
}

static void visit(const struct place *place, void (*try)(struct world *))
{
    static struct world world;
    const struct kva_engine *engine;
    unsigned stride = place->stride * (unsigned)test_stride();
    uint64_t layouts = 0;

    memset(&world, 0, sizeof(world));
    world.place = place;
    for_each_engine (engine, i) {
        for (unsigned layout = 0; layout < 1U << place->units; layout += stride) {
            set_up(&world, engine, layout);
            world.policies = try_both_policies;
            try(&world);
            tear_down(&world);
            layouts++;
        }
    }
    test_picture_drop(&world.before);
    print_message("%s: visited %" PRIu64 " layouts, %" PRIu64 " requests, on all engines together\n",
                  place->name, layouts, world.requests);
}

static void at_the_bottom(void **state)
{
    static const struct place place = {"12 units from 0", UNITS, 0, 1, 1, false};
    (void)state;
    visit(&place, try_plain);
}

/* Strides are odd, so that a subset does not favour layouts whose low units are free. */
static void one_segment_per_unit(void **state)
{
    static const struct place place = {"12 units from 0, one segment each", UNITS, 0, 1, 9, true};
    (void)state;
    visit(&place, try_plain);
}

static void at_the_top(void **state)
{
    static const struct place place = {"12 units up to 2^64 - 1", UNITS, UINT64_MAX - UNITS + 1, 1, 9, false};
    (void)state;
    visit(&place, try_plain);
}

static void at_the_top_in_pages(void **state)
{
    static const struct place place = {
        "12 quanta of 4096 up to 2^64 - 1", UNITS, UINT64_MAX - UNITS * 4096 + 1, 4096, 11, false};
    (void)state;
    visit(&place, try_plain);
}

static void in_pages(void **state)
{
    static const struct place place = {"12 quanta of 4096 from 0x3000", UNITS, 0x3000, 4096, 13, true};
    (void)state;
    visit(&place, try_plain);
}

static void one_shape_at_a_time(void **state)
{
    static const struct place place = {"one constraint, 12 units from 0", UNITS, 0, 1, 1, false};
    (void)state;
    visit(&place, try_shapes_alone);
}

static void two_shapes_at_a_time(void **state)
{
    static const struct place place = {"two constraints, 8 units from 0", 8, 0, 1, 1, false};
    (void)state;
    visit(&place, try_pairs);
}

static void all_three_shapes(void **state)
{
    static const struct place places[] = {
        {"three constraints, 8 units from 0", 8, 0, 1, 19, true},
        {"three constraints, 8 units up to 2^64 - 1", 8, UINT64_MAX - 8 + 1, 1, 21, false},
        {"three constraints, 8 quanta of 4096 from 0x5000", 8, 0x5000, 4096, 23, false},
        {"three constraints, 8 quanta of 2^61: all addresses", 8, 0, UINT64_C(1) << 61, 7, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        visit(&places[i], try_all_three);
}

static void one_choice_at_a_time(void **state)
{
    static const struct place places[] = {
        {"one choice, 12 units from 5", UNITS, 5, 1, 1, false},
        {"one choice, 12 units from 0, one segment each", UNITS, 0, 1, 9, true},
        {"one choice, 12 units up to 2^64 - 1", UNITS, UINT64_MAX - UNITS + 1, 1, 9, false},
        {"one choice, 12 quanta of 4096 from 0x3000", UNITS, 0x3000, 4096, 13, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        visit(&places[i], try_choices_alone);
}

static void two_choices_at_a_time(void **state)
{
    static const struct place place = {"a choice and another constraint, 8 units from 0", 8, 0, 1, 1, false};
    (void)state;
    visit(&place, try_choices_in_pairs);
}

static void choices_in_full(void **state)
{
    static const struct place places[] = {
        {"choices and shapes, 8 units from 3", 8, 3, 1, 3, true},
        {"choices and shapes, 8 units up to 2^64 - 1", 8, UINT64_MAX - 8 + 1, 1, 5, false},
        {"choices and shapes, 8 quanta of 4096 from 0x5000", 8, 0x5000, 4096, 7, false},
        /* 11 does not divide 255, the layout that is all busy: no range has a size of 2^64. */
        {"choices and shapes, 8 quanta of 2^61: all addresses", 8, 0, UINT64_C(1) << 61, 11, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        visit(&places[i], try_choices_in_full);
}

/* ----------------------------------------------------------------------------------- boundaries, one hole */

enum { HOLE = 2048 };

/** The start that trial and error finds from `a` on, upwards or downwards; false when it leaves the hole. */
static bool step_to_fit(uint64_t first, const struct kva_request *request, uint64_t *a)
{
    for (uint64_t at = *a - first; at <= HOLE - request->size; /* wraps, and so ends, below 0 */
         at += request->policy == KVA_LOWEST ? request->align : -request->align) {
        uint64_t start = first + at;
        if (start / request->nocross != (start + (request->size - 1)) / request->nocross)
            continue;
        *a = start;
        return true;
    }
    return false;
}

/** The candidates begin at `a`, which is an end of the window. */
static void try_steps(struct kva_space *space, uint64_t first, struct kva_request request, uint64_t a)
{
    uint64_t start = 0, want = a;

    request.phase = a % request.align;
    request.min = request.policy == KVA_LOWEST ? a : first;
    request.max = request.policy == KVA_LOWEST ? first + (HOLE - 1) : a + (request.size - 1);
    bool fits = step_to_fit(first, &request, &want);
    enum kva_status status = kva_alloc(space, &request, &start);
    check_that(status == (fits ? KVA_OK : KVA_ENOSPC) && (!fits || start == want),
               "size %" PRIu64 " align %" PRIu64 " nocross %" PRIu64 " policy %d from %#" PRIx64
               " gave %s, %#" PRIx64 "; want %#" PRIx64,
               request.size, request.align, request.nocross, (int)request.policy, a, kva_status_name(status),
               start, want);
    if (status == KVA_OK)
        assert_int_equal(kva_free(space, start), KVA_OK);
}

static void try_steps_from_each_residue(struct kva_space *space, uint64_t first, struct kva_request request)
{
    for (uint64_t i = 0; i < request.nocross; i++) {
        request.policy = KVA_LOWEST;
        try_steps(space, first, request, first + i);
        request.policy = KVA_HIGHEST;
        try_steps(space, first, request, first + (HOLE - request.size) - i);
    }
}

/* Sizes near the boundary leave few places in a block, and steps reach those only after many blocks: Euclid's
 * algorithm takes many steps. */
static void many_steps_to_the_next_fit(void **state)
{
    static const uint64_t firsts[] = {0, UINT64_MAX - (HOLE - 1)};
    uint64_t most = test_is_brief() ? 16 : 32;
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        struct kva_failing_memory memory;
        struct kva_space space;
        uint64_t first = firsts[e % 2];
        struct kva_config config = {.first = first,
                                    .last = first + (HOLE - 1),
                                    .quantum = 1,
                                    .engine = engine,
                                    .memory = kva_failing_memory_init(&memory)};
        struct kva_request request = {.size = 0};

        assert_int_equal(kva_space_init(&space, &config), KVA_OK);
        for (request.nocross = 8; request.nocross <= most; request.nocross *= 2) {
            for (request.align = 1; request.align <= request.nocross + 3; request.align++) {
                for (request.size = 1; request.size <= request.nocross; request.size++)
                    try_steps_from_each_residue(&space, first, request);
            }
        }
        assert_int_equal(kva_space_fini(&space), KVA_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_the_bottom),
        cmocka_unit_test(one_segment_per_unit),
        cmocka_unit_test(at_the_top),
        cmocka_unit_test(at_the_top_in_pages),
        cmocka_unit_test(in_pages),
        cmocka_unit_test(one_shape_at_a_time),
        cmocka_unit_test(two_shapes_at_a_time),
        cmocka_unit_test(all_three_shapes),
        cmocka_unit_test(one_choice_at_a_time),
        cmocka_unit_test(two_choices_at_a_time),
        cmocka_unit_test(choices_in_full),
        cmocka_unit_test(many_steps_to_the_next_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
