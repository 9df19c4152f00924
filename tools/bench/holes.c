/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "workload.h"

/* n single pages side by side, then every other one is given back:
 *
 *      | busy | hole | busy | hole | ... | busy | hole |   free to the end of the space
 *
 * No hole but the last holds two pages; a search that walks holes passes n / 2 of them. */
static void setup(struct subject *subject)
{
    struct kva_request page = kva_request_of(PAGE);
    for (size_t i = 0; i < subject->n; i++)
        subject->live[i] = subject_take(subject, &page);
    for (size_t i = 1; i < subject->n; i += 2) {
        subject_give(subject, subject->live[i]);
        subject->live[i] = NO_ADDRESS;
    }
}

static void prepare(struct subject *subject, size_t count)
{
    for (size_t i = 0; i < count; i++)
        subject->batch.step[i] = step_of_pages(rng_between(&subject->rng, 2, 8));
}

static const struct phase phases[] = {
    {.prepare = prepare, .run = subject_lifo_run},
};

const struct workload workload_holes = {
    .name = "holes",
    .purpose = "Every other one of many single pages is freed; then 2 to 8 pages are allocated and freed. "
               "Shows how well a search skips a field of holes that are too small.",
    .counts = "single pages before every other one is freed",
    .unit = "pair",
    .sizes = {2000000},
    .setup = setup,
    .phases = phases,
    .phase_count = 1,
};
