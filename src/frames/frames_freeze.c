/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** All locks of a set at once, in the order of frames_set.h. The header of a locked block stays in memory. */
#include "frames_freeze.h"

void kva_freeze(const struct kva_frames *frames)
{
    kva_cpus_take(&frames->locks);
    for (size_t z = 0; z < frames->zone_count; z++) {
        for (uint32_t block = 0; block < frames->zones[z].rows.blocks; block++)
            (void)lock_block(frames, &frames->zones[z], block);
    }
}

void kva_thaw(const struct kva_frames *frames)
{
    for (size_t z = 0; z < frames->zone_count; z++) {
        const struct frames_zone *zone = &frames->zones[z];
        for (uint32_t block = 0; block < zone->rows.blocks; block++)
            unlock_block(frames, zone, block, block_header(&zone->headers[block]));
    }
    kva_cpus_drop(&frames->locks);
}

/** Drops the marks as well: the threads that set them do not exist. */
void kva_unfreeze_in_child(struct kva_frames *frames)
{
    for (size_t z = 0; z < frames->zone_count; z++) {
        const struct frames_zone *zone = &frames->zones[z];
        for (uint32_t block = 0; block < zone->rows.blocks; block++)
            atomic_store_explicit(&zone->headers[block].low, (uint32_t)block_header(&zone->headers[block]),
                                  memory_order_relaxed);
    }
    kva_locks_reset(&frames->locks);
}
