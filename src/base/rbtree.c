/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Insertion into and removal from the red-black tree of rbtree.h, each case once for a side and its opposite.
 *
 * The drawings show side = left; side = right is the mirror image. [x] is black, <x> is red, x is either.
 * Subtrees that a step does not change are left out.
 *
 * SOURCE. See rbtree.h. The cases are those of Cormen et al.; the drawings are our own.
 */
#include "rbtree.h"

enum { RED = 0, BLACK = 1 };

static enum kva_rb_side opposite(enum kva_rb_side side)
{
    return side == KVA_RB_LEFT ? KVA_RB_RIGHT : KVA_RB_LEFT;
}

static unsigned colour_of(const struct kva_rb_node *node)
{
    return (unsigned)(node->parent_and_colour & KVA_RB_COLOUR);
}

/** A missing child is black. */
static bool is_red(const struct kva_rb_node *node)
{
    return node && colour_of(node) == RED;
}

static void set_colour(struct kva_rb_node *node, unsigned colour)
{
    node->parent_and_colour = (node->parent_and_colour & ~(uintptr_t)KVA_RB_COLOUR) | colour;
}

/** Set the parent; keep colour and mark. */
static void set_parent(struct kva_rb_node *node, struct kva_rb_node *parent)
{
    node->parent_and_colour = (uintptr_t)parent | (node->parent_and_colour & (KVA_RB_COLOUR | KVA_RB_MARK));
}

/** Set parent and colour; keep the mark. */
static void set_parent_and_colour(struct kva_rb_node *node, const struct kva_rb_node *parent, unsigned colour)
{
    node->parent_and_colour = (uintptr_t)parent | colour | (node->parent_and_colour & KVA_RB_MARK);
}

static enum kva_rb_side side_of(const struct kva_rb_node *node, const struct kva_rb_node *parent)
{
    return parent->child[KVA_RB_LEFT] == node ? KVA_RB_LEFT : KVA_RB_RIGHT;
}

/** Replace the pointer to `from` in `parent` (NULL: in the tree) by `to`. */
static void relink(struct kva_rb_tree *tree, struct kva_rb_node *parent, const struct kva_rb_node *from,
                   struct kva_rb_node *to)
{
    if (parent)
        parent->child[side_of(from, parent)] = to;
    else
        tree->root = to;
}

/** Rotate `down` towards `side`: its other child takes its place. Nodes keep their colours.
 *
 *          down                    up
 *         /    \                  /  \
 *        a      up     --->   down    c          rotate(down, left)
 *              /  \          /    \
 *             b    c        a      b
 */
static void rotate(struct kva_rb_tree *tree, struct kva_rb_node *down, enum kva_rb_side side)
{
    enum kva_rb_side other = opposite(side);
    struct kva_rb_node *up = down->child[other];
    struct kva_rb_node *inner = up->child[side];
    struct kva_rb_node *parent = rb_parent(down);

    relink(tree, parent, down, up);
    set_parent(up, parent);
    down->child[other] = inner;
    if (inner)
        set_parent(inner, down);
    up->child[side] = down;
    set_parent(down, up);
    if (tree->augment)
        tree->augment->rotate(down, up);
}

/** Restore T1, which only the red `node` and its parent may break.
 *
 *   The uncle is red: recolour, and continue with the grandparent as `node`.
 *
 *             [grand]                       <grand>
 *             /     \                       /     \
 *       <parent>   <uncle>     --->   [parent]   [uncle]
 *          |                             |
 *       <node>                        <node>
 *
 *   The uncle is black, or missing: if `node` is the inner child, rotate the parent (A), which makes it the
 *   outer one; then rotate the grandparent and recolour (B). Done.
 *
 *         [grand]                      [grand]                     [node]
 *         /     \                      /     \                     /    \
 *   <parent>   [uncle]    A       <node>   [uncle]    B      <parent>  <grand>
 *         \             --->       /                --->                    \
 *        <node>              <parent>                                     [uncle]
 */
static void rebalance_after_insert(struct kva_rb_tree *tree, struct kva_rb_node *node)
{
    struct kva_rb_node *parent;

    while ((parent = rb_parent(node)) && colour_of(parent) == RED) {
        struct kva_rb_node *grand = rb_parent(parent); /* exists, because the red parent is not the root */
        enum kva_rb_side side = side_of(parent, grand);
        struct kva_rb_node *uncle = grand->child[opposite(side)];

        if (is_red(uncle)) {
            set_colour(parent, BLACK);
            set_colour(uncle, BLACK);
            set_colour(grand, RED);
            node = grand;
            continue;
        }
        if (side_of(node, parent) != side) {
            rotate(tree, parent, side);
            parent = node;
        }
        rotate(tree, grand, opposite(side));
        set_colour(parent, BLACK);
        set_colour(grand, RED);
        break;
    }
    set_colour(tree->root, BLACK);
}

void kva_rb_insert(struct kva_rb_tree *tree, struct kva_rb_node *node, struct kva_rb_node *parent,
                   enum kva_rb_side side)
{
    node->parent_and_colour = (uintptr_t)parent | RED;
    node->child[KVA_RB_LEFT] = NULL;
    node->child[KVA_RB_RIGHT] = NULL;
    if (parent)
        parent->child[side] = node;
    else
        tree->root = node;
    if (tree->augment && parent)
        tree->augment->propagate(parent, NULL);
    rebalance_after_insert(tree, node);
}

/** Restore T2. The paths through the subtree on `side` of `parent`, called `low` here, have one black node
 *  too few; its root is black or missing. The sibling is the root on the other side, `near` and `far` are its
 *  children.
 *
 *   1. The sibling is red: rotate the parent. The new sibling, `near`, is black: continue with 2, 3 or 4.
 *
 *          [parent]                      [sibling]
 *          /      \                      /       \
 *       low     <sibling>     --->   <parent>   [far]
 *                /     \              /    \
 *            [near]   [far]         low   [near]
 *
 *   2. Both children of the sibling are black: the sibling becomes red. If the parent is red, it becomes
 *      black: done. Otherwise the paths through it have one black node too few: continue one level up.
 *
 *           parent                        parent
 *          /      \                      /      \
 *       low     [sibling]     --->     low     <sibling>
 *                /     \                        /     \
 *            [near]   [far]                 [near]   [far]
 *
 *   3. Only `near` is red: rotate the sibling, so that 4 applies with `near` as the sibling. 4 colours it.
 *
 *           parent                        parent
 *          /      \                      /      \
 *       low     [sibling]     --->     low      <near>
 *                /     \                            \
 *            <near>   [far]                      <sibling>
 *                                                     \
 *                                                    [far]
 *
 *   4. `far` is red: rotate the parent. The sibling takes the parent's colour; the parent and `far` become
 *      black: done.
 *
 *           parent                       sibling
 *          /      \                      /     \
 *       low      sibling      --->  [parent]   [far]
 *                /     \             /    \
 *              near   <far>        low    near
 */
static void rebalance_after_erase(struct kva_rb_tree *tree, struct kva_rb_node *parent, enum kva_rb_side side)
{
    while (parent) {
        enum kva_rb_side other = opposite(side);
        struct kva_rb_node *sibling = parent->child[other]; /* exists: its paths have more black nodes */

        if (colour_of(sibling) == RED) {
            rotate(tree, parent, side);
            set_colour(sibling, BLACK);
            set_colour(parent, RED);
            sibling = parent->child[other];
        }
        if (!is_red(sibling->child[KVA_RB_LEFT]) && !is_red(sibling->child[KVA_RB_RIGHT])) {
            set_colour(sibling, RED);
            if (colour_of(parent) == RED) {
                set_colour(parent, BLACK);
                return;
            }
            struct kva_rb_node *above = rb_parent(parent);
            if (above)
                side = side_of(parent, above);
            parent = above;
            continue;
        }
        if (!is_red(sibling->child[other])) {
            rotate(tree, sibling, other);
            set_colour(sibling, RED);
            sibling = parent->child[other];
        }
        rotate(tree, parent, side);
        set_colour(sibling, colour_of(parent));
        set_colour(parent, BLACK);
        set_colour(sibling->child[other], BLACK);
        return;
    }
}

/** The place that a removal empties: `side` of `parent`. `child` now stands there (NULL: none), `colour`
 *  is that of the node that stood there. */
struct gap {
    struct kva_rb_node *parent;
    struct kva_rb_node *child;
    enum kva_rb_side side;
    unsigned colour;
};

/** Unlink a node with at most one child, which takes its place. */
static struct gap unlink_outer(struct kva_rb_tree *tree, struct kva_rb_node *node)
{
    struct gap gap;
    gap.parent = rb_parent(node);
    gap.child = node->child[KVA_RB_LEFT] ? node->child[KVA_RB_LEFT] : node->child[KVA_RB_RIGHT];
    gap.side = gap.parent ? side_of(node, gap.parent) : KVA_RB_LEFT;
    gap.colour = colour_of(node);
    relink(tree, gap.parent, node, gap.child);
    if (tree->augment && gap.parent)
        tree->augment->propagate(gap.parent, NULL);
    return gap;
}

/** Unlink a node with two children. Its successor, which has no left child, takes its place and its colour;
 *  the gap is where the successor stood. If the successor is the right child itself, the gap is its right
 *  side.
 *
 *            node                   successor
 *           /    \                   /      \
 *        left    right    --->    left     right
 *                /                         /
 *          successor                    child    <- gap
 *                \
 *               child
 */
static struct gap unlink_inner(struct kva_rb_tree *tree, struct kva_rb_node *node)
{
    struct kva_rb_node *right = node->child[KVA_RB_RIGHT];
    struct kva_rb_node *successor = right;
    struct gap gap;

    while (successor->child[KVA_RB_LEFT])
        successor = successor->child[KVA_RB_LEFT];
    gap.child = successor->child[KVA_RB_RIGHT];
    gap.colour = colour_of(successor);
    if (successor == right) {
        gap.parent = successor;
        gap.side = KVA_RB_RIGHT;
    } else {
        gap.parent = rb_parent(successor);
        gap.side = KVA_RB_LEFT;
        gap.parent->child[KVA_RB_LEFT] = gap.child;
        successor->child[KVA_RB_RIGHT] = right;
        set_parent(right, successor);
    }
    successor->child[KVA_RB_LEFT] = node->child[KVA_RB_LEFT];
    set_parent(successor->child[KVA_RB_LEFT], successor);
    relink(tree, rb_parent(node), node, successor);
    set_parent_and_colour(successor, rb_parent(node), colour_of(node));

    if (tree->augment) {
        /* Propagate in two steps: an early stop below the successor must not leave out the successor, whose
         * copied value still counts the removed node. */
        tree->augment->copy(node, successor);
        if (gap.parent != successor)
            tree->augment->propagate(gap.parent, successor);
        tree->augment->propagate(successor, NULL);
    }
    return gap;
}

void kva_rb_erase(struct kva_rb_tree *tree, struct kva_rb_node *node)
{
    bool has_both = node->child[KVA_RB_LEFT] && node->child[KVA_RB_RIGHT];
    struct gap gap = has_both ? unlink_inner(tree, node) : unlink_outer(tree, node);

    if (gap.child) {
        /* By T2 an only child is red, so the node that it replaces was black: black restores T2. */
        set_parent_and_colour(gap.child, gap.parent, BLACK);
    } else if (gap.colour == BLACK) {
        rebalance_after_erase(tree, gap.parent, gap.side);
    }
}

struct kva_rb_node *kva_rb_outermost(const struct kva_rb_tree *tree, enum kva_rb_side side)
{
    struct kva_rb_node *node = tree->root;

    while (node && node->child[side])
        node = node->child[side];
    return node;
}

struct kva_rb_node *kva_rb_neighbour(const struct kva_rb_node *node, enum kva_rb_side side)
{
    struct kva_rb_node *next = node->child[side];

    if (next) {
        while (next->child[opposite(side)])
            next = next->child[opposite(side)];
        return next;
    }
    /* Climb to the first ancestor that lies on `side`. */
    while ((next = rb_parent(node)) && next->child[side] == node)
        node = next;
    return next;
}

/** The longest path of a sound tree, by the bound on its height: memory holds fewer than 2^64 nodes. */
enum { LONGEST_PATH = 2 * 64 };

/** The number of black nodes on the leftmost path below `node`, included. The path is not verified yet: if it
 *  exceeds LONGEST_PATH, as in a cycle, the result is -1. */
static int black_height(const struct kva_rb_node *node)
{
    int height = 0;

    for (int steps = 0; node; node = node->child[KVA_RB_LEFT]) {
        height += colour_of(node) == BLACK;
        if (++steps > LONGEST_PATH)
            return -1;
    }
    return height;
}

/** T1-T3 at one node. T2 holds for all paths if the leftmost paths of both children agree at every node. */
static const char *check_node(const struct kva_rb_node *node)
{
    for (int side = KVA_RB_LEFT; side <= KVA_RB_RIGHT; side++) {
        const struct kva_rb_node *child = node->child[side];
        if (child && rb_parent(child) != node)
            return "T3: a child's parent pointer does not lead to its parent";
        if (is_red(node) && is_red(child))
            return "T1: a red node has a red child";
    }
    if (node->child[KVA_RB_LEFT] && node->child[KVA_RB_LEFT] == node->child[KVA_RB_RIGHT])
        return "T3: both children of a node are the same node";
    int left = black_height(node->child[KVA_RB_LEFT]);
    if (left < 0 || left != black_height(node->child[KVA_RB_RIGHT]))
        return "T2: two paths have different numbers of black nodes";
    return NULL;
}

const char *kva_rb_check(const struct kva_rb_tree *tree, const struct kva_rb_node **at)
{
    const struct kva_rb_node *node = tree->root;

    *at = node;
    if (!node)
        return NULL;
    if (rb_parent(node))
        return "T3: the root has a parent";
    if (is_red(node))
        return "T1: the root is red";
    /* Walk in preorder; check_node verifies each parent pointer before the walk uses it. */
    while (node) {
        const char *broken = check_node(node);
        *at = node;
        if (broken)
            return broken;
        const struct kva_rb_node *next =
            node->child[KVA_RB_LEFT] ? node->child[KVA_RB_LEFT] : node->child[KVA_RB_RIGHT];
        while (!next && rb_parent(node)) {
            const struct kva_rb_node *parent = rb_parent(node);
            if (side_of(node, parent) == KVA_RB_LEFT)
                next = parent->child[KVA_RB_RIGHT];
            node = parent;
        }
        if (!next)
            break;
        node = next;
    }
    *at = NULL;
    return NULL;
}
