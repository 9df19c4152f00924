/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Which nodes the pages of a reservation come from: see pages_nodes.c. */
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
    bool has_lost; /* perhaps: a piece was replaced, and the kernel refused to bind it again */
    struct kva_vm_nodes nodes;
};

/** By address. No binding overlaps another or has KVA_VM_NODES_ANY, and two that meet have different
 *  nodes. */
struct binding_list {
    struct binding *at;
    size_t count;
    uint64_t ends; /* ends of bindings; one that two of them share counts once */
};

struct bindings {
    struct binding_list now;
    struct binding_list next; /* written before a change */
    struct binding *memory;   /* of both lists, in pages of its own */
    size_t bytes;
    uint64_t lost; /* at most so many pieces of all bindings are lost */
    struct machine machine;
};

/** Whether the program may use these nodes: KVA_OK or KVA_ENOENT. Where it cannot choose, the machine must
 *  have one node. */
enum kva_status kva_port_may_bind(struct bindings *bindings, const struct kva_vm_nodes *nodes,
                                  uint64_t *calls);

/** Write the list as it will be when a range is bound to these nodes, and no longer to others; false if there
 *  is no memory. */
bool kva_port_plan_binding(struct bindings *bindings, uintptr_t start, uintptr_t end,
                           const struct kva_vm_nodes *nodes);

/** Bind that range, and exchange the planned list and the present one. KVA_ENOENT: the kernel does not allow
 *  these nodes; KVA_ENOMEM: no memory, or no mapping. After a failure all is as before. */
enum kva_status kva_port_bind_as_planned(struct bindings *bindings, uintptr_t start, uintptr_t end,
                                         const struct kva_vm_nodes *nodes, uint64_t *calls);

bool kva_port_is_binding_end(const struct binding_list *list, uintptr_t address);

/** Bind a range that was replaced by fresh mappings as it was bound before. Pieces that the kernel refuses
 *  are noted as lost. */
void kva_port_rebind(struct bindings *bindings, uintptr_t start, uintptr_t end, uint64_t *calls);

/** Bind a gap again, for the bindings that overlap `part` and have lost a piece; false if the kernel refuses
 *  it. */
bool kva_port_regain(struct bindings *bindings, struct addresses gap, struct addresses part, uint64_t *calls);

/** Note that all gaps are bound again. */
void kva_port_regained_all(struct bindings *bindings);

/** How many ends of mappings the bindings may add: their own ends, and two for each lost piece. */
static inline uint64_t binding_ends(const struct bindings *bindings)
{
    return bindings->now.ends + 2 * bindings->lost;
}

void kva_port_end_bindings(struct bindings *bindings);

#endif
