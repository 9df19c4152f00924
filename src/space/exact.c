/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The steps before a space reports that a range is not free; see exact.h. */
#include "exact.h"

bool kva_is_worse(enum kva_state state, enum kva_state than)
{
    static const unsigned char rank[] = {
        [KVA_FREE] = 0, [KVA_ABSENT] = 0, [KVA_POOLED] = 1, [KVA_DEFERRED] = 2, [KVA_BUSY] = 3};

    return rank[state] > rank[than];
}

void kva_find_conflict(const struct kva_space *space, uint64_t start, uint64_t last,
                       const struct kva_segment *own, struct kva_segment *conflict)
{
    struct kva_segment segment;

    conflict->state = KVA_FREE;
    for (uint64_t at = start;; at = segment.last + 1) {
        kva_lookup(space, at, &segment);
        bool counts = !own || segment.start != own->start;
        if (counts && kva_is_worse(segment.state, conflict->state))
            *conflict = segment;
        if ((counts && segment.state == KVA_BUSY) || segment.last >= last)
            return;
    }
}

enum kva_status kva_retry_exact(struct kva_space *space, kva_attempt *attempt, void *operation,
                                const enum kva_state *in_the_way)
{
    enum kva_status status = attempt(space, operation);

    if (status == KVA_ENOSPC && *in_the_way != KVA_BUSY && *in_the_way != KVA_DEFERRED)
        status = kva_attempt_drained(space, attempt, operation);
    if (status == KVA_ENOSPC && *in_the_way == KVA_DEFERRED) {
        (void)kva_flush_all(space);
        status = kva_attempt_drained(space, attempt, operation);
    }
    return status;
}

static enum kva_status attempt_locate(void *instance, void *operation)
{
    struct kva_space *space = instance;
    struct kva_exact *exact = operation;
    struct kva_address_map *map = space->map;
    bool inside = exact->start >= map->first && exact->last <= map->last;

    if (inside && map->engine->locate(map, exact->start, exact->last, &exact->place) == KVA_OK)
        return KVA_OK;
    enum kva_status status = kva_range_present(map, exact->start, exact->last, &kva_range_plain, &exact->bad);
    if (status != KVA_OK)
        return status;
    kva_find_conflict(space, exact->start, exact->last, NULL, &exact->conflict);
    return KVA_ENOSPC;
}

enum kva_status kva_exact_find(struct kva_space *space, struct kva_exact *exact)
{
    enum kva_status status = kva_retry_exact(space, attempt_locate, exact, &exact->conflict.state);

    return status == KVA_ENOSPC ? KVA_EEXIST : status;
}
