/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A cache of equal nodes, filled before a change and never during one.
 *
 * Memory comes in SLABS that grow with the space from 4 KiB to 2 MiB: a small space stays small, and a large
 * one asks rarely, for pieces that a huge page holds. Nodes are cut from a slab only when they are first
 * used, so that taking a slab touches one line of it.
 *
 *      slab   | header | pad | node | node | node | ...  fresh ...  | rest |
 *                                                    ^ fresh         ^ end
 *
 * Nodes that come back go on a list and are the first to go out again, still warm. Slabs are given back only
 * when the owner of the ledger ends: a node may lie anywhere, and moving it would cost more than it saves.
 */
#ifndef KVA_BASE_NODES_H
#define KVA_BASE_NODES_H

#include "arith.h"
#include "ledger.h"

struct kva_slab {
    struct kva_slab *next;   /* of the same cache; in the order in which they were taken */
    struct kva_slab *before; /* of the same ledger: taken just before this one */
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
    size_t available;  /* nodes that can be popped: on the list, and fresh */
    size_t in_use;     /* nodes that were popped and not pushed back */
    struct kva_free_node *list;
    struct kva_slab *newest; /* last taken */
    struct kva_slab *fresh;  /* the first that may have fresh nodes left */
};

/** An empty cache of nodes of `node_bytes`, a multiple of a cache line. */
void kva_nodes_init(struct kva_nodes *nodes, struct kva_ledger *ledger, size_t node_bytes);

/** One block of `bytes`, on a cache line, that lives until kva_nodes_fini; NULL when the source refuses. */
void *kva_nodes_block(struct kva_ledger *ledger, size_t bytes);

/** Give the slabs of all caches on a ledger back, last taken first: a source that works like a stack gets
 *  back all that it gave. */
void kva_nodes_fini(struct kva_ledger *ledger);

/** kva_nodes_ensure's slow path: take slabs until `count` nodes are available; all or none. */
bool kva_nodes_fill(struct kva_nodes *nodes, size_t count);

/** kva_nodes_pop's slow path: cut a fresh node. */
void *kva_nodes_cut(struct kva_nodes *nodes);

/** Make sure that the next `count` pops succeed; false when the source refuses. */
static inline bool kva_nodes_ensure(struct kva_nodes *nodes, size_t count)
{
    return nodes->available >= count || kva_nodes_fill(nodes, count);
}

/** Take a node. The caller has ensured that there is one. */
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
