/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The four functions that a C compiler may call even in a freestanding program. Floors 0-2 and the engines
 * require nothing else of their host.
 */
#ifndef KVA_BASE_MEMORY_H
#define KVA_BASE_MEMORY_H

#include "assumptions.h"

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

#endif
