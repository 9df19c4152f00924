/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * All schedules of two or three threads of a few operations each, on a tiny space (common/schedules.h). Each
 * range is owned by the operation that took it. A deferred range must be free once a flush that began after
 * the deferral has returned, or a request that began after it has returned KVA_ENOSPC.
 */
#include "common/schedules.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/evict.h>
#include <kva/ranges.h>
#include <string.h>

enum { THREADS_MOST = 3, STEPS_MOST = 4, BEFORE_MOST = 8, SLOTS = 12 };

_Static_assert(THREADS_MOST *STEPS_MOST + BEFORE_MOST <= SCHEDULES_OPS, "each operation needs a letter");

/** One step of a thread. */
struct step {
    /** A allocate; C allocate a quantum and the next but one; R reserve at x; F free; D defer; L flush; S
     *  resize to n; X find quantum x; T drain; P pass a point; M move to x; W set the owner; K clear n
     *  quanta at x; O reserve over n quanta at x; J join with the next range; G remove n quanta at x from
     *  the space; H add n quanta at x; e begin an eviction for n quanta, with one candidate; E finish it;
     *  0: end */
    char what;
    unsigned slot; /* where an allocation's start is kept */
    unsigned n;
    unsigned x;
};

struct scenario {
    const char *name;
    unsigned quanta;
    unsigned pool; /* in quanta; 0: none */
    unsigned threads;
    unsigned changes; /* at most; 0: any number */
    bool wants_bt;    /* else engines alternate */
    /** Done one after the other before the threads begin; x is the CPU of an allocation. */
    struct step before[BEFORE_MOST];
    struct step thread[THREADS_MOST][STEPS_MOST];
};

struct op {
    struct step step;
    enum kva_status status;
    unsigned at;          /* in quanta: the start of the range that the operation concerns */
    unsigned size;        /* in quanta: its size, or how much of it was busy */
    enum kva_state state; /* X: as found */
    char owner;           /* X: the letter of the operation that took the range; '\0': not busy */
    unsigned before;      /* X: how many quanta of the range lie below; E: where the candidate is */
};

struct play {
    const struct scenario *scenario;
    uint64_t first;
    uint64_t quantum;
    const struct kva_engine *engine;
    struct kva_threads threads;
    struct kva_space space;
    struct op op[SCHEDULES_OPS];
    uint64_t slot[SLOTS]; /* 0: empty */
    struct kva_eviction eviction;
    struct kva_candidate candidate;
    struct schedules_history history;
};

static unsigned quantum_of(const struct play *play, uint64_t address)
{
    return (unsigned)((address - play->first) / play->quantum);
}

static unsigned quanta_in(const struct play *play, uint64_t bytes)
{
    return (unsigned)(bytes / play->quantum);
}

static uint64_t address_of(const struct play *play, unsigned at)
{
    return play->first + at * play->quantum;
}

/** An operation owns the ranges that it takes, so its letter identifies them. */
static char letter_of(const struct play *play, const struct op *op)
{
    return (char)('A' + (op - play->op));
}

static char letter_found(const struct play *play, const struct kva_segment *segment)
{
    if (segment->state != KVA_BUSY)
        return '\0';
    check_that(segment->owner != NULL, "%s: a busy range has no owner", play->scenario->name);
    return letter_of(play, segment->owner);
}

/* --------------------------------------------------------------------------------------------- operations */

/** Of a busy segment, the ends are compared as well as the owner. */
static void perform_find(struct play *play, struct op *op)
{
    uint64_t address = address_of(play, op->step.x);
    struct kva_segment segment;

    op->status = kva_find(&play->space, address, &segment);
    op->at = op->step.x;
    op->state = op->status == KVA_OK ? segment.state : KVA_ABSENT;
    if (op->state != KVA_BUSY)
        return;
    op->owner = letter_found(play, &segment);
    op->before = quanta_in(play, address - segment.start);
    op->size = quanta_in(play, segment.last - segment.start + 1);
}

/** An eviction with one candidate; the request fits once that is freed. */
static void perform_feed(struct play *play, struct op *op, const struct kva_request *request, uint64_t start)
{
    assert_int_equal(kva_evict_begin(&play->space, request, &play->eviction), KVA_OK);
    op->status = kva_evict_add(&play->eviction, &play->candidate, start);
    assert_int_equal(op->status, KVA_OK);
}

/** The new range belongs to the operation that began the eviction. */
static void perform_eviction(struct play *play, struct op *op)
{
    uint64_t start = play->eviction.start;

    op->owner = letter_of(play, play->eviction.request.owner);
    op->before = quantum_of(play, play->candidate.start);
    op->size = quanta_in(play, play->eviction.last - play->eviction.start + 1);
    op->at = quantum_of(play, start);
    op->status = kva_evict_finish(&play->eviction, &start);
}

/** A slot is filled as soon as its range is allocated, and keeps its address, so that other threads may
 *  free it twice. */
static void perform(struct play *play, struct op *op)
{
    const struct kva_part pair[] = {{.offset = 0, .size = play->quantum},
                                    {.offset = 2 * play->quantum, .size = play->quantum}};
    const struct step *step = &op->step;
    struct kva_request request = kva_request_of(step->n * play->quantum);
    uint64_t start = play->slot[step->slot];
    uint64_t bytes = 0;

    op->at = start ? quantum_of(play, start) : 0;
    request.owner = op;
    switch (step->what) {
    case 'A':
        op->status = kva_alloc(&play->space, &request, &start);
        op->size = step->n;
        break;
    case 'C':
        op->status = kva_alloc_congruent(&play->space, &request, pair, 2, &start);
        break;
    case 'R':
        start = address_of(play, step->x);
        op->status = kva_reserve(&play->space, start, step->n * play->quantum, op, NULL);
        op->at = step->x;
        op->size = step->n;
        break;
    case 'F':
        op->status = kva_free(&play->space, start);
        break;
    case 'D':
        op->status = kva_free_deferred(&play->space, start);
        break;
    case 'S':
        op->status = kva_resize(&play->space, start, step->n * play->quantum);
        break;
    case 'M':
        op->status = kva_move(&play->space, start, address_of(play, step->x), NULL);
        break;
    case 'W':
        op->status = kva_set_owner(&play->space, start, op);
        break;
    case 'K':
        op->status = kva_clear(&play->space, address_of(play, step->x), step->n * play->quantum, &bytes);
        op->at = step->x;
        op->size = quanta_in(play, bytes);
        break;
    case 'O':
        start = address_of(play, step->x);
        op->status = kva_reserve_over(&play->space, start, step->n * play->quantum, op, &bytes);
        op->at = step->x;
        op->size = quanta_in(play, bytes);
        break;
    case 'J':
        op->status = kva_join(&play->space, start);
        break;
    case 'G':
        op->status = kva_space_remove(&play->space, address_of(play, step->x), step->n * play->quantum);
        op->at = step->x;
        break;
    case 'H':
        op->status = kva_space_add(&play->space, address_of(play, step->x), step->n * play->quantum);
        op->at = step->x;
        break;
    case 'e':
        perform_feed(play, op, &request, start);
        break;
    case 'E':
        perform_eviction(play, op);
        break;
    case 'L':
        op->status = kva_flush(&play->space);
        break;
    case 'T':
        op->status = kva_pools_drain(&play->space);
        break;
    default:
        perform_find(play, op);
        break;
    }
    if (strchr("ACRO", step->what) && op->status == KVA_OK) {
        play->slot[step->slot] = start;
        op->at = quantum_of(play, start);
    }
}

static void do_step(struct play *play, const struct step *step)
{
    bool wants_slot = strchr("FDSMWJe", step->what) != NULL;

    if (step->what == 'P')
        play->threads.point(play->threads.context);
    if (step->what == 'P' || (wants_slot && play->slot[step->slot] == 0))
        return; /* no range to operate on */
    unsigned number = schedules_begin(&play->history);
    play->op[number].step = *step;
    perform(play, &play->op[number]);
    schedules_end(&play->history, number);
}

static void body(void *context, unsigned thread)
{
    struct play *play = context;
    const struct step *step = play->scenario->thread[thread];

    for (unsigned i = 0; i < STEPS_MOST && step[i].what; i++)
        do_step(play, &step[i]);
}

/** The callback looks up the space: one more point where other threads can run. */
static void on_flush(void *context, uint64_t start, uint64_t last)
{
    struct play *play = context;
    struct kva_segment segment;

    (void)last;
    check_that(kva_find(&play->space, start, &segment) == KVA_OK && segment.state == KVA_DEFERRED,
               "the flush callback was called for a range that is not deferred");
}

static void picture(struct play *play)
{
    static const char letters[] = {[KVA_FREE] = '.', [KVA_DEFERRED] = 'z', [KVA_POOLED] = '.'};
    struct kva_segment segment;

    for (unsigned i = 0; i < play->scenario->quanta; i++) {
        if (kva_find(&play->space, address_of(play, i), &segment) != KVA_OK)
            play->history.found[i] = '#';
        else
            play->history.found[i] =
                segment.state == KVA_BUSY ? letter_found(play, &segment) : letters[segment.state];
    }
    play->history.found[play->scenario->quanta] = '\0';
}

/* ------------------------------------------------------------------------------------------ serial orders */

/** Whether the place is the lowest fit after some of the deferred ranges have become free. */
static bool could_be_lowest(char *map, const struct op *op)
{
    char letters[SCHEDULES_OPS];
    unsigned count = 0;

    for (unsigned i = 0; map[i]; i++) {
        if (map_is_idle(map[i]) && (count == 0 || !memchr(letters, map[i], count)))
            letters[count++] = map[i];
    }
    for (unsigned subset = 0; subset < 1U << count; subset++) {
        char copy[SCHEDULES_UNITS + 1];
        memcpy(copy, map, sizeof(copy));
        for (unsigned i = 0; i < count; i++) {
            if (subset >> i & 1)
                map_free_letter(copy, letters[i]);
        }
        if (map_lowest_run(copy, op->size) == op->at) {
            memcpy(map, copy, sizeof(copy));
            return true;
        }
    }
    return false;
}

static bool any_is_used(const char *at, unsigned n)
{
    while (n > 0 && !map_is_used(at[n - 1]))
        n--;
    return n > 0;
}

static bool explain_taking(const struct play *play, char *map, const struct op *op, unsigned number)
{
    bool exact = op->step.what == 'R';

    if (op->status == KVA_EEXIST)
        return any_is_used(map + op->at, op->size);
    if (op->status == KVA_ENOSPC) {
        map_free_older(map, &play->history, number);
        return map_lowest_run(map, op->size) == strlen(map);
    }
    bool fits =
        exact || play->scenario->pool > 0 ? map_clear(map, op->at, op->size) : could_be_lowest(map, op);
    if (fits)
        memset(map + op->at, letter_of(play, op), op->size);
    return fits && op->status == KVA_OK;
}

/** The lowest free quantum whose next but one is free as well. */
static bool explain_pair(const struct play *play, char *map, const struct op *op)
{
    unsigned at = 0;

    while (map[at + 2] && (map[at] != '.' || map[at + 2] != '.'))
        at++;
    if (op->status != KVA_OK || at != op->at || !map[at + 2])
        return false;
    map[at] = letter_of(play, op);
    map[at + 2] = map[at];
    return true;
}

static bool explain_giving(char *map, const struct op *op, unsigned number)
{
    char *at = map + op->at;
    char letter = op->step.what == 'D' ? (char)('a' + number) : '.';

    if (op->status == KVA_EDOUBLE)
        return *at == '.' || map_is_idle(*at);
    if (op->status == KVA_EDEFERRED)
        return map_is_idle(*at);
    if (op->status == KVA_EINTERIOR) /* another operation's range covers this start */
        return op->at > 0 && map_is_used(*at) && at[-1] == *at;
    if (!map_is_used(*at) || op->status != KVA_OK)
        return false;
    memset(at, letter, map_run(at));
    return true;
}

static bool explain_resize(char *map, const struct op *op)
{
    char *at = map + op->at;
    char letter = *at;
    unsigned size = map_run(at);
    unsigned more = op->step.n > size ? op->step.n - size : 0;
    bool is_free = true;

    if (op->status == KVA_EDOUBLE)
        return *at == '.' || map_is_idle(*at);
    for (unsigned i = 0; i < more && is_free; i++)
        is_free = at[size + i] == '.';
    if (op->status == KVA_ENOSPC)
        return !is_free;
    if (!map_is_used(letter) || op->status != KVA_OK || !map_clear(map, op->at + size, more))
        return false;
    memset(at, '.', size);
    memset(at, letter, op->step.n);
    return true;
}

/** KVA_EEXIST: another range is busy at the destination. KVA_OK: deferred ranges there become free first. */
static bool explain_move(char *map, const struct op *op)
{
    char *at = map + op->at;
    char letter = *at;
    unsigned size = map_run(at);

    if (op->status == KVA_EDOUBLE)
        return *at == '.' || map_is_idle(*at);
    if (!map_is_used(letter))
        return false;
    memset(at, '.', size);
    if (op->status == KVA_EEXIST && any_is_used(map + op->step.x, size)) {
        memset(at, letter, size);
        return true;
    }
    if (op->status != KVA_OK || !map_clear(map, op->step.x, size))
        return false;
    memset(map + op->step.x, letter, size);
    return true;
}

static bool explain_owner(const struct play *play, char *map, const struct op *op)
{
    char *at = map + op->at;

    if (op->status == KVA_EDOUBLE)
        return *at == '.' || map_is_idle(*at);
    if (!map_is_used(*at) || op->status != KVA_OK)
        return false;
    memset(at, letter_of(play, op), map_run(at));
    return true;
}

/** Busy parts of the range become free; to reserve over it, deferred parts must be free as well. */
static bool explain_clear(const struct play *play, char *map, const struct op *op)
{
    char *at = map + op->at;
    unsigned busy = 0;

    if (op->status == KVA_EAGAIN) {
        for (unsigned i = 0; i < op->step.n; i++)
            busy += map_is_idle(at[i]);
        return op->step.what == 'O' && busy > 0;
    }
    for (unsigned i = 0; i < op->step.n; i++) {
        busy += map_is_used(at[i]);
        if (map_is_used(at[i]))
            at[i] = '.';
    }
    if (op->status != KVA_OK || busy != op->size)
        return false;
    if (op->step.what == 'K')
        return true;
    if (!map_clear(map, op->at, op->step.n))
        return false;
    memset(at, letter_of(play, op), op->step.n);
    return true;
}

/** The range grows over the next one, if that is busy. */
static bool explain_join(char *map, const struct op *op)
{
    char *at = map + op->at;
    unsigned size = map_run(at);

    if (op->status == KVA_EDOUBLE)
        return *at == '.' || map_is_idle(*at);
    if (!map_is_used(*at))
        return false;
    if (op->status == KVA_ENOENT)
        return !map_is_used(at[size]);
    if (op->status != KVA_OK || !map_is_used(at[size]))
        return false;
    memset(at + size, *at, map_run(at + size));
    return true;
}

static bool explain_removal(char *map, const struct op *op)
{
    char *at = map + op->at;

    if (op->status == KVA_EBUSY)
        return any_is_used(at, op->step.n);
    if (op->status == KVA_ERANGE)
        return memchr(at, '#', op->step.n) != NULL;
    if (op->status != KVA_OK || !map_clear(map, op->at, op->step.n))
        return false;
    memset(at, '#', op->step.n);
    return true;
}

static bool explain_addition(char *map, const struct op *op)
{
    char *at = map + op->at;
    bool all_absent = true;

    for (unsigned i = 0; i < op->step.n; i++)
        all_absent = all_absent && at[i] == '#';
    if (op->status == KVA_EEXIST)
        return !all_absent;
    if (op->status != KVA_OK || !all_absent)
        return false;
    memset(at, '.', op->step.n);
    return true;
}

/** The candidate is freed, if it is still there; after that the place must be free. */
static bool explain_eviction(const struct play *play, char *map, const struct op *op)
{
    const struct kva_candidate *candidate = &play->candidate;
    char *at = map + op->before;
    char copy[SCHEDULES_UNITS + 1];
    char letter = letter_of(play, candidate->owner);
    bool begins = op->before == 0 || at[-1] != letter;

    memcpy(copy, map, sizeof(copy));
    if (*at == letter && begins && map_run(at) == quanta_in(play, candidate->last - candidate->start + 1))
        memset(at, '.', map_run(at));
    bool any_idle = false;
    for (unsigned i = op->at; i < op->at + op->size; i++)
        any_idle = any_idle || map_is_idle(map[i]);
    bool fits = map_clear(map, op->at, op->size);
    if (op->status == KVA_EAGAIN) {
        memcpy(map, copy, sizeof(copy));
        return !fits || any_idle;
    }
    if (fits)
        memset(map + op->at, op->owner, op->size);
    return fits && op->status == KVA_OK;
}

static bool explain_find(char *map, const struct op *op)
{
    char *at = map + op->at;

    if (op->state == KVA_ABSENT)
        return *at == '#';
    if (op->state == KVA_BUSY) {
        char *start = at - op->before;
        return *at == op->owner && *start == *at && (start == map || start[-1] != *at) &&
               map_run(start) == op->size;
    }
    if (op->state == KVA_DEFERRED)
        return map_is_idle(*at);
    if (map_is_idle(*at))
        map_free_letter(map, *at);
    return *at == '.';
}

static bool explain(const void *context, char *map, unsigned number)
{
    const struct play *play = context;
    const struct op *op = &play->op[number];

    switch (op->step.what) {
    case 'A':
    case 'R':
        return explain_taking(play, map, op, number);
    case 'C':
        return explain_pair(play, map, op);
    case 'F':
    case 'D':
        return explain_giving(map, op, number);
    case 'S':
        return explain_resize(map, op);
    case 'M':
        return explain_move(map, op);
    case 'W':
        return explain_owner(play, map, op);
    case 'K':
    case 'O':
        return explain_clear(play, map, op);
    case 'J':
        return explain_join(map, op);
    case 'G':
        return explain_removal(map, op);
    case 'H':
        return explain_addition(map, op);
    case 'E':
        return explain_eviction(play, map, op);
    case 'L':
        map_free_older(map, &play->history, number);
        return op->status == KVA_OK;
    case 'T':
    case 'e':
        return op->status == KVA_OK;
    default:
        return explain_find(map, op);
    }
}

static void show(const void *context, unsigned number)
{
    const struct play *play = context;
    const struct op *op = &play->op[number];

    print_message("%c slot %u n %u x %u: %s at %u state %d\n", op->step.what, op->step.slot, op->step.n,
                  op->step.x, kva_status_name(op->status), op->at, (int)op->state);
}

/* ---------------------------------------------------------------------------------------------- scenarios */

static const struct scenario scenarios[] = {
    {.name = "two threads allocate and free",
     .quanta = 6,
     .threads = 2,
     .thread = {{{'A', 0, 1, 0}, {'A', 1, 2, 0}, {'F', 0, 0, 0}},
                {{'A', 2, 2, 0}, {'F', 2, 0, 0}, {'A', 3, 1, 0}}}},
    {.name = "a double free by two threads",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 2, 0}},
     .thread = {{{'F', 0, 0, 0}, {'X', 0, 0, 0}}, {{'F', 0, 0, 0}, {'X', 0, 0, 1}}}},
    {.name = "a range deferred during a flush stays deferred",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'A', 2, 2, 0}},
     .thread = {{{'D', 0, 0, 0}, {'L', 0, 0, 0}}, {{'D', 1, 0, 0}, {'X', 0, 0, 1}}}},
    {.name = "KVA_ENOSPC is returned only after a flush",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'A', 2, 2, 0}},
     .thread = {{{'D', 0, 0, 0}, {'A', 3, 1, 0}}, {{'D', 1, 0, 0}, {'A', 4, 1, 0}}}},
    {.name = "two flushes at once",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'D', 0, 0, 0}},
     .thread = {{{'L', 0, 0, 0}, {'X', 0, 0, 0}}, {{'D', 1, 0, 0}, {'L', 0, 0, 0}}}},
    {.name = "reserve, resize and a flush",
     .quanta = 5,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}},
     .thread = {{{'D', 1, 0, 0}, {'S', 0, 2, 0}}, {{'R', 2, 2, 1}, {'L', 0, 0, 0}}}},
    {.name = "three threads for the last range",
     .quanta = 4,
     .threads = 3,
     .before = {{'A', 0, 2, 0}, {'A', 1, 2, 0}},
     .thread = {{{'F', 0, 0, 0}}, {{'A', 2, 2, 0}}, {{'A', 3, 1, 0}}}},
    {.name = "three threads, one flushes",
     .quanta = 3,
     .threads = 3,
     .before = {{'A', 0, 1, 0}, {'A', 1, 2, 0}},
     .thread = {{{'D', 0, 0, 0}}, {{'L', 0, 0, 0}}, {{'X', 0, 0, 0}}}},
    {.name = "a congruent pair is found as a whole or not at all",
     .quanta = 4,
     .threads = 2,
     .wants_bt = true,
     .thread = {{{'C', 0, 1, 0}}, {{'X', 0, 0, 0}, {'X', 0, 0, 2}}}},
    {.name = "pools: two threads allocate and free",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .thread = {{{'A', 0, 1, 0}, {'F', 0, 0, 0}}, {{'A', 1, 1, 0}}}},
    {.name = "pools: a double free by two threads",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}},
     .thread = {{{'F', 0, 0, 0}}, {{'F', 0, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "pools: a range is freed by another thread",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'A', 1, 1, 0}, {'F', 0, 0, 0}}, {{'F', 1, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "pools: a drain while a range is freed",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'R', 0, 12, 4}, {'A', 1, 1, 0}, {'A', 2, 1, 0}},
     .thread = {{{'A', 3, 3, 0}}, {{'F', 1, 0, 0}}}},
    {.name = "pools: the last range moves between CPUs while a request looks for it",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'R', 0, 12, 4}, {'A', 1, 1, 0}, {'A', 2, 1, 0}, {'A', 3, 1, 0}},
     .thread = {{{'A', 4, 2, 0}}, {{'F', 1, 0, 0}, {'A', 5, 1, 0}}}},
    {.name = "pools: there is always a free range, and a request finds it",
     .quanta = 16,
     .pool = 3, /* one for each CPU */
     .threads = 3,
     .changes = 3,
     .before = {{'R', 0, 12, 4}, {'A', 1, 1, 1}, {'A', 2, 1, 2}, {'A', 3, 1, 0}, {'A', 4, 1, 0}},
     .thread = {{{'A', 5, 1, 0}}, {{'F', 1, 0, 0}}, {{'F', 2, 0, 0}, {'P', 0, 0, 0}, {'A', 6, 1, 0}}}},
    {.name = "pools: reserve over pooled ranges",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'R', 1, 2, 1}}, {{'A', 2, 1, 0}}}},
    {.name = "pools: a range is deferred, and another thread flushes",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'D', 0, 0, 0}}, {{'L', 0, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "pools: two drains at once",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'F', 0, 0, 0}},
     .thread = {{{'T', 0, 0, 0}}, {{'T', 0, 0, 0}, {'A', 2, 1, 0}}}},
    {.name = "pools: a span comes and goes during a lookup",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .changes = 3,
     .wants_bt = true,
     .thread = {{{'X', 0, 0, 0}}, {{'A', 0, 1, 0}, {'F', 0, 0, 0}, {'T', 0, 0, 0}}}},
    {.name = "pools: a range is resized while another thread frees it and allocates it again",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 1}},
     .thread = {{{'S', 0, 2, 0}}, {{'F', 0, 0, 0}, {'A', 2, 1, 0}}}},
    {.name = "pools: resize an object into a pooled range",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'S', 0, 2, 0}}, {{'A', 1, 1, 0}}}},
    {.name = "a range that moves is found at one place",
     .quanta = 5,
     .threads = 2,
     .wants_bt = true,
     .before = {{'A', 0, 2, 0}},
     .thread = {{{'M', 0, 0, 1}}, {{'X', 0, 0, 0}, {'X', 0, 0, 2}}}},
    {.name = "the place of a range that moves is not allocated too early",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 2, 0}},
     .thread = {{{'M', 0, 0, 2}}, {{'A', 1, 1, 0}, {'A', 2, 1, 0}}}},
    {.name = "a move, and a free of the same range",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'D', 1, 0, 0}},
     .thread = {{{'M', 0, 0, 1}}, {{'F', 0, 0, 0}, {'A', 2, 2, 0}}}},
    {.name = "a move to a place where others defer",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'A', 2, 1, 0}, {'D', 1, 0, 0}},
     .thread = {{{'M', 0, 0, 1}}, {{'D', 2, 0, 0}, {'A', 3, 1, 0}}}},
    {.name = "ranges are cleared at one moment",
     .quanta = 5,
     .threads = 2,
     .wants_bt = true,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'A', 2, 2, 0}},
     .thread = {{{'K', 0, 3, 0}}, {{'X', 0, 0, 0}, {'X', 0, 0, 2}}}},
    {.name = "ranges are cleared while one is freed and one allocated",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 2, 0}},
     .thread = {{{'K', 0, 4, 0}}, {{'F', 0, 0, 0}, {'A', 2, 1, 0}, {'X', 0, 0, 1}}}},
    {.name = "a range is reserved over others at one moment",
     .quanta = 4,
     .threads = 2,
     .wants_bt = true,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'A', 2, 1, 0}},
     .thread = {{{'O', 3, 2, 1}}, {{'X', 0, 0, 1}, {'X', 0, 0, 2}}}},
    {.name = "a range is reserved over ranges that others defer",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'A', 2, 1, 0}, {'D', 1, 0, 0}},
     .thread = {{{'O', 3, 3, 0}}, {{'D', 2, 0, 0}, {'A', 4, 1, 0}}}},
    {.name = "the owner found is the old one or the new one",
     .quanta = 4,
     .threads = 2,
     .wants_bt = true,
     .before = {{'A', 0, 2, 0}},
     .thread = {{{'W', 0, 0, 0}}, {{'X', 0, 0, 0}, {'X', 0, 0, 1}}}},
    {.name = "a change of owner, and a free of the same range",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'W', 0, 0, 0}}, {{'F', 0, 0, 0}, {'A', 1, 1, 0}}}},
    {.name = "pools: a change of owner, a free of the same range, and its next allocation",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 1}},
     .thread = {{{'W', 0, 0, 0}}, {{'F', 0, 0, 0}, {'A', 2, 1, 0}, {'X', 0, 0, 0}}}},
    {.name = "pools: the owner found is the old one or the new one",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'W', 0, 0, 0}}, {{'X', 0, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "pools: a move, and a free of the same range",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 1}},
     .thread = {{{'M', 0, 0, 9}}, {{'F', 0, 0, 0}, {'A', 2, 1, 0}}}},
    {.name = "pools: a range that moves is found at one place",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .changes = 3,
     .wants_bt = true,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'M', 0, 0, 9}}, {{'X', 0, 0, 0}, {'X', 0, 0, 9}}}},
    {.name = "pools: ranges are cleared at one moment",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .changes = 3,
     .wants_bt = true,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'R', 2, 2, 8}},
     .thread = {{{'K', 0, 9, 0}}, {{'X', 0, 0, 0}, {'X', 0, 0, 1}, {'X', 0, 0, 9}}}},
    {.name = "pools: ranges are cleared while one is freed and allocated again",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 1}},
     .thread = {{{'K', 0, 3, 0}}, {{'F', 0, 0, 0}, {'A', 2, 1, 0}}}},
    {.name = "pools: a range is reserved over ranges that others free and allocate",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .changes = 3,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 1}},
     .thread = {{{'O', 3, 3, 0}}, {{'F', 1, 0, 0}, {'A', 2, 1, 0}}}},
    {.name = "two ranges that are joined are found as two or as one",
     .quanta = 4,
     .threads = 2,
     .wants_bt = true,
     .before = {{'A', 0, 1, 0}, {'A', 1, 2, 0}},
     .thread = {{{'J', 0, 0, 0}}, {{'X', 0, 0, 0}, {'X', 0, 0, 1}}}},
    {.name = "a join, and a deferred free of the second range",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}},
     .thread = {{{'J', 0, 0, 0}}, {{'D', 1, 0, 0}, {'A', 2, 2, 0}}}},
    {.name = "a candidate is evicted, and a new range takes its place",
     .quanta = 5,
     .threads = 2,
     .wants_bt = true,
     .before = {{'A', 0, 2, 0}, {'e', 0, 3, 0}},
     .thread = {{{'E', 0, 0, 0}}, {{'X', 0, 0, 0}, {'X', 0, 0, 2}}}},
    {.name = "a candidate is freed, and its place allocated",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'e', 0, 2, 0}},
     .thread = {{{'E', 0, 0, 0}}, {{'F', 0, 0, 0}, {'A', 1, 1, 0}, {'X', 0, 0, 1}}}},
    {.name = "a candidate is deferred, and flushed",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'e', 0, 2, 0}},
     .thread = {{{'E', 0, 0, 0}}, {{'D', 0, 0, 0}, {'L', 0, 0, 0}}}},
    {.name = "a candidate gets another owner, or grows",
     .quanta = 4,
     .threads = 3,
     .changes = 3,
     .before = {{'A', 0, 1, 0}, {'e', 0, 2, 0}},
     .thread = {{{'E', 0, 0, 0}}, {{'W', 0, 0, 0}}, {{'S', 0, 2, 0}}}},
    {.name = "the hole beside a candidate is allocated",
     .quanta = 4,
     .threads = 3,
     .changes = 3,
     .before = {{'A', 0, 1, 0}, {'e', 0, 2, 0}},
     .thread = {{{'E', 0, 0, 0}}, {{'A', 1, 1, 0}}, {{'X', 0, 0, 0}, {'X', 0, 0, 1}}}},
    {.name = "a range is removed from the space during an allocation",
     .quanta = 5,
     .threads = 2,
     .thread = {{{'G', 0, 2, 1}}, {{'A', 0, 2, 0}, {'X', 0, 0, 1}}}},
    {.name = "an absent range grows at one moment",
     .quanta = 5,
     .threads = 2,
     .wants_bt = true,
     .before = {{'G', 0, 1, 1}, {'G', 0, 1, 3}},
     .thread = {{{'G', 0, 1, 2}}, {{'X', 0, 0, 1}, {'X', 0, 0, 2}, {'X', 0, 0, 3}}}},
    {.name = "an end of the space is removed with the absent range beside it",
     .quanta = 5,
     .threads = 2,
     .wants_bt = true,
     .before = {{'G', 0, 1, 3}},
     .thread = {{{'G', 0, 1, 4}}, {{'X', 0, 0, 3}, {'X', 0, 0, 4}, {'X', 0, 0, 3}}}},
    {.name = "a deferred range is flushed, and removed from the space",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'A', 2, 1, 0}, {'D', 1, 0, 0}},
     .thread = {{{'G', 0, 1, 1}}, {{'D', 2, 0, 0}, {'A', 3, 1, 0}, {'X', 0, 0, 1}}}},
    {.name = "a range is added inside an absent one, during lookups and an allocation",
     .quanta = 6,
     .threads = 2,
     .wants_bt = true,
     .before = {{'A', 0, 1, 0}, {'G', 0, 3, 1}},
     .thread = {{{'H', 0, 1, 2}}, {{'X', 0, 0, 1}, {'X', 0, 0, 2}, {'A', 1, 1, 0}}}},
    {.name = "two threads add overlapping ranges",
     .quanta = 5,
     .threads = 2,
     .before = {{'G', 0, 3, 1}},
     .thread = {{{'H', 0, 2, 1}, {'A', 0, 2, 0}}, {{'H', 0, 2, 2}, {'X', 0, 0, 2}}}},
    {.name = "pools: a candidate is freed, and its place allocated",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'e', 0, 2, 0}},
     .thread = {{{'E', 0, 0, 0}}, {{'F', 0, 0, 0}, {'A', 1, 1, 0}}}},
    {.name = "pools: a candidate is evicted, and a new range takes its place",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .changes = 3,
     .wants_bt = true,
     .before = {{'A', 0, 1, 0}, {'e', 0, 2, 0}},
     .thread = {{{'E', 0, 0, 0}}, {{'X', 0, 0, 0}, {'X', 0, 0, 1}}}},
    {.name = "pools: a pooled range is removed while another is freed and allocated again",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .changes = 3,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'G', 0, 2, 1}}, {{'F', 0, 0, 0}, {'A', 1, 1, 0}}}},
    {.name = "pools: two ranges that are joined are found as two or as one",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .changes = 3,
     .wants_bt = true,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}},
     .thread = {{{'J', 0, 0, 0}}, {{'X', 0, 0, 0}, {'X', 0, 0, 1}}}},
};

static void set_up(void *context, struct kva_turns *turns)
{
    struct play *play = context;
    const struct scenario *scenario = play->scenario;
    struct kva_config config = {.first = play->first,
                                .last = address_of(play, scenario->quanta) - 1,
                                .quantum = play->quantum,
                                .engine = play->engine,
                                .memory = kva_memory_host(),
                                .threads = &play->threads,
                                .pool_bytes = scenario->pool * play->quantum,
                                .flush = on_flush,
                                .flush_context = play,
                                .deferred_limit = UINT64_MAX};

    play->threads = kva_turns_threads(turns);
    play->history = (struct schedules_history){
        .units = scenario->quanta, .context = play, .explain = explain, .matches = map_matches, .show = show};
    memset(play->slot, 0, sizeof(play->slot));
    assert_int_equal(kva_space_init(&play->space, &config), KVA_OK);
    for (unsigned i = 0; i < BEFORE_MOST && scenario->before[i].what; i++) {
        kva_turns_set_cpu(turns, scenario->before[i].what == 'A' ? scenario->before[i].x : 0);
        do_step(play, &scenario->before[i]);
    }
}

static void look_back(void *context, uint64_t schedule)
{
    struct play *play = context;
    struct kva_fault fault;
    enum kva_status status = kva_space_check(&play->space, &fault);

    check_that(status == KVA_OK, "%s, schedule %" PRIu64 ": the check reports %s", play->scenario->name,
               schedule, fault.what);
    picture(play);
    schedules_expect_order(&play->history, play->scenario->name, schedule);
    assert_int_equal(kva_space_abandon(&play->space), KVA_OK);
}

static uint64_t enumerate(struct play *play)
{
    const struct schedules schedules = {.name = play->scenario->name,
                                        .threads = play->scenario->threads,
                                        .changes = play->scenario->changes,
                                        .set_up = set_up,
                                        .body = body,
                                        .look_back = look_back,
                                        .context = play};

    return schedules_run(&schedules);
}

/** On a space that begins at `first`; 0: on one that ends at 2^64 - 1. Engines alternate; an odd `turn`
 *  begins with rb. */
static void run_all(uint64_t first, uint64_t quantum, size_t turn)
{
    static struct play play;
    uint64_t sum = 0;

    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        play.scenario = &scenarios[i];
        play.quantum = quantum;
        play.first = first > 0 ? first : 0 - play.scenario->quanta * quantum;
        play.engine = (turn + i) % 2 && !scenarios[i].wants_bt ? &kva_engine_rb : &kva_engine_bt;
        sum += enumerate(&play);
    }
    print_message("%8" PRIu64 " schedules\n", sum);
}

static void every_schedule_has_a_serial_order(void **state)
{
    (void)state;
    run_all(0x10000, 0x1000, 0);
}

/** The same where addresses are adjacent, and the last one is 2^64 - 1. */
static void every_schedule_at_the_top_has_a_serial_order(void **state)
{
    (void)state;
    run_all(0, 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_schedule_has_a_serial_order),
        cmocka_unit_test(every_schedule_at_the_top_has_a_serial_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
