/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Move a busy segment to another place.
 *
 *      old       |   free   |==== A ====|   free   |
 *      new       |      |==== A ====|   free       |      may overlap the old one
 *
 * An attempt checks that nothing but the segment itself lies in the new place. Then it frees the segment and
 * occupies the new place, in one compound, with memory prepared. The space's lock is held from the check to
 * the last change: so the segment is not lost, and no other thread sees the old place free. A flush drops
 * the lock, but precedes the check. Another thread may change the segment meanwhile, so each attempt begins
 * with its lookup.
 */
#include <kva/ranges.h>

#include "exact.h"
#include "verify.h"

struct relocation {
    uint64_t start;
    uint64_t to;
    uint64_t to_last;
    struct kva_segment segment; /* as the last attempt found it */
    struct kva_segment conflict;
    struct kva_bad bad; /* written only with a status of misuse */
};

/** Compute the end of the new place. A segment of all 2^64 addresses, which kva_join can make, fits nowhere
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

/** Make the move. Nothing else lies in the new place. */
static enum kva_status commit_move(struct kva_space *space, struct relocation *relocation)
{
    struct kva_address_map *map = space->map;
    enum kva_status status = leave_pool(space, relocation->start);

    if (status == KVA_OK)
        status = map->engine->prepare(map, 1);
    if (status != KVA_OK)
        return status;
    /* the owner may have changed until the object moved to the tree */
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
