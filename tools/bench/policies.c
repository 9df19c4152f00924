/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What policies cost: the churn, with another policy in each request. Each policy has a space of its own,
 * so it finds the holes that it leaves itself; and turns go round among the policies, so that each stands
 * beside one of the lowest.
 *
 *      lowest            the churn as it always is
 *      highest           the same from the other end
 *      nearest           to a target anywhere, at most 2 GiB from it: code within reach of a branch
 *      lowest in reach   the lowest within the same window: what of that is the window's cost
 *      random            from anywhere upwards
 *      best              in a space that is not declared for it: a look at every hole that is long enough
 *      best, index       in one that is
 *      lowest, index     the lowest in such a space: what the index costs those who do not use it
 *
 * The space has 130 pages for each live range. So there is always a fit: the n - 1 others take at most 64
 * pages each, and leave at least 66 n + 64 pages in at most n holes, so one of them has more than 64 pages.
 * (In a window, that is so almost always: a quarter of 2^20 pages is busy.)
 */
#include "workload.h"

/** As in churn. */
#define PAGES_MAX 64

/** Twice the largest range, and two pages. */
#define PAGES_EACH 130

#define REACH (UINT64_C(1) << 31)

static uint64_t last(size_t n)
{
    return PAGES_EACH * (uint64_t)n * PAGE - 1;
}

static void draw_lowest(struct subject *subject, struct step *step)
{
    *step = step_of_pages(rng_between(&subject->rng, 1, PAGES_MAX));
}

static void draw_highest(struct subject *subject, struct step *step)
{
    draw_lowest(subject, step);
    step->policy = KVA_HIGHEST;
}

static void draw_in_reach(struct subject *subject, struct step *step)
{
    draw_lowest(subject, step);
    step->place = rng_below(&subject->rng, (subject->last + 1) / PAGE) * PAGE;
    step->min = step->place < REACH ? 0 : step->place - REACH;
    step->max = step->place + REACH - 1;
}

static void draw_nearest(struct subject *subject, struct step *step)
{
    draw_in_reach(subject, step);
    step->policy = KVA_NEAREST;
}

static void draw_random(struct subject *subject, struct step *step)
{
    draw_lowest(subject, step);
    step->policy = KVA_RANDOM;
    step->place = rng_next(&subject->rng);
}

static void draw_best(struct subject *subject, struct step *step)
{
    draw_lowest(subject, step);
    step->policy = KVA_BEST;
}

#define PHASE(its_name, its_draw, ...)                                                                       \
    {                                                                                                        \
        .name = its_name, .draw = its_draw, .prepare = subject_replace_prepare, .run = subject_replace_run,  \
        .finish = subject_replace_finish, __VA_ARGS__                                                        \
    }

/* The same calls give the same addresses with an index and without, so the space without may be set up in
 * one with: otherwise the set-up would take minutes at 100,000 ranges. */
static const struct phase phases[] = {
    PHASE("lowest", draw_lowest, .scattered = false),
    PHASE("highest", draw_highest, .scattered = false),
    PHASE("nearest", draw_nearest, .scattered = true),
    PHASE("lowest in reach", draw_in_reach, .scattered = true),
    PHASE("random", draw_random, .scattered = true),
    PHASE("best", draw_best, .best_fit_setup = true),
    PHASE("best, index", draw_best, .best_fit = true),
    PHASE("lowest, index", draw_lowest, .best_fit = true),
};

_Static_assert(sizeof(phases) / sizeof(phases[0]) <= APART_MAX, "each phase has a place among those apart");

const struct workload workload_policies = {
    .name = "policies",
    .purpose =
        "Churn of 1 to 64 pages by each policy, in a space of its own beside that of the lowest: highest; "
        "nearest to a random target, within 2 GiB; the lowest in that window; random; best, in a space "
        "without its index and with it; the lowest beside that index. Shows what a policy costs beside the "
        "lowest, turn by turn.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {1000, 10000, 100000},
    .beside_first = true,
    .apart = true,
    .last = last,
    .setup = subject_replace_setup,
    .phases = phases,
    .phase_count = sizeof(phases) / sizeof(phases[0]),
};
