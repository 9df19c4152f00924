/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Checked arithmetic on addresses and on sizes of memory.
 *
 * Addresses have 64 bits on every host. A range is [start, last], both included, so the highest address,
 * 2^64 - 1, needs no special case. Its size is last - start + 1; its EXTENT, last - start, never wraps and
 * fits 64 bits even for the range of all addresses.
 */
#ifndef KVA_BASE_ARITH_H
#define KVA_BASE_ARITH_H

#include "assumptions.h"

static inline bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/** Whether `value` is 0 or a power of two. */
static inline bool has_one_bit_at_most(uint64_t value)
{
    return (value & (value - 1)) == 0;
}

/** Whether `value` is a multiple of `align`, a power of two. */
static inline bool is_aligned(uint64_t value, uint64_t align)
{
    return (value & (align - 1)) == 0;
}

/** *sum = a + b. False, and *sum unchanged, if the sum exceeds 2^64 - 1. */
static inline bool add_checked(uint64_t a, uint64_t b, uint64_t *sum)
{
    if (b > UINT64_MAX - a)
        return false;
    *sum = a + b;
    return true;
}

/** *product = a * b. False, and *product unchanged, if the product exceeds SIZE_MAX. */
static inline bool mul_checked(size_t a, size_t b, size_t *product)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *product = a * b;
    return true;
}

/** *bytes = header + count * each. False, and *bytes unchanged, if that exceeds SIZE_MAX. */
static inline bool size_of_array(size_t header, size_t count, size_t each, size_t *bytes)
{
    size_t elements;

    if (!mul_checked(count, each, &elements) || elements > SIZE_MAX - header)
        return false;
    *bytes = header + elements;
    return true;
}

/** *last = the last address of `size` bytes from `start`. False if size is 0 or the range wraps. */
static inline bool last_of_range(uint64_t start, uint64_t size, uint64_t *last)
{
    return size != 0 && add_checked(start, size - 1, last);
}

/* SATURATED: a result that would exceed 2^64 - 1 is 2^64 - 1. */

static inline uint64_t add_saturated(uint64_t a, uint64_t b)
{
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

static inline uint64_t shift_saturated(uint64_t value, unsigned shift)
{
    return value <= UINT64_MAX >> shift ? value << shift : UINT64_MAX;
}

/** The bytes of some ranges, from their sum modulo 2^64. `any`: there is at least one range, so a sum of 0
 *  stands for all 2^64 addresses. */
static inline uint64_t bytes_saturated(uint64_t sum, bool any)
{
    return sum == 0 && any ? UINT64_MAX : sum;
}

/** The bytes of [start, last]. */
static inline uint64_t size_saturated(uint64_t start, uint64_t last)
{
    return add_saturated(last - start, 1);
}

/** The largest multiple of `align`, a power of two, that is at most `value`. */
static inline uint64_t align_down(uint64_t value, uint64_t align)
{
    return value & ~(align - 1);
}

/** *up = the smallest multiple of `align`, a power of two, that is at least `value`. False if it wraps. */
static inline bool align_up(uint64_t value, uint64_t align, uint64_t *up)
{
    uint64_t bumped;
    if (!add_checked(value, align - 1, &bumped))
        return false;
    *up = align_down(bumped, align);
    return true;
}

/* The index of the lowest, or of the highest, set bit of a value that is not 0. On targets without an
 * instruction for 64 bits, the compiler's builtin may call a library that a freestanding host lacks:
 * there, the halves are examined. */
#if defined(__x86_64__) || defined(__aarch64__)

static inline unsigned lowest_bit(uint64_t bits)
{
    return (unsigned)__builtin_ctzll(bits);
}

static inline unsigned highest_bit(uint64_t bits)
{
    return (unsigned)(63 - __builtin_clzll(bits));
}

#else

static inline unsigned lowest_bit(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;

    return (unsigned)(low ? __builtin_ctz(low) : 32 + __builtin_ctz((uint32_t)(bits >> 32)));
}

static inline unsigned highest_bit(uint64_t bits)
{
    uint32_t high = (uint32_t)(bits >> 32);

    return (unsigned)(high ? 63 - __builtin_clz(high) : 31 - __builtin_clz((uint32_t)bits));
}

#endif

struct division {
    uint64_t quotient;
    uint64_t rest; /* below the divisor */
};

/** Divide by a number that is not 0. 32-bit hosts without a library have no 64-bit division: there, 64
 *  steps of shift and subtract. */
static inline struct division divide(uint64_t value, uint64_t by)
{
#if UINTPTR_MAX > UINT32_MAX
    return (struct division){value / by, value % by};
#else
    struct division division = {0, 0};

    for (unsigned bit = 64; bit-- > 0;) {
        bool carry = division.rest >> 63; /* if set, the shifted rest exceeds any divisor */
        division.rest = division.rest << 1 | (value >> bit & 1);
        bool fits = carry || division.rest >= by;
        division.rest -= fits ? by : 0;
        division.quotient = division.quotient << 1 | fits;
    }
    return division;
#endif
}

/** Whether `value` is a multiple of `of`, which is not 0. */
static inline bool is_multiple(uint64_t value, uint64_t of)
{
    return is_power_of_two(of) ? is_aligned(value, of) : divide(value, of).rest == 0;
}

/** The first multiple of a cache line that is at least `value`, a size or an address of the host's memory.
 *  The caller ensures that it does not wrap. */
static inline size_t round_to_line(size_t value)
{
    return (value + (KVA_LINE - 1)) & ~(size_t)(KVA_LINE - 1);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
