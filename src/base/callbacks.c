/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The list of reclaim callbacks and the loop that calls them; see callbacks.h. */
#include "callbacks.h"

/* ------------------------------------------------------------------------------------------------ calling */

/** Call one callback. True if it reports that it freed something, or if `relieve` finds something. */
static bool ask_one(const struct kva_shortage *shortage, struct kva_link *link)
{
    struct kva_callbacks *callbacks = shortage->callbacks;

    callbacks->inside = thread_self(shortage->locks ? shortage->locks->threads : NULL);
    main_drop(shortage->locks);
    bool gave = shortage->call(shortage->instance, link, shortage->request);
    main_take(shortage->locks);
    callbacks->inside = 0;
    return shortage->relieve(shortage->instance) || gave;
}

enum kva_status kva_callbacks_ask(const struct kva_shortage *shortage, enum kva_status status)
{
    bool more = kva_reclaim_take(shortage->locks);

    if (more)
        (void)shortage->relieve(shortage->instance);
    for (struct kva_link *link = shortage->callbacks->first;; link = link->next) {
        if (more)
            status = shortage->attempt(shortage->instance, shortage->operation);
        if (!shortage->is_short(status) || !link)
            break;
        more = ask_one(shortage, link);
    }
    reclaim_drop(shortage->locks);
    return status;
}

/* ----------------------------------------------------------------------------------------------- the list */

/** The pointer to a callback; the pointer that ends the list if the callback is not on it. */
static struct kva_link **find_link(struct kva_callbacks *callbacks, struct kva_link *link)
{
    struct kva_link **at = &callbacks->first;

    while (*at && *at != link)
        at = &(*at)->next;
    return at;
}

enum kva_status kva_callbacks_add(struct kva_callbacks *callbacks, const struct kva_locks *locks,
                                  struct kva_link *link)
{
    (void)kva_reclaim_take(locks);
    struct kva_link **at = find_link(callbacks, link);
    bool is_new = !*at;
    if (is_new) {
        link->next = NULL;
        *at = link;
    }
    reclaim_drop(locks);
    return is_new ? KVA_OK : KVA_EEXIST;
}

enum kva_status kva_callbacks_remove(struct kva_callbacks *callbacks, const struct kva_locks *locks,
                                     struct kva_link *link)
{
    (void)kva_reclaim_take(locks);
    struct kva_link **at = find_link(callbacks, link);
    bool was_there = *at;
    if (was_there)
        *at = link->next;
    reclaim_drop(locks);
    return was_there ? KVA_OK : KVA_ENOENT;
}
