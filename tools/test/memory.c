/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Tests 256 to 4096: those that came after 2019 and need memory.
 *
 * GRACE PERIODS. A loop may run ahead of its grace periods: one takes milliseconds, a round a fraction of a
 * microsecond. So a worker has at most LATE_MOST pending frees; then it waits for them, as an allocator that
 * "may sleep" is allowed to.
 */
#include "suite.h"

#include "../common/grace.h"

#include <stdlib.h>
#include <string.h>

/* 64 MiB of single pages: enough for a grace period, and affordable. */
#define LATE_MOST (UINT64_C(16) << 10)

/* ------------------------------------------------------------------------------------------ grace periods */

static bool take_and_give_later(struct trial *trial, bool in_place)
{
    uint64_t addr;
    if (!trial_take(trial, SUITE_PAGE, SUITE_PAGE, &addr))
        return false;
    trial_touch(trial, addr);
    enum kva_status status = target_free_later(trial->target, addr, SUITE_PAGE, in_place);
    return status == KVA_OK ||
           trial_fail_at(trial, "free after a grace period refused", status, SUITE_PAGE, 0, addr);
}

static enum outcome free_after_grace(struct trial *trial, bool in_place)
{
    if (grace_is_missing() != NULL)
        return trial_fail(trial, grace_is_missing(), KVA_ENOENT);
    grace_enter();
    bool good = true;
    for (trial_loop_begin(trial, trial->params->test_loop_count); good && trial_loop(trial);) {
        good = take_and_give_later(trial, in_place);
        if (trial->loops_done % LATE_MOST == 0)
            grace_barrier();
    }
    grace_barrier();
    grace_leave();
    return trial_outcome(trial);
}

/* Test 256: the record of a pending free has memory of its own; without memory the call waits. */
enum outcome kvfree_rcu_1_arg_vmalloc_test(struct trial *trial)
{
    return free_after_grace(trial, false);
}

/* Test 512: the record lies inside the area. */
enum outcome kvfree_rcu_2_arg_vmalloc_test(struct trial *trial)
{
    return free_after_grace(trial, true);
}

/* ------------------------------------------------------------------------------------------------- frames */

static bool map_and_unmap(struct trial *trial, void *frames, uint64_t count)
{
    uint64_t addr;
    enum kva_status status = target_map(trial->target, frames, 0, count, &addr);
    if (status != KVA_OK)
        return trial_fail_at(trial, "map refused", status, count * SUITE_PAGE, 0, 0);
    if ((addr & (SUITE_PAGE - 1)) != 0)
        return trial_fail_at(trial, "mapped off the page", KVA_EALIGN, count * SUITE_PAGE, 0, addr);
    trial_touch(trial, addr);
    status = target_unmap(trial->target, addr, count);
    return status == KVA_OK || trial_fail_at(trial, "unmap refused", status, count * SUITE_PAGE, 0, addr);
}

/* Test 1024: map and unmap the same frames repeatedly. */
enum outcome vm_map_ram_test(struct trial *trial)
{
    uint64_t count = trial->params->nr_pages;
    void *frames;
    enum kva_status status = target_frames_take(trial->target, count, &frames);
    if (status != KVA_OK)
        return trial_fail(trial, "allocation of frames refused", status);
    bool good = true;
    for (trial_loop_begin(trial, trial->params->test_loop_count); good && trial_loop(trial);)
        good = map_and_unmap(trial, frames, count);
    status = target_frames_give(trial->target, frames);
    if (status != KVA_OK)
        trial_fail(trial, "free of the frames refused", status);
    return trial_outcome(trial);
}

/* ------------------------------------------------------------------------------------------------ waiting */

static bool is_refusal(enum kva_status status)
{
    return status == KVA_ENOSPC || status == KVA_ENOMEM || status == KVA_ELIMIT || status == KVA_EAGAIN;
}

/* Test 2048: 1 to 100 pages, without waiting. Refusals are permitted: the run then counts as xfailed. */
enum outcome no_block_alloc_test(struct trial *trial)
{
    bool refused = false;
    for (trial_loop_begin(trial, trial->params->test_loop_count); trial_loop(trial);) {
        uint64_t size = rng_between(&trial->rng, 1, 100) * SUITE_PAGE;
        uint64_t addr;
        enum kva_status status = target_alloc(trial->target, size, SUITE_PAGE, TARGET_NO_BLOCK, &addr);
        if (is_refusal(status)) {
            refused = true;
            continue;
        }
        if (status != KVA_OK) {
            trial_fail_at(trial, "allocation refused for another reason", status, size, SUITE_PAGE, 0);
            return OUTCOME_FAILED;
        }
        if (!trial_verify(trial, size, SUITE_PAGE, addr))
            return OUTCOME_FAILED;
        trial_touch(trial, addr);
        if (!trial_give(trial, addr, size))
            return OUTCOME_FAILED;
    }
    return refused ? OUTCOME_XFAILED : OUTCOME_PASSED;
}

/* ----------------------------------------------------------------------------------------------- resizing */

/* Contents are checked by one word in each cache line: the area's stamp plus the word's offset. */
#define LINE UINT64_C(64)

static uint64_t word_at(uint64_t stamp, uint64_t offset)
{
    return stamp + offset;
}

static void stamp_area(uint64_t addr, uint64_t size, uint64_t stamp)
{
    for (uint64_t offset = 0; offset < size; offset += LINE) {
        uint64_t word = word_at(stamp, offset);
        memcpy((void *)(uintptr_t)(addr + offset), &word, sizeof(word));
    }
}

static bool holds_stamp(uint64_t addr, uint64_t size, uint64_t stamp)
{
    for (uint64_t offset = 0; offset < size; offset += LINE) {
        uint64_t word;
        memcpy(&word, (const void *)(uintptr_t)(addr + offset), sizeof(word));
        if (word != word_at(stamp, offset))
            return false;
    }
    return true;
}

/* One step: resize, verify the contents that must have been kept, and write new ones. */
static bool resize(struct trial *trial, uint64_t *addr, uint64_t from, uint64_t to, uint64_t *stamp)
{
    uint64_t kept = from < to ? from : to;
    enum kva_status status = target_resize(trial->target, *addr, from, to, addr);
    if (status != KVA_OK)
        return trial_fail_at(trial, "resizing refused", status, to, SUITE_PAGE, *addr);
    if (!trial_verify(trial, to, SUITE_PAGE, *addr))
        return false;
    if (!holds_stamp(*addr, kept, *stamp))
        return trial_fail_at(trial, "contents were lost", KVA_ECORRUPT, to, SUITE_PAGE, *addr);
    *stamp = rng_next(&trial->rng);
    stamp_area(*addr, to, *stamp);
    return true;
}

/* One round of test 4096: nothing -> P -> 4P -> P -> P/2 -> P -> nothing. */
static bool grow_and_shrink(struct trial *trial)
{
    static const uint64_t sizes[] = {SUITE_PAGE, 4 * SUITE_PAGE, SUITE_PAGE, SUITE_PAGE / 2, SUITE_PAGE};
    uint64_t addr, stamp = rng_next(&trial->rng);
    if (!trial_take(trial, sizes[0], SUITE_PAGE, &addr))
        return false;
    stamp_area(addr, sizes[0], stamp);
    uint64_t size = sizes[0];
    bool good = true;
    for (size_t i = 1; good && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        good = resize(trial, &addr, size, sizes[i], &stamp);
        size = good ? sizes[i] : size;
    }
    return trial_give(trial, addr, size) && good;
}

/* Test 4096. */
enum outcome vrealloc_test(struct trial *trial)
{
    for (trial_loop_begin(trial, trial->params->test_loop_count); trial_loop(trial);)
        if (!grow_and_shrink(trial))
            return OUTCOME_FAILED;
    return OUTCOME_PASSED;
}
