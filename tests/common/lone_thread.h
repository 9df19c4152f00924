/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** A table for kva_config.threads in a test of one thread, which chooses its own CPU. */
#ifndef KVA_TESTS_COMMON_LONE_THREAD_H
#define KVA_TESTS_COMMON_LONE_THREAD_H

#include <kva/threads.h>

/** The current CPU is *cpu at each call, of `cpus`. A wait fails the test: no other thread could end it. */
struct kva_threads test_lone_thread(unsigned *cpu, unsigned cpus);

#endif
