/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A frame set at work: a contender's set, a table of the runs that live in it, and random numbers of its own.
 * Sets with the same seed get the same calls, until one of them refuses what another gives.
 *
 * Work comes in batches, so that what is not the contender's stays outside the timed part:
 *
 *      prepare   draws the runs to be freed, moves them to the end of the table, and copies their numbers
 *                into a dense array
 *      run       the timed part
 *      finish    copies the new numbers back
 *
 * Every status is checked, and what lives must not overlap: the first wrong answer ends the program.
 */
#ifndef KVA_TOOLS_BENCH_FRAMES_SET_H
#define KVA_TOOLS_BENCH_FRAMES_SET_H

#include "../common/rng.h"

#include <kva/frames.h>

/** Blocks are those that a set has by default, as large as a huge page. */
#define FRAMES_BLOCK_ORDER 9u
#define FRAMES_BLOCK (UINT64_C(1) << FRAMES_BLOCK_ORDER)

/** Steps of a batch; even. */
#define FRAMES_BATCH 256u

/** Frames of a call that takes many. */
#define FRAMES_BULK_RUNS 64u

/* --------------------------------------------------------------------------------------------- contenders */

struct frames_set;

/** Somebody who hands out frames: [0, frames), unless `place` says otherwise. */
struct frames_contender {
    const char *name;
    enum kva_status (*create)(uint64_t frames, void **state);
    enum kva_status (*destroy)(void *state); /* every invariant is verified first */
    enum kva_status (*alloc)(void *state, const struct kva_frames_request *request, uint64_t *first);
    enum kva_status (*free)(void *state, uint64_t first);
    enum kva_status (*alloc_many)(void *state, const struct kva_frames_request *request, size_t runs,
                                  uint64_t *firsts);
    enum kva_status (*free_many)(void *state, const uint64_t *firsts, size_t runs);
    size_t (*bytes)(void *state, uint64_t frames); /* of bookkeeping, for so many frames */
    void (*place)(
        struct frames_set *set); /* where requests are to look, and how many frames that is; or NULL */
};

#define FRAMES_KVA "kva"
#define FRAMES_BUDDY "buddy"

/** All of them; the last one is the base of all ratios. */
#define FRAMES_CONTENDERS 2
extern const struct frames_contender frames_contenders[FRAMES_CONTENDERS];

/** Where kva hands them out: in several zones, there within a window, in one zone. Again the last one is
 *  the base. */
#define FRAMES_PLAIN "plain"
#define FRAMES_PLACES 3
extern const struct frames_contender frames_places[FRAMES_PLACES];

/** kva's configuration for one zone, which must live as long as what is returned. */
struct kva_frames_config frames_kva_config(const struct kva_frames_zone *zone);

/* --------------------------------------------------------------------------------------------------- sets */

/** A live run. No set has more than 2^32 frames. */
struct frames_held {
    uint32_t first;
    uint32_t order;
};

/** How a churn has left a set. */
struct frames_shape {
    uint64_t huge_free;     /* blocks in which nothing is in use */
    uint64_t huge_possible; /* as many as all free frames would make */
    uint64_t huge_asked;    /* requests for a block each, */
    uint64_t huge_taken;    /* and how many of them found one */
    uint64_t requests;      /* in the second half of the set-up's churn */
    uint64_t refused;
};

struct frames_set {
    const struct frames_contender *who;
    void *state;
    uint64_t frames;                                            /* that requests can have */
    struct kva_frames_request requests[FRAMES_BLOCK_ORDER + 1]; /* by order */
    struct kva_frames_request request;                          /* of cases with one order */
    uint64_t quota;                                             /* frames to be in use */
    uint64_t used;                                              /* in use */
    struct frames_held *held; /* the live runs, `count` of them; room for `frames` */
    size_t count;
    uint64_t *all; /* room for as many numbers */
    struct rng rng;
    unsigned next_order; /* to be asked for next, in a mixed churn */
    uint64_t asked;
    uint64_t refused;
    struct {
        uint64_t first[FRAMES_BATCH];      /* to be freed, or what was given */
        unsigned char order[FRAMES_BATCH]; /* to be asked for; FRAMES_GIVE: free this one */
    } batch;
};

#define FRAMES_GIVE 0xff

/** An empty set, for requests of an order where a case has one. */
struct frames_set *frames_set_create(const struct frames_contender *who, uint64_t frames, uint64_t seed);
void frames_set_order(struct frames_set *set, unsigned order);

/** Also ends the program if the contender finds itself broken. */
void frames_set_destroy(struct frames_set *set);

/** End the program unless the call has succeeded. */
void frames_must(const struct frames_set *set, enum kva_status status, const char *what);

/** Take single frames until none is left; give all but every `step`-th back. */
void frames_set_fill(struct frames_set *set);
void frames_set_comb(struct frames_set *set, uint64_t step);

/** A set that has been full of single frames (mixed: of runs of all orders up to that of a block, order j
 *  with probability 2^-(j+1)), from which random ones were freed until `percent` were left, and in which
 *  every frame was then replaced. */
void frames_set_churned(struct frames_set *set, unsigned percent);
void frames_set_mixed(struct frames_set *set, unsigned percent);

/** The same without replacing: what is left lies where it was put first, with holes everywhere. */
void frames_set_thinned(struct frames_set *set, unsigned percent, bool mixed);

/** Look at it. */
struct frames_shape frames_set_shape(struct frames_set *set);

/* ------------------------------------------------------------------------------------------------ batches */

/** Choose `steps` of `count` live runs, and move them to the end of the table. At most `count`. */
void frames_choose(struct frames_held *held, size_t count, size_t steps, uint64_t *first, struct rng *rng);

/** Free each of them and take another single frame in its stead. Threads may do so side by side. */
void frames_replace(const struct frames_set *set, size_t steps, uint64_t *first);

/** And enter what was given. */
void frames_enter(struct frames_held *held, size_t count, size_t steps, const uint64_t *first);

/** Steps of a batch out of so many live runs: no more than half of them. */
size_t frames_steps(size_t count, size_t most);

size_t frames_churn_prepare(struct frames_set *set);
uint64_t frames_churn_run(struct frames_set *set, size_t steps);
void frames_churn_finish(struct frames_set *set, size_t steps);

size_t frames_mixed_prepare(struct frames_set *set);
uint64_t frames_mixed_run(struct frames_set *set, size_t steps);
void frames_mixed_finish(struct frames_set *set, size_t steps);

#endif
