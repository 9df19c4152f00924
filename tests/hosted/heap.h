/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The program's own heap, instead of the C library's: every call of malloc, calloc, realloc, free and their
 * aligned variants, from anywhere in the process, goes to heap.c. While a thread is WATCHED, each such call
 * is recorded, and so is each call of fopen, opendir or dladdr.
 */
#ifndef KVA_TESTS_HOSTED_HEAP_H
#define KVA_TESTS_HOSTED_HEAP_H

#include <stdbool.h>

/** Begin to record. Calls in children of fork are recorded in the same notes. */
void heap_init(void);

/** Watch the calling thread, or stop; returns whether it was watched before. */
bool heap_watch(bool watched);

/** The number of calls recorded since the last time, and the name of the first; NULL if there was none. */
unsigned heap_noted(const char **first);

#endif
