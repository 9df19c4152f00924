/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Lock-step: all engines of the build and the model do the same random operations, and must not be told
 * apart. After each operation the statuses, the addresses, the reported conflicts and what the flush
 * callback was told are compared; every so often the whole listing and the statistics, too.
 *
 * GEOMETRIES differ in where the space lies (from 0, to 2^64 - 1, both, neither), in the quantum, in how
 * many units there are, and in pressure. Where a space has too many units for the model's array, the
 * engines are compared with one another alone.
 *
 * PRESSURE   Sizes are small against the space and the operations that give back are as frequent as those
 *   that take, so a space fills until requests fail; a tide turns the balance every so often, so that it is
 *   seen nearly empty, half full, and full.
 *
 * Address arguments come from the space itself (where segments start, end and lie), and are spoiled now and
 * then: so the calls hit every row of the status table, and the model says which.
 */
#include "../common/filter.h"
#include "../common/harness.h"
#include "../common/model.h"
#include "../common/picture.h"
#include "../common/place.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

#define ENGINES 8
#define PARTS 4
#define SENTINEL UINT64_C(0x5ca1ab1e0ddba11)

struct geometry {
    const char *name;
    uint64_t base; /* address of unit 0 */
    uint64_t quantum;
    uint64_t low; /* the space begins as the units [low, high] */
    uint64_t high;
    uint64_t floor; /* and may grow to [floor, roof] */
    uint64_t roof;
    uint64_t largest; /* the largest usual request, in quanta */
    uint64_t operations;
};

/* ---------------------------------------------------------------------------------------- operations */

enum kind {
    ALLOC,
    SEARCH,
    CONGRUENT,
    RESERVE,
    FREE,
    FREE_RANGE,
    RESIZE,
    FREE_DEFERRED,
    FLUSH,
    SET_LIMIT,
    GROW,
    FIND,
    PRELOAD,
    KINDS
};

static const char *const kind_names[KINDS] = {"alloc",      "search", "congruent", "reserve", "free",
                                              "free_range", "resize", "defer",     "flush",   "set_limit",
                                              "grow",       "find",   "preload"};

struct operation {
    enum kind kind;
    struct kva_request request; /* alloc, search, congruent */
    struct test_filter filter;  /* of the request, if it has one */
    struct kva_part parts[PARTS];
    size_t count;
    uint64_t a; /* an address, a limit, the new first */
    uint64_t b; /* a size, the new last */
    void *owner;
};

struct outcome {
    enum kva_status status;
    uint64_t address;
    struct kva_segment segment;
};

static void describe(const struct operation *op, char *text, size_t bytes)
{
    const struct kva_request *r = &op->request;
    if (op->kind == ALLOC || op->kind == SEARCH || op->kind == CONGRUENT)
        snprintf(text, bytes,
                 "%s size %#" PRIx64 " align %#" PRIx64 " phase %#" PRIx64 " nocross %#" PRIx64
                 " window [%#" PRIx64 ", %#" PRIx64 "] policy %d target %#" PRIx64 " random %#" PRIx64
                 " filter %#x gap %#" PRIx64 " flags %#x parts %zu",
                 kind_names[op->kind], r->size, r->align, r->phase, r->nocross, r->min, r->max,
                 (int)r->policy, r->target, r->random, r->filter ? op->filter.rules : 0, op->filter.gap,
                 r->flags, op->count);
    else
        snprintf(text, bytes, "%s(%#" PRIx64 ", %#" PRIx64 ")", kind_names[op->kind], op->a, op->b);
}

static void clear(struct outcome *outcome)
{
    memset(outcome, 0, sizeof(*outcome));
    outcome->address = SENTINEL;
    outcome->segment.start = SENTINEL;
}

static void apply(struct kva_space *space, const struct operation *op, struct outcome *out)
{
    clear(out);
    switch (op->kind) {
    case ALLOC:
        out->status = kva_alloc(space, &op->request, &out->address);
        break;
    case SEARCH:
        out->status = kva_search(space, &op->request, &out->address);
        break;
    case CONGRUENT:
        out->status = kva_alloc_congruent(space, &op->request, op->parts, op->count, &out->address);
        break;
    case RESERVE:
        out->status = kva_reserve(space, op->a, op->b, op->owner, &out->segment);
        break;
    case FREE:
        out->status = kva_free(space, op->a);
        break;
    case FREE_RANGE:
        out->status = kva_free_range(space, op->a, op->b);
        break;
    case RESIZE:
        out->status = kva_resize(space, op->a, op->b);
        break;
    case FREE_DEFERRED:
        out->status = kva_free_deferred(space, op->a);
        break;
    case FLUSH:
        out->status = kva_flush(space);
        break;
    case SET_LIMIT:
        out->status = kva_set_deferred_limit(space, op->a);
        break;
    case GROW:
        out->status = kva_space_grow(space, op->a, op->b);
        break;
    case FIND:
        out->status = kva_find(space, op->a, &out->segment);
        break;
    case PRELOAD:
        out->status = kva_preload(space, (size_t)op->a);
        break;
    case KINDS:
        break;
    }
}

static void apply_to_model(struct model *model, const struct operation *op, struct outcome *out)
{
    clear(out);
    switch (op->kind) {
    case ALLOC:
        out->status = model_alloc(model, &op->request, &out->address);
        break;
    case SEARCH:
        out->status = model_search(model, &op->request, &out->address);
        break;
    case CONGRUENT:
        out->status = model_alloc_congruent(model, &op->request, op->parts, op->count, &out->address);
        break;
    case RESERVE:
        out->status = model_reserve(model, op->a, op->b, op->owner, &out->segment);
        break;
    case FREE:
        out->status = model_free(model, op->a);
        break;
    case FREE_RANGE:
        out->status = model_free_range(model, op->a, op->b);
        break;
    case RESIZE:
        out->status = model_resize(model, op->a, op->b);
        break;
    case FREE_DEFERRED:
        out->status = model_free_deferred(model, op->a);
        break;
    case FLUSH:
        out->status = model_flush(model);
        break;
    case SET_LIMIT:
        model->deferred_limit = op->a;
        out->status = KVA_OK;
        break;
    case GROW:
        out->status = model_grow(model, op->a, op->b);
        break;
    case FIND:
        out->status = model_find(model, op->a, &out->segment);
        break;
    case PRELOAD:
    case KINDS:
        out->status = KVA_OK;
        break;
    }
}

/* --------------------------------------------------------------------------------------------- the team */

/** What the flush callback of one space was told. */
struct flush_log {
    uint64_t calls;
    uint64_t start;
    uint64_t last;
};

struct member {
    const char *name;
    struct kva_space space;
    struct kva_failing_memory memory;
    struct flush_log log;
};

struct team {
    const struct geometry *geometry;
    struct member members[ENGINES];
    size_t count;
    struct model *model; /* NULL: too many units */
    uint64_t first;      /* the space's ends now */
    uint64_t last;
    struct test_rng rng;
    bool rising;                     /* the tide: more is taken than given back */
    uint64_t seen[KINDS][65];        /* how often an operation of a kind had a status */
    uint64_t shaped[KINDS];          /* how often a request with a shape was served */
    uint64_t chosen[KVA_RANDOM + 1]; /* how often one of a policy was */
    uint64_t filtered;               /* how often one with a filter was */
};

static void log_flush(void *context, uint64_t start, uint64_t last)
{
    struct flush_log *log = context;
    log->calls++;
    log->start = start;
    log->last = last;
}

static void add_member(struct team *team, const struct kva_engine *engine, const char *name)
{
    struct member *member = &team->members[team->count++];
    struct kva_config config = {0};

    member->name = name;
    config.first = team->first;
    config.last = team->last;
    config.quantum = team->geometry->quantum;
    config.engine = engine;
    config.memory = kva_failing_memory_init(&member->memory);
    config.flush = log_flush;
    config.flush_context = &member->log;
    config.deferred_limit = UINT64_MAX;
    config.best_fit = (team->rng.state ^ team->count) & 1; /* every other member of a team */
    assert_int_equal(kva_space_init(&member->space, &config), KVA_OK);
    /* scan moves its array when it grows; the others keep their memory to the end. */
    member->memory.give_is_a_bug = engine != &kva_engine_scan;
}

static void assemble(struct team *team, const struct geometry *geometry, struct model *model, uint64_t stream)
{
    const struct kva_engine *engine;

    memset(team, 0, sizeof(*team));
    team->geometry = geometry;
    team->rng = test_rng_of(stream);
    if (geometry->roof < MODEL_UNITS) {
        team->model = model;
        model_init(model, geometry->base, geometry->quantum, (size_t)geometry->low, (size_t)geometry->high);
        model->deferred_limit = UINT64_MAX;
    }
    team->first = geometry->base + geometry->low * geometry->quantum;
    team->last = geometry->base + geometry->high * geometry->quantum + (geometry->quantum - 1);
    for_each_engine (engine, i)
        add_member(team, engine, test_engine_name(i));
    assert_true(team->count >= 2);
}

static void disband(struct team *team)
{
    for (size_t i = 0; i < team->count; i++) {
        struct member *member = &team->members[i];
        test_expect_sound(&member->space, team->first, team->last);
        member->memory.give_is_a_bug = false;
        assert_int_equal(kva_space_abandon(&member->space), KVA_OK);
        assert_int_equal(member->memory.blocks, 0);
    }
}

/* ------------------------------------------------------------------------------------------- comparisons */

static void compare_outcomes(const struct team *team, size_t number, const struct operation *op,
                             const struct outcome *a, const char *name_a, const struct outcome *b,
                             const char *name_b)
{
    char text[500];

    if (a->status == b->status && a->address == b->address && test_same_segment(&a->segment, &b->segment))
        return;
    describe(op, text, sizeof(text));
    check_that(false,
               "%s, operation %zu: %s\n    %s: %s, %#" PRIx64 ", segment %#" PRIx64 "\n    %s: %s, %#" PRIx64
               ", segment %#" PRIx64,
               team->geometry->name, number, text, name_a, kva_status_name(a->status), a->address,
               a->segment.start, name_b, kva_status_name(b->status), b->address, b->segment.start);
}

/** Every flush so far was announced once, and the last one with the right range. */
static void compare_flushes(const struct team *team, size_t number)
{
    const struct flush_log *log = &team->members[0].log;

    for (size_t i = 1; i < team->count; i++)
        check_that(memcmp(log, &team->members[i].log, sizeof(*log)) == 0, "%s, operation %zu: flushes differ",
                   team->geometry->name, number);
    if (team->model != NULL)
        check_that(log->calls == team->model->flushes && log->start == team->model->flush_start &&
                       log->last == team->model->flush_last,
                   "%s, operation %zu: flush %#" PRIx64 "..%#" PRIx64 ", model %#" PRIx64 "..%#" PRIx64,
                   team->geometry->name, number, log->start, log->last, team->model->flush_start,
                   team->model->flush_last);
}

static void compare_with_model(const struct model *model, const struct test_picture *picture,
                               const char *name)
{
    struct kva_stats stats;
    size_t i = 0;
    uint64_t address = model_first(model);

    for (;; i++) {
        struct kva_segment segment;
        assert_int_equal(model_find(model, address, &segment), KVA_OK);
        check_that(i < picture->count && test_same_segment(&picture->segments[i], &segment),
                   "%s: segment %zu at %#" PRIx64, name, i, address);
        if (segment.last == model_last(model))
            break;
        address = segment.last + 1;
    }
    assert_int_equal(i + 1, picture->count);
    model_stats(model, &stats);
    check_that(test_same_stats(&stats, &picture->stats), "%s: statistics differ from the model's", name);
}

static void compare_listings(struct team *team)
{
    struct test_picture first = {0}, other = {0};

    test_expect_sound(&team->members[0].space, team->first, team->last);
    test_picture_take(&first, &team->members[0].space);
    if (team->model != NULL)
        compare_with_model(team->model, &first, team->members[0].name);
    for (size_t i = 1; i < team->count; i++) {
        const struct member *member = &team->members[i];
        assert_int_equal(kva_space_check(&member->space, NULL), KVA_OK);
        test_picture_take(&other, &member->space);
        check_that(test_same_listing(&first, &other), "%s: the listing of %s differs", team->geometry->name,
                   member->name);
        check_that(test_same_stats(&first.stats, &other.stats), "%s: the statistics of %s differ",
                   team->geometry->name, member->name);
    }
    test_picture_drop(&first);
    test_picture_drop(&other);
}

/* ------------------------------------------------------------------------------------------- generation */

static void *owner_of(uint64_t value)
{
    return (void *)(uintptr_t)value;
}

/** An address in the space: an end of it, or any. */
static uint64_t any_address(struct team *team)
{
    uint64_t span = team->last - team->first;
    if (test_one_in(&team->rng, 16))
        return team->first;
    if (test_one_in(&team->rng, 16))
        return team->last;
    return team->first + (span == UINT64_MAX ? test_random(&team->rng) : test_below(&team->rng, span + 1));
}

/** The segment at a random place, or, in a sparse space, a busy one not far behind it. */
static struct kva_segment any_segment(struct team *team, bool busy)
{
    struct kva_segment segment;

    assert_int_equal(kva_find(&team->members[0].space, any_address(team), &segment), KVA_OK);
    for (int tries = 0; busy && tries < 3 && segment.state != KVA_BUSY; tries++) {
        if (kva_next(&team->members[0].space, &segment) != KVA_OK)
            break;
    }
    return segment;
}

/** A size of 1 to `quanta` quanta; not always a multiple of the quantum. */
static uint64_t any_size(struct team *team, uint64_t quanta)
{
    uint64_t quantum = team->geometry->quantum;
    uint64_t size = (1 + test_below(&team->rng, quanta)) * quantum;
    if (size == 0) /* 2^64: the largest size is one less */
        return UINT64_MAX;
    return test_one_in(&team->rng, 4) ? size - test_below(&team->rng, quantum) : size;
}

static uint64_t usual_size(struct team *team)
{
    uint64_t largest = team->geometry->largest;
    return any_size(team, test_one_in(&team->rng, 8) ? largest : 1 + largest / 4);
}

/** From 1 to 32 times the quantum, or, rarely, anything. */
static uint64_t any_align(struct team *team)
{
    uint64_t align = team->geometry->quantum;
    if (test_one_in(&team->rng, 16))
        return UINT64_C(1) << test_below(&team->rng, 64);
    if (test_one_in(&team->rng, 2))
        return 1;
    align <<= test_below(&team->rng, 6);
    return align == 0 ? 1 : align;
}

static void any_window(struct team *team, struct kva_request *request)
{
    uint64_t a = any_address(team), b = any_address(team);
    request->min = a < b ? a : b;
    request->max = a < b ? b : a;
    if (test_one_in(&team->rng, 4))
        request->min = 0; /* reaches outside the space, which is allowed */
    if (test_one_in(&team->rng, 4))
        request->max = UINT64_MAX;
}

static void any_request(struct team *team, struct operation *op)
{
    op->request = kva_request_of(usual_size(team));
    op->request.owner = op->owner;
    op->request.policy = test_one_in(&team->rng, 2) ? KVA_LOWEST : KVA_HIGHEST;
    if (test_one_in(&team->rng, 2))
        op->request.align = any_align(team);
    if (test_one_in(&team->rng, 2))
        any_window(team, &op->request);
    if (test_one_in(&team->rng, 8)) /* fields as a designated initialiser leaves them */
        op->request.align = 0;
    if (test_one_in(&team->rng, 8))
        op->request.min = op->request.max = 0;
}

/** An alignment of a few quanta, or, rarely, of any number of them; and a phase. */
static void any_steps(struct team *team, struct kva_request *request)
{
    uint64_t quantum = team->geometry->quantum;

    request->align = test_one_in(&team->rng, 16) ? test_random(&team->rng) & ~(quantum - 1)
                                                 : (1 + test_below(&team->rng, 24)) * quantum;
    if (request->align == 0)
        request->align = quantum;
    if (!test_one_in(&team->rng, 3))
        request->phase = test_below(&team->rng, request->align) & ~(quantum - 1);
}

/** A boundary for a range of `least` bytes, rounded up: a few times its size at most, or, rarely, any. */
static uint64_t any_boundary(struct team *team, uint64_t least)
{
    uint64_t quantum = team->geometry->quantum;
    uint64_t boundary = quantum;
    uint64_t doublings = test_one_in(&team->rng, 16) ? test_below(&team->rng, 64) : test_below(&team->rng, 4);

    while (boundary < least && boundary <= UINT64_MAX / 2)
        boundary *= 2;
    if (boundary < least)
        return 0;
    while (doublings-- > 0 && boundary <= UINT64_MAX / 2)
        boundary *= 2;
    return boundary;
}

/** Alignment and phase, or a boundary, or all three. */
static void any_shape(struct team *team, struct kva_request *request)
{
    uint64_t what = test_below(&team->rng, 4);

    if (what != 0)
        any_steps(team, request);
    if (what <= 1)
        request->nocross = any_boundary(team, request->size);
}

/** A target in the space, at the end of a range or near it, or, rarely, anywhere. */
static uint64_t any_target(struct team *team)
{
    if (test_one_in(&team->rng, 8))
        return test_random(&team->rng);
    if (test_one_in(&team->rng, 16))
        return test_one_in(&team->rng, 2) ? 0 : UINT64_MAX;
    return test_one_in(&team->rng, 2) ? any_segment(team, false).start : any_address(team);
}

static void any_policy(struct team *team, struct kva_request *request)
{
    request->policy = (enum kva_policy)test_below(&team->rng, KVA_RANDOM + 1);
    request->target = any_target(team);
    request->random = test_one_in(&team->rng, 8) ? -test_below(&team->rng, 2) : test_random(&team->rng);
}

static void any_filter(struct team *team, struct operation *op)
{
    op->filter.rules = (unsigned)(test_random(&team->rng) & test_random(&team->rng)) & TEST_FILTER_RULES;
    op->filter.gap = any_size(team, 2);
    op->request.filter = test_filter;
    op->request.filter_context = &op->filter;
}

/** What goes beyond shapes and windows: each for itself now and then, so that they meet. */
static void any_choice(struct team *team, struct operation *op)
{
    if (test_one_in(&team->rng, 2))
        any_policy(team, &op->request);
    if (test_one_in(&team->rng, 4))
        any_filter(team, op);
    if (test_one_in(&team->rng, 4))
        op->request.flags = KVA_NO_BLOCK;
}

/** A shape that is refused: each row of the table has its turn. */
static void spoil_shape(struct team *team, struct kva_request *request)
{
    uint64_t quantum = team->geometry->quantum;

    switch (test_below(&team->rng, 6)) {
    case 0:
        request->align = 3 * quantum + quantum / 2; /* with a quantum of 1 it is one */
        break;
    case 1:
        request->align = 3; /* with a quantum of 1 or 2, too */
        break;
    case 2:
        request->phase = request->align + quantum;
        break;
    case 3:
        request->phase |= quantum / 2 + 1;
        break;
    case 4:
        request->nocross = 3 * quantum;
        break;
    default:
        request->nocross = quantum << test_below(&team->rng, 4);
        break;
    }
}

/** Now and then one field that makes no sense. */
static void spoil_request(struct team *team, struct kva_request *request)
{
    if (!test_one_in(&team->rng, 24))
        return;
    switch (test_below(&team->rng, 7)) {
    case 0:
        request->size = 0;
        break;
    case 1:
        request->size = UINT64_MAX - test_below(&team->rng, 2 * team->geometry->quantum);
        break;
    case 2:
        spoil_shape(team, request);
        break;
    case 3:
        request->min = request->max;
        request->max = any_address(team);
        break;
    case 4:
        request->min = team->last;
        request->max = UINT64_MAX;
        break;
    case 5:
        request->flags = 2U << test_below(&team->rng, 31) | (unsigned)test_below(&team->rng, 2);
        break;
    default:
        request->policy =
            (enum kva_policy)(test_one_in(&team->rng, 4) ? INT32_MIN + (int)test_below(&team->rng, 9)
                                                         : 5 + (int)test_below(&team->rng, 9));
        break;
    }
}

/** An alignment that is a power of two, or a shape without a boundary. */
static void any_steps_of_parts(struct team *team, struct kva_request *request)
{
    uint64_t quantum = team->geometry->quantum;

    request->align = quantum << test_below(&team->rng, 3);
    if (test_one_in(&team->rng, 4)) {
        request->align = (1 + test_below(&team->rng, 7)) * quantum;
        request->phase = test_below(&team->rng, request->align) & ~(quantum - 1);
    }
    if (request->align == 0)
        request->align = quantum;
}

static void any_parts(struct team *team, struct operation *op)
{
    uint64_t offset = 0;

    any_steps_of_parts(team, &op->request);
    uint64_t step = op->request.align;
    op->count = 1 + (size_t)test_below(&team->rng, PARTS);
    for (size_t i = 0; i < op->count; i++) {
        op->parts[i].offset = offset;
        op->parts[i].size = any_size(team, 1 + team->geometry->largest / 8);
        uint64_t room = op->parts[i].size / step + (op->parts[i].size % step != 0);
        offset += (room + test_below(&team->rng, 4)) * step;
    }
    if (test_one_in(&team->rng, 4))
        op->request.flags = KVA_NO_BLOCK;
    op->request.nocross = test_one_in(&team->rng, 32) ? team->geometry->quantum : 0; /* refused */
    if (test_one_in(&team->rng, 32))
        any_filter(team, op); /* refused */
    if (test_one_in(&team->rng, 32))
        any_policy(team, &op->request); /* refused, or not */
    if (test_one_in(&team->rng, 8))
        op->request.align = 0;
    if (test_one_in(&team->rng, 16)) {
        struct kva_part *part = &op->parts[test_below(&team->rng, op->count)];
        uint64_t *field = test_one_in(&team->rng, 2) ? &part->offset : &part->size;
        *field = test_one_in(&team->rng, 2) ? 0 : *field + 1;
    }
}

static void any_growth(struct team *team, struct operation *op)
{
    const struct geometry *g = team->geometry;
    uint64_t floor = g->base + g->floor * g->quantum;
    uint64_t roof = g->base + g->roof * g->quantum + (g->quantum - 1);

    op->a = team->first;
    op->b = team->last;
    if (op->a > floor && test_one_in(&team->rng, 2))
        op->a -= g->quantum;
    if (op->b < roof && test_one_in(&team->rng, 2))
        op->b += g->quantum;
    if (test_one_in(&team->rng, 4))
        op->a += g->quantum; /* would shrink, or stays */
    if (test_one_in(&team->rng, 8))
        op->b -= g->quantum / 2;
}

/** Now and then a near miss of an address: one beside, or outside the space. */
static void spoil_address(struct team *team, uint64_t *address)
{
    if (!test_one_in(&team->rng, 16))
        return;
    switch (test_below(&team->rng, 4)) {
    case 0:
        *address += 1;
        break;
    case 1:
        *address += team->geometry->quantum;
        break;
    case 2:
        *address = team->last + team->geometry->quantum / 2 + 1;
        break;
    default:
        *address = team->first - 1;
        break;
    }
}

static void any_range(struct team *team, struct operation *op)
{
    uint64_t quantum = team->geometry->quantum;
    struct kva_segment segment;

    if (op->kind == RESERVE) {
        segment = any_segment(team, false);
        op->a = test_one_in(&team->rng, 2) ? segment.start : any_address(team) & ~(quantum - 1);
        op->b = usual_size(team);
    } else {
        segment = any_segment(team, true);
        uint64_t units = (segment.last - segment.start) / quantum;
        op->a = segment.start;
        if (op->kind == FREE_RANGE && units != 0)
            op->a += (1 + test_below(&team->rng, units)) % (units + (units != UINT64_MAX)) * quantum;
        op->b = any_size(team, 1 + (segment.last - op->a) / quantum % (UINT64_MAX - 1));
        if (op->kind == FREE_RANGE && test_one_in(&team->rng, 16))
            op->b += quantum; /* may end after the segment */
        if (op->kind == RESIZE && test_one_in(&team->rng, 2))
            op->b = any_size(team, team->geometry->largest);
    }
    spoil_address(team, &op->a);
    if (test_one_in(&team->rng, 64))
        op->b = test_one_in(&team->rng, 2) ? 0 : UINT64_MAX - test_below(&team->rng, 2 * quantum);
}

/** One in so many of each kind, in 100: while the tide rises, and while it falls. */
static enum kind any_kind(struct team *team)
{
    static const unsigned char rising[KINDS] = {42, 6, 6, 10, 8, 5, 8, 4, 1, 1, 1, 6, 2};
    static const unsigned char falling[KINDS] = {21, 4, 3, 5, 22, 10, 8, 15, 3, 1, 1, 6, 1};
    const unsigned char *weights = team->rising ? rising : falling;
    uint64_t point = test_below(&team->rng, 100);
    unsigned kind = 0;

    while (point >= weights[kind])
        point -= weights[kind++];
    return (enum kind)kind;
}

static void generate(struct team *team, struct operation *op)
{
    memset(op, 0, sizeof(*op));
    op->kind = any_kind(team);
    op->owner = owner_of(test_below(&team->rng, 1000));
    switch (op->kind) {
    case ALLOC:
    case SEARCH:
        any_request(team, op);
        if (test_one_in(&team->rng, 3))
            any_shape(team, &op->request);
        if (test_one_in(&team->rng, 2))
            any_choice(team, op);
        spoil_request(team, &op->request);
        break;
    case CONGRUENT:
        any_request(team, op);
        any_parts(team, op);
        spoil_request(team, &op->request);
        break;
    case RESERVE:
    case FREE_RANGE:
    case RESIZE:
        any_range(team, op);
        break;
    case FREE:
    case FREE_DEFERRED:
        op->a = any_segment(team, true).start;
        spoil_address(team, &op->a);
        break;
    case FIND:
        op->a = any_address(team);
        spoil_address(team, &op->a);
        break;
    case SET_LIMIT:
        op->a = test_one_in(&team->rng, 8) ? UINT64_MAX : any_size(team, team->geometry->largest) - 1;
        break;
    case GROW:
        any_growth(team, op);
        break;
    case PRELOAD:
        op->a = test_below(&team->rng, 20);
        break;
    case FLUSH:
    case KINDS:
        break;
    }
}

/* --------------------------------------------------------------------------------------------- the runs */

static void step(struct team *team, size_t number)
{
    struct operation op;
    struct outcome reference, other;

    generate(team, &op);
    apply(&team->members[0].space, &op, &reference);
    for (size_t i = 1; i < team->count; i++) {
        apply(&team->members[i].space, &op, &other);
        compare_outcomes(team, number, &op, &reference, team->members[0].name, &other, team->members[i].name);
    }
    if (team->model != NULL) {
        apply_to_model(team->model, &op, &other);
        compare_outcomes(team, number, &op, &reference, team->members[0].name, &other, "model");
    }
    compare_flushes(team, number);
    team->seen[op.kind][reference.status]++;
    if (reference.status == KVA_OK && (op.request.phase | op.request.nocross) != 0)
        team->shaped[op.kind]++;
    if (reference.status == KVA_OK && op.kind <= SEARCH) {
        team->chosen[op.request.policy]++;
        team->filtered += op.request.filter != NULL;
    }
    if (op.kind == GROW && reference.status == KVA_OK) {
        team->first = op.a;
        team->last = op.b;
    }
}

/** The run was worth something: what must be common was, and what must be possible happened. */
static void expect_variety(const struct team *team)
{
    static const struct {
        enum kind kind;
        enum kva_status status;
    } wanted[] = {
        {ALLOC, KVA_OK},         {ALLOC, KVA_ENOSPC},    {RESERVE, KVA_OK},       {RESERVE, KVA_EEXIST},
        {FREE, KVA_OK},          {FREE, KVA_EDOUBLE},    {FREE_RANGE, KVA_OK},    {FREE_RANGE, KVA_ERANGE},
        {RESIZE, KVA_OK},        {RESIZE, KVA_ENOSPC},   {FREE_DEFERRED, KVA_OK}, {CONGRUENT, KVA_OK},
        {CONGRUENT, KVA_ENOSPC}, {FIND, KVA_OK},         {ALLOC, KVA_ESIZE},      {ALLOC, KVA_EALIGN},
        {ALLOC, KVA_EINVAL},     {ALLOC, KVA_EAGAIN},    {SEARCH, KVA_OK},        {SEARCH, KVA_ENOSPC},
        {SEARCH, KVA_EAGAIN},    {CONGRUENT, KVA_EINVAL}};

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        check_that(team->seen[wanted[i].kind][wanted[i].status] > 0, "%s: no %s was answered with %s",
                   team->geometry->name, kind_names[wanted[i].kind], kva_status_name(wanted[i].status));
    check_that(team->shaped[ALLOC] > 0 && team->shaped[CONGRUENT] > 0, "%s: no shape was served",
               team->geometry->name);
    for (int policy = 0; policy <= KVA_RANDOM; policy++)
        check_that(team->chosen[policy] > 0, "%s: no request of policy %d was served", team->geometry->name,
                   policy);
    check_that(team->filtered > 0, "%s: no request with a filter was served", team->geometry->name);
}

static void run(const struct geometry *geometry, uint64_t stream)
{
    static struct team team;
    static struct model model;
    uint64_t operations = test_scaled(geometry->operations);
    uint64_t most = 0, successes = 0;
    struct kva_stats stats;

    assemble(&team, geometry, &model, stream);
    for (uint64_t i = 0; i < operations; i++) {
        if (test_one_in(&team.rng, 1000))
            team.rising = !team.rising;
        step(&team, (size_t)i);
        if (i % 61 == 0) { /* a prime: in step with nothing */
            compare_listings(&team);
            assert_int_equal(kva_stats_read(&team.members[0].space, &stats), KVA_OK);
            if (stats.busy_segments > most)
                most = stats.busy_segments;
        }
    }
    compare_listings(&team);
    if (operations >= 60000)
        expect_variety(&team);
    for (int kind = 0; kind < KINDS; kind++)
        successes += team.seen[kind][KVA_OK];
    print_message("%s: %" PRIu64 " operations (%" PRIu64 " successful, %" PRIu64
                  " with a phase or a boundary) on %zu engines%s, up to %" PRIu64 " busy segments, %" PRIu64
                  " flushes\n",
                  geometry->name, operations, successes, team.shaped[ALLOC] + team.shaped[CONGRUENT],
                  team.count, team.model != NULL ? " and the model" : "", most, team.members[0].log.calls);
    disband(&team);
}

#define TOP_BASE(units, quantum) (UINT64_MAX - (uint64_t)(units) * (quantum) + 1)
#define MIB2 (UINT64_C(2) << 20)

static const struct geometry geometries[] = {
    /* name               base                      quantum             low  high floor roof largest  operations */
    {"tiny and dense", UINT64_C(0x1000), 1, 8, 71, 0, 79, 12, 1000000},
    {"from 0", 0, 1, 0, 199, 0, 255, 16, 250000},
    {"to the top", TOP_BASE(256, 1), 1, 40, 255, 0, 255, 16, 250000},
    {"top, quantum 4096", TOP_BASE(128, 4096), 4096, 28, 127, 0, 127, 10, 250000},
    {"all, 64 quanta", 0, UINT64_C(1) << 58, 0, 63, 0, 63, 10, 250000},
    {"quantum 4096", UINT64_C(0x7f0000000000), 4096, 30, 150, 0, 170, 10, 250000},
    {"quantum 2 MiB", 0, MIB2, 0, 99, 0, 120, 10, 250000},
    {"larger", UINT64_C(0x100000), 16, 10, 900, 0, 910, 40, 100000},
};

static void small_spaces_against_the_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(geometries) / sizeof(geometries[0]); i++)
        run(&geometries[i], 100 + i);
}

/* In the place that the seed chooses: where none of the above may lie. */
static void a_small_space_in_any_place(void **state)
{
    enum { UNITS = 128 };
    (void)state;
    for (uint64_t i = 0; i < 2; i++) {
        struct test_place place = test_place(test_seed() / 7 + 5 * i, UNITS);
        struct geometry geometry = {.name = "drawn",
                                    .base = place.first,
                                    .quantum = place.quantum,
                                    .low = 20,
                                    .high = UNITS - 20,
                                    .roof = UNITS - 1,
                                    .largest = 10,
                                    .operations = 60000};
        print_message("from %#" PRIx64 " at quantum %#" PRIx64 "\n", place.first, place.quantum);
        run(&geometry, 150 + i);
    }
}

/* Sizes here reach a sixteenth of all there is, so that sums come near 2^64 and wrap if anything lets them. */
static void all_addresses_one_by_one(void **state)
{
    static const struct geometry all = {.name = "all 2^64 addresses",
                                        .quantum = 1,
                                        .high = UINT64_MAX,
                                        .roof = UINT64_MAX,
                                        .largest = UINT64_C(1) << 60,
                                        .operations = 200000};
    (void)state;
    run(&all, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_spaces_against_the_model),
        cmocka_unit_test(a_small_space_in_any_place),
        cmocka_unit_test(all_addresses_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
