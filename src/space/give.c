/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Giving ranges back at once, whole or in part, and resizing in place. */
#include "space.h"

enum kva_status kva_diagnose_start(const struct kva_space *space, uint64_t start)
{
    const struct kva_tiling *tiling = space->tiling;
    struct kva_segment segment;

    if (start < tiling->first || start > tiling->last)
        return KVA_EUNKNOWN;
    tiling->engine->find(tiling, start, &segment);
    switch (segment.state) {
    case KVA_FREE:
        return KVA_EDOUBLE;
    case KVA_DEFERRED:
        return KVA_EDEFERRED;
    case KVA_BUSY:
        break;
    }
    return segment.start == start ? KVA_OK : KVA_EINTERIOR;
}

enum kva_status kva_refuse_start(const struct kva_space *space, const char *where, uint64_t start)
{
    enum kva_status status = kva_diagnose_start(space, start);

    if (status != KVA_OK)
        return misuse(space, status, where, start);
    kva_report_corruption(&space->tiling->hooks, where,
                          "I6: a busy segment is found by one way and not by another", start);
    return KVA_ECORRUPT;
}

enum kva_status kva_free(struct kva_space *space, uint64_t start)
{
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    if (space->tiling->engine->release(space->tiling, start) != KVA_OK)
        return kva_refuse_start(space, __func__, start);
    verify_change(space, __func__, start);
    return KVA_OK;
}

/** The busy segment that [start, last] is to be cut from, or why there is none. */
static enum kva_status find_whole(const struct kva_space *space, uint64_t start, uint64_t last,
                                  struct kva_segment *whole)
{
    enum kva_status status = kva_diagnose_start(space, start);

    if (status != KVA_OK && status != KVA_EINTERIOR)
        return status;
    space->tiling->engine->find(space->tiling, start, whole);
    return last > whole->last ? KVA_ERANGE : KVA_OK;
}

/** Give [start, last] of the busy segment `whole` back:
 *
 *      all of it     |====================|     release
 *      its head      |=========|-- busy --|     trim
 *      its tail      |-- busy --|=========|     resize
 *      its middle    |- busy -|====|- busy -|   punch
 */
static enum kva_status release_part(struct kva_tiling *tiling, const struct kva_segment *whole,
                                    uint64_t start, uint64_t last)
{
    const struct kva_engine *engine = tiling->engine;

    if (whole->start == start)
        return whole->last == last ? engine->release(tiling, start) : engine->trim(tiling, start, last + 1);
    return whole->last == last ? engine->resize(tiling, whole->start, start - 1)
                               : engine->punch(tiling, whole->start, start, last);
}

enum kva_status kva_free_range(struct kva_space *space, uint64_t start, uint64_t size)
{
    enum kva_status status = enter_change(space, __func__);
    struct kva_segment whole;
    uint64_t last;

    if (status != KVA_OK)
        return status;
    status = kva_range_of(space->tiling->quantum, start, size, &last);
    if (status == KVA_OK)
        status = find_whole(space, start, last, &whole);
    if (status != KVA_OK)
        return misuse(space, status, __func__, start);
    status = release_part(space->tiling, &whole, start, last);
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return status;
}

enum kva_status kva_resize(struct kva_space *space, uint64_t start, uint64_t size)
{
    enum kva_status status = enter_change(space, __func__);
    uint64_t last;

    if (status != KVA_OK)
        return status;
    status = kva_diagnose_start(space, start);
    if (status == KVA_OK)
        status = kva_range_of(space->tiling->quantum, start, size, &last);
    if (status != KVA_OK)
        return misuse(space, status, __func__, start);
    if (last > space->tiling->last)
        return KVA_ENOSPC;
    status = space->tiling->engine->resize(space->tiling, start, last);
    if (status == KVA_OK)
        verify_change(space, __func__, start);
    return status;
}
