/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A C compiler takes four functions for granted even in a freestanding program, and may call them by itself:
 * memcpy, memmove, memset and memcmp. Floors 0-2 and the engines ask nothing else of their host; these are
 * the ones that they call by name.
 */
#ifndef KVA_BASE_MEMORY_H
#define KVA_BASE_MEMORY_H

#include "assumptions.h"

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

#endif
