/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Page frames: two nodes of memory, one of them with a hole. Allocate frames, and draw the zones. */
#include <inttypes.h>
#include <kva/frames.h>
#include <stdio.h>

static void print(void *context, const char *line, size_t length)
{
    (void)context;
    (void)length;
    puts(line);
}

int main(void)
{
    static const struct kva_frames_zone zones[] = {
        {.start = 0x100, .end = 0x8000},               /* 127 MiB in frames of 4 KiB, from 1 MiB on */
        {.start = 0x10000, .end = 0x18000, .node = 1}, /* 128 MiB */
    };
    static const struct kva_frames_range hole = {.first = 0x3000, .count = 0x1080};
    struct kva_frames_config config = {
        .zones = zones, .zone_count = 2, .holes = &hole, .hole_count = 1, .memory = kva_memory_host()};
    struct kva_frames *frames;
    uint64_t page, huge, ring;

    if (kva_frames_create(&config, &frames) != KVA_OK)
        return 1;
    struct kva_frames_request request = {.type = KVA_MOVABLE}; /* one frame of node 0 that can be moved */
    for (int i = 0; i < 3000; i++)
        kva_frames_alloc(frames, &request, &page);
    request = (struct kva_frames_request){.order = 9, .node = 1}; /* a huge page of the other node */
    enum kva_status status = kva_frames_alloc(frames, &request, &huge);
    printf("%s, aligned: %s\n", kva_status_name(status), huge % 512 == 0 ? "yes" : "no");
    request = (struct kva_frames_request){.count = 100, .max = 0xfff}; /* for a device that reaches 16 MiB */
    status = kva_frames_alloc(frames, &request, &ring);
    printf("%s, within reach: %s\n", kva_status_name(status), ring + 99 <= 0xfff ? "yes" : "no");
    printf("%s\n", kva_status_text(kva_frames_free(frames, ring + 1))); /* a bug in the caller: refused */
    kva_frames_picture(frames, 0, print, NULL);
    kva_frames_dump(frames, print, NULL);
    return kva_frames_destroy(frames) == KVA_OK ? 0 : 1;
}
