/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The holes of an address map by size: an ordered set, from which the smallest hole that is long enough is found in
 * O(log n). sizes.c says how it is kept.
 *
 * ORDER. By span, and holes of one span by start. So the first hole from (size - 1, 0) on is the best for
 * `size` bytes, the lowest of the smallest; and those after it are all others that are long enough, in the
 * order in which a search for the best has to look at them.
 *
 * MEMORY. Nodes come from caches on the address map's ledger. kva_sizes_ensure obtains them for a NUMBER OF HOLES,
 * whatever changes lead there; nothing else takes any.
 */
#ifndef KVA_ENGINE_SIZES_H
#define KVA_ENGINE_SIZES_H

#include "../base/arith.h"
#include "../base/nodes.h"

/** An index reaches addresses of this many bits, counted in quanta. */
#define KVA_SIZES_BITS 58

/** Whether an index reaches `last`: always, if the quantum is 64 or more. */
static inline bool index_reaches(uint64_t quantum, uint64_t last)
{
    return last >> lowest_bit(quantum) >> KVA_SIZES_BITS == 0;
}

/** A hole that was found. */
struct kva_size {
    uint64_t key;    /* its place in the order */
    uint64_t extent; /* last - start */
    uint64_t within; /* where a quantum begins that lies in the hole */
};

struct kva_sizes {
    struct kva_nodes leaves;
    struct kva_nodes inners;
    struct size_node *root;
    unsigned height;         /* inner levels above the leaves */
    unsigned shift;          /* log2 of the quantum */
    uint64_t count;          /* holes */
    size_t ready;            /* holes that there are nodes for */
    struct size_node *found; /* where the hole is that was found last; NULL after a change */
    unsigned found_index;
};

/** An empty set, for holes of whole quanta, whose memory is taken on a ledger, and goes with kva_nodes_fini;
 *  it is ready for one hole. NULL when the source refuses. */
struct kva_sizes *kva_sizes_create(struct kva_ledger *ledger, uint64_t quantum);

/** kva_sizes_ensure's slow path. */
bool kva_sizes_fill(struct kva_sizes *sizes, size_t holes);

/** Make sure that the set can hold `holes` holes. False when the source refuses. */
static inline bool kva_sizes_ensure(struct kva_sizes *sizes, size_t holes)
{
    return holes <= sizes->ready || kva_sizes_fill(sizes, holes);
}

/** Add the hole [start, last], which is not there; or take out one that is. */
void kva_sizes_insert(struct kva_sizes *sizes, uint64_t start, uint64_t last);
void kva_sizes_remove(struct kva_sizes *sizes, uint64_t start, uint64_t last);

/** The hole [hole_start, hole_last] has lost [start, last]. */
void kva_sizes_lost(struct kva_sizes *sizes, uint64_t hole_start, uint64_t hole_last, uint64_t start,
                    uint64_t last);

/** [start, last] has become free, and is now a part of the hole [hole_start, hole_last]. */
void kva_sizes_gained(struct kva_sizes *sizes, uint64_t hole_start, uint64_t hole_last, uint64_t start,
                      uint64_t last);

/** The smallest hole of at least `span`, of equal ones the lowest; false when there is none. O(log n). */
bool kva_sizes_first(struct kva_sizes *sizes, uint64_t extent, struct kva_size *found);

/** From a hole to the one after it, in the order of the set; `at` need not be in it any more. O(log n). */
bool kva_sizes_next(struct kva_sizes *sizes, struct kva_size *at);

/** Verify order, fill and counts. NULL when all is well; else what is wrong, and where. */
const char *kva_sizes_check(const struct kva_sizes *sizes, uint64_t *address);

#endif
