/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Memory that begins at a cache line: see lines.h. C11's aligned_alloc takes whole lines only, so that a
 * sanitizer would not see the end. The C library of Windows lacks it: its free knows of no alignment.
 */
#define _POSIX_C_SOURCE 200809L
#include "lines.h"

#include <stdlib.h>

#include "../../src/base/assumptions.h"

#ifdef _WIN32

#include <malloc.h>

void *lines_take(size_t bytes)
{
    return _aligned_malloc(bytes, KVA_LINE);
}

void lines_give(void *lines)
{
    _aligned_free(lines);
}

#else

void *lines_take(size_t bytes)
{
    void *lines = NULL;

    return posix_memalign(&lines, KVA_LINE, bytes) == 0 ? lines : NULL;
}

void lines_give(void *lines)
{
    free(lines);
}

#endif
