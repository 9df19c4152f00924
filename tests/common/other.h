/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Another thread, played by the point of struct kva_threads: it makes a step whenever the first thread comes
 * to a point and no lock is taken. So it is always there, and every run is the same. It runs on CPU 1, the
 * first thread on CPU 0.
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
    void (*step)(void *context);   /* NULL: it sleeps */
    void *context;                 /* of the step */
    bool is_inside;                /* it runs just now */
    unsigned steps;                /* that it has made */
};

/** It sleeps. `threads` is for two CPUs. */
void test_other_init(struct test_other *other, void *context);

/** Let it sleep again. It must have made a step, and the call under test must have ended before the other
 *  thread stopped by itself. */
void test_other_stop(struct test_other *other);

#endif
