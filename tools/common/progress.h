/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A line on stderr that shows the progress of a long run, only if stderr is a terminal. It is rewritten in
 * place at most ten times a second, and cleared at the end.
 *
 * One thread at a time may use it. Call progress_clear before any other write to the terminal.
 */
#ifndef KVA_TOOLS_PROGRESS_H
#define KVA_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/** Room for the longest line. */
#define PROGRESS_ROOM 256

struct progress {
    bool active; /* stderr is a terminal */
    /** The line's width, at most PROGRESS_ROOM: a longer line would wrap and could not be cleared. */
    unsigned columns;
    bool shown;       /* there is a line to clear */
    uint64_t next_ns; /* the line is not rewritten before this time */
};

/** Begin. Writes nothing. */
void progress_begin(struct progress *progress);

/** Show a text, printf-style, unless the last one is less than a tenth of a second old. */
void progress_show(struct progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Clear the line, before other output or at the end. The next progress_show writes it again. */
void progress_clear(struct progress *progress);

#endif
