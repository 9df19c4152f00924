/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Compaction: frames of blocks with few in use are moved to blocks with many. */
#ifndef KVA_FRAMES_COMPACT_H
#define KVA_FRAMES_COMPACT_H

#include "frames_isolate.h"

/** A run that has found no room; count 0: none. As long as that is so, none that is as long and as aligned, or more, finds any. */
struct frames_failed {
    uint32_t count;
    uint32_t align;
};

/** How far a search for targets has come: for each `top`, what has failed and where the last target was found. */
struct frames_round {
    struct frames_failed failed[KVA_FRAMES_BLOCK_ORDER];
    uint32_t cursor[KVA_FRAMES_BLOCK_ORDER];
};

static inline void forget_failures(struct frames_round *round)
{
    memset(round->failed, 0, sizeof round->failed);
}

/** Which blocks of a zone runs are moved to. */
struct frames_targets {
    const struct kva_frames *frames;
    struct frames_zone *zone;
    uint32_t level; /* blocks with more used frames than this; */
    uint32_t cut;   /*   of those with just as many, the ones from here on */
    uint32_t above; /* and, if need be, those with more used frames than this; UINT32_MAX: none */
    uint32_t from;  /* none of the blocks [from, end) */
    uint32_t end;
    struct frames_round first; /* through the targets proper */
    struct frames_round second;
};

/** Become the one thread that moves frames; KVA_EREENTRY from inside the function that moves them, KVA_ENOENT without one. */
enum kva_status kva_compaction_enter(const struct kva_frames *frames);
void kva_compaction_leave(const struct kva_frames *frames);

/** Find room for the runs of the batch. False if there is none for one of them. */
bool kva_find_targets(struct frames_targets *targets);

/** Blocks that compaction skips are looked at again. */
void kva_forget_hints(const struct kva_frames *frames, const struct frames_zone *zone, uint32_t from,
                      uint32_t end);

/** Whether compaction for requests of an order has not helped of late; and whether it has helped now. */
bool kva_compaction_is_deferred(struct frames_compaction *compaction, unsigned order);
void kva_compaction_note(struct frames_compaction *compaction, unsigned order, bool helped);

/** Make room for a demand of up to a block that failed. False if that did not help, or is not tried. */
bool kva_compact_for(const struct kva_frames *frames, const struct frames_demand *demand);

#endif
