/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** A row of bits in 64-bit words, and ranges [from, end) of it. */
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

#endif
