/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Spaces made of regions: kva_space_add, kva_space_remove, kva_space_shrink, kva_space_reset, and how every
 * other call treats an absent range.
 *
 * A LAYOUT has a letter for each of 8 units: '.' free, 'b' busy, 'x' not part of the space:
 *
 *      unit   0   1   2   3   4   5   6   7
 *             x   .   b   x   x   .   .   x         the space is [1, 6], and [3, 4] is absent
 *
 * In every layout, every range of units is added and removed, and the space is shrunk to every range. The
 * expected result follows from the letters alone.
 */
#include "../common/harness.h"
#include "../common/lone_thread.h"
#include "../common/other.h"
#include "../common/picture.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/ranges.h>
#include <kva/threads.h>
#include <stdlib.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

#define UNITS 8
#define MOST 64

struct place {
    const char *name;
    uint64_t base; /* the address of unit 0 */
    uint64_t quantum;
};

/** A space and its letters: 'x' not part of it, '.' free, 'b' the first unit of a busy segment, 'B' each
 * further one, 'd' and 'D' the same of a deferred one. */
struct rig {
    const struct place *place;
    unsigned units;
    char letters[MOST + 1];
    struct kva_space space;
    struct kva_failing_memory memory;
    unsigned flushes;
    unsigned misuses;
    struct kva_fault fault;
};

static uint64_t address_of(const struct rig *rig, unsigned unit)
{
    return rig->place->base + unit * rig->place->quantum;
}

static uint64_t last_of_unit(const struct rig *rig, unsigned unit)
{
    return address_of(rig, unit) + (rig->place->quantum - 1);
}

static uint64_t bytes_of(const struct rig *rig, unsigned units)
{
    return units * rig->place->quantum;
}

static void *owner_of(unsigned unit)
{
    return (void *)(uintptr_t)(0x100 + unit);
}

/* ------------------------------------------------------------------------------------------------ letters */

static bool is_of_space(char letter)
{
    return letter != 'x';
}

static enum kva_state state_of(char letter)
{
    switch (letter) {
    case '.':
        return KVA_FREE;
    case 'b':
    case 'B':
        return KVA_BUSY;
    default:
        return KVA_DEFERRED;
    }
}

static unsigned first_unit(const struct rig *rig)
{
    unsigned unit = 0;
    while (!is_of_space(rig->letters[unit]))
        unit++;
    return unit;
}

static unsigned last_unit(const struct rig *rig)
{
    unsigned unit = rig->units - 1;
    while (!is_of_space(rig->letters[unit]))
        unit--;
    return unit;
}

/** The last unit of the segment that begins at a unit of the space. */
static unsigned end_of(const struct rig *rig, unsigned unit)
{
    char more = rig->letters[unit] == '.' ? '.' : rig->letters[unit] == 'b' ? 'B' : 'D';

    while (unit + 1 < rig->units && rig->letters[unit + 1] == more)
        unit++;
    return unit;
}

static void expect_segment(const struct rig *rig, const struct kva_segment *segment, unsigned unit,
                           unsigned end)
{
    enum kva_state state = state_of(rig->letters[unit]);

    check_that(segment->start == address_of(rig, unit) && segment->last == last_of_unit(rig, end) &&
                   segment->state == state && segment->owner == (state == KVA_FREE ? NULL : owner_of(unit)),
               "%s, %s: the segment of unit %u differs from the letters", rig->letters, rig->place->name,
               unit);
}

/** The walk, kva_find at each unit and next to them, the statistics, the checks. */
static void expect_letters(const struct rig *rig)
{
    struct kva_stats stats, wanted = {0};
    struct kva_segment walked, found;
    struct kva_fault fault = {0};
    enum kva_status status = kva_first(&rig->space, &walked);

    for (unsigned unit = 0; unit < rig->units; unit++) {
        memset(&found, 0x5a, sizeof(found));
        struct kva_segment before = found;
        if (!is_of_space(rig->letters[unit])) {
            assert_int_equal(kva_find(&rig->space, address_of(rig, unit), &found), KVA_ENOENT);
            assert_memory_equal(&found, &before, sizeof(found));
            continue;
        }
        unsigned end = end_of(rig, unit);
        assert_int_equal(status, KVA_OK);
        expect_segment(rig, &walked, unit, end);
        status = kva_next(&rig->space, &walked);
        for (unsigned u = unit; u <= end; u++) {
            assert_int_equal(kva_find(&rig->space, last_of_unit(rig, u), &found), KVA_OK);
            expect_segment(rig, &found, unit, end);
        }
        uint64_t bytes = bytes_of(rig, end - unit + 1);
        enum kva_state state = state_of(rig->letters[unit]);
        *(state == KVA_FREE   ? &wanted.free_bytes
          : state == KVA_BUSY ? &wanted.busy_bytes
                              : &wanted.deferred_bytes) += bytes;
        *(state == KVA_FREE   ? &wanted.free_segments
          : state == KVA_BUSY ? &wanted.busy_segments
                              : &wanted.deferred_segments) += 1;
        if (state == KVA_FREE && bytes > wanted.largest_free)
            wanted.largest_free = bytes;
        unit = end;
    }
    assert_int_equal(status, KVA_ENOENT);
    assert_int_equal(kva_stats_read(&rig->space, &stats), KVA_OK);
    wanted.pooled_bytes = stats.pooled_bytes;
    wanted.pooled_segments = stats.pooled_segments;
    wanted.flushes = stats.flushes;
    check_that(test_same_stats(&stats, &wanted), "%s, %s: the statistics differ from the letters",
               rig->letters, rig->place->name);
    status = kva_space_check(&rig->space, &fault);
    check_that(status == KVA_OK, "%s, %s: the check reports %s", rig->letters, rig->place->name, fault.what);
}

/* ---------------------------------------------------------------------------------------------- the space */

static void count_flush(void *context, uint64_t start, uint64_t last)
{
    struct rig *rig = context;
    (void)start;
    (void)last;
    rig->flushes++;
}

static void log_misuse(void *context, const struct kva_fault *fault)
{
    struct rig *rig = context;
    rig->misuses++;
    rig->fault = *fault;
}

static struct kva_config config_of(struct rig *rig, const struct kva_engine *engine, unsigned first,
                                   unsigned last)
{
    return (struct kva_config){
        .first = address_of(rig, first),
        .last = last_of_unit(rig, last),
        .quantum = rig->place->quantum,
        .engine = engine,
        .memory = kva_failing_memory_init(&rig->memory),
        .flush = count_flush,
        .flush_context = rig,
        .on_misuse = log_misuse,
        .hook_context = rig,
    };
}

/** A space with these letters, made by removing the absent ranges. */
static void set_up(struct rig *rig, const struct kva_engine *engine, const struct place *place,
                   const char *letters)
{
    memset(rig, 0, sizeof(*rig));
    rig->place = place;
    rig->units = (unsigned)strlen(letters);
    memcpy(rig->letters, letters, rig->units);
    const struct kva_config config = config_of(rig, engine, first_unit(rig), last_unit(rig));
    assert_int_equal(kva_space_init(&rig->space, &config), KVA_OK);
    for (unsigned unit = first_unit(rig); unit <= last_unit(rig); unit++) {
        uint64_t start = address_of(rig, unit);
        if (rig->letters[unit] == 'x') {
            assert_int_equal(kva_space_remove(&rig->space, start, bytes_of(rig, 1)), KVA_OK);
        } else if (rig->letters[unit] != '.') {
            unsigned end = end_of(rig, unit);
            assert_int_equal(
                kva_reserve(&rig->space, start, bytes_of(rig, end - unit + 1), owner_of(unit), NULL), KVA_OK);
            if (rig->letters[unit] == 'd')
                assert_int_equal(kva_free_deferred(&rig->space, start), KVA_OK);
            unit = end;
        }
    }
}

static void tear_down(struct rig *rig)
{
    assert_int_equal(kva_space_abandon(&rig->space), KVA_OK);
    assert_int_equal(rig->memory.blocks, 0);
}

static void paint(struct rig *rig, unsigned from, unsigned to, char letter)
{
    for (unsigned unit = from; unit <= to; unit++)
        rig->letters[unit] = letter;
}

/** The letters after a flush. */
static void flush_letters(struct rig *rig)
{
    for (unsigned unit = 0; unit < rig->units; unit++) {
        if (rig->letters[unit] == 'd' || rig->letters[unit] == 'D')
            rig->letters[unit] = '.';
    }
}

static bool any_of(const struct rig *rig, unsigned from, unsigned to, const char *which)
{
    for (unsigned unit = from; unit <= to; unit++) {
        if (strchr(which, rig->letters[unit]) != NULL)
            return true;
    }
    return false;
}

/* ------------------------------------------------------------------------------ calls against the letters */

static enum kva_status add(struct rig *rig, unsigned from, unsigned to)
{
    enum kva_status wanted = any_of(rig, from, to, ".bBdD") ? KVA_EEXIST : KVA_OK;
    enum kva_status status = kva_space_add(&rig->space, address_of(rig, from), bytes_of(rig, to - from + 1));

    check_that(status == wanted, "%s: add [%u, %u]: %s expected, %s returned", rig->letters, from, to,
               kva_status_name(wanted), kva_status_name(status));
    if (status == KVA_OK)
        paint(rig, from, to, '.');
    return status;
}

/** Deferred segments alone cause a flush; a busy segment prevents it. */
static enum kva_status remove_range(struct rig *rig, unsigned from, unsigned to)
{
    bool is_all = first_unit(rig) >= from && last_unit(rig) <= to;
    enum kva_status wanted = any_of(rig, from, to, "x")              ? KVA_ERANGE
                             : any_of(rig, from, to, "bB") || is_all ? KVA_EBUSY
                                                                     : KVA_OK;
    unsigned flushes = rig->flushes;
    bool deferred = wanted != KVA_ERANGE && !any_of(rig, from, to, "bB") && any_of(rig, from, to, "dD");
    enum kva_status status =
        kva_space_remove(&rig->space, address_of(rig, from), bytes_of(rig, to - from + 1));

    check_that(status == wanted, "%s: remove [%u, %u]: %s expected, %s returned", rig->letters, from, to,
               kva_status_name(wanted), kva_status_name(status));
    assert_int_equal(rig->flushes, flushes + deferred);
    if (deferred)
        flush_letters(rig);
    if (status == KVA_OK)
        paint(rig, from, to, 'x');
    return status;
}

static enum kva_status shrink(struct rig *rig, unsigned from, unsigned to)
{
    unsigned first = first_unit(rig), last = last_unit(rig);
    unsigned nearest_first = from, nearest_last = to;
    bool outside = from < first || to > last;
    bool nothing = !any_of(rig, from, to, ".bBdD");

    while (!nothing && rig->letters[nearest_first] == 'x')
        nearest_first++;
    while (!nothing && rig->letters[nearest_last] == 'x')
        nearest_last--;
    char below[MOST + 1] = "", above[MOST + 1] = "";
    if (!outside && !nothing) {
        memcpy(below, rig->letters + first, nearest_first - first);
        memcpy(above, rig->letters + nearest_last + 1, last - nearest_last);
    }
    bool busy = strpbrk(below, "bB") != NULL || strpbrk(above, "bB") != NULL;
    bool deferred =
        !outside && !nothing && !busy && (strpbrk(below, "dD") != NULL || strpbrk(above, "dD") != NULL);
    enum kva_status wanted = outside ? KVA_ERANGE : nothing || busy ? KVA_EBUSY : KVA_OK;
    unsigned flushes = rig->flushes;
    enum kva_status status = kva_space_shrink(&rig->space, address_of(rig, from), last_of_unit(rig, to));

    check_that(status == wanted, "%s: shrink [%u, %u]: %s expected, %s returned", rig->letters, from, to,
               kva_status_name(wanted), kva_status_name(status));
    assert_int_equal(rig->flushes, flushes + deferred);
    if (deferred)
        flush_letters(rig);
    if (status == KVA_OK) {
        for (unsigned unit = 0; unit < rig->units; unit++) {
            if (unit < from || unit > to)
                rig->letters[unit] = 'x';
        }
    }
    return status;
}

/* ------------------------------------------------------------------------------- every layout, every call */

/** Layout `number` in base 3, with one busy segment per unit or per run; false if no unit is in the space. */
static bool letters_of(unsigned number, bool per_unit, char *letters)
{
    bool any = false;

    for (unsigned unit = 0; unit < UNITS; unit++, number /= 3) {
        letters[unit] = "x.b"[number % 3];
        if (letters[unit] == 'b' && !per_unit && unit > 0 &&
            (letters[unit - 1] == 'b' || letters[unit - 1] == 'B'))
            letters[unit] = 'B';
        any = any || letters[unit] != 'x';
    }
    letters[UNITS] = '\0';
    return any;
}

/** Add or remove every range, and undo it. */
static void add_and_remove_all(struct rig *rig)
{
    for (unsigned from = 0; from < UNITS; from++) {
        for (unsigned to = from; to < UNITS; to++) {
            if (add(rig, from, to) == KVA_OK) {
                expect_letters(rig);
                assert_int_equal(remove_range(rig, from, to), KVA_OK);
            } else if (remove_range(rig, from, to) == KVA_OK) {
                expect_letters(rig);
                assert_int_equal(add(rig, from, to), KVA_OK);
            }
            expect_letters(rig);
        }
    }
}

static void shrink_to_all(const struct kva_engine *engine, const struct place *place, const char *letters)
{
    static struct rig rig;

    for (unsigned from = 0; from < UNITS; from++) {
        for (unsigned to = from; to < UNITS; to++) {
            set_up(&rig, engine, place, letters);
            uint64_t takes = rig.memory.takes;
            (void)shrink(&rig, from, to);
            assert_int_equal(rig.memory.takes, takes);
            expect_letters(&rig);
            tear_down(&rig);
        }
    }
}

#define QUANTUM_60 (UINT64_C(1) << 60)

static void every_layout_every_range(void **state)
{
    static const struct place places[] = {
        {"at 0", 0, 1},
        {"at the top", UINT64_MAX - 7, 1},
        {"pages", 0x7000, 0x1000},
        {"half of all addresses", 0, QUANTUM_60},
        {"the upper half", UINT64_C(1) << 63, QUANTUM_60},
    };
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        unsigned step = 2 * (unsigned)test_stride(); /* each engine has half of them */
        for (unsigned number = (unsigned)e % step; number < 6561; number += step) { /* 3 to the 8th */
            static struct rig rig;
            char letters[UNITS + 1];
            const struct place *place = &places[number / step % 5];
            if (!letters_of(number, number / step % 2 == 0, letters))
                continue;
            set_up(&rig, engine, place, letters);
            expect_letters(&rig);
            add_and_remove_all(&rig);
            tear_down(&rig);
            shrink_to_all(engine, place, letters);
        }
    }
}

/* ------------------------------------------------------------------------------------------- random calls */

static const struct place pages = {"pages", 0x100000, 0x1000};

/** The lowest run of free units, for a request of any alignment; MOST: none. */
static unsigned lowest_fit(const struct rig *rig, unsigned count)
{
    for (unsigned unit = 0; unit + count <= rig->units; unit++) {
        unsigned end = unit;
        while (end < unit + count && rig->letters[end] == '.')
            end++;
        if (end == unit + count)
            return unit;
    }
    return MOST;
}

static void allocate(struct rig *rig, unsigned count)
{
    struct kva_request request = kva_request_of(bytes_of(rig, count));
    unsigned unit = lowest_fit(rig, count);
    uint64_t start = 0;

    if (unit == MOST && any_of(rig, 0, rig->units - 1, "d")) {
        flush_letters(rig);
        unit = lowest_fit(rig, count);
    }
    request.owner = owner_of(unit);
    enum kva_status status = kva_alloc(&rig->space, &request, &start);
    check_that(status == (unit == MOST ? KVA_ENOSPC : KVA_OK), "%s: %u units: %s expected, %s returned",
               rig->letters, count, unit == MOST ? "KVA_ENOSPC" : "KVA_OK", kva_status_name(status));
    if (status != KVA_OK)
        return;
    assert_int_equal(start, address_of(rig, unit));
    paint(rig, unit, unit + count - 1, 'B');
    rig->letters[unit] = 'b';
}

static void give(struct rig *rig, unsigned unit, bool deferred)
{
    char letter = rig->letters[unit];
    enum kva_status wanted = letter == 'x'                    ? KVA_EUNKNOWN
                             : letter == '.'                  ? KVA_EDOUBLE
                             : letter == 'd' || letter == 'D' ? KVA_EDEFERRED
                             : letter == 'B'                  ? KVA_EINTERIOR
                                                              : KVA_OK;
    enum kva_status status = deferred ? kva_free_deferred(&rig->space, address_of(rig, unit))
                                      : kva_free(&rig->space, address_of(rig, unit));

    assert_int_equal(status, wanted);
    if (status != KVA_OK)
        return;
    unsigned end = end_of(rig, unit);
    paint(rig, unit, end, deferred ? 'D' : '.');
    if (deferred)
        rig->letters[unit] = 'd';
}

static void reset(struct rig *rig)
{
    unsigned flushes = rig->flushes;
    bool deferred = any_of(rig, 0, rig->units - 1, "d");
    uint64_t takes = rig->memory.takes;

    assert_int_equal(kva_space_reset(&rig->space), KVA_OK);
    assert_int_equal(rig->memory.takes, takes);
    assert_int_equal(rig->flushes, flushes + deferred);
    for (unsigned unit = 0; unit < rig->units; unit++)
        rig->letters[unit] = rig->letters[unit] == 'x' ? 'x' : '.';
}

static void live_one_step(struct rig *rig, struct test_rng *rng)
{
    unsigned from = (unsigned)test_below(rng, rig->units);
    unsigned to = from + (unsigned)test_below(rng, test_one_in(rng, 4) ? rig->units - from : 4);
    to = to < rig->units ? to : rig->units - 1;

    switch (test_below(rng, 40)) {
    case 0:
        reset(rig);
        break;
    case 1:
        (void)shrink(rig, from, to);
        break;
    case 2:
        assert_int_equal(kva_flush(&rig->space), KVA_OK);
        flush_letters(rig);
        break;
    case 3: { /* grow over ranges outside the ends */
        unsigned first = (unsigned)test_below(rng, first_unit(rig) + 1);
        unsigned last = last_unit(rig);
        assert_int_equal(kva_space_grow(&rig->space, address_of(rig, first), last_of_unit(rig, last)),
                         KVA_OK);
        if (first < first_unit(rig))
            paint(rig, first, first_unit(rig) - 1, '.');
        break;
    }
    default:
        switch (test_below(rng, 6)) {
        case 0:
            (void)add(rig, from, to);
            break;
        case 1:
            (void)remove_range(rig, from, to);
            break;
        case 2:
            give(rig, from, test_one_in(rng, 3));
            break;
        case 3:
            give(rig, from, false);
            break;
        default:
            allocate(rig, 1 + (unsigned)test_below(rng, 4));
            break;
        }
    }
}

static void regions_come_and_go_among_allocations(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        struct test_rng rng = test_rng_of(e);
        unsigned steps = (unsigned)test_scaled(6000);

        set_up(&rig, engine, &pages, "xxxxxxxxxxxxxxxxxxxxxxxxxxxx........xxxxxxxxxxxxxxxxxxxxxxxxxxxx");
        for (unsigned i = 0; i < steps; i++) {
            live_one_step(&rig, &rng);
            expect_letters(&rig);
        }
        tear_down(&rig);
    }
}

/** An arena that receives one region after the other. */
static void an_arena_grows_by_regions(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;

        set_up(&rig, engine, &pages, "xxxx....xxxxxxxx");
        allocate(&rig, 3);
        allocate(&rig, 2); /* no room */
        assert_int_equal(add(&rig, 10, 12), KVA_OK);
        allocate(&rig, 2); /* not over the absent range, although 7 and 10 are free */
        assert_int_equal(rig.letters[10], 'b');
        assert_int_equal(add(&rig, 0, 1), KVA_OK);
        assert_int_equal(add(&rig, 9, 9), KVA_OK);
        assert_int_equal(add(&rig, 8, 8), KVA_OK); /* the last absent unit there */
        assert_int_equal(rig.letters[9], '.');
        allocate(&rig, 3); /* 7, 8, 9 */
        assert_int_equal(rig.letters[7], 'b');
        expect_letters(&rig);
        assert_int_equal(remove_range(&rig, 0, 1), KVA_OK); /* [2, 3], which was absent, goes with it */
        assert_int_equal(first_unit(&rig), 4);
        expect_letters(&rig);
        reset(&rig);
        expect_letters(&rig);
        assert_int_equal(kva_space_fini(&rig.space), KVA_OK);
        assert_int_equal(rig.memory.blocks, 0);
    }
}

/* -------------------------------------------------------------------------- calls that meet absent ranges */

static void expect_misuse(struct rig *rig, enum kva_status status, enum kva_status wanted, const char *where,
                          const char *field)
{
    check_that(status == wanted, "%s: %s expected, %s returned", where, kva_status_name(wanted),
               kva_status_name(status));
    assert_int_equal(rig->misuses, 1);
    assert_int_equal(rig->fault.status, wanted);
    assert_string_equal(rig->fault.where, where);
    if (field == NULL)
        assert_null(rig->fault.field);
    else
        assert_string_equal(rig->fault.field, field);
    rig->misuses = 0;
}

static void calls_treat_absent_ranges_as_outside(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        struct kva_segment segment;
        uint64_t start = 77;

        set_up(&rig, engine, &pages, ".bBxxx.bx..d");
        struct kva_space *space = &rig.space;
        uint64_t page = bytes_of(&rig, 1);
        uint64_t absent = address_of(&rig, 3);

        expect_misuse(&rig, kva_free(space, absent), KVA_EUNKNOWN, "kva_free", NULL);
        expect_misuse(&rig, kva_free(space, absent + page), KVA_EUNKNOWN, "kva_free", NULL);
        expect_misuse(&rig, kva_free_deferred(space, absent), KVA_EUNKNOWN, "kva_free_deferred", NULL);
        expect_misuse(&rig, kva_free_range(space, absent, page), KVA_EUNKNOWN, "kva_free_range", NULL);
        expect_misuse(&rig, kva_free_range(space, absent - page, 2 * page), KVA_ERANGE, "kva_free_range",
                      "size");
        expect_misuse(&rig, kva_resize(space, absent, page), KVA_EUNKNOWN, "kva_resize", NULL);
        assert_int_equal(kva_resize(space, address_of(&rig, 1), 3 * page), KVA_ENOSPC);
        assert_int_equal(kva_resize(space, address_of(&rig, 7), 2 * page), KVA_ENOSPC);
        expect_misuse(&rig, kva_reserve(space, absent, page, NULL, &segment), KVA_ERANGE, "kva_reserve",
                      "start");
        expect_misuse(&rig, kva_reserve(space, absent + 2 * page, 2 * page, NULL, &segment), KVA_ERANGE,
                      "kva_reserve", "start");
        expect_misuse(&rig, kva_reserve(space, address_of(&rig, 6), 3 * page, NULL, &segment), KVA_ERANGE,
                      "kva_reserve", "size"); /* although [7] is busy */
        expect_misuse(&rig, kva_reserve(space, address_of(&rig, 0), 12 * page, NULL, &segment), KVA_ERANGE,
                      "kva_reserve", "size");
        expect_misuse(&rig, kva_space_remove(space, absent, page), KVA_ERANGE, "kva_space_remove", "start");
        expect_misuse(&rig, kva_space_remove(space, absent - page, 2 * page), KVA_ERANGE, "kva_space_remove",
                      "size");
        assert_int_equal(rig.flushes, 0);
        assert_int_equal(kva_space_add(space, absent - page, 2 * page), KVA_EEXIST);
        assert_int_equal(kva_space_add(space, absent + 2 * page, 2 * page), KVA_EEXIST);
        expect_letters(&rig);

        struct kva_request request = kva_request_of(page);
        request.min = absent;
        request.max = absent + 3 * page - 1;
        assert_int_equal(kva_alloc(space, &request, &start), KVA_ENOSPC);
        assert_int_equal(start, 77);
        request = kva_request_of(0);
        const struct kva_part parts[] = {{0, page}, {3 * page, page}};
        assert_int_equal(kva_alloc_congruent(space, &request, parts, 2, &start), KVA_OK);
        assert_int_equal(start,
                         address_of(&rig, 6)); /* from 0, the second part would lie in an absent range */
        tear_down(&rig);
    }
}

static void count_lines(void *context, const char *text, size_t length)
{
    unsigned *lines = context;
    (void)length;
    assert_null(strstr(text, "absent"));
    ++*lines;
}

static void dumps_and_walks_skip_absent_ranges(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        struct kva_segment segment;
        unsigned lines = 0;

        set_up(&rig, engine, &pages, "xx.bx.xb");
        assert_int_equal(kva_space_dump(&rig.space, count_lines, &lines), KVA_OK);
        assert_int_equal(lines, 4);
        /* a walk that began before the space's lower end was removed */
        assert_int_equal(kva_first(&rig.space, &segment), KVA_OK);
        assert_int_equal(segment.start, address_of(&rig, 2));
        assert_int_equal(kva_free(&rig.space, address_of(&rig, 3)), KVA_OK);
        assert_int_equal(kva_space_remove(&rig.space, address_of(&rig, 2), 0x2000), KVA_OK);
        assert_int_equal(kva_next(&rig.space, &segment), KVA_OK);
        assert_int_equal(segment.start, address_of(&rig, 5));
        assert_int_equal(kva_next(&rig.space, &segment), KVA_OK);
        assert_int_equal(segment.start, address_of(&rig, 7));
        assert_int_equal(kva_next(&rig.space, &segment), KVA_ENOENT);
        tear_down(&rig);
    }
}

static void a_space_with_absent_ranges_ends(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;

        set_up(&rig, engine, &pages, ".x.xd");
        assert_int_equal(kva_space_fini(&rig.space), KVA_OK);
        assert_int_equal(rig.flushes, 1);
        assert_int_equal(rig.memory.blocks, 0);
        set_up(&rig, engine, &pages, ".x.xb");
        assert_int_equal(kva_space_fini(&rig.space), KVA_EBUSY);
        tear_down(&rig);
    }
}

/* ---------------------------------------------------------------------------------- statuses of bad input */

static void bad_input_is_refused(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        struct kva_space nothing = {0};
        struct test_picture before = {0};

        set_up(&rig, engine, &pages, "..x.b.");
        struct kva_space *space = &rig.space;
        uint64_t first = address_of(&rig, 0), last = last_of_unit(&rig, 5);
        test_picture_take(&before, space);

        assert_int_equal(kva_space_add(NULL, 0, 1), KVA_ENULL);
        assert_int_equal(kva_space_remove(NULL, 0, 1), KVA_ENULL);
        assert_int_equal(kva_space_shrink(NULL, 0, 1), KVA_ENULL);
        assert_int_equal(kva_space_reset(NULL), KVA_ENULL);
        assert_int_equal(kva_space_add(&nothing, 0, 1), KVA_ENULL);
        assert_int_equal(kva_space_remove(&nothing, 0, 1), KVA_ENULL);
        assert_int_equal(kva_space_shrink(&nothing, 0, 1), KVA_ENULL);
        assert_int_equal(kva_space_reset(&nothing), KVA_ENULL);
        assert_int_equal(rig.misuses, 0);

        static const struct {
            uint64_t start, size;
            enum kva_status status;
            const char *field;
        } cases[] = {
            {0x100000, 0, KVA_ESIZE, "size"},          {0x102001, 0x1000, KVA_EALIGN, "start"},
            {0x102800, 0, KVA_ESIZE, "size"},          {UINT64_MAX - 0xfff, 0x1001, KVA_EWRAP, "size"},
            {0x102000, UINT64_MAX, KVA_EWRAP, "size"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            expect_misuse(&rig, kva_space_add(space, cases[i].start, cases[i].size), cases[i].status,
                          "kva_space_add", cases[i].field);
            expect_misuse(&rig, kva_space_remove(space, cases[i].start, cases[i].size), cases[i].status,
                          "kva_space_remove", cases[i].field);
            assert_int_equal(rig.fault.address, cases[i].start);
        }
        expect_misuse(&rig, kva_space_remove(space, first - 0x1000, 0x2000), KVA_ERANGE, "kva_space_remove",
                      "start");
        expect_misuse(&rig, kva_space_remove(space, last - 0xfff, 0x2000), KVA_ERANGE, "kva_space_remove",
                      "size");
        expect_misuse(&rig, kva_space_remove(space, last + 1, 0x1000), KVA_ERANGE, "kva_space_remove",
                      "start");
        assert_int_equal(kva_space_add(space, first - 0x1000, 0x2000), KVA_EEXIST);
        assert_int_equal(kva_space_add(space, last - 0xfff, 0x2000), KVA_EEXIST);
        assert_int_equal(kva_space_add(space, first - 0x1000, 0x10000), KVA_EEXIST);

        expect_misuse(&rig, kva_space_shrink(space, first + 1, last), KVA_EALIGN, "kva_space_shrink",
                      "first");
        expect_misuse(&rig, kva_space_shrink(space, first, last - 1), KVA_EALIGN, "kva_space_shrink", "last");
        expect_misuse(&rig, kva_space_shrink(space, first - 0x1000, last), KVA_ERANGE, "kva_space_shrink",
                      "first");
        expect_misuse(&rig, kva_space_shrink(space, first, last + 0x1000), KVA_ERANGE, "kva_space_shrink",
                      "last");
        expect_misuse(&rig, kva_space_shrink(space, first + 0x2000, first + 0xfff), KVA_ERANGE,
                      "kva_space_shrink", "last");
        assert_int_equal(kva_space_shrink(space, first + 0x2000, first + 0x2fff), KVA_EBUSY); /* absent */
        assert_int_equal(kva_space_shrink(space, first, last), KVA_OK); /* nothing changes */
        assert_int_equal(rig.misuses, 0);
        test_expect_same(&before, space, "bad input");
        test_picture_drop(&before);
        tear_down(&rig);
    }
}

/** The calls inside the callbacks. */
static void change_in_flush(void *context, uint64_t start, uint64_t last)
{
    struct rig *rig = context;
    (void)start;
    (void)last;
    rig->flushes++;
    expect_misuse(rig, kva_space_add(&rig->space, address_of(rig, 2), 0x1000), KVA_EREENTRY, "kva_space_add",
                  NULL);
    expect_misuse(rig, kva_space_remove(&rig->space, address_of(rig, 0), 0x1000), KVA_EREENTRY,
                  "kva_space_remove", NULL);
    expect_misuse(rig, kva_space_shrink(&rig->space, address_of(rig, 1), last_of_unit(rig, 3)), KVA_EREENTRY,
                  "kva_space_shrink", NULL);
    expect_misuse(rig, kva_space_reset(&rig->space), KVA_EREENTRY, "kva_space_reset", NULL);
}

static bool add_in_reclaim(void *context, struct kva_space *space, const struct kva_request *request)
{
    struct rig *rig = context;
    (void)request;
    expect_misuse(rig, kva_space_reset(space), KVA_EREENTRY, "kva_space_reset", NULL);
    return add(rig, 8, 11) == KVA_OK;
}

static void callbacks_may_add_but_not_reset(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        struct kva_reclaim reclaim = {.callback = add_in_reclaim, .context = &rig};

        set_up(&rig, engine, &pages, "..x.xxxxxxxx");
        assert_int_equal(kva_reclaim_add(&rig.space, &reclaim), KVA_OK);
        struct kva_request request = kva_request_of(bytes_of(&rig, 4));
        uint64_t start = 0;
        assert_int_equal(kva_alloc(&rig.space, &request, &start), KVA_OK);
        assert_int_equal(start, address_of(&rig, 8));
        rig.space.flush = change_in_flush;
        assert_int_equal(kva_free_deferred(&rig.space, start), KVA_OK);
        assert_int_equal(kva_space_reset(&rig.space), KVA_OK);
        assert_int_equal(rig.flushes, 1);
        assert_int_equal(kva_reclaim_remove(&rig.space, &reclaim), KVA_OK); /* a reset leaves it registered */
        expect_letters(&rig);
        tear_down(&rig);
    }
}

/* ------------------------------------------------------------------------------------------ all addresses */

static void all_addresses_but_a_few(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        static const struct place bytes = {"bytes", 0, 1};
        struct kva_stats stats;
        uint64_t start = 0;

        memset(&rig, 0, sizeof(rig));
        rig.place = &bytes;
        struct kva_config config = config_of(&rig, engine, 0, 0);
        config.last = UINT64_MAX;
        assert_int_equal(kva_space_init(&rig.space, &config), KVA_OK);
        struct kva_space *space = &rig.space;
        assert_int_equal(kva_space_remove(space, 0, UINT64_MAX), KVA_OK); /* all but one */
        assert_int_equal(kva_stats_read(space, &stats), KVA_OK);
        assert_int_equal(stats.free_bytes, 1);
        assert_int_equal(kva_space_remove(space, UINT64_MAX, 1), KVA_EBUSY);
        assert_int_equal(kva_space_add(space, 0, 1), KVA_OK);
        assert_int_equal(kva_stats_read(space, &stats), KVA_OK);
        assert_int_equal(stats.free_bytes, 2);
        assert_int_equal(stats.largest_free, 1);
        struct kva_request request = kva_request_of(2);
        assert_int_equal(kva_alloc(space, &request, &start), KVA_ENOSPC);
        assert_int_equal(kva_space_add(space, 1, UINT64_MAX - 1), KVA_OK); /* everything absent */
        assert_int_equal(kva_stats_read(space, &stats), KVA_OK);
        assert_int_equal(stats.free_bytes, UINT64_MAX); /* 2^64 */
        assert_int_equal(stats.free_segments, 1);
        assert_int_equal(kva_space_remove(space, UINT64_C(1) << 63, 1), KVA_OK);
        assert_int_equal(kva_space_shrink(space, UINT64_C(1) << 63, UINT64_MAX), KVA_OK);
        struct kva_segment segment;
        assert_int_equal(kva_first(space, &segment), KVA_OK);
        assert_int_equal(segment.start, (UINT64_C(1) << 63) + 1);
        assert_int_equal(segment.last, UINT64_MAX);
        assert_int_equal(kva_next(space, &segment), KVA_ENOENT);
        assert_int_equal(kva_space_check(space, NULL), KVA_OK);
        assert_int_equal(kva_space_fini(space), KVA_OK);
        assert_int_equal(rig.memory.blocks, 0);
    }
}

/* ------------------------------------------------------------------------------------------------- memory */

/** A call that is refused memory changes nothing, and succeeds once there is memory. */
static void with_little_memory(struct rig *rig, bool adds, unsigned from, unsigned to, unsigned *refusals)
{
    struct test_picture before = {0};
    uint64_t start = address_of(rig, from), size = bytes_of(rig, to - from + 1);

    for (uint64_t n = 1;; n++) {
        test_picture_take(&before, &rig->space);
        kva_failing_memory_fail(&rig->memory, n, n % 2 == 1);
        enum kva_status status =
            adds ? kva_space_add(&rig->space, start, size) : kva_space_remove(&rig->space, start, size);
        kva_failing_memory_fail(&rig->memory, 0, false);
        if (status == KVA_OK)
            break;
        assert_int_equal(status, KVA_ENOMEM);
        ++*refusals;
        test_expect_untouched(&before, &rig->space, "no memory");
        assert_int_equal(kva_space_check(&rig->space, NULL), KVA_OK);
        test_picture_drop(&before);
    }
    test_picture_drop(&before);
}

static void without_memory_calls_change_nothing(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        static const struct place small = {"small", 0x100000, 0x10};
        unsigned step = test_is_brief() ? 10 : 5;
        unsigned refusals = 0;

        memset(&rig, 0, sizeof(rig));
        rig.place = &small;
        struct kva_config config = config_of(&rig, engine, 0, 4095);
        assert_int_equal(kva_space_init(&rig.space, &config), KVA_OK);
        for (unsigned unit = 1; unit + 4 < 1500; unit += step) {
            with_little_memory(&rig, false, unit, unit, &refusals);         /* in the middle */
            with_little_memory(&rig, false, unit + 1, unit + 2, &refusals); /* next to an absent one */
            with_little_memory(&rig, true, unit + 1, unit + 1, &refusals);  /* in its middle */
        }
        for (unsigned unit = 4200; unit < 5400; unit += step)
            with_little_memory(&rig, true, unit, unit + 1, &refusals); /* apart from the end */
        struct test_rng rng =
            test_rng_of(e); /* between busy units: at an end of an absent range, or in its middle */
        for (unsigned unit = 1600; unit < 4000; unit += step) {
            unsigned from = unit + 1 + (unsigned)test_below(&rng, 3);
            assert_int_equal(kva_reserve(&rig.space, address_of(&rig, unit), bytes_of(&rig, 1), NULL, NULL),
                             KVA_OK);
            assert_int_equal(
                kva_reserve(&rig.space, address_of(&rig, unit + 4), bytes_of(&rig, 1), NULL, NULL), KVA_OK);
            with_little_memory(&rig, false, unit + 1, unit + 3, &refusals);
            with_little_memory(&rig, true, from, from, &refusals);
        }
        /* The number of refusals depends on how many nodes a block of memory holds; that there is one does
         * not. */
        check_that(refusals > 0, "%s: at least one refusal expected, none found", test_engine_name(e));
        tear_down(&rig);
    }
}

/** Removal at an end, adding back a whole absent range, and a reset take no memory. */
static void calls_that_never_take_memory(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;

        set_up(&rig, engine, &pages, ".b.x..x.bBx.b.x...x..");
        uint64_t takes = rig.memory.takes;
        assert_int_equal(remove_range(&rig, 19, 20), KVA_OK);
        assert_int_equal(last_unit(&rig), 17);
        assert_int_equal(remove_range(&rig, 0, 0), KVA_OK);
        assert_int_equal(add(&rig, 14, 14), KVA_OK);
        reset(&rig);
        assert_int_equal(shrink(&rig, 4, 13), KVA_OK);
        expect_letters(&rig);
        assert_int_equal(rig.memory.takes, takes);
        tear_down(&rig);
    }
}

/* -------------------------------------------------------------------------------------------------- pools */

enum { POOL_UNITS = 1 << 14 };

static void set_up_pools(struct rig *rig, const struct kva_engine *engine)
{
    memset(rig, 0, sizeof(*rig));
    rig->place = &pages;
    struct kva_config config = config_of(rig, engine, 0, POOL_UNITS - 1);
    config.pool_bytes = UINT64_C(1) << 40;
    assert_int_equal(kva_space_init(&rig->space, &config), KVA_OK);
}

static uint64_t free_bytes(const struct rig *rig)
{
    struct kva_stats stats;

    assert_int_equal(kva_stats_read(&rig->space, &stats), KVA_OK);
    return stats.free_bytes;
}

static int compare_addresses(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
    return (one > other) - (one < other);
}

/** Fill magazines and spans, then free most of it; 1 in 16 stays. Returns the number kept; they are
 * sorted. */
static unsigned stir_pools(struct rig *rig, uint64_t *kept)
{
    static uint64_t held[600];
    unsigned count = 0;

    for (unsigned i = 0; i < 600; i++) {
        struct kva_request request = kva_request_of(bytes_of(rig, 1 + i % 7));
        assert_int_equal(kva_alloc(&rig->space, &request, &held[i]), KVA_OK);
    }
    for (unsigned i = 0; i < 600; i++) {
        if (i % 16 == 3)
            kept[count++] = held[i];
        else if (i % 5 == 0)
            assert_int_equal(kva_free_deferred(&rig->space, held[i]), KVA_OK);
        else
            assert_int_equal(kva_free(&rig->space, held[i]), KVA_OK);
    }
    qsort(kept, count, sizeof(kept[0]), compare_addresses);
    return count;
}

static void pools_do_not_block_removal(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        uint64_t kept[64], start;

        set_up_pools(&rig, engine);
        unsigned count = stir_pools(&rig, kept);
        struct kva_space *space = &rig.space;
        /* Everything around the kept objects can be removed, although the pools hold most of it. */
        for (unsigned i = 0; i < count; i++) {
            struct kva_segment segment;
            assert_int_equal(kva_find(space, kept[i], &segment), KVA_OK);
            assert_int_equal(kva_space_remove(space, kept[i], 1), KVA_EBUSY);
            if (i + 1 < count && kept[i + 1] > segment.last + 1)
                assert_int_equal(kva_space_remove(space, segment.last + 1, kept[i + 1] - segment.last - 1),
                                 KVA_OK);
            assert_int_equal(kva_space_check(space, NULL), KVA_OK);
        }
        assert_int_equal(kva_space_shrink(space, kept[0], last_of_unit(&rig, POOL_UNITS - 1)), KVA_OK);
        struct kva_request request = kva_request_of(bytes_of(&rig, 3));
        while (kva_alloc(space, &request, &start) == KVA_OK) { /* no object comes from an absent range */
            struct kva_segment segment;
            assert_int_equal(kva_find(space, start, &segment), KVA_OK);
            assert_true(start > kept[0]);
        }
        assert_int_equal(kva_space_check(space, NULL), KVA_OK);
        tear_down(&rig);
    }
}

/** Take free units upwards, each `step` above the last, until there is no memory for more. */
static uint64_t take_nodes(struct rig *rig, uint64_t start, unsigned step)
{
    enum kva_status status = KVA_OK;
    uint64_t next = start;

    while (status == KVA_OK) {
        status = kva_reserve(&rig->space, next, 1, NULL, NULL);
        next += status == KVA_OK ? bytes_of(rig, step) : 0;
    }
    assert_int_equal(status, KVA_ENOMEM);
    return next;
}

/* When all nodes are in use, pooled objects in the middle of a span cannot return to the address map. Below
 * the spans is a hole: its middle takes most nodes, its end the last ones. */
static void no_memory_to_drain_returns_enomem(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        uint64_t held[256];

        set_up_pools(&rig, engine);
        const struct kva_request request = kva_request_of(bytes_of(&rig, 1));
        for (unsigned i = 0; i < 256; i++)
            assert_int_equal(kva_alloc(&rig.space, &request, &held[i]), KVA_OK);
        qsort(held, 256, sizeof(held[0]), compare_addresses);
        for (unsigned i = 0; i < 256; i++) {
            if (i % 8 != 0)
                assert_int_equal(kva_free(&rig.space, held[i]), KVA_OK);
        }
        uint64_t first = address_of(&rig, 0), last = held[248] + (rig.place->quantum - 1);
        kva_failing_memory_fail(&rig.memory, 1, true);
        uint64_t refused = take_nodes(&rig, first + bytes_of(&rig, 1), 2);
        assert_true(take_nodes(&rig, refused - bytes_of(&rig, 1), 1) < held[0]);
        enum kva_status status = kva_space_shrink(&rig.space, first, last);
        kva_failing_memory_fail(&rig.memory, 0, false);
        check_that(status == KVA_ENOMEM, "%s: KVA_ENOMEM expected, %s returned", test_engine_name(e),
                   kva_status_name(status));
        assert_int_equal(kva_space_check(&rig.space, NULL), KVA_OK);
        assert_int_equal(kva_space_shrink(&rig.space, first, last), KVA_OK);
        tear_down(&rig);
    }
}

static void a_reset_empties_the_pools(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        static struct rig rig;
        uint64_t kept[64];
        struct kva_stats stats;

        set_up_pools(&rig, engine);
        assert_int_equal(kva_space_remove(&rig.space, address_of(&rig, 5000), bytes_of(&rig, 100)), KVA_OK);
        for (unsigned i = 0; i < 3; i++) {
            unsigned count = stir_pools(&rig, kept);
            struct kva_request request = kva_request_of(bytes_of(&rig, 2000)); /* from the address map */
            uint64_t start;
            assert_int_equal(kva_alloc(&rig.space, &request, &start), KVA_OK);
            assert_int_equal(kva_resize(&rig.space, kept[count / 2], bytes_of(&rig, 1)),
                             KVA_OK); /* cut out of a span */
            uint64_t takes = rig.memory.takes;
            kva_failing_memory_fail(&rig.memory, 1, true);
            assert_int_equal(kva_space_reset(&rig.space), KVA_OK);
            kva_failing_memory_fail(&rig.memory, 0, false);
            assert_int_equal(rig.memory.takes, takes);
            assert_int_equal(kva_stats_read(&rig.space, &stats), KVA_OK);
            assert_int_equal(stats.pooled_segments, 0);
            assert_int_equal(stats.busy_segments + stats.deferred_segments, 0);
            assert_int_equal(stats.free_segments, 2);
            assert_int_equal(free_bytes(&rig), bytes_of(&rig, POOL_UNITS - 100));
            assert_int_equal(kva_space_check(&rig.space, NULL), KVA_OK);
        }
        assert_int_equal(kva_space_fini(&rig.space), KVA_OK);
        assert_int_equal(rig.memory.blocks, 0);
    }
}

/* ------------------------------------------------------------------------------- lookups without the lock */

static void lookups_without_the_lock_find_no_absent_range(void **state)
{
    const struct kva_engine *engine;
    (void)state;
    for_each_engine (engine, e) {
        for (unsigned pooled = 0; pooled < 2; pooled++) {
            static struct rig rig;
            struct kva_segment segment, before;
            unsigned cpu = 0;
            struct kva_threads threads = test_lone_thread(&cpu, 1);

            memset(&rig, 0, sizeof(rig));
            rig.place = &pages;
            struct kva_config config = config_of(&rig, engine, 0, POOL_UNITS - 1);
            config.threads = &threads;
            config.pool_bytes = pooled ? UINT64_C(1) << 30 : 0;
            assert_int_equal(kva_space_init(&rig.space, &config), KVA_OK);
            assert_int_equal(kva_space_remove(&rig.space, address_of(&rig, 100), 0x1000), KVA_OK);
            memset(&segment, 0x5a, sizeof(segment));
            before = segment;
            assert_int_equal(kva_find(&rig.space, address_of(&rig, 100), &segment), KVA_ENOENT);
            assert_memory_equal(&segment, &before, sizeof(segment));
            assert_int_equal(kva_find(&rig.space, address_of(&rig, 99), &segment), KVA_OK);
            assert_int_equal(segment.last, last_of_unit(&rig, 99));
            assert_int_equal(kva_space_shrink(&rig.space, address_of(&rig, 100), address_of(&rig, 200) - 1),
                             KVA_OK);
            assert_int_equal(kva_find(&rig.space, address_of(&rig, 99), &segment), KVA_ENOENT);
            assert_int_equal(kva_find(&rig.space, address_of(&rig, 200), &segment), KVA_ENOENT);
            assert_int_equal(kva_find(&rig.space, address_of(&rig, 150), &segment), KVA_OK);
            assert_int_equal(segment.start, address_of(&rig, 101));
            assert_int_equal(segment.last, last_of_unit(&rig, 199));
            tear_down(&rig);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_every_range),
        cmocka_unit_test(regions_come_and_go_among_allocations),
        cmocka_unit_test(an_arena_grows_by_regions),
        cmocka_unit_test(calls_treat_absent_ranges_as_outside),
        cmocka_unit_test(dumps_and_walks_skip_absent_ranges),
        cmocka_unit_test(a_space_with_absent_ranges_ends),
        cmocka_unit_test(bad_input_is_refused),
        cmocka_unit_test(callbacks_may_add_but_not_reset),
        cmocka_unit_test(all_addresses_but_a_few),
        cmocka_unit_test(without_memory_calls_change_nothing),
        cmocka_unit_test(calls_that_never_take_memory),
        cmocka_unit_test(pools_do_not_block_removal),
        cmocka_unit_test(no_memory_to_drain_returns_enomem),
        cmocka_unit_test(a_reset_empties_the_pools),
        cmocka_unit_test(lookups_without_the_lock_find_no_absent_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
