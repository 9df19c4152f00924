/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Memory that is free but in pieces: no block can be had, compaction moves frames together, and one can. */
#include <kva/frames.h>
#include <stdio.h>

enum { FRAMES = 64 * 512 };

static uint64_t page[FRAMES], count; /* all that refers to the frames: pages, in no order */
static uint64_t reference[FRAMES];   /* for each frame, which page is in it */

static void print(void *context, const char *line, size_t length)
{
    (void)context;
    (void)length;
    puts(line);
}

/* The pages are here numbers alone; a kernel copies them, and changes its page tables. */
static enum kva_frames_moved move(void *context, uint64_t from, uint64_t to, uint64_t frames)
{
    (void)context;
    (void)frames; /* 1: all runs are single frames */
    page[reference[to] = reference[from]] = to;
    return KVA_FRAMES_MOVED;
}

int main(void)
{
    static const struct kva_frames_zone zone = {.start = 0, .end = FRAMES};
    struct kva_frames_config config = {
        .zones = &zone, .zone_count = 1, .memory = kva_memory_host(), .move = move};
    struct kva_frames_request request = {.type = KVA_MOVABLE}, huge = {.order = 9};
    struct kva_frames_orders orders;
    struct kva_frames *frames;
    uint64_t random = 1, first;

    if (kva_frames_create(&config, &frames) != KVA_OK)
        return 1;
    for (; kva_frames_alloc(frames, &request, &first) == KVA_OK; count++) /* all of the memory; then, of */
        page[reference[first] = count] = first;                           /* eight frames, seven go back */
    for (uint64_t i = 0; i < count; i++)
        if ((random = random * 6364136223846793005 + 1442695040888963407) >> 61 != 0)
            kva_frames_free(frames, page[i]);
    kva_frames_picture(frames, 0, print, NULL);
    kva_frames_orders_read(frames, 0, &orders);
    printf("fragmentation %d of 1000: %s\n", kva_frames_fragmentation(&orders, 9),
           kva_status_name(kva_frames_alloc(frames, &huge, &first)));
    huge.flags = KVA_FRAMES_COMPACT; /* one block is made free, and no more */
    printf("compacting: %s\n", kva_status_name(kva_frames_alloc(frames, &huge, &first)));
    kva_frames_compact(frames, 0, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, NULL); /* as many as there can be */
    kva_frames_picture(frames, 0, print, NULL);
    return kva_frames_destroy(frames) == KVA_OK ? 0 : 1;
}
