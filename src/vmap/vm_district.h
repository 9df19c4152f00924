/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Districts: addresses whose pages come from requested nodes of memory. vm_district.c draws them.
 */
#ifndef KVA_VMAP_VM_DISTRICT_H
#define KVA_VMAP_VM_DISTRICT_H

#include "../space/verify.h"
#include "vm_instance.h"

/** Stands for nodes that have no number yet; no descriptor has it. */
enum { KVA_VM_NODES_NEW = KVA_VM_NODES_MOST };

/** The owner of a district that is left half bound, because the system refused to unbind it. No area is
 *  placed there until the unbinding succeeds and the district is given back. */
#define KVA_DISTRICT_UNUSABLE UINT64_MAX

/** How a district is divided among the groups of a per-CPU allocator. */
struct kva_stripes {
    uint64_t owner; /* the allocator's number; 0: any request for the nodes may use the district */
    uint64_t step;  /* the bytes of a stripe */
    unsigned groups;
    const struct kva_vm_nodes *nodes; /* of each group */
};

static inline bool same_nodes(const struct kva_vm_nodes *a, const struct kva_vm_nodes *b)
{
    return a->policy == b->policy && a->set == b->set;
}

/** NULL, or the invalid field of *nodes: `policy` or `set`, the caller's names of them. */
static inline const char *bad_in_nodes(const struct kva_vm_nodes *nodes, const char *policy, const char *set)
{
    bool has_one = has_one_bit_at_most(nodes->set) && nodes->set != 0;

    switch (nodes->policy) {
    case KVA_VM_NODES_ANY:
        return nodes->set == 0 ? NULL : set;
    case KVA_VM_NODES_PREFERRED:
        return has_one ? NULL : set;
    case KVA_VM_NODES_BOUND:
    case KVA_VM_NODES_INTERLEAVED:
        return nodes->set != 0 ? NULL : set;
    default:
        return policy;
    }
}

/** Find the number of `nodes` among the first `count` numbers: 0 for the instance's own;
 *  KVA_VM_NODES_NEW if they have none. */
static inline unsigned number_among(const struct kva_vm *vm, const struct kva_vm_nodes *nodes, unsigned count)
{
    if (nodes->policy == KVA_VM_NODES_ANY)
        return 0;
    for (unsigned i = 0; i < count; i++) {
        if (same_nodes(&vm->districts.nodes[i], nodes))
            return i;
    }
    return KVA_VM_NODES_NEW;
}

/** Find the number of `nodes`, without the lock: numbers are never withdrawn. Acquire load; pairs with the
 *  release in kva_end_attempt(). */
static inline unsigned number_of_nodes(const struct kva_vm *vm, const struct kva_vm_nodes *nodes)
{
    return number_among(vm, nodes, atomic_load_explicit(&vm->districts.numbered, memory_order_acquire));
}

/** The district that holds an address; NULL: none. */
struct kva_district *kva_lookup_district(const struct kva_vm *vm, uint64_t address);

static inline struct kva_district *district_at(const struct kva_vm *vm, uint64_t address)
{
    return vm->districts.count == 0 ? NULL : kva_lookup_district(vm, address);
}

/** The space with the segments of the areas in a district; with NULL, of those outside. */
static inline struct kva_space *space_of(const struct kva_vm *vm, const struct kva_district *district)
{
    return district ? &without_const(vm)->districts.space : vm->space;
}

/** Bind a range's pages to nodes: KVA_OK, KVA_ENOENT, KVA_ENOMEM, KVA_ELIMIT. */
enum kva_status kva_bind_pages(struct kva_vm *vm, uint64_t start, uint64_t bytes,
                               const struct kva_vm_nodes *nodes);

/** Take a district for areas of `nodes`: at least demand->size bytes, at a multiple of demand->align, in the
 *  demand's window. KVA_ENOENT takes precedence over all other statuses. The attempt ends with
 *  kva_end_attempt. */
enum kva_status kva_take_district(struct kva_vm *vm, const struct kva_demand *demand,
                                  const struct kva_vm_nodes *nodes, struct kva_district **district);

/** Take a district with stripes. */
enum kva_status kva_take_stripes(struct kva_vm *vm, const struct kva_stripes *stripes,
                                 struct kva_district **district);

/** End an attempt to take areas. A failed one has undone its placements; the district that it took is given
 *  back. Returns `status`. */
enum kva_status kva_end_attempt(struct kva_vm *vm, enum kva_status status);

/** Give back all empty districts; returns whether any was given back. */
bool kva_trim_districts(struct kva_vm *vm);

/** Give back the empty districts, but keep one for each value of nodes: allocations and frees in turn would
 *  otherwise take one and give it back each time. Does nothing unless a district became empty since the last
 *  call. */
void kva_trim_emptied(struct kva_vm *vm);

/** Whether any district is empty. */
bool kva_has_empty_district(const struct kva_vm *vm);

/** Start without districts, with the instance's own nodes. */
void kva_init_districts(struct kva_vm *vm, const struct kva_vm_nodes *own);

/** Free the memory of the districts, if there are none, or (`all`) in any case. */
void kva_end_districts(struct kva_vm *vm, bool all);

/** The part of V12 about districts: NULL, or how it is broken, and *at. */
const char *kva_check_districts(const struct kva_vm *vm, uint64_t *at);

#endif
