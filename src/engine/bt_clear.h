/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * clear of the bt engine: free many neighbours at once.
 *
 * The entries to free are a RUN [i, j) in each leaf. A leaf is rewritten once for its whole run, and its
 * parents are updated as after a single free:
 *
 *      before   |=A=|.|=B=||=C=|...|=D=|.|      clear [B, D)       run [1, 3)
 *      after    |=A=|..............|=D=|.|
 *
 * COST. One descent and one rewrite for each leaf of some 35 entries: O(k + log n) for k entries, because a
 * leaf has more entries than a descent has levels. A deferred entry, which stays, ends a run and costs one
 * more descent. With an index by size, which each entry changes, O(k log n).
 */
#ifndef KVA_ENGINE_BT_CLEAR_H
#define KVA_ENGINE_BT_CLEAR_H

#include "bt_tree.h"

/** The end of the run of busy entries that starts at i and does not pass the address `last`. */
static unsigned run_end(const struct bt_map *bt, const struct bt_leaf *leaf, unsigned i, uint64_t last)
{
    while (i < leaf->count && !entry_is_marked(leaf, i) && entry_last(bt, leaf, i) <= last)
        i++;
    return i;
}

/** Rewrite the leaf without its entries [i, j). */
static void pack_without(const struct bt_map *bt, struct bt_leaf *leaf, unsigned i, unsigned j)
{
    struct bt_entries entries;

    entries.count = 0;
    unpack(bt, leaf, &entries);
    remove_unpacked(&entries, i, j);
    pack(bt, leaf, &entries, 0, entries.count);
}

/** Update the tally and the index by size for the run [i, j), which becomes the hole [hole_start,
 *  hole_last]. */
static void count_run_out(struct bt_map *bt, const struct bt_leaf *leaf, unsigned i, unsigned j,
                          uint64_t hole_start, uint64_t hole_last)
{
    struct kva_tally *tally = &bt->common.tally;
    uint64_t end = hole_start; /* the start of the gap before entry k */
    uint64_t gaps = 0;

    for (unsigned k = i; k < j; k++) {
        uint64_t start = entry_start(bt, leaf, k);
        uint64_t last = entry_last(bt, leaf, k);
        gaps += start > end;
        hole_gained(&bt->common, hole_start, k + 1 < j ? entry_start(bt, leaf, k + 1) - 1 : hole_last, start,
                    last);
        end = last + 1; /* wraps after the last address, where no gap follows */
        kva_tally_move_bytes(tally, KVA_BUSY, KVA_FREE, last - start + 1);
    }
    gaps += entry_last(bt, leaf, j - 1) < hole_last;
    tally->segments[KVA_BUSY] -= j - i;
    tally->segments[KVA_FREE] += 1 - gaps;
}

/** Remove a run that starts with the first entry of a leaf that is not the first leaf. The leaf then
 *  starts at the entry after the run, or is removed; the hole joins the last gap of the leaf before. */
static void remove_first_run(struct bt_map *bt, struct bt_path *path, unsigned j)
{
    struct bt_leaf *leaf = path->leaf;

    if (j == leaf->count) {
        remove_leaf(bt, path);
        return;
    }
    pack_without(bt, leaf, 0, j);
    path->low = entry_start(bt, leaf, 0);
    set_low(path, bt->height, path->low);
    set_size(path, bt->height, leaf->count);
    leaf_changed(bt, path);
    if (is_too_small(bt, path))
        merge_up(bt, path, bt->height - 1);
}

/** Free the entries [i, j) of the leaf at the end of a path. */
static void remove_run(struct bt_map *bt, struct bt_path *path, unsigned i, unsigned j)
{
    struct bt_leaf *leaf = path->leaf;
    uint64_t start = entry_start(bt, leaf, i);
    uint64_t hole_start = path->low;
    uint64_t hole_last = j < leaf->count ? entry_start(bt, leaf, j) - 1 : path->high;

    if (!hole_before(bt, path, i, &hole_start))
        hole_start = start;
    count_run_out(bt, leaf, i, j, hole_start, hole_last);
    begin_reshape(bt);
    if (i == 0 && !is_first_leaf(bt, path)) {
        remove_first_run(bt, path, j);
        hole_grew_at(bt, start);
    } else {
        pack_without(bt, leaf, i, j);
        set_size(path, bt->height, leaf->count);
        leaf_changed(bt, path);
        if (is_too_small(bt, path))
            merge_up(bt, path, bt->height - 1);
    }
    end_reshape(bt);
}

static void bt_clear(struct kva_address_map *map, uint64_t first, uint64_t last)
{
    struct bt_map *bt = bt_of(map);

    for (uint64_t at = first;;) {
        struct bt_path path;
        descend_to(bt, at, &path);
        const struct bt_leaf *leaf = path.leaf;
        uint64_t end = path.high;
        unsigned i = entries_up_to(bt, leaf, at);
        i -= i > 0 && entry_start(bt, leaf, i - 1) == at;
        unsigned j = run_end(bt, leaf, i, last);
        if (j < leaf->count) /* skip entry j, which is deferred or ends after `last` */
            end = entry_last(bt, leaf, j);
        if (j - i == 1)
            remove_used(bt, &path, i, KVA_BUSY);
        else if (j > i)
            remove_run(bt, &path, i, j);
        if (end >= last)
            return;
        at = end + 1;
    }
}

#endif
