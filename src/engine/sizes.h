/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The index by size: the holes of an address map, ordered by extent, and by start among equal extents.
 *
 * The first hole at or after (size - 1, 0) is the best fit for `size` bytes: the lowest of the smallest. The
 * holes after it are the other candidates, in the order in which a search for the best fit examines them. All
 * operations take O(log n); sizes.c describes the structure.
 *
 * MEMORY. Nodes come from caches on the address map's ledger. kva_sizes_ensure obtains enough for a NUMBER OF
 * HOLES, whatever changes lead to it; no other function takes memory after kva_sizes_create.
 */
#ifndef KVA_ENGINE_SIZES_H
#define KVA_ENGINE_SIZES_H

#include "../base/arith.h"
#include "../base/nodes.h"

/** The bits of the addresses, in quanta, that an index can hold. */
#define KVA_SIZES_BITS 58

/** Whether an index can hold addresses up to `last`: always, if the quantum is 64 or more. */
static inline bool index_reaches(uint64_t quantum, uint64_t last)
{
    return last >> lowest_bit(quantum) >> KVA_SIZES_BITS == 0;
}

/** A hole in the index. */
struct kva_size {
    uint64_t key;    /* its place in the order */
    uint64_t extent; /* last - start */
    uint64_t within; /* the start of a quantum inside the hole */
};

struct kva_sizes {
    struct kva_nodes leaves;
    struct kva_nodes inners;
    struct size_node *root;
    unsigned height;         /* inner levels above the leaves */
    unsigned shift;          /* log2 of the quantum */
    uint64_t count;          /* holes */
    size_t ready;            /* the number of holes that the nodes suffice for */
    struct size_node *found; /* the leaf of the hole found last; NULL after a change */
    unsigned found_index;
};

/** An empty index, ready for one hole, whose memory is taken on a ledger until kva_nodes_fini. NULL if the
 *  source refuses. */
struct kva_sizes *kva_sizes_create(struct kva_ledger *ledger, uint64_t quantum);

/** The slow path of kva_sizes_ensure. */
bool kva_sizes_fill(struct kva_sizes *sizes, size_t holes);

/** Ensure that the index can hold `holes` holes. False if the source refuses. */
static inline bool kva_sizes_ensure(struct kva_sizes *sizes, size_t holes)
{
    return holes <= sizes->ready || kva_sizes_fill(sizes, holes);
}

/** Add the hole [start, last], which is not in the index; or remove it. */
void kva_sizes_insert(struct kva_sizes *sizes, uint64_t start, uint64_t last);
void kva_sizes_remove(struct kva_sizes *sizes, uint64_t start, uint64_t last);

/** The hole [hole_start, hole_last] has lost [start, last]. */
void kva_sizes_lost(struct kva_sizes *sizes, uint64_t hole_start, uint64_t hole_last, uint64_t start,
                    uint64_t last);

/** [start, last] is now free, as a part of the hole [hole_start, hole_last]. */
void kva_sizes_gained(struct kva_sizes *sizes, uint64_t hole_start, uint64_t hole_last, uint64_t start,
                      uint64_t last);

/** The smallest hole with at least `extent`, the lowest of equal ones; false if there is none. */
bool kva_sizes_first(struct kva_sizes *sizes, uint64_t extent, struct kva_size *found);

/** Replace `at`, which may have left the index, by the next hole in order; false if there is none. */
bool kva_sizes_next(struct kva_sizes *sizes, struct kva_size *at);

/** Verify order, fill and counts. NULL if they hold; otherwise the violation in words, and its address. */
const char *kva_sizes_check(const struct kva_sizes *sizes, uint64_t *address);

#endif
