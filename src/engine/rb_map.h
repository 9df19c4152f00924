/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The rb engine's data: what rb.c (operations), rb_holes.c (the free side) and rb_check.c share.
 *
 *      holes: augmented tree by start                  used: plain tree by start, all that is not free
 *
 *               [20-2f] 1f                                      [30-3f]
 *              /       \                                       /       \
 *      [00-0f] 0f     [60-7f] 1f                         [10-1f]       [40-5f]
 *
 *      order:  [00-0f] <-> [20-2f] <-> [60-7f]           parked:  [40-5f]   (deferred; a list per epoch)
 *
 * An absent segment is in the used tree, too; its node is linked to itself.
 *
 * A segment's node moves between the two sides when the segment is taken or given back; hence giving back
 * needs no memory: the node that the busy range had becomes the hole's, or is left over by a merge.
 */
#ifndef KVA_ENGINE_RB_MAP_H
#define KVA_ENGINE_RB_MAP_H

#include "../base/rbtree.h"
#include "engine.h"

/** One segment; exactly one cache line of a 64-bit machine, so that each step of a descent costs at most
 *  one miss:
 *
 *      0          24       32       40                 48             64
 *      | link     | start  | last   | largest / owner  | order        |
 */
struct rb_segment {
    struct kva_rb_node link; /* in `holes` or in `used`; its mark is the epoch of a deferred one */
    uint64_t start;
    uint64_t last;
    union {
        uint64_t largest; /* a hole: the largest span in its subtree */
        void *owner;      /* of any other */
    };

    /** A hole: its neighbours by address; deferred: its `parked`; absent: itself; busy: none. */
    struct kva_list order;
};

enum { RB_NODE_BYTES = 64 };
_Static_assert(sizeof(struct rb_segment) <= RB_NODE_BYTES, "a segment fits a cache line");

struct rb_map {
    struct kva_address_map common; /* first: the engine's functions are handed a pointer to it */
    struct kva_nodes nodes;
    struct kva_rb_tree holes;
    struct kva_list order;
    struct kva_rb_tree used;
    struct kva_list deferred[KVA_EPOCHS];
    struct rb_segment *found; /* the hole of the place that was found last */
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

/** Of a deferred one: whether its node is marked. Which list it is on cannot be told from its links. */
static inline unsigned epoch_of_deferred(const struct rb_segment *segment)
{
    return rb_is_marked(&segment->link);
}
_Static_assert(KVA_EPOCHS == 2, "a mark is one of two colours");

/** The segment of a tree with the greatest start that is at most `address`; NULL when there is none. */
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

/** Prepare the empty free side. */
void kva_rb_holes_init(struct rb_map *rb);

/** The lowest or highest place for a demand. See rb_holes.c for the bound on what it visits. */
bool kva_rb_holes_search(struct rb_map *rb, const struct kva_demand *demand, struct kva_place *place);

/** Where a new node belongs: as the `side` child of `parent` (NULL: it is the first). */
struct rb_slot {
    struct kva_rb_node *parent;
    enum kva_rb_side side;
};

/** One step of the descent to the slot for `start`: from `link`, not NULL, to the child to go on with. */
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

/** Make [node->start, node->last], in a node that is in no tree, free; `slot` is its slot in `holes`.
 *  Returns with the node, and perhaps a neighbour's, back in the cache if it merged. */
void kva_rb_holes_add(struct rb_map *rb, struct rb_segment *node, struct rb_slot slot);

/** Take a whole hole out; its node is the caller's. */
void kva_rb_holes_remove(struct rb_map *rb, struct rb_segment *hole);

/** Move one end of a hole; it does not touch another hole by that. */
void kva_rb_hole_set_start(struct rb_segment *hole, uint64_t start);
void kva_rb_hole_set_last(struct rb_segment *hole, uint64_t last);

/** Put a new hole right before another one, which it does not touch. */
void kva_rb_holes_insert_before(struct rb_map *rb, struct rb_segment *hole, struct rb_segment *next);

/** The largest span among the node itself and its children's subtrees. */
uint64_t kva_rb_largest_of(const struct rb_segment *hole);

/** Verify everything, or the neighbourhood of an address. Answers as kva_engine.check. */
const char *kva_rb_map_check(const struct kva_address_map *map, uint64_t *address);
const char *kva_rb_map_check_near(const struct kva_address_map *map, uint64_t at, uint64_t *address);

#endif
