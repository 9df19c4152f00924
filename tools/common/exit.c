/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _POSIX_C_SOURCE 200809L /* _exit */
#include "exit.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* The loss of output has been reported. */
static bool told;

int tool_finish(int code)
{
    bool flushed = fflush(stdout) == 0;
    if (flushed && !ferror(stdout))
        return code;
    /* errno belongs to this flush; the reason of an earlier failure is lost. */
    if (!told)
        fprintf(stderr, "kva: standard output: %s\n", flushed ? "it could not be written" : strerror(errno));
    told = true;
    return TOOL_REFUSED;
}

void tool_finish_at_exit(void)
{
    if (tool_finish(TOOL_OK) != TOOL_OK)
        _exit(TOOL_REFUSED);
}
