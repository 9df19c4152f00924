/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Seeded random numbers: the same seed gives the same sequence on every machine and compiler.
 *
 * The generator is xoshiro256**: 256 bits of state, period 2^256 - 1, all output bits good, a few cycles per
 * draw. Its state must not be all zero, and seeds that differ in one bit should give unrelated sequences. So
 * splitmix64, a bijection of a counter, fills the state, as the authors of xoshiro256** advise.
 *
 * Not for secrets.
 *
 * SOURCE. D. Blackman and S. Vigna, "Scrambled linear pseudorandom number generators", 2018; splitmix64: G.
 * Steele, D. Lea and C. Flood, "Fast splittable pseudorandom number generators", 2014.
 */
#ifndef KVA_TOOLS_RNG_H
#define KVA_TOOLS_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state[4];
};

/** The next number of a splitmix64 sequence: *counter advances by the odd constant nearest 2^64 / golden
 *  ratio, and two multiply-and-shift rounds mix it. */
static inline uint64_t rng_splitmix(uint64_t *counter)
{
    *counter += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = *counter;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

/** Begin the sequence of `seed`. Any seed is valid. */
static inline void rng_seed(struct rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++)
        rng->state[i] = rng_splitmix(&seed);
}

/** Begin sequence number `stream` of `seed`: one for each worker. The seed is mixed before the number is
 *  added, and the sum is mixed again, so neighbouring seeds and numbers give unrelated sequences. */
static inline void rng_seed_stream(struct rng *rng, uint64_t seed, uint64_t stream)
{
    uint64_t sum = rng_splitmix(&seed) + stream;
    rng_seed(rng, rng_splitmix(&sum));
}

static inline uint64_t rng_rotl(uint64_t value, unsigned count)
{
    return (value << count) | (value >> (64 - count));
}

/** 64 random bits. */
static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t answer = rng_rotl(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rng_rotl(s[3], 45);
    return answer;
}

/** A number in 0 .. bound - 1, each equally likely; bound is at least 1.
 *
 *  2^64 is not a multiple of most bounds, so `next % bound` alone would favour low numbers. The lowest
 *  2^64 mod bound draws are discarded; the number of those left is a multiple. That remainder is
 *  (2^64 - bound) mod bound, and 2^64 - bound is -bound in 64 bits. Less than half of all draws are
 *  discarded. */
static inline uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    uint64_t surplus = (0 - bound) % bound;
    uint64_t draw;
    do
        draw = rng_next(rng);
    while (draw < surplus);
    return draw % bound;
}

/** A number in low .. high, both included, each equally likely; low <= high. */
static inline uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high)
{
    uint64_t extent = high - low;
    return extent == UINT64_MAX ? rng_next(rng) : low + rng_below(rng, extent + 1);
}

#endif
