/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Which nodes the pages of a reservation come from: see pages_nodes.c.
 */
#ifndef KVA_PORTS_LINUX_PAGES_NODES_H
#define KVA_PORTS_LINUX_PAGES_NODES_H

#include "numa.h"

/** Addresses [start, end). */
struct addresses {
    uintptr_t start;
    uintptr_t end;
};

/** A range of addresses and its nodes. */
struct binding {
    uintptr_t start;
    uintptr_t end;
    bool has_lost; /* maybe: a piece that was replaced, and that the kernel has refused to bind again */
    struct kva_vm_nodes nodes;
};

/** By address. None overlaps another, none has KVA_VM_NODES_ANY, and none has the nodes of one that it
 *  meets. */
struct binding_list {
    struct binding *at;
    size_t count;
    uint64_t ends; /* of bindings; one that two of them share counts once */
};

struct bindings {
    struct binding_list now;
    struct binding_list next; /* written before a change */
    struct binding *memory;   /* of both, pages of its own */
    size_t bytes;
    uint64_t lost; /* pieces of all bindings; there are no more */
    struct machine machine;
};

/** Whether the program may have these nodes: KVA_OK or KVA_ENOENT. Where it may not choose, there has to be
 *  nothing to choose. */
enum kva_status kva_port_may_bind(struct bindings *bindings, const struct kva_vm_nodes *nodes,
                                  uint64_t *calls);

/** Write the list as it is when a range is bound, and no longer to what it was bound to before; false if
 *  there is no memory. */
bool kva_port_plan_binding(struct bindings *bindings, uintptr_t start, uintptr_t end,
                           const struct kva_vm_nodes *nodes);

/** Bind that range; the planned list becomes the present one, and the other way round. KVA_OK; KVA_ENOENT:
 *  the kernel does not allow these nodes; KVA_ENOMEM: no memory, or no mapping. Then all is as it was. */
enum kva_status kva_port_bind_as_planned(struct bindings *bindings, uintptr_t start, uintptr_t end,
                                         const struct kva_vm_nodes *nodes, uint64_t *calls);

bool kva_port_is_binding_end(const struct binding_list *list, uintptr_t address);

/** A range was replaced by fresh mappings: bind them as it was bound. What the kernel refuses is noted as
 *  lost. */
void kva_port_rebind(struct bindings *bindings, uintptr_t start, uintptr_t end, uint64_t *calls);

/** Bind a gap once more, in those bindings that have lost something and that a part of the gap lies in; false
 *  if the kernel refuses it. */
bool kva_port_regain(struct bindings *bindings, struct addresses gap, struct addresses part, uint64_t *calls);

/** All gaps have been bound once more. */
void kva_port_regained_all(struct bindings *bindings);

/** How many ends of mappings there may be on top of those without bindings: the bindings', and two of each
 *  piece that is lost. */
static inline uint64_t binding_ends(const struct bindings *bindings)
{
    return bindings->now.ends + 2 * bindings->lost;
}

void kva_port_end_bindings(struct bindings *bindings);

#endif
