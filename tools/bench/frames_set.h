/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A frame set under measurement: a contender's set, a table of its live runs, and its own random numbers.
 * Sets with the same seed get the same calls, until one of them refuses a request that another serves.
 *
 * Operations are done in batches, so that only the contender's work is in the timed part:
 *
 *      prepare   draws the runs to free, moves them to the end of the table, and copies their numbers into a
 *                dense array
 *      run       the timed part
 *      finish    copies the new numbers back
 *
 * Every status is checked, and live runs must not overlap: the first wrong result ends the program.
 */
#ifndef KVA_TOOLS_BENCH_FRAMES_SET_H
#define KVA_TOOLS_BENCH_FRAMES_SET_H

#include "../common/rng.h"

#include <kva/frames.h>

/** Blocks as a set has by default, of the size of a huge page. */
#define FRAMES_BLOCK_ORDER 9u
#define FRAMES_BLOCK (UINT64_C(1) << FRAMES_BLOCK_ORDER)

/** Steps of a batch. Even. */
#define FRAMES_BATCH 256u

/** Runs of a call for many runs. */
#define FRAMES_BULK_RUNS 64u

/* --------------------------------------------------------------------------------------------- contenders */

struct frames_set;

/** An allocator of the frames [0, frames), unless `place` changes that. */
struct frames_contender {
    const char *name;
    enum kva_status (*create)(uint64_t frames, void **state);
    enum kva_status (*destroy)(void *state); /* every invariant is verified first */
    enum kva_status (*alloc)(void *state, const struct kva_frames_request *request, uint64_t *first);
    enum kva_status (*free)(void *state, uint64_t first);
    enum kva_status (*alloc_many)(void *state, const struct kva_frames_request *request, size_t runs,
                                  uint64_t *firsts);
    enum kva_status (*free_many)(void *state, const uint64_t *firsts, size_t runs);
    size_t (*bytes)(void *state, uint64_t frames); /* of bookkeeping for `frames` frames */
    /** Set the node and window of requests, and the number of frames within them; or NULL. */
    void (*place)(struct frames_set *set);
};

#define FRAMES_KVA "kva"
#define FRAMES_BUDDY "buddy"

/** All contenders; the last one is the base of all ratios. */
#define FRAMES_CONTENDERS 2
extern const struct frames_contender frames_contenders[FRAMES_CONTENDERS];

/** Places: kva in several zones, in the same zones within a window, and in one zone. The last one is the
 *  base. */
#define FRAMES_PLAIN "plain"
#define FRAMES_PLACES 3
extern const struct frames_contender frames_places[FRAMES_PLACES];

/** kva's configuration for one zone, which must outlive the result. */
struct kva_frames_config frames_kva_config(const struct kva_frames_zone *zone);

/* --------------------------------------------------------------------------------------------------- sets */

/** A live run. No set has more than 2^32 frames. */
struct frames_held {
    uint32_t first;
    uint32_t order;
};

/** The state of a set after a churn. */
struct frames_shape {
    uint64_t huge_free;     /* wholly free blocks */
    uint64_t huge_possible; /* blocks that all free frames would make */
    uint64_t huge_asked;    /* requests for a block */
    uint64_t huge_taken;    /* of these, requests that succeeded */
    uint64_t requests;      /* in the second half of the set-up's churn */
    uint64_t refused;       /* of these, requests that failed */
};

struct frames_set {
    const struct frames_contender *contender;
    void *state;
    uint64_t frames;                                            /* available to requests */
    struct kva_frames_request requests[FRAMES_BLOCK_ORDER + 1]; /* by order */
    struct kva_frames_request request;                          /* of cases with one order */
    uint64_t quota;                                             /* frames that should be in use */
    uint64_t used;                                              /* in use */
    struct frames_held *held; /* the live runs, `count` of them; room for `frames` */
    size_t count;
    uint64_t *all; /* room for `frames` numbers */
    struct rng rng;
    unsigned next_order; /* of the next request in a mixed churn */
    uint64_t asked;
    uint64_t refused;
    struct {
        uint64_t first[FRAMES_BATCH];      /* the run to free, or the run that was allocated */
        unsigned char order[FRAMES_BATCH]; /* to allocate; FRAMES_GIVE: free this run */
    } batch;
};

#define FRAMES_GIVE 0xff

/** Create an empty set; set the order of its requests in cases with one order. */
struct frames_set *frames_set_create(const struct frames_contender *contender, uint64_t frames,
                                     uint64_t seed);
void frames_set_order(struct frames_set *set, unsigned order);

/** Destroy a set. Ends the program if the contender's check fails. */
void frames_set_destroy(struct frames_set *set);

/** End the program unless the call succeeded. */
void frames_must(const struct frames_set *set, enum kva_status status, const char *what);

/** Allocate single frames until none is left; free all but every `step`-th frame. */
void frames_set_fill(struct frames_set *set);
void frames_set_comb(struct frames_set *set, uint64_t step);

/** Fill a set with single frames (mixed: with runs of all orders up to that of a block, order j with
 *  probability 2^-(j+1)), free random runs until `percent` are left, and replace each run sixteen times. */
void frames_set_churned(struct frames_set *set, unsigned percent);
void frames_set_mixed(struct frames_set *set, unsigned percent);

/** The same without replacing: the runs stay where they were first allocated, with holes everywhere. */
void frames_set_thinned(struct frames_set *set, unsigned percent, bool mixed);

/** Read the state of a set. */
struct frames_shape frames_set_shape(struct frames_set *set);

/* ------------------------------------------------------------------------------------------------ batches */

/** Choose `steps` <= `count` of the live runs, and move them to the end of the table. */
void frames_choose(struct frames_held *held, size_t count, size_t steps, uint64_t *first, struct rng *rng);

/** Free each of them and allocate another single frame. Threads may call this concurrently. */
void frames_replace(const struct frames_set *set, size_t steps, uint64_t *first);

/** Enter the new frames into the table. */
void frames_enter(struct frames_held *held, size_t count, size_t steps, const uint64_t *first);

/** Steps of a batch with `count` live runs: at most half of them, and at most `most`. */
size_t frames_steps(size_t count, size_t most);

size_t frames_churn_prepare(struct frames_set *set);
uint64_t frames_churn_run(struct frames_set *set, size_t steps);
void frames_churn_finish(struct frames_set *set, size_t steps);

size_t frames_mixed_prepare(struct frames_set *set);
uint64_t frames_mixed_run(struct frames_set *set, size_t steps);
void frames_mixed_finish(struct frames_set *set, size_t steps);

#endif
