/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** One leaf of the bt engine: its entries in either form, the gaps between them, insertion, removal,
 *  rewriting. */
#ifndef KVA_ENGINE_BT_LEAF_H
#define KVA_ENGINE_BT_LEAF_H

#include <stdatomic.h>

#include "bt_kernels.h"

/* ------------------------------------------------------------------------------------------- entries */

BT_HOT uint64_t entry_start(const struct bt_map *bt, const struct bt_leaf *leaf, unsigned i)
{
    return leaf->is_wide ? leaf->wide.start[i] : leaf->base + ((uint64_t)leaf->compact.start[i] << bt->shift);
}

BT_HOT uint64_t entry_last(const struct bt_map *bt, const struct bt_leaf *leaf, unsigned i)
{
    return leaf->is_wide
               ? leaf->wide.last[i]
               : leaf->base + ((uint64_t)leaf->compact.last[i] << bt->shift) + (bt->common.quantum - 1);
}

/** The owners, which follow the leaf if the space keeps them. */
BT_HOT struct bt_owners *owners_of(const struct bt_leaf *leaf)
{
    return (struct bt_owners *)(leaf + 1);
}

BT_HOT void *entry_owner(const struct bt_map *bt, const struct bt_leaf *leaf, unsigned i)
{
    return bt->common.owners ? owners_of(leaf)->owner[owners_of(leaf)->slot[i]] : NULL;
}

/** Bit i: entry i is MARKED, that is, deferred or absent. */
BT_HOT uint64_t marked_entries(const struct bt_leaf *leaf)
{
    return leaf->deferred[0] | leaf->deferred[1] | leaf->deferred[KVA_EPOCH_ABSENT];
}

BT_HOT bool entry_is_marked(const struct bt_leaf *leaf, unsigned i)
{
    return marked_entries(leaf) >> i & 1;
}

BT_HOT bool entry_is_absent(const struct bt_leaf *leaf, unsigned i)
{
    return leaf->deferred[KVA_EPOCH_ABSENT] >> i & 1;
}

BT_HOT enum kva_state entry_state(const struct bt_leaf *leaf, unsigned i)
{
    if (!entry_is_marked(leaf, i))
        return KVA_BUSY;
    return entry_is_absent(leaf, i) ? KVA_ABSENT : KVA_DEFERRED;
}

/** Bit c: entry i belongs to epoch c. */
static inline uint8_t entry_marks(const struct bt_leaf *leaf, unsigned i)
{
    unsigned marks = 0;

    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
        marks |= (unsigned)(leaf->deferred[epoch] >> i & 1) << epoch;
    return (uint8_t)marks;
}

/** The number of entries that start at `address` or below. */
BT_HOT unsigned entries_up_to(const struct bt_map *bt, const struct bt_leaf *leaf, uint64_t address)
{
    if (leaf->is_wide) {
        unsigned count = 0;
        while (count < leaf->count && leaf->wide.start[count] <= address)
            count++;
        return count;
    }
    if (address < leaf->base)
        return 0;
    uint64_t offset = min_u64((address - leaf->base) >> bt->shift, UINT32_MAX);
    return entries_at_most(leaf->compact.start, leaf->count, (uint32_t)offset);
}

/** Whether the compact form with this base can represent [start, last]. */
BT_HOT bool is_near(const struct bt_map *bt, uint64_t base, uint64_t start, uint64_t last)
{
    return start >= base && (last - base) >> bt->shift <= UINT32_MAX;
}

BT_HOT uint32_t offset_of(const struct bt_map *bt, uint64_t base, uint64_t address)
{
    return (uint32_t)((address - base) >> bt->shift);
}

/** Whether a leaf has room for the entry [start, last] without a change of form or base. */
BT_HOT bool has_room(const struct bt_map *bt, const struct bt_leaf *leaf, uint64_t start, uint64_t last)
{
    if (leaf->is_wide)
        return leaf->count < BT_WIDE_ENTRIES;
    return leaf->count < BT_ENTRIES && is_near(bt, leaf->base, start, last);
}

/** Whether an entry can end at `last` without a change of form or base. */
BT_HOT bool can_end_at(const struct bt_map *bt, const struct bt_leaf *leaf, uint64_t last)
{
    return leaf->is_wide || is_near(bt, leaf->base, leaf->base, last);
}

BT_HOT void set_entry_start(const struct bt_map *bt, struct bt_leaf *leaf, unsigned i, uint64_t start)
{
    if (leaf->is_wide)
        leaf->wide.start[i] = start;
    else
        leaf->compact.start[i] = offset_of(bt, leaf->base, start);
}

BT_HOT void set_entry_last(const struct bt_map *bt, struct bt_leaf *leaf, unsigned i, uint64_t last)
{
    if (leaf->is_wide)
        leaf->wide.last[i] = last;
    else
        leaf->compact.last[i] = offset_of(bt, leaf->base, last);
}

/** Move 32 bytes through a register; source and destination may overlap. */
BT_HOT void move_block(char *to, const char *from)
{
    char block[32];

    memcpy(block, from, sizeof block);
    memcpy(to, block, sizeof block);
}

/** Move `count` elements of `size` bytes up by one. They are a few lines at most: memmove would spend more
 *  time on selecting a method than on moving them. */
BT_HOT void move_up(char *array, size_t count, size_t size)
{
    size_t bytes = count * size;

    for (; bytes >= 32; bytes -= 32)
        move_block(array + bytes - 32 + size, array + bytes - 32);
    for (; bytes > 0; bytes -= size)
        memcpy(array + bytes, array + bytes - size, size);
}

/** Move `count` elements of `size` bytes, from array[1] on, down by one. */
BT_HOT void move_down(char *array, size_t count, size_t size)
{
    size_t bytes = count * size;
    size_t done = 0;

    for (; done + 32 <= bytes; done += 32)
        move_block(array + done, array + done + size);
    for (; done < bytes; done += size)
        memcpy(array + done, array + done + size, size);
}

/** Open or close the place at index i of an array of `count` elements. */
#define OPEN_PLACE(array, i, count) move_up((char *)&(array)[i], (count) - (i), sizeof *(array))
#define CLOSE_PLACE(array, i, count) move_down((char *)&(array)[i], (count) - (i)-1, sizeof *(array))

/** `bits` with a 0 inserted at bit i, or with bit i removed. */
BT_HOT uint64_t open_bit(uint64_t bits, unsigned i)
{
    uint64_t below = ((uint64_t)1 << i) - 1;
    return (bits & below) | ((bits & ~below) << 1);
}

BT_HOT uint64_t close_bit(uint64_t bits, unsigned i)
{
    uint64_t below = ((uint64_t)1 << i) - 1;
    return (bits & below) | ((bits >> 1) & ~below);
}

/** An owner stays where it was written. When an entry is inserted or removed, one byte moves for each
 *  entry above it, so the change touches two or three lines of the leaf's second half, not all of them. */
BT_HOT void insert_owner(struct bt_owners *owners, unsigned i, void *owner)
{
    unsigned slot = lowest_bit(owners->unused);

    owners->unused &= owners->unused - 1;
    open_slot(owners->slot, i, (uint8_t)slot);
    owners->owner[slot] = owner;
}

BT_HOT void remove_owner(struct bt_owners *owners, unsigned i)
{
    owners->unused |= (uint64_t)1 << owners->slot[i];
    close_slot(owners->slot, i);
}

/** Shift the marks. Out of line, because most leaves have none. */
BT_RARE void open_marks(struct bt_leaf *leaf, unsigned i)
{
    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
        leaf->deferred[epoch] = open_bit(leaf->deferred[epoch], i);
}

BT_RARE void close_marks(struct bt_leaf *leaf, unsigned i)
{
    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
        leaf->deferred[epoch] = close_bit(leaf->deferred[epoch], i);
}

/** Insert a busy entry at index i of a leaf that has room for it. */
BT_HOT void insert_entry(const struct bt_map *bt, struct bt_leaf *leaf, unsigned i, uint64_t start,
                         uint64_t last, void *owner)
{
    if (leaf->is_wide) {
        OPEN_PLACE(leaf->wide.start, i, leaf->count);
        OPEN_PLACE(leaf->wide.last, i, leaf->count);
        leaf->wide.start[i] = start;
        leaf->wide.last[i] = last;
    } else {
        open_entry(leaf->compact.start, i, offset_of(bt, leaf->base, start));
        open_entry(leaf->compact.last, i, offset_of(bt, leaf->base, last));
    }
    if (bt->common.owners)
        insert_owner(owners_of(leaf), i, owner);
    if (marked_entries(leaf) != 0)
        open_marks(leaf, i);
    leaf->count++;
}

BT_HOT void remove_entry(const struct bt_map *bt, struct bt_leaf *leaf, unsigned i)
{
    if (leaf->is_wide) {
        CLOSE_PLACE(leaf->wide.start, i, leaf->count);
        CLOSE_PLACE(leaf->wide.last, i, leaf->count);
    } else {
        close_entry(leaf->compact.start, i);
        close_entry(leaf->compact.last, i);
    }
    if (bt->common.owners)
        remove_owner(owners_of(leaf), i);
    if (marked_entries(leaf) != 0)
        close_marks(leaf, i);
    leaf->count--;
}

/* ---------------------------------------------------------------------------------------------- gaps */

/** Whether a path leads to the first leaf, the only one whose gap 0 may have bytes. */
BT_HOT bool is_first_leaf(const struct bt_map *bt, const struct bt_path *path)
{
    return path->low == bt->common.first;
}

/** Gap g of the leaf at the end of a path; false if it has 0 bytes. */
BT_HOT bool gap_at(const struct bt_map *bt, const struct bt_path *path, unsigned g, uint64_t *start,
                   uint64_t *last)
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

/** The bytes of [start, last] from the first aligned address on, saturated; 0 if there is none. */
BT_HOT uint64_t aligned_run(uint64_t start, uint64_t last, uint64_t align)
{
    uint64_t from;

    if (!align_up(start, align, &from) || from > last)
        return 0;
    return size_saturated(from, last);
}

/** The same for an alignment class. Class 0 is the quantum, to which every hole is aligned. */
BT_HOT uint64_t run_of(const struct bt_map *bt, unsigned align_class, uint64_t start, uint64_t last)
{
    if (align_class > 0)
        return aligned_run(start, last, bt->align[align_class]);
    return size_saturated(start, last);
}

/** The query of the kernels for runs of `size` bytes (0: of any size) at `align` in the inner gaps of a
 *  leaf. False if the leaf is wide or the numbers exceed 32 bits: then the gaps must be tested one by one. */
BT_HOT bool fit_of(const struct bt_map *bt, const struct bt_leaf *leaf, uint64_t size, uint64_t align,
                   struct bt_fit *fit)
{
    uint64_t quanta = size >> bt->shift;
    uint64_t mask = (align >> bt->shift) - 1;

    fit->size = (uint32_t)quanta;
    fit->mask = (uint32_t)mask;
    fit->base = (uint32_t)(leaf->base >> bt->shift);
    return !leaf->is_wide && mask <= UINT32_MAX && quanta <= UINT32_MAX - mask;
}

/** As a gap to leave out: none. */
enum { BT_NO_GAP = BT_ENTRIES + 1 };

/** The run of a class in gap g; 0 if there is none, or if g == except. */
BT_HOT uint64_t run_of_gap_but(const struct bt_map *bt, const struct bt_path *path, unsigned align_class,
                               unsigned g, unsigned except)
{
    uint64_t start;
    uint64_t last;

    return g != except && gap_at(bt, path, g, &start, &last) ? run_of(bt, align_class, start, last) : 0;
}

/** The longest run of a class in a leaf without gap `except`. */
BT_HOT uint64_t leaf_largest(const struct bt_map *bt, const struct bt_path *path, unsigned align_class,
                             unsigned except)
{
    const struct bt_leaf *leaf = path->leaf;
    unsigned count = leaf->count;
    uint64_t most = 0;
    struct bt_fit fit;

    if (is_first_leaf(bt, path))
        most = run_of_gap_but(bt, path, align_class, 0, except);
    if (count == 0)
        return most;
    most = max_u64(most, run_of_gap_but(bt, path, align_class, count, except));
    if (align_class == 0 && !leaf->is_wide)
        return max_u64(most, (uint64_t)greatest_gap(leaf->compact.start, leaf->compact.last, count, except)
                                 << bt->shift);
    if (fit_of(bt, leaf, 0, bt->align[align_class], &fit))
        return max_u64(most,
                       (uint64_t)greatest_run(leaf->compact.start, leaf->compact.last, count, except, &fit)
                           << bt->shift);
    for (unsigned g = 1; g < count; g++)
        most = max_u64(most, run_of_gap_but(bt, path, align_class, g, except));
    return most;
}

static inline void summarise_leaf(const struct bt_map *bt, const struct bt_path *path,
                                  struct bt_summary *summary)
{
    for (unsigned align_class = 0; align_class < bt->classes; align_class++)
        summary->largest[align_class] = leaf_largest(bt, path, align_class, BT_NO_GAP);
    for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
        summary->deferred[epoch] = ((const struct bt_leaf *)path->leaf)->deferred[epoch] != 0;
}

/** The first gap from index `from` on, in the direction of the policy, that fits the demand. The kernels
 *  ignore the window, so kva_fit_in_hole tests each gap that they find. */
BT_HOT bool fit_in_leaf(const struct bt_map *bt, const struct kva_demand *demand, unsigned from,
                        struct bt_cursor *cursor, uint64_t *start)
{
    const struct bt_path *path = &cursor->path;
    const struct bt_leaf *leaf = path->leaf;
    const struct bt_compact *compact = &leaf->compact;
    bool upwards = demand->policy == KVA_LOWEST;
    struct bt_fit fit;
    bool at_once = fit_of(bt, leaf, demand->size, demand->align, &fit);

    for (unsigned i = from; i <= leaf->count; i += upwards ? 1 : UINT_MAX) {
        if (at_once && i > 0 && i < leaf->count)
            i = upwards ? first_gap(compact->start, compact->last, i, leaf->count, &fit)
                        : last_gap(compact->start, compact->last, i + 1, &fit);
        if (gap_at(bt, path, i, &cursor->hole_start, &cursor->hole_last) &&
            kva_fit_in_hole(cursor->hole_start, cursor->hole_last, demand, start)) {
            cursor->gap = i;
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------------------ taking a leaf apart */

/** The entries of a leaf, or of two leaves and a new one, unpacked. */
struct bt_entries {
    unsigned count;
    uint64_t start[2 * BT_ENTRIES + 1];
    uint64_t last[2 * BT_ENTRIES + 1];
    void *owner[2 * BT_ENTRIES + 1];
    uint8_t marks[2 * BT_ENTRIES + 1]; /* bit c: belongs to epoch c */
};

/** Append the entries of a leaf. */
static inline void unpack(const struct bt_map *bt, const struct bt_leaf *leaf, struct bt_entries *entries)
{
    for (unsigned i = 0; i < leaf->count; i++) {
        unsigned to = entries->count++;
        entries->start[to] = entry_start(bt, leaf, i);
        entries->last[to] = entry_last(bt, leaf, i);
        entries->owner[to] = entry_owner(bt, leaf, i);
        entries->marks[to] = entry_marks(leaf, i);
    }
}

/** Append other entries. */
static inline void append(struct bt_entries *entries, const struct bt_entries *others)
{
    memcpy(&entries->start[entries->count], others->start, others->count * sizeof others->start[0]);
    memcpy(&entries->last[entries->count], others->last, others->count * sizeof others->last[0]);
    memcpy(&entries->owner[entries->count], others->owner, others->count * sizeof others->owner[0]);
    memcpy(&entries->marks[entries->count], others->marks, others->count * sizeof others->marks[0]);
    entries->count += others->count;
}

/** Remove entries [i, j). */
static inline void remove_unpacked(struct bt_entries *entries, unsigned i, unsigned j)
{
    size_t rest = entries->count - j;

    memmove(&entries->start[i], &entries->start[j], rest * sizeof entries->start[0]);
    memmove(&entries->last[i], &entries->last[j], rest * sizeof entries->last[0]);
    memmove(&entries->owner[i], &entries->owner[j], rest * sizeof entries->owner[0]);
    memmove(&entries->marks[i], &entries->marks[j], rest * sizeof entries->marks[0]);
    entries->count -= j - i;
}

/** Insert a busy entry at index i. */
static inline void insert_unpacked(struct bt_entries *entries, unsigned i, uint64_t start, uint64_t last,
                                   void *owner)
{
    unsigned above = entries->count++ - i;

    memmove(&entries->start[i + 1], &entries->start[i], above * sizeof entries->start[0]);
    memmove(&entries->last[i + 1], &entries->last[i], above * sizeof entries->last[0]);
    memmove(&entries->owner[i + 1], &entries->owner[i], above * sizeof entries->owner[0]);
    memmove(&entries->marks[i + 1], &entries->marks[i], above * sizeof entries->marks[0]);
    entries->start[i] = start;
    entries->last[i] = last;
    entries->owner[i] = owner;
    entries->marks[i] = 0;
}

/** Whether the entries [from, to) fit the compact form by their distance. */
static inline bool is_compact(const struct bt_map *bt, const struct bt_entries *entries, unsigned from,
                              unsigned to)
{
    return from == to || is_near(bt, entries->start[from], entries->start[from], entries->last[to - 1]);
}

/** Whether the entries [from, to) fit into one leaf, in either form. */
static inline bool fits_leaf(const struct bt_map *bt, const struct bt_entries *entries, unsigned from,
                             unsigned to)
{
    unsigned most = is_compact(bt, entries, from, to) ? BT_ENTRIES : BT_WIDE_ENTRIES;
    return to - from <= most;
}

/** The base of a compact leaf. The unused part of the 32-bit range is divided between both sides, so that
 *  entries can be added below the first and above the last. */
static inline uint64_t compact_base(const struct bt_map *bt, uint64_t start, uint64_t last)
{
    uint64_t spare = (UINT32_MAX - ((last - start) >> bt->shift)) / 2;
    uint64_t below = min_u64((start - bt->common.first) >> bt->shift, spare);

    return start - (below << bt->shift);
}

static inline void pack_owners(struct bt_owners *owners, void *const *from, unsigned count)
{
    owners->unused = low_bits(BT_ENTRIES) & ~low_bits(count);
    for (unsigned i = 0; i < count; i++) {
        owners->slot[i] = (uint8_t)i;
        owners->owner[i] = from[i];
    }
}

/** Write the entries [from, to), which fit, into a leaf. */
static inline void pack(const struct bt_map *bt, struct bt_leaf *leaf, const struct bt_entries *entries,
                        unsigned from, unsigned to)
{
    leaf->is_wide = !is_compact(bt, entries, from, to);
    leaf->base = 0;
    if (from < to && !leaf->is_wide)
        leaf->base = compact_base(bt, entries->start[from], entries->last[to - 1]);
    leaf->count = to - from;
    atomic_store_explicit(&leaf->version, 0, memory_order_relaxed); /* bt_version.h, point 5 */
    memset(leaf->deferred, 0, sizeof leaf->deferred);
    for (unsigned i = from; i < to; i++) {
        for (unsigned epoch = 0; epoch < KVA_EPOCHS_ALL; epoch++)
            leaf->deferred[epoch] |= (uint64_t)(entries->marks[i] >> epoch & 1) << (i - from);
        set_entry_start(bt, leaf, i - from, entries->start[i]);
        set_entry_last(bt, leaf, i - from, entries->last[i]);
    }
    if (bt->common.owners)
        pack_owners(owners_of(leaf), entries->owner + from, to - from);
}

#endif
