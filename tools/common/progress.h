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

/** Room for the longest line, and more than most terminals have. */
#define PROGRESS_ROOM 256

struct progress {
    bool active; /* stderr is a terminal */
    unsigned
        columns; /* as wide as this, at most PROGRESS_ROOM: a longer line would wrap and could not be cleared */
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
