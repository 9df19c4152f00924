/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Workloads that allocate a range and free it at once, among ranges that stay. */
#include "workload.h"

/** Allocate n adjacent ranges. */
static void take_all(struct subject *subject, uint64_t pages)
{
    struct kva_request request = kva_request_of(pages * PAGE);
    for (size_t i = 0; i < subject->n; i++)
        subject->live[i] = subject_take(subject, &request);
}

/* -------------------------------------------------------------------------------------------------- holes */

/* n adjacent single pages, then every other one is freed:
 *
 *      | busy | hole | busy | hole | ... | busy | hole |   free to the end of the space
 *
 * No hole but the last holds two pages; a search that walks holes passes n / 2 of them. */
static void setup_holes(struct subject *subject)
{
    take_all(subject, 1);
    for (size_t i = 1; i < subject->n; i += 2) {
        subject_give(subject, subject->live[i]);
        subject->live[i] = NO_ADDRESS;
    }
}

static void draw_larger(struct subject *subject, struct step *step)
{
    *step = step_of_pages(rng_between(&subject->rng, 2, 8));
}

const struct workload workload_holes = {
    .name = "holes",
    .purpose = "Frees every other one of many single pages, then allocates and frees 2 to 8 pages. Shows "
               "how well a search skips many holes that are too small.",
    .counts = "single pages before every other one is freed",
    .unit = "pair",
    .sizes = {2000000},
    .draw = draw_larger,
    .setup = setup_holes,
    .phases = &lifo_phase,
    .phase_count = 1,
};

/* ---------------------------------------------------------------------------------------------------- hot */

/* Any one size is suitable; 16 pages is the size of a kernel stack. */
#define HOT_PAGES 16

/* Everything lies in the first-level cache, so a pair costs only the code. */
static void setup_hot(struct subject *subject)
{
    take_all(subject, HOT_PAGES);
}

static void draw_the_same(struct subject *subject, struct step *step)
{
    (void)subject;
    *step = step_of_pages(HOT_PAGES);
}

const struct workload workload_hot = {
    .name = "hot",
    .purpose = "Few live ranges; allocates and frees the same size repeatedly (LIFO). Shows the least cost "
               "of a pair: no cache miss, hardly any search.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {100},
    .draw = draw_the_same,
    .setup = setup_hot,
    .phases = &lifo_phase,
    .phase_count = 1,
};
