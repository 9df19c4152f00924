/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A sentence about an address that faulted. It names the nearest area: one byte before an area is an
 * underflow of that area, although the guard that was hit belongs to the area before it.
 *
 * This runs in signal handlers: it takes no memory and no lock, and writes only the count of its running
 * calls. Other threads may change the instance meanwhile. So only entries of the table are followed, which
 * are NULL or point to descriptors; the space, whose nodes may be in the middle of a change, is not used.
 * While a call runs, kva_vm_purge gives back neither tables nor descriptors.
 */
#include "vm_look.h"
#include "vm_table.h"
#include "vm_words.h"

/** What the sentence reports of an area, present or purged. */
struct subject {
    uintptr_t start;
    uintptr_t end; /* one past its last page */
    const void *caller;
    const void *freed_by;
    bool freed;
    bool later;
};

static void put_count(struct kva_text *text, uint64_t count, const char *what)
{
    text_put_decimal(text, count);
    text_put(text, what);
    if (count != 1)
        text_put(text, "s");
}

/** "12 bytes past the end of", "1 byte before" or "40 bytes into". */
static void put_place(struct kva_text *text, const struct subject *subject, uintptr_t address)
{
    if (address >= subject->end) {
        put_count(text, address - subject->end + 1, " byte");
        text_put(text, " past the end of");
    } else if (address < subject->start) {
        put_count(text, subject->start - address, " byte");
        text_put(text, " before");
    } else {
        put_count(text, address - subject->start, " byte");
        text_put(text, " into");
    }
}

static void put_freed(struct kva_text *text, const struct kva_vm *vm, const struct subject *subject)
{
    if (!subject->freed) {
        text_put(text, "no");
        return;
    }
    text_put(text, subject->later ? "after a grace period" : "yes");
    if (subject->freed_by) {
        text_put(text, ", at ");
        put_code(text, vm, subject->freed_by);
    }
}

static void put_subject(struct kva_text *text, const struct kva_vm *vm, const struct subject *subject,
                        uintptr_t address)
{
    put_place(text, subject, address);
    text_put(text, " the ");
    text_put_decimal(text, (subject->end - subject->start) >> vm->page_shift);
    text_put(text, "-page area ");
    text_put_hex(text, subject->start, 1);
    text_put(text, ", allocated at ");
    put_code(text, vm, subject->caller);
    text_put(text, ", freed: ");
    put_freed(text, vm, subject);
}

/* --------------------------------------------------------------------------------------- which area it is */

/** The farthest distance, in pages, of an area that is named: 1 MiB of 4 KiB pages, or 2 KiB of the table on
 *  either side. An access farther off was hardly meant for it. */
enum { NEAR_PAGES = 256 };

/** The number of the page of the reservation that holds an address. */
static uint64_t page_at(const struct kva_vm *vm, uintptr_t address)
{
    return (address - vm->first) >> vm->page_shift;
}

/** Whether an address lies in the closed page just below the reservation. */
static bool is_in_front(const struct kva_vm *vm, uintptr_t address)
{
    return address < vm->first && vm->first - address <= page_of(vm);
}

static const struct kva_descriptor *entry_of_page(const struct kva_vm *vm, uint64_t at)
{
    return slot_read(vm, vm->first + (uintptr_t)bytes_of_pages(vm, at));
}

/** How many pages before an address the start of an area that ends near it can lie, by the longest area ever
 *  entered. */
static uint64_t reach_of(const struct kva_vm *vm)
{
    return (uint64_t)atomic_load_explicit(&vm->longest, memory_order_relaxed) + NEAR_PAGES;
}

/** The last area that starts at or before an address, within reach_of(): the table is read downwards that
 *  far. */
static const struct kva_descriptor *area_before(const struct kva_vm *vm, uintptr_t address)
{
    const struct kva_descriptor *area = NULL;
    uint64_t at = page_at(vm, address);
    uint64_t reach = is_in_front(vm, address) ? 0 : reach_of(vm);

    for (uint64_t i = 0; i < reach && i <= at && !area; i++)
        area = entry_of_page(vm, at - i);
    return area;
}

/** The first area that starts on a page after the address', if it is near. */
static const struct kva_descriptor *near_area_after(const struct kva_vm *vm, uintptr_t address)
{
    const struct kva_descriptor *area = NULL;
    uint64_t at = is_in_front(vm, address) ? 0 : page_at(vm, address) + 1;
    uint64_t end = min_u64(at + NEAR_PAGES, vm->bytes >> vm->page_shift);

    for (; at < end && !area; at++)
        area = entry_of_page(vm, at);
    return area;
}

static struct subject present(const struct kva_vm *vm, const struct kva_descriptor *found)
{
    struct kva_vm_area area;

    kva_describe_area(vm, found, &area);
    return (struct subject){
        .start = area.start,
        .end = area.last + 1,
        .caller = area.caller,
        .freed_by = area.freed_by,
        .freed = area.state != KVA_VM_LIVE,
        .later = area.state == KVA_VM_LATER,
    };
}

static struct subject purged(const struct kva_past *past)
{
    return (struct subject){
        .start = past->start,
        .end = past->start + past->bytes,
        .caller = past->caller,
        .freed_by = past->freed_by,
        .freed = true,
    };
}

/** The distance of an address from an area's pages: 0 inside, 1 for the byte before the first and for the one
 *  after the last. */
static uintptr_t distance_to(const struct subject *subject, uintptr_t address)
{
    if (address < subject->start)
        return subject->start - address;
    return address < subject->end ? 0 : address - subject->end + 1;
}

/** The nearest area offered so far; of two at one distance, the first offered. */
struct nearest {
    uintptr_t address;
    uintptr_t distance; /* of the area found; if none, the limit */
    bool found;
    struct subject subject;
};

static void offer(struct nearest *nearest, struct subject subject)
{
    uintptr_t distance = distance_to(&subject, nearest->address);

    if (distance > nearest->distance || (nearest->found && distance == nearest->distance))
        return;
    nearest->found = true;
    nearest->distance = distance;
    nearest->subject = subject;
}

/** Offer the remembered purged areas, the newest first. */
static void offer_purged(const struct kva_vm *vm, struct nearest *nearest)
{
    for (unsigned i = 0; i < KVA_VM_HISTORY; i++) {
        const struct kva_past *past =
            &vm->history.past[(vm->history.next + KVA_VM_HISTORY - 1 - i) % KVA_VM_HISTORY];
        if (past->bytes > 0)
            offer(nearest, purged(past));
    }
}

/** The area that the sentence names:
 *
 *      | A           |g| B     |g|      hole       | C       |g|
 *              ^ A    ^^ A, or B if that is nearer    ^ C
 *                              ^ B     ^ a purged area there; else the nearest, of A .. C or purged
 *
 *  Purged areas count in holes only: elsewhere, the present area explains the fault better than an earlier
 *  one at its addresses. */
static bool find_nearest(const struct kva_vm *vm, uintptr_t address, struct subject *subject)
{
    struct nearest nearest = {.address = address, .distance = (uintptr_t)bytes_of_pages(vm, NEAR_PAGES)};
    const struct kva_descriptor *before = area_before(vm, address);
    const struct kva_descriptor *after = NULL;
    bool is_held = before && address - start_of(before) < segment_bytes(vm, before);

    if (before)
        offer(&nearest, present(vm, before));
    /* Inside an area, no other one is read: it may be in the middle of a change. */
    if (!nearest.found || nearest.distance > 0)
        after = near_area_after(vm, address);
    if (after)
        offer(&nearest, present(vm, after));
    if (!is_held)
        offer_purged(vm, &nearest);
    *subject = nearest.subject;
    return nearest.found;
}

/** find_nearest() while counted as a reader, so that nothing it finds is given back. */
static bool look_counted(const struct kva_vm *vm, uintptr_t address, struct subject *subject)
{
    struct kva_vm *counted = without_const(vm);

    atomic_fetch_add_explicit(&counted->lookers, 1, memory_order_acq_rel); /* see kva_trim_tables */
    bool found = find_nearest(vm, address, subject);
    atomic_fetch_sub_explicit(&counted->lookers, 1, memory_order_release);
    return found;
}

size_t kva_vm_fault_describe(const struct kva_vm *vm, const void *address, bool write, char *text,
                             size_t bytes)
{
    uintptr_t at = (uintptr_t)address;
    struct subject subject;

    if (!text || bytes == 0)
        return 0;
    struct kva_text sentence = text_of(text, bytes);
    if (!vm || !(is_in_reservation(vm, at) || is_in_front(vm, at)))
        return 0;
    text_put(&sentence, write ? "write " : "read ");
    if (look_counted(vm, at, &subject)) {
        put_subject(&sentence, vm, &subject, at);
    } else {
        text_put(&sentence, "of ");
        text_put_hex(&sentence, at, 1);
        text_put(&sentence, ", in the reservation of a kva instance, where there is no area now or recently");
    }
    return sentence.length;
}
