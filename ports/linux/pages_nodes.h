/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Which nodes the pages of a stretch come from: see pages_nodes.c.
 */
#ifndef KVA_PORTS_LINUX_PAGES_NODES_H
#define KVA_PORTS_LINUX_PAGES_NODES_H

#include "numa.h"

/** A range of addresses and its nodes. */
struct binding {
    uintptr_t start;
    uintptr_t end;
    uint64_t lost; /* pieces of it that were replaced, and for which the kernel has refused to be told so */
    struct kva_vm_nodes nodes;
};

struct bindings {
    struct binding *list; /* by address; none overlaps another, and none has KVA_VM_NODES_ANY */
    size_t count;
    size_t room;   /* entries of `list`, which has pages of its own */
    uint64_t lost; /* of all bindings */
    struct machine machine;
};

/** Bind a range, and undo what it was bound to before. KVA_OK; KVA_ENOENT: a node is not there, or not for
 *  this program; KVA_ENOMEM: no memory, or no mapping: then all is as it was. */
enum kva_status kva_port_bind_range(struct bindings *bindings, uintptr_t start, uintptr_t end,
                                    const struct kva_vm_nodes *nodes, uint64_t *calls);

/** A range was replaced by fresh mappings: bind them as it was bound. What the kernel refuses is noted as
 *  lost. */
void kva_port_rebind(struct bindings *bindings, uintptr_t start, uintptr_t end, uint64_t *calls);

/** Bind once more what was lost of the bindings that a range lies in; false if the kernel refuses it. */
bool kva_port_regain(struct bindings *bindings, uintptr_t start, uintptr_t end, uint64_t *calls);

/** How many mappings more than without them there may be: two for each binding and each piece. */
static inline uint64_t binding_ends(const struct bindings *bindings)
{
    return 2 * (bindings->count + bindings->lost);
}

void kva_port_end_bindings(struct bindings *bindings);

#endif
