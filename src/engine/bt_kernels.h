/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The inner loops of the bt engine, over plain arrays: which child, which gap, which is the greatest.
 *
 * Scalar C11 is the reference. The file that includes this one may ask for another instruction set with
 * BT_SIMD; then the loops below take a vector per step, and give the same results. A vector never reaches
 * beyond the `count` elements: what is left over is done by the scalar loop.
 *
 * "At least" is asked of unsigned numbers, which AVX2 cannot compare: for 32 bits a >= b is max(a, b) == a; for
 * 64 bits both sides are shifted by 2^63 and compared as signed ones.
 */
#ifndef KVA_ENGINE_BT_KERNELS_H
#define KVA_ENGINE_BT_KERNELS_H

#include "bt_simd.h"

#if BT_SIMD == BT_AVX2 || BT_SIMD == BT_AVX512
#include <immintrin.h>
#elif BT_SIMD == BT_NEON
#include <arm_neon.h>
#endif

/** The index of the lowest bit that is set; there is one. In halves: a 32-bit host without a library counts 32. */
static inline unsigned lowest_bit(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;

    return (unsigned)(low ? __builtin_ctz(low) : 32 + __builtin_ctz((uint32_t)(bits >> 32)));
}

/* ------------------------------------------------------------------------------------- where a key is */

#if BT_SIMD == BT_AVX512
/** The mask for the elements [at, at + lanes) of `count`. */
static inline unsigned tail_mask(unsigned count, unsigned at, unsigned lanes)
{
    unsigned rest = count > at ? count - at : 0;
    return rest >= lanes ? (1u << lanes) - 1 : (1u << rest) - 1;
}
#endif

/** How many of `count` ascending keys are at most `key`. The scalar form halves what is left at each step; the
 *  others compare all, which takes as long as that and mispredicts nothing. */
static inline unsigned count_at_most(const uint64_t *keys, unsigned count, uint64_t key)
{
    unsigned found = 0;
#if BT_SIMD == BT_AVX512
    __m512i bound = _mm512_set1_epi64((long long)key);
    for (unsigned i = 0; i < count; i += 8) {
        __mmask8 mask = (__mmask8)tail_mask(count, i, 8);
        __m512i value = _mm512_maskz_loadu_epi64(mask, keys + i);
        found += (unsigned)__builtin_popcount(_mm512_mask_cmple_epu64_mask(mask, value, bound));
    }
#elif BT_SIMD == BT_AVX2
    __m256i bias = _mm256_set1_epi64x(INT64_MIN);
    __m256i bound = _mm256_xor_si256(_mm256_set1_epi64x((long long)key), bias);
    unsigned i = 0;
    for (; i + 4 <= count; i += 4) {
        __m256i value = _mm256_loadu_si256((const __m256i *)(const void *)(keys + i));
        __m256i above = _mm256_cmpgt_epi64(_mm256_xor_si256(value, bias), bound);
        found += 4 - (unsigned)__builtin_popcount((unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(above)));
    }
    for (; i < count; i++)
        found += keys[i] <= key;
#else
    while (count > 1) {
        unsigned half = count / 2;
        found += keys[found + half - 1] <= key ? half : 0;
        count -= half;
    }
    found += count == 1 && keys[found] <= key;
#endif
    return found;
}

static inline unsigned count_at_most_32(const uint32_t *keys, unsigned count, uint32_t key)
{
    unsigned found = 0;
#if BT_SIMD == BT_AVX512
    __m512i bound = _mm512_set1_epi32((int)key);
    for (unsigned i = 0; i < count; i += 16) {
        __mmask16 mask = (__mmask16)tail_mask(count, i, 16);
        __m512i value = _mm512_maskz_loadu_epi32(mask, keys + i);
        found += (unsigned)__builtin_popcount(_mm512_mask_cmple_epu32_mask(mask, value, bound));
    }
#elif BT_SIMD == BT_AVX2
    __m256i bound = _mm256_set1_epi32((int)key);
    unsigned i = 0;
    for (; i + 8 <= count; i += 8) {
        __m256i value = _mm256_loadu_si256((const __m256i *)(const void *)(keys + i));
        __m256i reached = _mm256_cmpeq_epi32(_mm256_max_epu32(value, bound), bound);
        found += (unsigned)__builtin_popcount((unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(reached)));
    }
    for (; i < count; i++)
        found += keys[i] <= key;
#else
    while (count > 1) {
        unsigned half = count / 2;
        found += keys[found + half - 1] <= key ? half : 0;
        count -= half;
    }
    found += count == 1 && keys[found] <= key;
#endif
    return found;
}

/* ------------------------------------------------------------------------------------ first_at_least */

/** One vector step of first_at_least and its kin: bit i is set if values[i] >= least. */
#if BT_SIMD == BT_AVX512
enum { BT_LANES = 8 };
static inline unsigned at_least_mask(const uint64_t *values, uint64_t least)
{
    __m512i value = _mm512_loadu_si512(values);
    return _mm512_cmpge_epu64_mask(value, _mm512_set1_epi64((long long)least));
}
#elif BT_SIMD == BT_AVX2
enum { BT_LANES = 4 };
static inline unsigned at_least_mask(const uint64_t *values, uint64_t least)
{
    __m256i bias = _mm256_set1_epi64x(INT64_MIN);
    __m256i value = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)values), bias);
    __m256i bound = _mm256_xor_si256(_mm256_set1_epi64x((long long)least), bias);
    __m256i below = _mm256_cmpgt_epi64(bound, value);
    return ~(unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(below)) & 0xf;
}
#elif BT_SIMD == BT_NEON
enum { BT_LANES = 2 };
static inline unsigned at_least_mask(const uint64_t *values, uint64_t least)
{
    uint64x2_t reached = vcgeq_u64(vld1q_u64(values), vdupq_n_u64(least));
    return (unsigned)((vgetq_lane_u64(reached, 0) & 1) | (vgetq_lane_u64(reached, 1) & 2));
}
#endif

/** The first index in [from, count) whose value is at least `least`; count when there is none. */
static inline unsigned first_at_least(const uint64_t *values, unsigned from, unsigned count, uint64_t least)
{
#if BT_SIMD != BT_SCALAR
    for (; from + BT_LANES <= count; from += BT_LANES) {
        unsigned mask = at_least_mask(values + from, least);
        if (mask)
            return from + lowest_bit(mask);
    }
#endif
    while (from < count && values[from] < least)
        from++;
    return from;
}

/** One more than the last index below `count` whose value is at least `least`; 0 when there is none. */
static inline unsigned past_last_at_least(const uint64_t *values, unsigned count, uint64_t least)
{
#if BT_SIMD != BT_SCALAR
    for (; count >= BT_LANES; count -= BT_LANES) {
        unsigned mask = at_least_mask(values + count - BT_LANES, least);
        if (mask)
            return count - BT_LANES + 32 - (unsigned)__builtin_clz(mask);
    }
#endif
    while (count > 0 && values[count - 1] < least)
        count--;
    return count;
}

static inline uint64_t greatest(const uint64_t *values, unsigned count)
{
    uint64_t most = 0;
    unsigned i = 0;

#if BT_SIMD == BT_AVX512
    __m512i best = _mm512_setzero_si512();
    for (; i + 8 <= count; i += 8)
        best = _mm512_max_epu64(best, _mm512_loadu_si512(values + i));
    most = _mm512_reduce_max_epu64(best);
#elif BT_SIMD == BT_AVX2
    __m256i bias = _mm256_set1_epi64x(INT64_MIN);
    __m256i best = bias;
    uint64_t lane[4];
    for (; i + 4 <= count; i += 4) {
        __m256i value =
            _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)(values + i)), bias);
        best = _mm256_blendv_epi8(best, value, _mm256_cmpgt_epi64(value, best));
    }
    _mm256_storeu_si256((__m256i *)(void *)lane, _mm256_xor_si256(best, bias));
    most = max_u64(max_u64(lane[0], lane[1]), max_u64(lane[2], lane[3]));
#endif
    for (; i < count; i++)
        most = max_u64(most, values[i]);
    return most;
}

/* --------------------------------------------------------------------------------------- gaps of a leaf */

/** One vector step over gaps: start[i] - last[i - 1], from i on. */
#if BT_SIMD == BT_AVX512
enum { BT_GAPS = 16 };
static inline __m512i gaps_from(const uint32_t *start, const uint32_t *last, unsigned i)
{
    return _mm512_sub_epi32(_mm512_loadu_si512(start + i), _mm512_loadu_si512(last + i - 1));
}
static inline unsigned gaps_above(__m512i gaps, uint32_t least)
{
    return _mm512_cmpgt_epu32_mask(gaps, _mm512_set1_epi32((int)least));
}
#elif BT_SIMD == BT_AVX2
enum { BT_GAPS = 8 };
static inline __m256i gaps_from(const uint32_t *start, const uint32_t *last, unsigned i)
{
    return _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(start + i)),
                            _mm256_loadu_si256((const __m256i *)(const void *)(last + i - 1)));
}
static inline unsigned gaps_above(__m256i gaps, uint32_t least)
{
    __m256i bound = _mm256_set1_epi32((int)least);
    __m256i not_above = _mm256_cmpeq_epi32(_mm256_max_epu32(gaps, bound), bound);
    return ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(not_above)) & 0xff;
}
#elif BT_SIMD == BT_NEON
enum { BT_GAPS = 4 };
static inline uint32x4_t gaps_from(const uint32_t *start, const uint32_t *last, unsigned i)
{
    return vsubq_u32(vld1q_u32(start + i), vld1q_u32(last + i - 1));
}
static inline unsigned gaps_above(uint32x4_t gaps, uint32_t least)
{
    static const uint32_t bits[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(vcgtq_u32(gaps, vdupq_n_u32(least)), vld1q_u32(bits)));
}
#endif

/** The first i in [from, count), from >= 1, with start[i] - last[i - 1] > least; count when there is none. */
static inline unsigned first_gap(const uint32_t *start, const uint32_t *last, unsigned from, unsigned count,
                                 uint32_t least)
{
#if BT_SIMD != BT_SCALAR
    for (; from + BT_GAPS <= count; from += BT_GAPS) {
        unsigned mask = gaps_above(gaps_from(start, last, from), least);
        if (mask)
            return from + lowest_bit(mask);
    }
#endif
    while (from < count && start[from] - last[from - 1] <= least)
        from++;
    return from;
}

/** The greatest start[i] - last[i - 1] for 1 <= i < count; 1 (no gap) when there is none greater. */
static inline uint32_t greatest_gap(const uint32_t *start, const uint32_t *last, unsigned count)
{
    uint32_t most = 1;
    unsigned i = 1;

#if BT_SIMD == BT_AVX512
    __m512i best = _mm512_set1_epi32(1);
    for (; i + BT_GAPS <= count; i += BT_GAPS)
        best = _mm512_max_epu32(best, gaps_from(start, last, i));
    most = _mm512_reduce_max_epu32(best);
#elif BT_SIMD == BT_AVX2
    __m256i best = _mm256_set1_epi32(1);
    for (; i + BT_GAPS <= count; i += BT_GAPS)
        best = _mm256_max_epu32(best, gaps_from(start, last, i));
    __m128i half = _mm_max_epu32(_mm256_castsi256_si128(best), _mm256_extracti128_si256(best, 1));
    half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0xb1));
    most = (uint32_t)_mm_cvtsi128_si32(half);
#elif BT_SIMD == BT_NEON
    uint32x4_t best = vdupq_n_u32(1);
    for (; i + BT_GAPS <= count; i += BT_GAPS)
        best = vmaxq_u32(best, gaps_from(start, last, i));
    most = vmaxvq_u32(best);
#endif
    for (; i < count; i++) {
        uint32_t gap = start[i] - last[i - 1];
        most = gap > most ? gap : most;
    }
    return most;
}

#endif
