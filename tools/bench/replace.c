/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Workloads that replace random live ranges, and differ in what they ask for. */
#include "workload.h"

/* -------------------------------------------------------------------------------------------------- churn */

/* Sizes are uniform in 1 .. 64 pages: small ranges as a kernel's stacks, modules and buffers take them, and
 * the mix for which figures of other allocators have been published. */
static void draw_small(struct subject *subject, struct step *step)
{
    *step = step_of_pages(rng_between(&subject->rng, 1, 64));
}

const struct workload workload_churn = {
    .name = "churn",
    .purpose = "A random live range is freed by address and one of another random size, 1 to 64 pages, is "
               "allocated. The everyday load, and the one to compare allocators by.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {1000, 10000, 100000, 1000000},
    .draw = draw_small,
    .setup = subject_replace_setup,
    .phases = &replace_phase,
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
    .draw = draw_small,
    .setup = subject_replace_setup,
    .phases = &replace_phase,
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
    .draw = draw_small,
    .setup = subject_replace_setup,
    .phases = &replace_phase,
    .phase_count = 1,
};

/* ------------------------------------------------------------------------------------------------ aligned */

/* 4 KiB, 8 KiB, ... 2 MiB: from a page to what a huge page needs. */
#define ALIGNMENTS 10

/* Sizes are uniform in 1 .. 512 pages, up to the largest alignment; alignments are equally likely and
 * independent of the size, so most requests ask for more alignment than their size would suggest. */
static void draw_aligned(struct subject *subject, struct step *step)
{
    *step = step_of_pages(rng_between(&subject->rng, 1, 512));
    step->align = PAGE << rng_below(&subject->rng, ALIGNMENTS);
}

const struct workload workload_aligned = {
    .name = "aligned",
    .purpose = "Churn of 1 to 512 pages at a random alignment from 4 KiB to 2 MiB. Shows what an exact "
               "search costs where many holes are long enough but lie wrong.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {100000},
    .draw = draw_aligned,
    .setup = subject_replace_setup,
    .phases = &replace_phase,
    .phase_count = 1,
};

/* ------------------------------------------------------------------------------------------------ windows */

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
static void draw_within(struct subject *subject, struct step *step)
{
    uint64_t extent = extent_pages(subject);
    *step = step_of_pages(rng_between(&subject->rng, 1, PAGES_MAX));
    step->min = rng_below(&subject->rng, extent) * PAGE;
    uint64_t width = (PAGES_MAX * PAGE) << rng_below(&subject->rng, widths(extent));
    step->max = step->min + width - 1;
}

static void setup_windows(struct subject *subject)
{
    subject->may_miss = true;
    subject_replace_setup(subject);
}

const struct workload workload_windows = {
    .name = "windows",
    .purpose = "Churn of 1 to 64 pages, each request within a random window [min, max]: 64 pages times a "
               "power of two wide, over a stretch twice as long as the live ranges. Requests that rightly "
               "find no fit are counted.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {100000},
    .scattered = true,
    .draw = draw_within,
    .setup = setup_windows,
    .phases = &replace_phase,
    .phase_count = 1,
};
