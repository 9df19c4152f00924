/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Compaction: moves frames from blocks with few in use to blocks with many. */
#ifndef KVA_FRAMES_COMPACT_H
#define KVA_FRAMES_COMPACT_H

#include "frames_isolate.h"

/** A run that has found no room; count 0: none. Until that changes, no run that is at least as long and as
 *  aligned finds room. */
struct frames_failed {
    uint32_t count;
    uint32_t align;
};

/** A search for targets: for each `top`, the run that has failed, and where the last target was found. */
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
    uint32_t level; /* blocks with more used frames than this, */
    uint32_t cut;   /*   and those with exactly as many, from this block on */
    uint32_t above; /* if need be also those with more used frames than this; UINT32_MAX: none */
    uint32_t from;  /* but none of the blocks [from, end) */
    uint32_t end;
    struct frames_round first;  /* among the targets by `level` and `cut` */
    struct frames_round second; /* among those by `above` */
};

/** Become the one thread that moves frames. KVA_EREENTRY from inside the move function, KVA_ENOENT without
 *  one. */
enum kva_status kva_compaction_enter(const struct kva_frames *frames);
void kva_compaction_leave(const struct kva_frames *frames);

/** Find room for the runs of the batch. Returns false if one of them finds none. */
bool kva_find_targets(struct frames_targets *targets);

/** Clear the marks of the blocks [from, end) that compaction skips. */
void kva_forget_hints(const struct kva_frames *frames, const struct frames_zone *zone, uint32_t from,
                      uint32_t end);

/** Whether a request of an order must not compact, because compaction has not helped lately. Counts the
 *  request. */
bool kva_compaction_is_deferred(struct frames_compaction *compaction, unsigned order);

/** Note whether the compaction for a request of an order has helped. */
void kva_compaction_note(struct frames_compaction *compaction, unsigned order, bool helped);

/** Compact for a demand of up to a block that found no room. Returns false if it was not tried. */
bool kva_compact_for(const struct kva_frames *frames, const struct frames_demand *demand);

#endif
