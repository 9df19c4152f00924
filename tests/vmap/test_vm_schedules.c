/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * All schedules of two or three threads of a few operations each, on a tiny instance (common/schedules.h). A
 * unit of the map is a page; an area's guard has its letter, too.
 *
 * WHO IS WHO. Operation number i asks for so many pages less i bytes, and so an area's size says whose it is.
 * Areas are stamped with their letter: what is closed or handed out while somebody has it, shows. But where a
 * scenario gives one area back twice, a second free may hit what has come to lie there, as it may with any
 * allocator; nothing is stamped then.
 *
 * WHAT MAY BECOME FREE. Anything idle at any moment, and by the end of a flush all that was idle when that
 * began. "No space" is said only at a moment at which nothing fits even if all that is idle were free.
 */
#include "common/schedules.h"

#include <string.h>

#include <kva/engine.h>
#include <kva/threads.h>
#include <kva/vm.h>

#include "common/array_pages.h"
#include "../../ports/test/failing_memory.h"
#include "../../ports/test/failing_pages.h"

enum { PAGE = KVA_ARRAY_PAGE, THREADS_MOST = 3, STEPS_MOST = 4, BEFORE_MOST = 6, SLOTS = 8 };

_Static_assert(THREADS_MOST *STEPS_MOST + BEFORE_MOST <= SCHEDULES_OPS, "each has a letter");
_Static_assert((int)SCHEDULES_OPS < (int)PAGE, "a page's bytes tell them apart");

/** What a thread does. `slot` is where an area's address is kept; n is in pages. */
struct step {
    char
        what; /* A kva_vmalloc, B kva_vm_alloc, F free, S change the size, M mark as foreign, U usable size, X find page x,
                * L flush, K check; 0: end */
    unsigned slot;
    unsigned n;
    unsigned x;
};

struct scenario {
    const char *name;
    unsigned pages;
    unsigned cached; /* pages that each CPU may cache; 0: none */
    bool purges;     /* at each free that is not cached; else when space is short */
    bool hardened;
    bool frees_twice;
    bool reclaims; /* there is a callback, which lets others come, and gives back what is in slot 0 */
    unsigned threads;
    unsigned changes;                /* at most; 0: any number */
    struct step before[BEFORE_MOST]; /* one after the other, before the threads begin; x is the CPU */
    struct step thread[THREADS_MOST][STEPS_MOST];
};

struct op {
    struct step step;
    enum kva_status status;
    unsigned from; /* F, S, M, U: the page that is meant */
    unsigned at;   /* A, S: where the area is then */
    size_t usable;
    struct kva_vm_area area; /* X: what was found */
};

struct play {
    struct kva_array_pages array;
    const struct scenario *scenario;
    const struct kva_engine *engine;
    struct kva_threads threads;
    struct kva_failing_pages pages;
    struct kva_failing_memory memory;
    struct kva_vm *vm;
    struct kva_vm_reclaim reclaim;
    bool is_reclaiming;
    unsigned corruptions;
    struct op op[SCHEDULES_OPS];
    unsigned char *slot[SLOTS]; /* NULL: empty */
    struct schedules_history history;
};

static unsigned page_of(const struct play *play, uintptr_t address)
{
    return (unsigned)((address - (uintptr_t)play->array.memory) / PAGE);
}

static unsigned number_of(const struct play *play, const struct op *op)
{
    return (unsigned)(op - play->op);
}

static size_t size_of(const struct play *play, const struct op *op)
{
    return op->step.n * PAGE - number_of(play, op);
}

/** Whose an area is, by its size. */
static char letter_of(const struct kva_vm_area *area)
{
    return (char)('A' + (area->pages * PAGE - area->size));
}

/* ------------------------------------------------------------------------------------------- what happens */

static void stamp(const struct play *play, const struct op *op, unsigned char *memory)
{
    if (!play->scenario->frees_twice)
        memset(memory, 'A' + (int)number_of(play, op), size_of(play, op));
}

static void expect_stamp(const struct play *play, const unsigned char *memory, size_t size,
                         unsigned char letter)
{
    for (size_t i = 0; i < size && !play->scenario->frees_twice; i++)
        check_that(memory[i] == letter, "%s: byte %zu of page %u is %#x, not %c's", play->scenario->name, i,
                   page_of(play, (uintptr_t)memory), memory[i], letter);
}

/** A slot is filled as soon as its area is there, and keeps its address: others may free it twice. */
static void take(struct play *play, struct op *op)
{
    struct kva_vm_request request = kva_vm_request_of(size_of(play, op));
    void *memory = NULL;

    op->status = KVA_ENOSPC;
    if (op->step.what == 'B')
        op->status = kva_vm_alloc(play->vm, &request, &memory);
    else if ((memory = kva_vmalloc(play->vm, size_of(play, op))) != NULL)
        op->status = KVA_OK;
    if (op->status != KVA_OK)
        return;
    op->at = page_of(play, (uintptr_t)memory);
    play->slot[op->step.slot] = memory;
    stamp(play, op, memory);
}

static void resize(struct play *play, struct op *op)
{
    unsigned char *memory = play->slot[op->step.slot];
    size_t before = kva_vm_usable_size(play->vm, memory);
    unsigned char letter = play->scenario->frees_twice ? 0 : memory[0];
    void *moved;

    op->status = kva_vm_realloc(play->vm, memory, size_of(play, op), 0, &moved);
    if (op->status != KVA_OK)
        return;
    op->at = page_of(play, (uintptr_t)moved);
    play->slot[op->step.slot] = moved;
    if (before > SCHEDULES_OPS) /* what the size says of the owner is no part of the contents */
        expect_stamp(play, moved, (before < size_of(play, op) ? before : size_of(play, op)) - SCHEDULES_OPS,
                     letter);
    stamp(play, op, moved);
}

static void perform(struct play *play, struct op *op)
{
    unsigned char *memory = play->slot[op->step.slot];

    op->from = memory ? page_of(play, (uintptr_t)memory) : 0;
    switch (op->step.what) {
    case 'A':
    case 'B':
        take(play, op);
        break;
    case 'F':
        op->status = kva_vfree(play->vm, memory);
        break;
    case 'S':
        resize(play, op);
        break;
    case 'M':
        op->status = kva_vm_mark_foreign(play->vm, memory);
        break;
    case 'U':
        op->usable = kva_vm_usable_size(play->vm, memory);
        break;
    case 'X':
        op->status = kva_vm_find(play->vm, &play->array.memory[op->step.x * PAGE], &op->area);
        break;
    case 'L':
        op->status = kva_vm_purge(play->vm);
        break;
    default:
        op->status = kva_vm_check(play->vm, NULL);
        break;
    }
}

static void do_step(struct play *play, const struct step *step)
{
    if (strchr("FSMU", step->what) && !play->slot[step->slot])
        return; /* there is nothing to do it to */
    unsigned number = schedules_begin(&play->history);
    play->op[number] = (struct op){.step = *step};
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

/** One thread at a time asks. What is given back counts as an operation, the callback's. */
static bool on_reclaim(void *context, struct kva_vm *vm, size_t size)
{
    static const struct step give = {'F', 0, 0, 0};
    struct play *play = context;
    bool has_something = play->slot[0];

    (void)size;
    check_that(vm == play->vm && !play->is_reclaiming, "%s: two reclaim at once", play->scenario->name);
    play->is_reclaiming = true;
    play->threads.point(play->threads.context);
    do_step(play, &give);
    play->slot[0] = NULL;
    play->is_reclaiming = false;
    return has_something;
}

/** What is left, page by page, and whether it still has its stamps. */
static void picture(struct play *play)
{
    struct kva_vm_area area;

    for (unsigned i = 0; i < play->scenario->pages; i++) {
        const unsigned char *page = &play->array.memory[i * PAGE];
        play->history.found[i] = '.';
        if (kva_vm_find(play->vm, page, &area) != KVA_OK)
            continue;
        play->history.found[i] = area.state == KVA_VM_LIVE ? letter_of(&area) : 'z';
        if (area.state == KVA_VM_LIVE && (uintptr_t)page == area.start)
            expect_stamp(play, page, area.size, (unsigned char)letter_of(&area));
    }
    play->history.found[play->scenario->pages] = '\0';
}

/* ------------------------------------------------------------------------------------------ serial orders */

/** Whether an area that is used begins at a page, and how many pages it has, its guard included. */
static unsigned area_from(const char *map, unsigned at)
{
    bool begins = map_is_used(map[at]) && (at == 0 || map[at - 1] != map[at]);

    return begins ? map_run(&map[at]) : 0;
}

static bool is_full_for(char *map, unsigned n)
{
    map_free_idle(map);
    return map_lowest_run(map, n) == strlen(map);
}

static bool explain_taking(char *map, const struct op *op, unsigned number)
{
    if (op->status == KVA_ENOSPC)
        return is_full_for(map, op->step.n + 1);
    bool fits = op->status == KVA_OK && map_clear(map, op->at, op->step.n + 1);
    if (fits)
        memset(&map[op->at], 'A' + (int)number, op->step.n + 1);
    return fits;
}

/** Whether another thread was freeing the same area, and did, or was changing its size, in the meantime. */
static bool overlaps(const struct play *play, const struct op *op, char what)
{
    for (unsigned i = 0; i < play->history.count; i++) {
        const struct op *other = &play->op[i];
        bool succeeds = other->status == KVA_OK || what != 'F';
        if (other != op && other->step.what == what && succeeds && other->from == op->from &&
            schedules_overlap(&play->history, i, number_of(play, op)))
            return true;
    }
    return false;
}

/** Why a free, or a change of size, was refused. */
static bool explain_refusal(const struct play *play, const char *map, const struct op *op)
{
    char c = map[op->from];

    switch (op->status) {
    case KVA_EDOUBLE:
        return !map_is_used(c) || overlaps(play, op, 'F');
    case KVA_EDEFERRED:
        return map_is_idle(c);
    case KVA_EINTERIOR:
        return map_is_used(c) && area_from(map, op->from) == 0;
    case KVA_EREENTRY:
        return overlaps(play, op, 'S');
    default:
        return false;
    }
}

static bool explain_giving(const struct play *play, char *map, const struct op *op, unsigned number)
{
    unsigned pages = area_from(map, op->from);

    if (op->status != KVA_OK)
        return explain_refusal(play, map, op);
    memset(&map[op->from], 'a' + (int)number, pages);
    return pages > 0;
}

/** Whether the area and what is free behind it are as long as it wants to be. */
static bool could_grow(const char *map, const struct op *op)
{
    unsigned pages = map_run(&map[op->from]);
    const char *behind = &map[op->from + pages];

    return pages + (*behind == '.' ? map_run(behind) : 0) >= op->step.n + 1;
}

/** In place, or to another one; then the old one is idle. */
static bool explain_resize(const struct play *play, char *map, const struct op *op, unsigned number)
{
    unsigned pages = area_from(map, op->from);

    if (op->status == KVA_ENOSPC)
        return pages > 0 && is_full_for(map, op->step.n + 1) && !could_grow(map, op);
    if (op->status != KVA_OK)
        return explain_refusal(play, map, op);
    memset(&map[op->from], op->at == op->from ? '.' : 'a' + (int)number, pages);
    bool fits = pages > 0 && map_clear(map, op->at, op->step.n + 1);
    if (fits)
        memset(&map[op->at], 'A' + (int)number, op->step.n + 1);
    return fits;
}

static bool explain_find(const struct play *play, char *map, const struct op *op)
{
    unsigned x = op->step.x;
    unsigned start = page_of(play, op->area.start);

    if (op->status == KVA_ENOENT) {
        if (map_is_idle(map[x]))
            map_free_letter(map, map[x]);
        return map[x] == '.';
    }
    if (op->area.state != KVA_VM_LIVE)
        return map_is_idle(map[x]) && map_is_idle(map[start]);
    return map[x] == letter_of(&op->area) && area_from(map, start) == op->area.pages + 1;
}

static bool explain_usable(const char *map, const struct op *op)
{
    unsigned pages = area_from(map, op->from);

    return op->usable == 0 ? pages == 0 : (op->usable - 1) / PAGE + 1 == pages - 1;
}

static bool explain(const void *context, char *map, unsigned number)
{
    const struct play *play = context;
    const struct op *op = &play->op[number];

    switch (op->step.what) {
    case 'A':
    case 'B':
        return explain_taking(map, op, number);
    case 'F':
        return explain_giving(play, map, op, number);
    case 'S':
        return explain_resize(play, map, op, number);
    case 'M':
        return op->status == KVA_OK ? area_from(map, op->from) > 0 : explain_refusal(play, map, op);
    case 'U':
        return explain_usable(map, op);
    case 'X':
        return explain_find(play, map, op);
    case 'L':
        map_free_older(map, &play->history, number);
        return op->status == KVA_OK;
    default:
        return op->status == KVA_OK;
    }
}

static void show(const void *context, unsigned number)
{
    const struct play *play = context;
    const struct op *op = &play->op[number];

    print_message("%c slot %u n %u x %u: %s, from %u, at %u, usable %zu, state %d\n", op->step.what,
                  op->step.slot, op->step.n, op->step.x, kva_status_name(op->status), op->from, op->at,
                  op->usable, (int)op->area.state);
}

/* ---------------------------------------------------------------------------------------------- scenarios */

static const struct scenario scenarios[] = {
    {.name = "two threads take and give, through their caches",
     .pages = 12,
     .cached = 8,
     .threads = 2,
     .changes = 5,
     .thread = {{{'A', 0, 1, 0}, {'F', 0, 0, 0}, {'A', 1, 1, 0}}, {{'A', 2, 1, 0}, {'F', 2, 0, 0}}}},
    {.name = "a double free by two threads, cached",
     .pages = 6,
     .cached = 8,
     .frees_twice = true,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'F', 0, 0, 0}, {'X', 0, 0, 0}}, {{'F', 0, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "a double free by two threads, parked",
     .pages = 6,
     .frees_twice = true,
     .threads = 2,
     .changes = 5,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'F', 0, 0, 0}, {'X', 0, 0, 0}}, {{'F', 0, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "a double free by two threads, purged at once, and the addresses are taken again",
     .pages = 4,
     .purges = true,
     .frees_twice = true,
     .threads = 2,
     .changes = 5,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'F', 0, 0, 0}, {'A', 1, 1, 0}}, {{'F', 0, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "a double free by two threads, hardened",
     .pages = 6,
     .hardened = true,
     .frees_twice = true,
     .threads = 2,
     .changes = 5,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'F', 0, 0, 0}, {'X', 0, 0, 0}}, {{'F', 0, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "freed by one, flushed by another, looked for by both",
     .pages = 6,
     .cached = 8,
     .threads = 2,
     .changes = 5,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'F', 0, 0, 0}, {'X', 0, 0, 0}}, {{'L', 0, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "what another CPU has cached serves, or is purged",
     .pages = 2,
     .cached = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'F', 0, 0, 0}}, {{'A', 1, 1, 0}}}},
    {.name = "no space is said only when nothing is idle",
     .pages = 4,
     .cached = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 1}},
     .thread = {{{'F', 0, 0, 0}, {'B', 2, 3, 0}}, {{'F', 1, 0, 0}}}},
    {.name = "three threads for the last pages",
     .pages = 4,
     .threads = 3,
     .changes = 3,
     .before = {{'A', 0, 3, 0}},
     .thread = {{{'F', 0, 0, 0}}, {{'A', 1, 1, 0}}, {{'A', 2, 1, 0}}}},
    {.name = "two purge at once, a third takes what they close",
     .pages = 6,
     .purges = true,
     .threads = 3,
     .changes = 3,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'A', 2, 1, 0}},
     .thread = {{{'F', 0, 0, 0}}, {{'F', 1, 0, 0}}, {{'A', 3, 1, 0}}}},
    {.name = "two flushes at once",
     .pages = 6,
     .cached = 8,
     .threads = 2,
     .changes = 5,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 1}, {'F', 0, 0, 0}},
     .thread = {{{'L', 0, 0, 0}, {'X', 0, 0, 0}}, {{'F', 1, 0, 0}, {'L', 0, 0, 0}}}},
    {.name = "what is cold makes way",
     .pages = 8,
     .cached = 2,
     .threads = 2,
     .before = {{'A', 0, 1, 0}, {'A', 1, 2, 0}},
     .thread = {{{'F', 0, 0, 0}, {'F', 1, 0, 0}}, {{'A', 2, 1, 0}}}},
    {.name = "freed by one while another changes its size",
     .pages = 10,
     .cached = 8,
     .frees_twice = true,
     .threads = 2,
     .changes = 5,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}},
     .thread = {{{'S', 0, 2, 0}}, {{'F', 0, 0, 0}, {'U', 0, 0, 0}}}},
    {.name = "freed by one while another makes it larger where it stands",
     .pages = 6,
     .frees_twice = true,
     .threads = 2,
     .changes = 3,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'S', 0, 2, 0}, {'X', 0, 0, 0}}, {{'F', 0, 0, 0}}}},
    {.name = "grows where it stands once what was idle behind it is purged",
     .pages = 5,
     .threads = 2,
     .changes = 5,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'F', 1, 0, 0}},
     .thread = {{{'S', 0, 3, 0}}, {{'L', 0, 0, 0}}}},
    {.name = "a stale pointer hits what has just come out of the cache, and its descriptor serves another",
     .pages = 8,
     .cached = 1,
     .purges = true,
     .frees_twice = true,
     .threads = 2,
     .changes = 3,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 1}, {'F', 0, 0, 0}, {'F', 1, 0, 1}},
     .thread = {{{'A', 2, 1, 0}}, {{'F', 0, 0, 0}, {'A', 3, 2, 0}}}},
    {.name = "grows where it stands once its neighbour is gone",
     .pages = 5,
     .purges = true,
     .threads = 2,
     .changes = 5,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}},
     .thread = {{{'S', 0, 3, 0}, {'X', 0, 0, 2}}, {{'F', 1, 0, 0}}}},
    {.name = "shrinks, and another takes the rest",
     .pages = 4,
     .threads = 2,
     .before = {{'A', 0, 3, 0}},
     .thread = {{{'S', 0, 1, 0}}, {{'A', 1, 1, 0}, {'U', 1, 0, 0}}}},
    {.name = "the usable size of what is freed and taken again",
     .pages = 8,
     .cached = 8,
     .frees_twice = true,
     .threads = 2,
     .before = {{'A', 0, 2, 0}},
     .thread = {{{'F', 0, 0, 0}, {'A', 1, 2, 0}}, {{'U', 0, 0, 0}, {'U', 0, 0, 0}}}},
    {.name = "the usable size of what is marked, or made larger where it stands",
     .pages = 8,
     .threads = 2,
     .before = {{'A', 0, 2, 0}},
     .thread = {{{'M', 0, 0, 0}, {'S', 0, 3, 0}}, {{'U', 0, 0, 0}}}},
    {.name = "marked by one, freed by another",
     .pages = 8,
     .cached = 8,
     .frees_twice = true,
     .threads = 2,
     .before = {{'A', 0, 2, 0}},
     .thread = {{{'M', 0, 0, 0}}, {{'F', 0, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "two ask to reclaim, and one of them gets what there is",
     .pages = 4,
     .reclaims = true,
     .threads = 2,
     .changes = 3,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}},
     .thread = {{{'A', 2, 1, 0}}, {{'B', 3, 1, 0}}}},
    {.name = "sound at every moment",
     .pages = 8,
     .cached = 1,
     .threads = 2,
     .changes = 5,
     .before = {{'A', 0, 1, 0}, {'A', 1, 2, 0}},
     .thread = {{{'F', 1, 0, 0}, {'F', 0, 0, 0}}, {{'K', 0, 0, 0}, {'X', 0, 0, 2}}}},
};

static void count_corruption(void *context, const struct kva_fault *fault)
{
    struct play *play = context;

    play->corruptions += fault->status == KVA_ECORRUPT;
}

static void set_up(void *context, struct kva_turns *turns)
{
    struct play *play = context;
    const struct scenario *scenario = play->scenario;
    const struct kva_pages array = kva_array_pages_of(&play->array);
    struct kva_vm_config config = {
        .reservation = (scenario->pages + 1) * PAGE,
        .frames_part = PAGE,
        .hardened = scenario->hardened,
        .lazy_bytes = scenario->purges ? KVA_VM_NONE : 0,
        .cache_bytes = scenario->cached > 0 ? scenario->cached * scenario->threads * PAGE : KVA_VM_NONE,
        .engine = play->engine,
        .memory = kva_failing_memory_init(&play->memory),
        .pages = kva_failing_pages_init(&play->pages, &array),
        .cpus = scenario->threads,
        .threads = &play->threads,
        .on_misuse = count_corruption,
        .on_corruption = count_corruption,
        .hook_context = play,
    };

    play->threads = kva_turns_threads(turns);
    play->history = (struct schedules_history){
        .units = scenario->pages, .context = play, .explain = explain, .matches = map_matches, .show = show};
    memset(play->slot, 0, sizeof(play->slot));
    assert_int_equal(kva_vm_create_from(&config, &play->vm), KVA_OK);
    play->reclaim = (struct kva_vm_reclaim){.callback = on_reclaim, .context = play};
    play->is_reclaiming = false;
    if (scenario->reclaims)
        assert_int_equal(kva_vm_reclaim_add(play->vm, &play->reclaim), KVA_OK);
    for (unsigned i = 0; i < BEFORE_MOST && scenario->before[i].what; i++) {
        kva_turns_set_cpu(turns, scenario->before[i].x);
        do_step(play, &scenario->before[i]);
    }
}

static void look_back(void *context, uint64_t schedule)
{
    struct play *play = context;
    struct kva_fault fault = {.what = ""};
    enum kva_status status = kva_vm_check(play->vm, &fault);

    check_that(status == KVA_OK && play->corruptions == 0, "%s, schedule %" PRIu64 ": %s",
               play->scenario->name, schedule, fault.what);
    picture(play);
    schedules_expect_order(&play->history, play->scenario->name, schedule);
    for (unsigned i = 0; i < SLOTS; i++)
        (void)kva_vfree(play->vm, play->slot[i]); /* some are gone */
    assert_int_equal(kva_vm_destroy(play->vm, NULL, NULL), KVA_OK);
    assert_int_equal(play->memory.blocks, 0);
    assert_int_equal(play->pages.open_pages, 0);
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

static void every_schedule_has_a_serial_order(void **state)
{
    static struct play play;
    uint64_t sum = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        play.scenario = &scenarios[i];
        play.engine = i % 2 ? &kva_engine_rb : &kva_engine_bt;
        sum += enumerate(&play);
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
