/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "fatal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct progress bench_progress;

_Noreturn void bench_fatal(enum tool_exit code, const char *format, ...)
{
    va_list arguments;
    progress_clear(&bench_progress);
    fputs("kva bench: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit((int)code);
}

void *bench_add_rows(void *rows, size_t *count, size_t more, size_t bytes)
{
    char *grown = realloc(rows, (*count + more) * bytes);
    if (grown == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for the results");
    memset(grown + *count * bytes, 0, more * bytes);
    *count += more;
    return grown;
}
