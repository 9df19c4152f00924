/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The holes of the rb engine: a tree by address, and a list in the same order. docs/theory/rb.md proves the
 * search and its bound.
 *
 * THE CACHED MAXIMUM. Each hole caches the largest extent in its subtree (I4). A search skips a subtree whose
 * maximum is too small; any other subtree contains a hole that is large enough.
 *
 * PROPAGATION. When a hole changes, its maximum is recomputed, then its parent's, and so on upwards, until
 * one stays. The child's old and new value mostly determine the parent's, which saves the cache miss on the
 * other child:
 *
 *      the child's new value is at least the parent's      the parent takes that value
 *      the child's old value is below the parent's         the maximum lies elsewhere: stop
 *      otherwise (it was the maximum, and shrank)          recompute from both children
 *
 * SEARCH for the lowest fit; the search for the highest is its mirror image:
 *
 *   1. Take the first hole, by address, that is large enough and ends at min + extent or later.
 *   2. If the range fits into it at the alignment and inside the window, that is the result.
 *   3. If the hole starts after the last possible start, there is no result. Otherwise take the next hole, by
 *      address, that is large enough, and go to 2.
 *
 * COST. Steps 1 and 3 take O(log n). With k holes before the result that are large enough but do not fit, the
 * search takes O((k + 1) log n); k <= 2 if align is the quantum.
 */
#include "rb_map.h"

/* --------------------------------------------------------------------------------------- augmentation */

static uint64_t largest_below(const struct kva_rb_node *child, uint64_t at_least)
{
    return child ? max_u64(segment_of_link(child)->largest, at_least) : at_least;
}

uint64_t kva_rb_largest_of(const struct rb_segment *hole)
{
    return largest_below(hole->link.child[KVA_RB_LEFT],
                         largest_below(hole->link.child[KVA_RB_RIGHT], extent_of(hole)));
}

static void propagate(struct kva_rb_node *node, struct kva_rb_node *stop)
{
    struct rb_segment *hole = segment_of_link(node);
    uint64_t before = hole->largest;
    uint64_t now = kva_rb_largest_of(hole);

    while (now != before) {
        hole->largest = now;
        struct kva_rb_node *parent = rb_parent(&hole->link);
        if (parent == stop)
            return;
        hole = segment_of_link(parent);
        if (now < hole->largest) {
            if (before < hole->largest)
                return;
            now = kva_rb_largest_of(hole);
        }
        before = hole->largest;
    }
}

static void copy_largest(const struct kva_rb_node *from, struct kva_rb_node *to)
{
    segment_of_link(to)->largest = segment_of_link(from)->largest;
}

static void rotate_largest(struct kva_rb_node *down, struct kva_rb_node *up)
{
    segment_of_link(up)->largest = segment_of_link(down)->largest;
    segment_of_link(down)->largest = kva_rb_largest_of(segment_of_link(down));
}

static const struct kva_rb_augment largest_extent = {propagate, copy_largest, rotate_largest};

void kva_rb_holes_init(struct rb_map *rb)
{
    rb->holes.root = NULL;
    rb->holes.augment = &largest_extent;
    list_init(&rb->order);
}

/* --------------------------------------------------------------------------------------------- search */

/** The outermost hole on `side` with at least `extent`, in a subtree whose maximum is at least `extent`. */
static struct rb_segment *outermost_of_extent(struct kva_rb_node *link, uint64_t extent,
                                              enum kva_rb_side side)
{
    for (;;) {
        struct kva_rb_node *near = link->child[side];
        struct kva_rb_node *far = link->child[1 - side];
        __builtin_prefetch(far);
        if (near && segment_of_link(near)->largest >= extent)
            link = near;
        else if (extent_of(segment_of_link(link)) >= extent)
            return segment_of_link(link);
        else
            link = far; /* by I4 the hole is there */
    }
}

/** The next hole with at least `extent` away from `side`: in the far subtree of `hole`, or else further
 *  up. */
static struct rb_segment *next_of_extent(struct rb_segment *hole, uint64_t extent, enum kva_rb_side side)
{
    struct kva_rb_node *link = &hole->link;
    struct kva_rb_node *far = link->child[1 - side];

    while (!far || segment_of_link(far)->largest < extent) {
        struct kva_rb_node *from;
        do { /* climb to the first ancestor away from `side` */
            from = link;
            link = rb_parent(from);
            if (!link)
                return NULL;
        } while (link->child[side] != from);
        if (extent_of(segment_of_link(link)) >= extent)
            return segment_of_link(link);
        far = link->child[1 - side];
    }
    return outermost_of_extent(far, extent, side);
}

/** The first hole, by address, whose last address is at least `end`; NULL if there is none. */
static struct rb_segment *first_ending_from(const struct rb_map *rb, uint64_t end)
{
    struct kva_rb_node *link = rb->holes.root;
    struct rb_segment *best = NULL;

    while (link) {
        struct rb_segment *hole = segment_of_link(link);
        bool ends_before = hole->last < end;
        best = ends_before ? best : hole;
        link = link->child[ends_before];
    }
    return best;
}

/** Step 1 of the search. If the window reaches the end of the space, one descent by the maxima suffices. */
static struct rb_segment *first_candidate(const struct rb_map *rb, const struct kva_demand *demand,
                                          uint64_t extent)
{
    bool lowest = demand->policy == KVA_LOWEST;
    enum kva_rb_side side = lowest ? KVA_RB_LEFT : KVA_RB_RIGHT;
    bool unbounded = lowest ? demand->min == rb->common.first : demand->max == rb->common.last;
    struct kva_rb_node *root = rb->holes.root;

    if (!root || segment_of_link(root)->largest < extent)
        return NULL;
    if (unbounded)
        return outermost_of_extent(root, extent, side);
    struct rb_segment *hole = lowest ? first_ending_from(rb, demand->min + extent)
                                     : floor_segment(&rb->holes, demand->max - extent);
    return !hole || extent_of(hole) >= extent ? hole : next_of_extent(hole, extent, side);
}

/** Whether the window leaves too little of a hole, and therefore of every later one. */
static bool hole_is_beyond(const struct rb_segment *hole, const struct kva_demand *demand, uint64_t extent)
{
    return demand->policy == KVA_LOWEST ? hole->start > demand->max - extent
                                        : hole->last < demand->min + extent;
}

bool kva_rb_holes_search(struct rb_map *rb, const struct kva_demand *demand, struct kva_place *place)
{
    enum kva_rb_side side = demand->policy == KVA_LOWEST ? KVA_RB_LEFT : KVA_RB_RIGHT;
    uint64_t extent = demand->size - 1;
    struct rb_segment *hole = first_candidate(rb, demand, extent);

    for (; hole && !hole_is_beyond(hole, demand, extent); hole = next_of_extent(hole, extent, side)) {
        if (kva_fit_in_hole(hole->start, hole->last, demand, &place->start)) {
            place->last = place->start + extent;
            place->hole_start = hole->start;
            place->hole_last = hole->last;
            rb->found = hole;
            return true;
        }
    }
    return false;
}

/* -------------------------------------------------------------------------------------------- changes */

static void link_hole(struct rb_map *rb, struct rb_segment *hole, struct kva_rb_node *parent,
                      enum kva_rb_side side)
{
    hole->largest = extent_of(hole);
    kva_rb_insert(&rb->holes, &hole->link, parent, side);
    rb->common.tally.segments[KVA_FREE]++;
}

void kva_rb_holes_remove(struct rb_map *rb, struct rb_segment *hole)
{
    kva_rb_erase(&rb->holes, &hole->link);
    list_remove(&hole->order);
    rb->common.tally.segments[KVA_FREE]--;
}

void kva_rb_hole_set_start(struct rb_segment *hole, uint64_t start)
{
    hole->start = start;
    propagate(&hole->link, NULL);
}

void kva_rb_hole_set_last(struct rb_segment *hole, uint64_t last)
{
    hole->last = last;
    propagate(&hole->link, NULL);
}

/** The slot is the rightmost one in the left subtree of `next`, so the descent starts at `next`, not at the
 *  root.
 *
 *            next
 *           /    \
 *          a      ...
 *         / \
 *      ...   b
 *             \
 *              here
 */
void kva_rb_holes_insert_before(struct rb_map *rb, struct rb_segment *hole, struct rb_segment *next)
{
    struct kva_rb_node *parent = &next->link;
    enum kva_rb_side side = KVA_RB_LEFT;

    while (parent->child[side]) {
        parent = parent->child[side];
        side = KVA_RB_RIGHT;
    }
    list_insert_before(&next->order, &hole->order);
    link_hole(rb, hole, parent, side);
}

/** The list element before a slot, or the head if there is none: the slot's parent is one neighbour of the
 *  slot, and the list gives the other. */
static struct kva_list *before_slot(struct rb_map *rb, struct rb_slot slot)
{
    if (!slot.parent)
        return &rb->order;
    struct kva_list *neighbour = &segment_of_link(slot.parent)->order;
    return slot.side == KVA_RB_RIGHT ? neighbour : neighbour->prev;
}

/** Report to the index by size that `hole` now contains `node`, or is `node`. Out of line, to keep the
 *  path without an index short. */
static __attribute__((noinline)) void index_gained(const struct rb_map *rb, const struct rb_segment *hole,
                                                   const struct rb_segment *node)
{
    kva_sizes_gained(rb->common.sizes, hole->start, hole->last, node->start, node->last);
}

static inline void tell_gain(const struct rb_map *rb, const struct rb_segment *hole,
                             const struct rb_segment *node)
{
    if (__builtin_expect(rb->common.sizes != NULL, 0))
        index_gained(rb, hole, node);
}

/** The freed segment `node` may be adjacent to the hole before it, to the one after it, to both or to none:
 *
 *      | before | node | after |           before grows over both
 *      | before | node | busy              before grows
 *          busy | node | after |           after grows
 *          busy | node | busy              node becomes a hole
 */
void kva_rb_holes_add(struct rb_map *rb, struct rb_segment *node, struct rb_slot slot)
{
    struct kva_list *position = before_slot(rb, slot);
    struct rb_segment *before = position == &rb->order ? NULL : segment_of_order(position);
    struct rb_segment *after = position->next == &rb->order ? NULL : segment_of_order(position->next);
    bool touches_before = before && node->start - before->last == 1;
    bool touches_after = after && after->start - node->last == 1;

    if (!touches_before && !touches_after) {
        list_insert_after(position, &node->order);
        link_hole(rb, node, slot.parent, slot.side);
        tell_gain(rb, node, node);
        return;
    }
    if (!touches_before) {
        kva_rb_hole_set_start(after, node->start);
    } else if (!touches_after) {
        kva_rb_hole_set_last(before, node->last);
    } else {
        uint64_t last = after->last;
        kva_rb_holes_remove(rb, after);
        kva_nodes_push(&rb->nodes, after);
        kva_rb_hole_set_last(before, last);
    }
    tell_gain(rb, touches_before ? before : after, node);
    kva_nodes_push(&rb->nodes, node);
}
