/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "workload.h"

/* Any size would do, so long as it is one; 16 pages are a kernel stack's. */
#define HOT_PAGES 16

/* n ranges of one size, side by side: everything lies in the first-level cache, so the pair that follows
 * costs what the code itself costs. */
static void setup(struct subject *subject)
{
    struct kva_request request = kva_request_of(HOT_PAGES * PAGE);
    for (size_t i = 0; i < subject->n; i++)
        subject->live[i] = subject_take(subject, &request);
}

static void prepare(struct subject *subject, size_t count)
{
    for (size_t i = 0; i < count; i++)
        subject->batch.step[i] = step_of_pages(HOT_PAGES);
}

static const struct phase phases[] = {
    {.prepare = prepare, .run = subject_lifo_run},
};

const struct workload workload_hot = {
    .name = "hot",
    .purpose = "A few live ranges; the same size is allocated and freed again and again (LIFO). The least "
               "that a pair can cost: no cache miss, no search worth the name.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {100},
    .setup = setup,
    .phases = phases,
    .phase_count = 1,
};
