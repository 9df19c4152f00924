/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Giving ranges back at once, whole or in part, and resizing in place. */
#include "pool.h"
#include "verify.h"

#include <kva/ranges.h>

/** With the space locked: give a segment of the tree back, or find out why there is none. */
static enum kva_status release(struct kva_space *space, uint64_t start)
{
    if (core_free(space->map, start) != KVA_OK)
        return kva_refuse_start(space, "kva_free", start);
    verify_change(space, "kva_free", start);
    return KVA_OK;
}

/** With pools: a live object goes to a pool. What has none there is the tree's; or the caller's bug, unless a
 *  pool has handed an object out there between the two looks: then once more. */
static enum kva_status free_with_pools(struct kva_space *space, uint64_t start)
{
    struct kva_object object;

    for (;;) {
        if (kva_pool_free(space, start))
            return KVA_OK;
        enum kva_status status = enter_change(space, "kva_free");
        if (status != KVA_OK)
            return status;
        if (!kva_pool_object(space, start, &object))
            return leave(space, release(space, start));
        status = kva_diagnose_start(space, start);
        if (status != KVA_OK)
            return leave(space, misuse(space, status, "kva_free", start));
        unlock_space(space);
    }
}

enum kva_status kva_free(struct kva_space *space, uint64_t start)
{
    if (has_pools(space))
        return free_with_pools(space, start);
    enum kva_status status = enter_change(space, __func__);
    return status == KVA_OK ? leave(space, release(space, start)) : status;
}

/** The busy segment that [start, last] is to be cut from, or why there is none. */
static enum kva_status find_whole(const struct kva_space *space, uint64_t start, uint64_t last,
                                  struct kva_segment *whole, struct kva_bad *bad)
{
    enum kva_status status = kva_diagnose_start(space, start);

    if (status != KVA_OK && status != KVA_EINTERIOR)
        return status;
    kva_lookup(space, start, whole);
    return last > whole->last ? bad_field(bad, KVA_ERANGE, kva_range_plain.size) : KVA_OK;
}

/** Give [start, last] back, of a busy segment that may be an object of a pool. All of an object stays with
 *  the pools, which takes no memory; of a part, the rest becomes an ordinary segment. KVA_EDOUBLE if another
 *  thread gives the object back just now. */
static enum kva_status release_range(struct kva_space *space, const struct kva_segment *whole, uint64_t start,
                                     uint64_t last)
{
    enum kva_status status = KVA_OK;
    struct kva_object object;

    if (kva_pool_object(space, start, &object)) {
        if (whole->start == start && whole->last == last)
            return kva_pool_release(space, &object) ? KVA_OK : KVA_EDOUBLE;
        status = kva_span_move_to_tree(space, &object);
    }
    return status == KVA_OK ? kva_core_free_part(space->map, whole, start, last) : status;
}

enum kva_status kva_free_range(struct kva_space *space, uint64_t start, uint64_t size)
{
    enum kva_status status = enter_change(space, __func__);
    struct kva_bad bad = {NULL, 0};
    struct kva_segment whole;
    uint64_t last;

    if (status != KVA_OK)
        return status;
    status = kva_range_of(space->map->quantum, start, size, &kva_range_plain, &last, &bad);
    if (status == KVA_OK)
        status = find_whole(space, start, last, &whole, &bad);
    if (status == KVA_OK)
        status = release_range(space, &whole, start, last);
    if (is_misuse(status))
        (void)misuse_of(space, status, __func__, start, &bad);
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return leave(space, status);
}

/** Whether a segment has the size that a caller gives. By lengths less 1, since a segment may have 2^64
 *  bytes, and a size be rounded up to that. */
static bool has_size(const struct kva_segment *segment, uint64_t size, uint64_t quantum)
{
    return size != 0 && ((size - 1) | (quantum - 1)) == segment->last - segment->start;
}

enum kva_status kva_free_sized(struct kva_space *space, uint64_t start, uint64_t size)
{
    enum kva_status status = enter_change(space, __func__);
    struct kva_bad bad = {NULL, 0};
    struct kva_segment whole;

    if (status != KVA_OK)
        return status;
    status = kva_diagnose_start(space, start);
    if (status == KVA_OK) {
        kva_lookup(space, start, &whole);
        status = has_size(&whole, size, space->map->quantum)
                     ? release_range(space, &whole, start, whole.last)
                     : bad_field(&bad, KVA_ESIZE, kva_range_plain.size);
    }
    if (is_misuse(status))
        (void)misuse_of(space, status, __func__, start, &bad);
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return leave(space, status);
}

struct resizing {
    uint64_t start;
    uint64_t last;
};

static enum kva_status attempt_resize(void *instance, void *operation)
{
    struct kva_space *space = instance;
    const struct resizing *resizing = operation;

    return space->map->engine->resize(space->map, resizing->start, resizing->last);
}

/** The segment that starts there is busy, and may be an object of a pool. At its size an object stays what it
 *  is; else it becomes an ordinary segment, which can grow and shrink. */
static enum kva_status resize_busy(struct kva_space *space, struct resizing *resizing)
{
    enum kva_status status = KVA_OK;
    struct kva_object object;

    if (resizing->last > space->map->last)
        return KVA_ENOSPC;
    if (kva_pool_object(space, resizing->start, &object)) {
        if (resizing->last - resizing->start == object.span->bytes - 1)
            return KVA_OK;
        status = kva_span_move_to_tree(space, &object);
    }
    if (status == KVA_OK)
        status = attempt_resize(space, resizing);
    if (status == KVA_ENOSPC && pools_of(space))
        status = kva_attempt_drained(space, attempt_resize, resizing);
    return status;
}

enum kva_status kva_resize(struct kva_space *space, uint64_t start, uint64_t size)
{
    enum kva_status status = enter_change(space, __func__);
    struct resizing resizing = {.start = start};
    struct kva_bad bad = {NULL, 0};

    if (status != KVA_OK)
        return status;
    status = kva_diagnose_start(space, start);
    if (status == KVA_OK)
        status = kva_range_of(space->map->quantum, start, size, &kva_range_plain, &resizing.last, &bad);
    if (status == KVA_OK)
        status = resize_busy(space, &resizing);
    if (is_misuse(status))
        (void)misuse_of(space, status, __func__, start, &bad);
    if (status == KVA_ENOENT) /* another thread has just given it back: somebody's bug */
        return leave(space, kva_refuse_start(space, __func__, start));
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return leave(space, status);
}

enum kva_status kva_pools_drain(struct kva_space *space)
{
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    kva_pools_give_back(space);
    verify_change(space, __func__, space->map->first);
    return leave(space, KVA_OK);
}
