/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Giving areas back: at once into the cache, later in batches.
 *
 *      kva_vfree
 *        |-- a common size, and room for it ---> its bin           nothing else happens
 *        |                                        | another size needs the room
 *        |-- otherwise -----------> parked <------+               a list, first in, first out
 *        |                            |     ^----- short-lived maps that make way, see vm_ram.c
 *        |                            | more than the limit, or asked for
 *        |                            v
 *        |                          PURGE   slice by slice: the area parked first, with its neighbours, in one call
 *        |
 *        +-- hardened ---> unmapped at once ---> quarantine ---> free, first in, first out
 *
 * Merging pays because freed areas come in clusters, and because the guard pages between neighbours belong to their
 * segments: a run of a thousand parked areas is one range.
 *
 * A SLICE is what is done under one hold of the lock:
 *
 *      table     | A |   | B |   |   | C |   | D |   |        an entry where an area starts
 *                  live    parked      parked  parked
 *                          ^ its start is C's less one segment, so it is a neighbour
 *                                      ^ first of the list
 *                        |<------- one run ------->|          one call, and three segments freed
 *
 * It begins with the area that was parked first, and takes in its neighbours before and behind as far as they are parked, too,
 * and lie in the same GRAIN (vm->slice_bytes). Neighbours are found by the table, in which nobody has to be asked. A longer area
 * is closed piece by piece, a slice for each; it stays the first of the list until that is done, so that whoever takes the
 * next slice goes on with it. Therefore
 *
 *   1. any number of threads may purge at once: they take turns, and each slice makes the list shorter;
 *   2. nobody waits for longer than a slice: an allocation that finds no room takes slices itself;
 *   3. what was parked when a purge began is gone when the first of the list has a later ticket than the last one then.
 */
#include "vm.h"

/* ------------------------------------------------------------------------------------------------ helpers */

void kva_close_range(struct kva_vm *vm, uint64_t start, uint64_t bytes)
{
    unpoison((void *)(uintptr_t)start, (size_t)bytes);
    if (is_in_frames_part(vm, start))
        vm->pages.unmap(vm->pages.context, vm->stretch, start, bytes);
    else
        vm->pages.close(vm->pages.context, vm->stretch, start, bytes);
}

static void remember(struct kva_vm *vm, const struct kva_descriptor *area)
{
    vm->past[vm->past_next] = (struct kva_past){
        .start = start_of(area),
        .bytes = area_bytes(vm, area),
        .caller = area->caller,
        .freed_by = area->by.freed_by,
    };
    vm->past_next = (vm->past_next + 1) % KVA_VM_HISTORY;
}

void kva_drop_descriptor(struct kva_vm *vm, struct kva_descriptor *area)
{
    atomic_store_explicit(&area->key, KVA_VM_GONE, memory_order_relaxed);
    kva_nodes_push(&vm->areas, area);
}

void kva_forget_area(struct kva_vm *vm, struct kva_descriptor *area)
{
    if (kind_of(area) == KVA_VM_VMAP || kind_of(area) == KVA_VM_RAM)
        kva_forget_numbers(vm, start_of(area), area->pages);
    slot_clear(vm, start_of(area));
    count_out(&vm->all, area_bytes(vm, area));
    kva_drop_descriptor(vm, area);
}

void kva_drop_area(struct kva_vm *vm, struct kva_descriptor *area)
{
    kva_close_range(vm, start_of(area), segment_bytes(vm, area));
    (void)kva_free(vm->space, start_of(area));
    vm->slow_allocations -= is_counted(kind_of(area));
    kva_forget_area(vm, area);
}

/* -------------------------------------------------------------------------------------------------- parked */

void kva_park_area(struct kva_vm *vm, struct kva_descriptor *area)
{
    ring_add(&vm->parked_ring, area);
    area->of.ticket = vm->tickets++;
    vm->parked_span += segment_bytes(vm, area);
    if (is_short_map(vm, kind_of(area), area->pages))
        vm->parked_ram += area_bytes(vm, area);
    count_in(&vm->parked, area_bytes(vm, area));
    poison(memory_of(area), area_bytes(vm, area));
    set_state(area, KVA_VM_PARKED);
}

/** The area that was parked first, if it was before the ticket was given out; else NULL. Tickets wrap: they are compared by
 *  their distance. */
static struct kva_descriptor *parked_before_ticket(struct kva_vm *vm, uintptr_t ticket)
{
    struct kva_descriptor *first = vm->parked_ring.next;

    return first != &vm->parked_ring && (intptr_t)(first->of.ticket - ticket) < 0 ? first : NULL;
}

/** Drop a parked area whose pages are closed. */
static void unpark(struct kva_vm *vm, struct kva_descriptor *area)
{
    ring_remove(area);
    vm->parked_span -= segment_bytes(vm, area);
    if (is_short_map(vm, kind_of(area), area->pages))
        vm->parked_ram -= area_bytes(vm, area);
    count_out(&vm->parked, area_bytes(vm, area));
    remember(vm, area);
    (void)kva_free(vm->space, start_of(area));
    kva_forget_area(vm, area);
}

/* -------------------------------------------------------------------------------------------------- slices */

/** The start of the last segment before an address at which there is one; the address itself if there is none. Mostly it is near:
 *  the table's entries for a few pages before are on one or two cache lines. Else the space knows. */
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
    if (at == vm->first || kva_find(vm->space, address - 1, &segment) != KVA_OK || segment.state == KVA_FREE)
        return address;
    return (uintptr_t)segment.start;
}

static bool is_same_grain(const struct kva_vm *vm, uint64_t a, uint64_t b)
{
    return (a ^ b) < vm->slice_bytes;
}

/** Whether a segment that starts at an address is parked and may be closed by the same call as the one at `of`. No run reaches
 *  over both parts of the reserve, which are closed in different ways. */
static struct kva_descriptor *parked_neighbour(const struct kva_vm *vm, uintptr_t address, uintptr_t of)
{
    if (!is_in_reserve(vm, address) || !is_same_grain(vm, address, of) ||
        is_in_frames_part(vm, address) != is_in_frames_part(vm, of))
        return NULL;
    struct kva_descriptor *area = slot_read(vm, address);
    return area && state_of(area) == KVA_VM_PARKED ? area : NULL;
}

struct run {
    uintptr_t start;
    uintptr_t end; /* the last byte's successor */
};

/** The run of parked neighbours around an area that is no longer than a slice. All lie in one grain, or it is alone. */
static struct run run_around(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    const uintptr_t of = start_of(area);
    struct run run = {of, of + segment_bytes(vm, area)};
    struct kva_descriptor *next;

    if (!is_same_grain(vm, of, run.end - 1))
        return run;
    for (;;) {
        uintptr_t before = segment_before(vm, run.start);
        next = before != run.start ? parked_neighbour(vm, before, of) : NULL;
        if (!next || before + segment_bytes(vm, next) != run.start)
            break;
        run.start = before;
    }
    while ((next = parked_neighbour(vm, run.end, of)) &&
           is_same_grain(vm, of, run.end + segment_bytes(vm, next) - 1))
        run.end += segment_bytes(vm, next);
    return run;
}

/** Drop what was parked in a run, whose pages are closed. */
static void unpark_run(struct kva_vm *vm, struct run run)
{
    while (run.start < run.end) {
        struct kva_descriptor *area = slot_read(vm, run.start);
        run.start += segment_bytes(vm, area);
        unpark(vm, area);
    }
    vm->purged_runs++;
}

/** An area that is longer than a slice is closed in pieces of so many. Such areas are seldom touched everywhere, and then the calls
 *  are all that they cost. 64 MiB, closed in pieces, took on Linux 6.18, in us,
 *
 *      pieces of             2 MiB   4 MiB   8 MiB   16 MiB   64 MiB
 *      untouched, in all        61      33      16        8        1
 *      touched, one piece      101     164     298      560    1,967
 */
enum { PIECE_SLICES = 4 };

/** Close the next piece of an area. */
static void close_piece(struct kva_vm *vm, struct kva_descriptor *area)
{
    const uint64_t most = PIECE_SLICES * vm->slice_bytes;
    uint64_t start = start_of(area) + vm->head_closed;
    uint64_t left = segment_bytes(vm, area) - vm->head_closed;
    uint64_t piece = min_u64(left, most - (start & (most - 1)));

    kva_close_range(vm, start, piece);
    vm->head_closed += piece;
    if (piece < left)
        return;
    vm->head_closed = 0;
    vm->purged_runs++;
    unpark(vm, area);
}

static void purge_slice(struct kva_vm *vm, struct kva_descriptor *first)
{
    if (segment_bytes(vm, first) > vm->slice_bytes) {
        close_piece(vm, first);
        return;
    }
    struct run run = run_around(vm, first);
    kva_close_range(vm, run.start, run.end - run.start);
    unpark_run(vm, run);
}

bool kva_purge_some(struct kva_vm *vm, uintptr_t ticket)
{
    struct kva_descriptor *first = parked_before_ticket(vm, ticket);

    if (first)
        purge_slice(vm, first);
    return first;
}

/** Purge all that is parked now. */
static void purge_parked(struct kva_vm *vm)
{
    const uintptr_t ticket = vm->tickets;

    vm->purges += vm->parked.areas > 0;
    while (kva_purge_some(vm, ticket))
        main_yield(&vm->locks);
}

static bool is_excess_parked(const struct kva_vm *vm)
{
    return vm->parked_span > vm->lazy_limit || vm->parked_ram >= bytes_of_pages(vm, KVA_VM_PARKED_RAM);
}

/** A thread that finds a purge under way takes one slice of it: so what is parked does not grow, and no thread does the work of others
 *  alone. */
void kva_purge_excess(struct kva_vm *vm)
{
    if (!is_excess_parked(vm))
        return;
    if (vm->purgers > 0 && vm->lazy_limit > 0) {
        purge_slice(vm, vm->parked_ring.next);
        return;
    }
    vm->purgers++;
    purge_parked(vm);
    vm->purgers--;
}

/* ----------------------------------------------------------------------------------------------- retiring */

static void leave_quarantine(struct kva_vm *vm)
{
    struct kva_descriptor *area = vm->quarantine.head;

    vm->quarantine.head = area->next;
    if (!area->next)
        vm->quarantine.tail = &vm->quarantine.head;
    vm->quarantine_held -= segment_bytes(vm, area);
    count_out(&vm->quarantined, area_bytes(vm, area));
    (void)kva_free(vm->space, start_of(area));
    remember(vm, area);
    kva_forget_area(vm, area);
}

/** Hardened: unmap an area now, and keep its addresses out of use until as many bytes as the limit were freed after it. */
static void lock_away(struct kva_vm *vm, struct kva_descriptor *area)
{
    kva_close_range(vm, start_of(area), segment_bytes(vm, area));
    set_state(area, KVA_VM_QUARANTINED);
    area->next = NULL;
    *vm->quarantine.tail = area;
    vm->quarantine.tail = &area->next;
    vm->quarantine_held += segment_bytes(vm, area);
    count_in(&vm->quarantined, area_bytes(vm, area));
    while (vm->quarantine.head &&
           vm->quarantine_held - segment_bytes(vm, vm->quarantine.head) >= vm->quarantine_limit)
        leave_quarantine(vm);
}

static void discard(struct kva_vm *vm, struct kva_descriptor *area)
{
    if (vm->hardened)
        lock_away(vm, area);
    else
        kva_park_area(vm, area);
}

void kva_retire_area(struct kva_vm *vm, struct kva_descriptor *area, const void *by)
{
    vm->slow_frees += is_counted(kind_of(area));
    area->by.freed_by = by;
    bool is_cached = kind_of(area) == KVA_VM_VMALLOC && is_cacheable(vm, area) && kva_cache_put(vm, area, by);
    if (!is_cached)
        discard(vm, area);
}

/** End the quarantine of all that is in it now: first in, first out. What others add meanwhile stays. */
static void empty_quarantine(struct kva_vm *vm)
{
    const unsigned slice = 256; /* some 100 ns each: 26 us */

    for (uint64_t left = vm->quarantined.areas; left > 0 && vm->quarantine.head; left--) {
        leave_quarantine(vm);
        if (left % slice == 0)
            main_yield(&vm->locks);
    }
}

/** All is parked before anything is purged, so that as much as possible is merged. */
bool kva_purge_idle(struct kva_vm *vm)
{
    bool any = kva_cache_park_all(vm) || vm->quarantine.head;

    any = kva_ram_park_all(vm) || any;
    any = vm->parked.areas > 0 || any;
    purge_parked(vm);
    empty_quarantine(vm);
    return any;
}

void kva_purge_frozen(struct kva_vm *vm)
{
    kva_cpus_take(&vm->locks);
    kva_cache_park_frozen(vm);
    kva_ram_park_frozen(vm);
    vm->purges += vm->parked.areas > 0;
    while (kva_purge_some(vm, vm->tickets))
        continue;
    while (vm->quarantine.head)
        leave_quarantine(vm);
    kva_cpus_drop(&vm->locks);
}

/* --------------------------------------------------------------------------------------------------- free */

enum kva_status kva_why_not_live(const struct kva_vm *vm, uintptr_t address, enum kva_vm_kind kind)
{
    if (!is_in_reserve(vm, address))
        return KVA_EUNKNOWN;
    const struct kva_descriptor *area = kva_area_around(vm, address);
    if (!area)
        return KVA_EDOUBLE;
    if (state_of(area) == KVA_VM_RESIZING && start_of(area) == address)
        return KVA_EREENTRY;
    switch (told_state(area)) {
    case KVA_VM_LATER:
    case KVA_VM_PARKED:
    case KVA_VM_QUARANTINED:
        return KVA_EDEFERRED;
    case KVA_VM_CACHED:
        return KVA_EDOUBLE;
    default:
        break;
    }
    if (start_of(area) != address)
        return KVA_EINTERIOR;
    return kind_of(area) == kind ? KVA_EDOUBLE : KVA_EINVAL; /* by another thread, a moment ago */
}

struct kva_descriptor *kva_live_area(const struct kva_vm *vm, const void *memory, enum kva_vm_kind kind,
                                     enum kva_status *status)
{
    uintptr_t address = (uintptr_t)memory;
    struct kva_descriptor *area = area_at(vm, address);

    if (area && area_key(area) == key_of(address, kind, KVA_VM_LIVE))
        return area;
    *status = kva_why_not_live(vm, address, kind);
    return NULL;
}

/** The longer way. An area that could not be claimed may be live by now: it has been resized in the meantime. */
static enum kva_status free_slowly(struct kva_vm *vm, struct kva_descriptor *area, uintptr_t address,
                                   const void *by)
{
    enum kva_status status = KVA_OK;

    vm_enter(vm);
    vm->claims_met += area != NULL;
    if (!area)
        area = claim_area(vm, address);
    if (area) {
        kva_retire_area(vm, area, by);
        kva_purge_excess(vm);
    } else {
        status = refuse(vm, kva_why_not_live(vm, address, KVA_VM_VMALLOC), "kva_vfree", address);
    }
    vm_leave(vm);
    return status;
}

enum kva_status kva_vfree(struct kva_vm *vm, void *memory)
{
    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return KVA_OK;
    free_ready_unlocked(vm, 0);
    struct kva_vm_cpu *cpu = vm_cpu_here(vm);
    lock_take(&cpu->lock, vm->locks.threads);
    struct kva_descriptor *area = claim_area(vm, (uintptr_t)memory);
    bool is_cached =
        area && is_cacheable(vm, area) && cpu->cached.bytes + area_bytes(vm, area) <= vm->cache_share;
    if (is_cached) {
        cpu->frees++;
        cache_push(vm, cpu, area, CALLER());
    }
    cpu->claims += area && !is_cached;
    lock_drop(&cpu->lock, vm->locks.threads);
    return is_cached ? KVA_OK : free_slowly(vm, area, (uintptr_t)memory, CALLER());
}

/** Whether areas of a kind are handed out by their start. A per-CPU area is not, only objects in it. */
static bool is_handed_out(unsigned kind)
{
    return kind == KVA_VM_VMALLOC || kind == KVA_VM_VMAP || kind == KVA_VM_RAM;
}

/** Whether a key says that a live area, handed out by its start, begins at an address. */
static bool is_key_usable(uintptr_t key, uintptr_t address)
{
    unsigned kind = (unsigned)(key >> KEY_KIND_SHIFT & KEY_STATE);

    return is_handed_out(kind) &&
           (key == key_of(address, kind, KVA_VM_LIVE) || key == key_of(address, kind, KVA_VM_RESIZING));
}

/** With a CPU's lock: see vm.h for what that is good for. The key is read again behind the size, so that this is not the size
 *  of what the descriptor has come to describe meanwhile. */
size_t kva_vm_usable_size(const struct kva_vm *vm, const void *memory)
{
    const uintptr_t address = (uintptr_t)memory;
    size_t bytes = 0;

    if (!vm)
        return 0;
    struct kva_vm_cpu *cpu = vm_cpu_here(vm);
    lock_take(&cpu->lock, vm->locks.threads);
    const struct kva_descriptor *area = area_at(vm, address);
    uintptr_t key = area ? atomic_load_explicit(&area->key, memory_order_acquire) : KVA_VM_GONE;
    if (area && is_key_usable(key, address)) {
        bytes = usable_bytes(vm, area);
        atomic_thread_fence(memory_order_acquire);
        bytes = area_key(area) == key ? bytes : 0;
    }
    lock_drop(&cpu->lock, vm->locks.threads);
    return bytes;
}
