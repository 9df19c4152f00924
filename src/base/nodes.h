/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A cache of equal nodes. It takes memory only before a change, never during one.
 *
 *      slab   | header | pad | node | node | node | ...  fresh ...  | rest |
 *                                                 ^ fresh           ^ end
 *
 * Memory comes in SLABS of 4 KiB to 2 MiB that grow with the cache: a small space stays small, and a large
 * one takes rarely, in blocks that a huge page holds. Nodes are cut from a slab when they are first used, so
 * taking a slab touches only its header.
 *
 * Nodes that are pushed back go on a list, and are popped first, because they are still in the cache. Slabs
 * are given back only when the owner of the ledger ends: any slab may hold a node in use, and nodes do not
 * move.
 */
#ifndef KVA_BASE_NODES_H
#define KVA_BASE_NODES_H

#include "arith.h"
#include "ledger.h"

struct kva_slab {
    struct kva_slab *next;   /* of the same cache: taken after this one */
    struct kva_slab *before; /* of the same ledger: taken before this one */
    size_t bytes;
    unsigned char *fresh;
    unsigned char *end;
};

struct kva_free_node {
    struct kva_free_node *next;
};

struct kva_nodes {
    struct kva_ledger *ledger;
    size_t node_bytes; /* a multiple of a cache line; nodes begin on one */
    size_t available;  /* nodes that can be popped: listed and fresh ones */
    size_t in_use;     /* nodes popped and not pushed back */
    struct kva_free_node *list;
    struct kva_slab *newest; /* last taken */
    struct kva_slab *fresh;  /* no slab before this one has fresh nodes */
};

/** An empty cache of nodes of `node_bytes`, a multiple of a cache line. */
void kva_nodes_init(struct kva_nodes *nodes, struct kva_ledger *ledger, size_t node_bytes);

/** One block of `bytes`, aligned to a cache line, valid until kva_nodes_fini; NULL if the source refuses. */
void *kva_nodes_block(struct kva_ledger *ledger, size_t bytes);

/** Give back the slabs of all caches on a ledger, in reverse order, which a source that works like a stack
 *  requires. */
void kva_nodes_fini(struct kva_ledger *ledger);

/** The slow path of kva_nodes_ensure: take slabs until `count` nodes are available, or take none. */
bool kva_nodes_fill(struct kva_nodes *nodes, size_t count);

/** The slow path of kva_nodes_pop: cut a fresh node. */
void *kva_nodes_cut(struct kva_nodes *nodes);

/** Ensure that the next `count` pops succeed; false if the source refuses. */
static inline bool kva_nodes_ensure(struct kva_nodes *nodes, size_t count)
{
    return nodes->available >= count || kva_nodes_fill(nodes, count);
}

/** Take a node, which the caller has ensured. */
static inline void *kva_nodes_pop(struct kva_nodes *nodes)
{
    struct kva_free_node *node = nodes->list;

    check_contract(&nodes->ledger->hooks, nodes->available > 0, __func__, "E3: a node was not prepared", 0);
    nodes->available--;
    nodes->in_use++;
    if (!node)
        return kva_nodes_cut(nodes);
    nodes->list = node->next;
    return node;
}

static inline void kva_nodes_push(struct kva_nodes *nodes, void *memory)
{
    struct kva_free_node *node = memory;

    node->next = nodes->list;
    nodes->list = node;
    nodes->available++;
    nodes->in_use--;
}

#endif
