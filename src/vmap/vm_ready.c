/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The end of a grace period.
 *
 *      kva_vfree_later --> grace.after ........ any thread: kva_vfree_ready --push--> ready: a stack
 *      live -> later                                                                     | the next call
 *                                                                                        v on the instance
 *                                                                          later -> claimed -> retired
 *
 * A grace period ends in some thread of the program, which must not touch the instance: kva_vfree_ready only
 * pushes the record onto a stack, by compare-and-swap. The stack is only ever emptied as a whole, by an
 * exchange, so there is no ABA problem: a popped record cannot return between another thread's load and its
 * compare-and-swap.
 */
#include "vm_ready.h"

#include "vm_retire.h"
#include "vm_table.h"

void kva_begin_wait(struct kva_vm *vm, struct kva_descriptor *area, const void *by)
{
    area->by.freed_by = by;
    count_in(&vm->later, area_bytes(vm, area));
    set_state(area, KVA_VM_LATER);
}

void kva_end_wait(struct kva_vm *vm, struct kva_descriptor *area)
{
    count_out(&vm->later, area_bytes(vm, area));
    set_state(area, KVA_VM_CLAIMED);
    kva_retire_area(vm, area, area->by.freed_by);
}

/** Push a record. Release; pairs with the acquire in kva_free_ready(). */
void kva_vfree_ready(struct kva_later *record)
{
    struct kva_vm *vm = record->vm;
    struct kva_later *head = atomic_load_explicit(&vm->ready, memory_order_relaxed);

    do
        record->next = head;
    while (!atomic_compare_exchange_weak_explicit(&vm->ready, &head, record, memory_order_release,
                                                  memory_order_relaxed));
}

/** A record may lie in its area, so it is read before the area is retired. The exchange is an acquire; it
 *  pairs with the release in kva_vfree_ready(). */
void kva_free_ready(struct kva_vm *vm)
{
    struct kva_later *record = atomic_exchange_explicit(&vm->ready, NULL, memory_order_acquire);

    while (record) {
        struct kva_later *next = record->next;
        struct kva_descriptor *area = area_starting_at(vm, (uintptr_t)record->memory);
        check_contract(&vm->ledger.hooks, area && state_of(area) == KVA_VM_LATER, __func__,
                       "V8: a record of kva_vfree_later names no waiting area", (uintptr_t)record->memory);
        if (area->of.record)
            kva_nodes_push(&vm->records, area->of.record);
        area->of.record = NULL;
        kva_end_wait(vm, area);
        record = next;
    }
    kva_purge_excess(vm);
}
