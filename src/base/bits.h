/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Arrays of bits in 64-bit words, and ranges [from, end) of them. A caller that passes the index one past the
 * last bit to bit_is_set provides one word more than the array needs.
 */
#ifndef KVA_BASE_BITS_H
#define KVA_BASE_BITS_H

#include <stdbool.h>
#include <stdint.h>

#include "arith.h"
#include "memory.h"

static inline bool bit_is_set(const uint64_t *bits, uint64_t at)
{
    return (bits[at / 64] >> (at % 64)) & 1;
}

static inline void bit_set(uint64_t *bits, uint64_t at)
{
    bits[at / 64] |= UINT64_C(1) << at % 64;
}

static inline void bit_clear(uint64_t *bits, uint64_t at)
{
    bits[at / 64] &= ~(UINT64_C(1) << at % 64);
}

/** The lowest set bit. At least one is set. */
static inline uint64_t bits_lowest(const uint64_t *bits)
{
    uint64_t word = 0;

    while (bits[word] == 0)
        word++;
    return word * 64 + lowest_bit(bits[word]);
}

/** The mask of the bits of a word that lie in [from, end). At least one does. */
static inline uint64_t bits_of_word(uint64_t word, uint64_t from, uint64_t end)
{
    uint64_t mask = UINT64_MAX;

    if (from > word * 64)
        mask &= UINT64_MAX << (from - word * 64);
    if (end < word * 64 + 64)
        mask &= ~(UINT64_MAX << (end - word * 64));
    return mask;
}

static inline void bits_set_in_word(uint64_t *bits, uint64_t word, uint64_t from, uint64_t end, bool value)
{
    uint64_t mask = bits_of_word(word, from, end);

    bits[word] = value ? bits[word] | mask : bits[word] & ~mask;
}

static inline void bits_set(uint64_t *bits, uint64_t from, uint64_t end, bool value)
{
    if (from >= end)
        return;
    uint64_t first = from / 64;
    uint64_t last = (end - 1) / 64;
    bits_set_in_word(bits, first, from, end, value);
    if (last == first)
        return;
    memset(&bits[first + 1], value ? 0xff : 0, (size_t)(last - first - 1) * sizeof *bits);
    bits_set_in_word(bits, last, from, end, value);
}

/** The number of set bits of a word, summed in pairs, fours, eights and all. On targets without an
 *  instruction, the compiler's builtin calls a function that a freestanding host may lack. */
static inline uint64_t count_bits(uint64_t word)
{
    word -= word >> 1 & 0x5555555555555555;
    word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (word * 0x0101010101010101) >> 56;
}

/** The number of set bits in the range. */
static inline uint64_t bits_count(const uint64_t *bits, uint64_t from, uint64_t end)
{
    uint64_t count = 0;

    for (uint64_t word = from / 64; word * 64 < end; word++)
        count += count_bits(bits[word] & bits_of_word(word, from, end));
    return count;
}

/** The number of bits in the range that differ from the bit before them; bit -1 counts as 0. */
static inline uint64_t bits_count_changes(const uint64_t *bits, uint64_t from, uint64_t end)
{
    uint64_t count = 0;

    for (uint64_t word = from / 64; word * 64 < end; word++) {
        uint64_t before = bits[word] << 1 | (word > 0 ? bits[word - 1] >> 63 : 0);
        count += count_bits((bits[word] ^ before) & bits_of_word(word, from, end));
    }
    return count;
}

/** The first set bit in the range; `end` if there is none. */
static inline uint64_t bits_first(const uint64_t *bits, uint64_t from, uint64_t end)
{
    for (uint64_t word = from / 64; word * 64 < end; word++) {
        uint64_t set = bits[word] & bits_of_word(word, from, end);
        if (set != 0)
            return word * 64 + lowest_bit(set);
    }
    return end;
}

/** One past the last bit in the range that equals `value`; `from` if there is none. */
static inline uint64_t bits_last_end(const uint64_t *bits, bool value, uint64_t from, uint64_t end)
{
    uint64_t flip = value ? 0 : UINT64_MAX;

    for (uint64_t word = (end + 63) / 64; word-- > from / 64;) {
        uint64_t those = (bits[word] ^ flip) & bits_of_word(word, from, end);
        if (those != 0)
            return word * 64 + highest_bit(those) + 1;
    }
    return from;
}

/** The first bit after `from` that differs from bit `from`; `end` if there is none. */
static inline uint64_t bits_end_of_run(const uint64_t *bits, uint64_t from, uint64_t end)
{
    uint64_t flip = bit_is_set(bits, from) ? UINT64_MAX : 0;

    for (uint64_t word = from / 64; word * 64 < end; word++) {
        uint64_t others = (bits[word] ^ flip) & bits_of_word(word, from, end);
        if (others != 0)
            return word * 64 + lowest_bit(others);
    }
    return end;
}

#endif
