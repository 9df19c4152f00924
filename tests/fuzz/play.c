/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The player of play.h. */
#include "play.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"
#include "../common/harness.h"

enum { MEMBERS = 3, UNITS = 4096, PARTS = 3, CHECK_EVERY = 256 };

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
    uint64_t first; /* the space's ends now */
    uint64_t last;
    uint64_t quantum;
    uint64_t unit;
    size_t operations;
    bool without_memory; /* the operation at hand */
    bool small_chunks;   /* of memory */
};

enum kind { ALLOC, CONGRUENT, RESERVE, FREE, FREE_RANGE, RESIZE, FREE_DEFERRED, FLUSH, GROW, FIND, PRELOAD };

struct call {
    enum kind kind;
    struct kva_request request;
    struct kva_part parts[PARTS];
    size_t part_count;
    uint64_t a;
    uint64_t b;
};

struct answer {
    enum kva_status status;
    uint64_t address;
    struct kva_segment segment;
};

static const struct kva_segment no_segment;

__attribute__((noreturn, format(printf, 2, 3))) static void differ(const struct play *play,
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

/* ------------------------------------------------------------------------------------------- reading */

static unsigned byte(struct play *play)
{
    return play->next < play->end ? *play->next++ : 0;
}

static uint64_t span(const struct play *play)
{
    return play->last - play->first;
}

/** Some address of the space: a unit, and a few quanta from its start. */
static uint64_t any_address(struct play *play)
{
    uint64_t unit = (byte(play) << 8 | byte(play)) % UNITS;
    uint64_t offset = unit * play->unit;

    offset += (unit >> 8 & 3) * play->quantum;
    return play->first + (offset <= span(play) ? offset : offset % play->unit);
}

/** The start of the used segment at some address, or of the next one. */
static uint64_t any_start(struct play *play)
{
    struct kva_segment segment;

    (void)kva_find(&play->members[0].space, any_address(play), &segment);
    if (segment.state == KVA_FREE)
        (void)kva_next(&play->members[0].space, &segment);
    return segment.start;
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

static void any_request(struct play *play, struct kva_request *request)
{
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
}

static void any_parts(struct play *play, struct call *call)
{
    uint64_t offset = 0;

    call->request.align = play->quantum;
    call->part_count = 1 + byte(play) % PARTS;
    for (size_t i = 0; i < call->part_count; i++) {
        call->parts[i].offset = offset;
        call->parts[i].size = (1 + byte(play) % 8) * play->quantum;
        offset += call->parts[i].size + (byte(play) % 4) * play->quantum;
    }
}

static void read_call(struct play *play, struct call *call, enum kind kind)
{
    call->kind = kind;
    switch (kind) {
    case CONGRUENT:
        any_request(play, &call->request);
        any_parts(play, call);
        break;
    case ALLOC:
        any_request(play, &call->request);
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
        call->a = play->first - (byte(play) % 4) * play->quantum;
        call->b = play->last + (byte(play) % 4) * play->quantum;
        break;
    case PRELOAD:
        call->a = byte(play) % 8;
        break;
    case FLUSH:
        break;
    }
}

/* ------------------------------------------------------------------------------------------- playing */

static void answer(struct kva_space *space, const struct call *call, struct answer *answer)
{
    *answer = (struct answer){KVA_OK, 0, no_segment};
    switch (call->kind) {
    case ALLOC:
        answer->status = kva_alloc(space, &call->request, &answer->address);
        break;
    case CONGRUENT:
        answer->status =
            kva_alloc_congruent(space, &call->request, call->parts, call->part_count, &answer->address);
        break;
    case RESERVE:
        answer->status = kva_reserve(space, call->a, call->b, NULL, &answer->segment);
        break;
    case FREE:
        answer->status = kva_free(space, call->a);
        break;
    case FREE_RANGE:
        answer->status = kva_free_range(space, call->a, call->b);
        break;
    case RESIZE:
        answer->status = kva_resize(space, call->a, call->b);
        break;
    case FREE_DEFERRED:
        answer->status = kva_free_deferred(space, call->a);
        break;
    case FLUSH:
        answer->status = kva_flush(space);
        break;
    case GROW:
        answer->status = kva_space_grow(space, call->a, call->b);
        break;
    case FIND:
        answer->status = kva_find(space, call->a, &answer->segment);
        break;
    case PRELOAD:
        answer->status = kva_preload(space, (size_t)call->a);
        break;
    }
}

static bool same_segment(const struct kva_segment *a, const struct kva_segment *b)
{
    return a->start == b->start && a->last == b->last && a->state == b->state && a->owner == b->owner;
}

/** The listing and the counts of one member are those of scan, and its check is satisfied. */
static void compare_listing(const struct play *play, const struct player_member *member)
{
    const struct kva_space *scan = &play->members[0].space;
    struct kva_fault fault;
    struct kva_segment a;
    struct kva_segment b;
    struct kva_stats of_scan;
    struct kva_stats stats;

    if (kva_space_check(&member->space, &fault) != KVA_OK)
        differ(play, "%s: %s at %#" PRIx64, member->name, fault.what, fault.address);
    enum kva_status more = kva_first(scan, &a);
    enum kva_status more_too = kva_first(&member->space, &b);
    while (more == KVA_OK && more_too == KVA_OK) {
        if (!same_segment(&a, &b))
            differ(play, "%s: segment %#" PRIx64 "..%#" PRIx64 ", scan %#" PRIx64 "..%#" PRIx64, member->name,
                   b.start, b.last, a.start, a.last);
        more = kva_next(scan, &a);
        more_too = kva_next(&member->space, &b);
    }
    (void)kva_stats_read(scan, &of_scan);
    (void)kva_stats_read(&member->space, &stats);
    if (stats.largest_free != of_scan.largest_free || stats.free_segments != of_scan.free_segments ||
        stats.busy_segments != of_scan.busy_segments || stats.free_bytes != of_scan.free_bytes)
        differ(play, "%s: the statistics differ", member->name);
}

/** Let a member answer; without memory it may refuse, if nothing has changed by that, and is asked again. `member`
 *  goes before scan, whose listing is thus the one before the call. */
static void answer_one(const struct play *play, struct player_member *member, const struct call *call,
                       struct answer *out)
{
    bool gives_back = call->kind == FREE || call->kind == FREE_DEFERRED || call->kind == FLUSH;
    struct kva_stats stats;

    (void)kva_stats_read(&member->space, &stats);
    kva_failing_memory_fail(&member->memory, play->without_memory ? 1 : 0, true);
    answer(&member->space, call, out);
    kva_failing_memory_fail(&member->memory, 0, false);
    if (out->status != KVA_ENOMEM)
        return;
    if (!play->without_memory || gives_back)
        differ(play, "%s: KVA_ENOMEM", member->name);
    if (stats.deferred_segments == 0) /* else there may have been a flush, which stays done */
        compare_listing(play, member);
    answer(&member->space, call, out);
}

static void play_call(struct play *play, const struct call *call)
{
    struct answer answers[MEMBERS];

    for (size_t i = play->count; i-- > 1;)
        answer_one(play, &play->members[i], call, &answers[i]);
    answer(&play->members[0].space, call, &answers[0]);
    for (size_t i = 1; i < play->count; i++) {
        if (answers[i].status != answers[0].status || answers[i].address != answers[0].address ||
            !same_segment(&answers[i].segment, &answers[0].segment))
            differ(play,
                   "call %d(%#" PRIx64 ", %#" PRIx64 ") size %#" PRIx64 " align %#" PRIx64
                   " window [%#" PRIx64 ", %#" PRIx64 "] policy %d: %s says %s, %#" PRIx64
                   "; scan says %s, %#" PRIx64,
                   (int)call->kind, call->a, call->b, call->request.size, call->request.align,
                   call->request.min, call->request.max, (int)call->request.policy, play->members[i].name,
                   kva_status_name(answers[i].status), answers[i].address, kva_status_name(answers[0].status),
                   answers[0].address);
    }
    if (call->kind == GROW && answers[0].status == KVA_OK) {
        play->first = call->a;
        play->last = call->b;
    }
    play->operations++;
    for (size_t i = 1; i < play->count && play->operations % CHECK_EVERY == 0; i++)
        compare_listing(play, &play->members[i]);
}

/** Give every other used segment back from some address on. */
static void thin_out(struct play *play)
{
    struct kva_segment segment;
    uint64_t at = any_address(play);

    for (unsigned left = byte(play) % 128; left > 0; left--) {
        if (kva_find(&play->members[0].space, at, &segment) != KVA_OK)
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

/** One instruction: an operation, or many of a kind. */
static void instruction(struct play *play)
{
    static const enum kind kinds[] = {ALLOC,  ALLOC,         ALLOC, RESERVE, FREE, FREE,    FREE_RANGE,
                                      RESIZE, FREE_DEFERRED, FLUSH, GROW,    FIND, PRELOAD, CONGRUENT};
    unsigned code = byte(play);
    struct call call = {.part_count = 0};

    play->without_memory = code >> 6 == 3;
    if (code % 16 == 14) {
        thin_out(play);
        return;
    }
    read_call(play, &call, code % 16 == 15 ? ALLOC : kinds[code % 16]);
    for (unsigned times = code % 16 == 15 ? 1 + byte(play) % 64 : 1; times > 0; times--)
        play_call(play, &call);
}

/* ------------------------------------------------------------------------------------------- a space */

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
    if (play->small_chunks && play->count > 0) /* few nodes each, so that an operation often has to ask */
        member->memory.largest = strcmp(name, "bt-tiny") == 0 || strcmp(name, "bt-small") == 0 ? 512 : 4096;
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

/** The header: quantum, unit, place, how large, classes, owners, two forms of bt. */
static void open_space(struct play *play)
{
    static const unsigned char quanta[] = {0, 12, 4, 20};
    static const unsigned char units[] = {0, 2, 22, 30, 31, 36};
    unsigned code = byte(play);
    unsigned quantum = quanta[code % 4];
    unsigned unit = quantum + units[code / 4 % 6];
    unsigned place = code / 24 % 3; /* from 0, to the top, in between */
    struct kva_config config = {0};

    play->quantum = UINT64_C(1) << quantum;
    play->unit = UINT64_C(1) << (unit > 50 ? 50 : unit);
    uint64_t bytes = (16 + byte(play) * UINT64_C(16)) * play->unit;
    config.first = place == 0 ? 0 : place == 1 ? UINT64_MAX - bytes + 1 : UINT64_C(1) << 62;
    config.last = config.first + (bytes - 1);
    config.quantum = play->quantum;
    code = byte(play);
    config.without_owners = code & 1;
    play->small_chunks = code >> 5 & 1;
    config.deferred_limit = UINT64_MAX;
    for (unsigned i = 0; i < KVA_ALIGN_CLASSES && code >> (i + 1) & 1; i++)
        config.align_class[i] = play->quantum << (byte(play) % 10);
    play->first = config.first;
    play->last = config.last;
    add_member(play, &kva_engine_scan, "scan", &config);
    code = byte(play);
    add_form(play, code % 16, &config);
    add_form(play, code / 16, &config);
}

static void close_space(struct play *play)
{
    for (size_t i = play->count; i-- > 0;) {
        compare_listing(play, &play->members[i]);
        (void)kva_space_abandon(&play->members[i].space);
        if (play->members[i].memory.blocks != 0)
            differ(play, "%s: memory is left", play->members[i].name);
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
