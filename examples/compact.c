/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Free memory in pieces: a request for a whole block fails, and succeeds after compaction. */
#include <kva/frames.h>
#include <stdio.h>

enum { FRAMES = 64 * 512 };

static uint64_t page[FRAMES], count; /* the frame of each page: all references to frames */
static uint64_t reference[FRAMES];   /* the page in each frame */

static void print(void *context, const char *line, size_t length)
{
    (void)context;
    (void)length;
    puts(line);
}

/* Here a page is only a number. A kernel copies the page and changes its page tables. */
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
    /* Allocate all of the memory; then free seven of eight frames, at random. */
    for (; kva_frames_alloc(frames, &request, &first) == KVA_OK; count++)
        page[reference[first] = count] = first;
    for (uint64_t i = 0; i < count; i++)
        if ((random = random * 6364136223846793005 + 1442695040888963407) >> 61 != 0)
            kva_frames_free(frames, page[i]);
    kva_frames_picture(frames, 0, print, NULL);
    kva_frames_orders_read(frames, 0, &orders);
    printf("fragmentation %d of 1000: %s\n", kva_frames_fragmentation(&orders, 9),
           kva_status_name(kva_frames_alloc(frames, &huge, &first)));
    huge.flags = KVA_FRAMES_COMPACT; /* makes one block free, and no more */
    printf("compacting: %s\n", kva_status_name(kva_frames_alloc(frames, &huge, &first)));
    kva_frames_compact(frames, 0, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, NULL); /* as many as possible */
    kva_frames_picture(frames, 0, print, NULL);
    return kva_frames_destroy(frames) == KVA_OK ? 0 : 1;
}
