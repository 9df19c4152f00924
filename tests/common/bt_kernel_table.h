/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * One form of the kernels as a table, TABLE, named ENGINE. The file that includes this one has chosen BT_SIMD, and the
 * instruction set that goes with it.
 */
#include "bt_kernels.h"

#include "engine/bt_kernels.h"

static unsigned call_count_at_most(const uint64_t *keys, unsigned count, uint64_t key)
{
    return count_at_most(keys, count, key);
}

static unsigned call_count_at_most_32(const uint32_t *keys, unsigned count, uint32_t key)
{
    return count_at_most_32(keys, count, key);
}

static unsigned call_first_at_least(const uint64_t *values, unsigned from, unsigned count, uint64_t least)
{
    return first_at_least(values, from, count, least);
}

static unsigned call_past_last_at_least(const uint64_t *values, unsigned count, uint64_t least)
{
    return past_last_at_least(values, count, least);
}

static uint64_t call_greatest(const uint64_t *values, unsigned count)
{
    return greatest(values, count);
}

static unsigned call_first_gap(const uint32_t *start, const uint32_t *last, unsigned from, unsigned count,
                               uint32_t least)
{
    return first_gap(start, last, from, count, least);
}

static uint32_t call_greatest_gap(const uint32_t *start, const uint32_t *last, unsigned count)
{
    return greatest_gap(start, last, count);
}

const struct bt_kernels TABLE = {
    .engine = ENGINE,
    .count_at_most = call_count_at_most,
    .count_at_most_32 = call_count_at_most_32,
    .first_at_least = call_first_at_least,
    .past_last_at_least = call_past_last_at_least,
    .greatest = call_greatest,
    .first_gap = call_first_gap,
    .greatest_gap = call_greatest_gap,
};
