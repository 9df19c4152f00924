/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Forks: all locks of a space are held across a fork. */
#include "defer.h"

enum kva_status kva_space_fork_prepare(struct kva_space *space)
{
    enum kva_status status = enter_exclusive(space, __func__);

    if (status != KVA_OK)
        return status;
    (void)kva_reclaim_take(locks_of(space));
    while (space->stage != KVA_FLUSH_NONE)
        kva_flush_step(space);
    if (space->shared)
        kva_cpus_take(&space->shared->locks);
    return KVA_OK; /* with all locks held */
}

enum kva_status kva_space_fork_parent(struct kva_space *space)
{
    if (!is_initialised(space))
        return KVA_ENULL;
    thaw(space);
    reclaim_drop(locks_of(space));
    return KVA_OK;
}

enum kva_status kva_space_fork_child(struct kva_space *space)
{
    if (!is_initialised(space))
        return KVA_ENULL;
    if (space->shared)
        kva_locks_reset(&space->shared->locks);
    return KVA_OK;
}
