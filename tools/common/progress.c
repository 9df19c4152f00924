/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _GNU_SOURCE
#include "progress.h"

#include "clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* Ten times a second: the eye sees it move, and writing costs nothing. */
#define INTERVAL_NS UINT64_C(100000000)

void progress_begin(struct progress *progress)
{
    progress->active = isatty(STDERR_FILENO) == 1;
    progress->shown = false;
    progress->next_ns = 0;
}

void progress_show(struct progress *progress, const char *format, ...)
{
    if (!progress->active || clock_ns() < progress->next_ns)
        return;
    char text[80]; /* one line of an ordinary terminal: a longer one would wrap and could not be cleared */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "\r%s\033[K", text);
    fflush(stderr);
    progress->shown = true;
    progress->next_ns = clock_ns() + INTERVAL_NS;
}

void progress_clear(struct progress *progress)
{
    if (!progress->shown)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->shown = false;
}
