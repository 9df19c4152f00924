/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A WORKLOAD is a kind of traffic: how the space is set up, and one or more PHASES of operations to be
 * timed. workload.c lists them. A workload knows nothing about engines,
 * clocks or statistics; those are the runner's.
 */
#ifndef KVA_TOOLS_BENCH_WORKLOAD_H
#define KVA_TOOLS_BENCH_WORKLOAD_H

#include "subject.h"

/** No workload has more default sizes than this; the rest of the array is 0. */
#define WORKLOAD_SIZES 4

/** No workload whose phases stand apart has more of them. */
#define APART_MAX 8

struct phase {
    const char *name; /* NULL when it is the only one */
    /* Where phases stand apart: */
    draw_step *draw; /* of its subject */
    /* Untimed work in front of each turn; NULL: none. */
    void (*enter)(struct subject *subject);
    /* How many parts an operation has, once entered: the times are those of one. NULL: 1. */
    size_t (*parts)(const struct subject *subject);
    /* Ready the next `count` operations, outside the timed part; NULL: nothing to ready. */
    void (*prepare)(struct subject *subject, size_t count);
    /* Operations begin .. end - 1 of those: the timed part. */
    void (*run)(struct subject *subject, size_t begin, size_t end);
    /* Book the `count` operations; NULL: nothing to book. */
    void (*finish)(struct subject *subject, size_t count);
    /* A turn is exactly n operations; else it lasts as long as the runner likes. */
    bool whole;
    bool scattered;      /* as in struct workload */
    bool best_fit;       /* its space is declared for KVA_BEST */
    bool best_fit_setup; /* its space is set up in one that is */
};

struct workload {
    const char *name;
    const char *purpose; /* what it does and why one should look: for --help */
    const char *counts;  /* what n is the number of */
    const char *unit;    /* what is timed: "pair" or "op" */
    size_t sizes[WORKLOAD_SIZES];
    bool scattered;    /* addresses are spread on purpose: fragmentation has no meaning */
    bool single;       /* measured by longest.c instead of the runner */
    bool beside_first; /* each phase is compared with the first one, too */
    bool apart;        /* each phase has a space of its own, and phases take turns as engines do */
    uint64_t align_class[KVA_ALIGN_CLASSES]; /* that the space declares; 0: none */
    bool without_owners;                     /* the space keeps none */
    /* The space's last address for a size; NULL: SPACE_LAST. */
    uint64_t (*last)(size_t n);
    draw_step *draw; /* of the subject, unless a phase sets another; NULL: the workload has none */
    /* Bring a fresh subject into the state that is sampled and measured. */
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

/** NULL when there is none of that name. */
const struct workload *workload_by_name(const char *name);

/** A subject of the workload, set up; where phases stand apart, that of the first. */
struct subject *workload_open(const struct workload *workload, const char *engine, size_t n, uint64_t seed);

/** The same of a phase, where phases stand apart. */
struct subject *workload_open_phase(const struct workload *workload, const struct phase *phase,
                                    const char *engine, size_t n, uint64_t seed);

#endif
