/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A heap of the program's own, in the place of the C library's: every call of malloc and its kin, from
 * wherever in the process, arrives in heap.c. While a thread is WATCHED, such a call is noted; so is one of
 * fopen, opendir or dladdr.
 */
#ifndef KVA_TESTS_HOSTED_HEAP_H
#define KVA_TESTS_HOSTED_HEAP_H

#include <stdbool.h>

/** Begin to note. What children of fork note counts as well. */
void heap_init(void);

/** Watch the calling thread, or stop; returns whether it was watched before. */
bool heap_watch(bool watched);

/** How many calls were noted since the last time, and the name of the first; NULL where there was none. */
unsigned heap_noted(const char **first);

#endif
