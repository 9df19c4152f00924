/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Who hands out frames: all behind one table of functions, which costs everyone a jump for each call. */
#define _GNU_SOURCE
#include "frames_set.h"

#include "../../bench/buddy/buddy.h"

#include "fatal.h"

#include <unistd.h>

/* ------------------------------------------------------------------------------------------------- kva */

static unsigned cpus_online(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (online < 1)
        return 1;
    return online < KVA_FRAMES_CPUS ? (unsigned)online : KVA_FRAMES_CPUS;
}

struct kva_frames_config frames_kva_config(const struct kva_frames_zone *zone)
{
    return (struct kva_frames_config){
        .zones = zone,
        .zone_count = 1,
        .block_order = FRAMES_BLOCK_ORDER,
        .memory = kva_memory_host(),
        .cpus = cpus_online(),
        .threads = kva_threads_host(),
    };
}

static enum kva_status create_kva(uint64_t frames, void **state)
{
    struct kva_frames_zone zone = {.start = 0, .end = frames};
    struct kva_frames_config config = frames_kva_config(&zone);
    struct kva_frames *made;
    enum kva_status status = kva_frames_create(&config, &made);
    if (status == KVA_OK)
        *state = made;
    return status;
}

static enum kva_status destroy_kva(void *state)
{
    struct kva_fault fault;
    if (kva_frames_check(state, &fault) != KVA_OK)
        bench_fatal(TOOL_WRONG, "frames: a set is broken: %s", fault.what);
    return kva_frames_destroy(state);
}

static enum kva_status alloc_of_kva(void *state, const struct kva_frames_request *request, uint64_t *first)
{
    return kva_frames_alloc(state, request, first);
}

static enum kva_status free_of_kva(void *state, uint64_t first)
{
    return kva_frames_free(state, first);
}

static enum kva_status alloc_many_of_kva(void *state, const struct kva_frames_request *request, size_t runs,
                                         uint64_t *firsts)
{
    return kva_frames_alloc_many(state, request, runs, firsts);
}

static enum kva_status free_many_of_kva(void *state, const uint64_t *firsts, size_t runs)
{
    return kva_frames_free_many(state, firsts, runs, NULL);
}

static size_t bytes_of_kva(void *state, uint64_t frames)
{
    struct kva_frames_zone zone = {.start = 0, .end = frames};
    struct kva_frames_config config = frames_kva_config(&zone);
    (void)state;
    return kva_frames_bytes(&config);
}

/* --------------------------------------------------------------------------------------- the buddy system */

static enum kva_status create_buddy(uint64_t frames, void **state)
{
    struct buddy *buddy;
    enum kva_status status = buddy_create(frames, &buddy);
    if (status == KVA_OK)
        *state = buddy;
    return status;
}

static enum kva_status destroy_buddy(void *state)
{
    buddy_destroy(state);
    return KVA_OK;
}

static enum kva_status alloc_of_buddy(void *state, const struct kva_frames_request *request, uint64_t *first)
{
    return buddy_alloc(state, request->order, first);
}

static enum kva_status free_of_buddy(void *state, uint64_t first)
{
    return buddy_free(state, first);
}

/* It has no calls for many. */
static enum kva_status alloc_many_of_buddy(void *state, const struct kva_frames_request *request, size_t runs,
                                           uint64_t *firsts)
{
    enum kva_status status = KVA_OK;
    size_t done = 0;
    for (; done < runs && status == KVA_OK; done++)
        status = buddy_alloc(state, request->order, &firsts[done]);
    while (status != KVA_OK && --done > 0)
        (void)buddy_free(state, firsts[done - 1]);
    return status;
}

static enum kva_status free_many_of_buddy(void *state, const uint64_t *firsts, size_t runs)
{
    enum kva_status status = KVA_OK;
    for (size_t i = 0; i < runs && status == KVA_OK; i++)
        status = buddy_free(state, firsts[i]);
    return status;
}

static size_t bytes_of_buddy(void *state, uint64_t frames)
{
    (void)frames;
    return buddy_bytes(state);
}

const struct frames_contender frames_contenders[FRAMES_CONTENDERS] = {
    {FRAMES_KVA, create_kva, destroy_kva, alloc_of_kva, free_of_kva, alloc_many_of_kva, free_many_of_kva,
     bytes_of_kva},
    {FRAMES_BUDDY, create_buddy, destroy_buddy, alloc_of_buddy, free_of_buddy, alloc_many_of_buddy,
     free_many_of_buddy, bytes_of_buddy},
};
