/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/threads.h: spaces that many threads use; per-CPU pools of small ranges; forks.
 *
 * kva_space_create and kva_vm_create use the system's threads by default. A kernel, or a program with threads
 * of its own, fills in struct kva_threads.
 */
#ifndef KVA_THREADS_H
#define KVA_THREADS_H

#include <kva/kva.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The functions with which a space serves many threads. Each receives `context`; all may run on any number
 *  of threads at once.
 *
 *  wait   block while *word == value. May return spuriously. The comparison and the sleep are atomic with
 *         respect to wake (futex semantics). Without anything to sleep on (bare metal), a few pause
 *         instructions suffice: the caller compares again
 *  wake   wake one thread that waits on the word, or all of them. May do nothing if wait always returns
 *         without a wake
 *  cpu    the number of the current CPU. It is a hint: any number is correct. CPUs need not be numbered
 *         densely, and the thread may move to another CPU before the number is used
 *  self   a nonzero identity of the calling thread, different from that of every other live thread
 *  point  NULL, or a function that is called wherever another thread could be affected: before a lock is
 *         taken, after one is dropped, at each atomic step. It may wait, but must not call the space. Tests
 *         put schedulers here
 *  alone  NULL, or a flag of the host that is nonzero while the process is single-threaded; locks then use
 *         plain loads and stores, which cost a fraction of atomic operations
 *  cpus   the number of pools, one for each CPU; 0: kva_config.cpus. Numbers from `cpu` are taken modulo
 *         this */
struct kva_threads {
    void (*wait)(void *context, const uint32_t *word, uint32_t value);
    void (*wake)(void *context, const uint32_t *word, bool all);
    unsigned (*cpu)(void *context);
    uintptr_t (*self)(void *context);
    void (*point)(void *context);
    const char *alone;
    unsigned cpus;
    void *context;
};

/** Hosted builds: the host's threads, for kva_config.threads. On Linux: futexes, and the CPU's number from
 *  the restartable sequences of glibc 2.35, or else from sched_getcpu.
 *
 *  Returns: the table: a constant, which any number of spaces may share
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const struct kva_threads *kva_threads_host(void);

/* ------------------------------------------------------------------------------------------- pools */

/** POOLS. With kva_config.pool_bytes, a space keeps ranges of 1 to 256 quanta in a pool for each CPU (without
 *  threads, in one pool). Most allocations and frees of such sizes then take neither the space's lock nor a
 *  search.
 *
 *  Requests     Pools serve requests WITHOUT a window (min 0, and max 0 or 2^64 - 1), with KVA_LOWEST, an
 *               alignment of at most the quantum, no boundary and no filter, and at most a quarter of a span.
 *               A span is a block of 1024 quanta, or less in a space that is smaller than four of these. A
 *               space of fewer than 16 quanta has no pools. A request with any other window, even one as
 *               large as the space, is served as if there were no pools
 *  Results      Ranges from pools are free ranges, but not the lowest. Pools never cause KVA_ENOSPC or
 *               KVA_EEXIST: they are drained before either is returned. If there is no memory to drain a part
 *               of a span, KVA_ENOMEM may be returned instead
 *  Segments     Each range in a pool is a KVA_POOLED segment; such segments may be adjacent
 *  Bound        The CPUs' pools hold at most pool_bytes in all. Further free ranges lie in spans of which
 *               other ranges are in use or in a CPU's pool, and in at most two empty spans. They are
 *               KVA_POOLED as well, so kva_stats.pooled_bytes may exceed pool_bytes
 *  Idle pools   Busy pools empty idle ones from time to time; kva_pools_drain empties all at once */

/** Give back to the space the ranges in its CPUs' pools, and the spans that are then wholly free.
 *
 *  In/Out:  space
 *  Returns: KVA_OK (also without pools)
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O(p log n) for p pooled segments; never takes memory
 *  Locking: Space, and all CPUs' locks
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_pools_drain(struct kva_space *space);

/* ------------------------------------------------------------------------------------------- forks */

/** Before a fork of a program with threads: wait until no flush or reclaim is under way, and lock all of the
 *  space, so that it is consistent in the child. In the three handlers of pthread_atfork, call these three
 *  for each space that the child will use. Without threads they lock nothing.
 *
 *  In/Out:  space
 *  Returns: KVA_OK, and the space is locked
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EREENTRY   called from inside a flush or reclaim callback
 *  Cost:    O(CPUs). A flush under way comes on top
 *  Locking: Space, all CPUs' locks, and the reclaim lock: held until the fork is over
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_fork_prepare(struct kva_space *space);

/** After a fork, in the parent: release the locks of kva_space_fork_prepare.
 *
 *  In/Out:  space
 *  Returns: KVA_OK, or KVA_ENULL when space is NULL or not initialised
 *  Cost:    O(CPUs)
 *  Locking: releases all locks that kva_space_fork_prepare took
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_space_fork_parent(struct kva_space *space);

/** After a fork, in the child, which has no other threads: reset the locks of kva_space_fork_prepare.
 *
 *  In/Out:  space
 *  Returns: KVA_OK, or KVA_ENULL when space is NULL or not initialised
 *  Cost:    O(CPUs)
 *  Locking: releases all locks that kva_space_fork_prepare took
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_space_fork_child(struct kva_space *space);

#ifdef __cplusplus
}
#endif

#endif
