/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * How many ranges must be evicted so that a request fits.
 *
 * n textures of mixed sizes share a space that holds half of their bytes, like the address space of a
 * graphics processor. Random textures are requested one after the other. A texture without a range gets one;
 * if none fits, other textures lose theirs, the least recently requested first:
 *
 *      lru     one by one, until the request fits
 *      scan    those that the eviction scan of kva/evict.h selects, fed in the same order
 *
 * A SUCCESS is an allocation for which others were evicted. The requests depend only on the seed, so all
 * engines must evict the same ranges. The two ways leave different ranges, so each has its own space; both
 * process the same sequence of requests.
 */
#ifndef KVA_TOOLS_BENCH_EVICTIONS_H
#define KVA_TOOLS_BENCH_EVICTIONS_H

#include "../common/json.h"
#include "runner.h"

/** One engine, one way, one n. */
struct evicted {
    size_t n; /* textures */
    const char *engine;
    const char *way;
    bool skipped;        /* n is beyond the engine's cap: nothing below is set */
    uint64_t successes;  /* in all turns */
    uint64_t candidates; /* examined for them */
    uint64_t evictions;  /* ranges evicted for them */
    double bound;        /* share of the space that belongs to textures at the end */
    struct times times;  /* of a success; ratio: the time of lru / this one's */
    struct times candidate;
};

struct evictions_results {
    bool measured;
    struct evicted *rows;
    size_t row_count;
    struct aims aims;
};

/** Measure all sizes. Ends the program if it cannot measure, or on a wrong result. */
void evictions_run(const struct bench_options *options, struct evictions_results *results);

void evictions_report(const struct evictions_results *results, const struct bench_options *options);
json_t *evictions_to_json(const struct evictions_results *results, bool *good);

void evictions_results_destroy(struct evictions_results *results);

#endif
