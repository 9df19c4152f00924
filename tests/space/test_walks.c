/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Walks: backwards, over holes, over a range.
 *
 * EVERY LAYOUT of 8 to 10 units, on every engine: bit u of a layout is set where unit u is in use. A run of
 * units in use is one busy segment, or one segment per unit, of which every second one is deferred. The
 * expected list of segments comes from the layout alone.
 *
 * CHANGES IN BETWEEN   An array of units and the space receive the same random calls. Each step of a walk
 *   must match its definition, applied to the current array.
 */
#include "../common/harness.h"
#include "../common/place.h"

#include <kva/deferred.h>
#include <kva/ranges.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

enum { MOST_UNITS = 64 };

/** A space, and its expected segments. */
struct world {
    const char *engine;
    struct kva_space space;
    struct kva_failing_memory memory;
    struct test_place place;
    unsigned units;
    enum kva_state state[MOST_UNITS];
    bool begins[MOST_UNITS]; /* a busy or deferred segment begins here */
    unsigned misuses;
    enum kva_status misuse;
    const char *field;
    const char *where;
};

static void on_misuse(void *context, const struct kva_fault *fault)
{
    struct world *world = context;

    world->misuses++;
    world->misuse = fault->status;
    world->field = fault->field;
    world->where = fault->where;
}

static void set_up(struct world *world, const struct kva_engine *engine, size_t index, uint64_t place,
                   unsigned units)
{
    memset(world, 0, sizeof *world);
    world->engine = test_engine_name(index);
    world->place = test_place(place, units);
    world->units = units;
    struct kva_config config = {
        .first = world->place.first,
        .last = world->place.first + (world->place.quantum * units - 1),
        .quantum = world->place.quantum,
        .engine = engine,
        .memory = kva_failing_memory_init(&world->memory),
        .deferred_limit = UINT64_MAX,
        .on_misuse = on_misuse,
        .hook_context = world,
    };
    assert_int_equal(kva_space_init(&world->space, &config), KVA_OK);
}

static void tear_down(struct world *world)
{
    assert_int_equal(kva_space_check(&world->space, NULL), KVA_OK);
    assert_int_equal(kva_space_abandon(&world->space), KVA_OK);
    assert_int_equal(world->memory.blocks, 0);
}

static uint64_t address_of(const struct world *world, unsigned unit)
{
    return world->place.first + unit * world->place.quantum;
}

static uint64_t last_address_of(const struct world *world, unsigned unit)
{
    return address_of(world, unit) + (world->place.quantum - 1);
}

static unsigned unit_of(const struct world *world, uint64_t address)
{
    return (unsigned)((address - world->place.first) / world->place.quantum);
}

/** Make units [from, from + count) one busy segment. */
static void occupy(struct world *world, unsigned from, unsigned count)
{
    uint64_t size = test_place_bytes(&world->place, count);

    assert_int_equal(kva_reserve(&world->space, address_of(world, from), size, world, NULL), KVA_OK);
    for (unsigned unit = from; unit < from + count; unit++) {
        world->state[unit] = KVA_BUSY;
        world->begins[unit] = unit == from;
    }
}

/** The last unit of the segment that unit `from` is in. */
static unsigned end_of(const struct world *world, unsigned from)
{
    while (from + 1 < world->units && !world->begins[from + 1] &&
           world->state[from + 1] == world->state[from])
        from++;
    return from;
}

static unsigned begin_of(const struct world *world, unsigned from)
{
    while (from > 0 && !world->begins[from] && world->state[from - 1] == world->state[from])
        from--;
    return from;
}

static void defer(struct world *world, unsigned from)
{
    unsigned end = end_of(world, from);

    assert_int_equal(kva_free_deferred(&world->space, address_of(world, from)), KVA_OK);
    for (unsigned unit = from; unit <= end; unit++)
        world->state[unit] = KVA_DEFERRED;
}

static void give_back(struct world *world, unsigned from)
{
    unsigned end = end_of(world, from);

    assert_int_equal(kva_free(&world->space, address_of(world, from)), KVA_OK);
    world->begins[from] = false;
    for (unsigned unit = from; unit <= end; unit++)
        world->state[unit] = KVA_FREE;
}

/* ----------------------------------------------------------------------------------------- expected steps */

/** Fail unless a step returned the segment that contains unit `from`; KVA_ENOENT if `from` is no unit. */
static void expect_step(const struct world *world, const char *step, unsigned from, enum kva_status status,
                        const struct kva_segment *segment)
{
    if (from >= world->units) {
        check_that(status == KVA_ENOENT, "%s: %s: %s, not KVA_ENOENT, [%#" PRIx64 ", %#" PRIx64 "]",
                   world->engine, step, kva_status_name(status), segment->start, segment->last);
        return;
    }
    enum kva_state state = world->state[from];
    uint64_t start = address_of(world, begin_of(world, from));
    uint64_t last = last_address_of(world, end_of(world, from));
    check_that(status == KVA_OK && segment->start == start && segment->last == last &&
                   segment->state == state &&
                   segment->owner == (state == KVA_FREE ? NULL : (const void *)world),
               "%s: %s: %s [%#" PRIx64 ", %#" PRIx64 "] state %d, not [%#" PRIx64 ", %#" PRIx64 "] state %d",
               world->engine, step, kva_status_name(status), segment->start, segment->last,
               (int)segment->state, start, last, (int)state);
}

/** How many units hold `least` bytes; more than all units if the bytes do not fit. */
static unsigned units_for(const struct world *world, uint64_t least)
{
    uint64_t units = least == 0 ? 1 : (least - 1) / world->place.quantum + 1;

    return units > world->units ? world->units + 1 : (unsigned)units;
}

/** A unit of the lowest hole that has so many units in [from, units); world->units: none. */
static unsigned hole_above(const struct world *world, unsigned from, unsigned least)
{
    unsigned run = 0;

    for (unsigned unit = from; unit < world->units; unit++) {
        run = world->state[unit] == KVA_FREE ? run + 1 : 0;
        if (run >= least)
            return unit;
    }
    return world->units;
}

/** A unit of the highest hole that has so many units in [0, end). */
static unsigned hole_below(const struct world *world, unsigned end, unsigned least)
{
    unsigned run = 0;

    for (unsigned unit = end; unit-- > 0;) {
        run = world->state[unit] == KVA_FREE ? run + 1 : 0;
        if (run >= least)
            return unit;
    }
    return world->units;
}

/* -------------------------------------------------------------------------------------------- whole walks */

static void expect_both_ways(const struct world *world)
{
    struct kva_segment segment = {0}, back = {0};
    unsigned unit = 0, end = world->units;

    for (enum kva_status s = kva_first(&world->space, &segment);; s = kva_next(&world->space, &segment)) {
        expect_step(world, "forwards", unit, s, &segment);
        if (s != KVA_OK)
            break;
        unit = unit_of(world, segment.last) + 1;
    }
    for (enum kva_status s = kva_last(&world->space, &back);; s = kva_prev(&world->space, &back)) {
        expect_step(world, "backwards", end - 1, s, &back); /* UINT_MAX at the end */
        if (s != KVA_OK)
            break;
        end = unit_of(world, back.start);
    }
    assert_int_equal(unit, world->units);
    assert_int_equal(end, 0);
    assert_int_equal(segment.last, last_address_of(world, world->units - 1)); /* unchanged */
    assert_int_equal(back.start, address_of(world, 0));
}

static void expect_holes_of(struct world *world, uint64_t least)
{
    struct kva_segment hole = {0};
    unsigned units = units_for(world, least);
    unsigned from = 0, end = world->units;

    for (enum kva_status s = kva_first_hole(&world->space, least, &hole);;
         s = kva_next_hole(&world->space, least, &hole)) {
        expect_step(world, "holes", hole_above(world, from, units), s, &hole);
        if (s != KVA_OK)
            break;
        from = unit_of(world, hole.last) + 1;
    }
    for (enum kva_status s = kva_last_hole(&world->space, least, &hole);;
         s = kva_prev_hole(&world->space, least, &hole)) {
        expect_step(world, "holes downwards", hole_below(world, end, units), s, &hole);
        if (s != KVA_OK)
            break;
        end = unit_of(world, hole.start);
    }
}

/** From every segment of the space, and from parts of them. */
static void expect_holes_from(struct world *world, uint64_t least)
{
    unsigned units = units_for(world, least);

    for (unsigned unit = 0; unit < world->units; unit++) {
        struct kva_segment from = {address_of(world, unit), last_address_of(world, unit), NULL, KVA_BUSY};
        struct kva_segment hole = from;
        enum kva_status status = kva_next_hole(&world->space, least, &hole);
        expect_step(world, "next hole", hole_above(world, unit + 1, units), status, &hole);
        hole = from;
        status = kva_prev_hole(&world->space, least, &hole);
        expect_step(world, "hole before", hole_below(world, unit, units), status, &hole);
    }
}

/** Sizes around each number of quanta, and the largest size. */
static void expect_holes(struct world *world)
{
    for (unsigned units = 0; units <= world->units + 1; units++) {
        uint64_t bytes = test_place_bytes(&world->place, units);
        expect_holes_of(world, bytes);
        expect_holes_from(world, bytes);
        if (world->place.quantum > 1 && bytes < UINT64_MAX)
            expect_holes_of(world, bytes + 1);
        if (world->place.quantum > 1 && bytes > 0)
            expect_holes_of(world, bytes - 1);
    }
    expect_holes_of(world, UINT64_MAX);
    expect_holes_from(world, UINT64_MAX);
}

/** The walk over [start, last], whose lowest unit in the space is `from` (the number of units: none) and
 * whose highest is `to`. */
static void expect_range(const struct world *world, uint64_t start, uint64_t last, unsigned from, unsigned to)
{
    struct kva_segment segment = {7, 8, NULL, KVA_BUSY};

    for (enum kva_status s = kva_first_in(&world->space, start, last, &segment);;
         s = kva_next_in(&world->space, last, &segment)) {
        expect_step(world, "in a range", from <= to ? from : world->units, s, &segment);
        if (s != KVA_OK)
            return;
        from = unit_of(world, segment.last) + 1;
    }
}

static void expect_ranges(const struct world *world)
{
    unsigned top = world->units - 1;
    uint64_t first = world->place.first;
    uint64_t last = last_address_of(world, top);
    uint64_t inside = world->place.quantum / 2;

    for (unsigned from = 0; from <= top; from++) {
        for (unsigned to = from; to <= top; to++) {
            expect_range(world, address_of(world, from), last_address_of(world, to), from, to);
            expect_range(world, address_of(world, from) + inside, address_of(world, to) + inside, from, to);
        }
        expect_range(world, 0, address_of(world, from), 0, from);
        expect_range(world, last_address_of(world, from), UINT64_MAX, from, top);
        if (from > 0)
            expect_range(world, address_of(world, from), address_of(world, from) - 1, world->units, 0);
    }
    expect_range(world, 0, UINT64_MAX, 0, top);
    expect_range(world, UINT64_MAX, 0, world->units, 0);
    if (first > 0) {
        expect_range(world, 0, first - 1, world->units, 0);
        expect_range(world, first - 1, first, 0, 0);
    }
    if (last < UINT64_MAX) {
        expect_range(world, last + 1, UINT64_MAX, world->units, 0);
        expect_range(world, last, last + 1, top, top);
    }
}

/** Reserve the runs of a layout, each as one segment; or per unit, and every second one is deferred. */
static void lay_out(struct world *world, unsigned layout, bool per_unit)
{
    for (unsigned unit = 0; unit < world->units; unit++) {
        unsigned count = 0;
        unsigned most = per_unit ? 1 : world->units - 1; /* no size is 2^64 */
        while (unit + count < world->units && layout >> (unit + count) & 1 && count < most)
            count++;
        if (count == 0)
            continue;
        occupy(world, unit, count);
        if (per_unit && unit % 2 == 1)
            defer(world, unit);
        unit += count - 1;
    }
}

static void every_layout(void **state)
{
    const struct kva_engine *engine;
    static struct world world;
    struct test_rng rng = test_rng_of(70);
    (void)state;

    for_each_engine (engine, e) {
        for (unsigned units = 8; units <= 10; units++) {
            for (unsigned layout = 0; layout < 1U << units; layout += (unsigned)test_stride()) {
                set_up(&world, engine, e, test_random(&rng), units);
                lay_out(&world, layout, test_one_in(&rng, 2));
                expect_both_ways(&world);
                expect_holes(&world);
                expect_ranges(&world);
                tear_down(&world);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------- changes in between */

/** Free the segment at a random unit, or reserve a random range. */
static void change(struct world *world, struct test_rng *rng)
{
    unsigned unit = (unsigned)test_below(rng, world->units);
    unsigned count = 1 + (unsigned)test_below(rng, 4);

    if (world->state[unit] == KVA_BUSY) {
        give_back(world, begin_of(world, unit));
        return;
    }
    for (unsigned i = unit; i < unit + count; i++) {
        if (i >= world->units || world->state[i] != KVA_FREE)
            return;
    }
    occupy(world, unit, count);
}

/** One step of each walk from its current segment; or from the beginning, if it has ended. */
struct walks {
    struct kva_segment next, prev, next_hole, prev_hole, next_in;
    bool in_next, in_prev, in_next_hole, in_prev_hole, in_next_in;
    uint64_t least, last;
};

static void step_all(struct world *world, struct walks *walks, struct test_rng *rng)
{
    struct kva_space *space = &world->space;
    unsigned none = world->units;
    unsigned unit;
    enum kva_status status;

    unit = walks->in_next ? unit_of(world, walks->next.last) + 1 : 0;
    status = walks->in_next ? kva_next(space, &walks->next) : kva_first(space, &walks->next);
    expect_step(world, "next", unit, status, &walks->next);
    walks->in_next = status == KVA_OK;

    unit = walks->in_prev ? unit_of(world, walks->prev.start) : none;
    status = walks->in_prev ? kva_prev(space, &walks->prev) : kva_last(space, &walks->prev);
    expect_step(world, "prev", unit > 0 ? unit - 1 : none, status, &walks->prev);
    walks->in_prev = status == KVA_OK;

    if (!walks->in_next_hole && !walks->in_prev_hole)
        walks->least = 1 + test_below(rng, 5 * world->place.quantum);
    unsigned least = units_for(world, walks->least);
    unit = walks->in_next_hole ? unit_of(world, walks->next_hole.last) + 1 : 0;
    status = walks->in_next_hole ? kva_next_hole(space, walks->least, &walks->next_hole)
                                 : kva_first_hole(space, walks->least, &walks->next_hole);
    expect_step(world, "next hole", hole_above(world, unit, least), status, &walks->next_hole);
    walks->in_next_hole = status == KVA_OK;

    unit = walks->in_prev_hole ? unit_of(world, walks->prev_hole.start) : none;
    status = walks->in_prev_hole ? kva_prev_hole(space, walks->least, &walks->prev_hole)
                                 : kva_last_hole(space, walks->least, &walks->prev_hole);
    expect_step(world, "hole before", hole_below(world, unit, least), status, &walks->prev_hole);
    walks->in_prev_hole = status == KVA_OK;

    if (!walks->in_next_in)
        walks->last = address_of(world, (unsigned)test_below(rng, world->units));
    unit = walks->in_next_in ? unit_of(world, walks->next_in.last) + 1 : 3;
    status = walks->in_next_in ? kva_next_in(space, walks->last, &walks->next_in)
                               : kva_first_in(space, address_of(world, 3), walks->last, &walks->next_in);
    expect_step(world, "next in", unit <= unit_of(world, walks->last) ? unit : none, status, &walks->next_in);
    walks->in_next_in = status == KVA_OK;
}

static void a_space_that_changes_under_its_walks(void **state)
{
    const struct kva_engine *engine;
    static struct world world;
    (void)state;

    for_each_engine (engine, e) {
        struct test_rng rng = test_rng_of(71);
        for (uint64_t round = 0; round < test_scaled(3 * TEST_PLACES); round++) {
            struct walks walks = {0};
            set_up(&world, engine, e, round, MOST_UNITS);
            for (unsigned i = 0; i < 600; i++) {
                step_all(&world, &walks, &rng);
                for (uint64_t changes = test_below(&rng, 4); changes > 0; changes--)
                    change(&world, &rng);
            }
            tear_down(&world);
        }
    }
}

/* A hole that grew after it was returned: upwards it is returned again, whole, if enough of it is new. */
static void a_hole_that_grew(void **state)
{
    const struct kva_engine *engine;
    static struct world world;
    (void)state;

    for_each_engine (engine, e) {
        struct kva_segment hole = {0};
        set_up(&world, engine, e, 0, 16); /* of one byte, from 0 */
        occupy(&world, 4, 4);
        occupy(&world, 12, 4);
        assert_int_equal(kva_first_hole(&world.space, 4, &hole), KVA_OK);
        assert_int_equal(hole.last, 3);
        give_back(&world, 4);
        struct kva_segment again = hole;
        assert_int_equal(kva_next_hole(&world.space, 8, &again), KVA_OK); /* [4, 11] is above 3 */
        assert_int_equal(again.start, 0);
        assert_int_equal(again.last, 11);
        again = hole;
        assert_int_equal(kva_next_hole(&world.space, 9, &again), KVA_ENOENT); /* although it is 12 long */
        assert_int_equal(again.last, 3);                                      /* unchanged */
        struct kva_segment busy = {12, 15, NULL, KVA_BUSY};
        assert_int_equal(kva_prev_hole(&world.space, 12, &busy), KVA_OK);
        assert_int_equal(busy.start, 0);
        again = (struct kva_segment){6, 6, NULL, KVA_FREE};
        assert_int_equal(kva_prev_hole(&world.space, 7, &again), KVA_ENOENT);
        assert_int_equal(kva_prev_hole(&world.space, 6, &again), KVA_OK);
        assert_int_equal(again.last, 11);
        tear_down(&world);
    }
}

/* Steps from segments that are gone, that existed before the space grew, or that never existed. */
static void steps_from_outside(void **state)
{
    const struct kva_engine *engine;
    static struct world world;
    (void)state;

    for_each_engine (engine, e) {
        set_up(&world, engine, e, 10, 8); /* in pages, with room below and above */
        uint64_t first = world.place.first, last = last_address_of(&world, 7);
        struct kva_segment below = {first - 0x3000, first - 0x2001, NULL, KVA_BUSY}, at = below;
        struct kva_segment above = {last + 0x2001, last + 0x3000, NULL, KVA_BUSY};

        assert_int_equal(kva_next(&world.space, &at), KVA_OK);
        assert_int_equal(at.start, first);
        at = below;
        assert_int_equal(kva_prev(&world.space, &at), KVA_ENOENT);
        assert_int_equal(kva_next_in(&world.space, first - 1, &at), KVA_ENOENT);
        assert_int_equal(kva_next_in(&world.space, first, &at), KVA_OK);
        assert_int_equal(at.start, first);
        at = below;
        assert_int_equal(kva_prev_hole(&world.space, 1, &at), KVA_ENOENT);
        assert_int_equal(kva_next_hole(&world.space, 8 * 0x1000, &at), KVA_OK);
        assert_int_equal(at.last, last);
        at = above;
        assert_int_equal(kva_next(&world.space, &at), KVA_ENOENT);
        assert_int_equal(kva_next_hole(&world.space, 1, &at), KVA_ENOENT);
        assert_int_equal(kva_prev(&world.space, &at), KVA_OK);
        assert_int_equal(at.start, first);
        at = above;
        assert_int_equal(kva_prev_hole(&world.space, 8 * 0x1000, &at), KVA_OK);
        assert_int_equal(at.start, first);
        tear_down(&world);
    }
}

/* Absent ranges are neither segments nor holes; a range inside one contains no segment. */
static void absent_ranges(void **state)
{
    const struct kva_engine *engine;
    static struct world world;
    (void)state;

    for_each_engine (engine, e) {
        struct kva_segment segment = {0};
        set_up(&world, engine, e, 8,
               8); /* the bytes from 2^62 on: |####|....| absent, 8 | 4 | absent, 8 | 4 | */
        uint64_t first = world.place.first;
        occupy(&world, 0, 4);
        assert_int_equal(kva_space_add(&world.space, first + 16, 4), KVA_OK);
        assert_int_equal(kva_space_add(&world.space, first + 28, 4), KVA_OK);

        static const uint64_t starts[] = {28, 16, 4, 0};
        enum kva_status status = kva_last(&world.space, &segment);
        for (size_t i = 0; i < 4; i++, status = kva_prev(&world.space, &segment)) {
            assert_int_equal(status, KVA_OK);
            assert_int_equal(segment.start - first, starts[i]);
        }
        assert_int_equal(status, KVA_ENOENT);
        status = kva_last_hole(&world.space, 1, &segment);
        for (size_t i = 0; i < 3; i++, status = kva_prev_hole(&world.space, 1, &segment)) {
            assert_int_equal(status, KVA_OK);
            assert_int_equal(segment.start - first, starts[i]);
        }
        assert_int_equal(status, KVA_ENOENT);
        status = kva_first_hole(&world.space, 4, &segment);
        for (size_t i = 3; i-- > 0; status = kva_next_hole(&world.space, 4, &segment)) {
            assert_int_equal(status, KVA_OK);
            assert_int_equal(segment.start - first, starts[i]);
        }
        assert_int_equal(status, KVA_ENOENT);
        assert_int_equal(kva_first_hole(&world.space, 5, &segment), KVA_ENOENT);

        assert_int_equal(kva_first_in(&world.space, first + 8, first + 15, &segment), KVA_ENOENT);
        assert_int_equal(kva_first_in(&world.space, first + 8, first + 16, &segment), KVA_OK);
        assert_int_equal(segment.start - first, 16);
        assert_int_equal(kva_next_in(&world.space, first + 27, &segment), KVA_ENOENT);
        assert_int_equal(kva_next_in(&world.space, first + 28, &segment), KVA_OK);
        assert_int_equal(segment.last - first, 31);
        tear_down(&world);
    }
}

/* ---------------------------------------------------------------------------------------- ends of 64 bits */

/* All 2^64 addresses, in quanta of 1, 2 and 2^60: the one hole that is longer than any size. */
static void all_addresses(void **state)
{
    static const uint64_t quantums[] = {1, 2, UINT64_C(1) << 60, UINT64_C(1) << 63};
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        for (size_t q = 0; q < sizeof quantums / sizeof quantums[0]; q++) {
            struct kva_failing_memory memory;
            struct kva_space space;
            struct kva_segment hole = {0};
            uint64_t quantum = quantums[q];
            struct kva_config config = {.last = UINT64_MAX,
                                        .quantum = quantum,
                                        .engine = engine,
                                        .memory = kva_failing_memory_init(&memory)};
            assert_int_equal(kva_space_init(&space, &config), KVA_OK);
            assert_int_equal(kva_first_hole(&space, UINT64_MAX, &hole), KVA_OK);
            assert_int_equal(hole.last, UINT64_MAX);
            assert_int_equal(kva_next_hole(&space, 0, &hole), KVA_ENOENT);
            assert_int_equal(kva_prev_hole(&space, 0, &hole), KVA_ENOENT);
            assert_int_equal(kva_last_hole(&space, UINT64_MAX, &hole), KVA_OK);
            assert_int_equal(hole.start, 0);

            assert_int_equal(kva_reserve(&space, 0, quantum, NULL, NULL), KVA_OK);
            uint64_t left = UINT64_MAX - quantum + 1;
            assert_int_equal(kva_first_hole(&space, left, &hole), KVA_OK);
            assert_int_equal(hole.start, quantum);
            assert_int_equal(hole.last, UINT64_MAX);
            assert_int_equal(kva_prev_hole(&space, 1, &hole), KVA_ENOENT);
            if (quantum > 1) {
                assert_int_equal(kva_first_hole(&space, left + 1, &hole), KVA_ENOENT);
                assert_int_equal(kva_last_hole(&space, UINT64_MAX, &hole), KVA_ENOENT);
            }
            assert_int_equal(kva_last(&space, &hole), KVA_OK);
            assert_int_equal(kva_prev(&space, &hole), KVA_OK);
            assert_int_equal(hole.start, 0);
            assert_int_equal(hole.state, KVA_BUSY);
            assert_int_equal(kva_prev(&space, &hole), KVA_ENOENT);
            assert_int_equal(kva_next_hole(&space, left, &hole), KVA_OK);
            assert_int_equal(kva_next_in(&space, UINT64_MAX, &hole), KVA_ENOENT);
            assert_int_equal(kva_space_abandon(&space), KVA_OK);
            assert_int_equal(memory.blocks, 0);
        }
    }
}

/* ----------------------------------------------------------------------------------------------- statuses */

static void expect_misuse(struct world *world, enum kva_status status, const char *field, const char *where)
{
    assert_int_equal(status, KVA_ENULL);
    assert_int_equal(world->misuses, 1);
    assert_int_equal(world->misuse, KVA_ENULL);
    assert_string_equal(world->field, field);
    assert_string_equal(world->where, where);
    world->misuses = 0;
}

static void statuses(void **state)
{
    const struct kva_engine *engine;
    static struct world world;
    (void)state;

    for_each_engine (engine, e) {
        struct kva_segment segment = {0};
        struct kva_space none = {0};
        set_up(&world, engine, e, 0, 8);
        expect_misuse(&world, kva_last(&world.space, NULL), "segment", "kva_last");
        expect_misuse(&world, kva_prev(&world.space, NULL), "segment", "kva_prev");
        expect_misuse(&world, kva_first_in(&world.space, 0, 1, NULL), "segment", "kva_first_in");
        expect_misuse(&world, kva_next_in(&world.space, 1, NULL), "segment", "kva_next_in");
        expect_misuse(&world, kva_first_hole(&world.space, 1, NULL), "hole", "kva_first_hole");
        expect_misuse(&world, kva_next_hole(&world.space, 1, NULL), "hole", "kva_next_hole");
        expect_misuse(&world, kva_last_hole(&world.space, 1, NULL), "hole", "kva_last_hole");
        expect_misuse(&world, kva_prev_hole(&world.space, 1, NULL), "hole", "kva_prev_hole");
        struct kva_space *spaces[] = {NULL, &none};
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(kva_last(spaces[i], &segment), KVA_ENULL);
            assert_int_equal(kva_prev(spaces[i], &segment), KVA_ENULL);
            assert_int_equal(kva_first_in(spaces[i], 0, 1, &segment), KVA_ENULL);
            assert_int_equal(kva_next_in(spaces[i], 1, &segment), KVA_ENULL);
            assert_int_equal(kva_first_hole(spaces[i], 1, &segment), KVA_ENULL);
            assert_int_equal(kva_next_hole(spaces[i], 1, &segment), KVA_ENULL);
            assert_int_equal(kva_last_hole(spaces[i], 1, &segment), KVA_ENULL);
            assert_int_equal(kva_prev_hole(spaces[i], 1, &segment), KVA_ENULL);
        }
        assert_int_equal(world.misuses, 0);
        tear_down(&world);
    }
}

/* -------------------------------------------------------------------------------------------------- pools */

enum { LISTED = 4096 };

/** The listing both ways; the free segments are exactly the holes: pooled ranges are not. */
static void expect_same_lists(struct kva_space *space, uint64_t least)
{
    static struct kva_segment list[LISTED];
    struct kva_segment segment;
    size_t count = 0, at;
    enum kva_status status;

    for (status = kva_first(space, &segment); status == KVA_OK; status = kva_next(space, &segment)) {
        assert_true(count < LISTED);
        list[count++] = segment;
    }
    at = count;
    for (status = kva_last(space, &segment); status == KVA_OK; status = kva_prev(space, &segment)) {
        assert_true(at > 0);
        at--;
        assert_int_equal(segment.start, list[at].start);
        assert_int_equal(segment.last, list[at].last);
        assert_int_equal(segment.state, list[at].state);
        assert_ptr_equal(segment.owner, list[at].owner);
    }
    assert_int_equal(at, 0);
    status = kva_first_hole(space, least, &segment);
    for (at = 0; at < count; at++) {
        if (list[at].state != KVA_FREE || list[at].last - list[at].start < least - 1)
            continue;
        assert_int_equal(status, KVA_OK);
        assert_int_equal(segment.start, list[at].start);
        assert_int_equal(segment.last, list[at].last);
        assert_int_equal(segment.state, KVA_FREE);
        status = kva_next_hole(space, least, &segment);
    }
    assert_int_equal(status, KVA_ENOENT);
}

static void pools(void **state)
{
    enum { KEPT = 200 };
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        struct test_rng rng = test_rng_of(72);
        struct kva_failing_memory memory;
        struct kva_space space;
        uint64_t kept[KEPT] = {0};
        struct kva_config config = {.first = 0x1000,
                                    .last = 0x1000 + 0x8000 - 1,
                                    .quantum = 8,
                                    .engine = engine,
                                    .memory = kva_failing_memory_init(&memory),
                                    .deferred_limit = UINT64_MAX,
                                    .pool_bytes = 0x1000};
        assert_int_equal(kva_space_init(&space, &config), KVA_OK);
        for (uint64_t i = 0; i < test_scaled(1500); i++) {
            uint64_t *one = &kept[test_below(&rng, KEPT)];
            struct kva_request request = kva_request_of(1 + test_below(&rng, 100));
            if (*one == 0) {
                (void)kva_alloc(&space, &request, one);
            } else {
                assert_int_equal(
                    test_one_in(&rng, 3) ? kva_free_deferred(&space, *one) : kva_free(&space, *one), KVA_OK);
                *one = 0;
            }
            if (i % 20 == 0)
                expect_same_lists(&space, 1 + test_below(&rng, 80));
            if (test_one_in(&rng, 100))
                assert_int_equal(kva_flush(&space), KVA_OK);
        }
        assert_int_equal(kva_space_check(&space, NULL), KVA_OK);
        assert_int_equal(kva_space_abandon(&space), KVA_OK);
        assert_int_equal(memory.blocks, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout),     cmocka_unit_test(a_space_that_changes_under_its_walks),
        cmocka_unit_test(a_hole_that_grew), cmocka_unit_test(steps_from_outside),
        cmocka_unit_test(absent_ranges),    cmocka_unit_test(all_addresses),
        cmocka_unit_test(statuses),         cmocka_unit_test(pools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
