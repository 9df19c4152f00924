/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _GNU_SOURCE
#include "progress.h"

#include "clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Ten times a second: often enough for the eye, and cheap. */
#define INTERVAL_NS UINT64_C(100000000)

/* The terminal's width, at most PROGRESS_ROOM; 80 if it is unknown. */
static unsigned columns_of_terminal(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2)
        return 80;
    return size.ws_col < PROGRESS_ROOM ? size.ws_col : PROGRESS_ROOM;
}

void progress_begin(struct progress *progress)
{
    progress->columns = columns_of_terminal();
    progress->active = isatty(STDERR_FILENO) == 1;
    progress->shown = false;
    progress->next_ns = 0;
}

void progress_show(struct progress *progress, const char *format, ...)
{
    if (!progress->active || clock_ns() < progress->next_ns)
        return;
    char text[PROGRESS_ROOM];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, progress->columns, format, arguments);
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
