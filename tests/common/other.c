/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "other.h"

#include <stdlib.h>

static bool is_free(struct kva_lock *lock)
{
    return atomic_load(&lock->word) == KVA_LOCK_FREE;
}

static bool are_all_free(const struct kva_locks *locks)
{
    bool all = is_free(&lockable(locks)->main) && is_free(&lockable(locks)->reclaim);

    for (unsigned i = 0; i < locks->cpu_count; i++)
        all = all && is_free(cpu_record(locks, i));
    return all;
}

static void point(void *context)
{
    struct test_other *other = context;

    if (!other->step || other->is_inside || other->steps == TEST_PATIENCE || !are_all_free(other->locks))
        return;
    other->is_inside = true;
    other->steps++;
    other->step(other->context);
    other->is_inside = false;
}

static unsigned cpu_of(void *context)
{
    return ((const struct test_other *)context)->is_inside;
}

static uintptr_t self_of_thread(void *context)
{
    return 1 + cpu_of(context);
}

static void no_wait(void *context, const uint32_t *word, uint32_t value)
{
    (void)context;
    (void)word;
    (void)value;
    abort(); /* no other thread could wake this one */
}

static void no_wake(void *context, const uint32_t *word, bool all)
{
    (void)context;
    (void)word;
    (void)all;
}

void test_other_init(struct test_other *other, void *context)
{
    *other = (struct test_other){
        .threads =
            {
                .wait = no_wait,
                .wake = no_wake,
                .cpu = cpu_of,
                .self = self_of_thread,
                .point = point,
                .context = other,
            },
        .context = context,
    };
}

void test_other_stop(struct test_other *other)
{
    other->step = NULL;
    check_that(other->steps > 0 && other->steps < TEST_PATIENCE, "the other thread made %u steps",
               other->steps);
}
