/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Calls on ranges other than allocation: clear many segments by one call, and iterate over the holes.
 *
 *      | busy | hole | busy | hole | busy | hole | ...       n live ranges and n holes, 32 pages each
 *      |<-- clear 2 -->|
 *
 *      free          one range by kva_free, for comparison
 *      clear k       k ranges by one kva_clear, from the start of the first to the end of the last. The time
 *                    is that of the call over k
 *      hole up       a step of kva_next_hole; iterates over all holes repeatedly
 *      hole down     the same with kva_prev_hole
 *
 * Cleared ranges are reserved again outside the timed part. Successive calls use places that are far from
 * each other, so that a call does not profit from the cache lines of the previous one.
 */
#include "workload.h"

#include <kva/ranges.h>

#define RANGE (32 * PAGE)
#define PERIOD (2 * RANGE)

static uint64_t last(size_t n)
{
    return PERIOD * (uint64_t)n - 1;
}

static void reserve(struct subject *subject, uint64_t start)
{
    enum kva_status status = kva_reserve(&subject->space, start, RANGE, NULL, NULL);
    if (status != KVA_OK)
        subject_wrong(subject, "kva_reserve", start, status);
}

static void setup(struct subject *subject)
{
    for (size_t i = 0; i < subject->n; i++) {
        subject->live[i] = PERIOD * (uint64_t)i;
        reserve(subject, subject->live[i]);
    }
}

/* -------------------------------------------------------------------------------------------------- clear */

static size_t common_divisor(size_t a, size_t b)
{
    while (b != 0) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/** The number of ranges that a call of this phase clears. */
static size_t ranges_of(const struct subject *subject)
{
    return subject->group;
}

/** Prepare for calls that clear `group` ranges, or all if there are fewer. A batch has each place at most
 *  once. */
static void enter(struct subject *subject, size_t group)
{
    subject->group = group < subject->n ? group : subject->n;
    size_t places = subject->n / subject->group;
    subject->batch_limit = places < BATCH ? places : BATCH;
    subject->batch_count = subject->batch_count < subject->batch_limit ? subject->batch_count : 1;
    /* Near the golden ratio and coprime: the steps lead to all places, and successive ones are far apart. */
    subject->stride = places * 5 / 8 + 1;
    while (common_divisor(subject->stride, places) != 1)
        subject->stride++;
    subject->cursor %= places;
}

static void prepare(struct subject *subject, size_t count)
{
    size_t places = subject->n / subject->group;
    for (size_t i = 0; i < count; i++) {
        subject->batch.address[i] = PERIOD * (uint64_t)subject->group * (uint64_t)subject->cursor;
        subject->cursor = (subject->cursor + subject->stride) % places;
    }
}

static void run_free(struct subject *subject, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        subject_give(subject, subject->batch.address[i]);
}

static void run_clear(struct subject *subject, size_t begin, size_t end)
{
    uint64_t size = PERIOD * (uint64_t)(subject->group - 1) + RANGE;
    for (size_t i = begin; i < end; i++) {
        uint64_t start = subject->batch.address[i];
        uint64_t bytes = 0;
        enum kva_status status = kva_clear(&subject->space, start, size, &bytes);
        if (status != KVA_OK || bytes != RANGE * (uint64_t)subject->group)
            subject_wrong(subject, "kva_clear", start, status);
    }
}

static void finish(struct subject *subject, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < subject->group; j++)
            reserve(subject, subject->batch.address[i] + PERIOD * (uint64_t)j);
}

static void enter_1(struct subject *subject)
{
    enter(subject, 1);
}

static void enter_10(struct subject *subject)
{
    enter(subject, 10);
}

static void enter_100(struct subject *subject)
{
    enter(subject, 100);
}

static void enter_1000(struct subject *subject)
{
    enter(subject, 1000);
}

static void enter_10000(struct subject *subject)
{
    enter(subject, 10000);
}

/* -------------------------------------------------------------------------------------------------- holes */

static void enter_holes(struct subject *subject)
{
    subject->batch_limit = BATCH;
}

static void step_to(struct subject *subject, enum kva_status status, const char *call)
{
    if (status != KVA_OK)
        subject_wrong(subject, call, subject->hole.start, status);
}

static void run_up(struct subject *subject, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        if (subject->hole.last == 0 || kva_next_hole(&subject->space, 1, &subject->hole) != KVA_OK)
            step_to(subject, kva_first_hole(&subject->space, 1, &subject->hole), "kva_first_hole");
}

static void run_down(struct subject *subject, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        if (subject->hole.last == 0 || kva_prev_hole(&subject->space, 1, &subject->hole) != KVA_OK)
            step_to(subject, kva_last_hole(&subject->space, 1, &subject->hole), "kva_last_hole");
}

#define CLEAR(its_name, its_enter, its_run)                                                                  \
    {                                                                                                        \
        .name = its_name, .enter = its_enter, .parts = ranges_of, .prepare = prepare, .run = its_run,        \
        .finish = finish                                                                                     \
    }

static const struct phase phases[] = {
    CLEAR("free", enter_1, run_free),
    CLEAR("clear 1", enter_1, run_clear),
    CLEAR("clear 10", enter_10, run_clear),
    CLEAR("clear 100", enter_100, run_clear),
    CLEAR("clear 1000", enter_1000, run_clear),
    CLEAR("clear 10000", enter_10000, run_clear),
    {.name = "hole up", .enter = enter_holes, .run = run_up},
    {.name = "hole down", .enter = enter_holes, .run = run_down},
};

const struct workload workload_ranges = {
    .name = "ranges",
    .purpose = "Live ranges of 32 pages with a hole of 32 pages after each. Frees one range; clears 1 to "
               "10000 ranges by one call, timed per range; steps from hole to hole, up and down.",
    .counts = "live ranges, and of holes",
    .unit = "range",
    .sizes = {10000, 1000000},
    .scattered = true,
    .last = last,
    .setup = setup,
    .phases = phases,
    .phase_count = sizeof(phases) / sizeof(phases[0]),
};
