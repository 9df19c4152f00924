/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Threads of the host that are disturbed wherever it could matter: they yield the CPU now and then at a lock
 * boundary or an atomic step, and their CPU is a random number, from a range with holes.
 */
#ifndef KVA_PORTS_TEST_YIELDING_H
#define KVA_PORTS_TEST_YIELDING_H

#include <kva/threads.h>

/** A table for kva_config.threads. Threads yield at one point in `one_in` (0: never). CPU numbers are 0, 2, 4
 *  ... below 2 * cpus, at random at each call; `cpus` is also the table's number of CPUs. */
struct kva_threads kva_yielding_threads(unsigned one_in, unsigned cpus);

#endif
