/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The index by size of sizes.h: a B+tree of 64-bit keys.
 *
 * STRUCTURE. A leaf holds up to 22 keys in order; an inner node up to 30 children, each with a LOWER BOUND:
 * all keys below the child are at least the bound, all keys below the child before it are less. The first
 * bound is 0.
 *
 *      leaf    | count  | key[31]             |               4 cache lines; the last 8 places stay free
 *      inner   | count  | key[31] | child[31] |               8
 *                         key[i]: the bound of child[i]
 *
 * The bound of a child is the first key that the child had when it was last spread. So a change of a leaf
 * that neither overflows nor runs short changes no other node. Free places hold UINT64_MAX, which exceeds
 * every key.
 *
 * KEYS. The order of the holes is that of their keys. Let a hole be n quanta long and start at quantum s, and
 * let e be the index of the highest bit of n: 2^e <= n < 2^(e + 1). Its key is
 *
 *      | e | n without its highest bit | s / 2^e, rounded down |
 *        6             e                       58 - e             bits
 *
 * The last field orders holes of equal size by s: holes are not adjacent, so the starts of two of them differ
 * by more than n >= 2^e. The low bits of s are not needed to find the hole again, because the quantum
 * (s / 2^e + 1) 2^e - 1 lies in the hole: it is at least s, and at most s + 2^e - 1.
 *
 *      blocks of 2^e  |------------------|------------------|
 *      hole                   |==================|          s lies in the first block,
 *                                       ^                   and the block's last quantum lies in the hole
 *
 * So 64 bits suffice if addresses have at most 58 bits in quanta: always, if the quantum is 64 or more.
 *
 * A CHANGE of a leaf moves the keys after it by one place, always as three blocks of eight, so there is no
 * branch to mispredict. A block that would start after the last place starts there instead, and moves only
 * free places.
 *
 * SPREADING. A node has one place more than its MOST, so it overflows before it is mended. A node that
 * overflows or runs short (has fewer keys than its LEAST) is mended in the same way on every level: its keys
 * and those of its neighbours under the same parent, three nodes in all, are spread evenly over as few nodes
 * as leave some room in each.
 *
 *      |==========|======    |=======   |    overflow          |========  |========  |========  |
 *      |==========|==========|==========|    all are full      |=======   |=======   |=======   |=======   |
 *      |=====     |======    |======    |    one runs short    |========= |========= |
 *
 * The parent may then overflow or run short, and is mended likewise, up to the root. A root that overflows
 * gets a new root above it; a root with a single child is removed.
 *
 * FILL. Nodes that are spread have at most ROOM = MOST - 2 keys, so the next insertion does not overflow. n
 * nodes become n + 1 only if they hold at least n ROOM + 1 keys, and n - 1 only if they hold at most (n - 1)
 * ROOM. Therefore
 *
 *      three that stay three      hold at least 2 ROOM + 1 keys      LEAST = (2 ROOM + 1) / 3 a node
 *      two that become three      hold at least as many
 *      three that become four     hold at least 3 ROOM + 1           more than LEAST: 3/4 ROOM a node
 *      three that become two      hold at least 3 LEAST - 1          more than LEAST
 *
 * and on a level of three or more nodes each node has at least LEAST keys: a parent with fewer than three
 * children is the root, and then there are no other nodes on the level. Two nodes hold at least ROOM / 2
 * each, or they would be one.
 *
 * MEMORY. n holes occupy at most n / LEAST + 1 leaves: one leaf if n <= ROOM; two leaves hold more than ROOM
 * keys, and so more than LEAST; m >= 3 leaves hold at least m LEAST. The same holds for the nodes of each
 * level above. So the nodes for a number of holes suffice for every state with that many or fewer, in
 * whichever order the changes come. LEAST is 13 for a leaf and 19 for an inner node, so a hole costs at most
 * 256 / 13 bytes in leaves and 512 / 13 / 18 above them: 21.9. Slabs may be larger by an eighth: 25.
 *
 * COST. A change is a descent and a move of keys; about every eighth change spreads three nodes. A descent
 * reads one inner node and a leaf among some 450 holes, two and a leaf among 11,000, three among 270,000. In
 * each node it compares ten keys in two steps, without a branch to mispredict. A best fit is one more
 * descent; if the hole found is the one that is taken, it is removed without another.
 *
 * NOT DONE: no links between leaves (the next hole takes a descent), no lock.
 *
 * SOURCE. B-trees that move keys to neighbours before they split, and split two nodes into three: R. Bayer
 * and E. McCreight, 1972, and the B*-trees of D. E. Knuth, The Art of Computer Programming, volume 3, section
 * 6.2.4.
 */
#include "sizes.h"

#include "../base/memory.h"

#ifndef SIZES_PLACES /* the tests build this file with tiny nodes as well */
#define SIZES_PLACES 23
#endif

enum {
    /** Keys that are moved at once. The second step of a search compares all of a block but the last. */
    SIZES_BLOCK = 8,
    /** Places of a node. A leaf uses only SIZES_PLACES of them. */
    SIZES_WIDTH = SIZES_PLACES + SIZES_BLOCK,
    SIZES_TOGETHER = 3, /* nodes that are spread at once */
    SIZES_DEPTH = 24,   /* more levels than 2^64 holes need, with LEAST children a node */
};
_Static_assert(SIZES_PLACES % SIZES_BLOCK == SIZES_BLOCK - 1, "a search compares whole blocks");
_Static_assert(SIZES_PLACES <= 3 * SIZES_BLOCK, "a change moves three blocks");

struct size_node {
    _Alignas(KVA_LINE) uint32_t count;
    _Alignas(sizeof(uint64_t)) uint64_t key[SIZES_WIDTH];
};

struct size_inner {
    struct size_node node; /* first: a leaf has only this part */
    struct size_node *child[SIZES_WIDTH];
};

/** The most keys of a node between two changes. */
static inline unsigned most_keys(bool is_leaf)
{
    return (is_leaf ? SIZES_PLACES : SIZES_WIDTH) - 1;
}

/** The most keys of a node after it is spread. */
static inline unsigned room_for_keys(bool is_leaf)
{
    return most_keys(is_leaf) - 2;
}

static inline unsigned least_keys(bool is_leaf)
{
    return (2 * room_for_keys(is_leaf) + 1) / 3;
}

/** The path from the root to a leaf: on each level, the node and the index of the child. */
struct size_path {
    struct size_inner *node[SIZES_DEPTH];
    unsigned index[SIZES_DEPTH];
};

static struct size_inner *inner_of(struct size_node *node)
{
    return (struct size_inner *)node;
}

/** Set the number of keys of a node, and fill the free places. */
static void set_key_count(struct size_node *node, unsigned count)
{
    for (unsigned i = count; i < SIZES_WIDTH; i++)
        node->key[i] = UINT64_MAX;
    node->count = count;
}

/* -------------------------------------------------------------------------------------------------- keys */

/** The key of the hole [start, last]. The highest bit of `quanta` adds one to the field of e, hence e - 1. */
static inline uint64_t size_key(const struct kva_sizes *sizes, uint64_t start, uint64_t last)
{
    uint64_t quanta = ((last - start) >> sizes->shift) + 1;
    unsigned e = highest_bit(quanta);

    return ((e - UINT64_C(1)) << KVA_SIZES_BITS) + (quanta << (KVA_SIZES_BITS - e)) +
           (start >> sizes->shift >> e);
}

/** The extent of the hole of a key, and a quantum inside it. */
static inline struct kva_size size_of_key(const struct kva_sizes *sizes, uint64_t key)
{
    unsigned e = (unsigned)(key >> KVA_SIZES_BITS);
    unsigned bits = KVA_SIZES_BITS - e; /* the width of the last field */
    uint64_t one = UINT64_C(1) << e;
    uint64_t quanta = (key >> bits & (one - 1)) + one;
    uint64_t block = key & ((UINT64_C(1) << bits) - 1);

    return (struct kva_size){
        .key = key,
        .extent = (quanta << sizes->shift) - 1,
        .within = ((block + 1) * one - 1) << sizes->shift,
    };
}

/* ---------------------------------------------------------------------------------------------- descents */

/** The number of the seven keys from `keys` on that are less than `key`. */
static inline unsigned seven_below(const uint64_t *keys, uint64_t key)
{
    return (unsigned)(keys[0] < key) + (keys[1] < key) + (keys[2] < key) + (keys[3] < key) + (keys[4] < key) +
           (keys[5] < key) + (keys[6] < key);
}

/** The number of keys of a node with `places` that are less than `key`: first by the last key of each
 *  block, then within one block. The comparisons of a step are independent, and no branch can be
 *  mispredicted. */
static inline unsigned keys_below(const struct size_node *node, unsigned places, uint64_t key)
{
    unsigned below = 0;

    for (unsigned i = SIZES_BLOCK - 1; i < places; i += SIZES_BLOCK)
        below += node->key[i] < key ? (unsigned)SIZES_BLOCK : 0;
    return below + seven_below(node->key + below, key);
}

/** Fetch all lines of a leaf at once: a change moves half of its keys on average. */
static void prefetch_keys(const struct size_node *leaf)
{
    for (size_t offset = 0; offset < sizeof *leaf; offset += KVA_LINE)
        __builtin_prefetch((const char *)leaf + offset);
}

/** The leaf where a key belongs, and the path to it. */
static struct size_node *descend_to_key(const struct kva_sizes *sizes, uint64_t key, struct size_path *path)
{
    struct size_node *node = sizes->root;

    for (unsigned level = 0; level < sizes->height; level++) {
        /* The last child whose bound is at most the key. */
        unsigned index = keys_below(node, SIZES_WIDTH, key + 1) - 1;
        path->node[level] = inner_of(node);
        path->index[level] = index;
        node = inner_of(node)->child[index];
    }
    if (sizes->height > 1)
        prefetch_keys(node);
    return node;
}

/** The first hole whose key is at least `key`: in the leaf where `key` belongs, or the first one of the
 *  next leaf. */
static bool first_from(struct kva_sizes *sizes, uint64_t key, struct kva_size *found)
{
    struct size_path path;
    struct size_node *leaf = descend_to_key(sizes, key, &path);
    unsigned index = keys_below(leaf, SIZES_PLACES, key);

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
    *found = size_of_key(sizes, leaf->key[index]);
    return true;
}

bool kva_sizes_first(struct kva_sizes *sizes, uint64_t extent, struct kva_size *found)
{
    return first_from(sizes, size_key(sizes, 0, extent), found);
}

bool kva_sizes_next(struct kva_sizes *sizes, struct kva_size *at)
{
    return first_from(sizes, at->key + 1, at);
}

/* ------------------------------------------------------------------------------------------------ memory */

struct kva_sizes *kva_sizes_create(struct kva_ledger *ledger, uint64_t quantum)
{
    struct kva_sizes *sizes = kva_nodes_block(ledger, sizeof *sizes);

    if (!sizes)
        return NULL;
    kva_nodes_init(&sizes->leaves, ledger, sizeof(struct size_node));
    kva_nodes_init(&sizes->inners, ledger, sizeof(struct size_inner));
    sizes->shift = lowest_bit(quantum);
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

/** The most inner nodes above so many leaves; see MEMORY. */
static size_t inners_above(size_t leaves)
{
    size_t all = 0;

    for (size_t nodes = leaves; nodes > 1; all += nodes)
        nodes = nodes / least_keys(false) + 1;
    return all;
}

/** Ensure that a cache has `count` nodes, including those in use. */
static bool ensure_in_all(struct kva_nodes *nodes, size_t count)
{
    return count <= nodes->in_use || kva_nodes_ensure(nodes, count - nodes->in_use);
}

bool kva_sizes_fill(struct kva_sizes *sizes, size_t holes)
{
    size_t leaves = holes / least_keys(true) + 1;

    if (!ensure_in_all(&sizes->leaves, leaves) || !ensure_in_all(&sizes->inners, inners_above(leaves)))
        return false;
    sizes->ready = leaves * least_keys(true) - 1; /* the most holes that so many leaves suffice for */
    return true;
}

/* --------------------------------------------------------------------------------------------- spreading */

/** The keys and children of some neighbours. */
struct size_keys {
    unsigned count;
    uint64_t key[SIZES_TOGETHER * SIZES_WIDTH];
    struct size_node *child[SIZES_TOGETHER * SIZES_WIDTH];
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

/** The number of nodes over which the keys of n nodes are spread. */
static unsigned nodes_for_keys(unsigned keys, unsigned n, unsigned room)
{
    if (keys > n * room)
        return n + 1;
    return keys <= (n - 1) * room ? n - 1 : n;
}

/** Insert `child` at index i; its bound is set later. */
static void open_child(struct size_inner *parent, unsigned i, struct size_node *child)
{
    unsigned after = parent->node.count - i;

    memmove(parent->node.key + i + 1, parent->node.key + i, after * sizeof *parent->node.key);
    memmove(parent->child + i + 1, parent->child + i, after * sizeof *parent->child);
    parent->child[i] = child;
    parent->node.count++;
}

static void close_child(struct size_inner *parent, unsigned i)
{
    unsigned after = parent->node.count - i - 1;

    memmove(parent->node.key + i, parent->node.key + i + 1, after * sizeof *parent->node.key);
    memmove(parent->child + i, parent->child + i + 1, after * sizeof *parent->child);
    set_key_count(&parent->node, parent->node.count - 1);
}

/** Spread the keys of child i and its neighbours. The bound of the first of these nodes stays: no key
 *  moves below it. */
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
    unsigned now = nodes_for_keys(all.count, n, room_for_keys(are_leaves));
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

/** The root has overflowed: put a new root above it, and spread it. */
static void raise_root(struct kva_sizes *sizes)
{
    struct size_inner *root = kva_nodes_pop(&sizes->inners);

    set_key_count(&root->node, 1);
    root->node.key[0] = 0;
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
    return node->count >= least_keys(false) && node->count <= most_keys(false);
}

/** Mend the leaf at the end of a path, which has overflowed or runs short, and then its ancestors as
 *  necessary. */
static void mend_nodes(struct kva_sizes *sizes, const struct size_path *path)
{
    for (unsigned level = sizes->height; level-- > 0;) {
        struct size_inner *node = path->node[level];
        spread_keys(sizes, node, path->index[level], level + 1 == sizes->height);
        if (level > 0 && is_well_filled(&node->node))
            return;
    }
    if (sizes->root->count > most_keys(sizes->height == 0))
        raise_root(sizes);
    else if (sizes->height > 0 && sizes->root->count == 1)
        drop_root(sizes);
}

/* ----------------------------------------------------------------------------------------------- changes */

/** The block of a leaf that starts at place i, or at the last place, which is free, if i is beyond that.
 *  Written so that compilers make no branch of it. */
static inline uint64_t *block_from(struct size_node *leaf, uint32_t i)
{
    uint32_t beyond = i - (SIZES_PLACES - 1); /* wraps if it is not beyond */

    return leaf->key + (uint32_t)(SIZES_PLACES - 1 + (beyond & (0 - (beyond >> 31))));
}

/** Copy eight keys; the blocks may overlap, so all are read first. An array instead of the variables would
 *  go through the stack. */
static inline void copy_block(const uint64_t *from, uint64_t *to)
{
    uint64_t a = from[0];
    uint64_t b = from[1];
    uint64_t c = from[2];
    uint64_t d = from[3];
    uint64_t e = from[4];
    uint64_t f = from[5];
    uint64_t g = from[6];
    uint64_t h = from[7];

    to[0] = a;
    to[1] = b;
    to[2] = c;
    to[3] = d;
    to[4] = e;
    to[5] = f;
    to[6] = g;
    to[7] = h;
}

/** Move the keys from place i on up by one. */
static inline void open_place(struct size_node *leaf, unsigned i)
{
    uint64_t *second = block_from(leaf, i + SIZES_BLOCK);
    uint64_t *third = block_from(leaf, i + 2 * SIZES_BLOCK);

    copy_block(third, third + 1);
    copy_block(second, second + 1);
    copy_block(leaf->key + i, leaf->key + i + 1);
}

/** Move the keys after place i down by one. */
static inline void close_place(struct size_node *leaf, unsigned i)
{
    uint64_t *second = block_from(leaf, i + SIZES_BLOCK);
    uint64_t *third = block_from(leaf, i + 2 * SIZES_BLOCK);

    copy_block(leaf->key + i + 1, leaf->key + i);
    copy_block(second + 1, second);
    copy_block(third + 1, third);
}

void kva_sizes_insert(struct kva_sizes *sizes, uint64_t start, uint64_t last)
{
    uint64_t key = size_key(sizes, start, last);
    struct size_path path;
    struct size_node *leaf = descend_to_key(sizes, key, &path);
    unsigned i = keys_below(leaf, SIZES_PLACES, key);

    open_place(leaf, i);
    leaf->key[i] = key;
    leaf->count++;
    sizes->count++;
    sizes->found = NULL;
    if (leaf->count > most_keys(true))
        mend_nodes(sizes, &path);
}

static void remove_key(struct kva_sizes *sizes, struct size_node *leaf, unsigned i)
{
    close_place(leaf, i);
    leaf->count--;
    sizes->count--;
    sizes->found = NULL;
}

/** Remove the hole found last without a descent. False if its leaf would run short, because the path is
 *  unknown. */
static bool remove_found(struct kva_sizes *sizes, uint64_t key)
{
    struct size_node *leaf = sizes->found;
    unsigned i = sizes->found_index;

    if (!leaf || leaf->count <= least_keys(true) || leaf->key[i] != key)
        return false;
    remove_key(sizes, leaf, i);
    return true;
}

void kva_sizes_remove(struct kva_sizes *sizes, uint64_t start, uint64_t last)
{
    uint64_t key = size_key(sizes, start, last);
    struct size_path path;

    if (remove_found(sizes, key))
        return;
    struct size_node *leaf = descend_to_key(sizes, key, &path);
    unsigned i = keys_below(leaf, SIZES_PLACES, key);
    bool is_there = i < leaf->count && leaf->key[i] == key;
    check_contract(&sizes->leaves.ledger->hooks, is_there, __func__, "I9: a hole is not in the index by size",
                   start);
    if (!is_there)
        return;
    remove_key(sizes, leaf, i);
    if (leaf->count < least_keys(true) && sizes->height > 0)
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

/** The counts of a walk. */
struct size_walk {
    const struct kva_sizes *sizes;
    uint64_t holes;
    size_t leaves;
    size_t inners;
    uint64_t address; /* of the violation */
};

static const char *walk_sizes(struct size_walk *walk, struct size_node *node, unsigned level, unsigned least,
                              uint64_t bound, uint64_t end);

/** Walk the children of a node, each between its bound and the next one. */
static const char *walk_bounds(struct size_walk *walk, const struct size_inner *inner, unsigned level,
                               uint64_t end)
{
    unsigned count = inner->node.count;
    bool are_leaves = level + 1 == walk->sizes->height;
    unsigned least = level == 0 && count == 2 ? (room_for_keys(are_leaves) + 1) / 2 : least_keys(are_leaves);
    const char *broken = NULL;

    for (unsigned i = 0; i < count && !broken; i++) {
        uint64_t next = i + 1 < count ? inner->node.key[i + 1] : end;
        broken = walk_sizes(walk, inner->child[i], level + 1, least, inner->node.key[i], next);
    }
    return broken;
}

/** Walk a node on `level` and all nodes below it; its keys must lie in [bound, end). */
static const char *walk_sizes(struct size_walk *walk, struct size_node *node, unsigned level, unsigned least,
                              uint64_t bound, uint64_t end)
{
    bool is_leaf = level == walk->sizes->height;

    walk->address = size_of_key(walk->sizes, bound).within;
    if (node->count < least || node->count > most_keys(is_leaf))
        return "I9: a node of the index by size has too few or too many keys";
    for (unsigned i = 0; i < node->count; i++) {
        walk->address = size_of_key(walk->sizes, node->key[i]).within;
        if (node->key[i] < bound || node->key[i] >= end)
            return "I9: a key of the index by size is outside its bounds";
        if (i > 0 && node->key[i - 1] >= node->key[i])
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
    struct size_walk walk = {.sizes = sizes};
    const char *broken = walk_sizes(&walk, sizes->root, 0, sizes->height > 0 ? 2 : 0, 0, UINT64_MAX);

    *address = walk.address;
    if (broken)
        return broken;
    *address = 0;
    if (walk.holes != sizes->count)
        return "I9: the index by size has a wrong count of holes";
    return walk.leaves == sizes->leaves.in_use && walk.inners == sizes->inners.in_use
               ? NULL
               : "I9: a node of the index by size is lost";
}
