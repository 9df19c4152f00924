/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The player of play.h. */
#include "play.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/evict.h>
#include <kva/ranges.h>
#include <kva/threads.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"
#include "../common/filter.h"
#include "../common/harness.h"
#include "base/arith.h"

enum { MEMBERS = 3, UNITS = 4096, PARTS = 3, CANDIDATES = 12, CHECK_EVERY = 256 };

struct player_member {
    const struct kva_engine *engine;
    const char *name;
    struct kva_space space;
    struct kva_failing_memory memory;
};

struct play {
    const uint8_t *next;
    const uint8_t *end;
    struct player_member members[MEMBERS]; /* scan is the first */
    size_t count;
    uint64_t first; /* the current ends of the space */
    uint64_t last;
    uint64_t quantum;
    uint64_t unit;
    size_t operations;
    bool without_memory; /* of the current operation */
    bool small_blocks;   /* the sources give only small blocks */
    bool shapes;         /* requests may have shapes and choices */
    bool ranges;         /* the calls of ranges.h and evict.h are included */
    bool pooled;         /* the second of two members has pools */
    struct kva_threads threads;
    unsigned cpu;
};

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
    GROW,
    FIND,
    PRELOAD,
    TRIM,
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
    EVICT,
    NEXT,
    LAST,
    PREV,
    FIRST_HOLE,
    NEXT_HOLE,
    LAST_HOLE,
    PREV_HOLE,
    FIRST_IN,
    NEXT_IN
};

struct call {
    enum kind kind;
    struct kva_request request;
    struct test_filter filter; /* of the request, if it has one */
    struct kva_part parts[PARTS];
    size_t part_count;
    uint64_t a;
    uint64_t b;
    struct kva_segment segment; /* of a walk: the current segment */
    uint64_t starts[CANDIDATES];
    size_t candidates;
};

struct outcome {
    enum kva_status status;
    uint64_t address;
    struct kva_segment segment;
    uint64_t hash; /* by an eviction: a hash of all its results */
};

static const struct kva_segment no_segment;

__attribute__((noreturn, format(__printf__, 2, 3))) static void differ(const struct play *play,
                                                                       const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fprintf(stderr, "operation %zu: ", play->operations);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

/* ------------------------------------------------------------------------------------------------ reading */

static unsigned byte(struct play *play)
{
    return play->next < play->end ? *play->next++ : 0;
}

static uint64_t span(const struct play *play)
{
    return play->last - play->first;
}

/** An address of the space: a random unit, and a few quanta from its start. */
static uint64_t any_address(struct play *play)
{
    uint64_t unit = (byte(play) << 8 | byte(play)) % UNITS;
    uint64_t offset = unit * play->unit;

    offset += (unit >> 8 & 3) * play->quantum;
    return play->first + (offset <= span(play) ? offset : offset % play->unit);
}

/** The segment at a random address, or the next one above it. */
static struct kva_segment any_segment(struct play *play)
{
    const struct kva_space *scan = &play->members[0].space;
    struct kva_segment segment;

    if (kva_first_in(scan, any_address(play), UINT64_MAX, &segment) != KVA_OK)
        (void)kva_last(scan, &segment);
    return segment;
}

/** The used segment at a random address, or the next one. */
static struct kva_segment any_used(struct play *play)
{
    struct kva_segment segment = any_segment(play);

    if (segment.state == KVA_FREE)
        (void)kva_next(&play->members[0].space, &segment);
    return segment;
}

static uint64_t any_start(struct play *play)
{
    return any_used(play).start;
}

/** 1 to 32 quanta, or units, or 2^40 quanta and a little. */
static uint64_t any_size(struct play *play)
{
    unsigned code = byte(play);
    uint64_t few = 1 + (code & 31);

    if (code >> 5 < 5)
        return few * play->quantum;
    if (code >> 5 < 7)
        return few * play->unit;
    return ((UINT64_C(1) << 40) + few) * play->quantum;
}

/** From 1 to 256 quanta, or units. */
static uint64_t any_stride(struct play *play)
{
    unsigned code = byte(play);
    uint64_t few = 1 + byte(play);

    return code & 1 && few <= UINT64_MAX / play->unit ? few * play->unit
           : few <= UINT64_MAX / play->quantum        ? few * play->quantum
                                                      : play->quantum;
}

/** A power of two, at least `least` where representable; sometimes too small, or no power of two. */
static uint64_t any_boundary(struct play *play, uint64_t least)
{
    unsigned code = byte(play);
    uint64_t boundary = play->quantum << code % 16;

    if (code >= 0xf0)
        return boundary + (code & 1);
    while (boundary < least && boundary != 0)
        boundary <<= 1;
    return boundary;
}

/** By `code`: an alignment of any number of quanta, a phase, possibly too large, a boundary. */
static void any_shape(struct play *play, unsigned code, struct kva_request *request)
{
    if (code & 1)
        request->align = any_stride(play);
    if (code & 2)
        request->phase = byte(play) % (1 + request->align / play->quantum) * play->quantum;
    if (code & 4)
        request->nocross = any_boundary(play, request->size);
}

static uint64_t any_64_bits(struct play *play)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < 8; i++)
        bits = bits << 8 | byte(play);
    return bits;
}

static void any_filter(struct play *play, struct call *call)
{
    call->filter.rules = byte(play) & TEST_FILTER_RULES;
    call->filter.gap = any_size(play) - byte(play) % play->quantum;
    call->request.filter = test_filter;
    call->request.filter_context = &call->filter;
}

/** By the code: a policy, a filter, a non-blocking request, a search. */
static void any_choice(struct play *play, struct call *call)
{
    struct kva_request *request = &call->request;
    unsigned code = byte(play);

    request->policy = (enum kva_policy)(code % 8 < 5 ? code % 8 : KVA_BEST);
    if (request->policy == KVA_NEAREST)
        request->target = code >> 7 ? any_64_bits(play) : any_address(play);
    if (request->policy == KVA_RANDOM)
        request->random = any_64_bits(play);
    if (code & 8)
        any_filter(play, call);
    if (play->pooled) /* a request that must not drain may fail where scan, which has no pools, succeeds */
        return;
    if (code & 16)
        request->flags = KVA_NO_BLOCK;
    if ((code & 96) == 96 && call->kind == ALLOC)
        call->kind = SEARCH;
}

static void any_request(struct play *play, struct call *call)
{
    struct kva_request *request = &call->request;
    unsigned code = byte(play);

    *request = kva_request_of(any_size(play));
    request->owner = (void *)(uintptr_t)(play->operations + 1);
    request->policy = code & 1 ? KVA_HIGHEST : KVA_LOWEST;
    if (code & 2)
        request->align = play->quantum << (code >> 4);
    if (code & 4) {
        uint64_t a = any_address(play);
        uint64_t b = any_address(play);
        request->min = a < b ? a : b;
        request->max = a < b ? b : a;
    }
    if (code & 8) { /* default values, as a designated initialiser leaves them */
        request->align = code & 2 ? request->align : 0;
        request->max = code & 4 ? request->max : 0;
    }
    if (play->shapes && (code & 2) == 0)
        any_shape(play, code >> 4 & 7, request);
    if (play->shapes && (code & 0x82) == 0x80)
        any_choice(play, call);
}

/** The offsets of the parts are multiples of the alignment. */
static void any_parts(struct play *play, struct call *call)
{
    struct kva_request *request = &call->request;
    uint64_t offset = 0;

    if (request->phase == 0 && has_one_bit_at_most(request->align))
        request->align = request->align == 0 ? 0 : play->quantum;
    uint64_t step = max_u64(request->align, play->quantum);
    call->part_count = 1 + byte(play) % PARTS;
    for (size_t i = 0; i < call->part_count; i++) {
        call->parts[i].offset = offset;
        call->parts[i].size = (1 + byte(play) % 8) * play->quantum;
        offset += call->parts[i].size + (byte(play) % 4) * play->quantum;
        uint64_t rest = offset % step;
        offset += rest == 0 ? 0 : step - rest;
    }
}

/** At most three quanta, or units. */
static uint64_t any_growth(struct play *play)
{
    unsigned code = byte(play);

    return code % 4 * (code & 4 ? play->unit : play->quantum);
}

/** Bytes of a segment; one less for all addresses. */
static uint64_t size_of(const struct kva_segment *segment)
{
    uint64_t span = segment->last - segment->start;

    return span == UINT64_MAX ? span : span + 1;
}

/** A range that may be absent; or one outside, next to the space or apart. */
static void any_addition(struct play *play, struct call *call)
{
    unsigned code = byte(play);
    struct kva_segment next;

    call->b = any_size(play);
    if (code % 4 == 1) {
        call->a = play->last + 1 + any_growth(play);
        return;
    }
    if (code % 4 == 2) {
        call->a = play->first - align_down(call->b + play->quantum - 1, play->quantum) - any_growth(play);
        return;
    }
    call->a = any_address(play);
    if (code & 4 && kva_first_in(&play->members[0].space, call->a, UINT64_MAX, &next) == KVA_OK &&
        next.start > call->a)
        call->b = next.start - call->a; /* up to the next segment */
}

static void any_removal(struct play *play, struct call *call)
{
    unsigned code = byte(play);
    struct kva_segment segment = any_segment(play);

    if (code & 1 && segment.state != KVA_FREE)
        (void)kva_next(&play->members[0].space, &segment);
    call->a = code & 2 ? segment.start : any_address(play);
    call->b = code & 4 ? size_of(&segment) : any_size(play);
}

static void any_move(struct play *play, struct call *call)
{
    unsigned code = byte(play);

    call->a = any_start(play);
    call->b = code & 1 ? any_address(play) : call->a + (uint64_t)(code >> 1) % 16 * play->quantum;
    if (code >> 6 == 3)
        call->b = call->a - (uint64_t)(code >> 1) % 16 * play->quantum;
}

/** A request, and the candidates fed for it: neighbours in turn, or random ones. */
static void any_eviction(struct play *play, struct call *call)
{
    struct kva_segment segment = any_used(play);
    unsigned code = byte(play);

    any_request(play, call);
    call->kind = EVICT;
    call->candidates = 1 + code % CANDIDATES;
    for (size_t i = 0; i < call->candidates; i++) {
        call->starts[i] = segment.start;
        if (code & 16)
            segment = any_used(play);
        else if (kva_next(&play->members[0].space, &segment) == KVA_OK && segment.state == KVA_FREE)
            (void)kva_next(&play->members[0].space, &segment);
    }
}

/** With pools the listings of free segments differ; therefore a lookup instead. */
static void any_walk(struct play *play, struct call *call)
{
    unsigned code = byte(play);

    call->kind = play->pooled ? FIND : (enum kind)(NEXT + code % 9);
    call->segment = any_segment(play);
    call->a = code & 128 ? any_address(play) : any_size(play);
    call->b = any_address(play);
}

static void read_call(struct play *play, struct call *call, enum kind kind)
{
    call->kind = kind;
    switch (kind) {
    case CONGRUENT:
        any_request(play, call);
        any_parts(play, call);
        break;
    case ALLOC:
    case SEARCH:
        any_request(play, call);
        break;
    case RESERVE:
    case FREE_RANGE:
        call->a = any_address(play);
        call->b = any_size(play);
        break;
    case FREE:
    case FREE_DEFERRED:
        call->a = any_start(play);
        break;
    case RESIZE:
        call->a = any_start(play);
        call->b = any_size(play);
        break;
    case FIND:
        call->a = any_address(play);
        break;
    case GROW:
        call->a = play->first - any_growth(play);
        call->b = play->last + any_growth(play);
        break;
    case PRELOAD:
        call->a = byte(play) % 16;
        call->kind = call->a < 8 ? PRELOAD : TRIM;
        break;
    case CLEAR:
    case RESERVE_OVER:
        call->a = any_address(play);
        call->b = any_size(play);
        break;
    case SPLIT:
        call->a = any_address(play);
        break;
    case JOIN:
    case SET_OWNER:
        call->a = any_start(play);
        call->b = play->operations;
        break;
    case MOVE:
        any_move(play, call);
        break;
    case FREE_SIZED:
        call->segment = any_used(play);
        call->a = call->segment.start;
        call->b = byte(play) % 4 == 0 ? any_size(play) : size_of(&call->segment);
        break;
    case SPACE_ADD:
        any_addition(play, call);
        break;
    case SPACE_REMOVE:
        any_removal(play, call);
        break;
    case SPACE_SHRINK:
        call->a = play->first + any_growth(play);
        call->b = play->last - any_growth(play);
        break;
    case SPACE_RESET: /* rarely, because the space is empty afterwards */
        if (byte(play) % 8 != 0)
            call->kind = FLUSH;
        break;
    case EVICT:
        any_eviction(play, call);
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
        any_walk(play, call);
        break;
    case TRIM:
    case FLUSH:
        break;
    }
}

/* ------------------------------------------------------------------------------------------------ playing */

static void add_to_hash(struct outcome *outcome, uint64_t what)
{
    outcome->hash = (outcome->hash ^ what) * UINT64_C(0x100000001b3);
    outcome->hash ^= outcome->hash >> 29;
}

/** A whole eviction. The intermediate results go into `hash`. The status is that of the last call, or
 * KVA_ENOSPC if no candidate made room. */
static void evict(struct kva_space *space, const struct call *call, struct outcome *outcome)
{
    struct kva_candidate candidates[CANDIDATES];
    struct kva_eviction eviction;
    bool found = false;

    outcome->status = kva_evict_begin(space, &call->request, &eviction);
    if (outcome->status != KVA_OK)
        return;
    for (size_t i = 0; i < call->candidates && !found; i++) {
        enum kva_status status = kva_evict_add(&eviction, &candidates[i], call->starts[i]);
        add_to_hash(outcome, (uint64_t)status);
        found = status == KVA_OK;
    }
    for (struct kva_candidate *c = kva_evict_first(&eviction); c; c = kva_evict_next(&eviction, c))
        add_to_hash(outcome, c->start);
    outcome->status = found ? kva_evict_finish(&eviction, &outcome->address) : KVA_ENOSPC;
}

static void apply_walk(struct kva_space *space, const struct call *call, struct outcome *outcome)
{
    outcome->segment = call->segment;
    switch (call->kind) {
    case NEXT:
        outcome->status = kva_next(space, &outcome->segment);
        break;
    case LAST:
        outcome->status = kva_last(space, &outcome->segment);
        break;
    case PREV:
        outcome->status = kva_prev(space, &outcome->segment);
        break;
    case FIRST_HOLE:
        outcome->status = kva_first_hole(space, call->a, &outcome->segment);
        break;
    case NEXT_HOLE:
        outcome->status = kva_next_hole(space, call->a, &outcome->segment);
        break;
    case LAST_HOLE:
        outcome->status = kva_last_hole(space, call->a, &outcome->segment);
        break;
    case PREV_HOLE:
        outcome->status = kva_prev_hole(space, call->a, &outcome->segment);
        break;
    case FIRST_IN:
        outcome->status = kva_first_in(space, call->a, call->b, &outcome->segment);
        break;
    default:
        outcome->status = kva_next_in(space, call->b, &outcome->segment);
        break;
    }
}

static void apply(struct kva_space *space, const struct call *call, struct outcome *outcome)
{
    *outcome = (struct outcome){KVA_OK, 0, no_segment, 0};
    switch (call->kind) {
    case ALLOC:
        outcome->status = kva_alloc(space, &call->request, &outcome->address);
        break;
    case SEARCH:
        outcome->status = kva_search(space, &call->request, &outcome->address);
        break;
    case CONGRUENT:
        outcome->status =
            kva_alloc_congruent(space, &call->request, call->parts, call->part_count, &outcome->address);
        break;
    case RESERVE:
        outcome->status = kva_reserve(space, call->a, call->b, NULL, &outcome->segment);
        break;
    case FREE:
        outcome->status = kva_free(space, call->a);
        break;
    case FREE_RANGE:
        outcome->status = kva_free_range(space, call->a, call->b);
        break;
    case RESIZE:
        outcome->status = kva_resize(space, call->a, call->b);
        break;
    case FREE_DEFERRED:
        outcome->status = kva_free_deferred(space, call->a);
        break;
    case FLUSH:
        outcome->status = kva_flush(space);
        break;
    case GROW:
        outcome->status = kva_space_grow(space, call->a, call->b);
        break;
    case FIND:
        outcome->status = kva_find(space, call->a, &outcome->segment);
        break;
    case PRELOAD:
        outcome->status = kva_preload(space, (size_t)call->a);
        break;
    case TRIM:
        outcome->status = kva_pools_drain(space);
        break;
    case CLEAR:
        outcome->status = kva_clear(space, call->a, call->b, &outcome->address);
        break;
    case RESERVE_OVER:
        outcome->status = kva_reserve_over(space, call->a, call->b, NULL, &outcome->address);
        break;
    case SPLIT:
        outcome->status = kva_split(space, call->a);
        break;
    case JOIN:
        outcome->status = kva_join(space, call->a);
        break;
    case SET_OWNER:
        outcome->status = kva_set_owner(space, call->a, (void *)(uintptr_t)(call->b + 1));
        break;
    case MOVE:
        outcome->status = kva_move(space, call->a, call->b, &outcome->segment);
        break;
    case FREE_SIZED:
        outcome->status = kva_free_sized(space, call->a, call->b);
        break;
    case SPACE_ADD:
        outcome->status = kva_space_add(space, call->a, call->b);
        break;
    case SPACE_REMOVE:
        outcome->status = kva_space_remove(space, call->a, call->b);
        break;
    case SPACE_SHRINK:
        outcome->status = kva_space_shrink(space, call->a, call->b);
        break;
    case SPACE_RESET:
        outcome->status = kva_space_reset(space);
        break;
    case EVICT:
        evict(space, call, outcome);
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
        apply_walk(space, call, outcome);
        break;
    }
}

static bool same_segment(const struct kva_segment *a, const struct kva_segment *b)
{
    return a->start == b->start && a->last == b->last && a->state == b->state && a->owner == b->owner;
}

static bool is_free(const struct kva_segment *segment)
{
    return segment->state == KVA_FREE || segment->state == KVA_POOLED;
}

/** The segment at `at`; a pooled range counts as free, and adjacent free segments count as one. */
static enum kva_status look(const struct kva_space *space, uint64_t at, struct kva_segment *segment)
{
    struct kva_segment next;
    enum kva_status status = kva_find(space, at, segment);

    if (status != KVA_OK || !is_free(segment))
        return status;
    segment->state = KVA_FREE;
    next = *segment;
    while (kva_next(space, &next) == KVA_OK && is_free(&next) && next.start == segment->last + 1)
        segment->last = next.last;
    return KVA_OK;
}

/** The listing of one member equals that of scan. */
static void compare_segments(const struct play *play, const struct player_member *member)
{
    const struct kva_space *scan = &play->members[0].space;
    struct kva_segment a;
    struct kva_segment b;

    for (uint64_t at = play->first;; at = a.last + 1) {
        if (kva_first_in(scan, at, UINT64_MAX, &a) != KVA_OK ||
            kva_first_in(&member->space, at, UINT64_MAX, &b) != KVA_OK || a.start != b.start)
            differ(play, "%s: a range is absent at or above %#" PRIx64, member->name, at);
        at = a.start;
        if (look(scan, at, &a) != KVA_OK || look(&member->space, at, &b) != KVA_OK)
            differ(play, "%s: nothing at %#" PRIx64, member->name, at);
        if (!same_segment(&a, &b))
            differ(play, "%s: segment %#" PRIx64 "..%#" PRIx64 ", scan %#" PRIx64 "..%#" PRIx64, member->name,
                   b.start, b.last, a.start, a.last);
        if (a.last >= play->last)
            return;
    }
}

/** Free and pooled bytes together: saturated, as both are. */
static uint64_t free_bytes_of(const struct kva_stats *stats)
{
    uint64_t bytes;

    return add_checked(stats->free_bytes, stats->pooled_bytes, &bytes) ? bytes : UINT64_MAX;
}

/** The listing and the counts of one member equal those of scan, and its check passes. */
static void compare_listing(const struct play *play, const struct player_member *member)
{
    struct kva_fault fault;
    struct kva_stats of_scan;
    struct kva_stats stats;

    if (kva_space_check(&member->space, &fault) != KVA_OK)
        differ(play, "%s: %s at %#" PRIx64, member->name, fault.what, fault.address);
    compare_segments(play, member);
    (void)kva_stats_read(&play->members[0].space, &of_scan);
    (void)kva_stats_read(&member->space, &stats);
    if (stats.busy_segments != of_scan.busy_segments || stats.busy_bytes != of_scan.busy_bytes ||
        stats.deferred_segments != of_scan.deferred_segments ||
        stats.deferred_bytes != of_scan.deferred_bytes || free_bytes_of(&stats) != free_bytes_of(&of_scan))
        differ(play, "%s: the statistics differ", member->name);
    if (!play->pooled && (stats.largest_free != of_scan.largest_free ||
                          stats.free_segments != of_scan.free_segments || stats.pooled_segments > 0))
        differ(play, "%s: the statistics of free segments differ", member->name);
}

/** Make a call on one member. Without memory it may fail, if it changes nothing; then it is repeated with
 * memory. `member` is called before scan, so the listing of scan is the one before the call. */
static void apply_to(const struct play *play, struct player_member *member, const struct call *call,
                     struct outcome *out)
{
    bool never_takes = call->kind == FREE || call->kind == FREE_DEFERRED || call->kind == FLUSH ||
                       call->kind == TRIM || call->kind == SEARCH || call->kind == SET_OWNER ||
                       call->kind == FREE_SIZED || call->kind == SPACE_RESET || call->kind >= NEXT;
    struct kva_stats stats;

    (void)kva_stats_read(&member->space, &stats);
    kva_failing_memory_fail(&member->memory, play->without_memory ? 1 : 0, true);
    apply(&member->space, call, out);
    kva_failing_memory_fail(&member->memory, 0, false);
    if (out->status != KVA_ENOMEM)
        return;
    if (!play->without_memory || never_takes)
        differ(play, "%s: unexpected KVA_ENOMEM", member->name);
    if (stats.deferred_segments == 0) /* otherwise a flush may have happened, which is not undone */
        compare_listing(play, member);
    apply(&member->space, call, out);
}

__attribute__((noreturn)) static void differ_by(const struct play *play, const struct call *call, size_t i,
                                                const struct outcome *outcome, const struct outcome *of_scan)
{
    differ(play,
           "call %d(%#" PRIx64 ", %#" PRIx64 ") size %#" PRIx64 " align %#" PRIx64 " phase %#" PRIx64
           " nocross %#" PRIx64 " window [%#" PRIx64 ", %#" PRIx64 "] policy %d target %#" PRIx64
           " random %#" PRIx64 " filter %#x gap %#" PRIx64 " flags %#x: %s returned %s, %#" PRIx64
           "; scan returned %s, %#" PRIx64,
           (int)call->kind, call->a, call->b, call->request.size, call->request.align, call->request.phase,
           call->request.nocross, call->request.min, call->request.max, (int)call->request.policy,
           call->request.target, call->request.random, call->request.filter ? call->filter.rules : 0,
           call->filter.gap, call->request.flags, play->members[i].name, kva_status_name(outcome->status),
           outcome->address, kva_status_name(of_scan->status), of_scan->address);
}

/** The range of so many bytes from `start` satisfies the request. */
static void expect_asked(const struct play *play, const struct kva_request *request, uint64_t start,
                         uint64_t bytes)
{
    uint64_t last = start + (bytes - 1);
    bool is_in_phase = request->align == 0 || start % request->align == request->phase;
    bool crosses = request->nocross != 0 && start / request->nocross != last / request->nocross;
    bool is_anywhere = request->min == 0 && request->max == 0;

    if (!is_in_phase || crosses || last < start ||
        (!is_anywhere && (start < request->min || last > request->max)))
        differ(play, "%#" PRIx64 "..%#" PRIx64 " does not satisfy the request", start, last);
}

/** All ranges that a call took, from `start` or that base on, satisfy its request. */
static void expect_all_asked(const struct play *play, const struct call *call, uint64_t start)
{
    if (call->kind == ALLOC || call->kind == SEARCH || call->kind == EVICT)
        expect_asked(play, &call->request, start, call->request.size);
    for (size_t i = 0; call->kind == CONGRUENT && i < call->part_count; i++)
        expect_asked(play, &call->request, start + call->parts[i].offset, call->parts[i].size);
}

/** All members return the same as scan. */
static enum kva_status play_alike(struct play *play, const struct call *call)
{
    struct outcome outcomes[MEMBERS];

    for (size_t i = play->count; i-- > 1;)
        apply_to(play, &play->members[i], call, &outcomes[i]);
    apply(&play->members[0].space, call, &outcomes[0]);
    for (size_t i = 1; i < play->count; i++) {
        if (outcomes[i].status != outcomes[0].status || outcomes[i].address != outcomes[0].address ||
            outcomes[i].hash != outcomes[0].hash || !same_segment(&outcomes[i].segment, &outcomes[0].segment))
            differ_by(play, call, i, &outcomes[i], &outcomes[0]);
    }
    if (outcomes[0].status == KVA_OK)
        expect_all_asked(play, call, outcomes[0].address);
    return outcomes[0].status;
}

/* With pools the result is any free range. Scan, which has no pools, takes the same one. */

static uint64_t flushes_of(const struct player_member *member)
{
    struct kva_stats stats;

    (void)kva_stats_read(&member->space, &stats);
    return stats.flushes;
}

/** Scan reserves what the other member took: so many bytes from `start`. */
static enum kva_status take_there(struct play *play, const struct kva_request *request, uint64_t start,
                                  uint64_t bytes)
{
    expect_asked(play, request, start, bytes);
    return kva_reserve(&play->members[0].space, start, bytes, request->owner, NULL);
}

/** The outcome of scan for a call that the other member has made. */
static void follow(struct play *play, const struct call *call, const struct outcome *other,
                   struct outcome *out)
{
    bool takes = call->kind == ALLOC || call->kind == CONGRUENT;

    if (!takes || other->status != KVA_OK) {
        apply(&play->members[0].space, call, out);
        return;
    }
    *out = *other;
    if (call->kind == ALLOC)
        out->status = take_there(play, &call->request, other->address, call->request.size);
    for (size_t i = 0; call->kind == CONGRUENT && i < call->part_count && out->status == KVA_OK; i++)
        out->status =
            take_there(play, &call->request, other->address + call->parts[i].offset, call->parts[i].size);
}

/** A busy or deferred segment is found by both; a pooled one lies in a segment that is free for scan. */
static bool found_alike(const struct kva_segment *segment, const struct kva_segment *of_scan)
{
    if (!is_free(segment))
        return same_segment(segment, of_scan);
    return of_scan->state == KVA_FREE && segment->start >= of_scan->start && segment->last <= of_scan->last;
}

/** The pooled member runs first. If it flushed because it found no room, scan flushes before its call. */
static enum kva_status play_pooled(struct play *play, const struct call *call)
{
    struct player_member *scan = &play->members[0];
    struct player_member *pooled = &play->members[1];
    bool flushes = call->kind == ALLOC || call->kind == CONGRUENT || call->kind == RESERVE;
    struct outcome other;
    struct outcome of_scan;

    apply_to(play, pooled, call, &other);
    if (flushes && flushes_of(pooled) > flushes_of(scan))
        (void)kva_flush(&scan->space);
    follow(play, call, &other, &of_scan);
    bool alike = call->kind == FIND ? found_alike(&other.segment, &of_scan.segment)
                                    : same_segment(&other.segment, &of_scan.segment);
    if (!alike || other.status != of_scan.status || other.address != of_scan.address ||
        other.hash != of_scan.hash || flushes_of(pooled) != flushes_of(scan))
        differ_by(play, call, 1, &other, &of_scan);
    return of_scan.status;
}

static void play_call(struct play *play, const struct call *call)
{
    enum kva_status status = play->pooled ? play_pooled(play, call) : play_alike(play, call);
    struct kva_segment segment;

    if (status == KVA_OK) {
        (void)kva_first(&play->members[0].space, &segment);
        play->first = segment.start;
        (void)kva_last(&play->members[0].space, &segment);
        play->last = segment.last;
    }
    play->operations++;
    for (size_t i = 1; i < play->count && play->operations % CHECK_EVERY == 0; i++)
        compare_listing(play, &play->members[i]);
}

/** Free every second used segment from a random address on. */
static void thin_out(struct play *play)
{
    struct kva_segment segment;
    uint64_t at = any_address(play);

    for (unsigned left = byte(play) % 128; left > 0; left--) {
        if (kva_first_in(&play->members[0].space, at, UINT64_MAX, &segment) != KVA_OK)
            return;
        if (segment.state == KVA_BUSY && left % 2 == 0) {
            struct call call = {.kind = FREE, .a = segment.start};
            play_call(play, &call);
        }
        if (segment.last >= play->last)
            return;
        at = segment.last + 1;
    }
}

/** One instruction: one operation, or many of one kind. */
static void instruction(struct play *play)
{
    static const enum kind kinds[] = {ALLOC,  ALLOC,         ALLOC, RESERVE, FREE, FREE,    FREE_RANGE,
                                      RESIZE, FREE_DEFERRED, FLUSH, GROW,    FIND, PRELOAD, CONGRUENT};
    static const enum kind more[] = {
        CLEAR,     RESERVE_OVER, SPLIT,        JOIN,  SET_OWNER, MOVE, FREE_SIZED,   SPACE_ADD,
        SPACE_ADD, SPACE_REMOVE, SPACE_REMOVE, EVICT, EVICT,     NEXT, SPACE_SHRINK, SPACE_RESET};
    unsigned code = byte(play);
    struct call call = {.part_count = 0};

    play->without_memory = code >> 6 == 3;
    play->cpu = code >> 4 & 3;
    if (play->ranges && play->cpu == 3) {
        read_call(play, &call, more[code % 16]);
        play_call(play, &call);
        return;
    }
    if (code % 16 == 14) {
        thin_out(play);
        return;
    }
    read_call(play, &call, code % 16 == 15 ? ALLOC : kinds[code % 16]);
    for (unsigned times = code % 16 == 15 ? 1 + byte(play) % 64 : 1; times > 0; times--)
        play_call(play, &call);
}

/* ------------------------------------------------------------------------------------------------ a space */

/** Whether the nodes of an engine take some dozens of bytes; those of an index by size do not. */
static bool nodes_are_small(const char *name)
{
    return strcmp(name, "bt-tiny") == 0 || strcmp(name, "bt-small") == 0;
}

static void add_member(struct play *play, const struct kva_engine *engine, const char *name,
                       struct kva_config *config)
{
    struct player_member *member = &play->members[play->count];

    member->engine = engine;
    member->name = name;
    config->engine = engine;
    config->memory = kva_failing_memory_init(&member->memory);
    if (kva_space_init(&member->space, config) != KVA_OK)
        differ(play, "%s: no space", name);
    if (play->small_blocks &&
        engine != &kva_engine_scan) /* few nodes each, so that an operation often needs to take memory */
        member->memory.largest = nodes_are_small(name) && !config->best_fit ? 512 : 4096;
    play->count++;
}

/** One form of bt, by number. */
static void add_form(struct play *play, unsigned number, struct kva_config *config)
{
    unsigned forms = 0;

    for (size_t i = 0; test_engine(i) != NULL; i++)
        forms += test_engine_is_bt(test_engine(i));
    number %= forms;
    for (size_t i = 0;; i++) {
        if (test_engine_is_bt(test_engine(i)) && number-- == 0) {
            add_member(play, test_engine(i), test_engine_name(i), config);
            return;
        }
    }
}

/** Any engine, by number. */
static void add_any(struct play *play, unsigned number, struct kva_config *config)
{
    size_t engines = 0;

    while (test_engine(engines) != NULL)
        engines++;
    add_member(play, test_engine(number % engines), test_engine_name(number % engines), config);
}

/** Quantum, unit, place and size; and whether requests have shapes. */
static void choose_place(struct play *play, struct kva_config *config)
{
    enum { FROM_0, TO_THE_TOP, BETWEEN, ALL };
    static const unsigned char quanta[] = {0, 12, 1, 20};
    static const unsigned char quanta_of_all[] = {0, 54, 58, 60};
    static const unsigned char units[] = {0, 2, 22, 30, 31, 36};
    unsigned code = byte(play);
    unsigned place = code / 24 % 4;
    unsigned quantum = place == ALL ? quanta_of_all[code % 4] : quanta[code % 4];
    unsigned unit = quantum + units[code / 4 % 6];

    play->shapes = code / 96 == 2;
    play->quantum = UINT64_C(1) << quantum;
    play->unit = unit > 50 && quantum < 50 ? UINT64_C(1) << 50 : UINT64_C(1) << (unit > 60 ? 60 : unit);
    unsigned size = byte(play);
    uint64_t bytes = (16 + size * UINT64_C(16)) * play->unit;
    config->best_fit = play->shapes && size % 2 != 0;
    config->first = place == TO_THE_TOP ? UINT64_MAX - bytes + 1 : place == BETWEEN ? UINT64_C(1) << 62 : 0;
    config->last = place == ALL ? UINT64_MAX : config->first + (bytes - 1);
    config->quantum = play->quantum;
    play->first = config->first;
    play->last = config->last;
}

static void no_wait(void *context, const uint32_t *word, uint32_t value)
{
    if (*word == value)
        differ(context, "the only thread must not wait");
}

static void no_wake(void *context, const uint32_t *word, bool all)
{
    (void)context;
    (void)word;
    (void)all;
}

static unsigned cpu_of(void *context)
{
    return ((const struct play *)context)->cpu;
}

static uintptr_t self(void *context)
{
    return (uintptr_t)context;
}

/** A table of threads, although one thread plays: each instruction sets its CPU. There are 3 CPUs, and
 * numbers from 0 to 3. */
static void choose_threads(struct play *play, struct kva_config *config)
{
    play->threads = (struct kva_threads){
        .wait = no_wait, .wake = no_wake, .cpu = cpu_of, .self = self, .cpus = 3, .context = play};
    config->threads = &play->threads;
}

/** The bound on pools, from 16 quanta to all addresses; the limit on deferred bytes, from none to all. */
static void choose_bounds(struct play *play, struct kva_config *config)
{
    unsigned code = byte(play);
    unsigned pool = code % 8 * 2 + 4;
    unsigned limit = code / 8 * 2;

    if (play->pooled)
        config->pool_bytes =
            pool < 16 && play->quantum >> (64 - pool) == 0 ? play->quantum << pool : UINT64_MAX;
    config->deferred_limit = limit >= 32 || play->quantum >> (63 - limit) != 0 ? UINT64_MAX
                             : limit == 0                                      ? 1
                                                                               : play->quantum << limit;
}

/** The header: place, classes, owners, threads, pools; two forms of bt, or any engine with pools. */
static void open_space(struct play *play)
{
    struct kva_config config = {0};

    choose_place(play, &config);
    unsigned code = byte(play);
    config.without_owners = code & 1;
    play->small_blocks = code >> 5 & 1;
    config.deferred_limit = UINT64_MAX;
    for (unsigned i = 0; i < KVA_ALIGN_CLASSES && code >> (i + 1) & 1; i++)
        config.align_class[i] = play->quantum << (byte(play) % 10);
    play->pooled = code >> 6 & 1;
    if (code >> 7)
        choose_threads(play, &config);
    if (code >> 6)
        choose_bounds(play, &config);
    uint64_t pool_bytes = config.pool_bytes;
    config.pool_bytes = 0;
    add_member(play, &kva_engine_scan, "scan", &config);
    config.pool_bytes = pool_bytes;
    code = byte(play);
    play->ranges = code % 16 >= 12;
    if (play->pooled) {
        add_any(play, code, &config);
        return;
    }
    add_form(play, code % 16, &config);
    add_form(play, code / 16, &config);
}

static void close_space(struct play *play)
{
    for (size_t i = play->count; i-- > 0;) {
        compare_listing(play, &play->members[i]);
        (void)kva_space_abandon(&play->members[i].space);
        if (play->members[i].memory.blocks != 0)
            differ(play, "%s: memory is not given back", play->members[i].name);
    }
}

size_t play_bytes(const uint8_t *bytes, size_t count)
{
    static struct play play;

    memset(&play, 0, sizeof(play));
    play.next = bytes;
    play.end = bytes + count;
    open_space(&play);
    while (play.next < play.end)
        instruction(&play);
    close_space(&play);
    return play.operations;
}
