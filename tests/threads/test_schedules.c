/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * All schedules of two or three threads of a few operations each, on a tiny space. What they answer must be explained by some
 * serial order of the operations that keeps those apart that do not overlap in time (linearizability).
 *
 * THE SERIAL SPACE is a string, a letter for each quantum: '.' free, 'A', 'B' ... for what the operation of that number has
 * allocated, which is its owner, too, and 'a', 'b' ... for what the operation of that number has deferred. A flush is no operation but something that happens: what is deferred may become free at any moment. It
 * must have, once it was deferred before a flush began that has returned, or before a request began that heard "no space".
 */
#include "common/harness.h"

#include <string.h>

#include "../../ports/test/turns.h"

#define QUANTUM UINT64_C(0x10)
#define FIRST UINT64_C(0x1000)

enum { THREADS_MOST = 3, STEPS_MOST = 4, OPS_MOST = THREADS_MOST * STEPS_MOST, SLOTS = 12, QUANTA_MOST = 40 };

/** What a thread does: one letter, and what it is about. `slot` is where an allocation's start is kept. */
struct step {
    char
        what; /* A allocate, C allocate a quantum and the next but one, R reserve at x, F free, D defer, L flush, S resize to n, X find at quantum x, T trim, P let others come;
                 * 0: end */
    unsigned slot;
    unsigned n;
    unsigned x;
};

struct scenario {
    const char *name;
    unsigned quanta;
    unsigned pool; /* in quanta; 0: none */
    unsigned threads;
    unsigned changes;      /* at most; 0: any number */
    bool wants_bt;         /* else engines take turns */
    struct step before[8]; /* one after the other, before the threads begin; x is the CPU of an allocation */
    struct step thread[THREADS_MOST][STEPS_MOST];
};

struct op {
    struct step step;
    unsigned began;
    unsigned ended;
    enum kva_status status;
    unsigned at; /* where an allocation starts, or what is meant, in quanta */
    unsigned size;
    enum kva_state state; /* what find says */
    char owner;           /*   and whose it is: the letter of the operation that took it; '\0' if not busy */
};

struct play {
    const struct scenario *scenario;
    struct kva_turns *turns;
    struct kva_threads threads;
    struct kva_space space;
    unsigned clock;
    unsigned count;
    struct op op[OPS_MOST + 8];
    uint64_t slot[SLOTS]; /* 0: empty */
    char final[QUANTA_MOST + 1];
};

static unsigned quantum_of(uint64_t address)
{
    return (unsigned)((address - FIRST) / QUANTUM);
}

/** An operation owns what it takes; so a letter tells its ranges from all others'. */
static char letter_of(const struct play *play, const struct op *op)
{
    return (char)('A' + (op - play->op));
}

static char letter_found(const struct play *play, const struct kva_segment *segment)
{
    if (segment->state != KVA_BUSY)
        return '\0';
    check_that(segment->owner != NULL, "%s: busy, and nobody's", play->scenario->name);
    return letter_of(play, segment->owner);
}

/* ------------------------------------------------------------------------------------------ what happens */

/** A slot is filled as soon as its range is there, and keeps its address: others may free it twice. */
static void perform(struct play *play, struct op *op)
{
    static const struct kva_part pair[] = {{.offset = 0, .size = QUANTUM},
                                           {.offset = 2 * QUANTUM, .size = QUANTUM}};
    const struct step *step = &op->step;
    struct kva_request request = kva_request_of(step->n * QUANTUM);
    uint64_t start = play->slot[step->slot];
    struct kva_segment segment;

    op->at = start ? quantum_of(start) : 0;
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
        start = FIRST + step->x * QUANTUM;
        op->status = kva_reserve(&play->space, start, step->n * QUANTUM, op, NULL);
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
        op->status = kva_resize(&play->space, start, step->n * QUANTUM);
        break;
    case 'L':
        op->status = kva_flush(&play->space);
        break;
    case 'T':
        op->status = kva_pools_trim(&play->space);
        break;
    default:
        op->status = kva_find(&play->space, FIRST + step->x * QUANTUM, &segment);
        op->state = segment.state;
        op->owner = letter_found(play, &segment);
        op->at = step->x;
        break;
    }
    if (strchr("ACR", step->what) && op->status == KVA_OK) {
        play->slot[step->slot] = start;
        op->at = quantum_of(start);
    }
}

static void do_step(struct play *play, const struct step *step)
{
    bool wants_slot = step->what == 'F' || step->what == 'D' || step->what == 'S';

    if (step->what == 'P')
        play->threads.point(play->threads.context);
    if (step->what == 'P' || (wants_slot && play->slot[step->slot] == 0))
        return; /* there is nothing to do it to */
    struct op *op = &play->op[play->count++];
    op->step = *step;
    op->began = play->clock++;
    perform(play, op);
    op->ended = play->clock++;
}

static void body(void *context, unsigned thread)
{
    struct play *play = context;
    const struct step *step = play->scenario->thread[thread];

    for (unsigned i = 0; i < STEPS_MOST && step[i].what; i++)
        do_step(play, &step[i]);
}

/** The callback looks at the space: one more chance for others to come in between. */
static void on_flush(void *context, uint64_t start, uint64_t last)
{
    struct play *play = context;
    struct kva_segment segment;

    (void)last;
    check_that(kva_find(&play->space, start, &segment) == KVA_OK && segment.state == KVA_DEFERRED,
               "a flush of what is not deferred");
}

static void picture(struct play *play)
{
    static const char letters[] = {[KVA_FREE] = '.', [KVA_DEFERRED] = 'd', [KVA_POOLED] = '.'};
    struct kva_segment segment;

    for (unsigned i = 0; i < play->scenario->quanta; i++) {
        assert_int_equal(kva_find(&play->space, FIRST + i * QUANTUM, &segment), KVA_OK);
        play->final[i] = segment.state == KVA_BUSY ? letter_found(play, &segment) : letters[segment.state];
    }
    play->final[play->scenario->quanta] = '\0';
}

/* ---------------------------------------------------------------------------------------- serial orders */

struct serial {
    const struct play *play;
    unsigned from; /* operations before this one are done */
    bool done[OPS_MOST + 8];
    char map[QUANTA_MOST + 1];
};

static bool is_busy(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_deferred(char c)
{
    return c >= 'a' && c <= 'z';
}

/** How many quanta from here on have the same letter: those of one segment. */
static unsigned run_of(const char *at)
{
    unsigned run = 1;

    while (at[run] == *at)
        run++;
    return run;
}

/** What is deferred by operation `by` becomes free. */
static void free_letter(char *map, char letter)
{
    for (; *map; map++)
        *map = *map == letter ? '.' : *map;
}

/** All that was deferred before `op` began becomes free. */
static void free_older(struct serial *serial, const struct op *op)
{
    for (unsigned i = 0; i < serial->play->count; i++) {
        if (serial->play->op[i].ended < op->began)
            free_letter(serial->map, (char)('a' + i));
    }
}

/** The lowest run of n free quanta; the map's length when there is none. */
static unsigned lowest_run(const char *map, unsigned n)
{
    unsigned run = 0;
    unsigned at = 0;

    for (; map[at]; at++) {
        run = map[at] == '.' ? run + 1 : 0;
        if (run == n)
            return at + 1 - n;
    }
    return at;
}

/** Whether [at, at + n) holds nothing busy; what is deferred there becomes free. */
static bool clear_range(char *map, unsigned at, unsigned n)
{
    for (unsigned i = at; i < at + n; i++) {
        if (is_busy(map[i]) || map[i] == '\0')
            return false;
    }
    for (unsigned i = at; i < at + n; i++) {
        if (is_deferred(map[i]))
            free_letter(map, map[i]);
    }
    return true;
}

/** Lowest fit, after any part of what is deferred has become free. */
static bool could_be_lowest(char *map, const struct op *op)
{
    char letters[OPS_MOST];
    unsigned count = 0;

    for (unsigned i = 0; map[i]; i++) {
        if (is_deferred(map[i]) && (count == 0 || !memchr(letters, map[i], count)))
            letters[count++] = map[i];
    }
    for (unsigned subset = 0; subset < 1U << count; subset++) {
        char copy[QUANTA_MOST + 1];
        memcpy(copy, map, sizeof(copy));
        for (unsigned i = 0; i < count; i++) {
            if (subset >> i & 1)
                free_letter(copy, letters[i]);
        }
        if (lowest_run(copy, op->size) == op->at) {
            memcpy(map, copy, sizeof(copy));
            return true;
        }
    }
    return false;
}

static bool any_is_busy(const char *at, unsigned n)
{
    while (n > 0 && !is_busy(at[n - 1]))
        n--;
    return n > 0;
}

static bool explain_taking(struct serial *serial, const struct op *op)
{
    char *map = serial->map;
    bool exact = op->step.what == 'R';

    if (op->status == KVA_EEXIST)
        return any_is_busy(map + op->at, op->size);
    if (op->status == KVA_ENOSPC) {
        free_older(serial, op);
        return lowest_run(map, op->size) == strlen(map);
    }
    bool fits = exact || serial->play->scenario->pool > 0 ? clear_range(map, op->at, op->size)
                                                          : could_be_lowest(map, op);
    if (fits)
        memset(map + op->at, letter_of(serial->play, op), op->size);
    return fits && op->status == KVA_OK;
}

/** The lowest quantum that is free, as is the next but one. */
static bool explain_pair(struct serial *serial, const struct op *op)
{
    char *map = serial->map;
    unsigned at = 0;

    while (map[at + 2] && (map[at] != '.' || map[at + 2] != '.'))
        at++;
    if (op->status != KVA_OK || at != op->at || !map[at + 2])
        return false;
    map[at] = letter_of(serial->play, op);
    map[at + 2] = map[at];
    return true;
}

static bool explain_giving(struct serial *serial, const struct op *op, unsigned number)
{
    char *at = serial->map + op->at;
    char letter = op->step.what == 'D' ? (char)('a' + number) : '.';

    if (op->status == KVA_EDOUBLE)
        return *at == '.' || is_deferred(*at);
    if (op->status == KVA_EDEFERRED)
        return is_deferred(*at);
    if (!is_busy(*at) || op->status != KVA_OK)
        return false;
    memset(at, letter, run_of(at));
    return true;
}

static bool explain_resize(struct serial *serial, const struct op *op)
{
    char *at = serial->map + op->at;
    char letter = *at;
    unsigned size = run_of(at);
    unsigned more = op->step.n > size ? op->step.n - size : 0;
    bool is_free = true;

    if (op->status == KVA_EDOUBLE)
        return *at == '.' || is_deferred(*at);
    for (unsigned i = 0; i < more && is_free; i++)
        is_free = at[size + i] == '.';
    if (op->status == KVA_ENOSPC)
        return !is_free;
    if (!is_busy(letter) || op->status != KVA_OK || !clear_range(serial->map, op->at + size, more))
        return false;
    memset(at, '.', size);
    memset(at, letter, op->step.n);
    return true;
}

static bool explain_find(struct serial *serial, const struct op *op)
{
    char *at = serial->map + op->at;

    if (op->state == KVA_BUSY)
        return *at == op->owner;
    if (op->state == KVA_DEFERRED)
        return is_deferred(*at);
    if (is_deferred(*at))
        free_letter(serial->map, *at);
    return *at == '.';
}

/** Whether the operation, done now, answers so; the map is then as it leaves it. */
static bool explain(struct serial *serial, unsigned number)
{
    const struct op *op = &serial->play->op[number];

    switch (op->step.what) {
    case 'A':
    case 'R':
        return explain_taking(serial, op);
    case 'C':
        return explain_pair(serial, op);
    case 'F':
    case 'D':
        return explain_giving(serial, op, number);
    case 'S':
        return explain_resize(serial, op);
    case 'L':
        free_older(serial, op);
        return op->status == KVA_OK;
    case 'T':
        return op->status == KVA_OK;
    default:
        return explain_find(serial, op);
    }
}

static bool is_final(const struct serial *serial)
{
    const char *final = serial->play->final;

    for (unsigned i = 0; final[i]; i++) {
        char c = serial->map[i];
        bool same = is_busy(final[i]) ? c == final[i] : final[i] == 'd' ? is_deferred(c) : !is_busy(c);
        if (!same)
            return false;
    }
    return true;
}

/** Whether an operation may come next: none that ended before it began is still to come. */
static bool may_be_next(const struct serial *serial, unsigned number)
{
    const struct play *play = serial->play;

    for (unsigned i = 0; i < play->count; i++) {
        if (!serial->done[i] && play->op[i].ended < play->op[number].began)
            return false;
    }
    return !serial->done[number];
}

static bool has_serial_order(const struct serial *serial)
{
    bool all = true;

    for (unsigned i = 0; i < serial->play->count; i++) {
        if (!may_be_next(serial, i)) {
            all = all && serial->done[i];
            continue;
        }
        all = false;
        struct serial next = *serial;
        next.done[i] = true;
        if (explain(&next, i) && has_serial_order(&next))
            return true;
    }
    return all && is_final(serial);
}

static void show(const struct play *play)
{
    for (unsigned i = 0; i < play->count; i++) {
        const struct op *op = &play->op[i];
        print_message("  %c: %2u-%2u %c slot %u n %u x %u: %s at %u state %d\n", letter_of(play, op),
                      op->began, op->ended, op->step.what, op->step.slot, op->step.n, op->step.x,
                      kva_status_name(op->status), op->at, (int)op->state);
    }
    print_message("  left: %s\n", play->final);
}

/* ------------------------------------------------------------------------------------------------ scenarios */

static const struct scenario scenarios[] = {
    {.name = "two threads take and give",
     .quanta = 6,
     .threads = 2,
     .thread = {{{'A', 0, 1, 0}, {'A', 1, 2, 0}, {'F', 0, 0, 0}},
                {{'A', 2, 2, 0}, {'F', 2, 0, 0}, {'A', 3, 1, 0}}}},
    {.name = "a double free by two threads",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 2, 0}},
     .thread = {{{'F', 0, 0, 0}, {'X', 0, 0, 0}}, {{'F', 0, 0, 0}, {'X', 0, 0, 1}}}},
    {.name = "what is parked during a flush stays parked",
     .quanta = 4,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'A', 2, 2, 0}},
     .thread = {{{'D', 0, 0, 0}, {'L', 0, 0, 0}}, {{'D', 1, 0, 0}, {'X', 0, 0, 1}}}},
    {.name = "no space is said only after the flush",
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
    {.name = "two at once are seen both or neither",
     .quanta = 4,
     .threads = 2,
     .wants_bt = true,
     .thread = {{{'C', 0, 1, 0}}, {{'X', 0, 0, 0}, {'X', 0, 0, 2}}}},
    {.name = "pools: two threads take and give",
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
    {.name = "pools: given back by another",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'A', 1, 1, 0}, {'F', 0, 0, 0}}, {{'F', 1, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "pools: a drain while a range is given back",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'R', 0, 12, 4}, {'A', 1, 1, 0}, {'A', 2, 1, 0}},
     .thread = {{{'A', 3, 3, 0}}, {{'F', 1, 0, 0}}}},
    {.name = "pools: the last range wanders between CPUs while one looks for it",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'R', 0, 12, 4}, {'A', 1, 1, 0}, {'A', 2, 1, 0}, {'A', 3, 1, 0}},
     .thread = {{{'A', 4, 2, 0}}, {{'F', 1, 0, 0}, {'A', 5, 1, 0}}}},
    {.name = "pools: there is always a free range, and one who looks for it finds it (3 preemptions)",
     .quanta = 16,
     .pool = 3, /* one for each CPU */
     .threads = 3,
     .changes = 3,
     .before = {{'R', 0, 12, 4}, {'A', 1, 1, 1}, {'A', 2, 1, 2}, {'A', 3, 1, 0}, {'A', 4, 1, 0}},
     .thread = {{{'A', 5, 1, 0}}, {{'F', 1, 0, 0}}, {{'F', 2, 0, 0}, {'P', 0, 0, 0}, {'A', 6, 1, 0}}}},
    {.name = "pools: reserve over what is pooled",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'R', 1, 2, 1}}, {{'A', 2, 1, 0}}}},
    {.name = "pools: deferred, and flushed by another",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'D', 0, 0, 0}}, {{'L', 0, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "pools: two trims at once",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'F', 0, 0, 0}},
     .thread = {{{'T', 0, 0, 0}}, {{'T', 0, 0, 0}, {'A', 2, 1, 0}}}},
    {.name = "pools: a span comes and goes while one looks (3 preemptions)",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .changes = 3,
     .wants_bt = true,
     .thread = {{{'X', 0, 0, 0}}, {{'A', 0, 1, 0}, {'F', 0, 0, 0}, {'T', 0, 0, 0}}}},
    {.name = "pools: resized by one while another gives it back, and takes it anew",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 1}},
     .thread = {{{'S', 0, 2, 0}}, {{'F', 0, 0, 0}, {'A', 2, 1, 0}}}},
    {.name = "pools: resize an object into what is pooled",
     .quanta = 16,
     .pool = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'S', 0, 2, 0}}, {{'A', 1, 1, 0}}}},
};

static void set_up(struct play *play, const struct kva_engine *engine)
{
    const struct scenario *scenario = play->scenario;
    struct kva_config config = {.first = FIRST,
                                .last = FIRST + scenario->quanta * QUANTUM - 1,
                                .quantum = QUANTUM,
                                .engine = engine,
                                .memory = kva_memory_host(),
                                .threads = &play->threads,
                                .pool_bytes = scenario->pool * QUANTUM,
                                .flush = on_flush,
                                .flush_context = play,
                                .deferred_limit = UINT64_MAX};

    play->clock = 0;
    play->count = 0;
    memset(play->slot, 0, sizeof(play->slot));
    assert_int_equal(kva_space_init(&play->space, &config), KVA_OK);
    for (unsigned i = 0; i < 8 && scenario->before[i].what; i++) {
        kva_turns_set_cpu(play->turns, scenario->before[i].what == 'A' ? scenario->before[i].x : 0);
        do_step(play, &scenario->before[i]);
    }
}

static void look_back(struct play *play, uint64_t schedule)
{
    struct serial serial = {.play = play};
    struct kva_fault fault;
    enum kva_status status = kva_space_check(&play->space, &fault);

    check_that(status == KVA_OK, "%s, schedule %" PRIu64 ": %s", play->scenario->name, schedule, fault.what);
    picture(play);
    memset(serial.map, '.', play->scenario->quanta);
    bool explained = has_serial_order(&serial);
    if (!explained)
        show(play);
    check_that(explained, "%s, schedule %" PRIu64 ": no serial order explains it", play->scenario->name,
               schedule);
    assert_int_equal(kva_space_abandon(&play->space), KVA_OK);
}

/** At scale 1 all schedules of a scenario; below, as many as the scale lets. */
static uint64_t enumerate(struct play *play, const struct kva_engine *engine)
{
    uint64_t most = test_stride() == 1 ? UINT64_MAX : test_scaled(10000);
    uint64_t count = 0;
    bool more = true;

    kva_turns_begin(play->turns, play->scenario->changes);
    for (; more && count < most; count++) {
        set_up(play, engine);
        kva_turns_run(play->turns, body, play);
        look_back(play, count);
        more = kva_turns_next(play->turns);
    }
    print_message("%8" PRIu64 "%s schedules: %s\n", count, more ? "  of the" : ", all the",
                  play->scenario->name);
    return count;
}

static void every_schedule_has_a_serial_order(void **state)
{
    static struct play play;
    uint64_t sum = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        play.scenario = &scenarios[i];
        play.turns = kva_turns_new(scenarios[i].threads);
        play.threads = kva_turns_threads(play.turns);
        sum += enumerate(&play, i % 2 && !scenarios[i].wants_bt ? &kva_engine_rb : &kva_engine_bt);
        kva_turns_drop(play.turns);
    }
    print_message("%8" PRIu64 " schedules\n", sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_schedule_has_a_serial_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
