/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _POSIX_C_SOURCE 200809L /* liburcu's headers need clock_gettime on some machines */
#include "grace.h"

#ifdef KVA_WITH_LIBURCU

#include <stdlib.h>
#include <urcu.h>

/* ThreadSanitizer does not see into liburcu. These annotations say that call_rcu happens before its
 * callback, and the callbacks before the end of rcu_barrier. The suppression covers memory that liburcu
 * itself allocates, passes to another thread and frees. ThreadSanitizer still checks what callbacks do. */
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
const char *__tsan_default_suppressions(void); /* a name that ThreadSanitizer prescribes */
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:liburcu.so\n";
}
#define HAND_OVER(record) __tsan_release(record)
#define TAKE_OVER(record) __tsan_acquire(record)
#else
#define HAND_OVER(record) ((void)(record))
#define TAKE_OVER(record) ((void)(record))
#endif

/* The address that all callbacks release and grace_barrier acquires. */
static char callbacks;

_Static_assert(sizeof(struct rcu_head) <= sizeof(((struct kva_later *)0)->room), "liburcu's record must fit");

const char *grace_is_missing(void)
{
    return NULL;
}

/* ------------------------------------------------------------------------------------ for kva_vfree_later */

static void later_ready(struct rcu_head *head)
{
    TAKE_OVER(head);
    kva_vfree_ready((struct kva_later *)(void *)head); /* room is the first member */
    HAND_OVER(&callbacks);
}

static void after(void *context, struct kva_later *record)
{
    (void)context;
    HAND_OVER(record);
    call_rcu((struct rcu_head *)(void *)record->room, later_ready);
}

static void wait_for_readers(void *context)
{
    (void)context;
    synchronize_rcu();
}

struct kva_grace grace_of_host(void)
{
    return (struct kva_grace){.after = after, .wait = wait_for_readers};
}

/* ----------------------------------------------------------------------------------- for other allocators */

struct late {
    struct rcu_head head;
    void (*give)(void *context, uint64_t addr, uint64_t size);
    void *context;
    uintptr_t addr; /* a pointer's width suffices: ranges have no late frees */
    uintptr_t size;
    void *own; /* the record's own memory, to be freed; NULL: the record lies in the area */
};

_Static_assert(sizeof(struct late) <= sizeof(struct kva_later), "struct late must fit");

static void late_ready(struct rcu_head *head)
{
    TAKE_OVER(head);
    struct late late = *(struct late *)(void *)head; /* a copy: the record may lie in the area */
    late.give(late.context, late.addr, late.size);
    free(late.own);
    HAND_OVER(&callbacks);
}

enum kva_status grace_free(void (*give)(void *context, uint64_t addr, uint64_t size), void *context,
                           uint64_t addr, uint64_t size, void *record)
{
    void *own = record == NULL ? malloc(sizeof(struct late)) : NULL;
    struct late *late = record == NULL ? own : record;
    if (late == NULL) {
        synchronize_rcu();
        give(context, addr, size);
        return KVA_OK;
    }
    *late = (struct late){
        .give = give, .context = context, .addr = (uintptr_t)addr, .size = (uintptr_t)size, .own = own};
    HAND_OVER(&late->head);
    call_rcu(&late->head, late_ready);
    return KVA_OK;
}

void grace_enter(void)
{
    rcu_register_thread();
}

void grace_leave(void)
{
    rcu_unregister_thread();
}

void grace_barrier(void)
{
    rcu_barrier();
    TAKE_OVER(&callbacks);
}

#else

const char *grace_is_missing(void)
{
    return "this build has no liburcu: install liburcu-dev and build again";
}

struct kva_grace grace_of_host(void)
{
    return (struct kva_grace){0};
}

enum kva_status grace_free(void (*give)(void *context, uint64_t addr, uint64_t size), void *context,
                           uint64_t addr, uint64_t size, void *record)
{
    (void)give;
    (void)context;
    (void)addr;
    (void)size;
    (void)record;
    return KVA_ENOENT;
}

void grace_enter(void)
{
}

void grace_leave(void)
{
}

void grace_barrier(void)
{
}

#endif
