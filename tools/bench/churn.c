/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "workload.h"

/* Sizes are uniform in 1 .. 64 pages: small ranges as a kernel's stacks, modules and buffers take them, and
 * the mix for which figures of other allocators have been published. */
static void draw(struct subject *subject, struct step *step)
{
    *step = step_of_pages(rng_between(&subject->rng, 1, 64));
}

static void setup(struct subject *subject)
{
    subject_replace_setup(subject, draw);
}

static void prepare(struct subject *subject, size_t count)
{
    subject_replace_prepare(subject, count, draw);
}

static const struct phase phases[] = {
    {.prepare = prepare, .run = subject_replace_run, .finish = subject_replace_finish},
};

const struct workload workload_churn = {
    .name = "churn",
    .purpose = "A random live range is freed by address and one of another random size, 1 to 64 pages, is "
               "allocated. The everyday load, and the one to compare allocators by.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {1000, 10000, 100000, 1000000},
    .setup = setup,
    .phases = phases,
    .phase_count = 1,
};

/* What the owners cost: a pointer for each range, and the lines that it lies on. */
const struct workload workload_ownerless = {
    .name = "ownerless",
    .purpose =
        "The churn in a space that keeps no owners (without_owners): what the least bookkeeping takes, in "
        "bytes and in time.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {10000, 1000000},
    .without_owners = true,
    .setup = setup,
    .phases = phases,
    .phase_count = 1,
};

/* The longest single operation is looked for in the same traffic, one operation at a time. */
const struct workload workload_longest = {
    .name = "longest",
    .purpose = "The longest single operation in 10 million of the churn. All of them are timed twice, and "
               "an operation counts with the shorter time, so that an interruption is not taken for the "
               "engine's; an empty timed loop beside it shows what the machine itself does.",
    .counts = "live ranges",
    .unit = "op",
    .sizes = {100000},
    .single = true,
    .setup = setup,
    .phases = phases,
    .phase_count = 1,
};
