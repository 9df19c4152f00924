/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Freeing after a grace period.
 *
 *      kva_vfree_later ----> grace.after ........ some thread: kva_vfree_ready ----push----> ready: a stack
 *      live -> later                                                                           | the next call
 *                                                                                              v on the instance
 *                                                                           later -> live -> retired
 *
 * The grace period ends in some thread of the program's, which must not touch the instance. So it only pushes the
 * record onto a stack; that needs no lock, and nothing is popped but all at once, so no record can come back under
 * another's feet.
 */
#include "vm.h"

/** A record in the library's own memory, or NULL. */
static struct kva_later *take_record(struct kva_vm *vm)
{
    return kva_nodes_ensure(&vm->records, 1) ? kva_nodes_pop(&vm->records) : NULL;
}

static void begin_to_wait(struct kva_vm *vm, struct kva_descriptor *area, const void *by)
{
    area->by.freed_by = by;
    count_in(&vm->later, area_bytes(vm, area));
    set_state(area, KVA_VM_LATER);
}

static void end_to_wait(struct kva_vm *vm, struct kva_descriptor *area)
{
    count_out(&vm->later, area_bytes(vm, area));
    set_state(area, KVA_VM_CLAIMED);
    kva_retire_area(vm, area, area->by.freed_by);
}

/** No record to be had: sleep, without the lock, if that is possible, and free then. */
static enum kva_status free_after_sleep(struct kva_vm *vm, struct kva_descriptor *area, const void *by)
{
    if (!vm->grace.wait) {
        set_state(area, KVA_VM_LIVE);
        return KVA_ENOMEM;
    }
    begin_to_wait(vm, area, by);
    vm_leave(vm);
    vm->grace.wait(vm->grace.context);
    vm_enter(vm);
    end_to_wait(vm, area);
    kva_purge_excess(vm);
    return KVA_OK;
}

/** With the lock held: KVA_OK and a record that grace.after is to be given, or no record, and all is done. */
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
    begin_to_wait(vm, area, by);
    return KVA_OK;
}

enum kva_status kva_vfree_later(struct kva_vm *vm, void *memory, struct kva_later *record)
{
    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return KVA_OK;
    free_ready_unlocked(vm, 0);
    vm_enter(vm);
    enum kva_status status =
        finish(vm, free_later(vm, memory, CALLER(), &record), __func__, (uintptr_t)memory);
    vm_leave(vm);
    if (record)
        vm->grace.after(vm->grace.context, record);
    return status;
}

void kva_vfree_ready(struct kva_later *record)
{
    struct kva_vm *vm = record->vm;
    struct kva_later *head = atomic_load_explicit(&vm->ready, memory_order_relaxed);

    do
        record->next = head;
    while (!atomic_compare_exchange_weak_explicit(&vm->ready, &head, record, memory_order_release,
                                                  memory_order_relaxed));
}

/** The record lies in the area: it is read before the area is given up. */
void kva_free_ready(struct kva_vm *vm)
{
    struct kva_later *record = atomic_exchange_explicit(&vm->ready, NULL, memory_order_acquire);

    while (record) {
        struct kva_later *next = record->next;
        struct kva_descriptor *area = area_at(vm, (uintptr_t)record->memory);
        check_contract(&vm->ledger.hooks, area && state_of(area) == KVA_VM_LATER, __func__,
                       "V8: a record of kva_vfree_later names no area that waits", (uintptr_t)record->memory);
        if (area->of.record)
            kva_nodes_push(&vm->records, area->of.record);
        area->of.record = NULL;
        end_to_wait(vm, area);
        record = next;
    }
    kva_purge_excess(vm);
}
