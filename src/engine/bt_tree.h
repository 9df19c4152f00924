/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The bt engine: a B+tree whose nodes and inner loops are laid out for cache lines and vectors.
 *
 * This file holds the operations; clear is in bt_clear.h, the checks are in bt_check.h, the table is in
 * bt_engine.h. All of it is compiled once for each instruction set, so that the inner loops are inlined; bt.c
 * selects the form at run time, once.
 *
 * STRUCTURE. Leaves hold the ranges in use, in order; a hole is the gap between two entries. An inner node
 * caches for each child its first address, its size, its largest hole, and for each alignment class the
 * longest run of bytes that starts at an aligned address. bt.h draws the layout.
 *
 * A hole belongs to the leaf of the entry before it. So an allocation moves no leaf's bounds unless the leaf
 * must be rewritten, and a free moves them only if it removes a leaf's first entry: then the leaf starts at
 * the next entry, and the hole joins the last gap of the leaf before.
 *
 *      before    |=A=|..hole..|   |=B=|..h2..|=C=|....|         free(B)
 *                low 0            low 1
 *      after     |=A=|..hole + B + h2........|   |=C=|....|
 *                low 0                           low 1
 *
 * OPERATIONS. A search descends by size, at each node to the first child whose maximum suffices; a free
 * descends by address. Both keep the path. The change is made in one leaf, and the maxima are updated from
 * there upwards until one stays.
 *
 * FILL. A leaf that overflows first shares its entries with a neighbour under the same parent; it is split
 * only if neither has room. A leaf that shrinks is merged as soon as it and a neighbour fit into one with a
 * little room to spare. So leaves stay three quarters full: 15 bytes a range, or 29 with owners, everything
 * included.
 *
 * MEMORY. A free removes an entry and merges nodes, so it needs no memory. An allocation needs at most one
 * new node per level and a new root, which it obtains before it changes anything.
 *
 * COST. With warm inner nodes (a million ranges have some 700, 1.2 MB), a free reads one leaf, whose 7 lines
 * (8 with owners) are fetched together, and one line of owners. An allocation reads another leaf, which
 * lowest fit mostly keeps warm. Of an inner node an operation reads up to 8 lines of starts or of maxima, and
 * two or three more (header, child, size). The red-black design waits for some ten lines one after another,
 * three times.
 *
 * Below some thousand ranges, which fit the cache, unpredictable branches limit the speed (was this hole the
 * largest of its leaf? is the freed one now?), and then the instructions: some 600 an operation at a thousand
 * ranges, with AVX-512 (docs/theory/bt.md). From 100,000 ranges on, the waits for the leaf and for the lines
 * of each inner node from the second-level cache limit it.
 *
 * Lookups need no lock: bt_version.h.
 *
 * NOT DONE: no links between leaves (the path leads to the neighbour), no hint from the previous search, no
 * lock.
 */
#ifndef KVA_ENGINE_BT_TREE_H
#define KVA_ENGINE_BT_TREE_H

#include "bt_version.h"

BT_HOT struct bt_map *bt_of(struct kva_address_map *map)
{
    return (struct bt_map *)map;
}

BT_HOT const struct bt_map *bt_of_const(const struct kva_address_map *map)
{
    return (const struct bt_map *)map;
}

/* --------------------------------------------------------------------------------------------- descents */

/** Fetch all lines of a leaf but the owners themselves, so that the misses overlap. */
BT_HOT void prefetch_leaf(const struct bt_map *bt, const void *leaf)
{
    size_t bytes = sizeof(struct bt_leaf) + (bt->common.owners ? offsetof(struct bt_owners, owner) : 0);

    for (size_t offset = 0; offset < bytes && bt->height > 1; offset += KVA_LINE)
        __builtin_prefetch((const char *)leaf + offset);
}

/** Set the bounds of the leaf at the end of a path, from its steps. */
BT_HOT void set_bounds(const struct bt_map *bt, struct bt_path *path)
{
    path->low = bt->common.first;
    path->high = bt->common.last;
    if (bt->height == 0)
        return;
    const struct bt_step *step = &path->step[bt->height - 1];
    path->low = ((const struct bt_inner *)step->node)->low[step->index];
    for (unsigned level = bt->height; level-- > 0;) {
        const struct bt_inner *inner = path->step[level].node;
        unsigned next = path->step[level].index + 1;
        if (next < inner->count) {
            path->high = inner->low[next] - 1;
            return;
        }
    }
}

/** Descend to the leaf that covers `address`. */
BT_HOT void descend_to(const struct bt_map *bt, uint64_t address, struct bt_path *path)
{
    void *node = bt->root;

    for (unsigned level = 0; level < bt->height; level++) {
        struct bt_inner *inner = node;
        unsigned index = children_at_most(inner->low, (unsigned)inner->count, address) - 1;
        path->step[level] = (struct bt_step){inner, index};
        node = inner->child[index];
    }
    prefetch_leaf(bt, node);
    path->leaf = node;
    set_bounds(bt, path);
}

/** Descend from `node` on `level` to the outermost leaf, on the policy's side, whose largest run of a
 *  class suffices. There is one. */
BT_HOT void descend_by_size(const struct bt_map *bt, void *node, unsigned level, unsigned align_class,
                            const struct kva_demand *demand, struct bt_path *path)
{
    for (; level < bt->height; level++) {
        struct bt_inner *inner = node;
        unsigned count = (unsigned)inner->count;
        unsigned index = demand->policy == KVA_LOWEST
                             ? first_at_least(inner->largest[align_class], 0, count, demand->size)
                             : past_last_at_least(inner->largest[align_class], count, demand->size) - 1;
        path->step[level] = (struct bt_step){inner, index};
        node = inner->child[index];
    }
    prefetch_leaf(bt, node);
    path->leaf = node;
    set_bounds(bt, path);
}

/** The next leaf, in the direction of the search, whose largest run of a class suffices. */
BT_RARE bool next_by_size(const struct bt_map *bt, unsigned align_class, const struct kva_demand *demand,
                          struct bt_path *path)
{
    for (unsigned level = bt->height; level-- > 0;) {
        struct bt_inner *inner = path->step[level].node;
        unsigned index = path->step[level].index;
        unsigned count = (unsigned)inner->count;
        const uint64_t *largest = inner->largest[align_class];
        if (demand->policy == KVA_LOWEST)
            index = first_at_least(largest, index + 1, count, demand->size);
        else
            index = past_last_at_least(largest, index, demand->size) - 1; /* none: wraps past count */
        if (index < count) {
            path->step[level].index = index;
            descend_by_size(bt, inner->child[index], level + 1, align_class, demand, path);
            return true;
        }
    }
    return false;
}

/* ----------------------------------------------------------------------------------------------- search */

/** The coarsest class to which every start at this alignment is aligned. */
BT_HOT unsigned class_of(const struct bt_map *bt, uint64_t align)
{
    unsigned align_class = bt->classes - 1;

    while (bt->align[align_class] > align)
        align_class--;
    return align_class;
}

/** The first gap of a leaf in the direction of the policy. */
BT_HOT unsigned outermost_gap(const struct bt_map *bt, const struct bt_path *path, bool lowest)
{
    return lowest ? !is_first_leaf(bt, path) : ((const struct bt_leaf *)path->leaf)->count;
}

/** The leaf and the gap where a search starts; false if the space has no run that suffices. */
BT_HOT bool first_place(const struct bt_map *bt, unsigned align_class, const struct kva_demand *demand,
                        struct bt_path *path, unsigned *gap)
{
    bool lowest = demand->policy == KVA_LOWEST;
    bool unbounded = lowest ? demand->min == bt->common.first : demand->max == bt->common.last;

    if (bt->top.largest[align_class] < demand->size)
        return false;
    if (unbounded) {
        descend_by_size(bt, bt->root, 0, align_class, demand, path);
        *gap = outermost_gap(bt, path, lowest);
        return true;
    }
    uint64_t edge = lowest ? demand->min : demand->max;
    descend_to(bt, edge, path);
    *gap = entries_up_to(bt, path->leaf, edge);
    return true;
}

/** Whether the window leaves too little of a leaf, and therefore of every later one. */
BT_HOT bool is_beyond(const struct bt_path *path, const struct kva_demand *demand)
{
    uint64_t extent = demand->size - 1;

    return demand->policy == KVA_LOWEST ? path->low > demand->max - extent
                                        : path->high < demand->min + extent;
}

static enum kva_status bt_search(struct kva_address_map *map, const struct kva_demand *demand,
                                 struct kva_place *place)
{
    struct bt_map *bt = bt_of(map);
    struct bt_path *path = &bt->found.path;
    unsigned align_class = class_of(bt, demand->align);
    unsigned gap;

    if (!first_place(bt, align_class, demand, path, &gap))
        return KVA_ENOSPC;
    while (!fit_in_leaf(bt, demand, gap, &bt->found, &place->start)) {
        if (!next_by_size(bt, align_class, demand, path) || is_beyond(path, demand))
            return KVA_ENOSPC;
        gap = outermost_gap(bt, path, demand->policy == KVA_LOWEST);
    }
    place->last = place->start + (demand->size - 1);
    place->hole_start = bt->found.hole_start;
    place->hole_last = bt->found.hole_last;
    return KVA_OK;
}

static enum kva_status bt_locate(struct kva_address_map *map, uint64_t start, uint64_t last,
                                 struct kva_place *place)
{
    const struct bt_map *bt = bt_of(map);
    struct bt_cursor *cursor = &bt_of(map)->found;

    descend_to(bt, start, &cursor->path);
    cursor->gap = entries_up_to(bt, cursor->path.leaf, start);
    bool is_hole = gap_at(bt, &cursor->path, cursor->gap, &cursor->hole_start, &cursor->hole_last);
    if (!is_hole || start < cursor->hole_start || last > cursor->hole_last)
        return KVA_EEXIST;
    *place = (struct kva_place){start, last, cursor->hole_start, cursor->hole_last};
    return KVA_OK;
}

/* --------------------------------------------------------------------------------------- cached maxima */

/** The maximum that is cached, above it, of the path's node on `level`. */
BT_HOT uint64_t known_largest(const struct bt_map *bt, const struct bt_path *path, unsigned level,
                              unsigned align_class)
{
    if (level == 0)
        return bt->top.largest[align_class];
    const struct bt_step *step = &path->step[level - 1];
    return ((const struct bt_inner *)step->node)->largest[align_class][step->index];
}

/** The largest run of a class in the node on `level` is now `now`: update its ancestors until one stays.
 *  The siblings are read only if the node had the greatest run among them and its run has shrunk. */
BT_HOT void climb_largest(struct bt_map *bt, const struct bt_path *path, unsigned level, unsigned align_class,
                          uint64_t now)
{
    while (level-- > 0) {
        struct bt_inner *inner = path->step[level].node;
        unsigned index = path->step[level].index;
        uint64_t *largest = inner->largest[align_class];
        uint64_t before = largest[index];
        uint64_t most = known_largest(bt, path, level, align_class);

        if (now == before)
            return;
        bool was_greatest = now < most && before == most;
        uint64_t other = was_greatest ? greatest(largest, (unsigned)inner->count, index) : 0;
        /* Written after `greatest` has read the array: a vector load over a pending store stalls. */
        largest[index] = now;
        if (now < most && !was_greatest)
            return;
        now = max_u64(now, other);
    }
    bt->top.largest[align_class] = now;
}

/** The same for the mark that an entry below belongs to an epoch. */
BT_RARE void climb_deferred(struct bt_map *bt, const struct bt_path *path, unsigned level, unsigned epoch,
                            bool deferred)
{
    while (level-- > 0) {
        struct bt_inner *inner = path->step[level].node;
        uint64_t bit = (uint64_t)1 << path->step[level].index;

        if (((inner->deferred[epoch] & bit) != 0) == deferred)
            return;
        inner->deferred[epoch] ^= bit;
        deferred = inner->deferred[epoch] != 0;
    }
    bt->top.deferred[epoch] = deferred;
}

static void climb(struct bt_map *bt, const struct bt_path *path, unsigned level, const struct bt_summary *now)
{
    for (unsigned align_class = 0; align_class < bt->classes; align_class++)
        climb_largest(bt, path, level, align_class, now->largest[align_class]);
    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
        climb_deferred(bt, path, level, epoch, now->deferred[epoch]);
}

/** A hole and the part of it that is taken. */
struct remainder {
    uint64_t hole_start;
    uint64_t start; /* of the part */
    uint64_t last;
    uint64_t hole_last;
};

/** A part of gap g of the leaf is about to be taken: update the maximum if it is this hole's. If the rest
 *  of the hole is at least as long as the rest of the leaf's range, no other gap can be longer; otherwise
 *  compute the maximum. */
BT_HOT void gap_shrinks_in(struct bt_map *bt, const struct bt_path *path, unsigned align_class, unsigned g,
                           const struct remainder *rest)
{
    uint64_t beside = (path->high - path->low) - (rest->hole_last - rest->hole_start);
    uint64_t run = run_of(bt, align_class, rest->hole_start, rest->hole_last);
    uint64_t now = 0;

    if (run == 0 || run != known_largest(bt, path, bt->height, align_class))
        return;
    if (rest->hole_start < rest->start)
        now = run_of(bt, align_class, rest->hole_start, rest->start - 1);
    if (rest->last < rest->hole_last)
        now = max_u64(now, run_of(bt, align_class, rest->last + 1, rest->hole_last));
    if (now < beside)
        now = max_u64(now, leaf_largest(bt, path, align_class, g));
    climb_largest(bt, path, bt->height, align_class, now);
}

BT_RARE void gap_shrinks_in_declared(struct bt_map *bt, const struct bt_path *path, unsigned g,
                                     const struct remainder *rest)
{
    for (unsigned align_class = 1; align_class < bt->classes; align_class++)
        gap_shrinks_in(bt, path, align_class, g, rest);
}

/** The same in all classes. Class 0, the only one of most spaces, goes first and alone, as a constant that
 *  the compiler knows. */
BT_HOT void gap_shrinks(struct bt_map *bt, const struct bt_path *path, unsigned g,
                        const struct remainder *rest)
{
    gap_shrinks_in(bt, path, 0, g, rest);
    if (bt->classes > 1)
        gap_shrinks_in_declared(bt, path, g, rest);
}

BT_HOT void gap_grew_in(struct bt_map *bt, const struct bt_path *path, unsigned align_class, uint64_t start,
                        uint64_t last)
{
    uint64_t run = run_of(bt, align_class, start, last);

    if (run > known_largest(bt, path, bt->height, align_class))
        climb_largest(bt, path, bt->height, align_class, run);
}

BT_RARE void gap_grew_in_declared(struct bt_map *bt, const struct bt_path *path, uint64_t start,
                                  uint64_t last)
{
    for (unsigned align_class = 1; align_class < bt->classes; align_class++)
        gap_grew_in(bt, path, align_class, start, last);
}

/** A gap of the leaf has grown to [start, last]: update the maxima. */
BT_HOT void gap_grew(struct bt_map *bt, const struct bt_path *path, uint64_t start, uint64_t last)
{
    gap_grew_in(bt, path, 0, start, last);
    if (bt->classes > 1)
        gap_grew_in_declared(bt, path, start, last);
}

/** The marks of the leaf's entries have changed: update the marks above. */
static void marks_changed(struct bt_map *bt, const struct bt_path *path)
{
    const struct bt_leaf *leaf = path->leaf;

    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
        climb_deferred(bt, path, bt->height, epoch, leaf->deferred[epoch] != 0);
}

/** The leaf was rewritten: update all maxima and marks above it. */
static void leaf_changed(struct bt_map *bt, const struct bt_path *path)
{
    struct bt_summary now;

    summarise_leaf(bt, path, &now);
    climb(bt, path, bt->height, &now);
}

/** Set the size of the node on `level` in its parent. */
BT_HOT void set_size(const struct bt_path *path, unsigned level, size_t size)
{
    if (level > 0) {
        struct bt_inner *parent = path->step[level - 1].node;
        parent->size[path->step[level - 1].index] = (uint8_t)size;
    }
}

/** Set the first address of the node on `level`, and of every ancestor that it is the first of. */
static void set_low(const struct bt_path *path, unsigned level, uint64_t low)
{
    while (level-- > 0) {
        struct bt_inner *parent = path->step[level].node;
        parent->low[path->step[level].index] = low;
        if (path->step[level].index > 0)
            return;
    }
}

/* --------------------------------------------------------------------------------------------- children */

/** A child and all that its parent caches of it. */
struct child {
    void *node;
    uint64_t low;
    size_t size;
    struct bt_summary summary;
};

static void set_child(const struct bt_map *bt, struct bt_inner *inner, size_t i, const struct child *child)
{
    uint64_t bit = (uint64_t)1 << i;

    inner->child[i] = child->node;
    inner->low[i] = child->low;
    inner->size[i] = (uint8_t)child->size;
    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++) {
        inner->deferred[epoch] &= ~bit;
        inner->deferred[epoch] |= child->summary.deferred[epoch] ? bit : 0;
    }
    for (unsigned align_class = 0; align_class < bt->classes; align_class++)
        inner->largest[align_class][i] = child->summary.largest[align_class];
}

static void get_child(const struct bt_map *bt, const struct bt_inner *inner, size_t i, struct child *child)
{
    child->node = inner->child[i];
    child->low = inner->low[i];
    child->size = inner->size[i];
    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
        child->summary.deferred[epoch] = inner->deferred[epoch] >> i & 1;
    for (unsigned align_class = 0; align_class < bt->classes; align_class++)
        child->summary.largest[align_class] = inner->largest[align_class][i];
}

static void insert_child(const struct bt_map *bt, struct bt_inner *inner, unsigned i,
                         const struct child *child)
{
    OPEN_PLACE(inner->child, i, inner->count);
    OPEN_PLACE(inner->low, i, inner->count);
    OPEN_PLACE(inner->size, i, inner->count);
    for (unsigned align_class = 0; align_class < bt->classes; align_class++)
        OPEN_PLACE(inner->largest[align_class], i, inner->count);
    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
        inner->deferred[epoch] = open_bit(inner->deferred[epoch], i);
    inner->count++;
    set_child(bt, inner, i, child);
}

static void remove_child(const struct bt_map *bt, struct bt_inner *inner, unsigned i)
{
    CLOSE_PLACE(inner->child, i, inner->count);
    CLOSE_PLACE(inner->low, i, inner->count);
    CLOSE_PLACE(inner->size, i, inner->count);
    for (unsigned align_class = 0; align_class < bt->classes; align_class++)
        CLOSE_PLACE(inner->largest[align_class], i, inner->count);
    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
        inner->deferred[epoch] = close_bit(inner->deferred[epoch], i);
    inner->count--;
}

/** Compute all that a parent caches of an inner node. */
static void describe_inner(const struct bt_map *bt, struct bt_inner *inner, struct child *child)
{
    child->node = inner;
    child->low = inner->low[0];
    child->size = inner->count;
    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
        child->summary.deferred[epoch] = inner->deferred[epoch] != 0;
    for (unsigned align_class = 0; align_class < bt->classes; align_class++)
        child->summary.largest[align_class] =
            greatest(inner->largest[align_class], (unsigned)inner->count, BT_CHILDREN);
}

static struct bt_inner *new_inner(struct bt_map *bt)
{
    struct bt_inner *inner = kva_nodes_pop(&bt->inners);

    inner->count = 0;
    memset(inner->deferred, 0, sizeof inner->deferred);
    return inner;
}

/** Move the children of `from` from index `at` on to the end of `to`. */
static void move_children(const struct bt_map *bt, struct bt_inner *from, size_t at, struct bt_inner *to)
{
    struct child child;

    for (size_t i = at; i < from->count; i++) {
        get_child(bt, from, i, &child);
        set_child(bt, to, to->count++, &child);
    }
    from->count = at;
    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
        from->deferred[epoch] &= ((uint64_t)1 << at) - 1;
}

/* ----------------------------------------------------------------------------------------------- splits */

/** The inner nodes that a split of the leaf needs: one for each full ancestor in a row, and a new root if
 *  the root is among them. */
static size_t inners_for_split(const struct bt_map *bt, const struct bt_path *path)
{
    unsigned level = bt->height;

    while (level > 0 && ((const struct bt_inner *)path->step[level - 1].node)->count == BT_CHILDREN)
        level--;
    return bt->height - level + (level == 0);
}

/** Insert `right` after child i of a full node, whose upper half moves to a new node. At either end of the
 *  node, as in a sequential fill, the split leaves one side full. */
static struct bt_inner *split_inner(struct bt_map *bt, struct bt_inner *inner, unsigned i,
                                    const struct child *right)
{
    struct bt_inner *upper = new_inner(bt);
    size_t half = i + 1 == inner->count ? inner->count - 1 : i == 0 ? 1 : inner->count / 2;

    move_children(bt, inner, half, upper);
    if (i < half)
        insert_child(bt, inner, i + 1, right);
    else
        insert_child(bt, upper, i + 1 - (unsigned)half, right);
    return upper;
}

/** The leaf of a path has become two, `left` in its place and `right` after it: update the ancestors, and
 *  split those that are full. */
static void add_sibling(struct bt_map *bt, const struct bt_path *path, struct child left, struct child right)
{
    for (unsigned level = bt->height; level-- > 0;) {
        struct bt_inner *inner = path->step[level].node;
        unsigned index = path->step[level].index;
        set_child(bt, inner, index, &left);
        if (inner->count < BT_CHILDREN) {
            insert_child(bt, inner, index + 1, &right);
            describe_inner(bt, inner, &left);
            set_size(path, level, inner->count);
            climb(bt, path, level, &left.summary);
            return;
        }
        struct bt_inner *upper = split_inner(bt, inner, index, &right);
        describe_inner(bt, inner, &left);
        describe_inner(bt, upper, &right);
    }
    struct bt_inner *root = new_inner(bt);
    insert_child(bt, root, 0, &left);
    insert_child(bt, root, 1, &right);
    bt->root = root;
    bt->height++;
    describe_inner(bt, root, &left);
    bt->top = left.summary;
}

/** The index at which to divide the entries of a leaf that is split: the middle; or, if the new entry is
 *  the lowest or the highest of the space, between it and all others, so that a sequential fill leaves
 *  full leaves. */
static unsigned division(const struct bt_map *bt, const struct bt_path *path,
                         const struct bt_entries *entries, unsigned added)
{
    if (added + 1 == entries->count && path->high == bt->common.last && fits_leaf(bt, entries, 0, added))
        return added;
    if (added == 0 && is_first_leaf(bt, path) && fits_leaf(bt, entries, 1, entries->count))
        return 1;
    return entries->count / 2;
}

/** Divide entries equally between two leaves, children i and i + 1 of the last inner node of a path.
 *  False, and nothing changes, if a half does not fit the compact form. */
BT_RARE bool level_out(struct bt_map *bt, const struct bt_path *path, unsigned i,
                       const struct bt_entries *entries)
{
    struct bt_inner *parent = path->step[bt->height - 1].node;
    unsigned half = entries->count / 2;

    if (!is_compact(bt, entries, 0, half) || !is_compact(bt, entries, half, entries->count))
        return false;
    begin_reshape(bt);
    pack(bt, parent->child[i], entries, 0, half);
    pack(bt, parent->child[i + 1], entries, half, entries->count);
    parent->low[i + 1] = entries->start[half];
    for (unsigned k = i; k <= i + 1; k++) {
        struct bt_path to = *path;
        struct child child;
        to.step[bt->height - 1].index = k;
        to.leaf = parent->child[k];
        set_bounds(bt, &to);
        child = (struct child){.node = to.leaf, .low = to.low, .size = k == i ? half : entries->count - half};
        summarise_leaf(bt, &to, &child.summary);
        set_child(bt, parent, k, &child);
    }
    end_reshape(bt);
    struct child now;
    describe_inner(bt, parent, &now);
    climb(bt, path, bt->height - 1, &now.summary);
    return true;
}

/** Share the entries of an overfull leaf with a neighbour under the same parent, if both then have at least
 *  BT_SPARE free places, so that the next overflow does not follow at once. Sharing takes no memory, and
 *  keeps leaves fuller than a split does. */
BT_RARE bool share(struct bt_map *bt, const struct bt_path *path, const struct bt_entries *entries)
{
    const unsigned most = 2 * BT_MERGE_ENTRIES;
    struct bt_entries both;

    if (bt->height == 0)
        return false;
    const struct bt_step *step = &path->step[bt->height - 1];
    const struct bt_inner *parent = step->node;
    unsigned i = step->index;
    both.count = 0;
    if (i > 0 && parent->size[i - 1] + entries->count <= most) {
        unpack(bt, parent->child[i - 1], &both);
        append(&both, entries);
        return level_out(bt, path, i - 1, &both);
    }
    if (i + 1 < parent->count && parent->size[i + 1] + entries->count <= most) {
        append(&both, entries);
        unpack(bt, parent->child[i + 1], &both);
        return level_out(bt, path, i, &both);
    }
    return false;
}

/** Divide the entries of a leaf between it and a new one after it. */
static enum kva_status split_leaf(struct bt_map *bt, const struct bt_path *path,
                                  const struct bt_entries *entries, unsigned added)
{
    struct bt_leaf *leaf = path->leaf;

    if (!kva_nodes_ensure(&bt->leaves, 1) || !kva_nodes_ensure(&bt->inners, inners_for_split(bt, path)))
        return KVA_ENOMEM;
    begin_reshape(bt);
    unsigned half = division(bt, path, entries, added);
    struct bt_leaf *upper = kva_nodes_pop(&bt->leaves);
    pack(bt, leaf, entries, 0, half);
    pack(bt, upper, entries, half, entries->count);

    struct bt_path lower_path = *path;
    struct bt_path upper_path = *path;
    upper_path.leaf = upper;
    upper_path.low = entries->start[half];
    lower_path.high = upper_path.low - 1;
    struct child left = {.node = leaf, .low = path->low, .size = leaf->count};
    struct child right = {.node = upper, .low = upper_path.low, .size = upper->count};
    summarise_leaf(bt, &lower_path, &left.summary);
    summarise_leaf(bt, &upper_path, &right.summary);
    add_sibling(bt, path, left, right);
    end_reshape(bt);
    return KVA_OK;
}

/** Write entries that the leaf cannot hold in its present form, of which `added` is new: in the other form
 *  or with another base, or into the leaf and a neighbour, or into the leaf and a new one. */
BT_RARE enum kva_status rewrite_leaf(struct bt_map *bt, const struct bt_path *path,
                                     const struct bt_entries *entries, unsigned added)
{
    struct bt_leaf *leaf = path->leaf;

    if (!fits_leaf(bt, entries, 0, entries->count))
        return share(bt, path, entries) ? KVA_OK : split_leaf(bt, path, entries, added);
    begin_reshape(bt);
    pack(bt, leaf, entries, 0, entries->count);
    end_reshape(bt);
    set_size(path, bt->height, leaf->count);
    leaf_changed(bt, path);
    return KVA_OK;
}

/** Add an entry at index i by rewriting the leaf; entry i - 1, if there is one, is cut to end at most at
 *  `end_before`. */
BT_RARE enum kva_status add_by_rewriting(struct bt_map *bt, const struct bt_path *path, unsigned i,
                                         uint64_t start, uint64_t last, void *owner, uint64_t end_before)
{
    struct bt_entries entries;

    entries.count = 0;
    unpack(bt, path->leaf, &entries);
    insert_unpacked(&entries, i, start, last, owner);
    if (i > 0)
        entries.last[i - 1] = min_u64(entries.last[i - 1], end_before);
    return rewrite_leaf(bt, path, &entries, i);
}

/* ----------------------------------------------------------------------------------------------- merges */

/** Remove the root while it has a single child. */
static void lower_root(struct bt_map *bt)
{
    while (bt->height > 0 && ((struct bt_inner *)bt->root)->count == 1) {
        struct bt_inner *root = bt->root;
        bt->root = root->child[0];
        bt->height--;
        kva_nodes_push(&bt->inners, root);
    }
}

/** Merge two leaves into the first; false if they do not fit. */
static bool merge_leaves(struct bt_map *bt, struct bt_leaf *left, struct bt_leaf *right)
{
    struct bt_entries entries;

    entries.count = 0;
    unpack(bt, left, &entries);
    unpack(bt, right, &entries);
    if (!fits_leaf(bt, &entries, 0, entries.count))
        return false;
    pack(bt, left, &entries, 0, entries.count);
    kva_nodes_push(&bt->leaves, right);
    return true;
}

static bool merge_inners(struct bt_map *bt, struct bt_inner *left, struct bt_inner *right)
{
    move_children(bt, right, 0, left);
    kva_nodes_push(&bt->inners, right);
    return true;
}

/** Merge children i and i + 1; false if they do not fit. The summary of the result is the union of both
 *  summaries: no hole lies in two children, so no maximum of the parent changes. */
static bool merge_children(struct bt_map *bt, struct bt_inner *parent, unsigned i, bool are_leaves)
{
    struct child left;
    struct child right;

    get_child(bt, parent, i, &left);
    get_child(bt, parent, i + 1, &right);
    if (!(are_leaves ? merge_leaves(bt, left.node, right.node) : merge_inners(bt, left.node, right.node)))
        return false;
    left.size += right.size;
    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
        left.summary.deferred[epoch] |= right.summary.deferred[epoch];
    for (unsigned align_class = 0; align_class < bt->classes; align_class++)
        left.summary.largest[align_class] =
            max_u64(left.summary.largest[align_class], right.summary.largest[align_class]);
    remove_child(bt, parent, i + 1);
    set_child(bt, parent, i, &left);
    return true;
}

/** Whether to merge child i, which has shrunk, with a neighbour: both together have at most `most`. An
 *  empty child, which only the first leaf can be, is always merged: otherwise, as entries are freed
 *  upwards, each would be the first of its leaf, which is the slow case. */
BT_HOT bool should_merge(const struct bt_inner *parent, unsigned i, unsigned most)
{
    unsigned before = i > 0 ? parent->size[i - 1] : BT_CHILDREN;
    unsigned after = i + 1 < parent->count ? parent->size[i + 1] : BT_CHILDREN;
    unsigned least = before < after ? before : after;

    return parent->size[i] + least <= most || parent->size[i] == 0;
}

/** Merge child i with its smaller neighbour under the same parent; false if they do not fit into one node. */
static bool merge_child(struct bt_map *bt, struct bt_inner *parent, unsigned i, bool are_leaves)
{
    bool has_after = i + 1 < parent->count;
    bool before = i > 0 && (!has_after || parent->size[i - 1] < parent->size[i + 1]);

    return (before || has_after) && merge_children(bt, parent, before ? i - 1 : i, are_leaves);
}

/** The path's child of the inner node on `level` has shrunk: merge it with a neighbour if it should be,
 *  and so on upwards. */
BT_RARE void merge_up(struct bt_map *bt, const struct bt_path *path, unsigned level)
{
    unsigned most = level + 1 == bt->height ? BT_MERGE_ENTRIES : BT_MERGE_CHILDREN;

    for (;; level--, most = BT_MERGE_CHILDREN) {
        struct bt_inner *parent = path->step[level].node;
        unsigned i = path->step[level].index;
        if (i >= parent->count || !should_merge(parent, i, most) ||
            !merge_child(bt, parent, i, level + 1 == bt->height))
            break;
        set_size(path, level, parent->count);
        if (level == 0)
            break;
    }
    lower_root(bt);
}

/** Whether to merge the leaf of a path, which has lost an entry, with a neighbour. */
BT_HOT bool is_too_small(const struct bt_map *bt, const struct bt_path *path)
{
    if (bt->height == 0)
        return false;
    const struct bt_step *step = &path->step[bt->height - 1];
    return should_merge(step->node, step->index, BT_MERGE_ENTRIES);
}

BT_HOT void leaf_shrank(struct bt_map *bt, const struct bt_path *path)
{
    if (!is_too_small(bt, path))
        return;
    begin_reshape(bt);
    merge_up(bt, path, bt->height - 1);
    end_reshape(bt);
}

/** Remove the leaf of a path, and every ancestor that this leaves without children. The leaf before it, if
 *  there is one, covers its addresses from then on. */
BT_RARE void remove_leaf(struct bt_map *bt, const struct bt_path *path)
{
    unsigned level = bt->height;

    kva_nodes_push(&bt->leaves, path->leaf);
    for (;;) {
        struct bt_inner *parent = path->step[--level].node;
        remove_child(bt, parent, path->step[level].index);
        if (parent->count > 0)
            break;
        kva_nodes_push(&bt->inners, parent); /* not the root, below which another leaf remains */
    }
    struct child parent;
    describe_inner(bt, path->step[level].node, &parent);
    set_size(path, level, parent.size);
    set_low(path, level, parent.low);
    climb(bt, path, level, &parent.summary);
    if (level > 0)
        merge_up(bt, path, level - 1);
    else
        lower_root(bt);
}

/* ----------------------------------------------------------------------------------------------- changes */

static enum kva_status bt_occupy(struct kva_address_map *map, const struct kva_place *place, void *owner)
{
    struct bt_map *bt = bt_of(map);
    const struct bt_cursor *cursor = &bt->found;
    const struct bt_path *path = &cursor->path;
    struct bt_leaf *leaf = path->leaf;
    struct kva_tally *tally = &map->tally;
    unsigned gap = cursor->gap;
    const struct remainder rest = {cursor->hole_start, place->start, place->last, cursor->hole_last};

    check_contract(&map->ledger.hooks, cursor->hole_start <= place->start && place->last <= cursor->hole_last,
                   __func__, "the place is not inside its hole", place->start);
    if (!index_is_ready(map, 1))
        return KVA_ENOMEM;
    if (has_room(bt, leaf, place->start, place->last)) {
        gap_shrinks(bt, path, gap, &rest);
        begin_edit(leaf);
        insert_entry(bt, leaf, gap, place->start, place->last, owner);
        end_edit(leaf);
        set_size(path, bt->height, leaf->count);
    } else if (add_by_rewriting(bt, path, gap, place->start, place->last, owner, UINT64_MAX) != KVA_OK) {
        return KVA_ENOMEM;
    }
    hole_lost(map, rest.hole_start, rest.hole_last, rest.start, rest.last);
    kva_tally_move_bytes(tally, KVA_FREE, KVA_BUSY, place->last - place->start + 1);
    tally->segments[KVA_BUSY]++;
    tally->segments[KVA_FREE] += (uint64_t)(place->start > rest.hole_start) + (place->last < rest.hole_last);
    tally->segments[KVA_FREE]--;
    return KVA_OK;
}

/** The path to the entry that starts at `start`, and its index; false if there is none. */
BT_HOT bool find_used(const struct bt_map *bt, uint64_t start, struct bt_path *path, unsigned *index)
{
    descend_to(bt, start, path);
    unsigned count = entries_up_to(bt, path->leaf, start);
    if (count == 0 || entry_start(bt, path->leaf, count - 1) != start)
        return false;
    *index = count - 1;
    return true;
}

/** The same, if the entry is busy. */
BT_HOT bool find_busy(const struct bt_map *bt, uint64_t start, struct bt_path *path, unsigned *index)
{
    return find_used(bt, start, path, index) && !entry_is_marked(path->leaf, *index);
}

/** The start of the hole before entry i, which belongs to the leaf or to the one before; false if there is
 *  none. */
BT_RARE bool hole_before(const struct bt_map *bt, const struct bt_path *path, unsigned i, uint64_t *start)
{
    struct bt_path before;
    uint64_t last;

    if (i > 0 || is_first_leaf(bt, path))
        return gap_at(bt, path, i, start, &last);
    descend_to(bt, path->low - 1, &before);
    return gap_at(bt, &before, ((const struct bt_leaf *)before.leaf)->count, start, &last);
}

/** The hole that holds `address` has grown or is new: update the maxima of its leaf. */
BT_RARE void hole_grew_at(struct bt_map *bt, uint64_t address)
{
    struct bt_path path;
    uint64_t start;
    uint64_t last;

    descend_to(bt, address, &path);
    if (gap_at(bt, &path, entries_up_to(bt, path.leaf, address), &start, &last))
        gap_grew(bt, &path, start, last);
}

/** Remove the first entry of a leaf that is not the first leaf. The leaf then starts at its next entry, or
 *  is removed; the hole joins the last gap of the leaf before. */
BT_RARE void remove_first_entry(struct bt_map *bt, struct bt_path *path, uint64_t start)
{
    struct bt_leaf *leaf = path->leaf;

    begin_reshape(bt);
    if (leaf->count == 1) {
        remove_leaf(bt, path);
    } else {
        remove_entry(bt, leaf, 0);
        path->low = entry_start(bt, leaf, 0);
        set_low(path, bt->height, path->low);
        set_size(path, bt->height, leaf->count);
        leaf_changed(bt, path);
        if (is_too_small(bt, path))
            merge_up(bt, path, bt->height - 1);
    }
    end_reshape(bt);
    hole_grew_at(bt, start);
}

/** Remove an entry; its range joins the holes on either side. */
BT_HOT void remove_used(struct bt_map *bt, struct bt_path *path, unsigned i, enum kva_state from)
{
    struct bt_leaf *leaf = path->leaf;
    struct kva_tally *tally = &bt->common.tally;
    uint64_t start = entry_start(bt, leaf, i);
    uint64_t last = entry_last(bt, leaf, i);
    uint64_t hole_last = i + 1 < leaf->count ? entry_start(bt, leaf, i + 1) - 1 : path->high;
    uint64_t hole_start;

    if (i > 0)
        hole_start = entry_last(bt, leaf, i - 1) + 1;
    else if (is_first_leaf(bt, path) || !hole_before(bt, path, i, &hole_start))
        hole_start = path->low;
    hole_gained(&bt->common, hole_start, hole_last, start, last);
    kva_tally_move_bytes(tally, from, KVA_FREE, last - start + 1);
    tally->segments[from]--;
    tally->segments[KVA_FREE] += 1 - (uint64_t)(hole_start < start) - (uint64_t)(last < hole_last);
    if (i == 0 && !is_first_leaf(bt, path)) {
        remove_first_entry(bt, path, start);
        return;
    }
    begin_edit(leaf);
    remove_entry(bt, leaf, i);
    end_edit(leaf);
    set_size(path, bt->height, leaf->count);
    gap_grew(bt, path, hole_start, hole_last);
    if (from == KVA_DEFERRED)
        marks_changed(bt, path);
    leaf_shrank(bt, path);
}

static enum kva_status bt_free(struct kva_address_map *map, uint64_t start)
{
    struct bt_map *bt = bt_of(map);
    struct bt_path path;
    unsigned index;

    if (start < map->first || start > map->last || !find_busy(bt, start, &path, &index))
        return KVA_ENOENT;
    remove_used(bt, &path, index, KVA_BUSY);
    return KVA_OK;
}

static enum kva_status bt_punch(struct kva_address_map *map, uint64_t start, uint64_t first, uint64_t last)
{
    struct bt_map *bt = bt_of(map);
    struct kva_tally *tally = &map->tally;
    struct bt_path path;
    unsigned i;

    if (!find_busy(bt, start, &path, &i))
        return KVA_ENOENT;
    if (!index_is_ready(map, 1))
        return KVA_ENOMEM;
    struct bt_leaf *leaf = path.leaf;
    uint64_t end = entry_last(bt, leaf, i);
    void *owner = entry_owner(bt, leaf, i);
    if (has_room(bt, leaf, last + 1, end)) {
        begin_edit(leaf);
        set_entry_last(bt, leaf, i, first - 1);
        insert_entry(bt, leaf, i + 1, last + 1, end, owner);
        end_edit(leaf);
        set_size(&path, bt->height, leaf->count);
        gap_grew(bt, &path, first, last);
    } else if (add_by_rewriting(bt, &path, i + 1, last + 1, end, owner, first - 1) != KVA_OK) {
        return KVA_ENOMEM;
    }
    hole_gained(map, first, last, first, last);
    kva_tally_move_bytes(tally, KVA_BUSY, KVA_FREE, last - first + 1);
    tally->segments[KVA_BUSY]++;
    tally->segments[KVA_FREE]++;
    return KVA_OK;
}

/** The entry keeps its index. If it is the first of a leaf that is not the first leaf, the leaf's bounds
 *  move with it. */
static enum kva_status bt_trim(struct kva_address_map *map, uint64_t start, uint64_t first)
{
    struct bt_map *bt = bt_of(map);
    struct bt_path path;
    uint64_t hole_start;
    unsigned i;

    if (!find_busy(bt, start, &path, &i))
        return KVA_ENOENT;
    bool had_hole = hole_before(bt, &path, i, &hole_start);
    bool is_lowest = i == 0 && !is_first_leaf(bt, &path);
    struct bt_leaf *leaf = path.leaf;
    _Atomic uint32_t *count = is_lowest ? &bt->shape : &leaf->version;
    begin_change(count);
    set_entry_start(bt, leaf, i, first);
    if (is_lowest)
        set_low(&path, bt->height, first);
    end_change(count);
    hole_grew_at(bt, start);
    hole_gained(map, had_hole ? hole_start : start, first - 1, start, first - 1);
    kva_tally_move_bytes(&map->tally, KVA_BUSY, KVA_FREE, first - start);
    map->tally.segments[KVA_FREE] += !had_hole;
    return KVA_OK;
}

BT_HOT void end_entry_at(const struct bt_map *bt, struct bt_leaf *leaf, unsigned i, uint64_t last)
{
    begin_edit(leaf);
    set_entry_last(bt, leaf, i, last);
    end_edit(leaf);
}

/** Extend entry i by the part that it takes of the hole after it; rewrite the leaf if its form requires
 *  it. */
static enum kva_status raise_last(struct bt_map *bt, const struct bt_path *path, unsigned i,
                                  const struct remainder *rest)
{
    struct bt_entries entries;

    if (can_end_at(bt, path->leaf, rest->last)) {
        gap_shrinks(bt, path, i + 1, rest);
        end_entry_at(bt, path->leaf, i, rest->last);
        return KVA_OK;
    }
    entries.count = 0;
    unpack(bt, path->leaf, &entries);
    entries.last[i] = rest->last;
    return rewrite_leaf(bt, path, &entries, i);
}

static enum kva_status bt_resize(struct kva_address_map *map, uint64_t start, uint64_t last)
{
    struct bt_map *bt = bt_of(map);
    struct kva_tally *tally = &map->tally;
    struct bt_path path;
    uint64_t hole_start;
    uint64_t hole_last;
    unsigned i;

    if (!find_busy(bt, start, &path, &i))
        return KVA_ENOENT;
    uint64_t old_last = entry_last(bt, path.leaf, i);
    bool hole_after = gap_at(bt, &path, i + 1, &hole_start, &hole_last);
    if (last > old_last && (!hole_after || hole_last < last))
        return KVA_ENOSPC;
    if (last == old_last)
        return KVA_OK;
    if (last < old_last) {
        end_entry_at(bt, path.leaf, i, last);
        gap_grew(bt, &path, last + 1, hole_after ? hole_last : old_last);
        hole_gained(map, last + 1, hole_after ? hole_last : old_last, last + 1, old_last);
        tally->segments[KVA_FREE] += !hole_after;
    } else {
        const struct remainder rest = {hole_start, hole_start, last, hole_last};
        if (raise_last(bt, &path, i, &rest) != KVA_OK)
            return KVA_ENOMEM;
        hole_lost(map, hole_start, hole_last, hole_start, last);
        tally->segments[KVA_FREE] -= hole_last == last;
    }
    kva_tally_move_bytes(tally, KVA_FREE, KVA_BUSY, last - old_last); /* modulo 2^64 if it shrinks */
    return KVA_OK;
}

static enum kva_status bt_own(struct kva_address_map *map, uint64_t start, void *owner)
{
    struct bt_map *bt = bt_of(map);
    struct bt_path path;
    unsigned i;

    if (start < map->first || start > map->last || !find_busy(bt, start, &path, &i))
        return KVA_ENOENT;
    if (!map->owners)
        return KVA_OK;
    struct bt_owners *owners = owners_of(path.leaf);
    begin_edit(path.leaf);
    owners->owner[owners->slot[i]] = owner;
    end_edit(path.leaf);
    return KVA_OK;
}

static enum kva_status bt_defer(struct kva_address_map *map, uint64_t start, unsigned epoch, uint64_t *last)
{
    struct bt_map *bt = bt_of(map);
    struct bt_path path;
    unsigned i;

    if (start < map->first || start > map->last || !find_busy(bt, start, &path, &i))
        return KVA_ENOENT;
    struct bt_leaf *leaf = path.leaf;
    begin_edit(leaf);
    leaf->deferred[epoch] |= (uint64_t)1 << i;
    end_edit(leaf);
    *last = entry_last(bt, leaf, i);
    marks_changed(bt, &path);
    kva_tally_defer(&map->tally, epoch, *last - start + 1);
    return KVA_OK;
}

static enum kva_status bt_undefer(struct kva_address_map *map, uint64_t start)
{
    struct bt_map *bt = bt_of(map);
    struct bt_path path;
    unsigned i;

    if (start < map->first || start > map->last || !find_used(bt, start, &path, &i) ||
        !entry_is_absent(path.leaf, i))
        return KVA_ENOENT;
    struct bt_leaf *leaf = path.leaf;
    begin_edit(leaf);
    leaf->deferred[KVA_EPOCH_ABSENT] &= ~((uint64_t)1 << i);
    end_edit(leaf);
    marks_changed(bt, &path);
    kva_tally_undefer(&map->tally, entry_last(bt, leaf, i) - start + 1);
    return KVA_OK;
}

/** Descend from `node` on `level` to the first leaf with an entry of an epoch. There is one. */
static void descend_to_deferred(const struct bt_map *bt, void *node, unsigned level, unsigned epoch,
                                struct bt_path *path)
{
    for (; level < bt->height; level++) {
        struct bt_inner *inner = node;
        unsigned index = lowest_bit(inner->deferred[epoch]);
        path->step[level] = (struct bt_step){inner, index};
        node = inner->child[index];
    }
    path->leaf = node;
    set_bounds(bt, path);
}

static void bt_free_deferred(struct kva_address_map *map, unsigned epoch, uint64_t most)
{
    struct bt_map *bt = bt_of(map);

    for (; bt->top.deferred[epoch] && most > 0; most--) {
        struct bt_path path;
        descend_to_deferred(bt, bt->root, 0, epoch, &path);
        const struct bt_leaf *leaf = path.leaf;
        map->tally.deferred[epoch]--;
        remove_used(bt, &path, lowest_bit(leaf->deferred[epoch]), KVA_DEFERRED);
    }
}

/** Advance a path to the next leaf with an entry of an epoch; false if there is none. */
static bool next_deferred_leaf(const struct bt_map *bt, unsigned epoch, struct bt_path *path)
{
    for (unsigned level = bt->height; level-- > 0;) {
        struct bt_inner *inner = path->step[level].node;
        uint64_t above = inner->deferred[epoch] & ~(((uint64_t)2 << path->step[level].index) - 1);
        if (above == 0)
            continue;
        path->step[level].index = lowest_bit(above);
        descend_to_deferred(bt, inner->child[lowest_bit(above)], level + 1, epoch, path);
        return true;
    }
    return false;
}

static enum kva_status bt_next_deferred(const struct kva_address_map *map, unsigned epoch, uint64_t from,
                                        uint64_t to, struct kva_segment *segment)
{
    const struct bt_map *bt = bt_of_const(map);
    struct bt_path path;

    descend_to(bt, from, &path);
    const struct bt_leaf *leaf = path.leaf;
    unsigned i = entries_up_to(bt, leaf, from);
    if (i > 0 && entry_start(bt, leaf, i - 1) == from)
        i--;
    uint64_t deferred = leaf->deferred[epoch] >> i << i;
    if (deferred == 0) {
        if (!next_deferred_leaf(bt, epoch, &path))
            return KVA_ENOENT;
        leaf = path.leaf;
        deferred = leaf->deferred[epoch];
    }
    i = lowest_bit(deferred);
    if (entry_start(bt, leaf, i) > to)
        return KVA_ENOENT;
    *segment = (struct kva_segment){entry_start(bt, leaf, i), entry_last(bt, leaf, i),
                                    entry_owner(bt, leaf, i), state_of_epoch(epoch)};
    return KVA_OK;
}

static enum kva_status bt_extend(struct kva_address_map *map, uint64_t first, uint64_t last)
{
    struct bt_map *bt = bt_of(map);
    uint64_t old_first = map->first;
    uint64_t old_last = map->last;
    uint64_t start;
    uint64_t end;
    struct bt_path path;

    begin_reshape(bt);
    descend_to(bt, old_first, &path);
    bool had_below = gap_at(bt, &path, 0, &start, &end);
    set_low(&path, bt->height, first);
    map->first = first;
    path.low = first;
    if (gap_at(bt, &path, 0, &start, &end)) {
        gap_grew(bt, &path, start, end);
        if (first < old_first)
            hole_gained(map, start, end, first, old_first - 1);
        map->tally.segments[KVA_FREE] += !had_below;
    }
    descend_to(bt, old_last, &path);
    unsigned top_gap = ((const struct bt_leaf *)path.leaf)->count;
    bool had_above = gap_at(bt, &path, top_gap, &start, &end);
    map->last = last;
    path.high = last;
    if (gap_at(bt, &path, top_gap, &start, &end)) {
        gap_grew(bt, &path, start, end);
        if (last > old_last)
            hole_gained(map, start, end, old_last + 1, last);
        map->tally.segments[KVA_FREE] += !had_above;
    }
    map->tally.bytes[KVA_FREE] += (old_first - first) + (last - old_last);
    end_reshape(bt);
    return KVA_OK;
}

/** Whether all addresses below `first` and above `last` are free. */
static bool ends_are_holes(const struct bt_map *bt, uint64_t first, uint64_t last)
{
    struct bt_path path;
    uint64_t start;
    uint64_t end;

    descend_to(bt, bt->common.first, &path);
    if (first > bt->common.first && (!gap_at(bt, &path, 0, &start, &end) || end < first - 1))
        return false;
    descend_to(bt, bt->common.last, &path);
    unsigned top_gap = ((const struct bt_leaf *)path.leaf)->count;
    return last == bt->common.last || (gap_at(bt, &path, top_gap, &start, &end) && start <= last + 1);
}

/** Cut the lowest hole off below `first`. If the first leaf covers nothing else, it is removed: the next
 *  leaf starts at `first`, with an entry. */
static void raise_first(struct bt_map *bt, uint64_t first)
{
    struct bt_path path;
    uint64_t start;
    uint64_t end;

    descend_to(bt, bt->common.first, &path);
    (void)gap_at(bt, &path, 0, &start, &end);
    const struct remainder rest = {start, start, first - 1, end};
    gap_shrinks(bt, &path, 0, &rest);
    hole_lost(&bt->common, start, end, start, first - 1);
    bt->common.tally.segments[KVA_FREE] -= end == first - 1;
    bt->common.first = first;
    if (path.high == first - 1)
        remove_leaf(bt, &path);
    else
        set_low(&path, bt->height, first);
}

/** Cut the highest hole off above `last`. */
static void lower_last(struct bt_map *bt, uint64_t last)
{
    struct bt_path path;
    uint64_t start;
    uint64_t end;

    descend_to(bt, bt->common.last, &path);
    unsigned top_gap = ((const struct bt_leaf *)path.leaf)->count;
    (void)gap_at(bt, &path, top_gap, &start, &end);
    const struct remainder rest = {start, last + 1, end, end};
    gap_shrinks(bt, &path, top_gap, &rest);
    hole_lost(&bt->common, start, end, last + 1, end);
    bt->common.tally.segments[KVA_FREE] -= start == last + 1;
    bt->common.last = last;
}

static enum kva_status bt_narrow(struct kva_address_map *map, uint64_t first, uint64_t last)
{
    struct bt_map *bt = bt_of(map);

    if (!ends_are_holes(bt, first, last))
        return KVA_EBUSY;
    map->tally.bytes[KVA_FREE] -= (first - map->first) + (map->last - last);
    begin_reshape(bt);
    if (first > map->first)
        raise_first(bt, first);
    if (last < map->last)
        lower_last(bt, last);
    end_reshape(bt);
    return KVA_OK;
}

/* ----------------------------------------------------------------------------------------------- looking */

/** The segment that holds an address, without its owner, in the leaf that covers it. True if it is entry
 *  *index, not a hole. */
BT_HOT bool find_in_leaf(const struct bt_map *bt, const struct bt_path *path, uint64_t address,
                         struct kva_segment *segment, unsigned *index)
{
    const struct bt_leaf *leaf = path->leaf;
    unsigned count = entries_up_to(bt, leaf, address);

    *index = count - 1;
    segment->owner = NULL;
    if (count > 0 && address <= entry_last(bt, leaf, count - 1)) {
        segment->start = entry_start(bt, leaf, count - 1);
        segment->last = entry_last(bt, leaf, count - 1);
        segment->state = entry_state(leaf, count - 1);
        return true;
    }
    (void)gap_at(bt, path, count, &segment->start, &segment->last);
    segment->state = KVA_FREE;
    return false;
}

static void bt_lookup(const struct kva_address_map *map, uint64_t address, struct kva_segment *segment)
{
    const struct bt_map *bt = bt_of_const(map);
    struct bt_path path;
    unsigned index;

    descend_to(bt, address, &path);
    if (find_in_leaf(bt, &path, address, segment, &index))
        segment->owner = entry_owner(bt, path.leaf, index);
}

/** Descend without the lock to the leaf that covers `address`, and its bounds; false if the shape has
 *  changed or the address lies outside. */
BT_HOT bool descend_unlocked(const struct bt_map *bt, uint32_t shape, uint64_t address, struct bt_path *path)
{
    unsigned height = bt->height;
    void *node = bt->root;

    path->low = bt->common.first;
    path->high = bt->common.last;
    if (!is_unchanged(&bt->shape, shape) || address < path->low || address > path->high)
        return false;
    for (unsigned level = 0; level < height; level++) {
        const struct bt_inner *inner = node;
        unsigned count = (unsigned)inner->count;
        if (!is_unchanged(&bt->shape, shape))
            return false;
        unsigned index = children_at_most(inner->low, count, address) - 1;
        if (!is_unchanged(&bt->shape, shape))
            return false;
        path->low = inner->low[index];
        if (index + 1 < count)
            path->high = inner->low[index + 1] - 1;
        node = inner->child[index];
        if (!is_unchanged(&bt->shape, shape))
            return false;
    }
    prefetch_leaf(bt, node);
    path->leaf = node;
    return true;
}

BT_UNLOCKED bool bt_try_lookup(const struct kva_address_map *map, uint64_t address,
                               struct kva_segment *segment)
{
    const struct bt_map *bt = bt_of_const(map);
    struct bt_path path;
    struct bt_leaf copy;
    uint32_t shape;
    uint32_t version;
    unsigned index;

    if (!begin_reading(&bt->shape, &shape) || !descend_unlocked(bt, shape, address, &path))
        return false;
    const struct bt_leaf *leaf = path.leaf;
    if (!begin_reading(&leaf->version, &version))
        return false;
    copy_leaf(&copy, leaf);
    if (!is_unchanged(&leaf->version, version) || !is_unchanged(&bt->shape, shape))
        return false;
    path.leaf = &copy;
    if (!find_in_leaf(bt, &path, address, segment, &index) || !bt->common.owners)
        return true;
    unsigned slot = owners_of(leaf)->slot[index];
    if (!is_unchanged(&leaf->version, version) || !is_unchanged(&bt->shape, shape))
        return false;
    segment->owner = owners_of(leaf)->owner[slot];
    return is_unchanged(&leaf->version, version) && is_unchanged(&bt->shape, shape);
}

static bool bt_largest(const struct kva_address_map *map, uint64_t *extent)
{
    const struct bt_map *bt = bt_of_const(map);
    const uint64_t *segments = map->tally.segments;
    bool is_whole = segments[KVA_BUSY] + segments[KVA_DEFERRED] + segments[KVA_ABSENT] == 0;

    if (bt->top.largest[0] == 0)
        return false;
    *extent = is_whole ? map->last - map->first : bt->top.largest[0] - 1;
    return true;
}

/* -------------------------------------------------------------------------------------------- life cycle */

static void bt_destroy(struct kva_address_map *map)
{
    end_map(map, sizeof(struct bt_map));
}

static void set_classes(struct bt_map *bt)
{
    bt->align[0] = bt->common.quantum;
    bt->classes = 1;
    while (bt->classes < BT_CLASSES && bt->common.align_class[bt->classes - 1] != 0) {
        bt->align[bt->classes] = bt->common.align_class[bt->classes - 1];
        bt->classes++;
    }
}

static enum kva_status bt_create(const struct kva_address_map *common, struct kva_address_map **map)
{
    struct bt_map *bt = new_map(common, sizeof *bt);
    size_t owners = common->owners ? sizeof(struct bt_owners) : 0;

    if (!bt)
        return KVA_ENOMEM;
    bt->shift = 0;
    while ((uint64_t)1 << bt->shift < common->quantum)
        bt->shift++;
    atomic_init(&bt->shape, 0);
    set_classes(bt);
    kva_nodes_init(&bt->leaves, &bt->common.ledger, round_to_line(sizeof(struct bt_leaf) + owners));
    kva_nodes_init(&bt->inners, &bt->common.ledger,
                   round_to_line(sizeof(struct bt_inner) + bt->classes * BT_CHILDREN * sizeof(uint64_t)));
    if (!kva_nodes_ensure(&bt->leaves, 1)) {
        bt_destroy(&bt->common);
        return KVA_ENOMEM;
    }
    struct bt_entries none;
    bt->root = kva_nodes_pop(&bt->leaves);
    bt->height = 0;
    none.count = 0;
    pack(bt, bt->root, &none, 0, 0);
    struct bt_path path = {.leaf = bt->root, .low = common->first, .high = common->last};
    summarise_leaf(bt, &path, &bt->top);
    bt->common.tally.segments[KVA_FREE] = 1;
    bt->common.tally.bytes[KVA_FREE] = common->last - common->first + 1;
    hole_gained(&bt->common, common->first, common->last, common->first, common->last);
    *map = &bt->common;
    return KVA_OK;
}

/**
 * The most nodes that the next `changes` changes can take. A change adds at most one entry, or changes the
 * form of one leaf. So it splits at most one leaf and one node of each level above it, and may add a root.
 *
 *   Few changes   One leaf each, and one inner node for each level below the root. The root splits only if it
 *                 is full; the new root has two children, and the tree has one level more:
 *
 *                     root with room for r    r changes         one inner node per level below the root
 *                     full root               the next change   these, the root's other half, a new root
 *                     root of 2 children      each change       as first, with one level more
 *
 *                 The sum over n changes is at least what the first takes plus the sum over the other n - 1
 *                 after it. So a change that prepares itself finds enough nodes left of those for all n.
 *
 *   Many          A node that was split has room again: a wide leaf for a quarter of BT_ENTRIES, an inner
 *                 node for half of BT_CHILDREN; only the side that a split at an end leaves full may split
 *                 once more. So each split beyond those of the present nodes, which may be full, needs that
 *                 many changes:
 *
 *                     leaves   4 N + changes / (BT_ENTRIES / 4)      4: the leaf, its halves, a full side
 *                     inners   8 N + splits of leaves / (BT_CHILDREN / 8)      the sum over all levels
 */
static size_t most_leaves(const struct bt_map *bt, size_t changes)
{
    enum { ROOM = (BT_ENTRIES + 3) / 4 };
    size_t many = 4 * bt->leaves.in_use + changes / ROOM + 4;

    return changes < many ? changes : many;
}

/** The bound for few changes; any number from `many` on if it exceeds `many`. */
static size_t few_inners(const struct bt_map *bt, size_t changes, size_t many)
{
    size_t levels = bt->height;
    size_t room = levels > 0 ? BT_CHILDREN - ((const struct bt_inner *)bt->root)->count : 0;
    size_t sum = 0;

    while (changes > room && sum < many) {
        sum += (levels > 0 ? room * (levels - 1) : 0) + levels + 1;
        changes -= room + 1;
        levels++;
        room = BT_CHILDREN - 2;
    }
    return changes > 0 && sum < many ? sum + changes * (levels - 1) : sum;
}

static size_t most_inners(const struct bt_map *bt, size_t changes, size_t leaves)
{
    enum { ROOM = BT_CHILDREN >= 16 ? BT_CHILDREN / 8 : 2 };
    size_t levels = 1; /* the levels that can split, and a root above them */

    for (size_t below = leaves; below > 0; below /= ROOM)
        levels++;
    size_t many = 8 * bt->inners.in_use + 2 * leaves / ROOM + 2 * levels;
    size_t few = few_inners(bt, changes, many);

    return few < many ? few : many;
}

static enum kva_status bt_prepare(struct kva_address_map *map, size_t operations)
{
    struct bt_map *bt = bt_of(map);

    if (operations > SIZE_MAX / (BT_PATH + 1))
        return KVA_ENOMEM;
    size_t leaves = most_leaves(bt, operations);
    bool ready = kva_nodes_ensure(&bt->leaves, leaves) &&
                 kva_nodes_ensure(&bt->inners, most_inners(bt, operations, leaves)) &&
                 index_is_ready(map, operations);
    return ready ? KVA_OK : KVA_ENOMEM;
}

#endif
