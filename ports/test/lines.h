/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Memory that begins at a cache line, on any host. */
#ifndef KVA_PORTS_TEST_LINES_H
#define KVA_PORTS_TEST_LINES_H

#include <stddef.h>

/** Take any number of bytes. No padding follows the last, so that a sanitizer sees an access past it. NULL:
 *  there is no memory. */
void *lines_take(size_t bytes);
void lines_give(void *lines);

#endif
