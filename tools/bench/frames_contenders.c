/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The contenders, called through one table of functions, which costs each of them an indirect call. */
#define _GNU_SOURCE
#include "frames_set.h"

#include "../../bench/buddy/buddy.h"

#include "fatal.h"

#include <kva/threads.h>
#include <unistd.h>

/* ---------------------------------------------------------------------------------------------------- kva */

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
        bench_fatal(TOOL_WRONG, "frames: a set is corrupt: %s", fault.what);
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

/* ------------------------------------------------------------------------------------- kva in several zones
 * Four zones on two nodes, with as many frames in total as the plain set. Their borders lie inside
 * blocks, except 3 n / 4 and n:
 *
 *      node 0                             node 1
 *      | zone 0   | zone 1 -- hole --  | zone 2 |             | zone 3 -- hole --     |
 *      0x100      n / 8 + 0x80         n / 4 + 0x33  3 n / 4  n              window's end
 */

#define ZONES 4
#define HOLES 2

static enum kva_status create_zones(uint64_t frames, void **state)
{
    uint64_t n = frames;
    const struct kva_frames_zone zones[ZONES] = {
        {.start = 0x100, .end = n / 8 + 0x80, .node = 0},
        {.start = n / 8 + 0x80, .end = n / 4 + 0x33, .node = 0},
        {.start = n / 4 + 0x33, .end = 3 * n / 4, .node = 1},
        {.start = n, .end = n + n / 4 + n / 16 + 0x100, .node = 1},
    };
    const struct kva_frames_range holes[HOLES] = {{.first = n / 8 + n / 16 + 7, .count = n / 32},
                                                  {.first = n + n / 16 + 9, .count = n / 32}};
    struct kva_frames_config config = frames_kva_config(zones);
    struct kva_frames *made;
    config.zone_count = ZONES;
    config.holes = holes;
    config.hole_count = HOLES;
    enum kva_status status = kva_frames_create(&config, &made);
    if (status == KVA_OK)
        *state = made;
    return status;
}

/* Request frames of node 1, whose nearer zone has about half of the frames: with a quarter in use it
 * serves all requests; a fill continues in other zones. */
static void ask_node(struct frames_set *set)
{
    for (unsigned order = 0; order <= FRAMES_BLOCK_ORDER; order++)
        set->requests[order].node = 1;
}

/* Request frames for a device that cannot reach the end of zone 3. */
static void ask_in_window(struct frames_set *set)
{
    uint64_t n = set->frames;
    ask_node(set);
    for (unsigned order = 0; order <= FRAMES_BLOCK_ORDER; order++)
        set->requests[order].max = n + n / 4 - 1;
    set->frames = n - n / 16 - 0x100;
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

/* The buddy system has no calls for many frames. */
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
     bytes_of_kva, NULL},
    {FRAMES_BUDDY, create_buddy, destroy_buddy, alloc_of_buddy, free_of_buddy, alloc_many_of_buddy,
     free_many_of_buddy, bytes_of_buddy, NULL},
};

const struct frames_contender frames_places[FRAMES_PLACES] = {
    {"zones", create_zones, destroy_kva, alloc_of_kva, free_of_kva, alloc_many_of_kva, free_many_of_kva, NULL,
     ask_node},
    {"window", create_zones, destroy_kva, alloc_of_kva, free_of_kva, alloc_many_of_kva, free_many_of_kva,
     NULL, ask_in_window},
    {FRAMES_PLAIN, create_kva, destroy_kva, alloc_of_kva, free_of_kva, alloc_many_of_kva, free_many_of_kva,
     bytes_of_kva, NULL},
};
