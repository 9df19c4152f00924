/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What a port owes the library: node memory, threads, pages, and what it knows of CPUs and chance.
 *
 * The floors 0-2 call no port by name. They are handed what they need: a kva_memory, a kva_threads and a CPU
 * count in kva_config. So a kernel needs no port at all; a hosted build has one, which fills those fields in
 * for kva_space_create.
 *
 *   kva_memory_host   (declared in kva/memory.h) blocks aligned for any object, from any thread; NULL when
 *                     there are none; a block of 2 MiB or more is worth a huge page
 *   kva_threads_host  (declared in kva/threads.h) how threads wait, and which CPU they run on
 *   kva_corruption_host  (declared in kva/status.h) says where an invariant is broken, without heap or stdio,
 *                        and stops
 *                     the program
 *   kva_engine_host   (declared in kva/engine.h) the engine of a space that names none
 *   kva_port_engine   the engine that was named; kva_engine_host's if that is NULL, or bt without a form
 *   kva_port_cpus     the CPUs that are online; at least 1
 *   kva_pages_host    (declared in kva/pages.h) where instances of vmap take their pages from
 *   kva_port_random   64 random bits that no attacker can guess, for the placement of hardened areas
 *   kva_port_symbol   a kva_symbol (kva/vm.h): what the dynamic linker knows of a code address
 */
#ifndef KVA_PORTS_PORT_H
#define KVA_PORTS_PORT_H

#include <stddef.h>
#include <stdint.h>

struct kva_engine;

unsigned kva_port_cpus(void);
const struct kva_engine *kva_port_engine(const struct kva_engine *named);
uint64_t kva_port_random(void);
size_t kva_port_symbol(void *context, const void *address, char *text, size_t bytes);

#endif
