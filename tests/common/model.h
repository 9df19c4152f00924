/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The model: a space as an array of units, one per quantum, each with a state, an owner and a mark where a
 * segment begins. It has no tree, no list, no cached maximum and no merge: holes are wherever units are
 * free. Every answer is found by trying all addresses. It is written from the documentation of kva.h alone
 * and answers every call as that says, bad calls included.
 *
 * Where several rows of a status table apply, the order is: the request (size, wrap, window, policy, flags,
 * alignment, phase, boundary), then the parts one by one, which refuse policies, boundaries and filters before
 * all else; for given ranges the size, the start, the wrap, then what the space holds; for a resize, the segment first. kva.h
 * promises no order; the engines share this one.
 */
#ifndef KVA_TESTS_COMMON_MODEL_H
#define KVA_TESTS_COMMON_MODEL_H

#include "harness.h"

#define MODEL_UNITS 1024

struct model_unit {
    enum kva_state state;
    bool begins; /* a busy or deferred segment begins here; free ones begin where they may */
    void *owner;
};

struct model {
    uint64_t base; /* the address of unit 0 */
    uint64_t quantum;
    size_t low; /* the space is the units [low, high] */
    size_t high;
    uint64_t deferred_limit;
    uint64_t flushes;
    uint64_t flush_start; /* what the last flush covered */
    uint64_t flush_last;
    struct model_unit units[MODEL_UNITS];
};

/** A space of the units [low, high], of which unit 0 has the address `base`. */
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
void model_stats(const struct model *model, struct kva_stats *stats);

#endif
