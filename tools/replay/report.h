/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What a replay found, for people and as JSON.
 */
#ifndef KVA_TOOLS_REPLAY_REPORT_H
#define KVA_TOOLS_REPLAY_REPORT_H

#include "../common/engines.h"
#include "player.h"

/** More samples than anyone reads. */
#define REPORT_SAMPLES 1000

/** One engine's figures. */
struct engine_report {
    const char *name;
    struct observed observed;
    uint64_t *rounds_ns; /* each round's time, ascending; room for what the command allows */
    size_t rounds;
};

/** A whole replay's. */
struct report {
    const char *file;
    const struct strace_log *log;
    const struct script *script;
    struct engine_report engines[ENGINES_MAX];
    size_t engine_count;
    struct sample *samples; /* the same on every engine */
    size_t sample_count;
    const char *left_out; /* an engine that was not asked for, and would take too long; or NULL */
    bool verbose;         /* name the lines that there are notes on */
};

/** How many calls of the log were played. */
uint64_t report_played(const struct script_counts *counts);

/** Write text or JSON to stdout. False: no memory. */
bool report_text(const struct report *report);
bool report_json(const struct report *report);

#endif
