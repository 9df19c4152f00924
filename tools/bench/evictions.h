/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * How much has to be given up so that a request fits.
 *
 * n textures of mixed sizes share a space that holds half of their bytes, as a graphics processor's address
 * space does. One after the other, a random texture is wanted. If it has no range it gets one; if none
 * fits, others lose theirs, those first that have not been wanted for longest:
 *
 *      lru     one by one, until the request fits
 *      scan    those that the eviction scan of kva/evict.h names, fed in the same order
 *
 * A SUCCESS is a range for which others had to go. What is wanted depends on the seed alone, so all engines
 * must give up the same. The two ways leave different ranges behind, so each has a space of its own; both
 * go through the same sequence.
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
    uint64_t candidates; /* looked at for them */
    uint64_t evictions;  /* given up for them */
    double bound;        /* share of the space that textures have, at the end */
    struct times times;  /* of a success; ratio: the time of lru / this one's */
    struct times candidate;
};

struct evictions_results {
    bool measured;
    struct evicted *rows;
    size_t row_count;
    struct aims aims;
};

/** Measure all sizes. Ends the program when it cannot be done, or a wrong answer was given. */
void evictions_run(const struct bench_options *options, struct evictions_results *results);

void evictions_report(const struct evictions_results *results, const struct bench_options *options);
json_t *evictions_to_json(const struct evictions_results *results, bool *good);

void evictions_results_destroy(struct evictions_results *results);

#endif
