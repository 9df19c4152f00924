/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** One leaf of the bt engine: its entries in either form, the gaps between them, and moving them about. */
#ifndef KVA_ENGINE_BT_LEAF_H
#define KVA_ENGINE_BT_LEAF_H

#include "bt.h"
#include "bt_kernels.h"

/* ------------------------------------------------------------------------------------------- entries */

static inline uint64_t entry_start(const struct bt_tiling *bt, const struct bt_leaf *leaf, unsigned i)
{
    return leaf->is_wide ? leaf->wide.start[i] : leaf->base + ((uint64_t)leaf->compact.start[i] << bt->shift);
}

static inline uint64_t entry_last(const struct bt_tiling *bt, const struct bt_leaf *leaf, unsigned i)
{
    return leaf->is_wide
               ? leaf->wide.last[i]
               : leaf->base + ((uint64_t)leaf->compact.last[i] << bt->shift) + (bt->common.quantum - 1);
}

static inline void *entry_owner(const struct bt_tiling *bt, const struct bt_leaf *leaf, unsigned i)
{
    return bt->common.owners ? leaf->owner[i] : NULL;
}

static inline bool entry_is_parked(const struct bt_leaf *leaf, unsigned i)
{
    return leaf->parked >> i & 1;
}

/** How many entries start at `address` or below. */
static inline unsigned entries_up_to(const struct bt_tiling *bt, const struct bt_leaf *leaf, uint64_t address)
{
    if (leaf->is_wide)
        return count_at_most(leaf->wide.start, leaf->count, address);
    if (address < leaf->base)
        return 0;
    uint64_t offset = min_u64((address - leaf->base) >> bt->shift, UINT32_MAX);
    return count_at_most_32(leaf->compact.start, leaf->count, (uint32_t)offset);
}

/** Whether the compact form with this base can say [start, last]. */
static inline bool is_near(const struct bt_tiling *bt, uint64_t base, uint64_t start, uint64_t last)
{
    return start >= base && (last - base) >> bt->shift <= UINT32_MAX;
}

static inline uint32_t offset_of(const struct bt_tiling *bt, uint64_t base, uint64_t address)
{
    return (uint32_t)((address - base) >> bt->shift);
}

/** Whether a leaf can take one more entry as it stands. */
static inline bool has_room(const struct bt_tiling *bt, const struct bt_leaf *leaf, uint64_t start,
                            uint64_t last)
{
    if (leaf->is_wide)
        return leaf->count < BT_WIDE_ENTRIES;
    return leaf->count < BT_ENTRIES && is_near(bt, leaf->base, start, last);
}

/** Whether an entry can end at `last` without a change of form. */
static inline bool can_end_at(const struct bt_tiling *bt, const struct bt_leaf *leaf, uint64_t last)
{
    return leaf->is_wide || is_near(bt, leaf->base, leaf->base, last);
}

static inline void set_entry_start(const struct bt_tiling *bt, struct bt_leaf *leaf, unsigned i,
                                   uint64_t start)
{
    if (leaf->is_wide)
        leaf->wide.start[i] = start;
    else
        leaf->compact.start[i] = offset_of(bt, leaf->base, start);
}

static inline void set_entry_last(const struct bt_tiling *bt, struct bt_leaf *leaf, unsigned i, uint64_t last)
{
    if (leaf->is_wide)
        leaf->wide.last[i] = last;
    else
        leaf->compact.last[i] = offset_of(bt, leaf->base, last);
}

/** One vector's worth of bytes, through a register: it may overlap where it goes. */
static inline void move_block(char *to, const char *from)
{
    char block[32];

    memcpy(block, from, sizeof block);
    memcpy(to, block, sizeof block);
}

/** Move `count` elements of `size` bytes (4 or 8) up by one. What moves is a few lines, of which no two are alike:
 *  a call of memmove would spend more on finding out how many than on moving them. */
static inline void move_up(char *array, size_t count, size_t size)
{
    size_t bytes = count * size;

    for (; bytes >= 32; bytes -= 32)
        move_block(array + bytes - 32 + size, array + bytes - 32);
    for (; bytes > 0; bytes -= size)
        memcpy(array + bytes, array + bytes - size, size);
}

/** Move `count` elements of `size` bytes (4 or 8) from array[1] on down by one. */
static inline void move_down(char *array, size_t count, size_t size)
{
    size_t bytes = count * size;
    size_t done = 0;

    for (; done + 32 <= bytes; done += 32)
        move_block(array + done, array + done + size);
    for (; done < bytes; done += size)
        memcpy(array + done, array + done + size, size);
}

/** Open, or close, the place at index i of an array of `count` elements. */
#define OPEN_PLACE(array, i, count) move_up((char *)&(array)[i], (count) - (i), sizeof *(array))
#define CLOSE_PLACE(array, i, count) move_down((char *)&(array)[i], (count) - (i)-1, sizeof *(array))

/** `bits` with a 0 put in at place i, or with place i taken out. */
static inline uint64_t open_bit(uint64_t bits, unsigned i)
{
    uint64_t below = ((uint64_t)1 << i) - 1;
    return (bits & below) | ((bits & ~below) << 1);
}

static inline uint64_t close_bit(uint64_t bits, unsigned i)
{
    uint64_t below = ((uint64_t)1 << i) - 1;
    return (bits & below) | ((bits >> 1) & ~below);
}

/** Put a busy entry in at index i of a leaf that has room for it. */
static inline void insert_entry(const struct bt_tiling *bt, struct bt_leaf *leaf, unsigned i, uint64_t start,
                                uint64_t last, void *owner)
{
    if (leaf->is_wide) {
        OPEN_PLACE(leaf->wide.start, i, leaf->count);
        OPEN_PLACE(leaf->wide.last, i, leaf->count);
        leaf->wide.start[i] = start;
        leaf->wide.last[i] = last;
    } else {
        OPEN_PLACE(leaf->compact.start, i, leaf->count);
        OPEN_PLACE(leaf->compact.last, i, leaf->count);
        leaf->compact.start[i] = offset_of(bt, leaf->base, start);
        leaf->compact.last[i] = offset_of(bt, leaf->base, last);
    }
    if (bt->common.owners) {
        OPEN_PLACE(leaf->owner, i, leaf->count);
        leaf->owner[i] = owner;
    }
    leaf->parked = open_bit(leaf->parked, i);
    leaf->count++;
}

static inline void remove_entry(const struct bt_tiling *bt, struct bt_leaf *leaf, unsigned i)
{
    if (leaf->is_wide) {
        CLOSE_PLACE(leaf->wide.start, i, leaf->count);
        CLOSE_PLACE(leaf->wide.last, i, leaf->count);
    } else {
        CLOSE_PLACE(leaf->compact.start, i, leaf->count);
        CLOSE_PLACE(leaf->compact.last, i, leaf->count);
    }
    if (bt->common.owners)
        CLOSE_PLACE(leaf->owner, i, leaf->count);
    leaf->parked = close_bit(leaf->parked, i);
    leaf->count--;
}

/* ---------------------------------------------------------------------------------------------- gaps */

/** Gap g of the leaf that a path leads to: false when it has 0 bytes. */
static inline bool gap_at(const struct bt_tiling *bt, const struct kva_path *path, unsigned g,
                          uint64_t *start, uint64_t *last)
{
    const struct bt_leaf *leaf = path->leaf;

    *start = path->low;
    *last = path->high;
    if (g > 0) {
        uint64_t before = entry_last(bt, leaf, g - 1);
        if (before == path->high)
            return false;
        *start = before + 1;
    }
    if (g < leaf->count) {
        uint64_t after = entry_start(bt, leaf, g);
        if (after == *start)
            return false;
        *last = after - 1;
    }
    return true;
}

/** The bytes of [start, last] from the first aligned address on, saturated; 0 when there is none. */
static inline uint64_t aligned_run(uint64_t start, uint64_t last, uint64_t align)
{
    uint64_t from;

    if (!align_up(start, align, &from) || from > last)
        return 0;
    return last - from < UINT64_MAX ? last - from + 1 : UINT64_MAX;
}

/** The longest run of a class in a leaf: gap by gap; the compact form's inner ones all at once. */
static inline uint64_t leaf_largest(const struct bt_tiling *bt, const struct kva_path *path, unsigned class)
{
    const struct bt_leaf *leaf = path->leaf;
    uint64_t most = 0;
    bool at_once = class == 0 && !leaf->is_wide && leaf->count > 0;

    if (at_once)
        most = (uint64_t)(greatest_gap(leaf->compact.start, leaf->compact.last, leaf->count) - 1)
               << bt->shift;
    for (unsigned g = 0; g <= leaf->count; g += at_once ? leaf->count : 1) {
        uint64_t start;
        uint64_t last;
        if (gap_at(bt, path, g, &start, &last))
            most = max_u64(most, aligned_run(start, last, bt->align[class]));
    }
    return most;
}

static inline void summarise_leaf(const struct bt_tiling *bt, const struct kva_path *path,
                                  struct bt_summary *summary)
{
    for (unsigned class = 0; class < bt->classes; class ++)
        summary->largest[class] = leaf_largest(bt, path, class);
    summary->deferred = ((const struct bt_leaf *)path->leaf)->parked != 0;
}

/** The first gap from index `from` on, in the direction of the demand's policy, that fits it. */
static inline bool fit_in_leaf(const struct bt_tiling *bt, const struct kva_demand *demand, unsigned from,
                               struct kva_place *place)
{
    const struct kva_path *path = &place->path;
    const struct bt_leaf *leaf = path->leaf;
    uint64_t quanta = demand->size >> bt->shift;
    bool upwards = demand->policy == KVA_LOWEST;

    for (unsigned i = from; i <= leaf->count; i += upwards ? 1 : UINT_MAX) {
        if (upwards && !leaf->is_wide && i > 0 && i < leaf->count) {
            i = quanta > UINT32_MAX
                    ? leaf->count
                    : first_gap(leaf->compact.start, leaf->compact.last, i, leaf->count, (uint32_t)quanta);
        }
        if (gap_at(bt, path, i, &place->hole_start, &place->hole_last) &&
            kva_fit_in_hole(place->hole_start, place->hole_last, demand, &place->start)) {
            place->index = i;
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------------------ taking a leaf apart */

/** The entries of a leaf, or of two, in full. */
struct bt_entries {
    unsigned count;
    uint64_t parked;
    uint64_t start[BT_ENTRIES + 1];
    uint64_t last[BT_ENTRIES + 1];
    void *owner[BT_ENTRIES + 1];
};

/** Add a leaf's entries to what is there. */
static inline void unpack(const struct bt_tiling *bt, const struct bt_leaf *leaf, struct bt_entries *entries)
{
    entries->parked |= leaf->parked << entries->count;
    for (unsigned i = 0; i < leaf->count; i++) {
        unsigned to = entries->count++;
        entries->start[to] = entry_start(bt, leaf, i);
        entries->last[to] = entry_last(bt, leaf, i);
        entries->owner[to] = entry_owner(bt, leaf, i);
    }
}

static inline bool is_compact(const struct bt_tiling *bt, const struct bt_entries *entries, unsigned from,
                              unsigned to)
{
    return from == to || is_near(bt, entries->start[from], entries->start[from], entries->last[to - 1]);
}

/** Whether the entries [from, to) fit into one leaf, in either form. */
static inline bool fits_leaf(const struct bt_tiling *bt, const struct bt_entries *entries, unsigned from,
                             unsigned to)
{
    unsigned most = is_compact(bt, entries, from, to) ? BT_ENTRIES : BT_WIDE_ENTRIES;
    return to - from <= most;
}

/** The base of a compact leaf: what the 32 bits leave over is divided between both sides, so that entries can be
 *  added below the first as well as above the last. */
static inline uint64_t compact_base(const struct bt_tiling *bt, uint64_t start, uint64_t last)
{
    uint64_t spare = (UINT32_MAX - ((last - start) >> bt->shift)) / 2;
    uint64_t below = min_u64((start - bt->common.first) >> bt->shift, spare);

    return start - (below << bt->shift);
}

/** Write the entries [from, to), which fit, into a leaf. */
static inline void pack(const struct bt_tiling *bt, struct bt_leaf *leaf, const struct bt_entries *entries,
                        unsigned from, unsigned to)
{
    leaf->is_wide = !is_compact(bt, entries, from, to);
    leaf->base = 0;
    if (from < to && !leaf->is_wide)
        leaf->base = compact_base(bt, entries->start[from], entries->last[to - 1]);
    leaf->count = 0;
    leaf->parked = 0;
    for (unsigned i = from; i < to; i++) {
        unsigned at = i - from;
        insert_entry(bt, leaf, at, entries->start[i], entries->last[i], entries->owner[i]);
        leaf->parked |= (entries->parked >> i & 1) << at;
    }
}

#endif
