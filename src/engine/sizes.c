/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The holes of a tiling by size; see sizes.h.
 *
 * STRUCTURE. A B+tree. A leaf holds up to 30 holes, 16 bytes each, in order; an inner node as many children, each with a
 * LOWER BOUND: nothing below the child is less, everything below the child before it is. The very first bound is (0, 0).
 *
 *      leaf    | count  | key[31]             |               8 cache lines
 *      inner   | count  | key[31] | child[31] |              12
 *                         key[i]: the bound of child[i]
 *
 * The bound of a child is the first key that it had when it was last filled. So a change in a leaf that neither overflows
 * nor runs short changes that leaf alone.
 *
 * SPREADING. One place more than MOST lets a node overflow first, and be mended then. A node that overflows or runs short
 * (has fewer than LEAST) is mended in ONE way, on every level: what it and its neighbours hold, three nodes under the same
 * parent with it, is spread evenly over as few nodes as leave some room in each:
 *
 *      |==========|======    |=======   |     overflow           |========  |========  |========  |
 *      |==========|==========|==========|     all are full       |=======   |=======   |=======   |=======   |
 *      |=====     |======    |======    |     one runs short     |=========   |=========  |
 *
 * That may let the parent overflow or run short, which is mended likewise, and so on up to the root. A root that overflows
 * gets a new root above it; one with a single child makes way for it.
 *
 * FILL. Nodes that are spread have at most ROOM = MOST - 2 keys, so that the next insertion does not overflow. n nodes become
 * n + 1 only if they hold n ROOM + 1 or more, and n - 1 only if those hold all. Hence what comes out of
 *
 *      three that stay three      holds at least 2 ROOM + 1 keys                    LEAST = (2 ROOM + 1) / 3 a node
 *      two that become three      the same
 *      three that become four     at least 3 ROOM + 1                               more than LEAST: 3/4 ROOM a node
 *      three that become two      at least 3 LEAST - 1                              more than LEAST
 *
 * and every node has LEAST keys where there are three or more on its level: for a parent of fewer than three children is the
 * root, and there are no other nodes on the level. Two nodes have ROOM / 2 each, or they would be one.
 *
 * MEMORY. n holes are in n / LEAST + 1 leaves at most: one if n <= ROOM; two hold at least ROOM + 1, which is more than
 * LEAST; m >= 3 hold at least m LEAST. The same holds for the nodes of each level above. So a number of holes has a number of
 * nodes that suffices for every state with that many and fewer, whichever way leads there. With 31 places LEAST is 19, and a
 * hole costs at most 512 / 19 bytes in leaves, and 768 / 19 / 18 above them: 29.2. Chunks of nodes may be larger by an
 * eighth: 33.
 *
 * COST. A change is a descent and a move of half a leaf, and every tenth or so spreads three nodes. A descent reads an inner
 * node and a leaf among some 600 holes, two and a leaf among 15,000, three among 400,000. In a node it compares ten keys in two
 * steps, and has no branch that could be mispredicted. The best fit is one descent more; where what was found is taken, the
 * hole is removed without another.
 *
 * NOT DONE, on purpose: no links between leaves (the next hole is a descent), no lock.
 */
#include "sizes.h"

#include "../base/memory.h"

#ifndef SIZES_PLACES /* the tests build this file with tiny nodes as well */
#define SIZES_PLACES 31
#endif

enum {
    SIZES_MOST = SIZES_PLACES - 1, /* keys of a node at rest */
    SIZES_ROOM = SIZES_MOST - 2,   /* keys of a node that has just been spread */
    SIZES_LEAST = (2 * SIZES_ROOM + 1) / 3,
    SIZES_TOGETHER = 3, /* nodes that are spread at once */
    SIZES_DEPTH = 16,   /* more levels than 2^64 holes have, with LEAST children a node */
    SIZES_BLOCK = 8,    /* places that a search looks at in its second step, but for the last one */
};
_Static_assert(SIZES_PLACES % SIZES_BLOCK == SIZES_BLOCK - 1, "a search looks at whole blocks");
_Static_assert(SIZES_LEAST >= 3 && SIZES_ROOM / 2 + SIZES_ROOM % 2 >= 3,
               "all but the root have three children");

struct size_node {
    _Alignas(KVA_LINE) uint32_t count;
    _Alignas(sizeof(struct kva_size)) struct kva_size key[SIZES_PLACES]; /* none lies in two lines */
};

struct size_inner {
    struct size_node node; /* first: a leaf is this alone */
    struct size_node *child[SIZES_PLACES];
};

/** The way from the root to a leaf: which child of which node. */
struct size_path {
    struct size_inner *node[SIZES_DEPTH];
    unsigned index[SIZES_DEPTH];
};

static struct size_inner *inner_of(struct size_node *node)
{
    return (struct size_inner *)node;
}

/** Let a node have `count` keys. Places without one hold what is greater than any. */
static void set_key_count(struct size_node *node, unsigned count)
{
    for (unsigned i = count; i < SIZES_PLACES; i++)
        node->key[i] = (struct kva_size){UINT64_MAX, UINT64_MAX};
    node->count = count;
}

/* ---------------------------------------------------------------------------------------------- descents */

/** Searches do little else. On x86-64 the carry of a subtraction of 128 bits tells: two instructions in the place of seven. */
static inline bool is_smaller(const struct kva_size *a, const struct kva_size *b)
{
#if defined(__x86_64__)
    uint64_t span = a->span;
    bool less;

    __asm__("cmpq %[b_start], %[a_start]\n\tsbbq %[b_span], %[span]"
            : "=@ccc"(less), [span] "+r"(span)
            : [a_start] "rm"(a->start), [b_start] "r"(b->start), [b_span] "r"(b->span));
    return less;
#else
    return (a->span < b->span) | ((a->span == b->span) & (a->start < b->start));
#endif
}

/** The least key that is greater. The greatest has none, and is no hole: a span of 2^64 - 1 begins at 0. */
static struct kva_size key_after(const struct kva_size *key)
{
    return (struct kva_size){key->span + (key->start == UINT64_MAX), key->start + 1};
}

/** How many of the seven keys from `keys` on are smaller. */
static inline unsigned seven_below(const struct kva_size *keys, const struct kva_size *key)
{
    return (unsigned)is_smaller(keys, key) + is_smaller(keys + 1, key) + is_smaller(keys + 2, key) +
           is_smaller(keys + 3, key) + is_smaller(keys + 4, key) + is_smaller(keys + 5, key) +
           is_smaller(keys + 6, key);
}

/** How many keys of a node are smaller: the eighths first, then one of them. Neither the comparisons of a step wait for one
 *  another, nor is there a branch that could be mispredicted. */
static inline unsigned keys_below(const struct size_node *node, const struct kva_size *key)
{
    unsigned below = 0;

    for (unsigned i = SIZES_BLOCK - 1; i < SIZES_PLACES; i += SIZES_BLOCK)
        below += is_smaller(&node->key[i], key) ? SIZES_BLOCK : 0;
    return below + seven_below(node->key + below, key);
}

/** All lines of a leaf at once: a change moves half of them. */
static void prefetch_keys(const struct size_node *leaf)
{
    for (size_t offset = 0; offset < sizeof *leaf; offset += KVA_LINE)
        __builtin_prefetch((const char *)leaf + offset);
}

/** The leaf where a key belongs, and the way there. */
static struct size_node *descend_to_key(const struct kva_sizes *sizes, const struct kva_size *key,
                                        struct size_path *path)
{
    const struct kva_size after = key_after(key);
    struct size_node *node = sizes->root;

    for (unsigned level = 0; level < sizes->height; level++) {
        unsigned index = keys_below(node, &after) - 1; /* the last child whose bound is not greater */
        path->node[level] = inner_of(node);
        path->index[level] = index;
        node = inner_of(node)->child[index];
    }
    if (sizes->height > 1)
        prefetch_keys(node);
    return node;
}

/** The first hole that is not smaller than a key. If its leaf has none, that is the first one of the next leaf. */
static bool first_from(struct kva_sizes *sizes, const struct kva_size *key, struct kva_size *found)
{
    struct size_path path;
    struct size_node *leaf = descend_to_key(sizes, key, &path);
    unsigned index = keys_below(leaf, key);

    if (index == leaf->count) {
        unsigned level = sizes->height;
        while (level > 0 && path.index[level - 1] + 1 == path.node[level - 1]->node.count)
            level--;
        if (level == 0)
            return false;
        struct size_node *node = path.node[level - 1]->child[path.index[level - 1] + 1];
        for (; level < sizes->height; level++)
            node = inner_of(node)->child[0];
        leaf = node;
        index = 0;
    }
    sizes->found = leaf;
    sizes->found_index = index;
    *found = leaf->key[index];
    return true;
}

bool kva_sizes_first(struct kva_sizes *sizes, uint64_t span, struct kva_size *found)
{
    return first_from(sizes, &(struct kva_size){span, 0}, found);
}

bool kva_sizes_next(struct kva_sizes *sizes, struct kva_size *at)
{
    const struct kva_size from = key_after(at);

    return first_from(sizes, &from, at);
}

/* ------------------------------------------------------------------------------------------------ memory */

struct kva_sizes *kva_sizes_create(struct kva_ledger *ledger)
{
    struct kva_sizes *sizes = kva_nodes_block(ledger, sizeof *sizes);

    if (!sizes)
        return NULL;
    kva_nodes_init(&sizes->leaves, ledger, sizeof(struct size_node));
    kva_nodes_init(&sizes->inners, ledger, sizeof(struct size_inner));
    sizes->found = NULL;
    sizes->height = 0;
    sizes->count = 0;
    sizes->ready = 0;
    if (!kva_sizes_fill(sizes, 1))
        return NULL;
    sizes->root = kva_nodes_pop(&sizes->leaves);
    set_key_count(sizes->root, 0);
    return sizes;
}

/** How many inner nodes are above so many leaves, at most; see MEMORY. */
static size_t inners_above(size_t leaves)
{
    size_t all = 0;

    for (size_t nodes = leaves; nodes > 1; all += nodes)
        nodes = nodes / SIZES_LEAST + 1;
    return all;
}

/** Let a cache have `count` nodes, those in use included. */
static bool ensure_in_all(struct kva_nodes *nodes, size_t count)
{
    return count <= nodes->in_use || kva_nodes_ensure(nodes, count - nodes->in_use);
}

bool kva_sizes_fill(struct kva_sizes *sizes, size_t holes)
{
    size_t leaves = holes / SIZES_LEAST + 1;

    if (!ensure_in_all(&sizes->leaves, leaves) || !ensure_in_all(&sizes->inners, inners_above(leaves)))
        return false;
    sizes->ready = leaves * SIZES_LEAST - 1; /* the most that so many leaves suffice for */
    return true;
}

/* --------------------------------------------------------------------------------------------- spreading */

/** What some neighbours hold. */
struct size_keys {
    unsigned count;
    struct kva_size key[SIZES_TOGETHER * SIZES_PLACES];
    struct size_node *child[SIZES_TOGETHER * SIZES_PLACES];
};

static void gather_keys(struct size_keys *all, struct size_node *node, bool is_leaf)
{
    memcpy(all->key + all->count, node->key, node->count * sizeof *node->key);
    if (!is_leaf)
        memcpy(all->child + all->count, inner_of(node)->child, node->count * sizeof *all->child);
    all->count += node->count;
}

/** Fill a node with `count` keys from `at` on. */
static void deal_keys(const struct size_keys *all, unsigned at, unsigned count, struct size_node *node,
                      bool is_leaf)
{
    memcpy(node->key, all->key + at, count * sizeof *node->key);
    if (!is_leaf)
        memcpy(inner_of(node)->child, all->child + at, count * sizeof *all->child);
    set_key_count(node, count);
}

/** Of how many nodes `keys` keys need, that are in n now. */
static unsigned nodes_for_keys(unsigned keys, unsigned n)
{
    if (keys > n * SIZES_ROOM)
        return n + 1;
    return keys <= (n - 1) * SIZES_ROOM ? n - 1 : n;
}

/** Put `child` behind the i-th, without a bound as yet. */
static void open_child(struct size_inner *parent, unsigned i, struct size_node *child)
{
    unsigned behind = parent->node.count - i;

    memmove(parent->node.key + i + 1, parent->node.key + i, behind * sizeof *parent->node.key);
    memmove(parent->child + i + 1, parent->child + i, behind * sizeof *parent->child);
    parent->child[i] = child;
    parent->node.count++;
}

static void close_child(struct size_inner *parent, unsigned i)
{
    unsigned behind = parent->node.count - i - 1;

    memmove(parent->node.key + i, parent->node.key + i + 1, behind * sizeof *parent->node.key);
    memmove(parent->child + i, parent->child + i + 1, behind * sizeof *parent->child);
    set_key_count(&parent->node, parent->node.count - 1);
}

/** Spread what child i and its neighbours hold. The bound of the first of them stays: nothing moves past it. */
static void spread_keys(struct kva_sizes *sizes, struct size_inner *parent, unsigned i, bool are_leaves)
{
    struct kva_nodes *cache = are_leaves ? &sizes->leaves : &sizes->inners;
    unsigned n = parent->node.count < SIZES_TOGETHER ? parent->node.count : SIZES_TOGETHER;
    unsigned first = i > 0 ? i - 1 : 0;
    struct size_keys all;

    if (first + n > parent->node.count)
        first = parent->node.count - n;
    all.count = 0;
    for (unsigned k = first; k < first + n; k++)
        gather_keys(&all, parent->child[k], are_leaves);
    unsigned now = nodes_for_keys(all.count, n);
    if (now > n) {
        open_child(parent, first + n, kva_nodes_pop(cache));
    } else if (now < n) {
        kva_nodes_push(cache, parent->child[first + now]);
        close_child(parent, first + now);
    }
    for (unsigned k = 0, at = 0; k < now; k++) {
        unsigned share = all.count / now + (k < all.count % now);
        deal_keys(&all, at, share, parent->child[first + k], are_leaves);
        if (k > 0)
            parent->node.key[first + k] = all.key[at];
        at += share;
    }
}

/** The root has overflown: it becomes the child of a new one. */
static void raise_root(struct kva_sizes *sizes)
{
    struct size_inner *root = kva_nodes_pop(&sizes->inners);

    set_key_count(&root->node, 1);
    root->node.key[0] = (struct kva_size){0, 0};
    root->child[0] = sizes->root;
    sizes->root = &root->node;
    sizes->height++;
    spread_keys(sizes, root, 0, sizes->height == 1);
}

static void drop_root(struct kva_sizes *sizes)
{
    struct size_inner *root = inner_of(sizes->root);

    sizes->root = root->child[0];
    sizes->height--;
    kva_nodes_push(&sizes->inners, root);
}

static bool is_well_filled(const struct size_node *node)
{
    return node->count >= SIZES_LEAST && node->count <= SIZES_MOST;
}

/** The leaf at the end of a path has overflown or runs short: mend it, and all above it that does by that. */
static void mend_nodes(struct kva_sizes *sizes, const struct size_path *path)
{
    for (unsigned level = sizes->height; level-- > 0;) {
        struct size_inner *node = path->node[level];
        spread_keys(sizes, node, path->index[level], level + 1 == sizes->height);
        if (level > 0 && is_well_filled(&node->node))
            return;
    }
    if (sizes->root->count > SIZES_MOST)
        raise_root(sizes);
    else if (sizes->height > 0 && sizes->root->count == 1)
        drop_root(sizes);
}

/* ----------------------------------------------------------------------------------------------- changes */

void kva_sizes_insert(struct kva_sizes *sizes, uint64_t start, uint64_t last)
{
    const struct kva_size key = {last - start, start};
    struct size_path path;
    struct size_node *leaf = descend_to_key(sizes, &key, &path);
    unsigned i = keys_below(leaf, &key);

    memmove(leaf->key + i + 1, leaf->key + i, (leaf->count - i) * sizeof key);
    leaf->key[i] = key;
    leaf->count++;
    sizes->count++;
    sizes->found = NULL;
    if (leaf->count > SIZES_MOST)
        mend_nodes(sizes, &path);
}

/** What is behind the last key is a free place. */
static void remove_key(struct kva_sizes *sizes, struct size_node *leaf, unsigned i)
{
    memmove(leaf->key + i, leaf->key + i + 1, (SIZES_MOST - i) * sizeof *leaf->key);
    leaf->count--;
    sizes->count--;
    sizes->found = NULL;
}

static bool is_key(const struct kva_size *a, const struct kva_size *b)
{
    return a->span == b->span && a->start == b->start;
}

/** A hole that has just been found is where it was; its leaf must not run short, as the way there is not known. */
static bool remove_found(struct kva_sizes *sizes, const struct kva_size *key)
{
    struct size_node *leaf = sizes->found;
    unsigned i = sizes->found_index;

    if (!leaf || leaf->count <= SIZES_LEAST || !is_key(&leaf->key[i], key))
        return false;
    remove_key(sizes, leaf, i);
    return true;
}

void kva_sizes_remove(struct kva_sizes *sizes, uint64_t start, uint64_t last)
{
    const struct kva_size key = {last - start, start};
    struct size_path path;

    if (remove_found(sizes, &key))
        return;
    struct size_node *leaf = descend_to_key(sizes, &key, &path);
    unsigned i = keys_below(leaf, &key);
    bool is_there = i < leaf->count && is_key(&leaf->key[i], &key);
    check_contract(&sizes->leaves.ledger->hooks, is_there, __func__, "I9: a hole is not in the index by size",
                   start);
    if (!is_there)
        return;
    remove_key(sizes, leaf, i);
    if (leaf->count < SIZES_LEAST && sizes->height > 0)
        mend_nodes(sizes, &path);
}

void kva_sizes_lost(struct kva_sizes *sizes, uint64_t hole_start, uint64_t hole_last, uint64_t start,
                    uint64_t last)
{
    kva_sizes_remove(sizes, hole_start, hole_last);
    if (hole_start < start)
        kva_sizes_insert(sizes, hole_start, start - 1);
    if (last < hole_last)
        kva_sizes_insert(sizes, last + 1, hole_last);
}

void kva_sizes_gained(struct kva_sizes *sizes, uint64_t hole_start, uint64_t hole_last, uint64_t start,
                      uint64_t last)
{
    if (hole_start < start)
        kva_sizes_remove(sizes, hole_start, start - 1);
    if (last < hole_last)
        kva_sizes_remove(sizes, last + 1, hole_last);
    kva_sizes_insert(sizes, hole_start, hole_last);
}

/* ------------------------------------------------------------------------------------------------ checks */

/** What a walk has seen. */
struct size_walk {
    const struct kva_sizes *sizes;
    uint64_t holes;
    size_t leaves;
    size_t inners;
    uint64_t address; /* where something is wrong */
};

static const char *walk_sizes(struct size_walk *walk, struct size_node *node, unsigned level, unsigned least,
                              const struct kva_size *bound, const struct kva_size *end);

/** The children of a node, each from its bound to the next one's. */
static const char *walk_bounds(struct size_walk *walk, const struct size_inner *inner, unsigned level,
                               const struct kva_size *end)
{
    unsigned count = inner->node.count;
    unsigned least = level == 0 && count == 2 ? (SIZES_ROOM + 1) / 2 : SIZES_LEAST;
    const char *broken = NULL;

    for (unsigned i = 0; i < count && !broken; i++) {
        const struct kva_size *next = i + 1 < count ? &inner->node.key[i + 1] : end;
        broken = walk_sizes(walk, inner->child[i], level + 1, least, &inner->node.key[i], next);
    }
    return broken;
}

/** A node on `level` and all below it: at least `bound`, and below `end` (NULL: no end). */
static const char *walk_sizes(struct size_walk *walk, struct size_node *node, unsigned level, unsigned least,
                              const struct kva_size *bound, const struct kva_size *end)
{
    bool is_leaf = level == walk->sizes->height;

    walk->address = bound->start;
    if (node->count < least || node->count > SIZES_MOST)
        return "I9: a node of the index by size has too few keys, or too many";
    for (unsigned i = 0; i < node->count; i++) {
        walk->address = node->key[i].start;
        if (is_smaller(&node->key[i], bound) || (end && !is_smaller(&node->key[i], end)))
            return "I9: a key of the index by size is outside its bounds";
        if (i > 0 && !is_smaller(&node->key[i - 1], &node->key[i]))
            return "I9: the index by size is out of order";
    }
    walk->leaves += is_leaf;
    walk->inners += !is_leaf;
    if (!is_leaf)
        return walk_bounds(walk, inner_of(node), level, end);
    walk->holes += node->count;
    return NULL;
}

const char *kva_sizes_check(const struct kva_sizes *sizes, uint64_t *address)
{
    const struct kva_size lowest = {0, 0};
    struct size_walk walk = {.sizes = sizes};
    const char *broken = walk_sizes(&walk, sizes->root, 0, sizes->height > 0 ? 2 : 0, &lowest, NULL);

    *address = walk.address;
    if (broken)
        return broken;
    *address = 0;
    if (walk.holes != sizes->count)
        return "I9: the index by size counts its holes wrong";
    return walk.leaves == sizes->leaves.in_use && walk.inners == sizes->inners.in_use
               ? NULL
               : "I9: a node of the index by size is lost";
}
