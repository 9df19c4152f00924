/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * One hole that fits among many that nearly fit. In pages, with a hole of 512 in every 1024:
 *
 *      0 1          513      1025        1537     2049           1024 n       1024 n + 512     1024 (n + 1)
 *      |B|   hole    |  busy  |   hole    |  busy  |   ... busy   |   needle   |     busy      |
 *
 * 2 MiB are 512 pages. A hole at 1024 k + 1 begins one page after a multiple of 512, and the next multiple is
 * its last page. The needle begins at a multiple and is exactly long enough. The space declares 2 MiB as an
 * align class, for the engines that use it.
 */
#include "workload.h"

#define HOLE_PAGES UINT64_C(512)
#define PERIOD (2 * HOLE_PAGES)
#define HUGE (HOLE_PAGES * PAGE)

static uint64_t needle_page(size_t n)
{
    return PERIOD * (uint64_t)n;
}

static uint64_t last(size_t n)
{
    return (needle_page(n) + PERIOD) * PAGE - 1;
}

/** Make the pages [begin, end) busy. */
static uint64_t reserve(struct subject *subject, uint64_t begin, uint64_t end)
{
    enum kva_status status = kva_reserve(&subject->space, begin * PAGE, (end - begin) * PAGE, NULL, NULL);
    if (status != KVA_OK)
        subject_wrong(subject, "kva_reserve", begin * PAGE, status);
    return begin * PAGE;
}

static void draw_aligned(struct subject *subject, struct step *step)
{
    (void)subject;
    *step = step_of_pages(HOLE_PAGES);
    step->align = HUGE;
}

/** Without alignment, the first hole fits. */
static void draw_unaligned(struct subject *subject, struct step *step)
{
    (void)subject;
    *step = step_of_pages(HOLE_PAGES);
}

/** The needle must be the only fit: once it is allocated, the same request must fail. */
static void verify_needle(struct subject *subject)
{
    struct step step;
    draw_aligned(subject, &step);
    struct kva_request request = step_request(&step);
    uint64_t address = subject_take(subject, &request);
    if (address != needle_page(subject->n) * PAGE)
        subject_misplaced(subject, needle_page(subject->n) * PAGE, address);
    uint64_t second;
    enum kva_status status = kva_alloc(&subject->space, &request, &second);
    if (status != KVA_ENOSPC)
        subject_wrong(subject, "a second kva_alloc", request.size, status);
    subject_give(subject, address);
}

static void setup(struct subject *subject)
{
    size_t n = subject->n;
    reserve(subject, 0, 1);
    for (size_t k = 0; k < n; k++) {
        uint64_t period = PERIOD * (uint64_t)k;
        uint64_t end = period + PERIOD + (k + 1 < n ? 1 : 0); /* the last one stops at the needle */
        subject->live[k] = reserve(subject, period + 1 + HOLE_PAGES, end);
    }
    reserve(subject, needle_page(n) + HOLE_PAGES, needle_page(n) + PERIOD);
    verify_needle(subject);
}

static void enter_aligned(struct subject *subject)
{
    subject->expected = needle_page(subject->n) * PAGE;
    subject->draw = draw_aligned;
}

static void enter_unaligned(struct subject *subject)
{
    subject->expected = 1 * PAGE;
    subject->draw = draw_unaligned;
}

static const struct phase phases[] = {
    {.name = "aligned", .enter = enter_aligned, .prepare = subject_lifo_prepare, .run = subject_lifo_run},
    {.name = "unaligned", .enter = enter_unaligned, .prepare = subject_lifo_prepare, .run = subject_lifo_run},
};

const struct workload workload_needle = {
    .name = "needle",
    .align_class = {HUGE},
    .purpose = "Holes of 512 pages that miss 2 MiB alignment by one page, and after them one that does not. "
               "Requests 512 pages, aligned to 2 MiB and unaligned. Each address is verified: a search for "
               "size + alignment would miss the only fit.",
    .counts = "holes that miss",
    .unit = "pair",
    .sizes = {100000},
    .scattered = true,
    .last = last,
    .setup = setup,
    .phases = phases,
    .phase_count = sizeof(phases) / sizeof(phases[0]),
};
