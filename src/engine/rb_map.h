/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The data of the rb engine, which rb.c (operations), rb_holes.c (the holes) and rb_check.c share.
 *
 *      holes: augmented tree by start                  used: plain tree by start, of all other segments
 *
 *               [20-2f] 1f                                      [30-3f]
 *              /       \                                       /       \
 *      [00-0f] 0f     [60-7f] 1f                         [10-1f]       [40-5f]
 *
 *      order:  [00-0f] <-> [20-2f] <-> [60-7f]           deferred:  [40-5f]   (a list per epoch)
 *
 * Absent segments are in the used tree; the list link of such a node points to itself.
 *
 * A node moves from one tree to the other when its segment is taken or freed. So freeing needs no memory: the
 * busy segment's node becomes the hole's, or is left over by a merge.
 */
#ifndef KVA_ENGINE_RB_MAP_H
#define KVA_ENGINE_RB_MAP_H

#include "../base/rbtree.h"
#include "engine.h"

/** A segment: exactly one cache line of a 64-bit machine, so each step of a descent costs at most one miss.
 *
 *      0          24       32       40                 48             64
 *      | link     | start  | last   | largest / owner  | order        |
 */
struct rb_segment {
    struct kva_rb_node link; /* in `holes` or in `used`; the mark is the epoch of a deferred segment */
    uint64_t start;
    uint64_t last;
    union {
        uint64_t largest; /* of a hole: the largest extent in its subtree */
        void *owner;      /* of a used segment */
    };

    /** A hole: in `order`. Deferred: in `deferred`. Absent: linked to itself. Busy: not linked. */
    struct kva_list order;
};

enum { RB_NODE_BYTES = 64 };
_Static_assert(sizeof(struct rb_segment) <= RB_NODE_BYTES, "a segment fits a cache line");

struct rb_map {
    struct kva_address_map common; /* first: the engine's functions receive a pointer to it */
    struct kva_nodes nodes;
    struct kva_rb_tree holes;
    struct kva_list order;
    struct kva_rb_tree used;
    struct kva_list deferred[KVA_EPOCHS];
    struct rb_segment *found; /* the hole of the place found last */
};

static inline struct rb_segment *segment_of_link(const struct kva_rb_node *link)
{
    return kva_container_of(link, struct rb_segment, link);
}

static inline struct rb_segment *segment_of_order(const struct kva_list *order)
{
    return kva_container_of(order, struct rb_segment, order);
}

static inline uint64_t extent_of(const struct rb_segment *segment)
{
    return segment->last - segment->start;
}

static inline enum kva_state state_of_used(const struct rb_segment *segment)
{
    if (!list_is_linked(&segment->order))
        return KVA_BUSY;
    return segment->order.next == &segment->order ? KVA_ABSENT : KVA_DEFERRED;
}

/** The epoch of a deferred segment: its node's mark, because its links do not show which list it is on. */
static inline unsigned epoch_of_deferred(const struct rb_segment *segment)
{
    return rb_is_marked(&segment->link);
}
_Static_assert(KVA_EPOCHS == 2, "a mark distinguishes two epochs");

/** The segment of a tree with the greatest start that is at most `address`; NULL if there is none. */
static inline struct rb_segment *floor_segment(const struct kva_rb_tree *tree, uint64_t address)
{
    struct kva_rb_node *link = tree->root;
    struct rb_segment *best = NULL;

    while (link) {
        struct rb_segment *segment = segment_of_link(link);
        bool at_or_below = segment->start <= address;
        best = at_or_below ? segment : best;
        link = link->child[at_or_below];
    }
    return best;
}

/** Initialise the holes, empty. */
void kva_rb_holes_init(struct rb_map *rb);

/** Find the lowest or highest place for a demand; false if there is none. Cost: rb_holes.c. */
bool kva_rb_holes_search(struct rb_map *rb, const struct kva_demand *demand, struct kva_place *place);

/** The slot of a new node: the `side` child of `parent` (NULL: the root). */
struct rb_slot {
    struct kva_rb_node *parent;
    enum kva_rb_side side;
};

/** One step of the descent to the slot for `start`: from `link`, not NULL, to the next child. */
static inline struct kva_rb_node *step_to_slot(struct rb_slot *slot, struct kva_rb_node *link, uint64_t start)
{
    slot->parent = link;
    slot->side = segment_of_link(link)->start < start ? KVA_RB_RIGHT : KVA_RB_LEFT;
    return link->child[slot->side];
}

static inline struct rb_slot find_slot(const struct kva_rb_tree *tree, uint64_t start)
{
    struct rb_slot slot = {NULL, KVA_RB_LEFT};
    struct kva_rb_node *link = tree->root;

    while (link)
        link = step_to_slot(&slot, link, start);
    return slot;
}

/** Make the segment of `node`, which is in no tree, free; `slot` is its slot in `holes`. If it merges, its
 *  node, and that of a second neighbour, go back to the cache. */
void kva_rb_holes_add(struct rb_map *rb, struct rb_segment *node, struct rb_slot slot);

/** Remove a hole; the caller keeps its node. */
void kva_rb_holes_remove(struct rb_map *rb, struct rb_segment *hole);

/** Move one end of a hole. It must not become adjacent to another hole. */
void kva_rb_hole_set_start(struct rb_segment *hole, uint64_t start);
void kva_rb_hole_set_last(struct rb_segment *hole, uint64_t last);

/** Insert a new hole before `next` in the order; the two are not adjacent. */
void kva_rb_holes_insert_before(struct rb_map *rb, struct rb_segment *hole, struct rb_segment *next);

/** The largest extent in the subtree of a hole, computed from its own and the cached values of its
 *  children. */
uint64_t kva_rb_largest_of(const struct rb_segment *hole);

/** kva_engine.check and check_near. */
const char *kva_rb_map_check(const struct kva_address_map *map, uint64_t *address);
const char *kva_rb_map_check_near(const struct kva_address_map *map, uint64_t at, uint64_t *address);

#endif
