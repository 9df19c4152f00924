/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THE INVARIANTS. kva_vm_check verifies them, and returns their names. Brackets name the room that keeps and
 * checks one; the others take a walk over all segments, and are checked here.
 *
 *   V1  Every segment that is not free has one descriptor, found in the table at its start, and covers
 *       exactly the area and its guard.
 *   V2  The parked ring holds each parked descriptor once, in the order of parking. [vm_park]
 *   V3  A cached descriptor lies in a CPU's bin for its page count, and bins hold no others. [vm_cache]
 *   V4  The counts of areas and bytes equal those of a walk.
 *   V5  Vmalloc and per-CPU areas lie in the private part, maps in the frames part.
 *   V6  Each ended map is once in the index, in the chain of its frames, and once on the ring. Neither holds
 *       anything else, nor more pages than the limit. [vm_ended]
 *   V7  A frame's count equals its live maps and those that are being made. [vm_mapped]
 *   V8  A record passed to kva_vfree_ready names an area that waits for it. [vm_ready, in kva_free_ready]
 *   V9  A per-CPU chunk's areas name it. It is on the list of chunks without memory, or on that of chunks
 *       without objects, or it has objects. [vm_pcpu]
 *   V10 Pages without an owner are mapped as the page source left them: protection, file, attributes.
 *   V11 The directory of the table of areas counts the entries in use of each part. [vm_table]
 *   V12 A district is one segment of the space. An area lies inside one district, and has its number of
 *       nodes; or it lies outside all districts, and has number 0. [vm_district]
 *   V13 The taken places of a frame set are those that the page-frame allocator has allocated. [vm_stock]
 *   V14 In a movable frame set, the places are a permutation of the numbers, and the chain of a number holds
 *       the pages of live and ended maps that map its frame. [vm_names]
 */
#include "vm_check.h"

#include "vm_cache.h"
#include "vm_ended.h"
#include "vm_mapped.h"
#include "vm_pcpu.h"

/* ------------------------------------------------------------------------------------------- the segments */

/** The counts of a walk over the segments. */
struct area_walk {
    struct kva_count all;
    struct kva_count state[KVA_VM_QUARANTINED + 1]; /* parked: without ended maps */
    struct kva_count ended;
    uint64_t ram_live;
    uint64_t parked_ram; /* bytes */
};

static bool is_part_right(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    bool private_memory = area_kind(area) == KVA_VM_VMALLOC || area_kind(area) == KVA_VM_PCPU;

    return private_memory == !is_in_frames_part(vm, start_of(area));
}

/** The nodes of an area match its district. A district with stripes holds per-CPU areas only; its allocator
 *  may be gone. */
static bool are_nodes_right(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    const struct kva_district *district = district_at(vm, start_of(area));

    return district && district->owner != 0 ? area_kind(area) == KVA_VM_PCPU
                                            : area->nodes == (district ? district->number : 0);
}

/** Count a short-lived map: these have counts of their own. */
static void count_short_map(const struct kva_vm *vm, const struct kva_descriptor *area,
                            struct area_walk *walk)
{
    walk->ram_live += is_live(area);
    walk->parked_ram += state_of(area) == KVA_VM_PARKED ? area_bytes(vm, area) : 0;
}

static void count_area(const struct kva_vm *vm, const struct kva_descriptor *area, struct area_walk *walk)
{
    bool has_ended = state_of(area) == KVA_VM_ENDED;

    count_in(&walk->all, area_bytes(vm, area));
    count_in(has_ended ? &walk->ended : &walk->state[public_state(area)], area_bytes(vm, area));
    if (is_short_map(vm, area_kind(area), area->pages))
        count_short_map(vm, area, walk);
}

static const char *check_segment(const struct kva_vm *vm, const struct kva_segment *segment,
                                 struct area_walk *walk)
{
    const struct kva_descriptor *area = slot_read(vm, (uintptr_t)segment->start);

    if (!area || start_of(area) != segment->start)
        return "V1: a segment has no descriptor";
    if (segment_bytes(vm, area) != segment->last - segment->start + 1)
        return "V1: a segment's size differs from its area and guard";
    if ((public_state(area) == KVA_VM_PARKED) != (area->prev != NULL))
        return "V2: a parked area is on no ring, or one in another state is on a ring";
    if (!is_part_right(vm, area))
        return "V5: an area lies in the wrong part of the reservation";
    if (!are_nodes_right(vm, area))
        return "V12: an area's nodes differ from its district's";
    count_area(vm, area, walk);
    return NULL;
}

static const char *check_area_counts(const struct kva_vm *vm, const struct area_walk *walk)
{
    bool right = same_count(&vm->all, &walk->all) && same_count(&vm->later, &walk->state[KVA_VM_LATER]) &&
                 same_count(&vm->parked.count, &walk->state[KVA_VM_PARKED]) &&
                 same_count(&vm->quarantine.count, &walk->state[KVA_VM_QUARANTINED]) &&
                 same_count(&vm->ended.count, &walk->ended) && vm->ended.live == walk->ram_live &&
                 vm->parked.short_bytes == walk->parked_ram;

    return right ? NULL : "V4: the counts differ from those of a walk";
}

/* ------------------------------------------------------------------------------------------- the mappings */

/** Whether an area's owner may still change how its pages are mapped. (For a foreign area, its changes last
 *  until the purge.) */
static bool is_owned(const struct kva_descriptor *area)
{
    return is_live(area) || state_of(area) == KVA_VM_LATER;
}

/** The use of a page of an area or its guard. Of the oldest parked area, a part may be closed already. */
static enum kva_pages_use use_in_area(const struct kva_vm *vm, const struct kva_descriptor *area,
                                      uintptr_t address, uint64_t *end)
{
    uint64_t pages_end = start_of(area) + (uint64_t)area_bytes(vm, area);
    uint64_t closed_end = start_of(area) + (area == vm->parked.ring.next ? vm->parked.head_closed : 0);

    if (address >= pages_end)
        return KVA_PAGES_IDLE;
    *end = address < closed_end ? min_u64(closed_end, pages_end) : pages_end;
    if (is_owned(area) || (is_foreign(area) && public_state(area) == KVA_VM_PARKED && address >= closed_end))
        return KVA_PAGES_OWNED;
    bool is_mapped = is_in_frames_part(vm, address) && public_state(area) == KVA_VM_PARKED;
    return is_mapped && address >= closed_end ? KVA_PAGES_MAPPED : KVA_PAGES_IDLE;
}

static enum kva_pages_use use_of_page(void *context, uint64_t address, uint64_t *end)
{
    const struct kva_vm *vm = context;
    struct kva_segment segment;

    if (!lookup_segment(vm, address, &segment)) { /* a page of the page source */
        *end = address + page_of(vm);
        return KVA_PAGES_IDLE;
    }
    *end = segment.last + 1;
    if (segment.state == KVA_FREE)
        return KVA_PAGES_IDLE;
    const struct kva_descriptor *area = slot_read(vm, (uintptr_t)segment.start);
    return use_in_area(vm, area, (uintptr_t)address, end);
}

static void *frame_set_number(void *context, size_t number)
{
    const struct kva_vm *vm = context;
    const struct kva_vm_frames *frames = vm->frame_sets;

    while (frames && number-- > 0)
        frames = frames->next;
    return frames ? frames->frame_set : NULL;
}

const char *kva_check_mappings(const struct kva_vm *vm, uint64_t *address)
{
    const struct kva_pages_view view = {use_of_page, frame_set_number, without_const(vm)};

    return vm->pages.check ? vm->pages.check(vm->pages.context, vm->reservation, &view, address) : NULL;
}

/* ---------------------------------------------------------------------------------------- the whole check */

static const char *check_all(const struct kva_vm *vm, uint64_t *at)
{
    struct area_walk walk = {0};
    struct kva_segment segment = {.last = vm->first - 1};
    const char *broken = NULL;

    while (!broken && kva_lookup_segment_from(vm, segment.last + 1, &segment)) {
        *at = segment.start;
        broken = check_segment(vm, &segment, &walk);
    }
    if (broken)
        return broken;
    *at = vm->first;
    broken = kva_check_cache(vm, &walk.state[KVA_VM_CACHED]);
    if (!broken)
        broken = kva_check_parked(vm, &walk.state[KVA_VM_PARKED]);
    if (!broken)
        broken = kva_check_ended(vm);
    if (!broken)
        broken = kva_check_pcpu(vm);
    if (!broken)
        broken = kva_check_districts(vm, at);
    if (broken)
        return broken;
    *at = vm->first;
    broken = check_area_counts(vm, &walk);
    if (!broken)
        broken = kva_check_tables(vm);
    if (!broken)
        broken = kva_check_mapped(vm);
    return broken ? broken : kva_check_mappings(vm, at);
}

enum kva_status kva_vm_check(const struct kva_vm *vm, struct kva_fault *fault)
{
    uint64_t at = 0;

    if (!vm)
        return KVA_ENULL;
    kva_locks_freeze(&vm->locks);
    enum kva_status status = check_places(vm, fault);
    const char *broken = status == KVA_OK ? check_all(vm, &at) : NULL;
    kva_locks_thaw(&vm->locks);
    if (!broken)
        return status;
    if (fault)
        *fault = (struct kva_fault){.status = KVA_ECORRUPT, .where = __func__, .what = broken, .address = at};
    return KVA_ECORRUPT;
}
