/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/ranges.h on every layout of a space of 8 units: each range is cleared and reserved over; each unit is
 * split at, joined, given another owner, freed with each size, and moved to each place.
 *
 * A LAYOUT is a digit for each unit: 0 free, 1 a busy segment begins, 2 the segment continues, 3 a deferred
 * one begins. Layouts with deferred segments are many: every 31st of them is visited. The oracle is an array
 * of units, changed by plain loops. Each layout lies in another place (common/place.h): at both ends of 64
 * bits, or all addresses, with quanta from 1 to 2^61.
 */
#include "../common/harness.h"
#include "../common/picture.h"
#include "../common/place.h"

#include <kva/deferred.h>
#include <kva/ranges.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

enum { UNITS = 8, LAYOUTS = 1 << (2 * UNITS) };

struct unit {
    enum kva_state state;
    bool begins; /* a busy or deferred segment begins here */
    void *owner;
};

struct world {
    struct test_place place;
    struct kva_space space;
    struct kva_failing_memory memory;
    bool owners;
    struct unit layout[UNITS];
    struct unit now[UNITS]; /* the expected state of the space */
    unsigned faults;
    struct kva_fault fault; /* the last one */
    unsigned layouts;
    unsigned calls;
};

static uint64_t address_of(const struct world *world, unsigned unit)
{
    return world->place.first + unit * world->place.quantum;
}

static uint64_t last_of(const struct world *world, unsigned unit)
{
    return address_of(world, unit) + (world->place.quantum - 1);
}

/** An owner for the segment that begins at a unit. */
static void *owner_of(unsigned unit)
{
    return (void *)(uintptr_t)(0x100 + unit);
}

static void *const newcomer = (void *)(uintptr_t)0x777;

static void *kept(const struct world *world, void *owner)
{
    return world->owners ? owner : NULL;
}

static void log_misuse(void *context, const struct kva_fault *fault)
{
    struct world *world = context;

    world->faults++;
    world->fault = *fault;
}

/* ---------------------------------------------------------------------------------------------- the array */

/** The last unit of the segment that contains a unit, also a free one. */
static unsigned end_of(const struct unit *units, unsigned unit)
{
    while (unit + 1 < UNITS && units[unit + 1].state == units[unit].state &&
           (units[unit].state == KVA_FREE || !units[unit + 1].begins))
        unit++;
    return unit;
}

static unsigned begin_of(const struct unit *units, unsigned unit)
{
    while (unit > 0 &&
           (units[unit].state == KVA_FREE ? units[unit - 1].state == KVA_FREE : !units[unit].begins))
        unit--;
    return unit;
}

static void make_units(struct unit *units, unsigned from, unsigned to, enum kva_state state, void *owner)
{
    if (to + 1 < UNITS && units[to + 1].state != KVA_FREE)
        units[to + 1].begins = true; /* the rest of the segment that is cut there becomes a segment */
    for (unsigned unit = from; unit <= to; unit++)
        units[unit] = (struct unit){state, state != KVA_FREE && unit == from, owner};
}

static void flush_units(struct unit *units)
{
    for (unsigned unit = 0; unit < UNITS; unit++) {
        if (units[unit].state == KVA_DEFERRED)
            units[unit] = (struct unit){KVA_FREE, false, NULL};
    }
}

/** Free the busy units in [from, to]. Returns their number. */
static unsigned clear_units(struct unit *units, unsigned from, unsigned to)
{
    unsigned count = 0;

    for (unsigned unit = from; unit <= to; unit++) {
        if (units[unit].state == KVA_BUSY) {
            make_units(units, unit, unit, KVA_FREE, NULL);
            count++;
        }
    }
    return count;
}

static bool has_state(const struct unit *units, unsigned from, unsigned to, enum kva_state state)
{
    for (unsigned unit = from; unit <= to; unit++) {
        if (units[unit].state == state)
            return true;
    }
    return false;
}

/* ---------------------------------------------------------------------------------------------- the space */

static struct kva_segment segment_of(const struct world *world, unsigned unit)
{
    const struct unit *units = world->now;
    struct kva_segment segment = {.start = address_of(world, begin_of(units, unit)),
                                  .last = last_of(world, end_of(units, unit)),
                                  .owner = kept(world, units[unit].owner),
                                  .state = units[unit].state};

    return segment;
}

/** The listing equals the array. */
static void expect_units(const struct world *world, const char *what, unsigned a, unsigned b)
{
    struct kva_segment segment;
    enum kva_status status = kva_first(&world->space, &segment);

    for (unsigned unit = 0; unit < UNITS; unit = end_of(world->now, unit) + 1) {
        struct kva_segment want = segment_of(world, unit);
        check_that(status == KVA_OK && test_same_segment(&segment, &want),
                   "%s %u %u: unit %u: a segment in state %d up to %#" PRIx64
                   ", owner %p found; state %d up to %#" PRIx64 ", owner %p expected",
                   what, a, b, unit, (int)segment.state, segment.last, segment.owner, (int)want.state,
                   want.last, want.owner);
        status = kva_next(&world->space, &segment);
    }
    assert_int_equal(status, KVA_ENOENT);
}

static void reserve_units(struct world *world, unsigned from, unsigned to, void *owner)
{
    uint64_t half = address_of(world, from);

    if (from > 0 || to + 1 < UNITS || last_of(world, to) - half < UINT64_MAX) {
        assert_int_equal(kva_reserve(&world->space, half, last_of(world, to) - half + 1, owner, NULL),
                         KVA_OK);
        return;
    }
    /* No size is 2^64 bytes. */
    assert_int_equal(kva_reserve(&world->space, half, 4 * world->place.quantum, owner, NULL), KVA_OK);
    assert_int_equal(kva_reserve(&world->space, address_of(world, 4), 4 * world->place.quantum, NULL, NULL),
                     KVA_OK);
    assert_int_equal(kva_join(&world->space, half), KVA_OK);
}

/** Bring the space into the state of the layout. */
static void restore(struct world *world)
{
    struct kva_segment segment;

    for (enum kva_status s = kva_first(&world->space, &segment); s == KVA_OK;
         s = kva_next(&world->space, &segment)) {
        if (segment.state == KVA_BUSY)
            assert_int_equal(kva_free(&world->space, segment.start), KVA_OK);
    }
    assert_int_equal(kva_flush(&world->space), KVA_OK);
    memcpy(world->now, world->layout, sizeof world->now);
    for (unsigned unit = 0; unit < UNITS; unit = end_of(world->layout, unit) + 1) {
        if (world->layout[unit].state == KVA_FREE)
            continue;
        reserve_units(world, unit, end_of(world->layout, unit), world->layout[unit].owner);
        if (world->layout[unit].state == KVA_DEFERRED)
            assert_int_equal(kva_free_deferred(&world->space, address_of(world, unit)), KVA_OK);
    }
    world->faults = 0;
}

/** The layout of a number; false if it is none, because digit 2 does not continue a segment. */
static bool set_layout(struct world *world, unsigned number)
{
    struct unit *units = world->layout;

    for (unsigned unit = 0; unit < UNITS; unit++, number /= 4) {
        switch (number % 4) {
        case 0:
            units[unit] = (struct unit){KVA_FREE, false, NULL};
            break;
        case 1:
            units[unit] = (struct unit){KVA_BUSY, true, owner_of(unit)};
            break;
        case 2:
            if (unit == 0 || units[unit - 1].state == KVA_FREE)
                return false;
            units[unit] = units[unit - 1];
            units[unit].begins = false;
            break;
        default:
            units[unit] = (struct unit){KVA_DEFERRED, true, owner_of(unit)};
            break;
        }
    }
    return true;
}

/** Check the result of a call: `status` must be `want`, and a misuse must be reported exactly if it is
 * one. */
static void expect_status(struct world *world, const char *what, unsigned a, unsigned b,
                          enum kva_status status, enum kva_status want)
{
    bool is_bug = want >= KVA_ENULL;

    check_that(status == want, "%s %u %u: %s expected, %s returned", what, a, b, kva_status_name(want),
               kva_status_name(status));
    check_that(world->faults == is_bug, "%s %u %u: %u calls of the misuse hook, %d expected", what, a, b,
               world->faults, is_bug);
    if (is_bug) {
        assert_int_equal(world->fault.status, want);
        assert_string_equal(world->fault.where, what);
    }
    world->faults = 0;
    world->calls++;
    expect_units(world, what, a, b);
    if (memcmp(world->now, world->layout, sizeof world->now) != 0)
        restore(world);
}

/* ---------------------------------------------------------------------------------------------- the calls */

/** The size of so many units; a size of 2^64 does not exist. */
static uint64_t bytes_of(const struct world *world, unsigned units)
{
    return test_place_bytes(&world->place, units);
}

static bool is_sayable(const struct world *world, unsigned units)
{
    return bytes_of(world, units) % world->place.quantum == 0;
}

/** A size that is rounded up to so many units. */
static uint64_t odd_bytes_of(const struct world *world, unsigned units)
{
    return bytes_of(world, units) - (world->place.quantum > 1 && is_sayable(world, units));
}

static void try_clear(struct world *world, unsigned from, unsigned size)
{
    uint64_t bytes = 5;
    enum kva_status want = is_sayable(world, size) ? KVA_OK : KVA_EWRAP;
    uint64_t was_busy = 5;

    if (want == KVA_OK)
        was_busy = clear_units(world->now, from, from + size - 1) * world->place.quantum;
    enum kva_status status =
        kva_clear(&world->space, address_of(world, from), odd_bytes_of(world, size), &bytes);
    assert_int_equal(bytes, was_busy);
    expect_status(world, "kva_clear", from, size, status, want);
}

static void try_over(struct world *world, unsigned from, unsigned size)
{
    uint64_t bytes = 5;
    uint64_t was_busy = 5;
    enum kva_status want = is_sayable(world, size) ? KVA_OK : KVA_EWRAP;

    if (want == KVA_OK) {
        if (has_state(world->now, from, from + size - 1, KVA_DEFERRED))
            flush_units(world->now);
        was_busy = clear_units(world->now, from, from + size - 1) * world->place.quantum;
        make_units(world->now, from, from + size - 1, KVA_BUSY, newcomer);
    }
    enum kva_status status =
        kva_reserve_over(&world->space, address_of(world, from), odd_bytes_of(world, size), newcomer, &bytes);
    assert_int_equal(bytes, was_busy);
    expect_status(world, "kva_reserve_over", from, size, status, want);
}

/** The status of a call on a unit where no busy segment begins; KVA_OK if one does. */
static enum kva_status status_at(const struct world *world, unsigned unit)
{
    static const enum kva_status statuses[] = {
        [KVA_FREE] = KVA_EDOUBLE, [KVA_BUSY] = KVA_EINTERIOR, [KVA_DEFERRED] = KVA_EDEFERRED};
    const struct unit *at = &world->layout[unit];

    return at->state == KVA_BUSY && at->begins ? KVA_OK : statuses[at->state];
}

static void try_split(struct world *world, unsigned unit)
{
    enum kva_status want = status_at(world, unit);

    if (want == KVA_EINTERIOR) {
        world->now[unit].begins = true;
        want = KVA_OK;
    }
    expect_status(world, "kva_split", unit, 0, kva_split(&world->space, address_of(world, unit)), want);
}

static void try_join(struct world *world, unsigned unit)
{
    enum kva_status want = status_at(world, unit);
    unsigned next = end_of(world->layout, unit) + 1;

    if (want == KVA_OK && (next >= UNITS || world->layout[next].state != KVA_BUSY))
        want = KVA_ENOENT;
    if (want == KVA_OK)
        make_units(world->now, unit, end_of(world->layout, next), KVA_BUSY, world->now[unit].owner);
    expect_status(world, "kva_join", unit, 0, kva_join(&world->space, address_of(world, unit)), want);
}

static void try_owner(struct world *world, unsigned unit)
{
    enum kva_status want = status_at(world, unit);

    for (unsigned u = unit; want == KVA_OK && u <= end_of(world->layout, unit); u++)
        world->now[u].owner = newcomer;
    expect_status(world, "kva_set_owner", unit, 0,
                  kva_set_owner(&world->space, address_of(world, unit), newcomer), want);
}

static void try_free_sized(struct world *world, unsigned unit, unsigned size)
{
    enum kva_status want = status_at(world, unit);
    unsigned end = end_of(world->layout, unit);

    if (want == KVA_OK && end - unit + 1 != size)
        want = KVA_ESIZE;
    if (want == KVA_OK)
        make_units(world->now, unit, end, KVA_FREE, NULL);
    expect_status(world, "kva_free_sized", unit, size,
                  kva_free_sized(&world->space, address_of(world, unit), odd_bytes_of(world, size)), want);
}

/** Result of a move of the segment of units [from, end] to `to`. */
static enum kva_status status_of_move(struct world *world, unsigned from, unsigned end, unsigned to,
                                      struct kva_segment *conflict)
{
    unsigned to_end = to + (end - from);
    uint64_t span = last_of(world, end) - address_of(world, from);

    if (to_end >= UNITS)
        return span > UINT64_MAX - address_of(world, to) ? KVA_EWRAP : KVA_ERANGE;
    for (unsigned unit = to; unit <= to_end; unit++) {
        if (world->now[unit].state == KVA_BUSY && (unit < from || unit > end)) {
            *conflict = segment_of(world, unit);
            return KVA_EEXIST;
        }
    }
    return KVA_OK;
}

static void try_move(struct world *world, unsigned from, unsigned to)
{
    enum kva_status want = status_at(world, from);
    unsigned end = end_of(world->layout, from);
    const struct kva_segment untouched = {.start = 3, .last = 5};
    struct kva_segment conflict = untouched;
    struct kva_segment expected = untouched;
    void *owner = world->layout[from].owner;

    if (want == KVA_OK && to != from)
        want = status_of_move(world, from, end, to, &expected);
    if (want == KVA_OK && to != from) {
        if (has_state(world->now, to, to + (end - from), KVA_DEFERRED))
            flush_units(world->now);
        make_units(world->now, from, end, KVA_FREE, NULL);
        make_units(world->now, to, to + (end - from), KVA_BUSY, owner);
    }
    enum kva_status status =
        kva_move(&world->space, address_of(world, from), address_of(world, to), &conflict);
    check_that(test_same_segment(&conflict, &expected),
               "kva_move %u %u: a conflict at %#" PRIx64 " expected, at %#" PRIx64 " found", from, to,
               expected.start, conflict.start);
    expect_status(world, "kva_move", from, to, status, want);
}

static void try_all(struct world *world)
{
    for (unsigned from = 0; from < UNITS; from++) {
        for (unsigned size = 1; from + size <= UNITS; size++) {
            try_clear(world, from, size);
            try_over(world, from, size);
        }
        for (unsigned size = 1; size <= UNITS; size++)
            try_free_sized(world, from, size);
        for (unsigned to = 0; to < UNITS; to++)
            try_move(world, from, to);
        try_split(world, from);
        try_join(world, from);
        try_owner(world, from);
    }
}

/* ----------------------------------------------------------------------------------------------- the test */

static void begin_world(struct world *world, const struct kva_engine *engine, uint64_t place)
{
    world->place = test_place(place, UNITS);
    struct kva_config config = {.first = address_of(world, 0),
                                .last = last_of(world, UNITS - 1),
                                .quantum = world->place.quantum,
                                .engine = engine,
                                .memory = kva_failing_memory_init(&world->memory),
                                .deferred_limit = UINT64_MAX,
                                .on_misuse = log_misuse,
                                .hook_context = world,
                                .without_owners = !world->owners};

    assert_int_equal(kva_space_init(&world->space, &config), KVA_OK);
    memset(world->layout, 0, sizeof world->layout);
}

static void end_world(struct world *world)
{
    test_expect_sound(&world->space, address_of(world, 0), last_of(world, UNITS - 1));
    assert_int_equal(kva_space_abandon(&world->space), KVA_OK);
    assert_int_equal(world->memory.blocks, 0);
}

/** Whether layout number n is visited at place p of an engine. */
static bool is_visited(const struct world *world, unsigned n, unsigned engine, uint64_t place)
{
    uint64_t stride = (has_state(world->layout, 0, UNITS - 1, KVA_DEFERRED) ? 31 : 1) * test_stride();

    return n % stride == 0 && (n / stride + engine) % TEST_PLACES == place;
}

static void visit_layouts(struct world *world, unsigned index, uint64_t place)
{
    unsigned n = 0;

    for (unsigned number = 0; number < LAYOUTS; number++) {
        if (!set_layout(world, number) || !is_visited(world, n++, index, place))
            continue;
        restore(world);
        expect_units(world, test_engine_name(index), number, 0);
        try_all(world);
        world->layouts++;
    }
}

static void every_layout(bool owners)
{
    static struct world world;
    const struct kva_engine *engine;

    memset(&world, 0, sizeof world);
    world.owners = owners;
    for_each_engine (engine, index) {
        for (uint64_t place = 0; place < TEST_PLACES; place += owners ? 1 : 7) {
            begin_world(&world, engine, place);
            visit_layouts(&world, (unsigned)index, place);
            end_world(&world);
        }
    }
    print_message("visited %u layouts, %u calls, on all engines together\n", world.layouts, world.calls);
}

static void every_layout_with_owners(void **state)
{
    (void)state;
    every_layout(true);
}

static void some_layouts_without_owners(void **state)
{
    (void)state;
    every_layout(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_with_owners),
        cmocka_unit_test(some_layouts_without_owners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
