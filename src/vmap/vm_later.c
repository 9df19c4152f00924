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

/** No record to be had: sleep, if that is possible, and free at once. */
static enum kva_status free_after_sleep(struct kva_vm *vm, struct kva_descriptor *area, const void *by)
{
    if (!vm->grace.wait)
        return KVA_ENOMEM;
    vm->grace.wait(vm->grace.context);
    kva_retire_area(vm, area, by);
    return KVA_OK;
}

enum kva_status kva_vfree_later(struct kva_vm *vm, void *memory, struct kva_later *record)
{
    enum kva_status status = KVA_ENULL;
    struct kva_later *own = NULL;

    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return KVA_OK;
    if (has_ready(vm))
        kva_free_ready(vm);
    if (!vm->grace.after)
        return refuse(vm, KVA_ENOENT, __func__, (uintptr_t)memory);
    struct kva_descriptor *area = kva_live_area(vm, memory, KVA_VM_VMALLOC, &status);
    if (!area)
        return refuse(vm, status, __func__, (uintptr_t)memory);
    if (!record)
        record = own = take_record(vm);
    if (!record)
        return finish(vm, free_after_sleep(vm, area, CALLER()), __func__, (uintptr_t)memory);
    area->state = KVA_VM_LATER;
    area->owner = (void *)(uintptr_t)CALLER();
    area->of = own;
    count_in(&vm->later, area_bytes(vm, area));
    record->vm = vm;
    record->memory = memory;
    vm->grace.after(vm->grace.context, record);
    return KVA_OK;
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
        check_contract(&vm->ledger.hooks, area && area->state == KVA_VM_LATER, __func__,
                       "V8: a record of kva_vfree_later names no area that waits", (uintptr_t)record->memory);
        count_out(&vm->later, area_bytes(vm, area));
        if (area->of)
            kva_nodes_push(&vm->records, area->of);
        area->of = NULL;
        area->state = KVA_VM_LIVE;
        kva_retire_area(vm, area, area->owner);
        record = next;
    }
}
