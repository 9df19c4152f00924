/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The model: a space as an array of units, one per quantum, each with a state, an owner and a mark where a
 * segment begins. It has no tree, no list, no cached maximum and no merge: holes are where units are free. It
 * finds every result by a trial of all addresses. It is written from the documentation of kva.h, ranges.h and
 * evict.h only, and returns what they specify, for invalid calls as well.
 *
 * Where several rows of a status table apply, the order is: the request (size, wrap, window, policy, flags,
 * alignment, phase, boundary), then the parts one by one (first of all policies, boundaries and filters are
 * refused); for given ranges the size, the start, the wrap, then the contents of the space; for a resize or a
 * move, the segment first. kva.h promises no order; the engines share this one.
 */
#ifndef KVA_TESTS_COMMON_MODEL_H
#define KVA_TESTS_COMMON_MODEL_H

#include "harness.h"

#define MODEL_UNITS 1024
#define MODEL_FED 24 /* the largest number of candidates of an eviction */

struct model_unit {
    enum kva_state state;
    bool begins; /* a busy or deferred segment begins here; free ones begin anywhere */
    void *owner;
};

struct model {
    uint64_t base; /* the address of unit 0 */
    uint64_t quantum;
    size_t low; /* the space is the units [low, high] */
    size_t high;
    uint64_t deferred_limit;
    uint64_t flushes;
    uint64_t flush_start; /* the range of the last flush */
    uint64_t flush_last;
    struct model_unit units[MODEL_UNITS];
};

/** A space of the units [low, high]; unit 0 has the address `base`. */
void model_init(struct model *model, uint64_t base, uint64_t quantum, size_t low, size_t high);

uint64_t model_first(const struct model *model);
uint64_t model_last(const struct model *model);

/* As the functions of kva.h with the same names. */
enum kva_status model_alloc(struct model *model, const struct kva_request *request, uint64_t *start);
enum kva_status model_alloc_congruent(struct model *model, const struct kva_request *request,
                                      const struct kva_part *parts, size_t count, uint64_t *base);
enum kva_status model_search(const struct model *model, const struct kva_request *request, uint64_t *start);
enum kva_status model_reserve(struct model *model, uint64_t start, uint64_t size, void *owner,
                              struct kva_segment *conflict);
enum kva_status model_free(struct model *model, uint64_t start);
enum kva_status model_free_range(struct model *model, uint64_t start, uint64_t size);
enum kva_status model_resize(struct model *model, uint64_t start, uint64_t size);
enum kva_status model_free_deferred(struct model *model, uint64_t start);
enum kva_status model_flush(struct model *model);
enum kva_status model_grow(struct model *model, uint64_t first, uint64_t last);
enum kva_status model_find(const struct model *model, uint64_t address, struct kva_segment *segment);

/* Like those of ranges.h; model_last_segment is kva_last. */
enum kva_status model_clear(struct model *model, uint64_t start, uint64_t size, uint64_t *bytes);
enum kva_status model_reserve_over(struct model *model, uint64_t start, uint64_t size, void *owner,
                                   uint64_t *bytes);
enum kva_status model_split(struct model *model, uint64_t at);
enum kva_status model_join(struct model *model, uint64_t start);
enum kva_status model_set_owner(struct model *model, uint64_t start, void *owner);
enum kva_status model_move(struct model *model, uint64_t start, uint64_t to, struct kva_segment *conflict);
enum kva_status model_free_sized(struct model *model, uint64_t start, uint64_t size);
enum kva_status model_next(const struct model *model, struct kva_segment *segment);
enum kva_status model_last_segment(const struct model *model, struct kva_segment *segment);
enum kva_status model_prev(const struct model *model, struct kva_segment *segment);
enum kva_status model_first_in(const struct model *model, uint64_t start, uint64_t last,
                               struct kva_segment *segment);
enum kva_status model_next_in(const struct model *model, uint64_t last, struct kva_segment *segment);
enum kva_status model_first_hole(const struct model *model, uint64_t least, struct kva_segment *hole);
enum kva_status model_next_hole(const struct model *model, uint64_t least, struct kva_segment *hole);
enum kva_status model_last_hole(const struct model *model, uint64_t least, struct kva_segment *hole);
enum kva_status model_prev_hole(const struct model *model, uint64_t least, struct kva_segment *hole);
enum kva_status model_space_add(struct model *model, uint64_t start, uint64_t size);
enum kva_status model_space_remove(struct model *model, uint64_t start, uint64_t size);
enum kva_status model_space_shrink(struct model *model, uint64_t first, uint64_t last);
enum kva_status model_space_reset(struct model *model);

/** An eviction: all fed segments, in order, and once there is a place, the range to clear for it. */
struct model_eviction {
    struct kva_request request;
    struct kva_segment fed[MODEL_FED];
    size_t count;
    uint64_t start;
    uint64_t last;
    uint64_t clear_start;
    uint64_t clear_last;
};

/* Like those of evict.h. Between two calls of model_evict_add only changes outside the holes at hand are
 * permitted: the model does not know the width of the holes that the library sees. */
enum kva_status model_evict_begin(const struct model *model, const struct kva_request *request,
                                  struct model_eviction *eviction);
enum kva_status model_evict_add(const struct model *model, struct model_eviction *eviction, uint64_t start);
enum kva_status model_evict_finish(struct model *model, const struct model_eviction *eviction,
                                   uint64_t *start);

/** The lowest candidate that must go and starts at `from` or above; false if there is none. */
bool model_evict_next(const struct model_eviction *eviction, uint64_t from, struct kva_segment *candidate);

void model_stats(const struct model *model, struct kva_stats *stats);

#endif
