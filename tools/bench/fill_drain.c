/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "workload.h"

/* A turn fills the space with n single pages, or frees them all in some order. Only the n operations of a
 * phase are timed, not the work that brings the space into the state before it. From the second fill on, the
 * space reuses its own nodes. */

static void fill(struct subject *subject, size_t begin, size_t end)
{
    struct kva_request page = kva_request_of(PAGE);
    for (size_t i = subject->cursor + begin; i < subject->cursor + end; i++)
        subject->live[i] = subject_take(subject, &page);
}

/** Free the addresses of the order table in sequence. */
static void drain(struct subject *subject, size_t begin, size_t end)
{
    for (size_t i = subject->cursor + begin; i < subject->cursor + end; i++)
        subject_give(subject, subject->order[i]);
}

static void advance(struct subject *subject, size_t count)
{
    subject->cursor += count;
}

static void setup(struct subject *subject)
{
    subject_need_order(subject);
    fill(subject, 0, subject->n);
    subject->full = true;
}

static void order_up(struct subject *subject)
{
    for (size_t i = 0; i < subject->n; i++)
        subject->order[i] = subject->live[i]; /* lowest fits of one size from an empty space: ascending */
}

static void order_down(struct subject *subject)
{
    for (size_t i = 0; i < subject->n; i++)
        subject->order[i] = subject->live[subject->n - 1 - i];
}

/** A uniformly random order: each place, from the last one down, swaps with a random place at or before
 *  it. */
static void order_random(struct subject *subject)
{
    order_up(subject);
    for (size_t i = subject->n; i > 1; i--) {
        size_t other = (size_t)rng_below(&subject->rng, i);
        uint64_t address = subject->order[i - 1];
        subject->order[i - 1] = subject->order[other];
        subject->order[other] = address;
    }
}

/** Before a fill: empty the space. */
static void enter_fill(struct subject *subject)
{
    subject->cursor = 0;
    if (subject->full) {
        order_down(subject);
        drain(subject, 0, subject->n);
    }
    subject->full = true; /* at the end of the turn */
}

/** Before a drain: fill the space. */
static void fill_up(struct subject *subject)
{
    subject->cursor = 0;
    if (!subject->full)
        fill(subject, 0, subject->n);
    subject->full = false; /* at the end of the turn */
}

static void enter_up(struct subject *subject)
{
    fill_up(subject);
    order_up(subject);
}

static void enter_down(struct subject *subject)
{
    fill_up(subject);
    order_down(subject);
}

static void enter_random(struct subject *subject)
{
    fill_up(subject);
    order_random(subject);
}

static const struct phase phases[] = {
    {.name = "fill", .enter = enter_fill, .fixed_count = true, .run = fill, .finish = advance},
    {.name = "drain up", .enter = enter_up, .fixed_count = true, .run = drain, .finish = advance},
    {.name = "drain down", .enter = enter_down, .fixed_count = true, .run = drain, .finish = advance},
    {.name = "drain random", .enter = enter_random, .fixed_count = true, .run = drain, .finish = advance},
};

const struct workload workload_fill_drain = {
    .name = "fill-drain",
    .purpose = "Allocates single pages, then frees them in address order, in reverse and in random order. "
               "Shows growth, merging, and the cost of a free that misses the caches.",
    .counts = "single pages",
    .unit = "op",
    .sizes = {1000000},
    .setup = setup,
    .phases = phases,
    .phase_count = sizeof(phases) / sizeof(phases[0]),
};
