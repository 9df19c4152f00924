/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The node cache of nodes.h. */
#include "nodes.h"

/** The first chunk: a page of most machines, 63 nodes of 64 bytes. */
static const size_t least_chunk = 4096;

/** The largest: a huge page of most machines. Beyond it, larger chunks save no misses. */
static const size_t largest_chunk = (size_t)2 << 20;

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

/** Give back all chunks that were taken after `kept` (NULL: all), last taken first. */
static void give_chunks_after(struct kva_ledger *ledger, struct kva_chunk *kept)
{
    struct kva_chunk *chunk;

    while ((chunk = ledger->newest_chunk) != kept) {
        ledger->newest_chunk = chunk->before;
        ledger_give(ledger, chunk, chunk->bytes);
    }
}

void kva_nodes_fini(struct kva_ledger *ledger)
{
    give_chunks_after(ledger, NULL);
}

static void add_chunk(struct kva_nodes *nodes, struct kva_chunk *chunk, size_t bytes)
{
    chunk->next = NULL;
    chunk->before = nodes->ledger->newest_chunk;
    nodes->ledger->newest_chunk = chunk;
    chunk->bytes = bytes;
    chunk->fresh = (unsigned char *)round_to_line((uintptr_t)(chunk + 1));
    size_t room = (size_t)((unsigned char *)chunk + bytes - chunk->fresh);
    size_t count = room / nodes->node_bytes;
    chunk->end = chunk->fresh + count * nodes->node_bytes;

    if (nodes->newest)
        nodes->newest->next = chunk;
    nodes->newest = chunk;
    if (!nodes->fresh)
        nodes->fresh = chunk;
    nodes->available += count;
}

static bool try_chunk(struct kva_nodes *nodes, size_t bytes)
{
    void *block = ledger_take(nodes->ledger, bytes);

    if (block)
        add_chunk(nodes, block, bytes);
    return block;
}

void *kva_nodes_block(struct kva_ledger *ledger, size_t bytes)
{
    struct kva_nodes alone; /* a cache of one node, which is out at once */

    if (bytes > SIZE_MAX / 2)
        return NULL;
    kva_nodes_init(&alone, ledger, round_to_line(bytes));
    return try_chunk(&alone, sizeof(struct kva_chunk) + KVA_LINE + alone.node_bytes) ? kva_nodes_pop(&alone)
                                                                                     : NULL;
}

/** A chunk of at most `bytes`, below the largest, without what would be left over after its last node. */
static size_t trimmed(const struct kva_nodes *nodes, size_t bytes)
{
    size_t header = sizeof(struct kva_chunk) + KVA_LINE;

    return bytes < largest_chunk ? header + (bytes - header) / nodes->node_bytes * nodes->node_bytes : bytes;
}

/** Take one chunk: at most an eighth of what the cache holds already (so that little lies idle), between the
 *  limits; when refused, half of it, down to what holds a single node however the chunk is aligned. */
static bool take_chunk(struct kva_nodes *nodes)
{
    size_t least = sizeof(struct kva_chunk) + KVA_LINE + nodes->node_bytes;
    size_t held = (nodes->in_use + nodes->available) * nodes->node_bytes;
    size_t bytes = least_chunk;

    while (bytes < largest_chunk && bytes * 2 <= held / 8)
        bytes *= 2;
    for (; bytes > least; bytes /= 2) {
        if (try_chunk(nodes, trimmed(nodes, bytes)))
            return true;
    }
    return try_chunk(nodes, least);
}

bool kva_nodes_fill(struct kva_nodes *nodes, size_t count)
{
    struct kva_chunk *newest_of_all = nodes->ledger->newest_chunk;
    struct kva_chunk *newest = nodes->newest;
    struct kva_chunk *fresh = nodes->fresh;
    size_t available = nodes->available;

    while (nodes->available < count) {
        if (!take_chunk(nodes)) {
            give_chunks_after(nodes->ledger, newest_of_all);
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
    struct kva_chunk *chunk = nodes->fresh;

    while (chunk->fresh == chunk->end)
        chunk = chunk->next;
    nodes->fresh = chunk;
    void *node = chunk->fresh;
    chunk->fresh += nodes->node_bytes;
    return node;
}
