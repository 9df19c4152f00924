/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The list of kinds, and the mutex around the calls. target_free_later delays the free itself if the kind
 * does not support grace periods.
 */
#include "target.h"

#include "grace.h"

#include <kva/engine.h>
#include <stdio.h>
#include <string.h>

/* -------------------------------------------------------------------------------------------------- kinds */

typedef void make_kind(struct target_kind *kind);
typedef void make_engine(struct target_kind *kind, const char *engine);

/* The kinds that are listed after the engines. */
static make_kind *const others[][5] = {
    [TARGET_RANGES] = {target_kind_of_lock, target_kind_of_pools},
    [TARGET_PAGES] = {target_kind_of_mutex, target_kind_of_mmap, target_kind_of_malloc,
                      target_kind_of_jemalloc, target_kind_of_mimalloc},
};
#define OTHERS (sizeof(others[0]) / sizeof(others[0][0]))

static size_t all_kinds(enum target_memory memory, struct target_kind kinds[TARGET_KINDS])
{
    make_kind *list = memory == TARGET_RANGES ? target_kind_of_list_walk : target_kind_of_list_pages;
    make_engine *make = memory == TARGET_RANGES ? target_kind_of_space : target_kind_of_vm;
    const char *engine;
    size_t count = 0;
    list(&kinds[count++]);
    for (size_t i = 0; count < TARGET_KINDS && (engine = kva_engine_name(i)) != NULL; i++)
        make(&kinds[count++], engine);
    for (size_t i = 0; count < TARGET_KINDS && i < OTHERS && others[memory][i] != NULL; i++)
        others[memory][i](&kinds[count++]);
    return count;
}

bool target_kind_at(enum target_memory memory, size_t index, struct target_kind *kind)
{
    struct target_kind kinds[TARGET_KINDS];
    size_t count = all_kinds(memory, kinds);
    if (index >= count)
        return false;
    *kind = kinds[index];
    return true;
}

/* The kind of a name. A name that is not in the list is a form of bt. */
static void named(struct target_kind *kind, const struct target_kind *kinds, size_t count,
                  enum target_memory memory, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *kind = kinds[i];
            return;
        }
    }
    if (memory == TARGET_RANGES)
        target_kind_of_space(kind, name);
    else
        target_kind_of_vm(kind, name);
}

const char *target_kinds_parse(const char *text, enum target_memory memory,
                               struct target_kind kinds[TARGET_KINDS], size_t *count,
                               char message[ENGINES_MESSAGE])
{
    struct target_kind all[TARGET_KINDS];
    struct engines known = {.count = 0}, chosen;
    bool whole = strcmp(text, "all") == 0;
    size_t there = all_kinds(memory, all);
    for (size_t i = 0; i < there; i++)
        if (!whole || target_kind_open(&all[i]))
            engines_add(&known, all[i].name);
    const char *wrong = engines_parse(text, &known, &chosen, message);
    if (wrong != NULL)
        return wrong;
    for (size_t i = 0; i < chosen.count; i++) {
        named(&kinds[i], all, there, memory, chosen.name[i]);
        if (!target_kind_open(&kinds[i])) {
            snprintf(message, ENGINES_MESSAGE, "'%s' is not installed", chosen.name[i]);
            return message;
        }
    }
    *count = chosen.count;
    return NULL;
}

/* ------------------------------------------------------------------------------------------------ targets */

enum kva_status target_create(struct target *target, const struct target_kind *kind,
                              const struct target_range *range, bool shared)
{
    target->kind = *kind;
    target->range = *range;
    target->shared = shared && !kind->locks;
    if (pthread_mutex_init(&target->lock, NULL) != 0)
        return KVA_ENOMEM;
    enum kva_status status = kind->create(kind, &target->range, &target->state);
    if (status != KVA_OK)
        pthread_mutex_destroy(&target->lock);
    return status;
}

enum kva_status target_destroy(struct target *target)
{
    pthread_mutex_destroy(&target->lock);
    return target->kind.destroy(target->state);
}

/* A default mutex fails only on misuse, which these pairs exclude. */
static void enter(struct target *target)
{
    if (target->shared)
        pthread_mutex_lock(&target->lock);
}

static enum kva_status leave(struct target *target, enum kva_status status)
{
    if (target->shared)
        pthread_mutex_unlock(&target->lock);
    return status;
}

/* Sizes of memory must fit size_t; sizes of ranges may exceed it. */
static bool fits(const struct target *target, uint64_t size, uint64_t align)
{
    return target->kind.memory == TARGET_RANGES || (size <= SIZE_MAX && align <= SIZE_MAX);
}

enum kva_status target_alloc(struct target *target, uint64_t size, uint64_t align, unsigned flags,
                             uint64_t *addr)
{
    if (!fits(target, size, align))
        return KVA_ENOSPC;
    enter(target);
    return leave(target, target->kind.alloc(target->state, size, align, flags, addr));
}

enum kva_status target_free(struct target *target, uint64_t addr, uint64_t size)
{
    enter(target);
    return leave(target, target->kind.free(target->state, addr, size));
}

enum kva_status target_congruent(struct target *target, const struct kva_part *parts, size_t count,
                                 uint64_t align, uint64_t *base)
{
    enter(target);
    return leave(target, target->kind.congruent(target->state, parts, count, align, base));
}

enum kva_status target_resize(struct target *target, uint64_t addr, uint64_t from, uint64_t to,
                              uint64_t *moved)
{
    if (!fits(target, to, 1))
        return KVA_ENOSPC;
    enter(target);
    return leave(target, target->kind.resize(target->state, addr, from, to, moved));
}

enum kva_status target_flush(struct target *target)
{
    if (target->kind.flush == NULL)
        return KVA_OK;
    enter(target);
    return leave(target, target->kind.flush(target->state));
}

/* The delayed free of a kind that does not support grace periods. It runs on a thread of liburcu, so such
 * kinds must lock for themselves. */
static void give_late(void *context, uint64_t addr, uint64_t size)
{
    struct target *target = context;
    (void)target->kind.free(target->state, addr, size);
}

enum kva_status target_free_later(struct target *target, uint64_t addr, uint64_t size, bool in_place)
{
    struct kva_later *record =
        in_place ? (struct kva_later *)(uintptr_t)(addr + size - sizeof(struct kva_later)) : NULL;
    if (target->kind.free_later == NULL)
        return grace_free(give_late, target, addr, size, record);
    enter(target);
    return leave(target, target->kind.free_later(target->state, addr, record));
}

/* ---------------------------------------------------------------------------------------- frames, per CPU */

enum kva_status target_frames_take(struct target *target, uint64_t count, void **frames)
{
    enter(target);
    return leave(target, target->kind.frames_take(target->state, count, frames));
}

enum kva_status target_frames_give(struct target *target, void *frames)
{
    enter(target);
    return leave(target, target->kind.frames_give(target->state, frames));
}

enum kva_status target_map(struct target *target, void *frames, uint64_t first, uint64_t count,
                           uint64_t *addr)
{
    enter(target);
    return leave(target, target->kind.map(target->state, frames, first, count, addr));
}

enum kva_status target_unmap(struct target *target, uint64_t addr, uint64_t count)
{
    enter(target);
    return leave(target, target->kind.unmap(target->state, addr, count));
}

enum kva_status target_pcpu_create(struct target *target, void **pcpu)
{
    enter(target);
    return leave(target, target->kind.pcpu_create(target->state, pcpu));
}

enum kva_status target_pcpu_destroy(struct target *target, void *pcpu)
{
    enter(target);
    return leave(target, target->kind.pcpu_destroy(pcpu));
}

enum kva_status target_pcpu_alloc(struct target *target, void *pcpu, uint64_t size, uint64_t align,
                                  uint64_t *addr)
{
    enter(target);
    return leave(target, target->kind.pcpu_alloc(pcpu, size, align, addr));
}

enum kva_status target_pcpu_free(struct target *target, void *pcpu, uint64_t addr)
{
    enter(target);
    return leave(target, target->kind.pcpu_free(pcpu, addr));
}
