/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Pools of frames: which are taken, and how often each is mapped.
 *
 * The page source keeps what the frames hold; here is one number for each: 0 while it is free, else one more than its
 * live maps. A frame that somebody maps cannot be given back, so no map ever shows another's memory while it lives.
 */
#include "vm.h"

/** Their numbers fit 32 bits. */
static const uint64_t most_frames = UINT32_MAX - 1;

static uint64_t bytes_of_uses(const struct kva_frames *frames)
{
    return frames->count * sizeof *frames->uses;
}

/** The pool's memory and its table; the page source's part is still missing. */
static struct kva_frames *take_pool(struct kva_vm *vm, uint64_t count)
{
    struct kva_memory *source = &vm->ledger.memory;
    struct kva_frames *frames = source->take(source->context, sizeof *frames);

    if (!frames)
        return NULL;
    *frames = (struct kva_frames){.vm = vm, .count = count};
    frames->uses = vm->pages.table(vm->pages.context, bytes_of_uses(frames));
    if (frames->uses)
        return frames;
    source->give(source->context, frames, sizeof *frames);
    return NULL;
}

static void give_pool(struct kva_frames *frames)
{
    struct kva_vm *vm = frames->vm;
    struct kva_memory *source = &vm->ledger.memory;

    vm->pages.untable(vm->pages.context, frames->uses, bytes_of_uses(frames));
    source->give(source->context, frames, sizeof *frames);
}

static enum kva_status create(struct kva_vm *vm, uint64_t count, struct kva_frames **frames,
                              struct kva_bad *bad)
{
    if (count == 0 || count > most_frames)
        return bad_field(bad, KVA_ESIZE, "count");
    struct kva_frames *made = take_pool(vm, count);
    if (!made)
        return KVA_ENOMEM;
    enum kva_status status = vm->pages.pool(vm->pages.context, vm->stretch, count, &made->pool);
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

enum kva_status kva_frames_create(struct kva_vm *vm, uint64_t count, struct kva_frames **frames)
{
    if (!vm)
        return KVA_ENULL;
    if (!frames)
        return refuse_pointer(vm, __func__, 0, "frames");
    struct kva_bad bad = {NULL, 0};
    vm_enter(vm);
    enum kva_status status = create(vm, count, frames, &bad);
    status = finish_of(vm, status, __func__, 0, &bad);
    vm_leave(vm);
    return status;
}

static void end_pool(struct kva_frames *frames)
{
    struct kva_vm *vm = frames->vm;

    vm->pages.drop(vm->pages.context, vm->stretch, frames->pool);
    give_pool(frames);
}

/** With the lock, which is dropped during the purge. */
static enum kva_status destroy(struct kva_vm *vm, struct kva_frames *frames)
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

enum kva_status kva_frames_destroy(struct kva_frames *frames)
{
    if (!frames)
        return KVA_ENULL;
    struct kva_vm *vm = frames->vm;
    vm_enter(vm);
    enum kva_status status = finish(vm, destroy(vm, frames), __func__, 0);
    vm_leave(vm);
    return status;
}

void kva_frames_end(struct kva_vm *vm)
{
    while (vm->pools) {
        struct kva_frames *frames = vm->pools;
        vm->pools = frames->next;
        end_pool(frames);
    }
}

intptr_t kva_frames_descriptor(const struct kva_frames *frames)
{
    if (!frames || !frames->vm->pages.descriptor)
        return -1;
    return frames->vm->pages.descriptor(frames->vm->pages.context, frames->pool);
}

/* ------------------------------------------------------------------------------------------ take and give */

static enum kva_status take(struct kva_frames *frames, size_t count, uint32_t *numbers, struct kva_bad *bad)
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

enum kva_status kva_frames_alloc(struct kva_frames *frames, size_t count, uint32_t *numbers)
{
    if (!frames)
        return KVA_ENULL;
    if (!numbers)
        return refuse_pointer(frames->vm, __func__, 0, "numbers");
    struct kva_bad bad = {NULL, 0};
    vm_enter(frames->vm);
    enum kva_status status = take(frames, count, numbers, &bad);
    status = finish_of(frames->vm, status, __func__, 0, &bad);
    vm_leave(frames->vm);
    return status;
}

/** Mark frames free; stops at the first that cannot be, which *bad counts. */
static enum kva_status mark_free(struct kva_frames *frames, const uint32_t *numbers, size_t count,
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

/** How many numbers from the first on follow each other. */
static size_t run_of(const uint32_t *numbers, size_t count)
{
    size_t run = 1;

    while (run < count && numbers[run] == (uint64_t)numbers[0] + run)
        run++;
    return run;
}

static void drain_runs(struct kva_frames *frames, const uint32_t *numbers, size_t count)
{
    struct kva_vm *vm = frames->vm;

    for (size_t i = 0, run; i < count; i += run) {
        run = run_of(&numbers[i], count - i);
        vm->pages.drain(vm->pages.context, vm->stretch, frames->pool, numbers[i], run);
        frames->lowest = min_u64(frames->lowest, numbers[i]);
    }
}

static enum kva_status give(struct kva_frames *frames, const uint32_t *numbers, size_t count,
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

enum kva_status kva_frames_free(struct kva_frames *frames, const uint32_t *numbers, size_t count)
{
    if (!frames)
        return KVA_ENULL;
    if (count == 0)
        return KVA_OK;
    if (!numbers)
        return refuse_pointer(frames->vm, __func__, 0, "numbers");
    struct kva_bad bad = {NULL, 0};
    vm_enter(frames->vm);
    enum kva_status status = give(frames, numbers, count, &bad);
    status = finish_of(frames->vm, status, __func__, 0, &bad);
    vm_leave(frames->vm);
    return status;
}

/* -------------------------------------------------------------------------------------- what maps ask for */

static void lower_uses(struct kva_frames *frames, const uint32_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        frames->uses[numbers[i]]--;
}

void kva_unuse_frames(struct kva_frames *frames, const uint32_t *numbers, size_t count)
{
    lower_uses(frames, numbers, count);
    frames->shown -= count;
}

/** Whether one more map of a frame can be counted: it is taken, and its count is not at its end. */
static bool can_be_used(const struct kva_frames *frames, uint32_t number)
{
    return number < frames->count && frames->uses[number] - 1 < UINT32_MAX - 1;
}

static enum kva_status why_not_used(const struct kva_frames *frames, uint32_t number)
{
    if (number >= frames->count)
        return KVA_ERANGE;
    return frames->uses[number] == 0 ? KVA_ENOENT : KVA_ENOSPC;
}

/** Whether what is to be mapped is in order, but for the numbers. */
static enum kva_status validate_map(const struct kva_vm *vm, const struct kva_frames *frames,
                                    const uint32_t *numbers, size_t count, struct kva_bad *bad)
{
    if (!frames || !numbers)
        return bad_field(bad, KVA_ENULL, frames ? "numbers" : "frames");
    if (frames->vm != vm)
        return bad_field(bad, KVA_EINVAL, "frames");
    if (count == 0)
        return bad_field(bad, KVA_ESIZE, "count");
    return count > SIZE_MAX >> vm->page_shift ? bad_field(bad, KVA_EWRAP, "count") : KVA_OK;
}

enum kva_status kva_use_frames(const struct kva_vm *vm, struct kva_frames *frames, const uint32_t *numbers,
                               size_t count, struct kva_bad *bad)
{
    enum kva_status status = validate_map(vm, frames, numbers, count, bad);

    if (status != KVA_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        if (can_be_used(frames, numbers[i])) {
            frames->uses[numbers[i]]++;
            continue;
        }
        lower_uses(frames, numbers, i);
        *bad = (struct kva_bad){"numbers[i]", i};
        return why_not_used(frames, numbers[i]);
    }
    frames->shown += count;
    return KVA_OK;
}

/* ----------------------------------------------------------------------------------------------- numbers */

/** Count pages whose numbers lie side by side at `start` as mapped, or no longer. */
static void count_numbers(struct kva_vm *vm, uint64_t start, size_t more, size_t fewer)
{
    sparse_count(&vm->numbers, frame_page(vm, start) / PIECE_NUMBERS, (uint32_t)more, (uint32_t)fewer);
}

/** Note the numbers of the frames behind the pages from `start` on, which are mapped now. */
static void note_numbers(struct kva_vm *vm, uint64_t start, const uint32_t *numbers, size_t count)
{
    for (size_t run; count > 0; count -= run, numbers += run, start += bytes_of_pages(vm, run)) {
        run = count;
        uint32_t *noted = numbers_at(vm, start, &run);
        memcpy(noted, numbers, run * sizeof *noted);
        count_numbers(vm, start, run, 0);
    }
}

void kva_forget_numbers(struct kva_vm *vm, uint64_t start, size_t count)
{
    for (size_t run; count > 0; count -= run, start += bytes_of_pages(vm, run)) {
        run = count;
        (void)numbers_at(vm, start, &run);
        count_numbers(vm, start, 0, run);
    }
}

const uint32_t *kva_copy_numbers(const struct kva_vm *vm, const struct kva_descriptor *map, uint32_t *copy)
{
    for (size_t done = 0, run; done < map->pages; done += run) {
        run = map->pages - done;
        const uint32_t *noted = numbers_at(vm, start_of(map) + bytes_of_pages(vm, done), &run);
        memcpy(&copy[done], noted, run * sizeof *copy);
    }
    return copy;
}

void kva_unuse_map(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    uint64_t start = start_of(area);

    for (size_t run, left = area->pages; left > 0; left -= run, start += bytes_of_pages(vm, run)) {
        run = left;
        const uint32_t *noted = numbers_at(vm, start, &run);
        kva_unuse_frames(area->of.frames, noted, run);
    }
}

/** Count one live map more of each of the frames behind pages that are mapped. */
static void use_map(struct kva_frames *frames, uint64_t start, size_t count)
{
    struct kva_bad bad;

    for (size_t run; count > 0; count -= run, start += bytes_of_pages(frames->vm, run)) {
        run = count;
        const uint32_t *noted = numbers_at(frames->vm, start, &run);
        (void)kva_use_frames(frames->vm, frames, noted, run, &bad);
    }
}

/** Count the maps of a pool's frames anew: those that are live. */
static void recount(struct kva_frames *frames)
{
    struct kva_vm_area area = {0};
    uint64_t left = frames->taken;

    for (uint64_t i = 0; left > 0; i++) {
        frames->uses[i] = frames->uses[i] != 0;
        left -= frames->uses[i];
    }
    frames->shown = 0;
    frames->pending = 0;
    while (kva_look_next(frames->vm, &area) == KVA_OK) {
        if (is_live_map(&area) && area_at(frames->vm, area.start)->of.frames == frames)
            use_map(frames, area.start, area.pages);
    }
}

void kva_frames_forget_pending(struct kva_vm *vm)
{
    for (struct kva_frames *frames = vm->pools; frames; frames = frames->next) {
        if (frames->pending > 0)
            recount(frames);
    }
}

enum kva_status kva_map_runs(struct kva_vm *vm, uint64_t start, const struct kva_frames *frames,
                             const uint32_t *numbers, size_t count)
{
    for (size_t i = 0, run; i < count; i += run) {
        run = run_of(&numbers[i], count - i);
        enum kva_status status = vm->pages.map(vm->pages.context, vm->stretch, start + bytes_of_pages(vm, i),
                                               frames->pool, numbers[i], run);
        if (status == KVA_OK)
            continue;
        if (i > 0)
            vm->pages.unmap(vm->pages.context, vm->stretch, start, bytes_of_pages(vm, i));
        return status;
    }
    note_numbers(vm, start, numbers, count);
    return KVA_OK;
}
