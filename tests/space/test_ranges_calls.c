/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/ranges.h call by call: each bad input, with the arguments of the misuse hook; the calls of a manager of
 * address spaces; deferred segments; a segment of all 2^64 addresses; and pools, against a map with a letter
 * for each quantum.
 */
#include "../common/harness.h"
#include "../common/picture.h"
#include "../common/place.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/ranges.h>
#include <kva/threads.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"
#include "space/pool.h"

#define PAGE UINT64_C(0x1000)
#define FIRST (16 * PAGE)
#define LAST (48 * PAGE - 1)
#define TOP UINT64_MAX

struct fixture {
    struct kva_space space;
    struct kva_failing_memory memory;
    unsigned faults;
    struct kva_fault fault;
    unsigned flushes;
    enum kva_status from_flush; /* the result of the callback's call */
};

static void log_misuse(void *context, const struct kva_fault *fault)
{
    struct fixture *fixture = context;

    fixture->faults++;
    fixture->fault = *fault;
}

static struct kva_config config_of(struct fixture *fixture, const struct kva_engine *engine)
{
    memset(fixture, 0, sizeof *fixture);
    return (struct kva_config){.first = FIRST,
                               .last = LAST,
                               .quantum = PAGE,
                               .engine = engine,
                               .memory = kva_failing_memory_init(&fixture->memory),
                               .deferred_limit = UINT64_MAX,
                               .on_misuse = log_misuse,
                               .hook_context = fixture};
}

static void *named(const char *name)
{
    return (void *)(uintptr_t)name;
}

static void end(struct fixture *fixture)
{
    assert_int_equal(kva_space_check(&fixture->space, NULL), KVA_OK);
    assert_int_equal(kva_space_abandon(&fixture->space), KVA_OK);
    assert_int_equal(fixture->memory.blocks, 0);
}

/* --------------------------------------------------------------------------------------------- bad inputs */

enum call { CLEAR, OVER, SPLIT, JOIN, OWNER, MOVE, SIZED };

static const char *const call_names[] = {"kva_clear",     "kva_reserve_over", "kva_split",     "kva_join",
                                         "kva_set_owner", "kva_move",         "kva_free_sized"};

/** `b` is a size or a place, where the call takes one. */
static enum kva_status make_call(struct kva_space *space, enum call call, uint64_t a, uint64_t b)
{
    uint64_t bytes = 7;
    struct kva_segment conflict = {.start = 7};
    enum kva_status status = KVA_OK;

    switch (call) {
    case CLEAR:
        status = kva_clear(space, a, b, &bytes);
        break;
    case OVER:
        status = kva_reserve_over(space, a, b, NULL, &bytes);
        break;
    case SPLIT:
        status = kva_split(space, a);
        break;
    case JOIN:
        status = kva_join(space, a);
        break;
    case OWNER:
        status = kva_set_owner(space, a, NULL);
        break;
    case MOVE:
        status = kva_move(space, a, b, &conflict);
        break;
    case SIZED:
        status = kva_free_sized(space, a, b);
        break;
    }
    assert_true(status == KVA_OK || bytes == 7);
    assert_true(status == KVA_EEXIST || conflict.start == 7);
    return status;
}

#define A (16 * PAGE)        /* busy, 4 pages */
#define HOLE (20 * PAGE)     /* free, 4 pages */
#define DEFERRED (24 * PAGE) /* 2 pages */
#define B (26 * PAGE)        /* busy, 2 pages; free up to Z */
#define Z (47 * PAGE)        /* busy, 1 page */

static void begin_table(struct fixture *f, const struct kva_engine *engine)
{
    struct kva_config config = config_of(f, engine);

    assert_int_equal(kva_space_init(&f->space, &config), KVA_OK);
    assert_int_equal(kva_reserve(&f->space, A, 4 * PAGE, NULL, NULL), KVA_OK);
    assert_int_equal(kva_reserve(&f->space, DEFERRED, 2 * PAGE, NULL, NULL), KVA_OK);
    assert_int_equal(kva_reserve(&f->space, B, 2 * PAGE, NULL, NULL), KVA_OK);
    assert_int_equal(kva_reserve(&f->space, Z, PAGE, NULL, NULL), KVA_OK);
    assert_int_equal(kva_free_deferred(&f->space, DEFERRED), KVA_OK);
}

static const struct {
    enum call call;
    enum kva_status status;
    uint64_t a;
    uint64_t b;
    const char *field; /* NULL: none is named */
} bad[] = {
    {CLEAR, KVA_ESIZE, A, 0, "size"},
    {CLEAR, KVA_EALIGN, A + 1, PAGE, "start"},
    {CLEAR, KVA_ESIZE, A + 1, 0, "size"},
    {CLEAR, KVA_EWRAP, A, TOP, "size"},
    {CLEAR, KVA_ERANGE, A, TOP - A + 1, "size"},
    {CLEAR, KVA_EWRAP, TOP - PAGE + 1, PAGE + 1, "size"},
    {CLEAR, KVA_ERANGE, TOP - PAGE + 1, PAGE, "start"},
    {CLEAR, KVA_ERANGE, A - PAGE, 2 * PAGE, "start"},
    {CLEAR, KVA_ERANGE, 0, PAGE, "start"},
    {CLEAR, KVA_ERANGE, LAST + 1, 1, "start"},
    {CLEAR, KVA_ERANGE, Z, PAGE + 1, "size"},
    {OVER, KVA_ESIZE, A, 0, "size"},
    {OVER, KVA_EALIGN, A + PAGE / 2, PAGE, "start"},
    {OVER, KVA_EWRAP, A, TOP, "size"},
    {OVER, KVA_ERANGE, A - PAGE, PAGE, "start"},
    {OVER, KVA_ERANGE, Z, 2 * PAGE, "size"},
    {SPLIT, KVA_EALIGN, A + 1, 0, "at"},
    {SPLIT, KVA_EALIGN, A - 1, 0, "at"},
    {SPLIT, KVA_EALIGN, TOP, 0, "at"},
    {SPLIT, KVA_EUNKNOWN, A - PAGE, 0, NULL},
    {SPLIT, KVA_EUNKNOWN, 0, 0, NULL},
    {SPLIT, KVA_EUNKNOWN, LAST + 1, 0, NULL},
    {SPLIT, KVA_EDOUBLE, HOLE, 0, NULL},
    {SPLIT, KVA_EDOUBLE, HOLE + PAGE, 0, NULL},
    {SPLIT, KVA_EDEFERRED, DEFERRED, 0, NULL},
    {SPLIT, KVA_EDEFERRED, DEFERRED + PAGE, 0, NULL},
    {JOIN, KVA_EUNKNOWN, A - PAGE, 0, NULL},
    {JOIN, KVA_EUNKNOWN, TOP, 0, NULL},
    {JOIN, KVA_EINTERIOR, A + PAGE, 0, NULL},
    {JOIN, KVA_EINTERIOR, A + 1, 0, NULL},
    {JOIN, KVA_EDOUBLE, HOLE, 0, NULL},
    {JOIN, KVA_EDEFERRED, DEFERRED, 0, NULL},
    {OWNER, KVA_EUNKNOWN, A - 1, 0, NULL},
    {OWNER, KVA_EINTERIOR, A + 1, 0, NULL},
    {OWNER, KVA_EDOUBLE, HOLE, 0, NULL},
    {OWNER, KVA_EDEFERRED, DEFERRED + 1, 0, NULL},
    {MOVE, KVA_EUNKNOWN, A - 1, 0, NULL},
    {MOVE, KVA_EINTERIOR, A + PAGE, HOLE, NULL},
    {MOVE, KVA_EDOUBLE, HOLE, A, NULL},
    {MOVE, KVA_EDOUBLE, HOLE, HOLE, NULL},
    {MOVE, KVA_EDEFERRED, DEFERRED, A, NULL},
    {MOVE, KVA_EALIGN, A, HOLE + 1, "to"},
    {MOVE, KVA_EALIGN, A, A + 1, "to"},
    {MOVE, KVA_EALIGN, A, TOP, "to"},
    {MOVE, KVA_ERANGE, A, TOP - 4 * PAGE + 1, "to"},
    {MOVE, KVA_EWRAP, A, TOP - 3 * PAGE + 1, "to"},
    {MOVE, KVA_ERANGE, A, A - PAGE, "to"},
    {MOVE, KVA_ERANGE, A, 0, "to"},
    {MOVE, KVA_ERANGE, A, LAST + 1, "to"},
    {MOVE, KVA_ERANGE, A, LAST + 1 - 3 * PAGE, "to"},
    {SIZED, KVA_EUNKNOWN, A - 1, 1, NULL},
    {SIZED, KVA_EINTERIOR, A + 1, 4 * PAGE, NULL},
    {SIZED, KVA_EDOUBLE, HOLE, 4 * PAGE, NULL},
    {SIZED, KVA_EDEFERRED, DEFERRED, 2 * PAGE, NULL},
    {SIZED, KVA_ESIZE, A, 0, "size"},
    {SIZED, KVA_ESIZE, A, 3 * PAGE, "size"},
    {SIZED, KVA_ESIZE, A, 4 * PAGE + 1, "size"},
    {SIZED, KVA_ESIZE, A, TOP, "size"},
};

static void each_bad_input_is_named(void **state)
{
    const struct kva_engine *engine;
    static struct fixture f;
    (void)state;
    for_each_engine (engine, e) {
        struct test_picture before = {0};

        begin_table(&f, engine);
        test_picture_take(&before, &f.space);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            const char *name = call_names[bad[i].call];
            enum kva_status status = make_call(&f.space, bad[i].call, bad[i].a, bad[i].b);
            check_that(status == bad[i].status, "%s, line %zu: %s expected, %s returned", name, i,
                       kva_status_name(bad[i].status), kva_status_name(status));
            check_that(f.faults == i + 1 && f.fault.status == status,
                       "%s, line %zu: one call of the misuse hook with %s expected; %u calls so far, the "
                       "last with %s",
                       name, i, kva_status_name(status), f.faults, kva_status_name(f.fault.status));
            assert_string_equal(f.fault.where, name);
            assert_int_equal(f.fault.address, bad[i].a);
            check_that((bad[i].field == NULL) == (f.fault.field == NULL),
                       "%s, line %zu: field %s expected, %s found", name, i,
                       bad[i].field ? bad[i].field : "NULL", f.fault.field ? f.fault.field : "NULL");
            if (bad[i].field)
                assert_string_equal(f.fault.field, bad[i].field);
        }
        test_expect_untouched(&before, &f.space, "after bad inputs");
        test_picture_drop(&before);
        end(&f);
    }
}

static void no_space_is_named(void **state)
{
    struct kva_space none = {.map = NULL};
    (void)state;
    for (enum call call = CLEAR; call <= SIZED; call++) {
        assert_int_equal(make_call(NULL, call, 0, 1), KVA_ENULL);
        assert_int_equal(make_call(&none, call, 0, 1), KVA_ENULL);
    }
}

static void call_inside(void *context, uint64_t start, uint64_t last)
{
    struct fixture *f = context;

    (void)last;
    f->flushes++;
    for (enum call call = CLEAR; call <= SIZED; call++)
        assert_int_equal(make_call(&f->space, call, start, PAGE), KVA_EREENTRY);
}

static void a_flush_callback_may_call_none(void **state)
{
    const struct kva_engine *engine;
    static struct fixture f;
    (void)state;
    for_each_engine (engine, e) {
        struct kva_config config = config_of(&f, engine);

        config.flush = call_inside;
        config.flush_context = &f;
        assert_int_equal(kva_space_init(&f.space, &config), KVA_OK);
        assert_int_equal(kva_reserve(&f.space, A, PAGE, NULL, NULL), KVA_OK);
        assert_int_equal(kva_free_deferred(&f.space, A), KVA_OK);
        assert_int_equal(kva_flush(&f.space), KVA_OK);
        assert_int_equal(f.flushes, 1);
        assert_int_equal(f.faults, SIZED + 1);
        end(&f);
    }
}

/* --------------------------------------------------------------------------------------------------- uses */

static void expect_segment(const struct kva_space *space, uint64_t start, uint64_t last, enum kva_state state,
                           const char *owner)
{
    struct kva_segment segment;

    assert_int_equal(kva_find(space, start, &segment), KVA_OK);
    check_that(segment.start == start && segment.last == last && segment.state == state &&
                   segment.owner == named(owner),
               "[%#" PRIx64 ", %#" PRIx64 "] in state %d expected, [%#" PRIx64 ", %#" PRIx64
               "] in state %d found",
               start, last, (int)state, segment.start, segment.last, (int)segment.state);
}

/* The protection of the middle of a mapping is changed, and changed back; a range over several mappings is
 * unmapped; one is mapped over others. Each step is one call. */
static void mappings_are_split_joined_and_unmapped(void **state)
{
    const struct kva_engine *engine;
    static const char rw[] = "rw", ro[] = "ro", rx[] = "rx";
    static struct fixture f;
    (void)state;
    for_each_engine (engine, e) {
        struct kva_config config = config_of(&f, engine);
        struct kva_space *s = &f.space;
        uint64_t bytes;

        config.first = 0;
        config.last = 0xfffff;
        assert_int_equal(kva_space_init(s, &config), KVA_OK);
        assert_int_equal(kva_reserve(s, 0x10000, 0x10000, named(rw), NULL), KVA_OK);
        assert_int_equal(kva_reserve(s, 0x20000, 0x10000, named(rw), NULL), KVA_OK);
        assert_int_equal(kva_reserve(s, 0x40000, 0x10000, named(rx), NULL), KVA_OK);
        assert_int_equal(kva_split(s, 0x14000), KVA_OK);
        assert_int_equal(kva_split(s, 0x18000), KVA_OK);
        assert_int_equal(kva_set_owner(s, 0x14000, named(ro)), KVA_OK);
        expect_segment(s, 0x10000, 0x13fff, KVA_BUSY, rw);
        expect_segment(s, 0x14000, 0x17fff, KVA_BUSY, ro);
        expect_segment(s, 0x18000, 0x1ffff, KVA_BUSY, rw);
        assert_int_equal(kva_join(s, 0x10000), KVA_OK);
        assert_int_equal(kva_join(s, 0x10000), KVA_OK);
        expect_segment(s, 0x10000, 0x1ffff, KVA_BUSY, rw);
        assert_int_equal(kva_clear(s, 0x18000, 0x30000, &bytes), KVA_OK);
        assert_int_equal(bytes, 0x20000);
        expect_segment(s, 0x10000, 0x17fff, KVA_BUSY, rw);
        expect_segment(s, 0x18000, 0x47fff, KVA_FREE, NULL);
        expect_segment(s, 0x48000, 0x4ffff, KVA_BUSY, rx);
        assert_int_equal(kva_reserve_over(s, 0x16000, 0x33000, named(ro), &bytes), KVA_OK);
        assert_int_equal(bytes, 0x3000);
        expect_segment(s, 0x16000, 0x48fff, KVA_BUSY, ro);
        assert_int_equal(kva_move(s, 0x48fff + 1, 0x60000, NULL), KVA_OK);
        expect_segment(s, 0x60000, 0x66fff, KVA_BUSY, rx);
        assert_int_equal(kva_clear(s, 0, 0x100000, NULL), KVA_OK);
        expect_segment(s, 0, 0xfffff, KVA_FREE, NULL);
        assert_int_equal(f.faults, 0);
        end(&f);
    }
}

/* kva_join can make a segment whose size does not fit 64 bits. */
static void a_segment_of_all_addresses(void **state)
{
    const struct kva_engine *engine;
    static struct fixture f;
    (void)state;
    for_each_engine (engine, e) {
        struct kva_config config = config_of(&f, engine);
        const uint64_t half = UINT64_C(1) << 63;
        struct kva_stats stats;

        config.first = 0;
        config.last = TOP;
        assert_int_equal(kva_space_init(&f.space, &config), KVA_OK);
        assert_int_equal(kva_reserve(&f.space, 0, half, NULL, NULL), KVA_OK);
        assert_int_equal(kva_reserve(&f.space, half, half, NULL, NULL), KVA_OK);
        assert_int_equal(kva_join(&f.space, 0), KVA_OK);
        assert_int_equal(kva_join(&f.space, 0), KVA_ENOENT);
        expect_segment(&f.space, 0, TOP, KVA_BUSY, NULL);
        assert_int_equal(kva_stats_read(&f.space, &stats), KVA_OK);
        assert_int_equal(stats.busy_bytes, TOP);
        assert_int_equal(kva_move(&f.space, 0, 0, NULL), KVA_OK);
        assert_int_equal(f.faults, 0);
        assert_int_equal(kva_move(&f.space, 0, PAGE, NULL), KVA_EWRAP);
        assert_string_equal(f.fault.field, "to");
        assert_int_equal(kva_move(&f.space, 0, 1, NULL), KVA_EALIGN);
        assert_int_equal(kva_free_sized(&f.space, 0, TOP - PAGE + 1), KVA_ESIZE);
        assert_int_equal(kva_split(&f.space, TOP - PAGE + 1), KVA_OK);
        expect_segment(&f.space, 0, TOP - PAGE, KVA_BUSY, NULL);
        assert_int_equal(kva_join(&f.space, 0), KVA_OK);
        assert_int_equal(kva_free_sized(&f.space, 0, TOP), KVA_OK); /* rounded up */
        expect_segment(&f.space, 0, TOP, KVA_FREE, NULL);
        end(&f);
    }
}

/* ------------------------------------------------------------------------------------------------- memory */

enum { HELD = 16 };

/* Far apart, so that leaves of bt have their wide form, of which the smallest is full with two entries. */
#define APART (UINT64_C(1) << 48)

/** Reserve over the middle of the segment [at, at + 3], wholly or not at all. Returns whether it
 * succeeded. */
static bool take_middle(struct fixture *f, uint64_t at)
{
    static const char over[] = "over";
    enum kva_status status = kva_reserve_over(&f->space, at + 1, 2, named(over), NULL);

    if (status == KVA_OK) {
        expect_segment(&f->space, at, at, KVA_BUSY, NULL);
        expect_segment(&f->space, at + 1, at + 2, KVA_BUSY, over);
        expect_segment(&f->space, at + 3, at + 3, KVA_BUSY, NULL);
    } else {
        assert_int_equal(status, KVA_ENOMEM);
        expect_segment(&f->space, at, at + 3, KVA_BUSY, NULL);
    }
    return status == KVA_OK;
}

/* Two more segments, each of which may need a node: with one node at hand, neither is made. */
static void a_middle_is_taken_over_with_all_memory_or_not(void **state)
{
    const struct kva_engine *engine;
    static struct fixture f;
    unsigned taken = 0, refused = 0;
    (void)state;
    for_each_engine (engine, e) {
        for (uint64_t n = 0; n < 8 * 16; n++) {
            struct kva_config config = config_of(&f, engine);

            config.first = 0;
            config.last = TOP;
            config.quantum = 1;
            f.memory.largest =
                256 + 64 * (size_t)(n / 8); /* blocks of a few nodes of one kind, if that suffices */
            if (kva_space_init(&f.space, &config) != KVA_OK)
                continue;
            uint64_t held = 0; /* as many as leaves of that size allow */
            while (held < HELD && kva_reserve(&f.space, held * APART, 4, NULL, NULL) == KVA_OK)
                held++;
            kva_failing_memory_fail(&f.memory, 1 + n % 8, true);
            for (uint64_t i = held; i-- > 0;) { /* the last leaf is divided where that leaves it full */
                bool done = take_middle(&f, i * APART);
                taken += done;
                refused += !done;
            }
            end(&f);
        }
    }
    print_message("%u taken over, %u refused\n", taken, refused);
}

/* -------------------------------------------------------------------------------------------------- pools */

enum { QUANTA = 64 };

struct pooled {
    struct test_place place;
    struct kva_space space;
    struct kva_failing_memory memory;
    char map[QUANTA +
             1]; /* '.' free, '-' deferred, and some letter, all of them different, for each busy segment */
    char next;
};

static uint64_t quantum_at(const struct pooled *p, unsigned at)
{
    return p->place.first + at * p->place.quantum;
}

static void *letter_owner(char letter)
{
    return (void *)(uintptr_t)letter;
}

static void end_pooled(struct pooled *p)
{
    assert_int_equal(kva_space_abandon(&p->space), KVA_OK);
    assert_int_equal(p->memory.blocks, 0);
}

static unsigned run_at(const struct pooled *p, unsigned at)
{
    unsigned run = 1;

    while (at + run < QUANTA && p->map[at + run] == p->map[at])
        run++;
    return run;
}

/** A letter that no segment has. */
static char next_letter(struct pooled *p)
{
    do
        p->next = p->next >= '~' ? '0' : (char)(p->next + 1);
    while (memchr(p->map, p->next, QUANTA));
    return p->next;
}

static void flush_map(void *context, uint64_t start, uint64_t last)
{
    struct pooled *p = context;

    (void)start;
    (void)last;
    for (unsigned i = 0; i < QUANTA; i++) {
        if (p->map[i] == '-')
            p->map[i] = '.';
    }
}

static void begin_pooled(struct pooled *p, const struct kva_engine *engine, uint64_t place)
{
    memset(p, 0, sizeof *p);
    p->place = test_place(place, QUANTA);
    struct kva_config config = {.first = quantum_at(p, 0),
                                .last = quantum_at(p, QUANTA - 1) + (p->place.quantum - 1),
                                .quantum = p->place.quantum,
                                .engine = engine,
                                .memory = kva_failing_memory_init(&p->memory),
                                .pool_bytes = test_place_bytes(&p->place, QUANTA / 2),
                                .flush = flush_map,
                                .flush_context = p,
                                .deferred_limit = UINT64_MAX};
    assert_int_equal(kva_space_init(&p->space, &config), KVA_OK);
    assert_non_null(p->space.shared->pools);
    memset(p->map, '.', QUANTA);
    p->next = '0';
}

static void expect_pooled(const struct pooled *p, const char *what)
{
    struct kva_segment segment;
    struct kva_fault fault = {.what = ""};

    check_that(kva_space_check(&p->space, &fault) == KVA_OK, "%s: the check reports %s", what, fault.what);
    for (unsigned at = 0; at < QUANTA; at += run_at(p, at)) {
        assert_int_equal(kva_find(&p->space, quantum_at(p, at), &segment), KVA_OK);
        if (p->map[at] == '.') {
            for (unsigned i = 0; i < run_at(p, at); i++) {
                assert_int_equal(kva_find(&p->space, quantum_at(p, at + i), &segment), KVA_OK);
                check_that(segment.state == KVA_FREE || segment.state == KVA_POOLED,
                           "%s: %u in \"%s\" is not free", what, at + i, p->map);
            }
        } else if (p->map[at] == '-') {
            check_that(segment.state == KVA_DEFERRED, "%s: %u in \"%s\" is not deferred", what, at, p->map);
        } else {
            check_that(segment.state == KVA_BUSY && segment.start == quantum_at(p, at) &&
                           segment.last == quantum_at(p, at + run_at(p, at) - 1) + (p->place.quantum - 1) &&
                           segment.owner == letter_owner(p->map[at]),
                       "%s: %u in \"%s\" is another segment", what, at, p->map);
        }
    }
}

static void draw_pooled(struct pooled *p, unsigned at, unsigned size, char letter)
{
    memset(p->map + at, letter, size);
}

/** Allocate from a pool, or where there is room. */
static void alloc_pooled(struct pooled *p, unsigned size)
{
    char letter = next_letter(p);
    struct kva_request request = kva_request_of(size * p->place.quantum);
    uint64_t start;

    request.owner = letter_owner(letter);
    if (kva_alloc(&p->space, &request, &start) == KVA_OK)
        draw_pooled(p, (unsigned)((start - p->place.first) / p->place.quantum), size, letter);
}

static bool is_letter(char c)
{
    return c != '.' && c != '-';
}

/** The first quantum of a busy segment; false when there is none at or after `at`. */
static bool find_letter(const struct pooled *p, unsigned *at)
{
    while (*at > 0 && p->map[*at - 1] == p->map[*at])
        --*at;
    while (*at < QUANTA && !is_letter(p->map[*at]))
        ++*at;
    return *at < QUANTA;
}

static unsigned clear_map(struct pooled *p, unsigned at, unsigned size)
{
    unsigned busy = 0;

    for (unsigned i = at; i < at + size; i++) {
        if (is_letter(p->map[i])) {
            busy++;
            p->map[i] = '.';
        }
    }
    return busy;
}

/** A range was taken out of a segment: its two remainders have one owner. Give the upper one another, for the
 * map. */
static void change_upper_owner(struct pooled *p, unsigned at, unsigned size, char before)
{
    unsigned rest = at + size;

    if (at == 0 || rest == QUANTA || before == '.' || before == '-' || p->map[rest] != before)
        return;
    char letter = next_letter(p);
    assert_int_equal(kva_set_owner(&p->space, quantum_at(p, rest), letter_owner(letter)), KVA_OK);
    draw_pooled(p, rest, run_at(p, rest), letter);
}

/** One call, chosen by `what`; the map follows if it succeeds. KVA_OK or KVA_ENOMEM. */
static enum kva_status act(struct pooled *p, unsigned what, unsigned at, unsigned size, unsigned to)
{
    uint64_t bytes = 0;
    uint64_t start = quantum_at(p, at);
    char letter = next_letter(p);
    enum kva_status status;
    unsigned run;

    switch (what) {
    case CLEAR:
        status = kva_clear(&p->space, start, size * p->place.quantum, &bytes);
        if (status == KVA_OK)
            assert_int_equal(bytes, clear_map(p, at, size) * p->place.quantum);
        if (status == KVA_OK)
            change_upper_owner(p, at, size, at > 0 ? p->map[at - 1] : '.');
        check_that(status == KVA_OK || status == KVA_ENOMEM,
                   "%s %u %u: KVA_OK or KVA_ENOMEM expected, %s returned", call_names[what], at, size,
                   kva_status_name(status));
        return status;
    case OVER:
        status = kva_reserve_over(&p->space, start, size * p->place.quantum, letter_owner(letter), &bytes);
        if (status == KVA_OK) {
            assert_int_equal(bytes, clear_map(p, at, size) * p->place.quantum);
            draw_pooled(p, at, size, letter);
            change_upper_owner(p, at, size, at > 0 ? p->map[at - 1] : '.');
        }
        check_that(status == KVA_OK || status == KVA_ENOMEM,
                   "%s %u %u: KVA_OK or KVA_ENOMEM expected, %s returned", call_names[what], at, size,
                   kva_status_name(status));
        return status;
    default:
        break;
    }
    if (!find_letter(p, &at))
        return KVA_OK;
    start = quantum_at(p, at);
    run = run_at(p, at);
    switch (what) {
    case SPLIT: /* another owner for the second half, which the map needs */
        if (run < 2)
            return KVA_OK;
        status = kva_split(&p->space, quantum_at(p, at + run / 2));
        if (status == KVA_OK) {
            assert_int_equal(kva_set_owner(&p->space, quantum_at(p, at + run / 2), letter_owner(letter)),
                             KVA_OK);
            draw_pooled(p, at + run / 2, run - run / 2, letter);
        }
        break;
    case JOIN:
        status = kva_join(&p->space, start);
        if (at + run < QUANTA && is_letter(p->map[at + run])) {
            if (status == KVA_OK)
                draw_pooled(p, at + run, run_at(p, at + run), p->map[at]);
        } else {
            assert_int_equal(status, KVA_ENOENT);
            status = KVA_OK;
        }
        break;
    case OWNER:
        status = kva_set_owner(&p->space, start, letter_owner(letter));
        assert_int_equal(status, KVA_OK);
        draw_pooled(p, at, run, letter);
        break;
    case MOVE: {
        bool is_free = to + run <= QUANTA;
        char own = p->map[at];
        for (unsigned i = to; is_free && i < to + run; i++) {
            is_free = !is_letter(p->map[i]) || (i >= at && i < at + run);
        }
        status = kva_move(&p->space, start, quantum_at(p, to), NULL);
        if (to + run > QUANTA) {
            assert_true(status == KVA_ERANGE || status == KVA_EWRAP);
            return KVA_OK;
        }
        if (!is_free) {
            assert_true(status == KVA_EEXIST || status == KVA_ENOMEM);
            return status == KVA_EEXIST ? KVA_OK : status;
        }
        if (status == KVA_OK) {
            draw_pooled(p, at, run, '.');
            draw_pooled(p, to, run, own);
        }
        break;
    }
    default:
        assert_int_equal(kva_free_sized(&p->space, start, (run + 1) * p->place.quantum), KVA_ESIZE);
        status = kva_free_sized(&p->space, start, run * p->place.quantum);
        assert_int_equal(status, KVA_OK);
        draw_pooled(p, at, run, '.');
        break;
    }
    assert_true(status == KVA_OK || status == KVA_ENOMEM);
    return status;
}

static void defer_pooled(struct pooled *p, unsigned at)
{
    if (!find_letter(p, &at))
        return;
    assert_int_equal(kva_free_deferred(&p->space, quantum_at(p, at)), KVA_OK);
    draw_pooled(p, at, run_at(p, at), '-');
}

/** One random call. */
static enum kva_status disturb(struct pooled *p, struct test_rng *rng)
{
    unsigned at = (unsigned)test_below(rng, QUANTA);
    unsigned what = (unsigned)test_below(rng, 16);

    if (what < 7) {
        unsigned size = 1 + (unsigned)test_below(rng, test_one_in(rng, 4) ? QUANTA - at - (at == 0) : 4);
        return act(p, what, at, size > QUANTA - at ? QUANTA - at : size, (unsigned)test_below(rng, QUANTA));
    }
    if (what < 14)
        alloc_pooled(p, 1 + (unsigned)test_below(rng, 4));
    else if (what == 14)
        defer_pooled(p, at);
    else if (test_one_in(rng, 4))
        assert_int_equal(kva_pools_drain(&p->space), KVA_OK);
    return KVA_OK;
}

static void pools_make_no_difference(void **state)
{
    const struct kva_engine *engine;
    static struct pooled p;
    (void)state;
    for_each_engine (engine, e) {
        struct test_rng rng = test_rng_of(160 + e);
        for (uint64_t round = 0; round < TEST_PLACES; round++) {
            begin_pooled(&p, engine, round);
            for (uint64_t i = 0; i < test_scaled(700); i++) {
                assert_int_equal(disturb(&p, &rng), KVA_OK);
                expect_pooled(&p, "at random");
            }
            end_pooled(&p);
        }
    }
}

/* At intervals a call gets no memory: it changes nothing, and later calls succeed. */
static void pools_without_memory(void **state)
{
    const struct kva_engine *engine;
    static struct pooled p;
    uint64_t refused = 0;
    (void)state;
    for_each_engine (engine, e) {
        struct test_rng rng = test_rng_of(180 + e);
        for (uint64_t round = 0; round < TEST_PLACES; round++) {
            begin_pooled(&p, engine, round);
            p.memory.largest = (size_t)256 << round % 5; /* small blocks are soon used up */
            for (uint64_t i = 0; i < test_scaled(700); i++) {
                kva_failing_memory_fail(&p.memory, 1 + test_below(&rng, 2), test_one_in(&rng, 2));
                enum kva_status status = disturb(&p, &rng);
                kva_failing_memory_fail(&p.memory, 0, false);
                refused += status == KVA_ENOMEM;
                expect_pooled(&p, "without memory");
            }
            end_pooled(&p);
        }
    }
    print_message("%" PRIu64 " calls without memory\n", refused);
}

/* An object that lies wholly in the range returns to its span without memory. */
static void clearing_whole_objects_takes_no_memory(void **state)
{
    const struct kva_engine *engine;
    static struct pooled p;
    (void)state;
    for_each_engine (engine, e) {
        begin_pooled(&p, engine, e);
        for (unsigned i = 0; i < 9; i++)
            alloc_pooled(&p, 1 + i % 2);
        uint64_t takes = p.memory.takes;
        kva_failing_memory_fail(&p.memory, 1, true);
        assert_int_equal(act(&p, CLEAR, 0, QUANTA - 1, 0), KVA_OK); /* all quanta may be 2^64 bytes */
        assert_int_equal(p.memory.takes, takes);
        expect_pooled(&p, "cleared");
        end_pooled(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bad_input_is_named),
        cmocka_unit_test(no_space_is_named),
        cmocka_unit_test(a_flush_callback_may_call_none),
        cmocka_unit_test(mappings_are_split_joined_and_unmapped),
        cmocka_unit_test(a_segment_of_all_addresses),
        cmocka_unit_test(a_middle_is_taken_over_with_all_memory_or_not),
        cmocka_unit_test(pools_make_no_difference),
        cmocka_unit_test(pools_without_memory),
        cmocka_unit_test(clearing_whole_objects_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
