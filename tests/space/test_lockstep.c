/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Lock-step: all engines of the build and the model do the same random operations, and must not differ.
 * After each operation the statuses, addresses, reported conflicts and flushed ranges are compared; at
 * intervals the whole listing and the statistics.
 *
 * GEOMETRIES differ in where the space lies (from 0, to 2^64 - 1, both, neither), in the quantum, in the
 * number of units, and in pressure. Where a space has too many units for the model's array, only the engines
 * are compared.
 *
 * PRESSURE   Sizes are small against the space, and operations that free are as frequent as those that
 *   allocate, so a space fills until requests fail. A tide shifts the balance at intervals: the space is
 *   tested nearly empty, half full, and full.
 *
 * REGIONS   Ranges are added and removed. Most spaces have absent ranges most of the time, and their ends
 *   move.
 *
 * EVICTIONS   An eviction is one operation: candidates are added until the request fits, sometimes neighbours
 *   one after the other, and some twice; then it is finished. Another operation may come in between, mostly
 *   one that changes a candidate. The model cannot tell what becomes possible with a candidate that is added
 *   after that; therefore only a known candidate is added then.
 *
 * Address arguments come from the space itself (where segments start, end and lie). Some are spoiled, so that
 * the calls hit every row of the status table; the model predicts the row.
 */
#include "../common/filter.h"
#include "../common/harness.h"
#include "../common/model.h"
#include "../common/picture.h"
#include "../common/place.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/evict.h>
#include <kva/ranges.h>
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

/* --------------------------------------------------------------------------------------------- operations */

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
    CLEAR,
    RESERVE_OVER,
    SPLIT,
    JOIN,
    SET_OWNER,
    MOVE,
    FREE_SIZED,
    SPACE_ADD,
    SPACE_REMOVE,
    SPACE_SHRINK,
    SPACE_RESET,
    NEXT,
    LAST,
    PREV,
    FIRST_HOLE,
    NEXT_HOLE,
    LAST_HOLE,
    PREV_HOLE,
    FIRST_IN,
    NEXT_IN,
    EVICT, /* from here on: calls of one eviction, each with a status */
    EVICT_ADD,
    EVICT_FINISH,
    KINDS
};

static const char *const kind_names[KINDS] = {
    "alloc",     "search",     "congruent", "reserve",      "free",         "free_range",
    "resize",    "defer",      "flush",     "set_limit",    "grow",         "find",
    "preload",   "clear",      "over",      "split",        "join",         "set_owner",
    "move",      "free_sized", "space_add", "space_remove", "space_shrink", "space_reset",
    "next",      "last",       "prev",      "first_hole",   "next_hole",    "last_hole",
    "prev_hole", "first_in",   "next_in",   "evict",        "evict_add",    "evict_finish"};

/** The steps of an eviction: candidates are fed until the request fits; some victims are freed one by one;
 * the last call frees the rest. `disturbance` comes before that, or before a candidate is fed. */
struct script {
    uint64_t starts[MODEL_FED];
    size_t count;
    const struct operation *disturbance; /* NULL: none */
    size_t disturbed_at;
    unsigned freed; /* bit i: the i-th victim */
};

struct operation {
    enum kind kind;
    struct kva_request request; /* alloc, search, congruent, evict */
    struct test_filter filter;  /* of the request, if it has one */
    struct kva_part parts[PARTS];
    size_t count;
    uint64_t a; /* an address, a limit, the new first, or the least bytes */
    uint64_t b; /* a size, or the new last */
    void *owner;
    struct kva_segment segment; /* of a walk: what the last step returned */
    struct script script;
};

enum { MOST_RESULTS = 4 * MODEL_FED };

struct outcome {
    enum kva_status status;
    uint64_t address;
    uint64_t bytes;
    struct kva_segment segment;
    uint64_t results[MOST_RESULTS]; /* by an eviction: its statuses and its victims */
    size_t result_count;
};

static void describe(const struct operation *op, char *text, size_t bytes)
{
    const struct kva_request *r = &op->request;
    if (op->kind == ALLOC || op->kind == SEARCH || op->kind == CONGRUENT || op->kind == EVICT)
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
    outcome->bytes = SENTINEL;
    outcome->segment.start = SENTINEL;
}

static void apply_one(struct kva_space *space, const struct operation *op, struct outcome *out)
{
    clear(out);
    if (op->kind >= NEXT && op->kind < EVICT)
        out->segment = op->segment;
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
    case CLEAR:
        out->status = kva_clear(space, op->a, op->b, &out->bytes);
        break;
    case RESERVE_OVER:
        out->status = kva_reserve_over(space, op->a, op->b, op->owner, &out->bytes);
        break;
    case SPLIT:
        out->status = kva_split(space, op->a);
        break;
    case JOIN:
        out->status = kva_join(space, op->a);
        break;
    case SET_OWNER:
        out->status = kva_set_owner(space, op->a, op->owner);
        break;
    case MOVE:
        out->status = kva_move(space, op->a, op->b, &out->segment);
        break;
    case FREE_SIZED:
        out->status = kva_free_sized(space, op->a, op->b);
        break;
    case SPACE_ADD:
        out->status = kva_space_add(space, op->a, op->b);
        break;
    case SPACE_REMOVE:
        out->status = kva_space_remove(space, op->a, op->b);
        break;
    case SPACE_SHRINK:
        out->status = kva_space_shrink(space, op->a, op->b);
        break;
    case SPACE_RESET:
        out->status = kva_space_reset(space);
        break;
    case NEXT:
        out->status = kva_next(space, &out->segment);
        break;
    case LAST:
        out->status = kva_last(space, &out->segment);
        break;
    case PREV:
        out->status = kva_prev(space, &out->segment);
        break;
    case FIRST_HOLE:
        out->status = kva_first_hole(space, op->a, &out->segment);
        break;
    case NEXT_HOLE:
        out->status = kva_next_hole(space, op->a, &out->segment);
        break;
    case LAST_HOLE:
        out->status = kva_last_hole(space, op->a, &out->segment);
        break;
    case PREV_HOLE:
        out->status = kva_prev_hole(space, op->a, &out->segment);
        break;
    case FIRST_IN:
        out->status = kva_first_in(space, op->a, op->b, &out->segment);
        break;
    case NEXT_IN:
        out->status = kva_next_in(space, op->b, &out->segment);
        break;
    case EVICT:
    case EVICT_ADD:
    case EVICT_FINISH:
    case KINDS:
        break;
    }
}

static void note_result(struct outcome *out, uint64_t what)
{
    assert_true(out->result_count < MOST_RESULTS);
    out->results[out->result_count++] = what;
}

static void note_status(struct outcome *out, enum kind kind, enum kva_status status)
{
    note_result(out, (uint64_t)kind << 8 | (unsigned)status);
    out->status = status;
}

static void feed(struct kva_eviction *eviction, struct kva_candidate *candidate, uint64_t start,
                 struct outcome *out)
{
    note_status(out, EVICT_ADD, kva_evict_add(eviction, candidate, start));
}

/** After another operation: feed the segment that is now where the first candidate was. It is not new, so the
 * model can predict the result. The eviction ends there. */
static void feed_again(struct kva_space *space, const struct operation *op, struct kva_eviction *eviction,
                       struct kva_candidate *candidate, struct outcome *out)
{
    struct kva_segment segment;
    struct outcome other;
    uint64_t start = op->script.starts[0];

    apply_one(space, op->script.disturbance, &other);
    note_result(out, other.status);
    if (kva_find(space, start, &segment) == KVA_OK && segment.state == KVA_BUSY)
        start = segment.start;
    feed(eviction, candidate, start, out);
}

static void finish(struct kva_space *space, const struct operation *op, struct kva_eviction *eviction,
                   struct outcome *out)
{
    const struct script *script = &op->script;
    struct kva_candidate spare;
    struct outcome other;
    unsigned i = 0;

    for (struct kva_candidate *c = kva_evict_first(eviction); c != NULL;
         c = kva_evict_next(eviction, c), i++) {
        note_result(out, c->start);
        if (script->freed >> i % 32 & 1)
            assert_int_equal(kva_free(space, c->start), KVA_OK);
    }
    if (script->disturbance != NULL) {
        apply_one(space, script->disturbance, &other);
        note_result(out, other.status);
    }
    feed(eviction, &spare, script->starts[0], out); /* a place is already known */
    note_status(out, EVICT_FINISH, kva_evict_finish(eviction, &out->address));
    if (out->status == KVA_OK)
        note_status(out, EVICT_FINISH, kva_evict_finish(eviction, &out->address));
}

static void evict(struct kva_space *space, const struct operation *op, struct outcome *out)
{
    static struct kva_candidate candidates[MODEL_FED + 1];
    const struct script *script = &op->script;
    struct kva_eviction eviction;

    clear(out);
    note_status(out, EVICT, kva_evict_begin(space, &op->request, &eviction));
    if (out->status != KVA_OK)
        return;
    memset(candidates, 0xa5, sizeof(candidates));
    for (size_t i = 0; i < script->count; i++) {
        if (i > 0 && i == script->disturbed_at && script->disturbance != NULL) {
            feed_again(space, op, &eviction, &candidates[i], out);
            return;
        }
        feed(&eviction, &candidates[i], script->starts[i], out);
        if (out->status == KVA_OK) {
            finish(space, op, &eviction, out);
            return;
        }
    }
}

static void apply(struct kva_space *space, const struct operation *op, struct outcome *out)
{
    if (op->kind == EVICT)
        evict(space, op, out);
    else
        apply_one(space, op, out);
}

static void apply_one_to_model(struct model *model, const struct operation *op, struct outcome *out)
{
    clear(out);
    if (op->kind >= NEXT && op->kind < EVICT)
        out->segment = op->segment;
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
    case CLEAR:
        out->status = model_clear(model, op->a, op->b, &out->bytes);
        break;
    case RESERVE_OVER:
        out->status = model_reserve_over(model, op->a, op->b, op->owner, &out->bytes);
        break;
    case SPLIT:
        out->status = model_split(model, op->a);
        break;
    case JOIN:
        out->status = model_join(model, op->a);
        break;
    case SET_OWNER:
        out->status = model_set_owner(model, op->a, op->owner);
        break;
    case MOVE:
        out->status = model_move(model, op->a, op->b, &out->segment);
        break;
    case FREE_SIZED:
        out->status = model_free_sized(model, op->a, op->b);
        break;
    case SPACE_ADD:
        out->status = model_space_add(model, op->a, op->b);
        break;
    case SPACE_REMOVE:
        out->status = model_space_remove(model, op->a, op->b);
        break;
    case SPACE_SHRINK:
        out->status = model_space_shrink(model, op->a, op->b);
        break;
    case SPACE_RESET:
        out->status = model_space_reset(model);
        break;
    case NEXT:
        out->status = model_next(model, &out->segment);
        break;
    case LAST:
        out->status = model_last_segment(model, &out->segment);
        break;
    case PREV:
        out->status = model_prev(model, &out->segment);
        break;
    case FIRST_HOLE:
        out->status = model_first_hole(model, op->a, &out->segment);
        break;
    case NEXT_HOLE:
        out->status = model_next_hole(model, op->a, &out->segment);
        break;
    case LAST_HOLE:
        out->status = model_last_hole(model, op->a, &out->segment);
        break;
    case PREV_HOLE:
        out->status = model_prev_hole(model, op->a, &out->segment);
        break;
    case FIRST_IN:
        out->status = model_first_in(model, op->a, op->b, &out->segment);
        break;
    case NEXT_IN:
        out->status = model_next_in(model, op->b, &out->segment);
        break;
    case PRELOAD:
    case EVICT:
    case EVICT_ADD:
    case EVICT_FINISH:
    case KINDS:
        out->status = KVA_OK;
        break;
    }
}

/* An eviction on the model, with the same steps as above. */

static void feed_model_again(struct model *model, const struct operation *op, struct model_eviction *eviction,
                             struct outcome *out)
{
    struct kva_segment segment;
    struct outcome other;
    uint64_t start = op->script.starts[0];

    apply_one_to_model(model, op->script.disturbance, &other);
    note_result(out, other.status);
    if (model_find(model, start, &segment) == KVA_OK && segment.state == KVA_BUSY)
        start = segment.start;
    note_status(out, EVICT_ADD, model_evict_add(model, eviction, start));
}

static void finish_model(struct model *model, const struct operation *op,
                         const struct model_eviction *eviction, struct outcome *out)
{
    const struct script *script = &op->script;
    struct kva_segment candidate;
    struct outcome other;
    unsigned i = 0;

    for (uint64_t from = 0; model_evict_next(eviction, from, &candidate); from = candidate.last, i++) {
        note_result(out, candidate.start);
        if (script->freed >> i % 32 & 1)
            assert_int_equal(model_free(model, candidate.start), KVA_OK);
        if (candidate.start == candidate.last && candidate.last != UINT64_MAX)
            candidate.last++;
        else if (candidate.start == candidate.last)
            break;
    }
    if (script->disturbance != NULL) {
        apply_one_to_model(model, script->disturbance, &other);
        note_result(out, other.status);
    }
    note_status(out, EVICT_ADD, KVA_EINVAL);
    note_status(out, EVICT_FINISH, model_evict_finish(model, eviction, &out->address));
    if (out->status == KVA_OK)
        note_status(out, EVICT_FINISH, KVA_EINVAL);
}

static void evict_from_model(struct model *model, const struct operation *op, struct outcome *out)
{
    const struct script *script = &op->script;
    static struct model_eviction eviction;

    clear(out);
    note_status(out, EVICT, model_evict_begin(model, &op->request, &eviction));
    if (out->status != KVA_OK)
        return;
    for (size_t i = 0; i < script->count; i++) {
        if (i > 0 && i == script->disturbed_at && script->disturbance != NULL) {
            feed_model_again(model, op, &eviction, out);
            return;
        }
        note_status(out, EVICT_ADD, model_evict_add(model, &eviction, script->starts[i]));
        if (out->status == KVA_OK) {
            finish_model(model, op, &eviction, out);
            return;
        }
    }
}

static void apply_to_model(struct model *model, const struct operation *op, struct outcome *out)
{
    if (op->kind == EVICT)
        evict_from_model(model, op, out);
    else
        apply_one_to_model(model, op, out);
}

/* ----------------------------------------------------------------------------------------------- the team */

/** The arguments of the calls of one space's flush callback. */
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
    uint64_t first;      /* the current ends of the space */
    uint64_t last;
    struct test_rng rng;
    bool rising;                     /* the tide: more is allocated than freed */
    uint64_t seen[KINDS][65];        /* how often an operation of a kind returned a status */
    uint64_t shaped[KINDS];          /* how often a request with a shape succeeded */
    uint64_t chosen[KVA_RANDOM + 1]; /* how often a request of a policy succeeded */
    uint64_t filtered;               /* how often a request with a filter succeeded */
    struct kva_segment seen_before;  /* a segment returned earlier */
    struct operation disturbance;    /* of the current eviction */
};

/** As `seen`, over all runs. */
static uint64_t seen_ever[KINDS][65];

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
    config.best_fit = (team->rng.state ^ team->count) & 1; /* every second member of a team */
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

/* -------------------------------------------------------------------------------------------- comparisons */

static void compare_outcomes(const struct team *team, size_t number, const struct operation *op,
                             const struct outcome *a, const char *name_a, const struct outcome *b,
                             const char *name_b)
{
    char text[500];

    if (a->status == b->status && a->address == b->address && a->bytes == b->bytes &&
        test_same_segment(&a->segment, &b->segment) && a->result_count == b->result_count &&
        memcmp(a->results, b->results, a->result_count * sizeof(a->results[0])) == 0)
        return;
    describe(op, text, sizeof(text));
    for (size_t i = 0; i < a->result_count || i < b->result_count; i++)
        print_message("result %#" PRIx64 " and %#" PRIx64 "%s\n", a->results[i], b->results[i],
                      a->results[i] == b->results[i] ? "" : " <--");
    check_that(false,
               "%s, operation %zu: %s\n    %s: %s, %#" PRIx64 ", segment %#" PRIx64 "\n    %s: %s, %#" PRIx64
               ", segment %#" PRIx64,
               team->geometry->name, number, text, name_a, kva_status_name(a->status), a->address,
               a->segment.start, name_b, kva_status_name(b->status), b->address, b->segment.start);
}

/** Each flush was reported once, and the last one with the right range. */
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
    struct kva_segment segment;

    assert_int_equal(model_find(model, model_first(model), &segment), KVA_OK);
    do {
        check_that(i < picture->count && test_same_segment(&picture->segments[i], &segment),
                   "%s: segment %zu at %#" PRIx64, name, i, segment.start);
        i++;
    } while (model_next(model, &segment) == KVA_OK);
    assert_int_equal(i, picture->count);
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

/* --------------------------------------------------------------------------------------------- generation */

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

/** The segment at a random place, or the next one above; in a sparse space, a busy one close above it. */
static struct kva_segment any_segment(struct team *team, bool busy)
{
    struct kva_segment segment;

    assert_int_equal(kva_first_in(&team->members[0].space, any_address(team), UINT64_MAX, &segment), KVA_OK);
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

/** From 1 to 32 times the quantum; rarely any value. */
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

/** An alignment of a few quanta, rarely of any number of quanta; and a phase. */
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

/** A boundary for a range of `least` bytes, rounded up: at most a few times its size, rarely any. */
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

/** A target in the space, at the end of a range or near it, rarely anywhere. */
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

/** Each bit is set with a probability of 1/4. */
static unsigned few_bits(struct test_rng *rng)
{
    uint64_t bits = test_random(rng);
    return (unsigned)(bits & test_random(rng));
}

static void any_filter(struct team *team, struct operation *op)
{
    op->filter.rules = few_bits(&team->rng) & TEST_FILTER_RULES;
    op->filter.gap = any_size(team, 2);
    op->request.filter = test_filter;
    op->request.filter_context = &op->filter;
}

/** Policy, filter and flags: each is independently chosen, so that they also occur together. */
static void any_choice(struct team *team, struct operation *op)
{
    if (test_one_in(&team->rng, 2))
        any_policy(team, &op->request);
    if (test_one_in(&team->rng, 4))
        any_filter(team, op);
    if (test_one_in(&team->rng, 4))
        op->request.flags = KVA_NO_BLOCK;
}

/** A shape that is refused: one of the table's rows. */
static void spoil_shape(struct team *team, struct kva_request *request)
{
    uint64_t quantum = team->geometry->quantum;

    switch (test_below(&team->rng, 6)) {
    case 0:
        request->align = 3 * quantum + quantum / 2; /* valid with a quantum of 1 */
        break;
    case 1:
        request->align = 3; /* valid with a quantum of 1 or 2 */
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

/** Rarely make one field invalid. */
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
        any_policy(team, &op->request); /* refused for some policies */
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
        op->a += g->quantum; /* would shrink the space, or leaves it as it is */
    if (test_one_in(&team->rng, 8))
        op->b -= g->quantum / 2;
}

/** Rarely spoil an address: one next to it, or outside the space. */
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
            op->b = segment.last - op->a + quantum; /* ends after the segment, unless that is all addresses */
        if (op->kind == RESIZE && test_one_in(&team->rng, 2))
            op->b = any_size(team, team->geometry->largest);
    }
    spoil_address(team, &op->a);
    if (test_one_in(&team->rng, 64))
        op->b = test_one_in(&team->rng, 2) ? 0 : UINT64_MAX - test_below(&team->rng, 2 * quantum);
}

/** Arguments of kva_clear, kva_reserve_over and the other calls of ranges.h. */
static void any_given_range(struct team *team, struct operation *op)
{
    struct kva_segment segment = any_segment(team, op->kind != SPACE_REMOVE);
    uint64_t quantum = team->geometry->quantum;

    op->a = test_one_in(&team->rng, 3) ? any_address(team) & ~(quantum - 1) : segment.start;
    op->b = usual_size(team);
    if (op->kind == SPACE_REMOVE && op->a == segment.start && test_one_in(&team->rng, 2))
        op->b = test_one_in(&team->rng, 2) && segment.last - segment.start < UINT64_MAX
                    ? segment.last - segment.start + 1
                    : any_size(team, 1 + (segment.last - segment.start) / quantum % (UINT64_MAX - 1));
    if (op->kind == SPACE_REMOVE && test_one_in(&team->rng, 64)) {
        op->a = team->first;
        op->b = team->last - team->first + (team->last - team->first < UINT64_MAX);
    }
    spoil_address(team, &op->a);
    if (test_one_in(&team->rng, 64))
        op->b = test_one_in(&team->rng, 2) ? 0 : UINT64_MAX - test_below(&team->rng, 2 * quantum);
}

/** An address inside a busy segment, or its start; another place; a size. */
static void any_change(struct team *team, struct operation *op)
{
    uint64_t quantum = team->geometry->quantum;
    struct kva_segment segment = any_segment(team, true);
    uint64_t units = (segment.last - segment.start) / quantum;

    op->a = segment.start;
    if (op->kind == SPLIT && units != UINT64_MAX)
        op->a += test_below(&team->rng, units + 1) * quantum;
    if (op->kind == MOVE) {
        op->b = test_one_in(&team->rng, 2) ? segment.start + (test_below(&team->rng, 9) - 4) * quantum
                                           : any_address(team) & ~(quantum - 1);
        spoil_address(team, &op->b);
        if (test_one_in(&team->rng, 64))
            op->b = 0 - (1 + test_below(&team->rng, 4)) * quantum;
    }
    if (op->kind == FREE_SIZED) {
        op->b = segment.last - segment.start + (segment.last - segment.start < UINT64_MAX);
        op->b -= test_one_in(&team->rng, 2) ? test_below(&team->rng, quantum) : 0;
        if (test_one_in(&team->rng, 8))
            op->b += test_one_in(&team->rng, 2) ? quantum : -quantum;
    }
    spoil_address(team, &op->a);
}

static uint64_t floor_of(const struct geometry *g)
{
    return g->base + g->floor * g->quantum;
}

static uint64_t roof_of(const struct geometry *g)
{
    return g->base + g->roof * g->quantum + (g->quantum - 1);
}

/** A range in an absent range or outside the space, if a few tries find one; never beyond floor and roof. */
static void any_addition(struct team *team, struct operation *op)
{
    const struct geometry *g = team->geometry;
    uint64_t span = roof_of(g) - floor_of(g);
    struct kva_segment segment;

    for (int tries = 0; tries < 6; tries++) {
        op->a =
            floor_of(g) + (span == UINT64_MAX ? test_random(&team->rng) : test_below(&team->rng, span + 1));
        op->a &= ~(g->quantum - 1);
        if (kva_find(&team->members[0].space, op->a, &segment) == KVA_ENOENT)
            break;
    }
    if (test_one_in(&team->rng, 3) && team->last != UINT64_MAX && op->a > team->last)
        op->a = team->last + 1;
    op->b = any_size(team, 1 + g->largest / (1 + test_below(&team->rng, 4)));
    spoil_address(team, &op->a);
    if (test_one_in(&team->rng, 64))
        op->b = test_one_in(&team->rng, 2) ? 0 : UINT64_MAX - test_below(&team->rng, 2 * g->quantum);
    if (op->a < floor_of(g) || op->a > roof_of(g) || (op->b != 0 && op->b - 1 > roof_of(g) - op->a))
        op->a = team->first + (op->a & (g->quantum - 1));
}

static void any_shrinking(struct team *team, struct operation *op)
{
    uint64_t quantum = team->geometry->quantum;

    op->a = team->first + test_below(&team->rng, 4) * quantum;
    op->b = team->last - test_below(&team->rng, 4) * quantum;
    if (test_one_in(&team->rng, 4)) { /* to one hole, or to an absent range: mostly refused */
        op->a = any_address(team) & ~(quantum - 1);
        op->b = any_address(team) | (quantum - 1);
    }
    if (test_one_in(&team->rng, 8))
        op->a += quantum / 2;
    if (test_one_in(&team->rng, 8))
        op->b -= quantum / 2;
    if (test_one_in(&team->rng, 16))
        op->a -= quantum;
    if (test_one_in(&team->rng, 16))
        op->b += quantum;
}

/** Where a walk continues: a segment that exists, or existed. */
static void any_walk(struct team *team, struct operation *op)
{
    struct kva_segment segment = any_segment(team, false);

    op->segment = test_one_in(&team->rng, 3) ? team->seen_before : segment;
    if (test_one_in(&team->rng, 8))
        team->seen_before = segment;
    op->a = test_one_in(&team->rng, 4) ? test_below(&team->rng, 2) : usual_size(team);
    if (test_one_in(&team->rng, 64))
        op->a = UINT64_MAX - test_below(&team->rng, 2 * team->geometry->quantum);
    op->b = test_one_in(&team->rng, 2) ? any_address(team) : segment.last;
    if (op->kind == FIRST_IN) {
        op->a = any_address(team) - test_below(&team->rng, 4);
        op->b = test_one_in(&team->rng, 2) ? op->a + usual_size(team) : op->b;
    }
}

static void any_script(struct team *team, struct operation *op)
{
    struct script *script = &op->script;
    struct kva_segment segment = any_segment(team, true);

    script->count = 1 + (size_t)test_below(&team->rng, MODEL_FED);
    for (size_t i = 0; i < script->count; i++) {
        script->starts[i] = segment.start;
        spoil_address(team, &script->starts[i]);
        if (test_one_in(&team->rng, 3)) { /* sometimes neighbours are fed one after the other */
            segment = any_segment(team, true);
            continue;
        }
        if (test_one_in(&team->rng, 2))
            (void)kva_next(&team->members[0].space, &segment);
        else
            (void)kva_prev(&team->members[0].space, &segment);
    }
    script->freed = test_one_in(&team->rng, 2) ? 0 : few_bits(&team->rng);
    script->disturbed_at = test_one_in(&team->rng, 4) ? (size_t)test_below(&team->rng, MODEL_FED) : MODEL_FED;
}

/** Weights of the kinds: while the tide rises, and while it falls. */
static enum kind any_kind(struct team *team)
{
    static const unsigned short rising[KINDS] = {420, 60, 60, 100, 80, 50, 80, 40, 10, 10, 10, 60,
                                                 20,  10, 20, 20,  10, 10, 30, 20, 12, 6,  3,  0,
                                                 10,  4,  10, 4,   10, 4,  10, 10, 10, 12};
    static const unsigned short falling[KINDS] = {210, 40, 30, 50, 220, 100, 80, 150, 30, 10, 10, 60,
                                                  10,  40, 15, 20, 10,  10,  30, 60,  12, 14, 10, 1,
                                                  10,  4,  10, 4,  10,  4,   10, 10,  10, 12};
    const unsigned short *weights = team->rising ? rising : falling;
    uint64_t sum = 0;
    unsigned kind = 0;

    for (unsigned i = 0; i < KINDS; i++)
        sum += weights[i];
    uint64_t point = test_below(&team->rng, sum);
    while (point >= weights[kind])
        point -= weights[kind++];
    return (enum kind)kind;
}

static void generate_kind(struct team *team, struct operation *op, enum kind kind)
{
    memset(op, 0, sizeof(*op));
    op->kind = kind;
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
    case CLEAR:
    case RESERVE_OVER:
    case SPACE_REMOVE:
        any_given_range(team, op);
        break;
    case SPLIT:
    case JOIN:
    case SET_OWNER:
    case MOVE:
    case FREE_SIZED:
        any_change(team, op);
        break;
    case SPACE_ADD:
        any_addition(team, op);
        break;
    case SPACE_SHRINK:
        any_shrinking(team, op);
        break;
    case NEXT:
    case LAST:
    case PREV:
    case FIRST_HOLE:
    case NEXT_HOLE:
    case LAST_HOLE:
    case PREV_HOLE:
    case FIRST_IN:
    case NEXT_IN:
        any_walk(team, op);
        break;
    case EVICT:
        any_request(team, op);
        if (test_one_in(&team->rng, 4))
            op->request.size = any_size(team, 4 * team->geometry->largest);
        if (test_one_in(&team->rng, 3))
            any_shape(team, &op->request);
        if (test_one_in(&team->rng, 2))
            any_choice(team, op);
        if (test_one_in(&team->rng, 2)) { /* gaps next to candidates that stay: more candidates must go */
            any_filter(team, op);
            op->filter.rules |= test_one_in(&team->rng, 2) ? TEST_GAP_BESIDE_BUSY : TEST_REFUSE_TWO_KINDS;
        }
        spoil_request(team, &op->request);
        any_script(team, op);
        break;
    case FLUSH:
    case SPACE_RESET:
    case EVICT_ADD:
    case EVICT_FINISH:
    case KINDS:
        break;
    }
}

/** An operation between the steps of an eviction: any other kind, or one that changes a candidate. */
static void disturb(struct team *team, struct operation *op)
{
    static const enum kind often[] = {FREE, FREE_DEFERRED, SET_OWNER, SPLIT, JOIN, RESIZE, RESERVE_OVER};
    enum kind kind = any_kind(team);

    if (!test_one_in(&team->rng, 3))
        return;
    op->script.disturbance = &team->disturbance;
    if (test_one_in(&team->rng, 2)) {
        generate_kind(team, &team->disturbance, kind == EVICT ? FLUSH : kind);
        return;
    }
    generate_kind(team, &team->disturbance, often[test_below(&team->rng, sizeof(often) / sizeof(often[0]))]);
    team->disturbance.a =
        op->script.starts[test_one_in(&team->rng, 2) ? 0 : test_below(&team->rng, op->script.count)];
    if (team->disturbance.kind == SPLIT)
        team->disturbance.a += test_below(&team->rng, 3) * team->geometry->quantum;
}

static void generate(struct team *team, struct operation *op)
{
    generate_kind(team, op, any_kind(team));
    if (op->kind == EVICT)
        disturb(team, op);
}

/* ----------------------------------------------------------------------------------------------- the runs */

static void count(struct team *team, const struct operation *op, const struct outcome *outcome)
{
    team->seen[op->kind][outcome->status]++;
    if (op->kind != EVICT)
        seen_ever[op->kind][outcome->status]++;
    for (size_t i = 0; i < outcome->result_count; i++) {
        uint64_t kind = outcome->results[i] >> 8;
        if (kind >= EVICT && kind < KINDS && (outcome->results[i] & 0xff) < 65)
            seen_ever[kind][outcome->results[i] & 0xff]++;
    }
}

static void find_ends(struct team *team)
{
    struct kva_segment segment;

    assert_int_equal(kva_first(&team->members[0].space, &segment), KVA_OK);
    team->first = segment.start;
    assert_int_equal(kva_last(&team->members[0].space, &segment), KVA_OK);
    team->last = segment.last;
}

static void step(struct team *team, size_t number)
{
    static struct operation op;
    static struct outcome reference, other;

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
    count(team, &op, &reference);
    if (reference.status == KVA_OK && (op.request.phase | op.request.nocross) != 0)
        team->shaped[op.kind]++;
    if (reference.status == KVA_OK && op.kind <= SEARCH) {
        team->chosen[op.request.policy]++;
        team->filtered += op.request.filter != NULL;
    }
    find_ends(team);
}

/** Fail unless common outcomes were common and possible outcomes occurred. */
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
        check_that(team->seen[wanted[i].kind][wanted[i].status] > 0, "%s: no %s has returned %s",
                   team->geometry->name, kind_names[wanted[i].kind], kva_status_name(wanted[i].status));
    check_that(team->shaped[ALLOC] > 0 && team->shaped[CONGRUENT] > 0,
               "%s: no request with a shape has succeeded", team->geometry->name);
    for (int policy = 0; policy <= KVA_RANDOM; policy++)
        check_that(team->chosen[policy] > 0, "%s: no request of policy %d has succeeded",
                   team->geometry->name, policy);
    check_that(team->filtered > 0, "%s: no request with a filter has succeeded", team->geometry->name);
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
        if (i % 61 == 0) { /* a prime: in step with no other period */
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
    /* name               base                      quantum             low  high floor roof largest
     *                    operations */
    {"tiny and dense", UINT64_C(0x1000), 1, 8, 71, 0, 79, 12, 250000},
    {"from 0", 0, 1, 0, 199, 0, 255, 16, 100000},
    {"to the top", TOP_BASE(256, 1), 1, 40, 255, 0, 255, 16, 100000},
    {"top, quantum 4096", TOP_BASE(128, 4096), 4096, 28, 127, 0, 127, 10, 100000},
    {"all, 64 quanta", 0, UINT64_C(1) << 58, 0, 63, 0, 63, 10, 100000},
    {"quantum 4096", UINT64_C(0x7f0000000000), 4096, 30, 150, 0, 170, 10, 100000},
    {"quantum 2 MiB", 0, MIB2, 0, 99, 0, 120, 10, 100000},
    {"larger", UINT64_C(0x100000), 16, 10, 900, 0, 910, 40, 100000},
};

static void small_spaces_against_the_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(geometries) / sizeof(geometries[0]); i++)
        run(&geometries[i], 100 + i);
}

/* In the place that the seed chooses, which none of the fixed geometries may cover. */
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
                                    .operations = 30000};
        print_message("from %#" PRIx64 " at quantum %#" PRIx64 "\n", place.first, place.quantum);
        run(&geometry, 150 + i);
    }
}

/** Each status that a header names for a call, except those of other tests: KVA_ENOMEM, KVA_ENULL and
 * KVA_EREENTRY. */
static void every_status_has_occurred(void **state)
{
    enum { MOST = 12 };
    static const struct {
        enum kind kind;
        enum kva_status statuses[MOST]; /* KVA_OK ends the list; each call must have returned it */
    } wanted[] = {
        {ALLOC, {KVA_ENOSPC, KVA_EAGAIN, KVA_EINVAL, KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, KVA_EWINDOW}},
        {SEARCH, {KVA_ENOSPC, KVA_EAGAIN, KVA_EINVAL, KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, KVA_EWINDOW}},
        {CONGRUENT, {KVA_ENOSPC, KVA_EAGAIN, KVA_EINVAL, KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, KVA_EWINDOW}},
        {RESERVE, {KVA_EEXIST, KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, KVA_ERANGE}},
        {FREE, {KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED}},
        {FREE_RANGE,
         {KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, KVA_EUNKNOWN, KVA_EDOUBLE, KVA_EDEFERRED, KVA_ERANGE}},
        {RESIZE, {KVA_ENOSPC, KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED, KVA_ESIZE, KVA_EWRAP}},
        {FREE_DEFERRED, {KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED}},
        {FLUSH, {KVA_OK}},
        {SET_LIMIT, {KVA_OK}},
        {GROW, {KVA_EALIGN, KVA_ERANGE}},
        {FIND, {KVA_ENOENT}},
        {PRELOAD, {KVA_OK}},
        {CLEAR, {KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, KVA_ERANGE}},
        {RESERVE_OVER, {KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, KVA_ERANGE}},
        {SPLIT, {KVA_EALIGN, KVA_EUNKNOWN, KVA_EDOUBLE, KVA_EDEFERRED}},
        {JOIN, {KVA_ENOENT, KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED}},
        {SET_OWNER, {KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED}},
        {MOVE,
         {KVA_EEXIST, KVA_EALIGN, KVA_EWRAP, KVA_ERANGE, KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE,
          KVA_EDEFERRED}},
        {FREE_SIZED, {KVA_ESIZE, KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED}},
        {SPACE_ADD, {KVA_EEXIST, KVA_ESIZE, KVA_EALIGN, KVA_EWRAP}},
        {SPACE_REMOVE, {KVA_EBUSY, KVA_ERANGE, KVA_ESIZE, KVA_EALIGN, KVA_EWRAP}},
        {SPACE_SHRINK, {KVA_EBUSY, KVA_EALIGN, KVA_ERANGE}},
        {SPACE_RESET, {KVA_OK}},
        {NEXT, {KVA_ENOENT}},
        {LAST, {KVA_OK}},
        {PREV, {KVA_ENOENT}},
        {FIRST_HOLE, {KVA_ENOENT}},
        {NEXT_HOLE, {KVA_ENOENT}},
        {LAST_HOLE, {KVA_ENOENT}},
        {PREV_HOLE, {KVA_ENOENT}},
        {FIRST_IN, {KVA_ENOENT}},
        {NEXT_IN, {KVA_ENOENT}},
        {EVICT, {KVA_EINVAL, KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, KVA_EWINDOW}},
        {EVICT_ADD,
         {KVA_ENOSPC, KVA_EEXIST, KVA_EAGAIN, KVA_EINVAL, KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE,
          KVA_EDEFERRED}},
        {EVICT_FINISH, {KVA_EAGAIN, KVA_EINVAL}}};
    (void)state;

    if (test_scaled(1000) < 1000)
        return;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        enum kind kind = wanted[i].kind;
        uint64_t expected = seen_ever[kind][KVA_OK];
        uint64_t all = 0;
        check_that(expected > 0, "no %s has succeeded", kind_names[kind]);
        for (size_t k = 0; wanted[i].statuses[k] != KVA_OK; k++) {
            enum kva_status status = wanted[i].statuses[k];
            check_that(seen_ever[kind][status] > 0, "no %s has returned %s", kind_names[kind],
                       kva_status_name(status));
            expected += seen_ever[kind][status];
        }
        for (size_t status = 0; status < 65; status++)
            all += seen_ever[kind][status];
        check_that(all == expected, "a %s has returned a status that its header does not name",
                   kind_names[kind]);
    }
}

/* Sizes reach a sixteenth of all addresses, so that sums come near 2^64 and would wrap if unchecked. */
static void all_addresses_with_a_quantum_of_1(void **state)
{
    static const struct geometry all = {.name = "all 2^64 addresses",
                                        .quantum = 1,
                                        .high = UINT64_MAX,
                                        .roof = UINT64_MAX,
                                        .largest = UINT64_C(1) << 60,
                                        .operations = 100000};
    (void)state;
    run(&all, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_spaces_against_the_model),
        cmocka_unit_test(a_small_space_in_any_place),
        cmocka_unit_test(all_addresses_with_a_quantum_of_1),
        cmocka_unit_test(every_status_has_occurred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
