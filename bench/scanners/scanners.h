/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Compaction by two scanners that meet: the order in which Linux visits blocks. A peer to measure kva's
 * compaction by counts against, over the same isolation step (src/frames/frames_isolate.h). See scanners.c
 * for the design.
 */
#ifndef KVA_BENCH_SCANNERS_H
#define KVA_BENCH_SCANNERS_H

#include <kva/frames.h>

struct frames_zone;

/** Both scanners of a zone: their state between slices. */
struct scanners {
    struct kva_frames *frames;
    struct frames_zone *zone;
    uint64_t migrate; /* the next frame of the migrate scanner; in the zone */
    uint64_t free;    /* the last frame of the free scanner's block that lies in the zone */
    bool have_met;    /* the next slice starts at both ends of the zone */
    bool has_gained;  /* a run of the block at `migrate` has been moved */
};

/** Put the scanners at the ends of a zone, given by its index in kva_frames_config.zones. The set must
 *  outlive them. KVA_EINVAL: no such zone. */
enum kva_status scanners_init(struct scanners *scanners, struct kva_frames *frames, size_t zone);

/** Compact until the scanners meet or about `most` frames have been moved. `done` as for kva_frames_compact;
 *  is_finished: they have met. KVA_ENOENT, KVA_EREENTRY as kva_frames_compact.
 *  Any thread may call, one at a time for the same scanners. Cost: O(blocks) for each batch of moves, and the
 *  moves. */
enum kva_status scanners_compact(struct scanners *scanners, uint64_t most, struct kva_frames_compacted *done);

#endif
