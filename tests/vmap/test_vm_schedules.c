/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * All schedules of two or three threads of a few operations each, on a tiny instance (common/schedules.h). A
 * unit of the map is a page. An area's guard has the area's letter.
 *
 * OWNERS. Operation i requests its number of pages less i bytes, so the size of an area identifies its owner.
 * Areas are stamped with their letter: this finds pages that are closed or allocated again while they have an
 * owner. If a scenario frees an area twice, the second free may free a later area at the same address, as
 * with any allocator; such scenarios do not stamp.
 *
 * FREE PAGES. An idle area may become free at any moment. A purge frees all areas that were idle when it
 * began. A call may return KVA_ENOSPC only if, at some moment during it, nothing would fit even with all idle
 * areas free.
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

/** What a thread does. `slot` keeps an area's address; n is in pages. */
struct step {
    /** A kva_vmalloc, B kva_vm_alloc, F free, S change the size, M mark as foreign, U usable size, X find
     *  page x, L purge, K check; 0: end. */
    char what;
    unsigned slot;
    unsigned n;
    unsigned x;
};

struct scenario {
    const char *name;
    unsigned pages;
    unsigned cached; /* pages that each CPU may cache; 0: none */
    bool purges;     /* at each free that is not cached; else only when space is short */
    bool hardened;
    bool frees_twice;
    bool reclaims; /* the reclaim callback lets others run, and frees the area in slot 0 */
    unsigned threads;
    unsigned changes;                /* at most; 0: any number */
    struct step before[BEFORE_MOST]; /* run in order before the threads begin; x is the CPU */
    struct step thread[THREADS_MOST][STEPS_MOST];
};

struct op {
    struct step step;
    enum kva_status status;
    unsigned from; /* F, S, M, U: page of the area */
    unsigned at;   /* A, S: page of the result */
    size_t usable;
    struct kva_vm_area area; /* X: the result */
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

/** The owner of an area, by its size. */
static char letter_of(const struct kva_vm_area *area)
{
    return (char)('A' + (area->pages * PAGE - area->size));
}

/* --------------------------------------------------------------------------------------------- operations */

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

/** A slot is filled as soon as its area exists, and keeps the address: others may free it twice. */
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
    if (before > SCHEDULES_OPS) /* the bytes that the size leaves out differ */
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
        return; /* the slot is empty */
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

/** One thread reclaims at a time. The callback's free counts as an operation. */
static bool on_reclaim(void *context, struct kva_vm *vm, size_t size)
{
    static const struct step give = {'F', 0, 0, 0};
    struct play *play = context;
    bool has_something = play->slot[0];

    (void)size;
    check_that(vm == play->vm && !play->is_reclaiming, "%s: two threads reclaim at once",
               play->scenario->name);
    play->is_reclaiming = true;
    play->threads.point(play->threads.context);
    do_step(play, &give);
    play->slot[0] = NULL;
    play->is_reclaiming = false;
    return has_something;
}

/** Note the state of each page, and check the stamps. */
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

/** The pages of the used area that begins at a page, its guard included; 0 if none begins there. */
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

/** Whether another thread freed the same area, or changed its size, meanwhile. */
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

/** Whether the refusal of a free, or of a change of size, is right. */
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

/** Whether the area and the free pages after it suffice. */
static bool could_grow(const char *map, const struct op *op)
{
    unsigned pages = map_run(&map[op->from]);
    const char *next = &map[op->from + pages];

    return pages + (*next == '.' ? map_run(next) : 0) >= op->step.n + 1;
}

/** In place, or by moving: then the old area is idle. */
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
    {.name = "two threads allocate and free, through their caches",
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
    {.name = "a double free by two threads, purged at once, and the addresses are allocated again",
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
    {.name = "freed by one, purged by another, looked up by both",
     .pages = 6,
     .cached = 8,
     .threads = 2,
     .changes = 5,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'F', 0, 0, 0}, {'X', 0, 0, 0}}, {{'L', 0, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "an area in another CPU's cache is used or purged",
     .pages = 2,
     .cached = 8,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'F', 0, 0, 0}}, {{'A', 1, 1, 0}}}},
    {.name = "KVA_ENOSPC only if no area is idle",
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
    {.name = "two purge at once, a third allocates the addresses that they close",
     .pages = 6,
     .purges = true,
     .threads = 3,
     .changes = 3,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'A', 2, 1, 0}},
     .thread = {{{'F', 0, 0, 0}}, {{'F', 1, 0, 0}}, {{'A', 3, 1, 0}}}},
    {.name = "two calls of kva_vm_purge at once",
     .pages = 6,
     .cached = 8,
     .threads = 2,
     .changes = 5,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 1}, {'F', 0, 0, 0}},
     .thread = {{{'L', 0, 0, 0}, {'X', 0, 0, 0}}, {{'F', 1, 0, 0}, {'L', 0, 0, 0}}}},
    {.name = "an old area is evicted from a cache",
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
    {.name = "freed by one while another grows it in place",
     .pages = 6,
     .frees_twice = true,
     .threads = 2,
     .changes = 3,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'S', 0, 2, 0}, {'X', 0, 0, 0}}, {{'F', 0, 0, 0}}}},
    {.name = "grows in place once the idle area after it is purged",
     .pages = 5,
     .threads = 2,
     .changes = 5,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}, {'F', 1, 0, 0}},
     .thread = {{{'S', 0, 3, 0}}, {{'L', 0, 0, 0}}}},
    {.name = "a stale pointer to an area just taken from the cache, and its descriptor is reused",
     .pages = 8,
     .cached = 1,
     .purges = true,
     .frees_twice = true,
     .threads = 2,
     .changes = 3,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 1}, {'F', 0, 0, 0}, {'F', 1, 0, 1}},
     .thread = {{{'A', 2, 1, 0}}, {{'F', 0, 0, 0}, {'A', 3, 2, 0}}}},
    {.name = "grows in place once its neighbour is freed",
     .pages = 5,
     .purges = true,
     .threads = 2,
     .changes = 5,
     .before = {{'A', 0, 1, 0}, {'A', 1, 1, 0}},
     .thread = {{{'S', 0, 3, 0}, {'X', 0, 0, 2}}, {{'F', 1, 0, 0}}}},
    {.name = "shrinks, and another allocates the rest",
     .pages = 4,
     .threads = 2,
     .before = {{'A', 0, 3, 0}},
     .thread = {{{'S', 0, 1, 0}}, {{'A', 1, 1, 0}, {'U', 1, 0, 0}}}},
    {.name = "the usable size of an area that is freed and allocated again",
     .pages = 8,
     .cached = 8,
     .frees_twice = true,
     .threads = 2,
     .before = {{'A', 0, 2, 0}},
     .thread = {{{'F', 0, 0, 0}, {'A', 1, 2, 0}}, {{'U', 0, 0, 0}, {'U', 0, 0, 0}}}},
    {.name = "the usable size of an area that is marked, or grows in place",
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
    {.name = "two call the reclaim callback, and one of them gets the area",
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

    check_that(status == KVA_OK && play->corruptions == 0,
               "%s, schedule %" PRIu64 ": the check reports %s, %u corruptions", play->scenario->name,
               schedule, fault.what, play->corruptions);
    picture(play);
    schedules_expect_order(&play->history, play->scenario->name, schedule);
    for (unsigned i = 0; i < SLOTS; i++)
        (void)kva_vfree(play->vm, play->slot[i]); /* some are free already */
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

static void test_serial_orders(void **state)
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
        cmocka_unit_test(test_serial_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
