/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The vector operations that the kernels of the bt engine use, for each instruction set. v32 is a vector of
 * V32_LANES 32-bit numbers, v64 one of V64_LANES 64-bit numbers, v8 one of V8_LANES bytes. All are unsigned.
 *
 *   vNN_above      bit i: lane i of a is greater than lane i of b
 *   vNN_greatest   the greatest lane
 *   vNN_where      lane i of a if bit i is set, otherwise 0
 *   vNN_from       the lanes of `old` below index `from`, then those of `other`; lane 0 has index `at`
 *   v32_up         for two vectors adjacent in an array: the vector one element before `high`
 *   v32_down       for two vectors adjacent in an array: the vector one element after `low`
 *
 * AVX2 compares only signed numbers. For 32 bits, a > b is max(a, b) != b; for 64 bits, both sides are offset
 * by 2^63.
 */
#ifndef KVA_ENGINE_BT_VECTOR_H
#define KVA_ENGINE_BT_VECTOR_H

#include "bt_simd.h"

#if BT_SIMD == BT_AVX512 || BT_SIMD == BT_AVX2

#include <immintrin.h>

enum { V8_LANES = 16 };
typedef __m128i v8;

BT_HOT v8 v8_load(const uint8_t *from)
{
    return _mm_loadu_si128((const __m128i *)(const void *)from);
}

BT_HOT void v8_store(uint8_t *to, v8 value)
{
    _mm_storeu_si128((__m128i *)(void *)to, value);
}

BT_HOT v8 v8_all(uint8_t value)
{
    return _mm_set1_epi8((char)value);
}

/** Indexes are below 128, so a signed comparison is right. */
BT_HOT v8 v8_from(v8 old, v8 other, unsigned at, unsigned from)
{
    __m128i lanes = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m128i index = _mm_add_epi8(lanes, _mm_set1_epi8((char)at));
    return _mm_blendv_epi8(other, old, _mm_cmpgt_epi8(_mm_set1_epi8((char)from), index));
}

#endif

#if BT_SIMD == BT_AVX512

enum { V32_LANES = 16, V64_LANES = 8 };
typedef __m512i v32;
typedef __m512i v64;

BT_HOT v32 v32_load(const uint32_t *from)
{
    return _mm512_load_si512(from);
}

BT_HOT void v32_store(uint32_t *to, v32 value)
{
    _mm512_store_si512(to, value);
}

BT_HOT v32 v32_all(uint32_t value)
{
    return _mm512_set1_epi32((int)value);
}

BT_HOT v32 v32_minus(v32 a, v32 b)
{
    return _mm512_sub_epi32(a, b);
}

BT_HOT v32 v32_plus(v32 a, v32 b)
{
    return _mm512_add_epi32(a, b);
}

BT_HOT v32 v32_and(v32 a, v32 b)
{
    return _mm512_and_si512(a, b);
}

BT_HOT v32 v32_max(v32 a, v32 b)
{
    return _mm512_max_epu32(a, b);
}

BT_HOT uint64_t v32_above(v32 a, v32 b)
{
    return _mm512_cmpgt_epu32_mask(a, b);
}

BT_HOT uint32_t v32_greatest(v32 a)
{
    return _mm512_reduce_max_epu32(a);
}

BT_HOT v32 v32_from(v32 old, v32 other, unsigned at, unsigned from)
{
    __mmask16 lanes = (__mmask16)(~(uint64_t)0 << from >> at);
    return _mm512_mask_mov_epi32(old, lanes, other);
}

BT_HOT v32 v32_where(v32 a, uint64_t bits)
{
    return _mm512_maskz_mov_epi32((__mmask16)bits, a);
}

BT_HOT v32 v32_up(v32 low, v32 high)
{
    return _mm512_alignr_epi32(high, low, 15);
}

BT_HOT v32 v32_down(v32 low, v32 high)
{
    return _mm512_alignr_epi32(high, low, 1);
}

BT_HOT v64 v64_load(const uint64_t *from)
{
    return _mm512_load_si512(from);
}

BT_HOT v64 v64_all(uint64_t value)
{
    return _mm512_set1_epi64((long long)value);
}

BT_HOT v64 v64_max(v64 a, v64 b)
{
    return _mm512_max_epu64(a, b);
}

BT_HOT uint64_t v64_above(v64 a, v64 b)
{
    return _mm512_cmpgt_epu64_mask(a, b);
}

BT_HOT v64 v64_where(v64 a, uint64_t bits)
{
    return _mm512_maskz_mov_epi64((__mmask8)bits, a);
}

BT_HOT uint64_t v64_greatest(v64 a)
{
    return _mm512_reduce_max_epu64(a);
}

#elif BT_SIMD == BT_AVX2

enum { V32_LANES = 8, V64_LANES = 4 };
typedef __m256i v32;
typedef __m256i v64;

BT_HOT v32 v32_load(const uint32_t *from)
{
    return _mm256_load_si256((const __m256i *)(const void *)from);
}

BT_HOT void v32_store(uint32_t *to, v32 value)
{
    _mm256_store_si256((__m256i *)(void *)to, value);
}

BT_HOT v32 v32_all(uint32_t value)
{
    return _mm256_set1_epi32((int)value);
}

BT_HOT v32 v32_minus(v32 a, v32 b)
{
    return _mm256_sub_epi32(a, b);
}

BT_HOT v32 v32_plus(v32 a, v32 b)
{
    return _mm256_add_epi32(a, b);
}

BT_HOT v32 v32_and(v32 a, v32 b)
{
    return _mm256_and_si256(a, b);
}

BT_HOT v32 v32_max(v32 a, v32 b)
{
    return _mm256_max_epu32(a, b);
}

BT_HOT uint64_t v32_above(v32 a, v32 b)
{
    __m256i not_above = _mm256_cmpeq_epi32(_mm256_max_epu32(a, b), b);
    return ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(not_above)) & 0xff;
}

BT_HOT uint32_t v32_greatest(v32 a)
{
    __m128i half = _mm_max_epu32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(half);
}

BT_HOT v32 v32_from(v32 old, v32 other, unsigned at, unsigned from)
{
    __m256i index = _mm256_add_epi32(_mm256_set1_epi32((int)at), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_blendv_epi8(other, old, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)from), index));
}

BT_HOT v32 v32_where(v32 a, uint64_t bits)
{
    __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    __m256i set = _mm256_and_si256(_mm256_set1_epi32((int)(uint32_t)bits), bit);
    return _mm256_and_si256(a, _mm256_cmpeq_epi32(set, bit));
}

BT_HOT v32 v32_up(v32 low, v32 high)
{
    __m256i middle = _mm256_permute2x128_si256(low, high, 0x21); /* low's upper half, high's lower half */
    return _mm256_alignr_epi8(high, middle, 12);
}

BT_HOT v32 v32_down(v32 low, v32 high)
{
    __m256i middle = _mm256_permute2x128_si256(low, high, 0x21);
    return _mm256_alignr_epi8(middle, low, 4);
}

BT_HOT v64 v64_load(const uint64_t *from)
{
    return _mm256_load_si256((const __m256i *)(const void *)from);
}

BT_HOT v64 v64_all(uint64_t value)
{
    return _mm256_set1_epi64x((long long)value);
}

/** All ones where a > b. */
BT_HOT v64 v64_above_lanes(v64 a, v64 b)
{
    __m256i bias = _mm256_set1_epi64x(INT64_MIN);
    return _mm256_cmpgt_epi64(_mm256_xor_si256(a, bias), _mm256_xor_si256(b, bias));
}

BT_HOT v64 v64_max(v64 a, v64 b)
{
    return _mm256_blendv_epi8(b, a, v64_above_lanes(a, b));
}

BT_HOT uint64_t v64_above(v64 a, v64 b)
{
    return (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(v64_above_lanes(a, b)));
}

BT_HOT v64 v64_where(v64 a, uint64_t bits)
{
    __m256i bit = _mm256_setr_epi64x(1, 2, 4, 8);
    __m256i set = _mm256_and_si256(_mm256_set1_epi64x((long long)bits), bit);
    return _mm256_and_si256(a, _mm256_cmpeq_epi64(set, bit));
}

BT_HOT uint64_t v64_greatest(v64 a)
{
    uint64_t lane[4];

    _mm256_storeu_si256((__m256i *)(void *)lane, a);
    return max_u64(max_u64(lane[0], lane[1]), max_u64(lane[2], lane[3]));
}

#elif BT_SIMD == BT_NEON

#include <arm_neon.h>

enum { V32_LANES = 4, V64_LANES = 2 };
typedef uint32x4_t v32;
typedef uint64x2_t v64;

enum { V8_LANES = 16 };
typedef uint8x16_t v8;

BT_HOT v8 v8_load(const uint8_t *from)
{
    return vld1q_u8(from);
}

BT_HOT void v8_store(uint8_t *to, v8 value)
{
    vst1q_u8(to, value);
}

BT_HOT v8 v8_all(uint8_t value)
{
    return vdupq_n_u8(value);
}

BT_HOT v8 v8_from(v8 old, v8 other, unsigned at, unsigned from)
{
    static const uint8_t lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    uint8x16_t index = vaddq_u8(vdupq_n_u8((uint8_t)at), vld1q_u8(lanes));
    return vbslq_u8(vcgeq_u8(index, vdupq_n_u8((uint8_t)from)), other, old);
}

BT_HOT v32 v32_load(const uint32_t *from)
{
    return vld1q_u32(from);
}

BT_HOT void v32_store(uint32_t *to, v32 value)
{
    vst1q_u32(to, value);
}

BT_HOT v32 v32_all(uint32_t value)
{
    return vdupq_n_u32(value);
}

BT_HOT v32 v32_minus(v32 a, v32 b)
{
    return vsubq_u32(a, b);
}

BT_HOT v32 v32_plus(v32 a, v32 b)
{
    return vaddq_u32(a, b);
}

BT_HOT v32 v32_and(v32 a, v32 b)
{
    return vandq_u32(a, b);
}

BT_HOT v32 v32_max(v32 a, v32 b)
{
    return vmaxq_u32(a, b);
}

BT_HOT uint64_t v32_above(v32 a, v32 b)
{
    static const uint32_t bits[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(vcgtq_u32(a, b), vld1q_u32(bits)));
}

BT_HOT uint32_t v32_greatest(v32 a)
{
    return vmaxvq_u32(a);
}

BT_HOT v32 v32_from(v32 old, v32 other, unsigned at, unsigned from)
{
    static const uint32_t lanes[4] = {0, 1, 2, 3};
    uint32x4_t index = vaddq_u32(vdupq_n_u32(at), vld1q_u32(lanes));
    return vbslq_u32(vcgeq_u32(index, vdupq_n_u32(from)), other, old);
}

BT_HOT v32 v32_where(v32 a, uint64_t bits)
{
    static const uint32_t bit[4] = {1, 2, 4, 8};
    return vandq_u32(a, vtstq_u32(vdupq_n_u32((uint32_t)bits), vld1q_u32(bit)));
}

BT_HOT v32 v32_up(v32 low, v32 high)
{
    return vextq_u32(low, high, 3);
}

BT_HOT v32 v32_down(v32 low, v32 high)
{
    return vextq_u32(low, high, 1);
}

BT_HOT v64 v64_load(const uint64_t *from)
{
    return vld1q_u64(from);
}

BT_HOT v64 v64_all(uint64_t value)
{
    return vdupq_n_u64(value);
}

BT_HOT v64 v64_max(v64 a, v64 b)
{
    return vbslq_u64(vcgtq_u64(a, b), a, b);
}

BT_HOT uint64_t v64_above(v64 a, v64 b)
{
    uint64x2_t above = vcgtq_u64(a, b);
    return (vgetq_lane_u64(above, 0) & 1) | (vgetq_lane_u64(above, 1) & 2);
}

BT_HOT v64 v64_where(v64 a, uint64_t bits)
{
    static const uint64_t bit[2] = {1, 2};
    return vandq_u64(a, vtstq_u64(vdupq_n_u64(bits), vld1q_u64(bit)));
}

BT_HOT uint64_t v64_greatest(v64 a)
{
    return max_u64(vgetq_lane_u64(a, 0), vgetq_lane_u64(a, 1));
}

#endif

#endif
