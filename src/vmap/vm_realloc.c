/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Resizing an area.
 *
 *      shrink   | kept      |   tail      |g|      the space frees the tail first, which may fail;
 *               | kept      |g|   free      |      then the tail is closed, which cannot fail
 *
 *      grow     | area  |g|      free       |      the space extends the segment first; then the pages from
 *               | area       more     |g|   |      the old guard on are opened. On failure it shrinks back
 *
 *      move     a new area, a copy, and the old one retired
 *
 * Meanwhile the area's state is KVA_VM_RESIZING: a concurrent free returns KVA_EREENTRY. The copy is made
 * without the lock.
 */
#include "vm_alloc.h"
#include "vm_obtain.h"
#include "vm_ready.h"
#include "vm_retire.h"

/** The arguments of a call. */
struct change {
    size_t size;
    unsigned flags; /* the caller's */
    uint32_t pages; /* rounded up for the area's kind of pages */
    const void *caller;
    struct kva_bad bad; /* field NULL: none is bad */
};

static bool wants_zero(const struct kva_vm *vm, const struct change *change)
{
    return vm->zero_always || (change->flags & KVA_VM_ZERO);
}

/** Set the new size. If zeroes are requested, the bytes beyond the old size are cleared up to `dirty_end`;
 *  the pages from there on are new and read as zero. */
static void commit_size(struct kva_vm *vm, struct kva_descriptor *area, const struct change *change,
                        uint64_t dirty_end)
{
    size_t old = area->size;
    size_t end = area_bytes(vm, area);

    area->size = change->size;
    unpoison(memory_of(area), end);
    if (change->size > old && dirty_end > old && wants_zero(vm, change))
        memset((char *)memory_of(area) + old, 0, (size_t)dirty_end - old);
    poison((char *)memory_of(area) + change->size, end - change->size);
}

static void set_pages(struct kva_vm *vm, struct kva_descriptor *area, uint32_t pages)
{
    vm->all.bytes -= area_bytes(vm, area);
    area->pages = pages;
    vm->all.bytes += area_bytes(vm, area);
}

static uint64_t bytes_with_guard(const struct kva_vm *vm, const struct kva_descriptor *area, uint32_t pages)
{
    return bytes_of_pages(vm, (uint64_t)pages + area->guard);
}

struct shrinking {
    const struct kva_descriptor *area;
    uint32_t pages;
};

static enum kva_status attempt_shrink(void *instance, void *context)
{
    struct kva_vm *vm = instance;
    const struct shrinking *shrinking = context;
    const struct kva_descriptor *area = shrinking->area;

    return resize_place(vm, start_of(area), bytes_with_guard(vm, area, shrinking->pages));
}

static enum kva_status shrink_area(struct kva_vm *vm, struct kva_descriptor *area,
                                   const struct change *change)
{
    uint64_t end = start_of(area) + segment_bytes(vm, area);
    uint64_t cut = start_of(area) + bytes_of_pages(vm, change->pages);
    struct shrinking shrinking = {area, change->pages};
    enum kva_status status = kva_obtain(vm, change->size, change->flags, attempt_shrink, &shrinking);

    if (status != KVA_OK)
        return status;
    kva_close_range(vm, cut, end - cut, is_foreign(area));
    set_pages(vm, area, change->pages);
    commit_size(vm, area, change, 0);
    return KVA_OK;
}

static enum kva_status grow_in_place(struct kva_vm *vm, struct kva_descriptor *area,
                                     const struct change *change)
{
    uint64_t old_bytes = area_bytes(vm, area);
    uint64_t more = bytes_of_pages(vm, change->pages) - old_bytes;
    enum kva_status status;

    if (end_of_place(vm, start_of(area)) - start_of(area) < bytes_with_guard(vm, area, change->pages))
        return KVA_ENOSPC;
    status = resize_place(vm, start_of(area), bytes_with_guard(vm, area, change->pages));
    if (status != KVA_OK)
        return status;
    status = vm->pages.open(vm->pages.context, vm->reservation, start_of(area) + old_bytes, more,
                            (area->flags & KVA_VM_HUGE) != 0);
    if (status != KVA_OK) { /* the range after it is free, so this needs no memory */
        (void)resize_place(vm, start_of(area), segment_bytes(vm, area));
        return status;
    }
    set_pages(vm, area, change->pages);
    commit_size(vm, area, change, old_bytes);
    vm->grown++;
    return KVA_OK;
}

/** Fill a new area from a smaller old one: the bytes requested, and the rest of the last page as far as its
 *  owner may have written there. If zeroes are requested, all bytes but those requested are zero; fresh pages
 *  already are. */
static void copy_area(const struct kva_vm *vm, const struct kva_taken *to, const struct kva_descriptor *from,
                      const struct change *change)
{
    bool zero = wants_zero(vm, change);
    size_t kept = zero ? from->size : usable_bytes(vm, from);

    memcpy(to->memory, memory_of(from), kept);
    if (!zero || to->fresh)
        return;
    unpoison(to->memory, to->bytes);
    memset(to->memory + kept, 0, to->bytes - kept);
    poison(to->memory + change->size, to->bytes - change->size);
}

/** With the lock held, which is dropped for the new area and the copy. */
static enum kva_status move(struct kva_vm *vm, struct kva_descriptor *old, const struct change *change,
                            void **moved)
{
    struct kva_vm_request request = kva_vm_request_of(change->size);
    struct kva_taken taken;

    request.flags = old->flags | (change->flags & KVA_VM_NO_BLOCK);
    request.align = (size_t)1 << old->align_shift;
    request.caller = old->caller;
    request.owner = old->by.owner;
    if (old->nodes != 0)
        request.node = vm->districts.nodes[old->nodes];
    main_drop(&vm->locks);
    enum kva_status status = kva_take_area(vm, &request, "kva_vm_realloc", &taken);
    if (status == KVA_OK)
        copy_area(vm, &taken, old, change);
    main_take(&vm->locks);
    if (status != KVA_OK)
        return status;
    kva_retire_area(vm, old, change->caller);
    vm->moved++;
    *moved = taken.memory;
    return KVA_OK;
}

/** Grow in place, or else move. If there is no room to move either, try in place again: the purge on the way
 *  may have freed the addresses after the area. */
static enum kva_status grow_area(struct kva_vm *vm, struct kva_descriptor *area, const struct change *change,
                                 void **moved)
{
    if (grow_in_place(vm, area, change) == KVA_OK)
        return KVA_OK;
    enum kva_status status = move(vm, area, change, moved);
    if (status == KVA_ENOSPC && grow_in_place(vm, area, change) == KVA_OK)
        status = KVA_OK;
    return status;
}

static enum kva_status resize(struct kva_vm *vm, struct kva_descriptor *area, struct change *change,
                              void **moved)
{
    unsigned flags = area->flags & KVA_VM_HUGE;
    size_t least = flags ? (size_t)vm->pages.huge : 1; /* an area in huge pages keeps them */
    enum kva_status status =
        kva_pages_of(vm, change->size > least ? change->size : least, &flags, &change->pages, &change->bad);

    if (status != KVA_OK)
        return status;
    if (change->pages < area->pages)
        return shrink_area(vm, area, change);
    if (change->pages > area->pages)
        return grow_area(vm, area, change, moved);
    commit_size(vm, area, change, area_bytes(vm, area));
    return KVA_OK;
}

static enum kva_status change_area_size(struct kva_vm *vm, struct kva_descriptor *area, struct change *change,
                                        void **moved)
{
    void *const before = memory_of(area);
    void *now = before;

    vm->resizing++;
    set_state(area, KVA_VM_RESIZING);
    sync_point(vm->locks.threads);
    enum kva_status status = resize(vm, area, change, &now);
    vm->resizing--;
    if (now == before)
        set_state(area, KVA_VM_LIVE);
    if (status == KVA_OK)
        *moved = now;
    return status;
}

/** With the lock held. */
static enum kva_status change_claimed(struct kva_vm *vm, struct kva_descriptor *area, struct change *change,
                                      void **moved)
{
    enum kva_status status = KVA_OK;

    if (change->size == 0) {
        kva_retire_area(vm, area, change->caller);
        *moved = NULL;
    } else {
        status = change_area_size(vm, area, change, moved);
    }
    if (!(change->flags & KVA_VM_NO_BLOCK)) /* a call that must not block does not purge */
        kva_purge_excess(vm);
    return status;
}

static enum kva_status reallocate(struct kva_vm *vm, void *memory, struct change *change, const char *where,
                                  void **moved)
{
    free_ready_unlocked(vm, change->flags);
    main_take(&vm->locks);
    struct kva_descriptor *area = claim_area(vm, (uintptr_t)memory);
    enum kva_status status = area ? change_claimed(vm, area, change, moved)
                                  : kva_why_not_live(vm, (uintptr_t)memory, KVA_VM_VMALLOC);
    status = finish(vm, status, where, (uintptr_t)memory, &change->bad);
    main_drop(&vm->locks);
    return status;
}

static enum kva_status reallocate_or_take(struct kva_vm *vm, void *memory, struct change *change,
                                          const char *where, void **moved)
{
    if (change->flags & ~(unsigned)KVA_VM_KNOWN_FLAGS)
        return lock_and_refuse(vm, KVA_EINVAL, where, (uintptr_t)memory, &(struct kva_bad){"flags", 0});
    if (memory)
        return reallocate(vm, memory, change, where, moved);
    if (change->size == 0) {
        *moved = NULL;
        return KVA_OK;
    }
    struct kva_vm_request request = kva_vm_request_of(change->size);
    request.flags = change->flags;
    request.caller = change->caller;
    return kva_vm_alloc(vm, &request, moved);
}

enum kva_status kva_vm_realloc(struct kva_vm *vm, void *memory, size_t size, unsigned flags, void **moved)
{
    struct change change = {.size = size, .flags = flags, .caller = CALLER()};

    if (!vm)
        return KVA_ENULL;
    if (!moved)
        return refuse_null(vm, __func__, (uintptr_t)memory, "moved");
    return reallocate_or_take(vm, memory, &change, __func__, moved);
}

void *kva_vrealloc(struct kva_vm *vm, void *memory, size_t size, unsigned flags)
{
    struct change change = {.size = size, .flags = flags, .caller = CALLER()};
    void *moved = NULL;

    if (!vm || reallocate_or_take(vm, memory, &change, __func__, &moved) != KVA_OK)
        return NULL;
    return moved;
}
