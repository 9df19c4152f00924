/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Split a busy segment, join two, set the owner of one.
 *
 *      split    |========= A =========|        shrink, then occupy the rest
 *               |=== A ===|=== A =====|
 *
 *      join     |=== A ===|=== B =====|        free the second, then grow the first over it
 *               |========= A =========|
 *
 * Split and join are two changes of the tree in one compound: lock-free lookups see both or neither. Memory
 * is prepared before the first change, and the space's lock is held to the last: so neither can fail. An
 * object of a pool moves to the tree first, which no caller can observe.
 */
#include <kva/ranges.h>

#include "pool.h"
#include "verify.h"

/* ------------------------------------------------------------------------------------------------- split */

/** Split the busy segment that holds `at`, which is not its start. */
static enum kva_status split_busy(struct kva_space *space, uint64_t at)
{
    struct kva_address_map *map = space->map;
    struct kva_segment segment;

    kva_lookup(space, at, &segment);
    enum kva_status status = leave_pool(space, segment.start);
    if (status == KVA_OK)
        status = map->engine->prepare(map, 1);
    if (status != KVA_OK)
        return status;
    core_find(map, at, &segment); /* the owner may have changed until the object moved to the tree */
    begin_compound(space);
    (void)core_resize(map, segment.start, at - 1);
    sync_point(threads_of(space));
    (void)core_reserve(map, at, segment.last, segment.owner);
    end_compound(space);
    return KVA_OK;
}

enum kva_status kva_split(struct kva_space *space, uint64_t at)
{
    enum kva_status status = enter_change(space, __func__);
    struct kva_bad bad = {NULL, 0};

    if (status != KVA_OK)
        return status;
    status = is_aligned(at, space->map->quantum) ? kva_diagnose_start(space, at)
                                                 : bad_field(&bad, KVA_EALIGN, "at");
    if (status == KVA_EINTERIOR)
        status = split_busy(space, at);
    if (is_misuse(status))
        (void)misuse_of(space, status, __func__, at, &bad);
    if (status == KVA_OK)
        verify_change(space, __func__, at);
    return leave(space, status);
}

/* -------------------------------------------------------------------------------------------------- join */

/** The busy segment that begins where the one at `start` ends; false if there is none. */
static bool find_next_busy(const struct kva_space *space, uint64_t start, struct kva_segment *next)
{
    kva_lookup(space, start, next);
    if (next->last == space->map->last)
        return false;
    kva_lookup(space, next->last + 1, next);
    return next->state == KVA_BUSY;
}

/** A busy segment begins at `start`. Another thread may free the next one until that has moved to the tree:
 *  then there is none to join. */
static enum kva_status join_busy(struct kva_space *space, uint64_t start)
{
    struct kva_address_map *map = space->map;
    struct kva_segment next;

    if (!find_next_busy(space, start, &next))
        return KVA_ENOENT;
    enum kva_status status = leave_pool(space, next.start);
    if (status != KVA_OK)
        return status == KVA_EDOUBLE ? KVA_ENOENT : status;
    status = leave_pool(space, start);
    if (status == KVA_OK)
        status = map->engine->prepare(map, 1);
    if (status != KVA_OK)
        return status;
    begin_compound(space);
    (void)core_free(map, next.start);
    sync_point(threads_of(space));
    (void)core_resize(map, start, next.last);
    end_compound(space);
    return KVA_OK;
}

enum kva_status kva_join(struct kva_space *space, uint64_t start)
{
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    status = kva_diagnose_start(space, start);
    if (status == KVA_OK)
        status = join_busy(space, start);
    if (is_misuse(status))
        (void)misuse(space, status, __func__, start);
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return leave(space, status);
}

/* ------------------------------------------------------------------------------------------------- owner */

/** Repeats if an object was freed and allocated again between the two looks. */
static enum kva_status change_owner(struct kva_space *space, uint64_t start, void *owner)
{
    struct kva_object object;

    for (;;) {
        enum kva_status status = kva_diagnose_start(space, start);
        if (status != KVA_OK)
            return misuse(space, status, "kva_set_owner", start);
        if (!kva_pool_object(space, start, &object))
            return space->map->engine->own(space->map, start, owner);
        if (kva_pool_set_owner(space, &object, owner))
            return KVA_OK;
    }
}

enum kva_status kva_set_owner(struct kva_space *space, uint64_t start, void *owner)
{
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    status = change_owner(space, start, owner);
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return leave(space, status);
}
