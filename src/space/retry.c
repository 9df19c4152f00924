/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** What a space tries before KVA_ENOSPC, and the list of reclaim callbacks; see retry.h. */
#include "retry.h"

#include "../base/list.h"

#include <kva/deferred.h>

static bool flush(void *instance)
{
    return kva_flush_all(instance);
}

static bool call_reclaim(void *instance, struct kva_link *link, const void *request)
{
    const struct kva_reclaim *entry = kva_container_of(link, struct kva_reclaim, link);

    return entry->callback(entry->context, instance, request);
}

static bool is_no_space(enum kva_status status)
{
    return status == KVA_ENOSPC;
}

/** An attempt with drained pools. */
struct drained {
    kva_attempt *attempt;
    void *operation;
};

static enum kva_status attempt_drained(void *instance, void *operation)
{
    const struct drained *drained = operation;

    return kva_attempt_drained(instance, drained->attempt, drained->operation);
}

/** Whether there are reclaim callbacks to call, and the caller runs inside none. */
static bool can_ask(const struct kva_space *space)
{
    return space->reclaim.first && !inside_reclaim(space);
}

bool kva_can_make_room(const struct kva_space *space)
{
    return kva_waiting(space, 0) + kva_waiting(space, 1) > 0 || can_ask(space) || kva_pools_hold_some(space);
}

enum kva_status kva_retry(struct kva_space *space, const struct kva_request *request, kva_attempt *attempt,
                          void *operation)
{
    struct drained drained = {attempt, operation};
    const struct kva_shortage shortage = {
        .callbacks = &space->reclaim,
        .locks = locks_of(space),
        .instance = space,
        .operation = &drained,
        .request = request,
        .attempt = attempt_drained,
        .is_short = is_no_space,
        .relieve = flush,
        .call = call_reclaim,
    };
    enum kva_status status = KVA_ENOSPC;

    if (request->flags & KVA_NO_BLOCK)
        return kva_can_make_room(space) ? KVA_EAGAIN : KVA_ENOSPC;
    if (pools_of(space))
        status = attempt_drained(space, &drained);
    if (status == KVA_ENOSPC && flush(space))
        status = attempt_drained(space, &drained);
    if (status == KVA_ENOSPC && can_ask(space))
        status = kva_callbacks_ask(&shortage, status);
    return status;
}

enum kva_status kva_reclaim_add(struct kva_space *space, struct kva_reclaim *reclaim)
{
    enum kva_status status = enter_exclusive(space, __func__);

    if (status != KVA_OK)
        return status;
    if (!reclaim || !reclaim->callback)
        return leave(space, misuse_null(space, __func__, 0, reclaim ? "reclaim.callback" : "reclaim"));
    return leave(space, kva_callbacks_add(&space->reclaim, locks_of(space), &reclaim->link));
}

enum kva_status kva_reclaim_remove(struct kva_space *space, struct kva_reclaim *reclaim)
{
    enum kva_status status = enter_exclusive(space, __func__);

    if (status != KVA_OK)
        return status;
    if (!reclaim)
        return leave(space, misuse_null(space, __func__, 0, "reclaim"));
    return leave(space, kva_callbacks_remove(&space->reclaim, locks_of(space), &reclaim->link));
}
