/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The page source of failing_pages.h: a byte for each page of a stretch says what state the page is in. */
#include "failing_pages.h"

#include <kva/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum page_state { CLOSED = 0, OPEN = 1, MAPPED = 2, NAMED = 3 /* mapped, and named by a map of a move */ };

/** The frame that a page shows; pool NULL: none. */
struct shown {
    const void *pool;
    uint64_t frame;
};

struct kva_failing_stretch {
    struct kva_failing_pages *pages;
    void *inner;
    uint64_t first;
    const unsigned char *tables;
    uint64_t count;  /* pages */
    uint64_t frames; /* pages, of these, at the end */
    unsigned char *state;
    struct shown *shown;  /* for each page of the frames' part; NULL: it is not recorded */
    uint64_t shown_count; /* no page from this one on shows anything */
    uint64_t pieces;      /* of the tables, outstanding */
    struct kva_failing_stretch *next;
};

struct kva_failing_pool {
    void *pool;
    uint64_t count; /* frames */
    bool movable;
    struct kva_failing_pool *next;
};

static void stop(const char *why)
{
    fprintf(stderr, "failing_pages: %s\n", why);
    abort();
}

static bool must_fail(struct kva_failing_pages *pages)
{
    pages->calls++;
    bool fails = pages->fail_at != 0 &&
                 (pages->calls == pages->fail_at || (pages->from_then_on && pages->calls > pages->fail_at));
    pages->refused += fails;
    return fails;
}

/* ----------------------------------------------------------------------------------------------- stretches */

static enum kva_status reserve(void *context, struct kva_stretch *wish)
{
    struct kva_failing_pages *pages = context;

    if (must_fail(pages))
        return pages->status;
    enum kva_status status = pages->inner.reserve(pages->inner.context, wish);
    if (status != KVA_OK)
        return status;
    struct kva_failing_stretch *stretch = calloc(1, sizeof *stretch);
    if (!stretch)
        abort();
    stretch->pages = pages;
    stretch->inner = wish->handle;
    stretch->first = wish->first;
    stretch->tables = wish->tables;
    stretch->count = wish->bytes / pages->inner.page;
    stretch->frames = wish->frames / pages->inner.page;
    stretch->state = calloc((size_t)stretch->count, 1);
    if (!stretch->state)
        abort();
    wish->handle = stretch;
    stretch->next = pages->stretch;
    pages->stretch = stretch;
    pages->stretches++;
    return KVA_OK;
}

/** Count what a page in some state adds to, or takes from, what is outstanding. */
static void count_page(struct kva_failing_pages *pages, unsigned char state, int change)
{
    if (state == OPEN)
        pages->open_pages += (uint64_t)(int64_t)change;
    if (state == MAPPED)
        pages->mapped_pages += (uint64_t)(int64_t)change;
}

static void release(void *context, void *handle)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;

    if (pages->stretches == 0)
        stop("a stretch was released that was not reserved");
    pages->inner.release(pages->inner.context, stretch->inner);
    pages->stretches--;
    pages->pieces -= stretch->pieces;
    for (uint64_t i = 0; i < stretch->count; i++)
        count_page(pages, stretch->state[i], -1);
    struct kva_failing_stretch **at = &pages->stretch;
    while (*at != stretch)
        at = &(*at)->next;
    *at = stretch->next;
    free(stretch->shown);
    free(stretch->state);
    free(stretch);
}

/* ------------------------------------------------------------------------------------------------- pages */

/** The pages of a range, which must lie in one part of the stretch: *from is the number of the first. */
static uint64_t pages_of(const struct kva_failing_stretch *stretch, uint64_t start, uint64_t bytes,
                         bool frames, uint64_t *from)
{
    uint64_t page = stretch->pages->inner.page;
    uint64_t count = bytes / page;
    uint64_t private_count = stretch->count - stretch->frames;

    *from = (start - stretch->first) / page;
    if (bytes == 0 || bytes % page != 0 || start % page != 0)
        stop("a range is not whole pages");
    if (start < stretch->first || *from >= stretch->count || count > stretch->count - *from)
        stop("a range reaches outside the stretch");
    if (frames ? *from < private_count : *from + count > private_count)
        stop("a range lies in the wrong part of the stretch");
    return count;
}

static void expect_closed(const struct kva_failing_stretch *stretch, uint64_t from, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (stretch->state[from + i] != CLOSED)
            stop("a page was opened that is not closed");
    }
}

static void set_state(struct kva_failing_stretch *stretch, uint64_t from, uint64_t count,
                      enum page_state state)
{
    for (uint64_t i = 0; i < count; i++) {
        count_page(stretch->pages, stretch->state[from + i], -1);
        stretch->state[from + i] = (unsigned char)state;
        count_page(stretch->pages, stretch->state[from + i], 1);
    }
}

static enum kva_status open_pages(void *context, void *handle, uint64_t start, uint64_t bytes, bool huge)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;
    uint64_t from;
    uint64_t count = pages_of(stretch, start, bytes, false, &from);

    expect_closed(stretch, from, count);
    if (huge && (pages->inner.huge == 0 || (start | bytes) % pages->inner.huge != 0))
        stop("huge pages were asked for in a range that is not whole ones");
    if (must_fail(pages))
        return pages->status;
    enum kva_status status = pages->inner.open(pages->inner.context, stretch->inner, start, bytes, huge);
    if (status == KVA_OK)
        set_state(stretch, from, count, OPEN);
    return status;
}

static void close_pages(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;
    uint64_t from;
    uint64_t count = pages_of(stretch, start, bytes, false, &from);

    pages->closes++;
    pages->inner.close(pages->inner.context, stretch->inner, start, bytes);
    set_state(stretch, from, count, CLOSED);
}

static void dismiss(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;
    uint64_t from;
    uint64_t count = pages_of(stretch, start, bytes, false, &from);

    pages->closes++;
    pages->dismissals++;
    pages->inner.dismiss(pages->inner.context, stretch->inner, start, bytes);
    set_state(stretch, from, count, CLOSED);
}

static enum kva_status bind_pages(void *context, void *handle, uint64_t start, uint64_t bytes,
                                  const struct kva_vm_nodes *nodes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;
    uint64_t from;
    uint64_t count = pages_of(stretch, start, bytes, false, &from);

    for (uint64_t i = 0; i < count; i++) {
        if (stretch->state[from + i] != CLOSED)
            stop("a page was bound that is not closed");
    }
    if (must_fail(pages))
        return pages->status;
    enum kva_status status = pages->inner.bind(pages->inner.context, stretch->inner, start, bytes, nodes);
    pages->binds += status == KVA_OK;
    return status;
}

static bool has_nodes(void *context, void *handle, const struct kva_vm_nodes *nodes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;

    return pages->inner.has_nodes(pages->inner.context, stretch->inner, nodes);
}

static const struct kva_failing_pool *pool_of(const struct kva_failing_pages *pages, const void *pool)
{
    const struct kva_failing_pool *at = pages->pool;

    while (at && at->pool != pool)
        at = at->next;
    return at;
}

/** From the first map of a movable pool on, what each page shows is recorded. */
static void begin_to_record(struct kva_failing_stretch *stretch, const void *pool)
{
    const struct kva_failing_pool *known = pool_of(stretch->pages, pool);

    if (!known)
        stop("frames of a pool were mapped that was not made");
    if (stretch->shown || !known->movable)
        return;
    stretch->shown = calloc((size_t)stretch->frames, sizeof *stretch->shown);
    if (!stretch->shown)
        abort();
}

/** Pages of a stretch, numbered from its first one, show frames from now on, or nothing. */
static void record(struct kva_failing_stretch *stretch, uint64_t from, uint64_t count, const void *pool,
                   uint64_t frame)
{
    uint64_t first = from - (stretch->count - stretch->frames);

    if (!stretch->shown)
        return;
    for (uint64_t i = 0; i < count; i++)
        stretch->shown[first + i] = (struct shown){pool, frame + i};
    if (pool && first + count > stretch->shown_count)
        stretch->shown_count = first + count;
}

static enum kva_status map_frames(void *context, void *handle, uint64_t start, void *pool, uint64_t frame,
                                  uint64_t count)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;
    uint64_t from;

    (void)pages_of(stretch, start, count * pages->inner.page, true, &from);
    begin_to_record(stretch, pool);
    if (must_fail(pages))
        return pages->status;
    enum kva_status status =
        pages->inner.map(pages->inner.context, stretch->inner, start, pool, frame, count);
    if (status != KVA_OK)
        return status;
    pages->maps++;
    set_state(stretch, from, count, MAPPED);
    record(stretch, from, count, pool, frame);
    return KVA_OK;
}

static void unmap_frames(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;
    uint64_t from;
    uint64_t count = pages_of(stretch, start, bytes, true, &from);

    pages->closes++;
    pages->inner.unmap(pages->inner.context, stretch->inner, start, bytes);
    set_state(stretch, from, count, CLOSED);
    record(stretch, from, count, NULL, 0);
}

static void settle(void *context, void *handle)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;

    if (pages->inner.settle)
        pages->inner.settle(pages->inner.context, stretch->inner);
}

static bool is_weak(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;

    return pages->inner.weak && pages->inner.weak(pages->inner.context, stretch->inner, start, bytes);
}

static void collapse(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;
    uint64_t from;
    uint64_t count = pages_of(stretch, start, bytes, true, &from);

    if (pages->inner.huge == 0 || (start | bytes) % pages->inner.huge != 0)
        stop("a range was to be collapsed that is not whole huge pages");
    for (uint64_t i = 0; i < count; i++) {
        if (stretch->state[from + i] != MAPPED)
            stop("a page was to be collapsed that shows nothing");
    }
    pages->collapses++;
    pages->inner.collapse(pages->inner.context, stretch->inner, start, bytes);
}

/* ------------------------------------------------------------------------------------------------- moves */

static void expect_places(const struct kva_failing_pages *pages, const struct kva_pages_move *move)
{
    const struct kva_failing_pool *pool = pool_of(pages, move->pool);

    if (!pool || !pool->movable)
        stop("frames were moved of a pool that is not movable, or was not made");
    if (move->count == 0 || move->count > pool->count || move->from > pool->count - move->count ||
        move->to > pool->count - move->count)
        stop("frames were moved that the pool does not have");
    if (move->from < move->to + move->count && move->to < move->from + move->count)
        stop("frames were moved to where they are");
}

/** The pages of a map of frames that move, as numbers. */
static uint64_t pages_of_map(const struct kva_failing_stretch *stretch, const struct kva_pages_map *map,
                             uint64_t *from)
{
    return pages_of(stretch, map->start, map->count * stretch->pages->inner.page, true, from);
}

/** A map of frames that move shows what was mapped there, and no other map has named it. Returns how many pages it has. */
static uint64_t expect_shown(struct kva_failing_stretch *stretch, const struct kva_pages_move *move,
                             const struct kva_pages_map *map)
{
    uint64_t from;
    uint64_t count = pages_of_map(stretch, map, &from);

    if (map->frame >= move->count || count > move->count - map->frame)
        stop("a map shows frames that do not move");
    for (uint64_t i = 0; i < count; i++) {
        const struct shown *shown =
            stretch->shown ? &stretch->shown[from + i - (stretch->count - stretch->frames)] : NULL;
        if (stretch->state[from + i] != MAPPED || !shown || shown->pool != move->pool ||
            shown->frame != move->from + map->frame + i)
            stop("a page does not show the frame that is said to move under it");
        stretch->state[from + i] = NAMED;
    }
    return count;
}

/** How many pages show frames of a range. */
static uint64_t shown_of(const struct kva_failing_stretch *stretch, const void *pool, uint64_t frame,
                         uint64_t count)
{
    uint64_t pages = 0;

    for (uint64_t i = 0; i < stretch->shown_count; i++) {
        const struct shown *shown = &stretch->shown[i];
        pages += shown->pool == pool && shown->frame >= frame && shown->frame - frame < count;
    }
    return pages;
}

/** Each page that shows a frame is named by one map alone, and the maps come in the same order each time. */
static void expect_maps(struct kva_failing_stretch *stretch, const struct kva_pages_move *move)
{
    struct kva_pages_map map;
    struct kva_pages_map again;
    uint64_t cursor = 0;
    uint64_t second = 0;
    uint64_t pages = 0;
    uint64_t from;

    while (move->next(move->context, &cursor, &map))
        pages += expect_shown(stretch, move, &map);
    if (!stretch->pages->parked_pages_show) {
        if (pages != shown_of(stretch, move->pool, move->from, move->count))
            stop("a page that shows a frame that moves is not named");
        if (shown_of(stretch, move->pool, move->to, move->count) != 0)
            stop("frames were moved to a place that is mapped");
    }
    cursor = 0;
    while (move->next(move->context, &cursor, &map)) {
        if (!move->next(move->context, &second, &again) || again.start != map.start ||
            again.frame != map.frame || again.count != map.count)
            stop("the maps of frames that move are others at another look");
        uint64_t count = pages_of_map(stretch, &map, &from);
        pages -= count;
        memset(&stretch->state[from], MAPPED, (size_t)count);
    }
    if (pages != 0 || move->next(move->context, &second, &again))
        stop("the maps of frames that move are more or fewer at another look");
}

static void record_move(struct kva_failing_stretch *stretch, const struct kva_pages_move *move)
{
    struct kva_pages_map map;
    uint64_t cursor = 0;
    uint64_t from;

    while (move->next(move->context, &cursor, &map)) {
        uint64_t count = pages_of_map(stretch, &map, &from);
        record(stretch, from, count, move->pool, move->to + map.frame);
    }
}

static enum kva_status move_frames(void *context, void *handle, const struct kva_pages_move *move)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;

    expect_places(pages, move);
    expect_maps(stretch, move);
    if (must_fail(pages))
        return pages->status;
    enum kva_status status = pages->inner.move(pages->inner.context, stretch->inner, move);
    if (status != KVA_OK)
        return status;
    record_move(stretch, move);
    pages->moves++;
    pages->moved_frames += move->count;
    return KVA_OK;
}

uint64_t kva_failing_pages_place(const struct kva_failing_pages *pages, const void *address)
{
    for (const struct kva_failing_stretch *stretch = pages->stretch; stretch; stretch = stretch->next) {
        uint64_t page = ((uintptr_t)address - stretch->first) / pages->inner.page;
        uint64_t private_count = stretch->count - stretch->frames;
        if ((uintptr_t)address < stretch->first || page >= stretch->count || page < private_count ||
            !stretch->shown)
            continue;
        const struct shown *shown = &stretch->shown[page - private_count];
        return shown->pool ? shown->frame : UINT64_MAX;
    }
    return UINT64_MAX;
}

void *kva_failing_pages_pool(const struct kva_failing_pages *pages)
{
    return pages->pool ? pages->pool->pool : NULL;
}

/* ---------------------------------------------------------------------------------------- pools and tables */

static enum kva_status make_pool(void *context, void *handle, uint64_t count, bool movable, void **pool)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;

    if (must_fail(pages))
        return pages->status;
    enum kva_status status = pages->inner.pool(pages->inner.context, stretch->inner, count, movable, pool);
    if (status != KVA_OK)
        return status;
    struct kva_failing_pool *made = calloc(1, sizeof *made);
    if (!made)
        abort();
    *made = (struct kva_failing_pool){*pool, count, movable, pages->pool};
    pages->pool = made;
    pages->pools++;
    return KVA_OK;
}

static void drain_pool(void *context, void *handle, void *pool, uint64_t frame, uint64_t count)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;

    pages->inner.drain(pages->inner.context, stretch->inner, pool, frame, count);
}

static void drop_pool(void *context, void *handle, void *pool)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;

    struct kva_failing_pool **at = &pages->pool;
    while (*at && (*at)->pool != pool)
        at = &(*at)->next;
    if (!*at)
        stop("a pool was dropped that was not made");
    struct kva_failing_pool *gone = *at;
    *at = gone->next;
    free(gone);
    pages->inner.drop(pages->inner.context, stretch->inner, pool);
    pages->pools--;
}

static void *take_table(void *context, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;
    void *table = must_fail(pages) ? NULL : pages->inner.table(pages->inner.context, bytes);

    pages->tables += table != NULL;
    return table;
}

/** Pieces read as zero when they are taken: one byte of each 512 is looked at. */
static void expect_zero(const struct kva_failing_stretch *stretch, uint32_t number)
{
    const unsigned char *piece = stretch->tables + (size_t)number * KVA_VM_PIECE;

    for (size_t at = 0; at < KVA_VM_PIECE; at += 512) {
        if (piece[at] != 0)
            stop("a piece of the tables does not read as zero");
    }
}

static enum kva_status take_piece(void *context, void *handle, uint32_t *number)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;

    if (must_fail(pages))
        return pages->status;
    enum kva_status status = pages->inner.piece(pages->inner.context, stretch->inner, number);
    if (status != KVA_OK)
        return status;
    expect_zero(stretch, *number);
    stretch->pieces++;
    pages->pieces++;
    return KVA_OK;
}

static void give_piece(void *context, void *handle, uint32_t number)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;

    if (stretch->pieces == 0)
        stop("a piece of the tables was given back that was not taken");
    pages->inner.unpiece(pages->inner.context, stretch->inner, number);
    stretch->pieces--;
    pages->pieces--;
}

static void trim(void *context, void *handle)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;

    pages->inner.trim(pages->inner.context, stretch->inner);
}

static void give_table(void *context, void *table, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;

    if (pages->tables == 0)
        stop("a table was given back that was not taken");
    pages->inner.untable(pages->inner.context, table, bytes);
    pages->tables--;
}

/* -------------------------------------------------------------------------------------------- the source */

static unsigned this_cpu(void *context)
{
    struct kva_failing_pages *pages = context;

    return pages->fixed_cpu ? pages->cpu : pages->inner.this_cpu(pages->inner.context);
}

static void read_stats(void *context, void *handle, struct kva_pages_stats *stats)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;

    pages->inner.stats(pages->inner.context, stretch->inner, stats);
}

static const char *check(void *context, void *handle, const struct kva_pages_view *view, uint64_t *address)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_stretch *stretch = handle;

    if (!pages->inner.check)
        return NULL;
    return pages->inner.check(pages->inner.context, stretch->inner, view, address);
}

static intptr_t descriptor(void *context, void *pool)
{
    struct kva_failing_pages *pages = context;

    return pages->inner.descriptor ? pages->inner.descriptor(pages->inner.context, pool) : -1;
}

struct kva_pages kva_failing_pages_init(struct kva_failing_pages *pages, const struct kva_pages *inner)
{
    struct kva_pages source = {
        .reserve = reserve,
        .release = release,
        .open = open_pages,
        .close = close_pages,
        .dismiss = inner->dismiss ? dismiss : NULL,
        .bind = inner->bind ? bind_pages : NULL,
        .has_nodes = inner->has_nodes ? has_nodes : NULL,
        .map = map_frames,
        .unmap = unmap_frames,
        .settle = settle,
        .weak = is_weak,
        .collapse = inner->collapse ? collapse : NULL,
        .move = inner->move ? move_frames : NULL,
        .pool = make_pool,
        .drain = drain_pool,
        .drop = drop_pool,
        .piece = take_piece,
        .unpiece = give_piece,
        .trim = trim,
        .table = take_table,
        .untable = give_table,
        .this_cpu = this_cpu,
        .stats = read_stats,
        .check = check,
        .descriptor = descriptor,
        .page = inner->page,
        .huge = inner->huge,
        .context = pages,
    };

    memset(pages, 0, sizeof *pages);
    pages->inner = *inner;
    pages->status = KVA_ENOMEM;
    return source;
}

void kva_failing_pages_fail(struct kva_failing_pages *pages, uint64_t n, bool from_then_on)
{
    pages->fail_at = n == 0 ? 0 : pages->calls + n;
    pages->from_then_on = from_then_on;
}
