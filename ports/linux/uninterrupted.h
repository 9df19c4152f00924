/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * An uninterrupted section of a thread: nothing ends or diverts the thread before its end. Other threads may
 * be waiting for it meanwhile.
 *
 *   - Signals are blocked: no handler runs.
 *   - Cancellation (pthread_cancel) is put off, although the thread makes system calls that are cancellation
 *     points.
 *   - SIGXFSZ, which the kernel sends to a thread that writes to a file beyond RLIMIT_FSIZE, is consumed: the
 *     program sees only that the call failed.
 *
 * A file that includes this includes gnu.h first.
 */
#ifndef KVA_PORTS_LINUX_UNINTERRUPTED_H
#define KVA_PORTS_LINUX_UNINTERRUPTED_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

/** The state before the section. */
struct uninterrupted {
    sigset_t signals;
    int cancel;
    bool was_too_large; /* SIGXFSZ was pending */
};

static inline bool is_pending(int number)
{
    sigset_t pending;

    (void)sigemptyset(&pending);
    (void)sigpending(&pending);
    return sigismember(&pending, number) == 1;
}

static inline void begin_uninterrupted(struct uninterrupted *section)
{
    sigset_t all;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &section->cancel);
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &section->signals);
    section->was_too_large = is_pending(SIGXFSZ);
}

static inline void end_uninterrupted(const struct uninterrupted *section)
{
    const struct timespec none = {0, 0};
    sigset_t too_large;

    (void)sigemptyset(&too_large);
    (void)sigaddset(&too_large, SIGXFSZ);
    if (!section->was_too_large)
        (void)sigtimedwait(&too_large, NULL, &none);
    (void)sigprocmask(SIG_SETMASK, &section->signals, NULL);
    (void)pthread_setcancelstate(section->cancel, NULL);
}

/** Wait before another try of a call that must be granted: other threads may have to release something first.
 *  `tries`: how many there were. */
static inline void wait_to_try_again(unsigned tries)
{
    const unsigned at_once = 100;
    const struct timespec millisecond = {0, 1000000};

    if (tries < at_once)
        (void)sched_yield();
    else
        (void)nanosleep(&millisecond, NULL);
}

#endif
