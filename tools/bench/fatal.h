/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The benchmark's progress line, and its way out when it cannot or must not go on: measurements of a wrong
 * answer are worth nothing, so the first one ends the program; so does want of memory.
 */
#ifndef KVA_TOOLS_BENCH_FATAL_H
#define KVA_TOOLS_BENCH_FATAL_H

#include "../common/exit.h"
#include "../common/progress.h"

#include <stddef.h>

/** The one progress line; whoever works shows what it is doing. */
extern struct progress bench_progress;

/** Clear the progress line, write "kva bench: " and the message to stderr, and leave with `code`. */
_Noreturn void bench_fatal(enum tool_exit code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Add `more` rows of `bytes` each, all zero, to an array of *count; returns where it is now. Ends the
 *  program when there is no memory. */
void *bench_add_rows(void *rows, size_t *count, size_t more, size_t bytes);

#endif
