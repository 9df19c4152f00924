/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Bindings: ranges of a stretch whose pages come from some nodes.
 *
 *      stretch     |      | node 1            |            | interleaved  | preferred |
 *      mappings    |------|  rw  |-----|  rw  |------|  rw |--------------|   rw  |---|
 *                                ^ replaced: as a fresh mapping has no policy, mbind follows, and the kernel
 *                                  merges it with its neighbours as before
 *
 * A policy belongs to the mapping. Protection, advice and markers leave it; what is replaced loses it, and is
 * bound again at once. Where the kernel refuses that, as it may at the limit on mappings, the piece is LOST:
 * nobody has it as yet, for what is replaced is closed. Before anything is opened in that binding again, all
 * of it is bound anew, and if that is refused, so is the opening. So no page ever comes from other nodes than
 * its binding says.
 */
#define _GNU_SOURCE
#include "pages_nodes.h"

#include <errno.h>
#include <string.h>

#include "system.h"

/* ------------------------------------------------------------------------------------------------ the list */

/** The first binding that ends after an address. */
static size_t first_after(const struct bindings *bindings, uintptr_t address)
{
    size_t low = 0;

    for (size_t high = bindings->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (bindings->list[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/** Make room for two more: a binding, and what it leaves of one that it divides. */
static bool make_room(struct bindings *bindings)
{
    uint64_t calls = 0; /* bookkeeping is none of the stretch's calls */
    size_t bytes = bindings->room * sizeof *bindings->list;

    if (bindings->count + 2 <= bindings->room)
        return true;
    size_t more = bytes == 0 ? (size_t)page_size() : 2 * bytes;
    struct binding *list = (void *)map_memory(NULL, more, PROT_READ | PROT_WRITE, 0, &calls);
    if (!list)
        return false;
    if (bytes > 0) {
        memcpy(list, bindings->list, bindings->count * sizeof *list);
        (void)munmap(bindings->list, bytes);
    }
    bindings->list = list;
    bindings->room = more / sizeof *list;
    return true;
}

static void insert(struct bindings *bindings, size_t at, struct binding binding)
{
    memmove(&bindings->list[at + 1], &bindings->list[at], (bindings->count - at) * sizeof binding);
    bindings->list[at] = binding;
    bindings->count++;
}

static void take_out(struct bindings *bindings, size_t at)
{
    bindings->count--;
    memmove(&bindings->list[at], &bindings->list[at + 1], (bindings->count - at) * sizeof *bindings->list);
}

/** Cut a range out of the list; returns where one for it would stand.
 *
 *      | 1         | | 2 |  | 3       |
 *            | the range       |
 *      | 1   |                 | 3    |
 */
static size_t cut_out(struct bindings *bindings, uintptr_t start, uintptr_t end)
{
    size_t at = first_after(bindings, start);

    if (at < bindings->count && bindings->list[at].start < start) {
        struct binding rest = bindings->list[at];
        bindings->list[at++].end = start;
        rest.start = end;
        if (rest.end > end)
            insert(bindings, at, rest);
    }
    while (at < bindings->count && bindings->list[at].end <= end)
        take_out(bindings, at);
    if (at < bindings->count && bindings->list[at].start < end)
        bindings->list[at].start = end;
    return at;
}

static void count_lost(struct bindings *bindings)
{
    bindings->lost = 0;
    for (size_t at = 0; at < bindings->count; at++)
        bindings->lost += bindings->list[at].lost;
}

static uintptr_t lower(uintptr_t a, uintptr_t b)
{
    return a < b ? a : b;
}

static uintptr_t higher(uintptr_t a, uintptr_t b)
{
    return a > b ? a : b;
}

/* --------------------------------------------------------------------------------------------- the kernel */

static bool tell(uintptr_t start, uintptr_t end, const struct kva_vm_nodes *nodes, uint64_t *calls)
{
    return kva_port_set_nodes((void *)start, end - start, nodes, calls) == 0;
}

/** Tell the kernel of a range again what the list says of it. */
static void tell_as_listed(const struct bindings *bindings, uintptr_t start, uintptr_t end, uint64_t *calls)
{
    static const struct kva_vm_nodes none = {KVA_VM_NODES_ANY, 0};

    for (size_t at = first_after(bindings, start); start < end; at++) {
        const struct binding *next = at < bindings->count ? &bindings->list[at] : NULL;
        uintptr_t gap_end = next ? lower(next->start, end) : end;
        if (start < gap_end)
            (void)tell(start, gap_end, &none, calls);
        start = higher(start, gap_end);
        if (start == end)
            return;
        (void)tell(start, lower(next->end, end), &next->nodes, calls);
        start = lower(next->end, end);
    }
}

/** Whether the program may have these nodes. Where it may not choose, there has to be nothing to choose. */
static bool are_there(struct bindings *bindings, const struct kva_vm_nodes *nodes, uint64_t *calls)
{
    const struct machine *machine = &bindings->machine;

    kva_port_ask_machine(&bindings->machine, calls);
    return (nodes->set & ~machine->nodes) == 0 && (machine->can_choose || !machine->has_several);
}

enum kva_status kva_port_bind_range(struct bindings *bindings, uintptr_t start, uintptr_t end,
                                    const struct kva_vm_nodes *nodes, uint64_t *calls)
{
    if (!are_there(bindings, nodes, calls))
        return KVA_ENOENT;
    if (!bindings->machine.can_choose)
        return KVA_OK;
    if (!make_room(bindings))
        return KVA_ENOMEM;
    int error = kva_port_set_nodes((void *)start, end - start, nodes, calls);
    if (error != 0) { /* a part of it may be bound: mappings are told one by one. To undo that splits none */
        tell_as_listed(bindings, start, end, calls);
        return error == ENOMEM ? KVA_ENOMEM : KVA_ENOENT;
    }
    size_t at = cut_out(bindings, start, end);
    if (nodes->policy != KVA_VM_NODES_ANY)
        insert(bindings, at, (struct binding){start, end, 0, *nodes});
    count_lost(bindings);
    return KVA_OK;
}

void kva_port_rebind(struct bindings *bindings, uintptr_t start, uintptr_t end, uint64_t *calls)
{
    for (size_t at = first_after(bindings, start); at < bindings->count && bindings->list[at].start < end;
         at++) {
        struct binding *binding = &bindings->list[at];
        if (tell(higher(start, binding->start), lower(end, binding->end), &binding->nodes, calls))
            continue;
        binding->lost++;
        bindings->lost++;
    }
}

bool kva_port_regain(struct bindings *bindings, uintptr_t start, uintptr_t end, uint64_t *calls)
{
    bool all = true;

    for (size_t at = first_after(bindings, start); at < bindings->count && bindings->list[at].start < end;
         at++) {
        struct binding *binding = &bindings->list[at];
        if (binding->lost > 0 && !tell(binding->start, binding->end, &binding->nodes, calls))
            all = false;
        else
            binding->lost = 0;
    }
    count_lost(bindings);
    return all;
}

void kva_port_end_bindings(struct bindings *bindings)
{
    if (bindings->room > 0)
        (void)munmap(bindings->list, bindings->room * sizeof *bindings->list);
}
