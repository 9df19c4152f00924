/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The page source of failing_pages.h. A byte for each page of a reservation holds the state of the page. */
#include "failing_pages.h"

#include <kva/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum page_state {
    CLOSED = 0,
    OPEN = 1,
    MAPPED = 2,
    NAMED = 3 /* mapped, and named by a map of this move */
};

/** The frame that a page maps; frame_set NULL: none. */
struct mapped {
    const void *frame_set;
    uint64_t frame;
};

struct kva_failing_reservation {
    struct kva_failing_pages *pages;
    void *inner;
    uint64_t first;
    const unsigned char *tables;
    uint64_t count;  /* pages */
    uint64_t frames; /* of these, pages for frames, at the end */
    unsigned char *state;
    struct mapped *mapped; /* for each page for frames; NULL: not recorded */
    uint64_t mapped_count; /* no page from this one on maps a frame */
    uint64_t pieces;       /* of the tables, outstanding */
    struct kva_failing_reservation *next;
};

struct kva_failing_frames {
    void *frame_set;
    uint64_t count; /* frames */
    bool movable;
    struct kva_failing_frames *next;
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

/* ------------------------------------------------------------------------------------------- reservations */

static enum kva_status reserve(void *context, struct kva_reservation *spec)
{
    struct kva_failing_pages *pages = context;

    if (must_fail(pages))
        return pages->status;
    enum kva_status status = pages->inner.reserve(pages->inner.context, spec);
    if (status != KVA_OK)
        return status;
    struct kva_failing_reservation *reservation = calloc(1, sizeof *reservation);
    if (!reservation)
        abort();
    reservation->pages = pages;
    reservation->inner = spec->handle;
    reservation->first = spec->first;
    reservation->tables = spec->tables;
    reservation->count = spec->bytes / pages->inner.page;
    reservation->frames = spec->frames / pages->inner.page;
    reservation->state = calloc((size_t)reservation->count, 1);
    if (!reservation->state)
        abort();
    spec->handle = reservation;
    reservation->next = pages->reservation;
    pages->reservation = reservation;
    pages->reservations++;
    return KVA_OK;
}

/** Count a page in some state as outstanding (change 1), or no more (-1). */
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
    struct kva_failing_reservation *reservation = handle;

    if (pages->reservations == 0)
        stop("release without an outstanding reservation");
    pages->inner.release(pages->inner.context, reservation->inner);
    pages->reservations--;
    pages->pieces -= reservation->pieces;
    for (uint64_t i = 0; i < reservation->count; i++)
        count_page(pages, reservation->state[i], -1);
    struct kva_failing_reservation **at = &pages->reservation;
    while (*at != reservation)
        at = &(*at)->next;
    *at = reservation->next;
    free(reservation->mapped);
    free(reservation->state);
    free(reservation);
}

/* -------------------------------------------------------------------------------------------------- pages */

/** The number of pages of a range, which must lie in one part of the reservation. *from: the number of the
 *  first. */
static uint64_t pages_of(const struct kva_failing_reservation *reservation, uint64_t start, uint64_t bytes,
                         bool frames, uint64_t *from)
{
    uint64_t page = reservation->pages->inner.page;
    uint64_t count = bytes / page;
    uint64_t private_count = reservation->count - reservation->frames;

    *from = (start - reservation->first) / page;
    if (bytes == 0 || bytes % page != 0 || start % page != 0)
        stop("a range is not whole pages");
    if (start < reservation->first || *from >= reservation->count || count > reservation->count - *from)
        stop("a range reaches outside the reservation");
    if (frames ? *from < private_count : *from + count > private_count)
        stop("a range lies in the wrong part of the reservation");
    return count;
}

static void expect_closed(const struct kva_failing_reservation *reservation, uint64_t from, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (reservation->state[from + i] != CLOSED)
            stop("open of a page that is not closed");
    }
}

static void set_state(struct kva_failing_reservation *reservation, uint64_t from, uint64_t count,
                      enum page_state state)
{
    for (uint64_t i = 0; i < count; i++) {
        count_page(reservation->pages, reservation->state[from + i], -1);
        reservation->state[from + i] = (unsigned char)state;
        count_page(reservation->pages, reservation->state[from + i], 1);
    }
}

static enum kva_status open_pages(void *context, void *handle, uint64_t start, uint64_t bytes, bool huge)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;
    uint64_t from;
    uint64_t count = pages_of(reservation, start, bytes, false, &from);

    expect_closed(reservation, from, count);
    if (huge && (pages->inner.huge == 0 || (start | bytes) % pages->inner.huge != 0))
        stop("open with huge pages of a range that is not whole ones");
    if (must_fail(pages))
        return pages->status;
    enum kva_status status = pages->inner.open(pages->inner.context, reservation->inner, start, bytes, huge);
    if (status == KVA_OK)
        set_state(reservation, from, count, OPEN);
    return status;
}

static void close_pages(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;
    uint64_t from;
    uint64_t count = pages_of(reservation, start, bytes, false, &from);

    pages->closes++;
    pages->inner.close(pages->inner.context, reservation->inner, start, bytes);
    set_state(reservation, from, count, CLOSED);
}

static void dismiss(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;
    uint64_t from;
    uint64_t count = pages_of(reservation, start, bytes, false, &from);

    pages->closes++;
    pages->dismissals++;
    pages->inner.dismiss(pages->inner.context, reservation->inner, start, bytes);
    set_state(reservation, from, count, CLOSED);
}

static enum kva_status bind_pages(void *context, void *handle, uint64_t start, uint64_t bytes,
                                  const struct kva_vm_nodes *nodes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;
    uint64_t from;
    uint64_t count = pages_of(reservation, start, bytes, false, &from);

    for (uint64_t i = 0; i < count; i++) {
        if (reservation->state[from + i] != CLOSED)
            stop("bind of a page that is not closed");
    }
    if (must_fail(pages))
        return pages->status;
    enum kva_status status = pages->inner.bind(pages->inner.context, reservation->inner, start, bytes, nodes);
    pages->binds += status == KVA_OK;
    return status;
}

static bool has_nodes(void *context, void *handle, const struct kva_vm_nodes *nodes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;

    return pages->inner.has_nodes(pages->inner.context, reservation->inner, nodes);
}

static const struct kva_failing_frames *known_set(const struct kva_failing_pages *pages,
                                                  const void *frame_set)
{
    const struct kva_failing_frames *at = pages->frame_set;

    while (at && at->frame_set != frame_set)
        at = at->next;
    return at;
}

/** Record what each page maps, from the first map of a movable set on. */
static void begin_to_record(struct kva_failing_reservation *reservation, const void *frame_set)
{
    const struct kva_failing_frames *known = known_set(reservation->pages, frame_set);

    if (!known)
        stop("map of frames of an unknown set");
    if (reservation->mapped || !known->movable)
        return;
    reservation->mapped = calloc((size_t)reservation->frames, sizeof *reservation->mapped);
    if (!reservation->mapped)
        abort();
}

/** Record that pages, numbered from the first of the reservation, map frames from now on, or nothing. */
static void record(struct kva_failing_reservation *reservation, uint64_t from, uint64_t count,
                   const void *frame_set, uint64_t frame)
{
    uint64_t first = from - (reservation->count - reservation->frames);

    if (!reservation->mapped)
        return;
    for (uint64_t i = 0; i < count; i++)
        reservation->mapped[first + i] = (struct mapped){frame_set, frame + i};
    if (frame_set && first + count > reservation->mapped_count)
        reservation->mapped_count = first + count;
}

static enum kva_status map_frames(void *context, void *handle, uint64_t start, void *frame_set,
                                  uint64_t frame, uint64_t count)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;
    uint64_t from;

    (void)pages_of(reservation, start, count * pages->inner.page, true, &from);
    begin_to_record(reservation, frame_set);
    if (must_fail(pages))
        return pages->status;
    enum kva_status status =
        pages->inner.map(pages->inner.context, reservation->inner, start, frame_set, frame, count);
    if (status != KVA_OK)
        return status;
    pages->maps++;
    set_state(reservation, from, count, MAPPED);
    record(reservation, from, count, frame_set, frame);
    return KVA_OK;
}

static void unmap_frames(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;
    uint64_t from;
    uint64_t count = pages_of(reservation, start, bytes, true, &from);

    pages->closes++;
    pages->inner.unmap(pages->inner.context, reservation->inner, start, bytes);
    set_state(reservation, from, count, CLOSED);
    record(reservation, from, count, NULL, 0);
}

static void retry_unmaps(void *context, void *handle)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;

    if (pages->inner.retry_unmaps)
        pages->inner.retry_unmaps(pages->inner.context, reservation->inner);
}

static bool has_failed_unmap(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;

    return pages->inner.has_failed_unmap &&
           pages->inner.has_failed_unmap(pages->inner.context, reservation->inner, start, bytes);
}

static void collapse(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;
    uint64_t from;
    uint64_t count = pages_of(reservation, start, bytes, true, &from);

    if (pages->inner.huge == 0 || (start | bytes) % pages->inner.huge != 0)
        stop("collapse of a range that is not whole huge pages");
    for (uint64_t i = 0; i < count; i++) {
        if (reservation->state[from + i] != MAPPED)
            stop("collapse of a page that maps no frame");
    }
    pages->collapses++;
    pages->inner.collapse(pages->inner.context, reservation->inner, start, bytes);
}

/* -------------------------------------------------------------------------------------------------- moves */

static void expect_places(const struct kva_failing_pages *pages, const struct kva_pages_move *move)
{
    const struct kva_failing_frames *frame_set = known_set(pages, move->frame_set);

    if (!frame_set || !frame_set->movable)
        stop("move of frames of a set that is unknown or not movable");
    if (move->count == 0 || move->count > frame_set->count || move->from > frame_set->count - move->count ||
        move->to > frame_set->count - move->count)
        stop("move of frames that the set does not have");
    if (move->from < move->to + move->count && move->to < move->from + move->count)
        stop("move of frames to places that overlap theirs");
}

/** The number of pages of a map of moving frames. *from: the number of the first. */
static uint64_t pages_of_map(const struct kva_failing_reservation *reservation,
                             const struct kva_pages_map *map, uint64_t *from)
{
    return pages_of(reservation, map->start, map->count * reservation->pages->inner.page, true, from);
}

/** A map of moving frames is as it was mapped, and no other map has named its pages. Returns the number of
 *  its pages. */
static uint64_t expect_mapped(struct kva_failing_reservation *reservation, const struct kva_pages_move *move,
                              const struct kva_pages_map *map)
{
    uint64_t from;
    uint64_t count = pages_of_map(reservation, map, &from);

    if (map->frame >= move->count || count > move->count - map->frame)
        stop("a map of a move names frames that do not move");
    for (uint64_t i = 0; i < count; i++) {
        const struct mapped *mapped =
            reservation->mapped ? &reservation->mapped[from + i - (reservation->count - reservation->frames)]
                                : NULL;
        if (reservation->state[from + i] != MAPPED || !mapped || mapped->frame_set != move->frame_set ||
            mapped->frame != move->from + map->frame + i)
            stop("a map of a move names a page that does not map its frame");
        reservation->state[from + i] = NAMED;
    }
    return count;
}

/** How many pages map frames of a range. */
static uint64_t count_mapped(const struct kva_failing_reservation *reservation, const void *frame_set,
                             uint64_t frame, uint64_t count)
{
    uint64_t pages = 0;

    for (uint64_t i = 0; i < reservation->mapped_count; i++) {
        const struct mapped *mapped = &reservation->mapped[i];
        pages += mapped->frame_set == frame_set && mapped->frame >= frame && mapped->frame - frame < count;
    }
    return pages;
}

/** Each page that maps a moving frame is named by one map, and the maps come in the same order each time. */
static void expect_maps(struct kva_failing_reservation *reservation, const struct kva_pages_move *move)
{
    struct kva_pages_map map;
    struct kva_pages_map again;
    uint64_t cursor = 0;
    uint64_t second = 0;
    uint64_t pages = 0;
    uint64_t from;

    while (move->next(move->context, &cursor, &map))
        pages += expect_mapped(reservation, move, &map);
    if (!reservation->pages->allows_unnamed_maps) {
        if (pages != count_mapped(reservation, move->frame_set, move->from, move->count))
            stop("a page that maps a moving frame is not named by the move");
        if (count_mapped(reservation, move->frame_set, move->to, move->count) != 0)
            stop("move of frames to a place that a page maps");
    }
    cursor = 0;
    while (move->next(move->context, &cursor, &map)) {
        if (!move->next(move->context, &second, &again) || again.start != map.start ||
            again.frame != map.frame || again.count != map.count)
            stop("the maps of a move differ in the second walk");
        uint64_t count = pages_of_map(reservation, &map, &from);
        pages -= count;
        memset(&reservation->state[from], MAPPED, (size_t)count);
    }
    if (pages != 0 || move->next(move->context, &second, &again))
        stop("the maps of a move are more or fewer in the second walk");
}

static void record_move(struct kva_failing_reservation *reservation, const struct kva_pages_move *move)
{
    struct kva_pages_map map;
    uint64_t cursor = 0;
    uint64_t from;

    while (move->next(move->context, &cursor, &map)) {
        uint64_t count = pages_of_map(reservation, &map, &from);
        record(reservation, from, count, move->frame_set, move->to + map.frame);
    }
}

static enum kva_status move_frames(void *context, void *handle, const struct kva_pages_move *move)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;

    expect_places(pages, move);
    expect_maps(reservation, move);
    if (must_fail(pages))
        return pages->status;
    enum kva_status status = pages->inner.move(pages->inner.context, reservation->inner, move);
    if (status != KVA_OK)
        return status;
    record_move(reservation, move);
    pages->moves++;
    pages->moved_frames += move->count;
    return KVA_OK;
}

uint64_t kva_failing_pages_place(const struct kva_failing_pages *pages, const void *address)
{
    for (const struct kva_failing_reservation *reservation = pages->reservation; reservation;
         reservation = reservation->next) {
        uint64_t page = ((uintptr_t)address - reservation->first) / pages->inner.page;
        uint64_t private_count = reservation->count - reservation->frames;
        if ((uintptr_t)address < reservation->first || page >= reservation->count || page < private_count ||
            !reservation->mapped)
            continue;
        const struct mapped *mapped = &reservation->mapped[page - private_count];
        return mapped->frame_set ? mapped->frame : UINT64_MAX;
    }
    return UINT64_MAX;
}

void *kva_failing_pages_frames(const struct kva_failing_pages *pages)
{
    return pages->frame_set ? pages->frame_set->frame_set : NULL;
}

/* ---------------------------------------------------------------------------------- frame sets and tables */

static enum kva_status create_frames(void *context, void *handle, uint64_t count, bool movable,
                                     void **frame_set)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;

    if (must_fail(pages))
        return pages->status;
    enum kva_status status =
        pages->inner.create_frames(pages->inner.context, reservation->inner, count, movable, frame_set);
    if (status != KVA_OK)
        return status;
    struct kva_failing_frames *made = calloc(1, sizeof *made);
    if (!made)
        abort();
    *made = (struct kva_failing_frames){*frame_set, count, movable, pages->frame_set};
    pages->frame_set = made;
    pages->frame_sets++;
    return KVA_OK;
}

static void discard_frames(void *context, void *handle, void *frame_set, uint64_t frame, uint64_t count)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;

    pages->inner.discard_frames(pages->inner.context, reservation->inner, frame_set, frame, count);
}

static void destroy_frames(void *context, void *handle, void *frame_set)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;

    struct kva_failing_frames **at = &pages->frame_set;
    while (*at && (*at)->frame_set != frame_set)
        at = &(*at)->next;
    if (!*at)
        stop("destroy_frames of an unknown set");
    struct kva_failing_frames *gone = *at;
    *at = gone->next;
    free(gone);
    pages->inner.destroy_frames(pages->inner.context, reservation->inner, frame_set);
    pages->frame_sets--;
}

static void *alloc_zeroed(void *context, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;
    void *table = must_fail(pages) ? NULL : pages->inner.alloc_zeroed(pages->inner.context, bytes);

    pages->tables += table != NULL;
    return table;
}

/** Pieces read as zero when they are taken: this checks one byte in 512. */
static void expect_zero(const struct kva_failing_reservation *reservation, uint32_t number)
{
    const unsigned char *piece = reservation->tables + (size_t)number * KVA_VM_PIECE;

    for (size_t at = 0; at < KVA_VM_PIECE; at += 512) {
        if (piece[at] != 0)
            stop("a piece of the tables does not read as zero");
    }
}

static enum kva_status open_piece(void *context, void *handle, uint32_t *number)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;

    if (must_fail(pages))
        return pages->status;
    enum kva_status status = pages->inner.open_piece(pages->inner.context, reservation->inner, number);
    if (status != KVA_OK)
        return status;
    expect_zero(reservation, *number);
    reservation->pieces++;
    pages->pieces++;
    return KVA_OK;
}

static void close_piece(void *context, void *handle, uint32_t number)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;

    if (reservation->pieces == 0)
        stop("close_piece without an open piece");
    pages->inner.close_piece(pages->inner.context, reservation->inner, number);
    reservation->pieces--;
    pages->pieces--;
}

static void trim(void *context, void *handle)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;

    pages->inner.trim(pages->inner.context, reservation->inner);
}

static void free_zeroed(void *context, void *table, uint64_t bytes)
{
    struct kva_failing_pages *pages = context;

    if (pages->tables == 0)
        stop("free_zeroed without an outstanding table");
    pages->inner.free_zeroed(pages->inner.context, table, bytes);
    pages->tables--;
}

/* --------------------------------------------------------------------------------------------- the source */

static unsigned this_cpu(void *context)
{
    struct kva_failing_pages *pages = context;

    return pages->fixed_cpu ? pages->cpu : pages->inner.this_cpu(pages->inner.context);
}

static void read_stats(void *context, void *handle, struct kva_pages_stats *stats)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;

    pages->inner.stats(pages->inner.context, reservation->inner, stats);
}

static const char *check(void *context, void *handle, const struct kva_pages_view *view, uint64_t *address)
{
    struct kva_failing_pages *pages = context;
    struct kva_failing_reservation *reservation = handle;

    if (!pages->inner.check)
        return NULL;
    return pages->inner.check(pages->inner.context, reservation->inner, view, address);
}

static intptr_t descriptor(void *context, void *frame_set)
{
    struct kva_failing_pages *pages = context;

    return pages->inner.descriptor ? pages->inner.descriptor(pages->inner.context, frame_set) : -1;
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
        .retry_unmaps = retry_unmaps,
        .has_failed_unmap = has_failed_unmap,
        .collapse = inner->collapse ? collapse : NULL,
        .move = inner->move ? move_frames : NULL,
        .create_frames = create_frames,
        .discard_frames = discard_frames,
        .destroy_frames = destroy_frames,
        .open_piece = open_piece,
        .close_piece = close_piece,
        .trim = trim,
        .alloc_zeroed = alloc_zeroed,
        .free_zeroed = free_zeroed,
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
