/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva bench frames: page frames, beside a buddy system. See frames.c for the method.
 *
 *      frames.c             cases with one thread, turns
 *      frames_threads.c     cases with many threads
 *      frames_set.c         the set-ups: filled, thinned, churned
 *      frames_compaction.c  compaction, beside that by two scanners
 *      frames_maps.c        movable frames of kva/vm.h, compacted under their maps (see frames_maps.h)
 *      frames_contenders.c  the contenders
 *      frames_aims.c        the aims
 *      frames_report.c      tables and JSON
 */
#ifndef KVA_TOOLS_BENCH_FRAMES_H
#define KVA_TOOLS_BENCH_FRAMES_H

#include "aims.h"
#include "frames_compaction.h"
#include "frames_maps.h"
#include "frames_set.h"
#include "runner.h"

/** Names of cases, as in the tables. */
#define FRAMES_HOT "hot"
#define FRAMES_FILL "fill"
#define FRAMES_FREE "free"
#define FRAMES_FAIL "fail"
#define FRAMES_BULK "bulk"
#define FRAMES_CHURN "churn"
#define FRAMES_MIXED "mixed"
#define FRAMES_HANDOVER "handover"

/** Frames of a set by default, and the fewest. A set has whole blocks. */
#define FRAMES_USUAL (UINT64_C(1) << 20)
#define FRAMES_LEAST (8 * FRAMES_BLOCK)

/** One contender, one case, with one thread. */
struct frames_row {
    const char *what;
    const char *contender;
    uint64_t frames;
    unsigned order;            /* of the requests; unused in FRAMES_MIXED */
    unsigned percent;          /* of the frames in use; 0: not a churn */
    bool places;               /* `contender` is one of frames_places; the base is the plain set */
    struct times times;        /* base: the buddy system, unless `places` */
    struct frames_shape shape; /* of a churn, after its set-up */
};

/** One contender, one case, one number of threads. */
struct frames_crew {
    const char *what;
    const char *contender;
    uint64_t frames;
    size_t threads;
    bool alone; /* the program had no other thread; else at least an idle one */
    /** Clock time per operation of the whole crew; base: the buddy system with as many threads. */
    struct times times;
    struct times cpu; /* CPU time of all threads per operation */
    double share;     /* CPU time over that of the CPUs that the crew could use, median */
    double turn_share[REPS_MAX];
    /** Throughput by the clock, over that of one thread beside an idle one; negative: no such row. */
    double over_one;
    double over_one_cpu; /* the same by CPU time, as if each CPU were free for the crew */
};

/** The memory of a set's bookkeeping. */
struct frames_memory {
    const char *contender;
    uint64_t frames;
    size_t bytes;
};

struct frames_results {
    bool measured;
    bool alone; /* the program had one thread in the cases for one thread */
    size_t cpus;
    struct frames_row *rows;
    size_t row_count;
    struct frames_crew *crews;
    size_t crew_count;
    struct compaction_results compaction;
    struct maps_results maps;
    struct frames_memory *memory;
    size_t memory_count;
    struct aims aims;
    struct aims place_aims[FRAMES_PLACES];
};

/** Measure everything. Ends the program if it cannot measure, or on a wrong result. */
void frames_run(const struct bench_options *options, struct frames_results *results);

/** The number of frames of a set for a size of the command line. */
uint64_t frames_of_size(size_t size);

/** The cases of frames_threads.c: those for which the program must have only one thread, and the others. */
void frames_run_alone(uint64_t frames, const struct bench_options *options, struct frames_results *results);
void frames_run_crews(uint64_t frames, const struct bench_options *options, struct frames_results *results);

/** The row of the first size; NULL if there is none. */
const struct frames_row *frames_find(const struct frames_results *results, const char *what, unsigned order,
                                     unsigned percent, const char *contender);
const struct frames_crew *frames_find_crew(const struct frames_results *results, const char *what,
                                           size_t threads, bool alone, const char *contender);

/** Add all aims. */
void frames_judge(struct frames_results *results);

void frames_report(const struct frames_results *results, const struct bench_options *options);
json_t *frames_to_json(const struct frames_results *results, bool *good);

void frames_results_destroy(struct frames_results *results);

#endif
