/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The machine's nodes of memory (NUMA). */
#ifndef KVA_TOOLS_NODES_H
#define KVA_TOOLS_NODES_H

#include <stdint.h>

/** How many nodes have memory; 1 where the system does not tell. */
uint64_t nodes_count(void);

/** Count what a list of ranges names, such as "0-1,3"; 0 if it is none. */
uint64_t nodes_in_list(const char *list);

#endif
