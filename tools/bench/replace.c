/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Workloads that replace random live ranges, and differ in their requests. */
#include "workload.h"

/* -------------------------------------------------------------------------------------------------- churn */

/* Sizes are uniform in 1 .. 64 pages, like the stacks, modules and buffers of a kernel. Figures of other
 * allocators are published for this mix. */
static void draw_small(struct subject *subject, struct step *step)
{
    *step = step_of_pages(rng_between(&subject->rng, 1, 64));
}

const struct workload workload_churn = {
    .name = "churn",
    .purpose =
        "Frees a random live range by address and allocates one of another random size, 1 to 64 pages. "
        "The ordinary load, for which figures of other allocators are published.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {1000, 10000, 100000, 1000000},
    .draw = draw_small,
    .setup = subject_replace_setup,
    .phases = &replace_phase,
    .phase_count = 1,
};

/* The cost of owners: a pointer for each range, and its cache lines. */
const struct workload workload_ownerless = {
    .name = "ownerless",
    .purpose =
        "The churn in a space that keeps no owners (without_owners). Shows the bytes and the time of the "
        "least bookkeeping.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {10000, 1000000},
    .without_owners = true,
    .draw = draw_small,
    .setup = subject_replace_setup,
    .phases = &replace_phase,
    .phase_count = 1,
};

/* The longest single operation of the same traffic. */
const struct workload workload_longest = {
    .name = "longest",
    .purpose = "The longest single operation of 10 million of the churn. All are timed in two identical "
               "runs, and each counts with its shorter time, which excludes interruptions; an empty loop, "
               "timed in between, shows the delays of the machine itself.",
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

/* 4 KiB, 8 KiB, ... 2 MiB: from a page to a huge page. */
#define ALIGNMENTS 10

/* Sizes are uniform in 1 .. 512 pages, up to the largest alignment. Alignments are equally likely and
 * independent of the size. */
static void draw_aligned(struct subject *subject, struct step *step)
{
    *step = step_of_pages(rng_between(&subject->rng, 1, 512));
    step->align = PAGE << rng_below(&subject->rng, ALIGNMENTS);
}

const struct workload workload_aligned = {
    .name = "aligned",
    .purpose = "Churn of 1 to 512 pages at a random alignment from 4 KiB to 2 MiB. Shows the cost of an "
               "exact search where many holes are large enough but misaligned.",
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

/* The windows lie in an extent of twice the size of n ranges of 1 .. 64 pages, 32.5 on average: it is half
 * full. */
static uint64_t extent_pages(const struct subject *subject)
{
    return 65 * (uint64_t)subject->n;
}

/** The number of widths: 64, 128, 256 ... pages, as far as they fit the extent; at least one. */
static uint64_t widths(uint64_t extent)
{
    uint64_t count = 1;
    while (((uint64_t)PAGES_MAX << count) <= extent)
        count++;
    return count;
}

/* A window begins at a uniformly random page of the extent. Its width is 64 pages times a power of two, all
 * widths up to the extent equally likely: from narrow ones (code within reach of a branch) to wide ones
 * (below 4 GiB). A request with a narrow window may find no fit. */
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
    .purpose = "Churn of 1 to 64 pages, each request within a random window [min, max], whose width is 64 "
               "pages times a power of two, in an extent of twice the size of the live ranges. Counts the "
               "requests that correctly find no fit.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {100000},
    .scattered = true,
    .draw = draw_within,
    .setup = setup_windows,
    .phases = &replace_phase,
    .phase_count = 1,
};
