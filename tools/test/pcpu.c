/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THEORY
 *   A per-CPU object is one offset that is valid on every CPU: its copies are at that offset in each CPU's
 *   UNIT. A CHUNK has one unit for each CPU. The units of the CPUs of one memory node are adjacent and form a
 *   GROUP. The groups of a chunk are as far apart as the memories of the nodes, so the distance from a CPU's
 *   unit in one chunk to its unit in the next is the same for all CPUs:
 *
 *        base                    base + 1 GiB            base + 2 GiB            base + 3 GiB
 *        |u0 u1 u2 u3|           |u4 u5 u6 u7|           |u8 .. u11|             |u12 .. u15|
 *
 *   So a chunk is one CONGRUENT allocation: the highest base at which all groups are free. A small space of
 *   kva's rb engine places objects in a chunk at offsets 0 .. unit - 1, whatever engine is measured: only the
 *   areas differ between engines.
 *
 *   Kinds over kva/vm.h use its own per-CPU objects, with chunks of the same shape. These are cleared; on
 *   pages, the driver clears each copy in its own chunks as well, as an allocator of counters must.
 *
 * NUMBERS
 *   Unit     64 KiB. Objects have 1 .. 1024 bytes aligned to 2 .. 2048 bytes, so some 80 fit, and 35,000
 *            objects need some 400 chunks: enough to show the cost of a chunk, and few enough that the test
 *            measures areas, not objects.
 *   Groups   4 of 4 units: the smallest server with four nodes that has several CPUs on each. A group is
 *            4 * 64 KiB = 256 KiB.
 *   Distance 1 GiB: a plausible minimum of a node's memory. Chunks fill the distance from the top down: 4096
 *            of them (1 GiB / 256 KiB), then the next 4 GiB below. A 32-bit machine lacks the addresses:
 *            128 MiB there, which is enough for 400 chunks (100 MiB).
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
    uint64_t count; /* its objects */
};

/* An object in a chunk of the driver, or (chunk == NULL) an object of the target. */
struct object {
    struct chunk *chunk;
    uint64_t offset; /* in each unit; or its address */
};

/* The parts of a chunk. */
static const struct kva_part groups[GROUPS] = {
    {0 * GROUP_DISTANCE, GROUP_BYTES},
    {1 * GROUP_DISTANCE, GROUP_BYTES},
    {2 * GROUP_DISTANCE, GROUP_BYTES},
    {3 * GROUP_DISTANCE, GROUP_BYTES},
};

/* Verify the groups at `base`; returns the status of the error, or KVA_OK. */
static enum kva_status verify_areas(const struct target_range *range, uint64_t base)
{
    for (size_t i = 0; i < GROUPS; i++) {
        uint64_t start = base + groups[i].offset;
        if (start < range->first || start > range->last || GROUP_BYTES - 1 > range->last - start)
            return KVA_ERANGE;
    }
    return base % UNIT_BYTES == 0 ? KVA_OK : KVA_EALIGN;
}

/* Free the groups of a chunk. */
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

/* Create a chunk with its areas. NULL: the trial has failed. */
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

/* Place an object in a chunk; KVA_ENOSPC: it is too full. */
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

/* The next request. */
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
        trial_fail(trial, "allocation of an object in its chunk refused", status);
    else
        clear(trial, object, request.size);
    return status == KVA_OK;
}

/* Free an object, and its chunk with the chunk's last object. */
static void give_object(struct trial *trial, const struct object *object)
{
    struct chunk *chunk = object->chunk;
    enum kva_status status = kva_free(&chunk->objects, object->offset);
    if (status != KVA_OK)
        trial_fail(trial, "free of an object refused", status);
    if (--chunk->count == 0)
        chunk_destroy(trial, chunk);
}

/* The test on chunks of the driver. */
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

/* ---------------------------------------------------------------------------------- objects of the target */

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
        trial_fail(trial, "creation of the per-CPU allocator refused", status);
        return;
    }
    while (trial_loop(trial) && take_own_object(trial, pcpu, &objects[count]))
        count++;
    for (uint64_t i = 0; i < count; i++) {
        status = target_pcpu_free(trial->target, pcpu, objects[i].offset);
        if (status != KVA_OK)
            trial_fail(trial, "free of a per-CPU object refused", status);
    }
    status = target_pcpu_destroy(trial->target, pcpu);
    if (status != KVA_OK)
        trial_fail(trial, "destruction of the per-CPU allocator refused", status);
}

/* Test 128: allocate all objects, then free them. Its loop counts objects; a run that is cut short has
 * fewer. */
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
