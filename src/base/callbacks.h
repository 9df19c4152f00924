/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Reclaim callbacks: the program's functions that may free something when an operation finds too little of
 * it.
 *
 *      attempt -- short --> relieve: take back what the instance itself keeps idle, attempt again
 *                              |  short
 *                              v
 *                    ask the first callback, relieve, attempt
 *                              |  short
 *                              v
 *                    ask the next one ... -- short --> the failure
 *
 * One thread at a time asks callbacks, under the reclaim lock (locks.h). A thread that finds another asking
 * waits for it, and then attempts before it asks: the other may have helped it, too. A callback may use the
 * instance; but an operation inside a callback that is short of something asks no callback: it fails.
 */
#ifndef KVA_BASE_CALLBACKS_H
#define KVA_BASE_CALLBACKS_H

#include "locks.h"

/** An operation that may fail for want of something, and then leaves everything as it was. */
typedef enum kva_status kva_attempt(void *instance, void *operation);

/** What an operation that is short of something has its instance do. All but `call` run under the main
 *  lock. */
struct kva_shortage {
    struct kva_callbacks *callbacks;
    const struct kva_locks *locks;
    void *instance;
    void *operation;
    const void *request; /* what the operation asks for, for the callbacks */
    kva_attempt *attempt;
    bool (*is_short)(enum kva_status status);                                 /* whether more might help */
    bool (*relieve)(void *instance);                                          /* true: there was something */
    bool (*call)(void *instance, struct kva_link *link, const void *request); /* one callback's result */
};

/** Ask the callbacks one by one until the attempt succeeds, or fails for another reason. Returns the last
 *  attempt's status; `status` if there was none. */
enum kva_status kva_callbacks_ask(const struct kva_shortage *shortage, enum kva_status status);

/** Whether the caller is a reclaim callback of the instance, or called by one. With the main lock. */
static inline bool is_in_callback(const struct kva_callbacks *callbacks, const struct kva_threads *threads)
{
    return callbacks->inside != 0 && callbacks->inside == thread_self(threads);
}

/** Add a callback after all others, or remove one. With the main lock, which is not held all the time; not
 *  from inside a callback. KVA_OK; KVA_EEXIST (it is there already), KVA_ENOENT (it is not there). */
enum kva_status kva_callbacks_add(struct kva_callbacks *callbacks, const struct kva_locks *locks,
                                  struct kva_link *link);
enum kva_status kva_callbacks_remove(struct kva_callbacks *callbacks, const struct kva_locks *locks,
                                     struct kva_link *link);

#endif
