/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "stepper.h"

#include <string.h>

/** The stepper of this thread, during the call. */
static _Thread_local struct stepper *own;

static void stop(struct stepper *stepper)
{
    assert_int_equal(sem_post(&stepper->at), 0);
    assert_int_equal(sem_wait(&stepper->go), 0);
}

bool stepper_step(struct stepper *stepper)
{
    assert_int_equal(sem_post(&stepper->go), 0);
    assert_int_equal(sem_wait(&stepper->at), 0);
    return !stepper->is_done;
}

static void point(void *context)
{
    (void)context;
    if (own != NULL && ++own->points >= own->stop_at && own->stop_at != 0)
        stop(own);
}

static void wait_for_the_other(void *context, const uint32_t *word, uint32_t value)
{
    struct stepper *stepper = context;

    (void)word;
    (void)value;
    if (own != NULL)
        stop(stepper);
    else
        (void)stepper_step(stepper);
}

static void wake_none(void *context, const uint32_t *word, bool all)
{
    (void)context;
    (void)word;
    (void)all;
}

static unsigned first_cpu(void *context)
{
    (void)context;
    return 0;
}

static uintptr_t self(void *context)
{
    (void)context;
    return own != NULL ? 2 : 1;
}

void stepper_init(struct stepper *stepper)
{
    memset(stepper, 0, sizeof *stepper);
    stepper->threads = (struct kva_threads){
        .wait = wait_for_the_other,
        .wake = wake_none,
        .cpu = first_cpu,
        .self = self,
        .point = point,
        .cpus = 2,
        .context = stepper,
    };
}

static void *work(void *context)
{
    struct stepper *stepper = context;

    assert_int_equal(sem_wait(&stepper->go), 0);
    own = stepper;
    stepper->call(stepper->context);
    own = NULL;
    stepper->is_done = true;
    assert_int_equal(sem_post(&stepper->at), 0);
    return NULL;
}

void stepper_start(struct stepper *stepper, void (*call)(void *context), void *context, unsigned stop_at)
{
    stepper->call = call;
    stepper->context = context;
    stepper->stop_at = stop_at;
    assert_int_equal(sem_init(&stepper->at, 0, 0), 0);
    assert_int_equal(sem_init(&stepper->go, 0, 0), 0);
    assert_int_equal(pthread_create(&stepper->thread, NULL, work, stepper), 0);
}

void stepper_finish(struct stepper *stepper)
{
    stepper->stop_at = 0;
    while (!stepper->is_done)
        (void)stepper_step(stepper);
    assert_int_equal(pthread_join(stepper->thread, NULL), 0);
    sem_destroy(&stepper->at);
    sem_destroy(&stepper->go);
}
