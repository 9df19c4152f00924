/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "workload.h"

/* 4 KiB, 8 KiB, ... 2 MiB: from a page to what a huge page needs. */
#define ALIGNMENTS 10

/* Sizes are uniform in 1 .. 512 pages, up to the largest alignment; alignments are equally likely and
 * independent of the size, so most requests ask for more alignment than their size would suggest. */
static void draw(struct subject *subject, struct step *step)
{
    *step = step_of_pages(rng_between(&subject->rng, 1, 512));
    step->align = PAGE << rng_below(&subject->rng, ALIGNMENTS);
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

const struct workload workload_aligned = {
    .name = "aligned",
    .purpose = "Churn of 1 to 512 pages at a random alignment from 4 KiB to 2 MiB. Shows what an exact "
               "search costs where many holes are long enough but lie wrong.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {100000},
    .setup = setup,
    .phases = phases,
    .phase_count = 1,
};
