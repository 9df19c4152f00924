/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** How long a thread was ready to run and had no CPU: Linux keeps that for each. To ask takes a
 *  microsecond or two. */
#ifndef KVA_TOOLS_BENCH_DELAYS_H
#define KVA_TOOLS_BENCH_DELAYS_H

#include <stdint.h>

struct delays {
    int file;    /* negative: the system does not tell */
    uint64_t ns; /* at the last question */
};

/** Of the calling thread. */
struct delays delays_open(void);

/** Nanoseconds since the last question; 0 where the system does not tell. */
uint64_t delays_since_last(struct delays *delays);

void delays_close(const struct delays *delays);

#endif
