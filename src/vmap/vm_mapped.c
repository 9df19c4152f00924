/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Mapping frames and counting maps: see vm_mapped.h. */
#include "vm_mapped.h"

/* ----------------------------------------------------------------------------------------------- counting */

static void lower_uses(struct kva_vm_frames *frames, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        frames->uses[numbers[i]]--;
}

void kva_unuse_frames(struct kva_vm_frames *frames, const uint64_t *numbers, size_t count)
{
    lower_uses(frames, numbers, count);
    frames->mapped -= count;
}

/** Whether one more map of a frame can be counted: the frame is taken, and its count is below the maximum. */
static bool can_be_used(const struct kva_vm_frames *frames, uint64_t number)
{
    return number < frames->count && frames->uses[number] - 1 < UINT32_MAX - 1;
}

static enum kva_status why_not_used(const struct kva_vm_frames *frames, uint64_t number)
{
    if (number >= frames->count)
        return KVA_ERANGE;
    return frames->uses[number] == 0 ? KVA_ENOENT : KVA_ENOSPC;
}

/** Check the arguments of a map, except the numbers. */
static enum kva_status validate_map(const struct kva_vm *vm, const struct kva_vm_frames *frames,
                                    const uint64_t *numbers, size_t count, struct kva_bad *bad)
{
    if (!frames || !numbers)
        return bad_field(bad, KVA_ENULL, frames ? "numbers" : "frames");
    if (frames->vm != vm)
        return bad_field(bad, KVA_EINVAL, "frames");
    if (frames->is_lost)
        return KVA_ENOENT;
    if (count == 0)
        return bad_field(bad, KVA_ESIZE, "count");
    return count > SIZE_MAX >> vm->page_shift ? bad_field(bad, KVA_EWRAP, "count") : KVA_OK;
}

enum kva_status kva_use_frames(const struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
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
    frames->mapped += count;
    return KVA_OK;
}

void kva_unuse_map(const struct kva_vm *vm, const struct kva_descriptor *map)
{
    struct kva_vm_frames *frames = map->of.frames;

    for (struct noted noted = noted_from(start_of(map), map->pages); next_noted(vm, &noted);) {
        for (size_t i = 0; i < noted.count; i++)
            frames->uses[noted.numbers[i]]--;
    }
    frames->mapped -= map->pages;
}

/* ------------------------------------------------------------------------------------------------ mapping */

size_t kva_run_of(const struct kva_vm_frames *frames, const uint64_t *numbers, size_t count)
{
    const uint64_t first = place_of(frames, numbers[0]);
    size_t run = 1;

    while (run < count && place_of(frames, numbers[run]) == first + run)
        run++;
    return run;
}

/** Request huge pages for the part of a mapped run that covers whole huge pages of both addresses and
 *  places. */
static void collapse_run(struct kva_vm *vm, uint64_t start, uint64_t place, uint64_t count)
{
    const struct kva_pages *pages = &vm->pages;
    const uint64_t offset = bytes_of_pages(vm, place);
    const uint64_t end = align_down(start + bytes_of_pages(vm, count), pages->huge);
    uint64_t from;

    if (((start ^ offset) & (pages->huge - 1)) == 0 && align_up(start, pages->huge, &from) && from < end)
        pages->collapse(pages->context, vm->reservation, from, end - from);
}

static void collapse_runs(struct kva_vm *vm, uint64_t start, const struct kva_vm_frames *frames,
                          const uint64_t *numbers, size_t count)
{
    if (vm->pages.huge == 0 || vm->huge == KVA_HUGE_NEVER || !vm->pages.collapse)
        return;
    for (size_t i = 0, run; i < count; i += run) {
        run = kva_run_of(frames, &numbers[i], count - i);
        collapse_run(vm, start + bytes_of_pages(vm, i), place_of(frames, numbers[i]), run);
    }
}

static enum kva_status map_all_runs(struct kva_vm *vm, uint64_t start, const struct kva_vm_frames *frames,
                                    const uint64_t *numbers, size_t count)
{
    for (size_t i = 0, run; i < count; i += run) {
        run = kva_run_of(frames, &numbers[i], count - i);
        enum kva_status status =
            vm->pages.map(vm->pages.context, vm->reservation, start + bytes_of_pages(vm, i),
                          frames->frame_set, place_of(frames, numbers[i]), run);
        if (status == KVA_OK)
            continue;
        if (i > 0)
            vm->pages.unmap(vm->pages.context, vm->reservation, start, bytes_of_pages(vm, i));
        return status;
    }
    return KVA_OK;
}

enum kva_status kva_map_runs(struct kva_vm *vm, uint64_t start, struct kva_vm_frames *frames,
                             const uint64_t *numbers, size_t count, unsigned flags)
{
    enum kva_status status = map_all_runs(vm, start, frames, numbers, count);

    if (status != KVA_OK)
        return status;
    kva_note_numbers(vm, start, numbers, count);
    kva_link_pages(frames, start, count);
    if (flags & KVA_VM_HUGE)
        collapse_runs(vm, start, frames, numbers, count);
    return KVA_OK;
}

/* ------------------------------------------------------------------------------------- counting by a walk */

/** Raise the counts of a map's frames. */
static void use_map(struct kva_vm_frames *frames, const struct kva_descriptor *map)
{
    for (struct noted noted = noted_from(start_of(map), map->pages); next_noted(frames->vm, &noted);) {
        for (size_t i = 0; i < noted.count; i++)
            frames->uses[noted.numbers[i]]++;
    }
    frames->mapped += map->pages;
}

/** The first live map of a frame set that starts at or after an address; NULL if there is none. */
static struct kva_descriptor *map_from(const struct kva_vm_frames *frames, uint64_t address)
{
    struct kva_descriptor *area = kva_lookup_area_from(frames->vm, address);

    while (area && !(is_live_map(area) && area->of.frames == frames))
        area = area_after(frames->vm, area);
    return area;
}

static struct kva_descriptor *map_after(const struct kva_vm_frames *frames, const struct kva_descriptor *map)
{
    return map_from(frames, start_of(map) + (uint64_t)segment_bytes(frames->vm, map));
}

/** Recount the maps of a set's frames: the live ones. */
static void recount(struct kva_vm_frames *frames)
{
    uint64_t left = frames->taken;

    for (uint64_t i = 0; left > 0; i++) {
        frames->uses[i] = frames->uses[i] != 0;
        left -= frames->uses[i];
    }
    frames->mapped = 0;
    frames->pending = 0;
    for (const struct kva_descriptor *map = map_from(frames, frames->vm->frames_first); map;
         map = map_after(frames, map))
        use_map(frames, map);
}

void kva_forget_pending(struct kva_vm *vm)
{
    for (struct kva_vm_frames *frames = vm->frame_sets; frames; frames = frames->next) {
        if (frames->pending > 0)
            recount(frames);
    }
}

/** The pages of live maps of a frame set. */
static uint64_t live_map_pages(const struct kva_vm_frames *frames)
{
    uint64_t pages = 0;

    for (const struct kva_descriptor *map = map_from(frames, frames->vm->frames_first); map;
         map = map_after(frames, map))
        pages += map->pages;
    return pages;
}

/** The pages of ended maps of a frame set. */
static uint64_t ended_map_pages(const struct kva_vm_frames *frames)
{
    const struct kva_descriptor *ring = &frames->vm->ended.ring;
    uint64_t pages = 0;

    for (const struct kva_descriptor *map = ring->next; map != ring; map = map->next)
        pages += map->of.frames == frames ? map->pages : 0;
    return pages;
}

/** V7: the counts of a frame set. */
static const char *check_uses(const struct kva_vm_frames *frames)
{
    uint64_t uses = 0;
    uint64_t taken = 0;

    for (uint64_t i = 0; i < frames->count && taken < frames->taken; i++) {
        taken += frames->uses[i] != 0;
        uses += frames->uses[i] != 0 ? frames->uses[i] - 1 : 0;
    }
    if (taken != frames->taken || uses != frames->mapped || uses != live_map_pages(frames) + frames->pending)
        return "V7: the frames' counts differ from the live maps";
    return NULL;
}

const char *kva_check_mapped(const struct kva_vm *vm)
{
    const char *broken = NULL;

    for (const struct kva_vm_frames *frames = vm->frame_sets; frames && !broken; frames = frames->next) {
        broken = check_uses(frames);
        if (!broken)
            broken = kva_stock_check(&frames->stock);
        if (!broken && !frames->is_lost)
            broken = kva_check_names(frames, live_map_pages(frames) + ended_map_pages(frames));
    }
    return broken;
}
