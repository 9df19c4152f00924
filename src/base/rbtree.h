/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * An intrusive, augmented red-black tree.
 *
 * STRUCTURE. A node lies inside the caller's structure. The tree has no keys: the caller descends it, and
 * passes the parent and the side of the new node to kva_rb_insert. The sides are 0 (left, lower) and 1
 * (right, higher), so each case is written once, for a side and its opposite.
 *
 * A tree may be AUGMENTED: each node caches a value computed from the node and its children, such as the
 * largest range in its subtree. Three callbacks keep it true:
 *
 *      propagate(node, stop)   `node` or a child of it has changed: recompute its value, and those of its
 *                              ancestors up to but not including `stop` (NULL: all), until one is unchanged
 *      copy(from, to)          `to` replaces `from` in the tree: copy the cached value
 *      rotate(down, up)        a rotation has put `up` in the place of its parent `down`:
 *
 *                   down                     up
 *                  /    \                   /  \
 *                up      c      --->       a    down        `up` takes the value of `down`;
 *               /  \                           /    \       `down` is recomputed
 *              a    b                         b      c
 *
 * INVARIANTS. kva_rb_check verifies them and names them in its result.
 *   T1  The root is black, and the children of a red node are black.
 *   T2  All paths from a node down to a missing child contain the same number of black nodes.
 *   T3  A child's parent pointer leads to its parent.
 *   By T1 and T2 the height is at most 2 log2(n + 1).
 *
 * COST. Insertion takes at most 2 rotations, removal at most 3, and each O(log n) recolourings.
 *
 * SOURCE. Red-black trees: L. Guibas and R. Sedgewick, "A dichromatic framework for balanced trees", 1978.
 * The cases of rebalancing and augmentation: T. Cormen, C. Leiserson, R. Rivest and C. Stein, "Introduction
 * to Algorithms", 3rd edition, chapters 13 and 14. The three augment callbacks have the names and the
 * division of work of Linux's struct rb_augment_callbacks (include/linux/rbtree_augmented.h). As in Linux,
 * the low bit of the parent pointer is the colour. The code was written afresh.
 */
#ifndef KVA_BASE_RBTREE_H
#define KVA_BASE_RBTREE_H

#include "list.h"

#include <kva/kva.h>

enum kva_rb_side { KVA_RB_LEFT = 0, KVA_RB_RIGHT = 1 };

/* In `parent_and_colour` the lowest bit is the colour (0 red, 1 black), the next one a MARK of the
 * caller's, and the rest the parent. kva.h declares the node, because callers' structures contain nodes. */

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
_Static_assert(_Alignof(struct kva_rb_node) >= 4, "the two lowest bits of a pointer to a node are 0");

static inline struct kva_rb_node *rb_parent(const struct kva_rb_node *node)
{
    return (struct kva_rb_node *)(node->parent_and_colour & ~(uintptr_t)(KVA_RB_COLOUR | KVA_RB_MARK));
}

/** The mark of a node in a tree. Insertion clears it; nothing else in the tree changes it. */
static inline bool rb_is_marked(const struct kva_rb_node *node)
{
    return (node->parent_and_colour & KVA_RB_MARK) != 0;
}

static inline void rb_set_mark(struct kva_rb_node *node, bool mark)
{
    node->parent_and_colour &= ~(uintptr_t)KVA_RB_MARK;
    node->parent_and_colour |= mark ? KVA_RB_MARK : 0;
}

/** Link `node` as the `side` child of `parent` (NULL: as the root), where there is no child, and
 *  rebalance. The caller sets the node's cached value to that of a node without children; the ancestors'
 *  are propagated. */
void kva_rb_insert(struct kva_rb_tree *tree, struct kva_rb_node *node, struct kva_rb_node *parent,
                   enum kva_rb_side side);

/** Remove `node` and rebalance. Cached values are propagated. */
void kva_rb_erase(struct kva_rb_tree *tree, struct kva_rb_node *node);

/** The first node in order (KVA_RB_LEFT) or the last (KVA_RB_RIGHT); NULL if the tree is empty. */
struct kva_rb_node *kva_rb_outermost(const struct kva_rb_tree *tree, enum kva_rb_side side);

/** The successor (KVA_RB_RIGHT) or the predecessor (KVA_RB_LEFT) in order; NULL at the end. */
struct kva_rb_node *kva_rb_neighbour(const struct kva_rb_node *node, enum kva_rb_side side);

/** Verify T1-T3. Returns NULL if they hold; otherwise the text of the broken one, and *at = the node. */
const char *kva_rb_check(const struct kva_rb_tree *tree, const struct kva_rb_node **at);

#endif
