/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Plays a script on an engine: once to observe, then repeatedly to measure.
 *
 * Both compare the status and address of every call with the script, which was resolved on the default
 * engine. So a replay checks on real traffic that all engines return the same addresses.
 *
 * OBSERVING reads the statistics after every call, and at each sample visits all segments and checks every
 * invariant. MEASURING runs only the calls: the clock is stopped while spaces are created, copied and
 * destroyed.
 *
 * FRAGMENTATION at a moment, over all spaces that exist then:
 *      share    1 - (largest free range, summed over spaces) / (free bytes, summed)
 *               It says little about a process of 47 bits: heap and mappings leave a few huge holes.
 *      crumbs   holes between two busy segments that are smaller than all busy bytes of their space: too
 *               small for a second copy of what the process holds. The allocator is responsible for their
 *               number and bytes.
 */
#ifndef KVA_TOOLS_REPLAY_PLAYER_H
#define KVA_TOOLS_REPLAY_PLAYER_H

#include "script.h"

/** Size of an error message. */
#define PLAYER_MESSAGE 256

/** The state of all spaces after a number of calls. */
struct sample {
    uint64_t calls; /* calls before the sample */
    uint64_t op;    /* the index of the last one's operation in the log */
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

/** Results of a whole replay. Sums are over the spaces that exist at one time. */
struct observed {
    uint64_t peak_segments;      /* busy segments, sum */
    uint64_t peak_segments_one;  /* busy and free segments of one space */
    uint64_t peak_busy_bytes;    /* sum */
    uint64_t least_largest_hole; /* the minimum over time and spaces of the largest hole */
    uint64_t peak_memory_bytes;  /* node memory, sum */
    size_t sample_count;
};

enum played {
    PLAYED_OK,
    PLAYED_WRONG,  /* a status or address differs from the script's, or an invariant is broken */
    PLAYED_REFUSED /* no memory */
};

/** The spaces of a script on one engine. */
struct player;

/** Prepare to play a script, which must outlive the player. NULL: no memory. */
struct player *player_create(const struct strace_log *log, const struct script *script,
                             const struct kva_engine *engine);
void player_destroy(struct player *player);

/** Play and observe: `count` samples (at least 1), spread evenly over the calls, the last after all calls;
 *  fewer if there are fewer calls. `message` is set unless the result is PLAYED_OK. */
enum played player_observe(struct player *player, struct sample *samples, size_t count,
                           struct observed *observed, char message[PLAYER_MESSAGE]);

/** Play and measure: *ns is the total time of all calls. */
enum played player_measure(struct player *player, uint64_t *ns, char message[PLAYER_MESSAGE]);

/** The share of FRAGMENTATION above; 0 if nothing is free. */
double sample_fragmentation(const struct sample *sample);

#endif
