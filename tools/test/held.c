/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THEORY
 *   The suite was published with figures from systems that had been booted: the region for vmalloc held areas
 *   of others (stacks, modules, tables), with holes where such areas had been. An empty range flatters the
 *   list walk when there is one worker only: no hole is ever passed over, so its cache always stands where
 *   the next answer is, and no test takes it more than a step. Small holes change that:
 *
 *      tests 8, 32    a large request passes over the holes; the next one is smaller than the largest hole
 *                     skipped, or less aligned, drops the cache, and walks from the bottom
 *      test 4         its 15,000 single pages fill holes first. If some are left, the 100 pages pass over
 *                     them; the single page drops the cache and goes into the lowest; so the next 100 pages
 *                     walk over everything again. With holes of 4.5 pages on average, that takes
 *                     15,000 / 4.5 = 3,400 of them
 *
 *   So areas and holes of 1 .. 8 pages lie at the bottom of the range, in turn:
 *
 *       [AAAA]..[B][CCC].....[DDDD]
 *
 *   Sizes:  four pages and a guard page for a thread's stack is by far the most frequent area in a running
 *           system's /proc/vmallocinfo; 1 .. 8 has it in the middle.
 */
#include "held.h"

#include "../common/grow.h"
#include "../common/rng.h"
#include "suite.h"

#include <stdlib.h>

#define MAX_AREA_PAGES 8

/* A stream that no worker has; see runner.c. */
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

/* Give back every second area, which leaves the holes, and close the books over them. */
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
