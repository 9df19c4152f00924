/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The only thread of a test; see lone_thread.h. */
#include "lone_thread.h"

#include "harness.h"

static void lone_wait(void *context, const uint32_t *word, uint32_t value)
{
    (void)context;
    check_that(*word != value, "the only thread must not wait");
}

static void lone_wake(void *context, const uint32_t *word, bool all)
{
    (void)context;
    (void)word;
    (void)all;
}

static unsigned chosen_cpu(void *context)
{
    return *(const unsigned *)context;
}

static uintptr_t lone_self(void *context)
{
    return (uintptr_t)context;
}

struct kva_threads test_lone_thread(unsigned *cpu, unsigned cpus)
{
    return (struct kva_threads){.wait = lone_wait,
                                .wake = lone_wake,
                                .cpu = chosen_cpu,
                                .self = lone_self,
                                .cpus = cpus,
                                .context = cpu};
}
