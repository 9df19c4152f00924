/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Lookups without the lock in the bt engine, and the proof that they are linearizable.
 *
 * Changes run one at a time, under the space's lock. A lookup takes no lock and writes nothing. It may read
 * any mixture of old and new data, so it checks afterwards whether a change ran. Two kinds of sequence counts
 * (base/sequence.h) report that:
 *
 *      a leaf's `version`   EDIT: an entry of this leaf is added, removed or changed. Nearly every change
 *      the tree's `shape`   RESHAPE: a change of anything else that lookups read: inner nodes, the root, the
 *                           ends of the space, a leaf that is rewritten or reused. Under churn, one change
 *                           in 60 to 70
 *
 * So a lookup fails only if it overlaps an edit of the leaf that it reads, or a reshape. A change of maxima
 * is frequent, but lookups do not read maxima, so it needs neither count. One count for all inner nodes
 * suffices, because splits and merges are rare. A count per node, checked on the way down, would be
 * optimistic lock coupling.
 *
 * PROOF
 *   1. No node is given back before the address map ends, and a node cache cuts each slab into nodes of one
 *      kind. So memory that was a leaf, or an inner node, can always be read as one.
 *   2. A lookup follows a pointer or an index only after it found the shape unchanged since it began. So the
 *      value belonged to the tree of that shape, and the node that it leads to stays while the shape does.
 *   3. A lookup copies the leaf, and uses the copy only after it found both counts unchanged after the last
 *      read. Owners are not copied: the lookup reads the slot and then the owner from the leaf, and checks
 *      both counts after each.
 *   4. If both counts are unchanged from before the first read of the leaf until after the last, the leaf
 *      was in the tree during that time, with the bounds found above it and with the content read. The
 *      lookup takes effect at any moment of that time.
 *   5. The version of a leaf that is rewritten or reused starts again at 0: that is a reshape, so point 4
 *      holds.
 *
 * COST. The copy covers the whole leaf, because lines that another processor has just written then arrive
 * together. With the lines of the slot and the owner a lookup reads 9. One that read the starts first, and
 * then one end, would read 7 but wait twice: 98 ns instead of 84.
 *
 * BEYOND C11. The reads of point 3 race with plain writes, mostly of vectors; C11 would require atomic
 * accesses of a word each on both sides. As all sequence locks do, kva assumes that such a read returns some
 * bytes and has no other effect, and that no read moves across a fence. ThreadSanitizer does not check these
 * reads.
 *
 * SOURCE. Optimistic lock coupling: V. Leis, F. Scheibner, A. Kemper and T. Neumann, "The ART of practical
 * synchronization", 2016.
 */
#ifndef KVA_ENGINE_BT_VERSION_H
#define KVA_ENGINE_BT_VERSION_H

#include "../base/sequence.h"
#include "bt_leaf.h"

#if KVA_TSAN && defined(__clang__)
#define BT_UNLOCKED static __attribute__((no_sanitize("thread")))
#elif KVA_TSAN
#define BT_UNLOCKED static __attribute__((no_sanitize_thread))
#else
#define BT_UNLOCKED static
#endif

BT_HOT void begin_edit(struct bt_leaf *leaf)
{
    begin_change(&leaf->version);
}

BT_HOT void end_edit(struct bt_leaf *leaf)
{
    end_change(&leaf->version);
}

BT_HOT void begin_reshape(struct bt_map *bt)
{
    begin_change(&bt->shape);
}

BT_HOT void end_reshape(struct bt_map *bt)
{
    end_change(&bt->shape);
}

/** Copy a leaf without its owners, reading each byte once. */
BT_HOT void copy_leaf(struct bt_leaf *copy, const struct bt_leaf *leaf)
{
    for (size_t offset = 0; offset < sizeof *leaf; offset += 32) {
        move_block((char *)copy + offset, (const char *)leaf + offset);
        atomic_signal_fence(memory_order_acquire); /* keeps compilers from replacing the loop by memcpy */
    }
}

#endif
