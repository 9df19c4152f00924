/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The node cache of nodes.h. */
#include "nodes.h"

/** The first slab: a page of most machines, 63 nodes of 64 bytes. */
static const size_t least_slab = 4096;

/** The largest slab: a huge page of most machines. Larger slabs would not save further misses. */
static const size_t largest_slab = (size_t)2 << 20;

void kva_nodes_init(struct kva_nodes *nodes, struct kva_ledger *ledger, size_t node_bytes)
{
    nodes->ledger = ledger;
    nodes->node_bytes = node_bytes;
    nodes->available = 0;
    nodes->in_use = 0;
    nodes->list = NULL;
    nodes->newest = NULL;
    nodes->fresh = NULL;
}

/** Give back all slabs that were taken after `kept` (NULL: all), last taken first. */
static void give_slabs_after(struct kva_ledger *ledger, struct kva_slab *kept)
{
    struct kva_slab *slab;

    while ((slab = ledger->newest_slab) != kept) {
        ledger->newest_slab = slab->before;
        ledger_give(ledger, slab, slab->bytes);
    }
}

void kva_nodes_fini(struct kva_ledger *ledger)
{
    give_slabs_after(ledger, NULL);
}

static void add_slab(struct kva_nodes *nodes, struct kva_slab *slab, size_t bytes)
{
    slab->next = NULL;
    slab->before = nodes->ledger->newest_slab;
    nodes->ledger->newest_slab = slab;
    slab->bytes = bytes;
    slab->fresh = (unsigned char *)round_to_line((uintptr_t)(slab + 1));
    size_t room = (size_t)((unsigned char *)slab + bytes - slab->fresh);
    size_t count = room / nodes->node_bytes;
    slab->end = slab->fresh + count * nodes->node_bytes;

    if (nodes->newest)
        nodes->newest->next = slab;
    nodes->newest = slab;
    if (!nodes->fresh)
        nodes->fresh = slab;
    nodes->available += count;
}

static bool try_slab(struct kva_nodes *nodes, size_t bytes)
{
    void *block = ledger_take(nodes->ledger, bytes);

    if (block)
        add_slab(nodes, block, bytes);
    return block;
}

void *kva_nodes_block(struct kva_ledger *ledger, size_t bytes)
{
    struct kva_nodes alone; /* a cache of one node */

    if (bytes > SIZE_MAX / 2)
        return NULL;
    kva_nodes_init(&alone, ledger, round_to_line(bytes));
    return try_slab(&alone, sizeof(struct kva_slab) + KVA_LINE + alone.node_bytes) ? kva_nodes_pop(&alone)
                                                                                   : NULL;
}

/** The size of a slab of at most `bytes`: below the largest size, without a rest after its last node. */
static size_t trimmed(const struct kva_nodes *nodes, size_t bytes)
{
    size_t header = sizeof(struct kva_slab) + KVA_LINE;

    return bytes < largest_slab ? header + (bytes - header) / nodes->node_bytes * nodes->node_bytes : bytes;
}

/** Take one slab: at most an eighth of what the cache holds, to bound idle memory, and within the limits.
 *  If the source refuses, halve the size, down to a slab that holds one node at any alignment. */
static bool take_slab(struct kva_nodes *nodes)
{
    size_t least = sizeof(struct kva_slab) + KVA_LINE + nodes->node_bytes;
    size_t held = (nodes->in_use + nodes->available) * nodes->node_bytes;
    size_t bytes = least_slab;

    while (bytes < largest_slab && bytes * 2 <= held / 8)
        bytes *= 2;
    for (; bytes > least; bytes /= 2) {
        if (try_slab(nodes, trimmed(nodes, bytes)))
            return true;
    }
    return try_slab(nodes, least);
}

bool kva_nodes_fill(struct kva_nodes *nodes, size_t count)
{
    struct kva_slab *newest_of_all = nodes->ledger->newest_slab;
    struct kva_slab *newest = nodes->newest;
    struct kva_slab *fresh = nodes->fresh;
    size_t available = nodes->available;

    while (nodes->available < count) {
        if (!take_slab(nodes)) {
            give_slabs_after(nodes->ledger, newest_of_all);
            nodes->newest = newest;
            if (newest)
                newest->next = NULL;
            nodes->fresh = fresh;
            nodes->available = available;
            return false;
        }
    }
    return true;
}

void *kva_nodes_cut(struct kva_nodes *nodes)
{
    struct kva_slab *slab = nodes->fresh;

    while (slab->fresh == slab->end)
        slab = slab->next;
    nodes->fresh = slab;
    void *node = slab->fresh;
    slab->fresh += nodes->node_bytes;
    return node;
}
