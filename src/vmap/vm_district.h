/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Districts: addresses whose pages come from particular nodes. See vm_district.c.
 */
#ifndef KVA_VMAP_VM_DISTRICT_H
#define KVA_VMAP_VM_DISTRICT_H

#include "../space/verify.h"
#include "vm_instance.h"

/** The number of nodes that no area has asked for yet: no descriptor's. */
enum { KVA_VM_NODES_NEW = KVA_VM_NODES_MOST };

/** The owner of a district whose pages come from anywhere, as the system has refused to undo what was bound.
 *  Nothing is placed there before that succeeds. */
#define KVA_DISTRICT_NOBODYS UINT64_MAX

/** A district whose addresses are divided among groups, for one per-CPU allocator. */
struct kva_stripes {
    uint64_t owner; /* the allocator's number; 0: the district is for whichever request asks for its nodes */
    uint64_t step;  /* bytes for each group */
    unsigned groups;
    const struct kva_vm_nodes *nodes; /* of each group */
};

static inline bool same_nodes(const struct kva_vm_nodes *a, const struct kva_vm_nodes *b)
{
    return a->policy == b->policy && a->set == b->set;
}

/** NULL, or the field of nodes that is not in order, which begins with `policy` or `set`. */
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

/** The number of nodes among so many: 0 for the instance's own. */
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

/** The number of nodes. Without the lock: what is numbered stays so. */
static inline unsigned number_of_nodes(const struct kva_vm *vm, const struct kva_vm_nodes *nodes)
{
    return number_among(vm, nodes, atomic_load_explicit(&vm->districts.numbered, memory_order_acquire));
}

/** The district that an address lies in; NULL: none. */
struct kva_district *kva_find_district(const struct kva_vm *vm, uint64_t address);

static inline struct kva_district *district_at(const struct kva_vm *vm, uint64_t address)
{
    return vm->districts.count == 0 ? NULL : kva_find_district(vm, address);
}

/** The space that has the segments of what lies in a district, or, with NULL, in none. */
static inline struct kva_space *space_of(const struct kva_vm *vm, const struct kva_district *district)
{
    return district ? &without_const(vm)->districts.space : vm->space;
}

/** Let a range's pages come from nodes: KVA_OK, KVA_ENOENT, KVA_ENOMEM, KVA_ELIMIT. */
enum kva_status kva_bind_pages(struct kva_vm *vm, uint64_t start, uint64_t bytes,
                               const struct kva_vm_nodes *nodes);

/** Take a district for areas of nodes: at least demand->size bytes at a multiple of demand->align, in the
 *  demand's window. KVA_ENOENT comes before all else. The attempt ends with kva_end_attempt. */
enum kva_status kva_take_district(struct kva_vm *vm, const struct kva_demand *demand,
                                  const struct kva_vm_nodes *nodes, struct kva_district **district);

/** Take one that is divided. */
enum kva_status kva_take_stripes(struct kva_vm *vm, const struct kva_stripes *stripes,
                                 struct kva_district **district);

/** The end of an attempt to take areas: where it has failed, and so given up what it had placed, the district
 *  that it took is given back. Returns `status`. */
enum kva_status kva_end_attempt(struct kva_vm *vm, enum kva_status status);

/** Give back the districts in which nothing is left; returns whether there was any. */
bool kva_trim_districts(struct kva_vm *vm);

/** Give back those of which nothing was left since this was called last, but for one for each value of nodes:
 *  what comes and goes would take one, and give it back, all the time. */
void kva_trim_emptied(struct kva_vm *vm);

/** Whether there is such a district. */
bool kva_has_empty_district(const struct kva_vm *vm);

/** Begin with none, and the instance's own nodes. */
void kva_init_districts(struct kva_vm *vm, const struct kva_vm_nodes *own);

/** Give back the memory that districts took, if there is none, or (`all`) whatever lies in them. */
void kva_end_districts(struct kva_vm *vm, bool all);

/** V12, as far as it is about districts: NULL, or how it is broken, and *at. */
const char *kva_check_districts(const struct kva_vm *vm, uint64_t *at);

#endif
