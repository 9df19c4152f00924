/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Bindings: ranges of a reservation whose pages come from some nodes.
 *
 *      reservation |      | node 1            |            | interleaved  | preferred |
 *      mappings    |------|  rw  |-----|  rw  |------|  rw |--------------|   rw  |---|
 *                                ^ replaced: a fresh mapping has no policy, so mbind follows, and the kernel
 *                                  merges it with its neighbours as before
 *
 * A policy belongs to the mapping. Protection, advice and markers keep it. A run that is replaced loses it,
 * and is bound again at once. The kernel may refuse that, as it does at the limit on mappings. Then the piece
 * is LOST. It has no owner, because a replaced run is closed.
 *
 * GAPS. Before a run gets an owner, all of its gap is bound again: the run, and the pages without an owner on
 * both sides of it. If the kernel refuses that, the opening fails. So no page of an owner ever comes from
 * other nodes than those of its binding, and changes that owners made to their mappings stay. Each lost piece
 * lies in one gap, so this binds it as a whole, and takes no further mapping.
 *
 * THE LIST. A change writes the list as it will be beside the list as it is. The two are exchanged after the
 * kernel has agreed. Neighbours with the same nodes become one binding, as the kernel makes one mapping of
 * them.
 */
#include "gnu.h"

#include "pages_nodes.h"

#include <errno.h>
#include <string.h>

#include "system.h"

/* ----------------------------------------------------------------------------------------------- the list */

/** The first binding that ends after an address. */
static size_t first_after(const struct binding_list *list, uintptr_t address)
{
    size_t low = 0;

    for (size_t high = list->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (list->at[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

bool kva_port_is_binding_end(const struct binding_list *list, uintptr_t address)
{
    size_t at = first_after(list, address);

    return (at < list->count && list->at[at].start == address) || (at > 0 && list->at[at - 1].end == address);
}

/** Make room for both lists, one after the other, each with two entries more: a binding, and the rest of one
 *  that it divides. */
static bool make_room_for_bindings(struct bindings *bindings)
{
    uint64_t calls = 0; /* not counted */
    struct binding *old = bindings->memory;
    size_t bytes = bindings->bytes;

    if (bindings->now.count + 2 <= bindings->bytes / 2 / sizeof *old)
        return true;
    size_t more = bytes == 0 ? (size_t)page_size() : 2 * bytes;
    struct binding *memory = (void *)map_memory(NULL, more, PROT_READ | PROT_WRITE, 0, &calls);
    if (!memory)
        return false;
    if (bytes > 0) {
        memcpy(memory, bindings->now.at, bindings->now.count * sizeof *memory);
        (void)munmap(old, bytes);
    }
    bindings->memory = bindings->now.at = memory;
    bindings->next.at = memory + more / 2 / sizeof *memory;
    bindings->bytes = more;
    return true;
}

static bool are_same(const struct kva_vm_nodes *a, const struct kva_vm_nodes *b)
{
    return a->policy == b->policy && a->set == b->set;
}

/** Append a binding, unless it is empty. An end that two bindings share counts once. */
static void append_binding(struct binding_list *list, struct binding binding)
{
    struct binding *last = list->count == 0 ? NULL : &list->at[list->count - 1];
    bool meets = last && last->end == binding.start;

    if (binding.start >= binding.end || binding.nodes.policy == KVA_VM_NODES_ANY)
        return;
    if (meets && are_same(&last->nodes, &binding.nodes)) {
        last->end = binding.end;
        last->has_lost = last->has_lost || binding.has_lost;
        return;
    }
    list->at[list->count++] = binding;
    list->ends += meets ? 1 : 2;
}

static uintptr_t lower(uintptr_t a, uintptr_t b)
{
    return a < b ? a : b;
}

static uintptr_t higher(uintptr_t a, uintptr_t b)
{
    return a > b ? a : b;
}

/** Append the part of a binding that lies in a range. */
static void append_part(struct binding_list *list, struct binding binding, uintptr_t start, uintptr_t end)
{
    binding.start = higher(binding.start, start);
    binding.end = lower(binding.end, end);
    append_binding(list, binding);
}

/** Write the next list: the present one, with a range bound to some nodes.
 *
 *      | 1         | | 2 |  | 3       |
 *            | the range       |
 *      | 1   | the range       | 3    |
 */
static void write_next(struct bindings *bindings, struct binding range)
{
    const struct binding_list *now = &bindings->now;
    struct binding_list *next = &bindings->next;

    next->count = 0;
    next->ends = 0;
    for (size_t i = 0; i < now->count; i++)
        append_part(next, now->at[i], 0, range.start);
    append_binding(next, range);
    for (size_t i = 0; i < now->count; i++)
        append_part(next, now->at[i], range.end, UINTPTR_MAX);
}

bool kva_port_plan_binding(struct bindings *bindings, uintptr_t start, uintptr_t end,
                           const struct kva_vm_nodes *nodes)
{
    if (!make_room_for_bindings(bindings))
        return false;
    write_next(bindings, (struct binding){start, end, false, *nodes});
    return true;
}

/** If no binding has a lost piece any more, clear the count of lost pieces. */
static void forget_pieces(struct bindings *bindings)
{
    for (size_t at = 0; at < bindings->now.count; at++) {
        if (bindings->now.at[at].has_lost)
            return;
    }
    bindings->lost = 0;
}

/** A change may divide a lost piece into two. */
static void exchange(struct bindings *bindings)
{
    struct binding_list old = bindings->now;

    bindings->now = bindings->next;
    bindings->next = old;
    bindings->lost += bindings->lost > 0;
    forget_pieces(bindings);
}

/* --------------------------------------------------------------------------------------------- the kernel */

static bool bind_addresses(uintptr_t start, uintptr_t end, const struct kva_vm_nodes *nodes, uint64_t *calls)
{
    return kva_port_set_nodes((void *)start, end - start, nodes, calls) == 0;
}

/** Bind a range to the nodes that it has in the list. */
static void bind_as_listed(const struct binding_list *list, uintptr_t start, uintptr_t end, uint64_t *calls)
{
    static const struct kva_vm_nodes none = {KVA_VM_NODES_ANY, 0};

    for (size_t at = first_after(list, start); start < end; at++) {
        const struct binding *next = at < list->count ? &list->at[at] : NULL;
        uintptr_t gap_end = next ? lower(next->start, end) : end;
        if (start < gap_end)
            (void)bind_addresses(start, gap_end, &none, calls);
        start = higher(start, gap_end);
        if (start == end)
            return;
        (void)bind_addresses(start, lower(next->end, end), &next->nodes, calls);
        start = lower(next->end, end);
    }
}

enum kva_status kva_port_may_bind(struct bindings *bindings, const struct kva_vm_nodes *nodes,
                                  uint64_t *calls)
{
    const struct machine *machine = &bindings->machine;

    kva_port_ask_machine(&bindings->machine, calls);
    if ((nodes->set & ~machine->nodes) != 0 || (!machine->can_choose && machine->has_several))
        return KVA_ENOENT;
    return KVA_OK;
}

enum kva_status kva_port_bind_as_planned(struct bindings *bindings, uintptr_t start, uintptr_t end,
                                         const struct kva_vm_nodes *nodes, uint64_t *calls)
{
    int error = kva_port_set_nodes((void *)start, end - start, nodes, calls);

    if (error == 0) {
        exchange(bindings);
        return KVA_OK;
    }
    /* A part of it may be bound, because the kernel binds mapping by mapping. To undo that splits none. */
    bind_as_listed(&bindings->now, start, end, calls);
    return error == ENOMEM ? KVA_ENOMEM : KVA_ENOENT;
}

void kva_port_rebind(struct bindings *bindings, uintptr_t start, uintptr_t end, uint64_t *calls)
{
    struct binding_list *list = &bindings->now;

    for (size_t i = first_after(list, start); i < list->count && list->at[i].start < end; i++) {
        struct binding *binding = &list->at[i];
        if (bind_addresses(higher(start, binding->start), lower(end, binding->end), &binding->nodes, calls))
            continue;
        binding->has_lost = true;
        bindings->lost++;
    }
}

bool kva_port_regain(struct bindings *bindings, struct addresses gap, struct addresses part, uint64_t *calls)
{
    struct binding_list *list = &bindings->now;
    bool all = true;

    for (size_t i = first_after(list, part.start); i < list->count && list->at[i].start < part.end; i++) {
        struct binding *binding = &list->at[i];
        uintptr_t start = higher(gap.start, binding->start);
        uintptr_t end = lower(gap.end, binding->end);
        if (!binding->has_lost)
            continue;
        if (!bind_addresses(start, end, &binding->nodes, calls))
            all = false;
        else if (start == binding->start && end == binding->end)
            binding->has_lost = false;
    }
    forget_pieces(bindings);
    return all;
}

void kva_port_regained_all(struct bindings *bindings)
{
    for (size_t i = 0; i < bindings->now.count; i++)
        bindings->now.at[i].has_lost = false;
    bindings->lost = 0;
}

void kva_port_end_bindings(struct bindings *bindings)
{
    if (bindings->bytes > 0)
        (void)munmap(bindings->memory, bindings->bytes);
}
