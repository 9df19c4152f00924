/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _GNU_SOURCE
#include "target.h"

#include "../../bench/list/list_walk.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------- kva's engines */

/* The space lies in memory of our own, so that a target can be ended whatever it still holds. */
static enum kva_status space_create(const struct target_kind *kind, const struct target_range *range,
                                    void **state)
{
    struct kva_space *space = malloc(sizeof(*space));
    if (space == NULL)
        return KVA_ENOMEM;
    struct kva_config config = {
        .first = range->first,
        .last = range->last,
        .quantum = range->quantum,
        .engine = kva_engine_by_name(kind->name),
        .memory = kva_memory_host(),
    };
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

static enum kva_status space_alloc(void *state, uint64_t size, uint64_t align, uint64_t *addr)
{
    struct kva_request request = kva_request_of(size);
    request.align = align;
    return kva_alloc(state, &request, addr);
}

static enum kva_status space_free(void *state, uint64_t addr)
{
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

/* ------------------------------------------------------------------------------------- the list walk */

static enum kva_status walk_create(const struct target_kind *kind, const struct target_range *range,
                                   void **state)
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

static enum kva_status walk_alloc(void *state, uint64_t size, uint64_t align, uint64_t *addr)
{
    struct list_walk *walk = state;
    return list_walk_alloc(walk, size, align, 0, UINT64_MAX, addr);
}

static enum kva_status walk_free(void *state, uint64_t addr)
{
    return list_walk_free(state, addr);
}

static enum kva_status walk_congruent(void *state, const struct kva_part *parts, size_t count, uint64_t align,
                                      uint64_t *base)
{
    return list_walk_congruent(state, parts, count, align, base);
}

/* ------------------------------------------------------------------------------------------- kinds */

static const struct target_kind walk_kind = {
    .name = ENGINES_LIST_WALK,
    .about = "the list walk that Linux used before 2019",
    .create = walk_create,
    .destroy = walk_destroy,
    .alloc = walk_alloc,
    .free = walk_free,
    .congruent = walk_congruent,
};

static const struct target_kind space_kind = {
    .create = space_create,
    .destroy = space_destroy,
    .alloc = space_alloc,
    .free = space_free,
    .congruent = space_congruent,
};

/* What there is to say about an engine; the library only knows names. */
static const char *about_engine(const char *name)
{
    if (strcmp(name, "rb") == 0)
        return "free ranges in an augmented red-black tree";
    if (strcmp(name, "scan") == 0)
        return "one sorted array, searched linearly";
    return "an engine of kva";
}

static void kind_by_name(const char *name, struct target_kind *kind)
{
    if (strcmp(name, ENGINES_LIST_WALK) == 0) {
        *kind = walk_kind;
        return;
    }
    *kind = space_kind;
    kind->name = name;
    kind->about = about_engine(name);
}

bool target_kind_at(size_t index, struct target_kind *kind)
{
    struct engines all;
    engines_all(&all, true);
    if (index >= all.count)
        return false;
    kind_by_name(all.name[index], kind);
    return true;
}

const char *target_kinds_parse(const char *text, struct target_kind kinds[TARGET_KINDS], size_t *count,
                               char message[ENGINES_MESSAGE])
{
    struct engines chosen;
    const char *wrong = engines_parse(text, true, &chosen, message);
    if (wrong != NULL)
        return wrong;
    for (size_t i = 0; i < chosen.count; i++)
        kind_by_name(chosen.name[i], &kinds[i]);
    *count = chosen.count;
    return NULL;
}

/* ------------------------------------------------------------------------------------------- targets */

enum kva_status target_create(struct target *target, const struct target_kind *kind,
                              const struct target_range *range, bool shared)
{
    target->kind = *kind;
    target->range = *range;
    target->shared = shared;
    if (pthread_mutex_init(&target->lock, NULL) != 0)
        return KVA_ENOMEM;
    enum kva_status status = kind->create(kind, range, &target->state);
    if (status != KVA_OK)
        pthread_mutex_destroy(&target->lock);
    return status;
}

enum kva_status target_destroy(struct target *target)
{
    pthread_mutex_destroy(&target->lock);
    return target->kind.destroy(target->state);
}

/* A default mutex can only fail to lock or unlock by misuse, which these pairs exclude. */
static void enter(struct target *target)
{
    if (target->shared)
        pthread_mutex_lock(&target->lock);
}

static void leave(struct target *target)
{
    if (target->shared)
        pthread_mutex_unlock(&target->lock);
}

enum kva_status target_alloc(struct target *target, uint64_t size, uint64_t align, uint64_t *addr)
{
    enter(target);
    enum kva_status status = target->kind.alloc(target->state, size, align, addr);
    leave(target);
    return status;
}

enum kva_status target_free(struct target *target, uint64_t addr)
{
    enter(target);
    enum kva_status status = target->kind.free(target->state, addr);
    leave(target);
    return status;
}

enum kva_status target_congruent(struct target *target, const struct kva_part *parts, size_t count,
                                 uint64_t align, uint64_t *base)
{
    enter(target);
    enum kva_status status = target->kind.congruent(target->state, parts, count, align, base);
    leave(target);
    return status;
}
