/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The four functions that a C compiler takes for granted even in a freestanding program, and the only ones
 * that floors 0-2 and the engines ask of their host.
 */
#ifndef KVA_BASE_MEMORY_H
#define KVA_BASE_MEMORY_H

#include "assumptions.h"

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

#endif
