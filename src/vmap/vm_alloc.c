/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Allocation of areas with pages of their own.
 *
 *      kva_vmalloc --bin not empty--> the top area of this CPU's bin      under this CPU's lock
 *           | empty
 *      request -> spec               the arguments are checked here       no lock
 *           |
 *      the bins of all CPUs          for requests with flags too          each CPU's lock in turn
 *           |
 *      a fresh area                  vm_obtain.c                          the main lock
 */
#include "vm_alloc.h"

#include "vm_obtain.h"
#include "vm_ready.h"

/* ---------------------------------------------------------------------------------------------- arguments */

enum kva_status kva_pages_of(const struct kva_vm *vm, size_t size, unsigned *flags, uint32_t *pages,
                             struct kva_bad *bad)
{
    uint64_t unit = page_of(vm);
    uint64_t bytes;

    if (size == 0)
        return bad_field(bad, KVA_ESIZE, "size");
    bool pays = vm->pages.huge != 0 && vm->huge != KVA_HUGE_NEVER && size >= vm->pages.huge;
    if (!pays)
        *flags &= ~(unsigned)KVA_VM_HUGE;
    if (*flags & KVA_VM_HUGE)
        unit = vm->pages.huge;
    if (!align_up(size, unit, &bytes) || bytes > SIZE_MAX)
        return bad_field(bad, KVA_EWRAP, "size");
    /* A size that no reservation can hold may exceed 32 bits of pages; their largest value is refused as
       well. */
    *pages = (uint32_t)min_u64(bytes >> vm->page_shift, UINT32_MAX);
    return KVA_OK;
}

/** Clip a request's window to the private part. The guard may lie above the window. The window [0, 0] was
 *  left out: it is the whole part. */
static enum kva_status cut_window(const struct kva_vm *vm, const struct kva_vm_request *request,
                                  struct kva_spec *spec, struct kva_bad *bad)
{
    uint64_t last = vm->frames_first - 1;
    uint64_t max = (request->min | request->max) == 0 ? UINT64_MAX : request->max;

    if (request->min > max || max < vm->first)
        return bad_field(bad, KVA_EWINDOW, "max");
    if (request->min > last)
        return bad_field(bad, KVA_EWINDOW, "min");
    spec->min = max_u64(request->min, vm->first);
    if (!add_checked(max, bytes_of_pages(vm, vm->guard), &spec->max))
        spec->max = last;
    spec->max = min_u64(spec->max, last);
    spec->anywhere = request->min <= vm->first && max >= last;
    return KVA_OK;
}

enum kva_status kva_spec_of(const struct kva_vm *vm, const struct kva_vm_request *request,
                            struct kva_spec *spec, struct kva_bad *bad)
{
    if (!has_one_bit_at_most(request->align)) /* 0 means 1, and 1 means a page */
        return bad_field(bad, KVA_EALIGN, "align");
    if (request->flags & ~(unsigned)KVA_VM_KNOWN_FLAGS)
        return bad_field(bad, KVA_EINVAL, "flags");
    const char *field = bad_in_nodes(&request->node, "node.policy", "node.set");
    if (field)
        return bad_field(bad, KVA_EINVAL, field);
    *spec = (struct kva_spec){.size = request->size, .flags = request->flags, .caller = request->caller};
    spec->owner = request->owner;
    spec->node = request->node;
    spec->nodes = number_of_nodes(vm, &request->node);
    spec->guard = vm->guard;
    spec->align = max_u64(request->align, page_of(vm));
    enum kva_status status = cut_window(vm, request, spec, bad);
    if (status != KVA_OK)
        return status;
    if (vm->huge == KVA_HUGE_LARGE && spec->anywhere)
        spec->flags |= KVA_VM_HUGE;
    status = kva_pages_of(vm, request->size, &spec->flags, &spec->pages, bad);
    spec->bytes = bytes_of_pages(vm, (uint64_t)spec->pages + spec->guard);
    if (spec->flags & KVA_VM_HUGE)
        spec->align = max_u64(spec->align, vm->pages.huge);
    return status;
}

/* ----------------------------------------------------------------------------------------------- one area */

enum kva_status kva_take_area(struct kva_vm *vm, const struct kva_vm_request *request, const char *where,
                              struct kva_taken *taken)
{
    struct kva_descriptor *area;
    struct kva_spec spec;
    struct kva_bad bad;
    enum kva_status status = kva_spec_of(vm, request, &spec, &bad);

    if (status != KVA_OK)
        return lock_and_refuse(vm, status, where, request->min, &bad);
    bool cacheable = spec.anywhere && spec.pages <= vm->cache_pages && !(spec.flags & KVA_VM_HUGE);
    if (cacheable && kva_cache_take(vm, &spec, taken))
        return KVA_OK;
    main_take(&vm->locks);
    status = kva_take_fresh(vm, &spec, &area);
    if (status == KVA_OK) {
        vm->misses += cacheable;
        *taken = (struct kva_taken){memory_of(area), area_bytes(vm, area), true};
        poison(taken->memory + spec.size, taken->bytes - spec.size);
    }
    status = finish(vm, status, where, request->min, NULL);
    main_drop(&vm->locks);
    return status;
}

static enum kva_status take_memory(struct kva_vm *vm, const struct kva_vm_request *request, const char *where,
                                   void **memory)
{
    struct kva_taken taken;

    free_ready_unlocked(vm, request->flags);
    enum kva_status status = kva_take_area(vm, request, where, &taken);
    if (status != KVA_OK)
        return status;
    if (!taken.fresh && (vm->zero_always || (request->flags & KVA_VM_ZERO)))
        memset(taken.memory, 0, request->size);
    *memory = taken.memory;
    return KVA_OK;
}

enum kva_status kva_vm_alloc(struct kva_vm *vm, const struct kva_vm_request *request, void **memory)
{
    if (!vm)
        return KVA_ENULL;
    if (!request || !memory)
        return refuse_null(vm, __func__, 0, request ? "memory" : "request");
    struct kva_vm_request with_caller = *request;
    if (!with_caller.caller)
        with_caller.caller = CALLER();
    return take_memory(vm, &with_caller, __func__, memory);
}

/** kva_vmalloc and its variants: a size, an alignment, flags. */
static void *take_short(struct kva_vm *vm, size_t size, size_t align, unsigned flags, const char *where,
                        const void *caller)
{
    struct kva_vm_request request = kva_vm_request_of(size);
    void *memory = NULL;

    if (!vm)
        return NULL;
    request.align = align;
    request.flags = flags;
    request.caller = caller;
    return take_memory(vm, &request, where, &memory) == KVA_OK ? memory : NULL;
}

/** The top area of this CPU's bin for `size` bytes, a size within KVA_VM_CLASSES; NULL if the bin is empty,
 *  or if that area's pages come from requested nodes. */
static inline void *take_top(struct kva_vm *vm, size_t size, const void *caller)
{
    struct kva_vm_cpu *cpu = cpu_here(&vm->locks);
    struct kva_descriptor **top = &cpu->bin[((size - 1) >> vm->page_shift) + 1].head;
    void *memory = NULL;

    lock_take(&cpu->lock, vm->locks.threads);
    if (*top && (*top)->nodes == 0)
        memory = cache_revive(vm, cpu, top, size, 1, 0, caller, NULL).memory;
    lock_drop(&cpu->lock, vm->locks.threads);
    return memory;
}

void *kva_vmalloc(struct kva_vm *vm, size_t size)
{
    if (vm && size - 1 < vm->fast_bytes && !has_ready(vm)) { /* 0 - 1 wraps to the largest size */
        void *memory = take_top(vm, size, CALLER());
        if (memory)
            return memory;
    }
    return take_short(vm, size, 1, 0, __func__, CALLER());
}

void *kva_vzalloc(struct kva_vm *vm, size_t size)
{
    return take_short(vm, size, 1, KVA_VM_ZERO, __func__, CALLER());
}

void *kva_vmalloc_huge(struct kva_vm *vm, size_t size)
{
    return take_short(vm, size, 1, KVA_VM_HUGE, __func__, CALLER());
}

void *kva_vmalloc_aligned(struct kva_vm *vm, size_t size, size_t align)
{
    return take_short(vm, size, align, 0, __func__, CALLER());
}
