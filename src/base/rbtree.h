/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * An intrusive, augmented red-black tree.
 *
 * CONCEPTS
 *   A node lies inside the caller's structure. The caller descends the tree itself, comparing what it
 *   likes, and hands the place that it found (parent and side) to kva_rb_insert; the tree knows no keys.
 *   The two sides are 0 (left, lower) and 1 (right, higher): every case of the textbook that comes in a
 *   left and a right form is written once, for a side and its opposite.
 *
 *   A tree may be AUGMENTED: each node caches a value computed from its own and its children's, such as
 *   the largest range in its subtree. Three callbacks keep it true while the shape changes:
 *
 *      propagate(node, stop)   the node's own value or a child's has changed: recompute it, and go on
 *                              upwards, until `stop` (NULL: past the root) or until nothing changes
 *      copy(from, to)          `to` takes the place of `from`: it inherits the cached value
 *      rotate(down, up)        `up` has just changed places with its parent `down` by a rotation:
 *
 *                   down                     up
 *                  /    \                   /  \
 *                up      c      --->       a    down        `up` now covers what `down` covered;
 *               /  \                           /    \       only `down` has to be recomputed
 *              a    b                         b      c
 *
 * INVARIANTS (kva_rb_check verifies them; the names appear in what it returns)
 *   T1  the root is black, and a red node has black children
 *   T2  every path from a node down to a missing child passes equally many black nodes
 *   T3  a child's parent pointer leads back to its parent
 *   Together: the height is at most 2 log2(n + 1).
 *
 * COST   insert: at most 2 rotations; erase: at most 3; both O(log n) recolourings.
 *
 * SOURCE Guibas and Sedgewick, "A dichromatic framework for balanced trees", 1978; augmentation as in
 *        Cormen, Leiserson, Rivest and Stein, "Introduction to Algorithms", ch. 14.
 */
#ifndef KVA_BASE_RBTREE_H
#define KVA_BASE_RBTREE_H

#include "list.h"

#include <kva/kva.h>

enum kva_rb_side { KVA_RB_LEFT = 0, KVA_RB_RIGHT = 1 };

/* Of a node, the lowest bit of `parent_and_colour` is the colour (0 red, 1 black), the next one is a MARK of
 * the caller's, the rest is the parent. It is declared in kva.h, for the nodes that lie in the memory of
 * callers. */

struct kva_rb_augment {
    void (*propagate)(struct kva_rb_node *node, struct kva_rb_node *stop);
    void (*copy)(const struct kva_rb_node *from, struct kva_rb_node *to);
    void (*rotate)(struct kva_rb_node *down, struct kva_rb_node *up);
};

struct kva_rb_tree {
    struct kva_rb_node *root;
    const struct kva_rb_augment *augment; /* NULL: a plain tree */
};

enum { KVA_RB_COLOUR = 1, KVA_RB_MARK = 2 };
_Static_assert(_Alignof(struct kva_rb_node) >= 4, "two bits of a pointer to a node are 0");

static inline struct kva_rb_node *rb_parent(const struct kva_rb_node *node)
{
    return (struct kva_rb_node *)(node->parent_and_colour & ~(uintptr_t)(KVA_RB_COLOUR | KVA_RB_MARK));
}

/** The mark of a node in a tree. It is off when the node has been inserted; then the tree keeps it as it
 *  is. */
static inline bool rb_is_marked(const struct kva_rb_node *node)
{
    return (node->parent_and_colour & KVA_RB_MARK) != 0;
}

static inline void rb_set_mark(struct kva_rb_node *node, bool mark)
{
    node->parent_and_colour &= ~(uintptr_t)KVA_RB_MARK;
    node->parent_and_colour |= mark ? KVA_RB_MARK : 0;
}

/** Link `node` as the `side` child of `parent` (NULL: as the root), where there is none yet, and rebalance.
 *  The node's own cached value must be right for a node without children; its ancestors' are propagated. */
void kva_rb_insert(struct kva_rb_tree *tree, struct kva_rb_node *node, struct kva_rb_node *parent,
                   enum kva_rb_side side);

/** Take `node` out and rebalance. Cached values are propagated. */
void kva_rb_erase(struct kva_rb_tree *tree, struct kva_rb_node *node);

/** The outermost node on a side: KVA_RB_LEFT gives the first in order, KVA_RB_RIGHT the last; NULL if
 *  empty. */
struct kva_rb_node *kva_rb_outermost(const struct kva_rb_tree *tree, enum kva_rb_side side);

/** The neighbour in order: KVA_RB_RIGHT gives the successor, KVA_RB_LEFT the predecessor; NULL at the end. */
struct kva_rb_node *kva_rb_neighbour(const struct kva_rb_node *node, enum kva_rb_side side);

/** Verify T1-T3. Returns NULL when they hold; else the text of the broken one, and *at = the node. */
const char *kva_rb_check(const struct kva_rb_tree *tree, const struct kva_rb_node **at);

#endif
