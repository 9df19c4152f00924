/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Moves by hand: see moving_pages.h. All calls except `move` are passed to the wrapped source. */
#define _DEFAULT_SOURCE
#define _FILE_OFFSET_BITS 64 /* frame sets of more than 2 GiB on 32-bit hosts */
#include "moving_pages.h"

#include <kva/vm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static enum kva_status reserve(void *context, struct kva_reservation *spec)
{
    struct kva_moving_pages *pages = context;
    return pages->inner.reserve(pages->inner.context, spec);
}

static void release(void *context, void *reservation)
{
    struct kva_moving_pages *pages = context;
    pages->inner.release(pages->inner.context, reservation);
}

static enum kva_status open_pages(void *context, void *reservation, uint64_t start, uint64_t bytes, bool huge)
{
    struct kva_moving_pages *pages = context;
    return pages->inner.open(pages->inner.context, reservation, start, bytes, huge);
}

static void close_pages(void *context, void *reservation, uint64_t start, uint64_t bytes)
{
    struct kva_moving_pages *pages = context;
    pages->inner.close(pages->inner.context, reservation, start, bytes);
}

static void dismiss(void *context, void *reservation, uint64_t start, uint64_t bytes)
{
    struct kva_moving_pages *pages = context;
    pages->inner.dismiss(pages->inner.context, reservation, start, bytes);
}

static enum kva_status bind_pages(void *context, void *reservation, uint64_t start, uint64_t bytes,
                                  const struct kva_vm_nodes *nodes)
{
    struct kva_moving_pages *pages = context;
    return pages->inner.bind(pages->inner.context, reservation, start, bytes, nodes);
}

static bool has_nodes(void *context, void *reservation, const struct kva_vm_nodes *nodes)
{
    struct kva_moving_pages *pages = context;
    return pages->inner.has_nodes(pages->inner.context, reservation, nodes);
}

static enum kva_status map_frames(void *context, void *reservation, uint64_t start, void *frame_set,
                                  uint64_t frame, uint64_t count)
{
    struct kva_moving_pages *pages = context;
    return pages->inner.map(pages->inner.context, reservation, start, frame_set, frame, count);
}

static void unmap_frames(void *context, void *reservation, uint64_t start, uint64_t bytes)
{
    struct kva_moving_pages *pages = context;
    pages->inner.unmap(pages->inner.context, reservation, start, bytes);
}

static void retry_unmaps(void *context, void *reservation)
{
    struct kva_moving_pages *pages = context;
    pages->inner.retry_unmaps(pages->inner.context, reservation);
}

static bool has_failed_unmap(void *context, void *reservation, uint64_t start, uint64_t bytes)
{
    struct kva_moving_pages *pages = context;
    return pages->inner.has_failed_unmap(pages->inner.context, reservation, start, bytes);
}

static void collapse(void *context, void *reservation, uint64_t start, uint64_t bytes)
{
    struct kva_moving_pages *pages = context;
    pages->inner.collapse(pages->inner.context, reservation, start, bytes);
}

static enum kva_status create_frames(void *context, void *reservation, uint64_t count, bool movable,
                                     void **frame_set)
{
    struct kva_moving_pages *pages = context;
    return pages->inner.create_frames(pages->inner.context, reservation, count, movable, frame_set);
}

static void discard_frames(void *context, void *reservation, void *frame_set, uint64_t frame, uint64_t count)
{
    struct kva_moving_pages *pages = context;
    pages->inner.discard_frames(pages->inner.context, reservation, frame_set, frame, count);
}

static void destroy_frames(void *context, void *reservation, void *frame_set)
{
    struct kva_moving_pages *pages = context;
    pages->inner.destroy_frames(pages->inner.context, reservation, frame_set);
}

static enum kva_status open_piece(void *context, void *reservation, uint32_t *number)
{
    struct kva_moving_pages *pages = context;
    return pages->inner.open_piece(pages->inner.context, reservation, number);
}

static void close_piece(void *context, void *reservation, uint32_t number)
{
    struct kva_moving_pages *pages = context;
    pages->inner.close_piece(pages->inner.context, reservation, number);
}

static void trim(void *context, void *reservation)
{
    struct kva_moving_pages *pages = context;
    pages->inner.trim(pages->inner.context, reservation);
}

static void *alloc_zeroed(void *context, uint64_t bytes)
{
    struct kva_moving_pages *pages = context;
    return pages->inner.alloc_zeroed(pages->inner.context, bytes);
}

static void free_zeroed(void *context, void *table, uint64_t bytes)
{
    struct kva_moving_pages *pages = context;
    pages->inner.free_zeroed(pages->inner.context, table, bytes);
}

static unsigned this_cpu(void *context)
{
    struct kva_moving_pages *pages = context;
    return pages->inner.this_cpu(pages->inner.context);
}

static void read_stats(void *context, void *reservation, struct kva_pages_stats *stats)
{
    struct kva_moving_pages *pages = context;
    pages->inner.stats(pages->inner.context, reservation, stats);
}

static const char *check(void *context, void *reservation, const struct kva_pages_view *view,
                         uint64_t *address)
{
    struct kva_moving_pages *pages = context;
    return pages->inner.check(pages->inner.context, reservation, view, address);
}

static intptr_t descriptor(void *context, void *frame_set)
{
    struct kva_moving_pages *pages = context;
    return pages->inner.descriptor(pages->inner.context, frame_set);
}

/* ------------------------------------------------------------------------------------------------ by hand */

static bool is_zero(const unsigned char *bytes, size_t count)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

/** Copy frames of a set. Zero pages take no memory. False: the system has no room for the maps. */
static bool copy(const struct kva_moving_pages *pages, const struct kva_pages_move *move)
{
    int file = (int)pages->inner.descriptor(pages->inner.context, move->frame_set);
    size_t page = (size_t)pages->inner.page;
    size_t bytes = (size_t)move->count * page;
    unsigned char *from = mmap(NULL, bytes, PROT_READ, MAP_SHARED, file, (off_t)(move->from * page));
    unsigned char *to = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)(move->to * page));
    bool is_mapped = from != MAP_FAILED && to != MAP_FAILED;

    for (size_t at = 0; is_mapped && at < bytes; at += page) {
        if (!is_zero(from + at, page))
            memcpy(to + at, from + at, page);
    }
    if (from != MAP_FAILED)
        munmap(from, bytes);
    if (to != MAP_FAILED)
        munmap(to, bytes);
    return is_mapped;
}

/** Let the first `most` maps map the frames at `place`; *done: how many of them do. */
static enum kva_status show(const struct kva_moving_pages *pages, void *reservation,
                            const struct kva_pages_move *move, uint64_t place, uint64_t most, uint64_t *done)
{
    struct kva_pages_map map;
    uint64_t cursor = 0;

    *done = 0;
    while (*done < most && move->next(move->context, &cursor, &map)) {
        enum kva_status status = pages->inner.map(pages->inner.context, reservation, map.start,
                                                  move->frame_set, place + map.frame, map.count);
        if (status != KVA_OK)
            return status;
        (*done)++;
    }
    return KVA_OK;
}

/** Map the old place again where the new one was mapped; this cannot take more mappings than before. */
static void undo(const struct kva_moving_pages *pages, void *reservation, const struct kva_pages_move *move,
                 uint64_t maps)
{
    uint64_t done;

    if (show(pages, reservation, move, move->from, maps, &done) != KVA_OK)
        abort();
    pages->inner.discard_frames(pages->inner.context, reservation, move->frame_set, move->to, move->count);
}

static enum kva_status move_by_hand(struct kva_moving_pages *pages, void *reservation,
                                    const struct kva_pages_move *move)
{
    uint64_t done;

    if (!copy(pages, move))
        return KVA_ENOMEM;
    enum kva_status status = show(pages, reservation, move, move->to, UINT64_MAX, &done);
    if (status != KVA_OK) {
        undo(pages, reservation, move, done);
        return status;
    }
    pages->inner.discard_frames(pages->inner.context, reservation, move->frame_set, move->from, move->count);
    pages->by_hand++;
    return KVA_OK;
}

static enum kva_status move_frames(void *context, void *reservation, const struct kva_pages_move *move)
{
    struct kva_moving_pages *pages = context;
    enum kva_status status = KVA_ENOENT;

    if (pages->inner.move && !pages->always_by_hand)
        status = pages->inner.move(pages->inner.context, reservation, move);
    return status == KVA_ENOENT ? move_by_hand(pages, reservation, move) : status;
}

struct kva_pages kva_moving_pages_init(struct kva_moving_pages *pages, const struct kva_pages *inner)
{
    *pages = (struct kva_moving_pages){.inner = *inner};
    return (struct kva_pages){
        .reserve = reserve,
        .release = release,
        .open = open_pages,
        .close = close_pages,
        .dismiss = inner->dismiss ? dismiss : NULL,
        .bind = inner->bind ? bind_pages : NULL,
        .has_nodes = inner->has_nodes ? has_nodes : NULL,
        .map = map_frames,
        .unmap = unmap_frames,
        .retry_unmaps = inner->retry_unmaps ? retry_unmaps : NULL,
        .has_failed_unmap = inner->has_failed_unmap ? has_failed_unmap : NULL,
        .collapse = inner->collapse ? collapse : NULL,
        .move = move_frames,
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
        .check = inner->check ? check : NULL,
        .descriptor = inner->descriptor ? descriptor : NULL,
        .page = inner->page,
        .huge = inner->huge,
        .context = pages,
    };
}
