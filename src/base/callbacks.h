/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Reclaim callbacks: functions of the program that may free something when an operation runs short of it.
 *
 *      attempt -- short --> call the first callback, relieve, attempt
 *                              |  short
 *                              v
 *                           call the next one, relieve, attempt
 *                              |  short
 *                              v
 *                           ... until the last one -- short --> the operation fails
 *
 * To relieve is to take back what the instance itself keeps idle. An instance does it once before it calls
 * kva_callbacks_ask, and kva_callbacks_ask does it after each callback. A callback that freed nothing is not
 * followed by an attempt.
 *
 * One thread at a time calls callbacks, under the reclaim lock (locks.h). A thread that had to wait for that
 * lock first relieves and attempts again, because the callbacks of the other thread may have freed enough. A
 * callback may use the instance; an operation inside a callback that runs short fails without calling any.
 */
#ifndef KVA_BASE_CALLBACKS_H
#define KVA_BASE_CALLBACKS_H

#include "locks.h"

/** An operation that may run short of something. If it fails, it has changed nothing. */
typedef enum kva_status kva_attempt(void *instance, void *operation);

/** An operation that is short of something, and the functions of its instance. All but `call` run under the
 *  main lock. */
struct kva_shortage {
    struct kva_callbacks *callbacks;
    const struct kva_locks *locks;
    void *instance;
    void *operation;
    const void *request; /* passed to the callbacks */
    kva_attempt *attempt;
    bool (*is_short)(enum kva_status status);                                 /* whether freeing might help */
    bool (*relieve)(void *instance);                                          /* true: something came back */
    bool (*call)(void *instance, struct kva_link *link, const void *request); /* call one callback */
};

/** Call the callbacks one by one until an attempt succeeds or fails for another reason. Returns the status of
 *  the last attempt; `status` if there was none. */
enum kva_status kva_callbacks_ask(const struct kva_shortage *shortage, enum kva_status status);

/** Whether the caller runs inside a reclaim callback of the instance. Requires the main lock. */
static inline bool is_in_callback(const struct kva_callbacks *callbacks, const struct kva_threads *threads)
{
    return callbacks->inside != 0 && callbacks->inside == thread_self(threads);
}

/** Add a callback after all others, or remove one. Requires the main lock, which may be dropped and taken
 *  again; must not be called inside a callback. KVA_OK; KVA_EEXIST (it is on the list), KVA_ENOENT (it is
 *  not). */
enum kva_status kva_callbacks_add(struct kva_callbacks *callbacks, const struct kva_locks *locks,
                                  struct kva_link *link);
enum kva_status kva_callbacks_remove(struct kva_callbacks *callbacks, const struct kva_locks *locks,
                                     struct kva_link *link);

#endif
