/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** kva_vfree_later: frees an area after a grace period. vm_ready.c draws its end. */
#include "vm_area.h"
#include "vm_ready.h"
#include "vm_retire.h"

/** A record in the library's memory; NULL if there is none. */
static struct kva_later *take_record(struct kva_vm *vm)
{
    return kva_nodes_ensure(&vm->records, 1) ? kva_nodes_pop(&vm->records) : NULL;
}

/** Without memory for a record: wait for a grace period without the lock, if the caller provided that, and
 *  free. */
static enum kva_status free_after_sleep(struct kva_vm *vm, struct kva_descriptor *area, const void *by)
{
    if (!vm->grace.wait) {
        set_state(area, KVA_VM_LIVE);
        return KVA_ENOMEM;
    }
    kva_begin_wait(vm, area, by);
    main_drop(&vm->locks);
    vm->grace.wait(vm->grace.context);
    main_take(&vm->locks);
    kva_end_wait(vm, area);
    kva_purge_excess(vm);
    return KVA_OK;
}

/** With the lock held: KVA_OK and a record to pass to grace.after, or KVA_OK and none, if all is done. */
static enum kva_status free_later(struct kva_vm *vm, void *memory, const void *by, struct kva_later **record)
{
    struct kva_later *given = *record;
    struct kva_descriptor *area = vm->grace.after ? claim_area(vm, (uintptr_t)memory) : NULL;

    *record = NULL;
    if (!vm->grace.after)
        return KVA_ENOENT;
    if (!area)
        return kva_why_not_live(vm, (uintptr_t)memory, KVA_VM_VMALLOC);
    *record = given ? given : take_record(vm);
    if (!*record)
        return free_after_sleep(vm, area, by);
    area->of.record = given ? NULL : *record;
    (*record)->vm = vm;
    (*record)->memory = memory;
    kva_begin_wait(vm, area, by);
    return KVA_OK;
}

enum kva_status kva_vfree_later(struct kva_vm *vm, void *memory, struct kva_later *record)
{
    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return KVA_OK;
    free_ready_unlocked(vm, 0);
    main_take(&vm->locks);
    enum kva_status status = free_later(vm, memory, CALLER(), &record);
    status = finish(vm, status, __func__, (uintptr_t)memory, NULL);
    main_drop(&vm->locks);
    if (record)
        vm->grace.after(vm->grace.context, record);
    return status;
}
