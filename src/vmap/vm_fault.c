/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What an address that faulted has to do with an instance, in one sentence. It runs in signal handlers: it takes
 * no memory and no lock, and changes nothing. Other threads may go on meanwhile, so nothing is followed but the table's entries,
 * which point to descriptors or are NULL: the space, whose nodes may be in the middle of a change, is not asked.
 */
#include "vm_words.h"

/** What is said of an area, be it there or purged. */
struct subject {
    uintptr_t start;
    uintptr_t end; /* behind its last page */
    enum kva_vm_kind kind;
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

/** "12 bytes past the end of" or "40 bytes into". */
static void put_place(struct kva_text *text, const struct subject *subject, uintptr_t address)
{
    if (address >= subject->end) {
        put_count(text, address - subject->end + 1, " byte");
        text_put(text, " past the end of");
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
    text_put(text, subject->kind == KVA_VM_BLOCK ? "-page block of short-lived maps " : "-page area ");
    text_put_hex(text, subject->start, 1);
    text_put(text, ", allocated at ");
    put_code(text, vm, subject->caller);
    text_put(text, ", freed: ");
    put_freed(text, vm, subject);
}

/** The area or map whose pages or guard hold an address; else the block; NULL if none. The table is read backwards from the
 *  address, as far as the longest area reaches that there ever was. */
static const struct kva_descriptor *area_before(const struct kva_vm *vm, uintptr_t address)
{
    uint64_t at = (address - vm->first) >> vm->page_shift;
    uint64_t longest = atomic_load_explicit(&vm->longest, memory_order_relaxed);

    for (uint64_t i = 0; i < longest && i <= at; i++) {
        const struct kva_descriptor *area = slot_read(vm, vm->first + (uintptr_t)bytes_of_pages(vm, at - i));
        if (area && address - start_of(area) < segment_bytes(vm, area))
            return area;
    }
    return NULL;
}

static bool find_present(const struct kva_vm *vm, uintptr_t address, struct subject *subject)
{
    const struct kva_descriptor *found = area_before(vm, address);
    struct kva_vm_area area;

    if (!found)
        return false;
    kva_describe_area(vm, found, &area);
    *subject =
        (struct subject){area.start, area.last + 1, area.kind, area.caller, area.freed_by, false, false};
    subject->freed = area.state != KVA_VM_LIVE;
    subject->later = area.state == KVA_VM_LATER;
    return true;
}

/** The youngest of the purged areas that are remembered at an address, its guard included. */
static bool find_past(const struct kva_vm *vm, uintptr_t address, struct subject *subject)
{
    for (unsigned i = 0; i < KVA_VM_HISTORY; i++) {
        const struct kva_past *past = &vm->past[(vm->past_next + KVA_VM_HISTORY - 1 - i) % KVA_VM_HISTORY];
        if (address - past->start >= past->bytes + past->guard)
            continue;
        *subject = (struct subject){.start = past->start, .end = past->start + past->bytes, .freed = true};
        subject->caller = past->caller;
        subject->freed_by = past->freed_by;
        return true;
    }
    return false;
}

size_t kva_vm_fault_describe(const struct kva_vm *vm, const void *address, bool write, char *text,
                             size_t bytes)
{
    uintptr_t at = (uintptr_t)address;
    struct subject subject;

    if (!text || bytes == 0)
        return 0;
    struct kva_text sentence = text_of(text, bytes);
    if (!vm || !is_in_reserve(vm, at))
        return 0;
    text_put(&sentence, write ? "write " : "read ");
    if (find_present(vm, at, &subject) || find_past(vm, at, &subject)) {
        put_subject(&sentence, vm, &subject, at);
    } else {
        text_put(&sentence, "of ");
        text_put_hex(&sentence, at, 1);
        text_put(&sentence, ", in the reserve of an instance of kva, where no area is or was of late");
    }
    return sentence.length;
}
