/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A SUBJECT is one engine under measurement: a space on that engine, its live ranges, and its own sequence of
 * random numbers. Subjects with the same seed, workload and n make the same calls in the same order, for any
 * engine and any sizes of batches.
 *
 * Operations are done in BATCHES, so that only the engine's work is in the timed part:
 *
 *      prepare   draws the random numbers, and copies the addresses that the batch will free from the table
 *                of live ranges, where each read would miss the caches, into a dense array
 *      run       the timed part: reads steps and dense addresses in sequence, calls the engine
 *      finish    copies the new addresses back into the table
 *
 * One victim may be chosen twice in a batch: both steps then share one dense entry, so the choice stays
 * exactly uniform. A batch of 256 steps takes 17 KiB, which leaves the caches to the engine; reading the
 * stopwatch twice per batch adds less than half a nanosecond to each step.
 *
 * Every status is checked. A result that no correct engine returns ends the program with TOOL_WRONG and a
 * message.
 */
#ifndef KVA_TOOLS_BENCH_SUBJECT_H
#define KVA_TOOLS_BENCH_SUBJECT_H

#include "../common/rng.h"

#include <kva/kva.h>

#define PAGE UINT64_C(4096)

/* The default space of a workload: 2^46 bytes, half of what a process can map. */
#define SPACE_LAST ((UINT64_C(1) << 46) - 1)

/* Marks a range that found no fit. No range starts here, because it is not a multiple of the page. */
#define NO_ADDRESS UINT64_MAX

#define BATCH 256u

/* Twice the steps, so that probing for a free bucket stays short. */
#define BATCH_BUCKETS (2 * BATCH)

/** One step of a batch: the request, and the dense entry that it replaces. */
struct step {
    uint64_t size;
    uint64_t align;
    uint64_t min;
    uint64_t max;
    uint64_t place; /* the target or the random bits, depending on the policy */
    uint16_t phase_pages;
    uint16_t nocross_pages;
    uint16_t policy;
    uint16_t slot;
};

struct batch {
    struct step step[BATCH];
    uint64_t address[BATCH]; /* the dense entries: addresses of live ranges */
    uint32_t home[BATCH];    /* where in the table of live ranges each belongs */
    uint32_t entries;
    uint32_t bucket[BATCH_BUCKETS]; /* entry + 1, hashed by home; 0: empty */
};

struct subject;

/** Draw the next request. */
typedef void draw_step(struct subject *subject, struct step *step);

struct subject {
    const char *engine;
    struct kva_space space;
    uint64_t last; /* the space is [0, last] */
    struct rng rng;
    draw_step *draw;         /* the workload's */
    size_t n;                /* the size of the workload: the number of items that workload.counts names */
    uint64_t *live;          /* n addresses of live ranges */
    uint64_t *order;         /* fill-drain: n addresses in the order in which they are freed; else NULL */
    size_t cursor;           /* fill-drain: operations done in this turn; ranges: the next place */
    bool full;               /* fill-drain: all n are allocated */
    bool may_miss;           /* KVA_ENOSPC is permitted in this workload */
    uint64_t expected;       /* the only correct address for a LIFO pair; NO_ADDRESS: any */
    uint64_t requests;       /* allocations requested by subject_replace_run() */
    uint64_t no_fit;         /* of these, requests without a fit */
    size_t batch_count;      /* steps in a batch; adapts to the engine's speed */
    size_t batch_limit;      /* the most steps of a batch */
    size_t group;            /* ranges: how many are cleared by one call */
    size_t stride;           /* ranges: the distance between successive places */
    struct kva_segment hole; /* ranges: the current hole; last 0: none */
    struct batch batch;
};

/** The state of a subject at one moment. */
struct sample {
    uint64_t live;         /* busy ranges */
    uint64_t live_bytes;   /* their bytes */
    uint64_t memory_bytes; /* node memory held by the space */
    uint64_t used_bytes;   /* from the start of the lowest busy range to the end of the highest */
    uint64_t fingerprint;  /* of the table of live ranges: the same for all correct engines */
    uint64_t requests;     /* allocations requested by subject_replace_run() so far */
    uint64_t no_fit;       /* of these, requests without a fit */
};

/** Create a subject with an empty space of a kind (last, align_class, without_owners and best_fit are
 *  read), quantum PAGE, and n table entries, all NO_ADDRESS. */
struct subject *subject_create(const char *engine, const struct kva_config *kind, size_t n, uint64_t seed);

/** Move a subject into a space of another kind, with the same ranges. Destroys the old subject. */
struct subject *subject_moved(struct subject *subject, const struct kva_config *kind);

/** Verify the space's invariants and free everything. */
void subject_destroy(struct subject *subject);

/** Allocate the subject's order table. */
void subject_need_order(struct subject *subject);

void subject_sample(const struct subject *subject, struct sample *sample);

/** End the program: `call` at `address` returned `status`, which no correct engine returns. */
_Noreturn void subject_wrong(const struct subject *subject, const char *call, uint64_t address,
                             enum kva_status status);

/** End the program: the engine returned `got`, but `expected` is the only correct address. */
_Noreturn void subject_misplaced(const struct subject *subject, uint64_t expected, uint64_t got);

/** Allocate. A failure ends the program. */
static inline uint64_t subject_take(struct subject *subject, const struct kva_request *request)
{
    uint64_t address;
    enum kva_status status = kva_alloc(&subject->space, request, &address);
    if (status != KVA_OK)
        subject_wrong(subject, "kva_alloc", request->size, status);
    return address;
}

/** Free. A failure ends the program. */
static inline void subject_give(struct subject *subject, uint64_t address)
{
    enum kva_status status = kva_free(&subject->space, address);
    if (status != KVA_OK)
        subject_wrong(subject, "kva_free", address, status);
}

/** A step that requests `pages` pages anywhere. */
static inline struct step step_of_pages(uint64_t pages)
{
    struct step step = {.size = pages * PAGE, .align = PAGE, .min = 0, .max = UINT64_MAX};
    return step;
}

static inline struct kva_request step_request(const struct step *step)
{
    struct kva_request request = kva_request_of(step->size);
    request.align = step->align;
    request.min = step->min;
    request.max = step->max;
    request.phase = step->phase_pages * PAGE;
    request.nocross = step->nocross_pages * PAGE;
    request.policy = (enum kva_policy)step->policy;
    request.target = step->place;
    request.random = step->place;
    return request;
}

/* ---------------------------------------------------------------- replacing random live ranges, a family
 * Workloads of this family keep n ranges live; a pair frees a random one and allocates another. They differ
 * in `draw`. */

/** Fill the space with n ranges, then replace 2 n: each range has been replaced twice on average, and the
 *  holes are in their steady state. */
void subject_replace_setup(struct subject *subject);

/** Replace 2 n random ranges by requests that `draw` draws. */
void subject_replace_twice(struct subject *subject);

void subject_replace_prepare(struct subject *subject, size_t count);
void subject_replace_run(struct subject *subject, size_t begin, size_t end);
void subject_replace_finish(struct subject *subject, size_t count);

/* ------------------------------------------------------------------------------- LIFO pairs, a family
 * A pair allocates a range and frees it. */

void subject_lifo_prepare(struct subject *subject, size_t count);
void subject_lifo_run(struct subject *subject, size_t begin, size_t end);

#endif
