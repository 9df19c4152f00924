/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THEORY
 *   Two list walks over one reservation, whose upper quarter is for frames:
 *
 *      |  area  |g| area |g|       free             ||  map  |g|     free      |
 *       private areas                                frames
 *
 *   An allocation finds addresses, then opens the pages. A free makes the addresses free, then closes the
 *   pages, which flushes TLBs. Nothing is kept for later: a page is either in use or with the system.
 *
 *   The page source is the library's own (kva_pages_host, KVA_MECHANISM_BEST). A page costs this peer what it
 *   costs kva, so a comparison shows the search and the laziness, not different system calls. Where the
 *   kernel has guard regions, this peer can also have more areas than vm.max_map_count: with a mapping for
 *   each area and each guard, the suite's second test would not run.
 *
 * PREPARE, THEN COMMIT
 *   Addresses are taken first, because giving them back cannot fail; then the pages are opened. A free calls
 *   the walk first, which knows where areas start. The caller passes the size of the area.
 */
#include "list_pages.h"

#include "list_walk.h"

#include <stdlib.h>

/* As kva's default: 1 TiB, of which a quarter is for frames; at least 16 MiB. On a 32-bit host 1 GiB, twice
 * kva's: the list walk has no per-CPU objects, and those of the driver need 484 MiB of addresses
 * (tools/test/pcpu.c). */
#define RESERVATION_BYTES (UINT64_C(1) << (sizeof(void *) < 8 ? 30 : 40))
#define RESERVATION_LEAST (UINT64_C(16) << 20)

/* The most parts of a congruent request. */
#define PARTS_MAX 16

struct list_pages {
    struct kva_pages pages;
    struct kva_reservation reservation;
    struct list_walk *areas;
    struct list_walk *maps;
};

/* ---------------------------------------------------------------------------------------- create, destroy */

static uint64_t frames_first(const struct list_pages *list)
{
    return list->reservation.first + (list->reservation.bytes - list->reservation.frames);
}

static enum kva_status create_walks(struct list_pages *list)
{
    uint64_t page = list->pages.page;
    uint64_t first = list->reservation.first;
    uint64_t middle = frames_first(list);
    enum kva_status status = list_walk_create(first, middle - 1, page, &list->areas);
    if (status != KVA_OK)
        return status;
    status = list_walk_create(middle, first + (list->reservation.bytes - 1), page, &list->maps);
    if (status != KVA_OK)
        list_walk_destroy(list->areas);
    return status;
}

static enum kva_status reserve(struct list_pages *list)
{
    list->pages = kva_pages_host(KVA_MECHANISM_BEST);
    list->reservation = (struct kva_reservation){
        .bytes = RESERVATION_BYTES,
        .least = RESERVATION_LEAST,
        .max = UINTPTR_MAX,
        .align = list->pages.huge == 0 ? list->pages.page : list->pages.huge,
    };
    list->reservation.frames = list->reservation.bytes / 4;
    return list->pages.reserve(list->pages.context, &list->reservation);
}

enum kva_status list_pages_create(struct list_pages **list)
{
    struct list_pages *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return KVA_ENOMEM;
    enum kva_status status = reserve(made);
    if (status == KVA_OK) {
        status = create_walks(made);
        if (status != KVA_OK)
            made->pages.release(made->pages.context, made->reservation.handle);
    }
    if (status == KVA_OK)
        *list = made;
    else
        free(made);
    return status;
}

enum kva_status list_pages_destroy(struct list_pages *list)
{
    enum kva_status areas = list_walk_destroy(list->areas);
    enum kva_status maps = list_walk_destroy(list->maps);
    list->pages.release(list->pages.context, list->reservation.handle);
    free(list);
    return areas != KVA_OK ? areas : maps;
}

void list_pages_range(const struct list_pages *list, uint64_t *first, uint64_t *last)
{
    *first = list->reservation.first;
    *last = frames_first(list) - 1;
}

/* ------------------------------------------------------------------------------------------ private areas */

/* Round a size up to whole pages. False if it exceeds 2^64 - 1 with the guard page. */
static bool to_pages(const struct list_pages *list, uint64_t *size)
{
    uint64_t page = list->pages.page;
    if (*size > UINT64_MAX - 2 * page)
        return false;
    *size = (*size + (page - 1)) & ~(page - 1);
    return true;
}

static enum kva_status open_pages(struct list_pages *list, uint64_t start, uint64_t size)
{
    return list->pages.open(list->pages.context, list->reservation.handle, start, size, false);
}

static void close_pages(struct list_pages *list, uint64_t start, uint64_t size)
{
    list->pages.close(list->pages.context, list->reservation.handle, start, size);
}

enum kva_status list_pages_alloc(struct list_pages *list, uint64_t size, uint64_t align, uint64_t *start)
{
    uint64_t found;
    if (size == 0)
        return KVA_ESIZE;
    if (!to_pages(list, &size))
        return KVA_EWRAP;
    enum kva_status status =
        list_walk_alloc(list->areas, size + list->pages.page, align, 0, UINT64_MAX, &found);
    if (status != KVA_OK)
        return status;
    status = open_pages(list, found, size);
    if (status == KVA_OK)
        *start = found;
    else
        list_walk_free(list->areas, found);
    return status;
}

enum kva_status list_pages_free(struct list_pages *list, uint64_t start, uint64_t size)
{
    enum kva_status status = list_walk_free(list->areas, start);
    if (status == KVA_OK && to_pages(list, &size))
        close_pages(list, start, size);
    return status;
}

/* Free the addresses of all parts; close the pages of the first `opened`. */
static void give_parts(struct list_pages *list, const struct kva_part *parts, size_t count, size_t opened,
                       uint64_t base)
{
    for (size_t i = 0; i < count; i++) {
        if (i < opened)
            close_pages(list, base + parts[i].offset, parts[i].size);
        list_walk_free(list->areas, base + parts[i].offset);
    }
}

enum kva_status list_pages_congruent(struct list_pages *list, const struct kva_part *parts, size_t count,
                                     uint64_t align, uint64_t *base)
{
    struct kva_part rounded[PARTS_MAX]; /* in whole pages */
    struct kva_part guarded[PARTS_MAX]; /* with the guard page */
    size_t opened = 0;
    if (count == 0 || count > PARTS_MAX)
        return KVA_EINVAL;
    for (size_t i = 0; i < count; i++) {
        rounded[i] = parts[i];
        if (!to_pages(list, &rounded[i].size))
            return KVA_EWRAP;
        guarded[i] = (struct kva_part){rounded[i].offset, rounded[i].size + list->pages.page};
    }
    uint64_t found;
    enum kva_status status = list_walk_congruent(list->areas, guarded, count, align, &found);
    if (status != KVA_OK)
        return status;
    while (status == KVA_OK && opened < count) {
        status = open_pages(list, found + rounded[opened].offset, rounded[opened].size);
        opened += status == KVA_OK;
    }
    if (status == KVA_OK)
        *base = found;
    else
        give_parts(list, rounded, count, opened, found);
    return status;
}

/* ------------------------------------------------------------------------------------------------- frames */

enum kva_status list_pages_create_frames(struct list_pages *list, uint64_t count, void **frame_set)
{
    return list->pages.create_frames(list->pages.context, list->reservation.handle, count, false, frame_set);
}

void list_pages_destroy_frames(struct list_pages *list, void *frame_set)
{
    list->pages.destroy_frames(list->pages.context, list->reservation.handle, frame_set);
}

enum kva_status list_pages_map(struct list_pages *list, void *frame_set, uint64_t frame, uint64_t count,
                               uint64_t *start)
{
    uint64_t page = list->pages.page, found;
    if (count >= UINT64_MAX / page)
        return KVA_EWRAP;
    enum kva_status status = list_walk_alloc(list->maps, (count + 1) * page, page, 0, UINT64_MAX, &found);
    if (status != KVA_OK)
        return status;
    status = list->pages.map(list->pages.context, list->reservation.handle, found, frame_set, frame, count);
    if (status == KVA_OK)
        *start = found;
    else
        list_walk_free(list->maps, found);
    return status;
}

enum kva_status list_pages_unmap(struct list_pages *list, uint64_t start, uint64_t count)
{
    enum kva_status status = list_walk_free(list->maps, start);
    if (status == KVA_OK)
        list->pages.unmap(list->pages.context, list->reservation.handle, start, count * list->pages.page);
    return status;
}

void list_pages_calls(struct list_pages *list, struct kva_vm_calls *calls)
{
    struct kva_pages_stats stats;
    list->pages.stats(list->pages.context, list->reservation.handle, &stats);
    *calls = stats.calls;
}
