/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** What the kernel knows of nodes: see numa.c. */
#ifndef KVA_PORTS_LINUX_NUMA_H
#define KVA_PORTS_LINUX_NUMA_H

#include <kva/vm.h>

/** What there is to choose from. */
struct machine {
    uint64_t nodes;   /* that the program may ask for: bit n for node n, of the first 64 */
    bool can_choose;  /* there is something to tell the kernel, and it lets the program do so */
    bool was_asked;   /* else the two above are not known yet */
    bool has_several; /* nodes, whatever their numbers; if not, the one may be asked for as node 0, too */
};

/** Ask the kernel, once. */
void kva_port_ask_machine(struct machine *machine, uint64_t *calls);

/** Let pages that are touched from now on come from some nodes: of a mapping, or of the file behind it.
 *  Returns 0, or errno. */
int kva_port_set_nodes(void *at, size_t bytes, const struct kva_vm_nodes *nodes, uint64_t *calls);

#endif
