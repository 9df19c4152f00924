/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Free a range, whole or in part; resize in place; drain the pools. */
#include "pool.h"
#include "verify.h"

#include <kva/ranges.h>

/** Free a segment of the tree, or report why there is none. Requires the space's lock. */
static enum kva_status free_segment(struct kva_space *space, uint64_t start)
{
    if (core_free(space->map, start) != KVA_OK)
        return kva_refuse_start(space, "kva_free", start);
    verify_change(space, "kva_free", start);
    return KVA_OK;
}

/** With pools, a live object goes to a pool. If there is none at `start`, the tree has the segment, or it is
 *  misuse. Repeats if a pool has allocated an object there between the two looks. */
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
            return leave(space, free_segment(space, start));
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
    return status == KVA_OK ? leave(space, free_segment(space, start)) : status;
}

/** Find the busy segment that has [start, last]; a status of misuse if there is none. */
static enum kva_status find_whole(const struct kva_space *space, uint64_t start, uint64_t last,
                                  struct kva_segment *whole, struct kva_bad *bad)
{
    enum kva_status status = kva_diagnose_start(space, start);

    if (status != KVA_OK && status != KVA_EINTERIOR)
        return status;
    kva_lookup(space, start, whole);
    return last > whole->last ? bad_field(bad, KVA_ERANGE, kva_range_plain.size) : KVA_OK;
}

/** Free [start, last] of a busy segment, which may be an object of a pool. A whole object stays with the
 *  pools, which takes no memory; for a part, the object moves to the tree first. KVA_EDOUBLE if another
 *  thread frees the object at the same time. */
static enum kva_status free_busy_range(struct kva_space *space, const struct kva_segment *whole,
                                       uint64_t start, uint64_t last)
{
    enum kva_status status = KVA_OK;
    struct kva_object object;

    if (kva_pool_object(space, start, &object)) {
        if (whole->start == start && whole->last == last)
            return kva_pool_free_to_span(space, &object) ? KVA_OK : KVA_EDOUBLE;
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
        status = free_busy_range(space, &whole, start, last);
    if (is_misuse(status))
        (void)misuse_of(space, status, __func__, start, &bad);
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return leave(space, status);
}

/** Whether a segment has the size that the caller passes. Extents are compared, because a segment may have
 *  2^64 bytes, and a size may round up to that. */
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
                     ? free_busy_range(space, &whole, start, whole.last)
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

/** Resize a busy segment, which may be an object of a pool. At its own size the object stays one; else it
 *  moves to the tree, where it can grow and shrink. */
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
    if (status == KVA_ENOENT) /* misuse: another thread has just freed it */
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
