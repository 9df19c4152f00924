/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A line on stderr that says how far a long run has come: on a terminal, and nothing at all in a pipe or a
 * file. It is rewritten in place at most ten times a second, and cleared at the end.
 *
 * One thread at a time may use it. Call progress_clear before writing anything else to the terminal.
 */
#ifndef KVA_TOOLS_PROGRESS_H
#define KVA_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool active;      /* stderr is a terminal */
    bool shown;       /* there is a line to be cleared */
    uint64_t next_ns; /* not before this is the line rewritten */
};

/** Begin. Nothing is written yet. */
void progress_begin(struct progress *progress);

/** Show this, printf-style, unless the last text is too recent. */
void progress_show(struct progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Take the line off the terminal; the next progress_show brings it back. Also the end. */
void progress_clear(struct progress *progress);

#endif
