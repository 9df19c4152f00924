/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Aims: target values of figures, reported beside the measured values. A run that misses an aim has not
 * failed: the exit code reports correctness, not speed.
 */
#ifndef KVA_TOOLS_BENCH_AIMS_H
#define KVA_TOOLS_BENCH_AIMS_H

#include "../common/json.h"

#include <stddef.h>

struct aim {
    const char *what;
    const char *unit;
    bool at_least; /* else at most */
    double wanted;
    double measured; /* negative: not measured */
};

/** The most aims of a workload. */
#define AIMS_MAX 24

struct aims {
    struct aim aim[AIMS_MAX];
    size_t count;
};

void aims_add(struct aims *aims, const char *what, const char *unit, bool at_least, double wanted,
              double measured);

/** Add the aims of `more`, as far as there is room. */
void aims_append(struct aims *aims, const struct aims *more);

/** Whether an aim was measured and met. */
bool aim_is_met(const struct aim *aim);

/** Write a table under "<workload> aims". Ends the program without memory for it. */
void aims_report(const struct aims *aims, const char *workload, FILE *out);

json_t *aims_to_json(const struct aims *aims, bool *good);

#endif
