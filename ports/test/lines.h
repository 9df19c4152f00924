/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Memory that starts at a cache line, on any host. */
#ifndef KVA_PORTS_TEST_LINES_H
#define KVA_PORTS_TEST_LINES_H

#include <stddef.h>

/** Any number of bytes, with nothing after the last, so that a sanitizer sees an access past it. NULL when
 *  there is no memory. */
void *lines_take(size_t bytes);
void lines_give(void *lines);

#endif
