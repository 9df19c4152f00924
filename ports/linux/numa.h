/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Nodes of memory: see numa.c. */
#ifndef KVA_PORTS_LINUX_NUMA_H
#define KVA_PORTS_LINUX_NUMA_H

#include <kva/vm.h>

/** The nodes of the machine. */
struct machine {
    uint64_t nodes;   /* that the program may use: bit n for node n, of the first 64 */
    bool can_choose;  /* there is a choice of nodes, and the program may make it */
    bool was_asked;   /* otherwise the other fields are unknown */
    bool has_several; /* several nodes, whatever their numbers; if not, the one is also node 0 */
};

/** Ask the kernel, once. */
void kva_port_ask_machine(struct machine *machine, uint64_t *calls);

/** Set the nodes of pages that are touched from now on, for a mapping or for the file that it maps. Returns
 *  0, or errno. */
int kva_port_set_nodes(void *at, size_t bytes, const struct kva_vm_nodes *nodes, uint64_t *calls);

#endif
