/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THEORY
 *   A per-CPU object is one offset that is valid on every CPU: its copies lie at that offset in each CPU's
 *   UNIT. A CHUNK has one unit for each CPU. The units of the CPUs of one memory node stand side by side and
 *   form a GROUP, and the groups of a chunk lie as far apart as the nodes' memories do, so that the distance
 *   from a CPU's unit in one chunk to its unit in the next is the same for all CPUs:
 *
 *        base                    base + 1 GiB            base + 2 GiB            base + 3 GiB
 *        |u0 u1 u2 u3|           |u4 u5 u6 u7|           |u8 .. u11|             |u12 .. u15|
 *
 *   So a chunk is one CONGRUENT allocation: a base at which all groups are free, the highest there is. Inside
 *   a chunk, objects are placed at offsets 0 .. unit - 1 by a small space of kva's rb engine, whatever is
 *   being measured: only the areas differ between engines.
 *
 *   kva/vm.h has per-CPU objects of its own: there those are taken, chunks of the same shape behind them.
 *   They come cleared; where memory stands behind the driver's own chunks, it clears each copy as well, as
 *   anyone must who hands out counters.
 *
 * NUMBERS
 *   Unit     64 KiB. Objects have 1 .. 1024 bytes at 2 .. 2048 bytes' alignment, so some 80 fit, and 35,000
 *            objects open some 400 chunks: enough to show what a chunk costs, and few enough to leave the
 *            test about areas and not about objects.
 *   Groups   4 of 4 units: a server with four nodes, as small as it can be to have several on each. A group
 *            is 4 * 64 KiB = 256 KiB.
 *   Distance 1 GiB: the least memory that a node plausibly has. Chunks fill the distance from the top down:
 *            4096 of them (1 GiB / 256 KiB), then the next 4 GiB below are begun. A 32-bit machine has no
 *            addresses for that: 128 MiB there, in which the 400 chunks (100 MiB) fit.
 *   Quantum  4 bytes: the smallest per-CPU object is a 32-bit counter.
 */
#include "../common/grow.h"
#include "suite.h"

#include <kva/engine.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_BYTES TARGET_PCPU_UNIT
#define GROUPS TARGET_PCPU_GROUPS
#define UNITS_PER_GROUP (TARGET_PCPU_CPUS / GROUPS)
#define GROUP_BYTES (UNITS_PER_GROUP * UNIT_BYTES)
#define GROUP_DISTANCE (UINT64_C(1) << (sizeof(void *) > 4 ? 30 : 27))
#define OBJECT_QUANTUM 4

struct chunk {
    struct kva_space objects; /* offsets within a unit */
    uint64_t base;
    uint64_t count; /* objects in it */
};

/* An object in a chunk of the driver's, or (chunk == NULL) one of the target's own. */
struct object {
    struct chunk *chunk;
    uint64_t offset; /* in each unit; or the address */
};

/* The parts of a chunk, the same for each. */
static const struct kva_part groups[GROUPS] = {
    {0 * GROUP_DISTANCE, GROUP_BYTES},
    {1 * GROUP_DISTANCE, GROUP_BYTES},
    {2 * GROUP_DISTANCE, GROUP_BYTES},
    {3 * GROUP_DISTANCE, GROUP_BYTES},
};

/* What is wrong with the groups at `base`: KVA_OK, or as for a single range that lies there. */
static enum kva_status verify_areas(const struct target_range *range, uint64_t base)
{
    for (size_t i = 0; i < GROUPS; i++) {
        uint64_t start = base + groups[i].offset;
        if (start < range->first || start > range->last || GROUP_BYTES - 1 > range->last - start)
            return KVA_ERANGE;
    }
    return base % UNIT_BYTES == 0 ? KVA_OK : KVA_EALIGN;
}

/* Give the groups of a chunk back. */
static void give_areas(struct trial *trial, uint64_t base)
{
    for (size_t i = 0; i < GROUPS; i++)
        trial_give(trial, base + groups[i].offset, GROUP_BYTES);
}

static bool take_areas(struct trial *trial, uint64_t *base)
{
    enum kva_status status = target_congruent(trial->target, groups, GROUPS, UNIT_BYTES, base);
    if (status != KVA_OK) {
        trial_fail(trial, "congruent allocation refused", status);
        return false;
    }
    status = verify_areas(&trial->target->range, *base);
    if (status != KVA_OK)
        trial_fail(trial, "congruent areas outside the range or off the alignment", status);
    return status == KVA_OK;
}

static enum kva_status objects_init(struct kva_space *objects)
{
    struct kva_config config = {
        .last = UNIT_BYTES - 1,
        .quantum = OBJECT_QUANTUM,
        .engine = &kva_engine_rb,
        .memory = kva_memory_host(),
    };
    return kva_space_init(objects, &config);
}

/* A new chunk, its areas taken; NULL, and the trial has failed. */
static struct chunk *chunk_create(struct trial *trial)
{
    struct chunk *chunk = malloc(sizeof(*chunk));
    if (chunk == NULL || objects_init(&chunk->objects) != KVA_OK) {
        trial_fail(trial, "no memory for the driver's own bookkeeping", KVA_ENOMEM);
        free(chunk);
        return NULL;
    }
    if (!take_areas(trial, &chunk->base)) {
        kva_space_abandon(&chunk->objects);
        free(chunk);
        return NULL;
    }
    chunk->count = 0;
    return chunk;
}

static void chunk_destroy(struct trial *trial, struct chunk *chunk)
{
    give_areas(trial, chunk->base);
    kva_space_abandon(&chunk->objects);
    free(chunk);
}

/* Place an object in a chunk; KVA_ENOSPC when it is too full. */
static enum kva_status place(struct chunk *chunk, const struct kva_request *request, struct object *object)
{
    enum kva_status status = kva_alloc(&chunk->objects, request, &object->offset);
    if (status == KVA_OK) {
        object->chunk = chunk;
        chunk->count++;
    }
    return status;
}

/* Clear an object's copies. */
static void clear(const struct trial *trial, const struct object *object, uint64_t size)
{
    if (trial->target->kind.memory != TARGET_PAGES)
        return;
    for (size_t group = 0; group < GROUPS; group++)
        for (size_t unit = 0; unit < UNITS_PER_GROUP; unit++) {
            uint64_t start = object->chunk->base + groups[group].offset + unit * UNIT_BYTES;
            memset((void *)(uintptr_t)(start + object->offset), 0, (size_t)size);
        }
}

/* What to ask for next. */
static struct kva_request draw_object(struct trial *trial)
{
    struct kva_request request = kva_request_of(rng_between(&trial->rng, 1, SUITE_PAGE / 4));
    request.align = UINT64_C(1) << rng_between(&trial->rng, 1, 11);
    return request;
}

/* Place an object in the newest chunk, or in a new one, which becomes the newest. */
static bool take_object(struct trial *trial, struct chunk **newest, struct object *object)
{
    struct kva_request request = draw_object(trial);
    enum kva_status status = *newest == NULL ? KVA_ENOSPC : place(*newest, &request, object);
    if (status == KVA_ENOSPC) {
        *newest = chunk_create(trial);
        if (*newest == NULL)
            return false;
        status = place(*newest, &request, object);
    }
    if (status != KVA_OK)
        trial_fail(trial, "an object found no place in its chunk", status);
    else
        clear(trial, object, request.size);
    return status == KVA_OK;
}

/* Give an object back, and its chunk with the last one in it. */
static void give_object(struct trial *trial, const struct object *object)
{
    struct chunk *chunk = object->chunk;
    enum kva_status status = kva_free(&chunk->objects, object->offset);
    if (status != KVA_OK)
        trial_fail(trial, "an object was not to be freed", status);
    if (--chunk->count == 0)
        chunk_destroy(trial, chunk);
}

/* The test on chunks of the driver's. */
static void run_on_chunks(struct trial *trial, struct object *objects)
{
    struct chunk *newest = NULL;
    uint64_t count = 0;
    while (trial_loop(trial) && take_object(trial, &newest, &objects[count]))
        count++;
    if (newest != NULL && newest->count == 0)
        chunk_destroy(trial, newest);
    for (uint64_t i = 0; i < count; i++)
        give_object(trial, &objects[i]);
}

/* --------------------------------------------------------------------- objects of the target's own making */

static bool take_own_object(struct trial *trial, void *pcpu, struct object *object)
{
    struct kva_request request = draw_object(trial);
    enum kva_status status =
        target_pcpu_alloc(trial->target, pcpu, request.size, request.align, &object->offset);
    if (status != KVA_OK)
        return trial_fail_at(trial, "per-CPU allocation refused", status, request.size, request.align, 0);
    if (object->offset % request.align != 0)
        return trial_fail_at(trial, "a per-CPU object lies off its alignment", KVA_EALIGN, request.size,
                             request.align, object->offset);
    return true;
}

static void run_on_own_objects(struct trial *trial, struct object *objects)
{
    void *pcpu;
    uint64_t count = 0;
    enum kva_status status = target_pcpu_create(trial->target, &pcpu);
    if (status != KVA_OK) {
        trial_fail(trial, "no per-CPU allocator is to be had", status);
        return;
    }
    while (trial_loop(trial) && take_own_object(trial, pcpu, &objects[count]))
        count++;
    for (uint64_t i = 0; i < count; i++) {
        status = target_pcpu_free(trial->target, pcpu, objects[i].offset);
        if (status != KVA_OK)
            trial_fail(trial, "a per-CPU object was not to be freed", status);
    }
    status = target_pcpu_destroy(trial->target, pcpu);
    if (status != KVA_OK)
        trial_fail(trial, "the per-CPU allocator did not end empty", status);
}

/* Test 128: take all objects, then give them back. Its loop is over objects; a run that is cut short has
 * taken, and gives back, only some. */
enum outcome pcpu_alloc_test(struct trial *trial)
{
    struct object *objects = zeroed_array(trial->params->nr_pcpu_objects, sizeof(*objects));
    if (objects == NULL)
        return trial_fail(trial, "no memory for the driver's own bookkeeping", KVA_ENOMEM);
    trial_loop_begin(trial, trial->params->nr_pcpu_objects);
    if (trial->target->kind.pcpu_create != NULL)
        run_on_own_objects(trial, objects);
    else
        run_on_chunks(trial, objects);
    free(objects);
    return trial_outcome(trial);
}
