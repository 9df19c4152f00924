/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The model of a frame set: an array with an entry for each frame of all zones. It has no blocks, no bitmaps
 * and no stored counts; it finds a place by a check of every frame. It is written from the documentation of
 * kva/frames.h only.
 *
 * Each frames_model_... call makes the call of the same name on the set as well, and fails the test unless
 *   - the status is one that the documentation allows. Where several of its rows apply, any of them is right:
 *     the header promises no order;
 *   - the allocated frames were free, lie in one zone, in the window and on the node, and are aligned, and no
 *     nearer zone had a block for them;
 *   - "no space" was returned only where no place exists;
 *   - outputs were written on KVA_OK only, except the obstacle;
 *   - the misuse hook was called once for misuse, with status and function, and otherwise not.
 * Then it applies the change to the array.
 */
#ifndef KVA_TESTS_COMMON_FRAMES_MODEL_H
#define KVA_TESTS_COMMON_FRAMES_MODEL_H

#include "../../ports/test/failing_memory.h"
#include "harness.h"

#include <kva/frames.h>

enum { FRAMES_MODEL_FRAMES = 1 << 17, FRAMES_MODEL_ZONES = 64 };

enum frames_model_state {
    FRAME_FREE,
    FRAME_START,  /* the first frame of a run */
    FRAME_INSIDE, /* another frame of a run */
    FRAME_ABSENT  /* in a hole */
};

/** The state of a block since it was last empty. */
enum frames_model_side {
    SIDE_MOVABLE,   /* it had only movable runs */
    SIDE_UNMOVABLE, /* it had an unmovable run */
    SIDE_UNKNOWN    /* a refused call for several unmovable runs may have used it */
};

/** The state of a frame. */
struct frames_model_entry {
    unsigned char state; /* enum frames_model_state */
    unsigned char side;  /* enum frames_model_side; in the first frame of a block in its zone */
};

struct frames_model_zone {
    uint64_t start;
    uint64_t end;
    unsigned node;
    size_t at; /* the entry of its first frame */
};

/** The current call, for messages. */
struct frames_model_call {
    const char *name;
    struct kva_frames_request request;
    uint64_t first;
    uint64_t count;
};

struct frames_model {
    struct kva_frames *frames; /* the set */
    const char *name;          /* of the configuration, for messages */
    struct kva_failing_memory memory;
    struct frames_model_zone zones[FRAMES_MODEL_ZONES];
    size_t zone_count;
    size_t entry_count;
    unsigned block_order;
    const unsigned char *distances;
    unsigned node_count;
    uint64_t elsewhere; /* as in struct kva_frames_stats, like the next two */
    uint64_t changed;
    uint64_t strayed;
    uint64_t moved_runs; /* moved by compaction, and their frames */
    uint64_t moved_frames;
    uint64_t refused_moves;
    bool moves;                     /* runs can be moved; one in eight is pinned and one busy ... */
    bool willing;                   /* ... unless this is set */
    bool lost_some;                 /* by a refused call for several runs, which the set may have counted */
    struct kva_frames_stats before; /* as last read, for counters that only grow */
    uint64_t calls;
    struct frames_model_call call;
    unsigned misuses; /* calls of the hook since the last call began */
    struct kva_fault fault;
    struct frames_model_entry entries[FRAMES_MODEL_FRAMES];
};

/** Create the set. The configuration's memory, hooks and move function, if any, are replaced; no other is
 * needed. */
void frames_model_create(struct frames_model *model, const struct kva_frames_config *config,
                         const char *name);

/** End it. */
void frames_model_destroy(struct frames_model *model);

/* ------------------------------------------------------------------------------------- frames and entries */

/** The entry of a frame; SIZE_MAX if no zone contains it. `zone` may be NULL. */
size_t frames_model_entry_of(const struct frames_model *model, uint64_t frame, size_t *zone);

/** The frame of an entry. */
uint64_t frames_model_frame_of(const struct frames_model *model, size_t entry);

/** The number of frames in a request. */
uint64_t frames_model_count_of(const struct kva_frames_request *request);

/** Whether any place of a zone satisfies a request. */
bool frames_model_has_place(const struct frames_model *model, size_t zone,
                            const struct kva_frames_request *request);

/** How many runs of a request's shape fit without overlap in all zones from which it may take. */
uint64_t frames_model_most(const struct frames_model *model, const struct kva_frames_request *request);

/** A call for several runs was refused elsewhere: counts and types of blocks may have changed. */
void frames_model_doubt(struct frames_model *model);

/** How many frames of a zone, or of all zones, are in a state. */
uint64_t frames_model_tally_of(const struct frames_model *model, size_t zone, enum frames_model_state state);
uint64_t frames_model_tally(const struct frames_model *model, enum frames_model_state state);

/* ---------------------------------------------------------------------------------------------- the calls */

/** A type for a request, possibly an invalid one: from a number, so that no compiler can assume its value. */
enum kva_frames_type frames_model_type(unsigned number);

enum kva_status frames_model_alloc(struct frames_model *model, const struct kva_frames_request *request,
                                   uint64_t *first);
enum kva_status frames_model_alloc_many(struct frames_model *model, const struct kva_frames_request *request,
                                        size_t runs, uint64_t *firsts);
enum kva_status frames_model_reserve(struct frames_model *model, uint64_t first, uint64_t count,
                                     unsigned type);
enum kva_status frames_model_free(struct frames_model *model, uint64_t first);
enum kva_status frames_model_free_many(struct frames_model *model, const uint64_t *firsts, size_t runs);
enum kva_status frames_model_free_range(struct frames_model *model, uint64_t first, uint64_t count);
enum kva_status frames_model_split(struct frames_model *model, uint64_t first);
enum kva_status frames_model_offline(struct frames_model *model, uint64_t first, uint64_t count);
enum kva_status frames_model_online(struct frames_model *model, uint64_t first, uint64_t count);
void frames_model_drain(struct frames_model *model);

/** Compact. Each run that is moved, here or by a request, must be movable, lie in one block, and go to free
 * frames of its zone with the same alignment. */
enum kva_status frames_model_compact(struct frames_model *model, size_t zone, unsigned order, uint64_t most);

/** Fail unless kva_frames_find agrees with the model on a frame. */
void frames_model_find(struct frames_model *model, uint64_t frame);

/** Fail unless the whole set agrees with the model: every run, every gap, the statistics, orders and picture
 * of each zone; and kva_frames_check passes. */
void frames_model_compare(struct frames_model *model);

#endif
