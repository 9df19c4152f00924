/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Frames beside an array of pages: see array_frames.h. */
#include "array_frames.h"

#include <stdlib.h>
#include <string.h>

/** The number of a page, from its address. */
static size_t page_at(const struct kva_array_frames *frames, uint64_t start)
{
    return (size_t)((uintptr_t)start - (uintptr_t)frames->array.memory) / KVA_ARRAY_PAGE;
}

static enum kva_status map(void *context, void *stretch, uint64_t start, void *pool, uint64_t frame,
                           uint64_t count)
{
    struct kva_array_frames *frames = context;
    size_t page = page_at(frames, start);

    (void)stretch;
    if (pool != frames->words || frame > frames->count || count > frames->count - frame)
        abort();
    for (size_t i = 0; i < count; i++)
        frames->shown[page + i] = frame + i + 1;
    return KVA_OK;
}

static void unmap(void *context, void *stretch, uint64_t start, uint64_t bytes)
{
    struct kva_array_frames *frames = context;

    (void)stretch;
    memset(&frames->shown[page_at(frames, start)], 0, (size_t)bytes / KVA_ARRAY_PAGE * sizeof(uint64_t));
}

static enum kva_status move(void *context, void *stretch, const struct kva_pages_move *move)
{
    struct kva_array_frames *frames = context;
    struct kva_pages_map shown;
    uint64_t cursor = 0;

    while (move->next(move->context, &cursor, &shown))
        (void)map(context, stretch, shown.start, move->pool, move->to + shown.frame, shown.count);
    memcpy(&frames->words[move->to], &frames->words[move->from], (size_t)move->count * sizeof(uint64_t));
    memset(&frames->words[move->from], 0, (size_t)move->count * sizeof(uint64_t));
    return KVA_OK;
}

static enum kva_status make_pool(void *context, void *stretch, uint64_t count, bool movable, void **pool)
{
    struct kva_array_frames *frames = context;

    (void)stretch;
    (void)movable;
    if (count > KVA_ARRAY_FRAMES || frames->count > 0)
        return KVA_ENOMEM;
    frames->count = count;
    memset(frames->words, 0, sizeof frames->words);
    *pool = frames->words;
    return KVA_OK;
}

static void drain(void *context, void *stretch, void *pool, uint64_t frame, uint64_t count)
{
    struct kva_array_frames *frames = context;

    (void)stretch;
    (void)pool;
    memset(&frames->words[frame], 0, (size_t)count * sizeof(uint64_t));
}

static void drop(void *context, void *stretch, void *pool)
{
    struct kva_array_frames *frames = context;

    (void)stretch;
    (void)pool;
    frames->count = 0;
}

uint64_t *kva_array_frames_word(struct kva_array_frames *frames, const void *address)
{
    uint64_t shown = frames->shown[page_at(frames, (uintptr_t)address)];

    return shown > 0 ? &frames->words[shown - 1] : NULL;
}

/* The array's own functions get the array. */

static enum kva_status reserve(void *context, struct kva_stretch *wish)
{
    struct kva_array_frames *frames = context;
    const struct kva_pages array = kva_array_pages_of(&frames->array);
    const uint64_t align = wish->align;

    if (align > KVA_ARRAY_BLOCK * KVA_ARRAY_PAGE)
        return KVA_ENOSPC;
    wish->align = KVA_ARRAY_PAGE; /* the array begins one page above such a multiple */
    enum kva_status status = array.reserve(array.context, wish);
    wish->align = align;
    frames->count = 0;
    memset(frames->shown, 0, sizeof frames->shown);
    return status;
}

static void release(void *context, void *stretch)
{
    struct kva_array_frames *frames = context;
    const struct kva_pages array = kva_array_pages_of(&frames->array);
    array.release(array.context, stretch);
}

static enum kva_status take_piece(void *context, void *stretch, uint32_t *number)
{
    struct kva_array_frames *frames = context;
    const struct kva_pages array = kva_array_pages_of(&frames->array);
    return array.piece(array.context, stretch, number);
}

static void give_piece(void *context, void *stretch, uint32_t number)
{
    struct kva_array_frames *frames = context;
    const struct kva_pages array = kva_array_pages_of(&frames->array);
    array.unpiece(array.context, stretch, number);
}

struct kva_pages kva_array_frames_of(struct kva_array_frames *frames)
{
    struct kva_pages pages = kva_array_pages_of(&frames->array); /* the others do not look at their context */

    pages.reserve = reserve;
    pages.release = release;
    pages.piece = take_piece;
    pages.unpiece = give_piece;
    pages.map = map;
    pages.unmap = unmap;
    pages.move = move;
    pages.pool = make_pool;
    pages.drain = drain;
    pages.drop = drop;
    pages.huge = KVA_ARRAY_BLOCK * KVA_ARRAY_PAGE;
    pages.context = frames;
    return pages;
}
