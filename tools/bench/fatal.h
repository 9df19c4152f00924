/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The benchmark's progress line, and the end of the program on errors. Measurements of wrong results are
 * worthless, so the first wrong result ends the program; so does lack of memory.
 */
#ifndef KVA_TOOLS_BENCH_FATAL_H
#define KVA_TOOLS_BENCH_FATAL_H

#include "../common/exit.h"
#include "../common/progress.h"

#include <stddef.h>

/** The one progress line: the running workload writes to it. */
extern struct progress bench_progress;

/** Clear the progress line, write "kva bench: " and the message to stderr, and exit with `code`. */
_Noreturn void bench_fatal(enum tool_exit code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Add `more` zeroed rows of `bytes` each to an array of *count rows. Returns the array, which may have
 *  moved. Ends the program without memory. */
void *bench_add_rows(void *rows, size_t *count, size_t more, size_t bytes);

#endif
