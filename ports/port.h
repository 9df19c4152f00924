/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What a port supplies: node memory, threads, pages, CPUs, random numbers and symbols.
 *
 * Floors 0 to 2 call no port by name. They receive what they need in kva_config: a kva_memory, a kva_threads
 * and a CPU count. So a kernel needs no port; a hosted build has one, which fills in those fields for
 * kva_space_create.
 *
 *     kva_memory_host      (kva/memory.h) blocks aligned for any object, from any thread; NULL when there are
 *                          none. A block of 2 MiB or more is worth a huge page
 *     kva_threads_host     (kva/threads.h) how threads wait, and which CPU they run on
 *     kva_corruption_host  (kva/status.h) reports a broken invariant without heap or stdio, and stops
 *     kva_engine_host      (kva/engine.h) the engine of a space that names none
 *     kva_port_engine      the named engine; that of kva_engine_host for NULL, or for bt without a form
 *     kva_port_cpus        the number of CPUs that are online; at least 1
 *     kva_pages_host       (kva/pages.h) where instances of vmap take their pages from
 *     kva_port_random      64 random bits that no attacker can guess, for the placement of hardened areas
 *     kva_port_symbol      a kva_symbol (kva/vm.h): what the dynamic linker knows of a code address
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
