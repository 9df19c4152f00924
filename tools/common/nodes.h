/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The machine's nodes of memory (NUMA). */
#ifndef KVA_TOOLS_NODES_H
#define KVA_TOOLS_NODES_H

#include <stdint.h>

/** How many nodes have memory; 1 if the system does not report it. */
uint64_t nodes_count(void);

/** Count the numbers in a list of ranges, such as "0-1,3"; 0 if it is not a list. */
uint64_t nodes_in_list(const char *list);

#endif
