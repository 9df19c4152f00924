/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Pools of frames: making and ending them, taking and giving frames back. The page source keeps what the
 *  frames hold. */
#include "vm_frames.h"

#include "vm_retire.h"
#include "vm_shown.h"

/** Their numbers fit 32 bits. */
static const uint64_t most_frames = UINT32_MAX - 1;

static uint64_t bytes_of_uses(const struct kva_vm_frames *frames)
{
    return frames->count * sizeof *frames->uses;
}

/** The pool's memory and its table; the page source's part is still missing. */
static struct kva_vm_frames *take_pool(struct kva_vm *vm, uint64_t count)
{
    struct kva_memory *source = &vm->ledger.memory;
    struct kva_vm_frames *frames = source->take(source->context, sizeof *frames);

    if (!frames)
        return NULL;
    *frames = (struct kva_vm_frames){.vm = vm, .count = count};
    frames->uses = vm->pages.table(vm->pages.context, bytes_of_uses(frames));
    if (frames->uses)
        return frames;
    source->give(source->context, frames, sizeof *frames);
    return NULL;
}

static void give_pool(struct kva_vm_frames *frames)
{
    struct kva_vm *vm = frames->vm;
    struct kva_memory *source = &vm->ledger.memory;

    vm->pages.untable(vm->pages.context, frames->uses, bytes_of_uses(frames));
    source->give(source->context, frames, sizeof *frames);
}

static enum kva_status create(struct kva_vm *vm, uint64_t count, struct kva_vm_frames **frames,
                              struct kva_bad *bad)
{
    if (count == 0 || count > most_frames)
        return bad_field(bad, KVA_ESIZE, "count");
    struct kva_vm_frames *made = take_pool(vm, count);
    if (!made)
        return KVA_ENOMEM;
    enum kva_status status = vm->pages.pool(vm->pages.context, vm->reservation, count, &made->pool);
    if (status != KVA_OK) {
        give_pool(made);
        return status;
    }
    made->next = vm->pools;
    made->link = &vm->pools;
    if (made->next)
        made->next->link = &made->next;
    vm->pools = made;
    *frames = made;
    return KVA_OK;
}

enum kva_status kva_vm_frames_create(struct kva_vm *vm, uint64_t count, struct kva_vm_frames **frames)
{
    if (!vm)
        return KVA_ENULL;
    if (!frames)
        return refuse_null(vm, __func__, 0, "frames");
    struct kva_bad bad = {NULL, 0};
    main_take(&vm->locks);
    enum kva_status status = create(vm, count, frames, &bad);
    status = finish(vm, status, __func__, 0, &bad);
    main_drop(&vm->locks);
    return status;
}

static void end_pool(struct kva_vm_frames *frames)
{
    struct kva_vm *vm = frames->vm;

    vm->pages.drop(vm->pages.context, vm->reservation, frames->pool);
    give_pool(frames);
}

/** With the lock, which is dropped during the purge. */
static enum kva_status destroy(struct kva_vm *vm, struct kva_vm_frames *frames)
{
    if (frames->shown > 0)
        return KVA_EBUSY;
    (void)kva_purge_idle(vm);
    *frames->link = frames->next;
    if (frames->next)
        frames->next->link = frames->link;
    end_pool(frames);
    return KVA_OK;
}

enum kva_status kva_vm_frames_destroy(struct kva_vm_frames *frames)
{
    if (!frames)
        return KVA_ENULL;
    struct kva_vm *vm = frames->vm;
    main_take(&vm->locks);
    enum kva_status status = finish(vm, destroy(vm, frames), __func__, 0, NULL);
    main_drop(&vm->locks);
    return status;
}

void kva_vm_frames_end(struct kva_vm *vm)
{
    while (vm->pools) {
        struct kva_vm_frames *frames = vm->pools;
        vm->pools = frames->next;
        end_pool(frames);
    }
}

intptr_t kva_vm_frames_descriptor(const struct kva_vm_frames *frames)
{
    if (!frames || !frames->vm->pages.descriptor)
        return -1;
    return frames->vm->pages.descriptor(frames->vm->pages.context, frames->pool);
}

/* ------------------------------------------------------------------------------------------ take and give */

static enum kva_status take(struct kva_vm_frames *frames, size_t count, uint32_t *numbers,
                            struct kva_bad *bad)
{
    if (count == 0)
        return bad_field(bad, KVA_ESIZE, "count");
    if (count > frames->count - frames->taken)
        return KVA_ENOSPC;
    uint64_t at = frames->lowest;
    for (size_t i = 0; i < count; at++) {
        if (frames->uses[at] == 0) {
            frames->uses[at] = 1;
            numbers[i++] = (uint32_t)at;
        }
    }
    frames->lowest = at;
    frames->taken += count;
    return KVA_OK;
}

enum kva_status kva_vm_frames_alloc(struct kva_vm_frames *frames, size_t count, uint32_t *numbers)
{
    if (!frames)
        return KVA_ENULL;
    if (!numbers)
        return refuse_null(frames->vm, __func__, 0, "numbers");
    struct kva_bad bad = {NULL, 0};
    main_take(&frames->vm->locks);
    enum kva_status status = take(frames, count, numbers, &bad);
    status = finish(frames->vm, status, __func__, 0, &bad);
    main_drop(&frames->vm->locks);
    return status;
}

/** Mark frames free; stops at the first that cannot be, which *bad counts. */
static enum kva_status mark_free(struct kva_vm_frames *frames, const uint32_t *numbers, size_t count,
                                 size_t *done)
{
    for (*done = 0; *done < count; ++*done) {
        uint32_t number = numbers[*done];
        if (number >= frames->count)
            return KVA_ERANGE;
        if (frames->uses[number] == 0)
            return KVA_EDOUBLE;
        if (frames->uses[number] > 1)
            return KVA_EBUSY;
        frames->uses[number] = 0;
    }
    return KVA_OK;
}

static void drain_runs(struct kva_vm_frames *frames, const uint32_t *numbers, size_t count)
{
    struct kva_vm *vm = frames->vm;

    for (size_t i = 0, run; i < count; i += run) {
        run = kva_run_of(&numbers[i], count - i);
        vm->pages.drain(vm->pages.context, vm->reservation, frames->pool, numbers[i], run);
        frames->lowest = min_u64(frames->lowest, numbers[i]);
    }
}

static enum kva_status give(struct kva_vm_frames *frames, const uint32_t *numbers, size_t count,
                            struct kva_bad *bad)
{
    size_t done;
    enum kva_status status = mark_free(frames, numbers, count, &done);

    if (status != KVA_OK) {
        *bad = (struct kva_bad){"numbers[i]", done};
        while (done-- > 0)
            frames->uses[numbers[done]] = 1;
        return status;
    }
    drain_runs(frames, numbers, count);
    frames->taken -= count;
    return KVA_OK;
}

enum kva_status kva_vm_frames_free(struct kva_vm_frames *frames, const uint32_t *numbers, size_t count)
{
    if (!frames)
        return KVA_ENULL;
    if (count == 0)
        return KVA_OK;
    if (!numbers)
        return refuse_null(frames->vm, __func__, 0, "numbers");
    struct kva_bad bad = {NULL, 0};
    main_take(&frames->vm->locks);
    enum kva_status status = give(frames, numbers, count, &bad);
    status = finish(frames->vm, status, __func__, 0, &bad);
    main_drop(&frames->vm->locks);
    return status;
}
