/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Kinds that hand out ranges: kva's engines, spaces for many threads, and the list walk.
 */
#define _GNU_SOURCE
#include "target.h"

#include "../../bench/list/list_walk.h"

#include <kva/engine.h>
#include <kva/threads.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Why kinds of ranges cannot run some tests. */
static const char no_memory[] = "the tests from 256 on: ranges have no memory";

/* ------------------------------------------------------------------------------------------ kva's engines */

/* The target owns the space's memory, so it can abandon a space that is not empty. */
static enum kva_status space_create(const struct target_kind *kind, struct target_range *range, void **state)
{
    struct kva_space *space = malloc(sizeof(*space));
    if (space == NULL)
        return KVA_ENOMEM;
    struct kva_config config = kind->space;
    config.first = range->first;
    config.last = range->last;
    config.quantum = range->quantum;
    config.memory = kva_memory_host();
    enum kva_status status = kva_space_init(space, &config);
    if (status == KVA_OK)
        *state = space;
    else
        free(space);
    return status;
}

static enum kva_status space_destroy(void *state)
{
    enum kva_status status = kva_space_fini(state);
    if (status == KVA_EBUSY)
        kva_space_abandon(state);
    free(state);
    return status;
}

static enum kva_status space_alloc(void *state, uint64_t size, uint64_t align, unsigned flags, uint64_t *addr)
{
    struct kva_request request = kva_request_of(size);
    request.align = align;
    (void)flags;
    return kva_alloc(state, &request, addr);
}

static enum kva_status space_free(void *state, uint64_t addr, uint64_t size)
{
    (void)size;
    return kva_free(state, addr);
}

static enum kva_status space_congruent(void *state, const struct kva_part *parts, size_t count,
                                       uint64_t align, uint64_t *base)
{
    struct kva_request request = kva_request_of(1);
    request.align = align;
    request.policy = KVA_HIGHEST;
    return kva_alloc_congruent(state, &request, parts, count, base);
}

const char *target_about_engine(const char *engine)
{
    if (strcmp(engine, "rb") == 0)
        return "free ranges in an augmented red-black tree";
    if (strcmp(engine, "bt") == 0)
        return "one B+tree of the ranges in use";
    if (strcmp(engine, "scan") == 0)
        return "one sorted array, searched linearly";
    return "a form of bt";
}

void target_kind_of_space(struct target_kind *kind, const char *engine)
{
    *kind = (struct target_kind){
        .name = engine,
        .about = target_about_engine(engine),
        .memory = TARGET_RANGES,
        .exact = true,
        .abilities = TARGET_CAN_PCPU,
        .cannot = no_memory,
        .space = {.engine = kva_engine_by_name(engine)},
        .create = space_create,
        .destroy = space_destroy,
        .alloc = space_alloc,
        .free = space_free,
        .congruent = space_congruent,
    };
}

/* ------------------------------------------------------------------------ spaces that lock for themselves */

void target_kind_of_lock(struct target_kind *kind)
{
    target_kind_of_space(kind, "bt");
    kind->name = "bt-lock";
    kind->about = "bt in a space that locks for itself, without pools";
    kind->locks = true;
    kind->space.threads = kva_threads_host();
}

/* A CPU may hold a full magazine, 32 ranges, of each size up to 100 pages, the largest of the suite's tests:
 * 32 * 5050 pages, 660 MB. */
#define POOL_BYTES_OF_CPU (UINT64_C(1) << 30)

void target_kind_of_pools(struct target_kind *kind)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    target_kind_of_lock(kind);
    kind->name = "bt-pools";
    kind->about = "the same with per-CPU pools of small ranges, at any address";
    kind->space.cpus = cpus < 1 ? 1 : (unsigned)cpus;
    kind->space.pool_bytes = kind->space.cpus * POOL_BYTES_OF_CPU;
}

/* ------------------------------------------------------------------------------------------ the list walk */

static enum kva_status walk_create(const struct target_kind *kind, struct target_range *range, void **state)
{
    (void)kind;
    struct list_walk *walk;
    enum kva_status status = list_walk_create(range->first, range->last, range->quantum, &walk);
    if (status == KVA_OK)
        *state = walk;
    return status;
}

static enum kva_status walk_destroy(void *state)
{
    return list_walk_destroy(state);
}

static enum kva_status walk_alloc(void *state, uint64_t size, uint64_t align, unsigned flags, uint64_t *addr)
{
    (void)flags;
    return list_walk_alloc(state, size, align, 0, UINT64_MAX, addr);
}

static enum kva_status walk_free(void *state, uint64_t addr, uint64_t size)
{
    (void)size;
    return list_walk_free(state, addr);
}

static enum kva_status walk_congruent(void *state, const struct kva_part *parts, size_t count, uint64_t align,
                                      uint64_t *base)
{
    return list_walk_congruent(state, parts, count, align, base);
}

void target_kind_of_list_walk(struct target_kind *kind)
{
    *kind = (struct target_kind){
        .name = "list",
        .about = "the list walk that Linux used before 2019",
        .memory = TARGET_RANGES,
        .exact = true,
        .abilities = TARGET_CAN_PCPU,
        .cannot = no_memory,
        .create = walk_create,
        .destroy = walk_destroy,
        .alloc = walk_alloc,
        .free = walk_free,
        .congruent = walk_congruent,
    };
}
