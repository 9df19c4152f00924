/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Move a block between rows; find the zone of a range. */
#include "frames_set.h"

void kva_move_rows(struct frames_zone *zone, uint32_t block, uint32_t from, uint32_t to)
{
    for (uint32_t more = to & ~from; more != 0; more &= more - 1)
        row_set(&zone->rows, lowest_bit(more), block);
    for (uint32_t fewer = from & ~to; fewer != 0; fewer &= fewer - 1)
        row_clear(&zone->rows, lowest_bit(fewer), block);
}

struct frames_zone *kva_zone_of_range(const struct kva_frames *frames, uint64_t first, uint64_t count,
                                      enum kva_status *status, const char **field)
{
    struct frames_zone *zone = zone_of(frames, first);

    *field = "count";
    *status = KVA_OK;
    if (count == 0)
        *status = KVA_ESIZE;
    else if (count > UINT64_MAX - first)
        *status = KVA_EWRAP;
    else if (zone && count > zone->end - first)
        *status = KVA_ERANGE;
    if (*status != KVA_OK)
        return NULL;
    *field = "first";
    *status = zone ? KVA_OK : KVA_ERANGE;
    return zone;
}
