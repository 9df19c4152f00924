/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * How a lookup reads the bt engine while another thread changes it.
 *
 * Changes come one at a time, under the space's lock. A lookup takes no lock and writes nothing; it may see any mixture of
 * before and after, so it asks afterwards whether there was a change. Two sequence counts tell (base/sequence.h), odd while a
 * change is on:
 *
 *      a leaf's `version`     entries of this one leaf come, go or change          nearly every change: an EDIT
 *      the tree's `shape`     everything else that a lookup reads: inner nodes, the root, the ends of the space, a
 *                             leaf that is rewritten, or given to another use      one change in some twenty: a RESHAPE
 *
 * So a lookup has to begin anew only if it met a change of the very leaf that it reads, or a reshape. (Per-node counts with
 * a check on the way down are optimistic lock coupling, Leis et al. 2016; one count for all inner nodes is enough here, as
 * splits and merges are rare, and leaves a change of maxima, which is not, unmarked.)
 *
 * WHY IT IS RIGHT
 *   1. Nodes are never given back before the address map ends, and a node cache cuts its chunks for one kind of node: whatever was a
 *      leaf, or an inner node, once can be read as one.
 *   2. No pointer or index that was read is followed before the shape was found unchanged. So it was one that the tree had, with
 *      this shape; and while the shape stays, so does the node it leads to.
 *   3. A leaf is copied, and nothing is done with the copy before both counts were found unchanged behind the last read.
 *      The owner, which the copy does not hold, is read by an index of the copy, and the counts are looked at once more.
 *      (All of the leaf, though a lookup needs few of its lines: those that another processor has just written come all at
 *      once. To read the starts first and then one end only makes 7 lines of 9, but one wait more: 98 ns for 84.)
 *   4. Both counts unchanged from before the first read of the leaf to behind the last: the leaf was in the tree, with the bounds
 *      found above it, and had this content, all that time. Any moment of it is the moment at which the lookup took place.
 *   5. A leaf's version may begin anew when the leaf is written for another use: that is a reshape.
 *
 * WHAT C SAYS. The reads of 3 race with plain writes, of vectors mostly. C11 has no way to say that they may: they would have to be
 * atomic on both sides, a word at a time. What is relied on beyond C11 is that such a read returns some bytes and nothing
 * worse, and that no read moves over a fence; as all sequence locks do. ThreadSanitizer is told not to look at it.
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

/** A leaf without its owners, each byte read once. */
BT_HOT void copy_leaf(struct bt_leaf *copy, const struct bt_leaf *leaf)
{
    for (size_t offset = 0; offset < sizeof *leaf; offset += 32) {
        move_block((char *)copy + offset, (const char *)leaf + offset);
        atomic_signal_fence(memory_order_acquire); /* or compilers would make a call of memcpy of it */
    }
}

#endif
