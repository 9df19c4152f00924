/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Frames for an array of pages: see array_frames.h. */
#include "array_frames.h"

#include <stdlib.h>
#include <string.h>

/** The index of a page, from its address. */
static size_t page_at(const struct kva_array_frames *frames, uint64_t start)
{
    return (size_t)((uintptr_t)start - (uintptr_t)frames->array.memory) / KVA_ARRAY_PAGE;
}

static enum kva_status map(void *context, void *reservation, uint64_t start, void *frame_set, uint64_t frame,
                           uint64_t count)
{
    struct kva_array_frames *frames = context;
    size_t page = page_at(frames, start);

    (void)reservation;
    if (frame_set != frames->words || frame > frames->count || count > frames->count - frame)
        abort();
    for (size_t i = 0; i < count; i++)
        frames->mapped[page + i] = frame + i + 1;
    return KVA_OK;
}

static void unmap(void *context, void *reservation, uint64_t start, uint64_t bytes)
{
    struct kva_array_frames *frames = context;

    (void)reservation;
    memset(&frames->mapped[page_at(frames, start)], 0, (size_t)bytes / KVA_ARRAY_PAGE * sizeof(uint64_t));
}

static enum kva_status move(void *context, void *reservation, const struct kva_pages_move *move)
{
    struct kva_array_frames *frames = context;
    struct kva_pages_map mapped;
    uint64_t cursor = 0;

    while (move->next(move->context, &cursor, &mapped))
        (void)map(context, reservation, mapped.start, move->frame_set, move->to + mapped.frame, mapped.count);
    memcpy(&frames->words[move->to], &frames->words[move->from], (size_t)move->count * sizeof(uint64_t));
    memset(&frames->words[move->from], 0, (size_t)move->count * sizeof(uint64_t));
    return KVA_OK;
}

static enum kva_status create_frames(void *context, void *reservation, uint64_t count, bool movable,
                                     void **frame_set)
{
    struct kva_array_frames *frames = context;

    (void)reservation;
    (void)movable;
    if (count > KVA_ARRAY_FRAMES || frames->count > 0)
        return KVA_ENOMEM;
    frames->count = count;
    memset(frames->words, 0, sizeof frames->words);
    *frame_set = frames->words;
    return KVA_OK;
}

static void discard_frames(void *context, void *reservation, void *frame_set, uint64_t frame, uint64_t count)
{
    struct kva_array_frames *frames = context;

    (void)reservation;
    (void)frame_set;
    memset(&frames->words[frame], 0, (size_t)count * sizeof(uint64_t));
}

static void destroy_frames(void *context, void *reservation, void *frame_set)
{
    struct kva_array_frames *frames = context;

    (void)reservation;
    (void)frame_set;
    frames->count = 0;
}

uint64_t *kva_array_frames_word(struct kva_array_frames *frames, const void *address)
{
    uint64_t mapped = frames->mapped[page_at(frames, (uintptr_t)address)];

    return mapped > 0 ? &frames->words[mapped - 1] : NULL;
}

/* The functions of the array source receive the array as their context. */

static enum kva_status reserve(void *context, struct kva_reservation *spec)
{
    struct kva_array_frames *frames = context;
    const struct kva_pages array = kva_array_pages_of(&frames->array);
    const uint64_t align = spec->align;

    if (align > KVA_ARRAY_BLOCK * KVA_ARRAY_PAGE)
        return KVA_ENOSPC;
    spec->align = KVA_ARRAY_PAGE; /* the array begins one page above such a multiple */
    enum kva_status status = array.reserve(array.context, spec);
    spec->align = align;
    frames->count = 0;
    memset(frames->mapped, 0, sizeof frames->mapped);
    return status;
}

static void release(void *context, void *reservation)
{
    struct kva_array_frames *frames = context;
    const struct kva_pages array = kva_array_pages_of(&frames->array);
    array.release(array.context, reservation);
}

static enum kva_status open_piece(void *context, void *reservation, uint32_t *number)
{
    struct kva_array_frames *frames = context;
    const struct kva_pages array = kva_array_pages_of(&frames->array);
    return array.open_piece(array.context, reservation, number);
}

static void close_piece(void *context, void *reservation, uint32_t number)
{
    struct kva_array_frames *frames = context;
    const struct kva_pages array = kva_array_pages_of(&frames->array);
    array.close_piece(array.context, reservation, number);
}

struct kva_pages kva_array_frames_of(struct kva_array_frames *frames)
{
    struct kva_pages pages = kva_array_pages_of(&frames->array); /* the other functions ignore their
                                                                  * context */

    pages.reserve = reserve;
    pages.release = release;
    pages.open_piece = open_piece;
    pages.close_piece = close_piece;
    pages.map = map;
    pages.unmap = unmap;
    pages.move = move;
    pages.create_frames = create_frames;
    pages.discard_frames = discard_frames;
    pages.destroy_frames = destroy_frames;
    pages.huge = KVA_ARRAY_BLOCK * KVA_ARRAY_PAGE;
    pages.context = frames;
    return pages;
}
