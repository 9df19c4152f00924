/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Shapes in one hole: alignments of any number of quanta, with a phase, and boundaries that a range must not
 * cross.
 *
 * THE LOWEST START a at or above `low` with a % stride == phase is one division away. If a range must not
 * cross a multiple of N (nocross), the offset of a in its block of N decides:
 *
 *        0              N - size     N
 *        |==================|--------|        a % N in [0, N - size]: fits. Above: crosses N
 *
 * The offsets of the candidates a, a + stride, a + 2 stride ... step by stride modulo N. Trying them one by
 * one may lead through all size - 1 offsets above N - size: 2^30 bytes at a stride of 2^32 - 1 take 10^9
 * steps if N = 2^32. Instead, with b = a % N above N - size, compute
 *
 *        the least k with (b + k stride) % N <= N - size,
 *        that is, l <= k stride % N <= r, for l = N - b and r = l + N - size
 *
 * FIRST HIT. Euclid's algorithm computes the least k with l <= k a % m <= r (0 < l <= r < m, a < m):
 *
 *   1. If a > m / 2, count from the other end: steps of m - a, interval [m - r, m - l]. Now a <= m / 2.
 *   2. If a multiple of a lies in [l, r], the first one is the hit: nothing has wrapped before it.
 *   3. Otherwise [l, r] lies between two multiples of a. A hit k wraps j times: l <= k a - j m <= r, so j m
 *      modulo a lies in [-r, -l] modulo a. That interval does not wrap, because no multiple of a lies in
 *      [l, r]. The least such j gives the least k. To find j is a first hit again, with m % a for a and a
 *      for m; k a is then the first multiple of a that is at least j m + l.
 *
 *   Each level has at most half of the previous m: at most 64 levels, of a few divisions. On the way back,
 *   k a and j m do not fit 64 bits, but k and j do, and the number of wraps of the inner hit is known, so
 *   the dividend is short:
 *
 *        j m = j (m / a) a + j (m % a), and j (m % a) = wraps a + c, c < a
 *        k = j (m / a) + wraps + (l + c) / a, rounded up
 *
 * THE HIGHEST START is the lowest one under the reflection x -> 2^64 - 1 - x. It maps blocks of N to blocks
 * of N, because N divides 2^64, and the range that starts at a to one that starts at 2^64 - size - a. The
 * phase becomes (2^64 - size - phase) % stride.
 *
 * SOURCE. The terms quantum, phase and nocross are those of vmem, and its constrained allocation has such
 * requests (J. Bonwick and J. Adams, "Magazines and Vmem", 2001). The first hit by Euclid's algorithm is
 * folklore of computational number theory. The code was written afresh.
 */
#include "fit.h"

/* ------------------------------------------------------------------------------------------- first hit */

/** The values of a level that the way back needs. */
struct level {
    uint64_t a;
    uint64_t m;
    uint64_t l;
    bool mirrored;
};

/** The least k of a level, and how often k a wraps at m. */
struct hit {
    uint64_t k;
    uint64_t wraps;
};

static uint64_t divide_up(uint64_t value, uint64_t by)
{
    struct division division = divide(value, by);

    return division.quotient + (division.rest != 0);
}

/** -value modulo `by`; value is not a multiple of `by`. */
static uint64_t minus_modulo(uint64_t value, uint64_t by)
{
    return by - divide(value, by).rest;
}

/** The hit of a level, from k and the wraps j after step 1: undo its reflection. */
static struct hit hit_of(const struct level *level, uint64_t k, uint64_t j)
{
    return (struct hit){.k = k, .wraps = level->mirrored ? k - j - 1 : j};
}

/** The hit of a level, from that of the level below it. */
static struct hit come_back(const struct level *level, const struct hit *inner)
{
    struct division division = divide(level->m, level->a);
    uint64_t c = inner->k * division.rest - inner->wraps * level->a;
    uint64_t k = inner->k * division.quotient + inner->wraps + divide_up(level->l + c, level->a);

    return hit_of(level, k, inner->k);
}

/** The least k with l <= k a % m <= r, where 0 < l <= r < m <= 2^63 and a < m; false if there is none. */
static bool first_hit(uint64_t a, uint64_t m, uint64_t l, uint64_t r, uint64_t *k)
{
    struct level levels[64];
    unsigned depth = 0;

    for (;; depth++) {
        if (a == 0)
            return false;
        struct level level = {.a = a, .m = m, .l = l, .mirrored = a > m - a};
        if (level.mirrored) {
            level.a = a = m - a;
            level.l = m - r;
            r = m - l;
            l = level.l;
        }
        levels[depth] = level;
        uint64_t first = divide_up(l, a);
        if (first * a <= r) {
            struct hit hit = hit_of(&level, first, 0);
            while (depth-- > 0)
                hit = come_back(&levels[depth], &hit);
            *k = hit.k;
            return true;
        }
        uint64_t inner_l = minus_modulo(r, a);
        r = minus_modulo(l, a);
        l = inner_l;
        a = divide(m, a).rest;
        m = level.a;
    }
}

/* ----------------------------------------------------------------------------------------------- shapes */

/** The lowest start in [low, high - (size - 1)] with a % stride == phase whose range does not cross. */
static bool lowest_of_shape(uint64_t low, uint64_t high, const struct kva_demand *demand, uint64_t phase,
                            uint64_t *at)
{
    uint64_t stride = demand->stride;
    uint64_t rest = divide(low, stride).rest;
    uint64_t most = high - (demand->size - 1);
    uint64_t a;

    if (!add_checked(low, rest <= phase ? phase - rest : stride - (rest - phase), &a) || a > most)
        return false;
    *at = a;
    if (demand->nocross == 0)
        return true;
    uint64_t place = a & (demand->nocross - 1);
    uint64_t last_place = demand->nocross - demand->size;
    uint64_t k;
    if (place <= last_place)
        return true;
    if (!first_hit(stride & (demand->nocross - 1), demand->nocross, demand->nocross - place,
                   demand->nocross - place + last_place, &k) ||
        k > divide(most - a, stride).quotient)
        return false;
    *at = a + k * stride;
    return true;
}

/** The phase under the reflection: (2^64 - size - phase) % stride. */
static uint64_t mirrored_phase(const struct kva_demand *demand)
{
    uint64_t stride = demand->stride;
    uint64_t size = divide(demand->size, stride).rest;
    uint64_t whole = divide(UINT64_MAX - (stride - 1), stride).rest; /* 2^64 - stride */
    uint64_t rest = whole >= size ? whole - size : whole + (stride - size);

    return rest >= demand->phase ? rest - demand->phase : rest + (stride - demand->phase);
}

bool kva_fit_shape(uint64_t start, uint64_t last, const struct kva_demand *demand, uint64_t *at)
{
    uint64_t low = max_u64(start, demand->min);
    uint64_t high = min_u64(last, demand->max);
    uint64_t mirrored;

    if (low > high || high - low < demand->size - 1)
        return false;
    if (demand->policy != KVA_HIGHEST)
        return lowest_of_shape(low, high, demand, demand->phase, at);
    if (!lowest_of_shape(~high, ~low, demand, mirrored_phase(demand), &mirrored))
        return false;
    *at = ~(mirrored + (demand->size - 1));
    return true;
}
