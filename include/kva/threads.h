/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/threads.h: spaces that many threads use; pools of small ranges for each CPU; forks.
 *
 * kva_space_create and kva_vm_create give their spaces and instances the system's threads by themselves. A kernel, or a program
 * with threads of its own kind, fills in struct kva_threads.
 */
#ifndef KVA_THREADS_H
#define KVA_THREADS_H

#include <kva/kva.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a space needs of its surroundings to serve many threads: how to wait, and who and where the caller is. Each call
 *  gets `context`; all may run on any number of threads at once.
 *
 *  wait   returns when *word may differ from `value`; may return early, and must not miss a wake: it looks at the
 *         word and goes to sleep in one step, as a futex does. Where there is nothing to sleep on (bare metal), a
 *         few pause instructions and a return serve: the caller looks again.
 *  wake   wakes one thread that waits on the word, or all of them. With a wait that returns by itself: nothing.
 *  cpu    a number that is likely that of the CPU that the caller runs on. Any number will do: CPUs need not be numbered
 *         densely, and the thread may have moved by the time it is used
 *  self   an identity of the calling thread, not 0, and no other live thread's
 *  point  NULL, or called wherever another thread could be affected: before a lock is taken, behind one that is dropped, at
 *         each atomic step. It may wait, but not call the space. For tests, which hang schedulers here
 *  alone  NULL, or a flag of the host's that is not 0 while the process has but one thread: locks are then taken by plain
 *         steps, which cost a fraction of atomic ones
 *  cpus   how many CPUs are worth a pool each; 0 stands for kva_config.cpus. Numbers from `cpu` are taken modulo this */
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

/** Hosted builds: the host's threads, for kva_config.threads. On Linux futexes, and the CPU's number where restartable
 *  sequences leave it (glibc 2.35), or else by a call.
 *
 *  Returns: the table, which lives for ever and may be shared by any number of spaces
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const struct kva_threads *kva_threads_host(void);

/* ------------------------------------------------------------------------------------------- pools */

/** POOLS. With kva_config.pool_bytes, a space keeps ranges of 1 to 256 quanta at hand for each CPU (one CPU, without threads),
 *  so that most allocations and frees of such sizes take no lock of the space's and no search.
 *
 *  What they serve   Requests WITHOUT a window (min 0, and max 0 or 2^64 - 1), KVA_LOWEST, and an alignment of at most the
 *                    quantum; a quarter of a span at most, which is 1024 quanta long, or less in a space that is smaller than
 *                    four of them. A space of fewer than 16 quanta has no pools. A request with any other window, even one as
 *                    large as the space, is served as if there were no pools
 *  What changes      Their results are free ranges, but not the lowest. KVA_ENOSPC and KVA_EEXIST are said exactly when they
 *                    would be without pools: all that pools hold goes back first. KVA_ENOMEM may be said instead, if there
 *                    is no memory to give it back in pieces
 *  What is seen      What pools hold are KVA_POOLED segments, one for each range; they may lie side by side
 *  Bound             pool_bytes is what the CPUs' pools may hold in all. Beyond that, ranges of one size lie together in spans
 *                    that are partly in use: KVA_POOLED, too
 *  Idle pools        are emptied by the busy ones, now and then; or all at once with kva_pools_drain */

/** Give back to the space what its pools keep and do not need: what CPUs hold, and spans that are wholly free.
 *
 *  In/Out:  space
 *  Returns: KVA_OK (also when there are no pools)
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O(p log n) for p pooled segments; never takes memory
 *  Locking: Space, and all CPUs' locks
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_pools_drain(struct kva_space *space);

/* ------------------------------------------------------------------------------------------- forks */

/** Before a fork of a program with threads: wait until no flush or reclaim is under way, and lock all of the space, so that
 *  the child finds it whole. In the three handlers of pthread_atfork, call these three for each space that the child will
 *  use. Without threads they do nothing.
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

/** After a fork, in the parent: unlock what kva_space_fork_prepare has locked.
 *
 *  In/Out:  space
 *  Returns: KVA_OK, or KVA_ENULL when space is NULL or not initialised
 *  Cost:    O(CPUs)
 *  Locking: ends kva_space_fork_prepare's
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_space_fork_parent(struct kva_space *space);

/** After a fork, in the child: likewise, where the threads that waited for the locks are no more.
 *
 *  In/Out:  space
 *  Returns: KVA_OK, or KVA_ENULL when space is NULL or not initialised
 *  Cost:    O(CPUs)
 *  Locking: ends kva_space_fork_prepare's
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_space_fork_child(struct kva_space *space);

#ifdef __cplusplus
}
#endif

#endif
