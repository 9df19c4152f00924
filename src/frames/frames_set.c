/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Changes of rows. */
#include "frames_set.h"

void kva_move_rows(struct frames_zone *zone, uint32_t block, uint32_t from, uint32_t to)
{
    for (uint32_t more = to & ~from; more != 0; more &= more - 1)
        row_set(&zone->rows, lowest_bit(more), block);
    for (uint32_t fewer = from & ~to; fewer != 0; fewer &= fewer - 1)
        row_clear(&zone->rows, lowest_bit(fewer), block);
}
