/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THEORY
 *   The suite's published figures are from booted systems: the region for vmalloc held other areas (stacks,
 *   modules, tables), with holes between them. An empty range flatters the list walk with one worker: no hole
 *   is ever skipped, so its cache always points to the next place, and each search takes one step. Small
 *   holes change that:
 *
 *      tests 8, 32    a large request skips the holes; the next one, if it is smaller than the largest hole
 *                     skipped, or less aligned, drops the cache, and walks from the bottom
 *      test 4         its 15,000 single pages fill holes first. If some holes are left, the 100 pages skip
 *                     them; the single page drops the cache and takes the lowest hole; so the next 100 pages
 *                     walk over everything again. With holes of 4.5 pages on average, that takes
 *                     15,000 / 4.5 = 3,400 holes
 *
 *   So areas and holes of 1 .. 8 pages alternate at the bottom of the range:
 *
 *       [AAAA]..[B][CCC].....[DDDD]
 *
 *   Sizes:  a thread's stack, four pages and a guard page, is by far the most frequent area in the
 *           /proc/vmallocinfo of a running system; it is in the middle of 1 .. 8.
 */
#include "held.h"

#include "../common/grow.h"
#include "../common/rng.h"
#include "suite.h"

#include <stdlib.h>

#define MAX_AREA_PAGES 8

/* A stream that no worker uses; see runner.c. */
#define HELD_STREAM (UINT64_C(1) << 62)

enum kva_status held_give(struct held *held, struct target *target)
{
    enum kva_status answer = KVA_OK;
    for (uint64_t i = 0; i < held->count; i++) {
        enum kva_status status = target_free(target, held->addr[i], held->size[i]);
        if (answer == KVA_OK)
            answer = status;
    }
    free(held->addr);
    free(held->size);
    *held = (struct held){0};
    return answer;
}

/* Free every second area, which leaves holes, and remove those areas from the arrays. */
static enum kva_status open_holes(struct held *held, struct target *target)
{
    uint64_t kept = 0;
    enum kva_status answer = KVA_OK;
    for (uint64_t i = 0; i < held->count; i++) {
        enum kva_status status = KVA_OK;
        if (i % 2 == 0) {
            held->addr[kept] = held->addr[i];
            held->size[kept++] = held->size[i];
        } else {
            status = target_free(target, held->addr[i], held->size[i]);
        }
        if (answer == KVA_OK)
            answer = status;
    }
    held->count = kept;
    return answer;
}

enum kva_status held_take(struct held *held, struct target *target, uint64_t count, uint64_t seed)
{
    struct rng rng;
    enum kva_status status = KVA_OK;
    *held = (struct held){0};
    if (count == 0)
        return KVA_OK;
    held->addr = zeroed_array(2 * count, sizeof(*held->addr));
    held->size = zeroed_array(2 * count, sizeof(*held->size));
    if (held->addr == NULL || held->size == NULL)
        status = KVA_ENOMEM;
    rng_seed_stream(&rng, seed, HELD_STREAM);
    while (status == KVA_OK && held->count < 2 * count) {
        uint64_t size = rng_between(&rng, 1, MAX_AREA_PAGES) * SUITE_PAGE;
        held->size[held->count] = size;
        status = target_alloc(target, size, SUITE_PAGE, 0, &held->addr[held->count]);
        held->count += status == KVA_OK;
    }
    if (status == KVA_OK)
        status = open_holes(held, target);
    if (status != KVA_OK)
        held_give(held, target);
    return status;
}
