/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Retries when addresses, memory or mappings are short.
 *
 *      attempt     descriptor, addresses, pages: if one is refused, the earlier ones are undone
 *         |  shortage
 *      purge, attempt again; call a reclaim callback, attempt again; ...
 *
 * With KVA_VM_NO_BLOCK there is one attempt.
 */
#include "vm_obtain.h"

#include "vm_mapped.h"
#include "vm_park.h"
#include "vm_ready.h"
#include "vm_retire.h"

/* -------------------------------------------------------------------------------------- attempt and retry */

/** Whether a purge or a reclaim callback may help. */
static bool is_shortage(enum kva_status status)
{
    return status == KVA_ENOSPC || status == KVA_ENOMEM || status == KVA_ELIMIT;
}

/** KVA_ENOSPC must hold at one moment of the call. While this thread purged in slices, others may have taken
 *  what it freed, and freed areas of their own. So the last attempt follows a purge in one step; what others
 *  free after it is too late. There is no further round: other threads cannot prolong the call, however much
 *  they free. */
static enum kva_status attempt_for_good(struct kva_vm *vm, kva_attempt *attempt, void *context,
                                        enum kva_status status)
{
    if (!vm->locks.threads || status != KVA_ENOSPC || !kva_has_idle(vm))
        return status;
    kva_purge_frozen(vm);
    return attempt(vm, context);
}

/** Purge and attempt again. With threads, attempt after each slice: a thread that needs a part of the parked
 *  areas does not wait for all of them. */
static enum kva_status purge_and_attempt(struct kva_vm *vm, kva_attempt *attempt, void *context,
                                         enum kva_status status)
{
    const bool others = vm->locks.threads;
    const uintptr_t ticket = vm->parked.tickets;

    while (others && is_shortage(status) && kva_purge_some(vm, ticket)) {
        status = attempt(vm, context);
        if (is_shortage(status))
            main_yield(&vm->locks);
    }
    if (!is_shortage(status))
        return status;
    if (kva_purge_idle(vm) || others)
        status = attempt(vm, context);
    return attempt_for_good(vm, attempt, context, status);
}

/** Whether reclaim callbacks may be called: there are some, and the caller is none of them. */
static bool may_reclaim(const struct kva_vm *vm)
{
    return vm->reclaim.first && !is_reclaiming(vm);
}

/** The status of a call that must not block, whose one attempt returned `status`: KVA_ENOSPC becomes
 *  KVA_EAGAIN if a purge, a ready record or a reclaim callback could make room. */
static enum kva_status refuse_to_wait(struct kva_vm *vm, enum kva_status status)
{
    const bool may_help = status == KVA_ENOSPC && (kva_has_idle(vm) || has_ready(vm) || may_reclaim(vm));

    return may_help ? KVA_EAGAIN : status;
}

static bool relieve(void *instance)
{
    return kva_purge_idle(instance);
}

static bool call_vm_reclaim(void *instance, struct kva_link *link, const void *size)
{
    const struct kva_vm_reclaim *entry = kva_container_of(link, struct kva_vm_reclaim, link);

    return entry->callback(entry->context, instance, *(const size_t *)size);
}

enum kva_status kva_obtain(struct kva_vm *vm, size_t size, unsigned flags, kva_attempt *attempt,
                           void *context)
{
    const struct kva_shortage shortage = {
        &vm->reclaim, &vm->locks, vm, context, &size, attempt, is_shortage, relieve, call_vm_reclaim,
    };
    enum kva_status status = attempt(vm, context);

    if (flags & KVA_VM_NO_BLOCK)
        return refuse_to_wait(vm, status);
    if (!is_shortage(status))
        return status;
    vm->retries++;
    status = purge_and_attempt(vm, attempt, context, status);
    if (!is_shortage(status) || !may_reclaim(vm))
        return status;
    status = kva_callbacks_ask(&shortage, status);
    return attempt_for_good(vm, attempt, context, status);
}

/* -------------------------------------------------------------------------------------------- fresh areas */

enum kva_status kva_fill_area(struct kva_vm *vm, const struct kva_spec *spec, uint64_t start,
                              struct kva_descriptor **area)
{
    enum kva_status status = kva_ready_tables(vm, start, 1, spec->frames ? spec->pages : 0);

    if (status == KVA_OK)
        status = spec->frames
                     ? kva_map_runs(vm, start, spec->frames, spec->numbers, spec->pages, spec->flags)
                     : vm->pages.open(vm->pages.context, vm->reservation, start,
                                      bytes_of_pages(vm, spec->pages), (spec->flags & KVA_VM_HUGE) != 0);
    if (status == KVA_OK)
        *area = kva_enter_area(vm, spec, start);
    return status;
}

struct fresh {
    const struct kva_spec *spec;
    struct kva_descriptor *area;
};

static enum kva_status place_and_fill(struct kva_vm *vm, struct fresh *fresh)
{
    uint64_t start;

    if (!kva_nodes_ensure(&vm->areas, 1))
        return KVA_ENOMEM;
    enum kva_status status = kva_place_area(vm, fresh->spec, &start);
    if (status != KVA_OK)
        return status;
    status = kva_fill_area(vm, fresh->spec, start, &fresh->area);
    if (status != KVA_OK)
        release_place(vm, start);
    return status;
}

static enum kva_status attempt_fresh(void *instance, void *context)
{
    return kva_end_attempt(instance, place_and_fill(instance, context));
}

enum kva_status kva_take_fresh(struct kva_vm *vm, const struct kva_spec *spec, struct kva_descriptor **area)
{
    struct fresh fresh = {spec, NULL};
    enum kva_status status = kva_obtain(vm, spec->size, spec->flags, attempt_fresh, &fresh);

    *area = fresh.area;
    return status;
}

/* ---------------------------------------------------------------------------------- the list of callbacks */

typedef enum kva_status change_list(struct kva_callbacks *callbacks, const struct kva_locks *locks,
                                    struct kva_link *link);

/** `missing` is the field that the caller left NULL; NULL: none. */
static enum kva_status change_reclaim(struct kva_vm *vm, struct kva_vm_reclaim *reclaim, const char *missing,
                                      change_list *change, const char *where)
{
    enum kva_status status = KVA_EREENTRY;

    main_take(&vm->locks);
    if (!is_reclaiming(vm))
        status = missing ? KVA_ENULL : change(&vm->reclaim, &vm->locks, &reclaim->link);
    (void)finish(vm, status, where, 0, status == KVA_ENULL ? &(struct kva_bad){missing, 0} : NULL);
    main_drop(&vm->locks);
    return status;
}

enum kva_status kva_vm_reclaim_add(struct kva_vm *vm, struct kva_vm_reclaim *reclaim)
{
    const char *missing = !reclaim ? "reclaim" : !reclaim->callback ? "reclaim.callback" : NULL;

    return vm ? change_reclaim(vm, reclaim, missing, kva_callbacks_add, __func__) : KVA_ENULL;
}

enum kva_status kva_vm_reclaim_remove(struct kva_vm *vm, struct kva_vm_reclaim *reclaim)
{
    const char *missing = reclaim ? NULL : "reclaim";

    return vm ? change_reclaim(vm, reclaim, missing, kva_callbacks_remove, __func__) : KVA_ENULL;
}
