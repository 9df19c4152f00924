/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The results of a replay, as text and as JSON.
 */
#ifndef KVA_TOOLS_REPLAY_REPORT_H
#define KVA_TOOLS_REPLAY_REPORT_H

#include "../common/engines.h"
#include "player.h"

/** The maximum of --samples. */
#define REPORT_SAMPLES 1000

/** Results of one engine. */
struct engine_report {
    const char *name;
    struct observed observed;
    uint64_t *rounds_ns; /* each round's time, ascending */
    size_t rounds;
};

/** Results of a replay. */
struct report {
    const char *file;
    const struct strace_log *log;
    const struct script *script;
    struct engine_report engines[ENGINES_MAX];
    size_t engine_count;
    struct sample *samples; /* the same on every engine */
    size_t sample_count;
    const char *left_out; /* an engine that was left out because it would take too long; or NULL */
    bool verbose;         /* list the notes */
};

/** The number of calls of the log that were played. */
uint64_t report_played(const struct script_counts *counts);

/** Write text or JSON to stdout. False: no memory. */
bool report_text(const struct report *report);
bool report_json(const struct report *report);

#endif
