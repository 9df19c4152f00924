/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A WORKLOAD is a kind of traffic: the set-up of the space, and one or more PHASES of operations to time.
 * workload.c lists them. Engines, clocks and statistics belong to the runner.
 */
#ifndef KVA_TOOLS_BENCH_WORKLOAD_H
#define KVA_TOOLS_BENCH_WORKLOAD_H

#include "subject.h"

/** The most default sizes of a workload. Unused elements are 0. */
#define WORKLOAD_SIZES 4

/** The most phases of a workload whose phases stand apart. */
#define APART_MAX 8

struct phase {
    const char *name; /* NULL if it is the only one */
    draw_step *draw;  /* where phases stand apart: of the phase's subject */
    /* Untimed work before each turn; NULL: none. */
    void (*enter)(struct subject *subject);
    /* Parts of an operation, after `enter`; times are per part. NULL: 1. */
    size_t (*parts)(const struct subject *subject);
    /* Prepare the next `count` operations, outside the timed part; NULL: nothing to prepare. */
    void (*prepare)(struct subject *subject, size_t count);
    /* Run the operations begin .. end - 1 of these: the timed part. */
    void (*run)(struct subject *subject, size_t begin, size_t end);
    /* Record the `count` operations, outside the timed part; NULL: nothing to record. */
    void (*finish)(struct subject *subject, size_t count);
    /* A turn has exactly n operations; else the runner limits its time. */
    bool fixed_count;
    bool scattered;      /* as in struct workload */
    bool best_fit;       /* the space has an index by size, for KVA_BEST */
    bool best_fit_setup; /* the set-up runs in a space with that index */
};

struct workload {
    const char *name;
    const char *purpose; /* what it does and what it shows, for --help */
    const char *counts;  /* what n counts */
    const char *unit;    /* of the times: "pair", "op" or "range" */
    size_t sizes[WORKLOAD_SIZES];
    bool scattered;    /* addresses are spread on purpose: fragmentation has no meaning */
    bool single;       /* measured by longest.c instead of the runner */
    bool beside_first; /* each phase is also compared with the first one */
    bool apart;        /* each phase has its own space, and phases take turns as engines do */
    uint64_t align_class[KVA_ALIGN_CLASSES]; /* of the space; 0: none */
    bool without_owners;                     /* the space keeps no owners */
    /* The space's last address for a size; NULL: SPACE_LAST. */
    uint64_t (*last)(size_t n);
    draw_step *draw; /* of the subject, unless a phase sets another; NULL: none */
    /* Bring a new subject into the state that is sampled and measured. */
    void (*setup)(struct subject *subject);
    const struct phase *phases;
    size_t phase_count;
};

/** The only phase of a workload that replaces random live ranges, and of one of LIFO pairs. */
extern const struct phase replace_phase;
extern const struct phase lifo_phase;

extern const struct workload workload_churn;
extern const struct workload workload_ownerless;
extern const struct workload workload_holes;
extern const struct workload workload_aligned;
extern const struct workload workload_windows;
extern const struct workload workload_shapes;
extern const struct workload workload_policies;
extern const struct workload workload_ranges;
extern const struct workload workload_needle;
extern const struct workload workload_fill_drain;
extern const struct workload workload_hot;
extern const struct workload workload_longest;

/** Enumerate the workloads; NULL past the last. */
const struct workload *workload_at(size_t index);

/** Returns NULL if there is none of that name. */
const struct workload *workload_by_name(const char *name);

/** Create and set up a subject of the workload; where phases stand apart, that of the first phase. */
struct subject *workload_open(const struct workload *workload, const char *engine, size_t n, uint64_t seed);

/** The same for a phase, where phases stand apart. */
struct subject *workload_open_phase(const struct workload *workload, const struct phase *phase,
                                    const char *engine, size_t n, uint64_t seed);

#endif
