/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A thread that makes one call and stops at the n-th of its points (kva_threads.point), and at each later
 * one. The test's thread steps it:
 *
 *      struct stepper stepper;
 *      stepper_init(&stepper);                     ... a space or an instance with stepper.threads ...
 *      stepper_start(&stepper, call, context, n);
 *      if (stepper_step(&stepper))                 the call is under way, at its n-th point
 *          ...
 *      stepper_finish(&stepper);
 *
 * When one of the two waits for a lock, the other one runs, because it has the lock.
 */
#ifndef KVA_TESTS_COMMON_STEPPER_H
#define KVA_TESTS_COMMON_STEPPER_H

#include "harness.h"

#include <pthread.h>
#include <semaphore.h>

#include <kva/threads.h>

struct stepper {
    struct kva_threads threads;
    void (*call)(void *context);
    void *context;
    pthread_t thread;
    sem_t at; /* it has stopped, or has ended */
    sem_t go;
    unsigned points;
    unsigned stop_at; /* 0: it does not stop */
    bool is_done;
};

/** Initialise all but the thread. The table is for two CPUs; both threads run on the first. */
void stepper_init(struct stepper *stepper);

/** Create the thread, which waits. */
void stepper_start(struct stepper *stepper, void (*call)(void *context), void *context, unsigned stop_at);

/** Let the thread run to its next stop. False if the call has ended. */
bool stepper_step(struct stepper *stepper);

/** Let the call and the thread run to their end. */
void stepper_finish(struct stepper *stepper);

#endif
