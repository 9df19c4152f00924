/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The red-black tree of rbtree.h: insertion and removal, each case once for a side and its opposite.
 *
 * In the pictures below, UPPER case is black, lower case is red, parentheses mean either. They are drawn
 * for side = left; the other form is their mirror image, and the same lines of code.
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

/** Missing children count as black. */
static bool is_red(const struct kva_rb_node *node)
{
    return node && colour_of(node) == RED;
}

static void set_colour(struct kva_rb_node *node, unsigned colour)
{
    node->parent_and_colour = (node->parent_and_colour & ~(uintptr_t)KVA_RB_COLOUR) | colour;
}

/** Colour and mark stay. */
static void set_parent(struct kva_rb_node *node, struct kva_rb_node *parent)
{
    node->parent_and_colour = (uintptr_t)parent | (node->parent_and_colour & (KVA_RB_COLOUR | KVA_RB_MARK));
}

/** The mark stays. */
static void set_parent_and_colour(struct kva_rb_node *node, const struct kva_rb_node *parent, unsigned colour)
{
    node->parent_and_colour = (uintptr_t)parent | colour | (node->parent_and_colour & KVA_RB_MARK);
}

static enum kva_rb_side side_of(const struct kva_rb_node *node, const struct kva_rb_node *parent)
{
    return parent->child[KVA_RB_LEFT] == node ? KVA_RB_LEFT : KVA_RB_RIGHT;
}

/** Let `parent` (NULL: the tree) point to `to` where it pointed to `from`. */
static void relink(struct kva_rb_tree *tree, struct kva_rb_node *parent, const struct kva_rb_node *from,
                   struct kva_rb_node *to)
{
    if (parent)
        parent->child[side_of(from, parent)] = to;
    else
        tree->root = to;
}

/** Rotate `down` towards `side`; its other child takes its place. Colours stay with their nodes.
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

/** A red node has been linked at `node`: T1 may be broken between it and its parent, and nowhere else.
 *
 *   the uncle is red: recolour, and          the uncle is black: if node is the inner child, turn it
 *   the trouble moves two levels up          outwards (A), then rotate the grandparent (B): done
 *
 *        G             g   <- node now           G      A       G      B      P
 *       / \           / \                       / \    --->    / \    --->   / \
 *      p   u   --->  P   U                     p   U          n   U         n   g
 *     /             /                           \            /                   \
 *    n             n                             n          p                     U
 */
static void rebalance_after_insert(struct kva_rb_tree *tree, struct kva_rb_node *node)
{
    struct kva_rb_node *parent;

    while ((parent = rb_parent(node)) && colour_of(parent) == RED) {
        struct kva_rb_node *grand = rb_parent(parent); /* exists: a red node is not the root */
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

/** The subtree on `side` of `parent` has lost one black level (T2); its root is missing or black.
 *
 *   1  the sibling is red: rotate it up; the new       2  its children are black: it turns red. A red
 *      sibling is black, and 2 or 3 follows               parent turns black: done. Else one level up
 *
 *        P               S                                 (p)             (p)  <- lost one level
 *       / \             / \                                / \             / \
 *     *N   s    --->   p   F                             *N   S    --->  *N   s
 *         / \         / \                                    / \             / \
 *        A   F      *N   A                                  A   F           A   F
 *
 *   3  the far child is red (if only the near one      done: the sibling takes the parent's colour,
 *      is, rotate it outwards first):                  the parent and the far child turn black
 *
 *        (p)              (s)
 *        / \              / \
 *      *N   S    --->    P   F
 *          / \          / \
 *        (a)  f        N  (a)
 */
static void rebalance_after_erase(struct kva_rb_tree *tree, struct kva_rb_node *parent, enum kva_rb_side side)
{
    while (parent) {
        enum kva_rb_side other = opposite(side);
        struct kva_rb_node *sibling = parent->child[other]; /* exists, by T2 */

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

/** Where a node went missing: `side` of `parent`, and the colour and only child of what stood there. */
struct gap {
    struct kva_rb_node *parent;
    struct kva_rb_node *child;
    enum kva_rb_side side;
    unsigned colour;
};

/** Unlink a node with at most one child; the child moves up. */
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

/** Unlink a node with two children: its successor, which has no left child, leaves its own place (that is
 *  the gap) and takes the node's, with the node's colour.
 *
 *            node                 succ
 *           /    \               /    \
 *          a      x      --->   a      x
 *                /                    /
 *             succ                   c   <- gap
 *                 \
 *                  c
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
        /* Two stretches, so that an early stop in the lower one cannot skip the successor: the value
         * that it inherits still counts the node that leaves. */
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
        /* By T2 an only child is red, and what it replaces is black: blackening it restores T2. */
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
    /* Climb until the step upwards leads in the wanted direction. */
    while ((next = rb_parent(node)) && next->child[side] == node)
        node = next;
    return next;
}

/** The longest path of a sound tree: twice as many nodes as the binary digits of how many nodes memory
 *  holds. */
enum { LONGEST_PATH = 2 * 64 };

/** The number of black nodes from `node` to the first missing child on its left. The way down has not been
 *  verified: on a damaged tree it may lead in a circle, which is then longer than any path; that is -1. */
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

/** T1-T3 at one node. Comparing the left spines of both children at every node proves T2 for all paths. */
static const char *check_node(const struct kva_rb_node *node)
{
    for (int side = KVA_RB_LEFT; side <= KVA_RB_RIGHT; side++) {
        const struct kva_rb_node *child = node->child[side];
        if (child && rb_parent(child) != node)
            return "T3: a child's parent pointer leads elsewhere";
        if (is_red(node) && is_red(child))
            return "T1: a red node has a red child";
    }
    if (node->child[KVA_RB_LEFT] && node->child[KVA_RB_LEFT] == node->child[KVA_RB_RIGHT])
        return "T3: a node is the child of another one twice";
    int left = black_height(node->child[KVA_RB_LEFT]);
    if (left < 0 || left != black_height(node->child[KVA_RB_RIGHT]))
        return "T2: paths with different numbers of black nodes";
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
    /* A walk in preorder that trusts a child's parent pointer only after check_node has verified it. */
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
