/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "workload.h"

#define PAGES_MAX 64

/* Twice the bytes of n ranges of 1 .. 64 pages, 32.5 on the average: the windows lie over a stretch that is
 * half full. */
static uint64_t extent_pages(const struct subject *subject)
{
    return 65 * (uint64_t)subject->n;
}

/** How many widths there are: 64, 128, 256 ... pages, as long as they fit the extent; at least one. */
static uint64_t widths(uint64_t extent)
{
    uint64_t count = 1;
    while (((uint64_t)PAGES_MAX << count) <= extent)
        count++;
    return count;
}

/* A window begins at a uniformly random page of the extent. Its width is 64 pages times a power of two, all
 * equally likely up to the extent: as many requests are bound to a close neighbourhood (code within reach of
 * a branch) as are nearly free (below 4 GiB). The narrowest may find nothing. */
static void draw(struct subject *subject, struct step *step)
{
    uint64_t extent = extent_pages(subject);
    *step = step_of_pages(rng_between(&subject->rng, 1, PAGES_MAX));
    step->min = rng_below(&subject->rng, extent) * PAGE;
    uint64_t width = (PAGES_MAX * PAGE) << rng_below(&subject->rng, widths(extent));
    step->max = step->min + width - 1;
}

static void setup(struct subject *subject)
{
    subject->may_miss = true;
    subject_replace_setup(subject, draw);
}

static void prepare(struct subject *subject, size_t count)
{
    subject_replace_prepare(subject, count, draw);
}

static const struct phase phases[] = {
    {.prepare = prepare, .run = subject_replace_run, .finish = subject_replace_finish},
};

const struct workload workload_windows = {
    .name = "windows",
    .purpose = "Churn of 1 to 64 pages, each request within a random window [min, max]: 64 pages times a "
               "power of two wide, over a stretch twice as long as the live ranges. Requests that rightly "
               "find no fit are counted.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {100000},
    .scattered = true,
    .setup = setup,
    .phases = phases,
    .phase_count = 1,
};
