/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Counting and searching in a range [from, end) of a row of bits (src/base/bits.h). The row has a word more than it needs,
 * so that the bit behind the last may be asked for.
 */
#ifndef KVA_PORTS_LINUX_BITS_H
#define KVA_PORTS_LINUX_BITS_H

#include "../../src/base/bits.h"

static inline uint64_t bits_count(const uint64_t *bits, uint64_t from, uint64_t end)
{
    uint64_t count = 0;

    for (uint64_t word = from / 64; word * 64 < end; word++)
        count += (uint64_t)__builtin_popcountll(bits[word] & bits_of_word(word, from, end));
    return count;
}

/** How many bits of the range differ from the one before; bit -1 counts as 0. */
static inline uint64_t bits_count_changes(const uint64_t *bits, uint64_t from, uint64_t end)
{
    uint64_t count = 0;

    for (uint64_t word = from / 64; word * 64 < end; word++) {
        uint64_t before = bits[word] << 1 | (word > 0 ? bits[word - 1] >> 63 : 0);
        count += (uint64_t)__builtin_popcountll((bits[word] ^ before) & bits_of_word(word, from, end));
    }
    return count;
}

/** The first set bit in the range; `end` if there is none. */
static inline uint64_t bits_first(const uint64_t *bits, uint64_t from, uint64_t end)
{
    for (uint64_t word = from / 64; word * 64 < end; word++) {
        uint64_t set = bits[word] & bits_of_word(word, from, end);
        if (set != 0)
            return word * 64 + (uint64_t)__builtin_ctzll(set);
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
            return word * 64 + 64 - (uint64_t)__builtin_clzll(those);
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
            return word * 64 + (uint64_t)__builtin_ctzll(others);
    }
    return end;
}

#endif
