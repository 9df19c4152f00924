/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The smallest program that uses kva: a space in static memory, one range allocated and freed; and the same
 * with a frame set. It sees only the installed headers and library.
 */
#include <stdio.h>

#include <kva/engine.h>
#include <kva/frames.h>

static unsigned char memory[64 * 1024];

static int failed(const char *call, enum kva_status status)
{
    fprintf(stderr, "%s: %s (%s)\n", call, kva_status_name(status), kva_status_text(status));
    return 1;
}

static int use_frames(void)
{
    struct kva_arena arena;
    struct kva_frames_zone zone = {.start = 0x100, .end = 0x1000};
    struct kva_frames_config config = {.zones = &zone, .zone_count = 1};
    config.memory = kva_arena_init(&arena, memory, sizeof(memory));
    struct kva_frames *frames;
    enum kva_status status = kva_frames_create(&config, &frames);
    if (status != KVA_OK)
        return failed("kva_frames_create", status);

    struct kva_frames_request request = {.order = 9};
    uint64_t first = 0;
    status = kva_frames_alloc(frames, &request, &first);
    if (status != KVA_OK)
        return failed("kva_frames_alloc", status);
    status = kva_frames_free(frames, first);
    if (status != KVA_OK)
        return failed("kva_frames_free", status);
    status = kva_frames_destroy(frames);
    return status == KVA_OK ? 0 : failed("kva_frames_destroy", status);
}

int main(void)
{
    struct kva_arena arena;
    struct kva_space space;
    struct kva_config config = {.first = 0x1000, .last = 0xffff, .quantum = 0x1000, .engine = &kva_engine_rb};
    config.memory = kva_arena_init(&arena, memory, sizeof(memory));
    enum kva_status status = kva_space_init(&space, &config);
    if (status != KVA_OK)
        return failed("kva_space_init", status);

    struct kva_request request = kva_request_of(0x2000);
    request.align = 0x4000;
    uint64_t start = 0;
    status = kva_alloc(&space, &request, &start);
    if (status != KVA_OK)
        return failed("kva_alloc", status);
    if (start != 0x4000) {
        fprintf(stderr, "the lowest fit is 0x4000, not %#llx\n", (unsigned long long)start);
        return 1;
    }
    status = kva_free(&space, start);
    if (status != KVA_OK)
        return failed("kva_free", status);
    status = kva_space_fini(&space);
    return status == KVA_OK ? use_frames() : failed("kva_space_fini", status);
}
