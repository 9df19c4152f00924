/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A run of random traffic on one shape: threads, rounds, and the checks between them. See frames_run.c.
 */
#ifndef KVA_TOOLS_TEST_FRAMES_RUN_H
#define KVA_TOOLS_TEST_FRAMES_RUN_H

#include "frames_traffic.h"

struct traffic_plan {
    const char *mode;
    uint64_t threads;
    uint64_t frames; /* per shape, approximately */
    uint64_t seed;
    uint64_t time_ns; /* of all shapes together */
    uint64_t steps;   /* minimum per worker and round, for slow machines */
    unsigned cpus;    /* for the set */
};

/** Results of one shape. */
struct traffic_report {
    struct traffic_shape shape;
    uint64_t present;      /* frames outside holes */
    uint64_t bytes;        /* of the set's bookkeeping */
    uint64_t rounds;       /* each ended with all checks */
    uint64_t operations;   /* the sum of `done` and `refused` */
    uint64_t used_at_most; /* the most frames at the end of a round */
    uint64_t moved_runs;   /* by compaction */
    uint64_t moved_frames;
    uint64_t done[TRAFFIC_KINDS];
    uint64_t refused[TRAFFIC_KINDS];
    char fault[FRAMES_FAULT]; /* "": none */
};

/** Run shape number `index`. Returns NULL, or why the run was impossible. */
const char *traffic_run(const struct traffic_plan *plan, size_t index, struct traffic_report *report);

#endif
