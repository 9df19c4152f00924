/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The list walk with real pages, which are opened and closed at once: a vmalloc without a tree, without
 * parking and without a cache. A peer to measure kva against. See list_pages.c for the design.
 *
 * Statuses are kva's. No lock is taken: one thread may use a list at a time.
 */
#ifndef KVA_BENCH_LIST_PAGES_H
#define KVA_BENCH_LIST_PAGES_H

#include <kva/kva.h>
#include <kva/pages.h>

struct list_pages;

/** Reserve addresses from the host. KVA_ENOSPC, KVA_ENOMEM. */
enum kva_status list_pages_create(struct list_pages **list);

/** Give everything back. KVA_EBUSY: areas were still allocated; they are freed as well. */
enum kva_status list_pages_destroy(struct list_pages *list);

/** The range in which private areas lie. */
void list_pages_range(const struct list_pages *list, uint64_t *first, uint64_t *last);

/** Allocate `size` bytes at a multiple of `align`, and a guard page after them. Statuses of list_walk_alloc;
 *  KVA_ENOMEM and KVA_ELIMIT from the system. Cost: O(busy areas), and one or two system calls. */
enum kva_status list_pages_alloc(struct list_pages *list, uint64_t size, uint64_t align, uint64_t *start);

/** Free an area and close its pages at once. `size` as when it was allocated. Cost: O(log busy areas), and a
 *  system call. */
enum kva_status list_pages_free(struct list_pages *list, uint64_t start, uint64_t size);

/** Allocate all parts at the highest base that has room for them and their guard pages. The offsets must
 *  leave room for a guard page after each part. */
enum kva_status list_pages_congruent(struct list_pages *list, const struct kva_part *parts, size_t count,
                                     uint64_t align, uint64_t *base);

/** Create a frame set; destroy it, with no frame mapped. */
enum kva_status list_pages_create_frames(struct list_pages *list, uint64_t count, void **frame_set);
void list_pages_destroy_frames(struct list_pages *list, void *frame_set);

/** Map `count` frames of a set, `frame` the first; unmap them at once. */
enum kva_status list_pages_map(struct list_pages *list, void *frame_set, uint64_t frame, uint64_t count,
                               uint64_t *start);
enum kva_status list_pages_unmap(struct list_pages *list, uint64_t start, uint64_t count);

/** Read the counts of system calls so far. */
void list_pages_calls(struct list_pages *list, struct kva_vm_calls *calls);

#endif
