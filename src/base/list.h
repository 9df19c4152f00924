/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * An intrusive doubly linked list, circular through a head that holds no element.
 *
 *      head <-> a <-> b <-> c <-> head          an empty head points to itself
 *
 * A link that is on no list has both pointers NULL; list_is_linked tests one of them.
 *
 * SOURCE. The name container_of is Linux's.
 */
#ifndef KVA_BASE_LIST_H
#define KVA_BASE_LIST_H

#include "assumptions.h"

struct kva_list {
    struct kva_list *prev;
    struct kva_list *next;
};

/** The structure that contains `member` at `pointer`. */
#define kva_container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct kva_list *head)
{
    head->prev = head;
    head->next = head;
}

static inline bool list_is_empty(const struct kva_list *head)
{
    return head->next == head;
}

static inline void list_clear(struct kva_list *link)
{
    link->prev = NULL;
    link->next = NULL;
}

static inline bool list_is_linked(const struct kva_list *link)
{
    return link->next != NULL;
}

/** Insert `link`, which is on no list, between `prev` and the element after it. */
static inline void list_insert_after(struct kva_list *prev, struct kva_list *link)
{
    link->prev = prev;
    link->next = prev->next;
    prev->next->prev = link;
    prev->next = link;
}

/** Insert `link`, which is on no list, between `next` and the element before it. */
static inline void list_insert_before(struct kva_list *next, struct kva_list *link)
{
    list_insert_after(next->prev, link);
}

static inline void list_remove(struct kva_list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_clear(link);
}

#endif
