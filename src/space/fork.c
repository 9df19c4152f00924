/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Forks: all locks are held across one. */
#include "defer.h"

enum kva_status kva_space_fork_prepare(struct kva_space *space)
{
    enum kva_status status = enter_exclusive(space, __func__);

    if (status != KVA_OK || !threads_of(space))
        return status == KVA_OK ? leave(space, KVA_OK) : status;
    (void)kva_reclaim_take(locks_of(space));
    while (space->stage != KVA_FLUSH_NONE)
        kva_flush_step(space);
    kva_cpus_take(locks_of(space));
    return KVA_OK; /* with all locks held */
}

enum kva_status kva_space_fork_parent(struct kva_space *space)
{
    if (!is_initialised(space))
        return KVA_ENULL;
    if (threads_of(space)) {
        thaw(space);
        reclaim_drop(locks_of(space));
    }
    return KVA_OK;
}

enum kva_status kva_space_fork_child(struct kva_space *space)
{
    if (!is_initialised(space))
        return KVA_ENULL;
    if (threads_of(space))
        kva_locks_reset(&space->shared->locks);
    return KVA_OK;
}
