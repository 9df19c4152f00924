/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Congruent areas: several areas at given offsets from one base. All their ranges are taken at once; then
 * they are opened one by one:
 *
 *      plan   | part 0 + guard |    | part 1 + guard |       | part 2 + guard |
 *             opened, entered       opened, entered          refused: the earlier ones are closed and dropped
 */
#include "vm_congruent.h"

#include "../space/congruent.h"
#include "vm_alloc.h"
#include "vm_obtain.h"
#include "vm_ready.h"

/** A running call. It is on a list so that the child of a fork can free its memory. */
struct plan {
    struct kva_list link;
    size_t bytes;         /* of the plan */
    struct kva_spec spec; /* what the parts have in common; its window is the base's */
    const struct kva_part *parts;
    size_t count;
    uint64_t base;
    struct kva_part with_guard[]; /* the parts, rounded up to pages, with their guards */
};

static uint64_t start_of_part(const struct plan *plan, size_t i)
{
    return plan->base + plan->with_guard[i].offset;
}

static enum kva_status enter_part(struct kva_vm *vm, const struct plan *plan, size_t i)
{
    struct kva_spec spec = plan->spec;
    struct kva_descriptor *area;

    spec.size = (size_t)plan->parts[i].size;
    spec.pages = (uint32_t)(plan->with_guard[i].size >> vm->page_shift) - spec.guard;
    enum kva_status status = kva_fill_area(vm, &spec, start_of_part(plan, i), &area);
    if (status == KVA_OK)
        poison((char *)memory_of(area) + spec.size, area_bytes(vm, area) - spec.size);
    return status;
}

static enum kva_status place_and_enter(struct kva_vm *vm, struct plan *plan)
{
    size_t i = 0;

    if (!kva_nodes_ensure(&vm->areas, plan->count))
        return KVA_ENOMEM;
    enum kva_status status = kva_place_parts(vm, &plan->spec, plan->with_guard, plan->count, &plan->base);
    if (status != KVA_OK)
        return status;
    while (i < plan->count && (status = enter_part(vm, plan, i)) == KVA_OK)
        i++;
    if (status == KVA_OK)
        return KVA_OK;
    for (size_t k = plan->count; k-- > i;)
        release_place(vm, start_of_part(plan, k));
    while (i-- > 0)
        kva_drop_area(vm, slot_read(vm, (uintptr_t)start_of_part(plan, i)));
    return status;
}

static enum kva_status attempt_plan(void *instance, void *context)
{
    return kva_end_attempt(instance, place_and_enter(instance, context));
}

/** Round the parts up to pages and add their guards. */
static enum kva_status round_parts(const struct kva_vm *vm, struct plan *plan, struct kva_bad *bad)
{
    uint64_t extent = 0;

    for (size_t i = 0; i < plan->count; i++) {
        const struct kva_part *part = &plan->parts[i];
        uint64_t bytes;

        if (part->size == 0 || !align_up(part->size, page_of(vm), &bytes) || bytes > SIZE_MAX) {
            *bad = (struct kva_bad){"parts[i].size", i};
            return part->size == 0 ? KVA_ESIZE : KVA_EWRAP;
        }
        if (bytes > vm->bytes)
            return KVA_ENOSPC;
        plan->with_guard[i] = (struct kva_part){part->offset, bytes + bytes_of_pages(vm, vm->guard)};
    }
    return kva_validate_parts(plan->with_guard, plan->count, plan->spec.align, page_of(vm), &extent, bad);
}

static struct plan *take_plan(struct kva_vm *vm, size_t count)
{
    struct kva_memory *source = &vm->ledger.memory;
    size_t bytes;

    if (!size_of_array(sizeof(struct plan), count, sizeof(struct kva_part), &bytes))
        return NULL;
    struct plan *plan = source->take(source->context, bytes);
    if (plan) {
        plan->bytes = bytes;
        list_insert_after(&vm->plans, &plan->link);
    }
    return plan;
}

static void give_plan(struct kva_vm *vm, struct plan *plan)
{
    struct kva_memory *source = &vm->ledger.memory;

    list_remove(&plan->link);
    source->give(source->context, plan, plan->bytes);
}

void kva_forget_plans(struct kva_vm *vm)
{
    while (!list_is_empty(&vm->plans))
        give_plan(vm, kva_container_of(vm->plans.next, struct plan, link));
}

static enum kva_status validate_congruent(const struct kva_vm *vm, const struct kva_vm_request *request,
                                          size_t count, struct kva_spec *spec, struct kva_bad *bad)
{
    struct kva_vm_request base = *request;

    base.size = 1; /* not used: the parts have sizes */
    enum kva_status status = kva_spec_of(vm, &base, spec, bad);
    if (status != KVA_OK)
        return status;
    if ((request->flags & ~(unsigned)(KVA_VM_ZERO | KVA_VM_FOREIGN)) != 0)
        return bad_field(bad, KVA_EINVAL, "flags");
    return count == 0 ? bad_field(bad, KVA_EINVAL, "count") : KVA_OK;
}

enum kva_status kva_take_congruent(struct kva_vm *vm, const struct kva_vm_request *request,
                                   const struct kva_part *parts, size_t count, enum kva_vm_kind kind,
                                   const struct kva_stripes *stripes, void **memory, struct kva_bad *bad)
{
    struct kva_spec spec;
    enum kva_status status = validate_congruent(vm, request, count, &spec, bad);

    if (status != KVA_OK)
        return status;
    struct plan *plan = take_plan(vm, count);
    if (!plan)
        return KVA_ENOMEM;
    plan->spec = spec;
    plan->spec.kind = kind;
    plan->spec.stripes = stripes;
    plan->parts = parts;
    plan->count = count;
    status = round_parts(vm, plan, bad);
    if (status == KVA_OK)
        status = kva_obtain(vm, (size_t)plan->with_guard[0].size, spec.flags, attempt_plan, plan);
    for (size_t i = 0; status == KVA_OK && i < count; i++)
        memory[i] = (void *)(uintptr_t)(plan->base + parts[i].offset);
    give_plan(vm, plan);
    return status;
}

enum kva_status kva_vm_alloc_congruent(struct kva_vm *vm, const struct kva_vm_request *request,
                                       const struct kva_part *parts, size_t count, void **memory)
{
    if (!vm)
        return KVA_ENULL;
    if (!request || !parts || !memory)
        return refuse_null(vm, __func__, 0, !request ? "request" : !parts ? "parts" : "memory");
    struct kva_vm_request with_caller = *request;
    if (!with_caller.caller)
        with_caller.caller = CALLER();
    struct kva_bad bad = {NULL, 0};
    main_take(&vm->locks);
    free_ready_for(vm, request->flags);
    enum kva_status status =
        kva_take_congruent(vm, &with_caller, parts, count, KVA_VM_VMALLOC, NULL, memory, &bad);
    status = finish(vm, status, __func__, request->min, &bad);
    main_drop(&vm->locks);
    return status;
}
