/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * One form of the kernels as a table, TABLE, named ENGINE. The including file has chosen BT_SIMD and the
 * matching instruction set.
 */
#include "bt_kernels.h"

#include "engine/bt_kernels.h"

static unsigned call_children_at_most(const uint64_t *keys, unsigned count, uint64_t key)
{
    return children_at_most(keys, count, key);
}

static unsigned call_entries_at_most(const uint32_t *start, unsigned count, uint32_t key)
{
    return entries_at_most(start, count, key);
}

static unsigned call_first_at_least(const uint64_t *values, unsigned from, unsigned count, uint64_t least)
{
    return first_at_least(values, from, count, least);
}

static unsigned call_past_last_at_least(const uint64_t *values, unsigned count, uint64_t least)
{
    return past_last_at_least(values, count, least);
}

static uint64_t call_greatest(const uint64_t *values, unsigned count, unsigned except)
{
    return greatest(values, count, except);
}

static unsigned call_first_gap(const uint32_t *start, const uint32_t *last, unsigned from, unsigned count,
                               const struct bt_fit *fit)
{
    return first_gap(start, last, from, count, fit);
}

static unsigned call_last_gap(const uint32_t *start, const uint32_t *last, unsigned before,
                              const struct bt_fit *fit)
{
    return last_gap(start, last, before, fit);
}

static uint32_t call_greatest_run(const uint32_t *start, const uint32_t *last, unsigned count,
                                  unsigned except, const struct bt_fit *fit)
{
    return greatest_run(start, last, count, except, fit);
}

static uint32_t call_greatest_gap(const uint32_t *start, const uint32_t *last, unsigned count,
                                  unsigned except)
{
    return greatest_gap(start, last, count, except);
}

static void call_open_entry(uint32_t *array, unsigned i, uint32_t value)
{
    open_entry(array, i, value);
}

static void call_close_entry(uint32_t *array, unsigned i)
{
    close_entry(array, i);
}

static void call_open_slot(uint8_t *slot, unsigned i, uint8_t value)
{
    open_slot(slot, i, value);
}

static void call_close_slot(uint8_t *slot, unsigned i)
{
    close_slot(slot, i);
}

const struct bt_kernels TABLE = {
    .engine = ENGINE,
    .children_at_most = call_children_at_most,
    .entries_at_most = call_entries_at_most,
    .first_at_least = call_first_at_least,
    .past_last_at_least = call_past_last_at_least,
    .greatest = call_greatest,
    .first_gap = call_first_gap,
    .last_gap = call_last_gap,
    .greatest_run = call_greatest_run,
    .greatest_gap = call_greatest_gap,
    .open_entry = call_open_entry,
    .close_entry = call_close_entry,
    .open_slot = call_open_slot,
    .close_slot = call_close_slot,
};
