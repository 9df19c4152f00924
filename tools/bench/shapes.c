/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The cost of shapes: the churn with an alignment, a phase or a boundary in each request, beside plain
 * requests.
 *
 *      set-up      requests of random kinds: all engines must give the same addresses
 *      a phase     one kind only; before it is timed, seven of eight live ranges have been replaced by that
 *                  kind, so that it searches the holes that it leaves itself
 *
 * The space declares the powers of two as align classes, like a program that often requests them.
 *
 * All numbers are small multiples of a page, so that each kind finds places in holes that are about as large
 * as the ranges. The workloads aligned and needle measure larger alignments, and holes that miss them.
 */
#include "workload.h"

/** As in churn. */
#define PAGES_MAX 64

/** Alignments are below 2^5 pages: 2, 4, 8, 16 pages, and 3, 5 ... 15. */
#define EXPONENTS 4
#define ODD_MAX 15

/** Boundaries: 64, 128, 256, 512 pages. The largest ranges fit the smallest one exactly. */
#define BOUNDARIES 4

static struct step draw_size(struct subject *subject)
{
    return step_of_pages(rng_between(&subject->rng, 1, PAGES_MAX));
}

static uint64_t draw_power(struct subject *subject)
{
    return UINT64_C(1) << rng_between(&subject->rng, 1, EXPONENTS);
}

static void draw_plain(struct subject *subject, struct step *step)
{
    *step = draw_size(subject);
}

static void draw_aligned(struct subject *subject, struct step *step)
{
    *step = draw_size(subject);
    step->align = draw_power(subject) * PAGE;
}

static void draw_odd(struct subject *subject, struct step *step)
{
    *step = draw_size(subject);
    step->align = (2 * rng_between(&subject->rng, 1, (ODD_MAX - 1) / 2) + 1) * PAGE;
}

static void draw_phase(struct subject *subject, struct step *step)
{
    *step = draw_size(subject);
    uint64_t pages = draw_power(subject);
    step->align = pages * PAGE;
    step->phase_pages = (uint16_t)rng_below(&subject->rng, pages);
}

static void draw_nocross(struct subject *subject, struct step *step)
{
    *step = draw_size(subject);
    step->nocross_pages = (uint16_t)(PAGES_MAX << rng_below(&subject->rng, BOUNDARIES));
}

static draw_step *const kinds[] = {draw_plain, draw_aligned, draw_odd, draw_phase, draw_nocross};

static void draw_any(struct subject *subject, struct step *step)
{
    kinds[rng_below(&subject->rng, sizeof(kinds) / sizeof(kinds[0]))](subject, step);
}

/** Request only one kind from here on. */
static void enter(struct subject *subject, draw_step *draw)
{
    if (subject->draw == draw)
        return;
    subject->draw = draw;
    subject_replace_twice(subject);
}

static void enter_plain(struct subject *subject)
{
    enter(subject, draw_plain);
}

static void enter_aligned(struct subject *subject)
{
    enter(subject, draw_aligned);
}

static void enter_odd(struct subject *subject)
{
    enter(subject, draw_odd);
}

static void enter_phase(struct subject *subject)
{
    enter(subject, draw_phase);
}

static void enter_nocross(struct subject *subject)
{
    enter(subject, draw_nocross);
}

#define PHASE(its_name, its_enter)                                                                           \
    {                                                                                                        \
        .name = its_name, .enter = its_enter, .prepare = subject_replace_prepare,                            \
        .run = subject_replace_run, .finish = subject_replace_finish                                         \
    }

static const struct phase phases[] = {
    PHASE("plain", enter_plain), PHASE("power of two", enter_aligned), PHASE("odd", enter_odd),
    PHASE("phase", enter_phase), PHASE("nocross", enter_nocross),
};

const struct workload workload_shapes = {
    .name = "shapes",
    .align_class = {2 * PAGE, 4 * PAGE, 8 * PAGE, 16 * PAGE},
    .purpose =
        "Churn of 1 to 64 pages, plain, and with a shape: at multiples of 2 to 16 pages, at multiples of odd "
        "numbers (3 to 15 pages), at a random phase of the former, and without crossing multiples of 64 to "
        "512 pages. Shows the cost of a shape over that of a plain request.",
    .counts = "live ranges",
    .unit = "pair",
    .sizes = {10000, 100000},
    .beside_first = true,
    .draw = draw_any,
    .setup = subject_replace_setup,
    .phases = phases,
    .phase_count = sizeof(phases) / sizeof(phases[0]),
};
