/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Evictions (kva/evict.h) against a model that knows nothing of runs: a letter for each quantum, taken from
 * the listing.
 *
 *      F free (or pooled)    b busy, not fed    c busy, fed: must go if the place overlaps it    d deferred
 *
 *      for instance bFFccFb
 *
 * The first k candidates suffice if a start that satisfies the request lies in a row of F and c that contains
 * the last of them; no fewer may suffice. Each space lies in another place (common/place.h).
 */
#include "../common/harness.h"
#include "../common/picture.h"
#include "../common/place.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/evict.h>
#include <kva/ranges.h>
#include <stdio.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

enum { UNITS_MOST = 64 };

struct fixture {
    uint64_t first;
    uint64_t quantum;
    unsigned units;
    struct kva_space space;
    struct kva_failing_memory memory;
    struct kva_fault fault; /* the last misuse */
    unsigned faults;
    struct test_picture before;
    /* The model. */
    struct kva_segment segments[UNITS_MOST];
    unsigned count;
    bool is_fed[UNITS_MOST]; /* by segment */
    struct kva_eviction eviction;
    struct kva_candidate candidates[UNITS_MOST];
};

static void note_misuse(void *context, const struct kva_fault *fault)
{
    struct fixture *f = context;

    f->fault = *fault;
    f->faults++;
}

static void begin_in(struct fixture *f, const struct kva_engine *engine, struct test_place place,
                     unsigned units, bool pools)
{
    struct kva_config config = {.first = place.first,
                                .last = place.first + (units * place.quantum - 1),
                                .quantum = place.quantum,
                                .engine = engine,
                                .deferred_limit = UINT64_MAX,
                                .pool_bytes = pools ? test_place_bytes(&place, units) : 0,
                                .on_misuse = note_misuse,
                                .hook_context = f};

    memset(f, 0, sizeof(*f));
    f->first = place.first;
    f->quantum = place.quantum;
    f->units = units;
    config.memory = kva_failing_memory_init(&f->memory);
    assert_int_equal(kva_space_init(&f->space, &config), KVA_OK);
}

static void begin(struct fixture *f, const struct kva_engine *engine, unsigned units, bool pools)
{
    static uint64_t next;

    if (next == 0)
        next = test_seed() % TEST_PLACES;
    begin_in(f, engine, test_place(next++, units), units, pools);
}

static void end(struct fixture *f)
{
    test_expect_sound(&f->space, f->first, f->first + (f->units * f->quantum - 1));
    assert_int_equal(kva_space_abandon(&f->space), KVA_OK);
    assert_int_equal(f->memory.blocks, 0);
    test_picture_drop(&f->before);
}

static uint64_t address_of(const struct fixture *f, unsigned unit)
{
    return f->first + unit * f->quantum;
}

static unsigned unit_of(const struct fixture *f, uint64_t address)
{
    return (unsigned)((address - f->first) / f->quantum);
}

static void *owner_of(unsigned number)
{
    return (void *)(uintptr_t)(number + 1);
}

static void reserve(struct fixture *f, unsigned unit, unsigned units, unsigned owner)
{
    assert_int_equal(kva_reserve(&f->space, address_of(f, unit), units * f->quantum, owner_of(owner), NULL),
                     KVA_OK);
}

static void release(struct fixture *f, unsigned unit)
{
    assert_int_equal(kva_free(&f->space, address_of(f, unit)), KVA_OK);
}

/* ---------------------------------------------------------------------------------------------- the model */

static void look(struct fixture *f)
{
    struct kva_segment segment;

    f->count = 0;
    memset(f->is_fed, 0, sizeof(f->is_fed));
    for (enum kva_status s = kva_first(&f->space, &segment); s == KVA_OK; s = kva_next(&f->space, &segment))
        f->segments[f->count++] = segment;
}

static bool would_be_free(const struct fixture *f, unsigned i)
{
    return f->segments[i].state == KVA_FREE || f->segments[i].state == KVA_POOLED || f->is_fed[i];
}

/** The row of F and c around segment i: indices, both included. */
static void row_around(const struct fixture *f, unsigned i, unsigned *from, unsigned *to)
{
    *from = *to = i;
    while (*from > 0 && would_be_free(f, *from - 1))
        --*from;
    while (*to + 1 < f->count && would_be_free(f, *to + 1))
        ++*to;
}

static uint64_t rounded(const struct fixture *f, uint64_t size)
{
    return (size + f->quantum - 1) / f->quantum * f->quantum;
}

/** Whether the shape and the window allow a start; whether it is free does not matter. */
static bool is_allowed(const struct fixture *f, const struct kva_request *request, uint64_t start,
                       bool crossing)
{
    uint64_t span = rounded(f, request->size) - 1;
    uint64_t max = (request->min | request->max) == 0 ? UINT64_MAX : request->max;
    uint64_t stride = request->align > f->quantum ? request->align : f->quantum;

    if (start < request->min || start > max || max - start < span || start % stride != request->phase)
        return false;
    return crossing || request->nocross == 0 || start / request->nocross == (start + span) / request->nocross;
}

/** The start that the 64 random bits denote, as an index of a unit; f->units if there is none. */
static unsigned denoted(const struct fixture *f, const struct kva_request *request)
{
    unsigned starts[UNITS_MOST];
    unsigned count = 0;
    unsigned size = (unsigned)(rounded(f, request->size) / f->quantum);

    for (unsigned unit = 0; unit + size <= f->units; unit++) {
        if (is_allowed(f, request, address_of(f, unit), true))
            starts[count++] = unit;
    }
    if (count == 0)
        return f->units;
    uint64_t low = (request->random & UINT32_MAX) * count;
    return starts[((request->random >> 32) * count + (low >> 32)) >> 32];
}

/** Whether start a is preferred to start b, which is lower. */
static bool is_preferred(const struct fixture *f, const struct kva_request *request, unsigned from,
                         uint64_t a, uint64_t b)
{
    switch (request->policy) {
    case KVA_HIGHEST:
        return true;
    case KVA_NEAREST:
        return (a > request->target ? a - request->target : request->target - a) <
               (b > request->target ? b - request->target : request->target - b);
    case KVA_RANDOM:
        return b < address_of(f, from) && a >= address_of(f, from);
    case KVA_LOWEST:
    case KVA_BEST:
        break;
    }
    return false;
}

/** The start that the policy chooses in the hole [start, last], which the filter has trimmed. */
static bool choose(const struct fixture *f, const struct kva_request *request, uint64_t start, uint64_t last,
                   uint64_t *at)
{
    unsigned from = request->policy == KVA_RANDOM ? denoted(f, request) : 0;
    uint64_t span = rounded(f, request->size) - 1;
    bool found = false;

    for (unsigned unit = unit_of(f, start); unit <= unit_of(f, last); unit++) {
        uint64_t a = address_of(f, unit);
        if (last - a < span || !is_allowed(f, request, a, false))
            continue;
        if (!found || is_preferred(f, request, from, a, *at))
            *at = a;
        found = true;
    }
    return found;
}

/** Call the filter, if there is one, for a hole between two segments (indices; out of range: an end). */
static bool ask(const struct fixture *f, const struct kva_request *request, unsigned from, unsigned to,
                struct kva_hole *hole)
{
    *hole = (struct kva_hole){.start = f->segments[from].start,
                              .last = f->segments[to].last,
                              .before = from > 0 ? &f->segments[from - 1] : NULL,
                              .after = to + 1 < f->count ? &f->segments[to + 1] : NULL};
    return !request->filter || (request->filter(request->filter_context, hole) && hole->start <= hole->last);
}

/** The expected result of kva_evict_add for segment i, just fed, and the place of the request. */
static enum kva_status expected_of(const struct fixture *f, const struct kva_request *request, unsigned i,
                                   uint64_t *at)
{
    struct kva_hole hole;
    unsigned from;
    unsigned to;

    row_around(f, i, &from, &to);
    return ask(f, request, from, to, &hole) && choose(f, request, hole.start, hole.last, at) ? KVA_OK
                                                                                             : KVA_ENOSPC;
}

/** Whether the filter admits [start, last] after a set of segments has gone. */
static bool admitted_without(const struct fixture *f, const struct kva_request *request, const bool *goes,
                             uint64_t start, uint64_t last)
{
    static struct fixture other;
    struct kva_hole hole;
    unsigned from = 0;
    unsigned to;

    memcpy(other.segments, f->segments, sizeof(f->segments));
    memcpy(other.is_fed, goes, sizeof(other.is_fed));
    other.count = f->count;
    while (f->segments[from].last < start)
        from++;
    row_around(&other, from, &from, &to);
    return ask(&other, request, from, to, &hole) && hole.start <= start && last <= hole.last;
}

/* ------------------------------------------------------------------------------------------------ victims */

/** The candidates that overlap the place must go; a filter may require more, but no superfluous ones. */
static unsigned expect_victims(const struct fixture *f, const struct kva_request *request, uint64_t start)
{
    bool goes[UNITS_MOST] = {false};
    bool meets[UNITS_MOST] = {false};
    uint64_t last = start + (rounded(f, request->size) - 1);
    unsigned victims = 0;
    unsigned i = 0;

    for (struct kva_candidate *c = kva_evict_first(&f->eviction); c; c = kva_evict_next(&f->eviction, c)) {
        while (i < f->count && &f->candidates[i] != c)
            i++;
        assert_true(i < f->count && f->is_fed[i]); /* in address order */
        goes[i] = true;
        victims++;
    }
    for (i = 0; i < f->count; i++) {
        meets[i] = f->is_fed[i] && f->segments[i].start <= last && f->segments[i].last >= start;
        assert_true(goes[i] || !meets[i]);
    }
    check_that(admitted_without(f, request, goes, start, last),
               "the filter refuses [%#" PRIx64 ", %#" PRIx64 "], which the eviction has chosen", start, last);
    if (memcmp(goes, meets, sizeof(goes)) != 0)
        assert_false(admitted_without(f, request, meets, start, last));
    return victims;
}

/** After kva_evict_finish: the segments that must go are gone, the range is allocated, the rest is
 * unchanged. */
static void expect_finished(struct fixture *f, const struct kva_request *request, uint64_t start)
{
    uint64_t last = start + (rounded(f, request->size) - 1);
    struct kva_segment segment;

    assert_int_equal(kva_find(&f->space, start, &segment), KVA_OK);
    assert_true(segment.state == KVA_BUSY && segment.start == start && segment.last == last);
    assert_ptr_equal(segment.owner, request->owner);
    for (unsigned i = 0; i < f->count; i++) {
        bool goes = false;
        for (struct kva_candidate *c = kva_evict_first(&f->eviction); c; c = kva_evict_next(&f->eviction, c))
            goes = goes || (c->start == f->segments[i].start && c->last == f->segments[i].last);
        if (f->segments[i].state != KVA_BUSY && f->segments[i].state != KVA_DEFERRED)
            continue;
        assert_int_equal(kva_find(&f->space, f->segments[i].start, &segment), KVA_OK);
        if (!goes)
            assert_true(test_same_segment(&segment, &f->segments[i]));
        else
            assert_true(segment.state == KVA_FREE || segment.start == start);
    }
    test_expect_sound(&f->space, f->first, f->first + (f->units * f->quantum - 1));
}

/** Feed all busy segments in some order until they suffice; compare with the model after each. Returns
 * whether they sufficed. */
static bool feed_in_some_order(struct fixture *f, struct test_rng *rng, const struct kva_request *request,
                               uint64_t *start)
{
    unsigned order[UNITS_MOST];
    unsigned busy = 0;

    look(f);
    for (unsigned i = 0; i < f->count; i++) {
        if (f->segments[i].state == KVA_BUSY)
            order[busy++] = i;
    }
    memset(&f->eviction, 0xa5, sizeof(f->eviction));
    memset(f->candidates, 0xa5, sizeof(f->candidates));
    enum kva_status begun = kva_evict_begin(&f->space, request, &f->eviction);
    check_that(begun == KVA_OK,
               "KVA_OK expected, %s, field %s found: [%#" PRIx64 ", %#" PRIx64 "] quantum %#" PRIx64
               " first %#" PRIx64,
               kva_status_name(begun), f->fault.field, request->min, request->max, f->quantum, f->first);
    for (; busy > 0; busy--) {
        unsigned pick = (unsigned)test_below(rng, busy);
        unsigned i = order[pick];
        order[pick] = order[busy - 1];
        f->is_fed[i] = true;
        enum kva_status want = expected_of(f, request, i, start);
        enum kva_status got = kva_evict_add(&f->eviction, &f->candidates[i], f->segments[i].start);
        check_that(got == want, "unit %u: %s expected, %s returned", unit_of(f, f->segments[i].start),
                   kva_status_name(want), kva_status_name(got));
        if (got == KVA_OK)
            return true;
        assert_null(kva_evict_first(&f->eviction));
        if (test_one_in(rng, 4))
            assert_int_equal(kva_evict_add(&f->eviction, &f->candidates[i], f->segments[i].start),
                             KVA_EEXIST);
    }
    return false;
}

/** One eviction, finished or not. */
static void evict_once(struct fixture *f, struct test_rng *rng, const struct kva_request *request)
{
    uint64_t want = 0;
    uint64_t start = 0;

    test_picture_take(&f->before, &f->space);
    bool found = feed_in_some_order(f, rng, request, &want);
    test_expect_untouched(&f->before, &f->space, "fed");
    if (!found)
        return;
    (void)expect_victims(f, request, want);
    if (test_one_in(rng, 3)) /* abandoned */
        return;
    for (struct kva_candidate *c = kva_evict_first(&f->eviction); c; c = kva_evict_next(&f->eviction, c)) {
        if (test_one_in(rng, 4))
            assert_int_equal(kva_free(&f->space, f->segments[c - f->candidates].start), KVA_OK);
    }
    assert_int_equal(kva_evict_finish(&f->eviction, &start), KVA_OK);
    check_that(start == want, "%#" PRIx64 " expected, %#" PRIx64 " found", want, start);
    expect_finished(f, request, start);
}

/* ------------------------------------------------------------------------------------------ random spaces */

/** Keeps a quantum free next to an owner of the other kind, and refuses holes after some owners. */
static bool filter_by_owner(void *context, struct kva_hole *hole)
{
    const struct fixture *f = context;
    uintptr_t before = hole->before ? (uintptr_t)hole->before->owner : 0;
    uintptr_t after = hole->after ? (uintptr_t)hole->after->owner : 0;

    if (before % 5 == 4 || after % 7 == 6)
        return false;
    if (before % 2 == 1) {
        if (hole->last - hole->start < f->quantum)
            return false;
        hole->start += f->quantum;
    }
    if (after % 2 == 1) {
        if (hole->last - hole->start < f->quantum)
            return false;
        hole->last -= f->quantum;
    }
    return true;
}

static struct kva_request random_request(struct fixture *f, struct test_rng *rng, unsigned size_most)
{
    unsigned most = size_most < f->units ? size_most : f->units - 1; /* no size may wrap */
    struct kva_request request = {.size = 1 + test_below(rng, most) * f->quantum,
                                  .policy = (enum kva_policy)test_below(rng, 5),
                                  .target =
                                      address_of(f, (unsigned)test_below(rng, f->units)) - test_below(rng, 2),
                                  .random = test_random(rng),
                                  .owner = owner_of(1000)};
    bool is_small = f->quantum < UINT64_C(1) << 32;

    if (test_one_in(rng, 3))
        request.align = (1 + test_below(rng, is_small ? 6 : 2)) * f->quantum;
    if (request.align > f->quantum && test_one_in(rng, 2))
        request.phase = test_below(rng, request.align / f->quantum) * f->quantum;
    if (test_one_in(rng, 4)) {
        request.nocross = f->quantum;
        while (request.nocross < rounded(f, request.size) && request.nocross < UINT64_C(1) << 63)
            request.nocross *= 2;
        if (request.nocross < rounded(f, request.size))
            request.nocross = 0;
    }
    if (test_one_in(rng, 3)) {
        request.min = address_of(f, (unsigned)test_below(rng, f->units / 2));
        request.max = address_of(f, f->units / 2 + (unsigned)test_below(rng, f->units - f->units / 2)) +
                      test_below(rng, f->quantum);
    }
    if (test_one_in(rng, 4)) {
        request.filter = filter_by_owner;
        request.filter_context = f;
    }
    return request;
}

/** Fill a space with segments of one to four units; free some, defer some. */
static void fill(struct fixture *f, struct test_rng *rng)
{
    unsigned size;

    for (unsigned unit = 0; unit < f->units; unit += size) {
        size = 1 + (unsigned)test_below(rng, 4);
        size = size < f->units - unit ? size : f->units - unit;
        uint64_t lot = test_below(rng, 8);
        if (lot < 2)
            continue;
        reserve(f, unit, size, (unsigned)test_below(rng, 40));
        if (lot == 2)
            assert_int_equal(kva_free_deferred(&f->space, address_of(f, unit)), KVA_OK);
    }
}

static void test_random_spaces(void **state)
{
    static struct fixture f;
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        struct test_rng rng = test_rng_of(4100);
        for (uint64_t n = test_scaled(1500); n > 0; n--) {
            begin(&f, engine, 8 + (unsigned)test_below(&rng, 24), false);
            fill(&f, &rng);
            for (int i = 0; i < 3; i++) {
                struct kva_request request = random_request(&f, &rng, 12);
                evict_once(&f, &rng, &request);
            }
            end(&f);
        }
    }
}

/* Pooled objects count as free; live objects can be fed. */
static void test_random_spaces_with_pools(void **state)
{
    static struct fixture f;
    const struct kva_engine *engine;
    (void)state;

    for_each_engine (engine, e) {
        struct test_rng rng = test_rng_of(4200);
        for (uint64_t n = test_scaled(500); n > 0; n--) {
            uint64_t held[UNITS_MOST];
            unsigned count = 0;
            begin(&f, engine, 32 + (unsigned)test_below(&rng, 2) * 32, true);
            for (unsigned i = 0; i < f.units; i++) {
                struct kva_request request = {.size = (1 + test_below(&rng, 6)) * f.quantum,
                                              .owner = owner_of((unsigned)test_below(&rng, 40))};
                if (kva_alloc(&f.space, &request, &held[count]) == KVA_OK)
                    count++;
            }
            for (unsigned i = 0; i < count; i++) {
                uint64_t lot = test_below(&rng, 6);
                if (lot < 2)
                    assert_int_equal(kva_free(&f.space, held[i]), KVA_OK);
                else if (lot == 2)
                    assert_int_equal(kva_free_deferred(&f.space, held[i]), KVA_OK);
            }
            for (int i = 0; i < 3; i++) {
                struct kva_request request = random_request(&f, &rng, 20);
                evict_once(&f, &rng, &request);
            }
            end(&f);
        }
    }
}

/* ------------------------------------------------------------------------------------- changes in between */

/** Whether every segment to clear is free, or a candidate as it was fed. */
static bool is_clear(const struct fixture *f)
{
    const struct kva_eviction *eviction = &f->eviction;

    for (unsigned i = 0; i < f->count; i++) {
        const struct kva_segment *segment = &f->segments[i];
        bool is_as_fed = segment->state == KVA_FREE;
        if (segment->start > eviction->clear_last || segment->last < eviction->clear_start)
            continue;
        for (const struct kva_candidate *c = kva_evict_first(eviction); c; c = kva_evict_next(eviction, c))
            is_as_fed = is_as_fed || (segment->state == KVA_BUSY && c->start == segment->start &&
                                      c->last == segment->last && c->owner == segment->owner);
        if (!is_as_fed)
            return false;
    }
    return true;
}

static void change_something(struct fixture *f, struct test_rng *rng)
{
    unsigned unit = (unsigned)test_below(rng, f->units);
    struct kva_segment segment;

    assert_int_equal(kva_find(&f->space, address_of(f, unit), &segment), KVA_OK);
    if (segment.state == KVA_BUSY && test_one_in(rng, 4))
        (void)kva_free_deferred(&f->space, segment.start);
    else if (segment.state == KVA_BUSY && test_one_in(rng, 3))
        (void)kva_free_range(&f->space, address_of(f, unit), f->quantum);
    else if (segment.state == KVA_BUSY)
        (void)kva_free(&f->space, segment.start);
    else if (segment.state == KVA_DEFERRED)
        (void)kva_flush(&f->space);
    else
        (void)kva_reserve(&f->space, address_of(f, unit), f->quantum * (1 + test_below(rng, 2)),
                          owner_of((unsigned)test_below(rng, 3)), NULL);
}

/* After any change to the space, kva_evict_finish does the right thing or nothing. */
static void test_space_that_changes(void **state)
{
    static struct fixture f;
    const struct kva_engine *engine;
    unsigned finished = 0;
    unsigned refused = 0;
    (void)state;

    for_each_engine (engine, e) {
        struct test_rng rng = test_rng_of(4300);
        for (uint64_t n = test_scaled(1500); n > 0; n--) {
            uint64_t start = 0;
            begin(&f, engine, 16, false);
            fill(&f, &rng);
            struct kva_request request = random_request(&f, &rng, 8);
            request.filter = NULL;
            assert_int_equal(kva_evict_begin(&f.space, &request, &f.eviction), KVA_OK);
            enum kva_status status = KVA_ENOSPC;
            for (unsigned i = 0; status != KVA_OK && i < UNITS_MOST; i++) {
                if (test_one_in(&rng, 3))
                    change_something(&f, &rng);
                status = kva_evict_add(&f.eviction, &f.candidates[i],
                                       address_of(&f, (unsigned)test_below(&rng, f.units)));
            }
            if (test_one_in(&rng, 2))
                change_something(&f, &rng);
            if (status == KVA_OK) {
                look(&f);
                bool want = is_clear(&f);
                test_picture_take(&f.before, &f.space);
                status = kva_evict_finish(&f.eviction, &start);
                assert_int_equal(status, want ? KVA_OK : KVA_EAGAIN);
                if (want)
                    expect_finished(&f, &request, start);
                else
                    test_expect_untouched(&f.before, &f.space, "in between");
                finished += want;
                refused += !want;
            }
            end(&f);
        }
    }
    assert_true(test_is_brief() || (finished > 0 && refused > 0));
}

/** One test on each engine, in a space of 16 units of 4096 bytes from 0x10000. */
#define ON_EACH_ENGINE(name)                                                                                 \
    static void name##_on(struct fixture *f);                                                                \
    static void name(void **state)                                                                           \
    {                                                                                                        \
        static struct fixture fixture;                                                                       \
        const struct kva_engine *engine;                                                                     \
        (void)state;                                                                                         \
        for_each_engine (engine, e) {                                                                        \
            begin_in(&fixture, engine, (struct test_place){0x10000, 0x1000}, 16, false);                     \
            name##_on(&fixture);                                                                             \
            end(&fixture);                                                                                   \
        }                                                                                                    \
    }                                                                                                        \
    static void name##_on(struct fixture *f)

static enum kva_status add(struct fixture *f, unsigned unit)
{
    return kva_evict_add(&f->eviction, &f->candidates[unit], address_of(f, unit));
}

static void expect_must_go(const struct fixture *f, const unsigned *units, unsigned count)
{
    const struct kva_candidate *candidate = kva_evict_first(&f->eviction);

    for (unsigned i = 0; i < count; i++) {
        assert_ptr_equal(candidate, &f->candidates[units[i]]);
        candidate = kva_evict_next(&f->eviction, candidate);
    }
    assert_null(candidate);
}

/* The picture at the head of kva/evict.h. */
ON_EACH_ENGINE(the_example_of_the_header)
{
    const struct kva_request request = {.size = 0x4000, .owner = owner_of(9)};
    uint64_t start = 0;

    reserve(f, 0, 2, 3); /* | 3 | free | 1 | busy | 2 | busy | */
    reserve(f, 3, 1, 1);
    reserve(f, 4, 4, 4);
    reserve(f, 8, 2, 2);
    reserve(f, 10, 6, 5);
    assert_int_equal(kva_evict_begin(&f->space, &request, &f->eviction), KVA_OK);
    assert_int_equal(add(f, 3), KVA_ENOSPC);
    assert_int_equal(add(f, 8), KVA_ENOSPC);
    assert_int_equal(add(f, 0), KVA_OK);
    expect_must_go(f, (const unsigned[]){0, 3}, 2);
    assert_int_equal(kva_evict_finish(&f->eviction, &start), KVA_OK);
    assert_int_equal(start, 0x10000);
    expect_must_go(f, (const unsigned[]){0, 3}, 2); /* not yet distinguished from the others */
    look(f);
    assert_int_equal(f->count, 4);
    assert_ptr_equal(f->segments[2].owner, owner_of(2));
}

/* The place that the policy chooses determines who must go. Segments that reach over its ends go whole. */
ON_EACH_ENGINE(only_candidates_at_the_place_go)
{
    struct kva_request request = {.size = 0x2000, .align = 0x4000, .policy = KVA_HIGHEST};
    uint64_t start = 0;

    for (unsigned unit = 0; unit < 15; unit += 3)
        reserve(f, unit, 3, unit);
    reserve(f, 15, 1, 15);
    assert_int_equal(kva_evict_begin(&f->space, &request, &f->eviction), KVA_OK);
    assert_int_equal(add(f, 6), KVA_ENOSPC); /* 6 to 8: no place from a multiple of four */
    assert_int_equal(add(f, 12), KVA_OK);    /* 12 to 14: one at 12 */
    expect_must_go(f, (const unsigned[]){12}, 1);
    assert_int_equal(kva_evict_finish(&f->eviction, &start), KVA_OK);
    assert_int_equal(start, address_of(f, 12));
    look(f);
    assert_int_equal(f->segments[5].state, KVA_FREE); /* unit 14 */
}

/* ------------------------------------------------------------------------ changes before kva_evict_finish */

static void feed_two(struct fixture *f)
{
    const struct kva_request request = {.size = 0x5000, .owner = owner_of(9)};

    reserve(f, 0, 4, 0);
    reserve(f, 4, 2, 4);
    reserve(f, 7, 2, 7); /* 6 is free */
    reserve(f, 9, 7, 9);
    assert_int_equal(kva_evict_begin(&f->space, &request, &f->eviction), KVA_OK);
    assert_int_equal(add(f, 7), KVA_ENOSPC);
    assert_int_equal(add(f, 4), KVA_OK);
}

static void expect_again(struct fixture *f)
{
    uint64_t start = 1;

    test_picture_take(&f->before, &f->space);
    assert_int_equal(kva_evict_finish(&f->eviction, &start), KVA_EAGAIN);
    test_expect_untouched(&f->before, &f->space, "again");
    assert_int_equal(start, 1);
    assert_int_equal(f->faults, 0);
}

static void expect_done(struct fixture *f)
{
    uint64_t start = 1;

    assert_int_equal(kva_evict_finish(&f->eviction, &start), KVA_OK);
    assert_int_equal(start, address_of(f, 4));
}

ON_EACH_ENGINE(the_hole_is_taken_before_finish)
{
    feed_two(f);
    reserve(f, 6, 1, 6);
    expect_again(f);
    release(f, 6);
    expect_done(f);
}

ON_EACH_ENGINE(a_candidate_changes_its_length)
{
    feed_two(f);
    assert_int_equal(kva_resize(&f->space, address_of(f, 7), 0x1000), KVA_OK);
    expect_again(f);
}

ON_EACH_ENGINE(a_candidate_changes_its_start)
{
    feed_two(f);
    assert_int_equal(kva_free_range(&f->space, address_of(f, 4), 0x1000), KVA_OK);
    expect_again(f);
}

ON_EACH_ENGINE(a_candidate_changes_its_owner)
{
    feed_two(f);
    release(f, 4);
    reserve(f, 4, 2, 5);
    expect_again(f);
    release(f, 4);
    reserve(f, 4, 2, 4); /* same owner and size as the first */
    expect_done(f);
}

ON_EACH_ENGINE(a_candidate_is_deferred_before_finish)
{
    feed_two(f);
    assert_int_equal(kva_free_deferred(&f->space, address_of(f, 7)), KVA_OK);
    expect_again(f);
    assert_int_equal(kva_flush(&f->space), KVA_OK);
    expect_done(f);
}

ON_EACH_ENGINE(a_candidate_is_freed_by_the_caller)
{
    feed_two(f);
    release(f, 7);
    release(f, 4);
    expect_done(f);
}

/* The candidates have changed since they were fed. */
ON_EACH_ENGINE(candidates_added_after_a_change)
{
    const struct kva_request request = {.size = 0x6000};

    reserve(f, 4, 4, 4);
    assert_int_equal(kva_evict_begin(&f->space, &(struct kva_request){.size = 0x10000}, &f->eviction),
                     KVA_OK);
    reserve(f, 15, 1, 15);
    assert_int_equal(add(f, 4), KVA_ENOSPC);
    release(f, 4);
    reserve(f, 3, 2, 3);
    reserve(f, 7, 2, 7);
    assert_int_equal(add(f, 3), KVA_EAGAIN);
    assert_int_equal(add(f, 7), KVA_EAGAIN);
    release(f, 3);
    release(f, 7);
    reserve(f, 4, 4, 5); /* another owner */
    assert_int_equal(kva_evict_add(&f->eviction, &f->candidates[5], address_of(f, 4)), KVA_EAGAIN);
    release(f, 4);
    reserve(f, 9, 1, 9); /* was free, and so a part of the run */
    assert_int_equal(add(f, 9), KVA_ENOSPC);
    assert_int_equal(add(f, 15), KVA_OK);
    expect_must_go(f, (const unsigned[]){4, 9, 15}, 3);
    assert_int_equal(kva_evict_begin(&f->space, &request, &f->eviction), KVA_OK); /* again */
    assert_int_equal(add(f, 9), KVA_OK);
}

/* The run need not end where the space ended: the space may have grown. */
ON_EACH_ENGINE(a_space_that_grows)
{
    uint64_t start;

    reserve(f, 14, 2, 14);
    assert_int_equal(kva_evict_begin(&f->space, &(struct kva_request){.size = 0x11000}, &f->eviction),
                     KVA_OK);
    assert_int_equal(kva_space_grow(&f->space, f->first, f->first + 0x10fff), KVA_OK);
    assert_int_equal(add(f, 14), KVA_OK);
    assert_int_equal(kva_evict_finish(&f->eviction, &start), KVA_OK);
    f->units = 17;
}

/* An absent range ends a hole, as the end of the space does. */
ON_EACH_ENGINE(a_space_with_an_absent_range)
{
    const struct kva_request request = {.size = 0x6000};
    uint64_t start = 1;

    reserve(f, 2, 2, 2);
    reserve(f, 10, 2, 10);
    reserve(f, 14, 2, 14);
    assert_int_equal(kva_space_remove(&f->space, address_of(f, 4), 0x4000), KVA_OK); /* 4 to 7 */
    assert_int_equal(kva_evict_begin(&f->space, &request, &f->eviction), KVA_OK);
    assert_int_equal(add(f, 4), KVA_EUNKNOWN);
    assert_int_equal(f->faults, 1);
    f->faults = 0;
    assert_int_equal(add(f, 2), KVA_ENOSPC);
    assert_int_equal(add(f, 10), KVA_OK); /* 8 to 13 */
    expect_must_go(f, (const unsigned[]){10}, 1);
    release(f, 10);
    assert_int_equal(kva_space_remove(&f->space, address_of(f, 8), 0x1000), KVA_OK);
    expect_again(f);
    assert_int_equal(kva_space_add(&f->space, address_of(f, 8), 0x1000), KVA_OK);
    assert_int_equal(kva_evict_finish(&f->eviction, &start), KVA_OK);
    assert_int_equal(start, address_of(f, 8));
    assert_int_equal(kva_space_add(&f->space, address_of(f, 4), 0x4000), KVA_OK);
}

ON_EACH_ENGINE(a_space_that_shrinks)
{
    uint64_t start = 1;

    reserve(f, 0, 1, 0);
    reserve(f, 12, 1, 12);
    reserve(f, 15, 1, 15);
    assert_int_equal(kva_evict_begin(&f->space, &(struct kva_request){.size = 0x3000, .policy = KVA_HIGHEST},
                                     &f->eviction),
                     KVA_OK);
    assert_int_equal(add(f, 15), KVA_OK); /* 13 to 15 */
    release(f, 15);
    assert_int_equal(kva_space_shrink(&f->space, f->first, address_of(f, 14) - 1), KVA_OK);
    expect_again(f);
    assert_int_equal(kva_space_shrink(&f->space, f->first, address_of(f, 13) - 1), KVA_OK);
    expect_again(f);
    assert_int_equal(kva_space_grow(&f->space, f->first, f->first + 0xffff), KVA_OK);
    assert_int_equal(kva_evict_finish(&f->eviction, &start), KVA_OK);
    assert_int_equal(start, address_of(f, 13));
}

/* --------------------------------------------------------------------------------------------- the filter */

/** Keeps a quantum free between different owners. */
static bool keep_apart(void *context, struct kva_hole *hole)
{
    void *owner = *(void **)context;

    if (hole->before && hole->before->owner != owner)
        hole->start += 0x1000;
    if (hole->after && hole->after->owner != owner)
        hole->last -= 0x1000;
    return hole->start <= hole->last;
}

/* The hole suffices if all candidates go. One that need not go is a neighbour that the filter refuses. */
ON_EACH_ENGINE(a_neighbour_that_the_filter_refuses)
{
    static void *own;
    struct kva_request request = {.size = 0x3000, .min = 0x14000, .max = 0x16fff, .owner = owner_of(9)};
    uint64_t start;

    own = owner_of(9);
    request.filter = keep_apart;
    request.filter_context = &own;
    reserve(f, 0, 3, 9);
    reserve(f, 3, 1, 1); /* next to the place, another owner */
    reserve(f, 4, 3, 2); /* the place */
    reserve(f, 7, 1, 9); /* next to it, the same owner */
    reserve(f, 8, 8, 9);
    assert_int_equal(kva_evict_begin(&f->space, &request, &f->eviction), KVA_OK);
    assert_int_equal(add(f, 7), KVA_ENOSPC);
    assert_int_equal(add(f, 4), KVA_ENOSPC);
    assert_int_equal(add(f, 3), KVA_OK);
    expect_must_go(f, (const unsigned[]){3, 4}, 2);
    release(f, 3);
    reserve(f, 3, 1, 1);
    assert_int_equal(kva_resize(&f->space, f->first, 0x2000), KVA_OK);
    reserve(f, 2, 1, 2); /* a new neighbour: it does not touch the place, because 3 goes */
    assert_int_equal(kva_evict_finish(&f->eviction, &start), KVA_OK);
    assert_int_equal(start, address_of(f, 4));
}

/* The filter receives the whole hole: free units next to the victims keep the others at a distance. */
ON_EACH_ENGINE(neighbours_at_a_distance)
{
    static void *own;
    struct kva_request request = {.size = 0x3000, .min = 0x14000, .max = 0x16fff, .owner = owner_of(9)};

    own = owner_of(9);
    request.filter = keep_apart;
    request.filter_context = &own;
    reserve(f, 2, 1, 1);
    reserve(f, 4, 3, 2); /* the place; 3 and 7 are free */
    reserve(f, 8, 1, 1);
    assert_int_equal(kva_evict_begin(&f->space, &request, &f->eviction), KVA_OK);
    assert_int_equal(add(f, 4), KVA_OK);
    expect_must_go(f, (const unsigned[]){4}, 1);
    expect_done(f);
}

ON_EACH_ENGINE(a_new_neighbour_that_the_filter_refuses)
{
    static void *own;
    struct kva_request request = {.size = 0x3000, .min = 0x14000, .max = 0x16fff, .owner = owner_of(9)};

    own = owner_of(9);
    request.filter = keep_apart;
    request.filter_context = &own;
    reserve(f, 4, 3, 2); /* the place */
    assert_int_equal(kva_evict_begin(&f->space, &request, &f->eviction), KVA_OK);
    assert_int_equal(add(f, 4), KVA_OK);
    reserve(f, 3, 1, 1);
    expect_again(f);
    release(f, 3);
    reserve(f, 7, 1, 1);
    expect_again(f);
    release(f, 7);
    reserve(f, 3, 1, 9);
    reserve(f, 7, 1, 9);
    expect_done(f);
}

static bool count_and_admit(void *context, struct kva_hole *hole)
{
    (void)hole;
    ++*(unsigned *)context;
    return true;
}

/* The filter is not called for a run that is too short for the size in the window. */
ON_EACH_ENGINE(no_filter_call_for_runs_without_room)
{
    unsigned asked = 0;
    struct kva_request request = {.size = 0x3000, .min = 0x14000, .max = 0x17fff};

    request.filter = count_and_admit;
    request.filter_context = &asked;
    for (unsigned unit = 0; unit < 16; unit++)
        reserve(f, unit, 1, unit);
    assert_int_equal(kva_evict_begin(&f->space, &request, &f->eviction), KVA_OK);
    for (unsigned unit = 0; unit < 4; unit++) /* below the window */
        assert_int_equal(add(f, unit), KVA_ENOSPC);
    assert_int_equal(add(f, 4), KVA_ENOSPC);
    assert_int_equal(add(f, 6), KVA_ENOSPC);
    assert_int_equal(add(f, 7), KVA_ENOSPC);
    assert_int_equal(asked, 0);
    assert_int_equal(add(f, 5), KVA_OK);
    assert_true(asked > 0);
    expect_done(f);
}

/* ---------------------------------------------------------------------------------------------- no memory */

/** Busy segments are the same as in the picture; pooled objects may have become free. */
static void expect_same_busy(const struct fixture *f)
{
    struct kva_segment segment;
    size_t i = 0;

    for (enum kva_status s = kva_first(&f->space, &segment); s == KVA_OK; s = kva_next(&f->space, &segment)) {
        if (segment.state != KVA_BUSY)
            continue;
        while (i < f->before.count && f->before.segments[i].state != KVA_BUSY)
            i++;
        assert_true(i < f->before.count && test_same_segment(&segment, &f->before.segments[i]));
        i++;
    }
    while (i < f->before.count)
        assert_int_not_equal(f->before.segments[i++].state, KVA_BUSY);
}

/** Let each take of kva_evict_finish fail in turn until it succeeds. Returns the number of failures. */
static unsigned finish_with_failures(struct fixture *f, uint64_t *start)
{
    unsigned failures = 0;

    for (enum kva_status status = KVA_ENOMEM; status != KVA_OK; failures++) {
        assert_true(failures < 64);
        test_picture_take(&f->before, &f->space);
        kva_failing_memory_fail(&f->memory, failures + 1, true);
        status = kva_evict_finish(&f->eviction, start);
        kva_failing_memory_fail(&f->memory, 0, false);
        assert_true(status == KVA_OK || status == KVA_ENOMEM);
        if (status == KVA_ENOMEM)
            expect_same_busy(f);
    }
    return failures - 1;
}

/** Take single units until the engine has no node left, so that the next change takes memory. */
static void use_up_nodes(struct fixture *f, unsigned unit)
{
    kva_failing_memory_fail(&f->memory, 1, true);
    for (; unit < f->units; unit += 2) {
        if (kva_reserve(&f->space, address_of(f, unit), f->quantum, NULL, NULL) == KVA_ENOMEM)
            break;
    }
    kva_failing_memory_fail(&f->memory, 0, false);
}

static void test_no_memory(void **state)
{
    static struct fixture f;
    const struct kva_engine *engine;
    unsigned failures = 0;
    (void)state;

    for_each_engine (engine, e) {
        for (unsigned from = 20; from < UNITS_MOST; from += 3) {
            const struct kva_request request = {.size = 0x3000, .min = 0x1000, .max = 0x3fff};
            uint64_t start = 1;
            begin_in(&f, engine, (struct test_place){0, 0x1000}, UNITS_MOST, false);
            reserve(&f, 0, 5, 0); /* the range lies inside the victim: one segment becomes three */
            use_up_nodes(&f, from);
            assert_int_equal(kva_evict_begin(&f.space, &request, &f.eviction), KVA_OK);
            assert_int_equal(add(&f, 0), KVA_OK);
            test_picture_take(&f.before, &f.space);
            kva_failing_memory_fail(&f.memory, 1, true);
            enum kva_status status = kva_evict_finish(&f.eviction, &start);
            kva_failing_memory_fail(&f.memory, 0, false);
            if (status != KVA_OK) {
                assert_int_equal(status, KVA_ENOMEM);
                assert_int_equal(start, 1);
                test_expect_same(&f.before, &f.space, "no memory");
                failures++;
                assert_int_equal(kva_evict_finish(&f.eviction, &start), KVA_OK);
            }
            assert_int_equal(start, 0x1000);
            end(&f);
        }
    }
    assert_true(failures > 0);
}

/* Objects of pools become ordinary segments one after the other. A failure in between changes nothing
 * visible. */
static void test_no_memory_with_pools(void **state)
{
    static struct fixture f;
    const struct kva_engine *engine;
    unsigned failures = 0;
    (void)state;

    for_each_engine (engine, e) {
        struct kva_request request = {.size = 1};
        uint64_t start = 1;
        begin_in(&f, engine, (struct test_place){0, 0x1000}, 1024, true);
        for (unsigned unit = 0; unit < 16; unit++) {
            assert_int_equal(kva_alloc(&f.space, &request, &start), KVA_OK);
            assert_int_equal(start, address_of(&f, unit));
        }
        use_up_nodes(&f, 600);
        request = (struct kva_request){.size = 0x8000, .min = 0x2000, .max = 0xffff};
        assert_int_equal(kva_evict_begin(&f.space, &request, &f.eviction), KVA_OK);
        for (unsigned unit = 2; unit < 10; unit++)
            assert_int_equal(add(&f, unit), unit < 9 ? KVA_ENOSPC : KVA_OK);
        failures += finish_with_failures(&f, &start);
        assert_int_equal(start, 0x2000);
        end(&f);
    }
    assert_true(failures > 0);
}

/* ----------------------------------------------------------------------------------------------- statuses */

static void expect_misuse(struct fixture *f, enum kva_status got, enum kva_status want, const char *where,
                          const char *field)
{
    assert_int_equal(got, want);
    assert_int_equal(f->faults, 1);
    assert_int_equal(f->fault.status, want);
    assert_string_equal(f->fault.where, where);
    if (field)
        assert_string_equal(f->fault.field, field);
    else
        assert_null(f->fault.field);
    f->faults = 0;
}

ON_EACH_ENGINE(statuses_of_begin)
{
    struct kva_request request = {.size = 0x1000};
    struct kva_space none = {0};

    assert_int_equal(kva_evict_begin(NULL, &request, &f->eviction), KVA_ENULL);
    assert_int_equal(kva_evict_begin(&none, &request, &f->eviction), KVA_ENULL);
    assert_int_equal(f->faults, 0);
    expect_misuse(f, kva_evict_begin(&f->space, NULL, &f->eviction), KVA_ENULL, "kva_evict_begin", "request");
    expect_misuse(f, kva_evict_begin(&f->space, &request, NULL), KVA_ENULL, "kva_evict_begin", "eviction");
    request.policy = (enum kva_policy)5;
    expect_misuse(f, kva_evict_begin(&f->space, &request, &f->eviction), KVA_EINVAL, "kva_evict_begin",
                  "policy");
    request = (struct kva_request){.size = 0};
    expect_misuse(f, kva_evict_begin(&f->space, &request, &f->eviction), KVA_ESIZE, "kva_evict_begin",
                  "size");
    request = (struct kva_request){.size = 1, .align = 0x1800};
    expect_misuse(f, kva_evict_begin(&f->space, &request, &f->eviction), KVA_EALIGN, "kva_evict_begin",
                  "align");
    request = (struct kva_request){.size = UINT64_MAX};
    expect_misuse(f, kva_evict_begin(&f->space, &request, &f->eviction), KVA_EWRAP, "kva_evict_begin",
                  "size");
    request = (struct kva_request){.size = 1, .max = 0xfff};
    expect_misuse(f, kva_evict_begin(&f->space, &request, &f->eviction), KVA_EWINDOW, "kva_evict_begin",
                  "max");
    assert_int_equal(add(f, 0), KVA_ENULL); /* never begun */
    assert_int_equal(f->faults, 0);
}

ON_EACH_ENGINE(statuses_of_add)
{
    struct kva_request request = {.size = 0x1000};

    reserve(f, 2, 2, 2);
    reserve(f, 4, 2, 4);
    assert_int_equal(kva_free_deferred(&f->space, address_of(f, 4)), KVA_OK);
    assert_int_equal(kva_evict_add(NULL, &f->candidates[0], address_of(f, 2)), KVA_ENULL);
    assert_int_equal(kva_evict_add(&f->eviction, &f->candidates[0], address_of(f, 2)), KVA_ENULL);
    assert_int_equal(kva_evict_begin(&f->space, &request, &f->eviction), KVA_OK);
    test_picture_take(&f->before, &f->space);
    expect_misuse(f, kva_evict_add(&f->eviction, NULL, address_of(f, 2)), KVA_ENULL, "kva_evict_add",
                  "candidate");
    expect_misuse(f, kva_evict_add(&f->eviction, &f->candidates[0], f->first - 1), KVA_EUNKNOWN,
                  "kva_evict_add", NULL);
    assert_int_equal(f->fault.address, f->first - 1);
    expect_misuse(f, kva_evict_add(&f->eviction, &f->candidates[0], f->first + 0x10000), KVA_EUNKNOWN,
                  "kva_evict_add", NULL);
    expect_misuse(f, add(f, 3), KVA_EINTERIOR, "kva_evict_add", NULL);
    expect_misuse(f, add(f, 0), KVA_EDOUBLE, "kva_evict_add", NULL);
    expect_misuse(f, add(f, 4), KVA_EDEFERRED, "kva_evict_add", NULL);
    assert_null(f->eviction.root);
    test_expect_untouched(&f->before, &f->space, "refused");
    assert_int_equal(add(f, 2), KVA_OK);
    expect_misuse(f, add(f, 2), KVA_EINVAL, "kva_evict_add", "eviction");
}

ON_EACH_ENGINE(statuses_of_finish)
{
    struct kva_request request = {.size = 0x1000};
    uint64_t start = 1;

    reserve(f, 2, 2, 2);
    assert_null(kva_evict_first(NULL));
    assert_null(kva_evict_first(&f->eviction));
    assert_null(kva_evict_next(NULL, &f->candidates[2]));
    assert_int_equal(kva_evict_finish(NULL, &start), KVA_ENULL);
    assert_int_equal(kva_evict_finish(&f->eviction, &start), KVA_ENULL);
    assert_int_equal(kva_evict_begin(&f->space, &request, &f->eviction), KVA_OK);
    assert_null(kva_evict_first(&f->eviction));
    assert_null(kva_evict_next(&f->eviction, NULL));
    expect_misuse(f, kva_evict_finish(&f->eviction, &start), KVA_EINVAL, "kva_evict_finish", "eviction");
    assert_int_equal(add(f, 2), KVA_OK);
    expect_misuse(f, kva_evict_finish(&f->eviction, NULL), KVA_ENULL, "kva_evict_finish", "start");
    assert_int_equal(start, 1);
    assert_int_equal(kva_evict_finish(&f->eviction, &start), KVA_OK);
    expect_misuse(f, kva_evict_finish(&f->eviction, &start), KVA_EINVAL, "kva_evict_finish", "eviction");
    expect_misuse(f, add(f, 0), KVA_EINVAL, "kva_evict_add", "eviction");
}

/* The flush callback may begin an eviction; kva_evict_add and kva_evict_finish return KVA_EREENTRY. */
static enum kva_status inside_begin, inside_add, inside_finish;

static void evict_inside(void *context, uint64_t start, uint64_t last)
{
    struct fixture *f = context;
    const struct kva_request request = {.size = 0x1000};
    struct kva_eviction other;
    (void)last;

    inside_begin = kva_evict_begin(&f->space, &request, &other);
    inside_add = kva_evict_add(&f->eviction, &f->candidates[0], start);
    inside_finish = kva_evict_finish(&f->eviction, &start);
}

static void test_inside_a_flush(void **state)
{
    static struct fixture f;
    const struct kva_request request = {.size = 0x1000};
    struct kva_config config = {.last = 0xffff,
                                .quantum = 0x1000,
                                .engine = &kva_engine_rb,
                                .flush = evict_inside,
                                .flush_context = &f,
                                .on_misuse = note_misuse,
                                .hook_context = &f};
    (void)state;

    memset(&f, 0, sizeof(f));
    f.quantum = 0x1000;
    config.memory = kva_failing_memory_init(&f.memory);
    assert_int_equal(kva_space_init(&f.space, &config), KVA_OK);
    reserve(&f, 0, 1, 0);
    reserve(&f, 1, 1, 1);
    assert_int_equal(kva_evict_begin(&f.space, &request, &f.eviction), KVA_OK);
    assert_int_equal(kva_free_deferred(&f.space, 0), KVA_OK);
    assert_int_equal(kva_flush(&f.space), KVA_OK);
    assert_int_equal(inside_begin, KVA_OK);
    assert_int_equal(inside_add, KVA_EREENTRY);
    assert_int_equal(inside_finish, KVA_EREENTRY);
    assert_int_equal(f.faults, 2);
    assert_int_equal(kva_space_abandon(&f.space), KVA_OK);
}

/** A reclaim callback makes room: it receives the request, and one eviction makes the request fit. */
struct reclaimer {
    struct fixture *f;
    unsigned calls;
    unsigned freed;
};

static bool evict_for(void *context, struct kva_space *space, const struct kva_request *request)
{
    struct reclaimer *reclaimer = context;
    struct fixture *f = reclaimer->f;
    enum kva_status status = kva_evict_begin(space, request, &f->eviction);

    reclaimer->calls++;
    if (status == KVA_OK)
        status = KVA_ENOSPC;
    for (unsigned i = 0; i < f->units / 2 && status == KVA_ENOSPC; i++)
        status = add(f, i * 5 % (f->units / 2) * 2);
    for (struct kva_candidate *c = kva_evict_first(&f->eviction); c; c = kva_evict_next(&f->eviction, c)) {
        assert_int_equal(kva_free(space, address_of(f, (unsigned)(c - f->candidates))), KVA_OK);
        reclaimer->freed++;
    }
    return status == KVA_OK;
}

ON_EACH_ENGINE(an_eviction_in_a_reclaim_callback)
{
    struct reclaimer reclaimer = {.f = f};
    struct kva_reclaim reclaim = {.callback = evict_for, .context = &reclaimer};
    struct kva_request request = {.size = 0x4000, .align = 0x4000, .min = 0x18000, .max = 0x1bfff};
    uint64_t start;

    for (unsigned unit = 0; unit < f->units; unit += 2)
        reserve(f, unit, 2, unit);
    assert_int_equal(kva_reclaim_add(&f->space, &reclaim), KVA_OK);
    assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_OK);
    assert_int_equal(start, 0x18000);
    assert_int_equal(reclaimer.calls, 1);
    assert_int_equal(reclaimer.freed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_header),
        cmocka_unit_test(only_candidates_at_the_place_go),
        cmocka_unit_test(test_random_spaces),
        cmocka_unit_test(test_random_spaces_with_pools),
        cmocka_unit_test(test_space_that_changes),
        cmocka_unit_test(the_hole_is_taken_before_finish),
        cmocka_unit_test(a_candidate_changes_its_length),
        cmocka_unit_test(a_candidate_changes_its_start),
        cmocka_unit_test(a_candidate_changes_its_owner),
        cmocka_unit_test(a_candidate_is_deferred_before_finish),
        cmocka_unit_test(a_candidate_is_freed_by_the_caller),
        cmocka_unit_test(candidates_added_after_a_change),
        cmocka_unit_test(a_space_that_grows),
        cmocka_unit_test(a_space_with_an_absent_range),
        cmocka_unit_test(a_space_that_shrinks),
        cmocka_unit_test(a_neighbour_that_the_filter_refuses),
        cmocka_unit_test(neighbours_at_a_distance),
        cmocka_unit_test(a_new_neighbour_that_the_filter_refuses),
        cmocka_unit_test(no_filter_call_for_runs_without_room),
        cmocka_unit_test(an_eviction_in_a_reclaim_callback),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_with_pools),
        cmocka_unit_test(statuses_of_begin),
        cmocka_unit_test(statuses_of_add),
        cmocka_unit_test(statuses_of_finish),
        cmocka_unit_test(test_inside_a_flush),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
