/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THEORY
 *   The suite measures an allocator with the load of kernels: areas of one size, areas of random size and
 *   alignment, one-page holes between busy pages, long lists of busy areas. It runs on two kinds of targets:
 *
 *      pages    areas have memory. Tests 1 to 8 TOUCH each area of their loop: they write one byte at its
 *               start, so that they measure usable areas
 *      ranges   areas are addresses only, and nothing is written, so that the system's work on pages does not
 *               dilute the comparison of the searches. The eight tests of 2019 run on ranges; the others need
 *               memory
 *
 *   A test is a function over a target. It fails on the first allocation or free that fails, or that returns
 *   an address outside the range or off its alignment; it still frees what it holds, as far as the target
 *   allows. A target without the operations of a test does not run it.
 *
 *   All tests but two repeat something L times (test_loop_count). The loop is timed apart from the work
 *   before and after it, so that a run that was cut short can be scaled to its full length.
 *
 * RANDOMNESS
 *   Sizes and alignments come from the trial's own generator. The runner seeds it from the seed of the run,
 *   the worker, the test and the repeat, so they are the same for every engine.
 *
 * SOURCE
 *   The tests are those of Linux's lib/test_vmalloc.c: their ideas, names and parameters are Linux's. The
 *   code is our own.
 */
#include "suite.h"

#include "../common/clock.h"
#include "../common/grow.h"

#include <stdlib.h>

/* ------------------------------------------------------------------------------------------------- trials */

enum outcome trial_fail(struct trial *trial, const char *what, enum kva_status status)
{
    if (trial->failure.what == NULL) {
        trial->failure.what = what;
        trial->failure.status = status;
    }
    return OUTCOME_FAILED;
}

bool trial_fail_at(struct trial *trial, const char *what, enum kva_status status, uint64_t size,
                   uint64_t align, uint64_t addr)
{
    if (trial->failure.what == NULL)
        trial->failure = (struct failure){what, status, size, align, addr};
    return false;
}

static bool is_inside(const struct target_range *range, uint64_t addr, uint64_t size)
{
    return addr >= range->first && addr <= range->last && size - 1 <= range->last - addr;
}

bool trial_verify(struct trial *trial, uint64_t size, uint64_t align, uint64_t addr)
{
    const struct target_range *range = &trial->target->range;
    if (!is_inside(range, addr, size))
        return trial_fail_at(trial, "allocated outside the range", KVA_ERANGE, size, align, addr);
    if ((addr & (align - 1)) != 0 || (addr & (range->quantum - 1)) != 0)
        return trial_fail_at(trial, "allocated off the alignment", KVA_EALIGN, size, align, addr);
    return true;
}

bool trial_take_as(struct trial *trial, uint64_t size, uint64_t align, unsigned flags, uint64_t *addr)
{
    enum kva_status status = target_alloc(trial->target, size, align, flags, addr);
    if (status != KVA_OK)
        return trial_fail_at(trial, "allocation refused", status, size, align, 0);
    return trial_verify(trial, size, align, *addr);
}

bool trial_take(struct trial *trial, uint64_t size, uint64_t align, uint64_t *addr)
{
    return trial_take_as(trial, size, align, 0, addr);
}

void trial_touch(const struct trial *trial, uint64_t addr)
{
    if (trial->target->kind.memory == TARGET_PAGES)
        *(volatile unsigned char *)(uintptr_t)addr = 1;
}

bool trial_give(struct trial *trial, uint64_t addr, uint64_t size)
{
    enum kva_status status = target_free(trial->target, addr, size);
    return status == KVA_OK || trial_fail_at(trial, "free refused", status, size, 0, addr);
}

static bool take_and_give(struct trial *trial, uint64_t size, uint64_t align)
{
    uint64_t addr;
    return trial_take(trial, size, align, &addr) && trial_give(trial, addr, size);
}

static bool take_touch_and_give(struct trial *trial, uint64_t size, uint64_t align, unsigned flags)
{
    uint64_t addr;
    if (!trial_take_as(trial, size, align, flags, &addr))
        return false;
    trial_touch(trial, addr);
    return trial_give(trial, addr, size);
}

void trial_loop_begin(struct trial *trial, uint64_t count)
{
    trial->loops_wanted = count;
    trial->loops_done = 0;
    atomic_store_explicit(&trial->shown->wanted, count, memory_order_relaxed);
    trial->loop_ns = clock_ns();
}

/* The clock and the progress line are updated every 64 rounds: often enough if a round takes a
 * millisecond, and cheap if it takes 30 ns. */
#define ROUNDS_PER_LOOK 64

bool trial_loop(struct trial *trial)
{
    bool go_on = trial->loops_done < trial->loops_wanted;
    if (go_on && trial->loops_done % ROUNDS_PER_LOOK == 0 && trial->loops_done != 0) {
        atomic_store_explicit(&trial->shown->loops, trial->loops_done, memory_order_relaxed);
        go_on = trial->deadline_ns == UINT64_MAX || clock_ns() < trial->deadline_ns;
    }
    if (go_on)
        trial->loops_done++;
    else
        trial->loop_ns = clock_ns() - trial->loop_ns;
    return go_on;
}

enum outcome trial_outcome(const struct trial *trial)
{
    return trial->failure.what == NULL ? OUTCOME_PASSED : OUTCOME_FAILED;
}

/* -------------------------------------------------------------------------------- tests that hold nothing */

/* A huge page on x86-64: 512 entries of a page table, mapped with one entry if the area is aligned to it. */
#define HUGE_PAGE (512 * SUITE_PAGE)

/* Test 1: one size. */
static enum outcome fix_size_alloc_test(struct trial *trial)
{
    uint64_t size = trial->params->nr_pages * SUITE_PAGE;
    bool huge = trial->params->use_huge != 0 && size >= HUGE_PAGE;
    uint64_t align = huge ? HUGE_PAGE : SUITE_PAGE;
    for (trial_loop_begin(trial, trial->params->test_loop_count); trial_loop(trial);)
        if (!take_touch_and_give(trial, size, align, huge ? TARGET_HUGE : 0))
            return OUTCOME_FAILED;
    return OUTCOME_PASSED;
}

/* Test 8: 1 to 100 pages. */
static enum outcome random_size_alloc_test(struct trial *trial)
{
    for (trial_loop_begin(trial, trial->params->test_loop_count); trial_loop(trial);)
        if (!take_touch_and_give(trial, rng_between(&trial->rng, 1, 100) * SUITE_PAGE, SUITE_PAGE, 0))
            return OUTCOME_FAILED;
    return OUTCOME_PASSED;
}

/* Test 16: 5 pages at twice the alignment of a thread's stack, which is 16 KiB on x86-64. */
static enum outcome fix_align_alloc_test(struct trial *trial)
{
    const uint64_t stack_align = 16 * 1024;
    for (trial_loop_begin(trial, trial->params->test_loop_count); trial_loop(trial);)
        if (!take_and_give(trial, 5 * SUITE_PAGE, 2 * stack_align))
            return OUTCOME_FAILED;
    return OUTCOME_PASSED;
}

/* Test 32: 1 to 10 pages aligned to 2^0 .. 2^22. */
static enum outcome random_size_align_alloc_test(struct trial *trial)
{
    for (trial_loop_begin(trial, trial->params->test_loop_count); trial_loop(trial);) {
        uint64_t align = UINT64_C(1) << rng_between(&trial->rng, 0, 22);
        if (!take_and_give(trial, rng_between(&trial->rng, 1, 10) * SUITE_PAGE, align))
            return OUTCOME_FAILED;
    }
    return OUTCOME_PASSED;
}

/* The number of binary digits: 1 for 1, 2 for 2 and 3, ... */
static uint64_t binary_digits(uint64_t value)
{
    uint64_t digits = 0;
    for (; value != 0; value >>= 1)
        digits++;
    return digits;
}

/* The number of pages that Linux collects before it purges lazily freed areas: 32 MiB for each binary
 * digit of the number of CPUs. */
static uint64_t lazy_pages(const struct trial *trial)
{
    return binary_digits(trial->cpus) * (UINT64_C(32) << 20) / SUITE_PAGE;
}

/* Whether a page aligned to `align` may have no place. The range has at least bytes / align multiples of
 * it, rounded down. Each worker may hold one of them for this test; other tests' areas, which are lowest,
 * may take one at the bottom, and per-CPU areas, which are highest, one at the top. If the kind recycles,
 * each page that another worker holds may be one that this test freed before; full_fit_alloc_test holds
 * the most. */
static bool may_have_no_place(const struct trial *trial, uint64_t align)
{
    const struct target_range *range = &trial->target->range;
    uint64_t workers = trial->params->nr_threads;
    uint64_t taken = workers + 1;
    if (trial->target->kind.recycles)
        taken += (workers - 1) * 2 * lazy_pages(trial);
    return (range->last - range->first) / align <= taken;
}

/* Whether a refusal is permitted. An allocator that is not exact may refuse any alignment above the page. */
static bool may_refuse(const struct trial *trial, enum kva_status status, uint64_t align)
{
    if (trial->target->kind.exact)
        return status == KVA_ENOSPC && may_have_no_place(trial, align);
    return (status == KVA_ENOSPC || status == KVA_ENOMEM) && align > SUITE_PAGE;
}

/* Test 64: one page aligned to 2^0, 2^1, ... 2^63. It must fail: from some alignment on, no address in the
 * range is a multiple. So KVA_ENOSPC is expected from there on, and is a failure before. */
static enum outcome align_shift_alloc_test(struct trial *trial)
{
    for (unsigned shift = 0; shift < 64; shift++) {
        uint64_t align = UINT64_C(1) << shift;
        if (take_and_give(trial, SUITE_PAGE, align))
            continue;
        return may_refuse(trial, trial->failure.status, align) ? OUTCOME_XFAILED : OUTCOME_FAILED;
    }
    return OUTCOME_PASSED;
}

/* --------------------------------------------------------------------------------- tests among busy pages */

/* Single pages that a test holds. */
struct pages {
    uint64_t *addr;
    uint64_t count; /* allocated so far */
};

static bool pages_init(struct trial *trial, struct pages *pages, uint64_t room)
{
    pages->count = 0;
    pages->addr = zeroed_array(room, sizeof(*pages->addr));
    if (pages->addr == NULL)
        trial_fail(trial, "no memory for the driver's own bookkeeping", KVA_ENOMEM);
    return pages->addr != NULL;
}

static bool pages_take_one(struct trial *trial, struct pages *pages)
{
    if (!trial_take(trial, SUITE_PAGE, SUITE_PAGE, &pages->addr[pages->count]))
        return false;
    pages->count++;
    return true;
}

/* Free all of them, in order of allocation. Pages whose free is refused are leaked. */
static void pages_give(struct trial *trial, struct pages *pages)
{
    for (uint64_t i = 0; i < pages->count; i++)
        trial_give(trial, pages->addr[i], SUITE_PAGE);
    pages->count = 0;
}

static void pages_fini(struct trial *trial, struct pages *pages)
{
    pages_give(trial, pages);
    free(pages->addr);
}

static bool take_alternating(struct trial *trial, struct pages *keep, struct pages *junk, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (!pages_take_one(trial, keep) || !pages_take_one(trial, junk))
            return false;
    return true;
}

/* The body of test 2. */
static void fill_holes(struct trial *trial, struct pages *keep, struct pages *junk, uint64_t count)
{
    if (!take_alternating(trial, keep, junk, count))
        return;
    pages_give(trial, junk);
    for (trial_loop_begin(trial, trial->params->test_loop_count); trial_loop(trial);)
        if (!take_touch_and_give(trial, SUITE_PAGE, SUITE_PAGE, 0))
            return;
}

/* Test 2: one page at a time into one of n one-page holes, each a full fit:
 *
 *      [keep]....[keep]....[keep]....[keep]....            .... = a page of junk, freed
 *
 * n is the number that Linux collects before it purges, so the junk is purged and the holes exist. */
static enum outcome full_fit_alloc_test(struct trial *trial)
{
    uint64_t count = lazy_pages(trial);
    struct pages keep, junk;
    if (!pages_init(trial, &keep, count))
        return OUTCOME_FAILED;
    if (pages_init(trial, &junk, count)) {
        fill_holes(trial, &keep, &junk, count);
        pages_fini(trial, &junk);
    }
    pages_fini(trial, &keep);
    return trial_outcome(trial);
}

/* One round of test 4: 100 pages and one page, both freed. */
static bool take_two_and_give(struct trial *trial)
{
    uint64_t large, small;
    if (!trial_take(trial, 100 * SUITE_PAGE, SUITE_PAGE, &large))
        return false;
    bool taken = trial_take(trial, SUITE_PAGE, SUITE_PAGE, &small);
    trial_touch(trial, large);
    if (taken)
        trial_touch(trial, small);
    bool given = !taken || trial_give(trial, small, SUITE_PAGE);
    return trial_give(trial, large, 100 * SUITE_PAGE) && taken && given;
}

/* Test 4: allocate among 15,000 busy pages. */
static enum outcome long_busy_list_alloc_test(struct trial *trial)
{
    const uint64_t count = 15000;
    struct pages held;
    bool good = pages_init(trial, &held, count);
    if (!good)
        return OUTCOME_FAILED;
    while (good && held.count < count)
        good = pages_take_one(trial, &held);
    if (good)
        for (trial_loop_begin(trial, trial->params->test_loop_count); good && trial_loop(trial);)
            good = take_two_and_give(trial);
    pages_fini(trial, &held);
    return trial_outcome(trial);
}

const struct suite_test suite_tests[SUITE_TESTS] = {
    {1, 0, "fix_size_alloc_test", fix_size_alloc_test},
    {2, 0, "full_fit_alloc_test", full_fit_alloc_test},
    {4, 0, "long_busy_list_alloc_test", long_busy_list_alloc_test},
    {8, 0, "random_size_alloc_test", random_size_alloc_test},
    {16, 0, "fix_align_alloc_test", fix_align_alloc_test},
    {32, 0, "random_size_align_alloc_test", random_size_align_alloc_test},
    {64, 0, "align_shift_alloc_test", align_shift_alloc_test},
    {128, TARGET_CAN_PCPU, "pcpu_alloc_test", pcpu_alloc_test},
    {256, TARGET_CAN_LATER, "kvfree_rcu_1_arg_vmalloc_test", kvfree_rcu_1_arg_vmalloc_test},
    {512, TARGET_CAN_LATER, "kvfree_rcu_2_arg_vmalloc_test", kvfree_rcu_2_arg_vmalloc_test},
    {1024, TARGET_CAN_MAP, "vm_map_ram_test", vm_map_ram_test},
    {2048, TARGET_CAN_NO_BLOCK, "no_block_alloc_test", no_block_alloc_test},
    {4096, TARGET_CAN_RESIZE, "vrealloc_test", vrealloc_test},
};
