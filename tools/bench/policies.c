/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The cost of policies: the churn, with another policy in each phase. Each policy has its own space, so it
 * searches the holes that it leaves itself. The policies take turns, so that each turn stands beside one of
 * the policy lowest.
 *
 *      lowest            the churn
 *      highest           the same from the other end
 *      nearest           nearest to a random target, at most 2 GiB from it: code within reach of a branch
 *      lowest in reach   the lowest fit in the same window: the window's part of that cost
 *      random            the lowest fit from a random address on
 *      best              best fit without an index by size: examines every hole that is large enough
 *      best, index       best fit with an index by size
 *      lowest, index     the lowest fit in such a space: the cost of the index for other requests
 *
 * The space has 130 pages for each live range, so there is always a fit: the n - 1 other ranges take at most
 * 64 pages each, and leave at least 66 n + 64 pages in at most n holes, so one hole has more than 64 pages.
 * (In a window there is almost always a fit: a quarter of its 2^20 pages is busy.)
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

/* The same calls give the same addresses with and without an index. So "best" is set up in a space with an
 * index: otherwise the set-up would take minutes at 100,000 ranges. */
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

_Static_assert(sizeof(phases) / sizeof(phases[0]) <= APART_MAX, "run_apart() has room for all phases");

const struct workload workload_policies = {
    .name = "policies",
    .purpose =
        "Churn of 1 to 64 pages by each policy, each in its own space: lowest; highest; nearest to a random "
        "target, within 2 GiB; the lowest in that window; random; best, without and with an index by size; "
        "the lowest with that index. Shows the cost of a policy over that of the lowest, turn by turn.",
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
