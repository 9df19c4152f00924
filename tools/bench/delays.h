/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The time that a thread was ready to run without a CPU, which Linux counts for each thread. Reading it
 *  takes a microsecond or two. */
#ifndef KVA_TOOLS_BENCH_DELAYS_H
#define KVA_TOOLS_BENCH_DELAYS_H

#include <stdint.h>

struct delays {
    int file;    /* negative: the system does not report delays */
    uint64_t ns; /* at the last reading */
};

/** Open the counter of the calling thread. */
struct delays delays_open(void);

/** Nanoseconds of delay since the last reading; 0 if the system does not report them. */
uint64_t delays_since_last(struct delays *delays);

void delays_close(const struct delays *delays);

#endif
