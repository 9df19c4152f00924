/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Frame sets: creation and destruction, allocation and freeing of frames. The page source keeps the contents
 *  of the frames; vm_stock.c keeps which places are free. */
#include "vm_frames.h"

#include "vm_ended.h"
#include "vm_mapped.h"
#include "vm_move.h"
#include "vm_retire.h"

/** Frames' numbers fit 32 bits. */
static const uint64_t most_frames = UINT32_MAX - 1;

static uint64_t bytes_of_uses(const struct kva_vm_frames *frames)
{
    return frames->count * sizeof *frames->uses;
}

static void give_frame_set(struct kva_vm_frames *frames)
{
    struct kva_vm *vm = frames->vm;
    struct kva_memory *source = &vm->ledger.memory;

    kva_stock_end(&frames->stock);
    kva_end_names(frames);
    if (frames->uses)
        vm->pages.free_zeroed(vm->pages.context, frames->uses, bytes_of_uses(frames));
    source->give(source->context, frames, sizeof *frames);
}

/** The memory and the tables of a frame set; the page source's part is still missing. */
static struct kva_vm_frames *take_frame_set(struct kva_vm *vm, const struct kva_vm_frames_config *config)
{
    struct kva_memory *source = &vm->ledger.memory;
    struct kva_vm_frames *frames = source->take(source->context, sizeof *frames);

    if (!frames)
        return NULL;
    *frames = (struct kva_vm_frames){.vm = vm, .count = config->count};
    frames->stock = (struct kva_stock){
        .count = config->count,
        .move = config->movable ? kva_move_frames : NULL,
        .move_context = frames,
    };
    frames->uses = vm->pages.alloc_zeroed(vm->pages.context, bytes_of_uses(frames));
    if (frames->uses && (!config->movable || kva_ready_names(frames) == KVA_OK))
        return frames;
    give_frame_set(frames);
    return NULL;
}

static enum kva_status create_set(struct kva_vm *vm, const struct kva_vm_frames_config *config,
                                  struct kva_vm_frames **frames, struct kva_bad *bad)
{
    if (config->count == 0 || config->count > most_frames)
        return bad_field(bad, KVA_ESIZE, "count");
    struct kva_vm_frames *made = take_frame_set(vm, config);
    if (!made)
        return KVA_ENOMEM;
    enum kva_status status = vm->pages.create_frames(vm->pages.context, vm->reservation, config->count,
                                                     config->movable, &made->frame_set);
    if (status != KVA_OK) {
        give_frame_set(made);
        return status;
    }
    made->next = vm->frame_sets;
    made->link = &vm->frame_sets;
    if (made->next)
        made->next->link = &made->next;
    vm->frame_sets = made;
    *frames = made;
    return KVA_OK;
}

enum kva_status kva_vm_frames_create(struct kva_vm *vm, const struct kva_vm_frames_config *config,
                                     struct kva_vm_frames **frames)
{
    if (!vm)
        return KVA_ENULL;
    if (!config || !frames)
        return refuse_null(vm, __func__, 0, config ? "frames" : "config");
    struct kva_bad bad = {NULL, 0};
    main_take(&vm->locks);
    enum kva_status status = create_set(vm, config, frames, &bad);
    status = finish(vm, status, __func__, 0, &bad);
    main_drop(&vm->locks);
    return status;
}

static void end_frame_set(struct kva_vm_frames *frames)
{
    struct kva_vm *vm = frames->vm;

    vm->pages.destroy_frames(vm->pages.context, vm->reservation, frames->frame_set);
    give_frame_set(frames);
}

static bool is_in_use(const struct kva_vm_frames *frames)
{
    return frames->mapped > 0 || frames->compacting > 0;
}

/** With the lock, which is dropped during the purge: another thread may start to use the set then. */
static enum kva_status destroy_set(struct kva_vm *vm, struct kva_vm_frames *frames)
{
    if (is_in_use(frames))
        return KVA_EBUSY;
    (void)kva_purge_idle(vm);
    if (is_in_use(frames))
        return KVA_EBUSY;
    kva_park_ended_of(vm, frames); /* maps made and ended meanwhile */
    kva_purge_parked(vm);
    *frames->link = frames->next;
    if (frames->next)
        frames->next->link = frames->link;
    end_frame_set(frames);
    return KVA_OK;
}

enum kva_status kva_vm_frames_destroy(struct kva_vm_frames *frames)
{
    if (!frames)
        return KVA_ENULL;
    struct kva_vm *vm = frames->vm;
    main_take(&vm->locks);
    enum kva_status status = finish(vm, destroy_set(vm, frames), __func__, 0, NULL);
    main_drop(&vm->locks);
    return status;
}

void kva_vm_frames_end(struct kva_vm *vm)
{
    while (vm->frame_sets) {
        struct kva_vm_frames *frames = vm->frame_sets;
        vm->frame_sets = frames->next;
        end_frame_set(frames);
    }
    kva_end_links(vm);
}

intptr_t kva_vm_frames_descriptor(const struct kva_vm_frames *frames)
{
    if (!frames || frames->movable || !frames->vm->pages.descriptor)
        return -1;
    return frames->vm->pages.descriptor(frames->vm->pages.context, frames->frame_set);
}

/* -------------------------------------------------------------------------------------------------- alloc */

/** Turn places into the numbers of their frames, and mark these taken. */
static void mark_taken(struct kva_vm_frames *frames, uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        numbers[i] = number_at(frames, numbers[i]);
        frames->uses[numbers[i]] = 1;
    }
    frames->taken += count;
}

/** Whether so many frames may be allocated. */
static enum kva_status validate_take(const struct kva_vm_frames *frames, size_t count, struct kva_bad *bad)
{
    if (count == 0)
        return bad_field(bad, KVA_ESIZE, "count");
    if (frames->is_lost)
        return KVA_ENOENT;
    return count > frames->count - frames->taken ? KVA_ENOSPC : KVA_OK;
}

/** A request for frames. */
struct take_request {
    size_t count;
    bool is_run;
    uint64_t align; /* of a run */
};

static enum kva_status take_numbers(struct kva_vm_frames *frames, const struct take_request *request,
                                    uint64_t *numbers, struct kva_bad *bad)
{
    if (!has_one_bit_at_most(request->align))
        return bad_field(bad, KVA_EALIGN, "align");
    enum kva_status status = validate_take(frames, request->count, bad);
    if (status != KVA_OK)
        return status;
    status = request->is_run
                 ? kva_stock_take_run(frames->vm, &frames->stock, request->count, request->align, numbers)
                 : kva_stock_take(frames->vm, &frames->stock, request->count, numbers);
    if (status == KVA_OK)
        mark_taken(frames, numbers, request->count);
    return status;
}

static enum kva_status lock_and_take_numbers(struct kva_vm_frames *frames, const struct take_request *request,
                                             uint64_t *numbers, const char *where)
{
    struct kva_bad bad = {NULL, 0};

    if (!frames)
        return KVA_ENULL;
    if (!numbers)
        return refuse_null(frames->vm, where, 0, "numbers");
    main_take(&frames->vm->locks);
    enum kva_status status = finish(frames->vm, take_numbers(frames, request, numbers, &bad), where, 0, &bad);
    main_drop(&frames->vm->locks);
    return status;
}

enum kva_status kva_vm_frames_alloc(struct kva_vm_frames *frames, size_t count, uint64_t *numbers)
{
    return lock_and_take_numbers(frames, &(struct take_request){.count = count}, numbers, __func__);
}

enum kva_status kva_vm_frames_alloc_run(struct kva_vm_frames *frames, size_t count, uint64_t align,
                                        uint64_t *numbers)
{
    return lock_and_take_numbers(frames, &(struct take_request){count, true, align}, numbers, __func__);
}

/* --------------------------------------------------------------------------------------------------- free */

static bool is_pinned(const struct kva_vm_frames *frames, uint64_t number)
{
    return frames->movable && frames->movable[number].pins > 0;
}

/** Mark frames free, up to the first that must not be freed; *done is their count. */
static enum kva_status mark_free(struct kva_vm_frames *frames, const uint64_t *numbers, size_t count,
                                 size_t *done)
{
    for (*done = 0; *done < count; ++*done) {
        uint64_t number = numbers[*done];
        if (number >= frames->count)
            return KVA_ERANGE;
        if (frames->uses[number] == 0)
            return KVA_EDOUBLE;
        if (frames->uses[number] > 1 || is_pinned(frames, number))
            return KVA_EBUSY;
        frames->uses[number] = 0;
    }
    return KVA_OK;
}

/** The frames of a lost set belong to the parent process, so they are not discarded. */
static void give_runs(struct kva_vm_frames *frames, const uint64_t *numbers, size_t count)
{
    struct kva_vm *vm = frames->vm;

    for (size_t i = 0, run; i < count; i += run) {
        uint64_t place = place_of(frames, numbers[i]);
        run = kva_run_of(frames, &numbers[i], count - i);
        if (!frames->is_lost)
            vm->pages.discard_frames(vm->pages.context, vm->reservation, frames->frame_set, place, run);
        kva_stock_give(&frames->stock, place, run);
    }
}

static enum kva_status give_numbers(struct kva_vm_frames *frames, const uint64_t *numbers, size_t count,
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
    give_runs(frames, numbers, count);
    frames->taken -= count;
    return KVA_OK;
}

enum kva_status kva_vm_frames_free(struct kva_vm_frames *frames, const uint64_t *numbers, size_t count)
{
    if (!frames)
        return KVA_ENULL;
    if (count == 0)
        return KVA_OK;
    if (!numbers)
        return refuse_null(frames->vm, __func__, 0, "numbers");
    struct kva_bad bad = {NULL, 0};
    main_take(&frames->vm->locks);
    enum kva_status status = give_numbers(frames, numbers, count, &bad);
    status = finish(frames->vm, status, __func__, 0, &bad);
    main_drop(&frames->vm->locks);
    return status;
}

/* ------------------------------------------------------------------------------------------------ queries */

enum kva_status kva_vm_frames_stats_read(const struct kva_vm_frames *frames, struct kva_frames_stats *stats)
{
    if (!frames)
        return KVA_ENULL;
    if (!stats)
        return refuse_look(frames->vm, __func__, "stats");
    main_take(&frames->vm->locks);
    kva_stock_stats(frames->vm, &frames->stock, stats);
    main_drop(&frames->vm->locks);
    return KVA_OK;
}

enum kva_status kva_vm_frames_picture(const struct kva_vm_frames *frames, kva_dump_line *line, void *context)
{
    if (!frames)
        return KVA_ENULL;
    if (!line)
        return refuse_look(frames->vm, __func__, "line");
    main_take(&frames->vm->locks);
    for (unsigned set = 0; set < KVA_STOCK_SETS && frames->stock.sets[set]; set++)
        (void)kva_frames_picture(frames->stock.sets[set], 0, line, context);
    main_drop(&frames->vm->locks);
    return KVA_OK;
}
