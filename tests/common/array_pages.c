/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Pages in an array: see array_pages.h. */
#include "array_pages.h"

#include <stdlib.h>
#include <string.h>

#include "vmap/poison.h"

/** The content of a closed page. */
enum { CLOSED = 0xdd };

static void fill(uint64_t start, uint64_t bytes, int value)
{
    void *memory = (void *)(uintptr_t)start;

    unpoison(memory, (size_t)bytes);
    memset(memory, value, (size_t)bytes);
}

static enum kva_status reserve(void *context, struct kva_reservation *spec)
{
    struct kva_array_pages *pages = context;
    uintptr_t first = (uintptr_t)pages->memory;
    uint64_t pieces = 1 + spec->given + spec->pieces; /* with piece 0 */

    if (spec->bytes > sizeof pages->memory || pieces > KVA_ARRAY_PIECES || spec->align > KVA_ARRAY_PAGE ||
        first < spec->min || first + (spec->bytes - 1) > spec->max)
        return KVA_ENOSPC;
    pages->pieces = (uint32_t)pieces;
    pages->tables = calloc((size_t)pieces, KVA_VM_PIECE);
    if (!pages->tables)
        return KVA_ENOMEM;
    memset(pages->is_taken, 0, sizeof pages->is_taken);
    memset(pages->is_taken, true, (size_t)spec->given + 1);
    fill((uintptr_t)pages->front, sizeof pages->front + sizeof pages->memory, CLOSED);
    spec->tables = pages->tables;
    spec->first = first;
    spec->handle = pages;
    return KVA_OK;
}

static void release(void *context, void *reservation)
{
    struct kva_array_pages *pages = context;

    (void)reservation;
    fill((uintptr_t)pages->front, sizeof pages->front + sizeof pages->memory, CLOSED);
    free(pages->tables);
}

static enum kva_status open_range(void *context, void *reservation, uint64_t start, uint64_t bytes, bool huge)
{
    (void)context;
    (void)reservation;
    (void)huge;
    fill(start, bytes, 0);
    return KVA_OK;
}

static void close_range(void *context, void *reservation, uint64_t start, uint64_t bytes)
{
    (void)context;
    (void)reservation;
    fill(start, bytes, CLOSED);
}

static enum kva_status map(void *context, void *reservation, uint64_t start, void *frame_set, uint64_t frame,
                           uint64_t count)
{
    (void)context;
    (void)reservation;
    (void)start;
    (void)frame_set;
    (void)frame;
    (void)count;
    return KVA_ENOMEM;
}

static enum kva_status create_frames(void *context, void *reservation, uint64_t count, bool movable,
                                     void **frame_set)
{
    (void)context;
    (void)reservation;
    (void)count;
    (void)movable;
    (void)frame_set;
    return KVA_ENOMEM;
}

static void discard_frames(void *context, void *reservation, void *frame_set, uint64_t frame, uint64_t count)
{
    (void)context;
    (void)reservation;
    (void)frame_set;
    (void)frame;
    (void)count;
}

static void destroy_frames(void *context, void *reservation, void *frame_set)
{
    (void)context;
    (void)reservation;
    (void)frame_set;
}

static void *table(void *context, uint64_t bytes)
{
    (void)context;
    return bytes <= SIZE_MAX ? calloc(1, (size_t)bytes) : NULL;
}

static enum kva_status open_piece(void *context, void *reservation, uint32_t *number)
{
    struct kva_array_pages *pages = context;

    (void)reservation;
    for (uint32_t i = 1; i < pages->pieces; i++) {
        if (pages->is_taken[i])
            continue;
        pages->is_taken[i] = true;
        memset(pages->tables + (size_t)i * KVA_VM_PIECE, 0, KVA_VM_PIECE);
        *number = i;
        return KVA_OK;
    }
    return KVA_ENOMEM;
}

static void close_piece(void *context, void *reservation, uint32_t number)
{
    struct kva_array_pages *pages = context;

    (void)reservation;
    pages->is_taken[number] = false;
}

static void trim(void *context, void *reservation)
{
    (void)context;
    (void)reservation;
}

static void free_zeroed(void *context, void *dropped, uint64_t bytes)
{
    (void)context;
    (void)bytes;
    free(dropped);
}

static unsigned this_cpu(void *context)
{
    (void)context;
    return 0;
}

static void read_stats(void *context, void *reservation, struct kva_pages_stats *stats)
{
    (void)context;
    (void)reservation;
    *stats = (struct kva_pages_stats){.mechanism = "an array"};
}

struct kva_pages kva_array_pages_of(struct kva_array_pages *pages)
{
    return (struct kva_pages){
        .reserve = reserve,
        .release = release,
        .open = open_range,
        .close = close_range,
        .map = map,
        .unmap = close_range,
        .create_frames = create_frames,
        .discard_frames = discard_frames,
        .destroy_frames = destroy_frames,
        .open_piece = open_piece,
        .close_piece = close_piece,
        .trim = trim,
        .alloc_zeroed = table,
        .free_zeroed = free_zeroed,
        .this_cpu = this_cpu,
        .stats = read_stats,
        .page = KVA_ARRAY_PAGE,
        .context = pages,
    };
}
