/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The inner loops of the bt engine over the arrays of one node: find a child, find a gap, compute a maximum,
 * insert and remove an entry.
 *
 * Scalar C11 is the reference. With another BT_SIMD the loops process a vector per step (bt_vector.h), with
 * the same results.
 *
 * NO TAILS. A loop over a leaf covers all its places, not only the `count` in use: the number of steps is
 * constant, so no branch is mispredicted, and the results for unused places are masked out. A loop over an
 * inner node covers whole vectors or groups of children. Therefore arrays of entries have BT_SLOTS elements,
 * whole vectors, and arrays of children BT_CHILDREN.
 *
 * ONE GRID. The 32-bit arrays of a leaf are loaded and stored in whole vectors at the same offsets, and
 * neighbours are shifted in registers. A load that spans two pending stores cannot be store-forwarded and
 * stalls, and an allocation and a free often follow each other in one leaf.
 */
#ifndef KVA_ENGINE_BT_KERNELS_H
#define KVA_ENGINE_BT_KERNELS_H

#include "bt.h"
#include "bt_vector.h"

/** Bits 0 .. count - 1. */
BT_HOT uint64_t low_bits(unsigned count)
{
    return count < 64 ? ((uint64_t)1 << count) - 1 : UINT64_MAX;
}

/** The first set bit in [from, count); `count` if there is none. */
BT_HOT unsigned first_bit_from(uint64_t bits, unsigned from, unsigned count)
{
    bits &= low_bits(count) & ~low_bits(from);
    return bits ? lowest_bit(bits) : count;
}

/** The first set bit below `count`; `count` if there is none. count < 64. */
BT_HOT unsigned first_bit_or(uint64_t bits, unsigned count)
{
    return lowest_bit(bits | (uint64_t)1 << count);
}

/** Bits 0 .. count - 1 without bit `except`, if that is below 64. */
BT_HOT uint64_t low_bits_but(unsigned count, unsigned except)
{
    return low_bits(count) & ~(except < 64 ? (uint64_t)1 << except : 0);
}

/** One more than the last set bit below `count`; 0 if there is none. */
BT_HOT unsigned past_last_bit(uint64_t bits, unsigned count)
{
    bits &= low_bits(count);
    return bits ? highest_bit(bits) + 1 : 0;
}

/* ---------------------------------------------------------------------------------------------- aligned runs
 *
 * Gap i lies between entry i - 1 and entry i: the quanta last[i - 1] + 1 .. start[i] - 1. The first aligned
 * quantum in it is `pad` quanta after its start:
 *
 *      | entry i - 1 |<- pad ->|<------ run ------->| entry i |
 *                    ^         ^ next multiple of the alignment
 *
 * Alignment is that of the ADDRESS, so the leaf's base is added first. The sums may wrap at 2^32, but the
 * bits that `mask` selects are right, because an alignment is a power of two of at most 2^32 quanta. */

/** The gaps to search for, or to maximise over; in quanta. */
struct bt_fit {
    uint32_t mask; /* the alignment, less 1 */
    uint32_t base; /* the leaf's base, modulo 2^32 */
    uint32_t size; /* of the run; size + mask < 2^32 */
};

/** The pad of a gap after the quantum `last`. */
BT_HOT uint32_t pad_after(uint32_t last, const struct bt_fit *fit)
{
    return (0 - (last + 1 + fit->base)) & fit->mask;
}

/** The run of gap i; 0 if there is none. */
BT_HOT uint32_t run_of_gap(const uint32_t *start, const uint32_t *last, unsigned i, const struct bt_fit *fit)
{
    uint32_t gap = start[i] - last[i - 1] - 1;
    uint32_t pad = pad_after(last[i - 1], fit);

    return gap > pad ? gap - pad : 0;
}

#if BT_SIMD != BT_SCALAR

/* ------------------------------------------------------------------------------------------- with vectors */

enum {
    BT_STEPS = BT_SLOTS / V32_LANES,
    BT_GROUP = 32, /* children compared between two tests of the count */
};
_Static_assert(BT_SLOTS % V32_LANES == 0, "the arrays of a leaf are whole vectors");
_Static_assert(BT_CHILDREN % BT_GROUP == 0, "an inner node is whole groups");

/** The number of a leaf's ascending starts that are at most `key`. */
BT_HOT unsigned entries_at_most(const uint32_t *start, unsigned count, uint32_t key)
{
    v32 bound = v32_all(key);
    uint64_t above = 0;

    for (unsigned at = 0; at < BT_SLOTS; at += V32_LANES)
        above |= v32_above(v32_load(start + at), bound) << at;
    return first_bit_or(above, count);
}

BT_HOT uint64_t group_above(const uint64_t *values, unsigned at, v64 bound)
{
    uint64_t above = 0;

    for (unsigned i = 0; i < BT_GROUP; i += V64_LANES)
        above |= v64_above(v64_load(values + at + i), bound) << i;
    return above << at;
}

BT_HOT uint64_t group_below(const uint64_t *values, unsigned at, v64 bound)
{
    uint64_t below = 0;

    for (unsigned i = 0; i < BT_GROUP; i += V64_LANES)
        below |= v64_above(bound, v64_load(values + at + i)) << i;
    return below << at;
}

/** The number of a node's ascending keys that are at most `key`. */
BT_HOT unsigned children_at_most(const uint64_t *keys, unsigned count, uint64_t key)
{
    v64 bound = v64_all(key);
    uint64_t above = 0;

    for (unsigned at = 0; at < count; at += BT_GROUP)
        above |= group_above(keys, at, bound);
    return first_bit_from(above, 0, count);
}

BT_HOT uint64_t at_least_bits(const uint64_t *values, unsigned count, uint64_t least)
{
    v64 bound = v64_all(least);
    uint64_t below = 0;

    for (unsigned at = 0; at < count; at += BT_GROUP)
        below |= group_below(values, at, bound);
    return ~below;
}

/** The first child in [from, count) whose value is at least `least`; count if there is none. */
BT_HOT unsigned first_at_least(const uint64_t *values, unsigned from, unsigned count, uint64_t least)
{
    return first_bit_from(at_least_bits(values, count, least), from, count);
}

/** One more than the last child below `count` whose value is at least `least`; 0 if there is none. */
BT_HOT unsigned past_last_at_least(const uint64_t *values, unsigned count, uint64_t least)
{
    return past_last_bit(at_least_bits(values, count, least), count);
}

/** The greatest of `count` values without that of child `except`; 0 if there is none. */
BT_HOT uint64_t greatest(const uint64_t *values, unsigned count, unsigned except)
{
    uint64_t chosen = low_bits_but(count, except);
    v64 best = v64_all(0);

    for (unsigned at = 0; at < count; at += V64_LANES)
        best = v64_max(best, v64_where(v64_load(values + at), chosen >> at));
    return v64_greatest(best);
}

/** The sizes of the gaps [at, at + V32_LANES), plus one quantum each, and their pads. The lane of gap 0 is
 *  meaningless. *before holds the last quanta of the previous vector, and then of this one. */
BT_HOT v32 gaps_at(const uint32_t *start, const uint32_t *last, unsigned at, const struct bt_fit *fit,
                   v32 *before, v32 *pads)
{
    v32 here = v32_load(last + at);
    v32 shifted = v32_up(*before, here);

    *before = here;
    *pads = v32_and(v32_minus(v32_all(0 - (fit->base + 1)), shifted), v32_all(fit->mask));
    return v32_minus(v32_load(start + at), shifted);
}

/** Bit i: gap i fits, for 1 <= i < the number of entries. Bit 0 is 0; higher bits are meaningless. */
BT_HOT uint64_t gaps_that_fit(const uint32_t *start, const uint32_t *last, const struct bt_fit *fit)
{
    v32 size = v32_all(fit->size);
    v32 before = v32_all(0);
    uint64_t fits = 0;

    for (unsigned at = 0; at < BT_SLOTS; at += V32_LANES) {
        v32 pads;
        v32 gaps = gaps_at(start, last, at, fit, &before, &pads);
        fits |= v32_above(gaps, v32_plus(pads, size)) << at;
    }
    return fits & ~(uint64_t)1;
}

/** The first gap in [from, count), from >= 1, that fits; count if there is none. */
BT_HOT unsigned first_gap(const uint32_t *start, const uint32_t *last, unsigned from, unsigned count,
                          const struct bt_fit *fit)
{
    return first_bit_or(gaps_that_fit(start, last, fit) & ~low_bits(from), count);
}

/** The last gap in [1, before) that fits; 0 if there is none. */
BT_HOT unsigned last_gap(const uint32_t *start, const uint32_t *last, unsigned before,
                         const struct bt_fit *fit)
{
    uint64_t fits = gaps_that_fit(start, last, fit) & low_bits(before);
    return fits ? highest_bit(fits) : 0;
}

/** The longest run of the gaps in [1, count) without gap `except`. */
BT_HOT uint32_t greatest_run(const uint32_t *start, const uint32_t *last, unsigned count, unsigned except,
                             const struct bt_fit *fit)
{
    uint64_t chosen = low_bits_but(count, except) & ~(uint64_t)1;
    v32 before = v32_all(0);
    v32 best = before;

    for (unsigned at = 0; at < BT_SLOTS; at += V32_LANES) {
        v32 pads;
        v32 gaps = v32_minus(gaps_at(start, last, at, fit, &before, &pads), v32_all(1));
        v32 runs = v32_minus(v32_max(gaps, pads), pads);
        best = v32_max(best, v32_where(runs, chosen >> at));
    }
    return v32_greatest(best);
}

/** The size of the largest gap in [1, count) without gap `except`. */
BT_HOT uint32_t greatest_gap(const uint32_t *start, const uint32_t *last, unsigned count, unsigned except)
{
    uint64_t chosen = low_bits_but(count, except) & ~(uint64_t)1;
    v32 before = v32_all(0);
    v32 best = before; /* sizes plus one quantum; 0: none */

    for (unsigned at = 0; at < BT_SLOTS; at += V32_LANES) {
        v32 here = v32_load(last + at);
        v32 gaps = v32_minus(v32_load(start + at), v32_up(before, here));
        before = here;
        best = v32_max(best, v32_where(gaps, chosen >> at));
    }
    uint32_t most = v32_greatest(best);
    return most - (most > 0);
}

/** Insert `value` at index i of a leaf's array that is not full. */
BT_HOT void open_entry(uint32_t *array, unsigned i, uint32_t value)
{
    v32 before = v32_all(0);

    for (unsigned at = 0; at < BT_SLOTS; at += V32_LANES) {
        v32 here = v32_load(array + at);
        v32 moved = v32_from(v32_from(here, v32_all(value), at, i), v32_up(before, here), at, i + 1);
        before = here;
        v32_store(array + at, moved);
    }
}

/** Remove index i of a leaf's array. */
BT_HOT void close_entry(uint32_t *array, unsigned i)
{
    v32 here = v32_load(array);

    for (unsigned at = 0; at < BT_SLOTS; at += V32_LANES) {
        v32 after = at + V32_LANES < BT_SLOTS ? v32_load(array + at + V32_LANES) : here;
        v32_store(array + at, v32_from(here, v32_down(here, after), at, i));
        here = after;
    }
}

/** The same for the slots of a leaf's owners, which have a readable byte on either side. Insertion steps
 *  from the end and removal from the beginning, so that no step reads what another has written. */
BT_HOT void open_slot(uint8_t *slot, unsigned i, uint8_t value)
{
    for (unsigned at = BT_SLOTS; at > 0;) {
        at -= V8_LANES;
        v8 here = v8_from(v8_load(slot + at), v8_all(value), at, i);
        v8_store(slot + at, v8_from(here, v8_load(slot + at - 1), at, i + 1));
    }
}

BT_HOT void close_slot(uint8_t *slot, unsigned i)
{
    for (unsigned at = 0; at < BT_SLOTS; at += V8_LANES)
        v8_store(slot + at, v8_from(v8_load(slot + at), v8_load(slot + at + 1), at, i));
}

#else

/* --------------------------------------------------------------------------------------------- plain C */

BT_HOT unsigned entries_at_most(const uint32_t *start, unsigned count, uint32_t key)
{
    unsigned found = 0;

    while (count > 1) {
        unsigned half = count / 2;
        found += start[found + half - 1] <= key ? half : 0;
        count -= half;
    }
    return found + (count == 1 && start[found] <= key);
}

BT_HOT unsigned children_at_most(const uint64_t *keys, unsigned count, uint64_t key)
{
    unsigned found = 0;

    while (count > 1) {
        unsigned half = count / 2;
        found += keys[found + half - 1] <= key ? half : 0;
        count -= half;
    }
    return found + (count == 1 && keys[found] <= key);
}

BT_HOT unsigned first_at_least(const uint64_t *values, unsigned from, unsigned count, uint64_t least)
{
    while (from < count && values[from] < least)
        from++;
    return from;
}

BT_HOT unsigned past_last_at_least(const uint64_t *values, unsigned count, uint64_t least)
{
    while (count > 0 && values[count - 1] < least)
        count--;
    return count;
}

BT_HOT uint64_t greatest(const uint64_t *values, unsigned count, unsigned except)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < count; i++)
        most = i == except ? most : max_u64(most, values[i]);
    return most;
}

BT_HOT unsigned first_gap(const uint32_t *start, const uint32_t *last, unsigned from, unsigned count,
                          const struct bt_fit *fit)
{
    while (from < count && run_of_gap(start, last, from, fit) < fit->size)
        from++;
    return from;
}

BT_HOT unsigned last_gap(const uint32_t *start, const uint32_t *last, unsigned before,
                         const struct bt_fit *fit)
{
    while (before > 1 && run_of_gap(start, last, before - 1, fit) < fit->size)
        before--;
    return before - (before > 0);
}

BT_HOT uint32_t greatest_run(const uint32_t *start, const uint32_t *last, unsigned count, unsigned except,
                             const struct bt_fit *fit)
{
    uint32_t most = 0;

    for (unsigned i = 1; i < count; i++) {
        uint32_t run = i == except ? 0 : run_of_gap(start, last, i, fit);
        most = run > most ? run : most;
    }
    return most;
}

BT_HOT uint32_t greatest_gap(const uint32_t *start, const uint32_t *last, unsigned count, unsigned except)
{
    uint32_t most = 0;

    for (unsigned i = 1; i < count; i++) {
        uint32_t gap = i == except ? 0 : start[i] - last[i - 1] - 1;
        most = gap > most ? gap : most;
    }
    return most;
}

BT_HOT void open_entry(uint32_t *array, unsigned i, uint32_t value)
{
    memmove(array + i + 1, array + i, (BT_SLOTS - 1 - i) * sizeof *array);
    array[i] = value;
}

BT_HOT void close_entry(uint32_t *array, unsigned i)
{
    memmove(array + i, array + i + 1, (BT_SLOTS - 1 - i) * sizeof *array);
}

BT_HOT void open_slot(uint8_t *slot, unsigned i, uint8_t value)
{
    memmove(slot + i + 1, slot + i, BT_SLOTS - 1 - i);
    slot[i] = value;
}

BT_HOT void close_slot(uint8_t *slot, unsigned i)
{
    memmove(slot + i, slot + i + 1, BT_SLOTS - 1 - i);
}

#endif

#endif
