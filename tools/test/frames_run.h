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
    uint64_t frames; /* of each shape, about */
    uint64_t seed;
    uint64_t time_ns; /* of all shapes together */
    uint64_t steps;   /* of each worker in a round, at least: a short round on a slow machine is one, too */
    unsigned cpus;    /* for the set */
};

/** What came of one shape. */
struct traffic_report {
    struct traffic_shape shape;
    uint64_t present;      /* frames in no hole */
    uint64_t bytes;        /* of the set's bookkeeping */
    uint64_t rounds;       /* each ended with all checks */
    uint64_t operations;   /* all of the next two */
    uint64_t used_at_most; /* frames, of those seen at the ends of rounds */
    uint64_t moved_runs;   /* by compaction */
    uint64_t moved_frames;
    uint64_t done[TRAFFIC_KINDS];
    uint64_t refused[TRAFFIC_KINDS];
    char fault[FRAMES_FAULT]; /* "": none */
};

/** Run shape number `index`. How a run that could not be made failed, in words; NULL: it was made. */
const char *traffic_run(const struct traffic_plan *plan, size_t index, struct traffic_report *report);

#endif
