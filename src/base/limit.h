/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The default limit of bytes that may wait for a flush or a purge.
 *
 * SOURCE. The rule is that of Linux (lazy_max_pages in mm/vmalloc.c). The code was written afresh.
 */
#ifndef KVA_BASE_LIMIT_H
#define KVA_BASE_LIMIT_H

#include "assumptions.h"

/** 32 MiB for each binary digit of the number of CPUs: more CPUs free more between two flushes, and each
 *  flush disturbs more of them. */
static inline uint64_t default_limit(unsigned cpus)
{
    uint64_t limit = 0;

    for (unsigned rest = cpus ? cpus : 1; rest > 0; rest >>= 1)
        limit += UINT64_C(32) << 20;
    return limit;
}

#endif
