/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The list walk: how Linux found kernel virtual address ranges before 2019. A peer to measure kva against,
 * not a part of it. See list_walk.c for the design.
 *
 * Statuses and the rounding to a quantum are as in kva.h, so that a driver can treat both alike. No lock is
 * taken: one thread may use a walk at a time.
 */
#ifndef KVA_BENCH_LIST_WALK_H
#define KVA_BENCH_LIST_WALK_H

#include <kva/kva.h>

struct list_walk;

/** Create a walk over [first, last], all of it free. KVA_EALIGN: the quantum is not a power of two, or the
 *  range is not aligned to it; KVA_ERANGE: first > last; KVA_ENOMEM. */
enum kva_status list_walk_create(uint64_t first, uint64_t last, uint64_t quantum, struct list_walk **walk);

/** Free all memory. KVA_EBUSY: areas were still busy; they are freed as well. */
enum kva_status list_walk_destroy(struct list_walk *walk);

/** Allocate the lowest range of `size` bytes at a multiple of `align` within [min, max].
 *  KVA_ENOSPC, KVA_ENOMEM, KVA_ESIZE, KVA_EALIGN, KVA_EWRAP, KVA_EWINDOW as kva_alloc.
 *  Cost: O(busy areas); when the lowest fit directly follows the cached position, a search of O(1) and an
 *  insertion of O(log busy areas). */
enum kva_status list_walk_alloc(struct list_walk *walk, uint64_t size, uint64_t align, uint64_t min,
                                uint64_t max, uint64_t *start);

/** Allocate all parts at the highest base, a multiple of `align`, at which every part is free. Parts and
 *  statuses as for kva_alloc_congruent. Cost: O(count * busy areas). */
enum kva_status list_walk_congruent(struct list_walk *walk, const struct kva_part *parts, size_t count,
                                    uint64_t align, uint64_t *base);

/** Free the area that begins at `start`. KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE as kva_free.
 *  Cost: O(log busy areas). */
enum kva_status list_walk_free(struct list_walk *walk, uint64_t start);

#endif
