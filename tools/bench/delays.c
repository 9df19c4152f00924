/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _GNU_SOURCE
#include "delays.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct delays delays_open(void)
{
    struct delays delays = {.file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)};
    (void)delays_since_last(&delays);
    return delays;
}

/* The file has "run delay slices": nanoseconds on a CPU, nanoseconds ready without a CPU, number of
 * slices. */
uint64_t delays_since_last(struct delays *delays)
{
    char text[96];
    ssize_t length = delays->file < 0 ? -1 : pread(delays->file, text, sizeof(text) - 1, 0);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    char *end;
    (void)strtoull(text, &end, 10);
    uint64_t ns = strtoull(end, NULL, 10);
    uint64_t since = ns - delays->ns;
    delays->ns = ns;
    return since;
}

void delays_close(const struct delays *delays)
{
    if (delays->file >= 0)
        close(delays->file);
}
