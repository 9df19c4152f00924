/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Playing a script on an engine: once to look, and as often as one likes to measure.
 *
 * Whether it looks or measures, every call's status and address are held against the script, and the script
 * was resolved on the default engine. So a replay on any engine proves the law on real traffic: the same
 * calls, the same addresses.
 *
 * LOOKING reads the statistics after every call, and at a few moments goes over all segments and checks every
 * invariant. MEASURING runs nothing but the calls: the clock stands still while spaces begin, are copied and
 * end, and is read only then.
 *
 * FRAGMENTATION at a moment, over all spaces alive then:
 *      share    1 - (largest free range, summed over spaces) / (free bytes, summed)
 *               In a process of 47 bits it says little: heap and mappings cut the space in a few huge pieces.
 *      crumbs   holes between two busy segments that are smaller than all busy bytes of their space: too
 *               small to take once more what the process holds. Their number and bytes are what an allocator
 *               can be blamed for.
 */
#ifndef KVA_TOOLS_REPLAY_PLAYER_H
#define KVA_TOOLS_REPLAY_PLAYER_H

#include "script.h"

/** Room for a complaint. */
#define PLAYER_MESSAGE 256

/** The spaces at a moment. */
struct sample {
    uint64_t calls; /* done by then */
    uint64_t op;    /* of the log: its index */
    uint64_t spaces;
    uint64_t busy_segments;
    uint64_t free_segments;
    uint64_t busy_bytes;
    uint64_t free_bytes;
    uint64_t largest_hole;  /* of any space */
    uint64_t largest_holes; /* summed over spaces */
    uint64_t crumbs;        /* see above */
    uint64_t crumb_bytes;
};

/** What a whole replay showed. Sums are over the spaces alive at one moment. */
struct observed {
    uint64_t peak_segments;      /* busy ones, sum */
    uint64_t peak_segments_one;  /* busy and free ones in one space */
    uint64_t peak_busy_bytes;    /* sum */
    uint64_t least_largest_hole; /* the largest hole of a space, when it was smallest */
    uint64_t peak_memory_bytes;  /* node memory, sum */
    size_t sample_count;
};

enum played {
    PLAYED_OK,
    PLAYED_WRONG,  /* another status or address than the script's, or a broken invariant */
    PLAYED_REFUSED /* no memory */
};

/** The spaces of a script on one engine. */
struct player;

/** Prepare to play a script, which must outlive the player. NULL: no memory. */
struct player *player_create(const struct strace_log *log, const struct script *script,
                             const struct kva_engine *engine);
void player_destroy(struct player *player);

/** Play and look: `count` samples (at least 1), spread evenly over the calls, the last after the last one;
 *  fewer when there are fewer calls. `message` is set unless the answer is PLAYED_OK. */
enum played player_observe(struct player *player, struct sample *samples, size_t count,
                           struct observed *observed, char message[PLAYER_MESSAGE]);

/** Play and measure: the nanoseconds that all calls took together. */
enum played player_measure(struct player *player, uint64_t *ns, char message[PLAYER_MESSAGE]);

/** 1 - largest holes / free bytes, see above; 0 when nothing is free. */
double sample_fragmentation(const struct sample *sample);

#endif
