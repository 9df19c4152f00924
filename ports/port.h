/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What a port owes the library: today, node memory and the number of CPUs.
 *
 * The floors 0-2 call no port by name. They are handed what they need: a kva_memory and a CPU count in
 * kva_config. So a kernel needs no port at all; a hosted build has one, which fills those fields in for
 * kva_space_create.
 *
 *   kva_memory_host   (declared in kva/kva.h) blocks aligned for any object, from any thread; NULL when
 *                     there are none; a block of 2 MiB or more is worth a huge page
 *   kva_port_cpus     the CPUs that are online; at least 1
 */
#ifndef KVA_PORTS_PORT_H
#define KVA_PORTS_PORT_H

unsigned kva_port_cpus(void);

#endif
