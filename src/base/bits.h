/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A row of bits in 64-bit words, and ranges [from, end) of it. A caller that asks for the bit after the last
 * one of a row has a word more than the row needs.
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

/** The lowest bit that is set; there is one. */
static inline uint64_t bits_lowest(const uint64_t *bits)
{
    uint64_t word = 0;

    while (bits[word] == 0)
        word++;
    return word * 64 + lowest_bit(bits[word]);
}

/** The bits of a word that lie in [from, end); the word holds at least one of them. */
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

/** How many bits of a word are set: in each pair, in each four, in each eight, and in all. The compiler's own
 *  function is a call where no instruction counts bits, and a freestanding host need not have it. */
static inline uint64_t count_bits(uint64_t word)
{
    word -= word >> 1 & 0x5555555555555555;
    word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (word * 0x0101010101010101) >> 56;
}

/** How many bits of the range are set. */
static inline uint64_t bits_count(const uint64_t *bits, uint64_t from, uint64_t end)
{
    uint64_t count = 0;

    for (uint64_t word = from / 64; word * 64 < end; word++)
        count += count_bits(bits[word] & bits_of_word(word, from, end));
    return count;
}

/** How many bits of the range differ from the one before; bit -1 counts as 0. */
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

/** The end of the last bit of that value in the range; `from` if there is none. */
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

/** The first bit from `from` on that differs from that one; `end` if all are alike. */
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
