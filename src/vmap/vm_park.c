/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Parked areas, and the slices in which a purge closes them.
 *
 * A purge closes adjacent parked areas by one call. That pays because freed areas come in clusters, and
 * because the guard between two neighbours belongs to a segment: a thousand adjacent parked areas are one
 * range.
 *
 * A SLICE is the work under one hold of the lock:
 *
 *      table     | A |   | B |   |   | C |   | D |   |        an entry where an area starts
 *                  live    parked      parked  parked
 *                          ^ its start is C's less one segment, so it is a neighbour
 *                                      ^ oldest on the ring
 *                        |<-------- one run -------->|        one call, and three segments freed
 *
 * A slice starts at the oldest parked area and extends to its parked neighbours on both sides, within one
 * GRAIN: slice_bytes of addresses, aligned. Neighbours are found in the table, without a search of the tree.
 * An area longer than a grain is closed piece by piece, one piece per slice; it stays the oldest until its
 * last piece is closed, so that the next slice, of any thread, continues it. Therefore
 *
 *   1. any number of threads may purge at once: they take turns, and each slice closes something;
 *   2. no thread waits for longer than one slice: an allocation that finds no room runs slices itself;
 *   3. the areas that were parked when a purge began are gone when the oldest parked area has a later ticket
 *      than the newest one had then.
 */
#include "vm_park.h"

static void remember(struct kva_vm *vm, const struct kva_descriptor *area)
{
    struct kva_history *history = &vm->history;

    history->past[history->next] = (struct kva_past){
        .start = start_of(area),
        .bytes = area_bytes(vm, area),
        .caller = area->caller,
        .freed_by = area->by.freed_by,
    };
    history->next = (history->next + 1) % KVA_VM_HISTORY;
}

/* ------------------------------------------------------------------------------------------------- parked */

void kva_park_area(struct kva_vm *vm, struct kva_descriptor *area)
{
    ring_add(&vm->parked.ring, area);
    area->of.ticket = vm->parked.tickets++;
    vm->parked.segment_bytes += segment_bytes(vm, area);
    vm->parked.foreign += is_foreign(area);
    if (is_short_map(vm, area_kind(area), area->pages))
        vm->parked.short_bytes += area_bytes(vm, area);
    count_in(&vm->parked.count, area_bytes(vm, area));
    poison(memory_of(area), area_bytes(vm, area));
    set_state(area, KVA_VM_PARKED);
}

bool kva_is_excess_parked(const struct kva_vm *vm)
{
    return vm->parked.segment_bytes > vm->parked.limit ||
           vm->parked.short_bytes >= bytes_of_pages(vm, KVA_VM_PARKED_RAM);
}

/** The oldest parked area, if its ticket is below `ticket`; else NULL. Tickets wrap, so their difference is
 *  compared. */
static struct kva_descriptor *parked_before_ticket(struct kva_vm *vm, uintptr_t ticket)
{
    struct kva_descriptor *first = vm->parked.ring.next;

    return first != &vm->parked.ring && (intptr_t)(first->of.ticket - ticket) < 0 ? first : NULL;
}

/** Forget a parked area whose pages are closed. */
static void unpark(struct kva_vm *vm, struct kva_descriptor *area)
{
    ring_remove(area);
    vm->parked.segment_bytes -= segment_bytes(vm, area);
    vm->parked.foreign -= is_foreign(area);
    if (is_short_map(vm, area_kind(area), area->pages))
        vm->parked.short_bytes -= area_bytes(vm, area);
    count_out(&vm->parked.count, area_bytes(vm, area));
    remember(vm, area);
    kva_forget_area(vm, area);
}

/* ------------------------------------------------------------------------------------------------- slices */

/** The start of the last segment below an address; the address itself if none is found. Mostly it is near:
 *  the table's entries for the few pages below lie on one or two cache lines. Else the space is searched. */
static uintptr_t segment_before(const struct kva_vm *vm, uintptr_t address)
{
    const unsigned near = 16;
    struct kva_segment segment;
    uintptr_t at = address;

    for (unsigned i = 0; i < near && at > vm->first; i++) {
        at -= (uintptr_t)page_of(vm);
        if (slot_read(vm, at))
            return at;
    }
    if (at == vm->first || !lookup_segment(vm, address - 1, &segment) || segment.state == KVA_FREE)
        return address;
    return (uintptr_t)segment.start;
}

static bool is_same_grain(const struct kva_vm *vm, uint64_t a, uint64_t b)
{
    return (a ^ b) < vm->parked.slice_bytes;
}

/** The parked area that starts at an address, if the call that closes `of` may close it too; else NULL. No
 *  run crosses from one part of the reservation to the other, nor the border of a district, where mappings
 *  end. No run mixes foreign areas with others: they are closed by different calls. */
static struct kva_descriptor *parked_neighbour(const struct kva_vm *vm, uintptr_t address,
                                               const struct kva_descriptor *of)
{
    const uintptr_t start = start_of(of);

    if (!is_in_reservation(vm, address) || !is_same_grain(vm, address, start) ||
        is_in_frames_part(vm, address) != is_in_frames_part(vm, start) ||
        district_at(vm, address) != district_at(vm, start))
        return NULL;
    struct kva_descriptor *area = slot_read(vm, address);
    return area && state_of(area) == KVA_VM_PARKED && is_foreign(area) == is_foreign(of) ? area : NULL;
}

struct parked_run {
    uintptr_t start;
    uintptr_t end; /* one past the last byte */
};

/** The run of parked neighbours around an area that is not longer than a grain. All of them lie in one grain;
 *  an area that crosses a grain's border is alone. */
static struct parked_run run_around(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    const uintptr_t of = start_of(area);
    struct parked_run run = {of, of + segment_bytes(vm, area)};
    struct kva_descriptor *next;

    if (!is_same_grain(vm, of, run.end - 1))
        return run;
    for (;;) {
        uintptr_t before = segment_before(vm, run.start);
        next = before != run.start ? parked_neighbour(vm, before, area) : NULL;
        if (!next || before + segment_bytes(vm, next) != run.start)
            break;
        run.start = before;
    }
    while ((next = parked_neighbour(vm, run.end, area)) &&
           is_same_grain(vm, of, run.end + segment_bytes(vm, next) - 1))
        run.end += segment_bytes(vm, next);
    return run;
}

/** Forget the parked areas of a run, whose pages are closed. */
static void unpark_run(struct kva_vm *vm, struct parked_run run)
{
    while (run.start < run.end) {
        struct kva_descriptor *area = slot_read(vm, run.start);
        run.start += segment_bytes(vm, area);
        unpark(vm, area);
    }
    vm->parked.purged_runs++;
}

/** An area longer than a grain is closed in pieces of this many grains. Few such areas are touched
 *  throughout, and then the calls are most of the cost. On Linux 6.18, 64 MiB closed in pieces took, in us,
 *
 *      pieces of             2 MiB   4 MiB   8 MiB   16 MiB   64 MiB
 *      untouched, in all        61      33      16        8        1
 *      touched, one piece      101     164     298      560    1,967
 */
enum { PIECE_SLICES = 4 };

/** Close the next piece of an area. */
static void close_next_piece(struct kva_vm *vm, struct kva_descriptor *area)
{
    const uint64_t most = PIECE_SLICES * vm->parked.slice_bytes;
    uint64_t start = start_of(area) + vm->parked.head_closed;
    uint64_t left = segment_bytes(vm, area) - vm->parked.head_closed;
    uint64_t piece = min_u64(left, most - (start & (most - 1)));

    kva_close_range(vm, start, piece, is_foreign(area));
    vm->parked.head_closed += piece;
    if (piece < left)
        return;
    vm->parked.head_closed = 0;
    vm->parked.purged_runs++;
    unpark(vm, area);
}

static void purge_slice(struct kva_vm *vm, struct kva_descriptor *first)
{
    if (segment_bytes(vm, first) > vm->parked.slice_bytes) {
        close_next_piece(vm, first);
        return;
    }
    struct parked_run run = run_around(vm, first);
    kva_close_range(vm, run.start, run.end - run.start, is_foreign(first));
    unpark_run(vm, run);
}

bool kva_purge_some(struct kva_vm *vm, uintptr_t ticket)
{
    struct kva_descriptor *first = parked_before_ticket(vm, ticket);

    if (first)
        purge_slice(vm, first);
    return first;
}

/* --------------------------------------------------------------------------------------------- quarantine */

void kva_leave_quarantine(struct kva_vm *vm)
{
    struct kva_descriptor *area = vm->quarantine.head;

    vm->quarantine.head = area->next;
    if (!area->next)
        vm->quarantine.tail = &vm->quarantine.head;
    vm->quarantine.segment_bytes -= segment_bytes(vm, area);
    count_out(&vm->quarantine.count, area_bytes(vm, area));
    remember(vm, area);
    kva_forget_area(vm, area);
}

void kva_quarantine_area(struct kva_vm *vm, struct kva_descriptor *area)
{
    kva_close_range(vm, start_of(area), segment_bytes(vm, area), is_foreign(area));
    set_state(area, KVA_VM_QUARANTINED);
    area->next = NULL;
    *vm->quarantine.tail = area;
    vm->quarantine.tail = &area->next;
    vm->quarantine.segment_bytes += segment_bytes(vm, area);
    count_in(&vm->quarantine.count, area_bytes(vm, area));
    while (vm->quarantine.head &&
           vm->quarantine.segment_bytes - segment_bytes(vm, vm->quarantine.head) >= vm->quarantine.limit)
        kva_leave_quarantine(vm);
}

/* ------------------------------------------------------------------------------------------------- checks */

/** V2: the ring is linked both ways, by increasing tickets. */
const char *kva_check_parked(const struct kva_vm *vm, const struct kva_count *parked)
{
    const struct kva_descriptor *ring = &vm->parked.ring;
    struct kva_count count = {0, 0};
    uint64_t total = 0;
    size_t foreign = 0;
    bool right = true;

    for (const struct kva_descriptor *area = ring->next; right && area != ring; area = area->next) {
        bool rises = area->prev == ring || (intptr_t)(area->of.ticket - area->prev->of.ticket) > 0;
        right = state_of(area) == KVA_VM_PARKED && area->next->prev == area && rises;
        count_in(&count, area_bytes(vm, area));
        total += segment_bytes(vm, area);
        foreign += is_foreign(area);
    }
    right = right && total == vm->parked.segment_bytes && foreign == vm->parked.foreign &&
            same_count(&count, parked);
    return right ? NULL : "V2: the parked ring does not hold each parked area";
}
