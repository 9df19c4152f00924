/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The Linux port's threads: futexes to wait on, and the CPU that a thread runs on.
 *
 * From version 2.35 on, glibc registers each thread for restartable sequences: whenever the thread runs, the
 * kernel keeps the CPU's number up to date in a structure beside the thread pointer. Reading it takes a load
 * or two; sched_getcpu takes some ten times as long.
 */
#include "gnu.h"

#include <kva/threads.h>

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<linux/futex.h>)
#include <linux/futex.h>
#else /* musl, which comes without the kernel's headers; the numbers are the kernel's ABI on every machine */
#define FUTEX_WAIT_PRIVATE (0 | 128)
#define FUTEX_WAKE_PRIVATE (1 | 128)
#endif

#if __has_include(<sys/single_threaded.h>) /* glibc 2.32 */
#include <sys/single_threaded.h>
#define ALONE &__libc_single_threaded
#else
#define ALONE NULL
#endif

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include "../port.h"

static void host_wait(void *context, const uint32_t *word, uint32_t value)
{
    (void)context;
    /* The caller checks the word again, whatever the result. */
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void host_wake(void *context, const uint32_t *word, bool all)
{
    (void)context;
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, all ? INT32_MAX : 1, NULL, NULL, 0);
}

static unsigned ask_for_cpu(void)
{
    int cpu = sched_getcpu();
    return cpu >= 0 ? (unsigned)cpu : 0;
}

/** The number is negative if the kernel refused the registration. */
static unsigned host_cpu(void *context)
{
    (void)context;
#if defined(RSEQ_SIG) && (defined(__x86_64__) || defined(__aarch64__))
    const volatile struct rseq *rseq =
        (const struct rseq *)((const char *)__builtin_thread_pointer() + __rseq_offset);
    uint32_t cpu = __rseq_size > 0 ? rseq->cpu_id : UINT32_MAX;
    if (cpu <= INT32_MAX)
        return cpu;
#endif
    return ask_for_cpu();
}

/** The initial-exec model: thread-local data lies at a fixed distance from the thread pointer, in memory that
 *  a thread has from its start. In the usual model of a shared library, glibc calls malloc when a thread
 *  first uses the data of a library that dlopen has loaded; and that malloc may be our caller. glibc reserves
 *  more than 1 KiB in each thread for libraries of this model; we need a byte. Other C libraries take all
 *  such memory when a thread begins or a library is loaded, and may refuse to load one of this model. */
#ifdef __GLIBC__
#define FROM_THE_START __attribute__((tls_model("initial-exec")))
#else
#define FROM_THE_START
#endif

/** The address of a thread-local variable. */
static uintptr_t host_self(void *context)
{
    static _Thread_local FROM_THE_START char mine;

    (void)context;
    return (uintptr_t)&mine;
}

const struct kva_threads *kva_threads_host(void)
{
    static const struct kva_threads threads = {
        .wait = host_wait, .wake = host_wake, .cpu = host_cpu, .self = host_self, .alone = ALONE};

    return &threads;
}
