/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The list walk with real memory behind it, taken and given back at once: a vmalloc as it would be without a
 * tree, without parking and without a cache. A peer to measure kva against. See list_pages.c for the design.
 *
 * Statuses are kva's. No lock is taken: one thread at a time.
 */
#ifndef KVA_BENCH_LIST_PAGES_H
#define KVA_BENCH_LIST_PAGES_H

#include <kva/kva.h>
#include <kva/pages.h>

struct list_pages;

/** Reserve addresses and take pages from the host. KVA_ENOSPC, KVA_ENOMEM. */
enum kva_status list_pages_create(struct list_pages **list);

/** End it. KVA_EBUSY when areas were still busy; all is given back even so. */
enum kva_status list_pages_destroy(struct list_pages *list);

/** Where private areas lie. */
void list_pages_range(const struct list_pages *list, uint64_t *first, uint64_t *last);

/** Take `size` bytes at a multiple of `align`, with a guard page behind. As list_walk_alloc; and
 *  KVA_ENOMEM, KVA_ELIMIT from the system. Cost: O(busy areas), and a system call or two. */
enum kva_status list_pages_alloc(struct list_pages *list, uint64_t size, uint64_t align, uint64_t *start);

/** Give an area back, as large as it was taken: its pages are unmapped now. Cost: O(log busy areas), a
 *  system call. */
enum kva_status list_pages_free(struct list_pages *list, uint64_t start, uint64_t size);

/** Take all parts at the highest base that has room for them and their guard pages, which must lie between
 *  them. */
enum kva_status list_pages_congruent(struct list_pages *list, const struct kva_part *parts, size_t count,
                                     uint64_t align, uint64_t *base);

/** Make a pool of frames, and end it; none may be mapped then. */
enum kva_status list_pages_pool(struct list_pages *list, uint64_t count, void **frame_set);
void list_pages_drop(struct list_pages *list, void *frame_set);

/** Map `count` frames of a pool from `frame` on, and unmap them at once when they are given back. */
enum kva_status list_pages_map(struct list_pages *list, void *frame_set, uint64_t frame, uint64_t count,
                               uint64_t *start);
enum kva_status list_pages_unmap(struct list_pages *list, uint64_t start, uint64_t count);

/** The system calls so far. */
void list_pages_calls(struct list_pages *list, struct kva_vm_calls *calls);

#endif
