/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Aims for the rows of some workloads. */
#include "runner.h"

#include <string.h>

/** An upper limit for a figure at the least favourable size. */
static const struct goal {
    const char *workload;
    const char *phase;
    const char *engine;
    const char *what;
    bool beside_first; /* in multiples of the first phase's time; else nanoseconds */
    double at_most;
} goals[] = {
    {"policies", "highest", "bt", "bt, highest, worst size: times lowest's time", true, 2},
    {"policies", "nearest", "bt", "bt, nearest, worst size: times lowest's time", true, 2},
    {"policies", "best, index", "bt", "bt, best with index, worst size: times lowest's time", true, 2},
    {"ranges", "hole up", "bt", "bt, a step from hole to hole, worst size", false, 100},
    {"ranges", "hole up", "rb", "rb, a step from hole to hole, worst size", false, 100},
    {"policies", "highest", "rb", "rb, highest, worst size: times lowest's time", true, 2},
    {"policies", "nearest", "rb", "rb, nearest, worst size: times lowest's time", true, 2},
    {"policies", "best, index", "rb", "rb, best with index, worst size: times lowest's time", true, 2},
};

static bool is_about(const struct goal *goal, const struct row *row)
{
    return strcmp(goal->workload, row->workload->name) == 0 && row->phase->name != NULL &&
           strcmp(goal->phase, row->phase->name) == 0 && strcmp(goal->engine, row->engine) == 0;
}

/** The largest figure of the rows of a goal; negative: not measured. */
static double worst(const struct goal *goal, const struct row *rows, size_t count)
{
    double most = -1;
    for (size_t i = 0; i < count; i++) {
        if (!is_about(goal, &rows[i]) || rows[i].skipped)
            continue;
        double figure = goal->beside_first ? 1 / rows[i].times_first : rows[i].times.median_ns;
        most = figure > most ? figure : most;
    }
    return most;
}

void bench_judge(const struct row *rows, size_t count, struct aims *aims)
{
    if (count == 0)
        return;
    for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++)
        if (strcmp(goals[i].workload, rows[0].workload->name) == 0)
            aims_add(aims, goals[i].what, goals[i].beside_first ? "x" : "ns", false, goals[i].at_most,
                     worst(&goals[i], rows, count));
}
