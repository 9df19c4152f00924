/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The checks of the bt engine. They recompute all cached values from the entries, without the kernels. */
#ifndef KVA_ENGINE_BT_CHECK_H
#define KVA_ENGINE_BT_CHECK_H

#include "bt_clear.h"

/** The state of a walk over the tree. */
struct bt_walk {
    const struct bt_map *bt;
    struct kva_tally tally;
    uint64_t next;         /* the start of the next segment */
    bool at_end;           /* the walk has passed the last address of the space */
    enum kva_state before; /* the state of the segment before; KVA_BUSY at first */
    uint64_t address;      /* of the violation */
};

/** I1, I2, I3 for the next segment of the walk. */
static const char *walk_segment(struct bt_walk *walk, uint64_t start, uint64_t last, enum kva_state state)
{
    const struct kva_address_map *common = &walk->bt->common;

    walk->address = start;
    if (walk->at_end || start != walk->next || last < start || last > common->last)
        return "I1: a gap, an overlap, or a segment outside the space";
    if (!is_aligned(start, common->quantum) || !is_aligned(last + 1, common->quantum))
        return "I2: a segment misses the quantum";
    if (state == KVA_FREE && walk->before == KVA_FREE)
        return "I3: two adjacent free segments";
    if (state == KVA_ABSENT && walk->before == KVA_ABSENT)
        return "I3: two adjacent absent segments";
    if (state == KVA_ABSENT && (start == common->first || last == common->last))
        return "I3: an end of the space is absent";
    walk->tally.segments[state]++;
    walk->tally.bytes[state] += last - start + 1;
    walk->before = state;
    walk->at_end = last == common->last;
    walk->next = last + 1;
    return NULL;
}

/** Walk gap g and entry g of a leaf; raise the maxima in `summary` by the gap. */
static const char *walk_entry(struct bt_walk *walk, const struct bt_path *path, unsigned g,
                              struct bt_summary *summary)
{
    const struct bt_map *bt = walk->bt;
    const struct bt_leaf *leaf = path->leaf;
    const char *broken = NULL;
    uint64_t start;
    uint64_t last;

    if (gap_at(bt, path, g, &start, &last)) {
        broken = walk_segment(walk, start, last, KVA_FREE);
        for (unsigned align_class = 0; align_class < bt->classes; align_class++)
            summary->largest[align_class] =
                max_u64(summary->largest[align_class], aligned_run(start, last, bt->align[align_class]));
    }
    if (!broken && g < leaf->count) {
        broken = walk_segment(walk, entry_start(bt, leaf, g), entry_last(bt, leaf, g), entry_state(leaf, g));
        for (unsigned epoch = 0; epoch < KVA_EPOCHS; epoch++)
            walk->tally.deferred[epoch] += leaf->deferred[epoch] >> g & 1;
    }
    return broken;
}

static const char *walk_leaf(struct bt_walk *walk, const struct bt_path *path, struct bt_summary *summary)
{
    const struct bt_leaf *leaf = path->leaf;
    unsigned most = leaf->is_wide ? BT_WIDE_ENTRIES : BT_ENTRIES;
    const char *broken = NULL;

    walk->address = path->low;
    if (leaf->count > most)
        return "I6: a leaf has more entries than its form holds";
    if (!is_at_rest(&leaf->version))
        return "I6: an edit of a leaf has not ended";
    if (path->low != walk->bt->common.first &&
        (leaf->count == 0 || entry_start(walk->bt, leaf, 0) != path->low))
        return "I6: the first address of a leaf differs from its parent's";
    if (marked_entries(leaf) >> leaf->count != 0)
        return "I7: a leaf has a mark after its last entry";
    if ((leaf->deferred[0] & leaf->deferred[1]) != 0)
        return "I7: an entry is deferred in two epochs";
    if ((leaf->deferred[KVA_EPOCH_ABSENT] & (leaf->deferred[0] | leaf->deferred[1])) != 0)
        return "I7: an entry is deferred and absent";
    for (unsigned g = 0; g <= leaf->count && !broken; g++)
        broken = walk_entry(walk, path, g, summary);
    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
        summary->deferred[epoch] = leaf->deferred[epoch] != 0;
    return broken;
}

/** Compare the cached summary of a node with the one that the walk computed. */
static const char *compare_summary(struct bt_walk *walk, const struct bt_summary *claimed,
                                   const struct bt_summary *seen, uint64_t address)
{
    walk->address = address;
    for (unsigned align_class = 0; align_class < walk->bt->classes; align_class++) {
        if (claimed->largest[align_class] != seen->largest[align_class])
            return align_class == 0 ? "I4: a cached maximum is not the true one"
                                    : "I4: the cached maximum of an alignment class is not the true one";
    }
    return memcmp(claimed->deferred, seen->deferred, sizeof claimed->deferred) == 0
               ? NULL
               : "I7: the marks above a node do not match its deferred segments";
}

static const char *walk_node(struct bt_walk *walk, void *node, unsigned level, uint64_t low, uint64_t high,
                             struct bt_summary *summary);

static const char *walk_child(struct bt_walk *walk, const struct bt_inner *inner, unsigned i, unsigned level,
                              uint64_t high, struct bt_summary *seen)
{
    bool is_leaf = level + 1 == walk->bt->height;
    const void *child = inner->child[i];
    size_t size = is_leaf ? ((const struct bt_leaf *)child)->count : ((const struct bt_inner *)child)->count;
    const char *broken;

    walk->address = inner->low[i];
    if (size != inner->size[i])
        return "I6: the size of a node differs from its parent's";
    broken = walk_node(walk, inner->child[i], level + 1, inner->low[i], high, seen);
    struct child claimed;
    get_child(walk->bt, inner, i, &claimed);
    return broken ? broken : compare_summary(walk, &claimed.summary, seen, inner->low[i]);
}

static const char *walk_inner(struct bt_walk *walk, const struct bt_inner *inner, unsigned level,
                              uint64_t low, uint64_t high, struct bt_summary *summary)
{
    const char *broken = NULL;

    walk->address = low;
    if (inner->count == 0 || inner->count > BT_CHILDREN || (level == 0 && inner->count < 2))
        return "I6: an inner node has too few or too many children";
    if (inner->low[0] != low)
        return "I6: the first address of an inner node differs from its parent's";
    for (unsigned i = 0; i < inner->count && !broken; i++) {
        struct bt_summary seen = {{0}, {false}};
        bool is_last = i + 1 == inner->count;
        if (!is_last && inner->low[i + 1] <= inner->low[i])
            return "I6: the children of a node are out of order";
        broken = walk_child(walk, inner, i, level, is_last ? high : inner->low[i + 1] - 1, &seen);
        for (unsigned align_class = 0; align_class < walk->bt->classes; align_class++)
            summary->largest[align_class] = max_u64(summary->largest[align_class], seen.largest[align_class]);
        for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
            summary->deferred[epoch] |= seen.deferred[epoch];
    }
    return broken;
}

static const char *walk_node(struct bt_walk *walk, void *node, unsigned level, uint64_t low, uint64_t high,
                             struct bt_summary *summary)
{
    if (level < walk->bt->height)
        return walk_inner(walk, node, level, low, high, summary);
    const struct bt_path path = {.leaf = node, .low = low, .high = high};
    return walk_leaf(walk, &path, summary);
}

static const char *bt_check(const struct kva_address_map *map, uint64_t *address)
{
    const struct bt_map *bt = bt_of_const(map);
    struct bt_walk walk = {.bt = bt, .next = map->first, .before = KVA_BUSY};
    struct bt_summary seen = {{0}, {false}};
    const char *broken = walk_node(&walk, bt->root, 0, map->first, map->last, &seen);

    if (!broken)
        broken = compare_summary(&walk, &bt->top, &seen, map->first);
    if (!broken && !is_at_rest(&bt->shape))
        broken = "I6: a reshape of the tree has not ended";
    if (!broken && !walk.at_end)
        broken = "I1: the segments do not reach the end of the space";
    if (!broken && memcmp(&walk.tally, &map->tally, sizeof walk.tally) != 0) {
        walk.address = 0;
        broken = "I5: the tally differs from what a walk counts";
    }
    *address = walk.address;
    return broken;
}

/** Check the leaf that covers `at`, entry by entry, and the maxima that its parent caches. */
static const char *bt_check_near(const struct kva_address_map *map, uint64_t at, uint64_t *address)
{
    const struct bt_map *bt = bt_of_const(map);
    struct bt_summary seen = {{0}, {false}};
    struct bt_path path;

    descend_to(bt, at, &path);
    struct bt_walk walk = {.bt = bt, .next = path.low, .before = KVA_BUSY};
    const char *broken = walk_leaf(&walk, &path, &seen);
    for (unsigned align_class = 0; align_class < bt->classes && !broken; align_class++) {
        if (known_largest(bt, &path, bt->height, align_class) != seen.largest[align_class])
            broken = "I4: a cached maximum is not the true one";
    }
    *address = walk.address;
    return broken;
}

#endif
