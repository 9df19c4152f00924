/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A busy segment goes to another place.
 *
 *      old       |   free   |==== A ====|   free   |
 *      new       |      |==== A ====|   free       |      may overlap the old one
 *
 * First it is seen that nothing but the segment itself lies in the new place; then it is released and
 * occupies that, in one compound, with the memory at hand. So the old place is never given up in vain, and no
 * other thread sees it free: the space's lock is held from the look to the last change. A flush drops the
 * lock, but comes before the look. It may let another thread change the segment itself; so each attempt
 * begins with all of it.
 */
#include <kva/ranges.h>

#include "exact.h"
#include "verify.h"

struct relocation {
    uint64_t start;
    uint64_t to;
    uint64_t to_last;
    struct kva_segment segment; /* as the last attempt has found it */
    struct kva_segment conflict;
    struct kva_bad bad; /* written only with a status that is the caller's bug */
};

/** The end of the new place. A segment of all 2^64 addresses, which can come from kva_join, fits nowhere
 *  else. */
static enum kva_status aim(const struct kva_space *space, struct relocation *relocation)
{
    static const struct kva_range_names names = {"to", "to"};
    const struct kva_address_map *map = space->map;
    uint64_t extent = relocation->segment.last - relocation->segment.start;

    if (extent == UINT64_MAX && is_aligned(relocation->to, map->quantum))
        return bad_field(&relocation->bad, KVA_EWRAP, "to");
    if (extent == UINT64_MAX)
        return bad_field(&relocation->bad, KVA_EALIGN, "to");
    enum kva_status status = kva_range_of(map->quantum, relocation->to, extent + 1, &names,
                                          &relocation->to_last, &relocation->bad);
    return status == KVA_OK
               ? kva_range_present(map, relocation->to, relocation->to_last, &names, &relocation->bad)
               : status;
}

/** Nothing else lies in the new place. */
static enum kva_status commit_move(struct kva_space *space, struct relocation *relocation)
{
    struct kva_address_map *map = space->map;
    enum kva_status status = leave_pool(space, relocation->start);

    if (status == KVA_OK)
        status = map->engine->prepare(map, 1);
    if (status != KVA_OK)
        return status;
    /* the owner may have changed until it left its pool */
    core_find(map, relocation->start, &relocation->segment);
    begin_compound(space);
    (void)core_free(map, relocation->start);
    sync_point(threads_of(space));
    (void)core_reserve(map, relocation->to, relocation->to_last, relocation->segment.owner);
    end_compound(space);
    return KVA_OK;
}

static enum kva_status attempt_move(void *instance, void *operation)
{
    struct kva_space *space = instance;
    struct relocation *relocation = operation;
    enum kva_status status = kva_diagnose_start(space, relocation->start);

    if (status != KVA_OK || relocation->to == relocation->start)
        return status;
    kva_lookup(space, relocation->start, &relocation->segment);
    status = aim(space, relocation);
    if (status != KVA_OK)
        return status;
    kva_find_conflict(space, relocation->to, relocation->to_last, &relocation->segment,
                      &relocation->conflict);
    return relocation->conflict.state == KVA_FREE ? commit_move(space, relocation) : KVA_ENOSPC;
}

enum kva_status kva_move(struct kva_space *space, uint64_t start, uint64_t to, struct kva_segment *conflict)
{
    enum kva_status status = enter_change(space, __func__);
    struct relocation relocation = {.start = start, .to = to, .bad = {NULL, 0}};

    if (status != KVA_OK)
        return status;
    status = kva_retry_exact(space, attempt_move, &relocation, &relocation.conflict.state);
    if (status == KVA_ENOSPC)
        status = KVA_EEXIST;
    if (status == KVA_EEXIST && conflict)
        *conflict = relocation.conflict;
    if (is_misuse(status))
        (void)misuse_of(space, status, __func__, start, &relocation.bad);
    if (status == KVA_OK) {
        verify_change(space, __func__, start);
        verify_change(space, __func__, to);
    }
    return leave(space, status);
}
