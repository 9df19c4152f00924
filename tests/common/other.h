/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A simulated second thread, run by the `point` function of struct kva_threads: it makes a step whenever the
 * first thread comes to a point and no lock is held. So it is present in every run, and every run is the
 * same. It runs on CPU 1, the first thread on CPU 0.
 */
#ifndef KVA_TESTS_COMMON_OTHER_H
#define KVA_TESTS_COMMON_OTHER_H

#include "harness.h"

#include <kva/threads.h>

#include "base/locks.h"

/** It stops after so many steps. */
enum { TEST_PATIENCE = 1000 };

struct test_other {
    struct kva_threads threads;
    const struct kva_locks *locks; /* of the space or the instance; set before the first step */
    void (*step)(void *context);   /* NULL: it is idle */
    void *context;                 /* of the step */
    bool is_inside;                /* a step is running */
    unsigned steps;                /* steps made */
};

/** It is idle. `threads` is for two CPUs. */
void test_other_init(struct test_other *other, void *context);

/** Make it idle again. It must have made a step, and the call under test must have ended before TEST_PATIENCE
 * steps. */
void test_other_stop(struct test_other *other);

#endif
